"""Corners of the rules: what one wrong constant, comparison or sign in them would change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import unchanged as count

RNG = np.random.default_rng(8)
W = jnp.asarray(RNG.normal(size=(6, 3)), jnp.float32)
S, T, U = (jnp.asarray(RNG.random((4, 6)) < 0.5, jnp.float32) for _ in range(3))
A = jnp.asarray(RNG.normal(size=(4, 6)), jnp.float32)
G = jnp.asarray(RNG.normal(size=6), jnp.float32)


def arriving(f, *spikes):
    """Events that meet the weights behind a program of spikes, or None where they are analog."""
    account = count(lambda w, *s: f(*s) @ w, W, *spikes, spikes=tuple(range(1, 1 + len(spikes))))
    record = account["w"]
    return None if record.ac is None else float(record.ac) / W.shape[1]


def events(values):
    return float(np.count_nonzero(np.asarray(values)))


def test_three_levels_have_no_one_scale():
    """A sum with another of the largest of them is analog, with itself at a known scale events."""
    levels = lambda s, t: jnp.maximum(0.5 * s, 0.7 * t)
    assert arriving(levels, S, T) == events(levels(S, T))
    assert arriving(lambda s, t, u: levels(s, t) + 0.7 * u, S, T, U) is None
    assert arriving(lambda s, t, u: jnp.maximum(0.7 * s, 0.7 * t) + 0.7 * u, S, T, U) == (
        events(levels(S, T)) + events(U)
    )


def test_a_choice_that_is_decided_keeps_the_events_of_its_case():
    """Nobody spikes on NaN."""
    mend = lambda s: jnp.where(jnp.isnan(s), 0.0, G * s)
    assert arriving(mend, S) == events(S)
    assert arriving(lambda s: jnp.nan_to_num(0.5 * s), S) == events(S)


def test_a_difference_from_zero_is_no_value_itself():
    assert arriving(lambda s: 1.0 + (jnp.zeros((4, 6), jnp.float32) - s), S) == events(1 - S)
    assert arriving(lambda s: 1.0 + (0.0 - s), S) == events(1 - S)
    assert arriving(lambda s: jax.nn.relu(0.0 - s), S) == 0
    assert arriving(lambda s: s - 0.0, S) == events(S)


def test_half_of_a_value_twice_is_the_value():
    """Straight through, with the value put together of halves."""

    def through(v):
        s = (v > 0).astype(v.dtype)
        return (0.5 * v + 0.5 * v) + lax.stop_gradient(s - v)

    record = count(lambda w, v: through(v) @ w, W, A)["w"]
    assert (float(record.ac), record.mac) == (3 * events(A > 0), None)


@pytest.mark.parametrize(("factor", "left"), [(0.5, True), (-0.5, False)])
def test_counts_of_one_sign_behind_a_relu(factor, left):
    """Positive multiples of counts pass, negative ones end there."""
    pool = lambda s: s.reshape(4, 3, 2).sum(-1) @ jnp.eye(3, 6, dtype=jnp.float32)
    found = arriving(lambda s: jax.nn.relu(factor * pool(s)), S)
    assert found == (events(S) if left else 0)


def test_a_gain_of_spikes_and_of_analog_data_in_one_sum():
    """One leaf, two kinds: each is counted as its own, behind a mask too."""
    mask = np.asarray(RNG.random((6, 3)) < 0.5, np.float32)

    def f(w, s, a):
        return ((w * s[:, None] + w * a[:, None]) * mask).sum(0)

    record = count(f, W, S[0], A[0], spikes=1)["w"]
    assert float(record.ac) == float(np.asarray(S[0]) @ mask.sum(1))
    assert float(record.mac) == mask.sum()


def test_neurons_picked_by_numbers_are_parts_of_a_layer():
    def f(w, xs):
        current = xs @ w
        first, rest = current[:, jnp.array([0, 2])], current[:, jnp.array([1])]
        return jnp.concatenate([jnp.tanh(first), jax.nn.relu(rest)], 1)

    record = count(f, W, S, spikes=1)["w"]
    assert (float(record.neurons), float(record.updates)) == (3, 12)


@pytest.mark.parametrize(
    ("put", "kept"),
    [
        (lambda s, t: s.at[:, :2].max(t[:, :2]), lambda s, t: s[:, :2] | t[:, :2]),
        (lambda s, t: s.at[:, :2].min(t[:, :2]), lambda s, t: s[:, :2] & t[:, :2]),
        (lambda s, t: s.at[:, :2].mul(t[:, :2]), lambda s, t: s[:, :2] & t[:, :2]),
    ],
    ids=["max", "min", "mul"],
)
def test_spikes_combined_at_places(put, kept):
    s, t = np.asarray(S, bool), np.asarray(T, bool)
    assert arriving(put, S, T) == events(kept(s, t)) + events(s[:, 2:])


def test_one_to_one_synapses_beside_a_bias():
    """What is declared are the products in the sum."""
    f = lambda w, s: joulax.synapses(w["g"] * s + w["b"])
    record = count(f, dict(g=G, b=2 * G), S[0], spikes=1)["g"]
    assert float(record.ac) == events(S[0])
    assert record.mac is None


def test_windows_of_scaled_spikes_with_a_start_of_their_own():
    """The general form of a window, whose events are added like its values."""

    def f(s, zero):
        return lax.reduce_window(0.5 * s, zero, lax.add, (1, 2), (1, 2), "VALID")

    def net(w, s):
        return f(s, jnp.zeros((), jnp.float32)) @ w[:3]

    record = count(net, W, S, spikes=1)["w"]
    assert float(record.ac) == 3 * events(S)


def test_logic_of_masks_that_are_no_data():
    """Masks of parameters stay masks, whatever is known of them."""
    a, b = np.asarray(RNG.random(6) < 0.5), np.asarray(RNG.random(6) < 0.5)
    pairs = [(jnp.logical_and, a & b), (jnp.logical_or, a | b), (jnp.logical_xor, a ^ b)]
    for combine, want in pairs:
        made = lambda s, combine=combine: s * combine(jnp.asarray(a), b).astype(s.dtype)
        assert arriving(made, S) == events(np.asarray(S) * want)


def test_a_constant_with_a_one_for_each_output_only_moves():
    """In an array of NumPy or of JAX, made here or around."""
    move = np.eye(6, dtype=np.float32)[::-1]
    moved = jnp.asarray(move)
    assert arriving(lambda s: s @ jnp.asarray(move), S) == events(S)
    assert arriving(lambda s: s @ move, S) == events(S)
    assert arriving(lambda s: s @ moved, S) == events(S)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray, lambda m: np.asarray(m, bool)])
@pytest.mark.parametrize("declared", [True, False])
def test_a_mask_that_is_closed_over_names_no_layer(kind, declared):
    """Whatever it is called, and whether the weight is an argument or closed over too."""
    there = kind(np.asarray(RNG.random((6, 3)) < 0.5, np.float32))
    weight = W

    def masked(w, s):
        return s @ (w * there)

    def closed(s):
        return s @ (weight * there)

    with jax.numpy_dtype_promotion("standard"):
        account = (
            count(masked, W, S, spikes=1) if declared else joulax.count(closed, spikes=0)(S)[1]
        )
    name = "w" if declared else "weight"
    assert list(account) == [name]
    assert float(account[name].ac) == float(np.asarray(S).sum(0) @ np.asarray(there).sum(1))
    assert float(account[name].nonzero) == float(np.asarray(there).sum())


@pytest.mark.parametrize(("batch", "channels"), [(1, 1), (3, 2)])
def test_the_fan_out_that_a_layer_says(batch, channels):
    """Inputs of one sample, synapses of one input."""
    x = jnp.asarray(RNG.random((batch, channels, 8)) < 0.5, jnp.float32)
    k = jnp.asarray(RNG.normal(size=(5, channels, 3)), jnp.float32)
    f = lambda k, x: lax.conv_general_dilated(x, k, (1,), "VALID")
    (note,) = count(f, k, x, spikes=1).convention.sites
    assert (note.inputs, note.neurons) == (channels * 8, 5 * 6)
    assert note.fanout == 5 * channels * 3 * 6 / (channels * 8)


def test_no_fan_out_where_inputs_are_not_known():
    post = jnp.asarray([0, 1, 2, 0, 1, 2])
    f = lambda w, s: jnp.zeros(3, jnp.float32).at[post].add(w[:, 0] * s)
    (note,) = count(f, W, S[0], spikes=1).convention.sites
    assert note.fanout is None


LIMITED = {
    "the smaller of it and 1": lambda b: jnp.minimum(b, 1.0),
    "clipped": lambda b: jnp.clip(b, 0.0, 1.0),
    "clipped above": lambda b: jnp.clip(b, max=1.0),
    "its sign": jnp.sign,
    "compared": lambda b: (b > 0).astype(b.dtype),
}
BINNED = {
    "a sum": lambda s: s.reshape(2, 2, 6).sum(1),
    "a window": lambda s: lax.reduce_window(s, 0.0, lax.add, (2, 1), (2, 1), "VALID"),
    "a running sum": lambda s: jnp.cumsum(s, 0),
    "whole numbers": lambda s: s.astype(jnp.int32).reshape(2, 2, 6).sum(1).astype(s.dtype),
}


@pytest.mark.parametrize("limit", LIMITED)
@pytest.mark.parametrize("bins", BINNED)
def test_counts_of_which_one_event_is_left(limit, bins):
    """Frames of an event camera: what is 0 or 1 counts by what it is, whatever it was made of."""
    f = lambda s: LIMITED[limit](BINNED[bins](s))
    assert arriving(f, S) == float(jnp.sum(f(S)))


def test_counts_up_to_a_limit():
    f = lambda s: jnp.clip(s.sum(0), 0.0, 2.0)
    assert arriving(f, S) == float(jnp.sum(f(S)))
    g = lambda s, t: jnp.clip(s.sum(0) - t.sum(0), -1.0, 1.0)
    assert arriving(g, S, T) == float(jnp.sum(jnp.abs(g(S, T))))


@pytest.mark.parametrize("rounded", [jnp.floor, jnp.round, jnp.ceil])
def test_a_rounded_average_is_analog(rounded):
    """As rounding is of anything: `joulax.spikes` says otherwise."""
    assert arriving(lambda s: rounded(s.reshape(2, 2, 6).mean(1)), S) is None
    assert arriving(lambda s: rounded(s.reshape(2, 2, 6).sum(1)), S) == events(S)


def fire(v):
    return (v > 0.3).astype(v.dtype)


def shortcut(p, x, depth):
    """Membrane shortcuts: what drives a block drives all that come after it."""
    y = x @ p[0]
    for k in range(1, depth):
        y = y + fire(y) @ p[k]
    return fire(y)


@pytest.mark.parametrize("depth", [2, 3])
def test_neurons_behind_shortcuts_have_records_of_their_own(depth):
    p = [jnp.asarray(RNG.normal(size=(6, 6)), jnp.float32) for _ in range(depth)]
    account = count(lambda p, x: shortcut(p, x, depth), p, S, spikes=1)
    y, fired = S @ p[0], []
    for k in range(1, depth):
        fired.append(fire(y))
        y = y + fired[-1] @ p[k]
    fired.append(fire(y))
    found = [(float(r.updates), float(r.neurons), float(r.spikes)) for r in account.values()]
    assert found == [(24, 6, float(s.sum())) for s in fired]


HEADS = jnp.asarray(RNG.normal(size=(2, 6, 3)), jnp.float32)


def test_heads_made_one_after_the_other():
    """Slices of a weight in a loop, neurons behind it: one population, counted once."""

    def f(p, x):
        return fire(lax.map(lambda w: x @ w, p))

    record = count(f, HEADS, S[0], spikes=1)["p"]
    assert (float(record.updates), float(record.neurons)) == (6, 6)
    assert float(record.spikes) == float(f(HEADS, S[0]).sum())
    assert (float(record.ac), float(record.synapses)) == (6 * events(S[0]), 36)
    assert float(record.nonzero) == 36


def test_heads_in_every_step():
    def f(p, xs):
        def step(v, x):
            v = 0.9 * v + lax.map(lambda w: x @ w, p)
            s = fire(v)
            return v - s, s

        return lax.scan(step, jnp.zeros((2, 3), jnp.float32), xs)[1]

    record = count(f, HEADS, S, spikes=1)["p"]
    assert (float(record.updates), float(record.neurons)) == (24, 6)
    assert float(record.spikes) == float(f(HEADS, S).sum())
    assert float(record.ac) == 6 * events(S)


@pytest.mark.parametrize("loop", ["for", "while", "scan"])
def test_a_list_of_events_made_in_every_step(loop):
    """Programs inside of a loop's step are the same in every walk over it."""

    def add(k, a, w, x):
        return a + w[jnp.nonzero(x, size=6, fill_value=6)[0][k]] * (k < x.sum())

    def f(w, x):
        v = jnp.zeros(3, jnp.float32)
        if loop == "for":
            v = lax.fori_loop(0, 6, lambda k, a: add(k, a, w, x), v)
        elif loop == "scan":
            v = lax.scan(lambda a, k: (add(k, a, w, x), None), v, jnp.arange(6))[0]
        else:
            step = lambda c: (c[0] + 1, add(*c, w, x))
            v = lax.while_loop(lambda c: c[0] < x.sum(), step, (0, v))[1]
        return jnp.tanh(v)

    record = count(f, W, S[0], spikes=1)["w"]
    assert float(record.ac) == 3 * events(S[0])
    assert (float(record.updates), float(record.neurons)) == (3, 3)


