"""A training run as a picture: energy and accuracy over epochs."""

from collections.abc import Mapping, Sequence
from typing import Any

from .._report.figure import COLOURS, QUIET, axes


def history(
    rows: Sequence[Mapping[str, Any]], budget: float | None = None, *, ax: Any = None
) -> Any:
    """Energy, and accuracy where there is one, over epochs.

    **Arguments:**

    - `rows`: the history of a [`joulax.Monitor`][].
    - `budget`: drawn as a line [pJ].
    - `ax`: matplotlib axes to draw into; new ones by default.

    **Returns:**

    The axes; energies in nJ.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing.
    """
    ax = axes(ax)
    epochs = [row["epoch"] for row in rows]
    spent = [row.get("energy", float("nan")) / 1e3 for row in rows]
    lines = ax.plot(epochs, spent, color=COLOURS[0], label="energy")
    if budget is not None:
        lines.append(ax.axhline(budget / 1e3, color=QUIET, ls="--", lw=1, label="budget"))
    ax.set(xlabel="epoch", ylabel="energy [nJ]", yscale="log")
    ax.xaxis.get_major_locator().set_params(integer=True)
    if any("accuracy" in row for row in rows):
        right = ax.twinx()
        right.spines["top"].set_visible(False)
        accuracy = [100 * row.get("accuracy", float("nan")) for row in rows]
        lines += right.plot(epochs, accuracy, color=COLOURS[1], ls="-.", label="accuracy")
        right.set_ylabel("accuracy [%]")
    ax.legend(handles=lines, loc="best", frameon=False, fontsize="small")
    return ax
