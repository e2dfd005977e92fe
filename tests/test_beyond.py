"""Each kind of site adds up more than float32 can tell apart, to the last one.

16 785 409 = 4097² is above 2²⁴ and odd: any sum of it in plain float32 is even.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .conftest import forget

SIDE = 4097
MANY = SIDE**2
LONG = 5797
ONES = jnp.ones((SIDE, SIDE), jnp.float32)
ROW = jnp.ones(SIDE, jnp.float32)
BINS = np.arange(SIDE) % 7


def three_steps(w, x):
    step = lambda v, x: (0.5 * v + x @ w, x)
    return jax.lax.scan(step, x, jnp.broadcast_to(x, (3, SIDE)))[0]


def full(w, x):
    return jax.lax.conv_general_dilated(x[None, None], w, (1,), [(SIDE - 1,) * 2])


PROGRAMS = {  # weights, spikes, program, accumulates, synapses
    "dense": (ONES, ROW, lambda w, x: x @ w, MANY, MANY),
    "a batch": (ROW, ROW, lambda w, x: jnp.outer(x, x) @ w, MANY, SIDE),
    "in a loop": (ONES, ROW, three_steps, 3 * MANY, MANY),
    "elementwise": (ONES, ROW, lambda w, x: (x[:, None] * w).sum(0), MANY, MANY),
    "summed at once": (ONES, ROW, lambda w, x: (x[:, None] * w).sum(), MANY, MANY),
    "running": (
        jnp.ones(LONG, jnp.float32),
        jnp.ones(LONG, jnp.float32),
        lambda w, x: jnp.cumsum(w * x),
        LONG * (LONG + 1) // 2,
        LONG * (LONG + 1) // 2,
    ),
    "scattered": (
        ONES,
        ROW,
        lambda w, x: jnp.zeros((7, SIDE)).at[BINS].add(x[:, None] * w),
        MANY,
        MANY,
    ),
    "rows": (ONES, jnp.arange(SIDE), lambda w, i: w[i].sum(0), MANY, MANY),
    "convolution": (ROW[None, None], ROW, full, MANY, MANY),
}


@pytest.fixture(autouse=True)
def small():
    """A quarter of a gigabyte at a time is enough."""
    yield
    forget()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_last_one_is_counted(name):
    w, x, program, events, synapses = PROGRAMS[name]
    with jax.numpy_dtype_promotion("standard"):
        found = joulax.count(program, weights=0, spikes=1)(w, x)[1].exact()["w"]
    assert (found["ac"], found["ac_graded"], found["dense_ac"]) == (events,) * 3
    assert found["synapses"] == synapses
    assert found.get("nonzero", synapses) == synapses


@pytest.mark.parametrize("name", ["dense", "elementwise", "summed at once", "scattered"])
def test_the_last_one_of_numbers_is_counted(name):
    w, x, program, events, _ = PROGRAMS[name]
    with jax.numpy_dtype_promotion("standard"):
        found = joulax.count(program, weights=0)(w, 0.5 * x)[1].exact()["w"]
    assert (found["mac"], found["dense_mac"]) == (events, events)
