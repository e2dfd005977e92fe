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

from ..axes import IDLE, REPEATED, SOURCE, SPREAD, VARIES, WEIGHT, Axes
from ..events import mask
from ..exact import MANY, Sum, total
from ..findings import Context, Fanout, Found, Operands, Site, Tap
from ..kinds import ZERO, Analog, Data, Events, Leaves, Parameter, Term, Value, Weight, varied
from ..labels import Met
from ..places import NONE, Paths, Place, union
from .arriving import Arriving
from .births import datas
from .contents import arrived
from .geometry import Geometry
from .hand import current_cause
from .later import Product
from .made import leaf_of
from .permutations import permuted
from .registry import because, parameter_of, shape_of, site_of, source_of
from .terms import brought, lookups


def weight_of(ins: Sequence[Value], g: Geometry) -> int | None:
    """The operand that is the weight: a parameter, or made of a leaf where the other is not."""
    parameters = [i for i in (0, 1) if isinstance(ins[i], Parameter)]
    if len(parameters) == 1:
        return parameters[0]
    made = [i for i in (0, 1) if isinstance(d := ins[i], Data) and _is_made(d, i, g)]
    if len(made) < 2:
        return made[0] if made else None
    leaves = [i for i in made if leaf_of(ins[i]) is not None]  # of the others data pick rows
    return _of_two_leaves(ins) if len(leaves) == 2 else next(iter(leaves), None)


def _of_two_leaves(ins: Sequence[Value]) -> int:
    """Of two leaves that others have changed, the last that differs along all axes."""
    whole = [i for i in (0, 1) if all(weights_in(ins[i]).axes.flags(WEIGHT))]
    return whole[-1] if whole else 1


def _is_made(data: Data, i: int, g: Geometry) -> bool:
    """Whether data are made of a leaf, perhaps for each sample anew, and not broadcast over it.

    Samples of their own are batch beside neurons of the weight: of one alone nothing tells.
    """
    if data.weight is None:
        return False
    own, shared = data.weight.axes, _shared(g, i)
    spread = {a for a, s in enumerate(own.flags(SPREAD)) if s}
    neurons = any(own.has(a, WEIGHT) for a in g.out[i].keys() - shared - spread)
    return spread <= shared or (neurons and spread <= g.out[i].keys())


def _shared(g: Geometry, w: int) -> set[int]:
    """Axes of an operand that are axes of both operands and of the result."""
    return {a for a, o in g.out[w].items() if o in g.out[1 - w].values()}


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
    values = ZERO if any(i.constant == 0 for i in (a, b)) else None
    return [parameter_of(ins, shape_of(v), values=values) for v in eqn.outvars]


def bilinear(eqn: Any, ins: Sequence[Value], ctx: Context, geometry: Geometry) -> Found:
    """A product of two operands, of which at least one depends on data."""
    ins = [ins[i] for i in geometry.places]
    if prepared := _of_a_leaf(eqn, ins):
        return Found([prepared])
    w = weight_of(ins, geometry)
    if w is None and not datas(ins):  # stored elements, whose indices alone are data
        cause = because(eqn, "parameters at places that data say")
        out = Analog(varied(shape_of(eqn.outvars[0])), cause=cause)
        return Found([out], lost="two parameters, multiplied at indices that are data")
    if w is None:
        return _pair(eqn, ins, ctx, geometry)
    data = ins[1 - w]
    assert isinstance(data, Data)
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


def _of_a_leaf(eqn: Any, ins: Sequence[Value]) -> Value | None:
    """A leaf that others have changed times a constant of the program: nothing drives it."""
    plain = [i for i in ins if isinstance(i, Parameter) and not (i.leaves or i.outside)]
    changed = [i for i in ins if isinstance(i, Data) and leaf_of(i)]
    if not (plain and changed):
        return None
    shape = shape_of(eqn.outvars[0])
    if plain[0].constant == 0:
        return parameter_of(plain, shape, values=ZERO)
    leaves, axes = weights_in(changed[0]).leaves, varied(shape)
    return changed[0].apart(axes=axes, weight=_whole(leaves, axes))


def _whole(leaves: Leaves, axes: Axes) -> Weight:
    """Some leaves as all of a value."""
    return Weight(leaves, axes.relabelled(lambda s: WEIGHT if s & VARIES else 0), Place())


