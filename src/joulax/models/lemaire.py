"""The analytical model of Lemaire et al.

2022: operations, memory accesses and addressing of a layer.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .._activity.record import Activity, Number
from .._hardware.chip import Hardware, Names
from .._hardware.costs import Costs
from .._hardware.numbers import DYNAMIC, Real, checked, entry
from .._hardware.operations import Operations

ADD, MULTIPLY = 0.1, 3.1  # pJ: 45 nm, int32, Horowitz 2014
ACCESS, PER_BIT = 13.2, 1.09e-5  # pJ: a line through 10, 20 and 100 pJ at 8 kB, 32 kB and 1 MB
FIFO = 1000  # elements of the queue of events, as the authors' program assumes


def ram(elements: Real, bits: Real = 32) -> Array:
    """One access to a memory of so many elements [pJ].

    1.09e-5 pJ per bit stored, plus 13.2 pJ, whatever the width.

    ??? cite "Reference"
        Lemaire et al., ICONIP 2022: a line through 10, 20 and 100 pJ at 8 kB, 32 kB and 1 MB of 45
        nm (Horowitz 2014).
    """
    return PER_BIT * jnp.asarray(elements, jnp.result_type(float)) * bits + ACCESS


class Terms(eqx.Module):
    """Energy of one layer by term.

    **Attributes:**

    - `mac`, `acc`: multiply-accumulates and accumulates [operations].
    - `operations`: their energy [pJ].
    - `inputs`, `weights`, `bias`, `potential_read`, `potential_write`, `outputs`: memory accesses
      [pJ].
    - `addressing`: computing addresses [pJ].
    """

    mac: Any
    acc: Any
    operations: Any
    inputs: Any
    weights: Any
    bias: Any
    potential_read: Any
    potential_write: Any
    outputs: Any
    addressing: Any

    @property
    def total(self) -> Array:
        """Energy of the layer [pJ]."""
        memory = (
            self.inputs
            + self.weights
            + self.bias
            + self.potential_read
            + self.potential_write
            + self.outputs
        )
        return jnp.asarray(self.operations + memory + self.addressing)


def lemaire_dense(
    inputs: Real,
    outputs: Real,
    *,
    steps: Real = None,
    events_in: Real = 0.0,
    events_out: Real = 0.0,
    leaky: bool = False,
    bias: bool = True,
    bits: Real = 32,
    paper_literal: bool = False,
    address_sum: bool = False,
) -> Terms:
    """A fully connected layer, per inference.

    **Arguments:**

    - `inputs`, `outputs`: sizes of the layer.
    - `steps`: time steps of the spiking layer; `None` is the formal (analog) layer.
    - `events_in`, `events_out`: spikes that enter and leave in an inference, summed over neurons
      and steps.
    - `leaky`: leaky neurons multiply their potential at each step.
    - `bias`: whether there is one.
    - `bits`: width of every datum.
    - `paper_literal`: eq. 2.4 as printed, which counts the accumulates `inputs` times too often and
      leaves out the reset; the authors' own program has the corrected form, the default here.
    - `address_sum`: eq. 17.1 as `inputs + outputs` instead of `inputs · outputs`; published
      readings differ.

    **Returns:**

    [`joulax.models.Terms`][] [pJ].

    ??? cite "Reference"
        Lemaire et al., ICONIP 2022, arXiv:2210.13107, eqs. 2.1–2.4, 4–17.
    """
    inputs, outputs, steps, events_in, events_out, bits = _checked(
        ("inputs", "outputs", "steps", "events_in", "events_out", "bits"),
        (inputs, outputs, steps, events_in, events_out, bits),
    )
    synapses, biases = inputs * outputs, outputs if bias else None
    if steps is None:
        addressing = ADD * (inputs + outputs if address_sum else synapses)
        read = (inputs * ram(inputs, bits), synapses * ram(synapses, bits))
        return _formal(synapses, read, outputs, biases, bits, addressing)
    synops, updates = events_in * outputs, steps * outputs
    literal = events_in * synapses + updates
    acc = literal if paper_literal else synops + updates + events_out
    sizes = (synapses, outputs, updates, biases)
    return _spiking(acc, synops, sizes, (events_in, events_out), leaky, bits)


def lemaire_conv(
    in_channels: Real,
    out_channels: Real,
    kernel: tuple[int, int],
    in_size: tuple[int, int],
    out_size: tuple[int, int],
    *,
    stride: int = 1,
    steps: Real = None,
    events_in: Real = 0.0,
    events_out: Real = 0.0,
    leaky: bool = False,
    bias: bool = True,
    bits: Real = 32,
) -> Terms:
    """A convolutional layer, per inference; arguments as in [`joulax.models.lemaire_dense`][].

    **Arguments:**

    - `in_channels`, `out_channels`, `kernel`, `stride`: the convolution.
    - `in_size`, `out_size`: height and width of input and output.

    ??? cite "Reference"
        Lemaire et al., ICONIP 2022, arXiv:2210.13107, eqs. 1.1–1.4, 3–16.
    """
    in_channels, out_channels, steps, events_in, events_out, bits = _checked(
        ("in_channels", "out_channels", "steps", "events_in", "events_out", "bits"),
        (in_channels, out_channels, steps, events_in, events_out, bits),
    )
    taps, pixels = kernel[0] * kernel[1], out_size[0] * out_size[1]
    weights, neurons = in_channels * out_channels * taps, out_channels * pixels
    biases = out_channels if bias else None
    if steps is None:
        inputs, mac = in_channels * in_size[0] * in_size[1], weights * pixels
        addressing = ADD * (inputs + neurons + out_channels * taps)
        read = (mac * ram(inputs, bits), mac * ram(weights, bits))
        return _formal(mac, read, neurons, biases, bits, addressing)
    reached, updates = events_in * out_channels * taps, steps * neurons
    windows = -(-kernel[0] // stride) * -(-kernel[1] // stride)
    acc = events_in * windows * out_channels + updates + events_out
    sizes = (weights, neurons, updates, biases)
    terms = _spiking(acc, reached, sizes, (events_in, events_out), leaky, bits)
    steps_of_address = (MULTIPLY + ADD) * 2 * events_in
    return dataclasses.replace(terms, addressing=terms.addressing + steps_of_address)


def _checked(names: tuple[str, ...], numbers: tuple[Any, ...]) -> list[Any]:
    """Numbers of a layer by name; sizes are positive, steps may be absent."""
    sizes = ("inputs", "outputs", "in_channels", "out_channels")
    return [
        None if name == "steps" and value is None else checked(value, name, positive=name in sizes)
        for name, value in zip(names, numbers, strict=True)
    ]


def _formal(
    mac: Any, read: tuple[Any, Any], neurons: Any, biases: Any, bits: Any, addressing: Any
) -> Terms:
    """A formal layer; `read` is the energy of inputs and weights, `biases` their number or none."""
    each = 0.0 if biases is None else neurons * ram(biases, bits)
    operations = mac * (MULTIPLY + ADD) + neurons * ADD
    written = neurons * ram(neurons, bits)
    return Terms(mac, neurons, operations, *read, each, 0.0, 0.0, written, addressing)


def _spiking(
    acc: Any, synops: Any, sizes: tuple[Any, ...], events: tuple[Any, Any], leaky: bool, bits: Any
) -> Terms:
    """A spiking layer; `sizes` are weights, neurons, updates, and biases or none."""
    weights, neurons, updates, biases = sizes
    mac = updates if leaky else 0
    potential = (synops + updates) * ram(neurons, bits)
    queues = [count * ram(FIFO, bits) for count in events]
    biased = 0.0 if biases is None else updates * ram(biases, bits)
    operations = mac * (MULTIPLY + ADD) + acc * ADD
    read = (queues[0], synops * ram(weights, bits), biased, potential, potential, queues[1])
    return Terms(mac, acc, operations, *read, ADD * synops)


class Lemaire2022(Hardware):
    """The same model on a counted account.

    Every access is priced by the size of the layer's own memory.

    Synaptic operations are those that were counted, borders and all, in place of the average
    fan-out of
    the paper; for a dense layer without zero weights the total is that of
    [`joulax.models.lemaire_dense`][].
    Count with `events=True`. Addressing is charged with the accumulates, the queues with the
    spikes.

    **Attributes:**

    - `bits`: width of every datum.
    - `add`, `multiply`: one addition, one multiplication [pJ].
    - `access`, `per_bit`: one access to a memory is `access + per_bit` times its bits [pJ].
    - `leaky`: leaky neurons multiply at each step; static.
    - `bias`: every neuron reads one at each step; static.
    - `paper_literal`: eq. 2.4 as printed; static.
    """

    bits: Number = entry("bits", "bits", default=32.0)
    add: Number = entry("add", "pJ", default=ADD, scales=DYNAMIC)
    multiply: Number = entry("multiply", "pJ", default=MULTIPLY, scales=DYNAMIC)
    access: Number = entry("access", "pJ", default=ACCESS, scales=DYNAMIC)
    per_bit: Number = entry("per_bit", "pJ", default=PER_BIT, scales=DYNAMIC)
    leaky: bool = eqx.field(default=False, static=True)
    bias: bool = eqx.field(default=True, static=True)
    paper_literal: bool = eqx.field(default=False, static=True)
    name: Names = eqx.field(  # pyright: ignore[reportIncompatibleMethodOverride]
        default="Lemaire 2022", static=True
    )

    @property
    def costs(self) -> Costs:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Prices that do not depend on the layer: arithmetic at 45 nm, int32 [pJ]."""
        return Costs(ac=self.add, mac=self.add + self.multiply)

    def ram(self, elements: Any) -> Any:
        """One access to a memory of so many elements [pJ]."""
        return self.per_bit * elements * self.bits + self.access

    def unpriced(self, executed: Operations) -> tuple[str, ...]:
        """Nothing: every operation is priced by its layer."""
        return ()

    def operations(self, activity: Activity) -> Operations:
        """Accumulates of synapses, of each update (bias) and of each reset.

        A multiply-accumulate for each leak.
        """
        a: Any = activity
        missing = [
            f
            for f in ("ac", "updates", "spikes", "events", "neurons", "synapses")
            if getattr(a, f) is None
        ]
        if missing:
            raise ValueError(
                f"{self.called} prices spiking layers counted with joulax.count(..., "
                f"events=True); a record lacks {', '.join(missing)}"
            )
        states = a.ac + a.updates
        acc = a.ac * a.synapses / a.neurons + a.updates if self.paper_literal else states + a.spikes
        mac = a.updates if self.leaky else None
        return Operations(
            ac=acc,
            mac=mac,
            spike=a.events + a.spikes,
            weight_read=states if self.bias else a.ac,
            state_read=states,
            state_write=states,
        )

    def spent(self, activity: Activity, executed: Operations, unpriced: Any) -> dict[str, Any]:
        """Energy of one layer [pJ]; memories are as large as the layer needs."""
        a: Any = activity
        x: Any = executed
        state = x.state_read * self.ram(a.neurons)
        biases = a.updates * self.ram(a.neurons) if self.bias else 0.0
        return {
            "ac": (x.ac + a.ac) * self.add,
            "mac": None if x.mac is None else x.mac * (self.add + self.multiply),
            "spike": x.spike * self.ram(FIFO),
            "weight_read": a.ac * self.ram(a.synapses) + biases,
            "state_read": state,
            "state_write": state,
        }
