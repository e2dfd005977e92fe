"""Against an analog twin; hot spots; the monitor."""

import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import joulax
from joulax import activity, ann_twin, break_even_rate, compare, energy, hardware, hotspots
from joulax.models import Memory, bit_width
from joulax.neurons import LIF, Network

N, M = 100, 10  # a dense layer


def snn(steps, rate=1.0):
    """Every input fires at `rate`; neurons are not charged."""
    events = N * M * steps * rate
    return {
        "fc": activity(
            ac=events,
            dense_ac=N * M * steps,
            spikes=0,
            updates=0,
            neurons=M,
            synapses=N * M,
            nonzero=N * M,
        )
    }


@pytest.mark.parametrize(("precision", "factor"), [("fp32", 5.1111), ("int8", 7.6667)])
def test_free_memory_leaves_the_ratio_of_arithmetic(precision, factor):
    """One step at rate 1: the break-even factor is E_MAC / E_ADD."""
    chip = hardware(f"45nm@{precision}")
    account = snn(1)
    np.testing.assert_allclose(
        float(break_even_rate(account, ann_twin(account, 1), chip, chip)), factor, rtol=1e-4
    )


def test_off_chip_weights():
    """20 pJ a bit off chip, 0.25 pJ a bit of state, 0.054 pJ an accumulate; 8-bit weights against
    those of ⌈log₂(T+1)⌉ bits.
    """
    rates = {}
    for steps in range(5, 11):
        bits = joulax.twin_bits(steps)
        spiking = Memory(
            add=0.054, multiply=0.2, weights=20.0, weight_bits=8, states=0.25, state_bits=8
        )
        analog = bit_width(bits, weights=20.0)
        account = snn(steps)
        rates[steps] = float(break_even_rate(account, ann_twin(account, steps), spiking, analog))
    assert rates[5] > rates[6] > rates[7]  # three bits
    assert rates[8] > rates[9] > rates[10]  # four bits
    assert rates[8] > rates[7]
    np.testing.assert_allclose(np.mean(list(rates.values())), 0.06, atol=2.5e-3)


def test_equal_memory_pulls_the_break_even_to_one_spike():
    """Weights at 10 pJ on both sides: 1.01994 spikes per synapse, at int8."""
    chip = Memory(add=0.03, multiply=0.2, weight_bits=1, weights=10.0)
    account = snn(1)
    np.testing.assert_allclose(
        float(break_even_rate(account, ann_twin(account, 1), chip, chip)), 10.23 / 10.03, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("steps", "bits"), [(1, 1), (3, 2), (5, 3), (7, 3), (8, 4), (15, 4), (16, 5)]
)
def test_twin_bits(steps, bits):
    assert joulax.twin_bits(steps) == bits


def test_the_energy_is_affine_in_the_rate():
    account, chip = snn(4, 0.3), hardware("loihi")
    at = [float(energy(joulax.at_rate(account, f), chip).total) for f in (0.0, 1.0, 2.5)]
    np.testing.assert_allclose(at[2], at[0] + 2.5 * (at[1] - at[0]), rtol=1e-6)
    twin, arm = ann_twin(account, 4), hardware("arm")
    even = float(break_even_rate(account, twin, chip, arm))
    np.testing.assert_allclose(
        energy(joulax.at_rate(account, even), chip).total, energy(twin, arm).total, rtol=1e-5
    )


def test_sensitivity_by_hand():
    """Without other terms s* = E_MAC / (T E_ADD): 1 % more on either side moves it by 1 %."""
    chip = hardware("45nm@fp32")
    found = joulax.sensitivity(snn(4), ann_twin(snn(4), 4), chip, chip)
    np.testing.assert_allclose(float(found["snn"]["costs.ac"]), -1, rtol=1e-5)
    np.testing.assert_allclose(float(found["ann"]["costs.mac"]), 1, rtol=1e-5)


def test_arithmetic_and_memory_stand_side_by_side():
    """At 25 % over four steps an accumulate is cheap, a fetched weight is not."""
    report = compare(snn(4, 0.25), 4, {"deployed": ("loihi", "arm")})
    assert list(report.rows) == [
        "arithmetic only, int8",
        "weights on chip",
        "weights off chip",
        "deployed",
    ]
    np.testing.assert_allclose(report.rate, 0.25)
    assert report.bits == 3
    np.testing.assert_allclose(
        report.rows["arithmetic only, int8"]["ratio"], 0.03 / 0.23, rtol=1e-5
    )
    assert 0.9 < report.rows["weights off chip"]["ratio"] < 1.1
    text = str(report)
    assert "one pass of 3-bit activations" in text
    assert "cheaper: arithmetic only, int8" in text
    with pytest.raises(ValueError, match="spikes=0"):
        compare({"fc": activity(mac=10)}, 4)


def test_the_plot_meets_one_at_the_break_even_rate():
    pytest.importorskip("matplotlib").use("Agg")
    report = compare(snn(4, 0.25), 4)
    ax = joulax.plot.break_even(report, intervals={"weights off chip": (0.8, 1.3)})
    for line, row in zip(ax.get_lines()[::2], report.rows.values(), strict=False):
        x, y = line.get_data()
        if line.get_label() in report.rows and x[0] < 100 * row["rate"] < x[-1]:
            np.testing.assert_allclose(np.interp(100 * row["rate"], x, y), 1.0, rtol=1e-2)


# -- hot spots ------------------------------------------------------------------

