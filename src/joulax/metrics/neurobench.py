"""NeuroBench's figures from one account, with its names and exact definitions."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._activity.account import Account, named_records
from .._activity.record import Activity, is_synaptic, total
from .._count import count
from .._count.names import is_array
from .._count.surroundings import surroundings
from .._forms.printed import Named
from .._hardware.catalogue import hardware
from .._hardware.chip import Chip
from .._hardware.scopes import ARITHMETIC

_OPERATIONS = {"Effective_MACs": "mac", "Effective_ACs": "ac_graded"}


def synaptic_operations(account: Any, *, per_layer: bool = False) -> dict[str, Any]:
    """NeuroBench's `SynapticOperations`: `Effective_MACs`, `Effective_ACs` and `Dense`.

    An effective operation is a nonzero activation that meets a nonzero weight; `Dense` leaves
    nothing out.
    A value of 2 is one operation here and two events elsewhere in this library. Whether an
    operation is a MAC or an AC is decided
    by the program; NeuroBench looks at the data, so after average pooling it says MAC where this
    says AC.

    **Arguments:**

    - `account`: an account, or any pytree of records.
    - `per_layer`: the same by layer.

    **Returns:**

    Operations of the call, by name; with leading axes as in the account. NeuroBench's are means
    over samples.
    """
    records = named_records(account)
    layers = {
        name: {word: total([getattr(r, f)]) for word, f in _OPERATIONS.items()} | {"Dense": r.dense}
        for name, r in records.items()
        if is_synaptic(r)
    }
    if per_layer:
        return Named(layers)
    return Named(
        {
            word: total([layer[word] for layer in layers.values()])
            for word in (*_OPERATIONS, "Dense")
        }
    )


def membrane_updates(membranes: Array) -> Array:
    """NeuroBench's `MembraneUpdates`.

    Neurons whose membrane changed, and every neuron at the first step.

    **Arguments:**

    - `membranes`: potentials after each step, time first: (time, …).

    **Returns:**

    A count over all axes; divide by the samples for NeuroBench's figure.
    """
    changed = (membranes[1:] != membranes[:-1]).astype(jnp.float32).sum()
    return changed + membranes[0].size if len(membranes) else jnp.zeros(())


_TABLE = {"Leaky": (4, 4), "Synaptic": (6, 8), "Lapicque": (11, 11), "Alpha": (18, 24)}


def neuron_operations(membranes: Array, neuron: str, reset: str = "subtract") -> dict[str, Array]:
    """NeuroBench's `NeuronOperations`: updates times the operations of its table.

    The first step counts for every neuron, so a silent network has effective operations: six leaky
    neurons
    and five steps without input have 24. What an update of *your* neuron takes is
    `account.convention.per_update(layer)`, counted from the program.

    **Arguments:**

    - `membranes`: potentials after each step, time first: (time, …).
    - `neuron`: `"Leaky"` (4 operations; 4 with reset to zero), `"Synaptic"` (6; 8), `"Lapicque"`
      (11; 11), `"Alpha"` (18; 24).
    - `reset`: `"subtract"` or `"zero"`.

    **Returns:**

    `Effective Neuron Ops` and `Neuron Dense Ops` over all axes.

    **Raises:**

    `ValueError` for a neuron or reset that is not in the table.
    """
    if neuron not in _TABLE or reset not in ("subtract", "zero"):
        raise ValueError(
            f"NeuroBench tabulates {', '.join(_TABLE)} with reset subtract or zero, "
            f"got {neuron!r}, {reset!r}; see account.convention.per_update"
        )
    each = _TABLE[neuron][reset == "zero"]
    dense = jnp.asarray(float(membranes.size))
    return Named(
        {
            "Effective Neuron Ops": each * membrane_updates(membranes),
            "Neuron Dense Ops": each * dense,
        }
    )


def counted_neuron_operations(account: Account) -> dict[str, dict[str, Array]]:
    """Operations of all updates of each layer, counted from the program.

    Any neuron model, tabulated or not.

    **Arguments:**

    - `account`: what [`joulax.count`][] returned.

    **Returns:**

    By layer: `multiply`, `add`, `compare`, `other`, and their `total`; dense, since a chip without
    idle states updates every neuron.
    """
    result = {}
    for name, record in account.items():
        each = account.convention.per_update(name)
        if each and record.updates is not None:
            counts = {kind: n * record.updates for kind, n in each.items()}
            result[name] = counts | {"total": total(list(counts.values()))}
    return Named(result)


def update_price(operations: Mapping[str, float], chip: str | Chip) -> Array:
    """Arithmetic of one neuron update [pJ].

    Additions and comparisons at the price of an accumulate, products at that of a multiplication.

    **Arguments:**

    - `operations`: `account.convention.per_update(layer)`.
    - `chip`: arithmetic only, such as `"45nm@int8"` or `"7nm"`: a multiplication is its MAC less
      its accumulate.

    **Raises:**

    `ValueError` if the chip does not price arithmetic, or an update contains exponentials and their
    like, which nobody prices.
    """
    chip = hardware(chip) if isinstance(chip, str) else chip
    if chip.costs.ac is None or chip.costs.mac is None:
        raise ValueError(
            f"update_price() needs prices of ac and mac, {chip.name} lacks one; "
            f"choose a sheet that is {ARITHMETIC}, like '45nm'"
        )
    if operations.get("other"):
        raise ValueError(
            f"an update contains {operations['other']:g} functions beyond addition "
            f"and multiplication, for which there is no price"
        )
    adds = operations.get("add", 0) + operations.get("compare", 0)
    return adds * chip.costs.ac + operations.get("multiply", 0) * (chip.costs.mac - chip.costs.ac)


def activation_sparsity(activations: Any, *, per_layer: bool = False) -> Any:
    """NeuroBench's `ActivationSparsity` (and `…ByLayer`).

    Share of zeros among the outputs of neurons.

    **Arguments:**

    - `activations`: an account, whose layers with spikes count; or a dict or list of arrays
      (outputs of activation layers).
    - `per_layer`: the same by layer.

    **Returns:**

    In [0, 1]; over all outputs together unless by layer.
    """
    counts = _outputs(activations)
    if per_layer:
        return Named({name: 1 - nonzero / size for name, (nonzero, size) in counts.items()})
    return 1 - total([n for n, _ in counts.values()]) / total([s for _, s in counts.values()])


def _outputs(activations: Any) -> dict[str, tuple[Array, Array]]:
    """Nonzero outputs and all outputs, by layer."""
    leaves = jax.tree.leaves(activations, is_leaf=lambda x: isinstance(x, Activity))
    if any(isinstance(leaf, Activity) for leaf in leaves):
        firing = {
            n: r
            for n, r in named_records(activations).items()
            if r.spikes_graded is not None and r.updates is not None
        }
        if not firing:
            raise ValueError(
                "no layer of the account fires; give the outputs of activation layers as arrays"
            )
        return {n: (total([r.spikes_graded]), total([r.updates])) for n, r in firing.items()}
    named = jax.tree_util.tree_leaves_with_path(activations)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): (
            (jnp.asarray(a) != 0).astype(jnp.float32).sum(),
            jnp.asarray(float(np.size(a))),
        )
        for path, a in named
    }


def connection_sparsity(model: Any, *, biases: bool = False) -> Array:
    """NeuroBench's `ConnectionSparsity`: share of zeros among the weights of a model.

    **Arguments:**

    - `model`: a pytree; its arrays of two or more axes are the weights.
    - `biases`: count the other arrays too, as NeuroBench does for recurrent cells, and for them
      only.
    """
    arrays = [a for a in _parameters(model) if biases or np.ndim(a) > 1]
    return jnp.asarray(1.0) - sum(
        (jnp.asarray(a) != 0).astype(jnp.float32).sum() for a in arrays
    ) / max(sum(np.size(a) for a in arrays), 1)


def parameter_count(model: Any) -> int:
    """NeuroBench's `ParameterCount`: numbers in a model."""
    return sum(int(np.size(a)) for a in _parameters(model))


