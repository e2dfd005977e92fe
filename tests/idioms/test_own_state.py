"""What a population makes of its own state: masks of its past, winners, counters that gate.

Spikes are those of the last value made only of the population; its state is no other population.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import f32

T, N = 6, 7
RNG = np.random.default_rng(0)
P = {"a": f32(RNG.normal(size=(5, N)) * 0.6 + 0.2), "b": f32(RNG.normal(size=(N, 3)))}
X = f32(RNG.random((T, 5)) < 0.5)
Z, NEVER = jnp.zeros(N), jnp.zeros(N, bool)
STEPS, WHOLE = {}, {}  # steps of a scan with their first state; functions of all time steps


@pytest.fixture(autouse=True)
def as_users_write():
    """Booleans times floats, rows against matrices."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def step(name, *state):
    """Register a step: (params, state, x) to (state, spikes)."""
    return lambda f: STEPS.setdefault(name, (f, state if len(state) > 1 else state[0]))


def whole(name):
    """Register a function of the currents of all steps that gives spikes."""
    return lambda f: WHOLE.setdefault(name, f)


@step("not right after a spike", Z, NEVER)
def _(p, c, x):
    v, prev = c
    v = 0.9 * v + x @ p["a"]
    s = (v > 0.3) & ~prev
    return (v, s), s


@step("not right after a spike, in floats", Z, Z)
def _(p, c, x):
    v, prev = c
    v = 0.9 * v + x @ p["a"]
    s = (v > 0.3) * (1 - prev)
    return (v, s), s


@step("one spike each", Z, NEVER)
def _(p, c, x):
    v, done = c
    v = v + x @ p["a"]
    s = (v > 0.5) & ~done
    return (v, done | s), s


@step("one spike each, by its count", Z, jnp.zeros(N, int))
def _(p, c, x):
    v, fired = c
    v = v + x @ p["a"]
    s = (v > 0.5) & (fired == 0)
    return (v, fired + s), s


@step("one spike each, by its time", Z, jnp.full(N, jnp.inf), jnp.zeros(()))
def _(p, c, x):
    v, when, t = c
    v = v + x @ p["a"]
    s = (v > 0.5) & jnp.isinf(when)
    return (v, jnp.where(s, t, when), t + 1), s


@step("a choice by what has fired", Z, Z)
def _(p, c, x):
    v, done = c
    v = v + x @ p["a"]
    s = jnp.where(done > 0, 0.0, (v > 0.5) * 1.0)
    return (v, jnp.maximum(done, s)), s


@step("the largest fires", Z)
def _(p, v, x):
    v = 0.9 * v + x @ p["a"]
    s = (v == v.max()) & (v > 0.3)
    return v - s, s


@step("the winner by its number, above threshold", Z)
def _(p, v, x):
    v = 0.9 * v + x @ p["a"]
    s = jax.nn.one_hot(jnp.argmax(v), N) * (v > 0.3)
    return v - s, s


@step("the winner by its number", Z)
def _(p, v, x):
    v = 0.9 * v + x @ p["a"]
    s = jax.nn.one_hot(jnp.argmax(v), N)
    return v - s, s


@step("a one where the winner is", Z)
def _(p, v, x):
    v = 0.9 * v + x @ p["a"]
    s = jnp.zeros(N).at[jnp.argmax(v)].set(1.0)
    return v - s, s


@step("a counter clamps the voltage", Z, Z)
def _(p, c, x):
    v, r = c
    v = jnp.where(r > 0, 0.0, 0.9 * v + x @ p["a"])
    s = (v > 0.3) * 1.0
    return (v - s * 0.3, jnp.maximum(r - 1, 0) + 2 * s), s


@step("a trace raises the threshold", Z, Z)
def _(p, c, x):
    v, r = c
    v = 0.9 * v + x @ p["a"]
    s = (v > 0.3 + 0.1 * (r > 0.5)) * 1.0
    return (v - s * 0.3, 0.8 * r + s), s


whole("not below")(lambda h: ~(h < 0.3))
whole("not at most")(lambda h: jnp.logical_not(h <= 0.3))
whole("one minus below")(lambda h: 1.0 - (h <= 0.3))
whole("the maximum")(lambda h: (h == h.max(-1, keepdims=True)) * 1.0)
whole("half of sign and one")(lambda h: (jnp.sign(h - 0.3) + 1) / 2)
whole("half a sign and a half")(lambda h: jnp.sign(h - 0.3) * 0.5 + 0.5)
whole("heaviside, a half at zero")(lambda h: jnp.heaviside(h - 0.3, 0.5))
whole("heaviside, none at zero")(lambda h: jnp.heaviside(h - 0.3, 0.0))
whole("no NaN")(lambda h: jnp.nan_to_num((h > 0.3) * 1.0))
whole("masked by ones")(lambda h: (h > 0.3) * (1 - jnp.zeros(N)))


