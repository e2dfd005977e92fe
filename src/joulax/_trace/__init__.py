"""From a JAX program to counts: kinds, rules, sites, control flow, and the two passes."""

from . import _elementwise as _elementwise, _flow as _flow, _movement as _movement
from ._analysis import Analysis as Analysis, Plan as Plan, Uncounted as Uncounted
from ._info import Cause as Cause, Info as Info, Kind as Kind, Path as Path, parameter as parameter
from ._names import Leaves as Leaves, is_array as is_array, layer_names as layer_names, surroundings as surroundings
from ._resolution import Resolution as Resolution
from ._rules import source_of as source_of
from ._run import Runner as Runner, Taps as Taps
from ._sites import Site as Site
from ._work import per_update as per_update
