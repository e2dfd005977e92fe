"""Measured energies: scopes that must agree, and a page that says what is predicted today."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

import joulax
from joulax import Measurement, activity, energy, hardware

QUARTZ = [activity(ac=252890, updates=5570 * 51)]


def test_quartz_on_loihi():
    """33.77 µJ measured; 5570 compartments × 51 steps and 252 890 synops: 0.858 of it, inside 52–81
    pJ an update.
    """
    found = Measurement(33.77e6, "cores, dynamic").compare(energy(QUARTZ, hardware("loihi")))
    np.testing.assert_allclose(found.ratio, 0.858, atol=5e-4)
    assert found.inside
    assert found.low < found.ratio <= found.high
    synops_only = Measurement(33.77e6, "cores, dynamic").compare(
        energy([activity(ac=252890)], hardware("loihi"))
    )
    assert not synops_only.inside


@pytest.mark.parametrize("scope", ["chip, total", "board, dynamic", "system, total"])
def test_scopes_must_agree(scope):
    with pytest.raises(ValueError, match="different energies"):
        Measurement(1e6, scope).compare(energy(QUARTZ, hardware("loihi")))


def test_a_chip_without_a_sheet_has_no_scope():
    prices = joulax.costs(ac=1.0, weight_read=0, state_read=0, state_write=0)
    with pytest.raises(ValueError, match="no datasheet"):
        Measurement(1e6, "chip, total").compare(
            energy([activity(ac=1)], joulax.Chip(prices, name="unheard of"))
        )


def test_negative_dynamic_energy_is_no_measurement():
    with pytest.raises(ValueError, match="idle was above running"):
        Measurement(-6.0, "chip, dynamic")


@pytest.mark.parametrize("name", joulax.catalogue())
def test_every_priced_sheet_says_what_it_predicts(name):
    assert joulax.datasheet(name).measured_scope or joulax.datasheet(name).evidence == "unsourced"


BENCHMARKS = pathlib.Path(__file__).parent.parent / "benchmarks"


@pytest.mark.slow
def test_the_page_is_what_the_library_predicts():
    script = BENCHMARKS / "fidelity.py"
    subprocess.run([sys.executable, str(script), "--check"], check=True)


def test_the_page_has_three_classes_and_their_aims():
    """Of the independent rows with a narrow range nine in ten are inside, median error ≤ 8 %."""
    text = (BENCHMARKS.parent / "docs" / "fidelity.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| Independent")]
    (row,) = rows
    share, median = (float(cell.strip().split()[0]) for cell in row[-3:-1])
    assert share >= 90
    assert median <= 8


def test_a_wide_range_says_nothing():
    """12.7 to 54 pJ is a factor of four: the measurement inside of it proves nothing."""
    found = Measurement(35e6, "chip, total").compare(
        energy([activity(ac=655360)], hardware("odin@all-in"))
    )
    assert found.inside
    assert not found.narrow


def test_a_lower_bound_is_contradicted_from_below_only():
    result = energy([activity(mac=172800)], hardware("gpu"))
    above = Measurement(29.67e9, "processor, dynamic").compare(result)
    below = Measurement(10e6, "processor, dynamic").compare(result)
    assert above.bound
    assert above.inside
    assert above.ratio < 0.01
    assert not below.inside
    assert below.ratio > 5


def test_a_changed_price_has_no_range():
    changed = hardware("loihi").replace(neuron_update=52.0)
    found = Measurement(33.77e6, "cores, dynamic").compare(energy(QUARTZ, changed))
    assert found.low == found.ratio == found.high
    np.testing.assert_allclose(found.ratio, (252890 * 23.6 + 284070 * 52) / 33.77e6, rtol=1e-6)


# -- boards and power × time -------------------------------------------------------


def tiny():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import tiny_networks
    finally:
        sys.path.remove(str(BENCHMARKS))
    return tiny_networks


@pytest.mark.parametrize("name", ["ad", "kws", "vww", "ic"])
def test_networks_by_their_shapes(name):
    """The multiply-accumulates that the closed division fixes, padding included; fewer are real."""
    networks = tiny()
    padded, real = (
        sum(float(r.dense_mac) for r in networks.account(name, padded=p).values())
        for p in (True, False)
    )
    assert padded == networks.MACS[name]
    assert real == {"ad": 264_192, "kws": 2_562_432, "vww": 7_399_464, "ic": 11_574_592}[name]


def test_a_board_is_power_times_time():
    """43.9 mW (median of four networks) for 1/15.884 s; whatever the network computes."""
    account = tiny().account("kws")
    result = energy(account, "nucleo_l4r5zi", 1 / 15.884)
    np.testing.assert_allclose(float(result.total), 43.9e9 / 15.884, rtol=2e-3)
    assert float(result.per_operation.mac) == 0
    found = Measurement(2833.14e6, "board, total").compare(result)
    assert found.inside
    assert found.narrow
    with pytest.raises(ValueError, match="needs the duration"):
        energy(account, "nucleo_l4r5zi")


def test_a_board_is_calibrated_in_one_call():
    """45 mW for 10, 20 and 30 ms."""
    accounts = [[activity(mac=1e6 * k)] for k in (1, 2, 3)]
    times = np.array([1e-2, 2e-2, 3e-2])
    fit = joulax.calibrate(
        accounts, 45e3 * times, "nucleo_l4r5zi", durations=times, unit="uJ", trust=10
    )
    assert fit.names == ("static_power",)
    np.testing.assert_allclose(float(fit.chip.static_power), 45e9, rtol=1e-3)
    sheet = fit.datasheet("my board", source="bench", where="run 1")
    assert sheet.scope == "power × time"
    np.testing.assert_allclose(sheet.busy_power.value, 45e9, rtol=1e-3)


def test_calls_are_shared_by_a_batch():
    """27.8 mJ a call and 1.42 nJ a MAC, of 172 800."""
    record = [activity(mac=172800)]
    with pytest.raises(ValueError, match="spends energy on every call.*batch="):
        energy(record, "quadro_k4000")
    for batch in (1, 8, 64):
        total = float(energy(record, "quadro_k4000", batch=batch).total)
        np.testing.assert_allclose(total, 27.8e9 / batch + 172800 * 1420, rtol=1e-6)
    with pytest.raises(ValueError, match="batches up to 1, and 64"):
        energy(record, "xeon_e5_2630", batch=64)
    with pytest.raises(ValueError, match="layers up to 3, and 4 was asked"):
        energy(record * 4, "quadro_k4000", batch=1)
    chips = joulax.stack(["quadro_k4000", "xeon_e5_2630"])
    totals = np.asarray(energy(record, chips, batch=64).total)
    assert np.isnan(totals).tolist() == [False, True]


def test_batches_share_static_power_and_idle_is_extra():
    """10 mW for 2 s shared by 4, and 1 mW for 3 s of waiting."""
    chip = joulax.Chip(joulax.costs(ac=1.0), 10e9, name="c", idle_power=1e9)
    record = [activity(ac=5.0)]
    call = lambda **more: float(energy(record, chip, 2.0, others=0, **more).total)
    np.testing.assert_allclose(call(), 5 + 20e9, rtol=1e-6)
    np.testing.assert_allclose(call(batch=4), 5 + 5e9, rtol=1e-6)
    np.testing.assert_allclose(call(idle=3.0), 5 + 23e9, rtol=1e-6)
    with pytest.raises(ValueError, match="states no idle power"):
        energy(record, "loihi", idle=1.0, others=0)


def test_a_regulator_follows_the_voltage():
    """STM32L4R5 from 1.8 to 3.0 V: × 1.65 measured, × 1.67 by V, × 2.78 by V²."""
    low, high = (joulax.datasheet(f"nucleo_l4r5zi@{n}").busy_power for n in ("st-v1.0", "krai-7.3"))
    assert 1.62 < high.value / low.value < 1.70
    scaled = joulax.scaled("nucleo_l4r5zi@st-v1.0", static=3.0 / 1.8)
    np.testing.assert_allclose(float(scaled.static_power), low.value * 3 / 1.8, rtol=1e-6)
