# %% [markdown]
# # First account in five minutes
#
# A spiking network, what it did, and what that costs. The network is plain Equinox, but any JAX
# callable will do.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import equinox as eqx
import jax
import jax.numpy as jnp

import joulax
from joulax.neurons import LIF, LeakyReadout, Network

keys = jax.random.split(jax.random.key(0), 3)
model = Network(
    [
        eqx.nn.Linear(64, 128, key=keys[0]),
        LIF(threshold=0.5),
        eqx.nn.Linear(128, 10, key=keys[1]),
        LeakyReadout(),
    ]
)
spikes = jax.random.bernoulli(keys[2], 0.3, (32, 16, 64)).astype(jnp.float32)

# %% [markdown]
# ## What it did
#
# `count` returns a function with the same arguments that gives the output and an *account*: one
# record a layer. `spikes=0` says that argument 0 carries spikes; nothing in the program could.
# `jax.vmap` gives one account a sample.

# %%
output, account = jax.vmap(joulax.count(model, spikes=0))(spikes)
account

# %% [markdown]
# A synaptic operation is one event that reaches one existing synapse; `dense` is the same network
# with nothing skipped. Why does each layer count as it does?

# %%
joulax.explain(model, spikes=0)(spikes[0])

# %% [markdown]
# ## What that costs

# %%
chip = joulax.hardware("loihi")
result = joulax.energy(account, chip)
joulax.report(result)

# %% [markdown]
# The prices, with their sources:

# %%
joulax.datasheet("loihi")

# %% [markdown]
# ## On other chips
#
# One line each, grouped by what a total contains. Where nobody has published a price that occurs
# there is a hole, and the reason beneath.

# %%
joulax.evaluate(account, ["loihi", "spinnaker2", "odin", "45nm", "gpu", "speck"], 0.016)

# %%
ax = joulax.plot.layers(result)

# %% [markdown]
# ## It is a pure function
#
# So it can be jitted, mapped over chips and differentiated through the surrogate gradient.

# %%
chips = joulax.stack(["loihi", "spinnaker2", "darwin3"])
totals = jax.jit(jax.vmap(joulax.energy, in_axes=(None, 0)))(account, chips).total
totals.mean(1)  # pJ, one a chip

# %%
gradient = eqx.filter_grad(
    lambda m: joulax.energy(joulax.count(m, spikes=0)(spikes[0])[1], chip).total
)(model)
jnp.abs(gradient.layers[0].weight).max()  # pJ for a change of one weight

# %%
assert joulax.report(result).samples == 32
