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
def test_state_of_nnx_is_returned_or_refused():
    """Batch statistics and dropout counters move; a counted call works on copies of them."""
    nnx = pytest.importorskip("flax.nnx")

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.hidden, self.norm = nnx.Linear(3, 4, rngs=rngs), nnx.BatchNorm(4, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.drop(self.norm(self.hidden(x)))

    def run(state, x):
        model = nnx.merge(graph, state)
        return model(x), nnx.state(model)

    x, model = jnp.ones((8, 3)) * jnp.arange(8.0)[:, None], Model(nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"norm.*nnx\.split"):
        joulax.count(model)(x)
    graph, state = nnx.split(model)
    (_, state), account = joulax.count(run, weights=0)(state, x)
    plain = Model(nnx.Rngs(0))
    plain(x)
    np.testing.assert_array_equal(nnx.merge(graph, state).norm.mean[...], plain.norm.mean[...])
    assert float(account["hidden"].mac) == 7 * 3 * 4
    model.eval()
    assert joulax.count(model)(x)[1]["hidden"].neurons is None


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


# -- one network, one account --------------------------------------------------------------------

ONES = {"hidden": np.ones((4, 3), np.float32), "readout": np.ones((2, 4), np.float32)}
INPUT = np.array([1.0, 0.0, 1.0], np.float32)


def imported(name):
    """A library, without what it changes for all others."""
    wide = jax.config.jax_enable_x64
    try:
        return pytest.importorskip(name)
    finally:
        jax.config.update("jax_enable_x64", wide)


def fire(v):
    """A spike above one half."""
    return spike(v - 0.5)


def in_equinox():
    class Net(eqx.Module):
        hidden: jax.Array
        readout: jax.Array

        def __call__(self, x):
            return self.readout @ fire(self.hidden @ x)

    return joulax.count(Net(jnp.ones((4, 3)), jnp.ones((2, 4))), spikes=0)(jnp.asarray(INPUT))


def in_linen():
    nn = pytest.importorskip("flax.linen")
    one = dict(kernel_init=nn.initializers.ones, use_bias=False)

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = fire(nn.Dense(4, name="hidden", **one)(x))
            return nn.Dense(2, name="readout", **one)(x)

    params = Net().init(jax.random.key(0), INPUT)
    return joulax.count(Net().apply, weights=0, spikes=1)(params, jnp.asarray(INPUT))


def in_nnx():
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs):
            one = dict(kernel_init=nnx.initializers.ones, use_bias=False, rngs=rngs)
            self.hidden, self.readout = nnx.Linear(3, 4, **one), nnx.Linear(4, 2, **one)

        def __call__(self, x):
            return self.readout(fire(self.hidden(x)))

    return joulax.count(Net(nnx.Rngs(0)), spikes=0)(jnp.asarray(INPUT))


def in_haiku():
    hk = pytest.importorskip("haiku")
    one = dict(w_init=hk.initializers.Constant(1.0), with_bias=False)

    def net(x):
        x = fire(hk.Linear(4, name="hidden", **one)(x))
        return hk.Linear(2, name="readout", **one)(x)

    pure = hk.without_apply_rng(hk.transform(net))
    params = pure.init(jax.random.key(0), INPUT)
    return joulax.count(pure.apply, weights=0, spikes=1)(params, jnp.asarray(INPUT))


def in_keras():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        keras = pytest.importorskip("keras")
    one = dict(kernel_initializer="ones", use_bias=False)
    net = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, name="hidden", **one),
            keras.layers.Activation(fire),
            keras.layers.Dense(2, name="readout", **one),
        ],
        name="net",
    )
    return joulax.count(net, spikes=0)(jnp.asarray(INPUT[None]))


def in_penzai():
    pytest.importorskip("penzai")
    from penzai import pz

    mlp = pytest.importorskip("penzai.models.simple_mlp")
    net = mlp.MLP.from_config(jax.random.key(0), [3, 4, 2], name="net", activation_fn=fire)
    slots, variables = pz.unbind_params(net, freeze=True)
    ones = lambda v: jax.tree.map(jnp.ones_like, v)
    params = {v.label: ones(v) for v in variables if "bias" not in v.label}
    rest = [v for v in variables if "bias" in v.label]

    def run(params, x):
        bound = pz.bind_variables(slots, [*params.values(), *rest])
        return bound(pz.nx.wrap(x).tag("features")).unwrap("features")

    return joulax.count(run, weights=0, spikes=1)(params, jnp.asarray(INPUT))


