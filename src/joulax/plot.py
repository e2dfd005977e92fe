"""Pictures of energy results; needs matplotlib (`pip install "joulax[plot]"`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._hardware.operations import OPERATIONS
from ._hardware.result import Result
from ._report.figure import COLOURS, axes
from ._training.history import history as history

__all__ = ["break_even", "history", "layers"]


def layers(results: Result | Mapping[str, Result], *, ax: Any = None) -> Any:
    """Energy of each layer as stacked bars, one colour an operation.

    **Arguments:**

    - `results`: one result, or several by name, whose bars stand side by side; leading axes are
      averaged.
    - `ax`: matplotlib axes to draw into; new ones by default.

    **Returns:**

    The axes; energies in nJ.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing.
    """
    many = {"": results} if isinstance(results, Result) else dict(results)
    ax = axes(ax)
    names = list(dict.fromkeys(name for r in many.values() for name in r.order))
    width = 0.8 / len(many)
    used: dict[str, Any] = {}
    for k, (title, result) in enumerate(many.items()):
        places = [names.index(n) + (k - (len(many) - 1) / 2) * width for n in result.order]
        base = np.zeros(len(places))
        for op, colour in zip(OPERATIONS, COLOURS, strict=True):
            heights = np.array([_mean(getattr(result.layers[n], op)) for n in result.order]) / 1e3
            if heights.any():
                bars = ax.bar(
                    places,
                    heights,
                    0.9 * width,
                    bottom=base,
                    color=colour,
                    edgecolor="white",
                    linewidth=0.5,
                )
                used.setdefault(op.replace("_", " "), bars)
                base += heights
        for place, height in zip(places, base, strict=True):
            ax.annotate(
                title,
                (place, height),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize="small",
            )
    ax.set_xticks(range(len(names)), names)
    ax.set_ylabel("energy [nJ]")
    ax.margins(y=0.12)
    ax.legend(used.values(), used.keys())
    return ax


def break_even(
    report: Any, *, intervals: Mapping[str, tuple[float, float]] | None = None, ax: Any = None
) -> Any:
    """Energy of a spiking network over that of its analog twin, against the spike rate.

    **Arguments:**

    - `report`: what [`joulax.compare`][] returned; its own operating point is marked on every line.
    - `intervals`: low and high ratio at the operating point, by row, drawn as error bars.
    - `ax`: matplotlib axes to draw into; new ones by default.

    **Returns:**

    The axes; below one the spiking network is cheaper.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing.
    """
    ax = axes(ax)
    rates = np.geomspace(min(1e-3, report.rate / 3), 1.0, 200)
    for (name, row), colour in zip(report.rows.items(), COLOURS, strict=False):
        slope = (
            (1 - row["ratio"]) / (row["factor"] - 1) if row["factor"] != 1 else 0.0
        )  # affine: 1 at the break-even factor
        ax.plot(
            100 * rates, row["ratio"] + slope * (rates / report.rate - 1), color=colour, label=name
        )
        ax.plot(100 * report.rate, row["ratio"], "o", color=colour)
        if intervals and name in intervals:
            low, high = intervals[name]
            ax.errorbar(
                100 * report.rate,
                row["ratio"],
                yerr=[[row["ratio"] - low], [high - row["ratio"]]],
                color=colour,
                capsize=3,
            )
    ax.axhline(1, color="#888888", lw=0.8)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="spikes per synapse and step [%]",
        ylabel=f"energy, spiking / analog ({report.bits} bits)",
    )
    ax.legend(fontsize="small")
    return ax


def _mean(value: Any) -> float:
    return 0.0 if value is None else float(np.mean(np.asarray(value, np.float64)))
