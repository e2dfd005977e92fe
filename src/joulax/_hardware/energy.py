"""Energy: operations times costs."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._activity.account import Account, Convention, named_records
from .._activity.record import FIELDS, Activity, total
from .._forms.printed import Fields
from .._forms.rendered import Rendered
from .chip import Hardware
from .operations import OPERATIONS, Operations
from .shown import result_parts

Joules = Float[Array, "..."] | None


class Energy(Fields, eqx.Module):
    """Energy of one layer by operation [pJ]; the fields are those of [`joulax.Operations`][].

    **Attributes:** `ac`, `mac`, `neuron_update`, `spike`, `weight_read`, `weight_write`,
    `state_read`,
    `state_write`, `hop`, `neuron_seconds` [pJ]; `None` where nothing of the kind can occur.
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


class Result(Rendered, eqx.Module):
    """What `energy` returns.

    **Attributes:**

    - `priced`: layers in groups of one form; `layers` and `operations` give them by name.
    - `static`: static power times duration [pJ], or `None` where the chip has none.
    - `activity`: what the network did, by layer.
    - `order`, `convention`, `chip`: names in program order, how it was counted, where it was
      priced; static.
    """

    priced: tuple[Priced, ...]
    static: Joules
    activity: dict[str, Activity]
    order: tuple[str, ...] = eqx.field(static=True)
    convention: Convention | None = eqx.field(static=True)
    chip: str = eqx.field(static=True)

    @property
    def layers(self) -> dict[str, Energy]:
        """Energy of each layer by operation [pJ], in program order."""
        return self._by_name(lambda group: group.energy)

    @property
    def operations(self) -> dict[str, Operations]:
        """What the chip executed, by layer."""
        return self._by_name(lambda group: group.operations)

    @property
    def total(self) -> Array:
        """Energy of the call [pJ]: all layers, all operations, and static power."""
        parts = [group.energy.total.sum(-1) for group in self.priced]
        return total(parts if self.static is None else [*parts, self.static])

    @property
    def per_layer(self) -> dict[str, Array]:
        """Energy of each layer [pJ], in program order."""
        return self._by_name(lambda group: group.energy.total)

    @property
    def per_operation(self) -> Energy:
        """Energy of each operation over all layers [pJ]."""
        spent = {op: [getattr(group.energy, op) for group in self.priced] for op in OPERATIONS}
        return Energy(
            **{
                op: _maybe_total([None if v is None else v.sum(-1) for v in values])
                for op, values in spent.items()
            }
        )

    @property
    def table(self) -> dict[str, dict[str, Array]]:
        """Energy by layer and operation [pJ], without the operations that cannot occur."""
        return {
            n: {op: v for op in OPERATIONS if (v := getattr(e, op)) is not None}
            for n, e in self.layers.items()
        }

    def parts(self) -> list[Any]:
        """What is printed: joules by layer and operation; shapes while tracing."""
        return result_parts(self)

    def _by_name(self, what: Callable[[Priced], Any]) -> dict[str, Any]:
        slices = {
            name: jax.tree.map(lambda a, i=i: a[..., i], what(group))
            for group in self.priced
            for i, name in enumerate(group.names)
        }
        return {name: slices[name] for name in self.order}


def _maybe_total(parts: list[Any]) -> Any:
    return None if all(p is None for p in parts) else total(parts)


def energy(account: Any, hardware: Hardware, duration: Any = None) -> Result:
    """Energy of an activity on a chip.

    A pure function: differentiable in counts, prices and duration, and bilinear in counts and
    prices.
    To price on many chips: `jax.vmap(joulax.energy, in_axes=(None, 0, None))(account,
    joulax.stack([...]), duration)`.

    **Arguments:**

    - `account`: an [`joulax.Account`][], or any pytree of [`joulax.Activity`][] records with equal
      leading axes.
    - `hardware`: a chip, or a stack of chips, whose axis then leads; see [`joulax.hardware`][].
    - `duration`: length of the call [s], for static power and leakage.

    **Returns:**

    A [`joulax.Result`][]; `.total` is the energy of the call [pJ].

    **Raises:**

    `ValueError` while tracing, if the chip has no price for an operation that occurs, if it has
    static
    power and no `duration` is given, or if records have different leading axes; for concrete counts
    also
    if one is negative.
    """
    if not isinstance(hardware, Hardware):
        hint = (
            f"joulax.hardware({hardware!r})"
            if isinstance(hardware, str)
            else "joulax.hardware(name)"
        )
        raise ValueError(f"energy() takes a chip like {hint}, got {type(hardware).__name__}")
    if hardware.costs.stacked:
        return jax.vmap(energy, in_axes=(None, 0, None))(account, hardware, duration)
    records = named_records(account)
    convention = account.convention if isinstance(account, Account) else None
    _check_shapes(records, exact=convention is not None and not convention.total)
    _check_values(records)
    static = hardware.fixed(duration)
    priced = tuple(
        _priced(names, stacked, hardware, duration, convention)
        for names, stacked in _forms(records)
    )
    return Result(priced, static, records, tuple(records), convention, hardware.name)


