"""NumPy's choosing, sorting and counting of elements, over tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kerata.engine.torch.elementwise import alike
from kerata.engine.torch.reducing import max as largest
from kerata.engine.torch.reducing import min as smallest
from kerata.engine.torch.tensors import as_tensor, is_traced, only_shapes, to_numpy

__all__ = [
    "argpartition", "argsort", "argwhere", "bincount", "digitize", "histogram", "nonzero", "searchsorted", "select",
    "sort", "take", "take_along_axis", "unique", "unravel_index", "where",
]  # fmt: skip


def _sized(x: torch.Tensor, size: int | None, fill: Any) -> torch.Tensor:
    """Return the first `size` rows of `x`, filled up with `fill`."""
    if size is None:
        return x
    missing = torch.full((max(size - x.shape[0], 0), *x.shape[1:]), fill, dtype=x.dtype, device=x.device)
    return torch.cat([x[:size], missing])


def argwhere(a: Any, *, size: int | None = None, fill_value: Any = None) -> torch.Tensor:
    return _sized(torch.argwhere(as_tensor(a)).to(torch.int32), size, fill_value or 0)


def nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[torch.Tensor, ...]:
    return tuple(argwhere(a, size=size, fill_value=fill_value).unbind(1))


def where(condition: Any, x: Any = None, y: Any = None, *, size: int | None = None, fill_value: Any = None) -> Any:
    if x is None and y is None:
        return nonzero(condition, size=size, fill_value=fill_value)
    condition = as_tensor(condition)
    if not (isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor) and x.dtype == y.dtype):
        x, y = alike(x, y)
    return torch.where(condition if condition.dtype == torch.bool else condition != 0, x, y)


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> torch.Tensor:
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist)):
        result = where(condition, choice, result)
    return result


# Places -----------------------------------------------------------------------------------------------------------


def _outside(x: torch.Tensor, fill_value: Any) -> Any:
    """Return what JAX gives for an element that is not there: nan, the least int, the greatest uint."""
    if fill_value is not None:
        return fill_value
    if x.is_floating_point() or x.is_complex():
        return torch.nan
    if x.dtype == torch.bool:
        return True
    limits = torch.iinfo(x.dtype)
    return limits.min or limits.max


def _places(indices: torch.Tensor, size: int, mode: str | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return places that exist, and which of them were asked for; None for all."""
    indices = indices.long()
    if mode == "clip":
        return indices.clamp(0, size - 1), None
    if mode == "wrap":
        return indices % size, None
    indices = torch.where(indices < 0, indices + size, indices)
    return indices.clamp(0, max(size - 1, 0)), (indices >= 0) & (indices < size)


def _picked(picked: torch.Tensor, inside: torch.Tensor | None, fill_value: Any) -> torch.Tensor:
    if inside is None or (inside.device.type == "cpu" and not is_traced(inside) and inside.all()):
        return picked
    fill = torch.full((), _outside(picked, fill_value), dtype=picked.dtype, device=picked.device)
    return torch.where(inside, picked, fill)


def take(
    a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str | None = None, fill_value: Any = None
) -> torch.Tensor:
    a, indices = as_tensor(a), as_tensor(indices)
    if axis is None:
        a = a.flatten()
    along: int = 0 if axis is None else axis % a.ndim
    indices, inside = _places(indices, a.shape[along], mode)
    picked = torch.index_select(a, along, indices.reshape(-1))
    picked = picked.reshape(*a.shape[:along], *indices.shape, *a.shape[along + 1 :])
    if inside is not None:
        inside = inside.reshape(*inside.shape, *(1,) * (a.ndim - along - 1))
    return _picked(picked, inside, fill_value)


def take_along_axis(
    arr: Any, indices: Any, axis: int | None = -1, mode: str | None = None, fill_value: Any = None
) -> torch.Tensor:
    arr, indices = as_tensor(arr), as_tensor(indices)
    if axis is None:
        arr, axis = arr.flatten(), 0
    indices, inside = _places(indices, arr.shape[axis], mode)
    return _picked(torch.take_along_dim(arr, indices, axis), inside, fill_value)


def unravel_index(indices: Any, shape: Sequence[int]) -> tuple[torch.Tensor, ...]:
    indices, places = as_tensor(indices), []
    for size in reversed(shape):
        places.append(indices % size)
        indices = torch.div(indices, size, rounding_mode="floor")
    return tuple(reversed(places))


