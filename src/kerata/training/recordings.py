"""Recordings of steps, for an engine that otherwise runs each step in Python.

A recording does what the step did when it was made: it holds only while the step's Python would do the same again. So
steps are recorded whose every part is kerata's own, and only as long as the settings of these parts stay as they were.
What a user has written is run each time: it may print, count, or branch on values.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType, SimpleNamespace
from typing import Any

import numpy as np

from kerata import engine
from kerata.core.symbolic import KerasTensor, Node
from kerata.core.variable import Variable

__all__ = ["Recordings", "settings_of"]

STEPS_BEFORE = 8
"""So many steps of a kind are run in Python first: a recording takes as long as some ten of them."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.dtype, np.generic, slice, range, type(...))
_KNOWN_BY_ITSELF = (KerasTensor, Node, np.ndarray)  # a graph and its constants do not change
# Attributes of a model that say what has been done or is going on, and not what a step does.
_NO_SETTINGS = {
    "_programs", "history", "train_function", "test_function", "predict_function", "stop_training", "stop_evaluating",
    "stop_predicting", "_initial_epoch",
}  # fmt: skip


class _Is:
    """Stands for one object, which lives on with it: its id belongs to nothing else meanwhile."""

    __slots__ = ("it",)

    def __init__(self, it: Any) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Is) and other.it is self.it

    def __hash__(self) -> int:
        return id(self.it)


class _NotOurs(Exception):
    """Something that kerata knows nothing of takes part."""


def settings_of(*parts: Any) -> tuple[Any, ...] | None:
    """Return all that decides what these objects do, but for Variables' values; None where a user's code takes part.

    Example:
        >>> from kerata.training.recordings import settings_of
        >>> layer = kerata.layers.Dropout(0.5)
        >>> before = settings_of(layer)
        >>> layer.rate = 0.1
        >>> settings_of(layer) == before, settings_of(kerata.layers.Lambda(lambda x: x + 1))
        (False, None)
    """
    found: list[Any] = []
    seen: set[int] = set()
    try:
        for part in parts:
            _gather(part, found, seen)
    except _NotOurs:
        return None
    return tuple(found)


def _gather(x: Any, found: list[Any], seen: set[int]) -> None:
    kind = type(x)
    if isinstance(x, _PLAIN):
        found.append(x)
    elif kind is Variable:
        found.append((_Is(x), x.trainable))
    elif kind in (list, tuple, set, frozenset):
        found.append((kind, len(x)))
        for item in x:
            _gather(item, found, seen)
    elif kind is dict:
        found.append(len(x))
        for key, value in x.items():
            found.append(key if isinstance(key, _PLAIN) else _Is(key))
            _gather(value, found, seen)
    else:
        found.append(_Is(x))
        if id(x) not in seen and not isinstance(x, _KNOWN_BY_ITSELF) and not engine.arrays.is_array(x):
            seen.add(id(x))
            _gather_object(x, found, seen)


def _gather_object(x: Any, found: list[Any], seen: set[int]) -> None:
    if isinstance(x, MethodType):
        _gather([x.__self__, x.__func__], found, seen)
    elif isinstance(x, SimpleNamespace) or _is_known(type(x), "kerata"):
        kept = {name: value for name, value in getattr(x, "__dict__", {}).items() if name not in _NO_SETTINGS}
        _gather(kept, found, seen)
    elif callable(x) and _is_known(x, "kerata", "numpy", "builtins", "math"):
        for cell in getattr(x, "__closure__", None) or ():
            _gather(cell.cell_contents, found, seen)
    else:
        raise _NotOurs


def _is_known(x: Any, *packages: str) -> bool:
    """Return whether a class or function comes from one of these packages."""
    return (getattr(x, "__module__", None) or "").partition(".")[0] in packages


class Recordings:
    """The recordings of one step method, by the size of the batch.

    Args:
        step: `step(values, batch)` returns logs, and the values that it has written.
        written: returns the places of these among all values; None where it reads or writes others too.
        settings: what decides what `step` does, as `settings_of` tells it.
    """

    def __init__(
        self, step: Callable[[list[Any], Any], tuple[Any, list[Any]]], written: Callable[[], list[int] | None],
        settings: Callable[[], Any],
    ) -> None:  # fmt: skip
        self._step, self._written, self._settings = step, written, settings
        self._steps_run: dict[int, int] = {}
        self._kept: dict[int, tuple[Any, Any]] = {}

    def steps_before(self, rows: int, steps: int) -> int:
        """Return how many steps of batches of so many rows are still to be run in Python, if `steps` follow now."""
        before = self._steps_run.get(rows, 0)
        self._steps_run[rows] = before + steps
        return max(STEPS_BEFORE - before, 0)

    def find(self, rows: int, values: list[Any], batch: Any) -> tuple[Callable[..., Any], list[int]] | None:
        """Return a recording of the step for batches of so many rows, and the places of what it writes; or None."""
        settings = self._settings()
        known = self._kept.get(rows)
        if known is None or known[0] != settings:
            made = None if settings is None else engine.transforms.record(self._step, values, batch)
            places = self._written() if made else None
            known = self._kept[rows] = settings, (made, places) if made and places is not None else None
        return known[1]
