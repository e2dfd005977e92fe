# %% [markdown]
# # Train a spiking network to an energy target
#
# A spiking network learns scikit-learn's digits freely; a second one learns from it to give the
# same
# answers for a fraction of *all* the energy that the chip's sheet charges: input layer, hidden
# layers, neuron updates. Everything that is counted comes from `joulax.count`; the models are plain
# Equinox and know nothing of it.
#
# A tenth cannot be had by training spikes away: the updates of the first network alone cost more
# than
# that. So the second is smaller and runs for fewer steps, and its synapses are pruned by what they
# are
# worth for each picojoule that they cost, which is one backward pass (`joulax.synapse_energy`).
#
# With `--of hidden` the target is for the *hidden-layer energy* of the same network, trained by
# `joulax.constraint` alone: what hidden spikes cost, all operations of the layers that they feed
# but not neuron updates.

# %%
import argparse
import time
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from rich.progress import Progress
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import joulax

matplotlib.use("Agg")
STEPS = 16  # time steps per inference
FEWER = 4  # time steps of the lean network
PROBE = 512  # training samples whose energy the cuts look at
STEP = 1e-3  # seconds a step, for chips with static power


# %% [markdown]
# ## A spiking network in plain Equinox


# %%
@jax.custom_jvp
def spike(v):
    """One spike where the membrane is above threshold; its gradient is that of a fast sigmoid."""
    return (v > 0).astype(v.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (v,), (dv,) = primals, tangents
    return spike(v), dv / (1 + 5 * jnp.abs(v)) ** 2


class SNN(eqx.Module):
    """Leaky integrate-and-fire layers and a leaky readout, stepped by one scan."""

    layers: list[eqx.nn.Linear]
    readout: eqx.nn.Linear
    decay: float = eqx.field(static=True, default=0.9)

    def __init__(self, sizes, key):
        keys = jax.random.split(key, len(sizes) - 1)
        *self.layers, self.readout = (
            eqx.nn.Linear(a, b, key=k) for a, b, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.decay = 0.9

    def init(self, x):
        """Membranes at rest, for one step's input."""
        layers = (*self.layers, self.readout)
        return [jnp.zeros(layer.out_features, x.dtype) for layer in layers]

    def step(self, membranes, x):
        """One time step: new membranes and the class scores."""
        new = []
        for layer, v in zip(self.layers, membranes[:-1], strict=True):
            v = self.decay * v + layer(x)
            x = spike(v - 1)
            new.append(v - x)
        out = self.decay * membranes[-1] + self.readout(x)
        return [*new, out], out

    def __call__(self, x):
        """Class scores of one sample of input spikes (steps, inputs)."""
        return jax.lax.scan(lambda v, x: self.step(v, x), self.init(x[0]), x)[1].mean(0)


def encode(images, steps=STEPS):
    """Pixels in [0, 1] as evenly spaced spikes: (samples, steps, pixels)."""
    phase = np.floor(np.arange(steps + 1)[:, None] * images[:, None, :] + 0.5)
    return np.diff(phase, axis=1).astype(np.float32)


def split(seed):
    """Images of training and test digits, pixels in [0, 1], and their labels."""
    images, labels = load_digits(return_X_y=True)
    a, b, y, y_test = train_test_split(
        images / 16, labels, test_size=0.2, random_state=seed, stratify=labels
    )
    return (a, y), (b, y_test)


def digits(seed):
    """Training and test data: spikes and labels."""
    return tuple((jnp.asarray(encode(a)), jnp.asarray(y)) for a, y in split(seed))


def turned(images, seed, copies=4):
    """Images of digits, turned and moved a little: the network learns shapes, not pixels."""
    rng, made = np.random.default_rng(seed), []
    for image in np.concatenate([images] * copies).reshape(-1, 8, 8):
        tilted = ndimage.rotate(image, rng.uniform(-10, 10), reshape=False, order=1)
        made.append(
            np.clip(ndimage.shift(tilted, rng.uniform(-0.6, 0.6, 2), order=1), 0, 1).ravel()
        )
    return np.array(made)


# %% [markdown]
# ## Energy as a function that can be trained


# %%
def hidden_energy(result):
    """What hidden spikes cost [pJ]: the layers after the first, without neuron updates."""
    fed = [result.layers[name] for name in result.order[1:]]
    return sum(e.total - (0.0 if e.neuron_update is None else e.neuron_update) for e in fed)


def total_energy(result):
    """What everything costs [pJ]."""
    return result.total


def evaluate(model, data, chip):
    """Accuracy and the mean energy result over a data set."""
    x, y = data
    logits, account = jax.vmap(joulax.count(model, spikes=0))(x)
    seconds = x.shape[1] * STEP
    result = jax.tree.map(
        lambda a: a.mean(0),
        jax.vmap(joulax.energy, in_axes=(0, None, None))(account, chip, seconds),
    )
    return (logits.argmax(1) == y).mean(), result


# %% [markdown]
# ## The free network, and hidden spikes under a constraint


# %%
def loss(model, batch, more, chip, limit, multiplier):
    """Cross-entropy with the wanted class probabilities on digits and turned digits, and the
    constraint's term on the hidden energy of the former.
    """
    (x, wanted), (x_more, wanted_more) = batch, more
    task = optax.softmax_cross_entropy(jax.vmap(model)(x_more), wanted_more).mean()
    if limit is None:
        return task + optax.softmax_cross_entropy(jax.vmap(model)(x), wanted).mean(), multiplier
    logits, account = jax.vmap(joulax.count(model, spikes=0))(x)
    task = task + optax.softmax_cross_entropy(logits, wanted).mean()
    spent = jax.vmap(lambda a: hidden_energy(joulax.energy(a, chip, STEPS * STEP)))(account).mean()
    term, multiplier = limit.update(spent, multiplier)
    return task + term, multiplier


def train(model, data, more, test_data, chip, *, epochs, key, show, limit=None):
    """Train, under a constraint if there is one; returns the model and the history of results."""
    batch = 64
    count = len(data[0]) // batch
    optimiser = optax.adam(optax.cosine_decay_schedule(3e-3, epochs * count, 0.03))

    @eqx.filter_jit
    def epoch(model, state, multiplier, order):
        arrays, rest = eqx.partition(model, eqx.is_array)

        def update(carry, rows):
            arrays, state, multiplier = carry
            slope = eqx.filter_grad(loss, has_aux=True)
            batches = (
                tuple(a[k] for a in part) for part, k in zip((data, more), rows, strict=True)
            )
            grads, multiplier = slope(eqx.combine(arrays, rest), *batches, chip, limit, multiplier)
            updates, state = optimiser.update(eqx.filter(grads, eqx.is_array), state)
            return (eqx.apply_updates(arrays, updates), state, multiplier), None

        (arrays, state, multiplier), _ = jax.lax.scan(update, (arrays, state, multiplier), order)
        model = eqx.combine(arrays, rest)
        return model, state, multiplier, evaluate(model, test_data, chip)

    state, multiplier = (
        optimiser.init(eqx.filter(model, eqx.is_array)),
        () if limit is None else limit.init(),
    )
    history = []
    for k in range(epochs):
        key, shuffle = jax.random.split(key)
        order = jax.random.permutation(shuffle, len(data[0]))[: count * batch].reshape(count, batch)
        order = (order, jax.random.randint(shuffle, (count, batch), 0, len(more[0])))
        model, state, multiplier, (accuracy, result) = epoch(model, state, multiplier, order)
        history.append((accuracy, result))
        show((k + 1) / epochs, accuracy, result)
    return model, history


# %% [markdown]
# ## Synapses for their energy
#
# Three phases: first all synapses learn, then every twenty updates those go that are worth least
# for
# their energy, until the budget is met, then the others learn on. What a synapse is worth is the
# square of its weight times Adam's second moment, an estimate of what the loss would gain without
# it.


# %%
def worth(w, second, energy):
    """What a synapse is worth: the loss without it, estimated, whatever its energy."""
    return w**2 * second


class Shrinking(eqx.Module):
    """Training to an energy target by pruning; `init`, `round` and `finish` are pure functions.

    The model takes (steps, inputs) to class scores; `rest` is its part without arrays. A round is
    `every` updates and a cut; rounds map over seeds, data and targets.
    """

    rest: object
    chip: joulax.Hardware
    seconds: float
    updates: int = 4000
    dense: float = 0.3  # share of the updates before the first cut
    prune: float = 0.3  # share of the updates with cuts; after them weights are averaged
    cuts: bool = True  # without, the same training of a dense network
    every: int = 20
    rate: float = 5e-3
    batch: int = 64
    worth: Callable = eqx.field(static=True, default=worth)  # of weights, second moments, energies

    @property
    def rounds(self):
        """How many rounds there are."""
        return self.updates // self.every

    @property
    def _optimiser(self):
        return optax.adam(optax.cosine_decay_schedule(self.rate, self.updates, 0.02))

    def init(self, arrays):
        """Weights, masks, Adam's state, average weights, number of rounds, first energy."""
        masks = jax.tree.map(lambda a: jnp.ones(a.shape, bool), arrays)
        state = self._optimiser.init(arrays)
        return arrays, masks, state, arrays, jnp.zeros((), jnp.int32), jnp.zeros(())

    def round(self, carry, x, wanted, probe, goal, key):
        """Some updates, and a cut towards the goal [pJ] as the samples of `probe` spend it."""
        arrays, masks, state, average, k, start = carry
        first, last = (round(s * self.rounds) for s in (self.dense, self.dense + self.prune))
        weight = jnp.where(k >= last, 0.998, 0.0)  # of the past in the average

        def update(carry, key):
            arrays, state, average = carry
            rows = jax.random.randint(key, (self.batch,), 0, len(x))

            def loss(arrays):
                logits = jax.vmap(eqx.combine(arrays, self.rest))(x[rows])
                return optax.softmax_cross_entropy(logits, wanted[rows]).mean()

            grads = masked(jax.grad(loss)(arrays), masks)
            updates, state = self._optimiser.update(grads, state)
            arrays = masked(optax.apply_updates(arrays, updates), masks)
            average = jax.tree.map(lambda a, b: weight * a + (1 - weight) * b, average, arrays)
            return (arrays, state, average), None

        keys = jax.random.split(key, self.every)
        (arrays, state, average), _ = jax.lax.scan(update, (arrays, state, average), keys)
        if not self.cuts:
            return arrays, masks, state, average, k + 1, start
        start = jnp.where(k == first, self.spent(arrays, probe), start)
        part = jnp.clip((k - first + 1) / max(last - first, 1), 0, 1)
        budget = jnp.where(k < first, jnp.inf, start * (goal / start) ** part)
        masks = self.cut(arrays, masks, state, probe, budget)
        return masked(arrays, masks), masks, state, average, k + 1, start

    def cut(self, arrays, masks, state, probe, budget):
        """Masks of the synapses that stay: those worth most for their energy."""
        batched = lambda model, x: jax.vmap(model)(x)
        model = eqx.combine(arrays, self.rest)
        priced = joulax.synapse_energy(batched, self.chip, self.seconds, weights=0, spikes=1)
        energies = jax.tree.map(lambda e: e / len(probe), priced(model, probe))
        energies = eqx.filter(energies, eqx.is_array)
        synapses = sum(
            jnp.sum(e * m) for e, m in zip(*map(jax.tree.leaves, (energies, masks)), strict=True)
        )
        others = self.spent(arrays, probe) - synapses  # the updates
        scores = jax.tree.map(self.worth, arrays, state[0].nu, energies)
        kept = joulax.keep(scores, energies, budget - others)
        unpruned = jnp.isinf(budget)
        return jax.tree.map(lambda m, k: m & (k | unpruned), masks, kept)

    def spent(self, arrays, x):
        """Mean energy of a sample [pJ]."""
        return spend(eqx.combine(arrays, self.rest), x, self.chip, self.seconds)

    def finish(self, carry):
        """The averaged weights of the synapses that stayed."""
        _, masks, _, average, *_ = carry
        return masked(average, masks)


def masked(arrays, masks):
    """Arrays with zeros where the masks are false."""
    return jax.tree.map(lambda a, m: jnp.where(m, a, 0), arrays, masks)


def spend(model, x, chip, seconds):
    """Mean energy of a sample [pJ]."""
    account = joulax.count(lambda model, x: jax.vmap(model)(x), weights=0, spikes=1)(model, x)[1]
    return joulax.energy(account, chip, seconds, batch=len(x)).total / len(x)


def shrink(model, x, wanted, probe, goal, test_data, chip, *, updates, key, show):
    """Train a small network within the goal [pJ]; returns it and the history of results."""
    arrays, rest = eqx.partition(model, eqx.is_array)
    shrinking = Shrinking(rest, chip, x.shape[1] * STEP, updates=updates)

    @jax.jit
    def rounds(carry, keys):
        carry = jax.lax.scan(
            lambda c, key: (shrinking.round(c, x, wanted, probe[:PROBE], goal, key), None),
            carry,
            keys,
        )[0]
        return carry, evaluate(eqx.combine(carry[0], rest), test_data, chip)

    carry, history = shrinking.init(arrays), []
    blocks = jnp.array_split(jax.random.split(key, shrinking.rounds), min(20, shrinking.rounds))
    for k, keys in enumerate(blocks):
        carry, (accuracy, result) = rounds(carry, keys)
        history.append((accuracy, result))
        show((k + 1) / len(blocks), accuracy, result)
    return eqx.combine(shrinking.finish(carry), rest), history


# %% [markdown]
# ## A picture


# %%
def picture(before, after, histories, goal, of, chip, path):
    """Energy of each layer before and after, and accuracy against energy along training."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    joulax.plot.layers({"baseline": before, "to target": after}, ax=left)
    left.set_title(f"Energy per inference on {chip}")
    spends = []
    for (name, history), colour in zip(histories.items(), ("tab:gray", "tab:green"), strict=True):
        accuracy = np.array([float(a) for a, _ in history])
        spent = np.array([float(ENERGIES[of](r)) for _, r in history])
        spends.append(spent / 1e3)
        right.plot(spent / 1e3, 100 * accuracy, color=colour, lw=1, alpha=0.6)
        right.scatter(
            spent / 1e3,
            100 * accuracy,
            c=np.linspace(0.2, 1, len(spent)),
            cmap="Greys" if name == "baseline" else "Greens",
            vmin=0,
            s=18,
        )
        right.scatter(
            spent[-1] / 1e3,
            100 * accuracy[-1],
            color=colour,
            s=70,
            edgecolor="black",
            zorder=3,
            label=f"{name}, at the end",
        )
    right.axvline(goal / 1e3, color="tab:red", ls="--", lw=1, label="target")
    right.set_xscale("log")
    right.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_minor_formatter("")
    spends = np.concatenate(spends)
    right.set_xticks(
        [
            t
            for decade in (1, 10, 100, 1e3, 1e4, 1e5)
            for t in (decade, 2 * decade, 5 * decade)
            if spends.min() < t < spends.max()
        ]
    )
    lowest = min(float(a) for a, _ in histories["to target"][len(histories["to target"]) // 4 :])
    right.set(
        xlabel=f"{of} energy per inference [nJ]",
        ylabel="test accuracy [%]",
        ylim=(max(0, 100 * lowest - 2), 100),
    )
    right.set_title("Along training (darker is later)")
    right.legend(loc="lower center")
    figure.savefig(path, dpi=150)


ENERGIES = {"total": total_energy, "hidden": hidden_energy}


def arguments(argv):
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Train a spiking network to an energy target.")
    parser.add_argument(
        "--target", type=float, default=0.1, help="fraction of the baseline's energy"
    )
    parser.add_argument(
        "--of",
        choices=list(ENERGIES),
        default="total",
        help="all the energy, with a smaller network, or that of hidden spikes, with the same one",
    )
    parser.add_argument("--chip", default="loihi", help="a name of joulax.catalogue()")
    parser.add_argument("--neurons", type=int, default=128, help="hidden neurons of the lean one")
    parser.add_argument("--steps", type=int, default=FEWER, help="time steps of the lean one")
    parser.add_argument(
        "--updates", type=int, default=4000, help="updates of the lean one, with --of total"
    )
    parser.add_argument(
        "--epochs", type=int, default=100, help="epochs of --of hidden; the baseline takes half"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--points", type=float, default=1.5, help="accuracy that may be lost, in percentage points"
    )
    parser.add_argument("--out", default="energy.png", help="where the figure goes")
    args = parser.parse_args(argv)
    if not 0 < args.target <= 1:
        parser.error(
            f"--target is a fraction of the baseline's energy in (0, 1], got {args.target}"
        )
    return args


def shower(progress, title, of):
    """A progress bar as a function of the share that is done, accuracy and result."""
    task = progress.add_task(title, total=1.0)

    def show(done, accuracy, result):
        words = f"{100 * float(accuracy):.1f} %, {of} {float(ENERGIES[of](result)) / 1e3:.0f} nJ"
        progress.update(task, completed=done, description=f"{title}: accuracy {words}")

    return show


def lean_hidden(args, baseline, data, more, test, chip, key, show):
    """The same network, its hidden spikes under a constraint."""
    (x, _), (x_more, _) = data, more
    _, on_training = eqx.filter_jit(evaluate)(baseline, data, chip)
    goal = args.target * float(hidden_energy(on_training))
    # the budget tightens slowly: a sudden one would silence the network
    warmup = int(0.6 * args.epochs) * (len(x) // 64)
    limit = joulax.constraint(goal, warmup=warmup, rate=0.02, equality=True)
    taught = eqx.filter_jit(lambda model, x: (x, jax.nn.softmax(jax.vmap(model)(x))))
    data, more = taught(baseline, x), taught(baseline, x_more)
    return train(
        baseline, data, more, test, chip, epochs=args.epochs, key=key, show=show, limit=limit
    )


def lean_total(args, baseline, data, more, test, chip, key, show):
    """A smaller and shorter network, pruned to a target for all the energy."""
    (images, y), (more_images, y_more), (test_images, y_test) = data, more, test
    first, second = jax.random.split(key)
    small = SNN((64, args.neurons, 10), first)
    probe = jnp.asarray(encode(images, args.steps))
    _, on_training = eqx.filter_jit(evaluate)(baseline, (encode(images), y), chip)
    goal = args.target * float(on_training.total)
    _, account = joulax.count(small, spikes=0)(probe[0])
    joulax.constraint(goal, floor=joulax.floor(account, chip, args.steps * STEP, batch=1))
    everything, labels = (
        np.concatenate([images] * 4 + [more_images]),
        np.concatenate([y] * 4 + [y_more]),
    )
    teach = eqx.filter_jit(lambda model, x: jax.nn.softmax(jax.vmap(model)(x)))
    wanted = 0.5 * jax.nn.one_hot(labels, 10) + 0.5 * teach(baseline, encode(everything))
    return shrink(
        small,
        jnp.asarray(encode(everything, args.steps)),
        wanted,
        probe,
        goal,
        (jnp.asarray(encode(test_images, args.steps)), y_test),
        chip,
        updates=args.updates,
        key=second,
        show=show,
    )


def removable(model, x):
    """The network without neurons that do nothing: they are updated for nothing."""
    batched = lambda model, x: jax.vmap(model)(x)
    _, account = joulax.count(batched, weights=0, spikes=1, neurons=True)(model, x)
    return joulax.compact(model, account)


# %%
def main(argv=None):
    """Train both networks, report and assert."""
    args = arguments(argv)
    began = time.perf_counter()
    chip = joulax.hardware(args.chip)
    data, test = split(args.seed)
    more = turned(data[0], args.seed), np.concatenate([data[1]] * 4)
    spikes = lambda part: (jnp.asarray(encode(part[0])), jnp.asarray(part[1]))
    smooth = lambda part: (part[0], optax.smooth_labels(jax.nn.one_hot(part[1], 10), 0.1))
    build, first, second = jax.random.split(jax.random.key(args.seed), 3)
    with Progress(transient=True) as progress:
        baseline, history = train(
            SNN((64, 128, 128, 10), build),
            smooth(spikes(data)),
            smooth(spikes(more)),
            spikes(test),
            chip,
            epochs=max(1, args.epochs // 2),
            key=first,
            show=shower(progress, "baseline", args.of),
        )
        show = shower(progress, "to target", args.of)
        if args.of == "hidden":
            parts = spikes(data), spikes(more), spikes(test)
            lean, lean_history = lean_hidden(args, baseline, *parts, chip, second, show)
            lean_test, lean_data = spikes(test), spikes(data)
        else:
            lean, lean_history = lean_total(args, baseline, data, more, test, chip, second, show)
            lean_test = jnp.asarray(encode(test[0], args.steps)), jnp.asarray(test[1])
            lean_data = jnp.asarray(encode(data[0], args.steps)), jnp.asarray(data[1])
    measure = eqx.filter_jit(evaluate)
    accuracy, before = measure(baseline, spikes(test), chip)
    lean_accuracy, after = measure(lean, lean_test, chip)
    lean_history.append((lean_accuracy, after))
    of = ENERGIES[args.of]
    goal = args.target * float(of(before))

    for title, result, a in (("baseline", before, accuracy), ("to target", after, lean_accuracy)):
        print(
            f"{title}: total energy {float(result.total) / 1e3:,.1f} nJ, hidden energy "
            f"{float(hidden_energy(result)) / 1e3:,.1f} nJ, test accuracy {100 * float(a):.2f} %"
        )
    change = 100 * float(lean_accuracy - accuracy)
    print(
        f"{args.of} energy {100 * float(of(after)) / float(of(before)):.1f} % of the baseline "
        f"(target {100 * args.target:.1f} %), accuracy {change:+.2f} points"
    )
    small = removable(lean, lean_data[0])
    same, less = measure(small.model, lean_test, chip)
    print(
        f"neurons that do nothing: {small.neurons}; without them {float(less.total) / 1e3:,.1f} "
        f"nJ, test accuracy {100 * float(same):.2f} %"
    )

    print("\nBefore:", joulax.report(before), sep="\n")
    print("\nAfter:", joulax.report(after), sep="\n")

    everywhere = joulax.evaluate(after.activity, duration=lean_test[0].shape[1] * STEP, batch=1)
    print("\nAfter, one inference on every chip, at 1 ms a step:", everywhere.sorted(), sep="\n")

    histories = {"baseline": history, "to target": lean_history}
    picture(before, after, histories, goal, args.of, args.chip, args.out)
    print(f"\nfigure: {args.out}; {time.perf_counter() - began:.0f} s")

    _, on_training = measure(baseline, spikes(data), chip)
    _, lean_training = measure(lean, lean_data, chip)
    met = float(of(lean_training)) / (args.target * float(of(on_training)))
    assert abs(met - 1) <= 0.05, f"target missed: {met:.3f} of the budget on training data"
    assert abs(float(of(after)) / goal - 1) <= 0.07, "test data cost another amount of energy"
    assert lean_accuracy >= accuracy - args.points / 100, (
        f"accuracy fell from {accuracy:.4f} to {lean_accuracy:.4f}"
    )
    return accuracy, lean_accuracy, goal, float(of(after))


if __name__ == "__main__":
    main()
