"""`count`: any JAX function, with what it did beside what it returned."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
from jax.core import Tracer

from .._activity.account import Account, Convention
from .arguments import Names, names_of
from .elsewhere import pointing, refuse_others
from .names import Leaves, Same, is_array, structure_of
from .program import Call, Program, forget, programs
from .resolution import Resolution
from .rules import CHANGES
from .surroundings import conversions_are_stale, surroundings, watched


def count(
    fn: Callable[..., Any],
    *,
    weights: Any = None,
    spikes: Any = None,
    neurons: bool = False,
    steps: int | None = None,
    touched: bool = False,
    events: bool = False,
    pruning: float | None = None,
    strict: bool = True,
) -> "Counter":
    """Count what a JAX function does while it runs.

    The returned function takes the arguments of `fn` and gives `(fn's output, account)`. It works
    under
    `jax.jit`, `jax.vmap` and `jax.grad`, and compiles once for each set of shapes when called
    eagerly.

    **Arguments:**

    - `fn`: any callable; if it is a pytree (an Equinox module, a `Partial`), its arrays are weights
      and
      their place names the layers.

    **Options:**

    - `weights`: arguments that hold parameters (Flax, Haiku, plain functions), by number or by
      name, keyword arguments included.
    - `spikes`: arguments that carry spikes, by number or by name, or a prefix tree of booleans over
      the positional arguments. Boolean arrays are spikes without being declared, all others are
      analog. Events of a
      declared argument are its absolute values.
    - `neurons`: keep the axes of the neurons: operations by the neuron that receives them, spikes
      and
      updates by the neuron itself. Each field sums to its default; `neurons`, `synapses` and
      `nonzero`
      stay totals.
    - `steps`: keep the axis of the outermost scan of this length, as the first axis of every field.
    - `touched`: also count the neurons that received an event, step by step.
    - `events`: also count the events that arrive, before any fan-out: spikes, or nonzero analog
      inputs.
    - `pruning`: a width, in units of the weights: counts stay exact, and the existence of a synapse
      gets the slope of `w² / (w² + width²)`, so that the gradient of an energy with respect to a
      weight is the energy of the events it would meet, times that slope. `None`: no slope.
    - `strict`: raise if there are synapses that stand in no record, with their source lines. With
      `strict=False` counting goes on, and everything made of the account says `≥`.

    **Returns:**

    A function that returns `(output, account)` with a [`joulax.Account`][].

    **Raises:**

    `ValueError` if a module is passed as an argument without `weights=`, if `spikes=` or `weights=`
    name
    an argument that does not exist, if no result depends on an argument that is data, or, with
    `strict=True`, if synapses stand in no record.
    """
    if steps is not None and not _is_length(steps):
        raise ValueError(f"steps= takes the length of a scan, a positive number, got {steps!r}")
    if pruning is not None and not 0 < pruning < float("inf"):
        raise ValueError(f"pruning= takes a width of weights, a positive number, got {pruning!r}")
    resolution = Resolution(neurons, steps, touched, events, pruning)
    return Counter(fn, names_of(weights, "weights"), spikes, strict, resolution)


def _is_length(steps: Any) -> bool:
    return isinstance(steps, int) and not isinstance(steps, bool) and steps >= 1


class Counter:
    """The function that `count` returns."""

    def __init__(
        self,
        fn: Callable[..., Any],
        weights: Names,
        spikes: Any,
        strict: bool,
        resolution: Resolution,
    ):
        refuse_others(fn)
        if not callable(fn):
            raise ValueError(
                f"count() takes a callable, got {type(fn).__name__}; "
                "for recorded spikes use joulax.activity_of"
            )
        if inspect.ismethod(fn):
            fn = jax.tree_util.Partial(fn.__func__, fn.__self__)
        self._fn, self.weights, self._spikes = fn, weights, spikes
        self._strict, self._resolution = strict, resolution
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, Account]:
        """Run the function: its output, and the account of what it did."""
        call = Call(self._fn, args, kwargs)
        program = self._program(call)
        lost = program.convention.lost
        if self._strict and lost:
            raise ValueError(
                "synapses that stand in no record: " + "; ".join(lost) + ". Write the sum as a "
                "product, teach count its primitive with joulax.rule, or go on with "
                "count(..., strict=False): the account then says ≥"
            )
        return program(call.dynamic)

    def convention(self, *args: Any, **kwargs: Any) -> Convention:
        """How these arguments, arrays or shapes alone, would be counted."""
        return self._program(Call(self._fn, args, kwargs)).convention

    def _program(self, call: Call) -> Program:
        found = list(surroundings(self._fn))
        own = set(map(id, call.dynamic))
        outside = _arrays_outside(found, own)
        passed = own | {id(a) for a in outside if isinstance(a, jax.Array)}
        before = watched(self._fn, passed)
        if conversions_are_stale():
            forget()

        def make() -> Program:
            program = self._traced(call, found)
            after = watched(self._fn, passed)
            return program if before == after else self._settled(call, program, before, after)

        if any(isinstance(a, Tracer) for a in outside):
            return make()  # what it closes over belongs to one trace only
        declared = tuple(jax.tree.leaves(self._spikes)), str(structure_of(self._spikes))
        kept = (declared, tuple(map(Same, outside)), before, len(CHANGES))
        return programs(call.key(self.weights, self._resolution, kept), make)

    def _traced(self, call: Call, found: list[tuple[str, Any]]) -> Program:
        """The program of one call; `found` are the pytrees that the function closes over."""
        around = Leaves()
        for name, tree in found:
            around.add_tree(tree, name)
        refuse_others(None, call.static)
        with pointing(call.fn, call.args, call.kwargs):
            return Program(call, around, self.weights, self._spikes, self._resolution)

    def _settled(
        self, call: Call, first: Program, before: tuple[Any, ...], after: tuple[Any, ...]
    ) -> Program:
        """The program of a function that noted something at its first call ("built", "called"), if
        it writes nothing more and is the same; not kept, for it wrote once.
        """
        if all(isinstance(value[0], str) for _, value in set(after) - set(before)):
            program = self._traced(call, list(surroundings(self._fn)))
            if watched(self._fn) == after and program.same(first):
                program.lasting = False
                return program
        raise _unsettled(before, after)


def _arrays_outside(found: list[tuple[str, Any]], own: set[int]) -> list[Any]:
    """Arrays that a function closes over, each once, without its own."""
    there = (a for _, tree in found for a in jax.tree.leaves(tree) if is_array(a))
    return list({id(a): a for a in there if id(a) not in own}.values())


def _unsettled(before: tuple[Any, ...], after: tuple[Any, ...]) -> ValueError:
    """A function that goes on writing what it closes over: the second call would not run it."""
    known = set(before)
    changed = [entry[0] for entry in after if entry not in known]
    names = ", ".join(dict.fromkeys(changed)) or "what it closes over"
    return ValueError(
        f"the function writes {names} while it runs; a traced function runs once and is then "
        "replayed, so this would be stale. Return the state instead, or pass it as an argument"
    )
