"""What a program costs by its shapes alone: no array is made, and nothing runs.

What a site executes with nothing skipped follows from shapes, so in the traced program it is a
constant; dead-code elimination leaves nothing else.
"""

import contextlib
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from .._activity.account import Convention
from .._activity.record import Activity
from .._count import count
from .._count.names import is_array
from .._count.run import evaluate_one

FIELDS = ("dense_ac", "dense_mac", "updates", "neurons", "synapses", "lookups")
Table = dict[str, dict[str, float]]
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Shapes:
    """One call of a function, by the shapes of everything that enters."""

    def __init__(self, call: Call, options: dict[str, Any]):
        arrays, self._rest = eqx.partition(call, is_array)
        self._shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), arrays)
        self._options = options
        self.order: list[str] = []

    def call(self, arrays: Any = None) -> Call:
        """The call with these arrays, or with shapes in their place."""
        return eqx.combine(self._shapes if arrays is None else arrays, self._rest)

    def convention(self) -> Convention:
        """How it is counted."""
        fn, args, kwargs = self.call()
        return count(fn, **self._options).convention(*args, **kwargs)

    def table(self, change: Callable[[Any], Any] = lambda fn: fn) -> tuple[Table, tuple[str, ...]]:
        """Counts by layer, and the layers whose counts are not decided by shapes.

        **Arguments:**

        - `change`: what to do to the function before it is counted.
        """

        def counted(arrays: Any, only: tuple[str, str] | None = None) -> Any:
            fn, args, kwargs = self.call(arrays)
            account = count(change(fn), **self._options)(*args, **kwargs)[1]
            self.order = list(account)
            asked = [only] if only else itertools.product(self.order, FIELDS)
            both = {k: (_field(account.layers, *k), _field(account.rest, *k)) for k in asked}
            return {".".join(k[::-1]): v for k, v in both.items() if v[0] is not None}

        found, unknown = self._constants(counted), []
        if found is None:
            found = {}
            for key in itertools.product(list(self.order), FIELDS):
                value = self._constants(functools.partial(counted, only=key))
                found |= value or {}
                unknown += [key[0]] if value is None and key[1].startswith("dense") else []
        table: Table = {name: {} for name in self.order}
        for key, value in found.items():
            field, _, name = key.partition(".")
            table[name][field] = value
        return table, tuple(dict.fromkeys(unknown))

    def pads(self) -> bool:
        """Whether a convolution of the program pads its input."""

        def run(arrays: Any) -> Any:
            fn, args, kwargs = self.call(arrays)
            return [x for x in jax.tree.leaves(fn(*args, **kwargs)) if is_array(x)]

        return _pads(jax.make_jaxpr(run)(self._shapes))

    def _constants(self, fn: Callable[..., Any]) -> dict[str, float] | None:
        """Results of a function that need no input, or nothing if they do."""
        lowered = jax.jit(fn).lower(self._shapes)
        if "@main()" not in lowered.as_text():
            return None
        made = lowered.compile()(jax.tree.map(_nothing, self._shapes))
        return {
            k: float(high) + float(0 if low is None else low) for k, (high, low) in made.items()
        }


def _field(records: dict[str, Activity] | None, name: str, field: str) -> Any:
    """One count, or what float32 has lost of it."""
    return getattr((records or {}).get(name), field, None)


def _nothing(shape: jax.ShapeDtypeStruct) -> Any:
    """An argument that is dropped before anything runs, in the memory of one number."""
    if jax.dtypes.issubdtype(shape.dtype, jax.dtypes.prng_key):
        return jnp.broadcast_to(jax.random.key(0), shape.shape)
    return np.broadcast_to(np.zeros((), shape.dtype), shape.shape)


# -- padding written out ------------------------------------------------------------------------


