"""The field's figures: recorded runs of the peers, and numbers by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax import activity, metrics
from joulax.neurons import LIF, Network

from .conftest import recorded
from .test_peers import counted, layer_of, weight_layers

NEURONS = {"leaky": "Leaky", "lapicque": "Lapicque", "synaptic": "Synaptic", "alpha": "Alpha"}
KEYS = jax.random.split(jax.random.key(0), 2)
MODEL = Network([eqx.nn.Linear(6, 5, key=KEYS[0]), LIF(), eqx.nn.Linear(5, 3, key=KEYS[1]), LIF()])
BATCH = (jax.random.uniform(jax.random.key(1), (4, 7, 6)) < 0.5).astype(jnp.float32)
ACCOUNT = jax.vmap(joulax.count(MODEL, spikes=0, events=True))(BATCH)[1]


def close(value, expected, rtol=1e-6):
    np.testing.assert_allclose(np.asarray(value, np.float64), expected, rtol=rtol)


def spiking(case):
    return [layer for layer in case["layers"] if layer["type"] in NEURONS]


def post(layer, arrays):
    """Recorded membranes, time first."""
    return jnp.swapaxes(jnp.asarray(arrays[layer["post_mem"]]), 0, 1)


# -- NeuroBench -----------------------------------------------------------------


@pytest.mark.parametrize("case", recorded("neurobench", "snn_net"))
def test_neuron_operations_as_recorded(case):
    """Means over the loader's batches of sums over a batch, divided by the samples."""
    arrays, expected = case.arrays, case["expected"]
    samples = arrays["input"].shape[0]
    updates, effective, dense = 0.0, 0.0, 0.0
    for layer in spiking(case):
        membranes = post(layer, arrays)
        updates += float(metrics.membrane_updates(membranes))
        found = metrics.neuron_operations(membranes, NEURONS[layer["type"]], layer["reset"])
        effective, dense = (
            effective + float(found["Effective Neuron Ops"]),
            dense + float(found["Neuron Dense Ops"]),
        )
    close(updates / samples, expected["MembraneUpdates"])
    close(effective / samples, expected["NeuronOperations"]["Effective Neuron Ops"])
    close(dense / samples, expected["NeuronOperations"]["Neuron Dense Ops"])


@pytest.mark.parametrize("case", recorded("neurobench", "snn_net", "ann_net"))
def test_activation_sparsity_as_recorded(case):
    """All outputs together; the peer's total is that of its layers by size."""
    outputs = {
        layer["module_name"]: case.arrays[layer["output"]]
        for layer in case["layers"]
        if "module_name" in layer
    }
    for name, value in metrics.activation_sparsity(outputs, per_layer=True).items():
        close(value, case["expected"]["ActivationSparsityByLayer"][name], rtol=1e-5)
    close(metrics.activation_sparsity(outputs), case["expected"]["ActivationSparsity"], rtol=1e-5)


@pytest.mark.parametrize("case", recorded("neurobench", "snn_net", "ann_net"))
def test_synaptic_operations_as_recorded(case):
    """Averages over samples; after average pooling the peer says MAC where the program still has
    spikes.
    """
    arrays, expected, layers = case.arrays, case["expected"]["SynapticOperations"], {}
    samples = arrays[weight_layers(case)[0]["input"]].shape[0]
    for spec in weight_layers(case):
        binary = set(np.unique(arrays[spec["input"]])) <= {-1.0, 0.0, 1.0}
        layers[spec["name"]] = counted(
            case, spec, 1 if case["kind"] == "ann_net" else 2, analog=not binary
        )
    found = {k: float(v) / samples for k, v in metrics.synaptic_operations(layers).items()}
    assert found == pytest.approx(expected, rel=1e-6)
    by_layer = metrics.synaptic_operations(layers, per_layer=True)
    close(sum(float(v["Dense"]) for v in by_layer.values()) / samples, expected["Dense"])


