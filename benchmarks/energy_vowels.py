# %% [markdown]
# # Speech: a recurrent network under a budget for all the energy
#
# Japanese Vowels (nine speakers, 270 utterances to train on and 370 to test, 12 cepstrum
# coefficients over at most 29 frames), as `aeon` ships it. Each coefficient is one spike a frame,
# of the nearest of five levels. The baseline has 64 recurrent neurons and sees every frame; the
# lean ones have fewer neurons, and their synapses, recurrent ones too, are pruned by energy.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from energy_training import every_seed, fitted, measured, shrunk, taught

from joulax.neurons import LIF, LeakyReadout, Network, Recurrent, triangle

FRAMES, LEVELS, SPEAKERS = 29, 5, 9
CELLS = (  # target ÷ (none: a dense control), neurons, every how many frames
    *((10, 32, 2), (10, 24, 3), (20, 24, 3)),
    *((None, 20, 2), (None, 12, 3)),
    (10, 32, 1),
)


class Speech(eqx.Module):
    """A recurrent layer and a leaky readout; scores are means over time."""

    net: Network

    def __init__(self, neurons, key):
        a, b, c = jax.random.split(key, 3)
        spiking = LIF(spike=triangle)
        self.net = Network(
            [
                eqx.nn.Linear(12 * LEVELS, neurons, key=a),
                Recurrent(spiking, jax.random.normal(b, (neurons, neurons)) * 0.5 / neurons**0.5),
                eqx.nn.Linear(neurons, SPEAKERS, key=c),
                LeakyReadout(),
            ]
        )
        first = self.net.layers[0]
        self.net = eqx.tree_at(lambda n: n.layers[0].weight, self.net, 3 * first.weight)

    def __call__(self, x):
        """Scores of the speakers."""
        return self.net(x).mean(0)


def vowels():
    """Training and test data: spikes (utterances, frames, inputs) and speakers."""
    from aeon.datasets import load_japanese_vowels

    parts = [load_japanese_vowels(split=s) for s in ("train", "test")]
    values = np.concatenate([u.T for u in parts[0][0]])
    edges = np.quantile(values, np.arange(1, LEVELS) / LEVELS, axis=0)  # (levels − 1, 12)
    found = []
    for utterances, speakers in parts:
        spikes = np.zeros((len(utterances), FRAMES, 12, LEVELS), np.float32)
        for k, u in enumerate(utterances):
            level = (u.T[:, None, :] > edges).sum(1)
            spikes[k, : u.shape[1]] = np.eye(LEVELS, dtype=np.float32)[level]
        flat = spikes.reshape(len(utterances), FRAMES, -1)
        found.append((jnp.asarray(flat), jnp.asarray(np.array(speakers, int) - 1)))
    return found


def begun(store, seed, updates):
    """Data, labels taught by the baseline, its network, and keys for a lean one of this seed."""
    train, test = vowels()
    build, first, second = jax.random.split(jax.random.key(seed), 3)
    smooth = optax.smooth_labels(jax.nn.one_hot(train[1], SPEAKERS), 0.1)
    options = dict(updates=updates // 2, batch=64, key=first)
    base = fitted(Speech(64, build), train[0], smooth, **options)
    store.made(f"baseline, seed {seed}", lambda: measured(base, *test))
    return train, test, taught(base, *train, SPEAKERS), base, (build, second)


def one_seed(store, seed, updates):
    """Baseline, lean and dense networks of one seed."""
    (x, y), (x_test, y_test), wanted, base, (build, second) = begun(store, seed, updates)
    start = measured(base, x, y)["energy"]

    def lean(divisor, neurons, every):
        cut, goal = x[:, ::every], None if divisor is None else start / divisor
        options = dict(updates=updates, batch=64, key=second)
        model = shrunk(Speech(neurons, build), cut, wanted, cut, goal, **options)
        return measured(model, x_test[:, ::every], y_test)

    for cell in CELLS:
        divisor, neurons, every = cell
        name = f"÷ {divisor}" if divisor else "dense"
        name = f"{name}, {neurons} neurons, every {every} frames, seed {seed}"
        store.made(name, lambda cell=cell: lean(*cell))


main = every_seed("All the energy on Japanese Vowels.", "energy_vowels", one_seed, updates=2000)

if __name__ == "__main__":
    main()
