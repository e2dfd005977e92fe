"""Names of layers: where the weights stand in the model."""

import argparse
import collections
import functools
import inspect
import math
import sys
import types
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

Key = tuple[Any, ...]
Text = str


class Leaves:
    """Arrays known by their place in a model, found again by identity."""

    def __init__(self) -> None:
        self.paths: list[Key] = []
        self.sizes: list[int] = []
        self._ids: dict[int, int] = {}
        self._arrays: list[Any] = []

    def add(self, path: Key, array: Any) -> int:
        """Register an array; an array known already keeps its first name."""
        if id(array) in self._ids:
            return self._ids[id(array)]
        self._ids[id(array)] = len(self.paths)
        self._arrays.append(array)
        self.sizes.append(math.prod(getattr(array, "shape", ())))
        self.paths.append(path)
        return len(self.paths) - 1

    def new(self, path: Key, shape: tuple[int, ...] = ()) -> int:
        """Register a leaf known by its place alone: equal arrays at two places are two leaves."""
        self._arrays.append(None)
        self.sizes.append(math.prod(shape))
        self.paths.append(path)
        return len(self.paths) - 1

    def of(self, array: Any) -> int | None:
        """Index of an array, by identity or, for NumPy, by memory."""
        if id(array) in self._ids:
            return self._ids[id(array)]
        if isinstance(array, np.ndarray):
            arrays = enumerate(self._arrays)
            return next((i for i, a in arrays if _same_memory(a, array)), None)
        return None

    def forget(self) -> None:
        """Let go of the arrays and keep the names."""
        self._ids, self._arrays = {}, []

    @property
    def arrays(self) -> list[Any]:
        """The arrays, in order of registration."""
        return self._arrays

    def add_tree(self, tree: Any, prefix: str = "") -> None:
        """Register every array of a pytree under its path."""
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            if is_array(leaf):
                self.add((prefix, *path) if prefix else path, leaf)


def _same_memory(a: Any, b: np.ndarray) -> bool:
    same = isinstance(a, np.ndarray) and a.shape == b.shape
    return same and bool(np.may_share_memory(a, b))


def is_array(x: Any) -> bool:
    """Whether a leaf is traced."""
    return isinstance(
        x, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct
    ) and not isinstance(x, np.str_)


class Same:
    """Compares by identity, and keeps the object alive so that its identity is not reused."""

    def __init__(self, item: Any):
        self.item = item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.item is other.item

    def __hash__(self) -> int:
        return id(self.item)


def surroundings(function: Any) -> Iterator[tuple[str, Any]]:
    """Pytrees that a function closes over, through wrappers, closures, partials and globals."""
    seen: set[int] = set()
    queue: list[tuple[str, Any]] = [("", function)]
    while queue:
        name, item = queue.pop(0)
        if id(item) in seen or isinstance(item, type) or inspect.ismodule(item):
            continue
        seen.add(id(item))
        if _wrapped(item) is None and not isinstance(item, functools.partial) and _has_arrays(item):
            yield name, item
        queue += [(n or name, child) for n, child in _children(item)]


def watched(function: Any) -> tuple[Any, ...]:
    """Plain values that a function closes over: where one changes, the function is another."""
    found: list[tuple[str, Any]] = []
    seen: set[int] = set()
    queue: list[tuple[str, Any]] = [("", function)]
    while queue:
        name, item = queue.pop(0)
        if isinstance(item, _PLAIN):
            found.append((name, (type(item).__name__, item)))
        elif isinstance(item, np.ndarray) or ("." in name and is_array(item)):
            found.append((name, _seen(item)))
        elif id(item) not in seen:
            seen.add(id(item))
            queue += [
                (n or name, child) for n, child in (*_children(item), *_attributes(item, name))
            ]
    return tuple(found)


_PLAIN = bool | int | float | complex | str | bytes | None


