"""`report`: an energy result as a table, with what one must know to quote it."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, overload

import jax
import numpy as np
from jax.core import Tracer

from .._activity.account import Account
from .._fidelity.uncertainty import ends
from .._forms.rendered import Rendered
from .._forms.table import (
    COUNT,
    ENERGY,
    RATE,
    SHARE,
    TOTAL,
    Column,
    Row,
    Table,
    Value,
    table,
    unique,
)
from .._forms.units import joules, with_range, with_spread
from .._hardware.figures import Figures, Layer, figures
from .._hardware.floor import silent
from .._hardware.numbers import plain
from .._hardware.provenance import Provenance, bibtex, provenance
from .._hardware.result import Result
from .chips import Line, chips_table
from .compared import Compared
from .records import records_of, scalars_of
from .sources import Source, paragraph, sentences, sources
from .warned import against, partial_of, warnings_of


@dataclass(frozen=True)
class Report(Rendered):
    """A result for people; `print` it, or show it in a notebook.

    **Attributes:**

    - `result`: what [`joulax.energy`][] returned.
    - `duration`: length of one inference [s], if it is to be said.
    - `budget`: what one inference should cost at most [pJ], if there is one.
    """

    result: Result
    duration: float | None = None
    budget: float | None = None

    @functools.cached_property
    def figures(self) -> Figures:
        """The numbers on the host."""
        return figures(self.result)

    @functools.cached_property
    def sources(self) -> tuple[Source, ...]:
        """Whose prices these are, by chip."""
        return sources(self.result.hardware)

    @functools.cached_property
    def provenance(self) -> tuple[Provenance, ...]:
        """The same with every number that is cited or changed."""
        return provenance(self.result.hardware)

    def _known(self, chip: int) -> Value:
        """The mean total of a chip [pJ], with the ends of the published ranges of its prices."""
        found, value = self.figures, float(self.figures.total[chip].mean())
        span = ends(self.provenance[chip], found.spent(chip)) if value == value else None
        return Value(value) if span is None else Value(value, low=span[0], high=span[1])

    @property
    def chips(self) -> list[str]:
        """Names of the chips."""
        return list(self.figures.chips)

    @property
    def samples(self) -> int:
        """Samples over which everything is averaged."""
        return self.figures.samples

    @property
    def partial(self) -> bool:
        """Whether synapses stand in no record: every number is a lower bound."""
        return partial_of(self.result)

    @property
    def dominant_layer(self) -> str | None:
        """The layer that costs most on average."""
        layers = self.figures.layers
        return max(layers, key=lambda layer: layer.total.mean()).name if layers else None

    def parts(self) -> list[Any]:
        """Heading, table, conventions and warnings."""
        return [
            self.headline(),
            self.table(),
            *self.against(),
            *self.notes(),
            *(f"warning: {w}" for w in self.warnings()),
        ]

    def __repr__(self) -> str:
        return f"<{self.headline()}>"

    def headline(self) -> str:
        """Energy of the call, or mean ± standard deviation over samples."""
        if len(self.chips) > 1:
            return f"Energy of {self._unit_of_work()} on {len(self.chips)} chips" + self._averaged()
        total = self.figures.total[0]
        found = self._known(0)
        mark = "≥ " if self.partial else ""
        known, span = joules(found.value), found.low is not None
        if found.low is not None and found.high is not None:
            known = with_range(found.value, found.low, found.high)
        if self.samples == 1:
            return f"Energy on {self.chips[0]}: {mark}{known} {self._once()}"
        spread = with_spread(found.value, float(total.std()))
        within = f"; with the ranges of its prices {mark}{known}" if span else ""
        return (
            f"Energy on {self.chips[0]}: {mark}{spread} per inference "
            f"(mean ± standard deviation over {self.samples} samples){within}"
        )

    def _unit_of_work(self) -> str:
        return "one inference" if self.samples > 1 or self._is_mean else "one call"

    def _averaged(self) -> str:
        return f", mean of {self.samples} samples" if self.samples > 1 else ""

    def _once(self) -> str:
        return "per inference, a mean" if self._is_mean else "for this call"

    @property
    def _is_mean(self) -> bool:
        """Whether counts are fractions, as those that were averaged before."""
        counts = [layer.did[f] for layer in self.figures.layers for f in ("ac", "mac", "spikes")]
        return any(c is not None and c % 1 > 1e-6 for c in counts) and self.samples == 1

    def table(self) -> Table:
        """Layers of one chip, or one line for each of several chips."""
        return self._layers() if len(self.chips) == 1 else self._many()

    def _layers(self) -> Table:
        found, columns = self.figures, self.figures.columns
        whole = float(found.total.mean())
        heads = [
            Column("layer", "layer"),
            *(Column(op, op.replace("_", " "), ENERGY) for op in columns),
            Column("total", "total", ENERGY),
            Column("share", "share", SHARE),
            Column("synops", "synops", COUNT),
            Column("spikes", "spikes", COUNT),
            Column("rate", "rate", RATE),
        ]
        names = unique([layer.name for layer in found.layers])
        rows = [
            self._row(name, layer, whole) for name, layer in zip(names, found.layers, strict=True)
        ]
        blank = [""] * len(columns)
        if found.static is not None:
            static = float(found.static[0])
            part = static / whole if whole else 0.0
            rows.append(Row(("static power", *blank, static, part, "", "", "")))
        sums = [float(found.operations[op][0]) for op in columns]
        synops = [s for layer in found.layers if (s := layer.synops) is not None]
        spikes = found.summed("spikes")
        rows.append(Row(("total", *sums, self._spread(), 1.0, sum(synops), spikes, ""), TOTAL))
        return table(heads, rows, partial=self.partial)

    def _row(self, name: str, layer: Layer, whole: float) -> Row:
        excluded = self.sources[0].excluded
        cost = float(layer.total[0])
        energies = [
            None if op not in layer.energies or op in excluded else float(layer.energies[op][0])
            for op in self.figures.columns
        ]
        part = cost / whole if whole else 0.0
        return Row((name, *energies, cost, part, layer.synops, layer.did["spikes"], layer.rate))

    def _spread(self) -> Value | float:
        total = self.figures.total[0]
        mean = float(total.mean())
        return Value(mean, std=float(total.std())) if self.samples > 1 else mean

    def lines(self) -> list[Line]:
        """One line a chip."""
        each = enumerate(self.sources)
        return [Line(source, self.figures.spent(i), self._known(i)) for i, source in each]

    def _many(self) -> Table:
        return chips_table(self.lines(), self.partial)

    def notes(self) -> list[str]:
        """What must be known to quote the numbers."""
        lines = [
            "synaptic operations: one event reaching one existing synapse (zero weights are none), "
            "input layer included",
            "rate: spikes per neuron and time step; energies in pJ and SI multiples of J",
        ]
        if len(self.chips) > 1:
            return [*lines[:1], "totals of different scopes contain different things"]
        if (layer := self.dominant_layer) is not None and len(self.figures.layers) > 1:
            lines.append(self._dominant(layer))
        said = [line for p in self.provenance for line in sentences(p)]
        return [*lines, *said, *(f"assumed: {text}" for text in self.result.assumed)]

    def against(self) -> list[str]:
        """How far the energy is from the budget, by chip; nothing without one."""
        if self.budget is None:
            return []
        goal, mark, said = self.budget, "≥ " if self.partial else "", []
        each = zip(self.chips, self.figures.total.mean(1), silent(self.result), strict=True)
        for chip, spent, least in each:
            never = ", no network can meet it by spiking less" if goal < least else ""
            words = against(float(spent), goal, float(least))
            said.append(f"budget of {joules(goal)} on {chip}: {mark}{words}{never}")
        return said

    def convention(self) -> str:
        """A paragraph for papers: what was counted, whose prices, what they leave out."""
        counted = (
            "Synaptic operations count one event reaching one existing (nonzero) synapse, with "
            "the input layer; neuron updates count every neuron in every time step."
        )
        assumed = [f"Assumed: {text}." for text in self.result.assumed]
        return " ".join([counted, *map(paragraph, self.provenance), *assumed])

    def _caption(self) -> str:
        chips = ", ".join(self.chips)
        spread = "mean ± standard deviation of" if self.samples > 1 else ""
        work = f"{self._unit_of_work()} on {chips}"
        averaged = f" ({spread} {self.samples} samples)" if self.samples > 1 else ""
        time = f", {self.duration:g} s each" if self.duration is not None else ""
        bound = " Counts are incomplete: every number is a lower bound." if self.partial else ""
        said = "".join(f" {line[:1].upper()}{line[1:]}." for line in self.against())
        return f"Energy of {work}{averaged}{time}.{bound}{said} {self.convention()}"

    def bibtex(self) -> str:
        """Bibliography entries behind the prices, in BibTeX."""
        return bibtex(self.result.hardware)

    def _dominant(self, layer: str) -> str:
        """The layer that costs most, or that static power costs more than all layers."""
        whole = float(self.figures.total.mean()) or 1.0
        static = 0.0 if (s := self.figures.static) is None else float(s[0])
        if static > whole / 2:
            return f"static power dominates ({100 * static / whole:.0f} %); of the layers, {layer}"
        cost = max(float(x.total[0]) for x in self.figures.layers)
        return f"dominant layer: {layer} ({100 * cost / whole:.0f} %)"

    def warnings(self) -> list[str]:
        """What a reader should not miss."""
        return warnings_of(self.result, self.figures, self.sources)

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a chip and layer: energies [pJ] by operation, counts, marks."""
        return records_of(self.figures, self.sources, self.partial)

    def _index(self, columns: list[str]) -> list[str]:
        return ["chip", "layer"]

    def scalars(self) -> dict[str, float]:
        """A flat dictionary for loggers: energies [pJ], synops, spikes, rates, by layer too."""
        return scalars_of(self.figures, self.partial)

    def diff(
        self, other: "Report | Result", names: tuple[str, str] = ("before", "after")
    ) -> Compared:
        """Put another report beside this one, with the change.

        **Arguments:**

        - `other`: the later one.
        - `names`: how the two are called.

        **Returns:**

        A [`joulax.Compared`][].
        """
        if names[0] == names[1]:
            raise ValueError(f"diff() names two reports, and both are called {names[0]!r}")
        return report(dict(zip(names, (self, other), strict=True)))


