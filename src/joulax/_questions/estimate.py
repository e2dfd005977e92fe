"""`estimate`: from a model and a batch to a printed report in one line."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
from jax.typing import ArrayLike

from .._activity.account import Account
from .._count import count
from .._count.names import is_array
from .._hardware.catalogue import named
from .._hardware.chip import Hardware
from .._hardware.energy import energy
from .._report.report import Report, report
from .assumed import Rate, assumed_report, is_shapes
from .evaluation import Evaluation, evaluate
from .shown import show


def estimate(
    model: Callable,
    *inputs: Any,
    on: str | Hardware | Sequence[str | Hardware],
    duration: ArrayLike | None = None,
    batch: bool | None = None,
    rate: Rate | None = None,
    **options: Any,
) -> Report | Evaluation:
    """Count a model on its inputs, price it on a chip and print the report.

    **Arguments:**

    - `model`: any JAX callable that takes one sample.
    - `inputs`: its arguments, with a leading batch axis if `batch`; those named by `weights=` have
      none.
    - `on`: a name of the catalogue or a chip; of a list of them, one line each is printed.
    - `duration`: length of one sample [s], for chips with static power.
    - `batch`: whether the first axis of the inputs is a batch. By default it is if the model
      accepts one slice of it; the report says how many samples it averages over.
    - `rate`: where the inputs are `jax.ShapeDtypeStruct`s of one sample, nothing runs, and the
      events per input and step that reach a layer, and the spikes per neuron and step that it
      fires, are assumed: one number, or one by layer. The report says so.
    - `options`: those of [`joulax.count`][]; `strict` is `False` here, so that a partial count is
      shown with `≥`.

    **Returns:**

    The [`joulax.Report`][] that was printed; its `result` holds the numbers, one per sample. For a
    list of chips a [`joulax.Evaluation`][]. In a notebook it is shown once, as a table.
    """
    if rate is not None or is_shapes(inputs):
        if not isinstance(on, str | Hardware):
            raise ValueError("on shapes, estimate() takes one chip; on=[…] needs arrays")
        return show(assumed_report(model, inputs, rate, named(on), duration, options))
    counter = count(model, **{"strict": False, **options})
    batched = _batched(counter, inputs) if batch is None else batch
    if isinstance(on, str | Hardware):
        chip = named(on)
        result = _run(counter, inputs, batched, lambda a: energy(a, chip, duration))
        made = report(result, duration=duration)
    else:
        account = _run(counter, inputs, batched, lambda a: a)
        made = evaluate(account, list(on), duration)
    return show(made)


def _run(counter: Any, inputs: tuple, batched: bool, then: Callable[[Account], Any]) -> Any:
    """Count, sample by sample if there are several, and go on with the account."""
    arrays, rest = eqx.partition(inputs, is_array)
    call = lambda a: then(counter(*eqx.combine(a, rest))[1])
    axes = tuple(None if i in counter.weights else 0 for i in range(len(inputs)))
    return jax.jit(jax.vmap(call, in_axes=(axes,)) if batched else call)(arrays)


def _batched(counter: Any, inputs: tuple) -> bool:
    """Whether the model accepts one slice of every input."""
    one = lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) if is_array(x) and x.ndim else x
    slices = [x if i in counter.weights else jax.tree.map(one, x) for i, x in enumerate(inputs)]
    try:
        counter.convention(*slices)
    except (TypeError, ValueError, IndexError, AssertionError):
        return False
    return True
