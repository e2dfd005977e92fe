"""`estimate`: from a model and a batch to a printed report in one line."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.typing import ArrayLike
from rich.console import Console

from .._count import count
from .._count.names import is_array
from .._hardware.catalogue import hardware
from .._hardware.chip import Hardware
from .._hardware.energy import energy
from .._report.report import Report, report
from .assumed import Rate, assumed_report, is_shapes


def estimate(
    model: Callable,
    *inputs: Any,
    on: str | Hardware,
    duration: ArrayLike | None = None,
    batch: bool | None = None,
    rate: Rate | None = None,
    **options: Any,
) -> Report:
    """Count a model on its inputs, price it on a chip and print the report.

    **Arguments:**

    - `model`: any JAX callable that takes one sample.
    - `inputs`: its arguments, with a leading batch axis if `batch`; those named by `weights=` have
      none.
    - `on`: a name of the catalogue or a chip.
    - `duration`: length of one sample [s], for chips with static power.
    - `batch`: whether the first axis of the inputs is a batch. By default it is if the model
      accepts
      one slice of it; the report says how many samples it averages over.
    - `rate`: where the inputs are `jax.ShapeDtypeStruct`s of one sample, nothing runs, and the
      events per input and step that reach a layer, and the spikes per neuron and step that it
      fires, are assumed: one number, or one by layer. The report says so.
    - `options`: those of [`joulax.count`][].

    **Returns:**

    The [`joulax.Report`][] that was printed; its `result` holds the numbers, one per sample.
    """
    chip = hardware(on) if isinstance(on, str) else on
    if rate is not None or is_shapes(inputs):
        return _printed(assumed_report(model, inputs, rate, chip, duration, options))
    counter = count(model, **options)
    batched = _batched(counter, inputs) if batch is None else batch
    arrays, rest = eqx.partition(inputs, is_array)
    call = lambda a: energy(counter(*eqx.combine(a, rest))[1], chip, duration)
    axes = tuple(None if i in counter.weights else 0 for i in range(len(inputs)))
    result = jax.jit(jax.vmap(call, in_axes=(axes,)) if batched else call)(arrays)
    return _printed(report(result))


def _printed(made: Report) -> Report:
    Console().print(str(made), soft_wrap=True, markup=False, highlight=False)
    return made


def _batched(counter: Any, inputs: tuple[Any, ...]) -> bool:
    """Whether the model accepts one slice of every input."""
    one = lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) if is_array(x) and x.ndim else x
    slices = [x if i in counter.weights else jax.tree.map(one, x) for i, x in enumerate(inputs)]
    try:
        counter.convention(*slices)
    except (TypeError, ValueError, IndexError, AssertionError):
        return False
    return True
