"""Branches: the one taken is counted."""

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..exact import Sum
from ..findings import Context, Found
from ..joins import join
from ..kinds import (
    Analog,
    Data,
    Events,
    Parameter,
    Term,
    Value,
    is_nonnegative,
    is_simple,
    united,
)
from ..packs import Pack
from ..places import NONE, Path, Paths, stands_in
from ..run import Runner, Taps, read_all
from .births import population
from .chosen import chosen_terms, rows_lost
from .contents import births_in
from .loops import is_quiet
from .parts import either_pack
from .registry import because, rule, shape_of
from .rows import RowSite, row_sites, settled, with_rows
from .sets import values_of


@rule("cond", container=True)
def _cond(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    index, *rest = ins
    plans = [ctx.walk(b, rest, at=i, chosen=index) for i, b in enumerate(eqn.params["branches"])]
    options = list(zip(*(plan.outs for plan in plans), strict=True))
    _claim_states(ctx, plans)
    by_data = index if isinstance(index, Data) else None
    outs = [_walked(_either(eqn, o, by_data), o, index) for o in options]
    lost = _lost(outs, options, by_data)
    rows = row_sites(eqn, outs, options, by_data, ctx) if by_data else []
    packs = _packs(options, ctx)
    if not rows and is_quiet(ctx, plans, outs):
        return Found(outs, lost=lost, packs=packs)
    return Found(
        [settled(k, out, rows) for k, out in enumerate(outs)],
        inner=tuple((plan, _behind_index) for plan in plans),
        lost=lost,
        sites=tuple(r.site for r in rows),
        arrived=_arrived(index, outs, rows),
        run=_with_rows(rows, ctx, _switch(plans, rest, outs)),
        packs=packs,
    )


def _packs(options: Sequence[Sequence[Value]], ctx: Context) -> dict[int, Pack]:
    """The values of arrays that are put together in some branch, by the number of the output."""
    found = ((k, either_pack(o, ctx)) for k, o in enumerate(options))
    return {k: pack for k, pack in found if pack is not None}


def _claim_states(ctx: Any, plans: Sequence[Any]) -> None:
    """States that a branch drives and another one hands on as they are: updated where driven."""
    for k, variables in enumerate(zip(*(plan.jaxpr.outvars for plan in plans), strict=True)):
        handed = [v in plan.jaxpr.invars for v, plan in zip(variables, plans, strict=True)]
        if any(handed) and not ctx.backward:
            for plan in itertools.compress(plans, map(operator.not_, handed)):
                _claim_state(ctx, plan, k)


def _claim_state(ctx: Any, plan: Any, k: int) -> None:
    """A state that currents of a branch drive, made of itself."""
    info = plan.outs[k]
    if isinstance(info, Analog) and info.held and _is_driven_in(info.feeds, plan.path):
        neurons = population(info, shape_of(plan.jaxpr.outvars[k]), state=True)
        ctx.claim(neurons, plan.frame)


def _is_driven_in(feeds: Paths, place: Path) -> bool:
    """Whether some feeds stand inside a branch."""
    return any(stands_in(f, place) for f in feeds)


def _arrived(index: Value, outs: Sequence[Value], rows: Sequence[RowSite]) -> Paths:
    """Spikes that reach the synapses of rows: those that choose them, or those in them."""
    by_index = isinstance(index, Data) and any(r.chosen_by(index) for r in rows)
    return births_in([outs[r.output] for r in rows] + ([index] if by_index else []))


def _with_rows(rows: Sequence[RowSite], ctx: Context, run: Any) -> Any:
    """The choice, where what its branches have added is the record of a site, or of none."""

    def counted(runner: Runner, values: list[Any], companions: list[Any]) -> Any:
        outs, there, taps = run(runner, values, companions)
        for r in rows:
            beside = there[r.output]
            taps |= r.counts(values[0], beside, ctx.resolution, ctx.within_steps())
            there[r.output] = {k: v for k, v in there[r.output].items() if k != r.key}
        return outs, there, taps

    return counted


def _behind_index(k: int) -> int:
    """Where input k of a branch stands among the operands."""
    return k + 1


def _switch(plans: Sequence[Any], rest: Sequence[Value], outs: Sequence[Value]) -> Any:
    """The choice with counts beside it: every branch gives what any branch has."""

    def run(runner: Runner, values: list[Any], companions: list[Any]) -> list[Any]:
        args = (list(values[1:]), read_all(rest, companions[1:]))
        branches = [_branch(runner, plan, outs) for plan in plans]
        shapes = [jax.eval_shape(functools.partial(_counts, b), *args) for b in branches]
        found = functools.reduce(_largest, shapes, {})
        return [*jax.lax.switch(values[0], [_complete(b, found) for b in branches], *args)]

    return run


def _branch(runner: Runner, plan: Any, outs: Sequence[Value]) -> Callable[..., Any]:
    """One branch, with what travels beside its results as all branches say."""

    def call(values: list[Any], there: list[Any]) -> Any:
        results, after, found = runner.run(plan, values, there)
        beside = runner.companions(plan.outs, outs, results, after)
        own = runner.companions(plan.outs, plan.outs, results, after)
        return results, [*map(with_rows, plan.outs, outs, results, beside, own)], found

    return call


def _complete(branch: Callable[..., Any], found: dict[Any, Sum]) -> Callable[..., Any]:
    """A branch with every count that any branch has."""

    def call(*args: Any) -> Any:
        results, there, taps = branch(*args)
        return results, there, {k: _like(taps.get(k), s) for k, s in found.items()}

    return call


def _counts(branch: Callable[..., Any], *args: Any) -> Taps:
    """What a branch records, as arrays."""
    taps: Taps = branch(*args)[2]
    return {k: v.array() for k, v in taps.items()}


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
    nothing = functools.partial(jnp.zeros, shape.value.shape, jnp.float32)
    if count is None:
        return Sum(nothing(), None if shape.rest is None else nothing(), shape.bound)
    here = count.array()
    rest = nothing() if here.rest is None and shape.rest is not None else here.rest
    return Sum(here.value, rest, shape.bound)


def _either(eqn: Any, options: Sequence[Value], index: Data | None) -> Value:
    """What comes out of one branch or another."""
    out = functools.reduce(join, options)
    if options[0].number >= 0 and all(o == options[0] for o in options):
        return options[0]
    terms = NONE if index is None else chosen_terms(options, index)
    if isinstance(out, Data):
        return out.anew(terms=terms if index else out.terms)
    if index is None:
        return out.anew()
    return _chosen_parameter(eqn, options, out, terms)


def _walked(out: Value, options: Sequence[Value], index: Value) -> Value:
    """Other parts of a leaf in each step of a loop whose counter chooses among them."""
    if not (isinstance(out, Parameter) and isinstance(index, Parameter)) or out in options:
        return out
    return out.anew(place=out.place.walked(index.place.loops))


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


def _lost(
    outs: Sequence[Value], options: Sequence[Sequence[Value]], index: Data | None
) -> str | None:
    pairs = zip(outs, options, strict=True)
    found = [rows_lost(o, index) for out, o in pairs if index and isinstance(out, Data)]
    return next((text for text in found if text), None)
