"""Rows of a weight that a state collects one by one, in a loop and written out: scaled by several
data, through floors and squashing, by choices within choices.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import numbers, over_steps, spike

RNG = np.random.default_rng(1)
W = jnp.asarray(RNG.normal(size=(8, 4)) * (RNG.random((8, 4)) < 0.75), jnp.float32)
X = jnp.asarray([1, 0, 1, 1, 0, 0, 1, 1], jnp.float32)
BEFORE, AFTER = jnp.roll(X, 1), jnp.roll(X, -1)
G = jnp.float32(1.5)
Z = jnp.zeros(4, jnp.float32)
EXISTS = np.asarray(W) != 0
same = lambda v: v


def looped(add):
    return lambda w, x, g: lax.fori_loop(0, 8, lambda i, v: add(v, w[i], x, i, g), Z)


def written_out(add):
    def f(w, x, g):
        v = Z
        for i in range(8):
            v = add(v, w[i], x, i, g)
        return v

    return f


def added_if(pred, v, row):
    return lax.cond(pred, lambda v: v + row, same, v)


def either_way(v, row, x, i, g):
    inner = lambda v: lax.cond(g > 0, lambda v: v + row, lambda v: v - row, v)
    return lax.cond(x[i] > 0, inner, same, v)


# what a step makes of its state; the kind of its products; how often each row arrives
SCALED = {
    "of two": (lambda v, row, x, i, g: v + x[i] * g * row, "mac", X),
    "of two, the other way": (lambda v, row, x, i, g: v + x[i] * (g * row), "ac", X),
    "of two, the leaf first": (lambda v, row, x, i, g: v + (g * row) * x[i], "ac", X),
    "less the mean": (lambda v, row, x, i, g: v + (x[i] - 2 * x.mean()) * row, "mac", X * 0 + 1),
    "over the norm": (lambda v, row, x, i, g: v + x[i] / jnp.sqrt((x * x).sum()) * row, "mac", X),
    "a neighbour": (lambda v, row, x, i, g: v + x[i] * x[(i + 1) % 8] * row, "ac", X * AFTER),
}
FLOORED = {
    "a floor": (lambda v, row, x, i, g: jnp.maximum(v + x[i] * row, 0), "ac", X),
    "clipped": (lambda v, row, x, i, g: jnp.clip(v + x[i] * row, -5, 5), "ac", X),
    "squashed": (lambda v, row, x, i, g: jnp.tanh(v + x[i] * row), "ac", X),
    "rounded": (lambda v, row, x, i, g: jnp.round(8 * (v + x[i] * row)) / 8, "ac", X),
    "cut to integers": (
        lambda v, row, x, i, g: (8 * (v + x[i] * row)).astype(jnp.int32).astype(jnp.float32) / 8,
        "ac",
        X,
    ),
    "in a branch": (
        lambda v, row, x, i, g: lax.cond(x[i] > 0, lambda v: jnp.tanh(v + row), same, v),
        "ac",
        X,
    ),
}
CHOSEN = {
    "both": (lambda v, row, x, i, g: added_if((x[i] > 0) & (g > 0), v, row), "ac", X),
    "their product": (lambda v, row, x, i, g: added_if(x[i] * g > 0, v, row), "ac", X),
    "within": (either_way, "ac", X),
    "around": (
        lambda v, row, x, i, g: lax.cond(g > 0, lambda v: added_if(x[i] > 0, v, row), same, v),
        "ac",
        X,
    ),
    "a scaled row": (
        lambda v, row, x, i, g: lax.cond(x[i] > 0, lambda v: v + g * row, same, v),
        "ac",
        X,
    ),
    "two of them": (
        lambda v, row, x, i, g: lax.switch(
            (x[i] + x[i - 1]).astype(jnp.int32), [same, lambda v: v + row, lambda v: v + row], v
        ),
        "ac",
        jnp.maximum(X, BEFORE),
    ),
    "where both": (
        lambda v, row, x, i, g: v + jnp.where((x[i] > 0) & (g > 0), row, 0),
        "ac",
        X,
    ),
    "a row or its negative": (
        lambda v, row, x, i, g: v + jnp.where(x[i] > 0, row, -row),
        "ac",
        X * 0 + 1,
    ),
}
ALL = SCALED | FLOORED | CHOSEN


@pytest.mark.parametrize("loop", [looped, written_out])
@pytest.mark.parametrize("name", list(ALL))
def test_every_row_that_arrives_is_counted(name, loop):
    add, kind, arrives = ALL[name]
    f = loop(add)
    out, account = joulax.count(f, weights=0, spikes=1)(W, X, G)
    np.testing.assert_allclose(out, f(W, X, G), rtol=1e-5, atol=1e-6)
    record = account["w"]
    by_neuron = np.asarray(arrives) @ EXISTS
    assert float(getattr(record, kind)) == by_neuron.sum()
    assert float(record.dense) == float(record.synapses) == W.size
    assert getattr(record, "mac" if kind == "ac" else "ac") is None
    each = getattr(joulax.count(f, weights=0, spikes=1, neurons=True)(W, X, G)[1]["w"], kind)
    if loop is written_out and "neurons" in numbers(record):  # of other slices, so other neurons
        each = np.asarray(each).reshape(-1, 4).sum(0)
    np.testing.assert_array_equal(each, by_neuron)


@pytest.mark.parametrize("taken", [1, -1])
def test_a_branch_around_the_loop_is_the_one_taken(taken):
    """Where the outer choice says no, nothing arrives."""
    add, kind, _ = ALL["around"]
    account = joulax.count(looped(add), weights=0, spikes=1)(W, X, taken * G)[1]
    assert float(account["w"].ac) == (np.asarray(X) @ EXISTS).sum() * (taken > 0)


def test_one_leaf_or_another_summed_at_once():
    """A network of ±1 as a choice: every input arrives."""
    f = lambda w, x: jnp.where(x[:, None] > 0, w, -w).sum(0)
    out, account = joulax.count(f, weights=0, spikes=1)(W, X)
    np.testing.assert_allclose(out, (2 * X - 1) @ W, rtol=1e-5)
    record = account["w"]
    assert float(record.ac) == EXISTS.sum()
    assert float(record.dense_ac) == float(record.synapses) == W.size


def peephole(p, c, gates):
    """A cell that looks at its state through a leaf, element by element."""
    i, f, g, o = jnp.split(gates, 4)
    i, f = jax.nn.sigmoid(i + p[0] * c), jax.nn.sigmoid(f + p[1] * c)
    c = f * c + i * jnp.tanh(g)
    return c, jax.nn.sigmoid(o + p[2] * c) * jnp.tanh(c)


@pytest.mark.parametrize("loop", [True, False])
def test_peepholes_are_no_synapses(loop):
    """Slices of a leaf, one to one: the state that they look at is made of many of them."""

    def f(p, xs):
        step = lambda c, x: peephole(p["p"], c, x @ p["w"])
        return over_steps(step, Z, xs, loop)

    p = dict(p=W[:3], w=jnp.ones((8, 16), jnp.float32))
    account = joulax.count(f, weights=0)(p, jnp.stack([X, X, X, 1 - X]))[1]
    assert list(account) == ["w"]


def test_spikes_that_are_made_twice_are_those_of_one_population():
    """For the next step's currents and for the output, of the same state."""

    def f(p, xs):
        v, out = jnp.zeros(4, jnp.float32), []
        for x in xs:
            back = (v > 0.3).astype(jnp.float32)
            v = 0.9 * v - 0.3 * back + x @ p["w"] + back @ p["r"]
            out.append((v > 0.3).astype(jnp.float32))
        return jnp.stack(out)

    p = dict(w=W, r=0.1 * jnp.ones((4, 4), jnp.float32))
    out, account = joulax.count(f, weights=0, spikes=1)(p, jnp.stack([X, X, 1 - X]))
    assert float(account["w"].neurons) == 4
    assert float(account["w"].updates) == 3 * 4
    assert float(account["w"].spikes) == float(out.sum()) > 0
    assert float(account["r"].ac) == 4 * float(out[:-1].sum())


