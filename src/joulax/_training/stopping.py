"""Stop when the answer is clear: a network that spends its time steps sample by sample."""

from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._activity.record import number


class Stepped(Protocol):
    """A network that advances by one time step, such as [`joulax.neurons.Network`][]."""

    def init(self, x: Array) -> Any:
        """States before the first step, for one step's input."""
        ...

    def step(self, states: Any, x: Array) -> tuple[Any, Array]:
        """New states and class scores."""
        ...


class EarlyStop(eqx.Module):
    """A classifier that stops at the step at which it is confident.

    The mean of the scores so far is the answer, the largest of its softmax probabilities the
    confidence. A `while` loop runs exactly the steps that are needed, so that
    `jax.vmap(joulax.count(stop, spikes=0))(batch)` charges every sample for its own. Not
    differentiable in reverse: train the network, then wrap it. What the comparison itself costs
    (one softmax of the classes a step) is no operation of the network, and not counted.

    ```python
    import equinox as eqx, jax, jax.numpy as jnp
    import joulax
    from joulax.neurons import LIF, LeakyReadout, Network

    a, b = jax.random.split(jax.random.key(0))
    layers = [eqx.nn.Linear(4, 8, key=a), LIF(), eqx.nn.Linear(8, 3, key=b), LeakyReadout()]
    stop = joulax.EarlyStop(Network(layers), 0.9)
    (scores, steps), account = joulax.count(stop, spikes=0)(jnp.ones((6, 4)))
    assert int(account["model.layers[0]"].updates) == 8 * int(steps)
    ```

    **Attributes:**

    - `model`: a network with `init(x)` and `step(states, x)`.
    - `threshold`: confidence at which it stops, in (0, 1]; 1 runs all steps, unless the
      probabilities round to it.
    - `least`: steps that are made in any case.

    **Returns:**

    Called with inputs (time, ...): the mean scores, and the number of steps made.
    """

    model: Any
    threshold: Float[Array, ""] = eqx.field(converter=number)
    least: int = eqx.field(default=1, static=True)

    def __check_init__(self):
        if not (hasattr(self.model, "init") and hasattr(self.model, "step")):
            raise ValueError(
                "EarlyStop takes a network with init(x) and step(states, x), such as "
                f"joulax.neurons.Network, got {type(self.model).__name__}"
            )
        if self.least < 1:
            raise ValueError(f"at least one step is made, got least={self.least}")

    def __call__(self, x: Float[Array, "time ..."]) -> tuple[Array, Int[Array, ""]]:
        """Mean scores and steps made for one sample."""
        states = self.model.init(x[0])
        scores = jax.eval_shape(lambda s, x: self.model.step(s, x)[1], states, x[0])

        def undecided(carry: Any) -> Array:
            *_, step, sure = carry
            return (step < self.least) | ((step < len(x)) & ~sure)

        def advance(carry: Any) -> Any:
            states, total, step, _ = carry
            now = jax.lax.dynamic_index_in_dim(x, step, keepdims=False)
            states, scores = self.model.step(states, now)
            total, step = total + scores, step + 1
            now_sure = confidence(total / step.astype(total.dtype))
            sure = now_sure >= self.threshold.astype(now_sure.dtype)
            return states, total, step, sure

        zero = jnp.zeros(scores.shape, scores.dtype)
        start = states, zero, jnp.zeros((), jnp.int32), jnp.zeros((), bool)
        _, total, step, _ = jax.lax.while_loop(undecided, advance, start)
        return total / step.astype(total.dtype), step


def confidence(scores: Float[Array, "... classes"]) -> Float[Array, "..."]:
    """The largest softmax probability, in (0, 1]."""
    return jnp.max(jax.nn.softmax(scores, axis=-1), axis=-1)


def first_confident(
    scores: Float[Array, "... time classes"], threshold: Any, *, least: int = 1
) -> Int[Array, "..."]:
    """Number of steps that [`joulax.EarlyStop`][] makes, from the scores of all steps.

    One run over all steps gives the whole trade of accuracy against energy: with energies by step
    (`count(..., steps=T)`), what a sample costs is their sum over its first steps.

    **Arguments:**

    - `scores`: outputs of every step.
    - `threshold`: confidence, in (0, 1]; one, or one for each sample.
    - `least`: steps that are made in any case.

    **Returns:**

    Steps made, from `least` to all.
    """
    steps = scores.shape[-2]
    made = jnp.broadcast_to(jnp.arange(1, steps + 1), scores.shape[:-1])
    mean = jnp.cumsum(scores, axis=-2) / made[..., None].astype(scores.dtype)
    threshold = jnp.broadcast_to(jnp.asarray(threshold), scores.shape[:-2])
    sure = confidence(mean) >= threshold[..., None]
    done = (sure & (made >= least)) | (made == steps)
    return jnp.argmax(done, axis=-1) + 1


def stopping_threshold(
    scores: Float[Array, "samples time classes"],
    energies: Float[Array, "samples time"],
    budget: Any,
    *,
    least: int = 1,
) -> Float[Array, ""]:
    """The confidence to wait for, so that the mean energy of a sample meets a budget.

    Time as a budgeted choice: energy rises with the threshold, which is found by bisection. Choose
    it on data that the network was not trained on, or it will be too sure of itself.

    **Arguments:**

    - `scores`: outputs of every step.
    - `energies`: of every step [pJ], not cumulated: `count(model, steps=T)`, priced.
    - `budget`: mean energy of a sample [pJ].
    - `least`: steps that are made in any case.

    **Returns:**

    The highest threshold whose mean energy is within the budget; 0 if none is.
    """
    spent = jnp.cumsum(jnp.asarray(energies), axis=1)

    def affordable(threshold: Array) -> Bool[Array, ""]:
        steps = first_confident(scores, threshold, least=least)
        return jnp.take_along_axis(spent, steps[:, None] - 1, axis=1).mean() <= budget

    def halve(_: Any, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        fits = affordable(middle)
        return jnp.where(fits, middle, low), jnp.where(fits, high, middle)

    zero, one = jnp.zeros((), spent.dtype), jnp.ones((), spent.dtype)
    low, _ = jax.lax.fori_loop(0, 30, halve, (zero, one))
    return jnp.where(affordable(one), one, low)
