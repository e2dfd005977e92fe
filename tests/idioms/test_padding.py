"""Zeros put around data by hand are padding, whichever way they were put there."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import f32

RNG = np.random.default_rng(0)
W, X = f32(RNG.normal(size=(4, 2, 3, 3))), f32(RNG.normal(size=(1, 2, 6, 6)))
PADS = [((1, 1), (1, 1)), ((0, 2), (1, 0))]

WAYS = {
    "pad": lambda x, p: jnp.pad(x, ((0, 0), (0, 0), *p)),
    "pad twice": lambda x, p: jnp.pad(
        jnp.pad(x, ((0, 0), (0, 0), p[0], (0, 0))), ((0, 0), (0, 0), (0, 0), p[1])
    ),
    "pad by too much, and cut": lambda x, p: lax.pad(
        jnp.pad(x, ((0, 0), (0, 0), *((a + 1, b) for a, b in p))),
        jnp.zeros((), x.dtype),
        ((0, 0, 0), (0, 0, 0), (-1, 0, 0), (-1, 0, 0)),
    ),
    "pad by too much, and slice": lambda x, p: _later(
        jnp.pad(x, ((0, 0), (0, 0), *((a + 1, b) for a, b in p)))
    ),
    "pad one sample": lambda x, p: jnp.pad(x[0], ((0, 0), *p))[None],
    "pad, then an activation": lambda x, p: jax.nn.relu(jnp.pad(x, ((0, 0), (0, 0), *p))),
    "pad, then a threshold": lambda x, p: _fires(jnp.pad(x, ((0, 0), (0, 0), *p))),
    "pad, then a gain": lambda x, p: jnp.pad(x, ((0, 0), (0, 0), *p)) * 2.0,
    "pad the last axes, then move them": lambda x, p: jnp.transpose(
        jnp.pad(jnp.transpose(x, (0, 2, 3, 1)), ((0, 0), *p, (0, 0))), (0, 3, 1, 2)
    ),
    "pad in half precision": lambda x, p: jnp.pad(
        x.astype(jnp.float16), ((0, 0), (0, 0), *p)
    ).astype(jnp.float32),
    "write it into zeros": lambda x, p: _hole(x, p)[0].at[_hole(x, p)[1]].set(x),
    "add it to zeros": lambda x, p: _hole(x, p)[0].at[_hole(x, p)[1]].add(x),
    "a slice of zeros updated": lambda x, p: lax.dynamic_update_slice(
        _hole(x, p)[0], x, (0, 0, p[0][0], p[1][0])
    ),
    "write it into zeros of half precision": lambda x, p: (
        _hole(x.astype(jnp.float16), p)[0].at[_hole(x, p)[1]].add(x.astype(jnp.float16))
    ).astype(jnp.float32),
    "zeros beside it": lambda x, p: _framed(_framed(x, p[0], 2), p[1], 3),
}


def _later(x):
    """Without the first row and column, in steps of one."""
    return lax.slice(x, (0, 0, 1, 1), x.shape, (1, 1, 1, 1))


def _fires(x):
    return (x > 0.3).astype(jnp.float32)


def _hole(x, p):
    """Zeros with room for data, and where it is."""
    sizes = [n + a + b for n, (a, b) in zip(x.shape[2:], p, strict=True)]
    where = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape[2:], p, strict=True))
    return jnp.zeros((*x.shape[:2], *sizes), x.dtype), (slice(None), slice(None), *where)


def _framed(x, ends, axis):
    zeros = lambda n: jnp.zeros((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype)
    return jnp.concatenate([zeros(ends[0]), x, zeros(ends[1])], axis)


@pytest.mark.parametrize("padding", PADS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("way", list(WAYS))
def test_zeros_put_around_by_hand_are_padding(way, padding, stride):
    plain = {"pad, then an activation": jax.nn.relu, "pad, then a threshold": _fires}
    before = plain.get(way, lambda x: x)
    by_hand = lambda w, x: lax.conv(WAYS[way](x, padding), w, (stride,) * 2, "VALID")
    inside = lambda w, x: lax.conv_general_dilated(
        before(x).astype(jnp.float32), w, (stride,) * 2, padding
    )
    (one,), (two,) = (
        [r for r in joulax.count(f, weights=0)(W, X)[1].values() if r.synapses is not None]
        for f in (by_hand, inside)
    )
    kind = "ac" if "threshold" in way else "mac"
    for field in (kind, f"dense_{kind}", "synapses", "nonzero"):
        assert float(getattr(one, field)) == float(getattr(two, field)), field


def test_a_module_on_a_padded_image():
    key = jax.random.key(0)
    valid = eqx.nn.Conv2d(2, 4, 3, key=key, dtype=X.dtype)
    same = eqx.nn.Conv2d(2, 4, 3, padding=1, key=key, dtype=X.dtype)
    by_hand = lambda m, x: m(jnp.pad(x, ((0, 0), (1, 1), (1, 1))))
    (one,) = joulax.count(by_hand, weights=0)(valid, X[0])[1].values()
    (two,) = joulax.count(lambda m, x: m(x), weights=0)(same, X[0])[1].values()
    assert float(one.nonzero) == float(one.synapses) == float(two.synapses)
    batched = jax.vmap(by_hand, in_axes=(None, 0))
    (many,) = joulax.count(batched, weights=0)(valid, X)[1].values()
    assert float(many.nonzero) == float(many.synapses) == float(two.synapses)


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_other_numbers_around_it_are_data(value):
    by_hand = lambda w, x: lax.conv(
        jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=value), w, (1, 1), "VALID"
    )
    (one,) = joulax.count(by_hand, weights=0)(W, X)[1].values()
    assert float(one.nonzero) == float(one.synapses) == 4 * 2 * 9 * 36


def test_what_is_added_to_the_frame_is_data():
    framed = lambda x: jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    by_hand = lambda w, x: lax.conv(framed(x) + 1.0, w, (1, 1), "VALID")
    (one,) = joulax.count(by_hand, weights=0)(W, X)[1].values()
    assert float(one.nonzero) == float(one.synapses) == 4 * 2 * 9 * 36
