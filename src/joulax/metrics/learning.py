"""Writes of learning rules on the chip."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from jaxtyping import Array

from .._activity.account import named_records
from .._activity.record import Activity, total


def learning(
    account: Any, *, pre: float = 1.0, post: float = 0.0, layers: Sequence[str] | None = None
) -> dict[str, Activity]:
    """Weight writes of a learning rule on the chip, added to the records: priced by `weight_write`.

    A spike that arrives touches the existing synapses that it reaches, counted one by one. A spike
    that is fired touches those that lead to its neuron: of these an account of totals knows the
    mean over the neurons of the layer, so `post` is exact where all neurons have the same number
    of existing synapses, and else where firing and number are unrelated.
    Loihi's pairwise rule updates at both (120 pJ each).

    **Arguments:**

    - `account`: an account, or any pytree of records.
    - `pre`, `post`: writes for each synapse touched by an arriving, by a fired spike; the latter at
      the mean number of existing synapses of a neuron.
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
            raise ValueError(
                f"layer {name!r} has no spikes, synapses and neurons, so what a fired "
                f"spike touches is not known; leave it out with layers="
            )
        return arriving + post * r.spikes_graded * r.nonzero / r.neurons

    chosen = [n for n in records if (n in layers if layers else records[n].ac is not None)]
    return {
        n: dataclasses.replace(r, writes=writes(n, r)) if n in chosen else r
        for n, r in records.items()
    }
