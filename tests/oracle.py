"""A second count that shares no idea with the rules: a jaxpr, run element by element.

Every number remembers the elements of the weights it was made of, the element of data it is, and
the products of the two that it is a sum of. Where a sum brings together products of different
elements of one weight with different elements of one source, these products are synapses.
"""

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun

NONE: frozenset = frozenset()


class Beyond(Exception):
    """The program has something that the interpreter does not follow."""


@dataclass(frozen=True)
class Product:
    """One element of a weight times one element of data, inside a number."""

    atoms: frozenset  # (leaf, element)
    source: tuple[Any, Any]  # array, element
    alive: bool  # neither factor is zero
    counted: bool = False
    inside: frozenset = NONE  # products that this one has become a factor of
    name: int = 0

    @property
    def leaves(self) -> frozenset:
        return frozenset(leaf for leaf, _ in self.atoms)

    @property
    def keys(self) -> list:
        """Which weight it is of, and which source."""
        return [(one, self.source[0]) for one in self.leaves]


@dataclass(frozen=True)
class Tag:
    """What one number remembers."""

    data: bool = False
    atoms: frozenset = NONE
    source: tuple[Any, Any] = (None, None)
    products: tuple[Product, ...] = ()


CONSTANT = Tag()


class Oracle:
    """Runs a jaxpr and counts the synapses it meets."""

    def __init__(self):
        self.effective: dict[frozenset, float] = defaultdict(float)
        self.dense: dict[frozenset, float] = defaultdict(float)
        self.pairs = [0.0, 0.0]
        self._names = itertools.count(1)
        self._turn: tuple[int, ...] = ()
        self._backward = False
        self._chosen: Any = None  # inside of a branch: the data that choose it, and if they do

    # -- walking -----------------------------------------------------------------------

    def run(self, jaxpr: Jaxpr, consts, values, tags, path=()):
        env = dict(zip(jaxpr.constvars, consts, strict=True))
        known = {v: self._closed(c, (path, k)) for k, (v, c) in enumerate(env.items())}
        env |= dict(zip(jaxpr.invars, values, strict=True))
        known |= dict(zip(jaxpr.invars, tags, strict=True))
        read = lambda a: np.asarray(a.val) if isinstance(a, Literal) else env[a]
        tag = lambda a: filled(np.shape(a.val)) if isinstance(a, Literal) else known[a]
        for i, eqn in enumerate(jaxpr.eqns):
            ins, marks = [read(v) for v in eqn.invars], [tag(v) for v in eqn.invars]
            around, scope = self._backward, str(eqn.source_info.name_stack)
            self._backward = around or "transpose(" in scope
            outs, made = self.equation(jaxpr, eqn, ins, marks, (*path, i))
            self._backward = around
            env |= dict(zip(eqn.outvars, outs, strict=True))
            known |= dict(zip(eqn.outvars, made, strict=True))
        return [read(v) for v in jaxpr.outvars], [tag(v) for v in jaxpr.outvars]

    def _closed(self, value, key):
        return filled(np.shape(value)) if self.declared else leaf(np.shape(value), key)

    declared = True

    def equation(self, jaxpr, eqn, ins, tags, path):
        name = eqn.primitive.name
        if name in ("scan", "while", "cond"):
            return getattr(self, f"_{name}")(eqn, ins, tags, path)
        inner = inside(eqn)
        if inner is not None:
            body, consts = opened(inner)
            return self.run(body, consts, ins, tags, (*path, 0))
        outs = evaluate(jaxpr, eqn, ins)
        made = [self.result(eqn, ins, tags, out, (path, k), k) for k, out in enumerate(outs)]
        return outs, made

    def result(self, eqn, ins, tags, out, key, k):
        name = eqn.primitive.name
        data = any(t.data for each in tags for t in each.flat)
        fresh = lambda: born(np.shape(out), data, (key, self._turn))
        if name in MOVES:
            return self._moved(eqn, ins, tags, k)
        if name in PLACES:
            return self._placed(eqn, ins, tags, fresh())
        if name in ("gather", "dynamic_slice"):
            return self._picked(eqn, ins, tags, fresh())
        if name in SUMS:
            return self._summed(eqn, ins, tags, fresh())
        if name in ("dot_general", "conv_general_dilated"):
            return self._contracted(eqn, ins, tags, fresh())
        if name in ELEMENTWISE or all(np.shape(x) in (np.shape(out), ()) for x in ins):
            return self._elementwise(eqn, ins, tags, out, fresh())
        open_ = any(not p.counted for each in tags for t in each.flat for p in t.products)
        weighted = any(len({t.atoms for t in each.flat if not t.data}) > 1 for each in tags)
        if data and (open_ or weighted):
            raise Beyond(name)
        found = NONE.union(*(t.atoms for each in tags for t in each.flat))
        leaves = {one for one, _ in found}
        if data or not leaves:
            return fresh()
        own = lambda t: frozenset((one, t.source) for one in leaves)
        return each(fresh(), lambda t: replace(t, atoms=own(t)))

    # -- movement ----------------------------------------------------------------------

    def _moved(self, eqn, ins, tags, k):
        at = np.asarray(evaluate_on(eqn, [numbered(ins[0])])[k])
        return picked([*tags[0].flat], at)

    def _placed(self, eqn, ins, tags, fresh):
        name = eqn.primitive.name
        values = PLACES[name](ins)
        numbers, start = list(ins), 0
        for i in values:
            numbers[i] = numbered(ins[i]) + start
            start += np.size(ins[i])
        at = np.asarray(again(eqn, *numbers))
        out = picked([t for i in values for t in tags[i].flat], at)
        rest = [t for i, each in enumerate(tags) if i not in values for t in each.flat]
        if not any(t.data for t in rest):
            return out
        for place in np.ndindex(*out.shape):
            if not out[place].data:
                out[place] = replace(out[place], data=True, source=fresh[place].source)
        return out

    def _picked(self, eqn, ins, tags, fresh):
        index = [t for each in tags[1:] for t in each.flat]
        at = np.asarray(evaluate_on(eqn, [numbered(ins[0]), *ins[1:]], fill_value=-1)[0])
        found = picked([*tags[0].flat], at)
        if not any(t.data for t in index):
            return found
        rows = self._rows(eqn, fresh.shape, tags)
        leaves = {one for t in tags[0].flat if not t.data for one, _ in t.atoms}
        for place in np.ndindex(*fresh.shape):
            t, row = found[place], rows(place)
            products = t.products
            out_of_range = at[place] < 0
            if out_of_range and leaves:
                t = Tag(atoms=frozenset((one, ("none", place)) for one in leaves))
            if t.atoms and not t.data:
                alive = not out_of_range and ins[0].flat[at[place]] != 0
                products = (Product(t.atoms, row, bool(alive), name=next(self._names)),)
            own = t.source if t.data else fresh[place].source
            found[place] = Tag(True, t.atoms, own, products)
        return found

    def _rows(self, eqn, shape, tags):
        if eqn.primitive.name == "dynamic_slice":
            data = next(t for each in tags[1:] for t in each.flat if t.data)
            return lambda place: data.source
        offset = eqn.params["dimension_numbers"].offset_dims
        rows = [d for d in range(len(shape)) if d not in offset]
        return lambda place: tags[1][(*(place[d] for d in rows), 0)].source

    # -- sums --------------------------------------------------------------------------

    def _summed(self, eqn, ins, tags, out):
        name = eqn.primitive.name
        if name.startswith("scatter"):
            return self._landed(eqn, ins, tags, out)
        if name in ("add", "sub", "add_any"):
            both = [spread(t, out.shape) for t in tags]
            members = {place: [b[place] for b in both] for place in np.ndindex(*out.shape)}
            return distinct(self.together(members, out, mixing=True))
        met = response(lambda x: again(eqn, x), ins[0])
        parts = [*tags[0].flat]
        rows = zip(np.ndindex(*out.shape), met, strict=True)
        return self.together({p: [parts[i] for i in np.flatnonzero(m)] for p, m in rows}, out)

    def _landed(self, eqn, ins, tags, out):
        state, index, updates = tags
        chosen = any(t.data for t in index.flat)
        zero = np.zeros(np.shape(ins[0]), np.float32)
        met = response(lambda u: again(eqn, zero, ins[1], u), ins[2])
        windows = eqn.params["dimension_numbers"].update_window_dims
        rows = [d for d in range(updates.ndim) if d not in windows]
        parts = []
        for place in np.ndindex(*updates.shape):
            t = updates[place]
            if chosen and not t.data:
                row = index[(*(place[d] for d in rows), 0)].source
                new = Product(t.atoms, row, bool(ins[2][place] != 0), name=next(self._names))
                t = Tag(True, t.atoms, row, (new,) if t.atoms else ())
            parts.append(t)
        found = zip(np.ndindex(*out.shape), met, strict=True)
        members = {p: [state[p], *(parts[i] for i in np.flatnonzero(m))] for p, m in found}
        made = self.together(members, out)
        return each(made, lambda t: replace(t, data=True)) if chosen else made

    def together(self, members, out, mixing=False):
        """Sums of numbers, by their place: synapses are found here.

        A weight and a source that meet in one of the sums of an equation meet in all of them.
        """
        members = {place: self._added(parts) for place, parts in members.items()}
        meeting = {m for parts in members.values() for m in meetings(parts)}
        for place, parts in members.items():
            out[place] = self._sum(parts, out[place], meeting, mixing)
        return out

    def _sum(self, members, out: Tag, meeting, mixing) -> Tag:
        if not any(t.data for t in members):
            return _sum_of_parameters(members, out, mixing)
        every = [(k, p) for k, t in enumerate(members) for p in t.products]
        marked = {(k, p.name) for k, p in every if meeting & set(p.keys)}
        around = {(k, n) for k, p in every if (k, p.name) in marked for n in p.inside}
        kept: dict[Any, Product] = {}
        for k, p in every:
            here = (k, p.name) in marked
            factor = any((k, n) in marked for n in p.inside)
            if here and not p.counted and not factor:
                self._count(p)
            here = here or (k, p.name) in around
            decay = mixing and p.source[0][0] == "carry" and sum(t.data for t in members) > 1
            if factor or (decay and not p.counted):  # a state that decays is arithmetic
                continue
            old = kept.get(p.name)
            kept[p.name] = replace(p, counted=p.counted or here or bool(old and old.counted))
        data = [t for t in members if t.data]
        one_to_one = mixing and not marked  # a weighted sum is no weight
        atoms = NONE.union(*(t.atoms for t in members)) if one_to_one else NONE
        source = data[0].source if mixing and len(data) == 1 else out.source
        return Tag(True, atoms, source, tuple(kept.values()))

    def _added(self, members: list[Tag]) -> list[Tag]:
        """Weights that are added in a branch meet the data that choose it."""
        if self._chosen is None or not any(t.data for t in members):
            return members
        source, alive = self._chosen
        new = lambda t: (Product(t.atoms, source, alive, name=next(self._names)),)
        return [t if t.data or not t.atoms else replace(t, products=new(t)) for t in members]

    def _count(self, product):
        self.dense[product.leaves] += 1
        self.effective[product.leaves] += product.alive

    # -- products ----------------------------------------------------------------------

    def _contracted(self, eqn, ins, tags, out):
        a, b, pairs = contraction(eqn, ins)
        left, right = [*tags[0].flat], [*tags[1].flat]
        if moves_only(ins, tags, pairs):
            w = 0 if not tags[0].flat[0].data and not any(t.data for t in left) else 1
            for place in np.ndindex(*out.shape):
                found = [p for p in pairs[place] if (a, b)[w].flat[p[w]]]
                out[place] = (right, left)[w][found[0][1 - w]]
            return out
        fixed = [self._constant(t, (eqn, i)) for i, t in enumerate((left, right))]
        there = [[bool(x != 0) for x in each.flat] for each in (a, b)]
        sums = self._backward or is_sum(eqn)
        for place in np.ndindex(*out.shape):
            members = [
                self.product(fixed[0][i], fixed[1][j], there[0][i], there[1][j], out[place], sums)
                for i, j in pairs[place]
            ]
            every = {key for t in members for p in t.products for key in p.keys if sums}
            out[place] = self._sum(members, out[place], every, False)
        return out

    def _constant(self, tags, key):
        """A constant beside data in a contraction is a weight without a leaf."""
        if any(t.data or t.atoms for t in tags):
            return tags
        name = ("constant", id(key[0]), key[1])
        return [replace(t, atoms=frozenset(((name, i),))) for i, t in enumerate(tags)]

    def product(self, a: Tag, b: Tag, x: bool, y: bool, out: Tag, contraction=False) -> Tag:
        """A product of two numbers; `x` and `y` say whether they are not zero."""
        if not (a.data or b.data):
            return Tag(False, a.atoms | b.atoms)
        if a.data and b.data and bool(a.atoms) == bool(b.atoms):
            if contraction:
                self.pairs[0] += x and y
                self.pairs[1] += 1
            scaled = [*self._scaled(a, y, 0), *self._scaled(b, x, 0)]
            return replace(out, products=() if contraction else tuple(scaled))
        weight, data, w, d = (a, b, x, y) if not a.data or (b.data and a.atoms) else (b, a, y, x)
        if not weight.atoms:
            return replace(
                data, products=tuple(self._scaled(data, w, 0)), source=data.source, data=True
            )
        new = Product(weight.atoms, data.source, bool(w and d), name=next(self._names))
        old = self._scaled(data, w, new.name)
        old += self._scaled(weight, d, new.name)
        atoms = weight.atoms | data.atoms
        return Tag(True, atoms, out.source, (*old, new))

    def _scaled(self, tag, there, inside):
        alive = lambda p: bool(p.alive and there)
        return [
            replace(p, alive=alive(p), inside=p.inside | {inside} if inside else p.inside)
            for p in tag.products
        ]

    # -- elementwise -------------------------------------------------------------------

    def _elementwise(self, eqn, ins, tags, out, fresh):
        name = eqn.primitive.name
        shape = np.shape(out)
        self.title = eqn.params.get("name")
        both = [spread(t, shape) for t in tags]
        values = [filled(shape, 1) if is_key(x) else np.broadcast_to(x, shape) for x in ins]
        for place in np.ndindex(*shape):
            marks, numbers = [t[place] for t in both], [v[place] for v in values]
            fresh[place] = self._element(name, marks, numbers, fresh[place])
        return distinct(fresh)

    def _element(self, name, marks, numbers, out):
        if name == "mul":
            return self.product(*marks, numbers[0] != 0, numbers[1] != 0, out)
        if name == "div" and not marks[1].data:
            return self.product(*marks, numbers[0] != 0, True, out)
        if name == "div" and marks[0].data:
            return replace(out, products=tuple(self._scaled(marks[0], True, 0)))
        if name == "select_n":
            return self._selected(marks, numbers, out)
        if name == "name" and self.title == "joulax.synapses":
            for p in marks[0].products:
                self._count(p)
            return out
        if name in PASSING:
            return marks[0]
        atoms = NONE.union(*(t.atoms for t in marks))
        return replace(out, atoms=atoms)

    def _selected(self, marks, numbers, out):
        pred, *cases = marks
        chosen = int(numbers[0])
        if not pred.data:
            return cases[chosen]
        products = []
        for k, t in enumerate(cases):
            if t.atoms and not t.data:
                alive = k == chosen and bool(numbers[1 + k] != 0)
                products.append(Product(t.atoms, pred.source, alive, name=next(self._names)))
            products += self._scaled(t, k == chosen, 0)
        products.sort(key=lambda p: p.alive)  # what is in several cases lives in the chosen one
        products = {p.name: p for p in products}.values()
        atoms = NONE.union(*(t.atoms for t in cases))
        return Tag(True, atoms, out.source, tuple(products))

    # -- control flow ------------------------------------------------------------------

    def _carried(self, tags, path, k, turn):
        out = np.empty(tags.shape, object)
        for place in np.ndindex(*tags.shape):
            t = tags[place]
            source = (("carry", path, k), (*self._turn, turn, place))
            out[place] = replace(t, source=source) if t.data else t
        return out

    def _scan(self, eqn, ins, tags, path):
        p = eqn.params
        consts, carry = p["num_consts"], p["num_carry"]
        marks = tags[consts : consts + carry]
        before = self._saved()
        while True:
            outs = self._turns(eqn, ins, tags, path, marks)
            later = [any(t.data for t in m.flat) for m in outs[1][:carry]]
            if all(not d or any(t.data for t in m.flat) for d, m in zip(later, marks, strict=True)):
                return outs
            self._restore(before)
            marks = [
                self._as_data(m, path, k) if d else m
                for k, (m, d) in enumerate(zip(marks, later, strict=True))
            ]

    def _saved(self):
        return dict(self.effective), dict(self.dense), list(self.pairs)

    def _restore(self, saved):
        self.effective = defaultdict(float, saved[0])
        self.dense, self.pairs = defaultdict(float, saved[1]), list(saved[2])

    def _as_data(self, tags, path, k):
        source = lambda t: (("carry", path, k), (0, t.source))
        return each(tags, lambda t: replace(t, data=True, source=source(t)))

    def _turns(self, eqn, ins, tags, path, marks):
        """All steps of a scan, from a known state."""
        p = eqn.params
        consts, carry = p["num_consts"], p["num_carry"]
        body, closed = opened(p["jaxpr"])
        state = ins[consts : consts + carry]
        order = range(p["length"])
        ys: list[Any] = [None] * p["length"]
        for turn in reversed(order) if p["reverse"] else order:
            self._turn = (*self._turn, turn)
            marks = [self._carried(t, path, k, turn) for k, t in enumerate(marks)]
            xs = [x[turn] for x in ins[consts + carry :]]
            ts = [array_of(t[turn]) for t in tags[consts + carry :]]
            values, known = [*ins[:consts], *state, *xs], [*tags[:consts], *marks, *ts]
            outs, found = self.run(body, closed, values, known, (*path, 0))
            state, marks = outs[:carry], found[:carry]
            ys[turn] = (outs[carry:], found[carry:])
            self._turn = self._turn[:-1]
        n = len(eqn.outvars) - carry
        values = [np.stack([np.asarray(y[0][i]) for y in ys]) for i in range(n)]
        stacked = [np.stack([y[1][i] for y in ys]) for i in range(n)]
        return [*state, *values], [*marks, *stacked]

    def _while(self, eqn, ins, tags, path):
        p = eqn.params
        nc, nb = p["cond_nconsts"], p["body_nconsts"]
        test, test_consts = opened(p["cond_jaxpr"])
        body, body_consts = opened(p["body_jaxpr"])
        state, marks = ins[nc + nb :], tags[nc + nb :]
        turn, go = 0, True
        while go:
            self._turn = (*self._turn, turn)
            marks = [self._carried(t, path, k, turn) for k, t in enumerate(marks)]
            values, known = [*ins[:nc], *state], [*tags[:nc], *marks]
            go = bool(self.run(test, test_consts, values, known, (*path, 0))[0][0])
            if go:
                values, known = [*ins[nc : nc + nb], *state], [*tags[nc : nc + nb], *marks]
                state, marks = self.run(body, body_consts, values, known, (*path, 1))
            self._turn = self._turn[:-1]
            turn += 1
        return state, marks

    def _cond(self, eqn, ins, tags, path):
        branches = eqn.params["branches"]
        which = int(np.clip(int(ins[0]), 0, len(branches) - 1))
        inside = lambda k: self.run(*opened(branches[k]), ins[1:], tags[1:], (*path, k))
        predicate, around = tags[0][()], self._chosen
        if not predicate.data:
            return inside(which)
        cases = {}
        for k in range(len(branches)):
            self._chosen = (predicate.source, k == which and (around is None or around[1]))
            before = self._saved()
            cases[k] = inside(k)
            if k != which:  # what would have been added there, and nothing that is counted
                self._restore(before)
        self._chosen = around
        outs = cases[which][0]
        made = [self._either(predicate, ins[0], k, cases, (path, k)) for k in range(len(outs))]
        return outs, made

    def _either(self, predicate, index, k, cases, key):
        """One result of branches that data choose, as `select_n` has it."""
        values = {b: outs[k] for b, (outs, _) in cases.items()}
        out = born(np.shape(values[0]), True, (key, self._turn))
        for place in np.ndindex(*out.shape):
            marks = [predicate, *(found[k][place] for _, found in cases.values())]
            numbers = [index, *(np.asarray(v)[place] for v in values.values())]
            out[place] = self._selected(marks, numbers, out[place])
        return out


