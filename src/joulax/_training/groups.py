"""Synapses that stand and fall together: one by one, by neuron or channel, by kernel."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

Group = str  # "synapse", "neuron" or "kernel"
_LEADING = {"neuron": 1, "kernel": 2}  # axes that enumerate the groups, in weights (out, in, ...)


def check_group(group: str) -> None:
    """Refuse a word that names no group."""
    if group != "synapse" and group not in _LEADING:
        raise ValueError(
            f"group= is 'synapse', 'neuron' (all that enters a neuron or an output channel) or "
            f"'kernel' (one input to one output channel), got {group!r}"
        )


def synaptic(leaf: Any) -> bool:
    """Whether a leaf holds synapses: an array of floats with at least two axes, no bias."""
    return jnp.ndim(leaf) > 1 and jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def summed(leaf: Array, group: Group) -> Array:
    """Sums over the synapses of each group, with axes of one where they were."""
    return leaf if group == "synapse" else leaf.sum(_inside(leaf, group), keepdims=True)


def size(leaf: Array, group: Group) -> int:
    """Synapses in one group."""
    if group == "synapse":
        return 1
    return math.prod(leaf.shape[i] for i in _inside(leaf, group))


def _inside(leaf: Array, group: Group) -> tuple[int, ...]:
    return tuple(range(min(_LEADING[group], jnp.ndim(leaf)), jnp.ndim(leaf)))


def matched(tree: Any, like: Any, what: str) -> list[Any]:
    """Leaves of `tree`, one for each leaf of `like`; `None` where it has none."""
    try:
        return jax.tree.structure(like).flatten_up_to(tree)
    except ValueError as error:
        raise ValueError(
            f"{what} must have the structure of the parameters, as joulax.synapse_energy "
            f"gives it: {error}"
        ) from error
