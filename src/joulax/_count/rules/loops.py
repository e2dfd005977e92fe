"""Loops: their states are a least fixpoint, their counts add up over the steps."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..exact import Sum, add, over
from ..findings import Found
from ..kinds import Analog, Data, Parameter, Value
from ..places import Path
from ..resolution import BySample
from ..run import LAST, STEPS, Runner, Taps, merged, split, wanted
from .changes import untaught
from .packed import Packed
from .registry import because, rule
from .samples import chosen, going_on, of_running, of_samples, samples_in
from .slices import by_slices
from .states import claim_states, leaving, sliced, stacked


@rule("scan", container=True)
def _scan(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    p, path = eqn.params, ctx.path
    consts, carry, length = p["num_consts"], p["num_carry"], p["length"]
    fixed = list(ins[:consts])
    start = _untaught(ins[consts : consts + carry], ctx)
    rest = [sliced(i, path, length) for i in ins[consts + carry :]]
    stepped = ctx.keeps_steps(length)

    packed = Packed(ctx, fixed, start, p["jaxpr"])

    def once(state: list[Value]) -> Any:
        packs = packed.packs(state)
        plan = ctx.walk(p["jaxpr"], [*fixed, *state[:carry], *rest], packs=packs)
        after = packed.after(plan.outs[:carry])
        claim_states(ctx, plan.frame, packed.apart(after), path)
        return plan, after

    plan, state = ctx.fixpoint(once, packed.begin, packed.joined)
    packs, state = packed.behind(state), state[:carry]
    out = [_unchanged(ctx, i, s, path) for i, s in zip(state, start, strict=True)]
    out += [stacked(i, path, length, by_slices(i, path, ctx)) for i in plan.outs[carry:]]
    if is_quiet(ctx, [plan], out):
        return Found(out, packs=packs)

    def place(k: int) -> int | None:
        return k if k < consts or _forwarded(plan, consts, carry, k) else None

    run = _steps(eqn, ctx, plan, place, (ins, [*fixed, *state, *rest], state), stepped)
    return Found(out, run=run, inner=((plan, place),), packs=packs)


def _untaught(start: Sequence[Value], ctx: Any) -> list[Value]:
    """States before the first step: of leaves that were learned, without what teaches them."""
    return [untaught(s, ctx) if isinstance(s, Data) else s for s in start]


def is_quiet(ctx: Any, plans: Sequence[Any], outs: Sequence[Value]) -> bool:
    """Whether the original program is all that needs to run."""
    silent = all(p.quiet for p in plans) and not ctx.used([p.frame for p in plans])
    return silent and not any(map(wanted, outs))


def _steps(
    eqn: Any,
    ctx: Any,
    plan: Any,
    place: Callable[[int], int | None],
    infos: tuple[Sequence[Value], Sequence[Value], Sequence[Value]],
    stepped: bool,
) -> Callable[..., Any]:
    """The scan with counts beside it; `infos`: kinds outside, inside, and of the state."""
    (ins, inner, state), p, path = infos, eqn.params, ctx.path
    consts, carry, length = p["num_consts"], p["num_carry"], p["length"]

    def run(runner: Runner, values: list[Any], companions: list[Any]) -> Any:
        runner, early = runner.hoisting(plan, lambda k: None if place(k) is None else values[k])
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
        kept = {k: v for k, v in arrays.items() if STEPS in k}
        arrays = {k: v for k, v in arrays.items() if k not in kept} | runner.behind(kept)
        found = {k: _over_steps(ctx, k, v, path, length, stepped) for k, v in arrays.items()}
        found |= {k: _repeated(ctx, k, v, path, length, stepped) for k, v in numbers.items()}
        return [*c[0], *ys], [*c[1], *after], merged(runner.behind(found), early)

    return run


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
    if _is_last(ctx, key, path):
        return count.map(lambda x: x[-1])
    return count if stepped and key[1] not in LAST else over(0, count, length)


def _is_last(ctx: Any, key: Any, path: Path) -> bool:
    """Whether a number is a property of something that is the same in all steps of a loop."""
    site = ctx.tables.sites.get(key[0])
    return key[1] in LAST and (site is None or path not in site.walked)


def _repeated(ctx: Any, key: Any, count: Sum, path: Path, length: int, stepped: bool) -> Sum:
    if _layered(ctx, key[0]) == path or stepped:
        return Sum(jnp.full((length,), count.value, jnp.float32), None, count.bound)
    return count if _is_last(ctx, key, path) else over(0, count, length)


@rule("while", container=True)
def _while(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    p, path = eqn.params, ctx.path
    samples, apart = samples_in(eqn, ctx), isinstance(ctx.resolution, BySample)
    nc, nb = p["cond_nconsts"], p["body_nconsts"]
    tests, fixed = list(ins[:nc]), list(ins[nc : nc + nb])
    start = _untaught(ins[nc + nb :], ctx)
    plans: dict[str, Any] = {}
    start = start if samples is None else [of_samples(s) for s in start]
    packed = Packed(ctx, fixed, start, p["body_jaxpr"])

    def once(state: list[Value]) -> Any:
        with ctx.deciding():
            plans["test"] = ctx.walk(p["cond_jaxpr"], [*tests, *state[: len(start)]], at=0)
        packs = packed.packs(state)
        plan = ctx.walk(p["body_jaxpr"], [*fixed, *state[: len(start)]], at=1, packs=packs)
        after = packed.after(plan.outs)
        claim_states(ctx, plan.frame, packed.apart(after), path)
        return plan, after

    with ctx.by_sample(samples):
        plan, state = ctx.fixpoint(once, packed.begin, packed.joined)
    packs, state = packed.behind(state), state[: len(start)]
    test = plans["test"]
    out = [_unchanged(ctx, i, s, path) for i, s in zip(state, start, strict=True)]
    if any(isinstance(i, Data) for i in test.outs):  # how often it runs depends on data
        out = [_chosen(eqn, o, s) for o, s in zip(out, start, strict=True)]
    if is_quiet(ctx, [plan, test], out):
        return Found(out, packs=packs)

    def place(k: int) -> int | None:
        return nc + k if k < nb or _forwarded(plan, nb, len(start), k) else None

    goal = [*tests, *fixed, *state]
    run = _turns(plan, test, place, (ins, goal, state), (nc, nb), apart)

    def tested(k: int) -> int | None:
        return k if k < nc else None

    return Found(out, run=run, inner=((plan, place), (test, tested)), packs=packs)


def _turns(
    plan: Any,
    test: Any,
    place: Callable[[int], int | None],
    infos: tuple[Sequence[Value], Sequence[Value], Sequence[Value]],
    sizes: tuple[int, int],
    apart: bool,
) -> Callable[..., Any]:
    """The loop with counts in its state; `infos`: kinds outside, inside, and of the state.

    `apart`: a loop around it keeps the counts of samples apart.
    """
    (ins, goal, state), (nc, nb) = infos, sizes

    def run(runner: Runner, values: list[Any], companions: list[Any]) -> Any:
        runner, early = runner.hoisting(
            plan, lambda k: values[nc + k] if place(k) is not None else None, scan=False
        )
        runner = runner if plan.resolution == runner.walker.resolution else runner.direct()
        beside = runner.companions(ins, goal, values, companions)

        def tested(values_: list[Any], there: list[Any]) -> Any:
            outs, _, found = runner.run(test, [*values[:nc], *values_], [*beside[:nc], *there])
            return outs[0], found

        def step(c: Any) -> Any:
            there = [*beside[nc : nc + nb], *c[1]]
            outs, after, found = runner.run(plan, [*values[nc : nc + nb], *c[0]], there)
            after = runner.companions(plan.outs, state, outs, after)
            outs, after = chosen(c[2], (outs, after), c[:2])
            pred, more = tested(outs, after)
            return (outs, after, pred), _full(of_running(c[2], merged(found, more), apart))

        begin = (list(values[nc + nb :]), beside[nc + nb :])
        pred, first = tested(*begin)
        first = _full(of_running(jnp.ones_like(pred), first, apart))
        shapes = jax.eval_shape(step, (*begin, pred))[1]
        zero = jax.tree.map(_zeros, shapes)
        counts = _full({k: _plus(k, v, first[k]) if k in first else v for k, v in zero.items()})

        def body(c: Any) -> Any:
            after, found = step(c[0])
            return after, {k: _plus(k, c[1][k], v) for k, v in found.items()}

        loop = ((*begin, pred), counts)
        (outs, there, _), found = jax.lax.while_loop(lambda c: going_on(c[0][2]), body, loop)
        return outs, there, merged(runner.behind(found), early)

    return run


def _chosen(eqn: Any, out: Value, start: Value) -> Value:
    """A parameter that has been changed as often as data say is data."""
    if not isinstance(out, Parameter) or out is start:
        return out
    weight = out.weight
    return Analog(
        out.axes, cause=because(eqn, "a loop that runs as long as data say"), weight=weight
    )


def _zeros(shape: Any) -> Array:
    return jnp.zeros(shape.shape, shape.dtype)


def _full(taps_: Taps) -> Taps:
    return {k: v.full() for k, v in taps_.items()}


def _plus(key: Any, old: Sum, new: Sum) -> Sum:
    return new.full() if key[1] in LAST else add(old, new).full()