# -- primitives --------------------------------------------------------------------------

MOVES = set(
    "reshape transpose broadcast_in_dim squeeze expand_dims slice rev split tile unstack".split()
)
PLACES = {
    "concatenate": lambda ins: range(len(ins)),
    "stack": lambda ins: range(len(ins)),
    "pad": lambda ins: (0, 1),
    "dynamic_update_slice": lambda ins: (0, 1),
    "scatter": lambda ins: (0, 2),
}
SUMS = set("add sub add_any reduce_sum cumsum reduce_window_sum scatter-add scatter_add".split())
ELEMENTWISE = {"mul", "div", "select_n"}
PASSING = set(
    "convert_element_type copy copy_p stop_gradient neg reduce_precision real name".split()
)


def opened(jaxpr):
    if isinstance(jaxpr, ClosedJaxpr):
        return jaxpr.jaxpr, jaxpr.consts
    return jaxpr, []


def inside(eqn):
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr", "call"):
        inner = eqn.params.get(key)
        if isinstance(inner, Jaxpr | ClosedJaxpr) and not key.startswith("reduce"):
            if len(opened(inner)[0].invars) == len(eqn.invars):
                if eqn.primitive.name not in ("reduce_window", "reduce"):
                    return inner
    return None


def evaluate(jaxpr, eqn, values):
    """One equation on concrete values."""
    found = {v: x for v, x in zip(eqn.invars, values, strict=True) if not isinstance(v, Literal)}
    piece = jaxpr.replace(
        constvars=[], invars=list(found), outvars=list(eqn.outvars), eqns=[eqn], effects=eqn.effects
    )
    outs = jaxpr_as_fun(ClosedJaxpr(piece, []))(*map(jnp.asarray, found.values()))
    return [np.asarray(o) if not is_key(o) else o for o in outs]


