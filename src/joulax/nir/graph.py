"""Graphs as they come: read, flattened, ordered, with the cycles cut where spikes travel."""

import importlib
import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Edge = tuple[str, str]


@dataclass(frozen=True)
class Flat:
    """A graph without subgraphs; nodes of a subgraph are called `subgraph.node`."""

    nodes: dict[str, Any]
    edges: tuple[Edge, ...]

    def feeders(self, name: str) -> list[str]:
        """Nodes that feed a node, in the order of the edges, each once."""
        return list(dict.fromkeys(a for a, b in self.edges if b == name))

    def of_type(self, *types: str) -> list[str]:
        """Names of the nodes of these types."""
        return [n for n, node in self.nodes.items() if type_of(node) in types]


def type_of(node: Any) -> str:
    """NIR's name of a node's type."""
    return type(node).__name__


def read(graph_or_path: Any) -> Flat:
    """A flat graph, from a graph of the `nir` package or the path of a file."""
    if isinstance(graph_or_path, str | os.PathLike):
        graph_or_path = _read_file(graph_or_path)
    if not hasattr(graph_or_path, "nodes") or not hasattr(graph_or_path, "edges"):
        raise ValueError(
            f"expected a NIRGraph or the path of a .nir file, got {type(graph_or_path).__name__}"
        )
    flat = Flat(dict(_nodes(graph_or_path, "")), tuple(_edges(graph_or_path)))
    _check(flat)
    return _seen(flat)


def _seen(flat: Flat) -> Flat:
    """The graph with an output at every end: what nothing reads is computed and sent, too.

    The package adds these where it checks types, and calls them so.
    """
    nodes, edges = dict(flat.nodes), list(flat.edges)
    after: dict[str, set[str]] = {}
    for a, b in edges:
        after.setdefault(a, set()).add(b)

    def ends(name: str) -> None:
        nodes[f"output_{name}"], sink = _Output(), f"output_{name}"
        edges.append((name, sink))
        after.setdefault(name, set()).add(sink)

    for name in flat.nodes:
        if name not in after and type_of(flat.nodes[name]) not in ("Output", "Input"):
            ends(name)
    for name, node in flat.nodes.items():
        if type_of(node) in _NEURONS and not _leaves(name, nodes, after):
            ends(name)
    return Flat(nodes, tuple(edges))


_Output = type("Output", (), {})
_NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")


def _leaves(name: str, nodes: Mapping[str, Any], after: Mapping[str, set[str]]) -> bool:
    """Whether a way leads from a node to an output."""
    seen, queue = {name}, [name]
    while queue:
        here = queue.pop()
        if type_of(nodes[here]) == "Output" and here not in after:
            return True
        queue += after.get(here, set()) - seen
        seen |= after.get(here, set())
    return False


def _read_file(path: Any) -> Any:
    try:
        nir: Any = importlib.import_module("nir")
    except ImportError as error:
        raise ImportError('reading a file needs nir: pip install "joulax[nir]"') from error
    checks = "type_check" in inspect.signature(nir.read).parameters
    options: Any = {"type_check": False} if checks else {}  # older files have wrong shapes
    return nir.read(path, **options)


