"""Edges of sites: every way to bring weights and data together, by neuron and by step.

What each neuron receives in each step is said in NumPy; everything else adds up to that.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import sparse

import joulax

from .common import f32

RNG = np.random.default_rng(21)
STEPS, N, M = 5, 6, 3


S = np.asarray(RNG.random((STEPS, N)) < 0.5, np.float32)
A = np.where(RNG.random((STEPS, N)) < 0.8, RNG.normal(size=(STEPS, N)), 0).astype(np.float32)
POST = np.asarray([0, 2, 2, 0, 1, 2])
LEFT, RIGHT = np.asarray([0, 1, 1, 3, 5, 5]), np.asarray([0, 0, 2, 1, 1, 2])


def holes(*shape):
    """A weight of which some elements are zero."""
    return f32(np.where(RNG.random(shape) < 0.75, RNG.uniform(1, 2, shape), 0))


def windows(x, size=2):
    return x.reshape(-1, size).sum(1)


def stored(w, s):
    at = jnp.asarray(np.stack([RIGHT, LEFT], 1))
    matrix = sparse.BCOO((w, at), shape=(M, N), indices_sorted=False, unique_indices=True)
    return matrix @ s


def one_by_one(w, s):
    return lax.fori_loop(0, N, lambda i, v: v + w[i] * s[i], jnp.zeros(M, jnp.float32))


def stacked(w, s):
    """A loop over layers that are added."""
    add = lambda v, both: (v + both[0] * both[1], None)
    return lax.scan(add, jnp.zeros(M, jnp.float32), (w, s))[0]


def landed(values, where, size):
    found = np.zeros(size)
    np.add.at(found, where, values)
    return found


# a weight, a program, and what each neuron receives of synapses that exist and of data
SITES = {
    "from the left": (holes(N, M), lambda w, s: s @ w, lambda w, s: s @ w),
    "from the right": (holes(M, N), lambda w, s: w @ s, lambda w, s: w @ s),
    "two axes": (
        holes(2, 3, M),
        lambda w, s: jnp.einsum("ab,abc->c", s.reshape(2, 3), w),
        lambda w, s: s @ w.reshape(N, M),
    ),
    "in blocks": (
        holes(2, 3, M),
        lambda w, s: jnp.einsum("ab,abc->ac", s.reshape(2, 3), w),
        lambda w, s: np.einsum("ab,abc->ac", s.reshape(2, 3), w),
    ),
    "a kernel": (
        holes(2, 1, 3),
        lambda w, s: lax.conv(s[None, None], w, (1,), "VALID")[0],
        lambda w, s: np.stack([np.correlate(s, k, "valid") for k in w[:, 0]]),
    ),
    "a kernel over the border": (
        holes(1, 1, 3),
        lambda w, s: lax.conv(s[None, None], w, (1,), "SAME")[0, 0],
        lambda w, s: np.correlate(s, w[0, 0], "same"),
    ),
    "a kernel in strides": (
        holes(1, 2, 2),
        lambda w, s: lax.conv(s.reshape(1, 2, 3), w, (2,), "VALID")[0, 0],
        lambda w, s: np.einsum("ck,ck->", s.reshape(2, 3)[:, :2], w[0])[None],
    ),
    "by hand": (holes(N, M), lambda w, s: (w * s[:, None]).sum(0), lambda w, s: s @ w),
    "by hand, the other way": (holes(M, N), lambda w, s: (w * s[None]).sum(1), lambda w, s: w @ s),
    "by hand, halves": (
        holes(M, N),
        lambda w, s: (w * s[None])[:, :3].sum(1) + (w * s[None])[:, 3:].sum(1),
        lambda w, s: w @ s,
    ),
    "negative": (holes(N, M), lambda w, s: -(w * s[:, None]).sum(0) / 2.0, lambda w, s: s @ w),
    "in windows": (
        holes(N),
        lambda w, s: lax.reduce_window(w * s, 0.0, lax.add, (2,), (2,), "VALID"),
        lambda w, s: windows(w * s),
    ),
    "in windows that overlap": (
        holes(N),
        lambda w, s: lax.reduce_window(w * s, 0.0, lax.add, (3,), (1,), "VALID"),
        lambda w, s: np.convolve(w * s, np.ones(3), "valid"),
    ),
    "so far": (holes(N), lambda w, s: jnp.cumsum(w * s), lambda w, s: np.cumsum(w * s)),
    "stencil": (
        holes(2, N),
        lambda w, s: w[0] * s + w[1] * jnp.roll(s, 1),
        lambda w, s: w[0] * s + w[1] * np.roll(s, 1),
    ),
    "stencil, less": (
        holes(2, N),
        lambda w, s: w[0] * s - w[1] * jnp.roll(s, 1),
        lambda w, s: w[0] * s + w[1] * np.roll(s, 1),
    ),
    "rows": (
        holes(N, M),
        lambda w, s: w[0] * s[0] + w[1] * s[1] + w[4] * s[4],
        lambda w, s: s[[0, 1, 4]] @ w[[0, 1, 4]],
    ),
    "rows in a loop": (holes(N, M), one_by_one, lambda w, s: s @ w),
    "rows of a stack": (holes(N, M), stacked, lambda w, s: s @ w),
    "landing": (
        holes(N),
        lambda w, s: jnp.zeros(M, jnp.float32).at[jnp.asarray(POST)].add(w * s),
        lambda w, s: landed(w * s, POST, M),
    ),
    "landing, less": (
        holes(N),
        lambda w, s: jnp.zeros(M, jnp.float32).at[jnp.asarray(POST)].subtract(w * s),
        lambda w, s: landed(w * s, POST, M),
    ),
    "in segments": (
        holes(N),
        lambda w, s: jax.ops.segment_sum(w * s[LEFT], jnp.asarray(RIGHT), M),
        lambda w, s: landed(w * s[LEFT], RIGHT, M),
    ),
    "stored": (holes(N), stored, lambda w, s: landed(w * s[LEFT], RIGHT, M)),
    "rows landing": (
        holes(N, 2),
        lambda w, s: jnp.zeros((M, 2), jnp.float32).at[jnp.asarray(POST)].add(w * s[:, None]),
        lambda w, s: landed(w * s[:, None], POST, (M, 2)),
    ),
    "columns landing": (
        holes(2, N),
        lambda w, s: jnp.zeros((2, M), jnp.float32).at[:, jnp.asarray(POST)].add(w * s[None]),
        lambda w, s: landed((w * s).T, POST, (M, 2)).T,
    ),
    "landing twice": (
        holes(2, N),
        lambda w, s: (
            jnp.zeros(M, jnp.float32)
            .at[jnp.asarray(POST)]
            .add(w[0] * s)
            .at[jnp.asarray(POST[::-1])]
            .add(w[1] * s)
        ),
        lambda w, s: landed(w[0] * s, POST, M) + landed(w[1] * s, POST[::-1], M),
    ),
    "picked and summed": (
        holes(M, 2),
        lambda w, s: (s[jnp.asarray(LEFT.reshape(M, 2))] * w).sum(1),
        lambda w, s: (s[LEFT.reshape(M, 2)] * w).sum(1),
    ),
    "average": (holes(N, M), lambda w, s: (w * s[:, None]).mean(0), lambda w, s: s @ w),
    "one neuron": (holes(N), lambda w, s: jnp.dot(w, s), lambda w, s: np.asarray([w @ s])),
    "neuron by neuron": (
        holes(N, M),
        lambda w, s: jax.vmap(jnp.dot, (1, None))(w, s),
        lambda w, s: s @ w,
    ),
    "a dilated kernel": (
        holes(1, 1, 3),
        lambda w, s: lax.conv_general_dilated(s[None, None], w, (1,), "VALID", rhs_dilation=(2,))[
            0, 0
        ],
        lambda w, s: np.asarray([s[k : k + 5 : 2] @ w[0, 0] for k in range(2)]),
    ),
    "a kernel over gaps": (
        holes(1, 1, 2),
        lambda w, s: lax.conv_general_dilated(s[None, None], w, (1,), ((0, 0),), lhs_dilation=(2,))[
            0, 0
        ],
        lambda w, s: np.asarray([s[(k + 1) // 2] * w[0, 0, k % 2] for k in range(10)]),
    ),
    "kernels of groups": (
        holes(4, 1, 2),
        lambda w, s: lax.conv_general_dilated(
            s.reshape(1, 2, 3), w, (1,), "VALID", feature_group_count=2
        )[0],
        lambda w, s: np.stack([np.correlate(s.reshape(2, 3)[k // 2], w[k, 0]) for k in range(4)]),
    ),
    "a kernel of two axes": (
        holes(2, 2, 1, 2),
        lambda w, s: lax.conv_general_dilated(
            s.reshape(1, 2, 3, 1), w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )[0, 0],
        lambda w, s: np.einsum(
            "hkw,hwo->ko",
            np.lib.stride_tricks.sliding_window_view(s.reshape(2, 3), 2, 1),
            w[:, :, 0],
        ),
    ),
    "declared": (holes(N), lambda w, s: joulax.synapses(w * s), lambda w, s: w * s),
}
OPTIONS = {
    "neurons": dict(neurons=True),
    "steps": dict(steps=STEPS),
    "both": dict(neurons=True, steps=STEPS),
}


def over_time(p, xs, time, sites):
    """Every site in every step."""
    layers = lambda p, x: {k: jnp.tanh(sites[k][1](p[k], x)) for k in sites}
    if time == "batch":
        return jax.vmap(layers, (None, 0))(p, xs)
    decay = 1.0 if time == "scan" else 0.5
    learned = lambda p: p if time == "scan" else jax.tree.map(lambda w: decay * w, p)
    return lax.scan(lambda p, x: (learned(p), layers(p, x)), p, xs)[1]


def by_hand(weight, hand, xs):
    """Operations of every neuron in every step: of what there is, and at every position."""
    there, ones = (np.asarray(weight) != 0).astype(float), np.ones(np.shape(weight))
    met = np.stack([hand(there, (x != 0).astype(float)) for x in xs])
    every = np.stack([hand(ones, np.ones(x.shape)) for x in xs])
    return met, every


def kept(values, options):
    """The axes that are kept of (steps, *neurons)."""
    values = values if options.get("steps") else values.sum(0, keepdims=True)
    values = values.reshape(len(values), -1)
    values = values if options.get("neurons") else values.sum(1, keepdims=True)
    return values.ravel()


def check_sites(sites, kind, time, options):
    """What arrives, by neuron and by step."""
    p, xs = {k: w for k, (w, _, _) in sites.items()}, S if kind == "ac" else A
    model = lambda p, xs: over_time(p, xs, time, sites)
    counted = joulax.count(model, weights=0, spikes=1 if kind == "ac" else None, **options)
    _, account = counted(p, jnp.asarray(xs))
    wrong = {}
    for k, (weight, _, hand) in sites.items():
        met, every = by_hand(weight, hand, xs)
        want = {kind: met, f"dense_{kind}": every, "updates": np.ones_like(every)}
        want = {f: kept(v, options) for f, v in want.items()}
        found = {f: np.asarray(getattr(account[k], f)).ravel() for f in want}
        wrong |= {
            (k, f): (found[f], want[f]) for f in want if not np.array_equal(found[f], want[f])
        }
    assert not wrong


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize(
    ("kind", "time", "option"),
    [
        ("ac", "scan", "both"),
        ("mac", "batch", "both"),
        ("ac", "learning", "neurons"),
    ],
)
def test_a_site(kind, time, option, site):
    check_sites({site: SITES[site]}, kind, time, OPTIONS[option])
