"""Time written as a Python loop, sizes of state beside the population, masks with a memory.

Each program states its own spikes; neurons and updates are those of `T` steps of `N` neurons.
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
Z = jnp.zeros(N)
SCANNED, UNROLLED = {}, {}


@pytest.fixture(autouse=True)
def as_users_write():
    """Booleans times floats, rows against matrices."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def scanned(name, *state):
    """Register a step: (params, state, x) to (state, spikes)."""
    return lambda f: SCANNED.setdefault(name, (f, state if len(state) > 1 else state[0]))


def unrolled(name):
    """Register a function of the currents of all steps that gives the spikes of all steps."""
    return lambda f: UNROLLED.setdefault(name, f)


# -- time as a Python loop over currents that were made at once ------------------------------


@unrolled("compared step by step")
def _(h):
    return [h[t] > 0.3 for t in range(T)]


@unrolled("an activation step by step, then a threshold")
def _(h):
    return [jnp.tanh(i) > 0.3 for i in h]


@unrolled("integrate and fire")
def _(h):
    v, out = Z, []
    for t in range(T):
        v = 0.9 * v + h[t]
        s = (v > 0.3) * 1.0
        v = v - s * 0.3
        out.append(s)
    return out


@unrolled("integrate and fire over what unstack gives")
def _(h):
    v, out = Z, []
    for i in jnp.split(h, T):
        v = 0.9 * v + i[0]
        s = v > 0.3
        v = jnp.where(s, 0.0, v)
        out.append(s)
    return out


@unrolled("two halves of time")
def _(h):
    return [h[:3] > 0.3, h[3:] > 0.3]


@unrolled("even and odd steps")
def _(h):
    return [h[::2] > 0.3, h[1::2] > 0.5]


# -- masks with a memory, unrolled -----------------------------------------------------------


@unrolled("a countdown in floats")
def _(h):
    v, k, out = Z, Z, []
    for t in range(T):
        v = 0.9 * v + h[t]
        s = (v > 0.3) & (k <= 0)
        k = jnp.where(s, 2.0, k - 1.0)
        out.append(s)
    return out


@unrolled("a countdown that multiplies")
def _(h):
    k, out = Z, []
    for t in range(T):
        s = (h[t] > 0.3) * (k == 0)
        k = jnp.where(s > 0, 2.0, jnp.maximum(k - 1.0, 0.0))
        out.append(s)
    return out


@unrolled("a latch")
def _(h):
    o, out = jnp.zeros(N, bool), []
    for t in range(T):
        o = ((h[t] > 0.6) | o) & (h[t] > 0.1)
        out.append(o)
    return out


@unrolled("once only")
def _(h):
    done, out = jnp.zeros(N, bool), []
    for t in range(T):
        s = (h[t] > 0.3) & ~done
        done = done | s
        out.append(s)
    return out


# -- a number beside the state ------------------------------------------------------------


@scanned("a threshold that follows the mean activity", Z, jnp.zeros(()))
def _(p, c, x):
    v, low = c
    v = 0.9 * v + x @ p["a"]
    s = v > 0.3 + low
    return (v - s, 0.9 * low + 0.1 * (v**2).mean()), s


@scanned("inhibition by how many fired", Z, jnp.zeros(()))
def _(p, c, x):
    v, g = c
    v = 0.9 * v + x @ p["a"] - 0.1 * g
    s = v > 0.3
    return (v - s, 0.9 * g + s.sum()), s


@scanned("a gain that keeps the norm", Z, jnp.ones(()))
def _(p, c, x):
    v, g = c
    v = 0.9 * v + g * (x @ p["a"])
    s = v > 0.3
    return (v - s, g + 0.1 * (1.0 - jnp.linalg.norm(v))), s


@scanned("a penalty that the loop adds up", Z, jnp.zeros(()))
def _(p, c, x):
    v, low = c
    v = 0.9 * v + x @ p["a"]
    s = v > 0.3
    return (v - s, low + (v**2).mean()), s


@scanned("the largest voltage so far", Z, jnp.zeros(()))
def _(p, c, x):
    v, m = c
    v = 0.9 * v + x @ p["a"]
    s = v > 0.3
    return (v - s, jnp.maximum(m, v.max())), s


# -- masks that are functions of past spikes --------------------------------------------------


def mask(name, f):
    """Two past steps of spikes silence the next ones, as a function of both."""

    def step(p, c, x):
        v, q, r = c
        v = 0.9 * v + x @ p["a"]
        s = (v > 0.3) * f(q, r)
        return (v - s * 0.3, s, q), s

    SCANNED[name] = step, (Z, Z, Z)


