"""Sums of two values: at one scale events stay events, at different scales they are analog."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..events import magnitude
from ..findings import EVENTS, Companions, Context, Found, Operands
from ..kinds import Data, Events, Form, Parameter, Value, is_simple
from ..places import NONE, union
from ..polynomial import added as added_powers
from .apart import never_meet
from .beside import beside
from .births import datas, elementwise_axes, mixed
from .chosen import added, bare_terms, rows_in
from .combined import logical, refired
from .contents import births_in, held_in, spikes_in
from .registry import data_of, parameter_of, rule, shape_of, spikes_of, travelling
from .sets import by_what_it_is, kept, mapped, negative, same, values_of
from .terms import merged_terms
from .turns import unrolled


def combined_form(ins: Sequence[Value], signs: Sequence[float]) -> Form | None:
    """A sum as coefficients of numbered values."""
    found: dict[int, float] = {}
    for value, sign in zip(ins, signs, strict=True):
        if value.constant == 0:
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
    if all(isinstance(i, Events) for i in ins):
        return Found([root])  # spikes and their changes: no slope of something else

    def there(ops: Operands) -> Any:
        value = magnitude(ops.outs[0])
        return value + jax.lax.stop_gradient(jnp.round(value) - value)

    out = root.anew(beside=True, form=form)
    return refired(eqn, ctx, out, out.births, events=there)  # with the slope of the surrogate


def _sum_of_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    op = _signed(-1 if eqn.primitive.name == "sub" else 1)
    values = mapped(op, *(values_of(i) for i in ins))
    return [parameter_of(ins, shape_of(eqn.outvars[0]), values=values)]


@rule("add", "add_any", "sub", parameters=_sum_of_parameters, elementwise=True)
def _sum(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Sums: at one scale events stay events, at different scales they are analog."""
    minus = eqn.primitive.name == "sub"
    form = combined_form(ins, (1.0, -1.0 if minus else 1.0))
    found = straight_through(eqn, ins, form, ctx) or _with_zero(eqn, ins, form, minus, ctx)
    if found is not None:
        return found
    put = None if minus else never_meet(ins, ctx)
    if put is not None:
        return beside(eqn, ins, ctx, put)
    found = merged_terms(eqn, ins, ctx)
    if found is None and all(isinstance(i, Events | Parameter) for i in ins):
        found = _of_events(eqn, ins, ctx, -1 if minus else 1)
    found = unrolled(eqn, found or _analog_sum(eqn, ins, ctx, minus), ins, ctx)
    out = found.outs[0]
    events = found.events or travelling(out, lambda ops: _added(ops, out))
    return found.but(outs=[_as_slope(eqn, out).but(form=form)], events=events)


def _as_slope(eqn: Any, out: Value) -> Value:
    """A sum; where slopes come together it is no leaf, whatever it is made of."""
    slope = eqn.primitive.name == "add_any" and isinstance(out, Data)
    return out.but(weight=None) if slope else out


def _analog_sum(eqn: Any, ins: Sequence[Value], ctx: Context, minus: bool) -> Found:
    """A sum that is no event: it keeps the products in it, and rows that are added as they are."""
    text, rows = _why_sum(ins[0], ins[1], minus), datas(rows_in(ins) if ctx.chosen else [])
    terms = added_terms(ins) - union(frozenset(r.opened) for r in rows)
    terms |= bare_terms(ins, travels=ctx.chosen)
    found = mixed(eqn, ins, ctx, text, enters=not rows, terms=terms)
    out = data_of(found)
    if out.is_leaf and out.is_gradient and not ctx.backward:  # a step of an optimiser
        return found.but(outs=[out.but(births=NONE, terms=out.terms - frozenset(out.opened))])
    return found.but(outs=[out.but(births=out.births - births_in(rows))]) if rows else found


