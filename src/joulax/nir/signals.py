"""Recordings as they come: arrays by node, or NIR's own lists of events, made frames of events."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .convert import length

_SPIKES = ("spikes", "spike", "events", "z", "s")


def arrays(recordings: Any, dt: float | None) -> dict[str, np.ndarray]:
    """Recordings by node as arrays (time, …) or (samples, time, …)."""
    if not isinstance(recordings, Mapping) and not hasattr(recordings, "nodes"):
        raise ValueError(
            "recordings are a dict of arrays (time, *node) by node, or NIRGraphData; got "
            f"{type(recordings).__name__}"
        )
    found = dict(_flat(recordings, ""))
    if not found:
        raise ValueError("no node has a recording")
    grids = {float(r.dt) for r in found.values() if hasattr(r, "data") and hasattr(r, "dt")}
    step = length(dt) if dt is not None else grids.pop() if len(grids) == 1 else None
    return {name: _array(name, r, step) for name, r in found.items()}


def _flat(recordings: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    nodes = recordings.nodes if hasattr(recordings, "nodes") else recordings
    for name, item in nodes.items():
        if hasattr(item, "nodes") or isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{name}.")
        elif hasattr(item, "observables"):
            yield prefix + name, _observed(prefix + name, item.observables)
        else:
            yield prefix + name, item


def _observed(name: str, observables: Mapping[str, Any]) -> Any:
    """The spikes among what was observed at a node, or all there is."""
    called = [k for k in observables if k.lower() in _SPIKES] or list(observables)
    if len(called) != 1:
        raise ValueError(
            f"node {name!r} has observables {', '.join(observables)}; call one of them 'spikes'"
        )
    return observables[called[0]]


def _array(name: str, recording: Any, dt: float | None) -> np.ndarray:
    if hasattr(recording, "idx"):
        array = _gridded(name, recording, dt)
    else:
        array = np.asarray(getattr(recording, "data", recording))
    if array.dtype == object or not np.all(np.isfinite(array)):
        raise ValueError(f"the recording of {name!r} holds values that are no finite numbers")
    from_nir = hasattr(recording, "idx") or hasattr(recording, "dt")
    return array[0] if from_nir and len(array) == 1 else array


def _gridded(name: str, events: Any, dt: float | None) -> np.ndarray:
    """A list of events as frames: an event is in the frame of its time, two in one are two."""
    if dt is None:
        raise ValueError(
            f"the recording of {name!r} is a list of events; updates need a step: give dt="
        )
    steps = int(np.floor(events.t_max / dt + 1e-6))
    there = np.asarray(events.idx) >= 0
    sample, _ = np.nonzero(there)
    time = np.floor(np.asarray(events.time)[there] / dt + 1e-6).astype(int)
    time = np.where(time == steps, steps - 1, time)  # an event at the very end
    neuron = np.asarray(events.idx)[there]
    if np.any((time < 0) | (time >= steps) | (neuron >= events.n_neurons)):
        raise ValueError(
            f"the recording of {name!r} has events behind t_max = {events.t_max:g} s, or of "
            f"neurons beyond {events.n_neurons}"
        )
    value = np.asarray(events.value)[there] if hasattr(events, "value") else 1.0
    frames = np.zeros((len(there), steps, int(events.n_neurons)))
    np.add.at(frames, (sample, time, neuron), value)
    return frames


def shaped(name: str, recording: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A recording (…, *shape of the node), from one that is flat or lacks an axis of one."""
    flat = int(np.prod(shape))
    if recording.ndim - len(shape) in (1, 2) and recording.shape[-len(shape) :] == shape:
        return recording
    if recording.ndim in (2, 3) and recording.shape[-1] == flat:
        return recording.reshape((*recording.shape[:-1], *shape))
    if recording.ndim == 1 and flat == 1:
        return recording.reshape((-1, *shape))
    raise ValueError(
        f"the recording of {name!r} has shape {recording.shape}; expected (time, *{shape}) or "
        f"(samples, time, *{shape})"
    )
