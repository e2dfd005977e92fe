"""How many populations there are: shared currents, chains, gates, spikes that decide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

from .common import f32

T, N = 12, 4
RNG = np.random.default_rng(1)
P = {
    "a": f32(RNG.normal(size=(N, N)) * 0.6 + 0.3),
    "b": f32(RNG.normal(size=(3, N))),
    "c": f32(RNG.normal(size=(3, N))),
}
X = f32(RNG.random((T, N)) < 0.4)
Z = jnp.zeros(N)
fire = joulax.neurons.fast_sigmoid


def lif(v, current, threshold, decay=0.9):
    """One step of leaky integrate-and-fire neurons: spikes and the next state."""
    v = decay * v + current
    s = fire(v - threshold)
    return s, v - s * threshold


def counted(step, state):
    """Spikes of each population, and the account."""
    program = lambda p, xs: lax.scan(lambda c, x: step(p, c, x), state, xs)[1]
    out, account = joulax.count(program, weights=0, spikes=1)(P, X)
    return [np.count_nonzero(s) for s in out[1:]], account


def test_one_current_drives_two_populations():
    def step(p, c, x):
        current = p["a"] @ x
        s, u = lif(c[0], current, 0.3)
        r, v = lif(c[1], current, 0.6, 0.5)
        return (u, v), (p["b"] @ s + p["c"] @ r, s, r)

    fired, account = counted(step, (Z, Z))
    a = account["a"]
    assert (float(a.neurons), float(a.updates)) == (2 * N, 2 * N * T)
    assert float(a.spikes) == sum(fired)


def test_one_current_is_compared_twice_for_two_layers():
    program = lambda p, i: (p["b"] @ fire(i - 0.1), p["c"] @ fire(i - 0.5))
    both = lambda p, x: program(p, p["a"] @ x)
    a = joulax.count(both, weights=0, spikes=1)(P, X[0])[1]["a"]
    assert (float(a.neurons), float(a.updates)) == (2 * N, 2 * N)
    assert float(a.spikes) <= float(a.updates)


SLICES = {
    "put together again": lambda m: jnp.concatenate([m[..., :1], m[..., 1:]], -1),
    "swapped": lambda m: jnp.concatenate([m[..., 2:], m[..., :2]], -1),
    "rolled": lambda m: jnp.roll(m, 1, -1),
    "rolled twice": lambda m: jnp.roll(jnp.roll(m, 1, -1), 2, -1),
    "with gains of their own": lambda m: jnp.concatenate([2 * m[..., :1], -0.5 * m[..., 1:]], -1),
    "of slices": lambda m: jnp.concatenate([m[..., :3][..., 1:], m[..., :1], m[..., 3:]], -1),
    "one of them a neuron's already": lambda m: jnp.concatenate(
        [jnp.tanh(m[..., :3]), m[..., 3:]], -1
    ),
    "stacked and merged": lambda m: jnp.stack([m[..., :2], m[..., 2:]], -2).reshape(m.shape),
    "one by one": lambda m: jnp.stack([m[..., i] for i in range(N)], -1),
}


@pytest.mark.parametrize("where", ["all steps at once", "in a loop", "in an unrolled loop"])
@pytest.mark.parametrize("name", list(SLICES))
def test_slices_of_a_current_are_its_neurons_again(name, where):
    again = SLICES[name]

    def step(p, v, x):
        s, v = lif(v, again(p["a"] @ x), 0.3)
        return v, s

    def program(p, xs):
        if where == "all steps at once":
            return fire(again(xs @ p["a"].T) - 0.3)
        if where == "in a loop":
            return lax.scan(lambda v, x: step(p, v, x), Z, xs)[1]
        v, out = Z, []
        for x in xs:
            v, s = step(p, v, x)
            out.append(s)
        return jnp.stack(out)

    out, account = joulax.count(program, weights=0, spikes=1)(P, X)
    a = account["a"]
    assert (float(a.neurons), float(a.updates)) == (N, N * T)
    assert float(a.spikes) == np.count_nonzero(out)


TIMES = {
    "put together again": lambda m: jnp.concatenate([m[:1], m[1:]]),
    "rolled": lambda m: m + 0.5 * jnp.roll(m, 1, 0),
    "with the step before": lambda m: jnp.concatenate([m[:1], m[1:] + 0.5 * m[:-1]]),
    "by an associative scan": lambda m: lax.associative_scan(jnp.add, m),
    "by a leaky associative scan": lambda m: lax.associative_scan(
        lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (0.9 * jnp.ones_like(m), m)
    )[1],
}


@pytest.mark.parametrize("steps", [2, 3, 8, 11])
@pytest.mark.parametrize("name", list(TIMES))
def test_steps_of_a_current_are_its_steps_again(name, steps):
    program = lambda p, xs: fire(TIMES[name](xs @ p["a"].T) - 0.3)
    out, account = joulax.count(program, weights=0, spikes=1)(P, X[:steps])
    a = account["a"]
    assert (float(a.neurons), float(a.updates)) == (N, N * steps)
    assert float(a.spikes) == np.count_nonzero(out)


CHOSEN = {
    "fires": lambda fires, v: (lax.cond(fires, lambda v: fire(v - 0.3), jnp.zeros_like, v), v),
    "fires and resets": lambda fires, v: lax.cond(
        fires, lambda v: lif(0 * v, v, 0.3), lambda v: (jnp.zeros_like(v), v), v
    ),
    "fires in one of three": lambda fires, v: (
        lax.switch(
            fires.astype(jnp.int32) + (v[0] > 0).astype(jnp.int32),
            [jnp.zeros_like, lambda v: fire(v - 0.3), lambda v: fire(v - 0.5)],
            v,
        ),
        v,
    ),
}


@pytest.mark.parametrize("name", list(CHOSEN))
def test_neurons_that_integrate_in_every_step_fire_in_some(name):
    """The clock of the output is none of the integration."""

    def program(p, xs):
        def step(c, x):
            v, t = c
            s, v = CHOSEN[name](t % 2 == 0, 0.9 * v + p["a"] @ x)
            return (v, t + 1), s

        return lax.scan(step, (Z, 0), xs)[1]

    out, account = joulax.count(program, weights=0, spikes=1)(P, X)
    a = account["a"]
    assert (float(a.neurons), float(a.updates)) == (N, N * T)
    assert float(a.spikes) == np.count_nonzero(out)


def test_neurons_that_integrate_where_a_branch_is_chosen():
    def program(p, xs):
        def step(c, x):
            v, t = c
            current = p["a"] @ x
            s, v = lax.cond(
                t % 2 == 0, lambda v: lif(v, current, 0.3), lambda v: (jnp.zeros_like(v), v), v
            )
            return (v, t + 1), s

        return lax.scan(step, (Z, 0), xs)[1]

    a = joulax.count(program, weights=0, spikes=1)(P, X)[1]["a"]
    assert (float(a.neurons), float(a.updates)) == (N, N * T / 2)


CASES = {
    "select": lambda m: jnp.select([m > 0.3], [1.0], 0.0),
    "select of two": lambda m: jnp.select([m > 0.6, m > 0.3], [1.0, 1.0], 0.0),
    "select, ternary": lambda m: jnp.select([m > 0.3, m < -0.3], [1.0, -1.0], 0.0),
    "piecewise": lambda m: jnp.piecewise(m, [m > 0.3], [1.0, 0.0]),
    "the number of thresholds": lambda m: lax.select_n(
        (m > 0.3).astype(jnp.int32) + (m > 0.6).astype(jnp.int32),
        jnp.zeros_like(m),
        *[jnp.ones_like(m)] * 2,
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_constants_chosen_by_comparisons_are_spikes(name):
    def program(p, xs):
        s = CASES[name](xs @ p["a"].T)
        return s @ p["b"].T, s

    (_, s), account = joulax.count(program, weights=0, spikes=1)(P, X)
    a, b = account["a"], account["b"]
    assert (float(a.neurons), float(a.updates)) == (N, N * T)
    fired, there = np.abs(np.asarray(s)), np.count_nonzero(np.asarray(P["b"]), axis=0)
    assert float(a.spikes) == fired.sum()
    assert (float(b.ac), b.mac) == ((fired * there).sum(), None)


def test_spikes_that_leave_beside_their_complement():
    def program(p, xs):
        s = fire(xs @ p["a"].T - 0.3)
        return s, (1 - s) @ p["b"].T

    (s, _), account = joulax.count(program, weights=0, spikes=1)(P, X)
    assert float(account["a"].spikes) == np.count_nonzero(s)


def test_a_current_that_is_filtered_first_drives_one():
    """A synaptic current and the voltage that integrates it are one neuron."""

    def step(p, c, x):
        current = 0.8 * c[0] + p["a"] @ x
        s, v = lif(c[1], current, 0.3)
        return (current, v), (p["b"] @ s, s)

    fired, account = counted(step, (Z, Z))
    a = account["a"]
    assert (float(a.neurons), float(a.updates), float(a.spikes)) == (N, N * T, *fired)


def test_two_leaky_readouts_of_one_current():
    def step(p, c, x):
        current = p["a"] @ x
        u, v = 0.9 * c[0] + current, 0.5 * c[1] + current
        return (u, v), (u, v)

    _, account = counted(step, (Z, Z))
    assert (float(account["a"].neurons), float(account["a"].updates)) == (2 * N, 2 * N * T)


def test_a_population_that_only_feeds_another_one_to_one():
    """Its spikes are counted, though they reach no layer but by the other's."""

    def step(p, c, x):
        s, u = lif(c[0], p["a"] @ x, 0.1)
        r, v = lif(c[1], s, 1.5, 0.8)
        return (u, v), (p["b"] @ r, lax.stop_gradient(s.sum()), r)

    def alone(p, c, x):
        c, (out, *_) = step(p, c, x)
        return c, (out,)

    program = lambda p, xs: lax.scan(lambda c, x: step(p, c, x), (Z, Z), xs)[1]
    _, sums, r = program(P, X)
    _, account = counted(alone, (Z, Z))
    first, second = (account[n] for n in account if account[n].neurons is not None)
    assert (float(first.spikes), float(first.updates)) == (float(sums.sum()), N * T)
    assert (float(second.spikes), float(second.updates)) == (np.count_nonzero(r), N * T)


