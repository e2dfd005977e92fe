"""`explain`: for every synaptic site, what it is and which equation decided it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._activity.account import Convention, SiteNote
from .._count import count
from .._forms.rendered import Rendered
from .._forms.table import COUNT, NUMBER, Column, Row, table


@dataclass(frozen=True, repr=False)
class Explanation(Rendered):
    """One row per synaptic site; `print` it, or read `rows`."""

    convention: Convention

    @property
    def rows(self) -> tuple[SiteNote, ...]:
        """One note per site, in program order."""
        return self.convention.sites

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Work on data that was not counted, with source lines."""
        return self.convention.uncounted

    def parts(self) -> list[Any]:
        """The table and the remarks."""
        columns = [
            Column("layer", "layer"),
            Column("source", "where"),
            Column("kind", "input"),
            Column("cause", "because"),
            Column("fanout", "fan-out", NUMBER),
            Column("neurons", "neurons", COUNT),
        ]
        rows = [Row((n.layer, n.source, n.kind, n.cause, n.fanout, n.neurons)) for n in self.rows]
        lost = self.convention.lost
        return [
            "What is counted, and why",
            table(columns, rows),
            *(f"lost, so every count is a lower bound (≥): {u}" for u in lost),
            *(f"not counted: {u}" for u in self.uncounted),
        ]


def explain(fn: Callable, **options: Any) -> Callable[..., Explanation]:
    """Say for every synaptic site why its input is spikes or analog, without running anything.

    **Arguments:**

    - `fn`: as in [`joulax.count`][].
    - `options`: those of [`joulax.count`][].

    **Returns:**

    A function with the arguments of `fn`, arrays or `jax.ShapeDtypeStruct`s, that returns an
    [`joulax.Explanation`][]: name, source line, kind, the deciding equation, mean fan-out, neurons.
    """
    counter = count(fn, **{"strict": False, **options})

    def explained(*args: Any, **kwargs: Any) -> Explanation:
        return Explanation(counter.convention(*args, **kwargs))

    return explained
