"""`activity_of`: one layer and what was recorded at it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from joulax import activity_of

from .idioms.common import check

LINEAR = eqx.nn.Linear(4, 3, key=jax.random.key(0))


def test_samples_and_steps_are_summed():
    spikes = jnp.zeros((2, 5, 4)).at[0, :, 0].set(1.0).at[1, 2, 3].set(2.0)
    fired = jnp.zeros((2, 5, 3)).at[0, 0, 0].set(1.0)
    record = activity_of(LINEAR, spikes, spikes_out=fired)
    check(
        record,
        ac=21,
        ac_graded=18,
        dense_ac=120,
        spikes=1,
        updates=30,
        neurons=3,
        synapses=12,
        nonzero=12,
    )


def test_analog_input():
    check(activity_of(LINEAR, jnp.array([1.0, 0.0, -2.0, 0.5]), analog=True), mac=9, dense_mac=12)


def test_wrong_shape_and_wrong_layer():
    with pytest.raises(ValueError, match="accepts no trailing shape of an input"):
        activity_of(LINEAR, jnp.ones((2, 5)))
    with pytest.raises(ValueError, match="no synaptic site"):
        activity_of(lambda x: x + 1, jnp.ones((2, 4)))
    with pytest.raises(ValueError, match="has 2 synaptic sites"):
        activity_of(eqx.nn.MLP(4, 4, 4, 1, key=jax.random.key(0)), jnp.ones((2, 4)))
