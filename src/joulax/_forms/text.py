"""A table as text: as wide as it needs in a file, folded into the width of a terminal."""

import textwrap
from typing import Any

from .table import GROUP, TOTAL, Column, Table

_GAP = "  "
_LINE = 88  # characters of a sentence in a file or pipe
_NARROW = 14  # columns of words are folded no further


def lines_of(parts: list[Any], width: int | None) -> list[tuple[str, str]]:
    """Lines with the role of the row that they show."""
    found: list[tuple[str, str]] = []
    for part in parts:
        if isinstance(part, Table):
            found += [("", "")] if found and found[-1][0] else []
            found += [*_table(part, width), ("", "")]
        else:
            found += [(line, "") for line in _paragraph(part, width)]
    return found[:-1] if found and not found[-1][0] else found


def _paragraph(text: str, width: int | None) -> list[str]:
    return [
        line
        for piece in text.splitlines()
        for line in textwrap.wrap(piece, width or _LINE, subsequent_indent="  ") or [""]
    ]


def _table(table: Table, width: int | None) -> list[tuple[str, str]]:
    widths = _widths(table)
    blocks, left_out = [list(range(len(widths)))], []
    if width is not None:
        table, left_out = _spared(table, width)
        widths = _folded(_widths(table), table.columns, width)
        blocks = _blocks(widths, width)
    texts = table.texts()
    found = [(table.title, "")] if table.title else []
    for k, block in enumerate(blocks):
        found += [("", "")] if k else []
        found += _block(table, texts, block, widths)
    if left_out:
        found += [(f"(no room here for: {', '.join(left_out)})", "")]
    return found


def _widths(table: Table) -> list[int]:
    heads = [c.title for c in table.columns]
    rows = zip(table.rows, table.texts(), strict=True)
    free = [texts for row, texts in rows if row.role != GROUP]
    return [max(map(len, column)) for column in zip(heads, *free, strict=True)]


def _room(widths: list[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _spared(table: Table, width: int) -> tuple[Table, list[str]]:
    """The table without what it can spare, if it is too wide."""
    if _room(_widths(table)) <= width:
        return table, []
    used = [i for i, c in enumerate(table.columns) if not c.spare]
    return table.only(used), [c.title for c in table.columns if c.spare]


def _folded(widths: list[int], columns: tuple[Column, ...], width: int) -> list[int]:
    """Columns of words give way, the widest first."""
    widths = list(widths)
    while _room(widths) > width:
        wide = [i for i, c in enumerate(columns) if c.text and widths[i] > _NARROW]
        if not wide:
            break
        widths[max(wide, key=lambda i: widths[i])] -= 1
    return widths


def _blocks(widths: list[int], width: int) -> list[list[int]]:
    """Columns that stand beside each other; every block begins with the first column."""
    blocks, room = [[0]], width - widths[0]
    for i in range(1, len(widths)):
        need = widths[i] + len(_GAP)
        if need > room and len(blocks[-1]) > 1:
            blocks.append([0])
            room = width - widths[0]
        blocks[-1].append(i)
        room -= need
    return blocks


def _block(
    table: Table, texts: list[list[str]], block: list[int], widths: list[int]
) -> list[tuple[str, str]]:
    wide, left = [widths[i] for i in block], [table.columns[i].text for i in block]
    rule = "─" * _room(wide)
    row = lambda cells: _lines([cells[i] for i in block], wide, left)
    found = [(line, "") for line in row([c.title for c in table.columns])] + [(rule, "")]
    for r, cells in zip(table.rows, texts, strict=True):
        if r.role == GROUP:
            found += [("", ""), (cells[0], GROUP)]
            continue
        found += [(rule, "")] if r.role == TOTAL else []
        found += [(line, r.role) for line in row(cells)]
    return found


def _lines(cells: list[str], widths: list[int], left: list[bool]) -> list[str]:
    """One row, as many lines high as its tallest cell."""
    folded = [_fold(c, w) for c, w in zip(cells, widths, strict=True)]
    lines = []
    for k in range(max(map(len, folded))):
        pieces = [f[k] if k < len(f) else "" for f in folded]
        lines.append(
            _GAP.join(
                p.ljust(w) if flush else p.rjust(w)
                for p, w, flush in zip(pieces, widths, left, strict=True)
            ).rstrip()
        )
    return lines


def _fold(text: str, width: int) -> list[str]:
    return [text] if len(text) <= width else textwrap.wrap(text, width) or [""]
