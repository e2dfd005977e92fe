"""Products of two values element by element: masks, scaled spikes, terms."""

import operator
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from ..events import existing
from ..findings import EVENTS, Companions, Context, Found, Operands
from ..kinds import (
    UNIT,
    Data,
    Events,
    Form,
    Parameter,
    Scale,
    Value,
    Values,
    few,
    is_simple,
)
from ..places import NONE, Paths, union
from ..polynomial import multiplied
from .births import datas, elementwise_axes, mixed
from .combined import logical
from .contents import spikes_in
from .curves import bent, normalised
from .gates import gates, is_shared
from .made import is_mask, leaf_of, provenance
from .pairs import pair_of
from .registry import data_of, parameter_of, rule, shape_of, spikes_of, travelling
from .sets import mapped, values_of
from .terms import changing, scaled_terms, thinned


def _product_of_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    values = None
    if eqn.primitive.name == "mul":
        values = mapped(operator.mul, *(values_of(i) for i in ins))
    return [parameter_of(ins, shape_of(eqn.outvars[0]), values=values)]


@rule("mul", "div", parameters=_product_of_parameters, elementwise=True)
def _product(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Products: spikes × spikes are spikes, scaling by a parameter changes no event."""
    divide = eqn.primitive.name == "div"
    found = _of_spikes(eqn, ins, ctx, divide)
    if found is not None:
        return found
    inverse = divide and not isinstance(ins[0], Data)
    terms = NONE if inverse else scaled_terms(eqn, ins, divide)
    text = "spikes are multiplied by an analog value"
    found = mixed(eqn, ins, ctx, text, enters=False, terms=terms)
    out = data_of(found)
    out = out.but(form=None if divide else _multiple(ins), **_source(ins, divide))
    out = out.but(births=out.births - _masking(ins, ctx) - changing(ins, terms))
    events = travelling(out, lambda ops: thinned(ops, out))
    found = found.but(outs=[out], events=events, gated=_gated(ins))
    found = found.but(gates=gates(ins, ctx) | normalised(eqn, ins, ctx))
    return bent(eqn, ins, found, ctx) if divide else found


def _masking(ins: Sequence[Value], ctx: Context) -> Paths:
    """Spikes that only mask: comparisons of integers, draws beside data, gates that are shared,
    masks made of leaves.
    """
    data = datas(ins)
    drawn = [] if all(d.random for d in data) else [d for d in data if d.random]
    masks = [s for s in spikes_in(ins) if s.weak or is_shared(s, ctx) or _is_of_leaf(s, data)]
    return union(d.births for d in (*drawn, *masks))


def _is_of_leaf(spikes: Events, data: Sequence[Data]) -> bool:
    """Whether comparisons of a leaf mask other data."""
    return len(data) > 1 and is_mask(spikes) and leaf_of(spikes) is not None


def _gated(ins: Sequence[Value]) -> Paths:
    """Feeds of two regions of one size that multiply each other."""
    feeds = [d.feeds for d in datas(ins) if d.feeds]
    fits = len(feeds) == 2 and ins[0].axes.shape == ins[1].axes.shape
    return feeds[0] | feeds[1] if fits else NONE


def _of_spikes(eqn: Any, ins: Sequence[Value], ctx: Context, divide: bool) -> Found | None:
    """Spikes times spikes, or times a parameter; nothing is an event when divided by spikes."""
    a, b = ins
    if isinstance(a, Events) and isinstance(b, Parameter):
        return _scaled(eqn, ins, ctx, a, b, divide)
    if divide or not isinstance(b, Events):
        return None
    if isinstance(a, Events):
        return _masked_events(eqn, a, b, ctx)
    return _scaled(eqn, ins, ctx, b, a, divide) if isinstance(a, Parameter) else None


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


def _masked_events(eqn: Any, a: Events, b: Events, ctx: Context) -> Found:
    """Spikes × spikes: events where both are."""
    ins = (a, b)
    poly, scale = multiplied(ins), _one_scale(a, b)
    values = mapped(operator.mul, a.values, b.values)
    values = few(poly.values()) if poly is not None else values
    found = logical(eqn, ins, ctx, values, masks=True, scale=scale, poly=poly)
    plain = scale == UNIT and (is_simple(values) or (a.plain and b.plain))
    terms, nonneg = scaled_terms(eqn, ins, False), a.nonneg and b.nonneg
    kept: dict[str, Any] = dict(terms=terms, pair=pair_of(a, b, ctx))
    kept["weight"] = provenance(ins, spikes_of(found).axes, ctx, masked=True)
    masks = union(s.births for s in ins if _is_of_leaf(s, ins))
    kept["births"] = spikes_of(found).births - changing(ins, terms) - masks
    out = spikes_of(found).but(beside=not plain, nonneg=nonneg, **kept)
    events = _both if out.beside else None
    return found.but(outs=[out], events=events, gates=gates(ins, ctx))


def _one_scale(a: Events, b: Events) -> Scale | None:
    """The scale of a product, where at most one factor has one."""
    scales = [s for s in (a.scale, b.scale) if s != UNIT]
    return (scales or [UNIT])[0] if len(scales) < 2 else None


def _both(ops: Operands) -> list[Companions]:
    return [{EVENTS: ops.events(0) * ops.events(1)}]


def _scaled(
    eqn: Any, ins: Sequence[Value], ctx: Context, s: Events, p: Parameter, divide: bool
) -> Found:
    """Spikes times a parameter: other values, the same events, none where the factor is zero."""
    axes = elementwise_axes(eqn, ins)
    values = mapped(_ratio if divide else operator.mul, s.values, p.values)
    poly = None if divide else multiplied(ins)
    changes: dict[str, Any] = dict(axes=axes, values=values, poly=poly)
    changes["terms"] = scaled_terms(eqn, ins, divide)
    if not p.is_mask or divide:
        changes |= _rescaled(s, p, values, divide)
        changes["weight"] = provenance(ins, axes, ctx, masked=not divide)
    out = s.anew(**changes)
    if p.constant == 1:
        out = out.but(number=s.number if s.axes.shape == axes.shape else -1, form=s.form)
    if not out.beside:
        return Found([out])
    i, everywhere = (0 if ins[0] is s else 1), divide or bool(p.constant)

    def there(ops: Operands) -> list[Companions]:
        if everywhere:
            return [{EVENTS: jnp.broadcast_to(ops.events(i), axes.shape)}]
        return [{EVENTS: ops.events(i) * existing(ops.values[1 - i])}]

    return Found([out], events=there)


def _ratio(x: float, y: float) -> float:
    return x / y


def _rescaled(s: Events, p: Parameter, values: Values | None, divide: bool) -> dict[str, Any]:
    if s.scale is None:
        return dict(scale=None, beside=True, nonneg=False)
    if is_simple(values):
        return dict(scale=UNIT, beside=False, nonneg=min(values) >= 0 and not s.loose)
    factor, symbols = s.scale
    if not p.constant:
        symbols = tuple(sorted((*symbols, ~p.number if divide else p.number)))
        return dict(scale=(factor, symbols), beside=True, nonneg=False)
    size = abs(p.constant)
    scale = (factor / size if divide else factor * size, symbols)
    plain = scale == UNIT and s.plain
    return dict(scale=scale, beside=not plain, nonneg=s.nonneg and p.constant > 0)
