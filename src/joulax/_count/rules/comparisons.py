"""Comparisons and conversions: where spikes are born."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from ..findings import Context, Found
from ..kinds import SPIKE, UNIT, ZERO, Events, Parameter, Value, Values
from ..places import NONE
from .births import born, datas
from .chosen import through
from .combined import logical
from .made import leaf_of
from .registry import is_integer, parameter_of, rule, shape_of
from .sets import kept, mapped, same, values_of


def _converted(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    (p,) = ins
    assert isinstance(p, Parameter)
    if eqn.params["new_dtype"] == jnp.bool_:
        return [p.but(values=mapped(bool, p.values) or SPIKE)]
    exact = _is_whole(p.values) or jnp.issubdtype(eqn.params["new_dtype"], jnp.inexact)
    return [p if exact else p.anew(values=None)]


@rule("convert_element_type", parameters=_converted, elementwise=True)
def _convert(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    (info,) = ins
    old, new = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    to_integer = jnp.issubdtype(new, jnp.integer) and jnp.issubdtype(old, jnp.inexact)
    if isinstance(info, Events):
        if new == jnp.bool_ and old != jnp.bool_:
            return Found([_any_event(info)])
        if not to_integer or _is_whole(info.values):
            return same(info, 0)
    if new == jnp.bool_:
        return born(eqn, ins, ctx, "whether a value is zero", weak=True)
    return through(eqn, ins, ctx, "rounding") if to_integer else same(info, 0)


def _is_whole(values: Values | None) -> bool:
    """Whether values are known, and integers."""
    return values is not None and all(float(v).is_integer() for v in values)


def _any_event(spikes: Events) -> Events:
    """Whether there is any event: one spike."""
    one: dict[str, Any] = dict(values=SPIKE, scale=UNIT, nonneg=True, beside=False, loose=False)
    return spikes.anew(terms=NONE, **one)


_COMPARE: dict[str, Callable[[float, float], float]] = {
    "gt": lambda x, y: float(x > y),
    "lt": lambda x, y: float(x < y),
    "ge": lambda x, y: float(x >= y),
    "le": lambda x, y: float(x <= y),
    "lt_to": lambda x, y: float(x < y),
    "eq_to": lambda x, y: float(x == y),
    "le_to": lambda x, y: float(x <= y),
    "eq": lambda x, y: float(x == y),
    "ne": lambda x, y: float(x != y),
}


def _compared(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    values = mapped(_COMPARE[eqn.primitive.name], *(values_of(i) for i in ins))
    shape = shape_of(eqn.outvars[0])
    return [parameter_of(ins, shape, values=values if values is not None else SPIKE)]


@rule(*_COMPARE, parameters=_compared, elementwise=True)
def _comparison(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """A comparison is spikes: of the region compared, or of the values known."""
    name = eqn.primitive.name
    if all(isinstance(i, Events | Parameter) for i in ins):
        if name == "ne" and eqn.invars[0] is eqn.invars[1]:  # none of them is NaN
            return logical(eqn, ins, ctx, ZERO, masks=False)
        found = kept(eqn, ins, ctx, _COMPARE[name], truth=True)
        found = found or _above_zero(eqn, ins, ctx)
        if found is not None:
            return found
    equality = name in ("eq", "ne", "eq_to")
    weak = equality or _is_mask(eqn, ins, ctx)
    text = "an equality" if equality else "a comparison turned into numbers"
    return born(eqn, ins, ctx, text, weak=weak)


def _is_mask(eqn: Any, ins: Sequence[Value], ctx: Context) -> bool:
    """Whether a comparison makes spikes only where they arrive: integers, draws, gradients."""
    return ctx.backward or is_integer(eqn.invars[0]) or all(d.random for d in datas(ins))


def _above_zero(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Whether there is any event at all."""
    a, b = ins
    name = eqn.primitive.name
    above = b.constant == 0 and name in ("gt", "ne")
    below = a.constant == 0 and name in ("lt", "ne", "lt_to")
    spikes = a if above else b if below else None
    if not isinstance(spikes, Events):
        return None
    return Found([_any_event(spikes).but(weight=leaf_of(spikes))])
