"""Where the neurons of a region are: among rows that land, samples that look up, steps left out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import spike

RNG = np.random.default_rng(0)
T, N, H, M = 6, 5, 4, 3
W = jnp.asarray(RNG.normal(size=(N, H)) * 0.7 + 0.3, jnp.float32)
V = jnp.asarray(RNG.normal(size=(H, M)), jnp.float32)
X = jnp.asarray(RNG.random((T, N)) < 0.5, jnp.float32)
THERE = jnp.asarray([1, 1, 1, 1, 0, 0], jnp.float32)
P = {"w": W, "v": V}


def counted(f, *args, spikes=1, **options):
    out, account = joulax.count(f, weights=0, spikes=spikes, **options)(P, *args)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), out, f(P, *args))
    return account


def sizes(record):
    return float(record.neurons), float(record.updates)


# -- states beside what a loop changes ---------------------------------------------------


def refractory(mask):
    """Fires unless its last spike is too young, by a clock in floats."""

    def f(p, xs):
        def step(c, x):
            v, last, t = c
            v = 0.9 * v + x @ p["w"]
            s = mask(spike(v - 1), t - last)
            return (v * (1 - s), jnp.where(s > 0, t, last), t + 1), s

        start = jnp.zeros(H), jnp.full(H, -9.0), jnp.float32(0)
        return lax.scan(step, start, xs)[1] @ p["v"]

    return f


@pytest.mark.parametrize(
    "mask",
    [
        lambda s, age: s * (age > 2).astype(s.dtype),
        lambda s, age: jnp.where(age > 2, s, 0.0),
        lambda s, age: jnp.where(age <= 2, 0.0, s),
    ],
    ids=["times", "chosen", "left out"],
)
def test_a_clock_is_no_constant(mask):
    """In the first step the time is 0 for certain: what follows from that alone is forgotten."""
    account = counted(refractory(mask), X)
    assert sizes(account["w"]) == (H, H * T)
    assert float(account["w"].spikes) == float(account["v"].ac) / M > 0


def test_the_time_of_the_first_spike_is_no_second_population():
    def f(p, xs):
        def step(c, x):
            u, first, t = c
            u = 0.9 * u + x @ p["w"]
            s = spike(u - 1)
            first = jnp.where((s > 0) & (first >= T), t, first)
            return (u * (1 - s), first, t + 1), None

        return lax.scan(step, (jnp.zeros(H), jnp.full(H, 1.0 * T), jnp.float32(0)), xs)[0][1]

    assert sizes(counted(f, X)["w"]) == (H, H * T)


# -- products without a sum ------------------------------------------------------------------

WITHOUT_SUM = {
    "rows that are there": lambda p, x, m: jnp.einsum("bi,b->bi", x, m) @ p["w"],
    "rows, the mask first": lambda p, x, m: jnp.einsum("b,bi->bi", m, x) @ p["w"],
    "element by element": lambda p, x, m: jnp.einsum("bi,bi->bi", x, x) @ p["w"] * m[:, None],
    "mapped": lambda p, x, m: jax.vmap(lambda x, m: jnp.einsum("i,->i", x, m))(x, m) @ p["w"],
    "dispatched": lambda p, x, m: jnp.einsum("bi,be->ebi", x, jnp.stack([m, 1 - m], 1)) @ p["w"],
}


@pytest.mark.parametrize("name", list(WITHOUT_SUM))
def test_a_product_of_spikes_without_a_sum_is_spikes(name):
    f = WITHOUT_SUM[name]
    account = counted(f, X, THERE, spikes=(1, 2))
    rows = np.asarray(X).sum(1)
    met = rows.sum() if name in ("element by element", "dispatched") else rows @ THERE
    assert set(account) == {"w"}
    assert float(account["w"].ac) == met * H
    assert account["w"].mac is None


# -- rows that land ----------------------------------------------------------------------------

SOURCE, TARGET = jnp.array([0, 1, 2, 3, 4, 5, 0]), jnp.array([1, 2, 3, 4, 5, 0, 3])
ORDER = [1, 0, 2, 4, 3, 5]
LANDED = {
    "edges of a graph": (lambda h: jax.ops.segment_sum(h[SOURCE], TARGET, T), T),
    "two to one": (lambda h: jax.ops.segment_sum(h, jnp.array([0, 0, 1, 1, 2, 2]), 3), 3),
    "in another order": (lambda h: jnp.eye(T)[jnp.array(ORDER)] @ h, T),
    "in the middle": (lambda h: jnp.zeros((3, T, H)).at[1].add(h)[1], T),
}


@pytest.mark.parametrize("name", list(LANDED))
def test_rows_that_land_among_rows_are_samples(name):
    move, rows = LANDED[name]
    account = counted(lambda p, x: jax.nn.relu(move(x @ p["w"])), X)
    assert sizes(account["w"]) == (H, H * rows)


def test_weights_that_samples_look_up_are_those_of_one_sample():
    w, e = jnp.stack([W] * 3), jnp.array([0, 1, 2, 0, 1, 2])
    f = lambda w, x, e: jax.vmap(lambda v, k: jax.nn.relu(v @ w[k]))(x, e)
    record = joulax.count(f, weights=0, spikes=1)(w, X, e)[1]["w"]
    assert sizes(record) == (H, H * T)
    assert float(record.synapses) == W.size
    assert float(record.ac) == float(X.sum()) * H


# -- steps left out ----------------------------------------------------------------------------


def test_a_state_that_a_branch_hands_on_is_updated_where_it_is_driven():
    """A sequence of four steps, padded: a leaky readout rests."""

    def f(p, xs, there):
        def step(c, q):
            x, here = q

            def driven(c):
                v, y = c
                v = 0.9 * v + x @ p["w"]
                s = spike(v - 1)
                return v * (1 - s), 0.9 * y + s @ p["v"]

            return lax.cond(here > 0, driven, lambda c: c, c), None

        return lax.scan(step, (jnp.zeros(H), jnp.zeros(M)), (xs, there))[0][1]

    account = counted(f, X, THERE)
    assert sizes(account["w"]) == (H, 4 * H)
    assert sizes(account["v"]) == (M, 4 * M)


def test_a_state_that_leaks_in_the_other_branch_is_updated_in_every_step():
    def f(p, xs, there):
        step = lambda y, q: (
            lax.cond(q[1] > 0, lambda y: 0.9 * y + q[0] @ p["w"], lambda y: 0.9 * y, y),
            None,
        )
        return lax.scan(step, jnp.zeros(H), (xs, there))[0]

    assert sizes(counted(f, X, THERE)["w"]) == (H, T * H)


# -- traces and encoders -----------------------------------------------------------------------


def test_a_trace_of_other_neurons_makes_none_of_them():
    """An eligibility matrix, five traces times the currents of four neurons, is learned."""

    def f(p, xs):
        def step(c, x):
            g, t = c
            t = 0.9 * t + x
            return (g + jnp.outer(t, x @ p["w"]), t), None

        return lax.scan(step, (jnp.zeros((N, H)), jnp.zeros(N)), xs)[0][0]

    record = counted(f, X)["w"]
    assert (record.neurons, record.updates) == (None, None)
    assert float(record.synapses) == N * H


def test_spikes_that_an_encoder_puts_at_their_time_are_its_own():
    """Latency: one spike each, written or as one-hot rows."""
    x = jnp.asarray(RNG.random(N), jnp.float32)
    when = lambda x: jnp.round((1 - x) * (T - 1)).astype(int)
    written = lambda p, x: jnp.zeros((T, N)).at[when(x), jnp.arange(N)].set(1.0) @ p["w"]
    one_hot = lambda p, x: jax.nn.one_hot(when(x), T).T @ p["w"]
    for f in (written, one_hot):
        account = counted(f, x, spikes=None)
        (encoder,) = [r for name, r in account.items() if name.startswith("input")]
        assert float(encoder.spikes) == N
        assert encoder.updates is None
        assert float(account["w"].ac) == N * H