A_TO_B = dict(
    a=jnp.asarray(RNG.normal(size=(6, 5)), jnp.float32),
    b=jnp.asarray(RNG.normal(size=(5, 4)), jnp.float32),
)


def filled(p, s):
    (i,) = jnp.nonzero(s, size=5, fill_value=5)
    return jnp.take(p["b"], i, axis=0, mode="fill", fill_value=0).sum(0)


def got(p, s):
    (i,) = jnp.nonzero(s, size=5, fill_value=5)
    return p["b"].at[i].get(mode="fill", fill_value=0).sum(0)


def queued(p, s):
    order = jnp.argsort(~s)
    add = lambda k, a: a + p["b"][order[k]]
    return lax.fori_loop(0, s.sum(), add, jnp.zeros(4, jnp.float32))


@pytest.mark.parametrize("send", [filled, got, queued], ids=lambda f: f.__name__)
def test_spikes_that_leave_as_a_list_are_counted(send):
    """The places of those that fired: they are spikes of the layer before."""

    def f(p, x):
        return send(p, x @ p["a"] > 0.3)

    fired = np.asarray(S[0] @ A_TO_B["a"]) > 0.3
    account = count(f, A_TO_B, S[0], spikes=1)
    assert list(account) == ["a", "b"]
    assert float(account["a"].spikes) == fired.sum() > 0
    assert (float(account["a"].updates), float(account["a"].neurons)) == (5, 5)
    assert float(account["b"].ac) == 4 * fired.sum()


