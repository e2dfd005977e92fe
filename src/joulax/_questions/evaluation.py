"""One account on many chips: a labelled table of energies with holes where nobody knows."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.table import Table

from .._fidelity.uncertainty import ranged
from .._hardware.catalogue import catalogue, named, sheets_of
from .._hardware.chip import Chip, Hardware
from .._hardware.energy import Result, energy
from .._hardware.operations import OPERATIONS
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
    """

    energies: np.ndarray
    chips: tuple[str, ...]
    layers: tuple[str, ...]
    operations: tuple[str, ...]
    missing: tuple[str, ...]
    ranges: tuple[tuple[float, float] | None, ...]

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
        """One row a chip."""
        table = Table()
        for title in ("chip", *self.layers[:-1], STATIC, "total", "range", "scope", "evidence"):
            table.add_column(
                title, justify="left" if title in ("chip", "scope", "evidence") else "right"
            )
        for i, chip in enumerate(self.chips):
            cells = [joules(v) for v in self.energies[i].sum(axis=1)]
            sheet = next(iter(sheets_of(chip)), None)
            span = self.ranges[i]
            known = (sheet.scope, sheet.evidence) if sheet else ("", "given by the user")
            table.add_row(
                chip,
                *cells,
                joules(self.totals[chip]),
                f"{joules(span[0])} – {joules(span[1])}" if span else "",
                *known,
            )
        holes = [
            f"n/a: {chip}: {why}" for chip, why in zip(self.chips, self.missing, strict=True) if why
        ]
        return [table, *holes]


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
    machines = [
        named(c) for c in ([n for n in catalogue() if "@" not in n] if chips is None else chips)
    ]
    if not machines:
        raise ValueError("evaluate() needs at least one chip; joulax.catalogue() lists them")
    results = [_one(account, machine, duration) for machine in machines]
    layers, columns = (*results[0].order, STATIC), (*OPERATIONS, STATIC)
    energies = np.stack([_array(r, layers) for r in results])
    used = [
        k for k in range(len(columns)) if np.any(energies[:, :, k] != 0) or k == len(columns) - 1
    ]
    return Evaluation(
        energies[:, :, used],
        tuple(m.name for m in machines),
        layers,
        tuple(columns[k] for k in used),
        tuple(_holes(e, layers, columns) for e in energies),
        tuple(ranged(r) for r in results),
    )


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


def _holes(energies: np.ndarray, layers: tuple[str, ...], columns: tuple[str, ...]) -> str:
    """What is not known, in words."""
    if np.isnan(energies[-1, -1]):
        return "draws static power, and no duration was given"
    unpriced = dict.fromkeys(columns[k] for k in np.argwhere(np.isnan(energies))[:, 1])
    where = dict.fromkeys(layers[i] for i in np.argwhere(np.isnan(energies))[:, 0])
    return f"no price for {', '.join(unpriced)} in {', '.join(where)}" if unpriced else ""


def _array(result: Result, layers: tuple[str, ...]) -> np.ndarray:
    """(layers, operations) of one chip."""
    table = np.zeros((len(layers), len(OPERATIONS) + 1))
    for i, name in enumerate(layers[:-1]):
        for k, op in enumerate(OPERATIONS):
            value = getattr(result.layers[name], op)
            table[i, k] = 0.0 if value is None else np.mean(np.asarray(value, np.float64))
    table[-1, -1] = 0.0 if result.static is None else np.mean(np.asarray(result.static, np.float64))
    return table
