"""`count`: any JAX function, with what it did beside what it returned."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
from jax.core import Tracer

from ._activity.account import Account, Convention
from ._program import Call, Program, Same, programs
from ._trace import Leaves, Resolution, surroundings


def count(
    fn: Callable,
    *,
    weights: Any = None,
    spikes: Any = None,
    neurons: bool = False,
    steps: int | None = None,
    touched: bool = False,
    events: bool = False,
    strict: bool = False,
) -> "Counter":
    """Count what a JAX function does while it runs.

    The returned function takes the arguments of `fn` and gives `(fn's output, account)`. It works under
    `jax.jit`, `jax.vmap` and `jax.grad`, and compiles once for each set of shapes when called eagerly.

    **Arguments:**

    - `fn`: any callable; if it is a pytree (an Equinox module, a `Partial`), its arrays are weights and
      their place names the layers.

    **Options:**

    - `weights`: numbers of the arguments that hold parameters (Flax, Haiku, plain functions).
    - `spikes`: numbers of the arguments that carry spikes, or a prefix tree of booleans over the
      arguments. Boolean arrays are spikes without being declared, all others are analog. Events of a
      declared argument are its absolute values.
    - `neurons`: keep the axes of the neurons: operations by the neuron that receives them, spikes and
      updates by the neuron itself. Each field sums to its default; `neurons`, `synapses` and `nonzero`
      stay totals.
    - `steps`: keep the axis of the outermost scan of this length, as the first axis of every field.
    - `touched`: also count the neurons that received an event, step by step.
    - `events`: also count the events that arrive, before any fan-out: spikes, or nonzero analog inputs.
    - `strict`: raise if any work on data was not counted.

    **Returns:**

    A function that returns `(output, account)` with a [`joulax.Account`][].

    **Raises:**

    `ValueError` if a module is passed as an argument without `weights=`, if `spikes=` or `weights=` name
    an argument that does not exist, or, with `strict=True`, if work on data was not counted.
    """
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise ValueError(f"steps= takes the length of a scan, a positive number, got {steps!r}")
    return Counter(fn, _numbers(weights, "weights"), spikes, strict, Resolution(neurons, steps, touched, events))


def _numbers(weights: Any, name: str) -> tuple[int, ...]:
    numbers = () if weights is None else (weights,) if isinstance(weights, int) else tuple(weights)
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers):
        raise ValueError(f"{name}= takes the numbers of arguments, like {name}=0 or {name}=(0, 1), got {weights!r}")
    return numbers


class Counter:
    """The function that `count` returns."""

    def __init__(self, fn: Callable, weights: tuple[int, ...], spikes: Any, strict: bool, resolution: Resolution):
        if not callable(fn):
            raise ValueError(f"count() takes a callable, got {type(fn).__name__}; for recorded spikes use joulax.activity_of")
        if inspect.ismethod(fn):
            fn = jax.tree_util.Partial(fn.__func__, fn.__self__)
        self._fn, self.weights, self._spikes = fn, weights, spikes
        self._strict, self._resolution = strict, resolution
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, Account]:
        call = Call(self._fn, args, kwargs)
        program = self._program(call)
        if self._strict and program.convention.uncounted:
            raise ValueError("strict=True: not counted: " + "; ".join(program.convention.uncounted))
        return program(call.dynamic)

    def convention(self, *args: Any, **kwargs: Any) -> Convention:
        """How these arguments, arrays or shapes alone, would be counted."""
        return self._program(Call(self._fn, args, kwargs)).convention

    def _program(self, call: Call) -> Program:
        around = Leaves()
        for name, tree in surroundings(self._fn):
            around.add_tree(tree, name)
        own = {id(leaf) for leaf in call.dynamic}
        outside = [a for a in around.arrays if id(a) not in own]
        make = lambda: Program(call, around, self.weights, self._spikes, self._resolution)
        if any(isinstance(a, Tracer) for a in outside):
            return make()  # what it closes over belongs to one trace only
        declared = tuple(jax.tree.leaves(self._spikes)), str(jax.tree.structure(self._spikes))
        return programs(call.key(self.weights, self._resolution, declared, tuple(map(Same, outside))), make)
