"""`count`: any JAX function, with what it did beside what it returned."""

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from ._account import Account, Convention, SiteNote
from ._activity import Activity
from ._trace import Analysis, Cause, Info, Kind, Leaves, Plan, Runner, Taps, is_array, layer_names, parameter, surroundings
from ._version import __version__


def count(fn: Callable, *, weights: Any = None, spikes: Any = None, strict: bool = False) -> Callable:
    """Count what a JAX function does while it runs.

    The returned function takes the arguments of `fn` and gives `(fn's output, account)`. It works under
    `jax.jit`, `jax.vmap` and `jax.grad`, and compiles once for each set of shapes when called eagerly.

    **Arguments:**

    - `fn`: any callable; if it is a pytree (an Equinox module, a `Partial`), its arrays are weights and
      their place names the layers.

    **Options:**

    - `weights`: numbers of the arguments that hold parameters (Flax, Haiku, plain functions).
    - `spikes`: numbers of the arguments that carry spikes, or a prefix tree of booleans over the
      arguments. Boolean arrays are spikes without being declared, all others are analog. Events of a
      declared argument are its absolute values.
    - `strict`: raise if any work on data was not counted.

    **Returns:**

    A function that returns `(output, account)` with a [`joulax.Account`][].

    **Raises:**

    `ValueError` if a module is passed as an argument without `weights=`, if `spikes=` or `weights=` name
    an argument that does not exist, or, with `strict=True`, if work on data was not counted.
    """
    return _Counter(fn, _numbers(weights, "weights"), spikes, strict)


def _numbers(weights: Any, name: str) -> tuple[int, ...]:
    numbers = () if weights is None else (weights,) if isinstance(weights, int) else tuple(weights)
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers):
        raise ValueError(f"{name}= takes the numbers of arguments, like {name}=0 or {name}=(0, 1), got {weights!r}")
    return numbers


class _Counter:
    """The function that `count` returns."""

    def __init__(self, fn: Callable, weights: tuple[int, ...], spikes: Any, strict: bool):
        if not callable(fn):
            raise ValueError(f"count() takes a callable, got {type(fn).__name__}; for recorded spikes use joulax.activity_of")
        if inspect.ismethod(fn):
            fn = jax.tree_util.Partial(fn.__func__, fn.__self__)
        self._fn, self._weights, self._spikes, self._strict = fn, weights, spikes, strict
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args, **kwargs):
        program, dynamic = self.program(*args, **kwargs)
        if self._strict and program.convention.uncounted:
            raise ValueError("strict=True: not counted: " + "; ".join(program.convention.uncounted))
        return program(dynamic)

    def plan(self, *args, **kwargs) -> "Program":
        """The counted program for these arguments, arrays or shapes alone."""
        return self.program(*args, **kwargs)[0]

    def program(self, *args, **kwargs) -> tuple["Program", list]:
        """The counted program for these arguments, and the arrays to call it with."""
        dynamic, static = eqx.partition((self._fn, args, kwargs), is_array)
        leaves, treedef = jax.tree.flatten(dynamic)
        around = Leaves()
        for name, tree in surroundings(self._fn):
            around.add_tree(tree, name)
        make = lambda: Program(self._fn, args, kwargs, static, leaves, treedef, around, self._weights, self._spikes)
        if any(isinstance(a, jax.core.Tracer) for a in around.arrays):
            own = {id(leaf) for leaf in leaves}
            if any(isinstance(a, jax.core.Tracer) and id(a) not in own for a in around.arrays):
                return make(), leaves  # what it closes over belongs to one trace only
        outside = [_Same(a) for a in around.arrays if not any(a is leaf for leaf in leaves)]
        key = _key(static, treedef, leaves, self._weights, self._spikes, outside)
        return _programs(key, make), leaves


class _Same:
    """Compares by identity, and keeps the object alive so that its identity is not reused."""

    def __init__(self, item: Any):
        self.item = item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.item is other.item

    def __hash__(self) -> int:
        return id(self.item)


