"""Elementwise primitives: the algebra of small sets of values, and what is analog."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..findings import EVENTS, Companions, Context, Found, Operands, magnitude, mask
from ..kinds import (
    SPIKE,
    TERNARY,
    UNIT,
    Analog,
    Data,
    Events,
    Form,
    Parameter,
    Value,
    Values,
    few,
    join,
    varied,
)
from ..polynomial import Polynomial, added, multiplied
from .births import (
    born,
    datas,
    elementwise_axes,
    fires,
    logical,
    mixed,
    provenance,
    reborn,
    unrolled,
)
from .indexed import declared_synapses
from .registry import because, is_integer, parameter_of, rule, shape_of
from .terms import merged_terms, scaled_terms, thinned

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
unvmap_max mulhi square integer_pow sign abs round floor ceil
""".split()


# -- sets of values ---------------------------------------------------------------


def mapped(f: Callable[..., float], *sets: Values | None) -> Values | None:
    """The values of a function of values that are known."""
    known = [s for s in sets if s is not None]
    if len(known) < len(sets) or math.prod(map(len, known)) > 256:
        return None
    try:
        return few(f(*v) for v in itertools.product(*known))
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


def are_events(values: Values | None) -> bool:
    """Whether data with these values are events: few, around zero."""
    return values is not None and (0.0 in values or values <= TERNARY)


def values_of(info: Value) -> Values | None:
    """What a value may be."""
    return info.values if isinstance(info, Events | Parameter) else None


def same(info: Value, i: int, **changes: Any) -> Found:
    """The value passes unchanged, and what travels beside it."""
    out = info.but(**changes)
    return Found([out], events=(lambda ops: [ops.companions(i)]) if travels(out) else None)


def travels(info: Value) -> bool:
    """Whether anything travels beside a value."""
    beside = isinstance(info, Events) and info.beside
    return beside or (isinstance(info, Data) and any(not t.counted for t in info.terms))


def kept(
    eqn: Any, ins: Sequence[Value], ctx: Context, f: Callable[..., float], *, truth: bool = False
) -> Found | None:
    """Events by what they are: a function of known values whose results are few, around zero."""
    values = mapped(f, *(values_of(i) for i in ins))
    if not are_events(values):
        return None
    assert values is not None
    if truth and any(isinstance(i, Events) and i.loose for i in ins):
        values = SPIKE  # what is declared may be more than one event
    found = logical(eqn, ins, ctx, values, masks=False, other=_moved_zero(ins, f))
    out = found.outs[0]
    assert isinstance(out, Events)
    if not out.beside:
        return found
    if values <= {float(v) for v in range(-64, 65)}:  # counts: every unit is an event
        nonneg = min(values) >= 0 and not out.loose
        out = out.but(scale=UNIT, nonneg=nonneg, beside=False)
        return Found([out], births=found.births, taps=found.taps)
    size = max(abs(v) for v in values)
    scale = (size, ()) if len(values | {0.0}) <= 2 else None
    return Found([out.but(scale=scale)], events=lambda ops: [{EVENTS: mask(ops.outs[0])}])


def _moved_zero(ins: Sequence[Value], f: Callable[..., float]) -> bool:
    """Whether a function of one operand of spikes is zero elsewhere than the spikes are."""
    spikes = [i.values for i in ins if isinstance(i, Events)]
    if len(spikes) != 1 or spikes[0] is None:
        return False
    rest = [i.constant if isinstance(i, Parameter) else None for i in ins]
    if any(c is None for i, c in zip(ins, rest, strict=True) if isinstance(i, Parameter)):
        return False
    at = lambda x: f(*(x if c is None else c for c in rest))
    return any((at(x) != 0) != (x != 0) for x in spikes[0])


# -- sums -------------------------------------------------------------------------


