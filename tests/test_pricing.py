"""Counts summed before they are priced equal counts priced one by one."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import joulax
from joulax import activity, energy, hardware, models, stack


def accounts(layers, seed=0, shape=()):
    """Layers of three forms: spiking, analog, and an encoder."""
    rng = np.random.default_rng(seed)
    draw = lambda: jnp.asarray(rng.uniform(0, 1e4, shape).astype(np.float32))
    made = {}
    for i in range(layers):
        spiking = activity(
            ac=draw(), dense_ac=draw() + 1e4, spikes=draw(), updates=draw(), neurons=7.0
        )
        analog = activity(mac=draw(), dense_mac=draw() + 1e4, updates=draw(), neurons=3.0)
        made[f"layer {i}"] = (spiking, analog, activity(spikes=draw()))[i % 3]
    return made


def general(chip):
    """The same chip, whose layers are priced one by one."""

    class General(type(chip)):
        linear = False

    fields = {f.name: getattr(chip, f.name) for f in dataclasses.fields(chip)}
    return General(**fields)


CHIPS = {
    "45nm": lambda: hardware("45nm"),
    "cpu": lambda: hardware("cpu"),
    "truenorth": lambda: hardware("truenorth").replace(mac=3.0),
    "graded": lambda: hardware("loihi2@sc-neurocore").replace(mac=2.0, graded=0.5),
    "skips half": lambda: hardware("45nm").replace(skips_spikes=0.5, skips_zeros=0.25),
    "leaky": lambda: hardware("45nm").replace(neuron_seconds=4.0),
    "memory": lambda: models.Memory(weight_bits=8, states=0.1),
    "call": lambda: hardware("movidius"),
}


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("shape", [(), (4,)])
def test_sums_first_equal_the_general_way(name, shape):
    account, chip = accounts(20, shape=shape), CHIPS[name]()
    call = lambda c: energy(account, c, 1e-3, batch=1)
    fast, slow = call(chip), call(general(chip))
    np.testing.assert_allclose(fast.total, slow.total, rtol=2e-6)
    for a, b in zip(
        jax.tree.leaves(fast.per_operation), jax.tree.leaves(slow.per_operation), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=2e-6)
    by_layer = sum(np.asarray(v, np.float64) for v in fast.per_layer.values())
    static = 0.0 if fast.static is None else np.asarray(fast.static, np.float64)
    np.testing.assert_allclose(by_layer + static, fast.total, rtol=2e-6)
    np.testing.assert_allclose(
        fast.layer_totals, np.stack(list(fast.per_layer.values()), -1), rtol=1e-6
    )


def test_a_stack_with_holes_sums_first_too():
    """NaN where an unknown price meets a count in any layer, in total and layer by layer."""
    account = accounts(9)
    chips = stack(["45nm", "loihi", "cpu"])
    found = jax.jit(lambda c: energy(account, c))(chips)
    assert np.isnan(np.asarray(found.total)).tolist() == [False, True, False]
    per_layer = np.asarray(found.layer_totals)
    assert np.isnan(per_layer[1]).tolist() == [i % 3 == 1 for i in range(9)]
    assert not np.isnan(per_layer[[0, 2]]).any()
    spiking = {k: v for k, v in account.items() if v.mac is None}
    np.testing.assert_allclose(
        energy(spiking, chips).total[1], float(energy(spiking, "loihi").total), rtol=1e-6
    )


@given(seed=st.integers(0, 1000), layers=st.integers(1, 12))
@settings(max_examples=15, deadline=None)
def test_gradients_of_prices_are_summed_counts(seed, layers):
    account = accounts(layers, seed)
    chip = hardware("45nm")
    slopes = eqx.filter_grad(lambda c: energy(account, c).total)(chip)
    counts = [r.ac for r in account.values() if r.ac is not None]
    np.testing.assert_allclose(float(slopes.costs.ac), float(sum(counts)), rtol=1e-5)


def test_the_program_does_not_grow_with_chips_times_layers():
    """Under jit a total multiplies sums, never every layer with every chip."""
    account, chips = accounts(30), stack(["45nm"] * 50)
    text = str(jax.make_jaxpr(lambda c: energy(account, c, 1e-3).total)(chips))
    compiled = jax.jit(lambda c: energy(account, c, 1e-3).total).lower(chips).compile().as_text()
    assert "[50,10]" in text  # layers of one form, written down but never computed
    assert "[50,10]" not in compiled


@pytest.mark.slow
def test_many_layers():
    """10 000 layers are priced on every target."""
    account = {f"l{i}": activity(ac=float(i), updates=1.0) for i in range(10_000)}
    total = float(energy(account, "loihi").total)
    np.testing.assert_allclose(total, 23.6 * 9_999 * 5_000 + 81e4, rtol=1e-5)
    table = joulax.evaluate(account, ["loihi", "truenorth", "cpu@keras-spiking", "odin"][:2], 1.0)
    np.testing.assert_allclose(table.totals["loihi"], total, rtol=1e-5)
    assert table.energies.shape[:2] == (2, 10_001)


# -- the floor --------------------------------------------------------------------


def test_floor_by_hand():
    """81 pJ an update; a chip that skips half the silent accumulates executes the other half."""
    record = activity(ac=100, dense_ac=400, spikes=10, updates=50, mac=3, dense_mac=5)
    assert float(joulax.floor({"a": record}, hardware("loihi").replace(mac=0.0))) == 50 * 81
    half = hardware("45nm").replace(skips_spikes=0.5)
    np.testing.assert_allclose(
        float(joulax.floor([record], half)), 0.5 * 400 * 0.9 + 5 * 4.6, rtol=1e-6
    )
    np.testing.assert_allclose(
        float(joulax.floor([activity(ac=5, updates=1)], "truenorth", 1e-3)), 64.43e6, rtol=1e-6
    )
    chips = stack(["loihi", "45nm"])
    both = joulax.floor([activity(ac=5, spikes=2, updates=10)], chips)
    np.testing.assert_allclose(both, [810, 0], rtol=1e-6)


def test_floor_is_the_energy_of_a_silent_run():
    """Of a network that never fires, counted."""

    def run(w, x):
        step = lambda v, s: (v + w @ s, (v > 1e9).astype(jnp.float32))
        return jax.lax.scan(step, jnp.zeros(4), x)[1]

    w, x = jnp.ones((4, 6)), jnp.ones((5, 6), jnp.float32)
    count = joulax.count(run, weights=0, spikes=1)
    busy, silent = count(w, x)[1], count(w, 0 * x)[1]
    assert float(joulax.floor(busy, "loihi")) == float(energy(silent, "loihi").total) == 20 * 81
