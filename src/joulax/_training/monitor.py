"""`Monitor`: loss, accuracy, rates, synops and energy against the budget while a network trains."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .._forms.rendered import Rendered
from .._forms.table import COUNT, ENERGY, RATE, SHARE, TOTAL, Column, Row, Table, table, unique
from .._forms.units import joules, number
from .._hardware.figures import figures
from .._hardware.floor import silent
from .._hardware.result import Result
from .._report.warned import against, partial_of
from .history import history
from .notebook import Notebook

_LAYERED = ("energy ", "synops ", "rate ")


class Monitor(Rendered):
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

    Everything is read once an epoch: nothing is added to the training step. In a notebook the
    last table stays in the saved file; afterwards the monitor shows its whole history.

    **Arguments:**

    - `epochs`: how many there will be, if known.
    - `budget`: energy [pJ] that training aims at; shown beside what is spent. A budget below the
      [floor][joulax.floor] is said: no network can meet it by spiking less.
    - `console`: a rich console to write to; the standard one by default.
    """

    def __init__(self, epochs: int | None = None, budget: float | None = None, console: Any = None):
        if budget is not None and not budget > 0:
            raise ValueError(f"a budget must be positive, got {budget}")
        self.epochs, self.budget = epochs, budget
        self.history: list[dict[str, Any]] = []
        self._console = _console() if console is None else console
        self._given = console is not None
        self._live: Any = None
        self._partial = False
        self._floor = 0.0

    def __enter__(self) -> "Monitor":
        if not self._given and Notebook.running():
            self._live = Notebook()
        elif self._console.is_terminal:
            from rich.live import Live

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
            self._partial |= partial_of(result)
            self._floor = float(silent(result).mean()) if self.budget else 0.0
        self.history.append(row)
        if self._live is not None:
            self._live.update(_Epoch(self._line(row), self._layers(row)), refresh=True)
        else:
            self._console.print(self._line(row), highlight=False, markup=False, soft_wrap=True)

    def parts(self) -> list[Any]:
        """The last epoch by layer, and all epochs."""
        if not self.history:
            return ["no epoch yet"]
        last = self.history[-1]
        return [self._line(last), self._layers(last), self._epochs()]

    def scalars(self) -> dict[str, float]:
        """The last epoch as a flat dictionary for loggers."""
        return dict(self.history[-1]) if self.history else {}

    def records(self) -> list[dict[str, Any]]:
        """The history, one dictionary an epoch."""
        return list(self.history)

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
            mark = "≥ " if self._partial else ""
            words += [
                f"energy {mark}{joules(row['energy'])}{self._against(row['energy'])}",
                f"synops {mark}{number(row['synops'])}",
            ]
        return f"{head}: {', '.join(words)}"

    def _against(self, spent: float) -> str:
        return f" ({against(spent, self.budget, self._floor)})" if self.budget else ""

    def _layers(self, row: Mapping[str, Any]) -> Table:
        """One epoch by layer."""
        columns = [
            Column("layer", "layer"),
            Column("rate", "rate", RATE),
            Column("synops", "synops", COUNT),
            Column("energy", "energy", ENERGY),
            Column("share", "share", SHARE),
        ]
        whole = row.get("energy") or 1.0
        names = [k.removeprefix("energy ") for k in row if k.startswith("energy ")]
        rows = [
            Row(
                (
                    name,
                    row.get(f"rate {name}"),
                    row[f"synops {name}"],
                    row[f"energy {name}"],
                    row[f"energy {name}"] / whole,
                )
            )
            for name in names
        ]
        if "energy" in row:
            rows.append(Row(("total", "", row["synops"], row["energy"], 1.0), TOTAL))
        return table(columns, rows, partial=self._partial)

    def _epochs(self) -> Table:
        kinds = {"energy": ENERGY, "synops": COUNT}
        keys = [
            k
            for k in dict.fromkeys(k for row in self.history for k in row)
            if not k.startswith(_LAYERED)
        ]
        columns = [Column(k, k, kinds.get(k, "number")) for k in keys]
        shown = self.history[-10:]
        rows = [Row(tuple(row.get(k) for k in keys)) for row in shown]
        return Table(tuple(columns), tuple(rows), partial=self._partial)


def _console() -> Any:
    """The standard console of rich, which is loaded when it is needed."""
    from rich.console import Console

    return Console()


class _Epoch(Rendered):
    """What stands on the screen while training."""

    def __init__(self, line: str, layers: Table):
        self._parts = [line, layers]

    def parts(self) -> list[Any]:
        return self._parts


def _figures(result: Result) -> dict[str, float]:
    """Energy, synops and rates of a result, in total and by layer."""
    found = figures(result)
    names = unique([layer.name for layer in found.layers])
    row = {
        "energy": float(found.total.mean()),
        "synops": float(sum(layer.synops or 0.0 for layer in found.layers)),
    }
    for name, layer in zip(names, found.layers, strict=True):
        row |= {f"energy {name}": float(layer.total.mean()), f"synops {name}": layer.synops or 0.0}
        if layer.rate is not None:
            row[f"rate {name}"] = layer.rate
    return row
