"""Terms: a leaf times data, followed until products of different elements are brought together."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp

from ..axes import IDLE, SOURCE, VARIES, WEIGHT, Axes, combined
from ..findings import Companions, Context, Found, Operands, Site, Tap, existing, mask
from ..kinds import (
    Analog,
    Cause,
    Data,
    Events,
    Leaves,
    Parameter,
    Place,
    Term,
    Value,
    Weight,
    term_axes,
)
from .births import common, datas, union
from .registry import because, part, shape_of, site_of

# -- products -------------------------------------------------------------------------


def scaled_terms(eqn: Any, ins: Sequence[Value], divide: bool) -> frozenset[Term]:
    """Terms of a product: those of its operands, scaled, and perhaps a new one."""
    shape = shape_of(eqn.outvars[0])
    found: set[Term] = set()
    for i, d in enumerate(ins):
        other = ins[1 - i]
        if not isinstance(d, Data) or (divide and i == 1):
            continue
        new = _new(d, other, shape) if isinstance(other, Parameter) else set()
        around = frozenset(t.name for t in new)
        scaled = {_scaled(t, other, shape) for t in d.terms}
        found |= {t if t.counted else t.but(inside=t.inside | around) for t in scaled} | new
    return frozenset(found)


def _fit(axes: Axes, shape: tuple[int, ...]) -> Axes:
    return axes if axes.shape == shape else Axes.of(shape)


def _scaled(term: Term, other: Value, shape: tuple[int, ...]) -> Term:
    axes = _fit(term.axes, shape)
    if other.axes.shape != shape:
        return term.but(axes=axes)
    if isinstance(other, Data):
        return _scaled_by_data(term.but(axes=axes), other)
    assert isinstance(other, Parameter)
    if other.is_mask or other.weight is None:
        return term.but(axes=axes)
    both = combined(lambda p, q: p | q, axes, other.weight.axes)
    leaves = term.weight.leaves | other.leaves
    return term.but(axes=both, weight=dataclasses.replace(term.weight, leaves=leaves))


def _scaled_by_data(term: Term, other: Data) -> Term:
    axes = term_axes(term.axes, other.axes)
    if term.lookup is None:
        return term.but(axes=axes)
    rows = [t.weight.leaves for t in other.terms if t.lookup is not None]
    if any(own & term.weight.leaves for own in rows):
        return term.but(counted=True)  # a row times itself: data
    spiking = term.spiking and (bool(rows) or not isinstance(other, Analog))
    return term.but(axes=axes, spiking=spiking)


def _new(d: Data, p: Parameter, shape: tuple[int, ...]) -> set[Term]:
    weight = None if p.is_mask else p.weight
    if weight is None:
        return set()
    if not (any(weight.axes.flags(WEIGHT)) or p.place.slices or p.place.loops):
        return set()
    axes = term_axes(_fit(weight.axes, shape), _fit(d.axes, shape))
    one_to_one = axes.flags(WEIGHT) == axes.flags(SOURCE)
    decay = one_to_one and bool(d.held) and not d.place.slices
    source = d.root
    name = (p.number, d.number)
    return {Term(weight, source, d.place, axes, isinstance(d, Events), decay=decay, name=name)}


def thinned(ops: Operands, out: Value) -> Companions:
    """Products that are left where the other factor is not zero."""
    assert isinstance(out, Data)
    shape = ops.outs[0].shape
    found: dict[Any, Any] = {}
    for t in out.terms:
        if not t.counted and t.key not in found:
            found[t.key] = jnp.broadcast_to(_thinned(ops, t), shape)
    return found


def _thinned(ops: Operands, term: Term) -> Any:
    for i, info in enumerate(ops.infos):
        others = jnp.ones((), jnp.float32) if len(ops.infos) == 1 else existing(ops.values[1 - i])
        if not isinstance(info, Data):
            continue
        for t in info.terms:
            same = t.weight.leaves <= term.weight.leaves and t.spiking == term.spiking
            if same and not t.counted:
                return ops.term(i, t.key) * others
    i = 0 if isinstance(ops.infos[0], Data) else 1
    return ops.there(i) * existing(ops.values[1 - i])


# -- leaves added where data say ---------------------------------------------------------

BARE = -2  # source of a leaf that is added as it is


def bare_terms(ins: Sequence[Value]) -> frozenset[Term]:
    """A leaf that a loop walks over, added as it is: if data choose whether, data scale it."""
    weights = [i.weight for i in ins if isinstance(i, Parameter) and not i.is_mask and i.weight]
    walked = [w for w in weights if w.place.loops and len(datas(ins)) == 1]
    return frozenset(Term(w, BARE, Place(), w.axes, True, counted=True) for w in walked)


def chosen_terms(options: Sequence[Value], index: Data) -> tuple[frozenset[Term], str | None]:
    """Terms of a choice that data make, and what is lost: rows of a leaf added one by one."""
    terms = frozenset().union(*(o.terms for o in options if isinstance(o, Data)))
    source = index.root
    gated = {
        Term(w, source, index.place, w.axes, True, counted=True) for w in _bare(options, terms)
    }
    rest = frozenset(t for t in terms if t.source != BARE)
    text = "rows of a weight, added one by one where data say; write where(spike, row, 0)"
    return rest | gated, text if any(together(t, u) for t in rest for u in gated) else None


def _bare(options: Sequence[Value], terms: frozenset[Term]) -> set[Weight]:
    """Weights that a loop walks over, chosen or added as they are."""
    leaves = [o.weight for o in options if isinstance(o, Parameter) and o.weight]
    return {t.weight for t in terms if t.source == BARE} | {w for w in leaves if w.place.loops}


# -- sums -----------------------------------------------------------------------------


def brought(terms: frozenset[Term], axes: Sequence[int]) -> list[Term]:
    """Terms whose weight and whose source both vary along axes that are summed."""
    both = lambda t: t.axes.has_any(axes, WEIGHT) and t.axes.has_any(axes, SOURCE)
    return outermost([t for t in terms if not t.counted and both(t)])


def outermost(terms: Iterable[Term]) -> list[Term]:
    """One term for each product: not the factors of others, in an order of its own."""
    ordered = sorted(terms, key=lambda t: (sorted(t.weight.leaves), not t.spiking, t.name))
    names = frozenset(t.name for t in ordered)
    return [t for t in ordered if not t.inside & names]


def grouped(terms: Iterable[Term]) -> list[list[Term]]:
    """Terms by weight and kind: each group is a site."""
    found: dict[Any, list[Term]] = {}
    for t in terms:
        found.setdefault(t.key, []).append(t)
    return list(found.values())


def accounted(rest: Iterable[Term], found: Sequence[Term]) -> frozenset[Term]:
    """Other terms of a sum: factors and multiples of what is counted are counted with it."""
    names = frozenset(t.name for t in found)
    around = frozenset().union(*(t.inside for t in found))
    known = lambda t: bool(t.counted or t.name in around or t.inside & names)
    return frozenset(t.but(counted=known(t)) for t in rest)


def together(t: Term, u: Term) -> bool:
    """Whether a sum brings different elements of one leaf and of one source together."""
    if not (t.weight.leaves & u.weight.leaves) or t.source != u.source:
        return False
    carried = t.carried ^ u.carried
    weights = t.weight.place.differs(u.weight.place, carried)
    return weights and t.place.differs(u.place, carried)


def merged_terms(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """A weighted sum written by hand with `+`: rows added one by one, stencils, loops."""
    sides = datas(ins)
    pairs = _meetings(*sides) if len(sides) == 2 else []
    if not pairs:
        return None
    met = [t for pair in pairs for t in pair]
    leaves = union(t.weight.leaves for t in met)
    new = [(i, t) for i, d in enumerate(sides) for t in _opened(d, leaves)]
    axes = _sliced(eqn, pairs)
    sites, taps = _hand_sites(eqn, ctx, new, axes)
    out = _hand_current(eqn, ins, ctx, sites, axes)
    return Found(
        [out.but(terms=_left_over(sides, pairs, leaves, [t for _, t in new]))],
        sites=tuple(sites),
        taps=tuple(taps),
        picked=frozenset(t.lookup for t in met if t.lookup),
        arrived=union(d.births for d in sides),
    )


def _left_over(
    sides: Sequence[Data], pairs: Sequence[tuple[Term, Term]], leaves: Leaves, new: Sequence[Term]
) -> frozenset[Term]:
    """Terms of the sum: those that were counted, and those of other leaves."""
    counted = {t.but(counted=True, weight=_widened(t.weight, leaves)) for t, _ in pairs}
    others = [t for d in sides for t in d.terms if not t.weight.leaves & leaves]
    return accounted(others, new) | counted


def _meetings(a: Data, b: Data) -> list[tuple[Term, Term]]:
    """Terms of two operands that make synapses together, in an order of their own."""
    pairs = [(t, u) for t in a.terms for u in b.terms if _meet(t, u)]
    return sorted(pairs, key=lambda p: (p[1].name, p[0].name))


def _hand_current(
    eqn: Any, ins: Sequence[Value], ctx: Context, sites: Sequence[Site], axes: Axes
) -> Analog:
    """What leaves a sum written by hand: it feeds the region of its operands."""
    values = common(eqn, ins, ctx)
    values["feeds"] |= frozenset(s.path for s in sites)
    values["size"] = max(values["size"], *(s.neurons for s in sites))
    values |= {"cause": current_cause(sites[0]), "axes": _repeated(axes)}
    return Analog(**values)


def _hand_sites(
    eqn: Any, ctx: Context, new: Sequence[tuple[int, Term]], axes: Axes
) -> tuple[list[Site], list[Tap]]:
    """A site for each weight and kind among the terms that are added here."""
    shape, sites, taps = shape_of(eqn.outvars[0]), [], []
    for k, terms in enumerate(grouped(t for _, t in new)):
        here, own = part(ctx, k), [(i, t) for i, t in new if t.key == terms[0].key]
        site = hand_site(eqn, here, terms[0], terms[0].weight.leaves, shape, own, axes)
        sites.append(site)
        taps += _hand_taps(here, site, own, _repeated(axes))
    return sites, taps


def _meet(t: Term, u: Term) -> bool:
    """Whether a sum makes synapses of two terms; what is counted already needs a new one."""
    return together(t, u) and not (t.counted and u.counted)


def _opened(d: Data, leaves: Leaves) -> list[Term]:
    """Terms of some leaves that stand in no record yet."""
    return outermost(t for t in d.terms if t.weight.leaves & leaves and not t.counted)


def _widened(weight: Weight, leaves: Leaves) -> Weight:
    return dataclasses.replace(weight, leaves=weight.leaves | leaves)


def _sliced(eqn: Any, pairs: Sequence[tuple[Term, Term]]) -> Axes:
    """Axes of the result that enumerate neurons: the weight varies there, or the places differ."""
    t, u = pairs[0]
    moved = {a for pair in (t, u) for a in _moved(pair.place, len(u.axes))}
    same = _moved(t.place, len(u.axes)) == _moved(u.place, len(u.axes))
    return u.axes if same else u.axes.marked(WEIGHT, moved)


def _moved(place: Place, rank: int) -> dict[int, Any]:
    """Axes along which elements stand elsewhere, and how."""
    found: dict[int, Any] = {}
    for s in place.slices:
        if isinstance(s, Window) and len(s.starts) == rank:
            found.update({a: x for a, x in enumerate(s.starts) if x})
        elif isinstance(s, Rearranged) and s.rank == rank:
            found.update(dict.fromkeys(s.axes, s))
    return found


@dataclasses.dataclass(frozen=True)
class Window:
    """A static slice."""

    starts: tuple[int, ...]
    limits: tuple[int, ...]
    strides: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Rearranged:
    """Elements in another order along some axes: rolls, shifts, reversals."""

    axes: tuple[int, ...]
    rank: int
    key: Any


def _repeated(axes: Axes) -> Axes:
    """Neurons where the weight varies, batch and time elsewhere."""
    return axes.relabelled(lambda s: VARIES if s & WEIGHT else 1 | (VARIES if s & SOURCE else 0))


def hand_site(
    eqn: Any,
    ctx: Context,
    term: Term,
    leaves: Leaves,
    shape: tuple[int, ...],
    new: Sequence[tuple[int, Term]],
    axes: Axes,
) -> Site:
    """The site of a weighted sum written by hand; `new` are the terms counted here."""
    size = float(math.prod(shape))
    dense = size * sum(t.positions for _, t in new)
    neurons = float(_repeated(axes).size(1))
    share = neurons / size if size else 0.0
    slices = frozenset(t.weight.place.slices for _, t in new)
    place = Place((slices,), term.weight.place.loops)
    return site_of(
        eqn,
        ctx,
        Weight(leaves, term.weight.axes, place),
        spiking=term.spiking,
        cause=None if term.spiking else because(eqn, "a leaf times analog data"),
        dense=dense,
        synapses=positions(ctx, dense * share, [t for _, t in new]),
        neurons=neurons,
        inputs=0.0,
    )


def positions(ctx: Context, here: float, terms: Sequence[Term]) -> float:
    """Distinct synapse positions of a sum, where loops or indices walk over the weights."""
    walked = frozenset().union(*(t.weight.place.loops for t in terms))
    steps = ctx.steps(walked)
    if steps is not None and not any(t.lookup for t in terms):
        return here * steps
    return max(here, ctx.elements(frozenset().union(*(t.weight.leaves for t in terms))))


def current_cause(site: Site) -> Cause:
    """Why what leaves a site is analog."""
    return Cause(f"synaptic currents of `{site.primitive}` are analog", site.source)


def _hand_taps(
    ctx: Context, site: Site, new: Sequence[tuple[int, Term]], axes: Axes
) -> tuple[Tap, ...]:
    """Counts of the terms that are added here."""
    each, within = max((t.positions for _, t in new), default=1.0), ctx.within_steps()
    keys = list(dict.fromkeys((i, t.key) for i, t in new))
    repeated = axes.wholly(IDLE)

    def summed(make: Any) -> Any:
        def count(ops: Operands) -> Any:
            shape = ops.outs[0].shape
            parts = [jnp.broadcast_to(make(ops, i, key), shape) for i, key in keys]
            return ctx.resolution.summed(
                sum(parts, jnp.zeros(shape, jnp.float32)), repeated, within, each
            )

        return count

    kind = "ac" if site.spiking else "mac"
    dense = site.dense if ctx.resolution.total else summed(_ones(new))
    found = [Tap(site.path, f"dense_{kind}", dense)]
    found.append(Tap(site.path, kind, summed(lambda ops, i, key: ops.term(i, key))))
    if site.spiking:
        found.append(
            Tap(site.path, "ac_graded", summed(lambda ops, i, key: mask(ops.term(i, key))))
        )
    return tuple(found)


def _ones(new: Sequence[tuple[int, Term]]) -> Any:
    positions = {(i, t.key): t.positions for i, t in new}
    return lambda ops, i, key: jnp.full((), positions[i, key], jnp.float32)
