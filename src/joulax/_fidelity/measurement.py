"""A measured energy, which can be compared with a prediction of the same scope only."""

from dataclasses import dataclass

import numpy as np

from .._hardware.catalogue import sheets_of
from .._hardware.energy import Result
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

    picojoules: float
    scope: str
    error: float = 0.15

    def __post_init__(self):
        if not self.picojoules > 0:
            raise ValueError(
                f"a measured energy must be positive, got {self.picojoules} pJ; "
                f"dynamic energy is negative where idle was above running"
            )

    def compare(self, result: Result) -> "Comparison":
        """Predicted over measured energy.

        **Raises:**

        `ValueError` if the prediction has another scope, or its chip has no datasheet.
        """
        sheets = sheets_of(result.chip)
        if len(sheets) != 1:
            raise ValueError(
                f"{result.chip!r} has no datasheet, so its scope is not known; "
                f"joulax.register it with `measures`"
            )
        if sheets[0].measured_scope != self.scope:
            raise ValueError(
                f"{sheets[0].name} predicts {sheets[0].measured_scope!r}, and "
                f"{self.scope!r} was measured: these are different energies. "
                "Choose a sheet of the measured scope, or measure what the sheet contains"
            )
        value = float(np.mean(result.total))
        low, high = ranged(result) or (value, value)
        return Comparison(
            low / self.picojoules, value / self.picojoules, high / self.picojoules, self.error
        )


@dataclass(frozen=True)
class Comparison:
    """Predicted over measured energy, with the range of the published prices.

    **Attributes:**

    - `low`, `ratio`, `high`: at the low ends of the prices, at their values, at the high ends.
    - `error`: relative error of the measurement.
    """

    low: float
    ratio: float
    high: float
    error: float

    @property
    def inside(self) -> bool:
        """Whether the measurement, give or take its error, lies in the predicted range."""
        return self.low / (1 + self.error) <= 1 <= self.high * (1 + self.error)

    def __str__(self) -> str:
        return (
            f"predicted / measured {self.ratio:.2f} ({self.low:.2f}–{self.high:.2f}), "
            f"{'inside' if self.inside else 'OUTSIDE'} the range"
        )
