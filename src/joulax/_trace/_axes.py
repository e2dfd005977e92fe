"""How a flag per axis travels through the primitives that move data."""

from collections.abc import Callable
from typing import Any

Flags = tuple[bool, ...]


def carried(eqn: Any, flags: Flags, new: bool, merge: Callable[[list[bool]], bool]) -> Flags:
    """Flags of the output of a movement or reduction, from those of its first operand.

    `new` is the flag of an axis that appears, `merge` combines the flags of axes that are merged.
    """
    name, params = eqn.primitive.name, eqn.params
    shape, out = eqn.invars[0].aval.shape, eqn.outvars[0].aval.shape
    if name == "transpose":
        return tuple(flags[i] for i in params["permutation"])
    if name == "broadcast_in_dim":
        result = [new] * len(out)
        for i, axis in enumerate(params["broadcast_dimensions"]):
            result[axis] = flags[i] if shape[i] == out[axis] else new
        return tuple(result)
    if name == "squeeze":
        return tuple(f for i, f in enumerate(flags) if i not in params["dimensions"])
    if name == "expand_dims":
        rest = iter(flags)
        return tuple(new if i in params["dimensions"] else next(rest) for i in range(len(out)))
    if "axes" in params and len(out) < len(shape):
        return tuple(f for i, f in enumerate(flags) if i not in params["axes"])
    if name == "reshape":
        return reshaped(shape, out, flags, new, merge)
    if len(out) == len(shape):
        return flags
    return (merge(list(flags)),) * len(out) if flags else (new,) * len(out)


def reshaped(shape, out, flags: Flags, new: bool, merge: Callable[[list[bool]], bool]) -> Flags:
    """Flags after a reshape: axes are matched in groups of equal product."""
    result, i, j = [], 0, 0
    while j < len(out):
        i0, j0 = i, j
        left, right = shape[i] if i < len(shape) else 1, out[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right and i < len(shape):
                left, i = left * shape[i], i + 1
            elif right < left and j < len(out):
                right, j = right * out[j], j + 1
            else:  # sizes of zero cannot be matched: one group takes the rest
                i, j = len(shape), len(out)
                break
        group = [f for f, size in zip(flags[i0:i], shape[i0:i], strict=True) if size != 1]
        result += [merge(group) if group and out[k] != 1 else new for k in range(j0, j)]
    return tuple(result)
