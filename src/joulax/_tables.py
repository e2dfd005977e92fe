"""Sinabs' and KerasSpiking's tables, and the writes of learning rules, from one account."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ._account import Account, named_records
from ._activity import Activity, is_synaptic, total
from ._catalogue import hardware
from ._energy import energy

# -- Sinabs ---------------------------------------------------------------------


def synops_table(account: Account, dt: float, *, steps: int | None = None) -> dict[str, dict[str, Any]]:
    """Sinabs' table of a network: `In`, `Fan-out`, `SynOps`, `Time steps`, `Time window`, `SynOps/s`, firing rates.

    **Arguments:**

    - `account`: counted with `events=True`; leading axes of samples are averaged.
    - `dt`: length of a time step, in *seconds* (the analyser of Sinabs takes milliseconds, its hooks seconds).
    - `steps`: time steps of the call; by default updates over neurons of the first layer that has neurons.

    **Returns:**

    By layer: `In` [events], `Fan-out` (mean synapses an event reached), `SynOps` [operations per sample], `Time steps`,
    `Time window` [s], `SynOps/s`, and, where it fires, `Firing rate` [spikes per neuron and step] and `Spikes/s` [per neuron].

    **Raises:**

    `ValueError` without events, for a `dt` that is not positive, or where the steps cannot be told.
    """
    if not dt > 0:
        raise ValueError(f"dt is the length of a time step in seconds and must be positive, got {dt}")
    time = steps if steps is not None else _steps(account)
    rows = {}
    for name, r in account.items():
        if not is_synaptic(r):
            continue
        if r.events is None:
            raise ValueError("the column In needs joulax.count(..., events=True)")
        events, synops = jnp.mean(r.events), jnp.mean(r.synops)
        row = {"In": events, "Fan-out": synops / jnp.maximum(events, 1), "SynOps": synops, "Time steps": time, "Time window": time * dt}
        row["SynOps/s"] = synops / (time * dt)
        if r.spikes is not None and r.updates is not None:
            row["Firing rate"] = jnp.mean(r.spikes) / jnp.mean(r.updates)
            row["Spikes/s"] = row["Firing rate"] / dt
        rows[name] = row
    return rows


def _steps(account: Any) -> Any:
    for r in named_records(account).values():
        if r.updates is not None and r.neurons is not None:
            return jnp.mean(r.updates) / jnp.mean(r.neurons)
    raise ValueError("no layer has neurons, so the number of time steps is not known: give steps=")


# -- KerasSpiking ---------------------------------------------------------------

_SPIKING = ("loihi", "spinnaker", "spinnaker2")
_DEVICES = ("cpu", "gpu", "arm", *_SPIKING)


def layer_energy(connections: ArrayLike, neurons: ArrayLike, rate: ArrayLike, device: str, *, timesteps_per_inference: int = 1, dt: float = 0.001) -> Array:
    """KerasSpiking's energy of one layer [J per inference].

    On spiking devices every connection carries `rate · dt · steps` events and every neuron is updated at each step; others compute
    every connection and neuron once, whatever the steps and the rate. Connections ignore borders and zero weights.

    **Arguments:**

    - `connections`, `neurons`: of the layer.
    - `rate`: mean rate of its inputs [Hz].
    - `device`: `"cpu"`, `"gpu"`, `"arm"`, `"loihi"`, `"spinnaker"`, `"spinnaker2"`.
    - `timesteps_per_inference`, `dt`: number and length [s] of the steps.

    **Raises:**

    `ValueError` for another device.

    ??? cite "Reference"
        KerasSpiking, `ModelEnergy`.
    """
    if device not in _DEVICES:
        raise ValueError(f"energy is known for {', '.join(_DEVICES)}, got {device!r}; joulax.energy prices on every chip of the catalogue")
    spiking = device in _SPIKING
    events = jnp.asarray(connections) * jnp.asarray(rate) * (dt * timesteps_per_inference)
    updates = jnp.asarray(neurons) * (timesteps_per_inference if spiking else 1)
    record = Activity(ac=events, ac_graded=events, dense_ac=jnp.asarray(connections), updates=updates)
    return energy([record], hardware(f"{device}@keras-spiking")).total * 1e-12


def model_energy(account: Account, devices: Sequence[str] = ("cpu", "gpu", "loihi"), *, dt: float = 0.001, columns: Sequence[str] | None = None) -> Any:
    """KerasSpiking's `ModelEnergy` table, from exact counts.

    **Arguments:**

    - `account`: leading axes of samples are averaged; the account is one inference.
    - `devices`: columns of energy.
    - `dt`: length of a time step [s], for rates.
    - `columns`: a choice of `connections`, `neurons`, `rate`, and `synop energy`, `neuron energy` and `energy` followed by a device
      in brackets, like `"energy (loihi)"`; all by default.

    **Returns:**

    By layer: the columns; energies [J per inference], rates [Hz]. Synaptic energies use the events that were
    counted, borders and zero weights as they are; KerasSpiking multiplies connections by a mean rate.

    **Raises:**

    `ValueError` for an unknown device or column.
    """
    wrong = [d for d in devices if d not in _DEVICES]
    if wrong:
        raise ValueError(f"energy is known for {', '.join(_DEVICES)}, got {wrong[0]!r}")
    steps = _steps(account)
    rows: dict[str, dict[str, Array]] = {}
    for name, r in account.items():
        if not is_synaptic(r):
            continue
        synops, dense = jnp.mean(r.synops), jnp.mean(r.dense)
        neurons = jnp.mean(total([r.neurons]))
        row = {"connections": dense / steps, "neurons": neurons, "rate": synops / jnp.maximum(dense, 1) / dt}
        for device in devices:
            row |= _device_columns(r, device, steps)
        unknown = [c for c in columns or () if c not in row]
        if unknown:
            raise ValueError(f"no column {unknown[0]!r}; the columns are {', '.join(row)}")
        rows[name] = row if columns is None else {c: row[c] for c in columns}
    return rows


def _device_columns(record: Activity, device: str, steps: Any) -> dict[str, Array]:
    """Energies of one layer on one device [J per inference]; processors compute one pass, not all steps."""
    chip, spiking = hardware(f"{device}@keras-spiking"), device in _SPIKING
    passes = 1.0 if spiking else steps
    price: Any = chip.costs.ac if spiking else chip.costs.mac
    update: Any = chip.costs.neuron_update
    synops = jnp.mean(record.synops if spiking else record.dense / passes)
    updates = jnp.mean(total([record.updates])) / passes
    synaptic, neural = synops * price * 1e-12, updates * update * 1e-12
    return {f"synop energy ({device})": synaptic, f"neuron energy ({device})": neural, f"energy ({device})": synaptic + neural}


# -- learning rules -------------------------------------------------------------


def learning(account: Any, *, pre: float = 1.0, post: float = 0.0, layers: Sequence[str] | None = None) -> dict[str, Activity]:
    """Weight writes of a learning rule on the chip, added to the records: priced by `weight_write`.

    A spike that arrives touches the synapses it reaches; a spike that is fired touches those that lead to its neuron.
    Loihi's pairwise rule updates at both (120 pJ each).

    **Arguments:**

    - `account`: an account, or any pytree of records.
    - `pre`, `post`: writes for each synapse touched by an arriving, by a fired spike.
    - `layers`: those that learn; all by default.

    **Returns:**

    Records by layer, with `writes`.

    **Raises:**

    `ValueError` for a layer that does not exist, or where fan-in is needed and not known.
    """
    records = named_records(account)
    unknown = sorted(set(layers or ()) - set(records))
    if unknown:
        raise ValueError(f"no layer {unknown[0]!r}; the layers are {', '.join(records)}")

    def writes(name: str, r: Activity) -> Array:
        arriving = pre * total([r.ac_graded])
        if not post:
            return arriving
        if r.spikes_graded is None or r.nonzero is None or r.neurons is None:
            raise ValueError(f"layer {name!r} has no spikes, synapses and neurons, so what a fired spike touches is not known; leave it out with layers=")
        return arriving + post * r.spikes_graded * r.nonzero / r.neurons

    chosen = [n for n in records if (n in layers if layers else records[n].ac is not None)]
    return {n: dataclasses.replace(r, writes=writes(n, r)) if n in chosen else r for n, r in records.items()}
