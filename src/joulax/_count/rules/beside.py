"""Values put beside each other, or over each other: stacks, paddings, buffers, indices."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

from jaxtyping import Array

from ..axes import IDLE, REPEATED, SOURCE, VARIES, WEIGHT, Axes, either
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
from ..packs import Pack
from ..places import NONE, Paths, Place, union
from .births import datas, mixed, placed_births
from .boxes import WRITES
from .contents import feeds_in, held_in, place_of
from .made import of_parts
from .parts import written
from .registry import data_of, parameter_of, rule, shape_of, travelling, whole, windows
from .sets import are_events, values_of
from .slices import are_apart, by_slices, side_by_side
from .states import in_buffer
from .summed import again
from .terms import Rearranged, together


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
    found = beside(eqn, [*map(whole, ins, eqn.invars)], ctx)
    return found.but(lost=PASTED) if _pastes(eqn, ins, ctx) else found


PASTED = "weights added where data say, by writing a sum back: add them with .at[…].add"


def _pastes(eqn: Any, ins: Sequence[Value], ctx: Context) -> bool:
    """Whether what is written is what stood there, and a leaf, scaled or as it is: at a place that
    data choose.
    """
    if eqn.primitive.name != "dynamic_update_slice" or not datas(ins[2:]):
        return False
    made = ctx.maker(ins[1].number)
    if made is None or made[0].primitive.name != "add":
        return False
    return any(_varies(v) for v in made[1]) and any(_reads(v, ins[0], ctx) for v in made[1])


def _varies(value: Value) -> bool:
    """Whether a value is a leaf of which elements differ, or products with such a leaf."""
    if isinstance(value, Data):
        return any(any(t.axes.flags(WEIGHT)) for t in value.opened)
    weight = value.weight if isinstance(value, Parameter) and not value.is_mask else None
    return weight is not None and any(weight.axes.flags(WEIGHT))


def _reads(value: Value, old: Value, ctx: Context) -> bool:
    """Whether a value is taken from another one."""
    made = ctx.maker(value.number) if isinstance(value, Data) else None
    return made is not None and made[1][0].number == old.number


@dataclasses.dataclass(frozen=True)
class Put:
    """How values are put beside each other, or one over another: into a buffer."""

    places: tuple[int, ...]  # operands that are the values
    along: tuple[int, ...]  # axes along which a part is not where the others are
    index: tuple[Value, ...] = ()  # what says where
    over: bool = False

    @property
    def walked(self) -> Paths:
        """Loops in which places that are parameters change from step to step."""
        return union(i.place.loops for i in self.index if isinstance(i, Parameter))

    def gone(self, values: Sequence[Value]) -> Paths:
        """States of loops that are not carried on: a buffer, another place in every step."""
        loops = self.walked if self.over else NONE
        return frozenset(s for s in held_in(values) if {s[:-1], s[:-2]} & loops)

    def slices(self, values: Sequence[Value], ctx: Context) -> float:
        """Parts of a weight whose currents loops put beside each other: of as many neurons."""
        data = datas(values) if self.over else []
        loops = frozenset(p for p in self.walked if any(by_slices(d, p, ctx) for d in data))
        return math.inf if (steps := ctx.steps(loops)) is None else steps

    def kept(self, values: Sequence[Value], ctx: Context) -> Paths:
        """States that a buffer holds and that go on from what it held before, elsewhere in it."""
        old, new = (held_in([v]) for v in values) if self.over else (NONE, NONE)
        here = place_of(self.index, ctx)
        return old & (new | {s[:-1] for s in new if s[-1] != here})

    def held(self, term: Term) -> Term:
        """A product of which a loop puts those of each step at a place of their own."""
        own, source = term.weight.place.loops, term.place.loops
        if datas(self.index):  # data may choose another place in every step
            own = source = own & source
        else:
            own, source = own & self.walked, source & self.walked
        if not (self.over and own | source):
            return term
        labels = (WEIGHT if own else 0) | (SOURCE if source else 0)
        axes = term.axes.marked(labels, self.along)
        return in_buffer(term, own | source, source - own).but(axes=axes)


def _put(eqn: Any, ins: Sequence[Value]) -> Put:
    """How an equation puts its operands together."""
    places = data_places(eqn, ins)
    index = tuple(i for k, i in enumerate(ins) if k not in places)
    return Put(tuple(places), along(eqn), index, eqn.primitive.name in WRITES)


def beside(eqn: Any, ins: Sequence[Value], ctx: Context, put: Put | None = None) -> Found:
    """Values put beside each other, or over each other."""
    put = put or _put(eqn, ins)
    given = [ins[i] for i in put.places]
    kept, slices = put.kept(given, ctx), put.slices(given, ctx)
    apart = are_apart(datas(given), ctx) or bool(kept) or slices > 1
    values = [_level(eqn, v, apart) for v in given]
    if all(isinstance(v, Parameter) for v in values):
        return _placed_by_data(eqn, values, ins, ctx)
    out = _joined(eqn, values, ctx).anew(
        weight=of_parts(values, values[0].axes, ctx),
        terms=_beside_terms(eqn, values, put),
        **_rearranged(eqn, values, put),
        held=held_in(values) - put.gone(values) | kept,
        feeds=feeds_in(values),
        **side_by_side(values),
    )
    if put.over:  # one part may take the place of another, walk after walk
        out = out.but(size=min(out.size * slices, float(out.axes.size(IDLE))))
    events = travelling(out, lambda ops: _together(eqn, ops, put.places, out))
    return Found([out], events=events, packs=_packs(eqn, ins, ctx))


def _joined(eqn: Any, values: Sequence[Value], ctx: Context) -> Data:
    """What is true of all values beside each other."""
    joined = functools.reduce(join, values)
    if isinstance(joined, Events) and not all(map(_like_spikes, values)):
        joined = data_of(mixed(eqn, values, ctx, "spikes are put beside other values"))
    assert isinstance(joined, Data)
    return joined


def _packs(eqn: Any, ins: Sequence[Value], ctx: Context) -> dict[int, Pack]:
    """The values of an array that is written, by the number of the output."""
    pack = written(eqn, ins, ctx) if eqn.primitive.name in WRITES else None
    return {} if pack is None else {0: pack}


def _rearranged(eqn: Any, values: Sequence[Value], put: Put) -> dict[str, Any]:
    """Whose elements these are, where all parts but zeros come from one source: rolls, shifts."""
    data = datas(values)
    source = shared(d.root for d in data)
    alone = all(isinstance(v, Data) or _zero(v) for v in values)
    if source is None or not alone:
        return dict(source=-1, place=Place())
    others = tuple(i.number for i in put.index)
    parts = tuple(d.place.slices for d in data)
    loops = union(d.place.loops for d in data)
    key = (eqn.primitive.name, str(eqn.params), others, parts)
    moved = Rearranged(put.along, len(shape_of(eqn.outvars[0])), key)
    return dict(source=source, place=Place((moved,), loops))


def along(eqn: Any) -> tuple[int, ...]:
    """Axes along which a part is not where the others are."""
    p: dict[str, Any] = eqn.params
    if "padding_config" in p:
        return tuple(a for a, pads in enumerate(p["padding_config"]) if any(pads))
    if eqn.primitive.name.startswith("scatter"):
        return tuple(map(int, p["dimension_numbers"].scatter_dims_to_operand_dims))
    if eqn.primitive.name == "dynamic_update_slice":
        sizes = zip(*(shape_of(v) for v in eqn.invars[:2]), strict=True)
        return tuple(a for a, (whole, piece) in enumerate(sizes) if whole != piece)
    return (int(p["dimension"] if "dimension" in p else p["axis"]),)


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
    shape, name = shape_of(eqn.outvars[0]), eqn.primitive.name
    if name == "stack":
        axis: int = eqn.params["axis"]
        axes = axes.inserted(axis, shape[axis], labels)
    elif name == "concatenate" and labels & REPEATED:
        axes = _stacked(axes, int(eqn.params["dimension"]), shape, labels)
    if len(axes) == len(shape):
        return axes.resized(shape)
    in_windows = eqn.primitive.name.startswith("scatter")
    return _windowed(eqn, axes, shape, labels) if in_windows else Axes.of(shape)


def _stacked(axes: Axes, axis: int, shape: tuple[int, ...], labels: int) -> Axes:
    """A stack in disguise, of parts that have one place along the axis; others stay as they are."""
    if axes.shape[axis] != 1:
        return axes
    return axes.without((axis,)).inserted(axis, shape[axis], labels)


def _windowed(eqn: Any, axes: Axes, shape: tuple[int, ...], labels: int) -> Axes:
    """Axes of what is put into an array: windows keep theirs, the others carry these labels."""
    put = map(int, eqn.params["dimension_numbers"].update_window_dims)
    return axes.moved(put).broadcast(shape, windows(eqn, len(shape)), labels)


def _beside_terms(eqn: Any, values: Sequence[Value], put: Put) -> frozenset[Term]:
    """Terms of the parts; along the axis of the parts they vary where the parts differ."""
    parts = _parts(eqn, values, put)
    merged: dict[Any, Term] = {}
    for v, t in parts:  # one term a leaf and source
        if _meets(v, t, parts):
            t = t.but(axes=t.axes.marked(WEIGHT | SOURCE, put.along))
        key = (t.weight.leaves, t.source, t.spiking, t.counted)
        merged[key] = _united(merged[key], t) if key in merged else t
    new = {t.factors for v, t in parts if v is not values[0] or t.stored}
    return frozenset(put.held(t) if t.factors in new else t for t in merged.values())


def _parts(eqn: Any, values: Sequence[Value], put: Put) -> list[tuple[Value, Term]]:
    """Terms where they are put, with the values that they are in."""
    each, moves = zip(values, put.places, strict=True), _is_moved(values)
    moved = [(v, t) for v, i in each for t in placed_terms(eqn, v, i, put, moves=moves)]
    counted = {t.factors for _, t in moved if t.counted}
    return [(v, t) for v, t in moved if not (_is_former(t) and t.factors in counted)]


def _is_moved(values: Sequence[Value]) -> bool:
    """Whether one value with products is put among zeros, and data without any."""
    given = [v for v in values if isinstance(v, Data) and v.terms]
    return len(given) == 1 and all(isinstance(v, Data) or v.constant == 0 for v in values)


def _united(old: Term, new: Term) -> Term:
    """Products of one leaf and source in two parts of one array: in each element as many."""
    many = old.positions
    if not (old.carried or new.carried):
        most = max(math.ceil(old.positions), math.ceil(new.positions))
        many = min(old.positions + new.positions, float(most))
    return old.but(axes=either(old.axes, new.axes), positions=many)


def placed_terms(eqn: Any, value: Value, i: int, put: Put, *, moves: bool) -> list[Term]:
    """Terms of operand i where it is put, among zeros that `moves` them to another place."""
    if not isinstance(value, Data):
        return []
    share = 1.0  # of the elements; all of them if a loop or data say where
    if not (put.walked or datas(put.index)):
        share = eqn.invars[i].aval.size / max(math.prod(shape_of(eqn.outvars[0])), 1)
    key = (eqn.primitive.name, str(eqn.params), i, *(v.number for v in put.index))
    found: list[Term] = []
    for t in value.terms:
        t = t.but(axes=_fitted(eqn, t.axes, 0))
        if not t.carried:
            t = t.but(positions=t.positions * share)
            t = _elsewhere(t, put.along, key) if moves else t
        found.append(t)
    return found


def _elsewhere(term: Term, along: Sequence[int], key: Any) -> Term:
    """A term whose factors stand at another place, along the axes on which they differ."""
    rank = len(term.axes)
    own, source = (tuple(a for a in along if term.axes.has(a, s)) for s in (WEIGHT, SOURCE))
    weight, place = term.weight.place, term.place
    weight = weight.at(Rearranged(own, rank, key)) if own else weight
    place = place.at(Rearranged(source, rank, key)) if source else place
    return term.but(weight=dataclasses.replace(term.weight, place=weight), place=place)


def _is_former(term: Term) -> bool:
    """Whether a product in a buffer is what an earlier walk has taken for one that is open."""
    return term.is_open and bool(term.stored & term.carried)


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
