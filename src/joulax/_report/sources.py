"""Whose prices were charged, in words: sources, grades, checks, what is left out and changed."""

from .._hardware.datasheet import Datasheet
from .._hardware.provenance import Provenance
from .._hardware.scopes import ARITHMETIC


def _outside(sheet: Datasheet) -> list[str]:
    """What the sheet leaves out, in words."""
    if sheet.scope == ARITHMETIC:
        return ["everything but arithmetic (memory, neuron updates, spikes, routing, static power)"]
    words = {
        "spike": "spike generation",
        "hop": "routing",
        "weight_read": "memory",
        "state_read": "memory",
        "state_write": "memory",
    }
    named = [words.get(op, op.replace("_", " ") + "s") for op in sheet.excludes]
    return list(dict.fromkeys([*named, *sheet.excludes_also]))


def outside_short(sheet: Datasheet) -> str:
    """What the sheet leaves out, for a cell of a table."""
    return "all but arithmetic" if sheet.scope == ARITHMETIC else ", ".join(_outside(sheet))


def evidence(found: Provenance) -> list[str]:
    """What must be known to quote the prices of a chip: source, grade, checks, caveat."""
    sheet = found.sheet
    if sheet is None:
        return []
    outside = _outside(sheet)
    text = (
        f"{sheet.name}: {sheet.title}; {sheet.scope}; evidence: {found.evidence}; "
        f"sources: {', '.join(found.sources) or 'none'}"
    )
    return [
        text + (f"; excludes: {', '.join(outside)}" if outside else ""),
        *([f"checked: {found.verified}"] if found.cited else []),
        *([f"{sheet.name}: {sheet.note}"] if sheet.note else []),
        *([found.changed] if found.changes else []),
    ]


def priced_by(found: Provenance) -> str:
    """Prices of a chip in a sentence or two; what was changed is no longer the sheet's."""
    sheet = found.sheet
    assert sheet is not None
    outside, inside = _outside(sheet), [op.replace("_", " ") for op in sheet.includes]
    prices = ", ".join(
        f"{n.replace('_', ' ')} {q.value * (1e-9 if q.unit == 'pW' else 1):g} "
        f"{'mW' if q.unit == 'pW' else 'pJ'}"
        for n, q in found.cited.items()
    )
    known = "; ".join([prices, ", ".join(found.sources), found.evidence, f"scope: {sheet.scope}"])
    contains = f" The prices contain {', '.join(inside)}." if inside else ""
    leaves = f" They leave out {', '.join(outside)}." if outside else ""
    checked = f" {found.verified[0].upper()}{found.verified[1:]}." if found.cited else ""
    changed = f" {found.changed[0].upper()}{found.changed[1:]}." if found.changes else ""
    return f"Prices are those of {sheet.title} ({known}).{contains}{leaves}{checked}{changed}"
