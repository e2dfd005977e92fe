"""Values of constants that a program makes itself, computed only when a rule asks."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr

from .run import evaluate_one

LARGEST = 2**20  # elements; larger constants are not computed
DEEPEST = 100  # equations, one made of the other


def identity(value: Any) -> Any:
    """What tells a constant from others: integers, which choose places, by what they are."""
    if value.dtype == bool or jnp.issubdtype(value.dtype, jnp.integer):
        return str(value.dtype), value.shape, np.asarray(value).tobytes()
    return id(value)


class Constants:
    """Constants by the number of the value: known, or an equation of constants."""

    def __init__(self) -> None:
        self._known: dict[int, Any] = {}
        self._made: dict[int, tuple[Jaxpr, Any, tuple[int, ...], int]] = {}

    def add(self, number: int, value: Any) -> None:
        """A literal, or a constant of the program."""
        self._known.setdefault(number, value)

    def derive(
        self, number: int, jaxpr: Jaxpr, eqn: Any, operands: tuple[int, ...], k: int
    ) -> None:
        """Output `k` of an equation of this jaxpr, whose operands may be constants."""
        self._made.setdefault(number, (jaxpr, eqn, operands, k))

    def value(self, number: int, deep: int = 0) -> np.ndarray | None:
        """The constant, or `None` where it depends on arguments, draws numbers, or is large.

        So it is where `deep` equations made it, one of the other.
        """
        if number not in self._known:
            if deep > DEEPEST:
                return None
            self._known[number] = self._computed(number, deep)
        found = self._known[number]
        return None if found is None else np.asarray(found)

    def _computed(self, number: int, deep: int) -> Any:
        if number not in self._made:
            return None
        jaxpr, eqn, operands, k = self._made[number]
        return evaluated(jaxpr, eqn, k, lambda i: self.value(operands[i], deep + 1))


def evaluated(jaxpr: Jaxpr, eqn: Any, k: int, value: Callable[[int], Any]) -> Any:
    """Output `k` of an equation, whose operands have these values; `None` where any is unknown."""
    if eqn.effects or any(_elements(v) > LARGEST for v in (*eqn.invars, *eqn.outvars)):
        return None
    values = [value(i) for i in range(len(eqn.invars))]
    if any(v is None for v in values):
        return None
    with jax.ensure_compile_time_eval():
        typed = zip(values, eqn.invars, strict=True)
        outs = evaluate_one(jaxpr, eqn, [jnp.asarray(v, e.aval.dtype) for v, e in typed])
    return None if jnp.issubdtype(outs[k].dtype, jax.dtypes.extended) else outs[k]


def _elements(variable: Any) -> int:
    return math.prod(getattr(variable.aval, "shape", ()))