def run_steps(name):
    f, start = STEPS[name]

    def program(p, xs):
        def one(c, x):
            c, s = f(p, c, x)
            return c, (s @ p["b"], s)

        return lax.scan(one, start, xs)[1]

    return program


def unroll(name):
    f, start = STEPS[name]

    def program(p, xs):
        c, outs = start, []
        for t in range(T):
            c, s = f(p, c, xs[t])
            outs.append(s)
        s = jnp.stack(outs)
        return s @ p["b"], s

    return program


def of_all(name):
    def program(p, xs):
        s = WHOLE[name](xs @ p["a"])
        return s @ p["b"], s

    return program


def check(program):
    counted = joulax.count(program, weights=0, spikes=1)
    (out, spikes), account = counted(P, X)
    for found, plain in zip((out, spikes), program(P, X), strict=True):
        np.testing.assert_array_equal(found, plain)
    fired = float(np.count_nonzero(np.asarray(spikes)))
    assert 0 < fired
    a, b = account["a"], account["b"]
    assert list(account) == ["a", "b"]
    assert (float(a.spikes), float(a.updates), float(a.neurons)) == (fired, T * N, N)
    assert (b.mac, float(b.ac), float(b.dense_ac)) == (None, 3 * fired, 3 * N * T)
    _, jitted = jax.jit(counted)(P, X)
    assert jax.tree.all(jax.tree.map(lambda x, y: float(x) == float(y), account, jitted))


@pytest.mark.parametrize("name", STEPS)
def test_state_in_a_scan(name):
    check(run_steps(name))


@pytest.mark.parametrize("name", [n for n in STEPS if n[:2] in ("no", "on", "th")])
def test_state_unrolled(name):
    check(unroll(name))


@pytest.mark.parametrize("name", WHOLE)
def test_spikes_by_their_values(name):
    check(of_all(name))


def test_levels_are_as_many_events():
    """Two events where the voltage is far above: graded once."""

    def program(p, xs):
        h = xs @ p["a"]
        s = jnp.where(h > 1.0, 2.0, jnp.where(h > 0.3, 1.0, 0.0))
        return s @ p["b"], s

    (_, s), account = joulax.count(program, weights=0, spikes=1)(P, X)
    assert float(account["a"].spikes) == float(s.sum()) > np.count_nonzero(s)
    assert float(account["a"].spikes_graded) == np.count_nonzero(s)
    assert float(account["b"].ac) == 3 * float(s.sum())
    assert float(account["b"].ac_graded) == 3 * np.count_nonzero(s)


@pytest.mark.parametrize(
    "bias",
    [
        lambda x: jnp.concatenate([x, jnp.ones((T, 1))], 1),
        lambda x: jnp.pad(x, ((0, 0), (0, 1)), constant_values=1),
        lambda x: jnp.zeros((T, 6)).at[:, :5].set(x).at[:, 5].set(1.0),
    ],
)
def test_a_column_of_ones_is_spikes(bias):
    w = f32(RNG.normal(size=(6, N)))
    account = joulax.count(lambda p, x: bias(x) @ p["w"], weights=0, spikes=1)({"w": w}, X)[1]
    assert account["w"].mac is None
    assert float(account["w"].ac) == (float(X.sum()) + T) * N


def test_rows_times_analog_numbers_are_multiplied():
    rows, gates = jnp.array([0, 2, 2, 4]), f32([0.5, 1.0, 2.0, 0.3])
    mixed = lambda p, i, g: (p["a"][i] * g[:, None]).sum(0)
    account = joulax.count(mixed, weights=0)(P, rows, gates)[1]
    assert (account["a"].ac, float(account["a"].mac)) == (None, 4 * N)


def test_a_row_that_is_normalised_is_arithmetic():
    def program(p, x):
        row = p["b"][jnp.argmax(x)]
        row = row - row.mean()
        return row / jnp.sqrt((row * row).mean() + 1.0)

    record = joulax.count(program, weights=0, spikes=1)(P, X[0])[1]["b"]
    assert (record.ac, record.mac, float(record.lookups)) == (None, None, 3)


