# %% [markdown]
# # My spiking network against my analog one
#
# The fair question is not "fewer operations?" but "less energy, with memory, on the hardware each
# would run on?". Both networks are counted in the same way.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import equinox as eqx
import jax
import jax.numpy as jnp

import joulax
from joulax.neurons import LIF, Network

keys = jax.random.split(jax.random.key(0), 4)
snn = Network(
    [
        eqx.nn.Linear(64, 128, key=keys[0]),
        LIF(threshold=0.5),
        eqx.nn.Linear(128, 10, key=keys[1]),
        LIF(threshold=0.5),
    ]
)
ann = eqx.nn.MLP(64, 10, 96, 2, key=keys[2])
images = jax.random.uniform(keys[3], (32, 64))
steps = 16
spikes = (images[:, None] > jnp.linspace(0.05, 0.95, steps)[:, None]).astype(jnp.float32)

# %%
snn_account = jax.vmap(joulax.count(snn, spikes=0))(spikes)[1]
ann_account = jax.vmap(joulax.count(ann))(images)[1]
snn_account

# %%
ann_account

# %% [markdown]
# ## Side by side

# %%
comparison = joulax.compare(snn_account, ann_account, {"deployed": ("loihi", "arm")})
comparison

# %% [markdown]
# Arithmetic alone flatters the spiking network: every spike fetches a weight, which memory makes
# expensive. Below which rate would it win?

# %%
ax = joulax.plot.break_even(comparison)

# %% [markdown]
# ## Layer by layer
#
# Each on its own chip, as reports side by side:

# %%
joulax.report(
    {
        "snn": joulax.energy(snn_account, joulax.hardware("45nm@int8")),
        "ann": joulax.energy(ann_account, joulax.hardware("45nm@int8")),
    }
)

# %% [markdown]
# ## Without an analog network of your own
#
# The *twin* has the same weights, one pass, and activations that say as much as a spike count.

# %%
joulax.compare(snn_account, steps=steps)

# %%
assert comparison.bits is None
