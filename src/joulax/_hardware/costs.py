"""The price of one operation of each kind."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._forms.printed import Fields
from .numbers import DYNAMIC, STATIC, checked, entry
from .operations import OPERATIONS

Price = Float[Array, "*chips"] | None


def _price(op: str, unit: str = "pJ", scales: str = DYNAMIC) -> Any:
    return entry(f"price {op}", unit, optional=True, holes=True, scales=scales)


class Costs(Fields, eqx.Module):
    """Price list of one chip: the energy of one operation of each kind [pJ].

    A price is an array, so it can be differentiated, stacked and fitted. `None` means that nobody
    has published it: an operation without a price is an error, never free. Zero means that the
    energy is inside another price, or outside the scope of the sheet; the datasheet says which.
    In a stack of chips an unknown price is NaN.

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

    ac: Price = _price("ac")
    mac: Price = _price("mac")
    neuron_update: Price = _price("neuron_update")
    spike: Price = _price("spike")
    weight_read: Price = _price("weight_read")
    weight_write: Price = _price("weight_write")
    state_read: Price = _price("state_read")
    state_write: Price = _price("state_write")
    hop: Price = _price("hop")
    neuron_seconds: Price = _price("neuron_seconds", "pW", STATIC)

    @property
    def stacked(self) -> bool:
        """Whether these are the prices of several chips, with a leading axis."""
        return any(leaf.ndim for leaf in jax.tree.leaves(self) if hasattr(leaf, "ndim"))

    def __check_init__(self):
        if Costs.__dataclass_fields__.keys() != set(OPERATIONS):  # one noun, three pytrees
            raise TypeError("Costs and Operations must have the same fields")


def costs(**prices: Any) -> Costs:
    """A price list from plain numbers [pJ].

    **Arguments:**

    - `prices`: numbers or arrays by operation; arrays (a sweep) make all prices that long.

    **Raises:**

    `TypeError` for an unknown operation, `ValueError` for a price that is no number, not finite,
    or negative.
    """
    unknown = sorted(set(prices) - set(OPERATIONS))
    if unknown:
        raise TypeError(
            f"costs() has no operation {', '.join(unknown)}; the operations are "
            f"{', '.join(OPERATIONS)}"
        )
    given = {
        op: checked(value, f"price {op}", "pJ") for op, value in prices.items() if value is not None
    }
    shape = jnp.broadcast_shapes(*(v.shape for v in given.values()))
    if shape:
        given = {op: jnp.broadcast_to(v, shape) for op, v in given.items()}
    return Costs(**given)
