"""Fitted numbers as a table."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._forms.table import NUMBER, SHARE, Column, Row, table
from .._hardware.variants import Path, get


def fitted_parts(fit: Any, at: Mapping[str, Path]) -> list[Any]:
    """Prior and fitted value with its relative error, by number, and how well they fit.

    **Arguments:**

    - `fit`: a [`joulax.Calibration`][].
    - `at`: where each number stands in its hardware.
    """
    columns = [
        Column("number", "number"),
        Column("prior", "prior", NUMBER),
        Column("value", "fitted", NUMBER),
        Column("unit", "unit"),
        Column("error", "± (relative)", SHARE),
    ]
    of = lambda chip, name: None if chip is None else get(chip, at[name])
    errors = fit.relative_errors
    rows = [_row(n, of(fit.prior, n), of(fit.chip, n), errors[n]) for n in fit.names]
    worst = float(np.abs(fit.residuals).max()) if len(fit.residuals) else 0.0
    return [
        f"{fit.chip.called}: {len(fit.residuals)} measurements",
        table(columns, rows),
        f"largest residual {100 * worst:.1f} %; condition {fit.condition:.3g}",
    ]


def _row(name: str, prior: Any, value: Any, error: float) -> Row:
    scale, unit = (1e-9, "mW") if name.endswith("power") else (1.0, "pJ")
    before = None if prior is None else scale * float(prior)
    return Row((name.replace("_", " "), before, scale * float(value), unit, error))
