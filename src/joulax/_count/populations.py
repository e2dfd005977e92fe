"""Populations: which regions are neurons, how many, and how often they are updated."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .axes import IDLE, REPEATED
from .findings import Found, Population, Site
from .kinds import Turns
from .places import NONE, Path, Paths, stands_in, states_of, union
from .plan import Claim, Group, Tables
from .steps import chain, moved, record_of, same_step, steps_without_sites

SAME, OTHERS = "the same neurons", "other neurons"  # that a current drives in another frame


def regions(tables: Tables, feeds: Paths) -> Paths:
    """Sites that feed a region, also through populations that feed it one to one."""
    found: set[Path] = set()
    queue = list(feeds)
    while queue:
        f = queue.pop()
        if f in found:
            continue
        found.add(f)
        feed = tables.feeds.get(f)
        if feed is not None and all(b in tables.births for b in feed.births):
            queue += [p for b in feed.births for p in tables.births[b].feeds]
    return frozenset(found)


def origins(tables: Tables, birth: Path) -> Paths:
    """Sites that feed the region that fired; of a mask of spikes, those of the spikes."""
    found: Paths = NONE
    queue, seen = [birth], {birth}
    while queue:
        known = tables.births.get(queue.pop())
        if known is None:
            continue
        found |= regions(tables, known.feeds)
        more = NONE if known.feeds else (known.arrived | known.parents) - seen
        seen |= more
        queue += more
    return found


def claim(tables: Tables, population: Population, frame: Path, at: Path) -> None:
    """The region fed by these sites is a population of neurons.

    The first feeder keeps its record.
    """
    if not population.feeds:
        return
    for f in population.feeds:
        met = frozenset(how for how, feed in population.targets if feed == f)
        tables.shown[f] = tables.shown.get(f, NONE) | {met}
    if population.held and population.state and not population.is_reduced:
        _carry(tables, population, frame)
    most = sum(_delivered(tables.sites[f], frame) for f in population.feeds & tables.sites.keys())
    new = _claim(population, frame, at, min(population.feeds, key=tables.first), most)
    new = _walking(tables, population, new)
    again = _turned(tables, population, new)
    where = _elsewhere(tables, population, frame, again)
    if where:
        _claim_elsewhere(tables, new, (again or sorted(population.feeds))[0], where)
    else:
        _claim_here(tables, population, new)


def _delivered(site: Site, frame: Path) -> float:
    """Neurons that a site can drive: behind a loop over its weights, those of all slices."""
    layers = site.layers if site.layer and not stands_in(frame, site.layer) else None
    inside = all(stands_in(frame, loop) for loop in site.walked)
    return site.neurons * (layers or 1) * (1.0 if inside else site.slices)


def _walking(tables: Tables, population: Population, new: Claim) -> Claim:
    """Neurons of one step of loops that take another part of the weight in each.

    A state that a loop carries is of the same neurons in all its steps.
    """
    sites = [tables.sites[f] for f in population.feeds & tables.sites.keys()]
    held = {state[:-1] for state in population.held}
    loops = frozenset(p for p in union(s.walked for s in sites) if stands_in(new.frame, p))
    if not loops - held:
        return new
    return dataclasses.replace(new, walked=loops - held, slices=max(s.slices for s in sites))


def _claim_here(tables: Tables, population: Population, new: Claim) -> None:
    """Feeds that drive nobody yet drive this population, or another turn of one that is known."""
    claims = tables.claims
    free = [p for p in population.feeds if p not in claims or claims[p].yields(new)]
    holder = min(free, key=tables.first) if free else max(population.feeds)
    tables.whose[population.feeds] = holder
    if not free:
        old = claims[holder]
        _integrate(tables, old, new) if _is_around(tables, old, new) else _resize(tables, old, new)
        return
    sliced = _sliced(tables, population)
    whose = claims[sliced[0]] if sliced else same_step(tables, population, new, free)
    if whose is None:
        home = record_of(tables, population, new)
        whose = dataclasses.replace(new, owner=holder, home=home)
    claims.update(dict.fromkeys(free, whose))


def _is_around(tables: Tables, old: Claim, new: Claim) -> bool:
    """Whether neurons work around the branches where they were found: they fire in every step, or
    are driven and carried in every step.
    """
    frames = _branches(tables, old.frame, new.frame)
    if not new.state:
        return bool(frames) and not new.reduced
    made = any(stands_in(old.owner, f) for f in frames)
    enters = any(old.owner in tables.branches[f].currents for f in frames)
    return bool(frames) and not made and not enters


def _branches(tables: Tables, frame: Path, around: Path) -> list[Path]:
    """The branches between a frame and one around it; none where a loop is between."""
    found: list[Path] = []
    while frame != around:
        if frame not in tables.branches:
            return []
        found.append(frame)
        frame = tables.branches[frame].around
    return found


def _integrate(tables: Tables, old: Claim, new: Claim) -> None:
    """Neurons are updated in every step, in whichever branches they were found."""
    _replace(tables, old, new.instead(old))
    for owner, frame in list(tables.elsewhere):
        if owner == old.owner and _branches(tables, frame, new.frame):
            del tables.elsewhere[owner, frame]


def _claim_elsewhere(tables: Tables, new: Claim, feed: Path, where: str) -> None:
    owner = tables.claims[feed].owner
    known = tables.elsewhere.get((owner, new.frame))
    if known is None or known.yields(new):
        made = dataclasses.replace(new, owner=owner, apart=where == OTHERS)
        tables.elsewhere[owner, new.frame] = made


def _claim(population: Population, frame: Path, at: Path, owner: Path, most: float) -> Claim:
    """These neurons, not more than what their sites deliver, if they have any."""
    axes = population.axes
    here = float(axes.size(IDLE))
    neurons = min(population.size or here, here, most or here)
    repeats = 1.0
    for dim in axes.dims:
        for n, labels in dim:
            repeats *= n if labels & REPEATED else 1
    fields = (population.shape, axes, population.state, population.is_reduced, population.part)
    return Claim(owner, frame, at, neurons, repeats, *fields)


def _elsewhere(tables: Tables, population: Population, frame: Path, again: Sequence[Path]) -> str:
    """Which neurons these are, where the currents drive neurons in another frame already."""
    if again:
        return SAME if tables.claims[again[0]].frame != frame else ""
    known = tables.driven(population.feeds)
    if len(known) < len(population.feeds):
        return ""
    places = {c.beside(frame) for c in known}
    if places == {"loop"}:
        if _fired_in(tables, population) & {c.frame for c in known}:
            return SAME  # their state goes on in another loop
        return OTHERS if _are_carried(population, known) else ""
    return SAME if places == {"branch"} else ""


def _fired_in(tables: Tables, population: Population) -> Paths:
    """Frames in which spikes were born that these neurons have taken back."""
    births = population.fired & tables.births.keys()
    return frozenset(tables.births[p].frame for p in births)


def _are_carried(population: Population, known: Sequence[Claim]) -> bool:
    """Whether neurons are states of loops, here and where they are known, with all their steps."""
    return population.state and not population.turns and all(c.state for c in known)


def _sliced(tables: Tables, population: Population) -> list[Path]:
    """Feeds that were made for all steps at once, of which this is one."""
    made = [f for f in population.feeds if any(t for _, t in tables.turns.get(f, {}))]
    return sorted(f for f in made if f in tables.claims) if population.turns else []


def _carry(tables: Tables, population: Population, frame: Path) -> None:
    """A state of a loop; gates that multiply each other in it are one population."""
    group = frame, population.feeds, population.part, population.turns
    tables.states.setdefault(group, set()).add(population.held)
    gates = union(g for g in tables.gated if g <= population.feeds)
    alike = {c for c in tables.driven(gates) if c.frame == frame and c.neurons == population.size}
    if len(alike) > 1:
        first = min(alike, key=lambda c: tables.first(c.owner))
        for other in alike - {first}:
            _replace(tables, other, first)


def _turned(tables: Tables, population: Population, new: Claim) -> list[Path]:
    """Feeds whose neurons take another turn here: another slice of time made at once."""
    claims, turns = tables.claims, population.turns
    again: list[Path] = []
    for f in population.feeds:
        key = f, population.part
        tables.parts[key] = min(tables.parts.get(key, new.neurons), new.neurons)
        known = tables.turns.setdefault(f, {})
        sliced = turns and any(t for _, t in known) and all(t != turns for _, t in known)
        if sliced and f in claims and not claims[f].yields(new):
            again.append(f)
        known[new.frame, turns] = max(known.get((new.frame, turns), 0.0), new.repeats)
    return sorted(again, key=tables.first)


def _resize(tables: Tables, old: Claim, new: Claim) -> None:
    """Neurons that are known already, and perhaps seen better here."""
    if new.frame != old.frame or old.state:
        return
    if new.state and new.neurons == old.neurons:
        _replace(tables, old, dataclasses.replace(old, state=True))
    smaller = new.neurons < old.neurons and new.reduced <= old.reduced
    smaller &= not new.is_slice_of(old)
    larger = new.neurons > old.neurons and (new.state or old.is_slice_of(new))
    if smaller or larger:
        _replace(tables, old, new.instead(old))


def _replace(tables: Tables, old: Claim, new: Claim) -> None:
    tables.claims |= {k: new for k, c in tables.claims.items() if c == old}
    tables.elsewhere |= {k: new for k, c in tables.elsewhere.items() if c == old}


def unclaim(tables: Tables, found: Found) -> None:
    """A mean or variance of a region, brought back to it, is no population, nor is a gate."""
    claims, (feeds, size) = tables.claims, found.statistics
    gone = {c for c in tables.driven(feeds) if (c.neurons < size or c.reduced) and not c.state}
    gone |= {c for c in tables.driven(found.gates) if not c.state}
    for p in [p for p, c in claims.items() if c in gone]:
        del claims[p]


def settle(tables: Tables, lengths: Mapping[Path, int]) -> None:
    """What is known at the end: winners that arrive, several parts, populations and turns."""
    _settle_winners(tables)
    _settle_parts(tables)
    _settle_copies(tables)
    _settle_turns(tables, lengths)
    _settle_steps(tables)
    _settle_slices(tables, lengths)


def _settle_winners(tables: Tables) -> None:
    for path in sorted(tables.living()):
        birth = tables.births[path]
        if birth.here is not None and not any(f in tables.claims for f in birth.feeds):
            claim(tables, birth.here, birth.frame, path)


def _settle_parts(tables: Tables) -> None:
    for old in set(tables.claims.values()):
        neurons = _in_parts(tables, old.owner)
        if neurons is not None and neurons > old.neurons:
            _replace(tables, old, old.of(neurons))


def _settle_turns(tables: Tables, lengths: Mapping[Path, int]) -> None:
    for old in tables.claimed:
        repeats = _repeats(tables, old, _runs(tables, old, lengths))
        if repeats > old.repeats:
            _replace(tables, old, dataclasses.replace(old, repeats=repeats))


def _settle_steps(tables: Tables) -> None:
    """Steps of an unrolled loop in which neurons fire again, though no current arrives."""
    more: dict[Claim, dict[Turns, float]] = {}
    for (frame, feeds, _, turns), paths in _fired(tables).items():
        last = max(feeds)
        old, free = tables.claims.get(last), [p for p in paths if not tables.births[p].held]
        if old is not None and old.frame == frame and free:
            step = tables.turns.get(last, {}).get((frame, turns), old.repeats)
            steps = more.setdefault(old, {})
            again = step * (steps_without_sites(tables, free) - 1)
            steps[turns] = max(steps.get(turns, 0.0), again)
    for old, steps in more.items():
        _replace(tables, old, dataclasses.replace(old, repeats=old.repeats + sum(steps.values())))


def _settle_slices(tables: Tables, lengths: Mapping[Path, int]) -> None:
    for old in tables.claimed:
        steps = math.prod(lengths.get(p, math.inf) for p in old.walked)
        if old.slices > steps:
            _replace(tables, old, dataclasses.replace(old, slices=float(steps)))


def _settle_copies(tables: Tables) -> None:
    for feeds, copies in _driven(tables).items():
        for old in set(tables.driven(feeds)):
            if copies > old.copies:
                _replace(tables, old, dataclasses.replace(old, copies=copies))


def _in_parts(tables: Tables, feed: Path) -> float | None:
    """Neurons of all parts of what a feed reaches, where its parts never meet."""
    sizes = {part: n for (f, part), n in tables.parts.items() if f == feed}
    whole = sizes.pop((), math.inf)
    groups = _never_meeting(tables, feed, sizes)
    if len(groups) < 2:
        return None
    site = tables.sites.get(feed)
    limit = whole if site is None else min(whole, site.neurons)
    return min(limit, sum(min(sizes[p] for p in group) for group in groups))


def _never_meeting(tables: Tables, feed: Path, parts: Iterable[Any]) -> list[set[Any]]:
    """Parts in groups that never meet; where one meets the whole, all are together."""
    groups = [{p} for p in parts]
    for p, q in [(p, q) for f, p, q in tables.met if f == feed]:
        groups = _joined(groups, lambda g, p=p, q=q: () in (p, q) or p in g or q in g)
    return groups


def _joined(
    groups: list[set[Any]], meets: Callable[[set[Any]], bool], more: Iterable[Any] = ()
) -> list[set[Any]]:
    """Groups in which those that meet are one, with more members."""
    one = set(more).union(*filter(meets, groups))
    return [g for g in groups if not meets(g)] + ([one] if one else [])


def _repeats(tables: Tables, known: Claim, most: float) -> float:
    """Steps and samples of a region in one run of its frame, those of its slices together."""
    taken = tables.turns.get(known.owner, {})
    sliced = sum(n for (frame, turns), n in taken.items() if turns and frame == known.frame)
    return max(taken.get((known.frame, NONE), 0.0), min(sliced, most))


def _driven(tables: Tables) -> dict[Paths, int]:
    """How many populations the same currents drive: states and spikes that share nothing."""
    groups = {group: [set[Any](s) for s in states] for group, states in tables.states.items()}
    # states and births are both places: a word tells them apart
    for group, every in _fired(tables).items():
        paths = moved(tables, every)
        taken = [{("fired", p) for p in chain(tables, path)} for path in paths]
        held = [states_of(tables.births[path].held) for path in paths]
        groups[group] = groups.get(group, []) + [t | h for t, h in zip(taken, held, strict=True)]
    found: dict[Paths, int] = {}
    for (_, feeds, _, _), members in groups.items():
        found[feeds] = max(found.get(feeds, 1), _apart(members))
    return found


def _fired(tables: Tables) -> dict[Group, list[Path]]:
    """Births that are counted, by what drives them."""
    groups: dict[Group, list[Path]] = {}
    for path in sorted(tables.living()):
        b = tables.births[path]
        if b.feeds and not b.weak:
            groups.setdefault((b.frame, b.feeds, b.part, b.turns), []).append(path)
    return groups


def _apart(members: Sequence[set[Any]]) -> int:
    """Groups of members that hold no state, and no spikes, together; what holds none is alone."""
    groups: list[set[Any]] = []
    for held in filter(None, members):
        groups = _joined(groups, lambda g, held=held: bool(g & held), held)
    return len(groups) + sum(not held for held in members)


def _runs(tables: Tables, known: Claim, lengths: Mapping[Path, int]) -> float:
    """Steps and samples that a site delivers in one run of a frame."""
    site = tables.sites.get(known.owner)
    if site is None or not site.synapses:
        return math.inf
    around = {site.path[:k] for k in range(len(known.frame) + 1, len(site.path))}
    return math.prod(lengths.get(p, 1) for p in around) * site.dense / site.synapses
