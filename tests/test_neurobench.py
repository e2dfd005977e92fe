"""A real run of NeuroBench's harness, with our metrics in it."""

import json
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax.metrics import harness, workload
from joulax.neurons import LIF, Network

pytestmark = pytest.mark.filterwarnings("ignore")
KEYS = jax.random.split(jax.random.key(0), 2)
MODEL = Network([eqx.nn.Linear(6, 5, key=KEYS[0]), LIF(), eqx.nn.Linear(5, 3, key=KEYS[1]), LIF()])
BATCH = np.asarray(jax.random.uniform(jax.random.key(1), (10, 7, 6)) < 0.5, np.float32)


@pytest.fixture(scope="module")
def libraries():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        torch = pytest.importorskip("torch")
        benchmarks = pytest.importorskip("neurobench.benchmarks")
    return torch, benchmarks.Benchmark


def loader(torch, size=4):
    """Ten samples in batches of four, four and two."""
    data = torch.utils.data.TensorDataset(torch.from_numpy(BATCH), torch.zeros(len(BATCH)))
    return torch.utils.data.DataLoader(data, batch_size=size)


def test_a_run_gives_the_figures_of_workload(libraries, tmp_path):
    torch, benchmark = libraries
    made = harness(MODEL, spikes=0, on="loihi")
    run = benchmark(made.model, loader(torch), [], [], [made.static, made.workload])
    results = run.run(quiet=True)
    expected = workload(MODEL, jnp.asarray(BATCH), spikes=0)
    for name in ("Footprint", "ParameterCount"):
        assert results[name] == expected[name]
    for name in ("ConnectionSparsity", "ActivationSparsity"):
        assert results[name] == pytest.approx(expected[name], rel=1e-6)
    assert results["SynapticOperations"] == pytest.approx(expected["SynapticOperations"], rel=1e-6)
    account = jax.vmap(joulax.count(MODEL, spikes=0))(jnp.asarray(BATCH))[1]
    total = joulax.energy(account, joulax.hardware("loihi")).total
    assert results["Energy"] == pytest.approx(float(total.mean()), rel=1e-5)
    run.save_benchmark_results(str(tmp_path / "results"))
    assert json.loads((tmp_path / "results.json").read_text()) == results


def test_a_run_beside_neurobenchs_own_metrics_on_the_same_network(libraries):
    """The network in snnTorch with NeuroBench's metrics, and in JAX with ours: one result."""
    torch, benchmark = libraries
    snn = pytest.importorskip("snntorch")
    models = pytest.importorskip("neurobench.models")
    workloads = pytest.importorskip("neurobench.metrics.workload")
    net = torch.nn.Sequential(
        torch.nn.Linear(6, 5),
        snn.Leaky(beta=0.9, init_hidden=True),
        torch.nn.Linear(5, 3),
        snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )
    with torch.no_grad():
        for layer, ours in ((net[0], MODEL.layers[0]), (net[2], MODEL.layers[2])):
            layer.weight.copy_(torch.from_numpy(np.array(ours.weight)))
            layer.bias.copy_(torch.from_numpy(np.array(ours.bias)))
    theirs = benchmark(
        models.SNNTorchModel(net), loader(torch), [], [], [[], [workloads.SynapticOperations]]
    ).run(quiet=True)
    made = harness(MODEL, spikes=0)
    ours = benchmark(made.model, loader(torch), [], [], [[], made.workload]).run(quiet=True)
    assert ours["SynapticOperations"] == pytest.approx(theirs["SynapticOperations"], rel=1e-6)


def test_without_neurobench(monkeypatch):
    monkeypatch.setitem(sys.modules, "neurobench.metrics.abstract", None)
    with pytest.raises(ImportError, match="pip install neurobench"):
        harness(MODEL)
