"""Gathering: rows of an array, in any order, as a stack of batches on the device.

Large arrays that the engine can read in place, or hold as a whole, need no stack: the compiled loop takes the rows of
each batch from `tables` of them. Others are `gathered`, into buffers that the engine reads in place.
"""

from __future__ import annotations

import collections
import contextlib
import math
import mmap
from typing import Any

import numpy as np

from kerata import engine
from kerata.data.rows import Rows
from kerata.engine.protocol import ALIGNMENT

__all__ = ["gathered", "tables"]

RESIDENT_BYTES = 4 << 30
"""Arrays up to this size in all are held on a device that has memory of its own."""

COPIED_BYTES = 64 << 20
"""An array up to this size is copied where an engine cannot read it in the host's memory as it is."""

KEPT_BYTES = 64 << 20
"""How much memory is kept for the next stack when nothing is in it."""

MAPPED_BYTES = 1 << 20
"""Buffers from this size on are pages of their own, which go back whole: the heap would keep them."""


def tables(arrays: list[Any]) -> list[Any] | None:
    """Return arrays of the host or of the engine as what the engine takes rows from; None where one cannot be that."""
    on_host = engine.devices.platform() == "cpu"
    if not on_host and sum(array.nbytes for array in arrays) > RESIDENT_BYTES:
        return None
    found: list[Any] = []
    for array in arrays:
        if isinstance(array, np.ndarray):
            array = engine.arrays.in_place(array, COPIED_BYTES if on_host else RESIDENT_BYTES)
        if array is None or isinstance(array, Rows):
            return None
        found.append(array)
    return found


def gathered(array: Any, index: np.ndarray, capacity: int) -> Any:
    """Return the rows that `index` (batches, rows) names, as (capacity, rows, …); what is beyond is arbitrary.

    Args:
        array: an array of the host or of the engine, or `Rows`.
        index: the numbers of the rows, of shape (batches, rows).
        capacity: how many batches the result has room for.
    """
    row, rows = array.shape[1:], index.ravel()
    if not isinstance(array, (np.ndarray, Rows)):  # the engine's own, which is where it is needed
        rows = np.resize(rows, capacity * index.shape[1])
        return engine.arrays.rows(array, engine.arrays.as_array(rows)).reshape(capacity, index.shape[1], *row)
    buffer = _pool.buffer((capacity, index.shape[1], *row), array.dtype)
    out = buffer[: len(index)].reshape(index.size, *row)
    if isinstance(array, Rows):
        array.read_into(out, rows)
    elif rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        out[:] = array[rows[0] : rows[-1] + 1]
    else:
        # "clip": the rows are there, and NumPy would check them through a buffer of its own.
        np.take(array, rows, axis=0, out=out, mode="clip")
    return engine.devices.put(buffer)


class _Pool:
    """Memory that is used again: to get pages from the system, and to give them back, takes as long as filling them."""

    def __init__(self) -> None:
        self._free: dict[int, list[np.ndarray]] = collections.defaultdict(list)

    def buffer(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an array of arbitrary values, whose memory is free again when nothing shows it any more."""
        size = math.prod(shape) * dtype.itemsize
        try:
            memory = self._free[size].pop()
        except IndexError:  # asked after, not before: another thread may take the last one
            memory = _aligned(size)
        return np.asarray(_Lease(self, memory)).view(dtype).reshape(shape)

    def take_back(self, memory: np.ndarray) -> None:
        """Keep memory for others, as far as there is room for it; blocks of another size make room for it."""
        sizes = {size: size * len(free) for size, free in list(self._free.items())}
        if sizes.get(memory.size, 0) + memory.size > KEPT_BYTES:
            return
        if sum(sizes.values()) + memory.size > KEPT_BYTES:
            for size in sizes.keys() - {memory.size}:
                self._free.pop(size, None)
        self._free[memory.size].append(memory)


class _Lease:
    """Stands between memory and the arrays that show it: it goes when the last of them does."""

    def __init__(self, pool: _Pool, memory: np.ndarray) -> None:
        self._pool, self._memory = pool, memory
        self.__array_interface__ = memory.__array_interface__

    def __del__(self) -> None:
        self._pool.take_back(self._memory)


def _aligned(size: int) -> np.ndarray:
    if size < MAPPED_BYTES:
        memory = np.empty(size + ALIGNMENT, "uint8")
    else:
        pages = mmap.mmap(-1, size)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a kernel without them
                pages.madvise(mmap.MADV_HUGEPAGE)
        memory = np.frombuffer(pages, "uint8")
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


_pool = _Pool()
