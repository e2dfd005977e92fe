"""Prices from measurements.

Fit the numbers of any hardware to measured energies, with the catalogue as prior.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._forms.rendered import Rendered
from .._hardware.catalogue import named
from .._hardware.chip import Chip, Hardware
from .._hardware.datasheet import Datasheet
from .._hardware.energy import energy
from .._hardware.numbers import Real, checked, plain, whole
from .._hardware.stored import UNITS
from .._hardware.variants import Path, get, rebuilt, renamed, scalable
from .fitted import fitted_parts
from .sheet import fitted_sheet


@dataclass(frozen=True, repr=False)
class Calibration(Rendered):
    """Fitted numbers and how sure they are.

    **Attributes:**

    - `chip`: the hardware with fitted prices [pJ] and powers [pW].
    - `prior`: what it was before.
    - `names`: the fitted numbers, in the order of the covariance.
    - `covariance`: of the logarithms of the numbers: its diagonal holds squared relative errors.
    - `condition`: condition number of the measurements, prior excluded; above 1000 some numbers
      cannot be told apart.
    - `residuals`: (predicted − measured) / measured, one for each measurement.
    """

    chip: Any
    names: tuple[str, ...]
    covariance: np.ndarray
    condition: float
    residuals: np.ndarray
    prior: Any = None

    @property
    def relative_errors(self) -> dict[str, float]:
        """Standard deviation of each number, relative."""
        return {
            n: float(np.sqrt(v)) for n, v in zip(self.names, np.diag(self.covariance), strict=True)
        }

    def parts(self) -> list[Any]:
        """What is printed: fitted numbers with their errors, and how well they fit."""
        return fitted_parts(self, numbers_of(self.chip))

    def sample(self, key: Array, samples: int = 1000) -> Any:
        """The hardware many times, its numbers drawn together: leaves of shape (samples,)."""
        n = whole(samples, "samples")
        spread = jax.random.multivariate_normal(
            key,
            jnp.zeros(len(self.names)),
            jnp.asarray(self.covariance, jnp.result_type(float)),
            (n,),
            method="svd",
        )
        at = numbers_of(self.chip)
        drawn = {
            at[name]: get(self.chip, at[name]) * jnp.exp(column)
            for name, column in zip(self.names, spread.T, strict=True)
        }
        wide = jax.tree.map(lambda x: jnp.broadcast_to(x, (n,)), rebuilt(self.chip, drawn))
        return renamed(wide, (self.chip.called,) * n)

    def datasheet(
        self,
        name: str,
        *,
        source: str,
        where: str,
        title: str | None = None,
        bibtex: str = "",
        note: str = "",
    ) -> Datasheet:
        """The fitted chip as a sheet, with ranges from the covariance and a citation of one's own.

        ```python
        import joulax

        accounts = [[joulax.activity(ac=a, updates=u)] for a, u in ((1e6, 1e4), (1e5, 1e5))]
        fit = joulax.calibrate(accounts, [31e6, 9e6], "loihi")
        sheet = fit.datasheet("loihi@bench", source="bench2026", where="run 7",
                              bibtex="@misc{bench2026, title={Our bench}}")
        joulax.register(sheet)
        text = sheet.to_toml()  # for the repository of the paper
        ```

        **Arguments:**

        - `name`: of the sheet, like `"loihi@bench"`.
        - `source`, `where`: key of your publication, and the place in it.
        - `title`, `note`: in words; by default that of the prior.
        - `bibtex`: the entry of `source`.

        **Returns:**

        A [`joulax.Datasheet`][]: `register` it, `print` it, or keep its `to_toml()`. A range is
        95 %.

        **Raises:**

        `ValueError` for a model that is no price list.
        """
        if not isinstance(self.chip, Chip):
            raise ValueError(
                f"{self.chip.called} is a model, not a price list: keep its numbers "
                "(calibration.chip), a sheet cannot hold them"
            )
        return fitted_sheet(self, name, title, source, where, bibtex, note)


def numbers_of(hardware: Hardware) -> dict[str, Path]:
    """Where the energies and powers of hardware stand, by short names that differ."""
    paths = [path for path, _ in scalable(hardware)]
    last = [path[-1] for path in paths]
    return {
        name if last.count(name) == 1 else ".".join(path): path
        for name, path in zip(last, paths, strict=True)
    }


def calibrate(
    accounts: Sequence[Any],
    measured: Real,
    prior: str | Hardware,
    *,
    durations: Real = None,
    batches: Real = None,
    noise: Real = 0.1,
    trust: Real = 1.0,
    unit: str = "pJ",
) -> Calibration:
    r"""Fit the prices of hardware to measured energies.

    Prices are $c = c_0 e^u$, so they cannot become negative, and $u$ minimises

    $$\sum_i \left(\frac{E_i(u) - m_i}{\sigma\, |m_i|}\right)^2
    + \sum_k \left(\frac{u_k}{\tau}\right)^2.$$

    **Arguments:**

    - `accounts`: one account (or pytree of records) for each measurement, with scalar counts.
    - `measured`: measured energies [`unit`], in the same scope as the prior: dynamic if it has no
      static power.
    - `prior`: where prices start, by name or as any hardware; those that are zero or that no
      account uses stay.
    - `durations`: length of each measurement [s], where the prior has static power.
    - `batches`: samples that shared a call, where the prior has an energy per call.
    - `noise`: relative error of a measurement, σ; published ones repeat to 10–15 %.
    - `trust`: how far a price may be from the prior, τ, in natural logarithms: 1 is a factor of
      2.7.
    - `unit`: of the measured energies, fJ to J.

    **Returns:**

    A [`joulax.Calibration`][]; its `covariance` and `sample` carry the uncertainty into `energy`,
    its `datasheet` into the catalogue.

    **Raises:**

    `ValueError` if the numbers of accounts, energies and durations differ, a number makes no sense,
    the hardware is not linear in its prices, or nothing is to be fitted.

    **Warns:**

    `UserWarning` by name, if prices cannot be told apart, a measured energy is negative (dynamic
    energy is a difference of two readings: the measurement is left out), or the energies are 1000
    times away from the prior (a wrong unit).
    """
    chip, energies = named(prior), _measured(measured, unit)
    if len(accounts) != len(energies):
        raise ValueError(
            f"calibrate() takes one measured energy for each account, got "
            f"{len(accounts)} accounts and {len(energies)} energies"
        )
    noise = plain(noise, "noise", "the energies", positive=True)
    trust = plain(trust, "trust", "logarithms", positive=True)
    given = ((durations, "durations"), (batches, "batches"))
    times = [_each(values, name, len(energies)) for values, name in given]
    names, design = _design(chip, accounts, *times)
    rows = _positive(energies)
    design, kept = design[rows], energies[rows]
    if not len(names) or not len(kept):
        raise ValueError(
            "calibrate() has nothing to fit: no positive measurement, or no operation with a price"
        )
    _far(design.sum(1) / kept)
    condition = _tell_apart(names, design, kept, noise)
    u, covariance = _fit(design, kept, noise, trust)
    factors = jnp.asarray(np.exp(u), jnp.result_type(float))
    at = {name: path for name, path in numbers_of(chip).items() if name in names}
    fitted = {at[n]: get(chip, at[n]) * factors[k] for k, n in enumerate(names)}
    residuals = design @ np.exp(u) / kept - 1
    calibrated = _named(rebuilt(chip, fitted))
    return Calibration(calibrated, names, covariance, condition, residuals, chip)


def _positive(energies: np.ndarray) -> np.ndarray:
    """Which measurements can be used; the others are named."""
    rows = energies > 0
    if not rows.all():
        wrong = np.flatnonzero(~rows).tolist()
        warnings.warn(
            f"measurements {wrong} are not positive ({energies[wrong]} pJ): idle was above "
            "running, they are left out",
            stacklevel=3,
        )
    return rows


def _measured(measured: Any, unit: str) -> np.ndarray:
    """Energies in pJ; negative ones are kept, to be named."""
    if unit not in UNITS or not unit.endswith("J"):
        raise ValueError(
            f"unit {unit!r} is none of {', '.join(u for u in UNITS if u.endswith('J'))}"
        )
    found = [measured] if np.ndim(measured) == 0 else list(np.asarray(measured).reshape(-1))
    size = [abs(m) if _is_real(m) else m for m in found]
    for m in size:
        plain(m, "measured", unit)
    return np.asarray(found, np.float64) * UNITS[unit]


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _each(values: Any, name: str, count: int) -> list[Any]:
    if values is None:
        return [None] * count
    found = np.asarray(checked(np.asarray(values), name), np.float64)
    if found.ndim and found.size != count:
        raise ValueError(f"{name} must be one number or {count}, got {found.size}")
    return list(np.broadcast_to(found.reshape(-1), (count,)))


def _named(hardware: Any) -> Any:
    """Under a name of its own, no longer the sheet's."""
    if isinstance(hardware, Chip):
        return hardware.replace(name=f"{hardware.called} calibrated", sheet=None)
    own = {f for f in type(hardware).__dataclass_fields__}
    return hardware.replace(name=f"{hardware.called} calibrated") if "name" in own else hardware


