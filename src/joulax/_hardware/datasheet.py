"""Datasheets: what is known about one piece of hardware, with source and evidence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._forms.rendered import Rendered
from .scopes import SCOPES
from .shown import sheet_parts
from .written import to_toml

EVIDENCE = ("measured silicon", "simulated", "derived", "vendor claim", "unsourced")  # best first
VERIFIED = ("read", "second-hand", "derived", "unverified")  # most first
CHECKED = {  # how far a number was checked, as reports say it
    "read": "read in its source",
    "second-hand": "quoted second-hand",
    "derived": "calculated",
    "unverified": "from memory",
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
    """Everything that is known about one sheet of the catalogue. It never enters a trace.

    **Attributes:**

    - `costs`: prices by operation [pJ]; `call`: energy of a call, shared by its batch [pJ], which
      holds for batches up to `batches` and networks up to `depth` layers.
    - `static_power`: flows during a call whatever it computes; `busy_power`: all the power during a
      call, operations included; `idle_power`: the power between calls [pW].
    - `facts`: numbers that price nothing.
    - `includes`, `excludes`, `unknown`: operations inside other prices, outside the scope, and
      those of which nobody knows.
    - `scope`: what a total contains; one of a closed list. `measures`: what a measurement must
      contain to be comparable.
    - `constants_of`: for a stand-in, the chip whose numbers these are.
    - `note`: the caveat. `bibtex`: entries for sources of one's own.
    """

    name: str
    title: str
    kind: str
    scope: str
    costs: Mapping[str, Quantity]
    static_power: Quantity | None = None
    busy_power: Quantity | None = None
    idle_power: Quantity | None = None
    call: Quantity | None = None
    facts: Mapping[str, Quantity] = field(default_factory=dict)
    vendor: str | None = None
    process_nm: int | float | None = None
    default_of: str | None = None
    measures: str = ""
    constants_of: str | None = None
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    excludes_also: tuple[str, ...] = ()
    hops: float | None = None
    skips_spikes: float | None = None
    skips_zeros: float | None = None
    graded: float = 0.0
    accumulates: float | None = None
    batches: float | None = None
    depth: float | None = None
    note: str = ""
    bibtex: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def measured_scope(self) -> str:
        """What a measurement must contain to be comparable, like `"chip, total"`."""
        return self.measures or SCOPES.get(self.scope, "")

    @property
    def priced(self) -> bool:
        """Whether energies follow from it; otherwise only facts are known."""
        return bool(self.charged)

    @property
    def numbers(self) -> dict[str, Quantity]:
        """What energies are made of, by the name that the number has in a chip."""
        power = self.static_power or self.busy_power
        found = {"static_power": power, "call": self.call, "idle_power": self.idle_power}
        return {**self.costs, **{name: q for name, q in found.items() if q is not None}}

    @property
    def charged(self) -> tuple[Quantity, ...]:
        """The numbers that energies are made of: prices, powers and calls."""
        return tuple(q for name, q in self.numbers.items() if name != "idle_power")

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """All numbers of the sheet."""
        return (*self.numbers.values(), *self.facts.values())

    @property
    def evidence(self) -> str:
        """Grade of the weakest number that is charged, or that is known where nothing can be."""
        return max(
            (q.evidence for q in self.charged or self.quantities),
            key=EVIDENCE.index,
            default="unsourced",
        )

    @property
    def verified(self) -> str:
        """How far the least checked number was checked that is charged."""
        return max(
            (q.verified for q in self.charged or self.quantities),
            key=VERIFIED.index,
            default="unverified",
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """Keys of the bibliography behind what is charged, or known where nothing can be.

        In order.
        """
        return tuple(dict.fromkeys(q.source for q in self.charged or self.quantities))

    def to_toml(self) -> str:
        """The sheet as a table that [`joulax.register`][] reads back."""
        return to_toml(self)

    def parts(self) -> list[Any]:
        """What is printed: every number with its range, grade and source."""
        return sheet_parts(self)
