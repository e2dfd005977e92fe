"""`Monitor`: loss, accuracy, rates, synops and energy against the budget while a network trains."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from .._hardware.result import Result
from .._report.rendered import joules, number, pandas
from .._report.report import firing_rate
from .history import history


class Monitor:
    """Follows a training run: live in a terminal or notebook, one line an epoch elsewhere.

    ```python
    import joulax

    account = {"hidden": joulax.activity(ac=100.0, updates=50.0, spikes=4.0)}
    with joulax.Monitor(epochs=2, budget=5e3) as monitor:
        for epoch in range(2):
            result = joulax.energy(account, joulax.hardware("loihi"))
            monitor.update(loss=0.3, accuracy=0.9, result=result)
    assert monitor.history[-1]["energy"] > 5e3
    ```

    Everything is read once an epoch: nothing is added to the training step.

    **Arguments:**

    - `epochs`: how many there will be, if known.
    - `budget`: energy [pJ] or synops that training aims at; shown beside what is spent.
    - `console`: a rich console to write to; the standard one by default.
    """

    def __init__(
        self, epochs: int | None = None, budget: float | None = None, console: Console | None = None
    ):
        if budget is not None and not budget > 0:
            raise ValueError(f"a budget must be positive, got {budget}")
        self.epochs, self.budget = epochs, budget
        self.history: list[dict[str, Any]] = []
        self._console = Console() if console is None else console
        self._live: Live | None = None

    def __enter__(self) -> "Monitor":
        if self._console.is_terminal or self._console.is_jupyter:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(
        self, *, loss: Any = None, accuracy: Any = None, result: Result | None = None, **more: Any
    ) -> None:
        """Record an epoch and show it.

        **Arguments:**

        - `loss`, `accuracy`: numbers.
        - `result`: what [`joulax.energy`][] returned for a batch; samples on leading axes are
          averaged.
        - `more`: further numbers, by name.

        **Raises:**

        `ValueError` inside a trace: the monitor shows numbers, and costs a step nothing.
        """
        if any(isinstance(x, Tracer) for x in jax.tree.leaves((loss, accuracy, result, more))):
            raise ValueError(
                "Monitor.update() needs numbers: return them from the jitted step "
                "and call it once an epoch, outside"
            )
        row: dict[str, Any] = {"epoch": len(self.history) + 1}
        row |= {
            k: float(np.mean(v))
            for k, v in {"loss": loss, "accuracy": accuracy, **more}.items()
            if v is not None
        }
        if result is not None:
            row |= _figures(result)
        self.history.append(row)
        if self._live is not None:
            self._live.update(self._table(row), refresh=True)
        else:
            self._console.print(self._line(row), highlight=False, markup=False, soft_wrap=True)

    def to_pandas(self) -> Any:
        """The history as a `pandas.DataFrame`, one row an epoch.

        **Raises:**

        `ImportError` with the install command, if pandas is missing.
        """
        pd = pandas()
        return pd.DataFrame(self.history).set_index("epoch")

    def plot(self, ax: Any = None) -> Any:
        """Energy and accuracy over epochs, with the budget.

        See [`joulax.plot`][joulax.plot.layers].
        """
        return history(self.history, self.budget, ax=ax)

    def _line(self, row: Mapping[str, Any]) -> str:
        """One epoch as one line of text."""
        head = f"epoch {row['epoch']}" + (f"/{self.epochs}" if self.epochs else "")
        words = [
            f"{k} {row[k]:.4g}"
            for k in row
            if k not in ("epoch", "energy", "synops")
            and "." not in k
            and not k.startswith(_LAYERED)
        ]
        if "energy" in row:
            words += [
                f"energy {joules(row['energy'])}{self._against(row['energy'])}",
                f"synops {number(row['synops'])}",
            ]
        return f"{head}: {', '.join(words)}"

    def _against(self, spent: float) -> str:
        return f" ({100 * spent / self.budget:.0f} % of the budget)" if self.budget else ""

    def _table(self, row: Mapping[str, Any]) -> Table:
        """One epoch as a table by layer, under its line."""
        table = Table(title=self._line(row), title_justify="left")
        for title in ("layer", "rate", "synops", "energy"):
            table.add_column(title, justify="left" if title == "layer" else "right")
        for key in row:
            if key.startswith("energy "):
                name = key.removeprefix("energy ")
                rate = row.get(f"rate {name}")
                table.add_row(
                    name,
                    "–" if rate is None else f"{rate:.3g}",
                    number(row[f"synops {name}"]),
                    joules(row[key]),
                )
        return table


_LAYERED = ("energy ", "synops ", "rate ")


def _figures(result: Result) -> dict[str, float]:
    """Energy, synops and rates of a result, in total and by layer."""
    mean = lambda x: float(np.mean(np.asarray(x, np.float64)))
    row = {
        "energy": mean(result.total),
        "synops": sum(mean(r.synops) for r in result.activity.values()),
    }
    for name, spent in result.per_layer.items():
        row |= {f"energy {name}": mean(spent), f"synops {name}": mean(result.activity[name].synops)}
        rate = firing_rate(result, name)
        if rate is not None:
            row[f"rate {name}"] = rate
    return row
