"""What a bilinear product is, apart from the kinds of its operands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


@dataclass(frozen=True)
class Geometry:
    """What a bilinear product is, apart from the kinds of its operands."""

    dense: float  # pairs that meet
    synapses: tuple[float, float]  # distinct positions, if operand 0 or 1 is the weight
    neurons: tuple[float, float]  # outputs of one sample
    inputs: tuple[float, float]
    free: tuple[tuple[int, ...], tuple[int, ...]]  # output axes of each operand alone
    contracted: tuple[tuple[int, ...], tuple[int, ...]]  # axes of each operand that are summed
    product: Callable[[Any, Any, Sequence[Any]], Array]  # of two operands and all values
    fanout: Callable[[int, Any, Sequence[Any]], Array]
    pairs: Callable[[Any, Any], Array] | None = None  # products whose sum is all pairs that meet
    places: tuple[int, int] = (0, 1)  # the two operands among all
    fixed: bool = True  # nothing but the weight decides the fan-out
    met: np.ndarray | None = None  # synapse positions of each output, broadcast against its shape
    again: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))
    once: int | None = None  # the operand whose elements, if weights, are a synapse each
    out: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))

    def here(self, a: Any, b: Any) -> np.ndarray:
        """The product of two constants, while the program is planned."""
        with jax.ensure_compile_time_eval():
            return np.asarray(self.product(jnp.asarray(a), jnp.asarray(b), ()))
