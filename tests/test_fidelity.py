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
    assert found.low < found.ratio < found.high
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


def test_the_page_is_what_the_library_predicts():
    script = pathlib.Path(__file__).parent.parent / "benchmarks" / "fidelity.py"
    subprocess.run([sys.executable, str(script), "--check"], check=True)