@pytest.mark.parametrize("last", [lambda n: n, jnp.argmax, lambda n: jnp.sort(n)[-2:]])
def test_spikes_that_decide_have_fired(last):
    """Whichever way their counts leave: as they are, as the largest, as a place."""

    def program(p, xs):
        s = lax.scan(lambda v, x: lif(v, p["a"] @ x, 0.3)[::-1], Z, xs)[1]
        return last(s.sum(0)), s

    (_, s), _ = joulax.count(program, weights=0, spikes=1)(P, X)
    account = joulax.count(lambda p, xs: program(p, xs)[0], weights=0, spikes=1)(P, X)[1]
    assert float(account["a"].spikes) == np.count_nonzero(s)


def gated(kind):
    """A cell whose gates have weights of their own."""
    names = [g + side for g in "ifgo" for side in "xh"]
    p = {n: f32(RNG.normal(size=(N, N)) * 0.5) for n in names}
    sig = jax.nn.sigmoid

    def lstm(c, x):
        h, c = c
        i, f, g, o = (p[g + "x"] @ x + p[g + "h"] @ h for g in "ifgo")
        c = sig(f) * c + sig(i) * jnp.tanh(g)
        h = sig(o) * jnp.tanh(c)
        return (h, c), h

    def gru(c, x):
        (h,) = c
        r, z = (sig(p[g + "x"] @ x + p[g + "h"] @ h) for g in "if")
        n = jnp.tanh(p["gx"] @ x + r * (p["gh"] @ h))
        h = (1 - z) * n + z * h
        return (h,), h

    return p, {"lstm": (lstm, 2), "gru": (gru, 1)}[kind]


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_gates_with_weights_of_their_own_are_one_population(kind):
    p, (step, states) = gated(kind)
    program = lambda p, xs: lax.scan(step, (Z,) * states, xs)[1]
    account = joulax.count(program)(p, f32(RNG.normal(size=(T, N))))[1]
    neurons = [r for r in account.values() if r.neurons is not None]
    assert sum(float(r.neurons) for r in neurons) == N
    assert sum(float(r.updates) for r in neurons) == N * T


