"""Products added up in an array, part by part: at slices, at indices, in nested loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

RNG = np.random.default_rng(3)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def zeros(*shape):
    return jnp.zeros(shape, jnp.float32)


P = {"k": normal(4), "taps": normal(2, 3, 3), "w": normal(6, 8), "edge": normal(5)}
S, A = jnp.asarray(RNG.random(12) < 0.5, jnp.float32), normal(12)
PICTURE = jnp.asarray(RNG.random((8, 8)) < 0.5, jnp.float32)
EDGES = ((0, 0), (1, 0), (2, 1), (3, 2), (0, 2))


def count(f, *args, spikes=1):
    """The account of a program, whose results are unchanged."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        out, account = joulax.count(f, weights=0, spikes=spikes)(*args)
        np.testing.assert_allclose(out, f(*args), rtol=1e-5, atol=1e-5)
    return account


def taps(p, s):
    out = zeros(15)
    for k in range(4):
        out = out.at[k : k + 12].add(s * p["k"][k])
    return out


def delayed(p, s):
    out = zeros(12)
    for k in range(4):
        out = out.at[k:].add(s[: 12 - k] * p["k"][k])
    return out


def delayed_from_a_product(p, s):
    out = s * p["k"][0]
    for k in range(1, 4):
        out = out.at[k:].add(s[:-k] * p["k"][k])
    return out


def overlapped(p, s):
    out = zeros(15)
    for k in range(12):
        out = out.at[k : k + 4].add(s[k] * p["k"])
    return out


def overlapped_in_a_loop(p, s):
    def step(k, out):
        piece = lax.dynamic_slice(out, (k,), (4,)) + s[k] * p["k"]
        return lax.dynamic_update_slice(out, piece, (k,))

    return lax.fori_loop(0, 12, step, zeros(15))


def one_by_one(p, s):
    out = zeros(3)
    for i in range(4):
        for j in range(3):
            out = out.at[j].add(s[i] * p["w"][i, j])
    return out


def row_by_row(p, s):
    out = zeros(2, 8)
    for i in range(6):
        out = out.at[0].add(s[i] * p["w"][i]).at[1].add(s[i + 6] * p["w"][i])
    return out


def edge_by_edge(p, s):
    out = zeros(3)
    for e, (i, j) in enumerate(EDGES):
        out = out.at[j].add(p["edge"][e] * s[i])
    return out


def padded(p, s):
    return sum(jnp.pad(s[k] * p["k"], (k, 11 - k)) for k in range(12))


def set_among_zeros(p, s):
    return sum(zeros(15).at[k : k + 12].set(s * p["k"][k]) for k in range(4))


def picked(p, s):
    x = p["k"] * s[:4]
    return x[jnp.array([0, 2])] + x[jnp.array([1, 3])]


LATE = sum(float(S[: 12 - k].sum()) for k in range(4))
SUMS = {  # program, events that meet synapses, positions
    "taps": (taps, 4 * S.sum(), 48),
    "delays": (delayed, LATE, 42),
    "delays behind a product": (delayed_from_a_product, LATE, 42),
    "pieces": (overlapped, 4 * S.sum(), 48),
    "pieces in a loop": (overlapped_in_a_loop, 4 * S.sum(), 48),
    "element by element": (one_by_one, 3 * S[:4].sum(), 12),
    "row by row": (row_by_row, 8 * S.sum(), 96),
    "edge by edge": (edge_by_edge, sum(float(S[i]) for i, _ in EDGES), 5),
    "padded": (padded, 4 * S.sum(), 48),
    "set among zeros": (set_among_zeros, 4 * S.sum(), 48),
    "picked": (picked, S[:4].sum(), 4),
}


@pytest.mark.parametrize("kind", ["spikes", "analog"])
@pytest.mark.parametrize("form", SUMS)
def test_parts_that_are_added_up_are_synapses(form, kind):
    f, events, positions = SUMS[form]
    if kind == "spikes":
        (record,) = count(f, P, S).values()
        assert (float(record.ac), float(record.dense_ac)) == (float(events), positions)
    else:
        (record,) = count(f, P, A, spikes=None).values()
        assert (float(record.mac), float(record.dense_mac)) == (positions, positions)