def footprint(model: Any) -> int:
    """NeuroBench's `Footprint`: bytes of all arrays of a model.

    PyTorch adds its buffers (thresholds, decays), which are no arrays here.
    """
    return sum(int(np.size(a)) * a.dtype.itemsize for a in _parameters(model))


def _parameters(model: Any) -> list[Any]:
    return jax.tree.leaves(eqx.filter(model, is_array))


def workload(model: Callable, *inputs: Any, **options: Any) -> dict[str, Any]:
    """NeuroBench's static and workload figures of a model, in one call, as means over a batch.

    **Arguments:**

    - `model`: a callable that takes one sample; its arrays, those that it closes over, or the
      arguments named by number in `weights=` are the parameters.
    - `inputs`: its arguments, with a leading batch axis, parameters aside.
    - `options`: those of [`joulax.count`][], such as `spikes=0`.

    **Returns:**

    `Footprint`, `ParameterCount`, `ConnectionSparsity`, `SynapticOperations`, `ActivationSparsity`
    (where
    neurons fire), and `NeuronOperations` counted from the program: per update (`multiply`, `add`,
    …) by
    layer, and `Neuron Dense Ops`.
    """
    declared = options.get("weights")
    fixed = {declared} if isinstance(declared, int) else set(declared or ())
    axes = tuple(None if i in fixed else 0 for i in range(len(inputs)))
    counted = jax.vmap(lambda *x: count(model, **options)(*x)[1], in_axes=axes)
    account = jax.jit(counted)(*inputs)
    owned = [inputs[i] for i in sorted(fixed)] or [tree for _, tree in surroundings(model)] or model
    figures: dict[str, Any] = {
        "Footprint": footprint(owned),
        "ParameterCount": parameter_count(owned),
        "ConnectionSparsity": float(connection_sparsity(owned)),
        "SynapticOperations": _means(synaptic_operations(account)),
    }
    return Named(figures | _activation_figures(account) | _neuron_figures(account))


def _means(tree: Any) -> Any:
    return jax.tree.map(lambda a: float(jnp.mean(a)), tree)


def _activation_figures(account: Account) -> dict[str, Any]:
    """Sparsity over all samples, where neurons fire."""
    if not any(r.spikes is not None and r.updates is not None for r in account.values()):
        return {}
    summed = jax.tree.map(lambda a: a.sum(0), account)
    return {
        "ActivationSparsity": float(activation_sparsity(summed)),
        "ActivationSparsityByLayer": _means(activation_sparsity(summed, per_layer=True)),
    }


def _neuron_figures(account: Account) -> dict[str, Any]:
    counted = counted_neuron_operations(account)
    each = {name: account.convention.per_update(name) for name in counted}
    dense = sum(float(jnp.mean(c["total"])) for c in counted.values())
    return {"NeuronOperations": {"PerUpdate": each, "Neuron Dense Ops": dense}}
