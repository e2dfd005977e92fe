"""Nodes with a state: neurons, by forward Euler, and delays."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..neurons import Spike
from .nodes import Node, spread

RESETS = ("zero", "subtract", "none")


class Firing(eqx.Module):
    """Threshold and reset of a spiking node; neither the reset's form nor its delay is in NIR."""

    threshold: Array
    v_reset: Array
    reset: str = eqx.field(static=True)
    delayed: bool = eqx.field(static=True)
    spike: Spike = eqx.field(static=True)

    def __call__(self, v: Array) -> Array:
        """Spikes of a membrane."""
        return self.spike(v - spread(self.threshold, v))

    def after(self, v: Array, z: Array) -> Array:
        """The membrane after the spikes `z`."""
        if self.reset == "subtract":
            return v - z * spread(self.threshold, v)
        if self.reset == "zero":
            return v - z * (v - spread(self.v_reset, v))
        return v


class Neuron(Node):
    """A neuron: `membrane` advances it by one step, `firing` makes spikes of it."""

    stateful: ClassVar[bool] = True
    neurons: ClassVar[bool] = True
    firing: eqx.AbstractVar[Firing | None]
    rest: eqx.AbstractVar[Array | None]

    def membrane(self, state: dict[str, Array], x: Array) -> dict[str, Array]:
        """State after one step, without reset."""
        raise NotImplementedError

    def init(self, shape: tuple[int, ...]) -> dict[str, Array]:
        """A neuron at rest: its membrane at `v_leak`, no current, no spike."""
        zero = jnp.zeros(shape, jnp.result_type(float))
        sizes = [spread(p, zero).shape for p in jax.tree.leaves(self)]  # one current for many
        zero = jnp.zeros(jnp.broadcast_shapes(shape, *sizes), zero.dtype)
        rest = zero if self.rest is None else zero + spread(self.rest, zero)
        return {"v": rest, "i": zero, "z": zero}

    def step(self, state: dict[str, Array], x: Array) -> tuple[dict[str, Array], Array]:
        """One step: the membrane of an integrator, the spikes of a neuron that fires."""
        new = self.membrane(state, x)
        if self.firing is None:
            return new, new["v"]
        if self.firing.delayed:
            new = new | {"v": self.firing.after(new["v"], state["z"])}
        z = self.firing(new["v"])
        kept = new["v"] if self.firing.delayed else self.firing.after(new["v"], z)
        return new | {"v": kept, "z": z}, z

    @property
    def spiking(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the node fires."""
        return self.firing is not None


class Integrator(Neuron):
    """`I` and `IF`: the current of a step, times `r`, is added.

    Every program that writes these nodes means *per step*: `r` is 1 where a unit input raises the
    membrane by one, whatever the length of the step.
    """

    r: Array
    firing: Firing | None
    rest: Array | None

    def membrane(self, state: dict[str, Array], x: Array) -> dict[str, Array]:
        """`v + r I`."""
        return state | {"v": state["v"] + spread(self.r, x) * x}


class Leaky(Neuron):
    """`LI` and `LIF`: τ v̇ = (v_leak − v) + R I."""

    decay: Array  # dt / τ
    r: Array
    firing: Firing | None
    rest: Array | None

    def membrane(self, state: dict[str, Array], x: Array) -> dict[str, Array]:
        """`v + dt / τ (v_leak − v + R I)`."""
        return state | {"v": leaked(self, state["v"], x)}


class CurrentBased(Neuron):
    """`CubaLI` and `CubaLIF`: τ_syn İ = −I + w_in S, τ_mem v̇ = (v_leak − v) + R I.

    The current of a step acts on the membrane of the same step, as in snnTorch and Spyx.
    """

    decay: Array  # dt / τ_mem
    current_decay: Array  # dt / τ_syn
    r: Array
    w_in: Array
    firing: Firing | None
    rest: Array | None

    def membrane(self, state: dict[str, Array], x: Array) -> dict[str, Array]:
        """Current first, then membrane."""
        i, a = state["i"], spread(self.current_decay, x)
        i = i - a * i + a * spread(self.w_in, x) * x
        return state | {"i": i, "v": leaked(self, state["v"], i)}


def leaked(neuron: Leaky | CurrentBased, v: Array, current: Array) -> Array:
    """Forward Euler of a leaky membrane."""
    a = spread(neuron.decay, v)
    pulled = v - a * v + a * spread(neuron.r, v) * current
    return pulled if neuron.rest is None else pulled + a * spread(neuron.rest, v)


class Threshold(Node):
    """`Threshold`: a spike where the input lies above."""

    spiking: ClassVar[bool] = True
    neurons: ClassVar[bool] = True
    threshold: Array
    spike: Spike = eqx.field(static=True)

    def now(self, x: Array) -> Array:
        """Spikes."""
        return self.spike(x - spread(self.threshold, x))


class Delay(Node):
    """`Delay`: what came so many steps ago, zero before the beginning."""

    stateful: ClassVar[bool] = True
    steps: tuple[int, ...] = eqx.field(static=True)  # one for all, or one for each element
    shape: tuple[int, ...] = eqx.field(static=True)

    def shorter(self) -> "Delay":
        """The same delay behind an edge that waits a step itself."""
        return Delay(tuple(s - 1 for s in self.steps), self.shape)

    def init(self, shape: tuple[int, ...]) -> Array:
        """A line of silence."""
        return jnp.zeros((max(self.steps), *shape), jnp.result_type(float))

    def step(self, state: Array, x: Array) -> tuple[Array, Array]:
        """Move the line by one and read it."""
        line = jnp.concatenate([state, x[None]])  # the oldest first, now last
        age = len(line) - 1 - np.asarray(self.steps)
        if len(self.steps) == 1:
            return line[1:], line[int(age[0])]
        where = np.broadcast_to(age.reshape(self.shape), x.shape)
        return line[1:], line[(where, *np.indices(x.shape))]


def firing_of(node: Any, reset: str, delayed: bool, spike: Spike, array: Any) -> Firing:
    """Threshold and reset of a node of NIR; `v_reset` is zero where the file has none."""
    threshold = array(node.v_threshold)
    given = getattr(node, "v_reset", None)
    v_reset = jnp.zeros_like(threshold) if given is None else array(given)
    return Firing(threshold, v_reset, reset, delayed, spike)
