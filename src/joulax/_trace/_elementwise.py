"""Elementwise primitives: which keep spikes, which make spikes, which make analog."""

import functools

import jax
import jax.numpy as jnp

from ._info import Info, Kind, Path, join, parameter
from ._rules import Operands, Outcome, Rule, Tap, analog, because, events_of, graded, magnitude, rule

NONLINEAR = """
abs acos acosh and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp cos cosh digamma bitcast_convert_type complex conj imag
erf erf_inv erfc exp exp2 expm1 floor igamma igammac integer_pow is_finite lgamma log log1p logistic
max min nextafter not unvmap_all unvmap_any unvmap_max or polygamma pow population_count clz random_gamma_grad regularized_incomplete_beta
rem round rsqrt shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square tan tanh xor zeta
""".split()


def elementwise(*primitives: str):
    """Register a rule whose operands may be scalars beside arrays: it sees them with the axes of the result."""

    def register(function: Rule) -> Rule:
        @functools.wraps(function)
        def leveled(eqn, ins, ctx, path):
            ndim = len(eqn.outvars[0].aval.shape)
            return function(eqn, [i if len(i.axes) == ndim or i.axes else i.but(axes=(False,) * ndim) for i in ins], ctx, path)

        return rule(*primitives)(leveled)

    return register


def parameters(eqn, ins: list[Info]) -> Info:
    """Result of arithmetic on parameters: it derives from the largest leaf, and varies where any operand varies."""
    shape = eqn.outvars[0].aval.shape
    flags = [i.axes for i in ins if len(i.axes) == len(shape)]
    axes = tuple(any(column) for column in zip(*flags, strict=True)) if flags else (False,) * len(shape)
    owner = max((i for i in ins if i.leaf is not None), key=lambda i: sum(i.axes), default=None)
    layered = next((i.layered for i in ins if i.layered), None)
    return Info(Kind.PARAMETER, axes=axes, leaf=owner.leaf if owner else None, layered=layered)


def forms(eqn, ins: list[Info], signs: tuple[int, int]) -> tuple | None:
    """Linear form of a sum, with `stop_gradient` read as the identity."""
    total: dict[int, int] = {}
    for var, info, sign in zip(eqn.invars, ins, signs, strict=True):
        for root, c in info.form or ((id(var), 1),):
            total[root] = total.get(root, 0) + sign * c
    kept = tuple(sorted((r, c) for r, c in total.items() if c))
    return kept if len(kept) <= 4 else None


def straight_through(eqn, ctx, ins: list[Info], form) -> Outcome | None:
    """`stop_gradient(a − b) + b` has the kind and the events of `a`, and the gradient of the sum."""
    if not form or len(form) != 1 or form[0][1] != 1 or not any(i.form for i in ins):
        return None
    root = ctx.roots.get(form[0][0])
    if root is None or not ctx.info(root).spiking:
        return None
    info = ctx.info(root)

    def events(ops: Operands):
        forward = ops.extra
        out = ops.outs[0].astype(jnp.float32)
        return [out + jax.lax.stop_gradient(forward - out)]

    return Outcome([info.but(companion=True, form=form, fresh=frozenset())], events, extra=root)


@elementwise("add", "add_any", "sub")
def _sum(eqn, ins, ctx, path):
    a, b = ins
    minus = eqn.primitive.name == "sub"
    form = forms(eqn, ins, (1, -1 if minus else 1))
    if a.kind == b.kind == Kind.PARAMETER:
        return Outcome([parameters(eqn, ins)])
    found = straight_through(eqn, ctx, ins, form)
    if found:
        return found
    for i, other in ((0, b), (1, a)):
        if other.kind == Kind.PARAMETER and other.const == 0 and not (minus and i == 1):
            return same(ins[i], form, i)
    if a.spiking and b.spiking:
        plain = not (a.companion or b.companion or minus) and (a.nonneg or a.unit) and (b.nonneg or b.unit)
        info = join(a, b).but(unit=False, nonneg=plain, companion=not plain, form=form)
        return Outcome([info], None if plain else lambda ops: [ops.events(0) + ops.events(1)])
    info = analog(eqn, ins, ctx, _why_sum(a, b, minus)).but(form=form)
    if ctx.unrolled_state(a, b):  # the same layer, added over unrolled steps: each step updates its neurons
        for operand in ins:
            ctx.claim(operand.fresh, eqn.outvars[0].aval.shape, info.axes)
    return Outcome([info])


