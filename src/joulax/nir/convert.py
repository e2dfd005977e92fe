"""One node of NIR becomes one node that runs."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..neurons import Spike
from .graph import Flat, type_of
from .neurons import (
    RESETS,
    CurrentBased,
    Delay,
    Firing,
    Integrator,
    Leaky,
    Threshold,
    firing_of,
)
from .nodes import Affine, Conv, Flatten, Identity, Node, Pool, Scale, array, padded, pair


class Maker:
    """Makes nodes under one choice of what NIR leaves open.

    Without a `dt` nodes can be asked for their synapses and shapes, and do not run in time.
    """

    def __init__(self, dt: float | None, reset: str, delayed: bool, spike: Spike):
        if reset not in RESETS:
            raise ValueError(f"reset must be one of {', '.join(RESETS)}, got {reset!r}")
        self.dt = dt if dt is None else length(dt)
        self.reset, self.delayed, self.spike = reset, delayed, spike

    def nodes(self, flat: Flat) -> dict[str, Node]:
        """All nodes of a graph by name."""
        return {name: self.node(name, node) for name, node in flat.nodes.items()}

    def node(self, name: str, node: Any) -> Node:
        """One node; an error says which cannot be made and why."""
        make: Callable[[Any], Node] | None = getattr(self, f"_{type_of(node)}", None)
        if make is None:
            raise ValueError(f"node {name!r} is a {type_of(node)}, which joulax.nir does not know")
        try:
            return make(node)
        except (ValueError, TypeError, AttributeError) as problem:
            raise ValueError(f"node {name!r} ({type_of(node)}): {problem}") from problem

    def _Input(self, node: Any) -> Node:
        del node
        return Identity()

    _Output = _Identity = _Input

    def _Affine(self, node: Any) -> Node:
        return Affine(array(node.weight), _bias(node))

    _Linear = _Affine

    def _Scale(self, node: Any) -> Node:
        return Scale(array(node.scale))

    def _Conv1d(self, node: Any) -> Node:
        weight = array(node.weight)
        axes = weight.ndim - 2
        dilation = pair(node.dilation, axes)
        padding = padded(node.padding, weight.shape[2:], dilation)
        return Conv(
            weight, _bias(node), pair(node.stride, axes), padding, dilation, int(node.groups)
        )

    _Conv2d = _Conv1d

    def _SumPool2d(self, node: Any) -> Node:
        kernel = pair(node.kernel_size, 2)
        padding = padded(node.padding, kernel, (1, 1))
        return Pool(kernel, pair(node.stride, 2), padding, type_of(node) == "AvgPool2d")

    _AvgPool2d = _SumPool2d

    def _Flatten(self, node: Any) -> Node:
        return Flatten(int(node.start_dim), int(node.end_dim))

    def _I(self, node: Any) -> Node:
        return Integrator(r=array(node.r), firing=self._firing(node), rest=None)

    _IF = _I

    def _LI(self, node: Any) -> Node:
        return Leaky(
            decay=self._decay(node, "tau"),
            r=array(node.r),
            firing=self._firing(node),
            rest=_rest(node),
        )

    _LIF = _LI

    def _CubaLI(self, node: Any) -> Node:
        return CurrentBased(
            decay=self._decay(node, "tau_mem"),
            current_decay=self._decay(node, "tau_syn"),
            r=array(node.r),
            w_in=array(getattr(node, "w_in", 1.0)),
            firing=self._firing(node),
            rest=_rest(node),
        )

    _CubaLIF = _CubaLI

    def _Threshold(self, node: Any) -> Node:
        return Threshold(array(node.threshold), self.spike)

    def _Delay(self, node: Any) -> Node:
        delay = np.asarray(node.delay, float)
        if not np.all(np.isfinite(delay)) or np.any(delay < 0):
            raise ValueError(f"a delay is a time of at least zero, got {delay}")
        steps = np.rint(delay / (self.dt or np.inf)).astype(int)
        if np.all(steps == steps.flat[0]):
            return Delay((int(steps.flat[0]),), ())
        return Delay(tuple(steps.ravel().tolist()), steps.shape)

    def _firing(self, node: Any) -> Firing | None:
        if not hasattr(node, "v_threshold"):
            return None
        return firing_of(node, self.reset, self.delayed, self.spike, array)

    def _decay(self, node: Any, field: str) -> Array:
        tau = np.asarray(getattr(node, field), float)
        if self.dt is None:
            return array(np.zeros_like(tau))
        if not np.all(tau >= self.dt):
            raise ValueError(
                f"{field} = {tau.min():g} s is shorter than a step of dt = {self.dt:g} s; "
                "forward Euler would oscillate. Give a smaller dt"
            )
        return array(self.dt / tau)


def length(dt: Any) -> float:
    """Length of a step, checked."""
    if isinstance(dt, bool) or not isinstance(dt, int | float | np.number) or not 0 < dt < math.inf:
        raise ValueError(f"dt is the length of a step in seconds and positive, got {dt!r}")
    return float(dt)


def _bias(node: Any) -> Array | None:
    bias = getattr(node, "bias", None)
    return None if bias is None else array(bias)


def _rest(node: Any) -> Array | None:
    """`v_leak`, or nothing where it is zero: a term that adds nothing is none."""
    rest = np.asarray(node.v_leak)
    return jnp.asarray(rest, jnp.result_type(float)) if np.any(rest != 0) else None