def _weighted(
    eqn: Any, ins: Sequence[Value], ctx: Context, g: Geometry, w: int, weight: Weight
) -> Found:
    data = ins[1 - w]
    assert isinstance(data, Data)
    ctx.resolution.check_weight(ins[w].axes)
    axes = _axes(eqn, ins, g, w)
    here = _distinct(ins[w], g.synapses[w], w, g)
    synapses = _walked(ctx, weight, here)
    site = site_of(
        eqn,
        ctx,
        weight,
        spiking=is_spiking(data),
        cause=data.cause,
        dense=g.dense,
        synapses=synapses,
        here=here,
        neurons=float(min(g.neurons[w], axes.size(IDLE))),
        inputs=g.inputs[w],
        operands=(known_by(data),),
        nameless=-1 if weight.leaves else _unmoved(ins[w].number, ctx),
    )
    arriving = _arriving(eqn, ctx, site, g, w, ins, axes)
    own = _of_leaves(data, weight, axes)
    return Found(
        [current(site, axes).but(terms=_delivered(site, weight, data, axes), weight=own)],
        taps=_taps(ctx, arriving),
        sites=(site,),
        arrived=arrived(ctx, data.births),
        picked=lookups(t for d in datas([ins[w]]) for t in d.terms),
        weight=g.places[w] if g.fixed else None,
        fanout=(ctx.path, Fanout(lambda value: g.fanout(w, value, ()), arriving.existing)),
    )


def _of_leaves(data: Data, weight: Weight, axes: Axes) -> Weight | None:
    """What a product of two leaves is made of, of which data have changed one: of both."""
    leaf = leaf_of(data) if weight.leaves else None
    return None if leaf is None else _whole(leaf.leaves | weight.leaves, axes)


def _unmoved(number: int, ctx: Context) -> int:
    """The number of a weight before its axes were moved: `B` and `B.T` are one."""
    made = ctx.maker(number)
    while made is not None and made[0].primitive.name in ("transpose", "reshape", "squeeze"):
        number = made[1][0].number
        made = ctx.maker(number)
    return number


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


def _walked(ctx: Context, weight: Weight, here: float) -> float:
    """Distinct positions in all steps of loops that take another part of a weight in each."""
    loops = weight.place.walks - ({weight.layer.path} if weight.layer else NONE)
    part = math.prod(weight.axes.shape)
    if not loops or not part:
        return here
    steps, elements = ctx.steps(loops), ctx.elements(weight.leaves)
    whole = max(here, elements, here * elements / part)
    return whole if steps is None else min(here * steps, whole)


def _copied(weight: Value, g: Geometry, w: int) -> list[int]:
    """Axes of samples along which the weight is the same."""
    if isinstance(weight, Data):
        return sorted({*_looked_up(weight, g, w), *_made_anew(weight, g, w)})
    if not isinstance(weight, Parameter):
        return []
    same = (a for a in sorted(_shared(g, w)) if not weight.axes.has(a, VARIES))
    return [a for a in same if weight.axes.shape[a] > 1]


def _looked_up(weight: Data, g: Geometry, w: int) -> list[int]:
    """Axes of samples along which each looks up a weight: one, whichever of its slices come."""
    rows = [t.axes for t in weight.terms if t.lookup and t.axes.shape == weight.axes.shape]
    return [a for a in _shared(g, w) if _varies(rows, a)]


def _made_anew(weight: Data, g: Geometry, w: int) -> list[int]:
    """Axes of samples along which each makes a weight of its own of the same leaf."""
    own = weight.weight
    return [] if own is None else [a for a in g.out[w] if own.axes.has(a, SPREAD)]


def _varies(rows: Sequence[Axes], axis: int) -> bool:
    """Whether the index of any look-up varies along an axis."""
    return any(axes.has(axis, SOURCE) for axes in rows)


def _axes(eqn: Any, ins: Sequence[Value], g: Geometry, w: int) -> Axes:
    """Axes of the result: those of the data alone, and copies of a weight, are batch or time."""
    shape = shape_of(eqn.outvars[0])
    axes = varied(shape).marked(REPEATED, g.free[1 - w])
    return axes.marked(REPEATED, [g.out[w][a] for a in _copied(ins[w], g, w)])


def current(site: Site, axes: Axes) -> Analog:
    """What leaves a site."""
    feeds = frozenset((site.path,))
    slope = frozenset(((Met.SLOPE, site.path),)) if site.is_gradient else NONE
    fields: dict[str, Any] = dict(feeds=feeds, size=site.neurons, targets=slope)
    return Analog(axes, cause=current_cause(site), **fields)


