"""Elementwise primitives: the algebra of small sets of values, and what is analog."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..axes import VARIES, WEIGHT, Axes
from ..events import magnitude, mask
from ..findings import EVENTS, Context, Found, Operands
from ..kinds import SPIKE, TERNARY, UNIT, Analog, Events, Parameter, Scale, Value, few, varied
from .births import born, datas, fires, mixed
from .chosen import through
from .combined import logical
from .curves import bent
from .declared import declared_synapses
from .pairs import pair_in
from .registry import because, is_integer, parameter_of, rule, shape_of, spikes_of
from .sets import kept, mapped, minus, negative, same, values_of

# Elementwise work that makes a region of currents a population of neurons.
ACTIVATIONS = """
acos acosh asin asinh atan atan2 atanh cos cosh erf erfc logistic sin sinh tan tanh max min
clamp gt lt ge le
""".split()


OTHERS = """
bessel_i0e bessel_i1e bessel_jn cbrt digamma bitcast_convert_type complex conj imag erf_inv exp
exp2 expm1 igamma igammac is_finite lgamma log log1p nextafter polygamma pow population_count
clz count_leading_zeros random_gamma_grad random_gamma igamma_grad_a regularized_incomplete_beta
rem rsqrt sqrt shift_left shift_right_arithmetic shift_right_logical zeta unvmap_all unvmap_any
unvmap_max mulhi reciprocal square integer_pow sign abs round floor ceil
""".split()


def _passes(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    return [i.but() for i in ins]


@rule(
    *"copy copy_p reduce_precision real device_put sharding_constraint mesh_cast reshard".split(),
    *"nonbatchable nontraceable optimization_barrier name pvary pcast copy_to_host_async".split(),
    *"stop_gradient reduced_vary_cast reduced_vary_cast_p vary_unreduced_cast_p".split(),
    *"layout_constraint core_name".split(),
    parameters=_passes,
    elementwise=True,
)
def _unchanged(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Values that pass; two of them are words of the user."""
    name = eqn.params.get("name")
    if name == "joulax.spikes":
        return declared(eqn, ins[0], ctx)
    if name == "joulax.synapses":
        return declared_synapses(eqn, ins[0], ctx)
    outs = [i.anew(form=i.linear if i.number >= 0 else i.form) for i in ins]
    if not any(o.travels for o in outs):
        return Found(outs)
    return Found(outs, events=lambda ops: [ops.companions(k) for k in range(len(ins))])


def declared(eqn: Any, info: Value, ctx: Context) -> Found:
    """`joulax.spikes(x)`: the user says that these are spikes."""
    if not isinstance(info, Analog):
        return same(info, 0)
    return born(
        eqn, [info], ctx, "declared by joulax.spikes", values=SPIKE, nonneg=False, loose=True
    )