def _why_sum(a: Info, b: Info, minus: bool) -> str:
    word = "subtracted from" if minus else "added to"
    if Kind.PARAMETER in (a.kind, b.kind):
        return f"a nonzero parameter is {word} spikes" if not (minus and a.kind == Kind.PARAMETER) else "1 − s: spikes are subtracted from a parameter"
    return f"analog values are {word} spikes"


def same(info: Info, form=None, i: int = 0) -> Outcome:
    """The value passes unchanged."""
    return Outcome([info.but(form=form, nan_test=False)], (lambda ops: [ops.events(i)]) if info.companion else None)


@elementwise("mul", "div")
def _product(eqn, ins, ctx, path):
    a, b = ins
    divide = eqn.primitive.name == "div"
    if a.kind == b.kind == Kind.PARAMETER:
        const = a.const * b.const if not divide and None not in (a.const, b.const) else None
        return Outcome([parameters(eqn, ins).but(const=const, unit=a.unit and b.unit and not divide)])
    if a.spiking and b.spiking and not divide:
        plain = not (a.companion or b.companion)
        info = join(a, b).but(unit=a.unit and b.unit, nonneg=a.nonneg and b.nonneg, companion=not plain)
        return Outcome([info], None if plain else lambda ops: [ops.events(0) * ops.events(1)])
    if a.spiking and b.kind == Kind.PARAMETER:
        return _scaled(a, b, 0, 1, divide)
    if b.spiking and a.kind == Kind.PARAMETER and not divide:
        return _scaled(b, a, 1, 0, divide)
    data = [i for i in ins if i.kind != Kind.PARAMETER]
    linear = len(data) == 1 and not (divide and ins[0].kind == Kind.PARAMETER)
    return Outcome([analog(eqn, ins, ctx, "spikes are multiplied by an analog value")], nonlinear=not linear)


def _scaled(s: Info, p: Info, i: int, j: int, divide: bool) -> Outcome:
    """Spikes times a parameter: other values, the same events, none where the factor is zero."""
    if p.unit and not divide:  # a mask
        events = (lambda ops: [ops.events(i) * ops.events(j)]) if s.companion else None
        return Outcome([s.but(form=None)], events)
    if p.const in (1.0, -1.0):
        return same(s.but(unit=s.unit and p.const == 1, nonneg=s.nonneg and p.const == 1), None, i)
    varies = p.const is None and any(p.axes)
    old = s.axes if s.weighted else (False,) * len(s.axes)
    axes = tuple(x or y for x, y in zip(old, p.axes, strict=True)) if varies else old
    info = s.but(companion=True, unit=False, nonneg=False, form=None, axes=axes)
    info = info.but(weighted=s.weighted or varies, weight=p.leaf if varies else s.weight)
    keep_all = divide or bool(p.const)
    return Outcome([info], lambda ops: [ops.events(i) if keep_all else ops.events(i) * ops.events(j)])


