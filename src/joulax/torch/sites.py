"""Products of data with weights, and of data with data."""

from dataclasses import dataclass
from typing import Any

from .kinds import CONSTANT, Analog, Events, Kind, Parameter, births_of, leaves_of
from .library import torch
from .memory import Kinds, dense, stored
from .step import distinct
from .tally import Product, Tally, spoken

Tensor = Any


def matmul(kinds: Kinds, tally: Tally, name: str, a: Tensor, b: Tensor) -> Kind:
    """A product (…, i, k) times (…, k, j): Σ over k of events on one side times the other."""
    sides = kinds[a], kinds[b]
    w = _weight(sides)
    if w is not None:
        sides = _named(kinds, tally, (a, b), sides, w)
    form = _Form(*(_matrix(kinds, t, i) for i, t in enumerate((a, b))))
    if w is None:
        return _kind_without_weight(tally, name, sides, form)
    _gathered(kinds, tally, name, (a, b)[1 - w], sides[w])
    return weighted(tally, sides, w, form.product(name, w, sides[w], (a, b)[w]), (a, b)[1 - w])


@dataclass(frozen=True)
class _Form:
    """Events of both operands as matrices (…, i, k) and (…, k, j)."""

    a: Tensor
    b: Tensor

    def met(self, a: Tensor, b: Tensor) -> float:
        """Sum over all products."""
        left, right = a.sum(-2, dtype=torch.float64), b.sum(-1, dtype=torch.float64)
        return float((left * right).sum())

    @property
    def dense(self) -> float:
        """Products that there are places for."""
        return float(self.a.numel() * self.b.shape[-1])

    def product(self, name: str, w: int, kind: Kind, weight: Tensor) -> Product:
        """What the product amounts to with one side as the weight."""
        once = [(t != 0).float() for t in (self.a, self.b)]
        there = [self.a, self.b]
        there[w] = once[w]
        matrix = there[w]
        repeats = _repeats(kind, weight)
        synapses, free = matrix.numel() / repeats, there[1 - w].shape[-1 if w == 0 else -2]
        dense = self.dense
        if weight.layout != torch.strided:
            synapses = float(stored(weight).numel())
            dense = synapses * free
        inner, outs = matrix.shape[-1 if w == 0 else -2], matrix.shape[-2 if w == 0 else -1]
        batch = matrix.numel() / max(inner * outs, 1) / repeats
        return Product(
            name=name,
            count=self.met(*there),
            graded=self.met(*once),
            dense=dense,
            synapses=float(synapses),
            nonzero=float(once[w].sum(dtype=torch.float64)) / repeats,
            inputs=float(inner * batch),
            size=float(outs * batch),
            rows=float(free * repeats),
        )


def _matrix(kinds: Kinds, tensor: Tensor, place: int) -> Tensor:
    """Events of an operand, with two dimensions or more."""
    events = kinds.events(tensor)
    if tensor.ndim > 1:
        return events
    return events[None] if place == 0 else events[:, None]


