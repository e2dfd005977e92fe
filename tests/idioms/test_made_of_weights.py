"""Weights made of others by data and by functions, one after the other: still the leaf's synapses,
and what scales them last is what drives them.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from .common import f32, over_steps, unchanged

RNG = np.random.default_rng(5)
N, H = 4, 3
P = dict(
    w=f32(RNG.integers(-1, 4, (N, H)) / 4),
    u=f32(RNG.integers(-2, 3, (N, H)) / 8),
    a=f32(RNG.integers(-1, 2, (N, 2)) / 4),
    b=f32(RNG.integers(-1, 2, (2, H)) / 4),
    g=f32([1.5, -0.5, 0]),
    z=f32(RNG.integers(-2, 3, (N, H)) / 2),
)
D = dict(
    c=f32(0.5),
    x=f32([0.3, 0, 0.2, 0.7]),
    y=f32([1, 0, 0.5]),
    m=f32(RNG.integers(0, 2, (N, H))),
    k=jnp.int32(1),
)
SPIKES, ANALOG = f32([1, 0, 1, 1]), f32([0.5, 0.25, -0.5, 0])
PRE, POST = jnp.repeat(jnp.arange(N), H), jnp.tile(jnp.arange(H), N)
LINES, ZERO, ONE = jnp.zeros(H, jnp.float32), f32(0), f32(1)
KEY = jax.random.key(0)

CHANGES = {
    "another leaf": lambda p, w, d: w + d["c"] * p["u"],
    "softmax": lambda p, w, d: jax.nn.softmax(w * d["c"], 0),
    "standard": lambda p, w, d: (w - w.mean(0, keepdims=True)) / (w.std(0, keepdims=True) + d["c"]),
    "low rank": lambda p, w, d: w + d["c"] * (p["a"] @ p["b"]),
    "a step": lambda p, w, d: w + f32(0.1) * jnp.outer(d["x"], d["y"]),
    "by columns": lambda p, w, d: w * d["y"][None],
    "turned, by columns": lambda p, w, d: (w.T * d["y"][:, None]).T,
    "masked": lambda p, w, d: jnp.where(d["m"] == 1, w, ZERO),
    "pruned": lambda p, w, d: w * (jnp.abs(w) > d["c"]).astype(w.dtype),
    "pruned by a choice": lambda p, w, d: jnp.where(jnp.abs(w) > d["c"], w, ZERO),
    "signs": lambda p, w, d: jnp.sign(w) * d["c"],
    "signs chosen": lambda p, w, d: jnp.where(w > 0, d["c"], -d["c"]),
    "clipped": lambda p, w, d: jnp.clip(w, -d["c"], d["c"]),
    "rounded": lambda p, w, d: jnp.round(w / d["c"]) * d["c"],
    "mixed": lambda p, w, d: (ONE - d["c"]) * w + d["c"] * p["u"],
    "decayed": lambda p, w, d: w - d["c"] * w,
    "dropped": lambda p, w, d: w * jax.random.bernoulli(KEY, 0.5, w.shape).astype(w.dtype) * d["c"],
    "a row scaled": lambda p, w, d: w.at[d["k"]].multiply(d["c"]),
    "a row set": lambda p, w, d: w.at[d["k"]].set(ZERO),
    "a learned gain": lambda p, w, d: jnp.clip(w, -d["c"], d["c"]) * p["g"][None],
    "a learned gate": lambda p, w, d: w * d["c"] * (p["z"] > 0).astype(w.dtype),
    "scores": lambda p, w, d: w * (p["z"] > d["c"]).astype(w.dtype),
    "drawn by scores": lambda p, w, d: (
        w * jax.random.bernoulli(KEY, jax.nn.sigmoid(p["z"]), w.shape).astype(w.dtype) * d["c"]
    ),
    "weight norm": lambda p, w, d: w / (jnp.sqrt((w * w).sum(0)) + d["c"])[None] * p["g"][None],
    "reversed": lambda p, w, d: w[::-1] * d["c"],
}
USED = {
    "a product": lambda w, s: s @ w,
    "by hand": lambda w, s: (w * s[:, None]).sum(0),
    "chosen": lambda w, s: jnp.where(s[:, None] > 0, w, ZERO).sum(0),
    "edges": lambda w, s: LINES.at[POST].add(w[PRE, POST] * s[PRE]),
    "rows": lambda w, s: sum(w[k] * s[k] for k in range(N)),
    "columns": lambda w, s: jnp.stack([(w[:, j] * s).sum() for j in range(H)]),
    "rows in a loop": lambda w, s: lax.fori_loop(0, N, lambda k, i: i + w[k] * s[k], LINES),
    "rows in a scan": lambda w, s: lax.scan(lambda i, r: (i + r[0] * r[1], 0), LINES, (w, s))[0],
    "rows of a branch": lambda w, s: lax.scan(
        lambda i, r: (lax.cond(r[1] > 0, lambda: i + r[0], lambda: i), 0), LINES, (w, s)
    )[0],
}
TWICE = [
    ("another leaf", "signs"),
    ("another leaf", "signs chosen"),
    ("low rank", "pruned"),
    ("a step", "masked"),
    ("a step", "signs"),
    ("masked", "pruned by a choice"),
    ("pruned", "pruned"),
    ("pruned", "decayed"),
    ("pruned", "signs chosen"),
    ("rounded", "pruned"),
    ("dropped", "signs"),
    ("a row scaled", "a row set"),
    ("by columns", "mixed"),
]


def counted(changes, used, s, **options):
    """The record of the one layer, and how many products there are."""

    def f(p, s, d):
        w = p["w"]
        for change in changes:
            w = CHANGES[change](p, w, d)
        return USED[used](w, s), w

    account = unchanged(lambda *args: f(*args)[0], P, s, D, **options)
    (record,) = account.values()
    arrives = np.asarray(s) > 0 if used in ("chosen", "rows of a branch") else np.asarray(s) != 0
    return record, float((arrives[:, None] * (np.asarray(f(P, s, D)[1]) != 0)).sum())


def check(changes, used):
    record, truth = counted(changes, used, SPIKES, spikes=1)
    assert (float(record.ac), record.mac, record.spikes) == (truth, None, None)
    assert float(record.synapses) == N * H
    if used in ("chosen", "rows of a branch"):
        return  # a comparison of data makes spikes
    record, truth = counted(changes, used, ANALOG)
    assert (float(record.mac), record.ac, record.spikes) == (truth, None, None)


@pytest.mark.parametrize("used", USED)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_leaf_is_driven_by_what_scales_it_last(change, used):
    check([change], used)


@pytest.mark.parametrize("used", ["by hand", "edges", "rows in a scan", "rows of a branch"])
@pytest.mark.parametrize("changes", TWICE, ids=" and ".join)
def test_changes_of_changes(changes, used):
    check(changes, used)


ALONE = {
    "where it is positive": lambda w: (w > 0).astype(w.dtype),
    "where it is": lambda w: (jnp.abs(w) > 0).astype(w.dtype) * ONE,
    "signs": lambda w: jnp.where(w > 0, ONE, -ONE),
    "one level": lambda w: jnp.where(w > 0, f32(0.5), ZERO),
}


@pytest.mark.parametrize("used", [u for u in USED if u != "rows of a branch"])
@pytest.mark.parametrize("alone", ALONE)
def test_the_signs_of_a_weight_are_weights(alone, used):
    """Binary networks."""
    record = unchanged(lambda p, s: USED[used](ALONE[alone](p["w"]), s), P, SPIKES, spikes=1)["w"]
    there = np.asarray(ALONE[alone](P["w"])) != 0
    assert float(record.ac) == (np.asarray(SPIKES)[:, None] * there).sum()
    assert (float(record.synapses), record.mac) == (N * H, None)


LEVELS = f32([0.15, 0.25, 0.6])
CODES = {
    "levels for all": lambda p, x: x[:, None] > p["c"][0][None],
    "levels of each": lambda p, x: x[:, None] > p["c"],
    "by a difference": lambda p, x: x[:, None] - p["c"] > 0,
    "standardised": lambda p, x: ((x - x.mean()) / x.std())[:, None] > p["c"],
}
READ = {
    "as they are": lambda s, k: s * k,
    "level by level": lambda s, k: (s * k).sum(-1),
    "input by input": lambda s, k: (s * k).sum(0),
}


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("code", CODES)
def test_levels_that_are_leaves_make_spikes_of_inputs(code, read):
    """A thermometer code: its levels are no weights of what reads it."""

    def f(p, x, k):
        return READ[read](CODES[code](p, x).astype(x.dtype), k[:, None])

    p, k = dict(c=jnp.stack([LEVELS] * N) + D["x"][:, None]), f32([1, 2, 0.5, 1])
    account = unchanged(f, p, D["x"] + f32(0.3), k)
    assert [str(name) for name in account] == ["input[0]"]
    fired = float(CODES[code](p, D["x"] + f32(0.3)).sum())
    assert float(account["input[0]"].spikes) == fired > 0


@pytest.mark.parametrize("used", ["a product", "by hand", "chosen"])
@pytest.mark.parametrize("looped", [True, False])
def test_synapses_that_release_by_a_learned_probability(looped, used):
    """Weights that learn, masked by draws with a leaf's probability for each row."""

    def f(p, xs):
        def step(c, x):
            w, v = c
            draws = jax.random.bernoulli(KEY, p["u"][:, :1], w.shape)
            there = w * draws.astype(w.dtype)
            i = USED[used](there, x)
            s = (f32(0.5) * v + i > 0.4).astype(x.dtype)
            return (w + f32(0.1) * jnp.outer(x, s), i * (1 - s)), (s, there)

        return over_steps(step, (p["w"], LINES), xs, looped)

    xs = jnp.stack([SPIKES, 1 - SPIKES, SPIKES])
    p = dict(w=P["w"], u=jnp.full((N, H), 0.6, jnp.float32))
    spikes, there = f(p, xs)
    record = unchanged(lambda p, xs: f(p, xs)[0], p, xs, spikes=1)["w"]
    assert float(record.spikes) == float(spikes.sum()) > 0
    assert float(record.ac) == (np.asarray(xs)[:, :, None] * (np.asarray(there) != 0)).sum()
    assert (float(record.neurons), float(record.updates), record.mac) == (H, 3 * H, None)


