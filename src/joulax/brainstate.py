"""Models of brainstate and brainpy, whose states live in objects.

`joulax.count` traces a function once and replays it, and brainstate refuses to have its states
written by such a trace. This `count` asks brainstate for the pure function of a model, counts
that, and writes the states as the model would have done.
"""

import importlib
import inspect
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._activity.account import Account
from ._count import count as count_pure

__all__ = ["count"]


def count(
    model: Callable[..., Any], *, spikes: Any = None, **options: Any
) -> Callable[..., tuple[Any, Account]]:
    """Count what a brainstate model does: the same `(output, account)` as `joulax.count`.

    Parameters (`ParamState`) name the layers by their place in the model. The other states are
    read, carried and written: those that hold zeros are constants of the program, so that spikes
    that a state carries round a `brainstate.transform.for_loop` stay spikes; others are data. So
    reset a network, and let the loop over time be part of what is counted.

    **Arguments:**

    - `model`: a `brainstate.nn.Module`, or a function that calls some.
    - `spikes`: positional arguments that carry spikes, by number.
    - `options`: the other options of [`joulax.count`][], without `weights`.

    **Returns:**

    A function of the arguments of `model` that returns `(output, account)`.

    **Raises:**

    `ImportError` without brainstate; `ValueError` for `weights=`, or `spikes=` that are no numbers.
    """
    try:
        brainstate: Any = importlib.import_module("brainstate")
    except ImportError as error:
        raise ImportError("joulax.brainstate needs brainstate: pip install brainstate") from error
    if "weights" in options:
        raise ValueError("weights= is not needed: the parameters of brainstate are its ParamStates")
    declared = spikes if isinstance(spikes, tuple | list) else () if spikes is None else (spikes,)
    if any(isinstance(s, bool) or not isinstance(s, int) for s in declared):
        raise ValueError(f"spikes= takes positional arguments by number, got {spikes!r}")
    named = _paths(model, brainstate.nn.Module)

    def counted(*args: Any, **kwargs: Any) -> tuple[Any, Account]:
        pure = brainstate.transform.StatefulFunction(model)
        pure.make_jaxpr(*args, **kwargs)
        states = _States(list(pure.get_states(*args, **kwargs)), brainstate.ParamState, named)
        number = next(_NUMBERS)
        call = lambda p, c, *given: pure.jaxpr_call(states.now(p, c), *given, **kwargs)[::-1]

        def run(params: Any, carried: Any, *given: Any) -> Any:
            return _CALLS[number](params, carried, *given)

        counter = count_pure(run, weights=0, spikes=tuple(s + 2 for s in declared), **options)
        _CALLS[number] = call
        try:
            (out, new), account = counter(states.params(), states.data, *args)
        finally:
            del _CALLS[number]
        states.write(new)
        return out, account

    return counted


class _States:
    """The states of a call: parameters, zeros, and what else they hold."""

    def __init__(self, states: list[Any], parameter: type, named: dict[int, tuple[Any, ...]]):
        self._states = states
        self._values = [s.value for s in states]
        held = [i for i, s in enumerate(states) if isinstance(s, parameter)]
        self._places = {i: _place(named.get(id(states[i])), i, self._values[i]) for i in held}
        others = {i: v for i, v in enumerate(self._values) if i not in self._places}
        self.data = {i: v for i, v in others.items() if not _is_zero(v)}

    def params(self) -> dict[str, Any]:
        """Parameters by their places in the model."""
        tree: dict[str, Any] = {}
        for i, place in self._places.items():
            _put(tree, place, self._values[i])
        return tree

    def now(self, params: Any, carried: Any) -> list[Any]:
        """Values of all states in order, while the program is traced."""
        made = []
        for i, value in enumerate(self._values):
            if i in self._places:
                made.append(_at(params, self._places[i]))
            elif i in self.data:
                made.append(carried[i])
            else:
                made.append(jax.tree.map(jnp.zeros_like, value))
        return made

    def write(self, new: Any) -> None:
        """Write the states as the model would have done."""
        for state, value in zip(self._states, new, strict=True):
            state.value = value


# Calls in progress: brainstate's own caches change while they run, and a function that `count`
# traces may close over nothing that changes.
_CALLS: dict[int, Callable[..., Any]] = {}
_NUMBERS = itertools.count()


def _paths(model: Any, module: type) -> dict[int, tuple[Any, ...]]:
    """Places of the states, in a module or in the modules that a function closes over."""
    if isinstance(model, module):
        held = {"": model}
    else:
        around = inspect.getclosurevars(model) if inspect.isfunction(model) else None
        every = {} if around is None else {**around.globals, **around.nonlocals}
        every |= {"self": getattr(model, "__self__", None)}
        held = {n: m for n, m in every.items() if isinstance(m, module)}
    alone = len(held) == 1
    found: dict[int, tuple[Any, ...]] = {}
    for name, item in held.items():
        for path, state in item.states().items():
            found.setdefault(id(state), tuple(path) if alone else (name, *path))
    return found


def _place(path: tuple[Any, ...] | None, i: int, value: Any) -> tuple[str, ...]:
    """Keys under which a parameter stands; a state that is a dict of weights is its module."""
    words = tuple(map(str, path or (f"state{i}",)))
    return words[:-1] if isinstance(value, dict) and len(words) > 1 else words


def _put(tree: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for key in place[:-1]:
        tree = tree.setdefault(key, {})
    tree[place[-1]] = value


def _at(tree: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        tree = tree[key]
    return tree


def _is_zero(value: Any) -> bool:
    return all(not np.any(np.asarray(leaf)) for leaf in jax.tree.leaves(value))
