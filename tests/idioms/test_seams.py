"""Seams: where one rule ends and another begins, each with its account by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from joulax import count

from .common import f32, spike, unchanged

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


def test_a_row_that_learns_from_its_own_layer_keeps_name_and_synapses():
    """The change is what the layer itself has fired, not a layer of other weights."""

    def f(w, x):
        post = spike(x[0] @ w - LOW)
        return spike(x @ w.at[0].add(f32(0.25) * post) - LOW)

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
