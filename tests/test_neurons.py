"""The zoo of neurons: step by step as recorded, counted from the program."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax import neurons
from joulax.neurons import (
    IF,
    LIF,
    Adaptive,
    Alpha,
    Lapicque,
    LeakyReadout,
    Network,
    Recurrent,
    Synaptic,
)

from .conftest import recorded

CLASSES = {"leaky": LIF, "lapicque": Lapicque, "synaptic": Synaptic, "alpha": Alpha}
ZOO = [IF, LIF, Lapicque, Synaptic, Alpha, Adaptive]
RESETS = ["subtract", "zero", "none"]
X = (jax.random.uniform(jax.random.key(1), (7, 6)) < 0.5).astype(jnp.float32)


def make(spec):
    """The neuron of a recorded layer."""
    options = {"threshold": spec["threshold"], "reset": spec["reset"]}
    if spec["type"] == "lapicque":
        return Lapicque(
            resistance=spec["R"], capacitance=spec["C"], time_step=spec["time_step"], **options
        )
    options |= {k: spec[k] for k in ("alpha", "beta") if k in spec}
    return CLASSES[spec["type"]](**options)


def current_of(spec, arrays):
    """The current into a recorded layer of neurons, from its recorded input."""
    w, x = jnp.asarray(arrays[spec["weight"]]), jnp.asarray(arrays[spec["input"]])
    b = arrays[spec["bias"]] if spec["bias"] else np.zeros(w.shape[0], np.float32)
    if w.ndim == 2:
        return x @ w.T + jnp.asarray(b)[None, None]
    flat = x.reshape(-1, *x.shape[2:])
    padding = (
        [(p, p) for p in spec["padding"]]
        if isinstance(spec["padding"], list)
        else [(spec["padding"],) * 2] * 2
    )
    stride = spec["stride"] if isinstance(spec["stride"], list) else [spec["stride"]] * 2
    out = (
        jax.lax.conv_general_dilated(flat, w, stride, padding) + jnp.asarray(b)[None, :, None, None]
    )
    return out.reshape(*x.shape[:2], *out.shape[1:])


@pytest.mark.parametrize("case", recorded("neurobench", "snn_net"))
def test_membranes_and_spikes_equal_snntorch(case):
    """Every recorded layer, every step; a potential within rounding of the threshold may fire
    differently: there is none.
    """
    arrays, previous, checked = case.arrays, None, 0
    for spec in case["layers"]:
        if "weight" in spec:
            previous = spec
        if spec["type"] in CLASSES:
            neuron, currents = make(spec), current_of(previous, arrays)
            first = neuron.init(currents.shape[2:])

            def run(currents, neuron=neuron, first=first):
                def step(state, current):
                    state, spikes = neuron(state, current)
                    return state, (state.membrane, spikes)

                return jax.lax.scan(step, first, currents)[1]

            membranes, spikes = jax.vmap(run)(currents)
            np.testing.assert_allclose(
                membranes,
                arrays[spec[next(k for k in spec if k.startswith("post_mem"))]],
                rtol=1e-4,
                atol=2e-5,
            )
            assert np.array_equal(spikes, arrays[spec["output"]])
            checked += 1
    assert checked >= 2


def network(neuron):
    keys = jax.random.split(jax.random.key(0), 2)
    return Network(
        [
            eqx.nn.Linear(6, 5, use_bias=False, key=keys[0]),
            neuron,
            eqx.nn.Linear(5, 3, use_bias=False, key=keys[1]),
            LeakyReadout(),
        ]
    )


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("cls", ZOO)
def test_every_neuron_is_countable_and_trainable(cls, reset):
    model = network(cls(reset=reset))
    out, account = joulax.count(model, spikes=0)(X)
    assert out.shape == (7, 3)
    assert list(account) == ["layers[0]", "layers[2]"]
    assert float(account["layers[0]"].ac) == 5 * float(X.sum())
    assert float(account["layers[0]"].updates) == 7 * 5
    assert float(account["layers[2]"].updates) == 7 * 3
    assert float(account["layers[2]"].ac) == 3 * float(account["layers[0]"].spikes)
    gradient = eqx.filter_grad(lambda m: joulax.count(m, spikes=0)(X)[1]["layers[2]"].ac)(model)
    assert np.isfinite(jax.tree.leaves(gradient)[0]).all()
    assert np.any(np.asarray(gradient.layers[0].weight) != 0)
    assert float(gradient.layers[1].threshold) < 0  # a higher threshold saves synaptic operations


# NeuroBench's table, and what the program shows beside the test of the threshold (one subtraction,
# one comparison).
# Where they differ: the peer recomputes the whole new state for a reset to zero (Synaptic 8, Alpha
# 24), and does
# arithmetic between parameters (R, C, Δt; logarithms of decays) at every step (Lapicque 11, Alpha
# 18, 24).
TABLE = [
    (LIF, "subtract", 4, 4),
    (LIF, "zero", 4, 4),
    (Synaptic, "subtract", 6, 6),
    (Synaptic, "zero", 8, 6),
    (Lapicque, "subtract", 11, 5),
    (Lapicque, "zero", 11, 5),
    (Alpha, "subtract", 18, 12),
    (Alpha, "zero", 24, 10),
]


@pytest.mark.parametrize(("cls", "reset", "tabulated", "counted"), TABLE)
def test_operations_of_an_update_are_found_in_the_program(cls, reset, tabulated, counted):
    name = {LIF: "Leaky"}.get(cls, cls.__name__)
    assert (
        float(joulax.metrics.neuron_operations(jnp.zeros((1, 1)), name, reset)["Neuron Dense Ops"])
        == tabulated
    )
    convention = joulax.count(network(cls(reset=reset)), spikes=0).convention(X)
    each = convention.per_update("layers[0]")
    assert each.pop("compare") == 1
    assert sum(each.values()) - 1 == counted
    assert convention.per_update("layers[2]") == {"multiply": 1.0, "add": 1.0}


def test_leaky_by_name():
    """Decay, input, reset product, subtraction: two products, two sums; and the test of the
    threshold.
    """
    each = joulax.count(network(LIF()), spikes=0).convention(X).per_update("layers[0]")
    assert each == {"multiply": 2.0, "add": 3.0, "compare": 1.0}


def test_operations_do_not_depend_on_batch_or_loop():
    model = network(Synaptic())
    alone = joulax.count(model, spikes=0).convention(X).per_update("layers[0]")
    batch = (
        joulax.count(jax.vmap(model), spikes=0)
        .convention(jnp.stack([X, X, X]))
        .per_update("layers[0]")
    )
    assert alone == batch == {"multiply": 3.0, "add": 4.0, "compare": 1.0}


def test_transcendental_work_is_said_apart():
    w = jnp.ones((5, 6))
    convention = joulax.count(lambda x: jnp.tanh(w @ x) * 2.0, spikes=0).convention(X[0])
    (name,) = dict(convention.update_operations)
    assert convention.per_update(name) == {"multiply": 1.0, "other": 1.0}


def test_recurrent_weights_are_a_layer():
    model = network(Recurrent(LIF(), 0.5 * jnp.ones((5, 5))))
    _, account = joulax.count(model, spikes=0)(X)
    assert list(account) == ["layers[0]", "layers[1]", "layers[2]"]
    assert float(account["layers[1]"].dense_ac) == 7 * 25


def test_surrogates():
    for spike, slope in (
        (neurons.fast_sigmoid, 1.0),
        (neurons.arctan, 1 / np.pi),
        (neurons.triangle, 1.0),
        (neurons.straight_through, 1.0),
    ):
        np.testing.assert_allclose(jax.grad(spike)(0.0), slope, rtol=1e-6)
        assert [float(spike(jnp.asarray(v))) for v in (-0.1, 0.0, 0.1)] == [0.0, 0.0, 1.0]


def test_bad_reset():
    with pytest.raises(ValueError, match="subtract, zero, none"):
        LIF(reset="soft")
