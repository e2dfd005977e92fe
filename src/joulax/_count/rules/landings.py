"""Sums at indices: synapses by index, histograms, other combinations."""

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..axes import IDLE, REPEATED, SOURCE, VARIES, WEIGHT, Axes
from ..events import existing, mask
from ..exact import LIMIT
from ..findings import EVENTS, Companions, Context, Found, Operands, Site, Tap
from ..kinds import (
    UNIT,
    ZERO,
    Data,
    Events,
    Parameter,
    Scale,
    Term,
    Value,
    is_nonnegative,
    is_simple,
    shared,
    united,
    varied,
)
from ..places import NONE, Place, union
from .beside import Put, along, beside, placed_terms
from .births import datas, mixed
from .chosen import bare_terms
from .contents import arrived, births_in, feeds_in, held_in, loops_of, loops_over, spikes_in
from .hand import at_most, positions, real_layer
from .made import of_parts
from .padding import after_each_other, border, written
from .parts import replaced
from .products import current
from .registry import (
    because,
    parameter_of,
    rule,
    shape_of,
    site_of,
    travelling,
    whole,
    windows,
)
from .sets import values_of
from .summed import again
from .terms import broadcast, lookups, merged_terms, outermost


def _scattered_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    old, new = (values_of(ins[i]) for i in (0, 2))
    over = eqn.primitive.name == "scatter" or old == new == ZERO
    values = united(old, new) if over else None
    return [parameter_of([ins[0], ins[2]], shape_of(eqn.outvars[0]), values=values)]


