"""Stacks of batches that are never made."""

from __future__ import annotations

import dataclasses
from typing import Any

from kerata import engine

__all__ = ["Picked"]


@dataclasses.dataclass(frozen=True)
class Picked:
    """The stack `array[index]`, of which only the batches that are asked for are made.

    Args:
        array: what the engine reads rows from, see `in_place` of its arrays.
        index: the numbers of the rows, of shape (batches, rows).
    """

    array: Any
    index: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the stack."""
        return (*self.index.shape, *self.array.shape[1:])

    @property
    def dtype(self) -> Any:
        """That of the rows."""
        return self.array.dtype

    def __getitem__(self, i: Any) -> Any:
        """Return the batch with this number."""
        return engine.arrays.rows(self.array, engine.arrays.row(self.index, i))
