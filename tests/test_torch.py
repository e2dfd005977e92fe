"""PyTorch models: by hand, against the same network in JAX, and against recorded runs of peers."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .conftest import recorded
from .idioms.common import check, numbers, spike
from .test_peers import counted, weight_layers

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")


def ones(*shape):
    return torch.ones(*shape)


def library(name, *more):
    """A library of neurons, or a skip."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        found = pytest.importorskip(name)
    return [found, *(pytest.importorskip(m) for m in more)] if more else found


def linear(*shape, bias=False, weight=None):
    """A linear layer with weights of one."""
    layer = torch.nn.Linear(shape[1], shape[0], bias=bias)
    with torch.no_grad():
        layer.weight.copy_(ones(*shape) if weight is None else torch.as_tensor(weight))
    return layer


def both(model, x, jax_fn, weights, jx=None, **options):
    """The account of a PyTorch model, held against ours of the same network in JAX."""
    out, account = joulax.torch.count(model, **options)(x)
    jx = jnp.asarray(np.asarray(x)) if jx is None else jx
    spikes = 1 if "spikes" in options else None
    jax_out, twin = joulax.count(jax_fn, weights=0, spikes=spikes)(weights, jx)
    np.testing.assert_allclose(out.detach().numpy(), np.asarray(jax_out), rtol=1e-4, atol=1e-5)
    assert len(account) == len(twin)
    for (name, ours), theirs in zip(account.items(), twin.values(), strict=True):
        assert numbers(ours) == numbers(theirs), name
    return account


# -- by hand --------------------------------------------------------------------------------------


def test_linear_by_hand():
    """Two of three inputs are not zero and reach four neurons each; the output is the model's."""
    model = torch.nn.Sequential(linear(4, 3), torch.nn.ReLU(), linear(2, 4))
    x = torch.tensor([[1.0, 0.0, 2.0]], requires_grad=True)
    out, account = joulax.torch.count(model)(x)
    assert out.tolist() == [[12.0, 12.0]]
    out.sum().backward()
    assert x.grad.tolist() == [[8.0, 8.0, 8.0]]
    assert list(account) == ["0", "2"]
    check(account["0"], mac=8, dense_mac=12, updates=4, neurons=4, synapses=12, nonzero=12)
    check(account["2"], mac=8, dense_mac=8, synapses=8, nonzero=8)
    assert joulax.energy(account, joulax.hardware("45nm")).total > 0


