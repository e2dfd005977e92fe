"""Sums: events add up, weighted sums written by hand are sites."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from ..axes import IDLE, VARIES, WEIGHT, Axes, delivered
from ..events import mask
from ..exact import MANY
from ..findings import EVENTS, Companions, Context, Found, Operands, Site, Tap
from ..kinds import SPIKE, ZERO, Analog, Data, Events, Parameter, Term, Value, varied
from ..labels import settled
from ..pair import Pair
from ..places import NONE, union
from .births import mixed
from .contents import arrived
from .hand import at_most, positions
from .pairs import pair_axes, pair_site
from .products import current
from .registry import because, data_of, parameter_of, part, rule, shape_of, site_of, travelling
from .sets import values_of
from .terms import accounted, brought, grouped, lookups


def again(eqn: Any, *operands: Any) -> list[Array]:
    """Run the same primitive on other operands.

    Events, which are float32 whatever the values are.
    """
    name, p = eqn.primitive.name, eqn.params
    if name in _SCATTERS:  # their parameters hold a jaxpr for one dtype
        operand, indices, updates = operands
        hints = {k: p[k] for k in ("indices_are_sorted", "unique_indices", "mode")}
        return [_SCATTERS[name](operand, indices, updates, p["dimension_numbers"], **hints)]
    if name == "reduce_window":
        zero = jnp.zeros((), operands[0].dtype)
        shape = {k: p[k] for k in ("base_dilation", "window_dilation")}
        window = (p["window_dimensions"], p["window_strides"], p["padding"])
        return [lax.reduce_window(operands[0], zero, lax.add, *window, **shape)]
    out = eqn.primitive.bind(*operands, **p)
    return list(out) if eqn.primitive.multiple_results else [out]


_SCATTERS: dict[str, Callable[..., Array]] = {
    "scatter": lax.scatter,
    "scatter-add": lax.scatter_add,
    "scatter_add": lax.scatter_add,
    "scatter-sub": lax.scatter_add,
    "scatter_sub": lax.scatter_add,
}


def _reduced_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    values = ZERO if values_of(ins[0]) == ZERO else None
    return [parameter_of(ins[:1], shape_of(eqn.outvars[0]), values=values)]


def summed_axes(eqn: Any) -> list[int]:
    """Axes over which a reduction adds."""
    params = eqn.params
    if "axes" in params:
        return [int(a) for a in params["axes"]]
    if "axis" in params:
        return [int(params["axis"])]
    return [a for a, size in enumerate(params["window_dimensions"]) if size > 1]


def reduced_axes(eqn: Any, axes: Axes) -> Axes:
    """Axes of the result of a reduction, a scan along an axis, or a window."""
    shape = shape_of(eqn.outvars[0])
    if "axes" in eqn.params and len(shape) < len(axes):
        return axes.without([int(a) for a in eqn.params["axes"]])
    return axes.resized(shape)


@rule(
    *"reduce_sum cumsum reduce_window_sum".split(),
    parameters=_reduced_parameters,
)
def _reduce(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Sums of events are events; sums of leaf × data along both are synapses."""
    return sum_over(eqn, ins[0], ctx, summed_axes(eqn))


def sum_over(eqn: Any, info: Value, ctx: Context, axes: Sequence[int]) -> Found:
    """The sum of a value along some axes."""
    assert isinstance(info, Data)
    found = brought(info.terms, axes)
    if found:
        return hand_sum(eqn, info, ctx, found)
    added = _added(eqn, info, axes)
    if isinstance(info, Events) and _is_uneven(info, axes, ctx):
        cause = because(eqn, "events at different scales are summed")
        out = data_of(added)
        strong = frozenset(b.path for b in ctx.births(out.births) if not b.weak)
        fields: dict[str, Any] = dict(births=strong, held=out.held, size=out.size)
        return Found([Analog(out.axes, cause=cause, part=out.part, random=out.random, **fields)])
    pair = info.pair if isinstance(info, Events) and "axes" in eqn.params else None
    if pair is not None and pair.meets(info.axes.shape, axes):
        return _pair_sum(eqn, info, pair, ctx, axes, added)
    return added


