"""A small zoo of spiking neurons as Equinox modules: enough to start from, all of it countable.

Every neuron is a function of its state and an input current: `state, spikes = neuron(state,
current)`. States hold the last
spikes, which reset the membrane one step later, as in snnTorch.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._activity.record import number

__all__ = [
    "Adaptive",
    "Alpha",
    "IF",
    "LIF",
    "Lapicque",
    "LeakyReadout",
    "Network",
    "Neuron",
    "Recurrent",
    "State",
    "Synaptic",
    "arctan",
    "fast_sigmoid",
    "straight_through",
    "triangle",
]

Spike = Callable[[Array], Array]


def _surrogate(slope: Callable[[Array], Array]) -> Spike:
    @jax.custom_jvp
    def spike(v: Any) -> Array:
        return jnp.asarray(v > 0).astype(jnp.result_type(v))

    @spike.defjvp
    def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Array, Array]:
        (v,), (dv,) = primals, tangents
        return spike(v), slope(v) * dv

    return spike


fast_sigmoid: Spike = _surrogate(lambda v: 1 / jnp.square(1 + 25 * jnp.abs(v)))
"""Spike whose gradient is 1 / (1 + 25 |v|)², steep at the threshold."""
arctan: Spike = _surrogate(lambda v: 1 / (jnp.pi * (1 + jnp.square(jnp.pi * v))))
"""Spike whose gradient is that of an arctangent, with long tails."""
triangle: Spike = _surrogate(lambda v: jnp.maximum(0.0, 1 - jnp.abs(v)))
"""Spike whose gradient is a triangle of width two: zero far from the threshold."""
straight_through: Spike = _surrogate(jnp.ones_like)
"""Spike whose gradient is one everywhere."""

_RESETS = ("subtract", "zero", "none")


class State(eqx.Module):
    """What a layer of neurons carries from step to step.

    **Attributes:**

    - `membrane`: membrane potentials.
    - `spikes`: the last spikes.
    - `currents`: synaptic currents or adaptation, for the neurons that have them.
    """

    membrane: Array
    spikes: Array
    currents: tuple[Array, ...] = ()


class Neuron(eqx.Module):
    """A neuron model; implement `membrane`, its potential before the reset.

    **Attributes:**

    - `threshold`: potential above which it fires; learnable, as all parameters are.
    - `reset`: `"subtract"` the threshold, to `"zero"`, or `"none"`, one step after a spike.
    - `spike`: one of the surrogates of this module, or your own.
    """

    threshold: eqx.AbstractVar[Array]
    reset: eqx.AbstractVar[str]
    spike: eqx.AbstractVar[Spike]
    hidden: eqx.AbstractClassVar[int]
    early: ClassVar[bool] = (
        False  # a reset to zero forgets the old potential, and keeps this step's current
    )

    def __check_init__(self):
        if self.reset not in _RESETS:
            raise ValueError(
                f"{type(self).__name__}(reset={self.reset!r}): the resets are {', '.join(_RESETS)}"
            )

    @abc.abstractmethod
    def membrane(self, state: State, current: Array) -> tuple[Array, tuple[Array, ...]]:
        """Potential after one step without reset, and the new currents."""

    def init(self, shape: tuple[int, ...], dtype: Any = None) -> State:
        """A silent state."""
        zero = jnp.zeros(shape, dtype)
        return State(zero, zero, (zero,) * self.hidden)

    def __call__(self, state: State, current: Array) -> tuple[State, Array]:
        """One step: the new state and the spikes."""
        membrane, currents = self._stepped(state, current)
        spikes = self.spike(membrane - _like(self.threshold, membrane))
        return State(membrane, spikes, currents), spikes

    def _stepped(self, state: State, current: Array) -> tuple[Array, tuple[Array, ...]]:
        """Membrane and currents after one step and the reset, which passes no gradient."""
        if self.reset == "zero" and self.early:
            kept = state.membrane * (1 - jax.lax.stop_gradient(state.spikes))
            return self.membrane(State(kept, state.spikes, state.currents), current)
        return self._reset(state, *self.membrane(state, current))

    def _reset(
        self, state: State, membrane: Array, currents: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Membrane and currents after the reset."""
        fired = jax.lax.stop_gradient(state.spikes)
        if self.reset == "subtract":
            return membrane - fired * _like(self.threshold, membrane), currents
        return (membrane * (1 - fired) if self.reset == "zero" else membrane), currents


