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
import pickle
import random
import sys
import sysconfig
import types
import weakref
import zlib
from collections.abc import Callable, Container, Iterator, Mapping, Set
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .names import Same, is_array, is_numpy

Named = tuple[str, Any]

_LIBRARIES = {"jax", "jaxlib", "numpy", "equinox", "optax", "flax", "haiku", "joulax"} | set(
    sys.stdlib_module_names
)
_FOREIGN = _LIBRARIES - {"__main__"}
_PLAIN = bool | int | float | complex | str | bytes | None
_INSTALLED = tuple(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib"))
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
    known = next((sort for sort, kinds in _SORTS.items() if issubclass(kind, kinds)), None)
    return known or ("object" if _is_users(kind) else "other")


_SORTS: dict[str, tuple[Any, ...]] = {
    "plain": (_PLAIN,),
    "array": (jax.Array, np.ndarray, np.generic, Tracer),
    "bytes": (bytearray, array.array),
    "mapping": (Mapping,),
    "items": (list, tuple, Set, collections.deque, collections.UserList),
    "class": (type,),
    "module": (types.ModuleType,),
    "reference": (functools.partial, types.MethodType),
    "function": (types.FunctionType,),
    "random": (np.random.Generator, np.random.RandomState, random.Random),
    "object": (argparse.Namespace, types.SimpleNamespace),
}


def _known_by(item: Any, sort: str) -> tuple[Any, ...] | None:
    """What tells one object from another of its sort, besides its parts."""
    if sort == "bytes":
        return ("bytes", bytes(item))
    if sort == "random":
        return ("random", pickle.dumps(item))
    if sort == "function":
        return ("code", Same(item.__code__))
    if sort == "class" or (sort == "other" and not _is_node(item)):
        return ("object", Same(item))
    return None


def _inside(item: Any, sort: str, name: str) -> Iterator[Named]:
    """Items of containers, attributes of objects, settings of classes and modules."""
    if sort in _REFERRING:
        yield from _children(item)
    if sort in _PARTS:
        yield from ((f"{name}{at}", part) for at, part in _PARTS[sort](item))
    if sort == "object" or (sort == "other" and _is_node(item)) or _is_own_box(item):
        yield from ((f"{name}.{k}", v) for k, v in _attributes(item))


def _entries(mapping: Any) -> Iterator[Named]:
    yield from ((f"[{k!r}]", v) for k, v in list(mapping.items())[:_MANY])


def _items(container: Any) -> Iterator[Named]:
    yield from ((f"[{i}]", v) for i, v in enumerate(list(container)[:_MANY]))


def _in_class(kind: Any) -> Iterator[Named]:
    """Settings of a class, as far as it is the user's."""
    for c in _own_classes(kind):
        yield from _settings(c)


def _in_module(module: Any) -> Iterator[Named]:
    """Settings of a module of the user."""
    if _is_users(module):
        yield from _settings(module)


def _noted(function: object) -> Iterator[Named]:
    """What somebody has written on a function."""
    yield from ((f".{k}", v) for k, v in vars(function).items() if k != "__wrapped__")


_PARTS: dict[str, Callable[[Any], Iterator[Named]]] = {
    "mapping": _entries,
    "items": _items,
    "class": _in_class,
    "module": _in_module,
    "function": _noted,
}
_REFERRING = ("function", "reference", "object", "other")
_NODES: dict[type, bool] = {}


def _is_node(item: object) -> bool:
    """Whether JAX takes an object apart: modules of a library hold what the user gave them."""
    kind = type(item)
    if kind not in _NODES:
        _NODES[kind] = hasattr(item, "__dict__") and not jax.tree_util.all_leaves([item])
    return _NODES[kind]


def _is_own_box(item: object) -> bool:
    """Whether a container is of a class of the user, and may have attributes beside its items."""
    kind = type(item)
    return isinstance(item, dict | list | tuple | set | frozenset) and _is_users(kind)


def _attributes(item: object) -> list[Named]:
    """What an object holds, and its class where that is the user's."""
    kind, held = type(item), getattr(item, "__dict__", {})
    found: list[Named] = list(held.items())[:_MANY]
    found += [(n, getattr(item, n)) for n in _slots(kind) if hasattr(item, n)]
    return [*found, ("__class__", kind)] if _is_users(kind) else found


@functools.lru_cache(maxsize=4096)
def _slots(kind: type) -> tuple[str, ...]:
    every: Any = (c.__dict__.get("__slots__", ()) for c in kind.__mro__)
    names = (n for s in every for n in ((s,) if isinstance(s, str) else s))
    return tuple(n for n in names if n not in ("__dict__", "__weakref__"))


@functools.lru_cache(maxsize=4096)
def _own_classes(kind: Any) -> tuple[type, ...]:
    """A class of the user, its bases and the class of the class, as far as they are the user's."""
    return tuple(c for c in (*kind.__mro__, *type(kind).__mro__) if _is_users(c))


_SETTINGS: tuple[Any, ...] = (_PLAIN, np.ndarray, dict, list, set)
_IN_CLASS: tuple[Any, ...] = (*_SETTINGS, types.FunctionType)


def _settings(item: Any) -> Iterator[Named]:
    """Numbers, words, arrays, containers and functions in a class or a module of the user."""
    kinds = _IN_CLASS if isinstance(item, type) else _SETTINGS
    for key, value in list(vars(item).items())[: 4 * _MANY]:
        if key.startswith("__") and key != "__call__":
            continue
        found = _behind(value)
        if isinstance(found, kinds):
            yield f".{key}", found


_BEHIND = {property: "fget", staticmethod: "__func__", classmethod: "__func__"}


def _behind(value: object) -> Any:
    """The function of a property, a static method or a class method; else the value itself."""
    kind = type(value)
    function = next((name for k, name in _BEHIND.items() if issubclass(kind, k)), None)
    return value if function is None else getattr(value, function)


def _is_users(item: Any) -> bool:
    """Whether a class, a function or a module is none of a library."""
    module = getattr(item, "__module__", None) or getattr(item, "__name__", "") or ""
    if module == "types" and isinstance(item, type) and not hasattr(types, item.__name__):
        return True  # made by a function, as `dataclasses.make_dataclass` does
    return str(module).partition(".")[0] not in _FOREIGN


def _is_written_by_users(function: types.FunctionType) -> bool:
    """Whether the code is the user's; a wrapper of a library bears the name of what it wraps."""
    module = str(function.__globals__.get("__name__", ""))
    return module.partition(".")[0] not in _FOREIGN


def _is_own_wrapper(function: types.FunctionType) -> bool:
    """Whether a decorator is the user's: those that are installed, or made by a type checker
    (`<@…`), keep notes of their own.
    """
    where = function.__code__.co_filename
    known = _is_written_by_users(function) and "__name__" in function.__globals__
    return known and not where.startswith(_INSTALLED) and not where.startswith("<@")


def _seen(item: Any) -> tuple[Any, ...]:
    """An array by its identity; one of NumPy, which can change in place, by its content too."""
    if not is_numpy(item) or item.dtype == object:
        return Same(item), 0
    content = zlib.crc32(np.ascontiguousarray(item).tobytes())
    if item.dtype != jax.dtypes.canonicalize_dtype(item.dtype):
        _CONVERTED.note(item, content)
    return Same(item), content


class _Converted:
    """Arrays that JAX converts (float64 to float32) and knows by identity as long as it lives."""

    def __init__(self):
        self._known: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.changed = False

    def note(self, item: np.ndarray, content: int) -> None:
        """Compare with what was seen before."""
        owner, before = self._known.get(id(item), (None, content))
        self.changed |= owner is not None and owner() is item and before != content
        if owner is None:
            self._known = {k: v for k, v in self._known.items() if v[0]() is not None}
        self._known[id(item)] = weakref.ref(item), content


_CONVERTED = _Converted()


def conversions_are_stale() -> bool:
    """Whether an array was written in place of which JAX keeps a conversion; asked once."""
    changed, _CONVERTED.changed = _CONVERTED.changed, False
    return changed


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
    wrapped = _wrapped(item)
    if wrapped is not None:
        yield "", wrapped
    if inspect.ismethod(item):
        yield "", item.__self__
        yield "", item.__func__
    elif isinstance(item, functools.partial):
        yield "", item.func
        yield from ((f"args{i}", a) for i, a in enumerate(item.args))
        yield from item.keywords.items()
    elif inspect.isfunction(item) and (wrapped is None or _is_own_wrapper(item)):
        yield from _enclosed(item)


def _enclosed(function: Any) -> Iterator[Named]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a cell that is filled later
            continue
    if _is_written_by_users(function):
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