def is_key(x):
    return hasattr(x, "dtype") and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def evaluate_on(eqn, operands, **changes):
    """The same primitive on other operands: numbers of elements, or one element at a time."""
    name, p = eqn.primitive.name, {**eqn.params}
    p |= {k: v for k, v in changes.items() if k in p}
    arrays = [jnp.asarray(x) for x in operands]
    if name in ("scatter-add", "scatter_add", "scatter"):
        f = lax.scatter if name == "scatter" else lax.scatter_add
        return [f(*arrays, p["dimension_numbers"], mode=p["mode"])]
    if name == "pad":
        arrays[1] = arrays[1].reshape(())
    out = eqn.primitive.bind(*arrays, **p)
    return list(out) if eqn.primitive.multiple_results else [out]


def again(eqn, *operands):
    """The first result of the same primitive on other operands."""
    return evaluate_on(eqn, operands)[0]


def response(f, x):
    """Which outputs (rows) contain which inputs (columns) of a sum."""
    size = int(np.size(x))
    ones = np.eye(size, dtype=np.float32).reshape((size, *np.shape(x)))
    return np.asarray(jax.vmap(f)(ones)).reshape(size, -1).T


def contraction(eqn, ins):
    """For every output, the pairs of elements whose products it is the sum of."""
    a, b = (np.asarray(x) for x in ins[:2])
    if eqn.primitive.name == "conv_general_dilated":
        return a, b, _conv_pairs(eqn, a, b)
    (ca, cb), (ba, bb) = eqn.params["dimension_numbers"]
    order = lambda n, bs, cs: [*bs, *(d for d in range(n) if d not in (*bs, *cs)), *cs]
    at, bt = (
        np.arange(x.size).reshape(x.shape).transpose(order(x.ndim, bs, cs))
        for x, bs, cs in ((a, ba, ca), (b, bb, cb))
    )
    batch, inner = at.shape[: len(ba)], at.shape[at.ndim - len(ca) :] if ca else ()
    n, k = int(np.prod(batch)), int(np.prod(inner))
    fa, fb = at.shape[len(ba) : at.ndim - len(ca)], bt.shape[len(bb) : bt.ndim - len(cb)]
    at, bt = at.reshape(n, -1, k), bt.reshape(n, -1, k)
    out = np.empty((n, at.shape[1], bt.shape[1]), object)
    for g, i, j in np.ndindex(*out.shape):
        out[g, i, j] = list(zip(at[g, i], bt[g, j], strict=True))
    return a, b, out.reshape((*batch, *fa, *fb))


