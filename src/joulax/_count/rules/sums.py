"""Sums of two values: at one scale events stay events, at different scales they are analog."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..findings import EVENTS, Companions, Context, Found, Operands, magnitude
from ..kinds import (
    TERNARY,
    Data,
    Events,
    Form,
    Parameter,
    Value,
)
from ..polynomial import added
from .births import (
    datas,
    elementwise_axes,
    mixed,
    unrolled,
)
from .combined import logical, refired
from .registry import parameter_of, rule, shape_of
from .sets import by_what_it_is, kept, mapped, same, values_of
from .terms import bare_terms, merged_terms


def combined_form(ins: Sequence[Value], signs: Sequence[float]) -> Form | None:
    """A sum as coefficients of numbered values."""
    found: dict[int, float] = {}
    for value, sign in zip(ins, signs, strict=True):
        if isinstance(value, Parameter) and value.constant == 0:
            continue
        if value.number < 0 and value.form is None:
            return None
        for number, factor in value.linear:
            found[number] = found.get(number, 0.0) + sign * factor
    form = tuple(sorted((n, c) for n, c in found.items() if c))
    return form if len(form) <= MOST else None


MOST = 8  # longer forms are not followed


def straight_through(
    eqn: Any, ins: Sequence[Value], form: Form | None, ctx: Context
) -> Found | None:
    """A sum in which everything but spikes cancels."""
    if form is None or all(i.form is None for i in ins):
        return None
    if len(form) != 1 or form[0][1] != 1:
        return None
    root = ctx.numbered(form[0][0])
    if not isinstance(root, Events) or root.beside or root.axes.shape != ins[0].axes.shape:
        return None

    def there(ops: Operands) -> Any:
        value = magnitude(ops.outs[0])
        return value + jax.lax.stop_gradient(jnp.round(value) - value)

    out = root.but(beside=True, form=form, number=-1)
    return refired(eqn, ctx, out, out.births, events=there)  # with the slope of the surrogate


def _sum_of_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    sign = -1 if eqn.primitive.name == "sub" else 1
    values = mapped(lambda x, y: x + sign * y, *(values_of(i) for i in ins))
    return [parameter_of(ins, shape_of(eqn.outvars[0]), values=values)]


@rule("add", "add_any", "sub", parameters=_sum_of_parameters, elementwise=True)
def _sum(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Sums: at one scale events stay events, at different scales they are analog."""
    minus = eqn.primitive.name == "sub"
    form = combined_form(ins, (1.0, -1.0 if minus else 1.0))
    found = straight_through(eqn, ins, form, ctx) or _with_zero(eqn, ins, form, minus)
    if found is not None:
        return found
    found = merged_terms(eqn, ins, ctx)
    if found is None and all(isinstance(i, Events | Parameter) for i in ins):
        found = _of_events(eqn, ins, ctx, -1 if minus else 1)
    if found is None:
        terms = added_terms(ins) | bare_terms(ins)
        found = mixed(eqn, ins, ctx, _why_sum(ins[0], ins[1], minus), terms=terms)
    found = unrolled(eqn, found, ins, ctx)
    out = found.outs[0]
    beside = found.events or ((lambda ops: [_added(ops, out)]) if out.travels else None)
    return found.but(outs=[out.but(form=form)], events=beside)


def _with_zero(eqn: Any, ins: Sequence[Value], form: Form | None, minus: bool) -> Found | None:
    """A value to which nothing is added."""
    for i, other in ((0, ins[1]), (1, ins[0])):
        zero = isinstance(other, Parameter) and other.constant == 0
        if zero and not (minus and i == 1):
            return same(ins[i], i, form=form, axes=elementwise_axes(eqn, ins))
    return None


def _of_events(eqn: Any, ins: Sequence[Value], ctx: Context, sign: int) -> Found | None:
    """Sums of events and constants: by what they are, else at one scale."""
    total = lambda x, y: x + sign * y
    found = by_what_it_is(eqn, ins, ctx, added(ins, sign), total)
    if found is None and _exact(ins, sign):
        found = kept(eqn, ins, ctx, total)
    return found or _one_scale(eqn, ins, ctx, sign < 0)


def _exact(ins: Sequence[Value], sign: int) -> bool:
    """Whether counting by what it is loses no event: {−1, 0, 1} in and out, or one operand."""
    spikes = [i for i in ins if isinstance(i, Events)]
    if any(s.terms or (s.held and len(spikes) > 1) for s in spikes):
        return False
    values = mapped(lambda x, y: x + sign * y, *(values_of(i) for i in ins))
    single = all(s.values is not None and s.values <= TERNARY for s in spikes)
    simple = values is not None and values <= TERNARY
    return (single and simple) or len(spikes) < len(ins)


def _one_scale(eqn: Any, ins: Sequence[Value], ctx: Context, minus: bool) -> Found | None:
    """Sums of events at one scale: the number of events adds up."""
    a, b = ins
    if not (isinstance(a, Events) and isinstance(b, Events)) or a.scale != b.scale or not a.scale:
        return None
    sign = -1 if minus else 1
    values = mapped(lambda x, y: x + sign * y, a.values, b.values)
    plain = not minus and all(s.plain and s.nonneg for s in (a, b))
    found = logical(eqn, ins, ctx, values, masks=False)
    out = found.outs[0]
    assert isinstance(out, Events)
    out = out.but(
        beside=not plain,
        scale=a.scale,
        nonneg=plain,
        running=out.running | a.held | b.held,
        terms=added_terms(ins),
        values=values,
        poly=added(ins, sign),
    )
    if found.births:  # counted by what it is
        return found
    if _levels_of_one(a, b, out, ctx):
        return refired(eqn, ctx, out, out.births, events=lambda ops: _added(ops, out)[EVENTS])
    return Found([out], events=(lambda ops: [_added(ops, out)]) if out.travels else None)


def _levels_of_one(a: Events, b: Events, out: Events, ctx: Context) -> bool:
    """Whether these are comparisons of one population in one step: levels of its spikes."""
    known = ctx.births(out.births)
    same = {(k.feeds, k.part, k.turns, k.repeated) for k in known}
    alike = a.part == b.part and a.held == b.held and a.axes == b.axes
    return bool(a.births and b.births) and a.number != b.number and len(same) == 1 and alike


def added_terms(ins: Sequence[Value]) -> frozenset[Any]:
    """Terms of a sum; one-to-one scaling of a state ends where other data are added."""
    data = datas(ins)
    terms = frozenset().union(*(d.terms for d in data))
    return terms if len(data) < 2 else frozenset(t for t in terms if not t.decay)


def _added(ops: Operands, out: Value) -> Companions:
    """What travels beside a sum: everything that travelled beside its operands."""
    assert isinstance(out, Data)
    shape = ops.outs[0].shape
    both = [jnp.broadcast_to(ops.there(i), shape) for i in (0, 1)]
    if isinstance(out, Events):
        return {EVENTS: both[0] + both[1]}
    keys = {t.key for t in out.terms if not t.counted}
    part = lambda i, k: jnp.broadcast_to(ops.term(i, k), shape)
    return {k: part(0, k) + part(1, k) for k in keys}


def _why_sum(a: Value, b: Value, minus: bool) -> str:
    word = "subtracted from" if minus else "added to"
    if isinstance(a, Events) and isinstance(b, Events):
        return f"events at another scale are {word} events"
    if isinstance(a, Parameter) or isinstance(b, Parameter):
        return f"a parameter is {word} spikes"
    return f"analog values are {word} spikes"
