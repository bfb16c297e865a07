"""NumPy's making, joining, cutting and turning of arrays, over tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kerata.engine.torch.elementwise import alike
from kerata.engine.torch.tensors import as_dtype, as_tensor, device

__all__ = [
    "append", "arange", "array", "array_split", "asarray", "broadcast_arrays", "broadcast_to", "concatenate", "diag",
    "diagflat", "diagonal", "dsplit", "dstack", "empty", "expand_dims", "eye", "flip", "full", "full_like",
    "geomspace", "hsplit", "hstack", "linspace", "logspace", "meshgrid", "moveaxis", "ones", "ones_like", "pad",
    "ravel", "repeat", "reshape", "roll", "rot90", "split", "squeeze", "stack", "swapaxes", "tile", "transpose",
    "tri", "tril", "triu", "vander", "vsplit", "vstack", "zeros", "zeros_like",
]  # fmt: skip

# Making -----------------------------------------------------------------------------------------------------------


def _size(shape: Any) -> tuple[Any, ...]:
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    return tuple(n if isinstance(n, torch.SymInt) else int(n) for n in sizes)  # symbols stay, in an exported program


def asarray(a: Any, dtype: Any = None, *, copy: bool | None = None) -> torch.Tensor:
    result = as_tensor(a, dtype)
    return result.clone() if copy and result is a else result


def array(object: Any, dtype: Any = None, *, copy: bool = True) -> torch.Tensor:
    return asarray(object, dtype, copy=copy)


def zeros(shape: Any, dtype: Any = None) -> torch.Tensor:
    return torch.zeros(_size(shape), dtype=as_dtype(float if dtype is None else dtype), device=device())


def ones(shape: Any, dtype: Any = None) -> torch.Tensor:
    return torch.ones(_size(shape), dtype=as_dtype(float if dtype is None else dtype), device=device())


empty = zeros


def full(shape: Any, fill_value: Any, dtype: Any = None) -> torch.Tensor:
    return as_tensor(as_tensor(fill_value), dtype).expand(_size(shape)).clone()


def zeros_like(a: Any, dtype: Any = None) -> torch.Tensor:
    return torch.zeros_like(as_tensor(a), dtype=None if dtype is None else as_dtype(dtype))


def ones_like(a: Any, dtype: Any = None) -> torch.Tensor:
    return torch.ones_like(as_tensor(a), dtype=None if dtype is None else as_dtype(dtype))


def full_like(a: Any, fill_value: Any, dtype: Any = None) -> torch.Tensor:
    a = as_tensor(a)
    return as_tensor(fill_value, a.dtype if dtype is None else dtype).to(a.device).expand(a.shape).clone()


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> torch.Tensor:
    start, stop = (0, start) if stop is None else (start, stop)
    given: tuple[Any, ...] = (start, stop, 1 if step is None else step)
    start, stop, step = (v.item() if hasattr(v, "item") else v for v in given)
    if dtype is None:
        dtype = float if any(isinstance(v, float) for v in (start, stop, step)) else int
    kind = as_dtype(dtype)
    wide = torch.float64 if any(isinstance(v, float) for v in (start, stop, step)) else torch.int64
    return torch.arange(start, stop, step, dtype=wide, device=device()).to(kind)


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
    axis: int = 0,
) -> Any:  # fmt: skip
    start, stop = alike(as_tensor(start), as_tensor(stop))
    kind = start.dtype if start.is_floating_point() or start.is_complex() else as_dtype(float)
    start, stop = (v.to(kind) for v in (start, stop))
    parts = num - 1 if endpoint else num
    step = (stop - start) / parts if parts > 0 else torch.full_like(start, torch.nan)
    shape = torch.broadcast_shapes(start.shape, stop.shape)
    part = torch.arange(num, dtype=torch.float64, device=start.device) / (parts if parts > 0 else 1)
    part = part.to(kind).reshape(-1, *(1,) * len(shape))
    # Weighted from both ends, so that both are met exactly.
    values = (start * (1 - part) + stop * part).movedim(0, axis)
    values = values if dtype is None else _whole(values, dtype)
    return (values, step) if retstep else values


def _whole(values: torch.Tensor, dtype: Any) -> torch.Tensor:
    target = as_dtype(dtype)
    return (values if target.is_floating_point or target.is_complex else torch.floor(values)).to(target)


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: float = 10.0, dtype: Any = None, axis: int = 0
) -> torch.Tensor:
    values = base ** linspace(start, stop, num, endpoint, axis=axis)
    return values if dtype is None else values.to(as_dtype(dtype))


def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> torch.Tensor:
    start, stop = alike(as_tensor(start), as_tensor(stop))
    values = torch.sign(start) * torch.exp(
        linspace(torch.log(torch.abs(start)), torch.log(torch.abs(stop)), num, endpoint, axis=axis)
    )
    return values if dtype is None else values.to(as_dtype(dtype))


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> torch.Tensor:
    rows, columns = arange(N), arange(N if M is None else M)
    return (columns - rows[:, None] == k).to(as_dtype(float if dtype is None else dtype))


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> torch.Tensor:
    rows, columns = arange(N), arange(N if M is None else M)
    return (columns - rows[:, None] <= k).to(as_dtype(float if dtype is None else dtype))


def vander(x: Any, N: int | None = None, increasing: bool = False) -> torch.Tensor:
    x = as_tensor(x)
    powers = torch.arange(x.shape[0] if N is None else N, device=x.device, dtype=x.dtype)
    return x[:, None] ** (powers if increasing else powers.flip(0))


def meshgrid(*xi: Any, indexing: str = "xy") -> list[torch.Tensor]:
    return list(torch.meshgrid(*(as_tensor(x) for x in xi), indexing=indexing))


# Shapes -----------------------------------------------------------------------------------------------------------


def reshape(a: Any, shape: Any) -> torch.Tensor:
    return torch.reshape(as_tensor(a), _size(shape))


def ravel(a: Any) -> torch.Tensor:
    return as_tensor(a).reshape(-1)


def transpose(a: Any, axes: Sequence[int] | None = None) -> torch.Tensor:
    a = as_tensor(a)
    return a.permute(*(range(a.ndim)[::-1] if axes is None else axes))


def moveaxis(a: Any, source: Any, destination: Any) -> torch.Tensor:
    return torch.movedim(as_tensor(a), source, destination)


def swapaxes(a: Any, axis1: int, axis2: int) -> torch.Tensor:
    return torch.swapaxes(as_tensor(a), axis1, axis2)


def expand_dims(a: Any, axis: Any) -> torch.Tensor:
    a = as_tensor(a)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    for place in sorted(i % (a.ndim + len(axes)) for i in axes):
        a = a.unsqueeze(place)
    return a


def squeeze(a: Any, axis: Any = None) -> torch.Tensor:
    a = as_tensor(a)
    if axis is None:
        return a.squeeze()
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    if any(a.shape[i] != 1 for i in axes):
        raise ValueError(f"cannot squeeze axis {axis} of shape {tuple(a.shape)}: its size is not one.")
    return a.squeeze(tuple(axes))


def broadcast_to(array: Any, shape: Any) -> torch.Tensor:
    return torch.broadcast_to(as_tensor(array), _size(shape))


def broadcast_arrays(*args: Any) -> list[torch.Tensor]:
    return list(torch.broadcast_tensors(*(as_tensor(a) for a in args)))


# Joining and cutting ----------------------------------------------------------------------------------------------


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> torch.Tensor:
    parts = alike(*arrays)
    return torch.cat([p.flatten() for p in parts]) if axis is None else torch.cat(parts, axis)


def stack(arrays: Sequence[Any], axis: int = 0) -> torch.Tensor:
    return torch.stack(alike(*arrays), axis)


def hstack(tup: Sequence[Any]) -> torch.Tensor:
    return torch.hstack(alike(*tup))


def vstack(tup: Sequence[Any]) -> torch.Tensor:
    return torch.vstack(alike(*tup))


def dstack(tup: Sequence[Any]) -> torch.Tensor:
    return torch.dstack(alike(*tup))


def append(arr: Any, values: Any, axis: int | None = None) -> torch.Tensor:
    return concatenate([arr, values], axis)


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[torch.Tensor]:
    cuts = indices_or_sections
    if not isinstance(cuts, int):
        cuts = [int(i) for i in cuts]
    return list(torch.tensor_split(as_tensor(ary), cuts, axis))


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[torch.Tensor]:
    ary = as_tensor(ary)
    if isinstance(indices_or_sections, int) and ary.shape[axis] % indices_or_sections:
        raise ValueError(f"an axis of {ary.shape[axis]} is not cut into {indices_or_sections} equal parts.")
    return array_split(ary, indices_or_sections, axis)


def hsplit(ary: Any, indices_or_sections: Any) -> list[torch.Tensor]:
    return split(ary, indices_or_sections, 1 if as_tensor(ary).ndim > 1 else 0)


def vsplit(ary: Any, indices_or_sections: Any) -> list[torch.Tensor]:
    return split(ary, indices_or_sections, 0)


def dsplit(ary: Any, indices_or_sections: Any) -> list[torch.Tensor]:
    return split(ary, indices_or_sections, 2)


# Turning and repeating --------------------------------------------------------------------------------------------


def flip(m: Any, axis: Any = None) -> torch.Tensor:
    m = as_tensor(m)
    axes = range(m.ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    return torch.flip(m, tuple(axes))


def roll(a: Any, shift: Any, axis: Any = None) -> torch.Tensor:
    a = as_tensor(a)
    if isinstance(axis, (tuple, list)) and isinstance(shift, int):
        shift = (shift,) * len(axis)
    return torch.roll(a, shift, axis)


def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> torch.Tensor:
    return torch.rot90(as_tensor(m), k, tuple(axes))


def repeat(
    a: Any, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None
) -> torch.Tensor:  # fmt: skip
    a = as_tensor(a)
    if axis is None:
        a, axis = a.flatten(), 0
    if isinstance(repeats, int):
        result = torch.repeat_interleave(a, repeats, axis)
    elif isinstance(repeats, np.ndarray):  # known before any value is: the result's shape is too
        places = np.repeat(np.arange(a.shape[axis]), repeats)
        result = torch.index_select(a, axis, torch.from_numpy(places).to(a.device))
    else:
        result = torch.repeat_interleave(a, as_tensor(repeats).long().expand(a.shape[axis]), axis)
    if total_repeat_length is None:
        return result
    last = torch.arange(total_repeat_length, device=a.device).clamp(0, result.shape[axis] - 1)
    return torch.index_select(result, axis, last)


def tile(A: Any, reps: Any) -> torch.Tensor:
    return torch.tile(as_tensor(A), _size(reps))


def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> torch.Tensor:
    array = as_tensor(array)
    pairs = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    if mode == "constant":
        value = constant_values.item() if hasattr(constant_values, "item") else constant_values
        return torch.nn.functional.pad(array, [n for pair in reversed(pairs) for n in pair], value=value)
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            picked = np.pad(np.arange(array.shape[axis]), (before, after), mode)  # type: ignore[call-overload]
            array = torch.index_select(array, axis, torch.from_numpy(picked).to(array.device))
    return array


# Diagonals --------------------------------------------------------------------------------------------------------


def diag(v: Any, k: int = 0) -> torch.Tensor:
    return torch.diag(as_tensor(v), k)


def diagflat(v: Any, k: int = 0) -> torch.Tensor:
    return torch.diagflat(as_tensor(v), k)


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> torch.Tensor:
    return torch.diagonal(as_tensor(a), offset, axis1, axis2)


def tril(m: Any, k: int = 0) -> torch.Tensor:
    return torch.tril(as_tensor(m), k)


def triu(m: Any, k: int = 0) -> torch.Tensor:
    return torch.triu(as_tensor(m), k)