def test_declared_spikes_and_zero_weights():
    model = linear(2, 3, weight=[[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    x = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    for options in (dict(spikes=0), dict(spikes="input")):
        _, account = joulax.torch.count(model, **options)(x)
        check(account["weight"], ac=5, ac_graded=3, dense_ac=12, synapses=6, nonzero=3)
    _, boolean = joulax.torch.count(lambda x: model(x.float()))(x > 0)
    check(boolean["weight"], ac=3, dense_ac=12, synapses=6, nonzero=3)
    with pytest.raises(ValueError, match="no argument 'current'"):
        joulax.torch.count(model, spikes="current")(x)
    with pytest.raises(ValueError, match="by number or name, got True"):
        joulax.torch.count(model, spikes=True)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(
    "geometry",
    [
        dict(kernel_size=3, padding=1),
        dict(kernel_size=3, stride=2, padding=2, dilation=2, groups=2),
        dict(kernel_size=2, stride=2, transposed=True),
        dict(kernel_size=3, stride=2, padding=1, groups=2, transposed=True),
    ],
    ids=str,
)
def test_convolutions_against_ours(n, geometry):
    """Every dimension, groups, dilation and transposed: as one sum over taps that exist."""
    geometry = dict(geometry)
    transposed = "Transpose" if geometry.pop("transposed", False) else ""
    torch.manual_seed(0)
    layer = getattr(torch.nn, f"Conv{transposed}{n}d")(4, 6, bias=False, **geometry)
    with torch.no_grad():
        layer.weight[torch.rand_like(layer.weight) < 0.3] = 0
    x = (torch.rand(2, 4, *(6, 5, 4)[:n]) < 0.4).float() * 2
    _, account = joulax.torch.count(layer, spikes=0)(x)
    exists = (layer.weight.detach() != 0).double()
    run = getattr(F, f"conv{'_transpose' if transposed else ''}{n}d")
    options = {k: v for k, v in geometry.items() if k != "kernel_size"}
    whole = lambda a, w: float(run(a.double(), w, **options).sum().round())
    check(
        account["weight"],
        ac=whole(x, exists),
        ac_graded=whole(x != 0, exists),
        dense_ac=whole(torch.ones_like(x), torch.ones_like(exists)),
        synapses=whole(torch.ones_like(x[:1]), torch.ones_like(exists)),
        nonzero=whole(torch.ones_like(x[:1]), exists),
    )


def test_modules_used_twice_and_at_several_shapes():
    """A layer that is called three times is one record; its synapses are its own."""
    layer = linear(3, 3)
    model = lambda x: layer(F.relu(layer(x))).sum() + layer(x[0]).sum()
    _, account = joulax.torch.count(model)(ones(2, 3))
    check(account["weight"], mac=45, dense_mac=45, updates=6, neurons=3, synapses=9, nonzero=9)


def test_functional_products():
    def run(p, x):
        hidden = torch.einsum("bi,oi->bo", x, p["a"]).relu()
        return torch.matmul(p["b"], hidden.T)

    weights = {"a": ones(4, 3), "b": ones(2, 4)}
    _, account = joulax.torch.count(run, weights=0)(weights, torch.tensor([[1.0, 0.0, 2.0]]))
    assert list(account) == ["a", "b"]
    check(account["a"], mac=8, dense_mac=12, updates=4, neurons=4, synapses=12, nonzero=12)
    check(account["b"], mac=8, dense_mac=8, synapses=8, nonzero=8)


def test_weights_that_a_function_closes_over():
    """Modules used inside a comprehension are found; loose tensors are told apart."""
    net = torch.nn.Sequential(linear(4, 3), torch.nn.ReLU(), linear(2, 4))
    _, account = joulax.torch.count(lambda x: [net(now) for now in x])(ones(5, 1, 3))
    assert list(account) == ["0", "2"]
    a, b = ones(4, 3), ones(2, 4)
    _, loose = joulax.torch.count(lambda x: F.relu(x @ a.T) @ b.T)(ones(1, 3))
    assert list(loose) == ["weight[0]", "weight[1]"]
    assert [float(r.mac) for r in loose.values()] == [12, 8]


def test_weighted_sums_by_hand():
    run = lambda p, x: (p["w"] * x[:, None]).sum(-1)
    _, account = joulax.torch.count(run, weights=0, spikes=1)(
        {"w": ones(4, 3)}, torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    )
    check(account["w"], ac=12, dense_ac=24, synapses=12, nonzero=12)


def test_gains_norms_and_biases_are_no_synapses():
    model = torch.nn.Sequential(
        torch.nn.LayerNorm(4), linear(2, 4, bias=True), torch.nn.BatchNorm1d(2)
    ).eval()
    _, account = joulax.torch.count(model)(torch.randn(3, 4))
    assert list(account) == ["1"]


def test_embedding_is_read():
    model = torch.nn.Embedding(10, 4)
    _, account = joulax.torch.count(model)(torch.tensor([[1, 2, 3]]))
    check(account["weight"], lookups=12)


def test_hidden_synapses_are_said():
    model = torch.nn.Bilinear(3, 3, 2)
    with pytest.raises(ValueError, match="no record.*strict=False"):
        joulax.torch.count(model)(ones(1, 3), ones(1, 3))
    _, account = joulax.torch.count(model, strict=False)(ones(1, 3), ones(1, 3))
    assert account.partial


def test_nothing_stays_behind():
    model = torch.nn.Sequential(linear(4, 3), torch.nn.ReLU())
    joulax.torch.count(model)(ones(1, 3))
    with pytest.raises(RuntimeError):
        joulax.torch.count(model)(ones(1, 5))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()


def test_resnet_50():
    """The figures of `joulax.summary`: 3.948 G without padding."""
    models = library("torchvision.models")
    with torch.no_grad():
        model = models.resnet50().eval()
        _, account = joulax.torch.count(model)(torch.rand(1, 3, 224, 224))
    assert sum(float(r.dense) for r in account.values()) == 3_948_251_904
    assert sum(float(r.neurons) for r in account.values() if r.neurons is not None) == 9_608_704


def test_explained():
    """Every site says what decided its kind."""
    model = torch.nn.Sequential(linear(4, 3), torch.nn.ReLU(), linear(2, 4))
    _, account = joulax.torch.count(model)(ones(1, 3))
    first, second = account.convention.sites
    assert "say spikes=0" in first.cause
    assert second.cause == "an activation (relu) in module '1'"


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install torch"):
        joulax.torch.count(lambda x: x)


# -- the same network in JAX -----------------------------------------------------------------------


def rates(*shape, rate=0.5):
    return torch.from_numpy((np.random.default_rng(0).random(shape) < rate).astype(np.float32))


def test_hand_written_lif_and_its_twin():
    """A loop over time in either; spikes are born at a comparison and counted where they leave."""

    def run(p, x):
        membrane, out = torch.zeros(2, 4), 0
        for now in x:
            membrane = 0.9 * membrane + now @ p["a"].T
            s = (membrane > 1.5).float()
            membrane = membrane - 1.5 * s
            out = out + s @ p["b"].T
        return out

    def twin(p, x):
        def step(membrane, now):
            membrane = 0.9 * membrane + now @ p["a"].T
            s = spike(membrane - 1.5)
            return membrane - 1.5 * s, s @ p["b"].T

        return jax.lax.scan(step, jnp.zeros((2, 4)), x)[1].sum(0)

    weights = {"a": ones(4, 3) * 0.7, "b": ones(2, 4)}
    x = rates(10, 2, 3)
    out, account = joulax.torch.count(run, weights=0, spikes=1)(weights, x)
    js = {k: jnp.asarray(v.numpy()) for k, v in weights.items()}
    jout, theirs = joulax.count(twin, weights=0, spikes=1)(js, jnp.asarray(x.numpy()))
    np.testing.assert_allclose(out.numpy(), jout, rtol=1e-5)
    for name in ("a", "b"):
        assert numbers(account[name]) == numbers(theirs[name])
    assert float(account["a"].updates) == 10 * 2 * 4


def test_attention_and_its_twin():
    """Four projections, queries with keys, weights with values: fused or not, the same."""

    def heads(t):
        return t.reshape(2, 5, 2, 4).transpose(1, 2)

    def run(p, x):
        q, k, v = (heads(x @ p[n]) for n in "qkv")
        return F.scaled_dot_product_attention(q, k, v)

    def by_hand(p, x):
        q, k, v = (heads(x @ p[n]) for n in "qkv")
        return torch.softmax(q @ k.transpose(-1, -2) / 2, -1) @ v

    weights = {n: torch.randn(6, 8) for n in "qkv"}
    x = torch.randn(2, 5, 6)
    fused = joulax.torch.count(run, weights=0)(weights, x)[1]
    written = joulax.torch.count(by_hand, weights=0)(weights, x)[1]
    products = [sum(float(r.mac) for n, r in a.items() if n not in "qkv") for a in (fused, written)]
    assert products == [2 * (2 * 2 * 5 * 5 * 4)] * 2
    assert float(fused["q"].dense_mac) == 2 * 5 * 6 * 8


@pytest.mark.parametrize("grad", [True, False])
def test_transformer_layer(grad):
    """Its fast path hides all synapses in one operation, so it is not taken."""
    model = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(2, 5, 8)
    with torch.set_grad_enabled(grad):
        out, account = joulax.torch.count(model)(x)
    assert torch.allclose(out, model(x), atol=1e-5)
    tokens = 2 * 5
    assert float(account["self_attn"].dense_mac) == tokens * 8 * 24
    assert float(account["linear1"].dense_mac) == tokens * 8 * 16
    assert float(account["linear1"].updates) == tokens * 16
    total = sum(float(r.dense) for r in account.values())
    assert total == tokens * (4 * 8 * 8 + 2 * 8 * 16 + 2 * 5 * 8)


@pytest.mark.parametrize(("cell", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
@pytest.mark.parametrize("grad", [True, False])
def test_recurrent_layers(cell, gates, grad):
    """H units are updated a step, whatever the number of their gates."""
    model = getattr(torch.nn, cell)(3, 5, num_layers=2)
    with torch.set_grad_enabled(grad):
        _, account = joulax.torch.count(model)(torch.rand(7, 2, 3) + 0.1)
    steps = 7 * 2
    assert list(account) == [f"weight_{w}_l{i}" for i in (0, 1) for w in ("ih", "hh")]
    check(
        account["weight_ih_l0"],
        mac=steps * 3 * 5 * gates,
        dense_mac=steps * 3 * 5 * gates,
        updates=steps * 5,
        neurons=5,
        synapses=15 * gates,
        nonzero=15 * gates,
    )
    # the state is zero at the first step
    assert float(account["weight_hh_l0"].dense_mac) == steps * 25 * gates
    assert float(account["weight_hh_l0"].mac) == (steps - 2) * 25 * gates


def test_recurrent_cells():
    cell = torch.nn.LSTMCell(3, 4)

    def run(x):
        h = c = torch.zeros(2, 4)
        for now in x:
            h, c = cell(now, (h, c))
        return h

    _, account = joulax.torch.count(run)(torch.rand(6, 2, 3) + 0.1)
    assert list(account) == ["weight_ih", "weight_hh"]
    assert float(account["weight_ih"].updates) == 6 * 2 * 4


def test_convolutional_network_and_its_twin():
    """Pools carry events: a mean of four spikes is four events at the next layer."""
    torch.manual_seed(0)
    conv, fc = torch.nn.Conv2d(2, 4, 3, padding=1, bias=False), torch.nn.Linear(64, 3, bias=False)

    def run(x):
        s = (conv(x) > 0.2).float()
        return fc(F.avg_pool2d(s, 2).flatten(1))

    def twin(p, x):
        y = jax.lax.conv_general_dilated(x, p["conv"], (1, 1), [(1, 1), (1, 1)])
        s = spike(y - 0.2)
        pooled = s.reshape(3, 4, 4, 2, 4, 2).mean((3, 5))
        return pooled.reshape(3, -1) @ p["fc"].T

    weights = {
        "conv": jnp.asarray(conv.weight.detach().numpy()),
        "fc": jnp.asarray(fc.weight.detach().numpy()),
    }
    account = both(run, rates(3, 2, 8, 8), twin, weights, spikes=0)
    assert float(account["fc"].ac) > float(account["fc"].ac_graded)


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
        lambda x: F.lp_pool2d(x, 1, 2),
        lambda x: x.mean((2, 3), keepdim=True),
        lambda x: F.pad(x, (1, 1))[:, :, ::2],
        lambda x: torch.cat([x, x.flip(1)], 1).transpose(1, 2),
        lambda x: F.dropout(x, 0.5),
        lambda x: x * x,
        lambda x: 1 - (x > 0.5).float(),
        lambda x: x + x,
        lambda x: torch.stack([x, x]).sum(0),
        lambda x: torch.where(x > 0.5, x, torch.zeros(())),
        lambda x: F.interpolate(x, scale_factor=2),
    ],
)
def test_what_spikes_stay_spikes_through(pool):
    layer = linear(1, pool(rates(2, 3, 4, 6)).flatten(1).shape[1])
    _, account = joulax.torch.count(lambda x: layer(pool(x).flatten(1)), spikes=0)(
        rates(2, 3, 4, 6)
    )
    assert account["weight"].mac is None
    assert float(account["weight"].ac) > 0


@pytest.mark.parametrize(
    "made",
    [
        lambda x: x + 0.5,
        lambda x: x + 0.9 * x.roll(1),
        lambda x: torch.softmax(x, -1),
        lambda x: F.layer_norm(x, (12,)),
        lambda x: x.exp(),
    ],
)
def test_what_ends_spikes(made):
    layer = linear(1, 12)
    _, account = joulax.torch.count(lambda x: layer(made(x)), spikes=0)(rates(2, 12))
    assert account["weight"].ac is None


def test_pieces_written_in_place():
    """A buffer that is filled step by step carries the spikes that were written into it."""
    layer = linear(1, 12)

    def run(x):
        buffer = torch.zeros(2, 12)
        for i in range(3):
            buffer[:, 4 * i : 4 * i + 4] = x[:, i] * 0.5
        return layer(buffer)

    x = rates(2, 3, 4)
    _, account = joulax.torch.count(run, spikes=0)(x)
    assert float(account["weight"].ac) == float(x.sum())


# -- libraries of neurons --------------------------------------------------------------------------


def twin_lif(beta, threshold, steps, batch):
    """Two layers of leaky neurons that reset by subtraction, one step later, in JAX."""

    def run(p, x):
        def step(state, now):
            (u, r), (v, q) = state
            u = beta * u + now @ p["a"].T - r * threshold
            s = spike(u - threshold)
            v = beta * v + s @ p["b"].T - q * threshold
            z = spike(v - threshold)
            return ((u, s), (v, z)), z

        zero = lambda n: jnp.zeros((batch, n))
        start = ((zero(8), zero(8)), (zero(3), zero(3)))
        return jax.lax.scan(step, start, x)[1]

    return run


def test_snntorch_and_its_twin():
    snn = library("snntorch")
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = (torch.nn.Linear(*s, bias=False) for s in ((5, 8), (8, 3)))
            self.lif1, self.lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

        def forward(self, x):
            u, v = self.lif1.init_leaky(), self.lif2.init_leaky()
            spikes = []
            for now in x:
                s, u = self.lif1(3 * self.fc1(now), u)
                z, v = self.lif2(3 * self.fc2(s), v)
                spikes.append(z)
            return torch.stack(spikes)

    net = Net()
    weights = {
        k: jnp.asarray(3 * w.weight.detach().numpy())
        for k, w in zip("ab", (net.fc1, net.fc2), strict=True)
    }
    account = both(net, rates(12, 2, 5), twin_lif(0.9, 1.0, 12, 2), weights, spikes=0)
    assert list(account) == ["fc1", "fc2"]
    assert float(account["fc1"].spikes) > 0
    assert float(account["fc2"].updates) == 12 * 2 * 3


@pytest.mark.parametrize("name", ["RLeaky", "RSynaptic"])
def test_snntorch_recurrent(name):
    """Recurrent spikes meet recurrent weights a step later, from zeros at the first."""
    snn = library("snntorch")
    options = dict(beta=0.9, linear_features=4, all_to_all=True, init_hidden=True)
    options |= dict(alpha=0.8) if name == "RSynaptic" else {}
    neuron = getattr(snn, name)(**options)
    model = torch.nn.Sequential(linear(4, 3), neuron)
    fired = []

    def run(x):
        for now in x:
            fired.append(model(now))
        return fired[-1]

    _, account = joulax.torch.count(run, spikes=0)(rates(6, 2, 3))
    emitted = sum(float(s.sum()) for s in fired)
    assert emitted > 0
    assert float(account["0"].spikes) == emitted
    assert float(account["1.recurrent"].ac) == 4 * (emitted - float(fired[-1].sum()))
    assert float(account["1.recurrent"].dense_ac) == 6 * 2 * 16


@pytest.mark.parametrize("mode", ["s", "m"])
def test_spikingjelly(mode):
    """Step by step or all steps at once, the same account."""
    layer, neuron, functional = library(
        *(f"spikingjelly.activation_based.{n}" for n in ("layer", "neuron", "functional"))
    )
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        neuron.IFNode(v_threshold=0.3),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Linear(64, 3, bias=False),
        neuron.LIFNode(v_threshold=0.1),
    ).eval()
    functional.set_step_mode(net, mode)
    x = rates(4, 2, 2, 8, 8)
    call = net if mode == "m" else lambda x: torch.stack([net(now) for now in x])
    out, account = joulax.torch.count(call, spikes=0)(x)
    functional.reset_net(net)
    assert list(account) == ["0", "5"]
    exists = torch.ones(4, 2, 3, 3)
    assert float(account["0"].ac) == float(F.conv2d(x.flatten(0, 1), exists, padding=1).sum())
    assert float(account["5"].ac) == 3 * float(account["0"].spikes)  # windows do not overlap
    assert float(account["0"].updates) == 4 * 2 * 256
    assert float(account["0"].neurons) == 256
    assert float(account["5"].spikes) == float(out.sum())


def test_norse():
    """A leaky readout has neurons and no spikes."""
    norse = library("norse.torch")
    net = norse.SequentialState(linear(8, 5), norse.LIFCell(), linear(2, 8), norse.LICell())

    def run(x):
        state, outs = None, []
        for now in x:
            out, state = net(now, state)
            outs.append(out)
        return torch.stack(outs)

    x = rates(20, 2, 5, rate=0.9)
    _, account = joulax.torch.count(run, spikes=0)(x)
    check(
        account["0"],
        ac=8 * float(x.sum()),
        dense_ac=1600,
        spikes=float(account["0"].spikes),
        updates=320,
        neurons=8,
        synapses=40,
        nonzero=40,
    )
    check(
        account["2"],
        ac=2 * float(account["0"].spikes),
        dense_ac=640,
        updates=80,
        neurons=2,
        synapses=16,
        nonzero=16,
    )


def test_sinabs():
    """Multi-spikes: a neuron that sends three in a step sends three events."""
    layers = library("sinabs.layers")
    net = torch.nn.Sequential(
        linear(4, 3),
        layers.IAFSqueeze(batch_size=2),
        linear(5, 4),
        layers.ExpLeakSqueeze(tau_mem=10.0, batch_size=2),
    )
    x = torch.zeros(8, 3)
    x[0] = 1
    _, account = joulax.torch.count(net, spikes=0)(x)
    check(
        account["0"],
        ac=12,
        dense_ac=96,
        spikes=12,
        spikes_graded=4,
        updates=32,
        neurons=4,
        synapses=12,
        nonzero=12,
    )
    check(
        account["2"],
        ac=60,
        ac_graded=20,
        dense_ac=160,
        updates=40,
        neurons=5,
        synapses=20,
        nonzero=20,
    )


def test_neurons_of_ones_own():
    class Mine(torch.nn.Module):
        def forward(self, x):
            return torch.round(x.clamp(0, 3)), x

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.n, self.b = linear(4, 3), Mine(), linear(2, 4)

        def forward(self, x):
            return self.b(self.n(self.a(x))[0])

    _, account = joulax.torch.count(Net(), spikes=0, neurons=[Mine])(ones(1, 3))
    check(
        account["a"],
        ac=12,
        dense_ac=12,
        spikes=12,
        spikes_graded=4,
        updates=4,
        neurons=4,
        synapses=12,
        nonzero=12,
    )
    check(account["b"], ac=24, ac_graded=8, dense_ac=8, synapses=8, nonzero=8)


# -- recorded runs of peers ------------------------------------------------------------------------


def layer_of(spec, arrays):
    """The PyTorch layer of a recorded case."""
    w = torch.from_numpy(arrays[spec["weight"]])
    if w.ndim == 2:
        layer = torch.nn.Linear(w.shape[1], w.shape[0], bias=False)
    else:
        kind = getattr(torch.nn, f"Conv{w.ndim - 2}d")
        names = ("stride", "padding", "dilation", "groups")
        geometry = {k: spec[k] if isinstance(spec[k], int) else tuple(spec[k]) for k in names}
        outs, ins = w.shape[0], w.shape[1] * spec["groups"]
        layer = kind(ins, outs, tuple(w.shape[2:]), bias=False, **geometry)
    with torch.no_grad():
        layer.weight.copy_(w)
    return layer


def same(case, spec, leading, **options):
    """Our account of a recorded layer, through PyTorch and through JAX."""
    arrays = case.arrays
    x = torch.from_numpy(arrays[spec["input"]]).flatten(0, leading - 1)
    analog = options.get("analog", False)
    _, account = joulax.torch.count(layer_of(spec, arrays), spikes=None if analog else 0)(x)
    (record,) = account.values()
    ours = counted(case, spec, leading, **options)
    for field in ("ac", "ac_graded", "mac", "dense", "synapses", "nonzero"):
        a, b = getattr(record, field), getattr(ours, field)
        assert (a is None) == (b is None), field
        if a is not None:
            np.testing.assert_allclose(float(a), float(b), rtol=1e-6)
    return record


@pytest.mark.parametrize("case", recorded("sinabs", "linear_synops", "conv2d_synops"))
def test_recorded_sinabs(case):
    (spec,) = case["layers"]
    record = same(case, spec, 2)
    total = case["expected"]["brute_force_total_synops_over_batch_and_time"]
    np.testing.assert_allclose(float(record.ac), total, rtol=1e-6)


@pytest.mark.parametrize("case", recorded("neurobench", "layer_synops"))
def test_recorded_neurobench(case):
    (spec,) = case["layers"]
    analog = case["id"].endswith(("real", "relu"))
    record = same(case, spec, 1, analog=analog)
    effective = case["expected"]["single_layer_MACs_effective"]
    found = record.mac if analog else record.ac_graded
    np.testing.assert_allclose(float(found), effective, rtol=1e-6)


@pytest.mark.parametrize("case", recorded("spikingjelly", "snn_counts"))
def test_recorded_spikingjelly(case):
    for spec in weight_layers(case):
        same(case, spec, 2)


@pytest.mark.parametrize("case", recorded("neurobench", "snn_net"))
def test_recorded_snntorch_networks(case):
    """Networks that NeuroBench ran: linear layers between snnTorch's neurons, run again."""
    arrays = case.arrays
    if any(s["type"] not in ("linear", "leaky") for s in case["layers"]):
        pytest.skip("other layers are compared one by one")
    snn = library("snntorch")
    layers = []
    for spec in case["layers"]:
        if "weight" in spec:
            layers.append(layer_of(spec, arrays))
            if spec["bias"]:
                layers[-1].bias = torch.nn.Parameter(torch.from_numpy(arrays[spec["bias"]]))
        else:
            layers.append(snn.Leaky(beta=spec["beta"], init_hidden=True))
    net = torch.nn.Sequential(*layers)
    x = torch.from_numpy(arrays[case["layers"][0]["input"]]).transpose(0, 1)
    run = lambda x: torch.stack([net(now) for now in x])
    _, account = joulax.torch.count(run, spikes=0)(x)
    graded = sum(float(r.ac_graded) for r in account.values())
    expected = case["expected"]["SynapticOperations"]
    np.testing.assert_allclose(graded / x.shape[1], expected["Effective_ACs"], rtol=1e-6)
    dense = sum(float(r.dense) for r in account.values())
    np.testing.assert_allclose(dense / x.shape[1], expected["Dense"], rtol=1e-6)
