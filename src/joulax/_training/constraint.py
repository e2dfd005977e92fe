"""Budgets that are simply met: an augmented Lagrangian in optax's init/update form."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from .._hardware.numbers import checked


class ConstraintState(NamedTuple):
    """What a constraint carries from step to step; a pytree.

    **Attributes:**

    - `multiplier`: price of the constraint: what the loss would gain if the budget were twice as
      large, to first order.
    - `start`: value at the first step, from where the budget tightens.
    - `step`: number of updates.
    """

    multiplier: Float[Array, "..."]
    start: Float[Array, "..."]
    step: Int[Array, ""]


class Constraint(NamedTuple):
    """A pair of pure functions, as in optax.

    **Attributes:**

    - `init`: `init()` gives the first state.
    - `update`: `update(value, state)` gives `(term, state)`: what to add to the loss, and the next
      state.
    - `budget`: `budget(state)` is what the value may be at this step.
    """

    init: Callable[[], ConstraintState]
    update: Callable[[Any, ConstraintState], tuple[Float[Array, ""], ConstraintState]]
    budget: Callable[[ConstraintState], Float[Array, "..."]]


def constraint(
    budget: Any,
    *,
    warmup: int = 0,
    rate: float = 0.05,
    penalty: float = 1.0,
    equality: bool = False,
    floor: Any = None,
) -> Constraint:
    r"""A budget as a constraint of training, for operations, energies, rates, anything positive.

    Relative to the budget, so that units do not matter: with $g = \text{value} / \text{budget} - 1$
    the term is

    $$\frac{1}{2\rho}\left(\max(0, \lambda + \rho g)^2 - \lambda^2\right),
    \qquad \lambda \leftarrow \max(0, \lambda + \eta g),$$

    and for an equality $\lambda g + \frac{\rho}{2} g^2$, $\lambda \leftarrow \lambda + \eta g$. The
    multiplier grows until the budget is met, so there is
    no weight to tune. During `warmup` the budget falls geometrically from where the network stands,
    so that it is never shocked
    into silence; from twice the budget on, $g$ grows only logarithmically, for the same reason.

    ```python
    import jax.numpy as jnp
    import joulax

    limit = joulax.constraint(1.0)
    state = limit.init()
    term, state = limit.update(jnp.asarray(2.0), state)  # in the loss: add the term, return the
    state as aux
    ```

    **Arguments:**

    - `budget`: positive; one, or an array of several (layers, chips), each with a multiplier of its
      own.
      For the worst of several chips give the same budget for each: all are then met.
    - `warmup`: updates until the budget itself holds.
    - `rate`: step of the dual ascent, η.
    - `penalty`: ρ.
    - `equality`: meet the budget from both sides, so that none of it is wasted.
    - `floor`: what cannot be trained away, in the unit of the budget: [`joulax.floor`][] of the
      network's account. A budget below it is refused before a network dies of it.

    **Returns:**

    A [`joulax.Constraint`][]: works under `jit`, `vmap` (also over budgets) and in `scan`, with any
    optimiser.

    **Raises:**

    `ValueError` if a budget known while tracing is not positive or below the floor, or an option is
    out of range.

    ??? cite "Reference"
        Nocedal & Wright, Numerical Optimization, 2006, ch. 17.
    """
    goal = checked(budget, "budget", positive=True)  # energies are compared by their ratio to it
    if warmup < 0 or not rate > 0 or not penalty > 0:
        raise ValueError(
            f"warmup ≥ 0, rate > 0 and penalty > 0 are needed, got {warmup}, {rate}, {penalty}"
        )
    _check_reachable(budget, floor)

    def init() -> ConstraintState:
        return ConstraintState(jnp.zeros_like(goal), goal, jnp.zeros((), jnp.int32))

    def current(state: ConstraintState) -> Array:
        done = (
            jnp.minimum(state.step / max(warmup, 1), 1.0).astype(goal.dtype)
            if warmup
            else jnp.ones((), goal.dtype)
        )
        return jnp.where(state.start > goal, state.start * (goal / state.start) ** done, goal)

    def update(value: Any, state: ConstraintState) -> tuple[Array, ConstraintState]:
        value = jnp.asarray(value, goal.dtype)
        first = jax.lax.stop_gradient(jnp.where(state.step == 0, value, state.start))
        state = ConstraintState(state.multiplier, first, state.step)
        gap = _excess(value / current(state))
        pushed, weight = state.multiplier + penalty * gap, state.multiplier
        if equality:
            term = weight * gap + penalty / 2 * jnp.square(gap)
            raised = weight + rate * gap
        else:
            term = (jnp.square(jnp.maximum(pushed, 0.0)) - jnp.square(weight)) / (2 * penalty)
            raised = jnp.maximum(weight + rate * gap, 0.0)
        return term.sum(), ConstraintState(jax.lax.stop_gradient(raised), first, state.step + 1)

    return Constraint(init, update, current)


def _excess(ratio: Array) -> Array:
    """How far above the budget, relative to it.

    Linear to twice the budget, then logarithmic with the same slope.
    """
    far = ratio > 2
    return jnp.where(far, 1 + 2 * jnp.log(jnp.where(far, ratio, 2.0) / 2), ratio - 1)


def _check_reachable(budget: Any, floor: Any) -> None:
    """Refuse a budget that silence itself would break."""
    if floor is None or any(isinstance(x, Tracer) for x in (budget, floor)):
        return
    low, goal = np.broadcast_arrays(np.asarray(floor), np.asarray(budget))
    if np.any(goal < low):
        worst = int(np.argmin((goal - low).ravel()))
        raise ValueError(
            f"a budget of {goal.ravel()[worst]:.4g} is below the floor, {low.ravel()[worst]:.4g}: "
            "the network costs that much without a single spike. Take fewer neurons or time "
            "steps (joulax.compact, joulax.EarlyStop), or another chip"
        )
