"""Datasheets as text: tables of TOML, read with checks and written back."""

from collections.abc import Mapping
from typing import Any

from .datasheet import EVIDENCE, VERIFIED, Datasheet, Quantity
from .numbers import plain
from .operations import OPERATIONS
from .scopes import (
    ALL_IN,
    ARITHMETIC,
    HEADLINE,
    LISTS,
    MARGINAL,
    OPERATIONS_STATIC,
    PER_CALL,
    PER_OPERATION,
    POWER_TIME,
    SCOPES,
    by_scope,
)
from .written import NUMBERS, POWERS, SHARES, TEXTS

UNITS = {
    "fJ": 1e-3,
    "pJ": 1.0,
    "nJ": 1e3,
    "uJ": 1e6,
    "µJ": 1e6,
    "mJ": 1e9,
    "J": 1e12,
    "pW": 1.0,
    "nW": 1e3,
    "uW": 1e6,
    "µW": 1e6,
    "mW": 1e9,
    "W": 1e12,
}  # to pJ or pW
_OWN: dict[str, Any] = {
    "source": "user",
    "where": "given by the user",
    "evidence": "unsourced",
    "verified": "unverified",
}
_KEYS = {f for f in Datasheet.__dataclass_fields__ if f not in ("name", "unknown")}


def parse(name: str, table: Mapping[str, Any]) -> Datasheet:
    """Read and check one table of a catalogue.

    **Raises:**

    `ValueError` that names the sheet and what is wrong: an unknown key, operation, scope, unit or
    grade, a price twice, a number that is none, a power without unit, a range that misses its
    value, a term that the scope forbids.
    """
    raw = _known(name, table)
    scope = _scope(name, raw)
    costs = {op: _quantity(name, op, q, "pJ") for op, q in _table(name, "costs", raw).items()}
    facts = {f: _quantity(name, f, q, None) for f, q in _table(name, "facts", raw).items()}
    powers = _powers(name, raw, scope)
    call = _quantity(name, "call", raw.pop("call"), "pJ") if "call" in raw else None
    lists: dict[str, Any] = {k: _names(name, k, raw.pop(k, ())) for k in LISTS}
    lists = by_scope(scope, costs, lists)
    fixed: dict[str, Any] = {"title": name, "kind": "user"} | _plain(name, raw) | {"scope": scope}
    known = _priced_once(name, costs, lists)
    unpriced = tuple(op for op in OPERATIONS if op not in known and op != "neuron_seconds")
    sheet = Datasheet(
        name, costs=costs, facts=facts, call=call, **powers, **lists, unknown=unpriced, **fixed
    )
    _check(sheet)
    return sheet


