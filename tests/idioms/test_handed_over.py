"""States that come as arguments or are returned, plastic weights, gates, winners of an order.

Spikes are counted where they leave as spikes; a reset, a latch or a timer that a state holds is
none, and no second population.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

T, B, N, H, M = 7, 3, 5, 11, 2
RNG = np.random.default_rng(0)
W = jnp.asarray(RNG.normal(size=(N, H)) * 0.8, jnp.float32)
R = jnp.asarray(RNG.normal(size=(H, M)), jnp.float32)
P = {"w": W}
X = jnp.asarray(RNG.random((T, B, N)) < 0.4, jnp.float32)
Z = jnp.zeros((B, H), jnp.float32)
NEVER = jnp.zeros((B, H), bool)


def fire(v, threshold=1.0):
    return (v > threshold).astype(jnp.float32)


def count(f, *args, spikes=1, **options):
    """The account of a program, whose results are unchanged."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        out, account = joulax.count(f, weights=0, spikes=spikes, **options)(*args)
        same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        jax.tree.map(same, out, f(*args))
    return out, account


def one_population(account, spikes, steps=T):
    """One layer of H neurons, all of whose spikes are these."""
    (record,) = account.values()
    assert float(record.spikes) == float(np.sum(spikes))
    assert (float(record.neurons), float(record.updates)) == (H, H * B * steps)


# -- states as arguments, and returned: (p, state, x) → (state, spikes) ---------------------------


def reset_first(p, v, x):
    """As snnTorch does: the reset at the beginning of the step, by the last state."""
    v = (0.9 * v + x @ p["w"]) * (1 - fire(v))
    return v, fire(v)


def subtract_first(p, v, x):
    v = 0.9 * v + x @ p["w"] - fire(v)
    return v, fire(v)


def reset_last(p, v, x):
    v = 0.9 * v + x @ p["w"]
    s = fire(v)
    return v * (1 - s), s


def crossing(p, v, x):
    after = 0.9 * v + x @ p["w"]
    return after, ((after > 1) & (v <= 1)).astype(jnp.float32)


def first_spikes(p, state, x):
    v, fired = state
    v = v + x @ p["w"]
    s = (v > 1) & ~fired
    return (v, fired | s), s.astype(jnp.float32)


def refractory_flag(p, state, x):
    v, k = state
    v = 0.9 * v + x @ p["w"]
    s = (v > 1) & ~k
    return (jnp.where(s, 0.0, v), s), s.astype(jnp.float32)


def refractory_timer(p, state, x):
    v, k = state
    v = jnp.where(k > 0, 0.0, 0.9 * v + x @ p["w"])
    s = fire(v)
    return (v * (1 - s), jnp.where(s > 0, 2.0, jnp.maximum(k - 1.0, 0.0))), s


def refractory_counter(p, state, x):
    v, k = state
    v = jnp.where(k == 0, 0.9 * v + x @ p["w"], v)
    s = (v > 1) & (k == 0)
    k = jnp.where(s, 2, jnp.maximum(k - 1, 0))
    return (jnp.where(s, 0.0, v), k), s.astype(jnp.float32)


def set_to_one(p, state, x):
    v, trace = state
    v = 0.9 * v + x @ p["w"]
    s = fire(v)
    return (v - s, jnp.where(s > 0, 1.0, 0.8 * trace)), s


def time_of_the_first(p, state, x):
    v, times = state
    v = v + x @ p["w"]
    s = fire(v) * (times < 0)
    return (v, jnp.where(s > 0, 1.0, times)), s


def ever_fired(p, state, x):
    v, ever = state
    v = 0.9 * v + x @ p["w"]
    s = fire(v)
    return (v - s, jnp.maximum(ever, s)), s


