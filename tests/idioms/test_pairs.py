"""Spikes × spikes written by hand: the same record as the contraction would have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .common import check

RNG = np.random.default_rng(5)
Q, K, V = (jnp.asarray(RNG.random((n, 7)) < 0.5, jnp.float32) for n in (5, 3, 5))
W = {name: jnp.asarray(RNG.normal(size=(7, 7)), jnp.float32) for name in "abc"}
BATCH = jnp.asarray(RNG.random((4, 5, 7)) < 0.4, jnp.float32)
CROSSED = float(jnp.einsum("id,jd->", Q, K))
ALIGNED = float(jnp.sum(Q * V))


def count(f, *args, **options):
    """The account of a program, whose results are unchanged."""
    out, account = joulax.count(f, **options)(*args)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), out, f(*args))
    return account


def fire(x, name, weights):
    return (x @ weights[name] > 0.1).astype(jnp.float32)


def only(account):
    """The one record of a product of spikes."""
    (name,) = set(account.layers) - set(W)
    return account[name]


CROSSES = {
    "product": lambda q, k: (q[:, None] * k[None]).sum(-1),
    "transposed": lambda q, k: (q.T[:, :, None] * k.T[:, None]).sum(0),
    "choice": lambda q, k: jnp.where(q[:, None] > 0, k[None], 0.0).sum(-1),
    "logical": lambda q, k: ((q[:, None] > 0) & (k[None] > 0)).sum(-1),
    "mean": lambda q, k: (q[:, None] * k[None]).mean(-1),
    "scaled": lambda q, k: (q[:, None] * k[None] * 0.5).sum(-1),
    "reshaped": lambda q, k: (q[:, None] * k[None]).reshape(15, 7).sum(1),
    "mapped": lambda q, k: jax.vmap(lambda one: (one[None] * k).sum(-1))(q),
}


@pytest.mark.parametrize("form", CROSSES)
def test_every_element_meets_several(form):
    account = count(CROSSES[form], Q, K, spikes=(0, 1))
    (record,) = account.values()
    check(record, ac=CROSSED, dense_ac=5 * 3 * 7)


def test_a_mask_of_parameters_takes_products_away():
    mask = jnp.tril(jnp.ones((5, 5), jnp.float32))
    causal = lambda q, v: (q[:, None] * v[None] * mask[..., None]).sum(-1)
    record = only(count(causal, Q, V, spikes=(0, 1)))
    check(record, ac=float(jnp.sum(jnp.tril(Q @ V.T))), dense_ac=5 * 5 * 7)


def test_graded_events_are_multiplied():
    twice = lambda q, k: (2 * q[:, None] * k[None]).sum(-1)
    several = lambda q, k: ((q + q)[:, None] * k[None]).sum(-1)
    assert float(only(count(twice, Q, K, spikes=(0, 1))).ac) == CROSSED
    record = only(count(several, Q, K, spikes=(0, 1)))
    assert (float(record.ac), float(record.ac_graded)) == (2 * CROSSED, CROSSED)


SCORES = {
    "by hand": lambda q, k: (q[:, None] * k[None]).sum(-1),
    "contraction": lambda q, k: jnp.einsum("id,jd->ij", q, k),
}


def attention(scores):
    def run(weights, x):
        q, k, v = (fire(x, name, weights) for name in "abc")
        return scores(q, k) @ v

    return run


def numbers(account):
    """The fields of all records, whatever the names of products are."""
    named = {n: r for n, r in account.items() if n in W}
    others = [r for n, r in account.items() if n not in W]
    return jax.tree.map(lambda x: np.asarray(x).tolist(), (named, others))


@pytest.mark.parametrize("mapped", [False, True])
def test_attention_by_hand_is_attention(mapped):
    """Scores are analog, as behind a contraction; samples are samples."""
    x = BATCH if mapped else BATCH[0]
    found = []
    for scores in SCORES.values():
        f = attention(scores)
        g = (lambda w, x, f=f: jax.vmap(lambda x: f(w, x))(x)) if mapped else f
        found.append(numbers(count(g, W, x, weights=0, spikes=1)))
    assert found[0] == found[1]
    assert len(found[0][1]) == 2


COLUMNS = {
    "by hand": lambda k, v: (k * v).sum(0),
    "contraction": lambda k, v: jnp.einsum("nd,nd->d", k, v),
}


@pytest.mark.parametrize("form", COLUMNS)
def test_a_gate_of_columns(form):
    """The attention of Spike-driven Transformer: keys × values, summed over tokens, fire a gate."""

    def gate(weights, x):
        q, k, v = (fire(x, name, weights) for name in "abc")
        return q * (COLUMNS[form](k, v) > 1.0)

    x = BATCH[0]
    k, v = fire(x, "b", W), fire(x, "c", W)
    gates = (k * v).sum(0) > 1
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        record = only(count(gate, W, x, weights=0, spikes=1))
    fired = float(gates.sum())
    fields = dict(ac=float((k * v).sum()), dense_ac=35, neurons=7, updates=7, spikes=fired)
    check(record, **fields)


def test_pools_of_pairs_stay_events():
    """What two populations fire together, summed: operations of its own, and events further on."""

    def pooled(weights, x):
        both = fire(x, "a", weights) * fire(x, "b", weights)
        return both.mean(0) @ weights["c"]

    x = BATCH[0]
    both = fire(x, "a", W) * fire(x, "b", W)
    account = count(pooled, W, x, weights=0, spikes=1)
    check(only(account), ac=float(both.sum()), dense_ac=35)
    assert float(account["c"].ac) == 7 * float(both.sum())


def within(v):
    return (v > 0.1).astype(jnp.float32) * (v < 0.5)


MASKS = {
    "an argument": lambda w, x, m: (fire(x, "a", w) * m[:, None]).sum(0),
    "a complement": lambda w, x, m: (fire(x, "a", w) * (1 - x)).sum(0),
    "a comparison of data": lambda w, x, m: (fire(x, "a", w) * (x.sum(1) > 1)[:, None]).sum(0),
    "places": lambda w, x, m: (fire(x, "a", w) * (jnp.arange(7) < m.sum())).sum(0),
    "of the same neurons": lambda w, x, m: within(x @ w["a"]).sum(0),
    "a sum of rows": lambda w, x, m: fire(x, "a", w).sum(0) * x[0],
}


@pytest.mark.parametrize("mask", MASKS)
def test_masks_are_no_products(mask):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        account = count(MASKS[mask], W, BATCH[0], BATCH[0, :, 0] > 0, weights=0, spikes=1)
    products = [n for n, r in account.items() if n not in W and r.ac is not None]
    assert not products
