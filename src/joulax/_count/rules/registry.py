"""The registry of rules, by the name of the primitive, and what holds for all others."""

import functools
import os
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from jax.extend import source_info_util

from ..axes import COPIED, VARIES, Axes, either
from ..findings import INPUT_GRADIENT, RECOMPUTED, Companions, Context, Found, Operands, Site
from ..kinds import Cause, Data, Events, Parameter, Value, Weight, layer_of, varied
from ..places import Place, union

PartialRule = Callable[[Any, Sequence[Value], Context], Found | None]
RULES: dict[str, PartialRule] = {}
ELEMENTWISE: set[str] = set()  # primitives whose operands meet element by element
CHANGES: list[str] = []  # what was registered, in order: an older program knows fewer rules
OPAQUE: set[str] = set()  # primitives of which nothing can be known but that data go in


def rule(
    *primitives: str,
    parameters: Any = None,
    container: bool = False,
    elementwise: bool = False,
) -> Callable[[PartialRule], PartialRule]:
    """Register the rule of one or more primitives, by name; registering twice is an error.

    The rule sees only programs in which some operand depends on data: where all are parameters, so
    is the result (or what `parameters(eqn, ins)` says). It may return `None`: then the result is
    analog, and what it was made of goes the general way.

    **Arguments:**

    - `primitives`: names, such as `"dot_general"`.
    - `parameters`: for a primitive whose result is known better from parameters alone.
    - `elementwise`: operands broadcast: the rule sees their axes as those of the result.
    - `container`: the primitive contains a jaxpr; the rule also sees parameters alone.
    """

    def register(function: PartialRule) -> PartialRule:
        for name in primitives:
            if name in RULES:
                raise ValueError(f"primitive {name!r} has a rule already: {RULES[name]}")
            full = _completed(function, parameters or from_parameters, elementwise)
            RULES[name] = function if container else full
            if elementwise:
                ELEMENTWISE.add(name)
            CHANGES.append(name)
        return function

    return register


def opaque(*primitives: str) -> None:
    """Declare primitives opaque: their results are analog, synapses inside them are lost.

    **Arguments:**

    - `primitives`: names, such as `"ffi_call"`.
    """
    OPAQUE.update(primitives)
    CHANGES.extend(primitives)


def _completed(
    function: PartialRule, parameters: Callable[..., Any], elementwise: bool
) -> PartialRule:
    @functools.wraps(function)
    def complete(eqn: Any, ins: Sequence[Value], ctx: Context) -> Found | None:
        ins = leveled(eqn, ins) if elementwise else ins
        if not any(isinstance(i, Data) for i in ins):
            return Found(parameters(eqn, ins))
        return function(eqn, ins, ctx)

    return complete