@pytest.mark.parametrize("returned", [True, False])
def test_pairs_of_spikes_are_no_spikes(returned):
    """What a population writes into fast weights is larger than it is."""

    def step(c, x):
        v, fast = c
        v = 0.5 * v + x
        s = fire(v)
        pairs = jnp.outer(s, s)
        return (v - s, 0.5 * fast + pairs), pairs if returned else s @ fast

    def f(w, xs):
        start = jnp.zeros(3, jnp.float32), jnp.zeros((3, 3), jnp.float32)
        return lax.scan(step, start, xs @ w)[1]

    v, fired = np.zeros(3, np.float32), 0.0
    for x in np.asarray(S @ W):
        v = 0.5 * v + x
        s = (v > 0.3).astype(np.float32)
        v, fired = v - s, fired + s.sum()
    record = count(f, W, S, spikes=1)["w"]
    assert float(record.spikes) == fired > 0
    assert (float(record.updates), float(record.neurons)) == (12, 3)


def multiplied(c, x):
    k = x * (c <= 0).astype(x.dtype)
    return jnp.where(k > 0, 2.0, c - 1), k


def chosen(c, x):
    k = jnp.where(c <= 0, x, 0.0)
    return jnp.where(k > 0, 2.0, jnp.maximum(c - 1, 0)), k


