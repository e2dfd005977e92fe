"""Overhead of a call: launching kernels, keeping the host awake."""

from collections.abc import Callable
from typing import Any

import equinox as eqx

from .._activity.record import Activity, Number
from .._hardware.chip import Hardware, Names, Scalar
from .._hardware.costs import Costs
from .._hardware.numbers import DYNAMIC, entry
from .._hardware.operations import Operations


class Wrapped(Hardware):
    """Hardware around a chip, which does everything that is not said otherwise."""

    chip: eqx.AbstractVar[Hardware]

    @property
    def linear(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the chip."""
        return self.chip.linear

    @property
    def costs(self) -> Costs:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the chip [pJ]."""
        return self.chip.costs

    @property
    def static_power(self) -> Scalar:
        """That of the chip [pW]."""
        return self.chip.static_power

    @property
    def idle_power(self) -> Scalar:
        """That of the chip [pW]."""
        return self.chip.idle_power

    @property
    def batches(self) -> Scalar:
        """That of the chip."""
        return self.chip.batches

    @property
    def depth(self) -> Scalar:
        """That of the chip."""
        return self.chip.depth

    def operations(self, activity: Activity) -> Operations:
        """Those of the chip."""
        return self.chip.operations(activity)

    def unpriced(self, executed: Operations) -> tuple[str, ...]:
        """As the chip."""
        return self.chip.unpriced(executed)

    def spent(
        self, activity: Activity, executed: Operations, unpriced: Callable[[str], str]
    ) -> dict[str, Any]:
        """As the chip spends."""
        return self.chip.spent(activity, executed, unpriced)

    def fixed(self, duration: Any, batch: Any = None, idle: Any = None) -> Any:
        """As the chip."""
        return self.chip.fixed(duration, batch, idle)


def suffixed(names: Names, words: str) -> Names:
    """Names of chips with a few words more."""
    return f"{names} {words}" if isinstance(names, str) else tuple(f"{n} {words}" for n in names)


class PerCall(Wrapped):
    """A processor that spends energy on every call beside its operations, shared by a batch.

    Launching kernels and keeping the host awake dominates small networks: a constant per MAC holds
    for one regime of batches only. Energies are per sample.

    **Attributes:**

    - `chip`: prices of operations.
    - `overhead`: energy of one call [pJ].
    - `batch`: samples in it; `energy(..., batch=…)` goes before it.
    """

    chip: Hardware
    overhead: Number = entry("overhead", "pJ", scales=DYNAMIC)
    batch: Number = entry("batch", "samples", positive=True, default=1.0)

    @property
    def name(self) -> Names:
        """The chip, with its calls."""
        return suffixed(self.chip.name, "with overhead per call")

    def fixed(self, duration: Any, batch: Any = None, idle: Any = None) -> Any:
        """Static energy of the chip and the sample's share of the call [pJ]."""
        static = self.chip.fixed(duration, batch, idle)
        share = self.overhead / (self.batch if batch is None else batch)
        return share if static is None else static + share
