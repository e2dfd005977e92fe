"""Slices side by side: how many neurons they are together."""

from collections.abc import Sequence
from typing import Any

from ..axes import numbers_in, put_together
from ..findings import Context
from ..kinds import Data, Value
from ..places import Path, Paths, stands_in, union
from .births import datas
from .contents import layers_of


def side_by_side(values: Sequence[Value]) -> dict[str, Any]:
    """Neurons side by side, and which they are: the slices of a region are the region again."""
    groups = _groups(datas(values))
    found = [_joint(g) for g in groups]
    size = sum(neurons for neurons, _ in found)
    return dict(size=size, part=found[0][1]) if len(groups) == 1 else dict(size=size)


def are_apart(data: Sequence[Data], ctx: Context) -> bool:
    """Whether values side by side are other neurons: other slices, or currents of other layers."""
    layers = [own for d in data if (own := layers_of(d.feeds, ctx))]
    others = len(layers) == len(data) and sum(map(len, layers)) == len(union(layers))
    return len({d.part for d in data}) > 1 or (len(data) > 1 and others)


def by_slices(info: Value, loop: Path, ctx: Any) -> bool:
    """Whether a current comes from another slice of a weight in every step: of other neurons."""
    if not isinstance(info, Data) or info.births:
        return False
    if any(stands_in(c.frame, loop) for c in ctx.tables.driven(info.feeds)):
        return False  # they work in the loop
    sites = [ctx.site(p) for p in info.feeds]
    return bool(sites) and all(s is not None and loop in (s.layer, *s.walked) for s in sites)


def _groups(data: Sequence[Data]) -> list[list[Data]]:
    """Data by the region that they are of."""
    found: list[tuple[Paths, list[Data]]] = []
    for d in (d for d in data if d.feeds or d.size):
        owner = d.feeds or d.births
        match = next((i for i, (o, _) in enumerate(found) if o & owner), None)
        if match is None:
            found.append((owner, [d]))
        else:
            old, members = found[match]
            found[match] = (old | owner, [*members, d])
    return [members for _, members in found]


def _joint(group: Sequence[Data]) -> tuple[float, tuple[Any, ...]]:
    """Neurons of parts of one region, and which part they are together."""
    sizes = {d.part: d.size for d in group}
    most, part = max(d.size for d in group), put_together(sizes)
    if len(sizes) == 1 or part is None:
        return most, group[0].part if len(sizes) == 1 else ()
    return max(most, min(sum(sizes.values()), _reach(part, group[0].part))), part


def _reach(part: tuple[Any, ...], slice_: tuple[Any, ...]) -> float:
    """Neurons of a part; of the whole, those of which a slice is some."""
    numbers, whole = numbers_in(part or slice_) or ((), 0)
    return float(len(numbers) if part else whole)
