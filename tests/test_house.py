"""The house: imports go downwards, modules stay small, every public name is documented."""

import ast
import inspect
import pathlib
from collections.abc import Iterator

import pytest

import joulax

SOURCE = pathlib.Path(joulax.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
ROOMS = (
    "_version _forms _activity _hardware _count models metrics _fidelity _report _questions "
    "_training doors"
).split()
PUBLIC_MODULES = (
    *(
        "brainstate",
        "encoders",
        "losses",
        "metrics",
        "models",
        "neurons",
        "nir",
        "plot",
        "rules",
        "torch",
    ),
)


def name_of(path: pathlib.Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__") or "__init__"


def room(name: str) -> str:
    top = name.split(".")[0]
    return top if top in ROOMS else "doors"


def imports(path: pathlib.Path) -> Iterator[str]:
    """Modules of the package that a module imports, wherever the import stands."""
    here = path.parent.relative_to(SOURCE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (
                *here[: len(here) - node.level + 1],
                *(node.module.split(".") if node.module else ()),
            )
            for name in [alias.name for alias in node.names]:
                inside = SOURCE.joinpath(*base, name)
                whole = (
                    (*base, name) if inside.with_suffix(".py").exists() or inside.is_dir() else base
                )
                yield ".".join(whole) or "__init__"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
            assert not any((n or "").split(".")[0] == "joulax" for n in names), (
                f"{path.name} imports joulax by its name"
            )


GRAPH = {name_of(path): sorted(set(imports(path)) - {name_of(path)}) for path in MODULES}


@pytest.mark.parametrize("name", GRAPH)
def test_imports_go_down(name):
    for other in GRAPH[name]:
        assert ROOMS.index(room(other)) <= ROOMS.index(room(name)), (
            f"{name} imports {other}, which stands above it"
        )


def test_imports_make_no_circle():
    """A package imports its modules, and they never their package."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, (
            f"a circle of imports: {' → '.join((*path[path.index(name) :], name))}"
        )
        if name not in done:
            for other in GRAPH[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in GRAPH:
        visit(name, ())


def functions(path: pathlib.Path) -> list[ast.FunctionDef]:
    return [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]


def code_lines(function: ast.FunctionDef) -> int:
    """Lines of a function without its docstring."""
    doc = ast.get_docstring(function, clean=False)
    return function.end_lineno - function.lineno + 1 - (doc.count("\n") + 1 if doc else 0)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_size(path):
    """Modules of at most 400 lines, functions of at most 50, lines of at most 100 columns."""
    lines = path.read_text().splitlines()
    assert len(lines) <= 400
    assert [i for i, line in enumerate(lines, 1) if len(line) > 100] == []
    assert [f.name for f in functions(path) if code_lines(f) > 50] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_argument_is_annotated(path):
    missing = [
        f"{f.name}({a.arg})"
        for f in functions(path)
        for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)
        if a.annotation is None and a.arg not in ("self", "cls")
    ]
    assert missing == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_prints(path):
    calls = [
        n.func.id
        for n in ast.walk(ast.parse(path.read_text()))
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    ]
    assert "print" not in calls


PUBLIC = [
    n for n in dir(joulax) if not n.startswith("_") and n != "jaxtyping"
]  # the import hook of the tests puts it there


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name):
    item = getattr(joulax, name)
    assert (inspect.getdoc(item) or "").strip()
    if name not in PUBLIC_MODULES:
        assert (
            f"::: joulax.{name}\n"
            in (pathlib.Path(__file__).parent.parent / "docs" / "api.md").read_text()
        ), "not on the API page"


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_public_modules_say_what_they_offer(name):
    module = getattr(joulax, name)
    assert module.__all__ == sorted(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public)
