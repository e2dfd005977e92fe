"""Kinds by the memory of a tensor, so that its views have them too."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from .kinds import (
    CONSTANT,
    Analog,
    Events,
    Kind,
    Parameter,
    Term,
    births_of,
    data_of,
    leaves_of,
    owner_of,
    past_of,
)
from .library import StorageWeakRef, torch

Tensor = Any


@dataclass
class Kinds:
    """What every tensor of a call is."""

    table: dict[int, tuple[Any, Kind, Any]] = field(default_factory=dict)
    ticks: Iterator[int] = field(default_factory=itertools.count)

    def __getitem__(self, tensor: Tensor) -> Kind:
        """Kind of a tensor; what was never seen is a constant."""
        storage = storage_of(tensor)
        if storage is None or storage._cdata not in self.table:
            return CONSTANT
        alive, kind, _ = self.table[storage._cdata]
        return CONSTANT if alive.expired() else kind

    def __setitem__(self, tensor: Tensor, kind: Kind) -> None:
        """Say what a tensor is."""
        storage = storage_of(tensor)
        if storage is None or kind == CONSTANT and storage._cdata not in self.table:
            return
        layout = None
        if not isinstance(kind, Parameter):
            kind, layout = _laid(kind, tensor)
        self.table[storage._cdata] = (StorageWeakRef(storage), kind, layout)
        if next(self.ticks) % 4096 == 4095:  # forget the dead now and then
            self.table = {k: v for k, v in self.table.items() if not v[0].expired()}

    def among(self, values: Iterable[Any]) -> list[Kind]:
        """Kinds of the tensors among several values."""
        return [self[v] for v in values if isinstance(v, torch.Tensor)]

    def write(self, view: Tensor, kind: Kind) -> None:
        """Say what was written into a part of a tensor: the whole is what its parts are."""
        storage = storage_of(view)
        whole = view.detach().as_strided(
            (storage.nbytes() // view.element_size(),), (1,), storage_offset=0
        )
        if whole.numel() == view.numel():
            self[view] = kind
            return
        before = self[whole]
        data = data_of((before, kind))
        spikes = [k for k in data if isinstance(k, Events)]
        if not data:
            self[whole] = Parameter(leaves_of([before, kind]))
        elif len(spikes) < len(data):
            first = next(k for k in data if isinstance(k, Analog))
            made = Analog(first.cause, owner_of(data), first.current, births_of(data))
            terms = self._terms_written(kind, view, whole)
            self[whole] = replace(made, past=past_of(data), terms=terms)
        else:
            self[whole] = self._spikes_written(spikes, kind, view, whole)

    def _spikes_written(
        self, spikes: list[Events], kind: Kind, view: Tensor, whole: Tensor
    ) -> Events:
        """Spikes in a part of a tensor that held none, or others."""
        made = replace(spikes[-1], births=births_of(spikes), companion=None, over=None)
        made = replace(made, terms=self._terms_written(kind, view, whole))
        if all(k.companion is None for k in spikes):
            return made
        return made.beside(_with_part(self.events(whole), view, self._events_of(kind, view)))

    def _terms_written(self, kind: Kind, view: Tensor, whole: Tensor) -> tuple[Term, ...]:
        zero = torch.zeros(whole.shape, device=whole.device)
        made = []
        for term in self.terms(whole):
            products = _with_part(term.products, view, zero.new_zeros(view.shape))
            which = _with_part(term.which, view, zero.new_zeros(view.shape).double())
            made.append(replace(term, products=products, which=which))
        for term in () if isinstance(kind, Parameter) else kind.terms:
            products = _with_part(zero, view, term.products)
            which = _with_part(zero.double(), view, term.which)
            made.append(replace(term, products=products, which=which))
        return tuple(made)

    @staticmethod
    def _events_of(kind: Kind, value: Tensor) -> Tensor:
        companion = getattr(kind, "companion", None)
        return value.detach().float().abs() if companion is None else companion

    def events(self, tensor: Tensor) -> Tensor:
        """Events of a tensor, one number for each element, float32."""
        kind = self[tensor]
        value = dense(tensor.detach())
        if not isinstance(kind, Events):
            return (value != 0).float()
        if kind.companion is None:
            return value.float().abs()
        return self._seen(kind.companion, tensor)

    def terms(self, tensor: Tensor) -> tuple[Term, ...]:
        """Products behind the elements of a tensor."""
        kind = self[tensor]
        if isinstance(kind, Parameter) or not kind.terms:
            return ()
        see = lambda t: self._seen(t, tensor)
        return tuple(replace(t, products=see(t.products), which=see(t.which)) for t in kind.terms)

    def _seen(self, beside: Tensor, tensor: Tensor) -> Tensor:
        """What travels beside a tensor, in its form."""
        offset = tensor.storage_offset() - self.table[storage_of(tensor)._cdata][2]
        return beside.as_strided(tensor.shape, tensor.stride(), offset)


def storage_of(tensor: Tensor) -> Any:
    """The memory of a tensor; of a sparse one, that of its values."""
    try:
        return stored(tensor).untyped_storage()
    except (NotImplementedError, RuntimeError):  # wrapped tensors have none
        return None


def stored(tensor: Tensor) -> Tensor:
    """The values that stand in memory."""
    if tensor.layout == torch.sparse_coo:
        return tensor.detach()._values()
    return tensor if tensor.layout == torch.strided else tensor.detach().values()


def dense(tensor: Tensor) -> Tensor:
    """A tensor with its zeros."""
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


def place_of(tensor: Tensor) -> Any:
    """Which numbers in memory a tensor is."""
    return storage_of(tensor)._cdata, tensor.storage_offset(), tensor.shape, tensor.stride()


def _with_part(whole: Tensor, view: Tensor, part: Tensor) -> Tensor:
    made = whole.clone()
    made.as_strided(view.shape, view.stride(), view.storage_offset()).copy_(part)
    return made


def _laid(kind: Any, tensor: Tensor) -> tuple[Kind, Any]:
    """A kind whose companions lie like the tensor."""
    companion = kind.companion if isinstance(kind, Events) else None
    if companion is None and not kind.terms:
        return kind, None
    if tensor.layout != torch.strided:
        return Analog(kind.cause, births=kind.births), None

    def lay(beside: Tensor) -> Tensor:
        made = torch.empty_strided(
            tensor.shape, tensor.stride(), dtype=beside.dtype, device=tensor.device
        )
        return made.copy_(beside.expand(tensor.shape))

    terms = tuple(replace(t, products=lay(t.products), which=lay(t.which)) for t in kind.terms)
    kind = replace(kind, terms=terms)
    if companion is not None:
        kind = replace(kind, companion=lay(companion.float()))
    return kind, tensor.storage_offset()
