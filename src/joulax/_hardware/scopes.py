"""What a price list is an energy of: the closed list of scopes, and what follows from each."""

from collections.abc import Collection

from .operations import OPERATIONS

PER_OPERATION = "per operation"
OPERATIONS_STATIC = "operations + static"
ARITHMETIC = "arithmetic only"
MARGINAL = "marginal + static"
ALL_IN = "all-in"
HEADLINE = "headline"
PER_CALL = "per call"
POWER_TIME = "power × time"
LOWER_BOUND = "lower bound"

SCOPES = {  # the closed list, and what a measurement must contain to be comparable
    PER_OPERATION: "cores, dynamic",
    OPERATIONS_STATIC: "chip, total",
    ARITHMETIC: "arithmetic",
    MARGINAL: "chip, total",
    ALL_IN: "chip, total",
    HEADLINE: "chip, total",
    PER_CALL: "processor, dynamic",
    POWER_TIME: "chip, total",
    LOWER_BOUND: "chip, total",
    "per spike": "",
    "power only": "",
    "components": "",
    "system energy": "",
    "vendor claim": "",
}

LISTS = ("includes", "excludes", "excludes_also")
_REST = ("neuron_update", "spike", "weight_read", "state_read", "state_write", "hop")


def by_scope(
    scope: str, costs: Collection[str], lists: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """What a scope contains or leaves out by its meaning need not be listed."""
    said = {*costs, *lists["includes"], *lists["excludes"]}
    if scope in (ALL_IN, MARGINAL):
        return lists | {"includes": lists["includes"] + tuple(o for o in _REST if o not in said)}
    everything = tuple(o for o in OPERATIONS if o not in said and o != "neuron_seconds")
    if scope == POWER_TIME:
        return lists | {"includes": lists["includes"] + everything}
    if scope == ARITHMETIC:
        rest = tuple(o for o in everything if o not in ("ac", "mac"))
        return lists | {"excludes": lists["excludes"] + rest}
    return lists
