"""Training inside what is counted: a step is a program like any other, and what is forward in it
counts as it does alone; errors, optimisers and learning rules have neither neurons nor spikes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from joulax import count

from .common import f32, spike

RNG = np.random.default_rng(61)
N, H, K, T, B = 7, 6, 3, 5, 3


def normal(*shape):
    return f32(RNG.normal(size=shape))


X, Y, XS = normal(B, N), normal(B, K), f32(RNG.integers(0, 2, (T, N)))
DENSE = dict(w=normal(N, H), b=normal(H), o=normal(H, K))
HALF, RATE = 0.5, 0.1

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "chosen": lambda a: jnp.where(a > 0, a, 0),
    "masked": lambda a: a * (a > 0).astype(a.dtype),
    "leaky": jax.nn.leaky_relu,
    "six": jax.nn.relu6,
    "hard": jax.nn.hard_tanh,
    "soft threshold": lambda a: jnp.sign(a) * jnp.maximum(jnp.abs(a) - RATE, 0),
    "tanh": jnp.tanh,
}


def dense(act=jax.nn.relu, weight=lambda p: p["w"], after=lambda p, h: h, more=lambda p: f32(0)):
    def loss(p, x):
        h = after(p, act(x @ weight(p) + p["b"][None]))
        return ((h @ p["o"] - Y) ** 2).mean() + more(p)

    return loss


def normalised(p, h):
    h = h - h.mean(-1, keepdims=True)
    return h / jnp.sqrt((h * h).mean(-1, keepdims=True) + RATE) * p["g"][None]


def lif(decay, fire=True):
    def loss(p, xs):
        def step(v, x):
            v = decay(p) * v + x @ p["w"]
            s = spike(v - 1) if fire else v
            return (v - s if fire else v), s

        return (lax.scan(step, jnp.zeros(H, jnp.float32), xs)[1] ** 2).sum()

    return loss


def lstm(p, xs):
    def step(c, x):
        h, c = c
        i, f, g, o = jnp.split(x @ p["w"] + h @ p["r"] + p["b"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros(H, jnp.float32)
    return (lax.scan(step, (zeros, zeros), xs)[1] ** 2).mean()


def unrolled(p, xs):
    v = s = jnp.zeros(H, jnp.float32)
    loss = f32(0)
    for x in xs[:3]:
        v = HALF * v + x @ p["w"] + s @ p["r"]
        s = spike(v - 1)
        v, loss = v - s, loss + (s @ p["o"]).sum()
    return loss


def thresholds(p, xs):
    """Two layers with one threshold, a decay and a first state, all of them learned."""

    def step(c, x):
        v, u = c
        v = p["a"] * v + x @ p["w"]
        s = spike(v - p["l"])
        u = HALF * u + s @ p["o"]
        r = spike(u - p["l"])
        return (v - s * p["l"], u - r * p["l"]), r

    return lax.scan(step, (p["h"], jnp.zeros(K, jnp.float32)), xs)[1].mean()


def looked_up(p, places):
    return ((jax.nn.relu(p["e"][places] @ p["w"]) - Y[:, :1]) ** 2).mean()


def plastic(p, xs):
    def step(h, x):
        y = jnp.tanh(x @ (p["w"] + p["u"] * h))
        return HALF * h + RATE * jnp.outer(x, y), y

    return (lax.scan(step, jnp.zeros((N, H), jnp.float32), xs)[1] ** 2).mean()


TIME = dict(w=normal(N, H), t=normal(H))
LOSSES = {
    **{name: (dense(act), DENSE, X) for name, act in ACTIVATIONS.items()},
    "small weights": (dense(more=lambda p: RATE * jnp.abs(p["w"]).sum()), DENSE, X),
    "decay": (dense(more=lambda p: sum((a**2).sum() for a in jax.tree.leaves(p))), DENSE, X),
    "positive": (dense(weight=lambda p: jax.nn.softplus(p["w"])), DENSE, X),
    "unit columns": (
        dense(weight=lambda p: p["w"] / jnp.sqrt((p["w"] * p["w"]).sum(0))[None]),
        DENSE,
        X,
    ),
    "normalised": (dense(after=normalised), {**DENSE, "g": normal(H)}, X),
    "learned slopes": (
        lambda p, x: dense(lambda a: jnp.where(a > 0, a, p["a"][None] * a))(p, x),
        {**DENSE, "a": normal(H)},
        X,
    ),
    "learned decay": (lif(lambda p: jax.nn.sigmoid(p["t"])), TIME, XS),
    "clipped decay": (lif(lambda p: jnp.clip(p["t"], 0, 1)), TIME, XS),
    "learned leak": (lif(lambda p: jax.nn.sigmoid(p["t"]), fire=False), TIME, XS),
    "lstm": (
        lambda p, xs: jax.vmap(lstm, in_axes=(None, 0))(p, xs).mean(),
        dict(w=normal(N, 4 * H), r=normal(H, 4 * H), b=normal(4 * H)),
        normal(2, T, N),
    ),
    "one threshold": (
        thresholds,
        dict(w=normal(N, H), o=normal(H, K), h=f32([0] * H), a=HALF * f32(1), l=RATE * f32(1)),
        XS,
    ),
    "rows": (looked_up, dict(e=normal(9, N), w=normal(N, H)), jnp.array([1, 4, 7])),
    "plastic": (plastic, dict(w=normal(N, H), u=normal(N, H)), normal(T, N)),
    "linear": (lambda p, x: ((x @ p["w"] + p["b"][None]) ** 2).mean(), DENSE, X),
    "written out": (unrolled, dict(w=normal(N, H), r=normal(H, H), o=normal(H, K)), XS),
}
OPTIMISERS = {
    "descent": optax.sgd(0.01),
    "adam": optax.adam(0.01),
    "clipped": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01)),
    "signs": optax.lion(0.01),
}


def training(loss, steps, looped, optimiser):
    """Some steps, in a scan or written out."""

    def run(p, x):
        def step(c, _):
            p, state = c
            value, slope = jax.value_and_grad(loss)(p, x)
            change, state = optimiser.update(slope, state, p)
            return (optax.apply_updates(p, change), state), value

        c = (p, optimiser.init(p))
        if looped:
            return lax.scan(step, c, None, length=steps)[1]
        values = []
        for _ in range(steps):
            c, value = step(c, None)
            values.append(value)
        return jnp.stack(values)

    return run


def populations(f, *args):
    """Neurons and updates of each record that has any, and which records have spikes."""
    with jax.numpy_dtype_promotion("standard"):  # optax counts its steps in integers
        account = count(f, weights=0)(*args)[1]
    found = {str(k): (float(r.neurons), float(r.updates)) for k, r in account.items() if r.neurons}
    return found, {str(k) for k, r in account.items() if r.spikes is not None}


@pytest.mark.parametrize("slope", [jax.grad, jax.value_and_grad], ids=["slope", "both"])
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_the_slope_of_an_activation_has_not_fired(act, slope):
    loss = dense(ACTIVATIONS[act])
    assert populations(slope(loss), DENSE, X) == populations(loss, DENSE, X)
    assert populations(loss, DENSE, X) == ({"w": (H, B * H)}, set())


@pytest.mark.parametrize("looped", [True, False])
@pytest.mark.parametrize("name", LOSSES)
def test_steps_of_training_repeat_what_is_forward(name, looped):
    loss, p, x = LOSSES[name]
    found, fired = populations(loss, p, x)
    steps = training(loss, 2, looped, OPTIMISERS["descent"])
    twice = {k: (neurons, 2 * updates) for k, (neurons, updates) in found.items()}
    assert populations(steps, p, x) == (twice, fired)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("name", ["relu", "learned decay", "one threshold", "linear", "plastic"])
def test_an_optimiser_has_no_neurons(name, optimiser):
    loss, p, x = LOSSES[name]
    found, fired = populations(loss, p, x)
    steps = training(loss, 2, True, OPTIMISERS[optimiser])
    twice = {k: (neurons, 2 * updates) for k, (neurons, updates) in found.items()}
    assert populations(steps, p, x) == (twice, fired)


@pytest.mark.parametrize("act", ["relu", "tanh"])
def test_a_step_inside_a_loss_is_a_pass_of_its_own(act):
    """Learning to learn: the slope of a loss behind a step."""
    loss = dense(ACTIVATIONS[act])

    def behind(p, x):
        return loss(jax.tree.map(lambda a, b: a - RATE * b, p, jax.grad(loss)(p, x)), x)

    assert populations(jax.value_and_grad(behind), DENSE, X)[0] == {"w": (H, 2 * B * H)}


def test_the_sign_of_a_slope_with_a_decay_has_not_fired():
    def f(p, x):
        slope = jax.grad(lambda p: ((x @ p["w"]) ** 2).mean() + RATE * (p["w"] ** 2).sum())(p)
        return p["w"] - RATE * jnp.sign(slope["w"])

    assert populations(f, DENSE, X) == ({}, set())


def least_squares(p, xs, symmetric):
    """As it is, or normalised by the size of the input."""

    def step(w, x):
        e = Y[0, 0] - x @ w
        rate = RATE / (1 + x @ x) if symmetric else RATE
        return w + rate * jnp.outer(x, e), (e**2).mean()

    return lax.scan(step, p["w"], xs)


def linear_attention(p, xs, symmetric):
    decay = HALF if symmetric else f32(1)

    def step(s, x):
        s = decay * s + jnp.outer(x @ p["w"], x @ p["v"])
        return s, (x @ p["q"]) @ s

    return lax.scan(step, jnp.zeros((H, 4), jnp.float32), xs)[1]


def eligibility(p, xs, symmetric):
    back = p["o"].T if symmetric else p["f"]

    def step(c, x):
        v, u, trace, change = c
        v = HALF * v + x @ p["w"]
        s = (v > RATE).astype(v.dtype)
        slope = 1 / (1 + jnp.abs(v)) ** 2
        u, trace = HALF * u + s @ p["o"], HALF * trace + x
        change = change + jnp.outer(trace, slope * ((u - Y[0]) @ back))
        return (v - s, u, trace, change), u

    zeros = [jnp.zeros(n, jnp.float32) for n in (H, K, N, (N, H))]
    c, u = lax.scan(step, tuple(zeros), xs)
    return u, c[-1]


def feedback_alignment(p, xs, symmetric):
    def step(c, x):
        w, o = c
        h = jnp.tanh(x @ w)
        e = h @ o - Y[0]
        back = o.T if symmetric else p["f"]
        return (w - RATE * jnp.outer(x, (e @ back) * (1 - h * h)), o - RATE * jnp.outer(h, e)), e

    return lax.scan(step, (p["w"], p["o"]), xs)[1]


LEARNING = {
    least_squares: {},
    linear_attention: {},
    eligibility: {"w": (H, T * H), "o": (K, T * K)},
    feedback_alignment: {"w": (H, T * H)},
}
RULES = dict(w=normal(N, H), o=normal(H, K), f=normal(K, H), v=normal(N, 4), q=normal(N, H))


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("rule", LEARNING, ids=lambda f: f.__name__)
def test_what_a_rule_learns_is_no_neuron(rule, symmetric, batched):
    one = lambda p, xs: rule(p, xs, symmetric)
    f = jax.vmap(one, in_axes=(None, 0)) if batched else one
    xs = normal(2, T, N) if batched else normal(T, N)
    samples = 2 if batched else 1
    wanted = {k: (n, samples * updates) for k, (n, updates) in LEARNING[rule].items()}
    assert populations(f, RULES, xs)[0] == wanted


@pytest.mark.parametrize("decay", [None, f32(0.9)])
def test_tied_weights_that_a_loop_carries_are_one_set_of_synapses(decay):
    def f(p, xs):
        def step(e, x):
            y = jnp.tanh(x @ e.T) @ e
            return (e if decay is None else decay * e), y

        return lax.scan(step, p["e"], xs)[1]

    record = count(f, weights=0)(dict(e=normal(11, N)), normal(2, 4, N))[1]["e"]
    assert float(record.synapses) == float(record.nonzero) == 11 * N


@pytest.mark.parametrize("kept", [True, False])
def test_zeros_that_meet_a_leaf_are_no_input_of_it(kept):
    """A state that starts anew in every step, and a matrix that learns or does not."""

    def f(p, xs):
        def step(m, x):
            c, y = x @ p["w"], jnp.zeros(H, jnp.float32)
            y = y + HALF * (jax.nn.sigmoid(c + y @ m) - y)
            return m - f32(0 if kept else 0.1) * jnp.outer(y, y), y

        return lax.scan(step, p["m"], xs)[1]

    account = count(f, weights=0)(dict(w=normal(N, H), m=normal(H, H)), XS)[1]
    found = {str(k): (float(r.neurons), float(r.updates)) for k, r in account.items() if r.neurons}
    assert found == {"w": (H, T * H)}
    assert all(str(k) in ("w", "m") for k in account)


def test_low_rank_changes_that_both_learn_name_a_leaf():
    p = dict(w=normal(N, H), a=normal(N, 2), b=normal(2, H))

    def f(p, x):
        step = lambda p, _: (jax.tree.map(lambda a: a * x.sum(), p), x @ (p["w"] + p["a"] @ p["b"]))
        return lax.scan(step, p, None, length=2)[1]

    account = count(f, weights=0)(p, X)[1]
    assert {str(k) for k in account} == {"b", "w"}
    assert float(account["b"].mac) == 2 * N * 2 * H
    assert float(account["w"].mac) == 2 * B * N * H
