"""Many chips in one table: grouped by scope, sorted by total, what is unsourced last and dim."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._forms.table import DIM, ENERGY, GROUP, Column, Row, Table, Value, table, unique
from .sources import Source


@dataclass(frozen=True)
class Line:
    """One chip: energies by operation [pJ], NaN where unknown; the total with its range."""

    source: Source
    energies: dict[str, float]
    total: Value
    why: str = ""


def chips_table(lines: Sequence[Line], partial: bool = False) -> Table:
    """One line a chip; energies of different scopes do not compare, so they stand apart."""
    operations = list(dict.fromkeys(op for line in lines for op in line.energies))
    columns = [
        Column("chip", "chip"),
        *(Column(op, op.replace("_", " "), ENERGY, spare=True) for op in operations),
        Column("total", "total", ENERGY),
        Column("evidence", "evidence"),
        Column("verified", "checked"),
    ]
    lines = sorted(lines, key=_order)
    names = unique([line.source.chip for line in lines])
    rows = []
    for scope in dict.fromkeys(map(_scope, lines)):
        rows.append(Row((scope, *[""] * (len(columns) - 1)), GROUP))
        rows += [
            _row(line, name, operations)
            for line, name in zip(lines, names, strict=True)
            if _scope(line) == scope
        ]
    return table(columns, rows, partial=partial)


def _scope(line: Line) -> str:
    """What a total contains: only totals of one scope compare."""
    outside = line.source.outside
    return line.source.scope + (f"; leaves out {outside}" if outside else "")


def _order(line: Line) -> tuple[bool, bool, float]:
    total = line.total.value
    return line.source.unsourced, total != total, total if total == total else 0.0


def _row(line: Line, name: str, operations: list[str]) -> Row:
    source = line.source
    cells = [_cell(line.energies.get(op), op in source.excluded) for op in operations]
    checked = source.verified.replace(" in its source", "").replace("quoted ", "")
    role = DIM if source.unsourced else ""
    return Row((name, *cells, line.total, source.evidence, checked), role)


def _cell(energy: float | None, excluded: bool) -> Any:
    """Nothing where an operation costs nothing by itself, a dash where it was left out."""
    return energy if energy else None if excluded else ""