def _like(parameter: Array, x: Array) -> Array:
    return jnp.asarray(parameter, x.dtype)


def _parameter(default: float) -> Any:
    return eqx.field(default=default, converter=number)


class IF(Neuron):
    """Integrate and fire: U ← U + I. Leaks nothing."""

    threshold: Array = _parameter(1.0)
    reset: str = eqx.field(default="subtract", static=True)
    spike: Spike = eqx.field(default=fast_sigmoid, static=True)
    hidden = 0
    early = True

    def membrane(self, state: State, current: Array) -> tuple[Array, tuple[Array, ...]]:
        """Sum of the currents."""
        return state.membrane + current, ()


class LIF(Neuron):
    """Leaky integrate and fire, `Leaky` in snnTorch: U ← βU + I."""

    beta: Array = _parameter(0.9)
    threshold: Array = _parameter(1.0)
    reset: str = eqx.field(default="subtract", static=True)
    spike: Spike = eqx.field(default=fast_sigmoid, static=True)
    hidden = 0
    early = True

    def membrane(self, state: State, current: Array) -> tuple[Array, tuple[Array, ...]]:
        """Decay and current."""
        return _like(self.beta, current) * state.membrane + current, ()


class Lapicque(Neuron):
    """An RC circuit: U ← (1 − Δt/RC) U + (Δt/C) I."""

    resistance: Array = _parameter(1.0)
    capacitance: Array = _parameter(1.5)
    time_step: Array = _parameter(1.0)
    threshold: Array = _parameter(1.0)
    reset: str = eqx.field(default="subtract", static=True)
    spike: Spike = eqx.field(default=fast_sigmoid, static=True)
    hidden = 0

    def membrane(self, state: State, current: Array) -> tuple[Array, tuple[Array, ...]]:
        """Charge of the capacitor."""
        gain = _like(self.time_step / self.capacitance, current)
        kept = _like(1 - self.time_step / (self.resistance * self.capacitance), current)
        return gain * current + kept * state.membrane, ()


class Synaptic(Neuron):
    """Current-based (CuBa), second order: S ← αS + I, U ← βU + S."""

    alpha: Array = _parameter(0.8)
    beta: Array = _parameter(0.9)
    threshold: Array = _parameter(1.0)
    reset: str = eqx.field(default="subtract", static=True)
    spike: Spike = eqx.field(default=fast_sigmoid, static=True)
    hidden = 1

    def membrane(self, state: State, current: Array) -> tuple[Array, tuple[Array, ...]]:
        """Decay and filtered current."""
        (synapse,) = state.currents
        synapse = _like(self.alpha, current) * synapse + current
        return _like(self.beta, current) * state.membrane + synapse, (synapse,)