def combined_form(ins: Sequence[Value], signs: Sequence[float]) -> Form | None:
    """A sum as coefficients of numbered values."""
    found: dict[int, float] = {}
    for value, sign in zip(ins, signs, strict=True):
        if isinstance(value, Parameter) and value.constant == 0:
            continue
        if value.number < 0 and value.form is None:
            return None
        for number, factor in value.linear:
            found[number] = found.get(number, 0.0) + sign * factor
    form = tuple(sorted((n, c) for n, c in found.items() if c))
    return form if len(form) <= MOST else None


MOST = 8  # longer forms are not followed


def straight_through(
    eqn: Any, ins: Sequence[Value], form: Form | None, ctx: Context
) -> Found | None:
    """A sum in which everything but spikes cancels."""
    if form is None or all(i.form is None for i in ins):
        return None
    if len(form) != 1 or form[0][1] != 1:
        return None
    root = ctx.numbered(form[0][0])
    if not isinstance(root, Events) or root.beside or root.axes.shape != ins[0].axes.shape:
        return None

    def there(ops: Operands) -> Any:
        value = magnitude(ops.outs[0])
        return value + jax.lax.stop_gradient(jnp.round(value) - value)

    out = root.but(beside=True, form=form, number=-1)
    return reborn(eqn, out, ctx, there)


