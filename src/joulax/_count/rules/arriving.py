"""What arrives at a site while the program runs, and the synapses that it meets."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..events import existing, graded, mask
from ..exact import LIMIT, MANY, Sum, over, table, total
from ..findings import Late, Operands, Site, Tap
from ..kinds import Events
from .later import Product


@dataclass(frozen=True)
class Arriving:
    """What arrives at a site while the program runs, and the synapses that it meets."""

    site: Site
    product: Product
    several: bool  # an element may be more than one event
    copied: tuple[int, ...]  # axes of the weight along which its synapses stand again
    anew: bool  # each sample makes a weight of its own

    @property
    def each(self) -> float:
        """Events of one element, at most."""
        return MANY if self.several else 1.0

    @property
    def most(self) -> float:
        """Synapses of one neuron, or of one input, at most: a weight joins one of each."""
        p, g = self.product, self.product.geometry
        return max(p.most, min(g.neurons[p.weight], float(math.prod(p.shapes[p.weight]))))

    @property
    def whole(self) -> bool:
        """Whether one number is all that is kept of one execution."""
        p = self.product
        return p.resolution.whole(p.out, p.repeated, p.within)

    @property
    def along(self) -> int | None:
        """The axis of the data that holds the steps, where no neurons are kept."""
        p, sides = self.product, self.product.geometry.out
        step = p.resolution.step_axis(p.out, p.repeated, p.within)
        if p.resolution.neurons or step is None:
            return None
        return next((a for a, o in sides[1 - p.weight].items() if o == step), None)

    def weight(self, ops: Operands) -> Any:
        """The weights."""
        return ops.values[self.product.geometry.places[self.product.weight]]

    def events(self, ops: Operands) -> Array:
        """Events that arrive, or where analog data are not zero."""
        i = self.product.geometry.places[1 - self.product.weight]
        return ops.events(i) if self.site.spiking else mask(ops.values[i])

    def graded(self, ops: Operands) -> Array:
        """Every nonzero element once: events that cancel leave nothing to send."""
        i = self.product.geometry.places[1 - self.product.weight]
        info, found = ops.infos[i], graded(ops.events(i))
        cancels = isinstance(info, Events) and info.beside and not info.nonneg
        return found * mask(ops.values[i]) if cancels else found

    def reach(self, ops: Operands) -> Array:
        """Synapses that each element reaches."""
        g, w = self.product.geometry, self.product.weight
        return ops.fanout(self.site.path, lambda: g.fanout(w, self.weight(ops), ops.values))

    def nonzero(self) -> Tap:
        """Synapses that exist."""

        def value(ops: Operands) -> Sum:
            return self.existing(self.weight(ops), self.reach(ops), ops.values)

        return Tap(self.site.path, "nonzero", value)

    def existing(self, weight: Any, reach: Array, values: Sequence[Any] = ()) -> Sum:
        """Synapses that exist for any of the samples, each once, of what each input reaches."""
        g, w = self.product.geometry, self.product.weight
        shape = self.product.shapes[w]
        if w == g.once:
            return self._first(existing(weight), {a: shape[a] for a in self.copied})
        if self.anew and self.copied:
            largest = jnp.max(jnp.abs(weight), axis=self.copied, keepdims=True)
            alone = [a for a in self.copied if g.out[w][a] not in g.out[1 - w].values()]
            reach = g.fanout(w, _once(jnp.broadcast_to(largest, shape), alone), values)
        return self._first(reach, self._again)

    @property
    def _again(self) -> dict[int, int]:
        """Axes of the data along which synapses are met again, after so many elements."""
        g, w = self.product.geometry, self.product.weight
        outs = {*g.free[1 - w], *(g.out[w][a] for a in self.copied)}
        shape = self.product.shapes[1 - w]
        return {a: shape[a] for a, o in g.out[1 - w].items() if o in outs} | g.again[1 - w]

    def _first(self, counts: Array, again: Mapping[int, int]) -> Sum:
        """Sum of the first of all elements that say the same."""
        strides = (max(again.get(a, 1), 1) for a in range(counts.ndim))
        kept = counts[tuple(slice(None, None, s) for s in strides)]
        whole = math.inf if self.site.synapses is None else self.site.synapses
        if whole < LIMIT:
            return Sum(kept.sum(), None, whole)
        return total(kept, min(max(self.site.neurons, 1.0), whole))

    def met(self, field: str, events: Callable[[Operands], Array]) -> Tap:
        """Operations that events cause: by the fan-out they meet, or neuron by neuron."""
        path, p, each, most = self.site.path, self.product, self.each, self.most
        if self.whole:
            data = p.geometry.places[1 - p.weight]

            def all_of(ops: Operands, reach: Array) -> Sum:
                return weigh(events(ops), reach, each * p.geometry.dense, each * most)

            return Tap(path, field, lambda ops: ops.again(data, all_of, self.reach(ops)))
        bound = each * max(self.site.dense / max(math.prod(p.out), 1), most)
        along = self.along
        if along is not None:
            return Tap(
                path, field, lambda ops: weigh_along(events(ops), self.reach(ops), along, bound)
            )

        def value(ops: Operands) -> Sum:
            reached = p.of(events(ops), existing(self.weight(ops)), ops.values)
            return p.summed(reached, bound)

        late = Late(lambda ops: Sum(events(ops), None, each), p.count) if p.waits else None
        return Tap(path, field, value, late)

    def dense(self, field: str) -> Tap:
        """Operations with an event and a synapse at every position."""
        p = self.product
        if self.whole:
            return Tap(self.site.path, field, p.geometry.dense)
        if p.waits:
            late = Late(1.0, p.dense)
            return Tap(self.site.path, field, lambda ops: table(p.everywhere()), late)

        def value(ops: Operands) -> Sum:
            data, weight = (jnp.ones(p.shapes[i], jnp.float32) for i in (1 - p.weight, p.weight))
            return p.summed(p.of(data, weight, ops.values), MANY)

        return Tap(self.site.path, field, value)

    def touched(self) -> Tap:
        """Neurons that an event reaches: in each step, or for all steps behind a loop."""
        p = self.product

        def value(ops: Operands) -> Sum:
            reached = p.of(self.events(ops), mask(self.weight(ops)), ops.values)
            return p.summed(mask(reached), 1.0)

        if not p.waits:
            return Tap(self.site.path, "touched", value)
        late = Late(lambda ops: Sum(self.events(ops), None, self.each), p.touched, steps=True)
        return Tap(self.site.path, "touched", value, late)

    def arrived(self) -> Tap:
        """Events that arrive, before any fan-out."""
        p = self.product
        every = (True,) * len(p.shapes[1 - p.weight])

        def value(ops: Operands) -> Sum:
            return p.resolution.summed(self.events(ops), every, p.within, self.each)

        return Tap(self.site.path, "events", value)


def _once(weight: Array, axes: Sequence[int]) -> Array:
    """The first of all samples that meet the same data, the others empty."""
    for a in axes:
        weight = jnp.where(jax.lax.broadcasted_iota(jnp.int32, weight.shape, a) == 0, weight, 0)
    return weight


def weigh(every: Array, reach: Array, bound: float, each: float) -> Sum:
    """Σ events · fan-out, of which all together are at most `bound`, and one at most `each`."""
    events = _gathered(every, reach, each)
    if bound < LIMIT:
        if events.size == reach.size:
            flat = events.reshape(-1), reach.reshape(-1)
            return Sum(jax.lax.dot(*flat, precision=jax.lax.Precision.HIGHEST), None, bound)
        return Sum(jnp.sum(events * reach), None, bound)
    return total(events * reach, each * every.size / max(events.size, 1))


def _gathered(events: Array, reach: Array, each: float) -> Array:
    """Events added up over the axes along which their fan-out is the same, where that is exact."""
    if events.ndim != reach.ndim:
        return events
    same = [a for a, n in enumerate(reach.shape) if n == 1 and events.shape[a] > 1]
    if not same or each * math.prod(events.shape[a] for a in same) >= LIMIT:
        return events
    return events.sum(axis=tuple(same), keepdims=True)


def weigh_along(events: Array, reach: Array, axis: int, bound: float) -> Sum:
    """Σ events · fan-out, for each entry of one axis."""
    steps = jnp.moveaxis(events * reach, axis, 0)
    flat = steps.reshape(len(steps), -1)
    return over(1, Sum(flat, None, bound), flat.shape[1])
