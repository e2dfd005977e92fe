"""One program on every shard of a mesh."""

import functools
import operator
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr
from jax.sharding import PartitionSpec

from ..axes import IDLE
from ..exact import Sum, over
from ..findings import Found
from ..kinds import Data, Value
from ..run import LAST, Runner, Taps, read_all, split, wanted
from .loops import is_quiet
from .registry import rule, shape_of


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
    if is_quiet(ctx, [plan], outs):
        return Found(outs)
    return Found(outs, run=_sharded(eqn, plan, ins, (specs, varying, shards)))


def _sharded(
    eqn: Any, plan: Any, ins: Sequence[Value], over_: tuple[Sequence[Any], Sequence[str], int]
) -> Callable[..., Any]:
    """The program of every shard with its counts; `over_`: specs of inputs, axes, their size."""
    (specs, varying, shards), jaxpr = over_, plan.jaxpr

    def run(runner: Runner, values: list[Any], companions: list[Any]) -> Any:
        numbers: Taps = {}

        def call(values_: list[Any], there: list[Any]) -> Any:
            results, after, found = runner.run(plan, values_, there)
            arrays, known = split(found)
            numbers.update(known)
            lead = {k: v.map(lambda x: x[None]) for k, v in arrays.items()}
            return results, read_all(plan.outs, after), lead

        there = read_all(ins, companions)
        out_specs = _specs(eqn.params, "out", jaxpr.outvars)
        beside_in = list(map(_like, there, specs))
        beside_out = list(map(_like, map(wanted, plan.outs), out_specs))
        mapped = jax.shard_map(
            call,
            mesh=eqn.params["mesh"],
            in_specs=(list(specs), beside_in),
            out_specs=(list(out_specs), beside_out, PartitionSpec(tuple(varying) or None)),
            check_vma=False,
        )
        results, after, arrays = mapped(list(values), there)
        summed = {k: _one(v) if k[1] in LAST else over(0, v, shards) for k, v in arrays.items()}
        known = {k: v if k[1] in LAST else over(0, v, shards) for k, v in numbers.items()}
        return results, after, summed | known

    return run


def _one(count: Sum) -> Sum:
    """The count of the first shard, where it is that of all."""
    return count.map(lambda x: x[0])


def _like(companions: Collection[Any] | None, spec: Any) -> dict[Any, Any] | None:
    """What travels beside a value lies on the mesh like the value."""
    return dict.fromkeys(companions, spec) if companions else None


def _names(part: Any) -> tuple[str, ...]:
    return (part,) if isinstance(part, str) else tuple(part)


def _specs(params: Any, side: str, variables: Sequence[Any]) -> list[PartitionSpec]:
    return list(params[f"{side}_specs"])


def _block(info: Value, shape: tuple[int, ...]) -> Value:
    """A value cut into shards, or put together again."""
    if info.axes.shape == shape:
        return info
    axes = info.axes.resized(shape)
    if not isinstance(info, Data):
        return info.anew(axes=axes)
    region = info.feeds or info.births
    return info.apart(axes=axes, size=float(axes.size(IDLE)) if region else info.size)