STEPS = [
    (reset_first, Z),
    (subtract_first, Z),
    (reset_last, Z),
    (crossing, Z),
    (first_spikes, (Z, NEVER)),
    (refractory_flag, (Z, NEVER)),
    (refractory_timer, (Z, Z)),
    (refractory_counter, (Z, jnp.zeros((B, H), jnp.int32))),
    (set_to_one, (Z, Z)),
    (time_of_the_first, (Z, Z - 1)),
    (ever_fired, (Z, Z)),
]
IDS = [step.__name__ for step, _ in STEPS]


@pytest.mark.parametrize(("step", "state"), STEPS, ids=IDS)
def test_a_state_that_is_an_argument_and_returned(step, state):
    chunk = lambda p, state, x: lax.scan(lambda c, x: step(p, c, x), state, x)
    (_, spikes), account = count(chunk, P, state, X, spikes=2)
    one_population(account, spikes)


@pytest.mark.parametrize(("step", "state"), STEPS, ids=IDS)
def test_a_state_that_begins_at_rest_and_is_returned(step, state):
    run = lambda p, x: lax.scan(lambda c, x: step(p, c, x), state, x)
    (_, spikes), account = count(run, P, X)
    one_population(account, spikes)


@pytest.mark.parametrize(("step", "state"), STEPS[:5], ids=IDS[:5])
def test_samples_of_a_state(step, state):
    chunk = lambda p, state, x: lax.scan(lambda c, x: step(p, c, x), state, x)
    mapped = jax.vmap(chunk, (None, 0, 1), (0, 1))
    (_, spikes), account = count(mapped, P, state, X, spikes=2)
    one_population(account, spikes)


@pytest.mark.parametrize(("step", "state"), STEPS[:4], ids=IDS[:4])
def test_one_step(step, state):
    (_, spikes), account = count(step, P, state + 0.9, X[0], spikes=2)
    one_population(account, spikes, steps=1)


LATCHES = ("crossing", "first_spikes", "time_of_the_first", "ever_fired")
WRITTEN_OUT = [n for n in IDS if n not in LATCHES]  # which are forms of spikes there


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_loop_written_out_that_returns_its_state(name):
    step, start = STEPS[IDS.index(name)]

    def run(p, x):
        state, spikes = start, []
        for t in range(T):
            state, s = step(p, state, x[t])
            spikes.append(s)
        return jnp.stack(spikes), state

    (spikes, _), account = count(run, P, X)
    one_population(account, spikes)


# -- weights that change are no neurons -----------------------------------------------------------


def lif(v, current):
    v = 0.9 * v + current
    s = fire(v)
    return v - s, s


def stdp(p, x):
    def step(c, x):
        w, v, trace = c
        v, s = lif(v, x @ w)
        trace = 0.8 * trace + x
        return (w + 0.01 * trace.T @ s / B, v, trace), s

    return lax.scan(step, (p["w"], Z, jnp.zeros((B, N), jnp.float32)), x)[1]


def eligibility(p, x):
    def step(c, x):
        v, g = c
        v, s = lif(v, x @ p["w"])
        return (v, g + jnp.einsum("bi,bh->ih", x, v)), s

    return lax.scan(step, (Z, jnp.zeros((N, H), jnp.float32)), x)


@pytest.mark.parametrize("rule", [stdp, eligibility])
def test_what_learns_is_no_population(rule):
    _, account = count(rule, P, X)
    neurons = {name: float(r.neurons) for name, r in account.items() if r.neurons is not None}
    assert neurons == {"w": H}
    assert float(account["w"].updates) == H * B * T


def test_training_steps_in_a_scan():
    def loss(p, x):
        def step(c, x):
            v, u = c
            v = 0.9 * v + x @ p["w"]
            s = jax.nn.sigmoid(5 * (v - 1))
            s = s + lax.stop_gradient(fire(v) - s)
            u = 0.8 * u + s @ p["o"]
            return (v - s, u), u

        return (lax.scan(step, (Z, jnp.zeros((B, M), jnp.float32)), x)[1] ** 2).mean()

    def epoch(p, xs):
        step = lambda p, x: (jax.tree.map(lambda a, g: a - 0.1 * g, p, jax.grad(loss)(p, x)), None)
        return lax.scan(step, p, xs)[0]

    _, account = count(epoch, {"w": W, "o": R}, jnp.stack([X] * 3))
    neurons = {name: float(r.neurons) for name, r in account.items() if r.neurons is not None}
    assert neurons == {"w": H, "o": M}


