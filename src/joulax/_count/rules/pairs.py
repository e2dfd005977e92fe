"""Spikes × spikes written by hand: multiplied element by element, then summed."""

import math
from collections.abc import Sequence
from typing import Any

from ..axes import IDLE, REPEATED, Axes
from ..findings import Birth, Context, Site
from ..kinds import Events, Value, Weight, varied
from ..pair import Factor, Pair
from ..places import NONE
from .contents import spikes_in
from .products import fed_by, known_by
from .registry import shape_of, site_of


def pair_in(ins: Sequence[Value], ctx: Context) -> Pair | None:
    """The product of the two spiking values among some operands, where there are just two."""
    spikes = spikes_in(ins)
    return pair_of(spikes[0], spikes[1], ctx) if len(spikes) == 2 else None


def pair_of(a: Events, b: Events, ctx: Context) -> Pair | None:
    """The product of two spiking values: none, where one is a mask of the other."""
    if a.weak or b.weak or a.axes.shape != b.axes.shape:
        return None
    pair = Pair(*(Factor(e.axes, e.births, fed_by(e, ctx), known_by(e)) for e in (a, b)))
    return pair if pair.is_crossed or _are_two(a, b, ctx) else None


def _are_two(a: Events, b: Events, ctx: Context) -> bool:
    """Whether these are spikes of two populations, or declared."""
    one = a.births and b.births and ctx.one_population(a.births | b.births)
    return a.root != b.root and not one and all(_fire(e, ctx) for e in (a, b))


def _fire(spikes: Events, ctx: Context) -> bool:
    """Whether neurons fired these: no mask, and no complement of spikes."""
    known = ctx.births(spikes.births)
    if spikes.poly is not None and any(not m for m, _ in spikes.poly.terms):
        return False  # one less a spike
    if not known:
        return spikes.loose
    return any(_is_neuron(b, ctx) for b in known) and not any(b.complement or b.weak for b in known)


def _is_neuron(birth: Birth, ctx: Context) -> bool:
    """Whether a site or a state is behind spikes: without either a comparison of spikes is none."""
    driven = any(ctx.site(f) is not None for f in birth.feeds)
    return driven or bool(birth.feeds and birth.held)


def pair_axes(eqn: Any, pair: Pair, summed: Sequence[int]) -> Axes:
    """Axes of a sum along some axes: batch and time, where both factors have them."""
    left = [a - sum(s < a for s in summed) for a in pair.samples if a not in summed]
    return varied(shape_of(eqn.outvars[0])).marked(REPEATED, left)


def pair_site(eqn: Any, info: Events, pair: Pair, ctx: Context, axes: Axes) -> Site:
    """The site of a sum with these axes; nothing of it is a weight."""
    return site_of(
        eqn,
        ctx,
        Weight(NONE, axes),
        spiking=True,
        cause=info.cause,
        dense=float(math.prod(info.axes.shape)),
        synapses=None,
        neurons=float(axes.size(IDLE)),
        inputs=0.0,
        pair=pair.first.fed | pair.second.fed,
        operands=tuple(f.known for f in pair.factors),
    )
