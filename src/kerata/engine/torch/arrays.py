"""PyTorch's tensors as arrays. Nothing here writes into a tensor that somebody else may hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kerata.engine.protocol import Array
from kerata.engine.torch import namespace as numpy
from kerata.engine.torch import special
from kerata.engine.torch.parameters import place
from kerata.engine.torch.tensors import as_tensor, device, is_traced, to_numpy

__all__ = [
    "numpy", "special", "as_array", "filled", "to_numpy", "is_array", "is_traced", "place", "without_history", "cast",
    "set_at", "add_at", "reduce_at", "lu_factor", "row", "rows", "in_place", "dynamic_slice", "dynamic_set", "top_k",
]  # fmt: skip

_REDUCTIONS = {"max": "amax", "min": "amin", "mul": "prod", "add": "sum"}


def as_array(x: Any, dtype: str | None = None) -> Array:
    return as_tensor(x, dtype)


def filled(shape: Sequence[int], value: float, dtype: str) -> Array:
    return numpy.full(shape, value, dtype)


def is_array(x: Any) -> bool:
    return isinstance(x, torch.Tensor)


def without_history(x: Array) -> Array:
    return x.detach() if isinstance(x, torch.Tensor) and x.requires_grad else x


def cast(x: Array, dtype: str) -> Array:
    x, wanted = as_tensor(x), numpy.as_dtype(dtype)
    if x.dtype is wanted:
        return x
    return (x.real if x.is_complex() and not wanted.is_complex else x).to(wanted)


def set_at(x: Array, index: Any, values: Array) -> Array:
    y = as_tensor(x).clone()
    y[_index(index)] = as_tensor(values, y.dtype)
    return y


def add_at(x: Array, index: Any, values: Array) -> Array:
    x, index = as_tensor(x), _index(index)
    places = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(i, torch.Tensor) and i.dtype == torch.int64 for i in places):
        return reduce_at(x, index, values, "add")
    return x.index_put(places, as_tensor(values, x.dtype), accumulate=True)


def reduce_at(x: Array, index: Any, values: Array, reduction: str) -> Array:
    x = as_tensor(x)
    # Each element's number, picked as the elements would be: then any index is a list of numbers.
    numbers = torch.arange(x.numel(), device=x.device).reshape(x.shape)[_index(index)]
    values = as_tensor(values, x.dtype).expand(numbers.shape)
    flat = x.reshape(-1)
    if reduction == "add":
        y = flat.index_add(0, numbers.reshape(-1), values.reshape(-1))
    else:
        y = flat.scatter_reduce(0, numbers.reshape(-1), values.reshape(-1), _REDUCTIONS[reduction])
    return y.reshape(x.shape)


def _index(index: Any) -> Any:
    """Return an index as PyTorch reads it: arrays of whole numbers are int64, or uint8 would be a mask."""
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    if isinstance(index, (list, np.ndarray)):
        index = as_tensor(index)
    if isinstance(index, torch.Tensor) and index.dtype != torch.bool:
        return index.long()
    return int(index) if isinstance(index, np.integer) else index


def lu_factor(x: Array) -> tuple[Array, Array]:
    lu, pivots = torch.linalg.lu_factor(x)
    return lu, pivots - 1  # LAPACK counts from one


def row(x: Array, i: Any) -> Array:
    return x[i]


def rows(x: Array, index: Array) -> Array:
    if not isinstance(x, torch.Tensor):
        return as_tensor(x[np.asarray(index)])
    return x.index_select(0, as_tensor(index).long().to(x.device))


def in_place(x: np.ndarray, most: int) -> Any:
    shared = device().type == "cpu" and x.flags.c_contiguous and x.flags.writeable  # or PyTorch warns
    return as_tensor(x, shared=shared) if shared or x.nbytes <= most else None


def dynamic_slice(x: Array, start: Sequence[Any], shape: Sequence[int]) -> Array:
    return as_tensor(x)[_block(x, start, shape)]


def dynamic_set(x: Array, start: Sequence[Any], values: Array) -> Array:
    y = as_tensor(x).clone()
    y[_block(x, start, values.shape)] = as_tensor(values, y.dtype)
    return y


def _block(x: Array, start: Sequence[Any], shape: Sequence[int]) -> tuple[Any, ...]:
    """Return the index of a block of `shape`, moved where needed to lie inside `x`."""
    bounds = list(zip(start, x.shape, shape, strict=True))
    if not any(is_traced(first) for first in start):
        firsts = [min(max(int(first), 0), whole - part) for first, whole, part in bounds]
        return tuple(slice(first, first + part) for first, part in zip(firsts, shape))
    lines = [as_tensor(f).long().clamp(0, w - p) + torch.arange(p, device=x.device) for f, w, p in bounds]
    return tuple(line.reshape((-1,) + (1,) * (len(lines) - 1 - axis)) for axis, line in enumerate(lines))


def top_k(x: Array, k: int) -> tuple[Array, Array]:
    if x.dtype == torch.bool:
        values, indices = top_k(x.byte(), k)
        return values.bool(), indices
    # torch.topk is faster, but of equal elements it may give any first. Looking for such would wait for a GPU.
    if x.device.type == "cpu" and not is_traced(x):
        values, indices = torch.topk(x, min(k + 1, x.shape[-1]))
        if (values[..., 1:] < values[..., :-1]).all():
            return values[..., :k], indices[..., :k].to(torch.int32)
    values, indices = torch.sort(x, dim=-1, descending=True, stable=True)
    return values[..., :k], indices[..., :k].to(torch.int32)
