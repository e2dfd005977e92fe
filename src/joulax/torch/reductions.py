"""Sums, pools, normalisations and look-ups."""

import math
from dataclasses import replace

from .kinds import Analog, Kind, Owner, Parameter, Term, analog, leaves_of
from .library import torch
from .step import Step, rule
from .tally import Product, spoken


@rule("sum", "mean", "cumsum")
def _summed(step: Step) -> Kind:
    """Spikes add up; weighted data that are added are synapses."""
    axes = _axes(step)
    terms = [t for k in step.operands if not isinstance(k, Parameter) for t in k.terms]
    met = [t for t in terms if t.axes & axes]
    if met and step.name != "cumsum":
        return _by_hand(step, met)
    if not step.spiking:
        return step.other()
    events = step.kinds.events(step.tensors[0])
    run = {"sum": torch.sum, "mean": torch.sum, "cumsum": torch.cumsum}[step.name]
    moved = run(events, *step.args[1:3], **{k: v for k, v in step.kwargs.items() if k != "dtype"})
    scale = step.events[0].scale if step.name != "mean" else object()
    return step.events[0].beside(moved, scale=scale, terms=())


def _axes(step: Step) -> frozenset[int]:
    rank = step.tensors[0].ndim
    dims = step.args[1] if len(step.args) > 1 else None
    dims = [dims] if isinstance(dims, int) else dims or range(rank)
    return frozenset(d if d < 0 else d - rank for d in dims)


def _by_hand(step: Step, terms: list[Term]) -> Kind:
    """A weighted sum written as a product and a sum."""
    layer = None
    for term in terms:
        products = term.events * term.exists
        shape = step.tensors[0].shape
        wide, dense = products.expand(shape), float(math.prod(shape))
        existing = float(term.exists.sum())
        copies = dense / max(term.exists.numel(), 1)
        product = Product(
            name=f"mul + {step.name}",
            count=float(wide.sum(dtype=torch.float64)),
            graded=float((wide != 0).sum()),
            dense=dense,
            synapses=float(term.exists.numel()),
            nonzero=existing,
            size=float(step.value.numel()),
            rows=copies,
        )
        layer = step.tally.site(term.leaves, product, term.data)
    owner = Owner(layer, step.tally.order_of(layer), float(step.value.numel()), 1.0)
    return Analog(f"the current of {spoken(layer)}", owner, True)


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _average(step: Step) -> Kind:
    """The events of a window: each window as often as it is read."""
    if not step.spiking:
        return step.other()
    events = step.kinds.events(step.tensors[0])
    kernel, *rest = step.args[1:]
    if step.name == "avg_pool1d":
        stride, padding, ceil, *_ = (*rest, *([], 0, False)[len(rest) :])
        one = lambda v, front: [front, *v] if isinstance(v, list | tuple) else [front, v]
        wide = [events[..., None, :], one(kernel, 1), one(stride or kernel, 1), one(padding, 0)]
        summed = torch.ops.aten.avg_pool2d(*wide, ceil, True, 1)[..., 0, :]
    else:
        stride, padding, ceil, *_ = (*rest, *([], 0, False)[len(rest) :])
        run = getattr(torch.ops.aten, step.name)
        summed = run(events, kernel, stride or kernel, padding, ceil, True, 1)
    return step.events[0].beside(summed, scale=object(), terms=())


@rule("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d")
def _adaptive(step: Step) -> Kind:
    """Windows of unequal size: the mean of the events times the size of its window."""
    if not step.spiking:
        return step.other()
    events = step.kinds.events(step.tensors[0])
    sizes = step.args[1]
    area = torch.ones((), device=events.device)
    for i, n in enumerate(sizes):
        length = events.shape[i - len(sizes)]
        ends = torch.arange(n, device=events.device)
        extent = -(-(ends + 1) * length // n) - ends * length // n
        area = area[..., None] * extent.to(events.dtype)
    return step.events[0].beside(step.func(events, sizes) * area, scale=object(), terms=())


@rule(
    *("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d", "amax", "max"),
    *("maximum", "minimum", "amin"),
)
def _largest(step: Step) -> Kind:
    """The larger of spikes is a spike; where events travel beside, those of the larger."""
    if not step.spiking:
        return step.other()
    spikes = replace(step.events[0], births=step.births, terms=())
    if all(k.companion is None for k in step.events):
        return spikes
    if step.name == "max_pool2d_with_indices":
        value, index = step.out
        flat = step.kinds.events(step.tensors[0]).flatten(-2)
        return spikes.beside(flat.gather(-1, index.flatten(-2)).reshape(value.shape))
    return spikes.beside((step.value.detach() != 0).float())


@rule("native_dropout")
def _dropped(step: Step) -> Kind:
    if not step.spiking:
        return step.other()
    events = step.kinds.events(step.tensors[0]) * (step.value.detach() != 0)
    return step.events[0].beside(events, scale=object(), terms=())


@rule(
    *("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
    *("native_layer_norm", "native_group_norm", "cudnn_batch_norm", "_fused_rms_norm"),
    *("_batch_norm_with_update", "batch_norm"),
)
def _normalised(step: Step) -> Kind:
    """One gain and one bias an element: arithmetic, no synapses."""
    return step.other()


@rule("_softmax", "_log_softmax", "argmax", "argmin", "sort", "topk")
def _ranked(step: Step) -> Kind:
    return analog(step.operands, step.name, current=False)


@rule("embedding")
def _picked(step: Step) -> Kind:
    """Rows picked by an index: read, and used without arithmetic."""
    weight, index = step.tensors[:2]
    layer = step.tally.read(leaves_of([step.kinds[weight]]), index.numel() * weight.shape[-1])
    return Analog(f"rows of {spoken(layer)} picked by an index")


@rule("embedding_bag", "_embedding_bag")
def _bagged(step: Step) -> Kind:
    step.tally.lose(f"{step.name}: rows picked by an index and summed")
    return step.other()
