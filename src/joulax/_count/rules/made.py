"""The weights that values are made of, leaf by leaf: masked, noisy, learned."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..axes import COPIED, MET, SOURCE, SPREAD, VARIES, WEIGHT, Axes, combined, either
from ..findings import Context
from ..kinds import (
    SPIKE,
    Analog,
    Data,
    Events,
    Leaves,
    Parameter,
    Term,
    Value,
    Weight,
    layer_of,
    shared,
)
from ..places import NONE, Place, union
from .changes import is_code, is_raw, only_masks


def provenance(
    ins: Sequence[Value], axes: Axes, ctx: Context, *, masked: bool = False
) -> Weight | None:
    """Leaves of an elementwise result, and along which axes they are broadcast over the data.

    What a layer has delivered makes no weight of a leaf that it meets one to one: a bias, a gain.
    Events that it is `masked` by leave of it what they leave.
    """
    parts = [w for w in _weights(ins) if w.axes.shape == axes.shape]
    if not parts:
        return None
    found = either(*(p.axes for p in parts)).relabelled(_varying)
    leaves = union(p.leaves for p in parts)
    data = [i for i in ins if isinstance(i, Data)]
    if any(_is_delivered(d, found, leaves, ctx) for d in data):
        return None
    for d in data:
        found = _spread(_met(found, d, ctx, masked), d.axes)
    return Weight(leaves, found, parts[0].place, layer_of(parts))


def _varying(labels: int) -> int:
    """Of several leaves together: spread is what none of them varies along."""
    return labels & ~SPREAD if labels & WEIGHT else labels


def leaf_of(value: Value) -> Weight | None:
    """The leaf that a parameter is made of, or that data have changed: by learning, noise, a gain.

    Data that a leaf scales, element by element or row by row, are none.
    """
    return made_of(value) if all(map(is_gain, value.opened)) else None


def made_of(value: Value) -> Weight | None:
    """The leaf that a value is made of, scaled or changed by data perhaps.

    Rows that data pick are none, nor data that a leaf was added to: positions, biases, the first
    value of a state.
    """
    if isinstance(value, Parameter):
        return None if value.buffer else value.weight
    weight = value.weight if isinstance(value, Data) else None
    if weight is None or not any(weight.axes.flags(WEIGHT)) or any(weight.axes.flags(MET)):
        return None
    return None if any(t.lookup for t in value.opened) else weight


def is_gain(term: Term) -> bool:
    """Whether what has scaled a leaf is one number for all of it, or meets it one to one."""
    scaled = term.axes.flags(SOURCE)
    if term.of_leaf:
        return True
    if not any(scaled):
        return term.place.is_whole
    return scaled == term.axes.flags(WEIGHT) and term.place.ends(term.weight.place)


def unmasked(ins: Sequence[Value], ctx: Context) -> list[Value]:
    """Leaves that data have changed, without the comparisons that have masked them: no spikes."""
    return [_unmasked(i, ctx) for i in ins]


def _unmasked(value: Value, ctx: Context) -> Value:
    if not isinstance(value, Data) or leaf_of(value) is None or value.feeds:
        return value
    if any(b.feeds for b in ctx.births(value.births)):
        return value
    found = Analog(**value.fields())
    return found.but(births=NONE)


def of_weights(ins: Sequence[Value], weight: Weight | None, ctx: Context) -> Weight | None:
    """The leaf of a comparison: of nothing but leaves, changed perhaps, and single numbers.

    What rows or columns of data are compared with is a code of them.
    """
    data = [i for i in ins if isinstance(i, Data)]
    return None if any(is_code(d, ctx) for d in data) else weight


def of_parts(
    parts: Sequence[Value], axes: Axes, ctx: Context, *, added: bool = False
) -> Weight | None:
    """The leaf that parts of it, some of them changed, are together: a weight that is learned.

    What is not `added` to a part stands in its place: a memory that began as a leaf.
    """
    weights, changed = _weights(parts), [p for p in parts if isinstance(p, Data)]
    leaves = shared(w.leaves for w in weights)
    if not (leaves and changed) or axes.size(0) != ctx.elements(leaves):
        return None
    if any(_is_driven(p, leaves, ctx) for p in changed):
        return None
    own = axes.relabelled(lambda s: WEIGHT if s & VARIES else 0)
    found = Weight(leaves, own, Place(), shared(w.layer for w in weights))
    return _as_parts(found if added else among(found, changed), weights)


def _as_parts(weight: Weight, parts: Sequence[Weight]) -> Weight:
    """A weight, marked as any of its parts is."""
    met = any(any(w.axes.flags(MET)) for w in parts)
    return _marked(weight) if met else weight


def among(weight: Weight, data: Sequence[Data]) -> Weight:
    """A leaf, or data where they stand in its place, marked if some do that are not made of it."""
    return _marked(weight) if any(d.weight is None for d in data) else weight


def _marked(weight: Weight) -> Weight:
    return replace(weight, axes=weight.axes.marked(MET, range(len(weight.axes))))


def _is_driven(part: Data, leaves: Leaves, ctx: Context) -> bool:
    """Whether layers of other leaves deliver a part."""
    sites = [s for s in map(ctx.site, part.feeds) if s is not None]
    return any(s.leaves and not s.leaves & leaves for s in sites)


def _is_delivered(data: Data, weight: Axes, leaves: Leaves, ctx: Context) -> bool:
    """Whether data are what a layer of other leaves delivers, one to one with these."""
    if data.learned or data.axes.shape != weight.shape or not _is_of_others(data, leaves, ctx):
        return False
    alone = combined(lambda p, q: SPREAD if p & WEIGHT and not _is_own(q) else 0, weight, data.axes)
    return not any(alone.flags(SPREAD))


def _is_of_others(data: Data, leaves: Leaves, ctx: Context) -> bool:
    """Whether layers of other leaves alone deliver data, forwards."""
    feeds = NONE if data.weight is not None or data.is_gradient else data.feeds
    layers = [s.leaves for s in map(ctx.site, feeds) if s is not None and s.leaves]
    return bool(layers) and not any(own & leaves for own in layers)


def _is_own(labels: int) -> bool:
    """Whether elements along an axis differ, and were not only copied there."""
    return bool(labels & VARIES) and not labels & COPIED


def _met(weight: Axes, d: Data, ctx: Context, masked: bool) -> Axes:
    """Those of a weight, marked where data have met it that are no change of it."""
    if d.weight is not None or (masked and only_masks(d, ctx)):
        return weight
    return weight.marked(MET, range(len(weight))) if is_raw(d, weight, ctx) else weight


def _weights(ins: Sequence[Value]) -> list[Weight]:
    """The weights in operands, those in data first; masks are none beside others."""
    ordered = sorted(ins, key=lambda i: isinstance(i, Parameter))
    named = [_made_of_leaf(i) for i in ordered if not is_mask(i)]
    return _known(named) or _known(_made_of_leaf(i) for i in ordered)


def is_mask(value: Value) -> bool:
    """Whether a value is 0 or 1 everywhere."""
    if isinstance(value, Events):
        return value.values is not None and value.values <= SPIKE
    return isinstance(value, Parameter) and value.is_mask


def _made_of_leaf(value: Value) -> Weight | None:
    return value.weight if isinstance(value, Data) else leaf_of(value)


def _known(weights: Iterable[Weight | None]) -> list[Weight]:
    return [w for w in weights if w is not None]


def _spread(weight: Axes, data: Axes) -> Axes:
    """Those of a weight, marked where data of the same shape vary and it does not."""
    if data.shape != weight.shape:
        return weight
    return combined(lambda p, q: p | (SPREAD if q & VARIES and not p & WEIGHT else 0), weight, data)
