"""What was fitted as a sheet of the catalogue."""

import math
from typing import Any

from .._hardware.chip import Chip
from .._hardware.datasheet import Datasheet, Quantity
from .._hardware.numbers import SHARES
from .._hardware.operations import OPERATIONS
from .._hardware.provenance import provenance
from .._hardware.scopes import OPERATIONS_STATIC, PER_OPERATION
from .._hardware.stored import parse

_SIGMAS = 1.959964  # a range of a sheet is read as 95 %
_NUMBERS = (*OPERATIONS, "static_power", "call", "idle_power")


def fitted_sheet(
    fit: Any, name: str, title: str | None, source: str, where: str, bibtex: str, note: str
) -> Datasheet:
    """A sheet of fitted numbers; the others stay those of the prior."""
    own = provenance(fit.prior)[0].sheet
    numbers = _numbers(fit, own, source, where)
    costs = {op: numbers.pop(op) for op in OPERATIONS if op in numbers}
    free = [op for op in OPERATIONS if op not in costs and getattr(fit.chip.costs, op) is not None]
    table = _of_prior(own, fit.chip, free) if own else _without(fit.chip, free)
    shares = {f: float(v) for f in SHARES if (v := getattr(fit.chip, f)) is not None}
    words = {"bibtex": bibtex, "note": note} | ({"title": title} if title else {})
    return parse(name, table | words | numbers | shares | {"costs": costs})


def _numbers(fit: Any, own: Datasheet | None, source: str, where: str) -> dict[str, Quantity]:
    """Numbers of the chip as a sheet calls them: the power of a busy chip is its static power."""
    found = {n: q for n in _NUMBERS if (q := _quantity(fit, n, source, where)) is not None}
    if own and own.busy_power:
        found["busy_power"] = found.pop("static_power")
    return found


def _of_prior(own: Datasheet, chip: Chip, free: list[str]) -> dict[str, Any]:
    """Words and lists of the sheet that was calibrated."""
    return {
        "title": f"{own.title}, calibrated",
        "kind": own.kind,
        "scope": own.scope,
        "measures": own.measures,
        "includes": [op for op in free if op in own.includes],
        "excludes": [op for op in free if op not in own.includes],
        "excludes_also": own.excludes_also,
    }


def _without(chip: Chip, free: list[str]) -> dict[str, Any]:
    """Words and lists where no sheet is behind the chip."""
    scope = PER_OPERATION if chip.static_power is None else OPERATIONS_STATIC
    return {"title": f"{chip.called}, calibrated", "scope": scope, "excludes": free}


def _quantity(fit: Any, number: str, source: str, where: str) -> Quantity | None:
    """One number with its range, or as the prior has it where nothing was fitted."""
    chip = fit.chip
    leaf = getattr(chip.costs if number in OPERATIONS else chip, number)
    if leaf is None or float(leaf) == 0:
        return None
    value, unit = float(leaf), "pW" if number.endswith("power") else "pJ"
    if number not in fit.names:
        kept = Quantity(value, source, "given, not fitted", "unsourced", "unverified", unit=unit)
        return provenance(fit.prior)[0].cited.get(number, kept)
    spread = math.exp(_SIGMAS * fit.relative_errors[number])
    low, high = value / spread, value * spread
    return Quantity(value, source, where, "measured silicon", "read", low, high, unit)