def _design(
    chip: Hardware, accounts: Sequence[Any], durations: list[Any], batches: list[Any]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Energy of each measurement by number, at the prior: the slopes in its logarithm."""
    at = numbers_of(chip)
    start = jnp.zeros(len(at))

    @jax.jit
    @jax.value_and_grad
    def parts(u: Array, account: Any, duration: Any, batch: Any) -> Array:
        numbers = {p: get(chip, p) * jnp.exp(u[k]) for k, p in enumerate(at.values())}
        return energy(account, rebuilt(chip, numbers), duration, batch=batch).total.sum()

    rows = []
    for each in zip(accounts, durations, batches, strict=True):
        whole_, slopes = parts(start, *each)
        rows.append(np.asarray(slopes, np.float64))
        if not np.isclose(rows[-1].sum(), float(whole_), rtol=1e-3):
            raise ValueError(f"{chip.called} is not linear in its prices: it cannot be calibrated")
    table = np.stack(rows) if rows else np.zeros((0, len(at)))
    used = [bool(column.any()) for column in table.T]
    return tuple(n for n, there in zip(at, used, strict=True) if there), table[:, used]


def _far(ratios: np.ndarray) -> None:
    """Energies a thousand times away from the prior are in another unit."""
    middle = float(np.median(ratios))
    if not 1e-3 < middle < 1e3:
        warnings.warn(
            f"the prior predicts {middle:.3g} times the measured energies: are they in pJ? "
            "Say unit='J', 'mJ', 'uJ' or 'nJ' otherwise",
            stacklevel=3,
        )


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
