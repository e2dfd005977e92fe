"""One-to-one synapses that the user declares."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..axes import IDLE, REPEATED, VARIES, WEIGHT, Axes
from ..events import mask
from ..exact import Sum
from ..findings import Context, Found, Operands, Site, Tap
from ..kinds import Data, Events, Term, Value, Weight
from ..places import union
from .hand import positions
from .products import current
from .registry import shape_of, site_of
from .terms import outermost


def declared_synapses(eqn: Any, info: Value, ctx: Context) -> Found:
    """`joulax.synapses(w * s)`: one-to-one synapses, one for each element."""
    if not isinstance(info, Data):
        return Found([info])
    shape = shape_of(eqn.outvars[0])
    terms = outermost(info.opened)
    axes = info.axes.only(VARIES).marked(REPEATED, _shared_axes(terms, shape))
    size, neurons = float(math.prod(shape)), float(axes.size(IDLE))
    weight, synapses = _weight(terms, axes), neurons
    if terms:
        synapses = positions(ctx, neurons, terms, weight.layer)
    site = site_of(
        eqn,
        ctx,
        weight,
        primitive="synapses",
        spiking=isinstance(info, Events) or any(t.spiking for t in terms),
        cause=info.cause,
        dense=size,
        synapses=synapses,
        here=neurons,
        neurons=neurons,
        inputs=neurons,
    )
    taps = _taps(ctx, site, terms, shape, axes)
    return Found([current(site, axes)], taps=taps, sites=(site,), arrived=info.births)


def _weight(terms: Sequence[Term], axes: Axes) -> Weight:
    """The weights of some products, at the place of the first."""
    leaves = union(t.weight.leaves for t in terms)
    first = terms[0].weight if terms else Weight(leaves, axes)
    return dataclasses.replace(first, leaves=leaves, axes=axes)


def _shared_axes(terms: Sequence[Term], shape: Sequence[int]) -> list[int]:
    """Axes of batch and time: along them no weight varies."""
    if not terms:
        return []
    varied = {a for t in terms for a, varies in enumerate(t.axes.flags(WEIGHT)) if varies}
    return [a for a, n in enumerate(shape) if n > 1 and a not in varied]


def _taps(
    ctx: Context, site: Site, terms: Sequence[Term], shape: Sequence[int], axes: Axes
) -> tuple[Tap, ...]:
    within, every = ctx.within_steps(), axes.wholly(IDLE)

    def summed(counts: Array) -> Sum:
        return ctx.resolution.summed(counts, every, within)

    def there(ops: Operands) -> Array:
        return ops.term(0, terms[0].key) if terms else ops.there(0)

    def ones(ops: Operands) -> Sum:
        return summed(jnp.ones(shape, jnp.float32))

    kind = "ac" if site.spiking else "mac"
    taps = [
        Tap(ctx.path, f"dense_{kind}", site.dense if ctx.resolution.total else ones),
        Tap(ctx.path, kind, lambda ops: summed(there(ops))),
    ]
    if site.spiking:
        taps.append(Tap(ctx.path, "ac_graded", lambda ops: summed(mask(there(ops)))))
    return tuple(taps)
