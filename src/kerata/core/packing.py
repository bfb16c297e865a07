"""Small arrays side by side in one vector: one operation for all of them, where each would be one for each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

from kerata.engine import xp

__all__ = ["Packing", "joined", "parted"]

Packed = tuple[list[Any], list[Any]]


def joined(arrays: Iterable[Any]) -> Any:
    """Return the elements of all `arrays`, of one dtype, as one vector."""
    return xp.concatenate([xp.reshape(array, (-1,)) for array in arrays])


def parted(vector: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """Return the arrays of these shapes that `joined` made into `vector`."""
    ends = list(itertools.accumulate(math.prod(shape) for shape in shapes))
    return [xp.reshape(part, shape) for part, shape in zip(xp.split(vector, ends[:-1]), shapes)]


class Packing:
    """A list of arrays, some groups of which are kept joined.

    Args:
        shapes: those of all arrays.
        groups: the places of arrays of one dtype in that list.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], groups: Iterable[Sequence[int]]) -> None:
        self._groups = [group for group in groups if len(group) > 1]
        packed = {place for group in self._groups for place in group}
        self._others = [place for place in range(len(shapes)) if place not in packed]
        self._shapes = shapes

    def pack(self, arrays: Sequence[Any]) -> Packed:
        """Return the arrays of no group, and a vector for each group."""
        others = [arrays[place] for place in self._others]
        return others, [joined(arrays[place] for place in group) for group in self._groups]

    def unpack(self, packed: Packed) -> list[Any]:
        """Return all arrays in their order."""
        others, vectors = packed
        arrays = dict(zip(self._others, others))
        for group, vector in zip(self._groups, vectors):
            arrays.update(zip(group, parted(vector, [self._shapes[place] for place in group])))
        return [arrays[place] for place in range(len(self._shapes))]
