"""Second pass: run the original program and the counting beside it."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var, jaxpr_as_fun

from ._analysis import COUNTING, Analysis, Plan, Step
from ._info import Info, Kind, Path
from ._rules import Operands, events_of

Taps = dict[tuple[Path, str], Any]  # (site or birth, field) -> number or array


def split(taps: Taps) -> tuple[Taps, Taps]:
    """Arrays, which leave a traced function as outputs, and numbers, which are known already."""
    numbers = {k: v for k, v in taps.items() if isinstance(v, int | float)}
    return {k: v for k, v in taps.items() if k not in numbers}, numbers


def merged(*many: Taps) -> Taps:
    """Sum of records of the same thing; `nonzero` is a property, not a sum."""
    result: Taps = {}
    for taps in many:
        for key, value in taps.items():
            result[key] = value if key not in result or key[1] == "nonzero" else result[key] + value
    return result


class Runner:
    """Evaluates plans; carries the fan-outs that were found before a loop."""

    def __init__(self, analysis: Analysis, fanouts: dict[Path, jax.Array] | None = None):
        self.analysis, self.fanouts = analysis, fanouts or {}

    def run(self, plan: Plan, values: Sequence[Any], events: Sequence[Any]):
        """Outputs, companions of the outputs, and what was recorded."""
        env: dict[Var, Any] = dict(zip(plan.jaxpr.constvars, plan.consts, strict=True))
        env.update(zip(plan.jaxpr.invars, values, strict=True))
        companions = {v: e for v, e in zip(plan.jaxpr.invars, events, strict=True) if e is not None}
        read = lambda atom: atom.val if isinstance(atom, Literal) else env[atom]
        taps: Taps = self._claims(plan)
        for segment in _segments(plan):
            self._evaluate(plan, segment, env)
            for step in segment:
                taps = merged(taps, self._step(plan, step, read, env, companions))
        taps = merged(taps, {(path, "spikes"): self._fired(plan, k, read(plan.jaxpr.outvars[k])) for k, path in plan.booleans.items()})
        return [read(v) for v in plan.jaxpr.outvars], [_companion(companions, v) for v in plan.jaxpr.outvars], taps

    def _step(self, plan: Plan, step: Step, read, env, companions) -> Taps:
        """Control flow, companions and records of one equation whose plain value exists already."""
        outcome, eqn = step.outcome, step.eqn
        if outcome.plain:
            return {}
        values = [read(v) for v in eqn.invars]
        events = [_companion(companions, v) for v in eqn.invars]
        if outcome.run is not None:
            outs, out_events, taps = outcome.run(self, values, events)
            env.update(zip(eqn.outvars, outs, strict=True))
        else:
            extra = outcome.extra
            if extra is not None:
                extra = events_of(plan.infos[extra], env[extra], companions.get(extra))
            ops = Operands(step.ins, values, events, [env[v] for v in eqn.outvars], extra, self.fanouts)
            with jax.named_scope(COUNTING):
                out_events = outcome.events(ops) if outcome.events else [None] * len(eqn.outvars)
                skip = "nonzero" if step.path in self.fanouts else None
                taps = {(t.path, t.field): t.value(ops) if callable(t.value) else t.value for t in outcome.taps if t.field != skip}
        for var, info, companion in zip(eqn.outvars, outcome.infos, out_events, strict=True):
            if info.companion and companion is not None:
                companions[var] = jnp.broadcast_to(companion, var.aval.shape)
        return taps

    def _fired(self, plan: Plan, k: int, value) -> jax.Array:
        """Spikes of an output that is a comparison."""
        return self.analysis.summed(plan.booleans[k], value.astype(jnp.float32), plan.outs[k].axes)

    def _claims(self, plan: Plan) -> Taps:
        """Neurons that are updated once each time this plan runs."""
        if plan.path != plan.frame:
            return {}
        claims = {c for c in self.analysis.tables.claims.values() if c.frame == plan.frame}
        return merged(*({(c.owner, "updates"): self._updates(c)} for c in sorted(claims, key=lambda c: c.owner)))

    def _updates(self, claim) -> Any:
        """Updates of a population, a number unless axes are kept."""
        if self.analysis.resolution.total:
            return float(claim.elements)
        return self.analysis.summed((*claim.frame, 0), jnp.ones(claim.shape, jnp.float32), claim.repeated)

    def _evaluate(self, plan: Plan, segment: list[Step], env) -> None:
        """Run consecutive original equations as one jaxpr, which keeps custom derivatives and source lines."""
        eqns = [s.eqn for s in segment if s.outcome.run is None]
        if not eqns:
            return
        made = [v for e in eqns for v in e.outvars]
        own = set(made)
        used = list(dict.fromkeys(v for e in eqns for v in e.invars if not isinstance(v, Literal) and v not in own))
        outs = evaluate(plan.jaxpr, eqns, used, made, [env[v] for v in used])
        env.update(zip(made, outs, strict=True))

    def events(self, infos: list[Info], wanted: list[Info], values, events) -> list:
        """Companions where the wanted infos have one, made from the values where there was none."""
        return [events_of(info, jnp.asarray(value), e) if want.companion else None for info, want, value, e in zip(infos, wanted, values, events, strict=True)]

    def hoisting(self, plan: Plan, known: Callable[[int], Any]) -> tuple["Runner", Taps]:
        """A runner that knows the fan-outs of a loop whose weights do not change inside it."""
        found = dict(self.fanouts)
        with jax.named_scope(COUNTING):
            for path, weight in _weights(plan, _Scope(plan, known)):
                if path not in found:
                    found[path] = jax.lax.stop_gradient(self.analysis.fanouts[path](weight))
            new = [p for p in found if p not in self.fanouts]
            copies = {p: self.analysis.tables.sites[p].copies for p in new}
            return Runner(self.analysis, found), {(p, "nonzero"): found[p].sum() / copies[p] for p in new}


def evaluate(jaxpr: Jaxpr, eqns, invars, outvars, values) -> list:
    """Run some equations of a jaxpr."""
    piece = jaxpr.replace(constvars=[], invars=invars, outvars=outvars, eqns=eqns)
    return jaxpr_as_fun(ClosedJaxpr(piece, []))(*values)


def evaluate_one(jaxpr: Jaxpr, eqn, values: Sequence[Any]) -> list:
    """Run one equation on other values; `jaxpr` is any jaxpr, whose form is borrowed."""
    named = {v: x for v, x in zip(eqn.invars, values, strict=True) if not isinstance(v, Literal)}
    return evaluate(jaxpr, [eqn], list(named), list(eqn.outvars), list(named.values()))


def _companion(companions, atom):
    return None if isinstance(atom, Literal) else companions.get(atom)


def _segments(plan: Plan) -> list[list[Step]]:
    """Runs of ordinary equations; control flow stands alone."""
    result: list[list[Step]] = []
    for step in plan.steps:
        alone = step.outcome.run is not None
        if alone or not result or result[-1][-1].outcome.run is not None:
            result.append([step])
        else:
            result[-1].append(step)
    return result


class _Scope:
    """Looks up parameters of a loop body in the program around the loop."""

    def __init__(self, plan: Plan, known: Callable[[int], Any]):
        self.plan, self._known = plan, known
        self._made = {v: s for s in plan.steps for v in s.eqn.outvars}
        self._places = {v: i for i, v in enumerate(plan.jaxpr.invars)}
        self._values = dict(zip(plan.jaxpr.constvars, plan.consts, strict=True))

    def value(self, atom) -> Any:
        """Value of a variable that depends on nothing inside the loop, or `None`."""
        if isinstance(atom, Literal):
            return atom.val
        if atom not in self._values:
            self._values[atom] = self._find(atom)
        return self._values[atom]

    def _find(self, var) -> Any:
        if var in self._places:
            return self._known(self._places[var])
        step = self._made[var]
        if self.plan.infos[var].kind != Kind.PARAMETER or not step.outcome.plain:
            return None
        values = [self.value(v) for v in step.eqn.invars]
        if any(v is None for v in values):
            return None
        outs = evaluate_one(self.plan.jaxpr, step.eqn, values)
        return outs[step.eqn.outvars.index(var)]


def _weights(plan: Plan, scope: _Scope):
    """Sites of a loop body, also inside calls and inner loops, whose weights can be known outside."""
    for step in plan.steps:
        weight = step.outcome.weight
        if weight is not None:
            value = scope.value(step.eqn.invars[weight])
            if value is not None:
                yield step.path, value
        for inner, place in step.outcome.inner:
            yield from _weights(inner, _Scope(inner, _looking(scope, step.eqn.invars, place)))


def _looking(scope: _Scope, outer: Sequence[Any], place: Callable[[int], int | None]) -> Callable[[int], Any]:
    """Where input k of an inner jaxpr is found in the scope around it."""

    def known(k: int) -> Any:
        at = place(k)
        return None if at is None else scope.value(outer[at])

    return known
