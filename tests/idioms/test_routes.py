"""What happens to spikes on their way. The weights reach two neurons from each of four inputs;
spikes are (1, 0, 1, 1).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import joulax

from .common import check, spike

S = jnp.array([1.0, 0.0, 1.0, 1.0])
W = jnp.ones((2, 4))

KEPT = {
    "reshape": (lambda s: s.reshape(2, 2).reshape(-1), 6),
    "transpose": (lambda s: s.reshape(2, 2).T.reshape(-1), 6),
    "reverse": (lambda s: s[::-1], 6),
    "concatenate": (lambda s: jnp.concatenate([s[:2], s[2:]]), 6),
    "pad": (lambda s: jnp.pad(s[:3], (0, 1)), 4),
    "roll": (lambda s: jnp.roll(s, 1), 6),
    "take": (lambda s: s[jnp.array([0, 2, 3, 3])], 8),
    "scatter": (lambda s: jnp.zeros(4).at[jnp.array([3, 2, 1, 0])].set(s), 6),
    "scaled": (lambda s: 0.25 * s, 6),
    "divided": (lambda s: s / 3.0, 6),
    "negated": (lambda s: -s, 6),
    "masked": (lambda s: s * jnp.array([1.0, 1.0, 1.0, 0.0]), 4),
    "masked_bool": (lambda s: s * jnp.array([True, True, True, False]).astype(jnp.float32), 4),
    "where": (lambda s: jnp.where(jnp.array([True, True, True, False]), s, 0.0), 4),
    "product": (lambda s: s * s[::-1], 4),
    "maximum": (lambda s: jnp.maximum(s, s[::-1]), 8),
    "relu": (lambda s: jax.nn.relu(s), 6),
    "plus_zero": (lambda s: s + 0.0, 6),
    "per_channel": (lambda s: (s.reshape(2, 2) * jnp.array([[2.0], [3.0]])).reshape(-1), 6),
    "dtype": (lambda s: s.astype(jnp.bfloat16).astype(jnp.float32), 6),
    "bool_and_back": (lambda s: (s > 0).astype(jnp.float32), 6),
    "nonzero": (lambda s: (s != 0).astype(jnp.float32), 6),
}


@pytest.mark.parametrize("name", KEPT)
def test_kept(name):
    """Movement, masks and scaling keep events; a factor changes the value, never their number."""
    route, synops = KEPT[name]
    model = lambda p, v: p @ route(spike(v))
    _, account = joulax.count(model, weights=0)(W, S - 0.5)
    check(account["p"], ac=synops, dense_ac=8)


@pytest.mark.parametrize("name", KEPT)
def test_kept_in_bfloat16(name):
    """Events are float32 whatever the model computes in."""
    route, synops = KEPT[name]
    if name in ("masked", "masked_bool", "per_channel", "scatter"):
        pytest.skip("these routes bring float32 of their own")
    _, account = joulax.count(lambda p, v: p @ route(spike(v)).astype(p.dtype), weights=0)(
        W.astype(jnp.bfloat16), (S - 0.5).astype(jnp.bfloat16)
    )
    check(account["p"], ac=synops, dense_ac=8)


def test_scatter_add_in_bfloat16():
    route = lambda s: jnp.zeros(4, s.dtype).at[jnp.array([0, 0, 1, 1])].add(s)
    _, account = joulax.count(lambda p, v: p @ route(spike(v)), weights=0)(
        W.astype(jnp.bfloat16), (S - 0.5).astype(jnp.bfloat16)
    )
    check(account["p"], ac=6, ac_graded=4, dense_ac=8)


ANALOG = {
    "plus_one": lambda s: s + 1.0,
    "times_data": lambda s: s * jnp.cos(s),
    "tanh": jnp.tanh,
    "normalised": lambda s: (s - jnp.mean(s)) / jnp.sqrt(jnp.var(s) + 1e-5),
}


@pytest.mark.parametrize("name", ANALOG)
def test_becomes_analog(name):
    _, account = joulax.count(lambda p, v: p @ ANALOG[name](spike(v)), weights=0)(W, S - 0.5)
    assert account["p"].ac is None
    assert account["p"].mac is not None


def test_residual_sum_counts_both_and_graded_once():
    """s + s reversed is (2, 1, 1, 2): six events in four packets."""
    _, account = joulax.count(lambda p, v: p @ (spike(v) + spike(v)[::-1]), weights=0)(W, S - 0.5)
    check(account["p"], ac=12, ac_graded=8, dense_ac=8)


def test_sum_pool_counts_every_spike_average_pool_too():
    """(1, 0 | 1, 1) pools to one and two events; the factor ½ of an average guesses nothing."""
    for pool in (jnp.sum, jnp.mean):
        model = lambda p, v, pool=pool: p @ pool(spike(v).reshape(2, 2), axis=1)
        _, account = joulax.count(model, weights=0)(jnp.ones((2, 2)), S - 0.5)
        check(account["p"], ac=6, ac_graded=4, dense_ac=4)


def test_scatter_add_is_a_sum():
    _, account = joulax.count(
        lambda p, v: p @ jnp.zeros(4).at[jnp.array([0, 0, 1, 1])].add(spike(v)), weights=0
    )(W, S - 0.5)
    check(account["p"], ac=6, ac_graded=4, dense_ac=8)


def test_max_pool_sends_one_event_per_window():
    _, account = joulax.count(lambda p, v: p @ spike(v).reshape(2, 2).max(1), weights=0)(
        jnp.ones((2, 2)), S - 0.5
    )
    check(account["p"], ac=4, dense_ac=4)


@pytest.mark.parametrize("pool", [eqx.nn.AvgPool2d(2, 2), eqx.nn.AvgPool2d(3, 1, padding=1)])
def test_average_pooling_layers(pool):
    """Overlapping windows send a spike to each window that contains it."""
    image = jnp.zeros((1, 4, 4)).at[0, 1, 1].set(1.0)
    windows = {2: 1, 3: 9}[pool.kernel_size[0]]
    out = pool(image)
    weights = jnp.ones((5, out.size))
    _, account = joulax.count(lambda p, v: p @ pool(spike(v)).reshape(-1), weights=0)(
        weights, image - 0.5
    )
    check(account["p"], ac=5 * windows, dense_ac=5 * out.size)


@pytest.mark.parametrize("inference", [True, False])
def test_dropout_keeps_events(inference):
    drop = eqx.nn.Dropout(0.5, inference=inference)
    _, account = joulax.count(lambda p, v, key: p @ drop(spike(v), key=key), weights=0)(
        W, S - 0.5, jax.random.key(0)
    )
    kept = drop(S, key=jax.random.key(0))
    check(account["p"], ac=2 * float((kept != 0).sum()), dense_ac=8)


def test_weighted_sum_by_hand():
    """`(W * s).sum(1)` is a layer: zero weights are no synapses."""
    weights = W.at[0, 0].set(0.0)
    for model in (
        lambda p, v: (p * spike(v)[None, :]).sum(1),
        lambda p, v: (p.T * spike(v)[:, None]).sum(0),
        lambda p, v: jnp.mean(p * spike(v)[None, :], axis=1),
    ):
        _, account = joulax.count(model, weights=0)(weights, S - 0.5)
        check(account["p"], ac=5, dense_ac=8)


def test_weights_selected_by_a_comparison():
    """`where(v > 0, W, 0).sum()` is a layer, and its three spikes are three, not one for each
    weight.
    """
    weights = W.T.at[0, 0].set(0.0)
    _, account = joulax.count(lambda p, v: jnp.where((v > 0)[:, None], p, 0.0).sum(0), weights=0)(
        weights, S - 0.5
    )
    check(account["p"], ac=5, dense_ac=8)
    check(account["input[0]"], spikes=3)


def test_elementwise_product_is_no_site_unless_declared():
    scale = jnp.full(4, 0.5)
    assert not joulax.count(lambda p, v: v - p * spike(v), weights=0)(scale, S - 0.5)[1]  # a reset
    _, account = joulax.count(lambda p, v: joulax.synapses(p * spike(v)), weights=0)(scale, S - 0.5)
    check(account["p"], ac=3, dense_ac=4, synapses=4)


def test_channel_scale_then_pooling_is_no_site():
    """A factor that is constant over the window only scales what is summed."""
    scale = jnp.array([2.0, 3.0])
    model = lambda p, v: p["w"] @ (p["scale"][:, None] * spike(v).reshape(2, 2)).sum(1)
    _, account = joulax.count(model, weights=0)({"w": jnp.ones((2, 2)), "scale": scale}, S - 0.5)
    assert list(account) == ["w", "input[0]"]
    check(account["w"], ac=6, ac_graded=4, dense_ac=4)


def test_two_data_operands_count_pairs():
    """Spikes times spikes: an accumulate for each pair that is nonzero on both sides."""
    _, account = joulax.count(lambda v: spike(v) @ spike(v)[::-1])(S - 0.5)
    (record,) = (
        account.layers.values()
        if len(account) == 1
        else [r for r in account.layers.values() if r.ac is not None]
    )
    assert float(record.ac) == 2  # (1,0,1,1)·(1,1,0,1) meets at positions 0 and 3
    _, account = joulax.count(lambda v: v @ jnp.cos(v))(jnp.array([1.0, 0.0, 2.0, 3.0]))
    (record,) = account.layers.values()
    assert float(record.mac) == 3
    assert float(record.dense_mac) == 4


def test_embedding_reads_weights_only():
    _, account = joulax.count(lambda p, i: p[i], weights=0)(jnp.ones((10, 4)), jnp.array([1, 2, 3]))
    record = account["p"]
    assert float(record.lookups) == 12
    assert record.ac is None
    assert record.mac is None


LANDING = jnp.array([0, 2, 2, 4])
AT_INDICES = {  # what is added at indices, kind and number of its operations, of (5, 7) weights
    "one scale": (lambda z, i, s: z.at[i].add(0.5 * s), "ac", 21),
    "negative, in segments": (lambda z, i, s: jax.ops.segment_sum(-2 * s, i, 5), "ac", 21),
    "twice": (lambda z, i, s: z.at[i].add(3 * s).at[i].add(3 * s), "ac", 42),
    "taken away": (lambda z, i, s: z.at[i].subtract(0.5 * s), "ac", 21),
    "two scales": (lambda z, i, s: z.at[i].add(0.5 * s).at[i].add(s), "mac", 14),
    "ones beside": (lambda z, i, s: z.at[i].add(0.5 * s).at[i].add(1), "mac", 21),
    "many scales": (
        lambda z, i, s: z.at[i].add(jnp.asarray([1, 2, 3, 4], jnp.float32) * s),
        "mac",
        14,
    ),
}


@pytest.mark.parametrize("name", list(AT_INDICES))
def test_scaled_spikes_that_land_at_data_indices(name):
    put, kind, expected = AT_INDICES[name]
    w, spikes = jnp.ones((5, 7), jnp.float32), jnp.asarray([1, 1, 1, 0], jnp.float32)
    f = lambda w, i, s: put(jnp.zeros(5, jnp.float32), i, s) @ w
    record = joulax.count(f, weights=0, spikes=2)(w, LANDING, spikes)[1]["w"]
    assert float(getattr(record, kind)) == expected
    assert getattr(record, "mac" if kind == "ac" else "ac") is None
    if kind == "ac":
        assert float(record.ac_graded) == 14  # a packet of several events is one
