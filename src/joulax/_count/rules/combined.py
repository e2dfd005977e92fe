"""Spikes combined with spikes: masks, complements, levels; where one population fires at last."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ..axes import COPIED, VARIES
from ..findings import EVENTS, Context, Found, Operands, is_reduced
from ..kinds import UNIT, Cause, Events, Value, is_nonnegative, is_simple, shared
from ..places import NONE, Paths, union
from .births import birth_at, elementwise_axes, same_where, taps
from .changes import is_learned
from .contents import births_in, same_source, size_of, spikes_in, united_fields
from .made import leaf_of, provenance
from .registry import because, is_integer


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
    spikes = spikes_in((*ins, *gates))
    strong = [d for d in spikes if not d.weak]
    kept = strong if masks and strong else spikes
    births, before = _masked(kept, strong, ctx) if masks else (births_in(kept), NONE)
    out = _combined(eqn, spikes, strong, births, ctx, values).but(**fields)
    again = bool(other or before) or _meets(spikes, kept, out, ctx)
    if not (again and is_simple(values)) or _have_fired(ins, spikes, out):
        return Found([out])
    forms = births_in(ins) & out.births or out.births
    masked = bool(before) | _are_others(spikes, out, ctx)
    return refired(eqn, ctx, out, forms, complement=other, masked=masked)


def _masked(kept: Sequence[Events], strong: Sequence[Events], ctx: Context) -> tuple[Paths, Paths]:
    """Spikes that are left of some that multiply each other, and what states say among them."""
    births = births_in(kept)
    births = births if ctx.one_population(births) else firing(births, ctx)
    births = births if all(d.births for d in strong) else _driven(births, ctx)
    before = _of_states(births, ctx)
    return births - before, before


def _have_fired(ins: Sequence[Value], spikes: Sequence[Events], out: Events) -> bool:
    """Whether spikes fire nowhere else than before: pooled, or in pairs."""
    return any(is_reduced(s.part) for s in spikes) or _are_pairs(ins, spikes, out)


def _of_states(births: Paths, ctx: Context) -> Paths:
    """Comparisons of a state that came as an argument, beside spikes of the neurons it is of."""
    known = ctx.births(births)
    own = union(b.given for b in known if b.feeds)
    return frozenset(b.path for b in known if not b.feeds and b.given & own)


def _driven(births: Paths, ctx: Context) -> Paths:
    """Spikes but those with a memory that no site drives: of declared spikes they are a mask."""
    known = ctx.births(births)
    sites = {b.path: any(ctx.site(f) is not None for f in b.feeds) for b in known}
    return frozenset(b.path for b in known if sites[b.path] or not b.held)


def _are_pairs(ins: Sequence[Value], spikes: Sequence[Events], out: Events) -> bool:
    """Whether all spikes are copied where the result varies: pairs of them, nobody's spikes."""
    varies = out.axes.flags(VARIES)
    copied = (zip(s.axes.flags(COPIED), varies, strict=False) for s in spikes)
    return len(ins) > 1 and all(any(c and v for c, v in pairs) for pairs in copied)


def firing(births: Paths, ctx: Context) -> Paths:
    """Spikes that fire: of a complement, those of which it is one."""
    known = ctx.births(births)
    return union(b.parents if b.complement else frozenset((b.path,)) for b in known)


def _meets(spikes: Sequence[Events], kept: Sequence[Events], out: Events, ctx: Context) -> bool:
    """Whether spikes are changed by others of their population: where they fire now is here.

    Pooling brings parts of one population together; there they have fired already.
    """
    if _is_masked(spikes, out, ctx):
        return True
    own = [d for d in kept if d.births]
    return len({d.number for d in own}) > 1 and len({d.part for d in own}) == 1


def _are_others(spikes: Sequence[Events], out: Events, ctx: Context) -> bool:
    """Whether spikes that meet are others, and not some and what was made of them."""
    if not _is_masked(spikes, out, ctx):
        return False
    every = union(s.births for s in spikes)
    made = {b.path for b in ctx.births(every) if b.parents and b.parents <= every}
    return len({s.births - made for s in spikes} - {NONE}) > 1


def _is_masked(spikes: Sequence[Events], out: Events, ctx: Context) -> bool:
    """Whether spikes meet others: a mask that their neurons' own state says, or other spikes."""
    masks = births_in(spikes) - out.births
    return bool(masks and ctx.own_mask(masks, out.births)) or len(out.births) > 1


def refired(
    eqn: Any,
    ctx: Context,
    out: Events,
    forms: Paths,
    *,
    complement: bool = False,
    masked: bool = False,
    events: Callable[[Operands], Any] | None = None,
) -> Found:
    """Spikes of one population combined: they fire here, for the last time so far.

    `forms`: the births that are the same spikes. `events`: of spikes that are not simple.
    """
    found = Found([out], None if events is None else lambda ops: [{EVENTS: events(ops)}])
    if not out.births or not ctx.one_population(out.births):
        return found
    known = ctx.births(out.births)
    feeds, weak = union(b.feeds for b in known), all(b.weak for b in known)
    weak = weak or is_integer(eqn.invars[0])
    birth = birth_at(eqn, ctx, out.axes, feeds, forms, NONE, weak, **same_where(known))
    birth = dataclasses.replace(birth, complement=complement, masked=masked)
    out = out.but(births=frozenset((ctx.path,)))
    made = taps(ctx, out, birth, events=events)
    return found.but(outs=[out], births=(birth,), taps=made)


def _first_cause(spikes: Sequence[Events]) -> Cause | None:
    return next((s.cause for s in spikes if s.cause), None)


def _combined(
    eqn: Any, spikes: list[Events], strong: list[Events], births: Paths, ctx: Context, values: Any
) -> Events:
    loud, loose = strong or spikes, any(s.loose for s in spikes)
    bounded = is_simple(values) and not loose  # no running sum, whatever it was made of
    kept = ("held",) if bounded else ("held", "running", "piled")
    axes = elementwise_axes(eqn, spikes)
    masks = spikes if all(map(leaf_of, spikes)) else []  # of weights, still masks of them
    return Events(
        axes,
        weight=provenance(masks, axes, ctx, masked=True),
        cause=_first_cause(loud) or because(eqn, "spikes combined with spikes"),
        births=births,
        part=shared(s.part for s in loud) or (),
        size=size_of(loud),
        terms=NONE,
        random=all(s.random for s in spikes),
        learned=is_learned(eqn, spikes, axes),
        values=values,
        scale=UNIT,
        nonneg=not loose and is_nonnegative(values),
        loose=loose,
        beside=not is_simple(values),
        **united_fields(kept, spikes),
        **same_source(spikes),
        weak=not strong,
    )
