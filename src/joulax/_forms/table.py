"""A table: columns with a kind, rows with a role, values that may be unknown."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import units

ENERGY, COUNT, RATE, SHARE, TEXT = "energy", "count", "rate", "share", "text"
NUMBER, FIGURE = "number", "figure"  # three significant digits, six
TOTAL, DIM, GROUP = "total", "dim", "group"

_FORMATS: dict[str, Callable[[float], str]] = {
    ENERGY: units.joules,
    COUNT: units.number,
    RATE: units.plain,
    SHARE: units.share,
    NUMBER: units.plain,
    FIGURE: units.figure,
}


@dataclass(frozen=True)
class Value:
    """A number with its spread over samples, or the ends of its range."""

    value: float
    std: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Column:
    """One column: its key in files, its title for people, what its numbers are.

    `spare`: left out first where a terminal is narrow.
    """

    key: str
    title: str
    kind: str = TEXT
    spare: bool = False

    @property
    def text(self) -> bool:
        """Whether it holds words: set flush left, and wrapped where space is short."""
        return self.kind == TEXT


@dataclass(frozen=True)
class Row:
    """Cells in the order of the columns.

    A cell is a number, a [`Value`][], words, `None` (cannot occur, or excluded: `–`) or NaN
    (unknown: `n/a`).
    """

    cells: tuple[Any, ...]
    role: str = ""


@dataclass(frozen=True)
class Table:
    """Columns and rows; `partial`: energies and counts are lower bounds, and say `≥`."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    title: str = ""
    partial: bool = False

    def texts(self) -> list[list[str]]:
        """Every cell in words, row by row."""
        return [
            [cell(c, column, self.partial) for c, column in zip(r.cells, self.columns, strict=True)]
            for r in self.rows
        ]

    def without_empty(self) -> "Table":
        """Without the columns in which nothing stands."""
        used = [
            i
            for i in range(len(self.columns))
            if i == 0 or any(not _empty(r.cells[i]) for r in self.rows)
        ]
        return self.only(used)

    def only(self, used: Sequence[int]) -> "Table":
        """Some of the columns."""
        pick = lambda cells: tuple(cells[i] for i in used)
        rows = tuple(replace(r, cells=pick(r.cells)) for r in self.rows)
        return replace(self, columns=pick(self.columns), rows=rows)


def table(columns: Sequence[Column], rows: Sequence[Row], **more: Any) -> Table:
    """A table without its empty columns."""
    return Table(tuple(columns), tuple(rows), **more).without_empty()


def cell(value: Any, column: Column, partial: bool = False) -> str:
    """A cell in words."""
    if value is None:
        return units.NOTHING
    if isinstance(value, str):
        return value
    if units.is_abstract(value):
        return units.shape(value)
    mark = "≥ " if partial and column.kind in (ENERGY, COUNT) else ""
    if isinstance(value, Value):
        return mark + _spread(value, column)
    return mark + _FORMATS.get(column.kind, str)(value)


def _spread(value: Value, column: Column) -> str:
    if value.std is not None:
        return units.with_spread(value.value, value.std)
    if value.low is not None and value.high is not None and value.value == value.value:
        return units.with_range(value.value, value.low, value.high)
    return _FORMATS[column.kind](value.value)


def plain(value: Any) -> Any:
    """The number of a cell, for files: `None` where there is none."""
    if isinstance(value, Value):
        return value.value
    return None if isinstance(value, str) and not value else value


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in ("", units.NOTHING))


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """The same names, where equal ones follow each other as `a`, `a (2)`, `a (3)`."""
    taken, made = set(names), []
    seen: set[str] = set()
    for name in names:
        tries = (f"{name} ({k})" for k in itertools.count(2))
        new = name if name not in seen else next(t for t in tries if t not in taken)
        seen.add(new)
        taken.add(new)
        made.append(new)
    return tuple(made)
