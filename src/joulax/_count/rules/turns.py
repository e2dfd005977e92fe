"""Loops that are written out: what shows that one step takes up where another one ended."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..findings import Context, Found
from ..kinds import Analog, Data, Parameter, Value
from .births import datas, population
from .registry import shape_of


def _integrated(found: Found, data: Sequence[Data], ctx: Context) -> Found:
    """A state that takes up a current of its own neurons, in a loop that is written out."""
    fed = [d for d in data if d.feeds and not d.held]
    out = found.outs[0]
    if len(fed) < 2 or not fed[0].feeds & fed[1].feeds or not isinstance(out, Analog):
        return found
    return found.but(outs=[out.but(fired=out.fired | {ctx.path})])


def _own_layers(data: Data, other: Data, ctx: Context) -> set[Any]:
    """Layers that feed one value, at places where they do not feed the other."""
    sites = (ctx.site(p) for p in data.feeds - other.feeds)
    return {(s.leaves, s.place) for s in sites if s and s.leaves}


def unrolled(eqn: Any, found: Found, ins: Sequence[Value], ctx: Context) -> Found:
    """The same layer added at two steps of an unrolled loop: each step updates its neurons."""
    found = _integrated(found, datas(ins), ctx)
    data, out = datas(ins), found.outs[0]
    adds = len(data) == 2 and eqn.primitive.name != "sub"  # a difference of two is no state
    if not adds or ctx.backward or not isinstance(out, Analog):
        return found
    if out.turns:
        return _leaked(eqn, found, data, ctx)
    left, right = (_own_layers(d, o, ctx) for d, o in (data, data[::-1]))
    if not left & right:
        return found
    shape = shape_of(eqn.outvars[0])
    shared = dict[str, Any](axes=out.axes, fired=out.fired, chain=out.feeds)
    steps = (dataclasses.replace(population(d, shape, state=True), **shared) for d in data)
    return found.but(neurons=(*found.neurons, *steps))


def _leaked(eqn: Any, found: Found, data: Sequence[Data], ctx: Context) -> Found:
    """A state that decays and takes up the next turn of a current made for all steps at once.

    Without decay it is a sum over time; where neurons fire, each turn is an update already.
    """
    shape = shape_of(eqn.outvars[0])
    decays = any(_is_scaled(d, ctx) for d in data)
    if not decays or data[0].feeds != data[1].feeds or data[0].turns & data[1].turns:
        return found
    steps = (population(d, shape, state=True) for d in data if len(d.turns) == 1)
    return found.but(neurons=(*found.neurons, *steps))


def _is_scaled(data: Data, ctx: Context) -> bool:
    """Whether a value is another one times a parameter that is not one."""
    made = ctx.maker(data.number)
    if made is None or made[0].primitive.name != "mul":
        return False
    return any(isinstance(i, Parameter) and i.constant != 1 for i in made[1])