def _hashable(x: Any) -> Any:
    try:
        hash(x)
    except TypeError:
        return _Same(x)
    return type(x), x


def _key(static, treedef, leaves, weights, spikes, outside):
    avals = tuple((jnp.shape(x), str(x.dtype), getattr(getattr(x, "aval", None), "weak_type", False)) for x in leaves)
    fixed, structure = jax.tree.flatten(static)
    declared = tuple(jax.tree.leaves(spikes)), str(jax.tree.structure(spikes))
    config = jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision, jax.config.jax_numpy_rank_promotion
    parts = (tuple(map(_hashable, fixed)), structure, treedef, avals, weights, declared, config, tuple(outside))
    try:
        hash(parts)
    except TypeError:
        return None
    return parts


_CACHE: OrderedDict = OrderedDict()
_CACHE_SIZE = 256


def _programs(key: Any, make: Callable[[], "Program"]) -> "Program":
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


class Program:
    """One traced function: its plan, its convention, and the counted jaxpr."""

    def __init__(self, fn, args, kwargs, static, dynamic, treedef, around: Leaves, weights, spikes):
        _check_arguments(args, weights)
        names, self._leaves = Leaves(), around
        shapes = [jax.ShapeDtypeStruct(jnp.shape(x), x.dtype, weak_type=getattr(getattr(x, "aval", None), "weak_type", False)) for x in dynamic]

        def flat(*leaves):
            fn_, args_, kwargs_ = eqx.combine(jax.tree.unflatten(treedef, leaves), static)
            out = fn_(*args_, **kwargs_)
            arrays, rest = eqx.partition(out, is_array)
            self._rest = rest
            leaves_, self._out = jax.tree.flatten(arrays)
            return leaves_

        closed = jax.make_jaxpr(flat)(*shapes)
        self.leaky = any(isinstance(c, jax.core.Tracer) for c in closed.consts)
        infos = _argument_infos(fn, args, kwargs, around, names, weights, spikes)
        self.analysis = Analysis(around)
        self.plan: Plan = self.analysis.analyse(closed, infos, ())
        for info in self.plan.outs:
            self.analysis.live(info.births)
        self._records = _Records(self.analysis, self._leaves)
        self.convention = self._records.convention(weights, spikes)
        counted, self._structure = None, None

        def run(*leaves):
            outs, _, taps = Runner(self.analysis).run(self.plan, leaves, [None] * len(leaves))
            records, self._structure = jax.tree.flatten(self._records.layers(taps))
            return outs, records

        if self.leaky:
            self._call = run
        else:
            counted, shape = jax.make_jaxpr(run, return_shape=True)(*shapes)
            flatten = jax.tree.structure(shape)
            function = jaxpr_as_fun(counted)
            self._call = jax.jit(lambda *leaves: jax.tree.unflatten(flatten, function(*leaves)), inline=True)

    def __call__(self, dynamic: list):
        """Run: the function's output and the account."""
        outs, records = self._call(*dynamic)
        output = eqx.combine(jax.tree.unflatten(self._out, outs), self._rest)
        layers = jax.tree.unflatten(self._structure, records)
        return output, Account(layers, self.convention, self._records.order)


def _check_arguments(args: tuple, weights: tuple[int, ...]) -> None:
    if weights and max(weights) >= len(args):
        raise ValueError(f"weights={weights} names argument {max(weights)}, but the function was called with {len(args)} positional arguments")
    for i, arg in enumerate(args):
        modules = [m for m in jax.tree.leaves(arg, is_leaf=callable) if callable(m) and not isinstance(m, jax.Array) and any(map(is_array, jax.tree.leaves(m)))]
        if modules and i not in weights:
            raise ValueError(
                f"argument {i} is a module ({type(modules[0]).__name__}): are its arrays weights or data? "
                f"Say count(fn, weights={i}), or count the module itself: count(model)(x)"
            )


