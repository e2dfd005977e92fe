"""Several values in one array: which box of it each of them fills."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .axes import IDLE, VARIES, Axes, Shape
from .kinds import Data, Parameter, Value, varied
from .places import NONE, Place

Box = tuple[tuple[int, int], ...]  # start and limit along every axis
Moved = Callable[[Axes, Shape], Axes]
MOST = 1 << 22  # elements of larger parts are not followed through other shapes


def every(shape: Shape) -> Box:
    """All of an array."""
    return tuple((0, n) for n in shape)


def extent(box: Box) -> Shape:
    """The shape of a part."""
    return tuple(stop - start for start, stop in box)


def overlap(a: Box, b: Box) -> Box | None:
    """What two boxes share."""
    pairs = zip(a, b, strict=True)
    found = tuple((max(p, q), min(m, n)) for (p, m), (q, n) in pairs)
    return found if all(start < stop for start, stop in found) else None


def _around(box: Box, hole: Box) -> Iterator[Box]:
    """Boxes that are together what a hole leaves of a box."""
    for axis, ((first, last), (start, stop)) in enumerate(zip(box, hole, strict=True)):
        for piece in ((first, start), (stop, last)):
            if piece[0] < piece[1]:
                yield (*hole[:axis], piece, *box[axis + 1 :])


def reshaped(box: Box, shape: Shape, new: Shape) -> Box | None:
    """The box that the same elements are in an array of another shape, if they are one."""
    if not 0 < math.prod(extent(box)) <= MOST:
        return None
    if not (shape and new):
        return every(new)
    numbers = _numbers(box, shape)
    first, last = (_corner(int(numbers[at]), new) for at in (0, -1))
    found = tuple((start, end + 1) for start, end in zip(first, last, strict=True))
    ordered = all(start < stop for start, stop in found)
    return found if ordered and np.array_equal(_numbers(found, new), numbers) else None


def _corner(number: int, shape: Shape) -> list[int]:
    """Where the element with a number is."""
    found: list[int] = []
    for n in reversed(shape):
        number, at = divmod(number, n)
        found.insert(0, at)
    return found


def _numbers(box: Box, shape: Shape) -> np.ndarray:
    """Numbers of the elements of a box, where those of its array are numbered in order."""
    ranges = np.ix_(*(np.arange(start, stop) for start, stop in box))
    return np.ravel_multi_index(ranges, shape).reshape(-1)


@dataclass(frozen=True)
class Part:
    """A value that fills a box of an array; a `loose` one is what was in the array before."""

    box: Box
    value: Value
    loose: bool = False

    def inside(self, box: Box) -> "Part | None":
        """What fills a box of this one: all of it, or some of what was in the array before."""
        if box == self.box:
            return self
        if not self.loose or overlap(box, self.box) != box:
            return None
        return Part(box, part_of(self.value, box, self.value.axes.resized(extent(box))), True)

    def opened(self, pack: "Pack | None") -> "tuple[Part, ...]":
        """The values that it is itself put together of."""
        inner, origin = known_pack(pack), [start for start, _ in self.box]
        return tuple(p.shifted(origin) for p in inner.parts) if inner else (self,)

    def shifted(self, by: Sequence[int]) -> "Part":
        """The same value somewhere else."""
        moves = zip(self.box, by, strict=True)
        return Part(tuple((a + n, b + n) for (a, b), n in moves), self.value, self.loose)


@dataclass(frozen=True)
class Pack:
    """Values that fill an array together."""

    parts: tuple[Part, ...]

    @classmethod
    def along(cls, axis: int, values: Sequence[Value]) -> "Pack":
        """Values beside each other along an axis."""
        found, start = list[Part](), 0
        for value in values:
            box = list(every(value.axes.shape))
            box[axis] = (start, start := start + box[axis][1])
            found.append(Part(tuple(box), value, isinstance(value, Parameter)))
        return cls(tuple(found))

    @classmethod
    def of(cls, value: Value) -> "Pack":
        """An array of which nothing is known but the whole."""
        return cls((Part(every(value.axes.shape), value, True),))

    @property
    def is_known(self) -> bool:
        """Whether a part of it is a value of its own."""
        return not all(p.loose for p in self.parts)

    @property
    def values(self) -> tuple[Value, ...]:
        """The values, in their order."""
        return tuple(p.value for p in self.parts)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The box of each of them."""
        return tuple(p.box for p in self.parts)

    def at(self, box: Box | None) -> Value | None:
        """The value that fills a box, if it is one; nobody knows what fills an unknown one."""
        found = (p.inside(box) for p in self.parts if box is not None)
        return next((p.value for p in found if p is not None), None)

    def within(self, box: Box | None) -> "Pack | None":
        """The parts of a box, as an array of its own."""
        if box is None:
            return None
        pairs = [(p, there) for p in self.parts if (there := overlap(p.box, box))]
        parts = [p.inside(there) for p, there in pairs]
        known = [p for p in parts if p is not None]
        origin = tuple(-start for start, _ in box)
        return Pack(tuple(p.shifted(origin) for p in known)) if len(known) == len(parts) else None

    def put(self, box: Box | None, new: Value) -> "Pack | None":
        """With another value in a box; none where that is a piece of one of them."""
        if box is None:
            return None
        new, kept = fitted(new, box), list[Part]()
        for part in self.parts:
            hole = overlap(part.box, box)
            if hole is None:
                kept.append(part)
            elif hole != part.box:
                pieces = [part.inside(piece) for piece in _around(part.box, hole)]
                if None in pieces:
                    return None
                kept += [p for p in pieces if p is not None]
        return Pack((*kept, Part(box, new)))

    def opened(self, inner: "Pack | None") -> "Pack":
        """With the values that the last one is itself put together of."""
        return Pack((*self.parts[:-1], *self.parts[-1].opened(inner)))

    def filled(self, values: Sequence[Value]) -> "Pack":
        """The same boxes with other values."""
        pairs = zip(self.parts, values, strict=True)
        return Pack(tuple(Part(p.box, value, p.loose) for p, value in pairs))

    def ordered(self, like: "Pack") -> "Pack":
        """The same parts in the order of another pack with the same boxes."""
        return Pack(tuple(sorted(self.parts, key=lambda p: like.boxes.index(p.box))))

    def moved(self, box: Callable[[Box], Box | None], axes: Moved) -> "Pack | None":
        """The same values where a movement has put them, with the axes that they have there."""
        found = list[Part]()
        for part in self.parts:
            there = box(part.box)
            if there is None:
                return None
            value = relabelled(part.value, axes(part.value.axes, extent(there)))
            found.append(Part(there, value, part.loose))
        return Pack(tuple(found))


