"""A citation belongs to a price, not to a name; from a bench to a paper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax import activity, energy, hardware, provenance

RECORD = [activity(ac=1e6, spikes=1e3, updates=1e5)]


def test_changed_prices_are_said_and_cite_nothing():
    chip = hardware("loihi").replace(ac=10.0)
    (found,) = provenance(chip)
    assert str(found.changes[0]) == "ac 10 pJ (sheet 23.6)"
    assert "ac" not in found.cited
    assert found.cited["neuron_update"].value == 81.0
    report = joulax.report(energy(RECORD, chip))
    for text in (str(report), report.convention()):
        assert "hanged by the user: ac 10 pJ (sheet 23.6)" in text
    assert "ac 23.6 pJ" not in report.convention()
    low, value, high = joulax.interval(chip).costs.ac
    assert low == value == high == 10.0
    np.testing.assert_allclose(joulax.interval(chip).costs.neuron_update, [52, 81, 81])


def test_every_kind_of_number_is_compared():
    chip = hardware("truenorth").replace(
        static_power=1e9, skips_spikes=0.5, spike=3.0, hops=2.0, mac=7.0
    )
    (found,) = provenance(chip)
    changed = {c.number for c in found.changes}
    assert changed == {"static_power", "spike", "mac", "hops", "skips_spikes"}
    said = {c.number: (c.value, c.published) for c in found.changes}
    assert said["spike"] == (3.0, 0.0)
    assert said["mac"] == (7.0, None)
    (same,) = provenance(hardware("truenorth"))
    assert same.changes == ()


@pytest.mark.parametrize("name", joulax.catalogue())
def test_a_sheet_is_its_own(name):
    """Alone, in a stack with others, after jit and over samples: nothing is called changed."""
    chip = hardware(name)
    assert provenance(chip)[0].changes == ()
    stacked = joulax.stack([name, "loihi2@sc-neurocore", "truenorth", "movidius"])
    assert [p.changes for p in provenance(stacked)] == [()] * 4
    assert joulax.bibtex(chip).count("@") >= 1


def test_a_name_alone_cites_nothing():
    """A chip of the user's that is called loihi has other prices, and says so."""
    own = joulax.Chip(joulax.costs(ac=1.0, neuron_update=1.0), name="loihi")
    (found,) = provenance(own)
    assert {"ac", "neuron_update"} <= {c.number for c in found.changes}
    assert found.sources == ()
    (named,) = provenance(hardware("loihi").replace(name="mine", ac=2.0))
    assert named.sheet.name == "loihi@davies2018"
    (unknown,) = provenance(joulax.Chip(joulax.costs(ac=1.0), name="mine"))
    assert unknown.sheet is None


def test_bibtex_follows_the_prices():
    report = joulax.report(energy(RECORD, "loihi"))
    assert report.bibtex() == joulax.reference("davies2018")
    all_changed = hardware("loihi").replace(ac=1.0, neuron_update=1.0, weight_write=1.0)
    assert joulax.bibtex(all_changed) == ""


def test_reports_say_how_numbers_were_checked():
    text = str(joulax.report(energy([activity(ac=1.0)], "7nm")))
    assert "checked: ac, mac from memory" in text
    caveat = str(joulax.report(energy(RECORD, "loihi")))
    assert "quoted second-hand" in caveat
    assert "Pre-silicon simulation" in caveat


def test_ends_of_a_range_are_the_sheets():
    for chip in (joulax.interval("loihi"), joulax.sample("loihi", jax.random.key(0), 3)):
        assert [p.changes for p in provenance(chip)] == [()] * 3
        assert all(p.sheet.name == "loihi@davies2018" for p in provenance(chip))
        assert "changed" not in str(joulax.report(energy(RECORD, chip)))
    moved = provenance(hardware("loihi").replace(neuron_update=52.0))[0]
    assert [str(c) for c in moved.changes] == ["neuron update 52 pJ (sheet 81)"]


def test_sweeps():
    """Ten prices in one call; each is named and compared with the sheet."""
    sweep = joulax.variants("loihi", ac=jnp.array([10.0, 23.6, 40.0]))
    totals = energy(RECORD, sweep).total
    np.testing.assert_allclose(totals, 8.1e6 + 1e6 * np.array([10, 23.6, 40]), rtol=1e-6)
    assert sweep.chips == ("loihi, ac 10", "loihi, ac 23.6", "loihi, ac 40")
    assert [bool(p.changes) for p in provenance(sweep)] == [True, False, True]
    both = joulax.variants("truenorth", static_power=[1e9, 2e9], ac=[1.0, 2.0])
    np.testing.assert_allclose(
        energy([activity(ac=5.0)], both, 1.0).total, [1e9 + 5, 2e9 + 10], rtol=1e-6
    )
    with pytest.raises(ValueError, match="arrays of one length"):
        joulax.variants("loihi", ac=[1.0, 2.0], neuron_update=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="arrays of one length"):
        joulax.variants("loihi", ac=1.0)
    with pytest.raises(TypeError, match="no number synop"):
        joulax.variants("loihi", synop=[1.0, 2.0])
    with pytest.raises(TypeError, match="no number synop"):
        hardware("loihi").replace(synop=1.0)