@rule("scatter_add", "scatter-add", "scatter_sub", "scatter-sub", parameters=_scattered_parameters)
def _scatter_add(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Sums at indices: of leaf × events a site, of ones and events their number."""
    state, index, updates = map(whole, ins, eqn.invars)
    new = replaced(eqn, ins, ctx)
    if isinstance(new, Events) and not (new.travels or state.travels):
        return beside(eqn, [state, index, new], ctx, Put((0, 2), along(eqn), (index,), over=True))
    terms = _landing(eqn, state, index, updates, ctx)
    if terms:
        return _index_site(eqn, [state, index, updates], ctx, terms)
    put = _beside(eqn, ins, ctx)
    if put is not None:
        return beside(eqn, [state, index, updates], ctx, put)
    scale = _landed_scale(state, updates)
    if scale is not None:
        return _landed_events(eqn, state, index, updates, scale)
    return _met(eqn, state, index, updates, ctx) or _added(eqn, state, index, updates, ctx)


def _met(eqn: Any, state: Value, index: Value, updates: Value, ctx: Context) -> Found | None:
    """Products added to others of the same leaf that are there already: a sum by hand."""
    if not (isinstance(updates, Data) and isinstance(state, Data)):
        return None
    new = updates.but(axes=state.axes, terms=_placed(eqn, index, updates))
    return merged_terms(eqn, [state, new], ctx, functools.partial(_put, eqn), (0, 2))


def _put(eqn: Any, ops: Operands, i: int, counts: Array | None) -> Array:
    """Counts of what was there (0), or of what is added (2), at the shape of the result."""
    out, new = ops.outs[0], ops.values[2]
    if i == 0:
        return broadcast(ops, i, counts)
    if counts is None:
        counts = jnp.full(jnp.shape(new), out.size / new.size, jnp.float32)
    return again(eqn, jnp.zeros(out.shape, jnp.float32), ops.values[1], counts)[0]


def _placed(eqn: Any, index: Value, updates: Data) -> frozenset[Term]:
    """Products where they are added, as among zeros."""
    put = Put((), along(eqn), (index,), over=True)
    return frozenset(placed_terms(eqn, updates, 2, put, moves=True))


def _added(eqn: Any, state: Value, index: Value, updates: Value, ctx: Context) -> Found:
    """Values added at indices that are no sum by hand yet: products travel on."""
    values = datas((state, updates)) or datas([index])
    fields = _landed_region(eqn, values) | _learned(state, updates, ctx)
    found = mixed(eqn, values, ctx, "values are added at indices", **fields)
    out, lost = found.outs[0], _lost(eqn, values, updates, ctx)
    assert isinstance(out, Data)
    terms = state.terms if isinstance(state, Data) else NONE
    if isinstance(updates, Data) and lost is None:
        terms |= _placed(eqn, index, updates)
    terms = frozenset(t for t in terms if t.counted or lost is None)
    out = out.but(terms=terms | bare_terms([state, updates]))

    def travel(ops: Operands) -> list[Companions]:
        keys = {t.key for t in out.pending}
        own = {k: (ops.term(0, k), ops.term(2, k)) for k in keys}
        return [{k: again(eqn, a, ops.values[1], b)[0] for k, (a, b) in own.items()}]

    return found.but(outs=[out], lost=lost, events=travelling(out, lambda ops: travel(ops)[0]))


def _beside(eqn: Any, ins: Sequence[Value], ctx: Context) -> Put | None:
    """How products that are not summed yet, or slices of currents, stand among zeros."""
    slices = bool(feeds_in(ins[2:])) and not eqn.params["dimension_numbers"].inserted_window_dims
    if "sub" in eqn.primitive.name or not (ins[2].opened or slices):
        return None
    there, shape = written(eqn, ins, ctx), ins[0].axes.shape
    if there is None:
        return None
    zeros = tuple((n, n) for n in shape) if ins[0].constant == 0 else border(ins[0], ctx)
    apart = after_each_other(shape, there, zeros)
    return Put((0, 2), apart, (ins[1],), over=True) if apart else None


def _learned(state: Value, updates: Value, ctx: Context) -> dict[str, Any]:
    """The leaf that is changed here, if nothing but one is."""
    weight = of_parts((state, updates), state.axes, ctx, added=True)
    return {} if weight is None else dict(weight=weight, axes=state.axes)


def _landed_region(eqn: Any, values: Sequence[Data]) -> dict[str, Any]:
    """Axes of what leaves, where they are not those of an operand: rows stay rows."""
    out = shape_of(eqn.outvars[0])
    if values[0].axes.shape == out or not values[0].feeds:
        return {}
    return {"axes": _placed_axes(eqn, values[0].axes, out)}


def _placed_axes(eqn: Any, updates: Axes, out: tuple[int, ...]) -> Axes:
    """Windows keep what their axes are; rows land among rows."""
    numbers = eqn.params["dimension_numbers"]
    idle = updates.wholly(IDLE)
    rows = [idle[a] for a in range(len(updates)) if a not in numbers.update_window_dims]
    labels = [VARIES | (REPEATED if rows and all(rows) else 0)] * len(out)
    for place, a in zip(windows(eqn, len(out)), numbers.update_window_dims, strict=True):
        labels[place] = VARIES | (REPEATED if idle[a] else 0)
    return Axes(tuple(((n, s),) for n, s in zip(out, labels, strict=True)))


def _lost(eqn: Any, values: Sequence[Data], updates: Value, ctx: Context) -> str | None:
    """Products that are added at indices and are no site."""
    opened = any(d.opened for d in values)
    text = "products of weights and data, added at indices"
    return text if opened and _mixes(eqn, updates, ctx) else None


def _mixes(eqn: Any, updates: Value, ctx: Context) -> bool:
    axes = _scatter_axes(eqn, updates)
    return any(t.axes.has_any(axes, WEIGHT) for t in updates.opened)


def _scatter_axes(eqn: Any, updates: Value) -> list[int]:
    windows = eqn.params["dimension_numbers"].update_window_dims
    return [a for a in range(len(updates.axes)) if a not in windows]


def _landing(eqn: Any, state: Value, index: Value, updates: Value, ctx: Context) -> list[Term]:
    """Terms of which different elements land on one place."""
    axes = _scatter_axes(eqn, updates)
    if isinstance(updates, Parameter):
        return _landing_leaf(updates, index, axes)
    assert isinstance(updates, Data)
    held = loops_of(state)

    def varies(term: Term, place: Place, label: int) -> bool:
        return bool(place.loops & held) or term.axes.has_any(axes, label)

    found = [t for t in updates.opened if varies(t, t.weight.place, WEIGHT)]
    return outermost(t for t in found if varies(t, t.place, SOURCE))


def _landing_leaf(updates: Parameter, index: Value, axes: Sequence[int]) -> list[Term]:
    """Weights that land where data say."""
    weight = None if updates.is_mask else updates.weight
    if weight is None or not isinstance(index, Data):
        return []
    if not any(weight.axes.has(a, WEIGHT) for a in axes):
        return []
    source = index.root
    marked = weight.axes.marked(SOURCE, axes)
    return [Term(weight, source, index.place, marked, spiking=True)]


def _index_site(eqn: Any, ins: Sequence[Value], ctx: Context, terms: Sequence[Term]) -> Found:
    """Synapses by index: an event reaches as many synapses as it lands on."""
    state, index, updates = ins
    leaves, spiking = union(t.weight.leaves for t in terms), terms[0].spiking
    shape, out = updates.axes.shape, shape_of(eqn.outvars[0])
    batched = _batched(eqn, state, terms)
    axes = varied(out).marked(REPEATED, batched)
    share = math.prod(out[a] for a in batched)
    dense = float(math.prod(shape)) * sum(t.positions for t in terms)
    layer = real_layer(terms, loops_of(state))
    weight = replace(terms[0].weight, leaves=leaves, place=Place(), layer=layer)
    site = site_of(
        eqn,
        ctx,
        weight,
        spiking=spiking,
        cause=updates.cause if isinstance(updates, Data) else None,
        dense=dense,
        synapses=positions(ctx, dense / max(share, 1), terms, layer),
        neurons=float(axes.size(IDLE)),
        inputs=0.0,
    )
    made = current(site, axes)
    if isinstance(state, Data):
        made = made.but(feeds=made.feeds | state.feeds, held=state.held, births=state.births)
    walked, left = loops_over([index]), dict[str, Any](counted=True, axes=Axes.of(out))
    counted = frozenset(t.but(stored=t.stored | walked, **left) for t in terms)
    return Found(
        [made.but(terms=counted)],
        taps=_landed_taps(eqn, ctx, site, updates, terms, axes),
        sites=(site,),
        arrived=arrived(ctx, births_in([updates])),
        picked=lookups(terms),
    )


def _batched(eqn: Any, state: Value, terms: Sequence[Term]) -> list[int]:
    """Axes of batch: those of the operand, and windows along which no weight varies."""
    numbers = eqn.params["dimension_numbers"]
    found = list(numbers.operand_batching_dims)
    put = map(int, numbers.update_window_dims)
    pairs = zip(put, windows(eqn, len(state.axes)), strict=True)
    found += [d for a, d in pairs if not any(t.axes.has(a, WEIGHT) for t in terms)]
    if isinstance(state, Data):
        found += [a for a, r in enumerate(state.repeated) if r]
    return sorted({int(a) for a in found})


def _landed_taps(
    eqn: Any, ctx: Context, site: Site, updates: Value, terms: Sequence[Term], axes: Axes
) -> tuple[Tap, ...]:
    keys = list(dict.fromkeys(t.key for t in terms))
    within, repeated = ctx.within_steps(), axes.wholly(IDLE)
    kind = "ac" if site.spiking else "mac"
    out, most = axes.shape, at_most(terms)

    def landed(counts: Array, ops: Operands) -> Any:
        found = again(eqn, jnp.zeros(out, jnp.float32), ops.values[1], counts)[0]
        whole = counts.size * most  # all together: where they land is for the data to say
        if not ctx.resolution.whole(out, repeated, within):
            return ctx.resolution.summed(found, repeated, within, whole)
        each = whole / max(found.size, 1) if whole < LIMIT else LIMIT
        return ctx.resolution.summed(found, repeated, within, each)

    def total(ops: Operands) -> Array:
        if isinstance(updates, Parameter):
            return existing(ops.values[2])
        return sum((ops.term(2, k) for k in keys[1:]), ops.term(2, keys[0]))

    def dense(ops: Operands) -> Any:
        return landed(jnp.ones(jnp.shape(ops.values[2]), jnp.float32), ops)

    taps = [
        Tap(site.path, f"dense_{kind}", site.dense if ctx.resolution.total else dense),
        Tap(site.path, kind, lambda ops: landed(total(ops), ops)),
    ]
    if site.spiking:
        taps.append(Tap(site.path, "ac_graded", lambda ops: landed(mask(total(ops)), ops)))
    return tuple(taps)


def _landed_scale(state: Value, updates: Value) -> Scale | None:
    """The scale of events that are added at indices, if they have one: counts, or ones."""
    spikes = spikes_in((state, updates))
    if any(s.terms or s.scale is None or s.scale[1] for s in spikes):
        return None
    ones = isinstance(updates, Parameter) and updates.is_mask
    if not (ones or isinstance(updates, Events)):
        return None
    if not (state.constant == 0 or isinstance(state, Events)):
        return None
    return shared([*(s.scale for s in spikes), *([UNIT] if ones else [])])


def _landed_events(eqn: Any, state: Value, index: Value, updates: Value, scale: Scale) -> Found:
    """Ones or events added at indices: one event per landing."""
    spikes = spikes_in((state, updates))
    plain = scale == UNIT and "sub" not in eqn.primitive.name and all(s.is_number for s in spikes)
    data = spikes or datas([index])
    shape = shape_of(eqn.outvars[0])
    axes = state.axes.resized(shape) if isinstance(state, Data) else varied(shape)
    out = Events(
        axes,
        cause=data[0].cause or because(eqn, "events added at indices"),
        births=births_in(data),
        held=held_in(spikes),
        running=state.running | state.held if isinstance(state, Events) else NONE,
        scale=scale,
        nonneg=plain,
        beside=not plain,
        random=all(d.random for d in data),
    )
    if plain:
        return Found([out])
    return Found(
        [out],
        events=lambda ops: [
            {EVENTS: again(eqn, ops.events(0), ops.values[1], ops.events(2))[0]},
        ],
    )


@rule("scatter", parameters=_scattered_parameters)
def _scatter(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Values put at indices."""
    return beside(eqn, [*map(whole, ins, eqn.invars)], ctx)


@rule(
    *(
        "scatter_mul scatter-mul scatter_min scatter-min scatter_max scatter-max scatter_apply"
    ).split(),
    parameters=_scattered_parameters,
)
def _scatter_other(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Other combinations at indices: no sums, so no synapses are lost."""
    values = [whole(ins[i], eqn.invars[i]) for i in (0, 2)]
    data = datas(values)
    found = united(ZERO, *map(values_of, values))
    if found is None or not is_simple(found) or any(d.travels for d in data):
        region = _landed_region(eqn, data) if data else dict[str, Any]()
        region |= _learned(values[0], values[1], ctx)
        return mixed(eqn, data or datas(ins), ctx, "values combined at indices", **region)
    known: dict[str, Any] = dict(births=births_in(data), nonneg=is_nonnegative(found))
    cause = because(eqn, "events combined at indices")
    return Found([Events(values[0].axes, cause=cause, values=found, **known)])