@elementwise(
    "neg",
    "copy",
    "copy_p",
    "stop_gradient",
    "reduce_precision",
    "optimization_barrier",
    "real",
    "name",
    "device_put",
    "sharding_constraint",
    "nonbatchable",
    "nontraceable",
)
def _unchanged(eqn, ins, ctx, path):
    name = eqn.params.get("name")
    if name == "joulax.spikes":
        return declared(eqn, ins[0], ctx, path)
    if name == "joulax.synapses" and ins[0].spiking:
        return ctx.synapses(eqn, ins[0], path)
    outs = [i.but(nonneg=False, unit=False, const=None) if eqn.primitive.name == "neg" else i for i in ins]
    outs = [i.but(form=i.form or ((id(v), 1),)) if eqn.primitive.name == "stop_gradient" else i.but(form=None) for i, v in zip(outs, eqn.invars, strict=True)]
    events = (lambda ops: [ops.events(k) if i.companion else None for k, i in enumerate(outs)]) if any(i.companion for i in outs) else None
    return Outcome(outs, events)


def declared(eqn, info: Info, ctx, path: Path) -> Outcome:
    """`joulax.spikes(x)`: the user says that these are spikes."""
    if info.kind != Kind.ANALOG and not info.pending:
        return same(info)
    return birth(eqn, [info], ctx, path, unit=False, text="declared by joulax.spikes")


def birth(eqn, ins: list[Info], ctx, path: Path, *, unit: bool, text: str, counted: bool = False) -> Outcome:
    """Spikes are born here; they belong to the region that was compared."""
    sites = frozenset().union(*(i.sites for i in ins))
    axes = (False,) * len(eqn.outvars[0].aval.shape)
    ctx.born(path, sites, eqn, ins[0].axes if len(ins[0].axes) == len(axes) else axes)
    info = Info(Kind.SPIKES, axes, because(eqn, text), births=frozenset({path}), unit=unit, nonneg=unit, companion=counted)
    events = (lambda ops: [once(ops.outs[0])]) if counted else None
    return Outcome([info], events, birth_taps(ctx, info, path))


def once(value: jax.Array) -> jax.Array:
    """One event where a value is nonzero, with the slope of min(|value|, 1)."""
    return graded(magnitude(value))


def birth_taps(ctx, info: Info, path: Path, k: int = 0) -> list[Tap]:
    """Record the spikes of output k; both conventions are one array where spikes are 0 or 1."""

    def events(ops: Operands):
        return events_of(info, ops.outs[k], once(ops.outs[k]) if info.companion else None)

    repeated = ctx.tables.births[path].repeated
    taps = [Tap(path, "spikes", lambda ops: ctx.summed(path, events(ops), repeated))]
    several = not (info.unit or info.companion)
    return [*taps, Tap(path, "spikes_graded", lambda ops: ctx.summed(path, graded(events(ops)), repeated))] if several else taps


@elementwise("gt", "lt", "ge", "le", "lt_to", "le_to")
def _comparison(eqn, ins, ctx, path):
    a, b = ins
    if a.kind == b.kind == Kind.PARAMETER:
        return Outcome([parameters(eqn, ins).but(unit=True, nonneg=True)])
    strict_above = (a.spiking and b.const == 0 and eqn.primitive.name == "gt") or (b.spiking and a.const == 0 and eqn.primitive.name == "lt")
    if strict_above:
        s = a if a.spiking else b
        return Outcome([Info(Kind.SPIKES, (False,) * len(s.axes), s.cause, births=s.births, unit=True, nonneg=True)])
    info = analog(eqn, ins, ctx, "a comparison").but(kind=Kind.SPIKES, pending=True, unit=True, nonneg=True)
    return Outcome([info], nonlinear=True)


@elementwise("eq", "ne")
def _equality(eqn, ins, ctx, path):
    a, b = ins
    if a.kind == b.kind == Kind.PARAMETER:
        return Outcome([parameters(eqn, ins).but(unit=True, nonneg=True)])
    if eqn.primitive.name == "ne" and any(s.spiking and o.const == 0 for s, o in ((a, b), (b, a))):
        s = a if a.spiking else b
        return Outcome([Info(Kind.SPIKES, (False,) * len(s.axes), s.cause, births=s.births, unit=True, nonneg=True)])
    info = analog(eqn, ins, ctx, "an equality of data, which is no spike")
    return Outcome([info.but(nan_test=eqn.primitive.name == "ne" and eqn.invars[0] is eqn.invars[1])])


