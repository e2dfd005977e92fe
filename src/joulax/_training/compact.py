"""Neurons that no longer matter, and the smaller network without them."""

import copy
import dataclasses
from itertools import pairwise
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._activity.account import Account
from .._activity.record import Activity
from .groups import synaptic

_PER_NEURON = ("ac", "ac_graded", "mac", "spikes", "spikes_graded", "updates", "touched")
_DENSE = ("dense_ac", "dense_mac")
_SIZES = (("out_features", 0), ("in_features", 1), ("out_channels", 0), ("in_channels", 1))


class Compacted(NamedTuple):
    """A network without the neurons that did not matter.

    **Attributes:**

    - `model`: the smaller network.
    - `account`: what the smaller network does on the same data, summed over neurons; `nonzero` is
      not predicted.
    - `removed`: by layer, the indices of its neurons (output channels) that went and why:
      `"silent"` never fired on these data, `"unread"` reach nothing, as all their synapses are
      zero.
    """

    model: Any
    account: Account
    removed: dict[str, dict[str, tuple[int, ...]]]

    @property
    def neurons(self) -> int:
        """How many went."""
        return sum(len(i) for why in self.removed.values() for i in why.values())


def compact(model: Any, account: Account) -> Compacted:
    r"""Remove the neurons of a stack of layers that never fire or that nothing reads.

    A chip updates every neuron at every step, also one that is cut off. Removing it saves its
    updates and everything that it received; outputs on the counted data stay what they are. A
    neuron that nothing reads can go for any data; one that was silent was so on these, so count
    enough of them.

    For *stacks*: every layer feeds the next one alone, neuron by neuron, channel by channel, or
    channels flattened in front of a matrix. [`joulax.neurons.Network`][] is one, with recurrent
    layers too, and so is any module whose layers have a `weight` (out, in, ...), as Equinox names
    them, and beside it at most arrays of their own, such as a bias. Branches and skips are not seen
    in an account: a network that has some fails when it is called, for its shapes do not fit; slice
    it by hand.

    ```python
    import equinox as eqx, jax, jax.numpy as jnp
    import joulax
    from joulax.neurons import LIF, LeakyReadout, Network

    a, b = jax.random.split(jax.random.key(0))
    layers = [eqx.nn.Linear(4, 8, key=a), LIF(), eqx.nn.Linear(8, 3, key=b), LeakyReadout()]
    x = jnp.ones((6, 4))
    _, account = joulax.count(Network(layers), spikes=0, neurons=True)(x)
    small, predicted, removed = joulax.compact(Network(layers), account)
    assert jnp.allclose(small(x), Network(layers)(x))
    ```

    **Arguments:**

    - `model`: the network, with exact zeros where synapses are gone.
    - `account`: of this model, from `count(model, ..., neurons=True)`; leading axes (samples) may
      stand before those of the neurons.

    **Returns:**

    [`joulax.Compacted`][]. At least one neuron of every layer stays; inputs and outputs keep their
    sizes.

    **Raises:**

    `ValueError` for an account without `neurons=True` or of another model, for layers that do not
    fit together, for arrays that belong to no layer, and inside `jit`: sizes change.
    """
    if any(isinstance(a, Tracer) for a in jax.tree.leaves((model, account))):
        raise ValueError("compact() changes sizes: call it outside of jit, on numbers")
    if "neurons" not in {name for name, _ in account.convention.options}:
        raise ValueError("compact() needs the neurons one by one: count(model, ..., neurons=True)")
    stack = _stack(model, account)
    kept, removed = _choice(stack, account)
    return Compacted(_sliced(model, stack, kept), _predicted(account, stack, kept), removed)


@dataclasses.dataclass(frozen=True)
class _Layer:
    """One layer of a stack.

    `own` names its other arrays with one entry for each neuron, `loop` its recurrent weights.
    """

    name: str
    weight: np.ndarray  # (out, in, ...)
    own: tuple[str, ...] = ()
    loop: str | None = None
    recurrent: np.ndarray | None = None  # (out, out)