class Alpha(Neuron):
    """Alpha-shaped response.

    The difference of two exponentials, `alpha` > `beta`, that peaks at about the input.
    """

    alpha: Array = _parameter(0.85)
    beta: Array = _parameter(0.8)
    threshold: Array = _parameter(1.0)
    reset: str = eqx.field(default="subtract", static=True)
    spike: Spike = eqx.field(default=fast_sigmoid, static=True)
    hidden = 2

    def membrane(self, state: State, current: Array) -> tuple[Array, tuple[Array, ...]]:
        """Excitation minus inhibition, scaled to a peak of one."""
        excited, inhibited = state.currents
        a, b = _like(self.alpha, current), _like(self.beta, current)
        excited, inhibited = a * excited + current, b * inhibited - current
        gain = jnp.log(a) / (jnp.log(b) - jnp.log(a)) + 1
        return gain * (excited + inhibited), (excited, inhibited)

    def _reset(
        self, state: State, membrane: Array, currents: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Resets the currents, of which the membrane is made; in snnTorch's way."""
        fired, (excited, inhibited) = jax.lax.stop_gradient(state.spikes), currents
        if self.reset == "none":
            return membrane, currents
        if self.reset == "zero":
            kept = 1 - fired
            return membrane * kept, (excited * kept, inhibited * kept)
        before = state.currents[1]
        return membrane + fired * before, (
            excited - fired * _like(self.threshold, membrane),
            inhibited * (1 - fired),
        )


class Adaptive(Neuron):
    """Leaky, with a threshold that each spike raises by `strength` and `decay` lowers (ALIF)."""

    beta: Array = _parameter(0.9)
    decay: Array = _parameter(0.95)
    strength: Array = _parameter(0.2)
    threshold: Array = _parameter(1.0)
    reset: str = eqx.field(default="subtract", static=True)
    spike: Spike = eqx.field(default=fast_sigmoid, static=True)
    hidden = 1
    early = True

    def membrane(self, state: State, current: Array) -> tuple[Array, tuple[Array, ...]]:
        """Decay and current; the adaptation remembers the spikes."""
        (fatigue,) = state.currents
        return _like(self.beta, current) * state.membrane + current, (
            _like(self.decay, current) * fatigue + state.spikes,
        )

    def __call__(self, state: State, current: Array) -> tuple[State, Array]:
        """One step: the new state and the spikes."""
        membrane, currents = self._stepped(state, current)
        raised = _like(self.threshold, membrane) + _like(self.strength, membrane) * currents[0]
        spikes = self.spike(membrane - raised)
        return State(membrane, spikes, currents), spikes


class LeakyReadout(eqx.Module):
    """A leaky integrator that does not fire: its potential is the output."""

    beta: Array = _parameter(0.9)

    def init(self, shape: tuple[int, ...], dtype: Any = None) -> State:
        """An empty state."""
        zero = jnp.zeros(shape, dtype)
        return State(zero, zero)

    def __call__(self, state: State, current: Array) -> tuple[State, Array]:
        """One step: the new state and the potential."""
        membrane = _like(self.beta, current) * state.membrane + current
        return State(membrane, state.spikes), membrane


class Recurrent(eqx.Module):
    """Neurons whose last spikes come back through weights of their own.

    **Attributes:**

    - `neuron`: any neuron of this module.
    - `weight`: (neurons, neurons).
    """

    neuron: Neuron
    weight: Float[Array, "n n"]

    def init(self, shape: tuple[int, ...], dtype: Any = None) -> State:
        """The silent state of the neurons."""
        return self.neuron.init(shape, dtype)

    def __call__(self, state: State, current: Array) -> tuple[State, Array]:
        """One step."""
        return self.neuron(state, current + self.weight @ state.spikes)


class Network(eqx.Module):
    """Layers with weights and neurons in a row, stepped by one scan.

    ```python
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import joulax
    from joulax.neurons import LIF, LeakyReadout, Network

    keys = jax.random.split(jax.random.key(0), 2)
    model = Network([eqx.nn.Linear(64, 32, key=keys[0]), LIF(), eqx.nn.Linear(32, 10, key=keys[1]),
    LeakyReadout()])
    x = jax.random.bernoulli(jax.random.key(1), 0.2, (20, 64)).astype(jnp.float32)  # time, inputs
    out, account = joulax.count(model, spikes=0)(x)
    ```

    **Attributes:**

    - `layers`: modules of one argument, and neurons.
    """

    layers: list

    def init(self, x: Array) -> list[Any]:
        """Silent states for one step's input."""
        states = []
        for layer in self.layers:
            if isinstance(layer, Neuron | LeakyReadout | Recurrent):
                states.append(layer.init(x.shape, x.dtype))
            else:
                x = jax.eval_shape(layer, x)
                states.append(None)
        return states

    def step(self, states: Sequence[Any], x: Array) -> tuple[list[Any], Array]:
        """One time step: new states and output."""
        new = []
        for layer, state in zip(self.layers, states, strict=True):
            if state is None:
                x = layer(x)
            else:
                state, x = layer(state, x)
            new.append(state)
        return new, x

    def __call__(self, x: Float[Array, "time ..."]) -> Float[Array, "time ..."]:
        """Outputs of all time steps."""
        return jax.lax.scan(lambda states, x: self.step(states, x), self.init(x[0]), x)[1]
