"""Spikes combined with spikes: masks, complements, levels; where one population fires at last."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ..findings import EVENTS, Context, Found, Operands
from ..kinds import NONE, UNIT, Cause, Events, Paths, Value, is_nonnegative, is_simple, shared
from .births import (
    birth_at,
    datas,
    elementwise_axes,
    same_source,
    same_where,
    taps,
    union,
)
from .registry import because


def logical(
    eqn: Any,
    ins: Sequence[Value],
    ctx: Context,
    values: Any,
    *,
    masks: bool,
    other: bool = False,
    gates: Sequence[Value] = (),
    **fields: Any,
) -> Found:
    """Spikes combined with spikes: a new birth where all are of one population, else the union.

    `masks`: the operands multiply each other, so comparisons that only mask are no spikes.
    `other`: the result is not zero just where its operand is, so it fires at other times.
    `gates`: they decide where the result is zero and are no form of it.
    """
    spikes = [d for d in datas((*ins, *gates)) if isinstance(d, Events)]
    strong = [d for d in spikes if not d.weak]
    kept = strong if masks and strong else spikes
    births = union(d.births for d in kept)
    out = _combined(eqn, spikes, strong, births, ctx, values).but(**fields)
    if is_simple(values) and (other or _meets(spikes, kept, out, ctx)):
        forms = union(d.births for d in datas(ins)) & births
        return refired(eqn, ctx, out, forms or births, complement=other)
    return Found([out])


def _meets(spikes: Sequence[Events], kept: Sequence[Events], out: Events, ctx: Context) -> bool:
    """Whether spikes are changed by others of their population: where they fire now is here.

    Pooling brings parts of one population together; there they have fired already.
    """
    masks = union(d.births for d in spikes) - out.births
    if masks and ctx.own_mask(masks, out.births):
        return True
    if len(out.births) > 1:
        return True
    own = [d for d in kept if d.births]
    return len({d.number for d in own}) > 1 and len({d.part for d in own}) == 1


def refired(
    eqn: Any,
    ctx: Context,
    out: Events,
    forms: Paths,
    *,
    complement: bool = False,
    events: Callable[[Operands], Any] | None = None,
) -> Found:
    """Spikes of one population combined: they fire here, for the last time so far.

    `forms`: the births that are the same spikes. `events`: of spikes that are not simple.
    """
    beside = None if events is None else lambda ops: [{EVENTS: events(ops)}]
    if not out.births or not ctx.one_population(out.births):
        return Found([out], events=beside)
    known = ctx.births(out.births)
    feeds, weak = union(b.feeds for b in known), all(b.weak for b in known)
    birth = birth_at(eqn, ctx, out.axes, feeds, forms, NONE, weak, **same_where(known))
    birth = dataclasses.replace(birth, complement=complement)
    out = out.but(births=frozenset((ctx.path,)))
    made = taps(ctx, out, birth, events=events)
    return Found([out], events=beside, births=(birth,), taps=made)


def _first_cause(spikes: Sequence[Events]) -> Cause | None:
    return next((s.cause for s in spikes if s.cause), None)


def _combined(
    eqn: Any, spikes: list[Events], strong: list[Events], births: Paths, ctx: Context, values: Any
) -> Events:
    loud, loose = strong or spikes, any(s.loose for s in spikes)
    bounded = is_simple(values) and not loose  # no running sum, whatever it was made of
    kept = ("held",) if bounded else ("held", "running", "piled")
    together = {k: union(getattr(s, k) for s in spikes) for k in kept}
    return Events(
        elementwise_axes(eqn, spikes),
        cause=_first_cause(loud) or because(eqn, "spikes combined with spikes"),
        births=births,
        part=shared(s.part for s in loud) or (),
        size=max((s.size for s in loud), default=0.0),
        terms=NONE,
        random=all(s.random for s in spikes),
        values=values,
        scale=UNIT,
        nonneg=not loose and is_nonnegative(values),
        loose=loose,
        beside=not is_simple(values),
        **together,
        **same_source(spikes),
        weak=not strong,
    )
