"""`EnergyAccountant`: the object form, as users of sc-neurocore know it.

It calls `energy` and does no sums of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax.typing import ArrayLike

from ._activity.record import Activity, activity, number
from ._count import count
from ._hardware.catalogue import catalogue, chip, datasheet
from ._hardware.chip import Chip, Hardware
from ._hardware.costs import costs
from ._hardware.energy import energy
from ._hardware.numbers import Real, plain, whole
from ._hardware.result import Energy, Result


@dataclass(frozen=True)
class HardwareCostModel:
    """Prices of one target in sc-neurocore's words [pJ]; the defaults are those of its class."""

    name: Any = "custom"
    synop_pj: Real = 23.6
    membrane_update_pj: Real = 1.0
    spike_generation_pj: Real = 0.5
    memory_read_pj: Real = 5.0
    memory_write_pj: Real = 8.0
    routing_pj: Real = 2.0
    leakage_pw_per_neuron: Real = 10.0

    def __post_init__(self):
        for field in self.__dataclass_fields__:
            if field != "name":
                plain(getattr(self, field), field, "pW" if "leakage" in field else "pJ")
            elif not isinstance(self.name, str):
                raise ValueError(f"name must be a string, got {self.name!r}")

    @property
    def chip(self) -> Chip:
        """The same prices as a chip.

        Leakage is never charged by the published formula, so it is left out.
        """
        prices = costs(
            ac=self.synop_pj,
            neuron_update=self.membrane_update_pj,
            spike=self.spike_generation_pj,
            weight_read=self.memory_read_pj,
            weight_write=self.memory_write_pj,
            state_read=0.0,
            state_write=0.0,
            hop=self.routing_pj,
        )
        return Chip(prices, hops=number(1.0), name=self.name)


@dataclass(frozen=True)
class LayerEnergy:
    """Energy of one layer [pJ] and what it did."""

    name: str
    synop_energy_pj: float
    membrane_energy_pj: float
    spike_gen_energy_pj: float
    memory_energy_pj: float
    n_synops: int
    n_spikes: int
    n_membrane_updates: int

    @property
    def total_pj(self) -> float:
        """Sum of the four terms [pJ]; routing is reported for the whole network."""
        return (
            self.synop_energy_pj
            + self.membrane_energy_pj
            + self.spike_gen_energy_pj
            + self.memory_energy_pj
        )


@dataclass(frozen=True)
class EnergyReport:
    """Energy of a network [pJ] by layer."""

    hardware: str
    layers: tuple[LayerEnergy, ...]
    routing_energy_pj: float

    @property
    def total_energy_pj(self) -> float:
        """Energy of the network with routing [pJ]."""
        return sum(layer.total_pj for layer in self.layers) + self.routing_energy_pj

    @property
    def total_energy_nj(self) -> float:
        """Energy of the network with routing [nJ]."""
        return self.total_energy_pj / 1000.0

    @property
    def dominant_layer(self) -> str | None:
        """Name of the layer that costs most; `None` for an empty network."""
        return max(self.layers, key=lambda layer: layer.total_pj).name if self.layers else None

    @property
    def energy_per_spike_pj(self) -> float:
        """Energy of the network divided by its spikes [pJ]; 0 without spikes."""
        spikes = sum(layer.n_spikes for layer in self.layers)
        return self.total_energy_pj / spikes if spikes else 0.0

    def summary(self) -> str:
        """A table in text."""
        lines = [f"Energy Report [{self.hardware}]: {self.total_energy_nj:.2f} nJ total", ""]
        whole = self.total_energy_pj or 1.0
        for layer in self.layers:
            share = layer.total_pj / whole * 100.0
            lines.append(
                f"  {layer.name}: {layer.total_pj:.1f} pJ ({share:.0f}%) — "
                f"{layer.n_synops} synops, {layer.n_spikes} spikes"
            )
        return "\n".join([*lines, f"  Routing: {self.routing_energy_pj:.1f} pJ"])


