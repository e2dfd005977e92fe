"""Zeros that a program puts around data by hand: they are padding, no synapses."""

import functools
import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..findings import Context
from ..kinds import Parameter, Value
from .registry import shape_of

MOST = 2**20  # elements of an array whose zeros are looked for by writing into it
DEEPEST = 50  # equations back, in which zeros are looked for
_DEPTH: ContextVar[int] = ContextVar("depth", default=0)
Border = tuple[tuple[int, int], ...]  # zeros at the beginning and end of each axis

# Of zero, these make zero; the others of their operands may be anything.
_KEEPING = """
neg abs sign convert_element_type copy copy_p stop_gradient reduce_precision 
name square sqrt cbrt tanh sin sinh asin asinh atan erf expm1 log1p round floor ceil
""".split()
_THRESHOLDS = ("gt", "max")


def border(value: Value, ctx: Context) -> Border:
    """How many zeros stand at both ends of each axis of a value, as far as the program says."""
    notes, depth = ctx.notes(value.number), _DEPTH.get()
    if "border" not in notes:
        if depth > DEEPEST:
            return ((0, 0),) * len(value.axes)
        token = _DEPTH.set(depth + 1)
        try:
            notes["border"] = _border(value, ctx)
        finally:
            _DEPTH.reset(token)
    return notes["border"]


def _border(value: Value, ctx: Context) -> Border:
    rank, made = len(value.axes), ctx.maker(value.number)
    if isinstance(value, Parameter) and rank and (value.is_mask or not value.leaves):
        known = ctx.concrete(value)
        if known is not None and known.ndim == rank:
            return tuple(_ends(known != 0, a) for a in range(rank))
    if made is None:
        return ((0, 0),) * rank
    eqn, ins = made
    found = _RULES.get(eqn.primitive.name, _none)(eqn, ins, ctx)
    return found if found is not None and len(found) == rank else ((0, 0),) * rank


def after_each_other(shape: Sequence[int], a: Border, b: Border) -> tuple[int, ...]:
    """Axes along which two arrays of one shape have zeros wherever the other one has none."""
    ends = zip(shape, a, b, strict=True)
    return tuple(
        axis
        for axis, (n, p, q) in enumerate(ends)
        if any(x and y and x + y >= n for x, y in ((p[0], q[1]), (q[0], p[1])))
    )


def inside(zeros: Border, axes: Sequence[int], shape: Sequence[int]) -> np.ndarray | None:
    """1 where an array of this shape is no padding along some axes; `None`: everywhere."""
    if not any(any(zeros[a]) for a in axes):
        return None
    found = np.ones((1,) * len(shape), np.float32)
    for a in axes:
        low, high = zeros[a]
        line = np.zeros(shape[a], np.float32)
        line[low : shape[a] - high] = 1
        found = found * line.reshape([-1 if b == a else 1 for b in range(len(shape))])
    return found


