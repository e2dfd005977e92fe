"""Sites and births gathered into one record per layer."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp

from ._activity.account import Convention, SiteNote
from ._activity.record import Activity
from ._trace import Analysis, Kind, Leaves, Taps, layer_names, per_update
from ._version import __version__

_SUMMED = ("ac", "ac_graded", "mac", "dense_ac", "dense_mac", "spikes", "spikes_graded", "updates", "touched", "events", "lookups")


class Records:
    """Sites and births gathered into one record per layer, and what they are called."""

    def __init__(self, analysis: Analysis, leaves: Leaves):
        tables = analysis.tables
        self._tables = tables
        self._members: dict[tuple, list] = {}
        for path, site in sorted(tables.sites.items()):
            self._members.setdefault(site.key, []).append(path)
        for path, born in sorted(tables.births.items()):
            if path in tables.living:
                key = tables.sites[born.site].key if born.site is not None else ("input", path)
                self._members.setdefault(key, []).append(path)
        self._names = self._name(leaves)
        self.order = tuple(n for key in self._members for n in self._expanded(key))

    def _name(self, leaves: Leaves) -> dict[tuple, str]:
        used = [key[1] for key in self._members if key[0] == "leaf"]
        known = [i for i in used if leaves.paths[i]]
        names = dict(zip(known, layer_names([leaves.paths[i] for i in known]), strict=True))
        names |= {i: self._place(("leaf", i)) for i in used if i not in names}
        inputs = [key for key in self._members if key[0] == "input"]
        result: dict[tuple, str] = {}
        for key in self._members:
            name = names[key[1]] if key[0] == "leaf" else f"input[{inputs.index(key)}]" if key[0] == "input" else str(key[1])
            while name in result.values():
                name += "′"
            result[key] = name
        return result

    def _place(self, key) -> str:
        """Name of a layer whose weights belong to no model: its named scope, or its source line."""
        site = self._sites(key)[0]
        return site.scope or site.source

    def _sites(self, key) -> list:
        return [self._tables.sites[p] for p in self._members[key] if p in self._tables.sites]

    def _length(self, key) -> int | None:
        return next((s.layered[1] for s in self._sites(key) if s.layered), None)

    def _expanded(self, key) -> list[str]:
        n = self._length(key)
        return [self._names[key]] if n is None else [f"{self._names[key]}[{i}]" for i in range(n)]

    def layers(self, taps: Taps) -> dict[str, Activity]:
        """Activity records by name."""
        result = {}
        for key in self._members:
            fields = self._fields(key, taps)
            n = self._length(key)
            for i, name in enumerate(self._expanded(key)):
                result[name] = Activity(**{f: v if n is None or v is None else v[..., i] for f, v in fields.items()})
        return result

    def _fields(self, key, taps: Taps) -> dict[str, Any]:
        paths, sites = self._members[key], self._sites(key)
        fields: dict[str, Any] = {}
        for name in _SUMMED:
            parts = [taps[p, name] for p in paths if (p, name) in taps]
            fields[name] = self._added(key, name, parts) if parts else None
        for name in ("ac", "spikes"):  # a site without a graded count of its own has 0/1 events
            parts: list[Any] = [taps.get((p, f"{name}_graded"), taps.get((p, name))) for p in paths if (p, name) in taps]
            same = not any((p, f"{name}_graded") in taps for p in paths)
            fields[f"{name}_graded"] = fields[name] if same or not parts else functools.reduce(operator.add, parts)
        nonzero = [taps[p, "nonzero"] for p in paths if (p, "nonzero") in taps]
        fields["nonzero"] = functools.reduce(jnp.maximum, nonzero) if nonzero else None  # a branch not taken says 0
        fields["synapses"] = max((s.synapses for s in sites if s.synapses is not None), default=None)
        claims = [self._tables.claims[p].neurons for p in paths if p in self._tables.claims and self._tables.claims[p].owner == p]
        fields["neurons"] = float(max(claims)) if claims else None
        n = self._length(key)
        return {name: None if v is None else _leaf(v, n) for name, v in fields.items()}

    def _added(self, key, field: str, parts: list[Any]) -> Any:
        shapes = {jnp.shape(p) for p in parts}
        if len(shapes) > 1:
            raise ValueError(
                f"layer {self._names[key]!r} is used at several shapes {sorted(shapes)}: its {field} cannot be kept by neuron or step; count totals"
            )
        return functools.reduce(operator.add, parts)

    def convention(self, options: tuple[tuple[str, str], ...]) -> Convention:
        """What the account says about itself."""
        notes = []
        for key in self._members:
            for site in self._sites(key):
                fanout = site.synapses / site.inputs if site.synapses and site.inputs else None
                kind = "spikes" if site.kind == Kind.SPIKES else "analog"
                notes.append(SiteNote(self._names[key], site.source, site.primitive, kind, str(site.cause), site.inputs, fanout, site.neurons, site.synapses))
        uncounted = tuple(dict.fromkeys(f"`{u.primitive}` at {u.source} on {u.shapes}" for u in self._tables.uncounted.values()))
        return Convention(__version__, options, tuple(notes), uncounted, self._update_operations())

    def _update_operations(self) -> tuple:
        """What one update takes, for each layer that has neurons."""
        found = per_update(self._tables)
        layers = {name: found[p] for key in self._members for p in self._members[key] if p in found and found[p] for name in self._expanded(key)}
        return tuple((name, tuple(counts.items())) for name, counts in layers.items())


def _leaf(value: Any, layers: int | None) -> jax.Array:
    array = jnp.asarray(value, jnp.float32)
    return jnp.broadcast_to(array, (layers,)) if layers is not None and array.ndim == 0 else array
