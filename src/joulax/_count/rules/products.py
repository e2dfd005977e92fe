"""Synaptic sites: contractions of data with weights, and of data with data.

Fan-out is exact: the adjoint of the product with every weight replaced by `weight != 0`, applied to
ones.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..axes import IDLE, REPEATED, VARIES, Axes
from ..exact import LIMIT, MANY, Sum, over, table, total
from ..findings import Context, Found, Late, Operands, Site, Tap, existing, graded, mask
from ..kinds import (
    NONE,
    Analog,
    Data,
    Events,
    Parameter,
    Paths,
    Place,
    Term,
    Value,
    Weight,
    varied,
)
from ..resolution import Resolution
from .births import union
from .geometry import Geometry
from .later import product as product_behind
from .permutations import permuted
from .registry import parameter_of, shape_of, site_of, source_of
from .terms import brought, current_cause


def weight_of(ins: Sequence[Value]) -> int | None:
    """The operand that is the weight: a parameter, or made of a leaf where the other is not."""
    parameters = [i for i in (0, 1) if isinstance(ins[i], Parameter)]
    if len(parameters) == 1:
        return parameters[0]
    made = [i for i in (0, 1) if isinstance(d := ins[i], Data) and d.weight is not None]
    return made[0] if len(made) == 1 else None


def weights_in(info: Value) -> Weight:
    """The leaves of a weight operand."""
    found = info.weight if isinstance(info, Parameter | Data) else None
    if found is not None:
        return found
    layer = info.layer if isinstance(info, Parameter) else None
    return Weight(frozenset(), info.axes.only(0), Place(), layer)


def is_spiking(data: Value) -> bool:
    """Whether data arrive as events: not as a sum that is still running."""
    return isinstance(data, Events) and not data.piled


def products_of_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    """A product of leaves is a parameter; of a leaf and an array closed over, refused."""
    a, b = ins[:2]
    for x, y in ((a, b), (b, a)):
        if isinstance(x, Parameter) and isinstance(y, Parameter) and x.leaves and y.outside:
            raise ValueError(
                f"at {source_of(eqn)} a weight meets an array that the function "
                f"closes over and that is no weight: "
                "is it data? Pass it as an argument, or make it one of the weights"
            )
    return [parameter_of(ins, shape_of(v)) for v in eqn.outvars]


def bilinear(eqn: Any, ins: Sequence[Value], ctx: Context, geometry: Geometry) -> Found:
    """A product of two operands, of which at least one depends on data."""
    ins = [ins[i] for i in geometry.places]
    w = weight_of(ins)
    if w is None:
        return _pair(eqn, ins, ctx, geometry)
    data = ins[1 - w]
    if not isinstance(data, Data):
        return _constant_product(eqn, ins, ctx, geometry, w)
    moved = permuted(eqn, ins, ctx, geometry, w)
    if moved is not None:
        return moved
    weight = weights_in(ins[w])
    if not weight.leaves and data.terms:
        found = brought(data.terms, geometry.contracted[1 - w])
        if found:
            weight = Weight(
                union(t.weight.leaves for t in found), weight.axes, found[0].weight.place
            )
    return _weighted(eqn, ins, ctx, geometry, w, weight)


def _constant_product(
    eqn: Any, ins: Sequence[Value], ctx: Context, geometry: Geometry, w: int
) -> Found:
    """A weight that depends on data, times a parameter: data times that parameter."""
    swapped = 1 - w
    return _weighted(eqn, ins, ctx, geometry, swapped, weights_in(ins[swapped]))


def _weighted(
    eqn: Any, ins: Sequence[Value], ctx: Context, g: Geometry, w: int, weight: Weight
) -> Found:
    data = ins[1 - w]
    assert isinstance(data, Data)
    axes = _axes(eqn, ins, g, w)
    site = site_of(
        eqn,
        ctx,
        weight,
        spiking=is_spiking(data),
        cause=data.cause,
        dense=g.dense,
        synapses=_distinct(ins[w], g.synapses[w], w, g),
        neurons=float(min(g.neurons[w], axes.size(IDLE))),
        inputs=g.inputs[w],
        copies=g.copies,
        operands=(known_by(data),),
    )
    return Found(
        [current(site, axes).but(terms=_delivered(site, weight, data, axes))],
        taps=_taps(eqn, ctx, site, g, w, data, axes),
        sites=(site,),
        arrived=frozenset() if ctx.backward else data.births,
        picked=_lookups(ins[w]),
        weight=g.places[w] if g.fixed else None,
        fanout=(ctx.path, lambda value: g.fanout(w, value, ())),
    )


def known_by(data: Data) -> frozenset[int]:
    """Numbers of a value: its own, of what it was moved from, of what a loop has stacked."""
    return frozenset((data.number, data.source, data.origin)) - {-1}


def _delivered(site: Site, weight: Weight, data: Data, axes: Axes) -> frozenset[Term]:
    """What a part of a weight has delivered: the other parts may be added by hand."""
    if not weight.leaves or weight.place == Place():
        return NONE
    source = data.root
    labels = Axes.of(axes.shape)
    return frozenset((Term(weight, source, data.place, labels, site.spiking, counted=True),))


def _distinct(weight: Value, synapses: float, w: int, g: Geometry) -> float:
    """Distinct positions: a weight that is broadcast along an axis is one."""
    copies = math.prod(weight.axes.shape[a] for a in _copied(weight, g, w))
    return synapses / copies


def _copied(weight: Value, g: Geometry, w: int) -> list[int]:
    """Axes of the weight along which it is the same, where they are axes of the result."""
    if not isinstance(weight, Parameter) or not weight.leaves:
        return []
    return [a for a in g.out[w] if not weight.axes.has(a, VARIES) and weight.axes.shape[a] > 1]


def _lookups(info: Value) -> Paths:
    terms = info.terms if isinstance(info, Data) else frozenset()
    return frozenset(t.lookup for t in terms if t.lookup)


def _axes(eqn: Any, ins: Sequence[Value], g: Geometry, w: int) -> Axes:
    """Axes of the result: those of the data alone, and copies of a weight, are batch or time."""
    shape = shape_of(eqn.outvars[0])
    axes = varied(shape).marked(REPEATED, g.free[1 - w])
    return axes.marked(REPEATED, [g.out[w][a] for a in _copied(ins[w], g, w)])


def current(site: Site, axes: Axes) -> Analog:
    """What leaves a site."""
    feeds = frozenset((site.path,))
    return Analog(axes, cause=current_cause(site), feeds=feeds, size=site.neurons)


def _taps(
    eqn: Any, ctx: Context, site: Site, g: Geometry, w: int, data: Data, axes: Axes
) -> tuple[Tap, ...]:
    path, shapes = site.path, [shape_of(eqn.invars[i]) for i in g.places]
    here, there_, within = g.places[w], g.places[1 - w], ctx.within_steps()
    kind, several = ("ac", _is_several(data)) if site.spiking else ("mac", False)
    each = MANY if several else 1.0
    repeated = axes.wholly(IDLE)
    reach = lambda ops: ops.fanout(path, lambda: g.fanout(w, ops.values[here], ops.values))

    order = (lambda e, weights: (e, weights)) if w == 1 else (lambda e, weights: (weights, e))
    product = lambda ops, events, weights: g.product(*order(events, weights), ops.values)
    out, most = shape_of(eqn.outvars[0]), _most(g, w, shapes)
    whole = ctx.resolution.whole(out, repeated, within)
    along = _steps_of(g, w, ctx.resolution, ctx.resolution.step_axis(out, repeated, within))
    bound = each * max(site.dense / max(math.prod(out), 1), most)
    later = product_behind(g, w, shapes, out, ctx.resolution, repeated, within)

    def met(field: str, events: Callable[[Operands], Array]) -> Tap:
        """Operations that events cause: by the fan-out they meet, or neuron by neuron."""
        if whole:
            all_of = lambda ops: weigh(events(ops), reach(ops), each * g.dense, each * most)
            return Tap(path, field, all_of)
        if along is not None:
            met_by = lambda ops, k=along: weigh_along(events(ops), reach(ops), k, bound)
            return Tap(path, field, met_by)
        reached = lambda ops: product(ops, events(ops), existing(ops.values[here]))
        value = lambda ops: ctx.resolution.summed(reached(ops), repeated, within, bound)
        part = lambda ops: Sum(events(ops), None, each)
        return Tap(path, field, value, None if later is None else Late(part, later.count))

    ones = lambda ops: product(ops, *(jnp.ones(shapes[i], jnp.float32) for i in (1 - w, w)))
    every = lambda ops: ctx.resolution.summed(ones(ops), repeated, within, MANY)
    everything = every if later is None else lambda ops: table(later.everywhere())
    there = lambda ops: (ops_events if site.spiking else ops_nonzero)(ops, there_)
    dense = (g.dense, None) if whole else (everything, later and Late(1.0, later.dense))
    found = [
        Tap(path, "nonzero", lambda ops: reach(ops).sum() / g.copies),
        Tap(path, f"dense_{kind}", *dense),
        met(kind, there),
    ]
    if several:
        found.append(met("ac_graded", lambda ops: graded_events(ops, there_)))
    if ctx.resolution.touched:
        reached = lambda ops: mask(product(ops, there(ops), mask(ops.values[here])))
        summed = lambda counts: ctx.resolution.summed(counts, repeated, within, 1.0)
        found.append(_touched(path, lambda ops: summed(reached(ops)), there, later, each))
    if ctx.resolution.events:
        found.append(_arriving(ctx, path, shapes[1 - w], there, each))
    return tuple(found)


def _is_several(data: Data) -> bool:
    """Whether an element of data may be more than one event."""
    return not (isinstance(data, Events) and data.is_unit)


def _touched(path: Any, count: Any, there: Any, later: Any, each: float) -> Tap:
    """Neurons that an event reaches: in each step, or for all steps behind a loop."""
    kept = later and Late(lambda ops: Sum(there(ops), None, each), later.touched, steps=True)
    return Tap(path, "touched", count, kept)


def _arriving(
    ctx: Context, path: Any, shape: tuple[int, ...], there: Callable[..., Array], each: float
) -> Tap:
    """Events that arrive at a site, before any fan-out."""
    all_axes, within = (True,) * len(shape), ctx.within_steps()
    return Tap(
        path, "events", lambda ops: ctx.resolution.summed(there(ops), all_axes, within, each)
    )


def ops_events(ops: Operands, i: int) -> Array:
    """Events of an operand."""
    return ops.events(i)


def graded_events(ops: Operands, i: int) -> Array:
    """Every nonzero element once: events that cancel leave nothing to send."""
    info = ops.infos[i]
    found = graded(ops.events(i))
    cancels = isinstance(info, Events) and info.beside and not info.nonneg
    return found * mask(ops.values[i]) if cancels else found


def ops_nonzero(ops: Operands, i: int) -> Array:
    """Where an operand is not zero."""
    return mask(ops.values[i])


def _gathered(events: Array, reach: Array, each: float) -> Array:
    """Events added up over the axes along which their fan-out is the same, where that is exact."""
    if events.ndim != reach.ndim:
        return events
    same = [a for a, n in enumerate(reach.shape) if n == 1 and events.shape[a] > 1]
    if not same or each * math.prod(events.shape[a] for a in same) >= LIMIT:
        return events
    return events.sum(axis=tuple(same), keepdims=True)


def weigh(every: Array, reach: Array, bound: float, each: float) -> Sum:
    """Σ events · fan-out, of which all together are at most `bound`, and one at most `each`."""
    events = _gathered(every, reach, each)
    if bound < LIMIT:
        if events.size == reach.size:
            flat = events.reshape(-1), reach.reshape(-1)
            return Sum(jax.lax.dot(*flat, precision=jax.lax.Precision.HIGHEST), None, bound)
        return Sum(jnp.sum(events * reach), None, bound)
    return total(events * reach, each * every.size / max(events.size, 1))


def _most(g: Geometry, w: int, shapes: Sequence[tuple[int, ...]]) -> float:
    """Synapses of one neuron, or of one input, at most: a weight joins an input to one neuron."""
    inside = math.prod(shapes[w][a] for a in g.contracted[w])
    return float(max(inside, min(g.neurons[w], math.prod(shapes[w])), 1))


def _steps_of(g: Geometry, w: int, resolution: Resolution, step: int | None) -> int | None:
    """The axis of the data that holds the steps, where no neurons are kept."""
    if resolution.neurons or step is None:
        return None
    return next((a for a, o in g.out[1 - w].items() if o == step), None)


def weigh_along(events: Array, reach: Array, axis: int, bound: float) -> Sum:
    """Σ events · fan-out, for each entry of one axis."""
    steps = jnp.moveaxis(events * reach, axis, 0)
    flat = steps.reshape(len(steps), -1)
    return over(1, Sum(flat, None, bound), flat.shape[1])


def _pair(eqn: Any, ins: Sequence[Value], ctx: Context, g: Geometry) -> Found:
    """Two operands that depend on the data (attention, fast weights).

    Pairs nonzero on both sides.
    """
    first, second = ins
    assert isinstance(first, Data)
    assert isinstance(second, Data)
    spiking = is_spiking(first) or is_spiking(second)
    cause = first.cause if is_spiking(first) else second.cause
    axes = varied(shape_of(eqn.outvars[0]))
    site = site_of(
        eqn,
        ctx,
        Weight(NONE, axes),
        spiking=spiking,
        cause=cause,
        dense=g.dense,
        synapses=None,
        neurons=float(axes.size(0)),
        inputs=0.0,
        pair=_fed_by(first, ctx) | _fed_by(second, ctx),
        operands=(known_by(first), known_by(second)),
    )
    arrived = frozenset() if ctx.backward else first.births | second.births
    taps = _pair_taps(eqn, ins, ctx, g, axes, spiking)
    return Found([current(site, axes)], taps=taps, sites=(site,), arrived=arrived)


def _pair_taps(
    eqn: Any, ins: Sequence[Value], ctx: Context, g: Geometry, axes: Axes, spiking: bool
) -> tuple[Tap, ...]:
    shapes = [shape_of(eqn.invars[i]) for i in g.places]
    within, repeated = ctx.within_steps(), axes.wholly(IDLE)
    bound = g.dense * MANY

    def met(make: Callable[[Operands, int], Array]) -> Callable[[Operands], Sum]:
        if ctx.resolution.total:
            return lambda ops: _paired(g, make(ops, 0), make(ops, 1), ops.values, bound)
        return lambda ops: ctx.resolution.summed(
            g.product(make(ops, 0), make(ops, 1), ops.values), repeated, within, MANY
        )

    ones = lambda ops, i: jnp.ones(shapes[i], jnp.float32)
    kind = "ac" if spiking else "mac"
    each = lambda ops, i: (ops_events if is_spiking(ins[i]) else ops_nonzero)(ops, g.places[i])
    once_ = lambda ops, i: mask(each(ops, i)) * mask(ops.values[g.places[i]])
    taps = [
        Tap(ctx.path, kind, met(each)),
        Tap(ctx.path, f"dense_{kind}", g.dense if ctx.resolution.total else met(ones)),
    ]
    if spiking and not all(not isinstance(i, Events) or i.is_unit for i in ins):
        taps.append(Tap(ctx.path, "ac_graded", met(once_)))
    return tuple(taps)


def _paired(g: Geometry, a: Array, b: Array, values: Sequence[Any], bound: float) -> Sum:
    products = g.pairs(a, b) if g.pairs else g.product(a, b, values)
    return total(products, max(bound / max(products.size, 1), 1.0))


def _fed_by(data: Data, ctx: Context) -> Paths:
    """Sites that feed an operand, directly or as spikes."""
    return data.feeds | union(b.feeds for b in ctx.births(data.births))


EXACT = (jax.lax.Precision.HIGHEST,) * 2  # counts above 2¹¹ are not exact in lower precision


def bind(eqn: Any, a: Any, b: Any) -> Array:
    """The same product of two other operands, in float32."""
    params = {**eqn.params, "preferred_element_type": jnp.dtype(jnp.float32), "precision": EXACT}
    return eqn.primitive.bind(a.astype(jnp.float32), b.astype(jnp.float32), **params)
