"""How finely counts are kept: in total, per neuron, per time step."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from ._info import Path


@dataclass(frozen=True)
class Resolution:
    """Which axes of a count survive; by default none does.

    - `neurons`: the axes that enumerate neurons stay, batch and time are summed.
    - `steps`: the axis of the outermost scan of this length stays, first; outside of such a scan, a
      batch or time axis of this length.
    - `touched`: count the neurons that received an event, too.
    - `events`: count the events that arrive, before any fan-out, too.
    """

    neurons: bool = False
    steps: int | None = None
    touched: bool = False
    events: bool = False

    @property
    def total(self) -> bool:
        """Whether everything is summed at once."""
        return not self.neurons and self.steps is None

    def step_axis(self, shape: tuple[int, ...], repeated: tuple[bool, ...], within: bool) -> int | None:
        """The axis of time steps, where no scan around it has one."""
        if self.steps is None or within:
            return None
        return next((i for i, (n, r) in enumerate(zip(shape, repeated, strict=True)) if r and n == self.steps), None)

    def summed(self, counts: jax.Array, repeated: tuple[bool, ...], within: bool) -> jax.Array:
        """Sum over the axes that do not survive; the axis of steps comes first."""
        if self.total:
            return counts.sum()
        step = self.step_axis(counts.shape, repeated, within)
        gone = tuple(i for i, r in enumerate(repeated) if i != step and (r or not self.neurons))
        kept = counts if step is None else jnp.moveaxis(counts, step, 0)
        if step is not None:
            gone = tuple(i + 1 if i < step else i for i in gone)
        return kept.sum(axis=gone)


def within(kept: frozenset[Path], path: Path) -> bool:
    """Whether a place is inside one of the scans whose steps are kept."""
    return any(path[: len(k)] == k for k in kept)
