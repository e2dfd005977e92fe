# %% [markdown]
# # Digits: all the energy, by cross-validation
#
# Five folds of scikit-learn's 1797 digits, all of them tested, from several initialisations. Every
# network of a run (the 64-128-128-10 baseline with 16 steps, the pruned ones, the dense controls)
# sees the same training digits; a tenth of them is held back to choose between settings and for the
# confidence at which a network stops, so that nothing is chosen on a digit that is reported.
#
# Runs of one shape are one vmapped program. Results go to a JSON file, cell by cell; cells that it
# has are not trained again.

# %%
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
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, train_test_split

import joulax

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from energy_training import CHIP, HERE, free
from train_to_energy_target import PROBE, SNN, STEP, STEPS, Shrinking, encode, turned

CELLS = [  # target ÷ (none: a dense control), hidden neurons, steps
    *((20, 128, 4), (30, 128, 3), (10, 128, 4)),
    *((None, 64, 4), (None, 32, 3), (None, 56, 3), (None, 128, 4)),
    *((30, 64, 4), (20, 64, 4), (50, 64, 4), (50, 64, 3)),
]
STOPPED = (20, 30, 50)


# %%
def runs(first, seeds, folds):
    """Data of every run: (training, held back, test) images and labels, and turned digits."""
    images, labels = load_digits(return_X_y=True)
    images, found = images / 16, []
    for seed in range(first, first + seeds):
        split = StratifiedKFold(5, shuffle=True, random_state=0).split(images, labels)
        for fold, (train, test) in list(enumerate(split))[:folds]:
            options = dict(test_size=0.1, random_state=100 * seed + fold, stratify=labels[train])
            train, held = train_test_split(train, **options)
            train = train[:1290]
            more = turned(images[train], 100 * seed + fold)
            parts = [(images[i], labels[i]) for i in (train, held, test)]
            found.append({"seed": seed, "fold": fold, "parts": parts, "more": more, "test": test})
    return found


def stacked(trees):
    """One tree with a leading axis of runs."""
    return jax.tree.map(lambda *a: jnp.stack(a), *trees)


def everything(run, steps):
    """All that a run trains on, as spikes: the digits four times, the turned ones once."""
    (images, _), *_ = run["parts"]
    return encode(np.concatenate([images] * 4 + [run["more"]]), steps)


def built(sizes, data):
    """One network for every run, and its part without arrays."""
    models = [SNN(sizes, jax.random.key(1000 * r["seed"] + r["fold"])) for r in data]
    return stacked([eqx.filter(m, eqx.is_array) for m in models]), eqx.filter(
        models[0], eqx.is_array, inverse=True
    )


def keys(data, offset):
    return jnp.stack([jax.random.key(10_000 * offset + 100 * r["seed"] + r["fold"]) for r in data])


def baselines(data, updates=1100, batch=128):
    """The free networks: weights, and the probabilities that they teach."""
    arrays, rest = built((64, 128, 128, 10), data)
    x = jnp.stack([everything(r, STEPS) for r in data])
    labels = jnp.stack([np.concatenate([r["parts"][0][1]] * 8) for r in data])

    def fit(arrays, x, labels, key):
        wanted = optax.smooth_labels(jax.nn.one_hot(labels, 10), 0.1)
        return free(arrays, rest, x, wanted, key, updates=updates, batch=batch)

    arrays = jax.jit(jax.vmap(fit))(arrays, x, labels, keys(data, 1))
    teach = lambda a, x: jax.nn.softmax(jax.vmap(eqx.combine(a, rest))(x))
    soft = np.asarray(jax.jit(lambda a, x: jax.lax.map(lambda p: teach(*p), (a, x)))(arrays, x))
    return arrays, rest, 0.5 * np.eye(10)[np.asarray(labels)] + 0.5 * soft


def by_step(model, x, chip):
    """Class scores and energies [pJ] of every sample at every step."""

    def one(model, x):
        return jax.lax.scan(lambda v, x: model.step(v, x), model.init(x[0]), x)[1]

    steps = x.shape[1]
    counted = joulax.count(one, weights=0, spikes=1, steps=steps)
    scores, account = jax.vmap(counted, in_axes=(None, 0))(model, x)
    return scores, joulax.energy(account, chip, STEP, batch=1).total


def measured(arrays, rest, data, part, steps, chip):
    """Scores and energies by step of each run on its own part of the data."""
    found, measure = [], jax.jit(lambda a, x: by_step(eqx.combine(a, rest), x, chip))
    for k, run in enumerate(data):
        x = jnp.asarray(encode(run["parts"][part][0], steps))
        own = jax.tree.map(lambda a, k=k: a[k], arrays)
        found.append(tuple(np.asarray(a) for a in measure(own, x)))
    return found


def correct(scores, labels, steps=None):
    """Which samples are classified rightly after these steps, all by default."""
    mean = np.cumsum(scores, 1) / np.arange(1, scores.shape[1] + 1)[:, None]
    last = np.full(len(scores), scores.shape[1]) if steps is None else np.asarray(steps)
    return mean[np.arange(len(scores)), last - 1].argmax(-1) == labels


