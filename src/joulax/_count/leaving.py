"""What leaves a program: which spikes its outputs hold, and which of them nobody else counts."""

from collections.abc import Sequence

from .axes import IDLE
from .findings import Birth
from .kinds import Data, Events, is_simple
from .losses import losses
from .places import Path, Paths, union
from .plan import Tables
from .populations import origins


def leave(tables: Tables, outs: Sequence[Data]) -> None:
    """What reaches the outputs: spikes leave, and losses, which have no neurons.

    In a membrane, and in the last state of a loop, are spikes that nobody else may have counted:
    resets, latches and traces are of neurons whose spikes leave or arrive anyway.
    """
    spikes = union(o.births for o in outs if _are_spikes(o))
    tables.leaving = _made_of(tables, _decided(tables, spikes))
    living = tables.living()
    others = _made_of(tables, _decided(tables, _left(tables, outs)))
    told = frozenset(b for b in others if any(_is_told(tables, b, other) for other in living))
    tables.leaving |= others - told
    for loss in losses(tables, outs):
        del tables.claims[loss]


def _left(tables: Tables, outs: Sequence[Data]) -> Paths:
    """Spikes that leave in any output: in numbers alone, as they have fired."""
    numbers = [o for o in outs if o.axes.size(IDLE) <= 1 and not _are_spikes(o)]
    births = union(o.births for o in outs if o not in numbers)
    return births | _fired(tables, union(o.births for o in numbers) - births)


def _fired(tables: Tables, births: Paths) -> Paths:
    """Of spikes that leave in numbers alone, those that have fired.

    A loss compares them with labels, with each other, or with those of other steps: what it makes
    of them resets no neuron and drives none. A mask of the neurons' own state is theirs, where they
    fire: not behind the loop that they fire in.
    """
    used = tables.arrived | tables.leaving | union(b.fired for b in tables.births.values())
    found: set[Path] = set()
    queue, seen = [*births], set[Path]()
    while queue:
        b = queue.pop()
        known = tables.births.get(b)
        if b in seen or known is None:
            continue
        seen.add(b)
        if b in used or known.left or not known.parents or _has_fired_there(tables, known):
            found.add(b)
        else:
            queue += known.parents
    return frozenset(found)


def _has_fired_there(tables: Tables, birth: Birth) -> bool:
    """Whether a mask of their own state lets spikes through, in the frame where they are born."""
    parents = [tables.births[p] for p in birth.parents if p in tables.births]
    return birth.masked and all(p.frame == birth.frame for p in parents)


def _is_told(tables: Tables, birth: Path, other: Path) -> bool:
    """Whether spikes are of neurons whose spikes are counted: not of others on the same current,
    nor of an earlier step alone.
    """
    if other in tables.ancestors(birth):
        return True
    pair = [tables.births[b] for b in (birth, other)]
    if tables.is_older(pair[1], pair[0]):
        return False
    driven = all(b.feeds & tables.sites.keys() and b.held for b in pair)
    apart = driven and not pair[0].held & pair[1].held
    own, others = origins(tables, birth), origins(tables, other)
    behind = tables.layers(pair[0].feeds).keys() - tables.layers(others).keys()
    return bool(own & others) and not apart and not behind


def _made_of(tables: Tables, births: Paths) -> Paths:
    """Spikes, and of latches and running sums, which are made of themselves, what enters them.

    Into one that goes out (has not fired yet) enters where the spikes are not.
    """
    known = tables.births
    latches = frozenset(b for b in births if b in known[b].parents)
    inside = union(known[b].parents for b in latches) - latches
    fired = union(known[b].parents if known[b].complement else frozenset((b,)) for b in inside)
    return births - latches | fired if fired else births


def _are_spikes(out: Data) -> bool:
    """Whether events leave as spikes do: not as the last state of a loop, nor as many values."""
    return isinstance(out, Events) and is_simple(out.values) and not out.last


def _decided(tables: Tables, births: Paths) -> Paths:
    """Spikes, and what decisions are made of that are no spikes: who is right, who is silent."""
    found: set[Path] = set()
    queue = [*births]
    while queue:
        b = queue.pop()
        known = tables.births.get(b)
        if known is not None and b not in found:
            found.add(b)
            queue += known.arrived | known.parents if known.weak else ()
    return frozenset(found)
