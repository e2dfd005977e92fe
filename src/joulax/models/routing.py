"""Spikes that travel to every core that holds neurons of the next layer."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from .._activity.record import Activity, Number
from .._hardware.chip import Hardware, Names
from .._hardware.costs import Costs
from .._hardware.numbers import DYNAMIC, entry
from .._hardware.operations import Operations
from .._hardware.provenance import provenance
from .call import Wrapped, suffixed


class Routed(Wrapped):
    """A chip whose spikes travel to every core that holds neurons of the next layer.

    Hops of a layer are `events · ceil(neurons / neurons_per_core) · hops`: count with
    `events=True`.

    **Attributes:**

    - `chip`: prices of everything else; its sheet must not contain routing already.
    - `neurons_per_core`: capacity of a core.
    - `hops`: routers on the way to one core.
    - `hop`: one spike through one router [pJ].
    """

    linear: ClassVar[bool] = False  # pyright: ignore[reportIncompatibleMethodOverride]

    chip: Hardware
    neurons_per_core: Number = entry("neurons_per_core", "neurons", positive=True)
    hops: Number = entry("hops", "routers")
    hop: Number = entry("hop", "pJ", scales=DYNAMIC)

    def __check_init__(self):
        for sheet in (p.sheet for p in provenance(self.chip)):
            if sheet and ("hop" in sheet.includes or "hop" in sheet.costs):
                raise ValueError(
                    f"{sheet.name} contains routing already ({sheet.scope}): charging "
                    f"hops again would count it twice"
                )

    @property
    def costs(self) -> Costs:
        """Prices of the chip, and of a hop [pJ]."""
        return eqx.tree_at(lambda c: c.hop, self.chip.costs, self.hop, is_leaf=lambda x: x is None)

    @property
    def name(self) -> Names:
        """The chip, routed."""
        return suffixed(self.chip.name, "with routing")

    def operations(self, activity: Activity) -> Operations:
        """Those of the chip, and hops to all destination cores."""
        if activity.events is None or activity.neurons is None:
            raise ValueError(
                f"{self.called} needs the events that arrive at each layer and its "
                f"neurons: joulax.count(..., events=True)"
            )
        cores = jnp.ceil(activity.neurons / self.neurons_per_core)
        hops = activity.events * cores * self.hops
        return eqx.tree_at(
            lambda o: o.hop, self.chip.operations(activity), hops, is_leaf=lambda x: x is None
        )

    def unpriced(self, executed: Operations) -> tuple[str, ...]:
        """As the chip; hops have a price."""
        return self.chip.unpriced(dataclasses.replace(executed, hop=None))

    def spent(
        self, activity: Activity, executed: Operations, unpriced: Callable[[str], str]
    ) -> dict[str, Any]:
        """As the chip spends, and the hops."""
        inner = dataclasses.replace(executed, hop=None)
        hops = executed.hop if executed.hop is not None else jnp.zeros(())
        return self.chip.spent(activity, inner, unpriced) | {"hop": hops * self.hop}
