"""Every number of every idiom, on record, and what it costs to count it.

The tests say by hand what an idiom is about; the other fields of its accounts stand in
`tests/golden/accounts`, and a change of any of them shows as a change of those files:

    GOLDEN=write python -m pytest tests/idioms      # whole files of tests, one process

Beside them, for the version of JAX that they name (others write other programs, and are not held
against it): in `tests/golden/work` how many elements the counted program computes, in
`tests/golden/said` what the account says of itself: the sites with their causes, what an update
takes, what is missing, and the limits below which its numbers stay, which it must keep.
"""

import collections
import json
import os
import pathlib
import re

import jax
import numpy as np
import pytest

from joulax import Activity
from joulax._count import program
from joulax._count.count import Counter
from joulax._count.layers import Layers

from .common import work

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
COMPARED = not jax.config.jax_enable_x64  # which makes other programs
AT_MOST = (
    ("ac_graded", "dense_ac"),
    ("mac", "dense_mac"),
    ("nonzero", "synapses"),
    ("spikes_graded", "updates"),
)
WRITTEN: dict[pathlib.Path, dict] = collections.defaultdict(dict)


LINE = re.compile(r"(?<=\.py:)\d+")


def named(layers: list[str]) -> dict[str, str]:
    """Layers named by lines of a test, which are numbered in their order: lines come and go."""
    lines = sorted({int(n) for layer in layers for n in LINE.findall(layer)})
    return {layer: LINE.sub(lambda n: str(lines.index(int(n[0]))), layer) for layer in layers}


def fields(record: Activity, slope: bool) -> dict:
    """What an account says of a layer: numbers, and the shapes of those that are kept apart.

    Which slopes are zero is a matter of rounding: of gradients what does not hang on it.
    """
    found = {}
    for name in Activity.__dataclass_fields__:
        if slope and name in ("ac", "ac_graded", "mac"):
            continue
        value = getattr(record, name)
        if value is not None:
            array = np.asarray(value, np.float64)
            whole = float(f"{array.sum():.9g}")
            found[name] = [list(array.shape), whole] if array.shape else whole
    return found


def said(account, bounds: dict) -> dict:
    """What an account says of itself; its numbers keep their limits."""
    how, names = account.convention, named(list(map(str, account)))
    for layer, record in account.items():
        for name, bound in bounds[str(layer)].items():
            value = getattr(record, name)
            if not isinstance(value, jax.core.Tracer):
                assert np.max(np.asarray(value), initial=0) <= bound * (1 + 1e-6), (
                    layer,
                    name,
                    bound,
                )
    sites = [[s.primitive, s.kind, LINE.sub("", s.cause), s.inputs, s.fanout] for s in how.sites]
    return dict(
        sites=sites,
        updates=[[names.get(n, n), dict(counts)] for n, counts in how.update_operations],
        missing=[LINE.sub("", text) for text in (*how.uncounted, *how.lost)],
        limits={names[n]: {f: str(b) for f, b in each.items()} for n, each in bounds.items()},
    )


def _measured(self, *args):
    """A counted program that knows the work of one run of it, and the limits of its counts."""
    function, jaxprs, self.bounds = program.jaxpr_as_fun, [], {}
    made = Layers._fields

    def limited(layers, key, taps):
        found = made(layers, key, taps)
        bounds = {name: count.bound for name, count in found.items()}
        self.bounds |= dict.fromkeys(layers._expanded(key), bounds)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "jaxpr_as_fun", lambda c: jaxprs.append(c.jaxpr) or function(c))
        patch.setattr(Layers, "_fields", limited)
        run = _compiled(self, *args)
    self.work = sum(map(work, jaxprs))
    return run


_compiled, program.Program._compiled = program.Program._compiled, _measured


@pytest.fixture(autouse=True)
def on_record(request, monkeypatch):
    """All accounts that a test has seen are those of the record, in their order."""
    seen, call = [], Counter.__call__
    spent, says, run = [], [], program.Program.__call__

    def ran(self, dynamic):
        out, account = run(self, dynamic)
        if hasattr(self, "work"):
            spent.append(self.work)
            says.append(said(account, self.bounds))
        return out, account

    def counted(self, *args, **kwargs):
        out, account = call(self, *args, **kwargs)
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(account)):
            names = named(list(map(str, account)))
            seen.append(
                {names[str(n)]: fields(r, "gradient" in str(n)) for n, r in account.items()}
            )
        return out, account

    monkeypatch.setattr(Counter, "__call__", counted)
    monkeypatch.setattr(program.Program, "__call__", ran)
    yield
    broken = [(layer, law) for account in seen for layer, law in unlawful(account)]
    assert not broken
    compare("accounts", request, seen)
    if COMPARED:
        compare("work", request, spent)
        compare("said", request, says)


def compare(kind, request, found) -> None:
    """What a test has found is what stands on record, or is written there."""
    path = GOLDEN / kind / f"{request.module.__name__.rsplit('.', 1)[-1]}.json"
    if found and os.environ.get("GOLDEN") == "write":
        WRITTEN[path][request.node.name] = found
    elif found:
        recorded = json.loads(path.read_text())
        if recorded.get("jax", jax.__version__) == jax.__version__:
            assert same(found, recorded.get(request.node.name)), (
                f"found {found}, on record {recorded.get(request.node.name)}; "
                "where that is right, GOLDEN=write"
            )


def unlawful(account: dict) -> list:
    """Where more than all neurons, synapses or positions are said to be at work."""
    found = []
    for layer, record in account.items():
        totals = {k: v[1] if isinstance(v, list) else v for k, v in record.items()}
        pairs = [p for p in AT_MOST if p[0] in totals and p[1] in totals]
        found += [(layer, p) for p in pairs if totals[p[0]] > totals[p[1]] * (1 + 1e-6)]
    return found


def same(found, recorded) -> bool:
    """Equal, but for the last digits of sums of graded spikes."""
    if type(found) is not type(recorded):
        return False
    if isinstance(found, dict):
        keys = found.keys() | recorded.keys()
        return all(k in found and k in recorded and same(found[k], recorded[k]) for k in keys)
    if isinstance(found, str | None):
        return found == recorded
    if isinstance(found, list):
        return len(found) == len(recorded) and all(map(same, found, recorded))
    other_draws = jax.config.jax_enable_x64  # random numbers of 64 bits: the same fields alone
    return other_draws or found == pytest.approx(recorded, rel=1e-6, nan_ok=True)


def pytest_sessionfinish() -> None:
    """What a run with GOLDEN=write has seen replaces the files of its tests."""
    for path, tests in WRITTEN.items():
        version = {} if path.parent.name == "accounts" else {"jax": jax.__version__}
        tests = version | tests
        lines = (f"{json.dumps(name)}: {json.dumps(tests[name])}" for name in sorted(tests))
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
