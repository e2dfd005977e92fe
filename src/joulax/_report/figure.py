"""Axes and colours that all pictures share; needs matplotlib (`pip install "joulax[plot]"`)."""

from typing import Any

COLOURS = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#bbbbbb",
    "#000000",
    "#ee8866",
    "#77aadd",
)


def axes(ax: Any) -> Any:
    """The axes to draw into: new ones for `None`."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('joulax.plot needs matplotlib: pip install "joulax[plot]"') from error
    return plt.figure(layout="constrained").add_subplot()