def lif(p, v, x):
    v = 0.9 * v + x @ p["a"]
    s = (v > 0.5) * 1.0
    return v - s, s


def test_a_buffer_of_outputs_is_no_state():
    def program(p, xs):
        def body(t, c):
            v, s = lif(p, c[0], xs[t])
            return v, c[1].at[t].set(s @ p["b"])

        return lax.fori_loop(0, T, body, (Z, jnp.zeros((T, 3))))[1]

    account = joulax.count(program, weights=0, spikes=1)(P, X)[1]
    assert account["b"].updates is None
    assert float(account["a"].updates) == T * N


def test_what_decides_how_long_a_loop_runs_is_no_neuron():
    def program(p, xs):
        def body(c):
            t, v, out = c
            v, s = lif(p, v, xs[t])
            return t + 1, v, out + s @ p["b"]

        more = lambda c: (c[0] < T) & (jax.nn.softmax(c[2]).max() < 2)
        return lax.while_loop(more, body, (0, Z, jnp.zeros(3)))[2]

    account = joulax.count(program, weights=0, spikes=1)(P, X)[1]
    assert (float(account["b"].neurons), float(account["b"].updates)) == (3, 3 * T)


def test_a_loop_with_a_stop_of_its_own_for_each_sample():
    """Samples that have stopped are counted no more, in a `vmap` and around it."""
    w = jnp.abs(P["a"])
    grow = lambda x: lax.while_loop(lambda v: v.max() < 5, lambda v: v + x @ w + 0.1, Z)
    (batch,) = joulax.count(jax.vmap(grow), spikes=0)(X)[1].values()
    account = jax.vmap(joulax.count(grow, spikes=0))(X)[1]
    assert len(set(np.asarray(account["w"].dense_ac).tolist())) > 1
    for field in ("ac", "dense_ac", "updates"):
        assert float(getattr(batch, field)) == float(getattr(account["w"], field).sum())


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 8])
def test_a_leaky_sum_in_parallel(steps):
    """Halves of two steps are empty: no layer. Each step updates what decays."""
    add = lambda left, right: (left[0] * right[0], right[0] * left[1] + right[1])
    decay = lambda xs: jnp.full((len(xs), N), 0.9)
    program = lambda p, xs: lax.associative_scan(add, (decay(xs), xs @ p["a"]))[1]
    account = joulax.count(program, weights=0, spikes=1)(P, X.repeat(2, 0)[:steps])[1]
    assert float(account["a"].ac) == N * float(X.repeat(2, 0)[:steps].sum())
    assert account["a"].updates is None if steps == 1 else float(account["a"].updates) == N * steps


def test_packed_bits_are_refused():
    w, x = jnp.ones((4, 2), jnp.uint32), jnp.ones(2, jnp.uint32)
    xnor = lambda w, x: lax.population_count(~(x ^ w)).sum(-1)
    with pytest.raises(ValueError, match="packed in bits"):
        joulax.count(xnor, weights=0)(w, x)


SLICED = {
    "two readouts": lambda h: (h[:, :3] > 0.3, h[:, 3:] > 0.3),
    "split": lambda h: [part > 0.3 for part in jnp.split(h, (3,), axis=1)],
    "relu and spikes": lambda h: (jax.nn.relu(h[:, :3]), h[:, 3:] > 0.3),
}


@pytest.mark.parametrize("name", SLICED)
def test_slices_of_a_current_that_never_meet_are_populations(name):
    """E and I, two heads: their neurons add up; gates of one cell meet, and are one population."""
    p = {"a": P["a"], "b": P["b"][:3], "c": P["b"][3:]}

    def program(p, xs):
        left, right = SLICED[name](xs @ p["a"])
        return left @ p["b"], right @ p["c"], left, right

    (*_, left, right), account = joulax.count(program, weights=0, spikes=1)(p, X)
    assert (float(account["a"].neurons), float(account["a"].updates)) == (N, T * N)
    spikes = sum(int(np.count_nonzero(s)) for s in (left, right) if s.dtype == bool)
    assert float(account["a"].spikes) == spikes


def test_halves_of_a_layer_with_states_of_their_own():
    def step(p, c, x):
        v, u = c
        i = x @ p["a"]
        v, u = 0.9 * v + i[:3], u + i[3:]
        s = jnp.concatenate([v > 0.5, u > 0.5])
        return (v - s[:3], u - s[3:]), (s @ p["b"], s)

    def program(p, xs):
        return lax.scan(lambda c, x: step(p, c, x), (jnp.zeros(3), jnp.zeros(4)), xs)[1]

    counting = joulax.count(program, weights=0, spikes=1)
    (_, s), account = counting(P, X)
    assert (float(account["a"].neurons), float(account["a"].updates)) == (N, T * N)
    assert float(account["a"].spikes) == np.count_nonzero(s)
    by_neuron = joulax.count(program, weights=0, spikes=1, neurons=True)(P, X)[1]
    assert float(by_neuron["a"].updates.sum()) == T * N


