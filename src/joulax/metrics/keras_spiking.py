"""KerasSpiking's table: connections, neurons, rates and joules per inference."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._activity.account import Account
from .._activity.record import Activity, is_synaptic, total
from .._forms.printed import Named
from .._hardware.catalogue import hardware
from .._hardware.energy import energy
from .sinabs import steps_of

_SPIKING = ("loihi", "spinnaker", "spinnaker2")


_DEVICES = ("cpu", "gpu", "arm", *_SPIKING)


def layer_energy(
    connections: ArrayLike,
    neurons: ArrayLike,
    rate: ArrayLike,
    device: str,
    *,
    timesteps_per_inference: int = 1,
    dt: float = 0.001,
) -> Array:
    """KerasSpiking's energy of one layer [J per inference].

    On spiking devices every connection carries `rate · dt · steps` events and every neuron is
    updated at each step; others compute
    every connection and neuron once, whatever the steps and the rate. Connections ignore borders
    and zero weights.

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
        raise ValueError(
            f"energy is known for {', '.join(_DEVICES)}, got {device!r}; "
            f"joulax.energy prices on every chip of the catalogue"
        )
    spiking = device in _SPIKING
    events = jnp.asarray(connections) * jnp.asarray(rate) * (dt * timesteps_per_inference)
    updates = jnp.asarray(neurons) * (timesteps_per_inference if spiking else 1)
    record = Activity(
        ac=events, ac_graded=events, dense_ac=jnp.asarray(connections), updates=updates
    )
    return energy([record], hardware(f"{device}@keras-spiking")).total * 1e-12


def model_energy(
    account: Account,
    devices: Sequence[str] = ("cpu", "gpu", "loihi"),
    *,
    dt: float = 0.001,
    columns: Sequence[str] | None = None,
) -> Any:
    """KerasSpiking's `ModelEnergy` table, from exact counts.

    **Arguments:**

    - `account`: leading axes of samples are averaged; the account is one inference.
    - `devices`: columns of energy.
    - `dt`: length of a time step [s], for rates.
    - `columns`: a choice of `connections`, `neurons`, `rate`, and `synop energy`, `neuron energy`
      and `energy` followed by a device
      in brackets, like `"energy (loihi)"`; all by default.

    **Returns:**

    By layer: the columns; energies [J per inference], rates [Hz]. Synaptic energies use the events
    that were
    counted, borders and zero weights as they are; KerasSpiking multiplies connections by a mean
    rate.

    **Raises:**

    `ValueError` for an unknown device or column.
    """
    wrong = [d for d in devices if d not in _DEVICES]
    if wrong:
        raise ValueError(f"energy is known for {', '.join(_DEVICES)}, got {wrong[0]!r}")
    steps = steps_of(account)
    rows: dict[str, dict[str, Array]] = {}
    for name, r in account.items():
        if is_synaptic(r):
            row = _columns(r, steps, dt)
            for device in devices:
                row |= _device_columns(r, device, steps)
            rows[name] = row if columns is None else _chosen(row, columns)
    return Named(rows)


def _chosen(row: dict[str, Array], columns: Sequence[str]) -> dict[str, Array]:
    unknown = [c for c in columns if c not in row]
    if unknown:
        raise ValueError(f"no column {unknown[0]!r}; the columns are {', '.join(row)}")
    return {c: row[c] for c in columns}


def _columns(record: Activity, steps: Any, dt: float) -> dict[str, Array]:
    """What one layer is and does on any device."""
    synops, dense = jnp.mean(record.synops), jnp.mean(record.dense)
    return {
        "connections": dense / steps,
        "neurons": jnp.mean(total([record.neurons])),
        "rate": synops / jnp.maximum(dense, 1) / dt,
    }


def _device_columns(record: Activity, device: str, steps: Any) -> dict[str, Array]:
    """Energies of one layer on one device [J per inference].

    Processors compute one pass, not all steps.
    """
    chip, spiking = hardware(f"{device}@keras-spiking"), device in _SPIKING
    passes = 1.0 if spiking else steps
    price: Any = chip.costs.ac if spiking else chip.costs.mac
    update: Any = chip.costs.neuron_update
    synops = jnp.mean(record.synops if spiking else record.dense / passes)
    updates = jnp.mean(total([record.updates])) / passes
    synaptic, neural = synops * price * 1e-12, updates * update * 1e-12
    return {
        f"synop energy ({device})": synaptic,
        f"neuron energy ({device})": neural,
        f"energy ({device})": synaptic + neural,
    }