def both(c, x):
    k = jnp.logical_and(x > 0, c <= 0).astype(x.dtype)
    return jnp.where(k > 0, 2.0, c - 1), k


def traced(c, x):
    k = x * (c < 0.5).astype(x.dtype)
    return 0.5 * c + k, k


@pytest.mark.parametrize("step", [multiplied, chosen, both, traced], ids=lambda f: f.__name__)
def test_a_filter_of_declared_spikes_is_no_neuron(step):
    """What masks them, made of their own past, are no spikes of anybody."""
    run = lambda xs: lax.scan(step, jnp.zeros(6, jnp.float32), xs)[1]
    account = count(lambda w, xs: jnp.tanh(run(xs) @ w), W, S, spikes=1)
    assert list(account) == ["w"]
    assert float(account["w"].ac) == 3 * events(run(S))


def test_spikes_of_neurons_that_gate_declared_ones_are_counted():
    gated = lambda w, xs: (xs[:, :3] * fire(xs @ w)) @ w[:3]
    account = count(gated, W, S, spikes=1)
    assert float(account["w"].spikes) == float(fire(S @ W).sum()) > 0


@pytest.mark.parametrize("pooled", ["min", "clip"])
def test_spikes_fire_before_they_are_pooled(pooled):
    """Whatever is made of the pooled ones: a complement, too."""
    pool = {
        "min": lambda s: jnp.minimum(s.sum(0), 1),
        "clip": lambda s: jnp.clip(s.sum(0), 0, 1),
    }[pooled]

    def f(p, x):
        return (1 - pool(fire(x @ p["a"]))) @ p["b"]

    fired = np.asarray(fire(S @ A_TO_B["a"]))
    account = count(f, A_TO_B, S, spikes=1)
    assert float(account["a"].spikes) == fired.sum() > 0
    assert float(account["a"].updates) == fired.size
    assert float(account["b"].ac) == 4 * (1 - fired.max(0)).sum()


