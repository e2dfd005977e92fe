"""`neurons=True`, `steps=T`, `touched=True`: each sums to the default."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax import energy, hardware

from .idioms.common import numbers, spike
from .idioms.test_structure import PARAMS, TIMES, T, X
from .test_count import COUNTED, MODEL, X as INPUT

SUMMED = ("ac", "ac_graded", "mac", "dense_ac", "dense_mac", "spikes", "spikes_graded", "updates")
OPTIONS = {
    "neurons": dict(neurons=True),
    "steps": dict(steps=T),
    "both": dict(neurons=True, steps=T),
}
SHAPES = {"neurons": lambda n: (n,), "steps": lambda n: (T,), "both": lambda n: (T, n)}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("time", ["scanned", "hoisted", "collected", "looped"])
def test_every_field_sums_to_the_default(time, option):
    count = lambda **options: joulax.count(TIMES[time], weights=0, spikes=1, **options)(PARAMS, X)[
        1
    ]
    whole, fine = count(), count(**OPTIONS[option])
    for name, size in (("first", 3), ("second", 2)):
        for field in SUMMED:
            total, kept = getattr(whole[name], field), getattr(fine[name], field)
            assert (total is None) == (kept is None)
            if total is not None:
                assert kept.shape == SHAPES[option](size), (name, field)
                assert float(kept.sum()) == float(total), (name, field)


def test_steps_by_hand():
    """Spikes that arrive at each step, times three neurons."""
    account = joulax.count(TIMES["scanned"], weights=0, spikes=1, steps=T)(PARAMS, X)[1]
    assert np.array_equal(account["first"].ac, 3 * X.sum(1))
    assert np.array_equal(account["first"].updates, [3] * T)


def test_neurons_by_hand():
    """Neuron 0 has two synapses, neuron 1 one, neuron 2 none; both inputs fire once."""
    w = jnp.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    account = joulax.count(
        lambda p, x: spike(p @ x - 0.5), weights=0, spikes=1, neurons=True, touched=True
    )(w, jnp.ones(2))[1]
    assert np.array_equal(account["p"].ac, [2, 1, 0])
    assert np.array_equal(account["p"].dense_ac, [2, 2, 2])
    assert np.array_equal(account["p"].spikes, [1, 1, 0])
    assert np.array_equal(account["p"].updates, [1, 1, 1])
    assert np.array_equal(account["p"].touched, [1, 1, 0])


def test_a_convolution_keeps_the_shape_of_its_neurons():
    conv = lambda p, x: jax.lax.conv_general_dilated(x[None], p, (1, 1), "SAME")[0]
    image = jnp.zeros((1, 5, 5)).at[0, 0, 0].set(1.0)
    whole, fine = (
        joulax.count(conv, weights=0, spikes=1, neurons=n)(jnp.ones((2, 1, 3, 3)), image)[1]["p"]
        for n in (False, True)
    )
    assert fine.ac.shape == (2, 5, 5)
    assert np.array_equal(fine.ac[0], jnp.zeros((5, 5)).at[:2, :2].set(1.0))
    assert float(fine.dense_ac.sum()) == float(whole.dense_ac)


def test_touched_counts_steps_with_events():
    account = joulax.count(TIMES["scanned"], weights=0, spikes=1, touched=True)(PARAMS, X)[1]
    assert float(account["first"].touched) == 3 * float((X.sum(1) > 0).sum())
    assert float(account["first"].touched) <= float(account["first"].updates)


def test_layers_and_steps():
    """Stacked layers inside a loop over time: each layer keeps its steps."""

    def model(p, x):
        layer = lambda s, w: (spike(w @ s - 0.5), None)
        return jax.lax.scan(lambda c, x: (c, jax.lax.scan(layer, x, p)[0]), 0, x)[1]

    stacked, x = (
        jnp.stack([jnp.eye(2), jnp.ones((2, 2))]),
        jnp.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]),
    )
    account = joulax.count(model, weights=0, spikes=1, steps=3)(stacked, x)[1]
    assert list(account) == ["p[0]", "p[1]"]
    assert np.array_equal(account["p[0]"].ac, [1, 0, 2])
    assert np.array_equal(account["p[1]"].ac, [2, 0, 4])


def test_energy_by_step():
    account = joulax.count(MODEL, spikes=0, steps=10)(INPUT)[1]
    result = energy(account, hardware("loihi"))
    assert result.total.shape == (10,)
    np.testing.assert_allclose(
        float(result.total.sum()),
        float(energy(COUNTED(INPUT)[1], hardware("loihi")).total),
        rtol=1e-6,
    )


def test_energy_refuses_mixed_axes_by_name():
    with pytest.raises(
        ValueError, match=r"layer 'layers\[0\]' has \(5,\), layer 'layers\[1\]' has \(4,\)"
    ):
        energy(joulax.count(MODEL, spikes=0, neurons=True)(INPUT)[1], hardware("loihi"))

    def outside(p, x):  # the second layer runs after the loop, once
        s = jax.lax.scan(lambda v, x: (v, spike(p["a"] @ x - 0.5)), 0.0, x)[1]
        return p["b"] @ s.sum(0)

    account = joulax.count(outside, weights=0, spikes=1, steps=4)(
        {"a": jnp.ones((3, 2)), "b": jnp.ones((2, 3))}, jnp.ones((4, 2))
    )[1]
    with pytest.raises(ValueError, match=r"layer 'a' has \(4,\), layer 'b' has \(\)"):
        energy(account, hardware("45nm"))


def test_energy_of_one_layer_by_neuron():
    account = joulax.count(MODEL, spikes=0, neurons=True)(INPUT)[1]
    result = energy({"first": account["layers[0]"]}, hardware("loihi"))
    assert result.total.shape == (5,)


def test_under_vmap_and_grad():
    x = jnp.stack([INPUT, 0 * INPUT])
    fine = jax.vmap(joulax.count(MODEL, spikes=0, steps=10, neurons=True))(x)[1]
    assert fine["layers[0]"].ac.shape == (2, 10, 5)
    total = lambda v, **options: joulax.count(lambda p, v: p @ spike(v), weights=0, **options)(
        jnp.ones((2, 3)), v
    )[1]["p"].ac.sum()
    v = jnp.array([0.5, -0.5, 1.0])
    np.testing.assert_allclose(
        jax.grad(lambda v: total(v, neurons=True))(v), jax.grad(total)(v), rtol=1e-6
    )


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_steps_is_a_length(steps):
    with pytest.raises((ValueError, TypeError)):
        joulax.count(MODEL, steps=steps)


def test_shared_weights_at_two_shapes_are_refused_by_name():
    conv = lambda p, x: jax.lax.conv_general_dilated(
        x[None], p, (1,), "VALID", dimension_numbers=("NCH", "OIH", "NCH")
    )[0]
    model = lambda p, x: conv(p, spike(conv(p, x) - 0.5))
    with pytest.raises(ValueError, match="layer 'p' is used at several shapes"):
        joulax.count(model, weights=0, spikes=1, neurons=True)(
            jnp.ones((1, 1, 2)), jnp.ones((1, 6))
        )


def test_default_fields_are_unchanged():
    assert "touched" not in numbers(COUNTED(INPUT)[1]["readout"])


def test_events_that_arrive():
    """Spikes at their value, analog inputs where not zero, before any fan-out, by steps."""
    x = jnp.array([[1.0, 0.0, 2.0], [0.0, 0.0, 1.0]])
    w = jnp.ones((4, 3))

    def run(x):
        return jax.lax.scan(lambda c, x: (c, w @ x), 0.0, x)[1]

    (spiking,) = joulax.count(run, spikes=0, events=True)(x)[1].values()
    assert float(spiking.events) == 4
    assert float(spiking.ac) == 16
    (kept,) = joulax.count(run, spikes=0, events=True, steps=2)(x)[1].values()
    assert kept.events.tolist() == [3.0, 1.0]
    (analog,) = joulax.count(run, events=True)(x)[1].values()
    assert float(analog.events) == 3
    (without,) = joulax.count(run, spikes=0)(x)[1].values()
    assert without.events is None
