"""Values that travel between the shards of a mesh: sums over shards, and movement."""

from collections.abc import Sequence
from typing import Any

from ..findings import EVENTS, Context, Found
from ..kinds import Data, Events, Value, varied
from .registry import because, rule, shape_of
from .summed import sum_over

ADDED = "psum psum_invariant psum2 reduce_scatter".split()
MOVED = "all_gather all_gather_invariant all_gather_reduced all_to_all ppermute pbroadcast".split()
EXTREMA = "pmax pmin".split()


@rule(*ADDED)
def _summed(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """A sum over shards: events add up, and weights × data that are added here are lost.

    Of samples of a `vmap` with a named axis it is a sum like others.
    """
    axes = eqn.params.get("axes", ())
    if len(ins) == 1 and axes and all(isinstance(a, int) for a in axes):
        return sum_over(eqn, ins[0], ctx, axes)
    open_terms = any(i.opened for i in ins)
    lost = "products of weights and data, added over shards" if open_terms else None
    outs = [_travelled(eqn, i, v).but(**_as_sum(i)) for i, v in zip(ins, eqn.outvars, strict=True)]
    return _found(eqn, outs).but(lost=lost)


def _as_sum(info: Value) -> dict[str, Any]:
    if not isinstance(info, Events):
        return {}
    return dict(values=None, beside=not info.is_number, poly=None)


@rule(*MOVED)
def _moved(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Values from other shards are values of the same kind."""
    outs = [_travelled(eqn, i, v) for i, v in zip(ins, eqn.outvars, strict=True)]
    return _found(eqn, outs)


@rule(*EXTREMA)
def _extreme(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """The largest or smallest over shards is still one of few values."""
    if any(isinstance(i, Events) and i.beside for i in ins):
        return None
    return Found([_travelled(eqn, i, v) for i, v in zip(ins, eqn.outvars, strict=True)])


def _travelled(eqn: Any, info: Value, variable: Any) -> Value:
    shape = shape_of(variable)
    axes = info.axes if info.axes.shape == shape else varied(shape)
    if not isinstance(info, Data):
        return info.anew(axes=axes)
    cause = info.cause or because(eqn, f"`{eqn.primitive.name}` of data")
    return info.apart(axes=axes, cause=cause)


def _found(eqn: Any, outs: Sequence[Value]) -> Found:
    if not any(isinstance(o, Events) and o.beside for o in outs):
        return Found(outs)

    def events(ops: Any) -> list[Any]:
        beside = [isinstance(o, Events) and o.beside for o in outs]
        chosen = [ops.events(k) if b else ops.values[k] for k, b in enumerate(beside)]
        moved = eqn.primitive.bind(*chosen, **eqn.params)
        moved = list(moved) if eqn.primitive.multiple_results else [moved]
        return [{EVENTS: m} if b else None for m, b in zip(moved, beside, strict=True)]

    return Found(outs, events=events)
