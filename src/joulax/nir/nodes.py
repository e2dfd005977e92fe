"""Nodes without a state, each a function of its input."""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array


class Node(eqx.Module):
    """One node of a graph: a function of its input, and of its state where it has one."""

    stateful: ClassVar[bool] = False
    spiking: ClassVar[bool] = False
    neurons: ClassVar[bool] = False
    synaptic: ClassVar[bool] = False

    def init(self, shape: tuple[int, ...]) -> Any:
        """State before the first step, for an input of this shape."""
        del shape
        return ()

    def step(self, state: Any, x: Array) -> tuple[Any, Array]:
        """The new state and the output of one step."""
        return state, self.now(x)

    def shorter(self) -> "Node":
        """The node behind an edge that waits a step itself: another one only for a delay."""
        return self

    def now(self, x: Array) -> Array:
        """Output for an input, of a node without a state."""
        raise NotImplementedError


class Identity(Node):
    """`Input`, `Output` and `Identity`: what goes in comes out."""

    def now(self, x: Array) -> Array:
        """The input."""
        return x


class Affine(Node):
    """`Affine` and `Linear`: a matrix, and a bias or none."""

    synaptic: ClassVar[bool] = True
    weight: Array
    bias: Array | None

    def now(self, x: Array) -> Array:
        """`W x + b` along the last axis."""
        y = self.weight @ x if x.ndim == 1 else _by_row(self.weight, x)
        return y if self.bias is None else y + self.bias


def _by_row(weight: Array, x: Array) -> Array:
    """`W x` for every row of an input that nobody flattened: places of neurons, no samples."""
    rows = x.reshape((1, -1, x.shape[-1]))
    form = lax.conv_dimension_numbers(rows.shape, (1, *weight.shape[::-1]), ("NWC", "WIO", "NWC"))
    y = lax.conv_general_dilated(rows, weight.T[None], (1,), "VALID", dimension_numbers=form)
    return y.reshape((*x.shape[:-1], -1))


class Scale(Node):
    """`Scale`: one factor for each element."""

    scale: Array

    def now(self, x: Array) -> Array:
        """`s x`, element by element."""
        return spread(self.scale, x) * x


class Conv(Node):
    """`Conv1d` and `Conv2d`, weights as in PyTorch (out, in / groups, *kernel)."""

    synaptic: ClassVar[bool] = True
    weight: Array
    bias: Array | None
    stride: tuple[int, ...] = eqx.field(static=True)
    padding: tuple[tuple[int, int], ...] = eqx.field(static=True)
    dilation: tuple[int, ...] = eqx.field(static=True)
    groups: int = eqx.field(static=True)

    def now(self, x: Array) -> Array:
        """The convolution of one input (channels, *space)."""
        y = lax.conv_general_dilated(
            x[None],
            self.weight,
            self.stride,
            self.padding,
            rhs_dilation=self.dilation,
            feature_group_count=self.groups,
        )[0]
        if self.bias is None:
            return y
        return y + self.bias.reshape((-1, *(1,) * (y.ndim - 1)))


class Pool(Node):
    """`SumPool2d` and `AvgPool2d`; the mean divides by the whole window, as PyTorch does."""

    kernel: tuple[int, ...] = eqx.field(static=True)
    stride: tuple[int, ...] = eqx.field(static=True)
    padding: tuple[tuple[int, int], ...] = eqx.field(static=True)
    mean: bool = eqx.field(static=True)

    def now(self, x: Array) -> Array:
        """Sums or means over windows of the last two axes."""
        rest = x.ndim - 2
        zero = np.zeros((), x.dtype)
        window, stride = (1,) * rest + self.kernel, (1,) * rest + self.stride
        padding = ((0, 0),) * rest + self.padding
        y = lax.reduce_window(x, zero, lax.add, window, stride, padding)
        return y / float(np.prod(self.kernel)) if self.mean else y


class Flatten(Node):
    """`Flatten`: the axes from `start` to `end` become one."""

    start: int = eqx.field(static=True)
    end: int = eqx.field(static=True)

    def now(self, x: Array) -> Array:
        """The reshaped input."""
        start, end = (a % x.ndim for a in (self.start, self.end))
        return x.reshape((*x.shape[:start], -1, *x.shape[end + 1 :]))


def spread(parameter: Array, x: Array) -> Array:
    """A parameter of shape `()` or `(1,)` serves all elements; others stand element by element."""
    if parameter.size == 1:
        return parameter.reshape(())
    if parameter.ndim < x.ndim:
        return parameter.reshape((*parameter.shape, *(1,) * (x.ndim - parameter.ndim)))
    return parameter


def array(value: Any) -> Array:
    """A parameter as an array of the default precision: files mix float32 and float64."""
    return jnp.asarray(np.asarray(value), jnp.result_type(float))


def pair(value: Any, axes: int) -> tuple[int, ...]:
    """A number for each axis, from one number or one for each."""
    flat = np.ravel(np.asarray(value)).tolist()
    flat = flat * axes if len(flat) == 1 else flat
    if len(flat) != axes or any(int(v) != v for v in flat):
        raise ValueError(f"expected one whole number or {axes}, got {value!r}")
    return tuple(int(v) for v in flat)


def padded(
    value: Any, kernel: Sequence[int], dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Padding before and after each axis, from numbers or NIR's words `same` and `valid`."""
    word = value.decode() if isinstance(value, bytes) else value
    if not isinstance(word, str):
        return tuple((p, p) for p in pair(word, len(kernel)))
    if word not in ("same", "valid"):
        raise ValueError(f"padding is a number, 'same' or 'valid', got {word!r}")
    whole = [d * (k - 1) * (word == "same") for k, d in zip(kernel, dilation, strict=True)]
    return tuple((w // 2, w - w // 2) for w in whole)
