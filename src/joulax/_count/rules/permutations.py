"""Products with a constant that only moves values: permutations, im2col, selections."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..axes import IDLE, REPEATED
from ..findings import EVENTS, Companions, Context, Found, Operands, mask
from ..kinds import NONE, Data, Events, Parameter, Value, united, varied
from .geometry import Geometry
from .registry import shape_of


def permuted(eqn: Any, ins: Sequence[Value], ctx: Context, g: Geometry, w: int) -> Found | None:
    """Data times a constant of zeros and ones with at most one entry per output.

    Nothing is summed, so there are no synapses: the values only change place.
    """
    kernel, data = ins[w], ins[1 - w]
    if not isinstance(kernel, Parameter) or kernel.leaves or not isinstance(data, Data):
        return None
    if any(not t.counted for t in data.terms) or not _selects(eqn, ctx.concrete(kernel), g, w):
        return None
    axes = varied(shape_of(eqn.outvars[0]))
    if data.feeds or data.births:
        axes = axes.marked(REPEATED, g.free[1 - w])
    fresh: dict[str, Any] = dict(number=-1, form=None, source=-1, weight=None, terms=NONE)
    out = data.but(axes=axes, size=min(data.size, float(axes.size(IDLE))), **fresh)
    if isinstance(out, Events):
        values = united(out.values, frozenset((0.0,)))
        out = out.but(values=values, nan_test=False, poly=None)
    if not out.travels:
        return Found([out])
    return Found([out], events=lambda ops: [_moved(ops, g, w)])


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
