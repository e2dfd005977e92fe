"""The examples beyond the main job, with few seeds, budgets and epochs: their claims are asserted
in them.
"""

import os
import pathlib
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def run(name, *options, folder):
    environment = {**os.environ, "MPLBACKEND": "Agg", "JAX_ENABLE_X64": "0"}
    command = [sys.executable, str(EXAMPLES / name), *options]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=folder, env=environment
    ).stdout


@pytest.mark.slow
def test_pareto_front(tmp_path):
    """Three budgets, two seeds, in one vmapped run: budgets are met, nothing collapses."""
    out = run("pareto.py", "--budgets", "3", "--seeds", "2", "--epochs", "12", folder=tmp_path)
    assert "6 networks" in out
    assert (tmp_path / "pareto.png").stat().st_size > 10_000


@pytest.mark.slow
def test_event_stream(tmp_path):
    out = run(
        "event_stream.py",
        "--epochs",
        "4",
        "--copies",
        "1",
        "--slack",
        "0.3",
        "--points",
        "15",
        folder=tmp_path,
    )
    assert "M synops/s" in out


@pytest.mark.slow
def test_a_twentieth_of_the_energy(tmp_path):
    """The main example at --target 0.05: the budget is met; accuracy within two points for one
    seed.
    """
    out = run("train_to_energy_target.py", "--target", "0.05", "--points", "2", folder=tmp_path)
    assert "target 5.0 %" in out


@pytest.mark.slow
def test_networks(tmp_path):
    """ResNet-50, ViT-B/16 and GPT-2 by their shapes: the figures are asserted there."""
    out = run("networks.py", folder=tmp_path)
    assert "blocks[0..11].attention.qkv" in out


def test_convolutions_inside_and_outside_of_the_scan(tmp_path):
    assert "layer by layer" in run("convolutional_network.py", folder=tmp_path)
