"""Every number of every idiom, on record.

The tests say by hand what an idiom is about; the other fields of its accounts stand in
`tests/golden/accounts`, and a change of any of them shows as a change of those files:

    GOLDEN=write python -m pytest tests/idioms      # whole files of tests, one process
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
from joulax._count.count import Counter

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "accounts"
AT_MOST = (
    ("ac_graded", "dense_ac"),
    ("mac", "dense_mac"),
    ("nonzero", "synapses"),
    ("spikes_graded", "updates"),
)
WRITTEN: dict[str, dict] = collections.defaultdict(dict)


LINE = re.compile(r"(?<=\.py:)\d+")


def named(layers: list[str]) -> dict[str, str]:
    """Layers named by lines of a test, which are numbered in their order: lines come and go."""
    lines = sorted({int(n) for layer in layers for n in LINE.findall(layer)})
    return {layer: LINE.sub(lambda n: str(lines.index(int(n[0]))), layer) for layer in layers}


def fields(record: Activity) -> dict:
    """What an account says of a layer: numbers, and the shapes of those that are kept apart."""
    found = {}
    for name in Activity.__dataclass_fields__:
        value = getattr(record, name)
        if value is not None:
            array = np.asarray(value, np.float64)
            whole = float(f"{array.sum():.9g}")
            found[name] = [list(array.shape), whole] if array.shape else whole
    return found


@pytest.fixture(autouse=True)
def on_record(request, monkeypatch):
    """All accounts that a test has seen are those of the record, in their order."""
    seen, call = [], Counter.__call__

    def counted(self, *args, **kwargs):
        out, account = call(self, *args, **kwargs)
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(account)):
            names = named(list(map(str, account)))
            seen.append({names[str(layer)]: fields(r) for layer, r in account.items()})
        return out, account

    monkeypatch.setattr(Counter, "__call__", counted)
    yield
    broken = [(layer, law) for account in seen for layer, law in unlawful(account)]
    assert not broken
    path = GOLDEN / f"{request.module.__name__.rsplit('.', 1)[-1]}.json"
    if seen and os.environ.get("GOLDEN") == "write":
        WRITTEN[str(path)][request.node.name] = seen
    elif seen:
        recorded = json.loads(path.read_text()).get(request.node.name)
        assert same(seen, recorded), (
            f"found {seen}, on record {recorded}; where that is right, GOLDEN=write"
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
    if isinstance(found, list):
        return len(found) == len(recorded) and all(map(same, found, recorded))
    other_draws = jax.config.jax_enable_x64  # random numbers of 64 bits: the same fields alone
    return other_draws or found == pytest.approx(recorded, rel=1e-6, nan_ok=True)


def pytest_sessionfinish() -> None:
    """What a run with GOLDEN=write has seen replaces the files of its tests."""
    for path, tests in WRITTEN.items():
        lines = (f"{json.dumps(name)}: {json.dumps(tests[name])}" for name in sorted(tests))
        pathlib.Path(path).write_text("{\n" + ",\n".join(lines) + "\n}\n")
