"""Constants and small rules that nothing else would notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax import activity, energy, models
from joulax.models.lemaire import ram

FACTORS = {  # HP45 at 0.9 V to each process at 1 V: a2 + a1 + a0 over 0.69885, by hand
    "180": 6.66 / 0.69885,
    "130": 3.366 / 0.69885,
    "90": 2.073 / 0.69885,
    "65": 1.332 / 0.69885,
    "HP45": 0.8612 / 0.69885,
    "HP32": 0.5727 / 0.69885,
    "HP20": 0.25584 / 0.69885,
    "HP16": 0.20194 / 0.69885,
    "HP14": 0.16194 / 0.69885,
    "HP10": 0.13744 / 0.69885,
    "HP7": 0.1111 / 0.69885,
    "LP45": 1.0177 / 0.69885,
    "LP32": 0.6446 / 0.69885,
    "LP20": 0.19161 / 0.69885,
    "LP16": 0.15159 / 0.69885,
    "LP14": 0.12154 / 0.69885,
    "LP10": 0.10199 / 0.69885,
    "LP7": 0.07999 / 0.69885,
}


@pytest.mark.parametrize("process", FACTORS)
def test_technology_constants(process):
    """At 1 V the three coefficients add up; at 2 V they count 4, 2, 1."""
    at = lambda volts: float(models.stillmaker(process, volts))
    np.testing.assert_allclose(at(1.0), FACTORS[process], rtol=1e-4)
    a2, a1, a0 = models.scaling._STILLMAKER[process]
    np.testing.assert_allclose(at(2.0), (4 * a2 + 2 * a1 + a0) / 0.69885, rtol=1e-4)
    assert a2 > 0 > a1


UNITS = {
    "fJ": 1e-3, "pJ": 1, "nJ": 1e3, "uJ": 1e6, "µJ": 1e6, "mJ": 1e9, "J": 1e12,
}  # fmt: skip
POWERS = {"pW": 1, "nW": 1e3, "uW": 1e6, "µW": 1e6, "mW": 1e9, "W": 1e12}


@pytest.mark.parametrize("unit", UNITS)
def test_units_of_energy(unit):
    table = {"costs": {"ac": {"value": 3.0, "low": 2.0, "high": 5.0, "unit": unit}}}
    joulax.register({f"in {unit}": table})
    q = joulax.datasheet(f"in {unit}").costs["ac"]
    np.testing.assert_allclose((q.low, q.value, q.high), np.array([2, 3, 5]) * UNITS[unit])
    assert q.unit == "pJ"
    fit = joulax.calibrate(
        [[activity(ac=1e6)], [activity(ac=2e6)]],
        np.array([23.6e6, 47.2e6]) / UNITS[unit],
        "loihi",
        unit=unit,
    )
    np.testing.assert_allclose(float(fit.chip.costs.ac), 23.6, rtol=1e-3)


@pytest.mark.parametrize("unit", POWERS)
def test_units_of_power(unit):
    static = {"value": 3.0, "unit": unit}
    scope = {"scope": "operations + static", "costs": {"ac": 1.0}, "static_power": static}
    joulax.register({f"power in {unit}": scope})
    q = joulax.datasheet(f"power in {unit}").static_power
    np.testing.assert_allclose(q.value, 3 * POWERS[unit])
    assert q.unit == "pW"


def test_prices_of_zero_among_ones_own():
    """Zero is outside the scope, said so, and charged as zero."""
    joulax.register({"with zeros": joulax.costs(ac=2.0, spike=0, hop=0.0, weight_read=1.0)})
    sheet, chip = joulax.datasheet("with zeros"), joulax.hardware("with zeros")
    assert set(sheet.costs) == {"ac", "weight_read"}
    assert set(sheet.excludes) == {"spike", "hop"}
    assert float(chip.costs.spike) == float(chip.costs.hop) == 0.0
    assert chip.costs.neuron_update is None
    total = energy([activity(ac=10.0, spikes=5.0)], chip, others=0).total
    assert float(total) == 30.0


def test_lemaire_convolution_without_steps():
    """2 to 4 channels, 8 × 8, kernel 3: 4608 MACs; 128 inputs, 256 outputs, 72 weights."""
    t = models.lemaire_conv(2, 4, (3, 3), (8, 8), (8, 8))
    expected = {
        "mac": 4608,
        "acc": 256,
        "operations": 4608 * 3.2 + 256 * 0.1,
        "inputs": 4608 * float(ram(128)),
        "weights": 4608 * float(ram(72)),
        "bias": 256 * float(ram(4)),
        "potential_read": 0.0,
        "potential_write": 0.0,
        "outputs": 256 * float(ram(256)),
        "addressing": 0.1 * (128 + 256 + 36),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(float(getattr(t, name)), value, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(float(t.total), sum(list(expected.values())[2:]), rtol=1e-6)
    bare = models.lemaire_conv(2, 4, (3, 3), (8, 8), (8, 8), bias=False)
    assert float(bare.bias) == 0.0
    wide = models.lemaire_conv(2, 4, (3, 3), (8, 8), (4, 4), stride=2, steps=2, events_in=1)
    assert float(wide.acc) == 2 * 2 * 4 + 2 * 64  # ⌈3/2⌉² windows of four channels, and two steps


def test_ranges_of_batched_results():
    """The range of a mean is the mean of the ranges."""
    batch = activity(ac=jnp.array([100.0, 300.0]), updates=jnp.array([10.0, 30.0]))
    result = energy([batch], "loihi")
    assert "(" in joulax.report(result).headline()
    low, high = joulax._fidelity.uncertainty.ranged(result)
    np.testing.assert_allclose((low, high), (200 * 23.6 + 20 * 52, 200 * 23.6 + 20 * 81), rtol=1e-6)
    power = energy([batch], "nucleo_l4r5zi", jnp.array([1.0, 3.0]))
    sheet = joulax.datasheet("nucleo_l4r5zi").busy_power
    np.testing.assert_allclose(
        joulax._fidelity.uncertainty.ranged(power), 2 * np.array(sheet.span), rtol=1e-5
    )


def test_published_powers_and_calls():
    """Numbers of the logs and of MLPerf Tiny that a reader can check."""
    sheet = joulax.datasheet
    call = lambda name: (sheet(name).call.value, sheet(name).costs["mac"].value)
    np.testing.assert_allclose(call("quadro_k4000"), (27.8e9, 1420.0))
    np.testing.assert_allclose(call("jetson_tx1"), (5.22e9, 115.0))
    np.testing.assert_allclose(call("movidius"), (1.44e9, 917.0))
    np.testing.assert_allclose(call("xeon_e5_2630"), (4.83e9, 6900.0))
    assert (sheet("xeon_e5_2630").batches, sheet("quadro_k4000").depth) == (1, 3)
    np.testing.assert_allclose(sheet("quadro_k4000@busy").busy_power.value, 24.2e12)
    board = sheet("gap9").busy_power  # 5.252 µJ · 3682.97 /s, 18.561 · 1368.18, 27.711 · 1043.77
    np.testing.assert_allclose(
        (board.low, board.value, board.high), (19.34e9, 25.39e9, 28.92e9), rtol=1e-3
    )
    np.testing.assert_allclose(
        sheet("brainscales2@ecg").busy_power.value, 192e-6 / 276e-6 * 1e12, rtol=1e-3
    )
    assert sheet("genn_rtx2080ti").costs["ac"].value == 250e3
    assert sheet("inc3000").costs["ac"].value == 284e3
    assert sheet("odin@mnist").facts["energy_per_inference"].value == 15e3
    np.testing.assert_allclose(
        [q.value for q in sheet("morphic@mnist").facts.values()], [205e6, 21.8e6]
    )


def test_grades_of_evidence():
    """Estimated by their authors, or fitted: not measured."""
    for name in ("genn_v100", "nest_xeon", "loihi@sana-fe"):
        assert joulax.datasheet(name).evidence == "derived"
    for name in ("loihi", "loihi2@davies2018"):
        assert not joulax.datasheet(name).costs["ac"].has_range
    assert not joulax.datasheet("truenorth").static_power.has_range
    assert not joulax.datasheet("cpu").costs["mac"].has_range
    assert joulax.datasheet("gpu").scope == "lower bound"


@pytest.mark.parametrize(
    "name", ["tianjic", "seneca", "reckon", "ubrain", "darwin3", "darwin_wafer"]
)
def test_what_nobody_knows_is_unknown(name):
    record = activity(ac=10.0, spikes=1.0, updates=5.0)
    with pytest.raises(ValueError, match=f"{name} has no price for what occurs"):
        energy([record], name)
    told = energy([record], name, assume_included=True)
    np.testing.assert_allclose(
        float(told.total), 10 * joulax.datasheet(name).costs["ac"].value, rtol=1e-6
    )
    assert "assume_included=True" in joulax.report(told).convention()


def test_published_numbers_of_cores_and_memories():
    """Cores, axons and bits a core; power and times of Loihi 1; one bit of a register."""
    assert models.STATIC_CORE == (0.38e9, 0.73e9, 0.82e9)
    assert models.REGISTER == 0.002538
    assert models.DRAM == 20.3125
    expected = {
        "loihi": (1024, 128, 1048576, 4096, 0.73e9, 3.5e-9, 8.4e-9, 113e-9, 465e-9, 4),
        "truenorth": (256, 4096, None, 256, 64.43e9 / 4096, None, None, None, None, 1),
        "odin": (256, 1, None, 256, None, None, None, None, None, 1),
    }
    names = "neurons per_chip memory fan_in static_core synop update barrier barrier_full tile"
    for name, numbers in expected.items():
        cores = models.CORES[name]()
        for field, number in zip(names.split(), numbers, strict=True):
            found = getattr(cores, field)
            assert (found is None) == (number is None), (name, field)
            if number is not None:
                np.testing.assert_allclose(found, number, rtol=1e-6, err_msg=f"{name} {field}")
    optional = dict.fromkeys(("fan_in", "memory", "static_core", "synop", "update", "barrier"))
    assert models.CORES["loihi"]().replace(**optional).fan_in is None


def test_a_range_is_95_percent_of_the_samples():
    """1 of 40 samples of Loihi's update, 52 to 81 pJ with its value at the high end, is beyond."""
    drawn = joulax.sample("loihi", jax.random.key(0), 20_000).costs.neuron_update
    low, high = np.quantile(drawn, [0.025, 0.975])
    np.testing.assert_allclose((low, high), (52, 81), rtol=0.02)


