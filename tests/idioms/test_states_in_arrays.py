"""States of several layers in one array, however a step reads them from it and writes them back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from joulax import count

from .common import f32, over_steps, spike

RNG = np.random.default_rng(31)
LAYERS, N, T = 3, 4, 4
W = [f32(RNG.integers(-1, 3, (N, N)) / 4) for _ in range(LAYERS)]
X = f32(RNG.integers(0, 2, (T, N)))
KEPT, LIMIT, ONE = f32(0.5), f32(0.4), f32(1)
ROWS = jnp.zeros((LAYERS, N), jnp.float32)
FLAT = jnp.zeros(LAYERS * N, jnp.float32)
row = lambda v, k: v[k]
part = lambda k, first=0: slice(k * N + first, (k + 1) * N + first)
one = lambda k: np.asarray([k], np.int32)
mask = lambda k: (jnp.arange(LAYERS) == k)[:, None]
hot = lambda k: jnp.broadcast_to(mask(k), (LAYERS, N)).astype(jnp.float32)
there = lambda n: n[0] > -9  # always true, and made of data


def cell(v, current):
    v = KEPT * v + current
    s = spike(v - LIMIT)
    return v * (ONE - s), s


def model(read, write, start, looped=True, cell=cell):
    def f(ws, xs):
        def step(v, s):
            for k in range(LAYERS):
                n, s = cell(read(v, k), s @ ws[k])
                v = write(v, k, n)
            return v, s

        return over_steps(step, start, xs, looped)

    return f


def alternated(v, k, n):
    return jnp.concatenate([v[:k], n[None], v[k + 1 :]])


def changed(v, k, n):
    return v.at[k].multiply(KEPT).at[k].add(n - KEPT * v[k])


def in_branch(v, k, n):
    return lax.cond(there(n), lambda a, b: a.at[k].set(b), lambda a, b: a, v, n)


SPELLED = {
    "a row": (row, lambda v, k, n: v.at[k].set(n), ROWS),
    "from behind": (lambda v, k: v[k - LAYERS], lambda v, k, n: v.at[k - LAYERS].set(n), ROWS),
    "a column": (lambda v, k: v[:, k], lambda v, k, n: v.at[:, k].set(n), ROWS.T),
    "a list of places": (row, lambda v, k, n: v.at[one(k)].set(n[None]), ROWS),
    "read at a list": (lambda v, k: v[one(k)][0], lambda v, k, n: v.at[k].set(n), ROWS),
    "taken": (lambda v, k: jnp.take(v, k, axis=0), lambda v, k, n: v.at[k].set(n), ROWS),
    "an index": (
        lambda v, k: lax.dynamic_index_in_dim(v, k, 0, False),
        lambda v, k, n: lax.dynamic_update_index_in_dim(v, n, k, 0),
        ROWS,
    ),
    "the last one beyond the end": (
        lambda v, k: lax.dynamic_slice(v, (k * 9 if k == 2 else k, 0), (1, N))[0],
        lambda v, k, n: lax.dynamic_update_slice(v, n[None], (k * 9 if k == 2 else k, -1)),
        ROWS,
    ),
    "two axes": (lambda v, k: v[1, k], lambda v, k, n: v.at[1, k].set(n), jnp.stack([ROWS] * 2)),
    "rows of wider ones": (
        lambda v, k: v[k, :N],
        lambda v, k, n: v.at[k, :N].set(n),
        jnp.pad(ROWS, ((0, 0), (0, 2))),
    ),
    "parts": (lambda v, k: v[part(k)], lambda v, k, n: v.at[part(k)].set(n), FLAT),
    "parts behind others": (
        lambda v, k: v[part(k, 1)],
        lambda v, k, n: v.at[part(k, 1)].set(n),
        jnp.pad(FLAT, 1),
    ),
    "slices": (
        lambda v, k: lax.dynamic_slice(v, (k * N,), (N,)),
        lambda v, k, n: lax.dynamic_update_slice(v, n, (k * N,)),
        FLAT,
    ),
    "another shape": (
        lambda v, k: v.reshape(LAYERS, N)[k],
        lambda v, k, n: v.reshape(LAYERS, N).at[k].set(n).reshape(-1),
        FLAT,
    ),
    "beside the others": (row, alternated, ROWS),
    "rolled": (
        lambda v, k: v[0],
        lambda v, k, n: jnp.roll(v.at[0].set(n), -1, 0),
        ROWS,
    ),
    "added": (row, lambda v, k, n: v.at[k].add(n - v[k]), ROWS),
    "scaled and added": (row, changed, ROWS),
    "in a branch": (row, in_branch, ROWS),
    "chosen": (row, lambda v, k, n: jnp.where(there(n), v.at[k].set(n), v), ROWS),
    "chosen by a mask": (row, lambda v, k, n: jnp.where(mask(k), n, v), ROWS),
    "times a mask": (row, lambda v, k, n: v * (ONE - hot(k)) + n * hot(k), ROWS),
    "all scaled": (row, lambda v, k, n: (v * f32(1)).at[k].set(n), ROWS),
}


def fired(ws, xs):
    """Spikes of each layer, step by step."""
    states, found = [np.zeros(w.shape[1], np.float32) for w in ws], [0.0] * len(ws)
    for s in np.asarray(xs):
        for k, w in enumerate(ws):
            v = np.float32(0.5) * states[k] + s @ np.asarray(w)
            s = (v > np.float32(0.4)).astype(np.float32)
            states[k] = v * (1 - s)
            found[k] += s.sum()
    return found


def each(account):
    fields = ("neurons", "updates", "spikes", "synapses")
    return [tuple(float(getattr(r, f)) for f in fields) for r in account.values()]


def expected(ws, xs, samples=1):
    sizes = [w.shape[1] for w in ws]
    return [
        (n, n * len(xs) * samples, s, n * w.shape[0])
        for n, s, w in zip(sizes, fired(ws, xs), ws, strict=True)
    ]


@pytest.mark.parametrize("looped", [True, False], ids=["scan", "written out"])
@pytest.mark.parametrize("spelled", SPELLED)
def test_each_layer_has_neurons_of_its_own(spelled, looped):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        account = count(model(*SPELLED[spelled], looped), weights=0)(W, X)[1]
    assert each(account) == expected(W, X)


@pytest.mark.parametrize("wrapped", [jax.jit, jax.checkpoint])
@pytest.mark.parametrize("spelled", ["a row", "a list of places", "in a branch", "rolled"])
def test_the_cell_is_a_function_of_its_own(spelled, wrapped):
    f = model(*SPELLED[spelled], cell=wrapped(cell))
    with jax.numpy_rank_promotion("allow"):
        assert each(count(f, weights=0)(W, X)[1]) == expected(W, X)


@pytest.mark.parametrize("spelled", ["a column", "taken", "parts", "added", "chosen by a mask"])
def test_samples_beside_each_other(spelled):
    xs = jnp.stack([X, 1 - X])
    f = model(*SPELLED[spelled])
    with jax.numpy_rank_promotion("allow"):
        account = count(lambda ws, xs: jax.vmap(lambda x: f(ws, x))(xs), weights=0)(W, xs)[1]
    pairs = zip(expected(W, xs[0]), expected(W, xs[1]), strict=True)
    assert each(account) == [(n, 2 * u, s + r, w) for (n, u, s, w), (_, _, r, _) in pairs]


def test_parts_of_different_widths():
    sizes, starts = [5, 3, 2], [0, 5, 8, 10]
    shapes = zip([N, 5, 3], sizes, strict=True)
    ws = [f32(RNG.integers(-1, 3, shape) / 4) for shape in shapes]
    cut = lambda k: slice(starts[k], starts[k + 1])
    write = lambda v, k, n: v.at[cut(k)].set(n)
    f = model(lambda v, k: v[cut(k)], write, jnp.zeros(10, jnp.float32))
    assert each(count(f, weights=0)(ws, X)[1]) == expected(ws, X)


def test_a_state_that_is_changed_in_its_place():
    """Nothing but scaling, adding and resetting of rows."""

    def f(ws, xs):
        def step(v, s):
            for k in range(LAYERS):
                v = v.at[k].multiply(KEPT)
                v = v.at[k].add(s @ ws[k])
                s = spike(v[k] - LIMIT)
                v = v.at[k].add(-s * v[k])
            return v, s

        return lax.scan(step, ROWS, xs)[1]

    assert each(count(f, weights=0)(W, X)[1]) == expected(W, X)


def filtered(ws, xs):
    """Currents and voltages of each layer, step by step: neurons that fire once a step."""
    states = [np.zeros((2, N), np.float32) for _ in ws]
    for s in np.asarray(xs):
        for k, w in enumerate(ws):
            i = np.float32(0.5) * states[k][0] + s @ np.asarray(w)
            v = np.float32(0.5) * states[k][1] + i
            s = (v > np.float32(0.4)).astype(np.float32)
            states[k] = np.stack([i, v * (1 - s)])
            yield k, s.sum()


PAIRS = {
    "a pair of rows": lambda c, k, i, v: c.at[k].set(jnp.stack([i, v])),
    "row by row": lambda c, k, i, v: c.at[k, 0].set(i).at[k, 1].set(v),
    "a list": lambda c, k, i, v: c.at[k].set(jnp.array([i, v])),
}


@pytest.mark.parametrize("looped", [True, False], ids=["scan", "written out"])
@pytest.mark.parametrize("write", PAIRS)
def test_several_states_of_each_layer_in_one_array(write, looped):
    def f(ws, xs):
        def step(c, s):
            for k in range(LAYERS):
                i = KEPT * c[k, 0] + s @ ws[k]
                v, s = cell(c[k, 1], i)
                c = PAIRS[write](c, k, i, v)
            return c, s

        return over_steps(step, jnp.zeros((LAYERS, 2, N), jnp.float32), xs, looped)

    spikes = [sum(n for j, n in filtered(W, X) if j == k) for k in range(LAYERS)]
    found = [x[:3] for x in each(count(f, weights=0)(W, X)[1])]
    assert found == [(N, N * T, s) for s in spikes]


READ = {
    "a mean of squares": lambda v: (v**2).mean(),
    "a norm of each row": lambda v: jnp.linalg.norm(v, axis=1).max(),
    "two rows": lambda v: v[:2].sum(),
    "differences": lambda v: (v[1:] - v[:-1]).sum(),
    "in order": lambda v: jnp.sort(v, -1)[0, 0],
}
CHANGED = {
    "clipped": lambda v: jnp.clip(v, -2, 2),
    "divided by its largest": lambda v: v / (1 + v.max()),
    "without its mean": lambda v: v - v.mean(1, keepdims=True),
    "with noise": lambda v: v + 0.1 * jax.random.normal(jax.random.key(0), v.shape, v.dtype),
    "rounded": lambda v: v.astype(jnp.bfloat16).astype(jnp.float32),
}


@pytest.mark.parametrize("what", [*READ, *CHANGED])
def test_a_step_may_read_or_change_the_whole_array_too(what):
    """Layers stay apart where a regulariser reads all of their states, or a rule changes them."""
    change = CHANGED.get(what, lambda v: v)
    read = READ.get(what, lambda v: v.sum())

    def f(ws, xs):
        def step(c, s):
            v, seen = c
            for k in range(LAYERS):
                n, s = cell(v[k], s @ ws[k])
                v = v.at[k].set(n)
            return (change(v), seen + read(v)), s

        return lax.scan(step, (ROWS, 0.0), xs)

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        account = count(f, weights=0)(W, X)[1]
    assert [x[:2] for x in each(account)] == [(N, N * T)] * LAYERS


@pytest.mark.parametrize("row", [0, 1, 2])
def test_rows_of_a_weight_added_by_hand_in_a_loop_over_layers(row):
    f = lambda w, x: lax.fori_loop(
        0, 3, lambda k, s: spike(sum(s[i] * w[k, i] for i in range(N)) - LIMIT), x
    )
    record = count(f, weights=0, spikes=1)(jnp.stack(W), X[row])[1]["w"]
    found = [float(getattr(record, f)) for f in ("neurons", "updates", "synapses")]
    assert found == [12, 12, 48]


def test_a_row_that_waits_is_of_the_same_neurons():
    """A delay line of spikes that is rolled and written is one source, not three layers."""

    def f(w, xs):
        def step(b, x):
            b = jnp.roll(b, 1, 0).at[0].set(x)
            return b, spike(b[2] @ w - LIMIT)

        return lax.scan(step, ROWS, xs)[1]

    record = count(f, weights=0, spikes=1)(W[0], X)[1]["w"]
    assert (float(record.neurons), float(record.updates)) == (N, N * T)
    assert float(record.ac) == float(X[:-2].sum(0) @ (W[0] != 0).sum(1).astype(jnp.float32))


FED_BACK = {
    **{k: SPELLED[k][1] for k in ("a row", "added", "chosen by a mask", "times a mask")},
    "zeroed and added": lambda z, k, n: z.at[k].multiply(0).at[k].add(n),
    "subtracted": lambda z, k, n: z.at[k].subtract(z[k] - n),
    "subtracted and added": lambda z, k, n: z.at[k].subtract(z[k]).at[k].add(n),
    "minus itself": lambda z, k, n: z.at[k].add(-z[k]).at[k].add(n),
    "one by one": lambda z, k, n: jnp.stack(
        [z[j] + (n - z[j]) if j == k else z[j] for j in range(3)]
    ),
}


@pytest.mark.parametrize("looped", [True, False], ids=["scan", "written out"])
@pytest.mark.parametrize("write", FED_BACK)
def test_spikes_of_several_layers_in_one_array_are_fed_back(write, looped):
    """Each is an event for its own layer, once: changes that cancel the old ones are none."""

    def f(p, xs):
        def step(c, s):
            v, z = c
            for k in range(LAYERS):
                u = KEPT * v[k] + s @ p["w"][k] + z[k] @ p["r"][k]
                s = spike(u - LIMIT)
                v, z = v.at[k].set(u * (ONE - s)), FED_BACK[write](z, k, s)
            return (v, z), z

        return over_steps(step, (ROWS, ROWS), xs, looped)

    p = dict(w=W, r=W[::-1])
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        zs, account = count(f, weights=0, spikes=1)(p, X)
    zs = np.asarray(zs).reshape(T, LAYERS, N)
    for k in range(LAYERS):
        there = np.asarray(p["r"][k]) != 0
        assert float(account[f"r[{k}]"].ac) == (zs[:-1, k] @ there).sum()
        assert float(account[f"w[{k}]"].spikes) == zs[:, k].sum()
        assert float(account[f"w[{k}]"].updates) == N * T


# -- one population, and weights that are learned ------------------------------------------------

HEADS = f32(RNG.integers(-1, 3, (4, N, 7)) / 4)
SEVEN = jnp.zeros(7, jnp.float32)
ADDED = {
    "in a loop": lambda w, x: lax.fori_loop(0, 4, lambda k, i: i + x @ w[k], SEVEN),
    "in a scan": lambda w, x: lax.scan(lambda i, wk: (i + x @ wk, None), SEVEN, w)[0],
    "collected": lambda w, x: lax.map(lambda k: x @ w[k], jnp.arange(4)).sum(0),
    "written out": lambda w, x: x @ w[0] + x @ w[1] + x @ w[2] + x @ w[3],
    "decaying": lambda w, x: lax.fori_loop(0, 4, lambda k, i: KEPT * i + x @ w[k], SEVEN),
}


@pytest.mark.parametrize("options", [{}, dict(steps=T), dict(neurons=True)])
@pytest.mark.parametrize("added", ADDED)
def test_heads_that_drive_one_population_with_the_same_input(added, options):
    def f(w, xs):
        def step(v, x):
            v = KEPT * v + ADDED[added](w, x)
            s = spike(v - LIMIT)
            return v * (1 - s), s

        return lax.scan(step, SEVEN, xs)[1]

    account = count(f, weights=0, **options)(HEADS, X)[1]
    total = lambda field: sum(
        float(np.sum(np.asarray(getattr(r, field))))
        for r in account.values()
        if r.updates is not None
    )
    assert total("neurons") == 7
    assert (total("updates"), total("spikes")) == (7 * T, float(f(HEADS, X).sum()))


def test_a_sum_of_heads_is_no_population():
    for name in ("in a loop", "in a scan", "written out"):
        account = count(ADDED[name], weights=0)(HEADS, X[0])[1]
        assert all(r.neurons is None and r.updates is None for r in account.values()), name


LEARNED = {
    "a row is added to": lambda w, x, s: w.at[0].add(f32(0.1) * s),
    "a column is added to": lambda w, x, s: w.at[:, 1].add(f32(0.1) * x),
    "a row is scaled": lambda w, x, s: w.at[0].multiply(ONE - f32(0.1) * s),
    "a row is set": lambda w, x, s: w.at[0].set(w[0] + f32(0.1) * s),
    "an element": lambda w, x, s: w.at[0, 0].add(s[0]),
    "rows beside each other": lambda w, x, s: jnp.stack([w[k] + x[k] * s for k in range(N)]),
    "halves": lambda w, x, s: jnp.concatenate([w[:1] + s[None], w[1:]]),
    "rows in a loop": lambda w, x, s: lax.fori_loop(0, N, lambda k, w: w.at[k].add(x[k] * s), w),
    "the row of a winner": lambda w, x, s: w.at[jnp.argmax(x)].add(f32(0.1) * s),
}


@pytest.mark.parametrize("learned", LEARNED)
def test_a_weight_of_which_parts_are_learned_keeps_its_name_and_synapses(learned):
    def f(w, xs):
        def step(c, x):
            w, v = c
            v = KEPT * v + x @ w
            s = spike(v - LIMIT)
            return (LEARNED[learned](w, x, s), v * (1 - s)), s

        return lax.scan(step, (w, SEVEN), xs)[1]

    with jax.numpy_rank_promotion("allow"):
        account = count(f, weights=0, spikes=1)(HEADS[0], X)[1]
        spikes = float(f(HEADS[0], X).sum())
    record = account["w"]
    fields = ("neurons", "updates", "spikes", "synapses", "dense_ac")
    found = [float(getattr(record, f)) for f in fields]
    assert found == [7, 7 * T, spikes, 7 * N, 7 * N * T]
    assert [str(k) for k, r in account.items() if r.updates or r.mac] == ["w"]


def test_what_another_layer_delivers_beside_a_leaf_is_no_weight():
    """A bias, to one element of which a current is added, stays a bias."""

    def f(p, x):
        current = p["b"].at[0].add((x @ p["w"])[0])
        return jax.nn.relu(current) @ p["o"]

    p = dict(w=W[0], b=f32([1, 0, 1, 0]), o=W[1])
    account = count(f, weights=0)(p, X[0])[1]
    assert "b" not in account
    assert float(account["o"].synapses) == N * N


# -- copies, and parts that are chosen -----------------------------------------------------------

NOISE = f32(RNG.integers(-1, 2, (3, N)) / 4)
COPIES = {
    "tiled": lambda i: jnp.tile(i, (3, 1)),
    "tiled flat": lambda i: jnp.tile(i, 3).reshape(3, N),
    "repeated": lambda i: jnp.repeat(i[None], 3, 0),
    "stacked": lambda i: jnp.stack([i] * 3),
    "concatenated": lambda i: jnp.concatenate([i[None]] * 3),
    "broadcast": lambda i: jnp.broadcast_to(i, (3, N)),
    "shared": lambda i: i,
}


@pytest.mark.parametrize("copied", COPIES)
def test_copies_of_a_current_with_noise_of_their_own_are_samples(copied):
    f = lambda w, x, noise: spike(COPIES[copied](x @ w) + noise - LIMIT)
    with jax.numpy_rank_promotion("allow"):
        record = count(f, weights=0)(W[0], X[0], NOISE)[1]["w"]
        spikes = float(f(W[0], X[0], NOISE).sum())
    found = [float(getattr(record, f)) for f in ("neurons", "updates", "spikes")]
    assert found == [N, 3 * N, spikes]


CHOSEN = {
    "vmap": lambda w, xs, e: jax.vmap(lambda x, e: spike(x @ w[e] - LIMIT))(xs, e),
    "map": lambda w, xs, e: lax.map(lambda a: spike(a[0] @ w[a[1]] - LIMIT), (xs, e)),
    "rows": lambda w, xs, e: spike(jnp.einsum("bi,bij->bj", xs, w[e]) - LIMIT),
}


@pytest.mark.parametrize("chosen", CHOSEN)
def test_experts_that_data_choose_have_no_batch_in_their_sizes(chosen):
    e = jnp.asarray([1, 0, 3, 1])
    record = count(CHOSEN[chosen], weights=0)(HEADS, X, e)[1]["w"]
    found = [float(getattr(record, f)) for f in ("neurons", "updates", "synapses")]
    assert found == [7, 28, 28]


def test_a_switch_over_layers_by_the_counter_of_a_loop():
    def f(ws, x):
        layer = lambda k, s: spike(s @ lax.switch(k, [lambda i=i: ws[i] for i in range(3)]) - LIMIT)
        return lax.fori_loop(0, 3, layer, x)

    record = count(f, weights=0)(jnp.stack(W), X[0])[1]["ws"]
    found = [float(getattr(record, f)) for f in ("neurons", "updates", "synapses")]
    assert found == [12, 12, 48]


def test_parts_that_overlap_in_a_loop_are_not_more_than_the_whole():
    f = lambda w, x: lax.map(lambda h: spike(x @ w[h] + x @ w[h + 1] - LIMIT), jnp.arange(2))
    record = count(f, weights=0)(jnp.stack(W), X[0])[1]["w"]
    assert (float(record.neurons), float(record.synapses), record.nonzero) == (8, 48, None)


def twice(loop):
    """Two inputs through the same weights, one loop after the other."""
    return lambda w, a, b: (loop(w, a), loop(w, b))


SHARED = {
    "in loops": lambda w, x: lax.fori_loop(
        0, 3, lambda k, o: o.at[k].set(spike(x @ w[k] - LIMIT)), ROWS
    ),
    "in maps": lambda w, x: lax.map(lambda k: spike(x @ w[k] - LIMIT), jnp.arange(3)),
    "by hand": lambda w, x: lax.map(
        lambda k: spike((x[:, None] * w[k]).sum(0) - LIMIT), jnp.arange(3)
    ),
    "in scans": lambda w, x: lax.scan(lambda c, m: (c, spike(x @ m - LIMIT)), 0, w)[1],
}


@pytest.mark.parametrize("loop", SHARED)
def test_two_inputs_of_one_array_of_weights(loop):
    with jax.numpy_rank_promotion("allow"):
        account = count(twice(SHARED[loop]), weights=0)(jnp.stack(W), X[0], X[1])[1]
    total = lambda f: sum(float(getattr(r, f)) for r in account.values())
    assert [total(f) for f in ("neurons", "updates", "synapses")] == [12, 24, 48]


def test_neurons_behind_two_scans_over_the_same_weights():
    def f(w, a, b):
        current = lambda x: lax.scan(lambda c, m: (c, x @ m), 0, w)[1]
        return spike(current(a) + current(b) - LIMIT)

    record = count(f, weights=0)(jnp.stack(W), X[0], X[1])[1]["w"]
    assert [float(record.neurons), float(record.updates)] == [12, 12]
