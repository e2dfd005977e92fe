"""Second pass: run the original program and the counting beside it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var, jaxpr_as_fun
from jaxtyping import Array

from . import exact
from .events import events_of, fixed
from .exact import Sum
from .findings import COUNTING, EVENTS, Companions, Key, Operands
from .kinds import Data, Events, Parameter, Value
from .places import Path, union

Taps = dict[Any, Sum]  # (site or birth, field) -> count; with LATE or STEPS, a part of it
LATE, STEPS = "late", "steps"
LAST = frozenset({"nonzero"})  # properties: the last of several, not their sum


Beside = Callable[[], Companions]


def split(taps: Taps) -> tuple[Taps, Taps]:
    """Arrays, which leave a traced function as outputs, and numbers, which are known already."""
    known = {k: v for k, v in taps.items() if v.known}
    return {k: v for k, v in taps.items() if k not in known}, known


def merged(*many: Taps) -> Taps:
    """Sum of records of the same thing."""
    result: Taps = {}
    for taps in many:
        for key, value in taps.items():
            new = key not in result or key[1] in LAST
            result[key] = value if new else exact.add(result[key], value)
    return result


def wanted(info: Value) -> list[Key]:
    """What travels beside a value."""
    if isinstance(info, Events):
        return [EVENTS] if info.beside else []
    if isinstance(info, Data):
        keys = {t.key for t in info.pending}
        return sorted(keys, key=lambda k: (sorted(k[0]), *k[1:]))
    return []


def read_all(infos: Sequence[Value], companions: Sequence[Any]) -> list[Any]:
    """What travels beside values, as arrays that can leave a traced function."""
    return [_read(i, c) for i, c in zip(infos, companions, strict=True)]


def _read(info: Value, companion: Any) -> Companions | None:
    keys = wanted(info)
    if not keys:
        return None
    found = _force(companion)
    return {k: found[k] for k in keys}


def _force(companion: Beside | Companions | None) -> Companions:
    return companion() if callable(companion) else companion or {}


def _travelling(step: Any, operands: Operands) -> dict[Var, Any]:
    """What travels beside the outputs of an equation, made when somebody needs it."""
    if step.found.events is None:
        return {}
    lazy = _Lazy(step.found.events, operands)
    pairs = enumerate(zip(step.eqn.outvars, step.found.outs, strict=True))
    return {v: lazy.output(k, tuple(v.aval.shape)) for k, (v, info) in pairs if wanted(info)}


class Runner:
    """Evaluates plans; carries the weights and fan-outs that were found before a loop."""

    def __init__(
        self,
        walker: Any,
        fanouts: Mapping[Path, Array] | None = None,
        weights: Mapping[Path, Any] | None = None,
        body: Path | None = None,
    ):
        self.walker, self.fanouts = walker, fanouts or {}
        self.weights, self._body = weights or {}, body
        self.new: frozenset[Path] = frozenset()

    def run(
        self, plan: Any, values: Sequence[Any], companions: Sequence[Any]
    ) -> tuple[list[Any], list[Any], Taps]:
        """Outputs, what travels beside them, and what was recorded."""
        env: dict[Var, Any] = dict(zip(plan.jaxpr.constvars, plan.consts, strict=True))
        env.update(zip(plan.jaxpr.invars, values, strict=True))
        beside: dict[Var, Any] = {
            v: c for v, c in zip(plan.jaxpr.invars, companions, strict=True) if c is not None
        }
        taps: Taps = self._claims(plan)
        for segment in _segments(plan):
            self._evaluate(plan, segment, env)
            for step in segment:
                taps = merged(taps, self._step(step, env, beside))
        outs = plan.jaxpr.outvars
        return _values(outs, env), _beside(outs, beside), taps

    def _step(self, step: Any, env: dict[Var, Any], beside: dict[Var, Any]) -> Taps:
        """Control flow, companions and records of one equation whose plain value exists already."""
        found, eqn = step.found, step.eqn
        if found.plain:
            return {}
        values, there = _values(eqn.invars, env), _beside(eqn.invars, beside)
        if found.run is not None:
            outs, after, taps = found.run(self, values, there)
            env.update(zip(eqn.outvars, outs, strict=True))
            beside.update((v, c) for v, c in zip(eqn.outvars, after, strict=True) if c is not None)
            return taps
        operands = Operands(
            step.ins,
            values,
            [None if c is None else _thunk(c) for c in there],
            [env[v] for v in eqn.outvars],
            self.fanouts,
        )
        beside.update(_travelling(step, operands))
        return self._taps(step, operands)

    def _taps(self, step: Any, operands: Operands) -> Taps:
        with jax.named_scope(COUNTING):
            skip = LAST if step.path in self.fanouts else ()
            parts = [self._part(t) for t in step.found.taps if t.field not in skip]
            return {k: _sum(v(operands) if callable(v) else v) for k, v in parts}

    def _part(self, tap: Any) -> tuple[Any, Any]:
        """What is recorded of a tap in one step, and under which key."""
        late, key = tap.late, (tap.path, tap.field)
        if late is None or tap.path not in self.weights:
            return key, tap.value
        if not late.steps:
            return (*key, LATE), late.part
        direct = tap.path in self.new and tap.path[:-1] == self._body
        return ((*key, STEPS), late.part) if direct else (key, tap.value)

    def direct(self) -> "Runner":
        """A runner that finds everything in the loop itself, step by step."""
        return Runner(self.walker, self.fanouts)

    def behind(self, taps: Taps) -> Taps:
        """Parts that have added up in a loop, made into counts behind it, or behind one around."""
        late = self.walker.tables.late
        parts = {k: v for k, v in taps.items() if len(k) > 2 and k[0] in self.new}
        with jax.named_scope(COUNTING):
            made = {
                k[:2]: late[k[:2]].count(v if k[2] == LATE else v.value, self.weights[k[0]])
                for k, v in parts.items()
            }
        return {k: v for k, v in taps.items() if k not in parts} | made

    def _claims(self, plan: Any) -> Taps:
        """Neurons that are updated once each time this plan runs."""
        if plan.path != plan.frame:
            return {}
        claims = [c for c in self.walker.tables.claimed if c.frame == plan.frame]
        ordered = sorted(claims, key=lambda c: c.owner)
        return merged(*({(c.record, "updates"): self._updates(c, plan)} for c in ordered))

    def _updates(self, claim: Any, plan: Any) -> Sum:
        """Updates of a population, a number unless axes are kept."""
        resolution = plan.resolution
        if resolution.total:
            return exact.known(claim.elements)
        within = any((*claim.frame, 0)[: len(k)] == k for k in self.walker.stepped)
        ones = jnp.ones(claim.axes.shape, jnp.float32)
        share = claim.elements / max(ones.size, 1)
        return resolution.summed(ones * share, claim.axes.wholly(5), within, max(share, 1.0))

    def _evaluate(self, plan: Any, segment: list[Any], env: dict[Any, Any]) -> None:
        """Run consecutive original equations as one jaxpr: derivatives and source lines stay."""
        if segment[0].found.run is not None:  # control flow, which stands alone
            return
        eqns = [s.eqn for s in segment]
        made = [v for e in eqns for v in e.outvars]
        used = _used(eqns, made)
        outs = evaluate(plan.jaxpr, eqns, used, made, [env[v] for v in used])
        if self.walker.resolution.existence:
            outs = map(_without_slope, outs, (k for s in segment for k in s.found.outs))
        env.update(zip(made, outs, strict=True))

    def companions(
        self, infos: Sequence[Value], want: Sequence[Value], values: Sequence[Any], there: Any
    ) -> list[Any]:
        """What should travel beside values, made from the values where nothing did."""
        found: list[Companions | None] = []
        for info, goal, value, companion in zip(infos, want, values, there, strict=True):
            keys = wanted(goal)
            if not keys:
                found.append(None)
                continue
            have = _force(companion)
            found.append({k: _made(info, value, have, k) for k in keys})
        return found

    def hoisting(
        self, plan: Any, known: Callable[[int], Any], scan: bool = True
    ) -> tuple["Runner", Taps]:
        """A runner that knows the fan-outs of a loop whose weights do not change inside it."""
        found, weights = dict(self.fanouts), dict(self.weights)
        tables = self.walker.tables
        with jax.named_scope(COUNTING):
            for path, weight in _weights(plan, _Scope(plan, known)):
                if path not in found:
                    found[path] = fixed(tables.fanouts[path].reach(weight))
                    weights[path] = weight
            new = [p for p in found if p not in self.fanouts]
            every = tables.fanouts
            counts = {(p, "nonzero"): every[p].existing(weights[p], found[p]) for p in new}
            runner = Runner(self.walker, found, weights, plan.path if scan else None)
            runner.new = frozenset(new)
            return runner, counts


def _values(atoms: Sequence[Any], env: Mapping[Var, Any]) -> list[Any]:
    """Values of variables and literals."""
    return [a.val if isinstance(a, Literal) else env[a] for a in atoms]


def _beside(atoms: Sequence[Any], beside: Mapping[Var, Any]) -> list[Any]:
    """What travels beside variables; nothing does beside a literal."""
    return [None if isinstance(a, Literal) else beside.get(a) for a in atoms]


def _used(eqns: Sequence[Any], made: Sequence[Var]) -> list[Var]:
    """Variables that equations read and do not make, each once."""
    own = set(made)
    read = (v for e in eqns for v in e.invars if not isinstance(v, Literal))
    return list(dict.fromkeys(v for v in read if v not in own))


def _without_slope(value: Any, info: Value) -> Any:
    """Data as a constant; parameters keep their gradient."""
    return jax.lax.stop_gradient(value) if isinstance(info, Data) else value


def _made(info: Value, value: Any, have: Mapping[Key, Array], key: Key) -> Array:
    if key in have:
        return jnp.broadcast_to(have[key], jnp.shape(value))
    if key == EVENTS:
        return events_of(info, jnp.asarray(value), have.get(EVENTS))
    if isinstance(info, Events) and any(t.key == key for t in info.terms):
        return events_of(info, jnp.asarray(value), have.get(EVENTS))
    return jnp.zeros(jnp.shape(value), jnp.float32)


def _sum(value: Any) -> Sum:
    if isinstance(value, Sum):
        return value
    if isinstance(value, int | float):
        return exact.known(value)
    return Sum(value, None, math.inf)


def _thunk(companion: Beside | Companions) -> Beside:
    return companion if callable(companion) else lambda: companion


class _Lazy:
    """What travels beside the outputs of one equation, made when somebody needs it."""

    def __init__(self, make: Any, operands: Operands):
        self._make, self._operands = make, operands
        self._made: list[Companions | None] | None = None

    def output(self, k: int, shape: tuple[int, ...]) -> Beside:
        """The part of output k."""

        def read() -> Companions:
            if self._made is None:
                with jax.named_scope(COUNTING):
                    self._made = list(self._make(self._operands))
            found = self._made[k] or {}
            return {key: jnp.broadcast_to(c, shape) for key, c in found.items()}

        return read


def evaluate(jaxpr: Jaxpr, eqns: Any, invars: Any, outvars: Any, values: Any) -> list[Any]:
    """Run some equations of a jaxpr."""
    effects = union(e.effects for e in eqns)
    piece = jaxpr.replace(constvars=[], invars=invars, outvars=outvars, eqns=eqns, effects=effects)
    return [*jaxpr_as_fun(ClosedJaxpr(piece, []))(*values)]


def evaluate_one(jaxpr: Jaxpr, eqn: Any, values: Sequence[Any]) -> list[Any]:
    """Run one equation on other values; `jaxpr` is any jaxpr, whose form is borrowed."""
    named = {v: x for v, x in zip(eqn.invars, values, strict=True) if not isinstance(v, Literal)}
    return evaluate(jaxpr, [eqn], list(named), list(eqn.outvars), list(named.values()))


def _segments(plan: Any) -> list[list[Any]]:
    """Runs of ordinary equations; control flow stands alone."""
    result: list[list[Any]] = []
    for step in plan.steps:
        alone = step.found.run is not None
        if alone or not result or result[-1][-1].found.run is not None:
            result.append([step])
        else:
            result[-1].append(step)
    return result


class _Scope:
    """Looks up parameters of a loop body in the program around the loop."""

    def __init__(self, plan: Any, known: Callable[[int], Any]):
        self.plan, self._known = plan, known
        self._steps = {v: s for s in plan.steps for v in s.eqn.outvars}
        self._places = {v: i for i, v in enumerate(plan.jaxpr.invars)}
        self._values = dict(zip(plan.jaxpr.constvars, plan.consts, strict=True))

    def value(self, atom: Any) -> Any:
        """Value of a variable that depends on nothing inside the loop, or `None`."""
        if isinstance(atom, Literal):
            return atom.val
        if atom not in self._values:
            self._values[atom] = self._find(atom)
        return self._values[atom]

    def _find(self, var: Any) -> Any:
        if var in self._places:
            return self._known(self._places[var])
        step = self._steps[var]
        if not isinstance(self.plan.infos[var], Parameter) or not step.found.plain:
            return None
        values = [self.value(v) for v in step.eqn.invars]
        if any(v is None for v in values):
            return None
        outs = evaluate_one(self.plan.jaxpr, step.eqn, values)
        return outs[step.eqn.outvars.index(var)]


def _weights(plan: Any, scope: _Scope) -> Iterator[tuple[Path, Any]]:
    """Sites of a loop body, inner loops included, whose weights can be known outside."""
    for step in plan.steps:
        if step.found.weight is not None:
            value = scope.value(step.eqn.invars[step.found.weight])
            if value is not None:
                yield step.path, value
        for inner, place in step.found.inner:
            yield from _weights(inner, _Scope(inner, _looking(scope, step.eqn.invars, place)))


def _looking(scope: _Scope, outer: Any, place: Callable[[int], int | None]) -> Callable[[int], Any]:
    """Where input k of an inner jaxpr is found in the scope around it."""

    def known(k: int) -> Any:
        at = place(k)
        return None if at is None else scope.value(outer[at])

    return known