def test_idle_power_lasts_as_long_as_it_idles():
    chip = joulax.hardware("loihi").replace(idle_power=3.0)
    both = joulax.stack([chip, "loihi"])  # one of them states none
    assert np.isnan(both.idle_power).tolist() == [False, True]
    assert float(energy([activity(ac=0)], chip, idle=2.0).total) == 6.0
    assert float(energy([activity(ac=0)], chip, idle=0.5, batch=3).total) == 0.5


def test_many_chips_are_called_by_four():
    names = ["loihi", "odin", "spinnaker2", "darwin3"]
    assert joulax.stack(names).called == "loihi, odin, spinnaker2, darwin3"
    assert joulax.stack([*names, "45nm"]).called == "loihi, odin, spinnaker2, darwin3 and 1 more"


def test_totals_of_layers_that_do_different_things():
    """Records without a common field are priced apart, and joined in order."""
    account = {"a": activity(ac=1.0), "b": activity(mac=1.0), "c": activity(ac=2.0)}
    result = energy(account, "45nm")
    np.testing.assert_allclose(result.layer_totals, [0.9, 4.6, 1.8], rtol=1e-6)
    np.testing.assert_allclose(list(result.per_layer.values()), [0.9, 4.6, 1.8], rtol=1e-6)


@pytest.mark.parametrize("scope", ["headline", "all-in"])
@pytest.mark.parametrize("extra", ["static_power", "busy_power", "call"])
def test_one_price_of_everything_takes_no_further_term(scope, extra):
    unit = {"static_power": "mW", "busy_power": "mW", "call": "nJ"}[extra]
    table = {"scope": scope, "costs": {"ac": 1.0}, extra: {"value": 1.0, "unit": unit}}
    with pytest.raises(ValueError, match=f"{scope}|busy_power is all of it"):
        joulax.register({"more": table})


