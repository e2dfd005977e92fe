"""How data that meet a leaf were made: as a change of it, or as inputs, states and activations."""

from collections.abc import Sequence
from typing import Any

from ..axes import VARIES, WEIGHT, Axes
from ..findings import Context, Site
from ..kinds import Data, Events, Leaves
from ..labels import Met

DEEP = 8  # equations that are followed back


def _maker(d: Data, ctx: Context, deep: int) -> tuple[Any, list[Data]] | None:
    """The equation that has made data, and the data that it was made of."""
    made = ctx.maker(d.number) if deep else None
    return None if made is None else (made[0], [i for i in made[1] if isinstance(i, Data)])


def is_raw(d: Data, weight: Axes, ctx: Context, deep: int = DEEP) -> bool:
    """Whether data meet a leaf one to one and are no change of it: inputs, states, activations.

    Changes are the same for rows or columns, are drawn, come from layers, or are products: of
    what is before a synapse and what is behind it; gradients are.
    """
    if not _fills(d, weight) or d.random or d.is_gradient:
        return False
    made = _maker(d, ctx, deep)
    if made is None:
        return not d.learned
    name, inner = made[0].primitive.name, made[1]
    if name in ("gather", "dot_general"):
        return False
    raw = [i for i in inner if is_raw(i, weight, ctx, deep - 1)]
    if name in ("mul", "div"):  # what does not fill it is a gain: of samples, rows, columns
        return bool(raw) and len(raw) == sum(_fills(i, weight) for i in inner)
    return bool(raw) or _is_moved(d, inner, weight)


def _is_moved(d: Data, inner: Sequence[Data], weight: Axes) -> bool:
    """Whether data were made of others of another shape, and nothing was learned."""
    return not (d.learned or all(_fits(i, weight) for i in inner))


def is_learned(eqn: Any, data: Sequence[Data], axes: Axes) -> bool:
    """Whether a value is a product of what is before synapses and of what is behind, or holds one.

    A state of a loop that does is a weight that is learned.
    """
    fitting = [d for d in data if d.axes.shape == axes.shape]
    if eqn.primitive.name == "mul" and len(fitting) == 2:
        pairs = list(zip(*(d.axes.flags(VARIES) for d in fitting), strict=True))
        if (True, False) in pairs and (False, True) in pairs:
            return True
    return any(d.learned for d in fitting)


def is_code(d: Data, ctx: Context, deep: int = DEEP) -> bool:
    """Whether data vary, and not as weights, draws or products of two do."""
    if d.random or not any(d.axes.flags(VARIES)):
        return False
    made = _maker(d, ctx, deep)
    if made is None:
        return d.weight is None
    name, inner = made[0].primitive.name, made[1]
    outer = name == "mul" and [i.weight for i in inner] == [None, None]
    if outer or name in ("gather", "dot_general"):
        return False
    return any(is_code(i, ctx, deep - 1) for i in inner)


def only_masks(d: Data, ctx: Context) -> bool:
    """Whether data are comparisons or draws that no neuron has made."""
    made = d.random or d.weight is not None or bool(d.births)
    if not isinstance(d, Events) or not (d.weak or made):
        return False
    return not any(b.feeds for b in ctx.births(d.births))


def _fits(d: Data, weight: Axes) -> bool:
    return d.axes.shape == weight.shape


def _fills(d: Data, weight: Axes) -> bool:
    """Whether data differ along all axes along which a leaf does."""
    if not _fits(d, weight):
        return False
    pairs = zip(weight.flags(WEIGHT), d.axes.flags(VARIES), strict=True)
    return all(varies or not own for own, varies in pairs)


def untaught(info: Data, ctx: Context) -> Data:
    """A weight that changes, of what it drives itself: layers that teach it are not behind it.

    Errors that come back over weights of their own are such layers.
    """
    if info.weight is None or not info.is_leaf:
        return info
    leaves, slope = info.weight.leaves, info.is_gradient
    sites = ((feed, ctx.site(feed)) for feed in info.feeds)
    own = frozenset(f for f, s in sites if (s is None and not slope) or (s and _drives(s, leaves)))
    return info.but(feeds=own, targets=frozenset(t for t in info.targets if t[0] is not Met.SLOPE))


def _drives(site: Site, leaves: Leaves) -> bool:
    """Whether a site is of some leaves, or of data that meet data."""
    return not site.is_gradient and (not site.leaves or bool(site.leaves & leaves))
