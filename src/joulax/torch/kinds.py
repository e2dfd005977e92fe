"""What is known of a tensor: by what it was made, never by what it holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Tensor = Any  # torch.Tensor


@dataclass(frozen=True)
class Owner:
    """The layer whose current a value carries: its record, its outputs, how often it repeats.

    `serial` tells one evaluation of the layer from the next.
    """

    layer: Any
    order: int
    size: float
    rows: float
    serial: int = 0


@dataclass(eq=False)
class Population:
    """What of one population was counted, by whichever way its spikes arrived."""

    fired: float = 0.0
    graded: float = 0.0
    advanced: bool = False


@dataclass(eq=False)
class Birth:
    """Neurons that no module makes known: they count when what they send arrives.

    Those of a comparison fire; those of an activation only advance.
    """

    owner: Owner | None
    spikes: float
    size: int
    where: str
    fires: bool = True
    past: frozenset[Any] = frozenset()  # layers whose spikes the compared values remember
    graded: float | None = None  # spikes of any height, where that differs
    population: Population = field(default_factory=Population)

    @property
    def layer(self) -> Any:
        """The layer that feeds them, where one does."""
        return self.owner and self.owner.layer

    @property
    def arrived(self) -> bool:
        """Whether it is counted already."""
        return self.population.advanced and self.population.fired >= self.spikes


Births = frozenset[Birth]


@dataclass(frozen=True, eq=False)
class Term:
    """Products of data with the elements of a weight, that stand side by side and unsummed."""

    leaves: frozenset[str]
    data: "Kind"
    products: Tensor  # events times existing weights
    which: Tensor  # the number of the weight's element, from one; zero where there is none
    absent: frozenset[int]  # elements that are zero
    part: Tensor | None  # the data
    counted: bool = False
    read: int = 0  # rows picked by an index: as many look-ups


@dataclass(frozen=True)
class Parameter:
    """A value that no data enters, and the leaves it is made of."""

    leaves: frozenset[str] = frozenset()
    made: bool = False  # from nothing, in this call
    repeats: int = 1  # how often each element of a leaf stands in it


@dataclass(frozen=True)
class Events:
    """Spikes: a value whose events are its magnitude, or travel beside it as `companion`."""

    cause: str
    unit: bool = False  # values in {−1, 0, 1}
    scale: Any = 1.0
    companion: Tensor | None = None
    births: Births = frozenset()
    source: Owner | None = None  # the current that they came of
    terms: tuple[Term, ...] = ()
    over: Any = None  # the value that is above a threshold here, or below it: (memory, above)

    def beside(self, companion: Tensor | None, **changes: Any) -> "Events":
        """The same spikes, whose events are these."""
        return replace(self, companion=companion, unit=False, over=None, **changes)


@dataclass(frozen=True)
class Analog:
    """Any other value that depends on data."""

    cause: str
    owner: Owner | None = None
    current: bool = False  # what a layer delivers, before a nonlinearity
    births: Births = frozenset()
    past: frozenset[Any] = frozenset()
    terms: tuple[Term, ...] = ()
    rest: Any = None  # spikes, and the value that was added to them or taken from them


Kind = Parameter | Events | Analog
CONSTANT = Parameter()
MADE = Parameter(made=True)


def is_constant(kind: Kind) -> bool:
    """Whether neither data nor a leaf entered a value."""
    return isinstance(kind, Parameter) and not kind.leaves


def data_of(kinds: Iterable[Kind]) -> list[Events | Analog]:
    """Those of several values that data enter."""
    return [k for k in kinds if not isinstance(k, Parameter)]


def leaves_of(kinds: Sequence[Kind]) -> frozenset[str]:
    """Weight leaves of several values."""
    return frozenset().union(*(k.leaves for k in kinds if isinstance(k, Parameter)))


def owner_of(kinds: Sequence[Kind]) -> Owner | None:
    """The layer that feeds first, as it was evaluated last."""
    owners = [k.owner for k in kinds if isinstance(k, Analog) and k.owner is not None]
    return min(owners, key=lambda o: (o.order, -o.serial)) if owners else None


def births_of(kinds: Iterable[Kind]) -> Births:
    """Neurons behind several values whose spikes have not arrived yet."""
    found = frozenset().union(*(k.births for k in data_of(kinds)))
    return frozenset(b for b in found if not b.arrived) if found else found


def past_of(kinds: Iterable[Kind]) -> frozenset[Any]:
    """Layers whose spikes several values remember."""
    kinds = list(kinds)
    before = frozenset().union(*(k.past for k in kinds if isinstance(k, Analog)))
    births = frozenset().union(*(k.births for k in kinds if isinstance(k, Events)))
    return before | {b.owner.layer for b in births if b.owner}


def analog(kinds: Sequence[Kind], cause: str, current: bool | None = None) -> Kind:
    """An analog value made of others; a parameter if no data enters."""
    data = data_of(kinds)
    if not data:
        return Parameter(leaves_of(kinds))
    values = [k for k in data if isinstance(k, Analog)]
    currents = [k for k in values if k.current]
    cause = values[0].cause if values else cause
    carried = bool(currents) if current is None else current
    births = _but_their_own(births_of(data), currents)
    return Analog(cause, owner_of(data), carried, births, past_of(data))


def _but_their_own(births: Births, currents: Sequence[Analog]) -> Births:
    """A membrane remembers the spikes of its own neurons, and sends none."""
    own = {k.owner.layer for k in currents if k.owner}
    return frozenset(b for b in births if not (b.fires and b.layer in own))
