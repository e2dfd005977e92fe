"""Models of other worlds, which have doors of their own: refused in words, never counted as 0."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import equinox as eqx
import jax

from .names import is_array

DOORS = {
    "torch": "joulax.torch.count(model)(x) for PyTorch",
    "nir": "joulax.nir.load(graph, dt=…) for NIR",
    "brainstate": "joulax.brainstate.count(model)(x) for brainstate and brainpy",
    "tensorflow": "Keras 3 with KERAS_BACKEND=jax for Keras",
}


def refuse_others(fn: Any, static: Any = None) -> None:
    """Refuse models and arrays that JAX does not trace.

    **Arguments:**

    - `fn`: what is to be counted.
    - `static`: the parts of the arguments that are no arrays of JAX or NumPy.

    **Raises:**

    `ValueError` that names the door.
    """
    for item in (fn, *jax.tree.leaves(static)):
        world = _world(item, ("torch", "nir", "tensorflow"))
        if world is not None:
            raise ValueError(
                f"count() traces JAX programs, got {type(item).__name__} of {world}; "
                f"use {DOORS[world]}"
            )


@contextmanager
def pointing(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[None]:
    """Errors while a call is traced name what was forgotten: a door of its own, or a `vmap`."""
    try:
        yield
    except Exception as error:
        world = _raised_in(error)
        if world is None:
            _note_batch(error, fn, args, kwargs)
            raise
        raise ValueError(
            f"{world} cannot be traced by JAX alone ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}); use {DOORS[world]}"
        ) from error


def _note_batch(error: Exception, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Add to an error that the function takes one sample, where it does and got a batch."""
    if not isinstance(error, TypeError | ValueError):
        return
    for first in (1, 0) if len(args) > 1 else (0,):  # parameters, where they are an argument
        samples = jax.tree.map(_first, args[first:])
        try:
            eqx.filter_eval_shape(fn, *args[:first], *samples, **kwargs)
        except Exception:
            continue
        axes = "" if first == 0 else f", in_axes=({', '.join(['None'] * first + ['0'])})"
        error.add_note(
            "joulax: the function takes one sample and got a batch; map the counter over it: "
            f"jax.vmap(joulax.count(fn, …){axes})(…), or let joulax.estimate do that"
        )
        return


def _first(x: Any) -> Any:
    """The shape of the first of several samples."""
    return jax.ShapeDtypeStruct(x.shape[1:], x.dtype) if is_array(x) and x.ndim else x


def _world(item: Any, names: tuple[str, ...]) -> str | None:
    """The library whose class an object is."""
    roots = {cls.__module__.split(".")[0] for cls in type(item).__mro__}
    return next((name for name in names if name in roots), None)


def _raised_in(error: Exception) -> str | None:
    """The library that refused a traced array."""
    if type(error).__name__ == "TraceContextError":
        return _world(error, ("brainstate",))
    trace = error.__traceback__ if isinstance(error, TypeError) else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    world = name.split(".")[0]
    return world if world in DOORS else None
