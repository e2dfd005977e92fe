"""A counted program: traced once for each structure, kept, and called many times."""

import dataclasses
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from .._activity.account import Account
from .._activity.record import Activity
from .arguments import Arguments, Names, argument_values
from .findings import pruning
from .kinds import Data
from .layers import Layers
from .names import Leaves, Same, is_array
from .plan import Plan
from .resolution import Resolution
from .run import Runner
from .walker import Walker


class Program:
    """One traced function: its plan, its convention, and the counted jaxpr."""

    def __init__(
        self, call: "Call", around: Leaves, weights: Names, spikes: Any, resolution: Resolution
    ):
        self._rest: Any = None
        self._out: Any = None
        shapes = [_shape(x) for x in call.dynamic]
        arguments = Arguments(call.fn, call.args, call.kwargs)
        infos = argument_values(arguments, around, weights, spikes)
        closed = jax.make_jaxpr(self._flat(call))(*shapes)
        declared = bool(weights) or any(map(is_array, jax.tree.leaves(call.fn)))
        self.walker = Walker(around, resolution, declared)
        self.plan: Plan = self.walker.plan(closed, infos, ())
        _check_dependence(self.plan)
        _check_steps(self.walker, resolution)
        self._finish()
        self._layers = Layers(self.walker, around)
        options = dict(weights=weights, spikes=spikes, **dataclasses.asdict(resolution))
        self.convention = self._layers.convention(_options(**options))
        self._closed = closed
        self.lasting = not any(isinstance(c, Tracer) for c in _constants(closed))
        around.forget()
        self._run = self._compiled(shapes) if self.lasting else self._counted

    def _flat(self, call: "Call") -> Callable[..., list[Any]]:
        """The function on a flat list of arrays; its output structure is remembered."""

        def flat(*leaves: Any) -> list[Any]:
            fn, args, kwargs = eqx.combine(jax.tree.unflatten(call.treedef, leaves), call.static)
            arrays, self._rest = eqx.partition(fn(*args, **kwargs), is_array)
            outs, self._out = jax.tree.flatten(arrays)
            return outs

        return flat

    def same(self, other: "Program") -> bool:
        """Whether two traces gave the same equations over the same constants."""
        ours, theirs = (list(_constants(p._closed)) for p in (self, other))
        texts = (_ADDRESS.sub("", str(p._closed.jaxpr)) for p in (self, other))
        return next(texts) == next(texts) and all(map(_equal, ours, theirs))

    def _finish(self) -> None:
        """Spikes that reach the outputs leave."""
        outs = [o for o in self.plan.outs if isinstance(o, Data)]
        self.walker.tables.leaving = frozenset().union(*(o.births for o in outs))

    def _counted(self, *leaves: Any) -> tuple[list[Any], dict[str, Activity], dict[str, Activity]]:
        """Outputs and records; called while tracing."""
        with pruning(self.walker.resolution.pruning):
            runner = Runner(self.walker)
            outs, there, taps = runner.run(self.plan, leaves, [None] * len(leaves))
        del there
        return outs, *self._layers.records(taps)

    def _compiled(self, shapes: list[Any]) -> Callable[..., Any]:
        """The counted jaxpr: inlined into other traces, compiled once when called eagerly."""
        counted, out = jax.make_jaxpr(self._counted, return_shape=True)(*shapes)
        structure, function = jax.tree.structure(out), jaxpr_as_fun(counted)
        run = lambda *leaves: jax.tree.unflatten(structure, function(*leaves))
        return jax.jit(run, inline=True)

    def __call__(self, dynamic: list[Any]) -> tuple[Any, Account]:
        """Run: the function's output and the account."""
        outs, layers, rests = self._run(*dynamic)
        output = eqx.combine(jax.tree.unflatten(self._out, outs), self._rest)
        return output, Account(layers, self.convention, self._layers.order, rests)


def _check_dependence(plan: Plan) -> None:
    """Refuse a program none of whose results depends on its arguments: nothing in it is data."""
    if plan.outs and not any(isinstance(o, Data) for o in plan.outs):
        raise ValueError(
            "no result of this function depends on an argument that is data: is the input closed "
            "over, or did it come as a Python list? Pass it as an array argument"
        )