def _stack(model: Any, account: Account) -> list[_Layer]:
    """The layers in their order."""
    arrays = _arrays(model)
    unknown = [n for n in account.order if not synaptic(arrays.get(f"{n}.weight", 0.0))]
    if unknown:
        raise ValueError(
            f"compact() takes a stack of layers with a `weight` each, as count names them; there "
            f"is none for {', '.join(unknown)}: the arrays are {', '.join(arrays)}"
        )
    layers: list[_Layer] = []
    for name in account.order:
        weight = arrays.pop(f"{name}.weight")
        if layers and _loops(weight, layers[-1], account, name):
            loop = f"{name}.weight"
            layers[-1] = dataclasses.replace(layers[-1], loop=loop, recurrent=weight)
            continue
        layers.append(_Layer(name, weight, _own(arrays, name, len(weight))))
    _check(layers, [n for n, a in arrays.items() if a.size > 1])
    return layers


def _arrays(model: Any) -> dict[str, np.ndarray]:
    """The arrays of a model by the names of their places."""
    leaves = jax.tree_util.tree_leaves_with_path(model)
    return {_name(p): np.asarray(a) for p, a in leaves if eqx.is_array(a)}


def _own(arrays: dict[str, np.ndarray], name: str, neurons: int) -> tuple[str, ...]:
    """Further arrays of a layer with one entry for each of its neurons."""
    found = [n for n, a in arrays.items() if n.startswith(f"{name}.") and a.size > 1]
    return tuple(n for n in found if len(arrays[n]) == neurons)


def _loops(weight: np.ndarray, before: _Layer, account: Account, name: str) -> bool:
    """Whether a layer brings the spikes of the layer before back to its own neurons."""
    square = weight.shape == (len(before.weight),) * 2
    return square and account[name].updates is None and name != account.order[-1]


def _check(layers: list[_Layer], others: list[str]) -> None:
    """Refuse what is no stack."""
    unknown = set(others) - {n for layer in layers for n in layer.own}
    if unknown:
        raise ValueError(f"compact() does not know whose neurons {sorted(unknown)} belong to")
    for a, b in pairwise(layers):
        if b.weight.shape[1] % len(a.weight):
            raise ValueError(
                f"{b.name} has {b.weight.shape[1]} inputs, which are not those of the "
                f"{len(a.weight)} channels of {a.name}: compact() takes stacks of layers; slice "
                "other networks by hand"
            )


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path).removeprefix(".")


