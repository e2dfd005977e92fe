"""How many events a value is, where a synapse exists, and the slopes of both."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .kinds import Events, Value


def events_of(info: Value, value: Any, companion: Array | None) -> Array:
    """Events of a value.

    Its companion, or its magnitude, or for a parameter whether it is nonzero.
    """
    if companion is not None:
        return companion
    if not isinstance(info, Events) or value.dtype == jnp.bool_:
        return mask(value)
    if info.nonneg:
        return value.astype(jnp.float32)
    return magnitude(value)


def magnitude(value: Array) -> Array:
    """|value| in float32, with slope 1 at zero, where `abs` has none."""
    if value.dtype == jnp.bool_ or jnp.issubdtype(value.dtype, jnp.unsignedinteger):
        return value.astype(jnp.float32)
    return jnp.where(value >= 0, value, -value).astype(jnp.float32)


def graded(events: Array) -> Array:
    """Every nonzero event once; the gradient is that of min(events, 1)."""
    soft = jnp.where(events <= 1, events, jnp.ones_like(events))
    return soft + jax.lax.stop_gradient((events != 0).astype(soft.dtype) - soft)


def once(value: Array) -> Array:
    """One event where a value is nonzero, with the slope of min(|value|, 1)."""
    return graded(magnitude(value))


_WIDTH: ContextVar[float | None] = ContextVar("pruning width", default=None)


@contextmanager
def pruning(width: float | None) -> Generator[None]:
    """Inside, the existence of a synapse has the slope of a smooth bump of this width."""
    token = _WIDTH.set(width)
    try:
        yield
    finally:
        _WIDTH.reset(token)


def existing(weight: Any) -> Array:
    """1 where a synapse exists; with `pruning=`, the slope of w² / (w² + width²) beside it.

    With a width of zero the slope is one: the gradient is the energy of the synapse itself.
    """
    there, width = mask(weight), _WIDTH.get()
    if width is None or not jnp.issubdtype(jnp.result_type(weight), jnp.inexact):
        return there
    if width == 0:
        value = jnp.asarray(weight).astype(jnp.float32)
        return there + (value - jax.lax.stop_gradient(value))

    def sloped(weight: Array) -> Array:
        return _sloped(weight, width)

    return again(sloped)(jnp.asarray(weight).astype(jnp.float32))


def _mask_within(weight: Array, width: float) -> Array:
    """1 where a synapse exists, with the slope of w² / (w² + width²)."""
    return mask(weight)


_sloped = jax.custom_jvp(_mask_within, nondiff_argnums=(1,))


@_sloped.defjvp
def _slope(width: float, primals: tuple[Any], tangents: tuple[Any]) -> tuple[Array, Array]:
    (w,), (dw,) = primals, tangents
    share = 1 / (w * w + width**2)
    return mask(w), (2 * width**2) * (w * share * share) * dw


def again(make: Callable[..., Any]) -> Callable[..., Any]:
    """For the slope of synapses: what `make` was given is kept, and it runs once more backward.

    Events are the cotangent of a fan-out. Those of all steps would be kept, though most are the
    spikes themselves, which the gradient of the weights keeps anyway.
    """
    if not _WIDTH.get():
        return make
    return cast("Callable[..., Any]", jax.checkpoint(make, prevent_cse=False))


def fixed(fanout: Array) -> Array:
    """A fan-out: without gradient, unless the existence of synapses has a slope."""
    return jax.lax.stop_gradient(fanout) if _WIDTH.get() is None else fanout


def mask(value: Any) -> Array:
    """1 where a value is nonzero, where a synapse exists."""
    array = jnp.asarray(value)
    there = array if array.dtype == jnp.bool_ else array != 0
    return there.astype(jnp.float32)
