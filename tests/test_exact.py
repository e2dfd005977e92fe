"""Sums of counts: integers in floats, exact in value and rest, with slope one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax._count.exact import LIMIT, Sum, digits, larger, over, smaller, table


def integers(count):
    """A count as integers."""
    rest = 0 if count.rest is None else np.asarray(count.rest, np.float64)
    return (np.asarray(count.value, np.float64) + rest).astype(np.int64)


@pytest.mark.parametrize("steps", [1, 2, 3, 100, 4095, 4096, 4097, 20_000])
@pytest.mark.parametrize("most", [2, 300, 2**24])
def test_sums_over_steps_are_exact(steps, most):
    counts = np.random.default_rng(steps).integers(0, most, (steps, 3)).astype(np.float32)
    found = over(0, Sum(jnp.asarray(counts), None, float(most - 1)), steps)
    truth = counts.astype(np.int64).sum(0)
    assert (integers(found) == truth).all()
    assert (np.asarray(found.value) == truth.astype(np.float32)).all()  # correctly rounded
    turned = over(1, Sum(jnp.asarray(counts.T), None, float(most - 1)), steps)
    assert (integers(turned) == truth).all()


@pytest.mark.parametrize("most", [2, 300, 2**24])
def test_the_slope_of_a_sum_is_one(most):
    sums = lambda x: over(0, Sum(x, None, float(most - 1)), 100).value.sum()
    slope = jax.grad(sums)(jnp.ones((100, 2), jnp.float32))
    assert (np.asarray(slope) == 1).all()


@pytest.mark.parametrize("fan_in", [1, 7, 784, 100_000])
def test_digits_put_together_are_the_count(fan_in):
    truth = np.array([0, 1, 2**24 + 1, 2**40 + 12345, 2**47 - 1])
    count = table(truth)
    found = digits(Sum(count.value, count.rest, 2.0**47), fan_in)
    assert sum(int(f) * np.asarray(d).astype(np.int64) for f, d, _ in found).tolist() == (
        truth.tolist()
    )
    for _, digit, bound in found:  # a product of as many synapses loses nothing
        assert bound * fan_in <= LIMIT
        assert np.abs(np.asarray(digit)).max() <= bound


def test_digits_have_the_slope_of_the_count():
    total = lambda x: sum(f * d.sum() for f, d, _ in digits(Sum(x, None, 2.0**20), 1000))
    slope = jax.grad(total)(jnp.asarray([3.0, 70_000.0], jnp.float32))
    assert np.asarray(slope).tolist() == [1.0, 1.0]


def test_fan_outs_that_differ_are_added_exactly():
    """A strided convolution: most inputs reach nothing, the others much more than the mean."""
    rng = np.random.default_rng(0)
    x = (rng.random((40, 8, 64, 64)) < 0.99).astype(np.float32)
    kernel = jnp.ones((63, 8, 1, 1), x.dtype)
    conv = lambda w, x: jax.lax.conv_general_dilated(x, w, (2, 2), "VALID")
    account = joulax.count(conv, weights=0, spikes=1)(kernel, jnp.asarray(x))[1]
    (name,) = account
    assert account.exact()[name]["ac"] == int(x[:, :, ::2, ::2].sum()) * 63


LARGE = 4099  # more than 2²⁴ synapses, an odd number of them


@pytest.mark.parametrize(
    "program",
    [
        lambda w, x: (x @ w, (2 * x) @ w),
        lambda w, x: (x @ w[:, :2100], x @ w[:, 2100:]),
        lambda w, x: (x @ w, x @ w.T),
        lambda w, x: (x @ w[:, :2101], x @ w[:, 2000:]),
    ],
    ids=["twice", "halves", "both ways", "overlapping"],
)
def test_synapses_of_several_products_are_exact(program):
    weights = jnp.ones((LARGE, LARGE), jnp.int8)
    _, account = joulax.count(program, weights=0, spikes=1)(weights, jnp.ones(LARGE, jnp.int8))
    (record,) = account.exact().values()
    assert record["nonzero"] == record["synapses"] == LARGE**2


@pytest.mark.parametrize(("a", "b"), [(2**24, 2**24 + 1), (7, 7), (3, 2**40 + 1)])
def test_the_larger_and_the_smaller_of_two_counts(a, b):
    for first, second in ((a, b), (b, a)):
        counts = table([first]), table([second])
        assert integers(larger(*counts)).tolist() == [max(a, b)]
        assert integers(smaller(*counts)).tolist() == [min(a, b)]
