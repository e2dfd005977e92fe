"""Words that a model can say about its own values."""

from jax import ad_checkpoint
from jaxtyping import Array


def spikes(x: Array) -> Array:
    """Declare that `x` is spikes, inside a model that is counted; the value passes unchanged.

    For what no program can show: rounded rates, events loaded from elsewhere. A value of 3 is three
    events, or one graded event.

    **Arguments:**

    - `x`: an array that is computed inside the counted function. On a value made outside it, the
      declaration is lost: use `count(fn, spikes=…)`.
    """
    return ad_checkpoint.checkpoint_name(x, "joulax.spikes")


def synapses(x: Array) -> Array:
    """Declare that an elementwise product `w * s` is a layer of one-to-one synapses.

    **Arguments:**

    - `x`: spikes times a parameter, elementwise; each element is one synapse.
    """
    return ad_checkpoint.checkpoint_name(x, "joulax.synapses")
