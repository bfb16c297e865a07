"""Ops that move values about: shapes, axes, joins, splits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerata import errors
from kerata.core.op import Array, Arrays, Operand, op
from kerata.engine import xp

__all__ = [
    "append", "array_split", "broadcast_to", "concatenate", "diag", "diagflat", "diagonal", "dsplit", "dstack",
    "expand_dims", "flip", "fliplr", "flipud", "hsplit", "hstack", "meshgrid", "moveaxis", "ndim", "pad", "ravel",
    "repeat", "reshape", "roll", "rot90", "size", "split", "squeeze", "stack", "swapaxes", "tile", "transpose",
    "tril", "triu", "unstack", "vsplit", "vstack",
]  # fmt: skip


@op
def reshape(x: Array, newshape: Sequence[int] | int) -> Array:
    """Return x in another shape; one dimension may be -1 and is worked out."""
    shape = tuple(newshape) if isinstance(newshape, (list, tuple)) else (newshape,)
    return xp.reshape(x, tuple(-1 if d is None else d for d in shape))


@op
def ravel(x: Array) -> Array:
    """Return all values of x in one row."""
    return xp.reshape(x, (-1,))


@op
def transpose(x: Array, axes: Sequence[int] | None = None) -> Array:
    """Return x with its axes in another order; reversed when none is given."""
    return xp.transpose(x, axes)


@op
def moveaxis(x: Array, source: Any, destination: Any) -> Array:
    """Return x with the axes `source` moved to `destination`."""
    return xp.moveaxis(x, source, destination)


@op
def swapaxes(x: Array, axis1: int, axis2: int) -> Array:
    """Return x with two axes exchanged."""
    return xp.swapaxes(x, axis1, axis2)


@op
def expand_dims(x: Array, axis: int | Sequence[int]) -> Array:
    """Return x with an axis of length one at `axis`."""
    return xp.expand_dims(x, tuple(axis) if isinstance(axis, list) else axis)


@op
def squeeze(x: Array, axis: int | Sequence[int] | None = None) -> Array:
    """Return x without its axes of length one, or without those named."""
    return xp.squeeze(x, tuple(axis) if isinstance(axis, list) else axis)


@op
def broadcast_to(x: Array, shape: Sequence[int]) -> Array:
    """Return x repeated, as broadcasting would, to a shape."""
    return xp.broadcast_to(x, tuple(shape))


@op
def concatenate(xs: Arrays, axis: int = 0) -> Array:
    """Return arrays joined along an axis that they have.

    Example:
        >>> kerata.ops.concatenate([[1, 2], [3]]).tolist()
        [1, 2, 3]
    """
    return xp.concatenate(xs, axis=axis)


@op
def stack(x: Arrays, axis: int = 0) -> Array:
    """Return arrays of one shape joined along a new axis."""
    return xp.stack(x, axis=axis)


@op
def hstack(xs: Arrays) -> Array:
    """Return arrays joined side by side (along the second axis; the first of vectors)."""
    return xp.hstack(xs)


@op
def vstack(xs: Arrays) -> Array:
    """Return arrays joined on top of each other; vectors become rows."""
    return xp.vstack(xs)


@op
def dstack(xs: Arrays) -> Array:
    """Return arrays joined along the third axis."""
    return xp.dstack(xs)


@op
def append(x1: Operand, x2: Operand, axis: int | None = None) -> Array:
    """Return x2 joined to the end of x1; both flattened when there is no axis."""
    return xp.append(x1, x2, axis=axis)


@op
def split(x: Array, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Array]:
    """Return x cut into so many equal parts, or at the given places."""
    return list(xp.split(x, _cuts(indices_or_sections), axis=axis))


@op
def array_split(x: Array, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Array]:
    """Return x cut into so many nearly equal parts."""
    return list(xp.array_split(x, _cuts(indices_or_sections), axis=axis))


@op
def hsplit(x: Array, indices_or_sections: int | Sequence[int]) -> list[Array]:
    """Return x cut along its second axis (the first of a vector)."""
    return list(xp.hsplit(x, _cuts(indices_or_sections)))


@op
def vsplit(x: Array, indices_or_sections: int | Sequence[int]) -> list[Array]:
    """Return x cut along its first axis."""
    return list(xp.vsplit(x, _cuts(indices_or_sections)))


@op
def dsplit(x: Array, indices_or_sections: int | Sequence[int]) -> list[Array]:
    """Return x cut along its third axis."""
    return list(xp.dsplit(x, _cuts(indices_or_sections)))


def _cuts(indices_or_sections: Any) -> Any:
    return indices_or_sections if isinstance(indices_or_sections, int) else [int(i) for i in indices_or_sections]


@op
def unstack(x: Array, num: int | None = None, axis: int = 0) -> list[Array]:
    """Return the slices of x along an axis, without that axis."""
    if num is not None and num != x.shape[axis]:
        raise errors.InvalidArgument(
            "`num` is not the length of the axis.", where="ops.unstack", expected=x.shape[axis], got=num
        )
    return [xp.squeeze(part, axis) for part in xp.split(x, x.shape[axis], axis=axis)]


@op
def flip(x: Array, axis: int | Sequence[int] | None = None) -> Array:
    """Return x in reverse order along an axis, or along all."""
    return xp.flip(x, axis)


@op
def fliplr(x: Array) -> Array:
    """Return x in reverse order along its second axis."""
    return xp.flip(x, 1)


@op
def flipud(x: Array) -> Array:
    """Return x in reverse order along its first axis."""
    return xp.flip(x, 0)


@op
def roll(x: Array, shift: Any, axis: Any = None) -> Array:
    """Return x moved by `shift` places; what leaves at one end comes in at the other."""
    return xp.roll(x, shift, axis)


@op
def rot90(array: Array, k: int = 1, axes: Sequence[int] = (0, 1)) -> Array:
    """Return the array turned k times by 90° in the plane of two axes, from the first to the second."""
    return xp.rot90(array, k, tuple(axes))


@op
def repeat(x: Array, repeats: Any, axis: int | None = None) -> Array:
    """Return x with each value repeated, `[1, 2]` as `[1, 1, 2, 2]`."""
    # A list stays NumPy's, so that compiled functions know how long the result is.
    return xp.repeat(x, np.asarray(repeats) if isinstance(repeats, (list, tuple)) else repeats, axis=axis)


@op
def tile(x: Array, repeats: int | Sequence[int]) -> Array:
    """Return x as a whole repeated, `[1, 2]` as `[1, 2, 1, 2]`."""
    return xp.tile(x, repeats)


@op
def pad(
    x: Array, pad_width: int | Sequence[Any], mode: str = "constant", constant_values: float | None = None
) -> Array:
    """Return x with cells added around.

    Args:
        pad_width: for each axis a pair (before, after); one pair or one int for all axes.
        mode: "constant", "edge", "reflect", "symmetric", "wrap" …, as NumPy's `pad`.
    """
    if constant_values is not None and mode != "constant":
        raise errors.InvalidArgument(
            '`constant_values` goes with mode="constant" only.', where="ops.pad", got=f"mode={mode!r}"
        )
    return xp.pad(x, pad_width, mode, **({} if mode != "constant" else {"constant_values": constant_values or 0}))


@op
def diag(x: Array, k: int = 0) -> Array:
    """Return the k-th diagonal of a matrix, or the matrix with a vector on its k-th diagonal."""
    return xp.diag(x, k)


@op
def diagflat(x: Array, k: int = 0) -> Array:
    """Return the matrix with the flattened x on its k-th diagonal."""
    return xp.diagflat(x, k)


@op
def diagonal(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """Return the diagonals of the matrices that two axes span, as the last axis."""
    return xp.diagonal(x, offset, axis1, axis2)


@op
def tril(x: Array, k: int = 0) -> Array:
    """Return matrices with zeros above the k-th diagonal."""
    return xp.tril(x, k)


@op
def triu(x: Array, k: int = 0) -> Array:
    """Return matrices with zeros below the k-th diagonal."""
    return xp.triu(x, k)


@op
def meshgrid(*x: Any, indexing: str = "xy") -> list[Array]:
    """Return the coordinates of a grid, an array for each vector given."""
    return list(xp.meshgrid(*(xp.asarray(v) for v in x), indexing=indexing))


def ndim(x: Any) -> int:
    """Return how many axes x has."""
    return len(x.shape) if hasattr(x, "shape") else len(xp.asarray(x).shape)


@op
def size(x: Array) -> Array:
    """Return how many values x has."""
    return xp.asarray(math.prod(x.shape), "int32")
