"""Choices: by parameters a mask, by spikes a product or a reset."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..findings import EVENTS, Companions, Context, Found, Operands, existing, magnitude
from ..kinds import (
    SPIKE,
    TERNARY,
    UNIT,
    Analog,
    Data,
    Events,
    Parameter,
    Scale,
    Value,
    Values,
    join,
    shared,
    united,
)
from .births import elementwise_axes, mixed, union
from .combined import logical, refired
from .registry import parameter_of, rule, shape_of
from .sets import are_events, kept, same, values_of
from .sums import added_terms
from .terms import chosen_terms, scaled_terms


def _selected(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    return [parameter_of(ins[1:], shape_of(eqn.outvars[0]), values=_all_values(ins[1:]))]


@rule("select_n", parameters=_selected, elementwise=True)
def _select(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """A choice: by parameters a mask, by spikes a product or a reset."""
    pred, *cases = ins
    if _all_same(cases):
        return same(cases[-1], len(cases))
    decided = _decided(pred, cases)
    if decided is not None:
        return same(cases[decided], 1 + decided)
    if all(isinstance(c, Parameter) for c in cases):
        return _select_parameters(eqn, ins, ctx)
    cases = [_levels(c) for c in cases]
    if all(_around_zero(c) for c in cases) or are_events(_all_values(cases)):
        return _select_events(eqn, [pred, *cases], ctx)
    return _select_analog(eqn, ins, ctx)


def _decided(pred: Value, cases: Sequence[Value]) -> int | None:
    """The case that a predicate always chooses; nobody spikes on NaN, which decides nothing."""
    if not isinstance(pred, Events):
        return None
    if pred.nan_test and len(cases) == 2:
        return 0
    return int(*pred.values) if pred.values is not None and len(pred.values) == 1 else None


def _all_same(cases: Sequence[Value]) -> bool:
    """Whether all cases are x, or x without its gradient, as `vmap` makes them of a branch."""
    known = all(c.number >= 0 or c.form is not None for c in cases)
    return len(cases) == 1 or (known and len({c.linear for c in cases}) == 1)


def _select_analog(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    pred, *cases = ins
    gated, lost = chosen_terms(cases, pred) if isinstance(pred, Data) else (frozenset(), None)
    terms = added_terms(cases) | gated
    found = mixed(eqn, [*cases, *_firing(pred, ctx)], ctx, "data select", terms=terms)
    out = found.outs[0].but(**_choice_axes(eqn, ins))
    beside = (lambda ops: [_chosen_terms(ops, out)]) if out.travels else None
    return found.but(outs=[out], events=beside, lost=lost)


def _firing(pred: Value, ctx: Context) -> list[Value]:
    """A predicate that is spikes of neurons enters the region; a mask does not."""
    if not isinstance(pred, Events) or pred.weak:
        return []
    return [pred] if any(b.feeds for b in ctx.births(pred.births)) else []


def _choice_axes(eqn: Any, ins: Sequence[Value]) -> dict[str, Any]:
    return dict(axes=elementwise_axes(eqn, [i for i in ins if len(i.axes)]))


def _around_zero(case: Value) -> bool:
    return isinstance(case, Events) or are_events(values_of(case))


def _chosen_terms(ops: Operands, out: Value) -> Companions:
    assert isinstance(out, Data)
    keys = {t.key for t in out.terms if not t.counted}
    shape, n = ops.outs[0].shape, len(ops.values) - 1
    choose = lambda many: jax.lax.select_n(ops.values[0], *many)
    return {
        k: choose([jnp.broadcast_to(ops.term(1 + i, k), shape) for i in range(n)]) for k in keys
    }


def _select_parameters(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """`where(spike, w, 0)` is spikes times w; other constants are only the values of a spike."""
    pred, *cases = ins
    numbers = [c.constant for c in cases if isinstance(c, Parameter)]
    if not isinstance(pred, Events) or len(numbers) != 2:
        return mixed(eqn, ins, ctx, "data select between parameters", enters=False)
    low, high = numbers
    found = None
    if low is not None and high is not None:
        found = kept(eqn, [pred], ctx, lambda x: high if x else low)
    if found is None and 0 in numbers:
        return _gated(eqn, ins, ctx, 1 - numbers.index(0))
    values = united(*(values_of(c) for c in cases))
    return found or mixed(
        eqn, ins, ctx, "data select between parameters", enters=False, values=values
    )


def _gated(eqn: Any, ins: Sequence[Value], ctx: Context, chosen: int) -> Found:
    """A parameter where spikes say so, else zero."""
    pred, weight = ins[0], ins[1 + chosen]
    assert isinstance(pred, Events)
    assert isinstance(weight, Parameter)
    axes = elementwise_axes(eqn, [i for i in ins if len(i.axes)])
    out = pred.but(
        axes=axes,
        **(
            dict(values=weight.values or None, scale=UNIT, nonneg=True)
            if weight.is_mask
            else dict(values=None, scale=(1.0, (weight.number,)), nonneg=False)
        ),
        beside=not weight.is_mask,
        number=-1,
        form=None,
        terms=scaled_terms(eqn, [pred, weight], False),
    )
    if weight.is_mask:
        out = out.but(values=SPIKE)
        return Found([out])

    def events(ops: Operands) -> list[Companions]:
        there = ops.events(0) if chosen else 1 - ops.events(0)
        return [{EVENTS: there * existing(ops.values[1 + chosen])}]

    return Found([out], events=events)


def _select_events(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """A choice between values around zero: the events of the case that is chosen."""
    pred, *cases = ins
    values = _all_values(cases)
    gates = [pred] if isinstance(pred, Events) else []
    found = logical(eqn, cases, ctx, values, masks=True, gates=gates)
    out = found.outs[0]
    assert isinstance(out, Events)
    simple = values is not None and values <= TERNARY
    scale = UNIT if simple else _one_scale(cases)
    plain = simple or (scale == UNIT and all(c.plain for c in cases if isinstance(c, Events)))
    out = out.but(
        scale=scale,
        beside=not plain,
        nonneg=all(map(_nonnegative, cases)),
        terms=added_terms(cases),
        **_choice_axes(eqn, ins),
    )
    if not simple and len(out.births) > 1:  # several levels of one comparison
        count = (lambda ops: _chosen_events(ops)[0][EVENTS]) if out.beside else _magnitude
        return refired(eqn, ctx, out, out.births, events=count)
    return found.but(outs=[out], events=_chosen_events if out.beside else None)


def _levels(case: Value) -> Value:
    """Data with few values, none of them zero, as they are beside a zero."""
    if not isinstance(case, Analog) or case.values is None:
        return case
    known = {f.name: getattr(case, f.name) for f in dataclasses.fields(Data)}
    return Events(**known, values=case.values, scale=None, nonneg=min(case.values) > 0)


def _magnitude(ops: Operands) -> Any:
    return magnitude(ops.outs[0])


def _one_scale(cases: Sequence[Value]) -> Scale | None:
    """The scale that all events share; a constant that is no spike must be a number of events."""
    scale = shared(c.scale for c in cases if isinstance(c, Events))
    sets = [c.values for c in cases if isinstance(c, Parameter) and c.values is not None]
    other = union(values for values in sets if not are_events(values))
    counts = scale == UNIT and all(v.is_integer() for v in other)
    return scale if counts or not other else None


def _all_values(cases: Sequence[Value]) -> Values | None:
    """Every value of any case, where all are known."""
    return united(*map(values_of, cases))


def _nonnegative(case: Value) -> bool:
    own = case.nonneg if isinstance(case, Events) else True
    return own and min(values_of(case) or {0}) >= 0


def _chosen_events(ops: Operands) -> list[Companions]:
    shape = ops.outs[0].shape
    options = [jnp.broadcast_to(ops.events(k), shape) for k in range(1, len(ops.values))]
    return [{EVENTS: jax.lax.select_n(ops.values[0], *options)}]


@rule("select_if_vmap", elementwise=True)
def _select_if_vmap(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Equinox's loops: the first value, or under `vmap` whichever the predicate says."""
    out = join(ins[1], ins[2])
    if not (isinstance(out, Events) and out.beside):
        return Found([out.but(number=-1, form=None)])
    choose = lambda ops: [{EVENTS: jnp.where(ops.values[0], ops.events(1), ops.events(2))}]
    return Found([out.but(number=-1, form=None)], events=choose)
