"""Control flow: loops, branches and calls that contain jaxprs of their own."""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

from ..events import magnitude
from ..findings import EVENTS, Birth, Context, Found, Operands
from ..kinds import Data, Events, Value
from ..places import stands_in, union
from ..run import Runner, Taps, evaluate_one, merged, read_all, split, wanted
from .births import datas, mixed, reborn_at, taps
from .registry import PartialRule, called_from, rule, shape_of


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


SAMPLERS = ("_poisson",)  # of `jax.random`: what they compare is no neuron


@rule(*CALLS, container=True)
def _call(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    if eqn.params.get("name") in SAMPLERS and datas(ins):
        rates = datas(ins[1:]) or datas(ins)
        return mixed(eqn, rates, ctx, "a random draw", enters=False)
    inner = inner_jaxpr(eqn)
    with called_from(eqn, inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner):
        plan = ctx.walk(inner, ins, call=True)
    if plan.quiet:
        return Found(plan.outs)
    wrap = _checkpoint if "prevent_cse" in eqn.params else _jit

    def run(runner: Runner, values: list[Any], companions: list[Any]) -> Any:
        numbers: Taps = {}

        def call(values: list[Any], there: list[Any]) -> Any:
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
    options = {name: eqn.params[name] for name in ("prevent_cse", "policy")}
    return cast(Any, jax.checkpoint(call, **options))


CUSTOM = "custom_jvp_call custom_vjp_call custom_vjp_call_jaxpr custom_vmap_call".split()


@rule(*CUSTOM, container=True)
def _beside(eqn: Any, ins: Sequence[Value], ctx: Any) -> Found:
    """The rule of the user stays.

    What is inside is only looked at, and its counts have no gradient.
    """
    inner = inner_jaxpr(eqn)
    plan = ctx.walk(inner, ins, call=True)
    outs, births, all_taps = _reborn_outs(eqn, plan.outs, ctx)
    recorded = (*ctx.tables.births, *ctx.tables.sites)
    empty = not any(stands_in(p, ctx.path) for p in recorded)
    if empty and not any(map(wanted, outs)):
        return Found(outs, births=births, taps=all_taps)
    outside = union(b.parents for b in births)

    def run(runner: Runner, values: list[Any], companions: list[Any]) -> Any:
        stopped = jax.tree.map(jax.lax.stop_gradient, (values, read_all(ins, companions)))
        _, there, found = runner.run(plan, *stopped)
        results = evaluate_one(plan.jaxpr, eqn, values)
        beside = [_sloped(c, v) for c, v in zip(read_all(plan.outs, there), results, strict=True)]
        ops = Operands(ins, values, [None] * len(values), results, {})
        own = {(t.path, t.field): t.value(ops) for t in all_taps}
        inside = {k: v for k, v in found.items() if k[0] not in outside}
        return results, beside, merged(inside, own)

    return Found(outs, births=births, run=run, inner=((plan, lambda k: k),))


def _reborn_outs(
    eqn: Any, infos: Sequence[Value], ctx: Any
) -> tuple[list[Value], tuple[Birth, ...], tuple[Any, ...]]:
    """Results of a call, whose spikes are counted where they leave it."""
    outs: list[Value] = []
    births: list[Birth] = []
    found: list[Any] = []
    for k, info in enumerate(infos):
        out, birth = reborn_at(eqn, info, ctx, k, (*ctx.path, 1, k))
        outs.append(out.but(form=None) if isinstance(out, Data) else out)
        if birth is not None:
            assert isinstance(out, Events)
            births.append(birth)
            found += taps(dataclasses.replace(ctx, path=birth.path), out, birth, k)
    return outs, tuple(births), tuple(found)


def _sloped(companions: Any, value: Any) -> Any:
    """The events found inside, with the slope that the user's own rule gives the value."""
    if companions is None or EVENTS not in companions:
        return companions
    slope = magnitude(value)
    return {**companions, EVENTS: companions[EVENTS] + (slope - jax.lax.stop_gradient(slope))}


@rule("debug_callback", "debug_print", "print_p", container=True)
def _effect(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """Looking at a value is no work of the network."""
    return Found([])
