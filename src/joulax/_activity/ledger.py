"""`Ledger`: accounts of many samples, steps and devices added up without losing one operation."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt32

from .account import Account, Convention
from .record import FIELDS, Activity, total

SIZES = ("neurons", "synapses", "nonzero")  # properties of a layer: averaged, not added
LIMBS, SQUARE_LIMBS = 3, 6  # of 16 bits: sums below 2⁴⁸, squares below 2⁹⁶
BINS_PER_OCTAVE, OCTAVES = 64, 48


def synops(account: Any) -> Array:
    """Synaptic operations of one sample over all layers."""
    return total([record.synops for record in account.values()])


class Ledger(eqx.Module):
    """Sum of accounts, exact to 2⁴⁸ operations without 64-bit numbers.

    Counts are kept in limbs of 16 bits, so that adding is associative and commutative to the last
    bit:
    the order of batches, steps and devices changes nothing. A ledger is a pytree; it can be carried
    by a
    `scan`, and `jax.lax.psum(ledger, axis)` adds those of up to 2¹⁵ devices.

    **Attributes:**

    - `counts`: limbs of every count, by layer and field.
    - `samples`, `sums`, `squares`: limbs of the number of samples, and of the measure and its
      square.
    - `histogram`: samples by their measure, 64 bins an octave.
    - `lost`: how often a count came that a ledger cannot hold: NaN, negative, a fraction, or a sum
      of 2⁴⁸ and more. Then `totals` is an error and `value` is NaN, for ever.
    """

    counts: dict[str, dict[str, UInt32[Array, " limbs"]]]
    samples: UInt32[Array, " limbs"]
    sums: UInt32[Array, " limbs"]
    squares: UInt32[Array, " square_limbs"]
    histogram: Int[Array, " bins"]
    lost: Int[Array, ""]
    convention: Convention = eqx.field(static=True)
    order: tuple[str, ...] = eqx.field(static=True)
    measure: Callable = eqx.field(static=True)

    @classmethod
    def init(cls, account: Account, measure: Callable[[Account], Array] = synops) -> "Ledger":
        """An empty ledger for accounts like this one, of any leading axes, arrays or shapes alone.

        **Arguments:**

        - `account`: an example; only its layers and fields matter.
        - `measure`: what of one sample `variance` and `percentile` describe, a scalar of an
          account;
          by default its synaptic operations. It is rounded to whole numbers.
        """
        zeros = lambda n: jnp.zeros(n, jnp.uint32)
        counts = {
            name: {f: zeros(LIMBS) for f in FIELDS if getattr(account[name], f) is not None}
            for name in account
        }
        histogram = jnp.zeros(BINS_PER_OCTAVE * OCTAVES + 1, jnp.int32)
        return cls(
            counts,
            zeros(LIMBS),
            zeros(LIMBS),
            zeros(SQUARE_LIMBS),
            histogram,
            jnp.zeros((), jnp.int32),
            account.convention,
            tuple(account),
            measure,
        )

    def add(self, accounts: Account) -> "Ledger":
        """Add one account, or one for each entry of its leading axes.

        **Raises:**

        `ValueError` while tracing, if the account has other layers or fields than the ledger, or
        counts of unequal leading axes.
        """
        found = {
            name: {f for f in FIELDS if getattr(accounts[name], f) is not None} for name in accounts
        }
        if found != {name: set(fields) for name, fields in self.counts.items()}:
            raise ValueError(
                f"a ledger adds accounts of one model; it was made for the layers "
                f"{', '.join(self.order)}, got {', '.join(found)} or other fields"
            )
        return _together(self, accounts, _shape(accounts))

    def merge(self, other: "Ledger") -> "Ledger":
        """The sum of two ledgers of one model."""
        if self.order != other.order:
            raise ValueError(
                f"ledgers of different models: layers {', '.join(self.order)} and "
                f"{', '.join(other.order)}"
            )
        both = jax.tree.map(lambda a, b: a + b, self, other)
        limbs = (both.counts, both.samples, both.sums, both.squares)
        leaves, structure = jax.tree.flatten(limbs)
        carried = [_carried(leaf) for leaf in leaves]
        counts, samples, sums, squares = jax.tree.unflatten(structure, [x for x, _ in carried])
        over = sum((o for _, o in carried), jnp.zeros((), jnp.int32))
        return replace(
            both,
            counts=counts,
            samples=samples,
            sums=sums,
            squares=squares,
            lost=both.lost + over,
        )

    def _checked(self) -> None:
        """Refuse to read integers from a ledger that has lost some."""
        if int(self.lost):
            raise ValueError(
                "the ledger met counts that it cannot hold: NaN, negative numbers, fractions, or "
                "2⁴⁸ operations and more; add fewer samples, or keep several ledgers"
            )

    @property
    def value(self) -> Account:
        """The account of all samples, rounded to the floats of JAX.

        Sizes of layers are not added.
        """
        known = jnp.where(self.lost == 0, 1.0, jnp.nan).astype(jnp.float32)
        number = jax.tree.map(lambda limbs: _float(limbs) * known, self.counts)
        n = jnp.maximum(_float(self.samples), 1)
        layers = {
            name: Activity(**{f: v / n if f in SIZES else v for f, v in fields.items()})
            for name, fields in number.items()
        }
        return Account(layers, self.convention, self.order)

    @property
    def mean(self) -> Account:
        """The account of a mean sample."""
        n = jnp.maximum(_float(self.samples), 1)
        value = self.value
        layers = {
            k: Activity(
                **{
                    f: v if f in SIZES else v / n
                    for f in FIELDS
                    if (v := getattr(a, f)) is not None
                }
            )
            for k, a in value.items()
        }
        return Account(layers, self.convention, self.order)

    def totals(self) -> dict[str, dict[str, int]]:
        """Every count as a Python integer, exactly; outside of `jit`."""
        self._checked()
        return {
            name: {f: _integer(limbs) for f, limbs in self.counts[name].items() if f not in SIZES}
            for name in self.order
        }

    def variance(self) -> float:
        """Variance of the measure over the samples; outside of `jit`."""
        self._checked()
        n, s, q = _integer(self.samples), _integer(self.sums), _integer(self.squares)
        return (n * q - s * s) / (n * n) if n else float("nan")

    def percentile(self, q: float) -> float:
        """Percentile of the measure over the samples, within 1.1 %; outside of `jit`.

        **Arguments:**

        - `q`: between 0 and 100.
        """
        if not 0 <= q <= 100:
            raise ValueError(f"a percentile is between 0 and 100, got {q}")
        below = np.cumsum(np.asarray(self.histogram))
        if not below[-1]:
            return float("nan")
        place = int(np.searchsorted(below, max(q / 100 * below[-1], 1)))
        return float(2 ** ((place + 0.5) / BINS_PER_OCTAVE) - 1) if place else 0.0


@functools.partial(jax.jit, static_argnums=2, inline=True)
def _together(ledger: Ledger, accounts: Account, shape: tuple[int, ...]) -> Ledger:
    """A ledger and an account of one leading shape, all counts at once."""
    flat = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape).reshape(-1), accounts)
    measured = jax.vmap(ledger.measure)(flat)
    limbs, odd = _limbs(jnp.round(measured))
    places = [(name, f) for name, fields in ledger.counts.items() for f in fields]
    counts, lost = {name: {} for name in ledger.counts}, ledger.lost + odd
    if places:
        new, odd = _limbs(_joined([getattr(flat[name], f) for name, f in places], -1))
        old = _joined([ledger.counts[name][f] for name, f in places], 0)
        many, over = _added(old, new)
        lost += odd + over
        for i, (name, f) in enumerate(places):
            counts[name][f] = many[i]
    bins = jnp.floor(jnp.log2(1 + measured) * BINS_PER_OCTAVE).astype(jnp.int32)
    ones, _ = _limbs(jnp.ones(measured.shape))
    samples, far = _added(ledger.samples, ones)
    sums, wide = _added(ledger.sums, limbs)
    squares, wider = _added(ledger.squares, _squared(limbs))
    return replace(
        ledger,
        counts=counts,
        samples=samples,
        sums=sums,
        squares=squares,
        histogram=ledger.histogram.at[jnp.clip(bins, 0, ledger.histogram.size - 1)].add(1),
        lost=lost + far + wide + wider,
    )


def _joined(parts: list[Array], axis: int) -> Array:
    """Many small arrays as one; a compiler that fuses a thousand operands compiles for a minute."""
    joined = jnp.stack([jnp.asarray(p) for p in parts], axis=axis)
    return jax.lax.optimization_barrier(joined) if len(parts) > 32 else joined


def _shape(accounts: Account) -> tuple[int, ...]:
    """The leading axes that all counts share; sizes of layers may lack them."""
    shapes = {
        jnp.shape(value)
        for name in accounts
        for f in FIELDS
        if f not in SIZES and (value := getattr(accounts[name], f)) is not None
    }
    if len(shapes) > 1:
        raise ValueError(
            f"a ledger adds counts of one leading shape, got {sorted(shapes)}; "
            "sum the steps or neurons first"
        )
    return shapes.pop() if shapes else ()


def _limbs(counts: Array) -> tuple[UInt32[Array, "*samples limbs"], Int[Array, ""]]:
    """Float counts as limbs of 16 bits, and how many are no whole numbers below 2⁴⁸.

    Powers of two, floors and differences are exact in floats.
    """
    rest, limbs = jnp.asarray(counts, jnp.float32), []
    held = (rest >= 0) & (rest == jnp.round(rest)) & (rest < 2.0 ** (16 * LIMBS))
    odd = jnp.sum(~held, dtype=jnp.int32)
    rest = jnp.where(held, rest, 0.0)
    for k in reversed(range(LIMBS)):
        unit = np.float32(2.0 ** (16 * k))
        limb = jnp.floor(rest / unit)
        rest = rest - limb * unit
        limbs.append(limb.astype(jnp.uint32))
    return jnp.stack(limbs[::-1], axis=-1), odd


def _carried(limbs: Array) -> tuple[Array, Array]:
    """The same number with every limb below 2¹⁶, and whether it was too large."""
    carry, result = jnp.zeros(limbs.shape[:-1], jnp.uint32), []
    for k in range(limbs.shape[-1]):
        limb = limbs[..., k] + carry
        carry = limb >> 16
        result.append(limb & 0xFFFF)
    return jnp.stack(result, axis=-1), jnp.sum(carry != 0, dtype=jnp.int32)


MANY = 2**15  # as many limbs of 16 bits can be added in 32 bits


def _added(old: Array, samples: Array) -> tuple[Array, Array]:
    """A number and those of all samples, in parts that cannot wrap, and whether it is too large."""
    while len(samples) > MANY:
        missing = -len(samples) % MANY
        pad = [(0, missing), *[(0, 0)] * (samples.ndim - 1)]
        parts = jnp.pad(samples, pad).reshape(-1, MANY, *samples.shape[1:])
        samples = _carried(parts.sum(axis=1, dtype=jnp.uint32))[0]
    return _carried(old + samples.sum(axis=0, dtype=jnp.uint32))


def _squared(limbs: Array) -> Array:
    """Squares in limbs; products of two limbs fit into 32 bits."""
    pieces = [jnp.zeros(limbs.shape[:-1], jnp.uint32) for _ in range(SQUARE_LIMBS)]
    for i in range(LIMBS):
        for j in range(LIMBS):
            product = limbs[..., i] * limbs[..., j]
            pieces[i + j] = pieces[i + j] + (product & 0xFFFF)
            pieces[i + j + 1] = pieces[i + j + 1] + (product >> 16)
    return _carried(jnp.stack(pieces, axis=-1))[0]


def _float(limbs: Array) -> Array:
    limbs = _carried(limbs)[0].astype(jnp.float32)
    weights = np.float32(2.0) ** (16 * np.arange(limbs.shape[-1], dtype=np.float32))
    return jnp.sum(limbs * weights, axis=-1)


def _integer(limbs: Array) -> int:
    return sum(int(limb) << (16 * k) for k, limb in enumerate(np.asarray(limbs)))
