"""Training step with counting and an energy loss, against the same step without: one ratio for each
network.

    python benchmarks/overhead.py            # both networks
    python benchmarks/overhead.py --steps 5  # quicker

Both steps run in one process; their order rotates, and the ratio is that of the medians.
"""

import argparse
import statistics
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import joulax


@jax.custom_jvp
def spike(v):
    """A spike where the membrane is above threshold."""
    return (v > 0).astype(v.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (v,), (dv,) = primals, tangents
    return spike(v), dv / (1 + 10 * jnp.abs(v)) ** 2


class SNN(eqx.Module):
    """Layers with spiking neurons after each, stepped by one scan."""

    layers: list
    pools: list

    def __call__(self, x):
        def step(carry, x):
            voltages = []
            for layer, pool, v in zip(self.layers, self.pools, carry, strict=True):
                v = 0.9 * v + layer(x)
                s = spike(v - 1)
                voltages.append(v - s)
                x = pool(s)
            return voltages, x

        return jax.lax.scan(step, self.states(x[0]), x)[1].sum(0)

    def states(self, x):
        states = []
        for layer, pool in zip(self.layers, self.pools, strict=True):
            v = jax.eval_shape(layer, x)
            states.append(jnp.zeros(v.shape, v.dtype))
            x = jax.eval_shape(pool, v)
        return states


def mlp(key):
    """784-512-512-10, T = 100, batch 64."""
    sizes = (784, 512, 512, 10)
    keys = jax.random.split(key, 3)
    layers = [
        eqx.nn.Linear(a, b, key=k) for a, b, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
    ]
    return SNN(layers, [lambda s: s] * 3), (64, 100, 784)


def conv(key):
    """The four-layer convolutional network of the Sinabs how-to, T = 50, batch 32."""
    k = jax.random.split(key, 4)
    pool, flat = eqx.nn.AvgPool2d(2, 2), lambda s: s.reshape(-1)
    layers = [
        eqx.nn.Conv2d(1, 16, 5, use_bias=False, key=k[0]),
        eqx.nn.Conv2d(16, 32, 5, use_bias=False, key=k[1]),
        eqx.nn.Conv2d(32, 120, 4, use_bias=False, key=k[2]),
        eqx.nn.Linear(120, 10, use_bias=False, key=k[3]),
    ]
    return SNN(layers, [pool, pool, flat, lambda s: s]), (32, 50, 1, 28, 28)


def steps_of(model, optimiser):
    """The plain training step and the counted one."""
    chip = joulax.hardware("loihi")

    def task(logits, labels):
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def plain(model, x, y):
        return task(jax.vmap(model)(x), y)

    def counted(model, x, y):
        logits, account = jax.vmap(joulax.count(model, spikes=0))(x)
        energy = joulax.energy(account, chip).total.mean()
        return task(logits, y) + 1e-3 * joulax.losses.target(energy, 1e6)

    def step(loss):
        @eqx.filter_jit(donate="all-except-first")
        def run(data, model, state):
            grads = eqx.filter_grad(loss)(model, *data)
            updates, state = optimiser.update(grads, state)
            return eqx.apply_updates(model, updates), state

        return run

    return {"plain": step(plain), "counted": step(counted)}


def measure(make, repeats):
    """Median seconds of each step."""
    model, shape = make(jax.random.key(0))
    optimiser = optax.adam(1e-3)
    data = (
        (jax.random.uniform(jax.random.key(1), shape) < 0.2).astype(jnp.float32),
        jnp.zeros(shape[0], jnp.int32),
    )
    runs, times = steps_of(model, optimiser), {}
    states = {name: (model, optimiser.init(eqx.filter(model, eqx.is_array))) for name in runs}
    states = {
        name: jax.tree.map(lambda a: a.copy() if eqx.is_array(a) else a, s)
        for name, s in states.items()
    }
    for i in range(repeats + 1):
        for name in sorted(runs, reverse=bool(i % 2)):
            start = time.perf_counter()
            states[name] = jax.block_until_ready(runs[name](data, *states[name]))
            if i:
                times.setdefault(name, []).append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--only", choices=["mlp", "conv"])
    args = parser.parse_args()
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, joulax {joulax.__version__}")
    for make in (mlp, conv):
        if args.only in (None, make.__name__):
            t = measure(make, args.steps)
            print(
                (
                    f"{make.__name__:<5} plain {t['plain']:.3f} s, counted "
                    f"{t['counted']:.3f} s, ratio {t['counted'] / t['plain']:.3f}"
                ),
                flush=True,
            )
