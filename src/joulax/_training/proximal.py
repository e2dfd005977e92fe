"""A proximal step whose shrinkage is each synapse's own energy, in optax's form."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from .groups import Group, check_group, matched, size, summed, synaptic


class ProximalState(NamedTuple):
    """Number of steps, for a schedule."""

    step: Int[Array, ""]


def proximal(
    rate: float | Callable[[Any], Any], *, group: Group = "synapse", hard: bool = False
) -> Any:
    r"""Shrinks every weight by the energy of its synapse, to an exact zero.

    The last step of a chain, after the learning rate: proximal gradient descent on
    $L(w) + \pi \sum_g e_g \lVert w_g \rVert$, whose step with $\kappa = \text{rate} \cdot \pi$ is

    $$w_g \leftarrow w_g \max\left(0,\; 1 - \kappa\, e_g \sqrt{n_g} / \lVert w_g \rVert\right)$$

    for groups of $n_g$ synapses with the mean energy $e_g$: for single synapses the soft threshold
    $\operatorname{sign}(w) \max(0, |w| - \kappa e)$. With `hard` it is that of the number of
    synapses, $\pi \sum_g e_g n_g [w_g \ne 0]$: a group goes if
    $\lVert w_g \rVert^2 \le 2 \kappa\, e_g n_g$, and stays as it is otherwise.

    ```python
    import jax.numpy as jnp
    import joulax
    import optax

    optimiser = optax.chain(optax.sgd(0.1), joulax.proximal(0.1))
    w = {"w": jnp.array([[0.5, -0.02]])}
    still = {"w": jnp.zeros((1, 2))}
    update, _ = optimiser.update(still, optimiser.init(w), w, energies={"w": jnp.ones((1, 2))})
    assert jnp.allclose(optax.apply_updates(w, update)["w"], jnp.array([[0.4, 0.0]]))
    ```

    **Arguments:**

    - `rate`: step length κ for a price of one; a number, or a function of the step as optax's
      schedules are. Usually the learning rate.
    - `group`: as in [`joulax.threshold`][]: structured sparsity for neurons, channels, kernels.
    - `hard`: hard instead of soft threshold.

    **Returns:**

    An `optax.GradientTransformationExtraArgs`. Its `update` takes `energies=` of every synapse [of
    any unit], as [`joulax.synapse_energy`][] gives them, and `price=` π, such as the multiplier of
    a [`joulax.constraint`][] over its budget; one by default.

    **Raises:**

    `ImportError` without optax; `ValueError` for an unknown group, a rate that is not positive, or
    an update without parameters or energies.

    ??? cite "Reference"
        Parikh & Boyd, Proximal Algorithms, Foundations and Trends in Optimization 1(3), 2014, §6.5.
    """
    check_group(group)
    if not callable(rate) and not rate > 0:
        raise ValueError(f"a proximal step needs a positive rate, got {rate!r}")
    try:
        import optax
    except ImportError as error:
        raise ImportError("joulax.proximal needs optax: pip install optax") from error

    def init(params: Any) -> ProximalState:
        del params
        return ProximalState(jnp.zeros((), jnp.int32))

    def update(
        updates: Any,
        state: Any,
        params: Any = None,
        *,
        energies: Any = None,
        price: Any = 1.0,
        **rest: Any,
    ) -> tuple[Any, ProximalState]:
        del rest
        if params is None or energies is None:
            raise ValueError(
                "a proximal step needs the parameters and the energy of every synapse: "
                "optimiser.update(gradients, state, params, energies=...)"
            )
        step = (rate(state.step) if callable(rate) else rate) * price
        new, structure = jax.tree.flatten(updates)
        olds = matched(params, updates, "parameters")
        spent = matched(energies, updates, "energies")
        found = [
            _step(u, p, step, e, group, hard) if synaptic(p) and e is not None else u
            for u, p, e in zip(new, olds, spent, strict=True)
        ]
        return jax.tree.unflatten(structure, found), ProximalState(state.step + 1)

    return optax.GradientTransformationExtraArgs(init, update)


def _step(update: Array, old: Array, step: Any, energy: Any, group: Group, hard: bool) -> Array:
    """The update that ends where the proximal step does."""
    new, n = old + update, size(old, group)
    cost = jnp.asarray(step * summed(jnp.asarray(energy), group), new.dtype)  # of n synapses
    square = summed(jnp.square(new), group)
    if hard:
        kept = jnp.where(square > 2 * cost, new, jnp.zeros_like(new))
    else:
        norm = jnp.sqrt(jnp.where(square > 0, square, jnp.ones_like(square)))
        share = jnp.where(square > 0, 1 - cost / (n**0.5 * norm), jnp.zeros_like(norm))
        kept = new * jnp.maximum(share, 0)
    return kept - old
