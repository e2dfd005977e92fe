"""A counted program: traced once for each structure, kept, and called many times."""

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from ._activity.account import Account
from ._arguments import argument_infos, check_arguments
from ._records import Records
from ._trace import Analysis, Leaves, Plan, Resolution, Runner, is_array


class Program:
    """One traced function: its plan, its convention, and the counted jaxpr."""

    def __init__(self, call: "Call", around: Leaves, weights: tuple[int, ...], spikes: Any, resolution: Resolution):
        check_arguments(call.args, weights)
        self._rest: Any = None
        self._out: Any = None
        shapes = [_shape(x) for x in call.dynamic]
        closed = jax.make_jaxpr(self._flat(call))(*shapes)
        self.analysis = Analysis(around, resolution)
        infos = argument_infos(call.fn, call.args, call.kwargs, around, weights, spikes)
        self.plan: Plan = self.analysis.analyse(closed, infos, ())
        self.analysis.finish(self.plan)
        self._records = Records(self.analysis, around)
        self.convention = self._records.convention(_options(weights=weights, spikes=spikes, **dataclasses.asdict(resolution)))
        self.leaky = any(isinstance(c, Tracer) for c in _constants(closed))
        around.forget()
        self._run = self._counted if self.leaky else self._compiled(shapes)

    def _flat(self, call: "Call") -> Callable:
        """The function on a flat list of arrays; its output structure is remembered."""

        def flat(*leaves):
            fn, args, kwargs = eqx.combine(jax.tree.unflatten(call.treedef, leaves), call.static)
            arrays, self._rest = eqx.partition(fn(*args, **kwargs), is_array)
            outs, self._out = jax.tree.flatten(arrays)
            return outs

        return flat

    def _counted(self, *leaves: Any) -> tuple[list, dict]:
        """Outputs and records; called while tracing."""
        outs, _, taps = Runner(self.analysis).run(self.plan, leaves, [None] * len(leaves))
        return outs, self._records.layers(taps)

    def _compiled(self, shapes: list) -> Callable:
        """The counted jaxpr: inlined into other traces, compiled once when called eagerly."""
        counted, out = jax.make_jaxpr(self._counted, return_shape=True)(*shapes)
        structure, function = jax.tree.structure(out), jaxpr_as_fun(counted)
        return jax.jit(lambda *leaves: jax.tree.unflatten(structure, function(*leaves)), inline=True)

    def __call__(self, dynamic: list) -> tuple[Any, Account]:
        """Run: the function's output and the account."""
        outs, layers = self._run(*dynamic)
        output = eqx.combine(jax.tree.unflatten(self._out, outs), self._rest)
        return output, Account(layers, self.convention, self._records.order)


class Call:
    """One call of a function, taken apart into arrays and everything else, as `eqx.filter_jit` does."""

    def __init__(self, fn: Callable, args: tuple, kwargs: dict):
        self.fn, self.args, self.kwargs = fn, args, kwargs
        dynamic, self.static = eqx.partition((fn, args, kwargs), is_array)
        self.dynamic, self.treedef = jax.tree.flatten(dynamic)

    def key(self, *more: Any) -> tuple | None:
        """What a program depends on besides values, or `None` where that cannot be hashed."""
        fixed, structure = jax.tree.flatten(self.static)
        avals = tuple((s.shape, str(s.dtype), s.weak_type) for s in map(_shape, self.dynamic))
        config = tuple(getattr(jax.config, f"jax_{name}") for name in _CONFIG)
        parts = (tuple(map(_hashable, fixed)), structure, self.treedef, avals, config, more)
        try:
            hash(parts)
        except TypeError:
            return None
        return parts


def _options(**options: Any) -> tuple[tuple[str, str], ...]:
    """Options that were given, in words."""
    return tuple((name, str(value)) for name, value in options.items() if value not in (None, False, ()))


_CONFIG = ("enable_x64", "default_matmul_precision", "numpy_rank_promotion", "numpy_dtype_promotion")


def _shape(x: Any) -> jax.ShapeDtypeStruct:
    weak = getattr(getattr(x, "aval", None), "weak_type", False)
    return jax.ShapeDtypeStruct(jnp.shape(x), x.dtype, weak_type=weak)


def _constants(closed: ClosedJaxpr) -> Iterator[Any]:
    """Constants of a jaxpr and of all jaxprs inside it."""
    yield from closed.consts
    for eqn in closed.jaxpr.eqns:
        for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda x: isinstance(x, ClosedJaxpr)):
            if isinstance(inner, ClosedJaxpr):
                yield from _constants(inner)


class Same:
    """Compares by identity, and keeps the object alive so that its identity is not reused."""

    def __init__(self, item: Any):
        self.item = item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.item is other.item

    def __hash__(self) -> int:
        return id(self.item)


def _hashable(x: Any) -> Any:
    try:
        hash(x)
    except TypeError:
        return Same(x)
    return type(x), x


_CACHE: OrderedDict = OrderedDict()
_CACHE_SIZE = 256


def programs(key: Any, make: Callable[[], Program]) -> Program:
    """Counted programs, the most recently used ones kept."""
    if key is None:
        return make()
    if key in _CACHE:
        _CACHE.move_to_end(key)
        return _CACHE[key]
    program = make()
    if not program.leaky:
        _CACHE[key] = program
        if len(_CACHE) > _CACHE_SIZE:
            _CACHE.popitem(last=False)
    return program