def _check_steps(walker: Walker, resolution: Resolution) -> None:
    """Refuse to keep the steps of a loop that does not exist."""
    if resolution.steps is None or walker.stepped:
        return
    sites = walker.tables.sites.values()
    claims = walker.tables.claims.values()
    sizes = {n for c in claims for n in c.axes.shape}
    if sites and resolution.steps not in sizes:
        raise ValueError(
            f"steps={resolution.steps}: no scan of this length, and no batch or time axis; "
            "steps= takes the number of time steps"
        )


class Call:
    """One call of a function, taken apart into arrays and the rest as `eqx.filter_jit` does."""

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]):
        self.fn, self.args, self.kwargs = fn, args, kwargs
        dynamic, self.static = eqx.partition((fn, args, kwargs), is_array)
        self.dynamic, self.treedef = jax.tree.flatten(dynamic)

    def key(self, *more: Any) -> tuple[Any, ...] | None:
        """What a program depends on besides values, or `None` where that cannot be hashed."""
        fixed, structure = jax.tree.flatten(self.static)
        avals = tuple(_signature(x) for x in self.dynamic)
        config = tuple(getattr(jax.config, f"jax_{name}") for name in _CONFIG)
        parts = (tuple(map(_hashable, fixed)), structure, self.treedef, avals, config, more)
        try:
            hash(parts)
        except TypeError:
            return None
        return parts


def _options(**options: Any) -> tuple[tuple[str, str], ...]:
    """Options that were given, in words."""
    given = ((n, v) for n, v in options.items() if v not in (None, False, ()))
    return tuple((name, str(value)) for name, value in given)


_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of Python functions in the text of a jaxpr
_CONFIG = (
    "enable_x64",
    "default_matmul_precision",
    "numpy_rank_promotion",
    "numpy_dtype_promotion",
)


def _shape(x: Any) -> jax.ShapeDtypeStruct:
    aval = getattr(x, "aval", None)
    weak = getattr(aval, "weak_type", False)
    sharding = _explicit(aval)
    return jax.ShapeDtypeStruct(jnp.shape(x), x.dtype, weak_type=weak, sharding=sharding)


def _explicit(aval: Any) -> Any:
    """The sharding that belongs to the type of an array on an explicit mesh."""
    sharding = getattr(aval, "sharding", None)
    mesh = getattr(sharding, "mesh", None)
    explicit = mesh is not None and getattr(mesh, "_any_axis_explicit", False)
    return sharding if explicit else None


def _signature(x: Any) -> tuple[Any, ...]:
    s = _shape(x)
    return s.shape, str(s.dtype), s.weak_type, str(s.sharding)


def _constants(closed: ClosedJaxpr) -> Iterator[Any]:
    """Constants of a jaxpr and of all jaxprs inside it."""
    yield from closed.consts
    is_jaxpr = lambda x: isinstance(x, ClosedJaxpr)
    for eqn in closed.jaxpr.eqns:
        for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=is_jaxpr):
            if isinstance(inner, ClosedJaxpr):
                yield from _constants(inner)


def _equal(a: Any, b: Any) -> bool:
    """Whether two constants are the same array, or arrays of the same values."""
    known = (not isinstance(x, Tracer) and jnp.issubdtype(x.dtype, np.number) for x in (a, b))
    if a is b or not all(known):
        return a is b
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


def _hashable(x: Any) -> Any:
    try:
        hash(x)
    except TypeError:
        return Same(x)
    return type(x), x


_CACHE: OrderedDict[Any, Program] = OrderedDict()
_CACHE_SIZE = 256


def programs(key: Any, make: Callable[[], Program]) -> Program:
    """Counted programs, the most recently used ones kept."""
    if key is None:
        return make()
    if key in _CACHE:
        _CACHE.move_to_end(key)
        return _CACHE[key]
    program = make()
    if program.lasting:
        _CACHE[key] = program
        if len(_CACHE) > _CACHE_SIZE:
            _CACHE.popitem(last=False)
    return program
