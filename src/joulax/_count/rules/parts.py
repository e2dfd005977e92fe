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
from ..packs import Box, Pack, extent, fitted, known_pack, met, part_of, relabelled, reshaped
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
    found = pack.at(box_read(eqn, k, _constants(ins, ctx))) if pack else None
    if found is None:
        return None
    if found.travels and not (isinstance(info, Events) and isinstance(found, Events)):
        found = _analog(found)
    shape = shape_of(eqn.outvars[k])
    return found if found.axes.shape == shape else found.anew(axes=found.axes.reshaped(shape))


def pack_of(info: Value, ctx: Context) -> Pack | None:
    """The values that a value was put together of, as far as the program says."""
    return known_pack(_pack(info, ctx, DEEPEST))


def written(eqn: Any, ins: Sequence[Value], ctx: Context) -> Pack | None:
    """The values of an array of which one is replaced here."""
    box, pack, new = _written(eqn, ins, ctx), _pack(ins[0], ctx, DEEPEST), new_of(eqn, ins)
    found, inner = pack.put(box, new) if pack else None, pack_of(new, ctx)
    if found is None or box is None or inner is None:
        return found
    return found.opened(_shaped(inner, new.axes.shape, extent(box)))


def either_pack(options: Sequence[Value], ctx: Context) -> Pack | None:
    """The values of one array or another."""
    return known_pack(_met([_pack(o, ctx, DEEPEST) for o in options], _one_of))


def moved_pack(eqn: Any, pack: Pack) -> Pack | None:
    """The same values where a transposition or another shape has put them."""
    if eqn.primitive.name == "transpose":
        order = [int(a) for a in eqn.params["permutation"]]
        return pack.moved(
            lambda box: tuple(box[a] for a in order), lambda axes, _: axes.moved(order)
        )
    return _shaped(pack, shape_of(eqn.invars[0]), shape_of(eqn.outvars[0]))


def _shaped(pack: Pack, old: Shape, new: Shape) -> Pack | None:
    """The same values in an array of another shape."""
    return pack.moved(lambda box: reshaped(box, old, new), Axes.reshaped)


def taken_pack(pack: Pack, box: Box | None, shape: Shape) -> Pack | None:
    """The values in a box of an array, as an array of this shape."""
    inner = pack.within(box)
    return None if inner is None or box is None else _shaped(inner, extent(box), shape)


def _constants(ins: Sequence[Value], ctx: Context) -> list[Any]:
    """The operands behind the first one, where they are constants."""
    known: list[np.ndarray | None] = [ctx.concrete(i) for i in ins[1:]]
    return [None, *known]


def _written(eqn: Any, ins: Sequence[Value], ctx: Context) -> Box | None:
    return box_written(eqn, _constants(ins, ctx))


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
        box, pack = box_read(eqn, 0, _constants(ins, ctx)), _pack(ins[0], ctx, deep)
        return taken_pack(pack, box, info.axes.shape) if pack else None
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
    packs = [None if isinstance(i, Parameter) else _pack(i, ctx, deep) for i in ins]
    if _is_rolled(ins, ctx) and not any(map(known_pack, packs)):
        return None
    found = Pack.along(int(eqn.params["dimension"]), [*map(whole, ins, eqn.invars)])
    parts = zip(found.parts, packs, strict=True)
    return Pack(tuple(p for part, pack in parts for p in part.opened(pack)))


def _is_rolled(ins: Sequence[Value], ctx: Context) -> bool:
    """Whether all operands are taken from one array."""
    made = [ctx.maker(i.number) for i in ins]
    taken = (m[1][0].number if m and m[0].primitive.name in READS else None for m in made)
    return shared(taken) is not None


def _changed(eqn: Any, ins: Sequence[Value], ctx: Context, deep: int) -> Pack | None:
    """One of the values is changed, by adding to it, say."""
    box, pack = _written(eqn, ins, ctx), _pack(ins[0], ctx, deep)
    old = pack.at(box) if pack else None
    if pack is None or box is None or old is None:
        return None
    new = replaced(eqn, ins, ctx)
    new = _combined(ctx, old, fitted(ins[2], box)) if new is None else fitted(new, box)
    return None if new is None else pack.put(box, new)


