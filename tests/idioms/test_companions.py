"""The number of events that travels beside scaled spikes, through all that moves or passes them.

Three sources: spikes scaled by a parameter, counts of spikes, and two scales chosen by a mask.
Behind an operation each of them meets a weight with nothing missing: three synapses an event.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

RNG = np.random.default_rng(3)
SPIKES = (RNG.random((4, 6)) < 0.5).astype(np.float32)
OTHERS = (RNG.random((4, 6)) < 0.5).astype(np.float32)
MASK = RNG.random((4, 6)) < 0.5
ROWS = np.array([3, 1, 1])

scaled = lambda g, s, t: g[0] * s
counts = lambda g, s, t: s + t
two_scales = lambda g, s, t: jnp.where(MASK, g[0] * s, g[1] * s)
SOURCES = {
    "scaled": (scaled, SPIKES),
    "counts": (counts, SPIKES + OTHERS),
    "two scales": (two_scales, SPIKES),
}


def passed(x):
    """Through a loop that only hands it on."""
    return lax.fori_loop(0, 2, lambda i, x: x, x)


@jax.custom_jvp
def own(x):
    """The identity, with a derivative of its own."""
    return x * 1.0


own.defjvp(lambda p, t: (own(*p), t[0]))
gates = lambda x: lax.cond(x.sum() > -1, lambda x: x, lambda x: 0 * x, x)
OPERATIONS = {  # the program, and what becomes of the events
    "itself": (lambda x: x, lambda e: e),
    "copied": (jnp.copy, lambda e: e),
    "without its gradient": (lax.stop_gradient, lambda e: e),
    "a barrier": (lax.optimization_barrier, lambda e: e),
    "a function": (jax.jit(lambda x: x[::-1]), lambda e: e[::-1]),
    "rematerialised": (jax.checkpoint(lambda x: x[::-1]), lambda e: e[::-1]),
    "its own derivative": (own, lambda e: e),
    "another type": (lambda x: x.astype(jnp.bfloat16).astype(jnp.float32), lambda e: e),
    "negated": (lambda x: -x, lambda e: e),
    "halved": (lambda x: x / 2, lambda e: e),
    "permuted by a matrix": (lambda x: x @ jnp.eye(6)[::-1], lambda e: e[:, ::-1]),
    "transposed": (lambda x: x.T[:4, :4], lambda e: e.T[:4, :4]),
    "rolled": (lambda x: jnp.roll(x, 1, 1), lambda e: np.roll(e, 1, 1)),
    "padded": (lambda x: jnp.pad(x, ((0, 0), (1, 2))), lambda e: np.pad(e, ((0, 0), (1, 2)))),
    "beside zeros": (
        lambda x: jnp.concatenate([x, 0 * SPIKES], 1),
        lambda e: np.concatenate([e, 0 * e], 1),
    ),
    "beside itself": (lambda x: jnp.concatenate([x, x], 0), lambda e: np.concatenate([e, e], 0)),
    "stacked": (lambda x: jnp.stack([x, x[::-1]])[1], lambda e: e[::-1]),
    "a slice": (lambda x: x[1:3, ::2], lambda e: e[1:3, ::2]),
    "a slice that moves": (lambda x: lax.dynamic_slice(x, (1, 2), (2, 3)), lambda e: e[1:3, 2:5]),
    "rows": (lambda x: x[ROWS], lambda e: e[ROWS]),
    "repeated": (lambda x: jnp.repeat(x, 2, 0), lambda e: np.repeat(e, 2, 0)),
    "in another shape": (lambda x: x.reshape(2, 12), lambda e: e.reshape(2, 12)),
    "masked": (lambda x: x * MASK, lambda e: e * MASK),
    "masked by choice": (lambda x: jnp.where(MASK, x, 0.0), lambda e: e * MASK),
    "in place of zeros": (
        lambda x: jnp.zeros((4, 9)).at[:, 2:8].set(x),
        lambda e: np.pad(e, ((0, 0), (2, 1))),
    ),
    "added to zeros": (
        lambda x: jnp.zeros((4, 9)).at[:, 2:8].add(x),
        lambda e: np.pad(e, ((0, 0), (2, 1))),
    ),
    "updated": (
        lambda x: lax.dynamic_update_slice(jnp.zeros((5, 6), x.dtype), x, (1, 0)),
        lambda e: np.pad(e, ((1, 0), (0, 0))),
    ),
    "summed": (lambda x: x.sum(0, keepdims=True), lambda e: e.sum(0, keepdims=True)),
    "pooled": (
        lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 2), (1, 2), "VALID"),
        lambda e: e.reshape(4, 3, 2).sum(2),
    ),
    "running": (lambda x: jnp.cumsum(x, 0), lambda e: np.cumsum(e, 0)),
    "in a loop": (passed, lambda e: e),
    "step by step": (lambda x: lax.scan(lambda c, x: (c, x), 0.0, x)[1], lambda e: e),
    "the last step": (
        lambda x: lax.scan(lambda c, x: (x, None), 0 * x[0], x)[0][None],
        lambda e: e[-1:],
    ),
    "in a branch": (gates, lambda e: e),
    "mapped": (jax.vmap(lambda x: x[::-1]), lambda e: e[:, ::-1]),
    "mapped along the other axis": (
        jax.vmap(lambda x: jnp.roll(x, 1), 1, 1),
        lambda e: np.roll(e, 1, 0),
    ),
}


def arguments(operation):
    g = jnp.float32(0.3), jnp.float32(0.7)
    shape = np.shape(operation(jnp.asarray(SPIKES)))
    return g, jnp.full((shape[-1], 3), 0.1), jnp.asarray(SPIKES), jnp.asarray(OTHERS)


ANALOG = {("added to zeros", "scaled"), ("added to zeros", "two scales")}


@pytest.mark.parametrize(
    ("name", "source"), [(n, s) for n in OPERATIONS for s in SOURCES if (n, s) not in ANALOG]
)
def test_events_beside_values(name, source):
    operation, of_events = OPERATIONS[name]
    made, events = SOURCES[source]

    def program(g, w, s, t):
        return operation(made(g, s, t)) @ w

    with jax.numpy_dtype_promotion("standard"):
        call = joulax.count(program, weights=(0, 1), spikes=(2, 3))
        record = call(*arguments(operation))[1]["w"]
    found = of_events(events)
    assert float(record.ac) == 3 * found.sum()
    assert float(record.ac_graded) == 3 * np.count_nonzero(found)
    assert float(record.dense_ac) == 3 * found.size
