"""Values by index: rows picked by data, sums at indices, synapses by index, sorting."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..axes import COPIED, IDLE, PICKED, REPEATED, SOURCE, SPREAD, VARIES, WEIGHT, Axes, Chosen
from ..events import existing
from ..findings import Companions, Context, Found, Operands, Site, Tap
from ..kinds import (
    TERNARY,
    ZERO,
    Analog,
    Data,
    Events,
    Parameter,
    Term,
    Value,
    Weight,
    united,
    varied,
)
from ..places import NONE, Paths, read_in_steps, union
from .births import datas, mixed, placed_births
from .combined import firing
from .contents import arrived, births_in, loops_of, loops_over, place_of, targets_in
from .made import leaf_of
from .parts import piece
from .registry import (
    because,
    data_of,
    is_integer,
    rule,
    shape_of,
    site_of,
    travelling,
)


def _index_key(ins: Sequence[Value]) -> tuple[Any, ...]:
    return ("at", *(i.number for i in ins))


def _picked_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    p = ins[0]
    assert isinstance(p, Parameter)
    place = p.place.at(_index_key(ins[1:])).walked(loops_over(ins[1:]))
    fill = eqn.params.get("fill_value")
    values = None if p.values is None else p.values | ({0.0} if fill in (0, None) else NONE)
    axes = varied(shape_of(eqn.outvars[0]))
    return [p.anew(axes=axes, place=place, values=values)]


@rule("gather", "dynamic_slice", parameters=_picked_parameters)
def _pick(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Elements picked by an index: of data they move, of a leaf they are a look-up, for now."""
    info, index = ins[0], [i for i in ins[1:]]
    leaf = leaf_of(info) if datas(index) else None
    if leaf is not None:
        return _look_up(eqn, leaf, index, ctx)
    if isinstance(info, Data):
        return _taken_apart(eqn, ins, ctx) or _moved_pick(eqn, info, index, ctx)
    assert isinstance(info, Parameter)
    cause = data_of(mixed(eqn, datas(index), ctx, "data pick a constant", enters=False)).cause
    axes = varied(shape_of(eqn.outvars[0]))
    if info.values is not None and info.values <= TERNARY:
        nonneg = min(info.values) >= 0
        events = Events(axes, cause=cause, values=info.values, nonneg=nonneg, weak=True)
        return _winners(eqn, Found([events]), datas(index), ctx)
    return Found([Analog(axes, cause=cause)])