@elementwise("convert_element_type")
def _convert(eqn, ins, ctx, path):
    (info,) = ins
    if info.pending:
        return birth(eqn, ins, ctx, path, unit=True, text="a comparison turned into numbers")
    if info.spiking and eqn.params["new_dtype"] == jnp.bool_:
        return Outcome([info.but(unit=True, nonneg=True, companion=False)])
    return same(info.but(axes=info.axes), info.form)


@elementwise("select_n")
def _select(eqn, ins, ctx, path):
    pred, *cases = ins
    same_value = len({i.form or ((id(v), 1),) for i, v in zip(cases, eqn.invars[1:], strict=True)}) == 1
    if same_value:  # what `vmap` makes of the operands of a branch: x, or x without its gradient
        return same(cases[-1], None, len(cases))
    if pred.nan_test and len(cases) == 2:
        cases = cases[:1]  # nobody spikes on NaN: that branch decides nothing
    kind = max(c.kind for c in cases)
    if kind == Kind.PARAMETER and pred.kind == Kind.PARAMETER:
        return Outcome([parameters(eqn, [c for c in ins if len(c.axes) == len(eqn.outvars[0].aval.shape)])])
    if kind == Kind.PARAMETER and pred.nan_test:
        return Outcome([cases[0].but(form=None)])
    if kind == Kind.PARAMETER and pred.kind == Kind.SPIKES:
        return _select_parameters(eqn, pred, cases, ctx, path)
    if kind == Kind.SPIKES and not any(c.pending for c in cases):
        return _select_spikes(eqn, ins, cases)
    if kind == Kind.SPIKES:  # masks of comparisons stay comparisons
        info = analog(eqn, ins, ctx, "a comparison").but(kind=Kind.SPIKES, pending=True, unit=True, nonneg=True)
        return Outcome([info])
    return Outcome([analog(eqn, ins, ctx, "data select between parameters")], nonlinear=pred.kind != Kind.PARAMETER)


def _select_parameters(eqn, pred: Info, cases: list[Info], ctx, path: Path) -> Outcome:
    """`where(spike, w, 0)` is spikes times w; other constants are only the values of a spike."""
    unit = all(c.unit for c in cases)
    weight = next((c for c in cases if c.const is None and any(c.axes)), None) if any(c.const == 0 for c in cases) else None
    info, taps = pred.but(unit=unit, nonneg=unit, companion=not unit, form=None), []
    source = ctx.unbroadcast(eqn.invars[0])
    if pred.pending:
        made = birth(eqn, [pred], ctx, path, unit=unit, text="a comparison that selects between parameters", counted=not unit)
        info, taps = made.infos[0], [Tap(path, "spikes", lambda ops: ctx.summed(path, ops.extra, (False,) * ops.extra.ndim))]
    if weight is not None and not weight.unit:
        info = info.but(axes=weight.axes, weighted=True, weight=weight.leaf)
    return Outcome([info], None if unit else lambda ops: [once(ops.outs[0])], taps, extra=source if taps else None)


def _select_spikes(eqn, ins, cases) -> Outcome:
    info = cases[0]
    for case in cases[1:]:
        info = join(info, case)
    shape = eqn.outvars[0].aval.shape
    if not info.companion:
        return Outcome([info.but(form=None)])

    def events(ops: Operands):
        options = [jnp.broadcast_to(ops.events(1 + k), shape) for k in range(len(ins) - 1)]
        return [jax.lax.select_n(ops.values[0], *options)]

    return Outcome([info.but(form=None)], events)


