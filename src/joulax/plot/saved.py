"""A picture as a file for a paper."""

from typing import Any


def save(ax: Any, path: Any) -> None:
    """Write the figure of some axes to a file: text stays text in PDF and SVG.

    **Arguments:**

    - `ax`: axes, as every function of this module returns them.
    - `path`: the file; its ending says the format.
    """
    import matplotlib as mpl

    with mpl.rc_context({"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none"}):
        ax.figure.savefig(path, dpi=200, bbox_inches="tight")