def padded(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function with zeros written around the input of every convolution that pads.

    What a machine that multiplies padding executes is then the dense count.
    """

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = jax.tree.flatten((args, kwargs))
        arrays, rest = eqx.partition(leaves, is_array)
        outs: list[Any] = []

        def flat(arrays: Any) -> list[Any]:
            args, kwargs = jax.tree.unflatten(tree, eqx.combine(arrays, rest))
            out, other = eqx.partition(fn(*args, **kwargs), is_array)
            outs.append(other)
            flat_out, shape = jax.tree.flatten(out)
            outs.append(shape)
            return flat_out

        closed = jax.make_jaxpr(flat)(arrays)
        values = _evaluate(closed, jax.tree.leaves(arrays))
        return eqx.combine(jax.tree.unflatten(outs[1], values), outs[0])

    return run


_INSIDE = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}


def _evaluate(closed: Any, args: Sequence[Any], consts: Sequence[Any] = ()) -> list[Any]:
    jaxpr = closed.jaxpr if isinstance(closed, ClosedJaxpr) else closed
    consts = closed.consts if isinstance(closed, ClosedJaxpr) else consts
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    known |= zip(jaxpr.invars, args, strict=True)
    read = lambda v: v.val if isinstance(v, Literal) else known[v]
    for eqn in jaxpr.eqns:
        ins = [read(v) for v in eqn.invars]
        known |= zip(eqn.outvars, _equation(jaxpr, eqn, ins), strict=True)
    return [read(v) for v in jaxpr.outvars]


def _equation(jaxpr: Any, eqn: Any, ins: list[Any]) -> list[Any]:
    name = eqn.primitive.name
    scope = str(eqn.source_info.name_stack)
    with jax.named_scope(scope) if scope else contextlib.nullcontext():
        if name == "conv_general_dilated":
            return [_convolution(eqn, *ins)]
        if name in _INSIDE and _INSIDE[name] in eqn.params:
            return _evaluate(eqn.params[_INSIDE[name]], ins)
        if name == "scan":
            return _scan(eqn, ins)
    return evaluate_one(jaxpr, eqn, ins)


def _convolution(eqn: Any, x: Any, weight: Any) -> Any:
    """The convolution of an input in which the padding stands as data."""
    names = ("window_strides", "lhs_dilation", "rhs_dilation", "dimension_numbers")
    kept = {k: eqn.params[k] for k in names}
    kept |= {k: eqn.params[k] for k in ("feature_group_count", "batch_group_count")}
    padding, holes = eqn.params["padding"], any(d > 1 for d in kept["lhs_dilation"])
    if not holes:
        space = kept["dimension_numbers"].lhs_spec[2:]
        config = [(0, 0, 0)] * x.ndim
        for axis, (low, high) in zip(space, padding, strict=True):
            config[axis] = (low, high, 0)
        x = lax.optimization_barrier(lax.pad(x, jnp.zeros((), x.dtype), config))  # inputs now
        padding = [(0, 0)] * len(space)
    return lax.conv_general_dilated(x, weight, padding=padding, **kept)


def _scan(eqn: Any, ins: list[Any]) -> list[Any]:
    params, n, m = eqn.params, eqn.params["num_consts"], eqn.params["num_carry"]
    consts, carry, xs = ins[:n], ins[n : n + m], ins[n + m :]

    def step(carry: Any, now: Any) -> Any:
        out = _evaluate(params["jaxpr"], [*consts, *carry, *now])
        return out[:m], out[m:]

    last, ys = lax.scan(
        step, carry, xs, length=params["length"], reverse=params["reverse"], unroll=params["unroll"]
    )
    return [*last, *ys]


def _pads(jaxpr: Any) -> bool:
    body = jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr
    for eqn in body.eqns:
        if eqn.primitive.name == "conv_general_dilated" and any(
            p > 0 for pair in eqn.params["padding"] for p in pair
        ):
            return True
        parts = jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_program)
        if any(_pads(p) for p in parts if _is_program(p)):
            return True
    return False


def _is_program(x: Any) -> bool:
    return isinstance(x, Jaxpr | ClosedJaxpr)
