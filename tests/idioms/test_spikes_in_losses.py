"""Losses on output spikes: whatever they make of them, the network has fired what it fired."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from joulax import count

from .common import f32, over_steps, spike

RNG = np.random.default_rng(47)
N, H, T, LABEL = 4, 6, 5, 1
W, R = f32(RNG.integers(-1, 4, (N, H)) / 4), f32(RNG.integers(-1, 4, (H, H)) / 4)
X = f32(RNG.integers(0, 2, (T, N)))
WANTED = jax.nn.one_hot(jnp.full(T, LABEL), H, dtype=jnp.float32)
KEPT, LIMIT = f32(0.5), f32(0.4)

LOSSES = {
    "log softmax": lambda o: -jax.nn.log_softmax(o)[:, LABEL].sum(),
    "softmax": lambda o: -jnp.log(jax.nn.softmax(o)[:, LABEL]).sum(),
    "log of sums": lambda o: (jax.nn.logsumexp(o, -1) - o[:, LABEL]).sum(),
    "over time": lambda o: jax.nn.logsumexp(o, 0).sum(),
    "less the largest": lambda o: (o - o.max(-1, keepdims=True)).sum(),
    "step by step": lambda o: sum(-jax.nn.log_softmax(o[t])[LABEL] for t in range(T)),
    "samples": lambda o: jax.vmap(lambda r: -jax.nn.log_softmax(r)[LABEL])(o).sum(),
    "the last step": lambda o: -jax.nn.log_softmax(o[-1])[LABEL],
    "binary": lambda o: (jnp.maximum(o, 0) - o * WANTED + jnp.log1p(jnp.exp(-jnp.abs(o)))).sum(),
    "hinge": lambda o: jax.nn.relu(1 - (2 * WANTED - 1) * o).sum(),
    "wanted or not": lambda o: jnp.where(WANTED > 0, o, 1 - o).sum(),
    "squares": lambda o: ((o - WANTED) ** 2).sum(),
    "twice in a row": lambda o: (o[1:] * o[:-1]).sum(),
    "switched off": lambda o: (o[1:] * (1 - o[:-1])).sum(),
    "ever": lambda o: jnp.maximum(o[-1], o[0]).sum(),
    "changes": lambda o: jnp.abs(jnp.diff(o, axis=0)).sum(),
    "neighbours": lambda o: (o * o[:, ::-1]).sum(),
    "halves": lambda o: (o[:, :3] * (1 - o[:, 3:])).sum(),
    "correlations": lambda o: (o[:, :, None] * o[:, None, :]).sum(),
}
KINDS = {
    "a comparison": lambda v: (v > 0).astype(jnp.float32),
    "a surrogate": spike,
}


def network(fire, looped=True):
    def f(p, xs):
        def step(c, x):
            v, u = c
            v = KEPT * v + x @ p["w"]
            s = fire(v - LIMIT)
            u = KEPT * u + s @ p["r"]
            o = fire(u - LIMIT)
            return (v * (1 - s), u * (1 - o)), o

        zeros = jnp.zeros(H, jnp.float32)
        return over_steps(step, (zeros, zeros), xs, looped)

    return f


@pytest.mark.parametrize("wrapped", ["loss", "gradient"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_has_not_fired(loss, wrapped):
    net = network(KINDS["a surrogate"])
    f = lambda p, xs: LOSSES[loss](net(p, xs))
    g = f if wrapped == "loss" else lambda p, xs: jax.value_and_grad(f)(p, xs)
    p = dict(w=W, r=R)
    account = count(g, weights=0, spikes=1)(p, X)[1]
    assert float(account["r"].spikes) == float(net(p, X).sum()) > 0
    assert (float(account["r"].neurons), float(account["r"].updates)) == (H, H * T)


@pytest.mark.parametrize("looped", [True, False])
@pytest.mark.parametrize("loss", ["log softmax", "binary", "hinge", "switched off"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_on_any_spikes_of_any_loop(kind, loss, looped):
    net = network(KINDS[kind], looped)
    p = dict(w=W, r=R)
    account = count(lambda p, xs: LOSSES[loss](net(p, xs)), weights=0, spikes=1)(p, X)[1]
    assert float(account["r"].spikes) == float(net(p, X).sum())


def test_a_loss_that_a_loop_adds_up():
    def f(p, xs):
        def step(c, x):
            v, loss = c
            v = KEPT * v + x @ p["w"]
            s = spike(v - LIMIT)
            return (v * (1 - s), loss - jax.nn.log_softmax(s)[LABEL]), None

        return lax.scan(step, (jnp.zeros(H, jnp.float32), f32(0)), xs)[0][1]

    def fired(p, xs):
        def step(v, x):
            v = KEPT * v + x @ p["w"]
            s = spike(v - LIMIT)
            return v * (1 - s), s

        return lax.scan(step, jnp.zeros(H, jnp.float32), xs)[1]

    record = count(f, weights=0, spikes=1)(dict(w=W), X)[1]["w"]
    assert float(record.spikes) == float(fired(dict(w=W), X).sum())


OWN = {
    "not twice in a row": lambda o, u, before, ever: o * (1 - before),
    "chosen": lambda o, u, before, ever: jnp.where(before > 0, 0, o),
    "the smaller": lambda o, u, before, ever: jnp.minimum(o, 1 - before),
    "once": lambda o, u, before, ever: o * (1 - ever),
    "a winner": lambda o, u, before, ever: o * jax.nn.one_hot(u.argmax(), H, dtype=jnp.float32),
    "the largest": lambda o, u, before, ever: o * (u == u.max()).astype(jnp.float32),
}
NUMBERS = {
    "mean": jnp.mean,
    "rates": lambda o: -jax.nn.log_softmax(o.sum(0))[LABEL],
    "log softmax": LOSSES["log softmax"],
}


@pytest.mark.parametrize("looped", [True, False])
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("own", OWN)
def test_a_mask_of_their_own_state_is_theirs_whatever_leaves(own, number, looped):
    def net(p, xs):
        def step(c, x):
            u, before, ever = c
            u = KEPT * u + x @ p["w"]
            o = OWN[own](spike(u - LIMIT), u, before, ever)
            return (u * (1 - o), o, jnp.maximum(ever, o)), o

        zeros = jnp.zeros(H, jnp.float32)
        return over_steps(step, (zeros, zeros, zeros), xs, looped)

    p = dict(w=W)
    record = count(lambda p, xs: NUMBERS[number](net(p, xs)), weights=0, spikes=1)(p, X)[1]["w"]
    assert float(record.spikes) == float(net(p, X).sum()) > 0


def test_what_a_refractory_time_lets_through_has_fired():
    """A mask of the neurons' own state is theirs, also where nothing but a loss sees the spikes."""

    def run(p, xs):
        def step(c, x):
            v, wait = c
            v = KEPT * v + x @ p["w"]
            s = spike(v - LIMIT) * (wait <= 0).astype(jnp.float32)
            return (v * (1 - s), jnp.maximum(wait - 1, 0) + 2 * s), s

        zeros = jnp.zeros(H, jnp.float32)
        return lax.scan(step, (zeros, zeros), xs)[1]

    loss = lambda p, xs: -jax.nn.log_softmax(run(p, xs))[:, LABEL].sum()
    record = count(loss, weights=0, spikes=1)(dict(w=W), X)[1]["w"]
    assert float(record.spikes) == float(run(dict(w=W), X).sum())


