"""Ways to make a spike. Two inputs, three neurons: W = [[1, 1], [1, 0], [0, 0]], thresholds ½; x =
(1, 1).

Currents are (2, 1, 0), so two neurons fire. Fan-outs of the inputs are 2 and 1: three synops in six
positions.
The second layer has two neurons and full weights: 2 spikes × 2 = 4 synops in six positions.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .common import check, spike

W = jnp.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
V = jnp.ones((2, 3))
X = jnp.ones(2)


@jax.custom_vjp
def by_custom_vjp(v):
    return jnp.heaviside(v, 0.0)


by_custom_vjp.defvjp(lambda v: (by_custom_vjp(v), v), lambda v, g: (g / (1 + jnp.abs(v)) ** 2,))


def straight_through(v):
    soft = jax.nn.sigmoid(v)
    return jax.lax.stop_gradient((v > 0).astype(v.dtype) - soft) + soft


def straight_through_sum(v):
    hard, soft = (v > 0).astype(v.dtype), jax.nn.sigmoid(v)
    return hard + soft - jax.lax.stop_gradient(soft)


def straight_through_left(v):
    hard, soft = (v > 0).astype(v.dtype), jax.nn.sigmoid(v)
    return soft + jax.lax.stop_gradient(hard - soft)


BIRTHS = {
    "comparison": lambda v: (v > 0).astype(jnp.float32),
    "to_int": lambda v: (v >= 0.25).astype(jnp.int32).astype(jnp.float32),
    "heaviside": lambda v: jnp.heaviside(v, 0.0),
    "where": lambda v: jnp.where(v > 0, 1.0, 0.0),
    "where_params": lambda v: jnp.where(v > 0, jnp.ones(3), jnp.zeros(3)),
    "custom_jvp": spike,
    "custom_vjp": by_custom_vjp,
    "jitted": jax.jit(spike),
    "straight_through": straight_through,
    "straight_through_sum": straight_through_sum,
    "straight_through_left": straight_through_left,
    "sign": lambda v: (jnp.sign(v) > 0).astype(v.dtype),
    "logical": lambda v: jnp.logical_and(v > 0, v < 10).astype(v.dtype),
}


@pytest.mark.parametrize("name", BIRTHS)
def test_birth(name):
    def model(params, x):
        v = params["first"] @ x - 0.5
        return params["second"] @ BIRTHS[name](v)

    _, account = joulax.count(model, weights=0, spikes=1)({"first": W, "second": V}, X)
    assert list(account) == ["first", "second"]
    check(account["first"], ac=3, dense_ac=6, spikes=2, updates=3, neurons=3, synapses=6, nonzero=3)
    check(account["second"], ac=4, dense_ac=6, synapses=6, nonzero=6)


@pytest.mark.parametrize("name", BIRTHS)
def test_kind_does_not_depend_on_the_data(name):
    model = lambda p, x: p["second"] @ BIRTHS[name](p["first"] @ x - 0.5)
    _, account = joulax.count(model, weights=0, spikes=1)({"first": W, "second": V}, jnp.zeros(2))
    check(account["first"], ac=0, dense_ac=6, spikes=0, updates=3)
    check(account["second"], ac=0, dense_ac=6)


@pytest.mark.parametrize(
    "name",
    [
        "straight_through",
        "straight_through_sum",
        "straight_through_left",
        "custom_jvp",
        "custom_vjp",
    ],
)
def test_gradient_flows_through_the_surrogate(name):
    def synops(v):
        return joulax.count(lambda p, v: p @ BIRTHS[name](v), weights=0)(V, v)[1]["p"].ac

    v = jnp.array([1.5, 0.5, -0.5])
    grad = jax.grad(lambda v: synops(v))(v)
    expected = jax.grad(lambda v: 2 * BIRTHS[name](v).sum())(v)
    assert jnp.array_equal(grad, expected)
    assert jnp.all(expected != 0)


def test_rounding_stays_analog_unless_declared():
    model = lambda p, x: p @ jnp.round(x)
    check(joulax.count(model, weights=0)(W, X)[1]["p"], mac=3, dense_mac=6)
    declared = lambda p, x: p @ joulax.spikes(jnp.round(x))
    account = joulax.count(declared, weights=0)(W, 2 * X)[1]
    check(account["p"], ac=6, ac_graded=3, dense_ac=6)
    check(account["input[0]"], spikes=4, spikes_graded=2)


def test_integer_input_is_analog_unless_declared():
    image = jnp.full((2,), 155, jnp.uint8)
    model = lambda p, x: p @ x.astype(jnp.float32)
    check(joulax.count(model, weights=0)(W, image)[1]["p"], mac=3, dense_mac=6)
    check(
        joulax.count(model, weights=0, spikes=1)(W, image)[1]["p"], ac=465, ac_graded=3, dense_ac=6
    )


def test_boolean_input_is_spikes():
    model = lambda p, x: p @ x.astype(jnp.float32)
    check(joulax.count(model, weights=0)(W, jnp.array([True, False]))[1]["p"], ac=2, dense_ac=6)


def test_poisson_encoder_inside_the_model():
    def model(p, x, key):
        return p @ jax.random.bernoulli(key, x).astype(jnp.float32)

    _, account = joulax.count(model, weights=0)(W, jnp.array([1.0, 1.0]), jax.random.key(0))
    check(account["p"], ac=3, dense_ac=6)
    check(account["input[0]"], spikes=2)
    assert account["input[0]"].updates is None


def test_complement_and_equality_count_by_what_they_are():
    complement = lambda p, v: p @ (1 - spike(v))
    check(joulax.count(complement, weights=0)(W, X - 2)[1]["p"], ac=3, dense_ac=6)
    labels = lambda p, v: p @ (v == 1).astype(jnp.float32)
    check(joulax.count(labels, weights=0)(W, X)[1]["p"], ac=3, dense_ac=6)


def test_reset_comparison_is_no_second_spike():
    def model(p, x):
        v = p["first"] @ x - 0.5
        v = v - 0.5 * (v > 0).astype(jnp.float32)  # a soft reset, never seen outside
        return p["second"] @ spike(v)

    _, account = joulax.count(model, weights=0, spikes=1)({"first": W, "second": V}, X)
    check(account["first"], ac=3, dense_ac=6, spikes=1, updates=3)
    check(account["second"], ac=2, dense_ac=6)


def test_boolean_output_is_spikes():
    _, account = joulax.count(lambda p, x: p @ x > 0.5, weights=0, spikes=1)(W, X)
    check(account["p"], ac=3, dense_ac=6, spikes=2, updates=3)


def test_signed_spikes():
    model = lambda p, v: p @ (spike(v) - spike(-v))
    v = jnp.array([2.0, -2.0])
    check(joulax.count(model, weights=0)(W, v)[1]["p"], ac=3, dense_ac=6)


def test_a_maximum_over_windows_written_as_a_general_one():
    """A body of its own, as code that is translated from elsewhere has it."""
    pooled = lambda s: jax.lax.reduce_window(
        s, jnp.float32(0), lambda a, b: jax.lax.max(a, b), (2,), (2,), "VALID"
    )
    w = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)
    s = jnp.asarray([1, 0, 0, 0, 1, 1, 0, 1], jnp.float32)
    account = joulax.count(lambda p, s: p @ pooled(s), weights=0, spikes=1)(w, s)[1]
    check(account["p"], ac=9, dense_ac=12)
