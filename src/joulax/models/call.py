"""Overhead of a call: launching kernels, keeping the host awake."""

from collections.abc import Callable
from typing import Any

import equinox as eqx

from .._activity.record import Activity, Number, number
from .._hardware.chip import Hardware, Scalar
from .._hardware.costs import Costs
from .._hardware.operations import Operations


class PerCall(Hardware):
    """A processor that spends energy on every call beside its operations, shared by a batch.

    Launching kernels and keeping the host awake dominates small networks: a constant per MAC holds
    for one
    regime of batches only. Energies are per sample.

    **Attributes:**

    - `chip`: prices of operations.
    - `overhead`: energy of one call [pJ].
    - `batch`: samples in it.
    """

    chip: Hardware
    overhead: Number = eqx.field(converter=number)
    batch: Number = eqx.field(default=1.0, converter=number)

    @property
    def costs(self) -> Costs:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the chip [pJ]."""
        return self.chip.costs

    @property
    def static_power(self) -> Scalar:
        """That of the chip [pW]."""
        return self.chip.static_power

    @property
    def name(self) -> str:
        """The chip, with its calls."""
        return f"{self.chip.name} with overhead per call"

    def operations(self, activity: Activity) -> Operations:
        """Those of the chip."""
        return self.chip.operations(activity)

    def spent(
        self, activity: Activity, executed: Operations, unpriced: Callable[[str], str]
    ) -> dict[str, Any]:
        """As the chip spends."""
        return self.chip.spent(activity, executed, unpriced)

    def fixed(self, duration: Any) -> Any:
        """Static energy of the chip and the sample's share of the call [pJ]."""
        static = self.chip.fixed(duration)
        share = self.overhead / self.batch
        return share if static is None else static + share
