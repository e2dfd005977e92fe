"""Whose prices a result has, and what a reader must know of them."""

from dataclasses import dataclass

from .._hardware.catalogue import sheets_of
from .._hardware.datasheet import ARITHMETIC, Datasheet, Quantity
from .._hardware.energy import Result
from .._hardware.figures import chips_of

_CHECKED = {
    "read": "read in its source",
    "second-hand": "quoted second-hand",
    "derived": "calculated",
    "unverified": "from memory",
}
_WORDS = {
    "spike": "spike generation",
    "hop": "routing",
    "weight_read": "memory",
    "state_read": "memory",
    "state_write": "memory",
}
OWN = "given by the user"


@dataclass(frozen=True)
class Source:
    """The sheet behind one chip, if there is one, and how well founded it is."""

    chip: str
    sheet: Datasheet | None
    changed: str = ""

    @property
    def cited(self) -> dict[str, Quantity]:
        """The numbers that are the sheet's."""
        if self.sheet is None:
            return {}
        power = self.sheet.static_power
        return dict(self.sheet.costs) | ({} if power is None else {"static_power": power})

    @property
    def scope(self) -> str:
        """What a total contains."""
        return self.sheet.scope if self.sheet else OWN

    @property
    def evidence(self) -> str:
        """Grade of the weakest number; an unsourced one is shouted."""
        grade = self.sheet.evidence if self.sheet else OWN
        return grade.upper() if grade == "unsourced" else grade

    @property
    def unsourced(self) -> bool:
        """Whether nobody has published a number that is charged."""
        return self.sheet is not None and self.sheet.evidence == "unsourced"

    @property
    def verified(self) -> str:
        """How its numbers were checked, the least checked first."""
        found = {q.verified for q in self.cited.values()}
        return ", ".join(text for grade, text in reversed(_CHECKED.items()) if grade in found)

    @property
    def excluded(self) -> frozenset[str]:
        """Operations that the sheet leaves out: they cost nothing here, and something there."""
        return frozenset(self.sheet.excludes if self.sheet else ())

    @property
    def outside(self) -> str:
        """What the sheet leaves out, in words."""
        if self.sheet is None:
            return ""
        if self.sheet.scope == ARITHMETIC:
            return "everything but arithmetic"
        named = [_WORDS.get(op, op.replace("_", " ") + "s") for op in self.sheet.excludes]
        return ", ".join(dict.fromkeys([*named, *self.sheet.excludes_also]))

    def sentence(self) -> str:
        """Who says so, what the prices contain, how they were checked."""
        if self.sheet is None:
            return f"{self.chip}: no datasheet, prices are those of a model or of the user"
        outside, verified = self.outside, self.verified
        return "; ".join(
            [
                f"{self.sheet.name}: {self.sheet.title}; {self.sheet.scope}",
                f"evidence: {self.evidence}",
                f"sources: {', '.join(self.sheet.sources)}" + (f" ({verified})" * bool(verified)),
                *([f"excludes: {outside}"] if outside else []),
                *([self.changed] if self.changed else []),
            ]
        )

    def paragraph(self) -> str:
        """The prices in a sentence or two, for papers."""
        if self.sheet is None:
            return f"Prices of {self.chip} were given by the authors."
        prices = ", ".join(
            f"{op.replace('_', ' ')} {_priced(q)}" for op, q in self.sheet.costs.items()
        )
        power = self.sheet.static_power
        static = f" and static power {power.value * 1e-9:g} mW" if power else ""
        inside = ", ".join(op.replace("_", " ") for op in self.sheet.includes)
        return (
            f"Prices are those of {self.sheet.title} ({prices}{static}; "
            f"{', '.join(self.sheet.sources)}; {self.evidence}; {self.verified}; "
            f"scope: {self.sheet.scope})."
            + f" The prices contain {inside}." * bool(inside)
            + f" They leave out {self.outside}." * bool(self.outside)
            + f" {self.changed}." * bool(self.changed)
        )


def _priced(q: Quantity) -> str:
    return f"{q.value:g} pJ"


def sources(result: Result) -> tuple[Source, ...]:
    """One source a chip, in the order of the result."""
    return tuple(Source(chip, next(iter(sheets_of(chip)), None)) for chip in chips_of(result))
