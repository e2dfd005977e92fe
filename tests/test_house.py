"""The house: imports go downwards, modules stay small, every public name is documented."""

import ast
import inspect
import pathlib

import pytest

import joulax

SOURCE = pathlib.Path(joulax.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
FLOORS = """
_version _trace.info _trace.axes _trace.names _trace.resolution _trace.rules _trace.elementwise _trace.sites _trace.movement
_trace.work _trace.analysis _trace.run _trace.flow _trace
_table _operations _activity _account _costs _hardware _datasheet _catalogue _memory _lemaire _systems models
_marks _arguments _records _program _count _ledger _recorded
_energy _uncertainty _measurement _calibrate _evaluate _report _explain _estimate _accountant losses _constraint
_compare _hotspots _monitor neurons _tables metrics plot __init__
""".split()


def floor(path: pathlib.Path) -> str:
    relative = path.relative_to(SOURCE).with_suffix("")
    name = ".".join(part for part in relative.parts if part != "__init__") or "__init__"
    return name.replace("._", ".")


def imports(path):
    """Modules of the package that a module imports at its top."""
    package = path.parent.relative_to(SOURCE).parts
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            for name in names:
                yield ".".join((*base, *name.split("."))).replace("._", ".")


def test_every_module_has_a_floor():
    assert sorted(map(floor, MODULES)) == sorted(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=floor)
def test_imports_go_down(path):
    here = FLOORS.index(floor(path))
    for name in imports(path):
        assert FLOORS.index(name) < here, f"{floor(path)} imports {name}, which stands above it"


@pytest.mark.parametrize("path", MODULES, ids=floor)
def test_size(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 70, f"{floor(path)}.{node.name}"


@pytest.mark.parametrize("path", MODULES, ids=floor)
def test_nothing_prints(path):
    calls = [n.func.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    assert "print" not in calls


PUBLIC = [n for n in dir(joulax) if not n.startswith("_") and n != "jaxtyping"]  # the import hook of the tests puts it there


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name):
    item = getattr(joulax, name)
    assert (inspect.getdoc(item) or "").strip()
    if name not in ("losses", "metrics", "models", "neurons", "plot"):
        assert f"::: joulax.{name}\n" in (pathlib.Path(__file__).parent.parent / "docs" / "api.md").read_text(), "not on the API page"
