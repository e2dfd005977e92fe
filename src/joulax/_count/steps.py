"""Steps of loops that are written out: which neurons these are, and when a step ends."""

from collections.abc import Iterable, Sequence

from .findings import Birth, Population
from .places import Path, Paths, union
from .plan import Claim, Tables


def same_step(
    tables: Tables, population: Population, new: Claim, free: Sequence[Path]
) -> Claim | None:
    """These neurons in the same step of an unrolled loop, driven by other weights before.

    A step ends where they fire. Of neurons that do not, each weight drives them once in a step.
    """
    if population.held or population.turns or population.is_reduced:
        return None
    feeds = _driving(tables, population.feeds | population.chain, new)
    known = _alike(tables, feeds, new)
    fired = _fired(tables, new, feeds, frozenset(free))
    if fired:
        last = max(b.path for b in fired)
        ended = union(b.feeds for b in fired)
        known = [c for c in known if c.owner not in ended and c.at > last]
    elif not population.chain or _driven_before(tables, population, free) >= len(known):
        known = []
    return max(known, key=lambda c: c.owner, default=None)


def _driving(tables: Tables, feeds: Paths, new: Claim) -> Paths:
    """Currents that drive the same neurons: of all layers that have, when these fired before."""
    births = (b for b in tables.births.values() if b.frame == new.frame and b.path < new.at)
    fired = union(b.feeds for b in births if b.feeds & feeds and not b.weak)
    layers = tables.layers(fired).keys()
    return feeds | {p for p, s in tables.sites.items() if (s.leaves, s.place) in layers}


def _alike(tables: Tables, feeds: Iterable[Path], new: Claim) -> list[Claim]:
    """Populations of this size and frame that some feeds drive, each once."""
    known = dict.fromkeys(tables.driven(feeds))
    return [c for c in known if c.frame == new.frame and c.neurons == new.neurons]


def _fired(tables: Tables, new: Claim, feeds: Paths, free: Paths) -> list[Birth]:
    """Spikes of neurons that some currents, and spikes one to one, drove before these came."""
    births = [b for b in tables.births.values() if b.frame == new.frame and b.path < new.at]
    driven = [b for b in births if not (b.weak or b.feeds & free)]
    return [b for b in driven if b.feeds & tables.sites.keys() <= feeds]


def _driven_before(tables: Tables, population: Population, free: Sequence[Path]) -> int:
    """How often the weights of these currents have driven the state already."""
    layers = tables.layers(free).keys()
    again = [p for p in population.chain if tables.layers([p]).keys() & layers]
    return len(tables.driven(again))


def record_of(tables: Tables, population: Population, new: Claim) -> Path | None:
    """The record of neurons that have fired before, driven by other weights then.

    Traces and counters of spikes have no sites, and are no such neurons.
    """
    if population.held or not population.feeds & tables.sites.keys():
        return None
    fired = (tables.births[p].feeds for p in population.fired & tables.births.keys())
    known = _alike(tables, population.chain.union(*fired), new)
    return min((c.record for c in known), key=tables.first, default=None)


def moved(tables: Tables, paths: list[Path]) -> list[Path]:
    """Births without those of a first step, where the same neurons have taken later ones."""
    known = tables.births
    if not any(_past(tables, p) for p in paths):
        return paths
    return [p for p in paths if known[p].fired or known[p].held]


def _past(tables: Tables, birth: Path) -> Paths:
    """Where neurons have taken up currents before they fired, in a loop that is written out."""
    return frozenset(p for p in tables.births[birth].fired if p not in tables.births)


def steps_without_sites(tables: Tables, paths: Sequence[Path]) -> int:
    """How often neurons fire one after the other, without a site between, in an unrolled loop."""
    depth: dict[Path, int] = {}
    for path in paths:
        fired, past = tables.taken_back(path), _past(tables, path)
        same = {p for p in depth if fired & {p, *tables.forms(p)}}
        before = same | {p for p in depth if _past(tables, p) < past}
        depth[path] = 1 + max((depth[p] for p in before), default=0)
    return max(depth.values())


def chain(tables: Tables, birth: Path) -> set[Path]:
    """A birth in all its forms, and the spikes that its neurons have taken back before."""
    return {birth, *tables.forms(birth), *tables.taken_back(birth)}
