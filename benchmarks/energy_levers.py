# %% [markdown]
# # Digits: each lever alone, and all of them together
#
# The folds, baselines and teachers of `energy_digits.py`, one initialisation of every fold. From
# the 64-128-128-10 baseline of 16 steps one thing is changed at a time: its width, its steps, its
# hidden spikes, its synapses, the bits of its weights. *Together*: small and short, pruned, of few
# bits, stopped early. Every network is priced on two sheets: `loihi`, which charges the same for
# any width of weights, and 45 nm with the weights in a memory on the chip of the network's own
# size, where bits are a lever.

# %%
import functools
import json
import time

import numpy as np
from energy_chips import machines
from energy_digits import baselines, command, measured, row, runs, trained
from energy_others import rounded, spikes_alone
from energy_training import CHIP
from train_to_energy_target import STEPS

import joulax

WIDTHS, SHORTER = (64, 32, 16, 8), (8, 4, 2, 1)
PRUNED, QUIETER = (3, 6), (3, 10)  # target ÷ of all the energy, and of that of hidden spikes
LONG = 1500  # updates of networks of 16 steps; the baseline has 1100
BITS = (6, 5, 4, 3)
TOGETHER = ((20, 64, 4), (30, 64, 4), (50, 64, 3))  # target ÷, hidden neurons, steps
FEW = (8, 6, 5)  # bits of these
LOIHI, MEMORY = CHIP, "45 nm, weights on chip"


def sheets(sizes, bits):
    """The two chips, for matrices between layers of these sizes."""
    positions = sum(a * b for a, b in zip(sizes, sizes[1:], strict=False))
    chip = machines({"all": {"synapses": positions}}, bits)["weights on chip"]
    return {LOIHI: joulax.hardware(CHIP), MEMORY: chip}


class Levers:
    """Networks of every lever on the same folds; what the file has is not trained again."""

    def __init__(self, path, folds, updates):
        self.path, self.updates, self.chip = path, updates, joulax.hardware(CHIP)
        self.store = json.loads(path.read_text()) if path.exists() else {"cells": {}}
        self.data = runs(0, 1, folds)
        *self.free, self.wanted = baselines(self.data)
        self.spent = self.budgets(self.chip)
        on_memory = self.budgets(sheets((64, 128, 128, 10), 8)[MEMORY])
        self.goals = {LOIHI: self.spent, MEMORY: on_memory}
        self.store |= {"updates": updates, "digits": [r["test"].tolist() for r in self.data]}
        self.add("baseline", 1, lambda: (*self.free, (64, 128, 128, 10), STEPS), bits=8, full=True)

    def budgets(self, chip):
        """What the baselines spend on their training digits [pJ]."""
        found = measured(*self.free, self.data, 0, STEPS, chip)
        return np.array([e.sum(1).mean() for _, e in found])

    def add(self, kind, setting, make, *, bits=8, full=False, stops=False):
        """The cell of one setting of a lever: its rows on both sheets."""
        name = f"{kind}, {setting}"
        if name in self.store["cells"]:
            return
        began = time.perf_counter()
        arrays, rest, sizes, steps = make()
        arrays = arrays if full else rounded(arrays, bits)
        cell = {"kind": kind, "setting": setting, "bits": bits, "steps": steps}
        for sheet, chip in sheets(sizes, bits).items():
            goals = self.goals[sheet] if stops else None
            cell[sheet] = row(self.data, arrays, rest, steps, chip, goals)["runs"]
        self.store["cells"][name] = cell
        self.path.write_text(json.dumps(self.store))
        runs_ = cell[MEMORY]
        right = 100 * np.mean([r["right"].count("1") / len(r["right"]) for r in runs_])
        spent = [np.mean([r["energy"] for r in cell[s]]) for s in (LOIHI, MEMORY)]
        took = time.perf_counter() - began
        print(f"{name}: {right:.2f} %, {spent[0]:.4g}, {spent[1]:.4g} pJ; {took:.0f} s", flush=True)

    def network(self, divisor, hidden, steps):
        """Networks of every fold, dense or pruned to a target."""
        goals = None if divisor is None else self.spent / divisor
        updates = min(self.updates, LONG) if steps == STEPS else self.updates
        setting = self.data, self.wanted, goals, hidden, steps, updates, self.chip
        arrays, _, rest = trained(*setting)
        return arrays, rest, (64, *hidden, 10), steps

    def quieter(self, divisor):
        """The baselines, their hidden spikes under a constraint."""
        setting = self.wanted, divisor, min(self.updates, LONG), self.chip
        arrays = spikes_alone(self.data, *self.free, *setting)
        return arrays, self.free[1], (64, 128, 128, 10), STEPS


def main(argv=None):
    """Train all cells that the file does not have."""
    args = command("Accuracy against all the energy, by lever.", "energy_levers").parse_args(argv)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    levers, most = Levers(args.out, args.folds, args.updates), args.cells
    free = lambda: (*levers.free, (64, 128, 128, 10), STEPS)
    for bits in BITS[:most]:
        levers.add("bits", bits, free, bits=bits)
    for setting in TOGETHER[:most]:
        made = functools.cache(lambda s=setting: levers.network(s[0], s[1:2], s[2]))
        for bits in FEW:
            levers.add("together", [*setting, bits], made, bits=bits, stops=True)
    for steps in SHORTER[:most]:
        levers.add("steps", steps, lambda t=steps: levers.network(None, (128, 128), t))
    for width in WIDTHS[:most]:
        levers.add("width", width, lambda n=width: levers.network(None, (n, n), STEPS))
    for divisor in QUIETER[:most]:
        levers.add("spikes", divisor, lambda d=divisor: levers.quieter(d))
    for divisor in PRUNED[:most]:
        levers.add("synapses", divisor, lambda d=divisor: levers.network(d, (128, 128), STEPS))


if __name__ == "__main__":
    main()
