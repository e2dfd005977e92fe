"""Hardware: which operations a chip executes because of an activity, and what each costs."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float

from .._activity.record import Activity, number, optional, plus
from .._forms.rendered import Rendered
from .costs import Costs, Price
from .operations import OPERATIONS, Operations
from .shown import hardware_parts

Scalar = Float[Array, "*chips"] | None


class Hardware(Rendered, eqx.Module):
    """Anything that turns activity into operations and has a price for them.

    Implement `operations` and give `costs`; everything else follows, and may be changed: `spent`
    where a
    price depends on the layer, `fixed` where energy flows whatever happens, `name` for errors and
    reports.
    """

    costs: eqx.AbstractVar[Costs]

    @property
    def static_power(self) -> Scalar:
        """Power that flows whatever happens [pW]; `None` where it is not modelled."""
        return None

    @property
    def name(self) -> str:
        """How errors and reports call it."""
        return type(self).__name__

    def parts(self) -> list[Any]:
        """What is printed: prices [pJ], powers and shares; shapes while tracing."""
        return hardware_parts(self)

    @abc.abstractmethod
    def operations(self, activity: Activity) -> Operations:
        """Operations that this chip executes because of the activity of one layer.

        **Arguments:**

        - `activity`: one record; leaves of any leading shape.
        """

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
        return {
            op: price(getattr(executed, op), getattr(self.costs, op), unpriced(op))
            for op in OPERATIONS
        }

    def fixed(self, duration: Any) -> Any:
        """Energy of a call that no operation causes [pJ], or `None`: static power times duration.

        **Raises:**

        `ValueError` if there is static power and no duration.
        """
        if self.static_power is None:
            return None
        if duration is None:
            raise ValueError(
                f"{self.name} draws static power: energy(account, chip, duration) "
                f"needs the duration of the call "
                "in seconds (0.0 leaves static energy out, as an explicit choice)"
            )
        return self.static_power * jnp.asarray(duration, self.static_power.dtype)

    def leaked(self, neurons: Any, duration: Any) -> Any:
        """Neurons times seconds, where neurons leak.

        **Raises:**

        `ValueError` if neurons leak and no duration is given.
        """
        if self.costs.neuron_seconds is None or neurons is None:
            return None
        if duration is None:
            raise ValueError(
                f"the neurons of {self.name} leak: energy(account, chip, duration) "
                f"needs the duration in seconds (0.0 leaves leakage out)"
            )
        return _times(jnp.asarray(duration, neurons.dtype), neurons)


class Chip(Hardware):
    """The hardware behind the catalogue: prices, static power, and how much work is really skipped.

    **Attributes:**

    - `costs`: energy of one operation of each kind [pJ].
    - `static_power`: power that flows whatever happens [pW]; `None` where the sheet excludes it.
    - `hops`: routers that a spike passes; `None` where routing is not modelled.
    - `skips_spikes`: share of the accumulates without an event that are skipped; `None` is all of
      them.
    - `skips_zeros`: share of the multiply-accumulates with a zero input that are skipped; `None` is
      all.
    - `graded`: 1 where an event costs once whatever its value, 0 where it costs once per unit.
    - `accumulates`: 1 (or `None`) where accumulates exist, 0 where they are executed as `mac`.
    - `name`: how errors and reports call it; static.
    """

    costs: Costs
    static_power: Scalar = optional()  # pyright: ignore[reportIncompatibleMethodOverride]
    hops: Scalar = optional()
    skips_spikes: Scalar = optional()
    skips_zeros: Scalar = optional()
    graded: Float[Array, "*chips"] = eqx.field(default=0.0, converter=number)
    accumulates: Scalar = optional()
    # pyright: ignore[reportIncompatibleMethodOverride]
    name: str = eqx.field(default="chip", static=True)

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
        return (
            once if once is each else plus(_times(self.graded, once), _times(1 - self.graded, each))
        )

    def _executed(self, effective: Any, dense: Any, skipped: Scalar, field: str) -> Any:
        """Work that is left after skipping."""
        if skipped is None or (effective is None and dense is None):
            return effective
        if dense is None or effective is None:
            raise ValueError(
                f"{self.name} also executes {field} work that could be skipped, but a "
                f"record has no {'dense_' + field if dense is None else field}; "
                f"give dense_{field} to joulax.activity(...), or count the model"
            )
        return plus(_times(skipped, effective), _times(1 - skipped, dense))


def _times(factor: Any, counts: Any) -> Any:
    return None if counts is None else factor * counts


def price(counts: Any, cost: Price, what: str) -> Any:
    """Counts times the price of one, by the four states of a cost.

    No counts: `None`. Counts without a price: an error. An unknown price in a stack (NaN): NaN
    where
    something is counted, zero elsewhere, with finite gradients.
    """
    if counts is None:
        return None
    if cost is None:
        raise ValueError(what)
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
