"""How finely counts are kept: in total, per neuron, per time step."""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .axes import VARIES, Axes
from .exact import MANY, Sum, over, total
from .places import stands_in


@dataclass(frozen=True)
class Resolution:
    """Which axes of a count survive; by default none does.

    - `neurons`: the axes that enumerate neurons stay, batch and time are summed.
    - `steps`: the axis of the outermost scan of this length stays, first; outside of such a scan, a
      batch or time axis of this length.
    - `touched`: count the neurons that received an event, too.
    - `events`: count the events that arrive, before any fan-out, too.
    - `pruning`: width of the bump that gives the existence of a synapse a slope; with a width of
      zero that slope is one everywhere, and nothing else has a gradient.
    """

    neurons: bool = False
    steps: int | None = None
    touched: bool = False
    events: bool = False
    pruning: float | None = None

    @property
    def existence(self) -> bool:
        """Whether gradients reach weights through the existence of synapses alone."""
        return self.pruning == 0

    @property
    def total(self) -> bool:
        """Whether everything is summed at once."""
        return not self.neurons and self.steps is None

    def by_sample(self, samples: int) -> "BySample":
        """The same, with the counts of so many samples apart."""
        return BySample(self.neurons, None, self.touched, self.events, self.pruning, samples)

    def check_weight(self, axes: Axes) -> None:
        """Weights of any shape have counts of this resolution."""

    def whole(self, shape: tuple[int, ...], repeated: tuple[bool, ...], within: bool) -> bool:
        """Whether one number is all that is kept of one execution of a site."""
        return not self.neurons and self.step_axis(shape, repeated, within) is None

    def step_axis(
        self, shape: tuple[int, ...], repeated: tuple[bool, ...], within: bool
    ) -> int | None:
        """The axis of time steps, where no scan around it has one."""
        if self.steps is None or within:
            return None
        pairs = enumerate(zip(shape, repeated, strict=True))
        return next((i for i, (n, r) in pairs if r and n == self.steps), None)

    def summed(
        self, counts: Array, repeated: tuple[bool, ...], within: bool, each: float = MANY
    ) -> Sum:
        """Sum over the axes that do not survive; the axis of steps comes first.

        `each` bounds one element from above, as far as the program says.
        """
        each = min(each, MANY) if each == float("inf") else each
        if self.total:
            return total(counts, each)
        kept, gone = self._axes(counts.shape, repeated, within)
        length = math.prod(counts.shape[i] for i in gone)
        moved = jnp.transpose(counts, (*kept, *gone))
        rest = moved.reshape((*moved.shape[: len(kept)], length))
        return over(rest.ndim - 1, Sum(rest, None, each), length)

    def _axes(
        self, shape: tuple[int, ...], repeated: tuple[bool, ...], within: bool
    ) -> tuple[list[int], list[int]]:
        """Axes that survive, that of steps first, and those that do not."""
        step = self.step_axis(shape, repeated, within)
        kept = [] if step is None else [step]
        kept += [i for i, r in enumerate(repeated) if i != step and self.neurons and not r]
        return kept, [i for i in range(len(shape)) if i not in kept]

    def table(
        self, met: np.ndarray, shape: tuple[int, ...], repeated: tuple[bool, ...], within: bool
    ) -> np.ndarray:
        """Sum of whole numbers that are known, broadcast to this shape first."""
        kept, gone = self._axes(shape, repeated, within)
        times = math.prod(shape[i] for i in gone if met.shape[i] == 1)
        summed = met.sum(axis=tuple(gone), keepdims=True) * times
        wide = np.broadcast_to(summed, [n if i in kept else 1 for i, n in enumerate(shape)])
        return np.transpose(wide, (*kept, *gone)).reshape([shape[i] for i in kept])


@dataclass(frozen=True)
class BySample(Resolution):
    """Counts of every sample apart, the first axis: in a loop that they leave one by one."""

    samples: int = 0

    @property
    def total(self) -> bool:
        """Whether everything is summed at once."""
        return False

    def step_axis(
        self, shape: tuple[int, ...], repeated: tuple[bool, ...], within: bool
    ) -> int | None:
        """The axis of samples, the only one of their number."""
        if self.samples in shape:
            return shape.index(self.samples)
        raise ValueError(self._refused(f"work of shape {shape} has no axis of them"))

    def check_weight(self, axes: Axes) -> None:
        """Weights are those of all samples, or `nonzero` would be that of all of them together."""
        if any(n == self.samples and axes.has(a, VARIES) for a, n in enumerate(axes.shape)):
            raise ValueError(self._refused(f"each has weights of its own, of shape {axes.shape}"))

    def _refused(self, why: str) -> str:
        return (
            f"a loop that each of {self.samples} samples of a `vmap` leaves at a step of its own: "
            f"{why}; count inside of the `vmap`: jax.vmap(joulax.count(f))"
        )


def within(kept: frozenset[tuple[int, ...]], path: tuple[int, ...]) -> bool:
    """Whether a place is inside one of the scans whose steps are kept."""
    return any(stands_in(path, k) for k in kept)