def _argument_infos(fn, args, kwargs, around: Leaves, names: Leaves, weights, spikes) -> list[Info]:
    """Kinds of all traced inputs, in the order in which they are flattened."""
    del names
    infos = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(fn, is_array)):
        index = around.of(leaf)
        infos.append(parameter(jnp.shape(leaf), leaf=around.add(path, leaf) if index is None else index))
    marks = _declared(spikes, args)
    signature = _parameter_names(fn)
    for i, arg in enumerate(args):
        flags = marks[i]
        for k, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(eqx.filter(arg, is_array))):
            if i in weights:
                prefix = signature[i] if i < len(signature) else f"argument{i}"
                infos.append(parameter(jnp.shape(leaf), leaf=around.add((prefix, *path) if _bare(path) else path, leaf)))
            else:
                infos.append(_data(leaf, flags[k], f"argument {i}"))
    for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(kwargs, is_array)):
        infos.append(_data(leaf, False, f"argument {jax.tree_util.keystr(path[:1], simple=True)}"))
    return infos


def _bare(path) -> bool:
    return not path or isinstance(path[0], jax.tree_util.SequenceKey)


def _parameter_names(fn) -> list[str]:
    try:
        return list(inspect.signature(fn).parameters)
    except (TypeError, ValueError):
        return []


def _declared(spikes: Any, args: tuple) -> list[list[bool]]:
    """For every argument, for every array in it: was it declared to carry spikes?"""
    counts = [len(jax.tree.leaves(eqx.filter(a, is_array))) for a in args]
    if spikes is None:
        return [[False] * n for n in counts]
    plain = (spikes,) if isinstance(spikes, int) and not isinstance(spikes, bool) else spikes
    if isinstance(plain, tuple | list) and all(isinstance(s, int) and not isinstance(s, bool) for s in plain):
        wrong = [s for s in plain if not 0 <= s < len(args)]
        if wrong:
            raise ValueError(f"spikes={spikes} names argument {wrong[0]}, but the function was called with {len(args)} positional arguments")
        return [[i in plain] * n for i, n in enumerate(counts)]
    try:
        tree = jax.tree.map(lambda mark, part: jax.tree.map(lambda leaf: mark if is_array(leaf) else None, part), spikes, tuple(args))
    except ValueError as error:
        raise ValueError(f"spikes={spikes!r} is neither argument numbers nor a prefix tree of booleans over the arguments: {error}") from None
    return [[bool(m) for m in jax.tree.leaves(t)] for t in tree]


def _data(leaf: Any, spiking: bool, name: str) -> Info:
    shape = jnp.shape(leaf)
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return parameter(shape)
    what = f"{jnp.dtype(leaf.dtype).name}[{','.join(map(str, shape))}]"
    boolean = leaf.dtype == jnp.bool_
    if spiking or boolean:
        text = f"{name} ({what}) is {'declared by spikes=' if spiking else 'boolean'}"
        return Info(Kind.SPIKES, (False,) * len(shape), Cause(text), unit=boolean, nonneg=boolean)
    return Info(Kind.ANALOG, (False,) * len(shape), Cause(f"{name} ({what}) is not declared as spikes"))


_SUMMED = ("ac", "ac_graded", "mac", "dense_ac", "dense_mac", "spikes", "spikes_graded", "updates", "lookups")


