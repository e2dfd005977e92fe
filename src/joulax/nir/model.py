"""`load`: a graph as a model that runs, counts and differentiates."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ..neurons import Spike, fast_sigmoid
from . import graph as graphs
from .convert import Maker, length
from .graph import Edge, Flat
from .nodes import Node

Shape = tuple[int, ...]
Plan = tuple[tuple[str, tuple[tuple[str, bool], ...]], ...]  # node: (feeder, waited a step)


class Network(eqx.Module):
    """A graph that runs: a function of inputs (time, *input); its nodes are its attributes.

    A node whose name is no word of Python is read by `getattr(model, "0")`, and all of them by
    `model.nodes`. One `Input` takes one array, several take a dictionary by name; so do outputs.
    The accounts of `joulax.count(model, spikes=0)(x)` call layers by the names of the nodes.

    **Attributes:**

    - `nodes`: the nodes by name.
    - `convention`: what NIR leaves open and was chosen: length of a step, form and delay of the
      reset, where cycles were cut.
    """

    plan_: eqx.AbstractVar[Plan]
    convention: eqx.AbstractVar[tuple[tuple[str, str], ...]]
    inputs_: eqx.AbstractVar[tuple[str, ...]]
    outputs_: eqx.AbstractVar[tuple[str, ...]]

    @property
    def nodes(self) -> dict[str, Node]:
        """Nodes by name, in the order they run."""
        return {name: getattr(self, name) for name, _ in self.plan_}

    def __call__(self, x: ArrayLike | dict[str, ArrayLike]) -> Array | dict[str, Array]:
        """Run the graph over (time, *input): the output of every step."""
        out = self._run(x, self.outputs_)
        return out[self.outputs_[0]] if len(self.outputs_) == 1 else out

    def record(self, x: ArrayLike | dict[str, ArrayLike]) -> dict[str, Array]:
        """What the inputs and every neuron send, step by step, as `joulax.nir.account` reads it."""
        neurons = tuple(n for n, node in self.nodes.items() if node.neurons)
        return self._run(x, self.inputs_ + neurons)

    def _run(self, x: Any, wanted: tuple[str, ...]) -> dict[str, Array]:
        streams, nodes = self._streams(x), self.nodes
        shapes = self.shapes({n: s.shape[1:] for n, s in streams.items()})
        states = {n: node.init(shapes[n][0]) for n, node in nodes.items() if node.stateful}
        wide = jnp.result_type(float)
        late = [a for _, feeders in self.plan_ for a, waits in feeders if waits]
        waiting = {a: jnp.zeros(shapes[a][1], wide) for a in late}
        step = lambda carry, now: self._step(carry, now, wanted)
        return jax.lax.scan(step, (states, waiting), streams)[1]

    def _step(
        self, carry: Any, now: dict[str, Array], wanted: tuple[str, ...]
    ) -> tuple[Any, dict[str, Array]]:
        states, waiting = carry
        values, states = dict(now), dict(states)
        for name, feeders in self.plan_:
            node = getattr(self, name)
            if name not in values:
                x = _sum([waiting[a] if late else values[a] for a, late in feeders])
                with jax.named_scope(name):
                    new, values[name] = node.step(states.get(name, ()), x)
                if node.stateful:
                    states[name] = new
        return (states, {a: values[a] for a in waiting}), {n: values[n] for n in wanted}

    def _streams(self, x: Any) -> dict[str, Array]:
        if not isinstance(x, dict):
            if len(self.inputs_) != 1:
                raise ValueError(f"the graph has inputs {', '.join(self.inputs_)}; give a dict")
            x = {self.inputs_[0]: x}
        if set(x) != set(self.inputs_):
            raise ValueError(
                f"expected inputs {', '.join(self.inputs_)}, got {', '.join(map(str, x))}"
            )
        wide = jnp.result_type(float)
        streams = {n: jnp.asarray(v).astype(wide) for n, v in x.items()}
        if len({s.shape[:1] for s in streams.values()}) > 1:
            raise ValueError("the inputs have different numbers of steps")
        return streams

    def shapes(self, inputs: dict[str, Shape]) -> dict[str, Any]:
        """Shapes of what goes into each node and of what comes out, for one step."""
        feeders = {n: [a for a, _ in fed] for n, fed in self.plan_}
        return shapes(self.nodes, feeders, inputs)


def shapes(
    nodes: dict[str, Node], feeders: dict[str, list[str]], inputs: dict[str, Shape]
) -> dict[str, tuple[Shape, Shape]]:
    """Shape into and out of every node, from those of the inputs."""
    found = {n: (s, s) for n, s in inputs.items()}
    while left := [n for n in feeders if n not in found]:
        ready = [n for n in left if _into(feeders[n], found)]
        if not ready:
            raise ValueError(f"the nodes {', '.join(left)} are reached by no input")
        for name in ready:
            found[name] = _traced(name, nodes[name], _into(feeders[name], found))
    return found


def _into(feeders: list[str], found: dict[str, tuple[Shape, Shape]]) -> list[Shape]:
    """Shapes out of those feeders that are known."""
    return [found[a][1] for a in feeders if a in found]


def _traced(name: str, node: Node, into: list[Shape]) -> Any:
    """Input and output shape of a node, as tracing finds them: files say them wrongly."""
    try:
        shape = jnp.broadcast_shapes(*into)
        x = jax.ShapeDtypeStruct(shape, jnp.result_type(float))
        out = jax.eval_shape(lambda x: node.step(node.init(shape), x)[1], x)
    except (ValueError, TypeError) as problem:
        raise ValueError(
            f"node {name!r} cannot take an input of shape {into}: {problem}"
        ) from problem
    return shape, out.shape


def _sum(parts: list[Array]) -> Array:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


@functools.cache
def _class(names: tuple[str, ...]) -> Callable[..., Network]:
    """A network whose fields are called like the nodes, so that layers are."""
    statics = {
        "plan_": Plan,
        "convention": tuple[tuple[str, str], ...],
        "inputs_": tuple[str, ...],
        "outputs_": tuple[str, ...],
    }

    def __init__(self: Any, nodes: dict[str, Node], *static: Any) -> None:
        for name, node in nodes.items():
            setattr(self, name, node)
        for name, value in zip(statics, static, strict=True):
            setattr(self, name, value)

    body = {
        "__annotations__": dict.fromkeys(names, Node) | statics,
        "__init__": __init__,
        "__module__": __name__,
        "__doc__": Network.__doc__,
        **{name: eqx.field(static=True) for name in statics},
    }
    metaclass: Any = type(Network)
    return metaclass("Network", (Network,), body)


def load(
    graph_or_path: Any,
    *,
    dt: float,
    reset: str = "zero",
    delayed: bool = False,
    spike: Spike = fast_sigmoid,
) -> Network:
    """A NIR graph as a model over (time, *input) that runs, counts and differentiates.

    NIR states differential equations; neither the length of a step nor the form of the reset is
    in a graph. Here forward Euler advances them, a neuron fires where its membrane lies *above*
    the threshold, and a cycle is cut where spikes travel: they arrive one step later.
    `I` and `IF` add `r` times the input *per step*, as every program that writes them means it.

    **Arguments:**

    - `graph_or_path`: a `nir.NIRGraph`, or the path of a file.
    - `dt`: length of a step [s]; the time constants of the graph are in seconds.
    - `reset`: after a spike to `v_reset` (`"zero"`, NIR's own equation; 0 in files that lack
      it), by `"subtract"`ing the threshold, or `"none"`.
    - `delayed`: whether the reset acts one step after the spike, as snnTorch does it.
    - `spike`: the spike with its surrogate gradient, one of [`joulax.neurons`][]'s or your own.

    **Returns:**

    A [`joulax.nir.Network`][], an Equinox module. Delays are rounded to whole steps.

    **Raises:**

    `ValueError` for a node that is not known or cannot run, by its name; for a cycle without
    neuron; for a `dt` longer than a time constant. `ImportError` for a path without `nir`.
    """
    flat = graphs.read(graph_or_path)
    maker = Maker(length(dt), reset, delayed, spike)
    nodes = maker.nodes(flat)
    order, cut = graphs.ordered(flat, nodes)
    for _, b in cut:
        nodes[b] = nodes[b].shorter()
    taken = [n for n in order if hasattr(Network, n) or n in Network.__annotations__]
    if taken:
        raise ValueError(f"a node cannot be called {taken[0]!r}; rename it in the graph")
    return _class(order)(
        {n: nodes[n] for n in order},
        plan(flat, order, cut),
        _chosen(maker, length(dt), cut),
        tuple(graphs.inputs(flat)),
        tuple(graphs.outputs(flat)),
    )


def plan(flat: Flat, order: tuple[str, ...], cut: tuple[Edge, ...]) -> Plan:
    """For each node in order what feeds it; edges that stand twice count twice."""
    return tuple((n, tuple((a, (a, b) in cut) for a, b in flat.edges if b == n)) for n in order)


def _chosen(maker: Maker, dt: float, cut: tuple[Edge, ...]) -> tuple[tuple[str, str], ...]:
    return (
        ("dt", f"{dt:g} s, forward Euler"),
        ("reset", maker.reset + (", one step later" if maker.delayed else ", at once")),
        ("one step late", ", ".join(f"{a} → {b}" for a, b in cut) or "nothing"),
    )
