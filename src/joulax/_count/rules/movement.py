"""Primitives that move values.

Events stay events and move along, terms keep whose products they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..axes import COPIED, IDLE, SOURCE, VARIES, WEIGHT, Axes, Cut
from ..findings import Companions, Context, Found, Operands
from ..kinds import (
    Data,
    Events,
    Parameter,
    Term,
    Value,
)
from ..places import NONE, Place
from .boxes import taken
from .parts import piece
from .registry import rule, shape_of
from .summed import again
from .terms import Rearranged, Window

MOVES = """
reshape transpose broadcast_in_dim broadcast_to squeeze expand_dims slice rev split tile unstack
""".split()


def carried(eqn: Any, axes: Axes, new: int, k: int = 0) -> Axes:
    """Axes of output k of a movement; an axis that appears carries the labels `new`."""
    name, params, shape = eqn.primitive.name, eqn.params, shape_of(eqn.outvars[k])
    if name == "transpose":
        return axes.moved(params["permutation"])
    if name == "broadcast_in_dim":
        return axes.broadcast(shape, [int(d) for d in params["broadcast_dimensions"]], new)
    if name == "squeeze":
        return axes.without([int(d) for d in params["dimensions"]])
    if name == "unstack":
        return axes.without((params["axis"],))
    if name == "expand_dims":
        for d in sorted(params["dimensions"]):
            axes = axes.inserted(int(d), 1, 0)
        return axes
    if name == "reshape":
        return axes.reshaped(shape)
    if name == "tile":
        return axes.tiled(params["reps"], new)
    return axes.resized(shape)


def _moved_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    p = ins[0]
    assert isinstance(p, Parameter)
    return [
        p.anew(axes=carried(eqn, p.axes, 0, k), place=_placed(eqn, p.place, p.axes, k))
        for k in range(len(eqn.outvars))
    ]


def _placed(eqn: Any, place: Place, axes: Axes, k: int, label: int = VARIES) -> Place:
    """Which elements these are now: slices along axes on which they differ, and their order."""
    where = _WHERE.get(eqn.primitive.name)
    found = None if where is None else where(eqn.params, axes, label, k)
    return place if found is None else place.at(found)


def _window(p: Any, axes: Axes, label: int, k: int) -> Window | None:
    """A slice along the axes with a label; none where it takes all of them."""
    shape, along = axes.shape, axes.flags(label)
    strides = p["strides"] or (1,) * len(shape)
    cuts = zip(p["start_indices"], p["limit_indices"], strides, strict=True)
    whole = [(0, size, 1) for size in shape]
    each = [cut if here else all_ for cut, all_, here in zip(cuts, whole, along, strict=True)]
    if each == whole:
        return None
    starts, limits, steps = zip(*each, strict=True)
    return Window(starts, limits, steps)


def _split(p: Any, axes: Axes, label: int, k: int) -> tuple[str, int] | None:
    """Part k, by its number."""
    return ("split", k) if axes.has(p["axis"], label) else None


def _unstacked(p: Any, axes: Axes, label: int, k: int) -> tuple[str, int] | None:
    """Slice k of an axis, by its number."""
    return ("unstack", k) if axes.has(p["axis"], label) else None


def _reversed(p: Any, axes: Axes, label: int, k: int) -> Rearranged | None:
    """The other way round along some axes."""
    moved = tuple(d for d in p["dimensions"] if axes.has(d, label))
    return Rearranged(moved, len(axes), "rev") if moved else None


def _transposed(p: Any, axes: Axes, label: int, k: int) -> tuple[str, tuple[int, ...]] | None:
    """Axes in another order."""
    order = tuple(d for d in p["permutation"] if axes.has(d, label))
    return None if order == tuple(sorted(order)) else ("transpose", order)


_WHERE: dict[str, Callable[[Any, Axes, int, int], Any]] = {
    "slice": _window,
    "split": _split,
    "unstack": _unstacked,
    "rev": _reversed,
    "transpose": _transposed,
}


@rule(*MOVES, parameters=_moved_parameters)
def _move(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Elements that only change place."""
    info = ins[0]
    assert isinstance(info, Data)
    every = range(len(eqn.outvars))
    outs = [piece(eqn, ins, k, ctx) or moved_value(eqn, info, k) for k in every]
    if not info.travels:
        return Found(outs)

    def events(ops: Operands) -> list[Companions]:
        moved = {k: again(eqn, c, *ops.values[1:]) for k, c in ops.beside(0).items()}
        return [{k: c[i] for k, c in moved.items()} for i in range(len(outs))]

    return Found(outs, events=events)


def moved_value(eqn: Any, info: Data, k: int = 0) -> Data:
    """A value whose elements only change place: movement never enlarges its population."""
    axes = carried(eqn, info.axes, COPIED if info.feeds or info.births else 0, k)
    same_elements = eqn.primitive.name in ("reshape", "squeeze", "expand_dims", "broadcast_in_dim")
    changes = dict[str, Any]()
    weight = info.weight
    if weight is not None:
        place = _placed(eqn, weight.place, weight.axes, k, WEIGHT)
        weight = replace(weight, axes=carried(eqn, weight.axes, 0, k), place=place)
    if isinstance(info, Events) and info.pair is not None:
        changes["pair"] = info.pair.moved(lambda own: carried(eqn, own, 0, k))
    neurons, steps = (_cut(eqn, info, k, idle=idle) for idle in (False, True))
    size = info.size if same_elements else min(info.size, float(axes.size(IDLE)))
    return info.anew(
        axes=axes,
        terms=frozenset(_moved_term(eqn, t, k) for t in info.terms),
        weight=weight,
        source=info.root,
        place=_placed(eqn, info.place, info.axes, k),
        size=size,
        given=info.given if same_elements else NONE,
        **info.cut(neurons, steps),
        **changes,
    )


def _cut(eqn: Any, info: Data, k: int, *, idle: bool) -> Any:
    """Which part of a region these are, along axes of neurons or of steps and samples."""
    if not (info.feeds or info.births) or eqn.primitive.name not in ("slice", "split", "unstack"):
        return None
    sizes, repeated = info.axes.shape, info.axes.wholly(IDLE)
    along = [a for a, r in enumerate(repeated) if r == idle]
    cuts = tuple(taken(eqn, a, sizes[a], k) for a in along)
    whole = tuple((0, sizes[a], 1) for a in along)
    return None if cuts == whole else Cut(cuts, tuple(sizes[a] for a in along))


def _moved_term(eqn: Any, term: Term, k: int) -> Term:
    return term.but(
        axes=carried(eqn, term.axes, 0, k),
        place=_placed(eqn, term.place, term.axes, k, SOURCE),
        weight=replace(term.weight, place=_placed(eqn, term.weight.place, term.axes, k, WEIGHT)),
    )
