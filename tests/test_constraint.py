"""Constraints: known optima and multipliers, budgets that are met, transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import joulax
from joulax import constraint


def solve(objective, x, value, limit, *, steps=3000, rate=0.02):
    """Minimise under a constraint by gradient descent, in one scan."""
    optimiser = optax.sgd(rate)

    def step(carry, _):
        x, state, multiplier = carry

        def loss(x):
            term, new = limit.update(value(x), multiplier)
            return objective(x) + term, new

        grad, multiplier = jax.grad(loss, has_aux=True)(x)
        updates, state = optimiser.update(grad, state)
        return (optax.apply_updates(x, updates), state, multiplier), value(x)

    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers and floats
        (x, _, multiplier), path = jax.jit(
            lambda x: jax.lax.scan(step, (x, optimiser.init(x), limit.init()), None, length=steps)
        )(x)
    return x, multiplier.multiplier, path


@pytest.mark.parametrize("equality", [False, True])
def test_known_optimum_and_multiplier(equality):
    """min (x − 3)² with x ≤ 1: x = 1, where the slope is −4, so the multiplier is 4."""
    x, multiplier, _ = solve(
        lambda x: jnp.square(x - 3),
        jnp.asarray(2.0),
        lambda x: x,
        constraint(1.0, equality=equality),
    )
    np.testing.assert_allclose(float(x), 1.0, rtol=1e-3)
    np.testing.assert_allclose(float(multiplier), 4.0, rtol=1e-2)


def test_an_inactive_budget_costs_nothing():
    x, multiplier, _ = solve(
        lambda x: jnp.square(x - 3), jnp.asarray(2.0), lambda x: x, constraint(10.0)
    )
    np.testing.assert_allclose(float(x), 3.0, rtol=1e-3)
    assert float(multiplier) == 0.0


def test_an_equality_also_pulls_up():
    x, multiplier, _ = solve(
        lambda x: jnp.square(x - 3),
        jnp.asarray(2.0),
        lambda x: x,
        constraint(6.0, equality=True, rate=0.5),
    )
    np.testing.assert_allclose(float(x), 6.0, rtol=1e-3)
    np.testing.assert_allclose(float(multiplier), -36.0, rtol=2e-2)  # 2 (6 − 3) · 6


def test_budgets_of_several_layers():
    """min Σ (x − a)² under x ≤ b, one multiplier each: 2 b (a − b) where it binds."""
    a, b = jnp.array([3.0, 2.0, 0.5]), jnp.array([1.0, 1.0, 1.0])
    x, multiplier, _ = solve(lambda x: jnp.square(x - a).sum(), 0.9 * a, lambda x: x, constraint(b))
    np.testing.assert_allclose(x, [1.0, 1.0, 0.5], rtol=2e-3)
    np.testing.assert_allclose(multiplier, [4.0, 2.0, 0.0], atol=2e-2)


def test_the_worst_of_several_chips():
    """The same budget on every chip: the most expensive one binds, the others have no price."""
    chips = joulax.stack(["loihi", "loihi@keras-spiking", "truenorth@merolla2014"])
    spent = lambda x: joulax.energy([joulax.activity(ac=x, updates=0)], chips).total
    x, multiplier, _ = solve(
        lambda x: jnp.square(x - 3), jnp.asarray(2.0), spent, constraint(jnp.full(3, 27.1))
    )
    np.testing.assert_allclose(float(x), 1.0, rtol=2e-3)
    np.testing.assert_allclose(multiplier, [0.0, 4.0, 0.0], atol=3e-2)


def test_units_do_not_matter():
    """Picojoules or joules: the same terms, the same multipliers."""
    for scale in (1.0, 1e-12):
        limit = constraint(2.0 * scale)
        state = limit.init()
        for value in (5.0, 3.0, 2.5):
            term, state = limit.update(value * scale, state)
        found = float(term), float(state.multiplier)
        if scale == 1.0:
            expected = found
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_warmup_falls_geometrically_from_where_the_value_stood():
    limit = constraint(1.0, warmup=4)
    state = limit.init()
    seen = []
    for _ in range(6):
        _, state = limit.update(16.0, state)
        seen.append(float(limit.budget(state)))
    np.testing.assert_allclose(seen, [8.0, 4.0, 2.0, 1.0, 1.0, 1.0], rtol=1e-5)
    _, low = limit.update(0.5, limit.init())
    assert float(limit.budget(low)) == 1.0  # a network below its budget is not pushed up on the way


def test_far_from_the_budget_the_push_is_bounded():
    """g = v − 1 up to 2, then 1 + 2 ln(v / 2): at 100 the slope of g² / 2 is g · 2 / v; silence has
    a finite slope too.
    """
    slope = lambda v, equality=False: float(
        jax.grad(lambda v: constraint(1.0, equality=equality).update(v, constraint(1.0).init())[0])(
            v
        )
    )
    np.testing.assert_allclose(slope(1.5), 0.5, rtol=1e-6)
    np.testing.assert_allclose(slope(100.0), (1 + 2 * np.log(50)) * 2 / 100, rtol=1e-5)
    assert slope(0.0) == 0.0
    assert slope(0.0, equality=True) == -1.0


def test_vmap_over_budgets():
    budgets = jnp.array([0.5, 1.0, 2.0])
    solved = jax.vmap(
        lambda b: solve(
            lambda x: jnp.square(x - 3), jnp.asarray(2.5), lambda x: x, constraint(b), steps=2000
        )[0]
    )(budgets)
    np.testing.assert_allclose(solved, budgets, rtol=5e-3)


def test_bad_options():
    with pytest.raises(ValueError, match="budget must be"):
        constraint(0)
    with pytest.raises(ValueError, match="warmup"):
        constraint(1.0, warmup=-1)
