"""What a network costs when it is silent: no budget below it can be met by fewer spikes."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._activity.account import Account, named_records
from .._activity.record import Activity
from .chip import Hardware
from .energy import energy
from .figures import by_chip
from .numbers import Real
from .result import Result

_BY_EVENTS = ("ac", "ac_graded", "spikes", "spikes_graded", "touched", "events")


def floor(
    account: Any,
    hardware: Hardware | str,
    duration: Real = None,
    **options: Any,
) -> Float[Array, "..."]:
    """Energy that remains when no spike is left [pJ].

    Neuron updates, analog inputs, static power and calls go on, and so do the accumulates that a
    chip executes without an event. A budget below the floor cannot be met by training spikes away:
    remove neurons, steps or synapses, or choose another chip.

    ```python
    import joulax

    account = {"hidden": joulax.activity(ac=1e6, spikes=1e3, updates=1e5)}
    assert float(joulax.floor(account, "loihi")) == 1e5 * 81  # the updates
    ```

    **Arguments:**

    - `account`: an account, or any pytree of records.
    - `hardware`: a chip, a stack of chips, or a name of the catalogue.
    - `duration`: length of the call [s].
    - `options`: those of [`joulax.energy`][]: `batch`, `idle`, `others`, `assume_included`.

    **Returns:**

    The energy of the silent network [pJ], in the shape of `joulax.energy(...).total`;
    differentiable in prices and sizes.

    **Raises:**

    `ValueError` as `joulax.energy` does.
    """
    return energy(_quiet(account), hardware, duration, **options).total


def silent(result: Result) -> np.ndarray:
    """What the same network would cost without a spike, by chip, averaged over samples [pJ].

    Operations without a price are free here, whatever was assumed: a lower bound then.
    """
    account = result.activity
    if result.convention is not None:
        account = Account(account, result.convention, result.order)
    others = 0.0 if result.assumed else None
    quiet = energy(_quiet(account), result.hardware, 0.0, batch=1.0, others=others)
    spent = quiet.per_operation
    passed = result.per_operation.neuron_seconds  # as long as the call was
    dynamic = dataclasses.replace(spent, neuron_seconds=passed).total
    return by_chip(dynamic if result.static is None else dynamic + result.static, result).mean(1)


def _quiet(account: Any) -> Any:
    """The same account without an event."""
    records = {name: _silent(record) for name, record in named_records(account).items()}
    if isinstance(account, Account):
        return Account(records, account.convention, account.order)
    return records


def _silent(record: Activity) -> Activity:
    """The same layer without an event."""
    none = {f: getattr(record, f) for f in _BY_EVENTS if getattr(record, f) is not None}
    return dataclasses.replace(record, **jax.tree.map(jnp.zeros_like, none))
