"""What a step of a loop does to one of its states, as its jaxpr says before any walk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from ..constants import evaluated
from ..packs import Box, Pack, Part, every, extent
from .boxes import CHANGES, READS, WRITES, box_read, box_written, new_of
from .flow import CALLS, inner_jaxpr
from .parts import moved_pack, taken_pack
from .registry import ELEMENTWISE, shape_of

_FOLLOWED = {"concatenate", "transpose", "reshape", *WRITES, *CHANGES}
_FORMS = ("squeeze", "broadcast_in_dim", "reshape", "expand_dims")

Name = int  # of a value in a step: calls of functions are written out, whose variables are shared


@dataclass(frozen=True, eq=False)
class Line:
    """One equation of a step, and the names of what it takes and makes."""

    jaxpr: Jaxpr
    eqn: Any
    ins: tuple[Name, ...]
    outs: tuple[Name, ...]

    @property
    def name(self) -> str:
        """The name of its primitive."""
        return self.eqn.primitive.name


class Body:
    """The lines of a step, and what is known of its inputs that are constants."""

    def __init__(self, jaxpr: Jaxpr, known: Sequence[Any]):
        self._values = dict[Name, Any](enumerate(known))
        self._count = len(jaxpr.invars)
        self.lines: list[Line] = []
        names = dict[Any, Name](zip(jaxpr.invars, range(self._count), strict=True))
        self.after = self._written_out(jaxpr, names)
        self.makers = {n: (line, k) for line in self.lines for k, n in enumerate(line.outs)}

    def _written_out(self, jaxpr: Jaxpr, names: dict[Any, Name]) -> list[Name]:
        """The lines of a jaxpr; the names of what it returns."""
        for eqn in jaxpr.eqns:
            ins = [self._name(v, names) for v in eqn.invars]
            inner = _called(eqn)
            if inner is None:
                outs = [self._fresh() for _ in eqn.outvars]
                self.lines.append(Line(jaxpr, eqn, tuple(ins), tuple(outs)))
            else:
                consts = [self._fresh(value) for value in inner.consts]
                own = zip((*inner.jaxpr.constvars, *inner.jaxpr.invars), consts + ins, strict=True)
                outs = self._written_out(inner.jaxpr, dict(own))
            names |= dict(zip(eqn.outvars, outs, strict=True))
        return [self._name(v, names) for v in jaxpr.outvars]

    def _name(self, atom: Any, names: Mapping[Any, Name]) -> Name:
        if isinstance(atom, Literal):
            return self._fresh(atom.val)
        return names[atom] if atom in names else self._fresh()

    def _fresh(self, value: Any = None) -> Name:
        self._count += 1
        if value is not None:
            self._values[self._count - 1] = value
        return self._count - 1

    def reads(self, name: Name) -> list[tuple[Line, int]]:
        """Where a value is an operand."""
        return [(line, i) for line in self.lines for i, n in enumerate(line.ins) if n == name]

    def written(self, line: Line) -> Box | None:
        """The box that an equation writes, where its index is a constant."""
        return box_written(line.eqn, self._constants(line))

    def read(self, line: Line, k: int) -> Box | None:
        """The box that output k of an equation takes, where its index is a constant."""
        return box_read(line.eqn, k, self._constants(line))

    def _constants(self, line: Line) -> list[Any]:
        """The operands behind the first one, where they are constants."""
        return [None, *map(self.constant, line.ins[1:])]

    def constant(self, name: Name) -> Any:
        """The value of a constant."""
        if name not in self._values:
            made = self.makers.get(name)
            self._values[name] = None if made is None else self._made(*made)
        return self._values[name]

    def _made(self, line: Line, k: int) -> Any:
        return evaluated(line.jaxpr, line.eqn, k, lambda i: self.constant(line.ins[i]))


def _called(eqn: Any) -> ClosedJaxpr | None:
    """The function that an equation calls."""
    inner = inner_jaxpr(eqn) if eqn.primitive.name in CALLS else None
    return ClosedJaxpr(inner, []) if isinstance(inner, Jaxpr) else inner


def is_read_apart(body: Body, name: Name, pack: Pack) -> bool:
    """Whether a program takes nothing from an array but the values that are put together in it."""
    return all(_reads_apart(body, line, i, pack) for line, i in body.reads(name))


def _reads_apart(body: Body, line: Line, i: int, pack: Pack) -> bool:
    if line.name in READS:
        return i == 0 and all(_takes(body, line, k, pack) for k in range(len(line.outs)))
    if line.name not in _FOLLOWED | ELEMENTWISE:
        return all(_reads_inside(body, line, j, k, pack) for j, k in _inside(line.eqn, i))
    after = _after(body, line, i, pack)
    return after is not None and is_read_apart(body, line.outs[0], after)


def _after(body: Body, line: Line, i: int, pack: Pack) -> Pack | None:
    """The values of what an equation makes of operand i; none where they are not apart any more."""
    if line.name == "concatenate":
        return _beside_others(line.eqn, i, pack)
    if line.name in ("transpose", "reshape"):
        return moved_pack(line.eqn, pack)
    if line.name in ELEMENTWISE:
        same = shape_of(line.eqn.outvars[0]) == shape_of(line.eqn.invars[i])
        return pack if same else None
    return pack if i == 0 and pack.within(body.written(line)) else None


def _reads_inside(body: Body, line: Line, jaxpr: Jaxpr, k: int, pack: Pack) -> bool:
    """Whether the jaxpr of an equation takes nothing from its input k but its values."""
    same = len(jaxpr.invars) == len(line.ins)
    known = [body.constant(n) for n in line.ins] if same else [None] * len(jaxpr.invars)
    return is_read_apart(Body(jaxpr, known), k, pack)


def _takes(body: Body, line: Line, k: int, pack: Pack) -> bool:
    """Whether output k of an equation is one value, or several that are taken apart later."""
    box = body.read(line, k)
    if box is None or pack.at(box) is not None or 0 in extent(box):
        return box is not None
    inner = taken_pack(pack, box, shape_of(line.eqn.outvars[k]))
    return inner is not None and is_read_apart(body, line.outs[k], inner)


def _beside_others(eqn: Any, i: int, pack: Pack) -> Pack:
    """The values of operand i beside all of the others, of which nothing is known."""
    parts = [Part(box, pack.values[0], k != i) for k, box in enumerate(_side_by_side(eqn))]
    return Pack((*parts[:i], *parts[i].opened(pack), *parts[i + 1 :]))


def _inside(eqn: Any, i: int) -> list[tuple[Jaxpr, int]]:
    """Where operand i goes on as it is: into branches, or the steps of a loop."""
    p = eqn.params
    if eqn.primitive.name == "cond":
        return [(branch.jaxpr, i - 1) for branch in p["branches"]] if i else []
    if eqn.primitive.name == "while":
        return _inside_while(p, i)
    if eqn.primitive.name == "scan" and i >= p["num_consts"] + p["num_carry"]:
        return []
    found: list[Any] = [p[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in p]
    inner: list[Jaxpr] = [getattr(jaxpr, "jaxpr", jaxpr) for jaxpr in found[:1]]
    return [(jaxpr, i) for jaxpr in inner if len(jaxpr.invars) == len(eqn.invars)]


def _inside_while(p: dict[str, Any], i: int) -> list[tuple[Jaxpr, int]]:
    """Into the test, into the body, or, as what is carried, into both."""
    tests, fixed = p["cond_nconsts"], p["body_nconsts"]
    test, body = p["cond_jaxpr"].jaxpr, p["body_jaxpr"].jaxpr
    if i < tests:
        return [(test, i)]
    return [(body, i - tests), *([(test, i - fixed)] if i >= tests + fixed else [])]


def is_shifted(body: Body, k: int, state: Name) -> bool:
    """Whether a step moves parts of state k to other places: a delay line, not several states."""
    after = body.after[k]
    made = body.makers.get(after)
    rank = len(shape_of(made[0].eqn.outvars[made[1]])) if made else 0
    parts = _put_parts(body, after, range(rank))
    return any(_taken_from(body, n, state) not in (None, at) for at, n in parts)


def _put_parts(body: Body, after: Name, order: Sequence[int]) -> Iterator[tuple[Box, Name]]:
    """Where a step puts what into a state, whose axes are in another order here."""
    if after not in body.makers:
        return
    line = body.makers[after][0]
    if line.name in WRITES:
        box = body.written(line)
        if box is not None:
            yield tuple(box[a] for a in order), new_of(line.eqn, line.ins)
        yield from _put_parts(body, line.ins[0], order)
    elif line.name == "transpose":
        permutation = [*map(int, line.eqn.params["permutation"])]
        yield from _put_parts(body, line.ins[0], [permutation[a] for a in order])
    elif line.name == "select_n":
        for case in line.ins[1:]:
            yield from _put_parts(body, case, order)
    elif line.name in ("concatenate", "stack"):
        for box, name in zip(_side_by_side(line.eqn), line.ins, strict=True):
            yield tuple(box[a] for a in order), name


def _side_by_side(eqn: Any) -> Iterator[Box]:
    """Where each operand is in what is put together of them."""
    stacked = eqn.primitive.name == "stack"
    axis, start = int(eqn.params["axis" if stacked else "dimension"]), 0
    for variable in eqn.invars:
        n = 1 if stacked else shape_of(variable)[axis]
        box = every(shape_of(eqn.outvars[0]))
        yield (*box[:axis], (start, start := start + n), *box[axis + 1 :])


def _taken_from(body: Body, name: Name, state: Name) -> Box | None:
    """Which box of a state a value is; none: it is no part of it."""
    while name in body.makers:
        line, k = body.makers[name]
        if line.name in READS:
            box = body.read(line, k)
            return None if box is None else _in_state(body, line.ins[0], state, box)
        if line.name not in _FORMS:
            return None
        name = line.ins[0]
    return None


def _in_state(body: Body, name: Name, state: Name, box: Box) -> Box | None:
    """A box of a state, or of what a transposition has made of it; none: of nothing else."""
    if name == state:
        return box
    line = body.makers.get(name, (None,))[0]
    if line is None or line.name != "transpose":
        return None
    order = [*map(int, line.eqn.params["permutation"])]
    before = tuple(box[order.index(a)] for a in range(len(box)))
    return _in_state(body, line.ins[0], state, before)