PLASTIC = {
    "beside a weight": lambda p, h: p["w"] + p["u"] * h,
    "a learned rate": lambda p, h: p["w"] * h,
    "a gain": lambda p, h: p["w"] * (ONE + h),
    "decayed": lambda p, h: p["w"] + p["u"] * (h - f32(0.1) * h),
}


@pytest.mark.parametrize(
    ("used", "looped"), [(u, k) for u in USED for k in (True, False) if k or u != "rows"]
)
@pytest.mark.parametrize("plastic", PLASTIC)
def test_traces_that_a_leaf_scales_are_weights(plastic, looped, used):
    """Differentiable plasticity: what a loop has learned is in the synapses, not what drives."""

    def f(p, xs):
        def step(c, x):
            h, v = c
            w = PLASTIC[plastic](p, h)
            v = f32(0.5) * v + USED[used](w, x)
            s = (v > 0.4).astype(x.dtype)
            return (f32(0.75) * h + f32(0.5) * jnp.outer(x, s), v * (1 - s)), (s, w)

        start = jnp.full((N, H), float(plastic == "a learned rate"), jnp.float32)
        return over_steps(step, (start, LINES), xs, looped)

    xs = jnp.stack([SPIKES, 1 - SPIKES, SPIKES])
    s, w = f(P, xs)
    account = unchanged(lambda p, xs: f(p, xs)[0], P, xs, spikes=1)
    (record,) = account.values()
    pairs = np.asarray(xs)[:, :, None] * (np.asarray(w) != 0)
    assert (float(record.ac), record.mac) == (pairs.sum(), None)
    assert float(record.spikes) == float(s.sum()) > 0
    assert (float(record.neurons), float(record.updates)) == (H, 3 * H)
    assert float(record.synapses) == N * H


