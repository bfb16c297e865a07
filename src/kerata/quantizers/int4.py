"""Two numbers of 4 bits in a byte."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors, ops
from kerata.core import dtypes

__all__ = ["pack_int4", "unpack_int4"]


def _check(x: Any, dtype: str, where: str) -> None:
    if dtype not in ("int8", "uint8"):
        raise errors.InvalidArgument("a byte is expected.", where=where, expected='"int8" or "uint8"', got=dtype)
    if dtypes.dtype_of(x) != dtype:
        raise errors.InvalidType("the dtype is another one.", where=where, expected=dtype, got=dtypes.dtype_of(x))


def pack_int4(arr: Any, axis: int = 0, dtype: str = "int8") -> tuple[Any, tuple[int, ...], int]:
    """Return bytes that each hold two neighbours along `axis`, the first in the lower half; with shape and old size.

    Args:
        arr: whole numbers from -8 to 7 as int8, or from 0 to 15 as uint8.
        axis: along which neighbours come together; an odd size is filled with a 0.
        dtype: that of `arr` and of the bytes.

    Example:
        >>> packed, shape, size = kerata.quantizers.pack_int4(numpy.array([[-3, 7], [2, -8], [1, 0]], "int8"))
        >>> packed.tolist(), shape, size
        ([[45, -121], [1, 0]], (2, 2), 3)
    """
    _check(arr, dtype, "pack_int4")
    x = np.moveaxis(np.asarray(ops.convert_to_numpy(arr)), axis, 0).view("uint8")
    size = len(x)
    x = np.concatenate([x, np.zeros((size % 2, *x.shape[1:]), "uint8")])
    packed = np.moveaxis((x[::2] & 0x0F) | (x[1::2] << 4), 0, axis).view(dtype)
    return ops.convert_to_tensor(np.ascontiguousarray(packed)), packed.shape, size


def unpack_int4(packed: Any, orig_len: int, axis: int = 0, dtype: str = "int8") -> Any:
    """Return what `pack_int4` has packed, with `orig_len` cells along `axis`.

    Example:
        >>> packed, _, size = kerata.quantizers.pack_int4(numpy.array([-3, 7, 2], "int8"))
        >>> kerata.quantizers.unpack_int4(packed, size).tolist()
        [-3, 7, 2]
    """
    _check(packed, dtype, "unpack_int4")
    axis %= len(packed.shape)
    # A shift to the right brings the sign along where there is one.
    lower = ops.right_shift(ops.left_shift(packed, 4), 4)
    both = ops.stack([lower, ops.right_shift(packed, 4)], axis=axis + 1)
    shape = [*packed.shape[:axis], 2 * packed.shape[axis], *packed.shape[axis + 1 :]]
    return ops.reshape(both, shape)[(slice(None),) * axis + (slice(orig_len),)]
