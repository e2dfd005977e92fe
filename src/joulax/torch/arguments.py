"""What enters a call: the modules and their weights, and the arguments."""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

from .kinds import Analog, Events, Kind, Parameter
from .library import pytree, torch
from .memory import Kinds, storage_of
from .neurons import fires


def names_of(option: str, value: Any) -> tuple[int | str, ...]:
    """Arguments that an option names."""
    values = () if value is None else value if isinstance(value, tuple | list) else (value,)
    wrong = [v for v in values if isinstance(v, bool) or not isinstance(v, int | str)]
    if wrong:
        raise ValueError(f"{option}= takes arguments by number or name, got {wrong[0]!r}")
    return tuple(values)


def modules_of(model: Any) -> dict[str, Any]:
    """Modules by name: of a module, or of those that a function closes over."""
    if isinstance(model, torch.nn.Module):
        return _named(model)
    around = dict(_around(model)) if inspect.isfunction(model) else {}
    owner = getattr(model, "__self__", None)
    around |= {"self": owner} if isinstance(owner, torch.nn.Module) else {}
    held = {n: m for n, m in around.items() if isinstance(m, torch.nn.Module)}
    if len(held) == 1:
        return _named(next(iter(held.values())))
    return {f"{n}.{k}".rstrip("."): m for n, o in held.items() for k, m in _named(o).items()}


def _named(module: Any) -> dict[str, Any]:
    """Modules by name, without the covers of compiled ones."""
    found = {}
    for name, one in module.named_modules():
        found[name.replace("_orig_mod", "").replace("..", ".").strip(".")] = one
    return found


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


def parameters_of(model: Any, kinds: Kinds, neurons: tuple[type, ...]) -> Iterator[str]:
    """Say what the parameters and buffers of a model are; their names.

    The buffers of a neuron are its state, which an earlier call may have left.
    """
    for path, module in modules_of(model).items():
        state = fires(module, neurons) is not None
        for held in (module._parameters, {} if state else module._buffers):
            for name, tensor in held.items():
                if tensor is None:
                    continue
                if torch.nn.parameter.is_lazy(tensor):
                    raise ValueError(f"{path!r} has no shape yet: call the model once, then count")
                if kinds[tensor] == Parameter():
                    leaf = f"{path}.{name}".lstrip(".")
                    kinds[tensor] = Parameter(frozenset((leaf,)))
                    yield leaf


def arguments_of(
    model: Any, args: Any, kwargs: Any, declared: Any, held: Any, kinds: Kinds
) -> tuple[Any, Any, list[str]]:
    """Say what the arguments are: the arguments, and the names of the weights among them.

    Arguments that share memory are told apart by a copy.
    """
    same = _aliases(model, args, kwargs)
    _check_names(same, (*declared, *held))
    leaves: list[str] = []

    def one(key: Any, path: Any, tensor: Any) -> Any:
        if not isinstance(tensor, torch.Tensor):
            return tensor
        leaf, names = _path(path) or str(key), same[key]
        kind = _kind_of_argument(tensor, key, leaf, names & set(held), names & set(declared))
        tensor = tensor.clone() if _shares(tensor, kind, kinds[tensor]) else tensor
        kinds[tensor] = kind
        leaves.extend([leaf] if isinstance(kind, Parameter) else [])
        return tensor

    each = lambda key, tree: pytree.tree_map_with_path(lambda p, t: one(key, p, t), tree)
    args = tuple(each(i, a) for i, a in enumerate(args))
    return args, {k: each(k, v) for k, v in kwargs.items()}, leaves


def _check_names(same: dict[int | str, set[int | str]], names: Any) -> None:
    known = {name for both in same.values() for name in both}
    for name in names:
        if name not in known:
            raise ValueError(
                f"no argument {name!r}; the arguments are {', '.join(map(str, known))}"
            )


def _shares(tensor: Any, kind: Kind, known: Kind) -> bool:
    """Whether memory was said to be of another kind; a whole weight may have two names."""
    if known in (Parameter(), kind) or not tensor.numel():
        return False
    whole = storage_of(tensor).nbytes() == tensor.numel() * tensor.element_size()
    return not (whole and isinstance(kind, Parameter) and isinstance(known, Parameter))


def _aliases(model: Any, args: Any, kwargs: Any) -> dict[int | str, set[int | str]]:
    """Every argument by its number and its name."""
    call = model.forward if isinstance(model, torch.nn.Module) else model
    places: dict[int | str, Any] = dict(enumerate(args)) | kwargs
    try:
        names = list(inspect.signature(call).bind(*args, **kwargs).signature.parameters)
    except (TypeError, ValueError):
        names = []
    same: dict[int | str, set[int | str]] = {key: {key} for key in places}
    for i, name in enumerate(names):
        if i in same:
            same[i].add(name)
        elif name in same:
            same[name].add(i)
    return same


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
