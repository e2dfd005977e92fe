"""States of several layers in one array: the account is that of the same states in a tuple."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.flatten_util import ravel_pytree

import joulax

from .common import over_steps

RNG = np.random.default_rng(0)
P = {
    "a": jnp.asarray(RNG.normal(size=(6, 5)) + 0.2, jnp.float32),
    "b": jnp.asarray(RNG.normal(size=(5, 5)), jnp.float32),
    "c": jnp.asarray(RNG.normal(size=(5, 3)), jnp.float32),
}
X = jnp.asarray(RNG.random((4, 6)) < 0.5, jnp.float32)
Z = jnp.zeros(5, jnp.float32)
S = jnp.asarray([1, 0, 1, 1, 0], jnp.float32)
unravel = ravel_pytree((Z, Z))[1]


def spike(v):
    return (v > 0.3).astype(v.dtype)


def layers(p, v, u, x):
    """Two layers; the second one is slower."""
    v = 0.9 * v + x @ p["a"]
    s = spike(v)
    u = 0.95 * u + s @ p["b"]
    return v - 0.3 * s, u - 0.3 * spike(u), spike(u)


# the states before the first step, how they are unpacked, how they are packed
FORMS = {
    "a tuple": ((Z, Z), tuple, lambda v, u: (v, u)),
    "stacked": (jnp.stack([Z, Z]), tuple, lambda v, u: jnp.stack([v, u])),
    "stacked, by index": (
        jnp.zeros((2, 5), jnp.float32),
        lambda c: (c[0], c[1]),
        lambda v, u: jnp.stack([v, u]),
    ),
    "stacked last": (
        jnp.zeros((5, 2), jnp.float32),
        lambda c: (c[:, 0], c[..., 1]),
        lambda v, u: jnp.stack([v, u], -1),
    ),
    "side by side": (
        jnp.zeros(10, jnp.float32),
        lambda c: (c[:5], c[5:]),
        lambda v, u: jnp.concatenate([v, u]),
    ),
    "split": (
        jnp.zeros(10, jnp.float32),
        lambda c: jnp.split(c, 2),
        lambda v, u: jnp.hstack([v, u]),
    ),
    "ravelled": (jnp.zeros(10, jnp.float32), unravel, lambda v, u: ravel_pytree((v, u))[0]),
    "reshaped": (
        jnp.zeros(10, jnp.float32),
        lambda c: (c.reshape(2, 5)[0], c.reshape(2, 5)[1]),
        lambda v, u: jnp.stack([v, u]).reshape(-1),
    ),
    "unstacked": (jnp.zeros((2, 5), jnp.float32), jnp.unstack, lambda v, u: jnp.stack([v, u])),
    "learned": (jnp.concatenate([Z, Z]), jax.jit(unravel), lambda v, u: jnp.concatenate([v, u])),
}


def program(form, loop):
    start, unpack, pack = FORMS[form]

    def step(p, c, x):
        v, u, s = layers(p, *unpack(c), x)
        return pack(v, u), s

    def stepped(p, xs):
        return over_steps(lambda c, x: step(p, c, x), start, xs, loop == "scan") @ p["c"]

    def turned(p, xs):
        def turn(t, state):
            c, log = state
            c, s = step(p, c, xs[t])
            return c, log + s @ p["c"]

        return lax.fori_loop(0, len(xs), turn, (start, jnp.zeros(3, jnp.float32)))[1]

    return turned if loop == "fori" else stepped


def account(form, loop, **options):
    return joulax.count(program(form, loop), weights=0, spikes=1, **options)(P, X)[1]


@pytest.mark.parametrize("loop", ["scan", "fori", "written out"])
@pytest.mark.parametrize("form", list(FORMS)[1:])
def test_a_packed_state_is_the_states_in_it(form, loop):
    assert account(form, loop).exact() == account("a tuple", loop).exact()


def test_by_hand():
    exact = account("ravelled", "scan").exact()
    assert (exact["a"]["neurons"], exact["a"]["updates"]) == (5, 20)
    assert (exact["b"]["neurons"], exact["b"]["updates"]) == (5, 20)
    _, _, pack = FORMS["a tuple"]
    v, u, first, second = Z, Z, 0.0, 0.0
    for x in X:
        first += float(spike(0.9 * v + x @ P["a"]).sum())
        v, u, s = layers(P, v, u, x)
        second += float(s.sum())
    assert (exact["a"]["spikes"], exact["b"]["spikes"]) == (first, second)


@pytest.mark.parametrize("form", ["stacked", "side by side", "ravelled"])
def test_in_a_batch_and_by_neuron_and_step(form):
    batch = jnp.stack([X, 1 - X])
    for options in (dict(), dict(neurons=True), dict(steps=4)):
        found = []
        for name in ("a tuple", form):
            f = program(name, "scan")
            inside = joulax.count(jax.vmap(f, (None, 0)), weights=0, spikes=1, **options)
            outside = jax.vmap(joulax.count(f, weights=0, spikes=1, **options), (None, 0))
            found.append([inside(P, batch)[1], outside(P, batch)[1]])
        for tuple_, packed in zip(*found, strict=True):
            jax.tree.map(np.testing.assert_array_equal, packed.layers, tuple_.layers)


def test_a_packed_state_of_what_was_packed_outside():
    """The start is put together of data, and a loop inside of the loop carries it on."""

    def f(p, xs, packed):
        def step(c, x):
            v, u, s = layers(p, *unravel(c) if packed else c, x)
            return ravel_pytree((v, u))[0] if packed else (v, u), s

        start = (S @ p["b"], S * 0.1)
        start = ravel_pytree(start)[0] if packed else start
        twice = lambda c, x: (lambda out: (out[0], out[1][-1]))(
            lax.scan(step, c, jnp.stack([x, x]))
        )
        return lax.scan(twice, start, xs)[1]

    def found(packed):
        return joulax.count(lambda p, xs: f(p, xs, packed), weights=0, spikes=1)(P, X)[1].exact()

    assert found(True) == found(False)


def test_a_packed_state_of_potentials_and_spikes():
    """Both of both layers; spikes are spikes beside potentials."""

    def f(p, xs, pack, unpack, start):
        def step(c, x):
            v, s, u, z = unpack(c)
            v = 0.9 * v * (1 - s) + x @ p["a"]
            s = spike(v)
            u = 0.9 * u * (1 - z) + s @ p["b"]
            return pack(v, s, u, spike(u)), spike(u)

        return lax.scan(step, start, xs)[1] @ p["c"]

    ways = (
        (lambda *c: c, lambda c: c, (Z,) * 4),
        (lambda *c: jnp.stack(c), tuple, jnp.zeros((4, 5), jnp.float32)),
    )
    counted = lambda way: joulax.count(lambda p, xs: f(p, xs, *way), weights=0, spikes=1)(P, X)[1]
    one, other = map(counted, ways)
    assert one.exact() == other.exact()
    assert one.exact()["b"]["updates"] == 20


def test_one_layer_is_no_pack():
    """A potential and its adaptation: one population, however they are carried."""

    def f(p, xs):
        def step(c, x):
            v, b = c
            v = 0.9 * v + x @ p["a"]
            s = spike(v - b)
            return jnp.stack([v - 0.3 * s, 0.8 * b + s]), s

        return lax.scan(step, jnp.zeros((2, 5), jnp.float32), xs)[1] @ p["c"]

    exact = joulax.count(f, weights=0, spikes=1)(P, X)[1].exact()
    assert (exact["a"]["neurons"], exact["a"]["updates"]) == (5, 20)


def refractory(p, c, x):
    """One layer with recurrence: its spikes are part of the state."""
    v, s = c
    s = spike(0.9 * v * (1 - s) + x @ p["a"] + s @ p["b"])
    return (0.9 * v, s), s


def adaptive(p, c, x):
    """Two layers; spikes, a trace of spikes and a readout without spikes are part of the state."""
    v, s, b, u = c
    b = 0.9 * b + 0.1 * s
    v = 0.9 * v - s * (1 + b) + x @ p["a"] + s @ p["b"]
    s = spike(v - b)
    u = 0.8 * u + s @ p["c"]
    return (v, s, b, u), u


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize(("step", "sizes"), [(refractory, (5, 5)), (adaptive, (5, 5, 5, 3))])
def test_states_of_several_kinds(step, sizes, written):
    begin = tuple(jnp.zeros(n, jnp.float32) for n in sizes)
    flat, unpack = ravel_pytree(begin)

    def f(p, xs, packed):
        def one(c, x):
            c, out = step(p, unpack(c) if packed else c, x)
            return ravel_pytree(c)[0] if packed else c, out

        return over_steps(one, flat if packed else begin, xs, not written)

    def found(packed):
        return joulax.count(lambda p, xs: f(p, xs, packed), weights=0, spikes=1)(P, X)[1].exact()

    assert found(True) == found(False)
    assert found(True)["a"]["updates"] == 20