class _Records:
    """Sites and births gathered into one record per layer, and what they are called."""

    def __init__(self, analysis: Analysis, leaves: Leaves):
        tables = analysis.tables
        self._tables = tables
        self._members: dict[tuple, list] = {}
        for path, site in sorted(tables.sites.items()):
            self._members.setdefault(site.key, []).append(path)
        for path, born in sorted(tables.births.items()):
            if path in tables.living:
                key = tables.sites[born.site].key if born.site is not None else ("input", path)
                self._members.setdefault(key, []).append(path)
        self._names = self._name(leaves)
        self.order = tuple(n for key in self._members for n in self._expanded(key))

    def _name(self, leaves: Leaves) -> dict[tuple, str]:
        used = [key[1] for key in self._members if key[0] == "leaf"]
        known = [i for i in used if leaves.paths[i]]
        names = dict(zip(known, layer_names([leaves.paths[i] for i in known]), strict=True))
        names |= {i: self._place(("leaf", i)) for i in used if i not in names}
        inputs = [key for key in self._members if key[0] == "input"]
        result: dict[tuple, str] = {}
        for key in self._members:
            name = names[key[1]] if key[0] == "leaf" else f"input[{inputs.index(key)}]" if key[0] == "input" else str(key[1])
            while name in result.values():
                name += "′"
            result[key] = name
        return result

    def _place(self, key) -> str:
        """Name of a layer whose weights belong to no model: its named scope, or its source line."""
        site = self._sites(key)[0]
        return site.scope or site.source

    def _sites(self, key) -> list:
        return [self._tables.sites[p] for p in self._members[key] if p in self._tables.sites]

    def _length(self, key) -> int | None:
        return next((s.layered[1] for s in self._sites(key) if s.layered), None)

    def _expanded(self, key) -> list[str]:
        n = self._length(key)
        return [self._names[key]] if n is None else [f"{self._names[key]}[{i}]" for i in range(n)]

    def layers(self, taps: Taps) -> dict[str, Activity]:
        """Activity records by name."""
        result = {}
        for key in self._members:
            fields = self._fields(key, taps)
            n = self._length(key)
            for i, name in enumerate(self._expanded(key)):
                result[name] = Activity(**{f: v if n is None or v is None else v[i] for f, v in fields.items()})
        return result

    def _fields(self, key, taps: Taps) -> dict[str, Any]:
        paths, sites = self._members[key], self._sites(key)
        fields: dict[str, Any] = {}
        for name in _SUMMED:
            parts = [taps[p, name] for p in paths if (p, name) in taps]
            fields[name] = sum(parts[1:], start=parts[0]) if parts else None
        for name in ("ac", "spikes"):  # a site without a graded count of its own has 0/1 events
            parts = [taps.get((p, f"{name}_graded"), taps.get((p, name))) for p in paths if (p, name) in taps]
            same = not any((p, f"{name}_graded") in taps for p in paths)
            fields[f"{name}_graded"] = fields[name] if same or not parts else sum(parts[1:], start=parts[0])
        nonzero = [taps[p, "nonzero"] for p in paths if (p, "nonzero") in taps]
        fields["nonzero"] = nonzero[0] if nonzero else None
        fields["synapses"] = max((s.synapses for s in sites if s.synapses is not None), default=None)
        claims = [self._tables.claims[p].neurons for p in paths if p in self._tables.claims and self._tables.claims[p].owner == p]
        fields["neurons"] = float(max(claims)) if claims else None
        n = self._length(key)
        return {name: None if v is None else _leaf(v, n) for name, v in fields.items()}

    def convention(self, weights, spikes) -> Convention:
        """What the account says about itself."""
        notes = []
        for key in self._members:
            for site in self._sites(key):
                fanout = site.synapses / site.inputs if site.synapses and site.inputs else None
                kind = "spikes" if site.kind == Kind.SPIKES else "analog"
                notes.append(SiteNote(self._names[key], site.source, site.primitive, kind, str(site.cause), site.inputs, fanout, site.neurons, site.synapses))
        uncounted = tuple(dict.fromkeys(f"`{u.primitive}` at {u.source} on {u.shapes}" for u in self._tables.uncounted.values()))
        options = (("weights", str(weights)), ("spikes", str(spikes)))
        return Convention(__version__, options, tuple(notes), uncounted)


def _leaf(value: Any, layers: int | None) -> jax.Array:
    array = jnp.asarray(value, jnp.float32)
    return jnp.broadcast_to(array, (layers,)) if layers is not None and array.ndim == 0 else array
