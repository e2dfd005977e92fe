"""Is the spiking network cheaper? Its analog twin, and the rate at which their energies meet."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._activity.account import named_records
from .._activity.record import Activity, is_synaptic, total
from .._forms.rendered import Rendered
from .._forms.table import ENERGY, NUMBER, Column, Row, table
from .._hardware.catalogue import hardware, named
from .._hardware.chip import Hardware
from .._hardware.energy import energy
from .._hardware.numbers import checked
from .._report.sources import sources
from .._report.warned import partial_of

_EVENTS = ("ac", "ac_graded", "spikes", "spikes_graded", "events", "touched")


def twin_bits(steps: int) -> int:
    """Bits of an activation that carries as much as a spike count over so many steps.

    ⌈log₂(steps + 1)⌉.

    ??? cite "Reference"
        Yan et al., arXiv:2409.08290.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"the number of time steps must be a positive whole number, got {steps!r}")
    return int(np.ceil(np.log2(steps + 1)))


def ann_twin(account: Any, steps: int) -> dict[str, Activity]:
    """What an analog network with the same weights does.

    Every synapse once, in place of events over steps.

    Its activations have [`joulax.twin_bits`][]`(steps)` bits; all its operations are
    multiply-accumulates, executed whether an
    activation is zero or not, and every neuron is updated once.

    **Arguments:**

    - `account`: of the spiking network, over `steps` time steps.
    - `steps`: time steps of its inference.

    **Returns:**

    Records by layer, for [`joulax.energy`][] on the hardware that the analog network would run on.
    """
    twin_bits(steps)
    records = {n: r for n, r in named_records(account).items() if is_synaptic(r)}
    once = lambda x: None if x is None else x / steps
    return {
        n: Activity(
            mac=r.dense / steps,
            dense_mac=r.dense / steps,
            updates=once(r.updates),
            neurons=r.neurons,
            synapses=r.synapses,
            nonzero=r.nonzero,
        )
        for n, r in records.items()
    }


def at_rate(account: Any, factor: Any) -> dict[str, Activity]:
    """The records of a spiking network that fires `factor` times as often.

    Events scale, updates and sizes stay. A negative factor is a `ValueError`.
    """
    factor = checked(factor, "factor")
    times = lambda x: None if x is None else factor * x
    return {
        n: dataclasses.replace(r, **{f: times(getattr(r, f)) for f in _EVENTS})
        for n, r in named_records(account).items()
    }


def break_even_rate(
    snn: Any, ann: Any, snn_chip: Hardware, ann_chip: Hardware, duration: Any = None
) -> Float[Array, "..."]:
    r"""Factor on the spike rate at which both networks cost the same.

    The energy of the spiking network is affine in its rate, $E(s) = E_0 + s E_1$, so

    $$s^* = (E_\mathrm{ann} - E_0) / E_1.$$

    **Arguments:**

    - `snn`: account of the spiking network at its measured rate.
    - `ann`: records of the analog network, such as [`joulax.ann_twin`][].
    - `snn_chip`, `ann_chip`: the hardware that each would run on.
    - `duration`: length of an inference [s], for static power.

    **Returns:**

    The factor, unitless: below 1 the spiking network must become sparser to win, above it wins;
    negative
    if it loses even in silence. Differentiable in both chips.

    **Raises:**

    `ValueError` while tracing, if a chip has no price for an operation that occurs.

    ??? cite "Reference"
        Davidson & Furber, Front. Neurosci. 15:651141, 2021.
    """
    silent, once = (energy(at_rate(snn, factor), snn_chip, duration).total for factor in (0.0, 1.0))
    return (energy(ann, ann_chip, duration).total - silent) / (once - silent)


