"""Control flow: loops, branches and calls that contain jaxprs of their own."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from ._elementwise import birth_taps
from ._info import Info, Kind, Path, join
from ._rules import Operands, Outcome, because, called_from, magnitude, rule
from ._run import Runner, Taps, evaluate_one, merged, split


def _wants(infos: list[Info]) -> list[int]:
    """Which values travel with a companion."""
    return [i for i, info in enumerate(infos) if info.companion]


def _spread(infos: list[Info], companions) -> list:
    """Companions at the places of their values."""
    rest = iter(companions)
    return [next(rest) if info.companion else None for info in infos]


def _kept(infos: list[Info], companions: list) -> list:
    return [companions[i] for i in _wants(infos)]


# -- calls ---------------------------------------------------------------------


@rule("jit", "pjit", "closed_call", "core_call", "core_closed_call", "remat_call", "checkpoint", "remat2", "remat")
def _call(eqn, ins, ctx, path):
    inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
    with called_from(eqn, inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner):
        plan = ctx.analyse(inner, ins, (*path, 0), frame=ctx.frame)
    if plan.quiet:
        return Outcome(plan.outs)
    wrap = _checkpoint if "prevent_cse" in eqn.params else _jit

    def run(runner: Runner, values, events):
        numbers: Taps = {}

        def call(values, companions):
            outs, out_events, taps = runner.run(plan, values, _spread(ins, companions))
            arrays, numbers_ = split(taps)
            numbers.update(numbers_)
            return outs, _kept(plan.outs, out_events), arrays

        outs, companions, arrays = wrap(eqn, call)(values, _kept(ins, events))
        return outs, _spread(plan.outs, companions), merged(arrays, numbers)

    return Outcome(plan.outs, run=run, inner=[(plan, lambda k: k)])


def _jit(eqn, call):
    call.__name__ = eqn.params.get("name", "call")
    return jax.jit(call)


def _checkpoint(eqn, call):
    return jax.checkpoint(call, prevent_cse=eqn.params["prevent_cse"], policy=eqn.params["policy"])


@rule("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "custom_lin")
def _custom(eqn, ins, ctx, path):
    """The rule of the user stays; what is inside is only looked at, and its counts have no gradient."""
    inner = eqn.params.get("call_jaxpr", eqn.params.get("fun_jaxpr"))
    if inner is None:
        raise NotImplementedError(f"{eqn.primitive.name} without a jaxpr")
    plan = ctx.analyse(inner, ins, (*path, 0), frame=ctx.frame)
    outs, taps = [], []
    outside = {b for o in plan.outs for b in o.births if _once(ctx, b, path)}  # recorded where they leave
    for k, info in enumerate(plan.outs):
        info, more = _rehomed(eqn, info, ctx, (*path, 1, k), k, path)
        outs.append(info.but(form=None))
        taps += more
    within = any(p[: len(path)] == path for p in (*ctx.tables.sites, *(b for o in outs for b in o.births if b not in {t.path for t in taps})))
    if not within and not any(o.companion for o in outs):
        return Outcome(outs, taps=taps)

    def run(runner: Runner, values, events):
        stopped = jax.tree.map(jax.lax.stop_gradient, (values, events))
        _, companions, inside = runner.run(plan, *stopped)
        results = evaluate_one(plan.jaxpr, eqn, values)
        companions = [_sloped(c, v) if c is not None else None for c, v in zip(companions, results, strict=True)]
        ops = Operands(ins, values, events, results, None, {})
        own = {(t.path, t.field): t.value(ops) for t in taps}
        return results, companions, merged({k: v for k, v in inside.items() if k[0] not in outside}, own)

    return Outcome(outs, run=run, inner=[(plan, lambda k: k)])


def _sloped(events, value):
    """The events found inside, with the slope that the user's own rule gives the value."""
    slope = magnitude(value)
    return events + (slope - jax.lax.stop_gradient(slope))


def _once(ctx, birth: Path, path: Path) -> bool:
    """Whether spikes are born inside a call, and once each time it is called."""
    return birth[: len(path)] == path and ctx.tables.births[birth].frame == ctx.frame


def _rehomed(eqn, info: Info, ctx, place: Path, k: int, path: Path):
    """Spikes born inside a custom derivative are recorded outside, where their gradient is."""
    inside = {b for b in info.births if _once(ctx, b, path)}
    if not (info.kind == Kind.SPIKES and inside):
        return info, []
    owners = [ctx.tables.births[b].site for b in inside]
    repeated = next(ctx.tables.births[b].repeated for b in sorted(inside))
    ndim = len(eqn.outvars[k].aval.shape)
    ctx.born(place, [o for o in owners if o is not None], eqn, repeated if len(repeated) == ndim else (False,) * ndim)
    info = info.but(births=(info.births - inside) | {place}, cause=because(eqn, "spikes of a surrogate gradient"))
    return info, birth_taps(ctx, info, place, k)


