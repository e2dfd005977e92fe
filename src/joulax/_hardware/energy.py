"""Energy: operations times costs."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._activity.account import Account, named_records
from .._activity.record import plus
from .catalogue import hardware as by_name
from .chip import Hardware, Unpriced
from .numbers import Real, checked, plain
from .pricing import (
    Missing,
    check_counts,
    filled,
    forms,
    leading,
    missing,
    price_forms,
    refusal,
)
from .result import Result


def energy(
    account: Any,
    hardware: Hardware | str,
    duration: Real = None,
    *,
    batch: Real = None,
    idle: Real = None,
    others: Real = None,
    assume_included: bool = False,
) -> Result:
    """Energy of an activity on a chip.

    A pure function: differentiable in counts, prices and duration, and bilinear in counts and
    prices. To price on many chips: `jax.vmap(joulax.energy, in_axes=(None, 0, None))(account,
    joulax.stack([...]), duration)`.

    **Arguments:**

    - `account`: an [`joulax.Account`][], or any pytree of [`joulax.Activity`][] records with equal
      leading axes.
    - `hardware`: a chip, a stack of chips, whose axis then leads, or a name of the catalogue; see
      [`joulax.hardware`][].
    - `duration`: length of the call [s], for static power and leakage; with leading axes (samples,
      steps) that of each entry.
    - `batch`: samples that share a call, and so its duration, static energy and overhead; needed
      where a sheet has an energy per call.
    - `idle`: time between calls [s], charged at the idle power of the sheet.
    - `others`: what an operation without a price costs [pJ], usually 0; the report says so.
    - `assume_included`: take operations without a price as contained in the prices there are; the
      report says so.

    **Returns:**

    A [`joulax.Result`][]; `.total` is the energy of the call [pJ].

    **Raises:**

    `ValueError` while tracing, if the chip has no price for operations that occur (all are named),
    if it has static power and no `duration` is given, if records have different leading axes, or
    if a number makes no sense.
    """
    if isinstance(hardware, str):
        hardware = by_name(hardware)
    if not isinstance(hardware, Hardware):
        raise ValueError(
            f"energy() takes a chip like joulax.hardware(name), got {type(hardware).__name__}"
        )
    times = {
        "duration": _given(duration, "duration", "s"),
        "batch": _given(batch, "batch", "samples", positive=True),
        "idle": _given(idle, "idle", "s"),
    }
    records = named_records(account)
    convention = account.convention if isinstance(account, Account) else None
    shape = leading(records, exact=convention is not None and not convention.total)
    stacked = forms(records, shape)
    check_counts(stacked)
    call = lambda chip: (
        *price_forms(stacked, chip, times["duration"]),
        _fixed(chip, shape, len(records), **times),
    )
    charged, assumed = hardware, ()
    if others is not None or assume_included:
        lacking = missing(stacked, hardware, times["duration"])
        price, assumed = _assumption(lacking, others, assume_included)
        charged = filled(hardware, price)
    try:
        found = _on_each(charged, call) if charged.stacked else call(charged)
    except Unpriced as error:
        lacking = missing(stacked, hardware, times["duration"])
        text = refusal(lacking, hardware.called, convention) if lacking else str(error)
        raise ValueError(text) from None
    priced, spent, static = found
    return Result(spent, priced, static, records, hardware, tuple(records), convention, assumed)


def _given(value: Any, name: str, unit: str, positive: bool = False) -> Any:
    return None if value is None else checked(value, name, unit, positive=positive)


def _assumption(lacking: Missing, others: Real, included: bool) -> tuple[float, tuple[str, ...]]:
    """The price of operations without one, and the assumption in words."""
    if others is not None and included:
        raise ValueError("energy() takes others= or assume_included=True, one of the two")
    price = 0.0 if included else plain(others, "others", "pJ")
    which = ", ".join(op.replace("_", " ") for op in lacking) or "operations without a price"
    how = (
        "taken as contained in the other prices (assume_included=True)"
        if included
        else f"charged {price:g} pJ each (others={price:g})"
    )
    return price, (f"{which}: no price is known, {how}",)


def _on_each(stack: Hardware, call: Callable[[Any], Any]) -> Any:
    """Price on every chip of a stack; numbers that all of them share stay numbers."""
    aligned = _aligned(stack)
    apart = jax.tree.map(lambda x: not _shared(x), aligned)
    own, common = eqx.partition(aligned, apart)
    common = jax.tree.map(lambda x: x[0], common)
    size = jax.tree.leaves(aligned)[0].shape[0]
    return jax.vmap(lambda chip: call(eqx.combine(chip, common)), axis_size=size)(own)


def _shared(numbers: Any) -> bool:
    """Whether a number is known and the same for all chips."""
    if isinstance(numbers, Tracer) or not numbers.is_fully_addressable:
        return False
    known = np.asarray(numbers)
    return bool((known == known[0]).all())


def _aligned(hardware: Hardware) -> Hardware:
    """A stack whose arrays all have the leading axis; one price may be a sweep by itself."""
    sizes = sorted({leaf.shape[0] for leaf in jax.tree.leaves(hardware) if leaf.ndim})
    if len(sizes) > 1:
        raise ValueError(
            f"the numbers of {hardware.called} have different lengths {sizes}: a stack of chips "
            "has one leading axis"
        )
    return jax.tree.map(
        lambda x: x if x.ndim else jnp.broadcast_to(x, (sizes[0],)),
        hardware,
    )


def _fixed(hardware: Hardware, shape: tuple[int, ...], layers: int, **times: Any) -> Any:
    """Energy that no operation causes, for every entry of the leading axes."""
    duration, rest = times.pop("duration"), {k: v for k, v in times.items() if v is not None}
    limit = hardware.beyond(times["batch"], layers)
    found = plus(hardware.fixed(duration, **rest), limit)
    if found is None:
        return None
    if found.shape not in ((), shape):
        raise ValueError(
            f"durations have shape {found.shape} and the records {shape}: give one duration, or "
            "one for every sample; to sweep durations, map over them: "
            "jax.vmap(joulax.energy, in_axes=(None, None, 0))"
        )
    return jnp.broadcast_to(found, shape)
