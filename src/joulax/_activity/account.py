"""What `count` returns: one activity record per layer, and the convention they were counted by."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._forms.rendered import Rendered
from .._forms.table import unique as unique
from .record import FIELDS, Activity, is_activity
from .shown import account_parts


@dataclass(frozen=True)
class SiteNote:
    """One synaptic site in words: where it stands and what decided its kind."""

    layer: str
    source: str
    primitive: str
    kind: str  # "spikes" or "analog"
    cause: str
    inputs: float
    fanout: float | None
    neurons: float
    synapses: float | None


@dataclass(frozen=True)
class Convention:
    """How an account was counted: the options, what was left out, where each kind came from.

    Hashable, static.
    """

    version: str
    options: tuple[tuple[str, str], ...]
    sites: tuple[SiteNote, ...]
    uncounted: tuple[str, ...]
    update_operations: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether synapses stand in no record: every count is a lower bound."""
        return bool(self.lost)

    def per_update(self, layer: str) -> dict[str, float]:
        """Arithmetic of one neuron of a layer in one step, read off the program.

        `multiply` (and divide), `add` (and subtract, negate), `compare` (and maximum, minimum),
        `other`
        (exponentials and their like); without the synaptic operations.
        """
        return dict(dict(self.update_operations).get(layer, ()))

    @property
    def total(self) -> bool:
        """Whether everything was summed, so that no count has axes of its own."""
        return not {"neurons", "steps"} & {name for name, _ in self.options}

    @property
    def coverage(self) -> float:
        """Share of the contractions that were counted, in [0, 1]."""
        found = len(self.sites) + len(self.uncounted) + len(self.lost)
        return len(self.sites) / found if found else 1.0

    def why(self, layer: str) -> str:
        """The equation that decided the kind of the input of a layer."""
        return next(
            (f"{s.kind}: {s.cause}" for s in self.sites if s.layer == layer), "made by hand"
        )


class Account(Rendered, eqx.Module, Mapping):
    """Activity of every layer of one call; indexes and iterates like `layers`.

    **Attributes:**

    - `layers`: activity records by layer name, in program order.
    - `convention`: how they were counted; static and hashable.
    """

    _bounded = True

    layers: dict[str, Activity]
    convention: Convention = eqx.field(static=True)
    order: tuple[str, ...] = eqx.field(static=True, repr=False)
    rest: dict[str, Activity] | None = eqx.field(default=None, repr=False)

    @property
    def partial(self) -> bool:
        """Whether synapses stand in no record: every count is a lower bound."""
        return self.convention.partial

    def parts(self) -> list[Any]:
        """What is printed: a table by layer, means over samples; shapes while tracing."""
        return account_parts({name: self.layers[name] for name in self.order}, self.convention)

    def exact(self) -> dict[str, dict[str, Any]]:
        """Every count as a Python integer, exact to 2⁴⁸; outside of `jit`.

        An element that arrives as more than 256 events at once (sums of spikes, handed on as one
        number) may leave the last digits of counts above 2²⁴ to float32.

        **Returns:**

        Integers by layer and field; nested lists of them where a count has axes of its own.

        **Raises:**

        `ValueError` for a count that is no whole number, which names it.
        """
        return {name: dict(_integers(self, name)) for name in self}

    def __getitem__(self, name: str) -> Activity:
        """The record of one layer."""
        if name not in self.layers:
            raise KeyError(f"no layer {name!r}; the layers are {', '.join(self.order)}")
        return self.layers[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the layers in program order."""
        return iter(self.order)

    def __len__(self) -> int:
        """Number of layers."""
        return len(self.order)


def _integers(account: Account, name: str) -> Iterator[tuple[str, Any]]:
    rests = (account.rest or {}).get(name)
    for field in FIELDS:
        value = getattr(account[name], field)
        if value is None:
            continue
        rest = getattr(rests, field, None)
        number = np.asarray(value, np.float64)
        number = number + (0.0 if rest is None else np.asarray(rest, np.float64))
        if not np.all(np.isfinite(number)) or np.any(number != np.round(number)):
            raise ValueError(
                f"{field} of {name} is no whole number: {number}; exact() takes counts"
            )
        yield field, np.vectorize(int, otypes=[object])(number).tolist()


def named_records(records: Any) -> dict[str, Activity]:
    """Activity records of any pytree by name: an account, a dict, a list, a single record."""
    if isinstance(records, Account):
        return {name: records.layers[name] for name in records}
    if isinstance(records, tuple) and any(isinstance(r, Account) for r in records):
        raise ValueError(
            "this is what joulax.count(fn) returned, (output, account); take the account: "
            "output, account = joulax.count(fn)(x), or joulax.count(fn)(x)[1]"
        )
    found = jax.tree_util.tree_leaves_with_path(records, is_leaf=is_activity)
    _check_records([leaf for _, leaf in found])
    names = unique([_name(path) for path, _ in found])
    return {name: leaf for name, (_, leaf) in zip(names, found, strict=True)}


def _check_records(leaves: list[Any]) -> None:
    """Refuse a pytree that has no records, or other leaves among them."""
    wrong = [leaf for leaf in leaves if not is_activity(leaf)]
    if leaves and not wrong:
        return
    what = type(wrong[0]).__name__ if wrong else "nothing"
    what += "; call it: joulax.count(fn)(x)[1]" if wrong and callable(wrong[0]) else ""
    raise ValueError(
        f"expected activity records (joulax.count, joulax.activity) in a pytree, got {what}"
    )


def _name(path: Any) -> str:
    text = jax.tree_util.keystr(path, simple=True, separator=".")
    return text or "layer"
