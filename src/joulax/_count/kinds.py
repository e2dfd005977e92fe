"""What is known about a value before any number flows.

Three kinds, decided by the program alone.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar

import jax.numpy as jnp
import numpy as np

from .axes import IDLE, MET, SOURCE, SPREAD, VARIES, WEIGHT, Axes, either
from .labels import Met, Target
from .pair import Pair
from .places import NONE, Layer, Path, Paths, Place, union
from .polynomial import Polynomial

Leaves = frozenset[int]
Values = frozenset[float]
Turns = frozenset[tuple[Any, ...]]
Form = tuple[tuple[int, float], ...]  # value = Σ coefficient · numbered value
Scale = tuple[float, tuple[int, ...]]  # constant factor, numbers of the parameters that scale

V = TypeVar("V", bound="Value")
D = TypeVar("D", bound="Data")

UNIT: Scale = (1.0, ())
ZERO: Values = frozenset((0.0,))
SPIKE: Values = frozenset((0.0, 1.0))
TERNARY: Values = frozenset((-1.0, 0.0, 1.0))
MANY = 16  # larger sets of values are not followed
BARE = -2  # source of a leaf that is added as it is


@dataclass(frozen=True)
class Cause:
    """The equation that made a value spikes or analog, in words, and where it stands."""

    text: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.source})" if self.source else self.text


@dataclass(frozen=True)
class Weight:
    """The weight leaves that a value is elementwise made of."""

    leaves: Leaves
    axes: Axes  # WEIGHT: the leaf varies along it
    place: Place = Place()
    layer: Layer | None = None


@dataclass(frozen=True)
class Term:
    """A leaf times a source of data, one of the products that a value is a sum of."""

    weight: Weight
    source: int  # number of the value that was scaled
    place: Place  # which elements of the source
    axes: Axes  # WEIGHT, SOURCE: what varies along it
    spiking: bool
    positions: float = 1.0  # products inside one element
    counted: bool = False  # stands in a record already
    carried: Paths = NONE  # loops through whose carry it came
    stored: Paths = NONE  # loops that put one of its rows at a time into a buffer
    still: Paths = NONE  # of those, the loops in all steps of which the leaf is the same
    decay: bool = False  # a state scaled one to one
    of_leaf: bool = False  # what it scales is another leaf, changed by data
    lookup: Path | None = None  # picked by an index: the place of the look-up
    name: tuple[int, int] = (-1, -1)  # numbers of its two factors
    inside: frozenset[tuple[int, int]] = NONE  # products that it has become a factor of

    @property
    def is_bare(self) -> bool:
        """Whether it is a leaf that was added as it is: a product only if data choose that."""
        return self.source == BARE

    @property
    def is_open(self) -> bool:
        """Whether it is a product that is not yet summed, and stands in no record."""
        return not (self.counted or self.is_bare)

    @property
    def is_row(self) -> bool:
        """Whether it is a leaf that data have chosen, and nothing has scaled."""
        return self.lookup is None and self.name == (-1, -1)

    @property
    def is_spread(self) -> bool:
        """Whether each element of the source meets a slice of the leaf, not one element of it.

        One element of the leaf for many of the source is a gain.
        """
        weight, source = self.axes.flags(WEIGHT), self.axes.flags(SOURCE)
        gain = any(source) and not any(weight)
        both = any(w and s for w, s in zip(weight, source, strict=True))
        return not (self.weight.place.is_whole or gain or both)

    @property
    def factors(self) -> tuple[Leaves, int]:
        """Its two factors: which leaves, of which source."""
        return self.weight.leaves, self.source

    @property
    def key(self) -> tuple[Leaves, bool, bool]:
        """What its products are counted under."""
        return self.weight.leaves, self.spiking, self.is_bare

    def but(self, **changes: Any) -> "Term":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Value:
    """What every kind has: labelled axes, a number that equal values share, a linear form."""

    axes: Axes
    number: int = -1
    form: Form | None = None

    def but(self: V, **changes: Any) -> V:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def anew(self: V, **changes: Any) -> V:
        """Another value like it: with a number of its own, and no form that is known."""
        return self.but(**{"number": -1, "form": None, **changes})

    @property
    def travels(self) -> bool:
        """Whether anything travels beside the value: events, products not yet summed."""
        return False

    @property
    def opened(self) -> list[Term]:
        """Products in it that are not yet summed, and stand in no record."""
        return []

    @property
    def pending(self) -> list[Term]:
        """All that travels: products, and leaves that a branch has added as they are."""
        return []

    @property
    def constant(self) -> float | None:
        """The number it is everywhere, if that is known."""
        return None

    @property
    def linear(self) -> Form:
        """The form, or the value itself."""
        return ((self.number, 1.0),) if self.form is None else self.form


@dataclass(frozen=True)
class Parameter(Value):
    """Nothing of it depends on data: weights, masks, constants, counters of steps."""

    leaves: Leaves = NONE  # weight leaves it derives from
    values: Values | None = None  # the few numbers it may be
    place: Place = Place()  # which elements of the leaves
    layer: Layer | None = None  # the scan over layers that slices it
    outside: bool = False  # closed over, where weights were declared
    buffer: bool = False  # zeros and ones, closed over: a weight only where a product has no other
    scale: tuple[int, ...] = ()

    @property
    def constant(self) -> float | None:
        """The number it is everywhere, if that is known."""
        return next(iter(self.values)) if self.values and len(self.values) == 1 else None

    @property
    def is_mask(self) -> bool:
        """Whether it is 0 or 1 everywhere."""
        return self.values is not None and self.values <= SPIKE

    @property
    def weight(self) -> Weight | None:
        """The leaves in it, as the weight of a product."""
        if not self.leaves:
            return None
        axes = self.axes.relabelled(lambda s: WEIGHT if s & VARIES else 0)
        return Weight(self.leaves, axes, self.place, self.layer)


@dataclass(frozen=True)
class Data(Value):
    """Something that depends on the data."""

    cause: Cause | None = None
    feeds: Paths = NONE  # sites and one-to-one connections that feed its region
    size: float = 0.0  # neurons in the region: movement never enlarges it
    part: tuple[Any, ...] = ()  # which of the region's neurons: static slices of its currents
    turns: Turns = NONE  # which of its steps or samples: static slices; none: all of them
    births: Paths = NONE  # spikes inside that may leave with it
    terms: frozenset[Term] = NONE
    weight: Weight | None = None  # leaves it is made of where they are not broadcast over data
    source: int = -1  # number of the value whose elements it is, scaled perhaps
    place: Place = Place()  # which of them
    origin: int = -1  # number of the value that a loop has stacked
    held: Paths = NONE  # states of loops that it comes from: the loop and the number of the state
    fired: Paths = NONE  # spikes of its own population that it has taken back
    given: Paths = NONE  # analog arguments that it is made of, element by element
    random: bool = False  # random draws and parameters alone
    learned: bool = False  # products of what is before synapses and of what is behind are in it
    last: bool = False  # the last state of a loop
    targets: frozenset[Target] = NONE  # data from outside that have met its region

    @property
    def travels(self) -> bool:
        """Whether products that are not yet summed travel beside the value."""
        return bool(self.pending)

    @property
    def opened(self) -> list[Term]:
        """Products in it that are not yet summed, and stand in no record."""
        return [t for t in self.terms if t.is_open]

    @property
    def pending(self) -> list[Term]:
        """All that travels: products, and leaves that a branch has added as they are."""
        return [t for t in self.terms if not t.counted]

    @property
    def root(self) -> int:
        """Number of the value whose elements these are: another one's, or its own."""
        return self.source if self.source >= 0 else self.number

    @property
    def is_gradient(self) -> bool:
        """Whether an equation of a gradient has made it, or something that it is made of."""
        return any(how is Met.SLOPE for how, _ in self.targets)

    @property
    def is_leaf(self) -> bool:
        """Whether it is a leaf that others have changed: learned, noisy, pruned."""
        if self.weight is None or any(self.weight.axes.flags(MET)):
            return False
        axes = self.weight.axes
        return any(axes.flags(WEIGHT)) or not any(axes.flags(SPREAD))

    @property
    def repeated(self) -> tuple[bool, ...]:
        """Axes of batch and time."""
        return self.axes.wholly(IDLE)

    def fields(self) -> dict[str, Any]:
        """What all data have, events or not."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(Data)}

    def apart(self: D, **changes: Any) -> D:
        """Another value of the same region: no products in it, no weight, nobody's elements."""
        return self.anew(**{"terms": NONE, "weight": None, "source": -1, **changes})

    def cut(self, neurons: Any, steps: Any) -> dict[str, Any]:
        """Where a slice of it stands: along neurons, along steps and samples; `None`: all."""
        turns = frozenset((*t, steps) for t in self.turns or {()})
        return dict(
            part=self.part if neurons is None else (*self.part, neurons),
            turns=self.turns if steps is None else turns,
        )


