"""What a program was found to contain: one plan for each jaxpr, and the tables of the whole."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jax.extend.core import Jaxpr, Literal, Var

from .axes import IDLE, Axes, numbers_in
from .findings import Birth, Fanout, Feed, Found, Late, Population, Site
from .kinds import Data, Turns, Value, constant
from .labels import Met
from .places import NONE, Path, Paths, union
from .resolution import Resolution
from .updates import Work

Group = tuple[Path, Paths, Any, Turns]  # what is driven together: frame, feeds, part, turns


def table() -> Any:
    """A field that starts as an empty table."""
    return field(default_factory=dict[Any, Any])


@dataclass(frozen=True)
class Claim:
    """Neurons fed by a site: they are updated once each time the frame runs."""

    owner: Path
    frame: Path
    at: Path  # the equation that showed them
    neurons: float  # without batch and time
    repeats: float  # batch and time in one run of the frame
    shape: tuple[int, ...]
    axes: Axes
    state: bool = False  # carried from step to step: its size is certain
    reduced: bool = False  # sums or extrema of neurons, as long as the neurons are not seen
    part: tuple[Any, ...] = ()  # of the neurons that its feeds reach
    copies: int = 1  # populations of this size that the same currents drive
    apart: bool = False  # another population than the one that the same currents drive elsewhere
    home: Path | None = None  # whose record these neurons are in, where they are known already
    walked: Paths = NONE  # loops around, in each step of which these are other neurons
    slices: float = 1.0  # of their weight, each of which drives such neurons

    @property
    def record(self) -> Path:
        """The feed in whose record the updates stand."""
        return self.owner if self.home is None else self.home

    @property
    def elements(self) -> float:
        """Updates each time the frame runs."""
        return self.neurons * self.repeats * self.copies

    def yields(self, other: "Claim") -> bool:
        """Whether neurons are seen in the other claim, and only their sums in this one."""
        return self.reduced and not other.reduced and self.frame == other.frame

    def is_slice_of(self, other: "Claim") -> bool:
        """Whether these are some of the neurons of the other claim."""
        return len(self.part) > len(other.part) and numbers_in(self.part) is not None

    def beside(self, frame: Path) -> str:
        """Where another frame stands: in another `loop`, in another `branch`, or none of both."""
        pairs = list(zip(self.frame, frame, strict=False))
        same = next((k for k, (a, b) in enumerate(pairs) if a != b), len(pairs))
        return "" if same == len(pairs) else ("branch" if same % 2 else "loop")

    def instead(self, other: "Claim") -> "Claim":
        """The same claim in the place of another one."""
        return dataclasses.replace(self, owner=other.owner, home=other.home)

    def of(self, neurons: float) -> "Claim":
        """The same claim to more neurons, along one axis."""
        dims: list[Any] = []
        repeated = self.axes.wholly(IDLE)
        for dim, idle in zip(self.axes.dims, repeated, strict=True):
            if idle:
                dims.append(dim)
        place = repeated.index(False) if False in repeated else len(dims)
        dims.insert(sum(repeated[:place]), ((int(neurons), 0),))
        axes = Axes(tuple(dims))
        return dataclasses.replace(self, neurons=neurons, axes=axes, shape=axes.shape)


@dataclass(frozen=True)
class Uncounted:
    """Work on data that no field of an account contains, or synapses that stand in no record."""

    primitive: str
    source: str
    shapes: str
    what: str = ""

    def __str__(self) -> str:
        what = f" ({self.what})" if self.what else ""
        return f"`{self.primitive}` at {self.source} on {self.shapes}{what}"


def is_backward(eqn: Any) -> bool:
    """Whether an equation computes a gradient."""
    return "transpose(" in str(eqn.source_info.name_stack)


@dataclass
class Step:
    """One equation with what is known about it."""

    eqn: Any
    path: Path
    ins: list[Value]
    found: Found


@dataclass
class Plan:
    """A jaxpr, what is known about every variable, and what to record."""

    jaxpr: Jaxpr
    consts: Sequence[Any]
    path: Path
    frame: Path
    resolution: Resolution
    steps: list[Step] = field(default_factory=list[Step])
    infos: dict[Var, Value] = table()
    work: dict[Var, Path] = table()  # the elementwise work that made a variable

    @cached_property
    def _read(self) -> set[Var]:
        eqns = (e for e in self.jaxpr.eqns if not is_backward(e))
        used = (*self.jaxpr.outvars, *(v for e in eqns for v in e.invars))
        return {v for v in used if isinstance(v, Var)}

    def seen(self, eqn: Any, found: Found) -> tuple[Population, ...]:
        """Neurons that an equation shows: what no equation reads but those of a gradient shows none
        but those of a state.
        """
        if any(v in self._read for v in eqn.outvars):
            return found.neurons
        return tuple(p for p in found.neurons if p.state)

    @property
    def outs(self) -> list[Value]:
        """What is known about the outputs."""
        return [self.info(v) for v in self.jaxpr.outvars]

    @property
    def quiet(self) -> bool:
        """Whether the original program is all that needs to run."""
        return all(s.found.plain for s in self.steps)

    def info(self, atom: Any) -> Value:
        """What is known about a variable or literal."""
        return constant(atom.val) if isinstance(atom, Literal) else self.infos[atom]


@dataclass(frozen=True)
class Branch:
    """A frame that runs where it is chosen: the frame around, and currents that enter as made."""

    around: Path
    currents: Paths
    by_data: bool  # chosen by data


@dataclass
class Tables:
    """What the whole program has been found to contain so far."""

    sites: dict[Path, Site] = table()
    births: dict[Path, Birth] = table()
    feeds: dict[Path, Feed] = table()
    claims: dict[Path, Claim] = table()
    uncounted: dict[Path, Uncounted] = table()
    lost: dict[Path, Uncounted] = table()
    fanouts: dict[Path, Fanout] = table()
    whose: dict[Paths, Path] = table()  # the feed that holds a population, by all its feeds
    parts: dict[tuple[Path, Any], float] = table()  # neurons, by feed
    turns: dict[Path, dict[tuple[Path, Turns], float]] = table()  # repeats
    elsewhere: dict[tuple[Path, Path], Claim] = table()  # in other frames
    branches: dict[Path, Branch] = table()
    states: dict[Group, set[Paths]] = table()  # carried by what is driven
    gated: dict[Paths, None] = table()  # regions that multiply each other
    order: dict[Any, int] = table()  # turns, as they come
    met: dict[tuple[Path, Any, Any], None] = table()
    late: dict[tuple[Path, str], Late] = table()
    work: dict[Path, Work] = table()
    arrived: Paths = NONE  # spikes that have reached a site
    picked: Paths = NONE  # look-ups that turned out to be synapses
    leaving: Paths = NONE  # spikes that reach the outputs
    entering: tuple[Data, ...] = ()  # what has reached sites, forwards
    shown: dict[Path, frozenset[frozenset[Met]]] = table()  # how neurons had met labels

    def copy(self) -> "Tables":
        """An independent copy."""
        copies: dict[str, Any] = {n: copy(v) for n, v in vars(self).items()}
        copies["turns"] = {f: dict(v) for f, v in self.turns.items()}
        copies["states"] = {g: set(v) for g, v in self.states.items()}
        return dataclasses.replace(self, **copies)

    def add(self, found: Found, ins: Iterable[Value]) -> None:
        """What a rule has found in one equation, of these operands."""
        if found.sites:
            self.entering += tuple(i for i in ins if isinstance(i, Data))
        self.sites.update((s.path, s) for s in found.sites)
        for birth in found.births:
            self._add_birth(birth)
        self.feeds.update((f.path, f) for f in found.feeds)
        self.arrived |= found.arrived
        self.picked |= found.picked
        self.met.update(dict.fromkeys(found.met))
        if found.gated:
            self.gated[found.gated] = None
        if found.fanout is not None:
            self.fanouts[found.fanout[0]] = found.fanout[1]
        self.late.update(((t.path, t.field), t.late) for t in found.taps if t.late is not None)

    def _add_birth(self, birth: Birth) -> None:
        self.births[birth.path] = birth
        for turn in sorted(birth.turns, key=str):
            self.order.setdefault(turn, len(self.order))

    def stale(self, before: "Tables", outside: "Tables") -> tuple[Paths, Paths]:
        """Births and feeds of earlier walks of a loop that the last one has not found again.

        Such sites are forgotten at once.
        """

        def kept(now: Any, old: Any, around: Any) -> Paths:
            return frozenset(p for p, x in now.items() if old.get(p) is x and p not in around)

        births = kept(self.births, before.births, outside.births)
        sites = kept(self.sites, before.sites, outside.sites)
        self.sites = {p: s for p, s in self.sites.items() if p not in sites}
        return births, kept(self.feeds, before.feeds, outside.feeds) | sites

    def enter(self, births: Paths) -> bool:
        """Whether any of these spikes enter a region one to one."""
        return any(f.births & births for f in self.feeds.values())

    def forget(self, births: Paths, feeds: Paths) -> None:
        """As if they had never been found."""
        self.births = {p: b for p, b in self.births.items() if p not in births}
        left = {p: f for p, f in self.feeds.items() if p not in feeds}
        self.feeds = {p: dataclasses.replace(f, births=f.births - births) for p, f in left.items()}

    def living(self) -> Paths:
        """Births that are counted: those that arrive or leave, at their last form."""
        strong = self._with_others(self.arrived)
        weak = frozenset(b for b in self.leaving if not self.births[b].weak)
        soft = weak | self._with_others(self._others(weak))
        left = (strong | soft) - self._earlier(strong | soft, strong)
        return left - {b for b in left if self._is_silent(b, left)}

    def _is_silent(self, birth: Path, fired: Paths) -> bool:
        """Whether neurons are told here that have not fired, in this step or ever."""
        known = self.births[birth]
        if known.complement:
            return bool(known.parents & fired)
        now = self._made_of(birth) - {birth}
        others = [self.births[b] for b in now]
        return bool(others) and all(b.complement and b.parents & fired for b in others)

    def _earlier(self, found: Paths, strong: Paths) -> set[Path]:
        """Earlier forms of births; what arrives is one of what arrives alone."""
        return {p for b in found for p in self.forms(b) if b in strong or p not in strong}

    def _others(self, births: Iterable[Path]) -> Paths:
        own = ((b, a) for b in births for a in (b, *self.forms(b)))
        pairs = ((b, c) for b, a in own for c in self.births[a].arrived)
        return frozenset(c for b, c in pairs if not self._returns(c, b))

    def _returns(self, echo: Path, birth: Path) -> bool:
        """Whether spikes come from a trace or counter of nothing but the spikes that they gate."""
        mask = self.births[echo]
        feeds = [self.feeds.get(f) for f in mask.feeds]
        known = [f for f in feeds if f is not None]
        fed = union(f.births for f in known) if feeds else mask.arrived
        own = {birth, *self.ancestors(birth), *self.taken_back(birth)}
        back = (own & {b, *self.ancestors(b)} for b in fed)
        return bool(fed) and len(known) == len(feeds) and all(back)

    def _with_others(self, births: Paths) -> Paths:
        """Births, and the spikes that entered the regions they come from."""
        found = births
        while (more := found | self._others(found)) != found:
            found = more
        return found

    def _made_of(self, birth: Path) -> Paths:
        """Births that one is made of in its step; a complement is of other neurons than fire."""
        known = self.births[birth]
        older = (p for p in known.parents if self.is_older(self.births[p], known))
        return NONE if known.complement else known.parents - set(older)

    def taken_back(self, birth: Path) -> set[Path]:
        """Spikes that the neurons of a birth have taken back before, in all their forms."""
        fired = self.births[birth].fired
        return {*fired, *(a for f in fired if f in self.births for a in self.ancestors(f))}

    def ancestors(self, birth: Path) -> set[Path]:
        """Births that a birth is made of."""
        return self._before(birth, lambda b: self.births[b].parents)

    def outside(self, birth: Path) -> Path:
        """The birth as which spikes have left the custom derivative in which they were born."""
        left = (b.path for b in self.births.values() if b.left and birth in b.parents)
        return next(left, birth)

    def forms(self, birth: Path) -> set[Path]:
        """Births that are earlier forms of the same spikes."""
        return self._before(birth, self._made_of)

    def is_older(self, parent: Birth, birth: Birth) -> bool:
        """Whether spikes are of an earlier step than those made of them, in an unrolled loop."""
        if parent.turns and self._latest(parent.turns) < self._latest(birth.turns):
            return True
        before, after = (self.layers(b.feeds) for b in (parent, birth))
        return any(after[layer] > path for layer, path in before.items() if layer in after)

    def _latest(self, turns: Turns) -> int:
        """The number of the last of some turns."""
        return max((self.order.get(t, -1) for t in turns), default=-1)

    def layers(self, feeds: Iterable[Path]) -> dict[Any, Path]:
        """The last site of each layer among some feeds."""
        sites = [self.sites[p] for p in sorted(feeds) if p in self.sites]
        return {(s.leaves, s.place): s.path for s in sites if s.leaves}

    def _before(self, birth: Path, parents: Callable[[Path], Paths]) -> set[Path]:
        found: set[Path] = set()
        queue = list(parents(birth))
        while queue:
            b = queue.pop()
            if b not in found and b != birth:
                found.add(b)
                queue += parents(b)
        return found

    @property
    def claimed(self) -> set[Claim]:
        """Populations of every frame."""
        return {*self.claims.values(), *self.elsewhere.values()}

    def driven(self, feeds: Iterable[Path]) -> list[Claim]:
        """Populations that some feeds drive, as far as they drive any."""
        return [self.claims[f] for f in feeds if f in self.claims]

    def owner(self, birth: Birth) -> Path | None:
        """The feed whose record holds the spikes of a birth; none for an encoder."""
        known = self.whose.get(birth.feeds)
        if known in self.claims:
            return self.claims[known].record
        claimed = [self.claims[f].owner for f in birth.feeds if f in self.claims]
        feeds = NONE if self._is_encoder(birth) else birth.feeds
        return min(claimed or feeds, default=None, key=self.first)

    def _is_encoder(self, birth: Birth) -> bool:
        """Whether nothing but the spikes themselves comes back to what fires."""
        own = {birth.path, *self.ancestors(birth.path), *self.taken_back(birth.path)}
        feeds = [self.feeds.get(f) for f in birth.feeds]
        return all(f is not None and f.births and f.births <= own for f in feeds)

    def first(self, feed: Path) -> tuple[bool, Path]:
        """Order of feeds: sites come before one-to-one connections."""
        return feed not in self.sites, feed
