"""Sums of counts that stay exact to 2⁴⁸.

A float32 and what it has lost, dead code where nobody asks.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

LIMIT = 2.0**24  # integers below are exact in float32, in any order of summation
MANY = 256.0  # events of one element where the program sets no bound


@dataclass(frozen=True)
class Sum:
    """A count: a number known while tracing, or a float32 array and the rest of it.

    The rest is `None` where the bound, a static upper limit, says that nothing can be lost.
    """

    value: Any
    rest: Any = None
    bound: float = 0.0

    @property
    def known(self) -> bool:
        """Whether the count is a number known while tracing."""
        return isinstance(self.value, float)

    def array(self) -> "Sum":
        """The same as arrays."""
        if not self.known:
            return self
        high = np.float32(self.value)
        low = np.float32(self.value - float(high))
        return Sum(jnp.asarray(high), jnp.asarray(low) if low else None, self.bound)

    def full(self) -> "Sum":
        """The same with a rest, so that records of one form can be carried and compared."""
        here = self.array()
        rest = jnp.zeros_like(here.value) if here.rest is None else here.rest
        return Sum(here.value, rest, math.inf)

    def map(self, f: Callable[[Any], Any]) -> "Sum":
        """A linear rearrangement of the arrays."""
        here = self.array()
        rest = None if here.rest is None else f(here.rest)
        return Sum(f(here.value), rest, here.bound)


jax.tree_util.register_dataclass(Sum, data_fields=["value", "rest"], meta_fields=["bound"])


def add(a: Sum, b: Sum) -> Sum:
    """Sum of two counts."""
    bound = a.bound + b.bound
    if a.known and b.known:
        return Sum(a.value + b.value, None, bound)
    a, b = a.array(), b.array()
    if a.rest is None and b.rest is None and bound < LIMIT:
        return Sum(a.value + b.value, None, bound)
    return _normal(a.value, b.value, _rest(a) + _rest(b), bound)


def larger(a: Sum, b: Sum) -> Sum:
    """The larger of two counts."""
    return _either(a, b, lambda difference: difference >= 0, max(a.bound, b.bound))


def smaller(a: Sum, b: Sum) -> Sum:
    """The smaller of two counts."""
    return _either(a, b, lambda difference: difference <= 0, min(a.bound, b.bound))


def _either(a: Sum, b: Sum, first: Callable[[Array], Array], bound: float) -> Sum:
    a, b = a.array(), b.array()
    here = first((a.value - b.value) + (_rest(a) - _rest(b)))
    value = jnp.where(here, a.value, b.value)
    lossless = a.rest is None and b.rest is None
    return Sum(value, None if lossless else jnp.where(here, _rest(a), _rest(b)), bound)


def beside(counts: Sequence[Sum]) -> Sum:
    """Counts of different neurons, along the last axis."""
    full = [c.full() for c in counts]
    value, rest = (
        jnp.concatenate(x, -1) for x in ([c.value for c in full], [c.rest for c in full])
    )
    return Sum(value, rest, sum(c.bound for c in counts))


def _rest(count: Sum) -> Any:
    return 0.0 if count.rest is None else count.rest


def _normal(a: Array, b: Array, rest: Any, bound: float) -> Sum:
    """Knuth's sum: what float32 loses goes to the rest."""
    total, lost = _two(a, b)
    lost, s = lost + rest, lax.stop_gradient(total)
    high = s + lost
    return Sum(total + (high - s), lost - (high - s), bound)


def _two(a: Array, b: Array) -> tuple[Array, Array]:
    """A sum, and what it has lost."""
    total = a + b
    x, y, s = lax.stop_gradient((a, b, total))
    part = s - x
    return total, (x - (s - part)) + (y - part)


