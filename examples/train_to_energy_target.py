# %% [markdown]
# # Train a spiking network to an energy target
#
# A spiking network learns scikit-learn's digits twice: once freely, once against a target for the
# energy
# of its hidden layers on a chip. Everything that is counted comes from `joulax.count`; the model is
# plain
# Equinox and knows nothing of it.
#
# *Hidden-layer energy* is what hidden spikes cost: all operations of the layers that they feed, but
# not
# neuron updates, which are the same for every weight and cannot be trained away.

# %%
import argparse
import time

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

    def __call__(self, x):
        """Class scores of one sample of input spikes (steps, inputs)."""

        def step(membranes, x):
            new = []
            for layer, v in zip(self.layers, membranes[:-1], strict=True):
                v = self.decay * v + layer(x)
                x = spike(v - 1)
                new.append(v - x)
            out = self.decay * membranes[-1] + self.readout(x)
            return [*new, out], out

        start = [jnp.zeros(layer.out_features) for layer in (*self.layers, self.readout)]
        return jax.lax.scan(step, start, x)[1].mean(0)


def encode(images):
    """Pixels in [0, 1] as evenly spaced spikes: (samples, steps, pixels)."""
    phase = np.floor(np.arange(STEPS + 1)[:, None] * images[:, None, :] + 0.5)
    return np.diff(phase, axis=1).astype(np.float32)


def digits(seed):
    """Training and test data: spikes and labels."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(
        encode(images / 16), labels, test_size=0.2, random_state=seed, stratify=labels
    )
    x, x_test, y, y_test = map(jnp.asarray, split)
    return (x, y), (x_test, y_test)


def jittered(seed, copies=4):
    """The training digits of the same split, turned and moved a little: the network learns shapes,
    not pixels.
    """
    images, labels = load_digits(return_X_y=True)
    images, _, labels, _ = train_test_split(
        images / 16, labels, test_size=0.2, random_state=seed, stratify=labels
    )
    rng, made = np.random.default_rng(seed), []
    for image in np.concatenate([images] * copies).reshape(-1, 8, 8):
        turned = ndimage.rotate(image, rng.uniform(-10, 10), reshape=False, order=1)
        made.append(
            np.clip(ndimage.shift(turned, rng.uniform(-0.6, 0.6, 2), order=1), 0, 1).ravel()
        )
    return jnp.asarray(encode(np.array(made))), jnp.asarray(np.concatenate([labels] * copies))


# %% [markdown]
# ## Energy as a function that can be trained


# %%
def hidden_energy(result):
    """What hidden spikes cost [pJ]: the layers after the first, without neuron updates."""
    fed = [result.layers[name] for name in result.order[1:]]
    return sum(e.total - (0.0 if e.neuron_update is None else e.neuron_update) for e in fed)


def evaluate(model, data, chip):
    """Accuracy and the mean energy result over a data set."""
    x, y = data
    logits, account = jax.vmap(joulax.count(model, spikes=0))(x)
    result = jax.tree.map(
        lambda a: a.mean(0),
        jax.vmap(joulax.energy, in_axes=(0, None, None))(account, chip, STEPS * 1e-3),
    )
    return (logits.argmax(1) == y).mean(), result


def loss(model, batch, more, chip, limit, multiplier):
    """Cross-entropy with the wanted class probabilities on digits and jittered digits, and the
    constraint's term on the energy of the former.
    """
    (x, wanted), (x_more, wanted_more) = batch, more
    logits, account = jax.vmap(joulax.count(model, spikes=0))(x)
    task = (
        optax.softmax_cross_entropy(logits, wanted).mean()
        + optax.softmax_cross_entropy(jax.vmap(model)(x_more), wanted_more).mean()
    )
    if limit is None:
        return task, multiplier
    spent = jax.vmap(lambda a: hidden_energy(joulax.energy(a, chip, STEPS * 1e-3)))(account).mean()
    term, multiplier = limit.update(spent, multiplier)
    return task + term, multiplier


def train(model, data, more, test_data, chip, *, epochs, key, title, progress, limit=None):
    """Train, under a constraint if there is one; returns the model and the history of (accuracy,
    energy).
    """
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
        accuracy, result = evaluate(model, test_data, chip)
        return model, state, multiplier, accuracy, hidden_energy(result)

    state, multiplier = (
        optimiser.init(eqx.filter(model, eqx.is_array)),
        () if limit is None else limit.init(),
    )
    history = []
    task = progress.add_task(title, total=epochs)
    for _ in range(epochs):
        key, shuffle = jax.random.split(key)
        order = jax.random.permutation(shuffle, len(data[0]))[: count * batch].reshape(count, batch)
        order = (order, jax.random.randint(shuffle, (count, batch), 0, len(more[0])))
        model, state, multiplier, accuracy, spent = epoch(model, state, multiplier, order)
        history.append((float(accuracy), float(spent)))
        progress.update(
            task,
            advance=1,
            description=(
                f"{title}: accuracy {100 * float(accuracy):.1f} %, hidden "
                f"{float(spent) / 1e3:.0f} nJ"
            ),
        )
    return model, history


# %% [markdown]
# ## A picture


# %%
def picture(before, after, histories, goal, chip, path):
    """Energy of each layer before and after, and accuracy against energy along training."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    joulax.plot.layers({"baseline": before, "to target": after}, ax=left)
    left.set_title(f"Energy per inference on {chip}")
    for (name, history), colour in zip(histories.items(), ("tab:gray", "tab:green"), strict=True):
        accuracy, spent = np.array(history).T
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
    spends = np.concatenate([np.array(history)[:, 1] for history in histories.values()]) / 1e3
    right.set_xticks(
        [
            t
            for decade in (1, 10, 100, 1e3, 1e4, 1e5)
            for t in (decade, 2 * decade, 5 * decade)
            if spends.min() < t < spends.max()
        ]
    )
    right.set(
        xlabel="hidden-layer energy per inference [nJ]",
        ylabel="test accuracy [%]",
        ylim=(max(0, 100 * min(a for a, _ in histories["to target"]) - 2), 100.5),
    )
    right.set_title("Along training (darker is later)")
    right.legend(loc="lower left")
    figure.savefig(path, dpi=150)


