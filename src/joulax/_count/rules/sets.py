"""Sets of values: what a function of few numbers can be, and events by what they are."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from jaxtyping import Array

from ..events import mask, once
from ..findings import EVENTS, Context, Found, Operands
from ..kinds import (
    SPIKE,
    TERNARY,
    UNIT,
    Events,
    Parameter,
    Value,
    Values,
    few,
    is_nonnegative,
    is_simple,
)
from ..polynomial import Polynomial
from .births import datas
from .combined import logical, refired
from .contents import spikes_in
from .registry import spikes_of, travelling


def mapped(f: Callable[..., float], *sets: Values | None) -> Values | None:
    """The values of a function of values that are known."""
    known = [s for s in sets if s is not None]
    if len(known) < len(sets) or math.prod(map(len, known)) > 256:
        return None
    try:
        return few(f(*v) for v in itertools.product(*known))
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


def are_events(values: Values | None) -> TypeGuard[Values]:
    """Whether data with these values are events: few, around zero."""
    return values is not None and (0.0 in values or values <= TERNARY)


def values_of(info: Value) -> Values | None:
    """What a value may be."""
    return info.values if isinstance(info, Events | Parameter) else None


def same(info: Value, i: int, **changes: Any) -> Found:
    """The value passes unchanged, and what travels beside it."""
    out = info.but(**changes)
    return Found([out], events=travelling(out, lambda ops: ops.companions(i)))


def minus(x: float) -> float:
    """A number with its sign turned."""
    return -x


def negative(info: Value, i: int, **changes: Any) -> Found:
    """The value with its sign turned, and what travels beside it."""
    known = info.number >= 0 or info.form is not None
    form = tuple((n, -c) for n, c in info.linear) if known else None
    if isinstance(info, Events):
        changes |= dict(values=mapped(minus, info.values), nonneg=False)
    return same(info.anew(), i, form=form, **changes)


def kept(
    eqn: Any, ins: Sequence[Value], ctx: Context, f: Callable[..., float], *, truth: bool = False
) -> Found | None:
    """Events by what they are: a function of known values whose results are few, around zero."""
    values = mapped(f, *(values_of(i) for i in ins))
    if not are_events(values):
        return None
    spikes = spikes_in(ins)
    if truth and any(s.loose for s in spikes):
        values = SPIKE  # what is declared may be more than one event
    moved = _moved_zero(ins, f)
    found = logical(eqn, ins, ctx, values, masks=False, other=moved)
    if is_simple(values):
        return (_as_before(eqn, ins, ctx, values, f) if moved else None) or found
    out = spikes_of(found)
    if moved and any(s.is_unit for s in spikes):  # one event, larger perhaps
        out = out.but(scale=None)
        return refired(eqn, ctx, out, out.births, complement=True, events=_once)
    return _leveled(out, values)


def _once(ops: Operands) -> Array:
    return once(ops.outs[0])


def _leveled(out: Events, values: Values) -> Found:
    """Events of several sizes: whole numbers count themselves, others are one event each."""
    if all(v.is_integer() and abs(v) <= 64 for v in values):
        nonneg = is_nonnegative(values) and not out.loose
        return Found([out.but(scale=UNIT, nonneg=nonneg, beside=False)])
    scale = (max(map(abs, values)), ()) if len(values | {0.0}) <= 2 else None
    return Found([out.but(scale=scale)], events=lambda ops: [{EVENTS: mask(ops.outs[0])}])


def _moved_zero(ins: Sequence[Value], f: Callable[..., float]) -> bool:
    """Whether a function of one operand of spikes is zero elsewhere than the spikes are."""
    constants = [i.constant for i in ins]
    spikes = [s.values for s in spikes_in(ins)]
    if len(spikes) != 1 or constants.count(None) != 1:
        return False
    at = ((x, f(*(x if c is None else c for c in constants))) for x in spikes[0] or ())
    return any((y != 0) != (x != 0) for x, y in at)


def _as_before(
    eqn: Any, ins: Sequence[Value], ctx: Context, values: Values | None, f: Callable[..., float]
) -> Found | None:
    """What was made of spikes alone, where a function leaves it zero where they are: those spikes,
    and no other ones.
    """
    spikes, constants = spikes_in(ins), [i.constant for i in ins]
    poly = spikes[0].poly
    if poly is None or len(poly.variables) != 1:
        return None
    silent, fired = (f(*(x if c is None else c for c in constants)) for x in poly.values())
    before = ctx.numbered(*poly.variables)
    if silent != 0 or fired == 0 or not isinstance(before, Events):
        return None
    out = spikes_of(logical(eqn, ins, ctx, values, masks=False))
    return Found([out.but(births=before.births)])


def by_what_it_is(
    eqn: Any,
    ins: Sequence[Value],
    ctx: Context,
    poly: Polynomial | None,
    f: Callable[..., float],
) -> Found | None:
    """Spikes that occur several times in one expression: counted by the values it can have."""
    values = None if poly is None else few(poly.values())
    if not is_simple(values) or any(d.terms for d in datas(ins)):
        return None
    return logical(eqn, ins, ctx, values, masks=False, other=_moved_zero(ins, f), poly=poly)
