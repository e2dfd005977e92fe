"""What surrounds a chip's operations: routing over cores, overhead of a call, another process or voltage."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ._activity import Activity, Number, number
from ._catalogue import sheets_of
from ._costs import Costs
from ._hardware import Hardware, Scalar
from ._operations import Operations

_STILLMAKER = {
    "180": (24.64, -17.98, 0.0),
    "130": (7.171, -6.709, 2.904),
    "90": (4.762, -4.781, 2.092),
    "65": (3.755, -4.398, 1.975),
    "HP45": (1.018, -0.3107, 0.1539),
    "HP32": (0.8367, -0.4341, 0.1701),
    "HP20": (0.373, -0.1582, 0.04104),
    "HP16": (0.2958, -0.1241, 0.03024),
    "HP14": (0.2363, -0.09675, 0.02239),
    "HP10": (0.2068, -0.09311, 0.02375),
    "HP7": (0.1776, -0.09097, 0.02447),
    "LP45": (1.103, -0.362, 0.2767),
    "LP32": (0.9559, -0.7823, 0.471),
    "LP20": (0.2632, -0.14, 0.06841),
    "LP16": (0.2139, -0.1187, 0.05639),
    "LP14": (0.1556, -0.06472, 0.03066),
    "LP10": (0.1261, -0.0518, 0.02769),
    "LP7": (0.09365, -0.03409, 0.02043),
}


def stillmaker(process: str, volts: ArrayLike, *, of: str = "HP45", at: ArrayLike = 0.9) -> Array:
    r"""Factor on the energy of logic from one process and voltage to another.

    $$E_\mathrm{to} = E_\mathrm{from} \frac{f_\mathrm{to}(V)}{f_\mathrm{from}(V_0)}, \qquad f(V) = a_2 V^2 + a_1 V + a_0.$$

    Logic only: memories do not scale so. From 45 to 7 nm it gives a fifth of the published 7 nm table.

    **Arguments:**

    - `process`: such as `"HP7"` (high performance) or `"LP16"` (low power).
    - `volts`: supply voltage there [V]; the factor is differentiable in it.
    - `of`, `at`: process and voltage where the energies hold.

    **Raises:**

    `ValueError` for a process that has no coefficients, such as 28 or 22 nm.

    ??? cite "Reference"
        Stillmaker & Baas, Integration 58:74–81, 2017, energy coefficients.
    """
    for name in (process, of):
        if name not in _STILLMAKER:
            raise ValueError(f"no coefficients for {name!r}; the processes are {', '.join(_STILLMAKER)}")
    return _energy(process, volts) / _energy(of, at)


def _energy(process: str, volts: ArrayLike) -> Array:
    a2, a1, a0 = _STILLMAKER[process]
    v = jnp.asarray(volts, jnp.result_type(float))
    return v * (a2 * v + a1) + a0


class Routed(Hardware):
    """A chip whose spikes travel to every core that holds neurons of the next layer.

    Hops of a layer are `events · ceil(neurons / neurons_per_core) · hops`: count with `events=True`.

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
                raise ValueError(f"{sheet.name} contains routing already ({sheet.scope}): charging hops again would count it twice")

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
            raise ValueError(f"{self.name} needs the events that arrive at each layer and its neurons: joulax.count(..., events=True)")
        cores = jnp.ceil(activity.neurons / self.neurons_per_core)
        hops = activity.events * cores * self.hops
        return eqx.tree_at(lambda o: o.hop, self.chip.operations(activity), hops, is_leaf=lambda x: x is None)

    def spent(self, activity: Activity, executed: Operations, unpriced: Callable[[str], str]) -> dict[str, Any]:
        """As the chip spends, and the hops."""
        inner, hops = dataclasses.replace(executed, hop=None), executed.hop if executed.hop is not None else jnp.zeros(())
        return self.chip.spent(activity, inner, unpriced) | {"hop": hops * self.hop}


class PerCall(Hardware):
    """A processor that spends energy on every call beside its operations, shared by the samples of a batch.

    Launching kernels and keeping the host awake dominates small networks: a constant per MAC holds for one
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

    def spent(self, activity: Activity, executed: Operations, unpriced: Callable[[str], str]) -> dict[str, Any]:
        """As the chip spends."""
        return self.chip.spent(activity, executed, unpriced)

    def fixed(self, duration: Any) -> Any:
        """Static energy of the chip and the sample's share of the call [pJ]."""
        static = self.chip.fixed(duration)
        share = self.overhead / self.batch
        return share if static is None else static + share
