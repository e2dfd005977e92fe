"""One account on many chips: a labelled table of energies with holes where nobody knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from .._activity.account import named_records, unique
from .._fidelity.uncertainty import ends
from .._hardware.catalogue import catalogue, named
from .._hardware.chip import Chip, Hardware
from .._hardware.energy import energy
from .._hardware.operations import OPERATIONS
from .._hardware.pricing import filled
from .._hardware.provenance import Provenance, provenance
from .._hardware.result import Result
from .._hardware.variants import stack_hardware
from .._report.rendered import Rendered, joules, pandas

STATIC = "static power"


@dataclass(frozen=True)
class Evaluation(Rendered):
    """Energies by chip, layer and operation [pJ]; NaN where a chip has no price for what occurs.

    **Attributes:**

    - `energies`: (chips, layers, operations); the last layer is the chip itself, the last operation
      its static power.
    - `chips`, `layers`, `operations`: the labels.
    - `missing`: for each chip, why its total is not known, or nothing.
    - `ranges`: low and high end of each total [pJ], where published.
    - `sheets`: scope and evidence of each chip.
    """

    energies: np.ndarray
    chips: tuple[str, ...]
    layers: tuple[str, ...]
    operations: tuple[str, ...]
    missing: tuple[str, ...]
    ranges: tuple[tuple[float, float] | None, ...]
    sheets: tuple[tuple[str, str], ...]

    @property
    def totals(self) -> dict[str, float]:
        """Total of each chip [pJ]; NaN where something is missing."""
        return dict(zip(self.chips, self.energies.sum(axis=(1, 2)).tolist(), strict=True))

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
            pick(self.sheets),
        )

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with one row a chip and layer, one column an operation [pJ].

        **Raises:**

        `ImportError` with the install command, if pandas is missing.
        """
        pd = pandas()
        index = pd.MultiIndex.from_product([self.chips, self.layers], names=["chip", "layer"])
        return pd.DataFrame(
            self.energies.reshape(-1, len(self.operations)),
            index=index,
            columns=list(self.operations),
        )

    def parts(self) -> list[Any]:
        """One row a chip; many layers are one column."""
        few = len(self.layers) <= 9
        parts = (*self.layers[:-1], STATIC) if few else ("all layers", STATIC)
        table = Table()
        for title in ("chip", *parts, "total", "range", "scope", "evidence"):
            table.add_column(
                Text(title), justify="left" if title in ("chip", "scope", "evidence") else "right"
            )
        for i, chip in enumerate(self.chips):
            costs = self.energies[i].sum(axis=1)
            cells = costs if few else (costs[:-1].sum(), costs[-1])
            span = self.ranges[i]
            table.add_row(
                Text(chip),
                *map(joules, cells),
                joules(self.totals[chip]),
                f"{joules(span[0])} – {joules(span[1])}" if span else "",
                *self.sheets[i],
            )
        reasons = zip(self.chips, self.missing, strict=True)
        holes = [f"n/a: {c}: {why.removeprefix(f'{c}: ')}" for c, why in reasons if why]
        return [table, *holes]


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
    wanted = [n for n in catalogue() if "@" not in n] if chips is None else list(chips)
    if not wanted:
        raise ValueError("evaluate() needs at least one chip; joulax.catalogue() lists them")
    known, refused = _known(wanted)
    layers = unique([*named_records(account), STATIC])
    rows = {i: _hole(why) for i, why in refused.items()}
    shape = (len(wanted), len(layers), len(_NUMBERS))
    energies = np.full(shape, np.nan)
    for at, machines in _alike(known):
        result, energies[at] = _priced(account, machines, duration, batch, shape[1])
        for i, found in zip(at, provenance(result.hardware), strict=True):
            rows[i] = _row(found, energies[i], layers)
    used = [*np.flatnonzero(np.any(energies[:, :, :-1] != 0, axis=(0, 1))), len(_NUMBERS) - 1]
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
    )


Row = tuple[str, tuple[float, float] | None, tuple[str, str]]


def _row(found: Provenance, energies: np.ndarray, layers: tuple[str, ...]) -> Row:
    """What is missing, the range of the total, and the scope and evidence of one chip."""
    spent = dict(zip(_NUMBERS, energies.sum(axis=0).tolist(), strict=True))
    known = (found.sheet.scope if found.sheet else "", found.evidence)
    missing = _holes(energies, layers)
    return missing, None if missing else ends(found, spent), known


def _hole(why: str) -> Row:
    return why, None, ("", "no prices")


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
