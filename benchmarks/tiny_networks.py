"""The four networks of MLPerf Tiny, by their shapes: what a board executes, counted.

The closed division fixes them (int8), so their multiply-accumulates are known: with padding, which
a board executes like any other input, 264 192, 2 656 768, 7 489 664 and 12 501 632. `padded=False`
counts real synapses only.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

import joulax

Model = tuple[Callable, list[jax.Array], tuple[int, ...]]
MACS = {"ad": 264_192, "kws": 2_656_768, "vww": 7_489_664, "ic": 12_501_632}  # with padding


def account(name: str, *, padded: bool = True) -> dict[str, joulax.Activity]:
    """Operations of one inference with nothing skipped; they depend on the shapes alone."""
    run, weights, shape = NETWORKS[name](padded)
    counted = jax.jit(lambda w, x: joulax.count(run, weights=0)(w, x)[1])
    found = counted(weights, jnp.zeros(shape))
    return {layer: joulax.activity(mac=record.dense_mac) for layer, record in found.items()}


def convolution(x, w, stride=1, *, padded, groups=1):
    """Same padding, written out where padding counts as input."""
    window, strides = w.shape[:2], (stride, stride)
    if not padded:
        return lax.conv_general_dilated(
            x, w, strides, "SAME", dimension_numbers=FORM, feature_group_count=groups
        )
    pads = lax.padtype_to_pads(x.shape[1:3], window, strides, "SAME")
    x = lax.optimization_barrier(jnp.pad(x, ((0, 0), *pads, (0, 0))))  # behind it: inputs
    return lax.conv_general_dilated(
        x, w, strides, "VALID", dimension_numbers=FORM, feature_group_count=groups
    )


FORM = ("NHWC", "HWIO", "NHWC")


def weights(*shapes):
    return [jnp.ones(shape) for shape in shapes]


def autoencoder(padded: bool) -> Model:
    """Anomaly detection: 640 – 128 × 4 – 8 – 128 × 4 – 640."""
    sizes = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]

    def run(w, x):
        for matrix in w:
            x = jax.nn.relu(x @ matrix)
        return x

    return run, weights(*zip(sizes, sizes[1:], strict=False)), (1, 640)


def separable(x, depthwise, pointwise, stride, padded):
    channels = x.shape[-1]
    x = jax.nn.relu(convolution(x, depthwise, stride, padded=padded, groups=channels))
    return jax.nn.relu(convolution(x, pointwise, padded=padded))


def keyword_spotter(padded: bool) -> Model:
    """DS-CNN: 49 × 10 inputs, a 10 × 4 convolution, four separable blocks of 64, 12 words."""

    def run(w, x):
        x = jax.nn.relu(convolution(x, w[0], 2, padded=padded))
        for i in range(1, 9, 2):
            x = separable(x, w[i], w[i + 1], 1, padded)
        return x.mean((1, 2)) @ w[-1]

    blocks = [(3, 3, 1, 64), (1, 1, 64, 64)] * 4
    return run, weights((10, 4, 1, 64), *blocks, (64, 12)), (1, 49, 10, 1)


def wake_words(padded: bool) -> Model:
    """MobileNet v1 at a quarter of its width, 96 × 96 × 3 inputs, two classes."""
    plan = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)]
    plan += [(128, 1)] * 5 + [(256, 2), (256, 1)]

    def run(w, x):
        x = jax.nn.relu(convolution(x, w[0], 2, padded=padded))
        for i, (_, stride) in enumerate(plan):
            x = separable(x, w[2 * i + 1], w[2 * i + 2], stride, padded)
        return x.mean((1, 2)) @ w[-1]

    shapes, channels = [(3, 3, 3, 8)], 8
    for out, _ in plan:
        shapes += [(3, 3, 1, channels), (1, 1, channels, out)]
        channels = out
    return run, weights(*shapes, (256, 2)), (1, 96, 96, 3)


def resnet(padded: bool) -> Model:
    """ResNet-8: 32 × 32 × 3 inputs, three stages of 16, 32, 64 channels, ten classes."""

    def run(w, x):
        x = jax.nn.relu(convolution(x, w[0], padded=padded))
        x = x + convolution(jax.nn.relu(convolution(x, w[1], padded=padded)), w[2], padded=padded)
        for first, second, shortcut in (w[3:6], w[6:9]):
            inner = jax.nn.relu(convolution(x, first, 2, padded=padded))
            skipped = convolution(x, shortcut, 2, padded=padded)
            x = jax.nn.relu(convolution(inner, second, padded=padded) + skipped)
        return x.mean((1, 2)) @ w[-1]

    stages = [
        (3, 3, 16, 32),
        (3, 3, 32, 32),
        (1, 1, 16, 32),
        (3, 3, 32, 64),
        (3, 3, 64, 64),
        (1, 1, 32, 64),
    ]
    shapes = [(3, 3, 3, 16), (3, 3, 16, 16), (3, 3, 16, 16), *stages, (64, 10)]
    return run, weights(*shapes), (1, 32, 32, 3)


NETWORKS = {"ad": autoencoder, "kws": keyword_spotter, "vww": wake_words, "ic": resnet}
