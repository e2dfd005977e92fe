"""The algebra: activity → operations → costs → energy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import joulax
from joulax import Activity, Chip, Costs, activity, costs, energy, hardware, stack

RECORD = activity(ac=100, dense_ac=400, spikes=10, updates=50, neurons=5, synapses=40)
COUNTS = st.floats(0, 1e6, allow_nan=False, width=32)


def chip(**fields):
    prices = costs(
        ac=2,
        mac=10,
        neuron_update=3,
        spike=5,
        weight_read=0.5,
        state_read=0.25,
        state_write=0.125,
        hop=7,
        weight_write=11,
    )
    return Chip(prices, **fields)


def test_derivation_by_hand():
    """100 accumulates, 50 updates, 10 spikes, 2 hops: 200 + 150 + 50 + 50 + 37.5 + 18.75 + 140."""
    result = energy({"a": RECORD}, chip(hops=2.0))
    spent = result.layers["a"]
    fields = "ac neuron_update spike weight_read state_read state_write hop".split()
    assert [float(getattr(spent, f)) for f in fields] == [200, 150, 50, 50, 37.5, 18.75, 140]
    assert spent.mac is None
    assert float(result.total) == 646.25 == float(result.per_layer["a"])
    assert float(result.per_operation.hop) == 140
    assert set(result.table["a"]) == {
        "ac",
        "neuron_update",
        "spike",
        "weight_read",
        "state_read",
        "state_write",
        "hop",
    }


def test_skipping():
    """A chip that skips a quarter of the silent accumulates executes 0.25 · 100 + 0.75 · 400."""
    operations = chip(skips_spikes=0.25).operations(RECORD)
    assert float(operations.ac) == 325
    analog = activity(mac=10, dense_mac=30)
    assert float(chip(skips_zeros=0.0).operations(analog).mac) == 30
    assert float(chip().operations(analog).mac) == 10


def test_graded_events():
    record = Activity(ac=30.0, ac_graded=10.0, dense_ac=40.0, spikes=6.0, spikes_graded=2.0)
    assert float(chip(graded=1.0).operations(record).ac) == 10
    assert float(chip(graded=0.0).operations(record).ac) == 30
    assert float(chip(graded=1.0).operations(record).spike) == 2


def test_device_without_accumulators_executes_macs():
    result = energy([RECORD], hardware("cpu"))
    np.testing.assert_allclose(float(result.total), (400 + 50) * 8600)


def test_energy_is_bilinear():
    """dE/dcost is the operation count, exactly."""
    c = chip(hops=2.0)
    grad = eqx.filter_grad(lambda c: energy([RECORD], c).total)(c)
    operations = c.operations(RECORD)
    for op in ("ac", "neuron_update", "spike", "weight_read", "state_read", "state_write", "hop"):
        assert float(getattr(grad.costs, op)) == float(getattr(operations, op))
    assert float(grad.costs.mac) == 0


@given(ac=COUNTS, updates=COUNTS, factor=st.floats(0.0, 10.0, width=32))
@settings(max_examples=50, deadline=None)
def test_linear_in_counts(ac, updates, factor):
    one = energy([activity(ac=ac, updates=updates)], chip()).total
    many = energy([activity(ac=factor * ac, updates=factor * updates)], chip()).total
    np.testing.assert_allclose(float(many), factor * float(one), rtol=1e-4, atol=1e-3)


def test_any_pytree_of_records():
    single, listed, nested = RECORD, [RECORD, RECORD], {"x": [RECORD], "y": (RECORD,)}
    one = float(energy(single, chip()).total)
    assert float(energy(listed, chip()).total) == 2 * one
    result = energy(nested, chip())
    assert float(result.total) == 2 * one
    assert result.order == ("x.0", "y.0")
    with pytest.raises(ValueError, match="expected activity records"):
        energy({"x": jnp.ones(3)}, chip())


def test_leading_axes_of_samples_and_chips():
    batch = activity(ac=jnp.array([1.0, 2.0, 3.0]), updates=jnp.array([1.0, 1.0, 1.0]))
    assert energy([batch], chip()).total.shape == (3,)
    chips = stack(["loihi", "spinnaker"])
    direct = energy([batch], chips).total
    mapped = jax.vmap(energy, in_axes=(None, 0))([batch], chips).total
    assert direct.shape == mapped.shape == (2, 3)
    np.testing.assert_array_equal(direct, mapped)


def test_mixed_leading_axes_are_refused_by_name():
    with pytest.raises(ValueError, match=r"layer 'a' has \(3,\), layer 'b' has \(2,\)"):
        energy({"a": activity(ac=jnp.ones(3)), "b": activity(ac=jnp.ones(2))}, chip())


def test_stack_equals_each_chip():
    names = [n for n in joulax.catalogue() if "@" not in n]
    call = lambda chip: energy([RECORD], chip, 1e-3, batch=1, others=0).total
    for name, value in zip(names, jax.vmap(call)(stack(names)), strict=True):
        np.testing.assert_allclose(float(value), float(call(hardware(name))), rtol=1e-6)


def test_unknown_is_not_zero():
    """No counts: nothing. Counts without a price: an error. NaN in a stack: NaN only where
    something is counted.
    """
    analog = activity(mac=3, dense_mac=4)
    with pytest.raises(
        ValueError, match="layer '0' executes `mac`, and loihi has no price for it.*spikes=0"
    ):
        energy([analog], hardware("loihi"))
    chips = stack(["loihi", "45nm"])
    total = energy([analog], chips).total
    assert np.isnan(float(total[0]))
    np.testing.assert_allclose(float(total[1]), 18.4, rtol=1e-6)
    assert not np.isnan(np.asarray(energy([activity(mac=0, dense_mac=0, ac=1)], chips).total)).any()


def test_gradients_around_unknown_prices_are_finite():
    chips = stack(["loihi", "45nm"])
    grads = jax.grad(lambda n: energy([Activity(mac=n, dense_mac=n)], chips).total[1])(
        jnp.asarray(3.0)
    )
    assert np.isfinite(float(grads))
    np.testing.assert_allclose(float(grads), 4.6, rtol=1e-6)
    grads = eqx.filter_grad(lambda c: energy([RECORD], c).total.sum())(chips)
    assert all(np.isfinite(np.asarray(g)).all() for g in jax.tree.leaves(grads))


def test_static_power_needs_a_duration():
    truenorth = hardware("truenorth")
    with pytest.raises(
        ValueError, match="truenorth draws static power.*0.0 leaves static energy out"
    ):
        energy([RECORD], truenorth)
    np.testing.assert_allclose(float(energy([RECORD], truenorth, 0.0).total), 229.7, rtol=1e-6)
    np.testing.assert_allclose(
        float(energy([RECORD], truenorth, 1e-3).total), 229.7 + 64.43e6, rtol=1e-6
    )
    assert float(jax.grad(lambda t: energy([RECORD], truenorth, t).total)(1.0)) == float(
        truenorth.static_power
    )


def test_leakage_needs_a_duration():
    leaky = Chip(
        costs(ac=1, weight_read=0, state_read=0, state_write=0, neuron_seconds=10), name="leaky"
    )
    record = activity(ac=2, neurons=5)
    with pytest.raises(ValueError, match="leaky leak"):
        energy([record], leaky)
    assert float(energy([record], leaky, 0.5).total) == 2 + 5 * 0.5 * 10


def test_bad_counts_are_errors():
    with pytest.raises(ValueError, match=r"activity\(ac=…\) must be counts ≥ 0"):
        activity(ac=-1)
    with pytest.raises(ValueError, match="layer '0' has a negative count: ac"):
        energy([Activity(ac=-1.0, ac_graded=-1.0)], chip())
    with pytest.raises(TypeError, match="no field synop"):
        activity(synop=3)
    with pytest.raises(ValueError, match="must be a real number"):
        activity(ac="many")
    with pytest.raises(ValueError, match="a price cannot be negative"):
        costs(ac=-1.0)
    with pytest.raises(TypeError, match="no operation synop"):
        costs(synop=1.0)


def test_dense_work_cannot_be_guessed():
    with pytest.raises(ValueError, match="cpu also executes ac work.*dense_ac"):
        energy([activity(ac=3)], hardware("cpu"))


def test_own_chip_in_three_lines():
    mine = Chip(
        Costs(
            ac=jnp.asarray(1.5),
            neuron_update=jnp.asarray(0.0),
            spike=0.0,
            weight_read=0.0,
            state_read=0.0,
            state_write=0.0,
        ),
        name="mine",
    )
    np.testing.assert_allclose(float(energy([RECORD], mine).total), 150)


def test_own_hardware_class():
    """An implementer gives `operations` and `costs`; here every spike is rounded up to a packet of
    four.
    """

    class Packets(joulax.Hardware):
        costs: Costs
        static_power: jax.Array | None = None
        name: str = eqx.field(default="packets", static=True)

        def operations(self, activity, duration=None):
            return joulax.Operations(spike=jnp.ceil(activity.spikes / 4))

    assert float(energy([RECORD], Packets(costs(spike=2))).total) == 6


def test_jit_and_vmap_over_prices():
    prices = jnp.linspace(1.0, 2.0, 7)
    call = lambda p: (
        energy(
            [RECORD],
            Chip(costs(neuron_update=0, spike=0, weight_read=0, state_read=0, state_write=0, ac=p)),
        ).total
    )
    np.testing.assert_allclose(jax.jit(jax.vmap(call))(prices), 100 * prices, rtol=1e-6)


@pytest.mark.parametrize(
    "count", [3_000_000_000, np.int64(3_000_000_000), np.array([3_000_000_000])]
)
def test_counts_beyond_32_bits(count):
    np.testing.assert_allclose(np.asarray(joulax.activity(ac=count).ac).reshape(()), 3e9)


def test_sizes_have_no_time_axis():
    """Samples × steps of operations, one size a sample: 2 × 5 energies."""
    steps = activity(ac=np.ones((2, 5)), neurons=np.full(2, 4.0), synapses=np.full(2, 12.0))
    assert energy({"a": steps}, joulax.hardware("45nm")).total.shape == (2, 5)