def _is_uneven(info: Events, axes: Sequence[int], ctx: Context) -> bool:
    """Whether a constant that differs along axes that are summed has scaled the events."""
    made = ctx.maker(info.number)
    if made is None or made[0].primitive.name not in ("mul", "div"):
        return False
    scales = [i for i in made[1] if isinstance(i, Parameter) and not (i.leaves or i.is_mask)]
    sized = (s for s in scales if len(s.axes) == len(info.axes))
    return any(s.constant is None and s.axes.has_any(axes, VARIES) for s in sized)


def _added(eqn: Any, info: Data, axes: Sequence[int]) -> Found:
    """A sum that brings no products together: of events it is events."""
    size = math.prod(info.axes.shape[a] for a in axes) if "axes" in eqn.params else 1
    terms = frozenset(_summed_term(eqn, t, axes, size) for t in info.terms)
    left: dict[str, Any] = dict(axes=reduced_axes(eqn, info.axes), terms=terms)
    out = info.apart(**left, targets=settled(info.targets))
    reduced = ("reduced",) if "axes" in eqn.params else ()
    out = out.but(size=min(out.size, float(out.axes.size(IDLE))), part=(*info.part, *reduced))
    if not isinstance(out, Events):
        return Found([out], events=travelling(out, lambda ops: moved(eqn, ops)))
    out = out.but(values=None, beside=out.beside or not out.nonneg, pair=None)
    return Found([out], events=travelling(out, lambda ops: moved(eqn, ops)))


def moved(eqn: Any, ops: Operands) -> Companions:
    """What travels beside the first operand, moved like it."""
    return {k: again(eqn, c, *ops.values[1:])[0] for k, c in ops.beside(0).items()}


def _summed_term(eqn: Any, term: Term, axes: Sequence[int], size: float) -> Term:
    del axes
    return term.but(axes=reduced_axes(eqn, term.axes), positions=term.positions * size)


# -- weighted sums written by hand ------------------------------------------------------


def hand_sum(eqn: Any, info: Data, ctx: Context, found: Sequence[Term]) -> Found:
    """A weighted sum written by hand: a leaf × data, summed where both vary."""
    sites: list[Site] = []
    taps: list[Tap] = []
    for k, terms in enumerate(grouped(found)):
        here = part(ctx, k)
        sites.append(_hand_site(eqn, info, here, terms))
        taps += _term_taps(eqn, here, sites[-1], terms)
    out = current(sites[0], _out_axes(eqn, found[0]))
    rest = accounted((t for t in info.terms if t not in found), found)
    out = out.but(
        feeds=frozenset(s.path for s in sites),
        size=max(s.neurons for s in sites),
        terms=frozenset(_summed_term(eqn, t, (), 1.0) for t in rest if t.counted),
    )
    others = any(t.is_open and not t.is_row for t in rest)
    lost = "other terms of the same sum" if others else None
    return Found(
        [out],
        taps=tuple(taps),
        sites=tuple(sites),
        arrived=arrived(ctx, info.births),
        picked=lookups(found),
        lost=lost,
    )


def _hand_site(eqn: Any, info: Data, ctx: Context, found: Sequence[Term]) -> Site:
    """The site of the terms of one weight and one kind."""
    spiking = found[0].spiking
    axes, out_shape = _out_axes(eqn, found[0]), shape_of(eqn.outvars[0])
    window = _window(eqn)
    many = sum(t.positions for t in found)
    dense = float(math.prod(out_shape) * window if window else math.prod(info.axes.shape)) * many
    neurons = float(axes.size(IDLE))
    here = dense / max(math.prod(out_shape) / neurons, 1.0) if neurons else dense
    synapses = positions(ctx, here, found, found[0].weight.layer)
    return site_of(
        eqn,
        ctx,
        found[0].weight,
        leaves=union(t.weight.leaves for t in found),
        spiking=spiking,
        cause=info.cause if spiking else None,
        dense=dense,
        synapses=synapses,
        here=here,
        neurons=neurons,
        inputs=0.0,
    )


