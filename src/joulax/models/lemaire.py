"""The analytical model of Lemaire et al.

2022: operations, memory accesses and addressing of a layer.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._activity.record import Activity, Number, number
from .._hardware.chip import Hardware
from .._hardware.costs import Costs
from .._hardware.operations import Operations

ADD, MULTIPLY = 0.1, 3.1  # pJ: 45 nm, int32, Horowitz 2014
FIFO = 1000  # elements of the queue of events, as the authors' program assumes


def ram(elements: ArrayLike, bits: ArrayLike = 32) -> Array:
    """One access to a memory of so many elements [pJ].

    1.09e-5 pJ per bit stored, plus 13.2 pJ, whatever the width.

    ??? cite "Reference"
        Lemaire et al., ICONIP 2022: a line through 10, 20 and 100 pJ at 8 kB, 32 kB and 1 MB of 45
        nm (Horowitz 2014).
    """
    return 1.09e-5 * jnp.asarray(elements, jnp.result_type(float)) * bits + 13.2


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
    inputs: ArrayLike,
    outputs: ArrayLike,
    *,
    steps: ArrayLike | None = None,
    events_in: ArrayLike = 0.0,
    events_out: ArrayLike = 0.0,
    leaky: bool = False,
    bias: bool = True,
    bits: ArrayLike = 32,
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
    synapses = inputs * outputs
    if steps is None:
        addressing = ADD * (inputs + outputs if address_sum else synapses)
        return _formal(
            synapses,
            outputs,
            inputs * ram(inputs, bits),
            synapses * ram(synapses, bits),
            outputs,
            bias,
            bits,
            addressing,
        )
    synops = events_in * outputs
    acc = (
        events_in * synapses + steps * outputs
        if paper_literal
        else synops + steps * outputs + events_out
    )
    return _spiking(
        acc,
        synops,
        synapses,
        steps * outputs,
        outputs,
        events_in,
        events_out,
        leaky,
        bias,
        bits,
        ADD * synops,
    )


def lemaire_conv(
    in_channels: ArrayLike,
    out_channels: ArrayLike,
    kernel: tuple[int, int],
    in_size: tuple[int, int],
    out_size: tuple[int, int],
    *,
    stride: int = 1,
    steps: ArrayLike | None = None,
    events_in: ArrayLike = 0.0,
    events_out: ArrayLike = 0.0,
    leaky: bool = False,
    bias: bool = True,
    bits: ArrayLike = 32,
) -> Terms:
    """A convolutional layer, per inference; arguments as in [`joulax.models.lemaire_dense`][].

    **Arguments:**

    - `in_channels`, `out_channels`, `kernel`, `stride`: the convolution.
    - `in_size`, `out_size`: height and width of input and output.

    ??? cite "Reference"
        Lemaire et al., ICONIP 2022, arXiv:2210.13107, eqs. 1.1–1.4, 3–16.
    """
    taps, pixels = kernel[0] * kernel[1], out_size[0] * out_size[1]
    weights, neurons = in_channels * out_channels * taps, out_channels * pixels
    if steps is None:
        inputs = in_channels * in_size[0] * in_size[1]
        mac = weights * pixels
        addressing = ADD * (inputs + neurons + out_channels * taps)
        return _formal(
            mac,
            neurons,
            mac * ram(inputs, bits),
            mac * ram(weights, bits),
            neurons,
            bias,
            bits,
            addressing,
            biases=out_channels,
        )
    reached = events_in * out_channels * taps
    acc = (
        events_in * -(-kernel[0] // stride) * -(-kernel[1] // stride) * out_channels
        + steps * neurons
        + events_out
    )
    addressing = (MULTIPLY + ADD) * 2 * events_in + ADD * reached
    return _spiking(
        acc,
        reached,
        weights,
        steps * neurons,
        neurons,
        events_in,
        events_out,
        leaky,
        bias,
        bits,
        addressing,
        biases=out_channels,
    )


def _formal(mac, acc, inputs, weights, neurons, bias, bits, addressing, biases=None) -> Terms:
    each = neurons * ram(neurons if biases is None else biases, bits) if bias else 0.0
    return Terms(
        mac,
        acc,
        mac * (MULTIPLY + ADD) + acc * ADD,
        inputs,
        weights,
        each,
        0.0,
        0.0,
        neurons * ram(neurons, bits),
        addressing,
    )


def _spiking(
    acc,
    synops,
    weights,
    updates,
    neurons,
    events_in,
    events_out,
    leaky,
    bias,
    bits,
    addressing,
    biases=None,
) -> Terms:
    mac = updates if leaky else 0
    potential = (synops + updates) * ram(neurons, bits)
    queue = ram(FIFO, bits)
    biased = updates * ram(neurons if biases is None else biases, bits) if bias else 0.0
    return Terms(
        mac,
        acc,
        mac * (MULTIPLY + ADD) + acc * ADD,
        events_in * queue,
        synops * ram(weights, bits),
        biased,
        potential,
        potential,
        events_out * queue,
        addressing,
    )


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
    - `leaky`: leaky neurons multiply at each step; static.
    - `bias`: every neuron reads one at each step; static.
    - `paper_literal`: eq. 2.4 as printed; static.
    """

    bits: Number = eqx.field(default=32, converter=number)
    leaky: bool = eqx.field(default=False, static=True)
    bias: bool = eqx.field(default=True, static=True)
    paper_literal: bool = eqx.field(default=False, static=True)
    # pyright: ignore[reportIncompatibleMethodOverride]
    name: str = eqx.field(default="Lemaire 2022", static=True)

    @property
    def costs(self) -> Costs:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Prices that do not depend on the layer: arithmetic at 45 nm, int32 [pJ]."""
        return Costs(ac=number(ADD), mac=number(ADD + MULTIPLY))

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
                f"{self.name} prices spiking layers counted with joulax.count(..., "
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
        state = x.state_read * ram(a.neurons, self.bits)
        return {
            "ac": (x.ac + a.ac) * ADD,
            "mac": None if x.mac is None else x.mac * (ADD + MULTIPLY),
            "spike": x.spike * ram(FIFO, self.bits),
            "weight_read": a.ac * ram(a.synapses, self.bits)
            + (a.updates * ram(a.neurons, self.bits) if self.bias else 0.0),
            "state_read": state,
            "state_write": state,
        }
