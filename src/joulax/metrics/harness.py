"""JAX models in NeuroBench's own harness, with metrics that see them.

NeuroBench's metrics hook into modules of PyTorch. For any other model they return 0 or nothing,
and say nothing; these take their names, read an account, and give what `metrics.workload` gives.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from .._activity.account import Account, named_records
from .._count import count
from .._hardware.catalogue import hardware
from .._hardware.chip import Hardware
from .._hardware.energy import energy
from .neurobench import (
    activation_sparsity,
    connection_sparsity,
    footprint,
    parameter_count,
    synaptic_operations,
)


@dataclass(frozen=True)
class Harness:
    """What NeuroBench's `Benchmark` takes: a model, and metrics of both sorts.

    **Attributes:**

    - `model`: a `NeuroBenchModel` that runs the JAX model and counts it.
    - `static`: metrics of the model: `Footprint`, `ParameterCount`, `ConnectionSparsity`.
    - `workload`: metrics of its runs: `SynapticOperations`, `ActivationSparsity` and, with a chip,
      `Energy` [pJ per sample].
    """

    model: Any
    static: list[type]
    workload: list[type]


def harness(
    model: Callable[..., Any],
    *,
    on: str | Hardware | None = None,
    duration: ArrayLike | None = None,
    **options: Any,
) -> Harness:
    """A JAX model and its metrics, for `neurobench.benchmarks.Benchmark`.

    ```text
    bench = joulax.metrics.harness(model, spikes=0, on="loihi")
    run = Benchmark(bench.model, loader, [], [], [bench.static, bench.workload])
    results = run.run()
    ```

    **Arguments:**

    - `model`: a callable that takes one sample; its arrays are the parameters.
    - `on`: a chip, or the name of one, for `Energy`.
    - `duration`: length of a sample [s], for chips with static power.
    - `options`: those of [`joulax.count`][], such as `spikes=0`.

    **Returns:**

    A [`joulax.metrics.Harness`][].

    **Raises:**

    `ImportError` without NeuroBench.
    """
    try:
        static_metric: Any = importlib.import_module("neurobench.metrics.abstract").StaticMetric
        accumulated = importlib.import_module("neurobench.metrics.abstract.workload_metric")
        base: Any = importlib.import_module("neurobench.models").NeuroBenchModel
    except ImportError as error:
        raise ImportError("joulax.metrics.harness needs NeuroBench: pip install neurobench") from (
            error
        )
    chip = hardware(on) if isinstance(on, str) else on
    run = _Run(model, options)

    class JaxModel(base):
        """Runs the model on a batch of tensors."""

        def __call__(self, batch: Any) -> Any:
            return run(batch)

        def __net__(self) -> Any:
            return model

    def static(name: str, figure: Callable[[Any], Any]) -> type:
        call = lambda self, bench: figure(model)
        return type(name, (static_metric,), {"__call__": call, "__doc__": figure.__doc__})

    def workload(name: str, figure: Callable[[Account], Any]) -> type:
        parent: Any = accumulated.AccumulatedMetric
        return type(name, (parent,), _accumulating(parent, run, figure))

    figures = [
        workload("SynapticOperations", synaptic_operations),
        workload("ActivationSparsity", _sparsity),
    ]
    if chip is not None:
        figures.append(workload("Energy", lambda account: energy(account, chip, duration).total))
    statics: dict[str, Callable[[Any], Any]] = {
        "Footprint": footprint,
        "ParameterCount": parameter_count,
    }
    statics["ConnectionSparsity"] = lambda model: float(connection_sparsity(model))
    return Harness(JaxModel(), [static(n, f) for n, f in statics.items()], figures)


class _Run:
    """The counted model; the account of the last batch."""

    def __init__(self, model: Callable[..., Any], options: dict[str, Any]):
        self._call = jax.jit(jax.vmap(count(model, **options)))
        self.account: Account | None = None

    def __call__(self, batch: Any) -> Any:
        torch: Any = importlib.import_module("torch")
        out, self.account = self._call(jnp.asarray(np.asarray(batch)))
        return jax.tree.map(lambda x: torch.from_numpy(np.array(x)), out)


def _accumulating(base: Any, run: _Run, figure: Callable[[Account], Any]) -> dict[str, Any]:
    """A metric that is a mean over all samples, whatever the batches."""

    def init(self: Any) -> None:
        base.__init__(self)
        self.reset()

    def reset(self: Any) -> None:
        self.sums, self.samples = None, 0

    def call(self: Any, bench: Any, preds: Any, data: Any) -> Any:
        if run.account is None:
            raise ValueError("the model of this harness has not run: give its own `model`")
        new = jax.tree.map(lambda x: np.asarray(x, np.float64).sum(), figure(run.account))
        self.sums = new if self.sums is None else jax.tree.map(np.add, self.sums, new)
        self.samples += len(data[0])
        return self.compute()

    def compute(self: Any) -> Any:
        return jax.tree.map(lambda x: float(x) / max(self.samples, 1), self.sums)

    return {"__init__": init, "reset": reset, "__call__": call, "compute": compute}


def _sparsity(account: Account) -> Any:
    """Sparsity sample by sample; every sample has as many outputs."""
    records = named_records(account).values()
    if not any(r.spikes is not None and r.updates is not None for r in records):
        return jnp.zeros(())
    return jax.vmap(activation_sparsity)(account)
