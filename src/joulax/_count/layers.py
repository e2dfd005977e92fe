"""Sites and births gathered into one record per layer, and what the layers are called."""

import functools
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._activity.account import Convention, SiteNote
from .._activity.record import FIELDS, Activity
from .._version import __version__
from . import exact
from .axes import Chosen, Cut
from .exact import Sum
from .findings import Site
from .kinds import Leaves as LeafSet
from .names import Leaves, Text, common_text, layer_names
from .overlaps import once, together
from .places import Path, stands_in
from .plan import Claim
from .run import Taps
from .updates import per_update
from .walker import Walker

Key = tuple[Any, ...]
OTHERS = ("neurons", "synapses", "nonzero", "ac_graded", "spikes_graded")
SUMMED = tuple(field for field in FIELDS if field not in OTHERS)


class Layers:
    """Sites and births gathered into one record per layer."""

    def __init__(self, walker: Walker, leaves: Leaves):
        self._tables, self._leaves = walker.tables, leaves
        self._by_neuron = walker.resolution.neurons
        self._living = self._tables.living()
        self._members: dict[Key, list[Path]] = {}
        for path, site in sorted(self._tables.sites.items()):
            if not (site.lookup and path in self._tables.picked):
                self._members.setdefault(self._key(site), []).append(path)
        for path in sorted(self._living):
            self._members.setdefault(self._birth_key(path), []).append(path)
        for claim in dict.fromkeys(self._tables.claims.values()):
            key = self._owner_key(claim.owner)
            if key in self._members and claim.owner not in self._members[key]:
                self._members[key].append(claim.owner)
        self._merged = {key for key in self._members if self._is_driven_outside(key)}
        self._names = self._name()
        self.order = tuple(n for key in self._members for n in self._expanded(key))

    def _is_driven_outside(self, key: Key) -> bool:
        """Whether a loop slices the weight, and the neurons work behind it: no loop over layers."""
        loops = [s.layer for s in self._sites(key) if s.layer]
        frames = [c.frame for c in self._claims(key)] if loops else []
        return any(not any(stands_in(f, p) for p in loops) for f in frames)

    # -- which record -----------------------------------------------------------

    def _key(self, site: Site) -> Key:
        if site.leaves:
            return ("leaf", site.leaves, site.direction)
        weights = self._gradient_of(site) if site.direction and len(site.operands) == 2 else ()
        if len(weights) == 1:
            return ("leaf", weights[0], "weight gradient")
        if weights:
            return ("leaves", weights, "weight gradient")
        if site.pair:
            return ("pair", self._fed_by(site) or site.scope or site.source, site.direction)
        return ("const", (site.scope or site.source, site.nameless), site.direction)

    def _gradient_of(self, pair: Site) -> tuple[LeafSet, ...]:
        """The weights whose gradient two operands make: one of them went into their product.

        Of several such products, the one whose error the other operand is; where nothing tells them
        apart, all of them.
        """
        found: list[LeafSet] = []
        for inputs, error in (pair.operands, pair.operands[::-1]):
            fed = {s.leaves for s in self._meeting(inputs) if not s.is_gradient}
            back = {s.leaves for s in self._meeting(error) if s.is_gradient}
            found += sorted(fed & back or fed, key=sorted)
        fits = [leaves for leaves in found if self._size(leaves) == pair.neurons]
        return tuple(dict.fromkeys(fits or found))

    def _meeting(self, numbers: frozenset[int]) -> list[Site]:
        sites = self._tables.sites.values()
        return [s for s in sites if s.leaves and any(numbers & o for o in s.operands)]

    def _size(self, leaves: LeafSet) -> int:
        return max(self._leaves.sizes[i] for i in leaves)

    def _fed_by(self, site: Site) -> Text:
        feeding = [self._tables.sites[p] for p in site.pair if p in self._tables.sites]
        leaves = sorted({i for s in feeding for i in s.leaves})
        return common_text([self._leaves.paths[i] for i in leaves])

    def _birth_key(self, path: Path) -> Key:
        owner = self._tables.owner(self._tables.births[path])
        return ("input", path) if owner is None else self._owner_key(owner, path)

    def _owner_key(self, owner: Path, birth: Path = ()) -> Key:
        site = self._tables.sites.get(owner)
        if site is not None:
            return self._key(site)
        feed = self._tables.feeds.get(owner)
        if feed is None:
            return ("input", birth)
        return ("feed", feed.leaves or feed.scope or feed.source)

    # -- names --------------------------------------------------------------------

    def _name(self) -> dict[Key, str]:
        chosen = self._speakers()
        known = [i for i in dict.fromkeys(chosen.values()) if self._leaves.paths[i]]
        paths = [self._leaves.paths[i] for i in known]
        texts = dict(zip(known, layer_names(paths), strict=True))
        inputs = [key for key in self._members if key[0] == "input"]
        result: dict[Key, str] = {}
        for key in self._members:
            name = self._text(key, chosen, texts, inputs) + _direction(key)
            while name in result.values():
                name += "′"
            result[key] = name
        return result

    def _text(
        self, key: Key, chosen: dict[LeafSet, int], texts: dict[int, str], inputs: list[Key]
    ) -> str:
        if key[0] == "input":
            return f"input[{inputs.index(key)}]"
        if key[0] == "leaves":
            return ", ".join(self._text(("leaf", s), chosen, texts, inputs) for s in key[1])
        if isinstance(key[1], frozenset):
            leaf = chosen[key[1]]
            return texts[leaf] if leaf in texts else self._place(key)
        return str(key[1][0] if key[0] == "const" else key[1])

    def _speakers(self) -> dict[LeafSet, int]:
        """The leaf that names each set of leaves with a record."""
        leaves = [k[1] for k in self._members if k[0] in ("leaf", "feed")]
        sets: list[LeafSet] = [s for s in leaves if isinstance(s, frozenset)]
        return {s: self._speaker(s, sets) for s in dict.fromkeys(sets)}

    def _speaker(self, leaves: LeafSet, sets: Sequence[LeafSet]) -> int:
        """The leaf that names a record: the largest that no other record has, and no mask."""
        others = [s for s in sets if s != leaves]
        own = [i for i in leaves if not any(i in s for s in others)] or list(leaves)

        def rank(i: int) -> tuple[bool, int, int]:
            mask = i in self._leaves.masks or _masking(self._leaves.paths[i])
            return mask, -self._leaves.sizes[i], i

        return min(own, key=rank)

    def _place(self, key: Key) -> str:
        """Name of a layer whose weights belong to no model: its named scope, or its source line."""
        sites = self._sites(key)
        return sites[0].scope or sites[0].source if sites else "neurons"

    def _sites(self, key: Key) -> list[Site]:
        sites = self._tables.sites
        return [sites[p] for p in self._members[key] if p in sites]

    def _length(self, key: Key) -> int | None:
        if key in self._merged:
            return None
        return next((s.layers for s in self._sites(key) if s.layers), None)

    def _expanded(self, key: Key) -> list[str]:
        n = self._length(key)
        name = self._names[key]
        return [name] if n is None else [f"{name}[{i}]" for i in range(n)]

    # -- records --------------------------------------------------------------------

    def records(self, taps: Taps) -> tuple[dict[str, Activity], dict[str, Activity]]:
        """Activity records by name, and what float32 has lost of them."""
        values: dict[str, Activity] = {}
        rests: dict[str, Activity] = {}
        for key in self._members:
            fields = self._fields(key, taps)
            n = self._length(key)
            for i, name in enumerate(self._expanded(key)):
                high = {f: _at(v.value, n, i) for f, v in fields.items()}
                low = {f: _at(v.rest, n, i) for f, v in fields.items() if v.rest is not None}
                values[name] = Activity(**high)
                rests[name] = Activity(**low)
        return values, rests

    def _fields(self, key: Key, taps: Taps) -> dict[str, Sum]:
        found: dict[str, Sum] = {}
        for name in SUMMED:
            parts = self._parts(key, name, taps)
            if parts:
                found[name] = self._added(key, name, parts)
        for name in ("ac", "spikes"):
            if name in found:
                found[f"{name}_graded"] = self._graded(key, name, taps, found[name])
        nonzero = self._parts(key, "nonzero", taps)
        if nonzero and not self._overlap(key):
            found["nonzero"] = self._existing(key, nonzero)
        sizes = dict(synapses=self._synapses(key), neurons=self._neurons(key))
        found |= {f: exact.known(v) for f, v in sizes.items() if v is not None}
        n = self._length(key)
        return {name: _broadcast(v.array(), n) for name, v in found.items()}

    def _graded(self, key: Key, name: str, taps: Taps, each: Sum) -> Sum:
        """A site without a graded count of its own has 0/1 events."""
        graded = self._parts(key, f"{name}_graded", taps)
        return self._added(key, name, self._parts(key, name, taps) | graded) if graded else each

    def _parts(self, key: Key, name: str, taps: Taps) -> dict[Path, Sum]:
        """One count of every site and birth of a record that has it."""
        found = {p: taps[p, name] for p in self._members[key] if (p, name) in taps}
        if key not in self._merged or name in ("updates", "spikes", "spikes_graded"):
            return found
        slices = {s.path: s.layers for s in self._sites(key) if s.layers}
        return {p: exact.over(-1, v, slices[p]) if p in slices else v for p, v in found.items()}

    def _existing(self, key: Key, parts: dict[Path, Sum]) -> Sum:
        """Synapses that exist: slices add up to at most a whole; a branch not taken says 0."""
        if len(parts) == 1:
            return next(iter(parts.values()))
        found: dict[Any, Sum] = {}
        for p, count in parts.items():
            place = self._tables.sites[p].place.parts
            found[place] = exact.larger(found[place], count) if place in found else count
        there = together(found, exact.add, exact.larger)
        whole = self._synapses(key)
        if whole is not None and once(found) < 1:  # slices that overlap
            there = exact.smaller(there, exact.known(whole))
        return there

    def _synapses(self, key: Key) -> float | None:
        found: dict[Any, float] = {}
        for s in self._sites(key):
            if s.synapses is not None:
                slices = s.layers if key in self._merged else None
                here = s.synapses * (slices or 1)
                found[s.place.parts] = max(found.get(s.place.parts, 0.0), here)
        if not found:
            return None
        whole = together(found, operator.add, max) * once(found)
        return min(whole, self._size(key[1])) if self._overlap(key) else whole

    def _overlap(self, key: Key) -> bool:
        """Whether several sites take parts of a weight in a loop, more than it has together."""
        walked = {s.place.parts: s.synapses or 0.0 for s in self._sites(key) if s.slices > 1}
        return len(walked) > 1 and sum(walked.values()) > self._size(key[1])

    def _neurons(self, key: Key) -> float | None:
        found: dict[Any, float] = {}
        for claim in self._claims(key):
            site = self._tables.sites.get(claim.owner)
            place = site.place.parts if site else ()
            found[place] = max(found.get(place, 0.0), claim.neurons * claim.copies * claim.slices)
        beside = [c for c in self._tables.elsewhere.values() if c.apart]
        more = sum(c.neurons for c in beside if c.owner in self._members[key])
        return sum(found.values()) + more if found else None

    def _claims(self, key: Key) -> list[Claim]:
        claims = self._tables.claims
        known = (claims[p] for p in self._members[key] if p in claims and claims[p].owner == p)
        return list(dict.fromkeys(c for c in known if c.home is None))

    def _added(self, key: Key, name: str, found: dict[Path, Sum]) -> Sum:
        self._refuse_slices(key)
        parts = self._placed(key, found) if self._by_neuron else list(found.values())
        shapes = [jnp.shape(p.value) for p in parts]
        neurons = [s[-1] for s in shapes if s]
        if self._by_neuron and len(neurons) > 1 and sum(neurons) == self._neurons(key):
            return exact.beside(parts)  # populations on slices of one current
        if len(set(shapes)) > 1:
            raise ValueError(
                f"layer {self._names[key]!r} is used at several shapes {sorted(set(shapes))}: "
                f"its {name} cannot be kept by neuron or step; count totals"
            )
        return functools.reduce(exact.add, parts)

    def _refuse_slices(self, key: Key) -> None:
        """Neurons of all slices that a loop takes of a weight are not those of one of its steps."""
        walked = [s for s in self._sites(key) if s.walked]
        if self._by_neuron and any(s.neurons != (self._neurons(key) or s.neurons) for s in walked):
            raise ValueError(
                f"layer {self._names[key]!r} drives other neurons in each step of a loop, which "
                "takes another part of its weights: its counts cannot be kept by neuron; put the "
                "weights into the xs of a scan, or count totals"
            )

    def _placed(self, key: Key, found: dict[Path, Sum]) -> list[Sum]:
        """Spikes of parts of a population, each where its neurons stand."""
        births = [self._tables.births.get(p) for p in found]
        parts = [b.part for b in births if b]
        size = self._neurons(key)
        if len(set(parts)) < 2 or size is None:
            return list(found.values())
        cuts = _plain_slices(parts, size)
        if len(cuts) < len(found):
            raise ValueError(
                f"layer {self._names[key]!r} fires in parts that are not plain slices of it: "
                "its spikes cannot be kept by neuron; count totals"
            )
        pairs = zip(found.values(), cuts, strict=True)
        return [count.map(_putting(c.places(), int(size))) for count, c in pairs]

    # -- what the account says about itself -------------------------------------------

    def convention(self, options: tuple[tuple[str, str], ...]) -> Convention:
        """How it was counted."""
        notes = [self._note(key, s) for key in self._members for s in self._sites(key)]
        uncounted = tuple(dict.fromkeys(map(str, self._tables.uncounted.values())))
        lost = tuple(dict.fromkeys(map(str, self._tables.lost.values())))
        return Convention(
            __version__, options, tuple(notes), uncounted, self._update_operations(), lost
        )

    def _note(self, key: Key, site: Site) -> SiteNote:
        fanout = site.synapses / site.inputs if site.synapses and site.inputs else None
        return SiteNote(
            self._names[key],
            site.source,
            site.primitive,
            "spikes" if site.spiking else "analog",
            str(site.cause or "events arrive by index"),
            site.inputs,
            fanout,
            site.neurons,
            site.synapses,
        )

    def _update_operations(self) -> tuple[Any, ...]:
        """What one update takes, for each layer that has neurons."""
        found = per_update(self._tables)
        layers = {
            name: found[p]
            for key, paths in self._members.items()
            for p in paths
            if found.get(p)
            for name in self._expanded(key)
        }
        return tuple((name, tuple(counts.items())) for name, counts in layers.items())