def _known(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a table, all of which are known."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"a sheet needs a name, got {name!r}")
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise ValueError(
            f"sheet {name!r}: unknown key {unknown[0]!r}; the keys are {', '.join(sorted(_KEYS))}"
        )
    return dict(table)


def _powers(name: str, raw: dict[str, Any], scope: str) -> dict[str, Any]:
    powers: dict[str, Any] = {p: _quantity(name, p, raw.pop(p), "pW") for p in POWERS if p in raw}
    if scope == OPERATIONS_STATIC and "static_power" not in powers and "idle_power" in powers:
        powers["static_power"] = powers["idle_power"]  # idle power flows during a call too
    return powers


def _scope(name: str, raw: dict[str, Any]) -> str:
    scope = raw.get("scope", PER_OPERATION)
    scope = {"power x time": POWER_TIME, "power*time": POWER_TIME}.get(scope, scope)
    if scope not in SCOPES:
        raise ValueError(
            f"sheet {name!r}: scope {scope!r} is none of {', '.join(map(repr, SCOPES))}"
        )
    return scope


def _table(name: str, key: str, raw: dict[str, Any]) -> dict[str, Any]:
    found = raw.pop(key, {})
    if not isinstance(found, Mapping):
        raise ValueError(f"sheet {name!r}: {key} must be a table, got {found!r}")
    return dict(found)


def _names(name: str, key: str, found: Any) -> tuple[str, ...]:
    if isinstance(found, str) or not all(isinstance(op, str) for op in found):
        raise ValueError(f"sheet {name!r}: {key} must be a list of names, got {found!r}")
    return tuple(found)


def _plain(name: str, raw: dict[str, Any]) -> dict[str, Any]:
    """Texts, shares and sizes."""
    read = dict.fromkeys(TEXTS, _text) | dict.fromkeys(SHARES, _share)
    read |= dict.fromkeys(NUMBERS, _size)
    return raw | {key: read[key](name, key, raw[key]) for key in read if key in raw}


def _text(name: str, key: str, found: Any) -> str:
    if not isinstance(found, str):
        raise ValueError(f"sheet {name!r}: {key} must be a text, got {found!r}")
    return found


def _share(name: str, key: str, found: Any) -> float:
    return plain(found, f"sheet {name!r}, {key}", most=1.0)


def _size(name: str, key: str, found: Any) -> float:
    value = plain(found, f"sheet {name!r}, {key}", NUMBERS[key], positive=key != "hops")
    return int(value) if key == "process_nm" and value == int(value) else value


def _priced_once(
    name: str, costs: Mapping[str, Quantity], lists: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    known = (*costs, *lists["includes"], *lists["excludes"])
    wrong = [op for op in known if op not in OPERATIONS] + [
        op for op in OPERATIONS if known.count(op) > 1
    ]
    if wrong:
        raise ValueError(
            f"sheet {name!r}: {wrong[0]!r} is no operation, or is priced twice (double counting)"
        )
    return known


def _quantity(sheet: str, what: str, raw: Any, unit: str | None) -> Quantity:
    """One number in pJ or pW; a plain number is the user's own, in pJ."""
    label = f"sheet {sheet!r}, {what}"
    if isinstance(raw, Quantity):
        return raw
    table = _fields(label, raw, unit)
    given = table["unit"]
    for key in ("value", "low", "high"):
        if table.get(key) is not None:
            table[key] = plain(table[key], f"{label}, {key}", given) * UNITS[given]
    for key in ("source", "where", "evidence", "verified"):
        if not isinstance(table[key], str):
            raise ValueError(f"{label}: {key} must be a text, got {table[key]!r}")
    table["unit"] = "pW" if given.endswith("W") else "pJ"
    _check_quantity(label, quantity := Quantity(**table))
    return quantity


def _fields(label: str, raw: Any, unit: str | None) -> dict[str, Any]:
    """The fields of a number, with a unit of its kind; a power must state its own."""
    table: dict[str, Any] = dict(raw) if isinstance(raw, Mapping) else {"value": raw}
    unknown = sorted(set(table) - set(Quantity.__dataclass_fields__))
    if unknown:
        raise ValueError(
            f"{label}: unknown key {unknown[0]!r}; the keys are "
            f"{', '.join(Quantity.__dataclass_fields__)}"
        )
    if "value" not in table:
        raise ValueError(f"{label}: a number needs a value")
    if unit == "pW" and "unit" not in table:
        raise ValueError(
            f"{label}: a power needs its unit, like "
            f'{{ value = {table["value"]}, unit = "mW" }}, one of {", ".join(_units("pW"))}'
        )
    given = table.setdefault("unit", unit or "pJ")
    if given not in _units(unit):
        raise ValueError(f"{label}: unit {given!r} is none of {', '.join(_units(unit))}")
    return _OWN | table


def _units(unit: str | None) -> list[str]:
    return [u for u in UNITS if not unit or u[-1] == unit[-1]]


def _check_quantity(label: str, quantity: Quantity) -> None:
    low, high = quantity.span
    if not low <= quantity.value <= high:
        raise ValueError(
            f"{label}: the value {quantity.value:g} lies outside its range {low:g} to {high:g}"
        )
    for key, grades in (("evidence", EVIDENCE), ("verified", VERIFIED)):
        grade = getattr(quantity, key)
        if grade not in grades:
            raise ValueError(f"{label}: {key} {grade!r} is none of {', '.join(grades)}")


_FORBIDDEN = {  # scope: (what is wrong, and why), if the sheet breaks its meaning
    ALL_IN: (
        lambda s: len(s.costs) != 1 or s.static_power or s.busy_power or s.call or s.excludes,
        "one price contains everything, further terms would be counted twice",
    ),
    HEADLINE: (
        lambda s: len(s.costs) != 1 or s.static_power or s.busy_power or s.call,
        "one price, and nobody knows what it contains",
    ),
    MARGINAL: (
        lambda s: len(s.costs) != 1 or not s.static_power or s.busy_power,
        "one price and static_power, nothing else",
    ),
    ARITHMETIC: (
        lambda s: set(s.costs) - {"ac", "mac"} or s.static_power or s.busy_power or s.call,
        "it prices ac and mac, nothing else",
    ),
    OPERATIONS_STATIC: (
        lambda s: not s.costs or not s.static_power or s.busy_power,
        "prices of operations and static_power (the idle power of the chip), which together "
        "predict its total",
    ),
    PER_CALL: (lambda s: not s.call or s.busy_power, "it needs the energy of a call"),
    POWER_TIME: (
        lambda s: not s.busy_power or s.costs or s.static_power or s.call,
        "busy_power contains everything, further terms would be counted twice",
    ),
}


def _check(sheet: Datasheet) -> None:
    """Terms that a scope forbids would be counted twice; terms that it needs must be there."""
    if not sheet.quantities:
        raise ValueError(f"sheet {sheet.name!r} states no number")
    if not sheet.priced:
        return
    broken, why = _FORBIDDEN.get(sheet.scope, (lambda s: s.busy_power, "busy_power is all of it"))
    if broken(sheet):
        raise ValueError(f"sheet {sheet.name!r} is {sheet.scope}: {why}")
