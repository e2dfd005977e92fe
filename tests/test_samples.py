"""Loops that the samples of a `vmap` leave one by one: counted inside of `count` as outside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .idioms.common import numbers

RNG = np.random.default_rng(0)
P = {
    "a": jnp.asarray(RNG.normal(size=(6, 5)) * (RNG.random((6, 5)) < 0.8), jnp.float32),
    "r": jnp.asarray(RNG.normal(size=(5, 5)) * 0.5, jnp.float32),
    "o": jnp.asarray(RNG.normal(size=(5, 3)), jnp.float32),
}
Z, Y = jnp.zeros(5, jnp.float32), jnp.zeros(3, jnp.float32)


def spike(v):
    return (v > 0.3).astype(v.dtype)


def confident(p, x, n):
    """Spiking neurons until a readout is sure of something."""

    def go(c):
        t, _, _, y = c
        return (t < n) & (jnp.abs(y).max() < 4)

    def step(c):
        t, v, s, y = c
        v = 0.9 * v + x @ p["a"] + s @ p["r"] - 0.3 * s
        return t + 1, v, spike(v), y + spike(v) @ p["o"]

    return lax.while_loop(go, step, (0, Z, Z, Y))[3]


def counted_down(p, x, n):
    """`fori_loop` with a bound that is data."""

    def step(_, c):
        v, y = c
        v = 0.9 * v + x @ p["a"]
        return v - 0.3 * spike(v), y + spike(v) @ p["o"]

    return lax.fori_loop(0, n, step, (Z, Y))[1]


def squashed(p, x):
    return lambda v: jnp.tanh(v @ p["r"] + x @ p["a"])


def until(limit, step, start):
    """So many times the same step."""
    return lax.while_loop(lambda c: c[0] < limit, lambda c: (c[0] + 1, step(c[1])), (0, start))[1]


def scan_inside(p, x, n):
    f = squashed(p, x)
    return until(n, lambda v: lax.scan(lambda v, _: (f(v), None), v, None, length=3)[0], Z)


def loop_inside(p, x, n):
    return until(n, lambda v: until(n // 2 + 1, squashed(p, x), v), Z)


def inside_of_a_scan(p, x, n):
    step = lambda y, most: (confident(p, x * (y.sum() < 100), jnp.minimum(n, most)), None)
    return lax.scan(step, Y, jnp.arange(4))[0]


def work_in_the_test(p, x, n):
    go = lambda c: (c[0] < n) & ((c[1] @ p["o"]).sum() < 50)
    step = lambda c: (c[0] + 1, spike(x @ p["a"] + c[1] @ p["r"]))
    return lax.while_loop(go, step, (0, Z))[1]


def by_hand(p, x, n):
    return until(n, lambda v: v + (x[:, None] * p["a"]).sum(0), Z)


def branches(p, x, n):
    f, g = (lambda v: v @ p["r"]), squashed(p, x)
    step = lambda c: (c[0] + 1, lax.cond(c[0] % 2 == 0, f, g, c[1]))
    return lax.while_loop(lambda c: c[0] < n, step, (0, Z))[1]


PROGRAMS = (
    *(confident, counted_down, scan_inside, loop_inside, inside_of_a_scan, work_in_the_test),
    by_hand,
)
WHOLE = ("neurons", "synapses", "nonzero")  # of the network, not of a run
FIELDS = ("ac", "ac_graded", "mac", "dense_ac", "dense_mac", "spikes", "updates", *WHOLE)


def batch(samples):
    """Spikes, and how long each sample may run."""
    x = jnp.asarray(RNG.random((samples, 6)) < 0.5, jnp.float32)
    return x, jnp.asarray(RNG.permutation(samples) % 7, jnp.int32)


@pytest.fixture(autouse=True)
def loose():
    """Programs that mix counters with floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def pairs(f, samples, axis=0, **options):
    """Every field, summed over samples counted by themselves, and counted all at once."""
    x, n = batch(samples)
    given = x if axis == 0 else x.T
    mapped = jax.vmap(f, (None, axis, 0))
    out, account = joulax.count(mapped, weights=0, spikes=1, **options)(P, given, n)
    np.testing.assert_allclose(out, mapped(P, given, n), rtol=1e-5, atol=1e-5)
    each = [
        joulax.count(f, weights=0, spikes=1, **options)(P, *s)[1] for s in zip(x, n, strict=True)
    ]
    assert set(account) == set(each[0])
    for name, record in account.items():
        found = numbers(record)
        alone = [numbers(one[name]) for one in each]
        assert set(found) == set(alone[0])
        for field, value in found.items():
            values = [one[field] for one in alone]
            # of a sample that runs no step, nothing exists
            yield name, field, value, max(values) if field in WHOLE else sum(values)


@pytest.mark.parametrize("f", PROGRAMS)
@pytest.mark.parametrize("samples", [1, 4, 7])
def test_each_sample_is_counted_until_it_stops(f, samples):
    for name, field, found, expected in pairs(f, samples):
        assert found == expected, (name, field)


def test_samples_along_another_axis():
    for name, field, found, expected in pairs(confident, 4, axis=1):
        assert found == expected, (name, field)


def test_more_fields():
    for name, field, found, expected in pairs(confident, 4, touched=True, events=True):
        assert found == expected, (name, field)


