"""The weights that values are made of, leaf by leaf: masked, noisy, learned."""

from collections.abc import Sequence
from dataclasses import replace

from ..axes import COPIED, MET, SPREAD, VARIES, WEIGHT, Axes, combined, either
from ..findings import Context
from ..kinds import Data, Leaves, Parameter, Value, Weight, layer_of, shared
from ..places import Place, union


def provenance(ins: Sequence[Value], axes: Axes, ctx: Context) -> Weight | None:
    """Leaves of an elementwise result, and along which axes they are broadcast over the data.

    What a layer has delivered makes no weight of a leaf that it meets one to one: a bias, a gain.
    """
    parts = [w for w in _weights(ins) if w.axes.shape == axes.shape]
    if not parts:
        return None
    found = either(*(p.axes for p in parts))
    leaves = union(p.leaves for p in parts)
    for d in (i for i in ins if isinstance(i, Data)):
        if d.weight is None and _is_delivered(d, found, leaves, ctx):
            return None
        found = _spread(_met(found, d, ctx), d.axes)
    return Weight(leaves, found, parts[0].place, layer_of(parts))


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
    layers = [s.leaves for s in map(ctx.site, data.feeds) if s is not None and s.leaves]
    if not layers or any(own & leaves for own in layers) or data.axes.shape != weight.shape:
        return False
    alone = combined(lambda p, q: SPREAD if p & WEIGHT and not _is_own(q) else 0, weight, data.axes)
    return not any(alone.flags(SPREAD))


def _is_own(labels: int) -> bool:
    """Whether elements along an axis differ, and were not only copied there."""
    return bool(labels & VARIES) and not labels & COPIED


def _met(weight: Axes, d: Data, ctx: Context) -> Axes:
    """Those of a weight, marked where data have met it that are no change of it."""
    raw = d.weight is None and _is_raw(d, weight, ctx)
    return weight.marked(MET, range(len(weight))) if raw else weight


def _is_raw(d: Data, weight: Axes, ctx: Context, deep: int = 8) -> bool:
    """Whether data meet a leaf one to one and are no change of it: inputs, states, activations.

    Changes are the same for rows or columns, are drawn, come from layers, or are products: of
    what is before a synapse and what is behind it.
    """
    if not _fills(d, weight) or d.random:
        return False
    made = ctx.maker(d.number) if deep else None
    if made is None:
        return True
    return _is_made_raw(
        made[0].primitive.name, [i for i in made[1] if isinstance(i, Data)], weight, ctx, deep - 1
    )


def _is_made_raw(name: str, inner: Sequence[Data], weight: Axes, ctx: Context, deep: int) -> bool:
    """The same of data that an equation has made of others."""
    if name in ("gather", "dot_general"):
        return False
    if name in ("mul", "div"):
        inner = [i for i in inner if _fills(i, weight)]  # others are gains: samples, rows, columns
        return bool(inner) and all(_is_raw(i, weight, ctx, deep) for i in inner)
    each = [_is_raw(i, weight, ctx, deep) for i in inner]
    return any(each) or not all(_fits(i, weight) for i in inner)


def _fits(d: Data, weight: Axes) -> bool:
    return d.axes.shape == weight.shape


def _fills(d: Data, weight: Axes) -> bool:
    """Whether data differ along all axes along which a leaf does."""
    if not _fits(d, weight):
        return False
    pairs = zip(weight.flags(WEIGHT), d.axes.flags(VARIES), strict=True)
    return all(varies or not own for own, varies in pairs)


def _weights(ins: Sequence[Value]) -> list[Weight]:
    """The weights in operands, those in data first; masks are none."""
    parameters = [i for i in ins if isinstance(i, Parameter)]
    made = [i.weight for i in ins if isinstance(i, Data)]
    made += [p.weight for p in parameters if not p.is_mask]
    return [w for w in made if w is not None]


def _spread(weight: Axes, data: Axes) -> Axes:
    """Those of a weight, marked where data of the same shape vary and it does not."""
    if data.shape != weight.shape:
        return weight
    return combined(lambda p, q: p | (SPREAD if q & VARIES and not p & WEIGHT else 0), weight, data)
