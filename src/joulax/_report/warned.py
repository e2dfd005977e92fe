"""What a reader of a report should not miss."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._forms.units import joules
from .._hardware.figures import Figures
from .._hardware.result import Result
from .sources import Source


def partial_of(result: Any) -> bool:
    """Whether synapses stand in no record: every number is a lower bound."""
    convention = getattr(result, "convention", None)
    return bool(convention is not None and convention.partial)


def against(spent: float, budget: float, silent: float) -> str:
    """How much of a budget is spent, and whether it can be met by spiking less at all [pJ]."""
    below = f"; it is below the floor: {joules(silent)} in silence" if budget < silent else ""
    return f"{100 * spent / budget:.0f} % of the budget{below}"


def warnings_of(result: Result, figures: Figures, sources: tuple[Source, ...]) -> list[str]:
    """One sentence each."""
    did = [*_partial(result), *_firing(figures), *_fractions(result), *_analog(result)]
    return [*did, *_prices(figures, sources)]


def changed(sources: Sequence[Source]) -> Iterator[str]:
    """Prices that are no longer those of a sheet."""
    return (f"{s.chip}: {s.changed}" for s in sources if s.changed)


def unsourced(sources: Sequence[Source]) -> Iterator[str]:
    """Prices that nobody has published."""
    chips = [s.chip for s in sources if s.unsourced]
    if chips:
        yield (
            f"{', '.join(chips)}: UNSOURCED prices, nobody has published them; "
            "do not quote these joules"
        )


def _partial(result: Result) -> Iterator[str]:
    convention = result.convention
    if convention is None:
        return
    if convention.partial:
        yield (
            f"every number is a lower bound (≥): synapses that stand in no record: "
            f"{'; '.join(convention.lost)}"
        )
    if convention.uncounted:
        yield (
            f"coverage {100 * convention.coverage:.0f} %, not counted: "
            f"{'; '.join(convention.uncounted)}"
        )


def _firing(figures: Figures) -> Iterator[str]:
    for layer in figures.layers:
        if layer.did["spikes"] == 0:
            yield f"layer {layer.name!r} never fired"
        if layer.rate is not None and layer.rate > 1:
            yield (
                f"layer {layer.name!r} fires {layer.rate:.3g} spikes per neuron and step, "
                "more than one"
            )


def _fractions(result: Result) -> Iterator[str]:
    """What was declared as spikes and is not: fewer events than inputs that are not zero."""
    whole = lambda counts: bool(np.all(np.asarray(counts) % 1 == 0))
    for name in result.order:
        record = result.activity[name]
        if record.ac is None or record.ac_graded is None:
            continue
        less = bool(np.any(np.asarray(record.ac) < np.asarray(record.ac_graded)))
        if less or (whole(record.ac_graded) and not whole(record.ac)):
            yield (
                f"layer {name!r} met fractions of events: what is declared as spikes holds other "
                "numbers than 0, 1, 2, …; is it analog?"
            )


def _analog(result: Result) -> Iterator[str]:
    records = result.activity
    first = next((n for n in result.order if records[n].synapses is not None), None)
    if first is None or records[first].mac is None:
        return
    if any(a.ac is not None for a in records.values()):
        why = f" ({result.convention.why(first)})" if result.convention else ""
        yield f"the first layer {first!r} takes an analog input{why}: its operations are MACs"


def _prices(figures: Figures, sources: tuple[Source, ...]) -> Iterator[str]:
    yield from changed(sources)
    yield from unsourced(sources)
    remembered = [s.chip for s in sources if "from memory" in s.verified and not s.unsourced]
    if remembered:
        yield f"{', '.join(remembered)}: prices from memory, not checked against their source"
    if np.isnan(figures.total).any():
        yield "n/a: a chip has no price for an operation that occurs; it is not zero"