def trained(data, wanted, goals, neurons, steps, updates, chip, **options):
    """Networks of every run, in one program, pruned to goals [pJ] if there are any."""
    hidden = (neurons,) if isinstance(neurons, int) else neurons
    arrays, rest = built((64, *hidden, 10), data)
    options |= dict(updates=updates, cuts=goals is not None)
    shrinking = Shrinking(rest, chip, steps * STEP, **options)
    x = jnp.stack([everything(r, steps) for r in data])
    probes = jnp.stack([encode(r["parts"][0][0], steps) for r in data])

    def one(arrays, x, wanted, probe, goal, key):
        def advance(carry, key):
            return shrinking.round(carry, x, wanted, probe[:PROBE], goal, key), None

        split = jax.random.split(key, shrinking.rounds)
        carry, _ = jax.lax.scan(advance, shrinking.init(arrays), split)
        arrays = shrinking.finish(carry)
        return arrays, shrinking.spent(arrays, probe) / goal

    goals = jnp.ones(len(data)) if goals is None else jnp.asarray(goals, jnp.float32)
    wanted = jnp.asarray(wanted, jnp.float32)
    return *jax.jit(jax.vmap(one))(arrays, x, wanted, probes, goals, keys(data, 2)), rest


def row(data, arrays, rest, steps, chip, budgets):
    """What is kept of a cell: by run, accuracy and energy, with and without early stopping."""
    held = measured(arrays, rest, data, 1, steps, chip)
    test = measured(arrays, rest, data, 2, steps, chip)
    entry = {"runs": []}
    for k, run in enumerate(data):
        (_, y_held), (_, y_test) = run["parts"][1:]
        right = correct(test[k][0], y_test)
        one = {
            "seed": run["seed"],
            "fold": run["fold"],
            "right": "".join("01"[int(r)] for r in right),
            "held_accuracy": float(correct(held[k][0], y_held).mean()),
            "energy": float(test[k][1].sum(1).mean()),
            "stopped": {},
        }
        for divisor in STOPPED if budgets is not None else ():
            goal = float(budgets[k]) / divisor
            if held[k][1].sum(1).mean() <= goal:
                continue
            threshold = float(joulax.stopping_threshold(*held[k], goal))
            made = [np.asarray(joulax.first_confident(p[0], threshold)) for p in (held[k], test[k])]
            spent = np.cumsum(test[k][1], 1)[np.arange(len(made[1])), made[1] - 1].mean()
            one["stopped"][str(divisor)] = {
                "threshold": threshold,
                "held_accuracy": float(correct(held[k][0], y_held, made[0]).mean()),
                "right": "".join("01"[int(r)] for r in correct(test[k][0], y_test, made[1])),
                "energy": float(spent),
                "steps": float(made[1].mean()),
                "least": float(np.cumsum(test[k][1], 1)[:, 0].mean()),
            }
        entry["runs"].append(one)
    return entry


# %%
def command(title, name):
    """The options that all benchmarks on these folds have."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=4000)
    parser.add_argument("--cells", type=int, default=99, help="settings of every kind at most")
    out = HERE / "results" / f"{name}.json"
    parser.add_argument("--out", type=pathlib.Path, default=out, help="what it has is not made")
    return parser


def main(argv=None):
    """Train all cells that the file does not have."""
    parser = command("All the energy on digits, cross-validated.", "energy_digits")
    parser.add_argument("--seeds", type=int, default=2, help="initialisations of every fold")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    args = parser.parse_args(argv)
    path = args.out
    path.parent.mkdir(parents=True, exist_ok=True)
    store = json.loads(path.read_text()) if path.exists() else {"cells": {}}
    chip, data = joulax.hardware(CHIP), runs(args.first, args.seeds, args.folds)
    began = time.perf_counter()
    arrays, rest, wanted = baselines(data)
    spent = [e.sum(1).mean() for _, e in measured(arrays, rest, data, 0, STEPS, chip)]
    store |= {
        "chip": CHIP,
        "seeds": args.seeds,
        "updates": args.updates,
        "digits": [r["test"].tolist() for r in data],
        "budget": [float(s) for s in spent],
        "baseline": row(data, arrays, rest, STEPS, chip, None),
    }
    print(f"baselines: {time.perf_counter() - began:.0f} s", flush=True)
    path.write_text(json.dumps(store))
    for divisor, neurons, steps in CELLS[: args.cells]:
        name = f"{'dense' if divisor is None else divisor} {neurons} {steps}"
        if name in store["cells"]:
            continue
        began = time.perf_counter()
        goals = None if divisor is None else np.asarray(spent) / divisor
        arrays, met, rest = trained(data, wanted, goals, neurons, steps, args.updates, chip)
        store["cells"][name] = entry = row(data, arrays, rest, steps, chip, spent)
        entry |= {"divisor": divisor, "neurons": neurons, "steps": steps}
        entry["met"] = None if divisor is None else np.asarray(met).tolist()
        path.write_text(json.dumps(store))
        accuracy = np.mean([one["right"].count("1") / len(one["right"]) for one in entry["runs"]])
        energy = np.mean([one["energy"] for one in entry["runs"]]) / 1e3
        print(
            f"{name}: {100 * accuracy:.2f} %, {energy:.0f} nJ; {time.perf_counter() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
