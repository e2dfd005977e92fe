"""Primitives that move values.

Events stay events and move along, terms keep whose products they are.
"""

from collections.abc import Sequence
from typing import Any

from ..axes import COPIED, IDLE, REPEATED, SOURCE, VARIES, WEIGHT, Axes, Cut, combined
from ..findings import EVENTS, Companions, Context, Found, Operands, mask
from ..kinds import (
    UNIT,
    Analog,
    Data,
    Events,
    Parameter,
    Place,
    Term,
    Value,
    is_simple,
    join,
    united,
)
from .births import datas, mixed, placed_births, union
from .registry import parameter_of, rule, shape_of
from .sets import are_events, values_of
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
    name, p = eqn.primitive.name, eqn.params
    if name == "slice":
        window = _window(p, axes.shape, axes.flags(label))
        return place if window is None else place.at(window)
    if name in ("split", "unstack"):
        return place.at((name, k)) if axes.has(p["axis"], label) else place
    if name == "rev":
        moved = tuple(d for d in p["dimensions"] if axes.has(d, label))
        return place.at(Rearranged(moved, len(axes), name)) if moved else place
    if name == "transpose":
        order = tuple(d for d in p["permutation"] if axes.has(d, label))
        return place if order == tuple(sorted(order)) else place.at((name, order))
    return place


def _window(p: Any, shape: tuple[int, ...], along: Sequence[bool]) -> Window | None:
    """A slice along some axes; none where it takes all of them."""
    strides = p["strides"] or (1,) * len(shape)
    cuts = zip(p["start_indices"], p["limit_indices"], strides, strict=True)
    whole = [(0, size, 1) for size in shape]
    each = [cut if here else all_ for cut, all_, here in zip(cuts, whole, along, strict=True)]
    if each == whole:
        return None
    starts, limits, steps = zip(*each, strict=True)
    return Window(starts, limits, steps)


