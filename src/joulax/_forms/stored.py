"""Nouns as plain JSON data, and back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def pack(x: Any) -> Any:
    """Any noun of the library as JSON data; NaN becomes null."""
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        kept = {f.name: pack(getattr(x, f.name)) for f in dataclasses.fields(x)}
        return {"is": type(x).__name__, "fields": kept}
    if isinstance(x, jax.Array | np.ndarray):
        return _packed(x)
    if isinstance(x, Mapping):
        return {"map": [[pack(k), pack(v)] for k, v in x.items()]}
    if isinstance(x, tuple | list):
        items = [pack(v) for v in x]
        return {"tuple": items} if isinstance(x, tuple) else items
    return _scalar(x)


def _scalar(x: Any) -> Any:
    x = x.item() if isinstance(x, np.generic) else x
    return {"array": None, "dtype": "float"} if isinstance(x, float) and x != x else x


def _packed(x: Any) -> dict[str, Any]:
    """An array; `host` if it was NumPy's."""
    array = np.asarray(x)
    host = {} if isinstance(x, jax.Array) else {"host": True}
    return {"array": _finite(array.tolist()), "dtype": str(array.dtype), **host}


def _finite(x: Any) -> Any:
    if isinstance(x, list):
        return [_finite(v) for v in x]
    return None if isinstance(x, float) and x != x else x


def unpack(data: Any, kinds: Mapping[str, type]) -> Any:
    """The noun behind JSON data.

    **Raises:**

    `ValueError` for data of a kind that this version does not know.
    """
    if isinstance(data, list):
        return [unpack(v, kinds) for v in data]
    if not isinstance(data, dict):
        return data
    if "array" in data:
        return _array(data)
    if "map" in data:
        return {unpack(k, kinds): unpack(v, kinds) for k, v in data["map"]}
    if "tuple" in data:
        return tuple(unpack(v, kinds) for v in data["tuple"])
    return _noun(data, kinds)


def _noun(data: dict[str, Any], kinds: Mapping[str, type]) -> Any:
    if data.get("is") not in kinds:
        raise ValueError(f"this file holds a {data.get('is')!r}, which this version cannot read")
    return _made(kinds[data["is"]], {k: unpack(v, kinds) for k, v in data["fields"].items()})


def _array(data: dict[str, Any]) -> Any:
    if data["dtype"] == "float":
        return float("nan")
    given = np.asarray(data["array"], np.float64 if "float" in data["dtype"] else data["dtype"])
    array = given.astype(data["dtype"])
    return array if data.get("host") else jnp.asarray(array)


def _made(kind: type, values: dict[str, Any]) -> Any:
    """An instance with these fields; fields that the file does not know take their defaults."""
    made = object.__new__(kind)
    for f in dataclasses.fields(kind):
        if f.name in values:
            value = values[f.name]
        elif f.default is not dataclasses.MISSING:
            value = f.default
        elif f.default_factory is not dataclasses.MISSING:
            value = f.default_factory()
        else:
            raise ValueError(f"this file has no {f.name!r} of its {kind.__name__}")
        object.__setattr__(made, f.name, value)
    return made
