"""Neurons and spikes: who is busy, and when."""

from typing import Any

import numpy as np

from .._hardware.result import Result
from .._report.figure import QUIET, axes, colour, unit


def neurons(
    made: Any,
    layer: str,
    *,
    field: str = "spikes",
    shape: tuple[int, int] | None = None,
    ax: Any = None,
) -> Any:
    """What each neuron of a layer does or costs: sorted, or as a map.

    **Arguments:**

    - `made`: an account of `joulax.count(..., neurons=True)`, or its price.
    - `layer`: which.
    - `field`: of an account, what is drawn: `spikes`, `ac`, `mac`, `updates`, ….
    - `shape`: rows and columns of a map; without it the neurons are sorted.
    - `ax`: matplotlib axes to draw into; new ones by default.

    **Returns:**

    The axes.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing; `ValueError` if the layer does
    not exist or has no such field, the account has no axis of neurons, or the shape is not theirs.
    """
    priced, values = isinstance(made, Result), _values(made, layer, field)
    scale, name = unit(values) if priced else (1.0, "")
    what = f"energy [{name}]" if priced else field
    ax = axes(ax)
    if shape is not None:
        return _map(ax, values / scale, shape, f"{layer}: {what}")
    order = np.sort(values.ravel())[::-1] / scale
    ax.fill_between(np.arange(order.size), order, step="mid", color=colour(0), alpha=0.3)
    ax.plot(order, color=colour(0), drawstyle="steps-mid")
    half = int(np.searchsorted(np.cumsum(order), order.sum() / 2)) + 1 if order.sum() else 0
    ax.axvline(half - 0.5, color=QUIET, ls="--", lw=1)
    ax.annotate(
        f"half of it in {half} of {order.size}",
        (half - 0.5, order.max(initial=0)),
        (4, -4),
        textcoords="offset points",
        fontsize="small",
        va="top",
    )
    ax.set(xlabel=f"neurons of {layer}, the busiest first", ylabel=what, xlim=(-0.5, order.size))
    ax.set_ylim(bottom=0)
    return ax


def _values(made: Any, layer: str, field: str) -> np.ndarray:
    """What each neuron of a layer does or costs, averaged over samples."""
    if made.convention is not None and "neurons" not in dict(made.convention.options):
        raise ValueError("plot.neurons needs joulax.count(..., neurons=True)")
    if layer not in made.order:
        raise ValueError(f"no layer {layer!r}; the layers are {', '.join(made.order)}")
    priced = isinstance(made, Result)
    record: Any = (made.activity if priced else made)[layer]
    total = made.layers[layer].total if priced else getattr(record, field)
    if total is None:
        raise ValueError(f"layer {layer!r} has no {field}")
    values = np.asarray(total, np.float64)
    return values.reshape(-1, *values.shape[np.ndim(record.synapses) :]).mean(0)


def _map(ax: Any, values: np.ndarray, shape: tuple[int, int], title: str) -> Any:
    if values.size != shape[0] * shape[1]:
        raise ValueError(f"{values.size} neurons do not fill a map of {shape[0]} × {shape[1]}")
    image = ax.imshow(values.reshape(shape), cmap="cividis", vmin=0)
    ax.figure.colorbar(image, ax=ax, shrink=0.8)
    ax.set(xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    return ax


def raster(
    spikes: Any, synops: Any = None, *, dt: float | None = None, most: int = 200, ax: Any = None
) -> Any:
    """Spikes of neurons over time, with the synaptic operations of each step beneath.

    **Arguments:**

    - `spikes`: recorded spikes of one sample, shape (steps, neurons).
    - `synops`: synaptic operations of each step, as `joulax.count(..., steps=T)` keeps them.
    - `dt`: length of a step [s]; without it time is in steps.
    - `most`: neurons that are drawn, evenly spaced.
    - `ax`: matplotlib axes to draw into; the lower panel is cut from them.

    **Returns:**

    The axes of the raster; those of the lower panel are the figure's last.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing; `ValueError` for spikes that
    are no matrix, or synops of another length.
    """
    events = np.asarray(spikes)
    if events.ndim != 2:
        raise ValueError(f"raster takes spikes of shape (steps, neurons), got {events.shape}")
    steps, count = events.shape
    if synops is not None and np.shape(synops) != (steps,):
        raise ValueError(f"{steps} steps of spikes and synops of shape {np.shape(synops)}")
    ax = axes(ax)
    shown = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
    scale, name = (1.0, "time [steps]") if dt is None else (dt * 1e3, "time [ms]")
    when, who = np.nonzero(events[:, shown])
    size = max(1.0, min(6.0, 240 / len(shown)))
    ax.plot(when * scale, shown[who], "|", color="black", ms=size, mew=0.8)
    ax.set(ylabel="neuron", xlim=(-0.5 * scale, (steps - 0.5) * scale), ylim=(-1, count))
    if synops is None:
        ax.set_xlabel(name)
        return ax
    lower = _beneath(ax)
    edges = (np.arange(steps + 1) - 0.5) * scale
    lower.stairs(np.asarray(synops, np.float64), edges, fill=True, color=colour(0), alpha=0.8)
    lower.set(xlabel=name, ylabel="synops", ylim=(0, None))
    return ax


def _beneath(ax: Any) -> Any:
    """A lower panel that shares the time axis."""
    from mpl_toolkits.axes_grid1 import make_axes_locatable

    lower = make_axes_locatable(ax).append_axes("bottom", size="30%", pad=0.12, sharex=ax)
    lower.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelbottom=False)
    return lower
