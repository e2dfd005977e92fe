"""Control flow: loops, branches and calls that contain jaxprs of their own."""

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.sharding import PartitionSpec

from ..axes import IDLE, REPEATED, SOURCE, VARIES, WEIGHT
from ..exact import Sum, add, over
from ..findings import EVENTS, Context, Found, Operands, Population, magnitude
from ..kinds import (
    NONE,
    TERNARY,
    Analog,
    Data,
    Events,
    Layer,
    Parameter,
    Path,
    Place,
    Term,
    Value,
    few,
    join,
)
from ..run import LAST, Runner, Taps, evaluate_one, merged, read_all, split, wanted
from .births import reborn_at, taps
from .registry import PartialRule, because, called_from, rule, shape_of

# -- calls ---------------------------------------------------------------------


def inner_jaxpr(eqn: Any) -> Any:
    """The jaxpr that a call contains, which takes the operands of the call."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr", "call", "body_jaxpr"):
        inner = eqn.params.get(name)
        jaxpr = inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner
        if isinstance(jaxpr, Jaxpr) and len(jaxpr.invars) == len(eqn.invars):
            same = all(
                shape_of(a) == shape_of(b) for a, b in zip(jaxpr.invars, eqn.invars, strict=True)
            )
            if same and len(jaxpr.outvars) == len(eqn.outvars):
                return inner
    return None


def contained(eqn: Any) -> PartialRule | None:
    """A primitive without a rule that contains a jaxpr is looked into."""
    return None if inner_jaxpr(eqn) is None else _beside


CALLS = "jit pjit closed_call core_call core_closed_call remat_call checkpoint remat2 remat".split()


@rule(*CALLS, container=True)
def _call(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    inner = inner_jaxpr(eqn)
    with called_from(eqn, inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner):
        plan = ctx.walk(inner, ins, call=True)
    if plan.quiet:
        return Found(plan.outs)
    wrap = _checkpoint if "prevent_cse" in eqn.params else _jit

    def run(runner: Runner, values: list, companions: list) -> Any:
        numbers: Taps = {}

        def call(values: list, there: list) -> Any:
            outs, beside, found = runner.run(plan, values, there)
            arrays, known = split(found)
            numbers.update(known)
            return outs, read_all(plan.outs, beside), arrays

        outs, beside, arrays = wrap(eqn, call)(values, read_all(ins, companions))
        return outs, beside, merged(arrays, numbers)

    return Found(plan.outs, run=run, inner=((plan, lambda k: k),))


def _jit(eqn: Any, call: Any) -> Any:
    call.__name__ = eqn.params.get("name", "call")
    return jax.jit(call)


def _checkpoint(eqn: Any, call: Any) -> Any:
    return jax.checkpoint(call, prevent_cse=eqn.params["prevent_cse"], policy=eqn.params["policy"])


CUSTOM = "custom_jvp_call custom_vjp_call custom_vjp_call_jaxpr custom_vmap_call".split()


@rule(*CUSTOM, container=True)
def _beside(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    """The rule of the user stays.

    What is inside is only looked at, and its counts have no gradient.
    """
    inner = inner_jaxpr(eqn)
    plan = ctx.walk(inner, ins, call=True)
    outs, births, outside = [], [], set()
    all_taps: list[Any] = []
    for k, info in enumerate(plan.outs):
        out, birth = reborn_at(eqn, info, ctx, k, (*ctx.path, 1, k))
        outs.append(out.but(form=None) if isinstance(out, Data) else out)
        if birth is not None:
            births.append(birth)
            outside |= birth.parents
            all_taps += taps(_at(ctx, birth.path), out, birth, k)
    inside_births = any(b[: len(ctx.path)] == ctx.path for b in ctx.tables.births)
    inside_sites = any(p[: len(ctx.path)] == ctx.path for p in ctx.tables.sites)
    if not (inside_births or inside_sites) and not any(map(wanted, outs)):
        return Found(outs, births=tuple(births), taps=tuple(all_taps))

    def run(runner: Runner, values: list, companions: list) -> Any:
        stopped = jax.tree.map(jax.lax.stop_gradient, (values, read_all(ins, companions)))
        _, there, found = runner.run(plan, *stopped)
        results = evaluate_one(plan.jaxpr, eqn, values)
        beside = [_sloped(c, v) for c, v in zip(read_all(plan.outs, there), results, strict=True)]
        ops = Operands(ins, values, [None] * len(values), results, {})
        own = {(t.path, t.field): t.value(ops) for t in all_taps}
        inside = {k: v for k, v in found.items() if k[0] not in outside}
        return results, beside, merged(inside, own)

    inner_plan = ((plan, lambda k: k),)
    return Found(outs, births=tuple(births), run=run, inner=inner_plan)


def _at(ctx: Any, path: Path) -> Any:
    return dataclasses.replace(ctx, path=path)


def _sloped(companions: Any, value: Any) -> Any:
    """The events found inside, with the slope that the user's own rule gives the value."""
    if companions is None or EVENTS not in companions:
        return companions
    slope = magnitude(value)
    return {**companions, EVENTS: companions[EVENTS] + (slope - jax.lax.stop_gradient(slope))}