MASKED = {
    "a product": lambda p, s, m: ((p["w"] * s[:, None]) * m).sum(0),
    "a product, turned": lambda p, s, m: (m * (s[:, None] * p["w"])).sum(0),
    "spikes": lambda p, s, m: ((m * s[:, None]) * p["w"]).sum(0),
    "chosen": lambda p, s, m: jnp.where(m > 0, p["w"] * s[:, None], ZERO).sum(0),
}


@pytest.mark.parametrize("order", MASKED)
@pytest.mark.parametrize("score", [D["c"], f32(0.2)], ids=["data", "data, lower"])
def test_a_mask_made_of_scores_names_no_layer_in_any_order(score, order):
    """Edge-popup: scores choose which synapses there are, and are none."""
    f = lambda p, s, c: MASKED[order](p, s, (p["a_z"] > c).astype(s.dtype))
    p = dict(w=P["w"], a_z=P["z"])
    account = unchanged(f, p, SPIKES, score, spikes=1)
    assert [str(name) for name in account] == ["w"]
    there = (np.asarray(P["w"]) != 0) & (np.asarray(P["z"]) > float(score))
    assert float(account["w"].ac) == (np.asarray(SPIKES)[:, None] * there).sum()
    assert (float(account["w"].synapses), account["w"].spikes) == (N * H, None)


