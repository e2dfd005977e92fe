"""Placement by hand, and its gradients against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax import activity, models
from joulax.models import CORES, Cores, placement, spinnaker_power

STEPS = 10
NETWORK = {  # 784-3000-500-10, dense, ten steps
    "a": activity(
        ac=300 * 3000, spikes=900, updates=3000 * STEPS, neurons=3000, synapses=784 * 3000
    ),
    "b": activity(ac=900 * 500, spikes=60, updates=500 * STEPS, neurons=500, synapses=3000 * 500),
    "c": activity(ac=60 * 10, spikes=5, updates=10 * STEPS, neurons=10, synapses=500 * 10),
}


def test_cores_by_hand():
    """Of 128 KB: 2.352 M and 1.5 M synapses of 8 bits are 17.94 and 11.4 cores; neurons need 3."""
    placed = placement(NETWORK, "loihi", weight_bits=8)
    assert placed.cores_by_layer.tolist() == [18, 12, 1]
    assert (float(placed.cores), float(placed.chips)) == (31, 1)
    assert placed.fits
    assert placed.why == ()
    one_bit = placement(NETWORK, "loihi", weight_bits=1)
    assert one_bit.cores_by_layer.tolist() == [3, 2, 1]  # 3000 neurons of 1024; 1.43 of memory
    loose = placement(NETWORK, "loihi", weight_bits=1, whole=False)
    np.testing.assert_allclose(loose.cores_by_layer[0], 3000 / 1024, rtol=1e-6)


def test_step_time_by_hand():
    """The first layer is slowest: (300 · 3000 · 3.5 + 30 000 · 8.4 ns) / 18 cores in ten steps."""
    placed = placement(NETWORK, "loihi", weight_bits=8)
    core = (300 * 3000 * 3.5e-9 + 3000 * STEPS * 8.4e-9) / 18 / STEPS
    barrier = 113e-9 + (465e-9 - 113e-9) * 7 / 31  # 31 cores are 8 tiles of 4
    np.testing.assert_allclose(float(placed.steps), STEPS)
    np.testing.assert_allclose(float(placed.step_time), core + barrier, rtol=1e-5)
    np.testing.assert_allclose(float(placed.duration), STEPS * (core + barrier), rtol=1e-5)


def test_energy_by_hand():
    """31 cores of 0.73 mW over the duration, and the operations of the sheet."""
    placed = placement(NETWORK, "loihi")
    np.testing.assert_allclose(float(placed.static_power), 31 * 0.73e9, rtol=1e-6)
    synops, updates = 300 * 3000 + 900 * 500 + 600, 3510 * STEPS
    static = 31 * 0.73e9 * float(placed.duration)
    result = placed.energy()
    np.testing.assert_allclose(float(result.static), static, rtol=1e-5)
    total = synops * 23.6 + updates * 81 + static
    np.testing.assert_allclose(float(result.total), total, rtol=1e-5)
    np.testing.assert_allclose(float(placed.power()), total / float(placed.duration), rtol=1e-5)
    np.testing.assert_allclose(float(placed.edp()), total * float(placed.duration), rtol=1e-5)
    assert "changed by the user: static power" in str(joulax.report(result))
    low, value, high = (
        placement(NETWORK, CORES["loihi"]().replace(static_core=p)).static_power
        for p in models.STATIC_CORE
    )
    assert low < value < high


def test_what_does_not_fit_says_why():
    """A neuron with 5000 inputs on cores of 4096 axons; 200 000 inputs of 8 bits exceed 128 KB."""
    layer = activity(ac=1, updates=10, neurons=10, synapses=5000 * 10)
    placed = placement({"wide": layer}, "loihi")
    assert not placed.fits
    assert "'wide': a neuron has 5000 inputs, a core of loihi takes 4096" in placed.why[0]
    huge = placement(
        {"x": activity(ac=1, updates=1, neurons=1, synapses=200_000)}, "loihi", weight_bits=8
    )
    assert any("1600000 bits" in why for why in huge.why)


def test_several_chips():
    """40 000 neurons are 40 cores of 1024 on each of four layers: 160 cores, two chips."""
    layer = activity(ac=1e3, updates=4e4, neurons=40_000, synapses=4e4)
    placed = placement({f"l{i}": layer for i in range(4)}, "loihi")
    assert (float(placed.cores), float(placed.chips)) == (160, 2)
    with pytest.raises(ValueError, match="barrier between a few chips"):
        _ = placed.step_time


def test_what_nobody_published_is_refused():
    placed = placement(NETWORK, "truenorth")
    assert placed.cores_by_layer.tolist() == [12, 2, 1]
    assert "3000 inputs" in placed.why[1]
    with pytest.raises(ValueError, match="nobody published the time of its synaptic operations"):
        _ = placed.duration
    with pytest.raises(ValueError, match="only those of loihi"):
        placement(NETWORK, "akida")
    with pytest.raises(ValueError, match="needs layers with neurons"):
        placement([activity(ac=1)], "loihi")
    with pytest.raises(ValueError, match="weight_bits"):
        placement(NETWORK, "loihi", weight_bits=0)
    with pytest.raises(ValueError, match="memory"):
        Cores(neurons=4, per_chip=2, memory=-1)


def on(bits=8.0, memory=128 * 1024 * 8.0, volts=0.75):
    """Energy–delay product with fractional cores [pJ s]."""
    cores = CORES["loihi"]().replace(
        memory=memory, static_core=0.73e9 * (jnp.asarray(volts) / 0.75) ** 2.5
    )
    chip = joulax.scaled("loihi", dynamic=(jnp.asarray(volts) / 0.75) ** 2)
    return placement(NETWORK, cores, weight_bits=bits, whole=False).edp(chip)


@pytest.mark.parametrize(("name", "x"), [("bits", 8.0), ("memory", 1e6), ("volts", 0.75)])
def test_gradients_of_the_energy_delay_product(name, x):
    f = lambda v: on(**{name: v})
    wide = jnp.asarray(1.0).dtype == jnp.float64
    h = x * (1e-6 if wide else 3e-3)
    slope = (float(f(x + h)) - float(f(x - h))) / (2 * h)
    assert slope != 0
    np.testing.assert_allclose(float(jax.grad(f)(x)), slope, rtol=1e-5 if wide else 2e-2)


def test_rounded_cores_keep_a_gradient():
    cores = lambda bits: placement(NETWORK, "loihi", weight_bits=bits).cores
    assert float(cores(8.0)) == 31
    np.testing.assert_allclose(
        float(jax.grad(cores)(8.0)), (784 * 3000 + 3000 * 500 + 500 * 10) / 2**20, rtol=1e-5
    )


def test_spinnaker_machines():
    """576 chips, fully active: 576 W; idle: 207 W."""
    np.testing.assert_allclose(float(spinnaker_power(576)), 576e12, rtol=1e-6)
    np.testing.assert_allclose(float(spinnaker_power(576, 0.0)), 207.36e12, rtol=1e-6)
    np.testing.assert_allclose(float(spinnaker_power(48, 0.5, fpgas=3.0)), 35.64e12, rtol=1e-6)
    with pytest.raises(ValueError, match="use must lie in 0…1"):
        spinnaker_power(4, 1.5)
