"""What `energy` returns: joules by layer and operation, and what they were made of."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._activity.account import Convention
from .._activity.record import Activity, total
from .._forms.printed import Fields
from .._forms.rendered import Rendered
from .chip import Hardware, Names
from .operations import OPERATIONS, Operations
from .provenance import Provenance, provenance
from .shown import result_parts

Joules = Float[Array, "..."] | None


class Energy(Fields, eqx.Module):
    """Energy of one layer by operation [pJ]; the fields are those of [`joulax.Operations`][].

    **Attributes:** `ac`, `mac`, `neuron_update`, `spike`, `weight_read`, `weight_write`,
    `state_read`, `state_write`, `hop`, `neuron_seconds` [pJ]; `None` where nothing of the kind can
    occur.
    """

    ac: Joules = None
    mac: Joules = None
    neuron_update: Joules = None
    spike: Joules = None
    weight_read: Joules = None
    weight_write: Joules = None
    state_read: Joules = None
    state_write: Joules = None
    hop: Joules = None
    neuron_seconds: Joules = None

    @property
    def total(self) -> Array:
        """Sum over the operations [pJ]."""
        return total([getattr(self, name) for name in OPERATIONS])


class Priced(eqx.Module):
    """Layers of one form, priced together: every array has a last axis of layers.

    **Attributes:**

    - `operations`: what the chip executed.
    - `energy`: what that cost [pJ].
    - `names`: the layers along the last axis; static.
    """

    operations: Operations
    energy: Energy
    names: tuple[str, ...] = eqx.field(static=True)


def _grade(found: Provenance) -> tuple[str, str]:
    """Evidence of the prices of a chip, and what must be said aloud of it."""
    if found.evidence == "unsourced":
        return "UNSOURCED", f"{found.chip}: UNSOURCED prices, nobody has published them"
    if any(q.verified == "unverified" for q in found.cited.values()):
        said = f"{found.chip}: prices from memory, not checked against their source"
        return f"{found.evidence}, from memory", said
    return found.evidence, ""


class Result(Rendered, eqx.Module):
    """What `energy` returns.

    **Attributes:**

    - `per_operation`: energy of each operation over all layers [pJ].
    - `priced`: layers in groups of one form; `layers` and `operations` give them by name.
    - `static`: energy that no operation causes (static power, calls) [pJ], or `None`.
    - `activity`: what the network did, by layer.
    - `hardware`: where it was priced; its prices are what reports compare with the datasheet.
    - `order`, `convention`: names in program order, how it was counted; static.
    - `assumed`: what the caller assumed about missing prices, in words; static.
    """

    _bounded = True

    per_operation: Energy
    priced: tuple[Priced, ...]
    static: Joules
    activity: dict[str, Activity]
    hardware: Hardware
    order: tuple[str, ...] = eqx.field(static=True)
    convention: Convention | None = eqx.field(static=True)
    assumed: tuple[str, ...] = eqx.field(default=(), static=True)

    def parts(self) -> list[Any]:
        """What is printed: joules by layer and operation; shapes while tracing."""
        return [*result_parts(self), *(f"warning: {said}" for _, said in self._grades() if said)]

    def _grades(self) -> list[tuple[str, str]]:
        """How good the prices of each chip are; nothing while tracing."""
        if any(isinstance(x, Tracer) for x in jax.tree.leaves(self)):
            return []
        return [_grade(found) for found in provenance(self.hardware)]

    def _marks(self, partial: bool) -> dict[str, Any]:
        grades = dict.fromkeys(grade for grade, _ in self._grades())
        return super()._marks(partial) | {"evidence": "; ".join(grades)}

    @property
    def chip(self) -> Names:
        """Name of the chip, a tuple for a stack."""
        return self.hardware.name

    @property
    def chips(self) -> tuple[str, ...]:
        """Names of the chips; one, unless a stack was priced."""
        return self.hardware.chips

    @property
    def partial(self) -> bool:
        """Whether synapses stand in no record: every number is a lower bound."""
        return self.convention is not None and self.convention.partial

    @property
    def total(self) -> Array:
        """Energy of the call [pJ]: all layers, all operations, static power and calls."""
        dynamic = self.per_operation.total
        return dynamic if self.static is None else dynamic + self.static

    @property
    def layers(self) -> dict[str, Energy]:
        """Energy of each layer by operation [pJ], in program order."""
        return self._by_name(lambda group: group.energy)

    @property
    def operations(self) -> dict[str, Operations]:
        """What the chip executed, by layer."""
        return self._by_name(lambda group: group.operations)

    @property
    def per_layer(self) -> dict[str, Array]:
        """Energy of each layer [pJ], in program order; make it outside of `jit`.

        `layer_totals` is the same as one array.
        """
        return self._by_name(lambda group: group.energy.total)

    @property
    def layer_totals(self) -> Float[Array, "... layers"]:
        """Energy of each layer [pJ] along a last axis, in the order of `order`."""
        found = [group.energy.total for group in self.priced]
        names = [name for group in self.priced for name in group.names]
        joined = found[0] if len(found) == 1 else jnp.concatenate(found, axis=-1)
        if tuple(names) == self.order:
            return joined
        at = {name: i for i, name in enumerate(names)}
        return joined[..., np.array([at[name] for name in self.order])]

    @property
    def table(self) -> dict[str, dict[str, Array]]:
        """Energy by layer and operation [pJ], without the operations that cannot occur."""
        return {
            n: {op: v for op in OPERATIONS if (v := getattr(e, op)) is not None}
            for n, e in self.layers.items()
        }

    def _by_name(self, what: Callable[[Priced], Any]) -> dict[str, Any]:
        """The layers of every group apart, each array taken apart once."""
        found = {}
        for group in self.priced:
            leaves, form = jax.tree.flatten(what(group))
            columns = [list(jnp.moveaxis(leaf, -1, 0)) for leaf in leaves]
            for i, name in enumerate(group.names):
                found[name] = jax.tree.unflatten(form, [column[i] for column in columns])
        return {name: found[name] for name in self.order}
