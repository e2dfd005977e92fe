"""Losses on a number of synaptic operations or on an energy: pure, and free of units."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array


def target(value: ArrayLike, goal: ArrayLike) -> Array:
    r"""Squared relative distance from a goal, the synops loss of Sinabs.

    $$L = \left(\frac{goal - value}{goal}\right)^2, \qquad \frac{dL}{dvalue} = -\frac{2}{goal} \cdot \frac{goal - value}{goal}.$$

    **Arguments:**

    - `value`: synaptic operations or energy, any shape [operations or pJ].
    - `goal`: what it should be, positive, in the same unit.

    **Returns:**

    The loss, unitless, elementwise.

    **Raises:**

    `ValueError` if a goal known while tracing is not positive.

    ??? cite "Reference"
        Sorbaro et al., Front. Neurosci. 14:662, 2020; the how-to of Sinabs on synops losses.
    """
    _positive(goal)
    return jnp.square(1 - jnp.asarray(value) / goal)


def budget(value: ArrayLike, goal: ArrayLike) -> Array:
    r"""The one-sided form: nothing below the goal, its squared relative excess above.

    $$L = \max\left(0, \frac{value - goal}{goal}\right)^2.$$

    **Arguments:**

    - `value`: synaptic operations or energy, any shape [operations or pJ].
    - `goal`: what it may be at most, positive, in the same unit.

    **Returns:**

    The loss, unitless, elementwise; its gradient is zero within the budget.

    **Raises:**

    `ValueError` if a goal known while tracing is not positive.
    """
    _positive(goal)
    return jnp.square(jnp.maximum(jnp.asarray(value) / goal - 1, 0.0))


def log_target(value: ArrayLike, goal: ArrayLike) -> Array:
    r"""A target in decades: pulls onto the goal from both sides, with a force that does not grow far from it.

    The Huber loss of $r = \ln(value/goal)$: $L = r^2$ for $|r| \le 1$, else $2|r| - 1$. Where
    `target` has lost its gradient ten times below the goal and explodes ten times above it, this one is steady.

    **Arguments:**

    - `value`: synaptic operations or energy, positive, any shape [operations or pJ].
    - `goal`: what it should be, positive, in the same unit.

    **Returns:**

    The loss, unitless, elementwise.

    **Raises:**

    `ValueError` if a goal known while tracing is not positive.
    """
    _positive(goal)
    tiny = jnp.finfo(jnp.result_type(float)).tiny  # a silent network has a large, finite loss
    r = jnp.log(jnp.maximum(jnp.asarray(value) / goal, tiny))
    return jnp.where(jnp.abs(r) <= 1, jnp.square(r), 2 * jnp.abs(r) - 1)


def log_budget(value: ArrayLike, goal: ArrayLike) -> Array:
    r"""A budget in decades: steep far above the goal and at it, so that a network is neither shocked nor ignored.

    $$L = \max\left(0, \ln\frac{value}{goal}\right), \qquad \frac{dL}{dvalue} = \frac{1}{value} \text{ above the goal}.$$

    **Arguments:**

    - `value`: synaptic operations or energy, any shape [operations or pJ].
    - `goal`: what it may be at most, positive, in the same unit.

    **Returns:**

    The loss, unitless, elementwise; zero, with zero gradient, within the budget.

    **Raises:**

    `ValueError` if a goal known while tracing is not positive.
    """
    _positive(goal)
    ratio = jnp.asarray(value) / goal
    over = ratio > 1
    return jnp.where(over, jnp.log(jnp.where(over, ratio, 1.0)), 0.0)


def _positive(goal: ArrayLike) -> None:
    if isinstance(goal, int | float) and not goal > 0:
        raise ValueError(f"a goal must be positive, got {goal}; with a goal of zero the loss has no scale")
