"""No count is above the bound that was known of it: what is bounded too low loses what float32
cannot hold, without a word.
"""

import functools
import math

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.experimental.sparse import BCOO

import joulax
from joulax._count.exact import Sum

from .idioms.common import spike

with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
    from .cases.programs import PROGRAMS

DENSE = jnp.ones((5, 7), jnp.float32)  # every synapse exists, every event arrives
EVENTS = jnp.ones((4, 6, 5), jnp.float32)  # samples, steps, inputs
COUNTS = jnp.full((6, 5), 3, jnp.int32)
IMAGES = jnp.ones((2, 3, 8, 8), jnp.float32)


@pytest.fixture
def bounded(monkeypatch):
    """The largest of every count that is made, and the bound that was known of it."""
    found, make = [], Sum.__init__

    def noted(self, value, rest=None, bound=0.0):
        make(self, value, rest, bound)
        if math.isfinite(bound):
            largest = jnp.max(jnp.asarray(value), initial=0)
            jax.debug.callback(lambda v: found.append((float(v), bound)), largest)

    monkeypatch.setattr(Sum, "__init__", noted)
    return found


def leaky(w, xs):
    def step(v, x):
        v = jnp.float32(0.9) * v + x @ w
        s = spike(v - 1)
        return v - s, s

    return lax.scan(step, jnp.zeros(w.shape[1], jnp.float32), xs)[1]


def recurrent(p, xs):
    def step(carry, x):
        v, s = carry
        v = jnp.float32(0.5) * v + x @ p["in"] + s @ p["back"]
        s = spike(v - 1)
        return (v - s, s), s @ p["out"]

    start = jnp.zeros(7, jnp.float32)
    return lax.scan(step, (start, start), xs)[1]


def convolved(stride, groups, window="SAME"):
    def program(kernel, x):
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), window, feature_group_count=groups
        )

    return program


def rows(w, x):
    row = lambda i: jnp.where(x[i] > 0, w[i], jnp.zeros_like(w[i]))
    return lax.fori_loop(0, 5, lambda i, a: a + row(i), jnp.zeros(7, jnp.float32))


def until(w, x):
    """As many steps as data say."""
    more = lambda c: (c[0] < 4) & (c[1].sum() < 60)
    return lax.while_loop(more, lambda c: (c[0] + 1, c[1] + x @ w), (0, jnp.zeros(7, jnp.float32)))


SQUARE = jnp.ones((7, 7), jnp.float32)
WEIGHTS = {"in": DENSE, "back": SQUARE, "out": jnp.ones((7, 3), jnp.float32)}
KERNEL = jnp.ones((6, 3, 3, 3), jnp.float32)
BANK = {
    "product": (lambda w, x: x @ w, DENSE, EVENTS),
    "counts": (lambda w, x: x.astype(w.dtype) @ w, DENSE, COUNTS),
    "twice": (lambda w, x: (x @ w, (x + x) @ w), DENSE, EVENTS),
    "halves": (lambda w, x: (x @ w[:, :3], x @ w[:, 3:6]), DENSE, EVENTS),
    "overlapping": (lambda w, x: (x @ w[:, :4], x @ w[:, 3:]), DENSE, EVENTS),
    "leaky": (leaky, DENSE, EVENTS[0]),
    "samples": (jax.vmap(leaky, (None, 0)), DENSE, EVENTS),
    "networks": (jax.vmap(leaky), jnp.ones((4, 5, 7), jnp.float32), EVENTS),
    "recurrent": (recurrent, WEIGHTS, EVENTS[0]),
    "recurrent samples": (jax.vmap(recurrent, (None, 0)), WEIGHTS, EVENTS),
    "convolution": (convolved(1, 1), KERNEL, IMAGES),
    "strided convolution": (convolved(2, 1, "VALID"), KERNEL, IMAGES),
    "grouped convolution": (convolved(1, 3), KERNEL[:, :1], IMAGES),
    "rows": (rows, DENSE, EVENTS[0, 0]),
    "edges": (
        lambda w, x: jax.ops.segment_sum(w * x[jnp.arange(20) % 5], jnp.arange(20) % 7, 7),
        jnp.ones(20, jnp.float32),
        EVENTS[0, 0],
    ),
    "sparse": (lambda w, x: x @ w, BCOO.fromdense(DENSE), EVENTS[0]),
    "attention": (lambda w, x: (x @ w) @ (x @ w).mT @ x, DENSE, EVENTS),
    "until": (until, DENSE, EVENTS[0, 0]),
    "gradient": (jax.grad(lambda w, x: leaky(w, x).sum()), DENSE, EVENTS[0]),
}


APART = dict(neurons=True, touched=True, events=True)


@pytest.mark.parametrize("more", [{}, APART], ids=["totals", "apart"])
@pytest.mark.parametrize("name", BANK)
def test_programs(bounded, name, more):
    program, *args = BANK[name]
    joulax.count(program, weights=0, spikes=1, **more)(*args)
    jax.effects_barrier()
    assert len(bounded) > 2
    assert [] == [(count, bound) for count, bound in bounded if count > bound * (1 + 1e-6)]


@pytest.mark.skipif(jax.config.jax_enable_x64, reason="written in float32")
@pytest.mark.parametrize("case", [c for c in PROGRAMS if c[3] != "refuse"], ids=lambda c: c[0])
def test_recorded_programs(bounded, case):
    _, function, args, _, options = case
    traced_anew = functools.partial(function)  # other tests have counted the function itself
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        joulax.count(traced_anew, **options)(*args)
    jax.effects_barrier()
    assert bounded
    assert [] == [(count, bound) for count, bound in bounded if count > bound * (1 + 1e-6)]
