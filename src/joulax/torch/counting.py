"""The watcher: every operation of a call is seen once, and its counts are added."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .._activity.account import Account
from . import (
    arithmetic as arithmetic,  # registers its rules
    choices as choices,
    reductions as reductions,
    sites,
)
from .arguments import arguments_of, modules_of, names_of, parameters_of
from .kinds import CONSTANT, MADE, Analog, Events, Kind, Parameter, births_of, is_constant, owner_of
from .library import DispatchMode, tensors_of, torch
from .memory import Kinds, storage_of
from .modules import hooked
from .step import RULES, Step, kind_of
from .tally import Tally

_PRODUCTS = {"mm": (0, 1), "bmm": (0, 1), "mv": (0, 1), "dot": (0, 1), "vdot": (0, 1)}
_PRODUCTS |= {"addmm": (1, 2), "baddbmm": (1, 2), "addmv": (1, 2), "addbmm": (1, 2)}
_PRODUCTS |= {"_sparse_mm": (0, 1), "_sparse_addmm": (1, 2), "_sparse_sparse_matmul": (0, 1)}
_ATTENTION = "_scaled_dot_product"


class Watch(DispatchMode):
    """Sees every operation below autograd, and says what its result is."""

    def __init__(self, kinds: Kinds, tally: Tally):
        super().__init__()
        self.kinds, self.tally = kinds, tally

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and note what it was."""
        kwargs = kwargs or {}
        tensors = tensors_of((args, kwargs))
        name = func._schema.name.split("::")[1]
        if all(is_constant(self.kinds[t]) for t in tensors):
            return self._constant(func, name, tensors, args, kwargs)
        pieces = self._decomposed(func, name, args, kwargs)
        if pieces is not NotImplemented:
            return pieces
        if func._schema.is_mutable and name.endswith("_"):
            return self._written(func, name.rstrip("_"), args, kwargs)
        out = func(*args, **kwargs)
        if not _is_view(func, out, tensors):
            kind = self._kind(func, name, args, kwargs, out)
            for one in tensors_of(out):
                self._say(one, kind, one is not out)
        return out

    def _constant(self, func: Any, name: str, tensors: list[Any], args: Any, kwargs: Any) -> Any:
        """An operation that no data enters: what it makes of nothing is known to be no data."""
        out = func(*args, **kwargs)
        made = name.rstrip("_") in arithmetic.SHAPES or all(self.kinds[t] == MADE for t in tensors)
        if not _is_view(func, out, tensors):
            for one in tensors_of(out):
                self.kinds[one] = MADE if made else CONSTANT
        return out

    def _decomposed(self, func: Any, name: str, args: tuple[Any, ...], kwargs: Any) -> Any:
        """The result by the operations that this one is made of, where no rule is about it."""
        if name.rstrip("_") in RULES or name in _PRODUCTS or func.is_view:
            return NotImplemented
        with self:
            if name == "addcmul":
                return args[0] + args[1] * args[2] * kwargs.get("value", 1)
            return func.decompose(*args, **kwargs)

    def _written(self, func: Any, name: str, args: tuple[Any, ...], kwargs: Any) -> Any:
        """An operation that writes into its first operand."""
        seen = (self._before(args[0]), *args[1:])
        out = func(*args, **kwargs)
        kind = self._kind(func, name, seen, kwargs, out)
        for one in tensors_of(out):
            self.kinds.write(one, kind)
        return out

    def _say(self, tensor: Any, kind: Kind, several: bool) -> None:
        if isinstance(kind, Events) and several and tensor.dtype == torch.int64:
            kind = Analog("an index of spikes", births=kind.births)
        beside = kind.companion if isinstance(kind, Events) else None
        if beside is None or beside.numel() == tensor.numel():
            self.kinds[tensor] = kind

    def _before(self, tensor: Any) -> Any:
        """What an operation that writes in place will have read."""
        kept = tensor.detach().clone()
        kind = self.kinds[tensor]
        if isinstance(kind, Events) and kind.companion is not None:
            kind = replace(kind, companion=self.kinds.events(tensor))
        if not isinstance(kind, Parameter):
            kind = replace(kind, terms=self.kinds.terms(tensor))
        self.kinds[kept] = kind
        return kept

    def _kind(self, func: Any, name: str, args: Any, kwargs: Any, out: Any) -> Kind:
        if name in _PRODUCTS:
            a, b = (args[i] for i in _PRODUCTS[name])
            made = sites.matmul(self.kinds, self.tally, name, a, b)
            bias = [self.kinds[args[0]]] if _PRODUCTS[name] == (1, 2) else []
            return _beside(made, bias)
        if name in ("convolution", "_convolution", "convolution_overrideable"):
            return sites.convolution(self.kinds, self.tally, name, args[:9])
        if name.startswith(_ATTENTION):
            return sites.attention(self.kinds, self.tally, name, args, kwargs)
        if name == "copy":
            return self.kinds[args[1]]
        tensors = tensors_of((args, kwargs))
        return kind_of(Step(func, name, args, kwargs, out, self.kinds, self.tally, tensors))


