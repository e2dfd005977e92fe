"""Neurons without weights: they integrate what other populations fire, one to one."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from .common import f32, spike, unchanged

RNG = np.random.default_rng(53)
N, H, T = 4, 6, 5
W, R = f32(RNG.integers(-1, 4, (N, H)) / 4), f32(RNG.integers(-1, 4, (H, H)) / 4)
X, Y = f32(RNG.integers(0, 2, (T, N))), f32(RNG.integers(0, 2, (T, H)))
KEPT, ZEROS = f32(0.5), jnp.zeros(H, jnp.float32)

FIRES = {
    "a comparison": lambda u, limit: (u > limit).astype(jnp.float32),
    "of a difference": lambda u, limit: (u - limit > 0).astype(jnp.float32),
    "a surrogate": lambda u, limit: spike(u - limit),
}
RESETS = {
    "to zero": lambda u, z, limit: u * (1 - z),
    "chosen": lambda u, z, limit: jnp.where(z > 0, 0, u),
    "by subtraction": lambda u, z, limit: u - limit * z,
    "none": lambda u, z, limit: u,
}


@pytest.mark.parametrize("limit", [0.4, 1.4])
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("fires", FIRES)
def test_a_population_that_spikes_alone_drive(fires, reset, limit):
    def f(p, xs):
        def step(u, x):
            u = KEPT * u + x
            z = FIRES[fires](u, f32(limit))
            return RESETS[reset](u, z, f32(limit)), (z, z @ p["r"])

        return lax.scan(step, ZEROS, xs)[1]

    account = unchanged(f, dict(r=R), Y, spikes=1)
    (relay,) = (r for name, r in account.items() if name != "r")
    spikes = float(f(dict(r=R), Y)[0].sum())
    found = [float(getattr(relay, k)) for k in ("neurons", "updates", "spikes")]
    assert found == [H, H * T, spikes]
    there = np.asarray(R) != 0
    assert float(account["r"].ac) == (np.asarray(f(dict(r=R), Y)[0]) @ there).sum()


JOINED = {
    "added": lambda a, b: a + b,
    "multiplied": lambda a, b: a * b,
    "the larger": jnp.maximum,
    "the mean": lambda a, b: (a + b) / 2,
}


@pytest.mark.parametrize("joined", JOINED)
def test_the_node_behind_a_shortcut_of_spikes(joined):
    """A spike-element-wise residual block: two layers, and a node without weights behind them."""

    def f(p, xs):
        def step(c, x):
            v, w, u = c
            v = KEPT * v + x @ p["a"]
            s = spike(v - f32(0.4))
            w = KEPT * w + s @ p["b"]
            t = spike(w - f32(0.4))
            u = KEPT * u + JOINED[joined](s, t)
            z = spike(u - f32(0.7))
            return (v * (1 - s), w * (1 - t), u * (1 - z)), (s, t, z)

        return lax.scan(step, (ZEROS, ZEROS, ZEROS), xs)[1]

    p = dict(a=W, b=R)
    account = unchanged(lambda p, xs: f(p, xs)[2], p, X, spikes=1)
    (node,) = (r for name, r in account.items() if name not in p)
    assert (float(node.neurons), float(node.updates)) == (H, H * T)
    fired = [float(z.sum()) for z in f(p, X)]
    assert [float(r.spikes) for r in (account["a"], account["b"], node)] == fired
