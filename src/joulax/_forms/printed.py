"""Pytrees and mappings that print their numbers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from . import units
from .rendered import Rendered
from .table import FIGURE, NUMBER, Column, Row, Table


class Fields(Rendered):
    """A pytree of named numbers: one line in a `repr`, a table where there is room."""

    def parts(self) -> list[Any]:
        """Every field that is there."""
        rows = [Row((name, short(value))) for name, value in _there(self).items()]
        columns = (Column("field", type(self).__name__), Column("value", "", NUMBER))
        return [Table(columns, tuple(rows))]

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={short(value)}" for name, value in _there(self).items())
        return f"{type(self).__name__}({said})"


def _there(x: Any) -> dict[str, Any]:
    found = {f.name: getattr(x, f.name) for f in dataclasses.fields(x) if f.repr}
    return {name: value for name, value in found.items() if value is not None}


def short(x: Any) -> str:
    """A number, the mean of many with their shape, or the shape alone while tracing."""
    if units.is_abstract(x):
        return units.shape(x)
    if not isinstance(x, jax.Array | np.ndarray | np.generic | float | int):
        return repr(x)
    a = np.asarray(x, np.float64)
    if not a.ndim:
        return f"{float(a):.6g}"
    return f"{a.mean():.6g} (mean of {','.join(map(str, a.shape))})" if a.size else "none"


class Named(Rendered, dict):
    """Figures by name, or tables of them: a dictionary that prints itself; a pytree."""

    def parts(self) -> list[Any]:
        """A table of rows, or of names and values; deeper ones beneath."""
        if self and all(_is_row(v) for v in self.values()):
            return [_rows(self)]
        flat = {k: v for k, v in self.items() if not isinstance(v, Mapping)}
        deeper = [t for k, v in self.items() if k not in flat for t in _titled(k, v)]
        return [_pairs(flat), *deeper] if flat else deeper


def _is_row(x: Any) -> bool:
    return isinstance(x, Mapping) and not any(isinstance(v, Mapping) for v in x.values())


def _titled(name: str, inner: Mapping[str, Any]) -> list[Table]:
    tables = [t for t in Named(inner).parts() if isinstance(t, Table)]
    title = lambda t: f"{name}, {t.title}" if t.title else str(name)
    return [dataclasses.replace(t, title=title(t)) for t in tables]


def _pairs(flat: Mapping[str, Any]) -> Table:
    rows = tuple(Row((str(k), _number(v))) for k, v in flat.items())
    return Table((Column("figure", "figure"), Column("value", "value", FIGURE)), rows)


def _rows(inner: Mapping[str, Mapping[str, Any]]) -> Table:
    keys = list(dict.fromkeys(k for row in inner.values() for k in row))
    columns = (Column("layer", "layer"), *(Column(str(k), str(k), FIGURE) for k in keys))
    rows = (Row((str(n), *(_number(r.get(k)) for k in keys))) for n, r in inner.items())
    return Table(columns, tuple(rows))


def _number(x: Any) -> Any:
    if x is None or isinstance(x, str):
        return x
    if units.is_abstract(x) or not hasattr(x, "__array__") and not isinstance(x, float | int):
        return x if units.is_abstract(x) else str(x)
    return float(np.asarray(x, np.float64).mean())


jax.tree_util.register_pytree_with_keys(
    Named,
    lambda d: ([(jax.tree_util.DictKey(k), v) for k, v in d.items()], tuple(d)),
    lambda keys, values: Named(zip(keys, values, strict=True)),
)
