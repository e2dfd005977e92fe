# %% [markdown]
# # Events over time, under a limit of synops per second
#
# A digit drifts through the field of an event camera; a pixel sends an event where its brightness
# rises or falls. A convolutional spiking network with a
# recurrent layer says which digit it was. Chips that serve a bounded number of synaptic operations
# per second care about the *worst* time step,
# not the mean: that is what is constrained here.

# %%
import argparse
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import joulax
from joulax.neurons import LIF, LeakyReadout, Network, Recurrent, arctan

STEPS, DT, SIZE = 24, 1e-3, 14  # time steps, their length [s], pixels of the camera


# %% [markdown]
# ## Event streams from moving digits


# %%
def events(images, rng):
    """Events (samples, steps, 2, height, width), rising and falling: each digit starts somewhere,
    drifts and flickers.
    """
    frames = np.zeros((len(images), STEPS + 1, SIZE, SIZE), np.float32)
    for i, image in enumerate(images.reshape(-1, 8, 8) / 16):
        start, end = rng.uniform(0, SIZE - 8, (2, 2))
        for t in range(STEPS + 1):
            row, column = np.round(start + (end - start) * t / STEPS).astype(int)
            frames[i, t, row : row + 8, column : column + 8] = image * (
                0.75 + 0.25 * np.sin(2 * np.pi * t / 6)
            )
    change = np.diff(frames, axis=1)
    return jnp.asarray(np.stack([change > 0.12, change < -0.12], axis=2), jnp.float32)


def streams(seed, copies=3):
    """Training data, in which every digit drifts along several paths, and test data of other
    digits.
    """
    split = train_test_split(
        *load_digits(return_X_y=True),
        test_size=0.2,
        random_state=seed,
        stratify=load_digits().target,
    )
    images, images_test, labels, labels_test = split
    rng = np.random.default_rng(seed)
    many = np.concatenate([images] * copies)
    return (events(many, rng), jnp.asarray(np.concatenate([labels] * copies))), (
        events(images_test, rng),
        jnp.asarray(labels_test),
    )


# %% [markdown]
# ## A convolutional, recurrent spiking network from the zoo


# %%
def network(key):
    """Convolution, pooling, a recurrent layer, a leaky readout."""
    a, b, c, d = jax.random.split(key, 4)
    hidden = 64
    return Network(
        [
            eqx.nn.Conv2d(2, 8, 3, key=a),
            LIF(beta=0.7, threshold=0.5, spike=arctan),
            eqx.nn.MaxPool2d(2, 2),
            eqx.nn.Lambda(jnp.ravel),
            eqx.nn.Linear(8 * 36, hidden, key=b),
            Recurrent(
                LIF(beta=0.9, threshold=0.5, spike=arctan),
                0.1 * jax.random.normal(c, (hidden, hidden)) / np.sqrt(hidden),
            ),
            eqx.nn.Linear(hidden, 10, key=d),
            LeakyReadout(0.95),
        ]
    )


def counted(model, x):
    """Class scores, and synaptic operations of each time step (samples, steps) behind the first
    layer, which the camera drives.
    """
    out, account = jax.vmap(joulax.count(model, spikes=0, steps=STEPS))(x)
    _, *hidden = account.values()
    return out.mean(1), sum(record.synops for record in hidden)


def worst_rate(synops):
    """The busiest time step, smoothly, as synops per second: mean over samples."""
    return joulax.losses.worst(synops, axis=1, power=32.0).mean() / DT