# Order ------------------------------------------------------------------------------------------------------------


def sort(a: Any, axis: int | None = -1, *, stable: bool = True, descending: bool = False) -> torch.Tensor:
    a = as_tensor(a)
    if axis is None:
        a, axis = a.flatten(), 0
    return torch.sort(a, dim=axis, descending=descending, stable=stable).values


def argsort(a: Any, axis: int | None = -1, *, stable: bool = True, descending: bool = False) -> torch.Tensor:
    a = as_tensor(a)
    if axis is None:
        a, axis = a.flatten(), 0
    return torch.argsort(a, dim=axis, descending=descending, stable=stable).to(torch.int32)


def argpartition(a: Any, kth: int, axis: int | None = -1) -> torch.Tensor:
    return argsort(a, axis)


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None, *, method: Any = None) -> torch.Tensor:
    a, v = alike(as_tensor(a), as_tensor(v))
    a = a if sorter is None else a[as_tensor(sorter).long()]
    return torch.searchsorted(a.contiguous(), v.contiguous(), right=side == "right").to(torch.int32)


def digitize(x: Any, bins: Any, right: bool = False) -> torch.Tensor:
    bins = as_tensor(bins)
    return searchsorted(bins, x, "left" if right else "right")


# Counting ---------------------------------------------------------------------------------------------------------


def unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    axis: int | None = None, *, equal_nan: bool = True, size: int | None = None, fill_value: Any = None,
) -> Any:  # fmt: skip
    ar = as_tensor(ar)
    if size is not None and only_shapes(ar):
        ar = ar.flatten() if axis is None else ar.movedim(axis, 0)
        values = ar[:1].expand(size, *ar.shape[1:]).movedim(0, axis or 0)
        index = counts = ar.new_zeros(size, dtype=torch.int32)
        inverse = ar.new_zeros(ar.shape[:1], dtype=torch.int32)
        return _asked(values, (return_index, index), (return_inverse, inverse), (return_counts, counts))
    found = np.unique(to_numpy(ar), True, True, True, axis, equal_nan=equal_nan)
    values, index, inverse, counts = map(as_tensor, found)
    if size is not None:
        rows = values.movedim(axis or 0, 0)
        least = rows.amin(0) if fill_value is None and rows.shape[0] else torch.as_tensor(fill_value or 0)
        more = least.to(rows).expand(max(size - rows.shape[0], 0), *rows.shape[1:])
        values = torch.cat([rows[:size], more]).movedim(0, axis or 0)
        index, counts = _sized(index, size, index[0].item() if index.numel() else 0), _sized(counts, size, 0)
    return _asked(values, (return_index, index), (return_inverse, inverse), (return_counts, counts))


def _asked(values: torch.Tensor, *chosen: tuple[bool, torch.Tensor]) -> Any:
    results = (values, *(result for wanted, result in chosen if wanted))
    return results if len(results) > 1 else values


def bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> torch.Tensor:
    weights = None if weights is None else as_tensor(weights)
    counts = torch.bincount(as_tensor(x).flatten(), weights, max(minlength, length or 0))
    counts = counts.to(torch.int32) if weights is None else counts.to(weights.dtype)
    return counts if length is None else counts[:length]


def histogram(a: Any, bins: Any = 10, range: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
    a = as_tensor(a).flatten()
    dtype = a.dtype if a.is_floating_point() else torch.float32
    a = a.to(torch.promote_types(dtype, torch.float32))  # in 16 bits the last edge would not be the largest value
    if isinstance(bins, int):
        low, high = (smallest(a), largest(a)) if range is None else (as_tensor(v, a.dtype) for v in range)
        flat = low == high
        low, high = torch.where(flat, low - 0.5, low), torch.where(flat, high + 0.5, high)
        inner = low + (high - low) * torch.arange(bins, dtype=a.dtype, device=a.device) / bins
        edges = torch.cat([inner, high.reshape(1)])  # the very largest value, which rounding could miss
    else:
        edges = as_tensor(bins, a.dtype)
    cells = torch.searchsorted(edges, a, right=True) - 1
    cells = torch.where(a == edges[-1], edges.shape[0] - 2, cells)  # the last cell holds its upper edge
    hits = cells[:, None] == torch.arange(edges.shape[0] - 1, device=a.device)
    return torch.sum(hits, 0).to(torch.int32), edges.to(dtype)
