"""Recorded runs of Sinabs, NeuroBench, KerasSpiking and SpikingJelly, layer by layer.

Where a peer's definition differs on purpose, the test states ours and why.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .conftest import recorded


def pair(value, n):
    return [value] * n if isinstance(value, int) else list(value)


def layer_of(spec, arrays):
    """The JAX function of a recorded PyTorch layer, on one sample and step."""
    w = jnp.asarray(arrays[spec["weight"]])
    if w.ndim == 2:
        return lambda x: w @ x
    n = w.ndim - 2
    stride, padding, dilation = (pair(spec[k], n) for k in ("stride", "padding", "dilation"))
    space = "DHW"[-n:]
    numbers = (f"NC{space}", f"OI{space}", f"NC{space}")
    groups = spec["groups"]

    def conv(x):
        return jax.lax.conv_general_dilated(
            x[None], w, stride, [(p, p) for p in padding], None, dilation, numbers, groups
        )[0]

    return conv


def weight_layers(case):
    return [layer for layer in case["layers"] if "weight" in layer]


def counted(case, spec, leading, **options):
    arrays = case.arrays
    return joulax.activity_of(
        layer_of(spec, arrays), arrays[spec["input"]], leading=leading, **options
    )


def close(value, expected):
    np.testing.assert_allclose(float(value), float(expected), rtol=1e-6)


@pytest.mark.parametrize("case", recorded("sinabs", "linear_synops", "conv2d_synops"))
def test_sinabs_layer(case):
    (spec,) = case["layers"]
    record = counted(case, spec, 2)
    close(record.ac, case["expected"]["brute_force_total_synops_over_batch_and_time"])
    batch, steps = case.arrays["input"].shape[:2]
    hook = case["expected"].get(
        "layer_synops_per_timestep", case["expected"].get("hook_layer_synops_per_timestep_flat_BT")
    )
    close(record.ac / (batch * steps), hook)


def pooled(spec, pools):
    """Average pools, then the layer, as one function that is fed with spikes."""

    def average(x, kernel):
        c, h, w = x.shape
        return (
            x[:, : h // kernel * kernel, : w // kernel * kernel]
            .reshape(c, h // kernel, kernel, w // kernel, kernel)
            .mean((2, 4))
        )

    def call(x):
        for kernel in pools:
            x = average(x, kernel)
        return spec(x.reshape(-1) if getattr(spec, "flat", False) else x)

    return call


@pytest.mark.parametrize("case", recorded("sinabs", "snn_synops"))
def test_sinabs_network(case):
    """Every layer as Sinabs' brute force counts it; after an average pool, as its hooks do.

    Sinabs multiplies by the pool's area, which is right where stride = kernel; we carry events
    through the pool.
    """
    arrays, expected = case.arrays, case["expected"]
    spikes, pools = arrays["input"], []
    leading = spikes.ndim - (3 if weight_layers(case)[0]["type"] == "conv2d" else 1)
    calls = np.prod(spikes.shape[:leading])
    for spec in case["layers"]:
        if spec["type"].startswith("avgpool"):
            pools.append(spec["kernel"] if isinstance(spec["kernel"], int) else spec["kernel"][0])
        if "weight" in spec:
            layer = layer_of(spec, arrays)
            flat = arrays[spec["weight"]].ndim == 2
            call = pooled(
                lambda x, layer=layer, flat=flat: layer(x.reshape(-1) if flat else x), pools
            )
            record = None if spikes is None else joulax.activity_of(call, spikes, leading=leading)
            if (
                spikes is None
                # fed by a convolution, not by neurons: Sinabs sums analog values, here they are
                # MACs
            ):
                mac = counted(case, spec, leading, analog=True).mac
                assert (
                    float(mac)
                    == np.count_nonzero(arrays[spec["input"]]) * arrays[spec["weight"]].shape[0]
                )
            elif pools or "brute_force_unscaled_total_synops_over_batch_and_time" not in expected:
                np.testing.assert_allclose(
                    float(record.ac) / calls,
                    expected["hooks_synops_per_timestep"][spec["name"]],
                    rtol=1e-5,
                )
            else:
                close(
                    record.ac,
                    expected["brute_force_unscaled_total_synops_over_batch_and_time"][spec["name"]],
                )
            spikes, pools = None, []
        if "output" in spec:
            spikes = arrays[spec["output"]]
            record = joulax.activity_of(
                lambda x: jnp.ones((1, x.size)) @ x.reshape(-1),
                spikes,
                spikes_out=spikes,
                leading=leading,
            )
            if spec["name"] in expected.get("firing_rate", {}):
                np.testing.assert_allclose(
                    float(record.spikes / record.updates),
                    expected["firing_rate"][spec["name"]],
                    rtol=1e-5,
                )


@pytest.mark.parametrize("case", recorded("neurobench", "layer_synops"))
def test_neurobench_layer(case):
    """NeuroBench counts a 2 as one operation (our graded count) and leaves out zero weights, as we
    do.

    It looks at the data to tell a MAC from an AC; here the program or the user says it.
    """
    (spec,) = case["layers"]
    analog = case["id"].endswith(("real", "relu"))
    record = counted(case, spec, 1, analog=analog)
    close(
        record.mac if analog else record.ac_graded, case["expected"]["single_layer_MACs_effective"]
    )
    close(record.dense, case["expected"]["single_layer_MACs_dense"])
    if "brute_force_effective" in case["expected"]:
        close(record.mac if analog else record.ac_graded, case["expected"]["brute_force_effective"])
    weights = case.arrays[spec["weight"]]
    assert (float(record.nonzero) < float(record.synapses)) == bool((weights == 0).any())


@pytest.mark.parametrize("case", recorded("neurobench", "snn_net", "ann_net"))
def test_neurobench_network(case):
    """Sums over the layers; after average pooling NeuroBench charges MACs, we charge the events
    that arrive.
    """
    arrays, expected = case.arrays, case["expected"]["SynapticOperations"]
    samples = arrays[weight_layers(case)[0]["input"]].shape[0]
    leading = 1 if case["kind"] == "ann_net" else 2
    acs = macs = dense = 0.0
    for spec in weight_layers(case):
        values = arrays[spec["input"]]
        binary = set(np.unique(values)) <= {-1.0, 0.0, 1.0}
        record = counted(case, spec, leading, analog=not binary)
        acs, macs = (
            acs + (0 if record.ac_graded is None else float(record.ac_graded)),
            macs + (0 if record.mac is None else float(record.mac)),
        )
        dense += float(record.dense)
    close(acs / samples, expected["Effective_ACs"])
    close(macs / samples, expected["Effective_MACs"])
    close(dense / samples, expected["Dense"])


@pytest.mark.parametrize(
    "case", [c for c in recorded("neurobench", "cell_synops") if c.id.startswith("rnncell")]
)
def test_neurobench_rnn_cell(case):
    """Two products a step; the gated cells of the peer also count products of gates, which belong
    to updates here.
    """
    arrays, (spec,) = case.arrays, case["layers"]
    w, r = (jnp.asarray(arrays[spec[k]]) for k in ("weight_ih", "weight_hh"))
    cell = lambda p, x, h: jnp.tanh(p["w"] @ x + p["r"] @ h)
    account = jax.vmap(lambda x, h: joulax.count(cell, weights=0)({"w": w, "r": r}, x, h)[1])(
        arrays["input"], arrays["h"]
    )
    close(
        sum(a.mac.sum() for a in account.values()), case["expected"]["single_layer_MACs_effective"]
    )
    close(sum(a.dense.sum() for a in account.values()), case["expected"]["single_layer_MACs_dense"])
    assert float(account["w"].updates.sum()) == arrays["h"].size


@pytest.mark.parametrize("case", recorded("spikingjelly", "snn_counts"))
def test_spikingjelly_network(case):
    """SpikingJelly counts an operation for each nonzero input at every tap of the kernel.

    Layers with other inputs are dense MACs there, events here. Its dense count includes padding,
    ours does not:
    both agree where nothing is padded.
    """
    compared = 0
    for spec in weight_layers(case):
        scope = next(
            k for k in case["expected"]["per_scope"]["synop"] if k.endswith("." + spec["name"])
        )
        expected = case["expected"]["per_scope"]["synop"][scope]
        record = counted(case, spec, 2)
        if spec["input_is_binary"]:
            close(record.ac, expected)
            compared += 1
        else:
            expected = case["expected"]["per_scope"]["mac"][scope]
            assert float(record.dense) <= expected
            assert (float(record.dense) == expected) == (set(spec.get("padding", [0])) == {0})
    assert compared


def energy_of(case, device, steps):
    """KerasSpiking's model: connections and neurons of each layer, at the rate it measured."""
    spiking = device not in ("cpu", "gpu", "arm")
    total = 0.0
    for layer in case["expected"]["layers"]:
        rate = layer["input_rate_hz"] * 0.001 * steps
        record = joulax.activity(
            ac=layer["connections"] * rate,
            dense_ac=layer["connections"],
            updates=layer["neurons"] * (steps if spiking else 1),
            neurons=layer["neurons"],
        )
        total += float(joulax.energy(record, joulax.hardware(f"{device}@keras-spiking")).total)
    return total


@pytest.mark.parametrize("device", ["cpu", "gpu", "arm", "loihi", "spinnaker", "spinnaker2"])
@pytest.mark.parametrize("case", recorded("keras-spiking", "model_energy"))
def test_keras_spiking_energy(case, device):
    """Joules per inference on six devices; theirs ignore sparsity and time steps off chip, ours do
    because s = 0 there.
    """
    checked = 0
    for key, joules in case["expected"]["total"].items():
        name, steps, dt = key.split("|")
        if name == device and dt == "dt=0.001":
            np.testing.assert_allclose(
                energy_of(case, device, int(steps.split("=")[1])) * 1e-12, joules, rtol=2e-6
            )
            checked += 1
    assert checked


def test_keras_spiking_dense_by_hand():
    """784 → 128 with ReLU on the CPU: (100352 + 128) · 8.6 nJ."""
    layer = {"w": jnp.ones((128, 784))}
    _, account = joulax.count(lambda p, x: jax.nn.relu(p["w"] @ x), weights=0)(layer, jnp.ones(784))
    np.testing.assert_allclose(
        float(joulax.energy(account, joulax.hardware("cpu")).total), 8.64128e8, rtol=1e-6
    )
