"""Chips made of chips: several stacked as one, all prices scaled."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .catalogue import named
from .chip import Chip
from .costs import Costs


def stack(chips: Sequence[str | Chip]) -> Chip:
    """Several chips as one, with a leading chip axis: price them all with one `vmap`.

    **Arguments:**

    - `chips`: names of the catalogue, or chips.

    **Returns:**

    A [`joulax.Chip`][] whose leaves have the shape (chips,); a price that one of them lacks is NaN,
    and
    `energy` gives NaN there where the operation occurs.
    """
    return stack_chips([named(c) for c in chips])


_WITHOUT = {
    "static_power": 0.0,
    "hops": 0.0,
    "skips_spikes": 1.0,
    "skips_zeros": 1.0,
    "accumulates": 1.0,
}


def stack_chips(chips: Sequence[Chip]) -> Chip:
    """Several chips as one pytree with a leading chip axis; unknown prices become NaN."""
    if not chips:
        raise ValueError("stack() needs at least one chip")
    other = [type(c).__name__ for c in chips if type(c) is not type(chips[0])]
    if other:
        raise ValueError(
            f"stack() takes chips of one class, got {type(chips[0]).__name__} and {other[0]}"
        )

    def field(parts: list[Any], missing: float) -> Any:
        if all(p is None for p in parts):
            return None
        filled = [jnp.asarray(missing if p is None else p, jnp.result_type(float)) for p in parts]
        return jnp.stack(jnp.broadcast_arrays(*filled))

    prices = {
        n: field([getattr(c.costs, n) for c in chips], 0.0 if n == "neuron_seconds" else jnp.nan)
        for n in Costs.__dataclass_fields__
    }
    rest = {n: field([getattr(c, n) for c in chips], missing) for n, missing in _WITHOUT.items()}
    graded = jnp.stack(
        jnp.broadcast_arrays(*(jnp.asarray(c.graded, jnp.result_type(float)) for c in chips))
    )
    return Chip(Costs(**prices), **rest, graded=graded, name=", ".join(c.name for c in chips))


def scaled(chip: Chip, factor: Any, *, name: str | None = None) -> Chip:
    """A chip whose prices and powers are multiplied, as by another process or supply voltage.

    **Arguments:**

    - `chip`: any chip.
    - `factor`: unitless, such as [`joulax.models.stillmaker`][] or `(volts / reference)**2`.
    - `name`: of the new chip; its numbers are no longer those of a datasheet.
    """
    costs = jax.tree.map(lambda price: price * factor, chip.costs)
    power = None if chip.static_power is None else chip.static_power * factor
    return dataclasses.replace(
        chip, costs=costs, static_power=power, name=name or f"{chip.name} scaled"
    )
