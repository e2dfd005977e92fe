"""What an operation of PyTorch makes of the kinds of its operands, by its name in ATen."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .kinds import (
    Analog,
    Birth,
    Births,
    Events,
    Kind,
    Owner,
    Parameter,
    Term,
    analog,
    births_of,
    data_of,
    leaves_of,
    owner_of,
    past_of,
)
from .library import pytree, torch
from .memory import Kinds
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
        return self.kinds.among(self.tensors)

    @property
    def data(self) -> list[Events | Analog]:
        """The operands that data enter."""
        return data_of(self.operands)

    @property
    def events(self) -> list[Events]:
        """The operands that are spikes."""
        return [k for k in self.operands if isinstance(k, Events)]

    @property
    def spiking(self) -> bool:
        """Whether the data among the operands are spikes, all of them."""
        data = self.data
        return bool(data) and all(isinstance(k, Events) for k in data)

    @property
    def terms(self) -> list[Term]:
        """Products behind the operands."""
        return [t for x in self.tensors for t in self.kinds.terms(x)]

    @property
    def unsummed(self) -> list[Term]:
        """The products behind the operands that nothing brought together yet."""
        return [t for t in self.terms if not t.counted]

    @property
    def value(self) -> Tensor:
        """The (first) result."""
        return self.out[0] if isinstance(self.out, tuple | list) else self.out

    @property
    def births(self) -> Births:
        """Neurons behind the spikes among the operands."""
        return births_of(self.events)

    def other(self) -> Kind:
        """An analog result."""
        return analog(self.operands, f"{self.name} of spikes")

    def reborn(self, events: Tensor, pieces: bool = False) -> Births:
        """Neurons behind spikes that met element by element: of one current, one population."""
        return combined(self.births, events, pieces)

    def rerun(self, swap: Callable[[Tensor], Tensor]) -> Tensor:
        """The same movement of what travels beside the operands."""

        def one(a: Any) -> Any:
            moves = isinstance(a, torch.Tensor) and a.is_floating_point()
            return swap(a) if moves else a

        args = pytree.tree_map(one, self.args)
        if self.name in ("masked_fill", "constant_pad_nd") and not isinstance(
            args[2], torch.Tensor
        ):
            args = (*args[:2], 0, *args[3:])
        kwargs = {k: v for k, v in self.kwargs.items() if k not in ("dtype", "layout", "device")}
        return args[0] if self.name in ("_to_copy", "clone") else self.func(*args, **kwargs)


def combined(births: Births, events: Tensor, pieces: bool = False) -> Births:
    """One population for the spikes of one current, with the events that are left of them.

    A mask that remembers their own past makes no spikes. With `pieces`, parts that fill the
    current together stay apart.
    """
    births = _senders(births)
    layers = {b.layer for b in births}
    if len(layers) != 1 or None in layers or max(b.size for b in births) != events.numel():
        return births
    if pieces and _apart(births):
        return births
    graded = float(torch.count_nonzero(events))
    spikes = float(events.sum(dtype=torch.float64))
    return frozenset((replace(_last(births), spikes=spikes, graded=graded),))


def _senders(births: Births) -> Births:
    """Neurons but for those of masks that remember the others' past."""
    layers = {b.layer for b in births if b.owner}
    return frozenset(b for b in births if b.owner or not b.past & layers)


def _last(births: Births) -> Birth:
    """The neurons that the latest evaluation of their layer feeds."""
    return max(births, key=lambda b: b.owner.serial if b.owner else 0)


def _apart(births: Births) -> bool:
    """Whether spikes of one layer are parts that stand beside each other in what it feeds."""
    if len({b.owner for b in births}) > 1:
        return True
    owner: Any = _last(births).owner
    return len(births) > 1 and sum(b.size for b in births) <= owner.size * owner.rows


def born(step: Step, count: float, size: int) -> Births:
    """Neurons whose spikes data decided; what fed them has arrived."""
    if step.tally.inside:
        return frozenset()
    kinds = step.operands
    owner, fed = owner_of(kinds), births_of(kinds)
    if owner is None:
        before = next((b.owner for b in fed if b.owner), None)
        owner = before and replace(before, layer=f"neurons in {step.tally.here!r}", order=10**6)
    step.tally.arrive(frozenset(b for b in fed if not owner or b.layer != owner.layer))
    where = step.tally.here or "0"
    return frozenset((Birth(owner, count, size, where, past=past_of(kinds)),))


def activated(step: Step, kind: Kind, size: int | None = None) -> Kind:
    """A nonlinearity on what a layer delivers is a population of neurons."""
    if not isinstance(kind, Analog) or not kind.current or step.tally.inside:
        return step.other()
    size = int(step.value.numel()) if size is None else size
    here = step.tally.here
    owner = kind.owner or Owner(here or step.name, 10**6, float(size), 1.0)
    step.tally.arrive(frozenset(b for b in kind.births if b.owner != owner))
    births = frozenset((Birth(owner, 0.0, size, here, fires=False),))
    cause = f"an activation ({step.name}) in module {here!r}"
    return Analog(cause, kind.owner, False, births)


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
        return Parameter(leaves_of(step.operands), repeats=_repeats(step))
    made = RULES.get(step.name)
    if made is not None:
        return made(step)
    if step.func.namespace not in ("aten", "prims"):
        step.tally.lose(f"{step.func} may hide synapses")
    elif torch.Tag.pointwise not in step.func.tags:
        if leaves_of(step.operands):
            step.tally.lose(f"{step.name} of data and weights")
        elif step.unsummed:
            step.tally.lose(f"{step.name} of weights times data")
    return step.other()


COPIES = ("clone", "_reshape_copy", "expand_copy", "repeat", "contiguous", "_to_copy")


def _repeats(step: Step) -> int:
    """How often each element of a leaf stands in a copy."""
    kinds = [k for k in step.operands if isinstance(k, Parameter)]
    most = max((k.repeats for k in kinds), default=1)
    if step.name not in COPIES or not step.tensors:
        return most if torch.Tag.pointwise in step.func.tags else 1
    return most * (step.value.numel() // max(distinct(step.tensors[0]), 1))


def distinct(tensor: Tensor) -> int:
    """Elements of a tensor that have a place of their own in memory."""
    if tensor.layout != torch.strided:
        return tensor.numel()
    places = zip(tensor.shape, tensor.stride(), strict=True)
    count = 1
    for n, stride in places:
        count *= n if stride else 1
    return count
