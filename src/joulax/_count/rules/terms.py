"""Terms: a leaf times data, followed until products of different elements are brought together."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..axes import SOURCE, SPREAD, VARIES, WEIGHT, Axes, delivered, either
from ..events import existing
from ..findings import Companions, Context, Found, Operands, Site, Tap
from ..kinds import Analog, Data, Events, Leaves, Parameter, Term, Value, Weight, term_axes
from ..places import Paths, Place, union
from .births import common, datas
from .contents import births_in
from .hand import Spread, current_cause, hand_site, hand_taps, real_layer
from .made import is_gain, is_mask, leaf_of, made_of
from .registry import part, shape_of


def broadcast(ops: Operands, i: int, counts: Array | None) -> Array:
    """Counts of an operand that is broadcast in a sum, as operands are."""
    return jnp.broadcast_to(1.0 if counts is None else counts, ops.outs[0].shape)


# -- products -------------------------------------------------------------------------


def scaled_terms(eqn: Any, ins: Sequence[Value], divide: bool) -> frozenset[Term]:
    """Terms of a product: those of its operands, scaled, and perhaps a new one."""
    shape = shape_of(eqn.outvars[0])
    pairs = [(d, ins[1 - i]) for i, d in enumerate(ins) if not (divide and i == 1)]
    data = [(d, other) for d, other in pairs if isinstance(d, Data)]
    new = union(frozenset(_new(d, other, shape)) for d, other in data)
    around = frozenset(t.name for t in new)
    old = (scaled(t, other, shape) for d, other in data for t in _left(d, other))
    return new | {t if t.counted else t.but(inside=t.inside | around) for t in old}


def changing(ins: Sequence[Value], terms: Iterable[Term]) -> Paths:
    """Spikes that have changed a leaf which others scale: they reach no synapse of it."""
    names, data = {t.name for t in terms}, datas(ins)
    pairs = ((a, b) for a in data for b in data if (a.number, b.number) in names)
    return union(a.births for a, _ in pairs)


def scales(eqn: Any, data: Data, weight: Data) -> bool:
    """Whether data scale a leaf that others have changed."""
    return bool(_new(data, weight, shape_of(eqn.outvars[0])))


def _fit(axes: Axes, shape: tuple[int, ...]) -> Axes:
    return axes if axes.shape == shape else Axes.of(shape)


def scaled(term: Term, other: Value, shape: tuple[int, ...]) -> Term:
    """A product that another factor scales."""
    axes = _fit(term.axes, shape)
    if other.axes.shape != shape:
        return term.but(axes=axes)
    leaf = _joining(term, other)
    if leaf is None:
        term = term.but(axes=axes)
        return _scaled_by_data(term, other) if isinstance(other, Data) else term
    both, leaves = either(axes, leaf.axes.only(WEIGHT)), term.weight.leaves | leaf.leaves
    return term.but(axes=both, weight=dataclasses.replace(term.weight, leaves=leaves))


def _joining(term: Term, other: Value) -> Weight | None:
    """Another leaf that scales a product of one, changed by data perhaps: both are its weight."""
    leaf = None if is_mask(other) else leaf_of(other)
    if leaf is None or isinstance(other, Parameter):
        return leaf
    alone = term.lookup is not None or term.is_row or bool(leaf.leaves & term.weight.leaves)
    return None if alone else leaf


def _left(data: Data, other: Value) -> Iterable[Term]:
    """Products in data that others scale; none of a leaf that is a weight of theirs now."""
    theirs = other.opened if isinstance(other, Data) else []
    if not any(_joining(t, data) for t in theirs):
        return data.terms
    return [t for t in data.terms if t.counted]


def _scaled_by_data(term: Term, other: Data) -> Term:
    if term.is_row:
        return term  # whatever becomes of the sum, an event has brought the row
    axes = term_axes(term.axes, other.axes)
    graded = isinstance(other, Analog) and _row_by_row(term, other)
    term = walked(term, other)
    if term.lookup is None:
        return term.but(axes=axes, spiking=term.spiking and not graded)
    rows = [t.weight.leaves for t in other.terms if t.lookup is not None]
    if any(own & term.weight.leaves for own in rows):
        return term.but(counted=True)  # a row times itself: data
    spiking = term.spiking and (bool(rows) or not isinstance(other, Analog))
    return term.but(axes=axes, spiking=spiking)


def _row_by_row(term: Term, other: Data) -> bool:
    """Whether data scale what another factor has scaled, one to one: their product drives both."""
    weights, sources = term.axes.flags(WEIGHT), term.axes.flags(SOURCE)
    along = [a for a, varies in enumerate(other.axes.flags(VARIES)) if varies and weights[a]]
    return bool(along) and all(sources[a] for a in along)


def walked(term: Term, other: Data) -> Term:
    """A slice of a leaf that a whole value has scaled, and now a slice of another: that counts."""
    if term.is_bare or term.counted or not term.place.is_whole or other.place.is_whole:
        return term
    own = term.weight.axes
    spread = term.but(axes=term_axes(own, _fit(other.axes, own.shape))).is_spread
    return term.but(source=other.root, place=other.place) if spread else term


def _new(d: Data, p: Value, shape: tuple[int, ...]) -> set[Term]:
    """The product of data and a leaf, or of data and a leaf that other data have changed."""
    weight = _followed(p, d)
    if weight is None:
        return set()
    own = _fit(weight.axes, shape)
    axes = term_axes(own, _fit(d.axes, shape))
    if isinstance(p, Data) and not _scales_changed(own, axes, p, d):
        return set()
    gate, of_leaf = _is_one_to_one(axes, d), isinstance(p, Parameter) and leaf_of(d) is not None
    if is_mask(p) and (of_leaf or (gate and not weight.place.slices)):
        return set()
    found = Term(
        weight,
        d.root,
        d.place,
        axes,
        isinstance(d, Events),
        decay=gate and bool(d.held),
        of_leaf=of_leaf,
        name=(p.number, d.number),
    )
    return {_as_its_own(found, d)}


def _as_its_own(term: Term, d: Data) -> Term:
    """A product with data that are slices of several, or learned: no elements of anything else."""
    alone = (d.place.is_combined or d.learned) and not term.is_spread
    return term.but(source=d.number, place=Place()) if alone else term


def _followed(p: Value, d: Data) -> Weight | None:
    """The leaf that a factor is made of, where its elements differ or are others step by step.

    A product of two leaves that others have changed is one.
    """
    weight = made_of(p)
    if isinstance(p, Data) and leaf_of(p) is not None and leaf_of(d) is not None:
        return None
    if weight is None or any(weight.axes.flags(WEIGHT)):
        return weight
    return weight if weight.place.slices or weight.place.loops else None


def _is_one_to_one(axes: Axes, d: Data) -> bool:
    return axes.flags(WEIGHT) == axes.flags(SOURCE) and not d.place.slices


def _scales_changed(weight: Axes, axes: Axes, p: Data, d: Data) -> bool:
    """Whether data scale a leaf that others have changed: each element other elements of it.

    What meets one to one is a gate, and what has samples of its own meets data of those samples.
    """
    along = [a for a, changed in enumerate(weight.flags(SPREAD)) if not changed]
    sources, weights = axes.flags(SOURCE), axes.flags(WEIGHT)
    samples = all(sources[a] for a in range(len(axes)) if a not in along)
    if not samples or _is_choice(p, d) or not all(_is_change(t, axes, d) for t in p.opened):
        return False
    return _are_slices(p, d) or any(weights[a] and not sources[a] for a in along)


def _are_slices(p: Data, d: Data) -> bool:
    """Whether data are a slice, or meet one of a leaf as a whole: others perhaps meet others."""
    place = Place() if p.weight is None else p.weight.place
    whole = not d.place.slices and not d.place.loops & place.loops
    return bool(d.place.slices) or (bool(place.slices) and whole)


def _is_choice(p: Data, d: Data) -> bool:
    """Whether it is one leaf or another, of which each counts the events where it is chosen."""
    return isinstance(d, Events) and len({t.weight.leaves for t in p.opened if t.spiking}) > 1


def _is_change(term: Term, axes: Axes, d: Data) -> bool:
    """Whether data that have scaled a leaf are a change of it to others that scale it too.

    They are a gain, or are the same where those others differ.
    """
    known = _fit(term.axes, axes.shape)
    pairs = zip(axes.flags(SOURCE), known.flags(SOURCE), strict=True)
    apart = any(new and not old for new, old in pairs)
    return apart or is_gain(term) or (term.place.is_whole and bool(d.place.slices))


def thinned(ops: Operands, out: Value) -> Companions:
    """Products that are left where the other factor is not zero."""
    shape = ops.outs[0].shape
    kinds = {t.key: t for t in sorted(out.pending, key=lambda t: -len(t.inside))}
    return {k: jnp.broadcast_to(_thinned(ops, t), shape) for k, t in kinds.items()}


def _thinned(ops: Operands, term: Term) -> Any:
    new = [i for i, d in enumerate(ops.infos) if (ops.infos[1 - i].number, d.number) == term.name]
    for i, info in enumerate(() if new else ops.infos):
        others = jnp.ones((), jnp.float32) if len(ops.infos) == 1 else existing(ops.values[1 - i])
        for t in info.pending:
            if t.weight.leaves <= term.weight.leaves and t.key[1:] == term.key[1:]:
                return ops.term(i, t.key) * others
    i = 0 if isinstance(ops.infos[0], Data) and ops.infos[0].number != term.name[0] else 1
    return ops.there(i) * existing(ops.values[1 - i])


# -- sums -----------------------------------------------------------------------------


def lookups(terms: Iterable[Term]) -> Paths:
    """Look-ups whose rows are in some terms."""
    return frozenset(t.lookup for t in terms if t.lookup)


def brought(terms: frozenset[Term], axes: Sequence[int]) -> list[Term]:
    """Terms whose weight and whose source both vary along axes that are summed."""
    left = [t for t in terms if not t.counted]
    varied = [t for t in left if t.axes.has_any(axes, WEIGHT) and t.axes.has_any(axes, SOURCE)]
    return outermost(varied)


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
    around = union(t.inside for t in found)
    known = ((t, t.counted or t.name in around or bool(t.inside & names)) for t in rest)
    return frozenset(t.but(counted=counted) for t, counted in known)


def together(t: Term, u: Term) -> bool:
    """Whether a sum brings different elements of one leaf and of one source together."""
    if not (t.weight.leaves & u.weight.leaves) or t.source != u.source:
        return False
    carried = t.carried ^ u.carried
    weights = t.weight.place.differs(u.weight.place, carried)
    return weights and t.place.differs(u.place, carried)


def merged_terms(
    eqn: Any,
    ins: Sequence[Value],
    ctx: Context,
    spread: Spread = broadcast,
    places: Sequence[int] = (0, 1),
) -> Found | None:
    """A weighted sum written by hand with `+`: rows added one by one, stencils, loops.

    `spread` says how counts of the operands at `places` stand in the result.
    """
    sides = datas(ins)
    pairs = _meetings(*sides) if len(sides) == 2 else []
    if not pairs:
        return None
    met = [t for pair in pairs for t in pair]
    leaves = union(t.weight.leaves for t in met)
    new = [(places[i], t) for i, t in _opened(sides, leaves)]
    axes = _sliced(eqn, pairs)
    carried = union(t.carried ^ u.carried for t, u in pairs)
    sites, taps = _hand_sites(eqn, ctx, new, axes, carried, spread)
    out = _hand_current(eqn, ins, ctx, sites, axes)
    others = union(s.walked for s in sites) - carried  # what they carry drives others each time
    out = out.but(held=frozenset(state for state in out.held if state[:-1] not in others))
    return Found(
        [out.but(terms=_left_over(sides, pairs, leaves, [t for _, t in new]))],
        sites=tuple(sites),
        taps=tuple(taps),
        picked=lookups(met),
        arrived=births_in(sides),
    )


def _left_over(
    sides: Sequence[Data], pairs: Sequence[tuple[Term, Term]], leaves: Leaves, new: Sequence[Term]
) -> frozenset[Term]:
    """Terms of the sum: those that were counted, and those of other leaves."""
    counted = {t.but(counted=True, weight=_widened(t.weight, leaves)) for t, _ in pairs}
    others = [t for d in sides for t in d.terms if t.is_bare or not t.weight.leaves & leaves]
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
    values |= {"cause": current_cause(sites[0]), "axes": delivered(axes), "weight": None}
    return Analog(**values)


def _hand_sites(
    eqn: Any,
    ctx: Context,
    new: Sequence[tuple[int, Term]],
    axes: Axes,
    added: Paths,
    spread: Spread,
) -> tuple[list[Site], list[Tap]]:
    """A site for each weight and kind among the terms that are added here.

    A loop over layers stays one, unless it is a loop in which the rows are `added`.
    """
    shape = shape_of(eqn.outvars[0])
    sites: list[Site] = []
    taps: list[Tap] = []
    for k, terms in enumerate(grouped(t for _, t in new)):
        here, own = part(ctx, k), [(i, t) for i, t in new if t.key == terms[0].key]
        leaves, layer = terms[0].weight.leaves, real_layer(terms, added)
        site = hand_site(eqn, here, terms[0], leaves, shape, own, axes, layer)
        sites.append(site)
        taps += hand_taps(here, site, own, delivered(axes), spread)
    return sites, taps


def _meet(t: Term, u: Term) -> bool:
    """Whether a sum makes synapses of two terms; what is counted already needs a new one."""
    return together(t, u) and not (t.counted and u.counted)


def _opened(sides: Sequence[Data], leaves: Leaves) -> list[tuple[int, Term]]:
    """Terms of some leaves that stand in no record yet, with the side where they are."""
    own = [[t for t in d.opened if t.weight.leaves & leaves] for d in sides]
    return [(i, t) for i, terms in enumerate(own) for t in outermost(terms)]


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
