"""A datasheet as a table of TOML."""

import json
from typing import Any

from .scopes import LISTS, by_scope

POWERS = ("static_power", "busy_power", "idle_power")
TEXTS = (
    *("title", "kind", "scope", "vendor", "default_of", "measures", "constants_of", "note"),
    "bibtex",
)
SHARES = ("skips_spikes", "skips_zeros", "graded", "accumulates")
NUMBERS = {"hops": "routers", "batches": "samples", "depth": "layers", "process_nm": "nm"}


def to_toml(sheet: Any) -> str:
    """A sheet as a table of TOML, which `parse` reads back to the same sheet."""
    head = _text(sheet.name)
    lines = [f"[{head}]", *_words(sheet), *_lists(sheet)]
    for table in ("costs", "facts"):
        for what, q in getattr(sheet, table).items():
            lines += ["", f"[{head}.{table}.{_text(what)}]", *_lines(q)]
    for what in (*POWERS, "call"):
        if (q := getattr(sheet, what)) is not None:
            lines += ["", f"[{head}.{what}]", *_lines(q)]
    return "\n".join(lines) + "\n"


def _words(sheet: Any) -> list[str]:
    found = {key: getattr(sheet, key) for key in (*TEXTS, *SHARES, *NUMBERS)}
    empty = {"graded": 0}
    return [
        f"{key} = {_text(value) if isinstance(value, str) else repr(value)}"
        for key, value in found.items()
        if value not in (None, "", empty.get(key))
    ]


def _lists(sheet: Any) -> list[str]:
    """What a scope does not say by itself."""
    automatic = by_scope(sheet.scope, sheet.costs, dict.fromkeys(LISTS, ()))
    named = {key: [op for op in getattr(sheet, key) if op not in automatic[key]] for key in LISTS}
    return [f"{key} = [{', '.join(map(_text, ops))}]" for key, ops in named.items() if ops]


def _lines(q: Any) -> list[str]:
    found = ((key, getattr(q, key)) for key in type(q).__dataclass_fields__)
    return [
        f"{key} = {_text(v) if isinstance(v, str) else repr(float(v))}"
        for key, v in found
        if v is not None
    ]


def _text(value: str) -> str:
    """A basic string of TOML, whose escapes are those of JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
