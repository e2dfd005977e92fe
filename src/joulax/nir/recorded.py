"""`account`: what was recorded on a graph, as an account, without simulating anything."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._activity.account import Account, Convention
from .._activity.record import Activity
from .._count import count
from .._version import __version__
from ..neurons import fast_sigmoid
from . import graph as graphs, signals
from .convert import Maker, length
from .graph import Flat
from .model import shapes
from .neurons import Delay, Neuron
from .nodes import Identity, Node, Scale


def account(
    graph: Any, recordings: Any, *, dt: float | None = None, analog: Sequence[str] = ()
) -> Account:
    """The account of a network that ran elsewhere, from its graph and what was recorded on it.

    The graph says which synapses an event meets, the recordings say which events there were: the
    account is exact for any simulator or chip, and nothing is simulated.

    ```python
    import nir, numpy as np, joulax

    graph = nir.NIRGraph.from_list(
        nir.Linear(np.ones((3, 4), np.float32)),
        nir.IF(r=np.ones(3), v_threshold=np.ones(3), v_reset=np.zeros(3)),
    )
    frames = np.array([[1, 0, 1, 0], [0, 0, 0, 2]])  # two steps of four inputs: four spikes
    account = joulax.nir.account(graph, {"input": frames})
    assert float(account["linear"].ac) == 12
    ```

    **Arguments:**

    - `graph`: a `nir.NIRGraph` or the path of a file.
    - `recordings`: what the inputs and the neurons sent, by node: arrays (time, *node) or
      (samples, time, *node), or NIR's own `NIRGraphData`, whose lists of events need a `dt`. Of a
      subgraph the nodes are called `subgraph.node`. Recordings of other nodes are not needed.
    - `dt`: length of a step [s], for lists of events and for delays.
    - `analog`: nodes whose recordings are values, not spikes: an analog input. Those of `I`, `LI`
      and `CubaLI` always are.

    **Returns:**

    A [`joulax.Account`][] whose layers are called like the nodes with weights; spikes and updates
    of neurons stand at the layer that feeds them first. With samples, every field has their axis.
    Where a node's recording is missing the account is `partial`, and its convention says which.

    **Raises:**

    `ValueError` for a node that is not in the graph, a recording that does not fit its node,
    recordings of different lengths, or fractions where spikes are expected.
    """
    flat = graphs.read(graph)
    return _Recorded(flat, signals.arrays(recordings, dt), dt, tuple(analog)).account()


class _Recorded:
    """One graph with the recordings of its sources."""

    def __init__(
        self,
        flat: Flat,
        recordings: dict[str, np.ndarray],
        dt: float | None,
        analog: tuple[str, ...],
    ):
        _check_names(flat, (*recordings, *analog))
        self.flat, self.dt = flat, dt
        self.nodes = _nodes(flat, dt)
        order, self.cut = graphs.ordered(flat, self.nodes)
        for _, b in self.cut if dt is not None else ():
            self.nodes[b] = self.nodes[b].shorter()
        self.feeders = _feeders(flat, order)
        self.inputs = graphs.inputs(flat)
        declared = {n: _declared(n, flat.nodes[n], recordings) for n in self.inputs}
        self.shapes = {n: out for n, (_, out) in shapes(self.nodes, self.feeders, declared).items()}
        self.analog = {n for n in self._sources() if n in analog or self._integrates(n)}
        self.known = self._fitted(recordings)
        self.axes = self._axes()

    def _integrates(self, name: str) -> bool:
        node = self.nodes[name]
        return isinstance(node, Neuron) and not node.spiking

    def _sources(self) -> list[str]:
        return [n for n in self.feeders if n in self.inputs or self.nodes[n].neurons]

    def _fitted(self, recordings: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Recordings of the sources; an output that shows one neuron node speaks for it."""
        found = dict(recordings)
        for name in recordings:
            fed = self.feeders[name]
            if isinstance(self.nodes[name], Identity) and len(fed) == 1:
                found.setdefault(fed[0], found[name])
        known = {
            n: signals.shaped(n, found[n], self.shapes[n]) for n in self._sources() if n in found
        }
        if not known:
            raise ValueError(
                "none of the recordings is of an input or a neuron; those of the graph are "
                + ", ".join(self._sources())
            )
        for name, value in known.items():
            if name not in self.analog and np.any(value != np.round(value)):
                raise ValueError(
                    f"the recording of {name!r} holds fractions, which are no spikes; if they "
                    f"are values, say analog=({name!r},)"
                )
        return known

    def _axes(self) -> tuple[int, ...]:
        """Leading axes of all recordings: (time,) or (samples, time)."""
        found = {n: v.shape[: v.ndim - len(self.shapes[n])] for n, v in self.known.items()}
        if len(set(found.values())) > 1:
            raise ValueError(f"recordings of different lengths: {found}")
        return next(iter(found.values()))

    # -- synapses ---------------------------------------------------------------------------

    def account(self) -> Account:
        """Synapses by counting them on the recorded frames, neurons from the recordings."""
        layers, rests, convention = self._synapses()
        for name in self._sources():
            if self.nodes[name].neurons:
                self._add_neurons(name, layers, rests)
        order = tuple(sorted(layers, key=list(self.feeders).index))
        return Account(layers, convention, order, rests)

    def _synapses(self) -> tuple[dict[str, Activity], dict[str, Activity], Convention]:
        there = self._counted()
        if not there:
            return {}, {}, self._convention(())
        held = [n for n in self.feeders if n in there or isinstance(self.nodes[n], Scale)]
        labels = {f"n{i}": n for i, n in enumerate(held)}  # no name of a node confuses `count`

        def run(weights: Any, spiking: Any, values: Any) -> Any:
            nodes = self.nodes | {labels[k]: node for k, node in weights.items()}
            known = spiking | values
            return [self._value(n, nodes, known) for n in there]

        counter = count(run, weights=0, spikes=1)
        call = lambda *x: counter(*x)[1]
        call = jax.vmap(call, (None, 0, 0)) if len(self.axes) == 2 else call
        weights = {label: self.nodes[n] for label, n in labels.items()}
        return self._named(call(weights, *self._streams(there)), labels)

    def _counted(self) -> list[str]:
        """Nodes with weights that a recording reaches."""
        return [n for n in self.feeders if self.nodes[n].synaptic and self._reached(n)]

    def _streams(self, there: list[str]) -> tuple[dict[str, Array], dict[str, Array]]:
        """Recordings that reach these nodes: spikes, and values."""
        needed = {s for n in there for s in self._behind(n)} & set(self.known)
        streams = {n: jnp.asarray(self.known[n], jnp.float32) for n in needed}
        values = {n: streams.pop(n) for n in self.analog & needed}
        return streams, values

    def _named(
        self, made: Account, labels: dict[str, str]
    ) -> tuple[dict[str, Activity], dict[str, Activity], Convention]:
        """Records and notes by the names of the nodes."""
        rename = lambda tree: {labels[k]: v for k, v in (tree or {}).items()}
        notes = tuple(
            dataclasses.replace(s, layer=labels[s.layer], source=f"node {labels[s.layer]}")
            for s in made.convention.sites
        )
        return rename(made.layers), rename(made.rest), self._convention(notes)

    def _value(self, name: str, nodes: dict[str, Node], known: dict[str, Array]) -> Array:
        """What a node sends over all steps: recorded, or a function of what is; `known` grows."""
        if name in known:
            return known[name]
        feeders, wait = self._reaching(name), not self._is_late(name)
        values = [self._value(a, nodes, known) for a in feeders]
        parts = [
            _late(value) if wait and self._comes_late(a, name) else value
            for a, value in zip(feeders, values, strict=True)
        ]
        x = parts[0]
        for part in parts[1:]:
            x = x + part
        node = nodes[name]
        if isinstance(node, Delay):
            known[name] = x if self.dt is None else _delayed(node, x)
        else:
            known[name] = jax.vmap(node.now)(x.astype(jnp.result_type(float)))
        return known[name]

    def _reaching(self, name: str) -> list[str]:
        return [a for a in self.feeders[name] if self._reached(a)]

    def _comes_late(self, feeder: str, name: str) -> bool:
        """Whether what a node sends arrives one step later than it was sent."""
        return (feeder, name) in self.cut or self._is_late(feeder)

    def _is_late(self, name: str) -> bool:
        """Whether all that a node receives is late: it then counts what was sent, in every step."""
        feeders = [] if name in self.known else self._reaching(name)
        return bool(feeders) and all(self._comes_late(a, name) for a in feeders)

    def _reached(self, name: str, seen: tuple[str, ...] = ()) -> bool:
        """Whether a recording reaches a node through nodes without neurons."""
        if name in self.known:
            return True
        if name in self._sources() or name in seen:
            return False
        return any(self._reached(a, (*seen, name)) for a in self.feeders[name])

    def _behind(self, name: str, seen: tuple[str, ...] = ()) -> list[str]:
        """Inputs and neurons whose signal a node receives."""
        found: list[str] = []
        for a in self.feeders[name]:
            if a in self._sources():
                found.append(a)
            elif a not in seen:
                found += self._behind(a, (*seen, a))
        return list(dict.fromkeys(found))

    # -- neurons ----------------------------------------------------------------------------

    def _add_neurons(
        self, name: str, layers: dict[str, Activity], rests: dict[str, Activity]
    ) -> None:
        """Spikes and updates of a neuron node, at the layer that feeds it first."""
        owner, size = self._owner(name), float(np.prod(self.shapes[name]))
        fields: dict[str, Any] = {}
        if isinstance(self.nodes[name], Neuron) or not self._behind_itself(name):
            steps = np.full(self.axes[:-1], self.axes[-1] * size)
            fields |= {"updates": steps, "neurons": np.full(self.axes[:-1], size)}
        if name in self.known and name not in self.analog:
            value, axes = self.known[name], tuple(range(len(self.axes) - 1, self.known[name].ndim))
            fields["spikes"] = np.abs(value).sum(axes, dtype=np.float64)
            fields["spikes_graded"] = (value != 0).sum(axes, dtype=np.float64)
        layers[owner] = _plus(layers.get(owner, Activity()), fields, lambda x: x)
        rests[owner] = _plus(rests.get(owner, Activity()), fields, lambda x: x - np.float32(x))

    def _behind_itself(self, name: str) -> bool:
        """Whether a threshold reads the membrane of other neurons, whose updates are counted."""
        return any(self._integrates(a) for a in self._behind(name) if a not in self.inputs)

    def _owner(self, name: str, seen: tuple[str, ...] = ()) -> str:
        """The first node with weights behind a neuron; itself where spikes come one to one."""
        for a in self.feeders[name]:
            if self.nodes[a].synaptic:
                return a
        for a in self.feeders[name]:
            through = a not in self._sources() or self._integrates(a)
            if through and a not in (*self.inputs, *seen):
                found = self._owner(a, (*seen, name))
                if self.nodes[found].synaptic:
                    return found
        return name

    # -- what the account says of itself -------------------------------------------------------

    def _convention(self, notes: tuple[Any, ...]) -> Convention:
        options = (
            ("recorded", ", ".join(self.known)),
            ("time steps", str(self.axes[-1])),
            ("dt", "not given" if self.dt is None else f"{self.dt:g} s"),
            ("one step late", ", ".join(f"{a} → {b}" for a, b in self.cut) or "nothing"),
        )
        uncounted, lost = tuple(self._uncounted()), tuple(dict.fromkeys(self._lost()))
        return Convention(__version__, options, notes, uncounted, lost=lost)

    def _lost(self) -> Iterator[str]:
        """Synapses whose events nobody recorded."""
        for n in (n for n in self.feeders if self.nodes[n].synaptic):
            for a in self._behind(n):
                if a not in self.known:
                    yield f"node {n}: nothing was recorded at {a}, whose events it receives"

    def _uncounted(self) -> Iterator[str]:
        """Neurons whose spikes nobody recorded, and delays of unknown length."""
        for n in self._sources():
            if self.nodes[n].spiking and n not in self.known:
                yield f"node {n}: its spikes were not recorded"
        for n in self.flat.of_type("Delay") if self.dt is None else ():
            yield f"node {n}: events count as arrived; give dt= for its delay"