def _beside(made: Kind, bias: list[Kind]) -> Kind:
    """What a layer delivers, added to a bias or to another current."""
    if isinstance(made, Analog) and (other := owner_of(bias)) is not None:
        owners = [o for o in (other, made.owner) if o is not None]
        return replace(made, owner=min(owners, key=lambda o: o.order))
    return made


def _is_view(func: Any, out: Any, tensors: list[Any]) -> bool:
    """Whether a result is the memory of an operand, whose kind it shares."""
    first: Any = out[0] if isinstance(out, tuple | list) and out else out
    if not isinstance(first, torch.Tensor):
        return True
    if not (func.is_view or func._schema.name in ("aten::_unsafe_view", "aten::detach")):
        return False
    here = storage_of(first)._cdata
    return any(storage_of(t)._cdata == here for t in tensors)


def counter(
    model: Callable[..., Any],
    spikes: Any,
    weights: Any,
    neurons: tuple[type, ...],
    strict: bool,
) -> Callable[..., tuple[Any, Account]]:
    """The function that `joulax.torch.count` returns."""
    if not callable(model):
        raise ValueError(f"count() takes a module or a function, got {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule | torch.jit.ScriptFunction):
        raise ValueError("a TorchScript program hides its modules: count the one it was made from")
    model = getattr(model, "_orig_mod", model)  # what a compiled module was made from
    declared, held = names_of("spikes", spikes), names_of("weights", weights)

    def counted(*args: Any, **kwargs: Any) -> tuple[Any, Account]:
        kinds, tally = Kinds(), Tally()
        order = list(parameters_of(model, kinds, neurons))
        args, kwargs, leaves = arguments_of(model, args, kwargs, declared, held, kinds)
        with hooked(modules_of(model), kinds, tally, neurons), Watch(kinds, tally):
            out = model(*args, **kwargs)
        _check(out, kinds, tally, strict)
        options = tuple((n, str(v)) for n, v in (("spikes", spikes), ("weights", weights)) if v)
        return out, tally.account((*options, ("framework", "torch")), [*order, *leaves])

    return counted


def _check(out: Any, kinds: Kinds, tally: Tally, strict: bool) -> None:
    """Let what leaves the model arrive; refuse a call that stands in no record."""
    tensors = tensors_of(out)
    results = kinds.among(tensors)
    tally.arrive(births_of(results))
    if all(isinstance(k, Parameter) for k in results) and (tensors or not tally.records):
        raise ValueError(
            "no result of this function depends on an argument that is data: is the input closed "
            "over, or did it come as a NumPy array or a Python list? Pass it as a tensor argument"
        )
    if strict and tally.lost:
        raise ValueError(
            "synapses that stand in no record: " + "; ".join(tally.lost) + ". Write them as a "
            "product, or go on with count(..., strict=False): the account then says ≥"
        )
