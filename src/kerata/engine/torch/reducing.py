"""NumPy's sums, means, extremes and orders along axes, over tensors."""

from __future__ import annotations

import math
from typing import Any

import torch

from kerata.engine.torch.elementwise import alike, isclose
from kerata.engine.torch.tensors import as_dtype, as_tensor

__all__ = [
    "all", "allclose", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumprod", "cumsum",
    "max", "mean", "median", "min", "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean",
    "nanmedian", "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar", "percentile",
    "prod", "quantile", "std", "sum", "trapezoid", "var",
]  # fmt: skip

# What sums of small integers are kept in.
_WIDE = {torch.bool: torch.int32, torch.int8: torch.int32, torch.int16: torch.int32, torch.uint8: torch.uint32,
         torch.uint16: torch.uint32}  # fmt: skip
_HALVES = (torch.float16, torch.bfloat16)


def _axes(x: torch.Tensor, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(a % x.ndim for a in axis) if isinstance(axis, (tuple, list)) else (int(axis) % (x.ndim or 1),)


def _merged(x: torch.Tensor, axis: Any) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Return `x` with `axis` joined into one last axis, and the shape that keeps axes of length one."""
    axes = _axes(x, axis)
    kept = [a for a in range(x.ndim) if a not in axes]
    shape = tuple(1 if a in axes else size for a, size in enumerate(x.shape))
    sizes = (*(x.shape[a] for a in kept), math.prod(x.shape[a] for a in axes))
    return x.permute((*kept, *axes)).reshape(sizes), shape


def _float(x: torch.Tensor) -> torch.Tensor:
    return x if x.is_floating_point() or x.is_complex() else x.to(as_dtype(float))


def _sum_dtype(x: torch.Tensor, dtype: Any) -> torch.dtype:
    return _WIDE.get(x.dtype, x.dtype) if dtype is None else as_dtype(dtype)


def all(a: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    rows, shape = _merged(as_tensor(a) != 0, axis)
    result = torch.all(rows, -1)
    return result.reshape(shape) if keepdims else result


def any(a: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    rows, shape = _merged(as_tensor(a) != 0, axis)
    result = torch.any(rows, -1)
    return result.reshape(shape) if keepdims else result


def sum(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> torch.Tensor:
    a = as_tensor(a)
    axes, target = _axes(a, axis), _sum_dtype(a, dtype)
    if not axes:  # for PyTorch no axes are all axes
        return a.to(target)
    if target.is_floating_point or target.is_complex:
        return torch.sum(a, axes, keepdim=keepdims, dtype=target)
    return torch.sum(a, axes, keepdim=keepdims).to(target)


def prod(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> torch.Tensor:
    a = as_tensor(a)
    rows, shape = _merged(a.to(_sum_dtype(a, dtype)), axis)
    result = torch.prod(rows, -1).to(rows.dtype)
    return result.reshape(shape) if keepdims else result


def mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> torch.Tensor:
    a = _float(as_tensor(a, dtype))
    axes = _axes(a, axis)
    return torch.mean(a, axes, keepdim=keepdims) if axes else a


def var(a: Any, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False) -> torch.Tensor:
    a = _float(as_tensor(a, dtype))
    wide = a.to(torch.float32) if a.dtype in _HALVES else a
    axes = _axes(a, axis)
    count = math.prod(a.shape[i] for i in axes)
    distance = torch.abs(wide - mean(wide, axes, keepdims=True)) ** 2
    result = sum(distance, axes, keepdims=keepdims) / (count - ddof)
    return result if a.is_complex() else result.to(a.dtype)


def std(a: Any, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False) -> torch.Tensor:
    return torch.sqrt(var(a, axis, dtype, ddof, keepdims))


def average(a: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> torch.Tensor:
    if weights is None:
        return mean(a, axis, keepdims=keepdims)
    a, weights = (_float(t) for t in alike(a, weights))
    if weights.ndim < a.ndim:
        (along,) = _axes(a, axis)
        weights = weights.reshape([-1 if i == along else 1 for i in range(a.ndim)]).expand(a.shape)
    return sum(a * weights, axis, keepdims=keepdims) / sum(weights, axis, keepdims=keepdims)


def count_nonzero(a: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    return sum(as_tensor(a) != 0, axis, keepdims=keepdims)


def max(a: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> torch.Tensor:
    a = as_tensor(a)
    axes = _axes(a, axis)
    if initial is not None and 0 in a.shape:  # the largest of nothing but `initial`
        return sum(torch.zeros_like(a), axes, keepdims=keepdims) + initial
    result = torch.amax(a, axes, keepdim=keepdims) if axes else a
    return result if initial is None else torch.maximum(result, torch.full_like(result, initial))


def min(a: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> torch.Tensor:
    a = as_tensor(a)
    axes = _axes(a, axis)
    if initial is not None and 0 in a.shape:
        return sum(torch.zeros_like(a), axes, keepdims=keepdims) + initial
    result = torch.amin(a, axes, keepdim=keepdims) if axes else a
    return result if initial is None else torch.minimum(result, torch.full_like(result, initial))


amax, amin = max, min


def argmax(a: Any, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    a = as_tensor(a)
    rows, shape = _merged(a.to(torch.uint8) if a.dtype == torch.bool else a, axis)
    result = torch.argmax(rows, -1).to(torch.int32)
    return result.reshape(shape) if keepdims else result


def argmin(a: Any, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    a = as_tensor(a)
    rows, shape = _merged(a.to(torch.uint8) if a.dtype == torch.bool else a, axis)
    result = torch.argmin(rows, -1).to(torch.int32)
    return result.reshape(shape) if keepdims else result


def cumsum(a: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    a = as_tensor(a)
    a = a.flatten() if axis is None else a
    return torch.cumsum(a, axis or 0).to(_sum_dtype(a, dtype))


def cumprod(a: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    a = as_tensor(a)
    a = a.flatten() if axis is None else a
    return torch.cumprod(a, axis or 0).to(_sum_dtype(a, dtype))


def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> torch.Tensor:
    y = _float(as_tensor(y))
    return torch.trapezoid(y, dx=dx, dim=axis) if x is None else torch.trapezoid(y, as_tensor(x, y.dtype), dim=axis)


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> torch.Tensor:
    return torch.all(isclose(a, b, rtol, atol, equal_nan))


# Quantiles --------------------------------------------------------------------------------------------------------


def _quantile(a: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool) -> torch.Tensor:
    a = _float(as_tensor(a))
    rows, shape = _merged(a, axis)
    if rows.shape[-1] == 0:  # a quantile of nothing is nan, as that of nothing but nan
        rows = torch.full((*rows.shape[:-1], 1), torch.nan, dtype=a.dtype, device=a.device)
    ordered = torch.sort(rows, dim=-1).values  # nan comes last
    q = as_tensor(q, a.dtype)
    missing = torch.sum(torch.isnan(rows), -1)
    count = rows.shape[-1] - (missing if skip_nan else torch.zeros_like(missing))
    place = q.reshape(-1, *(1,) * count.ndim) * (count - 1).clamp(min=0).to(a.dtype)
    low, high = torch.floor(place), torch.ceil(place)
    below, above = (
        torch.take_along_dim(ordered, p.movedim(0, -1).long(), -1) for p in (low, high)
    )
    part = (place - low).movedim(0, -1)
    if method == "linear":
        found = below + (above - below) * part
    elif method in ("lower", "higher"):
        found = below if method == "lower" else above
    elif method == "midpoint":
        found = (below + above) / 2
    else:  # nearest: half way, to the even place
        even = (low % 2 == 0).movedim(0, -1).reshape(below.shape)
        found = torch.where((part < 0.5) | ((part == 0.5) & even), below, above)
    unknown = missing == rows.shape[-1] if skip_nan else missing > 0
    found = torch.where(unknown[..., None], torch.nan, found).movedim(-1, 0)
    return found.reshape((*q.shape, *(shape if keepdims else found.shape[1:])))


def quantile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> torch.Tensor:  # fmt: skip
    return _quantile(a, q, axis, method, keepdims, False)


def nanquantile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> torch.Tensor:  # fmt: skip
    return _quantile(a, q, axis, method, keepdims, True)


def percentile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> torch.Tensor:  # fmt: skip
    return _quantile(a, as_tensor(q) / 100, axis, method, keepdims, False)


def nanpercentile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False
) -> torch.Tensor:  # fmt: skip
    return _quantile(a, as_tensor(q) / 100, axis, method, keepdims, True)


def median(a: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    return _quantile(a, 0.5, axis, "linear", keepdims, False)


def nanmedian(a: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    return _quantile(a, 0.5, axis, "linear", keepdims, True)


# Without nan ------------------------------------------------------------------------------------------------------


def _filled(a: Any, value: float) -> torch.Tensor:
    a = as_tensor(a)
    return torch.where(torch.isnan(a), value, a) if a.is_floating_point() else a


def nansum(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> torch.Tensor:
    return sum(_filled(a, 0), axis, dtype, keepdims)


def nanprod(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> torch.Tensor:
    return prod(_filled(a, 1), axis, dtype, keepdims)


def nancumsum(a: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    return cumsum(_filled(a, 0), axis, dtype)


def nancumprod(a: Any, axis: int | None = None, dtype: Any = None) -> torch.Tensor:
    return cumprod(_filled(a, 1), axis, dtype)


def nanmean(a: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    a = _float(as_tensor(a))
    return nansum(a, axis, keepdims=keepdims) / sum(~torch.isnan(a), axis, keepdims=keepdims)


def nanvar(a: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    a = _float(as_tensor(a))
    known = ~torch.isnan(a)
    squares = torch.where(known, (a - nanmean(a, axis, True)) ** 2, 0)
    return sum(squares, axis, keepdims=keepdims) / sum(known, axis, keepdims=keepdims)


def nanstd(a: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    return torch.sqrt(nanvar(a, axis, keepdims))


def _nan_extreme(a: Any, extreme: Any, empty: float, axis: Any, keepdims: bool) -> torch.Tensor:
    a = as_tensor(a)
    result = extreme(_filled(a, empty), axis, keepdims)
    return torch.where(all(torch.isnan(a), axis, keepdims), torch.nan, result) if a.is_floating_point() else result


def nanmax(a: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    return _nan_extreme(a, max, -torch.inf, axis, keepdims)


def nanmin(a: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    return _nan_extreme(a, min, torch.inf, axis, keepdims)


def nanargmax(a: Any, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    found = argmax(_filled(a, -torch.inf), axis, keepdims)
    return torch.where(all(torch.isnan(as_tensor(a)), axis, keepdims), -1, found)


def nanargmin(a: Any, axis: int | None = None, keepdims: bool = False) -> torch.Tensor:
    found = argmin(_filled(a, torch.inf), axis, keepdims)
    return torch.where(all(torch.isnan(as_tensor(a)), axis, keepdims), -1, found)
