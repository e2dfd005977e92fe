"""What the energy benchmarks share: free training, teaching, shrinking, measuring one network."""

import argparse
import json
import pathlib
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import joulax

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))
from train_to_energy_target import PROBE, STEP, Shrinking  # noqa: E402

CHIP = "loihi"


def free(arrays, rest, x, wanted, key, *, updates, batch, rate=3e-3):
    """Weights trained freely on wanted probabilities; traced."""
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, updates, 0.03))

    def update(carry, key):
        arrays, state = carry
        rows = jax.random.randint(key, (batch,), 0, len(x))
        logits = lambda a: jax.vmap(eqx.combine(a, rest))(x[rows])
        loss = lambda a: optax.softmax_cross_entropy(logits(a), wanted[rows]).mean()
        change, state = optimiser.update(jax.grad(loss)(arrays), state)
        return (optax.apply_updates(arrays, change), state), None

    start = arrays, optimiser.init(arrays)
    return jax.lax.scan(update, start, jax.random.split(key, updates))[0][0]


def fitted(model, x, wanted, *, updates, batch, key, rate=3e-3):
    """A network trained freely on wanted probabilities."""
    arrays, rest = eqx.partition(model, eqx.is_array)
    run = eqx.filter_jit(free)  # once for all seeds: data are arguments, no constants
    return eqx.combine(
        run(arrays, rest, x, wanted, key, updates=updates, batch=batch, rate=rate), rest
    )


def taught(model, x, labels, classes):
    """Half the labels, half what a trained network says."""
    soft = jax.lax.map(lambda x: jax.nn.softmax(model(x)), x, batch_size=256)
    return 0.5 * jax.nn.one_hot(labels, classes) + 0.5 * soft


def shrunk(model, x, wanted, probe, goal, *, updates, batch, key, rate=5e-3):
    """A network trained to a goal for all the energy [pJ]; `None`: the same, not pruned."""
    arrays, rest = eqx.partition(model, eqx.is_array)
    options = dict(updates=updates, batch=batch, rate=rate, cuts=goal is not None)
    shrinking = Shrinking(rest, joulax.hardware(CHIP), x.shape[1] * STEP, **options)
    goal = jnp.asarray(1.0 if goal is None else goal, jnp.float32)
    keys = jax.random.split(key, shrinking.rounds)
    return eqx.combine(_rounds(shrinking, arrays, x, wanted, probe[:PROBE], goal, keys), rest)


@eqx.filter_jit
def _rounds(shrinking, arrays, x, wanted, probe, goal, keys):
    advance = lambda c, k: (shrinking.round(c, x, wanted, probe, goal, k), None)
    return shrinking.finish(jax.lax.scan(advance, shrinking.init(arrays), keys)[0])


def measured(model, x, labels):
    """Accuracy, mean energy and mean energy of the worst step [pJ], updates' share, synapses."""
    guess, total, worst, updates = _each(model, joulax.hardware(CHIP), x)
    there = [int((w != 0).sum()) for w in jax.tree.leaves(model) if jnp.ndim(w) > 1]
    return {
        "accuracy": float((guess == labels).mean()),
        "right": "".join("01"[int(r)] for r in np.asarray(guess == labels)),
        "energy": float(total.mean()),
        "worst_step": float(worst.mean()),
        "worst_step_ever": float(worst.max()),
        "updates": float(updates.mean()),
        "synapses": there,
    }


@eqx.filter_jit
def _each(model, chip, x):
    """By sample: class, energy, energy of the worst step, energy of updates [pJ]."""

    def one(x):
        scores, account = joulax.count(model, spikes=0, steps=len(x))(x)
        result = joulax.energy(account, chip, STEP, batch=1)
        updates = sum(
            e.neuron_update.sum() for e in result.layers.values() if e.neuron_update is not None
        )
        return scores.argmax(), result.total.sum(), result.total.max(), updates

    return jax.lax.map(one, x, batch_size=64)


def every_seed(title, name, one_seed, **defaults):
    """The command of a benchmark: every seed that its file does not have."""

    def main(argv=None):
        parser = argparse.ArgumentParser(description=title)
        parser.add_argument("--seeds", type=int, default=3)
        parser.add_argument("--first", type=int, default=0, help="the first of them")
        for option, value in defaults.items():
            parser.add_argument(f"--{option}", type=int, default=value)
        parser.add_argument("--out", default=str(HERE / "results" / f"{name}.json"))
        args = vars(parser.parse_args(argv))
        store = Store(args.pop("out"))
        first, seeds = args.pop("first"), args.pop("seeds")
        for seed in range(first, first + seeds):
            one_seed(store, seed, **args)

    return main


class Store:
    """Results in a JSON file: what is there is not made again."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = json.loads(self.path.read_text()) if self.path.exists() else {}

    def made(self, name, make):
        """The result of this name."""
        if name not in self.rows:
            began = time.perf_counter()
            self.rows[name] = make()
            self.path.write_text(json.dumps(self.rows, indent=1))
            found = self.rows[name]
            seconds = time.perf_counter() - began
            words = f"{100 * found['accuracy']:.2f} %, {found['energy'] / 1e3:.0f} nJ"
            print(f"{name}: {words}; {seconds:.0f} s", flush=True)
        return self.rows[name]
