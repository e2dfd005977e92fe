"""What a whole data set costs: in constant memory, exactly, and resumable at any moment."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from .._activity.account import Account
from .._activity.ledger import Ledger
from .._count import count
from .._forms.rendered import Rendered
from .._forms.table import ENERGY, TEXT, Column, Row, Value, table
from .._hardware.catalogue import hardware
from .._hardware.chip import Hardware
from .._hardware.energy import energy
from .._version import __version__

WORST = 5  # samples that are remembered
PER_OCTAVE, OCTAVES = 64, 96  # bins of energies from 1 pJ on: within 1.1 %


@dataclass
class Spread:
    """Energies of all samples on one chip [pJ], without keeping them.

    **Attributes:**

    - `samples`, `total`, `squares`: number, sum and sum of squares.
    - `low`, `high`: the cheapest and the most expensive sample.
    - `worst`: the most expensive samples, `(index, energy)`.
    """

    samples: int = 0
    total: float = 0.0
    squares: float = 0.0
    low: float = float("inf")
    high: float = 0.0
    worst: list[tuple[int, float]] = field(default_factory=list)
    bins: np.ndarray = field(default_factory=lambda: np.zeros(PER_OCTAVE * OCTAVES + 1, np.int64))

    def add(self, values: np.ndarray, first: int) -> None:
        """Add the energies of samples from number `first` on."""
        for i, value in enumerate(map(float, values)):
            self.samples += 1
            self.total += value
            self.squares += value * value
            self.worst.append((first + i, value))
        self.low, self.high = min(self.low, *values.tolist()), max(self.high, *values.tolist())
        self.worst = sorted(self.worst, key=lambda pair: -pair[1])[:WORST]
        places = np.clip(np.log2(1 + values) * PER_OCTAVE, 0, len(self.bins) - 1).astype(int)
        np.add.at(self.bins, places, 1)

    @property
    def mean(self) -> float:
        """Mean over the samples [pJ]."""
        return self.total / self.samples

    @property
    def std(self) -> float:
        """Standard deviation over the samples [pJ]."""
        return max(self.squares / self.samples - self.mean**2, 0.0) ** 0.5

    def percentile(self, q: float) -> float:
        """Percentile of the energies of samples [pJ], within 1.1 %."""
        if not 0 <= q <= 100:
            raise ValueError(f"a percentile is between 0 and 100, got {q}")
        place = int(np.searchsorted(np.cumsum(self.bins), max(q / 100 * self.samples, 1)))
        return min(max(2 ** ((place + 0.5) / PER_OCTAVE) - 1, self.low), self.high)


@dataclass(frozen=True, repr=False)
class DatasetEvaluation(Rendered):
    """What a data set costs; `print` it.

    **Attributes:**

    - `samples`: how many.
    - `totals`: every count of every layer over all samples, exact integers.
    - `mean`: the account of a mean sample.
    - `energies`: a [`joulax.Spread`][] for each chip [pJ per sample].
    """

    samples: int
    totals: dict[str, dict[str, int]]
    mean: Account
    energies: dict[str, Spread]

    def parts(self) -> list[Any]:
        """One row a chip."""
        columns = [
            Column("chip", "chip"),
            Column("mean", "per sample", ENERGY),
            Column("median", "median", ENERGY),
            Column("p95", "95 % below", ENERGY),
            Column("high", "worst", ENERGY),
            Column("worst", "samples", TEXT),
        ]
        rows = [
            Row(
                (
                    name,
                    Value(s.mean, std=s.std),
                    s.percentile(50),
                    s.percentile(95),
                    s.high,
                    ", ".join(str(i) for i, _ in s.worst),
                )
            )
            for name, s in self.energies.items()
        ]
        return [f"{self.samples} samples", table(columns, rows, partial=self.mean.partial)]


def evaluate_dataset(
    model: Callable[..., Any],
    batches: Iterable[Any],
    *,
    on: Sequence[str | Hardware] = (),
    weights: Any = None,
    spikes: Any = None,
    duration: float | None = None,
    state: str | os.PathLike[str] | None = None,
    every: int = 10,
    progress: bool = False,
) -> DatasetEvaluation:
    """Count a model on every sample of a data set, in constant memory.

    **Arguments:**

    - `model`: a function of one sample, as for [`joulax.count`][].
    - `batches`: an iterator over batches: an array with a leading sample axis, or a tuple of such
      arrays, one for each argument.

    **Options:**

    - `on`: chips, or names of the catalogue.
    - `weights`, `spikes`: as for `joulax.count`; arguments named by `weights=` are not batched.
    - `duration`: length of one sample [s], for chips with static power.
    - `state`: a file that is written every so many batches. If it exists, the evaluation goes on
      behind the batches that it holds; the iterator must give the same batches again.
    - `every`: batches between two writings.
    - `progress`: show a progress bar.

    **Returns:**

    A [`joulax.DatasetEvaluation`][]; one that was interrupted and resumed equals the uninterrupted
    one to the last digit.

    **Raises:**

    `ValueError` if there is no batch, if the state file is damaged or belongs to another model,
    other chips or another version, or as `joulax.count` and `joulax.energy` do.
    """
    run = _Evaluated(model, on, weights, spikes, duration)
    done = run.load(state) if state is not None and os.path.exists(state) else 0
    number = 0
    for number, batch in enumerate(_shown(batches, progress), 1):
        if number <= done:
            run.check_shapes(batch)
            continue
        run.add(batch)
        if state is not None and number % every == 0:
            run.save(state, number)
    if run.ledger is None or number < done:
        raise ValueError(
            f"evaluate_dataset() got {number} batches, but needs at least {max(done, 1)}"
        )
    if state is not None:
        run.save(state, number)
    spreads = dict(zip(run.names, run.spreads, strict=True))
    return DatasetEvaluation(run.samples, run.ledger.totals(), run.ledger.mean, spreads)


def _shown(batches: Iterable[Any], progress: bool) -> Iterable[Any]:
    if not progress:
        return batches
    from rich.progress import track

    total = len(batches) if hasattr(batches, "__len__") else None  # type: ignore[arg-type]
    return track(batches, "counting", total=total)


class _Evaluated:
    """The running sums of an evaluation, and how they are kept in a file."""

    def __init__(
        self,
        model: Callable[..., Any],
        on: Sequence[str | Hardware],
        weights: Any,
        spikes: Any,
        duration: float | None,
    ):
        self._chips = [hardware(c) if isinstance(c, str) else c for c in on]
        self._duration = duration
        self.names = [c if isinstance(c, str) else str(c.called) for c in on]
        counted = count(model, weights=weights, spikes=spikes)
        fixed = {weights} if isinstance(weights, int) else set(weights or ())
        self._axes = lambda n: tuple(None if i in fixed else 0 for i in range(n))
        self._count = lambda args: jax.vmap(counted, in_axes=self._axes(len(args)))(*args)[1]
        self.ledger: Ledger | None = None
        self.spreads = [Spread() for _ in on]
        self.samples = 0

    def _example(self, batch: Any) -> Account:
        return jax.eval_shape(self._count, _arguments(batch))

    def check_shapes(self, batch: Any) -> None:
        """Make the empty ledger whose sums were loaded, from the shapes of a batch."""
        if self.ledger is None:
            self.ledger = self._restored(Ledger.init(self._example(batch)))

    def add(self, batch: Any) -> None:
        """Count one batch."""
        account = self._count(_arguments(batch))
        if self.ledger is None:
            self.ledger = Ledger.init(account)
        before = self.samples
        self.ledger = self.ledger.add(account)
        self.samples += len(jax.tree.leaves(account)[0])
        for spread, chip in zip(self.spreads, self._chips, strict=True):
            spent = energy(account, chip, self._duration).total
            spread.add(np.asarray(spent, np.float64), before)

    # -- the file -------------------------------------------------------------------

    def _known(self) -> dict[str, Any]:
        """What must be the same where an evaluation goes on."""
        prices = [np.asarray(x).tolist() for c in self._chips for x in jax.tree.leaves(c)]
        return {
            "version": __version__,
            "chips": self.names,
            "prices": hashlib.sha256(json.dumps(prices).encode()).hexdigest(),
            "duration": self._duration,
        }

    def save(self, path: str | os.PathLike[str], batches: int) -> None:
        """Write the sums; a file is there whole or not at all."""
        assert self.ledger is not None
        leaves: dict[str, Any] = {
            f"ledger{i}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(self.ledger))
        }
        bins: dict[str, Any] = {f"bins{i}": s.bins for i, s in enumerate(self.spreads)}
        numbers = [[s.samples, s.total, s.squares, s.low, s.high, s.worst] for s in self.spreads]
        meta = self._known() | {
            "batches": batches,
            "samples": self.samples,
            "layers": list(self.ledger.order),
            "numbers": numbers,
        }
        body = io.BytesIO()
        np.savez(body, meta=np.array(json.dumps(meta)), **leaves, **bins)
        payload = body.getvalue()
        partial = f"{os.fspath(path)}.part"
        with open(partial, "wb") as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        os.replace(partial, path)

    def load(self, path: str | os.PathLike[str]) -> int:
        """Read the sums; how many batches they hold."""
        with open(path, "rb") as file:
            content = file.read()
        digest, payload = content[:32], content[32:]
        if hashlib.sha256(payload).digest() != digest:
            raise ValueError(
                f"the state file {os.fspath(path)} is damaged; delete it to start anew"
            )
        with np.load(io.BytesIO(payload)) as arrays:
            meta = json.loads(str(arrays["meta"]))
            self._saved = {k: arrays[k] for k in arrays.files if k != "meta"}
        known = self._known()
        changed = [k for k, v in known.items() if meta[k] != v]
        if changed:
            raise ValueError(
                f"the state file {os.fspath(path)} belongs to another evaluation: other "
                f"{', '.join(changed)}; delete it to start anew"
            )
        self._layers, self.samples = meta["layers"], meta["samples"]
        for i, (samples, total, squares, low, high, worst) in enumerate(meta["numbers"]):
            pairs = [(int(n), float(v)) for n, v in worst]
            bins = self._saved[f"bins{i}"]
            self.spreads[i] = Spread(samples, total, squares, low, high, pairs, bins)
        return int(meta["batches"])

    def _restored(self, empty: Ledger) -> Ledger:
        leaves, structure = jax.tree.flatten(empty)
        saved = [self._saved.get(f"ledger{i}") for i in range(len(leaves))]
        same = all(
            s is not None and s.shape == leaf.shape for s, leaf in zip(saved, leaves, strict=True)
        )
        if not same or list(empty.order) != self._layers:
            raise ValueError(
                f"the state file belongs to another model, with the layers "
                f"{', '.join(self._layers)}; this one has {', '.join(empty.order)}"
            )
        return jax.tree.unflatten(structure, [jax.numpy.asarray(s) for s in saved])


def _arguments(batch: Any) -> tuple[Any, ...]:
    return batch if isinstance(batch, tuple) else (batch,)
