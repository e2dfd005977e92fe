"""Edges of layers: parts of one, moved and put together again, are that layer."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import check, f32

RNG = np.random.default_rng(43)
STEPS, N, M = 4, 6, 3


X = np.asarray(RNG.random((STEPS, N)) < 0.5, np.float32)
W = f32(RNG.uniform(-0.2, 0.8, (N, M)))


TABLE = {  # parts of a layer, each with a nonlinearity of its own; neurons, and their updates
    "some neurons": (lambda v: [v[:, :2]], 2, 8),
    "one neuron": (lambda v: [v[:, 1]], 1, 4),
    "every other neuron": (lambda v: [v[:, ::2]], 2, 8),
    "neurons by number": (lambda v: [v[:, jnp.asarray([2, 0])]], 2, 8),
    "neurons by number, taken": (lambda v: [jnp.take(v, jnp.asarray([2, 0]), axis=1)], 2, 8),
    "a window of neurons": (lambda v: [lax.dynamic_slice(v, (0, 1), (4, 2))], 2, 8),
    "some steps": (lambda v: [v[1:3]], 3, 6),
    "one step": (lambda v: [v[2]], 3, 3),
    "every other step": (lambda v: [v[::2]], 3, 6),
    "steps by number": (lambda v: [v[jnp.asarray([3, 0])]], 3, 6),
    "a window of steps": (lambda v: [lax.dynamic_slice(v, (1, 0), (2, 3))], 3, 6),
    "one neuron in one step": (lambda v: [v[1, 2]], 1, 1),
    "some neurons in some steps": (lambda v: [v[1:, :2]], 2, 6),
    "neurons apart": (lambda v: jnp.split(v, 3, axis=1), 3, 12),
    "steps apart": (lambda v: jnp.split(v, 2), 3, 12),
    "step by step": (lambda v: list(v), 3, 12),
    "neuron by neuron": (lambda v: [v[:, k] for k in range(M)], 3, 12),
    "two and one": (lambda v: [v[:, :2], v[:, 2:]], 3, 12),
    "first and last": (lambda v: [v[:, :1], v[:, 2:]], 2, 8),
    "early and late": (lambda v: [v[:2], v[2:]], 3, 12),
    "even and odd": (lambda v: [v[::2], v[1::2]], 3, 12),
    "the other way round": (lambda v: [v[::-1, ::-1]], 3, 12),
    "turned": (lambda v: [v.T], 3, 12),
    "in two axes": (lambda v: [v.reshape(2, 2, M)], 3, 12),
    "in one axis": (lambda v: [v.reshape(-1)], 3, 12),
    "turned in one axis": (lambda v: [v.T.reshape(-1)], 3, 12),
    "with axes of one": (lambda v: [v[:, None, :, None]], 3, 12),
    "put together again": (lambda v: [jnp.concatenate([v[:, 1:], v[:, :1]], 1)], 3, 12),
    "stacked again": (lambda v: [jnp.stack([v[:, 2], v[:, 0], v[:, 1]], 1)], 3, 12),
    "in a mask": (lambda v: [v * f32(np.asarray([1, 0, 1]))[None]], 3, 12),
    "beside zeros": (lambda v: [jnp.pad(v, ((0, 0), (1, 2)))], 3, 12),
    "rolled": (lambda v: [jnp.roll(v, 1, 1)], 3, 12),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("how", ["tanh", "fire"])
def test_parts_of_a_layer(name, how):
    """Movement makes no neurons, and what nobody reads has none."""
    f, neurons, updates = TABLE[name]
    make = dict(tanh=jnp.tanh, fire=lambda v: f32(v > 0.5))[how]
    outs, account = joulax.count(
        lambda w, xs: [make(part) for part in f(xs @ w)], weights=0, spikes=1
    )(W, f32(X))
    fired = dict(spikes=float(sum(o.sum() for o in outs))) if how == "fire" else {}
    made = dict(neurons=float(neurons), updates=float(updates)) | fired
    check(account["w"], ac=M * float(X.sum()), dense_ac=72.0, synapses=18.0, **made)
