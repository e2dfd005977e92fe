"""Where the energy goes, and what a change there would save."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from .._activity.account import named_records
from .._activity.record import Activity
from .._forms.rendered import Rendered
from .._forms.table import COUNT, ENERGY, SHARE, Column, Row, table
from .._forms.units import joules, number
from .._hardware.operations import OPERATIONS
from .._hardware.result import Result
from .._report.warned import partial_of

_BY_EVENTS = ("ac", "mac", "weight_read", "hop", "spike")


@dataclass(frozen=True)
class Spot:
    """One place: a layer, or a neuron or time step of it.

    **Attributes:**

    - `layer`: its name.
    - `index`: of the neuron or step, along the axes that were kept; empty for a whole layer.
    - `cost`: energy [pJ], or synaptic operations where no price was given.
    - `share`: of the total.
    - `silencing`: what no event arriving there would save: the part that scales with events.
    - `axes`: what the numbers of the index count: samples, steps, neurons.
    """

    layer: str
    index: tuple[int, ...]
    cost: float
    share: float
    silencing: float
    axes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Layer, sample, step and neuron in words."""
        named = zip(self.axes, self.index, strict=False)
        return ", ".join([self.layer, *(f"{axis} {i}" for axis, i in named)])


@dataclass(frozen=True, repr=False)
class HotSpots(Rendered):
    """The most expensive places; iterate over `spots`, or `print`.

    **Attributes:**

    - `spots`: [`joulax.Spot`][]s, the most expensive first.
    - `savings`: with a gradient, parameter by parameter: what pruning it away, or raising a
      threshold by a tenth, would save to first order.
    - `priced`: whether costs are energies [pJ] or synaptic operations.
    - `partial`: whether they are lower bounds.
    """

    _bounded = True

    spots: tuple[Spot, ...]
    savings: dict[str, float]
    priced: bool
    partial: bool = False

    def __iter__(self):
        return iter(self.spots)

    def parts(self) -> list[Any]:
        """The table, and the savings."""
        text, kind = (joules, ENERGY) if self.priced else (number, COUNT)
        columns = [
            Column("place", "where"),
            Column("cost", "energy" if self.priced else "synops", kind),
            Column("share", "share", SHARE),
            Column("silencing", "saved if silent", kind),
        ]
        rows = [Row((s.place, s.cost, s.share, s.silencing)) for s in self.spots]
        return [
            f"The {len(self.spots)} most expensive places",
            table(columns, rows, partial=self.partial),
            *(f"{what}: saves about {text(saved)}" for what, saved in self.savings.items()),
        ]


def hotspots(
    activity_or_result: Any, top: int = 5, *, model: Any = None, gradient: Any = None
) -> HotSpots:
    """The layers that dominate; with kept axes, the neurons or time steps.

    **Arguments:**

    - `activity_or_result`: a result of [`joulax.energy`][] in pJ, or an account in synaptic
      operations. Of
      `count(..., neurons=True)` or `steps=T`, single neurons or steps are ranked.
    - `top`: how many.
    - `model`, `gradient`: a model and the gradient of its energy (`eqx.filter_grad`): adds what
      pruning each
      weight matrix away (g·w) or raising each threshold by a tenth (−g·θ/10) would save, to first
      order. It trusts the
      surrogate gradient: an indication, to be checked by counting again.

    **Returns:**

    [`joulax.HotSpots`][].

    **Raises:**

    `ValueError` if `top` is not positive, or only one of model and gradient is given.
    """
    if top < 1:
        raise ValueError(f"top must be positive, got {top}")
    if (model is None) != (gradient is None):
        raise ValueError("give both model= and gradient=: savings are their products")
    priced = isinstance(activity_or_result, Result)
    places = _energies(activity_or_result) if priced else _synops(activity_or_result)
    convention = getattr(activity_or_result, "convention", None)
    whole = sum(float(cost.sum()) for cost, _ in places.values()) or 1.0
    spots = [
        Spot(
            layer,
            tuple(map(int, index)),
            float(cost[index]),
            float(cost[index]) / whole,
            float(silent[index]),
            _axes(convention, cost.ndim),
        )
        for layer, (cost, silent) in places.items()
        for index in np.ndindex(cost.shape)
    ]
    spots.sort(key=lambda s: -s.cost)
    return HotSpots(
        tuple(spots[:top]),
        {} if model is None else _savings(model, gradient, top),
        priced,
        partial_of(activity_or_result),
    )


def _axes(convention: Any, count: int) -> tuple[str, ...]:
    """Names of the axes of a cost: samples first, then what `count` kept."""
    options = {name for name, _ in convention.options} if convention is not None else set()
    kept = ("step",) * ("steps" in options)
    if "neurons" in options:
        kept += ("neuron",) if count <= len(kept) + 2 else ("neuron",) * (count - len(kept))
    return (*("sample",) * (count - len(kept)), *kept)


def _array(value: Any) -> np.ndarray:
    return np.asarray(0.0 if value is None else value, np.float64)


def _energies(result: Result) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    places = {}
    for name, spent in result.layers.items():
        cost = _array(spent.total)
        silent = sum(_array(getattr(spent, op)) for op in OPERATIONS if op in _BY_EVENTS)
        places[name] = (cost, np.broadcast_to(silent, cost.shape))
    return places


def _synops(account: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    records: dict[str, Activity] = named_records(account)
    return {name: (_array(r.synops), _array(r.synops)) for name, r in records.items()}


def _savings(model: Any, gradient: Any, top: int) -> dict[str, float]:
    """First-order savings of parameters by path, the largest first."""
    slopes = dict(jax.tree_util.tree_leaves_with_path(gradient))
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(model):
        if path not in slopes or not hasattr(leaf, "ndim"):
            continue
        name, product = (
            jax.tree_util.keystr(path, simple=True, separator="."),
            float(np.sum(_array(slopes[path]) * _array(leaf))),
        )
        if name.endswith("threshold"):
            found[f"{name} a tenth higher"] = -product / 10
        elif leaf.ndim > 1:
            found[f"{name} pruned away"] = product
    return dict(sorted(((k, v) for k, v in found.items() if v > 0), key=lambda kv: -kv[1])[:top])
