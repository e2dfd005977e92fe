"""What a notebook shows, in a running kernel: tables, once, and what stays in the saved file."""

import pathlib

import pytest

pytest.importorskip("ipykernel")
nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

SETUP = """
import equinox as eqx, jax, jax.numpy as jnp, joulax
model = eqx.nn.Linear(4, 3, key=jax.random.key(0))
x = jnp.ones((2, 4))
account = joulax.count(model, spikes=0)(x[0])[1]
"""
CELLS = {
    "estimate": "joulax.estimate(model, x, on='45nm', spikes=0)",
    "assigned": "made = joulax.estimate(model, x, on='45nm', spikes=0)",
    "again": "made",
    "account": "account",
    "twice": "for chip in ('45nm', '7nm'): joulax.estimate(model, x, on=chip, spikes=0)",
    "catalogue": "joulax.catalogue(kind='gpu')",
    "monitor": """
with joulax.Monitor(epochs=3, budget=20.0) as monitor:
    for epoch in range(3):
        monitor.update(loss=1 / (epoch + 1), result=joulax.energy(account, joulax.hardware('45nm')))
""",
}


@pytest.fixture(scope="module")
def outputs():
    """Outputs of every cell."""
    cells = [nbformat.v4.new_code_cell(c) for c in (SETUP, *CELLS.values())]
    book = nbformat.v4.new_notebook(cells=cells)
    with _quiet():
        nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    return dict(zip(CELLS, [c.outputs for c in book.cells[1:]], strict=True))


def _quiet():
    import warnings

    return warnings.catch_warnings(action="ignore")


def html(output):
    return output["data"]["text/html"]


@pytest.mark.parametrize("name", ["estimate", "assigned", "again", "account", "catalogue"])
def test_one_table(outputs, name):
    (only,) = outputs[name]
    assert only["output_type"] in ("display_data", "execute_result")
    assert "<table>" in html(only)
    assert "─" in only["data"]["text/plain"]


def test_one_table_for_each_estimate(outputs):
    assert len(outputs["twice"]) == 2


def test_the_monitor_leaves_its_last_table(outputs):
    (only,) = outputs["monitor"]
    assert "epoch 3/3: loss 0.3333" in html(only)
    assert "54 % of the budget" in html(only)
    assert html(only).count("<table>") == 1


NEEDS = {"from-pytorch-and-nir": ("torch", "snntorch", "nir")}
SCRIPTS = pathlib.Path(__file__).parent.parent / "docs" / "notebooks"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(p.stem for p in SCRIPTS.glob("*.py") if p.stem != "build"))
def test_notebook_of_the_docs(name):
    """Every script runs as a notebook, to the assert at its end, and each page shows its code."""
    jupytext = pytest.importorskip("jupytext")
    for library in NEEDS.get(name, ()):
        pytest.importorskip(library)
    book = jupytext.read(SCRIPTS / f"{name}.py")
    with _quiet():
        nbclient.NotebookClient(book, timeout=600, kernel_name="python3").execute()
    page = (SCRIPTS / f"{name}.md").read_text()
    for cell in book.cells:
        shown = "\n".join(line for line in cell.source.split("\n") if not line.startswith("%"))
        assert shown.strip() in page, "run docs/notebooks/build.py"
