"""Accuracy against energy, power over time, and where two networks cost the same."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._hardware.result import Result
from .._report.figure import QUIET, axes, colour, joule_ticks, quiet_log

_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


def front(
    energies: Any,
    accuracies: Any,
    *,
    names: Sequence[str] | None = None,
    label: str | None = None,
    ax: Any = None,
) -> Any:
    """Accuracy against energy, with the front of the networks that none beats in both.

    **Arguments:**

    - `energies`: of the networks [pJ].
    - `accuracies`: of the same networks, 0…1.
    - `names`: written beside the points of the front.
    - `label`: of this set in the legend; call again with the same axes for another set.
    - `ax`: matplotlib axes to draw into; new ones by default.

    **Returns:**

    The axes.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing; `ValueError` if the numbers of
    energies and accuracies differ.
    """
    spent = np.ravel(np.asarray(energies, np.float64))
    right = 100 * np.ravel(np.asarray(accuracies, np.float64))
    if spent.shape != right.shape:
        raise ValueError(f"{spent.size} energies and {right.size} accuracies: one each is needed")
    ax = axes(ax)
    k = len(ax.collections)
    shade, marker = colour(k), "os^Dv"[k % 5]
    best = _undominated(spent, right)
    ax.scatter(spent, right, s=18, color=shade, alpha=0.4, linewidths=0)
    ax.plot(
        spent[best],
        right[best],
        marker=marker,
        color=shade,
        ms=5,
        drawstyle="steps-post",
        label=label,
    )
    for i in best if names else ():
        ax.annotate(
            (names or ())[i],
            (spent[i], right[i]),
            (4, -9),
            textcoords="offset points",
            fontsize="x-small",
        )
    ax.set(xscale="log", xlabel="energy per inference", ylabel="accuracy [%]")
    joule_ticks(ax)
    if label is not None:
        ax.legend(frameon=False, fontsize="small", loc="lower right")
    return ax


def _undominated(spent: np.ndarray, right: np.ndarray) -> list[int]:
    """Indices of the front, the cheapest first."""
    found, best = [], -np.inf
    for i in np.lexsort((-right, spent)):
        if right[i] > best:
            found.append(int(i))
            best = right[i]
    return found


def power(result: Result, dt: float, *, ax: Any = None) -> Any:
    """Power over time, step by step, with its peak and its mean.

    **Arguments:**

    - `result`: the price of an account that kept its steps, `joulax.count(..., steps=T)`; samples
      on leading axes are averaged.
    - `dt`: length of a step [s].
    - `ax`: matplotlib axes to draw into; new ones by default.

    **Returns:**

    The axes.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing; `ValueError` if the account
    has no steps.
    """
    options = {name for name, _ in result.convention.options} if result.convention else set()
    if "steps" not in options or "neurons" in options:
        raise ValueError(
            "plot.power needs steps: price joulax.count(model, steps=T) (without neurons=True)"
        )
    total = np.asarray(result.total, np.float64)
    watts = total.reshape(-1, total.shape[-1]).mean(0) * 1e-12 / dt
    scale, name = _watts(watts.max())
    times = np.arange(len(watts) + 1) * dt * 1e3
    ax = axes(ax)
    ax.stairs(watts / scale, times, color=colour(0), fill=True, alpha=0.25)
    ax.stairs(watts / scale, times, color=colour(0), lw=1.2)
    peak = int(watts.argmax())
    ax.annotate(
        f"peak {watts[peak] / scale:.3g} {name} in step {peak}",
        (times[peak] + dt * 5e2, watts[peak] / scale),
        (0, 6),
        textcoords="offset points",
        ha="left" if peak < len(watts) / 2 else "right",
        fontsize="small",
    )
    ax.axhline(watts.mean() / scale, color=QUIET, ls="--", lw=1)
    ax.annotate(
        f"mean {watts.mean() / scale:.3g} {name}",
        (times[-1], watts.mean() / scale),
        (-4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize="small",
        bbox={"fc": "white", "ec": "none", "pad": 1.5},
    )
    ax.set(xlabel="time [ms]", ylabel=f"power [{name}]", xlim=(0, times[-1]))
    ax.set_ylim(0, 1.15 * watts.max() / scale)
    return ax


def _watts(x: float) -> tuple[float, str]:
    scales = ((1.0, "W"), (1e-3, "mW"), (1e-6, "µW"), (1e-9, "nW"))
    return next(((s, u) for s, u in scales if x >= s), scales[-1])


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
    for i, (name, row) in enumerate(report.rows.items()):
        slope = (
            (1 - row["ratio"]) / (row["factor"] - 1) if row["factor"] != 1 else 0.0
        )  # affine: 1 at the break-even factor
        ratios = row["ratio"] + slope * (rates / report.rate - 1)
        ax.plot(100 * rates, ratios, color=colour(i), ls=_STYLES[i % len(_STYLES)], label=name)
        ax.plot(100 * report.rate, row["ratio"], "o", color=colour(i))
        if intervals and name in intervals:
            low, high = intervals[name]
            ax.errorbar(
                100 * report.rate,
                row["ratio"],
                yerr=[[row["ratio"] - low], [high - row["ratio"]]],
                color=colour(i),
                capsize=3,
            )
    ax.axhline(1, color=QUIET, lw=0.8)
    against = "analog" if report.bits is None else f"analog, {report.bits} bits"
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="spikes per synapse and step [%]",
        ylabel=f"energy, spiking / {against}",
    )
    quiet_log(ax, "x")
    quiet_log(ax, "y")
    ax.annotate(
        "spiking cheaper below", (0.01, 1), (0, -10), ("axes fraction", "data"), "offset points",
        fontsize="x-small", color="#555555",
    )  # fmt: skip
    ax.legend(frameon=False, fontsize="small")
    return ax
