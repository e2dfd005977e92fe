"""Records of single layers from recordings of any type, and figures of functions of any form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

CONV = eqx.nn.Conv2d(1, 2, 3, key=jax.random.key(0))
W = jnp.ones((3, 4))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int32, float])
def test_recordings_of_any_type(dtype):
    """All 36 pixels fire in 5 steps: 16 positions × 9 taps × 2 channels each."""
    assert float(joulax.activity_of(CONV, np.ones((5, 1, 6, 6), dtype)).ac) == 5 * 16 * 9 * 2


def test_a_bare_weight_matrix():
    assert float(joulax.activity_of(np.ones((4, 3), np.float32), np.ones((5, 3), bool)).ac) == 60


def test_recordings_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="the recordings must have the same lengths"):
        joulax.activity_of(W.T, np.ones((5, 3)), spikes_out=np.ones((6, 4)))


def test_workload_of_a_closure_and_of_declared_parameters():
    closure = joulax.metrics.workload(lambda x: x @ W, jnp.ones((2, 3)))
    declared = joulax.metrics.workload(
        lambda p, x: x @ p["w"], {"w": W}, jnp.ones((2, 3)), weights=0
    )
    for figures in (closure, declared):
        assert (figures["ParameterCount"], figures["Footprint"]) == (12, 12 * W.dtype.itemsize)
        assert float(figures["SynapticOperations"]["Dense"]) == 12
