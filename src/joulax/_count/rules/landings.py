"""Sums at indices: synapses by index, histograms, other combinations."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..axes import IDLE, REPEATED, SOURCE, WEIGHT, Axes
from ..findings import EVENTS, Context, Found, Operands, Site, Tap, existing, mask
from ..kinds import (
    NONE,
    UNIT,
    Data,
    Events,
    Parameter,
    Place,
    Term,
    Value,
    is_nonnegative,
    is_simple,
    united,
    varied,
)
from .births import datas, mixed, union
from .movement import beside
from .products import current
from .registry import because, parameter_of, rule, shape_of, site_of
from .sets import values_of
from .summed import again
from .terms import outermost, positions


def _scattered_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    return [parameter_of([ins[0], ins[2]], shape_of(eqn.outvars[0]))]


@rule("scatter_add", "scatter-add", "scatter_sub", "scatter-sub", parameters=_scattered_parameters)
def _scatter_add(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Sums at indices: of leaf × events a site, of ones and events their number."""
    state, index, updates = (_whole(i, v) for i, v in zip(ins, eqn.invars, strict=True))
    terms = _landing(eqn, state, index, updates, ctx)
    if terms:
        return _index_site(eqn, [state, index, updates], ctx, terms)
    if _countable(state, zero=True) and _countable(updates, zero=False):
        return _landed_events(eqn, state, index, updates)
    values = datas((state, updates)) or datas([index])
    found = mixed(eqn, values, ctx, "values are added at indices")
    out = found.outs[0]
    assert isinstance(out, Data)
    kept = frozenset(t for t in (state.terms if isinstance(state, Data) else NONE) if t.counted)
    return found.but(outs=[out.but(terms=kept)], lost=_lost(eqn, values, updates, ctx))


def _lost(eqn: Any, values: Sequence[Data], updates: Value, ctx: Context) -> str | None:
    """Products that are added at indices and are no site."""
    opened = any(not t.counted for d in values for t in d.terms)
    text = "products of weights and data, added at indices"
    return text if opened and _mixes(eqn, updates, ctx) else None


def _mixes(eqn: Any, updates: Value, ctx: Context) -> bool:
    axes = _scatter_axes(eqn, updates)
    return isinstance(updates, Data) and any(
        t.axes.has(a, WEIGHT) and not t.counted for t in updates.terms for a in axes
    )


def _whole(info: Value, variable: Any) -> Value:
    shape = shape_of(variable)
    return info if info.axes.shape == shape else info.but(axes=varied(shape))


def _scatter_axes(eqn: Any, updates: Value) -> list[int]:
    windows = eqn.params["dimension_numbers"].update_window_dims
    return [a for a in range(len(updates.axes)) if a not in windows]


def _landing(eqn: Any, state: Value, index: Value, updates: Value, ctx: Context) -> list[Term]:
    """Terms of which different elements land on one place."""
    axes = _scatter_axes(eqn, updates)
    if isinstance(updates, Parameter):
        return _landing_leaf(updates, index, axes)
    assert isinstance(updates, Data)
    held = frozenset(s[:-1] for s in (state.held if isinstance(state, Data) else NONE))
    varies = lambda t, place, label: place.loops & held or t.axes.has_any(axes, label)
    found = [t for t in updates.terms if not t.counted and varies(t, t.weight.place, WEIGHT)]
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
    state, _, updates = ins
    leaves, spiking = union(t.weight.leaves for t in terms), terms[0].spiking
    shape, out = updates.axes.shape, shape_of(eqn.outvars[0])
    batched = _batched(eqn, state, terms)
    axes = varied(out).marked(REPEATED, batched)
    share = math.prod(out[a] for a in batched)
    dense = float(math.prod(shape)) * sum(t.positions for t in terms)
    data = updates if isinstance(updates, Data) else None
    site = site_of(
        eqn,
        ctx,
        terms[0].weight,
        leaves=leaves,
        place=Place(),
        spiking=spiking,
        cause=data.cause if data else None,
        dense=dense,
        synapses=positions(ctx, dense / max(share, 1), terms),
        neurons=float(axes.size(IDLE)),
        inputs=0.0,
    )
    made = current(site, axes)
    if isinstance(state, Data):
        made = made.but(feeds=made.feeds | state.feeds, held=state.held, births=state.births)
    counted = frozenset(t.but(counted=True, axes=Axes.of(out)) for t in terms)
    return Found(
        [made.but(terms=counted)],
        taps=_landed_taps(eqn, ctx, site, updates, terms, axes),
        sites=(site,),
        arrived=data.births if data and not ctx.backward else NONE,
        picked=frozenset(t.lookup for t in terms if t.lookup),
    )


