"""First pass: walk a jaxpr once, without numbers, and plan what to count where."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import jax
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var

from . import _sites, _work
from ._info import Cause, Info, Kind, Path, constant, parameter
from ._names import Leaves
from ._resolution import Resolution, within
from ._rules import RULES, Outcome, analog, because, source_of
from ._sites import Site


@dataclass(frozen=True)
class Birth:
    """Spikes that appear, and the site whose neurons fire them (`None`: an encoder)."""

    path: Path
    site: Path | None
    layered: tuple[Path, int] | None
    source: str
    repeated: tuple[bool, ...]  # batch and time axes where it was fired
    frame: Path  # the loop body or branch that fires it


@dataclass(frozen=True)
class Claim:
    """Neurons fed by a site: they are updated once each time the frame runs."""

    owner: Path
    frame: Path
    shape: tuple[int, ...]
    repeated: tuple[bool, ...]  # batch and time axes

    @property
    def elements(self) -> int:
        """Updates each time the frame runs."""
        return math.prod(self.shape)

    @property
    def neurons(self) -> int:
        """Neurons, without batch and time."""
        return math.prod(n for n, r in zip(self.shape, self.repeated, strict=True) if not r)


@dataclass(frozen=True)
class Uncounted:
    """Work on data that no field of an account contains."""

    primitive: str
    source: str
    shapes: str


@dataclass
class Step:
    """One equation with what is known about it."""

    eqn: Any
    path: Path
    ins: list[Info]
    outcome: Outcome


@dataclass
class Plan:
    """A jaxpr, what is known about every variable, and what to record."""

    jaxpr: Jaxpr
    consts: Sequence[Any]
    path: Path
    frame: Path
    steps: list[Step] = field(default_factory=list)
    infos: dict[Var, Info] = field(default_factory=dict)
    booleans: dict[int, Path] = field(default_factory=dict)  # outputs that are spikes without being numbers
    made: dict[Var, Any] = field(default_factory=dict)  # the equation that made a variable
    work: dict[Var, Path] = field(default_factory=dict)  # the elementwise work that made a variable

    @property
    def outs(self) -> list[Info]:
        """Infos of the outputs."""
        return [self.info(v) for v in self.jaxpr.outvars]

    @property
    def quiet(self) -> bool:
        """Whether the original program is all that needs to run."""
        return all(s.outcome.plain for s in self.steps)

    def info(self, atom) -> Info:
        """Info of a variable or literal."""
        return constant(atom.val) if isinstance(atom, Literal) else self.infos[atom]


@dataclass
class Tables:
    """What the whole program has been found to contain so far."""

    sites: dict[Path, Site] = field(default_factory=dict)
    births: dict[Path, Birth] = field(default_factory=dict)
    living: frozenset[Path] = frozenset()
    claims: dict[Path, Claim] = field(default_factory=dict)
    uncounted: dict[Path, Uncounted] = field(default_factory=dict)
    fanouts: dict[Path, Any] = field(default_factory=dict)
    work: dict[Path, "_work.Work"] = field(default_factory=dict)

    def copy(self) -> "Tables":
        """An independent copy."""
        return Tables(dict(self.sites), dict(self.births), self.living, dict(self.claims), dict(self.uncounted), dict(self.fanouts), dict(self.work))


class Analysis:
    """Walks jaxprs and keeps the tables; rules talk to it."""

    def __init__(self, leaves: Leaves, resolution: Resolution):
        self.leaves, self.resolution, self.tables, self.roots = leaves, resolution, Tables(), {}
        self._stepped: frozenset[Path] = frozenset()
        self._plans: list[Plan] = []

    # -- walking --------------------------------------------------------------

    def analyse(self, closed: ClosedJaxpr | Jaxpr, ins: Sequence[Info], path: Path, *, frame: Path | None = None) -> Plan:
        """Plan a jaxpr whose inputs are known; `frame` is given when it runs as often as its caller."""
        jaxpr = closed.jaxpr if isinstance(closed, ClosedJaxpr) else closed
        consts = closed.consts if isinstance(closed, ClosedJaxpr) else []
        plan = Plan(jaxpr, consts, path, path if frame is None else frame)
        for var, value in zip(jaxpr.constvars, consts, strict=True):
            plan.infos[var] = self._const(value)
        for var, info in zip(jaxpr.invars, ins, strict=True):
            plan.infos[var] = info.but(form=None)
        with self._inside(plan):
            for i, eqn in enumerate(jaxpr.eqns):
                self._equation(plan, eqn, (*path, i))
        return plan

    def _equation(self, plan: Plan, eqn, path: Path) -> None:
        ins = [plan.info(v) for v in eqn.invars]
        for v in eqn.invars:
            if not isinstance(v, Literal):
                self.roots[id(v)] = v
        rule = _counting if COUNTING in str(eqn.source_info.name_stack) else RULES.get(eqn.primitive.name, _unknown)
        outcome = rule(eqn, ins, self, path)
        for var, info in zip(eqn.outvars, outcome.infos, strict=True):
            plan.infos[var] = info
            plan.made[var] = eqn
            self.roots[id(var)] = var
        if outcome.nonlinear:
            data = [i for i in ins if i.kind != Kind.PARAMETER]
            self.claim(frozenset().union(*(i.fresh for i in data)), eqn.outvars[0].aval.shape, outcome.infos[0].axes)
        if rule is not _counting:
            _work.note(plan, eqn, path, ins, self.frame, self.tables)
        plan.steps.append(Step(eqn, path, ins, outcome))

    @contextmanager
    def _inside(self, plan: Plan) -> Iterator[None]:
        self._plans.append(plan)
        try:
            yield
        finally:
            self._plans.pop()

    def fixpoint(self, run, start: list, joined) -> Any:
        """Repeat `run(state)` with joined states until nothing changes; only the last walk is kept."""
        state = start
        while True:
            before = self.tables.copy()
            result, new = run(state)
            new = joined(state, new)
            if new == state:
                return result, state
            # sites and births keep their places from walk to walk, and the new state may name them
            self.tables = replace(before, sites=self.tables.sites, births=self.tables.births)
            state = new

    def _const(self, value) -> Info:
        leaf = self.leaves.of(value)
        shape = tuple(getattr(value, "shape", ()))
        known = constant(value) if math.prod(shape) <= 4096 and not _abstract(value) else parameter(shape)
        if leaf is None and shape and known.const is None:
            leaf = self.leaves.add((), value)  # an array of nobody we know: named by its place in the program
        return known.but(leaf=leaf) if leaf is None or known.const is None else parameter(shape, leaf=leaf)

    # -- what rules ask and say -----------------------------------------------

    def summed(self, path: Path, counts, repeated) -> Any:
        """Counts of one place, as finely as they are wanted; `repeated` flags the axes of batch and time."""
        return self.resolution.summed(counts, repeated, within(self._stepped, path))

    def keeps_steps(self, path: Path, length: int) -> bool:
        """Whether the steps of this scan are kept: it is the outermost one of the wanted length."""
        if path in self._stepped:
            return True
        if length != self.resolution.steps or within(self._stepped, path):
            return False
        self._stepped |= {path}
        return True

    @property
    def frame(self) -> Path:
        """The innermost loop body or branch."""
        return self._plans[-1].frame

    def info(self, var) -> Info:
        """Info of a variable of the jaxpr being walked."""
        return self._plans[-1].infos[var]

    def unbroadcast(self, var):
        """The variable that `var` repeats along new axes, or `var` itself."""
        made = self._plans[-1].made
        while not isinstance(var, Literal) and var in made and made[var].primitive.name in ("broadcast_in_dim", "reshape", "transpose"):
            var = made[var].invars[0]
        return var

    def site(self, eqn, path: Path, weight: Info | None, data: Info, **geometry) -> Site:
        """Register a synaptic site; the spikes that arrive there have reached something."""
        source, scope = source_of(eqn), str(eqn.source_info.name_stack)
        if weight is None:
            key = ("pair", scope or source)
        elif weight.leaf is None:
            key = ("const", scope or source)
        else:
            key = ("leaf", weight.leaf)
        layered = weight.layered if weight else None
        found = Site(path, key, data.kind, data.cause, eqn.primitive.name, source, scope, layered, **geometry)
        self.tables.sites[path] = found
        self.live(data.births)
        return found

    def current(self, path: Path, axes, site: Site) -> Info:
        """Info of what leaves a site."""
        cause = Cause(f"synaptic currents of `{site.primitive}` are analog", site.source)
        return Info(Kind.ANALOG, axes, cause, sites=frozenset({path}), fresh=frozenset({path}))

    def synapses(self, eqn, info: Info, path: Path) -> Outcome:
        """One-to-one synapses."""
        return _sites.declared_synapses(eqn, info, self, path)

    def embedding(self, eqn, ins, path: Path) -> Outcome:
        """Rows picked from a table."""
        return _sites.embedding(eqn, ins, self, path)

    @property
    def fanouts(self) -> dict[Path, Any]:
        """How to find the fan-out of each site."""
        return self.tables.fanouts

    def born(self, path: Path, sites: Iterable[Path], eqn, repeated: tuple[bool, ...]) -> None:
        """Register a birth of spikes."""
        owner = min(sites, default=None)
        layered = self.tables.sites[owner].layered if owner is not None else None
        self.tables.births[path] = Birth(path, owner, layered, source_of(eqn), repeated, self.frame)

    def finish(self, plan: Plan) -> None:
        """The outputs of the whole program: what reaches them is alive, comparisons among them are spikes."""
        for k, info in enumerate(plan.outs):
            self.live(info.births)
            if info.pending and not info.nan_test:
                path = (len(plan.jaxpr.eqns), k)
                self.tables.births[path] = Birth(path, min(info.sites, default=None), None, "the output", info.axes, ())
                self.live([path])
                plan.booleans[k] = path

    def live(self, births: Iterable[Path]) -> None:
        """These spikes have reached a site or an output."""
        self.tables.living |= frozenset(births)

    def leaving(self, births: frozenset[Path], sites: frozenset[Path]) -> frozenset[Path]:
        """Births that remain after meeting a region: a reset of the very neurons that fired goes nowhere."""
        keys = {self.tables.sites[s].key for s in sites}
        return frozenset(b for b in births if self._key(b) not in keys)

    def _key(self, birth: Path):
        owner = self.tables.births[birth].site
        return None if owner is None else self.tables.sites[owner].key

    def unrolled_state(self, a: Info, b: Info) -> bool:
        """Whether two operands carry the same layer at two steps of an unrolled loop."""
        left = {self.tables.sites[s].key for s in a.fresh - b.fresh}
        return any(self.tables.sites[s].key in left for s in b.fresh - a.fresh)

    def claim(self, fresh: frozenset[Path], shape, axes) -> None:
        """The region fed by these sites is a population of neurons; the first feeder keeps its record."""
        claims = self.tables.claims
        free = [p for p in fresh if p not in claims]
        if free:
            claims.update(dict.fromkeys(free, Claim(min(free), self.frame, tuple(shape), tuple(axes))))
        elif fresh:
            old = claims[max(fresh)]
            bigger = replace(old, frame=self.frame, shape=tuple(shape), repeated=tuple(axes))
            if bigger.neurons <= old.neurons:
                return
            claims.update({p: bigger for p, c in claims.items() if c == old})

    def uncounted(self, eqn, path: Path) -> None:
        """List work that no field of the account contains."""
        shapes = ", ".join(v.aval.str_short() for v in eqn.invars)
        self.tables.uncounted[path] = Uncounted(eqn.primitive.name, source_of(eqn), shapes)


def _abstract(value) -> bool:
    return isinstance(value, Tracer) or not hasattr(value, "dtype") or jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended)


COUNTING = "joulax.counting"  # the scope of work that counting has added


def _counting(eqn, ins: list[Info], ctx: Analysis, path: Path) -> Outcome:
    """Counting is not counted, where one counted program contains another."""
    kind = max((i.kind for i in ins), default=Kind.PARAMETER)
    return Outcome([Info(kind and Kind.ANALOG, (False,) * len(v.aval.shape)) for v in eqn.outvars])


def _unknown(eqn, ins: list[Info], ctx: Analysis, path: Path) -> Outcome:
    """A primitive without a rule: analog where data go in, and listed."""
    if all(i.kind == Kind.PARAMETER for i in ins):
        return Outcome([parameter(tuple(getattr(v.aval, "shape", ()))) for v in eqn.outvars])
    ctx.uncounted(eqn, path)
    info = analog(eqn, ins, ctx, f"`{eqn.primitive.name}` has no rule").but(cause=because(eqn, f"`{eqn.primitive.name}` has no rule"))
    ctx.live(info.births)
    return Outcome([info.but(axes=(False,) * len(getattr(v.aval, "shape", ()))) for v in eqn.outvars])
