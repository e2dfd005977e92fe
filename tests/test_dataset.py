"""Whole data sets: exact totals, spread by sample, and interruptions that leave no trace."""

import jax.numpy as jnp
import numpy as np
import pytest

import joulax

W = jnp.ones((4, 3))
X = (np.random.default_rng(0).random((60, 4)) < 0.4).astype(np.float32)
BATCHES = [jnp.asarray(x) for x in np.split(X, 12)]
SYNOPS = X.sum(1) * 3


def model(x):
    return jnp.tanh(x @ W)


def evaluated(batches=BATCHES, **options):
    return joulax.evaluate_dataset(model, batches, on=["45nm"], spikes=0, **options)


def test_totals_and_spread():
    """Every spike reaches three neurons; an accumulate costs 0.9 pJ at 45 nm."""
    found = evaluated()
    spread = found.energies["45nm"]
    assert found.samples == 60
    assert found.totals["W"]["ac"] == SYNOPS.sum()
    np.testing.assert_allclose(spread.mean, 0.9 * SYNOPS.mean(), rtol=1e-6)
    np.testing.assert_allclose(spread.std, 0.9 * SYNOPS.std(), rtol=1e-5)
    np.testing.assert_allclose(spread.percentile(50), 0.9 * np.median(SYNOPS), rtol=0.011)
    assert SYNOPS[spread.worst[0][0]] == SYNOPS.max()
    assert "60 samples" in str(found)


class Killed(Exception):
    pass


def until(n):
    yield from BATCHES[:n]
    raise Killed


@pytest.mark.parametrize("n", [1, 5, 7, 11])
def test_killed_and_resumed_equals_uninterrupted(n, tmp_path):
    state = tmp_path / "state"
    with pytest.raises(Killed):
        evaluated(until(n), state=state, every=2)
    found, whole = evaluated(state=state, every=2), evaluated()
    assert found.totals == whole.totals
    one, other = found.energies["45nm"], whole.energies["45nm"]
    assert (one.total, one.squares, one.worst) == (other.total, other.squares, other.worst)
    assert np.array_equal(one.bins, other.bins)
    assert evaluated(state=state).totals == whole.totals  # nothing is left to do


def test_damaged_and_foreign_states_are_refused(tmp_path):
    state = tmp_path / "state"
    evaluated(state=state)
    content = state.read_bytes()
    with pytest.raises(ValueError, match="other chips"):
        joulax.evaluate_dataset(model, BATCHES, on=["7nm"], spikes=0, state=state)
    with pytest.raises(ValueError, match="another model"):
        joulax.evaluate_dataset(
            lambda x: x @ W @ jnp.ones((3, 2)), BATCHES, on=["45nm"], spikes=0, state=state
        )
    state.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match="is damaged"):
        evaluated(state=state)


def test_no_batch_is_an_error():
    with pytest.raises(ValueError, match="got 0 batches"):
        evaluated([])
