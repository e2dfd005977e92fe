"""What is known about a value before any number flows.

Three kinds, decided by the program alone.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np

from .axes import IDLE, SOURCE, VARIES, WEIGHT, Axes, combined, regional
from .polynomial import Polynomial

# A place in the program: equation indices from the outermost jaxpr inwards, in program order.
Path = tuple[int, ...]
Paths = frozenset[Path]
Leaves = frozenset[int]
Values = frozenset[float]
Turns = frozenset[tuple[Any, ...]]
Form = tuple[tuple[int, float], ...]  # value = Σ coefficient · numbered value
Scale = tuple[float, tuple[int, ...]]  # constant factor, numbers of the parameters that scale

V = TypeVar("V", bound="Value")

NONE: frozenset = frozenset()
UNIT: Scale = (1.0, ())
SPIKE: Values = frozenset((0.0, 1.0))
TERNARY: Values = frozenset((-1.0, 0.0, 1.0))
MANY = 16  # larger sets of values are not followed


@dataclass(frozen=True)
class Cause:
    """The equation that made a value spikes or analog, in words, and where it stands."""

    text: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.source})" if self.source else self.text


@dataclass(frozen=True)
class Layer:
    """A scan that slices a stack of weights: its place and its length."""

    path: Path
    length: int


@dataclass(frozen=True)
class Place:
    """Which elements of an array these are: static slices, and loops that walk over it."""

    slices: tuple[Any, ...] = ()
    loops: Paths = NONE

    def at(self, *where: Any) -> "Place":
        """The same array, sliced once more."""
        return Place((*self.slices, *where), self.loops)

    def walked(self, loops: Paths) -> "Place":
        """The same array, one slice in each step of some loops."""
        return Place(self.slices, self.loops | loops)

    def differs(self, other: "Place", carried: Paths) -> bool:
        """Whether these are other elements; `carried` are loops between the two."""
        return self.slices != other.slices or bool(self.loops & carried)


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
    decay: bool = False  # a state scaled one to one
    lookup: Path | None = None  # picked by an index: the place of the look-up
    name: tuple[int, int] = (-1, -1)  # numbers of its two factors
    inside: frozenset[tuple[int, int]] = NONE  # products that it has become a factor of

    @property
    def key(self) -> tuple[Leaves, bool]:
        """What its products are counted under."""
        return self.weight.leaves, self.spiking

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

    @property
    def travels(self) -> bool:
        """Whether anything travels beside the value: events, products not yet summed."""
        return False

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
    scale: tuple[int, ...] = ()

    @property
    def constant(self) -> float | None:
        """The number it is everywhere, if that is known."""
        return (
            next(iter(self.values)) if self.values is not None and len(self.values) == 1 else None
        )

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
    random: bool = False  # random draws and parameters alone

    @property
    def travels(self) -> bool:
        """Whether products that are not yet summed travel beside the value."""
        return any(not t.counted for t in self.terms)

    @property
    def root(self) -> int:
        """Number of the value whose elements these are: another one's, or its own."""
        return self.source if self.source >= 0 else self.number

    @property
    def repeated(self) -> tuple[bool, ...]:
        """Axes of batch and time."""
        return self.axes.wholly(IDLE)


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
    weak: bool = False  # a comparison of integers or random draws: spikes only where they arrive
    nan_test: bool = False  # x != x
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
    numeric = array.dtype == bool or jax.dtypes.issubdtype(array.dtype, np.number)
    same = bool(array.size and numeric and not np.iscomplexobj(array))
    same = same and bool(np.all(array == array.flat[0]))
    if not same:
        return parameter(array.shape)
    return Parameter(Axes.of(array.shape), values=frozenset((float(array.flat[0]),)))


def few(values: Iterable[float] | None) -> Values | None:
    """A set of values, if it is small and finite."""
    if values is None:
        return None
    found = frozenset(v + 0.0 for v in values)  # −0 is 0
    return found if len(found) <= MANY and all(np.isfinite(v) for v in found) else None


def united(*sets: Values | None) -> Values | None:
    """Every value of several sets, if all of them are known and they are few."""
    known = [s for s in sets if s is not None]
    return few(frozenset().union(*known)) if len(known) == len(sets) else None


def is_simple(values: Values | None) -> bool:
    """Whether values are −1, 0 or 1, which count by what they are."""
    return values is not None and values <= TERNARY


