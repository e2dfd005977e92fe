"""Hardware, datasheets, the catalogue and results as tables."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from .._forms.printed import short
from .._forms.rendered import Rendered
from .._forms.table import DIM, ENERGY, GROUP, NUMBER, TOTAL, Column, Row, Table, table, unique
from .._forms.units import is_abstract, joules, prefix
from .figures import figures
from .numbers import SHARES
from .operations import OPERATIONS

CHECKED = {
    "read": "read",
    "second-hand": "second-hand",
    "derived": "calculated",
    "unverified": "from memory",
}
_POWERS = ("static_power", "idle_power")


def hardware_parts(hardware: Any) -> list[Any]:
    """Prices, powers and shares of a chip, or of every chip of a stack."""
    names, there = hardware.chips, _there(hardware)
    if any(np.ndim(v) for v in there.values()):
        return _stack(names, there)
    columns = (Column("number", "number"), Column("value", "value", NUMBER), Column("unit", "unit"))
    rows = tuple(Row((_words(k), _number(k, v), _unit(k))) for k, v in there.items())
    missing = [_words(op) for op in OPERATIONS if op not in there and op != "neuron_seconds"]
    said = [f"no price (an error where it occurs): {', '.join(missing)}"] if missing else []
    return [f"{names[0]} ({type(hardware).__name__})", Table(columns, rows), *said]


def _there(hardware: Any) -> dict[str, Any]:
    """The numbers that hardware has, by name."""
    found = {op: getattr(hardware.costs, op) for op in OPERATIONS}
    found |= {f: getattr(hardware, f, None) for f in (*_POWERS, "call", *SHARES)}
    return {k: v for k, v in found.items() if v is not None}


_SHOWN = 60  # chips of a stack


def _stack(names: tuple[str, ...], there: Mapping[str, Any]) -> list[Any]:
    size = next(np.shape(v)[0] for v in there.values() if np.ndim(v))
    known = names if len(names) == size else [f"{names[0]} {i}" for i in range(size)]
    columns = [Column("chip", "chip"), *(Column(k, _words(k), NUMBER) for k in there)]
    rows = [
        Row((name, *(_pick(v, i) for v in there.values())))
        for i, name in enumerate(unique(list(known))[:_SHOWN])
    ]
    more = Row((f"… {size - _SHOWN} more", *[""] * len(there)), DIM)
    return [f"{size} chips", table(columns, rows + [more] * (size > _SHOWN))]


def _pick(value: Any, i: int) -> Any:
    """The number of one chip of a stack."""
    if is_abstract(value) or not np.ndim(value):
        return value
    return float(np.ravel(np.asarray(value[i], np.float64))[0])


def _words(key: str) -> str:
    return key.replace("_", " ")


def _unit(key: str) -> str:
    if key in _POWERS or key == "neuron_seconds":
        return "mW"
    return "" if key in SHARES else "pJ"


def _number(key: str, value: Any) -> Any:
    scale = 1e-9 if _unit(key) == "mW" else 1.0  # pW
    return value if is_abstract(value) else scale * float(np.asarray(value, np.float64))


def sheet_parts(sheet: Any) -> list[Any]:
    """Every number of a sheet, what it contains, and what it leaves out."""
    powers = [(f, getattr(sheet, f)) for f in (*_POWERS, "busy_power", "call")]
    rows = [
        *sheet.costs.items(),
        *((f, q) for f, q in powers if q is not None),
        *sheet.facts.items(),
    ]
    columns = [
        Column("number", "number"),
        Column("value", "value", NUMBER),
        Column("range", "range"),
        Column("unit", "unit"),
        Column("evidence", "evidence"),
        Column("verified", "checked"),
        Column("source", "source"),
        Column("where", "where"),
    ]
    lists = (
        ("includes", sheet.includes),
        ("leaves out", (*sheet.excludes, *sheet.excludes_also)),
        ("unknown", sheet.unknown if sheet.priced else ()),
    )
    return [
        f"{sheet.name}: {sheet.title}",
        f"scope: {sheet.scope}; evidence: {_loud(sheet.evidence)}"
        + ("" if sheet.priced else "; cannot price operations"),
        table(columns, [_quantity(name, q) for name, q in rows]),
        *(f"{word}: {', '.join(map(_words, ops))}" for word, ops in lists if ops),
        *([sheet.note] if sheet.note else []),
    ]


def _loud(evidence: str) -> str:
    return evidence.upper() if evidence == "unsourced" else evidence


def _quantity(name: str, q: Any) -> Row:
    scale, joule = prefix(q.value)
    unit = joule.replace("J", q.unit[-1])
    span = "–".join(f"{end / scale:.4g}" for end in q.span) if q.has_range else ""
    checked = CHECKED.get(q.verified, q.verified)
    source = (q.source, q.where)
    return Row((_words(name), q.value / scale, span, unit, _loud(q.evidence), checked, *source))


class Listing(Rendered, tuple):
    """Names of chips: a tuple that prints as a table, grouped by what a total contains."""

    _sheets: dict[str, Any]

    def __new__(cls, sheets: Mapping[str, Any]):
        """Names in the order of the mapping from names to sheets."""
        made = super().__new__(cls, sheets)
        made._sheets = dict(sheets)
        return made

    def parts(self) -> list[Any]:
        """One line a name, the best founded first."""
        columns = [
            Column("name", "name"),
            Column("title", "what"),
            Column("evidence", "evidence"),
            Column("verified", "checked"),
            Column("duration", "needs"),
        ]
        rows, grades = [], {"unsourced": 1}
        targets = {id(s): n for n, s in self._sheets.items() if "@" not in n}
        shown = {n: s for n, s in self._sheets.items() if targets.get(id(s), n) == n}
        for scope in dict.fromkeys(s.scope for s in shown.values()):
            rows.append(Row((scope, *[""] * (len(columns) - 1)), GROUP))
            group = [(n, s) for n, s in shown.items() if s.scope == scope]
            group.sort(key=lambda item: grades.get(item[1].evidence, 0))
            rows += [_listed(name, sheet) for name, sheet in group]
        return [
            f"{len(shown)} sheets under {len(self)} names; joulax.datasheet(name) says more",
            table(columns, rows),
        ]


def _listed(name: str, sheet: Any) -> Row:
    checked = dict.fromkeys(CHECKED[q.verified] for q in sheet.charged)
    asks = (("duration", sheet.static_power or sheet.busy_power), ("batch", sheet.call))
    needs = ", ".join(what for what, given in asks if given and sheet.priced)
    role = DIM if sheet.evidence == "unsourced" else ""
    return Row((name, sheet.title, _loud(sheet.evidence), ", ".join(checked), needs), role)


def result_parts(result: Any) -> list[Any]:
    """Joules by layer and operation."""
    if any(is_abstract(x) for x in jax.tree.leaves(result)):
        return _abstract(result)
    found = figures(result)
    many = len(found.chips) > 1
    spent = joules(float(found.total.mean())) if not many else f"{len(found.chips)} chips"
    samples = f", mean of {found.samples} samples" if found.samples > 1 else ""
    said = "joulax.report(result) says whose prices these are, and what they leave out"
    partial = result.convention is not None and result.convention.partial
    mark = "≥ " if partial and not many else ""
    body = _by_chip(found, partial) if many else _by_layer(found, partial)
    return [f"Energy on {result.hardware.called}: {mark}{spent}{samples}", body, said]


def _by_layer(found: Any, partial: bool) -> Table:
    columns = [Column("layer", "layer")]
    columns += [Column(op, _words(op), ENERGY) for op in (*found.columns, "total")]
    names = unique([layer.name for layer in found.layers])
    rows = [
        Row(
            (
                name,
                *(
                    float(e[0]) if (e := layer.energies.get(op)) is not None else None
                    for op in found.columns
                ),
                float(layer.total[0]),
            )
        )
        for name, layer in zip(names, found.layers, strict=True)
    ]
    if found.static is not None:
        rows.append(Row(("static power", *[""] * len(found.columns), float(found.static[0]))))
    sums = [float(found.operations[op][0]) for op in found.columns]
    rows.append(Row(("total", *sums, float(found.total.mean())), TOTAL))
    return table(columns, rows, partial=partial)


def _by_chip(found: Any, partial: bool) -> Table:
    columns = [Column("chip", "chip")]
    columns += [Column(op, _words(op), ENERGY) for op in (*found.columns, "static power", "total")]
    static = found.static if found.static is not None else np.zeros(len(found.chips))
    rows = [
        Row(
            (
                chip,
                *(float(found.operations[op][i]) for op in found.columns),
                float(static[i]) or "",
                float(found.total[i].mean()),
            )
        )
        for i, chip in enumerate(unique(list(found.chips)))
    ]
    return table(columns, rows, partial=partial)


def _abstract(result: Any) -> list[Any]:
    columns = (Column("layer", "layer"), Column("total", "total"))
    rows = tuple(Row((name, short(e.total))) for name, e in result.layers.items())
    return [f"Energy on {result.chip}, while tracing", Table(columns, rows)]