def running_mean(p, x):
    """Statistics over samples of a `vmap`, and a state of them."""

    def sample(x):
        def step(c, x):
            v, mean = c
            current = x @ p["w"]
            here = lax.pmean(current, "batch")
            v, s = lif(v, current - here)
            return (v, 0.9 * mean + 0.1 * here), s

        return lax.scan(step, (Z[0], Z[0]), x)

    return jax.vmap(sample, 1, axis_name="batch")(x)


def test_running_statistics_are_no_neurons():
    (_, spikes), account = count(running_mean, P, X)
    one_population(account, spikes)


class Normalised(eqx.Module):
    """A layer behind a batch norm, in every step."""

    w: eqx.nn.Linear
    norm: eqx.nn.BatchNorm

    def __init__(self):
        self.w = eqx.nn.Linear(N, H, key=jax.random.key(0), dtype=jnp.float32)
        self.norm = eqx.nn.BatchNorm(H, "batch", mode="batch", dtype=jnp.float32)

    def __call__(self, x, state):
        def step(c, x):
            v, state = c
            current, state = self.norm(self.w(x), state)
            v, s = lif(v, current)
            return (v, state), s

        (_, state), spikes = lax.scan(step, (Z[0], state), x)
        return spikes, state


def test_a_batch_norm_in_every_step():
    model, state = eqx.nn.make_with_state(Normalised)()
    run = lambda m, x, s: jax.vmap(m, (1, None), (0, None), axis_name="batch")(x, s)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        (spikes, _), account = joulax.count(run, weights=0, spikes=1)(model, X, state)
    one_population(account, spikes)


# -- gates and gains ------------------------------------------------------------------------------

SHARED = {
    "divided": lambda p, x: (x @ p["w"]) / (1 + x.sum(-1, keepdims=True)),
    "squashed": lambda p, x: (x @ p["w"]) * jnp.tanh(x.mean(-1, keepdims=True)),
    "gated": lambda p, x: jnp.where(x.sum(-1, keepdims=True) > 2, x @ p["w"], 0.0),
    "masked": lambda p, x: (x @ p["w"]) * (x.sum(-1, keepdims=True) > 2),
}


@pytest.mark.parametrize("form", SHARED)
def test_what_all_neurons_share_is_no_population(form):
    run = lambda p, x: lax.scan(lambda v, x: lif(v, SHARED[form](p, x)), Z, x)[1]
    spikes, account = count(run, P, X)
    one_population({"w": account["w"]}, spikes)
    assert all(r.neurons is None for name, r in account.items() if name != "w")


def test_a_chosen_branch_of_each_sample_is_a_gate():
    def sample(p, x):
        def step(v, x):
            current = lax.cond(x.sum() > 2, lambda x: x @ p["w"], lambda x: Z[0], x)
            return lif(v, current)

        return lax.scan(step, Z[0], x)[1]

    spikes, account = count(jax.vmap(sample, (None, 1)), P, X)
    one_population(account, spikes)


def test_lengths_mask_currents():
    """A comparison of integers that multiplies is no spike."""

    def run(p, x, lengths):
        def step(v, tx):
            t, x = tx
            return lif(v, (x @ p["w"]) * (t < lengths)[:, None])

        return lax.scan(step, Z, (jnp.arange(T), x))[1]

    spikes, account = count(run, P, X, jnp.asarray([7, 3, 5]))
    one_population(account, spikes)


# -- winners of an order --------------------------------------------------------------------------

