"""Names of layers: where the weights stand in the model."""

import math
from collections.abc import Sequence
from typing import Any, TypeGuard, cast

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
        self.masks: set[int] = set()  # closed over, and 0 or 1 everywhere
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
        if is_numpy(array):
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
        for path, leaf in leaves_with_paths(tree):
            if is_array(leaf):
                self.add((prefix, *path) if prefix else path, leaf)


def _same_memory(a: Any, b: np.ndarray) -> bool:
    return is_numpy(a) and a.shape == b.shape and bool(np.may_share_memory(a, b))


def is_sequence(x: Any) -> TypeGuard[Sequence[Any]]:
    """Whether something is a tuple or a list."""
    return isinstance(x, tuple | list)


def is_numpy(x: Any) -> TypeGuard[np.ndarray]:
    """Whether something is an array of NumPy, which can change in place."""
    return isinstance(x, np.ndarray)


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


def leaves_with_paths(tree: Any) -> list[tuple[Key, Any]]:
    """Leaves of a pytree, each with its path."""
    return [*jax.tree_util.tree_leaves_with_path(tree)]


def structure_of(tree: Any) -> Any:
    """The structure of a pytree; JAX does not say of which class it is."""
    return cast(Any, jax.tree.structure(tree))


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
    paths = [_without_box(p) for p in paths]
    parents = [_text(p[:-1]) for p in paths]
    names: list[str] = []
    for path, parent in zip(paths, parents, strict=True):
        shared = parents.count(parent) > 1 or not parent or _is_listed(path)
        names.append((_text(path) if shared else parent) or "weight")
    return names


def _without_box(path: Key) -> Key:
    """Flax NNX keeps each array in a box."""
    boxed = len(path) > 1 and _part(path[-1]) in (".value", ".raw_value")
    return path[:-1] if boxed else path


def _is_listed(path: Key) -> bool:
    """Whether an array stands in a list of the model itself: it has no layer."""
    return isinstance(path[-1], SequenceKey | FlattenedIndexKey) and len(path) < 3


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
