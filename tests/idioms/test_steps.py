"""Several currents, layers and readouts in one step: a loop written out is the scan."""

import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .common import f32, over_steps

RNG = np.random.default_rng(12)
STEPS, INPUTS, N, OUT = 5, 6, 7, 3
P = {
    "w": f32(RNG.normal(size=(INPUTS, N))),
    "r": f32(RNG.normal(size=(N, N))),
    "i": f32(RNG.uniform(0, 0.5, (INPUTS, N))),
    "o": f32(RNG.normal(size=(INPUTS, OUT))),
}
X = f32(RNG.random((STEPS, INPUTS)) < 0.5)
Z = jnp.zeros(N, jnp.float32)
LOOPS = pytest.mark.parametrize("looped", [True, False], ids=["scan", "written out"])


def count(fn, **options):
    return joulax.count(fn, weights=0, spikes=1, **options)(P, X)[1]


def fires(v):
    return jnp.float32(v > 0.8)


def two_synapses(p, state, x):
    """Excitation and inhibition, each with a decay and a weight of its own."""
    ge, gi, v = state
    ge, gi = 0.7 * ge + x @ p["w"], 0.8 * gi + x @ p["i"]
    v = 0.9 * v + ge - gi
    s = fires(v)
    return (ge, gi, v - s), s


def conductances(p, state, x):
    ge, gi, v = state
    ge, gi = 0.7 * ge + x @ p["w"], 0.8 * gi + x @ p["i"]
    v = v + 0.1 * (-v + ge * (2.0 - v) + gi * (-0.5 - v))
    s = fires(v)
    return (ge, gi, jnp.where(s > 0, 0.0, v)), s


def late_synapses(p, state, x):
    """Currents that are used one step later."""
    ge, gi, v = state
    v = 0.9 * v + ge - gi
    s = fires(v)
    return (0.7 * ge + x @ p["w"], 0.8 * gi + x @ p["i"], v - s), s


def adaptive(p, state, x):
    """A current, and a threshold that grows with spikes."""
    i, v, a = state
    i = 0.7 * i + x @ p["w"]
    v = 0.9 * v + i
    s = fires(v - 0.3 * a)
    return (i, v - s, 0.9 * a + 0.2 * s), s


def adapting_late(p, state, x):
    """The current of the last step, and an adaptation current."""
    i, v, a = state
    now = 0.7 * i + x @ p["w"]
    v = 0.9 * v + i - a
    s = fires(v)
    return (now, v - s, 0.9 * a + 0.2 * s), s


NEURONS = [two_synapses, conductances, late_synapses, adaptive, adapting_late]


@LOOPS
@pytest.mark.parametrize("step", NEURONS, ids=lambda step: step.__name__)
def test_neurons_with_states_of_their_own_for_each_current(step, looped):
    """As many updates as neurons and steps, whatever the order of the states in a step."""
    run = lambda p, xs: over_steps(lambda s, x: step(p, s, x), (Z, Z, Z), xs, looped)
    spikes = float(run(P, X).sum())
    assert spikes > 0
    records = count(run).values()
    assert [float(r.neurons) for r in records if r.neurons is not None] == [N]
    assert sum(float(r.updates) for r in records if r.updates is not None) == N * STEPS
    assert sum(float(r.spikes) for r in records if r.spikes is not None) == spikes
    each = (int(np.asarray(X).sum()) * N,) * (1 if step in (adaptive, adapting_late) else 2)
    assert tuple(float(r.ac) for r in records) == each


USES = {
    "all": lambda s: s,
    "rates": lambda s: s.mean(0),
    "counts": lambda s: s.sum(0),
    "one number": lambda s: s.mean(),
    "the largest count": lambda s: s.sum(0).argmax(),
    "times of the first": lambda s: s.argmax(0),
    "a running sum": lambda s: s.cumsum(0),
}


@LOOPS
@pytest.mark.parametrize("use", USES)
def test_a_layer_behind_a_shortcut(use, looped):
    """Spikes that are added to the current of the next layer; only its rates are used."""

    def run(p, xs):
        def step(state, x):
            v, q = state
            v = 0.9 * v + x @ p["w"]
            s = fires(v)
            q = 0.9 * q + s @ p["r"] + s
            o = fires(q)
            return (v - s, q - o), (s, o)

        return over_steps(step, (Z, Z), xs, looped)

    first, second = (float(s.sum()) for s in run(P, X))
    account = count(lambda p, xs: USES[use](run(p, xs)[1]))
    found = {n: (float(a.neurons), float(a.updates), float(a.spikes)) for n, a in account.items()}
    assert found == {"w": (N, N * STEPS, first), "r": (N, N * STEPS, second)}


