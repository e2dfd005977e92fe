"""Least upper bounds of kinds: what is still true of a value that may be either of two."""

import dataclasses
from typing import Any

from .axes import IDLE, OWN, VARIES, Axes, combined, either, regional
from .kinds import UNIT, Analog, Data, Events, Parameter, Value, is_simple, shared, united
from .places import Place


def join(a: Value, b: Value) -> Value:
    """Least upper bound: what is still true of a value that may be either `a` or `b`."""
    if a == b:
        return a
    if isinstance(a, Data) and isinstance(b, Data):
        return _join_data(a, b)
    if isinstance(a, Parameter) and isinstance(b, Parameter):
        return _join_parameters(a, b)
    start, data = (a, b) if isinstance(a, Parameter) else (b, a)
    assert isinstance(start, Parameter)
    assert isinstance(data, Data)
    return _join_start(start, data)


def _join_data(a: Data, b: Data) -> Data:
    common = _common(a, b)
    if isinstance(a, Events) and isinstance(b, Events):
        return a.but(**common, **_join_events(a, b))
    common["cause"] = next(x.cause for x in (a, b) if isinstance(x, Analog))
    return Analog(**common)


def _join_parameters(a: Parameter, b: Parameter) -> Parameter:
    both = united(a.values, b.values)
    return Parameter(
        either(a.axes, b.axes),
        leaves=a.leaves | b.leaves,
        values=both,
        place=a.place if a.place == b.place else Place(("either",), a.place.loops | b.place.loops),
        layer=a.layer if a.layer == b.layer else None,
        outside=a.outside or b.outside,
        buffer=a.buffer and b.buffer,
    )


def _join_start(p: Parameter, d: Data) -> Data:
    """A parameter, perhaps the start of a state, or data."""
    axes = either(d.axes, p.axes)
    own = d.weight if d.weight and p.leaves and not p.buffer else None
    weight = None if own is None else dataclasses.replace(own, leaves=own.leaves | p.leaves)
    d = d.anew(axes=axes, weight=weight)
    if not isinstance(d, Events):
        return d
    both = united(p.values, d.values)
    beside = d.beside or not (p.constant == 0 or is_simple(both))
    nonneg = d.nonneg and p.values is not None and min(p.values) >= 0
    return d.but(values=both, nonneg=nonneg, beside=beside, poly=None)


def _join_events(a: Events, b: Events) -> dict[str, Any]:
    both = united(a.values, b.values)
    simple = is_simple(both)
    scale = UNIT if simple else shared((a.scale, b.scale))
    return dict(
        values=both,
        scale=scale,
        nonneg=a.nonneg and b.nonneg,
        beside=not simple and (a.beside or b.beside or scale != UNIT),
        running=a.running | b.running,
        piled=a.piled | b.piled,
        poly=shared((a.poly, b.poly)),
        weak=a.weak and b.weak,
        loose=a.loose or b.loose,
    )


def _common(a: Data, b: Data) -> dict[str, Any]:
    weight = None
    if a.weight and b.weight:
        leaves = a.weight.leaves | b.weight.leaves
        weight = dataclasses.replace(a.weight, leaves=leaves)
    return dict(
        axes=_join_axes(a, b),
        number=-1,
        form=None,
        cause=a.cause or b.cause,
        feeds=a.feeds | b.feeds,
        size=max(a.size, b.size),
        part=shared(d.part for d in _regions(a, b)) or (),
        turns=a.turns | b.turns,
        births=a.births | b.births,
        terms=a.terms | b.terms,
        weight=weight,
        source=a.source if a.source == b.source else -1,
        place=a.place if a.place == b.place else Place(),
        origin=a.origin if a.origin == b.origin else -1,
        held=a.held | b.held,
        fired=a.fired | b.fired,
        given=a.given | b.given,
        random=a.random and b.random,
        learned=a.learned and b.learned,
        targets=a.targets | b.targets,
    )


def _regions(a: Data, b: Data) -> list[Data]:
    """Those that neurons may be in; both, where nothing is known of either."""
    return [d for d in (a, b) if d.feeds] or [a, b]


def _join_axes(a: Data, b: Data) -> Axes:
    """Repeated where every region that has neurons says so."""
    regions = _regions(a, b)
    repeated = combined(regional, *(d.axes.only(IDLE) for d in regions))
    varies = either(a.axes.only(VARIES | OWN), b.axes.only(VARIES | OWN))
    return either(repeated, varies)
