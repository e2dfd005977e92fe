"""What is known about the arguments of a counted function before it is traced."""

import functools
import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ._trace import Cause, Info, Kind, Leaves, is_array, parameter


def check_arguments(args: tuple, weights: tuple[int, ...]) -> None:
    """Refuse a module among the arguments that nobody has declared: its arrays could be weights or data."""
    if weights and max(weights) >= len(args):
        raise ValueError(f"weights={weights} names argument {max(weights)}, but the function was called with {len(args)} positional arguments")
    for i, arg in enumerate(args):
        modules = [m for m in jax.tree.leaves(arg, is_leaf=callable) if callable(m) and not isinstance(m, jax.Array) and any(map(is_array, jax.tree.leaves(m)))]
        if modules and i not in weights:
            raise ValueError(
                f"argument {i} is a module ({type(modules[0]).__name__}): are its arrays weights or data? "
                f"Say count(fn, weights={i}), or count the module itself: count(model)(x)"
            )


def argument_infos(fn, args, kwargs, around: Leaves, weights, spikes) -> list[Info]:
    """Kinds of all traced inputs, in the order in which they are flattened."""
    infos = []
    wrapped = hasattr(fn, "__wrapped__")  # a wrapper hides the paths: its arrays are found by identity
    for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(fn, is_array)):
        index = around.of(leaf) if wrapped or isinstance(fn, functools.partial) else None
        infos.append(parameter(jnp.shape(leaf), leaf=around.new(path) if index is None else index))
    marks = _declared(spikes, args)
    signature = _parameter_names(fn)
    for i, arg in enumerate(args):
        flags = marks[i]
        for k, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(eqx.filter(arg, is_array))):
            if i in weights:
                prefix = signature[i] if i < len(signature) else f"argument{i}"
                infos.append(parameter(jnp.shape(leaf), leaf=around.new((prefix, *path) if _bare(path) else path)))
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
    """For every argument, for every array in it, whether it was declared to carry spikes."""
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
        return Info(Kind.ANALOG, (False,) * len(shape), Cause(f"{name} is a random key"))
    what = f"{jnp.dtype(leaf.dtype).name}[{','.join(map(str, shape))}]"
    boolean = leaf.dtype == jnp.bool_
    if spiking or boolean:
        text = f"{name} ({what}) is {'declared by spikes=' if spiking else 'boolean'}"
        return Info(Kind.SPIKES, (False,) * len(shape), Cause(text), unit=boolean, nonneg=boolean)
    return Info(Kind.ANALOG, (False,) * len(shape), Cause(f"{name} ({what}) is not declared as spikes"))
