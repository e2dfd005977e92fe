"""First pass: walk a jaxpr once, without numbers, and record what the rules find."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from . import populations
from .axes import Axes
from .constants import Constants
from .context import Context
from .findings import COUNTING, Found, Population
from .kinds import (
    NONE,
    Analog,
    Data,
    Parameter,
    Path,
    Paths,
    Value,
    constant,
    parameter,
)
from .names import Leaves
from .plan import Plan, Step, Tables, Uncounted
from .resolution import Resolution, within
from .rules import (
    CONTAINERS,
    HOSTS,
    OPAQUE,
    RULES,
    because,
    contained,
    from_parameters,
    mixed,
    shape_of,
    source_of,
)
from .updates import note


class Walker:
    """Walks jaxprs, calls rules, and keeps what they find."""

    def __init__(self, leaves: Leaves, resolution: Resolution, declared: bool = False):
        self.leaves, self.resolution, self.declared = leaves, resolution, declared
        self.tables, self.stepped = Tables(), NONE
        self.values: dict[int, Value] = {}
        self.constants = Constants()
        self.lengths: dict[Path, int] = {}  # steps of loops
        self.makers: dict[int, tuple[Any, Sequence[Value]]] = {}  # what made a numbered value
        self._numbers: dict[Any, int] = {}
        self._backward: list[bool] = [False]

    # -- walking --------------------------------------------------------------

    def plan(
        self,
        closed: ClosedJaxpr | Jaxpr,
        ins: Sequence[Value],
        path: Path,
        *,
        frame: Path | None = None,
    ) -> Plan:
        """Plan a jaxpr whose inputs are known.

        `frame` is given when it runs as often as its caller.
        """
        jaxpr = closed.jaxpr if isinstance(closed, ClosedJaxpr) else closed
        consts = closed.consts if isinstance(closed, ClosedJaxpr) else []
        plan = Plan(jaxpr, consts, path, path if frame is None else frame)
        for var, value in zip(jaxpr.constvars, consts, strict=True):
            plan.infos[var] = self._const(value)
        for k, (var, info) in enumerate(zip(jaxpr.invars, ins, strict=True)):
            plan.infos[var] = self._numbered(info, ("input", path, k))
        for i, eqn in enumerate(jaxpr.eqns):
            self._equation(plan, eqn, (*path, i))
        return plan

    def _equation(self, plan: Plan, eqn: Any, path: Path) -> None:
        ins = [self._read(plan, v) for v in eqn.invars]
        scope = str(eqn.source_info.name_stack)
        backward = self._backward[-1] or "transpose(" in scope
        ctx = Context(path, plan.frame, self.resolution, backward, self.declared, self)
        counting = COUNTING in scope
        if isinstance(length := eqn.params.get("length"), int):
            self.lengths[path] = length
        found = _counting(eqn, ins) if counting else self._found(eqn, ins, ctx)
        outs = [self._out(plan, eqn, ins, o, k) for k, o in enumerate(found.outs)]
        found = found.but(outs=outs)
        plan.infos.update(zip(eqn.outvars, outs, strict=True))
        self._record(eqn, found, ctx)
        if not counting:
            note(plan, eqn, path, ins, plan.frame, self.tables.work)
        plan.steps.append(Step(eqn, path, ins, found))

    def _found(self, eqn: Any, ins: list[Value], ctx: Context) -> Found:
        rule = RULES.get(eqn.primitive.name)
        name = eqn.primitive.name
        if rule is None and (name not in OPAQUE or name in CONTAINERS):
            rule = contained(eqn)
        if rule is None:
            return _unknown(eqn, ins, ctx)
        found = rule(eqn, ins, ctx)
        return mixed(eqn, ins, ctx, f"`{eqn.primitive.name}` of data") if found is None else found

    def _record(self, eqn: Any, found: Found, ctx: Context) -> None:
        tables = self.tables
        tables.sites.update((s.path, s) for s in found.sites)
        tables.births.update((b.path, b) for b in found.births)
        for turn in (t for b in found.births for t in sorted(b.turns, key=str)):
            tables.order.setdefault(turn, len(tables.order))
        for f in found.feeds:
            old = tables.feeds.get(f.path)
            tables.feeds[f.path] = (
                f
                if old is None
                else dataclasses.replace(
                    f, births=f.births | old.births, leaves=f.leaves | old.leaves
                )
            )
        tables.arrived |= found.arrived
        tables.picked |= found.picked
        if found.fanout is not None:
            tables.fanouts[found.fanout[0]] = found.fanout[1]
        tables.late.update(((t.path, t.field), t.late) for t in found.taps if t.late is not None)
        if found.uncounted:
            tables.uncounted[ctx.path] = _work(eqn, "")
        if found.lost is not None:
            tables.lost[ctx.path] = _work(eqn, found.lost)
        tables.met.update(dict.fromkeys(found.met))
        tables.gated.update(dict.fromkeys([found.gated] if found.gated else []))
        populations.unclaim(tables, *found.statistics)
        for population in found.neurons:
            self.claim(population, ctx.frame)

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

    def _out(self, plan: Plan, eqn: Any, ins: Sequence[Value], out: Value, k: int) -> Value:
        if out.number >= 0:
            return out
        if eqn.effects or any(i.number < 0 for i in ins):
            return self._numbered(out, ("fresh", len(self._numbers)))
        numbers = tuple(i.number for i in ins)
        out = self._numbered(out, (eqn.primitive.name, _params(eqn), numbers, k))
        self.makers[out.number] = eqn, ins
        if isinstance(out, Parameter) and not out.leaves:
            self.constants.derive(out.number, plan.jaxpr, eqn, numbers, k)
        return out

    # -- loops ------------------------------------------------------------------

    def fixpoint(self, run: Any, start: list[Value], joined: Any) -> Any:
        """Repeat `run(state)` with joined states until nothing changes.

        Only the last walk is kept.
        """
        state = start
        while True:
            before = self.tables.copy()
            result, new = run(state)
            new = joined(state, new)
            if new == state:
                return result, state
            # sites, births and feeds keep their places from walk to walk, and the new state may
            # name them
            kept = {n: getattr(self.tables, n) for n in ("sites", "births", "feeds", "order")}
            self.tables = dataclasses.replace(before, **kept)
            state = new

    def keeps_steps(self, path: Path, length: int) -> bool:
        """Whether the steps of this scan are kept: it is the outermost one of the wanted length."""
        if path in self.stepped:
            return True
        if length != self.resolution.steps or within(self.stepped, path):
            return False
        self.stepped |= {path}
        return True

    @contextmanager
    def inside(self, backward: bool) -> Iterator[None]:
        """Equations inside an equation that computes a gradient do so too."""
        self._backward.append(backward)
        try:
            yield
        finally:
            self._backward.pop()

    @contextmanager
    def deciding(self, path: Path) -> Iterator[None]:
        """Inside, only regions that begin there become neurons."""
        before = dict(self.tables.claims)
        yield
        new = self.tables.claims.items()
        own = {p: c for p, c in new if p not in before and p[: len(path)] == path}
        self.tables.claims = before | own

    # -- populations ----------------------------------------------------------------

    def regions(self, feeds: Paths) -> Paths:
        """Sites that feed a region, also through populations that feed it one to one."""
        return populations.regions(self.tables, feeds)

    def origins(self, birth: Path) -> Paths:
        """Sites that feed the region that fired."""
        return populations.origins(self.tables, birth)

    def claim(self, population: Population, frame: Path) -> None:
        """The region fed by these sites is a population of neurons."""
        populations.claim(self.tables, population, frame)

    def settle(self) -> None:
        """What is known at the end: populations in several parts, and at several turns."""
        populations.settle(self.tables, self.lengths)

    # -- constants ----------------------------------------------------------------

    def _const(self, value: Any) -> Value:
        leaf = self.leaves.of(value)
        shape = tuple(getattr(value, "shape", ()))
        key = ("const", id(value))
        known = parameter(shape) if _abstract(value) else constant(value)
        if (leaf is None or self.declared) and known_number(known):
            self.constants.add(self.number(*key), value)
            named = known if leaf is None else known.but(leaves=frozenset((leaf,)))
            return self._numbered(named, key)
        if leaf is None and not self.declared and any(n > 1 for n in shape):
            leaf = self.leaves.add((), value)  # an array of nobody we know: named by its place
        if leaf is None:
            found = self._numbered(parameter(shape, outside=self.declared), key)
            if not _abstract(value):
                self.constants.add(found.number, value)
            return found
        return self._numbered(parameter(shape, leaves=frozenset((leaf,))), key)


def known_number(info: Parameter) -> bool:
    """Whether a constant is one number everywhere."""
    return info.constant is not None


def _params(eqn: Any) -> Any:
    inner = any("jaxpr" in k or callable(v) for k, v in eqn.params.items())
    return object() if inner else str(eqn.params)


def _abstract(value: Any) -> bool:
    extended = hasattr(value, "dtype") and jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended)
    return isinstance(value, Tracer) or not hasattr(value, "dtype") or extended


def _work(eqn: Any, what: str) -> Uncounted:
    shapes = ", ".join(v.aval.str_short() for v in eqn.invars)
    return Uncounted(eqn.primitive.name, source_of(eqn), shapes, what)


def _counting(eqn: Any, ins: Sequence[Value]) -> Found:
    """Counting is not counted, where one counted program contains another."""
    data = any(isinstance(i, Data) for i in ins)
    kind = Analog if data else Parameter
    return Found([kind(Axes.of(shape_of(v))) for v in eqn.outvars])


def _unknown(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """A primitive without a rule: analog where data go in; weights beside data may be synapses."""
    if not any(isinstance(i, Data) for i in ins) or not eqn.outvars:
        return Found(from_parameters(eqn, ins))
    name = eqn.primitive.name
    opaque = "is opaque" if name in OPAQUE else "has no rule"
    found = mixed(eqn, ins, ctx, f"`{name}` {opaque}", enters=False)
    cause = because(eqn, f"`{name}` {opaque}")
    outs = [o.but(cause=cause) if isinstance(o, Analog) else o for o in found.outs]
    outs = [o.but(axes=Axes.of(shape_of(v))) for o, v in zip(outs, eqn.outvars, strict=True)]
    arrived = frozenset().union(*(i.births for i in ins if isinstance(i, Data)))
    lost = f"`{name}` {opaque}: weights meet data inside" if _may_lose(ins) else None
    if name in HOSTS:
        lost = f"`{name}` is a call of the host: what meets the data there is not seen"
    return found.but(outs=outs, uncounted=lost is None, lost=lost, arrived=arrived)


def _may_lose(ins: Sequence[Value]) -> bool:
    leaves = any(isinstance(i, Parameter) and i.leaves and i.axes.size(0) > 1 for i in ins)
    terms = any(isinstance(i, Data) and any(not t.counted for t in i.terms) for i in ins)
    return leaves or terms