@pytest.mark.parametrize("fire", [spike, jax.jit(spike), jax.checkpoint(spike)])
@pytest.mark.parametrize("loop", [True, False])
def test_a_surrogate_that_is_called_once_for_each_use(loop, fire):
    """For the reset, and for two layers behind: the same spikes."""

    def f(p, xs):
        def step(v, x):
            v = 0.9 * v + x @ p["w"]
            return v - fire(v - 0.3), (fire(v - 0.3) @ p["b"], fire(v - 0.3) @ p["c"])

        return over_steps(step, Z, xs, loop)

    p = dict(w=W, b=jnp.ones((4, 2), jnp.float32), c=jnp.ones((4, 3), jnp.float32))
    account = joulax.count(f, weights=0, spikes=1)(p, jnp.stack([X, X, 1 - X]))[1]
    record = account["w"]
    assert (float(record.neurons), float(record.updates)) == (4, 12)
    assert 2 * float(record.spikes) == float(account["b"].ac) > 0
    assert 3 * float(record.spikes) == float(account["c"].ac)


@pytest.mark.parametrize("loop", [True, False])
def test_two_populations_on_one_current_stay_two(loop):
    """Before the first step their states are equal, and so are their first potentials."""

    def f(p, xs):
        def step(c, x):
            v, u = c
            current = x @ p["w"]
            v, u = 0.9 * v + current, 0.5 * u + current
            s, z = spike(v - 0.3), spike(u - 0.3)
            return (v - s, u - z), (s @ p["b"], z @ p["c"])

        return over_steps(step, (Z, Z), xs, loop)

    p = dict(w=W, b=jnp.ones((4, 1), jnp.float32), c=jnp.ones((4, 1), jnp.float32))
    account = joulax.count(f, weights=0, spikes=1)(p, jnp.stack([X, X, 1 - X]))[1]
    assert (float(account["w"].neurons), float(account["w"].updates)) == (8, 24)
    assert float(account["w"].spikes) == float(account["b"].ac) + float(account["c"].ac)


def test_the_same_input_again_is_counted_again():
    """A still image, shown four times to a network without a state."""

    def f(p, x, times):
        return sum(spike(x @ p["w"] - 0.3) @ p["b"] for _ in range(times))

    p = dict(w=W, b=jnp.ones((4, 2), jnp.float32))
    once, often = (
        joulax.count(lambda p, x, n=n: f(p, x, n), weights=0, spikes=1)(p, X)[1] for n in (1, 4)
    )
    for layer, field in (("w", "ac"), ("w", "spikes"), ("w", "updates"), ("b", "ac")):
        found, one = (float(getattr(a[layer], field)) for a in (often, once))
        assert found == 4 * one > 0, (layer, field)


def test_a_gain_for_each_step_is_no_row():
    """One number for all of a vector, squashed with the state."""

    def f(p, xs):
        step = lambda v, s: (jnp.tanh(v + s[0] * s[1]), v)
        return lax.scan(step, jnp.zeros(8, jnp.float32), (xs, p["gain"]))[1]

    xs = jnp.stack([X, X - 0.5, 1 - X])
    p = {"gain": jnp.asarray([1, 2, 3], jnp.float32)}
    assert not joulax.count(f, weights=0)(p, xs)[1].layers