READS = {"each step": lambda y: y, "the last": lambda y: y[-1], "their mean": lambda y: y.mean(0)}


@LOOPS
@pytest.mark.parametrize("read", READS)
def test_a_leaky_readout_of_currents_made_at_once(read, looped):
    """What decays and takes up the next step's current are neurons; a sum over time is not."""

    def run(p, xs, leak):
        def step(y, current):
            y = leak * y + current
            return y, y

        return over_steps(step, jnp.zeros(OUT, jnp.float32), xs @ p["o"], looped)

    record = count(lambda p, xs: READS[read](run(p, xs, 0.9)))["o"]
    assert (float(record.neurons), float(record.updates)) == (OUT, OUT * STEPS)
    if not looped:
        assert count(lambda p, xs: READS[read](run(p, xs, 1.0)))["o"].neurons is None


LEAKS = {
    "a decay": lambda v, i: 0.9 * v + i,
    "some of the way": lambda v, i: v + (i - v) / 5.0,
    "less a share": lambda v, i: v - v / 5.0 + i,
    "half": lambda v, i: v / 2.0 + i,
}


@LOOPS
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("leak", LEAKS)
def test_forms_of_a_leak(leak, at_once, looped):
    def run(p, xs):
        def step(v, x):
            v = LEAKS[leak](v, x if at_once else x @ p["o"])
            return v, v

        return over_steps(step, jnp.zeros(OUT, jnp.float32), xs @ p["o"] if at_once else xs, looped)

    record = count(run)["o"]
    assert (float(record.neurons), float(record.updates)) == (OUT, OUT * STEPS)


MIXED = {
    "smoothed": lambda y: 0.5 * y[1:] + 0.5 * y[:-1],
    "halves": lambda y: 0.3 * y[:2] + 0.7 * y[2:4],
    "two samples": lambda y: 0.5 * y[0] + 0.5 * y[1],
    "a mean": lambda y: sum((y[t] * 0.2 for t in range(1, STEPS)), y[0] * 0.2),
    "a share of each": lambda y: sum((y[t] / 5.0 for t in range(1, STEPS)), y[0] / 5.0),
    "discounted": lambda y: sum((0.5**t * y[t] for t in range(1, STEPS)), y[0]),
}


@pytest.mark.parametrize("mixed", MIXED)
def test_weighted_sums_over_time_are_no_neurons(mixed):
    record = count(lambda p, xs: MIXED[mixed](xs @ p["o"]))["o"]
    assert (record.neurons, record.updates) == (None, None)


@pytest.mark.parametrize("places", [2, 3])
def test_delays_by_a_ring_of_currents(places):
    """Currents that wait in a row of a buffer: neurons are updated when a current has come."""

    def run(p, xs):
        v, ring, out = Z, jnp.zeros((places, N), jnp.float32), []
        for t in range(STEPS):
            current = ring[t % places]
            ring = ring.at[t % places].set(0.0)
            ring = ring.at[(t + places - 1) % places].add(xs[t] @ p["w"])
            v = 0.9 * v + current
            s = fires(v)
            v = v - s
            out.append(s)
        return jnp.stack(out)

    record = count(run)["w"]
    assert float(record.neurons) == N
    assert float(record.spikes) == float(run(P, X).sum())
    assert float(record.updates) == N * (STEPS - places + 1)  # no current has come before


ORDER = np.array([3, 0, 4, 1, 5, 2])
PICKED = {
    "rows": lambda w, x: x[ORDER] @ w[ORDER],
    "columns": lambda w, x: x @ w[:, [2, 0, 1, 6, 5, 4, 3]],
    "taken": lambda w, x: jnp.take(x, ORDER) @ jnp.take(w, ORDER, axis=0),
}


@LOOPS
@pytest.mark.parametrize("picked", PICKED)
def test_synapses_of_an_order_that_every_step_writes_anew(picked, looped):
    """The same constant in every step, though each step makes an array of it."""

    def run(p, xs):
        def step(v, x):
            v = 0.9 * v + PICKED[picked](p["w"], x)
            s = fires(v)
            return v - s, s

        return over_steps(step, Z, xs, looped)

    record = count(run)["w"]
    assert (float(record.synapses), float(record.neurons)) == (INPUTS * N, N)
    assert float(record.updates) == N * STEPS
