"""The numbers of a result, in double precision, by chip and layer, averaged over samples."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from .._activity.shown import MEASURED, count_of, kept_axes
from .operations import OPERATIONS

STATIC = "static_power"


@dataclass(frozen=True)
class Layer:
    """One layer: energies by operation (chips,) [pJ], their spread, and what it did."""

    name: str
    energies: Mapping[str, np.ndarray]
    total: np.ndarray
    std: np.ndarray
    did: Mapping[str, float | None]

    @property
    def synops(self) -> float | None:
        """Synaptic operations that were executed because of events."""
        found = [v for f in ("ac", "mac") if (v := self.did[f]) is not None]
        return sum(found) if found else None

    @property
    def sparsity(self) -> float | None:
        """Share of the dense operations that did not occur; an input of several events is one."""
        dense, ac, once = (self.did[f] for f in ("dense", "ac", "ac_graded"))
        several = 0.0 if ac is None or once is None else ac - once
        return None if not dense or self.synops is None else 1 - (self.synops - several) / dense

    @property
    def rate(self) -> float | None:
        """Spikes per neuron and time step; `None` without neurons that fire."""
        spikes, updates = self.did["spikes"], self.did["updates"]
        return None if spikes is None or not updates else spikes / updates


@dataclass(frozen=True)
class Figures:
    """Everything that is printed of a result.

    `total` has the shape (chips, samples), `operations` and `static` (chips,).
    """

    chips: tuple[str, ...]
    layers: tuple[Layer, ...]
    operations: Mapping[str, np.ndarray]
    static: np.ndarray | None
    total: np.ndarray

    @property
    def samples(self) -> int:
        """Samples over which everything is averaged."""
        return self.total.shape[1]

    @functools.cached_property
    def columns(self) -> list[str]:
        """Operations that cost anything anywhere."""
        return [op for op, e in self.operations.items() if np.any(e != 0)]

    def spent(self, chip: int) -> dict[str, float]:
        """Energies of a chip by operation, with its static power [pJ]."""
        found = {op: float(self.operations[op][chip]) for op in self.columns}
        return found if self.static is None else found | {STATIC: float(self.static[chip])}

    def summed(self, field: str) -> float | None:
        """A count over all layers; `None` where it cannot occur."""
        found = [v for layer in self.layers if (v := layer.did[field]) is not None]
        return sum(found) if found else None


def figures(result: Any) -> Figures:
    """The numbers of a result on the host."""
    host = jax.device_get(result)
    spent = host.layers
    stacked, kept = _axes(result)
    layers = tuple(
        _layer(name, spent[name], host.activity[name], stacked, kept) for name in host.order
    )
    operations = {
        op: np.sum([layer.energies[op] for layer in layers if op in layer.energies], axis=0)
        for op in OPERATIONS
        if any(op in layer.energies for layer in layers)
    }
    static = None if host.static is None else _flat(host.static, stacked, 0).mean(1)
    return Figures(result.chips, layers, operations, static, by_chip(result.total, result))


def by_chip(joules: Any, result: Any) -> np.ndarray:
    """Energies in the shape of a result's total as (chips, samples)."""
    return _flat(joules, *_axes(result))


def _axes(result: Any) -> tuple[int, int]:
    """How many chips were stacked, and how many trailing axes `count` kept."""
    stacked = len(result.chips) if isinstance(result.chip, tuple) else 0
    return stacked, kept_axes(result.activity, result.convention)


def _flat(x: Any, stacked: int, kept: int) -> np.ndarray:
    """(chips, samples)."""
    a = np.asarray(x, np.float64)
    if stacked and a.shape[:1] != (stacked,):  # samples lead where chips were mapped inside them
        a = np.moveaxis(a, next(i for i, n in enumerate(a.shape) if n == stacked), 0)
    a = a if stacked else a[None]
    last = tuple(range(max(1, a.ndim - kept), a.ndim))
    return a.sum(axis=last).reshape(a.shape[0], -1)


def _layer(name: str, spent: Any, did: Any, stacked: int, kept: int) -> Layer:
    parts = {
        op: _flat(e, stacked, kept) for op in OPERATIONS if (e := getattr(spent, op)) is not None
    }
    total = np.asarray(sum(parts.values())) if parts else np.zeros((1, 1))
    counts = {f: count_of(did, f, kept) for f in MEASURED}
    means = {op: e.mean(1) for op, e in parts.items()}
    return Layer(name, means, total.mean(1), total.std(1), counts)
