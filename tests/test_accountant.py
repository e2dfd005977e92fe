"""`EnergyAccountant` against the recorded sc-neurocore."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .conftest import recorded

NAMED = ("loihi2", "akida", "fpga_ice40", "fpga_artix7", "analog_28nm")
FIELDS = ("total_energy_pj", "total_energy_nj", "routing_energy_pj", "energy_per_spike_pj")
LAYER = (
    "synop_energy_pj",
    "membrane_energy_pj",
    "spike_gen_energy_pj",
    "memory_energy_pj",
    "total_pj",
    "n_synops",
    "n_spikes",
    "n_membrane_updates",
)


@pytest.mark.parametrize("case", recorded("sc-neurocore", "energy_accountant"))
def test_recorded_formula(case):
    compared = 0
    for name, expected in case["expected"].items():
        model = joulax.HardwareCostModel(**case["hardware_models"][name])
        for target in [model, *([name] if name in NAMED else [])]:
            report = joulax.EnergyAccountant(target).account(**case["inputs"])
            for field in FIELDS:
                np.testing.assert_allclose(getattr(report, field), expected[field], rtol=1e-9)
            assert report.summary() == expected["summary"]
            assert report.dominant_layer == expected["dominant_layer"]
            for layer, recorded_layer in zip(report.layers, expected["layers"], strict=True):
                for field in LAYER:
                    np.testing.assert_allclose(
                        getattr(layer, field), recorded_layer[field], rtol=1e-9
                    )
            compared += 1
    assert compared >= 9


def test_tutorial_call():
    """The code of sc-neurocore computes 109 655.24 nJ where its tutorial prints 10.7."""
    report = joulax.EnergyAccountant("loihi2").account(
        ["a", "b"], [(784, 256), (256, 10)], [5000, 200], 100
    )
    np.testing.assert_allclose(report.total_energy_nj, 109655.24, rtol=1e-9)


def test_lists_of_different_length_are_an_error():
    with pytest.raises(ValueError, match="2 of layer_names, 2 of layer_sizes, 1 of spike_counts"):
        joulax.EnergyAccountant("loihi2").account(["a", "b"], [(2, 3), (3, 1)], [4], 5)


def test_unknown_target_names_the_near_ones():
    with pytest.raises(ValueError, match="'nope'"):
        joulax.EnergyAccountant("nope")
    with pytest.raises(ValueError, match="one of the two"):
        joulax.EnergyAccountant()


def test_input_spikes_give_the_right_count():
    """3 spikes arriving at 4 neurons are 12 synops, whatever the layer fires."""
    report = joulax.EnergyAccountant("akida").account(["a"], [(10, 4)], [7], 5, input_spikes=[3])
    assert report.layers[0].n_synops == 12
    assert report.layers[0].n_spikes == 7
    np.testing.assert_allclose(report.total_energy_pj, 12 * 13.0 + 20 * 0.8 + 7 * 0.3 + 7 * 1.0)


def test_track_counts_the_model():
    accountant = joulax.EnergyAccountant(technology="7nm")
    with pytest.raises(ValueError, match="track"):
        _ = accountant.total_pj
    result = accountant.track(eqx.nn.Linear(4, 3, key=jax.random.key(0)), jnp.ones(4), spikes=0)
    np.testing.assert_allclose(accountant.total_pj, 12 * 0.38, rtol=1e-6)
    assert result.chip == "7nm"
