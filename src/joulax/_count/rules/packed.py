"""States of several regions in one array: each of them is followed from step to step by itself."""

from collections.abc import Sequence
from typing import Any

from ..kinds import Analog, Data, Value
from ..packs import Pack, part_of
from .bodies import Body, is_read_apart, is_shifted
from .parts import pack_of
from .states import entering, leaving, rejoined


class Packed:
    """The states of a loop, and behind them the parts of those that are put together of several.

    A state is packed where every step puts it together of several values and takes it apart again.
    What is sliced from it in the next step is one of them.
    """

    def __init__(self, ctx: Any, fixed: Sequence[Value], start: Sequence[Value], body: Any):
        """`body`: the jaxpr of a step; its inputs are what is `fixed`, states, and other things."""
        self._ctx, self._start, self._first = ctx, start, len(fixed)
        known: list[Any] = [ctx.concrete(info) for info in fixed]
        self._body = Body(body.jaxpr, known)
        packs = {k: ctx.pack(s.number) for k, s in enumerate(start)}  # states of a loop around
        self._begin = {k: p for k, p in packs.items() if p is not None and self._is_packed(k, p)}

    @property
    def begin(self) -> list[Value]:
        """The states before the first step, and their parts."""
        return self._entering([*self._start, *self._parts], 0)

    @property
    def _parts(self) -> list[Value]:
        """Parts of states that are packed, before the first step."""
        return [part for pack in self._begin.values() for part in pack.values]

    def packs(self, states: Sequence[Value]) -> dict[int, Pack]:
        """The parts of the inputs of a step."""
        return {self._first + k: pack for k, pack in self._packs(states).items()}

    def _packs(self, states: Sequence[Value]) -> dict[int, Pack]:
        rest, found = states[len(self._start) :], dict[int, Pack]()
        for k, pack in self._begin.items() if rest else ():
            many = len(pack.parts)
            found[k], rest = pack.filled(rest[:many]), rest[many:]
        return found

    def after(self, outs: Sequence[Value]) -> list[Value]:
        """States after a step, and their parts."""
        for k, out in enumerate(outs):
            learned = isinstance(out, Data) and out.weight is not None  # a weight is one value
            pack = None if learned else pack_of(out, self._ctx)
            if pack is not None and self._is_packed(k, pack):
                self._begin.setdefault(k, self._unpacked(self._start[k], pack))
        packs = (self._unpacked(outs[k], pack) for k, pack in self._begin.items())
        return [*outs, *(part for pack in packs for part in pack.values)]

    def behind(self, states: Sequence[Value]) -> dict[int, Pack]:
        """The parts of states behind the loop."""
        packs, path = self._packs(states), self._ctx.path
        return {k: p.filled([leaving(v, path) for v in p.values]) for k, p in packs.items()}

    def apart(self, states: Sequence[Value]) -> list[Value]:
        """States after a step and parts of states, without those that are put together."""
        return [s for k, s in enumerate(states) if k not in self._begin]

    def joined(self, old: list[Value], new: list[Value]) -> list[Value]:
        """States that may be those of the start or those of any step; of new parts the start."""
        first = len(self._start)
        if len(old) == len(new):
            return self._joined(old, new)
        states = self._joined(old[:first], new[:first])
        return [*states, *self._entering(self._parts, first)]

    def _joined(self, old: list[Value], new: list[Value]) -> list[Value]:
        states = rejoined(self._ctx.path, old, new)
        return [self._taken_back(s, n) for s, n in zip(states, new, strict=True)]

    def _taken_back(self, state: Value, new: Value) -> Value:
        """A state without spikes of its own neurons, of which an earlier walk did not know that."""
        if not (isinstance(state, Analog) and isinstance(new, Data)):
            return state
        sites = frozenset(f for f in state.feeds if self._ctx.site(f) is not None)
        own = self._ctx.own(state.births, sites) - new.births
        return state.but(births=state.births - own, fired=state.fired | own)

    def _is_packed(self, k: int, pack: Pack) -> bool:
        """Whether several values are put together, and the next step takes them apart again."""
        body, state, several = self._body, self._first + k, len(pack.parts) > 1
        return several and is_read_apart(body, state, pack) and not is_shifted(body, k, state)

    def _unpacked(self, value: Value, like: Pack) -> Pack:
        """The parts of a state: what it was put together of, or pieces of the same sizes."""
        known = pack_of(value, self._ctx)
        if known is not None and set(known.boxes) == set(like.boxes):
            return known.ordered(like)
        parts = [
            part_of(value, box, v.axes) for box, v in zip(like.boxes, like.values, strict=True)
        ]
        return like.filled(parts)

    def _entering(self, states: Sequence[Value], first: int) -> list[Value]:
        return [entering(s, self._ctx.path, first + k) for k, s in enumerate(states)]
