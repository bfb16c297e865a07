"""Packages that only some parts of kerata need: they are asked for when they are used."""

from __future__ import annotations

import importlib
from typing import Any

from kerata import errors

__all__ = ["MissingPackage", "package"]


class MissingPackage(errors.Unsupported, ImportError):
    """A package that an optional part of kerata stands on is not installed."""


def package(module: str, where: str, install: str | None = None, otherwise: str | None = None) -> Any:
    """Return a module; where its package is missing, the error says how to get it.

    Args:
        module: what to import, as in "matplotlib.figure".
        where: who needs it.
        install: what pip calls the package, where that is not the first part of `module`.
        otherwise: what to do instead of installing it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise  # it is there, and lacks something itself
        install = install or top
        hint = f"pip install {install}" + (f"; or {otherwise}" if otherwise else "")
        raise MissingPackage(f"this needs {install}.", where=where, hint=hint) from None
