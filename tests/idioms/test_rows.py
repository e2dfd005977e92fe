"""Rows of a weight that are added one by one where an event says so, by a branch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

RNG = np.random.default_rng(0)
W = jnp.asarray(RNG.normal(size=(6, 3)) * (RNG.random((6, 3)) < 0.8), jnp.float32)
X = jnp.asarray(RNG.random(6) < 0.5, jnp.float32)
Z = jnp.zeros(3, jnp.float32)
FANOUT = np.count_nonzero(np.asarray(W), 1)
BY_NEURON = np.asarray(X) @ (np.asarray(W) != 0)


def added(row, a):
    """What an event adds."""
    return a + row


def same(row, a):
    """Nothing arrives."""
    return a


def same_state(a):
    """Nothing arrives."""
    return a


def over_rows(add):
    return lambda w, x: lax.fori_loop(0, 6, lambda i, a: add(x[i], w[i], a), Z)


def over_pairs(add):
    return lambda w, x: lax.scan(lambda a, k: (add(*k, a), None), Z, (x, w))[0]


BRANCHES = {
    "compared": lambda x, row, a: lax.cond(x > 0, added, same, row, a),
    "compared, swapped": lambda x, row, a: lax.cond(x == 0, same, added, row, a),
    "a truth value": lambda x, row, a: lax.cond(x.astype(bool), added, same, row, a),
    "an index": lambda x, row, a: lax.switch(x.astype(jnp.int32), [same, added], row, a),
    "closed over": lambda x, row, a: lax.cond(x > 0, lambda a: a + row, lambda a: a, a),
    "a function inside": lambda x, row, a: lax.cond(x > 0, jax.jit(added), same, row, a),
    "subtracted": lambda x, row, a: lax.cond(x > 0, lambda row, a: a - row, same, row, a),
    "the row first": lambda x, row, a: lax.cond(x > 0, lambda row, a: row + a, same, row, a),
}


@pytest.mark.parametrize("loop", [over_rows, over_pairs])
@pytest.mark.parametrize("name", list(BRANCHES))
def test_a_row_is_added_where_an_event_arrives(name, loop):
    f = loop(BRANCHES[name])
    out, account = joulax.count(f, weights=0, spikes=1)(W, X)
    np.testing.assert_array_equal(out, f(W, X))
    record = account["w"]
    assert float(record.ac) == float(record.ac_graded) == float(np.asarray(X) @ FANOUT)
    assert float(record.dense_ac) == float(record.synapses) == W.size
    by_neuron = joulax.count(f, weights=0, spikes=1, neurons=True)(W, X)[1]["w"]
    np.testing.assert_array_equal(by_neuron.ac, BY_NEURON)
    np.testing.assert_array_equal(by_neuron.dense_ac, np.full(3, 6.0))


def test_two_rows_by_turns_are_the_synapses_of_one_leaf():
    """Every row is the first of one step and the second of another."""
    two = lambda w, i, v: v + w[i] + w[(i + 1) % 6]

    def f(w, x):
        turn = lambda i, v: lax.cond(x[i] > 0, lambda v: two(w, i, v), same_state, v)
        return lax.fori_loop(0, 6, turn, Z)

    record = joulax.count(f, weights=0, spikes=1)(W, X)[1]["w"]
    assert float(record.ac) == float(np.asarray(X) @ (FANOUT + np.roll(FANOUT, -1)))
    assert float(record.dense_ac) == 2 * W.size
    assert float(record.synapses) == W.size


def test_neurons_driven_by_rows():
    """Three steps; the membrane collects the rows itself."""
    arrive = BRANCHES["compared"]

    def program(w, xs):
        def step(v, x):
            v = lax.fori_loop(0, 6, lambda i, a: arrive(x[i], w[i], a), 0.9 * v)
            s = (v > 0.3).astype(jnp.float32)
            return v - 0.3 * s, s

        return lax.scan(step, Z, xs)[1]

    xs = jnp.stack([X, 1 - X, X])
    s, account = joulax.count(program, weights=0, spikes=1)(W, xs)
    record = account["w"]
    assert float(record.ac) == float((np.asarray(xs) @ FANOUT).sum())
    assert (float(record.neurons), float(record.updates)) == (3, 9)
    assert float(record.spikes) == np.count_nonzero(s)


def test_mapped_inside_of_the_counter_it_is_refused_with_the_remedy():
    """Under `vmap` both branches run, and one is chosen."""
    f = jax.vmap(over_rows(BRANCHES["compared"]), (None, 0))
    with pytest.raises(ValueError, match=r"write where\(spike, row, 0\)"):
        joulax.count(f, weights=0, spikes=1)(W, X[None])
    mapped = jax.vmap(joulax.count(over_rows(BRANCHES["compared"]), weights=0, spikes=1), (None, 0))
    account = mapped(W, jnp.stack([X, 1 - X]))[1]
    rates = np.stack([np.asarray(X), 1 - np.asarray(X)])
    np.testing.assert_array_equal(account["w"].ac, rates @ FANOUT)


def test_a_row_that_was_added_before_the_choice_is_refused():
    late = lambda x, row, a: lax.cond(x > 0, lambda y, a: y, lambda y, a: a, a + row, a)
    with pytest.raises(ValueError, match="rows of a weight"):
        joulax.count(over_rows(late), weights=0, spikes=1)(W, X)


def test_a_bias_that_is_chosen_is_no_synapse():
    """The same row at every step."""
    f = lambda w, x: lax.scan(
        lambda a, k: (lax.cond(k > 0, lambda a: a + w[0], lambda a: a, a), None), Z, x
    )[0]
    assert not dict(joulax.count(f, weights=0, spikes=1)(W, X)[1].layers)


def unrolled(add):
    def run(w, x):
        a = Z
        for i in range(6):
            a = add(x[i], w[i], a)
        return a

    return run


CHOSEN = {
    "unrolled": (unrolled(BRANCHES["compared"]), 1),
    "unrolled, closed over": (unrolled(BRANCHES["closed over"]), 1),
    "unrolled, chosen before it is added": (
        unrolled(lambda x, row, a: a + lax.cond(x > 0, lambda: row, lambda: Z)),
        1,
    ),
    "chosen before it is added, in a loop": (
        over_rows(lambda x, row, a: a + lax.cond(x > 0, lambda: row, lambda: Z)),
        1,
    ),
    "a state of pairs": (
        over_pairs(lambda x, row, a: 0.5 * a + lax.cond(x > 0, lambda: row, lambda: Z)),
        1,
    ),
    "twice in one branch": (
        over_rows(lambda x, row, a: lax.cond(x > 0, lambda a: a + row + row, same_state, a)),
        2,
    ),
    "nested": (
        over_rows(
            lambda x, row, a: lax.cond(
                x > 0,
                lambda a: a + row,
                lambda a: lax.cond(x < 0, lambda a: a - row, same_state, a),
                a,
            )
        ),
        1,
    ),
}


@pytest.mark.parametrize("name", list(CHOSEN))
def test_rows_of_a_choice_are_counted_where_they_are_summed(name):
    """In a loop or written out, added in the branch or behind it."""
    f, rows = CHOSEN[name]
    x = X.at[1].set(-1) if name == "nested" else X
    record = joulax.count(f, weights=0, spikes=1)(W, x)[1]["w"]
    assert float(record.ac) == float(record.ac_graded) == rows * float(np.abs(x) @ FANOUT)
    assert float(record.dense_ac) >= float(record.ac)
    by_neuron = joulax.count(f, weights=0, spikes=1, neurons=True)(W, x)[1]["w"]
    np.testing.assert_array_equal(by_neuron.ac, rows * np.abs(x) @ (np.asarray(W) != 0))


@pytest.mark.parametrize(
    "add",
    [
        lambda x, row, a: jnp.where(x > 0, a + row, a),
        lambda x, row, a: lax.cond(x > 0, lambda a: a.at[:2].add(row[:2]), same_state, a),
    ],
    ids=["where", "at"],
)
@pytest.mark.parametrize("loop", [over_rows, unrolled])
def test_rows_that_cannot_be_followed_are_refused(add, loop):
    with pytest.raises(ValueError, match=r"write where\(spike, row, 0\)"):
        joulax.count(loop(add), weights=0, spikes=1)(W, X)


@pytest.mark.parametrize(
    "f",
    [
        lambda w, x: (x[:, None] * w + w).sum(0),
        lambda w, x: (x[:, None] * w + w[:1]).sum(0),
        lambda w, x: lax.cond(x.sum() >= 0, lambda: (x[:, None] * w + w[:1]).sum(0), lambda: Z),
    ],
    ids=["the leaf", "a slice", "a slice, in a branch"],
)
def test_a_leaf_that_is_added_to_its_own_products_is_no_product(f):
    record = joulax.count(f, weights=0, spikes=1)(W, X)[1]["w"]
    assert float(record.ac) == float(np.asarray(X) @ FANOUT)
    assert float(record.dense_ac) == W.size


ONE = jnp.float32(1)


def in_branches(w, x, g):
    """Rows of one leaf in branches that exclude each other, and one behind them."""
    return lax.cond(g > 0, lambda: w[0] * x[0], lambda: w[1] * x[1]) + w[2] * x[2]


def of_two_sizes(w, x, g):
    """Two rows in one branch, one in the other."""
    two = lambda a: a + w[0] * x[0] + w[1] * x[1]
    return lax.cond(g > 0, two, lambda a: a + w[2] * x[2], Z)


def one_before(w, x, g):
    """A row before the choice, which stands there whatever is chosen."""
    return lax.cond(g > 0, lambda a: a + w[1] * x[1], lambda a: a, w[0] * x[0])


@pytest.mark.parametrize(
    ("f", "chosen", "rows", "dense"),
    [
        (in_branches, 1, [0, 2], 6),
        (in_branches, -1, [1, 2], 6),
        (of_two_sizes, 1, [0, 1], 6),
        (of_two_sizes, -1, [2], 3),
        (one_before, 1, [0, 1], 6),
        (one_before, -1, [0], 3),
    ],
)
def test_rows_of_the_branch_that_is_taken(f, chosen, rows, dense):
    ones = jnp.ones_like(X)
    _, account = joulax.count(f, weights=0, spikes=1)(W, ones, chosen * ONE)
    assert list(account.layers) == ["w"]
    assert float(account["w"].ac) == FANOUT[rows].sum()
    assert float(account["w"].dense_ac) == dense


def alone_in_branches(w, x, g):
    return lax.cond(g > 0, lambda: w[0] * x[0], lambda: w[1] * x[1])


def gains_in_branches(w, x, g):
    return lax.cond(g > 0, lambda: x * w[:, 0], lambda: x[::-1] * w[:, 1])


@pytest.mark.parametrize("f", [alone_in_branches, gains_in_branches])
def test_rows_that_exclude_each_other_are_no_sum(f):
    account = joulax.count(f, weights=0, spikes=1)(W, X, ONE)[1]
    assert all(r.ac is None and r.mac is None for r in account.values())


def plus_or_minus(w, x):
    a = Z
    for i in range(6):
        a = lax.cond(x[i] > 0, lambda a, i=i: a + w[i], lambda a, i=i: a - w[i], a)
    return a


def the_row_of_each(w, x):
    a = Z
    for i in (x > 0).astype(jnp.int32):
        a = lax.switch(i, [lambda a, k=k: a + w[k] for k in range(6)], a)
    return a


def test_the_first_row_onto_a_constant_is_one_of_them():
    """Written out, the first choice is between rows alone."""
    count = lambda f: joulax.count(f, weights=0, spikes=1)(W, X)[1]["w"]
    signed, picked = count(plus_or_minus), count(the_row_of_each)
    assert (float(signed.ac), float(signed.dense_ac), float(signed.synapses)) == (
        FANOUT.sum(),
        18,
        18,
    )
    rows = (np.asarray(X) > 0).astype(int)
    assert (float(picked.ac), float(picked.dense_ac)) == (FANOUT[rows].sum(), 18)
    assert float(picked.synapses) == W.size


def reset_and_summed(p, x):
    v = lax.cond(x.sum() >= 0, lambda v: v + p["b"][0], lambda v: v, x @ p["w"])
    return (v * (1 - (v > 0.3).astype(v.dtype))).sum()


def step_by_step(p, x):
    v = Z
    for t in range(3):
        v = 0.9 * v + x @ p["w"]
        v = lax.cond(v.sum() > 0, lambda v, t=t: v + p["b"][t], lambda v: v, v)
        v = v * (1 - (v > 0.3).astype(v.dtype))
    return v


def layers_that_are_skipped(p, x):
    h = x @ p["w"]
    for k in range(2):
        on = lambda h, k=k: jnp.tanh(h @ p["b"]) + p["b"][k]
        h = lax.cond(x[k] >= 0, on, lambda h: h, h)
    return h


@pytest.mark.parametrize("f", [reset_and_summed, step_by_step])
def test_a_bias_that_a_branch_adds_stays_one(f):
    """Whatever the sum is multiplied by afterwards."""
    with jax.numpy_dtype_promotion("standard"):
        account = joulax.count(f, weights=0, spikes=1)(
            dict(w=W, b=jnp.ones((3, 3), jnp.float32)), X
        )[1]
    assert list(account.layers) == ["w"]


def test_a_bias_of_layers_that_are_skipped():
    p = dict(w=W, b=jnp.eye(3, dtype=jnp.float32))
    record = joulax.count(layers_that_are_skipped, weights=0, spikes=1)(p, X)[1]["b"]
    assert record.ac is None
    assert float(record.dense_mac) == 2 * 9


def test_a_bias_that_a_branch_adds_beside_a_gain():
    def f(p, x):
        scaled = lambda h: h * p["g"] + p["b"][0]
        h = lax.cond(x.sum() >= 0, scaled, lambda h: h, x @ p["w"])
        return h - h.mean()

    p = dict(w=W, g=jnp.ones(3, jnp.float32), b=jnp.ones((3, 3), jnp.float32))
    account = joulax.count(f, weights=0, spikes=1)(p, X)[1]
    assert set(account.layers) == {"w", "g"}
    assert float(account["g"].mac) == 3


def test_rows_of_two_steps_written_out_are_the_same_synapses():
    def f(w, xs):
        v = Z
        for x in xs:
            for i in range(6):
                v = lax.cond(x[i] > 0, lambda v, i=i: v + w[i], lambda v: v, v)
            v = v - 0.3 * (v > 0.3).astype(v.dtype)
        return v

    with jax.numpy_dtype_promotion("standard"):
        record = joulax.count(f, weights=0, spikes=1)(W, jnp.stack([X, X]))[1]["w"]
    assert (float(record.ac), float(record.synapses)) == (2 * np.asarray(X) @ FANOUT, W.size)
