"""Encoders: spikes by hand, events counted, gradients that train them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax.encoders import Delta, FirstSpike, Rate

X = jnp.array([0.0, 0.3, 0.5, 1.0])


def test_rate_by_hand():
    """As many spikes as the value says, evenly spaced; a gain halves them."""
    np.testing.assert_array_equal(
        Rate(6)(X).T, [[0] * 6, [0, 1, 0, 0, 1, 0], [1, 0, 1, 0, 1, 0], [1] * 6]
    )
    assert Rate(10, gain=0.5)(X).sum(0).tolist() == [0, 2, 3, 5]


def test_first_spike_by_hand():
    """One spike at (1 − x) · 5, rounded; nothing at zero."""
    found = FirstSpike(6)(X)
    assert found.sum(0).tolist() == [0, 1, 1, 1]
    assert found.argmax(0).tolist() == [0, 4, 3, 0]
    assert FirstSpike(6, silent=0.4)(X).sum(0).tolist() == [0, 0, 1, 1]
    assert FirstSpike(6, gain=2.0)(X).argmax(0).tolist() == [0, 2, 0, 0]


def test_delta_by_hand():
    """References 0, 0, 0.5, 0.5, 0: events where the signal has moved by more than a half."""
    signal = jnp.array([[0.2], [0.6], [0.9], [-0.1], [-0.1]])
    assert Delta(0.5)(signal)[:, 0].tolist() == [0, 1, 0, -1, 0]


class Encoded(eqx.Module):
    encoder: eqx.Module
    layer: eqx.nn.Linear

    def __call__(self, x):
        return jax.vmap(self.layer)(self.encoder(x))


SIGNAL = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)).cumsum(0), jnp.float32)
CASES = [(Rate(6, 0.8), X), (FirstSpike(6, 0.8, 0.1), X), (Delta(0.7), SIGNAL)]


@pytest.mark.parametrize(("encoder", "x"), CASES, ids=lambda c: type(c).__name__)
def test_events_are_counted(encoder, x):
    """The layer behind is charged for every event, and the record of the encoder has them."""
    model = Encoded(encoder, eqx.nn.Linear(4, 3, key=jax.random.key(0)))
    events = float(jnp.abs(encoder(x)).sum())
    account = joulax.count(model)(x)[1]
    assert events > 0
    assert float(account["layer"].ac) == 3 * events
    (other,) = set(account) - {"layer"}
    assert float(account[other].spikes) == events
    assert account[other].updates is None


@pytest.mark.parametrize(("encoder", "x"), CASES, ids=lambda c: type(c).__name__)
def test_energy_has_a_gradient_by_the_encoder(encoder, x):
    model = Encoded(encoder, eqx.nn.Linear(4, 3, key=jax.random.key(0)))
    spent = lambda m: joulax.energy(joulax.count(m)(x)[1], "loihi", others=0).total
    slopes = jax.tree.leaves(eqx.filter_grad(spent)(model).encoder)
    assert slopes
    assert all(np.isfinite(s) and s != 0 for s in slopes[-1:])


def test_rate_slope_by_hand():
    """Σ over steps of d rate / d gain: 6 · 0.3 in expectation, for one synapse of 23.6 pJ."""
    layer = eqx.nn.Linear(1, 1, use_bias=False, key=jax.random.key(0))
    spent = lambda m: joulax.energy(joulax.count(m)(X[1:2])[1], "loihi", others=0).total
    slope = eqx.filter_grad(spent)(Encoded(Rate(6), layer)).encoder.gain
    np.testing.assert_allclose(slope, 6 * 0.3 * 23.6, rtol=1e-5)


def test_a_gain_learns_to_meet_a_budget():
    """Gradient descent on (E / 300 − 1)²: the rate code ends near 300 pJ."""
    layer = eqx.nn.Linear(4, 1, use_bias=False, key=jax.random.key(0))
    spent = lambda m: joulax.count(m)(X)[1]["layer"].ac * 23.6
    loss = lambda m: joulax.losses.target(spent(m), 300.0)

    def step(gain, _):
        slope = eqx.filter_grad(loss)(Encoded(Rate(32, gain), layer)).encoder.gain
        return gain - 0.02 * slope, None

    gain, _ = jax.lax.scan(step, jnp.asarray(1.0, jnp.float32), None, length=200)
    assert abs(float(spent(Encoded(Rate(32, gain), layer))) / 300 - 1) < 0.15


def test_steps_must_be_positive():
    for make in (Rate, FirstSpike):
        with pytest.raises(ValueError, match="positive number of time steps"):
            make(0)
