"""Energy of memories, and chips whose weights and states live in a memory of a given size."""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .._activity.record import Activity, Number, number, plus
from .._hardware.chip import Chip, Hardware, Names
from .._hardware.costs import Costs
from .._hardware.datasheet import Quantity
from .._hardware.numbers import DYNAMIC, Real, checked, entry
from .._hardware.operations import Operations

DRAM = 1300.0 / 64  # pJ per bit: low end of an access of 64 bits at 45 nm, Horowitz 2014
REGISTER = 0.002538  # pJ per bit: 32 nm, NeuroMC


def sram(capacity: Real) -> Array:
    r"""Energy of reading one bit of an SRAM [pJ], smooth in its capacity.

    The parabola in $(\ln \text{bytes}, \ln E)$ through the three points of 45 nm: 10, 20 and 100 pJ
    for an access of 64 bits
    in 8 kB, 32 kB and 1 MB. Between the points it is an interpolation, outside of them a guess.

    **Arguments:**

    - `capacity`: size of the memory [bytes], positive, any shape.

    **Returns:**

    pJ per bit, the shape of `capacity`.

    ??? cite "Reference"
        Horowitz, ISSCC 2014 (per access of 64 bits).
    """
    x = [jnp.log(jnp.asarray(c)) for c in (8e3, 32e3, 1e6)]
    y = [jnp.log(jnp.asarray(e / 64)) for e in (10.0, 20.0, 100.0)]
    at = jnp.log(checked(capacity, "capacity", "bytes", positive=True))
    slope = (y[1] - y[0]) / (x[1] - x[0])
    bend = ((y[2] - y[1]) / (x[2] - x[1]) - slope) / (x[2] - x[0])
    return jnp.exp(y[0] + (at - x[0]) * (slope + bend * (at - x[1])))


def sram_qkeras(bits: Real) -> Array:
    """Energy of reading one bit of an SRAM [pJ], by the cubic of QKeras in log2 of its size [bits].

    It meets the same three points (8 KiB, 32 KiB, 1 MiB) and rises again below 3 KiB, where it
    should not be used.

    ??? cite "Reference"
        QKeras, qtools `config_public`, read as pJ per bit.
    """
    x = jnp.log2(checked(bits, "bits", positive=True))
    return x * (0.208900804 + x * (-2.68847858e-2 + x * 9.02427321e-4))


def add_qkeras(bits: Real) -> Array:
    """Energy of a fixed-point addition of so many bits [pJ], 45 nm; QKeras."""
    return 0.003125 * checked(bits, "bits")


def multiply_qkeras(bits: Real) -> Array:
    """Energy of a fixed-point multiplication of so many bits [pJ], 45 nm; QKeras.

    0.2 at 8 bits, 3.1 at 32.
    """
    b = checked(bits, "bits")
    return b * (0.001041666667 + 0.002994791667 * b)


class Memory(Hardware):
    """Arithmetic and memory.

    Every weight is fetched, every state read and written back, bit by bit.

    ```python
    import joulax
    from joulax.models import Memory, sram

    chip = Memory(add=0.03, multiply=0.2, weight_bits=8, state_bits=16, weights=sram(64e3),
    states=sram(8e3))
    ```

    **Attributes:**

    - `add`, `multiply`: one addition, one multiplication [pJ].
    - `weight_bits`, `state_bits`: width of a weight and of a neuron's state.
    - `weights`, `states`: energy of one bit of their memory [pJ]: [`joulax.models.sram`][] of a
      capacity,
      `joulax.models.DRAM` (20.3 pJ) or `joulax.models.REGISTER` (0.0025 pJ).
    - `skips_zeros`: share of the multiply-accumulates with a zero input that are skipped.
    """

    linear: ClassVar[bool] = True
    published: ClassVar[Mapping[str, Quantity]] = {
        "weights": Quantity(
            DRAM,
            "horowitz2014",
            "DRAM, one access of 64 bits: 1.3 to 2.6 nJ",
            "simulated",
            "unverified",
            low=DRAM,
            high=2 * DRAM,
        )
    }

    add: Number = entry("add", "pJ", default=0.9, scales=DYNAMIC)
    multiply: Number = entry("multiply", "pJ", default=3.7, scales=DYNAMIC)
    weight_bits: Number = entry("weight_bits", "bits", default=32.0)
    state_bits: Number = entry("state_bits", "bits", default=32.0)
    weights: Number = entry("weights", "pJ per bit", default=DRAM, scales=DYNAMIC)
    states: Number = entry("states", "pJ per bit", default=0.0, scales=DYNAMIC)
    skips_zeros: Number = entry("skips_zeros", "", default=0.0, most=1.0)
    name: Names = eqx.field(  # pyright: ignore[reportIncompatibleMethodOverride]
        default="memory model", static=True
    )

    @property
    def costs(self) -> Costs:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Prices that follow from widths and memories [pJ]."""
        state = self.states * self.state_bits
        return Costs(
            ac=self.add,
            mac=self.add + self.multiply,
            weight_read=self.weights * self.weight_bits,
            weight_write=self.weights * self.weight_bits,
            state_read=state,
            state_write=state,
            neuron_update=number(0.0),
            spike=number(0.0),
            hop=number(0.0),
        )

    def operations(self, activity: Activity) -> Operations:
        """As for any chip, but partial sums stay in a register: only updates touch states."""
        executed = Chip(self.costs, skips_zeros=self.skips_zeros, name=self.name).operations(
            activity
        )
        states = plus(executed.ac, activity.updates)
        return eqx.tree_at(
            lambda o: (o.state_read, o.state_write),
            executed,
            (states, states),
            is_leaf=lambda x: x is None,
        )


def bit_width(bits: Real, *, accumulator_bits: Real = None, **memory) -> Memory:
    """Arithmetic whose energy follows from its width.

    The polynomials of QKeras at 45 nm, differentiable in the widths.

    **Arguments:**

    - `bits`: width of the multiplier and of the weights.
    - `accumulator_bits`: width of the adder; that of the multiplier by default.
    - `memory`: further fields of [`joulax.models.Memory`][]; memories are free unless given.

    ??? cite "Reference"
        QKeras, qtools: add 0.003125 b, multiply 0.0029948 b² + 0.00104 b [pJ].
    """
    wide = bits if accumulator_bits is None else accumulator_bits
    fields = {
        "weight_bits": bits,
        "state_bits": wide,
        "weights": 0.0,
        "states": 0.0,
        "name": "bit-width model",
    } | memory
    return Memory(add=add_qkeras(wide), multiply=multiply_qkeras(bits), **fields)
