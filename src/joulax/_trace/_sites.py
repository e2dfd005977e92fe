"""Synaptic sites: products with weights, and sums of weighted spikes.

Fan-out is exact: the adjoint of the product with every weight replaced by `weight != 0`, applied to ones.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ._info import Cause, Info, Kind, Path
from ._rules import Operands, Outcome, Tap, because, graded, rule


@dataclass(frozen=True)
class Site:
    """One place in the program where inputs meet weights; everything here is known without data."""

    path: Path
    key: tuple  # sites with the same key share a record
    kind: Kind  # of the input
    cause: Cause | None  # why the input is of that kind
    primitive: str
    source: str
    scope: str  # jax.named_scope
    layered: tuple[Path, int] | None  # the scan over layers that slices the weight, and their number
    dense: float  # synapse positions met in one execution
    synapses: float | None  # distinct synapse positions
    neurons: int  # outputs, without batch and time
    inputs: int  # inputs, without batch and time
    copies: float = 1.0  # how often each synapse stands in the fan-out


def mask(weight) -> jax.Array:
    """1 where a synapse exists."""
    return (jnp.asarray(weight) != 0).astype(jnp.float32)


@rule("dot_general")
def _dot(eqn, ins, ctx, path):
    (lc, rc), (lb, rb) = eqn.params["dimension_numbers"]
    shapes = [v.aval.shape for v in eqn.invars]
    free = [[d for d in range(len(s)) if d not in (*c, *b)] for s, c, b in zip(shapes, (lc, rc), (lb, rb), strict=True)]
    sizes = [math.prod(s[d] for d in f) for s, f in zip(shapes, free, strict=True)]
    batch, inner = math.prod(shapes[0][d] for d in lb), math.prod(shapes[0][d] for d in lc)
    dense = float(batch * inner * sizes[0] * sizes[1])
    flags = lambda left, right: (False,) * len(lb) + (left,) * len(free[0]) + (right,) * len(free[1])
    if _parameters(ins):
        return _product_of_parameters(eqn, ins)
    if Kind.PARAMETER not in (ins[0].kind, ins[1].kind):
        return _pair(eqn, ins, ctx, path, dense, lambda a, b: jnp.vdot(_sum(a, free[0], lb, lc), _sum(b, free[1], rb, rc)), flags(False, False))
    w = 0 if ins[0].kind == Kind.PARAMETER else 1
    d = 1 - w
    contract, batched = ((lc, lb), (rc, rb))[d][0], (lb, rb)[d]

    def fanout(weight):
        total = _sum(mask(weight), free[w], (lb, rb)[w], (lc, rc)[w])  # batch dimensions, then contracted ones
        places = [*batched, *contract]
        order = sorted(range(len(places)), key=lambda i: places[i])
        shape = tuple(n if i in places else 1 for i, n in enumerate(shapes[d]))
        return total.transpose(order).reshape(shape)

    geometry = dict(dense=dense, synapses=float(batch * inner * sizes[w]), neurons=batch * sizes[w], inputs=batch * inner)
    return weighted_site(eqn, ins, ctx, path, w, fanout, flags(d == 0, d == 1), **geometry)


def _sum(x, free, batch, contract) -> jax.Array:
    """Sum over the free dimensions; what is left is ordered batch, contracted."""
    x = x.sum(axis=tuple(free))
    left = sorted([*batch, *contract])
    return x.transpose([left.index(i) for i in [*batch, *contract]])


def _parameters(ins) -> bool:
    return all(i.kind == Kind.PARAMETER for i in ins)


def _product_of_parameters(eqn, ins) -> Outcome:
    leaf = next((i.leaf for i in ins if i.leaf is not None), None)
    return Outcome([Info(Kind.PARAMETER, tuple(s > 1 for s in v.aval.shape), leaf=leaf) for v in eqn.outvars])


@rule("conv_general_dilated")
def _conv(eqn, ins, ctx, path):
    numbers, groups, batches = (eqn.params[k] for k in ("dimension_numbers", "feature_group_count", "batch_group_count"))
    x, k, y = (v.aval.shape for v in (*eqn.invars, *eqn.outvars))
    spatial = [_pairs(eqn, i, x, k, y) for i in range(len(numbers.lhs_spec) - 2)]
    out_features, in_features = y[numbers.out_spec[1]], k[numbers.rhs_spec[1]]
    positions = math.prod(spatial) * out_features * in_features
    repeats = y[numbers.out_spec[0]]
    axes = tuple(i == numbers.out_spec[0] for i in range(len(y)))
    if _parameters(ins):
        return _product_of_parameters(eqn, ins)
    product = lambda a, b: _bind(eqn, a, b)
    if Kind.PARAMETER not in (ins[0].kind, ins[1].kind):
        return _pair(eqn, ins, ctx, path, float(positions * repeats), lambda a, b: product(a, b).sum(), axes)
    w = 0 if ins[0].kind == Kind.PARAMETER else 1

    def fanout(weight):
        if w == 0 or batches > 1:
            ones = jax.ShapeDtypeStruct(eqn.invars[1 - w].aval.shape, jnp.float32)
            f = (lambda kernel: product(mask(weight), kernel)) if w == 0 else (lambda data: product(data, mask(weight)))
            (total,) = jax.linear_transpose(f, ones)(jnp.ones(y, jnp.float32))
            return total  # data in the place of the kernel, or batch groups: at full size
        one = tuple(1 if i == numbers.lhs_spec[0] else n for i, n in enumerate(x))
        single = tuple(1 if i == numbers.out_spec[0] else n for i, n in enumerate(y))
        (total,) = jax.linear_transpose(lambda data: product(data, mask(weight)), jax.ShapeDtypeStruct(one, jnp.float32))(jnp.ones(single, jnp.float32))
        return total

    neurons = math.prod(y) // max(repeats, 1)
    geometry = dict(dense=float(positions * repeats), synapses=float(positions), neurons=neurons, inputs=math.prod(x) // max(x[numbers.lhs_spec[0]], 1))
    return weighted_site(eqn, ins, ctx, path, w, fanout, axes, **geometry, copies=float(repeats) if batches > 1 else 1.0)


def _bind(eqn, a, b) -> jax.Array:
    params = {**eqn.params, "preferred_element_type": jnp.dtype(jnp.float32)}
    return eqn.primitive.bind(a.astype(jnp.float32), b.astype(jnp.float32), **params)


def _pairs(eqn, i: int, x, k, y) -> int:
    """Pairs (output position, kernel tap) along spatial axis i that meet a real input, not padding or a hole."""
    p, numbers = eqn.params, eqn.params["dimension_numbers"]
    n, taps, outs = x[numbers.lhs_spec[i + 2]], k[numbers.rhs_spec[i + 2]], y[numbers.out_spec[i + 2]]
    hole = p["lhs_dilation"][i]
    place = np.arange(outs)[:, None] * p["window_strides"][i] + np.arange(taps)[None, :] * p["rhs_dilation"][i] - p["padding"][i][0]
    return int(((place >= 0) & (place <= (n - 1) * hole) & (place % hole == 0)).sum())


def weighted_site(eqn, ins, ctx, path, w: int, fanout: Callable, axes, *, dense, synapses, neurons, inputs, copies=1.0) -> Outcome:
    """A product of data with a weight: accumulates for spikes, multiply-accumulates for analog inputs."""
    data, weight = ins[1 - w], ins[w]
    site = ctx.site(eqn, path, weight, data, dense=dense, synapses=synapses, neurons=neurons, inputs=inputs, copies=copies)
    reach = lambda ops: ops.fanout(path, lambda: fanout(ops.values[w]))
    ac = site.kind == Kind.SPIKES
    shapes = [v.aval.shape for v in eqn.invars]

    def product(events: jax.Array, weights: jax.Array) -> jax.Array:
        return _bind(eqn, *((events, weights) if w == 1 else (weights, events)))

    def met(events: Callable[[Operands], jax.Array]):
        """Operations that events cause: by the fan-out they meet, or neuron by neuron."""
        if ctx.resolution.total:
            return lambda ops: _weigh(events(ops), reach(ops))
        return lambda ops: ctx.summed(path, product(events(ops), mask(ops.values[w])), axes)

    def everything(ops: Operands) -> jax.Array:
        return ctx.summed(path, product(jnp.ones(shapes[1 - w]), jnp.ones(shapes[w])), axes)

    there = (lambda ops: ops.events(1 - w)) if ac else (lambda ops: mask(ops.values[1 - w]))
    taps = [
        Tap(path, "nonzero", lambda ops: reach(ops).sum() / copies),
        Tap(path, "dense_ac" if ac else "dense_mac", dense if ctx.resolution.total else everything),
        Tap(path, "ac" if ac else "mac", met(there)),
    ]
    ctx.fanouts[path] = fanout
    if ac and not data.unit:
        taps.append(Tap(path, "ac_graded", met(lambda ops: graded(ops.events(1 - w)))))
    if ctx.resolution.touched:
        taps.append(Tap(path, "touched", lambda ops: ctx.summed(path, mask(product(there(ops), mask(ops.values[w]))), axes)))
    if ctx.resolution.events:
        taps.append(Tap(path, "events", lambda ops: ctx.summed(path, there(ops), (True,) * len(shapes[1 - w]))))
    return Outcome([ctx.current(path, axes, site)], taps=taps, weight=w)


def _weigh(events: jax.Array, reach: jax.Array) -> jax.Array:
    """Σ events · fan-out."""
    if events.size == reach.size:
        return jax.lax.dot(events.reshape(-1), reach.reshape(-1), precision=jax.lax.Precision.HIGHEST)
    return jnp.sum(events * reach)


def _pair(eqn, ins, ctx, path, dense: float, pairs: Callable, axes) -> Outcome:
    """Two operands that depend on the data (attention, fast weights): pairs nonzero on both sides."""
    spikes = Kind.SPIKES in (i.kind for i in ins)
    data = next((i for i in ins if i.kind == Kind.SPIKES), ins[0])
    neurons = math.prod(eqn.outvars[0].aval.shape)
    site = ctx.site(eqn, path, None, data, dense=dense, synapses=None, neurons=neurons, inputs=0)
    for other in ins:
        ctx.live(other.births)

    def there(ops: Operands, i: int):
        return graded(ops.events(i)) if ins[i].kind == Kind.SPIKES else mask(ops.values[i])

    def each(a: jax.Array, b: jax.Array) -> jax.Array:
        return ctx.summed(path, _bind(eqn, a, b), axes)

    met, every = (pairs, dense) if ctx.resolution.total else (each, lambda ops: each(*(jnp.ones(v.aval.shape) for v in eqn.invars)))
    taps = [
        Tap(path, "ac" if spikes else "mac", lambda ops: met(there(ops, 0), there(ops, 1))),
        Tap(path, "dense_ac" if spikes else "dense_mac", every),
    ]
    return Outcome([ctx.current(path, axes, site)], taps=taps)


def reduced_weights(eqn, info: Info, ctx, path: Path) -> Outcome:
    """A weighted sum written by hand: spikes × weights, summed over an axis along which the weights vary."""
    from ._movement import again, moved

    out = eqn.outvars[0].aval.shape
    windowed = "window_dimensions" in eqn.params or "axis" in eqn.params
    dense = float(math.prod(eqn.invars[0].aval.shape)) if not windowed else float(math.prod(out)) * _window(eqn)
    weight = Info(Kind.PARAMETER, leaf=info.weight)
    neurons = math.prod(n for n, f in zip(out, moved(eqn, info).axes, strict=True) if f) if not windowed else math.prod(out)
    site = ctx.site(eqn, path, weight, info, dense=dense, synapses=dense, neurons=max(neurons, 1), inputs=0)
    axes = (False,) * len(out)
    add = lambda events: ctx.summed(path, again(eqn, events)[0], axes)
    taps = [
        Tap(path, "ac", lambda ops: add(ops.events(0))),
        Tap(path, "ac_graded", lambda ops: add(graded(ops.events(0)))),
        Tap(path, "dense_ac", dense if ctx.resolution.total else lambda ops: add(jnp.ones(eqn.invars[0].aval.shape))),
    ]
    return Outcome([ctx.current(path, axes, site)], taps=taps)


def _window(eqn) -> float:
    if "axis" in eqn.params:
        return (eqn.invars[0].aval.shape[eqn.params["axis"]] + 1) / 2
    return float(math.prod(eqn.params["window_dimensions"]))


def declared_synapses(eqn, info: Info, ctx, path: Path) -> Outcome:
    """`joulax.synapses(w * s)`: one-to-one synapses, one for each element."""
    shape = eqn.outvars[0].aval.shape
    size = float(math.prod(shape))
    site = ctx.site(eqn, path, Info(Kind.PARAMETER, leaf=info.weight), info, dense=size, synapses=size, neurons=int(size), inputs=int(size))
    axes = (False,) * len(shape)
    taps = [
        Tap(path, "ac", lambda ops: ctx.summed(path, ops.events(0), axes)),
        Tap(path, "ac_graded", lambda ops: ctx.summed(path, graded(ops.events(0)), axes)),
        Tap(path, "dense_ac", size if ctx.resolution.total else lambda ops: ctx.summed(path, jnp.ones(shape), axes)),
    ]
    return Outcome([ctx.current(path, axes, site)], taps=taps)


def embedding(eqn, ins, ctx, path: Path) -> Outcome:
    """Rows of a parameter picked by data: weights are read, nothing is multiplied."""
    rows = float(math.prod(eqn.outvars[0].aval.shape))
    data = next(i for i in ins[1:] if i.kind != Kind.PARAMETER)
    table = math.prod(eqn.invars[0].aval.shape)
    site = ctx.site(eqn, path, ins[0], data.but(kind=Kind.ANALOG), dense=0.0, synapses=float(table), neurons=int(rows), inputs=0)
    shape = eqn.outvars[0].aval.shape
    axes = (False,) * len(shape)
    cause = because(eqn, "an embedding row picked by data is analog")
    read = rows if ctx.resolution.total else lambda ops: ctx.summed(path, jnp.ones(shape), axes)
    return Outcome([ctx.current(path, axes, site).but(cause=cause)], taps=[Tap(path, "lookups", read)])
