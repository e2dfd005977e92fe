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
_ALL = tuple(op for op in OPERATIONS if op != "neuron_seconds")
_BY_MEANING = {  # scope: the list that it fills, and with what
    ALL_IN: ("includes", _REST),
    MARGINAL: ("includes", _REST),
    POWER_TIME: ("includes", _ALL),
    ARITHMETIC: ("excludes", tuple(op for op in _ALL if op not in ("ac", "mac"))),
}


def by_scope(
    scope: str, costs: Collection[str], lists: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """What a scope contains or leaves out by its meaning need not be listed."""
    if scope not in _BY_MEANING:
        return lists
    which, meant = _BY_MEANING[scope]
    said = {*costs, *lists["includes"], *lists["excludes"]}
    return lists | {which: lists[which] + tuple(op for op in meant if op not in said)}
