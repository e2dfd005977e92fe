"""What counting costs before the first step: tracing, compiling, and calling eagerly.

    python benchmarks/compiling.py [--layers N …] [--rounds N] [--json FILE]
    python benchmarks/compiling.py --eager [--rounds N] [--json FILE]

Compiling: training steps of chains of narrow layers and of the convolutional network, traced and
compiled afresh: plain, with counts by hand of the same form (a number for each layer), counted.
Eagerly: one call of a counted function, a jitted plain one, and one addition to a ledger.
"""

import argparse

import paired  # first: it pins the process  # isort: skip

import equinox as eqx
import jax
import jax.numpy as jnp
import zoo

import joulax


def steps():
    """The gradients that are compiled."""
    chip = joulax.hardware("loihi")
    goal = joulax.losses.target

    def plain(model, x):
        return jnp.square(jax.vmap(model)(x)).mean()

    def by_hand(model, x):
        out, synops, updates = jax.vmap(lambda x: model.by_hand(x, apart=True))(x)
        energy = 23.6 * sum(s.mean() for s in synops) + 81.0 * updates.mean()
        return jnp.square(out).mean() + goal(energy, 1e6)

    def counted(model, x):
        out, account = jax.vmap(joulax.count(model, spikes=0))(x)
        return jnp.square(out).mean() + goal(joulax.energy(account, chip).total.mean(), 1e6)

    return {"plain": plain, "by hand": by_hand, "counted": counted}


def compiled(loss, model, x):
    """Trace and compile one gradient."""
    arrays, rest = eqx.partition(model, eqx.is_array)
    jax.clear_caches()
    of = jax.grad(lambda a, x: loss(eqx.combine(a, rest), x))
    return jax.jit(of).lower(arrays, x).compile()


def size(program):
    """Instructions and fused kernels of a compiled program."""
    text = program.as_text()
    return {"instructions": text.count(" = "), "kernels": text.count(" fusion(")}


def compile_times(name, network, rounds):
    """Times of compiling each step, and the size of what came out."""
    model = network.make(jax.random.key(0))
    x = jnp.ones(network.shape)
    runs = {k: lambda f=f: compiled(f, model, x) for k, f in steps().items()}
    found = paired.summary(paired.interleaved(runs, rounds, warm=False), "plain")
    for mode, run in runs.items():
        found[mode] |= size(run())
    paired.show(f"compiling {name}", found)
    print({k: (v["instructions"], v["kernels"]) for k, v in found.items()})
    return found


def eager_times(rounds):
    """Times of calls outside of any `jit`."""
    model = zoo.NETWORKS["tiny"].make(jax.random.key(0))
    x = jnp.zeros(zoo.NETWORKS["tiny"].shape[1:])
    count = joulax.count(model, spikes=0)
    ledger = joulax.Ledger.init(count(x)[1])
    account = count(x)[1]
    jitted, inside = (
        eqx.filter_jit(model),
        eqx.filter_jit(lambda m, x: joulax.count(m, spikes=0)(x)),
    )
    runs = {
        "plain, eqx.filter_jit": lambda: jax.block_until_ready(jitted(x)),
        "counted inside eqx.filter_jit": lambda: jax.block_until_ready(inside(model, x)),
        "counted, called eagerly": lambda: jax.block_until_ready(count(x)),
        "Ledger.add, eagerly": lambda: jax.block_until_ready(ledger.add(account)),
    }
    found = paired.summary(paired.interleaved(runs, rounds), "plain, eqx.filter_jit")
    paired.show("eager calls, three layers of 64, T = 20, one sample", found)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="*", default=[3, 30, 100])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--json")
    args = parser.parse_args()
    if args.eager:
        found = {"eager": eager_times(args.rounds)}
    else:
        networks = {
            f"{n} layers": zoo.Network(
                lambda k, n=n: zoo.chain((32,) * (n + 1), k), (8, 10, 32), ""
            )
            for n in args.layers
        }
        conv = zoo.NETWORKS["conv"]
        small = zoo.Network(conv.make, (2, 10, *conv.shape[2:]), conv.about)
        networks = {"conv": small, **networks}
        found = {}
        for name, network in networks.items():
            found[name] = compile_times(name, network, args.rounds)
            paired.write(args.json, found)
    paired.finish(args.json, found)


if __name__ == "__main__":
    main()
