"""Hardware: which operations a chip executes because of an activity, and what each costs."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float

from .._activity.record import Activity, plus
from .._forms.rendered import Rendered
from .costs import Costs, Price
from .numbers import DYNAMIC, STATIC, entry
from .operations import OPERATIONS, Operations
from .shown import hardware_parts

ABSENT = {  # what a chip without the number does, as a stack writes it down
    "static_power": 0.0,
    "hops": 0.0,
    "skips_spikes": 1.0,
    "skips_zeros": 1.0,
    "accumulates": 1.0,
    "idle_power": float("nan"),
    "call": 0.0,
    "batches": 2.0**40,
    "depth": 2.0**40,
    "neuron_seconds": 0.0,
}
Scalar = Float[Array, "*chips"] | None
Names = str | tuple[str, ...]


class Hardware(Rendered, eqx.Module):
    """Anything that turns activity into operations and has a price for them.

    Implement `operations` and give `costs`; everything else follows, and may be changed: `spent`
    where a price depends on the layer, `fixed` where energy flows whatever happens, `name` for
    errors and reports. A class whose operations are linear in the activity, with nothing that
    differs between layers, may say `linear = True`: totals are then priced once for all layers.
    """

    costs: eqx.AbstractVar[Costs]
    linear: ClassVar[bool] = False

    @property
    def static_power(self) -> Scalar:
        """Power that flows whatever happens [pW]; `None` where it is not modelled."""
        return None

    @property
    def idle_power(self) -> Scalar:
        """Power between calls [pW]; `None` where it is not known."""
        return None

    @property
    def call(self) -> Scalar:
        """Energy of a call whatever it computes, shared by its batch [pJ]; `None` for none."""
        return None

    @property
    def batches(self) -> Scalar:
        """Largest batch for which the energy of a call holds; `None` for any."""
        return None

    @property
    def depth(self) -> Scalar:
        """Largest number of layers for which the energy of a call holds; `None` for any."""
        return None

    @property
    def name(self) -> Names:
        """How errors and reports call it; a tuple for a stack of chips."""
        return type(self).__name__

    def parts(self) -> list[Any]:
        """What is printed: prices [pJ], powers and shares; shapes while tracing."""
        return hardware_parts(self)

    @property
    def chips(self) -> tuple[str, ...]:
        """Names of the chips; one, unless this is a stack."""
        return (self.name,) if isinstance(self.name, str) else self.name

    @property
    def called(self) -> str:
        """The name in words, as errors say it."""
        few = ", ".join(self.chips[:4])
        return few if len(self.chips) <= 4 else f"{few} and {len(self.chips) - 4} more"

    @property
    def stacked(self) -> bool:
        """Whether this is several chips, with a leading axis of its arrays."""
        return any(getattr(leaf, "ndim", 0) for leaf in jax.tree.leaves(self))

    @abc.abstractmethod
    def operations(self, activity: Activity) -> Operations:
        """Operations that this chip executes because of the activity of one layer.

        **Arguments:**

        - `activity`: one record; leaves of any leading shape.
        """

    def unpriced(self, executed: Operations) -> tuple[str, ...]:
        """Operations that occur and have no price."""
        costs = self.costs
        return tuple(
            op
            for op in OPERATIONS
            if getattr(executed, op) is not None and getattr(costs, op) is None
        )

    def spent(
        self, activity: Activity, executed: Operations, unpriced: Callable[[str], str]
    ) -> dict[str, Any]:
        """Energy of each operation of one layer [pJ].

        Operations times costs, unless the layer matters.

        **Arguments:**

        - `activity`: one record.
        - `executed`: its operations, leakage included.
        - `unpriced`: the text of the error for an operation without a price.
        """
        costs = self.costs
        return {
            op: price(getattr(executed, op), getattr(costs, op), unpriced(op)) for op in OPERATIONS
        }

    def fixed(self, duration: Any, batch: Any = None, idle: Any = None) -> Any:
        """Energy of a sample that no operation causes [pJ], or `None`.

        Static power times the duration of the call, and the energy of the call itself, both shared
        by the samples of a batch; idle power times the time between calls.

        **Raises:**

        `ValueError` if there is static power and no duration, or an energy of a call and no batch.
        """
        parts = []
        if self.static_power is not None:
            parts.append(self.static_power * _known(duration, self.called, _DURATION))
        if self.call is not None:
            parts.append(self.call + 0.0 * _known(batch, self.called, _BATCH))
        if idle is not None:
            if self.idle_power is None:
                raise ValueError(f"{self.called} states no idle power; leave idle= out")
            parts.append(self.idle_power * jnp.asarray(idle, jnp.result_type(float)))
        if not parts:
            return None
        energy = jnp.asarray(sum(parts))
        return energy if batch is None else energy / jnp.asarray(batch, energy.dtype)

    def beyond(self, batch: Any, layers: int) -> Any:
        """NaN beyond the regime in which the sheet was measured, else zero; `None` without limits.

        **Raises:**

        `ValueError` that names the limit, for a single chip.
        """
        found = None
        limits = ((batch, self.batches, "batches"), (layers, self.depth, "networks of layers"))
        for asked, most, what in limits:
            if asked is None or most is None:
                continue
            outside = jnp.asarray(asked, most.dtype) > most
            if not isinstance(outside, Tracer) and bool(jnp.all(outside)):
                raise ValueError(
                    f"{self.called} was measured on {what} up to {float(jnp.max(most)):g}, and "
                    f"{asked} was asked: choose a sheet of that regime, or measure it"
                )
            found = plus(found, jnp.where(outside, jnp.nan, 0.0))
        return found

    def leaked(self, neurons: Any, duration: Any) -> Any:
        """Neurons times seconds, where neurons leak.

        **Raises:**

        `ValueError` if neurons leak and no duration is given.
        """
        if self.costs.neuron_seconds is None or neurons is None:
            return None
        return _times(_known(duration, f"the neurons of {self.called}", _LEAKS), neurons)

    def replace(self, **changes: Any) -> Any:
        """The same hardware with other numbers: prices by operation [pJ], or fields by name.

        ```python
        import joulax

        cheaper = joulax.hardware("loihi").replace(ac=10.0, name="wished for")
        ```

        A replaced price loses its citation and its range: reports say what was changed.

        **Raises:**

        `TypeError` for a name that is neither; `ValueError` for a number that makes no sense.
        """
        own = {f.name for f in dataclasses.fields(self)}
        fields = {k: v for k, v in changes.items() if k in own}
        prices = {k: v for k, v in changes.items() if k not in own}
        inner = getattr(self, "chip", None)
        if prices and isinstance(inner, Hardware):
            fields["chip"] = inner.replace(**prices)
        elif prices:
            _check_numbers(self.called, own, set(prices))
            fields["costs"] = dataclasses.replace(fields.get("costs", self.costs), **prices)
        return dataclasses.replace(self, **fields)


def _check_numbers(chip: str, fields: set[str], prices: set[str]) -> None:
    """Prices are of operations, and of hardware that has a list of them."""
    known = set(OPERATIONS) if "costs" in fields else set()
    wrong = sorted(prices - set(OPERATIONS) or prices - known)
    if wrong:
        raise TypeError(
            f"{chip} has no number {', '.join(wrong)}; it has {', '.join(sorted(fields | known))}"
        )


_DURATION = (
    "draws static power: energy(account, chip, duration) needs the duration of the call "
    "in seconds (0.0 leaves static energy out, as an explicit choice)"
)
_LEAKS = (
    "leak: energy(account, chip, duration) needs the duration in seconds (0.0 leaves leakage out)"
)
_BATCH = (
    "spends energy on every call: energy(account, chip, batch=…) needs the number of samples "
    "that share a call (1 for one at a time)"
)


def _known(value: Any, who: str, text: str) -> Any:
    if value is None:
        raise ValueError(f"{who} {text}")
    return jnp.asarray(value, jnp.result_type(float))


class Chip(Hardware):
    """The hardware behind the catalogue: prices, powers, and how much work is really skipped.

    **Attributes:**

    - `costs`: energy of one operation of each kind [pJ].
    - `static_power`: power during a call, whatever it computes [pW]; `None` where the sheet
      excludes it.
    - `hops`: routers that a spike passes; `None` where routing is not modelled.
    - `skips_spikes`: share of the accumulates without an event that are skipped, 0…1; `None` is
      all of them.
    - `skips_zeros`: share of the multiply-accumulates with a zero input that are skipped, 0…1;
      `None` is all.
    - `graded`: 1 where an event costs once whatever its value, 0 where it costs once per unit.
    - `accumulates`: 1 (or `None`) where accumulates exist, 0 where they are executed as `mac`.
    - `idle_power`: power between calls [pW]; `None` where it is not known.
    - `call`: energy of a call, shared by its batch [pJ]; `None` where calls are free.
    - `batches`, `depth`: largest batch and number of layers for which the sheet holds; `None` for
      any.
    - `name`: how errors and reports call it, a tuple for a stack; static.
    - `sheet`: the sheet of the catalogue that the numbers came from, if any; static. A number that
      differs from it is said to be changed.
    """

    linear: ClassVar[bool] = True

    costs: Costs
    static_power: Scalar = entry(  # pyright: ignore[reportIncompatibleMethodOverride]
        "static_power", "pW", optional=True, scales=STATIC
    )
    hops: Scalar = entry("hops", "routers", optional=True)
    skips_spikes: Scalar = entry("skips_spikes", "", optional=True, most=1.0)
    skips_zeros: Scalar = entry("skips_zeros", "", optional=True, most=1.0)
    graded: Float[Array, "*chips"] = entry("graded", "", most=1.0, default=0.0)
    accumulates: Scalar = entry("accumulates", "", optional=True, most=1.0)
    idle_power: Scalar = entry(  # pyright: ignore[reportIncompatibleMethodOverride]
        "idle_power", "pW", optional=True, scales=STATIC, holes=True
    )
    call: Scalar = entry(  # pyright: ignore[reportIncompatibleMethodOverride]
        "call", "pJ", optional=True, scales=DYNAMIC
    )
    batches: Scalar = entry(  # pyright: ignore[reportIncompatibleMethodOverride]
        "batches", "samples", optional=True, positive=True
    )
    depth: Scalar = entry(  # pyright: ignore[reportIncompatibleMethodOverride]
        "depth", "layers", optional=True, positive=True
    )
    name: Names = eqx.field(  # pyright: ignore[reportIncompatibleMethodOverride]
        default="chip", static=True
    )
    sheet: str | tuple[str | None, ...] | None = eqx.field(default=None, static=True)

    def __check_init__(self):
        if not isinstance(self.costs, Costs):
            raise ValueError(
                f"a chip takes joulax.costs(...), got {type(self.costs).__name__} as its prices"
            )
        if not all(isinstance(n, str) for n in self.chips):
            raise ValueError(f"name must be a string, got {self.name!r}")

    def operations(self, activity: Activity) -> Operations:
        """The derivation table of the documentation, page *Operations*."""
        a = activity
        accumulates = self._executed(
            self._graded(a.ac_graded, a.ac, "ac"), a.dense_ac, self.skips_spikes, "ac"
        )
        mac = self._executed(a.mac, a.dense_mac, self.skips_zeros, "mac")
        if self.accumulates is not None:
            mac = plus(mac, _times(1 - self.accumulates, accumulates))
            accumulates = _times(self.accumulates, accumulates)
        synops = plus(accumulates, mac)
        spikes = self._graded(a.spikes_graded, a.spikes, "spikes")
        states = plus(synops, a.updates)
        return Operations(
            ac=accumulates,
            mac=mac,
            neuron_update=a.updates,
            spike=spikes,
            weight_read=plus(synops, a.lookups),
            weight_write=a.writes,
            state_read=states,
            state_write=states,
            hop=None if self.hops is None else _times(self.hops, spikes),
        )

    def _graded(self, once: Any, each: Any, field: str) -> Any:
        """Events by the convention of the chip."""
        if (once is None) != (each is None):
            raise ValueError(
                f"a record needs both {field} and {field}_graded, or neither; "
                f"joulax.activity(...) sets both"
            )
        known = None if isinstance(self.graded, Tracer) else np.unique(np.asarray(self.graded))
        if once is each or (known is not None and known.tolist() == [0.0]):
            return each
        if known is not None and known.tolist() == [1.0]:  # what is not priced need not be counted
            return once
        return plus(_times(self.graded, once), _times(1 - self.graded, each))

    def _executed(self, effective: Any, dense: Any, skipped: Scalar, field: str) -> Any:
        """Work that is left after skipping."""
        if skipped is None or (effective is None and dense is None):
            return effective
        if dense is None or effective is None:
            raise ValueError(
                f"{self.called} also executes {field} work that could be skipped, but a "
                f"record has no {'dense_' + field if dense is None else field}; "
                f"give dense_{field} to joulax.activity(...), or count the model"
            )
        return plus(_times(skipped, effective), _times(1 - skipped, dense))


def _times(factor: Any, counts: Any) -> Any:
    return None if counts is None else factor * counts


class Unpriced(ValueError):
    """An operation occurs and has no price."""


def price(counts: Any, cost: Price, what: str) -> Any:
    """Counts times the price of one, by the four states of a cost.

    No counts: `None`. Counts without a price: an error. An unknown price in a stack (NaN): NaN
    where something is counted, zero elsewhere, with finite gradients.
    """
    if counts is None:
        return None
    if cost is None:
        raise Unpriced(what)
    known = None if isinstance(cost, Tracer) else np.asarray(cost)
    if known is not None and not np.isnan(known).any():  # what is free need not be counted
        return (
            cost * counts
            if known.any()
            else jnp.zeros_like(counts, jnp.promote_types(cost.dtype, counts.dtype))
        )
    unknown = cost != cost  # NaN
    spent = lax.select(unknown, lax.full_like(cost, 0), cost) * counts
    hole = lax.bitwise_and(
        jnp.broadcast_to(unknown, jnp.shape(counts)), lax.ne(counts, lax.full_like(counts, 0))
    )
    return lax.select(hole, lax.full_like(spent, jnp.nan), spent)
