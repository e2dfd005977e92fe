"""Every row of the catalogue."""

import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax import activity, catalogue, datasheet, energy, hardware, reference
from joulax._hardware.datasheet import EVIDENCE

REQUIRED = """
45nm 28nm 7nm loihi spinnaker spinnaker2 cpu gpu arm odin truenorth loihi@keras-spiking
loihi@sana-fe loihi2@sc-neurocore loihi2@tutorial-72 loihi2@davies2018 akida@sc-neurocore
quadro_k4000 jetson_tx1 movidius xeon_e5_2630 nucleo_l4r5zi nucleo_u575zi nucleo_h7a3zi gap9 ndp9120
xg24 ek_ra6m4 rx65n genn_rtx2080ti inc3000
""".split()
TARGETS = [n for n in catalogue() if "@" not in n]  # before tests register their own
UNSOURCED = "loihi2 akida brainscales2 fpga_ice40 fpga_artix7 analog_28nm fpga_45nm".split()
LIF = activity(ac=100, dense_ac=400, spikes=10, updates=50, neurons=5, synapses=40, nonzero=40)


@pytest.mark.parametrize("name", REQUIRED)
def test_required_targets_exist(name):
    assert name in catalogue()
    assert hardware(name).name == name


@pytest.mark.parametrize("name", UNSOURCED)
def test_a_bare_name_never_means_an_unsourced_sheet(name):
    """It refuses and says what there is."""
    assert name not in catalogue(priced=None)
    sheets = [n for n in catalogue(priced=None) if n.startswith(f"{name}@")]
    for call in (hardware, datasheet, lambda n: energy([LIF], n)):
        with pytest.raises(ValueError, match="nobody has published") as error:
            call(name)
        assert all(sheet in str(error.value) for sheet in sheets)
    assert all(datasheet(n).evidence != "unsourced" for n in TARGETS)


@pytest.mark.parametrize("name", catalogue(priced=None))
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
        assert 1e-3 <= q.value <= 1e7
    if sheet.static_power:
        assert 1e6 <= sheet.static_power.value <= 1e12
    text = str(sheet)
    assert all(q.source in text for q in sheet.quantities)


@pytest.mark.parametrize("name", catalogue())
def test_a_lif_network_prices_everywhere(name):
    """Unless it does not say what its price contains: then it refuses, or is told to assume."""
    call = lambda **more: float(energy([LIF], hardware(name), 1e-3, batch=1, **more).total)
    sheet = datasheet(name)
    told = {"assume_included": True} if set(sheet.unknown) - {"mac", "weight_write"} else {}
    if told:
        assert sheet.scope in ("headline", "per operation")
        with pytest.raises(ValueError, match=f"{name} has no price for what occurs.*others=0"):
            call()
    assert np.isfinite(call(**told))
    assert call(**told) > 0


@pytest.mark.parametrize("name", [n for n in catalogue() if datasheet(n).scope == "all-in"])
def test_all_in_chips_accept_no_further_terms(name):
    sheet, chip = datasheet(name), hardware(name)
    assert set(sheet.costs) == {"ac"}
    assert chip.static_power is None
    np.testing.assert_allclose(
        float(energy([LIF], chip).total), 100 * sheet.costs["ac"].value, rtol=1e-6
    )


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
    assert datasheet("loihi2@sc-neurocore").evidence == "unsourced"


def test_affine_models_meet_their_measurements():
    """ODIN: 477 µW at 37.5 MSOP/s. TrueNorth: 71 mW at 20.07 Hz, a point that was not fitted."""
    odin = energy([activity(ac=37.5e6)], hardware("odin"), 1.0)
    np.testing.assert_allclose(float(odin.total), 477e6, rtol=3e-3)
    truenorth = energy([activity(ac=2**20 * 20.07 * 128)], hardware("truenorth"), 1.0)
    np.testing.assert_allclose(float(truenorth.total), 71e9, rtol=6e-3)


def test_frady_2020_on_loihi():
    """k-NN search: 76 800 neurons, 60 steps, 667 to 750 spikes to all of them; 1.33 mJ measured, 52
    pJ an inactive update.
    """
    chip = hardware("loihi")
    low = energy([activity(ac=667 * 76800.0)], chip).total + 60 * 76800 * 52.0
    np.testing.assert_allclose(float(low) * 1e-9, 1.4485, rtol=1e-4)


def test_an_unknown_name_lists_the_near_ones():
    with pytest.raises(ValueError, match="did you mean.*'loihi'"):
        hardware("lohi")
    with pytest.raises(ValueError, match="the targets are .*truenorth"):
        datasheet("zzz")


def test_double_pricing_is_impossible():
    from joulax._hardware.stored import parse

    price = dict(value=1.0, source="s", where="w", evidence="derived", verified="read")
    with pytest.raises(ValueError, match="double counting"):
        parse(
            "x",
            dict(
                title="t",
                kind="k",
                scope="per operation",
                costs={"ac": price, "weight_read": price},
                includes=["weight_read"],
            ),
        )


