"""Rows of a weight that a branch adds where data choose it: each is an event that arrives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..axes import WEIGHT
from ..events import existing
from ..exact import Sum, known
from ..findings import Companions, Context, Key, Site
from ..kinds import BARE, Analog, Data, Parameter, Term, Value
from ..resolution import Resolution
from ..run import Taps
from .chosen import keys_met, option_terms
from .contents import loops_of
from .hand import at_most, hand_site, real_layer
from .registry import part, shape_of
from .terms import grouped, outermost


@dataclass(frozen=True)
class RowSite:
    """The synapses of rows that a choice by data adds to one of its results."""

    site: Site
    output: int
    terms: Sequence[Term]  # that are counted here
    shares: Sequence[float]  # of the dense operations that each branch has

    @property
    def key(self) -> Key:
        """What the products travel under."""
        return self.terms[0].key

    @property
    def repeated(self) -> tuple[bool, ...]:
        """Axes along which a row is the same: batch and time."""
        return tuple(not along for along in self.terms[0].axes.flags(WEIGHT))

    def chosen_by(self, index: Data) -> bool:
        """Whether the choice itself scales any of its rows."""
        return any(t.source == index.root for t in self.terms)

    def counts(self, index: Any, there: Companions, resolution: Resolution, within: bool) -> Taps:
        """Records of the site: what the branch that was chosen has added."""
        each = at_most(self.terms)
        summed: Callable[[Array], Sum] = lambda x: resolution.summed(x, self.repeated, within, each)
        share = jnp.asarray(self.shares, jnp.float32)[jnp.clip(index, 0, len(self.shares) - 1)]
        slots = sum(t.positions for t in self.terms)
        dense = known(self.site.dense)
        if not resolution.total or min(self.shares) < 1:
            dense = summed(jnp.full(self.terms[0].axes.shape, slots * share, jnp.float32))
        rows, kind = summed(there[self.key]), "ac" if self.site.spiking else "mac"
        found = {f"dense_{kind}": dense, kind: rows}
        found |= {"ac_graded": rows} if self.site.spiking else {}
        return {(self.site.path, field): count for field, count in found.items()}


def row_sites(
    eqn: Any, outs: Sequence[Value], options: Sequence[Sequence[Value]], index: Data, ctx: Context
) -> list[RowSite]:
    """The sites of a choice whose branches add rows of a leaf to its results."""
    found: list[RowSite] = []
    for k, (out, var) in enumerate(zip(outs, eqn.outvars, strict=True)):
        if not isinstance(out, Analog):
            continue
        terms = option_terms(options[k], index)
        keys = keys_met(terms)
        here = outermost(t for t in out.terms if t.key in keys and not t.counted)
        for new in grouped(t for t in here if t.axes.shape == shape_of(var)):
            pairs, axes, leaves = [(0, t) for t in new], new[0].axes, new[0].weight.leaves
            place = part(ctx, len(found))
            layer = real_layer(new, loops_of(out))
            site = hand_site(eqn, place, new[0], leaves, shape_of(var), pairs, axes, layer)
            found.append(RowSite(site, k, new, _shares(new, terms, index)))
    return found


def _shares(
    here: Sequence[Term], options: Sequence[frozenset[Term]], index: Data
) -> tuple[float, ...]:
    """Positions that are met in each branch, of all: products in it, and rows wherever chosen."""
    key = here[0].key
    own = [[t for t in terms if t.key == key and not t.counted] for terms in options]
    chosen = [_positions([t for t in terms if t.source == index.root]) for terms in own]
    met = [max(chosen) + _positions(terms) - rows for terms, rows in zip(own, chosen, strict=True)]
    whole = max(_positions(here), 1.0)
    return tuple(m / whole for m in met)


def _positions(terms: Sequence[Term]) -> float:
    return sum(t.positions for t in terms)


def settled(k: int, out: Value, sites: Sequence[RowSite]) -> Value:
    """A result of a choice, whose products stand in the record of a site now: it feeds a region."""
    own = [s for s in sites if s.output == k]
    if not own:
        return out
    assert isinstance(out, Data)
    keys = {s.key for s in own}
    terms = frozenset(t.but(counted=True) if t.key in keys else t for t in out.terms)
    feeds = out.feeds | {s.site.path for s in own}
    size = max(out.size, *(s.site.neurons for s in own))
    return out.anew(feeds=feeds, size=size, terms=terms)


def with_rows(
    info: Value, goal: Value, value: Any, beside: Companions | None, own: Companions | None
) -> Companions | None:
    """What travels beside a result of a branch, where the choice makes products of its rows."""
    if beside is None:
        return None
    rows = _leaf(info, goal, value) if isinstance(info, Parameter) else _rows(goal, own or {})
    return {k: v + rows[k] if k in rows else v for k, v in beside.items()}


def _leaf(info: Parameter, goal: Value, value: Any) -> dict[Key, Array]:
    """A leaf that is chosen as it is."""
    return {t.key: existing(value) for t in goal.opened if t.weight == info.weight}


def _rows(goal: Value, own: Companions) -> dict[Key, Array]:
    """Rows that the branch has added, as products."""
    pairs = ((t.key, t.but(source=BARE).key) for t in goal.opened)
    return {key: own[bare] for key, bare in pairs if bare in own}
