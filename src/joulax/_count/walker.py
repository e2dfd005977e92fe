"""First pass: walk a jaxpr once, without numbers, and record what the rules find."""

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from . import populations
from .axes import Axes
from .constants import Constants, identity
from .context import Around
from .findings import COUNTING, Context, Found, Population
from .kinds import (
    SPIKE,
    Analog,
    Data,
    Events,
    Parameter,
    Value,
    constant,
    is_mask,
    parameter,
)
from .names import Leaves
from .packs import Pack
from .places import NONE, Path, Paths, stands_in, union
from .plan import Plan, Step, Tables, Uncounted, is_backward
from .resolution import Resolution, within
from .rules import (
    CONTAINERS,
    OPAQUE,
    RULES,
    births_in,
    contained,
    mixed,
    scope_of,
    shape_of,
    slopes,
    source_of,
    unknown,
)
from .updates import note

WALKS = 100  # over one loop, of which a handful suffice: each says more of its states, or nothing


class Walker:
    """Walks jaxprs, calls rules, and keeps what they find."""

    def __init__(self, leaves: Leaves, resolution: Resolution, declared: bool = False):
        self.leaves, self.declared = leaves, declared
        self.resolution: Resolution = resolution
        self.tables, self.stepped = Tables(), NONE
        self.values: dict[int, Value] = {}
        self.constants = Constants()
        self.lengths: dict[Path, int] = {}  # steps of loops
        self.makers: dict[int, tuple[Any, Sequence[Value], Any]] = {}  # what made a numbered value
        self.packs: dict[int, Pack | None] = {}  # the parts of states of loops
        self._numbers: dict[Any, int] = {}
        self._around = [(False, "")]  # equations inside which the walk is: backward, and scope
        self._starting = 0  # loops of which the first step is walked

    # -- walking --------------------------------------------------------------

    def plan(
        self,
        closed: ClosedJaxpr | Jaxpr,
        ins: Sequence[Value],
        path: Path,
        *,
        frame: Path | None = None,
        packs: Mapping[int, Pack] | None = None,
    ) -> Plan:
        """Plan a jaxpr whose inputs are known.

        `frame` is given when it runs as often as its caller, `packs` are the parts of some inputs.
        """
        jaxpr = closed.jaxpr if isinstance(closed, ClosedJaxpr) else closed
        consts: Sequence[Any] = closed.consts if isinstance(closed, ClosedJaxpr) else ()
        plan = Plan(jaxpr, consts, path, path if frame is None else frame, self.resolution)
        for var, value in zip(jaxpr.constvars, consts, strict=True):
            plan.infos[var] = self._const(value)
        for k, (var, info) in enumerate(zip(jaxpr.invars, ins, strict=True)):
            plan.infos[var] = self._numbered(info, ("input", path, k))
            if info.number < 0:
                self.packs[plan.infos[var].number] = (packs or {}).get(k)
        for i, eqn in enumerate(jaxpr.eqns):
            self._equation(plan, eqn, (*path, i))
        return plan

    def _equation(self, plan: Plan, eqn: Any, path: Path) -> None:
        ins = [self._read(plan, v) for v in eqn.invars]
        backward, scope = self._around[-1]
        backward, scope = backward or is_backward(eqn), scope_of(eqn, scope)
        ctx = Around(path, plan.frame, self.resolution, backward, self.declared, scope, self)
        counting = COUNTING in str(eqn.source_info.name_stack)
        if isinstance(length := eqn.params.get("length"), int):
            self.lengths[path] = length
        found = _counting(eqn, ins) if counting else self._found(eqn, slopes(eqn, ins, ctx), ctx)
        known = self._made_before(eqn, ins, found, ctx)
        if known is not None:
            found = Found([known], found.events)
        outs = [self._out(plan, eqn, path, ins, o, k) for k, o in enumerate(found.outs)]
        found = found.but(outs=outs, neurons=plan.seen(eqn, found))
        self.packs |= {outs[k].number: pack for k, pack in found.packs.items()}
        plan.infos.update(zip(eqn.outvars, outs, strict=True))
        self._record(eqn, ins, found, ctx)
        if not counting:
            note(plan, eqn, path, ins, plan.frame, self.tables.work)
        plan.steps.append(Step(eqn, path, ins, found))

    def _found(self, eqn: Any, ins: list[Value], ctx: Context) -> Found:
        name = eqn.primitive.name
        rule = RULES.get(name)
        if rule is None and (name not in OPAQUE or name in CONTAINERS):
            rule = contained(eqn)
        if rule is None:
            return unknown(eqn, ins, ctx)
        return rule(eqn, ins, ctx) or mixed(eqn, ins, ctx, f"`{name}` of data")

    def _record(self, eqn: Any, ins: Sequence[Value], found: Found, ctx: Context) -> None:
        tables = self.tables
        tables.add(found, [] if ctx.backward else ins)
        if found.uncounted:
            tables.uncounted[ctx.path] = _work(eqn, "")
        if found.lost is not None:
            tables.lost[ctx.path] = _work(eqn, found.lost)
        populations.unclaim(tables, found)
        for population in found.neurons:
            self.claim(population, ctx.frame, ctx.path)

    # -- numbers of values ------------------------------------------------------

    def number(self, *key: Any) -> int:
        """The number of a value that is known by a key."""
        return self._numbers.setdefault(key, len(self._numbers))

    def _read(self, plan: Plan, atom: Any) -> Value:
        info = plan.info(atom)
        if not isinstance(atom, Literal):
            return info
        kind = atom.aval.str_short()
        number = self.number("literal", kind, str(atom.val))
        self.constants.add(number, atom.val)
        return info.but(number=number)

    def _numbered(self, info: Value, key: Any) -> Value:
        if info.number < 0:
            info = info.but(number=self.number(*key))
        self.values[info.number] = info
        return info

    def _made_before(
        self, eqn: Any, ins: Sequence[Value], found: Found, ctx: Context
    ) -> Events | None:
        """Spikes that fire here, where the same equation of the same values stood before.

        Equal currents of other sites are others, and so are states that are equal before the first
        step of a loop.
        """
        if not found.births or self._starting:
            return None
        known = self.values.get(self._numbers.get(_key(eqn, ctx.path, ins, 0), -1))
        if not isinstance(known, Events) or known.births <= births_in(ins):
            return None
        if max(known.births, default=ctx.path) > ctx.path:
            return None  # what an earlier walk has found here
        births = [self.tables.births.get(p) for p in known.births - {ctx.path}]
        feeds = union(b.feeds for b in found.births)
        if not births or not all(b and (b.frame, b.feeds) == (ctx.frame, feeds) for b in births):
            return None
        return known.but(births=frozenset(map(self.tables.outside, known.births)))

    def _out(
        self, plan: Plan, eqn: Any, path: Path, ins: Sequence[Value], out: Value, k: int
    ) -> Value:
        if out.number >= 0:
            self.values[out.number] = out  # perhaps born anew, where it leaves a derivative
            return out
        if isinstance(out, Data) and out.weight and out.weight.axes.shape != out.axes.shape:
            out = out.but(weight=None)  # an extremum over weighted data
        if eqn.effects or any(i.number < 0 for i in ins):
            return self._numbered(out, ("fresh", len(self._numbers)))
        out = self._numbered(out, _key(eqn, path, ins, k))
        self.makers[out.number] = eqn, ins, {}
        if isinstance(out, Parameter) and (out.is_mask or not out.leaves):
            numbers = tuple(i.number for i in ins)
            self.constants.derive(out.number, plan.jaxpr, eqn, numbers, k)
        return out

    # -- loops ------------------------------------------------------------------

    def fixpoint(self, run: Any, start: list[Value], joined: Any) -> Any:
        """Repeat `run(state)` with joined states until nothing changes.

        Only the last walk is kept. What is no constant after all (counters, clocks) says first what
        it is: what a walk made of states that depend on data with such a constant is forgotten. So
        are spikes that only an earlier walk has found, and a state or a feed of the last one names.
        """
        state, outside, first = start, self.tables.copy(), True
        cleaned: list[Value] | None = None
        for _ in range(WALKS):
            before = self.tables.copy()
            with self._begins(first):
                result, new = run(state)
            new = joined(state, new)
            if new == state:
                births, feeds = self.tables.stale(before, outside)
                new = [_without(s, births, feeds) for s in state]
                if new == cleaned or (new == state and not self.tables.enter(births)):
                    return result, state
                self.tables.forget(births, feeds)
                cleaned = new
            first = any(_is_no_constant(a, b) for a, b in zip(state, new, strict=False))
            if first:
                self.tables = outside.copy()
                pairs = zip(new, [*start, *new[len(start) :]], strict=True)
                state = [s if isinstance(s, Parameter) else old for s, old in pairs]
                continue
            # sites, births and feeds keep their places from walk to walk: the new state names them
            kept = {n: getattr(self.tables, n) for n in ("sites", "births", "feeds", "order")}
            self.tables = dataclasses.replace(before, **kept)
            state = new
        raise RuntimeError(
            f"the states of a loop are not known after {WALKS} walks over its step, "
            "which is an error of joulax: please report it with the program"
        )

    @contextmanager
    def _begins(self, first: bool) -> Generator[None]:
        """Inside, states of a loop are as before its first step."""
        self._starting += first
        try:
            yield
        finally:
            self._starting -= first

    def keeps_steps(self, path: Path, length: int) -> bool:
        """Whether the steps of this scan are kept: it is the outermost one of the wanted length."""
        if path in self.stepped:
            return True
        if length != self.resolution.steps or within(self.stepped, path):
            return False
        self.stepped |= {path}
        return True

    @contextmanager
    def inside(self, ctx: Context) -> Generator[None]:
        """Equations inside an equation: of a gradient too, and in its named scope."""
        self._around.append((ctx.backward, ctx.scope))
        try:
            yield
        finally:
            self._around.pop()

    @contextmanager
    def by_sample(self, samples: int | None) -> Generator[None]:
        """Inside, counts of samples stay apart, where there are any."""
        before = self.resolution
        self.resolution = before if samples is None else before.by_sample(samples)
        try:
            yield
        finally:
            self.resolution = before

    @contextmanager
    def deciding(self, path: Path) -> Generator[None]:
        """Inside, only regions that begin there become neurons."""
        before = dict(self.tables.claims)
        yield
        new = self.tables.claims.items()
        own = {p: c for p, c in new if p not in before and stands_in(p, path)}
        self.tables.claims = before | own

    # -- populations ----------------------------------------------------------------

    def regions(self, feeds: Paths) -> Paths:
        """Sites that feed a region, also through populations that feed it one to one."""
        return populations.regions(self.tables, feeds)

    def origins(self, birth: Path) -> Paths:
        """Sites that feed the region that fired."""
        return populations.origins(self.tables, birth)

    def claim(self, population: Population, frame: Path, at: Path) -> None:
        """The region fed by these sites is a population of neurons."""
        populations.claim(self.tables, population, frame, at)

    def settle(self) -> None:
        """What is known at the end: populations in several parts, and at several turns."""
        populations.settle(self.tables, self.lengths)

    # -- constants ----------------------------------------------------------------

    def _const(self, value: Any) -> Value:
        leaf, shape = self.leaves.of(value), _shape(value)
        leaves: frozenset[int] = NONE if leaf is None else frozenset((leaf,))
        owned = leaves or _abstract(value) or not self.declared
        key = ("const", id(value) if owned else identity(value))
        known = parameter(shape) if _abstract(value) else constant(value)
        if known.constant is not None:  # equal ones of a leaf are a synapse each
            axes = parameter(shape).axes if leaves else known.axes
            own = known.but(leaves=leaves, axes=axes, buffer=known.is_mask)
            kept = self.declared or not leaves
        else:
            own = known.but(values=SPIKE, leaves=leaves, buffer=True)
            kept = self._masks(value, leaves)
        if kept:
            self.constants.add(self.number(*key), value)
            return self._numbered(own, key)
        if leaves:
            return self._numbered(parameter(shape, leaves=leaves), key)
        return self._unowned(value, key)

    def _masks(self, value: Any, leaves: frozenset[int]) -> bool:
        """Whether an array is a mask: where weights are declared, a weight only where it is alone.

        The leaf that it is keeps its name from layers.
        """
        mask = not _abstract(value) and is_mask(value)
        if mask:
            self.leaves.masks |= leaves
        return mask and self.declared

    def _unowned(self, value: Any, key: Any) -> Value:
        """An array of nobody we know: named by its place, unless weights were declared."""
        shape = _shape(value)
        if not self.declared and any(n > 1 for n in shape):
            leaf = self.leaves.add((), value)
            return self._numbered(parameter(shape, leaves=frozenset((leaf,))), key)
        found = self._numbered(parameter(shape, outside=self.declared), key)
        if not _abstract(value):
            self.constants.add(found.number, value)
        return found


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))


