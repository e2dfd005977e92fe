"""Every form of everything printed, against golden files: stable under width and theme.

`GOLDEN=write pytest tests/test_printed.py` writes them anew; read the difference before keeping it.
"""

import csv
import html.parser
import io
import json
import os
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import joulax
from joulax import activity, energy, hardware, report

GOLDEN = pathlib.Path(__file__).parent / "golden"
AWKWARD = {  # names that mean something to Markdown, LaTeX, CSV, HTML, rich and pandas
    "total": activity(ac=1000, dense_ac=4000, spikes=20, updates=400, neurons=40, synapses=100),
    "a|b & <c>": activity(ac=300, dense_ac=400, spikes=0, updates=10, neurons=1, synapses=10),
    "[bold]d[/bold], e_1%": activity(ac=2e6, dense_ac=3e6, spikes=3e4, updates=2e4, neurons=200),
}
PRICES = joulax.costs(
    ac=2.0, neuron_update=20.0, spike=0, weight_read=0, state_read=0, state_write=0
)


def batch_of(account, scales):
    """Samples that fire more or less."""
    return jax.tree.map(lambda a: a * jnp.asarray(scales, a.dtype), account)


SUBJECTS = {
    "account": lambda: joulax.count(eqx.nn.Linear(4, 3, key=jax.random.key(0)), spikes=0)(
        jnp.ones(4)
    )[1],
    "report": lambda: report(energy(AWKWARD, hardware("loihi"))),
    "report-batch": lambda: report(
        energy(batch_of(AWKWARD, [1.0, 2.0, 3.0]), hardware("loihi")), duration=0.016
    ),
    "report-static": lambda: report(energy(AWKWARD, hardware("truenorth"), 0.01)),
    "report-unsourced": lambda: report(energy(AWKWARD, hardware("akida@sc-neurocore"))),
    "report-chips": lambda: report(
        energy(AWKWARD, joulax.stack(["loihi", "akida@sc-neurocore", "45nm", "h100", "odin"]), 1e-3)
    ),
    "compared": lambda: report(
        {
            "snn & co": energy(AWKWARD, hardware("loihi")),
            "ann|8": energy({"total": activity(mac=4000)}, hardware("45nm")),
        }
    ),
    "evaluation": lambda: joulax.evaluate(AWKWARD, ["loihi", "truenorth", "45nm", "speck"]),
    "comparison": lambda: joulax.compare(AWKWARD, 16, {"a|b": ("loihi", "arm")}),
    "hotspots": lambda: joulax.hotspots(energy(AWKWARD, hardware("loihi"))),
    "chip": lambda: hardware("loihi"),
    "datasheet": lambda: joulax.datasheet("odin"),
    "result": lambda: energy(AWKWARD, hardware("loihi")),
}
FORMS = {
    "txt": lambda x: x.to_text(),
    "80.txt": lambda x: x.to_text(80),
    "40.txt": lambda x: x.to_text(40),
    "md": lambda x: x.to_markdown(),
    "tex": lambda x: x.to_latex(label="tab:energy"),
    "csv": lambda x: x.to_csv(),
    "html": lambda x: x._repr_html_(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_golden(name, form):
    made = FORMS[form](SUBJECTS[name]()).rstrip("\n") + "\n"
    path = GOLDEN / f"{name}.{form}"
    if form == "csv" and jax.config.jax_enable_x64:
        pytest.skip("every digit of float32 stands in this file")
    if os.environ.get("GOLDEN") == "write":
        path.write_text(made)
    assert made == path.read_text(), f"{path.name} changed; read it, then GOLDEN=write"


@pytest.mark.parametrize("name", SUBJECTS)
def test_width_is_kept(name):
    """No number is torn: what does not fit goes into a block beneath."""
    for width in (40, 80):
        lines = SUBJECTS[name]().to_text(width).splitlines()
        table = [line for line in lines if "─" in line]
        assert all(len(line) <= max(width, 44) for line in table), width


@pytest.mark.parametrize("name", SUBJECTS)
def test_round_trip(name):
    made = SUBJECTS[name]()
    found = joulax.load(made.to_json())
    assert type(found) is type(made)
    assert str(found) == str(made)
    assert found.to_csv() == made.to_csv()


def test_round_trip_through_a_file(tmp_path):
    result = energy(AWKWARD, hardware("loihi"))
    (tmp_path / "a.json").write_text(report(result).to_json())
    found = joulax.load(tmp_path / "a.json").result
    assert jax.tree.structure(found) == jax.tree.structure(result)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(result), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)  # no NaN, no Infinity
    for text, what in (("{}", "no 'data'"), ("{no", "no JSON")):
        with pytest.raises(ValueError, match=what):
            joulax.load(text)


class Balanced(html.parser.HTMLParser):
    """Fails on tags that do not close in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", SUBJECTS)
def test_html_is_well_formed_and_has_no_colours(name):
    made = SUBJECTS[name]()._repr_html_()
    parser = Balanced()
    parser.feed(made)
    assert not parser.open
    assert "<pre" not in made
    assert "#" not in made.split("<style>")[1].split("</style>")[0], "colours are those of the page"


def test_a_layer_called_total_and_two_chips_of_one_name():
    made = report(energy(AWKWARD, hardware("loihi")))
    rows = list(csv.DictReader(io.StringIO(made.to_csv())))
    assert [r["row"] for r in rows] == ["layer", "layer", "layer", "total"]
    assert len({(r["layer"], r["row"]) for r in rows}) == 4
    np.testing.assert_allclose(
        sum(float(r["total"]) for r in rows[:3]), float(rows[3]["total"]), rtol=1e-6
    )
    twice = joulax.stack([joulax.Chip(PRICES), joulax.Chip(PRICES, name="chip")])
    chips = report(energy(AWKWARD, twice))
    assert [r["chip"] for r in chips.records() if r["row"] == "total"] == ["chip", "chip (2)"]
    assert "chip (2)" in str(chips)
    evaluated = joulax.evaluate(AWKWARD, [joulax.Chip(PRICES), joulax.Chip(PRICES)])
    assert list(evaluated.totals) == ["chip", "chip (2)"]


def test_pandas_has_everything():
    pytest.importorskip("pandas")
    frame = report(energy(AWKWARD, hardware("loihi"))).to_pandas()
    row = frame.loc[("loihi", "[bold]d[/bold], e_1%")]
    assert row["synops"] == 2e6
    assert row["dense"] == 3e6
    assert row["rate"] == 1.5
    assert np.isnan(row["synapses"])
    assert row["bound"] == "="
    assert set(frame["row"]) == {"layer", "total"}


def test_scalars_are_flat_and_plain():
    made = report(energy(AWKWARD, hardware("loihi"))).scalars()
    assert all(type(v) is float for v in made.values())
    np.testing.assert_allclose(made["energy_pj/layer/total"], 1000 * 23.6 + 400 * 81)
    np.testing.assert_allclose(
        made["energy_pj"],
        made["energy_pj/operation/ac"] + made["energy_pj/operation/neuron_update"],
    )
    both = report({"a": energy(AWKWARD, hardware("loihi"))}).scalars()
    assert both["a/energy_pj"] == made["energy_pj"]


def test_a_mean_is_never_for_this_call():
    text = str(report(energy({"a": activity(ac=10.5, updates=3)}, hardware("loihi"))))
    assert "per inference, a mean" in text
    assert "for this call" not in text
    batch = energy({"a": activity(ac=[10.0, 20.0], updates=[3.0, 3.0])}, hardware("loihi"))
    assert "(mean ± standard deviation over 2 samples)" in str(report(batch))


def test_partial_says_so_in_every_form():
    """A lost synapse marks every number as a lower bound."""
    import dataclasses

    account = SUBJECTS["account"]()
    lost = dataclasses.replace(account.convention, lost=("`mul` at net.py:3",))
    account = dataclasses.replace(account, convention=lost)
    made = report(energy(account, hardware("45nm")))
    for text in (str(made), made.to_markdown(), made._repr_html_(), str(account)):
        assert "≥ " in text
        assert "net.py:3" in text
    assert r"$\geq$" in made.to_latex()
    assert "lower bound" in made.to_latex()
    assert {r["bound"] for r in made.records()} == {"≥"}
    assert made.scalars()["partial"] == 1.0
    assert "≥" in str(joulax.evaluate(account, ["45nm"]))
    assert "≥" in str(joulax.hotspots(account))


def test_unsourced_and_from_memory_are_marked_in_every_form():
    for chip, mark in (("akida@sc-neurocore", "UNSOURCED"), ("morphic", "from memory")):
        made = report(energy({"a": activity(ac=5)}, hardware(chip)))
        forms = [str(made), made.to_markdown(), made.to_latex(), made._repr_html_(), made.to_csv()]
        assert all(mark in form for form in (*forms, made.to_json())), chip


def test_everything_prints_numbers():
    account = {"a": activity(ac=7, updates=3)}
    assert repr(account["a"]) == "Activity(ac=7, ac_graded=7, updates=3)"
    assert "23.6" in str(hardware("loihi"))
    assert "165 pJ" in str(energy({"a": activity(ac=7, updates=0)}, hardware("loihi")))
    chips = joulax.catalogue()
    assert "loihi" in chips
    assert isinstance(chips, tuple)
    assert "arithmetic only" in str(chips)
    assert "UNSOURCED" in str(chips)


def test_shapes_while_tracing():
    seen = []
    chip = hardware("45nm")

    @jax.jit
    def call(x):
        account = joulax.count(eqx.nn.Linear(4, 3, key=jax.random.key(0)), spikes=0)(x)[1]
        result = energy(account, chip)
        seen.extend([str(account), repr(account["weight"]), str(result), str(chip)])
        return result.total

    call(jnp.ones(4))
    assert "[]" in seen[0]
    assert "ac=f" in seen[1]
    assert "while tracing" in seen[2]
    assert "0.9" in seen[3]


def test_metrics_print_and_stay_pytrees():
    model = eqx.nn.Linear(4, 3, key=jax.random.key(0))
    account = joulax.count(model, spikes=0, events=True)(jnp.ones(4))[1]
    made = joulax.metrics.synops_table(account, dt=1e-3, steps=1)
    assert "Fan-out" in str(made)
    assert isinstance(made, dict)
    doubled = jax.tree.map(lambda x: 2 * x, made)
    assert float(doubled["weight"]["SynOps"]) == 24.0
    jitted = jax.jit(lambda a: joulax.metrics.synops_table(a, dt=1e-3, steps=2))(account)
    assert float(jitted["weight"]["In"]) == 4.0


def test_rich_prints_in_its_width():
    out = io.StringIO()
    Console(file=out, width=60).print(SUBJECTS["report-chips"]())
    assert max(map(len, out.getvalue().splitlines())) <= 60
    assert "no room here for" in out.getvalue()


def test_diff_says_the_change():
    before = report(energy({"a": activity(ac=100, updates=0)}, hardware("loihi")))
    after = energy({"a": activity(ac=50, updates=0)}, hardware("loihi"))
    text = str(before.diff(after))
    assert "-1.18 nJ" in text
    assert "0.5" in text


def test_slips_are_said_in_words():
    counted = joulax.count(eqx.nn.Linear(4, 3, key=jax.random.key(0)), spikes=0)(jnp.ones(4))
    with pytest.raises(ValueError, match=r"joulax.count\(fn\)\(x\)\[1\]"):
        energy(counted, hardware("45nm"))
    with pytest.raises(ValueError, match=r"price the second"):
        report(counted)
    with pytest.raises(ValueError, match=r"price it first"):
        report(counted[1])
    with pytest.raises(ValueError, match="nothing to put side by side"):
        report({})
    with pytest.raises(ValueError, match="an analog network"):
        joulax.compare(AWKWARD)


def test_own_analog_network():
    """100 MACs of 0.23 pJ against 40 accumulates of 0.03 pJ."""
    made = joulax.compare(
        {"a": activity(ac=40, dense_ac=80, synapses=10)}, {"b": activity(mac=100, synapses=9)}
    )
    row = made.rows["arithmetic only, int8"]
    np.testing.assert_allclose([row["snn"], row["ann"]], [1.2, 23.0], rtol=1e-5)
    assert made.bits is None
    assert "the analog network that was counted" in str(made)


def test_spots_are_labelled():
    account = {"a": activity(ac=[1.0, 5.0], updates=[1.0, 1.0])}
    assert joulax.hotspots(account).spots[0].place == "a, sample 1"


def test_estimate_on_several_chips(capsys):
    model = eqx.nn.Linear(4, 3, key=jax.random.key(0))
    made = joulax.estimate(model, jnp.ones((2, 4)), on=["45nm", "speck"], spikes=0)
    printed = capsys.readouterr().out
    assert "mean of 2 samples" in printed
    assert "n/a: speck" in printed
    np.testing.assert_allclose(made.totals["45nm"], 12 * 0.9, rtol=1e-6)
