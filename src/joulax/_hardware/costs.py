"""The price of one operation of each kind."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from .._activity.record import optional
from .._forms.printed import Fields
from .operations import OPERATIONS

Price = Float[Array, "*chips"] | None


class Costs(Fields, eqx.Module):
    """Price list of one chip: the energy of one operation of each kind [pJ].

    A price is an array, so it can be differentiated, stacked and fitted. `None` means that nobody
    has
    published it: an operation without a price is an error, never free. Zero means that the energy
    is
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

    ac: Price = optional()
    mac: Price = optional()
    neuron_update: Price = optional()
    spike: Price = optional()
    weight_read: Price = optional()
    weight_write: Price = optional()
    state_read: Price = optional()
    state_write: Price = optional()
    hop: Price = optional()
    neuron_seconds: Price = optional()

    @property
    def stacked(self) -> bool:
        """Whether these are the prices of several chips, with a leading axis."""
        return any(leaf.ndim for leaf in jax.tree.leaves(self) if hasattr(leaf, "ndim"))

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
        raise TypeError(
            f"costs() has no operation {', '.join(unknown)}; the operations are "
            f"{', '.join(OPERATIONS)}"
        )
    negative = [
        name for name, price in prices.items() if isinstance(price, int | float) and price < 0
    ]
    if negative:
        raise ValueError(f"a price cannot be negative: {negative[0]}={prices[negative[0]]} pJ")
    return Costs(**prices)
