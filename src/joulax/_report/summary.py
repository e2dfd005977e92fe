"""`summary`: layers, parameters and operations of a model, by its shapes alone."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from .._activity.account import Convention
from .._count.arguments import names_of
from .._count.names import common_text, is_array
from .._count.surroundings import surroundings
from .rendered import Rendered, number
from .shapes import Shapes, padded

Bits = float | Mapping[str, float]


@dataclass(frozen=True)
class SummaryRow:
    """One layer, or several equal ones.

    **Attributes:**

    - `name`: the layer; `blocks[0..11].up` stands for twelve.
    - `layers`: how many it stands for; the numbers are their sum.
    - `parameters`: numbers that it holds, biases and gains included.
    - `dense_ac`, `dense_mac`: operations with nothing skipped, zero weights included, padding
      excluded [operations].
    - `padded`: both together, with padding [operations].
    - `neurons`, `updates`: neurons, and neurons times steps.
    - `synapses`: positions of synapses, without batch and time.
    - `lookups`: weights read by index and used without arithmetic.
    - `memory`: its parameters at their width in bits [bytes].
    """

    name: str
    layers: int = 1
    parameters: int = 0
    dense_ac: float = 0.0
    dense_mac: float = 0.0
    padded: float = 0.0
    neurons: float = 0.0
    updates: float = 0.0
    synapses: float = 0.0
    lookups: float = 0.0
    memory: float = 0.0

    @property
    def flops(self) -> float:
        """Floating-point operations, two for each dense operation."""
        return 2 * (self.dense_ac + self.dense_mac)

    def times(self, n: int, name: str) -> "SummaryRow":
        """So many equal layers, under one name."""
        kept = {k: v * n for k, v in vars(self).items() if k != "name"}
        return SummaryRow(name, **kept)

    def __add__(self, other: "SummaryRow") -> "SummaryRow":
        """Both together, under the first name."""
        more = vars(other)
        kept = {k: v + more[k] for k, v in vars(self).items() if k != "name"}
        return SummaryRow(self.name, **kept)


@dataclass(frozen=True, repr=False)
class Summary(Rendered):
    """A model by its shapes: `print` it, or read `rows` and `total`.

    **Attributes:**

    - `rows`: one [`joulax.SummaryRow`][] a layer, in program order.
    - `convention`: how sites were found, as in an account.
    - `unknown`: layers whose operations the data decide (the trip count of a loop).
    - `shown`: the rows that are printed.
    """

    rows: tuple[SummaryRow, ...]
    convention: Convention
    unknown: tuple[str, ...] = ()
    shown: tuple[SummaryRow, ...] = ()

    @property
    def total(self) -> SummaryRow:
        """The sum of all layers."""
        return sum(self.rows, SummaryRow("total", layers=0))

    def __getitem__(self, name: str) -> SummaryRow:
        """One layer by its name."""
        found = {r.name: r for r in (*self.shown, *self.rows)}
        if name not in found:
            raise KeyError(f"no layer {name!r}; the layers are {', '.join(found)}")
        return found[name]

    def folded(self) -> "Summary":
        """Equal blocks as one row, `blocks[0..11].up`; so a summary is shown at first."""
        return replace(self, shown=tuple(_folded(self.rows)))

    def unfolded(self) -> "Summary":
        """Every layer a row."""
        return replace(self, shown=self.rows)

    def sorted(self, by: str = "dense_mac", top: int | None = None) -> "Summary":
        """The rows in falling order of a field, all or the first few.

        **Raises:**

        `ValueError` for a field that does not exist.
        """
        if by == "name" or by not in SummaryRow.__dataclass_fields__:
            fields = [f for f in SummaryRow.__dataclass_fields__ if f != "name"]
            raise ValueError(f"rows are sorted by one of {', '.join(fields)}, got {by!r}")
        rows = sorted(self.shown, key=lambda r: getattr(r, by), reverse=True)
        return replace(self, shown=tuple(rows[:top]))

    def parts(self) -> list[Any]:
        """Table and remarks, for rich."""
        from rich.table import Table

        total = self.total
        columns = [c for c in _COLUMNS if getattr(total, c)]
        table = Table(title="Layers by their shapes", title_justify="left")
        table.add_column("layer", overflow="fold")
        for column in columns:
            table.add_column(_COLUMNS[column], justify="right")
        for row in _printed(self.shown, total):
            table.add_row(row.name, *(_cell(row, c) for c in columns))
        table.add_section()
        table.add_row("total", *(_cell(total, c) for c in columns))
        at_least = "≥ " if self.convention.partial else ""
        lines = [
            f"{at_least}{number(total.dense_mac)} MACs and {number(total.dense_ac)} ACs with "
            f"nothing skipped, padding excluded ({number(total.padded)} with it); "
            f"FLOPs are two an operation: {at_least}{number(total.flops)}",
        ]
        lost = [f"synapses that stand in no layer: {what}" for what in self.convention.lost]
        data = [f"the data decide what {name} executes" for name in self.unknown]
        return [table, *lines, *lost, *data]

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a row, and the total: numbers as they are, memory in bytes."""
        bound = {"bound": "≥" if self.convention.partial else "="}
        rows = [*self.shown, replace(self.total, name="total")]
        return [{"layer": r.name, **{c: getattr(r, c) for c in _COLUMNS}, **bound} for r in rows]


