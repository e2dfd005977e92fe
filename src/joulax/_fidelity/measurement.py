"""A measured energy, which can be compared with a prediction of the same scope only."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._hardware.numbers import Real, plain
from .._hardware.provenance import cited_by_one
from .._hardware.result import Result
from .._hardware.scopes import LOWER_BOUND
from .uncertainty import ranged


@dataclass(frozen=True)
class Measurement:
    """An energy measured on silicon.

    ```python
    import joulax

    board = joulax.Measurement(33.77e6, scope="cores, dynamic", error=0.15)
    prediction = joulax.energy([joulax.activity(ac=252890, updates=5570 * 51)],
    joulax.hardware("loihi"))
    print(board.compare(prediction))
    ```

    **Attributes:**

    - `picojoules`: the energy [pJ].
    - `scope`: what it contains: *arithmetic*, *cores*, *processor*, *chip* or *system*, then
      *dynamic* (above
      idle) or *total*, like `"chip, total"`.
    - `error`: relative error of the measurement; published ones repeat to 10–15 %.
    """

    picojoules: Real
    scope: Any
    error: Real = 0.15

    def __post_init__(self):
        if isinstance(self.picojoules, int | float) and self.picojoules <= 0:
            raise ValueError(
                f"a measured energy must be positive, got {self.picojoules} pJ; "
                f"dynamic energy is negative where idle was above running"
            )
        object.__setattr__(
            self, "picojoules", plain(self.picojoules, "picojoules", "pJ", positive=True)
        )
        object.__setattr__(self, "error", plain(self.error, "error", "the measurement"))
        if not isinstance(self.scope, str):
            raise ValueError(f"scope must be words like 'chip, total', got {self.scope!r}")

    def compare(self, result: Result) -> "Comparison":
        """Predicted over measured energy.

        **Raises:**

        `ValueError` if the prediction has another scope, or its chip has no datasheet.
        """
        found = cited_by_one(result.hardware)
        if found is None or found.sheet is None:
            raise ValueError(
                f"{result.hardware.called!r} has no datasheet, so its scope is not known; "
                f"joulax.register it with `measures`"
            )
        sheet = found.sheet
        if sheet.measured_scope != self.scope:
            raise ValueError(
                f"{sheet.name} predicts {sheet.measured_scope!r}, and "
                f"{self.scope!r} was measured: these are different energies. "
                "Choose a sheet of the measured scope, or measure what the sheet contains"
            )
        value = float(np.mean(result.total))
        low, high = ranged(result) or (value, value)
        ratios = (low / self.picojoules, value / self.picojoules, high / self.picojoules)
        return Comparison(*ratios, self.error, sheet.scope == LOWER_BOUND)


@dataclass(frozen=True)
class Comparison:
    """Predicted over measured energy, with the range of the published prices.

    **Attributes:**

    - `low`, `ratio`, `high`: at the low ends of the prices, at their values, at the high ends.
    - `error`: relative error of the measurement.
    - `bound`: whether the prediction is a lower bound, contradicted from below only.
    """

    low: float
    ratio: float
    high: float
    error: float
    bound: bool = False

    @property
    def narrow(self) -> bool:
        """Whether the range says something: its ends are less than a factor of 2 apart."""
        return self.high < 2 * self.low

    @property
    def inside(self) -> bool:
        """Whether the measurement, give or take its error, lies in the predicted range."""
        if self.bound:
            return self.low <= 1 + self.error
        return self.low <= 1 + self.error and self.high >= 1 - self.error

    def __str__(self) -> str:
        return (
            f"predicted / measured {self.ratio:.2f} ({self.low:.2f}–{self.high:.2f}), "
            f"{'inside' if self.inside else 'OUTSIDE'} the range"
        )