# -- loops ---------------------------------------------------------------------


def _sliced(info: Info, path: Path, length: int) -> Info:
    """What a scan hands to one step."""
    layered = info.layered or ((path, length) if info.kind == Kind.PARAMETER else None)
    return info.but(axes=info.axes[1:], layered=layered, form=None)


def _stacked(info: Info) -> Info:
    """What a scan collects over its steps: the new axis is time."""
    return info.but(axes=(info.kind != Kind.SPIKES or info.pending, *info.axes), form=None, layered=None)


def _entering(info: Info) -> Info:
    """A carry at the start of a step: whatever fed it was fed before."""
    return info.but(fresh=frozenset(), form=None)


def _joined(old: list[Info], new: list[Info]) -> list[Info]:
    return [_entering(join(a, b)) for a, b in zip(old, new, strict=True)]


def _claim_state(ctx, plan, carry) -> None:
    """A carried state makes its region a population of neurons, also without a nonlinearity."""
    with ctx._inside(plan):
        for var, info in zip(plan.jaxpr.outvars, carry, strict=False):
            if info.kind == Kind.ANALOG and info.fresh:
                ctx.claim(info.fresh, var.aval.shape, info.axes)


@rule("scan")
def _scan(eqn, ins, ctx, path):
    p = eqn.params
    consts, carry = p["num_consts"], p["num_carry"]
    fixed, start, rest = ins[:consts], ins[consts : consts + carry], [_sliced(i, path, p["length"]) for i in ins[consts + carry :]]

    stepped = ctx.keeps_steps(path, p["length"])

    def once(state):
        plan = ctx.analyse(p["jaxpr"], [*fixed, *state, *rest], (*path, 0))
        _claim_state(ctx, plan, plan.outs[:carry])
        return plan, plan.outs[:carry]

    plan, state = ctx.fixpoint(once, [_entering(i) for i in start], _joined)
    inner = [*fixed, *state, *rest]
    leaving = [i.but(fresh=plan.outs[k].fresh) for k, i in enumerate(state)] + [_stacked(i) for i in plan.outs[carry:]]
    frame_used = any(c.frame == plan.frame for c in ctx.tables.claims.values())
    if plan.quiet and not frame_used and not any(i.companion for i in leaving):
        return Outcome(leaving)

    def place(k: int) -> int | None:
        return k if k < consts or _forwarded(plan, consts, carry, k) else None

    def run(runner: Runner, values, events):
        runner, early = runner.hoisting(plan, lambda k: values[k] if place(k) is not None else None)
        events = runner.events(ins, inner, values, events)
        numbers: Taps = {}

        def body(c, x):
            vs = [*values[:consts], *c[0], *x[0]]
            es = [*events[:consts], *_spread(state, c[1]), *_spread(rest, x[1])]
            outs, out_events, taps = runner.run(plan, vs, es)
            out_events = runner.events(plan.outs, [*state, *plan.outs[carry:]], outs, out_events)
            arrays, numbers_ = split(taps)
            numbers.update(numbers_)
            ys = (outs[carry:], _kept(plan.outs[carry:], out_events[carry:]), arrays)
            return (outs[:carry], _kept(state, out_events[:carry])), ys

        c0 = (list(values[consts : consts + carry]), _kept(state, events[consts : consts + carry]))
        x = (list(values[consts + carry :]), _kept(rest, events[consts + carry :]))
        c, (ys, y_events, arrays) = jax.lax.scan(body, c0, x, length=p["length"], reverse=p["reverse"], unroll=p["unroll"])
        taps = {k: _over_steps(ctx, k, v, path, stepped) for k, v in arrays.items()}
        taps |= {k: _repeated(ctx, k, n, path, p["length"], stepped) for k, n in numbers.items()}
        out_events = [*_spread(state, c[1]), *_spread(plan.outs[carry:], y_events)]
        return [*c[0], *ys], out_events, merged(taps, early)

    return Outcome(leaving, run=run, inner=[(plan, place)])


def _forwarded(plan, consts: int, carry: int, k: int) -> bool:
    """Whether carry k leaves every step as it came."""
    inside = consts <= k < consts + carry
    return inside and plan.jaxpr.outvars[k - consts] is plan.jaxpr.invars[k]


def _layered(ctx, path: Path) -> Path | None:
    item = ctx.tables.sites.get(path) or ctx.tables.births.get(path)
    return item.layered[0] if item and item.layered else None


def _over_steps(ctx, key, value, path: Path, stepped: bool):
    """Counts of all steps: summed over time unless they are kept, apart over layers, whose axis is the last."""
    if _layered(ctx, key[0]) == path:
        return jnp.moveaxis(value, 0, -1)
    if key[1] == "nonzero":
        return value[-1]
    return value if stepped else value.sum(axis=0)