mask("one minus the larger", lambda q, r: 1 - jnp.maximum(q, r))
mask("one minus at most one", lambda q, r: 1 - jnp.minimum(q, 1))
mask("one minus the magnitude", lambda q, r: 1 - jnp.abs(q))
mask("the square of its complement", lambda q, r: (1 - q) ** 2)
mask("the product of complements", lambda q, r: (1 - q) * (1 - r))
mask("where none of them", lambda q, r: jnp.where(q + r > 0, 0.0, 1.0))


@scanned("one minus the largest of a history", Z, jnp.zeros((3, N)))
def _(p, c, x):
    v, h = c
    v = 0.9 * v + x @ p["a"]
    s = (v > 0.3) * (1 - h.max(0))
    return (v - s * 0.3, jnp.concatenate([s[None], h[:-1]])), s


@scanned("none in a history", Z, jnp.zeros((3, N), bool))
def _(p, c, x):
    v, h = c
    v = 0.9 * v + x @ p["a"]
    s = (v > 0.3) & ~h.any(0)
    return (v - s * 0.3, jnp.roll(h, 1, 0).at[0].set(s)), s


# -- programs -----------------------------------------------------------------------------


def program_of(name):
    """The program, from (params, inputs) to what a readout makes of the spikes, and the spikes."""
    if name in UNROLLED:

        def program(p, xs):
            s = UNROLLED[name](xs @ p["a"])
            return [i.astype(jnp.float32) @ p["b"] for i in s], s

        return program
    step, start = SCANNED[name]

    def stepped(p, c, x):
        c, s = step(p, c, x)
        return c, (s.astype(jnp.float32) @ p["b"], s)

    return lambda p, xs: lax.scan(lambda c, x: stepped(p, c, x), start, xs)[1]


@pytest.mark.parametrize("name", [*UNROLLED, *SCANNED])
def test_neurons_updates_and_spikes(name):
    (_, s), account = joulax.count(program_of(name), weights=0, spikes=1)(P, X)
    fired = sum(int(np.count_nonzero(i)) for i in jax.tree.leaves(s))
    a = account["a"]
    found = float(a.neurons), float(a.updates), float(a.spikes), float(a.spikes_graded)
    assert found == (N, T * N, fired, fired)
    assert float(account["b"].ac) == 3 * fired
    assert "input[0]" not in account.layers


@pytest.mark.parametrize("name", list(UNROLLED))
def test_by_neuron(name):
    (_, s), account = joulax.count(program_of(name), weights=0, spikes=1, neurons=True)(P, X)
    fired = sum(np.reshape(i, (-1, N)).astype(np.float32).sum(0) for i in jax.tree.leaves(s))
    np.testing.assert_array_equal(account["a"].spikes, fired)
    np.testing.assert_array_equal(account["a"].updates, np.full(N, T))


def test_activations_without_spikes_step_by_step():
    program = lambda p, xs: [jnp.tanh(i) @ p["b"] for i in xs @ p["a"]]
    account = joulax.count(program, weights=0, spikes=1)(P, X)[1]
    assert (float(account["a"].neurons), float(account["a"].updates)) == (N, T * N)


def test_a_batch_in_two_halves():
    xs = f32(RNG.random((4, 5)) < 0.5)

    def program(p, x):
        h = x @ p["a"]
        return jnp.tanh(h[:2]) @ p["b"], jax.nn.relu(h[2:]) @ p["b"]

    account = joulax.count(program, weights=0, spikes=1)(P, xs)[1]
    assert (float(account["a"].neurons), float(account["a"].updates)) == (N, 4 * N)


def test_a_part_of_a_batch_that_is_used_alone():
    xs = f32(RNG.random((4, 5)) < 0.5)
    program = lambda p, x: jnp.tanh((x @ p["a"])[:2]) @ p["b"]
    account = joulax.count(program, weights=0, spikes=1)(P, xs)[1]
    assert (float(account["a"].neurons), float(account["a"].updates)) == (N, 2 * N)


def test_the_last_step_alone_of_a_loop_of_states():
    """Every step is a state of the next, though only the last one leaves."""

    def program(p, xs):
        v = Z
        for i in xs @ p["a"]:
            v = jnp.tanh(0.9 * v + i)
        return v @ p["b"]

    account = joulax.count(program, weights=0, spikes=1)(P, X)[1]
    assert (float(account["a"].neurons), float(account["a"].updates)) == (N, T * N)


@pytest.mark.parametrize(
    "levels",
    [
        lambda h: (h > 0.3) * 1.0 + (h > 0.6) * 1.0,
        lambda h: (h > 0.3) * 1.0 + (h > 0.6) + (h > 0.9),
        lambda h: (h > 0.3) * 1.0 - (h < -0.3) + (h > 0.6),
    ],
)
def test_levels_that_are_added(levels):
    program = lambda p, xs: (lambda s: (s @ p["b"], s))(levels(xs @ p["a"]))
    (_, s), account = joulax.count(program, weights=0, spikes=1)(P, X)
    a = account["a"]
    assert float(a.spikes_graded) == np.count_nonzero(s)
    assert float(a.spikes) == float(np.abs(s).sum())
    assert (float(a.neurons), float(a.updates)) == (N, T * N)


