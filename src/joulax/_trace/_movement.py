"""Primitives that move, reduce or pool values: spikes stay spikes, and their events move along."""

import jax
import jax.numpy as jnp

from ._axes import carried
from ._elementwise import parameters
from ._info import Info, Kind, join
from ._rules import Operands, Outcome, analog, because, rule
from ._sites import reduced_weights

MOVES = "reshape transpose broadcast_in_dim squeeze expand_dims slice rev split tile pvary"


def moved(eqn, info: Info) -> Info:
    """Info of a value whose elements only change place."""
    if info.kind == Kind.PARAMETER:
        return info.but(axes=carried(eqn, info.axes, False, any), form=None)
    if info.spiking:
        return info.but(axes=carried(eqn, info.axes, False, any), form=None)
    return info.but(axes=carried(eqn, info.axes, True, all), form=None)


def again(eqn, *operands) -> list[jax.Array]:
    """Run the same primitive on other operands: events, which are float32 whatever the values are."""
    name, p = eqn.primitive.name, eqn.params
    if name in ("scatter", "scatter-add", "scatter_add"):  # their parameters hold a jaxpr for one dtype
        function = jax.lax.scatter if name == "scatter" else jax.lax.scatter_add
        hints = dict(indices_are_sorted=p["indices_are_sorted"], unique_indices=p["unique_indices"], mode=p["mode"])
        operand, indices, updates = operands
        return [function(operand, indices, updates, p["dimension_numbers"], **hints)]
    if name == "reduce_window":
        x, zero, strides = operands[0], jnp.zeros((), operands[0].dtype), p["window_strides"]
        dilations = dict(base_dilation=p["base_dilation"], window_dilation=p["window_dilation"])
        return [jax.lax.reduce_window(x, zero, jax.lax.add, p["window_dimensions"], strides, p["padding"], **dilations)]
    out = eqn.primitive.bind(*operands, **p)
    return list(out) if eqn.primitive.multiple_results else [out]


@rule(*MOVES.split())
def _move(eqn, ins, ctx, path):
    info = moved(eqn, ins[0])
    outs = [info.but(axes=info.axes) for _ in eqn.outvars]
    return Outcome(outs, (lambda ops: again(eqn, ops.events(0), *ops.values[1:])) if info.companion else None)


@rule("concatenate", "pad", "dynamic_update_slice", "scatter")
def _combine(eqn, ins, ctx, path):
    """Several values side by side; index operands decide nothing."""
    data = {"concatenate": len(ins), "pad": 2, "dynamic_update_slice": 2, "scatter": 3}[eqn.primitive.name]
    places = [0, 2] if eqn.primitive.name == "scatter" else list(range(data))
    values = [ins[i] for i in places]
    ndim = len(eqn.outvars[0].aval.shape)
    level = [v if len(v.axes) == ndim else v.but(axes=(False,) * ndim) for v in values]
    kind = max(v.kind for v in level)
    if kind == Kind.PARAMETER:
        const = level[0].const if all(v.const == level[0].const for v in level) else None
        return Outcome([parameters(eqn, level).but(const=const, axes=(True,) * ndim)])
    if kind == Kind.ANALOG or any(v.pending for v in level):
        return Outcome([analog(eqn, values, ctx, "spikes are put beside analog values").but(kind=kind, pending=kind == Kind.SPIKES)])
    info = level[0]
    for other in level[1:]:
        info = join(info, other)
    if not info.companion:
        return Outcome([info])

    def events(ops: Operands):
        operands = [ops.events(i) if i in places else ops.values[i] for i in range(len(ins))]
        return again(eqn, *operands)

    return Outcome([info], events)


@rule("gather", "dynamic_slice")
def _pick(eqn, ins, ctx, path):
    info, index = ins[0], ins[1:]
    shape = eqn.outvars[0].aval.shape
    if info.kind == Kind.PARAMETER:
        if all(i.kind == Kind.PARAMETER for i in index):
            return Outcome([info.but(axes=tuple(s > 1 for s in shape), form=None)])
        return ctx.embedding(eqn, ins, path) if eqn.primitive.name == "gather" else Outcome([analog(eqn, ins, ctx, "data pick a parameter")])
    out = moved(eqn, info)
    return Outcome([out], (lambda ops: again(eqn, ops.events(0), *ops.values[1:])) if out.companion else None)


