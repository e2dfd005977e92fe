"""Sums, pools, normalisations and look-ups."""

from dataclasses import replace

from . import terms
from .kinds import Analog, Kind, Parameter, Term, analog, leaves_of
from .library import torch
from .step import Step, activated, rule
from .tally import spoken


@rule("sum", "mean", "cumsum")
def _summed(step: Step) -> Kind:
    """Spikes add up; weighted data that are added are synapses."""
    axes = _axes(step)
    met = terms.meeting(step.terms, axes)
    if met and step.name == "cumsum":
        return _run(step, met)
    if met:
        return terms.by_hand(step, met)
    if not step.spiking:
        return _remembered(step, axes)
    events = step.kinds.events(step.tensors[0])
    run = {"sum": torch.sum, "mean": torch.sum, "cumsum": torch.cumsum}[step.name]
    moved = run(events, *step.args[1:3], **{k: v for k, v in step.kwargs.items() if k != "dtype"})
    scale = step.events[0].scale if step.name != "mean" else object()
    return step.events[0].beside(moved, scale=scale, terms=())


def _remembered(step: Step, axes: list[int]) -> Kind:
    """A sum over what one element of a weight met: the products are still apart."""
    made, found = step.other(), step.unsummed
    if not found or step.name == "cumsum" or not isinstance(made, Analog):
        return made
    keep = len(step.args) > 2 and bool(step.args[2])
    each = [
        replace(t, products=t.products.sum(axes, keep), which=t.which.amax(axes, keep))
        for t in found
    ]
    return replace(made, terms=tuple(each))


def _axes(step: Step) -> list[int]:
    dims = step.args[1] if len(step.args) > 1 else None
    if isinstance(dims, int):
        return [dims]
    return list(dims) if dims else list(range(step.tensors[0].ndim))


def _run(step: Step, met: list[Term]) -> Kind:
    """A running sum: every product is added as often as it is in a sum."""
    axis = step.args[1]
    grown = [replace(t, products=t.products.cumsum(axis)) for t in met]
    return terms.by_hand(step, grown, (step.tensors[0].shape[axis] + 1) / 2)


def _pooled(step: Step, axes: int) -> None:
    """Windows that bring products together."""
    if terms.meeting(step.terms, range(-axes, 0)):
        step.tally.lose(f"{step.name} of weights times data")


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _average(step: Step) -> Kind:
    """The events of a window: each window as often as it is read."""
    _pooled(step, int(step.name[-2]))
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
    _pooled(step, int(step.name[-2]))
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
        return _rectified(step)
    births = step.births
    if len(step.tensors) == 2:
        births = step.reborn((step.value.detach() != 0).float(), pieces=True)
    spikes = replace(step.events[0], births=births, terms=(), over=None)
    if all(k.companion is None for k in step.events):
        return spikes
    if step.name == "max_pool2d_with_indices":
        value, index = step.out
        flat = step.kinds.events(step.tensors[0]).flatten(-2)
        return spikes.beside(flat.gather(-1, index.flatten(-2)).reshape(value.shape))
    return spikes.beside((step.value.detach() != 0).float())


def _rectified(step: Step) -> Kind:
    """The larger of a current and a constant is an activation."""
    constants = [k for k in step.operands if isinstance(k, Parameter)]
    if len(step.tensors) == 2 and len(constants) == 1:
        return activated(step, step.data[0])
    return step.other()


@rule("var", "std", "var_mean", "std_mean", "linalg_vector_norm", "norm")
def _spread(step: Step) -> Kind:
    """Sums of squares: products among them are brought together."""
    met = terms.meeting(step.terms, range(-step.tensors[0].ndim, 0))
    return terms.by_hand(step, met) if met else step.other()


@rule(
    *("upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d"),
    *("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
)
def _resized(step: Step) -> Kind:
    """Means of neighbours."""
    _pooled(step, step.tensors[0].ndim - 2)
    return step.other()


@rule("native_dropout")
def _dropped(step: Step) -> Kind:
    if not step.spiking:
        return terms.added(step, step.other())
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
    if step.name == "sort" and step.unsummed:
        step.tally.lose("weights times data, sorted")
    return analog(step.operands, step.name, current=False)


@rule("embedding")
def _picked(step: Step) -> Kind:
    """Rows picked by an index: read, and used without arithmetic."""
    weight, index = step.tensors[:2]
    layer = step.tally.read(leaves_of([step.kinds[weight]]), index.numel() * weight.shape[-1])
    made = Analog(f"rows of {spoken(layer)} picked by an index")
    return replace(made, terms=terms.picked(step, weight))


@rule("embedding_bag", "_embedding_bag")
def _bagged(step: Step) -> Kind:
    step.tally.lose(f"{step.name}: rows picked by an index and summed")
    return step.other()
