"""Sparse and ragged products: `BCOO`, `BCSR`, groups of rows."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..findings import Context, Found, existing
from ..kinds import NONE, Analog, Data, Events, Value, varied
from .products import Geometry, bilinear, products_of_parameters
from .registry import because, rule, shape_of


def _adjoint(f: Callable[[Any], Array], like: tuple[int, ...], out: tuple[int, ...]) -> Array:
    there = jax.ShapeDtypeStruct(like, jnp.float32)
    (found,) = jax.linear_transpose(f, there)(jnp.ones(out, jnp.float32))
    return found


def _geometry(
    eqn: Any, places: tuple[int, int], dense: float, outputs: float, repeats: float = 1.0
) -> Geometry:
    """A product with more operands than two: the others are indices."""
    out, params = shape_of(eqn.outvars[0]), dict(eqn.params)
    params["preferred_element_type"] = jnp.dtype(jnp.float32)

    def product(a: Any, b: Any, values: Sequence[Any]) -> Array:
        operands = list(values)
        operands[places[0]], operands[places[1]] = (x.astype(jnp.float32) for x in (a, b))
        return eqn.primitive.bind(*operands, **params)

    def fanout(w: int, weight: Any, values: Sequence[Any]) -> Array:
        like = shape_of(eqn.invars[places[1 - w]])
        fixed = existing(weight)
        order = lambda x: (x, fixed) if w == 1 else (fixed, x)
        return _adjoint(lambda x: product(*order(x), values), like, out)

    return Geometry(
        dense=dense,
        synapses=(dense / repeats, dense),
        neurons=(outputs / repeats, outputs),
        inputs=(0.0, 0.0),
        free=((), ()),
        contracted=((), ()),
        product=product,
        fanout=fanout,
        places=places,
        fixed=False,
        copies=repeats,
    )


@rule("bcoo_dot_general", "bcsr_dot_general", parameters=products_of_parameters)
def _sparse_dot(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """A stored element is a synapse position; indices say which."""
    stored, other = shape_of(eqn.invars[0]), shape_of(eqn.invars[-1])
    (_, contract), (_, batch) = eqn.params["dimension_numbers"]
    free = [n for d, n in enumerate(other) if d not in (*contract, *batch)]
    dense = float(math.prod(stored) * math.prod(free))
    outputs = float(math.prod(shape_of(eqn.outvars[0])))
    repeats = float(math.prod(free)) if isinstance(ins[-1], Data) else 1.0
    own = [i.but(axes=varied(shape_of(v))) for i, v in zip(ins, eqn.invars, strict=True)]
    return bilinear(eqn, own, ctx, _geometry(eqn, (0, len(ins) - 1), dense, outputs, repeats))


@rule("ragged_dot_general", "ragged_dot", parameters=products_of_parameters)
def _ragged(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """Groups of rows, each with a weight of its own."""
    rows = shape_of(eqn.invars[0])
    out = shape_of(eqn.outvars[0])
    dense = float(math.prod(out) * rows[-1])
    own = [i.but(axes=varied(shape_of(v))) for i, v in zip(ins, eqn.invars, strict=True)]
    stored = float(math.prod(shape_of(eqn.invars[1])))
    geometry = _geometry(eqn, (0, 1), dense, float(out[-1]))
    geometry = dataclasses.replace(geometry, synapses=(dense, stored))
    return bilinear(eqn, own, ctx, geometry)


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
            fresh: dict[str, Any] = dict(number=-1, form=None, terms=NONE, weight=None)
            outs.append(first.but(axes=varied(shape_of(v)), **fresh))
        else:
            outs.append(Analog(varied(shape_of(v)), cause=cause))
    open_terms = any(isinstance(i, Data) and any(not t.counted for t in i.terms) for i in ins)
    sums = "dot" in eqn.primitive.name or "sum" in eqn.primitive.name
    lost = "weights × data in a sparse format" if open_terms or sums else None
    return Found(outs, lost=lost)
