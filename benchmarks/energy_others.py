# %% [markdown]
# # Digits: what others would do for the same energy
#
# The folds, baselines and teachers of `energy_digits.py`, and for the same targets: pruning by
# magnitude in place of worth for energy; the fixed penalty of the Sinabs how-to, its weight chosen
# on held-back digits; smaller dense networks; and analog networks of one hidden layer with few
# bits. What the trained networks do, by layer, is kept, so that any hardware can price them
# without training.

# %%
import dataclasses
import json
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from energy_digits import (
    baselines,
    built,
    command,
    everything,
    keys,
    measured,
    row,
    runs,
    stacked,
    trained,
)
from energy_training import CHIP
from train_to_energy_target import STEP, STEPS, Shrinking, encode, hidden_energy

import joulax

PRUNED = ((10, 128, 4), (20, 128, 4), (30, 128, 3), (30, 64, 4))  # target ÷, hidden neurons, steps
DENSE = ((None, 64, 4), (None, 128, 4))
PENALISED = ((10, 120, 4), (20, 60, 4), (10, 128, 4), (20, 128, 4), (20, 64, 4))
QUIETER = ((3, 128, STEPS), (10, 128, STEPS))  # ÷ of what hidden spikes cost, in 16 steps
WEIGHTS = (0.1, 1.0, 10.0)  # of the penalty
ANALOG = (128, 64, 32, 16, 8)
BITS = 8, 4  # of weights


def magnitude(w, second, energy):
    """A worth for which synapses go by their weight alone: `keep` divides by the energy."""
    return w**2 * energy


# %% [markdown]
# ## One more term in the loss


# %%
def under(term, extra, arrays, rest, x, wanted, key, *, chip, updates, rate, batch=64):
    """Late average of weights trained with `term(result, update, extra)` in the loss; traced."""
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, updates, 0.02))
    counted = joulax.count(lambda model, x: jax.vmap(model)(x), weights=0, spikes=1)

    def loss(arrays, rows, k, extra):
        logits, account = counted(eqx.combine(arrays, rest), x[rows])
        result = joulax.energy(account, chip, x.shape[1] * STEP, batch=batch)
        added, extra = term(jax.tree.map(lambda e: e / batch, result), k, extra)
        return optax.softmax_cross_entropy(logits, wanted[rows]).mean() + added, extra

    def update(carry, step):
        arrays, state, average, extra = carry
        k, key = step
        rows = jax.random.randint(key, (batch,), 0, len(x))
        slope, extra = jax.grad(loss, has_aux=True)(arrays, rows, k, extra)
        change, state = optimiser.update(slope, state)
        arrays = optax.apply_updates(arrays, change)
        past = jnp.where(k < 0.6 * updates, 0.0, 0.998)
        average = jax.tree.map(lambda a, b: past * a + (1 - past) * b, average, arrays)
        return (arrays, state, average, extra), None

    steps = jnp.arange(updates), jax.random.split(key, updates)
    start = arrays, optimiser.init(arrays), arrays, extra
    return jax.lax.scan(update, start, steps)[0][2]


def penalised(arrays, rest, x, wanted, goal, weight, key, *, chip, updates):
    """The synops loss of Sinabs on all the energy; rate and phases of the pruned networks."""

    def term(result, k, extra):
        on = jnp.where(k < 0.3 * updates, 0.0, weight)
        return on * joulax.losses.target(result.total, goal), extra

    options = dict(chip=chip, updates=updates, rate=5e-3)
    return under(term, (), arrays, rest, x, wanted, key, **options)


def quieter(arrays, rest, x, wanted, goal, key, *, chip, updates):
    """The same network, what its hidden spikes cost under a constraint."""
    limit = joulax.constraint(goal, warmup=int(0.6 * updates), rate=0.02, equality=True)
    term = lambda result, k, extra: limit.update(hidden_energy(result), extra)
    options = dict(chip=chip, updates=updates, rate=3e-3)
    return under(term, limit.init(), arrays, rest, x, wanted, key, **options)