BESIDE = {
    "small voltages": lambda o, v: ((o.mean(0) - WANTED[0]) ** 2).sum() + f32(0.1) * (v**2).mean(),
    "both summed": lambda o, v: o.sum() + v.sum(),
    "the largest voltage": lambda o, v: -jax.nn.log_softmax(v.max(0))[LABEL] + KEPT * o.sum(),
    "the last voltage": lambda o, v: (
        -jax.nn.log_softmax(v[-1])[LABEL] + jax.nn.relu(KEPT - o.mean(0)).sum()
    ),
    "by products": lambda o, v: (o.mean(0) ** 2).sum() * (v**2).mean(),
    "neuron by neuron": lambda o, v: ((o - WANTED) ** 2 + v**2).mean(),
    "step by step": lambda o, v: (o - f32(0.1) * v**2).sum(0).max(),
}


@pytest.mark.parametrize("wrapped", ["loss", "gradient"])
@pytest.mark.parametrize("looped", [True, False])
@pytest.mark.parametrize("beside", BESIDE)
def test_a_loss_on_spikes_and_voltages_of_one_layer(beside, looped, wrapped):
    """A number that both are in takes no spikes back into the neurons."""

    def net(w, xs):
        def step(v, x):
            v = KEPT * v + x @ w
            o = spike(v - LIMIT)
            return v * (1 - o), (o, v)

        return over_steps(step, jnp.zeros(H, jnp.float32), xs, looped)

    f = lambda w, xs: BESIDE[beside](*net(w, xs))
    g = f if wrapped == "loss" else jax.value_and_grad(f)
    record = count(g, weights=0, spikes=1)(W, X)[1]["w"]
    assert float(record.spikes) == float(net(W, X)[0].sum()) > 0
    assert (float(record.neurons), float(record.updates)) == (H, H * T)


def test_a_loss_on_spikes_and_voltages_that_a_loop_adds_up():
    def net(w, xs):
        def step(c, x):
            v, loss = c
            v = KEPT * v + x @ w
            o = spike(v - LIMIT)
            loss = loss + ((o - WANTED[0]) ** 2).sum() + f32(0.1) * (v**2).sum()
            return (v * (1 - o), loss), o

        (_, loss), o = lax.scan(step, (jnp.zeros(H, jnp.float32), f32(0)), xs)
        return loss, o

    loss = lambda w, xs: net(w, xs)[0]
    for f in (loss, jax.value_and_grad(loss)):
        record = count(f, weights=0, spikes=1)(W, X)[1]["w"]
        assert float(record.spikes) == float(net(W, X)[1].sum()) > 0
        assert (float(record.neurons), float(record.updates)) == (H, H * T)
