"""Values by index: rows picked by data, sums at indices, synapses by index, sorting."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..axes import IDLE, REPEATED, SOURCE, VARIES, WEIGHT, Axes
from ..findings import EVENTS, Context, Found, Operands, Site, Tap, mask
from ..kinds import (
    NONE,
    TERNARY,
    UNIT,
    Analog,
    Data,
    Events,
    Parameter,
    Place,
    Term,
    Value,
    Weight,
    varied,
)
from .births import datas, mixed, union
from .movement import beside
from .products import current
from .registry import because, parameter_of, rule, scope_of, shape_of, source_of
from .summed import again

# -- picking --------------------------------------------------------------------------


def _index_key(ins: Sequence[Value]) -> tuple[Any, ...]:
    return ("at", *(i.number for i in ins))


def _loops(ins: Sequence[Value]) -> frozenset:
    return union(i.place.loops for i in ins if isinstance(i, Parameter | Data))


def _picked_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    p = ins[0]
    assert isinstance(p, Parameter)
    place = p.place.at(_index_key(ins[1:])).walked(_loops(ins[1:]))
    fill = eqn.params.get("fill_value")
    values = None if p.values is None else p.values | ({0.0} if fill in (0, None) else NONE)
    axes = varied(shape_of(eqn.outvars[0]))
    return [p.but(axes=axes, place=place, values=values, number=-1, form=None)]


@rule("gather", "dynamic_slice", parameters=_picked_parameters)
def _pick(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Elements picked by an index: of data they move, of a leaf they are a look-up, for now."""
    info, index = ins[0], [i for i in ins[1:]]
    if isinstance(info, Data):
        return _moved_pick(eqn, info, index)
    assert isinstance(info, Parameter)
    if info.leaves and not info.is_mask:
        return _look_up(eqn, info, index, ctx)
    found = mixed(eqn, datas(index), ctx, "data pick a constant", enters=False)
    cause = found.outs[0].cause  # type: ignore[attr-defined]
    axes = varied(shape_of(eqn.outvars[0]))
    if info.values is not None and info.values <= TERNARY:
        nonneg = min(info.values) >= 0
        events = Events(axes, cause=cause, values=info.values, nonneg=nonneg, weak=True)
        return Found([events])
    return Found([Analog(axes, cause=cause)])


def _moved_pick(eqn: Any, info: Data, index: Sequence[Value]) -> Found:
    shape = shape_of(eqn.outvars[0])
    fits = len(shape) == len(info.axes)
    fit = (lambda a: a.resized(shape)) if fits else (lambda a: Axes.of(shape, _labels(a)))
    axes = fit(info.axes)
    key, loops = _index_key(index), _loops(index)
    terms = frozenset(
        t.but(axes=fit(t.axes), place=t.place.at(key).walked(loops)) for t in info.terms
    )
    size = min(info.size, float(axes.size(IDLE))) if info.size else 0.0
    out = info.but(
        axes=axes,
        terms=terms,
        source=info.source if info.source >= 0 else info.number,
        place=info.place.at(key).walked(loops),
        size=size,
        weight=None,
        number=-1,
        form=None,
    )
    if isinstance(out, Events):
        values = None if out.values is None else out.values | {0.0}
        out = out.but(values=values, nan_test=False)
        if not out.beside:
            return Found([out])
        return Found([out], events=lambda ops: [{EVENTS: _again(eqn, ops.events(0), ops)}])
    if all(t.counted for t in terms):
        return Found([out])
    move = lambda ops: [{k: _again(eqn, c, ops) for k, c in ops.companions(0).items()}]
    return Found([out], events=move)


def _labels(axes: Axes) -> int:
    every = [s for dim in axes.dims for n, s in dim if n != 1]
    return every[0] if every and all(s == every[0] for s in every) else VARIES


def _again(eqn: Any, companion: Array, ops: Operands) -> Array:
    """The same picking of events; slots out of range are none."""
    params = dict(eqn.params)
    if "fill_value" in params:
        params["fill_value"] = 0.0
    return eqn.primitive.bind(companion, *ops.values[1:], **params)