def leveled(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    """Operands of elementwise work, with the axes of the result: scalars and axes of size one."""
    shape = shape_of(eqn.outvars[0]) if eqn.outvars else ()
    return [i if i.axes.shape == shape else _level(i, shape) for i in ins]


def _level(info: Value, shape: tuple[int, ...]) -> Value:
    labels = COPIED if isinstance(info, Data) and (info.feeds or info.births) else 0
    spread = functools.partial(_spread, len(info.axes) == len(shape), shape)
    changes: dict[str, Any] = dict(axes=spread(info.axes, labels))
    if isinstance(info, Data):
        changes["terms"] = frozenset(t.but(axes=spread(t.axes, 0)) for t in info.terms)
        if info.weight is not None:
            changes["weight"] = replace(info.weight, axes=spread(info.weight.axes, 0))
    return info.but(**changes)


def _spread(same: bool, shape: tuple[int, ...], axes: Axes, labels: int) -> Axes:
    """Axes at the shape of the result, of which an operand of the `same` rank has a part."""
    return axes.broadcast(shape, range(len(shape)), labels) if same else Axes.of(shape, labels)


def data_of(found: Found) -> Data:
    """The first result, which depends on data."""
    out = found.outs[0]
    assert isinstance(out, Data)
    return out


def spikes_of(found: Found) -> Events:
    """The first result, which is spikes."""
    out = found.outs[0]
    assert isinstance(out, Events)
    return out


def travelling(
    out: Value, make: Callable[[Operands], Companions]
) -> Callable[[Operands], list[Companions]] | None:
    """What travels beside the one result of an equation, where anything does."""
    return (lambda ops: [make(ops)]) if out.travels else None


def windows(eqn: Any, rank: int) -> list[int]:
    """Axes of an array that are windows of what a scatter puts into it."""
    numbers = eqn.params["dimension_numbers"]
    gone = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    return [a for a in range(rank) if a not in gone]


def shape_of(variable: Any) -> tuple[int, ...]:
    """Shape of a variable, empty where it has none."""
    return tuple(getattr(variable.aval, "shape", ()))


def whole(info: Value, variable: Any) -> Value:
    """A value with axes of its shape, whatever is known of them."""
    shape = shape_of(variable)
    return info if info.axes.shape == shape else info.but(axes=varied(shape))


def from_parameters(eqn: Any, ins: Sequence[Value]) -> list[Value]:
    """Results made of parameters alone."""
    return [parameter_of(ins, shape_of(v)) for v in eqn.outvars]


def parameter_of(ins: Sequence[Value], shape: tuple[int, ...], **fields: Any) -> Parameter:
    """What is made of parameters: masks and scalars name no layer beside a weight."""
    found = [i for i in ins if isinstance(i, Parameter)]
    large = _naming(found)
    scales = [i for i in found if large and i not in large and not i.is_mask]
    loops = union(i.place.loops for i in found if i not in scales)  # a schedule picks no elements
    known: dict[str, Any] = dict(
        leaves=union(i.leaves for i in large),
        place=_one_place(large).walked(loops),
        layer=layer_of(large),
        outside=any(i.outside for i in found),
    )
    return Parameter(_parameter_axes(found, shape), **(known | fields))


def _one_place(parts: Sequence[Parameter]) -> Place:
    """Which elements of its leaves a product is made of: those of the first that is a slice."""
    sliced = (p.place for p in parts if not p.place.is_whole)
    return next(sliced, parts[0].place if parts else Place())


def _naming(found: Sequence[Parameter]) -> list[Parameter]:
    """Parameters that name a layer: leaves; masks and scalars of some where there are no others."""
    leaves = [i for i in found if i.leaves]
    named = [i for i in leaves if not i.is_mask] or [i for i in leaves if not i.buffer]
    return [i for i in named if any(i.axes.flags(VARIES))] or named


def _parameter_axes(found: Sequence[Parameter], shape: tuple[int, ...]) -> Axes:
    """Axes along which any of some parameters varies; all, where one has another shape."""
    sized = [i.axes for i in found if len(i.axes)]
    if not sized or any(axes.shape != shape for axes in sized):
        return varied(shape)
    return either(*sized)


# -- where an equation stands ---------------------------------------------------

_LIBRARIES = (
    f"{os.sep}site-packages{os.sep}",
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
)
_CALLER: ContextVar[str | None] = ContextVar("caller", default=None)


def source_of(eqn: Any) -> str:
    """`file.py:line` of an equation: the innermost line that is not in an installed library."""
    caller = _CALLER.get()
    if caller is not None:
        return caller
    frames = source_info_util.summarize(eqn.source_info, num_frames=64).splitlines()
    places = [frame.split(" (")[0] for frame in reversed(frames) if frame]
    own = [p for p in places if not any(library in p for library in _LIBRARIES)] or places
    return ":".join(own[0].rsplit(os.sep, 1)[-1].split(":")[:2]) if own else "?"


def scope_of(eqn: Any, around: str) -> str:
    """The `jax.named_scope` of an equation, without the names of JAX's own transformations.

    Of the scope `around` an equation that contains it, the equation may know the end.
    """
    scope, before = str(eqn.source_info.name_stack), ""
    while scope != before:
        scope, before = _TRANSFORMED.sub(r"\1", scope), scope
    known = [p for p in around.split("/") if p]
    own = [p for p in scope.split("/") if p not in ("", _REMATTED, "checkpoint")]
    again = (k for k in range(len(own) // 2, 0, -1) if own[:k] == own[k : 2 * k])
    own = own[next(again, 0) :]  # a gradient says the scope of what it is the gradient of
    same = next(k for k in range(len(known) + 1) if own[: len(known) - k] == known[k:])
    return "/".join([*known[:same], *own])


_TRANSFORMED = re.compile(r"(?:jvp|transpose|vmap|pmap)\(([^()]*)\)")
_REMATTED = "rematted_computation"


@contextmanager
def called_from(eqn: Any, inner: Any) -> Generator[None]:
    """A jitted function of a library is traced once for all callers.

    Inside it, lines are those of the call.
    """
    described = getattr(getattr(inner, "debug_info", None), "func_src_info", None) or ""
    library = any(name in described for name in _LIBRARIES)
    token = _CALLER.set(source_of(eqn) if library else _CALLER.get())
    try:
        yield
    finally:
        _CALLER.reset(token)


def site_of(eqn: Any, ctx: Context, weight: Weight, *, here: float = 0.0, **fields: Any) -> Site:
    """A site at this equation, whose weights are these.

    Of its `synapses` so many are `here`, in one step of the loops that take them part by part.
    """
    layer, place, every = weight.layer, weight.place, fields["synapses"]
    if here and every > here and every == ctx.elements(fields.get("leaves", weight.leaves)):
        place = Place((), place.loops)  # all parts, whichever number says where
    known: dict[str, Any] = dict(
        path=ctx.path,
        leaves=weight.leaves,
        place=place,
        primitive=eqn.primitive.name,
        source=source_of(eqn),
        scope=ctx.scope,
        layer=layer.path if layer else None,
        layers=layer.length if layer else None,
        direction=_direction(eqn, ctx),
        slices=every / here if here else 1.0,
    )
    return Site(**(known | fields))


def _direction(eqn: Any, ctx: Context) -> str:
    """What a product computes; forward is the empty word."""
    if not ctx.backward:
        return ""
    return RECOMPUTED if _REMATTED in str(eqn.source_info.name_stack) else INPUT_GRADIENT


def part(ctx: Any, k: int) -> Any:
    """The context of site k of one equation; the first stands at the place of the equation."""
    return replace(ctx, path=(*ctx.path, k)) if k else ctx


def because(eqn: Any, text: str) -> Cause:
    """A cause that starts at this equation."""
    return Cause(text, source_of(eqn))


def is_integer(variable: Any) -> bool:
    """Whether a variable holds integers, booleans aside."""
    return jnp.issubdtype(variable.aval.dtype, jnp.integer)
