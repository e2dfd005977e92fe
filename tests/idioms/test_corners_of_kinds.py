"""More corners: places that data say, masks of masks, samples behind neurons, sorted leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from .common import f32, unchanged as count

RNG = np.random.default_rng(23)
W, V = f32(RNG.normal(size=(7, 5))), f32(RNG.normal(size=(7, 3)))
S, T = (f32(RNG.random((9, 7)) < 0.4) for _ in range(2))
X = f32(RNG.normal(size=(9, 7)))
AT = jnp.asarray([1, 4, 2])


def total(record, name):
    return getattr(record, name) if getattr(record, name) is None else float(getattr(record, name))


@pytest.mark.parametrize("size", [1.0, 0.5, 2.0, -3.0])
def test_a_number_put_where_data_say(size):
    """One event at each place, whatever its size; on graded chips as well."""
    account = count(lambda w, at: jnp.zeros(7).at[at].set(size) @ w, W, AT)
    assert total(account["w"], "ac") == total(account["w"], "ac_graded") == 3 * 5


@pytest.mark.parametrize("combined", ["max", "min", "multiply"])
def test_numbers_combined_where_data_say(combined):
    """Not around zero: values of data, all of them."""

    def fn(w, at):
        return getattr(jnp.full(7, 0.2).at[at], combined)(0.5) @ w

    record = count(fn, W, AT)["w"]
    assert (total(record, "ac"), total(record, "mac")) == (None, 7 * 5)


@pytest.mark.parametrize("data", [S, X])
def test_half_of_everything_is_a_product(data):
    """A constant with one entry an output moves values where the entry is one, and only there."""
    spikes = 1 if data is S else None
    account = count(lambda w, s: (s @ (0.5 * jnp.eye(7))) @ w, W, data, spikes=spikes)
    moved = count(lambda w, s: (s @ jnp.eye(7)) @ w, W, data, spikes=spikes)
    assert (len(account), len(moved)) == (2, 1)
    assert total(account["w"], "mac") == np.count_nonzero(data) * 5
    assert total(moved["w"], "mac" if spikes is None else "ac") == np.count_nonzero(data) * 5


def test_masks_that_are_converted_on_their_way():
    """Integers between two conversions: one mask and what it leaves, whose sum meets nothing."""
    odd = jnp.arange(7) % 2

    def fn(w, s, t):
        own = (s.astype(jnp.int32) * odd).astype(jnp.float32)
        return (0.5 * own + 2.0 * (t.astype(jnp.int32) * (1 - odd)).astype(jnp.float32)) @ w

    record = count(fn, W, S, T, spikes=(1, 2))["w"]
    there = np.where(np.asarray(odd), S, T)
    assert total(record, "ac") == there.sum() * 5


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_spikes_times_spikes_with_samples_at_any_axis(axis):
    """Scores of four queries and three keys; samples stand before or behind what is summed."""
    p = {"q": f32(RNG.normal(size=(4, 7, 5))), "k": f32(RNG.normal(size=(3, 7, 5)))}

    def run(p, x):
        q, k = (jnp.float32(jnp.einsum("bi,hif->bhf", x, p[n]) > 0) for n in "qk")
        pairs = jnp.moveaxis(q[:, :, None] * k[:, None], 0, axis)
        return pairs.sum(3 if axis < 3 else 2) > 1

    account = count(run, p, X)
    (name,) = [n for n in account if n not in ("q", "k")]
    q, k = (np.einsum("bi,hif->bhf", X, p[n]) > 0 for n in "qk")
    assert total(account[name], "ac") == np.einsum("bqf,bkf->", 1.0 * q, 1.0 * k)
    assert (total(account[name], "neurons"), total(account[name], "updates")) == (12, 9 * 12)


def test_a_sorted_leaf_is_a_weight():
    """Of its values, and of its rows in another order."""
    rows = lambda w, x: x @ w[jnp.argsort(w[:, 0])]
    for fn in (rows, lambda w, x: x @ jnp.sort(w, 0)):
        record = count(fn, W, S, spikes=1)["w"]
        assert (total(record, "ac"), total(record, "synapses")) == (S.sum() * 5, 35)


def test_a_mask_of_what_is_finite():
    """Of weights: no data, and no leaf that multiplies."""
    fn = lambda w, s: (s * jnp.float32(~jnp.isinf(w[:, 0]))) @ w
    account = count(fn, W.at[2].set(jnp.inf), S, spikes=1)
    assert list(account) == ["w"]
    assert total(account["w"], "ac") == np.delete(np.asarray(S), 2, 1).sum() * 5


CLIPPED = {
    "one at most": (lambda c: jnp.minimum(c, 1), lambda c: np.minimum(c, 1)),
    "from none to one": (lambda c: jnp.clip(c, 0, 1), lambda c: np.clip(c, 0, 1)),
    "between the signs": (lambda c: jnp.clip(c, -1, 1), lambda c: np.clip(c, -1, 1)),
    "their sign": (jnp.sign, np.sign),
}


@pytest.mark.parametrize("clip", CLIPPED)
@pytest.mark.parametrize("rest", [False, True], ids=["as they are", "what they leave"])
def test_counts_that_are_clipped(clip, rest):
    """Spikes again, whose complement and masks are spikes."""
    here, there = CLIPPED[clip]
    left = (lambda c: 1 - c) if rest else (lambda c: c)
    record = count(lambda w, s, t: left(here(s + t)) @ w, W, S, T, spikes=(1, 2))["w"]
    assert total(record, "ac") == left(there(np.asarray(S + T))).sum() * 5


@pytest.mark.parametrize("signed", [False, True])
def test_events_of_a_camera_that_are_clipped(signed):
    """On less off: three values, of which the squares are spikes too."""
    fn = lambda c: jnp.clip(c, -1, 1) ** (1 if signed else 2)
    record = count(lambda w, s, t: fn(s - t) @ w, W, S, T, spikes=(1, 2))["w"]
    assert total(record, "ac") == np.count_nonzero(np.asarray(S - T)) * 5


@pytest.mark.parametrize("rows", [True, False], ids=["rows", "columns"])
def test_currents_that_land_among_others(rows):
    """Steps at other steps, or neurons among more neurons, at places that a constant says."""
    at = jnp.asarray([3, 0, 5, 6, 9, 1, 2, 8, 7]) if rows else jnp.asarray([6, 1, 0, 3, 4])

    def fn(w, x):
        if rows:
            return jnp.tanh(jnp.zeros((12, 5)).at[at].add(x @ w))
        return jnp.tanh(jnp.zeros((9, 8)).at[:, at].add(x @ w))

    record = count(fn, W, X)["w"]
    assert (total(record, "neurons"), total(record, "mac")) == (5, 9 * 35)


def test_weights_chosen_by_spikes_and_summed_up():
    """`where(spike, w, 0)` that is summed up: a synapse for each."""
    record = count(lambda w, s: jnp.where(s > 0, w[:, 0], 0.0).sum(1), W, S, spikes=1)["w"]
    assert (total(record, "ac"), total(record, "synapses")) == (S.sum(), 7)


def test_samples_that_stop_at_other_steps():
    """A batched loop counts each sample until it stops; one sample alone as without a batch."""

    def one(w, x, n):
        def step(c):
            i, v = c
            return i + 1, 0.9 * v + x @ w

        return lax.while_loop(lambda c: c[0] < n, step, (0, jnp.zeros(5)))[1]

    for size in (1, 2, 4):
        x, n = X[:size], jnp.asarray([3, 1, 5, 2])[:size]
        mapped = lambda w, x, n: jax.vmap(one, (None, 0, 0))(w, x, n)
        record = count(mapped, W, x, n)["w"]
        assert total(record, "mac") == 35 * int(n.sum())
        assert (total(record, "neurons"), total(record, "updates")) == (5, 5 * int(n.sum()))


POOLED = {
    "windows": lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 3), (1, 2), "VALID"),
    "a running sum": lambda x: jnp.cumsum(x, 1),
    "all": lambda x: x.sum(1, keepdims=True),
}


@pytest.mark.parametrize("pool", POOLED)
def test_products_that_are_pooled_and_summed_on(pool):
    """Weights at a gain's place are summed in windows, in a running sum and at once."""
    account = count(lambda w, x: POOLED[pool](x * w[:, 0]), W, X)
    each = 9 * 7 if pool == "all" else float(POOLED[pool](jnp.ones((9, 7))).sum())
    assert total(account["w"], "mac") == each


