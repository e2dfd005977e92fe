"""What each axis of a value enumerates, kept through reshapes that merge and split axes."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Factor = tuple[int, int]  # size, labels
Shape = tuple[int, ...]

REPEATED = 1  # of a value: the axis enumerates batch or time, not neurons
COPIED = 4  # of a value: it appeared by broadcasting
IDLE = REPEATED | COPIED
VARIES = 2  # of a value: elements along the axis differ
OWN = 16  # of a value: data of their own have met its copies along the axis
WEIGHT = 1  # of a term: the weight varies along the axis
SOURCE = 2  # of a term: what it scales varies along the axis
PICKED = 4  # of a term: along it data pick rows of the weight, one for each sample or step
SPREAD = 8  # of a weight: it is the same along the axis, data that it was combined with are not
MET = 32  # of a weight: data that are no change of it have met it one to one, an activation has


@dataclass(frozen=True)
class Axes:
    """Labels of every axis.

    An axis that was merged of several keeps them as factors, outermost first.
    """

    dims: tuple[tuple[Factor, ...], ...]

    @classmethod
    def of(cls, shape: Iterable[int], labels: int = 0) -> "Axes":
        """Every axis one factor with the same labels."""
        return cls(tuple(((n, labels),) for n in shape))

    @property
    def shape(self) -> Shape:
        """Sizes of the axes."""
        return tuple(math.prod(n for n, _ in dim) for dim in self.dims)

    def __len__(self) -> int:
        """Number of axes."""
        return len(self.dims)

    def has(self, axis: int, label: int) -> bool:
        """Whether any factor of an axis carries a label."""
        return any(labels & label for n, labels in self.dims[axis] if n != 1)

    def has_any(self, axes: Iterable[int], label: int) -> bool:
        """Whether any factor of some axes carries a label."""
        return any(self.has(a, label) for a in axes)

    def flags(self, label: int) -> tuple[bool, ...]:
        """For every axis, whether it carries a label."""
        return tuple(self.has(i, label) for i in range(len(self)))

    def wholly(self, label: int) -> tuple[bool, ...]:
        """For every axis, whether all its factors carry a label."""
        large = [[s for n, s in d if n != 1] or [s for _, s in d] for d in self.dims]
        return tuple(bool(d) and all(s & label for s in d) for d in large)

    def size(self, without: int) -> int:
        """Elements along the factors that lack a label."""
        return math.prod(n for dim in self.dims for n, labels in dim if not labels & without)

    def count(self, label: int) -> int:
        """Elements along the factors that carry a label."""
        return math.prod(n for dim in self.dims for n, labels in dim if labels & label)

    def labels(self, axes: Iterable[int]) -> int:
        """Every label that a factor of some axes carries."""
        return _any(tuple(factor for a in axes for factor in self.dims[a]))

    def moved(self, permutation: Iterable[int]) -> "Axes":
        """Axes in another order, some perhaps left out."""
        return Axes(tuple(self.dims[i] for i in permutation))

    def without(self, axes: Iterable[int]) -> "Axes":
        """Without some axes."""
        gone = set(axes)
        return self.moved(i for i in range(len(self)) if i not in gone)

    def broadcast(self, shape: Shape, dimensions: Iterable[int], labels: int) -> "Axes":
        """Axes at new places; those that appear or grow carry the labels given."""
        dims: list[tuple[Factor, ...]] = [((n, labels if n != 1 else 0),) for n in shape]
        for axis, dim in zip(dimensions, self.dims, strict=True):
            if math.prod(n for n, _ in dim) == shape[axis]:
                dims[axis] = dim
        return Axes(tuple(dims))

    def inserted(self, axis: int, size: int, labels: int) -> "Axes":
        """With one more axis."""
        return Axes((*self.dims[:axis], ((size, labels),), *self.dims[axis:]))

    def resized(self, shape: Shape) -> "Axes":
        """The same axes with other sizes: slices, padding, windows."""
        pairs = zip(self.dims, self.shape, shape, strict=True)
        return Axes(tuple(d if old == n else ((n, _any(d)),) for d, old, n in pairs))

    def tiled(self, repeats: Iterable[int], labels: int) -> "Axes":
        """Every axis so often one after the other; the copies carry the labels given."""
        dims = zip(self.dims, repeats, strict=True)
        return Axes(tuple(((n, labels), *dim) if n != 1 else dim for dim, n in dims))

    def marked(self, label: int, axes: Iterable[int]) -> "Axes":
        """With a label on some axes."""
        chosen = set(axes)
        return Axes(
            tuple(
                tuple((n, s | label) for n, s in dim) if i in chosen else dim
                for i, dim in enumerate(self.dims)
            )
        )

    def only(self, label: int) -> "Axes":
        """Without all other labels."""
        return Axes(tuple(tuple((n, s & label) for n, s in dim) for dim in self.dims))

    def relabelled(self, change: Callable[[int], int]) -> "Axes":
        """With every set of labels changed."""
        return Axes(tuple(tuple((n, change(s)) for n, s in dim) for dim in self.dims))

    def competing(self, size: float) -> "Axes":
        """Where winners are told: the last axis of this size enumerates neurons, no other one."""
        places = [a for a, n in enumerate(self.shape) if n == size]
        if self.size(IDLE) == size or not places:
            return self
        dims = (((n, VARIES if a == places[-1] else REPEATED),) for a, n in enumerate(self.shape))
        return Axes(tuple(dims))

    def reshaped(self, shape: Shape) -> "Axes":
        """Factors regrouped into a new shape, split where an axis is split."""
        rest = [f for dim in self.dims for f in dim if f[0] != 1]
        if 0 in shape:
            return Axes.of(shape)
        dims: list[tuple[Factor, ...]] = []
        for size in shape:
            taken, rest = _take(rest, size)
            dims.append(taken)
        return Axes(tuple(dims))


def _any(dim: tuple[Factor, ...]) -> int:
    """All labels of an axis; a single element keeps what its axis was."""
    labels = 0
    for _, found in _large(dim) or dim:
        labels |= found
    return labels


def _take(factors: list[Factor], size: int) -> tuple[tuple[Factor, ...], list[Factor]]:
    """The outermost factors whose product is `size`, and the rest; a larger factor is split."""
    taken: list[Factor] = []
    need, rest = size, list(factors)
    while need > 1 and rest:
        n, labels = rest.pop(0)
        if need % n == 0:
            taken.append((n, labels))
            need //= n
        elif n % need == 0:
            taken.append((need, labels))
            rest.insert(0, (n // need, labels))
            need = 1
        else:  # no common grid: one axis with all labels
            labels |= rest[0][1] if rest else 0
            share = math.gcd(n, need)
            taken.append((need, labels))
            left = math.prod([n, *(m for m, _ in rest)]) // need
            return tuple(taken), [(left, labels)] if left > 1 and share else []
    return tuple(taken) or ((size, 0),), rest


@dataclass(frozen=True)
class Cut:
    """A static slice of some axes: start, limit and stride of each, and their sizes."""

    cuts: tuple[tuple[int, int, int], ...]
    sizes: tuple[int, ...]

    def places(self) -> np.ndarray:
        """Numbers of the elements, where all are numbered in order."""
        every = np.arange(math.prod(self.sizes)).reshape(self.sizes)
        return every[tuple(slice(*cut) for cut in self.cuts)].reshape(-1)


@dataclass(frozen=True)
class Chosen:
    """Elements of some axes by their numbers, where all are numbered in order, and the sizes."""

    numbers: tuple[int, ...]
    sizes: tuple[int, ...]

    def places(self) -> np.ndarray:
        """Numbers of the elements."""
        return np.asarray(self.numbers, np.int64)


def numbers_in(part: Sequence[object]) -> tuple[np.ndarray, int] | None:
    """Numbers of the elements of a slice of slices, and of how many; `None` for other parts."""
    found: np.ndarray | None = None
    whole = 0
    for cut in part:
        if not isinstance(cut, Cut | Chosen):
            return None
        places = cut.places()
        if found is None:
            found, whole = places, math.prod(cut.sizes)
        elif len(found) == math.prod(cut.sizes):
            found = found[places]
        else:
            return None
    return None if found is None else (found, whole)


def put_together(parts: Iterable[Sequence[object]]) -> tuple[object, ...] | None:
    """The part that slices of one whole are side by side: none of it where they are all of it."""
    known = [numbers_in(p) for p in parts]
    found = [k for k in known if k is not None]
    wholes = {whole for _, whole in found}
    if len(found) < len(known) or len(wholes) != 1:
        return None
    whole, places = wholes.pop(), np.concatenate([places for places, _ in found])
    _, first = np.unique(places, return_index=True)
    numbers = tuple(places[np.sort(first)].tolist())
    return () if numbers == tuple(range(whole)) else (Chosen(numbers, (whole,)),)


def combined(op: Callable[[int, int], int], first: Axes, *others: Axes) -> Axes:
    """Labels of operands of one shape, combined element by element."""
    result = first
    for other in others:
        dims = zip(result.dims, other.dims, strict=True)
        result = Axes(tuple(_refined(op, a, b) for a, b in dims))
    return result


def either(first: Axes, *others: Axes) -> Axes:
    """Labels that any operand has."""
    return combined(lambda p, q: p | q, first, *others)


def delivered(axes: Axes) -> Axes:
    """Of a sum of products: neurons where the weight varies, batch and time elsewhere."""

    def label(s: int) -> int:
        neurons = s & WEIGHT and not s & PICKED
        return VARIES if neurons else REPEATED | (VARIES if s & SOURCE else 0)

    return axes.relabelled(label)


def regional(p: int, q: int) -> int:
    """Labels of two regions combined.

    Repeated where both are, and what is only copied says nothing.
    """
    if p & COPIED or q & COPIED:
        return (q if p & COPIED else p) & IDLE
    return p & q & REPEATED


def _refined(
    op: Callable[[int, int], int], a: tuple[Factor, ...], b: tuple[Factor, ...]
) -> tuple[Factor, ...]:
    left, right = _large(a), _large(b)
    if not (left and right):
        return tuple(left or right) or ((1, op(_labels(a), _labels(b))),)
    found: list[Factor] = []
    while left and right:
        (n, p), (m, q) = left.pop(0), right.pop(0)
        step = min(n, m)
        if not step or max(n, m) % step:  # nothing there, or no common grid
            return ((math.prod(k for k, _ in a), op(_any(a), _any(b))),)
        found.append((step, op(p, q)))
        left, right = _rest(n // step, p) + left, _rest(m // step, q) + right
    return tuple(found)


def _labels(dim: tuple[Factor, ...]) -> int:
    return sum(labels for _, labels in dim)


def _large(dim: tuple[Factor, ...]) -> list[Factor]:
    return [f for f in dim if f[0] != 1]


def _rest(size: int, labels: int) -> list[Factor]:
    return [(size, labels)] if size > 1 else []
