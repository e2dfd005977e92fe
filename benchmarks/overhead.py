"""What counting costs while a network runs.

    python benchmarks/overhead.py [NETWORK …] [--rounds N] [--json FILE]     # training steps
    python benchmarks/overhead.py --options [NETWORK …]                      # forward passes
    python benchmarks/overhead.py --pruning [NETWORK …]                      # prices of synapses

Training steps: the plain one; with operations counted by hand and an energy loss; counted by
`joulax.count` and priced on one chip; priced on a hundred. Forward passes: plain, counted, and with
each option of `count`. Beside every ratio stands what XLA's own analysis says of its memory.
"""

import argparse

import paired  # first: it pins the process  # isort: skip

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import zoo

import joulax


def task(logits, labels):
    """Cross entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def losses(steps):
    """The losses of the training steps."""
    chip = joulax.hardware("loihi")
    many = joulax.stack([chip] * 100)
    prices = jnp.stack([many.costs.ac, many.costs.neuron_update], -1)
    goal = joulax.losses.target

    def plain(model, x, y):
        return task(jax.vmap(model)(x), y)

    def counts(model, x):
        logits, synops, updates = jax.vmap(lambda x: model.by_hand(x))(x)
        return logits, jnp.stack([synops.mean(), jnp.mean(updates)])

    def by_hand(model, x, y):
        logits, found = counts(model, x)
        return task(logits, y) + 1e-3 * goal(prices[0] @ found, 1e6)

    def by_hand_100(model, x, y):
        logits, found = counts(model, x)
        return task(logits, y) + 1e-3 * goal(prices @ found, 1e6).mean()

    def counted(model, x, y):
        logits, account = jax.vmap(joulax.count(model, spikes=0))(x)
        energy = joulax.energy(account, chip).total.mean()
        return task(logits, y) + 1e-3 * goal(energy, 1e6)

    def counted_100(model, x, y):
        logits, account = jax.vmap(joulax.count(model, spikes=0))(x)
        mean = jax.tree.map(lambda field: field.mean(0), account)  # as by hand: one price a chip
        energy = jax.vmap(joulax.energy, in_axes=(None, 0))(mean, many).total
        return task(logits, y) + 1e-3 * goal(energy, 1e6).mean()

    return {
        "plain": plain,
        "by hand": by_hand,
        "counted": counted,
        "by hand, 100 chips": by_hand_100,
        "counted, 100 chips": counted_100,
    }


def prices(steps):
    """Training steps in which a synapse has a price: `pruning=` in the loss, or `synapse_energy`.

    The latter stands beside the gradient of the plain loss: twice the backward passes.
    """
    chip, width = joulax.hardware("loihi"), 0.01

    def counted(model, x, y, **options):
        logits, account = jax.vmap(joulax.count(model, spikes=0, **options))(x)
        energy = joulax.energy(account, chip).total.mean()
        return task(logits, y) + 1e-3 * joulax.losses.target(energy, 1e6)

    return {
        "counted": counted,
        "counted, pruning=": lambda model, x, y: counted(model, x, y, pruning=width),
        "plain": losses(steps)["plain"],
    }


def synapse_prices(model, x):
    """What every synapse costs [pJ]."""
    batched = lambda model, x: jax.vmap(model)(x)
    return joulax.synapse_energy(batched, "loihi", weights=0, spikes=1)(model, x)


def training(network, losses=losses, prices=None):
    """A compiled training step for each loss, and its memory."""
    model = network.make(jax.random.key(0))
    x = (jax.random.uniform(jax.random.key(1), network.shape) < 0.2).astype(jnp.float32)
    y = jnp.zeros(network.shape[0], jnp.int32)
    optimiser = optax.adam(1e-3)
    arrays, rest = eqx.partition(model, eqx.is_array)
    start = optimiser.init(arrays)

    def step(loss, price=None):
        def run(arrays, state, x, y):
            of = lambda a: loss(eqx.combine(a, rest), x, y)
            updates, state = optimiser.update(jax.grad(of)(arrays), state)
            spent = () if price is None else price(eqx.combine(arrays, rest), x)
            return optax.apply_updates(arrays, updates), state, eqx.filter(spent, eqx.is_array)

        return jax.jit(run).lower(arrays, start, x, y).compile()

    found = losses(network.shape[1])
    compiled = {name: step(loss) for name, loss in found.items()}
    if prices is not None:
        compiled["plain, synapse_energy"] = step(found["plain"], prices)
    runs = {
        n: lambda c=c: jax.block_until_ready(c(arrays, start, x, y)) for n, c in compiled.items()
    }
    return runs, {name: memory(c) for name, c in compiled.items()}


def pruned(network):
    """The same where synapses have prices."""
    return training(network, prices, synapse_prices)


def options(network, rounds_of=("neurons", "steps", "touched", "events")):
    """A compiled forward pass for each option of `count`."""
    model = network.make(jax.random.key(0))
    x = (jax.random.uniform(jax.random.key(1), network.shape) < 0.2).astype(jnp.float32)
    chosen = {"counted": {}, **{n: {n: True} for n in rounds_of}}
    if "steps" in chosen:
        chosen["steps"] = {"steps": network.shape[1]}

    def forward(options):
        def run(model, x):
            logits, account = jax.vmap(joulax.count(model, spikes=0, **options))(x)
            return logits, account.layers

        return run

    functions = {"plain": lambda model, x: jax.vmap(model)(x)}
    functions["by hand"] = lambda model, x: jax.vmap(lambda x: model.by_hand(x))(x)
    functions |= {name: forward(o) for name, o in chosen.items()}
    arrays, rest = eqx.partition(model, eqx.is_array)
    compiled = {
        name: jax.jit(lambda a, x, f=f: f(eqx.combine(a, rest), x)).lower(arrays, x).compile()
        for name, f in functions.items()
    }
    runs = {n: lambda c=c: jax.block_until_ready(c(arrays, x)) for n, c in compiled.items()}
    return runs, {name: memory(c) for name, c in compiled.items()}


def memory(compiled):
    """Bytes that a program needs beside its arguments and results, by XLA's own analysis."""
    analysis = compiled.memory_analysis()
    return None if analysis is None else int(analysis.temp_size_in_bytes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=[], help=", ".join(zoo.NETWORKS))
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--options", action="store_true", help="forward passes with each option")
    parser.add_argument("--pruning", action="store_true", help="steps with prices of synapses")
    parser.add_argument("--batch", type=int, help="another batch size")
    parser.add_argument("--steps", type=int, help="another number of time steps")
    parser.add_argument("--json", help="write the numbers to this file")
    args = parser.parse_args()
    found = {}
    for name in args.networks or zoo.NETWORKS:
        network = resized(zoo.NETWORKS[name], args.batch, args.steps)
        make = options if args.options else pruned if args.pruning else training
        runs, bytes_ = make(network)
        base = "counted" if args.pruning else "plain"
        times = paired.summary(paired.interleaved(runs, args.rounds), base)
        for mode, row in times.items():
            row["temporary_bytes"] = bytes_[mode]
        found[name] = {"about": network.about, "shape": network.shape, "modes": times}
        paired.show(f"{name}: {network.about}, inputs {network.shape}", times)
        paired.write(args.json, found)
        print(f"{'temporary MB':<28}", {n: round(b / 1e6, 2) for n, b in bytes_.items()})
    paired.finish(args.json, found)


def resized(network, batch, steps):
    """The same network on another batch size and number of steps."""
    shape = (batch or network.shape[0], steps or network.shape[1], *network.shape[2:])
    return zoo.Network(network.make, shape, network.about)


if __name__ == "__main__":
    main()