def over(axis: int, count: Sum, length: int) -> Sum:
    """Sum over an axis of steps or samples."""
    bound = count.bound * length
    if count.known:
        return Sum(count.value * length, None, bound)
    if count.rest is None and bound < LIMIT:
        return Sum(count.value.sum(axis=axis), None, bound)
    if count.rest is None and count.bound < LIMIT:
        return _halves(jnp.moveaxis(count.value, axis, 0), count.bound, bound)
    moved = count.full().map(lambda x: jnp.moveaxis(x, axis, 0))
    return Sum(*_tree(moved.value, moved.rest), bound)


HALF = 4096  # integers below 2²⁴ are two digits of this base, and as many digits add up exactly


def _halves(counts: Array, each: float, bound: float) -> Sum:
    """Sum over the first axis of integers below 2²⁴: high and low digits apart."""
    length = counts.shape[0]
    if length > HALF:
        pad = [(0, -length % HALF), *[(0, 0)] * (counts.ndim - 1)]
        parts = jnp.pad(counts, pad).reshape(-1, HALF, *counts.shape[1:])
        return over(0, _halves(jnp.moveaxis(parts, 1, 0), each, each * HALF), parts.shape[0])
    high = jnp.floor(lax.stop_gradient(counts) / HALF)
    low = counts - HALF * high
    return Sum(*_two(HALF * high.sum(axis=0), low.sum(axis=0)), bound)


def _tree(value: Array, rest: Array) -> tuple[Array, Array]:
    """Sum over the first axis, in pairs."""
    while value.shape[0] > 1:
        if value.shape[0] % 2:
            pad = [(0, 1), *[(0, 0)] * (value.ndim - 1)]
            value, rest = jnp.pad(value, pad), jnp.pad(rest, pad)
        found = _normal(value[::2], value[1::2], rest[::2] + rest[1::2], math.inf)
        value, rest = found.value, found.rest
    if not value.shape[0]:
        return value.sum(axis=0), rest.sum(axis=0)
    return value[0], rest[0]


def scaled(count: Sum, factor: float) -> Sum:
    """A count times a power of two, which is exact."""
    if factor == 1:
        return count
    rest = None if count.rest is None else count.rest * factor
    return Sum(count.value * factor, rest, count.bound * factor)


def digits(count: Sum, most: float) -> list[tuple[float, Array, float]]:
    """A count as Σ factor · digit, whose sums of `most` digits are exact: with their bounds.

    The slope of the count is that of its lowest digit.
    """
    base = 2.0 ** max(math.floor(math.log2(LIMIT / most)), 1)
    found: list[tuple[float, Array, float]] = []
    here = count.array()
    parts = [(here.value, min(here.bound, LIMIT * LIMIT))]
    if here.rest is not None:
        parts.append((here.rest, min(here.bound, LIMIT)))
    for value, bound in parts:
        factor = 1.0
        while bound > base:
            high = jnp.floor(lax.stop_gradient(value) / base)
            found.append((factor, value - base * high, base))
            value, bound, factor = high, bound / base, factor * base
        found.append((factor, value, bound))
    return found


def total(counts: Array, each: float) -> Sum:
    """Sum over all elements, of which none is above `each`."""
    bound = counts.size * each
    if bound < LIMIT:
        return Sum(counts.sum(), None, bound)
    chunk = max(int((LIMIT - 1) // each), 1)
    flat = jnp.pad(counts.reshape(-1), (0, -counts.size % chunk)).reshape(-1, chunk)
    parts = flat.sum(axis=1)
    return over(0, Sum(parts, None, chunk * each), parts.shape[0])


def table(numbers: Any) -> Sum:
    """Whole numbers known while tracing."""
    high = np.asarray(numbers, np.float32)
    low = (np.asarray(numbers, np.int64) - high.astype(np.int64)).astype(np.float32)
    most = float(np.max(np.abs(high), initial=0.0))
    return Sum(jnp.asarray(high), jnp.asarray(low) if low.any() else None, most)


def known(number: float) -> Sum:
    """A number known while tracing."""
    return Sum(float(number), None, abs(float(number)))
