"""Every number that enters is right or refused, whatever its type, with an error that names it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax import activity, costs, energy, hardware, models

RECORD = activity(
    ac=1000, dense_ac=4000, spikes=10, updates=500, neurons=5, synapses=40, nonzero=40, events=20
)
LOIHI, TRUENORTH = hardware("loihi"), hardware("truenorth")

NO_NUMBERS = {  # of no type may these pass
    "text": "1.5",
    "empty text": "",
    "bytes": b"1",
    "bool": True,
    "numpy bool": np.bool_(True),
    "jax bool": jnp.asarray(True),
    "complex": 1j,
    "jax complex": jnp.asarray(1j),
    "object": object(),
    "dict": {"value": 1.0},
    "nan": float("nan"),
    "numpy nan": np.float32("nan"),
    "jax nan": jnp.asarray(jnp.nan),
    "inf": float("inf"),
    "jax inf": jnp.asarray(jnp.inf),
}
NEGATIVE = {"-1": -1, "-1.0": -1.0, "numpy -1": np.int32(-1), "jax -1": jnp.asarray(-1.0)}
BEYOND = {"1.5": 1.5, "numpy 2": np.float64(2.0), "jax 1.01": jnp.asarray(1.01)}
ZERO = {"0": 0, "jax 0": jnp.asarray(0.0)}

ANY = NO_NUMBERS | NEGATIVE
PLACES = {  # where a number enters: its name, the call, and what must not pass
    **{
        f"price {op}": (op, lambda v, op=op: costs(**{op: v}), ANY)
        for op in joulax.Operations.__dataclass_fields__
    },
    "Costs": ("ac", lambda v: joulax.Costs(ac=v), ANY),
    "replaced price": ("ac", lambda v: LOIHI.replace(ac=v), ANY),
    "hardware change": ("spike", lambda v: hardware("loihi", spike=v), ANY),
    "static_power": ("static_power", lambda v: LOIHI.replace(static_power=v), ANY),
    "idle_power": ("idle_power", lambda v: LOIHI.replace(idle_power=v), ANY),
    "call": ("call", lambda v: LOIHI.replace(call=v), ANY),
    "batches": ("batches", lambda v: LOIHI.replace(batches=v), ANY | ZERO),
    "hops": ("hops", lambda v: LOIHI.replace(hops=v), ANY),
    "skips_spikes": ("skips_spikes", lambda v: LOIHI.replace(skips_spikes=v), ANY | BEYOND),
    "skips_zeros": ("skips_zeros", lambda v: LOIHI.replace(skips_zeros=v), ANY | BEYOND),
    "graded": ("graded", lambda v: LOIHI.replace(graded=v), ANY | BEYOND),
    "accumulates": ("accumulates", lambda v: LOIHI.replace(accumulates=v), ANY | BEYOND),
    "duration": ("duration", lambda v: energy([RECORD], TRUENORTH, v), ANY),
    "unused duration": ("duration", lambda v: energy([RECORD], LOIHI, v), ANY),
    "batch": ("batch", lambda v: energy([RECORD], LOIHI, batch=v), ANY | ZERO),
    "idle": ("idle", lambda v: energy([RECORD], LOIHI.replace(idle_power=1.0), idle=v), ANY),
    "others": ("others", lambda v: energy([RECORD], LOIHI, others=v), ANY),
    "budget": ("budget", lambda v: joulax.constraint(v), ANY | ZERO),
    "rate": ("factor", lambda v: joulax.at_rate([RECORD], v), ANY),
    "scaled": ("factor", lambda v: joulax.scaled(LOIHI, v), ANY | ZERO),
    "scaled dynamic": ("dynamic", lambda v: joulax.scaled(LOIHI, dynamic=v), ANY | ZERO),
    "scaled static": ("static", lambda v: joulax.scaled(TRUENORTH, static=v), ANY | ZERO),
    "overhead": ("overhead", lambda v: models.PerCall(LOIHI, v), ANY),
    "PerCall batch": ("batch", lambda v: models.PerCall(LOIHI, 1.0, v), ANY | ZERO),
    **{
        f"Memory {f}": (f, lambda v, f=f: models.Memory(**{f: v}), ANY)
        for f in ("add", "multiply", "weight_bits", "state_bits", "weights", "states")
    },
    "Memory skips": ("skips_zeros", lambda v: models.Memory(skips_zeros=v), ANY | BEYOND),
    "Lemaire bits": ("bits", lambda v: models.Lemaire2022(bits=v), ANY),
    "Routed cores": ("neurons_per_core", lambda v: models.Routed(LOIHI, v, 1.0, 1.0), ANY | ZERO),
    "Routed hops": ("hops", lambda v: models.Routed(LOIHI, 1.0, v, 1.0), ANY),
    "Routed hop": ("hop", lambda v: models.Routed(LOIHI, 1.0, 1.0, v), ANY),
    "sram": ("capacity", models.sram, ANY | ZERO),
    "volts": ("volts", lambda v: models.stillmaker("HP7", v), ANY | ZERO),
    "lemaire inputs": ("inputs", lambda v: models.lemaire_dense(v, 10), ANY | ZERO),
    "lemaire steps": ("steps", lambda v: models.lemaire_dense(9, 9, steps=v), ANY),
    "lemaire events": (
        "events_in",
        lambda v: models.lemaire_dense(9, 9, steps=4, events_in=v),
        ANY,
    ),
    "conv steps": (
        "steps",
        lambda v: models.lemaire_conv(2, 4, (3, 3), (8, 8), (8, 8), steps=v),
        ANY,
    ),
    "table price": (
        "ac",
        lambda v: joulax.register({"bad": {"costs": {"ac": v}}}),
        {k: v for k, v in ANY.items() if k != "dict"},
    ),
    "table value": ("ac", lambda v: joulax.register({"bad": {"costs": {"ac": {"value": v}}}}), ANY),
    "table low": (
        "ac",
        lambda v: joulax.register({"bad": {"costs": {"ac": {"value": 1.0, "low": v}}}}),
        ANY,
    ),
    "table power": (
        "static_power",
        lambda v: joulax.register(
            {"bad": {"costs": {"ac": 1.0}, "static_power": {"value": v, "unit": "mW"}}}
        ),
        ANY,
    ),
    "table share": (
        "skips_zeros",
        lambda v: joulax.register({"bad": {"costs": {"ac": 1.0}, "skips_zeros": v}}),
        ANY | BEYOND,
    ),
    "table hops": (
        "hops",
        lambda v: joulax.register({"bad": {"costs": {"ac": 1}, "hops": v}}),
        ANY,
    ),
    "measurement": (
        "picojoules|measured",
        lambda v: joulax.Measurement(v, "chip, total"),
        ANY | ZERO,
    ),
    "error": ("error", lambda v: joulax.Measurement(1.0, "chip, total", v), ANY),
    "noise": ("noise", lambda v: joulax.calibrate([[RECORD]], [1e4], "loihi", noise=v), ANY | ZERO),
    "trust": ("trust", lambda v: joulax.calibrate([[RECORD]], [1e4], "loihi", trust=v), ANY | ZERO),
    "measured": ("measured", lambda v: joulax.calibrate([[RECORD]], [v], "loihi"), NO_NUMBERS),
    "durations": (
        "durations",
        lambda v: joulax.calibrate([[RECORD]], [1e9], "truenorth", durations=[v]),
        ANY,
    ),
    "samples": (
        "samples",
        lambda v: joulax.sample("loihi", jax.random.key(0), v),
        ANY | ZERO | {"1.5": 1.5},
    ),
    "variants": ("ac", lambda v: joulax.variants("loihi", ac=[1.0, v]), NO_NUMBERS | NEGATIVE),
    "accountant size": (
        "layer_sizes",
        lambda v: joulax.EnergyAccountant("loihi2").account(["a"], [(v, 3)], [1], 5),
        ANY | ZERO | {"1.5": 1.5},
    ),
    "accountant steps": (
        "n_timesteps",
        lambda v: joulax.EnergyAccountant("loihi2").account(["a"], [(2, 3)], [1], v),
        ANY | {"1.5": 1.5},
    ),
    "cost model": ("synop_pj", lambda v: joulax.HardwareCostModel(synop_pj=v), ANY),
    "evaluate duration": (
        "duration",
        lambda v: joulax.evaluate([RECORD], ["truenorth"], v),
        ANY,
    ),
}
CASES = [
    pytest.param(named, call, value, id=f"{place}: {label}")
    for place, (named, call, values) in PLACES.items()
    for label, value in values.items()
]


@pytest.mark.parametrize(("named", "call", "value"), CASES)
def test_bad_numbers_are_refused_by_name(named, call, value):
    with pytest.raises(ValueError, match=named):
        call(value)
    assert "bad" not in joulax.catalogue(priced=None)


def test_the_table_is_large():
    assert len(CASES) > 300


OWN = dict(value=1.0, source="s", where="w", evidence="derived", verified="read")


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({}, "states no number"),
        ({"costs": 3}, "costs must be a table"),
        ({"costs": {"ac": 1.0}, "kind": 3}, "kind must be a text"),
        ({"costs": {"ac": 1.0}, "default_of": 7}, "default_of must be a text"),
        ({"costs": {"ac": 1.0}, "process_nm": "7"}, "process_nm"),
        ({"costs": {"ac": 1.0}, "process_nm": 0}, "process_nm"),
        ({"costs": {"ac": 1.0}, "includes": "spike"}, "includes must be a list"),
        ({"costs": {"ac": 1.0}, "includes": [3]}, "includes must be a list"),
        ({"costs": {"ac": 1.0}, "scope": "everything"}, "scope 'everything' is none of"),
        ({"costs": {"ac": 1.0}, "static_power": 3.0}, "a power needs its unit"),
        ({"costs": {"ac": 1.0}, "static_power": {"value": 3.0}}, "a power needs its unit"),
        ({"costs": {"ac": OWN | {"source": 3}}}, "source must be a text"),
        ({"costs": {"ac": OWN | {"verified": "yes"}}}, "verified 'yes' is none of"),
        ({"scope": "power × time", "costs": {"ac": 1.0}}, "power × time"),
        ({"scope": "operations + static", "costs": {"ac": 1.0}}, "operations \\+ static"),
        ({"scope": "per call", "costs": {"mac": 1.0}}, "per call"),
        ({"costs": {"ac": 1.0}, "busy_power": OWN | {"unit": "W"}}, "busy_power is all of it"),
        ({"scope": "headline", "costs": {"ac": 1.0, "spike": 1.0}}, "headline"),
    ],
)
def test_bad_tables_are_refused(table, text):
    before = joulax.catalogue(priced=None)
    with pytest.raises(ValueError, match=text):
        joulax.register({"bad": table})
    assert joulax.catalogue(priced=None) == before


def test_register_never_overwrites_silently():
    joulax.register({"never": costs(ac=1.0)})
    joulax.register({"never": costs(ac=1.0)})  # a cell that is run again
    with pytest.raises(ValueError, match="'never' is registered already, with other numbers"):
        joulax.register({"never": costs(ac=2.0)})
    assert float(hardware("never").costs.ac) == 1.0
    joulax.register({"never": costs(ac=2.0)}, replace=True)
    assert float(hardware("never").costs.ac) == 2.0
    for other in ({"other": {"costs": {"ac": 1.0}, "default_of": "never"}}, {"loihi": costs(ac=1)}):
        with pytest.raises(ValueError, match="two sheets|already"):
            joulax.register(other)
    with pytest.raises(ValueError, match="register"):
        joulax.register("no such file.toml")


def test_all_missing_prices_are_named_at_once():
    """A prices-only chip says all it lacks, or is told what the rest costs."""
    mine = joulax.Chip(costs(ac=2.0), name="mine")
    with pytest.raises(ValueError, match="mine has no price") as error:
        energy({"a": RECORD, "b": RECORD}, mine)
    for op in ("neuron_update", "spike", "weight_read", "state_read", "state_write"):
        assert f"`{op}` in 'a', 'b'" in str(error.value)
    result = energy([RECORD], mine, others=0)
    assert float(result.total) == 2000.0
    assert "charged 0 pJ each (others=0)" in str(joulax.report(result))
    assert float(energy([RECORD], mine, others=1).total) == 2000 + 500 + 10 + 1000 + 1500 + 1500
    told = energy([RECORD], mine, assume_included=True)
    assert "assume_included=True" in str(joulax.report(told))
    assert "neuron update" in told.assumed[0]
    with pytest.raises(ValueError, match="one of the two"):
        energy([RECORD], mine, others=0, assume_included=True)


@pytest.mark.parametrize(
    "samples",
    [1, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 7))],
)
def test_chips_and_samples_equal_the_loop(samples):
    """Static power of a chip meets every sample, not the sample of its number."""
    names = [n for n in joulax.catalogue() if "@" not in n]
    names = names if samples == 3 else names[::5]  # as many chips as samples, and more
    scale = jnp.arange(1.0, samples + 1)
    batch = jax.tree.map(lambda x: x * scale, RECORD)
    for chosen in (names, names[:samples], ["truenorth", "odin", "loihi"][:samples]):
        chips = joulax.stack(chosen)
        call = lambda a, c: energy([a], c, 1e-3, batch=1, others=0)
        alone = [jax.tree.map(lambda x, s=s: x[s], batch) for s in range(samples)]
        loop = np.array([[float(call(a, hardware(n)).total) for a in alone] for n in chosen])
        direct = call(batch, chips)
        mapped = jax.vmap(call, in_axes=(None, 0))(batch, chips)
        for found in (direct, mapped):
            np.testing.assert_allclose(found.total, loop, rtol=2e-6)
            static = 0.0 if found.static is None else np.asarray(found.static)
            parts = np.asarray(found.layer_totals).sum(-1) + static
            np.testing.assert_allclose(parts, loop, rtol=2e-6)
        both = jax.vmap(jax.vmap(call, in_axes=(None, 0)), in_axes=(0, None))(batch, chips)
        np.testing.assert_allclose(both.total.T, loop, rtol=2e-6)


def test_durations_by_sample():
    batch = activity(ac=jnp.ones(3))
    found = energy([batch], TRUENORTH, jnp.array([0.0, 1e-3, 2e-3])).total
    np.testing.assert_allclose(found, [2.297, 64.43e6 + 2.297, 128.86e6 + 2.297], rtol=1e-6)
    with pytest.raises(ValueError, match=r"durations have shape \(2,\) and the records \(3,\)"):
        energy([batch], TRUENORTH, jnp.ones(2))


ODD = ["total", "static power", "a, b", "[red]x", "[/red]", "a|b", "a & b", "\\", "", "ac"]


def test_odd_names_lose_nothing():
    """Names with commas, brackets, markup; a layer called total; equal names."""
    account = {name: activity(ac=k + 1.0, updates=0.0) for k, name in enumerate(ODD)}
    chips = [hardware("loihi").replace(name=name) for name in [*ODD, "chip", "chip"]]
    result = energy(account, chips[0])
    assert len(result.per_layer) == len(result.layers) == len(ODD)
    np.testing.assert_allclose(float(result.total), 23.6 * sum(range(1, len(ODD) + 1)), rtol=1e-6)
    stacked = energy(account, joulax.stack(chips))
    assert stacked.chips == (*ODD, "chip", "chip")
    table = joulax.evaluate(account, chips)
    assert len(table.totals) == len(chips)
    assert table.chips[-1] == "chip (2)"
    assert table.energies.shape[1] == len(ODD) + 1
    np.testing.assert_allclose(list(table.totals.values()), float(result.total), rtol=1e-6)
    for name in ODD[2:7]:
        assert name in str(table)


def test_equal_paths_are_two_layers():
    account = {"a": {"b": activity(ac=1.0)}, "a.b": activity(ac=2.0)}
    result = energy(account, LOIHI)
    assert result.order == ("a.b", "a.b (2)")
    np.testing.assert_allclose(float(result.total), 3 * 23.6, rtol=1e-6)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -1.0])
def test_bad_counts_are_refused(bad):
    record = joulax.Activity(ac=jnp.asarray(bad), ac_graded=jnp.asarray(bad))
    with pytest.raises(ValueError, match="layer 'b' has"):
        energy({"a": activity(ac=1.0), "b": record}, LOIHI)


def test_nothing_recorded_is_no_mean():
    empty = jax.tree.map(lambda x: jnp.zeros((0,)), RECORD)
    with pytest.raises(ValueError, match="empty batch"):
        joulax.compare([empty], steps=4)
    with pytest.raises(ValueError, match="the recording is empty"):
        joulax.activity_of(jnp.ones((2, 3)), jnp.ones((0, 3)))


def test_a_call_of_the_host_may_hold_weights():
    """What it brings along is no operand of it: nobody can say that nothing is lost."""
    held, like = np.ones((3, 3)), jax.ShapeDtypeStruct((3,), jnp.float32)
    inside = lambda v: (held @ np.asarray(v)).astype(np.float32)
    host = lambda w, x: jax.pure_callback(inside, like, w @ x)
    with pytest.raises(ValueError, match="call of the host"):
        joulax.count(host, weights=0)(jnp.ones((3, 3)), jnp.ones(3))
    _, account = joulax.count(host, weights=0, strict=False)(jnp.ones((3, 3)), jnp.ones(3))
    assert account.convention.partial
    shown = lambda w, x: (jax.debug.print("{}", x.sum()), w @ x)[1]
    assert not joulax.count(shown, weights=0)(jnp.ones((3, 3)), jnp.ones(3))[1].convention.partial
