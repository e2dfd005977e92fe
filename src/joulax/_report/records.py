"""A result as flat data: records for files, scalars for loggers."""

from typing import Any

import numpy as np

from .._activity.shown import COUNTS
from .._forms.table import unique
from .._hardware.figures import Figures, Layer
from .sources import Source

NAN = float("nan")


def records_of(
    figures: Figures, sources: tuple[Source, ...], partial: bool
) -> list[dict[str, Any]]:
    """One dictionary a chip and layer; then static power and the total, told apart by `row`."""
    found, names = [], unique([layer.name for layer in figures.layers])
    for i, (chip, source) in enumerate(zip(unique(figures.chips), sources, strict=True)):
        marks = {
            "bound": "≥" if partial else "=",
            "scope": source.scope,
            "evidence": source.evidence,
            "verified": source.verified,
        }
        rows = [
            {"chip": chip, "layer": name, "row": "layer", **_numbers(figures, layer, i)}
            for name, layer in zip(names, figures.layers, strict=True)
        ]
        if figures.static is not None:
            static = float(figures.static[i])
            rows.append({"chip": chip, "layer": "static power", "row": "static", "total": static})
        rows.append({"chip": chip, "layer": "total", "row": "total", **_sums(figures, i)})
        found += [r | marks for r in rows]
    return found


def _numbers(figures: Figures, layer: Layer, i: int) -> dict[str, Any]:
    energies = {
        op: float(layer.energies[op][i]) if op in layer.energies else 0.0 for op in figures.columns
    }
    counts = {f"{f}_count" if f in energies else f: _or_nan(layer.did[f]) for f in COUNTS}
    return {
        **energies,
        "total": float(layer.total[i]),
        "std": float(layer.std[i]),
        "synops": _or_nan(layer.synops),
        **counts,
        "sparsity": _or_nan(layer.sparsity),
        "rate": _or_nan(layer.rate),
    }


def _sums(figures: Figures, i: int) -> dict[str, Any]:
    energies = {op: float(figures.operations[op][i]) for op in figures.columns}
    counts = {f"{f}_count" if f in energies else f: _or_nan(figures.summed(f)) for f in COUNTS}
    synops = [s for layer in figures.layers if (s := layer.synops) is not None]
    return {
        **energies,
        "total": float(figures.total[i].mean()),
        "std": float(figures.total[i].std()),
        "synops": sum(synops) if synops else NAN,
        **counts,
    }


def scalars_of(figures: Figures, partial: bool) -> dict[str, float]:
    """Numbers by a path: totals first, then by operation and by layer."""
    found: dict[str, float] = {}
    several = len(figures.chips) > 1
    for i, chip in enumerate(unique(figures.chips)):
        head = f"{chip}/" if several else ""
        found |= {f"{head}energy_pj{path}": e for path, e in _energies(figures, i).items()}
    found["synops"] = float(np.sum([layer.synops or 0.0 for layer in figures.layers]))
    for layer in figures.layers:
        found |= {f"{k}/layer/{layer.name}": v for k, v in _activity(layer).items()}
    return found | ({"partial": 1.0} if partial else {})


def _energies(figures: Figures, i: int) -> dict[str, float]:
    """Energies of one chip [pJ]: the total, then by operation and by layer."""
    found = {"": float(figures.total[i].mean())}
    found |= {f"/operation/{op}": float(figures.operations[op][i]) for op in figures.columns}
    if figures.static is not None:
        found["/static_power"] = float(figures.static[i])
    return found | {f"/layer/{layer.name}": float(layer.total[i]) for layer in figures.layers}


def _activity(layer: Layer) -> dict[str, float]:
    """What a layer did, as far as it is known."""
    numbers = {
        "synops": layer.synops,
        "spikes": layer.did["spikes"],
        "rate": layer.rate,
        "sparsity": layer.sparsity,
    }
    return {k: v for k, v in numbers.items() if v is not None}


def _or_nan(x: float | None) -> float:
    return NAN if x is None else x
