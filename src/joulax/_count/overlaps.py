"""Slices of one weight that several sites use: what they are in all."""

import functools
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from .rules.terms import Window

Operator = Callable[[Any, Any], Any]


def together(found: dict[Any, Any], add: Operator, larger: Operator) -> Any:
    """Sizes by slices of a weight in all: a use of more of the weight contains the others."""
    parts = [s for place, s in found.items() if place and not any(_holds(q, place) for q in found)]
    if not parts:
        return found[()]
    total = functools.reduce(add, parts)
    return larger(found[()], total) if () in found else total


def _holds(more: Any, place: Any) -> bool:
    """Whether a sum of some slices by hand has all those of another one."""
    sets = [p[0] for p in (more, place) if len(p) == 1 and isinstance(p[0], frozenset)]
    return len(sets) == 2 and sets[1] < sets[0]


def once(found: Collection[Any]) -> float:
    """Elements of slices that overlap, each once, as a part of all of them."""
    windows = [p[0] for p in found if len(p) == 1 and isinstance(p[0], Window)]
    if len(windows) < 2 or len(windows) < len(found):
        return 1.0
    there, every = np.zeros(np.max([w.limits for w in windows], axis=0), bool), 0
    for w in windows:
        part = tuple(map(slice, w.starts, w.limits, w.strides))
        every += there[part].size
        there[part] = True
    return int(there.sum()) / every