def test_units_of_changed_numbers():
    """Prices are picojoules, whether the sheet has them or not; shares have no unit."""
    chip = joulax.hardware("loihi").replace(ac=10.0, hop=3.0, skips_zeros=0.5)
    (found,) = joulax.provenance(chip)
    units = {c.number: (c.value, c.unit) for c in found.changes}
    assert units == {"ac": (10.0, "pJ"), "hop": (3.0, "pJ"), "skips_zeros": (0.5, "")}
    one = joulax.provenance(joulax.stack([chip]))[0]
    assert {c.number: (c.value, c.unit) for c in one.changes} == units
    drawn = joulax.provenance(joulax.sample("loihi", jax.random.key(0), 3))
    assert not any(found.changes for found in drawn)


def test_a_fit_shows_what_it_started_from_and_its_worst_residual():
    runs = [[activity(ac=1e6)], [activity(ac=2e6)], [activity(ac=4e6)]]
    text = str(joulax.calibrate(runs, np.array([25e6, 50e6, 110e6]), "loihi"))
    (row,) = (line.split() for line in text.splitlines() if line.startswith("ac "))
    assert row[:2] == ["ac", "23.6"]
    fitted = float(row[2])
    worst = max(abs(fitted * n / e - 1) for n, e in ((1e6, 25e6), (2e6, 50e6), (4e6, 110e6)))
    shown = float(text.split("largest residual ")[1].split(" %")[0])
    assert shown == pytest.approx(100 * worst, abs=0.3)
    assert "3 measurements" in text


