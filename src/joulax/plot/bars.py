"""Energy by layer and operation."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._forms.table import unique
from .._hardware.figures import Figures, figures
from .._hardware.operations import OPERATIONS
from .._hardware.result import Result
from .._report.figure import axes, colour, hatch, legend_on_top, names_below, unit

_STATIC = "static power"


def layers(results: Result | Mapping[str, Result], *, ax: Any = None) -> Any:
    """Energy of each layer as stacked bars, one colour and pattern an operation.

    **Arguments:**

    - `results`: one result, or several by name, whose bars stand side by side; samples are
      averaged.
    - `ax`: matplotlib axes to draw into; new ones by default.

    **Returns:**

    The axes; the unit stands at the axis.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing.
    """
    given = {"": results} if isinstance(results, Result) else dict(results)
    _of_one_chip(given)
    many = {title: _bars(figures(result)) for title, result in given.items()}
    every = [(name, spent) for bars in many.values() for name, spent in bars.items()]
    names = list(dict.fromkeys(name for name, _ in every))
    ax = axes(ax, (max(6.4, 0.3 * len(names)), 4.8))
    scale, prefix = unit([sum(spent.values()) for _, spent in every])
    operations = _charged([spent for _, spent in every])
    width = 0.8 / len(many)
    for k, (title, bars) in enumerate(many.items()):
        places = [names.index(n) + (k - (len(many) - 1) / 2) * width for n in bars]
        tops = _stack(ax, places, bars, operations, scale, width, label=k == 0)
        _entitle(ax, title, places, tops)
    names_below(ax, names)
    ax.set_ylabel(f"energy [{prefix}]")
    ax.margins(y=0.05)
    ax.set_ylim(bottom=0)
    legend_on_top(ax, len(operations), 0.08 * math.ceil(len(operations) / 4) + 0.05)
    return ax


def _of_one_chip(results: Mapping[str, Any]) -> None:
    for result in results.values():
        if not isinstance(result, Result):
            raise ValueError(
                "layers() draws what joulax.energy(account, chip) returns, or a mapping of names "
                f"to that; got {type(result).__name__}"
            )
        if len(result.hardware.chips) > 1:
            raise ValueError(
                f"layers() draws one chip, and this result has {len(result.hardware.chips)}: price "
                "them one by one and give a mapping of names to results, or take plot.chips"
            )


def _charged(bars: list[dict[str, float]]) -> list[str]:
    """What costs anything in any bar, in the order of the operations."""
    return [op for op in (*OPERATIONS, _STATIC) if any(spent.get(op) for spent in bars)]


def _entitle(ax: Any, title: str, places: list[float], tops: np.ndarray) -> None:
    for place, top in zip(places, tops, strict=True):
        ax.annotate(title, (place, top), (0, 2), textcoords="offset points", **_SMALL)


_SMALL: Any = {"ha": "center", "fontsize": "x-small"}


def _bars(found: Figures) -> dict[str, dict[str, float]]:
    """Energies [pJ] by layer and operation; static power stands by itself."""
    names = unique([layer.name for layer in found.layers])
    bars = {
        name: {op: float(e.mean()) for op, e in layer.energies.items()}
        for name, layer in zip(names, found.layers, strict=True)
    }
    if found.static is not None and found.static.any():
        bars[_STATIC] = {_STATIC: float(found.static.mean())}
    return bars


def _stack(
    ax: Any,
    places: list[float],
    bars: dict[str, dict[str, float]],
    operations: list[str],
    scale: float,
    width: float,
    label: bool,
) -> np.ndarray:
    base = np.zeros(len(places))
    for i, op in enumerate(operations):
        heights = np.array([spent.get(op, 0.0) for spent in bars.values()]) / scale
        ax.bar(
            places,
            heights,
            0.9 * width,
            bottom=base,
            color=colour(i),
            hatch=hatch(i),
            edgecolor="white",
            linewidth=0.5,
            label=op.replace("_", " ") if label else None,
        )
        base += np.nan_to_num(heights)
    return base
