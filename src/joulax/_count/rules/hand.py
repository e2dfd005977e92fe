"""The site of a weighted sum that is written by hand: its synapses, neurons and counts."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..axes import IDLE, WEIGHT, Axes, delivered
from ..events import mask
from ..exact import MANY, Sum
from ..findings import Context, Key, Operands, Site, Tap
from ..kinds import Cause, Leaves, Term, Weight
from ..places import NONE, Layer, Paths, Place, union
from .registry import because, site_of

# Counts of an operand at the shape of a sum; `None`: one for each product, on average one.
Spread = Callable[[Operands, int, Array | None], Array]


def hand_site(
    eqn: Any,
    ctx: Context,
    term: Term,
    leaves: Leaves,
    shape: tuple[int, ...],
    new: Sequence[tuple[int, Term]],
    axes: Axes,
    layer: Layer | None = None,
) -> Site:
    """The site of a weighted sum written by hand; `new` are the terms counted here."""
    size = float(math.prod(shape))
    dense, distinct = size * sum(t.positions for _, t in new), size * _distinct(t for _, t in new)
    neurons = float(delivered(axes).size(1))
    share = neurons / size if size else 0.0
    slices = frozenset(t.weight.place.slices for _, t in new)
    place = Place((slices,), term.weight.place.walks)
    here = distinct * share
    synapses = positions(ctx, here, [t for _, t in new], layer)
    return site_of(
        eqn,
        ctx,
        Weight(leaves, term.weight.axes, place, layer),
        spiking=term.spiking,
        cause=None if term.spiking else because(eqn, "a leaf times analog data"),
        dense=dense,
        synapses=synapses,
        here=here,
        neurons=neurons,
        inputs=0.0,
    )


def _distinct(terms: Iterable[Term]) -> float:
    """Positions of products: of a row that data choose one, whatever chooses it how often."""
    found = {(t.weight.place, t.is_row or (t.source, t.place)): t.positions for t in terms}
    return sum(p or 1.0 for p in found.values())


def positions(
    ctx: Context, here: float, terms: Sequence[Term], layer: Layer | None = None
) -> float:
    """Distinct synapse positions of a sum, where loops or indices walk over the weights."""
    layers = frozenset((layer.path,)) if layer else NONE
    steps = ctx.steps(union(t.weight.place.walks for t in terms) - layers)
    elements = ctx.elements(union(t.weight.leaves for t in terms))
    if all(t.lookup and t.name == (-1, -1) for t in terms):
        return elements
    if steps is None or any(t.lookup for t in terms):
        return max(here, elements)
    taken = sum({(t.weight.place, t.source, t.place): _varied(t) for t in terms}.values())
    return min(here * steps, max(here, here * elements / taken))


def _varied(term: Term) -> int:
    """Elements of a leaf that a product has."""
    return min(term.weight.axes.count(WEIGHT), term.axes.count(WEIGHT))


def real_layer(terms: Sequence[Term], added: Paths) -> Layer | None:
    """The scan over layers that slices the weight, unless it is a loop that adds the terms up."""
    layer = terms[0].weight.layer
    return None if layer and layer.path in added else layer


def current_cause(site: Site) -> Cause:
    """Why what leaves a site is analog."""
    return Cause(f"synaptic currents of `{site.primitive}` are analog", site.source)


def at_most(terms: Iterable[Term]) -> float:
    """Operations of one element of some products, at most, as far as the program says."""
    return sum(math.ceil(t.positions) * (MANY if t.spiking else 1.0) for t in terms)


def hand_taps(
    ctx: Context, site: Site, new: Sequence[tuple[int, Term]], axes: Axes, spread: Spread
) -> tuple[Tap, ...]:
    """Counts of the terms that are added here."""
    each, within = at_most(t for _, t in new), ctx.within_steps()
    keys = list(dict.fromkeys((i, t.key) for i, t in new))
    repeated = axes.wholly(IDLE)

    def summed(make: Callable[[Operands, int, Key], Array]) -> Callable[[Operands], Sum]:
        def count(ops: Operands) -> Sum:
            parts = [make(ops, i, key) for i, key in keys]
            total = sum(parts, jnp.zeros(ops.outs[0].shape, jnp.float32))
            return ctx.resolution.summed(total, repeated, within, each)

        return count

    many = {(i, t.key): t.positions for i, t in new}

    def ones(ops: Operands, i: int, key: Key) -> Array:
        return spread(ops, i, None) * many[i, key]

    def there(ops: Operands, i: int, key: Key) -> Array:
        return spread(ops, i, ops.term(i, key))

    def graded(ops: Operands, i: int, key: Key) -> Array:
        return spread(ops, i, mask(ops.term(i, key)))

    kind = "ac" if site.spiking else "mac"
    dense = site.dense if ctx.resolution.total else summed(ones)
    found = [Tap(site.path, f"dense_{kind}", dense)]
    found.append(Tap(site.path, kind, summed(there)))
    if site.spiking:
        found.append(Tap(site.path, "ac_graded", summed(graded)))
    return tuple(found)
