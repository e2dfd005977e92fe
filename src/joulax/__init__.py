"""Joulax says what a spiking network costs.

activity → operations → costs → energy → report: each arrow is a pure function, each noun a pytree.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from . import (
        brainstate as brainstate,
        encoders as encoders,
        losses as losses,
        metrics as metrics,
        models as models,
        neurons as neurons,
        nir as nir,
        plot as plot,
        rules as rules,
        torch as torch,
    )
    from ._public import *  # noqa: F403

_MODULES = """
brainstate encoders losses metrics models neurons nir plot rules torch
""".split()


def __getattr__(name: str) -> Any:
    """Nothing is imported before it is used: the doors one by one, all the rest together."""
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "__all__":
        return __dir__()
    public = vars(importlib.import_module(f"{__name__}._public"))
    if name.startswith("_") or name not in public:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = public[name]
    return public[name]


def __dir__() -> list[str]:
    public = importlib.import_module(f"{__name__}._public")
    return sorted({n for n in vars(public) if not n.startswith("_")} | {*_MODULES, "__version__"})