def test_noise_of_its_own_for_each_sample_of_a_shared_current():
    """One current for all samples, which differ in their noise: each has neurons of its own."""

    def fn(w, x, noise):
        return (x @ w)[None] + noise > 0.5

    record = count(fn, W, X[0], f32(RNG.normal(size=(4, 5))))["w"]
    assert (total(record, "neurons"), total(record, "updates")) == (5, 20)
    record = count(lambda w, x, y: (x @ w)[None] + y > 0.5, W, X[0], f32(np.ones((1, 5))))["w"]
    assert (total(record, "neurons"), total(record, "updates")) == (5, 5)


@pytest.mark.parametrize("low", [1, -2])
def test_counts_between_limits_that_keep_no_zero(low):
    """From one on they are values; limits around zero leave events."""
    record = count(lambda w, s, t: jnp.clip(s + t, low, 3) @ w, W, S, T, spikes=(1, 2))["w"]
    if low == 1:
        assert (total(record, "ac"), total(record, "mac")) == (None, 9 * 35)
    else:
        assert total(record, "ac") == (S + T).sum() * 5


def test_a_choice_that_is_always_the_same():
    """Spikes are never below zero: what is chosen then keeps its events."""
    fn = lambda w, s, t: jnp.where(s >= 0, 0.5 * (s + t), 0.3) @ w
    record = count(fn, W, S, T, spikes=(1, 2))["w"]
    assert total(record, "ac") == (S + T).sum() * 5
    fn = lambda w, s, t: jnp.where(s < 0, 0.3, 0.5 * (s + t)) @ w
    assert total(count(fn, W, S, T, spikes=(1, 2))["w"], "ac") == (S + T).sum() * 5


