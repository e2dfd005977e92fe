"""Models of other frameworks, unmodified."""

import subprocess
import sys
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .idioms.common import check, spike

X = jnp.array([1.0, 0.0, 1.0])


def test_haiku_style_pure_function():
    params = {
        "linear": {"w": jnp.ones((3, 4)), "b": jnp.zeros(4)},
        "linear_1": {"w": jnp.ones((4, 2)), "b": jnp.zeros(2)},
    }

    def apply(params, x):
        s = spike(x @ params["linear"]["w"] + params["linear"]["b"] - 0.5)
        return s @ params["linear_1"]["w"] + params["linear_1"]["b"]

    _, account = joulax.count(apply, weights=0, spikes=1)(params, X)
    assert list(account) == ["linear", "linear_1"]
    check(account["linear"], ac=8, dense_ac=12, spikes=4, updates=4)
    check(account["linear_1"], ac=8, dense_ac=8)


def test_list_of_pairs():
    params = [(jnp.ones((4, 3)), jnp.zeros(4)), (jnp.ones((2, 4)), jnp.zeros(2))]

    def mlp(params, x):
        (w, b), (v, c) = params
        return v @ spike(w @ x + b - 0.5) + c

    _, account = joulax.count(mlp, weights=0, spikes=1)(params, X)
    assert list(account) == ["params[0]", "params[1]"]


@pytest.mark.filterwarnings("ignore")
def test_flax_linen():
    nn = pytest.importorskip("flax.linen")

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = spike(nn.Dense(8)(x) - 0.1)
            x = spike(nn.Conv(4, (3,))(x[:, None]))
            return nn.Dense(2)(x.reshape(-1))

    model = Model()
    params = model.init(jax.random.key(0), X)
    _, account = joulax.count(model.apply, weights=0, spikes=1)(params, X)
    assert list(account) == ["Dense_0", "Conv_0", "Dense_1"]
    check(
        account["Dense_0"],
        ac=16,
        dense_ac=24,
        spikes=float(account["Dense_0"].spikes),
        updates=8,
        neurons=8,
    )
    check(
        account["Conv_0"],
        ac=float(account["Conv_0"].ac),
        dense_ac=88,
        spikes=float(account["Conv_0"].spikes),
        updates=32,
        neurons=32,
    )


@pytest.mark.filterwarnings("ignore")
def test_flax_nnx():
    nnx = pytest.importorskip("flax.nnx")

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.hidden, self.readout = nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, x):
            return self.readout(spike(self.hidden(x)))

    model = Model(nnx.Rngs(0))
    graph, state = nnx.split(model)
    for account in (
        joulax.count(model, spikes=0)(X)[1],
        joulax.count(lambda x: model(x), spikes=0)(X)[1],
        joulax.count(lambda s, x: nnx.merge(graph, s)(x), weights=0, spikes=1)(state, X)[1],
    ):
        assert list(account) == ["hidden", "readout"]
        assert float(account["hidden"].ac) == 8


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, joulax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

assert len(jax.devices()) == 4
spike = jax.custom_jvp(lambda v: (v > 0).astype(v.dtype))
spike.defjvp(lambda p, t: (spike(p[0]), t[0]))
w, v = jnp.ones((5, 8)), jnp.ones((3, 5))
x = (jax.random.uniform(jax.random.key(0), (16, 8)) < 0.5).astype(jnp.float32)
call = lambda x: jax.vmap(joulax.count(lambda x: v @ spike(w @ x - 4.0), spikes=0))(x)[1]
single = jax.jit(call)(x)
mesh = Mesh(np.array(jax.devices()), "d")
sharded = jax.jit(call)(jax.device_put(x, NamedSharding(mesh, P("d"))))
for a, b in zip(jax.tree.leaves(single), jax.tree.leaves(sharded), strict=True):
    assert np.array_equal(a, b)
"""


def test_sharded_arrays_are_counted_like_single_ones():
    import os

    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
    }
    subprocess.run([sys.executable, "-c", SHARDED], check=True, env=environment)


def test_numpy_weights_and_inputs():
    w = np.ones((2, 3), np.float32)
    _, account = joulax.count(lambda x: w @ x, spikes=0)(np.ones(3, np.float32))
    (record,) = account.layers.values()
    assert float(record.ac) == 6


@pytest.mark.filterwarnings("ignore")
def test_spyx():
    """Networks of spyx run unmodified: layers by name, spikes of a layer in its record, states
    updated each step.
    """
    spyx, nnx = pytest.importorskip("spyx"), pytest.importorskip("flax.nnx")
    rngs, x = (
        nnx.Rngs(0),
        (jax.random.uniform(jax.random.key(0), (4, 1, 5)) < 0.5).astype(jnp.float32),
    )
    model = spyx.nn.Sequential(
        nnx.Linear(5, 8, rngs=rngs),
        spyx.nn.LIF((8,), rngs=rngs),
        nnx.Linear(8, 3, rngs=rngs),
        spyx.nn.LI((3,), rngs=rngs),
    )

    def run(x):
        with jax.numpy_rank_promotion("allow"):
            return spyx.nn.run(model, x)[0]

    _, account = joulax.count(run, spikes=0)(x)
    assert list(account) == ["layers[0]", "layers[2]"]
    assert float(account["layers[0]"].ac) == 8 * float(x.sum())
    assert float(account["layers[2]"].ac) == 3 * float(account["layers[0]"].spikes)
    assert float(account["layers[0]"].updates) == 4 * 8
    assert float(account["layers[2]"].updates) == 4 * 3


@pytest.mark.filterwarnings("ignore")
def test_snnax(monkeypatch):
    """Networks of snnax by their graph; its release lacks two modules of helpers and cannot build a
    `Sequential`.
    """
    for missing in ("snnax.snn.init", "snnax.functional.functional"):
        monkeypatch.setitem(sys.modules, missing, types.ModuleType(missing))
    snn = pytest.importorskip("snnax.snn")
    keys = jax.random.split(jax.random.key(0), 4)
    linear = [eqx.nn.Linear(5, 8, key=keys[0]), eqx.nn.Linear(8, 3, key=keys[1])]
    neurons = [
        snn.SimpleLIF(jnp.array([0.9]), shape=(n,), key=k)
        for n, k in zip((8, 3), keys[2:], strict=True)
    ]
    graph = snn.GraphStructure(
        num_layers=4,
        input_layer_ids=[[0], [], [], []],
        final_layer_ids=[3],
        input_connectivity=[[], [0], [1], [2]],
    )
    model = snn.StatefulModel(graph, [linear[0], neurons[0], linear[1], neurons[1]])
    x = (jax.random.uniform(jax.random.key(0), (4, 5)) < 0.5).astype(jnp.float32)

    def run(model, x):
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            return model(model.init_state((5,), keys[0]), x, keys[1])[1]

    _, account = joulax.count(run, weights=0, spikes=1)(model, x)
    assert list(account) == ["layers[0]", "layers[2]"]
    assert float(account["layers[0]"].ac) == 8 * float(x.sum())
    assert float(account["layers[2]"].ac) == 3 * float(account["layers[0]"].spikes)
    assert [float(r.updates) for r in account.values()] == [4 * 8, 4 * 3]