def _plain_slices(parts: Sequence[tuple[Any, ...]], size: float) -> list[Cut | Chosen]:
    """Parts of a population of this size that are plain slices of it."""
    cuts = [p[0] for p in parts if len(p) == 1 and isinstance(p[0], Cut | Chosen)]
    return [c for c in cuts if math.prod(c.sizes) == size]


def _direction(key: Key) -> str:
    """What a product computes, in brackets; a forward one says nothing."""
    return f" ({key[-1]})" if len(key) == 3 and key[-1] else ""


def _putting(places: np.ndarray, size: int) -> Callable[[Array], Array]:
    """Puts counts by neuron where they belong, among so many."""
    return lambda x: jnp.zeros((*x.shape[:-1], size), x.dtype).at[..., places].set(x)


def _masking(path: tuple[Any, ...]) -> bool:
    """Whether a leaf is called a mask."""
    last = str(path[-1]) if path else ""
    return bool(re.search(r"mask|(^|[^a-z])m([^a-z]|$)", last.lower()))


def _at(value: Array, layers: int | None, i: int) -> Array:
    return value if layers is None else value[..., i]


def _broadcast(count: Sum, layers: int | None) -> Sum:
    if layers is None:
        return count
    return count.map(lambda x: jnp.broadcast_to(x, (layers,)) if x.ndim == 0 else x)
