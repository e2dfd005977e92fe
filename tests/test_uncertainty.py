"""Ranges, samples, calibration, many chips."""

import jax
import numpy as np
import pytest

import joulax
from joulax import (
    activity,
    calibrate,
    energy,
    evaluate,
    hardware,
    interval,
    probability_cheaper,
    sample,
)

RECORD = activity(
    ac=1000, dense_ac=4000, spikes=10, updates=500, neurons=5, synapses=40, nonzero=40
)
KEY = jax.random.key(3)


def test_interval_of_loihi():
    """Synops 23.6, of which no range was published; updates 81 (52–81)."""
    low, value, high = (float(t) for t in energy([RECORD], interval("loihi")).total)
    np.testing.assert_allclose(
        (low, value, high), (23600 + 26000, 23600 + 40500, 23600 + 40500), rtol=1e-6
    )


@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_interval_contains_the_value_on_every_chip(every):
    for name in list(joulax.catalogue())[::every]:
        call = lambda chip: energy([RECORD], chip, 1e-3, batch=1, others=0)
        low, value, high = call(interval(name)).total
        assert low <= value <= high, name
        if not any(q.has_range for q in joulax.datasheet(name).charged):
            assert float(low) == float(high) == float(value)


def test_interval_of_an_unknown_chip_says_what_to_do():
    with pytest.raises(ValueError, match="register"):
        interval(joulax.Chip(joulax.costs(ac=1.0), name="mine"))


def test_samples_have_the_published_median_and_range():
    chip = sample("loihi", KEY, 20_000)
    assert chip.costs.ac.shape == (20_000,)
    updates = np.asarray(chip.costs.neuron_update)
    np.testing.assert_allclose(np.median(updates), 81, rtol=1e-2)
    np.testing.assert_allclose(np.mean(updates < 52), 0.025, atol=4e-3)
    assert updates.max() <= 81.001
    assert np.ptp(chip.costs.ac) == np.ptp(chip.costs.spike) == 0


