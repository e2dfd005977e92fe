"""Products with a constant that only moves values: permutations, im2col, selections."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..axes import IDLE, REPEATED, Axes
from ..events import mask
from ..findings import EVENTS, Companions, Context, Found, Operands
from ..kinds import ZERO, Data, Events, Parameter, Value, united, varied
from .geometry import Geometry
from .registry import shape_of


def permuted(eqn: Any, ins: Sequence[Value], ctx: Context, g: Geometry, w: int) -> Found | None:
    """Data times a constant of zeros and ones with at most one entry per output.

    Nothing is summed, so there are no synapses: the values only change place.
    """
    kernel, data = ins[w], ins[1 - w]
    if not (isinstance(kernel, Parameter) and isinstance(data, Data)):
        return None
    if (kernel.leaves and not kernel.is_mask) or data.opened:
        return None
    if not _selects(eqn, ctx.concrete(kernel), g, w):
        return None
    axes = _moved_axes(eqn, data, g, w)
    out = data.apart(axes=axes, size=min(data.size, float(axes.size(IDLE))))
    if isinstance(out, Events):
        values = united(out.values, ZERO)
        out = out.but(values=values, poly=None)
    if not out.travels:
        return Found([out])
    return Found([out], events=lambda ops: [_moved(ops, g, w)])


def _moved_axes(eqn: Any, data: Data, g: Geometry, w: int) -> Axes:
    """Axes of the result: those that the data keep, and those among which they change place."""
    axes = varied(shape_of(eqn.outvars[0]))
    if not (data.feeds or data.births):
        return axes
    kept, repeated = g.out[1 - w], data.axes.wholly(IDLE)
    axes = axes.marked(REPEATED, _kept(data, g, w))
    among = [repeated[a] for a in g.contracted[1 - w] if data.axes.shape[a] != 1]
    places = set(g.out[w].values()) - set(kept.values())
    return axes.marked(REPEATED, places) if among and all(among) else axes


def _kept(data: Data, g: Geometry, w: int) -> Sequence[int]:
    """Axes of the result that the data keep and that are batch or time, as far as they say."""
    if not (data.feeds and g.out[1 - w]):
        return g.free[1 - w]
    repeated = data.axes.wholly(IDLE)
    return [o for a, o in g.out[1 - w].items() if repeated[a]]


def _selects(eqn: Any, kernel: np.ndarray | None, g: Geometry, w: int) -> bool:
    """Whether a constant is 0 or 1 and every output sees at most a single 1."""
    if kernel is None or not np.all((kernel == 0) | (kernel == 1)) or not kernel.any():
        return False
    other = np.ones(shape_of(eqn.invars[g.places[1 - w]]), np.float32)
    pair = (other, kernel) if w == 1 else (kernel, other)
    return float(np.max(g.here(*pair))) <= 1


def _moved(ops: Operands, g: Geometry, w: int) -> Companions:
    events, kernel = ops.events(g.places[1 - w]), mask(ops.values[g.places[w]])
    return {EVENTS: g.product(*((events, kernel) if w == 1 else (kernel, events)), ops.values)}
