"""Synapses, neurons and steps that go: hand values, closed forms, equal outputs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import joulax
from joulax.neurons import LIF, LeakyReadout, Network, Recurrent

KEYS = jax.random.split(jax.random.key(0), 6)
RNG = np.random.default_rng(0)


def array(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def spikes(*shape, rate=0.6):
    return jnp.asarray(RNG.random(shape) < rate, jnp.float32)


def network(recurrent=True):
    """Two hidden layers with neurons that nothing reads, and neurons that never fire."""
    back = (array(8, 8) * 0.3).at[:, 2].set(0)
    first = Recurrent(LIF(), back) if recurrent else LIF()
    a, b, c = (
        eqx.nn.Linear(i, o, key=k) for i, o, k in zip((4, 8, 6), (8, 6, 3), KEYS, strict=False)
    )
    net = Network([a, first, b, LIF(), c, LeakyReadout()])
    where = lambda n: (
        *(n.layers[0].weight, n.layers[0].bias),
        *(n.layers[2].weight, n.layers[2].bias, n.layers[4].weight),
    )
    new = (
        *(4 * a.weight.at[1].set(0), a.bias.at[1].set(-9)),
        *((4 * b.weight).at[:, 2].set(0), b.bias.at[0].set(-99), c.weight.at[:, 5].set(0)),
    )
    return eqx.tree_at(where, net, new)


# The energy of a synapse


def test_a_synapse_costs_the_events_that_meet_it():
    """Spikes of each input, times 23.6 pJ on Loihi; also where the weight is zero."""
    x = spikes(7, 4).at[:, 2].set(0)
    found = joulax.synapse_energy(network(), "loihi", spikes=0)(x).layers[0]
    np.testing.assert_allclose(found.weight, np.tile(23.6 * x.sum(0), (8, 1)), rtol=1e-6)
    assert not np.any(found.bias)


def test_energies_of_existing_synapses_sum_to_the_accumulates():
    """Σ e over existing synapses is the energy of all accumulates; the rest is updates."""
    net, x = network(), spikes(9, 4)
    found = joulax.synapse_energy(net, "loihi", spikes=0)(x)
    result = joulax.energy(joulax.count(net, spikes=0)(x)[1], "loihi")
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(eqx.filter(net, eqx.is_array)), strict=True)
    total = sum(float(jnp.where(w != 0, e, 0).sum()) for e, w in pairs)
    spent = sum(float(layer.ac) for layer in result.layers.values())
    np.testing.assert_allclose(total, spent, rtol=1e-5)


def test_a_synapse_that_goes_saves_its_energy():
    """A finite difference of existence: at a readout, where no spike changes with it."""
    net, x = network(), spikes(9, 4)
    found = joulax.synapse_energy(net, "loihi", spikes=0)(x).layers[4].weight
    j = int(found[1].argmax())
    cut = eqx.tree_at(lambda n: n.layers[4].weight, net, net.layers[4].weight.at[1, j].set(0))
    before, after = (
        joulax.energy(joulax.count(n, spikes=0)(x)[1], "loihi").total for n in (net, cut)
    )
    np.testing.assert_allclose(before - after, found[1, j], rtol=1e-4, atol=0.1)
    assert found[1, j] > 0


def test_a_batch_of_convolutions():
    """Counted as a batch: the sum over samples; kernels meet fewer events at the border."""
    kernel, xs = array(3, 2, 3, 3), spikes(5, 1, 2, 6, 6)
    conv = lambda k, x: jax.lax.conv(x, k, (1, 1), "SAME")
    options = dict(weights=0, spikes=1, others=0)
    whole = joulax.synapse_energy(
        lambda k, xs: jax.vmap(lambda x: conv(k, x))(xs), "loihi", **options
    )
    one = joulax.synapse_energy(conv, "loihi", **options)
    np.testing.assert_allclose(
        whole(kernel, xs), jax.vmap(one, in_axes=(None, 0))(kernel, xs).sum(0), rtol=1e-5
    )
    centre, corner = one(kernel, xs[0])[0, 0, 1, 1], one(kernel, xs[0])[0, 0, 0, 0]
    np.testing.assert_allclose(centre, 23.6 * xs[0, 0, 0].sum(), rtol=1e-6)
    np.testing.assert_allclose(corner, 23.6 * xs[0, 0, 0, :-1, :-1].sum(), rtol=1e-6)


def test_masks_and_thresholds_on_the_way():
    """A masked synapse costs nothing; one under a threshold what it would cost."""
    w, x = array(4, 3), spikes(3, rate=1.0)
    mask = jnp.zeros((4, 3)).at[0].set(1)
    options = dict(weights=0, spikes=1, others=0)
    masked = joulax.synapse_energy(lambda w, x: (w * mask) @ x, "loihi", **options)(w, x)
    np.testing.assert_allclose(masked, 23.6 * mask, rtol=1e-6)
    lifted = joulax.synapse_energy(lambda w, x: joulax.threshold(w, 99.0) @ x, "loihi", **options)
    np.testing.assert_allclose(lifted(w, x), np.full((4, 3), 23.6), rtol=1e-6)


def test_a_function_without_weights_is_refused():
    with pytest.raises(ValueError, match="weights= names"):
        joulax.synapse_energy(jnp.tanh, "loihi")(jnp.ones(3))


# Thresholds


def test_threshold_by_hand_and_its_gradient():
    w = {"w": jnp.array([[0.5, -0.1], [0.05, -2.0]]), "b": jnp.array([0.01, 0.02])}
    cut = joulax.threshold(w, 0.1)
    np.testing.assert_array_equal(cut["w"], [[0.5, 0.0], [0.0, -2.0]])
    np.testing.assert_array_equal(cut["b"], w["b"])
    slope = jax.grad(lambda w: (3 * joulax.threshold(w, 0.1)["w"]).sum())(w)
    np.testing.assert_array_equal(slope["w"], np.full((2, 2), 3.0))


def test_thresholds_of_groups_by_hand():
    """Root mean squares: rows 0.1 and 1; kernels by input channel."""
    w = jnp.array([[0.1, -0.1], [1.0, 1.0]])
    np.testing.assert_array_equal(joulax.threshold(w, 0.5, group="neuron"), [[0, 0], [1, 1]])
    kernels = jnp.stack([jnp.full((2, 3, 3), 0.1), jnp.ones((2, 3, 3))]).at[1, 0].set(0.2)
    cut = joulax.threshold(kernels, 0.5, group="kernel")
    assert (cut != 0).any((2, 3)).tolist() == [[False, False], [False, True]]


def test_thresholded_synapses_are_none():
    x = spikes(5, 4, rate=1.0)
    cut = lambda net, x: joulax.threshold(net, 0.7)(x)
    count = joulax.count(cut, weights=0, spikes=1)(network(recurrent=False), x)[1]
    there = (jnp.abs(network(recurrent=False).layers[0].weight) > 0.7).sum()
    assert float(count["layers[0]"].ac) == 5 * int(there)


# What a budget keeps


def test_keep_by_hand():
    """Ratios 3/2, 1, 4/8, 0: the first two cost 3; the third would make it 11."""
    scores = {"a": jnp.array([[3.0, 1.0]]), "b": jnp.array([[4.0], [0.0]]), "bias": jnp.ones(2)}
    energies = {"a": jnp.array([[2.0, 1.0]]), "b": jnp.array([[8.0], [1.0]]), "bias": jnp.zeros(2)}
    kept = joulax.keep(scores, energies, 10.0)
    assert kept["a"].tolist() == [[True, True]]
    assert kept["b"].tolist() == [[False], [False]]
    assert kept["bias"].all()
    assert joulax.keep(scores, energies, 11.0)["b"].tolist() == [[True], [False]]


@pytest.mark.parametrize("group", ["synapse", "neuron", "kernel"])
def test_keep_stays_within_any_budget(group):
    scores, energies = jnp.abs(array(6, 5, 3)), jnp.abs(array(6, 5, 3))
    for share in (0.0, 0.3, 0.7, 1.01):
        budget = share * energies.sum()
        mask = jax.jit(lambda b: joulax.keep(scores, energies, b, group=group))(budget)
        spent = jnp.where(mask, energies, 0).sum()
        assert spent <= budget * (1 + 1e-5)
        axes = {"synapse": (), "neuron": (1, 2), "kernel": (2,)}[group]
        assert (mask.any(axes) == mask.all(axes)).all()
        largest = jnp.sum(energies, axes).max() if axes else energies.max()
        assert mask.all() or spent >= budget - largest * mask.size


def test_energies_of_another_structure_are_refused():
    with pytest.raises(ValueError, match="structure of the parameters"):
        joulax.keep({"a": jnp.ones((2, 2))}, [jnp.ones((2, 2))], 1.0)


# The proximal step


def objective(new, w, kappa, energies, group, hard):
    """½ ‖new − w‖² + κ Σ e ‖·‖, of which the step is the minimiser."""
    axes = {"synapse": (), "neuron": (1, 2), "kernel": (2,)}[group]
    new, w, energies = map(np.asarray, (new, w, energies))
    total, norm2 = energies.sum(axes), np.square(new).sum(axes)
    n = np.prod([w.shape[a] for a in axes]) if axes else 1
    paid = total * (norm2 > 0) if hard else total / n * np.sqrt(n * norm2)
    return 0.5 * np.square(new - w).sum() + kappa * paid.sum()


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("group", ["synapse", "neuron", "kernel"])
def test_the_step_minimises_what_it_says(group, hard):
    w, energies = 2 * array(5, 4, 3), jnp.abs(array(5, 4, 3)) + 0.2
    w = w.at[2].mul(0.005)  # one group that goes, whatever the grouping
    step = joulax.proximal(0.3, group=group, hard=hard)
    with jax.numpy_rank_promotion("allow"):
        update, _ = step.update(0 * w, step.init(w), w, energies=energies, price=1.5)
        new = w + update
        best = objective(new, w, 0.45, energies, group, hard)
        assert not np.any(new[2])
        assert int((new == 0).sum()) < new.size
        for scale in (0.0, 0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
            assert best <= objective(scale * new, w, 0.45, energies, group, hard) + 1e-5
        for _ in range(20):
            other = new + 0.05 * array(*w.shape)
            assert best <= objective(other, w, 0.45, energies, group, hard) + 1e-5


def test_soft_threshold_in_closed_form_after_a_gradient_step():
    w, energies, slope = array(4, 3), jnp.abs(array(4, 3)), array(4, 3)
    chain = optax.chain(optax.sgd(0.1), joulax.proximal(lambda step: 0.1 / (1 + step)))
    state = chain.init(w)
    for t in range(3):
        moved = w - 0.1 * slope
        expected = np.sign(moved) * np.maximum(np.abs(moved) - 0.1 / (1 + t) * energies, 0)
        with jax.numpy_dtype_promotion("standard"):
            update, state = chain.update(slope, state, w, energies=energies)
        w = optax.apply_updates(w, update)
        np.testing.assert_allclose(w, expected, atol=1e-6)


def test_a_module_and_its_own_energies():
    """Biases are not shrunk; inputs that never spike keep their weights, for they cost nothing."""
    net, x = network(), spikes(6, 4).at[:, 2].set(0)
    params = eqx.filter(net, eqx.is_array)
    energies = joulax.synapse_energy(net, "loihi", spikes=0)(x)
    step = joulax.proximal(1.0)
    still = jax.tree.map(jnp.zeros_like, params)
    update, _ = step.update(still, step.init(params), params, energies=energies)
    new = eqx.apply_updates(params, update)
    np.testing.assert_array_equal(new.layers[0].weight[:, 2], params.layers[0].weight[:, 2])
    np.testing.assert_array_equal(new.layers[0].bias, params.layers[0].bias)
    assert not np.any(new.layers[0].weight[:, [0, 1, 3]])


def test_a_step_without_energies_is_refused():
    step = joulax.proximal(0.1)
    w = jnp.ones((2, 2))
    with pytest.raises(ValueError, match="energies=..."):
        step.update(w, step.init(w), w)
    with pytest.raises(ValueError, match="group= is 'synapse'"):
        joulax.proximal(0.1, group="row")
    with pytest.raises(ValueError, match="positive rate"):
        joulax.proximal(0.0)


# Smaller networks


def same_counts(predicted, real):
    for name, record in real.items():
        for field in ("ac", "ac_graded", "dense_ac", "spikes", "updates", "neurons", "synapses"):
            a, b = getattr(predicted[name], field), getattr(record, field)
            assert (a is None) == (b is None), (name, field)
            if a is not None:
                np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=f"{name}.{field}")


@pytest.mark.parametrize("recurrent", [False, True])
def test_compacted_network(recurrent):
    """Equal outputs, the account that was predicted, and every removed neuron with its reason."""
    net, x = network(recurrent), spikes(5, 12, 4)
    _, account = jax.vmap(joulax.count(net, spikes=0, neurons=True))(x)
    small, predicted, removed = made = joulax.compact(net, account)
    assert 1 in removed["layers[0]"]["silent"]
    assert 2 in removed["layers[0]"]["unread"] + removed["layers[0]"]["silent"]
    assert any(why["unread"] for why in removed.values())
    assert 0 in removed["layers[2]"]["silent"]
    assert 5 in removed["layers[2]"]["unread"] + removed["layers[2]"]["silent"]
    out, real = jax.vmap(joulax.count(small, spikes=0))(x)
    np.testing.assert_allclose(out, jax.vmap(net)(x), atol=1e-6)
    same_counts(predicted, real)
    energies = [joulax.energy(a, "loihi").total for a in (predicted, real)]
    np.testing.assert_allclose(*energies, rtol=1e-6)
    assert small.layers[0].out_features == 8 - sum(map(len, removed["layers[0]"].values()))
    assert made.neurons == 14 - small.layers[0].out_features - small.layers[2].out_features


class Convolutional(eqx.Module):
    first: eqx.nn.Conv2d
    second: eqx.nn.Conv2d
    readout: eqx.nn.Linear

    def __call__(self, xs):
        def step(carry, x):
            v, w = carry
            v = 0.9 * v + self.first(x)
            s = (v > 1.0).astype(x.dtype)
            w = 0.9 * w + self.second(s)
            r = (w > 1.0).astype(x.dtype)
            return (v - s, w - r), self.readout(r.ravel())

        start = (
            jnp.zeros((self.first.out_channels, 5, 5)),
            jnp.zeros((self.second.out_channels, 4, 4)),
        )
        return jax.lax.scan(step, start, xs)[1]


def test_compacted_channels():
    net = Convolutional(
        eqx.nn.Conv2d(2, 6, 3, padding=1, key=KEYS[0]),
        eqx.nn.Conv2d(6, 4, 2, key=KEYS[1]),
        eqx.nn.Linear(64, 3, key=KEYS[2]),
    )
    where = lambda n: (
        n.first.weight,
        n.first.bias,
        n.second.weight,
        n.second.bias,
        n.readout.weight,
    )
    new = (
        *(5 * net.first.weight, net.first.bias.at[3].set(-99)),
        *((9 * net.second.weight).at[:, 1].set(0), net.second.bias.at[0].set(-99)),
        net.readout.weight.at[:, 32:48].set(0),
    )
    net = eqx.tree_at(where, net, new)
    x = spikes(7, 2, 5, 5).astype(net.first.weight.dtype)  # float64 as the kernels may be
    _, account = joulax.count(net, spikes=0, neurons=True)(x)
    small, predicted, removed = joulax.compact(net, account)
    assert 3 in removed["first"]["silent"]
    assert 1 in removed["first"]["unread"] + removed["first"]["silent"]
    assert 2 in removed["second"]["unread"] + removed["second"]["silent"]
    out, real = joulax.count(small, spikes=0)(x)
    np.testing.assert_allclose(out, net(x), atol=1e-6)
    same_counts(predicted, real)
    assert small.second.out_channels < 4


def test_what_cannot_be_compacted_is_refused():
    net, x = network(), spikes(6, 4)
    with pytest.raises(ValueError, match="neurons=True"):
        joulax.compact(net, joulax.count(net, spikes=0)(x)[1])
    _, account = joulax.count(net, spikes=0, neurons=True)(x)
    with pytest.raises(ValueError, match="outside of jit"):
        jax.jit(lambda a: joulax.compact(net, a).account)(account)
    learned = eqx.tree_at(lambda n: n.layers[3].threshold, net, jnp.ones(6))
    with pytest.raises(ValueError, match=r"layers\[3\].threshold"):
        joulax.compact(learned, joulax.count(learned, spikes=0, neurons=True)(x)[1])
    other = Network(net.layers[:2])
    with pytest.raises(ValueError, match="there is none for"):
        joulax.compact(other, account)


# Steps


def decided():
    """A network whose scores are far enough apart to be confident."""
    net = network()
    where = lambda n: (n.layers[2].weight, n.layers[4].weight)
    return eqx.tree_at(where, net, (2 * net.layers[2].weight, 3 * net.layers[4].weight))


def test_early_stop_costs_exactly_the_steps_it_made():
    """Sample by sample: outputs, spikes and synops are those of a run of just those steps."""
    net, xs = decided(), spikes(10, 6, 4)
    stop = joulax.EarlyStop(net, 0.7)
    (scores, steps), account = jax.vmap(joulax.count(stop, spikes=0))(xs)
    assert len(set(steps.tolist())) > 1
    for i, n in enumerate(steps.tolist()):
        out, short = joulax.count(net, spikes=0)(xs[i, :n])
        np.testing.assert_allclose(scores[i], out.mean(0), atol=1e-6)
        for name, record in short.items():
            for field in ("ac", "spikes", "updates"):
                if getattr(record, field) is not None:
                    assert getattr(account[f"model.{name}"], field)[i] == getattr(record, field)
    np.testing.assert_array_equal(joulax.first_confident(jax.vmap(net)(xs), 0.7), steps)


def test_first_confident_by_hand():
    """Softmax of (0, ln 3) is ¾: sure at once, at the second step, never."""
    sure, half = jnp.array([0.0, np.log(9.0)]), jnp.zeros(2)
    scores = jnp.stack(
        [jnp.stack([a, b, half]) for a, b in ((sure, half), (half, 2 * sure), (half, half))]
    )
    assert joulax.first_confident(scores, 0.75).tolist() == [1, 2, 3]
    assert joulax.first_confident(scores, 0.75, least=2).tolist() == [2, 2, 3]
    assert joulax.first_confident(scores, 0.0).tolist() == [1, 1, 1]


def test_the_threshold_that_meets_a_budget():
    net, xs = decided(), spikes(40, 6, 4)
    scores, account = jax.vmap(joulax.count(net, spikes=0, steps=6))(xs)
    spent = joulax.energy(account, "loihi").total
    for share in (0.4, 0.7, 1.0):
        budget = share * spent.sum(1).mean()
        threshold = joulax.stopping_threshold(scores, spent, budget)
        _, short = jax.vmap(joulax.count(joulax.EarlyStop(net, threshold), spikes=0))(xs)
        real = joulax.energy(short, "loihi").total.mean()
        assert real <= budget * (1 + 1e-5)
        higher = jnp.min(jnp.where(scores > threshold, scores, jnp.inf)) * (1 + 1e-5)
        _, longer = jax.vmap(joulax.count(joulax.EarlyStop(net, higher), spikes=0))(xs)
        above = joulax.energy(longer, "loihi").total.mean()
        assert above > budget or share == 1.0  # the next score would cost more
    assert float(joulax.stopping_threshold(scores, spent, 1.0)) < 1e-6


def test_early_stop_needs_a_network_of_steps():
    with pytest.raises(ValueError, match="init"):
        joulax.EarlyStop(eqx.nn.Linear(2, 2, key=KEYS[0]), 0.5)


# The floor


def test_a_budget_below_the_floor_is_refused():
    account = joulax.count(network(), spikes=0)(spikes(6, 4))[1]
    low = joulax.floor(account, "loihi")
    joulax.constraint(float(low) * 1.01, floor=low)
    with pytest.raises(ValueError, match="below the floor"):
        joulax.constraint(float(low) * 0.99, floor=low)
    with pytest.raises(ValueError, match="below the floor"):
        joulax.constraint(jnp.array([2.0, 1.0]), floor=jnp.array([1.0, 1.5]))
