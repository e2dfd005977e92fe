"""How sure a number is.

Published ranges and log-normal samples of prices, carried through any account.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._hardware.catalogue import hardware, sheets_of
from .._hardware.chip import Chip
from .._hardware.datasheet import Datasheet, Quantity
from .._hardware.energy import Result
from .._hardware.operations import OPERATIONS
from .._hardware.variants import stack

# a published range is read as 95 % of a log-normal distribution on either side of the value
_SIGMAS = 1.959964


def interval(chip: str | Chip) -> Chip:
    """A chip three times: at the low ends of its published ranges, at its values, at the high ends.

    ```python
    import joulax

    account = [joulax.activity(ac=1e6, updates=1e5, spikes=1e4)]
    low, value, high = joulax.energy(account, joulax.interval("loihi")).total
    ```

    **Arguments:**

    - `chip`: a name of the catalogue, or a chip that carries one.

    **Returns:**

    A [`joulax.Chip`][] with leaves of shape (3,). A price without a published range is three times
    the same.

    **Raises:**

    `ValueError` for a chip without a datasheet: nothing is known about its ranges.
    """
    chip = hardware(chip) if isinstance(chip, str) else chip
    low, high = (
        _times(chip, lambda q, end=end: _end(q, end), _sheet(chip.name), f"{chip.name} {word}")
        for end, word in enumerate(("(low)", "(high)"))
    )
    return stack([low, chip, high])


def sample(chip: str | Chip, key: Array, samples: int = 1000) -> Chip:
    """A chip many times, its prices drawn log-normally around the published values.

    A published range is taken as 95 %, on each side by itself. The same published number is drawn
    once:
    chips that share it, sampled with one `key`, share its error.

    **Arguments:**

    - `chip`: a name of the catalogue, or a chip that carries one.
    - `key`: a JAX random key.
    - `samples`: how many.

    **Returns:**

    A [`joulax.Chip`][] with leaves of shape (samples,).
    """
    chip = hardware(chip) if isinstance(chip, str) else chip
    drawn = _times(chip, lambda q: _factor(q, key, samples), _sheet(chip.name), chip.name)
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (samples,)), drawn)


def probability_cheaper(
    a: Result, b: Result, *, key: Array | None = None, samples: int = 10_000
) -> Float[Array, ""]:
    """Probability that one result costs less than another, given how sure their prices are.

    Prices that both share (two networks on one chip, two chips that quote one source) are drawn
    once.
    What is uncertain here are the prices, not the counts, nor whether a sheet leaves something out.

    **Arguments:**

    - `a`, `b`: what [`joulax.energy`][] returned on catalogue chips; samples on leading axes are
      averaged.
    - `key`: a JAX random key; `jax.random.key(0)` by default.
    - `samples`: draws.

    **Returns:**

    P(a < b); equal draws count half.

    **Raises:**

    `ValueError` if a chip has no datasheet.
    """
    drawn = jax.random.key(0) if key is None else key
    left, right = (sampled_totals(r, lambda q: _factor(q, drawn, samples)) for r in (a, b))
    return (
        jnp.mean((left < right).astype(jnp.float32))
        + jnp.mean((left == right).astype(jnp.float32)) / 2
    )


def sampled_totals(result: Result, factor: Callable[[Quantity], Any]) -> Array:
    """Total energy [pJ] with every published number multiplied by a factor.

    Energy is linear in prices.
    """
    sheet, spent = _sheet(result.chip), result.per_operation
    parts = []
    for op in OPERATIONS:
        energy = getattr(spent, op)
        if energy is not None:
            parts.append(jnp.mean(energy) * (factor(sheet.costs[op]) if op in sheet.costs else 1.0))
    if result.static is not None:
        parts.append(
            jnp.mean(result.static) * (factor(sheet.static_power) if sheet.static_power else 1.0)
        )
    return jnp.asarray(sum(parts))


def ranged(result: Result) -> tuple[float, float] | None:
    """Low and high end of the mean total [pJ], or `None` where no range was published."""
    found = sheets_of(result.chip)
    numbers = [] if len(found) != 1 else found[0].charged
    if not any(q.has_range for q in numbers):
        return None
    ends = [sampled_totals(result, lambda q, end=end: _end(q, end)) for end in (0, 1)]
    return float(np.asarray(ends[0])), float(np.asarray(ends[1]))


def _sheet(name: str) -> Datasheet:
    found = sheets_of(name)
    if len(found) != 1:
        raise ValueError(
            f"{name!r} has no datasheet, so nothing is known about the ranges of its "
            f"prices; joulax.register one with low and high"
        )
    return found[0]


def _end(q: Quantity, end: int) -> float:
    """Low (0) or high (1) end of a number over the number."""
    return q.span[end] / q.value if q.value else 1.0


def _times(chip: Chip, factor: Callable[[Quantity], Any], sheet: Datasheet, name: str) -> Chip:
    """A chip whose prices and power are multiplied, each by the factor of its published number."""
    prices = {
        op: p * factor(q)
        for op, q in sheet.costs.items()
        if (p := getattr(chip.costs, op)) is not None
    }
    power = (
        chip.static_power
        if chip.static_power is None or not sheet.static_power
        else chip.static_power * factor(sheet.static_power)
    )
    return dataclasses.replace(
        chip, costs=dataclasses.replace(chip.costs, **prices), static_power=power, name=name
    )


def _factor(q: Quantity, key: Array, samples: int) -> Array:
    """Log-normal factors with median 1; a number is known by its source, place and value."""
    digest = hashlib.sha256(f"{q.source}|{q.where}|{q.value}".encode()).digest()
    z = jax.random.normal(
        jax.random.fold_in(key, int.from_bytes(digest[:4], "big") & 0x7FFFFFFF), (samples,)
    )
    down, up = (float(np.log(max(_end(q, end), 1e-3))) / _SIGMAS for end in (0, 1))
    return jnp.exp(jnp.where(z < 0, -z * down, z * up))
