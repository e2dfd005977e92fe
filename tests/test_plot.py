"""Pictures: what is drawn equals what was priced."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax import activity, energy, hardware, plot
from joulax.neurons import LIF, Network

mpl = pytest.importorskip("matplotlib")
mpl.use("Agg")
KEYS = jax.random.split(jax.random.key(0), 2)
MODEL = Network(
    [eqx.nn.Linear(6, 4, key=KEYS[0]), LIF(threshold=0.1), eqx.nn.Linear(4, 3, key=KEYS[1]), LIF()]
)
X = (jax.random.uniform(jax.random.key(1), (7, 6)) < 0.5).astype(jnp.float32)
ACCOUNT = {"total": activity(ac=1e6, updates=100), "a_$b$": activity(ac=10, updates=1)}


@pytest.fixture(autouse=True)
def _close():
    yield
    mpl.pyplot.close("all")


def test_layers_add_up_and_static_power_is_there():
    result = energy(ACCOUNT, hardware("truenorth"), 1e-3)
    ax = plot.layers(result)
    heights = sum(bar.get_height() for bars in ax.containers for bar in bars)
    assert ax.get_ylabel() == "energy [µJ]"
    np.testing.assert_allclose(heights, float(result.total) / 1e6, rtol=1e-5)
    assert "static power" in [t.get_text() for t in ax.get_xticklabels()]


def test_any_number_of_operations():
    prices = dict.fromkeys(joulax.Operations.__dataclass_fields__, 1.0)
    chip = joulax.Chip(joulax.costs(**prices), hops=1.0)
    every = activity(ac=1, dense_ac=1, mac=1, spikes=1, updates=1, neurons=1, lookups=1, writes=1)
    ax = plot.layers({"x": energy({"a": every}, chip, 1.0), "y": energy({"a": every}, chip, 1.0)})
    assert len(ax.get_legend().get_texts()) == len(prices)


def test_chips_are_grouped_and_unknown_ones_left_out():
    made = joulax.evaluate(ACCOUNT, ["loihi", "truenorth", "45nm", "akida@sc-neurocore"])
    ax = plot.chips(made)
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert set(names) == {"loihi", "45nm", "akida@sc-neurocore"}
    assert {t.get_text() for t in ax.texts} == {"per operation", "arithmetic only"}
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 1
    assert len(plot.chips(made, top=1).get_yticklabels()) == 2
    with pytest.raises(ValueError, match="duration"):
        plot.chips(joulax.evaluate(ACCOUNT, ["truenorth"]))


def test_front_keeps_what_none_beats():
    ax = plot.front([1e3, 2e3, 3e3, 4e3], [0.5, 0.4, 0.9, 0.9], names=list("abcd"))
    assert list(ax.lines[0].get_xdata()) == [1e3, 3e3]
    assert [t.get_text() for t in ax.texts] == ["a", "c"]
    with pytest.raises(ValueError, match="one each"):
        plot.front([1.0], [0.5, 0.6])


def test_power_integrates_to_the_energy():
    account = joulax.count(MODEL, spikes=0, steps=7)(X)[1]
    result = energy(account, hardware("45nm"))
    ax = plot.power(result, 1e-3)
    watts, edges, _ = ax.patches[0].get_data()
    unit = {"µW": 1e-6, "nW": 1e-9}[ax.get_ylabel()[7:-1]]
    joules = np.sum(np.asarray(watts) * unit * np.diff(edges) * 1e-3)
    np.testing.assert_allclose(joules, float(result.total.sum()) * 1e-12, rtol=1e-5)
    with pytest.raises(ValueError, match="needs steps"):
        plot.power(energy(ACCOUNT, hardware("45nm")), 1e-3)


def test_neurons_sorted_and_as_a_map():
    account = joulax.count(MODEL, spikes=0, neurons=True)(X)[1]
    ax = plot.neurons(account, "layers[0]")
    drawn = ax.lines[0].get_ydata()
    np.testing.assert_array_equal(drawn, np.sort(account["layers[0]"].spikes)[::-1])
    one = energy({"layers[0]": account["layers[0]"]}, hardware("45nm"))
    image = plot.neurons(one, "layers[0]", shape=(2, 2)).images[0]
    assert image.get_array().shape == (2, 2)
    for layer, shape, text in (("x", None, "no layer"), ("layers[0]", (3, 2), "do not fill")):
        with pytest.raises(ValueError, match=text):
            plot.neurons(account, layer, shape=shape)
    with pytest.raises(ValueError, match="neurons=True"):
        plot.neurons(joulax.count(MODEL, spikes=0)(X)[1], "layers[0]")


def test_raster_with_synops_beneath():
    account = joulax.count(MODEL, spikes=0, steps=7)(X)[1]
    ax = plot.raster(X, account["layers[0]"].ac, dt=1e-3)
    assert len(ax.lines[0].get_xdata()) == int(X.sum())
    lower = ax.figure.axes[-1]
    np.testing.assert_array_equal(lower.patches[0].get_data()[0], account["layers[0]"].ac)
    with pytest.raises(ValueError, match="shape"):
        plot.raster(X[0])
    with pytest.raises(ValueError, match="7 steps"):
        plot.raster(X, jnp.ones(3))


def test_tornado_of_ranges_and_of_sensitivities():
    ax = plot.tornado(energy(ACCOUNT, hardware("loihi")))  # updates 52 to 81 pJ, at 81
    widths = sorted(bar.get_width() for bars in ax.containers for bar in bars)
    np.testing.assert_allclose(widths[0], 101 * (52 - 81) / 1e6, rtol=1e-5)
    assert plot.tornado({"costs.ac": -1.0, "costs.mac": 0.5}).get_yticklabels()
    with pytest.raises(ValueError, match="no range"):
        plot.tornado(energy(ACCOUNT, hardware("45nm")))


def test_placement_draws_every_core():
    layer = activity(ac=1e5, spikes=1e3, updates=2e4, neurons=2000, synapses=2e6)
    placed = joulax.models.placement({"a": layer, "b": layer}, "loihi", weight_bits=8)
    ax = plot.placement(placed)
    assert len(ax.patches) == 128  # one chip of Loihi 1
    assert ax.get_title() == "32 cores on 1 chip"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a: 16 cores", "b: 16 cores"]


def test_saved_files_keep_their_text(tmp_path):
    plot.save(plot.layers(energy(ACCOUNT, hardware("loihi"))), tmp_path / "a.svg")
    assert "neuron update" in (tmp_path / "a.svg").read_text()


def test_ax_is_used():
    ax = mpl.pyplot.figure().add_subplot()
    for made in (
        plot.layers(energy(ACCOUNT, hardware("loihi")), ax=ax),
        plot.front([1.0], [0.5], ax=ax),
    ):
        assert made is ax
