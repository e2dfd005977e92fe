"""`vmap` inside of `count` gives the sum of all samples' accounts, and every size once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import sparse

import joulax

from .common import f32, numbers, over_steps, spike

RNG = np.random.default_rng(23)
SAMPLES, T, N, H = 3, 4, 6, 5
WHOLE = ("neurons", "synapses")  # of the network, not of a run


@pytest.fixture(autouse=True)
def loose():
    """Spikes and weights of several types."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def some(*shape):
    """Weights of which some are zero."""
    return RNG.normal(size=shape) * (RNG.random(shape) < 0.6)


W, R = f32(some(N, H)), f32(some(H, H))
SPIKES = f32(RNG.random((SAMPLES, T, N)) < 0.5)
KEYS = jax.random.split(jax.random.key(0), SAMPLES)
SPARSE = sparse.BCOO.fromdense(W)
TALL = sparse.BCOO.fromdense(W.T)
ROWS = sparse.BCSR.fromdense(W.T)


def accounts(f, weights, *samples, axis=0):
    """Of all samples in one call, and of each."""
    count = lambda g: joulax.count(g, weights=0, spikes=1)
    together = count(jax.vmap(f, (None, *(axis,) * len(samples))))(weights, *samples)[1]
    each = [[s[(slice(None),) * axis + (i,)] for s in samples] for i in range(SAMPLES)]
    return together, [count(f)(weights, *one)[1] for one in each]


def same(f, weights, *samples, axis=0, nonzero="one"):
    """`nonzero` is one for all, or that of `any` sample: each has weights of its own."""
    together, each = accounts(f, weights, *samples, axis=axis)
    assert set(together) == set(each[0])
    for name, record in together.items():
        found, alone = numbers(record), [numbers(one[name]) for one in each]
        assert set(found) == set(alone[0]), name
        for field, value in found.items():
            values = [one[field] for one in alone]
            if field == "nonzero" and nonzero == "any":
                assert max(values) <= value <= found["synapses"], name
            elif field in (*WHOLE, "nonzero"):
                assert value == values[0], (name, field)
            else:
                assert value == sum(values), (name, field)
        assert found.get("ac", 0) <= found.get("dense_ac", 0)
    return together


def steps(current, looped=True):
    """A layer of leaky neurons with a current of its own."""

    def f(p, x):
        def step(v, now):
            v = 0.9 * v + current(p, now)
            s = spike(v - 0.3)
            return v * (1 - s), s

        return over_steps(step, jnp.zeros(H, jnp.float32), x, looped)

    return f


# -- weights that each sample changes -----------------------------------------------------------


def hebbian(p, x):
    """Fast weights: what fires together grows together."""

    def step(c, now):
        w, v = c
        v = 0.9 * v + now @ w
        s = spike(v - 0.3)
        return (w + 0.01 * now[:, None] * s[None], v * (1 - s)), s

    return lax.scan(step, (p, jnp.zeros(H, jnp.float32)), x)[1]


def dropped(p, x, key):
    """Other synapses fail in every step."""

    def step(v, now):
        x, key = now
        there = jax.random.bernoulli(key, 0.5, p.shape)
        v = 0.9 * v + x @ jnp.where(there, p, 0)
        s = spike(v - 0.3)
        return v * (1 - s), s

    return lax.scan(step, jnp.zeros(H, jnp.float32), (x, jax.random.split(key, T)))[1]


def masked(p, x, key):
    return spike(x[0] @ (p * jax.random.bernoulli(key, 0.5, p.shape)) - 0.3)


def noisy(p, x, key):
    return spike(x[0] @ (p + 0.1 * jax.random.normal(key, p.shape, p.dtype)) - 0.3)


def dropped_before(p, x, key):
    """The same synapses fail in all steps: the weights are known before the loop."""
    w = p * jax.random.bernoulli(key, 0.3, p.shape)
    return steps(lambda _, now: now @ w)(p, x)


def gated(p, x):
    """One gain of data for all weights, and one for each of the rows."""
    first = x[0] @ (p * jax.nn.sigmoid(x[1].sum()))
    return spike(first - 0.3), spike(x[0] @ (p * jax.nn.sigmoid(x[2])[:, None]) - 0.3)


def adapted(p, x):
    """One step of gradient descent for each sample."""
    loss = lambda w: ((x[0] @ w) ** 2).sum()
    return spike(x[1] @ (p - 0.1 * jax.grad(loss)(p)) - 0.3)


@pytest.mark.parametrize("f", [hebbian, dropped, dropped_before, masked, noisy, gated, adapted])
def test_weights_that_each_sample_changes(f):
    keys = (KEYS,) if f in (dropped, dropped_before, masked, noisy) else ()
    account = same(f, W, SPIKES, *keys, nonzero="any")
    assert account["p"].synapses == W.size
    assert account["p"].neurons == H


