"""Every Python block of the README and the docs runs; examples in one file share their names."""

import pathlib
import re

import jax
import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize(
    "page", [p for p in PAGES if "```python" in p.read_text()], ids=lambda p: p.name
)
def test_page(page, capsys):
    names: dict = {}
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):  # as users have it
        run(page, names)


OPTIONAL = ("torch", "nir", "flax", "haiku", "penzai")


def run(page, names):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        try:
            exec(compile(block, str(page), "exec"), names)
        except ModuleNotFoundError as missing:
            if (missing.name or "").split(".")[0] in OPTIONAL:
                pytest.skip(f"{missing.name} is not installed")
            raise


def test_readme_starts_with_the_two_commands():
    first, second, *_ = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "examples/train_to_energy_target.py" in first
    assert "pytest" in second
    assert first.count("\n") == second.count("\n") == 1


def test_links_of_the_readme_exist():
    for target in re.findall(r"\]\((docs/[^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