def test_figures_do_not_depend_on_how_chips_and_samples_were_mapped():
    """Chips lead, or samples do: the rows of the report are the same."""
    batch = activity(ac=jnp.array([100.0, 300.0, 500.0]), updates=jnp.array([1.0, 2.0, 3.0]))
    chips = joulax.stack(["loihi", "spinnaker2"])
    priced = lambda record, chip: energy({"only": record}, chip)
    outside = jax.vmap(jax.vmap(priced, (0, None)), (None, 0))(batch, chips)
    inside = jax.vmap(jax.vmap(priced, (None, 0)), (0, None))(batch, chips)
    assert inside.total.shape == (3, 2)
    assert str(joulax.report(outside)) == str(joulax.report(inside))


def test_inside_and_narrow_at_their_edges():
    """Narrow: less than a factor of 2; inside: within 15 %; a bound only from below."""
    made = lambda low, high, bound=False: joulax.Comparison(low, 1.0, high, 0.15, bound)
    assert made(0.9, 1.75).narrow
    assert not made(0.9, 1.85).narrow
    assert made(1.1, 1.2).inside
    assert not made(1.2, 1.3).inside
    assert made(0.8, 0.9).inside
    assert not made(0.7, 0.8).inside
    assert made(0.2, 0.3, True).inside
    assert not made(1.2, 1.3, True).inside


def test_a_source_of_ones_own_is_an_entry():
    table = {"costs": {"ac": {"value": 1.0, "source": "my lab: board/3"}}}
    joulax.register({"own source": table})
    text = joulax.bibtex(joulax.hardware("own source"))
    assert text.startswith("@misc{my-lab:-board-3, note={my lab: board/3: a source")


def test_a_call_is_added_to_static_energy():
    chip = models.PerCall(joulax.hardware("truenorth"), 5e6)
    bare = energy([activity(ac=1.0)], "truenorth", 1.0).total
    np.testing.assert_allclose(energy([activity(ac=1.0)], chip, 1.0).total - bare, 5e6, rtol=1e-2)


def test_lemaire_without_bias_reads_weights_only():
    record = activity(ac=100, updates=10, spikes=3, neurons=5, synapses=50, events=20)
    with_bias = energy([record], models.Lemaire2022(), others=0).per_operation
    without = energy([record], models.Lemaire2022(bias=False), others=0).per_operation
    words = float(models.Lemaire2022().ram(50))
    np.testing.assert_allclose(without.weight_read, 100 * words, rtol=1e-6)
    extra = 10 * float(models.Lemaire2022().ram(5))
    np.testing.assert_allclose(with_bias.weight_read - without.weight_read, extra, rtol=1e-4)


def test_a_result_says_how_many_samples_it_is_the_mean_of():
    two = activity(ac=jnp.array([1.0, 3.0]))
    assert "mean of 2 samples" in str(energy([two], "loihi"))
    assert "mean of" not in str(energy([activity(ac=1.0)], "loihi"))
    ranged = joulax._fidelity.uncertainty.ranged
    record = [activity(ac=1.0, updates=1.0)]
    assert ranged(energy(record, "loihi")) is not None
    assert ranged(energy(record, joulax.stack(["loihi", "loihi"]))) is None


def test_prices_that_move_together_are_named():
    """Accumulates and updates always in one ratio; weight writes by themselves."""
    rng = np.random.default_rng(0)
    runs, energies = [], []
    for n, w in rng.uniform(1e6, 1e7, (6, 2)):
        runs.append([activity(ac=n, updates=2 * n, writes=w)])
        energies.append(n * 23.6 + 2 * n * 81 + w * 120)
    with pytest.warns(UserWarning, match="tell ac and neuron_update apart"):
        fit = joulax.calibrate(runs, np.array(energies), "loihi")
    assert fit.condition > 1e3


def test_a_fitted_power_is_shown_in_milliwatts():
    times = [0.1, 0.2, 0.4]
    chip = joulax.hardware("truenorth")
    runs = [[activity(ac=n)] for n in (1e9, 2e9, 1e9)]
    measured = [float(energy(r, chip, t).total) for r, t in zip(runs, times, strict=True)]
    text = str(joulax.calibrate(runs, np.array(measured), chip, durations=times))
    (row,) = (line.split() for line in text.splitlines() if line.startswith("static power"))
    np.testing.assert_allclose(float(row[2]), float(chip.static_power) / 1e9, rtol=1e-2)
    np.testing.assert_allclose(float(row[3]), float(chip.static_power) / 1e9, rtol=1e-2)
    assert row[4] == "mW"


@pytest.mark.parametrize(
    ("name", "needs"),
    [("loihi", ""), ("truenorth", "duration"), ("nucleo_l4r5zi", "duration")],
)
def test_the_catalogue_says_what_a_chip_needs(name, needs):
    """A duration, for static power and for power while busy."""
    rows = str(joulax.catalogue(priced=None)).splitlines()
    (row,) = (line for line in rows if line.startswith(f"{name} "))
    assert row.rstrip().endswith("duration") == (needs == "duration")
