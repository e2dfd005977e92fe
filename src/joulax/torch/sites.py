"""Products of data with weights, and of data with data."""

import math
from typing import Any

from .kinds import CONSTANT, Analog, Events, Kind, Kinds, Owner, Parameter, leaves_of
from .library import torch
from .tally import Product, Tally, spoken

Tensor = Any


def matmul(kinds: Kinds, tally: Tally, name: str, a: Tensor, b: Tensor) -> Kind:
    """A product (…, i, k) times (…, k, j): Σ over k of events on one side times the other."""
    a2 = a if a.ndim > 1 else a[None]
    b2 = b if b.ndim > 1 else b[:, None]
    rows, inner, columns = a2.shape[-2], a2.shape[-1], b2.shape[-1]
    batch = math.prod(a2.shape[:-2])
    dense = float(batch * rows * inner * columns)

    def met(x: Tensor, y: Tensor) -> float:
        left, right = x.sum(-2, dtype=torch.float64), y.sum(-1, dtype=torch.float64)
        return float((left * right).sum())

    one = lambda t: (t.detach() != 0).float()
    events = kinds.events(a2), kinds.events(b2)
    sides = kinds[a], kinds[b]
    w = _weight(sides)
    if w is None:
        return _kind_without_weight(kinds, tally, name, sides, met, events, dense)
    sides = _named(kinds, tally, (a, b), sides, w)
    weight = (a2, b2)[w]
    free, copies = (rows, columns) if w == 1 else (columns, rows)
    there = list(events)
    there[w] = one(weight)
    once = list(there)
    once[1 - w] = one(events[1 - w])
    product = Product(
        name=name,
        count=met(*there),
        graded=met(*once),
        dense=dense,
        synapses=float(batch * inner * copies),
        nonzero=float(there[w].sum(dtype=torch.float64)),
        inputs=float(inner * batch),
        size=float(copies * batch),
        rows=float(free),
    )
    return weighted(tally, sides, w, product)


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
    events = kinds.events(x)
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
    return weighted(tally, sides, 1, product)


def weighted(tally: Tally, sides: tuple[Kind, Kind], w: int, product: Product) -> Kind:
    """Note a product with weights: of data, or of something that may become data."""
    data, weight = sides[1 - w], sides[w]
    leaves = leaves_of([weight])
    if isinstance(data, Parameter):
        tally.wait(leaves, product)
        return Parameter(leaves | data.leaves)
    layer = tally.site(leaves, product, data)
    owner = Owner(layer, tally.order_of(layer), product.size, product.rows)
    return Analog(f"the current of {spoken(layer)}", owner, True)


def attention(kinds: Kinds, tally: Tally, name: str, args: tuple[Any, ...]) -> Kind:
    """Scaled dot-product attention in one operation: queries with keys, weights with values."""
    query, key, value = args[:3]
    matmul(kinds, tally, f"{name}: queries and keys", query, key.transpose(-1, -2))
    heads = key.shape[1]
    rows = query.shape[0] * query.shape[1] * query.shape[2]
    per_key = (kinds.events(value) != 0).float().sum(-1, dtype=torch.float64)
    spiking = isinstance(kinds[value], Events)
    each = kinds.events(value).sum(-1, dtype=torch.float64) if spiking else per_key
    share = query.shape[1] / heads * query.shape[2]
    product = Product(
        name=f"{name}: weights and values",
        count=float(each.sum()) * share,
        graded=float(per_key.sum()) * share,
        dense=float(rows * value.shape[-1] * value.shape[-2]),
    )
    tally.pair(product, kinds[value] if spiking else Analog("softmax"))
    return Analog("attention")


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


def _kind_without_weight(
    kinds: Kinds,
    tally: Tally,
    name: str,
    sides: tuple[Kind, Kind],
    met: Any,
    events: tuple[Tensor, Tensor],
    dense: float,
) -> Kind:
    """Two operands of data: spikes on either side make it an accumulate."""
    if all(isinstance(k, Parameter) for k in sides):
        return Parameter(leaves_of(list(sides))) if leaves_of(list(sides)) else CONSTANT
    spiking = [k for k in sides if isinstance(k, Events)]
    once = met(*((e != 0).float() for e in events))
    product = Product(name=name, count=met(*events), graded=once, dense=dense)
    cause = spiking[0] if spiking else Analog(f"data times data ({name})")
    tally.pair(product, cause)
    return Analog(f"data times data ({name})", None, True)