def is_nonnegative(values: Values | None) -> bool:
    """Whether values are known, and none is below zero."""
    return values is not None and min(values, default=0.0) >= 0


def shared(items: Iterable[Any]) -> Any:
    """The one item, where all are equal."""
    found = list(items)
    return found[0] if found and all(x == found[0] for x in found) else None


def join(a: Value, b: Value) -> Value:
    """Least upper bound: what is still true of a value that may be either `a` or `b`."""
    if a == b:
        return a
    if isinstance(a, Parameter) and isinstance(b, Parameter):
        return _join_parameters(a, b)
    if isinstance(b, Parameter):
        a, b = b, a
    if isinstance(a, Parameter):
        assert isinstance(b, Data)
        return _join_start(a, b)
    assert isinstance(a, Data)
    assert isinstance(b, Data)
    common = _common(a, b)
    if isinstance(a, Events) and isinstance(b, Events):
        return a.but(**common, **_join_events(a, b))
    cause = next(x.cause for x in (a, b) if isinstance(x, Analog))
    return Analog(**{**common, "cause": cause})


def _or(p: int, q: int) -> int:
    return p | q


def _join_parameters(a: Parameter, b: Parameter) -> Parameter:
    both = united(a.values, b.values)
    return Parameter(
        combined(_or, a.axes, b.axes),
        leaves=a.leaves | b.leaves,
        values=both,
        place=a.place if a.place == b.place else Place(("either",), a.place.loops | b.place.loops),
        layer=a.layer if a.layer == b.layer else None,
        outside=a.outside or b.outside,
    )


def _join_start(p: Parameter, d: Data) -> Data:
    """A parameter, perhaps the start of a state, or data."""
    axes = combined(_or, d.axes, p.axes)
    own = d.weight if d.weight and p.leaves else None
    weight = None if own is None else dataclasses.replace(own, leaves=own.leaves | p.leaves)
    d = d.but(axes=axes, weight=weight, number=-1, form=None)
    if not isinstance(d, Events):
        return d
    both = united(p.values, d.values)
    beside = d.beside or not (p.constant == 0 or is_simple(both))
    nonneg = d.nonneg and p.values is not None and min(p.values) >= 0
    return d.but(values=both, nonneg=nonneg, beside=beside, nan_test=False, poly=None)


def _join_events(a: Events, b: Events) -> dict[str, Any]:
    both = united(a.values, b.values)
    simple = is_simple(both)
    scale = UNIT if simple else shared((a.scale, b.scale))
    return dict(
        values=both,
        scale=scale,
        nonneg=a.nonneg and b.nonneg,
        beside=not simple and (a.beside or b.beside or scale != UNIT),
        running=a.running | b.running,
        piled=a.piled | b.piled,
        poly=shared((a.poly, b.poly)),
        weak=a.weak and b.weak,
        loose=a.loose or b.loose,
        nan_test=a.nan_test and b.nan_test,
    )


def _common(a: Data, b: Data) -> dict[str, Any]:
    weight = None
    if a.weight and b.weight:
        leaves = a.weight.leaves | b.weight.leaves
        weight = dataclasses.replace(a.weight, leaves=leaves)
    return dict(
        axes=_join_axes(a, b),
        number=-1,
        form=None,
        cause=a.cause or b.cause,
        feeds=a.feeds | b.feeds,
        size=max(a.size, b.size),
        part=a.part if a.part == b.part else (),
        turns=a.turns | b.turns,
        births=a.births | b.births,
        terms=a.terms | b.terms,
        weight=weight,
        source=a.source if a.source == b.source else -1,
        place=a.place if a.place == b.place else Place(),
        origin=a.origin if a.origin == b.origin else -1,
        held=a.held | b.held,
        random=a.random and b.random,
    )


def _join_axes(a: Data, b: Data) -> Axes:
    """Repeated where every region that has neurons says so."""
    regions = [d for d in (a, b) if d.feeds] or [a, b]
    repeated = combined(regional, *(d.axes.only(IDLE) for d in regions))
    varies = combined(_or, a.axes.only(VARIES), b.axes.only(VARIES))
    return combined(_or, repeated, varies)


def term_axes(weight: Axes, data: Axes) -> Axes:
    """Axes of a product: where the weight varies, where the data do."""
    source = data.relabelled(lambda s: SOURCE if s & VARIES else 0)
    return combined(_or, weight, source)
