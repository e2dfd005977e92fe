"""PyTorch: which neurons a program has, which of them fire, what they send; as in JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .idioms.common import numbers

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def spikes(*shape):
    return torch.from_numpy((np.random.default_rng(1).random(shape) < 0.4).astype(np.float32))


FIRST, SECOND, DATA = drawn(8, 6), drawn(3, 8, seed=1), drawn(4, 6, seed=2)


def fired(v, threshold=0.3):
    return (v > threshold).float()


def jired(v, threshold=0.3):
    return (v > threshold).astype("float32")


def indexed(v):
    z = torch.zeros_like(v)
    z[v > 0.3] = 1.0
    return z


def surrogate(v):
    g = torch.sigmoid(v)
    return g + (fired(v) - g).detach()


def added_before(v):
    g = torch.sigmoid(v)
    return fired(v) + g - g.detach()


BETWEEN = {
    "threshold": (fired, jired),
    "tanh": (lambda v: torch.tanh(fired(v)), lambda v: jnp.tanh(jired(v))),
    "sigmoid": (lambda v: torch.sigmoid(fired(v)), lambda v: jax.nn.sigmoid(jired(v))),
    "softplus": (lambda v: F.softplus(fired(v)), lambda v: jax.nn.softplus(jired(v))),
    "gelu": (lambda v: F.gelu(fired(v)), lambda v: jax.nn.gelu(jired(v))),
    "relu": (lambda v: F.relu(fired(v)), lambda v: jax.nn.relu(jired(v))),
    "raised": (lambda v: fired(v).clamp(0.2, 1), lambda v: jnp.clip(jired(v), 0.2, 1)),
    "clipped sum": (
        lambda v: (fired(v) + fired(v, 1)).clamp(0, 1),
        lambda v: jnp.clip(jired(v) + jired(v, 1), 0, 1),
    ),
    "difference": (lambda v: fired(v) - fired(v, 1), lambda v: jired(v) - jired(v, 1)),
    "sum": (lambda v: fired(v) + fired(v, 1), lambda v: jired(v) + jired(v, 1)),
    "window": (
        lambda v: fired(v) * (1 - fired(v, 1)),
        lambda v: jired(v) * (1 - jired(v, 1)),
    ),
    "exclusive": (
        lambda v: ((v > 0.3) ^ (v > 1)).float(),
        lambda v: ((v > 0.3) ^ (v > 1)).astype("float32"),
    ),
    "where": (lambda v: torch.where(v > 0.3, 1.0, 0.0), lambda v: jnp.where(v > 0.3, 1.0, 0.0)),
    "where likes": (
        lambda v: torch.where(v > 0.3, torch.ones_like(v), torch.zeros_like(v)),
        lambda v: jnp.where(v > 0.3, 1.0, 0.0),
    ),
    "two levels": (
        lambda v: torch.where(v > 0.3, 3.0, 5.0),
        lambda v: jnp.where(v > 0.3, 3.0, 5.0),
    ),
    "signs": (lambda v: torch.where(v > 0.3, 1.0, -1.0), lambda v: jnp.where(v > 0.3, 1.0, -1.0)),
    "index": (indexed, jired),
    "rectified sign": (
        lambda v: F.relu(torch.sign(v - 0.3)),
        lambda v: jax.nn.relu(jnp.sign(v - 0.3)),
    ),
    "complement": (lambda v: 1 - fired(v), lambda v: 1 - jired(v)),
    "twice": (lambda v: fired(fired(v), 0.5), lambda v: jired(jired(v), 0.5)),
    "rounded": (lambda v: fired(v).round().bool().float(), jired),
    "counter": (lambda v: torch.zeros_like(v) + fired(v), lambda v: jnp.zeros_like(v) + jired(v)),
    "nothing added": (lambda v: fired(v) + 0.0 * v, lambda v: jired(v) + 0.0 * v),
    "straight through": (surrogate, jired),
    "straight through, recomputed": (
        lambda v: (fired(v) - torch.sigmoid(v)).detach() + torch.sigmoid(v),
        jired,
    ),
    "straight through, added": (added_before, jired),
    "two differences": (lambda v: 1 - fired(v) - fired(v, 1), lambda v: 1 - jired(v) - jired(v, 1)),
    "one hot": (
        lambda v: F.one_hot(v.argmax(-1), 8).float(),
        lambda v: jax.nn.one_hot(v.argmax(-1), 8),
    ),
    "rectified by where": (
        lambda v: torch.where(v > 0, v, 0.0),
        lambda v: jnp.where(v > 0, v, 0.0),
    ),
    "gated": (lambda v: v * (v > 0), lambda v: v * jired(v, 0)),
    "maximum": (
        lambda v: torch.maximum(v, torch.zeros_like(v)),
        lambda v: jnp.maximum(v, 0),
    ),
    "max": (lambda v: torch.max(v, torch.tensor(0.0)), lambda v: jnp.maximum(v, 0)),
    "running": (lambda v: fired(v).cumsum(-1), lambda v: jnp.cumsum(jired(v), -1)),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_what_stands_between_two_layers(name):
    """Two layers, and a function of the first one's current: every field as in JAX."""
    ours, theirs = BETWEEN[name]
    w = {"a": torch.from_numpy(FIRST), "b": torch.from_numpy(SECOND)}
    run = lambda w, x: ours(x @ w["a"].T) @ w["b"].T
    twin = lambda w, x: theirs(x @ w["a"].T) @ w["b"].T
    _, account = joulax.torch.count(run, weights=0)(w, torch.from_numpy(DATA))
    js = {k: jnp.asarray(v.numpy()) for k, v in w.items()}
    _, expected = joulax.count(twin, weights=0)(js, jnp.asarray(DATA))
    for layer in "ab":
        assert numbers(account[layer]) == numbers(expected[layer]), layer


