"""Weights that data change, however they are used: by a matrix product, by hand, edge by edge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from .common import f32, over_steps, unchanged

RNG = np.random.default_rng(43)
N, H, T = 4, 6, 5
W = f32(RNG.integers(-1, 4, (N, H)) / 4)
X = f32(RNG.integers(0, 2, (T, N)))
PRE, POST = jnp.repeat(jnp.arange(N), H), jnp.tile(jnp.arange(H), N)
KEPT, LIMIT, RATE = f32(0.5), f32(0.4), f32(0.1)
LINES = jnp.zeros(H, jnp.float32)


def cell(v, i):
    v = KEPT * v + i
    s = (v > LIMIT).astype(jnp.float32)
    return v * (1 - s), s


USED = {
    "a product": lambda w, x: x @ w,
    "by hand": lambda w, x: (w * x[:, None]).sum(0),
    "the other way": lambda w, x: (x[:, None] * w).sum(0),
    "chosen": lambda w, x: jnp.where(x[:, None] > 0, w, 0).sum(0),
    "edges": lambda w, x: jax.ops.segment_sum(w.ravel() * x[PRE], POST, H),
    "added at indices": lambda w, x: LINES.at[POST].add(w.ravel() * x[PRE]),
    "columns": lambda w, x: jax.vmap(lambda c: (c * x).sum(), 1)(w),
    "rows": lambda w, x: sum(w[k] * x[k] for k in range(N)),
    "rows in a loop": lambda w, x: lax.fori_loop(0, N, lambda k, i: i + w[k] * x[k], LINES),
    "rows in a scan": lambda w, x: lax.scan(lambda i, r: (i + r[0] * r[1], 0), LINES, (w, x))[0],
}
LEARNED = {
    "added": lambda w, x, s: w + RATE * jnp.outer(x, s),
    "clipped": lambda w, x, s: jnp.clip(w + RATE * jnp.outer(x, s), -1, 1),
    "bounded softly": lambda w, x, s: w + RATE * (1 - w) * jnp.outer(x, s),
    "normalised": lambda w, x, s: (lambda n: n / jnp.abs(n).sum(0, keepdims=True))(
        w + RATE * jnp.outer(x, s)
    ),
    "scaled by activity": lambda w, x, s: w * (1 + RATE * s.sum()),
}


def plastic(used, learned, looped=True):
    def f(w, xs):
        def step(c, x):
            w, v = c
            v, s = cell(v, USED[used](w, x))
            return (LEARNED[learned](w, x, s), v), (s, w)

        return over_steps(step, (w, LINES), xs, looped)

    return f


def truth(f, xs):
    """Events that reach existing synapses, spikes."""
    spikes, ws = map(np.asarray, f(W, xs))
    return float((np.asarray(xs)[:, :, None] * (ws != 0)).sum()), float(spikes.sum())


@pytest.mark.parametrize(
    ("used", "learned"),
    [*[(k, "added") for k in USED], *[("by hand", k) for k in LEARNED if k != "added"]],
)
def test_synapses_that_learn_in_every_step(used, learned):
    f = plastic(used, learned)
    record = unchanged(f, W, X, spikes=1)["w"]
    found = [float(getattr(record, k)) for k in ("ac", "spikes", "neurons", "updates", "synapses")]
    assert found == [*truth(f, X), H, H * T, N * H]


@pytest.mark.parametrize("used", ["a product", "by hand", "chosen", "edges"])
def test_synapses_that_learn_in_a_loop_written_out(used):
    f = plastic(used, "added", looped=False)
    record = unchanged(f, W, X, spikes=1)["w"]
    found = [float(getattr(record, k)) for k in ("ac", "spikes", "neurons", "updates", "synapses")]
    assert found == [*truth(f, X), H, H * T, N * H]


@pytest.mark.parametrize("used", ["a product", "by hand", "edges"])
def test_each_sample_learns_weights_of_its_own(used):
    f, xs = plastic(used, "added"), jnp.stack([X, 1 - X])
    record = unchanged(lambda w, xs: jax.vmap(lambda x: f(w, x))(xs), W, xs, spikes=1)["w"]
    each = [truth(f, x) for x in xs]
    assert (float(record.ac), float(record.spikes)) == tuple(map(sum, zip(*each, strict=True)))
    assert (float(record.neurons), float(record.synapses)) == (H, N * H)


CHANGED = {
    "noise": lambda w, d: w + RATE * jax.random.normal(jax.random.key(0), w.shape, jnp.float32) * d,
    "clipped": lambda w, d: jnp.clip(w, -d, d),
    "a shift": lambda w, d: w + d,
    "normalised": lambda w, d: w / (d + jnp.abs(w).sum(0, keepdims=True)),
    "a row set to zero": lambda w, d: w.at[d.astype(jnp.int32)].set(0),
}


@pytest.mark.parametrize("used", ["a product", "by hand", "chosen", "edges"])
@pytest.mark.parametrize("changed", CHANGED)
def test_a_weight_is_what_data_have_made_of_it(changed, used):
    f = lambda w, x, d: cell(LINES, USED[used](CHANGED[changed](w, d), x))[1]
    record = unchanged(f, W, X[0], f32(1), spikes=1)["w"]
    there = np.asarray(CHANGED[changed](W, f32(1))) != 0
    assert float(record.ac) == (np.asarray(X[0])[:, None] * there).sum()
    assert (float(record.neurons), float(record.synapses)) == (H, N * H)


GAINS = {
    "a bias, with samples": lambda p, x, k: ((x + p["b"][None])[:, None] * k[None]).sum(-1),
    "positions, gated": lambda p, x, k: ((x + p["p"]) * k).sum(-1),
    "positions, masked": lambda p, x, k: ((x + p["p"]) * k[:, :1]).sum(0),
    "positions, pooled": lambda p, x, k: (jax.nn.softmax(k.sum(-1))[:, None] * (x + p["p"])).sum(0),
    "positions, squashed": lambda p, x, k: (jnp.tanh(x - p["p"]) * k[:, :1]).sum(0),
    "positions with each other": lambda p, x, k: (lambda q: (q[:, None] * q[None]).sum(-1))(
        x + p["p"]
    ),
    "positions, picked": lambda p, x, k: (x + p["p"])[jnp.argmax(k[:, 0])],
    "positions, sorted": lambda p, x, k: (x + p["p"])[jnp.argsort(k[:, 0])].sum(0),
    "a token": lambda p, x, k: ((p["p"][0] + x[0])[None] * k).sum(-1),
    "a ceiling": lambda p, x, k: jnp.where(x > p["b"][None], p["b"][None], x).mean(-1),
    "a first state": lambda p, x, k: jax.vmap(
        lambda x, k: lax.scan(
            lambda h, now: ((h := KEPT * h + now[0]), (h * now[1]).sum()), p["b"], (x, k)
        )[1]
    )(jnp.stack([x, k]), jnp.stack([k, x])),
    "a gated first state": lambda p, x, k: jax.vmap(
        lambda x, k: lax.scan(
            lambda h, now: (
                (h := (1 - now[0]) * h + now[0] * jnp.tanh(now[0])),
                (h[:, None] * now[1][None]).sum(0),
            ),
            p["b"],
            (x, k),
        )[1]
    )(jnp.stack([x, k]), jnp.stack([k, x])),
    "a bias, pooled": lambda p, x, k: ((x + p["b"][None]) * jax.nn.softmax(k.sum(-1))[:, None]).sum(
        0
    ),
}


STANDARD = {
    "all together": lambda x: (x - x.mean()) / x.std(),
    "row by row": lambda x: (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True),
    "by the largest": lambda x: x / x.max(),
    "by a column": lambda x: x * x[:, :1],
}


@pytest.mark.parametrize("chosen", [True, False])
@pytest.mark.parametrize("standard", STANDARD)
def test_standardised_data_with_positions_are_no_weights(standard, chosen):
    """Tokens, their positions and a mask of the padding."""

    def f(p, x, mask):
        here = STANDARD[standard](x) + p["p"]
        return (jnp.where(mask > 0, here, 0) if chosen else mask * here).sum(0)

    p, mask = dict(p=jnp.ones((T, N), jnp.float32)), f32([[1], [0], [1], [1], [0]])
    account = unchanged(f, p, f32(RNG.normal(size=(T, N))), mask)
    assert not any(r.synapses is not None for r in account.values())


PUSHED = {
    "shifted": lambda s, q: jnp.concatenate([s[1:], q[None]]),
    "set": lambda s, q: s.at[1].set(q),
    "rolled": lambda s, q: jnp.roll(s, 1, 0).at[0].set(q),
    "chosen": lambda s, q: jnp.where((jnp.arange(3) == 1)[:, None], q[None], s),
    "updated": lambda s, q: lax.dynamic_update_slice(s, q[None], (1, 0)),
}


@pytest.mark.parametrize("pushed", PUSHED)
def test_a_memory_that_begins_as_a_leaf_is_no_weight(pushed):
    def f(p, x, y):
        def step(s, now):
            s = PUSHED[pushed](s, now[0])
            return s, (s * now[1][None]).sum(-1)

        return lax.scan(step, p["s"], (x, y))[1]

    account = unchanged(f, dict(s=jnp.ones((3, N), jnp.float32)), X / 2, X[::-1] / 3)
    assert not any(r.synapses is not None for r in account.values())


DECAYS = {
    "chosen by data": lambda p, q: jnp.exp(q[:, None] * p["a"]),
    "learned": lambda p, q: jax.nn.sigmoid(p["a"]),
    "none": lambda p, q: f32(0.9),
}


@pytest.mark.parametrize("decay", DECAYS)
def test_a_state_space_has_the_neurons_that_its_inputs_drive(decay):
    """Its decay, a leaf, scales the state one to one; with none it is linear attention."""

    def f(p, x):
        def step(h, q):
            h = DECAYS[decay](p, q) * h + q[:, None] * (q @ p["b"])[None]
            return h, (h * (q @ p["c"])[None]).sum(-1)

        return lax.scan(step, jnp.zeros((N, 3), jnp.float32), x)[1]

    leaf = jnp.ones((N, 3), jnp.float32)
    account = unchanged(f, dict(a=-leaf, b=leaf, c=leaf), X + 1)
    assert [str(k) for k in account] == ["b", "c"]
    assert [float(r.mac) for r in account.values()] == [3 * N * T] * 2
    neurons = (None, None) if decay == "none" else (3.0, 3.0 * T)
    assert (account["b"].neurons, account["b"].updates) == neurons


@pytest.mark.parametrize("gain", GAINS)
def test_data_to_which_leaves_are_added_are_no_weights(gain):
    p = dict(b=jnp.ones(N, jnp.float32), p=jnp.ones((T, N), jnp.float32))
    account = unchanged(GAINS[gain], p, X / 2, X[::-1] / 3)
    assert not any(r.synapses is not None for r in account.values())


TAUGHT = {
    "an outer product": lambda w, x, e, v, s: w - RATE * jnp.outer(x, e),
    "clipped": lambda w, x, e, v, s: jnp.clip(w - RATE * jnp.outer(x, e), -1, 1),
    "times a slope": lambda w, x, e, v, s: w - RATE * jnp.outer(x, e / (1 + jnp.abs(v))),
    "where spikes were": lambda w, x, e, v, s: w - RATE * jnp.outer(x, e * s),
}


@pytest.mark.parametrize("taught", TAUGHT)
def test_errors_that_come_back_over_weights_of_their_own_are_no_neurons(taught):
    """Broadcast alignment: the feedback weights teach, nothing integrates behind them."""

    def f(p, xs):
        def step(c, x):
            w, v, o = c
            v, s = cell(v, x @ w)
            o = KEPT * o + s @ p["out"]
            return (TAUGHT[taught](w, x, (o - 1) @ p["back"], v, s), v, o), s

        return lax.scan(step, (p["in"], LINES, jnp.zeros(2, jnp.float32)), xs)[1]

    p = {"in": W, "out": W.T[:, :2], "back": W[:2]}
    account = unchanged(f, p, X, spikes=1)
    back = account["back"]
    assert (back.neurons, back.updates, float(back.synapses)) == (None, None, 2 * H)
    assert (float(account["in"].neurons), float(account["in"].updates)) == (H, H * T)
