"""`activity_of`: the record of one layer from spikes that were recorded elsewhere."""

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._activity.account import Account
from .._activity.record import Activity
from .count import Counter, count
from .names import is_array


def activity_of(
    layer: Any,
    spikes_in: ArrayLike,
    *,
    spikes_out: ArrayLike | None = None,
    analog: bool = False,
    leading: int | None = None,
) -> Activity:
    """Activity of one layer from its recorded input.

    **Arguments:**

    - `layer`: a layer with weights, like `eqx.nn.Linear` or `eqx.nn.Conv2d`, any callable of one
      input, or a weight matrix (outputs, inputs).
    - `spikes_in`: the recorded input (…, *input of the layer); the leading axes are samples and
      time
      steps, over which everything is summed.
    - `spikes_out`: what its neurons fired (…, *output), if recorded: then `spikes`, `updates` and
      `neurons` are set, one update for each neuron and step.
    - `analog`: the input is analog, not spikes.
    - `leading`: number of leading axes; by default as many as must be removed for the layer to
      accept the rest.

    **Returns:**

    One [`joulax.Activity`][] with scalar leaves.

    **Raises:**

    `ValueError` if the layer accepts no trailing shape of `spikes_in`, or is not exactly one
    synaptic site.
    """
    spikes_in = _numbers(spikes_in)
    if not spikes_in.size:
        raise ValueError(f"the recording is empty: spikes_in has shape {spikes_in.shape}")
    if is_array(layer):
        layer = functools.partial(jnp.matmul, jnp.asarray(layer))
    counter = count(layer, spikes=None if analog else 0)
    skipped = _leading(counter, spikes_in, leading)
    flat = spikes_in.reshape((-1, *spikes_in.shape[skipped:]))
    (name, *more), account = _records(counter, flat)
    if more:
        raise ValueError(
            f"activity_of() takes one layer, this one has {1 + len(more)} synaptic "
            f"sites; use joulax.count"
        )
    record = account[name]
    summed = {f: None if (v := getattr(record, f)) is None else v.sum() for f in _KEPT}
    for field in ("synapses", "nonzero"):
        value = getattr(record, field)
        summed[field] = None if value is None else value.reshape(-1)[0]
    if spikes_out is not None:
        summed |= _fired(_numbers(spikes_out), spikes_in.shape[:skipped])
    return Activity(**summed)


_KEPT = ("ac", "ac_graded", "mac", "dense_ac", "dense_mac", "synapses", "nonzero")


def _records(counter: Counter, flat: Array) -> tuple[list[str], Account]:
    def counted(x: Array) -> Account:
        return counter(x)[1]

    account = cast(Account, jax.jit(jax.vmap(counted))(flat))
    if not len(account):
        raise ValueError("activity_of() takes a layer with weights, this one has no synaptic site")
    return list(account), account


def _leading(counter: Counter, x: Array, leading: int | None) -> int:
    """Axes to remove until the layer accepts the rest.

    As many as possible, so that steps stay apart.
    """
    options = range(x.ndim, -1, -1) if leading is None else [leading]
    error: Exception | None = None
    for n in options:
        try:
            counter.convention(jax.ShapeDtypeStruct(x.shape[n:], x.dtype))
        except (TypeError, ValueError, IndexError, AssertionError) as problem:
            error = error or problem
        else:
            return n
    raise ValueError(
        f"the layer accepts no trailing shape of an input {x.shape}: {error}"
    ) from error


def _numbers(recorded: ArrayLike) -> Array:
    """Recordings as layers take them: booleans and integers are counts of spikes."""
    array = jnp.asarray(recorded)
    return (
        array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype(jnp.result_type(float))
    )


def _fired(out: Array, recorded: tuple[int, ...]) -> dict[str, Array]:
    skipped = len(recorded)
    if out.shape[:skipped] != recorded:
        raise ValueError(
            f"spikes_out has the shape {out.shape}, but samples and steps of spikes_in are "
            f"{recorded}: the recordings must have the same lengths"
        )
    size = jnp.asarray(out.size, jnp.float32)
    neurons = jnp.asarray(max(out[(0,) * skipped].size, 1), jnp.float32)
    each = jnp.abs(out).astype(jnp.float32).sum()
    return dict(
        spikes=each,
        spikes_graded=(out != 0).astype(jnp.float32).sum(),
        updates=size,
        neurons=neurons,
    )
