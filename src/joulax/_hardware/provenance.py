"""Whose numbers a chip has: a citation belongs to a price, not to a name."""

import dataclasses
import functools
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from jax.core import Tracer

from .catalogue import named, own_bibtex, sheet_of
from .chip import ABSENT, Chip, Hardware
from .datasheet import CHECKED, VERIFIED, Datasheet, Quantity
from .numbers import SHARES

TAG, LOW, HIGH, SAMPLED = "#", "low", "high", "sampled"  # numbers moved within a sheet's ranges


@dataclass(frozen=True)
class Change:
    """A number that differs from the sheet that it is compared with.

    **Attributes:**

    - `number`: its name, like `"ac"`.
    - `value`: what is charged; `None` where the number was taken away.
    - `published`: what the sheet says; `None` where it says nothing.
    - `unit`: pJ, pW, or nothing for a share.
    """

    number: str
    value: float | None
    published: float | None
    unit: str

    def __str__(self) -> str:
        said = "none" if self.published is None else f"{self.published:g}"
        given = "none" if self.value is None else f"{self.value:g} {self.unit}".rstrip()
        return f"{self.number.replace('_', ' ')} {given} (sheet {said})"


@dataclass(frozen=True)
class Provenance:
    """Whose numbers one chip has.

    **Attributes:**

    - `chip`: its name.
    - `sheet`: the datasheet that its numbers are compared with; `None` for a chip of one's own.
    - `cited`: the numbers that are the sheet's, with their sources and ranges.
    - `changes`: the numbers that are not.
    - `wraps`: whether this is the chip inside a model that adds terms of its own.
    """

    chip: str
    sheet: Datasheet | None
    cited: dict[str, Quantity]
    changes: tuple[Change, ...]
    wraps: bool = False

    @property
    def changed(self) -> str:
        """The changes in words, or nothing."""
        return f"changed by the user: {', '.join(map(str, self.changes))}" if self.changes else ""

    @property
    def verified(self) -> str:
        """How each cited number was checked, in words."""
        groups: dict[str, list[str]] = {}
        for number, q in self.cited.items():
            groups.setdefault(q.verified, []).append(number.replace("_", " "))
        return "; ".join(
            f"{', '.join(groups[v])} {CHECKED[v]}" for v in reversed(VERIFIED) if v in groups
        )

    @property
    def evidence(self) -> str:
        """Grade of the weakest number, or whose it is."""
        if self.sheet is None or not self.cited:
            return "given by the user"
        return dataclasses.replace(self.sheet, **_only(self.sheet, self.cited)).evidence

    @property
    def sources(self) -> tuple[str, ...]:
        """Keys of the bibliography behind the cited numbers."""
        return tuple(dict.fromkeys(q.source for q in self.cited.values()))


def _only(sheet: Datasheet, cited: dict[str, Quantity]) -> dict[str, Any]:
    costs = {op: q for op, q in sheet.costs.items() if op in cited}
    powers = {
        field: None
        for field, name in (
            ("static_power", "static_power"),
            ("busy_power", "static_power"),
            ("call", "call"),
        )
        if name not in cited
    }
    return {"costs": costs, **powers}


def provenance(hardware: str | Hardware) -> tuple[Provenance, ...]:
    """Whose numbers a chip or every chip of a stack has; outside of traces.

    **Arguments:**

    - `hardware`: a name of the catalogue, a chip, a stack, or a model around one.

    **Returns:**

    One [`joulax.Provenance`][] a chip. A number counts as the sheet's if it equals it to six
    digits.
    """
    chip: Hardware = named(hardware)
    base, names = base_chip(chip), chip.chips
    if base is None:
        return tuple(Provenance(name, None, {}, ()) for name in names)
    sheets = base.sheet if isinstance(base.sheet, tuple) else (base.sheet,) * len(names)
    inner = base.chips if len(base.chips) == len(names) else names
    tagged = [(sheet or called).partition(TAG) for sheet, called in zip(sheets, inner, strict=True)]
    return tuple(
        _one(name, (sheet_of(sheet), end), base, i, base is not chip)
        for i, (name, (sheet, _, end)) in enumerate(zip(names, tagged, strict=True))
    )


def base_chip(hardware: Hardware) -> Chip | None:
    """The chip with a price list inside a model, or the chip itself."""
    found: Any = hardware
    while found is not None and not isinstance(found, Chip):
        found = getattr(found, "chip", None)
    return found


