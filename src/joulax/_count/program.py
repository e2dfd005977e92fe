"""A counted program: traced once for each structure, kept, and called many times."""

import dataclasses
import gc
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from .._activity.account import Account
from .arguments import Arguments, Names, argument_values
from .events import pruning
from .kinds import Data
from .layers import Layers
from .leaving import leave
from .names import Leaves, Same, is_array, leaves_with_paths, structure_of
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
        self.walker.settle()
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
            fn, args, kwargs = call.treedef.unflatten(_woven(leaves, call.static))
            before = list(map(_taken_apart, (fn, *args, *kwargs.values())))
            result = fn(*args, **kwargs)
            outs, self._out = jax.tree.flatten(result)
            _refuse_written(before, list(map(_taken_apart, (fn, *args, *kwargs.values()))), outs)
            self._rest = [_ARRAY if is_array(x) else x for x in outs]
            return [x for x in outs if is_array(x)]

        return flat

    def same(self, other: "Program") -> bool:
        """Whether two traces gave the same equations over the same constants."""
        ours, theirs = (list(_constants(p._closed)) for p in (self, other))
        texts = (_ADDRESS.sub("", str(p._closed.jaxpr)) for p in (self, other))
        return next(texts) == next(texts) and all(map(_equal, ours, theirs))

    def _finish(self) -> None:
        """Spikes that reach the outputs leave."""
        leave(self.walker.tables, [o for o in self.plan.outs if isinstance(o, Data)])

    def _counted(self, *leaves: Any) -> tuple[list[Any], Account]:
        """Outputs and account; called while tracing."""
        with pruning(self.walker.resolution.pruning):
            runner = Runner(self.walker)
            outs, there, taps = runner.run(self.plan, leaves, [None] * len(leaves))
        del there
        layers, rests = self._layers.records(taps)
        return outs, Account(layers, self.convention, self._layers.order, rests)

    def _compiled(self, shapes: list[Any]) -> Callable[..., Any]:
        """The counted jaxpr: inlined into other traces, compiled once when called eagerly."""
        counted, out = jax.make_jaxpr(self._counted, return_shape=True)(*shapes)
        structure, outs = structure_of(out), counted.jaxpr.outvars
        constants = _Constants([v.val for v in outs if isinstance(v, Literal)])
        rest = [_ARRAY if isinstance(v, Literal) else None for v in outs]
        changing = [v for v in outs if not isinstance(v, Literal)]
        jaxpr = counted.jaxpr.replace(outvars=changing)
        function = jax.jit(jaxpr_as_fun(ClosedJaxpr(jaxpr, counted.consts)), inline=True)

        def run(*leaves: Any) -> Any:
            changed: list[Any] = [*function(*leaves)]
            found, known = iter(changed), iter(constants.arrays())
            return structure.unflatten(next(known if x is _ARRAY else found) for x in rest)

        return run

    def __call__(self, dynamic: list[Any]) -> tuple[Any, Account]:
        """Run: the function's output and the account."""
        outs, account = self._run(*dynamic)
        return self._out.unflatten(_woven(outs, self._rest)), account


class _Constants:
    """Results that no argument changes: made once, and again if somebody donated them."""

    def __init__(self, values: Sequence[Any]):
        self._values, self._made = values, []

    def arrays(self) -> list[Any]:
        """The constants as arrays."""
        if len(self._made) != len(self._values) or any(x.is_deleted() for x in self._made):
            with jax.ensure_compile_time_eval():
                self._made = [jnp.asarray(v) for v in self._values]
        return self._made


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
        self.treedef: Any
        leaves, self.treedef = jax.tree.flatten((fn, args, kwargs))
        self.static = [_ARRAY if is_array(x) else x for x in leaves]
        self.dynamic = [x for x in leaves if is_array(x)]

    def key(self, *more: Any) -> tuple[Any, ...] | None:
        """What a program depends on besides values, or `None` where that cannot be hashed."""
        avals = tuple(map(_signature, self.dynamic))
        config = tuple(getattr(jax.config, name) for name in _CONFIG)
        parts = (tuple(map(_hashable, self.static)), self.treedef, avals, config, more)
        try:
            hash(parts)
        except TypeError:
            return None
        return parts


