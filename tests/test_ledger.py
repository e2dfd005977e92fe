"""`Ledger`: exact, associative, in any order."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import joulax
from joulax import Account, Activity, Ledger

from .test_count import BATCH, COUNTED, X


def account(ac, updates=0.0):
    ac = jnp.asarray(ac, jnp.float32)
    return Account(
        {"a": Activity(ac=ac, ac_graded=ac, updates=jnp.full(ac.shape, updates))},
        COUNTED(X)[1].convention,
        ("a",),
    )


EMPTY = Ledger.init(account(0.0))


def test_beyond_the_end_of_float32():
    """2²⁴ + 1 ones: a float stops at 2²⁴."""
    ledger = EMPTY.add(account(2.0**24)).add(account(1.0))
    assert ledger.totals()["a"]["ac"] == 2**24 + 1


@given(st.lists(st.integers(0, 2**24), min_size=1, max_size=8), st.randoms())
@settings(max_examples=30, deadline=None)
def test_exact_in_any_order(counts, random):
    together = EMPTY.add(account(counts))
    shuffled = list(counts)
    random.shuffle(shuffled)
    cut = random.randint(0, len(shuffled))
    left, right = EMPTY, EMPTY
    for c in shuffled[:cut]:
        left = left.add(account(float(c)))
    for c in shuffled[cut:]:
        right = right.add(account(float(c)))
    merged = left.merge(right)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(merged), strict=True)
    )
    assert together.totals()["a"]["ac"] == sum(counts)
    np.testing.assert_allclose(
        together.variance(), np.var(np.array(counts, np.float64)), rtol=1e-9, atol=1e-9
    )


def test_large_counts_to_two_to_the_48():
    ledger = EMPTY.add(account([2.0**46] * 3)).add(account(12345.0))
    assert ledger.totals()["a"]["ac"] == 3 * 2**46 + 12345
    assert float(ledger.value["a"].ac) == np.float32(3 * 2**46 + 12345)


def test_in_a_scan_and_under_jit():
    batch = jax.vmap(COUNTED)(BATCH)[1]
    ledger = Ledger.init(COUNTED(X)[1])
    carried = jax.jit(
        lambda ledger: jax.lax.scan(lambda c, x: (c.add(COUNTED(x)[1]), None), ledger, BATCH)[0]
    )(ledger)
    at_once = ledger.add(batch)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(carried), jax.tree.leaves(at_once), strict=True)
    )
    value = at_once.value
    for name in batch:
        assert float(value[name].ac) == float(batch[name].ac.sum())
        assert float(value[name].synapses) == float(batch[name].synapses[0])
        np.testing.assert_allclose(
            float(at_once.mean[name].updates), float(batch[name].updates.mean())
        )
    assert isinstance(joulax.energy(at_once.mean, joulax.hardware("loihi")).total, jax.Array)


def test_percentiles():
    counts = np.random.default_rng(0).integers(0, 1_000_000, 2000)
    ledger = EMPTY.add(account(counts))
    for q in (5, 50, 95):
        np.testing.assert_allclose(ledger.percentile(q), np.percentile(counts, q), rtol=0.02)
    assert EMPTY.add(account([0.0, 0.0])).percentile(50) == 0
    with pytest.raises(ValueError, match="between 0 and 100"):
        ledger.percentile(101)


def test_own_measure():
    ledger = Ledger.init(account(0.0), measure=lambda a: a["a"].updates).add(
        account([1.0, 1.0], 7.0)
    )
    assert ledger.variance() == 0
    np.testing.assert_allclose(ledger.percentile(50), 7, rtol=0.02)


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="accounts of one model"):
        EMPTY.add(COUNTED(X)[1])
    with pytest.raises(ValueError, match="ledgers of different models"):
        EMPTY.merge(Ledger.init(COUNTED(X)[1]))


PSUM = """
import functools, jax, jax.numpy as jnp, numpy as np, joulax
from jax.sharding import Mesh, PartitionSpec as P

w = jnp.ones((5, 8))
call = joulax.count(lambda x: w @ x, spikes=0)
x = (jax.random.uniform(jax.random.key(0), (16, 8)) < 0.5).astype(jnp.float32)
empty = joulax.Ledger.init(jax.eval_shape(call, x[0])[1])
mesh = Mesh(np.array(jax.devices()), "d")

@functools.partial(jax.shard_map, mesh=mesh, in_specs=P("d"), out_specs=P(), check_vma=False)
def sharded(x):
    return jax.lax.psum(empty.add(jax.vmap(call)(x)[1]), "d")

whole = empty.add(jax.vmap(call)(x)[1])
parts = sharded(x)
assert parts.totals() == whole.totals() and parts.variance() == whole.variance()
assert np.array_equal(parts.histogram, whole.histogram)
"""


def test_psum_over_devices():
    import os

    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
    }
    subprocess.run([sys.executable, "-c", PSUM], check=True, env=environment)


CONVENTION = joulax.count(lambda x: x @ jnp.ones((2, 2)), spikes=0)(jnp.ones(2))[1].convention


def _of(ac):
    layers = {"a": Activity(ac=jnp.asarray(ac, jnp.float32))}
    return joulax.Account(layers, CONVENTION, ("a",))


def test_many_samples_at_once():
    """70 000 samples of 65 535 operations: 4 587 450 000, beyond 32 bits of the lowest limb."""
    ledger = joulax.Ledger.init(_of(1.0)).add(_of(np.full(70_000, 65_535.0)))
    assert ledger.totals()["a"]["ac"] == 70_000 * 65_535


@pytest.mark.parametrize("odd", [np.nan, -1.0, 0.5, 2.0**48, np.inf])
def test_what_it_cannot_hold_stays_an_error(odd):
    ledger = joulax.Ledger.init(_of(1.0)).add(_of(odd)).add(_of(3.0))
    assert np.isnan(float(ledger.value["a"].ac))
    with pytest.raises(ValueError, match="cannot hold"):
        ledger.totals()


def test_a_sum_that_is_too_large_is_no_other_number():
    half = joulax.Ledger.init(_of(1.0)).add(_of(2.0**47))
    assert half.totals()["a"]["ac"] == 2**47
    for both in (half.add(_of(2.0**47)), half.merge(half)):
        assert np.isnan(float(both.value["a"].ac))


def test_unequal_leading_axes_are_refused():
    layers = {"a": joulax.activity(ac=np.ones(3)), "b": joulax.activity(ac=1.0)}
    account = joulax.Account(layers, CONVENTION, ("a", "b"))
    with pytest.raises(ValueError, match="one leading shape"):
        joulax.Ledger.init(account).add(account)