WINNERS = {
    "one-hot": lambda v: jax.nn.one_hot(lax.top_k(v, 3)[1], H, dtype=v.dtype).sum(-2),
    "put": lambda v: jnp.zeros_like(v).at[jnp.arange(B)[:, None], lax.top_k(v, 3)[1]].set(1.0),
}


@pytest.mark.parametrize("form", WINNERS)
def test_the_largest_fire_in_their_population(form):
    def run(p, x):
        def step(v, x):
            v = 0.9 * v + x @ p["w"]
            s = WINNERS[form](v)
            return v * (1 - s), s @ p["o"]

        return lax.scan(step, Z, x)[1]

    _, account = count(run, {"w": W, "o": R}, X)
    one_population({"w": account["w"]}, 3 * B * T)
    assert set(account.layers) == {"w", "o"}
    assert float(account["o"].ac) == 3 * B * T * M


# -- bits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int32])
def test_bits_are_spikes(dtype):
    numbers = jnp.asarray(RNG.integers(0, 256, size=(B, N)), dtype)
    planes = jnp.arange(8, dtype=dtype)[:, None, None]
    bits = lambda n: ((n[None] >> planes) & 1).astype(jnp.float32)
    _, account = count(lambda p, n: bits(n) @ p["w"], P, numbers, spikes=None)
    assert float(account["w"].ac) == H * float(bits(numbers).sum())
    assert float(account["input[0]"].spikes) == float(bits(numbers).sum())


# -- encoders whose spikes a state takes up -------------------------------------------------------

SIGNAL = jnp.asarray(RNG.normal(size=(T, N)), jnp.float32)
REST = jnp.zeros(N, jnp.float32)


def delta_modulated(p, x):
    def step(c, a):
        held, u = c
        spikes = fire(a - held, 0.3) - fire(held - a, 0.3)
        return (held + 0.3 * spikes, 0.9 * u + spikes @ p["w"]), None

    return lax.scan(step, (REST, Z[0]), x)[0]


def test_what_an_encoder_takes_back_is_no_other_encoder():
    def spikes(x):
        step = lambda held, a: (lambda s: (held + 0.3 * s, s))(
            fire(a - held, 0.3) - fire(held - a, 0.3)
        )
        return lax.scan(step, REST, x)[1]

    fired = float(jnp.abs(spikes(SIGNAL)).sum())
    _, account = count(delta_modulated, P, SIGNAL, spikes=None)
    (encoder,) = (r for name, r in account.items() if name != "w")
    assert float(encoder.spikes) == fired
    assert float(account["w"].ac) == H * fired


def test_spikes_that_leave_in_a_trace_alone():
    trace = lambda p, x: lax.scan(lambda tr, a: (0.9 * tr + fire(a, 0.3), None), REST, x)[0]
    _, account = count(trace, P, SIGNAL, spikes=None)
    assert float(account["input[0]"].spikes) == float((SIGNAL > 0.3).sum())


# -- pools that fire ------------------------------------------------------------------------------


def test_the_majority_of_a_group_is_a_neuron():
    """A comparison of a pool feeds a layer: spikes of neurons, one for each group."""
    p = {"w": W[:2], "o": W}
    majority = lambda p, x: fire(x.reshape(B, 2, 3).sum(-1)) @ p["w"]
    x = jnp.asarray(RNG.random((B, 6)) < 0.5, jnp.float32)
    _, account = count(majority, p, x)
    fired = float(fire(x.reshape(B, 2, 3).sum(-1)).sum())
    (pool,) = (r for name, r in account.items() if name != "w")
    assert float(pool.spikes) == fired
    assert float(pool.updates) == B * 2
    assert float(account["w"].ac) == H * fired


