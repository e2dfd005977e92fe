"""Zeros that a program puts around data by hand: they are padding, no synapses."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..findings import Context
from ..kinds import Parameter, Value
from .registry import shape_of

Border = tuple[tuple[int, int], ...]  # zeros at the beginning and end of each axis

# Of zero, these make zero; the others of their operands may be anything.
_KEEPING = """
neg abs sign convert_element_type copy copy_p stop_gradient reduce_precision 
name integer_pow square sqrt cbrt tanh sin sinh asin asinh atan erf expm1 log1p round floor ceil
""".split()
_THRESHOLDS = ("gt", "max")


def border(value: Value, ctx: Context) -> Border:
    """How many zeros stand at both ends of each axis of a value, as far as the program says."""
    rank = len(value.axes)
    made = ctx.maker(value.number)
    if made is None:
        return ((0, 0),) * rank
    eqn, ins = made
    found = _RULES.get(eqn.primitive.name, _none)(eqn, ins, ctx)
    return found if found is not None and len(found) == rank else ((0, 0),) * rank


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


def _same(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border:
    return border(ins[0], ctx)


def _product(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border:
    """Zero where either factor is."""
    both = zip(*(border(i, ctx) for i in ins if len(i.axes)), strict=True)
    return tuple((max(a for a, _ in ends), max(b for _, b in ends)) for ends in both)


def _threshold(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """`max(x, 0)`, or a comparison with a threshold above zero."""
    limit = ins[1].constant if isinstance(ins[1], Parameter) else None
    fits = limit is not None and (limit == 0 if eqn.primitive.name == "max" else limit >= 0)
    return border(ins[0], ctx) if fits else None


def _padded(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """Zeros added to those that are there; an axis that is cut loses some."""
    value = ins[1]
    if not (isinstance(value, Parameter) and value.constant == 0):
        return None
    ends = zip(eqn.params["padding_config"], border(ins[0], ctx), strict=True)
    more = lambda new, old, inner: max(int(new) + old * (int(inner) + 1), 0)
    return tuple((more(lo, a, inner), more(hi, b, inner)) for (lo, hi, inner), (a, b) in ends)


def _beside(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border:
    """Parts beside each other: whole parts of zeros at the ends, and what the next one has."""
    axis = eqn.params["dimension"]
    sizes = [v.aval.shape[axis] for v in eqn.invars]
    each = [_all(i, axis, n, ctx) for i, n in zip(ins, sizes, strict=True)]
    low = _leading([b[axis][0] for b in each], sizes)
    high = _leading([b[axis][1] for b in each[::-1]], sizes[::-1])
    rest = [(min(b[a][0] for b in each), min(b[a][1] for b in each)) for a in range(len(each[0]))]
    return tuple((low, high) if a == axis else ends for a, ends in enumerate(rest))


def _all(value: Value, axis: int, size: int, ctx: Context) -> Border:
    """The border of a part; a part of zeros is nothing else, along every axis."""
    if isinstance(value, Parameter) and value.constant == 0:
        return tuple((n, n) for n in value.axes.shape)
    return border(value, ctx)


def _leading(zeros: Sequence[int], sizes: Sequence[int]) -> int:
    found = 0
    for n, size in zip(zeros, sizes, strict=True):
        found += n
        if n < size:
            break
    return found


def _transposed(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border:
    known = border(ins[0], ctx)
    return tuple(known[a] for a in eqn.params["permutation"])


def _broadcast(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border:
    shape, known = shape_of(eqn.outvars[0]), border(ins[0], ctx)
    places = dict(zip(eqn.params["broadcast_dimensions"], range(len(known)), strict=True))
    same = lambda a: a in places and ins[0].axes.shape[places[a]] == shape[a]
    return tuple(known[places[a]] if same(a) else (0, 0) for a in range(len(shape)))


def _reshaped(eqn: Any, ins: Sequence[Value], ctx: Context) -> Border | None:
    """Axes of length one that come and go."""
    shape, known = shape_of(eqn.outvars[0]), border(ins[0], ctx)
    old = [(n, ends) for n, ends in zip(ins[0].axes.shape, known, strict=True) if n != 1]
    if [n for n, _ in old] != [n for n in shape if n != 1]:
        return None
    rest = iter(ends for _, ends in old)
    return tuple(next(rest) if n != 1 else (0, 0) for n in shape)


_RULES: dict[str, Callable[[Any, Sequence[Value], Context], Border | None]] = {
    **dict.fromkeys(_KEEPING, _same),
    **dict.fromkeys(_THRESHOLDS, _threshold),
    **dict.fromkeys(("reshape", "expand_dims", "squeeze"), _reshaped),
    "mul": _product,
    "pad": _padded,
    "concatenate": _beside,
    "transpose": _transposed,
    "broadcast_in_dim": _broadcast,
}
