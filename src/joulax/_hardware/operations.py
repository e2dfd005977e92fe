"""What a chip executes because of an activity."""

import equinox as eqx
from jaxtyping import Array, Float

from .._forms.printed import Fields

Count = Float[Array, "..."] | None


class Operations(Fields, eqx.Module):
    """Operations executed at one layer; `None` where none can occur.

    **Attributes:**

    - `ac`: accumulates, one for each synaptic operation driven by a spike.
    - `mac`: multiply-accumulates.
    - `neuron_update`: neurons advanced by one time step.
    - `spike`: spikes generated.
    - `weight_read`, `weight_write`: synaptic weights fetched and stored.
    - `state_read`, `state_write`: neuron states fetched and stored.
    - `hop`: spikes times the routers that each one passes.
    - `neuron_seconds`: neurons times the duration [s].
    """

    ac: Count = None
    mac: Count = None
    neuron_update: Count = None
    spike: Count = None
    weight_read: Count = None
    weight_write: Count = None
    state_read: Count = None
    state_write: Count = None
    hop: Count = None
    neuron_seconds: Count = None


OPERATIONS = tuple(Operations.__dataclass_fields__)
