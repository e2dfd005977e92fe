"""Leaves that are chosen, or added as they are, where data say: the choice scales them."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..events import existing
from ..findings import Companions, Context, Found, Key, Operands
from ..kinds import BARE, Data, Parameter, Term, Value, Weight
from ..places import NONE, Place, union
from .births import datas, mixed
from .made import leaf_of
from .registry import travelling
from .terms import together, walked


def bare_terms(ins: Sequence[Value], *, travels: bool = False) -> frozenset[Term]:
    """A slice of a leaf, added as it is: if data choose whether, data scale it.

    In a branch that data choose it `travels` on until the choice is known.
    """
    rows = rows_in(ins) if travels else [i for i in rows_in(ins) if isinstance(i, Parameter)]
    weights = [w for w in map(leaf_of, rows) if w is not None]
    return frozenset(_row(w, BARE, Place(), counted=not travels) for w in weights)


def rows_in(ins: Sequence[Value]) -> list[Value]:
    """Slices of a leaf, changed by data perhaps, among the operands of a sum with other data."""
    rows = list(filter(is_row, ins))
    others = [i for i in ins if i not in rows]
    return rows if others and (datas(others) or others[0].constant == 0) else []


def is_row(value: Value) -> bool:
    """Whether a value is a slice of a leaf, changed by data perhaps, but not chosen by any."""
    leaf = leaf_of(value)
    chosen = isinstance(value, Data) and any(t.is_row for t in value.terms)
    return leaf is not None and is_slice(leaf) and not chosen


def is_slice(weight: Weight) -> bool:
    """Whether a loop or an index walks over the leaf."""
    return bool(weight.place.loops or weight.place.slices)


def _row(weight: Weight, source: int, place: Place, *, counted: bool) -> Term:
    return Term(weight, source, place, weight.axes, True, counted=counted)


def option_terms(
    options: Sequence[Value], index: Data, *, branches: bool = True
) -> list[frozenset[Term]]:
    """Terms of each option of a choice that data make: the choice scales a leaf that is in it.

    What was added in a branch itself is a product that is not yet summed; of leaves that `select`
    chooses as they are one or nothing is such a product.
    """
    gated = all(isinstance(o, Parameter) for o in options)
    counted = not (branches or (gated and any(o.constant == 0 for o in options)))
    found = [_terms_of(o, index, counted) for o in options]
    outside = found[0].intersection(*found)  # they were there before the choice
    return [frozenset(t if t in outside else walked(t, index) for t in own) for own in found]


def chosen_terms(
    options: Sequence[Value], index: Data, *, branches: bool = True
) -> frozenset[Term]:
    """Terms of a choice: of options that exclude each other the largest has the positions."""
    each = option_terms(options, index, branches=branches)
    found = set(union(each))
    for key in {t.key for t in found if t.is_open}:
        own = [[t for t in terms if t.is_open and t.key == key] for terms in each]
        most = max(own, key=lambda terms: sum(t.positions for t in terms))
        rest = {t for terms in own for t in terms}.difference(most)
        found = (found - rest) | {t.but(positions=0.0) for t in rest}
    return frozenset(found)


def _terms_of(option: Value, index: Data, counted: bool) -> frozenset[Term]:
    if isinstance(option, Data):
        bare = frozenset(t for t in option.terms if t.is_bare)
        return (option.terms - bare) | {_scaled(t.weight, index, t.counted) for t in bare}
    weight = option.weight if isinstance(option, Parameter) else None
    if weight is None or not is_slice(weight):
        return NONE
    return frozenset((_scaled(weight, index, counted),))


def _scaled(weight: Weight, index: Data, counted: bool) -> Term:
    return _row(weight, index.root, index.place, counted=counted)


def rows_of(ops: Operands, i: int, key: Key) -> Array:
    """Products under a key in every element of operand i, or a row that is added as it is."""
    info, (leaves, _, is_bare) = ops.infos[i], key
    leaf = leaf_of(info) if is_bare and info in rows_in(ops.infos) else None
    row = leaf is not None and leaf.leaves == leaves
    return existing(ops.values[i]) if row else ops.term(i, key)


def added(ops: Operands, out: Value) -> Companions:
    """Products in every element: all that travel beside the operands, and rows as they are."""
    shape, keys = ops.outs[0].shape, {t.key for t in out.pending}
    nothing = jnp.zeros(shape, jnp.float32)
    return {k: sum((rows_of(ops, i, k) for i in range(len(ops.infos))), nothing) for k in keys}


def through(eqn: Any, ins: Sequence[Value], ctx: Context, text: str) -> Found:
    """A function, element by element: rows of a leaf that a state collects stay rows of it."""
    terms = frozenset(t for d in datas(ins) for t in d.terms if t.is_row or t.is_spread)
    found = mixed(eqn, ins, ctx, text, terms=terms)
    out = found.outs[0]
    return found.but(events=travelling(out, lambda ops: added(ops, out)))


def rows_lost(options: Sequence[Value], index: Data, *, branches: bool = True) -> str | None:
    """Rows of a leaf that data choose to add, where an option adds them to other rows."""
    text = "rows of a weight, added one by one where data say; write where(spike, row, 0)"
    before = union(o.terms for o in options if isinstance(o, Data))
    for own in option_terms(options, index, branches=branches):
        new = [t for t in own - before if t.counted and t.source == index.root]
        if any(together(t, u) for t in own for u in new):
            return text
    return None


def keys_met(options: Sequence[frozenset[Term]]) -> set[Key]:
    """Of products in a choice that are synapses: of one leaf, brought together in an option.

    What an option counts already is a sum in the others too.
    """
    counted = {(t.key, t.source) for terms in options for t in terms if t.counted}
    return {
        t.key
        for terms in options
        for t in terms
        if not t.counted and ((t.key, t.source) in counted or any(together(t, u) for u in terms))
    }
