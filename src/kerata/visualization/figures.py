"""Figures of matplotlib that show themselves in notebooks, and never pile up in pyplot's memory."""

from __future__ import annotations

import functools
import io
import os
import sys
from typing import Any

from kerata import errors
from kerata.core.packages import package

__all__ = ["delivered", "figure", "in_notebook"]


def figure(width: float, height: float, where: str, path: Any, show: bool | None, **options: Any) -> Any:
    """Return an empty figure, so many inches wide and high, for `delivered`.

    Args:
        where: the public function that draws it.
        path, show: where it will go; see `delivered`.
        options: more arguments of matplotlib's `Figure`.
    """
    if path is not None and show:
        raise errors.InvalidArgument("a figure is either written or shown.", where=where, got=f"{path=}, {show=}")
    kind = _figure_class(where)
    if path is None and show is not False and not in_notebook() and _has_screen():
        return package("matplotlib.pyplot", where).figure(FigureClass=kind, figsize=(width, height), **options)
    return kind(figsize=(width, height), **options)


def delivered(made: Any, path: Any, show: bool | None, **saving: Any) -> Any:
    """Bring a figure to where it is wanted.

    Args:
        path: write it to this file, and return it.
        show: True: show it now, and return None, since a notebook would show it twice. None: return it; a notebook
            shows what a cell returns, and a program that has a screen opens a window, unless there is a `path`.
            False: only return it.
        saving: arguments of `savefig` for the file.
    """
    if path is not None:
        made.savefig(os.fspath(path), **{"bbox_inches": "tight", **saving})
    elif getattr(made.canvas, "manager", None) is not None:
        import matplotlib.pyplot as plt  # type: ignore[import-not-found]

        plt.show()  # waits until the window is closed
        plt.close(made)
    elif show and in_notebook():
        package("IPython.display", "show=True", "ipython").display(made)
    return None if show else made


@functools.cache
def _figure_class(where: str) -> Any:
    base = package("matplotlib.figure", where).Figure

    class Figure(base):
        """A figure that notebooks show without any magic command."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png", bbox_inches="tight")
            return file.getvalue()

    return Figure


def in_notebook() -> bool:
    """Return whether this runs in a notebook, where what a cell returns is shown."""
    ipython = sys.modules.get("IPython")
    return hasattr(getattr(ipython, "get_ipython", lambda: None)(), "kernel")


def _has_screen() -> bool:
    import matplotlib  # type: ignore[import-not-found]

    return matplotlib.get_backend().lower() not in ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")
