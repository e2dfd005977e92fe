"""Where a value stands: in the program, and which elements of an array it is."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

# A place in the program: equation indices from the outermost jaxpr inwards, in program order.
Path = tuple[int, ...]
Paths = frozenset[Path]

NONE: frozenset[Any] = frozenset()

T = TypeVar("T")


def union(sets: Iterable[frozenset[T]]) -> frozenset[T]:
    """Union of any number of sets."""
    return frozenset[T]().union(*sets)


def stands_in(path: Path, around: Path) -> bool:
    """Whether a place stands in a part of the program."""
    return path[: len(around)] == around


def read_in_steps(held: Paths, loops: Paths, at: int) -> Paths:
    """States; of those of some loops one place, `at` which they are read in each step."""
    return frozenset((*s, at) if s[:-1] in loops else s for s in held)


def states_of(held: Paths) -> Paths:
    """States of loops; of a place that is read in one, that state too: it has one number more."""
    return held | {s[:-1] for s in held if len(s) % 2}


@dataclass(frozen=True)
class Layer:
    """A scan that slices a stack of weights: its place and its length."""

    path: Path
    length: int


@dataclass(frozen=True)
class Several:
    """Slices of several values, or several of one, that were combined element by element.

    Those of a long sum hold each other many times over: a hash is found once.
    """

    slices: tuple[Any, ...]

    @functools.cached_property
    def _hash(self) -> int:
        return hash(self.slices)

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True)
class State:
    """A leaf that a loop carries, and perhaps changes in every step: the same elements in all."""

    loop: Path


@dataclass(frozen=True)
class Place:
    """Which elements of an array these are: static slices, and loops that walk over it."""

    slices: tuple[Any, ...] = ()
    loops: Paths = NONE

    def at(self, *where: Any) -> "Place":
        """The same array, sliced once more."""
        return Place((*self.slices, *where), self.loops)

    def walked(self, loops: Paths) -> "Place":
        """The same array, one slice in each step of some loops."""
        return Place(self.slices, self.loops | loops)

    def left(self, loops: Paths) -> "Place":
        """The same array, where the slices of all steps of some loops are together again."""
        return Place(self.slices, self.loops - loops)

    @property
    def walks(self) -> Paths:
        """Loops that take other elements in each step."""
        return self.loops - {s.loop for s in self.slices if isinstance(s, State)}

    @property
    def parts(self) -> tuple[Any, ...]:
        """Its slices, of a leaf that a loop carries too: that is the same in all steps."""
        return tuple(s for s in self.slices if not isinstance(s, State))

    @property
    def is_whole(self) -> bool:
        """Whether nothing was sliced, and no loop walks over it."""
        return not (self.slices or self.loops)

    @property
    def is_combined(self) -> bool:
        """Whether these are slices of several values, and none of those."""
        return bool(self.slices) and isinstance(self.slices[-1], Several)

    def ends(self, other: "Place") -> bool:
        """Whether another array was sliced in the same way, at last, or this one is whole."""
        own = len(self.slices)
        return self.loops <= other.loops and other.slices[len(other.slices) - own :] == self.slices

    def differs(self, other: "Place", carried: Paths) -> bool:
        """Whether these are other elements; `carried` are loops between the two."""
        return self.slices != other.slices or bool(self.loops & carried)


def combined_place(places: Iterable[Place]) -> Place:
    """Where the elements of a combination stand: whole values say nothing, of slices all."""
    sliced = [p for p in places if not p.is_whole]
    slices, loops = {p.slices: None for p in sliced}, union(p.loops for p in sliced)
    return Place(next(iter(slices), ()) if len(slices) < 2 else (Several(tuple(slices)),), loops)
