"""Networks of the benchmarks, each plain and with its operations counted by hand.

`model(x)` is the network as one would write it; `model.by_hand(x)` returns the same output and the
synaptic operations and neuron updates, written into the network by somebody who knows it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(v):
    """A spike where the membrane is above threshold."""
    return (v > 0).astype(v.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (v,), (dv,) = primals, tangents
    return spike(v), dv / (1 + 10 * jnp.abs(v)) ** 2


def same(s):
    """No pooling."""
    return s


def flat(s):
    """Maps as one vector."""
    return s.reshape(-1)


def fanout(layer, shape):
    """Existing synapses that every input reaches."""
    ones = eqx.tree_at(lambda m: m.weight, layer, (layer.weight != 0).astype(jnp.float32))
    if layer.bias is not None:
        ones = eqx.tree_at(lambda m: m.bias, ones, jnp.zeros_like(layer.bias))
    out, back = jax.vjp(ones, jnp.zeros(shape))
    return jax.lax.stop_gradient(back(jnp.ones_like(out))[0])


class SNN(eqx.Module):
    """Layers with spiking neurons after each, stepped by one scan."""

    layers: list
    pools: list
    loops: list  # recurrent weights of each layer, or None
    remat: bool = eqx.field(static=True)

    def __init__(self, layers, pools=None, loops=None, remat=False):
        self.layers, self.remat = layers, remat
        self.pools = pools or [same] * len(layers)
        self.loops = loops or [None] * len(layers)

    def states(self, x):
        """Membranes and last spikes before the first step."""
        states = []
        for layer, pool in zip(self.layers, self.pools, strict=True):
            v = jax.eval_shape(layer, x)
            states.append((jnp.zeros(v.shape, v.dtype), jnp.zeros(v.shape, v.dtype)))
            x = jax.eval_shape(pool, v)
        return states

    def _scan(self, step, x):
        step = jax.checkpoint(step) if self.remat else step
        return jax.lax.scan(step, self.states(x[0]), x)[1]

    def __call__(self, x):
        """Spikes of the last layer, summed over time."""

        def step(carry, x):
            states = []
            for layer, pool, loop, (v, s) in zip(
                self.layers, self.pools, self.loops, carry, strict=True
            ):
                current = layer(x) if loop is None else layer(x) + loop(s)
                v = 0.9 * v + current
                s = spike(v - 1)
                states.append((v - s, s))
                x = pool(s)
            return states, x

        return self._scan(step, x).sum(0)

    def by_hand(self, x, apart=False):
        """The same, with synaptic operations (of each layer `apart`) and updates."""
        shapes, shape = [], x[0].shape
        for layer, pool in zip(self.layers, self.pools, strict=True):
            v = jax.eval_shape(layer, jax.ShapeDtypeStruct(shape, x.dtype))
            shapes.append((shape, v.shape))
            shape = jax.eval_shape(pool, v).shape
        reach = [fanout(m, s) for m, (s, _) in zip(self.layers, shapes, strict=True)]
        around = [
            None if m is None else fanout(m, s)
            for m, (_, s) in zip(self.loops, shapes, strict=True)
        ]

        def step(carry, x):
            states, counts = [], []
            for i, (layer, pool, loop, (v, s)) in enumerate(
                zip(self.layers, self.pools, self.loops, carry, strict=True)
            ):
                counts.append(jnp.vdot(x, reach[i]))
                current = layer(x)
                if loop is not None:
                    counts[-1] += jnp.vdot(s, around[i])
                    current = current + loop(s)
                v = 0.9 * v + current
                s = spike(v - 1)
                states.append((v - s, s))
                x = pool(s)
            return states, (x, counts if apart else sum(counts))

        out, counts = self._scan(step, x)
        updates = jnp.asarray(float(len(x) * sum(math.prod(s) for _, s in shapes)))
        return out.sum(0), jax.tree.map(lambda c: c.sum(), counts), updates


class Hoisted(SNN):
    """The same feed-forward network, a layer at a time: one large product for all steps."""

    def __call__(self, x):
        """Spikes of the last layer, summed over time."""

        def fire(v, current):
            v = 0.9 * v + current
            s = spike(v - 1)
            return v - s, s

        for layer, pool in zip(self.layers, self.pools, strict=True):
            current = jax.vmap(layer)(x)
            s = jax.lax.scan(fire, jnp.zeros(current.shape[1:]), current)[1]
            x = jax.vmap(pool)(s)
        return x.sum(0)

    def by_hand(self, x, apart=False):
        """The same, with synaptic operations (of each layer `apart`) and updates."""
        counts, updates = [], 0

        def fire(v, current):
            v = 0.9 * v + current
            s = spike(v - 1)
            return v - s, s

        for layer, pool in zip(self.layers, self.pools, strict=True):
            counts.append(jnp.vdot(x.sum(0), fanout(layer, x.shape[1:])))
            current = jax.vmap(layer)(x)
            updates += current.size
            s = jax.lax.scan(fire, jnp.zeros(current.shape[1:]), current)[1]
            x = jax.vmap(pool)(s)
        return x.sum(0), counts if apart else sum(counts), jnp.asarray(float(updates))


class Transformer(eqx.Module):
    """A spiking transformer block (Zhou et al., Spikformer, 2023): attention between spikes."""

    queries: eqx.nn.Linear
    keys: eqx.nn.Linear
    values: eqx.nn.Linear
    out: eqx.nn.Linear
    up: eqx.nn.Linear
    down: eqx.nn.Linear
    tokens: int = eqx.field(static=True)
    width: int = eqx.field(static=True)

    def __init__(self, tokens, width, key):
        k = jax.random.split(key, 6)
        sizes = [(width, width)] * 4 + [(width, 4 * width), (4 * width, width)]
        made = [eqx.nn.Linear(a, b, key=k[i]) for i, (a, b) in enumerate(sizes)]
        self.queries, self.keys, self.values, self.out, self.up, self.down = made
        self.tokens, self.width = tokens, width

    def _states(self):
        n, w = self.tokens, self.width
        return [jnp.zeros((n, d)) for d in (w, w, w, w, w, 4 * w, w)]

    def _step(self, carry, x, met):
        """One time step; `met(i, spikes)` is told what arrives at linear layer `i`."""
        linear = (self.queries, self.keys, self.values, self.out, self.up, self.down)
        states = list(carry)

        def fire(k, current):
            v = 0.9 * states[k] + current
            s = spike(v - 1)
            states[k] = v - s
            return s

        def through(i, k, s):
            met(i, s)
            return fire(k, jax.vmap(linear[i])(s))

        q, k, v = through(0, 0, x), through(1, 1, x), through(2, 2, x)
        scores = q @ k.T
        mixed = fire(3, 0.25 * (scores @ v))
        met("pairs", (q, k, scores, v))
        y = through(3, 4, mixed)
        z = through(5, 6, through(4, 5, y))
        return states, z

    def __call__(self, x):
        """Spikes of the block, summed over time."""
        step = lambda carry, x: self._step(carry, x, lambda *_: None)
        return jax.lax.scan(step, self._states(), x)[1].sum(0).reshape(-1)

    def by_hand(self, x):
        """The same, with synaptic operations and updates."""
        linear = (self.queries, self.keys, self.values, self.out, self.up, self.down)
        reach = [fanout(m, (m.in_features,)) for m in linear]

        def step(carry, x):
            parts = []

            def met(i, s):
                if i == "pairs":
                    q, k, scores, v = s
                    parts.append(jnp.vdot(q.sum(0), k.sum(0)))
                    parts.append(jnp.vdot(scores.sum(0), v.sum(1)))
                else:
                    parts.append(jnp.vdot(s.sum(0), reach[i]))

            states, out = self._step(carry, x, met)
            return states, (out, sum(parts))

        out, counts = jax.lax.scan(step, self._states(), x)[1]
        updates = jnp.asarray(float(len(x) * sum(s.size for s in self._states())))
        return out.sum(0).reshape(-1), counts.sum(), updates


@dataclass(frozen=True)
class Network:
    """How to make a network, and the shape of a batch of inputs."""

    make: Callable[[Any], Any]
    shape: tuple[int, ...]
    about: str


def chain(sizes, key, **options):
    """Linear layers of these sizes."""
    keys = jax.random.split(key, len(sizes))
    pairs = zip(sizes[:-1], sizes[1:], keys, strict=False)
    return SNN([eqx.nn.Linear(a, b, key=k) for a, b, k in pairs], **options)


def convolutions(key, network=SNN):
    """The four-layer convolutional network of the Sinabs how-to."""
    k = jax.random.split(key, 4)
    pool = eqx.nn.AvgPool2d(2, 2)
    layers = [
        eqx.nn.Conv2d(1, 16, 5, use_bias=False, key=k[0]),
        eqx.nn.Conv2d(16, 32, 5, use_bias=False, key=k[1]),
        eqx.nn.Conv2d(32, 120, 4, use_bias=False, key=k[2]),
        eqx.nn.Linear(120, 10, use_bias=False, key=k[3]),
    ]
    return network(layers, [pool, pool, flat, same])


def recurrent(key):
    """700-256-20 with recurrent weights in the hidden layer, as for spoken digits."""
    a, b, c = jax.random.split(key, 3)
    layers = [eqx.nn.Linear(700, 256, key=a), eqx.nn.Linear(256, 20, key=b)]
    return SNN(layers, loops=[eqx.nn.Linear(256, 256, use_bias=False, key=c), None])


NETWORKS = {
    "mlp": Network(lambda k: chain((784, 512, 512, 10), k), (64, 100, 784), "784-512-512-10"),
    "conv": Network(convolutions, (32, 50, 1, 28, 28), "four layers, the Sinabs how-to"),
    "conv, hoisted": Network(
        lambda k: convolutions(k, Hoisted), (32, 50, 1, 28, 28), "the same, a layer at a time"
    ),
    "recurrent": Network(recurrent, (64, 100, 700), "700-256 (recurrent)-20"),
    "digits": Network(lambda k: chain((64, 128, 128, 10), k), (64, 20, 64), "64-128-128-10"),
    "tiny": Network(lambda k: chain((64, 64, 64, 64), k), (16, 20, 64), "three layers of 64"),
    "deep": Network(lambda k: chain((32,) * 101, k), (8, 10, 32), "100 layers of 32"),
    "transformer": Network(
        lambda k: Transformer(64, 64, k), (8, 8, 64, 64), "a block, 64 tokens of 64"
    ),
    "remat": Network(
        lambda k: chain((784, 512, 512, 10), k, remat=True),
        (64, 100, 784),
        "784-512-512-10, each step recomputed",
    ),
}
