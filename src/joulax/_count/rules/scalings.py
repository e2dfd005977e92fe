"""Products of two values element by element: masks, scaled spikes, terms."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from ..findings import EVENTS, Companions, Context, Found, Operands, existing
from ..kinds import (
    NONE,
    TERNARY,
    UNIT,
    Data,
    Events,
    Form,
    Parameter,
    Paths,
    Scale,
    Value,
    Values,
    few,
)
from ..polynomial import multiplied
from .births import (
    datas,
    elementwise_axes,
    mixed,
    provenance,
)
from .combined import logical
from .registry import parameter_of, rule, shape_of
from .sets import mapped, values_of
from .terms import scaled_terms, thinned


def _product_of_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    values = None
    if eqn.primitive.name == "mul":
        values = mapped(lambda x, y: x * y, *(values_of(i) for i in ins))
    return [parameter_of(ins, shape_of(eqn.outvars[0]), values=values)]


@rule("mul", "div", parameters=_product_of_parameters, elementwise=True)
def _product(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Products: spikes × spikes are spikes, scaling by a parameter changes no event."""
    divide = eqn.primitive.name == "div"
    found = _of_spikes(eqn, ins, ctx, divide)
    if found is not None:
        return found
    inverse = divide and not isinstance(ins[0], Data)
    terms = frozenset() if inverse else scaled_terms(eqn, ins, divide)
    text = "spikes are multiplied by an analog value"
    found = mixed(eqn, ins, ctx, text, enters=False, terms=terms)
    out = found.outs[0].but(form=None if divide else _multiple(ins), **_source(ins, divide))
    events = _thinned(out) if out.travels else None
    return found.but(outs=[out], events=events, gated=_gated(ins))


def _gated(ins: Sequence[Value]) -> Paths:
    """Feeds of two regions of one size that multiply each other."""
    feeds = [d.feeds for d in datas(ins) if d.feeds]
    fits = len(feeds) == 2 and ins[0].axes.shape == ins[1].axes.shape
    return feeds[0] | feeds[1] if fits else NONE


def _of_spikes(eqn: Any, ins: Sequence[Value], ctx: Context, divide: bool) -> Found | None:
    """Spikes times spikes, or times a parameter; nothing is an event when divided by spikes."""
    a, b = ins
    if isinstance(a, Events) and isinstance(b, Parameter):
        return _scaled(eqn, ins, ctx, 0, divide)
    if divide or not isinstance(b, Events):
        return None
    if isinstance(a, Events):
        return _masked_events(eqn, ins, ctx)
    return _scaled(eqn, ins, ctx, 1, divide) if isinstance(a, Parameter) else None


def _thinned(out: Value) -> Callable[[Any], Any]:
    return lambda ops: [thinned(ops, out)]


def _multiple(ins: Sequence[Value]) -> Form | None:
    """A known multiple of data, as a linear form."""
    for data, factor in (ins, ins[::-1]):
        constant = factor.constant if isinstance(factor, Parameter) else None
        if constant is not None and data.number >= 0:
            return tuple((n, c * constant) for n, c in data.linear)
    return None


def _source(ins: Sequence[Value], divide: bool) -> dict[str, Any]:
    """Scaling by a parameter keeps whose elements these are."""
    data = datas(ins)
    if len(data) != 1 or (divide and not isinstance(ins[0], Data)):
        return {}
    return dict(source=data[0].source, place=data[0].place)


def _masked_events(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """Spikes × spikes: events where both are."""
    a, b = ins
    assert isinstance(a, Events)
    assert isinstance(b, Events)
    poly, scale = multiplied(ins), _one_scale(a, b)
    values = mapped(lambda x, y: x * y, a.values, b.values)
    values = few(poly.values()) if poly is not None else values
    found = logical(eqn, ins, ctx, values, masks=True, scale=scale, poly=poly)
    out = found.outs[0]
    assert isinstance(out, Events)
    simple = values is not None and values <= TERNARY
    plain = scale == UNIT and (simple or (a.plain and b.plain))
    terms, nonneg = scaled_terms(eqn, ins, False), a.nonneg and b.nonneg
    out = out.but(beside=not plain, nonneg=nonneg, terms=terms)
    return found.but(outs=[out], events=_both if out.beside else None)


def _one_scale(a: Events, b: Events) -> Scale | None:
    """The scale of a product, where at most one factor has one."""
    scales = [s for s in (a.scale, b.scale) if s != UNIT]
    return (scales or [UNIT])[0] if len(scales) < 2 else None


def _both(ops: Operands) -> list[Companions]:
    return [{EVENTS: ops.events(0) * ops.events(1)}]


def _scaled(eqn: Any, ins: Sequence[Value], ctx: Context, i: int, divide: bool) -> Found:
    """Spikes times a parameter: other values, the same events, none where the factor is zero."""
    s, p = ins[i], ins[1 - i]
    assert isinstance(s, Events)
    assert isinstance(p, Parameter)
    axes = elementwise_axes(eqn, ins)
    op: Callable[[float, float], float] = (lambda x, y: x / y) if divide else (lambda x, y: x * y)
    values = mapped(op, s.values, p.values)
    poly = None if divide else multiplied(ins)
    changes: dict[str, Any] = dict(
        axes=axes, values=values, number=-1, form=None, nan_test=False, poly=poly
    )
    if p.is_mask and not divide:
        nonneg = s.nonneg
        out = s.but(**changes, nonneg=nonneg, terms=scaled_terms(eqn, ins, divide))
    else:
        out = s.but(**changes, **_rescaled(s, p, values, divide), **_leaf(eqn, ins, divide, axes))
    if p.constant == 1:
        out = out.but(number=s.number if s.axes.shape == axes.shape else -1, form=s.form)
    if not out.beside:
        return Found([out])
    everywhere = divide or bool(p.constant)
    if everywhere:
        shape = axes.shape
        return Found([out], events=lambda ops: [{EVENTS: jnp.broadcast_to(ops.events(i), shape)}])
    return Found([out], events=lambda ops: [{EVENTS: ops.events(i) * existing(ops.values[1 - i])}])


def _leaf(eqn: Any, ins: Sequence[Value], divide: bool, axes: Any) -> dict[str, Any]:
    return dict(terms=scaled_terms(eqn, ins, divide), weight=provenance(ins, axes))


def _rescaled(s: Events, p: Parameter, values: Values | None, divide: bool) -> dict[str, Any]:
    if values is not None and values <= TERNARY and s.scale is not None:
        return dict(scale=UNIT, beside=False, nonneg=min(values) >= 0 and not s.loose)
    if s.scale is None:
        return dict(scale=None, beside=True, nonneg=False)
    factor, symbols = s.scale
    if p.constant:
        factor = factor / abs(p.constant) if divide else factor * abs(p.constant)
        scale = (factor, symbols)
        nonneg = s.nonneg and p.constant > 0
    else:
        scale = (factor, tuple(sorted((*symbols, -p.number if divide else p.number))))
        nonneg = False
    plain = scale == UNIT and s.plain
    return dict(scale=scale, beside=not plain, nonneg=nonneg)
