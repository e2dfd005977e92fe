"""Records priced together: forms of layers, checks, and sums before prices where that is exact."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array

from .._activity.account import Convention
from .._activity.record import FIELDS, Activity, total
from .chip import Hardware
from .costs import Costs
from .operations import OPERATIONS, Operations
from .result import Energy, Priced

Form = tuple[tuple[str, ...], Activity]
Missing = dict[str, list[str]]
_SIZES = ("neurons", "synapses", "nonzero")  # of a layer: they have no axes of their own
_COUNTS = tuple(f for f in FIELDS if f not in _SIZES)


def leading(records: Mapping[str, Activity], exact: bool) -> tuple[int, ...]:
    """The leading axes that all records share: steps of one layer never meet samples of another.

    `exact`: a count without axes does not stand for each of them; it was summed over something.
    """
    if not any(leaf.shape for leaf in jax.tree.leaves(records)):
        return ()
    shapes: dict[tuple[int, ...], str] = {}
    for name, shape in _shapes(records, _COUNTS):
        if shape or exact:
            shapes.setdefault(shape, f"layer {name!r}")
    for name, own in _shapes(records, _SIZES):  # without time: the same at every step
        if not any(own == shape[: len(own)] for shape in shapes):
            shapes.setdefault(own, f"layer {name!r}")
    if len(shapes) > 1:
        (first, one), (second, two) = list(shapes.items())[:2]
        raise ValueError(
            f"records have different leading axes: {one} has {first}, {two} has "
            f"{second}; sum one of them first"
        )
    return next(iter(shapes), ())


def _shapes(
    records: Mapping[str, Activity], fields: Iterable[str]
) -> list[tuple[str, tuple[int, ...]]]:
    """Layer and shape of everything in these fields that was counted."""
    every = ((n, getattr(r, f)) for n, r in records.items() for f in fields)
    return [(n, jnp.shape(x)) for n, x in every if x is not None]


def forms(records: Mapping[str, Activity], shape: tuple[int, ...]) -> list[Form]:
    """Records of the same form stacked along a last axis.

    A hundred layers are one computation, not a hundred.
    """
    groups: dict[Any, tuple[list[str], list[list[Any]]]] = {}
    for name, record in records.items():
        leaves, form = jax.tree.flatten(record)
        names, rows = groups.setdefault(form, ([], []))
        names.append(name)
        rows.append(leaves)
    return [
        (
            tuple(names),
            jax.tree.unflatten(
                form, [_stacked(column, shape) for column in zip(*rows, strict=True)]
            ),
        )
        for form, (names, rows) in groups.items()
    ]


def _widened(value: Any, shape: tuple[int, ...]) -> Array:
    """A size of a layer, the same at every further axis (steps)."""
    own = jnp.shape(value)
    return jnp.broadcast_to(jnp.reshape(value, (*own, *(1,) * (len(shape) - len(own)))), shape)


def _stacked(leaves: tuple[Any, ...], shape: tuple[int, ...]) -> Array:
    if not shape and not any(isinstance(leaf, Tracer) for leaf in leaves):
        return jnp.asarray(np.stack([np.asarray(leaf) for leaf in leaves]))
    wide = (_widened(x, shape) if jnp.shape(x) != shape else x for x in leaves)
    joined = jnp.stack(list(wide), axis=-1)
    # a compiler that fuses a thousand operands into each use compiles for a minute
    return lax.optimization_barrier(joined) if len(leaves) > 32 else joined


def check_counts(stacked: Iterable[Form]) -> None:
    """Counts are finite and not negative, where they are known.

    **Raises:**

    `ValueError` that names layer and field.
    """
    for names, activity in stacked:
        for field in FIELDS:
            value = getattr(activity, field)
            if value is None or isinstance(value, Tracer) or not value.is_fully_addressable:
                continue
            counts = np.asarray(value)
            wrong = ~(counts >= 0) | np.isinf(counts)
            if wrong.any():
                at = tuple(np.argwhere(wrong)[0])
                what = "a negative count" if counts[at] < 0 else "a count that is no number"
                raise ValueError(
                    f"layer {names[at[-1]]!r} has {what}: {field} = {counts[at]}; counts are ≥ 0"
                )


def price_forms(
    stacked: list[Form], hardware: Hardware, duration: Any
) -> tuple[tuple[Priced, ...], Energy]:
    """Energy of every layer, and of every operation over all layers.

    Where operations are linear in the activity and layers do not differ, counts are summed first
    and priced once.
    """
    priced = tuple(
        Priced(*_spend(activity, hardware, duration), names) for names, activity in stacked
    )
    if hardware.linear:
        sums = [
            _spend(jax.tree.map(lambda x: x.sum(-1), activity), hardware, duration)[1]
            for _, activity in stacked
        ]
    else:
        sums = [jax.tree.map(lambda x: x.sum(-1), group.energy) for group in priced]
    return priced, _added(sums)


def _spend(activity: Activity, hardware: Hardware, duration: Any) -> tuple[Operations, Energy]:
    executed = _executed(activity, hardware, duration)
    refusal = lambda op: f"{hardware.called} has no price for `{op}`"
    return executed, Energy(**hardware.spent(activity, executed, refusal))


def _executed(activity: Activity, hardware: Hardware, duration: Any) -> Operations:
    executed = hardware.operations(activity)
    leaked = hardware.leaked(activity.neurons, duration)
    return executed if leaked is None else dataclasses.replace(executed, neuron_seconds=leaked)


def _added(parts: list[Energy]) -> Energy:
    found = {op: [v for e in parts if (v := getattr(e, op)) is not None] for op in OPERATIONS}
    return Energy(**{op: total(values) if values else None for op, values in found.items()})


def missing(stacked: Iterable[Form], hardware: Hardware, duration: Any) -> Missing:
    """Layers by operation that occurs in them and has no price."""
    found: Missing = {}
    one = jax.tree.map(lambda x: x[0] if x.ndim else x, hardware)
    for names, activity in stacked:
        for op in _lacking(activity, one, duration):
            found.setdefault(op, []).extend(names)
    return found


def _lacking(activity: Activity, hardware: Hardware, duration: Any) -> list[str]:
    """Operations that occur without a price; traced, so that nothing is computed."""
    found: list[str] = []

    def probe(record: Activity) -> None:
        found.extend(hardware.unpriced(_executed(record, hardware, duration)))

    jax.eval_shape(probe, activity)
    return found


def filled(hardware: Any, price: float) -> Any:
    """The same hardware, with a price for every operation that has none."""
    inner = getattr(hardware, "chip", None)
    if isinstance(inner, Hardware):
        return dataclasses.replace(hardware, chip=filled(inner, price))
    if "costs" not in type(hardware).__dataclass_fields__:
        return hardware
    shape = jnp.broadcast_shapes(*(jnp.shape(x) for x in jax.tree.leaves(hardware.costs)))
    prices = {}
    for op in OPERATIONS:
        old = getattr(hardware.costs, op)
        if old is None and op != "neuron_seconds":
            prices[op] = jnp.full(shape, price, jnp.result_type(float))
        elif old is not None:
            prices[op] = jnp.where(jnp.isnan(old), jnp.asarray(price, old.dtype), old)
    return dataclasses.replace(hardware, costs=Costs(**prices))


def refusal(found: Missing, chip: str, convention: Convention | None) -> str:
    """What to say where prices are missing: all of them at once, and what helps."""
    head = _lacked(found, chip)
    op = next((op for op in found if op in ("mac", "ac")), None)
    why = f" ({convention.why(found[op][0])})" if convention and op else ""
    if "mac" in found:
        return (
            f"{head}{why}. If the input carries spikes, say so: joulax.count(model, spikes=0), or "
            "spikes=0 of joulax.estimate. Otherwise encode it into spikes inside the model, or "
            "choose a chip with a MAC price, like '45nm'"
        )
    given = ", ".join(f"{op}=…" for op in found)
    return (
        f"{head}{why}. Give {'it' if len(found) == 1 else 'them'}: joulax.costs(..., {given}) or "
        f"chip.replace({given}); or say what they cost: energy(..., others=0), "
        "energy(..., assume_included=True); or choose a chip whose sheet has them: "
        "joulax.catalogue()"
    )


def _lacked(found: Missing, chip: str) -> str:
    (op, layers), *others = found.items()
    if len(layers) == 1 and not others:
        return f"layer {layers[0]!r} executes `{op}`, and {chip} has no price for it"
    each = "; ".join(f"`{op}` in {_listed(layers)}" for op, layers in found.items())
    return f"{chip} has no price for what occurs: {each}"


def _listed(layers: list[str]) -> str:
    few = ", ".join(map(repr, layers[:3]))
    return few if len(layers) <= 3 else f"{few} and {len(layers) - 3} more layers"
