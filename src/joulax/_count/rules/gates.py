"""Spikes that are nobody's: a state's own reset, what only gates and scales."""

from collections.abc import Sequence
from typing import Any

from ..axes import COPIED, IDLE, REPEATED, Axes
from ..findings import Context, is_reduced
from ..kinds import Analog, Data, Events, Value, is_simple
from ..places import NONE, Paths, union
from .contents import births_in, feeds_in, spikes_in


def resets(data: Sequence[Data], ctx: Context) -> Paths:
    """Comparisons of arguments that meet the arguments themselves: a state that came as one."""
    given = union(d.given for d in data if isinstance(d, Analog))
    known = ctx.births(births_in(data)) if given else []
    return frozenset(b.path for b in known if not b.feeds and b.given & given)


def slopes(eqn: Any, ins: Sequence[Value], ctx: Context) -> list[Value]:
    """Operands of a gradient, whose errors comparisons gate and fire nothing there.

    Spikes of a surrogate, or that others have been made of, have fired: an error may hold them.
    """
    name = eqn.primitive.name
    if not ctx.backward or name not in ("mul", "select_n"):
        return list(ins)
    chosen = [name == "select_n" and k == 0 for k in range(len(ins))]
    pairs = zip(ins, chosen, strict=True)
    return [i.but(births=NONE) if _is_slope(i, chooses, ctx) else i for i, chooses in pairs]


def _is_slope(value: Value, chooses: bool, ctx: Context) -> bool:
    """Whether a value is comparisons or signs, as they were made where it does not choose."""
    if not isinstance(value, Events) or not is_simple(value.values):
        return False
    return chooses or not any(b.left or b.parents for b in ctx.births(value.births))


def is_shared(spikes: Events, ctx: Context) -> bool:
    """Whether all neurons along an axis share a gate that is made of nothing but sums of spikes."""
    known = ctx.births(spikes.births)
    alone = bool(known) and not any(b.held or b.weak or not is_reduced(b.part) for b in known)
    sites = (ctx.site(f) for b in known for f in b.feeds)
    return alone and any(spikes.axes.flags(COPIED)) and all(s is None for s in sites)


def gates(ins: Sequence[Value], ctx: Context) -> Paths:
    """What feeds the gates among some operands: whoever compared them is no neuron."""
    shared = [s for s in spikes_in(ins) if is_shared(s, ctx)]
    return union(b.feeds for s in shared for b in ctx.births(s.births))


def taken_back(data: Sequence[Data], axes: Axes, ctx: Context) -> Paths:
    """Spikes that come back to their own neurons.

    Sums of neurons take none: a loss adds them to sums of spikes. What was compared as a sum fired
    nowhere else.
    """
    births, regions = births_in(data), [d for d in data if d.feeds]
    own = ctx.own(births, feeds_in(regions))
    sums = frozenset(b.path for b in ctx.births(own) if is_reduced(b.part))
    if axes.size(IDLE) <= 1 and all(is_reduced(d.part) for d in data if d.births):
        return sums
    return sums | ctx.own(births, feeds_in([d for d in regions if not is_reduced(d.part)]))


def stay(eqn: Any, births: Paths, axes: Axes, ctx: Context) -> Paths:
    """Of spikes that were taken back, those that a sum of several steps at once still holds.

    A loss adds them to the voltages of their own neurons: it resets none.
    """
    if eqn.primitive.name not in ("add", "sub"):
        return NONE
    several = sum(axes.wholly(REPEATED))
    made = [(b.path, [b, *ctx.births(b.parents)]) for b in ctx.births(births) if b.feeds]
    return frozenset(b for b, of in made if min(sum(m.repeated) for m in of) < several)
