"""Counting against the peers: one process, one core, the same network, weights and data.

    python benchmarks/peers.py [--rounds N] [--json FILE]

784-512-512-10 with leaky integrate-and-fire neurons, forward passes. Every library runs the
network plain and counted, with its own neurons; the ratio is to its own plain network, the absolute
times stand beside. Those that are not installed are left out (torch, sinabs, spikingjelly,
neurobench with snntorch; sc-neurocore for the accountants).
"""

import argparse
import importlib.util

import paired  # first: it pins the process  # isort: skip

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import zoo

import joulax

SIZES = (784, 512, 512, 10)


def joulax_runs(model, x):
    """The network as one scan and a layer at a time, compiled."""
    runs = {}
    for name, kind in (("JAX", zoo.SNN), ("JAX, a layer at a time", zoo.Hoisted)):
        arrays, rest = eqx.partition(kind(model.layers), eqx.is_array)
        plain = lambda m, x: jax.vmap(m)(x)
        counted = lambda m, x: jax.vmap(joulax.count(m, spikes=0))(x)
        for mode, f in (("plain", plain), ("joulax.count", counted)):
            of = jax.jit(lambda a, x, f=f, rest=rest: jax.tree.leaves(f(eqx.combine(a, rest), x)))
            runs[name, mode] = lambda of=of, a=arrays: jax.block_until_ready(of(a, x))
    return runs


def torch_linear(model):
    """The same weights in PyTorch."""
    import torch

    made = []
    for layer in model.layers:
        linear = torch.nn.Linear(layer.in_features, layer.out_features)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(np.asarray(layer.weight)))
            linear.bias.copy_(torch.tensor(np.asarray(layer.bias)))
        made.append(linear)
    return made


def interlaced(layers, neuron):
    """Layers with neurons after each."""
    import torch

    return torch.nn.Sequential(*(m for layer in layers for m in (layer, neuron())))


def sinabs_runs(model, x):
    """Sinabs: its analyzer, by hooks."""
    import sinabs
    import sinabs.layers
    import torch

    def network():
        return interlaced(torch_linear(model), lambda: sinabs.layers.LIF(tau_mem=10.0))

    def call(net):
        sinabs.reset_states(net)
        with torch.no_grad():
            return net(data)

    data = torch.tensor(x)
    plain, hooked = network(), network()
    analyzer = sinabs.SNNAnalyzer(hooked)

    def counted():
        analyzer.reset()
        call(hooked)
        return analyzer.get_model_statistics(average=True)

    return {("Sinabs", "plain"): lambda: call(plain), ("Sinabs", "SNNAnalyzer"): counted}


def spikingjelly_runs(model, x):
    """SpikingJelly: its counter of synaptic operations, by dispatch."""
    import torch
    from spikingjelly.activation_based import functional, neuron
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

    data = torch.tensor(x.transpose(1, 0, 2).copy())
    net = interlaced(torch_linear(model), lambda: neuron.LIFNode(step_mode="m"))

    def call():
        functional.reset_net(net)
        with torch.no_grad():
            return net(data)

    def counted():
        counter = SynOpCounter()
        with DispatchCounterMode([counter]):
            call()
        return counter.get_total()

    return {("SpikingJelly", "plain"): call, ("SpikingJelly", "SynOpCounter"): counted}


def neurobench_runs(model, x):
    """NeuroBench with snnTorch: a benchmark with and without synaptic operations."""
    import snntorch
    import torch
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.workload import SynapticOperations
    from neurobench.models import SNNTorchModel

    leaky = lambda: snntorch.Leaky(beta=0.9, init_hidden=True)
    data = torch.utils.data.TensorDataset(torch.tensor(x), torch.zeros(len(x)))
    loader = torch.utils.data.DataLoader(data, batch_size=len(x))
    net = interlaced(torch_linear(model), leaky)
    net[-1].output = True  # spikes and membrane, as the wrapper expects
    wrapped = SNNTorchModel(net)

    def run(metrics):
        with torch.no_grad():
            return Benchmark(wrapped, loader, [], [], [[], metrics]).run(quiet=True, verbose=False)

    return {
        ("NeuroBench", "no metrics"): lambda: run([]),
        ("NeuroBench", "SynapticOperations"): lambda: run([SynapticOperations]),
    }


def accountants():
    """The accountants: spike counts of a hundred layers to energies."""
    from sc_neurocore.energy_accounting.accountant import EnergyAccountant

    names = [f"layer {i}" for i in range(100)]
    sizes, spikes = [(64 + i, 65 + i) for i in range(100)], [10 * i for i in range(100)]
    given = dict(layer_names=names, layer_sizes=sizes, spike_counts=spikes, n_timesteps=100)
    theirs, ours = EnergyAccountant("loihi2"), joulax.EnergyAccountant("loihi2")
    return {
        "sc-neurocore": lambda: theirs.account(**given),
        "joulax.EnergyAccountant": lambda: ours.account(**given),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json")
    args = parser.parse_args()
    model = zoo.chain(SIZES, jax.random.key(0))
    x = np.random.default_rng(0).random((args.batch, args.steps, SIZES[0])) < 0.2
    x = x.astype(np.float32)
    runs = joulax_runs(model, jnp.asarray(x))
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
    peers = dict(sinabs=sinabs_runs, spikingjelly=spikingjelly_runs, neurobench=neurobench_runs)
    for package, make in peers.items():
        if importlib.util.find_spec(package):
            runs |= make(model, x)
    times = paired.interleaved(runs, args.rounds)
    found = {}
    for who in dict.fromkeys(library for library, _ in runs):
        own = {mode: t for (library, mode), t in times.items() if library == who}
        found[who] = paired.summary(own, next(iter(own)))
        paired.show(who, found[who])
    if importlib.util.find_spec("sc_neurocore"):
        times = paired.interleaved(accountants(), args.rounds)
        found["accountants"] = paired.summary(times, "sc-neurocore")
        paired.show("accountants, 100 layers", found["accountants"])
    paired.finish(args.json, found)


if __name__ == "__main__":
    main()
