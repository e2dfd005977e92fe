"""The catalogue: published prices of chips, with source and evidence."""

import difflib
import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from ._activity import number
from ._costs import Costs
from ._hardware import Chip, stack_chips
from ._operations import OPERATIONS

EVIDENCE = ("measured silicon", "simulated", "derived", "vendor claim", "unsourced")  # best first


@dataclass(frozen=True)
class Quantity:
    """One published number: a price [pJ] or a power [pW], with its range and where it comes from."""

    value: float
    source: str
    where: str
    evidence: str
    verified: str
    low: float | None = None
    high: float | None = None
    note: str | None = None


@dataclass(frozen=True)
class Datasheet:
    """Everything that is known about one sheet of the catalogue. It never enters a trace."""

    name: str
    title: str
    kind: str
    scope: str
    costs: Mapping[str, Quantity]
    static_power: Quantity | None = None
    vendor: str | None = None
    process_nm: int | None = None
    default_of: str | None = None
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    excludes_also: tuple[str, ...] = ()
    hops: float | None = None
    skips_spikes: float | None = None
    skips_zeros: float | None = None
    graded: float = 0.0
    accumulates: float | None = None
    note: str = ""
    unknown: tuple[str, ...] = field(default=())

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """All numbers of the sheet."""
        return (*self.costs.values(), *((self.static_power,) if self.static_power else ()))

    @property
    def evidence(self) -> str:
        """Grade of the weakest number."""
        return max((q.evidence for q in self.quantities), key=EVIDENCE.index)

    @property
    def sources(self) -> tuple[str, ...]:
        """Keys of the bibliography, in order."""
        return tuple(dict.fromkeys(q.source for q in self.quantities))

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.title}", f"  scope {self.scope}; evidence {self.evidence}"]
        for op, q in (*self.costs.items(), *([("static power", self.static_power)] if self.static_power else [])):
            span = f" ({q.low:g}–{q.high:g})" if q.low is not None and q.high is not None else ""
            unit = "pW" if op == "static power" else "pJ"
            lines.append(f"  {op:<14} {q.value:g}{span} {unit}  {q.evidence}, {q.verified}: {q.source}, {q.where}")
        for word, ops in (("includes", self.includes), ("excludes", (*self.excludes, *self.excludes_also)), ("unknown", self.unknown)):
            if ops:
                lines.append(f"  {word:<14} {', '.join(op.replace('_', ' ') for op in ops)}")
        return "\n".join([*lines, *([f"  {self.note}"] if self.note else [])])


@functools.cache
def _sheets() -> dict[str, Datasheet]:
    text = resources.files("joulax").joinpath("data/hardware.toml").read_text(encoding="utf-8")
    return {name: _sheet(name, raw) for name, raw in tomllib.loads(text).items()}


def _sheet(name: str, raw: dict[str, Any]) -> Datasheet:
    """Parse and check one table of the data file."""
    raw = dict(raw)
    prices = {op: Quantity(**q) for op, q in raw.pop("costs", {}).items()}
    static = Quantity(**raw.pop("static_power")) if "static_power" in raw else None
    lists = {k: tuple(raw.pop(k, ())) for k in ("includes", "excludes", "excludes_also")}
    known = (*prices, *lists["includes"], *lists["excludes"])
    wrong = [op for op in known if op not in OPERATIONS] + [op for op in OPERATIONS if known.count(op) > 1]
    if wrong:
        raise ValueError(f"sheet {name!r}: {wrong[0]!r} is no operation, or is priced twice (double counting)")
    unknown = tuple(op for op in OPERATIONS if op not in known and op != "neuron_seconds")
    return Datasheet(name, costs=prices, static_power=static, **lists, unknown=unknown, **raw)


@functools.cache
def _defaults() -> dict[str, str]:
    return {sheet.default_of: name for name, sheet in _sheets().items() if sheet.default_of}


def catalogue() -> tuple[str, ...]:
    """Names of all targets and of all further sheets, like `"loihi"` and `"loihi@keras-spiking"`.

    A target without `@` stands for its best-evidenced sheet.
    """
    return (*sorted(_defaults()), *sorted(_sheets()))


def datasheet(name: str) -> Datasheet:
    """Names, citations and evidence behind a target; `print` it.

    **Raises:**

    `ValueError` with the nearest names, if there is no such target.
    """
    full = _defaults().get(name, name)
    if full in _sheets():
        return _sheets()[full]
    near = difflib.get_close_matches(str(name).lower(), catalogue(), n=4, cutoff=0.5)
    hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"the targets are {', '.join(sorted(_defaults()))}"
    raise ValueError(f"no hardware {name!r} in the catalogue: {hint}")


def hardware(name: str) -> Chip:
    """A chip of the catalogue, as a pytree of prices [pJ].

    **Arguments:**

    - `name`: a target (`"loihi"`: its best-evidenced sheet) or one sheet (`"loihi@keras-spiking"`).

    **Raises:**

    `ValueError` with the nearest names, if there is no such target.
    """
    return chip(datasheet(name), name)


def chip(sheet: Datasheet, name: str | None = None) -> Chip:
    """The chip that a datasheet describes: what is included or excluded costs zero, what is unknown has no price."""
    free = {op: 0.0 for op in (*sheet.includes, *sheet.excludes)}
    prices = {op: number(value) for op, value in (free | {op: q.value for op, q in sheet.costs.items()}).items()}
    static = number(sheet.static_power.value) if sheet.static_power else None
    fields = {f: number(getattr(sheet, f)) for f in ("hops", "skips_spikes", "skips_zeros", "accumulates", "graded")}
    return Chip(Costs(**prices), static, **fields, name=name or sheet.name)


def stack(chips: Sequence[str | Chip]) -> Chip:
    """Several chips as one, with a leading chip axis: price them all with one `vmap`.

    **Arguments:**

    - `chips`: names of the catalogue, or chips.

    **Returns:**

    A [`joulax.Chip`][] whose leaves have the shape (chips,); a price that one of them lacks is NaN, and
    `energy` gives NaN there where the operation occurs.
    """
    return stack_chips([hardware(c) if isinstance(c, str) else c for c in chips])


def sheets_of(chips: str) -> list[Datasheet]:
    """Datasheets of a chip name, or of the joined names of a stack; chips of the user have none."""
    names = [n.strip() for n in chips.split(",")]
    return [datasheet(n) for n in names if n in _defaults() or n in _sheets()]


@functools.cache
def reference(key: str) -> str:
    """Bibliography entry of a source, in BibTeX."""
    text = resources.files("joulax").joinpath("data/references.bib").read_text(encoding="utf-8")
    entries = {line.split("{", 1)[1].split(",", 1)[0]: line for line in text.splitlines() if line.startswith("@")}
    if key not in entries:
        raise KeyError(f"no source {key!r} in the bibliography")
    return entries[key]
