"""Chips beside each other, and how much each price matters."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._forms.table import unique
from .._hardware.datasheet import Quantity
from .._hardware.figures import figures
from .._hardware.provenance import provenance
from .._hardware.result import Result
from .._questions.evaluation import Evaluation
from .._report.chips import Line
from .._report.figure import QUIET, axes, colour, joule_ticks, legend_on_top, unit
from .._report.report import Report, report

_MARKERS = "osD^vP*Xhp"


def chips(made: Evaluation | Report | Result, *, top: int | None = None, ax: Any = None) -> Any:
    """Total energy on many chips with the published ranges, grouped by what a total contains.

    **Arguments:**

    - `made`: what [`joulax.evaluate`][] returned, or a report or result of a stack of chips.
    - `top`: at most so many of each group, the cheapest.
    - `ax`: matplotlib axes to draw into; new ones by default.

    **Returns:**

    The axes. Hollow marks are prices that nobody has published; unknown totals are left out.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing; `ValueError` if no total is
    known.
    """
    if not isinstance(made, Evaluation | Report | Result):
        raise ValueError(
            "chips() draws what joulax.evaluate(account, chips) returns, or a report or result of "
            f"a stack; got {type(made).__name__}"
        )
    lines = (report(made) if isinstance(made, Result) else made).lines()
    names = unique([line.source.chip for line in lines])
    groups = _groups(dict(zip(names, lines, strict=True)), top)
    if not groups:
        raise ValueError("no total is known; energy(account, chip, duration) may need a duration")
    height = 0.22 * sum(len(group) + 1.3 for group in groups.values()) + 0.8
    ax = axes(ax, (6.4, height))
    y, ticks = 0.0, []
    for k, (scope, group) in enumerate(groups.items()):
        ax.annotate(scope, (0, y), (2, -2), ("axes fraction", "data"), "offset points", **_HEAD)
        for name, line in group.items():
            y += 1
            ticks.append((y, name))
            _mark(ax, y, line, colour(k), _MARKERS[k % len(_MARKERS)])
        y += 1.4
    ax.set_yticks([t for t, _ in ticks], [n for _, n in ticks], fontsize="small")
    ax.set(xscale="log", ylim=(y - 0.5, -0.9), xlabel="energy")
    joule_ticks(ax)
    ax.grid(axis="x", color="#dddddd", lw=0.5)
    ax.set_axisbelow(True)
    return ax


_HEAD: Any = {"fontsize": "small", "fontweight": "bold", "va": "center"}


def _groups(lines: Mapping[str, Line], top: int | None) -> dict[str, dict[str, Line]]:
    known = {n: x for n, x in lines.items() if x.total.value == x.total.value and x.total.value > 0}
    ordered = sorted(known, key=lambda n: (known[n].source.unsourced, known[n].total.value))
    groups: dict[str, dict[str, Line]] = {}
    for name in ordered:
        group = groups.setdefault(known[name].source.scope, {})
        if top is None or len(group) < top:
            group[name] = known[name]
    return groups


def _mark(ax: Any, y: float, line: Line, shade: str, marker: str) -> None:
    total = line.total
    if total.low is not None and total.high is not None:
        ax.plot([total.low, total.high], [y, y], color=shade, lw=2, solid_capstyle="round")
    face = "white" if line.source.unsourced else shade
    ax.plot(total.value, y, marker, color=shade, markerfacecolor=face, ms=5)


def tornado(of: Result | Mapping[str, Any], *, ax: Any = None) -> Any:
    """How much each constant matters, the most important on top.

    **Arguments:**

    - `of`: a result on one chip of the catalogue: the total at the low and high end of each
      published range. Or one side of what [`joulax.sensitivity`][] returned: percent for percent.
    - `ax`: matplotlib axes to draw into; new ones by default.

    **Returns:**

    The axes.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing; `ValueError` if no range was
    published for a price that is charged.
    """
    if isinstance(of, Result):
        return _ranges(of, ax)
    plain = lambda name: name.split(".")[-1].replace("_", " ")
    found = [(plain(n), float(np.asarray(e))) for n, e in of.items()]
    found.sort(key=lambda pair: abs(pair[1]))
    ax = axes(ax, (6.4, 0.35 * len(found) + 1))
    ax.barh([n for n, _ in found], [e for _, e in found], color=colour(0), height=0.6)
    ax.axvline(0, color=QUIET, lw=0.8)
    ax.set_xlabel("change of the break-even rate [% for 1 % of the constant]")
    return ax


def _ranges(result: Result, ax: Any) -> Any:
    found, source = figures(result), provenance(result.hardware)[0]
    ends = _ends(source.cited, found.spent(0))
    if not ends:
        raise ValueError(f"no range was published for what {source.chip} charges here")
    total = float(found.total.mean())
    scale, prefix = unit([total])
    order = sorted(ends, key=lambda op: ends[op][1] - ends[op][0])
    ax = axes(ax, (6.4, 0.4 * len(order) + 1))
    for y, op in enumerate(order):
        low, high = ends[op]
        for size, i, text in ((low, 0, "low end"), (high, 1, "high end")):
            _bar(ax, y, size / scale, total / scale, i, text if y == 0 else None)
        span = source.cited[op].span
        ax.annotate(
            f"{span[0]:,g}–{span[1]:,g} {source.cited[op].unit}",
            ((total + high) / scale, y),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize="x-small",
        )
    ax.set_yticks(range(len(order)), [op.replace("_", " ") for op in order])
    ax.axvline(total / scale, color="black", lw=0.8)
    ax.set_xlabel(f"energy on {source.chip} [{prefix}], each price at the ends of its range")
    ax.margins(x=0.15)
    legend_on_top(ax, 2, 0.8 / len(order))
    return ax


def _ends(cited: Mapping[str, Quantity], spent: Mapping[str, float]) -> dict[str, Any]:
    """How much less and more is spent where a price is at the ends of its range [pJ]."""
    matter = {op: q for op, q in cited.items() if q.has_range and q.value and spent.get(op)}
    return {
        op: tuple(spent[op] * (end / q.value - 1) for end in q.span) for op, q in matter.items()
    }


def _bar(ax: Any, y: float, size: float, left: float, i: int, label: str | None) -> None:
    look: Any = {"color": colour(i), "hatch": "////" * i, "edgecolor": "white", "label": label}
    ax.barh(y, size, left=left, height=0.6, lw=0.5, **look)