def _repeats(kind: Kind, weight: Tensor) -> int:
    """How often each element of a weight stands in an operand."""
    if weight.layout != torch.strided:
        return 1
    before = kind.repeats if isinstance(kind, Parameter) else 1
    return before * (weight.numel() // max(distinct(weight), 1))


def _gathered(kinds: Kinds, tally: Tally, name: str, data: Tensor, weight: Kind) -> None:
    """A sum by hand that is written as a product with a constant."""
    unnamed = all(leaf.startswith("weight[") for leaf in leaves_of([weight]))
    if unnamed and any(not t.counted for t in kinds.terms(data)):
        tally.lose(f"weights times data, summed by a constant ({name})")


def convolution(kinds: Kinds, tally: Tally, name: str, args: tuple[Any, ...]) -> Kind:
    """`aten.convolution` in all its forms: dimensions, groups, dilation, transposed."""
    x, weight, _, *geometry = args
    sides = kinds[x], kinds[weight]
    if _weight(sides) is None:
        kinds_of_parameters = [k for k in sides if isinstance(k, Parameter)]
        if len(kinds_of_parameters) == 2:
            return Parameter(leaves_of(kinds_of_parameters))
        tally.lose(f"a convolution of data with data ({name})")
        return Analog("a convolution of data with data")

    sides = _named(kinds, tally, (x, weight), sides, 1)

    def run(a: Tensor, b: Tensor) -> float:
        made = torch.convolution(a, b, None, *geometry)
        whole = bool(torch.equal(a, a.round()))  # fast algorithms are off by a rounding
        return float((made.round() if whole else made).sum(dtype=torch.float64))

    exists = (weight.detach() != 0).float()
    events = kinds.events(x).float()
    everywhere = torch.ones_like(events[:1])
    positions = tally.once(
        (name, x.shape[1:], weight.shape, str(geometry)),
        lambda: run(everywhere, torch.ones_like(exists)),
    )
    size = torch.convolution(events[:1].to("meta"), exists.to("meta"), None, *geometry).numel()
    product = Product(
        name=name,
        count=run(events, exists),
        graded=run((events != 0).float(), exists),
        dense=positions * len(x),
        synapses=positions,
        nonzero=run(everywhere, exists),
        inputs=float(x[0].numel()),
        size=float(size),
        rows=float(len(x)),
    )
    return weighted(tally, sides, 1, product, x)


def weighted(
    tally: Tally, sides: tuple[Kind, Kind], w: int, product: Product, value: Tensor
) -> Kind:
    """Note a product with weights: of data, or of something that may become data."""
    data, weight = sides[1 - w], sides[w]
    leaves = leaves_of([weight])
    if isinstance(data, Parameter):
        if not data.leaves and not data.made and torch.count_nonzero(dense(value.detach())):
            tally.lose(
                f"a weight ({spoken(leaves)}) meets a tensor that is no argument, parameter or "
                "buffer and was not made in this call: is it data? Pass it as an argument;"
            )
        tally.wait(leaves, product)
        return Parameter(leaves | data.leaves)
    layer = tally.site(leaves, product, data)
    owner = tally.owner(layer, product.size, product.rows)
    return Analog(f"the current of {spoken(layer)}", owner, True)


def attention(
    kinds: Kinds, tally: Tally, name: str, args: tuple[Any, ...], options: dict[str, Any]
) -> Kind:
    """Scaled dot-product attention in one operation: queries with keys, weights with values.

    A causal mask makes zeros of the weights of later keys; queries may share heads of keys.
    """
    query, key, value = args[:3]
    sides = [kinds[t] for t in (query, key, value)]
    shared = query.shape[1] // key.shape[1]
    wide = lambda t: kinds.events(t).repeat_interleave(shared, 1)
    form = _Form(kinds.events(query), wide(key).transpose(-1, -2))
    _kind_without_weight(tally, f"{name}: queries and keys", (sides[0], sides[1]), form)
    weights = torch.ones(query.shape[:-1] + key.shape[-2:-1], device=query.device)
    if _is_causal(name, args, options):
        weights = weights.tril()
    events = wide(value)
    form, spiking = _Form(weights, events), isinstance(sides[2], Events)
    product = Product(
        name=f"{name}: weights and values",
        count=form.met(weights, events if spiking else (events != 0).float()),
        graded=form.met(weights, (events != 0).float()),
        dense=form.dense,
    )
    tally.pair(product, sides[2] if spiking else Analog("softmax"), births_of(sides))
    return Analog("attention")


def _is_causal(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether later keys are masked, by the place of the option in each form."""
    if "is_causal" in options:
        return bool(options["is_causal"])
    place = 5 if "math" in name or "efficient" in name or "overrideable" in name else 4
    return len(args) > place and args[place] is True


def _named(
    kinds: Kinds, tally: Tally, both: tuple[Tensor, Tensor], sides: tuple[Kind, Kind], w: int
) -> tuple[Kind, Kind]:
    """A weight that belongs to no module, and is none of the arguments, gets a name of its own."""
    data = isinstance(sides[1 - w], Events | Analog)
    if data and isinstance(sides[w], Parameter) and not leaves_of([sides[w]]):
        kinds[both[w]] = Parameter(frozenset((tally.unnamed(),)))
        sides = kinds[both[0]], kinds[both[1]]
    return sides


def _weight(sides: tuple[Kind, Kind]) -> int | None:
    """The operand that is the weight: a parameter with leaves, or a constant where none has."""
    named = [i for i in (0, 1) if leaves_of([sides[i]])]
    if named:
        return named[0] if len(named) == 1 else None
    constant = [i for i in (0, 1) if isinstance(sides[i], Parameter)]
    return constant[0] if len(constant) == 1 else None


def _kind_without_weight(tally: Tally, name: str, sides: tuple[Kind, Kind], form: _Form) -> Kind:
    """Two operands of data: spikes on either side make it an accumulate."""
    if all(isinstance(k, Parameter) for k in sides):
        return Parameter(leaves_of(list(sides))) if leaves_of(list(sides)) else CONSTANT
    spiking = [k for k in sides if isinstance(k, Events)]
    once = form.met(*((e != 0).float() for e in (form.a, form.b)))
    product = Product(name=name, count=form.met(form.a, form.b), graded=once, dense=form.dense)
    cause = spiking[0] if spiking else Analog(f"data times data ({name})")
    tally.pair(product, cause, births_of(sides))
    return Analog(f"data times data ({name})", None, True)
