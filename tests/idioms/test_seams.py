"""Seams: where one rule ends and another begins, each with its account by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from joulax import count

from .common import f32, over_steps, spike, unchanged

RNG = np.random.default_rng(41)
N, H, T = 5, 7, 4
W = f32(RNG.integers(1, 4, (N, H)) / 2)
R = f32(RNG.integers(1, 4, (H, H)) / 2)
X = f32(RNG.integers(0, 2, (T, N)))
CELLS = np.asarray(RNG.integers(0, 2, (T, N)), np.float32)
LOW = f32(1.75)


def fired(x, w=W):
    """Spikes of a layer without memory."""
    return np.asarray(np.asarray(x) @ np.asarray(w) > 1.75, np.float32)


# -- what is picked, by which numbers --------------------------------------------------------------


def test_points_of_one_neuron_in_batch_and_time_are_no_neurons():
    batch = jnp.stack([X, 1 - X, X])
    points = np.array([0, 1, 2]), np.array([1, 1, 3])
    account = unchanged(lambda w, x: spike((x @ w[:, 0])[points] - LOW), W, batch)
    assert (float(account["w"].neurons), float(account["w"].updates)) == (1, 3)


@pytest.mark.parametrize("options", [dict(steps=T), dict(neurons=True), {}])
def test_rows_that_are_looked_up(options):
    table, places = f32(RNG.normal(size=(6, N))), jnp.array([0, 3, 2, 5], jnp.int32)

    def f(p, places):
        return lax.scan(lambda c, k: (c, p["t"][k] @ p["w"]), 0, places)[1]

    account = count(f, weights=0, **options)(dict(t=table, w=W), places)[1]
    looked = np.asarray(account["t"].lookups)
    np.testing.assert_array_equal(looked, np.full(T, N) if "steps" in options else T * N)


def test_a_slice_that_takes_everything_is_the_same_weight():
    whole = lambda w: lax.slice(w, (0, 0), w.shape)
    added = unchanged(lambda w, x: spike(x @ w + (1 - x) @ whole(w) - LOW), W, X)["w"]
    apart = lambda w, x: spike(x @ w) + spike((1 - x) @ lax.slice(w, (0, 0), w.shape))
    assert (float(added.synapses), float(added.neurons)) == (N * H, H)
    assert float(unchanged(apart, W, X)["w"].synapses) == N * H


# -- parameters that are summed, that gate, that compare -------------------------------------------


SCALE = np.arange(1, H + 1, dtype=np.float32)


@pytest.mark.parametrize("first", [True, False])
def test_slices_of_a_weight_that_a_constant_scales_stay_slices(first):
    scaled = lambda w: SCALE[None] * w if first else w * SCALE[None]
    f = lambda p, x: x @ scaled(p["w"][0]) + x @ scaled(p["w"][1])
    record = unchanged(f, dict(w=jnp.stack([W, 2 * W])), X)["w"]
    assert (float(record.synapses), record.updates) == (2 * N * H, None)


def test_sums_of_weights_are_weights():
    account = unchanged(lambda w, x: (x * w.sum(1)).sum(1), W, X)
    assert float(account["w"].mac) == float(X.sum())
    assert float(account["w"].synapses) == N


def test_cells_that_spikes_open_are_events():
    def f(w, s):
        opened = jnp.where(s > 0, CELLS, 0)
        return opened.sum(0) @ w

    record = unchanged(f, W, X, spikes=1)["w"]
    assert float(record.ac) == (np.asarray(X) * CELLS).sum() * H


COMPARED = {
    "other than": (lambda s, m: s != m, lambda s, m: s != m),
    "at least": (lambda s, m: s >= m, lambda s, m: s >= m),
    "below": (lambda s, m: s < m, lambda s, m: s < m),
}


@pytest.mark.parametrize("how", COMPARED)
def test_spikes_beside_a_pattern(how):
    """What is delivered is what the comparison says; fired have the neurons behind it."""
    pattern, (compare, truth) = np.arange(H, dtype=np.float32) % 2, COMPARED[how]

    def f(p, s):
        met = compare(spike(s @ p["w"] - LOW), pattern)
        return met.astype(jnp.float32) @ p["r"]

    account = unchanged(f, dict(w=W, r=R), X, spikes=1)
    assert float(account["r"].ac) == truth(fired(X), pattern).sum() * H
    assert float(account["w"].spikes) == fired(X).sum()


def test_bits_that_a_leaf_masks_one_by_one_are_no_weights():
    """Each number has a mask of its own: nothing meets what another one meets."""

    def f(p, x):
        return ((x & p["bits"]) > 0).astype(jnp.float32) @ p["w"]

    p = dict(bits=jnp.asarray([1, 2, 3, 0, 1], jnp.int32), w=W)
    x = jnp.asarray([1, 1, 2, 3, 3], jnp.int32)
    account = unchanged(f, p, x)
    assert [str(k) for k, r in account.items() if r.synapses is not None] == ["w"]
    assert float(account["w"].ac) == np.count_nonzero(np.asarray(x) & [1, 2, 3, 0, 1]) * H


@pytest.mark.parametrize("gathered", ["any", "all"])
def test_what_any_row_of_a_mask_lets_through(gathered):
    """Columns that any row opens are a mask too: spikes behind it are added to others."""
    opened = lambda m: getattr(jnp, gathered)(m > 0, 0).astype(jnp.float32)

    def f(w, s, t):
        return (s * opened(jnp.asarray(CELLS)) + t) @ w

    record = unchanged(f, W, X[0], X[1], spikes=(1, 2))["w"]
    there = np.asarray(opened(CELLS))
    assert float(record.ac) == ((np.asarray(X[0]) * there).sum() + float(X[1].sum())) * H


# -- winners ---------------------------------------------------------------------------------------


def test_a_winner_is_a_mask_of_other_currents():
    """Only the neuron that is let through fires: of the layer that compares, nothing does."""

    def f(p, x):
        winner = jnp.zeros(H, jnp.float32).at[jnp.argmax(x @ p["w"])].set(1)
        return spike(x @ p["v"] * winner)

    account = unchanged(f, dict(w=W, v=2 * W), X[1])
    assert (float(account["v"].spikes), float(account["v"].neurons)) == (1, H)
    assert account["w"].spikes is None


# -- branches --------------------------------------------------------------------------------------


def test_a_weight_that_branches_hand_on_as_it_is():
    def f(w, x):
        same, scale = lax.cond(x.sum() > 3, lambda w: (w, f32(2)), lambda w: (w, f32(1)), w)
        return spike(scale * (x @ same) - LOW)

    record = unchanged(f, W, X)["w"]
    assert (float(record.synapses), float(record.neurons)) == (N * H, H)
    assert float(record.mac) == float((X != 0).sum()) * H


# -- plasticity ------------------------------------------------------------------------------------


@pytest.mark.parametrize("post", [lambda i: spike(i - LOW), lambda i: i])
def test_a_row_that_learns_from_its_own_layer_keeps_name_and_synapses(post):
    """The change is what the layer itself delivers or fires, not a layer of other weights."""

    def f(w, x):
        return spike(x @ w.at[0].add(f32(0.25) * post(x[0] @ w)) - LOW)

    account = unchanged(f, W, X)
    assert [str(k) for k in account] == ["w"]
    assert float(account["w"].synapses) == N * H


# -- random draws ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, "data"])
def test_dropout_draws_from_a_key_of_data_as_from_any(seed):
    def f(w, s, at):
        key = jax.random.key(0 if seed == 0 else at)
        return jnp.where(jax.random.bernoulli(key, f32(0.5), s.shape), s, 0) @ w

    met = np.where(jax.random.bernoulli(jax.random.key(0), f32(0.5), X.shape), X, 0)
    record = unchanged(f, W, X, 0, spikes=1)["w"]
    assert float(record.ac) == float(met.sum()) * H


# -- rows that several conditions choose ---------------------------------------------------------

EDGES = jnp.repeat(jnp.arange(N), H), jnp.tile(jnp.arange(H), N)
SIGNED = f32([1, -1, 0, 1, -1])
ROWS = {
    "select": (lambda w, x: jnp.select([x[:, None] > 0], [w], 0).sum(0), X[1]),
    "two conditions": (
        lambda w, x: jnp.select([x[:, None] > 0, x[:, None] < 0], [w, -w], 0).sum(0),
        SIGNED,
    ),
    "edges": (
        lambda w, x: jax.ops.segment_sum(
            jnp.select([x[EDGES[0]] > 0], [w.ravel()], 0), EDGES[1], H
        ),
        X[1],
    ),
    "one of three": (
        lambda w, x: lax.select_n(
            jnp.broadcast_to(x[:, None].astype(jnp.int32), w.shape), 0 * w, w, -w
        ).sum(0),
        X[1],
    ),
    "one branch of three": (
        lambda w, x: jax.vmap(
            lambda row, k: lax.switch(k, [lambda: 0 * row, lambda: row, lambda: -row])
        )(w, x.astype(jnp.int32)).sum(0),
        X[1],
    ),
    "one in the other": (
        lambda w, x: jnp.where(x[:, None] > 0, w, jnp.where(x[:, None] < 0, -w, 0)).sum(0),
        SIGNED,
    ),
    "the other way": (
        lambda w, x: jnp.where(x[:, None] < 0, -w, jnp.where(x[:, None] > 0, w, 0)).sum(0),
        SIGNED,
    ),
}


@pytest.mark.parametrize("rows", ROWS)
def test_rows_that_several_conditions_choose(rows):
    choose, x = ROWS[rows]
    record = unchanged(lambda w, x: spike(choose(w, x) - LOW), W, x, spikes=1)["w"]
    assert float(record.ac) == float(jnp.abs(x).sum()) * H
    assert (float(record.neurons), float(record.updates)) == (H, H)


@pytest.mark.parametrize("other", [True, False])
def test_rows_of_one_weight_or_of_another(other):
    y = 1 - X[1]

    def f(p, x, y):
        return jnp.where(x[:, None] > 0, p["a"], jnp.where(y[:, None] > 0, p["b"], 0)).sum(0)

    account = unchanged(f, dict(a=W, b=2 * W), X[1], y if other else 0 * y, spikes=(1, 2))
    assert float(account["a"].ac) == float(X[1].sum()) * H
    assert float(account["b"].ac) == other * float(y.sum()) * H


def test_one_weight_or_another_for_all_rows():
    def f(p, x, first):
        return jnp.where(x[:, None] > 0, jnp.where(first, p["a"], p["b"]), 0).sum(0)

    for first in (True, False):
        account = unchanged(f, dict(a=W, b=2 * W), X[1], jnp.array(first), spikes=1)
        assert sum(float(r.ac) for r in account.values() if r.ac is not None) == X[1].sum() * H


# -- weights without names ------------------------------------------------------------------------


def drawn(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32)


def test_two_nameless_weights_of_one_line_are_two_layers():
    dense = lambda x, seed, width: jnp.tanh(x @ drawn(seed, x.shape[-1], width))
    account = unchanged(lambda _, x: dense(dense(x, 0, H), 1, 3), f32(0), X[1], spikes=1)
    found = [(float(r.neurons), float(r.synapses)) for r in account.values()]
    assert found == [(H, N * H), (3, 3 * H)]


@pytest.mark.parametrize("looped", [True, False])
def test_a_nameless_weight_drawn_in_every_step_is_one_layer(looped):
    def step(v, x):
        v = f32(0.5) * v + x @ drawn(0, N, H)
        return v, spike(v)

    def f(_, xs):
        return over_steps(step, jnp.zeros(H, jnp.float32), xs, looped)

    (record,) = unchanged(f, f32(0), X, spikes=1).values()
    found = (float(record.neurons), float(record.updates), float(record.synapses))
    assert found == (H, H * T, N * H)


def test_a_nameless_weight_and_its_transpose_are_one():
    def f(_, x):
        basis = drawn(0, N, H)
        return spike(x @ basis - LOW) @ basis.T

    (record,) = unchanged(f, f32(0), X, spikes=1).values()
    assert float(record.synapses) == N * H
