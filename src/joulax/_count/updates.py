"""Elementwise work of neurons.

Which arithmetic one update of one neuron takes, read off the program.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jax.extend.core import Literal

from .kinds import Data, Value
from .places import Path, Paths, union

CLASSES = ("multiply", "add", "compare", "other")
_OTHER = "exp exp2 expm1 log log1p tanh logistic sqrt rsqrt pow sin cos erf floor round rem"
_CLASS = {
    **dict.fromkeys(("mul", "div", "square", "integer_pow"), "multiply"),
    **dict.fromkeys(("add", "sub", "neg", "add_any", "abs", "sign"), "add"),
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne", "max", "min", "clamp"), "compare"),
    **dict.fromkeys(_OTHER.split(), "other"),
}
_TRANSPARENT = "convert_element_type broadcast_in_dim reshape copy squeeze stop_gradient".split()


@dataclass(frozen=True)
class Work:
    """One elementwise equation on data.

    `feeds` are the sites whose neurons it belongs to; where there are none (a spike times its
    threshold, before it is subtracted), it belongs to the neurons that use it.
    """

    kind: str
    elements: int
    frame: Path
    feeds: Paths
    uses: tuple[Path, ...]


def note(
    plan: Any, eqn: Any, path: Path, ins: list[Value], frame: Path, work: dict[Path, Work]
) -> None:
    """Register the work of one equation."""
    name, made = eqn.primitive.name, _prepared(plan, eqn.invars)
    data = [i for i in ins if isinstance(i, Data)]
    if name in _CLASS and data:
        feeds: Paths = union(i.feeds for i in data)
        work[path] = Work(_CLASS[name], eqn.outvars[0].aval.size, frame, feeds, tuple(made))
        plan.work.update(dict.fromkeys(eqn.outvars, path))
    elif name in _TRANSPARENT and made:
        plan.work.update(dict.fromkeys(eqn.outvars, made[0]))


def _prepared(plan: Any, atoms: Sequence[Any]) -> list[Path]:
    """The work that made some variables."""
    read = [v for v in atoms if not isinstance(v, Literal)]
    return [plan.work[v] for v in read if v in plan.work]


def per_update(tables: Any) -> dict[Path, dict[str, float]]:
    """Operations of each population for one neuron and one step, by the site that owns it."""
    found: dict[Path, dict[str, float]] = {}
    owned: dict[tuple[Path | None, Path], list[Path]] = {}
    for path, work in tables.work.items():
        owned.setdefault((_owner(tables, work), work.frame), []).append(path)
    for claim in dict.fromkeys(tables.claims.values()):
        seen: set[Path] = set()
        counts: Counter[str] = Counter()
        for path in owned.get((claim.owner, claim.frame), []):
            for one in _with_uses(tables, path, seen):
                counts[one.kind] += one.elements
        kinds = [k for k in CLASSES if counts[k] and claim.elements]
        found[claim.owner] = {kind: counts[kind] / claim.elements for kind in kinds}
    return found


def _owner(tables: Any, work: Work) -> Path | None:
    owners = [tables.claims[s].owner for s in work.feeds if s in tables.claims]
    return min(owners, default=None, key=tables.first)


def _with_uses(tables: Any, path: Path, seen: set[Path]) -> Iterator[Work]:
    """A piece of work, and what was prepared for it alone."""
    if path in seen:
        return
    seen.add(path)
    work = tables.work[path]
    yield work
    for used in work.uses:
        before = tables.work.get(used)
        if before is not None and not before.feeds and before.frame == work.frame:
            yield from _with_uses(tables, used, seen)
