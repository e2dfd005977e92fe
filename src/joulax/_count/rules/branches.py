"""Branches: the one taken is counted."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..exact import Sum
from ..findings import Found
from ..kinds import (
    NONE,
    Analog,
    Data,
    Events,
    Parameter,
    Term,
    Value,
    is_nonnegative,
    is_simple,
    join,
    united,
)
from ..run import Runner, Taps, read_all, wanted
from .registry import because, rule
from .sets import values_of
from .terms import chosen_terms


@rule("cond", container=True)
def _cond(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    index, *rest = ins
    plans = [ctx.walk(b, rest, at=i) for i, b in enumerate(eqn.params["branches"])]
    options = list(zip(*(plan.outs for plan in plans), strict=True))
    by_data = index if isinstance(index, Data) else None
    outs = [_either(eqn, o, by_data) for o in options]
    lost = _lost(options, by_data)
    quiet = all(plan.quiet for plan in plans) and not ctx.used([plan.frame for plan in plans])
    if quiet and not any(map(wanted, outs)):
        return Found(outs, lost=lost)

    run = _switch(plans, rest, outs)
    inner = tuple((plan, lambda k: k + 1) for plan in plans)
    return Found(outs, run=run, inner=inner, lost=lost)


def _switch(plans: Sequence[Any], rest: Sequence[Value], outs: Sequence[Value]) -> Any:
    """The choice with counts beside it: every branch gives what any branch has."""

    def run(runner: Runner, values: list, companions: list) -> Any:
        args = (list(values[1:]), read_all(rest, companions[1:]))
        branches = [_branch(runner, plan, outs) for plan in plans]
        shapes = [jax.eval_shape(lambda *a, b=b: _arrays(b(*a)[2]), *args) for b in branches]
        found = functools.reduce(_largest, shapes, {})
        return jax.lax.switch(values[0], [_complete(b, found) for b in branches], *args)

    return run


def _branch(runner: Runner, plan: Any, outs: Sequence[Value]) -> Callable[..., Any]:
    """One branch, with what travels beside its results as all branches say."""

    def call(values: list, there: list) -> Any:
        results, after, found = runner.run(plan, values, there)
        return results, runner.companions(plan.outs, outs, results, after), found

    return call


def _complete(branch: Callable[..., Any], found: dict[Any, Sum]) -> Callable[..., Any]:
    """A branch with every count that any branch has."""

    def call(*args: Any) -> Any:
        results, there, taps = branch(*args)
        return results, there, {k: _like(taps.get(k), s) for k, s in found.items()}

    return call


def _arrays(taps_: Taps) -> Taps:
    return {k: v.array() for k, v in taps_.items()}


def _largest(a: dict[Any, Sum], b: dict[Any, Sum]) -> dict[Any, Sum]:
    both = dict(a)
    for k, new in b.items():
        old = both.get(k)
        bound = max(new.bound, old.bound) if old else new.bound
        rest = new.rest if new.rest is not None else old.rest if old else None
        both[k] = Sum(new.value, rest, bound)
    return both


def _like(count: Sum | None, shape: Sum) -> Sum:
    """A count with the form that all branches share."""
    if count is None:
        count = Sum(jnp.zeros(shape.value.shape, jnp.float32), None, 0.0)
    here = count.array()
    rest = here.rest
    if shape.rest is not None and rest is None:
        rest = jnp.zeros_like(here.value)
    return Sum(here.value, rest, shape.bound)


def _either(eqn: Any, options: Sequence[Value], index: Data | None) -> Value:
    """What comes out of one branch or another."""
    out = functools.reduce(join, options)
    if options[0].number >= 0 and all(o == options[0] for o in options):
        return options[0]
    terms = NONE if index is None else chosen_terms(options, index)[0]
    if isinstance(out, Data):
        return out.but(number=-1, form=None, terms=out.terms | terms)
    if index is None:
        return out.but(number=-1, form=None)
    return _chosen_parameter(eqn, options, out, terms)


def _chosen_parameter(
    eqn: Any, options: Sequence[Value], out: Value, terms: frozenset[Term]
) -> Data:
    """One parameter or another, as data say."""
    assert isinstance(out, Parameter)
    cause = because(eqn, "a branch chosen by data")
    values = united(*(values_of(o) for o in options))
    if is_simple(values):
        nonneg = is_nonnegative(values)
        return Events(out.axes, cause=cause, values=values, nonneg=nonneg, weak=True)
    return Analog(out.axes, cause=cause, weight=out.weight, terms=terms)


def _lost(options: Sequence[Sequence[Value]], index: Data | None) -> str | None:
    found = [] if index is None else [chosen_terms(o, index)[1] for o in options]
    return next((text for text in found if text), None)
