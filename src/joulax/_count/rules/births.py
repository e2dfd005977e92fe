"""Regions, births and populations: what elementwise work makes of currents and spikes."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..axes import COPIED, IDLE, OWN, REPEATED, VARIES, Axes, combined, either, regional
from ..events import events_of, graded, once
from ..exact import Sum
from ..findings import (
    EVENTS,
    Birth,
    Context,
    Feed,
    Found,
    Operands,
    Population,
    Tap,
    is_reduced,
)
from ..kinds import SPIKE, Analog, Data, Events, Value, shared
from ..labels import Met
from ..places import NONE, Path, Paths, stands_in, union
from .changes import is_learned, untaught
from .contents import (
    births_in,
    feeds_in,
    held_in,
    same_source,
    size_of,
    spikes_in,
    targets_in,
    united_fields,
)
from .gates import resets, stay, taken_back
from .made import of_weights, provenance, unmasked
from .registry import because, data_of, shape_of, source_of, spikes_of, travelling


def datas(ins: Sequence[Value]) -> list[Data]:
    """The operands that depend on data."""
    return [i for i in ins if isinstance(i, Data)]


def elementwise_axes(eqn: Any, ins: Sequence[Value]) -> Axes:
    """Axes of an elementwise result.

    Repeated as the regions say, varying where any operand does.
    """
    shape = shape_of(eqn.outvars[0])
    fitting = [i for i in ins if i.axes.shape == shape]
    if not fitting:
        return Axes.of(shape)
    varies = either(*(i.axes.only(VARIES | OWN) for i in fitting))
    regions = _regions(datas(fitting))
    if not regions:
        return varies
    repeated = combined(regional, *(i.axes.only(IDLE) for i in regions))
    others = [i.axes for i in datas(fitting) if i not in regions]
    return either(varies, combined(_own_samples, repeated, *others))


def _own_samples(region: int, other: int) -> int:
    """Where a current is only copied and what meets it is not: perhaps samples, each its own."""
    return region | OWN if region & COPIED and other & VARIES else region


def _firing(labels: int) -> int:
    """Copies of a current that fire each on its own are samples."""
    return labels & ~(COPIED | OWN) | REPEATED if labels & COPIED and labels & OWN else labels


def _regions(data: list[Data]) -> list[Data]:
    """Values that say what is batch and time: regions of neurons, else spikes, else all."""
    fed = [d for d in data if d.feeds]
    whole = [d for d in fed if not any(d.axes.flags(COPIED))]  # shared by no neurons
    return whole or fed or [d for d in data if d.births] or data


def common(eqn: Any, ins: Sequence[Value], ctx: Context) -> dict[str, Any]:
    """Fields of an elementwise result that depends on data."""
    data = datas(ins)
    regions = data if all(d.is_leaf for d in data) else [untaught(d, ctx) for d in data]
    fed = [d for d in regions if d.feeds]
    feeds, births = feeds_in(fed), births_in(data)
    axes = elementwise_axes(eqn, ins)
    own = taken_back(data, axes, ctx) | resets(data, ctx)
    return dict(
        axes=axes,
        feeds=feeds,
        size=size_of(fed),
        part=_one_part(fed or data),
        turns=union(d.turns for d in data),
        births=births - own | stay(eqn, own, axes, ctx),
        weight=provenance(ins, axes, ctx, masked=eqn.primitive.name == "mul"),
        held=held_in(data),
        fired=union(d.fired for d in data) | own,
        given=union(d.given for d in data),
        random=all(d.random for d in data),
        learned=is_learned(eqn, data, axes),
        targets=targets_in(eqn, regions, ctx),
        **same_source(data),
    )


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
        values["targets"] |= {(how, feed.path) for how, _ in values["targets"]}
        values["size"] = max(values["size"], *map(_size, spikes_in(data)))
    outs = [_shaped(v, Analog(**(values | fields)), ctx) for v in eqn.outvars]
    entering = (feed,) if feed else ()
    return Found(outs, feeds=entering, statistics=statistics(data), met=_meeting(data))


def _one_part(data: Sequence[Data]) -> tuple[Any, ...]:
    """The part of a region that a combination is: sums and what other sites feed say nothing."""
    data = [d for d in data if not is_reduced(d.part)] or data
    found = {d.part for d in data}
    if all(map(is_reduced, found)):
        return min(found, key=len, default=())
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
    regions = [d for d in data if d.feeds and d.size and not d.is_gradient]
    size = size_of(regions)
    whole = [d for d in regions if _is_whole(d, size)]
    return feeds_in(whole) & feeds_in([d for d in regions if not _is_whole(d, size)]), size


def _is_whole(data: Data, size: float) -> bool:
    """Whether a region has all its neurons, where the largest one has so many."""
    return data.size == size and not is_reduced(data.part)


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
    strong = [d for d in spikes_in(data) if not d.weak]
    own = ctx.own(births_in(strong), values["feeds"]) | resets(data, ctx)
    foreign = [d for d in strong if not d.births or d.births - own]
    if not foreign:
        return None
    leaves = union(t.weight.leaves for d in foreign for t in d.terms)
    return Feed(ctx.path, births_in(foreign), leaves, ctx.scope, source_of(eqn))


def population(value: Data, shape: tuple[int, ...], *, state: bool = False) -> Population:
    """The region of a value as neurons."""
    where = (value.part, value.turns, value.held, value.fired)
    targets = value.targets
    return Population(value.feeds, value.size, shape, value.axes, state, *where, targets=targets)


def fires(eqn: Any, found: Found, ctx: Context) -> Found:
    """The same finding, where the equation shows its region to be neurons."""
    value = found.outs[0]
    if not isinstance(value, Data) or not value.feeds or ctx.backward:
        return found
    region = untaught(value, ctx)
    if not region.feeds or region.is_gradient:
        return found
    here = population(region, shape_of(eqn.outvars[0]))
    bent = value.but(targets=value.targets | {(Met.BENT, f) for f in value.feeds})
    return found.but(outs=[bent, *found.outs[1:]], neurons=(*found.neurons, here))


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
    """Spikes are born here, of the region that was compared: or the signs of a leaf."""
    ins = unmasked(ins, ctx)
    found = mixed(eqn, ins, ctx, text)
    if not fields.get("loose") and _is_gradient(ins, ctx):
        return found.but(outs=[masked(data_of(found)).but(**fields)])
    made = common(eqn, ins, ctx)
    made["axes"] = _fired_axes(made["axes"], made["size"], weak)
    feeds = made["feeds"] | frozenset(f.path for f in found.feeds)
    where = {k: made[k] for k in ("part", "turns", "held", "fired")}
    more = where | dict(given=made["given"])
    birth = birth_at(eqn, ctx, made["axes"], feeds, parents, made["births"], weak, **more)
    kept = {k: made[k] for k in ("axes", "held", "random")} | same_source(datas(ins))
    kept["weight"] = None if feeds else of_weights(ins, made["weight"], ctx)
    values: dict[str, Any] = {"values": SPIKE, "nonneg": True, **kept, **fields}
    spikes = Events(
        cause=because(eqn, text),
        births=frozenset((ctx.path,)),
        size=max(made["size"], data_of(found).size),
        weak=weak,
        **values,
    )
    where["targets"] = made["targets"]
    here = Population(feeds, spikes.size, shape_of(eqn.outvars[0]), made["axes"], **where)
    seen = here if feeds and not ctx.backward else None
    birth = dataclasses.replace(birth, here=seen if weak else None)
    return Found(
        [spikes],
        events=travelling(spikes, lambda ops: {EVENTS: once(ops.outs[0])}),
        taps=taps(ctx, spikes, birth),
        births=(birth,),
        feeds=found.feeds,
        neurons=_shown(seen, weak, ctx),
        met=found.met,
    )


def _shown(seen: Population | None, weak: bool, ctx: Context) -> tuple[Population, ...]:
    """Neurons that a comparison shows: none where it is one of their own spikes, a mask."""
    return () if weak or seen is None or ctx.own_echo(seen.feeds) else (seen,)


def _fired_axes(axes: Axes, size: float, weak: bool) -> Axes:
    """Axes of spikes of a region that was compared: copies that fire on their own are samples."""
    fired = axes.relabelled(_firing)
    return _competing(fired, size, axes.wholly(COPIED)) if weak else fired


def _is_gradient(ins: Sequence[Value], ctx: Context) -> bool:
    """Whether gradients are compared, by an optimiser: nothing fires."""
    return not ctx.backward and any(untaught(d, ctx).is_gradient for d in datas(ins))


def _competing(axes: Axes, size: float, copied: Sequence[bool]) -> Axes:
    """Where winners are told, if a number was compared: `argmax(v)[:, None] == arange(n)`.

    Places in an order are no samples: each neuron is at one of them, or at none.
    """
    if axes.size(IDLE) >= size:
        return axes
    told = axes.competing(size)
    places = [c and not v for c, v in zip(copied, told.flags(VARIES), strict=True)]
    dims = zip(told.dims, places, strict=True)
    return Axes(tuple(((math.prod(n for n, _ in d), 0),) if p else d for d, p in dims))


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
    return dict(
        part=() if part is None else part,
        **united_fields(("turns", "held", "fired", "given"), births),
    )


def placed_births(eqn: Any, found: Found, region: Data, ctx: Context) -> Found:
    """Ones put where data say: the winner of a population fires there, or an encoder."""
    out = spikes_of(found)
    out = out.but(axes=out.axes.competing(region.size))
    birth = birth_at(eqn, ctx, out.axes, region.feeds, NONE, region.births, True)
    here = dataclasses.replace(population(region, shape_of(eqn.outvars[0])), axes=out.axes)
    birth = dataclasses.replace(birth, here=here if region.feeds and not ctx.backward else None)
    out = out.but(births=frozenset((ctx.path,)), weak=True, size=region.size)
    return found.but(outs=[out], births=(birth,), taps=taps(ctx, out, birth))


def reborn_at(
    eqn: Any, info: Value, ctx: Context, k: int, place: tuple[int, ...]
) -> tuple[Value, Birth | None]:
    """Spikes born inside a custom derivative leave outside, where their gradient is."""
    if not isinstance(info, Events):
        return info, None
    inside = [b for b in ctx.births(info.births) if _is_inside(b, ctx)]
    if not inside:
        return info, None
    paths = frozenset(b.path for b in inside)
    birth = Birth(
        place,
        union(b.feeds for b in inside),
        paths,
        NONE,
        source_of(eqn),
        _repeated(inside, info),
        ctx.frame,
        all(b.weak for b in inside),
        left=True,
        **same_where(inside),
    )
    cause = because(eqn, "spikes of a surrogate gradient")
    return info.but(births=(info.births - paths) | {place}, cause=cause), birth


def _repeated(inside: Sequence[Birth], info: Events) -> tuple[bool, ...]:
    """Axes of batch and time, as the spikes say that were born with as many axes."""
    fitting = (b.repeated for b in inside if len(b.repeated) == len(info.axes))
    return next(fitting, info.repeated)


def _is_inside(birth: Birth, ctx: Context) -> bool:
    """Whether spikes are born inside this equation, each time it runs."""
    return stands_in(birth.path, ctx.path) and birth.frame == ctx.frame


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

    def summed(counts: Array) -> Sum:
        return ctx.resolution.summed(counts, birth.repeated, within, each)

    found = [Tap(birth.path, "spikes", lambda ops: summed(fired(ops)))]
    if not spikes.is_unit and (events is not None or not spikes.beside):
        found.append(Tap(birth.path, "spikes_graded", lambda ops: summed(graded(fired(ops)))))
    return tuple(found)
