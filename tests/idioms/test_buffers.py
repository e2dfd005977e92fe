"""Products in buffers, in delay lines, in loops over layers: synapses where they are summed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

RNG = np.random.default_rng(5)
W = jnp.asarray(RNG.normal(size=(5, 7)), jnp.float32)
X = jnp.asarray(RNG.random((12, 5)) < 0.4, jnp.float32)
A = jnp.asarray(RNG.normal(size=(12, 5)), jnp.float32)
K = jnp.asarray([0.5, 0.3, 0.2], jnp.float32)
EVENTS = float(X[0].sum())
ROWS = jnp.zeros((5, 7), jnp.float32)


def in_a_loop(p, x):
    return lax.fori_loop(0, 5, lambda i, b: b.at[i].set(x[i] * p[i]), ROWS).sum(0)


def updated_by_slices(p, x):
    def step(b, i):
        return lax.dynamic_update_slice(b, (x[i] * p[i])[None], (i, jnp.zeros_like(i))), None

    return lax.scan(step, ROWS, jnp.arange(5))[0].sum(0)


def while_there_are_rows(p, x):
    step = lambda c: (c[0] + 1, c[1].at[c[0]].set(x[c[0]] * p[c[0]]))
    return lax.while_loop(lambda c: c[0] < 5, step, (0, ROWS))[1].sum(0)


def columns(p, x):
    return lax.fori_loop(0, 5, lambda i, b: b.at[:, i].set(x[i] * p[i]), ROWS.T).sum(1)


def added_to_places(p, x):
    return lax.fori_loop(0, 5, lambda i, b: b.at[i].add(x[i] * p[i]), ROWS).sum(0)


def written_out(p, x):
    b = ROWS
    for i in range(5):
        b = b.at[i].set(x[i] * p[i])
    return b.sum(0)


def written_out_by_slices(p, x):
    b = ROWS
    for i in range(5):
        b = lax.dynamic_update_slice(b, (x[i] * p[i])[None], (i, 0))
    return b.sum(0)


def all_at_once(p, x):
    return ROWS.at[jnp.arange(5)].set(x[:, None] * p).sum(0)


BUFFERS = [
    in_a_loop,
    updated_by_slices,
    while_there_are_rows,
    columns,
    added_to_places,
    written_out,
    written_out_by_slices,
    all_at_once,
]


def count(f, *args, spikes=1):
    """The account of a program, whose results are unchanged."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        out, account = joulax.count(f, weights=0, spikes=spikes)(*args)
        np.testing.assert_allclose(out, f(*args), rtol=1e-5, atol=1e-6)
    return account


def total(record, *fields):
    return tuple(float(np.sum(np.asarray(getattr(record, f)))) for f in fields)


@pytest.mark.parametrize("f", BUFFERS, ids=lambda f: f.__name__)
def test_rows_in_a_buffer_are_synapses_where_they_are_summed(f):
    record = count(f, W, X[0])["p"]
    assert total(record, "ac", "dense_ac", "synapses") == (EVENTS * 7, 35, 35)


@pytest.mark.parametrize("f", BUFFERS, ids=lambda f: f.__name__)
def test_analog_rows_in_a_buffer(f):
    record = count(f, W, A[0], spikes=None)["p"]
    assert total(record, "mac", "dense_mac", "synapses") == (35, 35, 35)
    assert record.ac is None


@pytest.mark.parametrize("f", BUFFERS, ids=lambda f: f.__name__)
def test_a_buffer_in_every_step_of_a_loop(f):
    def network(p, xs):
        def step(v, x):
            v = 0.9 * v + f(p, x)
            s = (v > 1).astype(v.dtype)
            return v - s, s

        return lax.scan(step, jnp.zeros(7, jnp.float32), xs)[1]

    record = count(network, W, X)["p"]
    assert total(record, "ac", "updates", "neurons") == (float(X.sum()) * 7, 84, 7)
    assert float(record.synapses) == 35


@pytest.mark.parametrize("f", BUFFERS, ids=lambda f: f.__name__)
def test_a_buffer_of_each_sample(f):
    network = lambda p, xs: jax.vmap(lambda x: jnp.tanh(f(p, x)))(xs)
    record = count(network, W, X)["p"]
    assert total(record, "ac", "updates", "neurons") == (float(X.sum()) * 7, 84, 7)
    assert float(record.synapses) == 35


