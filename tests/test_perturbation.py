"""Nothing that `count` calls a parameter changes when the arguments do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import joulax
from joulax._count.kinds import Parameter
from joulax._count.program import Call

from .oracle import Oracle, filled, is_key

with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
    from .cases.programs import PROGRAMS as CASES
    from .idioms.test_classes import PROGRAMS as IDIOMS

PROGRAMS = {name: (f, a, options) for name, f, a, want, options in CASES if want != "refuse"}
MORE = {name: (f, a, options) for name, (f, a, _, options) in IDIOMS.items()}
del MORE["stateful spikes closed over"]  # refused: nothing in it is data
pytestmark = pytest.mark.skipif(jax.config.jax_enable_x64, reason="written in float32")


class Recorder(Oracle):
    """Runs a jaxpr equation by equation and keeps what every one of them gave, each time."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def equation(self, jaxpr, eqn, ins, tags, path):
        outs, made = super().equation(jaxpr, eqn, ins, tags, path)
        self.seen.setdefault(path, []).append((eqn.primitive.name, outs))
        return outs, made

    def result(self, eqn, ins, tags, out, key, k):
        return filled(np.shape(out))


def run(function, args):
    closed = jax.make_jaxpr(function)(*args)
    values = [x if is_key(x) else np.asarray(x) for x in jax.tree.leaves(args)]
    recorder = Recorder()
    tags = [filled(np.shape(x)) for x in values]
    recorder.run(closed.jaxpr, closed.consts, values, tags)
    return recorder.seen


def other(x, rng):
    """Another value of the same shape, type and range."""
    if isinstance(x, int | float):
        return x
    if is_key(x):
        return jax.random.key(int(rng.integers(1000)))
    weak, x = getattr(x, "weak_type", False), np.asarray(x)
    if weak and np.issubdtype(x.dtype, np.integer):
        return jnp.array(int(rng.integers(x, x + 1)))
    if x.dtype == bool or np.isin(x, (0, 1)).all():
        return jnp.asarray(rng.integers(0, 2, x.shape).astype(x.dtype))
    if np.issubdtype(x.dtype, np.integer):
        return jnp.asarray(rng.integers(x.min(), x.max() + 1, x.shape).astype(x.dtype))
    return jnp.asarray(rng.normal(size=x.shape).astype(x.dtype))


def parameters(plan):
    """Places and outputs of equations that are parameters, in all jaxprs."""
    for step in plan.steps:
        for k, out in enumerate(step.found.outs):
            if isinstance(out, Parameter):
                yield step.path, step.eqn.primitive.name, k
        for inner, _ in step.found.inner:
            yield from parameters(inner)


@pytest.mark.parametrize(
    "name", [*PROGRAMS, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_parameters_do_not_depend_on_data(name):
    function, args, options = {**MORE, **PROGRAMS}[name]
    rng = np.random.default_rng(0)
    weights = options.get("weights")
    fixed = {weights} if isinstance(weights, int) else set(weights or ())
    change = lambda tree: jax.tree.map(lambda x: other(x, rng), tree)
    changed = [a if i in fixed else change(a) for i, a in enumerate(args)]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        program = joulax.count(function, **{**options, "strict": False})._program(
            Call(function, args, {})
        )
        first, second = run(function, args), run(function, changed)
    compared = 0
    for path, primitive, k in parameters(program.plan):
        for (a, left), (b, right) in zip(first.get(path, ()), second.get(path, ()), strict=False):
            assert a == b == primitive
            if not is_key(left[k]):
                np.testing.assert_array_equal(left[k], right[k], err_msg=f"{primitive} at {path}")
                compared += 1
    assert compared or not list(parameters(program.plan))
