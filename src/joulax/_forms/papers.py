"""A table for papers: Markdown, and LaTeX with one unit a column."""

from typing import Any

from . import units
from .table import ENERGY, GROUP, TOTAL, Column, Row, Table, Value, cell, plain

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\|*<`"} | {"\n": " "})
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "[": "{[}",
        "]": "{]}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "µ": r"\textmu{}",
        "–": "--",
        "−": "$-$",
        "±": r"$\pm$",
        "≥": r"$\geq$",
        "×": r"$\times$",
        "÷": r"$\div$",
        "→": r"$\rightarrow$",
        "·": r"$\cdot$",
        "\n": " ",
    }
)


def markdown_of(table: Table) -> str:
    """A Markdown table; numbers flush right, sums in bold."""
    line = lambda cells: "| " + " | ".join(cells) + " |"
    rule = "|" + "|".join("---" if c.text else "---:" for c in table.columns) + "|"
    rows = []
    for row, texts in zip(table.rows, table.texts(), strict=True):
        safe = [t.translate(_MARKDOWN) for t in texts]
        if row.role == GROUP:
            safe = [f"**{safe[0]}**"] + [""] * (len(safe) - 1)
        elif row.role == TOTAL:
            safe = [f"**{t}**" if t else "" for t in safe]
        rows.append(line(safe))
    heads = line([c.title.translate(_MARKDOWN) for c in table.columns])
    return "\n".join([heads, rule, *rows])


def latex_of(table: Table, caption: str, label: str | None) -> str:
    """A `table` for `booktabs`: one unit a column, stated in its head."""
    scales = [_scale(table, i) for i in range(len(table.columns))]
    heads = [
        c.title.translate(_LATEX) + (rf" [{u.translate(_LATEX)}]" if u else "")
        for c, (_, u) in zip(table.columns, scales, strict=True)
    ]
    body = [_latex_row(table, row, [s for s, _ in scales]) for row in table.rows]
    form = "".join("l" if c.text else "r" for c in table.columns)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption.translate(_LATEX)}}}",
            *([rf"\label{{{label}}}"] if label else []),
            rf"\begin{{tabular}}{{{form}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _latex_row(table: Table, row: Row, scales: list[float]) -> str:
    """A row; the name of a group is as wide as the table, and a rule stands above a sum."""
    if row.role == GROUP:
        words = str(row.cells[0]).translate(_LATEX)
        return rf"\multicolumn{{{len(scales)}}}{{l}}{{\emph{{{words}}}}} \\"
    cells = zip(row.cells, table.columns, scales, strict=True)
    line = " & ".join(_cell(v, c, s, table.partial) for v, c, s in cells) + r" \\"
    return f"\\midrule\n{line}" if row.role == TOTAL else line


def _scale(table: Table, i: int) -> tuple[float, str]:
    """The unit of a column: what its largest known energy fills."""
    if table.columns[i].kind != ENERGY:
        return 1.0, ""
    cells = [r.cells[i] for r in table.rows if r.role != GROUP]
    known = [abs(x) for c in cells if _known(x := plain(c))]
    return units.prefix(max(known, default=0.0))


def _known(number: Any) -> bool:
    return isinstance(number, float | int) and number == number


def _cell(value: Any, column: Column, scale: float, partial: bool) -> str:
    number = plain(value)
    if column.kind != ENERGY or not _known(number):
        return cell(value, column, partial).translate(_LATEX)
    text = units.digits(number / scale)
    if isinstance(value, Value) and value.std is not None:
        text = units.spread(number / scale, value.std / scale)
    elif isinstance(value, Value) and value.low is not None and value.high is not None:
        text += f" ({units.digits(value.low / scale)}–{units.digits(value.high / scale)})"
    return (("≥ " if partial else "") + text).translate(_LATEX)