@overload
def report(  # noqa: D418
    result: Mapping[str, Any], *, duration: Any = None, budget: Any = None
) -> Compared:
    """Several results side by side."""


@overload
def report(  # noqa: D418
    result: Result | Report, *, duration: Any = None, budget: Any = None
) -> Report:
    """One result, a batch of samples or a stack of chips."""


def report(result: Any, *, duration: Any = None, budget: Any = None) -> Report | Compared:
    """A readable account of an energy result.

    **Arguments:**

    - `result`: what [`joulax.energy`][] returned, outside of `jit`. With a leading axis of samples
      the report gives means and standard deviations; with a stack of chips, one line a chip. A
      mapping of names to results (`{"snn": …, "ann": …}`) puts them side by side.
    - `duration`: length of one inference [s], to be said in captions.
    - `budget`: what an inference should cost at most [pJ]: the report says how much of it is spent,
      and whether it is below the [floor][joulax.floor], where no network meets it by spiking less.

    **Returns:**

    A [`joulax.Report`][], or a [`joulax.Compared`][] for a mapping: `print` it in a terminal,
    leave it as the last line of a cell in a notebook.

    **Raises:**

    `ValueError` inside a trace, where there are no numbers yet, or for a budget that is not
    positive.
    """
    goal = None if budget is None else plain(budget, "budget", "pJ", positive=True)
    if isinstance(result, Report):
        return result if goal is None else replace(result, budget=goal)
    if isinstance(result, Mapping) and not isinstance(result, Account):
        return Compared({name: _single(name, one, goal) for name, one in result.items()})
    found = _with_numbers(result)
    return Report(found, None if duration is None else float(np.asarray(duration)), goal)


def _with_numbers(result: Any) -> Result:
    """A result outside of traces."""
    if not isinstance(result, Result):
        raise ValueError(f"report() takes what joulax.energy returned, got {_hint(result)}")
    if any(isinstance(x, Tracer) for x in jax.tree.leaves(result)):
        raise ValueError(
            "report() needs numbers: return the result from the jitted function and "
            "report it outside"
        )
    return result


def _single(name: str, result: Any, budget: float | None) -> Report:
    made = report(result, budget=budget)
    if not isinstance(made, Report) or len(made.chips) > 1:
        raise ValueError(f"report({{{name!r}: …}}) puts results of one chip each side by side")
    return made


def _hint(given: Any) -> str:
    """What came instead, and the likely slip."""
    kind = type(given).__name__
    if isinstance(given, tuple) and any(isinstance(x, Account) for x in given):
        return (
            f"{kind}: what joulax.count returned is (output, account); price the second: "
            "joulax.energy(counted[1], chip)"
        )
    if isinstance(given, Account):
        return f"{kind}: price it first, joulax.energy(account, chip)"
    return kind
