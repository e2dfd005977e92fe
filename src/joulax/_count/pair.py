"""A product of two spiking values, followed until it is summed: spikes meet spikes there."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .axes import IDLE, VARIES, Axes
from .places import Paths


@dataclass(frozen=True)
class Factor:
    """One of two values that are multiplied element by element."""

    axes: Axes  # at the shape of the product
    births: Paths  # the spikes in it
    fed: Paths  # what feeds the neurons that fired them
    known: frozenset[int]  # numbers of the value: its own, and of what it is a part of


@dataclass(frozen=True)
class Pair:
    """The product of two values that are spikes."""

    first: Factor
    second: Factor

    @property
    def factors(self) -> tuple[Factor, Factor]:
        """Both of them."""
        return self.first, self.second

    @property
    def is_crossed(self) -> bool:
        """Whether each is broadcast along an axis of the other: every element meets several."""
        varies = [*zip(*(f.axes.flags(VARIES) for f in self.factors), strict=True)]
        return (True, False) in varies and (False, True) in varies

    def moved(self, change: Callable[[Axes], Axes]) -> "Pair":
        """The same product, whose elements stand elsewhere."""
        return Pair(*(dataclasses.replace(f, axes=change(f.axes)) for f in self.factors))

    def meets(self, shape: Sequence[int], axes: Sequence[int]) -> bool:
        """Whether elements of both differ along axes that are summed, in an array of this shape."""
        if self.first.axes.shape != tuple(shape):
            return False
        return any(all(f.axes.has(a, VARIES) for f in self.factors) for a in axes)

    @property
    def samples(self) -> list[int]:
        """Axes of both along which either enumerates batch or time."""
        idle = zip(*(f.axes.wholly(IDLE) for f in self.factors), strict=True)
        both = zip(*(f.axes.flags(VARIES) for f in self.factors), strict=True)
        return [a for a, (i, v) in enumerate(zip(idle, both, strict=True)) if any(i) and all(v)]
