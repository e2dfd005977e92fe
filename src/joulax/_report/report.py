"""`report`: an energy result as a table, with what one must know to quote it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from rich.table import Table

from .._fidelity.uncertainty import ranged
from .._hardware.operations import OPERATIONS
from .._hardware.provenance import bibtex, provenance
from .._hardware.result import Result
from .rendered import Rendered, joules, number, pandas, with_range
from .sources import evidence, outside_short, priced_by


@dataclass(frozen=True)
class Report(Rendered):
    """A result for people; `print` it, or show it in a notebook."""

    result: Result

    @property
    def chips(self) -> list[str]:
        """Names of the chips."""
        return list(self.result.chips)

    @property
    def samples(self) -> int:
        """Samples over which everything is averaged."""
        return int(np.size(self._total()) // len(self.chips))

    @property
    def dominant_layer(self) -> str | None:
        """The layer that costs most on average."""
        costs = {name: _mean(e) for name, e in self.result.per_layer.items()}
        return max(costs, key=lambda name: costs[name]) if costs else None

    def _total(self) -> np.ndarray:
        return np.asarray(self.result.total, np.float64)

    def parts(self) -> list[Any]:
        """Heading, table, conventions and warnings."""
        table = self._layers() if len(self.chips) == 1 else self._compared()
        return [
            self.headline(),
            table,
            *self._convention(),
            *(f"warning: {w}" for w in self.warnings()),
        ]

    def headline(self) -> str:
        """Energy of the call, or mean ± standard deviation over samples."""
        if len(self.chips) > 1:
            return f"Energy on {len(self.chips)} chips" + (
                f", mean over {self.samples} samples" if self.samples > 1 else ", one call"
            )
        total = self._total()
        mean = joules(total.mean())
        span = ranged(self.result)
        if self.samples == 1:
            return (
                f"Energy on {self.result.hardware.called}: "
                f"{with_range(total.mean(), *span) if span else mean} for this call"
            )
        known = f"; with the ranges of its prices {with_range(total.mean(), *span)}" if span else ""
        return (
            f"Energy on {self.result.hardware.called}: {mean} ± {joules(total.std())} per sample "
            f"(mean ± standard deviation over {self.samples} samples){known}"
        )

    def _operations(self) -> list[str]:
        """Operations that cost anything."""
        spent = self.result.per_operation
        return [op for op in OPERATIONS if (v := getattr(spent, op)) is not None and _mean(v) != 0]

    def _layers(self) -> Table:
        columns = self._operations()
        table = Table()
        table.add_column("layer")
        for title in (
            *(c.replace("_", " ") for c in columns),
            "total",
            "share",
            "synops",
            "spikes",
            "rate",
        ):
            table.add_column(title, justify="right")
        whole, layers = _mean(self.result.total) or 1.0, self.result.layers
        for name in self.result.order:
            spent, did = layers[name], self.result.activity[name]
            cells = [_cell(getattr(spent, op), joules) for op in columns]
            cost = _mean(spent.total)
            share = "n/a" if cost != cost else f"{100 * cost / whole:.1f} %"
            table.add_row(
                name,
                *cells,
                joules(cost),
                share,
                number(_mean(did.synops)),
                _cell(did.spikes, number),
                self._rate(name),
            )
        if self.result.static is not None:
            static = _mean(self.result.static)
            table.add_row(
                "static power",
                *[""] * len(columns),
                joules(static),
                f"{100 * static / whole:.1f} %",
                "",
                "",
                "",
            )
        sums = [_cell(getattr(self.result.per_operation, op), joules) for op in columns]
        synops = sum(_mean(a.synops) for a in self.result.activity.values())
        spikes = sum(_mean(a.spikes) for a in self.result.activity.values() if a.spikes is not None)
        table.add_section()
        table.add_row(
            "total",
            *sums,
            joules(_mean(self.result.total)),
            "100 %",
            number(synops),
            number(spikes),
            "",
        )
        return table

    def _compared(self) -> Table:
        table = Table()
        table.add_column("chip")
        for name in (
            *self.result.order,
            *(["static power"] if self.result.static is not None else []),
            "total",
        ):
            table.add_column(name, justify="right", no_wrap=True)
        for name in ("scope", "evidence", "excludes"):
            table.add_column(name)
        whose = provenance(self.result.hardware)
        for i, chip in enumerate(self.chips):
            cells = [_cell(e[i], joules) for e in self.result.per_layer.values()]
            static = (
                []
                if self.result.static is None
                else [_cell(s, joules) if _mean(s := self.result.static[i]) else "–"]
            )
            found = whose[i]
            known = (
                (found.sheet.scope, found.evidence, outside_short(found.sheet))
                if found.sheet
                else ("", "given by the user", "")
            )
            table.add_row(chip, *cells, *static, joules(_mean(self.result.total[i])), *known)
        return table

    def _rate(self, name: str) -> str:
        rate = firing_rate(self.result, name)
        return "–" if rate is None else f"{rate:.3g}"

    def rows(self) -> dict[str, dict[str, float]]:
        """Mean energies by layer and operation [pJ] of one chip, with `total` last.

        By chip and layer of several.
        """
        if len(self.chips) > 1:
            return {
                c: {n: _mean(e[i]) for n, e in self.result.per_layer.items()}
                | {"total": _mean(self.result.total[i])}
                for i, c in enumerate(self.chips)
            }
        columns = self._operations()
        table = {
            name: {op: 0.0 if (v := getattr(spent, op)) is None else _mean(v) for op in columns}
            | {"total": _mean(spent.total)}
            for name, spent in self.result.layers.items()
        }
        if self.result.static is not None:
            table["static power"] = dict.fromkeys(columns, 0.0) | {
                "total": _mean(self.result.static)
            }
        sums = {op: sum(row[op] for row in table.values()) for op in (*columns, "total")}
        return table | {"total": sums}

    def to_markdown(self) -> str:
        """The table in Markdown, energies with their units."""
        rows = self.rows()
        columns = list(next(iter(rows.values())))
        lines = [
            f"| {'chip' if len(self.chips) > 1 else 'layer'} | "
            + " | ".join(c.replace("_", " ") for c in columns)
            + " |"
        ]
        lines.append("|---" * (len(columns) + 1) + "|")
        return "\n".join(
            [
                *lines,
                *(
                    f"| {name} | " + " | ".join(joules(row[c]) for c in columns) + " |"
                    for name, row in rows.items()
                ),
            ]
        )

    def to_latex(self) -> str:
        """The table in LaTeX (`booktabs`), energies with their units."""
        rows = self.rows()
        columns = list(next(iter(rows.values())))
        safe = lambda text: text.replace("_", r"\_").replace("µ", r"\textmu{}").replace("%", r"\%")
        head = " & ".join(["", *(c.replace("_", " ") for c in columns)]) + r" \\"
        body = [
            " & ".join([safe(name), *(safe(joules(row[c])) for c in columns)]) + r" \\"
            for name, row in rows.items()
        ]
        form = "l" + "r" * len(columns)
        return "\n".join(
            [
                rf"\begin{{tabular}}{{{form}}}",
                r"\toprule",
                head,
                r"\midrule",
                *body,
                r"\bottomrule",
                r"\end{tabular}",
            ]
        )

    def to_pandas(self) -> Any:
        """The table as a `pandas.DataFrame` [pJ].

        **Raises:**

        `ImportError` with the install command, if pandas is missing.
        """
        pd = pandas()
        return pd.DataFrame.from_dict(self.rows(), orient="index")

    def to_json(self) -> str:
        """Everything in JSON.

        Energies [pJ], chip, convention, warnings; unknown energies are null.
        """
        rows = {
            n: {c: None if v != v else v for c, v in row.items()} for n, row in self.rows().items()
        }
        return json.dumps(
            {
                "unit": "pJ",
                "chips": self.chips,
                "energies": rows,
                "convention": self.convention(),
                "warnings": self.warnings(),
            }
        )

    def bibtex(self) -> str:
        """Bibliography entries behind the prices, in BibTeX."""
        return bibtex(self.result.hardware)

    def convention(self) -> str:
        """How this was counted and priced: a paragraph to paste into a paper."""
        result = self.result
        sheets = [p for p in provenance(result.hardware) if p.sheet]
        counted = "Operations were given by hand and priced with Joulax"
        if c := result.convention:
            options = ", ".join(f"{k}={v}" for k, v in c.options) or "no options"
            counted = (
                f"Operations were counted by Joulax {c.version} from the traced program "
                f"({options}; coverage {100 * c.coverage:.0f} %)"
            )
        words = [
            f"{counted}: a synaptic operation is one event reaching one existing "
            f"(nonzero) synapse, an accumulate if the event is a spike and a "
            "multiply-accumulate if it is analog; the input layer is included, and "
            "every neuron is updated at every step.",
            *map(priced_by, sheets),
        ]
        if not sheets:
            words.append(f"Prices are those of {result.hardware.called}, which has no datasheet.")
        words += [f"Assumed: {text}." for text in result.assumed]
        words.append(f"{self.headline()}.")
        return " ".join(words)

    def _convention(self) -> list[str]:
        lines = [
            "synops: one event reaching one existing synapse; zero weights and padding are none; "
            "rate: spikes per neuron and time step; energies in pJ and SI multiples of J",
        ]
        if len(self.chips) > 1:
            return lines
        if self.dominant_layer is not None:
            share = _mean(self.result.per_layer[self.dominant_layer]) / (
                _mean(self.result.total) or 1.0
            )
            lines.append(f"dominant layer: {self.dominant_layer} ({100 * share:.0f} %)")
        sheets = [p for p in provenance(self.result.hardware) if p.sheet]
        return [
            *lines,
            *(
                [line for p in sheets for line in evidence(p)]
                if sheets
                else [
                    f"{self.result.hardware.called}: no datasheet, prices are those of a "
                    "model or of the user"
                ]
            ),
        ]

    def warnings(self) -> list[str]:
        """What a reader should not miss."""
        found = []
        for name in self.result.order:
            did = self.result.activity[name]
            rate = firing_rate(self.result, name)
            if did.spikes is not None and _mean(did.spikes) == 0:
                found.append(f"layer {name!r} never fired")
            if rate is not None and rate > 1:
                found.append(
                    f"layer {name!r} fires {rate:.3g} spikes per neuron and step, more than one"
                )
        first = next(
            (n for n in self.result.order if self.result.activity[n].synapses is not None), None
        )
        spiking = any(a.ac is not None for a in self.result.activity.values())
        if first and spiking and self.result.activity[first].mac is not None:
            why = f" ({self.result.convention.why(first)})" if self.result.convention else ""
            found.append(
                f"the first layer {first!r} takes an analog input{why}: its operations are MACs"
            )
        convention = self.result.convention
        if convention and convention.uncounted:
            found.append(
                f"coverage {100 * convention.coverage:.0f} %, not counted: "
                f"{'; '.join(convention.uncounted)}"
            )
        whose = [p for p in provenance(self.result.hardware) if p.sheet]
        unsourced = [p.sheet.name for p in whose if p.sheet and p.evidence == "unsourced"]
        found += [f"{p.chip}: {p.changed}" for p in whose if p.changes]
        found += [f"assumed: {text}" for text in self.result.assumed]
        if unsourced:
            found.append(
                f"{', '.join(unsourced)}: UNSOURCED prices, nobody has published "
                f"them; do not quote these joules"
            )
        if np.isnan(self._total()).any():
            found.append("n/a: a chip has no price for an operation that occurs; it is not zero")
        return found


def firing_rate(result: Result, name: str) -> float | None:
    """Spikes per neuron and time step of a layer, or `None` without neurons that fire."""
    did = result.activity[name]
    if did.spikes is None or did.updates is None or _mean(did.updates) == 0:
        return None
    return _mean(did.spikes) / _mean(did.updates)


def _cell(value: Any, text: Callable[[float], str]) -> str:
    return "–" if value is None else text(_mean(value))


def _mean(value: Any) -> float:
    return float(np.mean(np.asarray(value, np.float64)))


def report(result: Result) -> Report:
    """A readable account of an energy result.

    **Arguments:**

    - `result`: what [`joulax.energy`][] returned, outside of `jit`; with a leading axis of samples
      the
      report gives means and the standard deviation of the total; with a stack of chips, one row a
      chip.

    **Returns:**

    A [`joulax.Report`][]: `print(report)` in a terminal, shown as HTML in a notebook.

    **Raises:**

    `ValueError` inside a trace, where there are no numbers yet.
    """
    if not isinstance(result, Result):
        raise ValueError(f"report() takes what joulax.energy returned, got {type(result).__name__}")
    if any(isinstance(x, Tracer) for x in jax.tree.leaves(result)):
        raise ValueError(
            "report() needs numbers: return the result from the jitted function and "
            "report it outside"
        )
    return Report(result)
