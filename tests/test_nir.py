"""Graphs of NIR: every node against a recurrence in NumPy, accounts against walks over taps."""

import inspect
import sys
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .idioms.common import check

nir = pytest.importorskip("nir")
RNG = np.random.default_rng(0)
F = np.float32
DT = 1e-3


def ones(*shape, value=1.0):
    return np.full(shape, value, F)


def graph(nodes, edges=None, shape=(4,)):
    """A graph of these nodes in a row between Input and Output, or with these edges."""
    names = ["input", *nodes, "output"]
    edges = edges or list(zip(names[:-1], names[1:], strict=True))
    ends = dict(
        input=nir.Input(input_type={"input": np.array(shape)}),
        output=nir.Output(output_type={"output": np.array(shape)}),
    )
    # the constructor of some releases checks the shapes that others write wrongly
    return types.SimpleNamespace(nodes=ends | nodes, edges=edges)


def bare(kind, **fields):
    """A node as a release of the package made it that this one does not."""
    return type(kind, (types.SimpleNamespace,), {})(**fields)


def run(node, x, **options):
    options.setdefault("dt", DT)
    return np.asarray(joulax.nir.load(graph({"n": node}, shape=x.shape[1:]), **options)(x))


X = RNG.normal(size=(50, 4)).astype(F) + 0.5


def walk(step, x=X, state=()):
    """Outputs of a recurrence `state, out = step(state, x)` in NumPy, float64."""
    outs = []
    for now in x.astype(np.float64):
        state, out = step(state, now)
        outs.append(out)
    return np.array(outs)


# -- every node against its recurrence ---------------------------------------------------------


def test_affine_linear_scale():
    w, b = RNG.normal(size=(3, 4)).astype(F), RNG.normal(size=3).astype(F)
    assert np.allclose(run(nir.Affine(weight=w, bias=b), X), X @ w.T + b, atol=1e-5)
    assert np.allclose(run(nir.Linear(weight=w), X), X @ w.T, atol=1e-5)
    assert np.allclose(run(nir.Scale(scale=b[0] * ones(4)), X), X * b[0], atol=1e-6)


def test_integrators():
    assert np.allclose(run(nir.I(r=ones(4, value=2.0)), X), 2 * np.cumsum(X, 0), atol=1e-4)
    out = run(nir.LI(tau=ones(4, value=0.01), r=ones(4), v_leak=ones(4, value=0.3)), X)

    def li(v, x):
        v = v + 0.1 * (0.3 - v + x)
        return v, v

    assert np.allclose(out, walk(li, state=np.full(4, 0.3)), atol=1e-5)


def cuba_li(state, x):
    i, v = state
    i = i + 0.2 * (-i + 2 * x)
    v = v + 0.1 * (-v + 3 * i)
    return (i, v), v


def test_current_based_integrator():
    node = bare(
        "CubaLI",
        tau_syn=ones(4, value=0.005),
        tau_mem=ones(4, value=0.01),
        r=ones(4, value=3.0),
        v_leak=np.zeros(4, F),
        w_in=ones(4, value=2.0),
    )
    assert np.allclose(run(node, X), walk(cuba_li, state=(0.0, np.zeros(4))), atol=1e-5)


