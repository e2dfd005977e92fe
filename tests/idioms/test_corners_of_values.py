"""More corners: limits of counts, masks that are turned round, keys made of data, one neuron."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import f32, over_steps, spike, unchanged as count

RNG = np.random.default_rng(31)
W, V = f32(RNG.normal(size=(5, 7))), f32(RNG.normal(size=(3, 5)))
S, T = (f32(RNG.random((9, 5)) < 0.5) for _ in range(2))
fires = lambda v: spike(v - jnp.float32(0.5))


def total(record, *names):
    found = [getattr(record, n) for n in names]
    return [None if v is None else float(v) for v in found]


def test_scaled_spikes_behind_a_limit():
    """The size of a spike is a leaf: a limit below it leaves the one event."""
    limited = lambda p, s: jnp.clip(s * p["size"], 0, 0.5) @ p["w"]
    record = count(limited, {"w": W, "size": jnp.float32(2)}, S, spikes=1)["w"]
    assert total(record, "ac", "mac") == [7 * float(S.sum()), None]


@pytest.mark.parametrize("seed", [jax.random.key, jax.random.PRNGKey])
def test_a_key_that_is_made_of_data_draws_at_random(seed):
    """An encoder, as with a key that is handed in."""

    def encoded(w, s):
        drawn = jax.random.uniform(seed(s.sum().astype(jnp.int32)), (5,), jnp.float32)
        return (drawn < jnp.float32(0.5)).astype(jnp.float32) @ w

    account = count(encoded, W, S, spikes=None)
    assert total(account["w"], "dense_ac", "mac") == [35, None]
    assert sum(name.startswith("input") for name in account) == 1


def test_bits_of_a_key_meet_data():
    """Not random any more, but spikes of an input all the same."""

    def chosen(w, s):
        bits = jax.random.bits(jax.random.key(0), (9, 5), jnp.uint32)
        return (bits.astype(jnp.float32) * S < s * 2.0**31).astype(jnp.float32) @ w

    account = count(chosen, W, S, spikes=None)
    fired = float(account["input[0]"].spikes)
    assert fired > 0
    assert total(account["w"], "ac", "dense_ac") == [7 * fired, 9 * 35]


@pytest.mark.parametrize("place", [(0, 1), (1, 0)], ids=["leaf last", "leaf first"])
def test_a_product_along_samples_alone_is_none(place):
    """`dot_general` without a sum: a gain for each input, no synapses of a layer."""
    along = (((), ()), ((1,), (1,)))

    def gained(g, s):
        operands = [(s, g), (g, s)][place[0]]
        return fires(lax.dot_general(*operands, along)).sum()

    account = count(gained, f32(np.ones((9, 5))), S, spikes=1)
    assert {name: total(record, "ac", "mac") for name, record in account.items()} == {
        "g": [None, None]
    }


@pytest.mark.parametrize("order", ["counts first", "zero first", "less than zero"])
def test_whether_there_was_any_spike(order):
    """A count that a loop carries, compared with zero, is one event where there was any."""

    def seen(w, xs):
        counts = lax.scan(lambda n, x: (n + x, None), jnp.zeros(5, jnp.float32), xs)[0]
        zero = jnp.float32(0)
        above = {"counts first": counts > 0, "zero first": zero < counts}
        return above.get(order, zero > counts).astype(jnp.float32) @ w

    record = count(seen, W, S, spikes=1)["w"]
    if order != "less than zero":
        there = 7 * np.count_nonzero(S.sum(0))
        assert total(record, "ac", "ac_graded", "mac") == [there, there, None]
    else:
        assert total(record, "ac", "dense_ac") == [0, 35]


def test_a_state_that_each_step_forgets():
    """What starts as data and is a constant after any step."""

    def model(w, x0, xs):
        def step(v, x):
            return jnp.zeros(7, jnp.float32), fires(v + x @ w)

        return lax.scan(step, x0 @ w, xs)[1]

    record = count(model, W, S[0], S[1:], spikes=(1, 2))["w"]
    assert total(record, "ac", "neurons", "synapses") == [7 * S.sum(), 7, 35]


@pytest.mark.parametrize("there", [True, False])
def test_rows_where_no_spike_is(there):
    """Rows of a leaf that stand where spikes are, or where they are not, and are summed."""

    def chosen(w, s):
        fired = s[:, None] > 0
        return jnp.where(fired, w if there else 0.0, 0.0 if there else w).sum(0)

    record = count(chosen, W, S[0], spikes=1)["w"]
    many = float(S[0].sum() if there else (1 - S[0]).sum())
    assert total(record, "ac", "dense_ac", "mac") == [7 * many, 35, None]


@pytest.mark.parametrize("turned", [False, True])
def test_a_mask_and_another_one_turned_round(turned):
    """What a mask leaves is apart from it; what its reverse leaves is not."""
    mask = f32([1, 1, 0, 0, 1])

    def mixed(w, s, t):
        rest = 1 - (mask[::-1] if turned else mask)
        return (s * mask + t * rest) @ w

    record = count(mixed, W, S, T, spikes=(1, 2))["w"]
    rest = 1 - np.asarray(mask[::-1] if turned else mask)
    assert total(record, "ac") == [
        7 * float((S * np.asarray(mask)[None]).sum() + (T * rest[None]).sum())
    ]


def test_spikes_times_a_mask_of_labels_are_no_pair():
    """Each class of inputs by itself: spikes where a label says so."""
    labels = jnp.asarray([0, 2, 1, 0, 2])

    def by_class(w, s, labels):
        where = (labels[:, None] == jnp.arange(3)).astype(jnp.float32)
        return (s[:, None] * where).sum(0) @ w

    account = count(by_class, V, S[0], labels, spikes=1)
    assert list(account) == ["w"]
    assert total(account["w"], "ac") == [5 * float(S[0].sum())]


def test_fast_weights_are_no_neurons():
    """Products of what two layers say, summed over samples and carried: a memory."""

    def model(p, xs):
        def step(memory, x):
            keys, values = fires(x @ p["k"]), fires(x @ p["v"])
            memory = memory * jnp.float32(0.5) + keys.T @ values
            return memory, (keys @ memory).sum()

        return lax.scan(step, jnp.zeros((7, 7), jnp.float32), xs)[1]

    account = count(model, {"k": W, "v": W * 2}, S.reshape(3, 3, 5), spikes=1)
    assert {n: total(r, "neurons")[0] for n, r in account.items() if r.neurons is not None} == {
        "k": 7,
        "v": 7,
    }


def test_products_of_all_steps_are_of_the_same_synapses():
    """Made for all steps at once, and summed in each."""

    def model(w, xs):
        products = xs[:, :, None] * w
        return lax.scan(lambda n, now: (n, fires(now.sum(0))), jnp.float32(0), products)[1]

    record = count(model, W, S, spikes=1)["w"]
    met = [7 * float(S.sum()), 9 * 35]
    assert total(record, "ac", "dense_ac") == met
    assert total(record, "synapses", "neurons") == [35, 7]


def test_synapses_that_are_declared_without_a_weight():
    def declared(w, s):
        with jax.named_scope("inputs"):
            return joulax.synapses(s) @ w

    record = count(declared, W, S, spikes=1)["inputs"]
    assert total(record, "ac", "dense_ac") == [float(S.sum()), S.size]


@pytest.mark.parametrize("looped", [True, False])
def test_one_neuron(looped):
    """Currents of all steps at once, and a leak written out: one neuron, nine updates."""

    def model(w, xs):
        currents = xs @ w

        def step(v, i):
            v = v * jnp.float32(0.5) + i
            return v, v

        return over_steps(step, jnp.zeros(1, jnp.float32), currents, looped)[-1]

    record = count(model, W[:, :1], S, spikes=1)["w"]
    assert total(record, "neurons", "updates", "synapses") == [1, 9, 5]


def test_a_scope_beside_those_of_transformations():
    """Weights that belong to no model are named by their scope alone, also of what contains it."""

    def model(s):
        with jax.named_scope("encoder"):
            weights = jnp.full((5, 7), 0.5).at[0, 0].set(0.0)
            layer = jax.checkpoint(lambda s: jnp.tanh(s @ weights))
            return jax.grad(lambda s: layer(s).sum())(s)

    names = list(joulax.count(model, weights=None, spikes=0)(S[0])[1])
    assert names == ["encoder", "encoder (recomputed)", "encoder (input gradient)"]


@pytest.mark.parametrize("around", [jax.jit, jax.checkpoint, jax.vmap], ids=lambda f: f.__name__)
def test_a_scope_inside_and_around_of_what_contains_a_layer(around):
    def model(s):
        def layer(s):
            with jax.named_scope("hidden"):
                inner = jnp.tanh(s @ (jnp.ones((5, 7)) * 0.5))
            with jax.named_scope("encoder"):
                return jnp.tanh(inner @ (jnp.ones((7, 3)) * 0.5))

        with jax.named_scope("encoder"):
            return lax.scan(lambda n, s: (n, around(layer)(s)), 0, s[None])[1]

    _, account = joulax.count(model, weights=None, spikes=0)(S)
    assert list(account) == ["encoder/hidden", "encoder"]


@pytest.mark.parametrize("looped", [True, False])
@pytest.mark.parametrize("steps", [1.0, 2.0, 3.0])
def test_neurons_that_count_down_in_floats(steps, looped):
    """A counter that stops at zero is of the neurons that it silences: no others, no spikes."""

    def step(w, state, x):
        v, left = state
        v = v * jnp.float32(0.5) + x @ w
        s = fires(v) * (left <= 0).astype(jnp.float32)
        return (v * (1 - s), jnp.maximum(left - 1, 0) + jnp.float32(steps) * s), s

    start = (jnp.zeros(7, jnp.float32),) * 2
    model = lambda w, xs: over_steps(partial(step, w), start, xs, looped)
    v, left, fired = np.zeros((3, 7))
    for x in np.asarray(S):
        v = v * 0.5 + x @ np.asarray(W)
        s = (v > 0.5) * (left <= 0)
        v, left, fired = v * (1 - s), np.maximum(left - 1, 0) + steps * s, fired + s
    record = next(iter(count(model, W, S, spikes=1).values()))
    assert total(record, "neurons", "updates", "spikes") == [7, 63, fired.sum()]
