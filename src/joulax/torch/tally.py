"""Counts of a call, added up layer by layer while the model runs."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._activity.account import Account, Convention, SiteNote
from .._activity.record import Activity
from .._version import __version__
from .kinds import Analog, Birth, Births, Events, Kind, Owner
from .library import torch

Layer = Any  # a set of leaves, or words for a layer without
ADDED = ("ac", "ac_graded", "mac", "dense_ac", "dense_mac", "spikes", "spikes_graded", "updates")


@dataclass(frozen=True)
class Product:
    """What one product amounts to, apart from its kind."""

    name: str
    count: float
    graded: float
    dense: float
    synapses: float | None = None
    nonzero: float | None = None
    inputs: float = 0.0
    size: float = 0.0
    rows: float = 1.0


@dataclass
class Tally:
    """Everything that was counted in one call."""

    records: dict[Layer, dict[str, float]] = field(default_factory=dict)
    notes: dict[Layer, dict[str, SiteNote]] = field(default_factory=dict)
    waiting: dict[Layer, list[Product]] = field(default_factory=dict)
    lost: dict[str, None] = field(default_factory=dict)
    uncounted: dict[str, None] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    inside: int = 0  # depth in modules that make their spikes or updates known themselves
    _known: dict[Any, float] = field(default_factory=dict)
    _unnamed: int = 0
    _serial: int = 0
    _grown: dict[Any, float] = field(default_factory=dict)
    _parts: dict[Layer, tuple[set[float], set[float]]] = field(default_factory=dict)

    def owner(self, layer: Layer, size: float, rows: float) -> Owner:
        """The current of a layer, as it is evaluated now."""
        self._serial += 1
        return Owner(layer, self.order_of(layer), size, rows, self._serial)

    def once(self, key: Any, make: Callable[[], float]) -> float:
        """A number that shapes alone decide, computed once."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    @property
    def here(self) -> str:
        """The module that runs."""
        return self.modules[-1] if self.modules else ""

    def order_of(self, layer: Layer) -> int:
        """Place of a layer among the others."""
        return list(self.records).index(layer)

    def lose(self, what: str) -> None:
        """Synapses that stand in no record."""
        self.lost[f"{what} in module {self.here!r} at {_source()}"] = None

    def unnamed(self) -> str:
        """A name for a weight that has none."""
        self._unnamed += 1
        return f"weight[{self._unnamed - 1}]"

    def wait(self, leaves: frozenset[str], product: Product) -> None:
        """A product with what is constant so far: a state before its first step."""
        if leaves:
            self.waiting.setdefault(leaves, []).append(product)

    def site(self, leaves: frozenset[str], product: Product, data: Kind) -> Layer:
        """Note a product of data with weights; its layer."""
        layer: Layer = leaves or (self.here or "weight")
        first = layer not in self.notes
        self._add(layer, product, data)
        for early in self.waiting.pop(layer, []) if first else []:
            self._add(layer, early, data)
        return layer

    def spread(
        self, leaves: frozenset[str], product: Product, data: Kind, parts: Any, nonzero: Any
    ) -> Layer:
        """Note products with some elements of a weight; others may follow."""
        every, there = self._parts.setdefault(leaves, (set(), set()))
        every |= parts
        there |= nonzero
        amounts = dict(synapses=float(len(every)), nonzero=float(len(there)))
        return self.site(leaves, replace(product, **amounts), data)

    def read(self, leaves: frozenset[str], number: int) -> Layer:
        """Weights that are read by an index and used without arithmetic."""
        layer: Layer = leaves or (self.here or "weight")
        record = self.records.setdefault(layer, {})
        _plus(record, {"lookups": float(number)})
        if not record["lookups"]:
            del record["lookups"]
        return layer

    def pair(self, product: Product, cause: Kind, births: Births) -> None:
        """Note a product of data with data, at which the spikes of both arrive."""
        self._add(self.here or product.name, product, cause)
        self.arrive(births)

    def _add(self, layer: Layer, product: Product, data: Kind) -> None:
        record = self.records.setdefault(layer, {})
        if isinstance(data, Events | Analog):
            self.arrive(data.births)
        spiking = isinstance(data, Events)
        kind = "ac" if spiking else "mac"
        _plus(record, {kind: product.count, f"dense_{kind}": product.dense})
        if spiking:
            _plus(record, {"ac_graded": product.graded})
        for name in ("synapses", "nonzero"):
            value = getattr(product, name)
            if value is not None:
                record[name] = max(record.get(name, 0.0), value)
        cause = data.cause if isinstance(data, Events | Analog) else "a constant"
        fanout = product.synapses / product.inputs if product.synapses and product.inputs else None
        note = SiteNote(
            "",
            f"module {self.here!r}",
            product.name,
            "spikes" if spiking else "analog",
            cause,
            product.inputs,
            fanout,
            product.size,
            product.synapses,
        )
        self.notes.setdefault(layer, {}).setdefault(f"{product.name} {note.kind}", note)

    # -- neurons ---------------------------------------------------------------------------

    def advance(self, owner: Owner, size: float) -> Layer:
        """Neurons advanced by a step: so many values, whatever batch and time are among them.

        What one evaluation of a layer feeds adds up; the next feeds the same neurons.
        """
        record = self.records.setdefault(owner.layer, {})
        size = min(size, owner.size * owner.rows)
        _plus(record, {"updates": size})
        key = owner.layer, owner.serial
        self._grown[key] = self._grown.get(key, 0.0) + size
        record["neurons"] = max(record.get("neurons", 0.0), self._grown[key] / owner.rows)
        return owner.layer

    def fire(self, layer: Layer, spikes: float, graded: float) -> None:
        """Spikes of a layer."""
        _plus(self.records.setdefault(layer, {}), {"spikes": spikes, "spikes_graded": graded})

    def arrive(self, births: Births) -> None:
        """What neurons send reaches a layer or leaves the model."""
        sizes: dict[Owner, float] = {}
        for birth in births:
            counted, owner = birth.population, birth.owner
            if birth.fires:
                self._sent(birth, owner.layer if owner else f"input[{birth.where}]")
            if owner is not None and not counted.advanced:
                sizes[owner] = sizes.get(owner, 0.0) + birth.size
            counted.advanced = True
        for owner, size in sizes.items():
            self.advance(owner, size)

    def _sent(self, birth: Birth, layer: Layer) -> None:
        """Spikes of a population that no other way brought here."""
        counted = birth.population
        graded = birth.spikes if birth.graded is None else birth.graded
        more = max(birth.spikes - counted.fired, 0.0), max(graded - counted.graded, 0.0)
        if any(more) or not counted.advanced:
            self.fire(layer, *more)
        counted.fired, counted.graded = counted.fired + more[0], counted.graded + more[1]

    # -- the account -----------------------------------------------------------------------

    def account(self, options: tuple[tuple[str, str], ...], order: Iterable[str]) -> Account:
        """What was counted, by the names of the layers."""
        names = _names(list(self.records), list(order))
        high, low = {}, {}
        for layer, record in self.records.items():
            wide = {f: np.float64(v) for f, v in record.items()}
            near = {f: np.float32(v) for f, v in wide.items()}
            high[names[layer]] = Activity(**{f: jnp.asarray(v) for f, v in near.items()})
            rest = {f: jnp.asarray(np.float32(wide[f] - near[f])) for f in wide}
            low[names[layer]] = Activity(**rest)
        notes = tuple(
            SiteNote(names[layer], *tuple(vars(n).values())[1:])
            for layer, found in self.notes.items()
            for n in found.values()
        )
        convention = Convention(
            __version__, options, notes, tuple(self.uncounted), lost=tuple(self.lost)
        )
        return Account(high, convention, tuple(high), low)