def fired(v, z_before, threshold, reset, delayed, reset_to=0.0):
    """Spikes and the membrane that stays."""
    new = {
        "zero": lambda v, z: np.where(z, reset_to, v),
        "subtract": lambda v, z: v - z * threshold,
    }
    new["none"] = lambda v, z: v
    if delayed:
        v = new[reset](v, z_before)
        return v, v > threshold
    z = v > threshold
    return new[reset](v, z), z


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("delayed", [False, True])
class TestSpiking:
    def test_integrate_and_fire_per_step(self, reset, delayed):
        def step(state, x):
            v, z = fired(state[0] + 0.5 * x, state[1], 1.0, reset, delayed)
            return (v, z), z

        node = nir.IF(r=ones(4, value=0.5), v_threshold=ones(4))
        out = run(node, X, reset=reset, delayed=delayed, dt=1e-4)  # the step does not enter
        assert 0 < out.sum() < out.size
        assert np.array_equal(out, walk(step, state=(np.zeros(4), np.zeros(4, bool))))

    def test_leaky(self, reset, delayed):
        def step(state, x):
            v = state[0] + 0.1 * (0.1 - state[0] + 2 * x)
            v, z = fired(v, state[1], 0.7, reset, delayed)
            return (v, z), z

        node = nir.LIF(
            tau=ones(4, value=0.01),
            r=ones(4, value=2.0),
            v_leak=ones(4, value=0.1),
            v_threshold=ones(4, value=0.7),
        )
        out = run(node, X, reset=reset, delayed=delayed)
        assert 0 < out.sum() < out.size
        start = (np.full(4, 0.1), np.zeros(4, bool))
        assert np.array_equal(out, walk(step, state=start))

    def test_current_based(self, reset, delayed):
        def step(state, x):
            i = state[0] + 0.2 * (-state[0] + 2 * x)
            v, z = fired(state[1] + 0.1 * (3 * i - state[1]), state[2], 0.6, reset, delayed)
            return (i, v, z), z

        node = nir.CubaLIF(
            tau_syn=ones(4, value=0.005),
            tau_mem=ones(4, value=0.01),
            r=ones(4, value=3.0),
            v_leak=np.zeros(4, F),
            v_threshold=ones(4, value=0.6),
            w_in=ones(4, value=2.0),
        )
        out = run(node, X, reset=reset, delayed=delayed)
        assert 0 < out.sum() < out.size
        start = (np.zeros(4), np.zeros(4), np.zeros(4, bool))
        assert np.array_equal(out, walk(step, state=start))


def test_reset_potential_of_the_file():
    node = bare("IF", r=ones(1), v_threshold=ones(1), v_reset=ones(1, value=0.5))
    out = run(node, np.full((4, 1), 0.6, F), reset="zero")  # 0.6, 1.2 → 0.5, 1.1 → 0.5, 1.1
    assert out[:, 0].tolist() == [0, 1, 1, 1]


def test_threshold():
    assert np.array_equal(run(nir.Threshold(threshold=ones(4, value=0.5)), X), X > F(0.5))


def test_delay():
    x = np.arange(1, 9, dtype=F).reshape(4, 2)
    out = run(nir.Delay(delay=ones(2, value=2e-3)), x)
    assert out.tolist() == [[0, 0], [0, 0], [1, 2], [3, 4]]
    out = run(nir.Delay(delay=np.array([0.0, 1e-3], F)), x)
    assert out.tolist() == [[1, 0], [3, 2], [5, 4], [7, 6]]


@pytest.mark.parametrize("parameter", [(), (1,)])
def test_parameters_of_one_element_serve_all(parameter):
    out = run(nir.IF(r=ones(*parameter), v_threshold=ones(*parameter)), X)
    assert np.array_equal(out, run(nir.IF(r=ones(4), v_threshold=ones(4)), X))