def _arriving(
    eqn: Any, ctx: Context, site: Site, g: Geometry, w: int, ins: Sequence[Value], axes: Axes
) -> Arriving:
    shapes = tuple(shape_of(eqn.invars[i]) for i in g.places)
    repeated, within = axes.wholly(IDLE), ctx.within_steps()
    product = Product(g, w, shapes, axes.shape, ctx.resolution, repeated, within)
    several = site.spiking and _is_several(ins[1 - w])
    copied, anew = tuple(_copied(ins[w], g, w)), isinstance(ins[w], Data)
    return Arriving(site, product, several, copied, anew)


def _taps(ctx: Context, here: Arriving) -> tuple[Tap, ...]:
    kind = "ac" if here.site.spiking else "mac"
    found = [here.dense(f"dense_{kind}"), here.met(kind, here.events)]
    if here.site.slices == ctx.steps(here.site.walked):  # no element twice
        found.append(here.nonzero())
    if here.several:
        found.append(here.met("ac_graded", here.graded))
    if ctx.resolution.touched:
        found.append(here.touched())
    if ctx.resolution.events:
        found.append(here.arrived())
    return tuple(found)


def _is_several(data: Value) -> bool:
    """Whether an element of data may be more than one event."""
    return not (isinstance(data, Events) and data.is_unit)


def ops_events(ops: Operands, i: int) -> Array:
    """Events of an operand."""
    return ops.events(i)


def ops_nonzero(ops: Operands, i: int) -> Array:
    """Where an operand is not zero."""
    return mask(ops.values[i])


def _pair(eqn: Any, ins: Sequence[Value], ctx: Context, g: Geometry) -> Found:
    """Two operands that depend on the data (attention, fast weights).

    Pairs nonzero on both sides.
    """
    first, second = ins
    assert isinstance(first, Data)
    assert isinstance(second, Data)
    spiking = is_spiking(first) or is_spiking(second)
    cause = first.cause if is_spiking(first) else second.cause
    axes = varied(shape_of(eqn.outvars[0])).marked(REPEATED, _batch(ins, g))
    site = site_of(
        eqn,
        ctx,
        Weight(NONE, axes),
        spiking=spiking,
        cause=cause,
        dense=g.dense,
        synapses=None,
        neurons=float(axes.size(IDLE)),
        inputs=0.0,
        pair=fed_by(first, ctx) | fed_by(second, ctx),
        operands=(known_by(first), known_by(second)),
    )
    taps, births = _pair_taps(eqn, ins, ctx, g, axes, spiking), first.births | second.births
    out = current(site, axes).but(learned=not g.contracted[0])  # an outer product
    return Found([out], taps=taps, sites=(site,), arrived=arrived(ctx, births))


def _batch(ins: Sequence[Value], g: Geometry) -> list[int]:
    """Axes of both operands that are batch or time for either."""
    idle = [i.axes.wholly(IDLE) for i in ins]
    return [g.out[i][a] for i in (0, 1) for a in _shared(g, i) if idle[i][a]]


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

    def ones(ops: Operands, i: int) -> Array:
        return jnp.ones(shapes[i], jnp.float32)

    def each(ops: Operands, i: int) -> Array:
        return (ops_events if is_spiking(ins[i]) else ops_nonzero)(ops, g.places[i])

    def once(ops: Operands, i: int) -> Array:
        return mask(each(ops, i)) * mask(ops.values[g.places[i]])

    kind = "ac" if spiking else "mac"
    taps = [
        Tap(ctx.path, kind, met(each)),
        Tap(ctx.path, f"dense_{kind}", g.dense if ctx.resolution.total else met(ones)),
    ]
    if spiking and any(isinstance(i, Events) and not i.is_unit for i in ins):
        taps.append(Tap(ctx.path, "ac_graded", met(once)))
    return tuple(taps)


def _paired(g: Geometry, a: Array, b: Array, values: Sequence[Any], bound: float) -> Sum:
    products = g.pairs(a, b) if g.pairs else g.product(a, b, values)
    return total(products, max(bound / max(products.size, 1), 1.0))


def fed_by(data: Data, ctx: Context) -> Paths:
    """Sites that feed an operand, directly or as spikes."""
    return data.feeds | union(b.feeds for b in ctx.births(data.births))


EXACT = (jax.lax.Precision.HIGHEST,) * 2  # counts above 2¹¹ are not exact in lower precision


def bind(eqn: Any, a: Any, b: Any) -> Array:
    """The same product of two other operands, in float32."""
    params = {**eqn.params, "preferred_element_type": jnp.dtype(jnp.float32), "precision": EXACT}
    return eqn.primitive.bind(a.astype(jnp.float32), b.astype(jnp.float32), **params)
