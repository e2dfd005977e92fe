"""Losses have no neurons, whatever bends in them; layers that a loss follows keep theirs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import joulax

from .common import f32

RNG = np.random.default_rng(5)
W, U = (f32(RNG.normal(size=shape)) for shape in ((7, 5), (7, 7)))
X = f32(RNG.normal(size=(6, 7)))
S = f32(RNG.random((9, 6, 7)) < 0.4)
Y = jax.nn.one_hot(jnp.arange(6) % 5, 5, dtype=jnp.float32)


def margin(out, y):
    others = jnp.max(jnp.where(y > 0, -jnp.inf, out), -1)
    return jnp.maximum(0.0, 1.0 + others - (out * y).sum(-1)).mean()


def triplet(out, y):
    near, far = ((out - other) ** 2 for other in (y, y[::-1]))
    return jnp.maximum(0.0, near.sum(-1) - far.sum(-1) + 1.0).mean()


def cross_entropy_of_probabilities(out, y):
    return -(y * jnp.log(jnp.clip(jax.nn.softmax(out), 1e-7, 1.0))).sum(-1).mean()


def pinball(out, y):
    return jnp.maximum(0.9 * (y - out), -0.1 * (y - out)).mean()


LOSSES = {
    "absolute": lambda out, y: jnp.abs(out - y).mean(),
    "squares": lambda out, y: ((out - y) ** 2).mean(),
    "huber": lambda out, y: optax.huber_loss(out, y).mean(),
    "log cosh": lambda out, y: optax.log_cosh(out, y).mean(),
    "binary cross-entropy": lambda out, y: optax.sigmoid_binary_cross_entropy(out, y).mean(),
    "focal": lambda out, y: optax.sigmoid_focal_loss(out, y).mean(),
    "cross-entropy": lambda out, y: optax.softmax_cross_entropy(out, y).mean(),
    "hinge": lambda out, y: optax.hinge_loss(out, 2.0 * y - 1.0).mean(),
    "squared hinge": lambda out, y: (jnp.maximum(0.0, 1.0 - out * (2.0 * y - 1.0)) ** 2).mean(),
    "logistic": lambda out, y: jax.nn.softplus(-out * (2.0 * y - 1.0)).mean(),
    "insensitive": lambda out, y: jnp.maximum(jnp.abs(out - y) - 0.1, 0.0).mean(),
    "margin": margin,
    "triplet": triplet,
    "pinball": pinball,
    "of probabilities": cross_entropy_of_probabilities,
}


def each(losses):
    return pytest.mark.parametrize("loss", [pytest.param(f, id=n) for n, f in losses.items()])


def neurons_of(fn, *args, **options):
    _, account = joulax.count(fn, weights=0, **options)(*args)
    forwards = {name: a for name, a in account.items() if "gradient" not in name}
    assert all((a.neurons is None) == (a.updates is None) for a in forwards.values())
    return {
        name: a.neurons if a.neurons is None else float(a.neurons) for name, a in forwards.items()
    }


@each(LOSSES)
def test_a_readout_and_its_loss(loss):
    """With its gradient, for each sample by itself, and with what was read out beside it."""

    def fn(p, x, y):
        return loss(x @ p["w"], y)

    def apart(p, x, y):
        return jax.vmap(lambda a, b: loss(a[None], b[None]))(x @ p["w"], y)

    def with_outputs(p, x, y):
        out = x @ p["w"]
        return loss(out, y), out

    outputs = jax.value_and_grad(with_outputs, has_aux=True)
    for made in (fn, apart, jax.value_and_grad(fn), jax.jit(jax.value_and_grad(fn)), outputs):
        if loss is not triplet or made is not apart:  # one sample has no other
            assert neurons_of(made, {"w": W}, X, Y) == {"w": None}


@each(LOSSES)
def test_a_loss_added_up_over_time(loss):
    """Of spiking neurons, whose readout has a loss in every step, inside the loop or behind it."""

    def step(p, v, x):
        v = 0.9 * v + x @ p["u"]
        s = (v > 1.0).astype(jnp.float32)
        return v - s, s

    def inside(p, xs, y):
        def body(carry, x):
            v, total = carry
            v, s = step(p, v, x)
            return (v, total + loss(s @ p["w"], y)), None

        return jax.lax.scan(body, (jnp.zeros((6, 7)), jnp.float32(0)), xs)[0][1]

    def behind(p, xs, y):
        _, s = jax.lax.scan(lambda v, x: step(p, v, x), jnp.zeros((6, 7)), xs)
        return jax.vmap(lambda out: loss(out, y))(s @ p["w"]).mean()

    for made in (inside, behind, jax.value_and_grad(behind)):
        assert neurons_of(made, {"w": W, "u": U}, S, Y, spikes=1) == {"u": 7.0, "w": None}


INTEGERS = optax.softmax_cross_entropy_with_integer_labels
READOUTS = {
    "a mean over time": lambda o: o.mean(0),
    "a sum": lambda o: o.sum(0),
    "the largest": lambda o: o.max(0),
}


@pytest.mark.parametrize("read", READOUTS)
def test_labels_that_are_integers(read):
    """The line that most networks are trained with, in its forms."""
    labels = jnp.arange(6) % 5

    def fn(p, xs, y):
        return INTEGERS(READOUTS[read](xs @ p["w"]), y).mean()

    def added(p, xs, y):
        step = lambda total, x: (total + INTEGERS(x @ p["w"], y).mean(), None)
        return jax.lax.scan(step, jnp.float32(0), xs)[0]

    def alone(p, xs, y):
        return jax.nn.logsumexp(READOUTS[read](xs @ p["w"]), -1).mean()

    for made in (fn, added, alone, jax.value_and_grad(fn)):
        assert neurons_of(made, {"w": W}, S, labels, spikes=1) == {"w": None}


@each({n: LOSSES[n] for n in ("huber", "log cosh", "binary cross-entropy", "hinge", "squares")})
def test_a_network_that_reconstructs_its_input(loss):
    """Labels that are the input, or its next step, are labels all the same."""
    p = {"w": U[:, :5], "back": U[:5]}

    def read(p, x):
        return jax.nn.relu(x @ p["w"]) @ p["back"]

    same = lambda p, x: loss(read(p, x), x)
    following = lambda p, x: loss(read(p, x[:-1]), x[1:])
    for made in (same, following):
        for spikes in (None, 1):
            assert neurons_of(made, p, S[0], spikes=spikes) == {"w": 5, "back": None}


@each({n: LOSSES[n] for n in ("huber", "binary cross-entropy", "focal", "hinge")})
def test_what_is_read_over_time_beside_its_loss(loss):
    def fn(p, xs, y):
        out = (xs @ p["w"]).mean(0)
        return loss(out, y), out

    assert neurons_of(jax.value_and_grad(fn, has_aux=True), {"w": W}, S, Y) == {"w": None}


def square(a, b):
    return ((a - b) ** 2).mean()


LAYERS = {
    "summed": lambda x, w, y, c: jax.nn.relu(x @ w).sum(),
    "with an error of its own": lambda x, w, y, c: square(jax.nn.relu(x @ w), y),
    "a sigmoid with an error": lambda x, w, y, c: jnp.abs(jax.nn.sigmoid(x @ w) - y).mean(),
    "a gain": lambda x, w, y, c: (jax.nn.silu(x @ w) * w[:1]).sum(),
    "read by another": lambda x, w, y, c: ((jax.nn.relu(y * (x @ w)) @ w.T) - x).sum(),
    "returned beside the loss": lambda x, w, y, c: (
        (jax.nn.relu(x @ w) * y).sum(),
        jax.nn.relu(x @ w),
    ),
    "a state that came as an argument": lambda x, w, y, c: jnp.tanh(0.9 * c + x @ w),
    "the same, with an error": lambda x, w, y, c: square(jax.nn.relu(0.9 * c + x @ w), y),
    "a context": lambda x, w, y, c: square(jnp.tanh(x @ w + c), y),
    "a context, summed": lambda x, w, y, c: jax.nn.relu(x @ w + c).sum(),
    "scaled by a context": lambda x, w, y, c: square(jax.nn.relu(c * (x @ w) + c), y),
    "clipped by a context": lambda x, w, y, c: square(jnp.clip(x @ w, -c, c), y),
    "a gate behind it": lambda x, w, y, c: square(jax.nn.relu(x @ w) * jax.nn.sigmoid(c), y),
    "a mask behind it": lambda x, w, y, c: square(jnp.where(c > 0, jax.nn.relu(x @ w), 0.0), y),
    "mixed with a context": lambda x, w, y, c: square(0.9 * c + 0.1 * jnp.tanh(x @ w), y),
}
CONTEXT = f32(RNG.normal(size=(6, 5)))
CLASSES = LOSSES["cross-entropy"]
BINARY = LOSSES["binary cross-entropy"]


@each(LAYERS)
def test_layers_keep_their_neurons(loss):
    made = lambda p, x, y, c: loss(x, p["w"], y, c)
    assert neurons_of(made, {"w": W}, X, Y, CONTEXT)["w"] == 5


def two(p, x):
    """What a hidden layer says to two heads."""
    h = jax.nn.relu(x @ p["w"])
    return h @ p["a"], h @ p["b"]


def by_hand(out, y):
    """Binary cross-entropy, whose labels weigh what is not bent."""
    return (jnp.maximum(out, 0.0) - out * y + jnp.log1p(jnp.exp(-jnp.abs(out)))).mean()


def likeness(p, x, y):
    """Of two towers, in one number for each sample."""
    out = (jax.nn.relu(x @ p["w"]) * jax.nn.relu(x[::-1] @ p["u"])).sum(-1)
    return by_hand(out, y[:, 0])


def contrast(p, x, y):
    here, there = (jax.nn.relu(a @ p["w"]) for a in (x, x[::-1]))
    d = ((here - there) ** 2).sum(-1)
    return (y[:, 0] * d + (1.0 - y[:, 0]) * jax.nn.relu(1.0 - jnp.sqrt(d + 1e-6)) ** 2).mean()


def penalty(p, x, y):
    a, b = two(p, x)
    return CLASSES(a, y) + 0.01 * (jnp.tanh(b) ** 2).mean()


def two_losses(p, x, y):
    a, b = two(p, x)
    return BINARY(a, y) + square(jax.nn.sigmoid(b), y[:, :3])


def two_losses_by_hand(p, x, y):
    a, b = two(p, x)
    return by_hand(a, y) + square(jax.nn.sigmoid(b), y[:, :3])


def pooled(p, x, y):
    """A last layer with a ReLU, its mean over places, and the loss of classes."""
    places = x[:, None, :] * jnp.ones((1, 4, 1), jnp.float32)
    return CLASSES(jax.nn.relu(jax.nn.relu(places @ p["w"]) @ p["a"]).mean(1), y)


def bent_classes(p, x, y):
    return CLASSES(jax.nn.relu(jax.nn.relu(x @ p["w"]) @ p["a"]), y)


NETWORKS = {
    "a bent last layer": (bent_classes, {"w": 5, "a": 5}),
    "a bent last layer, pooled": (pooled, {"w": 5, "a": 5}),
    "two towers": (likeness, {"w": 5, "u": 5}),
    "a contrast": (contrast, {"w": 5}),
    "a penalty of another head": (penalty, {"w": 5, "a": None, "b": 3}),
    "two heads with a loss each": (two_losses, {"w": 5, "a": None, "b": 3}),
    "the same by hand": (two_losses_by_hand, {"w": 5, "a": None, "b": 3}),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("trained", [False, True])
def test_each_head_by_itself(network, trained):
    """Layers of a network whose losses are summed: what labels meet, and what they do not."""
    fn, expected = NETWORKS[network]
    shapes = {"w": (7, 5), "u": (7, 5), "a": (5, 5), "b": (5, 3)}
    draw = np.random.default_rng(9).normal  # small: slopes of `tanh` are zero by rounding alone
    p = {n: f32(0.3 * draw(size=shapes[n])) for n in expected}
    made = jax.value_and_grad(fn) if trained else fn
    assert neurons_of(made, p, X, Y) == expected


def test_what_goes_around_a_layer_is_no_target():
    fn = lambda p, x: jax.nn.relu(x + x @ p["u"]).mean()  # noqa: E731
    assert neurons_of(fn, {"u": U}, X) == {"u": 7.0}


def test_a_mask_that_is_drawn_is_no_target():
    def fn(p, x, key):
        kept = jax.random.bernoulli(key, 0.5, (6, 5)).astype(jnp.float32)
        return (jax.nn.relu(x @ p["w"]) * kept).sum()

    assert neurons_of(fn, {"w": W}, X, jax.random.key(0)) == {"w": 5.0}


def test_a_leaky_readout_has_neurons():
    def fn(p, xs, y):
        def step(v, x):
            v = 0.9 * v + x @ p["w"]
            return v, v

        _, out = jax.lax.scan(step, jnp.zeros((6, 5)), xs)
        return optax.sigmoid_binary_cross_entropy(out.max(0), y).mean()

    assert neurons_of(fn, {"w": W}, S, Y, spikes=1) == {"w": 5.0}
