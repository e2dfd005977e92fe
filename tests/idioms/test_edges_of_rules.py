"""Rules that few programs meet: rare forms, loops of samples, what has nothing to count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import check, f32, numbers, primitives

RNG = np.random.default_rng(31)


S, T = (np.asarray(RNG.random((4, 6)) < 0.5, np.float32) for _ in range(2))
A = np.asarray(RNG.normal(size=(4, 6)), np.float32)
W = f32(RNG.uniform(1, 2, (6, 3)))
K = np.asarray(RNG.integers(0, 3, 6), np.int32)


def count(f, *args, **options):
    return joulax.count(f, weights=0, **options)(*args)[1]


def pool(x):
    return x.reshape(2, 2, 6).sum(1)


ARRIVING = {  # a program of spikes and analog data, and its events
    "the same in both branches": (
        lambda s, a: lax.cond(a[0, 0] > 0, lambda s: s, lambda s: s, s),
        lambda s, a: s,
    ),
    "ones or zeros, as data say": (
        lambda s, a: lax.cond(a[0, 0] > -9, lambda: f32(np.ones(6)), lambda: f32(np.zeros(6))),
        lambda s, a: np.ones(6),
    ),
    "minus one or one, as data say": (
        lambda s, a: lax.cond(a[0, 0] > 9, lambda: f32(np.ones(6)), lambda: -f32(np.ones(6))),
        lambda s, a: np.ones(6),
    ),
    "a half or nothing, as data say": (
        lambda s, a: lax.cond(a[0, 0] > 9, lambda: f32(np.zeros(6)), lambda: f32(np.full(6, 0.5))),
        None,
    ),
    "events or none, as data say": (
        lambda s, a: lax.cond(a[0, 0] > -9, lambda s: s, lambda s: 0 * s, s),
        lambda s, a: s,
    ),
    "counts or counts, as data say": (
        lambda s, a: lax.cond(a[0, 0] > -9, lambda s: pool(s), lambda s: 0.5 * pool(s), s),
        lambda s, a: pool(s),
    ),
    "counts or halves, as data say": (
        lambda s, a: lax.cond(a[0, 0] > 9, lambda s: pool(s), lambda s: 0.5 * pool(s), s),
        lambda s, a: pool(s),
    ),
    "truths of numbers": (lambda s, a: a.astype(bool), lambda s, a: a != 0),
    "the largest mean": (lambda s, a: (0.5 * pool(s)).max(0), lambda s, a: pool(s).max(0)),
    "the smallest mean": (lambda s, a: (0.5 * pool(s)).min(0), lambda s, a: pool(s).min(0)),
    "the largest count": (lambda s, a: pool(s).max(0), lambda s, a: pool(s).max(0)),
    "the largest": (lambda s, a: s.max(0), lambda s, a: s.max(0)),
    "the smallest": (lambda s, a: s.min(0), lambda s, a: s.min(0)),
    "all": (lambda s, a: (s > 0).all(0), lambda s, a: s.all(0)),
    "any": (lambda s, a: (s > 0).any(0), lambda s, a: s.any(0)),
    "product": (lambda s, a: s.prod(0), lambda s, a: s.all(0)),
    "product of signs": (lambda s, a: jnp.sign(a).prod(0), lambda s, a: np.ones(6)),
    "product of counts": (lambda s, a: pool(s).prod(0), None),
    "the largest so far": (lambda s, a: lax.cummax(s, 0), lambda s, a: np.maximum.accumulate(s, 0)),
    "the smallest so far": (
        lambda s, a: lax.cummin(s, 0),
        lambda s, a: np.minimum.accumulate(s, 0),
    ),
    "the largest of windows": (
        lambda s, a: lax.reduce_window(s, -jnp.inf, lax.max, (2, 1), (2, 1), "VALID"),
        lambda s, a: s.reshape(2, 2, 6).max(1),
    ),
    "the largest of windows of halves": (
        lambda s, a: lax.reduce_window(0.5 * s, -jnp.inf, lax.max, (2, 1), (2, 1), "VALID"),
        lambda s, a: s.reshape(2, 2, 6).max(1),
    ),
    "sums in windows": (
        lambda s, a: lax.reduce_window(s, 0.0, lax.add, (2, 1), (1, 1), "VALID"),
        lambda s, a: s[1:] + s[:-1],
    ),
    "sums by hand": (
        lambda s, a: lax.reduce(s, f32(0.0), lambda a, b: a + b * 1.0, (0,)),
        None,
    ),
    "averages": (lambda s, a: s.mean(0), lambda s, a: s.sum(0)),
    "averages of some": (lambda s, a: (s * (0.25 * f32(np.arange(1, 5)))[:, None]).sum(0), None),
    "in order": (lambda s, a: jnp.sort(s, 0), lambda s, a: s),
    "the first ones": (
        lambda s, a: lax.top_k(s, 2)[0] @ f32(np.eye(2, 6)),
        lambda s, a: np.minimum(s.sum(1), 2),
    ),
    "the other way round": (lambda s, a: s[::-1, ::-1], lambda s, a: s),
    "on another axis": (lambda s, a: s.T.reshape(4, 6), lambda s, a: s),
    "some of them": (lambda s, a: s[jnp.asarray([0, 2, 2])], lambda s, a: s[[0, 2, 2]]),
    "some of means": (
        lambda s, a: s.mean(0)[jnp.asarray([[0, 1, 2, 3, 4, 4]])],
        lambda s, a: s.sum(0)[[0, 1, 2, 3, 4, 4]],
    ),
    "some where there are none": (
        lambda s, a: s.at[jnp.asarray([0, 9])].get(mode="fill", fill_value=0),
        lambda s, a: s[0],
    ),
    "means where there are none": (
        lambda s, a: pool(0.5 * s).at[jnp.asarray([0, 9])].get(mode="fill", fill_value=1),
        lambda s, a: pool(s)[0],
    ),
    "a slice that data choose": (
        lambda s, a: lax.dynamic_slice_in_dim(s, jnp.int32(a[0, 0] > -9), 2),
        lambda s, a: s[1:3],
    ),
    "rows of zeros and ones": (
        lambda s, a: jnp.eye(6, dtype=jnp.float32)[jnp.argmax(a, 1)],
        lambda s, a: np.ones(4),
    ),
    "ones at places": (
        lambda s, a: jnp.zeros((4, 6), jnp.float32).at[0, jnp.argmax(a, 1)].set(1.0),
        lambda s, a: np.ones(len({*np.argmax(a, 1)})),
    ),
    "ones added at places": (
        lambda s, a: jnp.zeros((4, 6), jnp.float32).at[0, jnp.argmax(a, 1)].add(1.0),
        lambda s, a: np.ones(4),
    ),
    "ones taken away at places": (
        lambda s, a: jnp.zeros((4, 6), jnp.float32).at[0, jnp.argmax(a, 1)].subtract(1.0),
        lambda s, a: np.ones(4),
    ),
    "numbers at places": (
        lambda s, a: (
            jnp.zeros((4, 6), jnp.float32).at[0, jnp.argmax(a, 1)].add(f32([0.1, 0.2, 0.3, 0.4]))
        ),
        None,
    ),
    "events added at places": (
        lambda s, a: jnp.zeros((2, 6), jnp.float32).at[jnp.asarray([0, 1, 1, 0])].add(s),
        lambda s, a: s,
    ),
    "halves added at places": (
        lambda s, a: jnp.zeros((2, 6), jnp.float32).at[jnp.asarray([0, 1, 1, 0])].add(0.5 * s),
        lambda s, a: s,
    ),
    "halves added to events": (
        lambda s, a: s[:2].at[jnp.asarray([0, 1])].add(0.5 * s[2:]),
        None,
    ),
    "events added to ones": (
        lambda s, a: jnp.ones((2, 6), jnp.float32).at[jnp.asarray([0, 1, 1, 0])].add(s),
        None,
    ),
    "events put at places": (lambda s, a: s.at[1].set(s[2]), lambda s, a: s[[0, 2, 2, 3]]),
    "halves put among events": (
        lambda s, a: s.at[1].set(0.5 * s[2]),
        lambda s, a: s[[0, 2, 2, 3]],
    ),
    "numbers put among events": (lambda s, a: s.at[1].set(f32(np.arange(1, 7))), None),
    "beside ones": (
        lambda s, a: jnp.concatenate([s, jnp.ones((1, 6), jnp.float32)]),
        lambda s, a: np.concatenate([s, np.ones((1, 6))]),
    ),
    "beside numbers": (lambda s, a: jnp.concatenate([s, a]), None),
    "beside halves": (
        lambda s, a: jnp.concatenate([0.5 * pool(s), s]),
        lambda s, a: np.concatenate([pool(s), s]),
    ),
    "among zeros": (lambda s, a: jnp.pad(s, ((1, 1), (0, 0))), lambda s, a: s),
    "moved by a constant": (
        lambda s, a: s @ f32(np.eye(6)[::-1]),
        lambda s, a: s,
    ),
    "some moved by a constant": (
        lambda s, a: s @ f32(np.eye(6)[:, [0, 1, 1, 2, 5, 5]]),
        lambda s, a: s[:, [0, 1, 1, 2, 5, 5]],
    ),
    "halves moved by a constant": (
        lambda s, a: (0.5 * pool(s)) @ f32(np.eye(6)[:, [0, 1, 1, 2, 5, 5]]),
        lambda s, a: pool(s)[:, [0, 1, 1, 2, 5, 5]],
    ),
    "moved from the left": (
        lambda s, a: f32(np.eye(4)[[3, 0]]) @ s,
        lambda s, a: s[[3, 0]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRIVING)
def test_what_arrives(name):
    f, hand = ARRIVING[name]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        program = lambda p, s, a: f32(f(s, a)) @ p["w"]
        account = count(program, dict(w=W), f32(S), f32(A), spikes=1)
        made = np.asarray(f(f32(S), f32(A)), np.float32)
    want = {"mac": np.count_nonzero(made)} if hand is None else {"ac": np.sum(hand(S, A))}
    found = {k: v for k, v in numbers(account["w"]).items() if k in ("ac", "mac")}
    assert found == {k: 3.0 * float(v) for k, v in want.items()}


def test_a_leaf_that_lands_where_data_say():
    f = lambda w, k: jnp.tanh(jnp.zeros(3, jnp.float32).at[k].add(w))
    account = joulax.count(f, weights=0, neurons=True)(f32([0, 1, 2, 3, 0, 4]), jnp.asarray(K))[1]
    (record,) = account.values()
    want = np.bincount(K, weights=[0, 1, 1, 1, 0, 1], minlength=3)
    np.testing.assert_array_equal(record.ac, want)
    np.testing.assert_array_equal(record.dense_ac, np.bincount(K, minlength=3))


ADDED = {  # row by row, where data say
    "or not": lambda w, v, x: lax.cond(x > 0, lambda: v + w, lambda: v),
    "or nothing": lambda w, v, x: v + lax.cond(x > 0, lambda: w, lambda: 0.0 * w),
    "the first branch": lambda w, v, x: lax.cond(x <= 0, lambda: v, lambda: v + w),
    "one of three": lambda w, v, x: lax.switch(
        number(x), [lambda: v, lambda: v + w, lambda: v - w]
    ),
    "chosen": lambda w, v, x: v + jnp.where(x > 0, w, 0.0),
    "or what there was": lambda w, v, x: jnp.where(x > 0, v + jnp.where(x > 0, w, 0.0), v),
    "scaled": lambda w, v, x: v + x * w,
}


def number(x):
    return x.astype(jnp.int32)


@pytest.mark.parametrize("name", ADDED)
@pytest.mark.parametrize("returned", [True, False])
def test_rows_that_data_add(name, returned):
    """A row that is added is an event that arrives; another one is a position alone."""

    def f(w, s):
        step = lambda v, row: (ADDED[name](row[0], v, row[1]), None)
        v = lax.scan(step, jnp.zeros(3, jnp.float32), (w, s))[0]
        return v if returned else jnp.tanh(v)

    there = W.at[1, 1].set(0.0).at[4, 0].set(0.0)
    for row in (S[0], np.ones(6, np.float32)):
        (record,) = count(f, there, f32(row), spikes=1).values()
        found = numbers(record)
        assert found["ac"] == float(row @ np.count_nonzero(there, 1))
        assert (found["synapses"], found["dense_ac"]) == (18, 18)
        assert found.get("updates") == (None if returned else 3)


def test_synapses_one_to_one_in_a_batch():
    f = lambda w, s: jnp.tanh(joulax.synapses(w * s))
    (record,) = count(f, W[:, :1].T, f32(S[:2]), spikes=1).values()
    check(record, ac=float(S[:2].sum()), dense_ac=12, neurons=6, updates=12, synapses=6)


def test_kernels_of_groups_of_samples():
    """Each group of the batch has kernels of its own, which exist once."""
    x = f32(RNG.random((4, 2, 5)) < 0.5)
    k = f32(np.where(RNG.random((6, 2, 3)) < 0.7, 1.0, 0.0))
    f = lambda k, x: lax.conv_general_dilated(x, k, (1,), "VALID", batch_group_count=2)
    (record,) = count(f, k, x, spikes=1).values()
    there, groups = np.asarray(k != 0), np.asarray(x).reshape(2, 2, 2, 5)
    pairs = zip(groups, there.reshape(2, 3, 2, 3).astype(float), strict=True)
    windows = np.lib.stride_tricks.sliding_window_view
    ac = sum(np.einsum("ncpk,ock->", windows(x, 3, 2), k) for x, k in pairs)
    check(record, ac=float(ac), dense_ac=6.0 * 2 * 3 * 3 * 2, nonzero=3.0 * there.sum())
    assert float(record.synapses) == 6 * 2 * 3 * 3


def test_an_encoder_has_neurons():
    """Thresholds of their own beside one number, or numbers beside one threshold."""
    for f in (
        lambda w, x: f32(x[0] > jnp.arange(6) * 0.1) @ w,
        lambda w, x: f32(x > x[0]) @ w,
        lambda w, x: f32(0.1 < x) @ w,
    ):
        with jax.numpy_dtype_promotion("standard"):
            _, account = joulax.count(f, weights=0, neurons=True)(W, f32(A[0]))
        (name,) = [k for k in account if str(k).startswith("input")]
        assert account[name].spikes.shape == (6,)


# -- loops that samples leave at steps of their own -------------------------------------------


def countdown(w, x):
    """As many steps as there are ones."""

    def step(c):
        k, v = c
        return k - 1, 0.5 * v + x @ w

    return lax.while_loop(lambda c: c[0] > 0, step, (x.sum(), jnp.zeros(3, jnp.float32)))[1]


@pytest.mark.parametrize("option", [{}, dict(neurons=True), dict(events=True, touched=True)])
def test_samples_are_counted_until_they_stop(option):
    f = jax.vmap(countdown, (None, 0))
    (record,) = joulax.count(f, weights=0, spikes=1, **option)(W, f32(S))[1].values()
    steps = S.sum(1)
    ac, dense = (3.0 * float(steps @ n) for n in (S.sum(1), np.full(4, 6)))
    assert float(record.ac.sum()) == ac
    assert float(record.dense_ac.sum()) == dense
    assert float(record.updates.sum()) == 3 * steps.sum()
    assert record.ac.shape == ((3,) if "neurons" in option else ())
    if "events" in option:
        assert float(record.events) == ac / 3
        assert float(record.touched) == 3 * steps.sum()


@pytest.mark.parametrize(
    ("f", "xs", "option", "why"),
    [
        (jax.vmap(jax.vmap(countdown, (None, 0)), (None, 0)), S[None], {}, "batches"),
        (jax.vmap(jax.vmap(countdown, (None, 0)), (None, 0)), S.reshape(2, 2, 6), {}, "batches"),
        (jax.vmap(countdown, (None, 0)), S, dict(steps=4), "steps="),
        (jax.vmap(countdown, (None, 0)), S[:3], {}, "another axis is as long"),
        (jax.vmap(countdown, (None, 0)), np.concatenate([S, T[:2]]), {}, "another axis is as long"),
        (jax.vmap(countdown, (None, 0)), S[:1], {}, None),
    ],
)
def test_which_loops_of_samples_are_followed(f, xs, option, why):
    counted = joulax.count(f, weights=0, spikes=1, **option)
    if why is None:
        (record,) = counted(W, f32(xs))[1].values()
        n = xs.reshape(-1, 6).sum(1)
        assert float(record.ac) == 3 * float(n @ n)
    else:
        with pytest.raises(ValueError, match=why):
            counted(W, f32(xs))


# -- what has nothing to count runs as it is ----------------------------------------------------

QUIET = {
    "scan": lambda a: lax.scan(lambda c, x: (c + x, c * 2.0), a[0], a)[1],
    "while": lambda a: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 2.0), (0, a))[
        1
    ],
    "cond": lambda a: lax.cond(a[0, 0] > 0, lambda a: a * 2.0, lambda a: a + 1.0, a),
    "jit": lambda a: jax.jit(lambda a: a * 2.0)(a),
}


@pytest.mark.parametrize("name", QUIET)
def test_what_has_nothing_to_count_runs_as_it_is(name):
    f = lambda w, a: QUIET[name](a) @ w
    plain, counted = (jax.make_jaxpr(g)(W, f32(A)) for g in (f, joulax.count(f, weights=0)))
    inside = lambda made: [p for p in primitives(made.jaxpr) if p[0] in (*QUIET, "clamp")]
    assert inside(plain)
    assert inside(counted) == inside(plain)


def first(w, xs):
    step = lambda c, x: ((c[0], 0.5 * c[1] + x @ c[0]), None)
    return lax.scan(step, (w, jnp.zeros(3, jnp.float32)), xs)[0][1]


def last(w, xs):
    step = lambda c, x: ((0.5 * c[0] + x @ c[1], c[1]), None)
    return lax.scan(step, (jnp.zeros(3, jnp.float32), w), xs)[0][0]


def around(w, xs):
    step = lambda v, x: (0.5 * v + x @ w, None)
    return lax.scan(step, jnp.zeros(3, jnp.float32), xs)[0]


def learned(w, xs):
    step = lambda c, x: ((0.5 * c[0], 0.5 * c[1] + x @ c[0]), None)
    return lax.scan(step, (w, jnp.zeros(3, jnp.float32)), xs)[0][1]


@pytest.mark.parametrize("f", [first, last, around, learned], ids=lambda f: f.__name__)
def test_a_weight_that_stays_is_looked_at_once(f):
    """Which synapses exist is found before the loop, unless it changes them."""
    counted = joulax.count(f, weights=0, spikes=1)
    if f is not learned:
        _, account = counted(W, f32(S))
        check(account["w"], ac=3 * float(S.sum()), dense_ac=72.0, neurons=3, updates=12)
    made = jax.make_jaxpr(counted)(W, f32(S)).jaxpr
    loops = [e for j in [made, *bodies(made)] for e in j.eqns if e.primitive.name == "scan"]
    within = [p for e in loops for p in primitives(e.params["jaxpr"].jaxpr)]
    assert within
    assert (("ne", ("bool[6,3]",)) in within) == (f is learned)


def bodies(jaxpr):
    """Of calls in a program."""
    inner = [e.params["jaxpr"] for e in jaxpr.eqns if "jaxpr" in e.params]
    found = [getattr(j, "jaxpr", j) for j in inner]
    return found + [k for j in found for k in bodies(j)]
