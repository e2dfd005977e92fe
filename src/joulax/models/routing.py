"""Spikes that travel to every core that holds neurons of the next layer."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from .._activity.record import Activity, Number, number
from .._hardware.catalogue import sheets_of
from .._hardware.chip import Hardware, Scalar
from .._hardware.costs import Costs
from .._hardware.operations import Operations


class Routed(Hardware):
    """A chip whose spikes travel to every core that holds neurons of the next layer.

    Hops of a layer are `events · ceil(neurons / neurons_per_core) · hops`: count with
    `events=True`.

    **Attributes:**

    - `chip`: prices of everything else; its sheet must not contain routing already.
    - `neurons_per_core`: capacity of a core.
    - `hops`: routers on the way to one core.
    - `hop`: one spike through one router [pJ].
    """

    chip: Hardware
    neurons_per_core: Number = eqx.field(converter=number)
    hops: Number = eqx.field(converter=number)
    hop: Number = eqx.field(converter=number)

    def __check_init__(self):
        for sheet in sheets_of(self.chip.name):
            if "hop" in sheet.includes or "hop" in sheet.costs:
                raise ValueError(
                    f"{sheet.name} contains routing already ({sheet.scope}): charging "
                    f"hops again would count it twice"
                )

    @property
    def costs(self) -> Costs:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Prices of the chip, and of a hop [pJ]."""
        return eqx.tree_at(lambda c: c.hop, self.chip.costs, self.hop, is_leaf=lambda x: x is None)

    @property
    def static_power(self) -> Scalar:
        """That of the chip [pW]."""
        return self.chip.static_power

    @property
    def name(self) -> str:
        """The chip, routed."""
        return f"{self.chip.name} with routing"

    def operations(self, activity: Activity) -> Operations:
        """Those of the chip, and hops to all destination cores."""
        if activity.events is None or activity.neurons is None:
            raise ValueError(
                f"{self.name} needs the events that arrive at each layer and its "
                f"neurons: joulax.count(..., events=True)"
            )
        cores = jnp.ceil(activity.neurons / self.neurons_per_core)
        hops = activity.events * cores * self.hops
        return eqx.tree_at(
            lambda o: o.hop, self.chip.operations(activity), hops, is_leaf=lambda x: x is None
        )

    def spent(
        self, activity: Activity, executed: Operations, unpriced: Callable[[str], str]
    ) -> dict[str, Any]:
        """As the chip spends, and the hops."""
        inner, hops = (
            dataclasses.replace(executed, hop=None),
            executed.hop if executed.hop is not None else jnp.zeros(()),
        )
        return self.chip.spent(activity, inner, unpriced) | {"hop": hops * self.hop}
