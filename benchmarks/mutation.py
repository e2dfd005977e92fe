"""Which changes of the source would no test notice? Sampled mutants of modules, run against tests.

    python benchmarks/mutation.py src/joulax/_hardware src/joulax/models \
        --tests tests/test_energy.py tests/test_pricing.py --sample 100 --seed 0 --json out.json

One place at a time is changed: a number or a truth value, a comparison, a sign, an arithmetic or
logical operator. Everything happens in a copy; the working tree is never touched.

First every test runs once, unchanged, while it is noted which lines of the modules it runs
(`--map FILE` keeps that for the next run with the same tests). Then each mutant meets the tests
that run its line, one case of every function before the second of any, quickest first and up to
`--budget` seconds of them, until one fails: *killed*.
A mutant of a line that runs at import alone meets those that run anything of that file. A line that
no test runs leaves its mutants *uncovered*, which counts as survived. Tests that take ten times as
long as unchanged, and a minute, *hang*, which kills.

A test may see a line without running it (results cached by a fixture or by JAX), and a slow test
may be beyond the budget, so look at a survivor before you believe it: `--only FILE:LINE` makes
every mutant of that line, `--budget 1e9` meets them with every test. Functions are left out with a
comment `# mutants: none` on their first line, with a reason beside it. A run with the same
`--json FILE` goes on where the last one ended.

The tests run in forks of one process that has imported JAX, without the type checker of the
suite (`tests/conftest.py`) and with a compilation cache of their own. Needs a system with `fork`,
and the package coverage.
"""

from __future__ import annotations

import argparse
import ast
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator

import coverage

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPIED = ("src", "tests", "benchmarks", "docs", "examples")
FILES = ("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff")

