"""What a network did: one record of counts for each synaptic layer."""

import functools
import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._forms.printed import Fields

Count = Float[Array, "..."] | None
Number = Float[Array, "..."]


def number(x: Any) -> Any:
    """A plain number becomes a floating-point array; `None` and arrays of floats stay."""
    if x is None or isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.inexact):
        return x
    return jnp.asarray(x, jnp.result_type(float)) if isinstance(x, ArrayLike) else x


def optional() -> Any:
    """A field that may be absent, and takes plain numbers."""
    return eqx.field(default=None, converter=number)


class Activity(Fields, eqx.Module):
    """Counts at one layer; they know nothing of any hardware.

    Every field is an array with any leading axes (samples, steps, chips), or `None` where the
    thing cannot occur in the program: an account of a purely spiking layer has no `mac`.

    **Attributes:**

    - `ac`: synaptic operations driven by spikes; a spike of value 3 is three events [operations].
    - `ac_graded`: the same with every nonzero event counted once [operations].
    - `mac`: synaptic operations driven by nonzero analog inputs [operations].
    - `dense_ac`, `dense_mac`: the same sites with nothing skipped [operations].
    - `spikes`, `spikes_graded`: spikes fired by the neurons of the layer [spikes].
    - `updates`: neurons advanced by one time step, spiking or not [updates].
    - `neurons`: neurons of the layer, without batch and time.
    - `synapses`: synapse positions, zero weights included.
    - `nonzero`: synapses that exist, i.e. whose weight is not zero.
    - `touched`: neurons that received at least one event in a step, with `count(...,
      touched=True)`; a
      neuron fed by two layers is counted at each.
    - `events`: spikes (or nonzero analog inputs) that arrive, before any fan-out, with `count(...,
      events=True)`.
    - `lookups`: weights read by index and used without arithmetic, as in an embedding.
    - `writes`: weights written, as in on-chip learning.
    """

    ac: Count = optional()
    ac_graded: Count = optional()
    mac: Count = optional()
    dense_ac: Count = optional()
    dense_mac: Count = optional()
    spikes: Count = optional()
    spikes_graded: Count = optional()
    updates: Count = optional()
    neurons: Count = optional()
    synapses: Count = optional()
    nonzero: Count = optional()
    touched: Count = optional()
    events: Count = optional()
    lookups: Count = optional()
    writes: Count = optional()

    @property
    def synops(self) -> Array:
        """Synaptic operations, `ac + mac` [operations]."""
        return total([self.ac, self.mac])

    @property
    def dense(self) -> Array:
        """Synaptic operations with nothing skipped, `dense_ac + dense_mac` [operations]."""
        return total([self.dense_ac, self.dense_mac])


FIELDS = tuple(Activity.__dataclass_fields__)


def total(parts: list[Any]) -> Array:
    """Sum of the parts that exist; zero where none does."""
    there = [p for p in parts if p is not None]
    return functools.reduce(operator.add, there) if there else jnp.zeros((), jnp.float32)


def plus(a: Any, b: Any) -> Any:
    """Sum of two counts, of which either may be `None`: it cannot occur."""
    return b if a is None else a if b is None else a + b


def is_activity(x: Any) -> bool:
    """For `jax.tree` functions: stop at records."""
    return isinstance(x, Activity)


def is_synaptic(record: Activity) -> bool:
    """Whether a record has synaptic operations, rather than the spikes of an encoder alone."""
    return record.ac is not None or record.mac is not None


def activity(**counts: Any) -> Activity:
    """An activity record made by hand.

    **Arguments:**

    - `counts`: any fields of [`joulax.Activity`][] as numbers or arrays [operations]. Where only
      `ac`
      or only `spikes` is given, the graded count is the same: the spikes are taken as 0 or 1. Where
      only
      `mac` is given, so is `dense_mac`: what was counted is executed. Without `dense_ac` a chip
      that
      skips no silent accumulates cannot price the record.

    **Returns:**

    An [`joulax.Activity`][] whose leaves are float32 (float64 under x64) arrays.

    **Raises:**

    `TypeError` for an unknown field; `ValueError` for a count that is negative or not finite,
    named.
    """
    unknown = sorted(set(counts) - set(FIELDS))
    if unknown:
        raise TypeError(
            f"activity() has no field {', '.join(unknown)}; the fields are {', '.join(FIELDS)}"
        )
    for name, other in (("ac", "ac_graded"), ("spikes", "spikes_graded"), ("mac", "dense_mac")):
        if counts.get(name) is not None:
            counts.setdefault(other, counts[name])
    made: dict[int, Count] = {}  # a count under two names is one array
    for name, value in counts.items():
        if id(value) not in made:
            made[id(value)] = _count(name, value)
    return Activity(**{name: made[id(value)] for name, value in counts.items()})


def _wide(value: Any) -> Any:
    """Integers beyond 32 bits become floating-point numbers before JAX sees them."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return (
        value.astype(np.float64)
        if isinstance(value, np.ndarray | np.generic) and np.issubdtype(value.dtype, np.integer)
        else value
    )


def _plain(value: Any) -> Count:
    """Numbers of Python and NumPy as an array, where they are counts."""
    array = np.asarray(_wide(value))
    if array.dtype.kind not in "bfiu" or not np.all((array >= 0) & np.isfinite(array)):
        return None
    return jnp.asarray(array.astype(jnp.result_type(float)))


def _is_real(dtype: Any) -> bool:
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return False
    return dtype == jnp.bool_ or jnp.issubdtype(dtype, jnp.number)


def _count(name: str, value: Any) -> Count:
    if value is None:
        return None
    if isinstance(value, float | int | np.generic | np.ndarray):
        quick = _plain(value)
        if quick is not None:
            return quick
    try:
        array = jnp.asarray(_wide(value))
    except TypeError:
        raise ValueError(
            f"activity({name}=…) must be a real number or array of counts, got {value!r}"
        ) from None
    if not _is_real(array.dtype):
        raise ValueError(
            f"activity({name}=…) must be a real number or array of counts, got dtype {array.dtype}"
        )
    array = array.astype(jnp.result_type(float))
    if (
        not isinstance(array, Tracer)
        and array.size
        and not bool(jnp.all((array >= 0) & jnp.isfinite(array)))
    ):
        raise ValueError(
            f"activity({name}=…) must be counts ≥ 0 and finite, got {value}; check "
            f"the sign or the recording"
        )
    return array
