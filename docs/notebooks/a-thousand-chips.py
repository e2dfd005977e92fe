# %% [markdown]
# # A thousand chips at once, with uncertainty
#
# Published prices have ranges. A chip drawn a thousand times from them is one pytree with a leading
# axis, and energy is one `vmap` over it.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import joulax

account = {
    "hidden": joulax.activity(ac=2.0e6, dense_ac=2.0e7, spikes=4.0e3, updates=1.0e5, neurons=100),
    "output": joulax.activity(ac=4.0e4, dense_ac=1.0e6, spikes=50.0, updates=1.0e4, neurons=10),
}
price = jax.jit(jax.vmap(joulax.energy, in_axes=(None, 0)))

# %% [markdown]
# ## One chip, a thousand times

# %%
loihi = joulax.sample("loihi", jax.random.key(0), 1000)
energies = price(account, loihi).total
jnp.quantile(energies, jnp.array([0.025, 0.5, 0.975])) / 1e6  # µJ

# %% [markdown]
# ## Which of two is cheaper?
#
# Numbers that both share are drawn once, so a comparison is surer than its parts.

# %%
sparser = {
    name: joulax.activity(ac=0.8 * r.ac, dense_ac=r.dense_ac, spikes=0.8 * r.spikes,
                          updates=r.updates, neurons=r.neurons)
    for name, r in account.items()
}  # fmt: skip
a, b = (joulax.energy(x, joulax.hardware("loihi")) for x in (sparser, account))
c = joulax.energy(account, joulax.hardware("gpu"))
print(f"sparser on loihi < as it is on loihi: {float(joulax.probability_cheaper(a, b)):.2f}")
print(f"as it is on loihi < on gpu:           {float(joulax.probability_cheaper(b, c)):.2f}")

# %%
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for name, records, shade in (("sparser", sparser, "#ee6677"), ("as it is", account, "#4477aa")):
    ax.ecdf(price(records, loihi).total / 1e6, color=shade, label=name)
ax.set(xlabel="energy on loihi [µJ]", ylabel="share of 1000 chips below")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Every chip there is

# %%
table = joulax.evaluate(account, duration=0.05).sorted()
ax = joulax.plot.chips(table, top=3)

# %% [markdown]
# ## Which price matters?

# %%
ax = joulax.plot.tornado(b)

# %%
assert energies.shape == (1000,)
