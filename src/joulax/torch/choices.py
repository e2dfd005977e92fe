"""Births of spikes: comparisons, draws, tests, and constants that data choose."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from . import terms
from .arithmetic import moved, passes
from .kinds import Analog, Events, Kind, births_of, data_of, is_constant, owner_of
from .library import pytree, torch
from .memory import place_of
from .step import Step, activated, born, rule

Tensor = Any


@rule("gt", "ge", "lt", "le", "eq", "ne", "heaviside", "sign", "sgn", "bernoulli", "poisson")
def _birth(step: Step) -> Kind:
    """A comparison, or a draw: values in {−1, 0, 1}, but for `poisson`."""
    cause = f"a comparison ({step.name}) in module {step.tally.here!r}"
    made = Events(cause, unit=step.name != "poisson", source=owner_of(step.operands))
    value = step.value.detach().float().abs()
    data = [k for k in step.operands if isinstance(k, Analog)]
    if step.spiking:
        return replace(_compared(step, made, value), over=_over(step))
    floating = all(t.is_floating_point() for t in step.tensors)
    if data and floating:
        count = float(value.sum(dtype=torch.float64))
        made = replace(made, births=born(step, count, step.value.numel()))
    else:
        made = replace(made, births=births_of(step.operands))
    return replace(made, over=_over(step))


def _compared(step: Step, made: Events, value: Tensor) -> Events:
    """Spikes, or counts of them, against a number."""
    first = step.events[0]
    if step.name in ("sign", "sgn") or all(k.unit for k in step.events) or not step.births:
        made = replace(made, cause=first.cause, source=first.source)
        return replace(made, births=step.reborn(value))
    count = float(value.sum(dtype=torch.float64))
    return replace(made, births=born(step, count, step.value.numel()))


def _over(step: Step) -> Any:
    """What stands above the threshold where this is true, or below it."""
    first = step.args[0]
    if step.name not in ("gt", "ge", "lt", "le") or not isinstance(first, torch.Tensor):
        return None
    return place_of(first), step.name in ("gt", "ge")


@rule(
    *("logical_and", "logical_or", "logical_xor", "logical_not"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"),
)
def _logic(step: Step) -> Kind:
    if not step.spiking:
        births = births_of(step.operands)
        return Events(f"{step.name} in module {step.tally.here!r}", unit=True, births=births)
    first = step.events[0]
    births = step.reborn(step.value.float().abs(), pieces=not step.name.endswith("and"))
    return Events(first.cause, unit=True, births=births, source=first.source)


@rule("any", "all")
def _some(step: Step) -> Kind:
    """Whether any of several spikes."""
    cause = f"{step.name} in module {step.tally.here!r}"
    return Events(cause, unit=True, births=births_of(step.operands))


# -- constants that data choose -------------------------------------------------------------------


@rule("where", "masked_fill", "index_put", "scatter", "masked_scatter")
def _chosen(step: Step) -> Kind:
    """Values that are put where a mask or an index says."""
    controls, values = _sides(step)
    kinds = step.kinds.among(values)
    data, decide = data_of(kinds), data_of(step.kinds.among(controls))
    if step.name == "index_put" and True in step.args[3:4]:
        return _accumulated(step)
    if decide and all(is_constant(k) for k in kinds):
        return _placed(step, controls, values)
    if _is_activation(step, controls, values):
        return activated(step, step.kinds[values[0 if step.name == "where" else 1]])
    if not data:
        return step.other()
    if not step.spiking:
        return terms.beside(step)
    return _kept(step, data, decide)


def _accumulated(step: Step) -> Kind:
    return terms.by_hand(step, step.unsummed) if step.unsummed else step.other()


def _sides(step: Step) -> tuple[list[Tensor], list[Any]]:
    """What chooses, and what is chosen."""
    a: Any = step.args
    if step.name == "where":
        return [a[0]], list(a[1:3])
    if step.name == "scatter":
        value = a[3] if len(a) > 3 else step.kwargs.get("src", step.kwargs.get("value"))
        return [a[2]], [a[0], value]
    return [t for t in pytree.tree_leaves(a[1]) if t is not None], [a[0], a[2]]


def _magnitudes(values: list[Any]) -> set[float]:
    """The magnitudes among constants, but for zero; two stand for more."""
    found: set[float] = set()
    for value in values:
        there = torch.as_tensor(value).detach().float().abs().reshape(-1)
        there = there[there != 0]
        found |= {float(there.min()), float(there.max())} if there.numel() else set()
    return found


def _placed(step: Step, controls: list[Tensor], values: list[Any]) -> Kind:
    """Constants of one magnitude, where data say, are spikes."""
    kinds = step.kinds.among(controls)
    there = (step.value.detach() != 0).float()
    sizes = _magnitudes(values)
    masks = [k for k in kinds if isinstance(k, Events)]
    if masks:
        births = step.reborn(there)
        source = masks[0].source
        cause = masks[0].cause
    else:
        source, cause = owner_of(kinds), f"{step.name} by an index in module {step.tally.here!r}"
        births = born(step, float(there.sum(dtype=torch.float64)), step.value.numel())
    if len(sizes) > 1:
        return Analog(f"{step.name} between constants", births=births_of(masks) or births)
    unit = sizes <= {1.0}
    made = Events(cause, unit, births=births, source=source)
    return made if unit else made.beside(there, scale=sizes.pop())


def _is_activation(step: Step, controls: list[Tensor], values: list[Any]) -> bool:
    """Whether a current passes where it is above a threshold, and zero stands elsewhere."""
    if step.name not in ("where", "masked_fill") or len(values) != 2:
        return False
    mask = step.kinds[controls[0]]
    pairs = [(values[0], values[1], step.name == "where")]
    pairs += [(values[1], values[0], False)] if step.name == "where" else []
    return any(
        isinstance(x, torch.Tensor)
        and passes(mask, step.kinds[x], x, above)
        and not torch.count_nonzero(torch.as_tensor(zero))
        for x, zero, above in pairs
    )


def _kept(step: Step, data: Sequence[Kind], decide: Sequence[Kind]) -> Kind:
    """Spikes that a mask lets through."""
    made = moved(step)
    if not isinstance(made, Events) or not decide:
        return made
    spikes = [k for k in data if isinstance(k, Events)]
    unit = all(k.unit for k in spikes)
    events = step.value.detach().float().abs() if unit else (step.value.detach() != 0).float()
    return replace(made, unit=unit and made.companion is None, births=step.reborn(events))
