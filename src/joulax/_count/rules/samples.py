"""Loops that samples of a `vmap` leave one by one: each is counted until it stops."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr
from jaxtyping import Array

from ..axes import REPEATED
from ..exact import Sum, over
from ..findings import Context
from ..kinds import Value
from ..resolution import BySample
from ..run import LAST, Taps
from .registry import shape_of, source_of

_REFUSED = (
    "the loop at {} stops at another step for each of {} samples of a `vmap`, {}; count inside of "
    "it, `jax.vmap(joulax.count(f))`, where each sample is counted until it stops"
)


def samples_in(eqn: Any, ctx: Context) -> int | None:
    """How many samples decide by themselves when a loop stops; `None`: one for all.

    Only their number tells which axis is theirs, so no other axis may be as long.
    """
    p, around = eqn.params, ctx.resolution
    shape = shape_of(p["cond_jaxpr"].jaxpr.outvars[0])
    samples = math.prod(shape)
    if samples < 2:
        return None
    inside = (p["cond_jaxpr"].jaxpr, p["body_jaxpr"].jaxpr)
    reason = ""
    if len(shape) > 1 or (isinstance(around, BySample) and around.samples != samples):
        reason = "in several batches"
    elif around.steps is not None:
        reason = "and steps= keeps those of another loop"
    elif not all(_has_one_axis(jaxpr, samples) for jaxpr in inside):
        reason = "and another axis is as long, or merged with theirs"
    if reason:
        raise ValueError(_REFUSED.format(source_of(eqn), samples, reason))
    return samples


def _has_one_axis(jaxpr: Jaxpr, samples: int) -> bool:
    """Whether the axis of samples is the only one of its length, and every result keeps it.

    Whatever all samples share has no such axis: where it had one, it would meet theirs in one
    array, or be summed or picked before.
    """

    def count(variable: Any) -> int:
        return shape_of(variable).count(samples)

    if any(count(v) > 1 for v in (*jaxpr.invars, *jaxpr.constvars)):
        return False
    for eqn in jaxpr.eqns:
        outs, given = [count(v) for v in eqn.outvars], any(map(count, eqn.invars))
        if any(n > 1 or (given and not n) for n in outs):
            return False
        inner = jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_jaxpr)
        if not all(_has_one_axis(getattr(j, "jaxpr", j), samples) for j in inner if _is_jaxpr(j)):
            return False
    return True


def _is_jaxpr(value: Any) -> bool:
    return isinstance(value, Jaxpr | ClosedJaxpr)


def of_samples(state: Value) -> Value:
    """A state of such a loop: its first axis are the samples."""
    return state.but(axes=state.axes.marked(REPEATED, (0,)))


def going_on(pred: Array) -> Array:
    """Whether the loop runs once more: any sample wants that."""
    return jnp.any(pred)


def chosen(pred: Array, new: Any, old: Any) -> Any:
    """New values of samples that go on, old ones of those that have stopped."""
    if not jnp.ndim(pred):
        return new

    def choose(a: Array, b: Array) -> Array:
        each = pred.reshape(pred.shape + (1,) * (jnp.ndim(a) - 1))
        return jax.lax.select(jnp.broadcast_to(each, jnp.shape(a)), a, b)

    return jax.tree.map(choose, new, old)


def of_running(pred: Array, taps: Taps, apart: bool) -> Taps:
    """Counts of samples that go on: together, or `apart` for a loop around that they leave too."""
    if jnp.size(pred) < 2:  # of one sample, while it goes on
        return taps
    return {k: v if k[1] in LAST else _running(pred, v, apart) for k, v in taps.items()}


def _running(pred: Array, count: Sum, apart: bool) -> Sum:
    samples = len(pred)
    if count.known:  # of all samples alike
        each = jnp.full((samples,), count.value / samples, jnp.float32)
        count = Sum(each, None, count.bound)

    def running(x: Array) -> Array:
        return x * pred.reshape(pred.shape + (1,) * (x.ndim - 1)).astype(x.dtype)

    found = count.map(running)
    return found if apart else over(0, found, samples)
