"""Prices from measurements.

Fit the costs of a chip to measured energies, with the catalogue as prior.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from .._activity.record import number
from .._forms.rendered import Rendered
from .._forms.table import NUMBER, SHARE, Column, Row, table
from .._hardware.catalogue import named
from .._hardware.chip import Chip
from .._hardware.energy import energy
from .._hardware.operations import OPERATIONS

STATIC = "static_power"


@dataclass(frozen=True, repr=False)
class Calibration(Rendered):
    """Fitted prices and how sure they are.

    **Attributes:**

    - `chip`: the chip with fitted prices [pJ] and static power [pW].
    - `names`: the fitted prices, in the order of the covariance.
    - `covariance`: of the logarithms of the prices: its diagonal holds squared relative errors.
    - `condition`: condition number of the measurements, prior excluded; above 1000 some prices
      cannot be told apart.
    - `residuals`: (predicted − measured) / measured, one for each measurement.
    """

    chip: Chip
    names: tuple[str, ...]
    covariance: np.ndarray
    condition: float
    residuals: np.ndarray

    @property
    def relative_errors(self) -> dict[str, float]:
        """Standard deviation of each price, relative."""
        return {
            n: float(np.sqrt(v)) for n, v in zip(self.names, np.diag(self.covariance), strict=True)
        }

    def parts(self) -> list[Any]:
        """What is printed: fitted prices with their errors, and how well they fit."""
        columns = [
            Column("number", "number"),
            Column("value", "fitted", NUMBER),
            Column("unit", "unit"),
            Column("error", "± (relative)", SHARE),
        ]
        errors, costs = self.relative_errors, self.chip.costs
        rows = [
            Row(
                (
                    name.replace("_", " "),
                    float(getattr(costs, name, None) or getattr(self.chip, name)),
                    "pW" if name == STATIC else "pJ",
                    errors[name],
                )
            )
            for name in self.names
        ]
        worst = float(np.abs(self.residuals).max()) if len(self.residuals) else 0.0
        return [
            f"{self.chip.name}: {len(self.residuals)} measurements",
            table(columns, rows),
            f"largest residual {100 * worst:.1f} %; condition {self.condition:.3g}",
        ]

    def sample(self, key: Array, samples: int = 1000) -> Chip:
        """The chip many times, its prices drawn together from the fitted distribution.

        Leaves of shape (samples,).
        """
        spread = jax.random.multivariate_normal(
            key,
            jnp.zeros(len(self.names)),
            jnp.asarray(self.covariance, jnp.result_type(float)),
            (samples,),
            method="svd",
        )
        return _priced(self.chip, dict(zip(self.names, jnp.exp(spread).T, strict=True)), (samples,))


def calibrate(
    accounts: Sequence[Any],
    measured_pj: ArrayLike | Sequence[float],
    prior: str | Chip,
    *,
    durations: ArrayLike | Sequence[float] | None = None,
    noise: float = 0.1,
    trust: float = 1.0,
) -> Calibration:
    r"""Fit the prices of a chip to measured energies.

    Prices are $c = c_0 e^u$, so they cannot become negative, and $u$ minimises

    $$\sum_i \left(\frac{E_i(u) - m_i}{\sigma\, |m_i|}\right)^2
    + \sum_k \left(\frac{u_k}{\tau}\right)^2.$$

    **Arguments:**

    - `accounts`: one account (or pytree of records) for each measurement, with scalar counts.
    - `measured_pj`: measured energies [pJ], in the same scope as the prior: dynamic if it has no
      static power.
    - `prior`: where prices start, by name or as a chip; those that are zero or that no account uses
      stay.
    - `durations`: length of each measurement [s], where the prior has static power.
    - `noise`: relative error of a measurement, σ; published ones repeat to 10–15 %.
    - `trust`: how far a price may be from the prior, τ, in natural logarithms: 1 is a factor of
      2.7.

    **Returns:**

    A [`joulax.Calibration`][]; its `covariance` and `sample` carry the uncertainty into `energy`.

    **Raises:**

    `ValueError` if the numbers of accounts, energies and durations differ, or nothing is to be
    fitted.

    **Warns:**

    `UserWarning` by name, if prices cannot be told apart or a measured energy is negative (dynamic
    energy
    is a difference of two readings: the measurement is left out).
    """
    chip, measured = named(prior), np.asarray(measured_pj, np.float64).reshape(-1)
    if len(accounts) != len(measured):
        raise ValueError(
            f"calibrate() takes one measured energy for each account, got "
            f"{len(accounts)} accounts and {len(measured)} energies"
        )
    times = (
        [None] * len(measured)
        if durations is None
        else list(np.broadcast_to(np.asarray(durations, np.float64), measured.shape))
    )
    results = [energy(a, chip, t) for a, t in zip(accounts, times, strict=True)]
    names, design = _design(results)
    negative = [i for i, m in enumerate(measured) if not m > 0]
    if negative:
        warnings.warn(
            (
                f"measurements {negative} are not positive ({measured[negative]} pJ): "
                f"idle was above running, they are left out"
            ),
            stacklevel=2,
        )
    rows = measured > 0
    design, kept = design[rows], measured[rows]
    if not len(names) or not len(kept):
        raise ValueError(
            "calibrate() has nothing to fit: no positive measurement, or no operation with a price"
        )
    condition = _tell_apart(names, design, kept, noise)
    u, covariance = _fit(design, kept, noise, trust)
    fitted = _priced(chip, dict(zip(names, np.exp(u), strict=True)), ())
    return Calibration(fitted, names, covariance, condition, design @ np.exp(u) / kept - 1)


def _design(results: Sequence[Any]) -> tuple[tuple[str, ...], np.ndarray]:
    """Energy of each measurement by price, at the prior."""
    columns = {op: [_scalar(getattr(r.per_operation, op)) for r in results] for op in OPERATIONS}
    columns[STATIC] = [_scalar(r.static) for r in results]
    used = {name: column for name, column in columns.items() if any(column)}
    return tuple(used), np.array(list(used.values()), np.float64).reshape(len(used), len(results)).T


def _scalar(value: Any) -> float:
    return 0.0 if value is None else float(np.asarray(value, np.float64).sum())


def _tell_apart(
    names: tuple[str, ...], design: np.ndarray, measured: np.ndarray, noise: float
) -> float:
    """Condition number of the measurements in relative units.

    Warns about prices that move together.
    """
    jacobian = design / (noise * measured[:, None])
    lengths = np.linalg.norm(jacobian, axis=0)
    _, values, directions = np.linalg.svd(
        jacobian / np.where(lengths, lengths, 1.0), full_matrices=True
    )
    smallest = values[-1] if len(values) == len(names) else 0.0
    condition = float("inf") if smallest < 1e-12 else float(values[0] / smallest)
    if condition > 1e3:
        mixed = [n for n, d in zip(names, directions[-1], strict=True) if abs(d) > 0.2]
        warnings.warn(
            f"the measurements cannot tell {' and '.join(mixed)} apart (condition "
            f"number {condition:.3g}): their split is that of the prior; "
            "measure networks with other ratios of these operations",
            stacklevel=3,
        )
    return condition


def _fit(
    design: np.ndarray, measured: np.ndarray, noise: float, trust: float
) -> tuple[np.ndarray, np.ndarray]:
    """Damped Gauss-Newton in the logarithms of the prices; the problem is small and smooth."""
    u, sigma = np.zeros(design.shape[1]), noise * measured

    def parts(u: np.ndarray):
        jacobian = np.vstack([design * np.exp(u) / sigma[:, None], np.eye(len(u)) / trust])
        return jacobian, np.concatenate([(design @ np.exp(u) - measured) / sigma, u / trust])

    for _ in range(200):
        jacobian, residual = parts(u)
        step = np.linalg.lstsq(jacobian, -residual, rcond=None)[0]
        scale = min(1.0, 1.0 / max(np.abs(step).max(), 1e-300))
        while np.sum(parts(u + scale * step)[1] ** 2) > np.sum(residual**2) and scale > 1e-8:
            scale /= 2
        u = u + scale * step
        if np.abs(step).max() < 1e-12:
            break
    jacobian, _ = parts(u)
    return u, np.linalg.inv(jacobian.T @ jacobian)


def _priced(chip: Chip, factors: dict[str, Any], shape: tuple[int, ...]) -> Chip:
    """A chip with some prices multiplied, every leaf of one shape."""
    wide = lambda x: None if x is None else jnp.broadcast_to(x, shape)
    times = lambda name, x: (
        None if x is None else wide(x * number(factors[name]) if name in factors else x)
    )
    prices = {op: times(op, getattr(chip.costs, op)) for op in OPERATIONS}
    rest = {
        f: wide(getattr(chip, f))
        for f in ("hops", "skips_spikes", "skips_zeros", "graded", "accumulates")
    }
    return Chip(
        type(chip.costs)(**prices),
        times(STATIC, chip.static_power),
        **rest,
        name=f"{chip.name} calibrated" if not shape else chip.name,
    )