def _conv_pairs(eqn, a, b):
    numbers = np.arange(1, a.size + 1, dtype=np.float32).reshape(a.shape)
    p = {**eqn.params, "preferred_element_type": jnp.dtype("float32")}
    shape = eqn.outvars[0].aval.shape
    out = np.empty(shape, object)
    for place in np.ndindex(*shape):
        out[place] = []
    for j in range(b.size):
        one = np.zeros(b.size, np.float32)
        one[j] = 1
        met = np.asarray(eqn.primitive.bind(numbers, one.reshape(b.shape), **p)).round().astype(int)
        for place in zip(*np.nonzero(met), strict=True):
            out[place].append((met[place] - 1, j))
    return out


def is_sum(eqn):
    """Whether products are summed; others are elementwise, but for gradients of weights."""
    return eqn.primitive.name != "dot_general" or any(eqn.params["dimension_numbers"][0])


def moves_only(ins, tags, pairs):
    """A constant of zeros and ones with one entry for each output."""
    for w in (0, 1):
        if any(t.data or t.atoms for t in tags[w].flat):
            continue
        flat = np.asarray(ins[w]).ravel()
        if not np.isin(flat, (0, 1)).all():
            return False
        return all(sum(bool(flat[p[w]]) for p in found) == 1 for found in pairs.flat)
    return False


