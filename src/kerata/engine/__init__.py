"""The engine in use, and the doors to its five modules.

`xp`, `arrays`, `nn`, `random`, `transforms` and `devices` always speak to the engine in use; it is loaded when the
first of them is touched. Nothing above this floor imports an engine's library.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kerata import config, errors

if TYPE_CHECKING:
    from kerata.engine import protocol

__all__ = ["active", "arrays", "devices", "name", "nn", "random", "seed", "transforms", "use", "using", "xp"]

_loaded: dict[str, Any] = {}
_default: Any = None


class _Local(threading.local):
    """A `with using(…)` block concerns its own thread only."""

    engine: Any = None


_local = _Local()

def load(name: str) -> protocol.Engine:
    """Return the engine called `name`, importing its library on first use."""
    if name not in _loaded:
        if name not in config.ENGINES:
            raise errors.UnknownName("engine", name, config.ENGINES, where="kerata.config.set_engine")
        _loaded[name] = importlib.import_module(f"kerata.engine.{name}")
    return _loaded[name]


def active() -> protocol.Engine:
    """Return the engine in use."""
    global _default
    if _local.engine is not None:
        return _local.engine
    if _default is None:
        _default = load(config.settings.engine)
    return _default


def name() -> str:
    """Return the name of the engine in use, without loading it."""
    return _local.engine.name if _local.engine is not None else config.settings.engine


def use(name: str) -> None:
    """Use the engine called `name` from now on, in every thread."""
    global _default
    _default = load(name)
    config.settings.engine = name


@contextlib.contextmanager
def using(name: str) -> Iterator[protocol.Engine]:
    """Use the engine called `name` inside the block."""
    previous, _local.engine = _local.engine, load(name)
    try:
        yield _local.engine
    finally:
        _local.engine = previous


def seed(seed: int) -> None:
    """Seed PyTorch's own generator, from which modules written for it draw, where PyTorch is imported or in use."""
    if name() == "torch" or sys.modules.get("torch") is not None:
        from kerata.engine.torch import random as of_torch

        of_torch.seed(seed)


class _Door:
    """Forwards each name to one module of the engine in use."""

    __slots__ = ("_path", "_rooms")

    def __init__(self, *path: str) -> None:
        self._path = path
        self._rooms: dict[Any, Any] = {}

    def __getattr__(self, name: str) -> Any:
        engine = active()
        room = self._rooms.get(engine)
        if room is None:
            room = self._rooms[engine] = functools.reduce(getattr, self._path, engine)
        try:
            return getattr(room, name)
        except AttributeError:
            if name.startswith("__"):
                raise  # what Python's own tools ask of any object
            raise errors.Unsupported(f"the {engine.name} engine has no `{name}`.", where=".".join(self._path)) from None


if TYPE_CHECKING:
    xp: Any
    arrays: protocol.Arrays
    nn: protocol.NeuralPrimitives
    random: protocol.Random
    transforms: protocol.Transforms
    devices: protocol.Devices
else:
    xp = _Door("arrays", "numpy")
    arrays = _Door("arrays")
    nn = _Door("nn")
    random = _Door("random")
    transforms = _Door("transforms")
    devices = _Door("devices")