def _batched(eqn: Any, state: Value, terms: Sequence[Term]) -> list[int]:
    """Axes of batch: those of the operand, and windows along which no weight varies."""
    numbers = eqn.params["dimension_numbers"]
    found = list(getattr(numbers, "operand_batching_dims", ()))
    gone = (*numbers.inserted_window_dims, *found)
    whole = [d for d in range(len(state.axes)) if d not in gone]
    windows = zip(numbers.update_window_dims, whole, strict=True)
    found += [d for a, d in windows if not any(t.axes.has(a, WEIGHT) for t in terms)]
    if isinstance(state, Data):
        found += [a for a, r in enumerate(state.repeated) if r]
    return sorted(set(found))


def _landed_taps(
    eqn: Any, ctx: Context, site: Site, updates: Value, terms: Sequence[Term], axes: Axes
) -> tuple[Tap, ...]:
    keys = list(dict.fromkeys(t.key for t in terms))
    within, repeated = ctx.within_steps(), axes.wholly(IDLE)
    kind = "ac" if site.spiking else "mac"
    out = axes.shape

    def landed(counts: Array, ops: Operands) -> Any:
        found = again(eqn, jnp.zeros(out, jnp.float32), ops.values[1], counts)[0]
        each = max(counts.size / max(found.size, 1), 1.0) * 16
        return ctx.resolution.summed(found, repeated, within, each)

    def total(ops: Operands) -> Array:
        if isinstance(updates, Parameter):
            return existing(ops.values[2])
        return sum((ops.term(2, k) for k in keys[1:]), ops.term(2, keys[0]))

    ones = lambda ops: jnp.ones(jnp.shape(ops.values[2]), jnp.float32)
    dense = site.dense if ctx.resolution.total else lambda ops: landed(ones(ops), ops)
    taps = [
        Tap(site.path, f"dense_{kind}", dense),
        Tap(site.path, kind, lambda ops: landed(total(ops), ops)),
    ]
    if site.spiking:
        taps.append(Tap(site.path, "ac_graded", lambda ops: landed(mask(total(ops)), ops)))
    return tuple(taps)


def _countable(value: Value, *, zero: bool) -> bool:
    """Whether values added at indices are events at scale one: counts, or ones."""
    if isinstance(value, Events):
        return value.scale == UNIT and not value.terms
    if not isinstance(value, Parameter) or value.values is None:
        return False
    return value.values == {0.0} if zero else value.values <= {0.0, 1.0}


def _is_number(value: Value) -> bool:
    """Whether a value itself is its number of events."""
    return isinstance(value, Events) and value.plain and value.nonneg


def _landed_events(eqn: Any, state: Value, index: Value, updates: Value) -> Found:
    """Ones or events added at indices: one event per landing."""
    spikes = datas((state, updates))
    plain = "sub" not in eqn.primitive.name and all(map(_is_number, spikes))
    data = spikes or datas([index])
    shape = shape_of(eqn.outvars[0])
    axes = state.axes.resized(shape) if isinstance(state, Data) else varied(shape)
    out = Events(
        axes,
        cause=data[0].cause or because(eqn, "events added at indices"),
        births=union(d.births for d in spikes),
        held=union(d.held for d in spikes),
        running=state.running | state.held if isinstance(state, Events) else NONE,
        nonneg=plain,
        beside=not plain,
        random=all(d.random for d in data),
    )
    if plain:
        return Found([out])
    count = lambda ops: again(eqn, ops.events(0), ops.values[1], ops.events(2))[0]
    return Found([out], events=lambda ops: [{EVENTS: count(ops)}])


@rule("scatter", parameters=_scattered_parameters)
def _scatter(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Values put at indices."""
    whole = [_whole(i, v) for i, v in zip(ins, eqn.invars, strict=True)]
    return beside(eqn, whole, ctx)


@rule(
    *(
        "scatter_mul scatter-mul scatter_min scatter-min scatter_max scatter-max scatter_apply"
    ).split(),
    parameters=_scattered_parameters,
)
def _scatter_other(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Other combinations at indices: no sums, so no synapses are lost."""
    values = [_whole(ins[i], eqn.invars[i]) for i in (0, 2)]
    data = datas(values)
    found = united(frozenset((0.0,)), *map(values_of, values))
    if found is None or not is_simple(found) or any(d.travels for d in data):
        return mixed(eqn, data or datas(ins), ctx, "values combined at indices")
    known: dict[str, Any] = dict(births=union(d.births for d in data), nonneg=is_nonnegative(found))
    cause = because(eqn, "events combined at indices")
    return Found([Events(values[0].axes, cause=cause, values=found, **known)])
