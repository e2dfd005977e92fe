"""Models of brainstate and brainpy, whose states live in objects.

`joulax.count` traces a function once and replays it, and brainstate refuses to have its states
written by such a trace. This `count` asks brainstate for the pure function of a model, counts
that, and writes the states as the model would have done.
"""

import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._activity.account import Account
from ._count import count as count_pure, rule
from ._count.rules.registry import RULES
from .rules import Context, Found, Value, born

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
        import brainstate
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
        states = list(pure.get_states(*args, **kwargs))
        values = [s.value for s in states]
        held = [i for i, s in enumerate(states) if isinstance(s, brainstate.ParamState)]
        places = {i: _place(named.get(id(states[i])), i, values[i]) for i in held}
        zero = {i for i, v in enumerate(values) if i not in places and _is_zero(v)}
        data = {i: v for i, v in enumerate(values) if i not in places and i not in zero}

        def now(params: Any, carried: Any) -> list[Any]:
            made = []
            for i, value in enumerate(values):
                if i in places:
                    made.append(_at(params, places[i]))
                else:
                    made.append(jax.tree.map(jnp.zeros_like, value) if i in zero else carried[i])
            return made

        number = next(_NUMBERS)
        _CALLS[number] = lambda p, c, *given: pure.jaxpr_call(now(p, c), *given, **kwargs)[::-1]

        def run(params: Any, carried: Any, *given: Any) -> Any:
            return _CALLS[number](params, carried, *given)

        params: dict[str, Any] = {}
        for i, place in places.items():
            _put(params, place, values[i])
        counter = count_pure(run, weights=0, spikes=tuple(s + 2 for s in declared), **options)
        try:
            (out, new), account = counter(params, data, *args)
        finally:
            del _CALLS[number]
        for state, value in zip(states, new, strict=True):
            state.value = value
        return out, account

    return counted


# Calls in progress: brainstate's own caches change while they run, and a function that `count`
# traces may close over nothing that changes.
_CALLS: dict[int, Callable[..., Any]] = {}
_NUMBERS = itertools.count()


if "heaviside_surrogate_gradient" not in RULES:

    @rule("heaviside_surrogate_gradient", elementwise=True)
    def _spike(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found:
        """The step of all surrogates of braintools."""
        return born(eqn, ins, ctx, "spikes of a surrogate gradient")


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