def test_a_memory_of_pairs_is_summed_by_nobody_else():
    """What the first step alone would bring together, before the memory has leaked."""

    def run(p, x):
        def step(memory, s):
            q, k = fire(s @ p["q"], 0.3), fire(s @ p["k"], 0.3)
            memory = 0.9 * memory + k[:, None] * q[None]
            return memory, (q[:, None] * memory).sum(0)

        return lax.scan(step, jnp.zeros((3, 3), jnp.float32), x)[1]

    _, account = count(run, {"q": W[:, :3], "k": W[:, 3:6]}, X[:, 0])
    assert set(account.layers) == {"q", "k"}


# -- what only looks like spikes ------------------------------------------------------------------


def test_a_bit_that_picks_a_row_is_no_spike():
    _, account = count(lambda p, n: p["w"][n & 1], P, jnp.arange(T), spikes=None)
    assert set(account.layers) == {"w"}
    assert float(account["w"].lookups) == T * H


def test_a_number_put_together_of_its_bits_is_a_number():
    def rebuilt(p, n):
        bits = (n[..., None] >> jnp.arange(8)) & 1
        return (bits * 2 ** jnp.arange(8)).sum(-1).astype(jnp.float32) @ p["w"]

    numbers = jnp.asarray(RNG.integers(0, 256, size=(B, N)), jnp.int32)
    _, account = count(rebuilt, P, numbers, spikes=None)
    assert account["w"].ac is None
    assert float(account["w"].mac) == H * np.count_nonzero(numbers)


def test_steps_that_fade_at_once_are_a_trace():
    """A sum of events at different scales is analog, whichever way it is written."""
    fading = lambda p, x: (x * (0.9 ** jnp.arange(T)[::-1])[:, None]).sum(0) @ p["w"]
    even = lambda p, x: (x * 0.9).sum(0) @ p["w"]
    _, account = count(fading, P, X[:, 0])
    assert account["w"].ac is None
    _, account = count(even, P, X[:, 0])
    assert float(account["w"].ac) == H * float(X[:, 0].sum())


def test_a_latch_that_is_all_that_is_returned():
    def run(p, x):
        def step(c, x):
            v, latch = c
            v = v + x @ p["w"]
            s = fire(v) * (1 - latch)
            return (v, jnp.maximum(latch, s)), None

        return lax.scan(step, (Z, Z), x)[0][1]

    latch, account = count(run, P, X)
    one_population(account, latch)


SHIFTS = {
    "padded, then cut": lambda d: jnp.pad(d, ((1, 0), (0, 0)))[:-1],
    "rolled, then cleared": lambda d: jnp.roll(d, 1, 0).at[0].set(0.0),
}


@pytest.mark.parametrize("shift", SHIFTS)
def test_spikes_are_added_where_a_shift_has_left_room(shift):
    def run(p, x):
        def step(line, s):
            line = SHIFTS[shift](line) + jnp.pad(s[None], ((0, 2), (0, 0)))
            return line, jnp.einsum("ki,ih->h", line, p["w"])

        return lax.scan(step, jnp.zeros((3, N), jnp.float32), x)[1]

    x = X[:, 0]
    seen = sum(float(x[max(t - 2, 0) : t + 1].sum()) for t in range(T))
    _, account = count(run, P, x)
    assert float(account["w"].ac) == H * seen


def test_two_populations_on_one_current_are_counted_each():
    """One whose spikes leave, and one whose spikes a returned counter has added up."""

    def run(p, x):
        def step(c, x):
            v, u, fired = c
            current = x @ p["w"]
            v, s = lif(v, current)
            u = 0.5 * u + current
            z = fire(u, 0.5)
            return (v, u * (1 - z), fired + z), s

        (_, _, fired), spikes = lax.scan(step, (Z, Z, Z), x)
        return spikes, fired

    (spikes, fired), account = count(run, P, X)
    (record,) = account.values()
    assert float(record.spikes) == float(spikes.sum() + fired.sum())
    assert (float(record.neurons), float(record.updates)) == (2 * H, 2 * H * B * T)


