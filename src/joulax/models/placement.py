"""Where a network would sit on a chip: cores, chips, step time, and the static power they draw.

No cycle-accurate network: a layer is spread evenly over as few cores as hold it, and a step lasts
as long as its slowest core.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from .._activity.account import named_records
from .._activity.record import Activity, Number
from .._hardware.catalogue import named
from .._hardware.chip import Chip, Hardware
from .._hardware.energy import energy
from .._hardware.numbers import Real, checked, entry
from .._hardware.result import Result

Maybe = Float[Array, "..."] | None


class Cores(eqx.Module):
    """What one core of a chip holds, how long it takes, and what it leaks.

    **Attributes:**

    - `neurons`: neurons (compartments) of a core.
    - `per_chip`: cores of a chip.
    - `memory`: synaptic memory of a core [bits]; `None` where it does not limit.
    - `fan_in`: inputs (axons) of a core; `None` where they do not limit.
    - `static_core`: static power of a core [pW]; `None` where it is not known.
    - `synop`, `update`: time of a synaptic operation and of a neuron update [s]; `None` where
      nobody published them.
    - `barrier`, `barrier_full`: time to end a step with one tile and with all tiles of a chip [s].
    - `tile`: cores of a tile.
    - `name`, `source`: in words; static.
    """

    neurons: Number = entry("neurons", "neurons", positive=True)
    per_chip: Number = entry("per_chip", "cores", positive=True)
    memory: Maybe = entry("memory", "bits", optional=True, positive=True)
    fan_in: Maybe = entry("fan_in", "axons", optional=True, positive=True)
    static_core: Maybe = entry("static_core", "pW", optional=True)
    synop: Maybe = entry("synop", "s", optional=True)
    update: Maybe = entry("update", "s", optional=True)
    barrier: Maybe = entry("barrier", "s", optional=True)
    barrier_full: Maybe = entry("barrier_full", "s", optional=True)
    tile: Number = entry("tile", "cores", positive=True, default=1.0)
    name: str = eqx.field(default="cores", static=True)
    source: str = eqx.field(default="", static=True)

    def replace(self, **changes: Any) -> "Cores":
        """The same cores with other numbers."""
        return dataclasses.replace(self, **changes)


STATIC_CORE = (0.38e9, 0.73e9, 0.82e9)
"""Static power of a core of Loihi 1 [pW]: low (11 cores of a chip in use), value (1753 cores of
nearly full chips), high (an upper bound: a board divided by its cores, x86 and I/O included)."""


def _cores(**numbers: Any) -> Cores:
    return Cores(**numbers)


CORES: Mapping[str, Any] = {
    "loihi": lambda: _cores(
        neurons=1024,
        per_chip=128,
        memory=128 * 1024 * 8,
        fan_in=4096,
        static_core=STATIC_CORE[1],
        synop=3.5e-9,
        update=8.4e-9,
        barrier=113e-9,
        barrier_full=465e-9,
        tile=4,
        name="loihi",
        source="davies2018: 1024 compartments, 128 KB of synapses, 4096 input axons; times of "
        "Table 2, pre-silicon (synop 3.5 ns at most, active update 8.4 ns, barrier 113 to 465 ns "
        "for 1 to 32 tiles); static power of measured boards; all second-hand",
    ),
    "truenorth": lambda: _cores(
        neurons=256,
        per_chip=4096,
        fan_in=256,
        static_core=64.43e9 / 4096,
        name="truenorth",
        source="merolla2014, akopyan2015: 256 neurons and axons a core, 4096 cores; second-hand",
    ),
    "odin": lambda: _cores(
        neurons=256, per_chip=1, fan_in=256, name="odin", source="frenkel2019odin; second-hand"
    ),
}


class Placement(eqx.Module):
    """A network on cores.

    **Attributes:**

    - `account`: what the network did, by layer.
    - `cores_by_layer`: cores of each layer, in the order of `layers`.
    - `fan_in`, `synapse_bits`: inputs of one neuron, and what they take of the memory [bits].
    - `on`: the cores.
    - `layers`: names; static.
    - `whole`: whether cores and chips are rounded up; static.
    """

    account: dict[str, Activity]
    cores_by_layer: Float[Array, " layers"]
    fan_in: Float[Array, " layers"]
    synapse_bits: Float[Array, " layers"]
    on: Cores
    layers: tuple[str, ...] = eqx.field(static=True)
    whole: bool = eqx.field(static=True)

    @property
    def cores(self) -> Float[Array, ""]:
        """Cores of the network."""
        return self.cores_by_layer.sum()

    @property
    def chips(self) -> Float[Array, ""]:
        """Chips of the network."""
        return _up(self.cores / self.on.per_chip, self.whole)

    @property
    def why(self) -> tuple[str, ...]:
        """Why it does not fit; empty if it does. Outside of traces."""
        reasons = []
        for i, name in enumerate(self.layers):
            fan_in, bits = float(self.fan_in[i]), float(self.synapse_bits[i])
            if self.on.fan_in is not None and fan_in > float(self.on.fan_in):
                reasons.append(
                    f"layer {name!r}: a neuron has {fan_in:.0f} inputs, a core of {self.on.name} "
                    f"takes {float(self.on.fan_in):.0f}"
                )
            if self.on.memory is not None and bits > float(self.on.memory):
                reasons.append(
                    f"layer {name!r}: the synapses of one neuron need {bits:.0f} bits, a core of "
                    f"{self.on.name} has {float(self.on.memory):.0f}"
                )
        return tuple(reasons)

    @property
    def fits(self) -> bool:
        """Whether every neuron fits into a core; further chips are always allowed."""
        return not self.why

    @property
    def static_power(self) -> Float[Array, ""]:
        """Static power of the cores in use [pW].

        **Raises:**

        `ValueError` where nobody published that of a core.
        """
        return self.cores * self._known("static_core", "the static power of its cores")

    @property
    def steps(self) -> Float[Array, ""]:
        """Time steps of the call: updates of a neuron."""
        counts = [a.updates / a.neurons for a in map(_complete, self.account.values())]
        return jnp.max(jnp.stack(counts))

    @property
    def step_time(self) -> Float[Array, ""]:
        """Length of a step [s]: synaptic operations and updates of the slowest core, and a barrier.

        **Raises:**

        `ValueError` where nobody published the times, or the barrier between several chips.
        """
        synop = self._known("synop", "the time of its synaptic operations")
        update = self._known("update", "the time of its updates")
        records = [self.account[name] for name in self.layers]
        work = jnp.stack([r.synops * synop + _number(r.updates) * update for r in records])
        return jnp.max(work / self.cores_by_layer) / self.steps + self._barrier()

    @property
    def duration(self) -> Float[Array, ""]:
        """Length of the call, unthrottled [s]: steps times the length of one."""
        return self.steps * self.step_time

    def energy(self, chip: str | Hardware | None = None) -> Result:
        """Energy of the call: operations, and the static power of the cores over its duration.

        **Arguments:**

        - `chip`: prices of operations; the sheet of the same name by default. A chip with static
          power of its own keeps it.
        """
        priced = named(self.on.name if chip is None else chip)
        if isinstance(priced, Chip) and priced.static_power is None:
            priced = priced.replace(static_power=self.static_power)
        return energy(self.account, priced, self.duration)

    def power(self, chip: str | Hardware | None = None) -> Array:
        """Mean power of the call [pW]."""
        return self.energy(chip).total / self.duration

    def edp(self, chip: str | Hardware | None = None) -> Array:
        """Energy–delay product [pJ s]."""
        return self.energy(chip).total * self.duration

    def _barrier(self) -> Array:
        one = self._known("barrier", "the time of its barrier")
        full = one if self.on.barrier_full is None else self.on.barrier_full
        if not isinstance(self.cores, Tracer) and float(self.cores) > float(self.on.per_chip):
            raise ValueError(
                f"the network takes {float(self.cores):.0f} cores, {self.on.name} has "
                f"{float(self.on.per_chip):.0f} a chip, and nobody published how long a barrier "
                "between a few chips takes: give cores.replace(barrier=…, barrier_full=…, "
                "per_chip=…), or a measured duration to joulax.energy"
            )
        tiles = _up(self.cores / self.on.tile, self.whole)
        most = jnp.maximum(self.on.per_chip / self.on.tile - 1, 1.0)
        return one + (full - one) * jnp.maximum(tiles - 1, 0.0) / most

    def _known(self, field: str, words: str) -> Any:
        value = getattr(self.on, field)
        if value is None:
            raise ValueError(
                f"nobody published {words} for {self.on.name}: give it, "
                f"cores.replace({field}=…), or a measured duration to joulax.energy"
            )
        return value


def placement(
    account: Any, cores: str | Cores, *, weight_bits: Real = 8, whole: bool = True
) -> Placement:
    """Put a network on the cores of a chip.

    A layer takes as many cores as its neurons and its synapses need, whichever is more.

    ```python
    import joulax
    from joulax.models import placement

    layer = joulax.activity(ac=1e5, spikes=1e3, updates=2e4, neurons=2000, synapses=2e6)
    placed = placement({"hidden": layer}, "loihi", weight_bits=8)
    assert placed.fits
    assert float(placed.cores) == 16  # 2e6 synapses of 8 bits, 128 KB a core
    ```

    **Arguments:**

    - `account`: an account (or pytree of records) with neurons, synapses and updates; scalars.
    - `cores`: a name of `joulax.models.CORES` (`loihi`, `truenorth`, `odin`) or your own.
    - `weight_bits`: memory of one synapse [bits].
    - `whole`: cores and chips are rounded up, with the gradient of the unrounded number; `False`
      leaves fractions, and is smooth.

    **Returns:**

    A [`joulax.models.Placement`][], differentiable in weight bits, memory size, and all times.

    **Raises:**

    `ValueError` for a record without neurons or updates, an unknown name, or a number that makes no
    sense.
    """
    on = cores if isinstance(cores, Cores) else _by_name(cores)
    bits = checked(weight_bits, "weight_bits", "bits", positive=True)
    records = {n: r for n, r in named_records(account).items() if r.neurons is not None}
    if not records:
        raise ValueError("placement() needs layers with neurons, synapses and updates")
    complete = [_complete(r, n) for n, r in records.items()]
    synapses = jnp.stack([_number(r.synapses) for r in complete])
    neurons = jnp.stack([jnp.asarray(r.neurons) for r in complete])
    needed = [neurons / on.neurons]
    if on.memory is not None:
        needed.append(synapses * bits / on.memory)
    most = jnp.max(jnp.stack(needed), axis=0)
    fan_in = synapses / neurons
    return Placement(
        records, _up(most, whole), fan_in, fan_in * bits, on, tuple(records), bool(whole)
    )


def spinnaker_power(chips: Real, use: Real = 1.0, *, fpgas: Real = 0.0) -> Array:
    """Power of a SpiNNaker 1 machine [pW]: chips × (0.36 + 0.64 u) W, and its FPGAs.

    **Arguments:**

    - `chips`: allocated chips, idle ones too.
    - `use`: share of the time that their cores are active, 0…1.
    - `fpgas`: power of the FPGAs of the boards [W].

    ??? cite "Reference"
        SpiNNFrontEndCommon, `compute_energy_used`: 0.36 W an idle chip, 1 W a fully active one.
    """
    share = checked(use, "use", "the time", most=1.0)
    return 1e12 * (checked(chips, "chips") * (0.36 + 0.64 * share) + checked(fpgas, "fpgas", "W"))


def _by_name(name: str) -> Cores:
    if name not in CORES:
        raise ValueError(
            f"the cores of {name!r} are not known, only those of {', '.join(CORES)}; describe "
            "yours: joulax.models.Cores(neurons=…, per_chip=…)"
        )
    return CORES[name]()


def _complete(record: Activity, name: str = "a layer") -> Any:
    if record.neurons is None or record.updates is None:
        raise ValueError(f"{name}: placement() needs the neurons and updates of every layer")
    return record


def _number(value: Any) -> Array:
    return jnp.zeros(()) if value is None else jnp.asarray(value)


def _up(x: Array, whole: bool) -> Array:
    """Rounded up, with the gradient of what was rounded."""
    return x + jax.lax.stop_gradient(jnp.ceil(x) - x) if whole else x