def test_taps_of_two_axes():
    """A convolution written as a sum of shifted pictures."""

    def run(p, s):
        out = zeros(2, 10, 10)
        for a in range(3):
            for b in range(3):
                out = out.at[:, a : a + 8, b : b + 8].add(s * p["taps"][:, a, b, None, None])
        return out

    (record,) = count(run, P, PICTURE).values()
    assert (float(record.ac), float(record.dense_ac)) == (18 * PICTURE.sum(), 18 * 64)


def test_by_neuron_each_part_stands_where_it_is_added():
    counted = joulax.count(taps, weights=0, spikes=1, neurons=True)
    _, account = counted(P, S)
    found = np.asarray(account["k"].ac)
    np.testing.assert_array_equal(found, np.convolve(np.asarray(S), np.ones(4)))
    assert float(account["k"].dense_ac.sum()) == pytest.approx(48, rel=1e-6)


NO_SUMS = {
    "parts that do not meet": lambda p, s: (
        zeros(8).at[:4].add(s[0] * p["k"]).at[4:].add(s[1] * p["k"])
    ),
    "padded apart": lambda p, s: jnp.pad(s[0] * p["k"], (0, 4)) + jnp.pad(s[1] * p["k"], (4, 0)),
    "two gains of one place": lambda p, s: (
        jnp.pad(s * p["k"][0], (1, 0)) + jnp.pad(s * p["k"][1], (1, 0))
    ),
    "columns of one event": lambda p, s: (lambda x: x[:, :2] + x[:, jnp.array([3, 1])])(
        p["w"] * s[:6, None]
    ),
}


@pytest.mark.parametrize("form", NO_SUMS)
def test_what_brings_nothing_together_is_no_site(form):
    assert not count(NO_SUMS[form], P, S)


# Loops in loops, and rows that events add to a state that is written into


def each(i, p, s):
    return lambda j, out: out.at[j].set(out[j] + s[i] * p["w"][i, j])


NESTED = {
    "two loops": lambda p, s: lax.fori_loop(
        0, 6, lambda i, out: lax.fori_loop(0, 8, each(i, p, s), out), zeros(8)
    ),
    "a loop in a scan": lambda p, s: lax.scan(
        lambda out, x: (
            lax.fori_loop(0, 8, lambda j, o: o.at[j].set(o[j] + x[0] * x[1][j]), out),
            None,
        ),
        zeros(8),
        (s[:6], p["w"]),
    )[0],
    "a sum in each place": lambda p, s: lax.fori_loop(
        0,
        8,
        lambda j, out: out.at[j].set(
            lax.fori_loop(0, 6, lambda i, a: a + s[i] * p["w"][i, j], 0.0)
        ),
        zeros(8),
    ),
    "a product in each place": lambda p, s: lax.fori_loop(
        0, 8, lambda j, out: out.at[j].set(0.9 * out[j] + p["w"][:, j] @ s[:6]), zeros(8)
    ),
}


@pytest.mark.parametrize("form", NESTED)
def test_a_matrix_product_in_nested_loops(form):
    records = count(NESTED[form], P, S).values()  # rows of a weight that a scan slices: layers
    fields = ("ac", "dense_ac", "synapses")
    found = tuple(sum(float(getattr(r, f)) for r in records) for f in fields)
    assert found == (8 * float(S[:6].sum()), 48, 48)


SQUARE = {"w": normal(6, 6)}


def queue(p, t):
    def step(c):
        t, n = c
        first = jnp.argmin(t)
        return t.at[first].set(jnp.inf) + p["w"][first], n + 1

    return lax.while_loop(lambda c: c[1] < 4, step, (t, 0))[0]


ROWS = {
    "a reset, then the row": lambda p, at: lax.scan(
        lambda v, i: (v.at[i].set(0.0) + p["w"][i], None), zeros(6), at
    )[0],
    "the row, then a reset": lambda p, at: lax.scan(
        lambda v, i: ((v + p["w"][i]).at[i].set(0.0), None), zeros(6), at
    )[0],
    "the largest": lambda p, at: lax.fori_loop(
        0, 4, lambda k, v: v + p["w"][jnp.argmax(v)], at.astype(jnp.float32)
    ),
    "a queue": lambda p, at: queue(p, at.astype(jnp.float32)),
}