def test_two_buffers_added_are_two_layers():
    def f(p, x):
        put = lambda i, c: tuple(b.at[i].set(x[i] * p[k][i]) for k, b in zip("ab", c, strict=True))
        a, b = lax.fori_loop(0, 5, put, (ROWS, ROWS))
        return (a + b).sum(0)

    account = count(f, dict(a=W, b=2 * W), X[0])
    assert all(total(account[k], "ac", "synapses") == (EVENTS * 7, 35) for k in "ab")


def test_a_sum_in_every_step_counts_what_is_there():
    def f(p, x):
        def step(b, i):
            b = b.at[i].set(x[i] * p[i])
            return b, b.sum(0)

        return lax.scan(step, ROWS, jnp.arange(5))[1]

    record = count(f, W, X[0])["p"]
    assert float(record.ac) == 7 * float(np.cumsum(np.asarray(X[0])).sum())


@pytest.mark.parametrize("spread", [lambda b, w: b @ w, lambda b, w: jnp.tanh(b) @ w])
def test_gains_in_a_buffer_are_no_synapses(spread):
    def f(p, x):
        put = lambda i, b: b.at[i].set(p["g"][i] * x[i])
        return spread(lax.fori_loop(0, 12, put, jnp.zeros((12, 5), jnp.float32)), p["w"])

    account = count(f, dict(g=jnp.ones(12, jnp.float32), w=W), A, spikes=None)
    assert list(account) == ["w"]
    assert float(account["w"].mac) == 12 * 35


def test_weighted_sums_in_a_buffer_are_steps():
    def f(p, xs):
        put = lambda i, b: b.at[i].set((xs[i][:, None] * p).sum(0))
        b = lax.fori_loop(0, 12, put, jnp.zeros((12, 7), jnp.float32))
        return (b > 0.5).astype(b.dtype)

    record = count(f, W, X)["p"]
    assert total(record, "updates", "neurons") == (84, 7)


def stacked(b, x):
    return jnp.stack([x, b[0], b[1]])


def concatenated(b, x):
    return jnp.concatenate([x[None], b[:-1]])


def rolled(b, x):
    return jnp.roll(b, 1, 0).at[0].set(x)


def padded(b, x):
    return lax.pad(b[:-1], jnp.float32(0), ((1, 0, 0), (0, 0, 0))).at[0].add(x)


def named(p, b):
    return p[0] * b[0] + p[1] * b[1] + p[2] * b[2]


SUMS = [named, lambda p, b: p @ b, lambda p, b: (p[:, None] * b).sum(0)]


@pytest.mark.parametrize("delay", [stacked, concatenated, rolled, padded])
@pytest.mark.parametrize("add", SUMS, ids=["written out", "a product", "a sum"])
def test_a_delay_line_is_one_source(delay, add):
    def f(p, xs):
        def step(b, x):
            b = delay(b, x)
            return b, add(p, b)

        return lax.scan(step, jnp.zeros((3, 5), jnp.float32), xs)[1]

    record = count(f, K, X)["p"]
    met = sum(float(X[: 12 - d].sum()) for d in range(3))
    assert total(record, "ac", "dense_ac", "synapses") == (met, 180, 3)


S = jnp.stack([W[:, :5], W[:, :5] * 2, W[:, :5] * 3])
PRE, POST = jnp.repeat(jnp.arange(5), 5), jnp.tile(jnp.arange(5), 5)
FIVE = jnp.zeros(5, jnp.float32)


def a_row_where_an_event_says_so(h, w):
    add = lambda i, a: lax.cond(h[i] > 0, lambda a: a + w[i], lambda a: a, a)
    return lax.fori_loop(0, 5, add, FIVE)


