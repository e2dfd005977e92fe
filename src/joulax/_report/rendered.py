"""Text from rich: what reports and explanations share."""

import io
from typing import Any

from rich.console import Console
from rich.text import Text


class Rendered:
    """Something made of rich parts that prints in a terminal, in a notebook, and as a string."""

    def parts(self) -> list[Any]:
        """Tables and lines of text, in order."""
        raise NotImplementedError

    def __str__(self) -> str:
        text = io.StringIO()
        self.__rich_console_print(Console(file=text, width=self._width(), color_system=None))
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def _repr_html_(self) -> str:
        console = Console(file=io.StringIO(), width=self._width(), record=True)
        self.__rich_console_print(console)
        return console.export_html(
            inline_styles=True, code_format="<pre style='line-height:1.2'>{code}</pre>"
        )

    def __rich_console_print(self, console: Console) -> None:
        for part in self.parts():
            console.print(
                Text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str)
            )

    def _width(self) -> int:
        console = Console()
        return console.width if console.is_terminal else 140


def pandas() -> Any:
    """The pandas module, or an error with the install command."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError('this needs pandas: pip install "joulax[pandas]"') from error
    return pandas


_PREFIXES = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ"))


def joules(pj: float) -> str:
    """Picojoules with three significant digits and a prefix; `n/a` where a price is unknown."""
    if pj != pj:
        return "n/a"
    scale, unit = next(((s, u) for s, u in _PREFIXES if abs(pj) >= s), _PREFIXES[-1])
    return f"{_digits(pj / scale)} {unit}"


def with_range(pj: float, low: float, high: float) -> str:
    """A value with the ends of its range, in one unit and two significant digits.

    `2.1 µJ (1.4–3.3)`.
    """
    scale, unit = next(((s, u) for s, u in _PREFIXES if abs(pj) >= s), _PREFIXES[-1])
    value, bottom, top = (f"{float(f'{x / scale:.1e}'):g}" for x in (pj, low, high))
    return f"{value} {unit} ({bottom}–{top})"


def number(x: float) -> str:
    """A count with three significant digits, and a suffix above ten thousand."""
    for scale, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(x) >= scale:
            return f"{_digits(x / (scale if suffix != 'k' else 1e3))} {suffix}"
    return f"{_digits(x)}"


def _digits(x: float) -> str:
    if x == 0 or x == int(x) and abs(x) < 1e4:
        return f"{x:g}"
    return (
        f"{x:.0f}"
        if abs(x) >= 100
        else f"{x:.1f}"
        if abs(x) >= 10
        else f"{x:.2f}"
        if abs(x) >= 0.1
        else f"{x:.2g}"
    )
