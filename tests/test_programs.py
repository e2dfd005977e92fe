"""Random programs: hypothesis builds them out of layers, routes for spikes and control flow; NumPy
counts them by hand.

JOULAX_PROGRAMS=2000 python -m pytest tests/test_programs.py      # others each time, on demand
JOULAX_PARTS=80 python -m pytest -k thousands tests/test_programs.py   # 20 000, always the same
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed as seeded, settings, strategies as st

import joulax

from .idioms.common import numbers, original, spike

N, T = 4, 3  # width of every value; steps of every loop
ENCODED = {"spikes", "spikes_graded"}
EXAMPLES = int(os.environ.get("JOULAX_PROGRAMS", "60"))
PARTS = int(os.environ.get("JOULAX_PARTS", "8"))  # of 250 programs each, seeded by their number


class Value:
    """A NumPy value with its kind and events, followed by hand.

    `scale` is the size of one event (`None`: several), `values` the few numbers it may be.
    """

    def __init__(self, value, kind, events=None, scale=1.0, values=None):
        self.value, self.kind = value.astype(np.float32), kind
        self.events = np.abs(self.value) if events is None else events
        self.scale, self.values = scale, values
        if kind == "spikes" and values is not None and values <= {-1.0, 0.0, 1.0}:
            self.events, self.scale = np.abs(self.value), 1.0  # counts by what it is

    def analog(self, value):
        return Value(value, "analog")

    def moved(self, f):
        """The same events elsewhere; where nothing arrives there is zero."""
        values = None if self.values is None else self.values | {0.0}
        return Value(f(self.value), self.kind, f(self.events), self.scale, values)

    def times(self, c):
        values = None if self.values is None else {c * v for v in self.values}
        scale = None if self.scale is None else self.scale * abs(c)
        return Value(np.float32(c) * self.value, self.kind, self.events, scale, values)

    def plus(self, other):
        total = self.value + other.value
        if "analog" in (self.kind, other.kind) or None in (self.scale, other.scale):
            return Value(total, "analog")
        known = None if None in (self.values, other.values) else (self.values, other.values)
        values = {a + b for a in known[0] for b in known[1]} if known else None
        exact = values is not None and values <= {-1.0, 0.0, 1.0}
        if self.scale != other.scale and not exact:
            return Value(total, "analog")
        return Value(total, "spikes", self.events + other.events, self.scale, values)

    def either(self, other, taken):
        """What one of two branches gives; known is what holds for both."""
        value = self if taken else other
        if "analog" in (self.kind, other.kind):
            return Value(value.value, "analog")
        scale = self.scale if self.scale == other.scale else None
        known = None not in (self.values, other.values)
        values = self.values | other.values if known else None
        return Value(value.value, "spikes", value.events, scale, values)


def fired(v):
    """Spikes of neurons with these potentials."""
    return Value((v - np.float32(0.25) > 0) * 1.0, "spikes", values={0.0, 1.0})


class Tally(dict):
    """Counts by weight."""

    def site(self, name, w, x):
        exists = w != 0
        kind = "ac" if x.kind == "spikes" else "mac"
        events = x.events if kind == "ac" else (x.value != 0)
        entry = self.setdefault(name, {})
        for field, number in (
            (kind, (exists * events[None, :]).sum()),
            (f"dense_{kind}", float(w.size)),
        ):
            entry[field] = entry.get(field, 0.0) + float(number)
        return Value(w @ x.value, "analog")


# Every operation: how JAX does it, and how it is followed by hand. Both take (params, value).
def dense(i):
    return lambda p, x: p[f"w{i}"] @ x, lambda p, x, tally: tally.site(f"w{i}", p[f"w{i}"], x)


def fire(_):
    return lambda p, x: spike(x - 0.25), lambda p, x, tally: fired(x.value)


def scale(i):
    c = (0.5, 2.0, -1.0)[i % 3]
    return lambda p, x: c * x, lambda p, x, tally: x.times(c)


def reverse(_):
    return lambda p, x: x[::-1], lambda p, x, tally: x.moved(lambda a: a[::-1])


def mask(i):
    m = np.arange(N) % 2 == i % 2
    return lambda p, x: jnp.where(m, x, 0.0), lambda p, x, tally: x.moved(lambda a: m * a)


def residual(i):
    w, hand = dense(i)

    def by_hand(p, x, tally):
        return x.plus(fired(tally.site(f"w{i}", p[f"w{i}"], x).value))

    return lambda p, x: x + spike(w(p, x) - 0.25), by_hand


def pool(_):
    def by_hand(p, x, tally):
        total = lambda a: np.tile(a.reshape(2, 2).sum(1), 2)  # -1 and 1 are two events
        return Value(total(x.value), x.kind, total(x.events), x.scale).times(0.5)

    return lambda p, x: jnp.tile(x.reshape(2, 2).mean(1), 2), by_hand


def bias(_):
    """One more: events only where the few values that are known still lie around zero."""

    def by_hand(p, x, tally):
        values = None if x.values is None else {v + 1 for v in x.values}
        around_zero = values is not None and (0.0 in values or values <= {-1.0, 0.0, 1.0})
        if x.kind != "spikes" or not around_zero:
            return x.analog(x.value + 1)
        if all(v == int(v) for v in values):
            return Value(x.value + 1, "spikes", values=values)
        size = max(map(abs, values)) if len(values | {0.0}) <= 2 else None
        return Value(x.value + 1, "spikes", (x.value + 1 != 0) * 1.0, size, values)

    return lambda p, x: x + 1.0, by_hand


def relu_dense(i):
    w, _ = dense(i)

    def by_hand(p, x, tally):
        return Value(np.maximum(tally.site(f"w{i}", p[f"w{i}"], x).value, 0), "analog")

    return lambda p, x: jax.nn.relu(w(p, x)), by_hand


def jitted(i):
    f, hand = residual(i)
    return jax.jit(f), hand


def checkpointed(i):
    f, hand = dense(i)
    g, after = fire(i)
    return jax.checkpoint(lambda p, x: g(p, f(p, x))), lambda p, x, tally: after(
        p, hand(p, x, tally), tally
    )


def looped(i):
    """Leaky neurons over T steps that see the same input; the last spikes go on."""

    def f(p, x):
        def step(v, _):
            v = 0.5 * v + p[f"w{i}"] @ x
            s = spike(v - 0.25)
            return v - 0.25 * s, s

        return jax.lax.scan(step, jnp.zeros(N), None, length=T)[1][-1]

    def by_hand(p, x, tally):
        v = np.zeros(N, np.float32)
        for _ in range(T):
            v = np.float32(0.5) * v + tally.site(f"w{i}", p[f"w{i}"], x).value
            s = fired(v)
            v = v - np.float32(0.25) * s.value
        return s

    return f, by_hand


def recurrent(i):
    """Spikes come back through weights; they start silent."""

    def f(p, x):
        def step(t, s):
            return spike(p[f"w{i}"] @ s + x - 0.25)

        return jax.lax.fori_loop(0, T, step, jnp.zeros(N))

    def by_hand(p, x, tally):
        s = Value(np.zeros(N), "spikes", values={0.0, 1.0})
        for _ in range(T):
            s = fired(tally.site(f"w{i}", p[f"w{i}"], s).value + x.value)
        return s

    return f, by_hand


def chosen(i):
    """A branch that depends on the data: both write the same record, or one writes nothing."""
    f, hand = residual(i)
    g, other = scale(i)

    def by_hand(p, x, tally):
        tally.setdefault(f"w{i}", {})
        taken = x.value.sum() > 1
        other_way = hand(p, x, tally if taken else Tally())
        return other_way.either(other(p, x, tally), taken)

    return lambda p, x: jax.lax.cond(x.sum() > 1, lambda x: f(p, x), lambda x: g(p, x), x), by_hand


def until_quiet(i):
    """As many rounds as the data want, at most T."""

    def f(p, x):
        def go(state):
            t, s = state
            return (t < T) & (s.sum() > 1)

        return jax.lax.while_loop(
            go,
            lambda state: (state[0] + 1, spike(p[f"w{i}"] @ state[1] - 0.25)),
            (0, spike(x - 0.25)),
        )[1]

    def by_hand(p, x, tally):
        tally.setdefault(f"w{i}", {})
        s, t = fired(x.value), 0
        while t < T and s.value.sum() > 1:
            s = fired(tally.site(f"w{i}", p[f"w{i}"], s).value)
            t += 1
        return s

    return f, by_hand


OPERATIONS = (
    dense,
    fire,
    scale,
    reverse,
    mask,
    residual,
    pool,
    bias,
    relu_dense,
    jitted,
    checkpointed,
    looped,
    recurrent,
    chosen,
    until_quiet,
)
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 2)), min_size=1, max_size=6
)


def build(program):
    pairs = [operation(i) for operation, i in program]

    def run(p, x):
        for f, _ in pairs:
            x = f(p, x)
        return x

    def by_hand(p, x):
        tally, value = Tally(), Value(x, "spikes", values={0.0, 1.0})
        for _, hand in pairs:
            value = hand(p, value, tally)
        return value, tally

    return run, by_hand


def weights(seed):
    """Weights and inputs on a grid of eighths, so that every order of summation gives the same
    bits.
    """
    rng = np.random.default_rng(seed)
    p = {f"w{i}": (rng.integers(-2, 3, (N, N)) / 8 * 2).astype(np.float32) for i in range(3)}
    return p, rng.integers(0, 2, N).astype(np.float32)


QUIET = dict(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(PROGRAMS, st.integers(0, 10_000))
@settings(max_examples=EXAMPLES, **QUIET)
def test_program(program, seed):
    counts_as_by_hand(program, seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_thousands_of_programs(part):
    """Others than those of the quick test, and every time the same."""
    some = settings(max_examples=250, derandomize=False, database=None, **QUIET)
    seeded(part)(some(given(PROGRAMS, st.integers(0, 10_000))(counts_as_by_hand)))()


def counts_as_by_hand(program, seed):
    run, by_hand = build(program)
    p, x = weights(seed)
    out, account = joulax.count(run, weights=0, spikes=1)(p, x)
    assert np.array_equal(out, jax.jit(run)(p, x))
    value, tally = by_hand(p, x)
    np.testing.assert_allclose(out, value.value, rtol=1e-5, atol=1e-6)
    layers = {name: record for name, record in account.items() if name in p}
    assert set(layers) == set(tally)
    for name, record in account.items():  # encoders, and neurons that spikes feed one to one
        assert name in p or set(numbers(record)) <= ENCODED | {"updates", "neurons"}, name
    for name, expected in tally.items():
        found = {
            f: v
            for f, v in numbers(layers[name]).items()
            if f in ("ac", "mac", "dense_ac", "dense_mac") and v
        }
        assert found == {f: v for f, v in expected.items() if v}, (
            name
        )  # a branch that was not taken says 0
        assert float(layers[name].nonzero) in (
            [np.count_nonzero(p[name])] if expected else [np.count_nonzero(p[name]), 0]
        )


@given(PROGRAMS, st.integers(0, 10_000))
@settings(max_examples=max(10, EXAMPLES // 10), **QUIET)
def test_transformations(program, seed):
    """vmap = loop, the same kinds for zeros, the original program inside, and the derivatives of
    the uncounted one.
    """
    run, _ = build(program)
    p, x = weights(seed)
    counted = joulax.count(run, weights=0, spikes=1)
    one, zero = counted(p, x)[1], counted(p, 0 * x)[1]
    assert jax.tree.structure(one) == jax.tree.structure(zero)
    both = jax.vmap(counted, in_axes=(None, 0))(p, jnp.stack([x, 0 * x]))[1]
    for name in one:
        for field, value in numbers(one[name]).items():
            pair = getattr(both[name], field)
            assert (float(pair[0]), float(pair[1])) == (value, float(getattr(zero[name], field))), (
                name,
                field,
            )
    loss = lambda f: lambda p: jnp.sum(jnp.square(f(p, x)))
    through = lambda p, x: counted(p, x)[0]
    derivatives = [lambda f: jax.jvp(loss(f), (p,), (p,))[1]]
    if until_quiet not in [
        operation for operation, _ in program
    ]:  # JAX neither prunes nor reverses open loops
        assert original(through, p, x) == original(run, p, x)
        derivatives.append(lambda f: jax.grad(loss(f))(p))
    for derivative in derivatives:
        plain, same = (jax.jit(lambda f=f, d=derivative: d(f))() for f in (run, through))
        assert all(
            np.array_equal(a, b)
            for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(same), strict=True)
        )
