"""Large accounts: a million neurons, a hundred million synapses, a hundred thousand steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax


def positions(size, taps):
    """Outputs that each input of one axis reaches; the kernel is centred, the border cut."""
    at = np.arange(size)
    low, high = (taps - 1) // 2, taps - 1 - (taps - 1) // 2
    return np.minimum(at + low, size - 1) - np.maximum(at - high, 0) + 1


@pytest.mark.slow
def test_a_million_neurons_with_a_hundred_million_synapses():
    """A 10 × 10 convolution over 1000 × 1000: events times fan-outs, in integers."""
    size, taps, steps = 1000, 10, 3
    kernel = jnp.full((1, 1, taps, taps), 0.3)

    def network(w, x):
        def step(v, x):
            current = jax.lax.conv_general_dilated(x[None, None], w, (1, 1), "SAME")[0, 0]
            v = 0.9 * v + current
            s = (v > 1).astype(v.dtype)
            return v - s, s

        return jax.lax.scan(step, jnp.zeros((size, size), jnp.float32), x)[1].sum(0)

    x = np.random.default_rng(0).random((steps, size, size)) < 0.5
    record = jax.jit(lambda w, x: joulax.count(network, weights=0, spikes=1)(w, x)[1])(
        kernel, jnp.asarray(x, jnp.float32)
    )
    (exact,) = record.exact().values()
    along = positions(size, taps)
    reach = along[:, None] * along[None, :]
    assert exact["ac"] == int((x.sum(0) * reach).sum())
    assert exact["synapses"] == reach.sum() > 9e7
    assert exact["dense_ac"] == steps * reach.sum()
    assert exact["neurons"] == size**2
    assert exact["updates"] == steps * size**2


W = jnp.ones((256, 512), jnp.float32)


def leaky(w, x):
    def step(v, x):
        v = 0.9 * v + x @ w
        s = (v > 1).astype(v.dtype)
        return v - s, s.sum()

    return jax.lax.scan(step, jnp.zeros(w.shape[1], jnp.float32), x)[1].sum()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"neurons": True}])
def test_a_hundred_thousand_steps_are_exact(options):
    """Counts beyond 2³²: the float is the rounded integer, `exact` the integer itself."""
    steps = 100_000
    x = np.random.default_rng(1).random((steps, 256)) < 0.5
    count = joulax.count(leaky, weights=0, spikes=1, **options)
    account = jax.jit(lambda w, x: count(w, x)[1])(W, jnp.asarray(x, jnp.float32))
    record, exact = account["w"], account.exact()["w"]
    events = int(x.sum())
    if options:
        assert exact["ac"] == [events] * 512
        assert exact["dense_ac"] == [steps * 256] * 512
        assert exact["updates"] == [steps] * 512
    else:
        assert exact["ac"] == 512 * events > 2**32
        assert float(record.ac) == float(np.float32(512 * events))
        assert exact["dense_ac"] == 512 * 256 * steps
        assert exact["updates"] == 512 * steps


@pytest.mark.parametrize("options", [{}, {"steps": True}, {"touched": True}])
def test_memory_grows_with_counts_not_with_synapses(options):
    """What counting adds to the temporaries: a few numbers a step, never a product of neurons."""

    def temporary(steps, counted):
        shape = jax.ShapeDtypeStruct((steps, 256), jnp.float32)
        given = {k: steps if k == "steps" else v for k, v in options.items()}
        count = joulax.count(leaky, weights=0, spikes=1, **given)
        run = (lambda w, x: count(w, x)[1].layers) if counted else leaky
        return jax.jit(run).lower(W, shape).compile().memory_analysis().temp_size_in_bytes

    added = [temporary(n, True) - temporary(n, False) for n in (500, 4000)]
    per_step = (added[1] - added[0]) / 3500
    assert per_step < 4 * (256 + 512 + 64)  # one row of activations: events, spikes, numbers
