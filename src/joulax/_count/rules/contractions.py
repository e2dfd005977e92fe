"""Matrix products and convolutions: their geometry."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..events import existing
from ..findings import Context, Found
from ..kinds import Data, Value, varied
from ..run import Runner, evaluate_one
from .padding import Border, border, inside
from .products import Geometry, bilinear, bind, products_of_parameters
from .registry import rule, shape_of


@rule("dot_general", parameters=products_of_parameters)
def _dot(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """Matrix products of all forms; without a sum, a product element by element.

    A layer with one input has no sum either: its leaf shares no axis with the data.
    """
    contracted, batch = eqn.params["dimension_numbers"]
    one_to_one = any(batch) or all(isinstance(i, Data) for i in ins)
    by_element = one_to_one and not any(contracted)
    if by_element and not ctx.backward:  # the gradient of a weight is a product of its own
        return _elementwise(eqn, ins, ctx)
    return bilinear(eqn, [*operands(eqn, ins)], ctx, dot_geometry(eqn))


def _elementwise(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """What the product would be, were it written with axes of length one."""
    _, (left, right) = eqn.params["dimension_numbers"]
    shapes = [shape_of(v) for v in eqn.invars]
    free = [
        [d for d in range(len(s)) if d not in b] for s, b in zip(shapes, (left, right), strict=True)
    ]

    def product(a: Array, b: Array) -> Array:
        a, b = a.transpose((*left, *free[0])), b.transpose((*right, *free[1]))
        a = jax.lax.expand_dims(a, range(a.ndim, a.ndim + len(free[1])))
        b = jax.lax.expand_dims(b, range(len(right), len(right) + len(free[0])))
        shape = shape_of(eqn.outvars[0])
        return jnp.broadcast_to(a, shape) * jnp.broadcast_to(b, shape)

    out = eqn.outvars[0].aval.dtype
    like = [jax.ShapeDtypeStruct(s, out) for s in shapes]
    plan = ctx.walk(jax.make_jaxpr(product)(*like), ins, call=True)
    if plan.quiet:
        return Found(plan.outs)

    def run(runner: Runner, values: list[Any], companions: list[Any]) -> Any:
        _, there, found = runner.run(plan, [v.astype(out) for v in values], companions)
        return evaluate_one(plan.jaxpr, eqn, values), there, found

    return Found(plan.outs, run=run, inner=((plan, lambda k: k),))


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
    out, alone = sides(shapes, (contract, batch))
    free = [[d for d, o in s.items() if o in own] for s, own in zip(out, alone, strict=True)]
    sizes = [math.prod(s[d] for d in f) for s, f in zip(shapes, free, strict=True)]
    count = math.prod(shapes[0][d] for d in batch[0])
    inner = math.prod(shapes[0][d] for d in contract[0])

    def part(i: int, x: Array) -> Array:
        return _sum(x, free[i], batch[i], contract[i])

    def fanout(w: int, weight: Any, values: Sequence[Any]) -> Array:
        reached = part(w, existing(weight))  # batch dimensions, then contracted ones
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
        free=alone,
        contracted=(tuple(contract[0]), tuple(contract[1])),
        product=lambda a, b, values: bind(eqn, a, b),
        pairs=lambda a, b: part(0, a) * part(1, b),
        fanout=fanout,
        met=np.full((1,) * len(shape_of(eqn.outvars[0])), inner, np.int64),
        out=out,
    )


Sides = tuple[dict[int, int], dict[int, int]]


def sides(
    shapes: Sequence[Sequence[int]], numbers: Any, groups: Sequence[int] = (), start: int = 0
) -> tuple[Sides, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Where axes of both operands are in the result, and those of one alone.

    First batch, from `start` on, then those of the first, then those of the second.
    """
    contract, batch = numbers
    gone = ({*contract[0], *batch[0]}, {*contract[1], *batch[1], *groups})
    pairs = zip(shapes, gone, strict=True)
    left, right = ([d for d in range(len(s)) if d not in g] for s, g in pairs)
    first, last = start + len(batch[0]), start + len(batch[0]) + len(left)
    both = range(start, first)
    own = tuple(range(first, last)), tuple(range(last, last + len(right)))
    found = (
        dict(zip([*batch[0], *left], [*both, *own[0]], strict=True)),
        dict(zip([*batch[1], *right], [*both, *own[1]], strict=True)),
    )
    return found, own


def _sum(x: Array, free: Sequence[int], batch: Sequence[int], contract: Sequence[int]) -> Array:
    """Sum over the free dimensions; what is left is ordered batch, contracted."""
    x = x.sum(axis=tuple(free))
    left = sorted([*batch, *contract])
    return x.transpose([left.index(i) for i in [*batch, *contract]])