def cited_by_one(hardware: Hardware) -> Provenance | None:
    """Whose numbers a single chip has, if a sheet is behind it; all of a stack must be that chip.

    Shapes with leading axes (a result that was mapped over samples) are one chip too.
    """
    found = provenance(hardware)
    one = found[0]
    same = all(p.sheet is one.sheet and p.changes == one.changes for p in found)
    return one if one.sheet is not None and same else None


def _one(
    name: str, of: tuple[Datasheet | None, str], base: Chip, i: int, wraps: bool
) -> Provenance:
    sheet, end = of
    if sheet is None or not sheet.priced:
        return Provenance(name, None, {}, (), wraps)
    cited, changes = {}, []
    for number, published, quantity in _numbers(sheet, end):
        found = _charged(base, number, i, published)
        drawn = end == SAMPLED and quantity is not None and quantity.has_range
        if not drawn and not _same(found, published):
            changes.append(Change(number, found, published, _unit(number, quantity)))
        elif quantity is not None:
            cited[number] = quantity
    return Provenance(name, sheet, cited, tuple(changes), wraps)


def _charged(base: Chip, number: str, i: int, published: float | None) -> Any:
    """A number of the chip, or of one chip of a stack, which also writes down what is absent."""
    leaf = getattr(base.costs if hasattr(base.costs, number) else base, number)
    if len(base.chips) == 1:
        return _value(leaf, None, 1)
    found = _value(leaf, i, len(base.chips))
    return None if published is None and found == ABSENT.get(number) else found


def _unit(number: str, quantity: Quantity | None) -> str:
    if quantity is not None:
        return quantity.unit
    return "" if number in SHARES else "pJ"


def _numbers(sheet: Datasheet, end: str) -> list[tuple[str, float | None, Quantity | None]]:
    """Every number of a chip, what the sheet says, and where that comes from."""
    free = {op: 0.0 for op in (*sheet.includes, *sheet.excludes)}
    unknown = dict.fromkeys((*sheet.unknown, "neuron_seconds"))
    powers = dict.fromkeys(("static_power", "call", "idle_power"))
    shares = {f: getattr(sheet, f) for f in SHARES}
    at = {LOW: lambda q: q.span[0], HIGH: lambda q: q.span[1]}.get(end, lambda q: q.value)
    priced = {n: at(q) for n, q in sheet.numbers.items()}
    return [
        (n, v, sheet.numbers.get(n)) for n, v in (powers | free | unknown | shares | priced).items()
    ]


def _value(leaf: Any, i: int | None, chips: int) -> Any:
    """A number of one chip; of several samples the first, if they agree."""
    if leaf is None or isinstance(leaf, Tracer):
        return None
    found = np.asarray(leaf, np.float64)
    if i is not None and found.ndim:
        found = np.take(found, i, axis=0 if found.shape[0] == chips else -1)
    value = float(np.ravel(found)[0]) if found.size else None
    if value is None or np.isnan(value):
        return None
    return value if np.all(found == value) else float("nan")


def _same(found: float | None, published: float | None) -> bool:
    if found is None or published is None:
        return found is published
    return bool(np.isclose(found, published, rtol=1e-6, atol=0.0))


@functools.cache
def _bibliography() -> dict[str, str]:
    text = resources.files("joulax").joinpath("data/references.bib").read_text(encoding="utf-8")
    return _entries(text)


def _entries(text: str) -> dict[str, str]:
    """Entries of BibTeX by key; an entry begins with @ at the start of a line."""
    found: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith("@") and "{" in line:
            key = line.split("{", 1)[1].split(",", 1)[0].strip()
            found[key] = line
        elif key and line.strip() and not line.startswith("%"):
            found[key] += f"\n{line}"
    return found


def reference(key: str) -> str:
    """Bibliography entry of a source, in BibTeX.

    **Raises:**

    `KeyError` for a key that neither the catalogue nor a registered sheet brought.
    """
    entries = _bibliography() | _entries(own_bibtex())
    if key not in entries:
        raise KeyError(f"no source {key!r} in the bibliography")
    return entries[key]


def bibtex(*hardware: Hardware) -> str:
    """Bibliography entries behind the numbers of chips, in BibTeX.

    Numbers that were changed cite nothing; a source without an entry is noted as such.

    **Arguments:**

    - `hardware`: chips or stacks; [`joulax.energy`][] keeps its own in `result.hardware`.
    """
    keys = dict.fromkeys(source for h in hardware for p in provenance(h) for source in p.sources)
    known = _bibliography() | _entries(own_bibtex())
    plain = lambda key: "".join(c if c.isalnum() or c in "-_:" else "-" for c in key)
    return "\n".join(
        known.get(key) or f"@misc{{{plain(key)}, note={{{key}: a source of the user's own}}}}"
        for key in keys
        if key != "user"
    )