def test_a_half_that_inhibits_the_other_by_its_sum():
    def program(p, xs):
        h = xs @ p["a"]
        return (h[:, :5] - jax.nn.relu(h[:, 5:]).sum(1, keepdims=True) > 0.3) @ p["b"][:5]

    account = joulax.count(program, weights=0, spikes=1)(P, X)[1]
    assert (float(account["a"].neurons), float(account["a"].updates)) == (N, T * N)


def test_halves_of_a_layer_behind_its_activation():
    def program(p, xs):
        h = jax.nn.relu(xs @ p["a"])
        return jnp.tanh(h[:, :3]) @ p["b"][:3], jnp.tanh(h[:, 3:]) @ p["b"][3:]

    account = joulax.count(program, weights=0, spikes=1)(P, X)[1]
    assert (float(account["a"].neurons), float(account["a"].updates)) == (N, T * N)


@pytest.mark.parametrize("pool", [jnp.maximum, jnp.logical_or])
def test_pooling_by_slices_comes_after_the_spikes(pool):
    def program(p, xs):
        s = xs @ p["a"][:, :6] > 0.3
        return pool(s[:, ::2], s[:, 1::2]) @ p["b"][:3], s

    (_, s), account = joulax.count(program, weights=0, spikes=1)(P, X)
    assert float(account["a"].spikes) == np.count_nonzero(s)


def test_masks_of_another_population_come_after_the_spikes():
    p = P | {"u": f32(RNG.normal(size=(N, N)) * 0.5 + 0.2)}

    def step(p, c, x):
        v, w = c
        v = 0.9 * v + x @ p["a"]
        a = v > 0.3
        w = 0.9 * w + a @ p["u"]
        b = w > 0.4
        return (v, w), ((b & ~a) @ p["b"], a, b)

    program = lambda p, xs: lax.scan(lambda c, x: step(p, c, x), (Z, Z), xs)[1]
    (_, a, b), account = joulax.count(program, weights=0, spikes=1)(p, X)
    assert float(account["a"].spikes) == np.count_nonzero(a)
    assert float(account["u"].spikes) == np.count_nonzero(b)


def test_halves_of_one_size_stand_beside_each_other():
    """By neuron: the spikes of one half are not added to those of the other."""

    def program(p, xs):
        h = xs @ p["a"][:, :6]
        return (h[:, :3] > 0.3) @ p["b"][:3], (h[:, 3:] > 0.6) @ p["b"][3:6], h

    counting = joulax.count(program, weights=0, spikes=1, neurons=True)
    (*_, h), account = counting(P, X)
    fired = np.concatenate([(h[:, :3] > 0.3).sum(0), (h[:, 3:] > 0.6).sum(0)])
    np.testing.assert_array_equal(account["a"].spikes, fired)
    np.testing.assert_array_equal(account["a"].updates, np.full(6, T))
    by_step = joulax.count(program, weights=0, spikes=1, steps=T)(P, X)[1]
    steps = np.asarray((h[:, :3] > 0.3).sum(1) + (h[:, 3:] > 0.6).sum(1))
    np.testing.assert_array_equal(by_step["a"].spikes, steps)


def test_gates_of_a_cell_are_one_population():
    p = {"a": f32(RNG.normal(size=(5, 4 * N)))}

    def program(p, x):
        i, f, g, o = jnp.split(x @ p["a"], 4)
        c = jax.nn.sigmoid(f + 1.0) + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c)

    account = joulax.count(program, weights=0, spikes=1)(p, X[0])[1]
    assert (float(account["a"].neurons), float(account["a"].updates)) == (N, N)


def test_a_weight_of_ones_that_is_closed_over_keeps_its_name():
    ones = jnp.ones((5, N))
    program = lambda p, x: (x @ ones > 1.0) @ p["b"]
    account = joulax.count(program, weights=0, spikes=1)(P, X[0])[1]
    record = account["ones"]
    assert float(record.ac) == N * float(X[0].sum())
    assert (float(record.synapses), float(record.nonzero), record.neurons) == (5 * N, 5 * N, N)