def test_a_thousand_sampled_chips_equal_a_loop():
    chips = sample("loihi", KEY, 1000)
    together = energy([RECORD], chips).total
    call = jax.jit(lambda chip: energy([RECORD], chip).total)
    alone = [float(call(jax.tree.map(lambda x, i=i: x[i], chips))) for i in range(1000)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_probability_with_shared_prices():
    """On one chip more operations always cost more, however unsure the prices; the same network
    ties.
    """
    less, more = (
        energy([RECORD], hardware("loihi")),
        energy([jax.tree.map(lambda x: 1.01 * x, RECORD)], hardware("loihi")),
    )
    assert float(probability_cheaper(less, more)) == 1.0
    assert float(probability_cheaper(more, less)) == 0.0
    assert float(probability_cheaper(less, less)) == 0.5
    other = energy([RECORD], hardware("loihi@keras-spiking"))
    assert (
        0.0
        < float(
            probability_cheaper(energy([activity(ac=1000, updates=650)], hardware("loihi")), other)
        )
        < 1.0
    )


def test_report_prints_the_range():
    text = str(joulax.report(energy([RECORD], hardware("loihi"))))
    assert "64 nJ (50–64)" in text
    assert "(" not in str(joulax.report(energy([RECORD], hardware("45nm")))).splitlines()[0]


# -- calibration ----------------------------------------------------------------

PLANTED = joulax.costs(
    ac=30.0, neuron_update=60.0, spike=0, weight_read=0, state_read=0, state_write=0
)


def measurements(n, *, power=None, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    accounts = [[activity(ac=float(a), updates=float(u))] for a, u in rng.uniform(1e3, 1e6, (n, 2))]
    times = rng.uniform(1e-3, 1e-2, n)
    chip = joulax.Chip(PLANTED, power, name="planted")
    energies = np.array(
        [float(energy(a, chip, float(t)).total) for a, t in zip(accounts, times, strict=True)]
    )
    return accounts, energies * np.exp(noise * rng.standard_normal(n)), times


def test_planted_costs_are_recovered():
    accounts, energies, _ = measurements(40, noise=0.05)
    fit = calibrate(accounts, energies, "loihi", noise=0.05)
    found = np.array([float(fit.chip.costs.ac), float(fit.chip.costs.neuron_update)])
    errors = np.array([fit.relative_errors["ac"], fit.relative_errors["neuron_update"]])
    assert np.all(np.abs(np.log(found / [30.0, 60.0])) < 3 * errors)
    assert np.all(errors < 0.05)
    assert np.abs(fit.residuals).max() < 0.25
    totals = energy(accounts[0], fit.sample(KEY, 500)).total
    assert totals.shape == (500,)
    np.testing.assert_allclose(np.median(totals), energies[0], rtol=0.2)


def test_static_power_is_fitted_too():
    accounts, energies, times = measurements(40, power=4e9)
    prior = joulax.Chip(
        joulax.costs(
            ac=20.0, neuron_update=80.0, spike=0, weight_read=0, state_read=0, state_write=0
        ),
        1e9,
        name="prior",
    )
    fit = calibrate(accounts, energies, prior, durations=times, noise=0.01, trust=3.0)
    assert fit.names == ("ac", "neuron_update", "static_power")
    np.testing.assert_allclose(
        [
            float(fit.chip.costs.ac),
            float(fit.chip.costs.neuron_update),
            float(fit.chip.static_power),
        ],
        [30, 60, 4e9],
        rtol=2e-2,
    )


def test_without_evidence_the_prior_stays():
    with pytest.warns(UserWarning, match="cannot tell"):
        fit = calibrate([[activity(ac=1000.0, updates=500.0)]], [64100.0], "loihi")
    np.testing.assert_allclose(float(fit.chip.costs.ac), 23.6, rtol=1e-3)


def test_prices_that_move_together_are_named():
    accounts = [[activity(ac=1e3 * k, updates=2e3 * k)] for k in (1.0, 2.0, 3.0)]
    with pytest.warns(UserWarning, match="cannot tell ac and neuron_update apart"):
        fit = calibrate(accounts, [1e5, 2e5, 3e5], "loihi")
    assert fit.condition > 1e3
    u, v = np.log(float(fit.chip.costs.ac) / 23.6), np.log(float(fit.chip.costs.neuron_update) / 81)
    np.testing.assert_allclose(
        u / v, float(fit.chip.costs.ac) / (2 * float(fit.chip.costs.neuron_update)), rtol=1e-3
    )  # where the prior is stationary
    np.testing.assert_allclose(fit.residuals, 0, atol=2e-2)


def test_negative_dynamic_energy_is_named():
    accounts, energies, _ = measurements(6)
    with pytest.warns(UserWarning, match=r"measurements \[2\] are not positive"):
        fit = calibrate(accounts, np.where(np.arange(6) == 2, -5.0, energies), "loihi")
    assert len(fit.residuals) == 5
    with pytest.raises(ValueError, match="3 accounts and 2 energies"):
        calibrate(accounts[:3], energies[:2], "loihi")


# -- all chips at once ----------------------------------------------------------


def test_evaluate_labels_holes():
    mixed = {"first": activity(mac=100, dense_mac=100, updates=10), "second": RECORD}
    table = evaluate(mixed, ["loihi", "45nm", "truenorth", "cpu"])
    assert table.chips == ("loihi", "45nm", "truenorth", "cpu")
    assert np.isnan(table.totals["loihi"])
    np.testing.assert_allclose(table.totals["45nm"], 460 + 900, rtol=1e-6)
    second = table.layers.index("second")
    np.testing.assert_allclose(np.nansum(table.energies[0, second]), 23600 + 40500, rtol=1e-6)
    text = str(table)
    assert "n/a: loihi: no price for mac in first" in text
    assert "truenorth: draws static power" in text
    assert table.sorted().chips[0] == "45nm"
    assert set(table.sorted().chips[-2:]) == {"loihi", "truenorth"}


def test_evaluate_everywhere():
    """Holes are the chips that do not say what their price contains."""
    table = evaluate([RECORD], duration=1e-3, batch=1)
    for name, total, why in zip(table.chips, table.totals.values(), table.missing, strict=True):
        unknown = {*joulax.datasheet(name).unknown} - {"mac", "weight_write", "hop"}
        assert np.isnan(total) == bool(unknown) == ("no price" in why), name
    for name in ("loihi", "odin", "cpu"):
        np.testing.assert_allclose(
            table.totals[name], float(energy([RECORD], hardware(name), 1e-3).total), rtol=1e-6
        )


def test_evaluate_to_pandas():
    pytest.importorskip("pandas")
    frame = evaluate({"a": RECORD}, ["loihi", "45nm"]).to_pandas()
    np.testing.assert_allclose(frame.loc[("loihi", "a"), "neuron_update"], 40500, rtol=1e-6)


def test_evaluate_takes_models_too():
    lemaire = joulax.models.Lemaire2022()
    table = evaluate(
        [
            activity(
                ac=500, dense_ac=4000, spikes=5, updates=40, neurons=10, synapses=1000, events=50
            )
        ],
        [lemaire, "45nm"],
    )
    np.testing.assert_allclose(table.totals["Lemaire 2022"], 22411.99056, rtol=1e-6)
    np.testing.assert_allclose(table.totals["45nm"], 500 * 0.9, rtol=1e-6)
