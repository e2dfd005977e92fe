"""Primitives that move values.

Events stay events and move along, terms keep whose products they are.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Array

from ..axes import COPIED, IDLE, REPEATED, SOURCE, VARIES, WEIGHT, Axes, Cut, either
from ..events import mask
from ..findings import EVENTS, Companions, Context, Found, Operands
from ..joins import join
from ..kinds import (
    UNIT,
    Analog,
    Data,
    Events,
    Parameter,
    Term,
    Value,
    is_simple,
    shared,
    united,
)
from ..places import NONE, Paths, Place, union
from .births import datas, mixed, placed_births
from .contents import feeds_in
from .registry import data_of, parameter_of, rule, shape_of, travelling, whole
from .sets import are_events, values_of
from .slices import are_apart, piece, side_by_side, taken
from .summed import again
from .terms import Rearranged, Window, together

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
    return axes.resized(shape)


def _moved_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    p = ins[0]
    assert isinstance(p, Parameter)
    changes: dict[str, Any] = dict(number=-1, form=None)
    return [
        p.but(axes=carried(eqn, p.axes, 0, k), place=_placed(eqn, p.place, p.axes, k), **changes)
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
    outs = [piece(eqn, info, k, ctx) or moved_value(eqn, info, k) for k in every]
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
    changes: dict[str, Any] = dict(number=-1, form=None)
    weight = info.weight
    if weight is not None:
        weight = weight.__class__(weight.leaves, carried(eqn, weight.axes, 0, k), weight.place)
    if isinstance(info, Events):
        changes["nan_test"] = False
    neurons, steps = (_cut(eqn, info, k, idle=idle) for idle in (False, True))
    size = info.size if same_elements else min(info.size, float(axes.size(IDLE)))
    return info.but(
        axes=axes,
        terms=frozenset(_moved_term(eqn, t, k) for t in info.terms),
        weight=weight,
        source=info.root,
        place=_placed(eqn, info.place, info.axes, k),
        size=size,
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
        weight=term.weight.__class__(
            term.weight.leaves,
            term.weight.axes,
            _placed(eqn, term.weight.place, term.axes, k, WEIGHT),
            term.weight.layer,
        ),
    )


# -- values side by side ----------------------------------------------------------------


def _combined_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    data = [ins[i] for i in data_places(eqn, ins)]
    values = united(*map(values_of, data))
    return [parameter_of(data, shape_of(v), values=values) for v in eqn.outvars]


def data_places(eqn: Any, ins: Sequence[Value]) -> list[int]:
    """Operands that are values, not indices."""
    name = eqn.primitive.name
    if name in ("concatenate", "stack"):
        return list(range(len(ins)))
    return [0, 2] if name.startswith("scatter") else [0, 1]


@rule("concatenate", "stack", "pad", "dynamic_update_slice", parameters=_combined_parameters)
def _combine(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Several values side by side; an index made of data makes data of all of them."""
    return beside(eqn, [*map(whole, ins, eqn.invars)], ctx)


