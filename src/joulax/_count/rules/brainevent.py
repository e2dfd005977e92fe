"""Primitives of brainevent and braintools: spikes times dense and CSR matrices, and spikes born.

A stored element is a synapse position; it is met once for every spike of its presynaptic neuron.
Connectivity that a kernel draws on the fly has no stored synapses to count: it is said to be lost.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..axes import IDLE, REPEATED
from ..events import existing, graded
from ..exact import LIMIT, Sum, total
from ..findings import Context, Found, Operands, Tap
from ..kinds import Analog, Data, Events, Value, varied
from .births import born
from .contents import births_in
from .products import current, is_spiking, ops_events, ops_nonzero, weights_in
from .registry import because, rule, shape_of, site_of

Reached = Callable[[Operands, Array], Array]  # operations, from the events of the data


def _site(
    eqn: Any, ins: Sequence[Value], ctx: Context, at: int, stored: float, reached: Reached
) -> Found | None:
    """Weights (operand 0) times the data at operand `at`."""
    data, out = ins[at], shape_of(eqn.outvars[0])
    if not isinstance(data, Data) or isinstance(ins[0], Data):
        return None
    columns = math.prod(shape_of(eqn.invars[at])[1:])
    axes = varied(out).marked(REPEATED, range(1, len(out)))
    site = site_of(
        eqn,
        ctx,
        weights_in(ins[0]),
        spiking=is_spiking(data),
        cause=data.cause,
        dense=stored * columns,
        synapses=stored,
        neurons=float(axes.size(IDLE)),
        inputs=float(shape_of(eqn.invars[at])[0]),
    )
    kind = "ac" if site.spiking else "mac"
    arriving = ops_events if site.spiking else ops_nonzero
    taps = [
        Tap(site.path, "nonzero", lambda ops: _existing(ops, stored)),
        Tap(site.path, f"dense_{kind}", site.dense),
        Tap(site.path, kind, lambda ops: total(reached(ops, arriving(ops, at)), LIMIT)),
    ]
    if site.spiking and not (isinstance(data, Events) and data.is_unit):
        taps.append(
            Tap(
                site.path,
                "ac_graded",
                lambda ops: total(reached(ops, graded(ops.events(at))), LIMIT),
            )
        )
    outs = [current(site, axes)]
    outs += [current(site, varied(shape_of(v))) for v in eqn.outvars[1:]]
    return Found(outs, taps=tuple(taps), sites=(site,), arrived=data.births)


def _existing(ops: Operands, stored: float) -> Sum:
    """Synapses that exist; one weight may be shared by all of them."""
    there = existing(ops.values[0])
    if there.size == stored:
        return total(there, 1.0)
    return Sum(there.sum() * (stored / there.size), None, stored)


@rule("binary_densemv", "binary_densemm")
def _dense(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Spikes times a dense matrix, from the left (`transpose`) or the right."""
    over = 1 if eqn.params["transpose"] else 0

    def reached(ops: Operands, events: Array) -> Array:
        return existing(ops.values[0]).sum(over) * _each(events)

    return _site(eqn, ins, ctx, 1, float(math.prod(shape_of(eqn.invars[0]))), reached)


@rule("binary_csrmv", "binary_csrmm", "csrmv", "csrmm")
def _csr(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Spikes times a CSR matrix: data, indices, row pointers, events."""
    stored = float(math.prod(shape_of(eqn.invars[1])))

    def reached(ops: Operands, events: Array) -> Array:
        indices, pointers = jnp.asarray(ops.values[1]), jnp.asarray(ops.values[2])
        rows = jnp.repeat(
            jnp.arange(len(pointers) - 1), jnp.diff(pointers), total_repeat_length=int(stored)
        )
        pre = rows if eqn.params["transpose"] else indices
        return existing(ops.values[0]) * _each(events)[pre]

    return _site(eqn, ins, ctx, 3, stored, reached)


def _each(events: Array) -> Array:
    """Events of every presynaptic neuron, over the columns of a matrix of events."""
    return events.reshape(events.shape[0], -1).sum(1)


@rule(
    *"binary_jitsmv binary_jitsmm binary_jitumv binary_jitumm binary_jitc_mm_normal".split(),
    *"event_jitc_mv_normal float_jitnmv float_jitnmm float_jitsmv float_jitsmm".split(),
    *"float_jitumv float_jitumm binary_fcnmm ell_binary_matvec".split(),
)
def _drawn(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
    """Connections that the kernel draws or lists in a form of its own."""
    cause = because(eqn, f"`{eqn.primitive.name}` of spikes")
    outs = [Analog(varied(shape_of(v)), cause=cause) for v in eqn.outvars]
    return Found(outs, lost="synapses inside a kernel", arrived=births_in(ins))


@rule("heaviside_surrogate_gradient", elementwise=True)
def _spike(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
    """The step of all surrogates of braintools."""
    return born(eqn, ins, ctx, "spikes of a surrogate gradient")
