# %% [markdown]
# # Speech under a limit on the worst step
#
# The recurrent networks of `energy_vowels.py`, at a tenth of the baseline's energy, trained on
# under a limit on their most expensive time step: a tenth of the baseline's too. The constraint
# makes spikes fewer where many come together, and every twenty updates synapses go as far as
# spikes did not suffice. Two controls are trained on for as long without the limit: one at the
# same tenth, one pruned to the total that the limited network ends with.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from energy_training import CHIP, STEP, Shrinking, every_seed, measured, shrunk
from energy_vowels import Speech, begun
from jaxtyping import Array
from train_to_energy_target import masked

import joulax

TENTH = 10  # of the baseline's energy, and of its worst step
CELLS = ((32, 2), (24, 2), (16, 2))  # neurons, every how many frames
WHOLE = (16, 1)  # with every frame updates take half: shown once
SQUEEZED = 0.5  # share of the updates in which the limit falls to where it stays


def worst_step(model, x):
    """Mean over samples of the energy of the worst step [pJ]; its slope is a smooth one."""
    chip = joulax.hardware(CHIP)
    account = jax.vmap(joulax.count(model, spikes=0, steps=x.shape[1]))(x)[1]
    energies = jax.vmap(lambda a: joulax.energy(a, chip, STEP, batch=1).total)(account)
    smooth = joulax.losses.worst(energies, axis=1)
    return (smooth * jax.lax.stop_gradient(energies.max(1) / smooth)).mean()


class Limited(eqx.Module):
    """Training on within a goal, the worst step under a limit; `limit=None`: without one."""

    shrinking: Shrinking
    limit: Array | None  # [pJ]
    goal: Array  # for all the energy [pJ]

    @property
    def _constraint(self):
        return joulax.constraint(self.limit, warmup=int(SQUEEZED * self.shrinking.updates))

    def init(self, arrays):
        """Weights, masks, Adam's state, average weights, multiplier, number of rounds."""
        masks = jax.tree.map(lambda a: (a != 0) | (a.ndim < 2), arrays)
        multiplier = () if self.limit is None else self._constraint.init()
        state = self.shrinking._optimiser.init(arrays)
        return arrays, masks, state, arrays, multiplier, jnp.zeros((), jnp.int32)

    def loss(self, arrays, x, wanted, multiplier):
        """Cross-entropy, and the constraint's term."""
        model = eqx.combine(arrays, self.shrinking.rest)
        task = optax.softmax_cross_entropy(jax.vmap(model)(x), wanted).mean()
        if self.limit is None:
            return task, multiplier
        term, multiplier = self._constraint.update(worst_step(model, x), multiplier)
        return task + term, multiplier

    def budget(self, arrays, x, multiplier, k):
        """What all the energy may be [pJ]: less, if the worst step is above its limit."""
        spent = self.shrinking.spent(arrays, x)
        part = jnp.minimum((k + 1) / (SQUEEZED * self.shrinking.rounds), 1)
        falling = spent * jnp.minimum(self.goal / spent, 1) ** part
        if self.limit is None:
            return falling
        peak = worst_step(eqx.combine(arrays, self.shrinking.rest), x)
        return jnp.minimum(falling, spent * self._constraint.budget(multiplier) / peak)

    def round(self, carry, x, wanted, key):
        """Some updates, and a cut to the budget."""
        arrays, masks, state, average, multiplier, k = carry
        late = k >= SQUEEZED * self.shrinking.rounds
        weight = jnp.where(late, 0.995, 0.0)  # of the past in the average

        def update(carry, key):
            arrays, state, average, multiplier = carry
            rows = jax.random.randint(key, (self.shrinking.batch,), 0, len(x))
            slope = jax.grad(self.loss, has_aux=True)
            grads, multiplier = slope(arrays, x[rows], wanted[rows], multiplier)
            updates, state = self.shrinking._optimiser.update(masked(grads, masks), state)
            arrays = masked(optax.apply_updates(arrays, updates), masks)
            average = jax.tree.map(lambda a, b: weight * a + (1 - weight) * b, average, arrays)
            return (arrays, state, average, multiplier), None

        keys = jax.random.split(key, self.shrinking.every)
        carry, _ = jax.lax.scan(update, (arrays, state, average, multiplier), keys)
        arrays, state, average, multiplier = carry
        budget = self.budget(arrays, x, multiplier, k)
        masks = self.shrinking.cut(arrays, masks, state, x, budget)
        return masked(arrays, masks), masks, state, average, multiplier, k + 1


def trained_on(model, x, wanted, goal, limit, *, updates, batch, key, rate=2e-3):
    """A lean network trained on, its worst step under a limit [pJ]."""
    arrays, rest = eqx.partition(model, eqx.is_array)
    options = dict(updates=updates, batch=batch, rate=rate)
    shrinking = Shrinking(rest, joulax.hardware(CHIP), x.shape[1] * STEP, **options)
    number = lambda pj: None if pj is None else jnp.asarray(pj, jnp.float32)
    training = Limited(shrinking, number(limit), number(goal))
    return eqx.combine(_rounds(training, arrays, x, wanted, key), rest)


@eqx.filter_jit
def _rounds(training, arrays, x, wanted, key):
    advance = lambda c, k: (training.round(c, x, wanted, k), None)
    keys = jax.random.split(key, training.shrinking.rounds)
    _, masks, _, average, *_ = jax.lax.scan(advance, training.init(arrays), keys)[0]
    return masked(average, masks)


def one_seed(store, seed, updates):
    """Baseline, and lean networks of one seed with and without the limit."""
    (x, y), (x_test, y_test), wanted, base, (build, second) = begun(store, seed, updates)
    start = measured(base, x, y)
    goal, peak = start["energy"] / TENTH, start["worst_step"] / TENTH
    for neurons, every in CELLS if seed else (*CELLS, WHOLE):
        cut, options = x[:, ::every], dict(updates=updates, batch=64, key=second)
        name = lambda word, n=neurons, e=every: (
            f"{n} neurons, every {e} frames, {word}, seed {seed}"
        )
        if name("as cheap without") in store.rows:
            continue
        lean = shrunk(Speech(neurons, build), cut, wanted, cut, goal, **options)

        def made(word, goal, limit, lean=lean, cut=cut, every=every, options=options):
            model = trained_on(lean, cut, wanted, goal, limit, **options)
            trained = measured(model, cut, y)
            of = lambda: (
                measured(model, x_test[:, ::every], y_test)
                | {"met": [trained["energy"] / goal, trained["worst_step"] / peak]}
            )
            store.made(word, of)
            return trained["energy"]

        made(name("no limit"), goal, None)
        spent = made(name("limit"), goal, peak)
        made(name("as cheap without"), spent, None)


main = every_seed("A limit on the worst step, on speech.", "energy_peaks", one_seed, updates=2000)

if __name__ == "__main__":
    main()