def test_weights_that_samples_change_in_batches_of_batches():
    f = jax.vmap(hebbian, (None, 0))
    account = same(f, W, jnp.stack([SPIKES, 1 - SPIKES, SPIKES]), axis=1, nonzero="any")
    assert account["p"].synapses == W.size
    assert account["p"].neurons == H


def test_a_gain_that_is_the_same_for_all_rows_is_no_weight():
    """It is broadcast over what is no axis of both: attention with normalised queries."""

    def f(p, x):
        q = x @ p["q"] * p["gain"][None]
        return q @ (x @ p["k"]).T

    p = {"q": W, "k": W + 1, "gain": f32(RNG.random(H))}
    together, each = accounts(f, p, SPIKES)
    assert "gain" not in together
    assert set(together) == set(each[0])
    (pair,) = set(together) - {"q", "k"}
    assert together[pair].mac == sum(one[pair].mac for one in each)


ONE_TO_ONE = {
    "a gain": lambda q, g: q * g,
    "a bias": lambda q, g: q + g,
    "a bias behind it": lambda q, g: jnp.tanh(q + g),
}


@pytest.mark.parametrize("change", ONE_TO_ONE)
def test_what_a_layer_delivered_makes_no_weight_of_a_gain(change):
    """The last token asks all of them: products of data with data, one by one or in a batch."""
    p = {"q": W, "k": W + 1, "g": f32(RNG.random(H) + 0.5)}
    query = lambda p, x: ONE_TO_ONE[change](
        x @ p["q"], jnp.broadcast_to(p["g"], (*x.shape[:-1], H))
    )
    one = lambda p, x: (x @ p["k"]) @ query(p, x[-1])
    batched = lambda p, x: jnp.einsum("bd,bsd->bs", query(p, x[:, -1]), x @ p["k"])
    for account in (
        joulax.count(one, weights=0)(p, SPIKES[0])[1],
        joulax.count(jax.vmap(one, (None, 0)), weights=0)(p, SPIKES)[1],
        joulax.count(batched, weights=0)(p, SPIKES)[1],
    ):
        assert "g" not in account
        (pair,) = set(account) - {"q", "k"}
        assert account[pair].synapses is None
        assert account[pair].dense_mac is not None


def test_positions_make_no_weight():
    """Each token has one of its own."""
    p = {"q": W, "k": W + 1, "at": f32(RNG.normal(size=(T, H)))}
    f = lambda p, x: (x @ p["q"] + p["at"]) @ (x @ p["k"]).T
    assert "at" not in same(f, p, SPIKES)


def learning(p, x):
    """Oja's rule in a second layer: its change is made of what it delivers itself."""

    def step(w, now):
        h = jnp.tanh(now @ p["w"])
        y = jnp.tanh(h @ w)
        return w + 0.1 * (h[:, None] * y[None] - (y**2)[None] * w), y

    return lax.scan(step, p["r"], x)[1]


def test_a_layer_that_learns_by_its_own_rule_is_one():
    account = same(learning, {"w": W, "r": R}, SPIKES, nonzero="any")
    assert account["r"].synapses == R.size


# -- sparse formats -----------------------------------------------------------------------------

FORMATS = {
    "x @ W": (SPARSE, lambda p, x: x @ p),
    "Wᵀ @ x": (TALL, lambda p, x: p @ x),
    "W.T @ x": (SPARSE, lambda p, x: p.T @ x),
    "BCSR": (ROWS, lambda p, x: p @ x),
}


@pytest.mark.parametrize("looped", [True, False])
@pytest.mark.parametrize("form", FORMATS)
def test_sparse_weights(form, looped):
    p, current = FORMATS[form]
    (record,) = same(steps(current, looped), p, SPIKES).values()
    assert record.synapses == record.nonzero == np.count_nonzero(W)
    assert record.neurons == H
    assert record.dense_ac == np.count_nonzero(W) * SAMPLES * T


def test_sparse_weights_in_batches_of_batches():
    f = jax.vmap(steps(FORMATS["x @ W"][1]), (None, 0))
    (record,) = same(f, SPARSE, jnp.stack([SPIKES, 1 - SPIKES, SPIKES]), axis=1).values()
    assert record.synapses == np.count_nonzero(W)
    assert record.neurons == H


@pytest.mark.parametrize("rows", [T, 7])
@pytest.mark.parametrize("form", ["x @ W", "Wᵀ @ x"])
def test_sparse_weights_of_many_rows(form, rows):
    """All steps at once: rows are time or batch, as in a dense product."""
    p, x = FORMATS[form][0], f32(RNG.random((SAMPLES, rows, N)) < 0.5)
    f = lambda p, x: spike((x @ p if form == "x @ W" else (p @ x.T).T) - 0.3)
    (record,) = same(f, p, x).values()
    assert record.neurons == H
    assert record.updates == H * rows * SAMPLES
    assert record.nonzero == np.count_nonzero(W)


