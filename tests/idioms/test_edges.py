"""Edges of arrays: zeros around data that a program puts there, and everything that keeps them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import f32

RNG = np.random.default_rng(12)
TAPS = 3


X, Y = (f32(RNG.uniform(0.1, 0.9, 6)) for _ in range(2))
GAINS = f32(RNG.uniform(1, 2, (2, 9, 1)))


def padded(low, high):
    return lambda x: jnp.pad(x, (low, high))


def behind(function, low=2, high=1):
    """A function of data that stand between zeros."""
    return lambda x, y: function(jnp.pad(x, (low, high)))


def mask(*there):
    return f32(np.asarray(there))


def cut(x, low, high, between=0):
    return lax.pad(x, jnp.zeros((), x.dtype), ((low, high, between),))


FUNCTIONS = {
    "neg": lax.neg,
    "abs": lax.abs,
    "sign": lax.sign,
    "square": lax.square,
    "cube": lambda x: lax.integer_pow(x, 3),
    "sqrt": lax.sqrt,
    "cbrt": lax.cbrt,
    "tanh": lax.tanh,
    "sin": lax.sin,
    "sinh": lax.sinh,
    "asin": lax.asin,
    "asinh": lax.asinh,
    "atan": lax.atan,
    "erf": lax.erf,
    "expm1": lax.expm1,
    "log1p": lax.log1p,
    "round": lambda x: lax.round(7 * x),
    "floor": lambda x: lax.floor(7 * x),
    "ceil": lax.ceil,
    "half precision": lambda x: x.astype(jnp.bfloat16).astype(x.dtype),
    "precision": lambda x: lax.reduce_precision(x, 8, 7),
    "no gradient": lax.stop_gradient,
    "relu": jax.nn.relu,
    "above zero": lambda x: f32(x > 0),
    "above a threshold": lambda x: f32(x > 0.5),
}
OTHERS = {  # of zero they make something
    "exp": lax.exp,
    "cos": lax.cos,
    "one": lambda x: lax.integer_pow(x, 0),
    "not below zero": lambda x: f32(x >= 0),
    "above a threshold below zero": lambda x: f32(x > -0.5),
    "below a threshold": lambda x: f32(0.5 > x),
    "at least a half": lambda x: jnp.maximum(x, 0.5),
    "complement": lambda x: 1 - x,
    "bias": lambda x: x + 1.0,
    "numbers instead": lambda x: x + f32(np.arange(1, 10)),
}
MADE = {  # a program, and the zeros at both ends of what it makes
    "pad": (lambda x, y: padded(1, 2)(x), 1, 2),
    "twice": (lambda x, y: padded(1, 0)(padded(2, 1)(x)), 3, 1),
    "with ones": (lambda x, y: jnp.pad(x, (1, 2), constant_values=1.0), 0, 0),
    "ones, then zeros": (lambda x, y: padded(1, 1)(jnp.pad(x, (1, 2), constant_values=1.0)), 1, 1),
    "zeros, then ones": (lambda x, y: jnp.pad(padded(1, 1)(x), (1, 2), constant_values=1.0), 0, 0),
    "cut again": (lambda x, y: cut(padded(3, 2)(x), -1, -1), 2, 1),
    "cut at one end": (lambda x, y: cut(padded(2, 2)(x), -1, 0), 1, 2),
    "cut deeper than that": (lambda x, y: cut(padded(2, 1)(x), -3, -2), 0, 0),
    "between": (lambda x, y: cut(x, 1, 2, 1), 1, 2),
    "between zeros too": (lambda x, y: cut(padded(2, 1)(x), 0, 0, 1), 4, 2),
    "sliced": (lambda x, y: padded(3, 2)(x)[1:10], 2, 1),
    "sliced deeper": (lambda x, y: padded(2, 2)(x)[3:7], 0, 0),
    "every other": (lambda x, y: padded(2, 2)(x)[::2], 0, 0),
    "zeros before": (lambda x, y: jnp.concatenate([f32([0, 0]), x]), 2, 0),
    "zeros behind": (lambda x, y: jnp.concatenate([x, f32([0, 0, 0])]), 0, 3),
    "zeros around": (lambda x, y: jnp.concatenate([f32([0]), x, f32([0, 0])]), 1, 2),
    "two zeros before": (lambda x, y: jnp.concatenate([f32([0]), f32([0, 0]), x]), 3, 0),
    "zeros before zeros": (lambda x, y: jnp.concatenate([f32([0]), padded(2, 1)(x)]), 3, 1),
    "zeros in the middle": (lambda x, y: jnp.concatenate([x, f32([0, 0]), y]), 0, 0),
    "zeros in both": (lambda x, y: jnp.concatenate([padded(2, 1)(x), padded(1, 3)(y)]), 2, 3),
    "zeros inside of both": (
        lambda x, y: jnp.concatenate([padded(0, 1)(x), padded(1, 0)(y)]),
        0,
        0,
    ),
    "ones beside": (lambda x, y: jnp.concatenate([f32([1, 1]), padded(1, 1)(x)]), 0, 1),
    "masked": (lambda x, y: x * mask(0, 1, 1, 1, 0, 0), 1, 2),
    "masked in the middle": (lambda x, y: x * mask(1, 0, 0, 1, 1, 1), 0, 0),
    "masked beside zeros": (lambda x, y: padded(1, 0)(x) * mask(1, 1, 1, 1, 1, 1, 0), 1, 1),
    "a mask of more": (lambda x, y: padded(1, 0)(x) * mask(0, 0, 1, 1, 1, 1, 1), 2, 0),
    "a mask of fewer": (lambda x, y: padded(2, 0)(x) * mask(0, 1, 1, 1, 1, 1, 1, 1), 2, 0),
    "a window": (lambda x, y: x * f32([0, 0.5, 1, 1, 0.5, 0]), 1, 1),
    "doubled": (lambda x, y: padded(1, 2)(x) * 2.0, 1, 2),
    "one by the other": (lambda x, y: padded(2, 0)(x) * padded(0, 2)(y), 2, 2),
    "sum": (lambda x, y: padded(2, 1)(x) + padded(1, 2)(y), 1, 1),
    "difference": (lambda x, y: padded(1, 3)(x) - padded(2, 2)(y), 1, 2),
    "sum of whole and padded": (lambda x, y: x + padded(2, 1)(y[3:]), 0, 0),
    "sum with zeros": (lambda x, y: padded(2, 1)(x) + f32(np.zeros(9)), 2, 1),
    "set": (lambda x, y: f32(np.zeros(9)).at[2:8].set(x), 2, 1),
    "added": (lambda x, y: f32(np.zeros(9)).at[1:7].add(x), 1, 2),
    "set at indices": (
        lambda x, y: f32(np.zeros(9)).at[jnp.asarray([1, 2, 3, 4, 5, 7])].set(x),
        1,
        1,
    ),
    "set among ones": (lambda x, y: f32(np.ones(9)).at[2:8].set(x), 0, 0),
    "updated": (lambda x, y: lax.dynamic_update_slice(f32(np.zeros(8)), x, (1,)), 1, 1),
    "updated among ones": (lambda x, y: lax.dynamic_update_slice(f32(np.ones(8)), x, (1,)), 0, 0),
    "set to zero": (lambda x, y: x.at[:2].set(0.0), 2, 0),
    "the end set to zero": (lambda x, y: x.at[4:].set(0.0), 0, 2),
    "more set to zero": (lambda x, y: padded(1, 1)(x).at[:3].set(0.0), 3, 1),
    "the middle set to zero": (lambda x, y: x.at[2:4].set(0.0), 0, 0),
    "set to one": (lambda x, y: padded(2, 2)(x).at[:1].set(1.0), 0, 2),
    "updated with zeros": (lambda x, y: lax.dynamic_update_slice(x, f32([0, 0]), (0,)), 2, 0),
    "the end updated with zeros": (
        lambda x, y: lax.dynamic_update_slice(x, f32([0, 0]), (4,)),
        0,
        2,
    ),
    "the end updated with data": (
        lambda x, y: lax.dynamic_update_slice(padded(2, 3)(x), y[:2], (9,)),
        2,
        0,
    ),
    "zero added": (lambda x, y: padded(2, 0)(x).at[2:4].add(0.0), 2, 0),
    "one added": (lambda x, y: padded(2, 1)(x).at[1].add(1.0), 1, 1),
    "set where data say": (
        lambda x, y: lax.dynamic_update_slice(f32(np.zeros(8)), x, (jnp.int32(y[0] > 0.5),)),
        0,
        0,
    ),
    "in another shape": (lambda x, y: padded(1, 2)(x).reshape(1, 9, 1)[0, :, 0], 1, 2),
    "rows of two": (lambda x, y: jnp.pad(x.reshape(3, 2), ((1, 0), (0, 0))).reshape(8), 0, 0),
    "two sums in a row": (lambda x, y: (padded(2, 1)(x) + padded(1, 2)(y)) + padded(1, 2)(x), 1, 1),
}
PLANES = {  # of an array of two axes, the second of which is moved over
    "both axes": (lambda x: jnp.pad(x, ((1, 0), (2, 1))), 2, 1),
    "transposed": (lambda x: jnp.pad(x.T, ((2, 0), (1, 1))).T, 2, 0),
    "rows beside each other": (
        lambda x: jnp.concatenate([jnp.pad(x, ((0, 0), (3, 1))), jnp.pad(x, ((0, 0), (2, 2)))], 0),
        2,
        1,
    ),
    "columns beside each other": (
        lambda x: jnp.concatenate([f32(np.zeros((2, 1))), x, f32(np.zeros((2, 2)))], 1),
        1,
        2,
    ),
    "one row for all": (lambda x: jnp.broadcast_to(jnp.pad(x[0], (1, 2)), (2, 9)), 1, 2),
    "one row for all, with axes": (
        lambda x: jnp.pad(x[:1], ((0, 0), (1, 2))) * f32([[1], [2]]),
        1,
        2,
    ),
    "columns mixed": (lambda x: f32([[1, 2], [3, 4]]) @ jnp.pad(x, ((0, 0), (1, 2))), 1, 2),
    "columns mixed, the other way": (
        lambda x: (
            lax.dot_general(
                jnp.pad(x, ((0, 0), (1, 2))), f32([[1, 2], [3, 4]]), (((0,), (0,)), ((), ()))
            ).T
        ),
        1,
        2,
    ),
    "columns scaled": (
        lambda x: lax.dot_general(
            jnp.pad(x, ((0, 0), (1, 2)))[:, :, None],
            GAINS,
            (((2,), (2,)), ((0, 1), (0, 1))),
        ),
        1,
        2,
    ),
    "columns mixed, turned": (
        lambda x: (
            lax.dot_general(
                jnp.pad(x, ((0, 0), (1, 2))).T, f32([[1, 2], [3, 4]]), (((1,), (0,)), ((), ()))
            ).T
        ),
        1,
        2,
    ),
    "columns scaled, turned": (
        lambda x: (
            lax.dot_general(
                jnp.pad(x, ((0, 0), (1, 2))).T[:, None], GAINS, (((1,), (2,)), ((0, 2), (1, 0)))
            ).T
        ),
        1,
        2,
    ),
    "copies of elements": (lambda x: jnp.broadcast_to(x[:, :1], (2, 5)), 0, 0),
    "rows of zeros": (lambda x: jnp.pad(x, ((0, 1), (0, 0))), 0, 0),
    "a mask of columns": (lambda x: x * mask(0, 0, 1, 1, 1, 0), 2, 1),
}


def over(kernel, x):
    """A kernel that moves along the last axis, the others its channels."""
    lhs = x.reshape(1, -1, x.shape[-1])
    return lax.conv_general_dilated(lhs, kernel, (1,), "VALID")


def positions(size, low, high):
    """Pairs of an output and a tap that meet data, of one channel."""
    return np.convolve(np.ones(size - TAPS + 1), np.ones(TAPS))[low : size - high].sum()


def check(program, low, high, *args):
    """Only what lies inside the zeros is a synapse."""
    with jax.numpy_rank_promotion("allow"):
        made = np.asarray(jax.jit(program)(*args))
        rows = made.reshape(-1, made.shape[-1])
        kernel = f32(RNG.uniform(1, 2, (1, len(rows), TAPS)))
        model = lambda p, *args: over(p["w"], program(*args))
        record = joulax.count(model, weights=0)(dict(w=kernel), *args)[1]["w"]
    dense = len(rows) * positions(rows.shape[1], low, high)
    found = [record.dense_ac if record.mac is None else record.dense_mac]
    found += [record.synapses, record.nonzero]
    assert [float(n) for n in found] == [dense] * 3
    met = record.ac if record.mac is None else record.mac
    each = np.convolve(np.ones(rows.shape[1] - TAPS + 1), np.ones(TAPS))
    assert float(met) == float(((rows != 0) * each).sum())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_that_keep_zeros(function):
    check(behind(FUNCTIONS[function]), 2, 1, X, Y)


@pytest.mark.parametrize("function", OTHERS)
def test_functions_that_do_not(function):
    check(behind(OTHERS[function]), 0, 0, X, Y)


@pytest.mark.parametrize("made", MADE)
def test_zeros_around_data(made):
    check(*MADE[made], X, Y)


@pytest.mark.parametrize("made", PLANES)
def test_zeros_around_planes(made):
    check(*PLANES[made], X.reshape(1, 6) * f32([[1], [2]]))