def beside(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """Values put beside each other, or over each other."""
    places = data_places(eqn, ins)
    apart = are_apart(datas([ins[i] for i in places]), ctx)
    values = [_level(eqn, ins[i], apart) for i in places]
    if all(isinstance(v, Parameter) for v in values):
        return _placed_by_data(eqn, values, ins, ctx)
    joined = functools.reduce(join, values)
    if isinstance(joined, Events) and not all(map(_like_spikes, values)):
        joined = data_of(mixed(eqn, values, ctx, "spikes are put beside other values"))
    assert isinstance(joined, Data)
    out = joined.but(
        number=-1,
        form=None,
        weight=None,
        terms=_beside_terms(eqn, values),
        **_rearranged(eqn, ins, values, places),
        held=joined.held - _stored(eqn, ins, values, places),
        feeds=feeds_in(values),
        **side_by_side(values),
    )
    return Found([out], events=travelling(out, lambda ops: _together(eqn, ops, places, out)))


def _stored(
    eqn: Any, ins: Sequence[Value], values: Sequence[Value], places: Sequence[int]
) -> Paths:
    """States of loops that a result does not carry on: a buffer, another place in every step."""
    if eqn.primitive.name not in ("scatter", "dynamic_update_slice"):
        return NONE
    index = _indices(ins, places)
    loops = union(i.place.loops for i in index if isinstance(i, Parameter))
    old, new = (v.held if isinstance(v, Data) else NONE for v in values)
    return frozenset(s for s in old - new if s[:-1] in loops)


def _indices(ins: Sequence[Value], places: Sequence[int]) -> list[Value]:
    """Operands that are indices, not values."""
    return [i for k, i in enumerate(ins) if k not in places]


def _rearranged(
    eqn: Any, ins: Sequence[Value], values: Sequence[Value], places: Sequence[int]
) -> dict[str, Any]:
    """Whose elements these are, where all parts but zeros come from one source: rolls, shifts."""
    data = datas(values)
    source = shared(d.root for d in data)
    alone = all(isinstance(v, Data) or _zero(v) for v in values)
    if source is None or source < 0 or not alone:
        return dict(source=-1, place=Place())
    others = tuple(i.number for i in _indices(ins, places))
    parts = tuple(d.place.slices for d in data)
    loops = union(d.place.loops for d in data)
    key = (eqn.primitive.name, str(eqn.params), others, parts)
    rank = len(shape_of(eqn.outvars[0]))
    moved = Rearranged(_along(eqn, rank), rank, key)
    return dict(source=source, place=Place((moved,), loops))


def _along(eqn: Any, rank: int) -> tuple[int, ...]:
    """Axes along which the parts stand beside each other."""
    params: dict[str, Any] = eqn.params
    if "padding_config" in params:
        return tuple(a for a, pads in enumerate(params["padding_config"]) if any(pads))
    axis = params.get("dimension", params.get("axis"))
    return tuple(range(rank)) if axis is None else (int(axis),)


def _zero(value: Value) -> bool:
    return isinstance(value, Parameter) and value.values is not None and 0.0 in value.values


def _like_spikes(value: Value) -> bool:
    """Whether a value beside spikes is as they are: spikes, zeros, ones, masks."""
    return isinstance(value, Events) or _zero(value) or is_simple(values_of(value))


def _level(eqn: Any, value: Value, apart: bool) -> Value:
    """A part, with the axes of the whole; stacked neurons are others if they are `apart`."""
    steps = isinstance(value, Data) and (value.feeds or value.births) and not apart
    axes = _fitted(eqn, value.axes, REPEATED | VARIES if steps else VARIES)
    grown = [a for a, n in enumerate(axes.shape) if value.axes.shape[a : a + 1] != (n,)]
    stacked = eqn.primitive.name == "stack" or not isinstance(value, Data)
    return value.but(axes=axes if stacked else axes.marked(VARIES, grown))


def _fitted(eqn: Any, axes: Axes, labels: int) -> Axes:
    """Axes of a part at the shape of the whole; the axis of a stack carries these labels."""
    shape = shape_of(eqn.outvars[0])
    if eqn.primitive.name == "stack":
        axis: int = eqn.params["axis"]
        axes = axes.inserted(axis, shape[axis], labels)
    return axes.resized(shape) if len(axes) == len(shape) else Axes.of(shape)


def _beside_terms(eqn: Any, values: Sequence[Value]) -> frozenset[Term]:
    """Terms of the parts; along the axis of the parts they vary where the parts differ."""
    parts = [(v, t) for v in values if isinstance(v, Data) for t in v.terms]
    params: dict[str, Any] = eqn.params
    axis = int(params["dimension"] if "dimension" in params else params.get("axis", -1))
    merged: dict[Any, Term] = {}
    for v, t in parts:  # one term a leaf and source
        axes = _fitted(eqn, t.axes, 0)
        if axis >= 0 and _meets(v, t, parts):
            axes = axes.marked(WEIGHT | SOURCE, (axis,))
        key = (t.weight.leaves, t.source, t.spiking, t.counted)
        old = merged.get(key)
        merged[key] = t.but(axes=axes) if old is None else old.but(axes=either(old.axes, axes))
    return frozenset(merged.values())


def _meets(value: Value, term: Term, parts: Sequence[tuple[Value, Term]]) -> bool:
    """Whether a term of one part makes synapses with a term of another part."""
    return any(together(term, other) for v, other in parts if v is not value)


def _together(eqn: Any, ops: Operands, places: Sequence[int], out: Data) -> Companions:
    def put(parts: Sequence[Array]) -> Array:
        operands = list(ops.values)
        for i, part in zip(places, parts, strict=True):
            operands[i] = part
        return again(eqn, *operands)[0]

    if isinstance(out, Events):
        return {EVENTS: put([ops.events(i) for i in places])}
    keys = {t.key for t in out.pending}
    return {k: put([ops.term(i, k) for i in places]) for k in keys}


def _placed_by_data(eqn: Any, values: Sequence[Value], ins: Sequence[Value], ctx: Context) -> Found:
    """Parameters put at places that data choose: what was put there tells where."""
    few_ = united(*map(values_of, values))
    found = mixed(eqn, datas(ins), ctx, "parameters put where data say", enters=False)
    region = found.outs[0]
    assert isinstance(region, Data)
    axes = parameter_of(values, shape_of(eqn.outvars[0])).axes
    if few_ is None or not are_events(few_):
        weight = parameter_of(values, axes.shape).weight
        cause = region.cause
        return Found([Analog(axes, cause=cause, births=region.births, weight=weight)])
    simple = is_simple(few_)
    out = Events(
        axes,
        cause=region.cause,
        births=region.births,
        values=few_,
        scale=UNIT if simple else (max(map(abs, few_)), ()),
        nonneg=min(few_) >= 0,
        beside=not simple,
        random=region.random,
    )
    found = Found([out], None if simple else lambda ops: [{EVENTS: mask(ops.outs[0])}])
    born = simple and (region.feeds or not region.births)
    return placed_births(eqn, found, region, ctx) if born else found