# -- arrays of tags ----------------------------------------------------------------------


def filled(shape, tag=CONSTANT):
    out = np.empty(shape, object)
    out[...] = tag
    return out


def array_of(x):
    if isinstance(x, np.ndarray):
        return x
    out = np.empty((), object)
    out[()] = x
    return out


def each(tags, f):
    out = np.empty(tags.shape, object)
    for place in np.ndindex(*tags.shape):
        out[place] = f(tags[place])
    return out


def leaf(shape, key):
    out = np.empty(shape, object)
    for place in np.ndindex(*shape):
        out[place] = Tag(False, frozenset(((key, place),)))
    return out


def born(shape, data, key):
    out = np.empty(shape, object)
    for place in np.ndindex(*shape):
        out[place] = Tag(data, NONE, (key[0], (*key[1:], place)))
    return out


def numbered(x):
    return np.arange(np.size(x), dtype=np.int32).reshape(np.shape(x))


def picked(tags, at):
    out = np.empty(at.shape, object)
    for place in np.ndindex(*at.shape):
        i = int(at[place])
        out[place] = tags[i] if 0 <= i < len(tags) else CONSTANT
    return out


def spread(tags, shape):
    return np.broadcast_to(tags, shape) if tags.shape != tuple(shape) else tags


def distinct(tags):
    """Data carry the elements of a weight only where no two of them share one."""
    seen: dict[Any, int] = defaultdict(int)
    for t in tags.flat:
        if t.data and t.atoms:
            seen[t.atoms] += 1
    if any(n > 1 for n in seen.values()):
        return each(tags, lambda t: replace(t, atoms=NONE) if t.data else t)
    return tags


