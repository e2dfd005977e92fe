"""What a rule finds in one equation, and what it may ask: the whole vocabulary of rules.

A rule is a function `rule(eqn, ins, ctx) -> Found`. It sees one equation of the program, what is
known about its operands (kinds), and a frozen context; it returns what it found and changes
nothing. The walker (`plan`) records the findings; the runner (`run`) calls the functions in them
when numbers flow.
"""

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .axes import Axes
from .events import again, events_of, fixed, mask
from .exact import Sum
from .kinds import Cause, Events, Leaves, Turns, Value
from .labels import Target
from .packs import Pack
from .places import NONE, Path, Paths, Place
from .resolution import Resolution

COUNTING = "joulax.counting"  # the scope of work that counting has added
RECOMPUTED, INPUT_GRADIENT = "recomputed", "input gradient"  # what products of a gradient compute
EVENTS = "events"  # key of the number of events that travels beside a value
Key = Any  # EVENTS, or what the products of a term are counted under
Companions = Mapping[Key, Array]


class Operands:
    """The values of one equation while the counted program runs."""

    def __init__(
        self,
        infos: Sequence[Value],
        values: Sequence[Any],
        companions: Sequence[Callable[[], Companions] | None],
        outs: Sequence[Any],
        fanouts: Mapping[Path, Array],
    ):
        self.infos, self.values, self.outs = infos, values, outs
        self._companions, self._fanouts = companions, fanouts

    def fanout(self, path: Path, compute: Callable[[], Array]) -> Array:
        """Fan-out of a site: the one found before the loop, if its weights do not change in it."""
        return self._fanouts[path] if path in self._fanouts else fixed(compute())

    def companions(self, i: int) -> Companions:
        """What travels beside operand i."""
        found = self._companions[i]
        return {} if found is None else found()

    def beside(self, i: int) -> Companions:
        """What moves with operand i: its events, or its products."""
        if isinstance(self.infos[i], Events):
            return {EVENTS: self.events(i)}
        return self.companions(i)

    def events(self, i: int) -> Array:
        """Events of operand i, one number per element, float32."""
        return events_of(self.infos[i], self.values[i], self.companions(i).get(EVENTS))

    def again(self, i: int, make: Callable[..., Any], *more: Any) -> Any:
        """What `make` says of these operands, made again of operand i where a slope needs it."""

        def run(value: Any, beside: Any, *more: Any) -> Any:
            values, companions = list(self.values), list(self._companions)
            values[i], companions[i] = value, lambda: beside
            return make(Operands(self.infos, values, companions, self.outs, self._fanouts), *more)

        return again(run)(self.values[i], self.companions(i), *more)

    def there(self, i: int) -> Array:
        """Events of operand i, or where it is analog, whether it is nonzero."""
        if isinstance(self.infos[i], Events):
            return self.events(i)
        return mask(self.values[i])

    def term(self, i: int, key: Key) -> Array:
        """How many products of a term stand in every element of operand i."""
        info = self.infos[i]
        if not any(t.key == key for t in info.pending):
            return jnp.zeros(jnp.shape(self.values[i]), jnp.float32)
        return self.events(i) if isinstance(info, Events) else self.companions(i)[key]


@dataclass(frozen=True)
class Late:
    """A quantity that is found behind a loop, where the weight of its site is known there.

    `part` adds up over the steps, and `count` makes the quantity of the sum and the weight. Where
    it is not linear, the parts of all `steps` of one loop are kept beside each other.
    """

    part: float | Callable[[Operands], Sum | Array]
    count: Callable[[Any, Any], Sum]
    steps: bool = False


@dataclass(frozen=True)
class Tap:
    """Something to record.

    A quantity of one site or birth, as a number or a function of the operands.
    """

    path: Path
    field: str
    value: float | Callable[[Operands], Sum | Array]
    late: Late | None = None