@rule("scatter_add", "scatter-add")
def _scatter_add(eqn, ins, ctx, path):
    a, _, b = ins
    if a.kind == b.kind == Kind.PARAMETER:
        return Outcome([parameters(eqn, [a])])
    if b.spiking and (a.spiking or a.const == 0):
        info = (join(a, b.but(axes=(False,) * len(a.axes)))).but(unit=False, companion=True)
        return Outcome([info], lambda ops: again(eqn, ops.events(0), ops.values[1], ops.events(2)))
    return Outcome([analog(eqn, [a, b], ctx, "analog values are scattered")])


@rule("reduce_sum", "cumsum", "reduce_window_sum")
def _reduce(eqn, ins, ctx, path):
    (info,) = ins
    if info.kind == Kind.PARAMETER:
        shape = eqn.outvars[0].aval.shape
        return Outcome([info.but(axes=tuple(s > 1 for s in shape), const=0.0 if info.const == 0 else None, unit=False, form=None)])
    if info.pending or info.kind == Kind.ANALOG:
        return Outcome([analog(eqn, ins, ctx, "").but(axes=moved(eqn, info).axes)])
    if info.weighted and any(info.axes[a] for a in summed_axes(eqn)):
        return reduced_weights(eqn, info, ctx, path)
    out = moved(eqn, info).but(unit=False)
    if not info.companion and not (info.unit or info.nonneg):
        out = out.but(companion=True)  # signed spikes may cancel, their events do not
    return Outcome([out], (lambda ops: again(eqn, ops.events(0), *ops.values[1:])) if out.companion else None)


def summed_axes(eqn) -> list[int]:
    """Axes over which a reduction adds."""
    params = eqn.params
    if "axes" in params:
        return list(params["axes"])
    if "axis" in params:
        return [params["axis"]]
    return [a for a, size in enumerate(params["window_dimensions"]) if size > 1]


@rule("reduce_max", "reduce_or", "reduce_window_max", "cummax")
def _reduce_max(eqn, ins, ctx, path):
    (info,) = ins
    if info.spiking:
        out = moved(eqn, info).but(form=None)
        return Outcome([out], (lambda ops: again(eqn, ops.events(0))) if out.companion else None)
    if info.kind == Kind.PARAMETER:
        return Outcome([info.but(axes=tuple(s > 1 for s in eqn.outvars[0].aval.shape), form=None)])
    out = analog(eqn, ins, ctx, "").but(axes=moved(eqn, info).axes)
    return Outcome([out.but(kind=info.kind, pending=info.pending, unit=info.unit, nonneg=info.nonneg)])


@rule("reduce_min", "reduce_and", "reduce_prod", "reduce_xor", "reduce_window_min", "argmax", "argmin", "cumprod", "cummin", "cumlogsumexp")
def _reduce_other(eqn, ins, ctx, path):
    shape = eqn.outvars[0].aval.shape
    if ins[0].kind == Kind.PARAMETER:
        return Outcome([Info(Kind.PARAMETER, tuple(s > 1 for s in shape), leaf=ins[0].leaf)])
    out = analog(eqn, ins, ctx, f"`{eqn.primitive.name}` of spikes")
    return Outcome([out.but(axes=moved(eqn, ins[0]).axes if not ins[0].spiking else (False,) * len(shape))])


@rule("reduce_window")
def _reduce_window(eqn, ins, ctx, path):
    """The general form, which appears with an explicit initial value: recognised by its body."""
    body = eqn.params["jaxpr"].eqns if "jaxpr" in eqn.params else []
    names = {e.primitive.name for e in body}
    if names <= {"add"}:
        return _reduce(eqn, ins[:1], ctx, path)
    if names <= {"max"} and not ins[0].companion:
        return _reduce_max(eqn, ins[:1], ctx, path)
    if all(i.kind == Kind.PARAMETER for i in ins):
        return Outcome([parameters(eqn, ins)])
    return Outcome([analog(eqn, ins[:1], ctx, f"a window of {sorted(names)}").but(cause=because(eqn, "a general window"))])


@rule("select_and_scatter_add", "select_and_gather_add", "sort", "top_k")
def _order(eqn, ins, ctx, path):
    if all(i.kind == Kind.PARAMETER for i in ins):
        return Outcome([Info(Kind.PARAMETER, tuple(s > 1 for s in v.aval.shape)) for v in eqn.outvars])
    ctx.uncounted(eqn, path)
    info = analog(eqn, ins, ctx, f"`{eqn.primitive.name}` of spikes")
    return Outcome([info.but(axes=(False,) * len(v.aval.shape)) for v in eqn.outvars])