def test_spikes_of_an_encoder_in_another_order():
    """A permutation by a matrix: a sample each row, also where nothing but a limit made spikes."""
    turned = jnp.eye(7)[jnp.asarray([3, 0, 4, 1, 6, 5, 2])]
    fn = lambda w, x: jax.nn.relu((jnp.float32(x > 0.3) @ turned) @ w)
    account = count(fn, W, X)
    fired = np.count_nonzero(np.asarray(X) > 0.3)
    assert total(account["w"], "ac") == fired * 5
    assert (total(account["w"], "neurons"), total(account["w"], "updates")) == (5, 45)
    assert total(account["input[0]"], "spikes") == fired


def test_weights_that_a_loop_makes_for_each_step():
    """Stacked by a scan, met by the data behind it: one weight, as many products as steps."""

    def fn(w, x):
        _, each = lax.scan(lambda c, t: (c, w * t), 0.0, jnp.arange(1.0, 10.0))
        return jnp.einsum("tn,tno->to", x, each)

    record = count(fn, W, X)["w"]
    assert total(record, "mac") == 9 * 35


def test_a_mask_of_the_weights_that_exist():
    pruned = W.at[2].set(0.0).at[5].set(0.0)
    fn = lambda w, s: jnp.where(w[:, 0].astype(bool), s, 0.0) @ w
    record = count(fn, pruned, S, spikes=1)["w"]
    kept = np.delete(np.asarray(S), [2, 5], 1).sum()
    assert (total(record, "ac"), total(record, "nonzero")) == (kept * 5, 25)


@pytest.mark.parametrize("drawn", [True, False])
def test_a_mask_beside_spikes_says_nothing_of_their_neurons(drawn):
    """Labels and draws mask the spikes of a layer, which stay its own."""

    def fn(w, x, labels, key):
        s = jnp.float32(x @ w > 0.5)
        mask = jax.random.bernoulli(key, 0.5, (9, 5)) if drawn else (labels > 2)[:, None]
        return s * jnp.float32(mask)

    account = count(fn, W, X, jnp.arange(9), jax.random.key(3))
    fired = np.count_nonzero(np.asarray(X) @ np.asarray(W) > 0.5)
    assert list(account) == ["w"]
    assert (total(account["w"], "spikes"), total(account["w"], "updates")) == (fired, 45)