def _look_up(eqn: Any, table: Parameter, index: Sequence[Value], ctx: Context) -> Found:
    """Rows of a leaf picked by data: read, and if they are summed, synapses."""
    shape = shape_of(eqn.outvars[0])
    chosen = datas(index)[0]
    rows = _row_axes(eqn, shape)
    axes = varied(shape)
    key, loops = _index_key(index), _loops(index)
    place = table.place.at(key).walked(loops)
    own = axes.relabelled(lambda s: WEIGHT if s & VARIES else 0)
    weight = Weight(table.leaves, own, place, table.layer)
    source = chosen.source if chosen.source >= 0 else chosen.number
    term = Term(
        weight,
        source,
        chosen.place.walked(loops),
        own.marked(SOURCE, rows),
        spiking=True,
        lookup=ctx.path,
    )
    site = _lookup_site(eqn, ctx, table, chosen, shape)
    cause = because(eqn, "an embedding row picked by data is analog")
    batch = tuple(rows)
    out = Analog(
        axes.marked(REPEATED, batch),
        cause=cause,
        feeds=NONE,
        size=0.0,
        weight=weight,
        terms=frozenset((term,)),
        held=chosen.held,
    )
    within = ctx.within_steps()
    every = (True,) * len(shape)
    count = float(math.prod(shape))
    read = lambda ops: ctx.resolution.summed(jnp.ones(shape), every, within, 1.0)
    tap = Tap(ctx.path, "lookups", count if ctx.resolution.total else read)
    picked = lambda ops: [{term.key: _again(eqn, mask(ops.values[0]), ops)}]
    return Found([out], taps=(tap,), sites=(site,), events=picked)


def _row_axes(eqn: Any, shape: tuple[int, ...]) -> list[int]:
    if eqn.primitive.name == "dynamic_slice":
        return []
    offset = eqn.params["dimension_numbers"].offset_dims
    return [i for i in range(len(shape)) if i not in offset]


def _lookup_site(
    eqn: Any, ctx: Context, table: Parameter, chosen: Data, shape: tuple[int, ...]
) -> Site:
    cause = chosen.cause or because(eqn, "an index made of data")
    return Site(
        ctx.path,
        table.leaves,
        table.place,
        False,
        cause,
        eqn.primitive.name,
        source_of(eqn),
        scope_of(eqn),
        table.layer.path if table.layer else None,
        table.layer.length if table.layer else None,
        0.0,
        float(math.prod(table.axes.shape)),
        float(math.prod(shape)),
        0.0,
        lookup=True,
        backward=ctx.backward,
    )


# -- sums at indices ------------------------------------------------------------------


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
    values = [v for v in (state, updates) if isinstance(v, Data)] or [index]
    found = mixed(eqn, values, ctx, "values are added at indices")
    out = found.outs[0]
    assert isinstance(out, Data)
    open_terms = [t for d in values if isinstance(d, Data) for t in d.terms if not t.counted]
    lost = (
        "products of weights and data, added at indices"
        if open_terms and _mixes(eqn, updates, ctx)
        else None
    )
    kept = state.terms if isinstance(state, Data) else NONE
    out = out.but(terms=frozenset(t for t in kept if t.counted))
    return found.but(outs=[out], lost=lost)


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
    states = state.held if isinstance(state, Data) else NONE
    held = frozenset(s[:-1] for s in states)
    if isinstance(updates, Parameter):
        return _landing_leaf(updates, index, axes)
    assert isinstance(updates, Data)
    found = []
    for t in updates.terms:
        weight = any(t.axes.has(a, WEIGHT) for a in axes) or t.weight.place.loops & held
        source = any(t.axes.has(a, SOURCE) for a in axes) or t.place.loops & held
        if weight and source and not t.counted:
            found.append(t)
    return found


