"""What each synapse costs: the gradient of the energy with respect to its existence."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from .._count.arguments import names_of
from .._count.count import Counter
from .._count.resolution import Resolution
from .._hardware.chip import Hardware
from .._hardware.energy import energy
from .._hardware.numbers import Real


def synapse_energy(
    fn: Callable,
    hardware: Hardware | str,
    duration: Real = None,
    *,
    weights: int | None = None,
    spikes: Any = None,
    strict: bool = True,
    **options: Any,
) -> Callable[..., Any]:
    r"""Energy of every synapse: what it costs that it exists [pJ].

    The events that meet a synapse, times the price of one on this chip. Energy is linear in the
    existence $z$ of synapses as long as the spikes stay what they are, so that

    $$e_{ij} = \frac{\partial E}{\partial z_{ij}}$$

    is one backward pass, whose cotangents are the events, summed. Synapses that are zero have one
    too: what they would cost. Weights may pass through thresholds and masks of 0 and 1 on their
    way (a masked synapse costs nothing); a weight that is scaled has its energy scaled as well.

    ```python
    import jax
    import jax.numpy as jnp
    import joulax

    w = jnp.array([[0.5, 0.0, -1.0], [0.2, 0.1, 0.3]])
    of = joulax.synapse_energy(lambda w, x: w @ x, "loihi", weights=0, spikes=1, others=0)
    assert float(of(w, jnp.array([1.0, 1.0, 0.0]))[0, 1]) == 23.6
    ```

    **Arguments:**

    - `fn`, `weights`, `spikes`, `strict`: as in [`joulax.count`][]; `weights` is the number of one
      argument. Without it, `fn` is a pytree (an Equinox module).
    - `hardware`, `duration`, `options`: as in [`joulax.energy`][].

    **Returns:**

    A function of the arguments of `fn` that returns the model (or that argument) with an energy in
    the place of every float [pJ], summed over the call; biases cost nothing, and what is no array
    of floats is `None`. For a batch, count the batch,
    `synapse_energy(lambda m, x: jax.vmap(m)(x), chip, weights=0, spikes=1)`, and divide by its
    size.

    **Raises:**

    `ValueError` as `joulax.count` and `joulax.energy` do, and where there are no weights to
    differentiate.
    """
    resolution = Resolution(pruning=0.0)

    def total(model: Any, args: tuple[Any, ...]) -> Any:
        whole = model if weights is None else fn
        if weights is not None:
            args = (*args[:weights], model, *args[weights + 1 :])
        counter = Counter(whole, names_of(weights, "weights"), spikes, strict, resolution)
        return energy(counter(*args)[1], hardware, duration, **options).total.sum()

    def price(*args: Any) -> Any:
        model = fn if weights is None else args[weights]
        if not any(map(eqx.is_inexact_array, jax.tree.leaves(model))):
            raise ValueError(
                "synapse_energy() differentiates the arrays of a module, or of the argument that "
                f"weights= names; there are none in this {type(model).__name__}"
            )
        return eqx.filter_grad(total)(model, args)

    return price