# %%
def train(model, x, wanted, test, epochs, key, limit, monitor):
    """Train towards class probabilities under a constraint; one epoch is one compiled scan."""
    batch = 64
    batches = len(x) // batch
    optimiser = optax.adam(optax.cosine_decay_schedule(4e-3, epochs * batches, 0.05))
    arrays, rest = eqx.partition(model, eqx.is_inexact_array)

    @jax.jit
    def epoch(carry, order):
        def update(carry, rows):
            arrays, state, multiplier = carry

            def loss(arrays):
                logits, synops = counted(eqx.combine(arrays, rest), x[rows])
                task = optax.softmax_cross_entropy(logits, wanted[rows]).mean()
                term, new = limit.update(worst_rate(synops), multiplier)
                return task + term, (task, new)

            grads, (task, multiplier) = jax.grad(loss, has_aux=True)(arrays)
            updates, state = optimiser.update(grads, state)
            return (optax.apply_updates(arrays, updates), state, multiplier), task

        carry, losses = jax.lax.scan(update, carry, order)
        return carry, losses.mean()

    @jax.jit
    def score(arrays):
        logits, synops = counted(eqx.combine(arrays, rest), test[0])
        return (logits.argmax(1) == test[1]).mean(), worst_rate(synops), synops.max(1).mean() / DT

    carry = (arrays, optimiser.init(arrays), limit.init())
    for _ in range(epochs):
        key, shuffle = jax.random.split(key)
        order = jax.random.permutation(shuffle, len(x))[: batches * batch].reshape(batches, batch)
        carry, loss = epoch(carry, order)
        accuracy, rate, peak = score(carry[0])
        monitor.update(loss=loss, accuracy=accuracy, worst=rate / 1e6)
    return eqx.combine(carry[0], rest), float(accuracy), float(rate), float(peak)


# %%
def main(argv=None):
    """Train freely and under the limit, report and assert."""
    parser = argparse.ArgumentParser(
        description="Event streams under a limit of synaptic operations per second."
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=0.7,
        help="worst time step, as a fraction of the free network's",
    )
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--copies", type=int, default=3, help="paths of each training digit")
    parser.add_argument(
        "--points", type=float, default=5.0, help="accuracy that may be lost, in percentage points"
    )
    parser.add_argument(
        "--slack", type=float, default=0.06, help="how far the limit may be missed, relative"
    )
    args = parser.parse_args(argv)
    began = time.perf_counter()
    (x, y), test = streams(args.seed, args.copies)
    keys = jax.random.split(jax.random.key(args.seed), 3)
    print(joulax.explain(network(keys[0]), spikes=0)(x[0]))
    steps = args.epochs * (len(x) // 64)
    with joulax.Monitor(args.epochs) as monitor:
        labels = optax.smooth_labels(jax.nn.one_hot(y, 10), 0.1)
        free = train(
            network(keys[0]),
            x,
            labels,
            test,
            args.epochs,
            keys[1],
            joulax.constraint(1e12),
            monitor,
        )
    goal = args.limit * free[2]
    with joulax.Monitor(args.epochs) as monitor:
        taught = jax.jit(jax.vmap(lambda x: jax.nn.softmax(free[0](x).mean(0))))(
            x
        )  # the free network teaches the limited one
        limit = joulax.constraint(goal, warmup=steps // 2, rate=0.02, equality=True)
        limited = train(free[0], x, taught, test, args.epochs, keys[2], limit, monitor)
    for title, (_, accuracy, rate, peak) in (("free", free), ("limited", limited)):
        print(
            f"{title}: test accuracy {100 * accuracy:.1f} %, worst step "
            f"{rate / 1e6:.2f} M synops/s (peak {peak / 1e6:.2f} M)"
        )
    account = jax.jit(jax.vmap(lambda x: joulax.count(limited[0], spikes=0, events=True)(x)[1]))(
        test[0]
    )
    for name, row in joulax.metrics.synops_table(account, DT).items():
        print(
            f"{name:<18} in {float(row['In']):8.0f}  fan-out "
            f"{float(row['Fan-out']):6.1f}  {float(row['SynOps/s']) / 1e6:6.2f} M "
            f"synops/s on average"
        )
    print(
        f"limit {goal / 1e6:.2f} M synops/s, met at {100 * limited[2] / goal:.1f} %; "
        f"{time.perf_counter() - began:.0f} s"
    )
    assert abs(limited[2] / goal - 1) < args.slack, (
        f"the limit was missed: {limited[2] / goal:.3f} of it"
    )
    assert limited[1] >= free[1] - args.points / 100, (
        f"accuracy fell from {free[1]:.3f} to {limited[1]:.3f}"
    )


if __name__ == "__main__":
    main()
