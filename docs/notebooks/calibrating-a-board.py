# %% [markdown]
# # Calibrating a board
#
# Your chip has no sheet, or a sheet of another board. Measure a few networks that differ in what
# they do, and fit the prices; where the measurements are silent, the catalogue speaks.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import joulax

# %% [markdown]
# ## Measurements
#
# Ten networks, and the energy of one inference of each. Here they are simulated: a board whose
# accumulate costs 30 pJ and whose update costs 60 pJ, with 5 % noise.

# %%
rng = np.random.default_rng(0)
counts = [(10 ** rng.uniform(5, 6.5), 10 ** rng.uniform(3.5, 5.5)) for _ in range(10)]
accounts = [[joulax.activity(ac=a, updates=u)] for a, u in counts]
measured = np.array([30.0 * a + 60.0 * u for a, u in counts]) * rng.normal(1, 0.05, 10)

# %%
fit = joulax.calibrate(accounts, measured, "loihi", noise=0.05)
fit

# %% [markdown]
# ## Predicted against measured

# %%
predicted = np.array([float(joulax.energy(a, fit.chip).total) for a in accounts])
sheet = np.array([float(joulax.energy(a, joulax.hardware("loihi")).total) for a in accounts])
figure, ax = plt.subplots(figsize=(4.2, 4), layout="constrained")
line = [measured.min() / 1e6, measured.max() / 1e6]
ax.plot(line, line, color="#888888", lw=0.8)
ax.loglog(measured / 1e6, sheet / 1e6, "s", color="#ee6677", mfc="none", label="sheet")
ax.loglog(measured / 1e6, predicted / 1e6, "o", color="#4477aa", label="calibrated")
ticks = [4, 10, 20, 40, 60]
ax.set(xlabel="measured [µJ]", ylabel="predicted [µJ]", xticks=ticks, yticks=ticks)
ax.set(xticklabels=ticks, yticklabels=ticks)
ax.minorticks_off()
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## The uncertainty goes with it
#
# The covariance of the fit is carried into any account: a thousand chips drawn from it.

# %%
new = [joulax.activity(ac=5e5, updates=2e5)]
drawn = jax.vmap(joulax.energy, in_axes=(None, 0))(new, fit.sample(jax.random.key(0))).total
print(f"{float(drawn.mean()) / 1e6:.1f} ± {float(drawn.std()) / 1e6:.1f} µJ")

# %%
assert abs(float(fit.chip.costs.ac) - 30) < 3
assert abs(float(jnp.mean(drawn)) / 27e6 - 1) < 0.1
