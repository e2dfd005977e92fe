"""The values that an array was put together of: taken from it again, written, changed, chosen."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..axes import Axes, Shape
from ..findings import Context
from ..joins import join
from ..kinds import Analog, Data, Events, Parameter, Value, constant, shared
from ..packs import Box, Pack, extent, met, part_of, relabelled, reshaped
from ..places import NONE
from .births import datas
from .boxes import CHANGES, READS, box_chosen, box_read, box_written, new_of
from .contents import births_in, feeds_in
from .registry import ELEMENTWISE, shape_of, whole

DEEPEST = 6  # equations back to what an array was put together of


def piece(eqn: Any, ins: Sequence[Value], k: int, ctx: Context) -> Value | None:
    """What output k of a slice is, where it is one of the values that were put together before."""
    info = ins[0]
    pack = pack_of(info, ctx) if eqn.primitive.name in READS else None
    box = None if pack is None else box_read(eqn, k, _constants(ins, ctx))
    found = None if pack is None or box is None else pack.at(box)
    if found is None:
        return None
    if found.travels and not (isinstance(info, Events) and isinstance(found, Events)):
        found = _analog(found)
    shape = shape_of(eqn.outvars[k])
    return found if found.axes.shape == shape else found.anew(axes=found.axes.reshaped(shape))


def pack_of(info: Value, ctx: Context) -> Pack | None:
    """The values that a value was put together of, as far as the program says."""
    found = _pack(info, ctx, DEEPEST)
    return found if found is not None and found.is_known else None


def written(eqn: Any, ins: Sequence[Value], ctx: Context) -> Pack | None:
    """The values of an array of which one is replaced here."""
    box, pack = box_written(eqn, _constants(ins, ctx)), _pack(ins[0], ctx, DEEPEST)
    new = new_of(eqn, ins)
    found = None if pack is None or box is None else pack.put(box, _fitted(new, box))
    inner = _pack(new, ctx, DEEPEST)
    if found is None or box is None or inner is None or not inner.is_known:
        return found
    shape, there = new.axes.shape, extent(box)
    return found.opened(inner.moved(lambda b: reshaped(b, shape, there), Axes.reshaped))


def either_pack(options: Sequence[Value], ctx: Context) -> Pack | None:
    """The values of one array or another."""
    packs = [_pack(o, ctx, DEEPEST) for o in options]
    found = _met(packs, _one_of)
    return found if found is not None and found.is_known else None


def moved_pack(eqn: Any, pack: Pack) -> Pack | None:
    """The same values where a transposition or another shape has put them."""
    if eqn.primitive.name == "transpose":
        order = [int(a) for a in eqn.params["permutation"]]
        return pack.moved(
            lambda box: tuple(box[a] for a in order), lambda axes, _: axes.moved(order)
        )
    old, new = shape_of(eqn.invars[0]), shape_of(eqn.outvars[0])
    return pack.moved(lambda box: reshaped(box, old, new), Axes.reshaped)


def _constants(ins: Sequence[Value], ctx: Context) -> list[Any]:
    """The operands behind the first one, where they are constants."""
    known: list[np.ndarray | None] = [ctx.concrete(i) for i in ins[1:]]
    return [None, *known]


def _fitted(value: Value, box: Box) -> Value:
    """A value with the axes that it has in a box."""
    shape = extent(box)
    return relabelled(
        value, value.axes if value.axes.shape == shape else value.axes.reshaped(shape)
    )


def _pack(info: Value, ctx: Context, deep: int) -> Pack | None:
    """The values of an array; of a state or a constant that nothing has changed, the whole."""
    known, made = ctx.pack(info.number), ctx.maker(info.number)
    if known is not None:
        return known
    if isinstance(info, Parameter) or made is None:
        return Pack.of(info)
    notes = ctx.notes(info.number)
    if "pack" not in notes:
        found = _made(info, *made, ctx, deep - 1) if deep else None
        if found is None:
            return None
        notes["pack"] = found if found.is_known else Pack.of(info)
    return notes["pack"]


def _made(info: Value, eqn: Any, ins: Sequence[Value], ctx: Context, deep: int) -> Pack | None:
    name = eqn.primitive.name
    if name in ("concatenate", "stack"):
        return _side_by_side(eqn, ins, ctx, deep)
    if name in ("transpose", "reshape"):
        inner = _pack(ins[0], ctx, deep)
        return None if inner is None else moved_pack(eqn, inner)
    if name in READS and len(eqn.outvars) == 1:
        return _within(info, eqn, ins, ctx, deep)
    if name in CHANGES:
        return _changed(eqn, ins, ctx, deep)
    if name == "select_n" and len(ins) == 3:
        return _chosen(info, ins, ctx, deep)
    return _together(info, eqn, ins, ctx, deep) if name in ELEMENTWISE else None


def _side_by_side(eqn: Any, ins: Sequence[Value], ctx: Context, deep: int) -> Pack | None:
    """Values beside each other, and those that some of them were put together of before.

    None, where they are slices of one array of which nothing is known: it is rolled.
    """
    if eqn.primitive.name == "stack":
        axis = int(eqn.params["axis"])
        return Pack.along(axis, [relabelled(i, i.axes.inserted(axis, 1, 0)) for i in ins])
    found = Pack.along(int(eqn.params["dimension"]), [*map(whole, ins, eqn.invars)])
    packs = [None if isinstance(i, Parameter) else _pack(i, ctx, deep) for i in ins]
    made = [ctx.maker(i.number) for i in ins]
    rolled = shared(m[1][0].number if m and m[0].primitive.name in READS else None for m in made)
    if rolled is not None and not any(p and p.is_known for p in packs):
        return None
    parts = zip(found.parts, packs, strict=True)
    return Pack(tuple(p for part, pack in parts for p in part.opened(pack)))


def _within(info: Value, eqn: Any, ins: Sequence[Value], ctx: Context, deep: int) -> Pack | None:
    """A part of an array, which may be several values itself."""
    box, pack = box_read(eqn, 0, _constants(ins, ctx)), _pack(ins[0], ctx, deep)
    inner = None if pack is None or box is None else pack.within(box)
    if inner is None or box is None or info.axes.shape == extent(box):
        return inner
    shape = info.axes.shape
    return inner.moved(lambda b: reshaped(b, extent(box), shape), Axes.reshaped)


def _changed(eqn: Any, ins: Sequence[Value], ctx: Context, deep: int) -> Pack | None:
    """One of the values is changed, by adding to it, say."""
    box, pack = box_written(eqn, _constants(ins, ctx)), _pack(ins[0], ctx, deep)
    old = None if pack is None or box is None else pack.at(box)
    if pack is None or box is None or old is None:
        return None
    new = _combined(ctx, old, _fitted(ins[2], box))
    return None if new is None else pack.put(box, new)


def _chosen(info: Value, ins: Sequence[Value], ctx: Context, deep: int) -> Pack | None:
    """One array or another, where a mask says: what one of them has in a box of the other."""
    pred, *cases = ins
    mask = ctx.concrete(pred) if isinstance(pred, Parameter) else None
    packs = [_pack(c, ctx, deep) if c.axes.shape == info.axes.shape else None for c in cases]
    if mask is None or mask.shape != info.axes.shape:
        return _met(packs, _one_of)
    for k, pack in enumerate(packs):
        box = box_chosen(mask.astype(bool) != bool(k))
        if pack is not None and box is not None:
            return pack.put(box, _in_box(cases[1 - k], packs[1 - k], box, ctx))
    return None


def _in_box(case: Value, pack: Pack | None, box: Box, ctx: Context) -> Value:
    """What an array has in a box: the value that was broadcast to it, or one of its values."""
    made = ctx.maker(case.number)
    spread = made is not None and made[0].primitive.name == "broadcast_in_dim"
    inner = made[1][0] if made and spread else case
    if _without_ones(inner.axes.shape) == _without_ones(extent(box)):
        return _fitted(inner, box)
    found = None if pack is None else pack.at(box)
    return found or part_of(case, box, case.axes.resized(extent(box)))


def _without_ones(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


def _together(info: Value, eqn: Any, ins: Sequence[Value], ctx: Context, deep: int) -> Pack | None:
    """Several arrays, element by element: their values meet, each with those in the same box."""
    data, shape = datas(ins), info.axes.shape
    if any(isinstance(d, Events) for d in data):
        return None
    masks = [i for i in ins if isinstance(i, Parameter) and i.is_mask and i.constant is None]
    if eqn.primitive.name == "mul" and masks and len(data) == 1:
        return _masked(masks[0], data[0], shape, ctx, deep)
    same = [d for d in data if d.axes.shape == shape]
    if not feeds_in(data) <= feeds_in(same):
        return None
    packs = [_pack(d, ctx, deep) or (None if d.feeds else Pack.of(d)) for d in same]
    found = _met(packs, functools.partial(_combined, ctx))
    return None if found is None else found.filled([_analog(v) for v in found.values])


def _masked(factor: Value, info: Data, shape: Shape, ctx: Context, deep: int) -> Pack | None:
    """An array, times a mask of zeros and ones: what it leaves of the array, if that is a box."""
    found = ctx.concrete(factor)
    if found is None:
        return None
    mask, pack = np.broadcast_to(found.astype(bool), shape), _pack(info, ctx, deep)
    kept, gone = box_chosen(mask), box_chosen(~mask)
    zero = constant(np.zeros(shape))
    if pack is not None and gone is not None and info.axes.shape == shape:
        return pack.put(gone, part_of(zero, gone, zero.axes.resized(extent(gone))))
    return None if kept is None else Pack.of(zero).put(kept, _in_box(info, pack, kept, ctx))


def _met(packs: Sequence[Pack | None], make: Any) -> Pack | None:
    known = [p for p in packs if p is not None]
    if len(known) < len(packs) or not known:
        return None
    first, *others = known
    for other in others:
        found = met(first, other, make)
        if found is None:
            return None
        first = found
    return first


def _one_of(a: Value, b: Value) -> Value:
    """What may be either of two values."""
    return a if a == b else relabelled(joined := join(a, b), joined.axes)


def _combined(ctx: Context, a: Value, b: Value) -> Value | None:
    """What two values make together; spikes only where they are those of the region itself."""
    if 0 in (a.constant, b.constant):
        return b if a.constant == 0 else a
    data, both = datas((a, b)), join(a, b)
    own = ctx.own(births_in(data), feeds_in(data))
    if any(isinstance(d, Events) and not d.weak and d.births - own for d in data):
        return None
    if not isinstance(both, Data):
        return both.anew(values=None) if isinstance(both, Parameter) else None
    return _analog(both.but(births=both.births - own, fired=both.fired | own))


def _analog(value: Value) -> Value:
    """The same region, changed: no products in it, and no events beside it."""
    if isinstance(value, Parameter):
        return value.anew(values=None)
    known: dict[str, Any] = {f.name: getattr(value, f.name) for f in dataclasses.fields(Data)}
    return Analog(**known).anew(terms=NONE)