def meetings(members):
    """Weights and sources of which a sum brings together products of different elements."""
    groups = defaultdict(list)
    for k, t in enumerate(members):
        for p in t.products:
            for key in p.keys:
                groups[key].append((k, p))
    for key, found in groups.items():
        if any(j != k and apart(p, q) for (j, p), (k, q) in itertools.combinations(found, 2)):
            yield key


def apart(p: Product, q: Product) -> bool:
    """Different elements of one weight, of different elements of one source."""
    return p.atoms != q.atoms and p.source[1] != q.source[1]


def _sum_of_parameters(members, out, mixing):
    shared = NONE.union(*(t.atoms for t in members))
    if not mixing and shared:
        shared = frozenset((one, out.source) for one, _ in shared)
    return replace(out, data=False, atoms=shared)


def synapses(function, args, weights=()):
    """Effective and dense products that are synapses: by leaf, and of two data."""
    weights = {weights} if isinstance(weights, int) else set(weights or ())
    closed = jax.make_jaxpr(function)(*args)
    values, tags = [], []
    for i, arg in enumerate(args):
        for k, x in enumerate(jax.tree.leaves(arg)):
            values.append(x if is_key(x) else np.asarray(x))
            make = leaf if i in weights else lambda s, key: born(s, True, (key, 0))
            tags.append(make(np.shape(x), ("argument", i, k)))
    oracle = Oracle()
    oracle.declared = bool(weights)
    oracle.run(closed.jaxpr, closed.consts, values, tags)
    return oracle
