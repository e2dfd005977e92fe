"""Choices: by parameters a mask, by spikes a product or a reset."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..axes import SOURCE, WEIGHT
from ..events import existing, magnitude
from ..findings import EVENTS, Companions, Context, Found, Key, Operands
from ..joins import join
from ..kinds import (
    SPIKE,
    UNIT,
    Analog,
    Data,
    Events,
    Parameter,
    Scale,
    Term,
    Value,
    Values,
    few,
    is_nonnegative,
    is_simple,
    shared,
    united,
)
from ..places import union
from .apart import chosen_by
from .beside import beside as put_beside
from .births import elementwise_axes, mixed
from .chosen import chosen_terms, is_slice, rows_lost
from .combined import logical, refired
from .contents import spikes_in
from .gates import gates, is_shared
from .made import among, leaf_of, provenance, unmasked
from .pairs import pair_in
from .registry import data_of, parameter_of, rule, shape_of, spikes_of, travelling
from .sets import are_events, kept, same, values_of
from .sums import added_terms
from .terms import scaled, scaled_terms, scales


def _selected(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    shape = shape_of(eqn.outvars[0])
    named = ins[1:] if any(i.leaves for i in ins[1:] if isinstance(i, Parameter)) else ins
    chosen = parameter_of(named, shape, values=_all_values(ins[1:]))
    return [chosen.but(axes=parameter_of(ins, shape).axes)]  # it varies where the choice does


@rule("select_n", parameters=_selected, elementwise=True)
def _select(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """A choice: by parameters a mask, by spikes a product or a reset."""
    pred, *cases = ins = [ins[0], *unmasked(ins[1:], ctx)]
    decided = len(cases) - 1 if _all_same(cases) else _decided(pred, cases, ctx)
    if decided is not None:
        return same(cases[decided], 1 + decided)
    if all(isinstance(c, Parameter) for c in cases):
        return _select_parameters(eqn, ins, ctx)
    chosen = _changed_one(eqn, pred, cases)
    if chosen is not None:
        return _gated(eqn, ins, ctx, chosen)
    if isinstance(pred, Parameter) and len(cases) == 2 and any(c.opened for c in cases):
        return put_beside(eqn, ins, ctx, chosen_by(pred, (1, 2)))
    cases = list(map(_levels, cases))
    if all(map(_around_zero, cases)) or are_events(_all_values(cases)):
        return _select_events(eqn, [pred, *cases], ctx)
    return _select_analog(eqn, ins, ctx)


def _decided(pred: Value, cases: Sequence[Value], ctx: Context) -> int | None:
    """The case that a predicate always chooses; nobody spikes on NaN, which decides nothing."""
    if not isinstance(pred, Events):
        return None
    made = ctx.maker(pred.number)
    if made and made[0].primitive.name == "ne" and made[1][0].number == made[1][1].number:
        return 0
    return int(*pred.values) if pred.values is not None and len(pred.values) == 1 else None


def _changed_one(eqn: Any, pred: Value, cases: Sequence[Value]) -> int | None:
    """The case that is a leaf changed by data, where events choose it or zero."""
    if not isinstance(pred, Events) or len(cases) != 2:
        return None
    made = [k for k, c in enumerate(cases) if isinstance(c, Data) and scales(eqn, pred, c)]
    zeros = [k for k, c in enumerate(cases) if c.constant == 0]
    return made[0] if len(made) == len(zeros) == 1 else None


def _all_same(cases: Sequence[Value]) -> bool:
    """Whether all cases are x, or x without its gradient, as `vmap` makes them of a branch."""
    known = all(c.number >= 0 or c.form is not None for c in cases)
    return len(cases) == 1 or (known and len({c.linear for c in cases}) == 1)


def _select_analog(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    pred, *cases = ins
    terms, lost = added_terms(cases), None
    if isinstance(pred, Data):
        terms = _terms_by_choice(eqn, terms, pred, cases)
        lost = rows_lost(cases, pred, branches=False)
    found = mixed(eqn, [*cases, *_firing(pred, ctx)], ctx, "data select", terms=terms)
    out = data_of(found).but(**_choice_axes(eqn, ins))
    if out.weight is not None:
        out = out.but(weight=among(out.weight, [c for c in cases if isinstance(c, Data)]))
    elif leaf_of(pred) is not None:  # the signs of a leaf, or where it is
        out = out.but(weight=provenance(ins, out.axes, ctx))
    beside = travelling(out, lambda ops: _chosen_terms(ops, out))
    return found.but(outs=[out], events=beside, lost=lost, gates=gates([pred], ctx))


def _terms_by_choice(
    eqn: Any, terms: frozenset[Term], pred: Data, cases: Sequence[Value]
) -> frozenset[Term]:
    """Products in a choice that data make: where it is that or nothing, the choice scales them."""
    if any(c.constant == 0 for c in cases):
        shape = shape_of(eqn.outvars[0])
        terms = frozenset(t if t.is_bare or t.counted else scaled(t, pred, shape) for t in terms)
    gated = chosen_terms(cases, pred, branches=False)
    settled = not pred.place.is_whole  # of a slice nobody says more which row it scales
    terms = frozenset(t for t in terms if not (t.is_bare and settled))
    terms |= frozenset(t for t in gated if t.counted)
    return terms | _scaled_by_choice(eqn, pred, cases)


def _scaled_by_choice(eqn: Any, pred: Data, cases: Sequence[Value]) -> frozenset[Term]:
    """Leaves among other data, of which each event brings a row."""
    whole = [c for c in cases if isinstance(c, Parameter) and c.weight and not is_slice(c.weight)]
    terms = union(scaled_terms(eqn, [_choice(pred), c], False) for c in whole if not c.is_mask)
    return frozenset(t for t in terms if t.is_open and (_is_wider(t) or t.place.slices))


def _is_wider(term: Term) -> bool:
    """Whether an element of the source meets several of the leaf: no ceiling, token or gain."""
    both = zip(term.axes.flags(WEIGHT), term.axes.flags(SOURCE), strict=True)
    return any(w and not s for w, s in both)


def _firing(pred: Value, ctx: Context) -> list[Value]:
    """A predicate that is spikes of neurons enters the region; a mask does not."""
    if not isinstance(pred, Events) or pred.weak or is_shared(pred, ctx):
        return []
    return [pred] if any(b.feeds for b in ctx.births(pred.births)) else []


def _choice_axes(eqn: Any, ins: Sequence[Value]) -> dict[str, Any]:
    return dict(axes=elementwise_axes(eqn, [i for i in ins if len(i.axes)]))


def _around_zero(case: Value) -> bool:
    return isinstance(case, Events) or are_events(values_of(case))


def _chosen_terms(ops: Operands, out: Value) -> Companions:
    keys = {t.key for t in out.pending}
    cases = range(1, len(ops.values))
    return {k: _chosen(ops, [_products(ops, i, k) for i in cases]) for k in keys}


def _products(ops: Operands, i: int, key: Key) -> Array:
    """Products under a key in every element of a case, or those that its choice makes of a leaf."""
    info = ops.infos[i]
    scaled = isinstance(info, Parameter) and info.leaves == key[0] and not key[2]
    return existing(ops.values[i]) if scaled else ops.term(i, key)


def _chosen(ops: Operands, options: Sequence[Array]) -> Array:
    """One of some arrays in every element, as the predicate says."""
    shape = ops.outs[0].shape
    return jax.lax.select_n(ops.values[0], *(jnp.broadcast_to(o, shape) for o in options))


def _select_parameters(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """`where(spike, w, 0)` is spikes times w; other constants are only the values of a spike."""
    pred, *cases = ins
    numbers = [c.constant for c in cases]
    found = _select_numbers(eqn, pred, numbers, ctx)
    if found is None and (not isinstance(pred, Events) or len(numbers) != 2):
        return _one_or_another(eqn, [_choice(pred), *cases], ctx, None)
    if found is None and 0 in numbers:
        return _gated(eqn, ins, ctx, 1 - numbers.index(0))
    values = united(*(values_of(c) for c in cases))
    return found or _one_or_another(eqn, ins, ctx, values)


def _choice(pred: Value) -> Value:
    """An index that data choose, as what brings the row of a leaf: one event or none."""
    if not isinstance(pred, Data) or isinstance(pred, Events):
        return pred
    return _as_events(pred, values=SPIKE, weak=True)


def _as_events(data: Data, **fields: Any) -> Events:
    """The same data, known to be events."""
    return Events(**data.fields(), **fields)


def _one_or_another(eqn: Any, ins: Sequence[Value], ctx: Context, values: Values | None) -> Found:
    """One leaf or another, or its negative: the choice scales each where it is chosen."""
    pred, *cases = ins
    leaves = dict.fromkeys(c.leaves for c in cases if isinstance(c, Parameter))
    alike = [[c for c in cases if isinstance(c, Parameter) and c.leaves == own] for own in leaves]
    either = [functools.reduce(join, own).but(number=own[-1].number) for own in alike]
    terms = union(scaled_terms(eqn, [pred, e], False) for e in either)
    fields: dict[str, Any] = dict(enters=False, values=values, terms=terms)
    found = mixed(eqn, ins, ctx, "data select between parameters", **fields)

    def chosen(ops: Operands) -> Companions:
        there = existing(ops.outs[0])
        return {t.key: there * _chosen(ops, [_is_of(c, t) for c in cases]) for t in terms}

    return found.but(events=travelling(found.outs[0], chosen))


def _is_of(case: Value, term: Term) -> Array:
    """1 where a case is made of the leaves of a term."""
    same_leaves = isinstance(case, Parameter) and case.leaves == term.weight.leaves
    return jnp.asarray(float(same_leaves), jnp.float32)


def _select_numbers(
    eqn: Any, pred: Value, numbers: Sequence[float | None], ctx: Context
) -> Found | None:
    """One constant or another: the values that spikes take here, where they are around zero."""
    known = [n for n in numbers if n is not None]
    if len(known) < len(numbers):
        return None
    if isinstance(pred, Events):
        found = kept(eqn, [pred], ctx, functools.partial(_number, known))
        return _fired_again(eqn, pred, found, ctx)
    values = few(known)
    if not isinstance(pred, Data) or pred.feeds or not is_simple(values):
        return None
    fields: dict[str, Any] = dict(
        values=values, nonneg=is_nonnegative(values), random=pred.random, size=pred.size
    )
    out = Events(pred.axes, cause=pred.cause, births=pred.births, **fields)
    # the first comparison that holds: `jnp.select`
    return refired(eqn, ctx, out, pred.births) if pred.births else Found([out])


def _number(numbers: Sequence[float], index: float) -> float:
    """The number that an index chooses."""
    return numbers[min(max(int(index), 0), len(numbers) - 1)]


def _fired_again(eqn: Any, levels: Events, found: Found | None, ctx: Context) -> Found | None:
    """Levels of several comparisons that become single spikes fire here."""
    out = found.outs[0] if found else None
    if not isinstance(out, Events) or levels.loose or is_simple(levels.values):
        return found
    return refired(eqn, ctx, out, out.births) if is_simple(out.values) else found


def _gated(eqn: Any, ins: Sequence[Value], ctx: Context, chosen: int) -> Found:
    """A parameter, or a leaf that data have changed, where spikes say so; else zero."""
    pred, weight = ins[0], ins[1 + chosen]
    assert isinstance(pred, Events)
    masks = isinstance(weight, Parameter) and weight.is_mask
    axes = elementwise_axes(eqn, [i for i in ins if len(i.axes)])
    out = pred.anew(
        axes=axes,
        **(
            dict(values=values_of(weight) or None, scale=UNIT, nonneg=True)
            if masks
            else dict(values=None, scale=(1.0, (weight.number,)), nonneg=False)
        ),
        beside=not masks,
        terms=scaled_terms(eqn, [pred, weight], False),
        weight=provenance([pred, weight], axes, ctx, masked=True),
    )
    if masks:
        out = out.but(values=SPIKE)
        return Found([out])

    def events(ops: Operands) -> list[Companions]:
        there = ops.events(0) if chosen else 1 - ops.events(0)
        return [{EVENTS: there * existing(ops.values[1 + chosen])}]

    return Found([out], events=events)


def _select_events(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """A choice between values around zero: the events of the case that is chosen."""
    pred, *cases = ins
    values = _all_values(cases)
    found = logical(eqn, cases, ctx, values, masks=True, gates=_opening(pred))
    out = spikes_of(found)
    simple = is_simple(values)
    scale = UNIT if simple else _one_scale(cases)
    plain = simple or (scale == UNIT and all(s.plain for s in spikes_in(cases)))
    out = out.but(
        scale=scale,
        beside=not plain,
        nonneg=all(map(_nonnegative, cases)),
        terms=added_terms(cases),
        pair=pair_in([pred, *cases], ctx) if any(c.constant == 0 for c in cases) else None,
        **_choice_axes(eqn, ins),
    )
    if not simple and len(out.births) > 1:  # several levels of one comparison
        count = _chosen_events if out.beside else _magnitude
        return refired(eqn, ctx, out, out.births, events=count)
    return found.but(outs=[out], events=_beside if out.beside else None)


def _opening(pred: Value) -> list[Events]:
    """The spikes that a choice depends on; comparisons of weights are none."""
    return [s for s in spikes_in([pred]) if leaf_of(s) is None]


def _levels(case: Value) -> Value:
    """Data with few values, none of them zero, as they are beside a zero."""
    if not isinstance(case, Analog) or case.values is None:
        return case
    return _as_events(case, values=case.values, scale=None, nonneg=min(case.values) > 0)


def _magnitude(ops: Operands) -> Any:
    return magnitude(ops.outs[0])


def _one_scale(cases: Sequence[Value]) -> Scale | None:
    """The scale that all events share; a constant that is no spike must be a number of events."""
    scale = shared(s.scale for s in spikes_in(cases))
    other = _numbers(cases)
    counts = scale == UNIT and all(v.is_integer() for v in other)
    return scale if counts or not other else None


def _numbers(cases: Sequence[Value]) -> Values:
    """Values of constants that are no spikes."""
    known = [c.values for c in cases if isinstance(c, Parameter) and c.values is not None]
    return union(values for values in known if not are_events(values))


def _all_values(cases: Sequence[Value]) -> Values | None:
    """Every value of any case, where all are known."""
    return united(*map(values_of, cases))


def _nonnegative(case: Value) -> bool:
    own = case.nonneg if isinstance(case, Events) else True
    return own and min(values_of(case) or {0}) >= 0


def _beside(ops: Operands) -> list[Companions]:
    return [{EVENTS: _chosen_events(ops)}]


def _chosen_events(ops: Operands) -> Array:
    """Events of the case that is chosen."""
    return _chosen(ops, [ops.events(k) for k in range(1, len(ops.values))])


@rule("select_if_vmap", elementwise=True)
def _select_if_vmap(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Equinox's loops: the first value, or under `vmap` whichever the predicate says."""
    out = join(ins[1], ins[2]).anew()
    if not (isinstance(out, Events) and out.beside):
        return Found([out])
    return Found(
        [out],
        events=lambda ops: [{EVENTS: jnp.where(ops.values[0], ops.events(1), ops.events(2))}],
    )