@pytest.mark.parametrize("f", [confident, scan_inside, loop_inside])
def test_by_neuron(f):
    x, n = batch(4)
    count = joulax.count(f, weights=0, spikes=1, neurons=True)
    each = jax.vmap(count, (None, 0, 0))(P, x, n)[1]
    mapped = jax.vmap(f, (None, 0, 0))
    account = joulax.count(mapped, weights=0, spikes=1, neurons=True)(P, x, n)[1]
    for name, record in account.items():
        for field in FIELDS:
            if getattr(record, field) is None:
                continue
            found, alone = (np.asarray(getattr(a[name], field)) for a in (account, each))
            assert found.ndim > 0 or field in WHOLE
            np.testing.assert_array_equal(found, alone[0] if field in WHOLE else alone.sum(0))


def test_loops_in_loops_by_neuron_add_up_to_the_default():
    """One sample; the weight is known outside of both loops."""
    x, n = (a[-1] for a in batch(4))
    for f in (scan_inside, loop_inside):
        whole, parts = (
            joulax.count(f, weights=0, spikes=1, neurons=neurons)(P, x, n + 2)[1]["r"]
            for neurons in (False, True)
        )
        for field in ("mac", "dense_mac", "updates"):
            assert float(getattr(parts, field).sum()) == float(getattr(whole, field)) > 0


def test_both_branches_run_for_the_samples_that_go_on():
    """As everywhere inside of a `vmap`: a choice for each sample makes both."""
    x, n = batch(4)
    record = joulax.count(jax.vmap(branches, (None, 0, 0)), weights=0)(P, x, n)[1]["r"]
    assert float(record.dense_mac) == 2 * P["r"].size * float(n.sum())
    assert float(record.nonzero) == np.count_nonzero(P["r"]) <= float(record.synapses)


def test_under_jit_and_exact():
    x, n = batch(4)
    count = joulax.count(jax.vmap(confident, (None, 0, 0)), weights=0, spikes=1)
    eager, jitted = count(P, x, n)[1], jax.jit(count)(P, x, n)[1]
    assert eager.exact() == jitted.exact()


def steps_beside_each_other(p, x, n):
    """Four inner steps at once behind an inner loop."""
    f = squashed(p, x)
    inner = lambda v: lax.scan(lambda v, _: (f(v), v), v, None, length=4)
    return until(n, lambda v: v + (inner(v)[1] @ p["r"]).sum(0), Z)


def convolution(p, x, n):
    """Two images of a sample: JAX merges their axis with that of samples."""
    maps, kernel = x.reshape(2, 1, 3), p["a"][:5, :3].reshape(5, 1, 3)
    current = lambda: lax.conv_general_dilated(maps, kernel, (1,), "SAME")
    return until(n, lambda v: 0.9 * v + current(), jnp.zeros((2, 5, 3), jnp.float32))


def own_weights(p, x, n):
    """Each sample changes its weights in its own way."""
    step = lambda c: (c[0] + x @ c[1], c[1] + 0.1 * x[:, None] * c[0][None])
    return until(n, step, (Z, p["a"]))[0]


def fading_weights(p, x, n):
    """All samples change the weights alike, each until it stops."""
    step = lambda c: (c[0] + x @ c[1], c[1] * 0.9)
    return until(n, step, (Z, p["a"]))[0]


@pytest.mark.parametrize(
    ("f", "samples"),
    [
        (steps_beside_each_other, 4),
        (convolution, 4),
        (convolution, 3),
        (own_weights, 4),
        (confident, 5),
    ],
)
def test_samples_whose_axis_nobody_can_tell_are_refused(f, samples):
    """Another axis is as long, theirs is merged with another one, or they have weights each."""
    x, n = batch(samples)
    with pytest.raises(ValueError, match=r"jax\.vmap\(joulax\.count\(f\)\)"):
        joulax.count(jax.vmap(f, (None, 0, 0)), weights=0)(P, x, n)


@pytest.mark.parametrize("samples", [3, 5, 6])
def test_work_that_all_samples_share_is_refused(samples):
    """However many they are: fewer than neurons, as many, as many as inputs."""
    x, n = batch(samples)
    mapped = lambda p, x, n: jax.vmap(lambda n: counted_down(p, x, n))(n)
    with pytest.raises(ValueError, match=r"jax\.vmap\(joulax\.count\(f\)\)"):
        joulax.count(mapped, weights=0, spikes=1)(P, x[0], n)


def test_inner_steps_and_weights_that_samples_share_are_plain():
    for f in (steps_beside_each_other, fading_weights):
        for name, field, found, expected in pairs(f, 3):
            assert found == expected, (name, field)


def test_no_sample_at_all():
    """Nothing runs."""
    x, n = (a[:0] for a in batch(4))
    account = joulax.count(jax.vmap(counted_down, (None, 0, 0)), weights=0, spikes=1)(P, x, n)[1]
    assert all(not numbers(r).get(f) for r in account.values() for f in ("ac", "spikes"))


def test_what_cannot_be_told_apart_is_refused():
    x, n = batch(4)
    mapped = jax.vmap(confident, (None, 0, 0))
    with pytest.raises(ValueError, match=r"jax\.vmap\(joulax\.count\(f\)\)"):
        joulax.count(mapped, weights=0, spikes=1, steps=3)(P, x, n)
    twice = jax.vmap(mapped, (None, 0, 0))
    with pytest.raises(ValueError, match=r"jax\.vmap\(joulax\.count\(f\)\)"):
        joulax.count(twice, weights=0, spikes=1)(P, jnp.stack([x, x]), jnp.stack([n, n]))
