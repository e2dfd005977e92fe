"""Branches: the one taken is counted."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..exact import Sum
from ..findings import Found
from ..kinds import (
    NONE,
    TERNARY,
    Analog,
    Data,
    Events,
    Parameter,
    Value,
    few,
    join,
)
from ..run import Runner, Taps, read_all, wanted
from .registry import because, rule
from .terms import chosen_terms


@rule("cond", container=True)
def _cond(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    index, *rest = ins
    branches = eqn.params["branches"]
    plans = [ctx.walk(b, rest, at=i) for i, b in enumerate(branches)]
    options = list(zip(*(plan.outs for plan in plans), strict=True))
    by_data = index if isinstance(index, Data) else None
    outs = [_either(eqn, o, by_data) for o in options]
    lost = _lost(options, by_data)
    frames = [plan.frame for plan in plans]
    quiet = all(plan.quiet for plan in plans) and not ctx.used(frames)
    if quiet and not any(map(wanted, outs)):
        return Found(outs, lost=lost)

    def run(runner: Runner, values: list, companions: list) -> Any:
        def branch(plan: Any) -> Any:
            def call(values_: list, there: list) -> Any:
                results, after, found = runner.run(plan, values_, there)
                return results, runner.companions(plan.outs, outs, results, after), found

            return call

        args = (list(values[1:]), read_all(rest, companions[1:]))
        found: dict[Any, Sum] = {}
        for plan in plans:
            shapes = jax.eval_shape(lambda *a, p=plan: _arrays(branch(p)(*a)[2]), *args)
            found = _largest(found, shapes)

        def complete(plan: Any) -> Any:
            def call(*args_: Any) -> Any:
                results, there, taps_ = branch(plan)(*args_)
                return results, there, {k: _like(taps_.get(k), s) for k, s in found.items()}

            return call

        return jax.lax.switch(values[0], [complete(p) for p in plans], *args)

    inner = tuple((plan, lambda k: k + 1) for plan in plans)
    return Found(outs, run=run, inner=inner, lost=lost)


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
    same = all(o == options[0] for o in options)
    if same and options[0].number >= 0:
        return options[0]
    terms = NONE if index is None else chosen_terms(options, index)[0]
    if isinstance(out, Data):
        return out.but(number=-1, form=None, terms=out.terms | terms)
    if index is None or not isinstance(out, Parameter):
        return out.but(number=-1, form=None)
    cause = because(eqn, "a branch chosen by data")
    sets = [o.values for o in options if isinstance(o, Parameter)]
    known = all(s is not None for s in sets)
    values = few(set().union(*(s for s in sets if s is not None))) if known else None
    if values is not None and values <= TERNARY:
        nonneg = min(values) >= 0
        return Events(out.axes, cause=cause, values=values, nonneg=nonneg, weak=True)
    return Analog(out.axes, cause=cause, weight=out.weight, terms=terms)


def _lost(options: Sequence[Sequence[Value]], index: Data | None) -> str | None:
    found = [] if index is None else [chosen_terms(o, index)[1] for o in options]
    return next((text for text in found if text), None)
