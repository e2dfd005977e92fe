"""Counts by neuron after a loop: what arrives adds up, and meets the weights once.

A product is linear, so Σ_t (events_t · W) = (Σ_t events_t) · W: where the weights of a site do not
change in a loop, its steps only add up events, and one product stands behind the loop. Whether a
neuron was touched in a step is not linear: there the events of all steps are kept, and one large
product behind the loop replaces many small ones.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..events import existing, mask
from ..exact import LIMIT, Sum, add, digits, scaled, table
from ..resolution import Resolution
from .geometry import Geometry

AT_ONCE = 64  # steps whose products are made together


@dataclass(frozen=True)
class Product:
    """The products of one site: in each step, and behind its loops where the weight is known."""

    geometry: Geometry
    weight: int  # which operand
    shapes: tuple[tuple[int, ...], ...]
    out: tuple[int, ...]
    resolution: Resolution
    repeated: tuple[bool, ...]
    within: bool  # whether the parts keep an axis of steps, the first one

    @property
    def most(self) -> float:
        """Synapses of one neuron, at most."""
        weight = self.shapes[self.weight]
        return float(max(math.prod(weight[a] for a in self.geometry.contracted[self.weight]), 1))

    @property
    def waits(self) -> bool:
        """Whether it can stand behind a loop: nothing but the weight says what an event reaches."""
        return self.geometry.fixed and self.geometry.met is not None

    def of(self, events: Array, weight: Array, values: Sequence[Any] = ()) -> Array:
        """The product of one step, in which other operands may be indices."""
        pair = (events, weight) if self.weight == 1 else (weight, events)
        return self.geometry.product(*pair, values)

    def summed(self, counts: Array, each: float) -> Sum:
        """Sum over the axes of one step that do not survive."""
        return self.resolution.summed(counts, self.repeated, self.within, each)

    def count(self, part: Sum, weight: Any) -> Sum:
        """Operations of the events that arrived in all steps, by neuron."""
        there = existing(weight)
        found: list[Sum] = []
        for factor, events, bound in digits(part, self.most):
            each = jax.vmap(self.of, (0, None)) if self.within else self.of
            met = functools.partial(self.summed, each=min(bound * self.most, LIMIT))
            summed = jax.vmap(met) if self.within else met
            found.append(scaled(summed(each(events, there)), factor))
        return functools.reduce(add, found)

    def dense(self, part: Sum, weight: Any) -> Sum:
        """The same with an event and a synapse at every position: known but for the steps."""
        del weight
        numbers = self.everywhere()
        if part.known:
            return table(numbers * int(part.value))
        most = float(max(numbers.max(initial=1), 1))
        each = jnp.asarray(numbers, jnp.float32)
        found: list[Sum] = []
        for factor, n, bound in digits(part, most):
            spread = jnp.tensordot(n, each, 0, precision="highest")
            found.append(scaled(Sum(spread, None, min(bound * most, LIMIT)), factor))
        return functools.reduce(add, found)

    def everywhere(self) -> np.ndarray:
        """Synapse positions that one step meets, by neuron and batch or time axis that is kept."""
        assert self.geometry.met is not None
        return self.resolution.table(self.geometry.met, self.out, self.repeated, self.within)

    def touched(self, events: Array, weight: Any) -> Sum:
        """Neurons that an event reaches, by steps, the first axis."""
        there = mask(weight)

        def reached(e: Array) -> Sum:
            return self.summed(mask(self.of(e, there)), 1.0)

        if len(events) <= AT_ONCE:
            return jax.vmap(reached)(events)
        return cast(Sum, jax.lax.map(reached, events, batch_size=AT_ONCE))
