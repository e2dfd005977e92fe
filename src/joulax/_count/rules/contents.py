"""What operands contain together: spikes, feeds, states, neurons."""

from collections.abc import Sequence
from typing import Any

from ..findings import Context
from ..kinds import Data, Events, Parameter, Value
from ..labels import Met, Target, met
from ..places import NONE, Paths, combined_place, union


def spikes_in(ins: Sequence[Value]) -> list[Events]:
    """The operands that are spikes."""
    return [i for i in ins if isinstance(i, Events)]


def births_in(ins: Sequence[Value]) -> Paths:
    """Spikes inside of some operands."""
    return union(i.births for i in ins if isinstance(i, Data))


def arrived(ctx: Context, births: Paths) -> Paths:
    """Spikes that reach a site; nobody arrives in a gradient."""
    return NONE if ctx.backward else births


def feeds_in(ins: Sequence[Value]) -> Paths:
    """Sites and one-to-one connections that feed some operands."""
    return union(i.feeds for i in ins if isinstance(i, Data))


def layers_of(feeds: Paths, ctx: Context) -> frozenset[Any]:
    """Weights, and which elements of them, that feed a region."""
    sites = map(ctx.site, feeds)
    return frozenset((s.leaves, s.place) for s in sites if s is not None and s.leaves)


def held_in(ins: Sequence[Value]) -> Paths:
    """States of loops that some operands come from."""
    return union(i.held for i in ins if isinstance(i, Data))


def size_of(data: Sequence[Data]) -> float:
    """Neurons in the largest of some regions."""
    return max((d.size for d in data), default=0.0)


def targets_in(eqn: Any, data: Sequence[Data], ctx: Context) -> frozenset[Target]:
    """How data that neither a site nor a neuron has made meet a region: labels perhaps.

    They are told from a context, a state or noise, which are added.
    """
    slope: frozenset[Target] = frozenset(((Met.SLOPE, ctx.path),)) if ctx.backward else NONE
    known = union(d.targets for d in data) | slope
    how = _MEETS.get(eqn.primitive.name)
    outside = [d for d in data if not (d.feeds or d.random or _has_fired(d))]
    if how is None or not outside:
        return known
    return known | {(met(how, known, f), f) for f in feeds_in(data)}


_MEETS = {
    **dict.fromkeys("sub select_n gather dynamic_slice".split(), Met.COMPARED),
    **dict.fromkeys("mul div".split(), Met.WEIGHED),
}


def _has_fired(data: Data) -> bool:
    """Whether spikes of this program are inside: of declared ones nobody knows whose they are."""
    return isinstance(data, Events) and bool(data.births) and not data.weak


def loops_over(ins: Sequence[Value]) -> Paths:
    """Loops that walk over any of some operands."""
    return union(i.place.loops for i in ins if isinstance(i, Parameter | Data))


def place_of(index: Sequence[Value], ctx: Context) -> int:
    """A number for the place that an index says, as far as loops walk over it."""
    walked = (i for i in index if isinstance(i, Parameter) and i.place.loops)
    return hash(tuple(_expression(i, ctx) for i in walked))


def _expression(value: Value, ctx: Context, deep: int = 8) -> Any:
    """How an index is made, its form and type aside: reads and writes of one place say the same."""
    made = ctx.maker(value.number) if deep else None
    if made is None:
        return value.number
    eqn, ins = made
    if eqn.primitive.name in _FORMS:
        return _expression(ins[0], ctx, deep - 1)
    return eqn.primitive.name, str(eqn.params), *(_expression(i, ctx, deep - 1) for i in ins)


_FORMS = "convert_element_type broadcast_in_dim reshape squeeze expand_dims".split()


def united_fields(names: Sequence[str], items: Sequence[Any]) -> dict[str, frozenset[Any]]:
    """Fields that are sets, for all of some values or births."""
    return {name: union(getattr(i, name) for i in items) for name in names}


def loops_of(value: Value) -> Paths:
    """Loops in whose states a value is."""
    return frozenset(s[:-1] for s in value.held) if isinstance(value, Data) else NONE


def same_source(data: Sequence[Data]) -> dict[str, Any]:
    """Whose elements a combination is: those of slices, where whole values are combined with them.

    None, where there are no data.
    """
    own = [d for d in data if not d.place.is_whole] or data
    if not own:
        return {}
    return dict(source=min(d.source for d in own), place=combined_place(d.place for d in own))
