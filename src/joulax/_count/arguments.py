"""What is known about the arguments of a counted function before it is traced."""

import functools
import inspect
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .axes import VARIES, Axes
from .kinds import SPIKE, Analog, Cause, Data, Events, Parameter, Value, parameter, varied
from .names import Leaves, is_array, is_sequence, leaves_with_paths

Names = tuple[int | str, ...]


def names_of(declared: Any, option: str) -> Names:
    """Arguments named by number or by name; anything else is refused."""
    if declared is None:
        return ()
    single = isinstance(declared, int | str) and not isinstance(declared, bool)
    names = (declared,) if single else declared
    if is_sequence(names) and all(map(_is_name, names)):
        return tuple(names)
    raise ValueError(
        f"{option}= takes arguments by number or by name, like {option}=0 or "
        f'{option}=("params", 1), got {declared!r}'
    )


def _is_name(name: Any) -> bool:
    number = isinstance(name, int) and not isinstance(name, bool) and name >= 0
    return number or isinstance(name, str)


def signature_names(fn: Any) -> list[str]:
    """Names of the positional parameters of a function, as far as it has a signature."""
    try:
        return list(inspect.signature(fn).parameters)
    except (TypeError, ValueError):
        return []


class Arguments:
    """The arguments of one call, with names for those that are declared."""

    def __init__(self, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]):
        self.fn, self.args, self.kwargs = fn, args, kwargs
        self._signature = signature_names(fn)

    def place(self, name: int | str, option: str) -> int | str:
        """Number of a positional argument, or name of a keyword argument."""
        if isinstance(name, int):
            if name < len(self.args):
                return name
            if name < len(self._signature) and self._signature[name] in self.kwargs:
                return self._signature[name]
            raise ValueError(
                f"{option}={name} names argument {name}, but the function was called with "
                f"{len(self.args)} positional arguments"
            )
        if name in self.kwargs:
            return name
        if name in self._signature and self._signature.index(name) < len(self.args):
            return self._signature.index(name)
        called = [*self._signature[: len(self.args)], *self.kwargs]
        raise ValueError(
            f"{option}={name!r} names no argument of this call; it was called with "
            f"{', '.join(called) or 'nothing'}"
        )

    def places(self, names: Names, option: str) -> frozenset[int | str]:
        """Where the declared arguments stand in this call."""
        return frozenset(self.place(n, option) for n in names)

    def items(self) -> list[tuple[int | str, Any]]:
        """Arguments by number or name, in the order in which they are flattened."""
        return [*enumerate(self.args), *sorted(self.kwargs.items())]

    def title(self, place: int | str) -> str:
        """What an argument is called."""
        if isinstance(place, int) and place < len(self._signature):
            return self._signature[place]
        return f"argument{place}" if isinstance(place, int) else place


def check_modules(arguments: Arguments, weights: frozenset[int | str]) -> None:
    """Refuse a module among the arguments that nobody has declared weights or data."""
    for place, arg in arguments.items():
        found = jax.tree.leaves(arg, is_leaf=callable)
        modules = [m for m in found if callable(m) and not isinstance(m, jax.Array)]
        modules = [m for m in modules if any(map(is_array, jax.tree.leaves(m)))]
        if modules and place not in weights:
            raise ValueError(
                f"argument {place} is a module ({type(modules[0]).__name__}): are its arrays "
                f"weights or data? Say count(fn, weights={place!r}), or count the module itself: "
                "count(model)(x)"
            )


def argument_values(
    arguments: Arguments, around: Leaves, weights: Names, spikes: Any
) -> list[Value]:
    """Kinds of all traced inputs, in the order in which they are flattened."""
    declared = arguments.places(weights, "weights")
    check_modules(arguments, declared)
    marks = declared_spikes(arguments, spikes)
    found: list[Value] = [*_own(arguments.fn, around)]
    for place, arg in arguments.items():
        for k, (path, leaf) in enumerate(leaves_with_paths(eqx.filter(arg, is_array))):
            if place in declared:
                name = arguments.title(place)
                full = (name, *path) if _bare(path) else path
                index = around.new(full, jnp.shape(leaf))
                found.append(parameter(jnp.shape(leaf), leaves=frozenset((index,))))
            else:
                data = data_value(leaf, marks[place][k], f"argument {place}")
                found.append(data.but(given=frozenset(((len(found),),))))
    return found


def _own(fn: Any, around: Leaves) -> list[Parameter]:
    """Arrays of the function itself: the paths of a module name its layers."""
    wrapped = hasattr(fn, "__wrapped__")  # a wrapper hides the paths: found by identity
    found: list[Parameter] = []
    for path, leaf in leaves_with_paths(eqx.filter(fn, is_array)):
        known = wrapped or isinstance(fn, functools.partial)
        index = around.of(leaf) if known else None
        index = around.new(path, jnp.shape(leaf)) if index is None else index
        found.append(parameter(jnp.shape(leaf), leaves=frozenset((index,))))
    return found


def _bare(path: Sequence[Any]) -> bool:
    return not path or isinstance(path[0], jax.tree_util.SequenceKey)


def declared_spikes(arguments: Arguments, spikes: Any) -> dict[int | str, list[bool]]:
    """For every argument, for every array in it, whether it was declared to carry spikes."""
    counts = {p: _arrays_in(a) for p, a in arguments.items()}
    if spikes is None:
        return {p: [False] * n for p, n in counts.items()}
    names = spikes if is_sequence(spikes) else (spikes,)
    if all(map(_is_name, names)):
        chosen = arguments.places(names_of(spikes, "spikes"), "spikes")
        return {p: [p in chosen] * n for p, n in counts.items()}
    return _marked(arguments, spikes, counts)


def _marked(
    arguments: Arguments, spikes: Any, counts: dict[int | str, int]
) -> dict[int | str, list[bool]]:
    """A prefix tree of booleans over the arguments."""
    wrong = ValueError(
        f"spikes={spikes!r} is neither argument numbers or names nor a prefix tree of "
        "booleans over the arguments"
    )
    flags = jax.tree.leaves(spikes)
    if not flags or not all(isinstance(f, bool) for f in flags):
        raise wrong

    def spread(mark: bool, part: Any) -> list[bool]:
        return [mark] * _arrays_in(part)

    try:
        trees = jax.tree.map(spread, spikes, tuple(arguments.args))
    except ValueError as error:
        raise ValueError(f"{wrong}: {error}") from None
    found: dict[int | str, list[bool]] = {p: [False] * n for p, n in counts.items()}
    return found | {i: [bool(m) for m in jax.tree.leaves(t)] for i, t in enumerate(trees)}


def _arrays_in(tree: Any) -> int:
    return len(jax.tree.leaves(eqx.filter(tree, is_array)))


def data_value(leaf: Any, spiking: bool, name: str) -> Data:
    """What an argument is: spikes where that is declared or boolean, else analog."""
    shape = jnp.shape(leaf)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return Analog(Axes.of(shape, VARIES), cause=Cause(f"{name} is a random key"), random=True)
    what = f"{jnp.dtype(leaf.dtype).name}[{','.join(map(str, shape))}]"
    boolean = leaf.dtype == jnp.bool_
    if not (spiking or boolean):
        cause = Cause(f"{name} ({what}) is not declared as spikes")
        return Analog(varied(shape), cause=cause)
    cause = Cause(f"{name} ({what}) is {'declared by spikes=' if spiking else 'boolean'}")
    return Events(varied(shape), cause=cause, values=SPIKE, nonneg=boolean, loose=not boolean)
