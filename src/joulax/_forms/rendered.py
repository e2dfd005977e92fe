"""What everything that prints itself shares: one description, every form."""

import csv
import io
import json
from typing import Any

from .._version import __version__
from .html import html_of
from .papers import latex_of, markdown_of
from .stored import pack
from .table import DIM, GROUP, TOTAL, Column, Row, Table, plain
from .text import lines_of


class Rendered:
    """Something that says in `parts` what it shows, and so has every form.

    A terminal, a notebook, Markdown, LaTeX, CSV, pandas and JSON.
    """

    _bounded = False  # whether its numbers may be lower bounds

    def parts(self) -> list[Any]:
        """Tables and paragraphs, in order."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return html_of(_parts(self))

    def __rich_console__(self, console: Any, options: Any):
        """Lines for rich, in its width; what counts less is dim."""
        from rich.text import Text

        styles = {DIM: "dim", TOTAL: "bold", GROUP: "bold"}
        for line, role in lines_of(_parts(self), options.max_width):
            yield Text(line, style=styles.get(role, ""))

    def to_text(self, width: int | None = None) -> str:
        """Plain text.

        **Arguments:**

        - `width`: in characters; that of the terminal by default, none in a file or pipe.
        """
        lines = lines_of(_parts(self), _width() if width is None else width)
        return "\n".join(line for line, _ in lines)

    def to_markdown(self) -> str:
        """The tables in Markdown, numbers with their units, and what must be said beneath."""
        return "\n\n".join(map(_markdown, _parts(self)))

    def to_latex(self, *, caption: str | None = None, label: str | None = None) -> str:
        r"""The tables in LaTeX for `booktabs`, one unit a column.

        **Arguments:**

        - `caption`: by default what must be known to read the numbers.
        - `label`: for `\ref`.
        """
        said = self._caption() if caption is None else caption
        tables = [p for p in _parts(self) if isinstance(p, Table)]
        return "\n\n".join(latex_of(t, said, label) for t in tables)

    def _caption(self) -> str:
        said = (p for p in _parts(self) if isinstance(p, str))
        return " ".join(p[:1].upper() + p[1:].rstrip(".") + "." for p in said)

    def records(self) -> list[dict[str, Any]]:
        """One dictionary of plain values a row, by the keys of the columns."""
        return [
            {c.key: plain(v) for c, v in zip(t.columns, r.cells, strict=True)}
            | self._marks(t.partial)
            for t in _parts(self)
            if isinstance(t, Table)
            for r in t.rows
            if r.role != GROUP
        ]

    def _marks(self, partial: bool) -> dict[str, Any]:
        """What every row says of the numbers in it."""
        return {"bound": "≥" if partial else "="} if self._bounded else {}

    def to_csv(self) -> str:
        """The records as comma-separated values; unknown numbers are empty."""
        rows = self.records()
        keys = list(dict.fromkeys(k for r in rows for k in r))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(keys)
        for r in rows:
            writer.writerow(["" if (v := r.get(k)) is None or v != v else v for k in keys])
        return text.getvalue()

    def to_pandas(self) -> Any:
        """The records as a `pandas.DataFrame`, indexed by what names a row.

        **Raises:**

        `ImportError` with the install command, if pandas is missing.
        """
        pd = pandas()
        rows = self.records()
        frame = pd.DataFrame.from_records(rows)
        names = self._index(list(frame.columns))
        return frame.set_index(names) if names else frame

    def _index(self, columns: list[str]) -> list[str]:
        return columns[:1]

    def to_json(self) -> str:
        """Everything in JSON: `records` and `notes` for people, `data` for [`joulax.load`][]."""
        clean = lambda v: None if isinstance(v, float) and v != v else v
        return json.dumps(
            {
                "joulax": __version__,
                "kind": type(self).__name__,
                "unit": "pJ",
                "records": [{k: clean(v) for k, v in r.items()} for r in self.records()],
                "notes": [p for p in _parts(self) if isinstance(p, str)],
                "data": pack(self),
            },
            allow_nan=False,
            default=float,
        )


def _markdown(part: Any) -> str:
    if not isinstance(part, Table):
        return part
    return (f"**{part.title}**\n\n" if part.title else "") + markdown_of(part)


def _parts(shown: Rendered) -> list[Any]:
    return [p if isinstance(p, str | Table) else _from_rich(p) for p in shown.parts()]


def _from_rich(table: Any) -> Table:
    """A table of rich, word by word."""
    columns = [
        Column(str(c.header), str(c.header), "text" if c.justify == "left" else "number")
        for c in table.columns
    ]
    cells = zip(*(map(str, c.cells) for c in table.columns), strict=True)
    ends = [False, *(row.end_section for row in table.rows)]
    rows = (Row(tuple(r), TOTAL if end else "") for r, end in zip(cells, ends, strict=False))
    return Table(tuple(columns), tuple(rows), str(table.title or ""))


def _width() -> int | None:
    """Columns of the terminal that is written to, if it is one."""
    import shutil
    import sys

    interactive = getattr(sys.stdout, "isatty", lambda: False)()
    return shutil.get_terminal_size().columns if interactive else None


def pandas() -> Any:
    """The pandas module, or an error with the install command."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError('this needs pandas: pip install "joulax[pandas]"') from error
    return pandas
