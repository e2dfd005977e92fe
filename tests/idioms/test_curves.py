"""Nonlinearities that are written out, and what only normalises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from joulax import count

from .common import f32

RNG = np.random.default_rng(67)
N, H, K, T, B = 7, 6, 3, 5, 4
P = {k: f32(RNG.normal(size=s)) for k, s in dict(w=(N, H), b=(H,), o=(H, K), r=(H, H)).items()}
X, LABELS = f32(RNG.normal(size=(B, N))), jax.nn.one_hot(jnp.arange(B) % K, K, dtype=jnp.float32)
ONE, TWO, SMALL = f32(1), f32(2), f32(1e-3)

CURVES = {
    "sigmoid": lambda a: ONE / (ONE + jnp.exp(-a)),
    "tanh": lambda a: (jnp.exp(a) - jnp.exp(-a)) / (jnp.exp(a) + jnp.exp(-a)),
    "swish": lambda a: a / (ONE + jnp.exp(-a)),
    "softplus": lambda a: jnp.log(ONE + jnp.exp(a)),
    "exponential": jnp.exp,
    "bell": lambda a: jnp.exp(-(a**2)),
    "softsign": lambda a: a / (ONE + jnp.abs(a)),
    "inverse root": lambda a: a / jnp.sqrt(ONE + a**2),
    "cauchy": lambda a: ONE / (ONE + a**2),
    "logarithm": lambda a: jnp.log1p(jnp.abs(a)),
    "cube": lambda a: a**3,
    "power": lambda a: jnp.abs(a) ** f32(1.5),
    "softmax of a layer": lambda a: jax.nn.softmax(jax.nn.relu(a)),
    "of a layer, by hand": lambda a: soft(jax.nn.relu(a)),
}
NORMAL = {
    "nothing": lambda a: TWO * a,
    "squares": lambda a: a * a,
    "absolute": jnp.abs,
    "softmax": jax.nn.softmax,
    "softmax by hand": lambda a: soft(a),
    "at a temperature": lambda a: jax.nn.softmax(a / TWO),
    "log softmax": jax.nn.log_softmax,
    "entropies": lambda a: -jax.nn.softmax(a) * jnp.log(jax.nn.softmax(a) + SMALL),
    "layer norm": lambda a: (
        (a - a.mean(-1, keepdims=True)) / jnp.sqrt(a.var(-1, keepdims=True) + SMALL)
    ),
    "root mean square": lambda a: a * lax.rsqrt((a * a).mean(-1, keepdims=True) + SMALL),
    "length": lambda a: a / jnp.sqrt((a * a).sum(-1, keepdims=True)),
    "batch norm": lambda a: (a - a.mean(0, keepdims=True)) / a.std(0, keepdims=True),
}
LOSSES = {
    "cross-entropy": lambda z, y: (jnp.log(jnp.exp(z).sum(-1)) - (z * y).sum(-1)).mean(),
    "of numbers": lambda z, y: (
        jnp.log(jnp.exp(z).sum(-1)) - z[jnp.arange(B), y.argmax(-1)]
    ).mean(),
    "of softmax": lambda z, y: -(y * jnp.log(soft(z))).sum(),
    "binary": lambda z, y: (jnp.log(ONE + jnp.exp(z)) - z * y).mean(),
    "poisson": lambda z, y: (jnp.exp(z) - y * z).mean(),
    "smooth": lambda z, y: jnp.sqrt((z - y) ** 2 + SMALL).mean(),
    "relative": lambda z, y: jnp.abs((z - y) / z).mean(),
    "root": lambda z, y: jnp.sqrt(((z - y) ** 2).mean()),
    "angles": lambda z, y: ((z * y).sum(-1) / jnp.sqrt((z * z).sum(-1) * (y * y).sum(-1))).mean(),
}


def soft(a):
    e = jnp.exp(a)
    return e / e.sum(-1, keepdims=True)


def sizes(f, *args):
    account = count(f, weights=0)(*args)[1]
    return {str(k): (float(r.neurons), float(r.updates)) for k, r in account.items() if r.neurons}


@pytest.mark.parametrize("curve", CURVES)
def test_a_curve_is_neurons(curve):
    f = lambda p, x: CURVES[curve](x @ p["w"] + p["b"][None]) @ p["o"]
    assert sizes(f, P, X) == {"w": (H, B * H)}


@pytest.mark.parametrize("normal", NORMAL)
def test_what_only_normalises_is_none(normal):
    f = lambda p, x: NORMAL[normal](x @ p["w"] + p["b"][None]) @ p["o"]
    assert sizes(f, P, X) == {}


@pytest.mark.parametrize("wrapped", ["loss", "gradient"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_that_is_written_out_is_none(loss, wrapped):
    f = lambda p, x, y: LOSSES[loss](x @ p["w"] @ p["o"], y)
    g = f if wrapped == "loss" else jax.value_and_grad(f)
    assert sizes(g, P, X, LABELS) == {}


@pytest.mark.parametrize("scores", [soft, jax.nn.softmax])
def test_attention_has_no_neurons(scores):
    def f(p, x):
        q, k, v = (x @ p[name] for name in "qkv")
        return scores(q @ k.T / TWO) @ v

    assert sizes(f, {k: P["w"] for k in "qkv"}, X) == {}


def test_a_recurrent_net_of_sigmoids_by_hand():
    def f(p, xs):
        step = lambda h, x: (lambda h: (h, h))(CURVES["sigmoid"](x @ p["w"] + h @ p["r"]))
        return lax.scan(step, jnp.zeros(H, jnp.float32), xs)[1]

    assert sizes(f, P, f32(RNG.normal(size=(T, N)))) == {"w": (H, T * H)}
