# %% [markdown]
# # MNIST again: moved images, larger strides, one or two steps
#
# As `energy_mnist.py`, but baseline and lean networks learn from three turned and moved copies of
# every image beside it, the baseline for longer, and 500 of the 4000 training images are held
# back. The lean networks have larger kernels with a larger stride, so that fewer neurons are
# updated, and one or two steps; they are dense.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from energy_mnist import Convolutional, images
from energy_training import every_seed, fitted, measured, shrunk, taught
from scipy import ndimage
from train_to_energy_target import encode, spike

HELD, COPIES = 500, 3
CELLS = (
    (None, (14, 28), 5, 3, 2),
    (None, (14, 28), 5, 3, 1),
)  # target ÷ (none: dense), channels, kernel, stride, steps


def moved(pixels, seed):
    """Images turned, scaled and moved a little."""
    rng, made = np.random.default_rng(seed), []
    for image in pixels.reshape(-1, 28, 28):
        angle, scale = rng.uniform(-0.2, 0.2), rng.uniform(0.9, 1.1)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
        offset = np.full(2, 13.5) - turn @ (np.full(2, 13.5) + rng.uniform(-1.5, 1.5, 2))
        made.append(np.clip(ndimage.affine_transform(image, turn, offset, order=1), 0, 1).ravel())
    return np.array(made, np.float32)


def parts(seed):
    """Images to train on with moved copies of them, held back, tested; with labels."""
    (a, y), test = images(seed)
    held, train, y_train = (a[:HELD], y[:HELD]), a[HELD:], y[HELD:]
    copies = [moved(train, 10 * seed + k) for k in range(COPIES)]
    return (np.concatenate([train, *copies]), np.tile(y_train, 1 + COPIES)), held, test


def spikes(images, steps):
    """Spikes of images."""
    return jnp.asarray(encode(images, steps))


class ByLayer(eqx.Module):
    """The same network a layer at a time, kernels as products of matrices: trains far faster."""

    net: Convolutional

    def __call__(self, x):
        """Class scores of input spikes (steps, 784)."""
        fired = x.reshape(-1, 28, 28, 1)
        for layer in (self.net.first, self.net.second):
            fired = self._fired(currents(layer, fired))
        fired = fired.transpose(0, 3, 1, 2)
        read = fired.reshape(len(x), -1) @ self.net.readout.weight.T + self.net.readout.bias
        leak = lambda v, i: (0.9 * v + i, 0.9 * v + i)
        return jax.lax.scan(leak, jnp.zeros(10), read)[1].mean(0)

    def _fired(self, currents):
        def step(v, i):
            v = 0.9 * v + i
            s = spike(v - 1)
            return v - s, s

        return jax.lax.scan(step, jnp.zeros_like(currents[0]), currents)[1]


def currents(layer, x):
    """A convolution of (steps, side, side, channels) as one product."""
    (kernel, _), (stride, _) = layer.kernel_size, layer.stride
    reach = stride * ((x.shape[1] - kernel) // stride) + 1
    ends = [slice(i, i + reach, stride) for i in range(kernel)]
    parts = jnp.concatenate([x[:, a, b] for a in ends for b in ends], -1)
    weight = layer.weight.transpose(2, 3, 1, 0).reshape(-1, layer.out_channels)
    return parts @ weight + layer.bias.ravel()


def loud(model, gain=3.0):
    """The same, kernels larger at the start: few steps fire no neuron else."""
    where = lambda m: (m.first.weight, m.second.weight)
    return eqx.tree_at(where, model, tuple(gain * w for w in where(model)))


def one_seed(store, seed, free, updates):
    """Baseline, lean and dense networks of one seed."""
    (a, y), held, test = parts(seed)
    build, first, second = jax.random.split(jax.random.key(seed), 3)
    smooth = optax.smooth_labels(jax.nn.one_hot(y, 10), 0.1)
    x = spikes(a, 8)
    net = ByLayer(Convolutional((16, 32), build))
    base = fitted(net, x, smooth, updates=free, batch=64, key=first)
    wanted = taught(base, x, y, 10)
    del x
    store.made(f"baseline, seed {seed}", lambda: judged(base, 8, held, test))
    start = measured(base, spikes(a[:1000], 8), y[:1000])["energy"]

    def lean(divisor, channels, kernel, stride, steps):
        x, goal = spikes(a, steps), None if divisor is None else start / divisor
        options = dict(updates=updates, batch=64, key=second)
        model = ByLayer(loud(Convolutional(channels, build, kernel, stride)))
        return judged(shrunk(model, x, wanted, x[:256], goal, **options), steps, held, test)

    for cell in CELLS:
        divisor, (one, two), kernel, stride, steps = cell
        name = f"÷ {divisor}" if divisor else "dense"
        name += f", {one} and {two} channels, {kernel} × {kernel} every {stride}"
        name += f", {steps} step{'s'[: steps > 1]}, seed {seed}"
        store.made(name, lambda cell=cell: lean(*cell))


def judged(model, steps, held, test):
    """What a network does on tested images, and how good it is on those held back."""
    found = measured(model, spikes(test[0], steps), test[1])
    kept = measured(model, spikes(held[0], steps), held[1])
    return found | {"held_accuracy": kept["accuracy"]}


main = every_seed("MNIST with moved images.", "energy_moved", one_seed, free=2000, updates=8000)

if __name__ == "__main__":
    main()
