"""One account on many chips: a labelled table of energies with holes where nobody knows."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._activity.account import named_records
from .._activity.shown import kept_axes, samples_of
from .._fidelity.uncertainty import ranged
from .._forms.rendered import Rendered, pandas
from .._forms.table import Value, unique
from .._hardware.catalogue import catalogue, datasheet, named, sheets_of
from .._hardware.chip import Chip, Hardware
from .._hardware.energy import Result, energy
from .._hardware.operations import OPERATIONS
from .._report.chips import STATIC as STATIC_KEY, Line, chips_table
from .._report.sources import Source
from .._report.warned import partial_of

STATIC = "static power"


@dataclass(frozen=True, repr=False)
class Evaluation(Rendered):
    """Energies by chip, layer and operation [pJ]; NaN where a chip has no price for what occurs.

    **Attributes:**

    - `energies`: (chips, layers, operations); the last layer is the chip itself, the last operation
      its static power.
    - `chips`, `layers`, `operations`: the labels.
    - `missing`: for each chip, why its total is not known, or nothing.
    - `ranges`: low and high end of each total [pJ], where published.
    - `partial`: whether counts, and so energies, are lower bounds.
    - `samples`: over how many the account was averaged.
    """

    energies: np.ndarray
    chips: tuple[str, ...]
    layers: tuple[str, ...]
    operations: tuple[str, ...]
    missing: tuple[str, ...]
    ranges: tuple[tuple[float, float] | None, ...]
    partial: bool = False
    samples: int = 1

    @property
    def totals(self) -> dict[str, float]:
        """Total of each chip [pJ]; NaN where something is missing."""
        totals = self.energies.sum(axis=(1, 2)).tolist()
        return dict(zip(unique(self.chips), totals, strict=True))

    def sorted(self) -> "Evaluation":
        """The cheapest chip first, unknown totals last."""
        totals = list(self.totals.values())
        order = sorted(range(len(totals)), key=lambda i: (totals[i] != totals[i], totals[i]))
        pick = lambda labels: tuple(labels[i] for i in order)
        return Evaluation(
            self.energies[order],
            pick(self.chips),
            self.layers,
            self.operations,
            pick(self.missing),
            pick(self.ranges),
            self.partial,
            self.samples,
        )

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with one row a chip and layer, one column an operation [pJ].

        **Raises:**

        `ImportError` with the install command, if pandas is missing.
        """
        pd = pandas()
        rows = [
            (*labels, *spent)
            for labels, spent in zip(
                [(c, n) for c in unique(self.chips) for n in self._rows()],
                self.energies.reshape(-1, len(self.operations)).tolist(),
                strict=True,
            )
        ]
        frame = pd.DataFrame(rows, columns=["chip", "layer", *self.operations])
        return frame.set_index(["chip", "layer"])

    def _rows(self) -> list[str]:
        return unique(self.layers)

    def sources(self) -> list[Source]:
        """Whose prices these are, by chip."""
        return [Source(chip, next(iter(sheets_of(chip)), None)) for chip in self.chips]

    def lines(self) -> list[Line]:
        """One line a chip."""
        spent = self.energies.sum(axis=1)
        names = [STATIC_KEY if op == STATIC else op for op in self.operations]
        return [
            Line(source, dict(zip(names, row.tolist(), strict=True)), _total(row.sum(), span))
            for source, row, span in zip(self.sources(), spent, self.ranges, strict=True)
        ]

    def parts(self) -> list[Any]:
        """One line a chip, grouped by what a total contains; why some have no total."""
        lines = self.lines()
        holes = [
            f"n/a: {chip}: {why}" for chip, why in zip(self.chips, self.missing, strict=True) if why
        ]
        averaged = f", mean of {self.samples} samples" if self.samples > 1 else ""
        work = "one inference" if self.samples > 1 else "one call"
        unsourced = [line.source.chip for line in lines if line.source.unsourced]
        warned = f"{', '.join(unsourced)}: UNSOURCED prices, nobody has published them"
        return [
            f"Energy of {work} on {len(self.chips)} chips{averaged}",
            chips_table(lines, self.partial),
            "totals of different scopes contain different things",
            *([f"warning: {warned}; do not quote these joules"] if unsourced else []),
            *holes,
        ]

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a chip and layer: energies [pJ] by operation, marks, why a hole is one."""
        found = []
        sources = zip(unique(self.chips), self.sources(), self.missing, strict=True)
        for i, (chip, source, why) in enumerate(sources):
            marks = {
                "bound": "≥" if self.partial else "=",
                "scope": source.scope,
                "evidence": source.evidence,
                "verified": source.verified,
                "missing": why,
            }
            for name, spent in zip(self._rows(), self.energies[i], strict=True):
                energies = dict(zip(self.operations, spent.tolist(), strict=True))
                total = {"total": float(spent.sum())}
                found.append({"chip": chip, "layer": name, **energies, **total, **marks})
        return found

    def scalars(self) -> dict[str, float]:
        """Totals by chip [pJ], for loggers; unknown ones are NaN."""
        return {f"{chip}/energy_pj": total for chip, total in self.totals.items()}


def _total(value: float, span: tuple[float, float] | None) -> Value:
    low, high = span or (None, None)
    return Value(float(value), low=low, high=high)


def evaluate(
    account: Any, chips: Sequence[str | Hardware] | None = None, duration: Any = None
) -> Evaluation:
    """Price one account on many chips, by layer and operation.

    **Arguments:**

    - `account`: an account, or any pytree of records; samples on leading axes are averaged.
    - `chips`: names of the catalogue or hardware of any class; every target of the catalogue by
      default.
    - `duration`: length of the call [s]; without it, chips with static power are holes.

    **Returns:**

    A [`joulax.Evaluation`][]: `print` it, sort it, or take `to_pandas()`.
    """
    targets = [n for n in catalogue() if "@" not in n] if chips is None else chips
    machines = [_named(c) for c in targets]
    if not machines:
        raise ValueError("evaluate() needs at least one chip; joulax.catalogue() lists them")
    records = named_records(account)
    results = [None if isinstance(m, str) else _one(account, m, duration) for m in machines]
    layers, columns = (*records, STATIC), (*OPERATIONS, STATIC)
    energies = np.stack([_array(r, layers) for r in results])
    used = np.any(energies != 0, axis=(0, 1)) | (np.arange(len(columns)) == len(columns) - 1)
    return Evaluation(
        energies[:, :, used],
        tuple(getattr(m, "name", m) for m in machines),
        layers,
        tuple(c for c, u in zip(columns, used, strict=True) if u),
        tuple(map(functools.partial(_holes, layers, columns), results, energies)),
        tuple(map(_range, results)),
        partial_of(account),
        samples_of(records, kept_axes(records, getattr(account, "convention", None))),
    )


_FACTS = "nobody has published what its operations cost; joulax.datasheet(name) has the facts"


def _named(chip: str | Hardware) -> Any:
    """The chip, or its name where a datasheet only states facts."""
    if isinstance(chip, str) and not datasheet(chip).priced:
        return chip
    return named(chip)


def _one(account: Any, machine: Hardware, duration: Any) -> Result:
    """A result in which what is not known is NaN."""
    time = jnp.nan if duration is None else duration
    if not isinstance(machine, Chip):
        return energy(account, machine, time)
    unknown = {
        op: jnp.nan
        for op in OPERATIONS
        if getattr(machine.costs, op) is None and op != "neuron_seconds"
    }
    return energy(
        account,
        dataclasses.replace(machine, costs=dataclasses.replace(machine.costs, **unknown)),
        time,
    )


def _range(result: Result | None) -> tuple[float, float] | None:
    return None if result is None else ranged(result)


def _holes(
    layers: tuple[str, ...], columns: tuple[str, ...], result: Result | None, energies: np.ndarray
) -> str:
    """What is not known, in words."""
    if result is None:
        return _FACTS
    if np.isnan(energies[-1, -1]):
        return "draws static power, and no duration was given"
    unpriced = dict.fromkeys(columns[k] for k in np.argwhere(np.isnan(energies))[:, 1])
    where = dict.fromkeys(layers[i] for i in np.argwhere(np.isnan(energies))[:, 0])
    return f"no price for {', '.join(unpriced)} in {', '.join(where)}" if unpriced else ""


def _array(result: Result | None, layers: tuple[str, ...]) -> np.ndarray:
    """(layers, operations) of one chip; nothing is known of a chip without prices."""
    table = np.zeros((len(layers), len(OPERATIONS) + 1))
    if result is None:
        table[-1, -1] = np.nan
        return table
    spent = jax.device_get(result).layers
    for i, name in enumerate(layers[:-1]):
        for k, op in enumerate(OPERATIONS):
            value = getattr(spent[name], op)
            table[i, k] = 0.0 if value is None else np.mean(np.asarray(value, np.float64))
    table[-1, -1] = 0.0 if result.static is None else np.mean(np.asarray(result.static, np.float64))
    return table
