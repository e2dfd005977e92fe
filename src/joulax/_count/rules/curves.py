"""Exponentials, logarithms, roots and quotients: they bend a region, or normalise it."""

from collections.abc import Sequence
from typing import Any

from ..findings import Context, Found, is_reduced
from ..kinds import Data, Parameter, Value
from ..labels import Met
from ..places import NONE, Paths
from .births import datas, fires
from .changes import DEEP
from .contents import feeds_in

CURVES = "cbrt exp exp2 expm1 log log1p pow rsqrt sqrt".split()


def bent(eqn: Any, ins: Sequence[Value], found: Found, ctx: Context) -> Found:
    """The same finding, where its equation bends a region into neurons.

    Sums of neurons are none, nor is what was normalised by them (softmax, norms, entropies), nor
    are products of data with data (kernels, sizes of inputs).
    """
    data = [d for d in datas(ins) if d.feeds]
    if not any(_is_layer(d, ctx) for d in data):
        return found
    if not _is_curve(eqn, ins) or any(is_reduced(d.part) or _is_normal(d, ctx) for d in data):
        return found
    return fires(eqn, found, ctx)


def _is_layer(data: Data, ctx: Context) -> bool:
    """Whether weights or spikes drive a region, and not only data that meet data: a kernel."""
    sites = map(ctx.site, data.feeds)
    return any(s is None or len(s.operands) < 2 for s in sites)


def _is_curve(eqn: Any, ins: Sequence[Value]) -> bool:
    """Whether an equation is no straight line, square or absolute value."""
    name = eqn.primitive.name
    if name == "integer_pow":
        return not 0 <= eqn.params["y"] <= 2
    if name != "div":
        return name in CURVES
    above, below = ins
    if not (isinstance(below, Data) and below.feeds):
        return False
    return isinstance(above, Parameter) or bool(feeds_in([above]) & below.feeds)


def _is_normal(data: Data, ctx: Context, deep: int = DEEP) -> bool:
    """Whether a region has met a sum or extremum of itself since: its maximum, its norm."""
    made = ctx.maker(data.number) if deep else None
    if made is None:
        return False
    fed = [d for d in datas(made[1]) if d.feeds]
    if any(is_reduced(d.part) for d in fed):
        return True
    return len(fed) == 1 and _is_normal(fed[0], ctx, deep - 1)


def normalised(eqn: Any, ins: Sequence[Value], ctx: Context) -> Paths:
    """Feeds of a region whose exponentials are divided by their sum: no neurons, if none before."""
    above, below = ins
    if eqn.primitive.name != "div" or not (isinstance(below, Data) and is_reduced(below.part)):
        return NONE
    made = ctx.maker(above.number)
    inner = datas(made[1]) if made and made[0].primitive.name in CURVES else []
    if not inner or any(how is Met.BENT for how, _ in inner[0].targets):
        return NONE
    return inner[0].feeds & below.feeds
