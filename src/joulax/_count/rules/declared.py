"""One-to-one synapses that the user declares."""

import math
from typing import Any

import jax.numpy as jnp

from ..axes import IDLE, REPEATED, VARIES, WEIGHT
from ..findings import Context, Found, Tap, mask
from ..kinds import (
    Data,
    Events,
    Value,
    Weight,
)
from .births import union
from .products import current
from .registry import shape_of, site_of
from .terms import outermost


def declared_synapses(eqn: Any, info: Value, ctx: Context) -> Found:
    """`joulax.synapses(w * s)`: one-to-one synapses, one for each element."""
    if not isinstance(info, Data):
        return Found([info])
    shape = shape_of(eqn.outvars[0])
    terms = outermost(t for t in info.terms if not t.counted)
    spiking = isinstance(info, Events) or any(t.spiking for t in terms)
    axes = info.axes
    repeated = [
        a
        for a in range(len(shape))
        if terms and not any(t.axes.has(a, WEIGHT) for t in terms) and shape[a] > 1
    ]
    axes = axes.only(VARIES).marked(REPEATED, repeated)
    size = float(math.prod(shape))
    neurons = float(axes.size(IDLE))
    site = site_of(
        eqn,
        ctx,
        Weight(union(t.weight.leaves for t in terms), axes),
        primitive="synapses",
        spiking=spiking,
        cause=info.cause,
        dense=size,
        synapses=neurons,
        neurons=neurons,
        inputs=neurons,
    )
    within, every = ctx.within_steps(), axes.wholly(IDLE)
    kind = "ac" if spiking else "mac"
    count = lambda make: lambda ops: ctx.resolution.summed(make(ops), every, within)
    there = (lambda ops: ops.term(0, terms[0].key)) if terms else (lambda ops: ops.there(0))
    ones = lambda ops: jnp.ones(shape, jnp.float32)
    taps = [
        Tap(ctx.path, f"dense_{kind}", size if ctx.resolution.total else count(ones)),
        Tap(ctx.path, kind, count(there)),
    ]
    if spiking:
        taps.append(Tap(ctx.path, "ac_graded", count(lambda ops: mask(there(ops)))))
    return Found([current(site, axes)], taps=tuple(taps), sites=(site,), arrived=info.births)
