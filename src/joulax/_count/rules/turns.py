"""Loops that are written out: what shows that one step takes up where another one ended."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..axes import Chosen, Cut
from ..findings import Context, Found, is_reduced
from ..kinds import Analog, Data, Parameter, Value
from .births import datas, population
from .changes import untaught
from .contents import layers_of
from .registry import shape_of


def _integrated(found: Found, data: Sequence[Data], ctx: Context) -> Found:
    """A state that takes up a current of its own neurons, in a loop that is written out."""
    fed = [d for d in data if d.feeds]
    out = found.outs[0]
    if len(fed) < 2 or not fed[0].feeds & fed[1].feeds or not isinstance(out, Analog):
        return found
    return found.but(outs=[out.but(fired=out.fired | {ctx.path})])


def _own_layers(data: Data, other: Data, ctx: Context) -> frozenset[Any]:
    """Layers that feed one value, at places where they do not feed the other."""
    return layers_of(data.feeds - other.feeds, ctx)


def unrolled(eqn: Any, found: Found, ins: Sequence[Value], ctx: Context) -> Found:
    """The same layer added at two steps of an unrolled loop: each step updates its neurons."""
    data = [untaught(d, ctx) for d in datas(ins)]
    found = _integrated(found, data, ctx)
    out = found.outs[0]
    if not _is_state(eqn, data) or ctx.backward or not isinstance(out, Analog):
        return found
    if out.turns:
        return _leaked(eqn, found, data, ctx)
    left, right = (_own_layers(d, o, ctx) for d, o in (data, data[::-1]))
    if not (left & right or any(_relaxes(d, o, ctx) for d, o in (data, data[::-1]))):
        return found
    shape = shape_of(eqn.outvars[0])
    shared = dict[str, Any](axes=out.axes, fired=out.fired, chain=out.feeds)
    steps = (dataclasses.replace(population(d, shape, state=True), **shared) for d in data)
    return found.but(neurons=(*found.neurons, *steps))


def _is_state(eqn: Any, data: Sequence[Data]) -> bool:
    """Whether two values may add up to a state: no difference, gradient, or sums of neurons."""
    adds = len(data) == 2 and eqn.primitive.name != "sub"
    adds = adds and not any(d.is_gradient for d in data)
    return adds and not all(is_reduced(d.part) for d in data)


def _relaxes(old: Data, new: Data, ctx: Context) -> bool:
    """Whether a state moves some of the way to another current of its layer: `v + (i − v) / τ`."""
    again = _own_layers(new, old, ctx) & layers_of(old.feeds, ctx)
    return bool(again) and old.feeds < new.feeds and _is_scaled(new, ctx)


def _leaked(eqn: Any, found: Found, data: Sequence[Data], ctx: Context) -> Found:
    """A state that decays and takes up the next turn of a current made for all steps at once.

    Without decay it is a sum over time; where neurons fire, each turn is an update already.
    """
    old, new = sorted(data, key=lambda d: (_first(d), len(d.turns)))
    decays = _is_scaled(old, ctx) and not _is_scaled(new, ctx)
    decays &= not old.turns & new.turns and _first(old) < _first(new)
    relaxes = _is_scaled(new, ctx) and old.turns < new.turns  # v + (i − v) / τ
    if old.feeds != new.feeds or not (decays or relaxes):
        return found
    shape, later = shape_of(eqn.outvars[0]), new.turns - old.turns
    each = (d.but(turns=t) for d, t in ((old, old.turns), (new, later)) if len(t) == 1)
    steps = (population(d, shape, state=True) for d in each)
    return found.but(neurons=(*found.neurons, *steps))


def _first(data: Data) -> int:
    """The first of the turns of a value, in the order of time."""
    cuts = (turn[-1] for turn in data.turns)
    places = (c.places() for c in cuts if isinstance(c, Cut | Chosen))
    return min((int(p[0]) for p in places if len(p)), default=0)


def _is_scaled(data: Data, ctx: Context) -> bool:
    """Whether a value is another one times a parameter that is not one, or less a share of it."""
    made = ctx.maker(data.number)
    inner = datas(made[1]) if made and made[0].primitive.name in ("sub", "add") else []
    share = len(inner) == 2 and inner[0].turns == inner[1].turns and _is_share(inner[1], ctx)
    return share or _is_share(data, ctx)


def _is_share(data: Data, ctx: Context) -> bool:
    """Whether a value is another one times a parameter that is not one."""
    made = ctx.maker(data.number)
    if made is None or made[0].primitive.name not in ("mul", "div"):
        return False
    return any(isinstance(i, Parameter) and i.constant != 1 for i in made[1])