ENCODERS = {
    "up": lambda x, v: (lambda s: (v + 0.5 * s, s))((x - v > 0.5).astype(jnp.float32)),
    "sigma-delta": lambda x, v: (lambda v: (lambda s: (v - s, s))((v > 0.5).astype(jnp.float32)))(
        v + x
    ),
}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoders_that_take_their_spikes_back_start_from_data(encoder):
    """What nothing but their own spikes comes back to are no neurons, whatever it starts from."""
    encode = ENCODERS[encoder]
    xs = jnp.asarray(np.random.default_rng(2).normal(size=(9, 3, 6)), jnp.float32)
    w = jnp.asarray(np.random.default_rng(3).normal(size=(6, 8)), jnp.float32)

    def run(w, xs):
        def step(v, x):
            v, s = encode(x, v)
            return v, (s @ w, s)

        return jax.lax.scan(step, xs[0], xs[1:])[1]

    (_, spikes), account = joulax.count(run, weights=0)(w, xs)
    assert set(account) == {"w", "input[0]"}
    record = account["input[0]"]
    assert (float(record.spikes), record.neurons, record.updates) == (spikes.sum(), None, None)
    assert float(account["w"].ac) == 8 * spikes.sum()


DECISIONS = {
    "the winner": lambda s, y: s.sum(0).argmax(-1),
    "who is right": lambda s, y: s.sum(0).argmax(-1) == y,
    "how many are right": lambda s, y: (s.sum(0).argmax(-1) == y).mean(),
    "one of all": lambda s, y: jax.nn.one_hot(s.sum(0).argmax(-1), 8),
    "a sign": lambda s, y: jnp.where(s.sum(0).argmax(-1) == y, 1.0, -1.0),
    "among the best": lambda s, y: (jax.lax.top_k(s.sum(0), 2)[1] == y[:, None]).any(-1),
    "who is silent": lambda s, y: s.sum((0, 1)) == 0,
    "who is first": lambda s, y: s.argmax(0).argmin(-1) == y,
}


@pytest.mark.parametrize("decision", DECISIONS)
def test_spikes_behind_a_decision_that_is_returned_are_counted(decision):
    decide, y = DECISIONS[decision], jnp.arange(3)
    xs = jnp.asarray(np.random.default_rng(1).random((9, 3, 6)) < 0.5, jnp.float32)
    w = jnp.asarray(np.random.default_rng(0).normal(size=(6, 8)), jnp.float32)

    def spikes(w, xs):
        def step(v, x):
            v = 0.9 * v + x @ w
            s = (v > 1).astype(jnp.float32)
            return v - s, s

        return jax.lax.scan(step, jnp.zeros((3, 8)), xs)[1]

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        run = lambda w, xs: decide(spikes(w, xs), y)
        account = joulax.count(run, weights=0, spikes=1)(w, xs)[1]
    assert list(account) == ["w"]
    record = account["w"]
    assert float(record.spikes) == float(spikes(w, xs).sum())
    assert (float(record.neurons), float(record.updates)) == (8, 9 * 3 * 8)


def test_a_decision_that_a_loop_carries_ends():
    """Whether a class has ever won is made of itself."""
    xs = jnp.asarray(np.random.default_rng(1).random((9, 6)) < 0.5, jnp.float32)
    w = jnp.asarray(np.random.default_rng(0).normal(size=(6, 8)), jnp.float32)

    def run(w, xs):
        def step(c, x):
            v, ever = c
            v = 0.9 * v + x @ w
            s = (v > 0.5).astype(jnp.float32)
            return (v - s, ever | (s.argmax() == 3)), s

        (_, ever), s = jax.lax.scan(step, (jnp.zeros(8), jnp.asarray(False)), xs)
        return ever, s.sum()

    spikes = float(run(w, xs)[1])
    record = joulax.count(lambda w, xs: run(w, xs)[0], weights=0, spikes=1)(w, xs)[1]["w"]
    assert (float(record.spikes), float(record.neurons), float(record.updates)) == (spikes, 8, 72)