def _printed(rows: tuple[SummaryRow, ...], total: SummaryRow) -> list[SummaryRow]:
    """Rows worth a line: small parameters that belong to no operation share the last one."""
    idle = lambda r: not (r.padded or r.updates or r.lookups)
    small = [r for r in rows if idle(r) and r.parameters < 0.01 * total.parameters]
    shared = sum(small, SummaryRow("other parameters", layers=0))
    few = len(small) < 2
    return list(rows) if few else [*(r for r in rows if r not in small), shared]


_COLUMNS = {
    "parameters": "parameters",
    "memory": "memory",
    "dense_ac": "dense ACs",
    "dense_mac": "dense MACs",
    "padded": "with padding",
    "neurons": "neurons",
    "synapses": "synapses",
    "lookups": "look-ups",
}


def _cell(row: SummaryRow, column: str) -> str:
    value = getattr(row, column)
    if column == "memory":
        scale, unit = next((s, u) for s, u in _BYTES if value >= s or s == 1)
        return f"{value / scale:.3g} {unit}"
    return number(value) if value else "–"


_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def summary(
    model: Callable[..., Any],
    *,
    weights: Any = None,
    spikes: Any = None,
    bits: Bits | None = None,
) -> Callable[..., Summary]:
    """Layers of a model with their parameters and operations, from shapes alone.

    ```python
    import equinox as eqx, jax, jax.numpy as jnp, joulax

    model = eqx.filter_eval_shape(eqx.nn.MLP, 784, 10, 256, 2, key=jax.random.key(0))
    made = joulax.summary(model)(jax.ShapeDtypeStruct((784,), jnp.float32))
    assert made.total.dense_mac == 784 * 256 + 256 * 256 + 256 * 10
    ```

    Nothing runs and no array is made, so models larger than the machine are no trouble: weights
    and inputs may be arrays or `jax.ShapeDtypeStruct`s. Loops count as often as they run.

    **Arguments:**

    - `model`: any JAX callable, as for [`joulax.count`][].
    - `weights`, `spikes`: as for [`joulax.count`][].
    - `bits`: width of a weight, for the column of memory: one number or one by layer; by default
      that of its type.

    **Returns:**

    A function of the arguments of `model` that returns a [`joulax.Summary`][].

    **Raises:**

    `ValueError` for a width that is no positive number, or a layer that does not exist.
    """
    options = {"weights": weights, "spikes": spikes, "strict": False}
    _check_widths(bits)

    def summarised(*args: Any, **kwargs: Any) -> Summary:
        shapes = Shapes((model, args, kwargs), options)
        table, unknown = shapes.table()
        order = shapes.order
        more = shapes.table(padded)[0] if shapes.pads() else {}
        held = _held(model, args, kwargs, weights, order)
        rows = []
        for name in dict.fromkeys([*order, *held]):
            fields = dict(table.get(name, {}))
            dense = fields.get("dense_ac", 0.0) + fields.get("dense_mac", 0.0)
            wide = more.get(name, {})
            whole = wide.get("dense_ac", 0.0) + wide.get("dense_mac", 0.0) if wide else dense
            count, memory = _parameters(held.get(name, ()), name, bits)
            rows.append(SummaryRow(name, 1, count, memory=memory, padded=whole, **fields))
        _check_bits(bits, [r.name for r in rows])
        return Summary(tuple(rows), shapes.convention(), unknown).folded()

    return summarised