def test_two_layers_that_are_added_are_two_populations():
    program = lambda p, x: jax.nn.relu(jnp.tanh(p["a"] @ x) + jnp.tanh(p["d"] @ x))
    account = joulax.count(program, weights=0)(P | {"d": P["a"]}, X[0])[1]
    assert sum(float(r.neurons) for r in account.values() if r.neurons is not None) == 2 * N


def test_statistics_over_a_batch_are_no_neurons():
    def program(p, x):
        h = x @ p["a"]
        mean = h.mean(0, keepdims=True)
        var = jnp.maximum(0.0, (h**2).mean(0, keepdims=True) - mean**2)
        return (h - mean) * lax.rsqrt(var + 1e-5)

    account = joulax.count(program, weights=0)(P, X)[1]
    assert account["a"].neurons is None


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("scanned", [True, False])
def test_the_branch_that_is_taken_updates_its_neurons(first, scanned):
    """Both branches make neurons of one current; one of them runs."""

    def branch(decay):
        loop = lambda i: lax.scan(lambda v, x: lif(v, x, 0.3, decay)[::-1], Z, i)[1]
        return loop if scanned else lambda i: fire(i - decay)

    def program(p, xs, first):
        s = lax.cond(first, branch(0.9), branch(0.5), xs @ p["a"])
        return s @ p["b"].T, s

    (_, s), account = joulax.count(program, weights=0, spikes=1)(P, X, jnp.asarray(first))
    a = account["a"]
    assert (float(a.neurons), float(a.updates)) == (N, N * T)
    assert float(a.spikes) == np.count_nonzero(s)


