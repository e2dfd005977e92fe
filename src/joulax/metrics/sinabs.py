"""Sinabs' table: events, fan-out, synaptic operations, rates."""

from typing import Any

import jax.numpy as jnp

from .._activity.account import Account, named_records
from .._activity.record import is_synaptic
from .._forms.printed import Named


def synops_table(
    account: Account, dt: float, *, steps: int | None = None
) -> dict[str, dict[str, Any]]:
    """Sinabs' table of a network.

    `In`, `Fan-out`, `SynOps`, `Time steps`, `Time window`, `SynOps/s`, firing rates.

    **Arguments:**

    - `account`: counted with `events=True`; leading axes of samples are averaged.
    - `dt`: length of a time step, in *seconds* (the analyser of Sinabs takes milliseconds, its
      hooks seconds).
    - `steps`: time steps of the call; by default updates over neurons of the first layer that has
      neurons.

    **Returns:**

    By layer: `In` [events], `Fan-out` (mean synapses an event reached), `SynOps` [operations per
    sample], `Time steps`,
    `Time window` [s], `SynOps/s`, and, where it fires, `Firing rate` [spikes per neuron and step]
    and `Spikes/s` [per neuron].

    **Raises:**

    `ValueError` without events, for a `dt` that is not positive, or where the steps cannot be told.
    """
    if not dt > 0:
        raise ValueError(
            f"dt is the length of a time step in seconds and must be positive, got {dt}"
        )
    time = steps if steps is not None else steps_of(account)
    rows = {}
    for name, r in account.items():
        if not is_synaptic(r):
            continue
        if r.events is None:
            raise ValueError("the column In needs joulax.count(..., events=True)")
        events, synops = jnp.mean(r.events), jnp.mean(r.synops)
        row = {
            "In": events,
            "Fan-out": synops / jnp.maximum(events, 1),
            "SynOps": synops,
            "Time steps": time,
            "Time window": time * dt,
        }
        row["SynOps/s"] = synops / (time * dt)
        if r.spikes is not None and r.updates is not None:
            row["Firing rate"] = jnp.mean(r.spikes) / jnp.mean(r.updates)
            row["Spikes/s"] = row["Firing rate"] / dt
        rows[name] = row
    return Named(rows)


def steps_of(account: Any) -> Any:
    """Time steps of a call: updates over neurons of the first layer that has neurons."""
    for r in named_records(account).values():
        if r.updates is not None and r.neurons is not None:
            return jnp.mean(r.updates) / jnp.mean(r.neurons)
    raise ValueError("no layer has neurons, so the number of time steps is not known: give steps=")