def _nodes(graph: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, node in graph.nodes.items():
        if hasattr(node, "nodes"):
            yield from _nodes(node, f"{prefix}{name}.")
        else:
            yield prefix + name, node


def _edges(graph: Any, prefix: str = "") -> Iterator[Edge]:
    """Edges between plain nodes: one to a subgraph ends at its inputs, one from it begins at
    its outputs.
    """
    for a, b in graph.edges:
        for name in (a, b):
            if name not in graph.nodes:
                raise ValueError(f"edge ({a!r}, {b!r}): the graph has no node {prefix + name!r}")
        for start in _ends(graph.nodes[a], prefix + a, "Output"):
            for end in _ends(graph.nodes[b], prefix + b, "Input"):
                yield start, end
    for name, node in graph.nodes.items():
        if hasattr(node, "nodes"):
            yield from _edges(node, f"{prefix}{name}.")


def _ends(node: Any, name: str, kind: str) -> list[str]:
    if not hasattr(node, "nodes"):
        return [name]
    found = [n for n, inner in node.nodes.items() if type_of(inner) == kind]
    if not found:
        raise ValueError(f"the subgraph {name!r} has no {kind} node")
    return [end for n in found for end in _ends(node.nodes[n], f"{name}.{n}", kind)]


def _check(flat: Flat) -> None:
    if not any(not flat.feeders(n) for n in flat.of_type("Input")):
        raise ValueError("the graph has no Input node")
    if not flat.of_type("Output"):
        raise ValueError("the graph has no Output node")


def inputs(flat: Flat) -> list[str]:
    """Inputs of the whole graph; those of subgraphs are fed."""
    return [n for n in flat.of_type("Input") if not flat.feeders(n)]


def outputs(flat: Flat) -> list[str]:
    """Outputs of the whole graph; those of subgraphs feed others."""
    sources = {a for a, _ in flat.edges}
    return [n for n in flat.of_type("Output") if n not in sources]


def ordered(flat: Flat, nodes: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[Edge, ...]]:
    """Nodes so that each stands behind what feeds it, and the edges that carry the last step.

    A cycle is cut at a delay, which then waits one step less; else at the last edge on its way
    round that begins at a spiking node, so that spikes wait for a step and no current does; else
    at the last one that begins at a node with a state.
    """
    cut: list[Edge] = []
    while (cycle := _cycle(flat, cut)) is not None:
        cut.append(_weakest(flat, cycle, nodes))
    order: list[str] = []
    left = dict.fromkeys(_walk(flat, cut))
    while left:
        for name in left:
            waiting = [a for a in flat.feeders(name) if (a, name) not in cut and a in left]
            if not waiting:
                order.append(name)
                del left[name]
                break
    return tuple(order), tuple(cut)


def _walk(flat: Flat, cut: list[Edge]) -> list[str]:
    """Nodes in breadth from the inputs along uncut edges, then what only cut edges reach."""
    found = dict.fromkeys(inputs(flat))
    for edges in ([e for e in flat.edges if e not in cut], list(flat.edges)):
        queue = list(found)
        while queue:
            here = queue.pop(0)
            for a, b in edges:
                if a == here and b not in found:
                    found[b] = None
                    queue.append(b)
    return list(found | dict.fromkeys(flat.nodes))


def _cycle(flat: Flat, cut: list[Edge]) -> list[Edge] | None:
    """Edges of a cycle, in order from the node that the inputs reach first."""
    after: dict[str, list[str]] = {}
    for a, b in flat.edges:
        if (a, b) not in cut:
            after.setdefault(a, []).append(b)
    done: set[str] = set()
    for start in (*inputs(flat), *flat.nodes):
        path, choices = [start], [iter(after.get(start, ()))]
        while path:
            following = next(choices[-1], None)
            if following is None:
                done.add(path.pop())
                choices.pop()
            elif following in path:
                ring = [*path[path.index(following) :], following]
                return list(zip(ring[:-1], ring[1:], strict=True))
            elif following not in done:
                path.append(following)
                choices.append(iter(after.get(following, ())))
    return None


def _weakest(flat: Flat, cycle: list[Edge], nodes: Mapping[str, Any]) -> Edge:
    for a, b in cycle:
        if min(getattr(nodes[b], "steps", (0,))) > 0 and flat.feeders(b) == [a]:
            return a, b
    for wanted in ("spiking", "stateful"):
        for a, b in reversed(cycle):
            if getattr(nodes[a], wanted):
                return a, b
    ring = " → ".join([*(a for a, _ in cycle), cycle[-1][1]])
    raise ValueError(f"the cycle {ring} has no neuron and no delay, so no step can end in it")