def test_stored_zeros_are_no_synapses():
    p = sparse.BCOO((SPARSE.data.at[:3].set(0.0), SPARSE.indices), shape=SPARSE.shape)
    (record,) = same(lambda p, x: spike(x @ p - 0.3), p, SPIKES).values()
    assert record.nonzero == np.count_nonzero(W) - 3
    assert record.synapses == np.count_nonzero(W)


def test_sparse_weights_of_a_stack():
    """Layers side by side, each with a matrix of its own."""
    stack = sparse.BCOO.fromdense(jnp.stack([W, 2 * W]), n_batch=1)
    numbers = (((1,), (1,)), ((0,), (0,)))
    f = lambda p, x: spike(
        sparse.bcoo_dot_general(p, jnp.stack([x[0], x[1]]), dimension_numbers=numbers) - 0.3
    )
    (record,) = same(f, stack, SPIKES).values()
    assert record.neurons == 2 * H
    assert record.synapses == record.nonzero == 2 * np.count_nonzero(W)


def test_sparse_data():
    """Events that are stored as such meet dense weights."""
    f = lambda p, x: spike(sparse.BCOO.fromdense(x, nse=T * N) @ p - 0.3)
    record = joulax.count(f, weights=0, spikes=1)(W, SPIKES[0])[1]["p"]
    reached = np.count_nonzero(W, axis=1) * np.asarray(SPIKES[0]).sum(0)
    assert record.ac == reached.sum()
    assert record.synapses == W.size
    assert record.nonzero == np.count_nonzero(W)
    assert record.neurons == H
    assert record.updates == H * T


def test_groups_of_rows():
    """`ragged_dot`: each row is a sample of one of the experts."""
    p = jnp.stack([W, 2 * W])
    f = lambda p, x: spike(lax.ragged_dot(x, p, jnp.array([1, 3], jnp.int32)) - 0.3)
    record = joulax.count(f, weights=0, spikes=1)(p, SPIKES[0])[1]["p"]
    reached = np.count_nonzero(W, axis=1) * np.asarray(SPIKES[0])
    assert record.ac == reached.sum()
    assert record.dense_ac == T * N * H
    assert record.synapses == p.size
    assert record.nonzero == np.count_nonzero(p)
    assert record.neurons == H
    assert record.updates == H * T


# -- whose neurons contained the batch ------------------------------------------------------------


def attention(p, x):
    """Spiking attention: three layers, pairs of spikes."""
    q, k, v = (spike(x @ p[n] - 0.3) for n in "qkv")
    return spike(q @ k.T @ v - 1)


def fast(p, x):
    """Fast weights from zero beside those of the layer."""

    def step(c, now):
        f, v = c
        v = 0.9 * v + now @ p["w"] + now @ f
        s = spike(v - 0.3)
        return (0.9 * f + 0.1 * now[:, None] * s[None], v - s), s

    start = jnp.zeros((N, H), jnp.float32), jnp.zeros(H, jnp.float32)
    return lax.scan(step, start, x)[1]


def embedded(p, x):
    """A bag of tokens."""
    return p["e"][x.sum(-1).astype(jnp.int32)].sum(0)


def listed(p, x):
    """Rows of the inputs that fired."""
    (pre,) = jnp.nonzero(x[0], size=N, fill_value=N)
    return spike(p["w"].at[pre].get(mode="fill", fill_value=0).sum(0) - 0.3)


def counted(p, x):
    """A loop with a counter adds the rows."""
    add = lambda i, v: v + jnp.where(x[0, i] > 0, p["w"][i], 0)
    return spike(lax.fori_loop(0, N, add, jnp.zeros(H, jnp.float32)) - 0.3)


def counted_in_steps(p, x):
    def step(v, now):
        add = lambda i, v: v + now[i] * p["w"][i]
        v = 0.9 * v + lax.fori_loop(0, N, add, jnp.zeros(H, jnp.float32))
        s = spike(v - 0.3)
        return v - s, s

    return lax.scan(step, jnp.zeros(H, jnp.float32), x)[1]


@pytest.mark.parametrize("f", [attention, fast, embedded, listed, counted, counted_in_steps])
def test_neurons_and_synapses_without_the_batch(f):
    p = {n: f32(some(N, H)) for n in "qkvw"} | {"e": f32(RNG.normal(size=(N + 1, H)))}
    account = same(f, p, SPIKES)
    for record in account.values():
        if record.updates is not None:
            times = T if f in (fast, counted_in_steps, attention) else 1
            assert float(record.updates) % (float(record.neurons) * SAMPLES) == 0
            assert record.updates <= record.neurons * SAMPLES * times
    two = jax.vmap(f, (None, 0))
    batches = same(two, p, jnp.stack([SPIKES, 1 - SPIKES, SPIKES]), axis=1)
    for name, record in account.items():
        assert record.neurons == batches[name].neurons
