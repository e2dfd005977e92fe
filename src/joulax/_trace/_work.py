"""Elementwise work of neurons: which arithmetic one update of one neuron takes, read off the program."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jax.extend.core import Literal

from ._info import Info, Kind, Path

if TYPE_CHECKING:
    from ._analysis import Plan, Tables

CLASSES = ("multiply", "add", "compare", "other")
_CLASS = {
    **dict.fromkeys(("mul", "div", "square", "integer_pow"), "multiply"),
    **dict.fromkeys(("add", "sub", "neg", "add_any", "abs", "sign"), "add"),
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne", "max", "min", "clamp"), "compare"),
    **dict.fromkeys(
        ("exp", "exp2", "expm1", "log", "log1p", "tanh", "logistic", "sqrt", "rsqrt", "pow", "sin", "cos", "erf", "floor", "round", "rem"), "other"
    ),
}
_TRANSPARENT = {"convert_element_type", "broadcast_in_dim", "reshape", "copy", "squeeze", "stop_gradient"}


@dataclass(frozen=True)
class Work:
    """One elementwise equation on data.

    `sites` are the synaptic sites whose neurons it belongs to; where there are none (a spike times its
    threshold, before it is subtracted), it belongs to the neurons that use it.
    """

    kind: str
    elements: int
    frame: Path
    sites: frozenset[Path]
    uses: tuple[Path, ...]


def note(plan: "Plan", eqn, path: Path, ins: list[Info], frame: Path, tables: "Tables") -> None:
    """Register the work of one equation."""
    name = eqn.primitive.name
    made = [plan.work[v] for v in eqn.invars if not isinstance(v, Literal) and v in plan.work]
    if name in _TRANSPARENT and made:
        plan.work.update(dict.fromkeys(eqn.outvars, made[0]))
    data = [i for i in ins if i.kind != Kind.PARAMETER]
    if name not in _CLASS or not data:
        return
    fresh: frozenset[Path] = frozenset().union(*(i.fresh for i in data))
    sites = fresh or frozenset().union(*(i.sites for i in data))
    size = eqn.outvars[0].aval.size
    tables.work[path] = Work(_CLASS[name], size, frame, sites, tuple(made))
    plan.work.update(dict.fromkeys(eqn.outvars, path))


def per_update(tables: "Tables") -> dict[Path, dict[str, float]]:
    """Operations of each population for one neuron and one step, by the site that owns it."""
    found: dict[Path, dict[str, float]] = {}
    for claim in dict.fromkeys(tables.claims.values()):
        seen: set[Path] = set()
        counts: Counter = Counter()
        for path, work in tables.work.items():
            owners = [tables.claims[s].owner for s in work.sites if s in tables.claims]
            if owners and min(owners) == claim.owner and work.frame == claim.frame:
                for one in _with_uses(tables, path, seen):
                    counts[one.kind] += one.elements
        found[claim.owner] = {kind: counts[kind] / claim.elements for kind in CLASSES if counts[kind] and claim.elements}
    return found


def _with_uses(tables: "Tables", path: Path, seen: set[Path]) -> Iterator[Work]:
    """A piece of work, and what was prepared for it alone."""
    if path in seen:
        return
    seen.add(path)
    work = tables.work[path]
    yield work
    for used in work.uses:
        if used in tables.work and not tables.work[used].sites and tables.work[used].frame == work.frame:
            yield from _with_uses(tables, used, seen)