# %%
def main(argv=None):
    """Train both networks, report and assert."""
    parser = argparse.ArgumentParser(description="Train a spiking network to an energy target.")
    parser.add_argument(
        "--target", type=float, default=0.1, help="fraction of the baseline's hidden-layer energy"
    )
    parser.add_argument("--chip", default="loihi", help="a name of joulax.catalogue()")
    parser.add_argument(
        "--epochs", type=int, default=100, help="epochs towards the target; the baseline takes half"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--points", type=float, default=1.0, help="accuracy that may be lost, in percentage points"
    )
    parser.add_argument("--out", default="energy.png", help="where the figure goes")
    args = parser.parse_args(argv)
    if not 0 < args.target <= 1:
        parser.error(
            f"--target is a fraction of the baseline's energy in (0, 1], got {args.target}"
        )

    began = time.perf_counter()
    chip = joulax.hardware(args.chip)
    (x, y), test = digits(args.seed)
    x_more, y_more = jittered(args.seed)
    build, first, second = jax.random.split(jax.random.key(args.seed), 3)
    model = SNN((64, 128, 128, 10), build)
    with Progress(transient=True) as progress:
        smooth = lambda y: optax.smooth_labels(jax.nn.one_hot(y, 10), 0.1)
        options = dict(
            epochs=max(1, args.epochs // 2), key=first, title="baseline", progress=progress
        )
        baseline, history = train(
            model, (x, smooth(y)), (x_more, smooth(y_more)), test, chip, **options
        )
        accuracy, before = eqx.filter_jit(evaluate)(baseline, test, chip)
        _, on_training = eqx.filter_jit(evaluate)(baseline, (x, y), chip)
        start = float(hidden_energy(before))
        goal = args.target * start
        warmup = int(0.6 * args.epochs) * (
            len(x) // 64
        )  # the budget tightens slowly: a sudden one would silence the network
        limit = joulax.constraint(
            args.target * float(hidden_energy(on_training)), warmup=warmup, rate=0.02, equality=True
        )
        taught = eqx.filter_jit(
            lambda model, x: (x, jax.nn.softmax(jax.vmap(model)(x)))
        )  # the baseline teaches its lean successor
        options = dict(epochs=args.epochs, key=second, title="to target", progress=progress)
        lean, lean_history = train(
            baseline,
            taught(baseline, x),
            taught(baseline, x_more),
            test,
            chip,
            limit=limit,
            **options,
        )
        lean_accuracy, after = eqx.filter_jit(evaluate)(lean, test, chip)
    spent = float(hidden_energy(after))

    print("\nBefore:", joulax.report(before), sep="\n")
    print("\nAfter:", joulax.report(after), sep="\n")
    for title, result, a in (("baseline", before, accuracy), ("to target", after, lean_accuracy)):
        hidden = sum(float(result.activity[n].synops) for n in result.order[1:])
        print(
            f"{title}: test accuracy {100 * float(a):.2f} %, hidden synops "
            f"{hidden:,.0f}, hidden energy {float(hidden_energy(result)) / 1e3:,.1f} nJ"
        )
    change = 100 * float(lean_accuracy - accuracy)
    print(
        f"hidden energy {100 * spent / start:.1f} % of the baseline (target "
        f"{100 * args.target:.1f} %), accuracy {change:+.2f} points"
    )

    everywhere = joulax.evaluate(after.activity, duration=STEPS * 1e-3, batch=1)
    print("\nOne inference on every chip, at 1 ms a step:", everywhere.sorted(), sep="\n")

    picture(
        before, after, {"baseline": history, "to target": lean_history}, goal, args.chip, args.out
    )
    print(f"\nfigure: {args.out}; {time.perf_counter() - began:.0f} s")

    assert abs(spent / goal - 1) <= 0.05, f"target missed: {spent:.0f} pJ instead of {goal:.0f} pJ"
    assert lean_accuracy >= accuracy - args.points / 100, (
        f"accuracy fell from {accuracy:.4f} to {lean_accuracy:.4f}"
    )
    return accuracy, lean_accuracy, start, spent


if __name__ == "__main__":
    main()