LAYERS = {
    "a sum": lambda h, w: (h[:, None] * w).sum(0),
    "written out": lambda h, w: sum((h[i] * w[i] for i in range(1, 5)), h[0] * w[0]),
    "a loop": lambda h, w: lax.fori_loop(0, 5, lambda i, a: a + h[i] * w[i], FIVE),
    "a scan": lambda h, w: lax.scan(lambda a, c: (a + c[0] * c[1], None), FIVE, (h, w))[0],
    "a map": lambda h, w: lax.map(lambda c: c[0] * c[1], (h, w)).sum(0),
    "a branch": a_row_where_an_event_says_so,
    "an edge list": lambda h, w: FIVE.at[POST].add(h[PRE] * w.reshape(-1)),
    "a buffer": lambda h, w: lax.fori_loop(
        0, 5, lambda i, b: b.at[i].set(h[i] * w[i]), jnp.zeros((5, 5), jnp.float32)
    ).sum(0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_rows_by_hand_in_a_loop_over_layers(name):
    """The same account as a product in the loop, layer by layer."""

    def network(sum_):
        def f(p, x):
            def layer(h, w):
                s = (sum_(h, w) > 0.1).astype(h.dtype)
                return s, s

            return lax.scan(layer, x, p["a"])[1]

        return f

    product = count(network(lambda h, w: h @ w), dict(a=S), X[0])
    account = count(network(LAYERS[name]), dict(a=S), X[0])
    assert list(account) == list(product) == ["a[0]", "a[1]", "a[2]"]
    fields = "ac", "dense_ac", "synapses", "updates", "neurons", "spikes"
    for layer in product:
        assert total(account[layer], *fields) == total(product[layer], *fields)


def test_rows_that_a_scan_walks_over_are_no_layers():
    """Where they land, too."""

    def f(p, x):
        land = lambda a, c: (a.at[jnp.arange(7)].add(c[0] * c[1]), None)
        return lax.scan(land, jnp.zeros(7, jnp.float32), (x, p["a"]))[0]

    account = count(f, dict(a=W), X[0])
    assert list(account) == ["a"]
    assert total(account["a"], "ac", "synapses") == (EVENTS * 7, 35)


@pytest.mark.parametrize("make", ["number", "declared"])
def test_a_draw_from_poissons_distribution_makes_no_neurons(make):
    """What the sampler compares and repeats inside is no spike."""

    def f(p, rates, key):
        drawn = jax.random.poisson(key, rates)
        s = joulax.spikes(drawn.astype(jnp.float32)) if make == "declared" else drawn > 0
        return s.astype(jnp.float32) @ p

    rates, key = jnp.abs(A[0]), jax.random.key(3)
    account = count(f, W, rates, key, spikes=None)
    assert list(account) == ["p", "input[0]"]
    drawn = jax.random.poisson(key, rates)
    drawn = drawn if make == "declared" else drawn > 0
    assert float(account["input[0]"].spikes) == float(drawn.sum())
    assert float(account["p"].ac) == 7 * float(drawn.sum())


def test_neurons_that_fire_by_poissons_distribution():
    def f(p, xs, key):
        def step(v, xk):
            x, k = xk
            v = 0.9 * v + x @ p
            s = joulax.spikes(jax.random.poisson(k, jax.nn.relu(v)).astype(v.dtype))
            return v - s, s

        return lax.scan(step, jnp.zeros(7, jnp.float32), (xs, jax.random.split(key, 12)))[1]

    key = jax.random.key(0)
    account = count(f, W, X, key)
    assert list(account) == ["p"]
    assert total(account["p"], "updates", "neurons") == (84, 7)
    assert float(account["p"].spikes) == float(f(W, X, key).sum())


@pytest.mark.parametrize("left", [lambda b: b, lambda b: b[-1]], ids=["all", "the last"])
def test_running_sums_in_a_buffer_add_each_row_once(left):
    def f(p, x):
        add = lambda i, b: b.at[i + 1].set(b[i] + x[i] * p[i])
        return left(lax.fori_loop(0, 5, add, jnp.zeros((6, 7), jnp.float32)))

    record = count(f, W, X[0])["p"]
    assert total(record, "ac", "dense_ac", "synapses") == (EVENTS * 7, 35, 35)
    assert record.updates is None


def test_places_of_a_buffer_that_data_choose():
    def f(p, x, where):
        put = lambda i, b: b.at[where[i]].set(x[i] * p[i])
        return lax.fori_loop(0, 5, put, ROWS).sum(0)

    record = count(f, W, X[0], jnp.asarray([3, 1, 0, 2, 4]))["p"]
    assert total(record, "ac", "dense_ac", "synapses") == (EVENTS * 7, 35, 35)


def recorded_potentials(p, xs):
    def step(c, tx):
        v, b = c
        v = 0.9 * v + tx[1] @ p
        s = (v > 1).astype(v.dtype)
        return (v - s, b.at[tx[0]].set(v)), s

    start = jnp.zeros(7, jnp.float32), jnp.zeros((12, 7), jnp.float32)
    (_, b), s = lax.scan(step, start, (jnp.arange(12), xs))
    return b, s


def recorded_beside_spikes(p, xs):
    def step(c, tx):
        v, b = c
        v = 0.9 * v + tx[1] @ p
        s = (v > 1).astype(v.dtype)
        return (v - s, b.at[tx[0]].set(jnp.stack([v, s]))), None

    start = jnp.zeros(7, jnp.float32), jnp.zeros((12, 2, 7), jnp.float32)
    return lax.scan(step, start, (jnp.arange(12), xs))[0][1]


def recorded_in_a_ring(p, xs):
    def step(c, tx):
        v, b = c
        v = jax.nn.relu(0.9 * v + tx[1] @ p)
        return (v, b.at[tx[0] % 5].set(v)), None

    start = jnp.zeros(7, jnp.float32), jnp.zeros((5, 7), jnp.float32)
    return lax.scan(step, start, (jnp.arange(12), xs))[0][1]


def states_in_a_buffer(p, xs):
    add = lambda t, b: b.at[t + 1].set(0.9 * b[t] + xs[t] @ p)
    return lax.fori_loop(0, 12, add, jnp.zeros((13, 7), jnp.float32))


@pytest.mark.parametrize(
    "f",
    [recorded_potentials, recorded_beside_spikes, recorded_in_a_ring, states_in_a_buffer],
    ids=lambda f: f.__name__,
)
def test_a_record_of_states_updates_nobody(f):
    def all_of(p, xs):
        return sum(jnp.sum(x) for x in jax.tree.leaves(f(p, xs)))

    record = count(all_of, W, X)["p"]
    assert total(record, "updates", "neurons") == (84, 7)
    many = lambda p, xs: jax.vmap(lambda x: all_of(p, x))(xs)
    record = count(many, W, jnp.stack([X, 1 - X]))["p"]
    assert total(record, "updates", "neurons") == (168, 7)


def shifted_by_choice(b, x):
    return jnp.where(jnp.arange(3)[:, None] == 0, x, jnp.roll(b, 1, 0))


@pytest.mark.parametrize("add", SUMS, ids=["written out", "a product", "a sum"])
def test_a_delay_line_shifted_by_a_choice(add):
    def f(p, xs):
        def step(b, x):
            b = shifted_by_choice(b, x)
            return b, add(p, b)

        return lax.scan(step, jnp.zeros((3, 5), jnp.float32), xs)[1]

    record = count(f, K, X)["p"]
    met = sum(float(X[: 12 - d].sum()) for d in range(3))
    assert total(record, "ac", "synapses") == (met, 3)


@pytest.mark.parametrize("cell", ["spiking", "tanh"])
@pytest.mark.parametrize("options", [{}, dict(steps=12), dict(neurons=True)])
def test_layers_that_carry_a_state_of_all_of_them(cell, options):
    """A loop over layers in a loop over time: the states of all layers are one array."""

    def f(p, xs):
        def step(states, x):
            def layer(h, c):
                v = 0.9 * c[0] + h @ c[1]
                s = jnp.tanh(v) if cell == "tanh" else (v > 0.3).astype(v.dtype)
                return s, v - s

            y, states = lax.scan(layer, x, (states, p["a"]))
            return states, y

        return lax.scan(step, jnp.zeros((3, 5), jnp.float32), xs)[1]

    with jax.numpy_dtype_promotion("standard"):
        account = joulax.count(f, weights=0, spikes=1, **options)(dict(a=S), X)[1]
    assert list(account) == ["a[0]", "a[1]", "a[2]"]
    for record in account.values():
        assert total(record, "updates", "neurons", "synapses") == (60, 5, 25)


def chosen_by_a_mask(p, x):
    step = lambda i, b: jnp.where((jnp.arange(5) == i)[:, None], (x[i] * p[i])[None], b)
    return lax.fori_loop(0, 5, step, ROWS).sum(0)


def blended_by_a_mask(p, x):
    def step(b, row):
        i, s, w = row
        here = (jnp.arange(5) == i).astype(jnp.float32)[:, None]
        return b * (1 - here) + here * (s * w)[None], None

    return lax.scan(step, ROWS, (jnp.arange(5), x, p))[0].sum(0)


def masks_written_out(p, x):
    b = ROWS
    for i in range(5):
        here = (jnp.arange(5) == i)[:, None]
        b = jnp.where(here, (x[i] * p[i])[None], b)
    return b.sum(0)


def added_written_out(p, x):
    b = ROWS
    for i in range(5):
        b = b.at[i].add(x[i] * p[i])
    return b.sum(0)


def padded_and_added(p, x):
    rows = [jnp.pad((x[i] * p[i])[None], ((i, 4 - i), (0, 0))) for i in range(5)]
    return sum(rows[1:], rows[0]).sum(0)


def element_by_element(p, x):
    def row(i, b):
        return lax.fori_loop(0, 7, lambda j, b: b.at[i, j].set(x[i] * p[i, j]), b)

    return lax.fori_loop(0, 5, row, ROWS).sum(0)


def column_by_column(p, x):
    def column(j, b):
        return lax.fori_loop(0, 5, lambda i, b: b.at[i, j].set(x[i] * p[i, j]), b)

    return lax.fori_loop(0, 7, column, ROWS).sum(0)


def scanned_rows(p, x):
    step = lambda b, row: (b.at[row[0]].set(row[1] * row[2]), None)
    return lax.scan(step, ROWS, (jnp.arange(5), x, p))[0].sum(0)


MORE = [
    chosen_by_a_mask,
    blended_by_a_mask,
    masks_written_out,
    added_written_out,
    padded_and_added,
    element_by_element,
    column_by_column,
    scanned_rows,
]


@pytest.mark.parametrize("f", MORE)
def test_rows_are_put_where_nothing_else_is(f):
    (record,) = count(f, W, X[0]).values()
    assert float(record.ac) == 7 * EVENTS
    assert (float(record.dense), float(record.synapses)) == (35, 35)


def test_analog_rows_are_multiplied():
    (record,) = count(blended_by_a_mask, W, A[0], spikes=None).values()
    assert (float(record.mac), float(record.dense)) == (35, 35)


STEPS = 4
GAIN = W[0]
STATE = jnp.zeros(7, jnp.float32)
TRAINS = jnp.asarray(RNG.random((STEPS, 7)) < 0.5, jnp.float32)
BUFFER = jnp.zeros((STEPS, 7), jnp.float32)

GAINS = {  # which steps' products are summed, of one leaf that is the same in all
    "a buffer": (
        lambda g, x: lax.fori_loop(0, STEPS, lambda t, b: b.at[t].set(x[t] * g), BUFFER).sum(1),
        slice(None),
    ),
    "a later step": (
        lambda g, x: lax.scan(lambda c, x: (x * g, c.sum()), STATE, x)[1],
        slice(STEPS - 1),
    ),
    "behind the loop": (
        lambda g, x: lax.scan(lambda c, x: (x * g, None), STATE, x)[0].sum(),
        slice(STEPS - 1, None),
    ),
    "behind a while": (
        lambda g, x: lax.while_loop(
            lambda c: c[0] < STEPS, lambda c: (c[0] + 1, x[c[0]] * g), (0, STATE)
        )[1].sum(),
        slice(STEPS - 1, None),
    ),
}


@pytest.mark.parametrize("where", GAINS)
def test_products_that_a_state_carries_are_summed_later(where):
    f, steps = GAINS[where]
    (record,) = count(f, GAIN, TRAINS).values()
    assert float(record.ac) == float(TRAINS[steps].sum())
    assert float(record.synapses) == 7


def test_the_last_row_of_a_loop_is_one_row():
    last = lambda p, x: lax.scan(lambda c, row: (row[0] * row[1], None), STATE, (x, p))[0].sum()
    (record,) = count(last, W[:STEPS], TRAINS).values()
    assert float(record.ac) == float(TRAINS[-1].sum())
    assert (float(record.dense), float(record.synapses)) == (7, 7)


def test_what_a_state_sums_up_is_no_product():
    """`βv + gx`: behind the loop the sum of all steps is a source of its own."""
    leaky = lambda g, x: lax.scan(lambda v, x: (0.9 * v + x * g, None), STATE, x)[0].sum()
    assert not count(leaky, GAIN, TRAINS)


DEPTH = 3
M = jnp.asarray(RNG.normal(size=(7, 2)), jnp.float32)
LINE = jnp.zeros((DEPTH, 7), jnp.float32)
at = lambda t: (jnp.arange(DEPTH) == t % DEPTH)[:, None]
soft = lambda t: at(t).astype(jnp.float32)
FIRST = jnp.zeros((DEPTH, 1), jnp.float32).at[0].set(1.0)
RINGS = {
    "set": lambda b, x, t: b.at[t % DEPTH].set(x),
    "chosen": lambda b, x, t: jnp.where(at(t), x[None], b),
    "blended": lambda b, x, t: b * (1 - soft(t)) + soft(t) * x[None],
    "one-hot": lambda b, x, t: (
        b * (1 - jax.nn.one_hot(t % DEPTH, DEPTH, dtype=jnp.float32)[:, None])
        + jax.nn.one_hot(t % DEPTH, DEPTH, dtype=jnp.float32)[:, None] * x[None]
    ),
    "chosen twice": lambda b, x, t: jnp.where(at(t), x[None], 0.0) + jnp.where(at(t), 0.0, b),
}
LINES = {
    "rolled": lambda b, x, t: jnp.roll(b, 1, 0).at[0].set(x),
    "concatenated": lambda b, x, t: jnp.concatenate([x[None], b[:-1]]),
    "set into zeros": lambda b, x, t: jnp.zeros_like(b).at[1:].set(b[:-1]).at[0].set(x),
    "set into itself": lambda b, x, t: b.at[1:].set(b[:-1]).at[0].set(x),
    "padded": lambda b, x, t: (
        jnp.pad(b[:-1], ((1, 0), (0, 0))) + jnp.pad(x[None], ((0, 2), (0, 0)))
    ),
    "multiplied": lambda b, x, t: jnp.eye(DEPTH, k=-1, dtype=jnp.float32) @ b + FIRST * x[None],
}


def delayed(write, read):
    """A layer behind a delay line: `read(line, step, weights)`."""

    def f(w, x):
        def step(carry, x):
            b, t = carry
            b = write(b, x, t)
            return (b, t + 1), read(b, t, w)

        return lax.scan(step, (LINE, 0), x)[1]

    return f


@pytest.mark.parametrize("write", [*RINGS, *LINES])
def test_delayed_spikes_are_spikes(write):
    """However a delay line is written: what leaves it two steps later are the spikes."""
    ring = write in RINGS
    read = (lambda b, t, w: b[(t - 2) % DEPTH] @ w) if ring else (lambda b, t, w: b[2] @ w)
    f = delayed((RINGS if ring else LINES)[write], read)
    (record,) = count(f, M, TRAINS).values()
    assert float(record.ac) == 2 * float(TRAINS[: STEPS - 2].sum())
    assert (float(record.dense), float(record.synapses)) == (STEPS * 14, 14)


@pytest.mark.parametrize("write", [*RINGS, *LINES])
def test_all_delays_at_once(write):
    deep = jnp.asarray(RNG.normal(size=(DEPTH, 7, 2)), jnp.float32)
    f = delayed((RINGS | LINES)[write], lambda b, t, w: jnp.einsum("dn,dnm->m", b, w))
    seen = sum(float(TRAINS[max(t - DEPTH + 1, 0) : t + 1].sum()) for t in range(STEPS))
    (record,) = count(f, deep, TRAINS).values()
    assert (float(record.ac), float(record.ac_graded)) == (2 * seen, 2 * seen)


def test_events_that_meet_pile_up():
    """A mask that leaves some of what another one takes: a sum that goes on."""
    write = lambda b, x, t: b * (1 - soft(t + 1)) + soft(t) * x[None]
    (record,) = count(delayed(write, lambda b, t, w: b[t % DEPTH] @ w), M, TRAINS).values()
    assert record.ac is None