@pytest.mark.parametrize("form", ROWS)
def test_a_row_for_each_event_is_added_whatever_else_is_written(form):
    at = jnp.array([0, 3, 5, 1]) if "row" in form else jnp.arange(6)
    record = count(ROWS[form], SQUARE, at, spikes=None)["w"]
    assert (float(record.ac), float(record.synapses)) == (24, 36)


def test_a_list_of_events_has_the_synapses_of_its_table():
    """More events than rows: a synapse is one however often an event meets it."""
    time, at = jnp.repeat(jnp.arange(9), 3)[:22], jnp.arange(22) % 6
    run = lambda p, time, at: zeros(9, 8).at[time].add(p["w"][at])
    record = count(run, P, time, at, spikes=None)["w"]
    assert (float(record.ac), float(record.synapses)) == (22 * 8, 48)


def test_parameters_alone_at_indices_that_are_data_are_refused():
    from jax.experimental import sparse

    def run(p, at):
        return sparse.BCOO((p["edge"], at), shape=(6, 8)) @ p["x"]

    at = jnp.asarray([[0, 1], [1, 2], [2, 3], [3, 0], [4, 1]])
    with pytest.raises(ValueError, match="two parameters, multiplied at indices that are data"):
        joulax.count(run, weights=0)({"edge": normal(5), "x": normal(8)}, at)


def test_a_gain_and_its_inverse_are_two_scales():
    run = lambda p, s, t: (s * p["g"] + t / p["g"]) @ p["w"]
    account = count(run, {"g": jnp.full(6, 2.0), "w": P["w"]}, S[:6], S[6:], spikes=(1, 2))
    assert account["w"].ac is None


def test_a_kernel_that_is_written_where_events_stand_is_refused():
    """A sum that is read, grown by a leaf and written back where data say; `.at[…].add` counts."""

    def written(p, at):
        def event(out, start):
            piece = lax.dynamic_slice(out, start, (3, 3)) + p["taps"][0]
            return lax.dynamic_update_slice(out, piece, start), None

        return lax.scan(event, zeros(8, 8), at)[0]

    def added(p, at):
        window = lambda start: jnp.ix_(start[0] + jnp.arange(3), start[1] + jnp.arange(3))
        event = lambda out, start: (out.at[window(start)].add(p["taps"][0]), None)
        return lax.scan(event, zeros(8, 8), at)[0]

    at = jnp.array([[0, 1], [2, 1], [5, 5], [3, 0]])
    (record,) = count(added, P, at, spikes=None).values()
    assert float(record.ac) == 4 * 9
    with pytest.raises(ValueError, match="weights added where data say"):
        joulax.count(written, weights=0)(P, at)


def test_what_one_neuron_of_all_is_given_is_no_weight():
    """A threshold that grows where a winner has fired: one number, wherever it lands."""
    p = {"w": P["w"], "more": jnp.float32(0.1)}

    def run(p, xs):
        def step(limits, x):
            first = jnp.argmax(x @ p["w"] - limits)
            more = lax.dynamic_slice(limits, (first,), (1,)) + p["more"]
            return lax.dynamic_update_slice(limits, more, (first,)), first

        return lax.scan(step, zeros(8), xs)[1]

    account = count(run, p, jnp.ones((5, 6), jnp.float32))
    assert list(account) == ["w"]
    assert float(account["w"].ac) == 5 * 48


def pasted(o, i, k, x):
    return o.at[i + jnp.arange(4)].add(x[i] * k)


LOOPS = {
    "for": lambda p, x: lax.fori_loop(0, 12, lambda i, o: pasted(o, i, p["k"], x), zeros(15)),
    "scan": lambda p, x: lax.scan(
        lambda o, i: (pasted(o, i, p["k"], x), None), zeros(15), jnp.arange(12)
    )[0],
    "scan with its data": lambda p, x: lax.scan(
        lambda o, at: (o.at[at[0] + jnp.arange(4)].add(at[1] * p["k"]), None),
        zeros(15),
        (jnp.arange(12), x),
    )[0],
    "nested": lambda p, x: lax.fori_loop(
        0,
        12,
        lambda i, o: lax.fori_loop(0, 4, lambda j, o: o.at[i + j].add(x[i] * p["k"][j]), o),
        zeros(15),
    ),
}


