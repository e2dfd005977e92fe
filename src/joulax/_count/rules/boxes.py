"""Boxes of an array that equations read and write, where the program says which."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..axes import Shape
from ..packs import Box
from .registry import shape_of

Known = Sequence[Any]  # the operands of an equation, where they are constants

_WRITTEN = {"scatter": 1, "dynamic_update_slice": 2}  # the first operand that says where
_CHANGED = [f"scatter-{how}" for how in ("add", "sub", "mul", "min", "max")]
WRITES = tuple(_WRITTEN)  # operand 0 with a part that is another value
CHANGES = (*_CHANGED, "scatter_add", "scatter_sub", "scatter_mul", "scatter_min", "scatter_max")
SLICES = ("slice", "split", "unstack")
READS = (*SLICES, "dynamic_slice", "gather")


def new_of(eqn: Any, operands: Sequence[Any]) -> Any:
    """Of the operands of an equation that writes, what is written."""
    return operands[3 - _WRITTEN.get(eqn.primitive.name, 1)]


def box_written(eqn: Any, known: Known) -> Box | None:
    """The box that an equation writes."""
    shape, first = shape_of(eqn.invars[0]), _WRITTEN.get(eqn.primitive.name, 1)
    if first == 2:
        return _clamped(shape, shape_of(eqn.invars[1]), known[2:])
    numbers, new = eqn.params["dimension_numbers"], shape_of(eqn.invars[2])
    size: list[int] = [new[a] for a in numbers.update_window_dims]
    if numbers.operand_batching_dims or math.prod(size) != math.prod(new):
        return None
    for axis in map(int, numbers.inserted_window_dims):
        size.insert(axis, 1)
    return _box(shape, size, _integers(numbers.scatter_dims_to_operand_dims), known[1:2])


def box_read(eqn: Any, k: int, known: Known) -> Box | None:
    """The box that output k of an equation takes from the first operand, all of its elements."""
    name, p, shape = eqn.primitive.name, eqn.params, shape_of(eqn.invars[0])
    if name in SLICES:
        cuts = [taken(eqn, a, n, k) for a, n in enumerate(shape)]
        return tuple((a, b) for a, b, _ in cuts) if all(s == 1 for *_, s in cuts) else None
    if name == "dynamic_slice":
        return _clamped(shape, _integers(p["slice_sizes"]), known[1:])
    numbers = p["dimension_numbers"]
    if numbers.operand_batching_dims or math.prod(p["slice_sizes"]) != eqn.outvars[0].aval.size:
        return None
    return _box(shape, _integers(p["slice_sizes"]), _integers(numbers.start_index_map), known[1:2])


def _integers(numbers: Sequence[Any]) -> list[int]:
    """Integers of Python: under `vmap` some are NumPy's."""
    return [*map(int, numbers)]


def _clamped(shape: Shape, size: Sequence[int], index: Known) -> Box | None:
    """A box of this size, moved into the array where it would leave it."""
    if any(i is None for i in index):
        return None
    ends = zip(index, shape, size, strict=True)
    starts = [min(max(int(at), 0), whole - n) for at, whole, n in ends]
    return _box(shape, size, range(len(shape)), starts)


def _box(shape: Shape, size: Sequence[int], along: Sequence[int], index: Known) -> Box | None:
    """A box of this size, where it begins as an index says along some axes."""
    if any(i is None for i in index):
        return None
    places = [int(n) for i in index for n in np.asarray(i).reshape(-1)]
    starts = dict(zip(along, places, strict=True))
    found = tuple((s := starts.get(a, 0), s + n) for a, n in enumerate(size))
    inside = all(0 <= a and b <= n for (a, b), n in zip(found, shape, strict=True))
    return found if inside else None


def box_chosen(mask: np.ndarray) -> Box | None:
    """The box in which a mask is true, if it is one."""
    found = np.nonzero(mask)
    if not mask.any():
        return None
    box = tuple((int(a.min()), int(a.max()) + 1) for a in found)
    return box if len(found[0]) == math.prod(b - a for a, b in box) else None


def taken(eqn: Any, axis: int, size: int, k: int) -> tuple[int, int, int]:
    """Start, limit and stride of output k of a slice along one axis."""
    name, p = eqn.primitive.name, eqn.params
    if name == "slice":
        stride = 1 if p["strides"] is None else p["strides"][axis]
        return int(p["start_indices"][axis]), int(p["limit_indices"][axis]), int(stride)
    if axis != p["axis"]:
        return 0, size, 1
    if name == "unstack":
        return k, k + 1, 1
    start = int(sum(p["sizes"][:k]))
    return start, start + int(p["sizes"][k]), 1
