"""How sure a number is.

Published ranges and log-normal samples of prices, carried through any account.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._hardware.catalogue import named
from .._hardware.chip import Chip, Hardware
from .._hardware.datasheet import Quantity
from .._hardware.numbers import Real, whole
from .._hardware.operations import OPERATIONS
from .._hardware.provenance import (
    HIGH,
    LOW,
    SAMPLED,
    TAG,
    Provenance,
    base_chip,
    cited_by_one,
    provenance,
)
from .._hardware.result import Result
from .._hardware.variants import get, rebuilt, renamed, scalable, stack_hardware

# a published range is read as 95 % of a log-normal distribution on either side of the value
_SIGMAS = 1.959964


def interval(chip: str | Hardware) -> Any:
    """A chip three times: at the low ends of its published ranges, at its values, at the high ends.

    ```python
    import joulax

    account = [joulax.activity(ac=1e6, updates=1e5, spikes=1e4)]
    low, value, high = joulax.energy(account, joulax.interval("loihi")).total
    ```

    **Arguments:**

    - `chip`: a name of the catalogue, a chip whose numbers come from one, or a model around it.

    **Returns:**

    The same class with leaves of shape (3,). A number without a published range, and one that was
    changed by the user, is three times the same.

    **Raises:**

    `ValueError` for a chip without a datasheet: nothing is known about its ranges.
    """
    machine: Any = named(chip)
    low, high = (_times(machine, lambda q, end=end: _end(q, end)) for end in (0, 1))
    names = [f"{machine.called} {word}" for word in ("(low)", "(value)", "(high)")]
    return _tagged(stack_hardware([low, machine, high], names), (LOW, "", HIGH))


def sample(chip: str | Hardware, key: Array, samples: Real = 1000) -> Any:
    """A chip many times, its prices drawn log-normally around the published values.

    A published range is taken as 95 %, on each side by itself. The same published number is drawn
    once: chips that share it, sampled with one `key`, share its error. A number that was changed by
    the user is not drawn.

    **Arguments:**

    - `chip`: a name of the catalogue, a chip whose numbers come from one, or a model around it.
    - `key`: a JAX random key.
    - `samples`: how many.

    **Returns:**

    The same class with leaves of shape (samples,).

    **Raises:**

    `ValueError` for a chip without a datasheet, or a number of samples that is none.
    """
    machine: Any = named(chip)
    n = whole(samples, "samples")
    drawn = _times(machine, lambda q: _factor(q, key, n))
    wide = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n,)), drawn)
    return _tagged(renamed(wide, (machine.called,) * n), (SAMPLED,) * n)


def probability_cheaper(
    a: Result, b: Result, *, key: Array | None = None, samples: int = 10_000
) -> Float[Array, ""]:
    """Probability that one result costs less than another, given how sure their prices are.

    Prices that both share (two networks on one chip, two chips that quote one source) are drawn
    once. What is uncertain here are the prices, not the counts, nor whether a sheet leaves
    something out.

    **Arguments:**

    - `a`, `b`: what [`joulax.energy`][] returned on catalogue chips; samples on leading axes are
      averaged.
    - `key`: a JAX random key; `jax.random.key(0)` by default.
    - `samples`: draws.

    **Returns:**

    P(a < b); equal draws count half.

    **Raises:**

    `ValueError` if a chip has no datasheet, or a number of samples that is none.
    """
    drawn, n = jax.random.key(0) if key is None else key, whole(samples, "samples")
    left, right = (sampled_totals(r, lambda q: _factor(q, drawn, n)) for r in (a, b))
    return (
        jnp.mean((left < right).astype(jnp.float32))
        + jnp.mean((left == right).astype(jnp.float32)) / 2
    )


def sampled_totals(result: Result, factor: Callable[[Quantity], Any]) -> Array:
    """Total energy [pJ] with every published number multiplied by a factor.

    Energy is linear in prices.
    """
    found = cited_by_one(result.hardware)
    if found is None:
        raise ValueError(_no_sheet(result.hardware))
    spent, fixed = result.per_operation, result.static
    parts = []
    for op in OPERATIONS:
        energy = getattr(spent, op)
        if energy is not None:
            times = factor(found.cited[op]) if op in found.cited else 1.0
            parts.append(jnp.mean(energy) * times)
    if fixed is not None:
        parts.append(_fixed(result, found.cited, factor))
    return jnp.asarray(sum(parts))


def _fixed(result: Result, cited: dict[str, Quantity], factor: Callable[[Quantity], Any]) -> Any:
    """Static energy with its numbers varied; with two of them the wider one, which has no split."""
    mean = jnp.mean(jnp.asarray(result.static))
    numbers = [cited[n] for n in ("static_power", "call", "idle_power") if n in cited]
    if isinstance(result.hardware, Chip) and len(numbers) == 1:
        return mean * factor(numbers[0])
    widest = max(numbers, key=lambda q: q.span[1] / max(q.span[0], 1e-300), default=None)
    return mean * (factor(widest) if widest is not None and widest.has_range else 1.0)


def ranged(result: Result) -> tuple[float, float] | None:
    """Low and high end of the mean total [pJ], or `None` where no range was published."""
    found = cited_by_one(result.hardware)
    if found is None or len(result.chips) > 1:
        return None
    if not any(q.has_range for q in found.cited.values()):
        return None
    ends = [sampled_totals(result, lambda q, end=end: _end(q, end)) for end in (0, 1)]
    return float(np.asarray(ends[0])), float(np.asarray(ends[1]))


def ends(found: Provenance, spent: Mapping[str, float]) -> tuple[float, float] | None:
    """Low and high end of a total whose parts are known by number [pJ], or `None` without range."""
    cited = {n: q for n, q in found.cited.items() if spent.get(n) and q.has_range}
    if not cited:
        return None
    rest = sum(v for n, v in spent.items() if n not in cited)
    low, high = (rest + sum(spent[n] * _end(q, end) for n, q in cited.items()) for end in (0, 1))
    return low, high


def _no_sheet(hardware: Hardware) -> str:
    return (
        f"{hardware.called!r} has no datasheet, so nothing is known about the ranges of its "
        f"prices; joulax.register one with low and high (and scale or sweep a chip after its "
        f"interval, not before)"
    )


def _end(q: Quantity, end: int) -> float:
    """Low (0) or high (1) end of a number over the number."""
    return q.span[end] / q.value if q.value else 1.0


def _times(hardware: Any, factor: Callable[[Quantity], Any]) -> Any:
    """Hardware whose published numbers are multiplied, each by its own factor."""
    base = base_chip(hardware)
    if base is None:  # a model with constants of its own
        ranges = getattr(type(hardware), "published", {})
        return rebuilt(
            hardware,
            {
                (f,): getattr(hardware, f) * factor(q)
                for f, q in ranges.items()
                if float(getattr(hardware, f)) == q.value
            },
        )
    (found, *others) = provenance(base)
    if found.sheet is None or others:
        raise ValueError(_no_sheet(hardware))
    at = {path[-1]: path for path, _ in scalable(base)}
    numbers = {at[n]: get(base, at[n]) * factor(q) for n, q in found.cited.items() if n in at}
    return _with_base(hardware, rebuilt(base, numbers))


def _tagged(hardware: Any, tags: Sequence[str]) -> Any:
    """Numbers moved within the ranges of a sheet are still the sheet's."""
    base = base_chip(hardware)
    if base is None:
        return hardware
    sheets = base.sheet if isinstance(base.sheet, tuple) else (base.sheet,) * len(tags)
    whose = [s or name for s, name in zip(sheets, base.chips, strict=True)]
    tagged = tuple(f"{s}{TAG}{t}" if t else s for s, t in zip(whose, tags, strict=True))
    return _with_base(hardware, dataclasses.replace(base, sheet=tagged))


def _with_base(hardware: Any, base: Chip) -> Any:
    """The same model around another chip."""
    if isinstance(hardware, Chip):
        return base
    inner = _with_base(hardware.chip, base)
    return eqx.tree_at(lambda h: h.chip, hardware, inner)


def _factor(q: Quantity, key: Array, samples: int) -> Array:
    """Log-normal factors with median 1; a number is known by its source, place and value."""
    digest = hashlib.sha256(f"{q.source}|{q.where}|{q.value}".encode()).digest()
    z = jax.random.normal(
        jax.random.fold_in(key, int.from_bytes(digest[:4], "big") & 0x7FFFFFFF), (samples,)
    )
    down, up = (float(np.log(max(_end(q, end), 1e-3))) / _SIGMAS for end in (0, 1))
    return jnp.exp(jnp.where(z < 0, -z * down, z * up))
