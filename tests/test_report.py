"""Reports, explanations and the five-minute line."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax import activity, energy, hardware, report, stack
from joulax._forms.units import joules, number, with_spread

from .test_count import BATCH, COUNTED, MODEL, X


def test_report_says_everything():
    text = report(energy(COUNTED(X)[1], hardware("loihi"))).to_text(400)
    for word in (
        "layers[0]",
        "readout",
        "neuron update",
        "share",
        "synops",
        "rate",
        "total",
        "dominant layer",
        "davies2018",
        "simulated",
        "excludes: spike generation, routing, static power",
    ):
        assert word in text, word
    assert f"{float(COUNTED(X)[1]['layers[0]'].ac):g}" in text
    assert "warning" not in text


def test_totals_and_shares_add_up():
    result = energy(
        [activity(ac=3, updates=0), activity(ac=1, updates=0)],
        joulax.Chip(
            joulax.costs(ac=100, neuron_update=0, weight_read=0, state_read=0, state_write=0),
            name="mine",
        ),
    )
    made = report(result)
    assert "75.0 %" in str(made)
    assert "400 pJ for this call" in str(made)
    assert "mine: no datasheet" in str(made)
    assert made.dominant_layer == "0"


def test_samples_are_said():
    result = energy(jax.vmap(COUNTED)(BATCH)[1], hardware("loihi"))
    text = str(report(result))
    assert "mean ± standard deviation over 3 samples" in text
    total = np.asarray(result.total, np.float64)
    assert f"{with_spread(total.mean(), total.std())} per inference" in text


def test_a_budget_is_said_in_every_form():
    """50 updates of 81 pJ cost 4050 pJ in silence; 100 accumulates of 23.6 pJ the rest."""
    result = energy({"a": activity(ac=100, updates=50, spikes=5)}, hardware("loihi"))
    above, below = report(result, budget=5000), report(result, budget=2000.0)
    text = "5 nJ on loihi: 128 % of the budget"
    for form in ("to_text", "to_markdown", "to_latex", "to_json", "_repr_html_"):
        high, low = (" ".join(getattr(r, form)().split()) for r in (above, below))
        assert text in high.replace(r"\%", "%"), form
        assert "floor" not in high, form
        assert "below the floor: 4.05 nJ in silence, no network can meet it" in low, form
    assert joulax.load(below.to_json()).to_text() == below.to_text()
    assert "budget" not in str(report(result))
    assert report(report(result), budget=5000).to_text() == above.to_text()
    assert f"lean: budget of {text}" in report({"lean": result}, budget=5000).to_text(400)
    with pytest.raises(ValueError, match="budget"):
        report(result, budget=0)


def test_a_budget_is_for_a_mean_sample_and_each_chip():
    """Two samples, two chips: of 100 and 300 accumulates the mean counts; steps are summed."""
    counts = {"a": activity(ac=jnp.array([100.0, 300.0]), updates=jnp.array([50.0, 50.0]))}
    two = stack([hardware("loihi"), hardware("truenorth")])
    lines = report(energy(counts, two, 1e-3), budget=4400.0).against()
    assert lines[0] == "budget of 4.40 nJ on loihi: 199 % of the budget"
    assert lines[1].startswith("budget of 4.40 nJ on truenorth")
    assert "no network can meet it" in lines[1]
    _, account = joulax.count(MODEL, spikes=0, steps=len(X))(X)
    made = report(energy(account, hardware("loihi")), budget=1.0)
    least = joules(float(joulax.floor(COUNTED(X)[1], "loihi")))
    assert f"below the floor: {least} in silence" in " ".join(str(made).split())
    priced = energy({"a": activity(ac=1, updates=1)}, hardware("dynap_se"), others=2.0)
    assert "spent" not in report(priced, budget=1.0).against()[0]


WARNINGS = {
    "never fired": (
        lambda: energy([activity(ac=1, spikes=0, updates=5)], hardware("loihi")),
        "layer '0' never fired",
    ),
    "rate above one": (
        lambda: energy([activity(ac=1, spikes=20, updates=5)], hardware("loihi")),
        "4 spikes per neuron and step",
    ),
    "unsourced": (lambda: energy([activity(ac=1)], hardware("akida@sc-neurocore")), "UNSOURCED"),
    "analog first layer": (
        lambda: energy(joulax.count(MODEL)(X)[1], hardware("45nm")),
        "the first layer 'layers[0]' takes an analog input",
    ),
    "coverage": (
        lambda: energy(
            joulax.count(lambda p, x: p @ jnp.sort(x), weights=0)(jnp.ones((2, 6)), X[0])[1],
            hardware("45nm"),
        ),
        "coverage 50 %, not counted: `sort`",
    ),
    "hole": (lambda: energy([activity(mac=1)], stack(["loihi", "45nm"])), "n/a"),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_warnings(name):
    make, text = WARNINGS[name]
    assert any(text in w for w in report(make()).warnings())


def test_chips_side_by_side():
    chips = stack(["loihi", "spinnaker", "truenorth"])
    text = str(report(energy(COUNTED(X)[1], chips, 1e-3)))
    assert all(
        word in text for word in ("loihi", "spinnaker", "truenorth", "static power", "3 chips")
    )


def test_notebook_html():
    html = report(energy(COUNTED(X)[1], hardware("loihi")))._repr_html_()
    assert "<table>" in html
    assert "<pre" not in html


def test_report_needs_numbers():
    with pytest.raises(ValueError, match="return the result from the jitted function"):
        jax.jit(lambda x: report(energy(COUNTED(x)[1], hardware("loihi"))).samples)(X)


def test_explain_on_shapes_alone():
    shapes = eqx.filter_eval_shape(lambda: MODEL)
    made = joulax.explain(shapes, spikes=0)(jax.ShapeDtypeStruct(X.shape, X.dtype))
    assert [r.layer for r in made.rows] == ["layers[0]", "layers[1]", "readout"]
    assert [r.kind for r in made.rows] == ["spikes"] * 3
    assert [r.fanout for r in made.rows] == [5, 4, 3]
    assert [r.neurons for r in made.rows] == [5, 4, 3]
    assert "declared by spikes=" in made.rows[0].cause
    assert "surrogate gradient (test_count.py:" in made.rows[1].cause
    assert "test_count.py" in made.rows[0].source
    assert "fan-out" in str(made)


def test_explain_names_the_equation_that_made_it_analog():
    model = lambda p, x: p["b"] @ (p["a"] @ x + 1.0)
    rows = joulax.explain(model, weights=0, spikes=1)(
        {"a": jnp.ones((3, 2)), "b": jnp.ones((2, 3))}, jnp.ones(2)
    ).rows
    assert rows[1].kind == "analog"
    assert "synaptic currents of `dot_general` are analog (test_report.py:" in rows[1].cause


def test_estimate_prints_the_report(capsys):
    made = joulax.estimate(MODEL, BATCH, on="loihi", spikes=0)
    printed = capsys.readouterr().out
    assert "over 3 samples" in printed
    assert made.result.total.shape == (3,)
    np.testing.assert_allclose(
        float(made.result.total[0]),
        float(energy(COUNTED(X)[1], hardware("loihi")).total),
        rtol=1e-6,
    )
    assert joulax.estimate(MODEL, X, on="loihi", spikes=0).samples == 1


def test_estimate_of_a_function_with_parameters(capsys):
    """Weights are no batch."""
    made = joulax.estimate(lambda p, x: p @ x, jnp.ones((3, 6)), X, on="45nm", weights=0, spikes=1)
    assert "over 10 samples" in capsys.readouterr().out
    np.testing.assert_allclose(made.result.total, 3 * 0.9 * X.sum(1), rtol=1e-6)


def test_numbers_for_people():
    assert [joules(x) for x in (0.0, 12.3456, 1234.5, 5e6, 7.25e9, float("nan"))] == [
        "0 pJ",
        "12.3 pJ",
        "1.23 nJ",
        "5 µJ",
        "7.25 mJ",
        "n/a",
    ]
    assert [number(x) for x in (3, 9999, 12345, 2.5e6)] == ["3", "9999", "12.3 k", "2.50 M"]


def test_convention_is_a_paragraph_for_papers():
    made = joulax.report(
        joulax.energy({"a": joulax.activity(ac=10, updates=1)}, joulax.hardware("loihi"))
    )
    text = made.convention()
    assert "\n" not in text
    for words in (
        "one existing (nonzero) synapse",
        "ac 23.6 pJ",
        "davies2018",
        "They leave out spike generation, routing, static power",
    ):
        assert words in text


def test_every_form_says_how_good_its_numbers_are():
    """A lower bound, prices of nobody, prices from memory: in rows as well as in words."""
    records = {"a": joulax.activity(ac=100.0, dense_ac=200.0, updates=5.0, spikes=3.0, neurons=5.0)}
    result = joulax.energy(records, "loihi2@sc-neurocore")
    assert {r["evidence"] for r in result.records()} == {"UNSOURCED"}
    assert {r["bound"] for r in result.records()} == {"="}
    assert "UNSOURCED" in str(result)
    both = joulax.report({"x": joulax.energy(records, "loihi"), "y": result})
    assert {r["evidence"] for r in both.records()} == {"x: simulated; y: UNSOURCED"}
    arithmetic = joulax.report({"x": result, "y": joulax.energy(records, "45nm")})
    assert "totals of different scopes" in str(arithmetic)
    pairs = {"d": ("loihi2@sc-neurocore", "a100")}
    compared = joulax.compare(records, steps=8, pairs=pairs)
    for words in ("UNSOURCED", "from memory", "different scopes"):
        assert words in str(compared), words


def test_lower_bounds_have_no_difference():
    w = jnp.ones((4, 3))
    program = lambda w, x: (x @ w, jnp.fft.fft(w[0] * x[:3]).real)
    _, account = joulax.count(program, weights=0, spikes=1, strict=False)(w, jnp.ones(4))
    result = joulax.energy(account, "loihi", others=0)
    both = joulax.report(result).diff(result)
    assert result.partial
    assert not any("change" in r for r in both.records())
    with pytest.raises(ValueError, match="both are called 'x'"):
        joulax.report(result).diff(result, ("x", "x"))


def test_static_power_that_dominates_is_said():
    records = {n: joulax.activity(ac=100.0, updates=5.0, neurons=5.0) for n in "ab"}
    made = joulax.report(joulax.energy(records, "odin", 1.0, others=0))
    assert "static power dominates (100 %); of the layers, a" in str(made)


def test_fractions_that_are_declared_as_spikes_are_said():
    w = jnp.ones((2, 3))
    for x, said in (([0.5, 1.0, 0.0], True), ([2.0, 1.0, 0.0], False)):
        _, account = joulax.count(lambda w, x: w @ x, weights=0, spikes=1)(w, jnp.array(x))
        warnings = joulax.report(joulax.energy(account, "loihi")).warnings()
        assert any("fractions of events" in text for text in warnings) == said


def test_an_input_of_several_events_is_one_input():
    _, account = joulax.count(lambda w, x: w @ x, weights=0, spikes=1)(
        jnp.ones((2, 3)), jnp.array([2.0, 2.0, 0.0])
    )
    (row,) = [r for r in account.records() if r["layer"] != "total"]
    assert row["sparsity"] == pytest.approx(1 / 3)
