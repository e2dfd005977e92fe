"""Sparse and ragged products: `BCOO`, `BCSR`, groups of rows."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..events import existing
from ..findings import Context, Found
from ..kinds import Analog, Events, Value, varied
from ..places import NONE
from .contractions import adjoint, operands, sides
from .products import Geometry, bilinear, products_of_parameters
from .registry import because, rule, shape_of


def _geometry(
    eqn: Any, dense: float, stored: float, alone: tuple[Sequence[int], Sequence[int]]
) -> Geometry:
    """A product with more operands than two: first, last or second, the others are indices.

    `stored` are the elements of the first operand, `alone` the axes of the result that are those
    of one operand alone.
    """
    places = (0, 1) if eqn.primitive.name.startswith("ragged") else (0, len(eqn.invars) - 1)
    shapes, out = [shape_of(eqn.invars[i]) for i in places], shape_of(eqn.outvars[0])
    params = {**eqn.params, "preferred_element_type": jnp.dtype(jnp.float32)}
    sizes = [math.prod(out[a] for a in axes) for axes in alone]

    def product(a: Any, b: Any, values: Sequence[Any]) -> Array:
        operands = list(values)
        operands[places[0]], operands[places[1]] = (x.astype(jnp.float32) for x in (a, b))
        return eqn.primitive.bind(*operands, **params)

    def fanout(w: int, weight: Any, values: Sequence[Any]) -> Array:
        fixed = existing(weight)
        if w == 1:
            return adjoint(lambda x: product(x, fixed, values), shapes[0], out)
        return adjoint(lambda x: product(fixed, x, values), shapes[1], out)

    return Geometry(
        dense=dense,
        synapses=(stored, float(math.prod(shapes[1]))),
        neurons=(
            float(math.prod(out) // max(sizes[1], 1)),
            float(math.prod(out) // max(sizes[0], 1)),
        ),
        inputs=(0.0, 0.0),
        free=(tuple(alone[0]), tuple(alone[1])),
        contracted=((), ()),
        product=product,
        fanout=fanout,
        places=places,
        fixed=False,
        once=1,
    )


@rule("bcoo_dot_general", "bcsr_dot_general", parameters=products_of_parameters)
def _sparse_dot(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """A stored element is a synapse position; indices say which.

    What is stored once may serve a whole batch.
    """
    stored, indices, other, out = map(shape_of, (*eqn.invars[:2], eqn.invars[-1], eqn.outvars[0]))
    whole = eqn.params["lhs_spinfo"].shape
    batches = len(indices) - (2 if eqn.primitive.name == "bcoo_dot_general" else 1)
    (first, second), (left, right) = sides((whole, other), eqn.params["dimension_numbers"])
    served = [a for d, a in first.items() if d < batches and stored[d] < whole[d]]
    dense = math.prod((*whole[:batches], *stored[batches:])) * math.prod(out[a] for a in right)
    geometry = _geometry(eqn, float(dense), float(math.prod(stored)), (left, [*served, *right]))
    known = {d: a for d, a in first.items() if d < batches}, second
    return bilinear(eqn, operands(eqn, ins), ctx, dataclasses.replace(geometry, out=known))


@rule("ragged_dot_general", "ragged_dot", parameters=products_of_parameters)
def _ragged(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """Groups of rows, each with a weight of its own."""
    numbers = eqn.params["ragged_dot_dimension_numbers"]
    (first, second), out = map(shape_of, eqn.invars[:2]), shape_of(eqn.outvars[0])
    dot, groups = numbers.dot_dimension_numbers, numbers.rhs_group_dimensions
    summed = {*numbers.lhs_ragged_dimensions} & {*dot[0][0]}  # groups are an axis of the result
    found, alone = sides((first, second), dot, groups, len(summed))
    dense = float(math.prod(first) * math.prod(out[a] for a in alone[1]))
    geometry = _geometry(eqn, dense, dense, alone)
    return bilinear(eqn, operands(eqn, ins), ctx, dataclasses.replace(geometry, out=found))


FORMATS = """
bcoo_fromdense bcoo_todense bcoo_extract bcoo_transpose bcoo_sort_indices
bcoo_sum_duplicates bcoo_spdot_general
bcoo_broadcast_in_dim bcoo_reduce_sum bcoo_dynamic_slice bcoo_dot_general_sampled
bcsr_fromdense bcsr_todense bcsr_extract
coo_fromdense coo_todense csr_fromdense csr_todense
""".split()


@rule(*FORMATS)
def _format(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Another form of the same values, at places that data say."""
    first = ins[0]
    cause = because(eqn, f"`{eqn.primitive.name}` of data")
    outs: list[Value] = []
    for k, v in enumerate(eqn.outvars):
        if k == 0 and isinstance(first, Events) and not first.beside:
            outs.append(first.anew(axes=varied(shape_of(v)), terms=NONE, weight=None))
        else:
            outs.append(Analog(varied(shape_of(v)), cause=cause))
    open_terms = any(i.opened for i in ins)
    sums = "dot" in eqn.primitive.name or "sum" in eqn.primitive.name
    lost = "weights × data in a sparse format" if open_terms or sums else None
    return Found(outs, lost=lost)
