"""More programs that people write: three dimensions, attention, recurrent cells, control flow in
all its forms.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .conftest import recorded
from .idioms.common import check, numbers, spike

W = jnp.ones((2, 2))
X = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def brute_pairs(a, b):
    """Products of a matrix product that have two nonzero factors."""
    return sum(
        bool(a[i, k]) and bool(b[k, j])
        for i in range(a.shape[0])
        for k in range(a.shape[1])
        for j in range(b.shape[1])
    )


@pytest.mark.parametrize("seed", range(3))
def test_products_of_two_data_operands(seed):
    rng = np.random.default_rng(seed)
    a, b = (
        rng.integers(0, 3, (3, 4)).astype(np.float32),
        rng.integers(-1, 2, (4, 5)).astype(np.float32),
    )
    record = lambda **o: next(iter(joulax.count(lambda a, b: a @ b, **o)(a, b)[1].layers.values()))
    assert float(record(spikes=(0, 1)).ac_graded) == float(record().mac) == brute_pairs(a, b)
    assert float(record(spikes=(0, 1)).ac) == (np.abs(a) @ np.abs(b)).sum()  # events × events
    assert float(record(spikes=0).ac) == (a @ (b != 0)).sum()  # events × analog values
    assert float(record().dense_mac) == float(record(spikes=0).dense_ac) == 60


def test_multi_head_attention():
    """Four projections of a 4 × 8 input, scores and values of two heads of four."""
    attention = eqx.nn.MultiheadAttention(2, 8, key=jax.random.key(0))
    x = jnp.ones((4, 8))
    _, account = joulax.count(attention)(x, x, x)
    assert [n for n in account if n.endswith("proj")] == [
        "query_proj",
        "key_proj",
        "value_proj",
        "output_proj",
    ]
    assert float(account["query_proj"].dense_mac) == 4 * 8 * 8
    assert (
        sorted(float(r.dense_mac) for n, r in account.items() if not n.endswith("proj"))
        == [4 * 4 * 4 * 2] * 2
    )


def test_three_dimensions():
    conv = eqx.nn.Conv3d(1, 2, 2, key=jax.random.key(0))
    check(joulax.count(conv, spikes=0)(jnp.ones((1, 3, 3, 3)))[1]["weight"], ac=128, dense_ac=128)


def test_depthwise():
    conv = eqx.nn.Conv2d(4, 4, 3, padding=1, groups=4, key=jax.random.key(0))
    image = jnp.zeros((4, 5, 5)).at[2, 2, 2].set(1.0)
    check(joulax.count(conv, spikes=0)(image)[1]["weight"], ac=9, dense_ac=4 * 13 * 13)


@pytest.mark.parametrize("include", [True, False])
def test_average_pool_at_borders(include):
    """The divisor of a border window changes the value, not the number of events."""
    pool = eqx.nn.AvgPool2d(2, 2, padding=1)

    def average(x):
        return pool(x) if include else pool(x) / pool(jnp.ones_like(x))

    image = jnp.zeros((1, 4, 4)).at[0, 0, 0].set(1.0).at[0, 1, 1].set(1.0)
    _, account = joulax.count(lambda p, v: p @ average(spike(v)).reshape(-1), weights=0)(
        jnp.ones((3, 9)), image - 0.5
    )
    check(account["p"], ac=6, dense_ac=27)


def test_batch_norm_after_spikes_is_analog():
    def model(p, v):
        s = spike(v)
        return (
            p
            @ (
                (s - jnp.mean(s, 0, keepdims=True)) / jnp.sqrt(jnp.var(s, 0, keepdims=True) + 1e-5)
            ).T
        )

    assert joulax.count(model, weights=0)(W, X - 0.5)[1]["p"].ac is None


@pytest.mark.parametrize(
    "options", [dict(reverse=True), dict(unroll=2), dict(unroll=True)], ids=str
)
def test_scans(options):
    step = lambda p: lambda s, x: (spike(p @ s + x - 0.5), s)
    s, account = joulax.count(
        lambda p, x: jax.lax.scan(step(p), jnp.zeros(2), x, **options)[1], weights=0, spikes=1
    )(W, X)
    check(
        account["p"],
        ac=2 * float(s.sum()),
        dense_ac=12,
        spikes=float(account["p"].spikes),
        updates=6,
        neurons=2,
    )


def test_mutual_recurrence():
    """Two populations that feed each other: kinds are a fixpoint over both carries."""

    def model(p, x):
        def step(carry, x):
            a, b = carry
            new = spike(p["ba"] @ b + x - 0.5), spike(p["ab"] @ a - 0.5)
            return new, new

        return jax.lax.scan(step, (jnp.zeros(2), jnp.zeros(2)), x)[1]

    (a, b), account = joulax.count(model, weights=0, spikes=1)({"ab": W, "ba": W}, X)
    check(account["ba"], ac=2 * float(b[:-1].sum()), dense_ac=12, spikes=float(a.sum()), updates=6)
    check(account["ab"], ac=2 * float(a[:-1].sum()), dense_ac=12, spikes=float(b.sum()), updates=6)


def test_nested_scans_multiply():
    model = lambda p, x: jax.lax.scan(
        lambda c, x: (c, jax.lax.scan(lambda d, _: (d, p @ x), 0, None, length=4)[1]), 0, x
    )[1]
    check(joulax.count(model, weights=0, spikes=1)(W, X)[1]["p"], ac=2 * 4 * 4, dense_ac=4 * 4 * 3)


def test_map_and_associative_scan():
    check(
        joulax.count(lambda p, x: jax.lax.map(lambda v: p @ v, x), weights=0, spikes=1)(W, X)[1][
            "p"
        ],
        ac=8,
        dense_ac=12,
    )
    sums = lambda p, x: jax.lax.associative_scan(jnp.add, x @ p.T, axis=0)
    check(joulax.count(sums, weights=0, spikes=1)(W, X)[1]["p"], ac=8, dense_ac=12)


def test_switch_counts_the_branch_taken():
    branches = [lambda x: jnp.zeros(2), lambda x: W @ x, lambda x: (2 * W) @ x + (3 * W) @ x]
    call = joulax.count(lambda i, x: jax.lax.switch(i, branches, x), spikes=1)
    for i, synops in enumerate((0, 4, 8)):
        assert (
            sum(
                float(r.ac)
                for r in call(i * jnp.ones((), jnp.int32), jnp.ones(2))[1].layers.values()
            )
            == synops
        )


def test_branches_under_vmap():
    """Outside, each sample counts its own branch; inside, both run and both are counted."""
    model = lambda p, x, flag: jax.lax.cond(flag, lambda x: p @ x, lambda x: jnp.zeros(2), x)
    x, flags = jnp.ones((2, 2)), jnp.array([True, False])
    outside = jax.vmap(joulax.count(model, weights=0, spikes=1), in_axes=(None, 0, 0))(W, x, flags)[
        1
    ]
    assert np.array_equal(outside["p"].ac, [4, 0])
    inside = joulax.count(jax.vmap(model, in_axes=(None, 0, 0)), weights=0, spikes=1)(W, x, flags)[
        1
    ]
    assert float(inside["p"].ac) == 8


def test_equinox_while_loop():
    loop = lambda p, x: eqx.internal.while_loop(
        lambda c: c[1] < 5,
        lambda c: (spike(p @ c[0] - 0.5), c[1] + 1),
        (x, 0),
        kind="checkpointed",
        max_steps=16,
    )[0]
    check(
        joulax.count(loop, weights=0, spikes=1)(W, jnp.ones(2))[1]["p"],
        ac=20,
        dense_ac=20,
        spikes=10,
        updates=10,
        neurons=2,
    )


def test_work_inside_a_custom_vjp():
    """Counted, but its count has no gradient of its own."""
    layer = jax.custom_vjp(lambda p, v: p @ spike(v))
    layer.defvjp(lambda p, v: (p @ spike(v), (p, v)), lambda r, g: (jnp.outer(g, r[1]), r[0].T @ g))
    count = lambda v: joulax.count(lambda p, v: layer(p, v), weights=0)(W, v)[1]
    v = jnp.array([1.0, -1.0])
    check(count(v)["p"], ac=2, dense_ac=4)
    check(count(v)["input[0]"], spikes=1)
    assert np.array_equal(jax.grad(lambda v: count(v)["p"].ac)(v), [0, 0])


def test_equal_arrays_at_two_places_are_two_layers():
    model = eqx.nn.MLP(2, 2, 2, 1, key=jax.random.key(0))
    tied = eqx.tree_at(lambda m: m.layers[1].weight, model, model.layers[0].weight)
    assert list(joulax.count(tied)(jnp.ones(2))[1]) == ["layers[0]", "layers[1]"]


def test_derived_weights_inherit_the_name():
    params = {"weight": jnp.ones((2, 3)), "mask": jnp.eye(2, 3)}
    account = joulax.count(lambda p, x: (p["mask"] * p["weight"]).T.T @ x, weights=0, spikes=1)(
        params, jnp.ones(3)
    )[1]
    (record,) = account.layers.values()
    check(record, ac=2, dense_ac=6, nonzero=2)
    layer = eqx.nn.WeightNorm(eqx.nn.Linear(3, 2, key=jax.random.key(0)))
    assert list(joulax.count(layer, spikes=0)(jnp.ones(3))[1]) == ["layer"]


def test_two_models_in_one_function():
    first, second = (eqx.nn.MLP(2, 2, 2, 0, key=jax.random.key(i)) for i in range(2))
    assert list(joulax.count(lambda x: second(spike(first(x))), spikes=0)(jnp.ones(2))[1]) == [
        "first.layers[0]",
        "second.layers[0]",
    ]


def test_random_input_is_counted():
    """A key is an argument: spikes drawn from it alone are spikes."""
    _, account = joulax.count(
        lambda p, key: p @ jax.random.bernoulli(key, 1.0, (2,)).astype(jnp.float32), weights=0
    )(W, jax.random.key(0))
    check(account["p"], ac=4, dense_ac=4)


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (1, 1)])
def test_sizes_that_a_reviewer_would_try(shape):
    n = shape[0] * shape[1]
    check(
        joulax.count(lambda p, x: p @ x, weights=0, spikes=1)(jnp.ones(shape), jnp.ones(shape[1]))[
            1
        ]["p"],
        ac=n,
        dense_ac=n,
    )
    check(
        joulax.count(lambda p, x: jnp.dot(p, x), weights=0, spikes=1)(jnp.ones(()), jnp.ones(()))[
            1
        ]["p"],
        ac=1,
        dense_ac=1,
    )


def test_one_step():
    model = lambda p, x: jax.lax.scan(lambda v, x: (0.5 * v + p @ x, v), jnp.zeros(2), x)[0]
    check(joulax.count(model, weights=0, spikes=1)(W, X[:1])[1]["p"], ac=2, dense_ac=4, updates=2)


def test_what_is_not_counted_is_listed():
    _, account = joulax.count(lambda x: jnp.abs(jnp.fft.fft(x)))(jnp.ones(4))
    assert any("fft" in u for u in account.convention.uncounted)


@pytest.mark.parametrize("cell", [eqx.nn.GRUCell, eqx.nn.LSTMCell])
def test_recurrent_cells(cell):
    """Both products of each of four steps; H neurons, whatever the number of gates."""
    made = cell(3, 5, key=jax.random.key(0))
    gates = {eqx.nn.GRUCell: 3, eqx.nn.LSTMCell: 4}[cell]
    start = jnp.zeros(5) if gates == 3 else (jnp.zeros(5), jnp.zeros(5))
    _, account = joulax.count(lambda x: jax.lax.scan(lambda h, x: (made(x, h), None), start, x)[0])(
        jnp.ones((4, 3))
    )
    check(account["weight_ih"], mac=4 * gates * 15, dense_mac=4 * gates * 15, updates=20, neurons=5)
    check(account["weight_hh"], mac=3 * gates * 25, dense_mac=4 * gates * 25)


@pytest.mark.parametrize(
    "case", [c for c in recorded("neurobench", "cell_synops") if not c.id.startswith("rnncell")]
)
def test_neurobench_gated_cells(case):
    """The two products by brute force. The peer also counts the products of gates, which belong to
    updates here.
    """
    arrays, (spec,) = case.arrays, case["layers"]
    w, r, x, h = (arrays[spec[k]] for k in ("weight_ih", "weight_hh", "input", "h"))
    products = lambda p, x, h: (p["w"] @ x, p["r"] @ h)
    account = jax.vmap(lambda x, h: joulax.count(products, weights=0)({"w": w, "r": r}, x, h)[1])(
        x, h
    )
    brute = sum(np.count_nonzero(w[:, v != 0]) for v in x) + sum(
        np.count_nonzero(r[:, v != 0]) for v in h
    )
    assert sum(float(a.mac.sum()) for a in account.values()) == brute
    assert brute <= case["expected"].get("single_layer_MACs_effective", np.inf)


def test_gradient_of_a_graded_count():
    """That of min(|value|, 1): one up to a single event, nothing beyond."""
    count = lambda v: (
        joulax.count(lambda p, v: p @ joulax.spikes(v), weights=0)(jnp.ones((1, 4)), v)[1][
            "p"
        ].ac_graded
    )
    v = jnp.array([0.0, 0.5, 1.0, 3.0])
    assert np.array_equal(jax.grad(count)(v), [1, 1, 1, 0])
    assert float(count(v)) == 3


def test_numbers_are_unchanged_by_counting_twice():
    account = joulax.count(
        lambda p, x: joulax.count(lambda p, x: p @ x, weights=0, spikes=1)(p, x)[0],
        weights=0,
        spikes=1,
    )(W, X[2])[1]
    assert numbers(account["p"])["ac"] == 4


def test_an_einsum_without_a_sum_is_a_plain_product():
    """A gain of each input is no site; a layer with one input is one."""
    x, gain = jnp.ones((4, 3), jnp.float32), jnp.ones(3, jnp.float32)
    count = joulax.count(lambda w, x: jnp.einsum("ti,i->ti", x, w), weights=0, spikes=1)
    assert not count(gain, x)[1].layers
    one = joulax.count(lambda w, x: jnp.einsum("t,i->ti", x, w), weights=0, spikes=1)
    check(one(gain, x[:, 0])[1]["w"], ac=12, dense_ac=12)
