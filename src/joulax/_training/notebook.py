"""A line of a notebook that is written over, and stays in the saved file."""

import sys
from typing import Any


class Notebook:
    """One output cell, updated in place."""

    def __init__(self):
        self._handle: Any = None

    @staticmethod
    def running() -> bool:
        """Whether this process is the kernel of a notebook."""
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        return shell is not None and hasattr(shell, "kernel")

    def update(self, shown: Any, refresh: bool = True) -> None:
        """Show something in place of what was there."""
        from IPython.display import display  # pyright: ignore[reportMissingImports]

        bundle = {"text/plain": str(shown), "text/html": shown._repr_html_()}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def stop(self) -> None:
        """Leave the last output where it is."""