@dataclass(frozen=True)
class Events(Data):
    """A small finite set of values around zero: spikes, masks made of data, counts of spikes."""

    values: Values | None = None
    scale: Scale | None = UNIT  # `None`: several
    nonneg: bool = False
    beside: bool = False  # the number of events travels beside the value
    running: Paths = NONE  # states that it adds to
    piled: Paths = NONE  # loops in which it is a running sum
    poly: Polynomial | None = None  # the spikes it is made of
    pair: Pair | None = None  # the two spiking values whose product it is
    weak: bool = False  # a comparison of integers or random draws: spikes only where they arrive
    loose: bool = False  # declared: 0 or 1 as a rule, any number of events by its value

    @property
    def is_unit(self) -> bool:
        """Whether the graded count is the count: no element is more than one event."""
        if self.values is None or self.loose:
            return False
        sizes = {abs(v) for v in self.values if v}
        one = self.scale is not None and sizes <= {abs(self.scale[0])}
        return self.values <= TERNARY or len(self.values | {0.0}) <= 2 or one

    @property
    def travels(self) -> bool:
        """Whether the number of events, or products, travel beside the value."""
        return self.beside or super().travels

    @property
    def plain(self) -> bool:
        """Whether the value itself is its number of events."""
        return not self.beside

    @property
    def is_number(self) -> bool:
        """Whether the value itself is its number of events, and never below zero."""
        return self.plain and self.nonneg