def sensitivity(
    snn: Any, ann: Any, snn_chip: Hardware, ann_chip: Hardware, duration: Any = None
) -> dict[str, dict[str, Array]]:
    """How much the break-even rate depends on each constant.

    Percent of change for one percent of it.

    **Arguments:** as in [`joulax.break_even_rate`][].

    **Returns:**

    Under `snn` and `ann`, elasticities d ln s* / d ln c by the name of the constant, where not
    zero.
    """
    call = lambda chips: break_even_rate(snn, ann, chips[0], chips[1], duration).mean()
    rate, slopes = jax.value_and_grad(call)((snn_chip, ann_chip))

    def elasticities(chip: Hardware, slope: Any) -> dict[str, Array]:
        leaves = jax.tree_util.tree_leaves_with_path(chip)
        named_leaves = [
            (jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves
        ]
        found = {
            n: jnp.asarray(leaf * s / rate)
            for (n, leaf), s in zip(named_leaves, jax.tree.leaves(slope), strict=True)
        }
        return {n: e for n, e in found.items() if float(e) != 0}

    return {"snn": elasticities(snn_chip, slopes[0]), "ann": elasticities(ann_chip, slopes[1])}


@dataclass(frozen=True, repr=False)
class TwinReport(Rendered):
    """A spiking network against its analog twin; `print` it.

    **Attributes:**

    - `rows`: by the name of a pair of chips: energies `snn` and `ann` [pJ], their `ratio`, the
      break-even
      `factor` on the rate, and `rate`, the spikes per synapse and step at which both cost the same.
    - `rate`: spikes per synapse and step that were measured.
    - `steps`, `bits`: time steps of the spiking network, bits of its twin's activations; `None`
      where an analog network of one's own was given.
    - `partial`: whether counts are lower bounds.
    - `remarks`: what must be known of the prices of each pair.
    """

    _bounded = True

    rows: Mapping[str, Mapping[str, float]]
    rate: float
    steps: int | None
    bits: int | None
    partial: bool = False
    remarks: tuple[str, ...] = ()

    def parts(self) -> list[Any]:
        """Heading, table, verdict, whose prices."""
        columns = [
            Column("hardware", "hardware"),
            Column("snn", "spiking", ENERGY),
            Column("ann", "analog", ENERGY),
            Column("ratio", "spiking / analog", NUMBER),
            Column("even", "break-even rate"),
        ]
        rows = [
            Row((name, r["snn"], r["ann"], r["ratio"], _even(r["rate"])))
            for name, r in self.rows.items()
        ]
        wins = [name for name, r in self.rows.items() if r["ratio"] < 1]
        everywhere = len(wins) == len(self.rows)
        verdict = "everywhere" if everywhere else ", ".join(wins) if wins else "nowhere"
        return [
            self.headline(),
            table(columns, rows, partial=self.partial),
            self._verdict(verdict),
            *self.remarks,
        ]

    def _verdict(self, where: str) -> str:
        if self.partial:
            return "counts are lower bounds: which network is cheaper is not known"
        return f"the spiking network is cheaper: {where}"

    def headline(self) -> str:
        """What stands against what."""
        steps = f"{self.steps} steps at " if self.steps else ""
        against = (
            "the analog network that was counted"
            if self.bits is None
            else f"one pass of {self.bits}-bit activations"
        )
        rate = f"{100 * self.rate:.3g} % spikes per synapse and step"
        return f"{steps}{rate}, against {against}"

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a row: energies [pJ], their ratio, break-even factor and rate."""
        bound = {"bound": "≥" if self.partial else "="}
        return [{"hardware": name, **row, **bound} for name, row in self.rows.items()]


def _even(rate: float) -> str:
    """The break-even rate in words."""
    return "never" if rate <= 0 else "always cheaper" if rate > 1 else f"{100 * rate:.2g} %"


def compare(
    account: Any,
    against: Any = None,
    pairs: Mapping[str, tuple[Any, Any]] | None = None,
    duration: Any = None,
    *,
    steps: int | None = None,
    bits: int = 8,
) -> TwinReport:
    """Compare a spiking with an analog network, arithmetic-only and with memory side by side.

    **Arguments:**

    - `account`: of the spiking network; samples on leading axes are averaged.
    - `against`: the account of an analog network of your own; or the time steps of the spiking
      network, and its analog twin is made ([`joulax.ann_twin`][]).
    - `pairs`: further pairs of chips by name, the first for the spiking network, like `{"deployed":
      ("loihi", "arm")}`.
    - `duration`: length of an inference [s], for chips with static power.
    - `steps`: time steps of the spiking network.
    - `bits`: of the weights of both.

    **Returns:**

    A [`joulax.TwinReport`][] with the rows *arithmetic only* (45 nm, int8), *weights on chip* (SRAM
    as large as the weights), *weights off chip* (DRAM), and those of `pairs`.

    **Raises:**

    `ValueError` if no layer is driven by spikes, or neither steps nor an analog network is given.
    """
    pairs = pairs or {}
    if isinstance(against, int):
        against, steps = None, against
    records, other = _opponents(account, against, steps)
    chosen = _chosen([_synapses(records), _synapses(other)], bits) | {
        name: (named(a), named(b)) for name, (a, b) in pairs.items()
    }
    rate = _rate(records)
    rows = {
        name: _compared(records, other, chips, duration, rate) for name, chips in chosen.items()
    }
    twin = None if against is not None else twin_bits(steps or 0)
    partial = partial_of(account) or partial_of(against)
    remarks = tuple(said for name in pairs for said in _remarks(name, chosen[name]))
    return TwinReport(rows, rate, steps, twin, partial, remarks)


def _remarks(name: str, chips: tuple[Any, Any]) -> Iterator[str]:
    """Whose prices a pair has, and whether their totals contain the same."""
    known = [source for chip in chips for source in sources(chip)]
    for s in dict.fromkeys(known):
        checked = f", {s.verified}" if s.verified else ""
        yield f"{name}: {s.chip}: {s.scope}; {s.evidence}{checked}"
    if len({s.scope for s in known}) > 1:
        yield f"warning: {name}: totals of different scopes contain different things"
    if any(s.unsourced for s in known):
        yield f"warning: {name}: UNSOURCED prices, nobody has published them"


def _synapses(records: Mapping[str, Activity]) -> Array:
    return total([r.synapses for r in records.values()])


def _rate(records: Mapping[str, Activity]) -> float:
    """Spikes per synapse and step."""
    spiking = [r for r in records.values() if r.ac is not None]
    return float(total([r.ac for r in spiking]) / total([r.dense for r in spiking]))


def _opponents(
    account: Any, against: Any, steps: int | None
) -> tuple[dict[str, Activity], dict[str, Activity]]:
    """Records of the spiking network, and of the analog one: given, or its twin."""
    records = _spiking(account, against is not None)
    if against is not None:
        return records, _averaged(against)
    if steps is None:
        raise ValueError(
            "compare() needs something to compare with: the account of an analog network, "
            "compare(snn_account, ann_account), or steps= for the analog twin"
        )
    return records, ann_twin(records, steps)


def _averaged(account: Any) -> dict[str, Activity]:
    records = named_records(account)
    if any(np.size(x) == 0 for x in jax.tree.leaves(records)):
        raise ValueError("compare() got the account of an empty batch: there is no mean of it")
    return jax.tree.map(jnp.mean, records)


def _spiking(account: Any, all_layers: bool) -> dict[str, Activity]:
    """Records of the spiking network: for its twin, the layers that are driven by spikes."""
    records = _averaged(account)
    if not any(r.ac is not None for r in records.values()):
        raise ValueError(
            "compare() needs a layer that is driven by spikes; is the input "
            "declared? joulax.count(model, spikes=0)"
        )
    return records if all_layers else {n: r for n, r in records.items() if r.ac is not None}


def _chosen(synapses: list[Any], bits: int) -> dict[str, tuple[Any, Any]]:
    """Arithmetic alone, and with weights in memory, each network in one of its own size."""
    from ..models.memory import DRAM, sram

    arithmetic = hardware("45nm@int8")
    snn, ann = (_memory(bits, sram(jnp.maximum(s * bits / 8, 1e3))) for s in synapses)
    off_chip = _memory(bits, DRAM)
    return {
        "arithmetic only, int8": (arithmetic, arithmetic),
        "weights on chip": (snn, ann),
        "weights off chip": (off_chip, off_chip),
    }


def _compared(
    snn: Any, ann: Any, chips: tuple[Any, Any], duration: Any, rate: float
) -> dict[str, float]:
    spent = [float(energy(x, c, duration).total) for x, c in zip((snn, ann), chips, strict=True)]
    factor = float(break_even_rate(snn, ann, *chips, duration))
    return {
        "snn": spent[0],
        "ann": spent[1],
        "ratio": spent[0] / spent[1],
        "factor": factor,
        "rate": factor * rate,
    }


def _memory(bits: int, weights: Any) -> Hardware:
    """45 nm int8 arithmetic with weights in one memory and neuron states in 8 kB of SRAM.

    A twin keeps its sums in registers.
    """
    from ..models.memory import Memory, sram

    fields: Any = dict(
        add=0.03, multiply=0.2, weight_bits=bits, state_bits=16, weights=weights, states=sram(8e3)
    )
    return Memory(**fields, name=f"{bits}-bit memory model")