# -- what loops do to values ------------------------------------------------------


def sliced(info: Value, path: Path, length: int) -> Value:
    """What a scan hands to one step."""
    loop = frozenset((path,))
    axes = info.axes.without((0,))
    fresh: dict[str, Any] = dict(axes=axes, number=-1, form=None)
    if isinstance(info, Parameter):
        layer = info.layer or (Layer(path, length) if info.leaves else None)
        return info.but(**fresh, layer=layer, place=info.place.walked(loop))
    assert isinstance(info, Data)
    return info.but(
        **fresh,
        source=info.source if info.source >= 0 else info.number,
        place=info.place.walked(loop),
        terms=frozenset(_sliced_term(t, loop) for t in info.terms),
        weight=None,
    )


def _sliced_term(term: Term, loop: frozenset) -> Term:
    weight, place = term.weight, term.place
    if len(term.axes) and term.axes.has(0, WEIGHT):
        weight = dataclasses.replace(weight, place=weight.place.walked(loop))
    if len(term.axes) and term.axes.has(0, SOURCE):
        place = place.walked(loop)
    axes = term.axes.without((0,)) if len(term.axes) else term.axes
    return term.but(axes=axes, weight=weight, place=place)


def stacked(info: Value, path: Path, length: int) -> Value:
    """What a scan collects over its steps: the new axis is time."""
    fresh: dict[str, Any] = dict(number=-1, form=None)
    if isinstance(info, Parameter):
        return info.but(
            axes=info.axes.inserted(0, length, VARIES), layer=None, place=Place(), **fresh
        )
    assert isinstance(info, Data)
    region = REPEATED if info.feeds or info.births else 0
    out = _left(info, path)
    return out.but(
        axes=info.axes.inserted(0, length, VARIES | region),
        terms=frozenset(_stacked_term(t, path, length) for t in info.terms),
        source=-1,
        place=Place(),
        weight=None,
        **fresh,
    )


def _stacked_term(term: Term, path: Path, length: int) -> Term:
    loops = term.weight.place.loops
    labels = (WEIGHT if path in loops else 0) | (SOURCE if path in term.place.loops else 0)
    place = Place(term.weight.place.slices, loops - {path})
    weight = dataclasses.replace(term.weight, place=place)
    own = Place(term.place.slices, term.place.loops - {path})
    return term.but(axes=term.axes.inserted(0, length, labels), weight=weight, place=own)


def _left(info: Data, path: Path) -> Data:
    """A value outside a loop again: a running sum is complete."""
    out = info.but(held=_outside(info.held, path))
    if not isinstance(out, Events):
        return out
    return out.but(running=_outside(out.running, path), piled=out.piled - {path}, poly=None)


def _outside(states: frozenset, path: Path) -> frozenset:
    return frozenset(s for s in states if s[:-1] != path)


def leaving(info: Value, path: Path) -> Value:
    """A state after the loop."""
    if isinstance(info, Parameter):
        place = Place(info.place.slices, info.place.loops - {path})
        return info.but(place=place, number=-1, form=None)
    assert isinstance(info, Data)
    return _left(info, path).but(number=-1, form=None, terms=NONE, source=-1, place=Place())


