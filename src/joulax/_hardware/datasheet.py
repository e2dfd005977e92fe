"""Datasheets: what is known about one piece of hardware, checked when it is read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._forms.rendered import Rendered
from .operations import OPERATIONS
from .shown import sheet_parts

EVIDENCE = ("measured silicon", "simulated", "derived", "vendor claim", "unsourced")  # best first
VERIFIED = ("read", "second-hand", "derived", "unverified")  # most first
UNITS = {
    "fJ": 1e-3,
    "pJ": 1.0,
    "nJ": 1e3,
    "uJ": 1e6,
    "mJ": 1e9,
    "pW": 1.0,
    "nW": 1e3,
    "uW": 1e6,
    "mW": 1e9,
    "W": 1e12,
}  # to pJ or pW
ALL_IN = "all-in"
ARITHMETIC = "arithmetic only"


_MEASURES = {  # by the scope of a sheet, unless it says otherwise
    "per operation": "cores, dynamic",
    ARITHMETIC: "arithmetic",
    "marginal + static": "chip, total",
    ALL_IN: "chip, total",
    "lower bound": "chip, total",
}


@dataclass(frozen=True)
class Quantity:
    """One published number: a price [pJ], a power [pW], with its range and where it comes from."""

    value: float
    source: str
    where: str
    evidence: str
    verified: str
    low: float | None = None
    high: float | None = None
    unit: str = "pJ"
    note: str | None = None

    @property
    def span(self) -> tuple[float, float]:
        """Low and high end; the value itself where no range was published."""
        return (
            self.value if self.low is None else self.low,
            self.value if self.high is None else self.high,
        )

    @property
    def has_range(self) -> bool:
        """Whether a range was published."""
        return self.low is not None or self.high is not None


@dataclass(frozen=True, repr=False)
class Datasheet(Rendered):
    """Everything that is known about one sheet of the catalogue. It never enters a trace."""

    name: str
    title: str
    kind: str
    scope: str
    costs: Mapping[str, Quantity]
    static_power: Quantity | None = None
    facts: Mapping[str, Quantity] = field(default_factory=dict)
    vendor: str | None = None
    process_nm: int | None = None
    default_of: str | None = None
    measures: str = ""
    constants_of: str | None = None  # a stand-in: the numbers are those of another chip
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    excludes_also: tuple[str, ...] = ()
    hops: float | None = None
    skips_spikes: float | None = None
    skips_zeros: float | None = None
    graded: float = 0.0
    accumulates: float | None = None
    note: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def measured_scope(self) -> str:
        """What a measurement must contain to be comparable, like `"chip, total"`."""
        return self.measures or _MEASURES.get(self.scope, "")

    @property
    def priced(self) -> bool:
        """Whether there is a price of any operation; otherwise only facts are known."""
        return bool(self.costs)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """All numbers of the sheet."""
        return (*self.charged, *self.facts.values())

    @property
    def evidence(self) -> str:
        """Grade of the weakest number that is charged, or that is known where nothing can be."""
        return max(
            (q.evidence for q in self.charged or self.quantities),
            key=EVIDENCE.index,
            default="unsourced",
        )

    @property
    def charged(self) -> tuple[Quantity, ...]:
        """The numbers that energies are made of: prices and static power."""
        return (*self.costs.values(), *((self.static_power,) if self.static_power else ()))

    @property
    def sources(self) -> tuple[str, ...]:
        """Keys of the bibliography behind what is charged, or known where nothing can be.

        In order.
        """
        return tuple(dict.fromkeys(q.source for q in self.charged or self.quantities))

    def parts(self) -> list[Any]:
        """What is printed: every number with its range, grade and source."""
        return sheet_parts(self)


def parse(name: str, table: Mapping[str, Any]) -> Datasheet:
    """Read and check one table of a catalogue.

    **Raises:**

    `ValueError` that names the sheet and what is wrong: an unknown key or operation, a price twice,
    a
    negative price, a range that misses its value, an unknown unit or grade, a term that the scope
    forbids.
    """
    raw = dict(table)
    unknown = sorted(set(raw) - _KEYS)
    if unknown:
        raise ValueError(
            f"sheet {name!r}: unknown key {unknown[0]!r}; the keys are {', '.join(sorted(_KEYS))}"
        )
    costs = {op: _quantity(name, op, q, "pJ") for op, q in raw.pop("costs", {}).items()}
    facts = {fact: _quantity(name, fact, q, None) for fact, q in raw.pop("facts", {}).items()}
    static = (
        _quantity(name, "static_power", raw.pop("static_power"), "pW")
        if "static_power" in raw
        else None
    )
    lists = {k: tuple(raw.pop(k, ())) for k in ("includes", "excludes", "excludes_also")}
    known = (*costs, *lists["includes"], *lists["excludes"])
    wrong = [op for op in known if op not in OPERATIONS] + [
        op for op in OPERATIONS if known.count(op) > 1
    ]
    if wrong:
        raise ValueError(
            f"sheet {name!r}: {wrong[0]!r} is no operation, or is priced twice (double counting)"
        )
    unpriced = tuple(op for op in OPERATIONS if op not in known and op != "neuron_seconds")
    fixed: dict[str, Any] = {"title": name, "kind": "user", "scope": "per operation"} | raw
    sheet = Datasheet(
        name, costs=costs, static_power=static, facts=facts, **lists, unknown=unpriced, **fixed
    )
    _check_scope(sheet)
    return sheet


_KEYS = {f for f in Datasheet.__dataclass_fields__ if f not in ("name", "unknown")}


_OWN: dict[str, Any] = {
    "source": "user",
    "where": "given by the user",
    "evidence": "unsourced",
    "verified": "unverified",
}


def _quantity(sheet: str, what: str, raw: Any, unit: str | None) -> Quantity:
    """One number in pJ or pW; a plain number is the user's own."""
    table: dict[str, Any] = {"value": raw} if isinstance(raw, int | float) else dict(raw)
    unknown = sorted(set(table) - set(Quantity.__dataclass_fields__))
    if unknown:
        raise ValueError(
            f"sheet {sheet!r}, {what}: unknown key {unknown[0]!r}; the keys are "
            f"{', '.join(Quantity.__dataclass_fields__)}"
        )
    if "value" not in table:
        raise ValueError(f"sheet {sheet!r}, {what}: a number needs a value")
    table = _OWN | table
    given = table.get("unit", unit or "pJ")
    if given not in UNITS or unit and given[-1] != unit[-1]:
        raise ValueError(
            f"sheet {sheet!r}, {what}: unit {given!r} is none of "
            f"{', '.join(u for u in UNITS if not unit or u[-1] == unit[-1])}"
        )
    for key in ("value", "low", "high"):
        number = table.get(key)
        if number is not None and not (
            isinstance(number, int | float) and math.isfinite(number) and number >= 0
        ):
            raise ValueError(
                f"sheet {sheet!r}, {what}: {key} must be a finite number ≥ 0, got {number!r}"
            )
        if number is not None:
            table[key] = float(number) * UNITS[given]
    table["unit"] = "pW" if given.endswith("W") else "pJ"
    quantity = Quantity(**table)
    low, high = quantity.span
    if not low <= quantity.value <= high:
        raise ValueError(
            f"sheet {sheet!r}, {what}: the value {quantity.value:g} lies outside its "
            f"range {low:g} to {high:g}"
        )
    for key, grades in (("evidence", EVIDENCE), ("verified", VERIFIED)):
        if table[key] not in grades:
            raise ValueError(
                f"sheet {sheet!r}, {what}: {key} {table[key]!r} is none of {', '.join(grades)}"
            )
    return quantity


def _check_scope(sheet: Datasheet) -> None:
    """Terms that a scope forbids would be counted twice."""
    if not sheet.priced:
        return
    if sheet.scope == ALL_IN and (len(sheet.costs) > 1 or sheet.static_power or sheet.excludes):
        raise ValueError(
            f"sheet {sheet.name!r} is all-in: one price contains everything, further "
            f"terms would be counted twice"
        )
    if sheet.scope == "marginal + static" and (len(sheet.costs) > 1 or not sheet.static_power):
        raise ValueError(
            f"sheet {sheet.name!r} is marginal + static: one price and static_power, nothing else"
        )
    if sheet.scope == ARITHMETIC and (set(sheet.costs) - {"ac", "mac"} or sheet.static_power):
        raise ValueError(
            f"sheet {sheet.name!r} is arithmetic only: it prices ac and mac, nothing else"
        )