def _source() -> str:
    """The line of the user's program that runs."""
    inner = (str(Path(__file__).parent), str(Path(torch.__file__).parent), "<")
    frame: Any = sys._getframe(1)
    while frame and (
        frame.f_code.co_filename.startswith(inner) or "jaxtyping" in frame.f_code.co_filename
    ):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "an unknown line"


def spoken(layer: Layer) -> str:
    """A layer in words."""
    return min(layer) if isinstance(layer, frozenset) else str(layer)


def _plus(record: dict[str, float], more: dict[str, float]) -> None:
    for name, value in more.items():
        record[name] = record.get(name, 0.0) + value


def _names(layers: list[Layer], order: list[str]) -> dict[Layer, str]:
    """A layer is called like the module that holds its weight, or like the weight where a module
    holds several.
    """
    speaking = {
        layer: min(layer, key=lambda n: order.index(n) if n in order else len(order))
        for layer in layers
        if isinstance(layer, frozenset)
    }
    parents = [n.rpartition(".")[0] for n in speaking.values()]
    names: dict[Layer, str] = {}
    for layer in layers:
        if layer in speaking:
            parent = speaking[layer].rpartition(".")[0]
            name = parent if parent and parents.count(parent) == 1 else speaking[layer]
        else:
            name = str(layer)
        while name in names.values():
            name += "′"
        names[layer] = name
    return names