@pytest.mark.parametrize(
    "limited",
    [
        lambda s: jnp.minimum(s.sum(0), 0.5),
        lambda s: jnp.clip(s.sum(0), 0.0, 0.25),
        lambda s: jnp.minimum(0.5 * s.sum(0), 0.5),
        lambda s: jnp.minimum(s.mean(0), 0.25),
    ],
)
def test_what_is_left_of_counts_are_whole_events(limited):
    """A limit at or below one of them leaves one."""
    assert arriving(limited, S) == events(S.sum(0))


def test_an_encoder_that_declared_spikes_mask_fires():
    """Data compared are an encoder, if they have no memory."""
    f = lambda w, r, m: ((r > 0.5).astype(m.dtype) * m) @ w
    account = count(f, W, A, S, spikes=2)
    assert float(account["input[0]"].spikes) == float((A > 0.5).sum()) > 0
    assert float(account["w"].ac) == 3 * events((A > 0.5) & (S > 0))


def test_a_matrix_that_is_closed_over_keeps_its_name():
    """Zeros and ones that are met by themselves are synapses of their own."""
    spread = jnp.asarray(RNG.random((3, 4)) < 0.7, jnp.float32)
    account = count(lambda w, s: jax.nn.relu(s @ w) @ spread, W, S, spikes=1)
    assert list(account) == ["w", "spread"]
    assert float(account["spread"].nonzero) == spread.sum()
    turned = np.asarray(np.eye(6)[::-1], np.float32)
    assert arriving(lambda s: s @ jnp.asarray(turned).T, S) == events(S)
    assert arriving(lambda s: s @ turned.T, S) == events(S)


def test_heads_and_the_whole_weight_in_one_program():
    """Slices of a weight in a loop, and the same weight at once: one record."""

    def f(p, x):
        heads = fire(lax.map(lambda w: x @ w, p))
        return heads + fire(jnp.einsum("i,hij->hj", x, p))

    record = count(f, HEADS, S[0], spikes=1)["p"]
    assert float(record.ac) == 2 * 6 * events(S[0])
    assert float(record.synapses) == 36


def test_scalars_are_added_in_a_loop():
    """A penalty that is summed up beside the states."""

    def run(p, x):
        def step(c, x):
            v, cost = c
            v = 0.9 * v + x @ p
            s = (v > 0.5).astype(jnp.float32)
            return (v - s, cost + s.sum() + (v**2).sum(-1).mean()), s

        (_, cost), spikes = lax.scan(step, (jnp.zeros((2, 3), jnp.float32), jnp.float32(0)), x)
        return spikes.sum() + cost

    account = count(run, W, jnp.stack([S[:2], T[:2]]), spikes=1)
    (record,) = account.values()
    assert (float(record.neurons), float(record.updates)) == (3, 12)


def test_long_chains_are_followed_some_way_back():
    """Hundreds of products of data or of constants, one of the other, before a sum."""

    def run(p, s):
        v, fade = s @ p, jnp.ones((4, 3), jnp.float32)
        for _ in range(600):
            v, fade = v * 0.999, fade * 0.999
        return fade * v + v

    (record,) = count(run, W, S, spikes=1).values()
    assert float(record.ac) == W.shape[1] * events(S)