def _attributes(item: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Attributes of what the user made that is no pytree, and items of containers."""
    if isinstance(item, dict):
        yield from ((f"{name}[{k!r}]", v) for k, v in list(item.items())[:_MANY])
    elif isinstance(item, list | tuple | set | frozenset | collections.deque):
        yield from ((f"{name}[{i}]", v) for i, v in enumerate(list(item)[:_MANY]))
    elif isinstance(item, type) or inspect.ismodule(item):
        yield from _settings(item, name)
    elif _is_users(item):
        yield from ((f"{name}.{k}", v) for k, v in list(vars(item).items())[:_MANY])
        yield f"{name}.__class__", type(item)


_MANY = 64


def _settings(item: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Numbers, words and arrays that stand in a class or a module of the user."""
    module = getattr(item, "__module__", None) or getattr(item, "__name__", "")
    if module.split(".")[0] in _LIBRARIES:
        return
    for key, value in list(vars(item).items())[: 4 * _MANY]:
        if not key.startswith("__") and isinstance(value, _PLAIN | np.ndarray | dict | list):
            yield f"{name}.{key}", value


def _is_users(item: Any) -> bool:
    library = type(item).__module__.split(".")[0] in _LIBRARIES
    library = library and not isinstance(item, types.SimpleNamespace | argparse.Namespace)
    plain = inspect.isroutine(item) or isinstance(item, functools.partial)
    return hasattr(item, "__dict__") and not plain and not library and not _is_pytree(item)


def _is_pytree(item: Any) -> bool:
    """Whether JAX takes an object apart: then its arrays are traced, and the rest is static."""
    return not jax.tree_util.all_leaves([item])


def _seen(array: Any) -> tuple[Any, ...]:
    """An array by its identity; one of NumPy, which can change in place, by its content too."""
    if not isinstance(array, np.ndarray) or array.dtype == object:
        return Same(array), 0
    return Same(array), zlib.crc32(np.ascontiguousarray(array).tobytes())


def _has_arrays(item: Any) -> bool:
    try:
        return any(map(is_array, jax.tree_util.tree_leaves(item)))
    except (ValueError, TypeError):  # no pytree, like a dict with keys that cannot be sorted
        return False


_LIBRARIES = {"jax", "jaxlib", "numpy", "equinox", "optax", "flax", "haiku", "joulax"} | set(
    sys.stdlib_module_names
)


def _wrapped(item: Any) -> Any:
    """What a decorator wrapped; a module that is imported when it is read wraps nothing."""
    try:
        return getattr(item, "__wrapped__", None)
    except ImportError:
        return None


def _children(item: Any) -> Iterator[tuple[str, Any]]:
    if _wrapped(item) is not None:
        yield "", _wrapped(item)
    elif inspect.ismethod(item):
        yield "", item.__self__
        yield "", item.__func__
    elif isinstance(item, functools.partial):
        yield from [
            ("", item.func),
            *((f"args{i}", a) for i, a in enumerate(item.args)),
            *item.keywords.items(),
        ]
    elif inspect.isfunction(item):
        yield from _enclosed(item)


def _enclosed(function: Any) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a cell that is filled later
            continue
    if (function.__module__ or "").split(".")[0] not in _LIBRARIES - {"__main__"}:
        yield from (
            (n, function.__globals__[n])
            for n in _names(function.__code__)
            if n in function.__globals__
        )
    yield from ((f"default{i}", value) for i, value in enumerate(function.__defaults__ or ()))


def _names(code: types.CodeType) -> Iterator[str]:
    """Global names that a function uses, also in the functions written inside it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names(inner)


def layer_names(paths: list[Key]) -> list[str]:
    """One name for each weight leaf.

    Its layer, or its full path where a layer owns several weights.

    The variable that holds a model is named only where two models would be confused.
    """
    short = [p[1:] if isinstance(p[0], str) and _speaks(p[1:]) else p for p in paths]
    names = _owners(short)
    return [
        n if names.count(n) == 1 else long for n, long in zip(names, _owners(paths), strict=True)
    ]


def _speaks(path: Key) -> bool:
    """Whether a path names something without its variable.

    An attribute or a key, not only an index.
    """
    return bool(path) and not isinstance(path[0], SequenceKey | FlattenedIndexKey)


def _owners(paths: list[Key]) -> list[str]:
    paths = [
        p[:-1] if len(p) > 1 and _part(p[-1]) in (".value", ".raw_value") else p for p in paths
    ]  # Flax NNX
    parents = [_text(p[:-1]) for p in paths]
    names = []
    for path, parent in zip(paths, parents, strict=True):
        shared = (
            parents.count(parent) > 1
            or not parent
            or isinstance(path[-1], SequenceKey | FlattenedIndexKey)
            and len(path) < 3
        )
        names.append((_text(path) if shared else parent) or "weight")
    return names


def common_text(paths: list[Key]) -> Text:
    """What the paths of several layers have in common, in words; empty if nothing."""
    if not paths:
        return ""
    parents = [p[:-1] for p in paths]
    shared: list[Any] = []
    for parts in zip(*parents, strict=False):
        if any(part != parts[0] for part in parts):
            break
        shared.append(parts[0])
    return _text(tuple(shared)) if shared else ""


def _text(path: Key) -> str:
    if len(path) > 1 and isinstance(path[0], DictKey) and path[0].key == "params":
        path = path[1:]  # Flax
    return "".join(_part(k) for k in path).lstrip(".")


def _part(key: Any) -> str:
    if isinstance(key, str):
        return f".{key}"
    if isinstance(key, SequenceKey):
        return f"[{key.idx}]"
    if isinstance(key, FlattenedIndexKey):
        return f"[{key.key}]"
    name = key.name if isinstance(key, GetAttrKey) else key.key if isinstance(key, DictKey) else key
    return f".{name}" if isinstance(name, str) else f"[{name!r}]"
