"""Gathering: rows of an array, in any order, as a stack of batches on the device.

Where the device is the host's own processor, the rows go straight from where the caller has them into buffers that
the engine reads in place: what is held twice is a few batches, never the data. On other devices the array is put there
once, and gathers there.
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

__all__ = ["RESIDENT_BYTES", "gatherer"]

RESIDENT_BYTES = 4 << 30
"""Arrays up to this size in all are held on a device that has memory of its own."""

ALIGNMENT = 64
"""Bytes; XLA reads what begins at a multiple of it without a copy."""

KEPT_BYTES = 64 << 20
"""How much memory is kept for the next stack when nothing is in it."""

MAPPED_BYTES = 1 << 20
"""Buffers from this size on are pages of their own, which go back whole: the heap would keep them."""


def gatherer(array: Any, resident: bool) -> OnDevice | OnHost:
    """Return what gathers rows of `array`; `resident` arrays are put on the device once, the engine's own are there."""
    on_host = isinstance(array, Rows) or isinstance(array, np.ndarray) and not resident
    return OnHost(array) if on_host else OnDevice(array)


class OnDevice:
    """Rows of an array that the device holds, from the first request on."""

    def __init__(self, array: Any) -> None:
        self._array, self._is_there = array, False

    def __call__(self, index: np.ndarray, capacity: int) -> Any:
        """Return the rows that `index` (batches, rows) names, as (capacity, rows, …); what is beyond is arbitrary."""
        if not self._is_there:
            self._array, self._is_there = engine.devices.put(self._array), True
        full = np.zeros((capacity, index.shape[1]), np.int32)
        full[: len(index)] = index
        return engine.arrays.rows(self._array, engine.arrays.as_array(full))


class OnHost:
    """Rows of an array, a memory map or a file on the host."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __call__(self, index: np.ndarray, capacity: int) -> Any:
        """Return the rows that `index` (batches, rows) names, as (capacity, rows, …); what is beyond is arbitrary."""
        row = self._array.shape[1:]
        buffer = _pool.buffer((capacity, index.shape[1], *row), self._array.dtype)
        out = buffer[: len(index)].reshape(index.size, *row)
        rows = index.ravel()
        if isinstance(self._array, Rows):
            self._array.read_into(out, rows)
        elif rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
            out[:] = self._array[rows[0] : rows[-1] + 1]
        else:
            # "clip": the rows are there, and NumPy would check them through a buffer of its own.
            np.take(self._array, rows, axis=0, out=out, mode="clip")
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
        """Keep memory for others, as far as there is room for it."""
        kept = sum(size * len(free) for size, free in list(self._free.items()))
        if kept + memory.size <= KEPT_BYTES:
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
