"""Every elementwise primitive on every kind of spikes, alone, with a parameter, with others.

What a product behind receives is compared with NumPy: exactly the nonzero values are events, and
values that can only be −1, 0 or 1 count by what they are.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import joulax

RNG = np.random.default_rng(3)
TRAINS = [RNG.integers(0, 2, 24).astype(np.float32) for _ in range(4)]
FANOUT = 3
KINDS = {  # how a value is made of trains, and what it can be
    "binary": (lambda a, b, c: a, {0, 1}),
    "counts": (lambda a, b, c: a + b + c, {0, 1, 2, 3}),
    "signed": (lambda a, b, c: a - b, {-1, 0, 1}),
    "scaled": (lambda a, b, c: 0.5 * a, {0, 0.5}),
}
SECOND = {
    "itself": None,
    "spikes": {0, 1},
    "zero": {0.0},
    "half": {0.5},
    "one": {1.0},
    "minus": {-1.0},
}
UNARY = {
    "neg": (lax.neg, np.negative),
    "abs": (lax.abs, np.abs),
    "sign": (lax.sign, np.sign),
    "square": (lax.square, np.square),
    "cube": (lambda x: lax.integer_pow(x, 3), lambda x: x**3),
    "round": (jnp.round, np.round),
    "round away": (lax.round, lambda x: np.floor(x + np.float32(0.5))),
    "floor": (lax.floor, np.floor),
    "ceil": (lax.ceil, np.ceil),
    "complement": (lambda x: 1 - x, lambda x: 1 - x),
    "clip": (lambda x: jnp.clip(x, 0, 1), lambda x: np.clip(x, 0, 1)),
    "copy": (lambda x: lax.convert_element_type(x, jnp.bfloat16).astype(jnp.float32), lambda x: x),
    "truth": (lambda x: (x != 0).astype(jnp.float32), lambda x: x != 0),
    "not": (lambda x: (~(x > 0)).astype(jnp.float32), lambda x: ~(np.asarray(x) > 0)),
    "exp": (lax.exp, np.exp),
    "tanh": (lax.tanh, np.tanh),
    "sqrt": (lambda x: lax.sqrt(lax.abs(x)), lambda x: np.sqrt(np.abs(x))),
    "sin": (lax.sin, np.sin),
    "expm1": (lax.expm1, np.expm1),
    "log1p": (lambda x: lax.log1p(lax.abs(x)), lambda x: np.log1p(np.abs(x))),
    "cumulative": (jnp.cumsum, np.cumsum),
}
_logical = lambda f: lambda x, y: f(x > 0, y > 0).astype(jnp.float32)
_hand = lambda f: lambda x, y: f(np.asarray(x) > 0, np.asarray(y) > 0)
_truth = lambda f: lambda x, y: f(x, y).astype(jnp.float32)
BINARY = {
    "add": (lax.add, np.add),
    "sub": (lax.sub, np.subtract),
    "mul": (lax.mul, np.multiply),
    "max": (lax.max, np.maximum),
    "min": (lax.min, np.minimum),
    "and": (_logical(jnp.logical_and), _hand(np.logical_and)),
    "or": (_logical(jnp.logical_or), _hand(np.logical_or)),
    "xor": (_logical(jnp.logical_xor), _hand(np.logical_xor)),
    "eq": (_truth(lax.eq), np.equal),
    "ne": (_truth(lax.ne), np.not_equal),
    "gt": (_truth(lax.gt), np.greater),
    "ge": (_truth(lax.ge), np.greater_equal),
    "lt": (_truth(lax.lt), np.less),
    "le": (_truth(lax.le), np.less_equal),
    "eq_to": (_truth(lax.eq_to_p.bind), np.equal),  # of sorted numbers
    "lt_to": (_truth(lax.lt_to_p.bind), np.less),
    "le_to": (_truth(lax.le_to_p.bind), np.less_equal),
    "where": (lambda x, y: jnp.where(x > 0, y, 0.0), lambda x, y: np.where(x > 0, y, 0.0)),
    "where not": (lambda x, y: jnp.where(x > 0, 0.0, y), lambda x, y: np.where(x > 0, 0.0, y)),
    "complex or": (lambda x, y: x + y - x * y, lambda x, y: x + y - x * y),
}
UNSET = {"complex or": ("one", "minus")}  # the set is lost on the way: 1 + x has no zero


def seconds(name):
    """What a function takes beside its first operand."""
    return [None] if name in UNARY else [s for s in SECOND if s not in UNSET.get(name, ())]


def possible_values(possible, f, second):
    """What a function of values can be; `second` says of what else."""
    numbers = [np.float32(a) for a in possible]
    if second is None:
        return {float(f(a)) for a in numbers}
    others = SECOND[second]
    pairs = zip(numbers, numbers, strict=True) if others is None else None
    pairs = pairs or itertools.product(numbers, map(np.float32, others or ()))
    return {float(f(a, b)) for a, b in pairs}


def operand(second, x, d):
    """The second operand: the first again, other spikes, or a constant."""
    if second == "itself":
        return x
    return d if second == "spikes" else np.full(np.shape(x), *SECOND[second], dtype=np.float32)


def values(f, name, trains):
    """The function of every kind of value, beside everything that it takes."""
    *abc, d = trains
    made = {kind: make(*abc) for kind, (make, _) in KINDS.items()}
    call = lambda x, second: f(x) if second is None else f(x, operand(second, x, d))
    return {f"{k} {s}": call(x, s) for k, x in made.items() for s in seconds(name)}


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_table(name):
    f, hand = {**UNARY, **BINARY}[name]

    def model(p, *trains):
        return {k: jnp.dot(x, p[k]) for k, x in values(f, name, trains).items()}

    truths = values(hand, name, TRAINS)
    p = {case: jnp.ones((24, FANOUT)) for case in truths}
    trains = [jnp.asarray(t) for t in TRAINS]
    with jax.numpy_dtype_promotion("standard"), jax.disable_jit():
        out, account = joulax.count(model, weights=0, spikes=(1, 2, 3, 4))(p, *trains)
    for case, truth in truths.items():
        truth = np.asarray(truth, np.float32)
        np.testing.assert_allclose(out[case], np.full(FANOUT, truth.sum()), rtol=1e-4, atol=1e-4)
        kind, second = case.split()
        second = None if second == "None" else second
        known = possible_values(KINDS[kind][1], hand, second) if name != "cumulative" else None
        check(account[case], truth, known, case)


def check(record, truth, known, kind):
    events = float(np.count_nonzero(truth)) * FANOUT
    assert (record.ac is None) != (record.mac is None), kind
    assert float(record.mac if record.ac is None else record.ac_graded) == events, kind
    if known is not None and known <= {-1.0, 0.0, 1.0}:
        assert record.mac is None, kind
        assert float(record.ac) == np.abs(truth).sum() * FANOUT, kind
    if record.ac is not None:
        assert float(record.ac) >= float(record.ac_graded), kind
