"""Fitted numbers as a table."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._forms.table import NUMBER, SHARE, Column, Row, table


def fitted_parts(
    name: str,
    numbers: Mapping[str, tuple[Any, Any, float]],
    residuals: np.ndarray,
    condition: float,
) -> list[Any]:
    """Prior and fitted value with its relative error, by number, and how well they fit.

    **Arguments:**

    - `name`: of the hardware.
    - `numbers`: prior (or `None`) and fitted value [pJ, pW], relative error.
    - `residuals`: relative, one a measurement.
    - `condition`: of the measurements.
    """
    columns = [
        Column("number", "number"),
        Column("prior", "prior", NUMBER),
        Column("value", "fitted", NUMBER),
        Column("unit", "unit"),
        Column("error", "± (relative)", SHARE),
    ]
    worst = float(np.abs(residuals).max()) if len(residuals) else 0.0
    return [
        f"{name}: {len(residuals)} measurements",
        table(columns, [_row(n, *found) for n, found in numbers.items()]),
        f"largest residual {100 * worst:.1f} %; condition {condition:.3g}",
    ]


def _row(name: str, prior: Any, value: Any, error: float) -> Row:
    scale, unit = (1e-9, "mW") if name.endswith("power") else (1.0, "pJ")
    before = None if prior is None else scale * float(prior)
    return Row((name.replace("_", " "), before, scale * float(value), unit, error))
