"""Synapses that go: a threshold that keeps training, and the most useful within a budget."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .groups import Group, check_group, matched, size, summed, synaptic


def threshold(weights: Any, width: Any, *, group: Group = "synapse") -> Any:
    r"""Weights with the small ones at zero, and a gradient that goes straight through.

    $w$ where $|w| > \text{width}$, else 0; in groups, where the root mean square of a group exceeds
    the width. The gradient is that of the identity: a weight that is zero now goes on learning and
    may come back. Exact zeros are no synapses for [`joulax.count`][].

    **Arguments:**

    - `weights`: any pytree; arrays of floats with at least two axes are thresholded, the rest
      (biases, functions) stays.
    - `width`: not negative, in units of the weights; may be traced.
    - `group`: `"synapse"`, `"neuron"` (a row of a matrix, an output channel) or `"kernel"` (one
      input channel to one output channel), for weights of shape (out, in, ...).

    **Returns:**

    The same pytree.

    **Raises:**

    `ValueError` for an unknown group, or a negative width known while tracing.

    ??? cite "Reference"
        Bengio, Léonard & Courville, Estimating or propagating gradients through stochastic neurons
        for conditional computation, arXiv:1308.3432, 2013.
    """
    check_group(group)
    if isinstance(width, int | float) and not width >= 0:
        raise ValueError(f"a threshold takes a width of weights, 0 or more, got {width!r}")

    def one(w: Any) -> Any:
        if not synaptic(w):
            return w
        mean = summed(jnp.square(w), group) / size(w, group)
        return _straight(w, jnp.sqrt(jax.lax.stop_gradient(mean)) > width)

    return jax.tree.map(one, weights)


@jax.custom_jvp
def _straight(w: Array, there: Array) -> Array:
    """The weights that are there; the tangent passes everywhere."""
    return jnp.where(there, w, jnp.zeros_like(w))


@_straight.defjvp
def _straight_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Any]:
    return _straight(*primals), tangents[0]


def keep(scores: Any, energies: Any, budget: Any, *, group: Group = "synapse") -> Any:
    r"""The synapses worth their energy: as many as a budget allows, by score per picojoule.

    The greedy answer to a knapsack: groups in the order of $\sum s / \sum e$, as long as the sum of
    their energies stays within the budget. Groups whose score is zero go. The spikes change with
    the synapses, so that a large cut is made in many small ones, with training between them.

    ```python
    import jax.numpy as jnp
    import joulax

    scores, energies = {"w": jnp.array([[3.0, 1.0]])}, {"w": jnp.array([[2.0, 1.0]])}
    assert joulax.keep(scores, energies, 2.5)["w"].tolist() == [[True, False]]
    ```

    **Arguments:**

    - `scores`: what each synapse is worth, not negative: w², w² times Adam's second moment (an
      estimate of the loss without it), |w · gradient|; a pytree. Leaves of fewer than two axes, and
      `None`, stay as they are.
    - `energies`: of each synapse [pJ], as [`joulax.synapse_energy`][] gives them.
    - `budget`: for the synapses alone [pJ]: what is not theirs, such as updates, comes off first.
    - `group`: as in [`joulax.threshold`][].

    **Returns:**

    Masks in the structure of the scores, true where a synapse stays; works under `jit` and `vmap`.

    **Raises:**

    `ValueError` for an unknown group, or energies of another structure.

    ??? cite "Reference"
        LeCun, Denker & Solla, Optimal brain damage, NeurIPS 2, 1989 (the score w² · curvature).
    """
    check_group(group)
    leaves, structure = jax.tree.flatten(scores)
    places = [i for i, s in enumerate(leaves) if synaptic(s)]
    spent = matched(energies, scores, "energies")
    values = [summed(jnp.asarray(leaves[i]), group) for i in places]
    prices = [summed(jnp.asarray(spent[i], values[0].dtype), group) for i in places]
    flat = lambda arrays: jnp.concatenate([a.ravel() for a in arrays])
    stay = _knapsack(flat(values), flat(prices), budget)
    masks, start = [jnp.ones(jnp.shape(s), bool) for s in leaves], 0
    for i, value in zip(places, values, strict=True):
        mask = stay[start : start + value.size].reshape(value.shape)
        masks[i] = jnp.broadcast_to(mask, leaves[i].shape)
        start += value.size
    return jax.tree.unflatten(structure, masks)


def _knapsack(values: Array, prices: Array, budget: Any) -> Array:
    """Which of the items fit, the best ratios first."""
    tiny = jnp.finfo(values.dtype).tiny
    ratio = jnp.where(prices > 0, values / jnp.maximum(prices, tiny), jnp.inf)
    order = jnp.argsort(-jnp.where(values > 0, ratio, -1.0))
    fits = jnp.cumsum(prices[order]) <= budget
    return jnp.zeros(values.shape, bool).at[order].set(fits) & (values > 0)
