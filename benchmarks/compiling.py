"""What counting costs before the first step: tracing and compiling, and equations added for each site.

    python benchmarks/compiling.py           # networks of 3, 30 and 100 layers

Both training steps are traced and compiled afresh in one process, in rotating order; the ratio is that of the medians.
"""

import argparse
import statistics
import time

import equinox as eqx
import jax
import jax.numpy as jnp
from overhead import SNN

import joulax


def network(depth, width=32):
    """A chain of spiking layers."""
    keys = jax.random.split(jax.random.key(0), depth)
    return SNN([eqx.nn.Linear(width, width, key=k) for k in keys], [lambda s: s] * depth)


def steps_of(model):
    """The gradient of a task, and of the task with an energy."""
    chip = joulax.hardware("loihi")

    def plain(model, x):
        return jnp.square(jax.vmap(model)(x)).mean()

    def counted(model, x):
        out, account = jax.vmap(joulax.count(model, spikes=0))(x)
        return jnp.square(out).mean() + joulax.losses.target(joulax.energy(account, chip).total.mean(), 1e6)

    return {"plain": eqx.filter_grad(plain), "counted": eqx.filter_grad(counted)}


def equations(jaxpr):
    """Equations of a jaxpr and of all jaxprs inside it."""
    from jax.extend.core import ClosedJaxpr, Jaxpr

    inner = [p for e in jaxpr.eqns for p in jax.tree.leaves(list(e.params.values()), is_leaf=lambda x: isinstance(x, Jaxpr | ClosedJaxpr))]
    return len(jaxpr.eqns) + sum(equations(p.jaxpr if isinstance(p, ClosedJaxpr) else p) for p in inner if isinstance(p, Jaxpr | ClosedJaxpr))


def measure(depth, repeats):
    """Median seconds of tracing and compiling each step, and the equations that counting adds."""
    x, times = jnp.ones((8, 10, 32)), {"plain": [], "counted": []}
    for i in range(repeats):
        model = network(depth)
        for name in sorted(times, reverse=bool(i % 2)):
            jax.clear_caches()
            step = steps_of(model)[name]
            arrays, rest = eqx.partition(model, eqx.is_array)
            start = time.perf_counter()
            jax.jit(lambda a, x, step=step, rest=rest: eqx.filter(step(eqx.combine(a, rest), x), eqx.is_array)).lower(arrays, x).compile()
            times[name].append(time.perf_counter() - start)
    model = network(depth)
    before = equations(jax.make_jaxpr(lambda x: model(x))(x[0]).jaxpr)
    after = equations(jax.make_jaxpr(lambda x: joulax.count(model, spikes=0)(x)[1].layers)(x[0]).jaxpr)
    return {name: statistics.median(t) for name, t in times.items()}, (after - before) / depth


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, joulax {joulax.__version__}")
    for depth in (3, 30, 100):
        t, added = measure(depth, args.repeats)
        ratio = t["counted"] / t["plain"]
        print(f"{depth:>3} layers: plain {t['plain']:.2f} s, counted {t['counted']:.2f} s, ratio {ratio:.2f}, {added:.1f} equations a layer", flush=True)
