"""Every class of hardware through every function that takes one."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax import activity, energy, hardware, models

ACCOUNT = {
    f"layer {i}": activity(
        ac=1000 * i,
        dense_ac=4000 * i,
        spikes=10 * i,
        updates=500,
        neurons=50,
        synapses=400,
        events=20 * i,
    )
    for i in (1, 2, 3)
}
CPU = hardware("cpu")
FAMILY = {
    "Chip": lambda: hardware("truenorth"),
    "power × time": lambda: hardware("nucleo_l4r5zi"),
    "call": lambda: hardware("movidius"),
    "PerCall": lambda: models.PerCall(CPU, 5e9, 4),
    "PerCall of TrueNorth": lambda: models.PerCall(hardware("truenorth"), 7.0),
    "Memory": lambda: models.Memory(weight_bits=8, states=models.sram(8e3)),
    "bit width": lambda: models.bit_width(8),
    "Routed": lambda: models.Routed(hardware("loihi"), 16, 1.5, 3.5),
    "Lemaire": lambda: models.Lemaire2022(),
}


def total(chip, account=ACCOUNT):
    return energy(account, chip, 1e-3, batch=1).total


@pytest.fixture(params=FAMILY)
def chip(request):
    return FAMILY[request.param]()


def test_stacked(chip):
    """A stack equals each, directly and mapped."""
    chips = joulax.stack([chip, joulax.scaled(chip, 3.0)])
    alone = [float(total(chip)), float(total(joulax.scaled(chip, 3.0)))]
    np.testing.assert_allclose(total(chips), alone, rtol=2e-6)
    np.testing.assert_allclose(jax.vmap(total)(chips), alone, rtol=2e-6)
    assert len(chips.chips) == 2


def test_scaled(chip):
    """Energy is homogeneous in its numbers; dynamic and static can be told apart."""
    np.testing.assert_allclose(total(joulax.scaled(chip, 2.5)), 2.5 * total(chip), rtol=1e-5)
    dynamic = joulax.scaled(chip, dynamic=2.0)
    static = float(energy(ACCOUNT, chip, 1e-3, batch=1).total) - float(
        energy(ACCOUNT, chip, 0.0, batch=1).total
    )
    np.testing.assert_allclose(float(total(dynamic)), 2 * float(total(chip)) - static, rtol=1e-4)


def test_intervals_and_samples(chip):
    low, value, high = total(joulax.interval(chip))
    assert low <= value <= high
    np.testing.assert_allclose(value, total(chip), rtol=1e-6)
    drawn = total(joulax.sample(chip, jax.random.key(0), 64))
    assert drawn.shape == (64,)
    np.testing.assert_allclose(np.median(drawn), float(value), rtol=0.2)


def test_calibrated(chip):
    """Numbers twice as large as the prior's are found from measurements without noise."""
    rng = np.random.default_rng(0)
    accounts = [
        jax.tree.map(lambda x, f=f: x * jnp.asarray(f, x.dtype), ACCOUNT["layer 1"])
        for f in rng.uniform(1, 9, 6)
    ]
    accounts = [{"a": a, "b": ACCOUNT["layer 2"]} for a in accounts]
    measured = [2 * float(total(chip, a)) for a in accounts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # prices that these few networks cannot tell apart
        fit = joulax.calibrate(
            accounts, measured, chip, durations=1e-3, batches=1, noise=0.01, trust=3.0
        )
    np.testing.assert_allclose(fit.residuals, 0, atol=2e-2)
    np.testing.assert_allclose(total(fit.chip, accounts[0]), measured[0], rtol=2e-2)
    assert total(fit.sample(jax.random.key(1), 8), accounts[0]).shape == (8,)


def test_reported_and_compared(chip):
    text = str(joulax.report(energy(ACCOUNT, chip, 1e-3, batch=1)))
    assert chip.called.split(" with ")[0] in text
    table = joulax.evaluate(ACCOUNT, [chip, "45nm"], 1e-3, batch=1)
    np.testing.assert_allclose(next(iter(table.totals.values())), float(total(chip)), rtol=1e-5)


def test_replaced(chip):
    """Numbers by name, in the chip inside too."""
    name = "mac" if "costs" in chip.__dataclass_fields__ or hasattr(chip, "chip") else "add"
    changed = chip.replace(**{name: 77.0})
    assert float(changed.costs.mac if name == "mac" else changed.add) == 77.0
    with pytest.raises((TypeError, ValueError)):
        chip.replace(synop=1.0)


def test_dram_has_a_published_range():
    """1.3 to 2.6 nJ an access of 64 bits."""
    low, value, high = joulax.interval(models.Memory()).weights
    assert low == value
    np.testing.assert_allclose(high / value, 2.0)


def test_what_has_no_datasheet_has_no_range():
    with pytest.raises(ValueError, match="no datasheet"):
        joulax.interval(joulax.scaled("loihi", 2.0))
    both = joulax.scaled(joulax.interval("loihi"), 2.0)
    np.testing.assert_allclose(both.costs.neuron_update, [104, 162, 162], rtol=1e-6)


def test_stacks_of_different_kinds_are_refused():
    with pytest.raises(ValueError, match="one class"):
        joulax.stack(["loihi", models.Memory()])
    with pytest.raises(ValueError, match="at least one"):
        joulax.stack([])
    with pytest.raises(ValueError, match="a list of chips"):
        joulax.stack("loihi")
    with pytest.raises(ValueError, match="stack already"):
        joulax.stack([joulax.stack(["loihi"]), "loihi"])
    with pytest.raises(ValueError, match="leaky must be the same"):
        joulax.stack([models.Lemaire2022(), models.Lemaire2022(leaky=True)])
