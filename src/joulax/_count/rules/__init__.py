"""One rule per primitive: what comes out, given what goes in, and what is found there."""

from . import (
    beside as beside,
    brainevent as brainevent,
    branches as branches,
    choices as choices,
    collectives as collectives,
    comparisons as comparisons,
    contractions as contractions,
    elementwise as elementwise,
    flow as flow,
    indexed as indexed,
    landings as landings,
    loops as loops,
    movement as movement,
    opaques as opaques,
    scalings as scalings,
    shards as shards,
    sparse as sparse,
    summed as summed,
    sums as sums,
)
from .births import mixed as mixed
from .contents import births_in as births_in
from .flow import contained as contained
from .gates import slopes as slopes
from .opaques import CONTAINERS as CONTAINERS, unknown as unknown
from .registry import (
    CHANGES as CHANGES,
    OPAQUE as OPAQUE,
    RULES as RULES,
    because as because,
    from_parameters as from_parameters,
    opaque as opaque,
    rule as rule,
    scope_of as scope_of,
    shape_of as shape_of,
    source_of as source_of,
)
