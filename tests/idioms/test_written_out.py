"""Loops that are written out: the neurons of one step are those of the next, and of no other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import over_steps, spike

RNG = np.random.default_rng(5)
N, T = 5, 6
P = {
    "a": jnp.asarray(RNG.normal(size=(4, N)) * 0.6 + 0.2, jnp.float32),
    "d": jnp.asarray(RNG.normal(size=(4, N)) * 0.6 + 0.2, jnp.float32),
    "r": jnp.asarray(RNG.normal(size=(N, N)) * 0.3, jnp.float32),
    "b": jnp.asarray(RNG.normal(size=(N, 3)), jnp.float32),
    "c": jnp.asarray(RNG.normal(size=(N, 3)), jnp.float32),
}
X = jnp.asarray(RNG.random((T, 4)) < 0.5, jnp.float32)
Z = jnp.zeros(N)

RESETS = {
    "subtracted": lambda v, s: v - 0.3 * s,
    "to zero": lambda v, s: v * (1 - s),
    "chosen": lambda v, s: jnp.where(s > 0, 0.0, v),
    "none": lambda v, s: v,
}
CURRENTS = {
    "input, then recurrent": lambda p, v, x, s: (v + x @ p["a"]) + s @ p["r"],
    "recurrent, then input": lambda p, v, x, s: (v + s @ p["r"]) + x @ p["a"],
    "together": lambda p, v, x, s: v + (x @ p["a"] + s @ p["r"]),
    "together, recurrent first": lambda p, v, x, s: v + (s @ p["r"] + x @ p["a"]),
}


def sizes(program, xs=X):
    """Neurons, updates and spikes of all layers together."""
    out, account = joulax.count(program, weights=0, spikes=1)(P, xs)
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    jax.tree.map(same, out, program(P, xs))
    fields = ("neurons", "updates", "spikes")
    every = [[getattr(r, f) for r in account.values()] for f in fields]
    return tuple(sum(float(v) for v in values if v is not None) for values in every)


def over_time(step, looped):
    """Steps of a state and its spikes, in a scan or written out, and a readout."""

    return lambda p, xs: over_steps(lambda c, x: step(p, c, x), (Z, Z), xs, looped) @ p["b"]


def recurrent(current, reset, looped):
    def step(p, c, x):
        v, s = c
        v = current(p, 0.9 * v, x, s)
        s = spike(v - 0.3)
        return (reset(v, s), s), s

    return over_time(step, looped)


@pytest.mark.parametrize("reset", list(RESETS))
@pytest.mark.parametrize("current", list(CURRENTS))
def test_recurrent_neurons_are_those_of_the_scan(current, reset):
    """Two weights drive them in every step, in either order."""
    written, looped = (recurrent(CURRENTS[current], RESETS[reset], k) for k in (False, True))
    assert sizes(written) == sizes(looped)
    assert sizes(written)[:2] == (N, N * T)


@pytest.mark.parametrize("reset", list(RESETS))
def test_a_constant_current_drives_the_same_neurons_again_and_again(reset):
    """Direct encoding."""

    def program(p, x):
        i, v, out = x[0] @ p["a"] + 0.1, Z, []
        for _ in range(T):
            v = 0.9 * v + i
            s = spike(v - 0.3)
            v = RESETS[reset](v, s)
            out.append(s)
        return jnp.stack(out) @ p["b"]

    assert sizes(program)[:2] == (N, N * T)


def test_steps_without_input_are_steps_of_the_same_neurons():
    """Every second step only the recurrent weights drive them; a threshold adapts."""

    def program(p, xs):
        v, b, s, out = Z, Z, Z, []
        for k in range(T):
            v = 0.9 * v + s @ p["r"]
            v = v + xs[k] @ p["a"] if k % 2 == 0 else v
            s = spike(v - (0.3 + b))
            b = 0.8 * b + 0.2 * s
            v = v - 0.3 * s
            out.append(s)
        return jnp.stack(out) @ p["b"]

    assert sizes(program)[:2] == (N, N * T)
    account = joulax.count(program, weights=0, spikes=1)(P, X)[1]
    assert account["r"].updates is None  # they are in the record of what drove them first


def test_weights_that_take_turns_drive_the_same_neurons():
    def program(p, xs):
        v, out = Z, []
        for k in range(T):
            v = 0.9 * v + xs[k] @ p["ad"[k % 2]]
            s = spike(v - 0.3)
            v = v - 0.3 * s
            out.append(s)
        return jnp.stack(out) @ p["b"]

    assert sizes(program)[:2] == (N, N * T)


def test_a_readout_with_two_inputs_is_updated_once_in_a_step():
    def program(p, xs):
        y = jnp.zeros(3)
        for x in xs:
            s, r = spike(x @ p["a"] - 0.3), spike(x @ p["d"] - 0.3)
            y = 0.9 * y + s @ p["b"]
            y = y + r @ p["c"]
        return y

    assert sizes(program)[:2] == (2 * N + 3, 2 * N * T + 3 * T)


def test_neurons_behind_a_shortcut_are_others():
    """`fire(i + s @ w)` beside `s = fire(i)`: two layers, not two steps of one."""

    def program(p, x):
        i = x[0] @ p["a"]
        s = spike(i - 0.3)
        return spike(i + s @ p["r"] - 0.3) @ p["b"]

    assert sizes(program)[:2] == (2 * N, 2 * N)


def test_a_refractory_counter_is_no_neuron():
    """Written out as in a scan: spikes that come back only count down."""

    def program(p, xs):
        v, q, out = Z, Z, []
        for x in xs:
            v = 0.9 * v + x @ p["a"]
            s = ((v > 0.5) & (q <= 0)).astype(jnp.float32)
            v, q = v - 0.5 * s, jnp.where(s > 0, 2.0, jnp.maximum(q - 1, 0))
            out.append(s)
        return jnp.stack(out) @ p["b"]

    assert sizes(program)[:2] == (N, N * T)


CURRENTS_FIRST = {
    "in one sum": lambda v, a, b, fired: 0.9 * v + (a + b) - 0.3 * fired,
    "one after the other": lambda v, a, b, fired: 0.9 * v + a + b - 0.3 * fired,
    "in two lines": lambda v, a, b, fired: ((0.9 * v + a) - 0.3 * fired) + b,
    "to zero": lambda v, a, b, fired: 0.9 * v * (1 - fired) + a + b,
}


@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("second", ["d", "r"])
@pytest.mark.parametrize("update", list(CURRENTS_FIRST))
def test_a_reset_that_stands_between_the_currents_and_the_state(update, second, looped):
    """All currents of a step are made, then the spikes of the last step are taken back."""

    def step(p, c, x):
        v, s = c
        a, b = x @ p["a"], x @ p["d"] if second == "d" else s @ p["r"]
        v = CURRENTS_FIRST[update](v, a, b, spike(v - 0.3))
        s = spike(v - 0.3)
        return (v, s), s

    assert sizes(over_time(step, looped))[:2] == (N, N * T)


COUNTERS = {
    "an integer that runs down": (
        jnp.int32,
        lambda r: r <= 0,
        lambda r, s: jnp.where(s > 0, 2, r - 1),
    ),
    "a number above zero": (
        jnp.float32,
        lambda r: r <= 0,
        lambda r, s: jnp.maximum(r - 1, 0) + 2 * s,
    ),
    "one that is chosen": (
        jnp.float32,
        lambda r: r <= 0,
        lambda r, s: jnp.where(r > 0, r - 1, 2 * s),
    ),
    "a trace": (jnp.float32, lambda r: r < 0.5, lambda r, s: 0.8 * r + s),
    "all spikes so far": (jnp.float32, lambda r: r < 2, lambda r, s: r + s),
}


@pytest.mark.parametrize("recurrent_too", [False, True])
@pytest.mark.parametrize("counter", COUNTERS)
def test_currents_that_past_spikes_hold_back_are_those_of_the_scan(counter, recurrent_too):
    """Refractory neurons that take up nothing: the mask is no spike, its memory no neuron."""
    kind, there, after = COUNTERS[counter]

    def program(looped):
        def step(p, c, x):
            v, r, s = c
            current = x @ p["a"] + s @ p["r"] if recurrent_too else x @ p["a"]
            v = 0.9 * v + current * there(r).astype(v.dtype)
            s = spike(v - 0.3)
            return (v * (1 - s), after(r, s.astype(kind)), s), s

        start = (Z, jnp.zeros(N, kind), Z)
        return lambda p, xs: over_steps(lambda c, x: step(p, c, x), start, xs, looped) @ p["b"]

    found = sizes(program(False))
    assert found == sizes(program(True))
    assert found[:2] == (N, N * T)


def resonator(v, i):
    a, b = v
    a, b = a + 0.1 * (-0.5 * a - 2 * b + i), b + 0.1 * (2 * a - 0.5 * b)
    return (a, b), spike(b - 0.02)


def two_synapses(v, i):
    """The current waits for two steps before it reaches the membrane."""
    a, b, u = v
    u = 0.9 * u + b
    s = spike(u - 0.3)
    return (0.7 * a + i, 0.8 * b + a, u * (1 - s)), s


def trigger(v, i):
    """On above one limit, off below another."""
    u, on = v
    u = 0.9 * u + i
    on = jnp.where(u > 0.6, 1.0, jnp.where(u < 0.2, 0.0, on))
    return (u, on), on


def once(v, i):
    u, left = v
    u = 0.9 * u + i
    s = spike(u - 0.3) * left
    return (u, left * (1 - s)), s


NEURONS = {
    "resonator": (resonator, (Z, Z)),
    "two synapses": (two_synapses, (Z, Z, Z)),
    "trigger": (trigger, (Z, Z)),
    "once": (once, (Z, Z + 1)),
}


@pytest.mark.parametrize("states", [False, True], ids=["spikes", "all states"])
@pytest.mark.parametrize("looped", [True, False], ids=["scan", "written out"])
@pytest.mark.parametrize("neuron", NEURONS)
def test_states_that_lag_behind_their_current(neuron, looped, states):
    """A step ends where neurons fire, though of currents of earlier steps."""
    step, start = NEURONS[neuron]

    def run(p, xs):
        def one(v, x):
            v, s = step(v, x @ p["a"])
            return v, (v, s) if states else s

        return over_steps(one, start, xs, looped)

    spikes = over_steps(lambda v, x: step(v, x @ P["a"]), start, X, True)
    assert spikes.sum() > 0
    assert sizes(run) == (N, N * T, float(spikes.sum()))


def test_a_latch_that_goes_out_leaves_its_spikes():
    """What a loop leaves of `left` is who has not fired: those who have fired in any step."""
    step = lambda p: lambda v, x: (once(v, x @ p["a"])[0], None)
    run = lambda p, xs: lax.scan(step(p), (Z, Z + 1), xs)[0][1]
    fired = over_steps(lambda v, x: once(v, x @ P["a"]), (Z, Z + 1), X, True)
    assert 0 < fired.sum() < N * T
    assert sizes(run) == (N, N * T, float(fired.sum()))


def test_only_the_last_of_several_steps_is_not_told_by_the_others():
    """Spikes that leave in a sum, most of which have arrived in the next step already."""

    def run(looped):
        def step(p, c, x):
            v, s = c
            v = 0.9 * v + x @ p["a"] + s @ p["r"]
            s = spike(v - 0.3)
            return (v - s, s), s

        return lambda p, xs: over_steps(lambda c, x: step(p, c, x), (Z, Z), xs, looped).sum(0)

    fired = float(run(True)(P, X).sum())
    assert fired > 0
    assert sizes(run(True)) == sizes(run(False)) == (N, N * T, fired)
