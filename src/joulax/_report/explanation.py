"""`explain`: for every synaptic site, what it is and which equation decided it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from .._activity.account import Convention, SiteNote
from .._count import count
from .rendered import Rendered


@dataclass(frozen=True)
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
        """The table and the remarks, for rich."""
        table = Table(title="What is counted, and why", title_justify="left")
        for column in ("layer", "where", "input", "because"):
            table.add_column(column, overflow="fold")
        for column in ("fan-out", "neurons"):
            table.add_column(column, justify="right")
        for n in self.rows:
            table.add_row(
                n.layer,
                n.source,
                n.kind,
                n.cause,
                "–" if n.fanout is None else f"{n.fanout:g}",
                f"{n.neurons:g}",
            )
        return [table, *(f"not counted: {u}" for u in self.uncounted)]


def explain(fn: Callable, **options: Any) -> Callable[..., Explanation]:
    """Say for every synaptic site why its input is spikes or analog, without running anything.

    **Arguments:**

    - `fn`: as in [`joulax.count`][].
    - `options`: those of [`joulax.count`][].

    **Returns:**

    A function with the arguments of `fn`, arrays or `jax.ShapeDtypeStruct`s, that returns an
    [`joulax.Explanation`][]: name, source line, kind, the deciding equation, mean fan-out, neurons.
    """
    counter = count(fn, **options)

    def explained(*args: Any, **kwargs: Any) -> Explanation:
        return Explanation(counter.convention(*args, **kwargs))

    return explained