@rule(*MOVES, parameters=_moved_parameters)
def _move(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Elements that only change place."""
    info = ins[0]
    assert isinstance(info, Data)
    outs = [moved_value(eqn, info, k) for k in range(len(eqn.outvars))]
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
    neurons, steps = _cut(eqn, info, k, idle=False), _cut(eqn, info, k, idle=True)
    size = info.size
    if not same_elements:
        size = min(size, float(axes.size(IDLE))) if size else size
    return info.but(
        axes=axes,
        terms=frozenset(_moved_term(eqn, t, k) for t in info.terms),
        weight=weight,
        source=info.root,
        place=_placed(eqn, info.place, info.axes, k),
        size=size,
        part=info.part if neurons is None else (*info.part, neurons),
        turns=info.turns if steps is None else frozenset((*t, steps) for t in info.turns or {()}),
        **changes,
    )


def _cut(eqn: Any, info: Data, k: int, *, idle: bool) -> Any:
    """Which part of a region these are, along axes of neurons or of steps and samples."""
    if not (info.feeds or info.births) or eqn.primitive.name not in ("slice", "split", "unstack"):
        return None
    sizes, repeated = info.axes.shape, info.axes.wholly(IDLE)
    along = [a for a, r in enumerate(repeated) if r == idle]
    cuts = tuple(_taken(eqn, a, sizes[a], k) for a in along)
    whole = tuple((0, sizes[a], 1) for a in along)
    return None if cuts == whole else Cut(cuts, tuple(sizes[a] for a in along))


def _taken(eqn: Any, axis: int, size: int, k: int) -> tuple[int, int, int]:
    """Start, limit and stride of output k along one axis."""
    name, p = eqn.primitive.name, eqn.params
    if name == "slice":
        stride = 1 if p["strides"] is None else p["strides"][axis]
        return int(p["start_indices"][axis]), int(p["limit_indices"][axis]), int(stride)
    if axis != p["axis"]:
        return 0, size, 1
    if name == "unstack":
        return k, k + 1, 1
    start = int(sum(p["sizes"][:k]))
    return start, start + int(p["sizes"][k]), 1


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
    return beside(eqn, list(_unleveled(eqn, ins)), ctx)


def _unleveled(eqn: Any, ins: Sequence[Value]) -> Any:
    for info, variable in zip(ins, eqn.invars, strict=True):
        fits = info.axes.shape == shape_of(variable)
        yield info if fits else info.but(axes=Axes.of(shape_of(variable)))


def beside(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """Values put beside each other, or over each other."""
    places = data_places(eqn, ins)
    values = [_level(eqn, ins[i]) for i in places]
    if all(isinstance(v, Parameter) for v in values):
        return _placed_by_data(eqn, values, ins, ctx)
    joined = values[0]
    for other in values[1:]:
        joined = join(joined, other)
    events_only = all(isinstance(v, Events) or _like_spikes(v) for v in values)
    if isinstance(joined, Events) and not events_only:
        found = mixed(eqn, values, ctx, "spikes are put beside other values")
        joined = found.outs[0]
    assert isinstance(joined, Data)
    out = joined.but(
        number=-1,
        form=None,
        size=_size(values),
        weight=None,
        terms=_beside_terms(eqn, values),
        **_rearranged(eqn, ins, values, places),
        held=joined.held - _stored(eqn, ins, values, places),
        feeds=union(v.feeds for v in values if isinstance(v, Data)),
    )
    if not out.travels:
        return Found([out])
    return Found([out], events=lambda ops: [_together(eqn, ops, places, out)])


def _stored(
    eqn: Any, ins: Sequence[Value], values: Sequence[Value], places: Sequence[int]
) -> frozenset:
    """States of loops that a result does not carry on: a buffer, another place in every step."""
    if eqn.primitive.name not in ("scatter", "dynamic_update_slice"):
        return frozenset()
    index = [i for k, i in enumerate(ins) if k not in places]
    loops = union(i.place.loops for i in index if isinstance(i, Parameter))
    old, new = (v.held if isinstance(v, Data) else frozenset() for v in values)
    return frozenset(s for s in old - new if s[:-1] in loops)


def _rearranged(
    eqn: Any, ins: Sequence[Value], values: Sequence[Value], places: Sequence[int]
) -> dict[str, Any]:
    """Whose elements these are, where all parts but zeros come from one source: rolls, shifts."""
    data = [v for v in values if isinstance(v, Data)]
    sources = {d.root for d in data}
    rest = [v for v in values if not isinstance(v, Data)]
    if len(sources) != 1 or min(sources) < 0 or not all(map(_zero, rest)):
        return dict(source=-1, place=Place())
    others = tuple(i.number for k, i in enumerate(ins) if k not in places)
    parts = tuple(d.place.slices for d in data)
    loops = union(d.place.loops for d in data)
    key = (eqn.primitive.name, str(eqn.params), others, parts)
    rank = len(shape_of(eqn.outvars[0]))
    moved = Rearranged(_along(eqn, rank), rank, key)
    return dict(source=sources.pop(), place=Place((moved,), loops))


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
    """Whether a parameter beside spikes is as they are: zeros, ones, masks."""
    return _zero(value) or (isinstance(value, Parameter) and is_simple(value.values))


def _size(values: Sequence[Value]) -> float:
    """Neurons side by side: parts of one region are one population."""
    data = [v for v in values if isinstance(v, Data) and (v.feeds or v.size)]
    found: list[tuple[frozenset, float]] = []
    for d in data:
        owner = d.feeds or d.births
        match = next((i for i, (o, _) in enumerate(found) if o & owner), None)
        if match is None:
            found.append((owner, d.size))
        else:
            old, size = found[match]
            found[match] = (old | owner, max(size, d.size))
    return sum(size for _, size in found)


def _level(eqn: Any, value: Value) -> Value:
    """A part, with the axes of the whole."""
    shape = shape_of(eqn.outvars[0])
    if eqn.primitive.name == "stack":
        labels = REPEATED if isinstance(value, Data) and (value.feeds or value.births) else 0
        axes = value.axes.inserted(eqn.params["axis"], shape[eqn.params["axis"]], labels | VARIES)
        return value.but(axes=axes)
    if len(value.axes) != len(shape):
        return value.but(axes=Axes.of(shape))
    return value.but(axes=value.axes.resized(shape))


def _beside_terms(eqn: Any, values: Sequence[Value]) -> frozenset[Term]:
    """Terms of the parts; along the axis of the parts they vary where the parts differ."""
    shape = shape_of(eqn.outvars[0])
    parts = [(v, t) for v in values if isinstance(v, Data) for t in v.terms]
    params: dict[str, Any] = eqn.params
    axis = params["dimension"] if "dimension" in params else params.get("axis", -1)
    found: set[Term] = set()
    for v, t in parts:
        axes = t.axes
        if eqn.primitive.name == "stack":
            axes = axes.inserted(axis, shape[axis], 0)
        axes = axes.resized(shape) if len(axes) == len(shape) else Axes.of(shape)
        if axis >= 0 and any(together(t, u) for w, u in parts if w is not v):
            axes = axes.marked(WEIGHT | SOURCE, (axis,))
        found.add(t.but(axes=axes))
    merged: dict[Any, Term] = {}
    for t in found:  # one term a leaf and source
        key = (t.weight.leaves, t.source, t.spiking, t.counted)
        old = merged.get(key)
        both = t if old is None else old.but(axes=combined(lambda p, q: p | q, old.axes, t.axes))
        merged[key] = both
    return frozenset(merged.values())


def _together(eqn: Any, ops: Operands, places: Sequence[int], out: Data) -> Companions:
    def put(make: Any) -> Any:
        operands = [make(i) if i in places else ops.values[i] for i in range(len(ops.infos))]
        return again(eqn, *operands)[0]

    if isinstance(out, Events):
        return {EVENTS: put(ops.events)}
    keys = {t.key for t in out.terms if not t.counted}
    return {k: put(lambda i, k=k: ops.term(i, k)) for k in keys}


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
    there = None if simple else lambda ops: [{EVENTS: mask(ops.outs[0])}]
    found = Found([out], events=there)
    return placed_births(eqn, found, region, ctx) if simple and region.feeds else found
