"""`count` itself: what it returns, when it compiles, and that JAX's transformations hold."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .idioms.common import numbers, original, spike


class SNN(eqx.Module):
    """Two layers of leaky neurons and a leaky readout, stepped by a scan."""

    layers: tuple
    readout: eqx.nn.Linear

    def __init__(self, key, sizes=(6, 5, 4, 3)):
        keys = jax.random.split(key, 3)
        *hidden, last = (
            eqx.nn.Linear(a, b, key=k) for a, b, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.layers, self.readout = (
            tuple(eqx.tree_at(lambda h: h.weight, h, jnp.abs(h.weight)) for h in hidden),
            last,
        )

    def __call__(self, x):
        def step(carry, x):
            voltages = []
            for layer, v in zip(self.layers, carry[:-1], strict=True):
                v = 0.9 * v + 3 * layer(x)
                x = spike(v - 0.3)
                voltages.append(v - 0.3 * x)
            out = 0.9 * carry[-1] + self.readout(x)
            return [*voltages, out], (x, out)

        zeros = [jnp.zeros(layer.out_features) for layer in (*self.layers, self.readout)]
        return jax.lax.scan(step, zeros, x)[1]


MODEL = SNN(jax.random.key(0))
X = (jax.random.uniform(jax.random.key(1), (10, 6)) < 0.5).astype(jnp.float32)
BATCH = jnp.stack([X, 0 * X, X[::-1]])
COUNTED = joulax.count(MODEL, spikes=0)


def same(a, b):
    assert list(a) == list(b)
    for name in a:
        assert numbers(a[name]) == numbers(b[name]), name


def test_by_hand():
    """n₁·Σx + n₂·Σs₁ + n₃·Σs₂."""
    _, account = COUNTED(X)
    s1, s2 = float(account["layers[0]"].spikes), float(account["layers[1]"].spikes)
    assert s1 > 0
    assert s2 > 0
    assert float(account["layers[0]"].ac) == 5 * float(X.sum())
    assert float(account["layers[1]"].ac) == 4 * s1
    assert float(account["readout"].ac) == 3 * s2
    assert [float(account[n].updates) for n in account] == [50, 40, 30]
    assert account["readout"].spikes is None
    assert (len(account), list(account)) == (3, ["layers[0]", "layers[1]", "readout"])
    with pytest.raises(KeyError, match="the layers are layers"):
        _ = account["layers[7]"]


def test_sinabs_first_layer_by_hand():
    """ones(28, 28) into a convolution 1 → 16 with kernel 5: 24 · 24 · 25 · 16 synops."""
    conv = eqx.nn.Conv2d(1, 16, 5, key=jax.random.key(0))
    _, account = joulax.count(conv, spikes=0)(jnp.ones((1, 28, 28)))
    assert float(account["weight"].ac) == 230_400


def test_corners_of_a_padded_image():
    """Each corner of a 3 × 3 image reaches four positions of each of three channels."""
    conv = eqx.nn.Conv2d(1, 3, 3, padding=1, key=jax.random.key(0))
    image = jnp.zeros((1, 3, 3)).at[0, ::2, ::2].set(1.0)
    assert float(joulax.count(conv, spikes=0)(image)[1]["weight"].ac) == 48


def test_outputs_are_bit_for_bit_those_of_the_model():
    out, _ = COUNTED(X)
    reference = eqx.filter_jit(MODEL)(X)
    assert all(np.array_equal(a, b) for a, b in zip(out, reference, strict=True))
    batched, _ = jax.jit(jax.vmap(COUNTED))(BATCH)
    reference = jax.jit(jax.vmap(lambda x: MODEL(x)))(BATCH)
    assert all(np.array_equal(a, b) for a, b in zip(batched, reference, strict=True))


@pytest.mark.parametrize(
    "wrap", [lambda f: f, jax.checkpoint, jax.vmap], ids=["plain", "checkpoint", "vmap"]
)
def test_the_counted_program_contains_the_original(wrap):
    """Dead-code elimination with respect to the outputs gives the original equations."""
    x = BATCH if wrap is jax.vmap else X
    call = wrap(lambda x: MODEL(x))
    assert original(lambda x: joulax.count(call, spikes=0)(x)[0], x) == original(call, x)


def test_counting_does_not_change_gradients():
    loss = lambda m, x: (m(x)[1] ** 2).sum()
    counted = lambda m, x: (joulax.count(m, spikes=0)(x)[0][1] ** 2).sum()
    a, b = (
        eqx.filter_jit(eqx.filter_grad(loss))(MODEL, X),
        eqx.filter_jit(eqx.filter_grad(counted))(MODEL, X),
    )
    assert all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_jit_vmap_and_loop_agree():
    one = [COUNTED(x)[1] for x in BATCH]
    batch = jax.vmap(COUNTED)(BATCH)[1]
    jitted = eqx.filter_jit(lambda m, x: jax.vmap(joulax.count(m, spikes=0))(x)[1])(MODEL, BATCH)
    for i, account in enumerate(one):
        same(account, jax.tree.map(lambda a, i=i: a[i], batch))
        same(account, jax.tree.map(lambda a, i=i: a[i], jitted))


def test_gradient_of_energy_is_the_closed_form():
    """One layer, one step: energy = 23.6 · fan-out · Σ spike(W x − ½) on the next layer, through
    the surrogate.
    """
    chip = joulax.hardware("loihi")
    w, v, x = jnp.ones((3, 2)) * 0.4, jnp.ones((2, 3)), jnp.array([1.0, 1.0])
    model = lambda p, x: p["second"] @ spike(p["first"] @ x - 0.5)

    def energy(w):
        return joulax.energy(
            joulax.count(model, weights=0, spikes=1)({"first": w, "second": v}, x)[1], chip
        ).total

    slope = 1 / (1 + jnp.abs(w @ x - 0.5)) ** 2
    np.testing.assert_allclose(
        jax.grad(energy)(w), 23.6 * 2 * slope[:, None] * x[None, :], rtol=1e-6
    )


def test_sum_of_forward_and_reverse_mode():
    f = lambda x: (
        joulax.energy(
            joulax.count(lambda p, x: p @ spike(x), weights=0)(jnp.ones((2, 3)), x)[1],
            joulax.hardware("45nm"),
        ).total
    )
    x = jnp.array([0.5, -0.5, 1.0])
    np.testing.assert_allclose(jax.jacfwd(f)(x), jax.jacrev(f)(x), rtol=1e-6)


def test_all_zero_batch_gives_zero_and_the_same_kinds():
    zero, full = COUNTED(0 * X)[1], COUNTED(X)[1]
    assert float(zero["layers[0]"].ac) == 0
    assert zero["layers[0]"].mac is None
    assert jax.tree.structure(zero) == jax.tree.structure(full)
    assert zero.convention == full.convention


def test_second_eager_call_compiles_nothing():
    model = SNN(jax.random.key(3))
    more = 2 * X
    joulax.count(model, spikes=0)(X)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **__: compiled.append(event)
    )
    try:
        joulax.count(model, spikes=0)(more)
    finally:
        jax.monitoring.clear_event_listeners()
    assert not [e for e in compiled if "compile" in e or "trace" in e]


def test_changed_weights_are_seen_in_a_closure():
    class Box(eqx.Module):
        linear: eqx.nn.Linear

    box = Box(eqx.nn.Linear(3, 2, key=jax.random.key(0)))
    call = lambda x: box.linear(x)
    assert float(joulax.count(call, spikes=0)(jnp.ones(3))[1]["linear"].ac) == 6
    box = eqx.tree_at(lambda b: b.linear.weight, box, jnp.zeros((2, 3)))
    assert float(joulax.count(call, spikes=0)(jnp.ones(3))[1]["linear"].ac) == 0


def test_python_arguments_stay_static():
    """Scalars, strings and keyword arguments behave as in `eqx.filter_jit`."""

    def model(p, x, mode, *, inference=True):
        assert isinstance(inference, bool)
        return p @ (x if mode == "plain" and inference else 2 * x)

    counted = joulax.count(model, weights=0, spikes=1)
    w, x = jnp.ones((2, 3)), jnp.ones(3)
    assert np.array_equal(counted(w, x, "plain")[0], [3, 3])
    assert np.array_equal(counted(w, x, "plain", inference=False)[0], [6, 6])


def test_outputs_that_are_no_arrays_come_back():
    out, _ = joulax.count(lambda p, x: {"y": p @ x, "name": "net"}, weights=0)(
        jnp.ones((2, 3)), jnp.ones(3)
    )
    assert out["name"] == "net"


def test_zero_weights_are_no_synapses():
    sparse = jnp.array([[1.0, 0.0, 2.0], [0.0, 0.0, -1.0]])
    _, account = joulax.count(lambda p, x: p @ x, weights=0, spikes=1)(sparse, jnp.ones(3))
    assert numbers(account["p"])["ac"] == 3
    assert numbers(account["p"])["nonzero"] == 3
    assert numbers(account["p"])["synapses"] == 6


def test_counts_in_low_precision_models():
    """Counts are float32 whatever the model computes in: a bfloat16 sum stops at 256."""
    model = lambda p, x: p @ x
    for dtype in (jnp.bfloat16, jnp.float16):
        _, account = joulax.count(model, weights=0, spikes=1)(
            jnp.ones((3, 1000), dtype), jnp.ones(1000, dtype)
        )
        assert float(account["p"].ac) == 3000
        assert account["p"].ac.dtype == jnp.float32


def test_many_steps_in_a_while_loop():
    """2²⁰ steps of 2⁵ synops: a plain float32 carry would stop at 2²⁴."""
    w, x = jnp.ones((4, 8)), jnp.ones(8)

    def model(p, x):
        return jax.lax.while_loop(
            lambda c: c[0] < 2**20 + 1, lambda c: (c[0] + 1, p @ x), (0, jnp.zeros(4))
        )[1]

    _, account = joulax.count(model, weights=0, spikes=1)(w, x)
    assert float(account["p"].ac) == 32.0 * (2**20 + 1)


ERRORS = {
    "weights": (
        lambda: joulax.count(MODEL, weights=1.5),
        r"weights= takes arguments by number or by name",
    ),
    "weights too high": (
        lambda: joulax.count(lambda x: x, weights=3)(X),
        r"names argument 3, but the function was called with 1",
    ),
    "spikes too high": (
        lambda: joulax.count(lambda x: x, spikes=1)(X),
        r"spikes=1 names argument 1",
    ),
    "spikes": (
        lambda: joulax.count(lambda x: x, spikes=(True, False))(X),
        r"neither argument numbers or names nor a prefix tree",
    ),
    "strict": (
        lambda: joulax.count(lambda w, x: jnp.sort(w * x), weights=0)(X[0], X[1]),
        r"stand in no record: `sort`",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_to_do(name):
    call, text = ERRORS[name]
    with pytest.raises(ValueError, match=text):
        call()


def test_unpriced_operation_names_the_equation():
    with pytest.raises(
        ValueError,
        match=(
            r"layer 'layers\[0\]' executes `mac`, and loihi has no price.*argument 0 "
            r"\(float32\[10,6\]\) is not declared as spikes.*spikes=0"
        ),
    ):
        joulax.energy(joulax.count(MODEL)(X)[1], joulax.hardware("loihi"))


def test_coverage_lists_what_was_not_counted():
    _, account = joulax.count(lambda p, x: p @ jnp.sort(x), weights=0, spikes=1)(
        jnp.ones((2, 6)), X[0]
    )
    assert account.convention.coverage == 0.5
    assert re.search(r"`sort` at test_count\.py:\d+(?![:\d])", account.convention.uncounted[0])


def test_account_is_a_pytree_with_a_hashable_convention():
    _, account = COUNTED(X)
    hash(account.convention)
    doubled = jax.tree.map(lambda a: 2 * a, account)
    assert float(doubled["readout"].ac) == 2 * float(account["readout"].ac)


def test_permuting_neurons_changes_nothing_but_order():
    order = jnp.array([3, 1, 4, 0, 2])
    first, second = MODEL.layers
    permuted = eqx.tree_at(
        lambda m: (m.layers[0].weight, m.layers[0].bias, m.layers[1].weight),
        MODEL,
        (first.weight[order], first.bias[order], second.weight[:, order]),
    )
    same(COUNTED(X)[1], joulax.count(permuted, spikes=0)(X)[1])


def test_pruning_never_adds():
    _, full = COUNTED(X)
    pruned = eqx.tree_at(
        lambda m: m.readout.weight,
        MODEL,
        MODEL.readout.weight * (jnp.arange(4) % 2).astype(jnp.float32)[None, :],
    )
    _, less = joulax.count(pruned, spikes=0)(X)
    assert float(less["readout"].ac) < float(full["readout"].ac)
    assert float(less["readout"].dense_ac) == float(full["readout"].dense_ac)


def test_constants_made_inside_a_traced_function():
    """Whether a constant only moves values is found out while another trace is going on."""
    model = lambda x: x @ jnp.eye(3)[::-1] @ jnp.ones((3, 2))
    shapes = jax.eval_shape(lambda x: joulax.count(model, spikes=0)(x)[1], jnp.ones(3))
    account = jax.jit(lambda x: joulax.count(model, spikes=0)(x)[1])(jnp.ones(3))
    (record,) = account.values()
    assert float(record.ac) == 6
    assert next(iter(shapes.values())).ac.shape == ()


def test_what_a_function_writes_at_its_first_call_settles():
    """Layers that note that they were built write once: the program is that of the second call."""

    class Lazy:
        built = False

        def __call__(self, x):
            self.built = True
            return W @ x

    W, x, layer = jnp.ones((2, 3)), jnp.ones(3), Lazy()
    counter = joulax.count(layer, spikes=0)
    for _ in range(2):
        out, account = counter(x)
        assert layer.built
        assert out.tolist() == [3, 3]
        assert sum(float(record.ac) for record in account.values()) == 6
        layer.built = False  # and is written again, as the layer itself would do


def test_a_function_that_goes_on_writing_is_refused():
    """Counters, states that hold arrays, and calls of which the first is another program."""

    class Counts:
        calls = 0

        def __call__(self, x):
            self.calls += 1
            return x @ x

    class Keeps:
        state = None

        def __call__(self, x):
            self.state = x + 1
            return x @ x

    class First:
        first = True

        def __call__(self, x):
            scale = 2.0 if self.first else 1.0
            self.first = False
            return scale * (jnp.ones((2, 3)) @ x)

    for function, name in ((Counts(), "calls"), (Keeps(), "state"), (First(), "first")):
        with pytest.raises(ValueError, match=f"writes .{name} while it runs"):
            joulax.count(function, spikes=0, weights=None, strict=False)(jnp.ones(3))


def test_models_of_other_worlds_are_pointed_to_their_door():
    """A PyTorch module of PyTorch tensors is no account of nothing."""
    module = type("Module", (), {"__module__": "torch.nn", "__call__": lambda self, x: x})
    tensor = type("Tensor", (), {"__module__": "torch"})
    for call in (
        lambda: joulax.count(module()),
        lambda: joulax.count(lambda x: x)(tensor()),
        lambda: joulax.summary(lambda x: x)(tensor()),
    ):
        with pytest.raises(ValueError, match=r"use joulax\.torch\.count"):
            call()


def test_a_forgotten_vmap_is_said():
    """Where one sample would do, the error of JAX says so; where it would not, it is left alone."""
    model = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    apply = lambda params, x: params @ x
    for call, axes in (
        (lambda: joulax.count(model)(jnp.ones((5, 3))), ""),
        (lambda: joulax.count(apply, weights=0)(jnp.ones((2, 3)), jnp.ones((5, 3))), "(None, 0)"),
    ):
        with pytest.raises(TypeError, match="contracting") as raised:
            call()
        (note,) = [n for n in raised.value.__notes__ if n.startswith("joulax")]
        assert "got a batch; map the counter over it: jax.vmap" in note
        assert axes in note
    with pytest.raises(TypeError) as raised:
        joulax.count(model)(jnp.ones(4))
    assert not [n for n in getattr(raised.value, "__notes__", ()) if n.startswith("joulax")]