def _key(eqn: Any, path: Path, ins: Sequence[Value], k: int) -> Any:
    """What output k of an equation is known by: equal values are made of equal ones.

    What contains a program is known by its place, which is the same in every walk over a loop.
    """
    inner = any("jaxpr" in k or callable(v) for k, v in eqn.params.items())
    params = path if inner else str(eqn.params)
    return eqn.primitive.name, params, tuple(i.number for i in ins), k


def _abstract(value: Any) -> bool:
    extended = hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.extended)
    return isinstance(value, Tracer) or not hasattr(value, "dtype") or extended


def _work(eqn: Any, what: str) -> Uncounted:
    shapes = ", ".join(v.aval.str_short() for v in eqn.invars)
    return Uncounted(eqn.primitive.name, source_of(eqn), shapes, what)


def _counting(eqn: Any, ins: Sequence[Value]) -> Found:
    """Counting is not counted, where one counted program contains another."""
    data = any(isinstance(i, Data) for i in ins)
    kind = Analog if data else Parameter
    return Found([kind(Axes.of(shape_of(v))) for v in eqn.outvars])


def _is_no_constant(old: Value, new: Value) -> bool:
    """Whether a parameter differs from step to step, as no walk has known before."""
    return isinstance(old, Parameter) and isinstance(new, Parameter) and old != new


def _without(state: Value, births: Paths, feeds: Paths) -> Value:
    """A state that names neither some spikes nor some feeds."""
    if not isinstance(state, Data):
        return state
    left = state.feeds - feeds
    gone = dict[str, Any](size=0.0) if state.feeds and not left else {}
    return state.but(births=state.births - births, feeds=left, fired=state.fired - births, **gone)
