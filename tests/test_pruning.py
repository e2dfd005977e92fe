"""A slope for the existence of synapses: exact counts, the gradient of a smoothed count."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

WIDTH = 0.1
W = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))
X = jnp.array([1.0, 0.0, 1.0, 1.0])


def ac(w, **options):
    return joulax.count(lambda w, x: x @ w, weights=0, spikes=1, **options)(w, X)[1]["w"].ac


def test_counts_stay_exact():
    w = W.at[0, 0].set(0.0)
    assert float(ac(w, pruning=WIDTH)) == float(ac(w)) == 8.0


def test_slope_is_events_times_the_bump():
    """d/dw of Σ events · w² / (w² + width²); no slope without the option, none where w = 0."""
    w = np.asarray(W.at[1, 1].set(0.0))
    expected = np.asarray(X)[:, None] * 2 * w * WIDTH**2 / (w**2 + WIDTH**2) ** 2
    np.testing.assert_allclose(jax.grad(ac)(jnp.asarray(w)), 0 * w)
    found = jax.grad(lambda w: ac(w, pruning=WIDTH))(jnp.asarray(w))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def smooth(kernel, x, width):
    """The count of a convolution with every weight as far there as the bump says."""
    there = kernel**2 / (kernel**2 + width**2)
    return jax.lax.conv(x, there, (1, 1), "SAME").sum()


def test_convolution_inside_a_scan_against_finite_differences():
    rng = np.random.default_rng(1)
    kernel = jnp.asarray(rng.normal(size=(2, 1, 3, 3)).astype(np.float32))
    xs = jnp.asarray((rng.random((3, 1, 1, 5, 5)) < 0.4).astype(np.float32))

    def model(kernel, xs):
        def step(v, x):
            v = 0.5 * v + jax.lax.conv(x, kernel, (1, 1), "SAME")
            return v, v > 1.0

        return jax.lax.scan(step, jnp.zeros((1, 2, 5, 5)), xs)[1]

    counted = joulax.count(model, weights=0, spikes=1, pruning=0.5)
    slope = jax.grad(lambda k: counted(k, xs)[1]["kernel"].ac)(kernel)
    total = lambda k: sum(float(smooth(k, x, 0.5)) for x in xs)
    for place in [(0, 0, 0, 0), (1, 0, 1, 2)]:
        ends = [total(kernel.at[place].add(d)) for d in (0.01, -0.01)]
        np.testing.assert_allclose(slope[place], (ends[0] - ends[1]) / 0.02, rtol=2e-3)


def test_gradient_of_an_energy_through_a_module():
    """The energy of a synapse is the events it would meet: unused inputs have no slope."""
    layer = eqx.nn.Linear(4, 3, use_bias=False, key=jax.random.key(0))
    chip = joulax.hardware("45nm")

    def energy(layer):
        account = joulax.count(layer, spikes=0, pruning=WIDTH)(X)[1]
        return joulax.energy(account, chip).total

    slope = eqx.filter_grad(energy)(layer).weight
    assert np.all(slope[:, 1] == 0)
    assert np.all(slope[:, [0, 2, 3]] != 0)


@pytest.mark.parametrize("width", [0, -1.0, float("inf")])
def test_width_must_be_positive(width):
    with pytest.raises(ValueError, match="pruning= takes a width"):
        joulax.count(jnp.tanh, pruning=width)
