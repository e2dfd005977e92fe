"""Results side by side."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .._forms.rendered import Rendered
from .._forms.table import ENERGY, NUMBER, TOTAL, Column, Row, Table, table, unique
from .sources import sentences


@dataclass(frozen=True)
class Compared(Rendered):
    """Reports side by side, layer by layer; of two, with the change.

    **Attributes:**

    - `reports`: [`joulax.Report`][]s of one chip each, by name.
    """

    reports: Mapping[str, Any]
    _bounded = True

    def __post_init__(self):
        if not self.reports:
            raise ValueError("report({}) has nothing to put side by side")

    def parts(self) -> list[Any]:
        """Energies by layer, then by operation, and whose prices they are."""
        names = " against ".join(f"{n} ({r.chips[0]})" for n, r in self.reports.items())
        return [
            f"Energy of {self._work()}: {names}",
            self._table("layer", self._by_layer()),
            self._table("operation", self._by_operation()),
            *self._each(lambda r: r.against()),
            *self._prices(),
            *(f"warning: {w}" for w in self._warned()),
        ]

    def _each(self, lines: Callable[[Any], list[str]]) -> list[str]:
        """What every report says, under its name."""
        return [f"{n}: {line}" for n, r in self.reports.items() for line in lines(r)]

    def _prices(self) -> list[str]:
        """Whose prices the reports have; what several share is said once."""
        whose = [p for r in self.reports.values() for p in r.provenance]
        return list(dict.fromkeys(line for p in whose for line in sentences(p)))

    def _warned(self) -> list[str]:
        scopes = {source.scope for r in self.reports.values() for source in r.sources}
        apart = ["totals of different scopes contain different things"] if len(scopes) > 1 else []
        return apart + self._each(lambda r: r.warnings())

    def _work(self) -> str:
        samples = {r.samples for r in self.reports.values()}
        if samples == {1}:
            return "one call"
        count = f", mean of {samples.pop()} samples" if len(samples) == 1 else ", means of samples"
        return f"one inference{count}"

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a layer, then one an operation; `by` tells them apart."""
        found = []
        for row in super().records():
            by = "layer" if "layer" in row else "operation"
            found.append({"by": by, "name": row.pop(by), **row})
        return found

    def _index(self, columns: list[str]) -> list[str]:
        return ["by", "name"]

    def _marks(self, partial: bool) -> dict[str, Any]:
        known = {n: r.sources[0] for n, r in self.reports.items()}
        words = lambda field: "; ".join(f"{n}: {getattr(s, field)}" for n, s in known.items())
        fields = ("scope", "evidence", "verified")
        return super()._marks(partial) | {field: words(field) for field in fields}

    def _table(self, what: str, rows: dict[str, list[float | None]]) -> Table:
        names = unique(list(self.reports))
        pair = len(names) == 2
        columns = [Column(what, what), *(Column(n, n, ENERGY) for n in names)]
        if pair:
            columns += [Column("change", "change", ENERGY), Column("factor", "factor", NUMBER)]
        last = [float(r.figures.total.mean()) for r in self.reports.values()]
        partial = any(r.partial for r in self.reports.values())
        change = _unknown if partial else _change  # of two lower bounds nothing is known
        made = [
            Row((name, *cells, *(change(cells) if pair else ()))) for name, cells in rows.items()
        ]
        made.append(Row(("total", *last, *(change(last) if pair else ())), TOTAL))
        return table(columns, made, partial=partial)

    def _by_layer(self) -> dict[str, list[float | None]]:
        found = [
            {layer.name: float(layer.total[0]) for layer in r.figures.layers}
            | ({} if (s := r.figures.static) is None else {"static power": float(s[0])})
            for r in self.reports.values()
        ]
        return _joined(found)

    def _by_operation(self) -> dict[str, list[float | None]]:
        found = [
            {op.replace("_", " "): spent for op, spent in r.figures.spent(0).items()}
            for r in self.reports.values()
        ]
        return _joined(found)

    def scalars(self) -> dict[str, float]:
        """The scalars of every report under its name."""
        return {
            f"{name}/{key}": value
            for name, r in self.reports.items()
            for key, value in r.scalars().items()
        }


def _joined(found: list[dict[str, float]]) -> dict[str, list[float | None]]:
    names = dict.fromkeys(n for each in found for n in each)
    return {n: [each.get(n) for each in found] for n in names}


def _unknown(cells: list[Any]) -> tuple[None, None]:
    return None, None


def _change(cells: list[Any]) -> tuple[float | None, float | None]:
    before, after = cells
    if before is None or after is None:
        return None, None
    return after - before, after / before if before else None
