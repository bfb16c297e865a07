"""Ops that pick, place, search and sort values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kerata.core import dtypes
from kerata.core.op import Array, Operand, convert, meet, op
from kerata.engine import arrays, xp

__all__ = [
    "argpartition", "argsort", "digitize", "get_item", "in_top_k", "isin", "multi_hot", "nonzero", "one_hot",
    "scatter", "scatter_update", "searchsorted", "segment_max", "segment_min", "segment_prod", "segment_sum",
    "select", "slice", "slice_update", "sort", "take", "take_along_axis", "top_k", "unique", "unravel_index", "where",
]  # fmt: skip


@op
def get_item(x: Array, key: Any) -> Array:
    """Return x[key]: ints, slices, None, … and arrays of ints."""
    return x[key]


@op
def take(x: Array, indices: Array, axis: int | None = None) -> Array:
    """Return the values of x at `indices` along an axis; negative numbers count from the end."""
    return xp.take(x, indices, axis=axis)


@op
def take_along_axis(x: Array, indices: Array, axis: int | None = None) -> Array:
    """Return the values of x at indices that differ from row to row, as `argsort` gives them."""
    return xp.take_along_axis(x, indices, axis=axis)


@op
def where(condition: Array, x1: Operand = None, x2: Operand = None) -> Array:
    """Return x1 where the condition is true and x2 elsewhere; with no choices, where it is true."""
    if x1 is None or x2 is None:
        return tuple(arrays.cast(i, "int32") for i in xp.nonzero(condition))
    return xp.where(condition if dtypes.dtype_of(condition) == "bool" else condition != 0, x1, x2)


@op
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Array:
    """Return, for each place, the choice of the first condition that is true there."""
    *choices, default = meet([*choicelist, default], False)
    return xp.select([convert(c) for c in condlist], [convert(c) for c in choices], default)


@op
def nonzero(x: Array) -> tuple[Array, ...]:
    """Return where x is not zero: an array of int32 for each axis. The number of hits must be known: not compiled."""
    return tuple(arrays.cast(i, "int32") for i in xp.nonzero(x))


@op
def slice(inputs: Array, start_indices: Any, shape: Sequence[int]) -> Array:
    """Return the block of a shape that begins at `start_indices`, which may be traced."""
    shape = tuple(n - int(s) if d == -1 else d for d, n, s in zip(shape, inputs.shape, _starts(start_indices)))
    return arrays.dynamic_slice(inputs, _starts(start_indices), shape)


@op
def slice_update(inputs: Array, start_indices: Any, updates: Array) -> Array:
    """Return `inputs` with the block that begins at `start_indices` replaced."""
    return arrays.dynamic_set(inputs, _starts(start_indices), arrays.cast(updates, dtypes.dtype_of(inputs)))


def _starts(start_indices: Any) -> list[Any]:
    if isinstance(start_indices, (list, tuple)):
        return list(start_indices)
    start_indices = convert(start_indices)
    return [start_indices[i] for i in range(start_indices.shape[0])]


def _place(indices: Any) -> tuple[Any, ...]:
    """Return rows of coordinates (n, k) as an index for the first k axes."""
    return tuple(xp.moveaxis(indices, -1, 0))


@op
def scatter(indices: Array, values: Array, shape: Sequence[int]) -> Array:
    """Return zeros of a shape with `values` (n, …) added at the coordinates `indices` (n, k)."""
    return arrays.add_at(xp.zeros(tuple(shape), values.dtype), _place(indices), values)


@op
def scatter_update(inputs: Array, indices: Array, updates: Array, reduction: str | None = None) -> Array:
    """Return `inputs` with `updates` (n, …) put at the coordinates `indices` (n, k), or joined by a reduction.

    Args:
        reduction: None to replace; "add", "max", "min" or "mul" to join with what is there.
    """
    place = _place(indices)
    if reduction is None:
        return arrays.set_at(inputs, place, updates)
    if reduction == "add":
        return arrays.add_at(inputs, place, updates)
    return arrays.reduce_at(inputs, place, updates, reduction)


@op
def one_hot(x: Array, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Array:
    """Return vectors with a one at each number of x and zeros elsewhere; all zeros for a number out of range."""
    axis = axis if axis >= 0 else x.ndim + 1 + axis
    classes = xp.reshape(xp.arange(num_classes), (num_classes,) + (1,) * (x.ndim - axis))
    x = x if dtypes.is_int(x.dtype) else arrays.cast(x, "int32")
    return arrays.cast(xp.expand_dims(x, axis) == classes, dtypes.standardize(dtype))


@op
def multi_hot(
    inputs: Array, num_classes: int | None = None, axis: int = -1, dtype: Any = None, sparse: bool = False,
    **kwargs: Any,
) -> Array:  # fmt: skip
    """Return vectors with ones at all numbers along the last axis of `inputs`; `num_tokens` is of old Keras."""
    num_classes = kwargs.get("num_tokens") if num_classes is None else num_classes
    if num_classes is None:
        num_classes = int(xp.max(inputs)) + 1
    kept = inputs.ndim - 1 if inputs.ndim > 1 else 0
    return xp.max(one_hot(inputs, num_classes, axis, dtype), axis=kept)


@op
def sort(x: Array, axis: int = -1) -> Array:
    """Return x in rising order."""
    return xp.sort(x, axis=axis)


@op
def argsort(x: Array, axis: int = -1) -> Array:
    """Return the places of the values of x in rising order, int32; equal values keep their order."""
    x = xp.reshape(x, (-1,)) if axis is None else x
    return arrays.cast(xp.argsort(x, axis=-1 if axis is None else axis, stable=True), "int32")


@op
def argpartition(x: Array, kth: int, axis: int = -1) -> Array:
    """Return places of the values of x such that those before the kth are no larger than it, int32."""
    return arrays.cast(xp.argpartition(x, kth, axis=axis), "int32")


@op
def searchsorted(sorted_sequence: Operand, values: Operand, side: str = "left") -> Array:
    """Return where `values` belong in a sorted sequence, int32."""
    return arrays.cast(xp.searchsorted(sorted_sequence, values, side=side), "int32")


@op
def digitize(x: Operand, bins: Operand) -> Array:
    """Return the number of the bin that each value falls in, int32."""
    return arrays.cast(xp.digitize(x, bins), "int32")


@op
def isin(x1: Operand, x2: Operand, assume_unique: bool = False, invert: bool = False) -> Array:
    """Return whether each value of x1 occurs in x2."""
    found = xp.any(xp.expand_dims(x1, -1) == xp.reshape(x2, (-1,)), axis=-1)
    return xp.logical_not(found) if invert else found


@op
def top_k(x: Array, k: int, sorted: bool = True) -> tuple[Array, Array]:
    """Return the k largest values along the last axis, largest first, and their places, int32."""
    values, indices = arrays.top_k(x, k)
    return values, arrays.cast(indices, "int32")


@op
def in_top_k(targets: Array, predictions: Array, k: int) -> Array:
    """Return whether each target class is among the k best predictions (B, classes).

    A class counts as better than the target only if its score is larger: ties are in the target's favour. A
    target out of range or a prediction that is not finite at the target is never in.
    """
    classes = xp.arange(predictions.shape[-1])
    hit = xp.expand_dims(targets, -1) == classes
    own = xp.sum(xp.where(hit, predictions, 0), axis=-1, keepdims=True)
    better = xp.sum(arrays.cast(predictions > own, "int32"), axis=-1)
    valid = xp.logical_and(xp.any(hit, axis=-1), xp.isfinite(own[..., 0]))
    return xp.logical_and(better < k, valid)


@op
def unravel_index(indices: Array, shape: Sequence[int]) -> tuple[Array, ...]:
    """Return the coordinates in a shape of places counted row by row, in the places' own dtype."""
    dtype = dtypes.dtype_of(indices)
    places = indices if dtypes.is_int(dtype) else arrays.cast(indices, "int32")
    return tuple(arrays.cast(i, "int32" if dtype == "bool" else dtype) for i in xp.unravel_index(places, tuple(shape)))


