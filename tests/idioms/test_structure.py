"""How people arrange time, layers and state. Inputs 2, hidden 3, outputs 2, T = 5; ones everywhere
unless said.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import joulax

from .common import check, numbers, spike

T = 5
X = jnp.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])  # six spikes
W1, W2 = jnp.ones((3, 2)), jnp.ones((2, 3))
PARAMS = {"first": W1, "second": W2}


def scanned(p, x):
    def step(carry, x):
        v, o = carry
        v = 0.5 * v + p["first"] @ x
        s = spike(v - 0.75)
        v = v - s
        o = 0.5 * o + p["second"] @ s
        return (v, o), s

    (_, o), s = jax.lax.scan(step, (jnp.zeros(3), jnp.zeros(2)), x)
    return o, s


def unrolled(p, x):
    v, o, spikes = jnp.zeros(3), jnp.zeros(2), []
    for t in range(T):
        v = 0.5 * v + p["first"] @ x[t]
        s = spike(v - 0.75)
        v = v - s
        o = 0.5 * o + p["second"] @ s
        spikes.append(s)
    return o, jnp.stack(spikes)


def hoisted(p, x):
    current = x @ p["first"].T

    def step(carry, i):
        v, o = carry
        v = 0.5 * v + i
        s = spike(v - 0.75)
        v = v - s
        o = 0.5 * o + p["second"] @ s
        return (v, o), s

    (_, o), s = jax.lax.scan(step, (jnp.zeros(3), jnp.zeros(2)), current)
    return o, s


def collected(p, x):
    """Hidden spikes are collected first, the second layer runs over all of them at once."""

    def step(v, x):
        v = 0.5 * v + p["first"] @ x
        s = spike(v - 0.75)
        return v - s, s

    _, s = jax.lax.scan(step, jnp.zeros(3), x)
    _, o = jax.lax.scan(lambda o, i: (0.5 * o + i, None), jnp.zeros(2), s @ p["second"].T)
    return _, s


def looped(p, x):
    def step(t, carry):
        v, o, s = carry
        v = 0.5 * v + p["first"] @ x[t]
        out = spike(v - 0.75)
        return v - out, 0.5 * o + p["second"] @ out, s.at[t].set(out)

    _, o, s = jax.lax.fori_loop(0, T, step, (jnp.zeros(3), jnp.zeros(2), jnp.zeros((T, 3))))
    return o, s


def while_looped(p, x):
    def step(carry):
        t, v, o, s = carry
        v = 0.5 * v + p["first"] @ x[t]
        out = spike(v - 0.75)
        return t + 1, v - out, 0.5 * o + p["second"] @ out, s.at[t].set(out)

    _, _, o, s = jax.lax.while_loop(
        lambda c: c[0] < T, step, (0, jnp.zeros(3), jnp.zeros(2), jnp.zeros((T, 3)))
    )
    return o, s


TIMES = dict(
    scanned=scanned,
    unrolled=unrolled,
    hoisted=hoisted,
    collected=collected,
    looped=looped,
    while_looped=while_looped,
)
WRAPPERS = dict(
    plain=lambda f: f,
    jit=jax.jit,
    checkpoint=jax.checkpoint,
    lambda_=lambda f: lambda *args: f(*args),
    partial=lambda f: functools.partial(f),
    filter_jit=eqx.filter_jit,
)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("time", TIMES)
def test_time(time, wrapper):
    """Six input spikes reach three neurons each; every hidden spike reaches two; 3 and 2 neurons
    are updated five times.
    """
    model = WRAPPERS[wrapper](TIMES[time])
    (_, s), account = joulax.count(model, weights=0, spikes=1)(PARAMS, X)
    n = float(s.sum())
    assert n > 0
    assert list(account) == ["first", "second"]
    check(
        account["first"], ac=18, dense_ac=30, spikes=n, updates=15, neurons=3, synapses=6, nonzero=6
    )
    check(account["second"], ac=2 * n, dense_ac=30, updates=10, neurons=2, synapses=6, nonzero=6)


@pytest.mark.parametrize("time", TIMES)
def test_repeating_the_time_axis_doubles_the_input_synops(time):
    if time in ("unrolled", "looped", "while_looped"):
        pytest.skip("these models fix T")
    twice = joulax.count(TIMES[time], weights=0, spikes=1)(PARAMS, jnp.concatenate([X, X]))[1]
    check(twice["second"], **{**numbers(twice["second"]), "updates": 20, "dense_ac": 60})
    assert float(twice["first"].ac) == 36


@pytest.mark.parametrize("time", TIMES)
def test_batch_inside_or_outside(time):
    batch = jnp.stack([X, 0 * X, X])
    call = lambda x: TIMES[time](PARAMS, x)
    inside = joulax.count(jax.vmap(call), spikes=0)(batch)[1]
    outside = jax.vmap(joulax.count(call, spikes=0))(batch)[1]
    for name in outside:
        for field, value in numbers(inside[name]).items():
            each = getattr(outside[name], field)
            static = field in ("neurons", "synapses", "nonzero")
            assert value == float(each[0] if static else each.sum()), (name, field)


def test_recurrence_feeds_one_population():
    """Input and recurrent weights feed the same three neurons: the first feeder keeps them."""

    def model(p, x):
        def step(carry, x):
            v, s = carry
            v = 0.5 * v + p["input"] @ x + p["recurrent"] @ s
            s = spike(v - 0.75)
            return (v - s, s), s

        return jax.lax.scan(step, (jnp.zeros(3), jnp.zeros(3)), x)[1]

    s, account = joulax.count(model, weights=0, spikes=1)(
        {"input": W1, "recurrent": 0.1 * jnp.ones((3, 3))}, X
    )
    check(account["input"], ac=18, dense_ac=30, spikes=float(s.sum()), updates=15, neurons=3)
    check(account["recurrent"], ac=3 * float(s[:-1].sum()), dense_ac=45)


def test_layers_scanned_over_stacked_weights():
    """A weight that is a scanned input is an axis of layers, never of time."""

    def model(p, x):
        return jax.lax.scan(lambda s, w: (spike(w @ s - 0.5), None), x, p["layers"])[0]

    stacked = jnp.stack([jnp.eye(2), jnp.ones((2, 2)), jnp.eye(2)])
    _, account = joulax.count(model, weights=0, spikes=1)(
        {"layers": stacked}, jnp.array([1.0, 0.0])
    )
    assert list(account) == ["layers[0]", "layers[1]", "layers[2]"]
    check(account["layers[0]"], ac=1, dense_ac=4, spikes=1, updates=2, neurons=2, nonzero=2)
    check(account["layers[1]"], ac=2, dense_ac=4, spikes=2, updates=2, neurons=2, nonzero=4)
    check(account["layers[2]"], ac=2, dense_ac=4, spikes=2, updates=2, neurons=2, nonzero=2)


def test_shared_weights_are_one_record():
    model = lambda p, x: spike(p["w"] @ spike(p["w"] @ x - 0.5) - 0.5)
    _, account = joulax.count(model, weights=0, spikes=1)({"w": jnp.ones((2, 2))}, jnp.ones(2))
    assert list(account) == ["w"]
    check(account["w"], ac=8, dense_ac=8, spikes=4, updates=4, neurons=2, synapses=4)


def test_state_as_argument():
    def step(p, state, x):
        v, s = state
        v = 0.5 * v + p["first"] @ x + p["recurrent"] @ s
        s = spike(v - 0.75)
        return (v - s, s), s

    params = {"first": W1, "recurrent": jnp.ones((3, 3))}
    state = (jnp.zeros(3), jnp.array([1.0, 0.0, 0.0]))
    _, account = joulax.count(step, weights=0, spikes=(False, (False, True), True))(
        params, state, jnp.ones(2)
    )
    check(account["first"], ac=6, dense_ac=6, spikes=3, updates=3, neurons=3)
    check(account["recurrent"], ac=3, dense_ac=9)


def test_relu_network_is_macs_with_neurons():
    mlp = eqx.nn.MLP(2, 2, 3, 1, key=jax.random.key(0))
    _, account = joulax.count(mlp)(jnp.array([1.0, 0.0]))
    hidden = jax.nn.relu(mlp.layers[0](jnp.array([1.0, 0.0])))
    check(account["layers[0]"], mac=3, dense_mac=6, updates=3, neurons=3)
    check(account["layers[1]"], mac=2 * float((hidden != 0).sum()), dense_mac=6)


def test_branch_taken_is_counted():
    model = lambda p, x, flag: jax.lax.cond(flag, lambda x: p["w"] @ x, lambda x: jnp.zeros(3), x)
    counted = joulax.count(model, weights=0, spikes=1)
    check(counted({"w": W1}, jnp.ones(2), jnp.asarray(True))[1]["w"], ac=6, dense_ac=6)
    check(counted({"w": W1}, jnp.ones(2), jnp.asarray(False))[1]["w"], ac=0, dense_ac=0)


class Layer(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, x):
        return spike(self.linear(x) - 0.5)


class Model(eqx.Module):
    layers: list
    readout: eqx.nn.Linear

    def __init__(self, key):
        a, b, c = jax.random.split(key, 3)
        self.layers = [Layer(eqx.nn.Linear(2, 3, key=a)), Layer(eqx.nn.Linear(3, 3, key=b))]
        self.readout = eqx.nn.Linear(3, 2, key=c)

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.readout(x)


MODEL = Model(jax.random.key(0))
ROUTES = dict(
    model=MODEL,
    method=MODEL.__call__,
    lambda_=lambda x: MODEL(x),
    partial=functools.partial(lambda m, x: m(x), MODEL),
    tree_partial=jax.tree_util.Partial(lambda m, x: m(x), MODEL),
    filter_jit=eqx.filter_jit(MODEL),
    jitted_closure=jax.jit(lambda x: MODEL(x)),
    nested=jax.jit(lambda x: jax.jit(lambda y: MODEL(y))(x)),
    checkpoint=jax.checkpoint(lambda x: MODEL(x)),
)


@pytest.mark.parametrize("route", ROUTES)
def test_names_survive_wrappers(route):
    _, account = joulax.count(ROUTES[route], spikes=0)(jnp.ones(2))
    assert list(account) == ["layers[0].linear", "layers[1].linear", "readout"]


@pytest.mark.parametrize("route", ["model", "lambda_", "filter_jit"])
def test_names_survive_vmap(route):
    _, account = joulax.count(jax.vmap(ROUTES[route]), spikes=0)(jnp.ones((4, 2)))
    assert list(account) == ["layers[0].linear", "layers[1].linear", "readout"]
    check(
        account["layers[0].linear"],
        ac=24,
        dense_ac=24,
        spikes=float(account["layers[0].linear"].spikes),
        updates=12,
        neurons=3,
    )


def test_model_as_argument_must_be_declared():
    call = lambda m, x: m(x)
    with pytest.raises(ValueError, match=r"argument 0 is a module \(Model\).*weights=0"):
        joulax.count(call, spikes=1)(MODEL, jnp.ones(2))
    _, account = joulax.count(call, weights=0, spikes=1)(MODEL, jnp.ones(2))
    assert list(account) == ["layers[0].linear", "layers[1].linear", "readout"]
