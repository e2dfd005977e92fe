"""Matrix products and convolutions: their geometry."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..findings import Context, Found, existing
from ..kinds import Value, varied
from .padding import Border, border, inside
from .products import Geometry, bilinear, bind, products_of_parameters
from .registry import rule, shape_of


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
        free=(left, right),
        contracted=(tuple(contract[0]), tuple(contract[1])),
        product=lambda a, b, values: bind(eqn, a, b),
        pairs=lambda a, b: part(0, a) * part(1, b),
        fanout=fanout,
        met=np.full((1,) * len(shape_of(eqn.outvars[0])), inner, np.int64),
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
        synapses=(positions, positions),
        neurons=(neurons, neurons),
        inputs=(inputs, inputs),
        free=(axis, axis),
        contracted=(data_axes, kernel_axes),
        product=lambda a, b, values: bind(eqn, a, b),
        fanout=lambda w, weight, values: _conv_fanout(eqn, w, weight, padded),
        met=_met(numbers, pairs, inner, len(y)),
        copies=float(repeats) if batches > 1 else 1.0,
    )


def _conv_fanout(eqn: Any, w: int, weight: Any, padded: Border) -> Array:
    """Synapses that each input reaches, or each entry of a kernel of data: the adjoint of ones."""
    numbers, (x, k) = eqn.params["dimension_numbers"], (v.aval.shape for v in eqn.invars)
    y, fixed = shape_of(eqn.outvars[0]), existing(weight)
    if w == 0:  # data in the place of the kernel: at full size
        return _adjoint(lambda kernel: bind(eqn, fixed, kernel), k, y)
    if eqn.params["batch_group_count"] == 1:
        x, y = _single(x, numbers.lhs_spec[0]), _single(y, numbers.out_spec[0])
    reach = _adjoint(lambda data: bind(eqn, data, fixed), x, y)
    there = inside(padded, numbers.lhs_spec[2:], x)
    return reach if there is None else reach * there


def _single(shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
    return (*shape[:batch], 1, *shape[batch + 1 :])


def _adjoint(f: Callable[[Any], Array], like: tuple[int, ...], out: tuple[int, ...]) -> Array:
    there = jax.ShapeDtypeStruct(like, jnp.float32)
    (found,) = jax.linear_transpose(f, there)(jnp.ones(out, jnp.float32))
    return found


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
    low, high = padded[numbers.lhs_spec[i + 2]]
    n, taps = x[numbers.lhs_spec[i + 2]], k[numbers.rhs_spec[i + 2]]
    outs, hole = y[numbers.out_spec[i + 2]], p["lhs_dilation"][i]
    place = (
        np.arange(outs)[:, None] * p["window_strides"][i]
        + np.arange(taps)[None, :] * p["rhs_dilation"][i]
        - p["padding"][i][0]
    )
    first, last = low * hole, (n - 1 - high) * hole
    return (place >= first) & (place <= last) & (place % hole == 0)
