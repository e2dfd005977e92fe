"""Edges of the algebra of spikes: what is left of them behind limits, choices, scales, logic.

What arrives at weights is said in NumPy, of declared spikes and of the same spikes compared.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import f32

RNG = np.random.default_rng(9)
FANOUT = 3
N, POOL = 12, 3


S, T, U = (np.asarray(RNG.random(N) < 0.6, np.float32) for _ in range(3))
A, B = (np.asarray(RNG.normal(size=N), np.float32) for _ in range(2))
K = np.asarray(RNG.integers(0, 8, N), np.int32)
M = np.asarray(RNG.random(N) < 0.5, np.float32)
G, H = (np.asarray(RNG.uniform(0.5, 2, N), np.float32) for _ in range(2))
ANALOG = "analog"


def pool(x):
    """Up to three spikes."""
    return x.reshape(-1, POOL).sum(1)


def less(s, t):
    return pool(s) - pool(t)


def both(s, t):
    """Events of a difference of counts."""
    return pool(s) + pool(t)


def some(x):
    """One event where it is not zero."""
    return x != 0


def number(x):
    return x.astype(jnp.int32)


LIMITS = {
    "at most one": (lambda s, t: jnp.minimum(pool(s), 1.0), lambda s, t: some(pool(s))),
    "at most two": (lambda s, t: jnp.clip(pool(s), 0.0, 2.0), lambda s, t: np.minimum(pool(s), 2)),
    "at least none": (lambda s, t: jnp.maximum(pool(s), 0.0), lambda s, t: pool(s)),
    "at most none": (lambda s, t: jnp.minimum(pool(s), 0.0), lambda s, t: 0 * pool(s)),
    "negative, at least none": (lambda s, t: jnp.maximum(-pool(s), 0.0), lambda s, t: 0 * s),
    "negative, at least minus one": (
        lambda s, t: jnp.maximum(-pool(s), -1.0),
        lambda s, t: some(pool(s)),
    ),
    "negative, at most none": (lambda s, t: jnp.minimum(-pool(s), 0.0), lambda s, t: pool(s)),
    "negative, at least minus two": (
        lambda s, t: jnp.clip(-pool(s), -2.0, 0.0),
        lambda s, t: np.minimum(pool(s), 2),
    ),
    "one of either sign": (
        lambda s, t: jnp.clip(less(s, t), -1.0, 1.0),
        lambda s, t: some(less(s, t)),
    ),
    "one below": (lambda s, t: jnp.clip(less(s, t), -1.0, 0.0), lambda s, t: less(s, t) < 0),
    "one above": (lambda s, t: jnp.clip(less(s, t), 0.0, 1.0), lambda s, t: less(s, t) > 0),
    "clamped": (lambda s, t: lax.clamp(f32(-1), less(s, t), f32(1)), lambda s, t: some(less(s, t))),
    "clamped below": (
        lambda s, t: lax.clamp(f32(-1), less(s, t), f32(0)),
        lambda s, t: less(s, t) < 0,
    ),
    "at least minus one": (
        lambda s, t: jnp.maximum(less(s, t), -1.0),
        lambda s, t: np.where(less(s, t) >= -1, both(s, t) * some(less(s, t)), 1),
    ),
    "what is above": (
        lambda s, t: jax.nn.relu(less(s, t)),
        lambda s, t: both(s, t) * (less(s, t) > 0),
    ),
    "halves up to one": (
        lambda s, t: jnp.clip(0.5 * pool(s), 0.0, 1.0),
        lambda s, t: np.minimum(pool(s), 2),
    ),
    "halves up to one half": (
        lambda s, t: jnp.clip(0.5 * pool(s), 0.0, 0.5),
        lambda s, t: some(pool(s)),
    ),
    "one after another": (
        lambda s, t: jnp.minimum(jnp.maximum(jnp.minimum(pool(s), 3.0), -1.0), 1.0),
        lambda s, t: some(pool(s)),
    ),
    "the other way round": (
        lambda s, t: jnp.maximum(jnp.minimum(less(s, t), 1.0), 0.0),
        lambda s, t: less(s, t) > 0,
    ),
    "around a half": (lambda s, t: lax.clamp(f32(0.5), pool(s), f32(2)), ANALOG),
    "at least a half": (lambda s, t: jnp.maximum(pool(s), 0.5), ANALOG),
    "below zero": (lambda s, t: jnp.minimum(pool(s), -0.5), ANALOG),
    "either": (lambda s, t: jnp.maximum(s, t), lambda s, t: some(s + t)),
    "both": (lambda s, t: jnp.minimum(s, t), lambda s, t: s * t),
    "the larger of two scales": (lambda s, t: jnp.maximum(0.5 * s, t), lambda s, t: some(s + t)),
    "no less than a half": (lambda s, t: jnp.maximum(s, 0.5), ANALOG),
    "a difference above zero": (lambda s, t: jnp.maximum(s - t, 0.0), lambda s, t: s > t),
    "a difference below zero": (lambda s, t: jnp.minimum(s - t, 0.0), lambda s, t: s < t),
    "nothing is left": (lambda s, t: lax.clamp(f32(0), s, f32(0)), lambda s, t: 0 * s),
}
FUNCTIONS = {
    "negative counts": (lambda s, t: -pool(s), lambda s, t: pool(s)),
    "negative twice": (lambda s, t: jax.nn.relu(-lax.neg(pool(s))), lambda s, t: pool(s)),
    "a difference": (less, both),
    "its magnitude": (lambda s, t: jnp.abs(less(s, t)), both),
    "counts rounded": (lambda s, t: jnp.floor(pool(s)), lambda s, t: pool(s)),
    "means rounded": (lambda s, t: jnp.floor(0.5 * pool(s)), ANALOG),
    "halves up": (lambda s, t: jnp.ceil(0.5 * s), lambda s, t: s),
    "halves down": (lambda s, t: jnp.floor(0.5 * s), lambda s, t: 0 * s),
    "halves to even": (lambda s, t: jnp.round(0.5 * s), lambda s, t: 0 * s),
    "halves away from zero": (
        lambda s, t: lax.round(0.5 * s, lax.RoundingMethod.AWAY_FROM_ZERO),
        lambda s, t: s,
    ),
    "negative halves away from zero": (
        lambda s, t: lax.round(-0.5 * s, lax.RoundingMethod.AWAY_FROM_ZERO),
        lambda s, t: s,
    ),
    "the sign of counts": (lambda s, t: jnp.sign(pool(s)), lambda s, t: some(pool(s))),
    "the sign of halves": (lambda s, t: jnp.sign(0.5 * pool(s)), lambda s, t: some(pool(s))),
    "the sign of a difference": (lambda s, t: jnp.sign(less(s, t)), lambda s, t: some(less(s, t))),
    "above the sign of a difference": (
        lambda s, t: jax.nn.relu(jnp.sign(less(s, t))),
        lambda s, t: less(s, t) > 0,
    ),
    "root of counts": (lambda s, t: jnp.sqrt(pool(s)), lambda s, t: pool(s)),
    "counts to the power of none": (lambda s, t: lax.integer_pow(pool(s), 0), ANALOG),
    "spikes to the power of none": (lambda s, t: lax.integer_pow(s, 0), lambda s, t: 1 + 0 * s),
    "of a barrier": (
        lambda s, t: lax.optimization_barrier((t, 0.5 * pool(s)))[1],
        lambda s, t: pool(s),
    ),
    "of the other side of it": (
        lambda s, t: lax.optimization_barrier((0.5 * both(s, t), s))[0],
        both,
    ),
    "copied": (lambda s, t: jnp.array(0.5 * pool(s), copy=True), lambda s, t: pool(s)),
    "declared again": (lambda s, t: joulax.spikes(pool(s)), lambda s, t: pool(s)),
}
SUMS = {
    "or": (lambda s, t: s + t - s * t, lambda s, t: some(s + t)),
    "three": (lambda s, t: (s + t) + s * t, lambda s, t: s + t + s * t),
    "complement": (lambda s, t: 1.0 - s, lambda s, t: 1 - s),
    "less one": (lambda s, t: s - 1.0, lambda s, t: 1 - s),
    "minus one and": (lambda s, t: -1.0 + s, lambda s, t: 1 - s),
    "twice, less one": (lambda s, t: 2.0 * s - 1.0, lambda s, t: 1 + 0 * s),
    "one more": (lambda s, t: s + 1.0, ANALOG),
    "two less": (lambda s, t: 2.0 - s, ANALOG),
    "a half less": (lambda s, t: s - 0.5, ANALOG),
    "nothing more": (lambda s, t: s + 0.0, lambda s, t: s),
    "nothing but": (lambda s, t: 0.0 - s, lambda s, t: s),
    "counts and zeros": (
        lambda s, t: jnp.zeros(N // POOL, jnp.float32) + pool(s),
        lambda s, t: pool(s),
    ),
    "not both": (lambda s, t: (1.0 - s) * t, lambda s, t: (1 - s) * t),
    "neither": (lambda s, t: (1.0 - s) * (1.0 - t), lambda s, t: (1 - s) * (1 - t)),
    "itself taken away": (lambda s, t: s - s, lambda s, t: 0 * s),
    "one of two": (lambda s, t: s + t - 2.0 * s * t, lambda s, t: s != t),
    "at one scale": (lambda s, t: 0.5 * s + 0.5 * t, lambda s, t: s + t),
    "at one scale, divided": (lambda s, t: 0.5 * s + t / 2.0, lambda s, t: s + t),
    "at two scales": (lambda s, t: 0.5 * s + 0.25 * t, ANALOG),
    "at two scales, divided": (lambda s, t: s / 2.0 + t / 4.0, ANALOG),
    "at opposite scales": (lambda s, t: 0.5 * s + -0.5 * t, lambda s, t: s + t),
    "both negative": (lambda s, t: -s - t, lambda s, t: s + t),
    "three times": (lambda s, t: 3.0 * s + 3.0 * t, lambda s, t: s + t),
    "at one gain": (lambda s, t: s * G + t * G, lambda s, t: s + t),
    "divided by one": (lambda s, t: s / G + t / G, lambda s, t: s + t),
    "at two gains": (lambda s, t: s * G + t * H, ANALOG),
    "one of them gained": (lambda s, t: s * G + t, ANALOG),
    "at a number times a gain": (lambda s, t: (2.0 * s) * G + (2.0 * t) * G, lambda s, t: s + t),
    "at other numbers times it": (lambda s, t: (2.0 * s) * G + (3.0 * t) * G, ANALOG),
}
SCALES = {
    "nothing": (lambda s, t: s * 0.0, lambda s, t: 0 * s),
    "itself": (lambda s, t: s * 1.0, lambda s, t: s),
    "minus": (lambda s, t: s * -1.0, lambda s, t: s),
    "twice": (lambda s, t: 2.0 * s, lambda s, t: s),
    "an eighth of counts": (lambda s, t: pool(s) / 8.0, lambda s, t: pool(s)),
    "an eighth, and back": (lambda s, t: jax.nn.relu((pool(s) / 8.0) * 8.0), lambda s, t: pool(s)),
    "masked": (lambda s, t: s * M, lambda s, t: s * M),
    "masked counts": (lambda s, t: pool(s) * M[:4], lambda s, t: pool(s) * M[:4]),
    "masked halves": (lambda s, t: (0.5 * pool(s)) * M[:4], lambda s, t: pool(s) * M[:4]),
    "gained": (lambda s, t: s * G, lambda s, t: s),
    "gained where masked": (lambda s, t: s * (G * M), lambda s, t: s * M),
    "counts gained and masked": (lambda s, t: pool(s) * (G * M)[:4], lambda s, t: pool(s) * M[:4]),
    "gained from the left": (lambda s, t: (G * M)[:4] * pool(s), lambda s, t: pool(s) * M[:4]),
    "divided": (lambda s, t: s / G, lambda s, t: s),
    "counts divided": (lambda s, t: pool(s) / G[:4], lambda s, t: pool(s)),
    "a spike of each": (lambda s, t: s * t, lambda s, t: s * t),
    "counts of one gated": (lambda s, t: pool(s) * t[:4], lambda s, t: pool(s) * t[:4]),
    "counts times counts": (lambda s, t: pool(s) * pool(t), lambda s, t: pool(s) * pool(t)),
    "halves gated": (lambda s, t: (0.5 * pool(s)) * t[:4], lambda s, t: pool(s) * t[:4]),
    "halves times halves": (
        lambda s, t: (0.5 * pool(s)) * (0.5 * pool(t)),
        lambda s, t: pool(s) * pool(t),
    ),
    "one row for all": (
        lambda s, t: (s[:1] * jnp.asarray(M)).astype(s.dtype),
        lambda s, t: s[0] * M,
    ),
}  # fmt: skip
TRUTHS = {
    "any": (lambda s, t: pool(s) > 0, lambda s, t: some(pool(s))),
    "any, from the left": (lambda s, t: 0.0 < pool(s), lambda s, t: some(pool(s))),
    "not none": (lambda s, t: pool(s) != 0, lambda s, t: some(pool(s))),
    "none": (lambda s, t: pool(s) == 0, lambda s, t: pool(s) == 0),
    "two": (lambda s, t: pool(s) > 1, lambda s, t: pool(s) > 1),
    "any half": (lambda s, t: 0.5 * pool(s) > 0, lambda s, t: some(pool(s))),
    "not below": (lambda s, t: s >= 0, lambda s, t: 1 + 0 * s),
    "above one": (lambda s, t: s > 1, lambda s, t: 0 * s),
    "below": (lambda s, t: s < 0.5, lambda s, t: 1 - s),
    "at most": (lambda s, t: s <= 0, lambda s, t: 1 - s),
    "equal": (lambda s, t: s == t, lambda s, t: s == t),
    "not equal": (lambda s, t: s != t, lambda s, t: s != t),
    "zero": (lambda s, t: s == 0, lambda s, t: 1 - s),
    "no number": (lambda s, t: jnp.isnan(s), lambda s, t: 0 * s),
    "more of one": (lambda s, t: s > t, lambda s, t: s > t),
    "and": (lambda s, t: (s > 0) & (t > 0), lambda s, t: s * t),
    "or": (lambda s, t: (s > 0) | (t > 0), lambda s, t: some(s + t)),
    "either": (lambda s, t: (s > 0) ^ (t > 0), lambda s, t: s != t),
    "not": (lambda s, t: ~(s > 0), lambda s, t: 1 - s),
    "and a mask": (lambda s, t: (s > 0) & (M > 0), lambda s, t: s * M),
    "whole numbers of both": (lambda s, t: number(s) & number(t), lambda s, t: s * t),
    "whole numbers of any": (lambda s, t: number(s) | number(t), lambda s, t: some(s + t)),
    "whole numbers of one": (lambda s, t: number(s) ^ number(t), lambda s, t: s != t),
    "a bit of them": (lambda s, t: number(s) & 1, lambda s, t: s),
    "as truths": (lambda s, t: pool(s).astype(bool), lambda s, t: some(pool(s))),
    "as whole numbers": (lambda s, t: number(2.0 * s), lambda s, t: s),
    "halves as whole numbers": (lambda s, t: number(0.5 * s), ANALOG),
}
CHOICES = {
    "or nothing": (lambda s, t: jnp.where(A > 0, s, 0.0), lambda s, t: s * (A > 0)),
    "nothing, or": (lambda s, t: jnp.where(A > 0, 0.0, s), lambda s, t: s * (A <= 0)),
    "one or another": (lambda s, t: jnp.where(A > 0, s, t), lambda s, t: np.where(A > 0, s, t)),
    "or one": (lambda s, t: jnp.where(A > 0, s, 1.0), lambda s, t: np.where(A > 0, s, 1)),
    "gates": (lambda s, t: jnp.where(s > 0, t, 0.0), lambda s, t: s * t),
    "gates the other": (lambda s, t: jnp.where(s > 0, 0.0, t), lambda s, t: (1 - s) * t),
    "one where it is": (lambda s, t: jnp.where(s > 0, 1.0, t), lambda s, t: some(s + t)),
    "one where it is not": (lambda s, t: jnp.where(s > 0, t, 1.0), lambda s, t: s * t + 1 - s),
    "a half where it is not": (lambda s, t: jnp.where(s > 0, t, 0.5), lambda s, t: s * t + 1 - s),
    "smaller where it is not": (lambda s, t: jnp.where(s > 0, t, 0.5 * t), lambda s, t: t),
    "a number": (lambda s, t: jnp.where(s > 0, 0.5, 0.0), lambda s, t: s),
    "a number where it is not": (lambda s, t: jnp.where(s > 0, 0.0, 0.5), lambda s, t: 1 - s),
    "plus and minus one": (lambda s, t: jnp.where(s > 0, 1.0, -1.0), lambda s, t: 1 + 0 * s),
    "two numbers": (lambda s, t: jnp.where(s > 0, 0.5, 0.25), ANALOG),
    "two numbers, or none": (
        lambda s, t: jnp.where(t > 0, jnp.where(s > 0, 0.5, 0.25), 0.0),
        lambda s, t: t,
    ),
    "the same number": (lambda s, t: jnp.where(s > 0, t, t), lambda s, t: t),
    "always": (lambda s, t: jnp.where(s >= 0, t, s), lambda s, t: t),
    "never": (lambda s, t: jnp.where(s < 0, t, s), lambda s, t: s),
    "no numbers mended": (lambda s, t: jnp.where(jnp.isnan(s), 0.0, t), lambda s, t: t),
    "counts, or none": (
        lambda s, t: jnp.where(t[:4] > 0, pool(s), 0.0),
        lambda s, t: pool(s) * t[:4],
    ),
    "none, or counts": (
        lambda s, t: jnp.where(t[:4] > 0, 0.0, pool(s)),
        lambda s, t: pool(s) * (1 - t[:4]),
    ),
    "counts, or counts": (
        lambda s, t: jnp.where(A[:4] > 0, pool(s), pool(t)),
        lambda s, t: np.where(A[:4] > 0, pool(s), pool(t)),
    ),
    "halves, or none": (
        lambda s, t: jnp.where(A[:4] > 0, 0.5 * pool(s), 0.0),
        lambda s, t: pool(s) * (A[:4] > 0),
    ),
    "halves, or counts": (
        lambda s, t: jnp.where(t[:4] > 0, 0.5 * pool(s), pool(t)),
        lambda s, t: np.where(t[:4] > 0, pool(s), pool(t)),
    ),
    "one of three": (
        lambda s, t: lax.select_n(K % 3, s, t, s * t),
        lambda s, t: np.choose(K % 3, [s, t, s * t]),
    ),
    "one of three, by spikes": (
        lambda s, t: lax.select_n(number(s + t), t, s * t, t),
        lambda s, t: np.choose(np.int32(s + t), [t, s * t, t]),
    ),
    "one of three numbers": (
        lambda s, t: lax.select_n(number(s + t), 0 * G, 0 * G + 1, 0 * G - 1),
        lambda s, t: some(s + t),
    ),
    "a mask chooses": (lambda s, t: jnp.where(M > 0, s, t), lambda s, t: np.where(M > 0, s, t)),
    "a mask chooses ones": (
        lambda s, t: jnp.where(M > 0, s, 1.0),
        lambda s, t: np.where(M > 0, s, 1),
    ),
}
TABLES = (LIMITS, FUNCTIONS, SUMS, SCALES, TRUTHS, CHOICES)
PROGRAMS = {k: made for table in TABLES for k, made in table.items()}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_arrives(name):
    f, hand = PROGRAMS[name]

    def model(p, s, t, a, b):
        compared = f(f32(a > 0.5), f32(b > 0.5))
        return f32(f(s, t)) @ p["declared"], f32(compared) @ p["compared"]

    with jax.numpy_dtype_promotion("standard"):
        values = np.asarray(jax.jit(f)(S, T)).astype(np.float32)
        p = {k: f32(RNG.uniform(1, 2, (len(values), FANOUT))) for k in ("declared", "compared")}
        outs, account = joulax.count(model, weights=0, spikes=(1, 2))(p, S, T, S, T)
    kind, want = ("mac", values != 0) if hand is ANALOG else ("ac", hand(S, T))
    for k, out in zip(p, outs, strict=True):
        np.testing.assert_allclose(out, values @ p[k], rtol=1e-5)
        found = {n: getattr(account[k], n) for n in ("ac", "mac")}
        found = {n: float(v) / FANOUT for n, v in found.items() if v is not None}
        assert found == {kind: float(np.sum(want))}, k