@dataclass(frozen=True)
class Analog(Data):
    """Everything else that depends on the data."""

    values: Values | None = None  # few, but never zero


def varied(shape: Iterable[int], labels: int = 0) -> Axes:
    """Axes of a value that varies along every axis longer than one."""
    return Axes(tuple(((n, labels | (VARIES if n != 1 else 0)),) for n in shape))


def parameter(shape: Iterable[int], **fields: Any) -> Parameter:
    """A parameter that varies along every axis longer than one."""
    return Parameter(varied(shape), **fields)


def constant(value: Any) -> Parameter:
    """A literal or a constant of the program."""
    array = np.asarray(value)
    numeric = array.dtype == bool or jnp.issubdtype(array.dtype, np.number)
    same = bool(array.size and numeric and not np.iscomplexobj(array))
    same = same and bool(np.all(array == array.flat[0]))
    if not same:
        return parameter(array.shape)
    return Parameter(Axes.of(array.shape), values=frozenset((float(array.flat[0]),)))


def is_mask(value: Any) -> bool:
    """Whether an array is 0 or 1 everywhere."""
    array = np.asarray(value)
    if array.dtype == bool:
        return True
    if not jnp.issubdtype(array.dtype, np.number):
        return False
    few_ = (array.flat[:64], array)  # a weight says soon that it is none
    return all(bool(np.all((part == 0) | (part == 1))) for part in few_)


def few(values: Iterable[float] | None) -> Values | None:
    """A set of values, if it is small and finite."""
    if values is None:
        return None
    found = frozenset(v + 0.0 for v in values)  # −0 is 0
    return found if len(found) <= MANY and all(np.isfinite(v) for v in found) else None


def united(*sets: Values | None) -> Values | None:
    """Every value of several sets, if all of them are known and they are few."""
    known = [s for s in sets if s is not None]
    return few(union(known)) if len(known) == len(sets) else None


def is_simple(values: Values | None) -> TypeGuard[Values]:
    """Whether values are −1, 0 or 1, which count by what they are."""
    return values is not None and values <= TERNARY


def is_nonnegative(values: Values | None) -> TypeGuard[Values]:
    """Whether values are known, and none is below zero."""
    return values is not None and min(values, default=0.0) >= 0


def shared(items: Iterable[Any]) -> Any:
    """The one item, where all are equal."""
    found = list(items)
    return found[0] if found and all(x == found[0] for x in found) else None


def layer_of(weights: Iterable["Parameter | Weight"]) -> Layer | None:
    """The scan over layers that slices the first of some weights that is sliced."""
    return next((w.layer for w in weights if w.layer), None)


def term_axes(weight: Axes, data: Axes) -> Axes:
    """Axes of a product: where the weight varies, where the data do."""
    source = data.relabelled(lambda s: SOURCE if s & VARIES else 0)
    return either(weight, source)
