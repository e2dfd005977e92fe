"""Losses on a number of synaptic operations or on an energy: pure, and free of units."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

__all__ = [
    "budget",
    "layers",
    "log_budget",
    "log_target",
    "rate_floor",
    "target",
    "weight_count",
    "worst",
]


def target(value: ArrayLike, goal: ArrayLike) -> Array:
    r"""Squared relative distance from a goal, the synops loss of Sinabs.

    $$L = \left(\frac{goal - value}{goal}\right)^2,
    \qquad \frac{dL}{dvalue} = -\frac{2}{goal} \cdot \frac{goal - value}{goal}.$$

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
    r"""A target in decades.

    Pulls onto the goal from both sides, with a force that does not grow far from it.

    The Huber loss of $r = \ln(value/goal)$: $L = r^2$ for $|r| \le 1$, else $2|r| - 1$. Where
    `target` has lost its gradient ten times below the goal and explodes ten times above it, this
    one is steady.

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
    r"""A budget in decades.

    Steep far above the goal and at it, so that a network is neither shocked nor ignored.

    $$L = \max\left(0, \ln\frac{value}{goal}\right),
    \qquad \frac{dL}{dvalue} = \frac{1}{value} \text{ above the goal}.$$

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


def layers(values: Any, goals: Any, loss: Callable[[Any, Any], Array] = budget) -> Array:
    """A goal for each layer: the sum of one loss over them.

    **Arguments:**

    - `values`: a pytree of numbers, like `result.per_layer` [operations or pJ].
    - `goals`: its goals: a mapping that may name some of the layers only, or a pytree of the same
      structure.
    - `loss`: one of this module.

    **Returns:**

    The loss, unitless.

    **Raises:**

    `ValueError` if a goal names a layer that does not exist, or the structures differ.
    """
    if isinstance(goals, Mapping) and isinstance(values, Mapping):
        unknown = sorted(set(goals) - set(values))
        if unknown:
            raise ValueError(
                f"no layer {unknown[0]!r} for its goal; the layers are {', '.join(values)}"
            )
        values = {name: values[name] for name in goals}
    try:
        terms = jax.tree.map(
            lambda v, g: jnp.sum(loss(v, g)),
            values,
            dict(goals) if isinstance(goals, Mapping) else goals,
        )
    except ValueError as error:
        raise ValueError(f"values and goals differ in structure: {error}") from None
    return jnp.asarray(sum(jax.tree.leaves(terms)))


def worst(
    values: ArrayLike, *, axis: int | tuple[int, ...] | None = 0, power: float = 16.0
) -> Array:
    r"""A smooth maximum, for chips that limit synaptic operations per second: the power mean.

    $$\left(\frac{1}{n} \sum_t v_t^p\right)^{1/p}$$

    lies between the mean and the maximum, tends to the maximum with p, and scales with its unit.
    Its gradient is shared among the large values; with `steps=T` in [`joulax.count`][] they are
    time steps.

    **Arguments:**

    - `values`: not negative, such as synops of each step.
    - `axis`: over which to take the worst; all if `None`.
    - `power`: p, at least 1.

    **Returns:**

    The worst value [the unit of `values`]; feed it to a budget or a [`joulax.constraint`][].

    **Raises:**

    `ValueError` if `power` is below 1.
    """
    if power < 1:
        raise ValueError(f"a power mean below 1 is no maximum, got power={power}")
    v = jnp.asarray(values)
    top = jax.lax.stop_gradient(jnp.max(v, axis=axis, keepdims=True))
    scale = jnp.where(top > 0, top, 1.0)
    mean = jnp.mean((v / scale) ** power, axis=axis, keepdims=True)
    there = mean > 0
    result = jnp.where(there, jnp.where(there, mean, 1.0) ** (1 / power), 0.0) * scale
    return jnp.squeeze(result, axis)


def rate_floor(rates: ArrayLike, floor: ArrayLike) -> Array:
    r"""Keeps layers and neurons from falling silent.

    Nothing above a floor, the squared relative shortfall below.

    $$L = \operatorname{mean} \max\left(0, \frac{floor - rate}{floor}\right)^2.$$

    A neuron that never fires has a gradient only through its surrogate; the floor pulls it back.

    **Arguments:**

    - `rates`: spikes per neuron and step, such as `record.spikes / record.updates`, also by neuron.
    - `floor`: the least rate, positive.

    **Returns:**

    The loss, unitless.

    **Raises:**

    `ValueError` if a floor known while tracing is not positive.
    """
    _positive(floor)
    return jnp.mean(jnp.square(jnp.maximum(1 - jnp.asarray(rates) / floor, 0.0)))


def weight_count(weights: Any, width: float = 0.01) -> Array:
    r"""A smooth number of synapses, so that pruning has a gradient.

    Exact counts jump, and their gradient is zero.

    $$\sum_w \frac{w^2}{w^2 + width^2},$$

    nearly one for a weight well above the width, nearly zero for one well below.

    **Arguments:**

    - `weights`: any pytree of arrays; those of less than two axes (biases) are left out.
    - `width`: weights below it count as gone; positive.

    **Returns:**

    A number of synapses.

    **Raises:**

    `ValueError` if the width is not positive.
    """
    _positive(width)
    arrays = [w for w in jax.tree.leaves(weights) if hasattr(w, "ndim") and w.ndim > 1]
    return jnp.asarray(sum(jnp.sum(jnp.square(w) / (jnp.square(w) + width**2)) for w in arrays))


def _positive(goal: ArrayLike) -> None:
    if isinstance(goal, int | float) and not goal > 0:
        raise ValueError(
            f"a goal must be positive, got {goal}; with a goal of zero the loss has no scale"
        )