def _out_axes(eqn: Any, term: Term) -> Axes:
    """Neurons where the weight varies, batch and time elsewhere."""
    axes = reduced_axes(eqn, term.axes)
    if "window_dimensions" in eqn.params or "axis" in eqn.params:
        axes = axes.marked(WEIGHT, summed_axes(eqn))
    return delivered(axes)


def _as_before(eqn: Any, repeated: Sequence[bool]) -> tuple[bool, ...]:
    """Axes of what is summed that are batch or time, or are summed."""
    left, axes = iter(repeated), eqn.params["axes"]
    return tuple(a in axes or next(left) for a in range(len(shape_of(eqn.invars[0]))))


def _longest(eqn: Any) -> float:
    """Elements that one sum adds up, at most."""
    p, shape = eqn.params, shape_of(eqn.invars[0])
    if "window_dimensions" in p:
        return float(math.prod(p["window_dimensions"]))
    axes: Sequence[int] = p["axes"] if "axes" in p else (p["axis"],)
    return float(math.prod(shape[a] for a in axes))


def _window(eqn: Any) -> float:
    if "axis" in eqn.params:
        return (eqn.invars[0].aval.shape[eqn.params["axis"]] + 1) / 2
    return float(math.prod(eqn.params.get("window_dimensions", (0,))))


def _term_taps(eqn: Any, ctx: Context, site: Site, found: Sequence[Term]) -> tuple[Tap, ...]:
    """Counts of the terms that are summed here."""
    keys = list(dict.fromkeys(t.key for t in found))
    axes, slots = _out_axes(eqn, found[0]), sum(t.positions for t in found)

    def total(ops: Operands) -> Array:
        return sum((ops.term(0, k) for k in keys[1:]), ops.term(0, keys[0]))

    return _taps(eqn, ctx, site, total, axes, slots, at_most(found))


def _taps(
    eqn: Any,
    ctx: Context,
    site: Site,
    total: Callable[[Operands], Array],
    axes: Axes,
    slots: float,
    most: float,
) -> tuple[Tap, ...]:
    """Counts of a sum: `total` in every element, at most `most`; `slots` if nothing is skipped."""
    within, repeated = ctx.within_steps(), axes.wholly(IDLE)

    def added(counts: Array, ops: Operands) -> Any:
        if eqn.primitive.name == "reduce_sum" and ctx.resolution.steps is None:
            return ctx.resolution.summed(counts, _as_before(eqn, repeated), within, most)
        out = again(eqn, counts, *ops.values[1:])[0]
        return ctx.resolution.summed(out, repeated, within, most * _longest(eqn))

    def dense(ops: Operands) -> Any:
        return added(jnp.full(jnp.shape(ops.values[0]), slots, jnp.float32), ops)

    kind = "ac" if site.spiking else "mac"
    taps = [
        Tap(site.path, f"dense_{kind}", site.dense if ctx.resolution.total else dense),
        Tap(site.path, kind, lambda ops: added(total(ops), ops)),
    ]
    if site.spiking:
        taps.append(Tap(site.path, "ac_graded", lambda ops: added(mask(total(ops)), ops)))
    return tuple(taps)


def _pair_sum(
    eqn: Any, info: Value, pair: Pair, ctx: Context, axes: Sequence[int], added: Found
) -> Found:
    """Spikes × spikes, multiplied element by element and summed: a contraction written by hand.

    Of pairs that stood beside each other already, as in a pool of masked spikes, events are left.
    """
    assert isinstance(info, Events)
    births, out = union(f.births for f in pair.factors), pair_axes(eqn, pair, axes)
    site = pair_site(eqn, info, pair, ctx, out)
    taps = _taps(eqn, ctx, site, lambda ops: ops.events(0), out, 1.0, MANY)
    made = current(site, out)
    left = made if pair.is_crossed else data_of(added).but(feeds=made.feeds, size=made.size)
    return added.but(outs=[left], taps=taps, sites=(site,), arrived=arrived(ctx, births))