def spikes_alone(data, arrays, rest, wanted, divisor, updates, chip):
    """Baselines trained on, their hidden spikes to a fraction of what they cost."""
    x = jnp.stack([everything(r, STEPS) for r in data])
    batched = joulax.count(lambda model, x: jax.vmap(model)(x), weights=0, spikes=1)

    def one(arrays, x, wanted, probe, key):
        result = joulax.energy(
            batched(eqx.combine(arrays, rest), probe)[1], chip, STEPS * STEP, batch=len(probe)
        )
        goal = hidden_energy(result) / len(probe) / divisor
        return quieter(arrays, rest, x, wanted, goal, key, chip=chip, updates=updates)

    probes = x[:, : len(data[0]["parts"][0][0])]
    wanted = jnp.asarray(wanted, jnp.float32)
    return jax.jit(jax.vmap(one))(arrays, x, wanted, probes, keys(data, 3))


def with_penalty(data, wanted, goals, neurons, steps, updates, chip):
    """For every run, the network of the weight that was best on held-back digits."""
    arrays, rest = built((64, neurons, 10), data)
    x = jnp.stack([everything(r, steps) for r in data])
    options = dict(chip=chip, updates=updates)
    one = lambda a, x, p, g, k, w: penalised(a, rest, x, p, g, w, k, **options)
    weights = jax.vmap(one, in_axes=(None, None, None, None, None, 0))
    fit = jax.jit(jax.vmap(weights, in_axes=(0, 0, 0, 0, 0, None)))
    wanted, goals = jnp.asarray(wanted, jnp.float32), jnp.asarray(goals, jnp.float32)
    found = fit(arrays, x, wanted, goals, keys(data, 2), jnp.asarray(WEIGHTS))
    tried = []
    for w in range(len(WEIGHTS)):
        own = jax.tree.map(lambda a, w=w: a[:, w], found)
        kept = row(data, own, rest, steps, chip, None)["runs"]
        spent = [e.sum(1).mean() for _, e in measured(own, rest, data, 0, steps, chip)]
        tried.append((kept, np.asarray(spent) / np.asarray(goals)))
    return [best(k, tried) for k in range(len(data))]


def best(k, tried):
    """What a run keeps: the best on held-back digits within the budget, else the cheapest."""
    within = [w for w, (_, met) in enumerate(tried) if met[k] <= 1.02]
    held = lambda w: tried[w][0][k]["held_accuracy"]
    w = max(within, key=held) if within else min(range(len(tried)), key=lambda w: tried[w][1][k])
    every = [(float(met[k]), held(w)) for w, (_, met) in enumerate(tried)]
    return {**tried[w][0][k], "weight": WEIGHTS[w], "met": float(tried[w][1][k]), "tried": every}


# %% [markdown]
# ## Few bits, analog and spiking


# %%
class Analog(eqx.Module):
    """One hidden layer of rectified neurons; with a `top`, its activations have 8 bits."""

    first: eqx.nn.Linear
    readout: eqx.nn.Linear
    top: float | None = None

    def hidden(self, image):
        """Activations of the hidden layer."""
        return jax.nn.relu(self.first(image))

    def __call__(self, image):
        """Class scores of pixels in [0, 1]."""
        a = self.hidden(image)
        if self.top is not None:
            a = jnp.minimum(jnp.round(a / self.top * 255), 255) * (self.top / 255)
        return self.readout(a)


def rounded(arrays, bits):
    """The matrices of every run at levels of so many bits, symmetric about zero; biases stay."""

    def one(w):
        if w.ndim < 3:  # the first axis is that of the runs
            return w
        unit = jnp.abs(w).max((1, 2), keepdims=True) / (2 ** (bits - 1) - 1)
        return jnp.round(w / unit) * unit

    return jax.tree.map(one, arrays)


