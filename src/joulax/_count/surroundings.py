"""What a function closes over: pytrees that hold its weights, and all that it reads.

A traced program is replayed. Where anything that the function read while it was traced has changed
since, it is traced again; arrays that are passed to the program are no such thing.
"""

import argparse
import array
import collections
import dis
import functools
import inspect
import sys
import types
import zlib
from collections.abc import Container, Iterator, Mapping, Set
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .names import Same, is_array

Named = tuple[str, Any]

_LIBRARIES = {"jax", "jaxlib", "numpy", "equinox", "optax", "flax", "haiku", "joulax"} | set(
    sys.stdlib_module_names
)
_FOREIGN = _LIBRARIES - {"__main__"}
_PLAIN = bool | int | float | complex | str | bytes | None
_BOXES = (argparse.Namespace, types.SimpleNamespace)
_MANY = 64  # items of one container that are looked at


def surroundings(function: Any) -> Iterator[Named]:
    """Pytrees that a function closes over, through wrappers, closures, partials and globals."""
    seen: set[int] = set()
    queue: list[Named] = [("", function)]
    while queue:
        name, item = queue.pop(0)
        if id(item) in seen or isinstance(item, type) or inspect.ismodule(item):
            continue
        seen.add(id(item))
        if _wrapped(item) is None and not isinstance(item, functools.partial) and _has_arrays(item):
            yield name, item
        queue += [(n or name, child) for n, child in _children(item)]


def watched(function: Any, passed: Container[int] = ()) -> tuple[Named, ...]:
    """Everything that a function reads besides its arguments, by value or by identity.

    `passed`: identities of arrays that go into the program as arguments.
    """
    found: list[Named] = []
    seen: set[int] = set()
    queue = collections.deque([("", function)])
    while queue:
        name, item = queue.popleft()
        sort = _sort(type(item))
        if sort == "plain":
            found.append((name, (type(item).__name__, item)))
        elif id(item) in passed or id(item) in seen:
            continue
        elif sort == "array":
            found.append((name, _seen(item)))
        else:
            seen.add(id(item))
            known = _known_by(item, sort)
            found += [] if known is None else [(name, known)]
            queue += ((n or name, child) for n, child in _inside(item, sort, name))
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def _sort(kind: type) -> str:
    """How objects of a class are looked into."""
    if issubclass(kind, _PLAIN):
        return "plain"
    if issubclass(kind, jax.Array | np.ndarray | np.generic | Tracer):
        return "array"
    if issubclass(kind, bytearray | array.array):
        return "bytes"
    if issubclass(kind, Mapping):
        return "mapping"
    if issubclass(kind, list | tuple | Set | collections.deque | collections.UserList):
        return "items"
    if issubclass(kind, type):
        return "class"
    if issubclass(kind, types.ModuleType):
        return "module"
    if issubclass(kind, functools.partial | types.MethodType):
        return "reference"
    if issubclass(kind, types.FunctionType):
        return "function"
    has_parts = _is_users(kind) or issubclass(kind, _BOXES)
    return "object" if has_parts else "other"


def _known_by(item: Any, sort: str) -> tuple[Any, ...] | None:
    """What tells one object from another of its sort, besides its parts."""
    if sort == "bytes":
        return ("bytes", bytes(item))
    if sort == "function":
        return ("code", Same(item.__code__))
    if sort == "class" or (sort == "other" and not _is_node(type(item), item)):
        return ("object", Same(item))
    return None


def _inside(item: Any, sort: str, name: str) -> Iterator[Named]:
    """Items of containers, attributes of objects, settings of classes and modules."""
    if sort in _REFERRING:
        yield from _children(item)
    if sort == "mapping":
        yield from ((f"{name}[{k!r}]", v) for k, v in list(item.items())[:_MANY])
    elif sort == "items":
        yield from ((f"{name}[{i}]", v) for i, v in enumerate(list(item)[:_MANY]))
    elif sort == "class":
        for c in _own_classes(item):
            yield from _settings(c, name)
    elif sort == "module" and _is_users(item):
        yield from _settings(item, name)
    elif sort == "function":
        yield from ((f"{name}.{k}", v) for k, v in vars(item).items() if k != "__wrapped__")
    if sort == "object" or (sort == "other" and _is_node(type(item), item)) or _is_own_box(item):
        yield from ((f"{name}.{k}", v) for k, v in _attributes(item))
        if _is_users(type(item)):
            yield f"{name}.__class__", type(item)