def _choice(stack: list[_Layer], account: Account) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Which neurons of each layer stay, from the last layer to the first, and why others go."""
    kept = [np.ones(len(layer.weight), bool) for layer in stack]
    removed: dict[str, Any] = {}
    for k in reversed(range(len(stack) - 1)):
        layer = stack[k]
        read = (stack[k + 1].weight != 0)[kept[k + 1]].reshape(
            -1, len(layer.weight), _each(stack, k)
        )
        silent, heard = ~_fired(account[layer.name], layer), read.any((0, 2))
        if layer.recurrent is not None:
            heard |= (layer.recurrent != 0).any(0)
        gone = silent | ~heard
        gone[0] &= not gone.all()
        kept[k] = ~gone
        why = {"silent": gone & silent, "unread": gone & ~silent}
        removed[layer.name] = {w: tuple(np.flatnonzero(m).tolist()) for w, m in why.items()}
    return kept, dict(reversed(removed.items()))


def _each(stack: list[_Layer], k: int) -> int:
    """Weights of the next layer for one output channel of this one and one of its own outputs."""
    return stack[k + 1].weight[0].size // len(stack[k].weight)


def _fired(record: Activity, layer: _Layer) -> np.ndarray:
    """Whether a neuron, or any of a channel, ever fired; one without spikes always matters."""
    if record.spikes is None:
        return np.ones(len(layer.weight), bool)
    spikes = np.asarray(record.spikes)
    spikes = np.moveaxis(spikes, _axis(layer, spikes), -1)
    return (spikes != 0).reshape(-1, len(layer.weight)).any(0)


def _axis(layer: _Layer, counts: Any) -> int:
    """The axis of the neurons or channels: in front of the positions."""
    axis = np.ndim(counts) - 1 - (layer.weight.ndim - 2)
    if axis < 0 or np.shape(counts)[axis] != len(layer.weight):
        raise ValueError(
            f"{layer.name} has {len(layer.weight)} neurons, and a count of shape "
            f"{np.shape(counts)}: is the account of this model, with neurons=True?"
        )
    return axis


def _sliced(model: Any, stack: list[_Layer], kept: list[np.ndarray]) -> Any:
    """The model without the neurons that go."""
    before = {b.name: (a, k) for (a, b), k in zip(pairwise(stack), kept, strict=False)}
    cut: dict[str, Any] = {}
    for layer, stay in zip(stack, kept, strict=True):
        cut |= dict.fromkeys(layer.own, lambda a, stay=stay: a[stay])
        at = before.get(layer.name, (None, None))
        cut[f"{layer.name}.weight"] = lambda w, stay=stay, at=at: _cut(w, stay, *at)
        if layer.loop is not None:
            cut[layer.loop] = lambda w, stay=stay: w[stay][:, stay]
    new = jax.tree_util.tree_map_with_path(lambda p, a: cut.get(_name(p), _same)(a), model)
    return jax.tree.map(_resized, new, is_leaf=_sized)


def _cut(weight: Any, stay: np.ndarray, before: _Layer | None, inputs: Any) -> Any:
    if before is None:
        return weight[stay]
    return weight[stay][:, np.repeat(inputs, weight.shape[1] // len(before.weight))]


def _same(leaf: Any) -> Any:
    return leaf


def _sized(node: Any) -> bool:
    """A layer that also states its sizes, as those of Equinox do."""
    return (
        isinstance(node, eqx.Module)
        and hasattr(node, "weight")
        and any(isinstance(getattr(node, name, None), int) for name, _ in _SIZES)
    )


def _resized(node: Any) -> Any:
    """The layer with its sizes as its weights say."""
    if not _sized(node):
        return node
    new = copy.copy(node)
    groups = getattr(node, "groups", 1)
    for name, axis in _SIZES:
        if isinstance(getattr(node, name, None), int):
            object.__setattr__(new, name, node.weight.shape[axis] * (groups if axis else 1))
    return new


def _predicted(account: Account, stack: list[_Layer], kept: list[np.ndarray]) -> Account:
    """The account of the smaller network: what its neurons did, at the sites that are left."""
    layers, share = dict(account.layers), 1.0
    for layer, stay in zip(stack, kept, strict=True):
        layers[layer.name] = _reduced(layers[layer.name], layer, stay, share)
        share = float(stay.mean())
        if layer.loop is not None:
            name = layer.loop.removesuffix(".weight")
            layers[name] = _reduced(layers[name], layer, stay, share)
    options = tuple(o for o in account.convention.options if o[0] != "neurons")
    convention = dataclasses.replace(account.convention, options=options)
    return Account(layers, convention, account.order)


def _reduced(record: Activity, layer: _Layer, stay: np.ndarray, share: float) -> Activity:
    """Counts of the neurons that stay; positions shrink with the inputs that are left."""
    new: dict[str, Any] = {"nonzero": None, "events": None}
    for name in (*_PER_NEURON, *_DENSE):
        counts = getattr(record, name)
        if counts is not None:
            axis = _axis(layer, counts)
            left = np.compress(stay, counts, axis).sum(tuple(range(axis, np.ndim(counts))))
            new[name] = jnp.asarray(left * (share if name in _DENSE else 1.0), jnp.float32)
    for name, factor in (("neurons", stay.mean()), ("synapses", stay.mean() * share)):
        counts = getattr(record, name)
        new[name] = None if counts is None else counts * factor
    return dataclasses.replace(record, **new)