def _landing_leaf(updates: Parameter, index: Value, axes: Sequence[int]) -> list[Term]:
    """Weights that land where data say."""
    weight = None if updates.is_mask else updates.weight
    if weight is None or not isinstance(index, Data):
        return []
    if not any(weight.axes.has(a, WEIGHT) for a in axes):
        return []
    source = index.source if index.source >= 0 else index.number
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
    weight = terms[0].weight
    dense = float(math.prod(shape)) * sum(t.positions for t in terms)
    data = updates if isinstance(updates, Data) else None
    site = Site(
        ctx.path,
        leaves,
        Place(),
        spiking,
        data.cause if data else None,
        eqn.primitive.name,
        source_of(eqn),
        scope_of(eqn),
        weight.layer.path if weight.layer else None,
        weight.layer.length if weight.layer else None,
        dense,
        dense / max(share, 1),
        float(axes.size(IDLE)),
        0.0,
        backward=ctx.backward,
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
        found = again(eqn, jnp.zeros(out), ops.values[1], counts)[0]
        each = max(counts.size / max(found.size, 1), 1.0) * 16
        return ctx.resolution.summed(found, repeated, within, each)

    def total(ops: Operands) -> Array:
        if isinstance(updates, Parameter):
            return mask(ops.values[2])
        return sum((ops.term(2, k) for k in keys[1:]), ops.term(2, keys[0]))

    ones = lambda ops: jnp.ones(jnp.shape(ops.values[2]))
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


def _landed_events(eqn: Any, state: Value, index: Value, updates: Value) -> Found:
    """Ones or events added at indices: one event per landing."""
    spikes = [v for v in (state, updates) if isinstance(v, Events)]
    plain = all(s.plain and s.nonneg for s in spikes) and "sub" not in eqn.primitive.name
    data = spikes or datas([index])
    shape = shape_of(eqn.outvars[0])
    axes = state.axes.resized(shape) if isinstance(state, Data) else varied(shape)
    out = Events(
        axes,
        cause=data[0].cause or because(eqn, "events added at indices"),
        births=union(d.births for d in spikes),
        held=union(d.held for d in spikes),
        running=union(d.running | d.held for d in spikes if d is state),
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
    sets = [v.values if isinstance(v, Events | Parameter) else None for v in values]
    simple = all(s is not None and s <= TERNARY for s in sets)
    spikes = [v for v in values if isinstance(v, Events)]
    axes = values[0].axes
    if simple and all(s.plain for s in spikes):
        found = frozenset({0.0}).union(*(s for s in sets if s is not None))
        births = union(s.births for s in spikes)
        cause = because(eqn, "events combined at indices")
        return Found(
            [Events(axes, cause=cause, values=found, births=births, nonneg=min(found) >= 0)]
        )
    return mixed(eqn, values if datas(values) else datas(ins), ctx, "values combined at indices")


# -- order ------------------------------------------------------------------------------


def _sorted_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    return [parameter_of(ins[:1], shape_of(v)) for v in eqn.outvars]


@rule("sort", "top_k", "approx_top_k", parameters=_sorted_parameters)
def _order(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Sorting moves values to places that data choose: events stay events, work is listed."""
    outs: list[Value] = []
    cause = because(eqn, f"`{eqn.primitive.name}` of data")
    for k, v in enumerate(eqn.outvars):
        info = ins[k] if k < len(ins) else None
        axes = varied(shape_of(v))
        if isinstance(info, Events) and not info.beside:
            outs.append(info.but(axes=axes, number=-1, form=None, terms=NONE, weight=None))
        else:
            random = isinstance(info, Data) and info.random
            outs.append(Analog(axes, cause=cause, random=random))
    open_terms = any(isinstance(i, Data) and any(not t.counted for t in i.terms) for i in ins)
    return Found(outs, uncounted=True, lost="weights × data, sorted" if open_terms else None)


# -- declared one-to-one synapses ---------------------------------------------------------


def declared_synapses(eqn: Any, info: Value, ctx: Context) -> Found:
    """`joulax.synapses(w * s)`: one-to-one synapses, one for each element."""
    if not isinstance(info, Data):
        return Found([info])
    shape = shape_of(eqn.outvars[0])
    terms = sorted((t for t in info.terms if not t.counted), key=lambda t: sorted(t.weight.leaves))
    spiking = isinstance(info, Events) or any(t.spiking for t in terms)
    axes = info.axes
    repeated = [
        a
        for a in range(len(shape))
        if terms and not any(t.axes.has(a, WEIGHT) for t in terms) and shape[a] > 1
    ]
    axes = axes.only(VARIES).marked(REPEATED, repeated)
    size = float(math.prod(shape))
    neurons = float(axes.size(IDLE))
    site = Site(
        ctx.path,
        union(t.weight.leaves for t in terms),
        Place(),
        spiking,
        info.cause,
        "synapses",
        source_of(eqn),
        scope_of(eqn),
        None,
        None,
        size,
        neurons,
        neurons,
        neurons,
        backward=ctx.backward,
    )
    within, every = ctx.within_steps(), axes.wholly(IDLE)
    kind = "ac" if spiking else "mac"
    count = lambda make: lambda ops: ctx.resolution.summed(make(ops), every, within)
    there = (lambda ops: ops.term(0, terms[0].key)) if terms else (lambda ops: ops.there(0))
    ones = lambda ops: jnp.ones(shape)
    taps = [
        Tap(ctx.path, f"dense_{kind}", size if ctx.resolution.total else count(ones)),
        Tap(ctx.path, kind, count(there)),
    ]
    if spiking:
        taps.append(Tap(ctx.path, "ac_graded", count(lambda ops: mask(there(ops)))))
    return Found([current(site, axes)], taps=tuple(taps), sites=(site,), arrived=info.births)