@elementwise("select_if_vmap")
def _select_if_vmap(eqn, ins, ctx, path):
    """Equinox's loops: the first value, or under `vmap` whichever the predicate says."""
    info = join(ins[1], ins[2]) if not any(i.pending for i in ins[1:]) else ins[1]
    if not info.companion:
        return Outcome([info.but(form=None)])
    return Outcome([info.but(form=None)], lambda ops: [jnp.where(ops.values[0], ops.events(1), ops.events(2))])


@elementwise("and", "or", "xor", "not")
def _logic(eqn, ins, ctx, path):
    name = eqn.primitive.name
    if all(i.kind == Kind.PARAMETER for i in ins):
        return Outcome([parameters(eqn, ins).but(unit=eqn.outvars[0].aval.dtype == jnp.bool_)])
    if any(i.pending for i in ins):
        info = analog(eqn, ins, ctx, "a comparison").but(kind=Kind.SPIKES, pending=True, unit=True, nonneg=True)
        return Outcome([info])
    spikes = [i for i in ins if i.spiking]
    if spikes and (name == "and" or (name == "or" and all(i.kind != Kind.ANALOG for i in ins))):
        births = frozenset().union(*(i.births for i in spikes))
        return Outcome([Info(Kind.SPIKES, (False,) * len(spikes[0].axes), spikes[0].cause, births=births, unit=True, nonneg=True)])
    return Outcome([analog(eqn, ins, ctx, "the complement or the parity of spikes")], nonlinear=True)


@elementwise("max", "min")
def _extremum(eqn, ins, ctx, path):
    a, b = ins
    if a.kind == b.kind == Kind.PARAMETER:
        return Outcome([parameters(eqn, ins)])
    for i, other in ((0, b), (1, a)):
        s = ins[i]
        if s.spiking and other.const == 0 and (s.unit or s.nonneg) and eqn.primitive.name == "max":
            return same(s, None, i)
        if s.spiking and other.const == 0:  # the rectified part of signed or scaled spikes
            return Outcome([s.but(companion=True, form=None)], lambda ops, i=i: [ops.events(i) * (ops.outs[0] != 0)])
    if a.spiking and b.spiking and a.unit and b.unit:
        return Outcome([join(a, b).but(form=None)])
    return Outcome([analog(eqn, ins, ctx, "the extremum of spikes and something else")], nonlinear=True)


@elementwise("abs", "sign", "square", "integer_pow")
def _magnitude(eqn, ins, ctx, path):
    (s,) = ins
    if s.kind == Kind.PARAMETER:
        return Outcome([parameters(eqn, ins).but(unit=s.unit)])
    if s.spiking and eqn.params.get("y", 1) > 0:
        companion = not s.unit and (s.companion or eqn.primitive.name != "abs")
        return Outcome([s.but(companion=companion, form=None)], (lambda ops: [ops.events(0)]) if companion else None)
    return Outcome([analog(eqn, ins, ctx, f"`{eqn.primitive.name}` of spikes")], nonlinear=True)


@elementwise(*sorted(set(NONLINEAR) - {"and", "or", "xor", "not", "max", "min", "abs", "sign", "square", "integer_pow"}))
def _nonlinear(eqn, ins, ctx, path):
    if all(i.kind == Kind.PARAMETER for i in ins):
        return Outcome([parameters(eqn, ins)])
    return Outcome([analog(eqn, ins, ctx, f"`{eqn.primitive.name}` of spikes")], nonlinear=True)


@elementwise(
    "iota", "rng_bit_generator", "random_seed", "random_bits", "random_wrap", "random_unwrap", "random_split", "random_fold_in", "threefry2x32", "random_clone"
)
def _source(eqn, ins, ctx, path):
    if all(i.kind == Kind.PARAMETER for i in ins):
        return Outcome([parameter(v.aval.shape) for v in eqn.outvars])
    info = analog(eqn, ins, ctx, f"`{eqn.primitive.name}` of data")
    return Outcome([info.but(axes=(False,) * len(v.aval.shape)) for v in eqn.outvars])