def test_gains_at_indices_are_no_synapses():
    """One-to-one use of a leaf is arithmetic, wherever it stands."""

    def run(p, a):
        return a.at[:, jnp.asarray([0, 2])].multiply(p["g"]) @ p["w"]

    account = count(run, {"w": W, "g": jnp.full((4, 2), 0.5, jnp.float32)}, A)
    assert float(account["w"].mac) == W.shape[1] * np.count_nonzero(A)


def test_a_power_of_zero_leaves_no_zeros():
    """`x⁰` is one in the padding too: a sum with it is one plus a spike, and analog."""

    def run(w, s, t):
        ones = lax.integer_pow(jnp.pad(s, ((0, 0), (0, 6))), 0)
        return (ones + 0.5 * jnp.pad(t, ((0, 0), (6, 0)))) @ jnp.concatenate([w, w])

    (record,) = count(run, W, S, T, spikes=(1, 2)).values()
    assert record.ac is None
    assert float(record.mac) == 4 * 12 * W.shape[1]


def test_shifted_parts_of_themselves_written_out():
    """Each of 40 steps holds slices of the last one twice: what they are is found in one way."""
    x = jnp.asarray(RNG.random((40, 6)) < 0.1, jnp.float32)

    def run(w, x):
        line, out = jnp.zeros((5, 6), jnp.float32), 0.0
        for now in x:
            line = jnp.concatenate([now[None], line[:-1]])
            line = jnp.maximum(line, jnp.pad(line[:-1], ((1, 0), (0, 0))))
            out = out + line[-1] @ w
        return out

    line, met = np.zeros((5, 6)), 0.0
    for now in np.asarray(x):
        line = np.concatenate([now[None], line[:-1]])
        line = np.maximum(line, np.pad(line[:-1], ((1, 0), (0, 0))))
        met += line[-1].sum()
    account = count(run, W, x, spikes=1)
    assert (float(account["w"].ac), float(account["w"].dense_ac)) == (3 * met, 40 * 18)


CHOSEN = {
    "one": lambda s: jnp.select([s > 0.5], [1.0], 0.0),
    "by their value": lambda s: jnp.select([s == 1], [jnp.ones_like(s)], 0.0),
    "one of two signs": lambda s: jnp.select([s > 0.5, s < -0.5], [1.0, -1.0], 0.0),
    "in pieces": lambda s: jnp.piecewise(s, [s > 0.5], [1.0, 0.0]),
    "from nothing": lambda s: 0 - s,
    "from zeros": lambda s: jnp.zeros((4, 6), jnp.float32) - s,
}


@pytest.mark.parametrize("make", [pytest.param(f, id=n) for n, f in CHOSEN.items()])
def test_declared_spikes_chosen_or_turned(make):
    """Constants that `jnp.select` chooses by spikes are spikes; so are spikes below zero."""
    assert arriving(make, S) == events(S)


def test_counts_below_zero():
    """A counter that is read behind its loop, as a debt: as many events as it has counted."""
    (record,) = count(lambda w, s: (0 - s.cumsum(0)) @ w, W, S, spikes=1).values()
    assert float(record.ac) == np.cumsum(np.asarray(S), 0).sum() * 3
    assert float(record.ac_graded) == events(np.cumsum(np.asarray(S), 0)) * 3


SCHEDULES = {
    "a power": lambda w, t: w * 0.5**t,
    "a share": lambda w, t: w / (1 + t),
    "noise": lambda w, t: (
        w + 0.1 * jax.random.normal(jax.random.fold_in(jax.random.key(0), t), w.shape)
    ),
}


@pytest.mark.parametrize("changed", [pytest.param(f, id=n) for n, f in SCHEDULES.items()])
def test_a_leaky_readout_whose_weights_follow_a_schedule(changed):
    """The same elements in every step: neurons. A column in every step: a sum that is added up."""

    def run(make, w, xs):
        def step(v, now):
            x, t = now
            v = jnp.float32(0.9 * v + x @ make(w, t))
            return v, None

        return lax.scan(step, jnp.zeros(3, jnp.float32), (xs, jnp.arange(4)))[0]

    (record,) = count(lambda w, xs: run(changed, w, xs), W, S, spikes=1).values()
    assert (float(record.neurons), float(record.updates)) == (3, 4 * 3)
    assert float(record.ac) == events(S) * 3
    column = lambda w, t: w * (jnp.arange(3) == t)
    (record,) = count(lambda w, xs: run(column, w, xs), W, S, spikes=1).values()
    assert record.neurons is None
    assert float(record.ac) == events(S[:3])