def _taken_apart(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """One of the values that an array was put together of, at an index that is known."""
    found = piece(eqn, ins, 0, ctx)
    if found is None:
        return None
    return Found([found], events=travelling(found, lambda ops: _moved(eqn, ops)))


def _winners(eqn: Any, found: Found, index: Sequence[Data], ctx: Context) -> Found:
    """Rows of a table of zeros and ones: the neurons that compete fire there, `eye[argmax]`."""
    region = next((i for i in index if i.feeds), None)
    return found if region is None else placed_births(eqn, found, region, ctx)


def _moved_pick(eqn: Any, info: Data, index: Sequence[Value], ctx: Context) -> Found:
    axes = _picked_axes(eqn, info.axes)
    key, loops = _index_key(index), loops_over(index)
    along = _picked_along(eqn, info.axes.shape)
    terms = frozenset(_picked_term(eqn, t, along, key, loops) for t in info.terms)
    fewer = axes.size(IDLE) < info.axes.size(IDLE) and not datas(index)
    out = info.anew(
        axes=axes,
        terms=terms,
        source=info.root,
        place=info.place.at(key).walked(loops),
        size=min(info.size, float(axes.size(IDLE))),
        held=read_in_steps(info.held, loops, place_of(index, ctx)),
        **_taken(eqn, info, index, key if fewer else None, ctx),
        weight=None if datas(index) else _picked_weight(eqn, info, along, key, loops),
        given=NONE,
        targets=targets_in(eqn, [info, *datas(index)], ctx),
    )
    if isinstance(out, Events):
        out = out.but(values=united(out.values, ZERO))
    return Found([out], events=travelling(out, lambda ops: _moved(eqn, ops)))


def _picked_along(eqn: Any, shape: tuple[int, ...]) -> list[int]:
    """Axes of an array along which some of it is picked."""
    taken: Sequence[int] = eqn.params["slice_sizes"]
    return [a for a, (n, few) in enumerate(zip(shape, taken, strict=True)) if few < n]


def _picked_term(eqn: Any, term: Term, along: Sequence[int], key: Any, loops: Paths) -> Term:
    """A product that is picked: of other elements of its leaf and source, as they differ there."""
    weight, place = term.weight, term.place
    if term.axes.has_any(along, WEIGHT):
        weight = replace(weight, place=weight.place.at(key).walked(loops))
    if term.axes.has_any(along, SOURCE):
        place = place.at(key).walked(loops)
    return term.but(axes=_picked_axes(eqn, term.axes), place=place, weight=weight)


def _picked_weight(
    eqn: Any, info: Data, along: Sequence[int], key: Any, loops: Paths
) -> Weight | None:
    """The part of a leaf that data have changed, where an index says which."""
    weight = info.weight
    if weight is None or weight.axes.has_any(along, SPREAD):
        return None
    place = (
        weight.place.at(key).walked(loops) if weight.axes.has_any(along, WEIGHT) else weight.place
    )
    return replace(weight, axes=_picked_axes(eqn, weight.axes), place=place)


def _moved(eqn: Any, ops: Operands) -> Companions:
    """What travels beside the first operand, picked like it."""
    return {k: _again(eqn, c, ops) for k, c in ops.beside(0).items()}


MOST = 1 << 20  # elements of larger arrays are not looked up one by one


def _taken(eqn: Any, info: Data, index: Sequence[Value], key: Any, ctx: Context) -> dict[str, Any]:
    """Which neurons and which steps of a region are picked by a constant index."""
    if not (info.feeds or info.births):
        return {}
    places = _places(eqn, info.axes.shape, [ctx.concrete(i) for i in index])
    if places is None:
        return {} if key is None else dict(part=(*info.part, key))
    neurons, steps = (_along(info.axes, places, idle) for idle in (False, True))
    return info.cut(neurons, steps)


def _places(
    eqn: Any, shape: tuple[int, ...], index: Sequence[Any]
) -> tuple[np.ndarray, ...] | None:
    """Where the elements that are picked stand, along each axis; slots out of range are none."""
    size = math.prod(shape)
    if any(i is None for i in index) or not 0 < size <= MOST:
        return None
    with jax.ensure_compile_time_eval():
        numbers = jnp.arange(1, size + 1).reshape(shape)
        filled = {"fill_value": 0} if "fill_value" in eqn.params else {}
        places = [jnp.asarray(i) for i in index]
        picked = eqn.primitive.bind(numbers, *places, **(eqn.params | filled))
    flat = np.asarray(picked).ravel()
    return np.unravel_index(flat[flat > 0] - 1, shape)


def _along(axes: Axes, places: Sequence[np.ndarray], idle: bool) -> Chosen | None:
    """What is picked along axes of neurons, or of steps and samples; `None` for all in order."""
    chosen = [a for a, repeated in enumerate(axes.wholly(IDLE)) if repeated == idle]
    sizes = tuple(axes.shape[a] for a in chosen)
    if not chosen:
        return None
    numbers = np.ravel_multi_index([places[a] for a in chosen], sizes)
    _, first = np.unique(numbers, return_index=True)
    found = tuple(numbers[np.sort(first)].tolist())
    return None if found == tuple(range(math.prod(sizes))) else Chosen(found, sizes)


def _picked_axes(eqn: Any, axes: Axes) -> Axes:
    """Axes of what is picked: windows keep theirs, the others are where the places differ."""
    shape = shape_of(eqn.outvars[0])
    if eqn.primitive.name == "dynamic_slice":
        return axes.resized(shape)
    found = eqn.params["dimension_numbers"]
    gone = {*found.collapsed_slice_dims, *found.operand_batching_dims}
    kept = iter(axes.moved(a for a in range(len(axes)) if a not in gone).dims)
    picked = (*found.start_index_map, *found.operand_batching_dims)
    labels = axes.labels(map(int, picked))
    windows = {d: next(kept) for d in found.offset_dims}
    return Axes(tuple(windows.get(d, ((n, labels),)) for d, n in enumerate(shape))).resized(shape)


def _again(eqn: Any, companion: Array, ops: Operands) -> Array:
    """The same picking of events; slots out of range are none."""
    params = dict(eqn.params)
    if "fill_value" in params:
        params["fill_value"] = 0.0
    return eqn.primitive.bind(companion, *ops.values[1:], **params)


def _look_up(eqn: Any, table: Weight, index: Sequence[Value], ctx: Context) -> Found:
    """Rows of a leaf picked by data: read, and if they are summed, synapses."""
    shape = shape_of(eqn.outvars[0])
    chosen = datas(index)[0]
    rows = _row_axes(eqn, shape)
    axes = varied(shape)
    key, loops = _index_key(index), loops_over(index) | union(map(loops_of, index))
    place = table.place.at(key)
    own = axes.relabelled(lambda s: WEIGHT if s & VARIES else 0)
    weight = Weight(table.leaves, own, place.walked(loops), table.layer)
    steady = loops_over([i for i in index if isinstance(i, Parameter)])  # not as data choose
    source = chosen.root
    term = Term(
        weight,
        source,
        chosen.place.walked(loops),
        own.marked(SOURCE | PICKED, rows),
        spiking=True,
        lookup=ctx.path,
    )
    site = _lookup_site(eqn, ctx, table, chosen, shape)
    cause = because(eqn, "an embedding row picked by data is analog")
    batch = tuple(rows)
    out = Analog(
        axes.marked(REPEATED, batch),
        cause=cause,
        weight=replace(weight, place=place.walked(steady)),
        terms=frozenset((term,)),
        held=chosen.held,
    )
    return Found(
        [out],
        taps=(_read(ctx, shape),),
        sites=(site,),
        events=lambda ops: [{term.key: _again(eqn, existing(ops.values[0]), ops)}],
        arrived=arrived(ctx, _choosing(index, ctx)),
    )


def _choosing(index: Sequence[Value], ctx: Context) -> Paths:
    """Spikes that pick rows: comparisons of integers, and bits, are none that arrive."""
    return frozenset(b.path for b in ctx.births(births_in(index)) if not b.weak or b.feeds)


def _read(ctx: Context, shape: tuple[int, ...]) -> Tap:
    """Weights that are read by index."""
    within, every = ctx.within_steps(), (True,) * len(shape)
    if ctx.resolution.total:
        return Tap(ctx.path, "lookups", float(math.prod(shape)))
    return Tap(
        ctx.path,
        "lookups",
        lambda ops: ctx.resolution.summed(jnp.ones(shape, jnp.float32), every, within, 1.0),
    )


def _row_axes(eqn: Any, shape: tuple[int, ...]) -> list[int]:
    if eqn.primitive.name == "dynamic_slice":
        return []
    offset = eqn.params["dimension_numbers"].offset_dims
    return [i for i in range(len(shape)) if i not in offset]


def _lookup_site(
    eqn: Any, ctx: Context, table: Weight, chosen: Data, shape: tuple[int, ...]
) -> Site:
    cause = chosen.cause or because(eqn, "an index made of data")
    return site_of(
        eqn,
        ctx,
        table,
        spiking=False,
        cause=cause,
        dense=0.0,
        synapses=float(math.prod(table.axes.shape)),
        neurons=float(math.prod(shape)),
        inputs=0.0,
        lookup=True,
    )


def _ranked(ins: Sequence[Value], variable: Any) -> dict[str, Any]:
    """Places in an order are where neurons of the region that was ordered fire, perhaps."""
    first = ins[0]
    if not (isinstance(first, Analog) and first.feeds and is_integer(variable)):
        return {}
    shape = shape_of(variable)
    among = [a for a, n in enumerate(first.axes.shape) if n != shape[a]]
    axes = first.axes.resized(shape).marked(COPIED, among)
    return dict(axes=axes, feeds=first.feeds, size=first.size, held=first.held)


@rule("sort", "top_k", "approx_top_k")
def _order(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Sorting moves values to places that data choose: events stay events, work is listed."""
    outs: list[Value] = []
    cause = because(eqn, f"`{eqn.primitive.name}` of data")
    by = firing(births_in(ins), ctx)
    for k, v in enumerate(eqn.outvars):
        info = ins[k] if k < len(ins) else None
        axes = varied(shape_of(v))
        if isinstance(info, Events) and not info.beside:
            outs.append(info.anew(axes=axes, terms=NONE, weight=None))
        else:
            known = info if isinstance(info, Data) else Analog(axes, births=by)
            region = (
                {} if isinstance(info, Data) or eqn.primitive.name == "sort" else _ranked(ins, v)
            )
            fields = dict[str, Any](axes=axes, random=known.random, births=known.births) | region
            outs.append(Analog(cause=cause, **fields))
    open_terms = any(i.opened for i in ins)
    return Found(outs, uncounted=True, lost="weights × data, sorted" if open_terms else None)
