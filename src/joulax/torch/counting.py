"""The watcher: every operation of a call is seen once, and its counts are added."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from .._activity.account import Account
from . import (
    arithmetic as arithmetic,  # registers its rules
    reductions as reductions,
    sites,
)
from .kinds import Analog, Events, Kind, Kinds, Owner, Parameter, owner_of
from .library import DispatchMode, pytree, torch
from .neurons import fires
from .step import RULES, Step, kind_of
from .tally import Tally

_PRODUCTS = {"mm": (0, 1), "bmm": (0, 1), "mv": (0, 1), "dot": (0, 1), "vdot": (0, 1)}
_PRODUCTS |= {"addmm": (1, 2), "baddbmm": (1, 2), "addmv": (1, 2), "addbmm": (1, 2)}
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
        tensors = _tensors((args, kwargs))
        if all(self.kinds[t] == Parameter() for t in tensors):
            return func(*args, **kwargs)
        name = func._schema.name.split("::")[1]
        pieces = NotImplemented
        if not (name.rstrip("_") in RULES or name in _PRODUCTS or func.is_view):
            with self:
                pieces = func.decompose(*args, **kwargs)
        if pieces is not NotImplemented:
            return pieces
        if func._schema.is_mutable and name.endswith("_"):
            return self._written(func, name.rstrip("_"), args, kwargs)
        out = func(*args, **kwargs)
        if not _is_view(func, out, tensors):
            kind = self._kind(func, name, args, kwargs, out)
            for one in _tensors(out):
                self._say(one, kind, one is not out)
        return out

    def _written(self, func: Any, name: str, args: tuple[Any, ...], kwargs: Any) -> Any:
        """An operation that writes into its first operand."""
        seen = (self._before(args[0]), *args[1:])
        out = func(*args, **kwargs)
        kind = self._kind(func, name, seen, kwargs, out)
        for one in _tensors(out):
            self.kinds.write(one, kind)
        return out

    def _say(self, tensor: Any, kind: Kind, several: bool) -> None:
        if isinstance(kind, Events) and several and not tensor.is_floating_point():
            kind = Analog("an index of spikes")
        beside = kind.companion if isinstance(kind, Events) else None
        if beside is None or beside.numel() == tensor.numel():
            self.kinds[tensor] = kind

    def _before(self, tensor: Any) -> Any:
        """What an operation that writes in place will have read."""
        kept = tensor.detach().clone()
        kind = self.kinds[tensor]
        if isinstance(kind, Events) and kind.companion is not None:
            kind = replace(kind, companion=self.kinds.events(tensor))
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
            return sites.attention(self.kinds, self.tally, name, args)
        if name == "copy":
            return self.kinds[args[1]]
        tensors = _tensors((args, kwargs))
        return kind_of(Step(func, name, args, kwargs, out, self.kinds, self.tally, tensors))


def _tensors(tree: Any) -> list[Any]:
    return [t for t in pytree.tree_leaves(tree) if isinstance(t, torch.Tensor)]


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
    here = first.untyped_storage()._cdata
    return any(t.untyped_storage()._cdata == here for t in tensors)


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
    declared, held = _names("spikes", spikes), _names("weights", weights)

    def counted(*args: Any, **kwargs: Any) -> tuple[Any, Account]:
        kinds, tally = Kinds(), Tally()
        order = list(_parameters(model, kinds))
        order += _arguments(model, args, kwargs, declared, held, kinds)
        with _hooked(_modules(model), kinds, tally, neurons), Watch(kinds, tally):
            out = model(*args, **kwargs)
        for tensor in _tensors(out):
            kind = kinds[tensor]
            for birth in kind.births if isinstance(kind, Events) else ():
                tally.arrive(birth)
        if strict and tally.lost:
            raise ValueError(
                "synapses that stand in no record: " + "; ".join(tally.lost) + ". Write them as a "
                "product, or go on with count(..., strict=False): the account then says ≥"
            )
        options = tuple((n, str(v)) for n, v in (("spikes", spikes), ("weights", weights)) if v)
        return out, tally.account((*options, ("framework", "torch")), order)

    return counted


def _names(option: str, value: Any) -> tuple[int | str, ...]:
    values = () if value is None else value if isinstance(value, tuple | list) else (value,)
    wrong = [v for v in values if isinstance(v, bool) or not isinstance(v, int | str)]
    if wrong:
        raise ValueError(f"{option}= takes arguments by number or name, got {wrong[0]!r}")
    return tuple(values)


def _modules(model: Any) -> dict[str, Any]:
    """Modules by name: of a module, or of those that a function closes over."""
    if isinstance(model, torch.nn.Module):
        return dict(model.named_modules())
    around = dict(_around(model)) if inspect.isfunction(model) else {}
    owner = getattr(model, "__self__", None)
    around |= {"self": owner} if isinstance(owner, torch.nn.Module) else {}
    held = {n: m for n, m in around.items() if isinstance(m, torch.nn.Module)}
    if len(held) == 1:
        return dict(next(iter(held.values())).named_modules())
    return {f"{n}.{k}".rstrip("."): m for n, o in held.items() for k, m in o.named_modules()}


def _around(function: Any) -> Iterator[tuple[str, Any]]:
    """What a function closes over, and the globals that it or a function inside it names."""
    codes = [function.__code__]
    while codes:
        code = codes.pop(0)
        codes += [c for c in code.co_consts if inspect.iscode(c)]
        names = (n for n in code.co_names if n in function.__globals__)
        yield from ((n, function.__globals__[n]) for n in names)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # a cell that is filled later
            yield name, cell.cell_contents


def _parameters(model: Any, kinds: Kinds) -> Iterator[str]:
    for path, module in _modules(model).items():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is not None and kinds[tensor] == Parameter():
                    leaf = f"{path}.{name}".lstrip(".")
                    kinds[tensor] = Parameter(frozenset((leaf,)))
                    yield leaf


def _arguments(
    model: Any, args: Any, kwargs: Any, declared: Any, held: Any, kinds: Kinds
) -> list[str]:
    """Kinds of the arguments; names of the weights among them."""
    call = model.forward if isinstance(model, torch.nn.Module) else model
    places: dict[int | str, Any] = dict(enumerate(args)) | kwargs
    try:
        bound = inspect.signature(call).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        bound = {}
    known = set(places) | set(bound)
    for name in (*declared, *held):
        if name not in known:
            raise ValueError(
                f"no argument {name!r}; the arguments are {', '.join(map(str, known))}"
            )
    leaves: list[str] = []
    for key, tree in places.items():
        same = {key, *(n for n, v in bound.items() if v is tree)}
        for path, tensor in pytree.tree_flatten_with_path(tree)[0]:
            if isinstance(tensor, torch.Tensor):
                leaf = _path(path) or str(key)
                kind = _kind_of_argument(tensor, key, leaf, same & set(held), same & set(declared))
                kinds[tensor] = kind
                leaves += [leaf] if isinstance(kind, Parameter) else []
    return leaves


def _kind_of_argument(tensor: Any, key: Any, leaf: str, held: Any, declared: Any) -> Kind:
    shape = f"({', '.join(map(str, tensor.shape))})"
    if held:
        return Parameter(frozenset((leaf,)))
    if declared or tensor.dtype == torch.bool:
        word = "is declared by spikes=" if declared else "is boolean"
        return Events(f"argument {key} {shape} {word}", unit=tensor.dtype == torch.bool)
    return Analog(f"argument {key} {shape} is analog; if it carries spikes, say spikes={key!r}")


def _path(path: Any) -> str:
    return pytree.keystr(path).replace("']['", ".").replace("['", "").replace("']", "").lstrip(".")


# -- modules ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _hooked(
    modules: dict[str, Any], kinds: Kinds, tally: Tally, neurons: tuple[type, ...]
) -> Iterator[None]:
    """Know which module runs, and what neuron modules give; nothing stays behind."""
    seen = _Modules(kinds, tally, neurons)
    fast = torch.backends.mha.get_fastpath_enabled()
    onednn = torch._C._get_mkldnn_enabled()
    handles = []
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # one operation, with all synapses inside
        for name, module in modules.items():
            before, after = seen.hooks(name, module)
            handles += [
                module.register_forward_pre_hook(before, with_kwargs=True),
                module.register_forward_hook(after, always_call=True),
            ]
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(onednn)
        for handle in handles:
            handle.remove()


class _Modules:
    """What happens around the call of a module."""

    def __init__(self, kinds: Kinds, tally: Tally, neurons: tuple[type, ...]):
        self.kinds, self.tally, self.neurons = kinds, tally, neurons
        self.owners: list[Owner | None] = []

    def hooks(self, name: str, module: Any) -> tuple[Callable[..., None], Callable[..., None]]:
        """What runs before a module, and after it."""
        firing = fires(module, self.neurons)
        cell = isinstance(module, torch.nn.RNNBase | torch.nn.RNNCellBase)
        counts = firing is not None or cell

        def before(module: Any, args: Any, kwargs: Any) -> None:
            self.tally.modules.append(name)
            if counts:
                self.tally.inside += 1
                self.owners.append(self._owner((args, kwargs)))
            if cell:
                torch._C._set_mkldnn_enabled(False)  # its recurrent layers hide their synapses

        def after(module: Any, args: Any, out: Any) -> None:
            self.tally.modules.pop()
            if not counts:
                return
            self.tally.inside -= 1
            owner = self.owners.pop()
            if not self.tally.inside and out is not None:
                if cell:
                    self._cell(name, module, out)
                else:
                    self._neurons(name, module, owner, bool(firing), out)

        return before, after

    def _owner(self, inputs: Any) -> Owner | None:
        return owner_of([self.kinds[t] for t in _tensors(inputs)[:1]])

    def _neurons(self, name: str, module: Any, owner: Owner | None, firing: bool, out: Any) -> None:
        """Spikes and updates of a neuron module, at the layer that feeds it."""
        tensors = _tensors(out)
        if not tensors:
            return
        spikes = tensors[0]
        layer = self.tally.advance(owner, spikes.numel(), name)
        kind = f"{type(module).__name__} {name!r}"
        if not firing:
            self.kinds[spikes] = Analog(f"the membrane of {kind}")
            return
        value = spikes.detach()
        fired = float(value.abs().sum(dtype=torch.float64))
        self.tally.fire(layer, fired, float(torch.count_nonzero(value)))
        self.kinds[spikes] = Events(f"output of {kind}")

    def _cell(self, name: str, module: Any, out: Any) -> None:
        """Units of a recurrent layer, each layer and direction at its input weights."""
        first = pytree.tree_leaves(out)[0]
        weights = [n for n in module._parameters if n.startswith("weight_ih")]
        ways = 2 if getattr(module, "bidirectional", False) else 1
        for weight in weights:
            leaf = f"{name}.{weight}".lstrip(".")
            layer = frozenset((leaf,))
            if layer in self.tally.records:
                units = module.hidden_size
                size = first.numel() // ways
                owner = Owner(layer, 0, float(units), size / units)
                self.tally.advance(owner, size, name)
        for tensor in pytree.tree_leaves(out):
            self.kinds[tensor] = Analog(f"output of {type(module).__name__} {name!r}")
