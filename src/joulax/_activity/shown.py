"""An account as a table: what a network did, without any chip."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._forms.table import COUNT, RATE, SHARE, TOTAL, Column, Row, Table, table, unique
from .._forms.units import is_abstract

COUNTS = ("ac", "mac", "dense", "spikes", "updates", "neurons", "synapses")
MEASURED = (*COUNTS, "ac_graded")  # with what other columns are made of
_SIZES = ("neurons", "synapses")


def kept_axes(records: Mapping[str, Any], convention: Any) -> int:
    """Trailing axes that `count` kept, steps or neurons: they are summed, never averaged."""
    if convention is None or convention.total or not records:
        return 0
    record = next(iter(records.values()))
    size = record.synapses if record.synapses is not None else record.neurons
    found = [c for c in (record.ac, record.mac, record.spikes) if c is not None]
    return max(0, np.ndim(found[0]) - np.ndim(size)) if found else 0


def count_of(did: Any, field: str, kept: int = 0) -> Any:
    """One count of a layer, averaged over samples; an array while tracing."""
    parts = [did.dense_ac, did.dense_mac] if field == "dense" else [getattr(did, field)]
    there = [p for p in parts if p is not None]
    if not there:
        return None
    if any(map(is_abstract, there)):
        return there[0]
    return sum(_mean(p, 0 if field in _SIZES else kept) for p in there)


def _mean(x: Any, kept: int) -> float:
    a = np.asarray(x, np.float64)
    last = tuple(range(max(0, a.ndim - kept), a.ndim))
    return float(a.sum(axis=last).mean()) if a.size else float("nan")


def samples_of(records: Mapping[str, Any], kept: int) -> int:
    """How many samples the counts are averaged over."""
    shapes = [
        np.shape(v)[: max(0, np.ndim(v) - kept)]
        for r in records.values()
        for f in ("ac", "mac", "spikes", "updates")
        if (v := getattr(r, f)) is not None
    ]
    return max((int(np.prod(s)) for s in shapes), default=1)


def account_parts(records: Mapping[str, Any], convention: Any = None) -> list[Any]:
    """The table of an account, and what must be said of it."""
    kept = kept_axes(records, convention)
    did = [{f: count_of(r, f, kept) for f in MEASURED} for r in records.values()]
    partial = convention is not None and convention.partial
    rows = [Row((n, *_cells(d))) for n, d in zip(unique(list(records)), did, strict=True)]
    if len(rows) > 1 and not any(is_abstract(v) for d in did for v in d.values()):
        rows.append(Row(("total", *_cells(_sum(did), total=True)), TOTAL))
    samples = samples_of(records, kept)
    head = f"mean of {samples} samples" if samples > 1 else "one call"
    return [
        f"Account of {len(records)} layer{'s' * (len(records) != 1)}, {head}",
        _table(rows, partial),
        *_notes(convention),
    ]


def _table(rows: list[Row], partial: bool) -> Table:
    columns = [
        Column("layer", "layer"),
        *(Column(f, f, COUNT) for f in ("ac", "mac", "dense")),
        Column("sparsity", "sparsity", SHARE),
        Column("spikes", "spikes", COUNT),
        Column("rate", "rate", RATE),
        *(Column(f, f, COUNT) for f in ("updates", "neurons", "synapses")),
    ]
    return table(columns, rows, partial=partial)


def _cells(did: dict[str, Any], total: bool = False) -> tuple[Any, ...]:
    abstract = any(map(is_abstract, did.values()))
    sparsity, rate = ("", "") if abstract else (_sparsity(did), "" if total else _rate(did))
    first, rest = (did["ac"], did["mac"], did["dense"]), ("updates", "neurons", "synapses")
    return (*first, sparsity, did["spikes"], rate, *(did[f] for f in rest))


def _sparsity(did: dict[str, Any]) -> float | None:
    """Share of the dense operations that did not occur; an input of several events is one."""
    ac = did["ac"] if did.get("ac_graded") is None else did["ac_graded"]
    return 1 - ((ac or 0.0) + (did["mac"] or 0.0)) / did["dense"] if did["dense"] else None


def _rate(did: dict[str, Any]) -> float | None:
    """Spikes per neuron and time step, where there are neurons that fire."""
    fires = did["spikes"] is not None and did["updates"]
    return did["spikes"] / did["updates"] if fires else None


def _sum(did: list[dict[str, Any]]) -> dict[str, Any]:
    def over(field: str) -> Any:
        there = [d[field] for d in did if d[field] is not None]
        return sum(there) if there else None

    return {f: over(f) for f in MEASURED}


def _notes(convention: Any) -> list[str]:
    if convention is None:
        return []
    notes = []
    if convention.options:
        said = ", ".join(f"{k}={v}" for k, v in convention.options)
        notes.append(f"counted with {said}")
    if convention.partial:
        notes.append(f"≥: synapses that stand in no record: {'; '.join(convention.lost)}")
    if convention.uncounted:
        notes.append(
            f"coverage {100 * convention.coverage:.0f} %, not counted: "
            f"{'; '.join(convention.uncounted)}"
        )
    return notes
