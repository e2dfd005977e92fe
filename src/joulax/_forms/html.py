"""A table as HTML: the colours of the page, words that wrap, numbers that do not."""

from html import escape
from typing import Any

from .table import DIM, GROUP, TOTAL, Row, Table

_LONG = 30  # characters
_STYLE = """<style>
.joulax {overflow-x: auto; max-width: 100%; line-height: 1.35}
.joulax table {border-collapse: collapse; margin: .4em 0; display: table; width: auto}
.joulax table :is(th, td) {padding: .2em .7em; border: 0; background: none; color: inherit;
  text-align: right; vertical-align: top; white-space: nowrap; min-width: 0}
.joulax table :is(th, td).words {text-align: left; max-width: 32em}
.joulax table td.long {white-space: normal; min-width: 12em}
.joulax thead th {border-bottom: 1px solid currentColor}
.joulax tr.total td {border-top: 1px solid currentColor; font-weight: 600}
.joulax tr.dim td {opacity: .6}
.joulax tr.group td {text-align: left; font-weight: 600; padding-top: .7em}
.joulax p {margin: .15em 0; max-width: 60em} .joulax p.note {font-size: .9em; opacity: .85}
</style>"""


def html_of(parts: list[Any]) -> str:
    """Tables and paragraphs in one block; the first paragraph is the heading."""
    body = []
    for i, part in enumerate(parts):
        if isinstance(part, Table):
            body.append(_table(part))
        else:
            body.append(
                f"<p>{_strong(part)}</p>" if i == 0 else f'<p class="note">{_text(part)}</p>'
            )
    return f'<div class="joulax">{_STYLE}{"".join(body)}</div>'


def _strong(text: str) -> str:
    return f"<strong>{_text(text)}</strong>"


def _text(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _table(table: Table) -> str:
    words = [c.text for c in table.columns]
    head = "".join(f"<th{_class(c.text)}>{_text(c.title)}</th>" for c in table.columns)
    rows = "".join(
        _row(r, texts, words) for r, texts in zip(table.rows, table.texts(), strict=True)
    )
    title = f"<p>{_strong(table.title)}</p>" if table.title else ""
    return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _class(words: bool, text: str = "") -> str:
    """Words flush left; only long ones wrap."""
    return f' class="words{" long" if len(text) > _LONG else ""}"' if words else ""


def _row(row: Row, texts: list[str], words: list[bool]) -> str:
    if row.role == GROUP:
        return f'<tr class="group"><td colspan="{len(words)}">{_text(texts[0])}</td></tr>'
    cells = "".join(f"<td{_class(w, t)}>{_text(t)}</td>" for t, w in zip(texts, words, strict=True))
    role = f' class="{row.role}"' if row.role in (TOTAL, DIM) else ""
    return f"<tr{role}>{cells}</tr>"
