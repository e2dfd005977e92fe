"""Neuron modules of the libraries people use, known by their classes."""

from typing import Any

# Library: base classes of modules whose first output is spikes, and of those without spikes.
FIRING = {
    "snntorch": ("SpikingNeuron", "LeakyParallel", "LeakyKernel"),
    "spikingjelly": (
        *("BaseNode", "SimpleBaseNode", "DSRIFNode", "DSRLIFNode", "ILCBaseNode", "PSN"),
        *("NoisyBaseNode", "MaskedPSN", "SlidingPSN", "GatedLIFNode", "FewSpikeNode"),
        *("ActivationAwareIFNode", "STBIFNode", "FlexSN"),
    ),
    "norse": (
        *(
            "SNNCell",
            "SNNRecurrentCell",
            "SNN",
            "SNNRecurrent",
            "CobaLIFCell",
            "LIFMCRecurrentCell",
        ),
        *("LIFMCRefracRecurrentCell", "PoissonEncoder", "ConstantCurrentLIFEncoder"),
    ),
    "sinabs": ("StatefulLayer", "NeuromorphicReLU"),
    "lava": ("Neuron",),
}
SILENT = {
    "spikingjelly": ("NonSpikingBaseNode", "NoisyNonSpikingBaseNode"),
    "norse": ("LICell", "LI", "LILinearCell", "LIBoxCell", "ExpFilter"),
    "sinabs": ("ExpLeak",),
}


def fires(module: Any, more: tuple[type, ...]) -> bool | None:
    """Whether a module is a neuron that fires, one that only integrates, or none at all."""
    if isinstance(module, more):
        return True
    if _is(module, SILENT):
        return False
    return True if _is(module, FIRING) else None


def _is(module: Any, table: dict[str, tuple[str, ...]]) -> bool:
    return any(
        base.__name__ in table.get(base.__module__.split(".")[0], ())
        for base in type(module).__mro__
    )