@rule("conv_general_dilated", parameters=products_of_parameters)
def _conv(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """Convolutions of all forms."""
    return bilinear(eqn, ins, ctx, conv_geometry(eqn, border(ins[0], ctx)))


def conv_geometry(eqn: Any, padded: Border) -> Geometry:
    """Sizes and products of a convolution; padding is no synapse."""
    numbers, batches = eqn.params["dimension_numbers"], eqn.params["batch_group_count"]
    x, k, y = (v.aval.shape for v in (*eqn.invars, *eqn.outvars))
    pairs = [_inside(eqn, i, x, k, y, padded) for i in range(len(numbers.lhs_spec) - 2)]
    outs, inner = y[numbers.out_spec[1]], k[numbers.rhs_spec[1]]
    positions = float(math.prod(int(p.sum()) for p in pairs) * outs * inner)
    repeats = y[numbers.out_spec[0]]
    neurons = float(math.prod(y) // max(repeats, 1))
    inputs = float(math.prod(x) // max(x[numbers.lhs_spec[0]], 1))
    axis = (numbers.out_spec[0],)
    kernel_axes = tuple(i for i in range(len(k)) if i != numbers.rhs_spec[0])
    data_axes = tuple(i for i in range(len(x)) if i != numbers.lhs_spec[0])
    return Geometry(
        dense=positions * repeats,
        synapses=(positions * repeats, positions),
        neurons=(neurons, neurons),
        inputs=(inputs, inputs),
        free=(axis, axis),
        contracted=(data_axes, kernel_axes),
        product=lambda a, b, values: bind(eqn, a, b),
        fanout=lambda w, weight, values: _conv_fanout(eqn, w, weight, padded),
        met=_met(numbers, pairs, inner, len(y)),
        again=({numbers.lhs_spec[0]: repeats} if batches > 1 else {}, {}),
    )


def _conv_fanout(eqn: Any, w: int, weight: Any, padded: Border) -> Array:
    """Synapses that each input reaches, or each entry of a kernel of data: the adjoint of ones."""
    numbers, (x, k) = eqn.params["dimension_numbers"], (v.aval.shape for v in eqn.invars)
    y, fixed = shape_of(eqn.outvars[0]), existing(weight)
    if w == 0:  # data in the place of the kernel: at full size
        return adjoint(lambda kernel: bind(eqn, fixed, kernel), k, y)
    if eqn.params["batch_group_count"] == 1:
        x, y = _single(x, numbers.lhs_spec[0]), _single(y, numbers.out_spec[0])
    reach = adjoint(lambda data: bind(eqn, data, fixed), x, y)
    there = inside(padded, numbers.lhs_spec[2:], x)
    return reach if there is None else reach * there


def _single(shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
    return (*shape[:batch], 1, *shape[batch + 1 :])


def adjoint(f: Callable[[Any], Array], like: tuple[int, ...], out: tuple[int, ...]) -> Array:
    """The adjoint of a linear function of an array of one shape, applied to ones of another."""
    there = jax.ShapeDtypeStruct(like, jnp.float32)
    found: list[Array] = [*jax.linear_transpose(f, there)(jnp.ones(out, jnp.float32))]
    return found[0]


def _met(numbers: Any, pairs: Sequence[np.ndarray], inner: int, rank: int) -> np.ndarray:
    """Synapse positions of each output: fewer at the border."""
    found = np.full((1,) * rank, inner, np.int64)
    for i, met in enumerate(pairs):
        axis = numbers.out_spec[i + 2]
        found = found * met.sum(axis=1).reshape([-1 if a == axis else 1 for a in range(rank)])
    return found


def _inside(
    eqn: Any, i: int, x: tuple[int, ...], k: tuple[int, ...], y: tuple[int, ...], padded: Border
) -> np.ndarray:
    """Which pairs (output position, kernel tap) along spatial axis i meet a real input."""
    p, numbers = eqn.params, eqn.params["dimension_numbers"]
    specs = (numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec)
    data, kernel, out = (int(spec[i + 2]) for spec in specs)
    (low, high), n, taps, outs = padded[data], x[data], k[kernel], y[out]
    hole = int(p["lhs_dilation"][i])
    place = (
        np.arange(outs)[:, None] * p["window_strides"][i]
        + np.arange(taps)[None, :] * p["rhs_dilation"][i]
        - p["padding"][i][0]
    )
    first, last = low * hole, (n - 1 - high) * hole
    return (place >= first) & (place <= last) & (place % hole == 0)
