"""An estimate before there is a network: shapes, and rates that are assumed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from .._activity.account import Account
from .._activity.record import Activity, activity
from .._hardware.chip import Hardware
from .._hardware.energy import energy
from .._report.report import Report
from .._report.summary import Summary, SummaryRow, summary

Rate = float | Mapping[str, float]


@dataclass(frozen=True, repr=False)
class AssumedReport(Report):
    """A report whose activity was not counted but assumed; every form of it says so."""

    assumed: str = ""

    def warnings(self) -> list[str]:
        """The assumption first."""
        return [self.assumed, *super().warnings()]


def is_shapes(inputs: Any) -> bool:
    """Whether arguments are shapes instead of arrays."""
    return any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(inputs))


def assumed_report(
    model: Callable[..., Any],
    inputs: tuple[Any, ...],
    rate: Rate | None,
    chip: Hardware,
    duration: ArrayLike | None,
    options: dict[str, Any],
) -> Report:
    """The report of a model that never ran."""
    known = {"weights", "spikes"}
    if set(options) - known:
        raise ValueError(f"on shapes, estimate() takes {', '.join(sorted(known))} and rate")
    made = summary(model, **options)(*inputs)
    rates = _rates(made, rate)
    layers = {row.name: _record(row, rates.get(row.name, 0.0)) for row in made.rows if _works(row)}
    convention = replace(made.convention, options=(("rates", "assumed"),))
    account = Account(layers, convention, tuple(layers))
    length = None if duration is None else float(np.asarray(duration))
    return AssumedReport(energy(account, chip, duration), length, assumed=_said(rates))


def _works(row: SummaryRow) -> bool:
    return bool(row.dense_ac or row.dense_mac or row.updates)


def _rates(made: Summary, rate: Rate | None) -> dict[str, float]:
    """The assumed rate of every layer that spikes reach."""
    spiking = [row.name for row in made.rows if row.dense_ac]
    if rate is None and spiking:
        raise ValueError(
            "on shapes nothing fires: assume a rate, one number or one by layer, like "
            f"rate=0.1 or rate={{{spiking[0]!r}: 0.1}}"
        )
    same: dict[str, float] = {name: rate for name in spiking if isinstance(rate, int | float)}
    given = dict(rate) if isinstance(rate, Mapping) else same
    _check(given, spiking)
    return given


def _check(given: dict[str, float], spiking: list[str]) -> None:
    """Every layer that spikes reach has a rate, and no other."""
    wrong = [n for n in given if n not in spiking]
    missing = [n for n in spiking if n not in given]
    if wrong or missing:
        raise ValueError(
            f"rate= must name the layers that spikes reach, {', '.join(spiking)}; "
            + (f"it names {', '.join(wrong)}" if wrong else f"it lacks {', '.join(missing)}")
        )
    for name, value in given.items():
        if not _is_rate(value):
            raise ValueError(f"the rate of {name} is events per input and step ≥ 0, got {value!r}")


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value < float("inf")


def _record(row: SummaryRow, rate: float) -> Activity:
    """Counts at an assumed rate; every weight exists."""
    fields: dict[str, Any] = {"neurons": row.neurons, "synapses": row.synapses}
    if row.dense_ac:
        fields |= {"ac": rate * row.dense_ac, "dense_ac": row.dense_ac}
    if row.dense_mac:
        fields |= {"mac": row.dense_mac, "dense_mac": row.dense_mac}
    if row.updates:
        fields["updates"] = row.updates
        fields |= {"spikes": rate * row.updates} if row.dense_ac else {}
    return activity(**fields, nonzero=row.synapses)


def _said(rates: dict[str, float]) -> str:
    words = ", ".join(f"{n} {v:g}" for n, v in rates.items()) or "none"
    if len(rates) > 1 and len(set(rates.values())) == 1:
        words = f"{next(iter(rates.values())):g} in every layer"
    return (
        "nothing was run: activity is assumed, events per input and step, spikes per neuron and "
        f"step: {words}; every weight exists and no analog input is zero"
    )
