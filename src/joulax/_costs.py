"""The price of one operation of each kind."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._operations import OPERATIONS

Price = Float[Array, "*chips"] | None


class Costs(eqx.Module):
    """Price list of one chip: the energy of one operation of each kind [pJ].

    A price is an array, so it can be differentiated, stacked and fitted. `None` means that nobody has
    published it: an operation without a price is an error, never free. Zero means that the energy is
    inside another price, or outside the scope of the sheet; the datasheet says which.

    **Attributes:**

    - `ac`: one synaptic accumulate [pJ].
    - `mac`: one multiply-accumulate [pJ].
    - `neuron_update`: one neuron advanced by one time step [pJ].
    - `spike`: one spike generated [pJ].
    - `weight_read`, `weight_write`: one synaptic weight fetched, stored [pJ].
    - `state_read`, `state_write`: one neuron state fetched, stored [pJ].
    - `hop`: one spike through one router [pJ].
    - `neuron_seconds`: leakage of one neuron during one second [pJ], i.e. its power in pW;
      `None` where leakage is not modelled.
    """

    ac: Price = None
    mac: Price = None
    neuron_update: Price = None
    spike: Price = None
    weight_read: Price = None
    weight_write: Price = None
    state_read: Price = None
    state_write: Price = None
    hop: Price = None
    neuron_seconds: Price = None

    def __check_init__(self):
        if Costs.__dataclass_fields__.keys() != set(OPERATIONS):  # one noun, three pytrees
            raise TypeError("Costs and Operations must have the same fields")


def costs(**prices: Any) -> Costs:
    """A price list from plain numbers [pJ].

    **Raises:**

    `TypeError` for an unknown operation, `ValueError` for a negative price.
    """
    unknown = sorted(set(prices) - set(OPERATIONS))
    if unknown:
        raise TypeError(f"costs() has no operation {', '.join(unknown)}; the operations are {', '.join(OPERATIONS)}")
    negative = [name for name, price in prices.items() if isinstance(price, int | float) and price < 0]
    if negative:
        raise ValueError(f"a price cannot be negative: {negative[0]}={prices[negative[0]]} pJ")
    return Costs(**{name: None if price is None else jnp.asarray(price, jnp.result_type(float)) for name, price in prices.items()})
