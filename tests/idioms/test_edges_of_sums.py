"""Sums that add nothing up: of values of which at most one is not zero, whatever the data are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax

from .common import check, f32

RNG = np.random.default_rng(33)


W = f32(RNG.uniform(1, 2, (6, 3)))
ROWS = f32(RNG.uniform(1, 2, (2, 6)))
ROW = np.asarray([1, 1, 0, 1, 1, 0], np.float32)


def count(f, *args, **options):
    return joulax.count(f, weights=0, **options)(*args)[1]


def here():
    """Every other place."""
    return jnp.arange(6) % 2 == 0


def there():
    return jnp.arange(6) < 4


def turned(x):
    return x.reshape(2, 3).T.reshape(6)


APART = {
    "a mask and its rest": lambda x, y: x * f32(here()) + y * (1 - f32(here())),
    "a mask and not": lambda x, y: jnp.where(here(), x, 0) + jnp.where(~here(), y, 0),
    "one choice and the other": lambda x, y: jnp.where(here(), x, 0) + jnp.where(here(), 0, y),
    "numbers of both": lambda x, y: x * f32(here()) + y * f32(~here()),
    "the rest first": lambda x, y: (1 - f32(here())) * x + f32(here()) * y,
    "not not": lambda x, y: x * f32(~~here()) + y * (1 - f32(here())),
    "in another shape": lambda x, y: (
        x * f32(here()).reshape(2, 3).reshape(6) + y * (1 - f32(here()).reshape(2, 3).reshape(6))
    ),
    "moved before and behind": lambda x, y: (
        x * turned(f32(here())) + y * turned(1 - f32(here()))
    ),
    "chosen and multiplied": lambda x, y: jnp.where(here(), x, 0) + y * (1 - f32(here())),
    "one after the other": lambda x, y: (
        jnp.pad(x[:3], (0, 3)) + jnp.pad(y[:3], (3, 0))
    ),
    "the last one first": lambda x, y: jnp.pad(x[:2], (4, 0)) + jnp.pad(y[:4], (0, 2)),
    "into zeros": lambda x, y: (
        jnp.zeros(6, jnp.float32).at[:3].set(x[:3]) + jnp.zeros(6, jnp.float32).at[3:].set(y[:3])
    ),
    "added to zeros": lambda x, y: (
        jnp.zeros(6, jnp.float32).at[:3].add(x[:3]).at[3:].add(y[:3])
    ),
}  # fmt: skip
MEET = {
    "the mask itself": lambda x, y: x * f32(here()) + y * f32(here()),
    "another mask": lambda x, y: x * f32(here()) + y * f32(there()),
    "the rest of another mask": lambda x, y: x * f32(here()) + y * (1 - f32(there())),
    "the rest of both": lambda x, y: x * (1 - f32(here())) + y * (1 - f32(here())),
    "a mask that was moved": lambda x, y: (
        x * turned(f32(here())) + y * (1 - f32(here()))
    ),
    "no mask": lambda x, y: x * f32(here()) + y,
    "half of it": lambda x, y: x * f32(here()) + y * (0.5 - 0.5 * f32(here())),
}  # fmt: skip
OVERLAPPING = {
    "over one another": lambda x, y: jnp.pad(x[:4], (0, 2)) + jnp.pad(y[:4], (2, 0)),
    "over one element": lambda x, y: jnp.pad(x[:4], (0, 2)) + jnp.pad(y[:3], (3, 0)),
    "side by side in the middle": lambda x, y: (
        jnp.pad(x[:2], (1, 3)) + jnp.pad(y[:5], (1, 0))
    ),
}  # fmt: skip


def both(name, table):
    """One row of a leaf times spikes, and another one times their neighbours, in one sum."""

    def f(p, s):
        found = table[name](p["rows"][0] * s, p["rows"][1] * jnp.roll(s, 1))
        return found @ p["w"]

    with jax.numpy_dtype_promotion("standard"):
        account = count(f, dict(rows=ROWS, w=W), f32(ROW), spikes=1)
    x, y = f32(ROW), f32(np.roll(ROW, 1))
    each = (np.count_nonzero(table[name](*pair)) for pair in ((x, 0 * y), (0 * x, y)))
    return account, float(sum(each))


@pytest.mark.parametrize("name", APART)
def test_sums_that_add_nothing_up(name):
    """One to one: no synapses, and events stay events."""
    account, events = both(name, APART)
    assert [*account] == ["w"]
    check(account["w"], ac=3 * events, dense_ac=18.0)


@pytest.mark.parametrize("name", MEET)
def test_sums_that_do(name):
    """Two elements of a leaf for two elements of the data: synapses."""
    account, events = both(name, MEET)
    assert [*account] == ["rows", "w"]
    check(account["rows"], ac=events, dense_ac=12)
    assert account["w"].ac is None


@pytest.mark.parametrize("name", OVERLAPPING)
def test_sums_of_what_overlaps(name):
    f = lambda p, s: OVERLAPPING[name](p[0] * s, p[1] * jnp.roll(s, 1)) @ W
    counted = joulax.count(f, weights=0, spikes=1)
    assert "p" in jax.eval_shape(counted, ROWS, f32(ROW))[1].layers
