"""Losses on synops and energy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from joulax import losses

GOALS = st.floats(1e-3, 1e6)
RATIOS = st.floats(0.01, 100.0)


def test_by_hand():
    assert float(losses.target(150.0, 100.0)) == 0.25 == float(losses.target(50.0, 100.0))
    assert float(losses.budget(150.0, 100.0)) == 0.25
    assert float(losses.budget(50.0, 100.0)) == 0.0
    np.testing.assert_allclose(float(losses.log_budget(100.0 * np.e, 100.0)), 1.0, rtol=1e-6)
    assert float(losses.log_budget(50.0, 100.0)) == 0.0
    np.testing.assert_allclose(float(losses.log_target(100.0 * np.e**0.5, 100.0)), 0.25, rtol=1e-6)
    np.testing.assert_allclose(float(losses.log_target(100.0 * np.e**-3, 100.0)), 5.0, rtol=1e-6)
    assert np.isfinite(float(losses.log_target(0.0, 100.0)))


def test_gradients_by_hand():
    assert float(jax.grad(losses.target)(150.0, 100.0)) == pytest.approx(2 * 0.5 / 100)
    assert float(jax.grad(losses.budget)(50.0, 100.0)) == 0.0
    assert float(jax.grad(losses.log_budget)(200.0, 100.0)) == pytest.approx(1 / 200)
    assert np.isfinite(float(jax.grad(losses.log_budget)(0.0, 100.0)))


@given(goal=GOALS, ratio=RATIOS, unit=GOALS)
@settings(max_examples=50, deadline=None)
def test_free_of_units(goal, ratio, unit):
    for loss in (losses.target, losses.budget, losses.log_budget, losses.log_target):
        np.testing.assert_allclose(
            float(loss(goal * ratio, goal)),
            float(loss(goal * ratio * unit, goal * unit)),
            rtol=1e-3,
            atol=1e-4,
        )


def test_elementwise():
    assert losses.target(jnp.ones(3), jnp.full(3, 2.0)).shape == (3,)


def test_a_goal_must_be_positive():
    for loss in (losses.target, losses.budget, losses.log_budget, losses.log_target):
        with pytest.raises(ValueError, match="a goal must be positive, got 0.0"):
            loss(1.0, 0.0)


def test_layers_by_hand():
    values = {"a": jnp.asarray(150.0), "b": jnp.asarray(50.0), "c": jnp.asarray(9.0)}
    assert float(losses.layers(values, {"a": 100.0, "b": 100.0})) == 0.25
    assert float(losses.layers(values, {"a": 100.0, "b": 100.0}, losses.target)) == 0.5
    with pytest.raises(ValueError, match="no layer 'd'"):
        losses.layers(values, {"d": 1.0})


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8), st.floats(1, 64))
@settings(max_examples=50, deadline=None)
def test_worst_lies_between_mean_and_maximum(values, power):
    v = np.array(values, np.float32)
    worst = float(losses.worst(v, power=power))
    assert v.mean() * (1 - 1e-4) - 1e-6 <= worst <= v.max() * (1 + 1e-4)
    np.testing.assert_allclose(
        float(losses.worst(7 * v, power=power)), 7 * worst, rtol=1e-3, atol=1e-5
    )


def test_worst_by_hand():
    np.testing.assert_allclose(
        float(losses.worst(jnp.array([3.0, 4.0]), power=2.0)), np.sqrt(12.5), rtol=1e-6
    )
    assert float(losses.worst(jnp.zeros(3))) == 0.0
    assert np.isfinite(np.asarray(jax.grad(losses.worst)(jnp.zeros(3)))).all()
    assert losses.worst(jnp.ones((5, 2))).shape == (2,)
    gradient = jax.grad(losses.worst)(jnp.array([1.0, 2.0, 1.9]))
    assert gradient[1] > gradient[2] > gradient[0] >= 0
    with pytest.raises(ValueError, match="power=0.5"):
        losses.worst(jnp.ones(2), power=0.5)


def test_rate_floor_by_hand():
    np.testing.assert_allclose(
        float(losses.rate_floor(jnp.array([0.0, 0.05, 0.2]), 0.1)), (1 + 0.25 + 0) / 3, rtol=1e-6
    )
    assert np.all(
        np.asarray(jax.grad(losses.rate_floor)(jnp.array([0.0, 0.2]), 0.1)) == [-10.0, 0.0]
    )


def test_weight_count_approaches_the_number_of_synapses():
    w = {"weight": jnp.array([[1.0, 0.0], [-2.0, 0.5]]), "bias": jnp.ones(3)}
    np.testing.assert_allclose(float(losses.weight_count(w, 1e-4)), 3.0, rtol=1e-6)
    gradient = jax.grad(lambda w: losses.weight_count(w, 0.1))(jnp.array([[0.1, -0.1]]))
    np.testing.assert_allclose(gradient, [[5.0, -5.0]], rtol=1e-5)  # 2 w σ² / (w² + σ²)²


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: losses.worst(jnp.stack([x, 2 * x, 1.0 + 0 * x])), 0.7),
        (lambda x: losses.rate_floor(x, 0.5), 0.2),
        (lambda x: losses.weight_count(jnp.reshape(x, (1, 1)), 0.3), 0.2),
        (lambda x: losses.log_target(x, 3.0), 5.0),
        (lambda x: losses.target(x, 3.0), 5.0),
    ],
)
def test_gradients_equal_finite_differences(f, x):
    h = 1e-3
    slope = (float(f(jnp.asarray(x + h))) - float(f(jnp.asarray(x - h)))) / (2 * h)
    np.testing.assert_allclose(float(jax.grad(f)(jnp.asarray(x))), slope, rtol=2e-2, atol=1e-3)
