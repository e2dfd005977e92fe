"""Births of spikes, arithmetic and movement."""

import math
from dataclasses import replace
from typing import Any

from .kinds import Analog, Birth, Events, Kind, Parameter, Term, leaves_of
from .library import pytree, torch
from .step import Step, rule

Tensor = Any

# -- nothing of the data but its shape ------------------------------------------------------------


@rule(
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_zeros"),
    *("new_ones", "new_empty", "new_full", "new_empty_strided", "randint_like", "zero", "fill"),
    *("uniform", "normal", "random", "exponential"),
)
def _made(step: Step) -> Kind:
    """New values in the form of others."""
    del step
    return Parameter()


# -- spikes are born ------------------------------------------------------------------------------


@rule("gt", "ge", "lt", "le", "eq", "ne", "heaviside", "sign", "sgn", "bernoulli", "poisson")
def _birth(step: Step) -> Kind:
    """A comparison, or a draw: values in {−1, 0, 1}, but for `poisson`."""
    unit = step.name != "poisson"
    if step.spiking and step.name in ("sign", "sgn"):
        return replace(step.events[0], unit=True, companion=None, scale=1.0, terms=())
    cause = f"a comparison ({step.name}) in module {step.tally.here!r}"
    data = [k for k in step.operands if isinstance(k, Analog)]
    floating = all(t.is_floating_point() for t in step.tensors)
    births: frozenset[Birth] = frozenset()
    if data and floating and not step.tally.inside:
        owner = next((k.owner for k in data if k.owner is not None), None)
        count = float(step.value.detach().float().abs().sum(dtype=torch.float64))
        births = frozenset((Birth(owner, count, step.value.numel(), step.tally.here or "0"),))
    return Events(cause, unit=unit, births=births)


