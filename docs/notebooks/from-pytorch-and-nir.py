# %% [markdown]
# # From PyTorch and NIR
#
# One network, three doors: counted in PyTorch as it runs; loaded from its NIR graph and run in JAX;
# never run at all, from its graph and the spikes that somebody recorded. All three give the same
# account, to the last operation.
#
# Needs `pip install torch snntorch nir`.

# %%
# %config InlineBackend.figure_formats = ["svg"]
import jax
import jax.numpy as jnp
import nir
import numpy as np
import snntorch
import torch

import joulax

# %% [markdown]
# ## A network of snnTorch
#
# Sixteen inputs, 32 leaky neurons, four more; 50 steps of 1 ms, two samples.


# %%
class Net(torch.nn.Module):
    """Two layers of leaky neurons."""

    def __init__(self, beta=0.9):
        super().__init__()
        self.hidden = torch.nn.Linear(16, 32, bias=False)
        self.readout = torch.nn.Linear(32, 4, bias=False)
        self.fire, self.out = snntorch.Leaky(beta=beta), snntorch.Leaky(beta=beta)
        self.recorded = []

    def forward(self, x):
        """Spikes of the readout; `x` is (time, batch, inputs)."""
        u, v = self.fire.init_leaky(), self.out.init_leaky()
        self.recorded = []
        for now in x:
            spikes, u = self.fire(self.hidden(now), u)
            last, v = self.out(self.readout(spikes), v)
            self.recorded.append((spikes, last))
        return torch.stack([last for _, last in self.recorded])


torch.manual_seed(0)
net = Net()
with torch.no_grad():
    for layer in (net.hidden, net.readout):
        layer.weight.mul_(4)
x = (torch.rand(50, 2, 16) < 0.3).float()

with torch.no_grad():
    output, in_torch = joulax.torch.count(net, spikes=0)(x)
in_torch

# %% [markdown]
# The report and everything else behind the account is what JAX programs have:

# %%
joulax.report(joulax.energy(in_torch, joulax.hardware("loihi")))

# %% [markdown]
# ## Its graph in NIR
#
# A leak of 0.9 a step of 1 ms is a time constant of 10 ms; `r` makes an input count as it is.

# %%
dt, tau = 1e-3, 1e-2
weights = {name: getattr(net, name).weight.detach().numpy() for name in ("hidden", "readout")}


def leaky(size):
    """A neuron of snnTorch in the terms of NIR."""
    whole = lambda value: np.full(size, value, np.float32)
    return nir.LIF(
        tau=whole(tau), r=whole(tau / dt), v_leak=whole(0), v_threshold=whole(1), v_reset=whole(0)
    )


graph = nir.NIRGraph(
    nodes={
        "input": nir.Input({"input": np.array([16])}),
        "hidden": nir.Linear(weights["hidden"]),
        "fire": leaky(32),
        "readout": nir.Linear(weights["readout"]),
        "out": leaky(4),
        "output": nir.Output({"output": np.array([4])}),
    },
    edges=[
        ("input", "hidden"),
        ("hidden", "fire"),
        ("fire", "readout"),
        ("readout", "out"),
        ("out", "output"),
    ],
)

# %% [markdown]
# A graph says neither how long a step is nor how a neuron is reset, so you say both. snnTorch
# subtracts the threshold, one step late.

# %%
model = joulax.nir.load(graph, dt=dt, reset="subtract", delayed=True)
samples = jnp.asarray(x.numpy()).swapaxes(0, 1)  # one recording after another
_, in_jax = jax.vmap(joulax.count(model, spikes=0))(samples)
in_jax

# %% [markdown]
# Now it is a JAX program: a thousand chips are one more axis, and energy has a gradient.

# %%
joulax.evaluate(in_jax, ["loihi", "spinnaker2", "45nm"])

# %% [markdown]
# ## Its recordings
#
# Spikes of a chip or of another simulator, with the graph, are an account; nothing is simulated.

# %%
spikes = {
    "input": np.swapaxes(x.numpy(), 0, 1),
    "fire": np.stack([s.numpy() for s, _ in net.recorded], 1),
    "out": np.stack([s.numpy() for _, s in net.recorded], 1),
}
in_recordings = joulax.nir.account(graph, spikes)
in_recordings

# %% [markdown]
# Without its input, the recording is a lower bound, and everything printed says so:

# %%
joulax.nir.account(graph, {k: v for k, v in spikes.items() if k != "input"})

# %%
for field in ("ac", "dense_ac", "spikes", "updates"):
    for layer in ("hidden", "readout"):
        counts = [
            float(jnp.sum(getattr(account[layer], field)))
            for account in (in_torch, in_jax, in_recordings)
        ]
        assert counts[0] == counts[1] == counts[2], (layer, field, counts)
