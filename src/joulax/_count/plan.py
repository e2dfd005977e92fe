"""What a program was found to contain: one plan for each jaxpr, and the tables of the whole."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jax.extend.core import Jaxpr, Literal, Var

from .axes import IDLE, Axes
from .findings import Birth, Feed, Found, Late, Site
from .kinds import NONE, Path, Paths, Turns, Value, constant
from .updates import Work

Group = tuple[Path, Paths, Any, Turns]  # what is driven together: frame, feeds, part, turns


@dataclass(frozen=True)
class Claim:
    """Neurons fed by a site: they are updated once each time the frame runs."""

    owner: Path
    frame: Path
    neurons: float  # without batch and time
    repeats: float  # batch and time in one run of the frame
    shape: tuple[int, ...]
    axes: Axes
    state: bool = False  # carried from step to step: its size is certain
    reduced: bool = False  # sums or extrema of neurons, as long as the neurons are not seen
    copies: int = 1  # populations of this size that the same currents drive
    apart: bool = False  # another population than the one that the same currents drive elsewhere

    @property
    def elements(self) -> float:
        """Updates each time the frame runs."""
        return self.neurons * self.repeats * self.copies

    def yields(self, other: "Claim") -> bool:
        """Whether neurons are seen in the other claim, and only their sums in this one."""
        return self.reduced and not other.reduced and self.frame == other.frame

    def beside(self, frame: Path) -> str:
        """Where another frame stands: in another `loop`, in another `branch`, or none of both."""
        pairs = list(zip(self.frame, frame, strict=False))
        same = next((k for k, (a, b) in enumerate(pairs) if a != b), len(pairs))
        return "" if same == len(pairs) else ("branch" if same % 2 else "loop")

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
    steps: list[Step] = field(default_factory=list)
    infos: dict[Var, Value] = field(default_factory=dict)
    work: dict[Var, Path] = field(default_factory=dict)  # the elementwise work that made a variable

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


@dataclass
class Tables:
    """What the whole program has been found to contain so far."""

    sites: dict[Path, Site] = field(default_factory=dict)
    births: dict[Path, Birth] = field(default_factory=dict)
    feeds: dict[Path, Feed] = field(default_factory=dict)
    claims: dict[Path, Claim] = field(default_factory=dict)
    uncounted: dict[Path, Uncounted] = field(default_factory=dict)
    lost: dict[Path, Uncounted] = field(default_factory=dict)
    fanouts: dict[Path, Any] = field(default_factory=dict)
    parts: dict[tuple[Path, Any], float] = field(default_factory=dict)  # neurons, by feed
    turns: dict[Path, dict[tuple[Path, Turns], float]] = field(default_factory=dict)  # repeats
    elsewhere: dict[tuple[Path, Path], Claim] = field(default_factory=dict)  # in other frames
    states: dict[Group, set[Paths]] = field(default_factory=dict)  # carried by what is driven
    gated: dict[Paths, None] = field(default_factory=dict)  # regions that multiply each other
    order: dict[Any, int] = field(default_factory=dict)  # turns, as they come
    met: dict[tuple[Path, Any, Any], None] = field(default_factory=dict)
    late: dict[tuple[Path, str], Late] = field(default_factory=dict)
    work: dict[Path, Work] = field(default_factory=dict)
    arrived: Paths = NONE  # spikes that have reached a site
    picked: Paths = NONE  # look-ups that turned out to be synapses
    leaving: Paths = NONE  # spikes that reach the outputs

    def copy(self) -> "Tables":
        """An independent copy."""
        found = vars(self).items()
        copies: dict[str, Any] = {n: dict(v) for n, v in found if isinstance(v, dict)}
        copies["turns"] = {f: dict(v) for f, v in self.turns.items()}
        copies["states"] = {g: set(v) for g, v in self.states.items()}
        return dataclasses.replace(self, **copies)

    def living(self) -> Paths:
        """Births that are counted: those that arrive or leave, at their last form."""
        strong = self._with_others(self.arrived)
        weak = frozenset(b for b in self.leaving if not self.births[b].weak)
        soft = weak | self._with_others(self._others(weak))
        found = strong | soft
        earlier = {p for b in found for p in self.forms(b) if b in strong or p not in strong}
        logged = {p for b in found for p in self.ancestors(b) if p not in strong}
        left = found - earlier - logged
        silent = {b for b in left if self.births[b].complement and self.births[b].parents & left}
        return left - silent

    def _others(self, births: Iterable[Path]) -> Paths:
        own = ((b, a) for b in births for a in (b, *self.forms(b)))
        pairs = ((b, c) for b, a in own for c in self.births[a].arrived)
        return frozenset(c for b, c in pairs if not self._returns(c, b))

    def _returns(self, echo: Path, birth: Path) -> bool:
        """Whether spikes come from a trace or counter of nothing but the spikes that they gate."""
        feeds = [self.feeds.get(f) for f in self.births[echo].feeds]
        known = [f for f in feeds if f is not None]
        fed = frozenset().union(*(f.births for f in known))
        own = {birth, *self.ancestors(birth)}
        back = lambda b: b in own or birth in self.ancestors(b)
        return bool(fed) and len(known) == len(feeds) and all(map(back, fed))

    def _with_others(self, births: Paths) -> Paths:
        """Births, and the spikes that entered the regions they come from."""
        found = births
        while (more := found | self._others(found)) != found:
            found = more
        return found

    def ancestors(self, birth: Path) -> set[Path]:
        """Births that a birth is made of."""
        return self._before(birth, lambda b: self.births[b].parents)

    def forms(self, birth: Path) -> set[Path]:
        """Births that are earlier forms of the same spikes: no complement, no older step."""

        def same(b: Path) -> Paths:
            known = self.births[b]
            older = (p for p in known.parents if self._is_older(self.births[p], known))
            return NONE if known.complement else known.parents - set(older)

        return self._before(birth, same)

    def _is_older(self, parent: Birth, birth: Birth) -> bool:
        """Whether spikes are of an earlier step than those made of them, in an unrolled loop."""
        latest = lambda b: max((self.order.get(t, -1) for t in b.turns), default=-1)
        if parent.turns and latest(parent) < latest(birth):
            return True
        before, after = (self._layers(b.feeds) for b in (parent, birth))
        return any(after[layer] > path for layer, path in before.items() if layer in after)

    def _layers(self, feeds: Paths) -> dict[Any, Path]:
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

    def owner(self, birth: Birth) -> Path | None:
        """The feed whose record holds the spikes of a birth; none for an encoder."""
        claimed = [self.claims[f].owner for f in birth.feeds if f in self.claims]
        return min(claimed or birth.feeds, default=None, key=self.first)

    def first(self, feed: Path) -> tuple[bool, Path]:
        """Order of feeds: sites come before one-to-one connections."""
        return feed not in self.sites, feed
