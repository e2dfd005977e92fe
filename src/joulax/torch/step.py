"""What an operation of PyTorch makes of the kinds of its operands, by its name in ATen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .kinds import Birth, Events, Kind, Kinds, Parameter, analog, leaves_of
from .library import torch
from .tally import Tally

Tensor = Any
Rule = Callable[["Step"], Kind]


@dataclass(frozen=True)
class Step:
    """One executed operation."""

    func: Any
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    kinds: Kinds
    tally: Tally
    tensors: list[Tensor]

    @property
    def operands(self) -> list[Kind]:
        """Kinds of all tensors that enter."""
        return [self.kinds[t] for t in self.tensors]

    @property
    def events(self) -> list[Events]:
        """The operands that are spikes."""
        return [k for k in self.operands if isinstance(k, Events)]

    @property
    def spiking(self) -> bool:
        """Whether the data among the operands are spikes, all of them."""
        data = [k for k in self.operands if not isinstance(k, Parameter)]
        return bool(data) and all(isinstance(k, Events) for k in data)

    @property
    def value(self) -> Tensor:
        """The (first) result."""
        return self.out[0] if isinstance(self.out, tuple | list) else self.out

    @property
    def births(self) -> frozenset[Birth]:
        """Spikes of comparisons among the operands."""
        return frozenset().union(*(k.births for k in self.events))

    def other(self) -> Kind:
        """An analog result."""
        return analog(self.operands, f"{self.name} of spikes")


RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for operations of these names."""

    def register(made: Rule) -> Rule:
        for name in names:
            if name in RULES:
                raise ValueError(f"{name} has a rule already")
            RULES[name] = made
        return made

    return register


def kind_of(step: Step) -> Kind:
    """Kind of the result of an operation."""
    if all(isinstance(k, Parameter) for k in step.operands):
        return Parameter(leaves_of(step.operands))
    made = RULES.get(step.name)
    if made is not None:
        return made(step)
    pointwise = torch.Tag.pointwise in step.func.tags
    if leaves_of(step.operands) and not pointwise:
        step.tally.lose(f"{step.name} of data and weights")
    return step.other()