def _held(
    model: Any, args: Any, kwargs: Any, weights: Any, layers: list[str]
) -> dict[str, list[Any]]:
    """Parameters by the layer that holds them; those of no layer by their own module."""
    held: dict[str, list[Any]] = {}
    seen: set[int] = set()
    for name, tree in _trees(model, args, kwargs, weights):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            if is_array(leaf) and id(leaf) not in seen and not _is_key(leaf):
                seen.add(id(leaf))
                holder = name if not path and name in layers else _holder(path, layers)
                held.setdefault(holder, []).append(leaf)
    return held


def _trees(model: Any, args: Any, kwargs: Any, weights: Any) -> list[tuple[str, Any]]:
    """Everything that holds parameters, by name: what the model closes over, and arguments."""
    names = names_of(weights, "weights")
    called = _called(model, args)
    given = [(called(i), args[i]) for i in names if isinstance(i, int) and i < len(args)]
    given += [(str(n), kwargs[n]) for n in names if n in kwargs]
    around = [("", tree) for _, tree in (*surroundings(model), *_variables(model))]
    return around + given


def _called(model: Any, args: Any) -> Callable[[int], str]:
    """What a model calls its arguments."""
    try:
        bound = inspect.signature(model).bind_partial(*args).arguments
    except (TypeError, ValueError):
        return str
    words = list(bound)
    return lambda i: words[i] if i < len(words) else str(i)


def _holder(path: Any, layers: list[str]) -> str:
    """The layer that a leaf belongs to, or its own module."""
    whole, parent = common_text([(*path, None)]), common_text([path])
    inside = [n for n in layers if whole == n or re.match(re.escape(n) + r"[.\[]", whole)]
    return max(inside, key=len) if inside else parent or whole or "weight"


def _variables(model: Any) -> list[tuple[str, Any]]:
    """Variables of Keras, whose paths are their names."""
    variables = getattr(model, "variables", None)
    if not isinstance(variables, list):
        return []
    named = {v.path.rpartition("/")[0]: [] for v in variables if hasattr(v, "path")}
    for v in variables:
        if hasattr(v, "path") and hasattr(v, "value"):
            named[v.path.rpartition("/")[0]].append(v.value)
    return [("", named)]


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _parameters(leaves: Any, name: str, bits: Bits | None) -> tuple[int, float]:
    width = bits.get(name) if isinstance(bits, Mapping) else bits
    count = [int(np.prod(leaf.shape)) for leaf in leaves]
    widths = [8 * leaf.dtype.itemsize if width is None else width for leaf in leaves]
    return sum(count), sum(n * w / 8 for n, w in zip(count, widths, strict=True))


def _check_bits(bits: Bits | None, names: list[str]) -> None:
    for name in bits if isinstance(bits, Mapping) else ():
        if name not in names:
            raise ValueError(f"bits= names {name!r}; the layers are {', '.join(names)}")


def _check_widths(bits: Any) -> None:
    """Refuse what is no width, before anything is traced."""
    for width in bits.values() if isinstance(bits, Mapping) else () if bits is None else (bits,):
        number = isinstance(width, int | float) and not isinstance(width, bool)
        if not number or not 0 < width < float("inf"):
            raise ValueError(f"bits= takes the width of a weight, a positive number, got {width!r}")


# -- equal blocks ---------------------------------------------------------------------------------

_INDEX = re.compile(r"^(.*?)(\[|_)(\d+)(.*)$")


def _folded(rows: tuple[SummaryRow, ...] | list[SummaryRow]) -> Iterator[SummaryRow]:
    """Runs of blocks that differ by their number alone, as one."""
    rest = list(rows)
    while rest:
        found = _INDEX.match(rest[0].name)
        if found is None:
            yield rest.pop(0)
            continue
        start = found[1] + found[2]
        blocks: dict[int, list[SummaryRow]] = {}
        while rest and (here := _INDEX.match(rest[0].name)) and here[1] + here[2] == start:
            blocks.setdefault(int(here[3]), []).append(replace(rest.pop(0), name=here[4]))
        yield from _runs(start, blocks)


def _runs(start: str, blocks: dict[int, list[SummaryRow]]) -> Iterator[SummaryRow]:
    numbers = list(blocks)
    while numbers:
        first = numbers.pop(0)
        last = first
        while numbers and numbers[0] == last + 1 and blocks[numbers[0]] == blocks[first]:
            last = numbers.pop(0)
        span = f"{first}" if last == first else f"{first}..{last}"
        for row in _folded(blocks[first]):
            yield row.times(last - first + 1, f"{start}{span}{row.name}")