def replaced(eqn: Any, ins: Sequence[Value], ctx: Context) -> Value | None:
    """What is written by a change of what there was: `a.at[k].add(new - a[k])`, or times 0."""
    change, box = ins[2], _written(eqn, ins, ctx)
    if box is None:
        return None
    shape = change.axes.shape
    if eqn.primitive.name.endswith("mul"):
        return constant(np.zeros(shape)) if change.constant == 0 else None
    left = _left(eqn, ins, box, ctx)
    new = ctx.numbered(*left) if left else constant(np.zeros(shape))
    return new if left is not None and new and new.axes.shape == shape else None


def _left(eqn: Any, ins: Sequence[Value], box: Box, ctx: Context) -> list[int] | None:
    """Numbers of what is left where a change takes away what there was: of one value, or none."""
    array, change = ins[0], ins[2]
    sign = {"add": 1.0, "sub": -1.0}.get(eqn.primitive.name[-3:], 0.0)
    form = {n: sign * c for n, c in change.linear}
    old = [form.pop(n) for n in tuple(form) if _is_read(n, array, box, ctx)]
    nothing = not old and change.form is not None and _is_zero(array, box, ctx)
    fits = (old == [-1] or nothing) and [*form.values()] in ([], [1])
    return [*form] if fits else None


def _is_zero(array: Value, box: Box, ctx: Context) -> bool:
    """Whether there is nothing in a box of an array."""
    pack = _pack(array, ctx, DEEPEST)
    old = pack.at(box) if pack else None
    return old is not None and old.constant == 0


def _is_read(number: int, array: Value, box: Box, ctx: Context) -> bool:
    """Whether a numbered value is what an array has in a box."""
    made = ctx.maker(number)
    while made is not None and made[0].primitive.name in ("reshape", "squeeze"):
        made = ctx.maker(made[1][0].number)
    if made is None or made[0].primitive.name not in READS or len(made[0].outvars) > 1:
        return False
    eqn, ins = made
    return ins[0].number == array.number and box_read(eqn, 0, _constants(ins, ctx)) == box


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
        return fitted(inner, box)
    found = None if pack is None else pack.at(box)
    return found or part_of(case, box, case.axes.resized(extent(box)))


def _without_ones(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


def _together(info: Value, eqn: Any, ins: Sequence[Value], ctx: Context, deep: int) -> Pack | None:
    """Several arrays, element by element: their values meet, each with those in the same box."""
    data, mask, shape = datas(ins), _mask_in(eqn, ins), info.axes.shape
    if any(isinstance(d, Events) for d in data):
        return None
    if mask is None:
        found = _meeting(data, shape, ctx, deep)
    else:
        found = _masked(mask, data[0], shape, ctx, deep)
    return found.filled([_analog(v) for v in found.values]) if found else None


def _mask_in(eqn: Any, ins: Sequence[Value]) -> Value | None:
    """The mask that data are multiplied by."""
    masks = (i for i in ins if isinstance(i, Parameter) and i.is_mask and i.constant is None)
    return next(masks, None) if eqn.primitive.name == "mul" else None


def _meeting(data: Sequence[Data], shape: Shape, ctx: Context, deep: int) -> Pack | None:
    """Values of arrays of one shape, which nothing but what feeds them scales."""
    same = [d for d in data if d.axes.shape == shape]
    if not feeds_in(data) <= feeds_in(same):
        return None
    packs = [_pack(d, ctx, deep) or (None if d.feeds else Pack.of(d)) for d in same]
    return _met(packs, functools.partial(_combined, ctx))


def _masked(factor: Value, info: Data, shape: Shape, ctx: Context, deep: int) -> Pack | None:
    """An array, times a mask of zeros and ones: of a box of it nothing, or nothing but a box."""
    known, pack = ctx.concrete(factor), _pack(info, ctx, deep)
    if known is None:
        return pack
    mask, zero = np.broadcast_to(known.astype(bool), shape), Pack.of(constant(np.zeros(shape)))
    kept, gone = box_chosen(mask), box_chosen(~mask)
    if pack is not None and info.axes.shape == shape:
        nothing = zero.at(gone)
        return pack if nothing is None else pack.put(gone, nothing)
    return zero.put(kept, _in_box(info, pack, kept, ctx)) if kept else None


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
