"""Chips made of chips: several stacked as one, sweeps of a price, all prices scaled.

Any hardware can be stacked, swept and scaled: its fields say which of its numbers are energies
and which are powers.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .catalogue import named
from .chip import ABSENT, Hardware
from .costs import Costs
from .numbers import DYNAMIC, STATIC, Real, checked
from .operations import OPERATIONS

Path = tuple[str, ...]


def stack(chips: Sequence[str | Hardware]) -> Any:
    """Several chips as one, with a leading chip axis: price them all with one `vmap`.

    **Arguments:**

    - `chips`: names of the catalogue, or hardware of one class.

    **Returns:**

    Hardware of that class whose leaves have the shape (chips,); a price that one of them lacks is
    NaN, and `energy` gives NaN there where the operation occurs.

    **Raises:**

    `ValueError` for no chips, or chips of different classes.
    """
    if isinstance(chips, str | Hardware):
        raise ValueError("stack() takes a list of chips, got one")
    return stack_hardware([named(c) for c in chips])


def stack_hardware(chips: Sequence[Hardware], names: Sequence[str] | None = None) -> Any:
    """Hardware of one class as one pytree with a leading chip axis; unknown prices become NaN."""
    if not chips:
        raise ValueError("stack() needs at least one chip")
    if any(chip.stacked for chip in chips):
        raise ValueError("stack() takes single chips, and one of these is a stack already")
    other = [type(c).__name__ for c in chips if type(c) is not type(chips[0])]
    if other:
        raise ValueError(
            f"stack() takes chips of one class, got {type(chips[0]).__name__} and {other[0]}"
        )
    called = tuple(chip.called for chip in chips) if names is None else tuple(names)
    return _stacked(chips, called)


def _stacked(parts: Sequence[Any], names: tuple[str, ...]) -> Any:
    """Modules of one class, field by field."""
    changes: dict[str, Any] = {}
    for f in dataclasses.fields(parts[0]):
        values = [getattr(p, f.name) for p in parts]
        if f.name == "name":
            changes["name"] = names
        elif f.name == "sheet":
            changes["sheet"] = tuple(values)
        elif f.metadata.get("static"):
            _must_agree(f.name, values)
        else:
            changes[f.name] = _together(f.name, values)
    return dataclasses.replace(parts[0], **changes)


def _together(name: str, values: list[Any]) -> Any:
    """One field of several modules: chips, prices, or a number of each."""
    if isinstance(values[0], Hardware):
        _must_agree(f"the class of {name}", [type(v).__name__ for v in values])
        return _stacked(values, tuple(v.called for v in values))
    if isinstance(values[0], Costs):
        prices = {op: _together(op, [getattr(v, op) for v in values]) for op in OPERATIONS}
        return Costs(**prices)
    return _column(values, ABSENT.get(name, jnp.nan))


def _column(values: list[Any], missing: float) -> Any:
    """One number of every chip."""
    if all(v is None for v in values):
        return None
    wide = jnp.result_type(float)
    if not any(isinstance(v, Tracer) for v in values):
        known = {id(v): np.asarray(missing if v is None else v) for v in values}
        return jnp.asarray(np.array([known[id(v)] for v in values], wide))
    return jnp.stack([jnp.asarray(missing if v is None else v, wide) for v in values])


def _must_agree(name: str, values: list[Any]) -> None:
    if any(v != values[0] for v in values):
        raise ValueError(f"stack(): {name} must be the same for all, got {values}")


def variants(chip: str | Hardware, **numbers: Real) -> Any:
    """A chip many times, with one or more of its numbers swept.

    ```python
    import joulax

    account = [joulax.activity(ac=1e6, updates=1e5)]
    sweep = joulax.variants("loihi", ac=[10.0, 20.0, 30.0])
    cheap, middle, dear = joulax.energy(account, sweep).total
    ```

    **Arguments:**

    - `chip`: a name of the catalogue, or any hardware.
    - `numbers`: prices by operation [pJ] or fields by name; arrays of one length are swept
      together, plain numbers hold for all.

    **Returns:**

    A stack named by what was swept, like `"loihi, ac 10"`.

    **Raises:**

    `ValueError` for arrays of different lengths or none at all; `TypeError` for a name that the
    chip does not have.
    """
    base = named(chip)
    columns = {n: checked(v, n) for n, v in numbers.items()}
    sizes = sorted({v.shape for v in columns.values() if v.ndim})
    if len(sizes) != 1 or len(sizes[0]) != 1 or base.stacked:
        raise ValueError(
            "variants() sweeps one chip by arrays of one length, got shapes "
            f"{[v.shape for v in columns.values()]}"
        )
    (size,) = sizes[0]
    wide = jax.tree.map(lambda x: jnp.broadcast_to(x, (size,)), base)
    swept = {n: jnp.broadcast_to(v, (size,)) for n, v in columns.items()}
    return renamed(wide, _swept_names(base.called, columns, size)).replace(**swept)


def _swept_names(chip: str, columns: dict[str, Any], size: int) -> tuple[str, ...]:
    arrays = {n: v for n, v in columns.items() if v.ndim}
    if any(isinstance(v, Tracer) for v in arrays.values()):
        return tuple(f"{chip} ({i + 1})" for i in range(size))
    known = {n: np.asarray(v).tolist() for n, v in arrays.items()}
    return tuple(
        ", ".join([chip, *(f"{n} {column[i]:g}" for n, column in known.items())])
        for i in range(size)
    )


def renamed(hardware: Any, names: tuple[str, ...]) -> Any:
    """The same numbers as a stack of so many names."""
    changes: dict[str, Any] = {}
    for f in dataclasses.fields(hardware):
        value = getattr(hardware, f.name)
        if isinstance(value, Hardware):
            changes[f.name] = renamed(value, (value.called,) * len(names))
        elif f.name == "name":
            changes["name"] = names
        elif f.name == "sheet" and not isinstance(value, tuple):
            changes["sheet"] = (value,) * len(names)
    return dataclasses.replace(hardware, **changes)


def scaled(
    chip: str | Hardware,
    factor: Real = None,
    *,
    dynamic: Real = None,
    static: Real = None,
    name: str | None = None,
) -> Any:
    """Hardware whose energies and powers are multiplied, as by another process or supply voltage.

    Energies of operations follow V² behind a rail of the chip; behind a linear regulator the
    battery delivers the same charge at its own voltage, so they follow V¹ (measured on an STM32L4R5
    from 1.8 to 3.0 V: × 1.65). Leakage follows an exponent between 2 and 3: state both ends.

    **Arguments:**

    - `chip`: a name of the catalogue, or any hardware; a stack is scaled chip by chip.
    - `factor`: unitless, on everything, such as [`joulax.models.stillmaker`][] or
      `(volts / reference)**2`.
    - `dynamic`: on the energies of operations and calls, in place of `factor`.
    - `static`: on static, idle and leakage power, in place of `factor`.
    - `name`: of the new chip; its numbers are no longer those of a datasheet.

    **Raises:**

    `ValueError` for a factor that is no positive number, or if none is given.
    """
    base = named(chip)
    if factor is None and dynamic is None and static is None:
        raise ValueError("scaled() needs a factor, or dynamic= and static=")
    by = {}
    for kind, own in ((DYNAMIC, dynamic), (STATIC, static)):
        given = [f for f in (own, factor, 1.0) if f is not None]
        by[kind] = checked(given[0], f"{kind} factor", positive=True)
    done = rebuilt(base, {p: get(base, p) * by[kind] for p, kind in scalable(base)})
    return _own(done, name or _scaled_name(base))


def _scaled_name(hardware: Hardware) -> str | tuple[str, ...]:
    names = tuple(f"{n} scaled" for n in hardware.chips)
    return names if hardware.stacked else names[0]


def _own(hardware: Any, name: str | tuple[str, ...]) -> Any:
    """Without a datasheet, under a name of its own."""
    changes: dict[str, Any] = {}
    for f in dataclasses.fields(hardware):
        value = getattr(hardware, f.name)
        if isinstance(value, Hardware):
            changes[f.name] = _own(value, name)
        elif f.name == "name":
            changes["name"] = name
        elif f.name == "sheet":
            changes["sheet"] = None
    return dataclasses.replace(hardware, **changes)


def scalable(module: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Where the energies and powers of hardware stand, and how each follows the voltage."""
    for f in dataclasses.fields(module):
        value = getattr(module, f.name)
        if value is None:
            continue
        if kind := f.metadata.get("scales"):
            yield (*path, f.name), kind
        elif isinstance(value, Hardware | Costs):
            yield from scalable(value, (*path, f.name))


def get(module: Any, path: Path) -> Any:
    """The number at a path of field names."""
    for name in path:
        module = getattr(module, name)
    return module


def rebuilt(module: Any, numbers: dict[Path, Any]) -> Any:
    """The same hardware with other numbers at some paths."""
    paths = list(numbers)
    if not paths:
        return module
    return eqx.tree_at(lambda m: [get(m, p) for p in paths], module, [numbers[p] for p in paths])
