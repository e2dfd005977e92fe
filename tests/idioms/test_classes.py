"""Programs of every class that people write, each with its account worked out by hand or by NumPy.

`None` says that the layer must not have the field; "refused" that `count` must not stay silent.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import f32

RNG = np.random.default_rng(1)


W, V = f32(RNG.normal(size=(5, 7))), f32(RNG.normal(size=(7, 3)))
P = {"a": W, "b": V}
X = f32(RNG.random((12, 5)) < 0.4)  # 12 steps or samples of 5 spikes
S, A = X[0], f32(RNG.normal(size=(12, 5)))  # one of them; analog inputs
NX = np.asarray(X)
FIRED = (NX @ np.asarray(W)) > 0.5
PROGRAMS = {}
ONE = dict(weights=0, spikes=1)


def program(name, args, want, **options):
    """Register a program of parameters and data with what its account must say."""

    def register(function):
        assert name not in PROGRAMS
        PROGRAMS[name] = (function, args, want, options)
        return function

    return register


def _lif(p, xs):
    def step(v, x):
        v = 0.9 * v + x @ p["a"]
        s = (v > 0.5) * 1.0
        return v - s, s

    return lax.scan(step, jnp.zeros(7), xs)[1]


@program("gather rows data idx summed", (P, jnp.array([0, 2, 2])), {"a": dict(ac=21)}, weights=0)
def p0(p, i):
    return p["a"][i].sum(0)


@program("embedding only", (P, jnp.array([0, 2, 2])), {"a": dict(ac=None, lookups=21)}, weights=0)
def p1(p, i):
    return jnp.tanh(p["a"][i])


@program("embedding then dense", (P, jnp.array([0, 2, 2])), {"b": dict(mac=63)}, weights=0)
def p2(p, i):
    return p["a"][i] @ p["b"]


@program(
    "xor",
    (P, X, X[::-1]),
    {"a": dict(ac=(NX != NX[::-1]).sum() * 7, mac=None)},
    weights=0,
    spikes=(1, 2),
)
def p3(p, y, z):
    return (y + z - 2 * y * z) @ p["a"]


@program(
    "xor bool",
    (P, X, X[::-1]),
    {"a": dict(ac=(NX != NX[::-1]).sum() * 7, mac=None)},
    weights=0,
    spikes=(1, 2),
)
def p4(p, y, z):
    return jnp.logical_xor(y > 0, z > 0).astype(jnp.float32) @ p["a"]


@program(
    "or",
    (P, X, X[::-1]),
    {"a": dict(ac=((NX + NX[::-1]) > 0).sum() * 7, mac=None)},
    weights=0,
    spikes=(1, 2),
)
def p5(p, y, z):
    return (y + z - y * z) @ p["a"]


@program(
    "max",
    (P, X, X[::-1]),
    {"a": dict(ac=((NX + NX[::-1]) > 0).sum() * 7, mac=None)},
    weights=0,
    spikes=(1, 2),
)
def p6(p, y, z):
    return jnp.maximum(y, z) @ p["a"]


@program("pm1 net", (P, X), {"b": dict(ac=12 * 21, mac=None)}, **ONE)
def p7(p, x):
    return jnp.sign(x @ p["a"] + 0.1) @ p["b"]


@program("pm1 2s-1", (P, X), {"b": dict(ac=12 * 21, mac=None)}, **ONE)
def p8(p, x):
    return (2 * ((x @ p["a"]) > 0.5).astype(jnp.float32) - 1) @ p["b"]


@program("where pm1", (P, X), {"b": dict(ac=12 * 21, mac=None)}, **ONE)
def p9(p, x):
    return jnp.where(x @ p["a"] > 0.5, 1.0, -1.0) @ p["b"]


@program("STE round", (P, A), {"a": dict(ac=None)}, weights=0)
def p10(p, x):
    return (x + lax.stop_gradient(jnp.round(x) - x)) @ p["a"]


@program("STE sign", (P, A), {"a": dict(ac=12 * 35, mac=None)}, weights=0)
def p11(p, x):
    return (x + lax.stop_gradient(jnp.sign(x) - x)) @ p["a"]


@program("STE hard clip", (P, A), {"a": dict(mac=None)}, weights=0)
def p12(p, x):
    soft = jnp.clip(x, 0, 1)
    return (soft + lax.stop_gradient((x > 0.5) * 1.0 - soft)) @ p["a"]


@program("avg pool spikes", (P, f32(RNG.random((4, 10)) < 0.5)), {"a": dict(mac=None)}, **ONE)
def p13(p, x):
    return x.reshape(4, 5, 2).mean(-1) @ p["a"]


@program("SEW add", (P, X), {"a": dict(mac=None)}, **ONE)
def p14(p, x):
    s = ((x @ p["a"]) > 0.5) * 1.0
    return (x + s[:, :5]) @ p["a"]


@program(
    "uint8 analog",
    (P, jnp.asarray(RNG.integers(0, 255, (3, 5)), jnp.uint8)),
    {"a": dict(ac=None)},
    weights=0,
)
def p15(p, x):
    return (x / 255) @ p["a"]


@program(
    "uint8 int dot",
    (P, jnp.asarray(RNG.integers(0, 255, (3, 5)), jnp.uint8)),
    {"a": dict(ac=None)},
    weights=0,
)
def p16(p, x):
    return x.astype(jnp.float32) @ p["a"]


@program("dropconnect on analog", (P, A, jax.random.key(0)), {"a": dict(ac=None)}, weights=0)
def p17(p, x, k):
    return x @ (p["a"] * jax.random.bernoulli(k, 0.5, (5, 7)))


@program(
    "dropconnect spikes", (P, X, jax.random.key(0)), {"a": dict(mac=None)}, weights=0, spikes=1
)
def p18(p, x, k):
    return x @ (p["a"] * jax.random.bernoulli(k, 0.5, (5, 7)))


@program("dropout on spikes", (P, X, jax.random.key(0)), {"a": dict(mac=None)}, weights=0, spikes=1)
def p19(p, x, k):
    return (x * jax.random.bernoulli(k, 0.5, (12, 5)) / 0.5) @ p["a"]


@program(
    "expert by data idx",
    ({"w": f32(RNG.normal(size=(3, 5, 7)))}, S, jnp.array(2)),
    {"w": dict(mac=None, ac=NX[0].sum() * 7)},
    weights=0,
    spikes=1,
)
def p20(p, x, i):
    return x @ p["w"][i]


@program("hebb plasticity", (P, X), {"a": dict(mac=None)}, **ONE)
def p21(p, xs):
    def step(w, x):
        y = x @ w
        s = (y > 0.5) * 1.0
        return w + 0.01 * jnp.outer(x, s), s

    return lax.scan(step, p["a"], xs)[1]


@program(
    "segment_sum analog", ({"w": f32(RNG.normal(size=20))}, A[0]), {"w": dict(mac=20)}, weights=0
)
def p22(p, s):
    return jax.ops.segment_sum(p["w"] * s[np.arange(20) % 5], np.arange(20) % 7, 7)


@program("at add loop over events", (P, S), {"a": dict(ac=NX[0].sum() * 7)}, **ONE)
def p23(p, s):
    def body(i, acc):
        return acc + jnp.where(s[i] > 0, p["a"][i], 0.0)

    return lax.fori_loop(0, 5, body, jnp.zeros(7))


@program("loop adding row*s", (P, S), {"a": dict(ac=NX[0].sum() * 7)}, **ONE)
def p24(p, s):
    def body(i, acc):
        return acc + s[i] * p["a"][i]

    return lax.fori_loop(0, 5, body, jnp.zeros(7))


@program("scan over rows", (P, S), {"a": dict(ac=NX[0].sum() * 7)}, **ONE)
def p25(p, s):
    def body(acc, ws):
        return acc + ws[0] * ws[1], None

    return lax.scan(body, jnp.zeros(7), (p["a"], s))[0]


@program("scan over rows cond", (P, S), {"a": dict(ac=NX[0].sum() * 7, dense_ac=35)}, **ONE)
def p26(p, s):
    def body(acc, ws):
        return lax.cond(ws[1] > 0, lambda: acc + ws[0], lambda: acc), None

    return lax.scan(body, jnp.zeros(7), (p["a"], s))[0]


@program("stencil by roll", ({"k": f32([1, 2, 3.0])}, S), {"k": dict(ac=NX[0].sum() * 3)}, **ONE)
def p27(p, s):
    return jnp.tanh(sum(p["k"][i] * jnp.roll(s, i) for i in range(3)))


@program("mean gamma", ({"g": f32(RNG.normal(size=5))}, A), {"g": dict(mac=60)}, weights=0)
def p28(p, x):
    return (x * p["g"]).mean(-1)


@program(
    "layernorm gamma no site",
    ({"g": f32(RNG.normal(size=5)), "b": f32(RNG.normal(size=5))}, A),
    {},
    weights=0,
)
def p29(p, x):
    return (x - x.mean(-1, keepdims=True)) / jnp.std(x, axis=-1, keepdims=True) * p["g"] + p["b"]


@program(
    "einsum ij,j->i", ({"w": f32(RNG.normal(size=(7, 5)))}, A), {"w": dict(mac=12 * 35)}, weights=0
)
def p30(p, x):
    return jnp.einsum("ij,bj->bi", p["w"], x)


@program(
    "vmap nested neurons",
    (P, f32(RNG.random((4, 12, 5)) < 0.5)),
    {"a": dict(neurons=7, synapses=35, updates=4 * 12 * 7)},
    **ONE,
)
def p31(p, x):
    return jax.vmap(jax.vmap(lambda v: jnp.tanh(v @ p["a"])))(x)


@program(
    "vmap over middle",
    (P, f32(RNG.random((5, 12)) < 0.5)),
    {"a": dict(neurons=7, synapses=35, updates=12 * 7)},
    **ONE,
)
def p32(p, x):
    return jax.vmap(lambda v: jnp.tanh(v @ p["a"]), in_axes=1)(x)


@program(
    "reshape merge batch time",
    (P, f32(RNG.random((4, 12, 5)) < 0.5)),
    {"a": dict(neurons=7, synapses=35, updates=48 * 7)},
    **ONE,
)
def p33(p, x):
    return jnp.tanh(x.reshape(48, 5) @ p["a"]).reshape(4, 12, 7)


@program("relu behind pool", (P, X), {"a": dict(updates=12 * 3)}, **ONE)
def p34(p, x):
    return jax.nn.relu((x @ p["a"])[:, :6].reshape(12, 3, 2).mean(-1))


@program("lif with refractory", (P, X), {"a": dict(updates=84, neurons=7)}, **ONE)
def p35(p, xs):
    def step(c, x):
        v, r = c
        v = 0.9 * v + x @ p["a"]
        s = ((v > 0.5) & (r <= 0)) * 1.0
        return (v - s, jnp.where(s > 0, 2.0, jnp.maximum(r - 1, 0))), s

    return lax.scan(step, (jnp.zeros(7), jnp.zeros(7)), xs)[1]


@program(
    "LSTM",
    ({"wi": f32(RNG.normal(size=(28, 5))), "wh": f32(RNG.normal(size=(28, 7)))}, A),
    {"wi": dict(updates=12 * 7, neurons=7), "wh": dict(updates=None)},
    weights=0,
)
def p36(p, xs):
    def step(c, x):
        h, cc = c
        g = p["wi"] @ x + p["wh"] @ h
        i, f, o, z = jnp.split(g, 4)
        cc = jax.nn.sigmoid(f) * cc + jax.nn.sigmoid(i) * jnp.tanh(z)
        h = jax.nn.sigmoid(o) * jnp.tanh(cc)
        return (h, cc), h

    return lax.scan(step, (jnp.zeros(7), jnp.zeros(7)), xs)[1]


@program(
    "S5 scan none",
    ({"l": f32(RNG.random(5)), "b": f32(RNG.normal(size=(5, 5)))}, A),
    {"b": dict(mac=12 * 25, neurons=5, updates=12 * 5)},
    weights=0,
)
def p37(p, xs):
    bu = xs @ p["b"].T

    def op(a, b):
        return a[0] * b[0], b[0] * a[1] + b[1]

    return lax.associative_scan(op, (jnp.broadcast_to(p["l"], (12, 5)), bu))[1]


@program("assoc leaky trace then W analog", (P, X), {"a": dict(ac=None)}, **ONE)
def p38(p, xs):
    def op(a, b):
        return a[0] * b[0], b[0] * a[1] + b[1]

    tr = lax.associative_scan(op, (jnp.full((12, 5), 0.9), xs))[1]
    return tr @ p["a"]


@program("cumsum read in loop analog", (P, X), {"a": dict(ac=None)}, **ONE)
def p39(p, xs):
    def step(c, x):
        c = c + x
        return c, c @ p["a"]

    return lax.scan(step, jnp.zeros(5), xs)[1]


@program("counter after loop events", (P, X), {"a": dict(mac=None, ac=NX.sum() * 7)}, **ONE)
def p40(p, xs):
    c = lax.scan(lambda c, x: (c + x, None), jnp.zeros(5), xs)[0]
    return c @ p["a"]


@program("delay line", (P, X), {"a": dict(mac=None)}, **ONE)
def p41(p, xs):
    def step(buf, x):
        buf = jnp.concatenate([buf[1:], x[None]])
        return buf, buf[0] @ p["a"]

    return lax.scan(step, jnp.zeros((3, 5)), xs)[1]


@program(
    "ragged_dot", ({"w": f32(RNG.normal(size=(2, 5, 7)))}, X), {"w": dict(ac=NX.sum() * 7)}, **ONE
)
def p42(p, x):
    return lax.ragged_dot(x, p["w"], jnp.array([5, 7]))


@program("two weights cond", ({"w1": W, "w2": 2 * W}, S), {"w1": dict(mac=None)}, **ONE)
def p43(p, s):
    w = lax.cond(s.sum() > 2, lambda: p["w1"], lambda: p["w2"])
    return s @ w


@program(
    "event list to frame",
    (P, jnp.array([0, 1, 1, 4])),
    {"a": dict(ac=28, ac_graded=21, mac=None)},
    weights=0,
)
def p44(p, i):
    return jnp.zeros(5).at[i].add(1.0) @ p["a"]


@program("bincount", (P, jnp.array([0, 1, 1, 4])), {"a": dict(ac=28, mac=None)}, weights=0)
def p45(p, i):
    return jnp.bincount(i, length=5).astype(jnp.float32) @ p["a"]


@program("stateful spikes closed over", (P,), "refused", weights=0)
def p46(p):
    return X @ p["a"]


@program("pad shift stencil", ({"k": f32([1, 2.0])}, S), {"k": dict(synapses=10)}, **ONE)
def p47(p, s):
    return jnp.tanh(p["k"][0] * s + p["k"][1] * jnp.pad(s, (1, 0))[:-1])


@program("token shift", ({"m": f32(RNG.random(5))}, A), {}, weights=0)
def p48(p, x):
    prev = jnp.concatenate([jnp.zeros((1, 5)), x[:-1]])
    return jnp.tanh(x * p["m"] + prev * (1 - p["m"]))


@program(
    "rope",
    ({"w": f32(RNG.normal(size=(4, 4)))}, f32(RNG.normal(size=(6, 4)))),
    {"w": dict(mac=96)},
    weights=0,
)
def p49(p, x):
    q = x @ p["w"]
    th = jnp.arange(6)[:, None] * jnp.array([1.0, 0.1])
    c, s = jnp.cos(th), jnp.sin(th)
    a, b = q[:, :2], q[:, 2:]
    return jnp.concatenate([a * c - b * s, a * s + b * c], -1)


@program(
    "conv1d depthwise by hand",
    ({"k": f32(RNG.normal(size=(3, 5)))}, A),
    {"k": dict(mac=12 * 5 * 3 - 5 - 5 * 2)},
    weights=0,
)
def p50(p, x):
    xp = jnp.concatenate([jnp.zeros((2, 5)), x])
    return jnp.tanh(sum(p["k"][i] * xp[2 - i : 14 - i] for i in range(3)))


@program("sum of einsum outer", (P, A[0]), {"a": dict(mac=35)}, weights=0)
def p51(p, x):
    return jnp.tanh(jnp.sum(x[:, None] * p["a"], axis=0))


@program("vmap handwritten", (P, A), {"a": dict(mac=12 * 35, synapses=35, neurons=7)}, weights=0)
def p52(p, x):
    return jax.vmap(lambda v: jnp.tanh((p["a"] * v[:, None]).sum(0)))(x)


@program("vmap dot vec", (P, A), {"a": dict(mac=12 * 35, synapses=35, neurons=7)}, weights=0)
def p53(p, x):
    return jax.vmap(lambda v: jnp.tanh(jax.vmap(lambda col: jnp.dot(col, v), in_axes=1)(p["a"])))(x)


@program(
    "vmap rows ensembles",
    ({"w": f32(RNG.normal(size=(4, 5, 7)))}, A[0]),
    {"w": dict(mac=140, synapses=140, neurons=28)},
    weights=0,
)
def p54(p, x):
    return jax.vmap(lambda w: jnp.tanh(x @ w))(p["w"])


@program(
    "static slices two layers",
    ({"w": f32(RNG.normal(size=(2, 5, 5)))}, X),
    {"w": dict(synapses=50, neurons=10)},
    **ONE,
)
def p55(p, x):
    h = (x @ p["w"][0] > 0.5) * 1.0
    return (h @ p["w"][1] > 0.5) * 1.0


@program(
    "a weight whole and by rows",
    (P, S),
    {"a": dict(dense=35 + 14, synapses=35, nonzero=35)},
    **ONE,
)
def p55b(p, x):
    return x @ p["a"] + x[0] * p["a"][0] + x[1] * p["a"][1]


@program(
    "a weight and its transpose",
    (P, S),
    {"a": dict(dense=70, synapses=35, nonzero=35)},
    **ONE,
)
def p55c(p, x):
    return ((x @ p["a"] > 0.5) * 1.0) @ p["a"].T


@program("cubalif", (P, X), {"a": dict(neurons=7, updates=84)}, **ONE)
def p56(p, xs):
    def step(c, x):
        i, v = c
        i = 0.8 * i + x @ p["a"]
        v = 0.9 * v + i
        s = (v > 0.5) * 1.0
        return (i, v - s), s @ p["b"]

    return lax.scan(step, (jnp.zeros(7), jnp.zeros(7)), xs)[1]


@program("alif", (P, X), {"a": dict(neurons=7, updates=84)}, **ONE)
def p57(p, xs):
    def step(c, x):
        v, a = c
        v = 0.9 * v + x @ p["a"]
        s = (v - 0.1 * a > 0.5) * 1.0
        a = 0.95 * a + s
        return (v - s * (0.5 + 0.1 * a), a), s @ p["b"]

    return lax.scan(step, (jnp.zeros(7), jnp.zeros(7)), xs)[1]


@program("alif packed stack", (P, X), {"a": dict(neurons=7, updates=84)}, **ONE)
def p58(p, xs):
    def step(c, x):
        v, a = c[0], c[1]
        v = 0.9 * v + x @ p["a"]
        s = (v - 0.1 * a > 0.5) * 1.0
        a = 0.95 * a + s
        return jnp.stack([v - s, a]), s @ p["b"]

    return lax.scan(step, jnp.zeros((2, 7)), xs)[1]


@program("two compartments", (P, X), {"a": dict(neurons=7, updates=84)}, **ONE)
def p59(p, xs):
    def step(c, x):
        d, v = c
        d = 0.8 * d + x @ p["a"]
        v = 0.9 * v + 0.5 * jnp.tanh(d)
        s = (v > 0.5) * 1.0
        return (d, v - s), s

    return lax.scan(step, (jnp.zeros(7), jnp.zeros(7)), xs)[1]


@program("leaky readout", (P, X), {"b": dict(neurons=3, updates=36)}, **ONE)
def p60(p, xs):
    def step(c, x):
        v, o = c
        v = 0.9 * v + x @ p["a"]
        s = (v > 0.5) * 1.0
        o = 0.9 * o + s @ p["b"]
        return (v - s, o), o

    return lax.scan(step, (jnp.zeros(7), jnp.zeros(3)), xs)[1]


@program("softmax no neurons", (P, A), {"a": dict(updates=None)}, weights=0)
def p61(p, x):
    return jax.nn.softmax(x @ p["a"])


@program("logged thrice", (P, X), {"a": dict(spikes=float(FIRED.sum()))}, **ONE)
def p62(p, x):
    z = x @ p["a"] > 0.5
    s = z.astype(jnp.float32)
    return s @ p["b"], z.sum(), s.mean(0), jnp.where(z, 1, 0)


@program("spikes maxpool", (P, X), {"a": dict(spikes=float(FIRED.sum()))}, **ONE)
def p63(p, x):
    s = (x @ p["a"] > 0.5) * 1.0
    return s[:, :6].reshape(12, 3, 2).max(-1)


@program(
    "spikes dropout counted before",
    (P, X, jax.random.key(1)),
    {"a": dict(spikes=float(FIRED.sum()))},
    weights=0,
    spikes=1,
)
def p64(p, x, k):
    s = (x @ p["a"] > 0.5) * 1.0
    return (s * jax.random.bernoulli(k, 0.5, s.shape)) @ p["b"]


@program(
    "poisson encoder",
    (P, jnp.abs(A[:, :5]) / 3, jax.random.key(0)),
    {"a": dict(mac=None), "input[0]": dict(updates=None)},
    weights=0,
)
def p65(p, x, k):
    return (jax.random.uniform(k, (12, 5)) < x) @ p["a"]


@program("noise only not spikes", (P, A, jax.random.key(0)), {"a": dict(ac=None)}, weights=0)
def p66(p, x, k):
    return jax.nn.relu(x + jax.random.normal(k, (12, 5))) @ p["a"]


@program("bitwise int spikes", (P, X), {"a": dict(mac=None)}, **ONE)
def p67(p, x):
    b = (x > 0).astype(jnp.int32)
    c = jnp.roll(b, 1, 0)
    return ((b ^ c) & 1).astype(jnp.float32) @ p["a"]


@program("declared spikes inside", (P, A), {"a": dict(mac=None)}, weights=0)
def p68(p, x):
    return joulax.spikes(jnp.round(jnp.clip(x, 0, 1))) @ p["a"]


@program(
    "declared synapses",
    ({"w": f32(RNG.normal(size=5))}, X),
    {"w": dict(ac=NX.sum(), synapses=5)},
    **ONE,
)
def p69(p, x):
    return joulax.synapses(p["w"] * x)


@program("first spike mask", (P, X), {"a": dict(mac=None)}, **ONE)
def p70(p, xs):
    def step(seen, x):
        new = x * (1 - seen)
        return jnp.maximum(seen, x), new @ p["a"]

    return lax.scan(step, jnp.zeros(5), xs)[1]


@program("kwta spikes", (P, A), {"a": dict(mac=None, ac=12 * 2 * 7)}, weights=0)
def p71(p, x):
    th = lax.top_k(x, 2)[0][:, -1:]
    return ((x >= th) * 1.0) @ p["a"]


@program("spike sorted", (P, X), {"a": dict(ac=NX.sum() * 7)}, **ONE)
def p72(p, x):
    return jnp.sort(x, axis=-1) @ p["a"]


@program("bcoo weights spikes", (P, S), {"a": dict(ac=NX[0].sum() * 7)}, **ONE)
def p73(p, s):
    from jax.experimental import sparse

    return sparse.BCOO.fromdense(p["a"].T, nse=35) @ s


@program("bcsr", (P, S), {"a": dict(ac=NX[0].sum() * 7)}, **ONE)
def p74(p, s):
    from jax.experimental import sparse

    return sparse.BCSR.fromdense(p["a"].T, nse=35) @ s


@program("remat", (P, X), {"a": dict(ac=NX.sum() * 7)}, **ONE)
def p75(p, x):
    return jax.checkpoint(lambda x: jnp.tanh(x @ p["a"]))(x)


@program("fft listed", (P, A), {"a": dict(mac=12 * 5 * 7)}, weights=0)
def p76(p, x):
    return jnp.abs(jnp.fft.fft(x)) @ p["a"]


@program("lost: sort of w*x summed", ({"w": f32(RNG.normal(size=5))}, A), "refused", weights=0)
def p77(p, x):
    return jnp.sort(x * p["w"], axis=-1)


@program("cumsum w*x", ({"w": f32(RNG.normal(size=5))}, A[0]), {"w": dict(mac=15)}, weights=0)
def p78(p, x):
    return jnp.cumsum(x * p["w"])


@program("prod none", ({"w": f32(RNG.normal(size=5))}, A[0]), {}, weights=0)
def p79(p, x):
    return jnp.prod(1 + x * p["w"])


@program("max over w+x none", (P, A[0]), {}, weights=0)
def p80(p, x):
    return jnp.max(p["a"] + x[:, None], 0)


@program("logsumexp of W+x (CRF) none", (P, A[0]), {}, weights=0)
def p81(p, x):
    return jax.nn.logsumexp(p["a"] + x[:, None], 0)


@program("euclid dist", (P, A[0]), {}, weights=0)
def p82(p, x):
    return jnp.sum((p["a"] - x[:, None]) ** 2, 0)


@program(
    "edges gat segment", ({"w": f32(RNG.normal(size=(5, 4)))}, A[0]), {"w": dict(mac=16)}, weights=0
)
def p83(p, x):
    h = x[:, None] * p["w"]
    return jax.ops.segment_sum(h[np.array([0, 1, 2, 3])], np.array([0, 0, 1, 1]), 2)


@program("hand where sum", (P, S), {"a": dict(ac=NX[0].sum() * 7)}, **ONE)
def p84(p, s):
    return jnp.tanh(jnp.where(s[:, None] > 0, p["a"], 0).sum(0))


@program("select rows bool index", (P, S), {"a": dict(ac=NX[0].sum() * 7)}, **ONE)
def p85(p, s):
    return jnp.tanh((p["a"] * (s > 0)[:, None]).sum(0))


@program(
    "tensordot 3d",
    ({"w": f32(RNG.normal(size=(2, 3, 4)))}, f32(RNG.random((6, 2, 3)) < 0.5)),
    {"w": dict(synapses=24, neurons=4)},
    **ONE,
)
def p86(p, x):
    return jnp.tanh(jnp.tensordot(x, p["w"], 2))


@program(
    "multihead",
    ({"w": f32(RNG.normal(size=(2, 5, 3)))}, X),
    {"w": dict(synapses=30, neurons=6)},
    **ONE,
)
def p87(p, x):
    return jnp.tanh(jnp.einsum("td,hdk->htk", x, p["w"]))


@program(
    "reshape heads",
    ({"w": f32(RNG.normal(size=(5, 6)))}, X),
    {"w": dict(synapses=30, neurons=6, updates=72)},
    **ONE,
)
def p88(p, x):
    return jnp.tanh((x @ p["w"]).reshape(12, 2, 3).transpose(1, 0, 2))


@program(
    "threshold broadcast (quantiser levels)", (P, X), {"a": dict(neurons=7, updates=84)}, **ONE
)
def p89(p, x):
    v = x @ p["a"]
    return (v[..., None] > jnp.array([0.5, 1.0, 1.5])).sum(-1)


@program("pairwise diff", (P, X), {"a": dict(neurons=7)}, **ONE)
def p90(p, x):
    v = x @ p["a"]
    return jnp.tanh(v[:, :, None] - v[:, None, :])


@program("clip(v,0,inf) relu form", (P, X), {"a": dict(updates=84)}, **ONE)
def p91(p, x):
    return jnp.clip(x @ p["a"], 0, None)


@program("leaky relu", (P, X), {"a": dict(updates=84, spikes=None)}, **ONE)
def p92(p, x):
    return jax.nn.leaky_relu(x @ p["a"])


@program("gelu", (P, A), {"a": dict(updates=84)}, weights=0)
def p93(p, x):
    return jax.nn.gelu(x @ p["a"])


@program("relu then count updates twice?", (P, A), {"a": dict(updates=84)}, weights=0)
def p94(p, x):
    h = x @ p["a"]
    return jax.nn.relu(h) + jax.nn.tanh(h)


@program("relu grad mask spikes?", (P, A), {"a": dict(updates=84, spikes=None)}, weights=0)
def p95(p, x):
    h = x @ p["a"]
    return h * (h > 0)


@program("gated glu", (P, A), {"a": dict(updates=84)}, weights=0)
def p96(p, x):
    h = x @ p["a"]
    return h * jax.nn.sigmoid(h)


@program(
    "mixed analog plus spikes recurrent",
    ({**P, "r": f32(RNG.normal(size=(7, 7)))}, A),
    {"a": dict(ac=None, updates=84), "r": dict(mac=None)},
    weights=0,
)
def p97(p, xs):
    def step(c, x):
        v, s = c
        v = 0.9 * v + x @ p["a"] + s @ p["r"]
        s = (v > 0.5) * 1.0
        return (v - s, s), s

    return lax.scan(step, (jnp.zeros(7), jnp.zeros(7)), xs)[1]


@program(
    "concat input+recurrent one matrix",
    ({"w": f32(RNG.normal(size=(12, 7)))}, X),
    {"w": dict(mac=None, updates=84, synapses=84)},
    **ONE,
)
def p98(p, xs):
    def step(c, x):
        v, s = c
        v = 0.9 * v + jnp.concatenate([x, s]) @ p["w"]
        s = (v > 0.5) * 1.0
        return (v - s, s), s

    return lax.scan(step, (jnp.zeros(7), jnp.zeros(7)), xs)[1]


@program(
    "weight norm", ({"w": W, "g": f32(RNG.normal(size=7))}, X), {"w": dict(ac=NX.sum() * 7)}, **ONE
)
def p99(p, x):
    w = p["w"] / jnp.linalg.norm(p["w"], axis=0) * p["g"]
    return x @ w


@program(
    "hypernet",
    ({"h": f32(RNG.normal(size=(3, 35)))}, S, f32(RNG.normal(size=3))),
    {"h": dict(mac=3 * 35)},
    weights=0,
    spikes=1,
)
def p100(p, s, z):
    return s @ (z @ p["h"]).reshape(5, 7)


@program(
    "weight noise data key",
    (P, X, jax.random.key(0)),
    {"a": dict(mac=None, ac=NX.sum() * 7)},
    weights=0,
    spikes=1,
)
def p101(p, x, k):
    return x @ (p["a"] + 0.1 * jax.random.normal(k, (5, 7)))


@program("quantised weights", (P, X), {"a": dict(mac=None)}, **ONE)
def p102(p, x):
    return x @ (jnp.round(p["a"] * 8) / 8)


@program("binary weights sign", (P, A), {"a": dict(ac=None)}, weights=0)
def p103(p, x):
    return x @ jnp.sign(p["a"])


@program("fori fixed steps", (P, S), {"a": dict(ac=NX[0].sum() * 7 * 4, updates=28)}, **ONE)
def p104(p, x):
    def body(i, c):
        v, o = c
        v = 0.9 * v + x @ p["a"]
        s = (v > 0.5) * 1.0
        return v - s, o + s

    return lax.fori_loop(0, 4, body, (jnp.zeros(7), jnp.zeros(7)))[1]


@program("spike count output then dense", (P, X), {"b": dict(mac=None)}, **ONE)
def p105(p, xs):
    return _lif(p, xs).sum(0) @ p["b"]


@program("rate (mean) then dense", (P, X), {"b": dict(mac=None)}, **ONE)
def p106(p, xs):
    return _lif(p, xs).mean(0) @ p["b"]


@program(
    "conv net",
    ({"k": f32(RNG.normal(size=(3, 3, 1, 4)))}, f32(RNG.random((2, 6, 6, 1)) < 0.5)),
    {"k": dict(neurons=6 * 6 * 4, mac=None)},
    **ONE,
)
def p107(p, x):
    return jnp.tanh(
        lax.conv_general_dilated(
            x, p["k"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    )


@program("part as a product, one row by hand", (P, S), {"a": dict(ac=NX[0].sum() * 7)}, **ONE)
def p108(p, s):
    return jnp.tanh(s[:4] @ p["a"][:4] + s[4] * p["a"][4])


@program(
    "two kinds in one sum by hand",
    (P, S, A[0]),
    {"a": dict(ac=NX[0].sum() * 7, mac=35)},
    weights=0,
    spikes=1,
)
def p109(p, s, a):
    return jnp.tanh((p["a"] * s[:, None] + p["a"] * a[:, None]).sum(0))


@program(
    "two weights in one sum by hand",
    ({"a": W, "c": W + 1}, S, A[0]),
    {"a": dict(ac=NX[0].sum() * 7, mac=None), "c": dict(ac=None, mac=35)},
    weights=0,
    spikes=1,
)
def p110(p, s, a):
    return jnp.tanh((p["a"] * s[:, None] + p["c"] * a[:, None]).sum(0))


@program(
    "layer normalisation is no population",
    (P, A),
    {"a": dict(neurons=None, updates=None), "b": dict(mac=12 * 21)},
    weights=0,
)
def p111(p, x):
    y = x @ p["a"]
    y = y - y.mean(-1, keepdims=True)
    return (y * lax.rsqrt(jnp.maximum(0, (y * y).mean(-1, keepdims=True)) + 1e-3)) @ p["b"]


@program(
    "normalisation, then neurons",
    (P, A),
    {"a": dict(neurons=7, updates=84), "b": dict(mac=12 * 21)},
    weights=0,
)
def p112(p, x):
    return jnp.tanh(p111(p | {"b": jnp.eye(7)}, x)) @ p["b"]


@program("gain, then rows by hand", (P | {"g": W[:, 0]}, S), {"a": dict(ac=NX[0].sum() * 7)}, **ONE)
def p113(p, s):
    x = p["g"] * s
    return lax.scan(lambda acc, wx: (acc + wx[0] * wx[1], None), jnp.zeros(7), (p["a"], x))[0]


@program("an embedding row, then rows by hand", (P, jnp.array(2)), {"b": dict(mac=21)}, weights=0)
def p114(p, i):
    return lax.scan(lambda acc, wx: (acc + wx[0] * wx[1], None), jnp.zeros(3), (p["b"], p["a"][i]))[
        0
    ]


@program(
    "attention's three projections share a gradient record",
    ({k: W[:, :5] for k in ("q", "k", "v")}, A[:4]),
    {"k, q, v (weight gradient)": dict(mac=3 * 4 * 25), "q": dict(mac=4 * 25)},
    weights=0,
)
def p115(p, x):
    def loss(p):
        q, k, v = (x @ p[n] for n in "qkv")
        return jnp.sum((jax.nn.softmax(q @ k.T) @ v) ** 2)

    return jax.grad(loss)(p)


def _network(p, x):
    return jnp.sum((jnp.tanh(x @ p["a"]) @ p["b"]) ** 2)


FORWARD = {"a": dict(mac=12 * 35), "b": dict(mac=12 * 21)}
BACK = {
    "a (weight gradient)": dict(mac=12 * 35),
    "b (weight gradient)": dict(mac=12 * 21),
    "b (input gradient)": dict(mac=12 * 21),
}


@program("gradients by layer and direction", (P, A), FORWARD | BACK, weights=0)
def p116(p, x):
    return jax.value_and_grad(_network)(p, x)


@program(
    "what is computed again",
    (P, A),
    FORWARD | BACK | {"a (recomputed)": dict(mac=12 * 35), "b (recomputed)": dict(mac=12 * 21)},
    weights=0,
)
def p117(p, x):
    return jax.value_and_grad(jax.checkpoint(_network))(p, x)


@program(
    "gradients through a loop over time",
    (P, A),
    FORWARD | BACK,
    weights=0,
)
def p118(p, xs):
    def loss(p):
        def step(v, x):
            v = 0.9 * v + x @ p["a"]
            return v, jnp.tanh(v) @ p["b"]

        return jnp.sum(lax.scan(step, jnp.zeros(7), xs)[1] ** 2)

    return jax.value_and_grad(loss)(p)


@program("convolution by Fourier transform", (P, A[0]), "refused", weights=0)
def p119(p, x):
    return jnp.fft.irfft(jnp.fft.rfft(p["a"][:, 0]) * jnp.fft.rfft(x), n=5)


@program("a factor of a weight", (P, X), {"a": dict(ac=NX.sum() * 5)}, **ONE)
def p120(p, x):
    return x @ jnp.linalg.qr(p["a"][:, :5])[0]


@program(
    "stop when the readout is sure",
    (P, X),
    {"a": dict(neurons=7, updates=84)},
    **ONE,
)
def p121(p, xs):
    def step(v, x):
        v = 0.9 * v + x @ p["a"]
        return v, jax.nn.softmax(v).max() > 0.5

    return lax.scan(step, jnp.zeros(7), xs)[1]


@program("a weighted mean added to all", ({"g": W[:, 0]}, A[0]), {"g": dict(mac=5)}, weights=0)
def p122(p, x):
    return jnp.tanh(x + (p["g"] * x).mean())


def total(record, field):
    value = getattr(record, field)
    return None if value is None else float(np.sum(np.asarray(value, np.float64)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_account(name):
    function, args, want, options = PROGRAMS[name]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        if want == "refused":
            with pytest.raises(ValueError, match="stand in no record|no result of this function"):
                joulax.count(function, **options)(*args)
            return
        out, account = joulax.count(function, **options)(*args)
        plain = function(*args)
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    jax.tree.map(same, out, plain)
    for layer, fields in want.items():
        found = {f: total(account[layer], f) for f in fields}
        expected = {f: None if v is None else float(v) for f, v in fields.items()}
        assert found == expected, layer
    if not want:  # none of it is synapses
        assert all(total(r, f) is None for r in account.values() for f in ("ac", "mac"))


@pytest.mark.parametrize("name", [n for n, p in PROGRAMS.items() if p[2] != "refused"])
def test_invariants(name):
    """Effective work is at most the dense one; spikes are at most the updates of their layer."""
    function, args, _, options = PROGRAMS[name]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        eager = joulax.count(function, **options)(*args)[1]
        jitted = jax.jit(lambda *a: joulax.count(function, **options)(*a)[1])(*args)
    for layer, record in eager.items():
        of = {f: total(record, f) for f in joulax.Activity.__dataclass_fields__}
        for part, whole in (("ac_graded", "dense_ac"), ("mac", "dense_mac")):
            assert (of[part] or 0) <= (of[whole] or 0), (layer, part)
        if of["updates"] and not layer.startswith("input"):
            assert (of["spikes_graded"] or 0) <= of["updates"], layer
        same = {f: total(jitted[layer], f) for f in of}
        assert same == of, layer


SIZED = {
    "threshold": lambda w, x: ((x * w) > 0.5) * 1.0,
    "mask": lambda w, x: x * (w > 0),
    "scaled": lambda w, x: 0.5 * x,
    "complement": lambda w, x: 1.0 - x,
    "biased": lambda w, x: x + 0.5,
    "trace": lambda w, x: x + 0.9 * jnp.roll(x, 1),
    "delta": lambda w, x: x - jnp.roll(x, 1),
    "sorted": lambda w, x: jnp.sort(x),
    "constant": lambda w, x: x * jnp.arange(x.size),
}


@pytest.mark.parametrize("name", SIZED)
def test_kinds_do_not_depend_on_sizes(name):
    """At 1, 3 and 5000 elements the product behind is of the same kind."""
    kinds = set()
    for n in (1, 3, 5000):
        with jax.numpy_dtype_promotion("standard"):
            model = lambda p, x: jnp.dot(SIZED[name](p["w"], x), p["v"])
            params = {"w": jnp.ones(n), "v": jnp.ones((n, 2))}
            account = joulax.count(model, weights=0, spikes=1)(params, jnp.ones(n))[1]
        kinds.add(frozenset(f for f in ("ac", "mac") if total(account["v"], f) is not None))
    assert len(kinds) == 1
