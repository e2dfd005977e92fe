"""Slices: which part of a value they are; side by side, how many neurons they are together."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

from jax.extend.core import Jaxpr, Literal

from ..axes import IDLE, VARIES, Axes, numbers_in, put_together
from ..findings import Context
from ..kinds import Analog, Data, Events, Pack, Parameter, Value, varied
from ..places import NONE, Path, Paths, Place, stands_in, union
from .births import datas
from .contents import layers_of
from .registry import shape_of, whole
from .written import WRITES, Body, index_of, new_of, window


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


SLICES = ("slice", "split", "unstack")


def piece(eqn: Any, info: Data, k: int, ctx: Context) -> Value | None:
    """What output k of a slice is, where it is one of the values that were put together before."""
    pack = pack_of(info, ctx) if eqn.primitive.name in SLICES else None
    found = None if pack is None else _part(eqn, k, pack)
    if found is None:
        return None
    if found.travels and not (isinstance(info, Events) and isinstance(found, Events)):
        found = _without_events(found)
    if eqn.primitive.name == "unstack":
        axis = int(eqn.params["axis"])
        return found.anew(axes=found.axes.without((axis,)))
    return found


def _part(eqn: Any, k: int, pack: Pack) -> Value | None:
    """The value that output k of a slice takes from others beside it, if it is one."""
    cuts = [(a, n, taken(eqn, a, n, k)) for a, n in enumerate(shape_of(eqn.invars[0]))]
    if any(cut != (0, n, 1) for a, n, cut in cuts if a != pack.axis):
        return None
    return pack.between(*cuts[pack.axis][2])


def is_read_apart(body: Body, variable: Any, pack: Pack) -> bool:
    """Whether a program takes nothing from an array but the values that are put together in it."""
    read = [(e, i) for e in body.jaxpr.eqns for i, v in enumerate(e.invars) if v is variable]
    return all(_reads_apart(body, e, i, pack) for e, i in read)


def _reads_apart(body: Body, eqn: Any, i: int, pack: Pack) -> bool:
    name = eqn.primitive.name
    if name in SLICES:
        return all(_part(eqn, k, pack) is not None for k in range(len(eqn.outvars)))
    if name in ("transpose", "reshape"):
        moved = _moved(eqn, pack)
        return moved is not None and is_read_apart(body, eqn.outvars[0], moved)
    if name in WRITES and i == 0:
        where = body.window(eqn)
        alone = where is not None and _fills(pack, *where)
        return alone and is_read_apart(body, eqn.outvars[0], pack)
    inside = _inside(eqn, i)
    return bool(inside) and all(
        is_read_apart(body.inside(eqn, j), j.invars[k], pack) for j, k in inside
    )


def _fills(pack: Pack, axis: int, start: int, size: int) -> bool:
    """Whether one of several values beside each other fills a part of their array."""
    return pack.axis == axis and pack.between(start, start + size, 1) is not None


def _inside(eqn: Any, i: int) -> list[tuple[Jaxpr, int]]:
    """Where operand i goes on as it is: into the jaxpr of a call, or of the steps of a loop."""
    p = eqn.params
    if eqn.primitive.name == "while":
        tests, fixed = p["cond_nconsts"], p["body_nconsts"]
        test, body = p["cond_jaxpr"].jaxpr, p["body_jaxpr"].jaxpr
        if i < tests:
            return [(test, i)]
        return [(body, i - tests), *([(test, i - fixed)] if i >= tests + fixed else [])]
    if eqn.primitive.name == "scan" and i >= p["num_consts"] + p["num_carry"]:
        return []
    found: list[Any] = [p[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in p]
    inner: list[Jaxpr] = [getattr(jaxpr, "jaxpr", jaxpr) for jaxpr in found[:1]]
    return [(jaxpr, i) for jaxpr in inner if len(jaxpr.invars) == len(eqn.invars)]


def is_shifted(body: Body, state: Any, after: Any, pack: Pack) -> bool:
    """Whether a step moves parts of a state to other places: a delay line, not several states."""
    makers = {v: (e, k) for e in body.jaxpr.eqns for k, v in enumerate(e.outvars)}
    parts = _put_parts(body, makers, after, pack)
    return any(_taken_from(makers, v, state, pack.axis) not in (None, at) for at, v in parts)


def _put_parts(
    body: Body, makers: dict[Any, Any], after: Any, pack: Pack
) -> Iterator[tuple[int, Any]]:
    """Where a step puts what into a state."""
    while after in makers and (eqn := makers[after][0]).primitive.name in (*WRITES, "transpose"):
        where = body.window(eqn) if eqn.primitive.name in WRITES else None
        if where is not None:
            yield where[1], new_of(eqn, eqn.invars)
        after = eqn.invars[0]
    eqn = makers[after][0] if after in makers else None
    if eqn is not None and eqn.primitive.name in ("concatenate", "stack"):
        yield from zip(pack.starts, eqn.invars, strict=False)


def _taken_from(makers: dict[Any, Any], variable: Any, state: Any, axis: int) -> int | None:
    """Where a slice of a state begins; none: it is no slice of it."""
    while not isinstance(variable, Literal) and variable in makers:
        eqn, k = makers[variable]
        variable = eqn.invars[0] if eqn.invars else None
        along = _axis_in(makers, variable, state, axis)
        if eqn.primitive.name in SLICES and along is not None:
            return taken(eqn, along, shape_of(variable)[along], k)[0]
        if eqn.primitive.name not in ("squeeze", "broadcast_in_dim", "reshape", "expand_dims"):
            return None
    return None


def _axis_in(makers: dict[Any, Any], variable: Any, state: Any, axis: int) -> int | None:
    """Where an axis of a state is in what a transposition has made of it; none: of nothing else."""
    if variable is state:
        return axis
    eqn = None if isinstance(variable, Literal) else makers.get(variable, (None,))[0]
    if eqn is None or eqn.primitive.name != "transpose":
        return None
    before = _axis_in(makers, eqn.invars[0], state, axis)
    return None if before is None else [*map(int, eqn.params["permutation"])].index(before)


def pack_of(info: Value, ctx: Context) -> Pack | None:
    """The values that a value was put together of, as far as the program says."""
    known, made = ctx.pack(info.number), ctx.maker(info.number)
    if known is not None or made is None:
        return known
    eqn, ins = made
    if eqn.primitive.name == "concatenate":
        return Pack(int(eqn.params["dimension"]), tuple(map(whole, ins, eqn.invars)))
    if eqn.primitive.name == "stack":
        axis = int(eqn.params["axis"])
        return Pack(axis, tuple(_relabelled(i, i.axes.inserted(axis, 1, 0)) for i in ins))
    moved = eqn.primitive.name in ("transpose", "reshape")
    inner = pack_of(ins[0], ctx) if moved else None
    return None if inner is None else _moved(eqn, inner)


def written(eqn: Any, ins: Sequence[Value], ctx: Context) -> Pack | None:
    """The values of an array of which one is replaced here."""
    where = window(eqn, [ctx.concrete(i) for i in index_of(eqn, ins)])
    if where is None:
        return None
    axis, start, size = where
    pack = None
    if _is_stored(ins[0], ctx):
        pack = pack_of(ins[0], ctx) or _blocks(ins[0], axis, size)
    if pack is None or not _fills(pack, *where):
        return None
    new = new_of(eqn, ins)
    axes = new.axes if len(new.axes) == len(ins[0].axes) else new.axes.inserted(axis, 1, 0)
    return pack.replaced(start, _relabelled(new, axes))


def _is_stored(info: Value, ctx: Context) -> bool:
    """Whether nothing but writes has made an array: a state or a constant, perhaps transposed."""
    made = ctx.maker(info.number)
    if isinstance(info, Parameter) or made is None or ctx.pack(info.number) is not None:
        return True
    return made[0].primitive.name == "transpose" and _is_stored(made[1][0], ctx)


def _blocks(whole: Value, axis: int, size: int) -> Pack | None:
    """Parts of one size of an array of which nothing is known but the whole."""
    shape = whole.axes.shape
    if shape[axis] % size:
        return None
    axes = whole.axes.resized((*shape[:axis], size, *shape[axis + 1 :]))
    return Pack(axis, tuple(part_of(whole, i, axes) for i in range(shape[axis] // size)))


def part_of(whole: Value, i: int, axes: Axes) -> Value:
    """A part of a value of which nothing is known but the whole."""
    if isinstance(whole, Parameter):
        place = whole.place if whole.constant is not None else whole.place.at(("part", i))
        return whole.anew(axes=varied(axes.shape), place=place)
    assert isinstance(whole, Data)
    return whole.apart(axes=axes.only(IDLE | VARIES), place=Place())


def _moved(eqn: Any, pack: Pack) -> Pack | None:
    """The same values where a transposition or another shape has put them."""
    if eqn.primitive.name == "transpose":
        return _transposed(pack, eqn.params["permutation"])
    return _reshaped(pack, shape_of(eqn.outvars[0])) if pack.axis == 0 else None


def _transposed(pack: Pack, permutation: Sequence[int]) -> Pack:
    order = [int(a) for a in permutation]
    parts = tuple(_relabelled(p, p.axes.moved(order)) for p in pack.parts)
    return Pack(order.index(pack.axis), parts)


def _reshaped(pack: Pack, shape: tuple[int, ...]) -> Pack | None:
    """Rows of another width: each part is some of them."""
    row = max(math.prod(shape[1:]), 1)
    sizes = [math.prod(p.axes.shape) for p in pack.parts]
    if not shape or any(size % row for size in sizes):
        return None
    shapes = [(size // row, *shape[1:]) for size in sizes]
    parts = zip(pack.parts, shapes, strict=True)
    return Pack(0, tuple(_relabelled(p, p.axes.reshaped(s)) for p, s in parts))


def _relabelled(value: Value, axes: Axes) -> Value:
    """The same elements with other axes."""
    apart = dict[str, Any](terms=NONE, weight=None) if isinstance(value, Data) else {}
    return value.anew(axes=axes, **apart)


def _without_events(value: Value) -> Value:
    """A part of an array beside which its events do not travel."""
    assert isinstance(value, Data)
    known: dict[str, Any] = {f.name: getattr(value, f.name) for f in dataclasses.fields(Data)}
    return Analog(**known).anew(terms=NONE)


def taken(eqn: Any, axis: int, size: int, k: int) -> tuple[int, int, int]:
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
