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
        np.testing.assert_allclose(float(loss(goal * ratio, goal)), float(loss(goal * ratio * unit, goal * unit)), rtol=1e-3, atol=1e-4)


def test_elementwise():
    assert losses.target(jnp.ones(3), jnp.full(3, 2.0)).shape == (3,)


def test_a_goal_must_be_positive():
    for loss in (losses.target, losses.budget, losses.log_budget, losses.log_target):
        with pytest.raises(ValueError, match="a goal must be positive, got 0.0"):
            loss(1.0, 0.0)
