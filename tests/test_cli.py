"""The command line: output, exit codes, errors in words."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest

import joulax
from joulax.__main__ import main

COUNTS = "layer,ac,spikes,updates\nhidden,1000,20,400\ntotal,300,5,10\n"


@pytest.fixture
def counts(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text(COUNTS)
    return str(path)


def test_account_on_one_chip(counts, capsys):
    assert main(["account", counts, "--on", "loihi"]) == 0
    out = capsys.readouterr().out
    assert f"{(1300 * 23.6 + 410 * 81) / 1e3:.1f} nJ" in out
    assert "davies2018" in out


def test_account_on_several(counts, capsys):
    assert main(["account", counts, "--on", "loihi", "--on", "truenorth", "--as", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {r["chip"] for r in rows} == {"loihi", "truenorth"}
    assert main(["account", counts, "--on", "truenorth", "--duration", "0.01"]) == 0
    assert "static power" in capsys.readouterr().out


def test_json_loads_back(counts, capsys, tmp_path):
    assert main(["account", counts, "--on", "loihi", "--json"]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["kind"] == "Report"
    (tmp_path / "r.json").write_text(text)
    assert main(["show", str(tmp_path / "r.json"), "--as", "latex"]) == 0
    assert r"\toprule" in capsys.readouterr().out
    assert main(["account", str(tmp_path / "r.json"), "--on", "45nm"]) == 0
    assert "1.17 nJ" in capsys.readouterr().out
    assert isinstance(joulax.load(text), joulax.Report)


def test_chips_and_chip(capsys):
    assert main(["chips", "--kind", "gpu"]) == 0
    assert "a100" in capsys.readouterr().out
    assert main(["chip", "loihi"]) == 0
    assert "23.6" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["chip", "loihy"], "did you mean 'loihi'"),
        (["account", "nowhere.csv", "--on", "loihi"], "nowhere.csv"),
        (["chips", "--kind", "toaster"], "the choices are"),
    ],
)
def test_errors_in_words(arguments, text, capsys):
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("joulax: ")
    assert text in captured.err
    assert not captured.out


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("a,b\n1,2\n", "needs a first line"),
        ("layer,acs\nx,2\n", "no count is called 'acs'"),
        ("layer,ac\nx,2\nx,3\n", "twice"),
        ("layer,ac\nx,-2\n", "layer 'x'"),
        ("layer,ac\nx,many\n", "layer 'x'"),
    ],
)
def test_bad_tables(table, text, tmp_path, capsys):
    path = tmp_path / "c.csv"
    path.write_text(table)
    assert main(["account", str(path), "--on", "45nm"]) == 1
    assert text in capsys.readouterr().err


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "counts.csv has one row a layer" in capsys.readouterr().out
    assert main([]) == 2
    with pytest.raises(SystemExit) as stop:
        main(["account"])
    assert stop.value.code == 2


def test_own_chips(counts, tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text(
        '["cli@bench"]\nincludes = ["weight_read", "state_read", "state_write", "spike"]\n'
        '["cli@bench".costs]\nac = 2.0\nneuron_update = 0.0\n'
    )
    assert main(["account", counts, "--on", "cli@bench", "--chips-from", str(path)]) == 0
    assert "2.60 nJ" in capsys.readouterr().out


def test_a_nir_graph_at_an_assumed_rate(tmp_path, capsys):
    """Half of 4 inputs in 10 steps meet 3 neurons each: 60 accumulates of 0.9 pJ."""
    nir = pytest.importorskip("nir")
    ones = np.ones(3, np.float32)
    lif = nir.LIF(tau=0.01 * ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    graph = nir.NIRGraph.from_list(nir.Linear(np.ones((3, 4), np.float32)), lif)
    nir.write(str(tmp_path / "net.nir"), graph)
    arguments = ["--on", "45nm", "--dt", "1e-3", "--steps", "10", "--shape", "4", "--rate", "0.5"]
    assert main(["nir", str(tmp_path / "net.nir"), *arguments]) == 0
    out = capsys.readouterr().out
    assert "54 pJ" in out
    assert "assumed" in out


def test_as_a_module():
    made = subprocess.run(
        [sys.executable, "-m", "joulax", "--version"], capture_output=True, text=True, check=True
    )
    assert made.stdout.strip() == f"joulax {joulax.__version__}"