KEYS = jax.random.split(jax.random.key(0), 2)
MODEL = Network([eqx.nn.Linear(6, 5, key=KEYS[0]), LIF(), eqx.nn.Linear(5, 3, key=KEYS[1]), LIF()])
X = (jax.random.uniform(jax.random.key(1), (7, 6)) < 0.5).astype(jnp.float32)


def test_layers_that_dominate():
    account = {"small": activity(ac=10, updates=10), "large": activity(ac=1000, updates=10)}
    result = energy(account, hardware("loihi"))
    first, second = hotspots(result)
    assert (first.layer, second.layer) == ("large", "small")
    np.testing.assert_allclose(first.share, (23600 + 810) / (23836 + 1620), rtol=1e-5)
    np.testing.assert_allclose(first.silencing, 23600, rtol=1e-5)
    assert [s.layer for s in hotspots(account, top=1)] == ["large"]
    assert "saved if silent" in str(hotspots(result))


def test_neurons_and_steps_that_dominate():
    steps = joulax.count(MODEL, spikes=0, steps=7)(X)[1]
    spots = hotspots(steps, top=14)
    assert sum(s.cost for s in spots) == pytest.approx(
        float(sum(r.ac.sum() for r in steps.values()))
    )
    busiest = int(jnp.argmax(steps["layers[0]"].ac))
    assert spots.spots[0].index == (busiest,)
    neurons = joulax.count(MODEL, spikes=0, neurons=True)(X)[1]
    assert {len(s.index) for s in hotspots(neurons)} == {1}


def test_savings_to_first_order():
    """Raising the threshold by a tenth saves what the gradient says, and counting again agrees in
    sign.
    """
    spent = lambda m: joulax.count(m, spikes=0)(X)[1]["layers[2]"].ac
    gradient = eqx.filter_grad(spent)(MODEL)
    found = hotspots(joulax.count(MODEL, spikes=0)(X)[1], model=MODEL, gradient=gradient)
    np.testing.assert_allclose(
        found.savings["layers.1.threshold a tenth higher"],
        -float(gradient.layers[1].threshold) / 10,
        rtol=1e-5,
    )
    higher = eqx.tree_at(lambda m: m.layers[1].threshold, MODEL, MODEL.layers[1].threshold * 1.5)
    assert float(spent(higher)) <= float(spent(MODEL))
    with pytest.raises(ValueError, match="both"):
        hotspots(spent, model=MODEL)


# -- monitor --------------------------------------------------------------------


def test_one_line_an_epoch_without_a_terminal():
    out = io.StringIO()
    result = energy({"a": activity(ac=100, updates=50, spikes=5)}, hardware("loihi"))
    with joulax.Monitor(epochs=2, budget=6410.0, console=Console(file=out)) as monitor:
        monitor.update(loss=0.5, accuracy=jnp.asarray(0.9), result=result, sparsity=0.25)
        monitor.update(loss=0.25)
    first, second = out.getvalue().splitlines()
    assert first.startswith(
        "epoch 1/2: loss 0.5, accuracy 0.9, sparsity 0.25, energy 6.41 nJ (100 % of "
        "the budget), synops 100"
    )
    assert second == "epoch 2/2: loss 0.25"
    assert monitor.history[0]["rate a"] == 0.1


def test_a_budget_below_the_floor_is_said():
    """50 updates of 81 pJ cost 4050 pJ in silence; half of that is no budget."""
    out = io.StringIO()
    result = energy({"a": activity(ac=100, updates=50, spikes=5)}, hardware("loihi"))
    for budget in (2000.0, 4100.0):
        joulax.Monitor(budget=budget, console=Console(file=out)).update(result=result)
    first, second = out.getvalue().splitlines()
    assert "below the floor: 4.05 nJ in silence" in first
    assert "floor" not in second


def test_live_in_a_terminal():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with joulax.Monitor(console=console) as monitor:
        monitor.update(
            loss=0.5, result=energy({"hidden": activity(ac=100, updates=50)}, hardware("loihi"))
        )
    assert "hidden" in out.getvalue()


def test_history_to_pandas_and_plot():
    pytest.importorskip("matplotlib").use("Agg")
    pytest.importorskip("pandas")
    monitor = joulax.Monitor(budget=100.0, console=Console(file=io.StringIO()))
    for accuracy in (0.5, 0.9):
        monitor.update(
            accuracy=accuracy, result=energy({"a": activity(ac=10, updates=1)}, hardware("loihi"))
        )
    frame = monitor.to_pandas()
    assert list(frame.index) == [1, 2]
    assert list(frame["accuracy"]) == [0.5, 0.9]
    assert monitor.plot().get_ylabel() == "energy [nJ]"


def test_the_monitor_stays_outside_of_traces():
    monitor = joulax.Monitor(console=Console(file=io.StringIO()))
    with pytest.raises(ValueError, match="outside"):
        jax.jit(lambda x: monitor.update(loss=x))(1.0)
    with pytest.raises(ValueError, match="budget must be positive"):
        joulax.Monitor(budget=0)


def test_evaluation_has_holes_where_a_chip_needs_what_a_record_lacks():
    """Work that is not skipped needs dense counts; the other chips are priced all the same."""
    record = activity(ac=100, updates=10, neurons=5)
    table = joulax.evaluate([record], ["loihi", "a100", "truenorth"], 1e-3)
    np.testing.assert_allclose(table.totals["loihi"], 100 * 23.6 + 10 * 81, rtol=1e-6)
    assert np.isnan(table.totals["a100"])
    assert "dense_ac" in dict(zip(table.chips, table.missing, strict=True))["a100"]
    assert np.isfinite(table.totals["truenorth"])
    with pytest.raises(ValueError, match="dense_ac"):
        joulax.evaluate([record], ["a100"])