COMPARISONS = {
    ast.Lt: ("<", [">=", "<="]),
    ast.LtE: ("<=", [">", "<"]),
    ast.Gt: (">", ["<=", ">="]),
    ast.GtE: (">=", ["<", ">"]),
    ast.Eq: ("==", ["!="]),
    ast.NotEq: ("!=", ["=="]),
    ast.Is: ("is", ["is not"]),
    ast.IsNot: ("is not", ["is"]),
    ast.In: ("in", ["not in"]),
    ast.NotIn: ("not in", ["in"]),
}
ARITHMETIC = {
    ast.Add: ("+", ["-"]),
    ast.Sub: ("-", ["+"]),
    ast.Mult: ("*", ["/"]),
    ast.Div: ("/", ["*"]),
    ast.FloorDiv: ("//", ["*"]),
    ast.Mod: ("%", ["*"]),
    ast.Pow: ("**", ["*"]),
}
LOGIC = {ast.And: ("and", ["or"]), ast.Or: ("or", ["and"])}


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change: characters `start` to `end` of a file become `new`."""

    path: str
    line: int
    start: int
    end: int
    old: str
    new: str
    lines: tuple[int, int] | None  # of its statement, None where that runs at import

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"

    def apply(self, text: str) -> str:
        return text[: self.start] + self.new + text[self.end :]


# -- where a module can be changed ----------------------------------------------------------------


class Places(ast.NodeVisitor):
    """Every mutant of one file; annotations, texts, errors and checks are left alone."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text, self.found = path, text, []
        self.inside = 0  # functions
        self.lines_of: tuple[int, int] | None = None
        self.offsets = [0]
        for line in text.splitlines(keepends=True):
            self.offsets.append(self.offsets[-1] + len(line))
        self.lines = text.splitlines()

    def at(self, line: int, column: int) -> int:
        """Characters before a place; `ast` counts columns in bytes."""
        return self.offsets[line - 1] + len(self.lines[line - 1].encode()[:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def add(self, line: int, start: int, end: int, new: str) -> None:
        old = self.text[start:end]
        self.found.append(Mutant(self.path, line, start, end, old, new, self.lines_of))

    def between(self, left: ast.AST, right: ast.AST, sign: str, news: list[str]) -> None:
        """An operator stands between its operands, parentheses and comments aside."""
        start, end = self.span(left)[1], self.span(right)[0]
        found = self.text.find(sign, start, end)
        if found >= 0 and "#" not in self.text[start:end]:
            for new in news:
                self.add(left.end_lineno, found, found + len(sign), new)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self.add(node.lineno, *self.span(node), str(not value))
        elif isinstance(value, int):
            self.add(node.lineno, *self.span(node), str(value + 1))
        elif isinstance(value, float):
            self.add(node.lineno, *self.span(node), repr(value * 1.5 if value else 1.0))

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, op, right in zip(operands, node.ops, operands[1:], strict=False):
            self.between(left, right, *COMPARISONS[type(op)])
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in ARITHMETIC:
            self.between(node.left, node.right, *ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in ARITHMETIC:
            sign, news = ARITHMETIC[type(node.op)]
            self.between(node.target, node.value, f"{sign}=", [f"{n}=" for n in news])
        self.visit(node.value)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in zip(node.values, node.values[1:], strict=False):
            self.between(left, right, *LOGIC[type(node.op)])
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        sign = {ast.USub: "-", ast.Not: "not "}.get(type(node.op))
        start = self.span(node)[0]
        if sign and self.text.startswith(sign, start):
            self.add(node.lineno, start, start + len(sign), "")
        self.generic_visit(node)

    def visit(self, node: ast.AST) -> None:
        """Statements say where they stand; of a compound one it is its head."""
        if not isinstance(node, ast.stmt):
            return super().visit(node)
        outer, body = self.lines_of, getattr(node, "body", None)
        last = body[0].lineno - 1 if body else node.end_lineno
        self.lines_of = (node.lineno, max(node.lineno, last)) if self.inside else None
        super().visit(node)
        self.lines_of = outer
        return None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if "# mutants: none" in self.lines[node.lineno - 1]:
            return
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        self.inside += 1
        for statement in node.body:
            self.visit(statement)
        self.inside -= 1

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        """The text of an error is no arithmetic."""

    def visit_keyword(self, node: ast.keyword) -> None:
        """`strict=` checks what a right program never breaks."""
        if node.arg != "strict":
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Parts of an f-string have no place of their own in every Python."""


def mutants(path: pathlib.Path) -> list[Mutant]:
    """All mutants of one file that are Python and differ from it."""
    text = path.read_text()
    places = Places(str(path.relative_to(ROOT)), text)
    places.visit(ast.parse(text))
    return [m for m in places.found if valid(m.apply(text))]


def valid(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def modules(paths: list[str]) -> list[pathlib.Path]:
    """Files of paths; folders give the modules in them."""
    found = []
    for path in (ROOT / p for p in paths):
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return found


# -- tests, in forks of one process ---------------------------------------------------------------


class Lines:
    """A plug-in of pytest: lines of the copy that each test runs, and how long it takes."""

    def __init__(self, source: pathlib.Path, names: set[str]) -> None:
        self.source, self.names = source, names
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self.coverage = coverage.Coverage(data_file=None, include=[f"{source}{os.sep}src/*"])

    def pytest_runtest_logreport(self, report) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_runtest_logstart(self, nodeid: str, location) -> None:
        self.coverage.switch_context(nodeid)

    def found(self) -> dict:
        data = self.coverage.get_data()
        lines: dict[str, dict[str, list[int]]] = {node: {} for node in self.seconds}
        for name in self.names:
            for line, nodes in data.contexts_by_lineno(str(self.source / name)).items():
                for node in nodes:
                    if node in lines:
                        lines[node].setdefault(name, []).append(line)
        tests = {n: [self.seconds[n], found] for n, found in lines.items() if n not in self.failed}
        return {"tests": tests, "failed": sorted(self.failed)}


def forked(copy: pathlib.Path, run, timeout: float):
    """What `run()` returns in a fork of this process: `None` if it hangs, False if it dies."""
    answer, log = copy.parent / "answer", copy.parent / "log"
    answer.unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of forks: nothing of it has started yet
        child = os.fork()
    if child == 0:
        in_child(copy, run, answer, log)
    deadline = time.monotonic() + timeout
    while os.waitpid(child, os.WNOHANG)[0] != child:
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.02)
    return json.loads(answer.read_text()) if answer.exists() else False


def in_child(copy: pathlib.Path, run, answer: pathlib.Path, log: pathlib.Path) -> None:
    os.setsid()
    os.chdir(copy)
    sys.path[:0] = [str(copy / "src"), str(copy)]
    quiet = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(quiet, stream)
    try:
        answer.write_text(json.dumps(run()))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def pytest_run(tests: list[str], plugins: list) -> int:
    import pytest

    arguments = ["-q", "-p", "no:cacheprovider", "-m", "not slow", "--no-header"]
    arguments += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # imported before the fork
    return int(pytest.main([*arguments, *tests], plugins=plugins))


def lines_of(copy: pathlib.Path, tests: list[str], names: set[str]) -> dict:
    """Lines that each test runs: node → [seconds, {file: [line, …]}]."""

    def run() -> dict:
        lines = Lines(copy, names)
        lines.coverage.start()
        pytest_run(tests, [lines])
        lines.coverage.stop()
        return lines.found()

    found = forked(copy, run, timeout=36000)
    if not found:
        log = (copy.parent / "log").read_text()
        raise SystemExit(f"{log}\nthe tests do not run unchanged")
    for node in found["failed"]:
        print(f"fails unchanged, left out: {node}", flush=True)
    return found["tests"]


def concerned(mutant: Mutant, lines: dict, budget: float) -> tuple[list[str], float]:
    """Tests that run the mutant's line, of every function the quickest first, and their seconds.

    A line that runs at import only concerns whoever uses its file.
    """
    users = {node: seen[mutant.path] for node, (_, seen) in lines.items() if mutant.path in seen}
    first, last = mutant.lines or (0, 10**9)
    runs = [node for node, seen in users.items() if any(first <= n <= last for n in seen)]
    turns, taken, total = collections.Counter[str](), list[str](), 0.0
    ordered = list[tuple[int, float, str]]()
    for seconds, node in sorted((lines[node][0], node) for node in runs):
        function = node.split("[")[0]
        ordered.append((turns[function], seconds, node))
        turns[function] += 1
    for _, seconds, node in sorted(ordered):
        total += seconds
        if taken and total > budget:
            break
        taken.append(node)
    return taken, total


def meet(copy: pathlib.Path, mutant: Mutant, tests: list[str], timeout: float) -> str:
    """Killed, hangs, survived or uncovered."""
    if not tests:
        return "uncovered"
    path = copy / mutant.path
    text = path.read_text()
    path.write_text(mutant.apply(text))
    try:
        code = forked(copy, lambda: pytest_run(["-x", *tests], []), timeout)
    finally:
        path.write_text(text)
    if code is None:
        return "hangs"
    return "survived" if code == 0 and code is not False else "killed"


# -- the copy, the sample, the table --------------------------------------------------------------


@contextlib.contextmanager
def copied() -> Iterator[pathlib.Path]:
    """A copy of what tests read, without the type checker's hook."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder).resolve() / "copy"
        copy.mkdir()
        for name in COPIED:
            ignored = shutil.ignore_patterns("__pycache__", "*.ipynb")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        for name in FILES:
            shutil.copy(ROOT / name, copy / name)
        setup = copy / "tests" / "conftest.py"
        hooks = ("install_import_hook(",)
        lines = setup.read_text().splitlines(keepends=True)
        setup.write_text("".join(x for x in lines if not x.strip().startswith(hooks)))
        yield copy


def chosen(options: argparse.Namespace) -> list[Mutant]:
    """Mutants of the sample, the same for the same seed."""
    found = [m for path in modules(options.modules) for m in mutants(path)]
    if options.only:
        return [m for m in found if any(m.place.endswith(place) for place in options.only)]
    size = min(options.sample, len(found))
    print(f"{len(found)} mutants of {len(modules(options.modules))} modules, {size} sampled")
    return random.Random(options.seed).sample(found, size)


def mapped(copy: pathlib.Path, options: argparse.Namespace, names: set[str]) -> dict:
    if options.map and options.map.exists():
        return json.loads(options.map.read_text())
    start = time.monotonic()
    lines = lines_of(copy, options.tests, names)
    print(f"{len(lines)} tests unchanged in {time.monotonic() - start:.0f} s", flush=True)
    if options.map:
        options.map.write_text(json.dumps(lines))
    return lines


def table(rows: list[dict]) -> str:
    """Killed of all, by module."""
    lines = []
    for path in [*sorted({r["path"] for r in rows}), ""]:
        of = [r for r in rows if r["path"] == path or not path]
        killed = sum(r["result"] in ("killed", "hangs") for r in of)
        lines.append(f"{path or 'all':<44}{killed:>5} of {len(of):>4}  {killed / len(of):6.1%}")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="+", help="modules or folders, from the repository's root")
    parser.add_argument("--tests", nargs="+", required=True, help="files of tests")
    parser.add_argument("--sample", type=int, default=100, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--budget", type=float, default=60.0, help="seconds of tests a mutant meets"
    )
    parser.add_argument("--map", type=pathlib.Path, help="keeps which test runs what")
    parser.add_argument("--json", type=pathlib.Path, help="results, and where to go on from")
    parser.add_argument("--only", nargs="*", help="FILE:LINE of mutants, in place of a sample")
    return parser.parse_args()


def prepared() -> None:
    """What every fork starts from."""
    os.environ.pop("PYTHONPATH", None)
    cache = pathlib.Path(tempfile.gettempdir()) / f"joulax-mutation-{os.getuid()}"
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    os.environ.setdefault("MPLBACKEND", "agg")
    sys.path[:] = [p for p in sys.path if pathlib.Path(p).resolve() != ROOT / "src"]
    sys.dont_write_bytecode = True
    import equinox as equinox
    import hypothesis as hypothesis
    import pytest as pytest


def main() -> None:
    options = arguments()
    prepared()
    names = {str(p.relative_to(ROOT)) for p in modules(options.modules)}
    kept = options.json and options.json.exists()
    rows = json.loads(options.json.read_text()) if kept else []
    with copied() as copy:
        sample = chosen(options)
        lines = mapped(copy, options, names)
        for mutant in sample:
            change = json.loads(json.dumps(dataclasses.asdict(mutant)))
            if change in [{k: r[k] for k in change} for r in rows]:
                continue
            tests, seconds = concerned(mutant, lines, options.budget)
            start = time.monotonic()
            result = meet(copy, mutant, tests, 60 + 10 * seconds)
            rows.append(change | dict(result=result, tests=len(tests)))
            rows[-1]["seconds"] = round(time.monotonic() - start, 1)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1))
            if result in ("survived", "uncovered"):
                source = (copy / mutant.path).read_text().splitlines()[mutant.line - 1].strip()
                print(
                    f"{result} {mutant.place}: {mutant.old} → {mutant.new}   {source}", flush=True
                )
    if rows:
        print(table(rows))


if __name__ == "__main__":
    main()