def _forms(records: Mapping[str, Activity]) -> list[tuple[tuple[str, ...], Activity]]:
    """Records of the same form stacked along a last axis.

    A hundred layers are one computation, not a hundred.
    """
    forms: dict[Any, list[str]] = {}
    for name, record in records.items():
        shape = jnp.broadcast_shapes(*(jnp.shape(leaf) for leaf in jax.tree.leaves(record)))
        forms.setdefault((jax.tree.structure(record), shape), []).append(name)

    def stacked(shape: tuple[int, ...], leaves: tuple[Any, ...]) -> Array:
        return jnp.stack(
            [
                jnp.broadcast_to(leaf, shape) if jnp.shape(leaf) != shape else leaf
                for leaf in leaves
            ],
            axis=-1,
        )

    return [
        (
            tuple(names),
            jax.tree.map(
                lambda *leaves, shape=shape: stacked(shape, leaves), *(records[n] for n in names)
            ),
        )
        for (_, shape), names in forms.items()
    ]


def _priced(
    names: tuple[str, ...],
    activity: Activity,
    hardware: Hardware,
    duration: Any,
    convention: Convention | None,
) -> Priced:
    executed = hardware.operations(activity)
    leaked = hardware.leaked(activity.neurons, duration)
    if leaked is not None:
        executed = dataclasses.replace(executed, neuron_seconds=leaked)
    spent = hardware.spent(
        activity, executed, lambda op: _unpriced(names[0], op, hardware.name, convention)
    )
    return Priced(executed, Energy(**spent), names)


def _unpriced(layer: str, op: str, chip: str, convention: Convention | None) -> str:
    """What to say where a price is missing."""
    head = f"layer {layer!r} executes `{op}`, and {chip} has no price for it"
    why = f" ({convention.why(layer)})" if convention and op in ("mac", "ac") else ""
    if op != "mac":
        return (
            f"{head}{why}. Give one: joulax.costs(..., {op}=…), or choose a chip whose "
            f"sheet has it: joulax.catalogue()"
        )
    return (
        f"{head}{why}. If the input carries spikes, say so: joulax.count(model, spikes=0). "
        "Otherwise encode it into spikes inside the model, or choose a chip with a "
        "MAC price, like '45nm'"
    )


_SIZES = (
    "neurons",
    "synapses",
    "nonzero",
)  # properties of a layer, which have no axes of their own


def _check_shapes(records: Mapping[str, Activity], exact: bool) -> None:
    """Leading axes must agree: steps of one layer cannot be added to samples of another.

    `exact`: a count without axes does not stand for each of them; it was summed over something.
    """
    shapes: dict[tuple[int, ...], str] = {}
    for name, record in records.items():
        for field in FIELDS:
            value = getattr(record, field)
            if value is not None and (jnp.ndim(value) or (exact and field not in _SIZES)):
                shapes.setdefault(jnp.shape(value), f"layer {name!r}")
    if len(shapes) > 1:
        (first, one), (second, two) = list(shapes.items())[:2]
        raise ValueError(
            f"records have different leading axes: {one} has {first}, {two} has "
            f"{second}; sum one of them first"
        )


def _check_values(records: Mapping[str, Activity]) -> None:
    for name, record in records.items():
        for field in FIELDS:
            value = getattr(record, field)
            if (
                value is not None
                and not isinstance(value, Tracer)
                and np.any(np.asarray(value) < 0)
            ):
                raise ValueError(
                    f"layer {name!r} has a negative count: {field} = "
                    f"{np.min(np.asarray(value))}; counts are ≥ 0"
                )