def _repeated(ctx, key, number: float, path: Path, length: int, stepped: bool):
    if _layered(ctx, key[0]) == path or stepped:
        return jnp.full((length,), number, jnp.float32)
    return number * length


@rule("while")
def _while(eqn, ins, ctx, path):
    p = eqn.params
    nc, nb = p["cond_nconsts"], p["body_nconsts"]
    tests, fixed, start = ins[:nc], ins[nc : nc + nb], ins[nc + nb :]

    def once(state):
        ctx.analyse(p["cond_jaxpr"], [*tests, *state], (*path, 0))
        plan = ctx.analyse(p["body_jaxpr"], [*fixed, *state], (*path, 1))
        _claim_state(ctx, plan, plan.outs)
        return plan, plan.outs

    plan, state = ctx.fixpoint(once, [_entering(i) for i in start], _joined)
    frame_used = any(c.frame == plan.frame for c in ctx.tables.claims.values())
    if plan.quiet and not frame_used and not any(i.companion for i in state):
        return Outcome(state)

    def place(k: int) -> int | None:
        return nc + k if k < nb or _forwarded(plan, nb, len(start), k) else None

    def run(runner: Runner, values, events):
        runner, early = runner.hoisting(plan, lambda k: values[nc + k] if place(k) is not None else None)
        events = runner.events(ins, [*tests, *fixed, *state], values, events)
        test = jaxpr_as_fun(p["cond_jaxpr"])

        def step(c):
            outs, out_events, taps = runner.run(plan, [*values[nc : nc + nb], *c[0]], [*events[nc : nc + nb], *_spread(state, c[1])])
            out_events = runner.events(plan.outs, state, outs, out_events)
            arrays = {k: jnp.asarray(v, jnp.float32) for k, v in taps.items()}
            return (outs, _kept(state, out_events)), arrays

        c0 = (list(values[nc + nb :]), _kept(state, events[nc + nb :]))
        zero = jax.tree.map(lambda a: (jnp.zeros(a.shape, a.dtype),) * 2, jax.eval_shape(step, c0)[1])

        def body(c):
            state_, arrays = step(c[0])
            return state_, {k: _compensated(k, c[1][k], v) for k, v in arrays.items()}

        (outs, companions), sums = jax.lax.while_loop(lambda c: test(*values[:nc], *c[0][0])[0], body, (c0, zero))
        taps = {k: v[0] + v[1] for k, v in sums.items()}
        return outs, _spread(state, companions), merged(taps, early)

    return Outcome(state, run=run, inner=[(plan, place)])


def _compensated(key, pair, value):
    """Kahan's sum, so that a long loop does not stop at 2²⁴; `nonzero` is replaced, not added."""
    total, lost = pair
    if key[1] == "nonzero":
        return value, jnp.zeros_like(lost)
    y = value + lost
    new = total + y
    return new, y - (new - total)


# -- branches -------------------------------------------------------------------


@rule("cond")
def _cond(eqn, ins, ctx, path):
    index, *rest = ins
    plans = [ctx.analyse(b, rest, (*path, i)) for i, b in enumerate(eqn.params["branches"])]
    outs = plans[0].outs
    for plan in plans[1:]:
        outs = [join(a, b) for a, b in zip(outs, plan.outs, strict=True)]
    if index.kind != Kind.PARAMETER:
        cause = because(eqn, "a branch chosen by data")
        outs = [Info(Kind.ANALOG, o.axes, cause) if o.kind == Kind.PARAMETER else o for o in outs]
    frames = {plan.frame for plan in plans}
    if all(plan.quiet for plan in plans) and not any(c.frame in frames for c in ctx.tables.claims.values()) and not any(o.companion for o in outs):
        return Outcome(outs)

    def run(runner: Runner, values, events):
        def branch(plan):
            def call(values, companions):
                results, out_events, taps = runner.run(plan, values, _spread(rest, companions))
                out_events = runner.events(plan.outs, outs, results, out_events)
                return results, _kept(outs, out_events), {k: jnp.asarray(v, jnp.float32) for k, v in taps.items()}

            return call

        args = (list(values[1:]), _kept(rest, events[1:]))
        shapes: dict[Any, Any] = {}
        for plan in plans:
            shapes |= jax.eval_shape(branch(plan), *args)[2]

        def complete(plan):
            def call(*args):
                results, companions, taps = branch(plan)(*args)
                return results, companions, {k: taps.get(k, jnp.zeros(s.shape, s.dtype)) for k, s in shapes.items()}

            return call

        results, companions, taps = jax.lax.switch(values[0], [complete(p) for p in plans], *args)
        return results, _spread(outs, companions), taps

    return Outcome(outs, run=run, inner=[(plan, lambda k: k + 1) for plan in plans])
