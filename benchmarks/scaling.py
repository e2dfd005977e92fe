"""How counting and pricing grow: layers, chips, batch and time.

    python benchmarks/scaling.py [--json FILE] [--picture FILE]

- `energies` of an account of 1 … 10⁴ layers on one chip, eagerly and under `jit`;
- totals of ten layers on 1 … 10⁵ chips under `jit`;
- a counted forward pass against the plain one over batches and over time steps.

CPU seconds of one core; the line of each curve is the median of its rounds, the band their range.
"""

import argparse

import paired  # first: it pins the process  # isort: skip

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import zoo
from pricing import account

import joulax


def timed(runs, rounds):
    """CPU seconds: median, least and most of each run."""
    times = paired.interleaved(runs, rounds)
    return {k: [float(f(t.cpu)) for f in (np.median, min, max)] for k, t in times.items()}


def layers(sizes, rounds):
    """An account of many layers on one chip."""
    chip, found = joulax.hardware("loihi"), {}
    for n in sizes:
        records = account(n)
        jitted = jax.jit(lambda a: joulax.energy(a, chip).total)
        runs = {
            "energy, eager": lambda a=records: jax.block_until_ready(joulax.energy(a, chip).total),
            "energy, jit": lambda a=records, f=jitted: jax.block_until_ready(f(a)),
        }
        found[n] = timed(runs, rounds)
    return found


def chips(sizes, rounds):
    """Ten layers on many chips."""
    records, found = account(10), {}
    for n in sizes:
        chip = joulax.hardware("loihi")
        factors = jnp.linspace(0.5, 2.0, n)
        machines = jax.vmap(lambda f, c=chip: jax.tree.map(lambda x: x * f, c))(factors)
        price = jax.jit(jax.vmap(lambda c: joulax.energy(records, c).total))
        grads = jax.jit(
            jax.grad(lambda m: jax.vmap(lambda c: joulax.energy(records, c).total)(m).sum())
        )
        runs = {
            "totals, jit": lambda f=price, m=machines: jax.block_until_ready(f(m)),
            "gradients to prices, jit": lambda f=grads, m=machines: jax.block_until_ready(f(m)),
        }
        found[n] = timed(runs, rounds)
    return found


def forward(shapes, rounds):
    """A plain and a counted forward pass."""
    model = zoo.chain((128, 128, 128, 10), jax.random.key(0))
    arrays, rest = eqx.partition(model, eqx.is_array)
    found = {}
    for n, (batch, steps) in shapes.items():
        x = (jax.random.uniform(jax.random.key(1), (batch, steps, 128)) < 0.2).astype(jnp.float32)
        make = {
            "plain": lambda m, x: jax.vmap(m)(x),
            "counted": lambda m, x: jax.vmap(joulax.count(m, spikes=0))(x),
            "counted, by neuron": lambda m, x: jax.vmap(joulax.count(m, spikes=0, neurons=True))(x),
        }
        runs = {}
        for k, f in make.items():
            of = jax.jit(lambda a, x, f=f: jax.tree.leaves(f(eqx.combine(a, rest), x)))
            runs[k] = lambda of=of, x=x: jax.block_until_ready(of(arrays, x))
        found[n] = timed(runs, rounds)
    return found


def draw(found, path):
    """The four curves."""
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "joulax"
    figure, panels = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
    titles = {
        "layers": "layers of an account",
        "chips": "chips, ten layers each",
        "batch": "batch, 128-128-128-10, T = 20",
        "time": "time steps, 128-128-128-10, one sample",
    }
    for panel, (name, title) in zip(panels.flat, titles.items(), strict=True):
        curves = found[name]
        sizes = [int(n) for n in curves]
        for i, label in enumerate(next(iter(curves.values()))):
            rows = np.array([curves[n][label] for n in curves])
            panel.plot(sizes, rows[:, 0], "o-", ms=3, lw=1.5, color=f"C{i}", label=label)
            panel.fill_between(sizes, rows[:, 1], rows[:, 2], color=f"C{i}", alpha=0.15, lw=0)
        panel.set(xscale="log", yscale="log", xlabel=title, ylabel="CPU time [s]")
        panel.grid(alpha=0.25, which="major")
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None} if str(path).endswith("svg") else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--longest", type=int, default=100_000, help="most time steps")
    parser.add_argument("--json")
    parser.add_argument("--picture")
    args = parser.parse_args()
    found = {"layers": layers([1, 10, 100, 1000, 10_000], args.rounds)}
    found["chips"] = chips([1, 10, 100, 1000, 10_000, 100_000], args.rounds)
    found["batch"] = forward({n: (n, 20) for n in (1, 4, 16, 64, 256)}, args.rounds)
    lengths = [n for n in (10, 100, 1000, 10_000, 100_000) if n <= args.longest]
    found["time"] = forward({n: (1, n) for n in lengths}, args.rounds)
    for name, curves in found.items():
        print(name)
        for n, row in curves.items():
            print(f"{n:>8}  " + ", ".join(f"{k} {1e3 * v[0]:.3f} ms" for k, v in row.items()))
    paired.finish(args.json, found)
    if args.picture:
        draw(found, args.picture)


if __name__ == "__main__":
    main()
