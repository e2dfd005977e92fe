"""One account on many chips: a labelled table of energies with holes where nobody knows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._activity.account import named_records
from .._activity.shown import kept_axes, samples_of
from .._fidelity.uncertainty import ends
from .._forms.rendered import Rendered, pandas
from .._forms.table import Value, unique
from .._hardware.catalogue import catalogue, named
from .._hardware.chip import Chip, Hardware
from .._hardware.energy import energy
from .._hardware.figures import STATIC as STATIC_KEY
from .._hardware.operations import OPERATIONS
from .._hardware.pricing import filled
from .._hardware.provenance import Provenance, provenance
from .._hardware.result import Result
from .._hardware.variants import stack_hardware
from .._report.chips import Line, chips_table
from .._report.sources import Source, source_of
from .._report.warned import changed, partial_of, unsourced

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
    - `sources`: whose prices each chip has.
    - `partial`: whether counts, and so energies, are lower bounds.
    - `samples`: over how many the account was averaged.
    - `uncounted`: work that the account lists and does not contain.
    """

    energies: np.ndarray
    chips: tuple[str, ...]
    layers: tuple[str, ...]
    operations: tuple[str, ...]
    missing: tuple[str, ...]
    ranges: tuple[tuple[float, float] | None, ...]
    sources: tuple[Source, ...]
    partial: bool = False
    samples: int = 1
    uncounted: tuple[str, ...] = ()

    @property
    def totals(self) -> dict[str, float]:
        """Total of each chip [pJ]; NaN where something is missing."""
        return dict(zip(self.chips, self.energies.sum(axis=(1, 2)).tolist(), strict=True))

    def sorted(self) -> "Evaluation":
        """The cheapest chip first, unknown totals last."""
        totals = list(self.totals.values())
        order = sorted(range(len(totals)), key=lambda i: (totals[i] != totals[i], totals[i]))
        pick = lambda labels: tuple(labels[i] for i in order)
        return replace(
            self,
            energies=self.energies[order],
            chips=pick(self.chips),
            missing=pick(self.missing),
            ranges=pick(self.ranges),
            sources=pick(self.sources),
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

    def _rows(self) -> tuple[str, ...]:
        return unique(self.layers)

    def lines(self) -> list[Line]:
        """One line a chip."""
        spent = self.energies.sum(axis=1)
        names = [STATIC_KEY if op == STATIC else op for op in self.operations]
        return [
            Line(source, dict(zip(names, row.tolist(), strict=True)), _total(row.sum(), span))
            for source, row, span in zip(self.sources, spent, self.ranges, strict=True)
        ]

    def parts(self) -> list[Any]:
        """One line a chip, grouped by what a total contains; why some have no total."""
        reasons = zip(self.chips, self.missing, strict=True)
        holes = [f"n/a: {c}: {why.removeprefix(f'{c}: ')}" for c, why in reasons if why]
        averaged = f", mean of {self.samples} samples" if self.samples > 1 else ""
        work = "one inference" if self.samples > 1 else "one call"
        warned = [*unsourced(self.sources), *changed(self.sources)]
        return [
            f"Energy of {work} on {len(self.chips)} chips{averaged}",
            chips_table(self.lines(), self.partial),
            "totals of different scopes contain different things",
            *(f"warning: {said}" for said in warned),
            *(f"not counted: {work}" for work in self.uncounted),
            *holes,
        ]

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a chip and layer: energies [pJ] by operation, marks, why a hole is one."""
        found = []
        sources = zip(unique(self.chips), self.sources, self.missing, strict=True)
        for i, (chip, source, why) in enumerate(sources):
            marks = {
                "bound": "≥" if self.partial else "=",
                "scope": source.scope,
                "evidence": source.evidence,
                "verified": source.verified,
                "changed": source.changed,
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
    account: Any,
    chips: Sequence[str | Hardware] | None = None,
    duration: Any = None,
    *,
    batch: Any = None,
) -> Evaluation:
    """Price one account on many chips, by layer and operation.

    **Arguments:**

    - `account`: an account, or any pytree of records; samples on leading axes are averaged.
    - `chips`: names of the catalogue or hardware of any class; every target of the catalogue by
      default. Chips without a price for what occurs, and sheets that price nothing, are holes.
    - `duration`: length of the call [s]; without it, chips with static power are holes.
    - `batch`: samples that share a call; without it, chips with an energy per call are holes.

    **Returns:**

    A [`joulax.Evaluation`][]: `print` it, sort it, or take `to_pandas()`.

    **Raises:**

    `ValueError` for no chips, an unknown name, or a number that makes no sense.
    """
    wanted = _wanted(chips)
    records = named_records(account)
    layers = unique([*records, STATIC])
    shape = (len(wanted), len(layers), len(_NUMBERS))
    known, priced, refused = _attempted(account, wanted, (duration, batch), shape[1])
    rows = {i: _hole(str(wanted[i]), why) for i, why in refused.items()}
    energies = np.zeros(shape)
    energies[list(rows), -1, -1] = np.nan
    for at, result, table in priced:
        energies[at] = table
        for i, found in zip(at, provenance(result.hardware), strict=True):
            rows[i] = _row(found, energies[i], layers)
    used = [*np.flatnonzero(np.any(energies[:, :, :-1] != 0, axis=(0, 1))), len(_NUMBERS) - 1]
    energies[list(refused)] = np.nan
    missing, ranges, sheets = zip(*(rows[i] for i in range(len(wanted))), strict=True)
    names = [known[i].called if i in known else str(chip) for i, chip in enumerate(wanted)]
    columns = (*OPERATIONS, STATIC)
    return Evaluation(
        energies[:, :, used],
        unique(names),
        layers,
        tuple(columns[k] for k in used),
        missing,
        ranges,
        sheets,
        partial_of(account),
        samples_of(records, kept_axes(records, getattr(account, "convention", None))),
        getattr(getattr(account, "convention", None), "uncounted", ()),
    )


Row = tuple[str, tuple[float, float] | None, Source]


def _wanted(chips: Any) -> list[Any]:
    """The chips that are asked for: by default every target of the catalogue."""
    if chips is None:
        return [n for n in catalogue() if "@" not in n]
    wanted = [chips] if isinstance(chips, str | Hardware) else list(chips)
    if not wanted:
        raise ValueError("evaluate() needs at least one chip; joulax.catalogue() lists them")
    return wanted


def _row(found: Provenance, energies: np.ndarray, layers: tuple[str, ...]) -> Row:
    """What is missing, the range of the total, and the scope and evidence of one chip."""
    spent = dict(zip(_NUMBERS, energies.sum(axis=0).tolist(), strict=True))
    missing = _holes(energies, layers)
    return missing, None if missing else ends(found, spent), source_of(found)


def _hole(name: str, why: str) -> Row:
    return why, None, Source(name, "no prices", "no prices")


_NUMBERS = (*OPERATIONS, "static_power")


def _known(wanted: Sequence[Any]) -> tuple[dict[int, Hardware], dict[int, str]]:
    """Chips that can be priced, and for names of the catalogue that cannot, why."""
    known, refused = {}, {}
    targets = {n.split("@")[0] for n in catalogue(priced=None)} | {*catalogue(priced=None)}
    for i, chip in enumerate(wanted):
        try:
            known[i] = named(chip)
        except ValueError as error:
            if chip not in targets:
                raise
            refused[i] = str(error)
    return known, refused


def _alike(known: dict[int, Hardware]) -> list[tuple[list[int], list[Hardware]]]:
    """All chips of the catalogue are one stack; models are priced one by one."""
    chips = [i for i, h in known.items() if isinstance(h, Chip)]
    alone = [([i], [h]) for i, h in known.items() if not isinstance(h, Chip)]
    return [(chips, [known[i] for i in chips]), *alone] if chips else alone


Priced = tuple[list[int], Result, np.ndarray]  # chips of one group by number


def _attempted(
    account: Any, wanted: Sequence[Any], given: tuple[Any, Any], layers: int
) -> tuple[dict[int, Hardware], list[Priced], dict[int, str]]:
    """The chips, what they price, and why some do not; if none does, the first reason is raised."""
    known, without = _known(wanted)
    priced, refused = _all_priced(account, known, given, layers)
    if refused and not priced:
        raise next(iter(refused.values()))
    return known, priced, without | {i: str(error) for i, error in refused.items()}


def _all_priced(
    account: Any, known: dict[int, Hardware], given: tuple[Any, Any], layers: int
) -> tuple[list[Priced], dict[int, ValueError]]:
    """Groups of chips that price the account; single ones where a group does not."""
    found: list[Priced] = []
    refused: dict[int, ValueError] = {}
    for at, machines in _alike(known):
        try:
            found.append((at, *_priced(account, machines, *given, layers)))
        except ValueError as error:
            if len(at) == 1:
                refused[at[0]] = error
                continue
            parts = [_all_priced(account, {i: known[i]}, given, layers) for i in at]
            found += [p for part, _ in parts for p in part]
            refused |= {i: error for _, errors in parts for i, error in errors.items()}
    return found, refused


def _priced(
    account: Any, machines: list[Hardware], duration: Any, batch: Any, layers: int
) -> tuple[Result, np.ndarray]:
    """Energies (chips, layers and static, operations and static) in which the unknown is NaN."""
    chips = filled(stack_hardware(machines), np.nan)
    result = energy(account, chips, 0.0 if duration is None else duration, batch=batch or 1.0)
    table = np.zeros((len(machines), layers, len(_NUMBERS)))
    at = {name: i for i, name in enumerate(result.order)}
    for group in result.priced:
        rows = np.array([at[name] for name in group.names])
        for k, op in enumerate(OPERATIONS):
            if (value := getattr(group.energy, op)) is not None:
                spent = np.asarray(value, np.float64)
                table[:, rows, k] = spent.reshape(len(machines), -1, len(rows)).mean(1)
    if result.static is not None:
        static = np.asarray(result.static, np.float64)
        table[:, -1, -1] = static.reshape(len(machines), -1).mean(1)
    table[[_untold(m, duration, batch) for m in machines], -1, -1] = np.nan
    return result, table


def _untold(machine: Hardware, duration: Any, batch: Any) -> bool:
    """Whether a chip needs the duration or the batch, which was not given."""
    timed = machine.static_power is not None and duration is None
    return timed or (machine.call is not None and batch is None)


def _holes(energies: np.ndarray, layers: tuple[str, ...]) -> str:
    """What is not known, in words."""
    if np.isnan(energies[-1, -1]):
        return "draws static power or spends energy a call: give duration=, batch="
    unpriced = dict.fromkeys(_NUMBERS[k] for k in np.argwhere(np.isnan(energies))[:, 1])
    where = list(dict.fromkeys(layers[i] for i in np.argwhere(np.isnan(energies))[:, 0]))
    few = ", ".join(where[:3]) + (f" and {len(where) - 3} more" if len(where) > 3 else "")
    return f"no price for {', '.join(unpriced)} in {few}" if unpriced else ""
