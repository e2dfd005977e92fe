"""PyTorch: no synapse is lost in silence. Sums by hand, unknown tensors, hidden products."""

import numpy as np
import pytest

import joulax

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")

EVENTS = torch.from_numpy((np.random.default_rng(1).random((4, 6)) < 0.5).astype(np.float32))
WEIGHT = torch.from_numpy(np.random.default_rng(2).normal(size=(5, 6)).astype(np.float32))
EDGES = torch.tensor([[0, 0, 1, 1, 2, 2]]).expand(4, 6)
SUM = float(EVENTS.sum())


def counted(run, *args, **options):
    return joulax.torch.count(run, **options)(*args)[1]


def pair(a, b):
    return torch.zeros(4, 5).addcmul(a[0], b[0]) + torch.zeros(4, 5).addcmul(a[1], b[1])


# a program of a weight and data, its weight, and events at synapses
BY_HAND = {
    "columns": (lambda w, x: sum(x[:, i : i + 1] * w[:, i] for i in range(6)), WEIGHT, 5 * SUM),
    "columns, addcmul": (
        lambda w, x: pair((x[:, :1], x[:, 1:2]), (w[:, 0], w[:, 1])),
        WEIGHT,
        5 * float(EVENTS[:, :2].sum()),
    ),
    "stencil": (
        lambda w, x: x[:, :-1] * w[0] + x[:, 1:] * w[1],
        torch.ones(2),
        float(EVENTS[:, :-1].sum() + EVENTS[:, 1:].sum()),
    ),
    "edges": (lambda w, x: torch.zeros(4, 5).scatter_add(1, EDGES, x * w), WEIGHT[0], SUM),
    "edges by rows": (
        lambda w, x: torch.zeros(5, 4).index_add(0, EDGES[0], (x * w).T),
        WEIGHT[0],
        SUM,
    ),
    "edges by index": (
        lambda w, x: torch.zeros(5, 4).index_put((EDGES[0],), (x * w).T, accumulate=True),
        WEIGHT[0],
        SUM,
    ),
    "moved": (lambda w, x: (x[:, None] * w).transpose(1, 2).clone().sum(1), WEIGHT, 5 * SUM),
    "scaled": (lambda w, x: (-(x[:, None] * w) * 2.0).mean(-1), WEIGHT, 5 * SUM),
    "running": (
        lambda w, x: (x[:, None] * w).cumsum(-1)[..., -1],
        WEIGHT,
        5 * float((EVENTS * torch.arange(6, 0, -1)).sum()),
    ),
    "sparse": (lambda w, x: torch.sparse.mm(w, x.T), WEIGHT.to_sparse(), 5 * SUM),
    "rows": (lambda w, x: w.to_sparse_csr() @ x.T, WEIGHT, 5 * SUM),
    "sparse data": (lambda w, x: torch.sparse.mm(x.to_sparse(), w.T), WEIGHT, 5 * SUM),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_sums_by_hand(name):
    """What is multiplied and brought together is a synapse, however it is written."""
    run, weight, events = BY_HAND[name]
    account = counted(run, weight, EVENTS, weights=0, spikes=1)
    assert float(account["0"].ac) == events
    assert account["0"].mac is None
    assert not account.partial


@pytest.mark.parametrize("pick", [lambda w, i: w[i], lambda w, i: F.embedding(i, w)])
def test_rows_that_are_picked(pick):
    """Rows that are picked are read; added up, each number of them is an event."""
    w, index = WEIGHT.T.clone(), torch.tensor([[0, 1, 2]] * 4)
    assert float(counted(pick, w, index, weights=0)["0"].lookups) == 4 * 3 * 5
    account = counted(lambda w, i: pick(w, i).sum(1), w, index, weights=0)
    assert float(account["0"].ac) == 4 * 3 * 5
    assert account["0"].lookups is None


@pytest.mark.parametrize(
    "run",
    [
        lambda w, x: x * w,
        lambda w, x: (x * w).relu().sum(-1),
        lambda w, x: x * w + (1 - w) * x.mean(0),
        lambda w, x: (x * w)[:, None].expand(4, 3, 6).mean(1),
        lambda w, x: (x * w).T.mean(1),
        lambda w, x: F.avg_pool2d((x.reshape(2, 2, 2, 3) * w[:2, None, None]), 2),
        lambda w, x: torch.kron(x, w),
        lambda w, x: torch.softmax(x * w, -1),
    ],
)
def test_gains_are_no_synapses(run):
    """A product that meets no product with another element of the weight is a gain."""
    account = counted(run, WEIGHT[0].clone(), EVENTS, weights=0)
    assert all(r.dense == 0 for r in account.values())


class Kept(torch.nn.Module):
    """A module that remembers the spikes of its last call."""

    def __init__(self):
        super().__init__()
        self.a, self.r, self.z = torch.nn.Linear(6, 5), torch.nn.Linear(5, 5), None

    def forward(self, x):
        current = self.a(x) if self.z is None else self.a(x) + self.r(self.z)
        self.z = (current > 0.1).float()
        return self.z


def kept():
    model = Kept()
    model(EVENTS)
    return model


def detour(leave):
    a, b = torch.nn.Linear(6, 5), torch.nn.Linear(5, 3)
    return lambda x: b(a(x)) + b(leave(a(x).relu()))


LOST = {
    "through numpy": (detour(lambda v: torch.from_numpy(v.detach().numpy())), "is it data?"),
    "through lists": (detour(lambda v: torch.tensor(v.tolist())), "is it data?"),
    "an earlier state": (kept(), "is it data?"),
    "a spectrum": (
        lambda x, w=WEIGHT: torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(w[0] * 1.0)),
        "fft",
    ),
    "windows": (lambda x, w=WEIGHT: F.avg_pool1d((x * w[0])[:, None], 2), "avg_pool"),
    "sorted": (lambda x, w=WEIGHT: (x * w[0]).sort(-1).values, "sorted"),
    "a constant": (lambda x, w=WEIGHT: (x * w[0]) @ torch.ones(6), "summed by a constant"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_is_lost_is_said(name):
    """An error that names the line; with `strict=False` the account is a lower bound."""
    run, words = LOST[name]
    if name in ("a spectrum", "windows", "sorted", "a constant"):
        inner, w = run, torch.nn.Parameter(WEIGHT.clone())
        run = lambda w, x: inner(x, w)
        args, options = (w, EVENTS), dict(weights=0)
    else:
        args, options = (EVENTS,), {}
    with pytest.raises(ValueError, match=f"no record.*{words}.*test_torch_lost.py:"):
        counted(run, *args, **options)
    assert counted(run, *args, **options, strict=False).partial


LAYER = torch.nn.Linear(6, 5)


@pytest.mark.parametrize(
    ("run", "args"),
    [
        (lambda: LAYER(EVENTS), ()),
        (lambda a: LAYER(torch.from_numpy(a)), (EVENTS.numpy(),)),
        (lambda a: LAYER(torch.tensor(a)), (EVENTS.tolist(),)),
        (lambda x: LAYER(EVENTS), (EVENTS.clone(),)),
    ],
    ids=["closed over", "NumPy", "list", "not used"],
)
def test_nothing_depends_on_an_argument(run, args):
    with pytest.raises(ValueError, match="no result of this function depends on an argument"):
        counted(run, *args)


def test_states_made_in_a_call_are_no_data():
    """Zeros meet a weight until the first spikes do."""
    recurrent = torch.nn.Linear(5, 5, bias=False)

    def run(x):
        z = torch.zeros(4, 5)
        for _ in range(2):
            z = (LAYER(x) + recurrent(z) > 0.1).float()
        return z

    account = counted(run, EVENTS, spikes=0)
    assert not account.partial
    assert float(account["recurrent"].dense_ac) == 2 * 4 * 25


# -- arguments and modules ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [lambda x: (x[:, :3], x[:, 3:]), lambda x: (x[:, :3].clone(), x[:, 3:].clone())],
    ids=["views", "copies"],
)
def test_arguments_that_share_memory(pieces):
    weight = WEIGHT[:, :3].clone()
    s, a = pieces(EVENTS)
    run = lambda s, a, w: s @ w.T + a @ (w.T * 2)
    account = counted(run, s, a, weight, spikes=0, weights=2)
    assert float(account["2"].ac) == 5 * float(s.sum())
    assert float(account["2"].mac) == 5 * float(a.sum())


def test_one_tensor_as_two_arguments():
    account = counted(
        lambda s, a, w: s @ w.T + a @ w.T, EVENTS, EVENTS, WEIGHT, spikes=0, weights=2
    )
    assert [float(account["2"].ac), float(account["2"].mac)] == [5 * SUM, 5 * SUM]


def test_slices_of_one_weight():
    run = lambda x, a, b: x[:, :3] @ a.T + x[:, 3:] @ b.T
    account = counted(run, EVENTS, WEIGHT[:, :3], WEIGHT[:, 3:], spikes=0, weights=(1, 2))
    assert [float(account[n].synapses) for n in "12"] == [15, 15]


def test_packed_sequences():
    rnn = torch.nn.GRU(6, 5, batch_first=True)
    pack = torch.nn.utils.rnn.pack_padded_sequence
    packed = pack(torch.randn(3, 7, 6), [7, 5, 2], batch_first=True)
    account = counted(rnn, packed)
    assert float(account["weight_ih_l0"].dense_mac) == 14 * 15 * 6
    assert float(account["weight_ih_l0"].updates) == 14 * 5


def test_attention_with_shared_heads_and_a_causal_mask():
    attend = F.scaled_dot_product_attention
    q, k = torch.randn(2, 4, 6, 8), torch.randn(2, 2, 7, 8)
    shared = counted(lambda q, k: attend(q, k, k, enable_gqa=True), q, k)
    assert [float(r.dense_mac) for r in shared.values()] == [2 * 4 * 6 * 7 * 8] * 2
    causal = counted(lambda q: attend(q, q, q, is_causal=True), q)
    assert [float(r.mac) for r in causal.values()] == [2 * 4 * 36 * 8, 2 * 4 * 21 * 8]


def test_compiled_and_scripted_modules():
    net = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU())
    plain, covered = (counted(m, EVENTS) for m in (net, torch.compile(net)))
    assert list(plain) == list(covered) == ["0"]
    with pytest.raises(ValueError, match="TorchScript"):
        counted(torch.jit.script(net), EVENTS)
    with pytest.raises(ValueError, match="call the model once"):
        counted(torch.nn.LazyLinear(5), EVENTS)


def test_operations_of_others_may_hide_synapses():
    quantize = pytest.importorskip("torch.ao.quantization").quantize_dynamic
    net = quantize(torch.nn.Sequential(torch.nn.Linear(6, 5)), {torch.nn.Linear})
    with pytest.raises(ValueError, match="may hide synapses"):
        counted(net, EVENTS, spikes=0)