def entering(info: Value, path: Path, k: int) -> Value:
    """State k at the start of a step: a source of its own."""
    if not isinstance(info, Data):
        return info
    loop, state = frozenset((path,)), (*path, k)
    terms = frozenset(
        t.but(counted=True, carried=t.carried | loop)
        for t in info.terms
        if path in t.weight.place.loops and path in t.place.loops
    )
    fresh: dict[str, Any] = dict(number=-1, form=None, source=-1, place=Place(), terms=terms)
    if isinstance(info, Events):
        piled = info.piled | (loop if state in info.running else NONE)
        fresh |= dict(piled=piled, running=_outside(info.running, path), poly=None)
    held = _outside(info.held, path) | {state}
    return info.but(held=held, **fresh)


def rejoined(path: Path, old: list[Value], new: list[Value]) -> list[Value]:
    """States that may be those of the start or those of any step."""
    pairs = enumerate(zip(old, new, strict=True))
    return [_again(path, k, a, b) for k, (a, b) in pairs]


def _again(path: Path, k: int, old: Value, new: Value) -> Value:
    if isinstance(old, Parameter) and isinstance(new, Parameter):
        if old.number == new.number and old.number >= 0:
            return old
        both = join(old.but(number=-1, form=None), new.but(number=-1, form=None))
        assert isinstance(both, Parameter)
        changed = both.values is not None and not both.values <= TERNARY
        place = Place(("state",), both.place.loops | {path})
        return both.but(values=None if changed else both.values, place=place)
    found = entering(join(entering(old, path, k), entering(new, path, k)), path, k)
    if isinstance(found, Events) and found.values is not None and not found.values <= TERNARY:
        found = found.but(values=None)
    return found


def claim_states(ctx: Any, plan: Any, states: Sequence[Value], path: Path) -> None:
    """A state that is carried on from itself makes its region a population of neurons."""
    for var, info in zip(plan.jaxpr.outvars, states, strict=False):
        held = isinstance(info, Analog) and any(s[:-1] == path for s in info.held)
        if held and info.feeds and not ctx.backward:
            population = Population(info.feeds, info.size, shape_of(var), info.axes)
            ctx.claim(population, plan.frame)


# -- scan ---------------------------------------------------------------------------


