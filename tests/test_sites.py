"""Fan-out of every synaptic form, against a counter that walks over synapses one by one."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import joulax


def slow_conv(x, w, stride, padding, dilation, hole, groups):
    """(synops of spikes x, existing synapse positions) of a 1-D or 2-D convolution, by loops over
    synapses.
    """
    n = x.ndim - 1
    c_out, c_in = w.shape[:2]
    outs = [
        (s - 1) * h + 1 + sum(p) - d * (k - 1)
        for s, h, p, d, k in zip(x.shape[1:], hole, padding, dilation, w.shape[2:], strict=True)
    ]
    outs = [max(0, (o - 1) // s + 1) for o, s in zip(outs, stride, strict=True)]
    synops = positions = 0
    for o, *place in itertools.product(range(c_out), *map(range, outs)):
        group = o * groups // c_out
        for i, *tap in itertools.product(range(c_in), *map(range, w.shape[2:])):
            at = [place[a] * stride[a] + tap[a] * dilation[a] - padding[a][0] for a in range(n)]
            if any(
                a < 0 or a % hole[k] or a // hole[k] >= x.shape[1 + k] for k, a in enumerate(at)
            ):
                continue
            positions += 1
            source = x[(group * c_in + i, *(a // hole[k] for k, a in enumerate(at)))]
            synops += abs(source) * (w[(o, i, *tap)] != 0)
    return synops, positions


@st.composite
def convolutions(draw):
    n = draw(st.integers(1, 2))
    groups, per_in, per_out = (
        draw(st.integers(1, 2)),
        draw(st.integers(1, 2)),
        draw(st.integers(1, 2)),
    )
    several = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(n))
    kernel, stride, dilation, hole = several(1, 3), several(1, 3), several(1, 2), several(1, 2)
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(n))
    size = tuple(
        d * (k - 1) + 1 + draw(st.integers(0, 3)) for d, k in zip(dilation, kernel, strict=True)
    )
    seed = draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (groups * per_in, *size)).astype(np.float32)
    w = rng.integers(-1, 2, (groups * per_out, per_in, *kernel)).astype(np.float32)
    return x, w, stride, padding, dilation, hole, groups


@given(convolutions())
@settings(max_examples=25, deadline=None)
def test_convolution(case):
    x, w, stride, padding, dilation, hole, groups = case
    space = "HW"[: x.ndim - 1]

    def conv(p, x):
        numbers = (f"NC{space}", f"OI{space}", f"NC{space}")
        return jax.lax.conv_general_dilated(
            x[None], p, stride, padding, hole, dilation, numbers, groups
        )

    _, account = joulax.count(conv, weights=0, spikes=1)(jnp.asarray(w), jnp.asarray(x))
    synops, positions = slow_conv(*case)
    record = account["p"]
    assert float(record.ac) == synops
    assert float(record.dense_ac) == float(record.synapses) == positions


EINSUMS = (
    "i,ij->j",
    "bi,ji->bj",
    "hi,hij->hj",
    "ti,hij->thj",
    "bhi,hij->bhj",
    "ij,jk->ik",
    "i,i->",
    "bti,oi->bto",
)


@given(st.sampled_from(EINSUMS), st.booleans(), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_einsum(form, flipped, seed):
    """Any dimension numbers, weights on either side."""
    sizes = dict(b=2, h=2, i=3, j=4, k=2, o=2, t=3)
    data, weight = form.split("->")[0].split(",")
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, [sizes[c] for c in data]).astype(np.float32)
    w = rng.integers(-1, 2, [sizes[c] for c in weight]).astype(np.float32)
    spec = f"{weight},{data}->{form.split('->')[1]}" if flipped else form
    model = lambda p, x: jnp.einsum(spec, p, x) if flipped else jnp.einsum(spec, x, p)
    _, account = joulax.count(model, weights=0, spikes=1)(jnp.asarray(w), jnp.asarray(x))
    letters = sorted(set(data + weight))
    synops = graded = dense = 0
    for place in itertools.product(*(range(sizes[c]) for c in letters)):
        at = dict(zip(letters, place, strict=True))
        exists = w[tuple(at[c] for c in weight)] != 0
        value = x[tuple(at[c] for c in data)]
        synops, graded, dense = synops + value * exists, graded + (value != 0) * exists, dense + 1
    record = account["p"]
    assert (float(record.ac), float(record.ac_graded), float(record.dense_ac)) == (
        synops,
        graded,
        dense,
    )
    assert float(record.ac_graded) <= float(record.dense_ac)


def test_transposed_convolution():
    layer = lambda p, x: jax.lax.conv_transpose(
        x[None], p, (2,), "SAME", dimension_numbers=("NCH", "OIH", "NCH")
    )
    x, w = np.array([[1.0, 0, 1]], np.float32), np.ones((2, 1, 3), np.float32)
    _, account = joulax.count(layer, weights=0, spikes=1)(jnp.asarray(w), jnp.asarray(x))
    synops, positions = slow_conv(x, w, (1,), ((2, 1),), (1,), (2,), 1)
    assert (float(account["p"].ac), float(account["p"].dense_ac)) == (synops, positions)


def test_batch_groups():
    call = lambda p, x: jax.lax.conv_general_dilated(
        x, p, (1,), "VALID", dimension_numbers=("NCH", "OIH", "NCH"), batch_group_count=2
    )
    _, account = joulax.count(call, weights=0, spikes=1)(jnp.ones((4, 3, 2)), jnp.ones((2, 3, 5)))
    assert (
        float(account["p"].ac) == float(account["p"].dense_ac) == 4 * 3 * 2 * 4
    )  # two channels of each batch group at four positions


def test_data_in_the_place_of_the_kernel():
    call = lambda p, x: jnp.convolve(p, x, mode="valid")
    _, account = joulax.count(call, weights=0, spikes=1)(jnp.ones(5), jnp.array([1.0, 0.0, 1.0]))
    assert float(account["p"].ac) == 6


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("start", [2, 3])
def test_slices_of_a_weight_that_overlap_are_synapses_once(axis, start):
    """Three of five rows or columns, and the others from `start` on, together all of them."""
    w, x = jnp.ones((5, 5)).at[0, 4].set(0.0), jnp.ones((2, 5))

    def program(w, x):
        if axis:
            return x @ w[:, :3], x @ w[:, start:]
        return x[:, :3] @ w[:3], x[:, start:] @ w[start:]

    (record,) = joulax.count(program, weights=0)(w, x)[1].values()
    assert float(record.synapses) == 25
    assert float(record.nonzero) == (24 if start == 3 else 25)  # at most
    assert float(record.dense_mac) == 2 * 5 * (3 + 5 - start)
