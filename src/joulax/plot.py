"""Pictures of energy results; needs matplotlib (`pip install "joulax[plot]"`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._energy import Result
from ._operations import OPERATIONS

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000", "#ee8866", "#77aadd")


def layers(results: Result | Mapping[str, Result], *, ax: Any = None) -> Any:
    """Energy of each layer as stacked bars, one colour an operation.

    **Arguments:**

    - `results`: one result, or several by name, whose bars stand side by side; leading axes are averaged.
    - `ax`: matplotlib axes to draw into; new ones by default.

    **Returns:**

    The axes; energies in nJ.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing.
    """
    many = {"": results} if isinstance(results, Result) else dict(results)
    ax = _axes(ax)
    names = list(dict.fromkeys(name for r in many.values() for name in r.order))
    width = 0.8 / len(many)
    used: dict[str, Any] = {}
    for k, (title, result) in enumerate(many.items()):
        places = [names.index(n) + (k - (len(many) - 1) / 2) * width for n in result.order]
        base = np.zeros(len(places))
        for op, colour in zip(OPERATIONS, COLOURS, strict=True):
            heights = np.array([_mean(getattr(result.layers[n], op)) for n in result.order]) / 1e3
            if heights.any():
                bars = ax.bar(places, heights, 0.9 * width, bottom=base, color=colour, edgecolor="white", linewidth=0.5)
                used.setdefault(op.replace("_", " "), bars)
                base += heights
        for place, height in zip(places, base, strict=True):
            ax.annotate(title, (place, height), xytext=(0, 3), textcoords="offset points", ha="center", fontsize="small")
    ax.set_xticks(range(len(names)), names)
    ax.set_ylabel("energy [nJ]")
    ax.margins(y=0.12)
    ax.legend(used.values(), used.keys())
    return ax


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('joulax.plot needs matplotlib: pip install "joulax[plot]"') from error
    return plt.figure(layout="constrained").add_subplot()


def _mean(value: Any) -> float:
    return 0.0 if value is None else float(np.mean(np.asarray(value, np.float64)))