def _none(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    return None


def _same(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """What stays zero."""
    return border(ins[0], ctx)


def _power(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """What stays zero; nothing to the power of nothing is one."""
    return border(ins[0], ctx) if eqn.params["y"] > 0 else None


def _product(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border:
    """Zero where either factor is."""
    both = zip(*(border(i, ctx) for i in ins if len(i.axes)), strict=True)
    return tuple(functools.reduce(_larger, ends) for ends in both)


def _threshold(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """`max(x, 0)`, or a comparison with a threshold above zero."""
    limit = ins[1].constant
    fits = limit is not None and (limit == 0 if eqn.primitive.name == "max" else limit >= 0)
    return border(ins[0], ctx) if fits else None


def _padded(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """Zeros added to those that are there; an axis that is cut loses some."""
    if ins[1].constant != 0:
        return None
    ends = zip(eqn.params["padding_config"], border(ins[0], ctx), strict=True)
    return tuple((_more(lo, a, inner), _more(hi, b, inner)) for (lo, hi, inner), (a, b) in ends)


def _more(new: Any, old: int, inner: Any) -> int:
    """Zeros at one end, with new ones outside and between the elements."""
    return max(int(new) + old * (int(inner) + 1), 0)


def _beside(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border:
    """Parts beside each other: whole parts of zeros at the ends, and what the next one has."""
    axis: int = eqn.params["dimension"]
    sizes = [v.aval.shape[axis] for v in eqn.invars]
    each = [_all(i, ctx) for i in ins]
    low = _leading([b[axis][0] for b in each], sizes)
    high = _leading([b[axis][1] for b in each[::-1]], sizes[::-1])
    rest = [(min(b[a][0] for b in each), min(b[a][1] for b in each)) for a in range(len(each[0]))]
    return tuple((low, high) if a == axis else ends for a, ends in enumerate(rest))


def _all(value: Value, ctx: Context) -> Border:
    """The border of a part; a part of zeros is nothing else, along every axis."""
    if value.constant == 0:
        return tuple((n, n) for n in value.axes.shape)
    return border(value, ctx)


def _leading(zeros: Sequence[int], sizes: Sequence[int]) -> int:
    found = 0
    for n, size in zip(zeros, sizes, strict=True):
        found += n
        if n < size:
            break
    return found


def _added(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """A sum is zero where both are."""
    if any(not len(i.axes) and i.constant != 0 for i in ins):
        return None
    return _common([_all(i, ctx) for i in ins if len(i.axes)])


def _common(each: Sequence[Border]) -> Border:
    """Zeros that all of some arrays of one shape have."""
    pairs = (zip(*ends, strict=True) for ends in zip(*each, strict=True))
    return tuple((min(low), min(high)) for low, high in pairs)


def _multiplied(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border:
    """A matrix product: zero where a row of the first or a column of the second is."""
    (contracted, batch), (a, b) = eqn.params["dimension_numbers"], (border(i, ctx) for i in ins)
    both = [_larger(a[int(m)], b[int(n)]) for m, n in zip(*batch, strict=True)]
    left = [ends for m, ends in enumerate(a) if m not in (*contracted[0], *batch[0])]
    right = [ends for n, ends in enumerate(b) if n not in (*contracted[1], *batch[1])]
    return (*both, *left, *right)


def _larger(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Zeros at both ends where either has them."""
    return max(a[0], b[0]), max(a[1], b[1])


def _transposed(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border:
    known = border(ins[0], ctx)
    return tuple(known[int(a)] for a in eqn.params["permutation"])


def _broadcast(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border:
    shape, known = shape_of(eqn.outvars[0]), border(ins[0], ctx)
    found = [(0, 0)] * len(shape)
    places = zip(eqn.params["broadcast_dimensions"], ins[0].axes.shape, known, strict=True)
    for a, n, ends in places:
        if n == shape[a]:
            found[a] = ends
    return tuple(found)


def _sliced(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """What is left of zeros at the ends."""
    p, known = eqn.params, border(ins[0], ctx)
    if p["strides"] is not None and any(s != 1 for s in p["strides"]):
        return None
    sizes = zip(ins[0].axes.shape, p["start_indices"], p["limit_indices"], known, strict=True)
    return tuple((max(lo - at, 0), max(hi - (n - end), 0)) for n, at, end, (lo, hi) in sizes)


def _reshaped(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """Axes of length one that come and go."""
    shape, known = shape_of(eqn.outvars[0]), border(ins[0], ctx)
    old = [(n, ends) for n, ends in zip(ins[0].axes.shape, known, strict=True) if n != 1]
    if [n for n, _ in old] != [n for n in shape if n != 1]:
        return None
    rest = iter(ends for _, ends in old)
    return tuple(next(rest) if n != 1 else (0, 0) for n in shape)


def _written(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """Data written at a place that the program knows, and what there was before."""
    there, before = _places_written(eqn, ins, ctx), _all(ins[0], ctx)
    if there is None:
        return None
    new = ins[1] if eqn.primitive.name == "dynamic_update_slice" else ins[2]
    if new.constant == 0 and "add" not in eqn.primitive.name:
        left = (_ends(there == 0, a) for a in range(there.ndim))
        return tuple(map(_larger, left, before))
    return _common([_ends_of(there), before])


def written(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """What an equation leaves of an array, at the ends of its axes, where it writes into it."""
    there = _places_written(eqn, ins, ctx)
    return None if there is None else _ends_of(there)


def _places_written(eqn: Any, ins: Sequence[Value], ctx: Context) -> np.ndarray | None:
    """1 where an equation writes into an array, if the program knows the place."""
    state, *rest = ins
    is_slice = eqn.primitive.name == "dynamic_update_slice"
    new, index = (rest[0], rest[1:]) if is_slice else (rest[1], rest[:1])
    places = [ctx.concrete(i) for i in index]
    if any(p is None for p in places) or math.prod(state.axes.shape) > MOST:
        return None
    with jax.ensure_compile_time_eval():
        zeros = jnp.zeros(state.axes.shape, eqn.invars[0].aval.dtype)
        ones, where = jnp.ones(new.axes.shape, zeros.dtype), [jnp.asarray(p) for p in places]
        operands = [ones, *where] if is_slice else [*where, ones]
        return np.asarray(eqn.primitive.bind(zeros, *operands, **eqn.params))


def _ends_of(there: np.ndarray) -> Border:
    return tuple(_ends(there, a) for a in range(there.ndim))


def _ends(there: np.ndarray, axis: int) -> tuple[int, int]:
    """How many entries of an axis are zero at its beginning, and at its end."""
    line = np.atleast_1d(there.any(axis=tuple(a for a in range(there.ndim) if a != axis)))
    return (int(line.argmax()), int(line[::-1].argmax())) if line.any() else (0, 0)


_RULES: dict[str, Callable[[Any, Sequence[Value], Context], Border | None]] = {
    **dict.fromkeys(_KEEPING, _same),
    **dict.fromkeys(_THRESHOLDS, _threshold),
    **dict.fromkeys(("reshape", "expand_dims", "squeeze"), _reshaped),
    "integer_pow": _power,
    "mul": _product,
    **dict.fromkeys(("add", "add_any", "sub"), _added),
    "dot_general": _multiplied,
    "pad": _padded,
    "concatenate": _beside,
    "transpose": _transposed,
    "slice": _sliced,
    **dict.fromkeys("dynamic_update_slice scatter scatter-add scatter_add".split(), _written),
    "broadcast_in_dim": _broadcast,
}
