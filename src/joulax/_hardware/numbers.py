"""Numbers that enter from outside: checked whatever their type, with an error that names them."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

Real = Any  # a number or an array of them; what it is worth is checked when it enters
DYNAMIC, STATIC = "dynamic", "static"  # how a number follows the supply voltage
SHARES = (  # numbers of a chip that are no energies
    *("hops", "skips_spikes", "skips_zeros", "graded", "accumulates", "batches", "depth"),
)


def entry(
    name: str,
    unit: str,
    *,
    optional: bool = False,
    most: float = math.inf,
    positive: bool = False,
    holes: bool = False,
    scales: str | None = None,
    **field: Any,
) -> Any:
    """A field of hardware: a number that is checked when it enters.

    **Arguments:**

    - `name`, `unit`: how errors call it.
    - `optional`: whether `None` may stand there; it is the default then.
    - `most`: the largest value that makes sense.
    - `positive`: whether 0 is refused.
    - `holes`: whether a stack of chips may hold NaN, an unknown number.
    - `scales`: `"dynamic"` for energies, `"static"` for powers that leak, else nothing.
    """
    if optional:
        field.setdefault("default", None)

    def converter(value: Any) -> Any:
        if value is None and optional:
            return None
        return checked(value, name, unit, most=most, positive=positive, holes=holes)

    return eqx.field(converter=converter, metadata={"scales": scales}, **field)


def checked(
    value: Any,
    name: str,
    unit: str = "",
    *,
    most: float = math.inf,
    positive: bool = False,
    holes: bool = False,
) -> Any:
    """A real, finite number in its range, as a floating-point array; tracers pass.

    **Raises:**

    `ValueError` that names the number, for a bool, a string, a complex or missing number, NaN, an
    infinity, or a value out of range.
    """
    if isinstance(value, jax.Array):
        kind = value.dtype
        real = jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)
    else:
        real = not (value is None or any(map(_no_number, _each(value))))
        kind = type(value).__name__
        if real:
            value = _array(value)
            real = value.dtype.kind in "fiu"
    if not real:
        raise ValueError(f"{name} must be a real number{_in(unit)}, got {value!r} ({kind})")
    if not isinstance(value, Tracer):
        _in_range(np.asarray(value), name, unit, most, positive, holes)
    wide = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.floating)
    return value if wide else jnp.asarray(value, jnp.result_type(float))


def plain(value: Any, name: str, unit: str = "", **limits: Any) -> float:
    """A checked number as a Python float; outside of traces."""
    if isinstance(value, Tracer):
        raise ValueError(f"{name} must be known while tracing, got a tracer")
    number = np.asarray(checked(value, name, unit, **limits))
    if number.size != 1:
        raise ValueError(f"{name} must be one number{_in(unit)}, got shape {number.shape}")
    return float(value) if isinstance(value, int | float) else float(number.reshape(()))


def whole(value: Any, name: str, *, least: int = 1) -> int:
    """A whole number, at least `least`."""
    number = plain(value, name)
    if number != int(number) or number < least:
        raise ValueError(f"{name} must be a whole number ≥ {least}, got {value!r}")
    return int(number)


_NO_NUMBER = str | bytes | bool | np.bool_


def _no_number(value: Any) -> bool:
    return isinstance(value, _NO_NUMBER) or getattr(value, "dtype", None) == np.bool_


def _each(value: Any) -> Any:
    """The entries of a list, which NumPy would make alike; else the value itself."""
    return value if isinstance(value, list | tuple) else (value,)


def _array(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        return np.asarray(None)


def _in_range(
    number: np.ndarray, name: str, unit: str, most: float, positive: bool, holes: bool
) -> None:
    known = number[~np.isnan(number)] if holes and number.ndim else number
    if not np.all(np.isfinite(known)):
        raise ValueError(
            f"{name} must be finite{_in(unit)}, got {_first(known, ~np.isfinite(known))}"
        )
    if not np.all(known >= 0):
        what = "a price" if unit == "pJ" else "it"
        raise ValueError(
            f"{name}: {what} cannot be negative (≥ 0), got "
            f"{_first(known, known < 0)}{_in(unit, ' ')}"
        )
    if positive and not np.all(known > 0):
        raise ValueError(f"{name} must be greater than 0{_in(unit)}, got 0")
    if not np.all(known <= most):
        raise ValueError(f"{name} must lie in 0…{most:g}, got {_first(known, known > most)}")


def _first(number: np.ndarray, wrong: Any) -> Any:
    return number[wrong].reshape(-1)[0].item()


def _in(unit: str, before: str = " of ") -> str:
    return f"{before}{unit}" if unit else ""
