"""What counting costs before the first step: tracing and compiling, and equations added for each
site.

    python benchmarks/compiling.py           # networks of 3, 30 and 100 layers

Three training steps are traced and compiled afresh in one process, in rotating order; ratios are
those of the medians:
without counts, counted by `joulax.count`, and counted by hand with one product of spikes and
fan-outs a layer, the least that can be done.
"""

import argparse
import statistics
import time

import equinox as eqx
import jax
import jax.numpy as jnp
from overhead import SNN, spike

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
        return jnp.square(out).mean() + joulax.losses.target(
            joulax.energy(account, chip).total.mean(), 1e6
        )

    def by_hand(model, x):
        out, synops = jax.vmap(lambda x: hand_counted(model, x))(x)
        return jnp.square(out).mean() + joulax.losses.target(23.6 * synops.mean(), 1e6)

    return {
        name: eqx.filter_grad(f)
        for name, f in (("plain", plain), ("by hand", by_hand), ("counted", counted))
    }


def hand_counted(model, x):
    """The network with its synaptic operations, written out."""
    fanouts = [
        jax.lax.stop_gradient((layer.weight != 0).astype(x.dtype).sum(0)) for layer in model.layers
    ]

    def step(carry, x):
        voltages, counts = [], []
        for layer, v, fanout in zip(model.layers, carry, fanouts, strict=True):
            counts.append(x @ fanout)
            v = 0.9 * v + layer(x)
            x = spike(v - 1)
            voltages.append(v - x)
        return voltages, (x, counts)

    out, counts = jax.lax.scan(step, model.states(x[0]), x)[1]
    return out.sum(0), sum(c.sum() for c in counts)


def equations(jaxpr):
    """Equations of a jaxpr and of all jaxprs inside it."""
    from jax.extend.core import ClosedJaxpr, Jaxpr

    inner = [
        p
        for e in jaxpr.eqns
        for p in jax.tree.leaves(
            list(e.params.values()), is_leaf=lambda x: isinstance(x, Jaxpr | ClosedJaxpr)
        )
    ]
    return len(jaxpr.eqns) + sum(
        equations(p.jaxpr if isinstance(p, ClosedJaxpr) else p)
        for p in inner
        if isinstance(p, Jaxpr | ClosedJaxpr)
    )


def measure(depth, repeats):
    """Median seconds of tracing and compiling each step, and the equations that counting adds."""
    x, times = jnp.ones((8, 10, 32)), {"plain": [], "by hand": [], "counted": []}
    for i in range(repeats):
        model = network(depth)
        for name in list(times)[:: -1 if i % 2 else 1]:
            jax.clear_caches()
            step = steps_of(model)[name]
            arrays, rest = eqx.partition(model, eqx.is_array)
            start = time.perf_counter()
            jax.jit(
                lambda a, x, step=step, rest=rest: eqx.filter(
                    step(eqx.combine(a, rest), x), eqx.is_array
                )
            ).lower(arrays, x).compile()
            times[name].append(time.perf_counter() - start)
    model = network(depth)
    before = equations(jax.make_jaxpr(lambda x: model(x))(x[0]).jaxpr)
    after = equations(
        jax.make_jaxpr(lambda x: joulax.count(model, spikes=0)(x)[1].layers)(x[0]).jaxpr
    )
    return {name: statistics.median(t) for name, t in times.items()}, (after - before) / depth


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, joulax {joulax.__version__}")
    for depth in (3, 30, 100):
        t, added = measure(depth, args.repeats)
        ratios = ", ".join(
            f"{name} {seconds:.2f} s ({seconds / t['plain']:.2f})" for name, seconds in t.items()
        )
        print(f"{depth:>3} layers: {ratios}, {added:.1f} equations a layer", flush=True)
