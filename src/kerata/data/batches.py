"""Batches from what is no array: counted, and each run through a function."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["HubBatches", "Indexed", "Mapped", "mapped", "number_of_batches"]

ENDLESS = 1 << 40
"""A data set that says to hold so many batches goes on for ever: Grain says `sys.maxsize`, cut into batches."""


def number_of_batches(batches: Any) -> float | None:
    """Return how many batches there are; infinity for data without end, None where it is not known."""
    if callable(getattr(batches, "cardinality", None)):  # as of tf.data
        count = int(batches.cardinality())
        return count if count >= 0 else math.inf if count == -1 else None
    try:
        count = len(batches) if hasattr(batches, "__len__") else None
    except (TypeError, NotImplementedError):
        return None
    return math.inf if count is not None and count >= ENDLESS else count


class Mapped:
    """Batches, each run through a function."""

    def __init__(self, batches: Any, function: Callable[[Any], Any]) -> None:
        self._batches: Any = batches if hasattr(batches, "__iter__") else Indexed(batches)
        self._function = function
        for hook in ("on_epoch_begin", "on_epoch_end", "_end"):
            if hasattr(batches, hook):
                setattr(self, hook, getattr(batches, hook))
        if hasattr(batches, "_peek"):
            self._peek = lambda: function(batches._peek())

    def cardinality(self) -> int:
        """Return the number of batches, -1 for no end, -2 where it is not known."""
        count = number_of_batches(self._batches)
        return -2 if count is None else -1 if count == math.inf else int(count)

    def __iter__(self) -> Iterator[Any]:
        return map(self._function, self._batches)


class _MappedOnce(Mapped):
    """Of a generator, which goes on where it stopped."""

    def __iter__(self) -> _MappedOnce:
        return self

    def __next__(self) -> Any:
        return self._function(next(self._batches))


def mapped(batches: Any, function: Callable[[Any], Any]) -> Mapped:
    """Return batches run through a function; those of a generator can be read once as before."""
    return (_MappedOnce if hasattr(batches, "__next__") else Mapped)(batches, function)


class HubBatches:
    """Batches of a Hugging Face data set that is read from front to back: dicts of columns."""

    def __init__(self, rows: Any, batch_size: int) -> None:
        self._rows, self._batch_size = rows, batch_size

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows.iter(self._batch_size))


class Indexed:
    """Iterates over what has only `__getitem__` and `__len__`."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return (self._items[i] for i in range(len(self._items)))
