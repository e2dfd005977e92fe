"""Arithmetic and movement."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import terms
from .kinds import MADE, Analog, Events, Kind, births_of, data_of, leaves_of
from .library import torch
from .memory import place_of
from .step import Step, activated, rule

Tensor = Any
NOTHING = "nothing"

# -- nothing of the data but its shape ------------------------------------------------------------

SHAPES = (
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_zeros"),
    *("new_ones", "new_empty", "new_full", "new_empty_strided", "randint_like", "zero", "fill"),
    *("uniform", "normal", "random", "exponential"),
)


@rule(*SHAPES)
def _made(step: Step) -> Kind:
    """New values in the form of others."""
    del step
    return MADE


# -- factors --------------------------------------------------------------------------------------


@rule("mul", "div", "true_divide")
def _scaled(step: Step) -> Kind:
    """Spikes times a factor keep their events; times spikes they are where both are."""
    if any(isinstance(a, int | float) and a == 0 for a in step.args[1:2]):
        return _vanished(step)
    if step.kwargs.get("rounding_mode") is not None:
        return step.other()
    if not step.spiking:
        return terms.multiplied(step, _gated(step))
    made = _both(step) if len(step.events) == 2 else _by_factor(step)
    return terms.multiplied(step, made)


def _vanished(step: Step) -> Kind:
    """A value times zero: it adds nothing."""
    made = step.other()
    return replace(made, rest=NOTHING) if isinstance(made, Analog) else made


def _gated(step: Step) -> Kind:
    """A value times the test that it is above a threshold is an activation."""
    for spikes, value in (step.tensors, step.tensors[::-1]) if len(step.tensors) == 2 else ():
        if passes(step.kinds[spikes], step.kinds[value], value, True):
            return activated(step, step.kinds[value])
    return step.other()


def passes(mask: Kind, kind: Kind, value: Tensor, above: bool) -> bool:
    """Whether a mask lets a current through where it is above a threshold."""
    if not isinstance(mask, Events) or not isinstance(kind, Analog):
        return False
    return kind.current and mask.over == (place_of(value), above)


def _both(step: Step) -> Kind:
    """Spikes where two spike."""
    a, b = (step.kinds.events(t) for t in step.tensors)
    events = a * b
    made = replace(
        step.events[0], births=step.reborn(events), scale=_product(step), terms=(), over=None
    )
    return made if all(k.unit for k in step.events) else made.beside(events)


def _by_factor(step: Step) -> Kind:
    """Spikes times a factor, which ends them where it is zero."""
    spikes = next(t for t in step.tensors if isinstance(step.kinds[t], Events))
    if step.name != "mul" and step.args[0] is not spikes:
        return step.other()  # a factor over spikes
    factor: Any = next((a for a in step.args[:2] if a is not spikes), 1.0)
    size = torch.as_tensor(factor).detach().abs()
    exists, kind = size != 0, step.events[0]
    constant = kind.companion is None and not leaves_of(step.operands)
    if constant and torch.equal(size, exists.to(size.dtype)):
        return replace(kind, terms=())  # a mask: what is left are spikes as before
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


# -- sums -----------------------------------------------------------------------------------------


@rule("add", "sub")
def _added(step: Step) -> Kind:
    """Spikes at one scale add up; anything else that is added makes them analog."""
    if len(step.events) == 1 and _nothing_added(step):
        return _widened(step)
    found = _straight_through(step)
    if found is not None:
        return found
    if step.spiking and _one_scale(step):
        return _events_added(step)
    made = step.other()
    if isinstance(made, Analog):
        made = replace(made, rest=_rest(step))
    return terms.added(step, made)


def _nothing_added(step: Step) -> bool:
    """Whether the other operand is zero: the start of a counter."""
    if leaves_of(step.operands):
        return False
    return all(_is_nothing(step, a) for a in step.args[:2])


def _is_nothing(step: Step, a: Any) -> bool:
    kind = step.kinds[a] if isinstance(a, torch.Tensor) else MADE
    if isinstance(kind, Analog):
        return kind.rest is NOTHING
    return isinstance(kind, Events) or not torch.count_nonzero(torch.as_tensor(a))


def _widened(step: Step) -> Kind:
    spikes = step.events[0]
    if spikes.companion is None:
        return replace(spikes, over=None)
    tensor = next(t for t in step.tensors if isinstance(step.kinds[t], Events))
    return spikes.beside(step.kinds.events(tensor).expand(step.value.shape))


def _one_scale(step: Step) -> bool:
    scales = [k.scale for k in step.events]
    return len(scales) == 2 and scales[0] == scales[1] and step.kwargs.get("alpha", 1) in (1, -1)


def _events_added(step: Step) -> Kind:
    """Spikes that cancel are none; of one current they are one population."""
    first = step.events[0]
    if not isinstance(first.scale, int | float):
        a, b = (step.kinds.events(t) for t in step.tensors)
        return replace(first.beside(a + b), births=step.births, terms=())
    events = step.value.detach().float().abs() / abs(first.scale)
    births = step.reborn(events, pieces=True)
    made = replace(first, companion=None, unit=False, over=None, births=births, terms=())
    return made if first.scale == 1 else made.beside(events)


def _rest(step: Step) -> Any:
    """Spikes beside one other value, which may be taken away again."""
    if not _two_as_they_are(step):
        return None
    (a, b), (x, y) = step.operands, step.tensors
    if _bare(a) and isinstance(b, Analog):
        return a, y, _sign(step)
    if _bare(b) and isinstance(a, Analog) and step.name == "add":
        return b, x, 1
    return None


def _two_as_they_are(step: Step) -> bool:
    return len(step.tensors) == 2 and step.kwargs.get("alpha", 1) == 1


def _bare(kind: Kind) -> bool:
    """Whether a value is spikes, and its magnitude their events."""
    return isinstance(kind, Events) and kind.companion is None


def _sign(step: Step) -> int:
    return 1 if step.name == "add" else -1


def _straight_through(step: Step) -> Kind | None:
    """`(s − g) + g` is `s`, and `g − g` nothing: a surrogate that only has a gradient."""
    if not _two_as_they_are(step):
        return None
    (a, b), (x, y) = step.operands, step.tensors
    if step.name == "sub" and isinstance(a, Analog) and place_of(x) == place_of(y):
        return MADE
    pairs = [(a, y)] if step.name == "sub" else [(a, y), (b, x)]
    return next((s for k, t in pairs if (s := _left(step, k, t)) is not None), None)


def _left(step: Step, kind: Kind, other: Tensor) -> Events | None:
    """The spikes that are left where what was added to them is taken away again."""
    if not isinstance(kind, Analog) or not isinstance(kind.rest, tuple):
        return None
    spikes, value, sign = kind.rest
    return spikes if sign == -_sign(step) and _same(step, value, other) else None


def _same(step: Step, a: Tensor, b: Tensor) -> bool:
    """Whether two values are one, or the same function of one current, computed twice."""
    if place_of(a) == place_of(b):
        return True
    one, two = step.kinds[a], step.kinds[b]
    if not isinstance(one, Analog) or not isinstance(two, Analog) or one.owner is None:
        return False
    return one.owner == two.owner and torch.equal(a, b) and bool(torch.any(a))


@rule("rsub")
def _complement(step: Step) -> Kind:
    """`1 − s` is silent where `s` fires."""
    spikes = step.events[0] if step.spiking else None
    if spikes is None or step.args[1] != 1 or spikes.companion is not None or spikes.scale != 1:
        return step.other()
    events = step.value.detach().float().abs()
    births = step.reborn(events)
    return replace(spikes, births=births, over=None, terms=())


# -- functions ------------------------------------------------------------------------------------


@rule(
    *("gelu", "silu", "sigmoid", "tanh", "elu", "hardswish", "hardsigmoid", "softplus", "mish"),
    *("celu", "log_sigmoid_forward", "rrelu_with_noise", "hardshrink", "softshrink"),
)
def _activation(step: Step) -> Kind:
    """A nonlinearity on what a layer delivers; it makes values of spikes."""
    return activated(step, step.kinds[step.tensors[0]])


@rule("relu", "leaky_relu", "_prelu_kernel", "threshold", "hardtanh", "clamp")
@rule("clamp_min", "clamp_max")
def _clipped(step: Step) -> Kind:
    """A nonlinearity that keeps spikes where it keeps zero and one."""
    if not step.spiking:
        return activated(step, step.kinds[step.tensors[0]])
    low, high = _limits(step)
    if len(step.events) > 1 or low is None or low > 0 or high <= 0:
        return step.other()
    spikes, value = step.events[0], step.value.detach()
    if spikes.unit:
        there = (value != 0).float()
        births = step.reborn(there)
        if high >= 1:
            return replace(spikes, births=births, over=None)
        return spikes.beside(there, births=births, scale=high)
    if spikes.scale == 1.0:
        return replace(spikes, companion=None, unit=high == 1 and low >= -1, terms=(), over=None)
    return spikes.beside(step.kinds.events(step.tensors[0]) * (value != 0))


def _limits(step: Step) -> Any:
    """The smallest and the largest value that a function lets through; None where it is unsaid."""
    if step.name not in _LIMITS:
        return -math.inf, math.inf
    given = [*step.args[1:], *step.kwargs.values()]
    if any(isinstance(g, torch.Tensor) for g in given):
        return None, None
    return _LIMITS[step.name](*step.args[1:], **step.kwargs)


def _between(min: float | None = None, max: float | None = None) -> Any:
    return -math.inf if min is None else min, math.inf if max is None else max


def _below(max: float) -> Any:
    return -math.inf, max


def _above(threshold: float, value: float) -> Any:
    """A threshold below one passes spikes, if what it leaves elsewhere is zero."""
    return (0, math.inf) if value == 0 and 0 <= threshold < 1 else (None, None)


def _hard(min_val: float = -1, max_val: float = 1) -> Any:
    return min_val, max_val


_LIMITS: dict[str, Callable[..., Any]] = {
    "clamp": _between,
    "clamp_min": _between,
    "clamp_max": _below,
    "threshold": _above,
    "hardtanh": _hard,
}


@rule("glu")
def _glu(step: Step) -> Kind:
    return activated(step, step.kinds[step.tensors[0]])


@rule("abs", "neg", "pow", "square", "sqrt")
def _kept(step: Step) -> Kind:
    """Functions that keep zero keep events where the result is not zero."""
    if not step.spiking or len(step.events) > 1:
        made = step.other()
        return terms.added(step, made) if step.name == "neg" else made
    spikes = step.events[0]
    if spikes.companion is None and spikes.unit:
        return replace(spikes, over=None)
    same = spikes.companion is not None
    events = step.kinds.events(step.tensors[0])
    return spikes.beside(events * (step.value.detach() != 0)) if same else spikes


@rule("round", "floor", "ceil", "trunc", "nan_to_num")
def _whole(step: Step) -> Kind:
    """Spikes are whole numbers already."""
    if step.spiking and step.events[0].companion is None and step.events[0].scale == 1.0:
        return replace(step.events[0], over=None, terms=())
    return step.other()


# -- movement -------------------------------------------------------------------------------------

MOVEMENT = (
    *("clone", "_to_copy", "cat", "stack", "index", "index_select", "gather", "repeat", "flip"),
    *("roll", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "replication_pad2d"),
    *("replication_pad1d", "_unsafe_view", "pixel_shuffle", "pixel_unshuffle", "im2col", "tril"),
    *("triu", "repeat_interleave", "masked_select", "take", "upsample_nearest2d", "_reshape_copy"),
    *("upsample_nearest1d", "slice_scatter", "select_scatter", "unfold_copy", "view_copy", "rot90"),
    *("expand_copy", "permute_copy", "transpose_copy", "squeeze_copy", "unsqueeze_copy"),
    *("split_with_sizes_copy", "contiguous", "channel_shuffle", "_unsafe_index"),
    *("_unsafe_masked_index", "_to_sparse", "_to_dense", "_coalesce", "_to_sparse_csr"),
)


@rule(*MOVEMENT)
def moved(step: Step) -> Kind:
    """Values that move take their events with them."""
    floating = [t for t in step.tensors if t.is_floating_point()]
    if floating and not data_of(step.kinds.among(floating)):
        return _picked(step, floating[0])
    if not step.spiking:
        return terms.beside(step)
    spikes = replace(_as_one(step.events), births=step.births, over=_over(step))
    spikes = replace(spikes, terms=terms.moved(step))
    if all(k.companion is None for k in step.events):
        return spikes
    return spikes.beside(step.rerun(step.kinds.events))


def _as_one(events: list[Events]) -> Events:
    """Several spikes as those of one value: at one scale, if all have the same."""
    scales = {k.scale for k in events}
    scale = scales.pop() if len(scales) == 1 else object()
    return replace(events[0], scale=scale, unit=all(k.unit for k in events))


def _over(step: Step) -> Any:
    return step.events[0].over if step.name in ("clone", "_to_copy") else None


def _picked(step: Step, weight: Tensor) -> Kind:
    """Constants or rows of a weight that data pick."""
    made = step.other()
    if not isinstance(made, Analog):
        return made
    made = replace(made, births=births_of(step.operands))
    leaves = leaves_of([step.kinds[weight]])
    if not leaves:
        return made
    step.tally.read(leaves, step.value.numel())
    return replace(made, terms=terms.picked(step, weight))


@rule("scatter_add", "index_add", "scatter_reduce", "index_reduce")
def _scattered(step: Step) -> Kind:
    """Values that are added where an index says: products among them are synapses."""
    if step.name.endswith("reduce") and "sum" not in step.args and "add" not in step.args:
        return step.other()
    if step.unsummed:
        return terms.by_hand(step, step.unsummed)
    if leaves_of(step.operands):
        step.tally.lose(f"{step.name} of data and weights")
    if not step.spiking or len(step.events) != 1:
        return step.other()
    return step.events[0].beside(step.rerun(step.kinds.events), terms=())
