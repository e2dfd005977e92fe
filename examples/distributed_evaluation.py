# %% [markdown]
# # A data set on several processes
#
# Every process counts its own share of the batches and keeps a state file; at the end the exact
# sums are gathered by JAX itself. On two machines, or twice on one:
#
#     python examples/distributed_evaluation.py --process 0 --processes 2 --coordinator HOST:1234
#     python examples/distributed_evaluation.py --process 1 --processes 2 --coordinator HOST:1234
#
# If a process dies, the others stop with an error within a minute and no total is printed. Started
# again, all go on where their state files end.

# %%
import argparse
import itertools
import pathlib
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

import joulax

SILENCE = 20  # seconds after which a process that says nothing is dead
CHIPS = ["loihi", "spinnaker"]


class SNN(eqx.Module):
    """64-128-10, leaky integrate-and-fire."""

    layers: list

    def __init__(self, key):
        a, b = jax.random.split(key)
        self.layers = [eqx.nn.Linear(64, 128, key=a), eqx.nn.Linear(128, 10, key=b)]

    def __call__(self, x):
        def step(state, x):
            voltages = []
            for layer, v in zip(self.layers, state, strict=True):
                v = 0.9 * v + layer(x)
                x = (v > 1).astype(v.dtype)
                voltages.append(v - x)
            return voltages, x

        return jax.lax.scan(step, [jnp.zeros(128), jnp.zeros(10)], x)[1].sum(0)


# %% [markdown]
# ## The share of one process
#
# Every n-th batch; here a batch is made from its number, elsewhere it would be read from a disk.


# %%
def share(first, processes, batches, pause):
    """Batches of one process."""
    for number in itertools.islice(
        itertools.count(first, processes), -(-(batches - first) // processes)
    ):
        time.sleep(pause)  # as slow as a disk
        spikes = np.random.default_rng(number).random((16, 20, 64)) < 0.2
        yield jnp.asarray(spikes, jnp.float32)


def gathered(found):
    """Exact totals of all processes: Python integers as limbs of 16 bits, summed as integers."""
    places = [(layer, field) for layer, fields in found.totals.items() for field in fields]
    numbers = [found.samples, *(found.totals[layer][field] for layer, field in places)]
    limbs = np.array([[n >> (16 * k) & 0xFFFF for k in range(4)] for n in numbers], np.int32)
    everywhere = np.asarray(multihost_utils.process_allgather(limbs)).reshape(-1, *limbs.shape)
    samples, *sums = [
        sum(int(limb) << (16 * k) for part in everywhere for k, limb in enumerate(part[i]))
        for i in range(len(numbers))
    ]
    energies = np.array([found.energies[chip].total for chip in CHIPS], np.float32)
    energies = np.asarray(multihost_utils.process_allgather(energies)).reshape(-1, len(CHIPS))
    return samples, dict(zip(places, sums, strict=True)), energies.sum(0) / samples


# %%
def main():
    parser = argparse.ArgumentParser(description="A data set on several processes.")
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--coordinator", help="host:port of process 0")
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--state", type=pathlib.Path, help="folder of the state files")
    args = parser.parse_args()
    if args.processes > 1:
        jax.distributed.initialize(
            args.coordinator, args.processes, args.process, heartbeat_timeout_seconds=SILENCE
        )
    model = SNN(jax.random.key(0))
    file = args.state and args.state / f"share-{args.process}-of-{args.processes}"
    batches = share(args.process, args.processes, args.batches, args.pause)
    found = joulax.evaluate_dataset(model, batches, on=CHIPS, spikes=0, state=file, every=1)
    samples, totals, energies = gathered(found)
    if args.process == 0:
        print(f"{samples} samples")
        for (layer, field), number in totals.items():
            print(f"{layer} {field} {number}")
        for chip, energy in zip(CHIPS, energies, strict=True):
            print(f"{chip}: {energy / 1e3:.4g} nJ a sample")
        assert samples == 16 * args.batches, "every batch is counted once"
        assert totals["layers[0]", "updates"] == samples * 20 * 128


if __name__ == "__main__":
    main()
