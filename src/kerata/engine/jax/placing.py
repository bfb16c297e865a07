"""Reading the host's arrays where they lie.

XLA reads memory in place that begins at a multiple of 64 bytes, and copies all other. NumPy's arrays begin anywhere;
so they are read from the next such place on, in the middle of their first row, and the first and the last row are
copied.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
from jax import numpy as jnp

from kerata.engine.jax import devices
from kerata.engine.picking import Picked
from kerata.engine.protocol import ALIGNMENT, Array

__all__ = ["Displaced", "in_place"]

SMALL = 1 << 20
"""Bytes; up to here a copy costs nothing that would be noticed."""

jax.tree_util.register_dataclass(Picked, data_fields=["array", "index"], meta_fields=[])


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Displaced:
    """An array that is not read from its beginning.

    Args:
        cells: all but as many as lie in `ALIGNMENT`, flat: those before the first place to read from, and at the end
            the rest of this number. So no program depends on where an array begins.
        skipped: how many are missing at the beginning.
        first, last: copies of the two rows that are not whole in `cells`.
    """

    cells: Array
    skipped: Array
    first: Array
    last: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of each."""
        whole = self.cells.size // self.first.size  # one row less: what is missing of both is a row at most
        return (whole + 1, *self.first.shape)

    @property
    def dtype(self) -> np.dtype:
        """That of the cells."""
        return self.cells.dtype

    def rows(self, index: Array) -> Array:
        """Return the rows with these numbers, which are in bounds."""
        size = self.first.size

        def row(number: Array) -> Array:
            start = number * size - self.skipped  # in the first and the last row XLA goes as far as it can
            return jax.lax.dynamic_slice(self.cells, (start,), (size,), allow_negative_indices=False)

        def among(number: int) -> Array:
            return jnp.reshape(index == number, (-1,) + (1,) * self.first.ndim)

        found = jax.vmap(row)(index).reshape(-1, *self.first.shape)
        return jnp.where(among(0), self.first, jnp.where(among(self.shape[0] - 1), self.last, found))


def in_place(x: np.ndarray, most: int) -> Array | Displaced | None:
    cells = ALIGNMENT // x.itemsize
    can_stay = (
        devices.platform() == "cpu"
        and x.flags.c_contiguous
        and x.ctypes.data % x.itemsize == 0
        and jax.dtypes.canonicalize_dtype(x.dtype) == x.dtype
        and len(x) > 1
        and cells <= x[0].size <= x.size <= np.iinfo("int32").max  # cells are numbered in 32 bits
    )
    if x.nbytes <= SMALL or not can_stay:
        return jax.device_put(x, may_alias=False) if x.nbytes <= max(most, SMALL) else None
    skipped = -x.ctypes.data % ALIGNMENT // x.itemsize
    part = x.reshape(-1)[skipped : x.size - cells + skipped]
    return Displaced(jax.device_put(part, may_alias=True), jnp.int32(skipped), jnp.array(x[0]), jnp.array(x[-1]))
