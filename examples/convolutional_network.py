# %% [markdown]
# # A convolutional spiking network, a layer at a time
#
# In a feed-forward network nothing flows back from a layer to those before it, so a layer can be
# applied to all time steps at once and only its neurons need a `scan`. `count` sees the same
# network either way: the same layers, the same operations, to the last digit. Which form is faster
# depends on shapes and machine: measure both.

# %%
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import joulax


class Network(eqx.Module):
    """Two convolutions with pooling, and a readout; leaky integrate-and-fire neurons."""

    layers: list
    pool: eqx.nn.AvgPool2d

    def __init__(self, key):
        a, b, c = jax.random.split(key, 3)
        self.layers = [
            eqx.nn.Conv2d(1, 16, 5, use_bias=False, key=a),
            eqx.nn.Conv2d(16, 32, 5, use_bias=False, key=b),
            eqx.nn.Linear(512, 10, use_bias=False, key=c),
        ]
        self.pool = eqx.nn.AvgPool2d(2, 2)

    def after(self, i, spikes):
        """What the next layer receives."""
        return self.pool(spikes) if i == 0 else self.pool(spikes).reshape(-1) if i == 1 else spikes


def fire(v, current):
    """One step of neurons: their membrane and their spikes."""
    v = 0.9 * v + current
    spikes = (v > 1).astype(v.dtype)
    return v - spikes, spikes


# %% [markdown]
# ## Step by step
#
# All layers inside one scan, as networks with recurrent connections need it.


# %%
def stepwise(network, x):
    """Spikes of the readout, summed over time."""

    def step(state, x):
        voltages = []
        for i, (layer, v) in enumerate(zip(network.layers, state, strict=True)):
            v, spikes = fire(v, layer(x))
            voltages.append(v)
            x = network.after(i, spikes)
        return voltages, x

    start = [jnp.zeros((16, 24, 24)), jnp.zeros((32, 8, 8)), jnp.zeros(10)]
    return jax.lax.scan(step, start, x)[1].sum(0)


# %% [markdown]
# ## Layer by layer


# %%
def hoisted(network, x):
    """The same with every convolution outside of the scan."""
    for i, layer in enumerate(network.layers):
        currents = jax.vmap(layer)(x)
        _, spikes = jax.lax.scan(fire, jnp.zeros(currents.shape[1:]), currents)
        x = jax.vmap(lambda s, i=i: network.after(i, s))(spikes)
    return x.sum(0)


# %%
def counted(run, network, x):
    """A compiled, counted batch: outputs, account, and the seconds of the quickest of five runs."""
    count = joulax.count(run, weights=0, spikes=1)
    call = eqx.filter_jit(jax.vmap(count, in_axes=(None, 0)))
    out, account = jax.block_until_ready(call(network, x))
    seconds = []
    for _ in range(5):
        start = time.process_time()
        jax.block_until_ready(call(network, x))
        seconds.append(time.process_time() - start)
    return out, account, min(seconds)


def main():
    network = Network(jax.random.key(0))
    x = (jax.random.uniform(jax.random.key(1), (16, 20, 1, 28, 28)) < 0.2).astype(jnp.float32)
    one, account, slow = counted(stepwise, network, x)
    two, same, quick = counted(hoisted, network, x)
    result = joulax.energy(account, "loihi")
    print(joulax.report(result))
    print(f"step by step {slow:.3f} s, layer by layer {quick:.3f} s of CPU time")
    np.testing.assert_array_equal(one, two)
    assert account.order == same.order
    for layer in account:  # where both forms count a thing, they count the same
        for a, b in zip(jax.tree.leaves(account[layer]), jax.tree.leaves(same[layer]), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=layer)
    assert float(result.total.sum()) == float(joulax.energy(same, "loihi").total.sum())


if __name__ == "__main__":
    main()
