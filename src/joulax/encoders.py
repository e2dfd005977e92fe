"""Values as spikes: learnable encoders, whose events are counted like all others.

An encoder is a module in front of a network; its spikes stand in the record `input[...]` of an
account, and the first layer is charged for every one that reaches it. Gradients pass through, so
that a gain or a threshold can be trained under a budget.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._activity.record import number
from .neurons import straight_through, triangle

__all__ = ["Delta", "FirstSpike", "Rate"]


def _parameter(default: float) -> Any:
    return eqx.field(default=default, converter=number)


class Rate(eqx.Module):
    """Evenly spaced spikes, as many as the value says: `gain · x` of all steps.

    **Attributes:**

    - `steps`: time steps.
    - `gain`: spikes a step for a value of one; learnable. Rates end at one spike a step.

    **Returns:**

    Called with values in [0, 1] of any shape: spikes of shape (steps, ...), 0 or 1. The gradient of
    a spike with respect to its rate is one.
    """

    steps: int = eqx.field(static=True)
    gain: Array = _parameter(1.0)

    def __check_init__(self):
        _check(self.steps)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "steps ..."]:
        """The spikes of a value at all steps."""
        rate = jnp.clip(jnp.asarray(self.gain, x.dtype) * x, 0, 1)
        return _even(*_over(self.steps, rate))


@jax.custom_jvp
def _even(rate: Array, time: Array) -> Array:
    """A spike at every step in which the accumulated rate passes a half, one and a half, ..."""
    before, after = jnp.floor(time * rate + 0.5), jnp.floor((time + 1) * rate + 0.5)
    return (after > before).astype(rate.dtype)


@_even.defjvp
def _even_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    spikes = _even(*primals)
    return spikes, tangents[0]


class FirstSpike(eqx.Module):
    r"""One spike a value, the earlier the larger; small values stay silent (latency code).

    The time is $(1 - \text{gain} \cdot x)(\text{steps} - 1)$, rounded.

    **Attributes:**

    - `steps`: time steps.
    - `gain`: learnable; a value of one over the gain fires at once.
    - `silent`: values at or below it do not fire; learnable.

    **Returns:**

    Called with values in [0, 1] of any shape: spikes of shape (steps, ...), 0 or 1, at most one a
    value. Their gradient is that of a spike shared linearly between the two nearest steps, and
    triangular around `silent`.
    """

    steps: int = eqx.field(static=True)
    gain: Array = _parameter(1.0)
    silent: Array = _parameter(0.0)

    def __check_init__(self):
        _check(self.steps)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "steps ..."]:
        """The spikes of a value at all steps."""
        late = 1 - jnp.clip(jnp.asarray(self.gain, x.dtype) * x, 0, 1)
        loud = straight_through(x - jnp.asarray(self.silent, x.dtype))[None]
        return _once(*_over(self.steps, late * (self.steps - 1))) * loud


@jax.custom_jvp
def _once(when: Array, time: Array) -> Array:
    """A spike at the nearest step."""
    return (jnp.floor(when + 0.5) == time).astype(when.dtype)


@_once.defjvp
def _once_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    when, time = primals
    away = time - when
    slope = jnp.where(jnp.abs(away) < 1, jnp.sign(away), jnp.zeros_like(away))
    return _once(when, time), slope * tangents[0]


class Delta(eqx.Module):
    """Spikes of +1 and −1 where a signal has moved by a threshold since its last spike.

    Also send-on-delta, or the code of an event camera: a signal that rests costs nothing.

    **Attributes:**

    - `threshold`: learnable, in units of the signal, positive.

    **Returns:**

    Called with a signal of shape (time, ...): events −1, 0 or 1 of the same shape; the first step
    is compared with zero. The gradient of an event is a triangle around the threshold, as wide as
    the threshold.
    """

    threshold: Array = _parameter(0.1)

    def __call__(self, x: Float[Array, "time ..."]) -> Float[Array, "time ..."]:
        """The events of a signal."""
        width = jnp.asarray(self.threshold, x.dtype)

        def step(reference: Array, now: Array) -> tuple[Array, Array]:
            moved = now - reference
            event = triangle(moved / width - 1) - triangle(-moved / width - 1)
            return jax.lax.stop_gradient(reference + event * width), event

        return jax.lax.scan(step, jnp.zeros_like(x[0]), x)[1]


def _over(steps: int, x: Array) -> tuple[Array, Array]:
    """Values and times, both of shape (steps, ...)."""
    time = jnp.arange(steps, dtype=x.dtype).reshape(steps, *(1,) * x.ndim)
    shape = (steps, *x.shape)
    return jnp.broadcast_to(x, shape), jnp.broadcast_to(time, shape)


def _check(steps: int) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps= takes a positive number of time steps, got {steps!r}")