def _check_names(flat: Flat, names: Sequence[str]) -> None:
    unknown = [n for n in names if n not in flat.nodes]
    if unknown:
        raise ValueError(f"the graph has no node {unknown[0]!r}; it has {', '.join(flat.nodes)}")


def _nodes(flat: Flat, dt: float | None) -> dict[str, Node]:
    """Nodes that are asked for synapses and shapes; of a step, only delays must know the length."""
    maker = Maker(None, "none", False, fast_sigmoid)
    nodes = maker.nodes(flat)
    if dt is None:
        return nodes
    maker.dt = length(dt)
    return nodes | {n: maker.node(n, flat.nodes[n]) for n in flat.of_type("Delay")}


def _feeders(flat: Flat, order: tuple[str, ...]) -> dict[str, list[str]]:
    """What feeds each node, in the order of the nodes; edges that stand twice count twice."""
    return {n: sorted((a for a, b in flat.edges if b == n), key=order.index) for n in order}


def _declared(name: str, node: Any, recordings: dict[str, np.ndarray]) -> tuple[int, ...]:
    """Shape of an input; where the graph has none, the last axis of its recording."""
    shape = next(iter(node.input_type.values()))
    if shape is not None:
        return tuple(int(n) for n in np.ravel(shape))
    if name not in recordings:
        raise ValueError(f"the input {name!r} has no shape in the graph and no recording")
    return recordings[name].shape[-1:]


def _late(x: Array) -> Array:
    """A recording as it arrives where a cycle is cut: one step later."""
    return jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])


def _delayed(node: Delay, x: Array) -> Array:
    """A recording moved by its delay along the first axis."""
    line = jnp.concatenate([jnp.zeros((max(node.steps), *x.shape[1:]), x.dtype), x])
    now = max(node.steps) + np.arange(len(x))
    if len(node.steps) == 1:
        return line[now - node.steps[0]]
    ages = np.broadcast_to(np.reshape(node.steps, node.shape), x.shape[1:])
    when = now.reshape((-1, *(1,) * ages.ndim)) - ages
    return line[(when, *np.indices((1, *ages.shape))[1:])]


def _plus(record: Activity, fields: dict[str, Any], part: Any) -> Activity:
    """A record with these numbers added: two populations may share the layer that feeds them."""
    added = {
        f: jnp.asarray(
            np.float32(part(v))
            + (0 if getattr(record, f) is None else np.asarray(getattr(record, f))),
            jnp.float32,
        )
        for f, v in fields.items()
    }
    return dataclasses.replace(record, **added)