def test_prices_are_leaves_in_pj():
    assert hardware("loihi").costs.ac.dtype == jnp.result_type(float)
    assert hardware("loihi").costs.mac is None
    assert hardware("loihi").static_power is None


@pytest.mark.parametrize("name", catalogue(priced=False))
def test_datasheets_without_prices_refuse(name):
    """What is known is printed; nothing is priced."""
    with pytest.raises(ValueError, match="nobody has published"):
        hardware(name)
    assert "cannot price" in str(datasheet(name))


@pytest.mark.parametrize("name", ["speck", "xylo", "brainscales2@cramer2022", "akida@akd1000"])
def test_known_powers_are_not_prices(name):
    assert name in catalogue(priced=False)
    assert name not in catalogue()
    assert all(
        fact in str(datasheet(name)) for fact in (q.where for q in datasheet(name).facts.values())
    )


def test_filters():
    assert set(catalogue(kind="gpu")) >= {"gpu", "a100", "h100@int8"}
    assert "loihi" not in catalogue(kind="gpu")
    assert set(catalogue(process_nm=45, kind="process node")) == {
        "45nm",
        "45nm@fp32",
        "45nm@fp16",
        "45nm@int8",
        "45nm@int32",
    }
    assert all(
        datasheet(n).evidence == "measured silicon" for n in catalogue(evidence="measured silicon")
    )
    assert set(catalogue(evidence="unsourced")) == set(catalogue())
    with pytest.raises(ValueError, match="the choices are .*measured silicon"):
        catalogue(evidence="good")


@pytest.mark.parametrize("name", [n for n in catalogue() if "@" in n])
def test_no_term_is_charged_twice(name):
    """Included and excluded terms cost nothing, and nothing else does."""
    sheet, chip = datasheet(name), hardware(name)
    for op in (*sheet.includes, *sheet.excludes):
        assert op not in sheet.costs
        assert float(getattr(chip.costs, op)) == 0
    for op in sheet.unknown:
        assert getattr(chip.costs, op) is None
    if name.startswith("loihi@"):
        assert "weight_read" in sheet.includes


PRICE = dict(value=1.0, source="s", where="w", evidence="derived", verified="read")


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (dict(scope="all-in", costs={"ac": PRICE, "neuron_update": PRICE}), "all-in"),
        (dict(scope="all-in", costs={"ac": PRICE}, static_power=PRICE | {"unit": "W"}), "all-in"),
        (dict(scope="marginal + static", costs={"ac": PRICE}), "static_power"),
        (
            dict(scope="arithmetic only", costs={"ac": PRICE, "weight_read": PRICE}),
            "arithmetic only",
        ),
        (dict(costs={"ac": PRICE | {"value": -1}}), "≥ 0"),
        (dict(costs={"ac": PRICE | {"low": 2.0}}), "outside its range"),
        (dict(costs={"ac": PRICE | {"unit": "kWh"}}), "unit 'kWh'"),
        (dict(costs={"ac": PRICE | {"unit": "mW"}}), "unit 'mW'"),
        (dict(costs={"ac": PRICE | {"evidence": "rumour"}}), "rumour"),
        (dict(cost={"ac": PRICE}), "unknown key 'cost'"),
        (dict(costs={"synop": PRICE}), "no operation"),
        ("ac=1", "expected a table"),
    ],
)
def test_bad_tables_are_refused_by_name(table, text):
    with pytest.raises(ValueError, match=text) as error:
        joulax.register({"bad chip": table})
    assert "bad chip" in str(error.value)
    assert "bad chip" not in catalogue(priced=None)


OWN = """
["bench@run7"]
default_of = "bench"
excludes = ["neuron_update", "spike", "hop"]
includes = ["weight_read", "state_read", "state_write"]

["bench@run7".costs.ac]
value = 1.5
low = 1.2
unit = "nJ"
evidence = "measured silicon"
source = "our bench"
where = "run 7"
verified = "read"
"""


def test_own_chips(tmp_path):
    """From prices, a table and a file; the same checks, the same functions."""
    file = tmp_path / "chips.toml"
    file.write_text(OWN)
    assert joulax.register(file) == ("bench@run7",)
    assert float(hardware("bench").costs.ac) == 1500.0
    assert datasheet("bench").costs["ac"].span == (1200.0, 1500.0)
    joulax.register(
        {
            "plain": joulax.costs(
                ac=2.0, neuron_update=3.0, spike=0, weight_read=0, state_read=0, state_write=0
            )
        }
    )
    assert float(energy([LIF], hardware("plain")).total) == 350.0
    assert datasheet("plain").evidence == "unsourced"
    with pytest.raises(ValueError, match="'loihi' is in the catalogue already"):
        joulax.register({"loihi": joulax.costs(ac=1.0)})
