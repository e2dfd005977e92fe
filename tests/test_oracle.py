"""Every account against a second count that shares no idea with the rules.

JOULAX_PROGRAMS=2000 python -m pytest tests/test_oracle.py      # thousands on demand
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from jax import lax

import joulax

from .idioms.common import spike
from .oracle import Beyond, synapses

with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
    from .cases.programs import PROGRAMS as CASES
    from .idioms.test_classes import PROGRAMS as IDIOMS

pytestmark = pytest.mark.skipif(jax.config.jax_enable_x64, reason="written in float32")
EXAMPLES = int(os.environ.get("JOULAX_PROGRAMS", "25"))
N, T = 4, 3


def total(account, *fields):
    found = [getattr(r, f) for r in account.values() for f in fields]
    return sum(float(np.sum(np.asarray(x, np.float64))) for x in found if x is not None)


def compare(function, args, options):
    """What differs between an account and the oracle, in words; empty if nothing."""
    account = joulax.count(function, **{**options, "strict": False})(*args)[1]
    oracle = synapses(function, args, options.get("weights"))
    effective = sum(oracle.effective.values()) + oracle.pairs[0]
    dense = sum(oracle.dense.values()) + oracle.pairs[1]
    counted = total(account, "ac_graded", "mac")
    positions = total(account, "dense_ac", "dense_mac")
    if account.convention.lost:  # said to be partial: then it must not say more
        return "" if counted <= effective else f"partial {counted} > {effective}"
    if counted != effective:
        return f"counted {counted}, oracle {effective}"
    return "" if positions >= dense else f"dense {positions} < {dense}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_cases(case):
    _, function, args, _, options = case
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        check(function, args, options)


@pytest.mark.slow
@pytest.mark.parametrize("name", IDIOMS)
def test_idioms(name):
    function, args, _, options = IDIOMS[name]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        check(function, args, options)


def check(function, args, options):
    try:
        found = compare(function, args, options)
    except Beyond as beyond:
        pytest.skip(f"the oracle does not follow {beyond}")
    except ValueError as error:
        found = "" if "no result of this function depends" in str(error) else str(error)
    assert not found, found


# -- random programs -----------------------------------------------------------------------

# Every operation is a function of parameters, values seen so far and a number; it returns a value.
PRE, POST = np.array([0, 1, 2, 3, 0, 2, 3]), np.array([1, 0, 3, 3, 2, 2, 1])


def dense(p, xs, i):
    return p[f"w{i}"] @ xs[-1]


def fire(p, xs, i):
    return spike(xs[-1] - 0.25)


def relu(p, xs, i):
    return jax.nn.relu(xs[-1])


def tanh(p, xs, i):
    return jnp.tanh(xs[-1])


def scaled(p, xs, i):
    return (0.5, 2.0, -1.0)[i] * xs[-1]


def gain(p, xs, i):
    return p["g"] * xs[-1]


def bias(p, xs, i):
    return xs[-1] + p["g"]


def residual(p, xs, i):
    return xs[-1] + xs[-min(2 + i, len(xs))]


def times(p, xs, i):
    return xs[-1] * xs[-min(2 + i, len(xs))]


def rolled(p, xs, i):
    return jnp.roll(xs[-1], i + 1)


def stencil(p, xs, i):
    x = xs[-1]
    return p["g"][0] * x + p["g"][1] * jnp.roll(x, i + 1)


def by_hand(p, xs, i):
    return (p[f"w{i}"] * xs[-1]).sum(1)


def rows_unrolled(p, xs, i):
    return sum((p[f"w{i}"][k] * xs[-1][k] for k in range(1, N)), p[f"w{i}"][0] * xs[-1][0])


def rows_looped(p, xs, i):
    return lax.fori_loop(0, N, lambda k, a: a + p[f"w{i}"][k] * xs[-1][k], jnp.zeros(N))


def rows_scanned(p, xs, i):
    step = lambda a, wx: (a + wx[0] * wx[1], None)
    return lax.scan(step, jnp.zeros(N), (p[f"w{i}"], xs[-1]))[0]


def rows_picked(p, xs, i):
    index = jnp.nonzero(xs[-1], size=N, fill_value=N)[0]
    return p[f"w{i}"].at[index].get(mode="fill", fill_value=0.0).sum(0)


def edges(p, xs, i):
    return jax.ops.segment_sum(p["e"] * xs[-1][PRE], POST, N)


def edges_at(p, xs, i):
    return jnp.zeros(N).at[POST].add(p["e"] * jnp.where(xs[-1] > 0.25, 1.0, 0.0)[PRE])


def gated_rows(p, xs, i):
    return jnp.where(xs[-1][:, None] > 0.25, p[f"w{i}"], 0.0).sum(0)


def landed(p, xs, i):
    index = jnp.clip(jnp.abs(xs[-1]).astype(jnp.int32), 0, N - 1)
    return jnp.zeros(N).at[index].add(p["g"] if i else 1.0)


def looked_up(p, xs, i):
    return p[f"w{i}"][jnp.argmax(xs[-1])]


def mapped(p, xs, i):
    return jax.vmap(lambda row: jnp.dot(row, xs[-1]))(p[f"w{i}"])


def mapped_twice(p, xs, i):
    product = jax.vmap(jax.vmap(jnp.multiply, (0, 0)), (0, None))
    return product(p[f"w{i}"], xs[-1]).sum(1)


def normalised(p, xs, i):
    x = xs[-1] - xs[-1].mean()
    return p["g"] * x / jnp.sqrt((x * x).mean() + 1.0)


def mean_gain(p, xs, i):
    return xs[-1] + (p["g"] * xs[-1]).mean()


def softmaxed(p, xs, i):
    return jax.nn.softmax(p[f"w{i}"], axis=1) @ xs[-1]


def masked(p, xs, i):
    return (p[f"w{i}"] * (p["w0"] > 0)) @ xs[-1]


def low_rank(p, xs, i):
    return (p["w0"] @ p[f"w{i}"]) @ xs[-1]


def trace(p, xs, i):
    step = lambda v, x: (0.5 * v + x, 0.5 * v + x)
    return lax.scan(step, jnp.zeros(()), xs[-1])[1]


def learned_trace(p, xs, i):
    def step(v, _):
        v = p["g"] * v + xs[-1]
        return v, v

    return lax.scan(step, jnp.zeros(N), None, length=T)[1][i]


def packed(p, xs, i):
    def step(s, _):
        v = 0.5 * s[0] + p[f"w{i}"] @ s[1] + xs[-1]
        return jnp.stack([v, spike(v - 0.25)]), v

    return lax.scan(step, jnp.zeros((2, N)), None, length=T)[1].sum(0)


def logged(p, xs, i):
    def step(v, _):
        v = 0.5 * v + p[f"w{i}"] @ xs[-1]
        s = v > 0.25
        return v - 0.25 * s, (s.astype(jnp.float32), s.mean())

    s, rate = lax.scan(step, jnp.zeros(N), None, length=T)[1]
    return s.sum(0) + 0 * rate.sum()


def logic(p, xs, i):
    a, b = xs[-1] > 0.25, xs[-min(2, len(xs))] > 0
    return ((a & ~b), (a | b), (a ^ b))[i].astype(jnp.float32)


def running(p, xs, i):
    return jnp.cumsum(xs[-1]) if i else jnp.cumsum(p["g"] * xs[-1])


def windowed(p, xs, i):
    add = lambda x: lax.reduce_window(x, 0.0, lax.add, (2,), (1,), "SAME")
    return add(xs[-1] if i else p["g"] * xs[-1])


def convolved(p, xs, i):
    kernel = p["g"][: 2 + i][None, None]
    return lax.conv_general_dilated(xs[-1][None, None], kernel, (1,), "SAME")[0, 0]


def attended(p, xs, i):
    scores = jnp.einsum("i,j->ij", xs[-1], xs[-min(2, len(xs))])
    return jnp.einsum("ij,j->i", scores, xs[-1])


def outer(p, xs, i):
    return (jnp.outer(xs[-1], p["g"]) * p[f"w{i}"]).sum(0)


def branch(p, xs, i):
    f = lambda x: p[f"w{i}"] @ x
    return lax.cond(xs[-1].sum() > 0, f, lambda x: 0.5 * x, xs[-1])


def sorted_(p, xs, i):
    return jnp.sort(xs[-1])


def flattened(p, xs, i):
    pair = jnp.stack([xs[-1], xs[-min(2, len(xs))]])
    weight = jnp.concatenate([p[f"w{i}"], p["w0"]], 1)
    return weight @ pair.reshape(-1)


def split_sum(p, xs, i):
    w, x = p[f"w{i}"], xs[-1]
    return w[:, :2] @ x[:2] + w[:, 2:] @ x[2:]


def half_by_hand(p, xs, i):
    w, x = p[f"w{i}"], xs[-1]
    return w[:, :3] @ x[:3] + w[:, 3] * x[3]


def plastic(p, xs, i):
    x = xs[-1]

    def step(w, _):
        y = jnp.tanh(w @ x)
        return w + 0.125 * jnp.outer(y, x), y

    return lax.scan(step, p[f"w{i}"], None, length=T)[1][-1]


def scan_layers(p, xs, i):
    stack = jnp.stack([p["w0"], p["w1"], p["w2"]])
    return lax.scan(lambda x, w: (jnp.tanh(w @ x), None), xs[-1], stack)[0]


OPERATIONS = [
    f
    for f in list(globals().values())
    if callable(f)
    and getattr(f, "__code__", None) is not None
    and f.__code__.co_varnames[:3] == ("p", "xs", "i")
]
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 2)), min_size=1, max_size=4
)


# Changes of a leaf by data: they return what the leaf is afterwards.


def gained(w, p, x):
    return w * jnp.tanh(x.sum() + 1)


def adapted(w, p, x):
    return w + jnp.tanh(x.sum() + 1) * p["w2"]


def taught(w, p, x):
    return w + 0.125 * jnp.outer(jnp.tanh(x), x)


def pruned(w, p, x):
    return w * (jnp.abs(w) > 0.3 * jnp.tanh(x.sum()))


def signed(w, p, x):
    return jnp.sign(w) * jnp.tanh(x.sum() + 1)


def clipped(w, p, x):
    limit = jnp.abs(jnp.tanh(x.sum())) + 0.1
    return jnp.clip(w, -limit, limit)


CHANGES = [gained, adapted, taught, pruned, signed, clipped]
USES = [dense, relu, tanh, by_hand, rows_unrolled, rows_looped, rows_scanned, outer, masked]
USES += [low_rank, split_sum, half_by_hand, flattened, branch, softmaxed]
CHANGED = st.tuples(
    st.lists(st.tuples(st.sampled_from([fire, relu, dense]), st.integers(0, 2)), max_size=1),
    st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 1)), min_size=1, max_size=2),
    st.lists(st.tuples(st.sampled_from(USES), st.integers(0, 2)), min_size=1, max_size=2),
)


def changing(program):
    """Layers, leaves that data change, layers that use them."""
    before, changes, after = program

    def run(p, x):
        x = build(before)(p, x)
        for change, i in changes:
            p = p | {f"w{i}": change(p[f"w{i}"], p, x)}
        return build(after)(p, x)

    return run


def build(program):
    def run(p, x):
        xs = [x]
        for operation, i in program:
            xs.append(operation(p, xs, i))
        return xs[-1]

    return run


def arguments(seed):
    rng = np.random.default_rng(seed)
    eighths = lambda *shape: jnp.asarray((rng.integers(-2, 3, shape) / 4).astype(np.float32))
    p = {"w0": eighths(N, N), "w1": eighths(N, N), "w2": eighths(N, N)}
    p |= {"g": eighths(N), "e": eighths(len(PRE))}
    return p, jnp.asarray(rng.integers(0, 2, N).astype(np.float32))


@given(PROGRAMS, st.integers(0, 10_000))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_programs(program, seed):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        check(build(program), arguments(seed), dict(weights=0, spikes=1))


@given(CHANGED, st.integers(0, 10_000))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_leaves_that_data_change(program, seed):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        check(changing(program), arguments(seed), dict(weights=0, spikes=1))