def test_two_loops_over_slices_of_one_current():
    """A warm-up, and then the rest."""

    def step(p, v, i):
        v = 0.9 * v + i
        s = (v > 0.3) * 1.0
        return v - 0.3 * s, (s @ p["b"], s)

    def program(p, xs):
        h = xs @ p["a"]
        v, early = lax.scan(lambda v, i: step(p, v, i), Z, h[:2])
        return early, lax.scan(lambda v, i: step(p, v, i), v, h[2:])[1]

    ((_, s), (_, r)), account = joulax.count(program, weights=0, spikes=1)(P, X)
    assert (float(account["a"].neurons), float(account["a"].updates)) == (N, T * N)
    assert float(account["a"].spikes) == np.count_nonzero(s) + np.count_nonzero(r)


def test_a_buffer_of_time_in_the_state():
    """The loop ends although every step slices what the step before has sliced."""

    def step(p, h, x):
        h = jnp.concatenate([h[1:], (x @ p["a"])[None]])
        s = h.mean(0) > 0.2
        return h, (s @ p["b"], s)

    program = lambda p, xs: lax.scan(lambda c, x: step(p, c, x), jnp.zeros((3, N)), xs)[1]
    (_, s), account = joulax.count(program, weights=0, spikes=1)(P, X)
    found = float(account["a"].neurons), float(account["a"].updates), float(account["a"].spikes)
    assert found == (N, T * N, np.count_nonzero(s))


@pytest.mark.parametrize(
    "parts",
    [
        [slice(None, None, 2), slice(1, None, 2)],
        [slice(4, None), slice(None, 4)],
        [slice(0, 2), slice(2, 3), slice(3, None)],
    ],
)
def test_parts_of_a_layer_stand_where_they_belong(parts):
    """By neuron: interleaved slices, slices in another order."""

    def program(p, xs):
        h = xs @ p["a"]
        fired = [h[:, k] > 0.3 for k in parts]
        return [s.astype(jnp.float32) @ p["b"][k] for s, k in zip(fired, parts, strict=True)], h

    (_, h), account = joulax.count(program, weights=0, spikes=1, neurons=True)(P, X)
    np.testing.assert_array_equal(account["a"].spikes, (np.asarray(h) > 0.3).sum(0))
    np.testing.assert_array_equal(account["a"].updates, np.full(N, T))


@pytest.mark.parametrize("fill", [None, 0.0])
def test_slots_out_of_range_are_no_neurons(fill):
    """Whatever stands in them: NaN, as JAX fills, or a number."""
    picked = lambda h: h.at[:, jnp.array([0, 99, 2])].get(mode="fill", fill_value=fill)
    program = lambda p, xs: (picked(xs @ p["a"]) > 0.3).astype(jnp.float32) @ p["b"][:3]
    account = joulax.count(program, weights=0, spikes=1)(P, X)[1]
    fired = np.count_nonzero(np.asarray(X @ P["a"])[:, [0, 2]] > 0.3)
    assert float(account["a"].spikes) == fired


def reset(v, threshold):
    """Spikes, and the membrane that has taken them back."""
    s = (v > threshold).astype(v.dtype)
    return s, v - threshold * s


@pytest.mark.parametrize(("driven", "free"), [(4, 0), (2, 1), (2, 2), (1, 2), (3, 3)])
def test_steps_without_a_current_update_the_same_neurons(driven, free):
    """An unrolled loop whose input ends before it does: the neurons leak on, and may fire."""
    w, x = jnp.full((4, 3), 0.2), jnp.ones((8, 4))

    def program(p, x):
        u, out = jnp.zeros(3), []
        for t in range(driven + free):
            u = 0.9 * u + (x[t] @ p if t < driven else 0.0)
            s, u = reset(u, 0.3)
            out.append(s)
        return jnp.stack(out)

    out, account = joulax.count(program, weights=0, spikes=1)(w, x)
    (record,) = (account[layer] for layer in account)
    assert (float(record.neurons), float(record.updates)) == (3, 3 * (driven + free))
    assert float(record.spikes) == np.count_nonzero(out)


