"""Polynomials in spikes: what an expression in which spikes occur several times can be."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .places import union

Monomial = frozenset[int]  # numbers of spikes; a spike times itself is the spike
MOST = 5  # more variables are not followed


@dataclass(frozen=True)
class Polynomial:
    """Σ coefficient · product of spikes, each 0 or 1."""

    terms: frozenset[tuple[Monomial, float]]

    @property
    def variables(self) -> Monomial:
        """The spikes in it."""
        return union(m for m, _ in self.terms)

    def values(self) -> Iterator[float]:
        """Every value it can have."""
        names = sorted(self.variables)
        for bits in itertools.product((False, True), repeat=len(names)):
            ones = {n for n, bit in zip(names, bits, strict=True) if bit}
            yield float(sum(c for m, c in self.terms if m <= ones))


def _collected(parts: Sequence[tuple[Monomial, float]]) -> Polynomial | None:
    found: dict[Monomial, float] = {}
    for monomial, factor in parts:
        found[monomial] = found.get(monomial, 0.0) + factor
    result = Polynomial(frozenset((m, c) for m, c in found.items() if c))
    return result if len(result.variables) <= MOST and len(found) <= 32 else None


def of(info: Any) -> Polynomial | None:
    """The polynomial of a value: a constant, spikes, or what was made of them."""
    constant = getattr(info, "constant", None)
    if constant is not None:
        return _collected([(frozenset(), constant)])
    known = getattr(info, "poly", None)
    if known is not None:
        return known
    spikes = getattr(info, "births", None) is not None and info.number >= 0
    if spikes and info.values == {0.0, 1.0}:
        return _collected([(frozenset((info.number,)), 1.0)])
    return None


def added(ins: Sequence[Any], sign: int) -> Polynomial | None:
    """Sum or difference of two values."""
    a, b = (of(i) for i in ins)
    if a is None or b is None:
        return None
    return _collected([*a.terms, *((m, sign * c) for m, c in b.terms)])


def multiplied(ins: Sequence[Any]) -> Polynomial | None:
    """Product of two values."""
    a, b = (of(i) for i in ins)
    if a is None or b is None:
        return None
    pairs = itertools.product(a.terms, b.terms)
    return _collected([(m | n, c * d) for (m, c), (n, d) in pairs])