@rule("scan", container=True)
def _scan(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    p, path = eqn.params, ctx.path
    consts, carry, length = p["num_consts"], p["num_carry"], p["length"]
    fixed, start = list(ins[:consts]), list(ins[consts : consts + carry])
    rest = [sliced(i, path, length) for i in ins[consts + carry :]]
    stepped = ctx.keeps_steps(length)

    def once(state: list[Value]) -> Any:
        plan = ctx.walk(p["jaxpr"], [*fixed, *state, *rest])
        claim_states(ctx, plan, plan.outs[:carry], path)
        return plan, plan.outs[:carry]

    join_states = functools.partial(rejoined, path)
    plan, state = ctx.fixpoint(
        once, [entering(i, path, k) for k, i in enumerate(start)], join_states
    )
    inner = [*fixed, *state, *rest]
    out = [_unchanged(ctx, i, ins[consts + k], path) for k, i in enumerate(state)]
    out += [stacked(i, path, length) for i in plan.outs[carry:]]
    if plan.quiet and not ctx.used([plan.frame]) and not any(map(wanted, out)):
        return Found(out)

    def place(k: int) -> int | None:
        return k if k < consts or _forwarded(plan, consts, carry, k) else None

    def run(runner: Runner, values: list, companions: list) -> Any:
        runner, early = runner.hoisting(plan, lambda k: values[k] if place(k) is not None else None)
        beside = runner.companions(ins, inner, values, companions)
        numbers: Taps = {}

        def body(c: Any, x: Any) -> Any:
            there = [*beside[:consts], *c[1], *x[1]]
            outs, after, found = runner.run(plan, [*values[:consts], *c[0], *x[0]], there)
            after = runner.companions(plan.outs, [*state, *plan.outs[carry:]], outs, after)
            arrays, known = split(found)
            numbers.update(known)
            return (outs[:carry], after[:carry]), (outs[carry:], after[carry:], arrays)

        c0 = (list(values[consts : consts + carry]), beside[consts : consts + carry])
        x = (list(values[consts + carry :]), beside[consts + carry :])
        options = dict(length=length, reverse=p["reverse"], unroll=p["unroll"])
        c, (ys, after, arrays) = jax.lax.scan(body, c0, x, **options)
        found = {k: _over_steps(ctx, k, v, path, length, stepped) for k, v in arrays.items()}
        found |= {k: _repeated(ctx, k, v, path, length, stepped) for k, v in numbers.items()}
        return [*c[0], *ys], [*c[1], *after], merged(found, early)

    return Found(out, run=run, inner=((plan, place),))


def _unchanged(ctx: Any, state: Value, start: Value, path: Path) -> Value:
    same = isinstance(state, Parameter) and state.number == start.number
    return state if same else leaving(state, path)


def _forwarded(plan: Any, consts: int, carry: int, k: int) -> bool:
    """Whether carry k leaves every step as it came."""
    inside = consts <= k < consts + carry
    return inside and plan.jaxpr.outvars[k - consts] is plan.jaxpr.invars[k]


def _layered(ctx: Any, path: Path) -> Path | None:
    site = ctx.tables.sites.get(path)
    if site is not None:
        return site.layer
    birth = ctx.tables.births.get(path)
    owner = None if birth is None else ctx.tables.owner(birth)
    owned = ctx.tables.sites.get(owner) if owner else None
    return owned.layer if owned else None


def _over_steps(ctx: Any, key: Any, count: Sum, path: Path, length: int, stepped: bool) -> Sum:
    """Counts of all steps.

    Summed over time unless they are kept, apart over layers, the last axis.
    """
    if _layered(ctx, key[0]) == path:
        return count.map(lambda x: jnp.moveaxis(x, 0, -1))
    if key[1] in LAST:
        return count.map(lambda x: x[-1])
    return count if stepped else over(0, count, length)


def _repeated(ctx: Any, key: Any, count: Sum, path: Path, length: int, stepped: bool) -> Sum:
    if _layered(ctx, key[0]) == path or stepped:
        return Sum(jnp.full((length,), count.value, jnp.float32), None, count.bound)
    return count if key[1] in LAST else over(0, count, length)


# -- while --------------------------------------------------------------------------


@rule("while", container=True)
def _while(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    p, path = eqn.params, ctx.path
    nc, nb = p["cond_nconsts"], p["body_nconsts"]
    tests, fixed, start = list(ins[:nc]), list(ins[nc : nc + nb]), list(ins[nc + nb :])
    plans: dict[str, Any] = {}

    def once(state: list[Value]) -> Any:
        plans["test"] = ctx.walk(p["cond_jaxpr"], [*tests, *state], at=0)
        plan = ctx.walk(p["body_jaxpr"], [*fixed, *state], at=1)
        claim_states(ctx, plan, plan.outs, path)
        return plan, plan.outs

    join_states = functools.partial(rejoined, path)
    plan, state = ctx.fixpoint(
        once, [entering(i, path, k) for k, i in enumerate(start)], join_states
    )
    test = plans["test"]
    out = [_unchanged(ctx, s, start[k], path) for k, s in enumerate(state)]
    chosen = any(isinstance(i, Data) for i in test.outs)  # how often it runs depends on data
    out = [
        _chosen(eqn, o) if chosen and o is not ins[nc + nb + k] else o for k, o in enumerate(out)
    ]
    frames = [plan.frame, test.frame]
    quiet = plan.quiet and test.quiet and not ctx.used(frames)
    if quiet and not any(map(wanted, out)):
        return Found(out)

    def place(k: int) -> int | None:
        return nc + k if k < nb or _forwarded(plan, nb, len(start), k) else None

    def run(runner: Runner, values: list, companions: list) -> Any:
        known = lambda k: values[nc + k] if place(k) is not None else None
        runner, early = runner.hoisting(plan, known)
        beside = runner.companions(ins, [*tests, *fixed, *state], values, companions)

        def tested(values_: list, there: list) -> Any:
            outs, _, found = runner.run(test, [*values[:nc], *values_], [*beside[:nc], *there])
            return outs[0], {k: v.full() for k, v in found.items()}

        def step(c: Any) -> Any:
            there = [*beside[nc : nc + nb], *c[1]]
            outs, after, found = runner.run(plan, [*values[nc : nc + nb], *c[0]], there)
            after = runner.companions(plan.outs, state, outs, after)
            pred, more = tested(outs, after)
            return (outs, after, pred), _full(merged(found, more))

        begin = (list(values[nc + nb :]), beside[nc + nb :])
        pred, first = tested(*begin)
        shapes = jax.eval_shape(step, (*begin, pred))[1]
        zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
        counts = _full({k: _plus(k, v, first[k]) if k in first else v for k, v in zero.items()})

        def body(c: Any) -> Any:
            after, found = step(c[0])
            return after, {k: _plus(k, c[1][k], v) for k, v in found.items()}

        loop = ((*begin, pred), counts)
        (outs, there, _), found = jax.lax.while_loop(lambda c: c[0][2], body, loop)
        return outs, there, merged(found, early)

    inner = ((plan, place), (test, lambda k: k if k < nc else None))
    return Found(out, run=run, inner=inner)


def _chosen(eqn: Any, out: Value) -> Value:
    """A parameter that has been changed as often as data say is data."""
    if not isinstance(out, Parameter):
        return out
    weight = out.weight
    return Analog(
        out.axes, cause=because(eqn, "a loop that runs as long as data say"), weight=weight
    )


def _full(taps_: Taps) -> Taps:
    return {k: v.full() for k, v in taps_.items()}


def _plus(key: Any, old: Sum, new: Sum) -> Sum:
    return new.full() if key[1] in LAST else add(old, new).full()


# -- cond ---------------------------------------------------------------------------


@rule("cond", container=True)
def _cond(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    index, *rest = ins
    branches = eqn.params["branches"]
    plans = [ctx.walk(b, rest, at=i) for i, b in enumerate(branches)]
    options = list(zip(*(plan.outs for plan in plans), strict=True))
    by_data = isinstance(index, Data)
    outs = [_either(eqn, o, index if by_data else None) for o in options]
    frames = [plan.frame for plan in plans]
    quiet = all(plan.quiet for plan in plans) and not ctx.used(frames)
    if quiet and not any(map(wanted, outs)):
        return Found(outs)

    def run(runner: Runner, values: list, companions: list) -> Any:
        def branch(plan: Any) -> Any:
            def call(values_: list, there: list) -> Any:
                results, after, found = runner.run(plan, values_, there)
                return results, runner.companions(plan.outs, outs, results, after), found

            return call

        args = (list(values[1:]), read_all(rest, companions[1:]))
        found: dict[Any, Sum] = {}
        for plan in plans:
            shapes = jax.eval_shape(lambda *a, p=plan: _arrays(branch(p)(*a)[2]), *args)
            found = _largest(found, shapes)

        def complete(plan: Any) -> Any:
            def call(*args_: Any) -> Any:
                results, there, taps_ = branch(plan)(*args_)
                return results, there, {k: _like(taps_.get(k), s) for k, s in found.items()}

            return call

        return jax.lax.switch(values[0], [complete(p) for p in plans], *args)

    return Found(outs, run=run, inner=tuple((plan, lambda k: k + 1) for plan in plans))


def _arrays(taps_: Taps) -> Taps:
    return {k: v.array() for k, v in taps_.items()}


def _largest(a: dict[Any, Sum], b: dict[Any, Sum]) -> dict[Any, Sum]:
    both = dict(a)
    for k, new in b.items():
        old = both.get(k)
        bound = max(new.bound, old.bound) if old else new.bound
        rest = new.rest if new.rest is not None else old.rest if old else None
        both[k] = Sum(new.value, rest, bound)
    return both


def _like(count: Sum | None, shape: Sum) -> Sum:
    """A count with the form that all branches share."""
    if count is None:
        count = Sum(jnp.zeros(shape.value.shape, jnp.float32), None, 0.0)
    here = count.array()
    rest = here.rest
    if shape.rest is not None and rest is None:
        rest = jnp.zeros_like(here.value)
    return Sum(here.value, rest, shape.bound)


def _either(eqn: Any, options: Sequence[Value], index: Data | None) -> Value:
    """What comes out of one branch or another."""
    out = functools.reduce(join, options)
    same = all(o == options[0] for o in options)
    if same and options[0].number >= 0:
        return options[0]
    if index is None or not isinstance(out, Parameter):
        return out.but(number=-1, form=None)
    cause = because(eqn, "a branch chosen by data")
    sets = [o.values for o in options if isinstance(o, Parameter)]
    known = all(s is not None for s in sets)
    values = few(set().union(*(s for s in sets if s is not None))) if known else None
    if values is not None and values <= TERNARY:
        nonneg = min(values) >= 0
        return Events(out.axes, cause=cause, values=values, nonneg=nonneg, weak=True)
    return Analog(out.axes, cause=cause, weight=out.weight)


# -- shard_map ------------------------------------------------------------------------


@rule("shard_map", container=True)
def _shard_map(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    """One program on every shard: counts are summed over the shards that differ."""
    inner = eqn.params["jaxpr"]
    jaxpr = inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner
    blocks = [_block(i, shape_of(v)) for i, v in zip(ins, jaxpr.invars, strict=True)]
    plan = ctx.walk(inner, blocks)
    outs = [_block(o, shape_of(v)) for o, v in zip(plan.outs, eqn.outvars, strict=True)]
    specs = _specs(eqn.params, "in", jaxpr.invars)
    varying = sorted({a for spec in specs for part in spec if part for a in _names(part)})
    mesh = eqn.params["mesh"]
    shards = functools.reduce(operator.mul, (mesh.shape[a] for a in varying), 1)
    if plan.quiet and not ctx.used([plan.frame]) and not any(map(wanted, outs)):
        return Found(outs)

    def run(runner: Runner, values: list, companions: list) -> Any:
        numbers: Taps = {}

        def call(values_: list, there: list) -> Any:
            results, after, found = runner.run(plan, values_, there)
            arrays, known = split(found)
            numbers.update(known)
            lead = jax.tree.map(lambda x: x[None], arrays)
            return results, read_all(plan.outs, after), lead

        there = read_all(ins, companions)
        each = lambda spec, c: None if c is None else dict.fromkeys(c, spec)
        out_specs = _specs(eqn.params, "out", jaxpr.outvars)
        beside_in = [each(s, c) for s, c in zip(specs, there, strict=True)]
        keys = [wanted(o) for o in plan.outs]
        beside_out = [
            dict.fromkeys(k, s) if k else None for s, k in zip(out_specs, keys, strict=True)
        ]
        mapped = jax.shard_map(
            call,
            mesh=mesh,
            in_specs=(list(specs), beside_in),
            out_specs=(list(out_specs), beside_out, PartitionSpec(tuple(varying) or None)),
            check_vma=False,
        )
        results, after, arrays = mapped(list(values), there)
        found = {
            k: v.map(lambda x: x[0]) if k[1] in LAST else over(0, v, shards)
            for k, v in arrays.items()
        }
        known = {k: v if k[1] in LAST else over(0, v, shards) for k, v in numbers.items()}
        return results, after, merged(found, known)

    return Found(outs, run=run)


def _names(part: Any) -> tuple[str, ...]:
    return (part,) if isinstance(part, str) else tuple(part)


def _specs(params: Any, side: str, variables: Sequence[Any]) -> list[PartitionSpec]:
    return list(params[f"{side}_specs"])


def _block(info: Value, shape: tuple[int, ...]) -> Value:
    """A value cut into shards, or put together again."""
    if info.axes.shape == shape:
        return info
    changes: dict[str, Any] = dict(axes=info.axes.resized(shape), number=-1, form=None)
    if isinstance(info, Data):
        changes |= dict(terms=NONE, weight=None, source=-1)
        if info.feeds or info.births:
            changes["size"] = float(info.axes.resized(shape).size(IDLE))
    return info.but(**changes)


# -- callbacks ----------------------------------------------------------------------


@rule("debug_callback", "debug_print", "print_p", container=True)
def _effect(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """Looking at a value is no work of the network."""
    return Found([])