def _negated(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    values = mapped(minus, values_of(ins[0]))
    return [parameter_of(ins, shape_of(eqn.outvars[0]), values=values)]


@rule("neg", parameters=_negated, elementwise=True)
def _neg(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    return negative(ins[0], 0)


_LOGIC: dict[str, Callable[[float, float], float]] = {
    "and": lambda x, y: float(int(x) & int(y)),
    "or": lambda x, y: float(int(x) | int(y)),
    "xor": lambda x, y: float(int(x) ^ int(y)),
}


def _not(x: float) -> float:
    return 1.0 - x


def _logic_of_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    boolean = eqn.outvars[0].aval.dtype == bool
    op = _LOGIC.get(eqn.primitive.name, _not)
    values = mapped(op, *(values_of(i) or SPIKE for i in ins)) if boolean else None
    return [parameter_of(ins, shape_of(eqn.outvars[0]), values=values)]


@rule(*_LOGIC, "not", parameters=_logic_of_parameters, elementwise=True)
def _logic(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Boolean algebra of spikes is spikes."""
    if eqn.outvars[0].aval.dtype != bool:
        simple = all((v := values_of(i)) is not None and v <= SPIKE for i in ins)
        if simple and len(ins) == 2:
            return kept(eqn, ins, ctx, _LOGIC[eqn.primitive.name])
        if eqn.primitive.name == "and" and any(i.constant == 1 for i in ins):
            return born(eqn, ins, ctx, "a bit of a number", weak=True)
        found = mixed(eqn, ins, ctx, f"`{eqn.primitive.name}` of data")
        return found.but(lost="weights and data packed in bits") if _outer(ins) else found
    name = eqn.primitive.name
    found = logical(eqn, ins, ctx, SPIKE, masks=name == "and", other=name == "not")
    out = spikes_of(found).but(nonneg=True, pair=pair_in(ins, ctx) if name == "and" else None)
    return found.but(outs=[out])


def _outer(ins: Sequence[Value]) -> bool:
    """Whether a leaf meets every element of data: it varies where they do not."""
    weights = [i.weight.axes for i in ins if isinstance(i, Parameter) and i.weight]
    return any(_alone(w, d.axes) for w in weights for d in datas(ins))


def _alone(weight: Axes, data: Axes) -> bool:
    """Whether a weight varies along an axis along which data do not."""
    pairs = zip(weight.flags(WEIGHT), data.flags(VARIES), strict=True)
    return any(own and not other for own, other in pairs)


def _clamp(low: float, x: float, high: float) -> float:
    return min(max(x, low), high)


_EXTREMA: dict[str, Callable[..., float]] = {"max": max, "min": min, "clamp": _clamp}


def _extremum_of_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    values = mapped(_EXTREMA[eqn.primitive.name], *(values_of(i) for i in ins))
    return [parameter_of(ins, shape_of(eqn.outvars[0]), values=values)]


@rule(*_EXTREMA, parameters=_extremum_of_parameters, elementwise=True)
def _extremum(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Larger or smaller: still events if the set of values stays small and keeps zero."""
    name = eqn.primitive.name
    op = _EXTREMA[name]
    if all(isinstance(i, Events | Parameter) for i in ins):
        found = kept(eqn, ins, ctx, op) or _clipped(eqn, ins, ctx)
        if found is not None:
            return found
    found = through(eqn, ins, ctx, "the extremum of spikes and something else")
    bound = any(isinstance(i, Parameter) and i.values and -math.inf in i.values for i in ins)
    return found if bound else fires(eqn, found, ctx)


def _clipped(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Counts or scaled spikes, clipped by constants that keep zero."""
    spikes = [(i, s) for i, s in enumerate(ins) if isinstance(s, Events)]
    limits = _limits(eqn, ins, ctx)
    if len(spikes) != 1 or limits is None or not limits[0] <= 0 <= limits[1]:
        return None
    i, s = spikes[0]
    # a row that is clipped has arrived all the same
    return None if any(t.is_spread for t in s.opened) else _between(i, s, *limits)


def _between(i: int, s: Events, low: float, high: float) -> Found:
    """Events between two limits: of counts, those that are left."""
    low, whole = 0.0 if s.nonneg else low, s.scale == UNIT and {low, high} <= WHOLE
    out = s.anew(values=None, nonneg=low == 0)
    if whole and math.isfinite(low + high) and not s.opened:
        return Found([out.but(values=few(v for v in TERNARY if low <= v <= high), beside=False)])
    if s.scale == UNIT and s.plain and out.nonneg and high in WHOLE:
        return Found([out])
    return _cut(i, out, s.scale)


def _cut(i: int, out: Events, scale: Scale | None) -> Found:
    """Events that a limit may have cut, of this scale before."""
    each = scale[0] if scale and not scale[1] else None
    return Found([out.but(beside=True)], events=lambda ops: [{EVENTS: _left(ops, i, each)}])


WHOLE = frozenset((-math.inf, -1.0, 0.0, 1.0, math.inf))  # limits at which events are not cut


def _left(ops: Operands, i: int, each: float | None) -> Array:
    """Events behind a limit: of counts that it has changed, what is left, at this size of each."""
    events, out = ops.events(i) * mask(ops.outs[0]), ops.outs[0]
    if each is None:
        return events
    return jnp.where(out == ops.values[i], events, jnp.ceil(magnitude(out) / each))


def _limits(eqn: Any, ins: Sequence[Value], ctx: Context) -> tuple[float, float] | None:
    """Constants between which a value is kept, here and right before."""
    name, known = eqn.primitive.name, [i.constant for i in ins if i.constant is not None]
    if name not in _EXTREMA or len(known) < len(ins) - 1:
        return None
    low = -math.inf if name == "min" else known[0]
    high = math.inf if name == "max" else known[-1]
    made = [m for i in datas(ins) if (m := ctx.maker(i.number)) is not None]
    before = _limits(*made[0], ctx) if len(made) == 1 else None
    return (low, high) if before is None else (max(low, before[0]), min(high, before[1]))


_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "sign": lambda x: float((x > 0) - (x < 0)),
    "square": lambda x: x * x,
    "sqrt": math.sqrt,
    "cbrt": math.cbrt,
    "floor": lambda x: float(math.floor(x)),
    "ceil": lambda x: float(math.ceil(x)),
}


ROUNDS = ("floor", "ceil", "round")  # what is left of a fraction is analog


def _function_of(eqn: Any) -> Callable[[float], float] | None:
    """What a primitive does to a number, where that is exact."""
    name, params = eqn.primitive.name, eqn.params
    if name == "integer_pow":
        return lambda v: v ** params["y"]
    if name == "round":
        away = int(params["rounding_method"]) == 0
        return lambda v: math.copysign(math.floor(abs(v) + 0.5), v) if away else float(round(v))
    return _FUNCTIONS.get(name)


def _function_of_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    op = _function_of(eqn)
    values = mapped(op, values_of(ins[0])) if op and len(ins) == 1 else None
    return [parameter_of(ins, shape_of(v), values=values) for v in eqn.outvars]


@rule(*sorted(set(OTHERS) | set(_FUNCTIONS)), parameters=_function_of_parameters, elementwise=True)
def _function(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Functions of one value: of known values, or of counts; `sign` of anything is spikes."""
    name, x = eqn.primitive.name, ins[0]
    if isinstance(x, Events) and len(ins) == 1:
        found = _of_counts(eqn, x, ctx)
        if found is not None:
            return found
    if name == "sign":
        weak = is_integer(eqn.invars[0]) or ctx.backward
        return born(eqn, ins, ctx, "the sign of a value", values=TERNARY, nonneg=False, weak=weak)
    return bent(eqn, ins, through(eqn, ins, ctx, f"`{name}` of data"), ctx)


def _of_counts(eqn: Any, x: Events, ctx: Context) -> Found | None:
    """A function of counts or scaled spikes that is zero where they are: what is left of them."""
    name, op = eqn.primitive.name, _function_of(eqn)
    found = kept(eqn, [x], ctx, op) if op else None
    if found is not None or op is None or eqn.params.get("y", 1) <= 0:
        return found
    if name == "sign" and not x.opened:
        values = SPIKE if x.nonneg else TERNARY
        return Found([x.anew(values=values, scale=UNIT, beside=False, loose=False)])
    if name in ROUNDS and x.scale != UNIT:
        return None
    out = x.anew(values=None, beside=True, nonneg=name == "abs")
    return Found([out], events=lambda ops: [{EVENTS: ops.events(0)}])


@rule(*sorted(set(ACTIVATIONS) - {"max", "min", "clamp", "gt", "lt", "ge", "le"}), elementwise=True)
def _activation(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """A nonlinearity: its region is a population of neurons."""
    return fires(eqn, through(eqn, ins, ctx, f"`{eqn.primitive.name}` of data"), ctx)


KEYS = ("random_seed", "random_wrap", "prng_seed", "threefry2x32")  # the last: of a raw key


@rule(
    *"iota rng_bit_generator rng_uniform random_seed random_bits random_wrap random_unwrap".split(),
    *"random_split random_fold_in threefry2x32 random_clone create_token empty empty2".split(),
    *"threefry4x32 philox2x32 philox4x32 prng_seed prng_split prng_random_bits prng_join".split(),
    elementwise=True,
)
def _draw(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Random draws from a key that is data, and what has no operands.

    A key that is made of data draws at random like one that is handed in.
    """
    cause = because(eqn, f"`{eqn.primitive.name}` of data")
    alone = eqn.primitive.name in KEYS or all(d.random for d in datas(ins))
    outs = [Analog(_varied(v), cause=cause, random=alone) for v in eqn.outvars]
    return Found(outs)


def _varied(variable: Any) -> Axes:
    return varied(shape_of(variable))