@pytest.mark.parametrize("case", recorded("neurobench", "snn_net", "ann_net", "cell_synops"))
def test_static_figures_as_recorded(case):
    """Parameters, zeros among them, bytes. PyTorch's neurons add buffers to the bytes, which are no
    parameters.
    """
    keys = ("weight", "bias", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
    model = [
        jnp.asarray(case.arrays[layer[k]]) for layer in case["layers"] for k in keys if layer.get(k)
    ]
    expected = {k.replace("_", "").lower(): v for k, v in case["expected"].items()}
    if "parametercount" not in expected:
        pytest.skip("the peer recorded an error here")
    assert metrics.parameter_count(model) == expected["parametercount"]
    assert 0 <= expected["footprint"] - metrics.footprint(model) <= 4 * 20
    assert (metrics.footprint(model) == expected["footprint"]) == (case["kind"] != "snn_net")
    zeros = expected["connectionsparsity"]
    np.testing.assert_allclose(
        float(metrics.connection_sparsity(model, biases=case["kind"] == "cell_synops")),
        zeros,
        atol=6e-5,
    )


def test_documented_example():
    """x = (0, 1.3, −1) through a 3 × 3 matrix with three zeros: effective 4, dense 9."""
    w = jnp.array([[1.3, 0, -3.2], [0, 1.2, -5.1], [-1.1, 2.7, 0]])
    _, account = joulax.count(lambda w, x: w @ x, weights=0)(w, jnp.array([0, 1.3, -1]))
    assert {k: float(v) for k, v in metrics.synaptic_operations(account).items()} == {
        "Effective_MACs": 4,
        "Effective_ACs": 0,
        "Dense": 9,
    }


def test_silent_neurons_have_effective_operations():
    """Six leaky neurons, five steps, no input: 24 by the peer's definition, because the first step
    counts for all.
    """
    found = metrics.neuron_operations(jnp.zeros((5, 6)), "Leaky")
    assert {k: float(v) for k, v in found.items()} == {
        "Effective Neuron Ops": 24,
        "Neuron Dense Ops": 120,
    }
    with pytest.raises(ValueError, match="per_update"):
        metrics.neuron_operations(jnp.zeros((5, 6)), "Izhikevich")


def test_workload_in_one_call():
    figures = metrics.workload(MODEL, BATCH, spikes=0)
    assert (
        figures["ParameterCount"] == 30 + 5 + 15 + 3 + 2 * 2
    )  # two neurons with decay and threshold
    assert figures["Footprint"] == sum(
        a.size * a.dtype.itemsize for a in jax.tree.leaves(eqx.filter(MODEL, eqx.is_array))
    )
    close(
        figures["SynapticOperations"]["Effective_ACs"],
        float(sum(r.ac.mean() for r in ACCOUNT.values())),
    )
    assert figures["NeuronOperations"]["PerUpdate"]["layers[0]"] == {
        "multiply": 2.0,
        "add": 4.0,
        "compare": 1.0,
    }  # a bias is one addition
    assert figures["NeuronOperations"]["Neuron Dense Ops"] == 7 * (5 + 3) * 7
    rate = sum(float(r.spikes.sum()) for r in ACCOUNT.values()) / (4 * 7 * 8)
    close(figures["ActivationSparsity"], 1 - rate)


def test_counted_operations_can_be_priced():
    """Two products at 3.7 pJ, three sums and a comparison at 0.9 pJ."""
    each = {"multiply": 2.0, "add": 3.0, "compare": 1.0}
    close(metrics.update_price(each, "45nm"), 2 * 3.7 + 4 * 0.9)
    close(metrics.update_price(each, "45nm@int8"), 2 * 0.2 + 4 * 0.03)
    close(metrics.update_price(each, "7nm"), 2 * 1.31 + 4 * 0.38)
    with pytest.raises(ValueError, match="no price"):
        metrics.update_price({"other": 1.0}, "45nm")
    with pytest.raises(ValueError, match="lacks one"):
        metrics.update_price(each, "loihi")


# -- Sinabs ---------------------------------------------------------------------


def test_sinabs_example():
    """11 695 events, fan-out 400, 50 steps of 1 ms: 4.678 M synops, 93.56 M a second."""
    account = {
        "conv": activity(ac=4_678_000, events=11_695, updates=50 * 10, neurons=10, spikes=25)
    }
    row = metrics.synops_table(joulax.Account(account, ACCOUNT.convention, ("conv",)), 1e-3)["conv"]
    close(
        [
            row[k]
            for k in (
                "In",
                "Fan-out",
                "SynOps",
                "Time steps",
                "Time window",
                "SynOps/s",
                "Firing rate",
                "Spikes/s",
            )
        ],
        [11_695, 400, 4_678_000, 50, 0.05, 93.56e6, 0.05, 50],
    )


@pytest.mark.parametrize("case", recorded("sinabs", "linear_synops", "conv2d_synops"))
def test_sinabs_synops_per_second_as_recorded(case):
    """Per time step over dt in seconds."""
    (spec,) = case["layers"]
    x = jnp.asarray(case.arrays[spec["input"]])
    layer = layer_of(spec, case.arrays)
    account = jax.vmap(joulax.count(jax.vmap(layer), spikes=0, events=True))(x)[1]
    (row,) = metrics.synops_table(account, 1e-3, steps=x.shape[1]).values()
    hook = case["expected"].get(
        "layer_synops_per_timestep", case["expected"].get("hook_layer_synops_per_timestep_flat_BT")
    )
    close(row["SynOps/s"], hook / 1e-3, rtol=2e-5)
    close(row["In"], float(jnp.abs(x).sum()) / x.shape[0])


def test_synops_loss_of_the_how_to():
    """((S₀ − S) / S₀)² on its own network: S = 1.2, S₀ = 0.6 gives 1."""
    close(joulax.losses.target(1.2, 0.6), 1.0)


def test_events_are_needed_and_dt_is_in_seconds():
    bare = jax.vmap(joulax.count(MODEL, spikes=0))(BATCH)[1]
    with pytest.raises(ValueError, match="events=True"):
        metrics.synops_table(bare, 1e-3)
    with pytest.raises(ValueError, match="seconds"):
        metrics.synops_table(ACCOUNT, 0.0)


# -- KerasSpiking ---------------------------------------------------------------


@pytest.mark.parametrize("case", recorded("keras-spiking", "model_energy"))
def test_keras_spiking_total_as_recorded(case):
    """Every device, number of steps and dt that was recorded."""
    checked = 0
    for key, joules in case["expected"]["total"].items():
        device, steps, dt = key.split("|")
        if device.startswith("custom"):
            continue
        seconds = 0.001 if dt == "dt=None" else float(dt.removeprefix("dt="))
        layers = case["expected"]["layers"]
        options = dict(timesteps_per_inference=int(steps.removeprefix("tpi=")), dt=seconds)
        found = sum(
            float(
                metrics.layer_energy(
                    x["connections"], x["neurons"], x["input_rate_hz"], device, **options
                )
            )
            for x in layers
        )
        close(found, joules, rtol=2e-5)
        checked += 1
    assert checked == 48  # six devices, four numbers of steps, the values of dt


def test_keras_spiking_table_from_an_account():
    rows = metrics.model_energy(ACCOUNT, ["loihi", "cpu"])
    first, record = rows["layers[0]"], ACCOUNT["layers[0]"]
    assert (float(first["connections"]), float(first["neurons"])) == (30, 5)
    close(first["rate"], float(BATCH.mean()) / 1e-3, rtol=1e-5)
    close(first["energy (loihi)"], (float(record.ac.mean()) * 27.1 + 7 * 5 * 81) * 1e-12, rtol=1e-5)
    close(first["energy (cpu)"], (30 + 5) * 8600e-12, rtol=1e-5)
    chosen = metrics.model_energy(ACCOUNT, ["loihi"], columns=["neurons", "energy (loihi)"])
    assert list(chosen["layers[0]"]) == ["neurons", "energy (loihi)"]
    with pytest.raises(ValueError, match="no column 'joules'"):
        metrics.model_energy(ACCOUNT, columns=["joules"])
    with pytest.raises(ValueError, match="'nope'"):
        metrics.layer_energy(1, 1, 1.0, "nope")


def test_keras_formula_and_count_agree_without_borders():
    """A dense layer has no borders: connections × rate is what was counted."""
    rows, record = metrics.model_energy(ACCOUNT, ["loihi"]), ACCOUNT["layers[0]"]
    rate = float(rows["layers[0]"]["rate"])
    formula = metrics.layer_energy(30, 5, rate, "loihi", timesteps_per_inference=7)
    close(rows["layers[0]"]["energy (loihi)"], formula, rtol=1e-5)
    assert float(record.updates.mean()) == 35


# -- learning rules -------------------------------------------------------------


def test_pairwise_rule_on_loihi():
    """A write of 120 pJ for each synapse that an arriving or a fired spike touches."""
    record = activity(ac=100, spikes=6, updates=50, neurons=5, synapses=40, nonzero=40)
    learning = metrics.learning({"a": record}, pre=1, post=1)
    close(learning["a"].writes, 100 + 6 * 8)
    without, result = (
        joulax.energy(r, joulax.hardware("loihi")) for r in ({"a": record}, learning)
    )
    close(result.per_operation.weight_write, 148 * 120)
    close(result.total - without.total, 148 * 120, rtol=1e-4)
    with pytest.raises(ValueError, match="no layer 'b'"):
        metrics.learning({"a": record}, layers=["b"])


def test_learning_of_sc_neurocore():
    """8 pJ a write, at each arriving spike; only the layers that learn."""
    account = {"a": activity(ac=100), "b": activity(ac=50)}
    found = metrics.learning(account, layers=["b"])
    assert found["a"].writes is None
    close(
        joulax.energy(found, joulax.hardware("loihi2@sc-neurocore")).per_operation.weight_write,
        50 * 8,
    )


# -- transformations ------------------------------------------------------------

FIGURES = {
    "SynapticOperations": lambda a: metrics.synaptic_operations(a),
    "ActivationSparsity": lambda a: metrics.activation_sparsity(a),
    "synops table": lambda a: metrics.synops_table(a, 1e-3),
    "ModelEnergy": lambda a: metrics.model_energy(a, ["loihi", "cpu"]),
    "counted neuron operations": lambda a: metrics.counted_neuron_operations(a),
    "learning": lambda a: metrics.learning(a),
}


@pytest.mark.parametrize("name", FIGURES)
def test_jit_and_vmap(name):
    """jit = eager; vmap over samples = a loop over them."""
    f = FIGURES[name]
    same = lambda a, b: [
        np.testing.assert_allclose(x, y, rtol=1e-5)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    ]
    same(f(ACCOUNT), jax.jit(f)(ACCOUNT))
    mapped = jax.vmap(f)(ACCOUNT)
    for i in range(4):
        same(
            jax.tree.map(lambda a, i=i: a[i], mapped), f(jax.tree.map(lambda a, i=i: a[i], ACCOUNT))
        )


def test_batches_merge():
    """Figures of a split batch, merged in a ledger, are those of the whole."""
    sums = []
    for parts in ([BATCH], [BATCH[:1], BATCH[1:]]):
        ledger = None
        for part in parts:
            account = jax.vmap(joulax.count(MODEL, spikes=0))(part)[1]
            ledger = joulax.Ledger.init(account) if ledger is None else ledger
            ledger = ledger.add(account)
        sums.append({k: float(v) for k, v in metrics.synaptic_operations(ledger.value).items()})
    assert sums[0] == sums[1]


def test_gradients_flow():
    loss = lambda m: metrics.synaptic_operations(joulax.count(m, spikes=0)(BATCH[0])[1])[
        "Effective_ACs"
    ]
    gradient = eqx.filter_grad(loss)(MODEL)
    assert np.any(np.asarray(gradient.layers[0].weight) != 0)


@pytest.mark.parametrize("case", recorded("sinabs", "firing_rate"))
def test_sinabs_firing_rate_as_recorded(case):
    """Mean of the outputs over samples, steps and neurons; multi-spikes count each."""
    out = jnp.asarray(case.arrays[case["layers"][0]["output"]])
    record = joulax.activity_of(
        lambda x: jnp.ones((1, x.size)) @ x.reshape(-1), out, spikes_out=out, leading=2
    )
    close(record.spikes / record.updates, case["expected"]["firing_rate"], rtol=1e-5)


@pytest.mark.parametrize("case", recorded("sinabs", "ann_neuromorphic_relu"))
def test_sinabs_ann_with_quantised_activations(case):
    """Rounded activations are spikes where the model says so; with a fan-out of one their sum is
    the peer's count.
    """
    relus = [layer["output"] for layer in case["layers"] if layer["type"] == "neuromorphic_relu"]
    call = joulax.count(lambda x: joulax.synapses(joulax.spikes(jnp.floor(jax.nn.relu(x)))))
    synops = []
    for name in relus:
        account = jax.vmap(lambda x: call(x)[1])(jnp.asarray(case.arrays[name]))
        (record,) = (r for r in account.values() if r.ac is not None)
        synops.append(float(record.ac.mean()))
    close(synops, case["expected"]["synops_per_counted_relu"], rtol=1e-5)
    close(sum(synops), case["expected"]["synops_total"], rtol=1e-5)
    close(
        joulax.losses.target(sum(synops), case["expected"]["synops_loss_target"]),
        case["expected"]["synops_loss"],
        rtol=1e-4,
    )
