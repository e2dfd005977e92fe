"""One rule per primitive: what comes out, given what goes in.

A rule looks at `Info`s only. It returns the infos of the outputs and, as functions to be called
when the program runs, how events travel and what is to be recorded.
"""

import os
from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.extend import source_info_util

from ._info import Cause, Info, Kind, Path

if TYPE_CHECKING:
    from ._analysis import Analysis


class Operands:
    """The values of one equation while the counted program runs."""

    def __init__(self, infos, values, events, outs, extra, fanouts):
        self.infos, self.values, self.outs, self.extra = infos, values, outs, extra
        self._events, self._fanouts = events, fanouts

    def fanout(self, path: Path, compute: Callable[[], jax.Array]) -> jax.Array:
        """Fan-out of a site: the one found before the loop, if its weights do not change in it."""
        if path not in self._fanouts:
            self._fanouts = {**self._fanouts, path: jax.lax.stop_gradient(compute())}
        return self._fanouts[path]

    def events(self, i: int) -> jax.Array:
        """Events of operand i, one number per element, float32."""
        return events_of(self.infos[i], self.values[i], self._events[i])


def events_of(info: Info, value, companion) -> jax.Array:
    """Events of a value: its companion, or its magnitude, or for a parameter whether it is nonzero."""
    if companion is not None:
        return companion
    if info.kind == Kind.PARAMETER:
        return (jnp.asarray(value) != 0).astype(jnp.float32)
    if value.dtype == jnp.bool_:
        return value.astype(jnp.float32)
    if info.unit or info.nonneg:
        return value.astype(jnp.float32)
    return magnitude(value)


def magnitude(value: jax.Array) -> jax.Array:
    """|value| in float32, with slope 1 at zero, where `abs` has none."""
    if value.dtype == jnp.bool_:
        return value.astype(jnp.float32)
    return jnp.where(value >= 0, value, -value).astype(jnp.float32)


def graded(events: jax.Array) -> jax.Array:
    """Every nonzero event once; the gradient is that of min(events, 1)."""
    soft = jnp.where(events <= 1, events, jnp.ones_like(events))
    return soft + jax.lax.stop_gradient((events != 0).astype(soft.dtype) - soft)


@dataclass(frozen=True)
class Tap:
    """Something to record: a quantity of one site or birth, as a number or a function of the operands."""

    path: Path
    field: str
    value: float | Callable[[Operands], jax.Array]


@dataclass
class Outcome:
    """What a rule says about one equation."""

    infos: list[Info]
    events: Callable[[Operands], list] | None = None  # companions of the outputs
    taps: list[Tap] = field(default_factory=list)
    nonlinear: bool = False  # makes the elementwise region a population of neurons
    extra: Any = None  # one more variable that `events` looks at
    run: Callable | None = None  # control flow: evaluates the equation itself
    weight: int | None = None  # synaptic site: which operand is the weight
    inner: list = field(default_factory=list)  # control flow: (plan, place of its input k among the operands)

    @property
    def plain(self) -> bool:
        """Whether the original equation is all that needs to run."""
        return self.events is None and not self.taps and self.run is None


Rule = Callable[[Any, list[Info], "Analysis", Path], Outcome]
RULES: dict[str, Rule] = {}


def rule(*primitives: str) -> Callable[[Rule], Rule]:
    """Register the rule of one or more primitives; registering twice is an error."""

    def register(function: Rule) -> Rule:
        for name in primitives:
            if name in RULES:
                raise ValueError(f"primitive {name!r} has a rule already: {RULES[name]}")
            RULES[name] = function
        return function

    return register


def source_of(eqn) -> str:
    """`file.py:line` of an equation: the innermost line that is not in an installed library."""
    caller = _CALLER.get()
    if caller is not None:
        return caller
    frames = source_info_util.summarize(eqn.source_info, num_frames=64).splitlines()
    places = [frame.split(" (")[0] for frame in reversed(frames) if frame]
    own = [p for p in places if not any(library in p for library in _LIBRARIES)] or places
    return ":".join(own[0].rsplit(os.sep, 1)[-1].split(":")[:2]) if own else "?"


_CALLER: ContextVar[str | None] = ContextVar("caller", default=None)


@contextmanager
def called_from(eqn, inner):
    """A jitted function of a library is traced once for all callers: inside it, lines are those of the call."""
    described = getattr(getattr(inner, "debug_info", None), "func_src_info", None) or ""
    token = _CALLER.set(source_of(eqn) if any(library in described for library in _LIBRARIES) else _CALLER.get())
    try:
        yield
    finally:
        _CALLER.reset(token)


_LIBRARIES = (f"{os.sep}site-packages{os.sep}", os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def because(eqn, text: str) -> Cause:
    """A cause that starts at this equation."""
    return Cause(text, source_of(eqn))


def analog(eqn, ins: list[Info], ctx: "Analysis", text: str) -> Info:
    """Info of an analog result: it stays in the region of its operands and keeps their first cause."""
    data = [i for i in ins if i.kind != Kind.PARAMETER]
    sites = frozenset().union(*(i.sites for i in data))
    fresh = frozenset().union(*(i.fresh for i in data))
    cause = next((i.cause for i in data if i.kind == Kind.ANALOG and i.cause), None) or because(eqn, text)
    return Info(
        Kind.ANALOG,
        axes=region_axes(eqn, data),
        cause=cause,
        births=ctx.leaving(frozenset().union(*(i.births for i in data)), sites),
        sites=sites,
        fresh=fresh,
    )


def region_axes(eqn, data: list[Info]) -> tuple[bool, ...]:
    """Batch and time axes of an elementwise result."""
    ndim = len(eqn.outvars[0].aval.shape)
    return next((i.axes for i in data if i.sites and len(i.axes) == ndim), (False,) * ndim)
