# %% [markdown]
# # Train to a budget
#
# Energy is differentiable through the model's own surrogate gradient, so a budget is a
# constraint of training: its multiplier grows until the budget holds; there is no weight to tune.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import joulax
from joulax.neurons import LIF, LeakyReadout, Network

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = jnp.asarray(images[order] / 16, jnp.float32), jnp.asarray(labels[order])
STEPS = 8
phase = jnp.floor(jnp.arange(STEPS + 1)[:, None] * images[:, None] + 0.5)
spikes = jnp.diff(phase, axis=1)  # pixels as evenly spaced spikes: samples, steps, pixels
train, test = (spikes[:1440], labels[:1440]), (spikes[1440:], labels[1440:])

# %%
keys = jax.random.split(jax.random.key(0), 2)
model = Network(
    [
        eqx.nn.Linear(64, 96, key=keys[0]),
        LIF(),
        eqx.nn.Linear(96, 10, key=keys[1]),
        LeakyReadout(),
    ]
)
chip = joulax.hardware("loihi")
joulax.estimate(model, test[0], on="loihi", spikes=0)

# %% [markdown]
# ## The loss
#
# The task, and the constraint's term on the energy of the hidden spikes.

# %%
EPOCHS, BATCH = 24, 96
optimiser = optax.adam(3e-3)


def hidden(result):
    """What hidden spikes cost [pJ]: the output layer, without its updates."""
    spent = result.layers["layers[2]"]
    return spent.total - spent.neuron_update


@eqx.filter_jit
def step(model, state, multiplier, limit, x, y):
    """One step of training; `limit` may be None."""

    def loss(model):
        out, account = jax.vmap(joulax.count(model, spikes=0))(x)
        task = optax.softmax_cross_entropy_with_integer_labels(out.mean(1), y).mean()
        if limit is None:
            return task, multiplier
        spent = hidden(joulax.energy(account, chip)).mean()
        term, new = limit.update(spent, multiplier)
        return task + term, new

    gradients, multiplier = eqx.filter_grad(loss, has_aux=True)(model)
    updates, state = optimiser.update(gradients, state, model)
    return eqx.apply_updates(model, updates), state, multiplier


@eqx.filter_jit
def evaluate(model):
    """Accuracy and energy on the test digits."""
    out, account = jax.vmap(joulax.count(model, spikes=0))(test[0])
    return (out.mean(1).argmax(1) == test[1]).mean(), joulax.energy(account, chip)


def fit(model, limit, budget):
    """Train, with a monitor that leaves its last table."""
    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))
    multiplier = () if limit is None else limit.init()
    key = jax.random.key(1)
    with joulax.Monitor(epochs=EPOCHS, budget=budget) as monitor:
        for _ in range(EPOCHS):
            key, now = jax.random.split(key)
            for rows in jax.random.permutation(now, 1440).reshape(-1, BATCH):
                batch = train[0][rows], train[1][rows]
                model, state, multiplier = step(model, state, multiplier, limit, *batch)
            accuracy, result = evaluate(model)
            monitor.update(accuracy=accuracy, result=result, hidden=hidden(result).mean())
    return model, monitor


# %% [markdown]
# ## Freely

# %%
free, _ = fit(model, None, None)
accuracy, before = evaluate(free)

# %% [markdown]
# ## To a fifth of the hidden energy

# %%
goal = 0.2 * float(hidden(before).mean())
limit = joulax.constraint(goal, warmup=150, rate=0.05)
lean, monitor = fit(free, limit, float(before.total.mean()))

# %%
lean_accuracy, after = evaluate(lean)
print(f"accuracy {100 * float(accuracy):.1f} % → {100 * float(lean_accuracy):.1f} %")
joulax.report(before).diff(after, ("free", "to the budget"))

# %% [markdown]
# Only the hidden spikes were asked to become cheaper: synapses of the input and neuron updates
# dominate what is left, and the total says so.

# %%
ax = joulax.plot.layers({"free": before, "to the budget": after})

# %%
assert float(hidden(after).mean()) < 1.15 * goal
assert lean_accuracy > accuracy - 0.03
