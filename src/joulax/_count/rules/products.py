"""Synaptic sites: contractions of data with weights, and of data with data.

Fan-out is exact: the adjoint of the product with every weight replaced by `weight != 0`, applied to
ones.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..axes import IDLE, REPEATED, VARIES, Axes
from ..exact import LIMIT, MANY, Sum, total
from ..findings import Context, Found, Operands, Site, Tap, graded, mask
from ..kinds import Analog, Data, Events, Parameter, Paths, Place, Value, Weight, varied
from .births import union
from .registry import parameter_of, rule, scope_of, shape_of, source_of
from .terms import brought, current_cause


@dataclass(frozen=True)
class Geometry:
    """What a bilinear product is, apart from the kinds of its operands."""

    dense: float  # pairs that meet
    synapses: tuple[float, float]  # distinct positions, if operand 0 or 1 is the weight
    neurons: tuple[float, float]  # outputs of one sample
    inputs: tuple[float, float]
    free: tuple[tuple[int, ...], tuple[int, ...]]  # output axes of each operand alone
    contracted: tuple[tuple[int, ...], tuple[int, ...]]  # axes of each operand that are summed
    product: Callable[[Any, Any, Sequence[Any]], Array]  # of two operands and all values
    fanout: Callable[[int, Any, Sequence[Any]], Array]
    pairs: Callable[[Any, Any], Array] | None = None  # products whose sum is all pairs that meet
    copies: float = 1.0
    places: tuple[int, int] = (0, 1)  # the two operands among all
    fixed: bool = True  # nothing but the weight decides the fan-out
    out: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))


# -- which operand is the weight ------------------------------------------------------


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


# -- sites ----------------------------------------------------------------------------


def bilinear(eqn: Any, ins: Sequence[Value], ctx: Context, geometry: Geometry) -> Found:
    """A product of two operands, of which at least one depends on data."""
    ins = [ins[i] for i in geometry.places]
    w = weight_of(ins)
    if w is None:
        return _pair(eqn, ins, ctx, geometry)
    data = ins[1 - w]
    if not isinstance(data, Data):
        return _constant_product(eqn, ins, ctx, geometry, w)
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
    site = Site(
        ctx.path,
        weight.leaves,
        weight.place,
        is_spiking(data),
        data.cause,
        eqn.primitive.name,
        source_of(eqn),
        scope_of(eqn),
        weight.layer.path if weight.layer else None,
        weight.layer.length if weight.layer else None,
        g.dense,
        _distinct(ins[w], g.synapses[w], w, g),
        float(min(g.neurons[w], axes.size(IDLE))),
        g.inputs[w],
        backward=ctx.backward,
        copies=g.copies,
    )
    return Found(
        [current(site, axes)],
        taps=_taps(eqn, ctx, site, g, w, data, axes),
        sites=(site,),
        arrived=frozenset() if ctx.backward else data.births,
        picked=_lookups(ins[w]),
        weight=g.places[w] if g.fixed else None,
        fanout=(ctx.path, lambda value: g.fanout(w, value, ())),
    )


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
    here, there_ = g.places[w], g.places[1 - w]
    kind, within = "ac" if site.spiking else "mac", ctx.within_steps()
    each = 1.0 if not isinstance(data, Events) or data.is_unit or not site.spiking else MANY
    repeated = axes.wholly(IDLE)
    reach = lambda ops: ops.fanout(path, lambda: g.fanout(w, ops.values[here], ops.values))

    def product(ops: Operands, events: Array, weights: Array) -> Array:
        return g.product(*((events, weights) if w == 1 else (weights, events)), ops.values)

    def met(events: Callable[[Operands], Array]) -> Callable[[Operands], Sum]:
        """Operations that events cause: by the fan-out they meet, or neuron by neuron."""
        if ctx.resolution.total:
            return lambda ops: weigh(events(ops), reach(ops), each * g.dense)
        bound = each * max(site.dense / max(math.prod(shape_of(eqn.outvars[0])), 1), 1.0)
        return lambda ops: ctx.resolution.summed(
            product(ops, events(ops), mask(ops.values[here])), repeated, within, bound
        )

    def everything(ops: Operands) -> Sum:
        ones = product(ops, jnp.ones(shapes[1 - w]), jnp.ones(shapes[w]))
        return ctx.resolution.summed(ones, repeated, within, MANY)

    arriving_ = ops_events if site.spiking else ops_nonzero
    there = lambda ops: arriving_(ops, there_)
    found = [
        Tap(path, "nonzero", lambda ops: reach(ops).sum() / g.copies),
        Tap(path, f"dense_{kind}", g.dense if ctx.resolution.total else everything),
        Tap(path, kind, met(there)),
    ]
    if site.spiking and not (isinstance(data, Events) and data.is_unit):
        found.append(Tap(path, "ac_graded", met(lambda ops: graded(ops.events(there_)))))
    if ctx.resolution.touched:
        reached = lambda ops: mask(product(ops, there(ops), mask(ops.values[here])))
        count = lambda ops: ctx.resolution.summed(reached(ops), repeated, within, 1.0)
        found.append(Tap(path, "touched", count))
    if ctx.resolution.events:
        arriving = (True,) * len(shapes[1 - w])
        count_events = lambda ops: ctx.resolution.summed(there(ops), arriving, within, each)
        found.append(Tap(path, "events", count_events))
    return tuple(found)


def ops_events(ops: Operands, i: int) -> Array:
    """Events of an operand."""
    return ops.events(i)


def ops_nonzero(ops: Operands, i: int) -> Array:
    """Where an operand is not zero."""
    return mask(ops.values[i])


def weigh(events: Array, reach: Array, bound: float) -> Sum:
    """Σ events · fan-out."""
    if bound < LIMIT:
        if events.size == reach.size:
            flat = events.reshape(-1), reach.reshape(-1)
            return Sum(jax.lax.dot(*flat, precision=jax.lax.Precision.HIGHEST), None, bound)
        return Sum(jnp.sum(events * reach), None, bound)
    products = events * reach
    return total(products, max(bound / max(products.size, 1), 1.0))


# -- two operands of data ---------------------------------------------------------------


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
    site = Site(
        ctx.path,
        frozenset(),
        Place(),
        spiking,
        cause,
        eqn.primitive.name,
        source_of(eqn),
        scope_of(eqn),
        None,
        None,
        g.dense,
        None,
        float(axes.size(0)),
        0.0,
        pair=_fed_by(first, ctx) | _fed_by(second, ctx),
        backward=ctx.backward,
    )
    shapes = [shape_of(eqn.invars[i]) for i in g.places]
    within, repeated = ctx.within_steps(), axes.wholly(IDLE)
    bound = g.dense * MANY

    def met(make: Callable[[Operands, int], Array]) -> Callable[[Operands], Sum]:
        if ctx.resolution.total:
            return lambda ops: _paired(g, make(ops, 0), make(ops, 1), ops.values, bound)
        return lambda ops: ctx.resolution.summed(
            g.product(make(ops, 0), make(ops, 1), ops.values), repeated, within, MANY
        )

    ones = lambda ops, i: jnp.ones(shapes[i])
    kind = "ac" if spiking else "mac"
    each = lambda ops, i: (ops_events if is_spiking(ins[i]) else ops_nonzero)(ops, g.places[i])
    once_ = lambda ops, i: mask(each(ops, i))
    taps = [
        Tap(ctx.path, kind, met(each)),
        Tap(ctx.path, f"dense_{kind}", g.dense if ctx.resolution.total else met(ones)),
    ]
    simple = all(not isinstance(i, Events) or i.is_unit for i in (first, second))
    if spiking and not simple:
        taps.append(Tap(ctx.path, "ac_graded", met(once_)))
    arrived = frozenset() if ctx.backward else first.births | second.births
    out = current(site, axes)
    return Found([out], taps=tuple(taps), sites=(site,), arrived=arrived)


def _paired(g: Geometry, a: Array, b: Array, values: Sequence[Any], bound: float) -> Sum:
    products = g.pairs(a, b) if g.pairs else g.product(a, b, values)
    return total(products, max(bound / max(products.size, 1), 1.0))


def _fed_by(data: Data, ctx: Context) -> Paths:
    """Sites that feed an operand, directly or as spikes."""
    return data.feeds | union(b.feeds for b in ctx.births(data.births))


# -- dot_general ------------------------------------------------------------------------


@rule("dot_general", parameters=products_of_parameters)
def _dot(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """Matrix products of all forms."""
    return bilinear(eqn, [*operands(eqn, ins)], ctx, dot_geometry(eqn))


def operands(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    """Operands as they are, scalars included."""
    shapes = map(shape_of, eqn.invars)
    return [
        i if i.axes.shape == s else i.but(axes=varied(s)) for i, s in zip(ins, shapes, strict=True)
    ]


def dot_geometry(eqn: Any) -> Geometry:
    """Sizes and products of a `dot_general`."""
    contract, batch = eqn.params["dimension_numbers"]
    shapes = [v.aval.shape for v in eqn.invars]
    free = [
        [d for d in range(len(s)) if d not in (*c, *b)]
        for s, c, b in zip(shapes, contract, batch, strict=True)
    ]
    sizes = [math.prod(s[d] for d in f) for s, f in zip(shapes, free, strict=True)]
    count = math.prod(shapes[0][d] for d in batch[0])
    inner = math.prod(shapes[0][d] for d in contract[0])
    first = len(batch[0])
    left = tuple(range(first, first + len(free[0])))
    right = tuple(range(first + len(free[0]), first + len(free[0]) + len(free[1])))

    def part(i: int, x: Array) -> Array:
        return _sum(x, free[i], batch[i], contract[i])

    def fanout(w: int, weight: Any, values: Sequence[Any]) -> Array:
        reached = part(w, mask(weight))  # batch dimensions, then contracted ones
        places = [*batch[1 - w], *contract[1 - w]]
        order = sorted(range(len(places)), key=lambda i: places[i])
        shape = tuple(n if i in places else 1 for i, n in enumerate(shapes[1 - w]))
        return reached.transpose(order).reshape(shape)

    each = float(count * inner)
    return Geometry(
        dense=each * sizes[0] * sizes[1],
        synapses=(each * sizes[0], each * sizes[1]),
        neurons=(float(count * sizes[0]), float(count * sizes[1])),
        inputs=(each, each),
        free=(left, right),
        contracted=(tuple(contract[0]), tuple(contract[1])),
        product=lambda a, b, values: bind(eqn, a, b),
        pairs=lambda a, b: part(0, a) * part(1, b),
        fanout=fanout,
        out=(
            dict(zip([*batch[0], *free[0]], [*range(first), *left], strict=True)),
            dict(zip([*batch[1], *free[1]], [*range(first), *right], strict=True)),
        ),
    )


def _sum(x: Array, free: Sequence[int], batch: Sequence[int], contract: Sequence[int]) -> Array:
    """Sum over the free dimensions; what is left is ordered batch, contracted."""
    x = x.sum(axis=tuple(free))
    left = sorted([*batch, *contract])
    return x.transpose([left.index(i) for i in [*batch, *contract]])


def bind(eqn: Any, a: Any, b: Any) -> Array:
    """The same product of two other operands, in float32."""
    params = {**eqn.params, "preferred_element_type": jnp.dtype(jnp.float32)}
    return eqn.primitive.bind(a.astype(jnp.float32), b.astype(jnp.float32), **params)


# -- conv_general_dilated ---------------------------------------------------------------


@rule("conv_general_dilated", parameters=products_of_parameters)
def _conv(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """Convolutions of all forms."""
    return bilinear(eqn, ins, ctx, conv_geometry(eqn))


def conv_geometry(eqn: Any) -> Geometry:
    """Sizes and products of a convolution; padding is no synapse."""
    numbers, batches = eqn.params["dimension_numbers"], eqn.params["batch_group_count"]
    x, k, y = (v.aval.shape for v in (*eqn.invars, *eqn.outvars))
    spatial = [_meetings(eqn, i, x, k, y) for i in range(len(numbers.lhs_spec) - 2)]
    outs, inner = y[numbers.out_spec[1]], k[numbers.rhs_spec[1]]
    positions = float(math.prod(spatial) * outs * inner)
    repeats = y[numbers.out_spec[0]]
    neurons = float(math.prod(y) // max(repeats, 1))
    inputs = float(math.prod(x) // max(x[numbers.lhs_spec[0]], 1))
    product = lambda a, b: bind(eqn, a, b)

    def adjoint(f: Callable[[Any], Array], like: tuple[int, ...], out: tuple[int, ...]) -> Array:
        there = jax.ShapeDtypeStruct(like, jnp.float32)
        (found,) = jax.linear_transpose(f, there)(jnp.ones(out, jnp.float32))
        return found

    def fanout(w: int, weight: Any, values: Sequence[Any]) -> Array:
        fixed = mask(weight)
        if w == 0:  # data in the place of the kernel: at full size
            return adjoint(lambda kernel: product(fixed, kernel), k, y)
        if batches > 1:
            return adjoint(lambda data: product(data, fixed), x, y)
        one = tuple(1 if i == numbers.lhs_spec[0] else n for i, n in enumerate(x))
        single = tuple(1 if i == numbers.out_spec[0] else n for i, n in enumerate(y))
        return adjoint(lambda data: product(data, fixed), one, single)

    axis = (numbers.out_spec[0],)
    kernel_axes = tuple(i for i in range(len(k)) if i != numbers.rhs_spec[0])
    data_axes = tuple(i for i in range(len(x)) if i != numbers.lhs_spec[0])
    return Geometry(
        dense=positions * repeats,
        synapses=(positions, positions),
        neurons=(neurons, neurons),
        inputs=(inputs, inputs),
        free=(axis, axis),
        contracted=(data_axes, kernel_axes),
        product=lambda a, b, values: product(a, b),
        fanout=fanout,
        copies=float(repeats) if batches > 1 else 1.0,
    )


def _meetings(eqn: Any, i: int, x: tuple[int, ...], k: tuple[int, ...], y: tuple[int, ...]) -> int:
    """Pairs (output position, kernel tap) along spatial axis i that meet a real input."""
    p, numbers = eqn.params, eqn.params["dimension_numbers"]
    n, taps = x[numbers.lhs_spec[i + 2]], k[numbers.rhs_spec[i + 2]]
    outs, hole = y[numbers.out_spec[i + 2]], p["lhs_dilation"][i]
    place = (
        np.arange(outs)[:, None] * p["window_strides"][i]
        + np.arange(taps)[None, :] * p["rhs_dilation"][i]
        - p["padding"][i][0]
    )
    inside = (place >= 0) & (place <= (n - 1) * hole) & (place % hole == 0)
    return int(inside.sum())