@rule("add", "add_any", "sub", elementwise=True)
def _sum(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Sums: at one scale events stay events, at different scales they are analog."""
    a, b = ins
    minus = eqn.primitive.name == "sub"
    form = combined_form(ins, (1.0, -1.0 if minus else 1.0))
    found = straight_through(eqn, ins, form, ctx)
    if found is not None:
        return found
    for i, other in ((0, b), (1, a)):
        if isinstance(other, Parameter) and other.constant == 0 and not (minus and i == 1):
            return same(ins[i], i, form=form, axes=elementwise_axes(eqn, ins))
    found = merged_terms(eqn, ins, ctx)
    if found is None and all(isinstance(i, Events | Parameter) for i in ins):
        sign = -1 if minus else 1
        found = by_what_it_is(eqn, ins, ctx, added(ins, sign))
        found = found or (
            kept(eqn, ins, ctx, lambda x, y: x + sign * y) if _exact(ins, sign) else None
        )
        found = found or _one_scale(eqn, ins, ctx, minus)
    found = found or mixed(eqn, ins, ctx, _why_sum(a, b, minus), terms=_added_terms(ins))
    found = unrolled(eqn, found, ins, ctx)
    out = found.outs[0]
    beside = found.events or ((lambda ops: [_added(ops, out)]) if travels(out) else None)
    return found.but(outs=[out.but(form=form)], events=beside)


def by_what_it_is(
    eqn: Any, ins: Sequence[Value], ctx: Context, poly: Polynomial | None
) -> Found | None:
    """Spikes that occur several times in one expression: counted by the values it can have."""
    if poly is None:
        return None
    values = few(poly.values())
    if values is None or not values <= TERNARY or any(isinstance(i, Data) and i.terms for i in ins):
        return None
    return logical(eqn, ins, ctx, values, masks=False, poly=poly)


def _exact(ins: Sequence[Value], sign: int) -> bool:
    """Whether counting by what it is loses no event: {−1, 0, 1} in and out, or one operand."""
    spikes = [i for i in ins if isinstance(i, Events)]
    if any(s.terms or s.held for s in spikes):
        return False
    values = mapped(lambda x, y: x + sign * y, *(values_of(i) for i in ins))
    single = all(s.values is not None and s.values <= TERNARY for s in spikes)
    simple = values is not None and values <= TERNARY
    return (single and simple) or len(spikes) < len(ins)


def _one_scale(eqn: Any, ins: Sequence[Value], ctx: Context, minus: bool) -> Found | None:
    """Sums of events at one scale: the number of events adds up."""
    a, b = ins
    if not (isinstance(a, Events) and isinstance(b, Events)) or a.scale != b.scale or not a.scale:
        return None
    sign = -1 if minus else 1
    values = mapped(lambda x, y: x + sign * y, a.values, b.values)
    plain = a.plain and b.plain and not minus and a.nonneg and b.nonneg
    found = logical(eqn, ins, ctx, values, masks=False)
    out = found.outs[0]
    assert isinstance(out, Events)
    running = out.running | a.held | b.held
    poly = added(ins, sign)
    terms = _added_terms(ins)
    out = out.but(
        beside=not plain,
        scale=a.scale,
        nonneg=plain,
        running=running,
        terms=terms,
        values=values,
        poly=poly,
    )
    if found.births:  # counted by what it is
        return found
    return Found([out], events=(lambda ops: [_added(ops, out)]) if travels(out) else None)


def _added_terms(ins: Sequence[Value]) -> frozenset[Any]:
    """Terms of a sum; one-to-one scaling of a state ends where other data are added."""
    data = datas(ins)
    terms = frozenset().union(*(d.terms for d in data))
    return terms if len(data) < 2 else frozenset(t for t in terms if not t.decay)


def _added(ops: Operands, out: Value) -> Companions:
    """What travels beside a sum: everything that travelled beside its operands."""
    assert isinstance(out, Data)
    shape = ops.outs[0].shape
    both = [jnp.broadcast_to(ops.there(i), shape) for i in (0, 1)]
    if isinstance(out, Events):
        return {EVENTS: both[0] + both[1]}
    keys = {t.key for t in out.terms if not t.counted}
    return {k: sum(jnp.broadcast_to(ops.term(i, k), shape) for i in (0, 1)) for k in keys}


def _why_sum(a: Value, b: Value, minus: bool) -> str:
    word = "subtracted from" if minus else "added to"
    if isinstance(a, Events) and isinstance(b, Events):
        return f"events at another scale are {word} events"
    if isinstance(a, Parameter) or isinstance(b, Parameter):
        return f"a parameter is {word} spikes"
    return f"analog values are {word} spikes"


# -- products ---------------------------------------------------------------------


def _product_of_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    values = None
    if eqn.primitive.name == "mul":
        values = mapped(lambda x, y: x * y, *(values_of(i) for i in ins))
    return [parameter_of(ins, shape_of(eqn.outvars[0]), values=values)]


@rule("mul", "div", parameters=_product_of_parameters, elementwise=True)
def _product(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Products: spikes × spikes are spikes, scaling by a parameter changes no event."""
    a, b = ins
    divide = eqn.primitive.name == "div"
    if isinstance(a, Events) and isinstance(b, Events) and not divide:
        return _masked_events(eqn, ins, ctx)
    if isinstance(a, Events) and isinstance(b, Parameter):
        return _scaled(eqn, ins, ctx, 0, divide)
    if isinstance(b, Events) and isinstance(a, Parameter) and not divide:
        return _scaled(eqn, ins, ctx, 1, divide)
    form = None
    other = b if isinstance(b, Parameter) else a
    if isinstance(other, Parameter) and other.constant is not None and not divide:
        data = a if other is b else b
        form = tuple((n, c * other.constant) for n, c in data.linear) if data.number >= 0 else None
    inverse = divide and isinstance(a, Parameter)
    terms = frozenset() if inverse else scaled_terms(eqn, ins, divide)
    found = mixed(
        eqn, ins, ctx, "spikes are multiplied by an analog value", enters=False, terms=terms
    )
    source = _source(ins, divide)
    out = found.outs[0].but(form=form, **source)
    beside = (lambda ops: [thinned(ops, out)]) if travels(out) else None
    return found.but(outs=[out], events=beside)


def _source(ins: Sequence[Value], divide: bool) -> dict[str, Any]:
    """Scaling by a parameter keeps whose elements these are."""
    data = datas(ins)
    if len(data) != 1 or (divide and not isinstance(ins[0], Data)):
        return {}
    return dict(source=data[0].source, place=data[0].place)


def _masked_events(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    a, b = ins
    assert isinstance(a, Events)
    assert isinstance(b, Events)
    poly = multiplied(ins)
    values = mapped(lambda x, y: x * y, a.values, b.values)
    values = few(poly.values()) if poly is not None else values
    scales = [s for s in (a.scale, b.scale) if s != UNIT]
    scale = UNIT if not scales else scales[0] if len(scales) == 1 else None
    found = logical(eqn, ins, ctx, values, masks=True, scale=scale, poly=poly)
    out = found.outs[0]
    assert isinstance(out, Events)
    simple = values is not None and values <= TERNARY and scale == UNIT
    plain = simple or (a.plain and b.plain and scale == UNIT)
    terms = scaled_terms(eqn, ins, False)
    out = out.but(beside=not plain, nonneg=a.nonneg and b.nonneg, terms=terms)
    product = (lambda ops: [{EVENTS: ops.events(0) * ops.events(1)}]) if out.beside else None
    return found.but(outs=[out], events=product)


def _scaled(eqn: Any, ins: Sequence[Value], ctx: Context, i: int, divide: bool) -> Found:
    """Spikes times a parameter: other values, the same events, none where the factor is zero."""
    s, p = ins[i], ins[1 - i]
    assert isinstance(s, Events)
    assert isinstance(p, Parameter)
    axes = elementwise_axes(eqn, ins)
    op: Callable[[float, float], float] = (lambda x, y: x / y) if divide else (lambda x, y: x * y)
    values = mapped(op, s.values, p.values)
    poly = None if divide else multiplied(ins)
    changes: dict[str, Any] = dict(
        axes=axes, values=values, number=-1, form=None, nan_test=False, poly=poly
    )
    if p.is_mask and not divide:
        nonneg = s.nonneg
        out = s.but(**changes, nonneg=nonneg, terms=scaled_terms(eqn, ins, divide))
    else:
        out = s.but(**changes, **_rescaled(s, p, values, divide), **_leaf(eqn, ins, divide, axes))
    if p.constant == 1:
        out = out.but(number=s.number if s.axes.shape == axes.shape else -1, form=s.form)
    if not out.beside:
        return Found([out])
    everywhere = divide or bool(p.constant)
    if everywhere:
        shape = axes.shape
        return Found([out], events=lambda ops: [{EVENTS: jnp.broadcast_to(ops.events(i), shape)}])
    return Found([out], events=lambda ops: [{EVENTS: ops.events(i) * mask(ops.values[1 - i])}])


def _leaf(eqn: Any, ins: Sequence[Value], divide: bool, axes: Any) -> dict[str, Any]:
    return dict(terms=scaled_terms(eqn, ins, divide), weight=provenance(ins, axes))


def _rescaled(s: Events, p: Parameter, values: Values | None, divide: bool) -> dict[str, Any]:
    if values is not None and values <= TERNARY and s.scale is not None:
        return dict(scale=UNIT, beside=False, nonneg=min(values) >= 0 and not s.loose)
    if s.scale is None:
        return dict(scale=None, beside=True, nonneg=False)
    factor, symbols = s.scale
    if p.constant:
        factor = factor / abs(p.constant) if divide else factor * abs(p.constant)
        scale = (factor, symbols)
        nonneg = s.nonneg and p.constant > 0
    else:
        scale = (factor, tuple(sorted((*symbols, -p.number if divide else p.number))))
        nonneg = False
    plain = scale == UNIT and s.plain
    return dict(scale=scale, beside=not plain, nonneg=nonneg)


# -- values that pass ----------------------------------------------------------------


def _passes(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    return [i.but() for i in ins]


@rule(
    *"copy copy_p reduce_precision real device_put sharding_constraint mesh_cast reshard".split(),
    *"nonbatchable nontraceable optimization_barrier name pvary pcast copy_to_host_async".split(),
    *"stop_gradient reduced_vary_cast layout_constraint core_name".split(),
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
    outs = [i.but(number=-1, form=i.linear if i.number >= 0 else i.form) for i in ins]
    passing = range(len(ins))
    events = (lambda ops: [ops.companions(k) for k in passing]) if any(map(travels, outs)) else None
    return Found(outs, events=events)


def declared(eqn: Any, info: Value, ctx: Context) -> Found:
    """`joulax.spikes(x)`: the user says that these are spikes."""
    if not isinstance(info, Analog):
        return same(info, 0)
    return born(
        eqn, [info], ctx, "declared by joulax.spikes", values=SPIKE, nonneg=False, loose=True
    )


def _negated(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    values = mapped(lambda x: -x, values_of(ins[0]))
    return [parameter_of(ins, shape_of(eqn.outvars[0]), values=values)]


@rule("neg", parameters=_negated, elementwise=True)
def _neg(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    (x,) = ins
    form = tuple((n, -c) for n, c in x.linear) if x.number >= 0 or x.form is not None else None
    changes: dict[str, Any] = dict(number=-1, form=form)
    if isinstance(x, Events):
        changes |= dict(values=mapped(lambda v: -v, x.values), nonneg=False)
        if x.values is None and x.nonneg and not x.beside:
            changes |= dict(beside=False)
    return same(x, 0, **changes)


def _converted(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    (p,) = ins
    assert isinstance(p, Parameter)
    if eqn.params["new_dtype"] == jnp.bool_:
        return [p.but(values=mapped(lambda v: float(v != 0), p.values) or SPIKE)]
    whole = p.values is not None and all(v == int(v) for v in p.values)
    exact = whole or jnp.issubdtype(eqn.params["new_dtype"], jnp.inexact)
    return [p if exact else p.but(values=None, number=-1, form=None)]


@rule("convert_element_type", parameters=_converted, elementwise=True)
def _convert(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    (info,) = ins
    old, new = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    to_integer = jnp.issubdtype(new, jnp.integer) and jnp.issubdtype(old, jnp.inexact)
    if isinstance(info, Events):
        if new == jnp.bool_ and old != jnp.bool_:
            out = info.but(
                values=SPIKE, nonneg=True, beside=False, scale=UNIT, terms=frozenset(), loose=False
            )
            return Found([out.but(number=-1, form=None)])
        if not to_integer or (info.values is not None and all(v == int(v) for v in info.values)):
            return same(info, 0)
        return None
    if new == jnp.bool_:
        return born(eqn, ins, ctx, "whether a value is zero", weak=True)
    return mixed(eqn, ins, ctx, "rounding") if to_integer else same(info, 0)


# -- comparisons ------------------------------------------------------------------------

_COMPARE: dict[str, Callable[[float, float], float]] = {
    "gt": lambda x, y: float(x > y),
    "lt": lambda x, y: float(x < y),
    "ge": lambda x, y: float(x >= y),
    "le": lambda x, y: float(x <= y),
    "lt_to": lambda x, y: float(x < y),
    "le_to": lambda x, y: float(x <= y),
    "eq": lambda x, y: float(x == y),
    "ne": lambda x, y: float(x != y),
}


def _compared(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    values = mapped(_COMPARE[eqn.primitive.name], *(values_of(i) for i in ins))
    shape = shape_of(eqn.outvars[0])
    return [parameter_of(ins, shape, values=values if values is not None else SPIKE)]


@rule(*_COMPARE, parameters=_compared, elementwise=True)
def _comparison(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """A comparison is spikes: of the region compared, or of the values known."""
    name = eqn.primitive.name
    if all(isinstance(i, Events | Parameter) for i in ins):
        found = kept(eqn, ins, ctx, _COMPARE[name], truth=True)
        found = found or _above_zero(eqn, ins, ctx)
        if found is not None:
            return found
    equality = name in ("eq", "ne")
    weak = equality or is_integer(eqn.invars[0]) or all(d.random for d in datas(ins))
    weak = weak or ctx.backward
    text = "an equality" if equality else "a comparison turned into numbers"
    found = born(eqn, ins, ctx, text, weak=weak)
    out = found.outs[0]
    nan_test = name == "ne" and eqn.invars[0] is eqn.invars[1]
    return found.but(outs=[out.but(nan_test=nan_test)])


def _above_zero(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Whether there is any event at all."""
    a, b = ins
    name = eqn.primitive.name
    above = isinstance(b, Parameter) and b.constant == 0 and name in ("gt", "ne")
    below = isinstance(a, Parameter) and a.constant == 0 and name in ("lt", "ne", "lt_to")
    spikes = a if above else b if below else None
    if not isinstance(spikes, Events):
        return None
    fresh: dict[str, Any] = dict(terms=frozenset(), weight=None, number=-1, form=None)
    out = spikes.but(values=SPIKE, scale=UNIT, nonneg=True, beside=False, loose=False, **fresh)
    return Found([out])


# -- choices ----------------------------------------------------------------------------


def _selected(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    sets = [values_of(i) for i in ins[1:]]
    union: set[float] = set().union(*(s for s in sets if s is not None))
    values = few(union) if all(s is not None for s in sets) else None
    return [parameter_of(ins[1:], shape_of(eqn.outvars[0]), values=values)]


@rule("select_n", parameters=_selected, elementwise=True)
def _select(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """A choice: by parameters a mask, by spikes a product or a reset."""
    pred, *cases = ins
    forms = {c.linear if c.number >= 0 or c.form is not None else i for i, c in enumerate(cases)}
    if (
        len(forms) == 1
    ):  # what `vmap` makes of the operands of a branch: x, or x without its gradient
        return same(cases[-1], len(cases))
    if isinstance(pred, Events) and pred.nan_test and len(cases) == 2:
        return same(cases[0], 1)  # nobody spikes on NaN: that branch decides nothing
    kinds = {type(c) for c in cases}
    if kinds == {Parameter}:
        return _select_parameters(eqn, ins, ctx)
    if Analog not in kinds and all(_around_zero(c) for c in cases):
        return _select_events(eqn, ins, ctx)
    found = mixed(eqn, cases, ctx, "data select", terms=_added_terms(cases))
    out = found.outs[0].but(**_choice_axes(eqn, ins))
    beside = (lambda ops: [_chosen_terms(ops, out)]) if travels(out) else None
    return found.but(outs=[out], events=beside)


def _choice_axes(eqn: Any, ins: Sequence[Value]) -> dict[str, Any]:
    return dict(axes=elementwise_axes(eqn, [i for i in ins if len(i.axes)]))


def _around_zero(case: Value) -> bool:
    return isinstance(case, Events) or are_events(values_of(case))


def _chosen_terms(ops: Operands, out: Data) -> Companions:
    keys = {t.key for t in out.terms if not t.counted}
    shape, n = ops.outs[0].shape, len(ops.values) - 1
    choose = lambda many: jax.lax.select_n(ops.values[0], *many)
    return {
        k: choose([jnp.broadcast_to(ops.term(1 + i, k), shape) for i in range(n)]) for k in keys
    }


def _select_parameters(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """`where(spike, w, 0)` is spikes times w; other constants are only the values of a spike."""
    pred, *cases = ins
    values = [values_of(c) for c in cases]
    if isinstance(pred, Events) and all(v is not None and len(v) == 1 for v in values):
        numbers = [c.constant for c in cases]  # type: ignore[union-attr]
        found = kept(eqn, [pred], ctx, lambda x: numbers[int(x)]) if len(cases) == 2 else None
        if found is not None:
            return found
    if isinstance(pred, Events) and len(cases) == 2:
        zero = [isinstance(c, Parameter) and c.constant == 0 for c in cases]
        if any(zero):
            return _gated(eqn, ins, ctx, 1 - zero.index(True))
    return mixed(eqn, ins, ctx, "data select between parameters", enters=False)


def _gated(eqn: Any, ins: Sequence[Value], ctx: Context, chosen: int) -> Found:
    """A parameter where spikes say so, else zero."""
    pred, weight = ins[0], ins[1 + chosen]
    assert isinstance(pred, Events)
    assert isinstance(weight, Parameter)
    axes = elementwise_axes(eqn, [i for i in ins if len(i.axes)])
    out = pred.but(
        axes=axes,
        **(
            dict(values=weight.values or None, scale=UNIT, nonneg=True)
            if weight.is_mask
            else dict(values=None, scale=(1.0, (weight.number,)), nonneg=False)
        ),
        beside=not weight.is_mask,
        number=-1,
        form=None,
        terms=scaled_terms(eqn, [pred, weight], False),
    )
    if weight.is_mask:
        out = out.but(values=SPIKE)
        return Found([out])

    def events(ops: Operands) -> list[Companions]:
        there = ops.events(0) if chosen else 1 - ops.events(0)
        return [{EVENTS: there * mask(ops.values[1 + chosen])}]

    return Found([out], events=events)


def _select_events(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    pred, *cases = ins
    sets = [values_of(c) for c in cases]
    known = all(s is not None for s in sets)
    values = few(set().union(*(s for s in sets if s is not None))) if known else None
    masks = [pred] if isinstance(pred, Events) else []
    found = logical(eqn, [*cases, *masks], ctx, values, masks=True)
    out = found.outs[0]
    assert isinstance(out, Events)
    spikes = [c for c in cases if isinstance(c, Events)]
    scales = {c.scale for c in spikes}
    simple = values is not None and values <= TERNARY
    scale = UNIT if simple else scales.pop() if len(scales) == 1 else None
    plain = simple or (scale == UNIT and all(c.plain for c in spikes))
    out = out.but(
        scale=scale,
        beside=not plain,
        nonneg=all(s.nonneg for s in spikes) and all(min(values_of(c) or {0}) >= 0 for c in cases),
        terms=_added_terms(cases),
        **_choice_axes(eqn, ins),
    )
    if not out.beside:
        return found.but(outs=[out], events=None)

    def events(ops: Operands) -> list[Companions]:
        n = len(ops.values) - 1
        options = [jnp.broadcast_to(ops.events(1 + k), ops.outs[0].shape) for k in range(n)]
        return [{EVENTS: jax.lax.select_n(ops.values[0], *options)}]

    return found.but(outs=[out], events=events)


@rule("select_if_vmap", elementwise=True)
def _select_if_vmap(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Equinox's loops: the first value, or under `vmap` whichever the predicate says."""
    out = join(ins[1], ins[2])
    if not (isinstance(out, Events) and out.beside):
        return Found([out.but(number=-1, form=None)])
    choose = lambda ops: [{EVENTS: jnp.where(ops.values[0], ops.events(1), ops.events(2))}]
    return Found([out.but(number=-1, form=None)], events=choose)


# -- logic, extrema, functions -------------------------------------------------------------

_LOGIC: dict[str, Callable[..., float]] = {
    "and": lambda x, y: float(int(x) & int(y)),
    "or": lambda x, y: float(int(x) | int(y)),
    "xor": lambda x, y: float(int(x) ^ int(y)),
}


def _logic_of_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    boolean = eqn.outvars[0].aval.dtype == bool
    op = _LOGIC.get(eqn.primitive.name, lambda x: 1.0 - x)
    values = mapped(op, *(values_of(i) for i in ins)) if boolean else None
    values = SPIKE if boolean and values is None else values
    return [parameter_of(ins, shape_of(eqn.outvars[0]), values=values)]


@rule(*_LOGIC, "not", parameters=_logic_of_parameters, elementwise=True)
def _logic(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Boolean algebra of spikes is spikes."""
    if eqn.outvars[0].aval.dtype != bool:
        simple = all((v := values_of(i)) is not None and v <= SPIKE for i in ins)
        return kept(eqn, ins, ctx, _LOGIC[eqn.primitive.name]) if simple and len(ins) == 2 else None
    masks = eqn.primitive.name == "and"
    found = logical(eqn, ins, ctx, SPIKE, masks=masks)
    return found.but(outs=[found.outs[0].but(nonneg=True)])


@rule("max", "min", "clamp", elementwise=True)
def _extremum(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Larger or smaller: still events if the set of values stays small and keeps zero."""
    name = eqn.primitive.name
    op: Callable[..., float] = {
        "max": max,
        "min": min,
        "clamp": lambda low, x, high: min(max(x, low), high),
    }[name]
    if all(isinstance(i, Events | Parameter) for i in ins):
        found = kept(eqn, ins, ctx, op) or _clipped(eqn, ins, name)
        if found is not None:
            return found
    found = mixed(eqn, ins, ctx, "the extremum of spikes and something else")
    bound = any(isinstance(i, Parameter) and i.values and -math.inf in i.values for i in ins)
    return found if bound else fires(eqn, found, ctx)


def _clipped(eqn: Any, ins: Sequence[Value], name: str) -> Found | None:
    """Counts or scaled spikes, clipped by constants that keep zero."""
    spikes = [(i, s) for i, s in enumerate(ins) if isinstance(s, Events)]
    limits = [p for p in ins if isinstance(p, Parameter)]
    if len(spikes) != 1 or any(p.constant is None for p in limits):
        return None
    i, s = spikes[0]
    low = -math.inf if name == "min" else limits[0].constant
    high = math.inf if name == "max" else limits[-1].constant
    assert low is not None
    assert high is not None
    if low > 0 or high < 0:
        return None
    fresh: dict[str, Any] = dict(values=None, number=-1, form=None, nonneg=low >= 0 or s.nonneg)
    if s.scale == UNIT and s.plain and (s.nonneg or low >= 0):
        return Found([s.but(**fresh)])
    out = s.but(beside=True, **fresh)
    return Found([out], events=lambda ops: [{EVENTS: ops.events(i) * mask(ops.outs[0])}])


_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "sign": lambda x: float((x > 0) - (x < 0)),
    "square": lambda x: x * x,
    "round": lambda x: float(round(x)),
    "floor": lambda x: float(math.floor(x)),
    "ceil": lambda x: float(math.ceil(x)),
}


@rule(*sorted(set(OTHERS) | set(_FUNCTIONS)), elementwise=True)
def _function(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Functions of one value: of known values, or of counts; `sign` of anything is spikes."""
    name, x = eqn.primitive.name, ins[0]
    if isinstance(x, Events) and len(ins) == 1:
        power = eqn.params.get("y", 1)
        op = _FUNCTIONS.get(name, (lambda v: v**power) if name == "integer_pow" else None)
        found = kept(eqn, ins, ctx, op) if op else None
        if found is not None:
            return found
        if op and power > 0:
            out = x.but(values=None, beside=True, number=-1, form=None, nonneg=name == "abs")
            return Found([out], events=lambda ops: [{EVENTS: ops.events(0)}])
    if name == "sign":
        weak = is_integer(eqn.invars[0]) or ctx.backward
        return born(eqn, ins, ctx, "the sign of a value", values=TERNARY, nonneg=False, weak=weak)
    return mixed(eqn, ins, ctx, f"`{name}` of data")


@rule(*sorted(set(ACTIVATIONS) - {"max", "min", "clamp", "gt", "lt", "ge", "le"}), elementwise=True)
def _activation(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """A nonlinearity: its region is a population of neurons."""
    return fires(eqn, mixed(eqn, ins, ctx, f"`{eqn.primitive.name}` of data"), ctx)


def _iota(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    return [parameter_of((), shape_of(v)) for v in eqn.outvars]


@rule(
    *"iota rng_bit_generator rng_uniform random_seed random_bits random_wrap random_unwrap".split(),
    *"random_split random_fold_in threefry2x32 random_clone create_token empty empty2".split(),
    elementwise=True,
)
def _draw(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Random draws from a key that is data, and what has no operands."""
    cause = because(eqn, f"`{eqn.primitive.name}` of data")
    alone = all(d.random for d in datas(ins))
    outs = [Analog(_varied(v), cause=cause, random=alone) for v in eqn.outvars]
    return Found(outs)


def _varied(variable: Any) -> Any:
    return varied(shape_of(variable))