class EnergyAccountant:
    """Energy of a network on one target.

    `account` reproduces the published formula of sc-neurocore number for number. That formula
    multiplies
    the spikes that a layer *fires* by its fan-*in*, which is the number of synaptic operations only
    where
    a layer fires as often as its input; `input_spikes=` gives the right count, and `track` counts
    the model.

    **Arguments:**

    - `hardware`: a name of the catalogue, a [`joulax.HardwareCostModel`][] or a chip.
    - `technology`: a process node like `"7nm"`, instead of `hardware`.
    """

    def __init__(
        self,
        hardware: str | HardwareCostModel | Hardware | None = None,
        *,
        technology: str | None = None,
    ):
        if (hardware is None) == (technology is None):
            raise ValueError(
                "EnergyAccountant takes a target (EnergyAccountant('loihi2')) or "
                "technology='7nm', one of the two"
            )
        target = technology if hardware is None else hardware
        assert target is not None
        self.hardware: str | HardwareCostModel | Hardware = target
        if isinstance(self.hardware, str):
            datasheet(_full(self.hardware))  # an unknown name is an error here, not later
        elif not isinstance(self.hardware, HardwareCostModel | Hardware):
            raise ValueError(
                "EnergyAccountant takes a name, a HardwareCostModel or a chip, got "
                f"{type(self.hardware).__name__}"
            )
        self.result: Result | None = None

    @property
    def name(self) -> str:
        """Name of the target."""
        if isinstance(self.hardware, Hardware):
            return self.hardware.called
        return self.hardware if isinstance(self.hardware, str) else self.hardware.name

    @property
    def chip(self) -> Hardware:
        """The target as a chip."""
        if isinstance(self.hardware, HardwareCostModel):
            return self.hardware.chip
        if isinstance(self.hardware, str):
            return chip(datasheet(_full(self.hardware)), self.hardware)
        return self.hardware

    def account(
        self,
        layer_names: Sequence[str],
        layer_sizes: Sequence[Sequence[Real]],
        spike_counts: Sequence[ArrayLike],
        n_timesteps: Real,
        *,
        input_spikes: Sequence[ArrayLike] | None = None,
    ) -> EnergyReport:
        """Energy from layer sizes and spike counts, for dense layers.

        **Arguments:**

        - `layer_names`: one name for each layer.
        - `layer_sizes`: (inputs, neurons) of each layer.
        - `spike_counts`: spikes fired by each layer during the call.
        - `n_timesteps`: time steps; every neuron is updated in each.
        - `input_spikes`: spikes that arrive at each layer; if given, synops are arriving spikes ×
          neurons,
          otherwise, by the published formula, fired spikes × inputs.

        **Raises:**

        `ValueError` if the lists differ in length or a count is negative.
        """
        lists = dict(layer_names=layer_names, layer_sizes=layer_sizes, spike_counts=spike_counts)
        if input_spikes is not None:
            lists["input_spikes"] = input_spikes
        lengths = {name: len(items) for name, items in lists.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"every list needs one entry for each layer, got "
                f"{', '.join(f'{n} of {k}' for k, n in lengths.items())}"
            )
        with jax.enable_x64(True):
            steps = whole(n_timesteps, "n_timesteps", least=0)
            records = [
                _record(size, fired, steps, None if input_spikes is None else input_spikes[i])
                for i, (size, fired) in enumerate(zip(layer_sizes, spike_counts, strict=True))
            ]
            spent = list(energy(records, self.chip, 0.0).layers.values()) if records else []
            layers = tuple(
                _layer(name, r, own)
                for name, r, own in zip(layer_names, records, spent, strict=True)
            )
            routing = sum(_number(own.hop) for own in spent)
        return EnergyReport(self.name, layers, routing)

    def track(
        self, model: Callable, *inputs: Any, duration: ArrayLike | None = None, **options: Any
    ) -> Result:
        """Count a model on its inputs and price it; the options are those of [`joulax.count`][]."""
        _, account = count(model, **options)(*inputs)
        self.result = energy(account, self.chip, duration)
        return self.result

    @property
    def total_pj(self) -> float:
        """Energy of the last tracked call [pJ]."""
        if self.result is None:
            raise ValueError("nothing tracked yet: call track(model, inputs) first")
        return float(self.result.total)


def _full(name: str) -> str:
    """A target of sc-neurocore means its own price list, where nobody published another."""
    own = f"{name}@sc-neurocore"
    return own if own in catalogue() else name


def _record(
    size: Sequence[Real], fired: ArrayLike, steps: int, arriving: ArrayLike | None
) -> Activity:
    inputs, neurons = (whole(n, "layer_sizes") for n in size)
    synops = fired * inputs if arriving is None else arriving * neurons
    return activity(
        ac=synops,
        dense_ac=inputs * neurons * steps,
        spikes=fired,
        updates=neurons * steps,
        neurons=neurons,
        synapses=inputs * neurons,
    )


def _layer(name: str, record: Activity, spent: Energy) -> LayerEnergy:
    synops = _number(spent.ac) + _number(spent.mac)
    memory = _number(spent.weight_read) + _number(spent.state_read) + _number(spent.state_write)
    counts = [_counted(count) for count in (record.synops, record.spikes, record.updates)]
    return LayerEnergy(
        name, synops, _number(spent.neuron_update), _number(spent.spike), memory, *counts
    )


def _counted(value: Any) -> Any:
    """A whole number where it is one; a mean over samples keeps its fraction."""
    count = _number(value)
    return int(count) if count == int(count) else count


def _number(value: Any) -> float:
    return 0.0 if value is None else float(value)
