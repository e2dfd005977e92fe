"""Weighted sums written by hand: products that stand side by side, and what brings them together.

A product of a weight and data is no synapse yet, but a gain. It becomes one when products with
different elements of the weight are added.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .kinds import Analog, Events, Kind, Parameter, Term, leaves_of
from .library import torch
from .memory import dense, storage_of
from .step import Step
from .tally import Product, spoken

Tensor = Any


def multiplied(step: Step, made: Kind) -> Kind:
    """Products with the elements of a weight are remembered until they are summed."""
    if isinstance(made, Parameter):
        return made
    found = list(carried(step))
    weights = [t for t in step.tensors if leaves_of([step.kinds[t]])]
    if len(step.tensors) == 2 and len(weights) == 1:
        weight = weights[0]
        data = next(t for t in step.tensors if t is not weight)
        if not isinstance(step.kinds[data], Parameter) and _varies(weight, data):
            found.append(_term(step, weight, data))
    return replace(made, terms=_merged(found))


def _varies(weight: Tensor, data: Tensor) -> bool:
    """Whether other elements may stand beside: of the weight, or of the data."""
    part = lambda t: storage_of(t).nbytes() > t.numel() * t.element_size()
    return weight.numel() > 1 or part(weight) or part(data)


def _term(step: Step, weight: Tensor, data: Tensor) -> Term:
    kind, shape = step.kinds[data], step.value.shape
    exists, ids = dense(weight.detach()) != 0, numbered(weight)
    products = (step.kinds.events(data) * exists).expand(shape)
    absent = frozenset(ids[~exists].tolist())
    leaves = leaves_of([step.kinds[weight]])
    return Term(leaves, kind, products, ids.expand(shape), absent, data.detach())


def numbered(weight: Tensor) -> Tensor:
    """The place in memory of every element of a weight, from one."""
    ids = torch.ones(weight.shape, dtype=torch.float64, device=weight.device)
    ids = ids + weight.storage_offset()
    for d, (n, stride) in enumerate(zip(weight.shape, weight.stride(), strict=True)):
        along = torch.arange(n, dtype=torch.float64, device=weight.device) * stride
        ids = ids + along.reshape(-1, *(1,) * (weight.ndim - d - 1))
    return ids


def carried(step: Step) -> Sequence[Term]:
    """Products behind the operands, in the form of the result."""
    return [_grown(t, step) for t in step.terms]


def _grown(term: Term, step: Step) -> Term:
    """A product in the form of the result."""
    shape = step.value.shape
    return replace(term, products=term.products.expand(shape), which=term.which.expand(shape))


def moved(step: Step) -> tuple[Term, ...]:
    """Products behind operands that are moved."""
    made = []
    for x in step.tensors:
        for term in step.kinds.terms(x):
            pick = lambda t, x=x, term=term: term.products if t is x else _none(t).float()
            number = lambda t, x=x, term=term: term.which if t is x else _none(t)
            products, which = step.rerun(pick), step.rerun(number)
            made.append(replace(term, products=products, which=which))
    return tuple(made)


def beside(step: Step) -> Kind:
    """Values that are moved, and the products behind them."""
    made = step.other()
    return replace(made, terms=moved(step)) if isinstance(made, Analog) else made


def _none(tensor: Tensor) -> Tensor:
    return torch.zeros(tensor.shape, dtype=torch.float64, device=tensor.device)


def picked(step: Step, weight: Tensor) -> tuple[Term, ...]:
    """Rows of a weight picked by data, each an event of its own."""
    exists, ids = (weight.detach() != 0).float(), numbered(weight)
    products, which = (step.rerun(lambda t, to=to: to) for to in (exists, ids))
    absent = frozenset(ids[exists == 0].tolist())
    cause = Events("rows picked by an index")
    return (
        Term(
            leaves_of([step.kinds[weight]]),
            cause,
            products,
            which,
            absent,
            None,
            read=which.numel(),
        ),
    )


def added(step: Step, made: Kind) -> Kind:
    """Terms that are added: different elements of a weight at different parts of the data."""
    if isinstance(made, Parameter):
        return made
    if len(step.tensors) < 2:
        return replace(made, terms=tuple(carried(step)))
    left, right = ([_grown(t, step) for t in step.kinds.terms(x)] for x in step.tensors[:2])
    met = _met(left, right)
    if not met:
        return replace(made, terms=_merged([*left, *right]))
    over = [replace(t, counted=True) if t in met else t for t in (*left, *right)]
    return replace(by_hand(step, [t for t in met if not t.counted]), terms=tuple(over))


def _met(left: Sequence[Term], right: Sequence[Term]) -> list[Term]:
    """The products of both sides that an addition brings together."""
    pairs = [(a, b) for a in left for b in right if _together(a, b)]
    return list(dict.fromkeys(t for pair in pairs for t in pair))


def _together(a: Term, b: Term) -> bool:
    """Whether two products are of two parts of one array, with two weights."""
    if a.part is None or b.part is None or storage_of(a.part)._cdata != storage_of(b.part)._cdata:
        return False
    if a.part.storage_offset() == b.part.storage_offset():
        return False
    return a.leaves != b.leaves or not torch.equal(a.which, b.which)


def _merged(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Products with the same elements are one, so that a loop keeps no history."""
    kept: list[Term] = []
    for term in terms:
        same = [i for i, k in enumerate(kept) if _alike(k, term)]
        if not same:
            kept.append(term)
            continue
        kept[same[0]] = replace(term, products=kept[same[0]].products + term.products)
    return tuple(kept)


def _alike(a: Term, b: Term) -> bool:
    if a.leaves != b.leaves or a.counted != b.counted or type(a.data) is not type(b.data):
        return False
    return a.which.shape == b.which.shape and torch.equal(a.which, b.which)


def meeting(terms: Sequence[Term], axes: Sequence[int]) -> list[Term]:
    """The terms that a sum over these axes brings together."""
    return [t for t in terms if not t.counted and _differs(t.which, axes)]


def _differs(which: Tensor, axes: Sequence[int]) -> bool:
    if not axes or not which.numel():
        return False
    least = torch.where(which == 0, torch.inf, which).amin(tuple(axes))
    return bool((which.amax(tuple(axes)) > least).any())


def by_hand(step: Step, terms: Sequence[Term], times: float = 1.0) -> Kind:
    """A weighted sum written as products and a sum."""
    for term in terms:
        step.tally.read(term.leaves, -term.read)  # added, and no longer read alone
    layer, each = None, frozenset[float]()
    for term in terms:
        ids = term.which[term.which > 0]
        each = frozenset(ids.unique().tolist())
        products = term.products[term.which > 0]
        product = Product(
            name=f"mul + {step.name}",
            count=float(products.sum(dtype=torch.float64)),
            graded=float((products != 0).sum()),
            dense=float(ids.numel()) * times,
            size=float(step.value.numel()),
        )
        layer = step.tally.spread(term.leaves, product, term.data, each, each - term.absent)
    if layer is None:
        return step.other()
    rows = max(1.0, sum(t.which.count_nonzero().item() for t in terms) / max(len(each), 1))
    size = step.value.numel()
    rows = rows if len(terms) == 1 and size % rows == 0 else 1.0
    owner = step.tally.owner(layer, size / rows, rows)
    return Analog(f"the current of {spoken(layer)}", owner, True)
