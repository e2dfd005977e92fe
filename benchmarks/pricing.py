"""What pricing costs: `python benchmarks/pricing.py [--json FILE]` prints times and ratios.

Totals and layers of an account on many chips, under `jit` and eagerly, against a bare product of
sums and prices in JAX. Best of many interleaved runs, in milliseconds of wall time.
"""

import argparse
import json
import platform
import time

import jax
import jax.numpy as jnp

import joulax


def account(layers):
    """Spiking layers of one form."""
    return {
        f"layer {i}": joulax.activity(
            ac=float(i + 1), dense_ac=1e6, spikes=10.0, updates=50.0, neurons=5, synapses=40
        )
        for i in range(layers)
    }


def best(call, runs=30):
    """The shortest of many runs [ms], after one that compiles."""
    jax.block_until_ready(call())
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def once(call):
    start = time.perf_counter()
    jax.block_until_ready(call())
    return 1e3 * (time.perf_counter() - start)


def measure(layers, chips):
    """All times of one size [ms]."""
    network = account(layers)
    chip = joulax.hardware("loihi")
    machines = joulax.stack([chip] * chips)
    time_of_call = jnp.asarray(1e-3)
    sums = jnp.asarray([sum(float(r.ac) for r in network.values()), 50.0 * layers])
    prices = jnp.stack([machines.costs.ac, machines.costs.neuron_update], -1)
    bare = jax.jit(lambda p: p @ sums)
    price = lambda a, c: joulax.energy(a, c, time_of_call)
    total = jax.jit(lambda c: price(network, c).total)
    slope = jax.jit(jax.grad(lambda c: price(network, c).total.sum()))
    by_layer = jax.jit(lambda c: price(network, c).layer_totals)
    fresh = jax.jit(lambda a, c: price(a, c).total)
    return {
        "bare product of sums and prices": best(lambda: bare(prices)),
        "totals, jit": best(lambda: total(machines)),
        "gradients to prices, jit": best(lambda: slope(machines)),
        "every layer on every chip, jit": best(lambda: by_layer(machines)),
        "totals, jit, account as argument": best(lambda: fresh(network, machines)),
        "compile: totals, account as argument": once(
            lambda: jax.jit(lambda a, c: price(a, c).total)(network, machines)
        ),
        "energy on one chip, eager": best(lambda: joulax.energy(network, chip).total, 10),
        "stack": best(lambda: joulax.stack([chip] * chips).costs.ac, 5),
        "evaluate on every target": once(
            lambda: joulax.evaluate(network, duration=1e-3, batch=1).energies
        ),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--chips", type=int, default=1000)
    parser.add_argument("--json", help="write the numbers to this file")
    args = parser.parse_args()
    found = {layers: measure(layers, args.chips) for layers in args.layers}
    print(
        f"{args.chips} chips; {platform.processor() or platform.machine()}, JAX {jax.__version__}"
    )
    print(f"{'[ms]':<38}" + "".join(f"{layers:>14}" for layers in found))
    for name in next(iter(found.values())):
        cells = []
        for times in found.values():
            ratio = times[name] / times["bare product of sums and prices"]
            cells.append(f"{times[name]:.3f} ({ratio:.3g}×)")
        print(f"{name:<38}" + "".join(f"{cell:>20}" for cell in cells))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"jax": jax.__version__, "chips": args.chips, "ms": found}, file, indent=1)


if __name__ == "__main__":
    main()