def analog(data, wanted, neurons, updates, chip):
    """Analog networks of every run, trained like the spiking ones."""

    def build(run):
        a, b = jax.random.split(jax.random.key(1000 * run["seed"] + run["fold"]))
        return Analog(eqx.nn.Linear(64, neurons, key=a), eqx.nn.Linear(neurons, 10, key=b))

    models = [build(r) for r in data]
    arrays = stacked([eqx.filter(m, eqx.is_array) for m in models])
    rest = eqx.filter(models[0], eqx.is_array, inverse=True)
    images = [np.concatenate([r["parts"][0][0]] * 4 + [r["more"]]) for r in data]
    x, wanted = jnp.asarray(np.stack(images), jnp.float32), jnp.asarray(wanted, jnp.float32)
    shrinking = Shrinking(rest, chip, STEP, updates=updates, cuts=False)

    def one(arrays, x, wanted, key):
        advance = lambda c, key: (shrinking.round(c, x, wanted, None, None, key), None)
        split = jax.random.split(key, shrinking.rounds)
        return shrinking.finish(jax.lax.scan(advance, shrinking.init(arrays), split)[0])

    return jax.jit(jax.vmap(one))(arrays, x, wanted, keys(data, 2)), rest


# %% [markdown]
# ## What a network does


# %%
def done(models, inputs, labels, spikes):
    """By run, which digits are right; and counts of a digit by layer, averaged over all runs."""
    count = joulax.count(lambda model, x: model(x), weights=0, spikes=spikes)
    call = eqx.filter_jit(lambda model, x: jax.vmap(count, in_axes=(None, 0))(model, x))
    right, found = [], []
    for model, x, y in zip(models, inputs, labels, strict=True):
        scores, account = call(model, jnp.asarray(x, jnp.float32))
        right.append("".join("01"[int(r)] for r in np.asarray(scores).argmax(1) == y))
        found.append(jax.tree.map(lambda a: a.mean(0), dict(account.layers)))
    mean = jax.tree.map(lambda *a: float(np.mean(a)), *found)
    fields = lambda record: {f: v for f, v in vars(record).items() if v is not None}
    return {"right": right, "layers": {name: fields(record) for name, record in mean.items()}}


def singles(arrays, rest, data):
    """The network of each run."""
    own = [jax.tree.map(lambda a, k=k: a[k], arrays) for k in range(len(data))]
    return [eqx.combine(a, rest) for a in own]


def spiking(arrays, rest, data, steps):
    """What spiking networks do with the digits of their tests, as trained and with few bits."""
    images, labels = zip(*(r["parts"][2] for r in data), strict=True)
    inputs = [encode(i, steps) for i in images]
    call = lambda arrays: done(singles(arrays, rest, data), inputs, labels, 1)
    bits = {str(b): call(rounded(arrays, b)) for b in BITS}
    return {"steps": steps, **call(arrays), "bits": bits}


def quantised(arrays, rest, data):
    """What analog networks do, as trained, and with few bits and activations of eight."""
    images, labels = zip(*(r["parts"][2] for r in data), strict=True)
    trained_on = [r["parts"][0][0] for r in data]

    def with_tops(arrays):
        found = singles(arrays, rest, data)
        tops = [
            jax.vmap(m.hidden)(jnp.asarray(i, jnp.float32)).max()
            for m, i in zip(found, trained_on, strict=True)
        ]
        return [dataclasses.replace(m, top=float(t)) for m, t in zip(found, tops, strict=True)]

    bits = {str(b): done(with_tops(rounded(arrays, b)), images, labels, None) for b in BITS}
    return {**done(singles(arrays, rest, data), images, labels, None), "bits": bits}


