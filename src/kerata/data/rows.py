"""`Rows`: an array whose rows are read when they are needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kerata import config

__all__ = ["Rows", "float_dtype", "narrowed"]


def float_dtype() -> str:
    """Return the dtype that NumPy's floats are given in: the one that people have set, where NumPy has it."""
    return "float32" if config.floatx() == "bfloat16" else config.floatx()


def narrowed(dtype: Any) -> np.dtype:
    """Return the dtype that data of `dtype` are given in: double precision becomes the float that people have set.

    Engines know the machine's own order of bytes alone.
    """
    dtype = np.dtype(dtype)
    dtype = dtype if dtype.isnative else dtype.newbyteorder("=")
    if dtype.char not in "dD" or config.floatx() == "float64":
        return dtype
    return np.dtype(float_dtype() if dtype.char == "d" else "complex64")


class Rows:
    """An array whose rows are read when they are asked for: a file on disk, a sparse matrix, a column of pictures.

    Args:
        read: returns rows, given a slice or ascending numbers.
        shape: that of all rows.
        dtype: that of the rows as given out.
    """

    def __init__(self, read: Callable[[Any], Any], shape: tuple[int, ...], dtype: Any, start: int = 0) -> None:
        self._read, self._start, self.shape, self.dtype = read, start, tuple(shape), np.dtype(dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes that all rows would take in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Any:
        """Return a part, unread, for a slice; the rows themselves for an array of numbers."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return Rows(self._read, (max(stop - start, 0), *self.shape[1:]), self.dtype, self._start + start)
        if np.ndim(rows) == 0:
            return self[np.asarray([rows])][0]
        # Files want ascending numbers, and a slice wherever they follow each other.
        unique, places = np.unique(np.asarray(rows) + self._start, return_inverse=True)
        dense = len(unique) and unique[-1] - unique[0] + 1 == len(unique)
        found = self._read(slice(int(unique[0]), int(unique[-1]) + 1) if dense else unique)
        return np.asarray(found, self.dtype)[places]

    def read_into(self, out: np.ndarray, rows: np.ndarray) -> None:
        """Read rows, in the order in which they are named, into an array."""
        source = getattr(self._read, "__self__", None)
        if isinstance(source, np.memmap) and source.dtype == out.dtype:
            np.take(source, rows + self._start, axis=0, out=out, mode="clip")  # straight from the page cache
        else:
            out[:] = self[rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[np.arange(len(self))], dtype)