@dataclass(frozen=True)
class Site:
    """A place where data meet weights; everything here is known without data."""

    path: Path
    leaves: Leaves  # of the weights; sites with the same leaves share a record
    place: Place  # distinct slices of a leaf are distinct synapses
    spiking: bool  # the input
    cause: Cause | None  # why it is of that kind
    primitive: str
    source: str
    scope: str  # jax.named_scope
    layer: Path | None  # the scan over layers that slices the weight
    layers: int | None
    dense: float  # synapse positions met in one execution
    synapses: float | None  # distinct positions
    neurons: float  # outputs, without batch and time
    inputs: float  # inputs, without batch and time
    pair: Paths = frozenset()  # two operands of data: the sites that feed them
    lookup: bool = False  # rows picked, nothing summed
    direction: str = ""  # of a gradient: what the product computes
    operands: tuple[frozenset[int], ...] = ()  # numbers by which its data are known
    slices: float = 1.0  # parts of its weight that the steps of loops around take
    nameless: int = -1  # of a weight without leaves: the number by which it is known

    @property
    def is_gradient(self) -> bool:
        """Whether errors come back over it."""
        return self.direction == INPUT_GRADIENT

    @property
    def walked(self) -> Paths:
        """Loops that take another part of its weight in each step, those over layers aside."""
        return self.place.walks - {self.layer} if self.slices > 1 else NONE


@dataclass(frozen=True)
class Fanout:
    """Of a weight that is known before a loop: what each input reaches, and what exists of it."""

    reach: Callable[[Any], Array]
    existing: Callable[[Any, Array], Sum]


@dataclass(frozen=True)
class Birth:
    """Spikes that appear, at the last value made of one population alone, so far."""

    path: Path
    feeds: Paths  # of the region that fired; none: an encoder
    parents: Paths  # births whose spikes it is made of
    arrived: Paths  # spikes of others that live if these do
    source: str
    repeated: tuple[bool, ...]
    frame: Path
    weak: bool
    part: tuple[Any, ...] = ()  # of the neurons of its region
    turns: Turns = NONE  # of its steps or samples
    held: Paths = NONE  # states of loops that it is made of
    fired: Paths = NONE  # spikes of its population that it has taken back
    given: Paths = NONE  # analog arguments that were compared
    layer: Path | None = None
    complement: bool = False  # where its parents are not
    masked: bool = False  # its parents, by a mask of the population's own state
    left: bool = False  # its parents were born in a custom derivative, and leave it here
    here: "Population | None" = None  # what was compared for equality, neurons if these arrive


@dataclass(frozen=True)
class Feed:
    """Spikes that enter a region one to one, without synapses."""

    path: Path
    births: Paths
    leaves: Leaves  # of the gain
    scope: str
    source: str


def is_reduced(part: tuple[Any, ...]) -> bool:
    """Whether a part of a region is a sum or extremum of its neurons."""
    return bool(part) and part[-1] == "reduced"


@dataclass(frozen=True)
class Population:
    """A region that an equation shows to be neurons."""

    feeds: Paths
    size: float
    shape: tuple[int, ...]
    axes: Axes
    state: bool = False  # it carries its neurons: what is made of them later says no other size
    part: tuple[Any, ...] = ()  # of the neurons that its feeds reach
    turns: Turns = NONE  # of its steps or samples
    held: Paths = NONE  # states of loops that it is made of
    fired: Paths = NONE  # spikes of its population that it has taken back
    chain: Paths = NONE  # of a current: what feeds the state it is added to, in an unrolled loop
    targets: frozenset[Target] = NONE  # data from outside that have met it

    @property
    def is_reduced(self) -> bool:
        """Whether it is a sum or extremum of neurons."""
        return is_reduced(self.part)


