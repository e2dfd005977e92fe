"""Edges of time: one layer of neurons, its state kept in every way, is one layer of neurons."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import check, f32, spike

RNG = np.random.default_rng(41)
STEPS, N, M = 4, 6, 3


X = np.asarray(RNG.random((STEPS, N)) < 0.5, np.float32)
W = f32(RNG.uniform(-0.2, 0.8, (N, M)))
ZERO = np.zeros(M, np.float32)


def moved(v, i):
    v = 0.5 * v + i
    s = f32(v > 1.0)
    return v - s, s


def scanned(step, start, *xs, **options):
    return lax.scan(lambda c, x: step(c, *x), start, xs, **options)[1]


def plain(w, xs):
    return scanned(lambda v, x: moved(v, x @ w), f32(ZERO), xs)


def current_first(w, xs):
    return scanned(moved, f32(ZERO), xs @ w)


def unrolled(w, xs):
    return scanned(lambda v, x: moved(v, x @ w), f32(ZERO), xs, unroll=2)


def written_out(w, xs):
    v, out = f32(ZERO), []
    for x in xs:
        v, s = moved(v, x @ w)
        out.append(s)
    return jnp.stack(out)


def in_halves(w, xs):
    """Time in two loops, one inside of the other."""
    chunk = lambda v, both: lax.scan(lambda v, x: moved(v, x @ w), v, both)
    return lax.scan(chunk, f32(ZERO), xs.reshape(2, 2, N))[1].reshape(STEPS, M)


def stacked(w, xs):
    def step(c, x):
        v, s = moved(c[0], x @ w)
        return jnp.stack([v, s]), s

    return scanned(step, f32(np.zeros((2, M))), xs)


def stacked_last(w, xs):
    def step(c, x):
        v, s = moved(c[:, 1], x @ w)
        return jnp.stack([s, v], -1), s

    return scanned(step, f32(np.zeros((M, 2))), xs)


def end_to_end(w, xs):
    def step(c, x):
        v, s = moved(c[:M], x @ w)
        return jnp.concatenate([v, s]), s

    return scanned(step, f32(np.zeros(2 * M)), xs)


def with_a_counter(w, xs):
    def step(c, x):
        v, s = moved(c["v"], x @ w)
        return dict(v=v, t=c["t"] + 1, n=c["n"] + s.sum()), s

    return scanned(step, dict(v=f32(ZERO), t=0, n=jnp.float32(0)), xs)


def into_a_buffer(w, xs):
    def step(t, c):
        v, s = moved(c[0], xs[t] @ w)
        return v, c[1].at[t].set(s)

    return lax.fori_loop(0, STEPS, step, (f32(ZERO), f32(np.zeros((STEPS, M)))))[1]


def until_the_end(w, xs):
    def step(c):
        t, v, out = c
        v, s = moved(v, xs[t] @ w)
        return t + 1, v, lax.dynamic_update_index_in_dim(out, s, t, 0)

    start = (0, f32(ZERO), f32(np.zeros((STEPS, M))))
    return lax.while_loop(lambda c: c[0] < STEPS, step, start)[2]


def until_a_parameter_says(w, xs):
    """The test of the loop reads something of its own."""
    last = jnp.int32(w.shape[0] - 2)
    step = lambda c: (c[0] + 1, moved(c[1], xs[c[0]] @ w)[0])
    return lax.while_loop(lambda c: c[0] < last, step, (0, f32(ZERO)))[1]


def in_parts(w, xs):
    """Neurons in two groups."""

    def step(c, x):
        i = x @ w
        a, b = moved(c[0], i[:1]), moved(c[1], i[1:])
        return (a[0], b[0]), jnp.concatenate([a[1], b[1]])

    return scanned(step, (f32(ZERO[:1]), f32(ZERO[1:])), xs)


def in_parts_by_split(w, xs):
    def step(c, x):
        i = jnp.split(x @ w, [2])
        a, b = moved(c[0], i[0]), moved(c[1], i[1])
        return (a[0], b[0]), jnp.concatenate([a[1], b[1]])

    return scanned(step, (f32(ZERO[:2]), f32(ZERO[2:])), xs)


def one_by_one(w, xs):
    """Every neuron by itself."""

    def step(c, x):
        i = x @ w
        each = [moved(c[k], i[k]) for k in range(M)]
        return jnp.stack([v for v, _ in each]), jnp.stack([s for _, s in each])

    return scanned(step, f32(ZERO), xs)


def in_a_call(w, xs):
    layer = jax.jit(lambda v, x: moved(v, x @ w))
    return scanned(layer, f32(ZERO), xs)


def recomputed(w, xs):
    layer = jax.checkpoint(lambda v, x: moved(v, x @ w))
    return scanned(layer, f32(ZERO), xs)


def with_a_surrogate(w, xs):
    def step(v, x):
        v = 0.5 * v + x @ w
        s = spike(v - 1.0)
        return v - s, s

    return scanned(step, f32(ZERO), xs)


def by_the_state_before(w, xs):
    """The spike of a step is taken back in the next one."""

    def step(c, x):
        v, s = c
        v = 0.5 * (v - s) + x @ w
        s = f32(v > 1.0)
        return (v, s), s

    return scanned(step, (f32(ZERO), f32(ZERO)), xs)


def chosen(w, xs):
    """A reset by a choice."""

    def step(v, x):
        v = 0.5 * v + x @ w
        return jnp.where(v > 1.0, v - 1.0, v), f32(v > 1.0)

    return scanned(step, f32(ZERO), xs)


def delayed(w, xs):
    """The current waits a step in the carry."""

    def step(c, x):
        v, i = c
        v, s = moved(v, i)
        return (v, x @ w), s

    later = jnp.concatenate([xs, jnp.zeros((1, N), xs.dtype)])
    return scanned(step, (f32(ZERO), f32(ZERO)), later)[1:]


def with_an_axis_of_one(w, xs):
    def step(v, x):
        v, s = moved(v, (x[None] @ w)[:, None])
        return v, s[0, 0]

    return scanned(step, f32(np.zeros((1, 1, M))), xs)


def turned(w, xs):
    def step(v, x):
        v, s = moved(v, (w.T @ x[:, None]).T)
        return v, s[0]

    return scanned(step, f32(np.zeros((1, M))), xs)


WAYS = [
    *(plain, current_first, unrolled, written_out, in_halves, stacked, stacked_last, end_to_end),
    *(with_a_counter, into_a_buffer, until_the_end, in_parts, in_parts_by_split, one_by_one),
    *(in_a_call, recomputed, with_a_surrogate, by_the_state_before, chosen),
    *(with_an_axis_of_one, turned),
]


def by_hand():
    v, out = ZERO, []
    for x in X:
        v = np.float32(0.5) * v + x @ np.asarray(W)
        out.append((v > 1).astype(np.float32))
        v = v - out[-1]
    return np.stack(out)


FIRED = by_hand()
LAYER = dict(ac=M * float(X.sum()), dense_ac=float(STEPS * N * M), updates=float(STEPS * M))
LAYER |= dict(neurons=float(M), synapses=float(N * M), nonzero=float(N * M))
LAYER |= dict(spikes=float(FIRED.sum()))


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_a_layer_of_neurons(way):
    out, account = joulax.count(way, weights=0, spikes=1)(W, f32(X))
    np.testing.assert_array_equal(out, FIRED)
    assert len(account.layers) == 1
    check(account["w"], **LAYER)


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_a_layer_of_neurons_in_a_batch(way):
    """Two samples of the same data: twice the work of the same neurons."""
    both = f32(np.stack([X, X]))
    _, account = joulax.count(jax.vmap(way, (None, 0)), weights=0, spikes=1)(W, both)
    fixed = ("neurons", "synapses", "nonzero")
    check(account["w"], **{k: v if k in fixed else 2 * v for k, v in LAYER.items()})


def test_a_current_that_waits():
    """One step more, in which nothing arrives."""
    out, account = joulax.count(delayed, weights=0, spikes=1)(W, f32(X))
    np.testing.assert_array_equal(out, FIRED)
    more = dict(updates=float((STEPS + 1) * M), dense_ac=float((STEPS + 1) * N * M))
    check(account["w"], **(LAYER | more))


def test_a_state_alone_is_returned():
    """A comparison that only resets is no spike."""
    _, account = joulax.count(until_a_parameter_says, weights=0, spikes=1)(W, f32(X))
    assert float(account["w"].neurons) == M
    assert float(account["w"].updates) == STEPS * M
    assert account["w"].spikes is None


ACTIVATIONS = dict(
    tanh=jnp.tanh,
    sigmoid=jax.nn.sigmoid,
    relu=jax.nn.relu,
    clipped=lambda v: jnp.clip(v, -1, 1),
    at_most=lambda v: jnp.minimum(v, 1),
    sine=jnp.sin,
    cosine=jnp.cos,
    arc=jnp.arctan,
    error=lax.erf,
    fired=lambda v: f32(v > 0.5),
    not_above=lambda v: f32(v <= 0.5),
    sign=jnp.sign,
)
PASSING = dict(
    itself=lambda v: v,
    scaled=lambda v: 2.0 * v,
    shifted=lambda v: v + 1.0,
    bounded_by_nothing=lambda v: jnp.maximum(v, -jnp.inf),
    normalised=lambda v: v / jnp.sqrt((v**2).sum(-1, keepdims=True)),
    softmax=jax.nn.softmax,
    summed=lambda v: v.sum(-1),
)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_nonlinearity_makes_neurons(name):
    f = lambda w, xs: ACTIVATIONS[name](xs @ w)
    record = joulax.count(f, weights=0, spikes=1)(W, f32(X))[1]["w"]
    assert (float(record.neurons), float(record.updates)) == (M, STEPS * M)
    assert (record.spikes is None) == (name not in ("fired", "not_above", "sign"))


@pytest.mark.parametrize("name", PASSING)
def test_what_makes_no_neurons(name):
    f = lambda w, xs: PASSING[name](xs @ w)
    record = joulax.count(f, weights=0, spikes=1)(W, f32(X))[1]["w"]
    assert record.updates is None
    assert record.spikes is None
