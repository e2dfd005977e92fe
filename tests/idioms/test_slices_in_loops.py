"""Weights of which a loop takes another part in each step: heads, layers, columns, experts.

Each part drives neurons of its own, and exists beside the others; what a loop adds up, or carries
as a state, is of the same neurons in all steps.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax
from joulax import count

from .common import spike

RNG = np.random.default_rng(20)
HEADS = RNG.integers(-2, 3, (4, 5, 7)).astype(np.float32)
LAYERS = RNG.integers(-1, 3, (3, 5, 5)).astype(np.float32)
X = RNG.integers(0, 2, (6, 5)).astype(np.float32)
LIMIT = jnp.float32(0.5)
fires = lambda i: spike(i - LIMIT)


def put(make, many, shape):
    """What `make` says of each place, written into a buffer by a loop."""
    return lax.fori_loop(0, many, lambda k, o: o.at[k].set(make(k)), jnp.zeros(shape, jnp.float32))


def collected(make, many, shape):
    return lax.map(make, jnp.arange(many))


def carried(make, many, shape):
    return lax.scan(lambda n, k: (n + 1, make(k)), jnp.int32(0), jnp.arange(many))[1]


def by_hand(x, w):
    return (x[:, None] * w).sum(0)


def check(record, spikes=None, **expected):
    found = {f: float(np.asarray(getattr(record, f)).sum()) for f in expected}
    assert found == expected
    if spikes is not None:
        assert float(record.spikes) == float(spikes)


@pytest.mark.parametrize("product", [jnp.matmul, by_hand], ids=["a product", "by hand"])
@pytest.mark.parametrize("loop", [put, collected, carried])
@pytest.mark.parametrize("inside", [True, False], ids=["fire in the loop", "fire behind it"])
def test_heads(product, loop, inside):
    """Four matrices, each of which drives seven neurons."""

    def model(w, x):
        if inside:
            return loop(lambda k: fires(product(x, w[k])), 4, (4, 7))
        return fires(loop(lambda k: product(x, w[k]), 4, (4, 7)))

    out, account = count(model, weights=0, spikes=1)(HEADS, X[0])
    (record,) = account.values()
    met = np.einsum("i,hij->", X[0], HEADS != 0)
    check(record, out.sum(), ac=met, dense_ac=140, neurons=28, updates=28, synapses=140)
    if product is jnp.matmul:
        assert float(record.nonzero) == np.count_nonzero(HEADS)


@pytest.mark.parametrize("loop", [put, collected, carried])
@pytest.mark.parametrize("inside", [True, False], ids=["fire in the loop", "fire behind it"])
def test_columns(loop, inside):
    """One column of a matrix in each step: one neuron."""
    w = HEADS[0]

    def model(w, x):
        column = lambda j: jnp.vdot(x, w[:, j])
        if inside:
            return loop(lambda j: fires(column(j)), 7, (7,))
        return fires(loop(column, 7, (7,)))

    out, account = count(model, weights=0, spikes=1)(w, X[1])
    met = float((X[1] @ (w != 0)).sum())
    check(account["w"], out.sum(), ac=met, neurons=7, updates=7, synapses=35)
    assert float(account["w"].nonzero) == np.count_nonzero(w)


@pytest.mark.parametrize("of", [jax.nn.relu, fires], ids=["relu", "spikes"])
def test_layers_of_one_array(of):
    """Layers that a loop takes one after the other out of one array."""

    def model(w, x):
        return lax.fori_loop(0, 3, lambda k, h: of(h @ w[k]), x)

    _, account = count(model, weights=0, spikes=1 if of is fires else None)(LAYERS, X[0])
    check(account["w"], neurons=15, updates=15, synapses=75, nonzero=np.count_nonzero(LAYERS))


def test_layers_until_they_are_done():
    """How often a `while` runs is not known: of the weights all, and no word on which exist."""

    def model(w, x):
        step = lambda c: (c[0] + 1, fires(c[1] @ w[c[0]]))
        return lax.while_loop(lambda c: c[0] < 3, step, (0, x))[1]

    _, account = count(model, weights=0, spikes=1)(LAYERS, X[0])
    check(account["w"], neurons=15, updates=15, synapses=75)
    assert account["w"].nonzero is None


def test_a_matrix_for_each_step_of_a_state():
    """Other synapses in every step, and the same neurons."""
    w = HEADS[:4]

    def model(w, xs):
        def step(t, c):
            v = c[0] * 0.5 + xs[t] @ w[t]
            s = fires(v)
            return v - s, c[1] + s

        return lax.fori_loop(0, 4, step, (jnp.zeros(7, jnp.float32),) * 2)[1]

    _, account = count(model, weights=0, spikes=1)(w, X)
    check(account["w"], neurons=7, updates=28, synapses=140, nonzero=np.count_nonzero(w))


def test_matrices_that_come_again():
    """Three matrices in turn over six steps: which of them exist is not said twice."""
    w = HEADS[:3]
    model = lambda w, xs: put(lambda t: fires(xs[t] @ w[t % 3]), 6, (6, 7))
    _, account = count(model, weights=0, spikes=1)(w, X)
    check(account["w"], neurons=21, updates=42, synapses=105)
    assert account["w"].nonzero is None


def test_rows_that_a_loop_adds_up_drive_one_population():
    w = HEADS[0]

    def model(w, xs):
        def step(v, x):
            rows = lax.fori_loop(0, 5, lambda j, i: i + x[j] * w[j], jnp.zeros(7, jnp.float32))
            v = v * 0.5 + rows
            return v - fires(v), fires(v)

        return lax.scan(step, jnp.zeros(7, jnp.float32), xs)[1]

    out, account = count(model, weights=0, spikes=1)(w, X)
    check(account["w"], out.sum(), neurons=7, updates=42, synapses=35, dense_ac=210)


def test_a_batch_that_a_loop_goes_through_is_of_one_population():
    model = lambda w, xs: put(lambda b: fires(xs[b] @ w), 6, (6, 7))
    _, account = count(model, weights=0, spikes=1)(HEADS[0], X)
    check(account["w"], neurons=7, updates=42, synapses=35)


@pytest.mark.parametrize("inside", [True, False], ids=["neuron by neuron", "step by step"])
def test_columns_in_time(inside):
    w = HEADS[0]

    def of_one(w, xs):
        def step(v, x):
            v = v * 0.5 + jnp.vdot(x, w)
            return v - fires(v), fires(v)

        return lax.scan(step, jnp.float32(0), xs)[1]

    def of_all(w, xs):
        def step(v, x):
            v = v * 0.5 + put(lambda j: jnp.vdot(x, w[:, j]), 7, (7,))
            return v - fires(v), fires(v)

        return lax.scan(step, jnp.zeros(7, jnp.float32), xs)[1]

    one_by_one = lambda w, xs: lax.map(lambda j: of_one(w[:, j], xs), jnp.arange(7))
    out, account = count(one_by_one if inside else of_all, weights=0, spikes=1)(w, X)
    check(account["w"], out.sum(), neurons=7, updates=42, synapses=35, dense_ac=210)


def test_kernels():
    """Three kernels of two channels over six places."""
    w = RNG.integers(-1, 2, (3, 2, 1, 3)).astype(np.float32)
    image = RNG.integers(0, 2, (1, 1, 6)).astype(np.float32)
    layer = lambda w, x: lax.conv_general_dilated(x, w, (1,), "SAME")
    model = lambda w, x: put(lambda k: fires(layer(w[k], x)), 3, (3, 1, 2, 6))
    _, account = count(model, weights=0, spikes=1)(w, image)
    one = count(lambda w, x: fires(layer(w, x)), weights=0, spikes=1)(w[0], image)[1]
    assert float(one["w"].neurons) == 12
    check(account["w"], neurons=36, updates=36, synapses=3 * float(one["w"].synapses))


def test_synapses_that_are_declared():
    w = np.float32(HEADS[0, :3, :5])
    layer = lambda x, w: fires(joulax.synapses(x * w))
    loop = lambda w, x: lax.fori_loop(0, 3, lambda k, h: layer(h, w[k]), x)
    scan = lambda w, x: lax.scan(lambda h, w: (layer(h, w), None), x, w)[0]
    _, account = count(loop, weights=0, spikes=1)(w, X[0])
    check(account["w"], neurons=15, updates=15, synapses=15, dense_ac=15)
    _, account = count(scan, weights=0, spikes=1)(w, X[0])
    assert list(account) == ["w[0]", "w[1]", "w[2]"]
    for record in account.values():
        check(record, neurons=5, updates=5, synapses=5, dense_ac=5)


def test_samples_beside_a_loop_over_heads():
    model = lambda w, x: put(lambda k: fires(x @ w[k]), 4, (4, 7))
    batched = lambda w, xs: jax.vmap(model, (None, 0))(w, xs)
    _, account = count(batched, weights=0, spikes=1)(HEADS, X)
    check(account["w"], neurons=28, updates=168, synapses=140, nonzero=np.count_nonzero(HEADS))


@pytest.mark.parametrize("inside", [True, False], ids=["fire in the loop", "fire behind it"])
def test_neurons_of_all_slices_are_not_kept_by_neuron(inside):
    def model(w, x):
        if inside:
            return put(lambda k: fires(x @ w[k]), 4, (4, 7))
        return fires(put(lambda k: x @ w[k], 4, (4, 7)))

    with pytest.raises(ValueError, match="takes another part of its weights"):
        count(model, weights=0, spikes=1, neurons=True)(HEADS, X[0])


# -- states of all layers in one array ------------------------------------------------------------


def with_set(states, k, new):
    return states.at[k].set(new)


def with_slice(states, k, new):
    return lax.dynamic_update_slice(states, new[None], (k, 0))


def with_rows(states, k, new):
    return states.at[k : k + 1].set(new[None])


@pytest.mark.parametrize("write", [with_set, with_slice, with_rows])
@pytest.mark.parametrize("over", ["scan", "fori_loop", "written out"])
def test_states_of_layers_in_one_array(write, over):
    """Each layer takes its row of the states and writes it back."""

    def step(w, states, x):
        for k in range(3):
            v = states[k] * 0.5 + x @ w[k]
            x = fires(v)
            states = write(states, k, v - x)
        return states, x

    def model(w, xs):
        start = jnp.zeros((3, 5), jnp.float32)
        if over == "scan":
            return lax.scan(lambda s, x: step(w, s, x), start, xs)[1]
        if over == "fori_loop":
            add = lambda t, c: (lambda s, x: (s, c[1] + x))(*step(w, c[0], xs[t]))
            return lax.fori_loop(0, 6, add, (start, jnp.zeros(5, jnp.float32)))[1]
        states, outs = start, []
        for x in xs:
            states, out = step(w, states, x)
            outs.append(out)
        return jnp.stack(outs)

    _, account = count(model, weights=0, spikes=1)(LAYERS, X)
    states, fired = np.zeros((3, 5)), 0
    for x in X:
        for k in range(3):
            states[k] = states[k] * 0.5 + x @ LAYERS[k]
            x = (states[k] > 0.5).astype(np.float32)
            states[k] -= x
            fired += x.sum()
    check(account["w"], fired, neurons=15, updates=90, synapses=75, dense_ac=450)


def neuron(name, w, rows, x):
    """Voltage and a second state of one layer, in two rows."""
    v = rows[0] * 0.5 + x @ w
    if name == "adaptation":
        s = fires(v - rows[1])
        return s, v * (1 - s), rows[1] * 0.75 + s
    s = fires(v) * (rows[1] <= 0).astype(jnp.float32)
    return s, v * (1 - s), jnp.maximum(rows[1] - 1, 0) + 2 * s


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("name", ["adaptation", "refractory"])
def test_two_states_of_a_layer_in_one_array(name, jitted):
    def step(w, rows, x):
        s, v, other = neuron(name, w, rows, x)
        return rows.at[0].set(v).at[1].set(other), s

    step = jax.jit(step) if jitted else step
    start = jnp.zeros((2, 7), jnp.float32)
    model = lambda w, xs: lax.scan(lambda c, x: step(w, c, x), start, xs)[1]
    out, account = count(model, weights=0, spikes=1)(HEADS[0], X)
    check(account["w"], out.sum(), neurons=7, updates=42, synapses=35)


def test_voltage_and_spikes_of_a_recurrent_layer_in_one_array():
    recurrent = RNG.integers(-1, 2, (7, 7)).astype(np.float32)

    def model(p, xs):
        def step(c, x):
            v = c[0] * 0.5 + x @ p["w"] + c[1] @ p["r"]
            s = fires(v)
            return c.at[0].set(v - s).at[1].set(s), s

        return lax.scan(step, jnp.zeros((2, 7), jnp.float32), xs)[1]

    out, account = count(model, weights=0, spikes=1)({"w": HEADS[0], "r": recurrent}, X)
    check(account["w"], out.sum(), neurons=7, updates=42, synapses=35)
    met = float((np.asarray(out)[:-1] @ (recurrent != 0)).sum())
    check(account["r"], ac=met, dense_ac=6 * 49, synapses=49)


@pytest.mark.parametrize("axis", [0, 1])
def test_samples_of_states_of_layers(axis):
    """`vmap` of a step over either axis of the states."""
    batch = RNG.integers(0, 2, (4, 2, 5)).astype(np.float32)

    def step(w, states, x):
        for k in range(3):
            v = states[k] * 0.5 + x @ w[k]
            x = fires(v)
            states = states.at[k].set(v - x)
        return states, x

    def model(w, xs):
        each = jax.vmap(lambda s, x: step(w, s, x), (axis, 0), (axis, 0))
        shape = (2, 3, 5) if axis == 0 else (3, 2, 5)
        return lax.scan(each, jnp.zeros(shape, jnp.float32), xs)[1]

    account = count(model, weights=0, spikes=1)(LAYERS, batch)[1]
    alone = [
        count(model, weights=0, spikes=1)(LAYERS, batch[:, i : i + 1].repeat(2, 1)) for i in (0, 1)
    ]
    fired = sum(float(a["w"].spikes) for _, a in alone) / 2
    check(account["w"], fired, neurons=15, updates=120, synapses=75)


def test_a_gradient_through_states_of_layers():
    """Indices of rows are constants that a loop of a gradient is handed."""

    def loss(w, xs):
        def step(states, x):
            for k in range(3):
                v = states[k] * 0.5 + x @ w[k]
                x = fires(v)
                states = states.at[k].set(v - x)
            return states, x

        outs = lax.scan(step, jnp.zeros((3, 5), jnp.float32), xs)[1]
        return jnp.square(outs.mean() - LIMIT)

    plain = count(loss, weights=0, spikes=1)(LAYERS, X)[1]["w"]
    record = count(jax.value_and_grad(loss), weights=0, spikes=1)(LAYERS, X)[1]["w"]
    check(record, plain.spikes, ac=float(plain.ac), neurons=15, updates=90, synapses=75)


@pytest.mark.parametrize("write", [with_set, with_slice])
@pytest.mark.parametrize("over", ["scan", "fori_loop"])
def test_states_of_layers_that_a_loop_takes_in_turn(write, over):
    """Layers by a loop inside the one over time: each has a state of its own."""

    def layer(w, k, c):
        states, h = c
        v = states[k] * 0.5 + h @ w[k]
        h = fires(v)
        return write(states, k, v - h), h

    def model(w, xs):
        start = jnp.zeros((3, 5), jnp.float32)
        step = lambda s, x: lax.fori_loop(0, 3, lambda k, c: layer(w, k, c), (s, x))
        if over == "scan":
            return lax.scan(step, start, xs)[1]
        add = lambda t, c: (lambda s, x: (s, c[1] + x))(*step(c[0], xs[t]))
        return lax.fori_loop(0, 6, add, (start, jnp.zeros(5, jnp.float32)))[1]

    def written_out(w, xs):
        states, outs = [jnp.zeros(5, jnp.float32)] * 3, []
        for x in xs:
            for k in range(3):
                v = states[k] * 0.5 + x @ w[k]
                x = fires(v)
                states[k] = v - x
            outs.append(x)
        return jnp.stack(outs)

    record = count(model, weights=0, spikes=1)(LAYERS, X)[1]["w"]
    same = count(written_out, weights=0, spikes=1)(LAYERS, X)[1]["w"]
    check(record, same.spikes, ac=float(same.ac), neurons=15, updates=90, synapses=75)


@pytest.mark.parametrize("before", [1, 2])
def test_a_state_that_goes_on_along_its_record(before):
    """A buffer of all steps, in which each step reads an earlier one: one population in time."""

    def model(w, xs):
        def step(t, c):
            past, n = c
            v = past[t - before] * 0.5 + xs[t] @ w
            s = fires(v)
            return past.at[t].set(v - s), n + s

        start = (jnp.zeros((6, 7), jnp.float32), jnp.zeros(7, jnp.float32))
        return lax.fori_loop(before, 6, step, start)[1]

    out, account = count(model, weights=0, spikes=1)(HEADS[0], X)
    check(account["w"], out.sum(), neurons=7, updates=7 * (6 - before), synapses=35)


def test_a_delay_line_that_writes_is_one_source():
    """Rows that move on are no states of several populations."""
    k = np.array([1, 2, 3], np.float32)

    def model(k, xs):
        def step(b, x):
            b = b.at[2].set(b[1])
            b = b.at[1].set(b[0])
            b = b.at[0].set(x)
            return b, fires(k @ b)

        return lax.scan(step, jnp.zeros((3, 5), jnp.float32), xs)[1]

    out, account = count(model, weights=0, spikes=1)(k, X)
    met = sum(float(X[: 6 - d].sum()) for d in range(3))
    check(account["k"], out.sum(), ac=met, dense_ac=90, synapses=3)


def test_a_row_that_is_read_beside_all_of_them():
    """What takes the whole array does not know its rows apart: their sum is one value."""

    def model(w, xs):
        def step(states, x):
            new = states[0] * 0.5 + x @ w[0]
            states = states.at[0].set(new)
            return states, fires(states.sum(0))

        return lax.scan(step, jnp.zeros((2, 5), jnp.float32), xs)[1]

    out, account = count(model, weights=0, spikes=1)(LAYERS, X)
    check(account["w"], out.sum(), neurons=5, updates=30, synapses=25)


# -- weights that a loop changes ------------------------------------------------------------------


def rows(x, w):
    return sum(x[j] * w[j] for j in range(5))


def looped(x, w):
    return lax.fori_loop(0, 5, lambda j, i: i + x[j] * w[j], jnp.zeros(7, jnp.float32))


@pytest.mark.parametrize("product", [jnp.matmul, by_hand, rows, looped])
def test_weights_that_change_are_the_same_synapses(product):
    def model(w, xs):
        return lax.scan(lambda w, x: (w * 0.5, fires(product(x, w))), w, xs)[1]

    _, account = count(model, weights=0, spikes=1)(HEADS[0], X)
    check(account["w"], neurons=7, updates=42, synapses=35, dense_ac=210)
