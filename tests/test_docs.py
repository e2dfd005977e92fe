"""Every Python block of the README and the docs runs, and prints what stands beneath it.

Examples in one file share their names. A `text` block right after a Python block is its output;
and a picture after one shows its `ax`; `DOCS=write pytest tests/test_docs.py` makes both.
Times and paths have no place there.
"""

import os
import pathlib
import re

import jax
import matplotlib as mpl
import matplotlib.pyplot
import pytest

import joulax
from joulax._hardware import catalogue

mpl.use("Agg")
ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?P<code>```python\n(?P<source>.*?)```\n)(?:\n?```text\n(?P<output>.*?)```\n)?"
    r"(?=(?:\n!\[[^\]]*\]\((?P<image>assets/[^)]+)\))?)",
    re.DOTALL,
)


@pytest.fixture
def configured(monkeypatch):
    """What libraries change for all others when they are imported is put back."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    wide = jax.config.jax_enable_x64
    yield
    jax.config.update("jax_enable_x64", wide)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if "```python" in p.read_text()], ids=lambda p: p.name
)
@pytest.mark.usefixtures("configured")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_page(page, capsys, monkeypatch):
    monkeypatch.setattr(catalogue, "_registered", {})  # chips of one page are not those of another
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):  # as users have it
        made, missing = run(page, capsys)
    if os.environ.get("DOCS") == "write":
        page.write_text(made)
    newest = jax.__version_info__ >= (0, 10)  # older versions name lines of a program otherwise
    if newest and not jax.config.jax_enable_x64:  # printed digits are those of float32
        assert made == page.read_text(), f"{page.name} shows another output; DOCS=write fills it in"
    if missing:
        pytest.skip(f"sections that need {', '.join(missing)}; the others ran")


OPTIONAL = {
    *("torch", "nir", "flax", "haiku", "penzai", "keras", "spyx", "slax", "diffrax"),
    *("brainstate", "neurobench", "tensorflow"),
}


def run(page, capsys) -> tuple[str, list[str]]:
    """The page with the outputs of this run, and the libraries whose sections did not run."""
    names: dict = {}
    missing: dict[str, str] = {}  # heading → library
    mpl.pyplot.close("all")
    text = page.read_text()

    def block(match: re.Match) -> str:
        heading = text.rfind("\n## ", 0, match.start())
        if heading in missing:
            return match[0]
        capsys.readouterr()
        try:
            exec(compile(match["source"], str(page), "exec"), names)
        except ModuleNotFoundError as error:
            library = (error.name or "").split(".")[0]
            if library not in OPTIONAL:
                raise
            missing[heading] = library
            return match[0]
        except NameError:  # of a section that did not run
            if not missing:
                raise
            missing[heading] = next(iter(missing.values()))
            return match[0]
        printed = capsys.readouterr().out.rstrip()
        if match["image"] and os.environ.get("DOCS") == "write":
            joulax.plot.save(names["ax"], page.parent / match["image"])
        if match["output"] is None:
            return match[0]
        return f"{match['code']}\n```text\n{printed}\n```\n"

    return BLOCK.sub(block, text), sorted(set(missing.values()))


def test_readme_starts_with_the_two_commands():
    first, second, *_ = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "examples/train_to_energy_target.py" in first
    assert "pytest" in second
    assert first.count("\n") == second.count("\n") == 1


def test_links_of_the_readme_exist():
    for target in re.findall(r"\]\((docs/[^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def test_pages_are_in_the_navigation():
    """And pictures that pages show exist."""
    listed = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name == "api.md":  # split into pages by topic
            continue
        assert page.relative_to(ROOT / "docs").as_posix() in listed, page.name
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / target).exists(), target