# -- other reductions -------------------------------------------------------------------


def _reduced_otherwise(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    values, name = values_of(ins[0]), eqn.primitive.name
    chosen = "max" in name or "min" in name
    closed = values is not None and values <= SPIKE and "xor" not in name
    padded = "window" in name  # with values of its own
    kept = values if (chosen or closed) and not padded else None
    return [parameter_of(ins[:1], shape_of(v), values=kept) for v in eqn.outvars]


@rule(
    *"reduce_max reduce_or reduce_window_max cummax reduce_min reduce_and reduce_prod".split(),
    *"reduce_xor reduce_window_min cummin cumprod".split(),
    parameters=_reduced_otherwise,
)
def _extreme(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """The extremum or product over an axis: still among the values."""
    (info,) = ins[:1]
    axes = reduced_axes(eqn, info.axes)
    name = eqn.primitive.name
    keeps = "max" in name or "min" in name
    if isinstance(info, Events) and not info.terms:
        simple = info.values is not None and info.values <= SPIKE
        closed = info.values is not None and info.values <= {-1.0, 0.0, 1.0}
        if not (keeps or closed):
            return None
        values = SPIKE if simple else info.values
        out = info.anew(axes=axes, values=values, terms=NONE)
        if not info.beside:
            return Found([out])
        return Found([out], events=lambda ops: [{EVENTS: _largest(eqn, ops)}])
    found = mixed(eqn, [info], ctx, f"`{name}` of data", enters=isinstance(info, Analog))
    return found.but(outs=[_shrunk(data_of(found), axes)])


def _shrunk(out: Data, axes: Axes) -> Data:
    size = min(out.size, float(axes.size(IDLE)))
    reduced = dict[str, Any](part=(*out.part, "reduced"), targets=settled(out.targets))
    return out.but(axes=axes, size=size, terms=NONE, **reduced)


def _largest(eqn: Any, ops: Operands) -> Array:
    """Events of an extremum: those of the largest, for lack of the place it came from."""
    name = eqn.primitive.name
    if "min" in name:
        return again(eqn, ops.events(0))[0]
    return again(eqn, ops.events(0))[0] * mask(ops.outs[0])


@rule("argmax", "argmin", "cumlogsumexp", "reduce_precision_window")
def _index(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """A place is a number that depends on data; of a region, it is where one of them fires."""
    info = ins[0]
    axes = reduced_axes(eqn, info.axes)
    cause = because(eqn, f"`{eqn.primitive.name}` of data")
    out = Analog(axes, cause=cause, births=info.births if isinstance(info, Data) else NONE)
    if eqn.primitive.name not in ("argmax", "argmin") or not isinstance(info, Analog):
        return Found([out])
    return Found([out.but(feeds=info.feeds, size=info.size, births=info.births, held=info.held)])


def _window_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    return [parameter_of(ins, shape_of(v)) for v in eqn.outvars]


@rule("reduce_window", "reduce", parameters=_window_parameters)
def _general_window(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """The general form, which appears with an explicit initial value: recognised by its body."""
    info = ins[0]
    if not isinstance(info, Data) or len(ins) != 2 or eqn.primitive.name == "reduce":
        return _unless_open(eqn, ins, "a reduction of weights × data")
    names: set[str] = {e.primitive.name for e in eqn.params["jaxpr"].eqns}
    if names <= {"add"}:
        return sum_over(eqn, info, ctx, summed_axes(eqn))
    if names <= {"max"} and not (isinstance(info, Events) and info.beside):
        return _extreme(eqn, ins[:1], ctx)
    return _unless_open(eqn, ins, "a window over weights × data")


def _unless_open(eqn: Any, ins: Sequence[Value], text: str) -> Found | None:
    """What the general way cannot follow: products that are not yet summed are lost."""
    if not any(i.opened for i in ins):
        return None
    cause = because(eqn, f"`{eqn.primitive.name}` of data")
    return Found([Analog(varied(shape_of(v)), cause=cause) for v in eqn.outvars], lost=text)
