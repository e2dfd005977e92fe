# %% [markdown]
# # Where the energy goes
#
# Layers, time steps, neurons, samples: which of them is expensive, and what a change would save.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import equinox as eqx
import jax
import jax.numpy as jnp

import joulax
from joulax.neurons import LIF, Network

keys = jax.random.split(jax.random.key(0), 3)
model = Network(
    [
        eqx.nn.Linear(64, 128, key=keys[0]),
        LIF(threshold=0.4),
        eqx.nn.Linear(128, 10, key=keys[1]),
        LIF(threshold=0.1),
    ]
)
rates = 0.05 + 0.6 * jnp.exp(-((jnp.arange(64.0)[:, None] - 24) ** 2) / 60)
spikes = jax.random.bernoulli(keys[2], rates, (8, 64, 64)).astype(jnp.float32)
chip = joulax.hardware("loihi")

# %% [markdown]
# ## Which layer, and which sample?

# %%
account = jax.vmap(joulax.count(model, spikes=0))(spikes)[1]
result = joulax.energy(account, chip)
joulax.hotspots(result)

# %%
ax = joulax.plot.layers(result)

# %% [markdown]
# ## When?

# %%
steps = joulax.count(model, spikes=0, steps=64)(spikes[0])[1]
priced = joulax.energy(steps, chip)
joulax.hotspots(priced, top=3)

# %%
ax = joulax.plot.power(priced, dt=1e-3)

# %%
ax = joulax.plot.raster(spikes[0], steps["layers[0]"].ac, dt=1e-3)

# %% [markdown]
# ## Which neurons?

# %%
neurons = joulax.count(model, spikes=0, neurons=True)(spikes[0])[1]
ax = joulax.plot.neurons(neurons, "layers[0]")

# %% [markdown]
# ## What would a change save?
#
# To first order, from the gradient: pruning a matrix away, or raising a threshold by a tenth.

# %%
gradient = eqx.filter_grad(
    lambda m: joulax.energy(joulax.count(m, spikes=0)(spikes[0])[1], chip).total
)(model)
one = joulax.energy(joulax.count(model, spikes=0)(spikes[0])[1], chip)
joulax.hotspots(one, model=model, gradient=gradient)

# %% [markdown]
# It trusts the surrogate gradient. Count again to know:

# %%
higher = eqx.tree_at(lambda m: m.layers[1].threshold, model, model.layers[1].threshold * 1.1)
changed = joulax.energy(joulax.count(higher, spikes=0)(spikes[0])[1], chip)
joulax.report(one).diff(changed, ("as it is", "threshold + 10 %"))

# %%
assert changed.total < one.total