def test_a_constant_current_drives_the_same_neurons_in_every_unrolled_step():
    """Direct encoding: the current is made once."""
    w, v, x = jnp.full((4, 3), 0.2), jnp.ones((3, 2)), jnp.ones(4)

    def program(p, x):
        current, u, z, out = x @ p[0], jnp.zeros(3), jnp.zeros(2), jnp.zeros(2)
        for _ in range(4):
            s, u = reset(0.9 * u + current, 0.3)
            q, z = reset(0.9 * z + s @ p[1], 1.0)
            out = out + q
        return out

    def scanned(p, x):
        def step(c, _):
            u, z, out = c
            s, u = reset(0.9 * u + current, 0.3)
            q, z = reset(0.9 * z + s @ p[1], 1.0)
            return (u, z, out + q), None

        current = x @ p[0]
        return jax.lax.scan(step, (jnp.zeros(3), jnp.zeros(2), jnp.zeros(2)), length=4)[0][2]

    accounts = [joulax.count(f, weights=0, spikes=1)((w, v), x)[1] for f in (program, scanned)]
    for layer, neurons in (("p[0]", 3), ("p[1]", 2)):
        for account in accounts:
            record = account[layer]
            assert (float(record.neurons), float(record.updates)) == (neurons, 4 * neurons)
        fired = [float(account[layer].spikes) for account in accounts]
        assert fired[0] == fired[1] > 0


def test_a_state_that_goes_on_in_another_loop_is_the_same_neurons():
    """Four steps with input, two without."""
    w, x = jnp.full((4, 3), 0.2), jnp.ones((4, 4))

    def program(p, x):
        def step(u, x):
            s, u = reset(0.9 * u + x @ p, 0.3)
            return u, s

        u, first = jax.lax.scan(step, jnp.zeros(3), x)
        _, rest = jax.lax.scan(lambda u, _: reset(0.9 * u, 0.3)[::-1], u, length=2)
        return jnp.concatenate([first, rest])

    out, account = joulax.count(program, weights=0, spikes=1)(w, x)
    (record,) = (account[layer] for layer in account)
    assert (float(record.neurons), float(record.updates)) == (3, 18)
    assert float(record.spikes) == np.count_nonzero(out)


INTEGRATIONS = {
    "its layer inside": lambda p, x, u: jax.lax.cond(
        x[0] > 0, lambda u: 0.9 * u + x @ p, lambda u: 0.9 * u, u
    ),
    "its current from outside": lambda p, x, u: (
        lambda current: jax.lax.cond(x[0] > 0, lambda u: 0.9 * u + current, lambda u: 0.9 * u, u)
    )(x @ p),
    "no leak outside": lambda p, x, u: jax.lax.cond(x[0] > 0, lambda u: u + x @ p, lambda u: u, u),
}


@pytest.mark.parametrize("bits", [(0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1)])
@pytest.mark.parametrize("name", list(INTEGRATIONS))
def test_neurons_that_integrate_in_a_branch_of_an_unrolled_loop_fire_in_every_step(name, bits):
    integrate = INTEGRATIONS[name]
    x = f32(np.c_[np.asarray(bits, np.float32), RNG.random((3, 4)) < 0.5])

    def program(p, x):
        u, out = Z, []
        for t in range(3):
            s, u = reset(integrate(p, x[t], u), 0.3)
            out.append(s)
        return jnp.stack(out)

    out, account = joulax.count(lambda p, x: program(p["a"], x), weights=0, spikes=1)(P, x)
    record = account["a"]
    assert (float(record.neurons), float(record.updates)) == (N, 3 * N)
    assert float(record.spikes) == np.count_nonzero(out)


def test_free_steps_after_currents_that_were_made_at_once():
    """Four steps of one product, then two without."""
    w, x = jnp.full((4, 3), 0.2), jnp.ones((4, 4))

    def program(p, x):
        currents, u, out = x @ p, jnp.zeros(3), []
        for t in range(6):
            s, u = reset(0.9 * u + (currents[t] if t < 4 else 0.0), 0.3)
            out.append(s)
        return jnp.stack(out)

    out, account = joulax.count(program, weights=0, spikes=1)(w, x)
    (record,) = (account[layer] for layer in account)
    assert (float(record.neurons), float(record.updates)) == (3, 18)
    assert float(record.spikes) == np.count_nonzero(out)


def test_halves_of_a_constant_current_with_states_of_their_own():
    """Each half fires in four steps: they are neurons of one layer, updated four times."""
    w, x = jnp.full((4, 6), 0.2), jnp.ones(4)

    def program(p, x):
        current, out = x @ p, []
        u, v = jnp.zeros(3), jnp.zeros(3)
        for _ in range(4):
            s, u = reset(0.9 * u + current[:3], 0.3)
            r, v = reset(0.5 * v + current[3:], 0.5)
            out.append(jnp.concatenate([s, r]))
        return jnp.stack(out)

    out, account = joulax.count(program, weights=0, spikes=1)(w, x)
    (record,) = (account[layer] for layer in account)
    assert (float(record.neurons), float(record.updates)) == (6, 24)
    assert float(record.spikes) == np.count_nonzero(out)