@rule(
    *("logical_and", "logical_or", "logical_xor", "logical_not"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"),
)
def _logic(step: Step) -> Kind:
    if not step.spiking:
        return Events(f"{step.name} in module {step.tally.here!r}", unit=True)
    return replace(step.events[0], births=step.births, companion=None, scale=1.0, terms=())


# -- arithmetic -----------------------------------------------------------------------------------


@rule("mul", "div", "true_divide")
def _scaled(step: Step) -> Kind:
    """Spikes times a factor keep their events; times spikes they are where both are."""
    if step.kwargs.get("rounding_mode") is not None or not step.spiking:
        return _with_term(step, step.other())
    return _both(step) if len(step.events) == 2 else _with_term(step, _by_factor(step))


def _both(step: Step) -> Kind:
    """Spikes where two spike."""
    made = replace(step.events[0], births=step.births, scale=_product(step), terms=())
    if all(k.unit for k in step.events):
        return made
    a, b = (step.kinds.events(t) for t in step.tensors)
    return made.beside(a * b)


def _by_factor(step: Step) -> Kind:
    """Spikes times a factor, which ends them where it is zero."""
    spikes = next(t for t in step.tensors if isinstance(step.kinds[t], Events))
    if step.name != "mul" and step.args[0] is not spikes:
        return step.other()  # a factor over spikes
    factor: Any = next((a for a in step.args[:2] if a is not spikes), 1.0)
    exists = (factor.detach() if isinstance(factor, torch.Tensor) else factor) != 0
    return step.events[0].beside(step.kinds.events(spikes) * exists, scale=_product(step))


def _product(step: Step) -> Any:
    """What the events of a product are scaled by: equal factors are one scale."""
    numbers = [a for a in step.args[:2] if isinstance(a, int | float)]
    scale: Any = step.events[0].scale
    if len(step.events) == 2:
        return scale if scale == step.events[1].scale == 1.0 else object()
    if numbers and isinstance(scale, int | float):
        return scale * numbers[0] if step.name == "mul" else scale / (numbers[0] or math.nan)
    return object()


def _with_term(step: Step, made: Kind) -> Kind:
    """Products with the elements of a weight are remembered until they are summed."""
    weights = [t for t in step.tensors if leaves_of([step.kinds[t]])]
    if len(step.tensors) != 2 or len(weights) != 1 or isinstance(made, Parameter):
        return made
    weight = weights[0]
    data = next(t for t in step.tensors if t is not weight)
    axes = frozenset(-1 - i for i, n in enumerate(reversed(weight.shape)) if n > 1)
    if not axes:
        return made
    leaves, exists = leaves_of([step.kinds[weight]]), weight.detach() != 0
    term = Term(leaves, axes, step.kinds[data], step.kinds.events(data), exists)
    return replace(made, terms=(term,))


@rule("add", "sub")
def _added(step: Step) -> Kind:
    """Spikes at one scale add up; anything else that is added makes them analog."""
    if step.spiking and len(step.events) == 1 and _is_nothing(step.args[1]):
        return step.events[0]
    if step.spiking and _one_scale(step):
        a, b = (step.kinds.events(t) for t in step.tensors)
        return replace(step.events[0].beside(a + b), births=step.births, terms=())
    terms = tuple(t for k in step.operands if not isinstance(k, Parameter) for t in k.terms)
    made = step.other()
    return replace(made, terms=terms) if isinstance(made, Analog) else made


def _is_nothing(added: Any) -> bool:
    return isinstance(added, int | float) and added == 0


def _one_scale(step: Step) -> bool:
    scales = [k.scale for k in step.events]
    return len(scales) == 2 and scales[0] == scales[1] and step.kwargs.get("alpha", 1) in (1, -1)


@rule("rsub")
def _complement(step: Step) -> Kind:
    """`1 − s` is silent where `s` fires."""
    if step.spiking and step.events[0].unit and step.args[1] == 1:
        return Events(step.events[0].cause, unit=True)
    return step.other()


ACTIVATIONS = (
    *("relu", "gelu", "silu", "sigmoid", "tanh", "leaky_relu", "elu", "hardtanh", "hardswish"),
    *("hardsigmoid", "softplus", "mish", "celu", "threshold", "clamp", "clamp_min", "clamp_max"),
    *("_prelu_kernel", "log_sigmoid_forward", "rrelu_with_noise"),
)


@rule(*ACTIVATIONS)
def _activation(step: Step) -> Kind:
    """A nonlinearity on what a layer delivers is a population of neurons."""
    if step.spiking:
        return _kept(step)
    kind = step.kinds[step.tensors[0]]
    if isinstance(kind, Analog) and kind.current and not step.tally.inside:
        step.tally.advance(kind.owner, step.value.numel(), step.tally.here)
        return Analog(f"an activation ({step.name}) in module {step.tally.here!r}")
    return step.other()


@rule("abs", "neg", "pow", "square", "sqrt")
def _kept(step: Step) -> Kind:
    """Functions that keep zero keep events where the result is not zero."""
    if not step.spiking or len(step.events) > 1:
        return step.other()
    spikes = step.events[0]
    if spikes.companion is None and spikes.unit:
        return spikes
    same = spikes.companion is not None
    events = step.kinds.events(step.tensors[0])
    return spikes.beside(events * (step.value.detach() != 0)) if same else spikes


# -- movement -------------------------------------------------------------------------------------

MOVEMENT = (
    *("clone", "_to_copy", "cat", "stack", "index", "index_select", "gather", "repeat", "flip"),
    *("roll", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "replication_pad2d"),
    *("replication_pad1d", "_unsafe_view", "pixel_shuffle", "pixel_unshuffle", "im2col", "tril"),
    *("triu", "repeat_interleave", "masked_select", "take", "upsample_nearest2d", "_reshape_copy"),
    *("upsample_nearest1d", "slice_scatter", "select_scatter", "unfold_copy", "view_copy", "rot90"),
    *("expand_copy", "permute_copy", "transpose_copy", "squeeze_copy", "unsqueeze_copy", "where"),
    *("split_with_sizes_copy", "contiguous", "channel_shuffle", "masked_fill", "scatter"),
    *("_unsafe_index", "_unsafe_masked_index"),
)


@rule(*MOVEMENT)
def _moved(step: Step) -> Kind:
    """Values that move take their events with them."""
    tensors = step.tensors[1:] if step.name == "where" else step.tensors
    kinds = [step.kinds[t] for t in tensors]
    data = [k for k in kinds if not isinstance(k, Parameter)]
    if not data:
        return Events(f"{step.name} by data", unit=True)
    moved = [k for k in data if isinstance(k, Events)]
    if len(moved) < len(data):
        return step.other()
    scale = moved[0].scale if len({k.scale for k in moved}) == 1 else object()
    unit = all(k.unit for k in step.events)
    spikes = replace(moved[0], scale=scale, births=step.births, unit=unit, terms=())
    if all(k.companion is None for k in step.events):
        return spikes
    return spikes.beside(_rerun(step))


def _rerun(step: Step) -> Tensor:
    """The same movement of the events."""

    def swap(a: Any) -> Any:
        moves = isinstance(a, torch.Tensor) and a.is_floating_point()
        return step.kinds.events(a) if moves else a

    args = pytree.tree_map(swap, step.args)
    kwargs = {k: v for k, v in step.kwargs.items() if k not in ("dtype", "layout", "device")}
    return args[0] if step.name in ("_to_copy", "clone") else step.func(*args, **kwargs)