@pytest.mark.parametrize("run", [pytest.param(f, id=n) for n, f in LOOPS.items()])
def test_where_a_loop_adds_up_are_no_neurons(run):
    """A kernel pasted at every place, in a loop: sums, whose places the loop itself chooses."""
    (record,) = count(run, P, S).values()
    assert float(record.ac) == 4 * np.asarray(S).sum()
    assert (record.neurons, record.updates) == (None, None)


@pytest.mark.parametrize("leak", [1.0, 0.9])
def test_edges_added_one_by_one_in_every_step(leak):
    """The loop over edges adds up; what decays, or fires, from step to step are the neurons."""
    before, after = (jnp.asarray(e) for e in zip(*EDGES, strict=True))

    def run(p, xs):
        def step(v, x):
            edge = lambda e, v: v.at[after[e]].add(p["edge"][e] * x[before[e]])
            v = leak * lax.fori_loop(0, 5, edge, v)
            z = jnp.float32(v > 1)
            return v - z, z

        return lax.scan(step, zeros(3), xs)[1]

    xs = jnp.asarray(RNG.random((7, 4)) < 0.5, jnp.float32)
    (record,) = count(run, P, xs).values()
    assert float(record.ac) == sum(np.asarray(xs)[:, b].sum() for b, _ in EDGES)
    assert (float(record.neurons), float(record.updates)) == (3, 7 * 3)


BLOCKS = ((0, 3), (3, 5), (5, 8))


def of_blocks(p, x, how):
    y = zeros(8)
    for low, high in BLOCKS:
        y = getattr(y.at[low:high], how)(x @ p["w"][:, low:high])
    return y


@pytest.mark.parametrize("how", ["set", "add"])
@pytest.mark.parametrize("neuron", [jax.nn.relu, lambda v: v > 0], ids=["relu", "spikes"])
def test_a_layer_in_blocks_has_the_neurons_of_all(how, neuron):
    record = count(lambda p, x: neuron(of_blocks(p, x, how)), P, S[:6])["w"]
    assert (float(record.neurons), float(record.updates), float(record.synapses)) == (8, 8, 48)


def test_two_layers_added_to_halves_are_one_population():
    p = {"e": normal(6, 3), "i": normal(6, 5)}

    def run(p, x):
        return jax.nn.relu(zeros(8).at[:3].add(x @ p["e"]).at[3:].add(x @ p["i"]))

    records = count(run, p, S[:6])
    assert [float(r.updates) for r in records.values() if r.updates is not None] == [8]


SCALED = {
    "as it is": lambda p, at, x: p["k"],
    "by a value": lambda p, at, x: x * p["k"],
    "where it is one": lambda p, at, x: jnp.where(at >= 0, p["k"], 0.0),
    "by a mask": lambda p, at, x: jnp.float32(at >= 0) * p["k"],
}


@pytest.mark.parametrize("scaled", SCALED)
@pytest.mark.parametrize("loop", ["scan", "for"])
def test_a_kernel_written_back_where_data_say_is_refused(scaled, loop):
    """Read, added to and written: at addresses that are data, whatever scales the kernel."""
    places, values = jnp.asarray([3, 5, 9, 12]), jnp.ones(4, jnp.float32)

    def event(p, o, at, x):
        piece = lax.dynamic_slice(o, (at,), (4,)) + SCALED[scaled](p, at, x)
        return lax.dynamic_update_slice(o, piece, (at,))

    def run(p, at, x):
        if loop == "for":
            return lax.fori_loop(0, 4, lambda i, o: event(p, o, at[i], x[i]), zeros(20))
        return lax.scan(lambda o, e: (event(p, o, *e), None), zeros(20), (at, x))[0]

    with pytest.raises(ValueError, match=r"add them with .at\[…\].add"):
        joulax.count(run, weights=0)(P, places, values)