def _with_zero(
    eqn: Any, ins: Sequence[Value], form: Form | None, minus: bool, ctx: Context
) -> Found | None:
    """A value to which nothing is added; a row that data choose to add is one of them."""
    if ctx.chosen and datas(rows_in(ins)):
        return None
    for i, other in ((0, ins[1]), (1, ins[0])):
        if other.constant == 0:
            if minus and i == 1:
                return negative(ins[i], i, axes=elementwise_axes(eqn, ins))
            value = ins[i].anew() if len(other.axes) else ins[i]  # the first step of a state
            return same(value, i, form=form, axes=elementwise_axes(eqn, ins))
    return None


def _of_events(eqn: Any, ins: Sequence[Value], ctx: Context, sign: int) -> Found | None:
    """Sums of events and constants: by what they are, else at one scale."""
    found = by_what_it_is(eqn, ins, ctx, added_powers(ins, sign), _signed(sign))
    if found is None and _exact(ins, sign):
        found = kept(eqn, ins, ctx, _signed(sign))
    return found or _one_scale(eqn, ins, ctx, sign < 0)


def _signed(sign: int) -> Callable[[float, float], float]:
    """Sum or difference of two numbers."""
    return operator.add if sign > 0 else operator.sub


def _exact(ins: Sequence[Value], sign: int) -> bool:
    """Whether counting by what it is loses no event: {−1, 0, 1} in and out, or one operand."""
    spikes = spikes_in(ins)
    if any(s.terms for s in spikes):
        return False
    if len(spikes) < len(ins):
        return True
    values = mapped(_signed(sign), *map(values_of, ins))
    return not held_in(ins) and is_simple(values) and all(is_simple(s.values) for s in spikes)


def _one_scale(eqn: Any, ins: Sequence[Value], ctx: Context, minus: bool) -> Found | None:
    """Sums of events at one scale: the number of events adds up."""
    a, b = ins
    if not (isinstance(a, Events) and isinstance(b, Events)) or a.scale != b.scale or not a.scale:
        return None
    sign = -1 if minus else 1
    values = mapped(_signed(sign), a.values, b.values)
    plain = not minus and a.is_number and b.is_number
    found = logical(eqn, ins, ctx, values, masks=False)
    out = spikes_of(found)
    out = out.but(
        beside=not plain,
        scale=a.scale,
        nonneg=plain,
        running=out.running | a.held | b.held,
        terms=added_terms(ins),
        values=values,
        poly=added_powers(ins, sign),
    )
    if found.births:  # counted by what it is
        return found
    if _levels_of_one(a, b, out, ctx):
        return refired(eqn, ctx, out, out.births, events=lambda ops: _added(ops, out)[EVENTS])
    return Found([out], events=travelling(out, lambda ops: _added(ops, out)))


def _levels_of_one(a: Events, b: Events, out: Events, ctx: Context) -> bool:
    """Whether these are comparisons of one population in one step: levels of its spikes."""
    known = ctx.births(out.births)
    same = {(k.feeds, k.part, k.turns, k.repeated) for k in known}
    alike = a.part == b.part and a.held == b.held and a.axes == b.axes
    return bool(a.births and b.births) and a.number != b.number and len(same) == 1 and alike


def added_terms(ins: Sequence[Value]) -> frozenset[Any]:
    """Terms of a sum; one-to-one scaling of a state ends where other data are added."""
    data = datas(ins)
    terms = union(d.terms for d in data)
    return terms if len(data) < 2 else frozenset(t for t in terms if not t.decay)


def _added(ops: Operands, out: Value) -> Companions:
    """What travels beside a sum: everything that travelled beside its operands."""
    if not isinstance(out, Events):
        return added(ops, out)
    a, b = (jnp.broadcast_to(ops.there(i), ops.outs[0].shape) for i in (0, 1))
    return {EVENTS: a + b}


def _why_sum(a: Value, b: Value, minus: bool) -> str:
    word = "subtracted from" if minus else "added to"
    if isinstance(a, Events) and isinstance(b, Events):
        return f"events at another scale are {word} events"
    if isinstance(a, Parameter) or isinstance(b, Parameter):
        return f"a parameter is {word} spikes"
    return f"analog values are {word} spikes"