def _taken_apart(tree: Any) -> tuple[list[Any], Any]:
    """Leaves with their paths, and the structure; nothing of what cannot be read any more."""
    try:
        return leaves_with_paths(tree), structure_of(tree)
    except (ValueError, RuntimeError):  # states that may be read once
        return [], None


def _refuse_written(before: Sequence[Any], after: Sequence[Any], outs: Sequence[Any]) -> None:
    """Refuse a function that writes into its arguments what it does not return: they are copies."""
    returned = set(map(id, outs))
    for (old, was), (new, is_) in zip(before, after, strict=True):
        if was is None or is_ is None:
            continue
        changed = _changed(old, new)
        written = [jax.tree_util.keystr(p) for p, b in changed if id(b) not in returned]
        if written or (was != is_ and not changed):
            names = ", ".join(written) or "its structure"
            raise ValueError(
                f"the function writes into what it is given ({names}); a traced function works on "
                "copies, so this would be lost and the next call stale. Return the new state: for "
                "Flax NNX `graph, state = nnx.split(model)`, then count a function of `state` that "
                "merges, calls, and returns `nnx.state(model)`; or switch to evaluation"
            )


def _changed(old: Sequence[Any], new: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Leaves that have become others, with their paths."""
    pairs = zip(old, new, strict=False)
    return [(path, b) for (path, a), (_, b) in pairs if not _untouched(a, b)]


def _untouched(a: Any, b: Any) -> bool:
    return a is b or (not is_array(a) and type(a) is type(b) and bool(a == b))


def _options(**options: Any) -> tuple[tuple[str, str], ...]:
    """Options that were given, in words."""
    given = ((n, v) for n, v in options.items() if v not in (None, False, ()))
    return tuple((name, str(value)) for name, value in given)


_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of Python functions in the text of a jaxpr
_CONFIG = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_numpy_rank_promotion",
    "jax_numpy_dtype_promotion",
)
_ARRAY = object()  # stands where an array was


def _woven(arrays: Sequence[Any], rest: Sequence[Any]) -> list[Any]:
    """Leaves of a tree: arrays put back among the rest."""
    left = iter(arrays)
    return [next(left) if x is _ARRAY else x for x in rest]


def _shape(x: Any) -> jax.ShapeDtypeStruct:
    aval = getattr(x, "aval", None)
    weak = getattr(aval, "weak_type", False)
    sharding = _explicit(aval)
    return jax.ShapeDtypeStruct(jnp.shape(x), x.dtype, weak_type=weak, sharding=sharding)


def _explicit(aval: Any) -> Any:
    """The sharding that belongs to the type of an array on an explicit mesh."""
    sharding = getattr(aval, "sharding", None)
    kinds = getattr(getattr(sharding, "mesh", None), "axis_types", ())
    return sharding if jax.sharding.AxisType.Explicit in kinds else None


def _signature(x: Any) -> Any:
    if isinstance(x, jax.Array) and not isinstance(x, Tracer):
        return jax.typeof(x)
    s = _shape(x)
    return s.shape, str(s.dtype), s.weak_type, str(s.sharding)


def _constants(closed: ClosedJaxpr) -> Iterator[Any]:
    """Constants of a jaxpr and of all jaxprs inside it."""
    yield from closed.consts
    for eqn in closed.jaxpr.eqns:
        for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from _constants(inner)


def _is_jaxpr(x: Any) -> bool:
    return isinstance(x, ClosedJaxpr)


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


def forget() -> None:
    """Trace all programs again, from arrays as they are now."""
    _CACHE.clear()
    jax.clear_caches()
    gc.collect()


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