def in_brainstate():
    brainstate = imported("brainstate")

    class Net(brainstate.nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = brainstate.ParamState(jnp.ones((4, 3)))
            self.readout = brainstate.ParamState(jnp.ones((2, 4)))

        def update(self, x):
            return self.readout.value @ fire(self.hidden.value @ x)

    return joulax.brainstate.count(Net(), spikes=0)(jnp.asarray(INPUT))


def in_torch():
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = torch.nn.Linear(3, 4, bias=False)
            self.readout = torch.nn.Linear(4, 2, bias=False)

        def forward(self, x):
            return self.readout((self.hidden(x) > 0.5).float())

    net = Net()
    with torch.no_grad():
        for name, weight in ONES.items():
            getattr(net, name).weight.copy_(torch.from_numpy(weight))
    with torch.no_grad():
        return joulax.torch.count(net, spikes=0)(torch.from_numpy(INPUT[None]))


def in_nir():
    nir = pytest.importorskip("nir")
    ends = dict(
        input=nir.Input({"input": np.array([3])}), output=nir.Output({"output": np.array([2])})
    )
    nodes = ends | {
        "hidden": nir.Linear(weight=ONES["hidden"]),
        "fire": nir.Threshold(threshold=np.full(4, 0.5, np.float32)),
        "readout": nir.Linear(weight=ONES["readout"]),
    }
    edges = [("input", "hidden"), ("hidden", "fire"), ("fire", "readout"), ("readout", "output")]
    graph = types.SimpleNamespace(nodes=nodes, edges=edges)
    out, account = joulax.count(joulax.nir.load(graph, dt=1.0), spikes=0)(INPUT[None])
    recorded = joulax.nir.account(graph, {"input": INPUT[None], "fire": np.ones((1, 4))})
    assert recorded.exact() == account.exact()
    return out, account


NETWORKS = {
    in_equinox: "{}",
    in_linen: "{}",
    in_nnx: "{}",
    in_haiku: "{}",
    in_keras: "net/{}",
    in_penzai: None,
    in_brainstate: "{}",
    in_torch: "{}",
    in_nir: "{}",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("network", NETWORKS, ids=lambda f: f.__name__)
def test_one_network_one_account(network):
    """Two spikes of three reach four neurons each; all four fire and reach two."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        out, account = network()
    assert np.asarray(out).ravel().tolist() == [4.0, 4.0]
    pattern = NETWORKS[network] or "net/Affine_{}/Linear.weights"
    names = ("0", "1") if NETWORKS[network] is None else ("hidden", "readout")
    assert [n.removesuffix(".value") for n in account] == [pattern.format(n) for n in names]
    hidden, readout = account.values()
    check(hidden, ac=8, dense_ac=12, spikes=4, updates=4, neurons=4, synapses=12, nonzero=12)
    check(readout, ac=8, dense_ac=8, synapses=8, nonzero=8)


# -- neurons of other libraries --------------------------------------------------------------------

SPYX = ["IF", "LIF", "ALIF", "CuBaLIF", "RIF", "RLIF", "RCuBaLIF"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SPYX)
def test_neurons_of_spyx(name):
    """Six neurons updated a step, whatever they carry; recurrent spikes meet 6 × 6 weights."""
    spyx, nnx = pytest.importorskip("spyx"), pytest.importorskip("flax.nnx")
    rngs = nnx.Rngs(0)
    neuron = getattr(spyx.nn, name)((6,), rngs=rngs)
    layers = nnx.Linear(5, 6, rngs=rngs), neuron, nnx.Linear(6, 2, rngs=rngs)
    model = spyx.nn.Sequential(*layers)
    x = (jax.random.uniform(jax.random.key(0), (4, 1, 5)) < 0.5).astype(jnp.float32)

    def run(x):
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            return spyx.nn.run(model, x)[0]

    _, account = joulax.count(run, spikes=0)(x)
    recurrent = ["layers[1]"] if name.startswith("R") else []
    assert list(account) == ["layers[0]", *recurrent, "layers[2]"]
    assert float(account["layers[0]"].ac) == 6 * float(x.sum())
    assert float(account["layers[0]"].updates) == 4 * 6
    assert float(account["layers[0]"].neurons) == 6
    assert float(account["layers[2]"].ac) == 2 * float(account["layers[0]"].spikes)
    if recurrent:
        assert float(account["layers[1]"].dense_ac) == 4 * 36


@pytest.mark.filterwarnings("ignore")
def test_slax():
    """States of Linen's collections are carried by the loop over time."""
    slax, nn = pytest.importorskip("slax"), pytest.importorskip("flax.linen")

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Dense(6)(x)
            x = slax.LIF()(x)
            return nn.Dense(2)(x)

    model = Model()
    variables = model.init(jax.random.key(0), X)
    x = (jax.random.uniform(jax.random.key(0), (5, 3)) < 0.5).astype(jnp.float32)

    def run(params, x):
        def step(carry, now):
            out, carry = model.apply({"params": params, **carry}, now, mutable=["carry"])
            return carry, out

        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            return jax.lax.scan(step, {"carry": variables["carry"]}, x)[1]

    _, account = joulax.count(run, weights=0, spikes=1)(variables["params"], x)
    assert list(account) == ["Dense_0", "Dense_1"]
    assert float(account["Dense_0"].ac) == 6 * float(x.sum())
    assert float(account["Dense_0"].updates) == 5 * 6
    assert float(account["Dense_1"].ac) == 2 * float(account["Dense_0"].spikes)


@pytest.mark.filterwarnings("ignore")
def test_keras_convolution_and_its_table():
    """Paths of variables are the names, in the table of KerasSpiking too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        keras = pytest.importorskip("keras")
    net = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="dense"),
        ],
        name="net",
    )
    with jax.numpy_rank_promotion("allow"):
        _, account = joulax.count(net)(jnp.ones((1, 8, 8, 2)))
        made = joulax.summary(net)(jax.ShapeDtypeStruct((1, 8, 8, 2), jnp.float32))
    assert list(account) == ["net/conv", "net/dense"]
    assert float(account["net/conv"].dense_mac) == 2 * 4 * 22 * 22
    assert float(account["net/conv"].neurons) == 256
    table = joulax.metrics.model_energy(account, ["cpu"])
    assert float(table["net/conv"]["connections"]) == 2 * 4 * 22 * 22
    assert made.total.padded == 2 * 4 * 9 * 64 + 512
    assert made.total.parameters == net.count_params()


@pytest.mark.filterwarnings("ignore")
def test_diffrax_counts_the_vector_field_alone():
    """Ten steps of Euler evaluate the field ten times; the solver's own work is no synapse."""
    diffrax = pytest.importorskip("diffrax")

    def solve(weights, y):
        term = diffrax.ODETerm(lambda t, y, args: jnp.tanh(weights["field"] @ y))
        return diffrax.diffeqsolve(term, diffrax.Euler(), 0, 1, 0.1, y).ys

    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        _, account = joulax.count(solve, weights=0)({"field": jnp.ones((4, 4))}, jnp.ones(4))
    assert list(account) == ["field"]
    assert float(account["field"].mac) == 160


class TestBrainstate:
    """States that live in objects, through one adapter."""

    @pytest.fixture
    def brainstate(self):
        return imported("brainstate")

    def test_recurrent_spikes_stay_spikes(self, brainstate):
        class Net(brainstate.nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = brainstate.nn.Linear(3, 4)
                self.rec = brainstate.nn.Linear(4, 4)
                self.v = brainstate.HiddenState(jnp.zeros(4))
                self.z = brainstate.HiddenState(jnp.zeros(4))

            def update(self, x):
                v = 0.9 * self.v.value + self.fc(x) + self.rec(self.z.value)
                self.z.value = fire(v)
                self.v.value = v - self.z.value
                return self.z.value

        net = Net()
        x = (jax.random.uniform(jax.random.key(0), (20, 3)) < 0.7).astype(jnp.float32)
        run = lambda x: brainstate.transform.for_loop(net, x)
        out, account = joulax.brainstate.count(run, spikes=0)(x)
        assert list(account) == ["fc", "rec"]
        assert float(account["fc"].ac) == 4 * float(x.sum())
        assert float(account["fc"].spikes) == float(out.sum())
        assert float(account["fc"].updates) == 80
        assert float(account["rec"].ac) == 4 * float(out[:-1].sum())
        assert jnp.array_equal(net.z.value, out[-1])  # states are written as the model would

    @pytest.mark.filterwarnings("ignore")
    def test_neurons_of_brainpy(self, brainstate):
        brainpy = imported("brainpy")
        unit = imported("brainunit")
        state = imported("brainpy.state")
        del brainpy
        volt = unit.mA * unit.ohm

        class Net(brainstate.nn.Module):
            def __init__(self):
                super().__init__()
                self.fc, self.out = brainstate.nn.Linear(3, 5), brainstate.nn.Linear(5, 2)
                rest = dict(V_th=0.01 * volt, V_rest=0 * volt, V_reset=0 * volt)
                self.lif = state.LIF(5, R=1 * unit.ohm, tau=5 * unit.ms, **rest)

            def update(self, x):
                self.lif(self.fc(x) * unit.mA)
                return self.out(self.lif.get_spike())

        x = (jax.random.uniform(jax.random.key(0), (20, 3)) < 0.7).astype(jnp.float32)
        with (
            brainstate.environ.context(dt=0.1 * unit.ms),
            jax.numpy_rank_promotion("allow"),
            jax.numpy_dtype_promotion("standard"),
        ):
            net = Net()
            brainstate.nn.init_all_states(net)
            run = lambda x: brainstate.transform.for_loop(net, x)
            _, account = joulax.brainstate.count(run, spikes=0)(x)
        assert list(account) == ["fc", "out"]
        assert float(account["fc"].updates) == 100
        assert float(account["out"].ac) == 2 * float(account["fc"].spikes) > 0

    def test_without_the_adapter(self, brainstate):
        class Net(brainstate.nn.Module):
            def __init__(self):
                super().__init__()
                self.z = brainstate.HiddenState(jnp.zeros(4))

            def update(self, x):
                self.z.value = x
                return x

        net = Net()
        for model in (net, lambda x: net(x)):
            with pytest.raises(ValueError, match=r"use joulax\.brainstate\.count"):
                joulax.count(model)(jnp.ones(4))

    def test_options(self, brainstate):
        with pytest.raises(ValueError, match="weights= is not needed"):
            joulax.brainstate.count(lambda x: x, weights=0)
        with pytest.raises(ValueError, match="by number"):
            joulax.brainstate.count(lambda x: x, spikes="x")

    def test_without_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "brainstate", None)
        with pytest.raises(ImportError, match="pip install brainstate"):
            joulax.brainstate.count(lambda x: x)