def test_two_loops_over_one_current_are_two_populations():
    """Forwards and backwards."""
    run = lambda i: lax.scan(lambda v, x: lif(v, x, 0.3)[::-1], Z, i)[1]

    def program(p, xs):
        current = xs @ p["a"]
        there, back = run(current), run(current[::-1])
        return there @ p["b"].T, back @ p["c"].T, there, back

    (*_, there, back), account = joulax.count(program, weights=0, spikes=1)(P, X)
    a = account["a"]
    assert (float(a.neurons), float(a.updates)) == (2 * N, 2 * N * T)
    assert float(a.spikes) == np.count_nonzero(there) + np.count_nonzero(back)


@pytest.mark.parametrize("order", ["input first", "recurrence first"])
def test_recurrence_in_a_python_loop_over_a_current(order):
    def program(p, xs):
        current, v, s, out = xs @ p["a"], Z, Z, []
        for i in current:
            parts = (i, s @ p["r"]) if order == "input first" else (s @ p["r"], i)
            s, v = lif(v + parts[0], parts[1], 0.3)
            out.append(s)
        return [s @ p["b"].T for s in out], out

    p = P | {"r": P["a"].T}
    (_, s), account = joulax.count(program, weights=0, spikes=1)(p, X)
    a = account["a"]
    assert (float(a.neurons), float(a.updates)) == (N, N * T)
    assert account["r"].updates is None
    assert float(a.spikes) == sum(map(np.count_nonzero, s))


def test_on_and_off_spikes_of_one_membrane():
    def step(p, v, x):
        v = 0.9 * v + p["a"] @ x
        on, off = fire(v - 0.3), fire(-0.3 - v)
        return v - 0.3 * on + 0.3 * off, (p["b"] @ on - p["b"] @ off, on, off)

    fired, account = counted(step, Z)
    a = account["a"]
    assert (float(a.neurons), float(a.updates), float(a.spikes)) == (N, N * T, sum(fired))
    assert account["b"].updates is None


def test_spikes_that_pick_a_row():
    def step(p, v, x):
        s, v = lif(v, p["a"] @ x, 0.3)
        return v, (p["b"].T[s.argmax()], s)

    fired, account = counted(step, Z)
    assert float(account["a"].spikes) == sum(fired)