@pytest.mark.parametrize("act", [torch.nn.GLU(), torch.nn.Hardshrink(), torch.nn.Softshrink()])
def test_activations(act):
    """Every value that leaves an activation is an update."""
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), act)
    out, account = joulax.torch.count(net)(torch.randn(3, 6))
    assert float(account["0"].updates) == out.numel()
    assert float(account["0"].neurons) == out[0].numel()


class Neurons(torch.nn.Module):
    """Two layers of leaky neurons written by hand, and what is made of their spikes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)
        self.emitted = [0.0, 0.0]

    def forward(self, x, made=torch.stack):
        v, u, steps = torch.zeros(4, 8), torch.zeros(4, 3), []
        self.emitted = [0.0, 0.0]
        for now in x:
            v = 0.9 * v + self.a(now)
            z = fired(v)
            v = v - 0.3 * z
            u = 0.9 * u + self.b(z)
            y = fired(u, 0.2)
            u = u - 0.2 * y
            self.emitted = [self.emitted[0] + float(z.sum()), self.emitted[1] + float(y.sum())]
            steps.append(y)
        return made(steps)


def counter(steps):
    total = torch.zeros(4, 3)
    for y in steps:
        total = total + y
    return total


def counter_in_place(steps):
    total = torch.zeros(4, 3)
    for y in steps:
        total += y
    return total


def trace(steps):
    total = torch.zeros(4, 3)
    for y in steps:
        total = 0.9 * total + y
    return total


@pytest.mark.parametrize(
    "made",
    [torch.stack, counter, counter_in_place, trace, lambda steps: counter(steps).argmax(-1)],
)
def test_spikes_arrive_through_counters_and_traces(made):
    net, x = Neurons(), spikes(10, 4, 6)
    _, account = joulax.torch.count(net, spikes=0)(x, made)
    assert [float(account[n].spikes) for n in "ab"] == net.emitted
    assert [float(account[n].updates) for n in "ab"] == [320, 120]
    assert [float(account[n].neurons) for n in "ab"] == [8, 3]


def test_a_readout_of_counted_spikes():
    """A counter stays spikes: each of them is an event at the readout."""
    first, readout = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)

    def run(x):
        total = torch.zeros(4, 8)
        for now in x:
            total = total + fired(first(now))
        return readout(total)

    x = spikes(10, 4, 6)
    emitted = float(fired(first(x)).sum())
    _, account = joulax.torch.count(run, spikes=0)(x)
    assert float(account["readout"].ac) == 3 * emitted
    assert float(account["first"].spikes) == emitted


def test_currents_of_all_steps_at_once():
    """A layer evaluated once, whose current is read step by step, has its own neurons."""
    first, readout = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)

    def run(x):
        v, out = torch.zeros(4, 8), 0
        for current in first(x):
            v = 0.9 * v + current
            z = fired(v)
            v, out = v - 0.3 * z, out + readout(z)
        return out

    _, account = joulax.torch.count(run, spikes=0)(spikes(10, 4, 6))
    assert [float(getattr(account["first"], f)) for f in ("updates", "neurons")] == [320, 8]


def test_two_populations_of_one_current():
    """Spikes that never meet are of neurons that add up."""
    a, b, c = (torch.nn.Linear(*s) for s in ((6, 8), (8, 3), (8, 3)))

    def run(x):
        current = a(x)
        return b(fired(current)), c(fired(current, 1.0))

    _, account = joulax.torch.count(run, spikes=0)(spikes(4, 6))
    assert [float(getattr(account["a"], f)) for f in ("updates", "neurons")] == [64, 16]


def test_a_refractory_mask_makes_no_spikes():
    class Refractory(Neurons):
        def forward(self, x, made=None):
            v, wait, out, self.emitted = torch.zeros(4, 8), torch.zeros(4, 8), 0, [0.0]
            for now in x:
                v = 0.9 * v + self.a(now)
                z = fired(v) * (wait <= 0).float()
                v, wait = v - 0.3 * z, (wait - 1).clamp(min=0) + 2 * z
                out, self.emitted = out + self.b(z), [self.emitted[0] + float(z.sum())]
            return out

    net = Refractory()
    _, account = joulax.torch.count(net, spikes=0)(spikes(10, 4, 6))
    assert list(account) == ["a", "b"]
    assert float(account["a"].spikes) == net.emitted[0]
    assert float(account["b"].ac) == 3 * net.emitted[0]
    assert float(account["a"].updates) == 320


@pytest.mark.parametrize(
    "meet", [lambda q, k: q @ k.transpose(-1, -2), lambda q, k: q * k], ids=["product", "mask"]
)
def test_spikes_of_two_layers_meet(meet):
    """Both populations are neurons, whichever of them decides the kind."""
    q, k = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
    x = torch.randn(2, 5, 8)
    sent = [float(fired(m(x), 0.2).sum()) for m in (q, k)]
    _, account = joulax.torch.count(lambda x: meet(fired(q(x), 0.2), fired(k(x), 0.2)))(x)
    assert [float(account[n].spikes) for n in "qk"] == sent
    assert [float(account[n].updates) for n in "qk"] == [80, 80]


@pytest.mark.parametrize(
    "together",
    [
        lambda steps: torch.stack(steps).amax(0),
        lambda steps: torch.maximum(torch.maximum(steps[0], steps[1]), steps[2]),
        lambda steps: (steps[0].bool() | steps[1].bool() | steps[2].bool()).float(),
        lambda steps: sum(steps).clamp(max=1),
    ],
)
def test_spikes_of_several_steps_are_all_sent(together):
    first, readout = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)
    x = torch.randn(3, 4, 6)
    run = lambda x: readout(together([fired(first(now)) for now in x]))
    _, account = joulax.torch.count(run)(x)
    assert float(account["first"].spikes) == float(fired(first(x)).sum())
    assert float(account["first"].updates) == 3 * 4 * 8
    assert float(account["readout"].ac) == 3 * float((first(x) > 0.3).any(0).sum())


def test_one_spike_each():
    """A mask of the past lets the first spike of every neuron through."""
    first, readout = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)
    x, sent = torch.randn(5, 4, 6), []

    def run(x):
        before, out = torch.zeros(4, 8), 0
        for now in x:
            z = fired(first(now)) * (1 - before)
            before = torch.maximum(before, z)
            sent.append(float(z.sum()))
            out = out + readout(z)
        return out

    _, account = joulax.torch.count(run)(x)
    assert float(account["first"].spikes) == sum(sent)
    assert float(account["readout"].ac) == 3 * sum(sent)
    assert float(account["first"].updates) == 5 * 4 * 8


@pytest.mark.parametrize("some", [lambda s: s.any(1), lambda s: s.max(1).values])
def test_any_of_several_spikes(some):
    first, readout = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)
    x = torch.randn(4, 5, 6)
    _, account = joulax.torch.count(lambda x: readout(some(first(x) > 0.3).float()))(x)
    assert float(account["first"].spikes) == float((first(x) > 0.3).sum())
    assert float(account["readout"].ac) == 3 * float((first(x) > 0.3).any(1).sum())


def test_one_magnitude_is_one_event():
    first, readout = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)
    three = lambda v: torch.where(v > 0.3, 3 * torch.ones_like(v), torch.zeros_like(v))
    x = torch.randn(4, 6)
    _, account = joulax.torch.count(lambda x: readout(three(first(x))))(x)
    assert float(account["readout"].ac) == 3 * float(fired(first(x)).sum())


# -- neither batch nor time -----------------------------------------------------------------------


def snn():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        return pytest.importorskip("snntorch")


def fields(record, *names):
    return [float(getattr(record, n)) for n in names]


def test_neurons_behind_neurons():
    lib = snn()
    leaky = lambda th: lib.Leaky(beta=0.9, threshold=th, init_hidden=True)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), leaky(0.3), leaky(1.5), torch.nn.Linear(8, 3))
    _, account = joulax.torch.count(lambda x: [net(now) for now in x], spikes=0)(spikes(10, 4, 6))
    assert fields(account["0"], "neurons", "updates") == [8, 320]
    assert fields(account["2"], "neurons", "updates") == [8, 320]


def test_two_neuron_modules_on_one_current():
    lib = snn()
    layer = torch.nn.Linear(6, 8)
    one, two = (lib.Leaky(beta=0.9, threshold=t, init_hidden=True) for t in (0.3, 1.0))

    def run(x):
        out = []
        for now in x:
            current = layer(now)
            out += [one(current), two(current)]
        return out

    _, account = joulax.torch.count(run, spikes=0)(spikes(10, 4, 6))
    assert fields(account["layer"], "neurons", "updates") == [16, 640]


def test_neuron_modules_with_layers_inside():
    lib = snn()
    cell = lib.SConv2dLSTM(2, 3, 3, threshold=0.05)

    def run(x):
        state, out = cell.init_sconv2dlstm(), 0
        for now in x:
            spk, *state = cell(now, *state)
            out = out + spk
        return out

    _, account = joulax.torch.count(run, spikes=0)(spikes(5, 2, 2, 4, 4))
    assert fields(account["conv"], "neurons", "updates") == [48, 480]
    parallel = lib.LeakyParallel(6, 8, beta=0.9, threshold=0.2)
    _, account = joulax.torch.count(parallel, spikes=0)(spikes(10, 4, 6))
    assert fields(account["rnn.weight_ih_l0"], "neurons", "updates") == [8, 320]


@pytest.mark.parametrize(
    "run",
    [
        lambda x, w: torch.matmul(x.unsqueeze(1), w),
        lambda x, w: torch.bmm(
            x.repeat_interleave(4, 0), w.expand(7, 4, 6, 5).reshape(28, 6, 5)
        ).unflatten(0, (7, 4)),
        lambda x, w: torch.einsum("bti,hio->bhto", x, w),
    ],
    ids=["matmul", "bmm", "einsum"],
)
def test_weights_that_are_used_for_every_sample(run):
    """Each element of a weight is a synapse once, however often it is copied."""
    x, w = torch.randn(7, 3, 6), torch.randn(4, 6, 5)
    _, account = joulax.torch.count(lambda x, w: F.relu(run(x, w)), weights=1)(x, w)
    names = ("synapses", "nonzero", "dense_mac", "updates", "neurons")
    assert fields(account["1"], *names)[:4] == [120, 120, 2520, 420]
    assert float(account["1"].neurons) == 20
