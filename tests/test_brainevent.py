"""Products of brainevent: a spike reaches as many synapses as its row stores."""

import jax.numpy as jnp
import numpy as np
import pytest

import joulax

pytest.importorskip("numba")
brainevent = pytest.importorskip("brainevent")
pytestmark = pytest.mark.filterwarnings("ignore")
SPIKES = jnp.array([1.0, 0.0, 1.0, 0.0, 0.0])


def test_dense_matrix():
    """Two spikes, seven synapses each; one weight of the first row is zero."""
    w = jnp.ones((5, 7)).at[0, 0].set(0.0)
    model = lambda w, s: brainevent.BinaryArray(s > 0) @ w
    out, account = joulax.count(model, weights=0, spikes=1)(w, SPIKES)
    np.testing.assert_allclose(out, SPIKES @ w)
    record = account["w"]
    assert [float(x) for x in (record.ac, record.dense_ac, record.nonzero)] == [13, 35, 34]


def test_csr_matrix():
    """Rows of 2, 1, 1, 1, 1 stored synapses; neurons 0 and 2 fire."""
    indices, pointers = jnp.array([0, 1, 2, 0, 3, 4]), jnp.array([0, 2, 3, 4, 5, 6])
    matrix = lambda d: brainevent.CSR((d, indices, pointers), shape=(5, 7))
    model = lambda w, s: brainevent.BinaryArray(s > 0) @ matrix(w)
    _, account = joulax.count(model, weights=0, spikes=1)(jnp.ones(6), SPIKES)
    record = account["w"]
    assert [float(x) for x in (record.ac, record.dense_ac, record.synapses)] == [3, 6, 6]
