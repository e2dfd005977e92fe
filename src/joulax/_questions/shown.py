"""Showing something exactly once: in a script, at a prompt, in a notebook."""

import sys
from typing import Any, TypeVar

from .._forms.rendered import Rendered

T = TypeVar("T", bound=Rendered)


def show(made: T) -> T:
    """Print, or display where there is a notebook; what is returned is not displayed again.

    A notebook shows the value of a cell too: the object keeps quiet until the next cell.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None:
        sys.stdout.write(f"{made}\n")
        return made
    _display(made)
    object.__setattr__(made, "_ipython_display_", _Once(made, shell))
    return made


class _Once:
    """What IPython calls to display the object."""

    def __init__(self, made: Any, shell: Any):
        self._made, self._shell, self._cell = made, shell, shell.execution_count

    def __call__(self) -> None:
        if self._shell.execution_count != self._cell:
            _display(self._made)


def _display(made: Rendered) -> None:
    from IPython.display import display  # pyright: ignore[reportMissingImports]

    display({"text/plain": str(made), "text/html": made._repr_html_()}, raw=True)