@op
def unique(
    x: Array,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """Return the values of x, each once; `size` fixes how many, so that it can be compiled."""
    kwargs = {} if size is None else {"size": size, "fill_value": fill_value}
    return xp.unique(x, return_index, return_inverse, return_counts, axis=axis, **kwargs)


def _segments(data: Any, segment_ids: Any, num_segments: int | None, reduction: str, start: Any) -> Any:
    if num_segments is None:
        num_segments = int(xp.max(segment_ids)) + 1
    out = xp.full((num_segments, *data.shape[1:]), start, data.dtype)
    if reduction == "add":
        return arrays.add_at(out, (segment_ids,), data)
    return arrays.reduce_at(out, (segment_ids,), data, reduction)


@op
def segment_sum(data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False) -> Array:
    """Return, for each segment, the sum of the rows of `data` (n, …) whose id (n,) it is."""
    return _segments(data, segment_ids, num_segments, "add", 0)


@op
def segment_prod(data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False) -> Array:
    """Return the product of the rows of each segment; 1 for an empty one."""
    return _segments(data, segment_ids, num_segments, "mul", 1)


@op
def segment_max(data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False) -> Array:
    """Return the largest of the rows of each segment; the lowest number for an empty one."""
    low = -math.inf if dtypes.is_float(data.dtype) else dtypes.limits(data.dtype)[0]
    return _segments(data, segment_ids, num_segments, "max", low)


@op
def segment_min(data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False) -> Array:
    """Return the smallest of the rows of each segment; the highest number for an empty one."""
    high = math.inf if dtypes.is_float(data.dtype) else dtypes.limits(data.dtype)[1]
    return _segments(data, segment_ids, num_segments, "min", high)