def known_pack(pack: Pack | None) -> Pack | None:
    """The pack, where a part of it is a value of its own."""
    return pack if pack is not None and pack.is_known else None


def met(first: Pack, second: Pack, make: Callable[[Value, Value], Value | None]) -> Pack | None:
    """What is made of values of two arrays of one shape that meet element by element."""
    found = list[Part]()
    for a in first.parts:
        for b in second.parts:
            box = overlap(a.box, b.box)
            if box is None:
                continue
            left, right = a.inside(box), b.inside(box)
            made = make(left.value, right.value) if left and right else None
            if made is None:
                return None
            found.append(Part(box, made, a.loose and b.loose))
    return Pack(tuple(found))


def relabelled(value: Value, axes: Axes) -> Value:
    """The same elements with other axes."""
    apart = dict[str, Any](terms=NONE, weight=None) if isinstance(value, Data) else {}
    return value.anew(axes=axes, **apart)


def fitted(value: Value, box: Box) -> Value:
    """A value with the axes that it has in a box."""
    shape, axes = extent(box), value.axes
    return relabelled(value, axes if axes.shape == shape else axes.reshaped(shape))


def part_of(whole: Value, box: Box, axes: Axes) -> Value:
    """A part of a value of which nothing is known but the whole."""
    if isinstance(whole, Parameter):
        place = whole.place if whole.constant is not None else whole.place.at(("part", box))
        return whole.anew(axes=varied(axes.shape), place=place)
    assert isinstance(whole, Data)
    return whole.apart(axes=axes.only(IDLE | VARIES), place=Place())