@pytest.mark.parametrize("used", ["a product", "by hand", "rows", "rows in a loop"])
def test_a_low_rank_change_as_python_groups_it(used):
    """`c * a @ b` is `(c * a) @ b`: that product is work of its own, and the sum is the weight."""
    f = lambda p, s, c: USED[used](p["w"] + c * p["a"] @ p["b"], s)
    account = unchanged(f, P, SPIKES, D["c"], spikes=1)
    assert sorted(map(str, account)) == ["b", "w"]
    merged = np.asarray(P["w"] + D["c"] * P["a"] @ P["b"]) != 0
    assert float(account["w"].ac) == (np.asarray(SPIKES)[:, None] * merged).sum()
    made = (np.asarray(P["a"]) != 0).astype(int) @ (np.asarray(P["b"]) != 0).astype(int)
    assert float(account["b"].mac) == made.sum()
    assert float(account["w"].synapses) == N * H


@pytest.mark.parametrize("used", ["a product", "by hand", "rows", "rows in a loop"])
def test_rows_of_the_layer_that_data_pick(used):
    """A weight for each task."""
    f = lambda p, s, k: USED[used](p["w"][k], s)
    p = dict(w=jnp.stack([P["w"], -P["w"]]))
    record = unchanged(f, p, SPIKES, D["k"], spikes=1)["w"]
    assert float(record.ac) == (np.asarray(SPIKES)[:, None] * (np.asarray(P["w"]) != 0)).sum()
    assert record.mac is None


FACTORS = {
    "a payload": lambda w, s, a, m: w * s[:, None] * a[:, None],
    "a payload first": lambda w, s, a, m: w * a[:, None] * s[:, None],
    "one product": lambda w, s, a, m: w * (s * a)[:, None],
    "picked": lambda w, s, a, m: jnp.where(s[:, None] > 0, w, 0) * a[:, None],
    "a mask that came as data": lambda w, s, a, m: jnp.where(m, w, 0) * (a * s)[:, None],
    "masked afterwards": lambda w, s, a, m: jnp.where(m, w * (s * a)[:, None], 0),
}


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("factors", FACTORS)
def test_spikes_that_carry_a_payload_multiply(factors, batched):
    """Two data that scale a leaf row by row: their product does, in whatever order."""
    m = jnp.arange(N * H).reshape(N, H) % 3 > 0
    s, a = jnp.stack([SPIKES, 1 - SPIKES]), jnp.stack([ANALOG, -ANALOG])
    f = lambda p, s, a, m: FACTORS[factors](p["w"], s, a, m).sum(0)
    samples = lambda p, s, a, m: jax.vmap(f, in_axes=(None, 0, 0, None))(p, s, a, m)
    g, s, a = (samples, s, a) if batched else (f, s[0], a[0])
    record = unchanged(g, P, s, a, m, spikes=1)["w"]
    there = np.broadcast_to(m if "mask" in factors else np.ones((N, H)), (N, H))
    pairs = np.asarray(s * a)[..., None] * np.asarray(P["w"]) * there
    assert (record.ac, float(record.mac)) == (None, (pairs != 0).sum())


def test_a_gain_of_the_layer_behind_its_spikes_does_not_multiply():
    f = lambda p, s, c: (p["w"] * s[:, None] * c).sum(0)
    for c in (f32(0.7), f32(jnp.arange(H) + 1)):
        record = unchanged(f, P, SPIKES, c, spikes=1)["w"]
        pairs = np.asarray(SPIKES)[:, None] * np.asarray(P["w"])
        assert (float(record.ac), record.mac) == ((pairs != 0).sum(), None)
