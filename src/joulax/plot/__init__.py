"""Pictures of energy, for papers: vector, readable in grey, units on every axis.

Every function takes `ax=` and returns the axes; needs matplotlib (`pip install "joulax[plot]"`).
"""

from .._training.history import history as history
from .bars import layers as layers
from .chips import chips as chips, tornado as tornado
from .curves import break_even as break_even, front as front, power as power
from .placed import placement as placement
from .saved import save as save
from .spikes import neurons as neurons, raster as raster

__all__ = [
    "break_even",
    "chips",
    "front",
    "history",
    "layers",
    "neurons",
    "placement",
    "power",
    "raster",
    "save",
    "tornado",
]
