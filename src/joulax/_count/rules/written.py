"""Writing into an array: which part of it, where the program says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax.extend.core import Jaxpr, Literal

from .registry import shape_of

_INDEX = {"scatter": 1, "dynamic_update_slice": 2}  # the first operand that says where
WRITES = tuple(_INDEX)  # operand 0 with a part that is another value


def index_of(eqn: Any, operands: Sequence[Any]) -> Sequence[Any]:
    """Of the operands of an equation that writes, those that say where."""
    first = _INDEX[eqn.primitive.name]
    return operands[1:2] if first == 1 else operands[2:]


def new_of(eqn: Any, operands: Sequence[Any]) -> Any:
    """Of the operands of an equation that writes, what is written."""
    return operands[3 - _INDEX[eqn.primitive.name]]


def window(eqn: Any, index: Sequence[Any]) -> tuple[int, int, int] | None:
    """Axis, start and length of the one part that is written, at an index that is known."""
    shape, (new, along) = shape_of(eqn.invars[0]), _windows(eqn)
    if len(new) != len(shape) or any(i is None for i in index):
        return None
    places = [int(n) for i in index for n in np.asarray(i).ravel()]
    starts = dict(zip(along, places, strict=True))
    cut = [a for a, (n, whole) in enumerate(zip(new, shape, strict=True)) if n != whole]
    if len(cut) != 1:
        return None
    axis, start = cut[0], starts.get(cut[0], 0)
    return (axis, start, new[axis]) if 0 <= start <= shape[axis] - new[axis] else None


def _windows(eqn: Any) -> tuple[tuple[int, ...], Sequence[int]]:
    """The shape of what is written, as a part of the array, and the axes that the index is of."""
    new = shape_of(new_of(eqn, eqn.invars))
    if eqn.primitive.name == "dynamic_update_slice":
        return new, range(len(new))
    numbers = eqn.params["dimension_numbers"]
    if numbers.operand_batching_dims or len(numbers.update_window_dims) != len(new):
        return (), ()
    for a in map(int, numbers.inserted_window_dims):
        new = (*new[:a], 1, *new[a:])
    return new, [*map(int, numbers.scatter_dims_to_operand_dims)]


@dataclass(frozen=True)
class Body:
    """The jaxpr of a step, and what is known of its inputs that are constants."""

    jaxpr: Jaxpr
    known: Mapping[Any, Any]

    def window(self, eqn: Any) -> tuple[int, int, int] | None:
        """The part that an equation writes, where its index is a constant."""
        return window(eqn, [self._constant(v) for v in index_of(eqn, eqn.invars)])

    def _constant(self, variable: Any) -> Any:
        """The value of a constant, perhaps as an array of one element."""
        made = (e for e in self.jaxpr.eqns if e.primitive.name == "broadcast_in_dim")
        variable = next((e.invars[0] for e in made if variable in e.outvars), variable)
        return variable.val if isinstance(variable, Literal) else self.known.get(variable)

    def inside(self, eqn: Any, jaxpr: Jaxpr) -> "Body":
        """The jaxpr of an equation, with what is known of its inputs if it takes all operands."""
        same = len(jaxpr.invars) == len(eqn.invars)
        pairs = zip(jaxpr.invars, eqn.invars, strict=True) if same else ()
        return Body(jaxpr, {inner: self._constant(v) for inner, v in pairs})