@dataclass(frozen=True)
class Found:
    """What a rule says about one equation.

    `outs` are the kinds of the outputs. `events` gives what travels beside each output, called when
    somebody needs it. `taps` are recorded. `run` evaluates the equation itself (control flow).
    """

    outs: Sequence[Value]
    events: Callable[[Operands], Sequence[Companions | None]] | None = None
    taps: tuple[Tap, ...] = ()
    sites: tuple[Site, ...] = ()
    births: tuple[Birth, ...] = ()
    feeds: tuple[Feed, ...] = ()
    neurons: tuple[Population, ...] = ()
    arrived: Paths = frozenset()  # spikes that have reached a site or a population
    picked: Paths = frozenset()  # look-ups that turned out to be synapses
    statistics: tuple[Paths, float] = (frozenset(), 0.0)  # regions whose reductions come back
    gates: Paths = frozenset()  # feeds of gates that all neurons share: no population's
    met: tuple[tuple[Path, Any, Any], ...] = ()  # parts of a region that meet: one population
    gated: Paths = frozenset()  # feeds of regions that multiply each other
    lost: str | None = None  # synapses that stand in no record
    uncounted: bool = False
    weight: int | None = None  # a site: which operand is its weight
    fanout: tuple[Path, Fanout] | None = None
    run: Callable[..., Any] | None = None
    inner: tuple[tuple[Any, Callable[[int], int | None]], ...] = ()
    packs: Mapping[int, Pack] = dataclasses.field(default_factory=dict[int, Pack])  # of outputs

    def but(self, **changes: Any) -> "Found":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def plain(self) -> bool:
        """Whether the original equation is all that needs to run."""
        return self.events is None and not self.taps and self.run is None


@dataclass(frozen=True)
class Context(abc.ABC):
    """What a rule may ask. Nothing of it changes while the rule runs."""

    path: Path  # where the equation stands
    frame: Path  # the jaxpr around it that runs as often: what is claimed there is a step
    resolution: Resolution  # which axes counts keep
    backward: bool  # whether the equation computes a gradient
    declared: bool  # whether weights were declared: other closed-over arrays are no weights then
    scope: str  # the `jax.named_scope` of the equation, those around included

    @abc.abstractmethod
    def births(self, paths: Paths) -> list[Birth]:
        """What is known about some births."""

    @abc.abstractmethod
    def own(self, births: Paths, feeds: Paths) -> Paths:
        """Those births that come from the region fed by these sites itself."""

    @abc.abstractmethod
    def own_echo(self, feeds: Paths) -> bool:
        """Whether a region is fed by nothing but spikes that come from here: a refractory mask."""

    @abc.abstractmethod
    def own_mask(self, masks: Paths, births: Paths) -> bool:
        """Whether masks are made of nothing but the state of the population that fired."""

    @abc.abstractmethod
    def one_population(self, births: Paths) -> bool:
        """Whether spikes are of one population, its one-to-one followers included."""

    @abc.abstractmethod
    def site(self, path: Path) -> Site | None:
        """A site found before."""

    @abc.abstractmethod
    def numbered(self, number: int) -> Value | None:
        """What is known about a numbered value."""

    @abc.abstractmethod
    def maker(self, number: int) -> tuple[Any, Sequence[Value]] | None:
        """The equation that made a numbered value, and its operands."""

    @abc.abstractmethod
    def notes(self, number: int) -> dict[str, Any]:
        """What rules have noted about a numbered value, until it is made again."""

    @abc.abstractmethod
    def pack(self, number: int) -> Pack | None:
        """The parts of a state of a loop, where it is put together of several."""

    @abc.abstractmethod
    def within_steps(self) -> bool:
        """Whether the steps of a loop around are kept."""

    @abc.abstractmethod
    def keeps_steps(self, length: int) -> bool:
        """Whether the steps of this loop are to be kept."""

    @abc.abstractmethod
    def steps(self, loops: Paths) -> float | None:
        """How many steps some loops have together, if that is known."""

    @property
    @abc.abstractmethod
    def chosen(self) -> bool:
        """Whether the equation stands in a branch that data choose."""

    @abc.abstractmethod
    def concrete(self, info: Value) -> np.ndarray | None:
        """The value of a constant that the program itself makes, unless it is large."""

    @abc.abstractmethod
    def elements(self, leaves: Leaves) -> float:
        """Elements of the largest of some leaves."""

    @abc.abstractmethod
    def walk(self, jaxpr: Any, ins: Sequence[Value], *, at: int = 0, call: bool = False) -> Any:
        """Plan an inner jaxpr, as part `at` of this equation.

        A `call` runs as often as its caller.
        """


Rule = Callable[[Any, Sequence[Value], Context], Found | None]
