"""Sums that add nothing up: of values of which at most one is not zero, whatever the data are."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..axes import VARIES
from ..findings import Context
from ..kinds import Data, Parameter, Value
from .beside import Put
from .births import datas
from .padding import DEEPEST, after_each_other, border


def never_meet(ins: Sequence[Value], ctx: Context) -> Put | None:
    """How two values stand beside each other, as parts of their sum; `None`: they meet.

    One begins where the other has only zeros, or a mask takes what the other leaves.
    """
    a, b = ins
    if not (isinstance(a, Data) and isinstance(b, Data)) or a.axes.shape != b.axes.shape:
        return None
    along = after_each_other(a.axes.shape, border(a, ctx), border(b, ctx))
    if along:
        return Put((0, 1), along)
    masks = [(m, n) for m in _masks(a, ctx) for n in _masks(b, ctx)]
    return next((chosen_by(m.mask, (0, 1)) for m, n in masks if m.is_rest_of(n)), None)


def chosen_by(mask: Parameter, places: tuple[int, ...]) -> Put:
    """One value where a mask of parameters is, another one elsewhere."""
    along = tuple(a for a, varies in enumerate(mask.axes.flags(VARIES)) if varies)
    return Put(places, along, (mask,), over=True)


@dataclasses.dataclass(frozen=True)
class _Mask:
    """A parameter that is 0 or 1: where it stands, and whether it is the mask or its rest."""

    number: int
    moves: tuple[tuple[str, str], ...]  # what has moved it since it was made
    rest: bool
    mask: Parameter  # as it is used

    def is_rest_of(self, other: "_Mask") -> bool:
        """Whether one is zero just where the other is one."""
        same = (self.number, self.moves) == (other.number, other.moves)
        return same and self.rest != other.rest


def _masks(data: Data, ctx: Context) -> list[_Mask]:
    """Masks that a value has been multiplied by, or chosen by beside zeros, some way back."""
    found: list[_Mask] = []
    for _ in range(DEEPEST):
        made = ctx.maker(data.number)
        if made is None:
            break
        eqn, ins = made
        found += _masked_by(eqn, ins, ctx)
        inner = _scaled_by(eqn, ins)
        if inner is None:
            break
        data = inner
    return found


def _masked_by(eqn: Any, ins: Sequence[Value], ctx: Context) -> list[_Mask]:
    """Masks that an equation multiplies by, or chooses by beside zeros."""
    name = eqn.primitive.name
    if name == "mul":
        return [_mask(i, ctx) for i in ins if isinstance(i, Parameter) and i.is_mask]
    if name == "select_n" and len(ins) == 3 and isinstance(ins[0], Parameter):
        own, (off, on) = _mask(ins[0], ctx), (i.constant == 0 for i in ins[1:])
        return [] if off == on else [dataclasses.replace(own, rest=own.rest ^ on)]
    return []


def _scaled_by(eqn: Any, ins: Sequence[Value]) -> Data | None:
    """The one operand of data, where the result is zero wherever that is."""
    inner, name = datas(ins), eqn.primitive.name
    if len(inner) != 1 or not (name == "mul" or (name in _SCALES and inner[0] is ins[0])):
        return None
    return inner[0]


_SCALES = ("div", "neg", "convert_element_type")


def _mask(used: Parameter, ctx: Context) -> _Mask:
    """A mask as what it was made of: before it was moved, converted, or taken from one."""
    value: Value = used
    moves: list[tuple[str, str]] = []
    rest = False
    while (made := ctx.maker(value.number)) is not None:
        eqn, ins = made
        name, (inner, turns) = eqn.primitive.name, _inside(eqn, ins)
        if inner is None:
            break
        if name in _MOVES:
            moves.append((name, str(eqn.params)))
        rest ^= turns
        value = inner
    return _Mask(value.number, tuple(moves), rest, used)


_MOVES = "broadcast_in_dim reshape squeeze expand_dims transpose".split()


def _inside(eqn: Any, ins: Sequence[Value]) -> tuple[Value | None, bool]:
    """The mask that another one is made of, and whether this is what it leaves."""
    name, first = eqn.primitive.name, ins[0]
    if name == "sub":
        fits = first.constant == 1 and isinstance(ins[1], Parameter) and ins[1].is_mask
        return (ins[1], True) if fits else (None, False)
    fits = isinstance(first, Parameter) and first.is_mask
    if name == "not":
        return (first, True) if fits else (None, False)
    passes = name in _MOVES or name == "convert_element_type"
    return (first, False) if fits and passes else (None, False)