# %%
class Others:
    """Every kind of network on the same folds; what the file has is not trained again."""

    def __init__(self, path, folds, updates):
        self.path, self.updates, self.chip = path, updates, joulax.hardware(CHIP)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = {"cells": {}, "networks": {}}
        self.store = json.loads(path.read_text()) if path.exists() else fresh
        self.data = data = runs(0, 1, folds)
        arrays, rest, self.wanted = baselines(data)
        self.free = arrays, rest
        found = measured(arrays, rest, data, 0, STEPS, self.chip)
        self.spent = np.array([e.sum(1).mean() for _, e in found])
        self.store |= {"chip": CHIP, "updates": updates, "budget": self.spent.tolist()}
        self.store["digits"] = [r["test"].tolist() for r in data]
        self.store["baseline"] = row(data, arrays, rest, STEPS, self.chip, None)
        self.store["networks"]["baseline"] = spiking(arrays, rest, data, STEPS)
        self.write()

    def write(self):
        """The file as it is now."""
        self.path.write_text(json.dumps(self.store))

    def kept(self, kind, setting, make):
        """The cell of this kind and setting: target ÷ (or none), hidden neurons, steps."""
        name = ", ".join([kind, *map(str, setting)])
        if name in self.store["cells"]:
            return
        began = time.perf_counter()
        found = make(name, *setting)
        words = "divisor", "neurons", "steps"
        cell = {"kind": kind, **dict(zip(words, setting, strict=True)), "runs": found}
        self.store["cells"][name] = cell
        self.write()
        right = np.mean([r["right"].count("1") / len(r["right"]) for r in found])
        print(f"{name}: {100 * right:.2f} %; {time.perf_counter() - began:.0f} s", flush=True)

    def shrunk(self, name, divisor, neurons, steps, **options):
        """Networks pruned to a target, or dense; what those of the usual worth do is kept."""
        goals = None if divisor is None else self.spent / divisor
        setting = neurons, steps, self.updates, self.chip
        arrays, met, rest = trained(self.data, self.wanted, goals, *setting, **options)
        if not options:
            self.store["networks"][name] = spiking(arrays, rest, self.data, steps)
        found = row(self.data, arrays, rest, steps, self.chip, None)["runs"]
        if divisor is None:
            return found
        return [{**r, "met": float(m)} for r, m in zip(found, met, strict=True)]

    def by_magnitude(self, name, *setting):
        """Networks whose synapses go by their weight alone."""
        return self.shrunk(name, *setting, worth=magnitude)

    def penalty(self, name, divisor, neurons, steps):
        """Networks under a fixed penalty."""
        setting = neurons, steps, self.updates, self.chip
        return with_penalty(self.data, self.wanted, self.spent / divisor, *setting)

    def quieter(self, name, divisor, neurons, steps):
        """The baselines, their hidden spikes under a constraint."""
        updates = self.updates // 2
        setting = self.wanted, divisor, updates, self.chip
        arrays = spikes_alone(self.data, *self.free, *setting)
        return row(self.data, arrays, self.free[1], steps, self.chip, None)["runs"]

    def analog(self, neurons):
        """Analog networks."""
        name = f"analog, {neurons}"
        if name not in self.store["networks"]:
            arrays, rest = analog(self.data, self.wanted, neurons, self.updates, self.chip)
            self.store["networks"][name] = quantised(arrays, rest, self.data)
            self.write()


def main(argv=None):
    """Train all cells that the file does not have."""
    args = command("What others would do for the same energy.", "energy_others").parse_args(argv)
    others = Others(args.out, args.folds, args.updates)
    for neurons in ANALOG[: args.cells]:
        others.analog(neurons)
    kinds = {
        "pruned by energy": (PRUNED, others.shrunk),
        "dense": (DENSE, others.shrunk),
        "pruned by magnitude": (PRUNED, others.by_magnitude),
        "fixed penalty": (PENALISED, others.penalty),
        "spikes alone": (QUIETER, others.quieter),
    }
    for kind, (settings, make) in kinds.items():
        for setting in settings[: args.cells]:
            others.kept(kind, setting, make)


if __name__ == "__main__":
    main()
