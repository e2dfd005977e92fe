"""Every row of the catalogue."""

import jax.numpy as jnp
import numpy as np
import pytest

from joulax import activity, catalogue, datasheet, energy, hardware, reference
from joulax._catalogue import EVIDENCE

REQUIRED = """45nm 28nm 7nm loihi loihi2 spinnaker spinnaker2 akida brainscales2 fpga_ice40 fpga_artix7 analog_28nm
cpu gpu arm odin truenorth loihi@keras-spiking loihi@sana-fe loihi2@sc-neurocore loihi2@tutorial-72""".split()
LIF = activity(ac=100, dense_ac=400, spikes=10, updates=50, neurons=5, synapses=40, nonzero=40)


@pytest.mark.parametrize("name", REQUIRED)
def test_required_targets_exist(name):
    assert name in catalogue()
    assert hardware(name).name == name


@pytest.mark.parametrize("name", catalogue())
def test_row(name):
    sheet = datasheet(name)
    assert sheet.quantities
    assert sheet.evidence in EVIDENCE
    for q in sheet.quantities:
        assert reference(q.source).startswith("@")
        assert q.where
        assert q.verified in ("read", "second-hand", "derived", "unverified")
        assert q.low is None or q.low <= q.value
        assert q.high is None or q.high >= q.value
    for q in sheet.costs.values():
        assert 1e-3 <= q.value <= 1e6
    if sheet.static_power:
        assert 1e6 <= sheet.static_power.value <= 1e12
    text = str(sheet)
    assert all(q.source in text for q in sheet.quantities)


@pytest.mark.parametrize("name", catalogue())
def test_a_lif_network_prices_everywhere(name):
    total = float(energy([LIF], hardware(name), 1e-3).total)
    assert np.isfinite(total)
    assert total > 0


@pytest.mark.parametrize("name", [n for n in catalogue() if "@" not in n])
def test_nothing_unsourced_is_a_default_when_something_sourced_exists(name):
    others = [datasheet(n) for n in catalogue() if n.startswith(f"{name}@")]
    best = min(EVIDENCE.index(s.evidence) for s in others)
    if datasheet(name).evidence == "unsourced":
        assert best == EVIDENCE.index("unsourced")


@pytest.mark.parametrize("name", [n for n in catalogue() if datasheet(n).scope == "all-in"])
def test_all_in_chips_accept_no_further_terms(name):
    sheet, chip = datasheet(name), hardware(name)
    assert set(sheet.costs) == {"ac"}
    assert chip.static_power is None
    np.testing.assert_allclose(float(energy([LIF], chip).total), 100 * sheet.costs["ac"].value, rtol=1e-6)


def test_published_constants():
    """Facts that a reader can check against the sources."""
    value = lambda name, op: datasheet(name).costs[op].value
    assert (value("loihi", "ac"), value("loihi", "neuron_update")) == (23.6, 81.0)
    assert (value("45nm", "ac"), value("45nm", "mac")) == (0.9, 4.6)
    assert (value("7nm", "ac"), value("7nm", "mac")) == (0.38, 1.69)
    assert value("loihi@keras-spiking", "ac") == 27.1
    assert (value("spinnaker", "ac"), value("spinnaker", "neuron_update")) == (13300.0, 26000.0)
    assert (value("spinnaker2", "ac"), value("spinnaker2", "neuron_update")) == (450.0, 2190.0)
    assert value("truenorth@merolla2014", "ac") == 26.0
    assert value("loihi2@tutorial-72", "spike") == 2.1
    assert datasheet("loihi2").evidence == datasheet("akida").evidence == datasheet("fpga_artix7").evidence == "unsourced"


def test_affine_models_meet_their_measurements():
    """ODIN: 477 µW at 37.5 MSOP/s. TrueNorth: 71 mW at 20.07 Hz, a point that was not fitted."""
    odin = energy([activity(ac=37.5e6)], hardware("odin"), 1.0)
    np.testing.assert_allclose(float(odin.total), 477e6, rtol=3e-3)
    truenorth = energy([activity(ac=2**20 * 20.07 * 128)], hardware("truenorth"), 1.0)
    np.testing.assert_allclose(float(truenorth.total), 71e9, rtol=6e-3)


def test_frady_2020_on_loihi():
    """k-NN search: 76 800 neurons, 60 steps, 667 to 750 spikes to all of them; 1.33 mJ measured, 52 pJ an inactive update."""
    chip = hardware("loihi")
    low = energy([activity(ac=667 * 76800.0)], chip).total + 60 * 76800 * 52.0
    np.testing.assert_allclose(float(low) * 1e-9, 1.4485, rtol=1e-4)


def test_an_unknown_name_lists_the_near_ones():
    with pytest.raises(ValueError, match="did you mean.*'loihi'"):
        hardware("lohi")
    with pytest.raises(ValueError, match="the targets are .*akida"):
        datasheet("zzz")


def test_double_pricing_is_impossible():
    from joulax._catalogue import _sheet

    price = dict(value=1.0, source="s", where="w", evidence="derived", verified="read")
    with pytest.raises(ValueError, match="double counting"):
        _sheet("x", dict(title="t", kind="k", scope="s", costs={"ac": price, "weight_read": price}, includes=["weight_read"]))


def test_prices_are_leaves_in_pj():
    assert hardware("loihi").costs.ac.dtype == jnp.result_type(float)
    assert hardware("loihi").costs.mac is None
    assert hardware("loihi").static_power is None
