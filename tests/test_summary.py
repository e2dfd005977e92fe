"""Models by their shapes: figures that are published, formulas, folding, and nothing that runs."""

import importlib.util
import pathlib
import resource
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import joulax

from .idioms.common import spike

S = jax.ShapeDtypeStruct
F32 = jnp.result_type(float)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def networks():
    path = pathlib.Path(__file__).parent.parent / "examples" / "networks.py"
    spec = importlib.util.spec_from_file_location("networks", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["networks"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["networks"]


@pytest.mark.slow
def test_resnet_50(networks):
    """3.948 G multiply-accumulates that meet data, 4.09 G with padding, 25.6 M parameters."""
    made, _ = networks.summarise(networks.ResNet50, S((3, 224, 224), F32))
    assert round(made.total.dense_mac / 1e9, 3) == 3.948
    assert round(made.total.padded / 1e9, 2) == 4.09
    assert made.total.parameters == 25_557_032
    assert made["stages[2][1..5].middle.conv"].layers == 5
    assert made["stem.conv"].padded == 112 * 112 * 64 * 3 * 49


@pytest.mark.slow
def test_vit_and_gpt2(networks):
    """Products with weights: parameters a token; of data with data: 2 tokens² width a block."""
    made, _ = networks.summarise(networks.ViT, S((3, 224, 224), F32))
    assert round(made.total.dense_mac / 1e9, 2) == 17.56
    assert made.total.parameters == 86_567_656
    made, _ = networks.summarise(networks.GPT2, S((1024,), jnp.int32))
    assert made.total.dense_mac == 145_824_153_600
    assert made.total.parameters == 124_439_808
    assert made.total.flops == 2 * 145_824_153_600
    assert made["blocks[0..11].attention.qkv′"].dense_mac == 12 * 2 * 1024**2 * 768
    assert made["tokens"].lookups == 1024 * 768


def test_memory_of_a_model_larger_than_the_machine():
    """A trillion parameters take no memory; their own is told by bit width."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = eqx.filter_eval_shape(eqx.nn.MLP, 1_000_000, 1_000_000, 1_000_000, 0, key=KEY)
    made = joulax.summary(model, bits=4)(S((1_000_000,), F32))
    assert made.total.dense_mac == 1e12
    assert made.total.memory == (1e12 + 1e6) / 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kB


class Spiking(eqx.Module):
    hidden: jax.Array
    readout: jax.Array

    def __call__(self, x):
        def step(v, now):
            v = 0.9 * v + self.hidden @ now
            s = spike(v - 1)
            return v - s, self.readout @ s

        return jax.lax.scan(step, jnp.zeros(64), x)[1]


SPIKING = Spiking(S((64, 10), F32), S((5, 64), F32))


def test_loops_count_as_often_as_they_run():
    """100 steps; XLA's own cost analysis counts the body of a loop once."""
    made = joulax.summary(SPIKING, spikes=0)(S((100, 10), F32))
    assert [r.name for r in made.rows] == ["hidden", "readout"]
    assert made["hidden"].dense_ac == 100 * 640
    assert made["hidden"].updates == 6400
    assert made["hidden"].neurons == 64
    assert made["readout"].dense_ac == 100 * 320
    assert made.total.dense_mac == 0
    assert made["hidden"].synapses == made["hidden"].parameters == 640


def test_arrays_functions_and_declared_weights():
    weights = {"a": jnp.ones((4, 3)), "b": jnp.ones((2, 4))}
    run = lambda w, x: w["b"] @ jax.nn.relu(w["a"] @ x)
    for given in (weights, jax.eval_shape(lambda: weights)):
        made = joulax.summary(run, weights=0)(given, S((3,), F32))
        assert [(r.name, r.parameters, r.dense_mac) for r in made.rows] == [
            ("a", 12, 12.0),
            ("b", 8, 8.0),
        ]
    closed = joulax.summary(lambda x: run(weights, x))(jnp.ones(3))
    assert closed.total.dense_mac == 20


def conv(padding, **options):
    make = lambda: eqx.nn.Conv2d(3, 8, 3, padding=padding, key=KEY, use_bias=False, **options)
    return eqx.filter_eval_shape(make)


def test_padding_is_told_apart():
    made = joulax.summary(conv(1))(S((3, 10, 10), F32))
    assert made.total.dense_mac == 3 * 8 * 28 * 28  # 3 · 10 − 2 taps a side
    assert made.total.padded == 3 * 8 * 9 * 100
    valid = joulax.summary(conv(0))(S((3, 10, 10), F32))
    assert valid.total.padded == valid.total.dense_mac == 3 * 8 * 9 * 64


def test_padding_inside_loops_and_branches():
    """Convolutions in `scan`, `vmap`, `remat` and `jit` are padded like others."""
    layer = conv(1)

    class Net(eqx.Module):
        layer: eqx.nn.Conv2d

        def __call__(self, xs):
            one = jax.checkpoint(lambda x: jax.nn.relu(self.layer(x)))
            return jax.lax.scan(lambda c, x: (c, jax.jit(jax.vmap(one))(x)), 0.0, xs)[1]

    made = joulax.summary(Net(layer))(S((7, 2, 3, 10, 10), F32))
    assert made["layer"].padded == 14 * 3 * 8 * 9 * 100
    assert made["layer"].dense_mac == 14 * 3 * 8 * 28 * 28


def test_what_the_data_decide_is_said():
    """Nobody knows by shapes how often a loop runs."""

    def run(w, x):
        first = w["first"] @ x
        more = lambda s: s.sum() < 10
        return jax.lax.while_loop(more, lambda s: jax.nn.relu(w["loop"] @ s) + 1, first)

    weights = {"first": S((4, 3), F32), "loop": S((4, 4), F32)}
    made = joulax.summary(run, weights=0)(weights, S((3,), F32))
    assert made.unknown == ("loop",)
    assert made["first"].dense_mac == 12
    assert "the data decide what loop executes" in str(made)


class Tower(eqx.Module):
    blocks: list

    def __call__(self, x):
        for block in self.blocks:
            x = jax.nn.relu(block(x))
        return x


def tower(*sizes):
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    make = lambda: Tower([eqx.nn.Linear(a, b, key=KEY) for a, b in pairs])
    return eqx.filter_eval_shape(make)


def test_equal_blocks_are_folded():
    made = joulax.summary(tower(8, 8, 8, 8, 4))(S((8,), F32))
    assert [r.name for r in made.shown] == ["blocks[0..2]", "blocks[3]"]
    assert made["blocks[0..2]"].dense_mac == 192
    assert made["blocks[0..2]"].layers == 3
    assert len(made.unfolded().shown) == 4
    text = str(made)
    assert "blocks[0..2]" in text
    assert "padding excluded" in text
    assert "FLOPs are two an operation" in " ".join(text.split())
    assert "blocks[0..2]" in made._repr_html_()


def test_sorted_and_top():
    made = joulax.summary(tower(8, 16, 4, 2))(S((8,), F32))
    assert [r.name for r in made.sorted("dense_mac", top=2).shown] == ["blocks[0]", "blocks[1]"]
    with pytest.raises(ValueError, match="rows are sorted by one of layers, parameters"):
        made.sorted("cost")


@pytest.mark.parametrize("bits", [0, -8, "eight", {"blocks[0]": 0}])
def test_bits_are_positive(bits):
    with pytest.raises((ValueError, TypeError)):
        joulax.summary(tower(8, 4), bits=bits)(S((8,), F32))


def test_bits_by_layer():
    made = joulax.summary(tower(8, 8, 4), bits={"blocks[0]": 4})(S((8,), F32))
    assert made["blocks[0]"].memory == (64 + 8) / 2
    assert made["blocks[1]"].memory == (32 + 4) * jnp.dtype(F32).itemsize
    with pytest.raises(ValueError, match=r"bits= names 'head'; the layers are blocks\[0\]"):
        joulax.summary(tower(8, 8), bits={"head": 4})(S((8,), F32))


# -- estimates on shapes ---------------------------------------------------------------------------


def test_estimate_at_an_assumed_rate(capsys):
    """A tenth of the inputs fire: 0.1 · 640 · 100 and 0.1 · 320 · 100 synops of 23.6 pJ."""
    made = joulax.estimate(SPIKING, S((100, 10), F32), on="loihi", rate=0.1, spikes=0)
    synops = 0.1 * (64000 + 32000)
    chip = joulax.hardware("loihi")
    expected = synops * float(chip.costs.ac) + 6400 * float(chip.costs.neuron_update)
    assert float(made.result.total) == pytest.approx(expected, rel=1e-5)
    printed = capsys.readouterr().out
    assert "nothing was run: activity is assumed" in printed
    assert "0.1 in every layer" in printed
    assert "assumed" in made.to_json()


def test_estimate_at_rates_by_layer(capsys):
    rates = {"hidden": 0.5, "readout": 0.01}
    made = joulax.estimate(SPIKING, S((100, 10), F32), on="loihi", rate=rates, spikes=0)
    assert float(made.result.activity["readout"].ac) == pytest.approx(320)
    assert "hidden 0.5, readout 0.01" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (None, "assume a rate"),
        ({"hidden": 0.1}, "it lacks readout"),
        ({"hidden": 0.1, "readout": 0.1, "head": 0.1}, "it names head"),
        (-1.0, "events per input and step ≥ 0"),
        (float("nan"), "events per input and step ≥ 0"),
    ],
)
def test_rates_that_cannot_be(rate, message):
    with pytest.raises(ValueError, match=message):
        joulax.estimate(SPIKING, S((100, 10), F32), on="loihi", rate=rate, spikes=0)


def test_an_argument_that_is_one_array_is_its_layer():
    """Operations and memory of a weight stand in one row, and `bits` knows it by that name."""
    shape = jax.ShapeDtypeStruct
    args = shape((3, 8), "float32"), shape((8,), "float32")
    made = joulax.summary(lambda w, x: w @ x, weights=0, bits={"w": 2})(*args)
    assert [(r.name, r.parameters, r.dense_mac, r.memory) for r in made.rows] == [("w", 24, 24, 6)]
    both = lambda a, x, b: b @ (a @ x)
    made = joulax.summary(both, weights=(0, 2))(*args, shape((2, 3), "float32"))
    assert [(r.name, r.parameters) for r in made.rows] == [("a", 24), ("b", 6)]


@pytest.mark.parametrize("bits", [True, 0, -1.0, {"w": True}, float("nan"), float("inf")])
def test_widths_that_are_none(bits):
    with pytest.raises(ValueError, match="bits= takes the width of a weight"):
        joulax.summary(lambda w, x: w @ x, weights=0, bits=bits)
