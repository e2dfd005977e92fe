# %% [markdown]
# # How far does it go? Accuracy against energy
#
# The network of `train_to_energy_target.py`, trained towards 16 budgets from five seeds each: 80
# networks in one vmapped run. Once with
# `joulax.constraint`, which needs no weight; once with the fixed penalty of the Sinabs how-to,
# `((S₀ − S) / S₀)²`, at the same budgets.
#
# The full run takes about half an hour on two cores; `--budgets 3 --seeds 2 --epochs 20` is a quick
# look.

# %%
import argparse
import json
import pathlib
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from train_to_energy_target import SNN, digits, hidden_energy

import joulax

BATCH = 64


# %%
def counted(model, x, chip):
    """Class scores and hidden energies [pJ] of a batch."""
    logits, account = jax.vmap(joulax.count(model, spikes=0))(x)
    return logits, jax.vmap(lambda a: hidden_energy(joulax.energy(a, chip)))(account)


def fit(arrays, rest, x, wanted, key, epochs, chip, energy_term=None, start=None):
    """Train with Adam in one scan; `energy_term(energy, state)` gives what is added to the loss,
    and the next state.
    """
    batches = len(x) // BATCH
    optimiser = optax.adam(optax.cosine_decay_schedule(3e-3, epochs * batches, 0.03))

    def update(carry, rows):
        arrays, state, extra = carry

        def loss(arrays):
            model = eqx.combine(arrays, rest)
            if energy_term is None:
                return optax.softmax_cross_entropy(
                    jax.vmap(model)(x[rows]), wanted[rows]
                ).mean(), extra
            logits, spent = counted(model, x[rows], chip)
            term, new = energy_term(spent.mean(), extra)
            return optax.softmax_cross_entropy(logits, wanted[rows]).mean() + term, new

        grads, extra = jax.grad(loss, has_aux=True)(arrays)
        updates, state = optimiser.update(grads, state)
        return (optax.apply_updates(arrays, updates), state, extra), None

    shuffled = jax.vmap(
        lambda k: jax.random.permutation(k, len(x))[: batches * BATCH].reshape(batches, BATCH)
    )
    order = shuffled(jax.random.split(key, epochs)).reshape(-1, BATCH)
    (arrays, _, extra), _ = jax.lax.scan(
        update, (arrays, optimiser.init(arrays), () if start is None else start), order
    )
    return arrays, extra


def measured(arrays, rest, data, chip):
    """Accuracy and mean hidden energy [pJ]."""
    logits, spent = counted(eqx.combine(arrays, rest), data[0], chip)
    return (logits.argmax(1) == data[1]).mean(), spent.mean()


# %% [markdown]
# ## Baselines, then all budgets at once


