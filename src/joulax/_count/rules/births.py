"""Regions, births and populations: what elementwise work makes of currents and spikes."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from ..axes import IDLE, VARIES, WEIGHT, Axes, combined, regional
from ..findings import (
    EVENTS,
    Birth,
    Context,
    Feed,
    Found,
    Operands,
    Population,
    Tap,
    events_of,
    graded,
    is_reduced,
    once,
)
from ..kinds import (
    NONE,
    SPIKE,
    Analog,
    Data,
    Events,
    Parameter,
    Path,
    Paths,
    Value,
    Weight,
    shared,
)
from .registry import because, scope_of, shape_of, source_of


def datas(ins: Sequence[Value]) -> list[Data]:
    """The operands that depend on data."""
    return [i for i in ins if isinstance(i, Data)]


def union(sets: Any) -> frozenset:
    """Union of any number of sets."""
    return frozenset().union(*sets)


def elementwise_axes(eqn: Any, ins: Sequence[Value]) -> Axes:
    """Axes of an elementwise result.

    Repeated as the regions say, varying where any operand does.
    """
    shape = shape_of(eqn.outvars[0])
    fitting = [i for i in ins if i.axes.shape == shape]
    if not fitting:
        return Axes.of(shape)
    varies = combined(lambda p, q: p | q, *(i.axes.only(VARIES) for i in fitting))
    regions = [i for i in fitting if isinstance(i, Data)]
    regions = [i for i in regions if i.feeds] or [i for i in regions if i.births] or regions
    if not regions:
        return varies
    repeated = combined(regional, *(i.axes.only(IDLE) for i in regions))
    return combined(lambda p, q: p | q, varies, repeated)


def provenance(ins: Sequence[Value], axes: Axes) -> Weight | None:
    """Leaves of an elementwise result, where they are not broadcast over the data."""
    parts = [w for w in _weights(ins) if w.axes.shape == axes.shape]
    if not parts:
        return None
    found = combined(lambda p, q: p | q, *(p.axes for p in parts))
    if any(_spread(found, d.axes) for d in datas(ins)):
        return None
    layer = next((p.layer for p in parts if p.layer), None)
    return Weight(union(p.leaves for p in parts), found, parts[0].place, layer)


def _weights(ins: Sequence[Value]) -> list[Weight]:
    """The weights in operands, those in data first; masks are none."""
    parameters = [i for i in ins if isinstance(i, Parameter)]
    made = [d.weight for d in datas(ins)] + [p.weight for p in parameters if not p.is_mask]
    return [w for w in made if w is not None]


def _spread(weight: Axes, data: Axes) -> bool:
    """Whether data of the same shape vary along an axis on which a weight does not."""
    if data.shape != weight.shape:
        return False
    alone = combined(lambda p, q: 8 if q & VARIES and not p & WEIGHT else 0, weight, data)
    return any(alone.flags(8))


def common(eqn: Any, ins: Sequence[Value], ctx: Context) -> dict[str, Any]:
    """Fields of an elementwise result that depends on data."""
    data = datas(ins)
    feeds = union(d.feeds for d in data)
    births = union(d.births for d in data)
    axes = elementwise_axes(eqn, ins)
    return dict(
        axes=axes,
        feeds=feeds,
        size=max((d.size for d in data if d.feeds), default=0.0),
        part=_one_part([d for d in data if d.feeds] or data),
        turns=union(d.turns for d in data),
        births=births - ctx.own(births, feeds),
        weight=provenance(ins, axes),
        held=union(d.held for d in data),
        random=all(d.random for d in data),
        **same_source(data),
    )


def same_source(data: Sequence[Data]) -> dict[str, Any]:
    """Whose elements a combination is, where all operands are the same elements of something."""
    place = shared(d.place for d in data)
    return {} if place is None else dict(source=min(d.source for d in data), place=place)


def mixed(
    eqn: Any, ins: Sequence[Value], ctx: Context, text: str, *, enters: bool = True, **fields: Any
) -> Found:
    """An analog result: it stays in the region of its operands and keeps their first cause.

    Spikes of others that `enters` one to one feed the region.
    """
    data = datas(ins)
    cause = next((d.cause for d in data if isinstance(d, Analog) and d.cause), None)
    values: dict[str, Any] = {**common(eqn, ins, ctx), "cause": cause or because(eqn, text)}
    feed = _entering(eqn, data, ctx, values) if enters else None
    if feed is not None:
        values["feeds"] |= {feed.path}
        values["size"] = max(values["size"], max(_size(d) for d in data if isinstance(d, Events)))
    outs = [_shaped(v, Analog(**(values | fields)), ctx) for v in eqn.outvars]
    entering = (feed,) if feed else ()
    return Found(outs, feeds=entering, statistics=statistics(data), met=_meeting(data))


def _one_part(data: Sequence[Data]) -> tuple[Any, ...]:
    """The part of a region that a combination is: sums and what other sites feed say nothing."""
    data = [d for d in data if not is_reduced(d.part)] or data
    found = {d.part for d in data}
    if any(a.feeds & b.feeds for a, b in itertools.combinations(data, 2)):
        return found.pop() if len(found) == 1 else ()
    found.discard(())
    return found.pop() if len(found) == 1 else ()


def _meeting(data: Sequence[Data]) -> tuple[tuple[Path, Any, Any], ...]:
    """Parts of one region that meet: they are one population."""
    pairs = itertools.combinations([d for d in data if not is_reduced(d.part)], 2)
    return tuple(
        (f, a.part, b.part) for a, b in pairs if a.part != b.part for f in sorted(a.feeds & b.feeds)
    )


def statistics(data: Sequence[Data]) -> tuple[Paths, float]:
    """Regions that meet a reduction of themselves: normalisations, whose parts are no neurons."""
    regions = [d for d in data if d.feeds and d.size]
    size = max((d.size for d in regions), default=0.0)
    whole = union(d.feeds for d in regions if d.size == size and not is_reduced(d.part))
    return whole & union(d.feeds for d in regions if d.size < size or is_reduced(d.part)), size


def _shaped(variable: Any, value: Analog, ctx: Context) -> Value:
    """For one of several outputs, perhaps boolean, perhaps of another shape."""
    shape = shape_of(variable)
    if value.axes.shape != shape:
        value = value.but(axes=Axes.of(shape, VARIES), terms=NONE, weight=None)
    return masked(value) if _is_bool(variable) else value


def _is_bool(variable: Any) -> bool:
    return getattr(variable.aval, "dtype", None) == jnp.bool_


def masked(value: Data) -> Events:
    """A boolean that is no spike: a mask made of data."""
    return Events(
        value.axes, cause=value.cause, values=SPIKE, nonneg=True, weak=True, random=value.random
    )


def _size(spikes: Data) -> float:
    return spikes.size or float(spikes.axes.size(IDLE))


def _entering(eqn: Any, data: Sequence[Data], ctx: Context, values: dict[str, Any]) -> Feed | None:
    """Spikes that are added to a region one to one, unless they are its own."""
    spikes = [d for d in data if isinstance(d, Events) and not d.weak]
    foreign = [d for d in spikes if not d.births or d.births - ctx.own(d.births, values["feeds"])]
    if not foreign:
        return None
    leaves = union(t.weight.leaves for d in foreign for t in d.terms)
    births = union(d.births for d in foreign)
    return Feed(ctx.path, births, leaves, scope_of(eqn), source_of(eqn))


def population(value: Data, shape: tuple[int, ...], *, state: bool = False) -> Population:
    """The region of a value as neurons."""
    where = (value.part, value.turns, value.held)
    return Population(value.feeds, value.size, shape, value.axes, state, *where)


def fires(eqn: Any, found: Found, ctx: Context) -> Found:
    """The same finding, where the equation shows its region to be neurons."""
    value = found.outs[0]
    if not isinstance(value, Data) or not value.feeds or ctx.backward:
        return found
    here = population(value, shape_of(eqn.outvars[0]))
    return found.but(neurons=(*found.neurons, here))


# -- births ----------------------------------------------------------------------


def born(
    eqn: Any,
    ins: Sequence[Value],
    ctx: Context,
    text: str,
    *,
    weak: bool = False,
    parents: Paths = NONE,
    **fields: Any,
) -> Found:
    """Spikes are born here, of the region that was compared."""
    found = mixed(eqn, ins, ctx, text)
    region = found.outs[0]
    assert isinstance(region, Data)
    made = common(eqn, ins, ctx)
    feeds = made["feeds"] | frozenset(f.path for f in found.feeds)
    where = {k: made[k] for k in ("part", "turns", "held")}
    birth = birth_at(eqn, ctx, made["axes"], feeds, parents, made["births"], weak, **where)
    kept = {k: made[k] for k in ("axes", "held", "random", "source", "place") if k in made}
    values: dict[str, Any] = {"values": SPIKE, "nonneg": True, **kept, **fields}
    spikes = Events(
        cause=because(eqn, text),
        births=frozenset((ctx.path,)),
        size=max(made["size"], region.size),
        weak=weak,
        **values,
    )
    here = Population(feeds, spikes.size, shape_of(eqn.outvars[0]), made["axes"], **where)
    seen = bool(feeds) and not ctx.backward
    if weak and seen:
        birth = dataclasses.replace(birth, here=here)
    return Found(
        [spikes],
        events=(lambda ops: [{EVENTS: once(ops.outs[0])}]) if spikes.beside else None,
        taps=taps(ctx, spikes, birth),
        births=(birth,),
        feeds=found.feeds,
        neurons=(here,) if seen and not weak and not ctx.own_echo(feeds) else (),
        met=found.met,
    )


def birth_at(
    eqn: Any,
    ctx: Context,
    axes: Axes,
    feeds: Paths,
    parents: Paths,
    arrived: Paths,
    weak: bool,
    **where: Any,
) -> Birth:
    """A birth at this equation, of a value with these axes."""
    return Birth(
        ctx.path,
        feeds,
        parents,
        arrived - parents,
        source_of(eqn),
        axes.wholly(IDLE),
        ctx.frame,
        weak,
        **where,
    )


def same_where(births: Sequence[Birth]) -> dict[str, Any]:
    """Which part of a population fired, at which of its steps."""
    part = shared(b.part for b in births)
    known = {k: union(getattr(b, k) for b in births) for k in ("turns", "held")}
    return dict(part=() if part is None else part, **known)


def placed_births(eqn: Any, found: Found, region: Data, ctx: Context) -> Found:
    """Ones put where a region says: the winner of a population fires there."""
    out = found.outs[0]
    assert isinstance(out, Events)
    birth = birth_at(eqn, ctx, out.axes, region.feeds, NONE, region.births, True)
    here = dataclasses.replace(population(region, shape_of(eqn.outvars[0])), axes=out.axes)
    birth = dataclasses.replace(birth, here=None if ctx.backward else here)
    out = out.but(births=frozenset((ctx.path,)), weak=True, size=region.size)
    return found.but(outs=[out], births=(birth,), taps=taps(ctx, out, birth))


def reborn_at(
    eqn: Any, info: Value, ctx: Context, k: int, place: tuple[int, ...]
) -> tuple[Value, Birth | None]:
    """Spikes born inside a custom derivative leave outside, where their gradient is."""
    if not isinstance(info, Events):
        return info, None
    known = ctx.births(info.births)
    inside = [b for b in known if b.path[: len(ctx.path)] == ctx.path and b.frame == ctx.frame]
    if not inside:
        return info, None
    paths = frozenset(b.path for b in inside)
    axes = info.axes
    repeated = next((b.repeated for b in inside if len(b.repeated) == len(axes)), None)
    birth = Birth(
        place,
        union(b.feeds for b in inside),
        paths,
        NONE,
        source_of(eqn),
        axes.wholly(IDLE) if repeated is None else repeated,
        ctx.frame,
        all(b.weak for b in inside),
        **same_where(inside),
    )
    cause = because(eqn, "spikes of a surrogate gradient")
    return info.but(births=(info.births - paths) | {place}, cause=cause), birth


def _own_layers(data: Data, other: Data, ctx: Context) -> set[Any]:
    """Layers that feed one value, at places where they do not feed the other."""
    sites = (ctx.site(p) for p in data.feeds - other.feeds)
    return {(s.leaves, s.place) for s in sites if s and s.leaves}


def unrolled(eqn: Any, found: Found, ins: Sequence[Value], ctx: Context) -> Found:
    """The same layer added at two steps of an unrolled loop: each step updates its neurons."""
    data, out = datas(ins), found.outs[0]
    adds = len(data) == 2 and eqn.primitive.name != "sub"  # a difference of two is no state
    # each turn of what was made for all steps at once is an update already
    if not adds or ctx.backward or not isinstance(out, Analog) or out.turns:
        return found
    left, right = (_own_layers(d, o, ctx) for d, o in (data, data[::-1]))
    if not left & right:
        return found
    shape = shape_of(eqn.outvars[0])
    steps = tuple(
        dataclasses.replace(population(d, shape, state=True), axes=out.axes) for d in data
    )
    return found.but(neurons=(*found.neurons, *steps))


def taps(
    ctx: Context,
    spikes: Events,
    birth: Birth,
    k: int = 0,
    events: Callable[[Operands], Any] | None = None,
) -> tuple[Tap, ...]:
    """Record the spikes of output k; both conventions are one array where spikes are 0 or 1."""
    each = 1.0 if spikes.is_unit else float("inf")
    within = ctx.within_steps()

    def fired(ops: Operands) -> Any:
        if events is not None:
            return events(ops)
        return events_of(spikes, ops.outs[k], once(ops.outs[k]) if spikes.beside else None)

    def counted(make: Any) -> Any:
        return lambda ops: ctx.resolution.summed(make(ops), birth.repeated, within, each)

    found = [Tap(birth.path, "spikes", counted(fired))]
    if not spikes.is_unit and (events is not None or not spikes.beside):
        found.append(Tap(birth.path, "spikes_graded", counted(lambda ops: graded(fired(ops)))))
    return tuple(found)
