"""The vocabulary of rules: what a library needs to teach `count` a primitive of its own.

The page *How counting works* explains the words and shows one rule of each sort.
"""

from ._count.findings import (
    Birth as Birth,
    Context as Context,
    Feed as Feed,
    Found as Found,
    Operands as Operands,
    Population as Population,
    Site as Site,
    Tap as Tap,
    mask as mask,
)
from ._count.kinds import (
    Analog as Analog,
    Events as Events,
    Parameter as Parameter,
    Value as Value,
    varied as varied,
)
from ._count.rules.births import born as born, mixed as mixed
from ._count.rules.contractions import dot_geometry as dot_geometry
from ._count.rules.geometry import Geometry as Geometry
from ._count.rules.movement import moved_value as moved_value
from ._count.rules.products import bilinear as bilinear, current as current
from ._count.rules.registry import shape_of as shape_of, site_of as site_of

__all__ = [
    "Analog",
    "Birth",
    "Context",
    "Events",
    "Feed",
    "Found",
    "Geometry",
    "Operands",
    "Parameter",
    "Population",
    "Site",
    "Tap",
    "Value",
    "bilinear",
    "born",
    "current",
    "dot_geometry",
    "mask",
    "mixed",
    "moved_value",
    "shape_of",
    "site_of",
    "varied",
]
