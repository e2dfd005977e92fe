"""What is known about a value before any number flows: its kind, and how its events are found.

Kinds form a lattice, parameter ⊑ spikes ⊑ analog, and are decided by the program alone.
"""

import dataclasses
from dataclasses import dataclass
from enum import IntEnum

import jax
import numpy as np

# A place in the program: equation indices from the outermost jaxpr inwards. Tuples compare in program order.
Path = tuple[int, ...]


class Kind(IntEnum):
    """Lattice of kinds; the join of two kinds is their maximum."""

    PARAMETER = 0
    SPIKES = 1
    ANALOG = 2


@dataclass(frozen=True)
class Cause:
    """The equation that made a value spikes or analog, in words, and where it stands."""

    text: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.source})" if self.source else self.text


@dataclass(frozen=True)
class Info:
    """Static knowledge about one value.

    `axes` has one flag per axis. It means, for a parameter: the value varies along this axis;
    for spikes scaled by a parameter: the factor varies along it; for anything analog: the axis
    enumerates batch or time, not neurons.
    """

    kind: Kind
    axes: tuple[bool, ...] = ()
    cause: Cause | None = None
    leaf: int | None = None  # parameter: the leaf it derives from
    layered: tuple[Path, int] | None = None  # parameter: the scan over layers that slices it, and their number
    const: float | None = None  # parameter: one known number everywhere
    companion: bool = False  # spikes: the events are counted beside the value
    unit: bool = False  # provably 0 or 1
    nonneg: bool = False  # provably ≥ 0
    pending: bool = False  # a comparison that has not been turned into numbers yet
    nan_test: bool = False  # x != x
    births: frozenset[Path] = frozenset()  # spikes that may be inside
    weight: int | None = None  # scaled spikes: the leaf of the factor
    weighted: bool = False  # scaled spikes: by a factor that varies along `axes`
    sites: frozenset[Path] = frozenset()  # synaptic sites that feed this elementwise region
    fresh: frozenset[Path] = frozenset()  # those of them that were fed in this very step
    form: tuple[tuple[int, int], ...] | None = None  # value = Σ coefficient · variable, gradient stops ignored

    @property
    def spiking(self) -> bool:
        """Whether the value is spikes that exist as numbers."""
        return self.kind == Kind.SPIKES and not self.pending

    def but(self, **changes) -> "Info":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def parameter(shape: tuple[int, ...], **fields) -> Info:
    """Info of a parameter that varies along every axis longer than one."""
    return Info(Kind.PARAMETER, axes=tuple(size > 1 for size in shape), **fields)


def constant(value) -> Info:
    """Info of a literal in the program."""
    array = np.asarray(value)
    numeric = array.dtype == bool or jax.dtypes.issubdtype(array.dtype, np.number)  # bfloat16 too, which NumPy does not know
    same = bool(array.size and numeric and np.all(array == array.flat[0]) and not np.iscomplexobj(array))
    number = float(array.flat[0]) if same else None
    return parameter(array.shape, const=number, unit=number in (0.0, 1.0), nonneg=number is not None and number >= 0)


def join(a: Info, b: Info) -> Info:
    """Least upper bound: what is still true of a value that may be either `a` or `b`."""
    if a == b:
        return a
    if b.kind > a.kind:
        a, b = b, a
    both = dict(
        unit=a.unit and b.unit,
        nonneg=a.nonneg and b.nonneg,
        births=a.births | b.births,
        sites=a.sites | b.sites,
        fresh=a.fresh | b.fresh,
        form=None,
        nan_test=False,
    )
    if a.kind == Kind.PARAMETER:
        axes = tuple(x or y for x, y in zip(a.axes, b.axes, strict=True))
        same = a.const == b.const
        return a.but(axes=axes, const=a.const if same else None, leaf=_first(a.leaf, b.leaf), layered=None, **both)
    if a.kind == Kind.SPIKES:
        axes = tuple(x or y for x, y in zip(_weighted_axes(a), _weighted_axes(b), strict=True))
        plain = both["unit"] or (b.kind == Kind.SPIKES and not (a.companion or b.companion))
        extra = dict(axes=axes, weight=_first(a.weight, b.weight), weighted=a.weighted or b.weighted)
        if a.pending:
            extra = {}
        return a.but(companion=not plain, pending=a.pending and b.pending, **extra, **both)
    return a.but(cause=a.cause or b.cause, **both)


def _first(*options):
    return next((o for o in options if o is not None), None)


def _weighted_axes(info: Info) -> tuple[bool, ...]:
    return info.axes if info.weighted else (False,) * len(info.axes)