OWN = """
["bench@lab"]
title = "Our chip"
scope = "operations + static"
includes = ["weight_read", "state_read", "state_write", "spike"]
excludes = ["hop"]
bibtex = "@misc{bench2026, title={Energy of our chip}, year={2026}}"

["bench@lab".costs.ac]
value = 1.5
low = 1.2
high = 2.0
unit = "nJ"
evidence = "measured silicon"
source = "bench2026"
where = "run 7"
verified = "read"

["bench@lab".costs.neuron_update]
value = 20.0
evidence = "measured silicon"
source = "bench2026"
where = "run 8"
verified = "read"

["bench@lab".idle_power]
value = 3.0
unit = "mW"
evidence = "measured silicon"
source = "bench2026"
where = "run 9"
verified = "read"
"""


def test_a_sheet_of_ones_own_from_toml_to_paper(tmp_path):
    """Synop, update and idle power predict the total of the chip."""
    file = tmp_path / "chips.toml"
    file.write_text(OWN, encoding="utf-8")
    assert joulax.register(file) == ("bench@lab",)
    sheet = joulax.datasheet("bench@lab")
    result = energy(RECORD, "bench@lab", 2e-3)
    np.testing.assert_allclose(float(result.total), 1e6 * 1500 + 1e5 * 20 + 3e9 * 2e-3, rtol=1e-6)
    board = joulax.Measurement(1.5e9, "chip, total").compare(result)
    assert board.inside
    report = joulax.report(result)
    assert report.bibtex() == "@misc{bench2026, title={Energy of our chip}, year={2026}}"
    assert "static power 3 mW" in report.convention()
    again = tmp_path / "again.toml"
    again.write_text(sheet.to_toml(), encoding="utf-8")
    joulax.register(again)  # the same sheet, so nothing changes
    assert joulax.datasheet("bench@lab") == sheet
    assert joulax.reference("bench2026").startswith("@misc{bench2026")


@pytest.mark.parametrize("name", [n for n in joulax.catalogue(priced=None) if "@" in n])
def test_every_sheet_survives_toml(name):
    import tomllib

    from joulax._hardware.stored import parse

    sheet = joulax.datasheet(name)
    ((key, table),) = tomllib.loads(sheet.to_toml()).items()
    assert key == name
    assert parse(name, table) == sheet


def test_a_calibration_becomes_a_sheet():
    """Ranges are 95 % of the covariance, the citation is one's own."""
    rng = np.random.default_rng(1)
    accounts = [[activity(ac=a, updates=u)] for a, u in rng.uniform(1e3, 1e6, (30, 2))]
    truth = [30e-12 * float(a[0].ac) + 60e-12 * float(a[0].updates) for a in accounts]
    fit = joulax.calibrate(accounts, truth, "loihi", unit="J", noise=0.05)
    sheet = fit.datasheet(
        "loihi@bench", source="ours2026", where="Table 1", bibtex="@misc{ours2026, title={Ours}}"
    )
    ac = sheet.costs["ac"]
    np.testing.assert_allclose(ac.value, 30, rtol=1e-2)
    np.testing.assert_allclose(
        ac.span, ac.value * np.exp(np.array([-1.96, 1.96]) * fit.relative_errors["ac"]), rtol=1e-4
    )
    assert (ac.source, ac.evidence) == ("ours2026", "measured silicon")
    assert sheet.costs["weight_write"].source == "davies2018"  # not fitted: still the prior's
    assert set(sheet.includes) == set(joulax.datasheet("loihi").includes)
    joulax.register(sheet)
    low, value, high = energy(accounts[0], joulax.interval("loihi@bench")).total
    assert low < value < high
    np.testing.assert_allclose(float(value), truth[0] * 1e12, rtol=2e-2)
    assert "@misc{ours2026, title={Ours}}" in joulax.bibtex(hardware("loihi@bench"))


def test_joules_where_picojoules_are_meant_warn():
    accounts = [[activity(ac=1e6, updates=1e3)], [activity(ac=1e3, updates=1e6)]]
    with pytest.warns(UserWarning, match="are they in pJ"):
        joulax.calibrate(accounts, [23.6e-6, 81e-6], "loihi")
    fit = joulax.calibrate(accounts, [23.6, 81.0], "loihi", unit="uJ")
    np.testing.assert_allclose(float(fit.chip.costs.ac), 23.6, rtol=1e-2)
    with pytest.raises(ValueError, match="unit 'kWh' is none of"):
        joulax.calibrate(accounts, [1.0, 1.0], "loihi", unit="kWh")
