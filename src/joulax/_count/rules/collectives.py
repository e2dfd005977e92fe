"""Values that travel between the shards of a mesh: sums over shards, and movement."""

from collections.abc import Sequence
from typing import Any

from ..findings import EVENTS, Companions, Context, Found, Operands
from ..kinds import Data, Events, Value, varied
from .registry import because, rule, shape_of
from .summed import again, sum_over

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
    """Values from other shards are values of the same kind, and products stay products."""
    outs = [_travelled(eqn, i, v) for i, v in zip(ins, eqn.outvars, strict=True)]
    outs = [_with_terms(o, i) for o, i in zip(outs, ins, strict=True)]
    gone = any(i.opened and not o.opened for o, i in zip(outs, ins, strict=True))
    lost = "products of weights and data, gathered from shards along a new axis" if gone else None
    return _found(eqn, outs).but(lost=lost)


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


def _with_terms(out: Value, info: Value) -> Value:
    """With the products in a value that has moved, unless it has another number of axes now."""
    if not (isinstance(out, Data) and isinstance(info, Data)) or len(out.axes) != len(info.axes):
        return out
    shape = out.axes.shape
    return out.but(terms=frozenset(t.but(axes=t.axes.resized(shape)) for t in info.terms))


def _found(eqn: Any, outs: Sequence[Value]) -> Found:
    if not any(o.travels for o in outs):
        return Found(outs)

    def beside(ops: Operands, k: int, out: Value) -> Companions:
        keys = [] if isinstance(out, Events) else [t.key for t in out.pending]
        found: dict[Any, Any] = {key: ops.term(k, key) for key in keys}
        if isinstance(out, Events) and out.beside:
            found[EVENTS] = ops.events(k)
        return {key: again(eqn, *_instead(ops, k, there))[k] for key, there in found.items()}

    return Found(outs, events=lambda ops: [beside(ops, k, out) for k, out in enumerate(outs)])


def _instead(ops: Operands, k: int, value: Any) -> list[Any]:
    """The operands, with another value in the place of one."""
    return [*ops.values[:k], value, *ops.values[k + 1 :]]
