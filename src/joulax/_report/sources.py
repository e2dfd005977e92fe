"""Whose prices a result has, and what a reader must know of them, in words."""

from dataclasses import dataclass

from .._hardware.chip import Hardware
from .._hardware.datasheet import CHECKED, VERIFIED, Datasheet
from .._hardware.provenance import Provenance, provenance
from .._hardware.scopes import ARITHMETIC

_WORDS = {
    "spike": "spike generation",
    "hop": "routing",
    "weight_read": "memory",
    "state_read": "memory",
    "state_write": "memory",
}
UNSOURCED = "UNSOURCED"


@dataclass(frozen=True)
class Source:
    """What must be known of the prices of one chip.

    **Attributes:**

    - `chip`, `scope`, `evidence`, `verified`: name, what a total contains, grade of the weakest
      number (an unsourced one is shouted), how the numbers were checked.
    - `outside`, `excluded`: what the sheet leaves out, in words and as operations.
    - `changed`: what differs from the sheet, in words.
    """

    chip: str
    scope: str
    evidence: str
    verified: str = ""
    outside: str = ""
    excluded: tuple[str, ...] = ()
    changed: str = ""

    @property
    def unsourced(self) -> bool:
        """Whether nobody has published a number that is charged."""
        return self.evidence == UNSOURCED


def source_of(found: Provenance) -> Source:
    """The words of one chip."""
    grade = found.evidence
    grade = grade.upper() if grade == "unsourced" else grade
    sheet = found.sheet
    if sheet is None:
        return Source(found.chip, grade, grade)
    return Source(
        found.chip, sheet.scope, grade, _checked(found), _outside(sheet), sheet.excludes,
        found.changed,
    )  # fmt: skip


def sources(hardware: Hardware) -> tuple[Source, ...]:
    """One source a chip, in the order of a stack."""
    return tuple(map(source_of, provenance(hardware)))


def _checked(found: Provenance) -> str:
    """How its numbers were checked, the least checked first."""
    grades = {q.verified for q in found.cited.values()}
    return ", ".join(CHECKED[v] for v in reversed(VERIFIED) if v in grades)


def _outside(sheet: Datasheet) -> str:
    """What the sheet leaves out, in words."""
    if sheet.scope == ARITHMETIC:
        return "everything but arithmetic"
    named = [_WORDS.get(op, op.replace("_", " ") + "s") for op in sheet.excludes]
    return ", ".join(dict.fromkeys([*named, *sheet.excludes_also]))


def sentences(found: Provenance) -> list[str]:
    """Who says so, what is left out, how each number was checked, the caveat, the changes."""
    sheet, said = found.sheet, source_of(found)
    if sheet is None:
        return [f"{found.chip}: no datasheet, prices are those of a model or of the user"]
    text = (
        f"{sheet.name}: {sheet.title}; {sheet.scope}; evidence: {said.evidence}; "
        f"sources: {', '.join(found.sources) or 'none'}"
    )
    return [
        text + (f"; excludes: {said.outside}" if said.outside else ""),
        *([f"checked: {found.verified}"] if found.cited else []),
        *([f"caveat: {sheet.note}"] if sheet.note else []),
        *([found.changed] if found.changes else []),
    ]


def paragraph(found: Provenance) -> str:
    """Prices of a chip in a sentence or two, for papers; what was changed is not the sheet's."""
    sheet = found.sheet
    if sheet is None:
        return f"Prices are those of {found.chip}, which has no datasheet."
    inside, outside = ", ".join(op.replace("_", " ") for op in sheet.includes), _outside(sheet)
    prices = ", ".join(
        f"{n.replace('_', ' ')} {q.value * (1e-9 if q.unit == 'pW' else 1):g} "
        f"{'mW' if q.unit == 'pW' else 'pJ'}"
        for n, q in found.cited.items()
    )
    grade = source_of(found).evidence
    known = "; ".join([prices, ", ".join(found.sources), grade, f"scope: {sheet.scope}"])
    said = [
        f"Prices are those of {sheet.title} ({known}).",
        f"The prices contain {inside}." if inside else "",
        f"They leave out {outside}." if outside else "",
        f"{found.verified[0].upper()}{found.verified[1:]}." if found.cited else "",
        f"{found.changed[0].upper()}{found.changed[1:]}." if found.changes else "",
    ]
    return " ".join(filter(None, said))
