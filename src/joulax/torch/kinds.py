"""What is known of a tensor: by what it was made, never by what it holds."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .library import StorageWeakRef, torch

Tensor = Any  # torch.Tensor


@dataclass(frozen=True)
class Owner:
    """The layer whose current a value carries: its record, its outputs, how often it repeats."""

    layer: Any
    order: int
    size: float
    rows: float


@dataclass(eq=False)
class Birth:
    """Spikes of a comparison that no neuron module makes; they count when they arrive."""

    owner: Owner | None
    spikes: float
    size: int
    where: str
    arrived: bool = False


@dataclass(frozen=True, eq=False)
class Term:
    """Products of data with the elements of a weight, that stand side by side and unsummed."""

    leaves: frozenset[str]
    axes: frozenset[int]  # along which the weight varies, counted from the end
    data: "Kind"
    events: Tensor
    exists: Tensor


@dataclass(frozen=True)
class Parameter:
    """A value that no data enters, and the leaves it is made of."""

    leaves: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Events:
    """Spikes: a value whose events are its magnitude, or travel beside it as `companion`."""

    cause: str
    unit: bool = False  # values in {−1, 0, 1}
    scale: Any = 1.0
    companion: Tensor | None = None
    births: frozenset[Birth] = frozenset()
    owner: Owner | None = None
    terms: tuple["Term", ...] = ()

    def beside(self, companion: Tensor | None, **changes: Any) -> "Events":
        """The same spikes, whose events are these."""
        return replace(self, companion=companion, unit=False, **changes)


@dataclass(frozen=True)
class Analog:
    """Any other value that depends on data."""

    cause: str
    owner: Owner | None = None
    current: bool = False  # what a layer delivers, before a nonlinearity
    terms: tuple["Term", ...] = ()


Kind = Parameter | Events | Analog
CONSTANT = Parameter()


@dataclass
class Kinds:
    """Kinds by the memory of a tensor, so that its views have them too."""

    table: dict[int, tuple[Any, Kind, Any]] = field(default_factory=dict)
    ticks: Iterator[int] = field(default_factory=itertools.count)

    def __getitem__(self, tensor: Tensor) -> Kind:
        """Kind of a tensor; what was never seen is a constant."""
        storage = _storage(tensor)
        if storage is None or storage._cdata not in self.table:
            return CONSTANT
        alive, kind, _ = self.table[storage._cdata]
        return CONSTANT if alive.expired() else kind

    def __setitem__(self, tensor: Tensor, kind: Kind) -> None:
        """Say what a tensor is."""
        storage = _storage(tensor)
        if storage is None or kind == CONSTANT and storage._cdata not in self.table:
            return
        layout = None
        if isinstance(kind, Events) and kind.companion is not None:
            form = dict(dtype=torch.float32, device=tensor.device)
            beside = torch.empty_strided(tensor.shape, tensor.stride(), **form)
            beside.copy_(kind.companion.expand(tensor.shape))
            kind, layout = replace(kind, companion=beside), tensor.storage_offset()
        self.table[storage._cdata] = (StorageWeakRef(storage), kind, layout)
        if next(self.ticks) % 4096 == 4095:  # forget the dead now and then
            self.table = {k: v for k, v in self.table.items() if not v[0].expired()}

    def write(self, view: Tensor, kind: Kind) -> None:
        """Say what was written into a part of a tensor: the whole is what its parts are."""
        storage = _storage(view)
        whole = view.detach().as_strided(
            (storage.nbytes() // view.element_size(),), (1,), storage_offset=0
        )
        if whole.numel() == view.numel():
            self[view] = kind
            return
        before = self[whole]
        data = [k for k in (before, kind) if not isinstance(k, Parameter)]
        spikes = [k for k in data if isinstance(k, Events)]
        if not data:
            self[whole] = Parameter(leaves_of([before, kind]))
        elif len(spikes) < len(data):
            first = next(k for k in data if isinstance(k, Analog))
            self[whole] = Analog(first.cause, owner_of(data))
        else:
            self[whole] = self._spikes_written(spikes, kind, view, whole)

    def _spikes_written(
        self, spikes: list[Events], kind: Kind, view: Tensor, whole: Tensor
    ) -> Events:
        """Spikes in a part of a tensor that held none, or others."""
        births = frozenset().union(*(k.births for k in spikes))
        made = replace(spikes[-1], births=births, companion=None, terms=())
        if all(k.companion is None for k in spikes):
            return made
        beside = self.events(whole).clone()
        part = beside.as_strided(view.shape, view.stride(), view.storage_offset())
        part.copy_(self._events_of(kind, view))
        return made.beside(beside)

    @staticmethod
    def _events_of(kind: Kind, value: Tensor) -> Tensor:
        companion = getattr(kind, "companion", None)
        return value.detach().float().abs() if companion is None else companion

    def events(self, tensor: Tensor) -> Tensor:
        """Events of a tensor, one number for each element, float32."""
        kind = self[tensor]
        value = tensor.detach()
        if not isinstance(kind, Events):
            return (value != 0).float()
        if kind.companion is None:
            return value.float().abs()
        offset = self.table[_storage(tensor)._cdata][2]
        return kind.companion.as_strided(
            value.shape, value.stride(), value.storage_offset() - offset
        )


def _storage(tensor: Tensor) -> Any:
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):  # sparse and wrapped tensors have none
        return None


def leaves_of(kinds: Sequence[Kind]) -> frozenset[str]:
    """Weight leaves of several values."""
    return frozenset().union(*(k.leaves for k in kinds if isinstance(k, Parameter)))


def owner_of(kinds: Sequence[Kind]) -> Owner | None:
    """The layer that feeds first."""
    owners = [k.owner for k in kinds if not isinstance(k, Parameter) and k.owner is not None]
    return min(owners, key=lambda o: o.order) if owners else None


def analog(kinds: list[Kind], cause: str, current: bool | None = None) -> Kind:
    """An analog value made of others; a parameter if no data enters."""
    data = [k for k in kinds if not isinstance(k, Parameter)]
    if not data:
        return Parameter(leaves_of(kinds))
    carried = any(isinstance(k, Analog) and k.current for k in data)
    first = next((k.cause for k in data if isinstance(k, Analog)), cause)
    return Analog(first, owner_of(data), carried if current is None else current)