_REFERRING = ("function", "reference", "object", "other")
_NODES: dict[type, bool] = {}


def _is_node(kind: type, item: Any) -> bool:
    """Whether JAX takes an object apart: modules of a library hold what the user gave them."""
    if kind not in _NODES:
        _NODES[kind] = hasattr(item, "__dict__") and not jax.tree_util.all_leaves([item])
    return _NODES[kind]


def _is_own_box(item: Any) -> bool:
    """Whether a container is of a class of the user, and may have attributes beside its items."""
    return isinstance(item, dict | list | tuple | set | frozenset) and _is_users(type(item))


def _attributes(item: Any) -> list[Named]:
    found = list(getattr(item, "__dict__", {}).items())[:_MANY]
    slots = [n for n in _slots(type(item)) if hasattr(item, n)]
    return found + [(n, getattr(item, n)) for n in slots]


@functools.lru_cache(maxsize=4096)
def _slots(kind: type) -> tuple[str, ...]:
    every: Any = (c.__dict__.get("__slots__", ()) for c in kind.__mro__)
    names = (n for s in every for n in ((s,) if isinstance(s, str) else s))
    return tuple(n for n in names if n not in ("__dict__", "__weakref__"))


@functools.lru_cache(maxsize=4096)
def _own_classes(kind: Any) -> tuple[type, ...]:
    """A class of the user, its bases and the class of the class, as far as they are the user's."""
    return tuple(c for c in (*kind.__mro__, *type(kind).__mro__) if _is_users(c))


_SETTINGS = _PLAIN | np.ndarray | dict | list | set
_IN_CLASS = _SETTINGS | types.FunctionType


def _settings(item: Any, name: str) -> Iterator[Named]:
    """Numbers, words, arrays, containers and functions in a class or a module of the user."""
    kinds = _IN_CLASS if isinstance(item, type) else _SETTINGS
    for key, value in list(vars(item).items())[: 4 * _MANY]:
        if key.startswith("__") and key != "__call__":
            continue
        if isinstance(value, property):
            value = value.fget
        elif isinstance(value, staticmethod | classmethod):
            value = value.__func__
        if isinstance(value, kinds):
            yield f"{name}.{key}", value


def _is_users(item: Any) -> bool:
    """Whether a class, a function or a module is none of a library."""
    module = getattr(item, "__module__", None) or getattr(item, "__name__", "") or ""
    return str(module).partition(".")[0] not in _FOREIGN


def _seen(item: Any) -> tuple[Any, ...]:
    """An array by its identity; one of NumPy, which can change in place, by its content too."""
    if not isinstance(item, np.ndarray) or item.dtype == object:
        return Same(item), 0
    return Same(item), zlib.crc32(np.ascontiguousarray(item).tobytes())


def _has_arrays(item: Any) -> bool:
    try:
        return any(map(is_array, jax.tree_util.tree_leaves(item)))
    except (ValueError, TypeError):  # no pytree, like a dict with keys that cannot be sorted
        return False


def _wrapped(item: Any) -> Any:
    """What a decorator wrapped; an object with attributes of its own making wraps nothing."""
    try:
        return getattr(item, "__wrapped__", None)
    except Exception:  # a module that is imported when it is read, a dict read by attribute
        return None


def _children(item: Any) -> Iterator[Named]:
    """What a wrapper, a method, a partial or a function refers to."""
    if _wrapped(item) is not None:
        yield "", _wrapped(item)
    elif inspect.ismethod(item):
        yield "", item.__self__
        yield "", item.__func__
    elif isinstance(item, functools.partial):
        yield "", item.func
        yield from ((f"args{i}", a) for i, a in enumerate(item.args))
        yield from item.keywords.items()
    elif inspect.isfunction(item):
        yield from _enclosed(item)


def _enclosed(function: Any) -> Iterator[Named]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a cell that is filled later
            continue
    if _is_users(function):
        known = function.__globals__
        yield from ((n, known[n]) for n in _names(function.__code__) if n in known)
    yield from ((f"default{i}", value) for i, value in enumerate(function.__defaults__ or ()))
    yield from (function.__kwdefaults__ or {}).items()


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> tuple[str, ...]:
    """Global names that a function uses, also in the functions written inside it."""
    read = (i for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    found = dict.fromkeys(str(i.argval) for i in read)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            found |= dict.fromkeys(_names(inner))
    return tuple(found)