# %%
def front(fractions, seeds, epochs, chip):
    """Accuracy and energy of the baselines, and of every (method, seed, budget)."""
    splits = [digits(seed) for seed in seeds]
    train, test = (
        tuple(jnp.stack([split[part][k] for split in splits]) for k in (0, 1)) for part in (0, 1)
    )
    models = [SNN((64, 128, 128, 10), jax.random.key(seed)) for seed in seeds]
    rest = eqx.partition(models[0], eqx.is_array)[1]
    arrays = jax.tree.map(lambda *a: jnp.stack(a), *(eqx.filter(m, eqx.is_array) for m in models))
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))

    @jax.jit
    def baselines(arrays, x, y):
        wanted = optax.smooth_labels(jax.nn.one_hot(y, 10), 0.1)
        return jax.vmap(lambda a, x, w, k: fit(a, rest, x, w, k, max(1, epochs // 3), chip)[0])(
            arrays, x, wanted, keys
        )

    free = baselines(arrays, *train)
    evaluate = jax.jit(jax.vmap(lambda a, x, y: measured(a, rest, (x, y), chip)))
    accuracy, spent = evaluate(free, *test)
    _, on_training = evaluate(free, *train)
    taught = jax.jit(jax.vmap(lambda a, x: jax.nn.softmax(jax.vmap(eqx.combine(a, rest))(x))))(
        free, train[0]
    )
    steps = epochs * (train[0].shape[1] // BATCH)

    def to_budget(method, arrays, x, wanted, key, before, fraction):
        budget = fraction * before
        if method == "fixed penalty":
            return fit(
                arrays,
                rest,
                x,
                wanted,
                key,
                epochs,
                chip,
                lambda e, s: (joulax.losses.target(e, budget), s),
            )[0]
        limit = joulax.constraint(budget, warmup=int(0.6 * steps), rate=0.02, equality=True)
        return fit(arrays, rest, x, wanted, key, epochs, chip, limit.update, limit.init())[0]

    found = {}
    for method in ("constraint", "fixed penalty"):
        began = time.perf_counter()
        one = lambda a, x, w, k, e, f, method=method: to_budget(method, a, x, w, k, e, f)
        budgets = jax.vmap(one, in_axes=(None, None, None, None, None, 0))
        trained = jax.jit(jax.vmap(budgets, in_axes=(0, 0, 0, 0, 0, None)))(
            free, train[0], taught, keys, on_training, fractions
        )
        scores = jax.jit(
            jax.vmap(
                jax.vmap(lambda a, x, y: measured(a, rest, (x, y), chip), in_axes=(0, None, None))
            )
        )(trained, *test)
        found[method] = tuple(np.asarray(s) for s in scores)
        print(
            (
                f"{method}: {len(seeds) * len(fractions)} networks in "
                f"{time.perf_counter() - began:.0f} s"
            ),
            flush=True,
        )
    return np.asarray(accuracy), np.asarray(spent), found


# %%
def table(fractions, accuracy, spent, found):
    """Means over seeds: accuracy change in points and energy over budget."""
    lines = ["budget    " + "".join(f"{m + ': change':>25}{'energy / budget':>26}" for m in found)]
    for k, fraction in enumerate(fractions):
        line = f"1/{1 / fraction:<8.3g}"
        for a, e in found.values():
            change, ratio = 100 * (a[:, k] - accuracy), e[:, k] / (fraction * spent)
            line += (
                f"{change.mean():+17.2f} ± {change.std():4.2f} {ratio.mean():12.3f} "
                f"({ratio.min():.3f}–{ratio.max():.3f})"
            )
        lines.append(line)
    return "\n".join(lines)


def picture(fractions, accuracy, spent, found, path):
    """Both fronts with error bars over seeds."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for (method, (a, e)), colour in zip(found.items(), ("tab:green", "tab:red"), strict=True):
        ratio, change = e / spent[:, None], 100 * (a - accuracy[:, None])
        style = dict(
            xerr=ratio.std(0), yerr=change.std(0), color=colour, marker="o", ms=4, lw=1, capsize=2
        )
        ax.errorbar(
            ratio.mean(0),
            change.mean(0),
            **style,
            label={"fixed penalty": "fixed penalty of the Sinabs how-to"}.get(
                method, "joulax.constraint"
            ),
        )
    ax.axhline(0, color="#888888", lw=0.8)
    ax.axhline(-1, color="#888888", lw=0.8, ls=":")
    ax.set(
        xscale="log",
        xlabel="hidden-layer energy, relative to the baseline",
        ylabel="change of test accuracy [points]",
    )
    ax.set_ylim(max(-15, ax.get_ylim()[0]), None)
    ax.set_xticks(
        list(fractions[:: max(1, len(fractions) // 6)]),
        [f"1/{1 / f:.3g}" for f in fractions[:: max(1, len(fractions) // 6)]],
    )
    ax.minorticks_off()
    ax.legend(loc="lower right")
    figure.savefig(path, dpi=150)


# %%
def main(argv=None):
    """Train, print, draw and assert."""
    parser = argparse.ArgumentParser(
        description="Accuracy against energy: many budgets and seeds in one vmapped run."
    )
    parser.add_argument(
        "--budgets",
        type=int,
        default=16,
        help="how many, from all of the baseline's energy to a fiftieth",
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--chip", default="loihi")
    parser.add_argument("--out", default="pareto.png")
    args = parser.parse_args(argv)
    fractions = (
        np.unique(np.append(np.geomspace(1.0, 0.02, args.budgets - 2), [0.1, 0.05]))
        if args.budgets > 3
        else np.array([0.1, 0.2, 0.5])
    )
    fractions = fractions[::-1][: args.budgets].copy()
    accuracy, spent, found = front(
        jnp.asarray(fractions, jnp.float32),
        list(range(args.seeds)),
        args.epochs,
        joulax.hardware(args.chip),
    )
    print(
        f"baseline: accuracy {100 * accuracy.mean():.2f} ± {100 * accuracy.std():.2f} "
        f"%, hidden energy {spent.mean() / 1e3:.0f} nJ on {args.chip}"
    )
    print(table(fractions, accuracy, spent, found))
    picture(fractions, accuracy, spent, found, args.out)
    numbers = {m: {"accuracy": a.tolist(), "energy": e.tolist()} for m, (a, e) in found.items()}
    record = {
        "fractions": fractions.tolist(),
        "baseline": {"accuracy": accuracy.tolist(), "energy": spent.tolist()},
        **numbers,
    }
    pathlib.Path(args.out).with_suffix(".json").write_text(json.dumps(record), encoding="utf-8")
    print(f"figure: {args.out}")

    a, e = found["constraint"]
    worst = np.abs(e / (spent[:, None] * fractions) - 1).max(0)
    assert worst[fractions >= 0.1].max() <= 0.1, f"a budget was missed by {100 * worst.max():.1f} %"
    assert a.min() > 0.5, "a network collapsed"


if __name__ == "__main__":
    main()
