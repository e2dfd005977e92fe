"""Axes, colours and units that all pictures share; needs matplotlib."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._forms.units import PREFIXES, prefix

# Tol's "bright" and two of his "muted", told apart by every common colour vision; hatches for grey
COLOURS = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#bbbbbb",
    "#332288",
    "#ee8866",
    "#77aadd",
)
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "", "++++", "oo", "||||")
QUIET = "#888888"


def axes(ax: Any, size: tuple[float, float] | None = None) -> Any:
    """The axes to draw into, without frame lines that say nothing: new ones for `None`."""
    if ax is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError('joulax.plot needs matplotlib: pip install "joulax[plot]"') from error
        ax = plt.figure(layout="constrained", figsize=size).add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def colour(i: int) -> str:
    """A colour for the i-th of any number of things."""
    return COLOURS[i % len(COLOURS)]


def hatch(i: int) -> str:
    """A pattern that tells the i-th thing apart in grey."""
    return HATCHES[i % len(HATCHES)] + "*" * (i // len(HATCHES))


def unit(values: Any) -> tuple[float, str]:
    """What one unit is [pJ], and its name, so that the largest of the energies fills it."""
    flat = np.abs(np.ravel(np.asarray(values, np.float64)))
    known = flat[np.isfinite(flat)]
    return prefix(float(known.max())) if known.size else PREFIXES[-1]


def quiet_log(ax: Any, which: str) -> None:
    """Plain numbers instead of powers of ten on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis = getattr(ax, f"{which}axis")
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def joule_ticks(ax: Any, which: str = "x") -> None:
    """Ticks of an axis in pJ with prefixes: `1 nJ`, `10 nJ`, `1 µJ`."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    def text(x: float, _: Any) -> str:
        scale, name = prefix(x * (1 + 1e-9))
        return f"{x / scale:g} {name}"

    axis = getattr(ax, f"{which}axis")
    axis.set_major_formatter(FuncFormatter(text))
    axis.set_minor_formatter(NullFormatter())


def legend_on_top(ax: Any, columns: int, room: float) -> None:
    """What colours mean, inside the axes above all that is drawn; `room`: a share of the height."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + room * (high - low))
    ax.legend(frameon=False, fontsize="small", loc="upper left", ncols=min(columns, 4))


def names_below(ax: Any, names: Sequence[str]) -> None:
    """Names under bars, slanted where they would touch."""
    long = sum(map(len, names)) > 60 or len(names) > 12
    ax.set_xticks(range(len(names)), names, **_slanted() if long else {})


def _slanted() -> dict[str, Any]:
    return {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
