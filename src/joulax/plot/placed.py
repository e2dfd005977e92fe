"""A network on the cores of a chip."""

import math
from typing import Any

import numpy as np

from .._report.figure import QUIET, axes, colour, hatch
from ..models.placement import Placement

_MOST = 12  # chips that are drawn


def placement(placed: Placement, *, ax: Any = None) -> Any:
    """Cores that each layer takes, chip by chip: a square is a core, empty ones are free.

    **Arguments:**

    - `placed`: what [`joulax.models.placement`][] returned.
    - `ax`: matplotlib axes to draw into; new ones by default.

    **Returns:**

    The axes; the title says how many cores and chips there are.

    **Raises:**

    `ImportError` with the install command, if matplotlib is missing.
    """
    from matplotlib.patches import Patch, Rectangle

    cores = [math.ceil(c - 1e-6) for c in np.asarray(placed.cores_by_layer).tolist()]
    per_chip = int(float(placed.on.per_chip))
    owners = [k for k, count in enumerate(cores) for _ in range(count)]
    chips = math.ceil(len(owners) / per_chip)
    side = math.ceil(math.sqrt(per_chip))
    columns = min(4, chips)
    ax = axes(ax)
    for i in range(min(chips, _MOST) * per_chip):
        chip, core = divmod(i, per_chip)
        x = (chip % columns) * (side + 1) + core % side
        y = (chip // columns) * (side + 1) + core // side
        taken = i < len(owners)
        look: Any = (
            {"fc": colour(owners[i]), "ec": "white"} if taken else {"fc": "none", "ec": QUIET}
        )
        pattern = hatch(owners[i]) if taken else ""
        ax.add_patch(Rectangle((x, y), 0.9, 0.9, lw=0.5, hatch=pattern, **look))
    many = lambda n, word: f"{n} {word}{'s' * (n != 1)}"
    handles = [
        Patch(fc=colour(k), hatch=hatch(k), ec="white", label=f"{name}: {many(cores[k], 'core')}")
        for k, name in enumerate(placed.layers)
    ]
    ax.legend(
        handles=handles, frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1)
    )
    shown = f", the first {_MOST} are drawn" if chips > _MOST else ""
    ax.set_title(f"{many(len(owners), 'core')} on {many(chips, 'chip')}{shown}", fontsize="medium")
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.autoscale_view()
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    return ax