GATES = {
    "and": lambda a, b: a * b,
    "and not": lambda a, b: (1 - b) * a,
    "and not, of truth values": lambda a, b: jnp.logical_and(a > 0, ~(b > 0)).astype(a.dtype),
    "chosen": lambda a, b: jnp.where(b > 0, 0.0, a),
    "less what both have": lambda a, b: a - a * b,
    "or": jnp.maximum,
    "neither": lambda a, b: (1 - a) * (1 - b),
    "either": lambda a, b: a + b - 2 * a * b,
    "both": lambda a, b: a + b,
}


@pytest.mark.parametrize("name", list(GATES))
def test_spikes_of_two_layers_that_gate_each_other_fire_as_they_do(name):
    """However it is written, a layer has sent what its neurons have fired."""
    gate = GATES[name]

    def program(p, xs):
        s, r = fire(xs @ p["a"].T - 0.3), fire(xs @ p["d"].T - 0.6)
        return gate(s, r) @ p["b"].T, s, r

    p = P | {"d": jnp.roll(P["a"], 1, 0)}
    sent, account = joulax.count(lambda p, xs: program(p, xs)[0], weights=0, spikes=1)(p, X)
    _, s, r = program(p, X)
    for layer, spikes in (("a", s), ("d", r)):
        assert float(account[layer].spikes) == np.count_nonzero(spikes)
        assert float(account[layer].updates) == spikes.size


WINNERS = {
    "written by index": lambda m: jnp.zeros(m.shape).at[jnp.arange(len(m)), m.argmax(1)].set(1.0),
    "written in each step": jax.vmap(lambda c: jnp.zeros(N).at[jnp.argmax(c)].set(1.0)),
    "one hot": lambda m: jax.nn.one_hot(m.argmax(1), N),
    "row of the identity": lambda m: jnp.eye(N)[m.argmax(1)],
    "compared with all": lambda m: (m.argmax(1)[:, None] == jnp.arange(N)[None]).astype(m.dtype),
    "the largest": lambda m: (m == m.max(1, keepdims=True)).astype(m.dtype),
}


@pytest.mark.parametrize("name", list(WINNERS))
def test_winners_are_neurons_of_the_population_that_competes(name):
    winners = WINNERS[name]
    program = lambda p, xs: winners(xs @ p["a"].T) @ p["b"].T
    a = joulax.count(program, weights=0, spikes=1)(P, X)[1]["a"]
    assert (float(a.neurons), float(a.updates)) == (N, N * T)
    assert float(a.spikes) == np.count_nonzero(winners(X @ P["a"].T)) >= T


TOGETHER = {
    "stacked first": lambda *m: jnp.stack(m),
    "stacked between": lambda *m: jnp.stack(m, 1),
    "stacked last": lambda *m: jnp.stack(m, 2),
    "side by side": lambda *m: jnp.concatenate(m, 1),
}


@pytest.mark.parametrize("name", list(TOGETHER))
def test_currents_of_two_layers_put_together_are_two_populations(name):
    put = TOGETHER[name]
    program = lambda p, xs: fire(put(xs @ p["a"].T, xs @ p["d"].T) - 0.3)
    p = {"a": P["a"], "d": jnp.roll(P["a"], 1, 0)}
    out, account = joulax.count(program, weights=0, spikes=1)(p, X)
    neurons, updates, spikes = (
        sum(float(getattr(account[k], field) or 0) for k in account)
        for field in ("neurons", "updates", "spikes")
    )
    assert (neurons, updates, spikes) == (2 * N, 2 * N * T, np.count_nonzero(out))


@pytest.mark.parametrize("reset", ["to zero", "subtracted"])
@pytest.mark.parametrize("decay", [0.7, 1.0])
def test_leaders_fire_whatever_their_followers_start_from(decay, reset):
    """Followers that start from zero are their leaders' spikes in the first step alone."""

    def step(p, c, x):
        v, u = c
        s, v = lif(v, x @ p["a"], 0.5)
        u = decay * u + s
        z = fire(u - 0.9)
        return (v, u * (1 - z) if reset == "to zero" else u - 0.9 * z), (v, s, z)

    fired, account = counted(step, (Z, Z))
    assert min(fired) > 0
    leaders, followers = account.values()
    assert [float(leaders.spikes), float(followers.spikes)] == fired
