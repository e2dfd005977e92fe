"""What the idioms share: a surrogate spike, a runner of steps, and a reader of accounts."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.interpreters.partial_eval import dce_jaxpr


def f32(values):
    """An array as programs of float32 have it, whatever the test is run with."""
    return jnp.asarray(values, jnp.float32)


def unchanged(f, *args, weights=0, **options):
    """The account of a program whose results are those of the program itself."""
    from joulax import count

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        out, account = count(f, weights=weights, **options)(*args)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), out, f(*args))
    return account


@jax.custom_jvp
def spike(v):
    return (v > 0).astype(v.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (v,), (dv,) = primals, tangents
    return spike(v), dv / (1 + jnp.abs(v)) ** 2


def over_steps(step, state, xs, looped):
    """What every step gives beside its state, in a scan or written out."""
    if looped:
        return lax.scan(step, state, xs)[1]
    outs = []
    for x in xs:
        state, out = step(state, x)
        outs.append(out)
    return jax.tree.map(lambda *each: jnp.stack(each), *outs)


def numbers(record) -> dict:
    """Fields that exist, as floats."""
    from joulax import Activity

    return {
        f: float(np.asarray(getattr(record, f)))
        for f in Activity.__dataclass_fields__
        if getattr(record, f) is not None
    }


def check(record, **expected):
    """Exactly these fields have exactly these values (`ac` and `spikes` stand for their graded
    twins too).
    """
    found = numbers(record)
    for f in ("ac", "spikes"):
        if f in expected:
            expected.setdefault(f"{f}_graded", expected[f])
    wrong = {f: (found.get(f), v) for f, v in expected.items() if found.get(f) != v}
    assert not wrong, f"(found, expected): {wrong}"
    for f in ("ac", "mac", "spikes", "updates"):
        assert (f in found) == (f in expected), f"{f}: {found.get(f)}"


def inside(eqn):
    """The jaxprs in an equation."""
    closed = lambda x: isinstance(x, Jaxpr | ClosedJaxpr)
    found = filter(closed, jax.tree.leaves(list(eqn.params.values()), is_leaf=closed))
    return [x.jaxpr if isinstance(x, ClosedJaxpr) else x for x in found]


def primitives(jaxpr):
    """Names of all primitives with their output shapes, depth first."""
    found = []
    for eqn in jaxpr.eqns:
        found.append((eqn.primitive.name, tuple(str(v.aval) for v in eqn.outvars)))
        found += [p for inner in inside(eqn) for p in primitives(inner)]
    return found


def work(jaxpr):
    """Elements that a program computes, in every step of its scans."""
    found = 0
    for eqn in jaxpr.eqns:
        steps = eqn.params.get("length", 1) if eqn.primitive.name == "scan" else 1
        found += steps * sum(map(work, inside(eqn)))
        found += sum(getattr(v.aval, "size", 1) for v in eqn.outvars)
    return found


def original(f, *args):
    """What is left of a program without dead code."""
    jaxpr = jax.make_jaxpr(f)(*args).jaxpr
    clamped = ("clamp", ("int32[]",))  # `switch` clamps the index of a branch once more
    return [p for p in primitives(dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))[0]) if p != clamped]