def torch_conv2d(x, w, b, stride, padding, dilation, groups):
    """A convolution of one image, tap by tap, in float64."""
    x = np.pad(x.astype(np.float64), ((0, 0), padding[0], padding[1]))
    size = [
        (x.shape[1 + i] - dilation[i] * (w.shape[2 + i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    ]
    out = np.zeros((len(w), *size))
    per_in, per_out = w.shape[1], len(w) // groups
    for o, c, p, q in np.ndindex(*w.shape):
        channel = (o // per_out) * per_in + c
        rows = slice(p * dilation[0], p * dilation[0] + stride[0] * (size[0] - 1) + 1, stride[0])
        cols = slice(q * dilation[1], q * dilation[1] + stride[1] * (size[1] - 1) + 1, stride[1])
        out[o] += w[o, c, p, q] * x[channel, rows, cols]
    return out + b[:, None, None]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups", "pads"),
    [
        ((3, 5), (1, 2), (1, 0), (1, 1), 1, ((1, 1), (0, 0))),
        ((2, 3), (2, 1), 1, (2, 1), 2, ((1, 1), (1, 1))),
        ((3, 3), (1, 1), "same", (2, 1), 1, ((2, 2), (1, 1))),
        ((2, 4), (1, 1), "same", (1, 1), 4, ((0, 1), (1, 2))),
        ((3, 3), (2, 2), "valid", (1, 1), 1, ((0, 0), (0, 0))),
    ],
)
def test_convolution(kernel, stride, padding, dilation, groups, pads):
    """Kernels that are no squares, groups, words for padding: shapes come from tracing."""
    w = RNG.normal(size=(8, 4 // groups, *kernel)).astype(F)
    b = RNG.normal(size=8).astype(F)
    node = nir.Conv2d(
        input_shape=None,
        weight=w,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=b,
    )
    x = RNG.normal(size=(2, 4, 9, 10)).astype(F)
    expected = [torch_conv2d(i, w, b, stride, pads, dilation, groups) for i in x]
    assert np.allclose(run(node, x), expected, atol=1e-4)


def test_convolution_in_one_dimension():
    w, b = RNG.normal(size=(2, 3, 4)).astype(F), np.zeros(2, F)
    node = nir.Conv1d(input_shape=9, weight=w, stride=2, padding=1, dilation=1, groups=1, bias=b)
    x = RNG.normal(size=(2, 3, 9)).astype(F)
    flat = torch_conv2d(x[0][:, None], w[:, :, None], b, (1, 2), ((0, 0), (1, 1)), (1, 1), 1)
    assert np.allclose(run(node, x)[0], flat[:, 0], atol=1e-5)


def test_pools_and_flatten():
    x = RNG.normal(size=(2, 3, 4, 6)).astype(F)
    two = np.array([2, 2])
    none = np.array([0, 0])
    sums = x.reshape(2, 3, 2, 2, 3, 2).sum((3, 5))
    assert np.allclose(run(nir.SumPool2d(kernel_size=two, stride=two, padding=none), x), sums)
    means = run(nir.AvgPool2d(kernel_size=two, stride=two, padding=none), x)
    assert np.allclose(means, sums / 4, atol=1e-6)
    padded = run(nir.SumPool2d(kernel_size=two, stride=two, padding=np.array([1, 1])), x)
    assert padded.shape == (2, 3, 3, 4)
    assert np.allclose(padded[..., 0, 0], x[..., 0, 0])
    flat = nir.Flatten(input_type={"input": np.array([3, 4, 6])}, start_dim=0, end_dim=-1)
    assert np.array_equal(run(flat, x), x.reshape(2, -1))
    part = nir.Flatten(input_type={"input": np.array([3, 4, 6])}, start_dim=1, end_dim=2)
    assert run(part, x).shape == (2, 3, 24)


# -- graphs --------------------------------------------------------------------------------------


def integrate(n, threshold=1.0):
    return nir.IF(r=ones(n), v_threshold=ones(n, value=threshold))


def test_layers_are_called_like_nodes():
    """Two inputs of 1 reach four and four neurons; threshold 1 is met by sums above it."""
    g = graph(
        {"0": nir.Linear(weight=ones(4, 3)), "1.if": integrate(4), "2": nir.Linear(ones(2, 4))},
        shape=(3,),
    )
    model = joulax.nir.load(g, dt=DT, reset="subtract")
    x = np.array([[1, 1, 0], [0, 0, 0]], F)
    out, account = joulax.count(model, spikes=0)(x)
    assert out.tolist() == [[4, 4], [0, 0]]
    assert list(account) == ["0", "2"]
    check(
        account["0"],
        ac=8,
        dense_ac=24,
        spikes=4,
        updates=8,
        neurons=4,
        synapses=12,
        nonzero=12,
    )
    check(account["2"], ac=8, dense_ac=16, synapses=8, nonzero=8)


def recurrent():
    """input → in → lif → out, lif → rec → lif."""
    nodes = {
        "in": nir.Linear(weight=ones(2, 3)),
        "rec": nir.Linear(weight=np.array([[0, 5], [0, 0]], F)),
        "lif": integrate(2, 2.5),
        "out": nir.Linear(weight=ones(1, 2)),
    }
    edges = "rec lif,lif rec,input in,in lif,lif out,out output".split(",")
    return graph(nodes, [tuple(e.split()) for e in edges], shape=(3,))


def test_cycles_are_cut_where_spikes_travel():
    """Three spikes at step 0 fire both; the second's spike reaches the first one step later."""
    model = joulax.nir.load(recurrent(), dt=DT, reset="zero")
    assert ("one step late", "lif → rec") in model.convention
    x = np.zeros((3, 3), F)
    x[0] = 1
    out, account = joulax.count(model, spikes=0)(x)
    assert out[:, 0].tolist() == [2, 1, 0]
    assert float(account["rec"].ac) == 1  # one existing synapse leaves the second neuron
    assert float(account["in"].spikes) == 3
    assert float(account["in"].updates) == 6


def test_feedback_over_two_layers_delays_only_the_way_back():
    nodes = {
        "fb": nir.Linear(weight=ones(1, 1)),
        "a": integrate(1, 0.5),
        "fc": nir.Linear(weight=ones(1, 1)),
        "b": integrate(1, 0.5),
    }
    edges = [("fb", "a"), ("b", "fb"), ("input", "a"), ("a", "fc"), ("fc", "b"), ("b", "output")]
    model = joulax.nir.load(graph(nodes, edges, shape=(1,)), dt=DT, reset="zero")
    assert ("one step late", "b → fb") in model.convention
    assert model(np.array([[1], [0], [0]], F))[:, 0].tolist() == [1, 1, 1]


def test_a_delay_in_a_cycle_is_waited_once():
    nodes = {
        "lif": integrate(1, 0.5),
        "delay": nir.Delay(delay=ones(1, value=2 * DT)),
        "rec": nir.Linear(weight=ones(1, 1)),
    }
    edges = [("input", "lif"), ("lif", "delay"), ("delay", "rec"), ("rec", "lif")]
    g = graph(nodes, [*edges, ("lif", "output")], shape=(1,))
    out = joulax.nir.load(g, dt=DT, reset="zero")(np.array([[1], [0], [0], [0], [0]], F))
    assert out[:, 0].tolist() == [1, 0, 1, 0, 1]


def test_subgraphs():
    inner = graph({"fc": nir.Linear(weight=ones(2, 3)), "if": integrate(2, 0.5)}, shape=(3,))
    g = graph({"block": inner, "out": nir.Linear(weight=ones(1, 2))}, shape=(3,))
    model = joulax.nir.load(g, dt=DT, reset="zero")
    _, account = joulax.count(model, spikes=0)(np.array([[1, 0, 0]], F))
    assert list(account) == ["block.fc", "out"]
    assert float(account["out"].ac) == 2


def test_several_inputs_and_outputs():
    ends = dict(a=nir.Input({"input": np.array([2])}), b=nir.Input({"input": np.array([2])}))
    outs = dict(y=nir.Output({"output": np.array([1])}), z=nir.Output({"output": np.array([1])}))
    layers = dict(f=nir.Linear(weight=ones(1, 2)), g=nir.Linear(weight=2 * ones(1, 2)))
    edges = [("a", "f"), ("b", "f"), ("b", "g"), ("f", "y"), ("g", "z")]
    both = types.SimpleNamespace(nodes=ends | outs | layers, edges=edges)
    model = joulax.nir.load(both, dt=DT)
    out = model({"a": ones(3, 2), "b": ones(3, 2)})
    assert float(out["y"][0, 0]) == 4
    assert float(out["z"][0, 0]) == 4
    with pytest.raises(ValueError, match="inputs a, b"):
        model(ones(3, 2))


def test_gradients_and_tree_at():
    model = joulax.nir.load(recurrent(), dt=DT, reset="subtract")
    x = RNG.random((20, 3)).astype(F)
    chip = joulax.hardware("loihi")

    def energy(model):
        return joulax.energy(joulax.count(model, spikes=0)(np.round(x))[1], chip).total

    gradient = eqx.filter_grad(energy)(model)
    assert np.any(np.asarray(getattr(gradient, "in").weight) != 0)
    silent = eqx.tree_at(lambda m: getattr(m, "in").weight, model, jnp.zeros((2, 3)))
    assert float(joulax.count(silent, spikes=0)(np.round(x))[1]["in"].ac) == 0
    assert jax.jit(lambda x: model(x))(x).shape == (20, 1)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({"odd": types.SimpleNamespace()}, "'odd' is a SimpleNamespace"),
        ({"n": nir.Linear(weight=ones(2, 9))}, "'n' cannot take an input of shape"),
        (
            {"slow": nir.LI(tau=ones(4, value=1e-4), r=ones(4), v_leak=ones(4))},
            "'slow'.*shorter than a step",
        ),
    ],
)
def test_what_a_node_cannot_do_is_said_by_name(nodes, message):
    with pytest.raises(ValueError, match=message):
        joulax.nir.load(graph(nodes), dt=DT)(X)


def test_cycle_without_neuron():
    nodes = {"a": nir.Linear(weight=ones(4, 4)), "b": nir.Linear(weight=ones(4, 4))}
    edges = [("input", "a"), ("a", "b"), ("b", "a"), ("b", "output")]
    with pytest.raises(ValueError, match="a → b → a has no neuron"):
        joulax.nir.load(graph(nodes, edges), dt=DT)


@pytest.mark.parametrize("dt", [0, -1.0, float("nan"), True, "1ms"])
def test_a_step_is_a_positive_time(dt):
    with pytest.raises((ValueError, TypeError), match="dt"):
        joulax.nir.load(graph({"n": integrate(4)}), dt=dt)
    with pytest.raises(ValueError, match="reset must be one of"):
        joulax.nir.load(graph({"n": integrate(4)}), dt=DT, reset="hard")


# -- files ---------------------------------------------------------------------------------------


def test_files(tmp_path):
    g = nir.NIRGraph.from_list(nir.Linear(weight=ones(2, 4)), integrate(2))
    nir.write(tmp_path / "small.nir", g)
    model = joulax.nir.load(tmp_path / "small.nir", dt=DT, reset="zero")
    account = joulax.nir.account(str(tmp_path / "small.nir"), {"input": ones(3, 4)})
    assert float(joulax.count(model, spikes=0)(ones(3, 4))[1]["linear"].ac) == 24
    assert float(account["linear"].ac) == 24


def test_files_whose_shapes_are_wrong(tmp_path):
    """Some exporters write an output of the wrong shape, which newer releases refuse."""
    nodes = {
        "input": nir.Input({"input": np.array([1])}),
        "fc": nir.Linear(weight=ones(1, 1)),
        "output": nir.Output({"output": np.array([1, 1, 1])}),
    }
    checks = "type_check" in inspect.signature(nir.NIRGraph).parameters
    unchecked = {"type_check": False} if checks else {}
    wrong = nir.NIRGraph(nodes=nodes, edges=[("input", "fc"), ("fc", "output")], **unchecked)
    nir.write(tmp_path / "wrong.nir", wrong)
    assert joulax.nir.load(tmp_path / "wrong.nir", dt=DT)(ones(2, 1)).tolist() == [[1], [1]]


def test_files_need_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(ImportError, match=r"joulax\[nir\]"):
        joulax.nir.load("network.nir", dt=DT)


# -- accounts of recordings ------------------------------------------------------------------------


def networks():
    """A recurrent network, and a convolutional one with pools, with inputs of spikes."""
    conv = dict(stride=1, padding=1, dilation=1, bias=np.zeros(4, F))
    weights = RNG.normal(size=(4, 2, 3, 3)).astype(F) * (RNG.random((4, 2, 3, 3)) < 0.5)
    two, none = np.array([2, 2]), np.array([0, 0])
    layers = {
        "conv": nir.Conv2d(input_shape=(6, 6), weight=weights, groups=1, **conv),
        "if1": nir.IF(r=ones(4, 6, 6), v_threshold=ones(4, 6, 6)),
        "pool": nir.SumPool2d(kernel_size=two, stride=two, padding=none),
        "flat": nir.Flatten({"input": np.array([4, 3, 3])}, start_dim=0, end_dim=-1),
        "fc": nir.Affine(weight=RNG.normal(size=(5, 36)).astype(F), bias=np.zeros(5, F)),
        "if2": integrate(5),
    }
    analog = {
        "scale": nir.Scale(scale=ones(2, 4, 4, value=2.0)),
        "pool": nir.AvgPool2d(kernel_size=two, stride=two, padding=none),
        "flat": nir.Flatten({"input": np.array([2, 2, 2])}, start_dim=0, end_dim=-1),
        "a": nir.Affine(weight=ones(5, 8), bias=ones(5)),
        "b": nir.Linear(weight=ones(3, 5)),
        "li": nir.LI(tau=ones(3, value=0.01), r=ones(3), v_leak=np.zeros(3, F)),
        "threshold": nir.Threshold(threshold=ones(3, value=0.1)),
    }
    return [
        pytest.param(graph(analog, shape=(2, 4, 4)), RNG.random((6, 2, 4, 4)) < 0.4, id="analog"),
        pytest.param(recurrent(), RNG.random((30, 3)) < 0.4, id="recurrent"),
        pytest.param(
            graph(layers, shape=(2, 6, 6)), RNG.random((10, 2, 6, 6)) < 0.3, id="convolutional"
        ),
    ]


@pytest.mark.parametrize(("g", "x"), networks())
def test_recordings_of_our_own_run_give_our_own_account(g, x):
    model = joulax.nir.load(g, dt=DT, reset="subtract")
    x = x.astype(F)
    counted = joulax.count(model, spikes=0)(x)[1]
    recorded = joulax.nir.account(g, {n: np.asarray(v) for n, v in model.record(x).items()})
    assert not recorded.partial
    assert list(recorded) == list(counted)
    for layer in counted:
        ours, theirs = recorded.exact()[layer], counted.exact()[layer]
        if layer == "rec":  # the last step's spikes have left and not yet arrived in a run
            last = np.asarray(model.record(x)["lif"])[-1]
            ours["ac"] -= int(last[1])
            ours["ac_graded"] -= int(last[1])
        assert ours == theirs, layer


def braille():
    """The recurrent layer of the paper's network: 40 neurons, every recurrent synapse exists."""
    return graph(
        {
            "fc1": nir.Linear(weight=ones(40, 12)),
            "lif1.w_rec": nir.Linear(weight=ones(40, 40)),
            "lif1.lif": integrate(40),
            "fc2": nir.Linear(weight=ones(7, 40)),
            "lif2": integrate(7),
        },
        [
            ("lif1.w_rec", "lif1.lif"),
            ("fc2", "lif2"),
            ("lif1.lif", "lif1.w_rec"),
            ("lif2", "output"),
            ("input", "fc1"),
            ("fc1", "lif1.lif"),
            ("lif1.lif", "fc2"),
        ],
        shape=(12,),
    )


@pytest.mark.parametrize(
    ("simulator", "spikes", "synops"),
    [
        ("norse", 103, 4120),
        ("rockpool", 112, 4480),
        ("snntorch", 118, 4720),
        ("spinnaker2", 119, 4760),
        ("spyx", 120, 4800),
        ("nengo", 150, 6000),
        ("xylo", 151, 6040),
    ],
)
def test_published_recordings(simulator, spikes, synops):
    """What seven simulators and chips fired on one network: 40 synapses a spike, 7 to the next."""
    frames = np.zeros((256, 40), np.int8)
    frames.flat[RNG.choice(frames.size, spikes, replace=False)] = 1
    account = joulax.nir.account(braille(), {"lif1.lif": frames})
    assert account.exact()["lif1.w_rec"]["ac"] == synops
    assert account.exact()["fc2"]["ac"] == 7 * spikes
    check(account["fc1"], spikes=spikes, updates=256 * 40, neurons=40)
    assert account.partial
    assert account.convention.lost == (
        "node fc1: nothing was recorded at input, whose events it receives",
    )
    assert account.convention.uncounted == ("node lif2: its spikes were not recorded",)


def test_walk_over_taps():
    """Events of a convolution one by one: each reaches the taps that lie inside and exist."""
    g, x = networks()[2].values
    weights = np.asarray(g.nodes["conv"].weight)
    account = joulax.nir.account(g, {"input": x})
    synops = 0
    for _, c, i, j in np.argwhere(x):
        for o, p, q in np.ndindex(4, 3, 3):
            inside = 0 <= i + 1 - p < 6 and 0 <= j + 1 - q < 6
            synops += int(inside and weights[o, c, p, q] != 0)
    assert account.exact()["conv"]["ac"] == synops


def test_values_above_one_and_samples():
    g = graph({"fc": nir.Linear(weight=ones(3, 4))})
    frames = np.zeros((2, 5, 4))
    frames[0, 0] = [3, 1, 0, 0]
    account = joulax.nir.account(g, {"input": frames})
    assert account["fc"].ac.tolist() == [12, 0]
    assert account["fc"].ac_graded.tolist() == [6, 0]
    analog = joulax.nir.account(g, {"input": frames / 2}, analog=("input",))
    assert analog["fc"].mac.tolist() == [6, 0]
    assert analog["fc"].ac is None


def test_delays_need_a_step():
    g = graph({"d": nir.Delay(delay=ones(4, value=2 * DT)), "fc": nir.Linear(weight=ones(3, 4))})
    frames = np.zeros((5, 4))
    frames[1], frames[4] = 1, 1  # the second has not arrived when the recording ends
    assert float(joulax.nir.account(g, {"input": frames}, dt=DT)["fc"].ac) == 12
    without = joulax.nir.account(g, {"input": frames})
    assert float(without["fc"].ac) == 24
    assert "give dt= for its delay" in without.convention.uncounted[0]


class Events(types.SimpleNamespace):
    """NIR's list of events, which older releases lack."""


def test_lists_of_events():
    g = graph({"fc": nir.Linear(weight=ones(3, 4)), "if": integrate(3)})
    observed = Events(
        idx=np.array([[0, 3, 3, 3, -1]]),
        time=np.array([[0.0, 0.1, 0.7, 0.75, np.inf]]),  # 0.7 / 0.1 is 6.999… in floats
        n_neurons=4,
        t_max=0.9,
    )
    data = types.SimpleNamespace(
        nodes={"input": types.SimpleNamespace(observables={"spikes": observed, "v": None})}
    )
    account = joulax.nir.account(g, data, dt=0.1)
    check(
        account["fc"],
        ac=12,
        ac_graded=9,
        dense_ac=108,
        updates=27,
        neurons=3,
        synapses=12,
        nonzero=12,
    )
    with pytest.raises(ValueError, match="give dt="):
        joulax.nir.account(g, data)
    observed.time[0, 0] = 2.0
    with pytest.raises(ValueError, match="behind t_max"):
        joulax.nir.account(g, data, dt=0.1)


def test_data_of_the_package():
    if not hasattr(nir, "NIRGraphData"):
        pytest.skip("this release of nir has no recordings")
    g = graph({"fc": nir.Linear(weight=ones(3, 4))})
    grid = nir.TimeGriddedData(np.ones((1, 5, 4), bool), dt=1e-3)
    data = nir.NIRGraphData(nodes={"input": nir.NIRNodeData({"spikes": grid})})
    assert float(joulax.nir.account(g, data)["fc"].ac) == 60
    events = nir.NIRGraphData(
        nodes={"input": nir.NIRNodeData({"spikes": grid.to_event(n_events=30)})}
    )
    assert float(joulax.nir.account(g, events, dt=1e-3)["fc"].ac) == 60


def test_recordings_that_do_not_fit():
    g = graph({"fc": nir.Linear(weight=ones(3, 4)), "if": integrate(3)})
    frames = np.ones((5, 4))
    account = joulax.nir.account
    with pytest.raises(ValueError, match="no node 'hidden'; it has"):
        account(g, {"hidden": frames})
    with pytest.raises(ValueError, match=r"'input' has shape \(5, 3\)"):
        account(g, {"input": np.ones((5, 3))})
    with pytest.raises(ValueError, match="different lengths"):
        account(g, {"input": frames, "if": np.ones((6, 3))})
    with pytest.raises(ValueError, match="'input' holds fractions"):
        account(g, {"input": frames / 2})
    with pytest.raises(ValueError, match="no finite numbers"):
        account(g, {"input": frames * np.nan})
    with pytest.raises(ValueError, match="no node has a recording"):
        account(g, {})
    with pytest.raises(ValueError, match="none of the recordings is of an input"):
        account(g, {"fc": np.ones((5, 3))})


def test_an_output_speaks_for_its_neurons():
    g = graph({"fc": nir.Linear(weight=ones(3, 4)), "if": integrate(3)})
    account = joulax.nir.account(g, {"input": np.ones((5, 4)), "output": np.ones((5, 3))})
    check(
        account["fc"], ac=60, dense_ac=60, spikes=15, updates=15, neurons=3, synapses=12, nonzero=12
    )
    assert joulax.energy(account, joulax.hardware("loihi")).total > 0


# -- load and account agree ------------------------------------------------------------------------


def lif(n, threshold=0.1):
    return nir.LIF(
        tau=ones(n, value=4e-3), r=ones(n), v_leak=0 * ones(n), v_threshold=threshold * ones(n)
    )


def draw(*shape):
    return RNG.normal(size=shape).astype(F)


def agreeing(g, x, late=()):
    """Accounts of a graph that ran here and of its recordings, equal where both have a number.

    `late` layers count what was sent in the last step, and here it arrives after it.
    """
    model = joulax.nir.load(g, dt=DT)
    ran = joulax.count(model, spikes=0)(x)[1]
    recorded_ = {n: np.asarray(v) for n, v in model.record(x).items()}
    read = joulax.nir.account(g, recorded_, dt=DT)
    assert sorted(ran) == sorted(read)
    for layer in ran:
        for field in ("ac", "mac", "spikes", "updates", "neurons", "synapses"):
            if (layer, field) in [(n, "ac") for n in late]:
                continue
            a, b = getattr(ran[layer], field), getattr(read[layer], field)
            assert float(0 if a is None else a) == float(0 if b is None else b), (layer, field)
    return read, recorded_


def events(*shape):
    return (RNG.random(shape) < 0.4).astype(F)


def test_a_cycle_arrives_one_step_later_in_both():
    nodes = {"w": nir.Linear(draw(4, 4)), "n": lif(4), "b": nir.Linear(draw(4, 4))}
    edges = [("input", "w"), ("w", "n"), ("n", "output"), ("n", "b"), ("b", "w")]
    account, sent = agreeing(graph(nodes, edges), events(12, 4), late=["b"])
    assert float(account["b"].ac) == 4 * sent["n"].sum()
    assert ("one step late", "n → b") in account.convention.options


def test_neurons_that_reach_no_output():
    """They run, and so they cost: each has an output of its own."""
    nodes = {"a": nir.Linear(draw(4, 4)), "n": lif(4), "z": nir.Linear(draw(3, 4)), "q": lif(3)}
    edges = [("input", "a"), ("a", "n"), ("n", "output"), ("n", "z"), ("z", "q")]
    account, sent = agreeing(graph(nodes, edges), events(12, 4))
    assert float(account["z"].spikes) == sent["q"].sum()
    ring = {**nodes, "r": nir.Linear(draw(4, 3)), "b": nir.Linear(draw(3, 3))}
    account, sent = agreeing(
        graph(ring, [*edges, ("q", "b"), ("b", "q"), ("q", "r")]), events(12, 4), late=["b"]
    )
    assert float(account["b"].ac) == 3 * sent["q"].sum()


def test_rows_of_an_input_that_nobody_flattened():
    nodes = {"w": nir.Linear(draw(4, 9)), "n": nir.IF(r=ones(2, 4), v_threshold=ones(2, 4))}
    account, _ = agreeing(graph(nodes, shape=(2, 9)), events(12, 2, 9))
    assert [float(getattr(account["w"], f)) for f in ("neurons", "updates")] == [8, 96]


def test_one_current_for_many_neurons():
    x = ones(4, 1)
    made = joulax.nir.load(graph({"n": lif(5)}, shape=(1,)), dt=DT)
    wide = joulax.nir.load(graph({"n": lif(5)}, shape=(5,)), dt=DT)
    np.testing.assert_array_equal(made(x), wide(np.repeat(x, 5, 1)))


@pytest.mark.parametrize("name", ["plan_", "convention", "inputs_", "outputs_"])
def test_names_that_are_taken(name):
    with pytest.raises(ValueError, match="rename it in the graph"):
        joulax.nir.load(graph({name: lif(4)}), dt=DT)


def test_an_input_without_a_shape():
    g = graph({"w": nir.Linear(draw(3, 4)), "n": lif(3)})
    g.nodes["input"] = bare("Input", input_type={"input": None})
    agreeing(g, events(5, 4))
    with pytest.raises(ValueError, match="has no shape in the graph and no recording"):
        joulax.nir.account(g, {"n": events(5, 3)})
