"""Samples that share their input and differ in their states, their noise or their weights; weights
made of one number; buffers; random masks: what makes neither neurons nor encoders.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import check, numbers, spike

SAMPLES, T, N, H = 3, 6, 5, 7
W = jnp.asarray((np.arange(N * H).reshape(N, H) - 17) / 10, jnp.float32)  # 34 of 35 exist
X = jnp.asarray([1, 0, 1, 1, 0], jnp.float32)
XS = jnp.ones((T, N), jnp.float32)
KEYS = jax.random.split(jax.random.key(0), SAMPLES)
fires = lambda v: spike(v - 0.5)


@pytest.fixture(autouse=True)
def loose():
    """Weights of several types."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def account(f, *args, **options):
    return joulax.count(f, weights=0, spikes=1, **options)(*args)[1]


def leaky(w, xs, v, decay=0.9, noise=None):
    noise = jnp.zeros((len(xs), H), jnp.float32) if noise is None else noise

    def step(v, now):
        x, n = now
        v = decay * v + x @ w + jnp.reshape(n, (*(1,) * (x.ndim - 1), H))
        s = fires(v)
        return v - s, s

    return lax.scan(step, v, (xs, noise))[1]


STARTS = jnp.asarray(np.linspace(0, 1, SAMPLES * H).reshape(SAMPLES, H), jnp.float32)
ZEROS = jnp.zeros(H, jnp.float32)
DIFFERENT = {
    "states": (leaky, (None, None, 0), (STARTS,)),
    "noise": (
        lambda w, xs, k: leaky(w, xs, ZEROS, noise=0.1 * jax.random.normal(k, (T, H), "float32")),
        (None, None, 0),
        (KEYS,),
    ),
    "time constants": (
        lambda w, xs, d: leaky(w, xs, ZEROS, decay=d),
        (None, None, 0),
        (jnp.asarray([0.5, 0.7, 0.9], jnp.float32),),
    ),
    "states without a loop": (lambda w, xs, v: fires(v + xs[0] @ w), (None, None, 0), (STARTS,)),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_samples_with_one_input_update_neurons_of_their_own(name):
    """Its currents are computed once for all of them."""
    f, axes, own = DIFFERENT[name]
    (record,) = account(jax.vmap(f, axes), W, XS, *own).values()
    each = [numbers(account(f, W, XS, *[o[i] for o in own])["w"]) for i in range(SAMPLES)]
    found = numbers(record)
    assert found["neurons"] == H
    assert found["updates"] == sum(one["updates"] for one in each)
    assert found["spikes"] == sum(one["spikes"] for one in each)
    assert found["ac"] == each[0]["ac"]


def test_a_batch_of_states_beside_one_current():
    f = lambda w, xs, v: leaky(w, xs[:, None], v)
    record = account(f, W, XS, STARTS)["w"]
    assert (record.neurons, float(record.updates)) == (H, T * H * SAMPLES)
    apart = account(f, W, XS, STARTS, neurons=True)["w"]
    assert (np.asarray(apart.spikes) <= np.asarray(apart.updates)).all()


OWN_WEIGHTS = {
    "dropped synapses": (lambda w, x, k: w * jax.random.bernoulli(k, 0.5, w.shape), KEYS),
    "noise": (lambda w, x, k: w + jax.random.normal(k, w.shape, "float32"), KEYS),
    "a gain": (lambda w, x, g: w * g, jnp.asarray([1, 0, 2], jnp.float32)),
    "plasticity": (
        lambda w, x, e: w - 0.1 * jnp.outer(x, e),
        jnp.asarray(np.arange(SAMPLES * H).reshape(SAMPLES, H), jnp.float32),
    ),
}


@pytest.mark.parametrize("name", OWN_WEIGHTS)
def test_weights_that_samples_with_one_input_change_are_as_with_a_batch_of_it(name):
    change, own = OWN_WEIGHTS[name]
    f = lambda w, x, o: fires(x @ change(w, x, o))
    shared = account(jax.vmap(f, (None, None, 0)), W, X, own)
    batch = account(jax.vmap(f, (None, 0, 0)), W, jnp.stack([X] * SAMPLES), own)
    assert list(shared) == list(batch) == ["w"]
    assert numbers(shared["w"]) == numbers(batch["w"])
    assert (shared["w"].neurons, float(shared["w"].synapses)) == (H, N * H)


BROADCAST = {
    "full": (lambda p: jnp.full((N, H), p), jnp.float32(0.5)),
    "a product": (lambda p: p * jnp.ones((N, H), jnp.float32), jnp.float32(0.5)),
    "a column": (lambda p: p[:, None] * jnp.ones((1, H), jnp.float32), X + 1),
    "repeated": (lambda p: jnp.broadcast_to(p[:, None], (N, H)), X + 1),
    "drawn": (lambda p: jax.random.normal(jax.random.key(0), (N, H), "float32") * p, 1.0),
}


@pytest.mark.parametrize("name", BROADCAST)
def test_weights_made_of_less_are_a_synapse_each(name):
    make, p = BROADCAST[name]
    (record,) = account(lambda p, x: fires(x @ make(p)), p, X).values()
    assert (float(record.synapses), float(record.nonzero)) == (N * H, N * H)
    assert (record.neurons, float(record.updates)) == (H, H)


@pytest.mark.parametrize("key", [jax.random.PRNGKey(0), jax.random.key(0), 0], ids=str)
@pytest.mark.parametrize(
    "f",
    [
        lambda p, x, k: (fires(x @ p["a"]) * jax.random.bernoulli(k, 0.5, (H,)) / 0.5) @ p["b"],
        lambda p, x, k: fires(x @ p["a"] * jax.random.bernoulli(k, 0.5, (H,))) @ p["b"],
        lambda p, x, k: eqx.nn.Dropout(0.5)(fires(x @ p["a"]), key=k) @ p["b"],
        lambda p, x, k: fires(eqx.nn.Dropout(0.5)(x @ p["a"], key=k)) @ p["b"],
        lambda p, x, k: fires((x * jax.random.bernoulli(k, 0.5, (N,))) @ p["a"]) @ p["b"],
    ],
)
def test_random_masks_are_no_encoder_whatever_the_key(f, key):
    draw = (lambda p, x, k: f(p, x, jax.random.PRNGKey(k))) if isinstance(key, int) else f
    found = account(draw, {"a": W, "b": jnp.ones((H, 3), jnp.float32)}, X, key)
    assert sorted(found) == ["a", "b"]


def delayed(k, xs):
    def step(buffer, x):
        buffer = jnp.concatenate([x[None], buffer[:-1]])
        return buffer, (buffer * k[:, None]).sum(0)

    return lax.scan(step, jnp.zeros((3, N), jnp.float32), xs)[1]


def rolled(k, xs):
    def step(buffer, x):
        buffer = jnp.roll(buffer, 1, 0).at[0].set(x)
        return buffer, (buffer * k[:, None]).sum(0)

    return lax.scan(step, jnp.zeros((3, N), jnp.float32), xs)[1]


@pytest.mark.parametrize("f", [delayed, rolled])
@pytest.mark.parametrize("spikes", [1, ()])
def test_taps_of_a_delay_line(f, spikes):
    """The first step fills one tap, the second two: 15 + 60 of 90."""
    k = jnp.asarray([1, 2, 3], jnp.float32)
    (record,) = joulax.count(f, weights=0, spikes=spikes)(k, XS)[1].values()
    found = numbers(record)
    kind = "ac" if spikes else "mac"
    assert (found[kind], found[f"dense_{kind}"], found["synapses"]) == (75, 90, 3)


DELAYS = np.array(
    [[0, 1, 2, 0, 1], [1, 1, 0, 2, 2], [0, 0, 0, 1, 2], [2, 1, 0, 1, 2], [0, 2, 1, 1, 0]]
)


@pytest.mark.parametrize("ring", [False, True])
def test_synapses_with_delays_of_their_own(ring):
    source = np.arange(N)[:, None]

    def program(p, xs):
        def step(carry, now):
            v, buffer = carry
            t, x = now
            read = buffer[(t - 1 - DELAYS) % 3, source] if ring else buffer[DELAYS, source]
            v = 0.9 * v + x @ p["w"] + (read * p["r"]).sum(0)
            s = fires(v)
            shifted = jnp.concatenate([s[None], buffer[:-1]])
            return (v - s, buffer.at[t % 3].set(s) if ring else shifted), s

        start = jnp.zeros(N, jnp.float32), jnp.zeros((3, N), jnp.float32)
        return lax.scan(step, start, (jnp.arange(T), xs))[1]

    p = {"w": jnp.eye(N, dtype=jnp.float32) * 0.4, "r": jnp.ones((N, N), jnp.float32)}
    out, found = joulax.count(program, weights=0, spikes=1)(p, XS)
    sent = np.asarray(out)
    reached = sum(
        sent[t - 1 - DELAYS[i, j], i]
        for t in range(T)
        for i in range(N)
        for j in range(N)
        if t - 1 - DELAYS[i, j] >= 0
    )
    assert float(found["r"].ac) == reached
    assert float(found["r"].synapses) == N * N


@pytest.mark.parametrize("batch", [None, 2])
def test_rows_that_a_map_has_scaled_are_one_layer(batch):
    f = lambda w, x: lax.map(lambda e: e[0] * e[1], (w, x), batch_size=batch).sum(0)
    found = account(f, W, X)
    assert sum(float(r.ac) for r in found.values()) == 3 * H - 1  # one is zero
    if batch is None:
        assert list(found) == ["w"]
        assert float(found["w"].synapses) == N * H


def test_the_largest_of_weighted_spikes():
    """Softmax with a learned temperature, and gains that are normalised by their largest."""
    p = {"w": W, "t": jnp.float32(2)}
    found = account(lambda p, x: jax.nn.softmax(p["t"] * fires(x @ p["w"])), p, X)
    check(found["w"], ac=20, dense_ac=35, synapses=35, nonzero=34, neurons=7, updates=7, spikes=0)
    gained = lambda g, x: (lambda h: h / h.max(keepdims=True))(g * x)
    assert not list(account(gained, jnp.ones(N, jnp.float32), X))


@pytest.mark.parametrize("key", [jax.random.key, jax.random.PRNGKey])
def test_random_weights_made_inside(key):
    make = lambda: jax.random.normal(key(0), (N, 4), "float32")
    (record,) = joulax.count(lambda x: x @ make(), spikes=0)(X)[1].values()
    assert (float(record.ac), float(record.synapses)) == (12, 20)


def hebbian(w, xs):
    def step(w, x):
        y = jax.nn.relu(x @ w)
        return w + 0.01 * jnp.outer(x, y), y

    return lax.scan(step, w, xs)[1]


def oja(w, xs):
    def step(w, x):
        y = jax.nn.relu(x @ w)
        return w + 0.01 * (x[:, None] - y[None] * w) * y[None], y

    return lax.scan(step, w, xs)[1]


def with_voltages(w, xs):
    """Synapses change by spikes and by potentials, those above a level twice."""

    def step(carry, x):
        w, v = carry
        v = 0.9 * v + x @ w
        s = fires(v)
        change = jnp.outer(x, s - v) + jax.nn.relu(v - 0.3)[None] * x[:, None]
        return (w + 0.01 * change, v - s), s

    return lax.scan(step, (w, ZEROS), xs)[1]


def eligible(w, xs):
    def step(carry, x):
        v, trace, eligibility = carry
        v = 0.9 * v + x @ w
        s = fires(v)
        slope, trace = jnp.maximum(0, 1 - jnp.abs(v - 0.5)), 0.9 * trace + x
        return (v - s, trace, 0.8 * eligibility + slope[None] * trace[:, None]), s

    return lax.scan(step, (ZEROS, jnp.zeros(N, "float32"), jnp.zeros((N, H), "float32")), xs)


@pytest.mark.parametrize("spikes", [1, ()])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("f", [hebbian, oja, with_voltages, eligible])
def test_pairs_of_inputs_and_neurons_are_no_samples(f, batch, spikes):
    """Neurons that meet every input in an outer product: each is updated once a step."""
    program, xs = (jax.vmap(f, (None, 0)), jnp.stack([XS, XS])) if batch else (f, XS)
    record = joulax.count(program, weights=0, spikes=spikes)(W, xs)[1]["w"]
    assert (record.neurons, float(record.updates)) == (H, T * H * (1 + batch))


def test_lateral_inhibition_by_data_is_no_sample():
    f = lambda w, x, c: (lambda u: fires(u - jax.nn.relu(u[None] * c).sum(1)))(x @ w)
    record = account(f, W, X, jnp.ones((H, H), jnp.float32))["w"]
    assert (record.neurons, float(record.updates)) == (H, H)


def test_a_largest_that_is_subtracted_is_no_operation():
    f = lambda w, x: (lambda h: (h - h.max(0, keepdims=True)).sum(0))(w * x[:, None])
    assert float(account(f, W, X)["w"].ac) == 3 * H - 1
