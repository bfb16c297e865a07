"""Ops that take many values to one: sums, means, extremes, quantiles, counts."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, TypeAlias

from kerata.core import dtypes
from kerata.core.op import Array, FloatArray, FloatOperand, op
from kerata.engine import arrays, xp

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "average", "bincount", "corrcoef", "count_nonzero", "cumprod",
    "cumsum", "histogram", "logsumexp", "max", "mean", "median", "min", "moments", "nanargmax", "nanargmin",
    "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod", "nanquantile",
    "nanstd", "nansum", "nanvar", "percentile", "prod", "ptp", "quantile", "std", "sum", "trapezoid", "var",
]  # fmt: skip

Axis: TypeAlias = int | Sequence[int] | None


def _axis(axis: Axis) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _wide(x: Any) -> Any:
    """Return small integers as int32, as sums of them need."""
    return arrays.cast(x, "int32") if dtypes.dtype_of(x) in ("bool", "int8", "int16") else x


@op
def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return whether everything along `axis` is true (not zero)."""
    return xp.all(x, axis=_axis(axis), keepdims=keepdims)


@op
def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return whether anything along `axis` is true (not zero)."""
    return xp.any(x, axis=_axis(axis), keepdims=keepdims)


@op
def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the sum along `axis`; small integers are summed as int32."""
    return xp.sum(_wide(x), axis=_axis(axis), keepdims=keepdims)


@op
def prod(x: Array, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> Array:
    """Return the product along `axis`."""
    return xp.prod(_wide(x), axis=_axis(axis), keepdims=keepdims, dtype=dtype)


@op
def mean(x: FloatArray, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the mean along `axis`."""
    return xp.mean(x, axis=_axis(axis), keepdims=keepdims)


@op
def var(x: FloatArray, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the variance along `axis`, the mean of (x - mean)²."""
    return xp.var(x, axis=_axis(axis), keepdims=keepdims)


@op
def std(x: FloatArray, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the standard deviation along `axis`, the root of `var`."""
    return xp.std(x, axis=_axis(axis), keepdims=keepdims)


@op
def max(x: Array, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Array:
    """Return the largest value along `axis`, and `initial` if that is larger."""
    return xp.max(x, axis=_axis(axis), keepdims=keepdims, **({} if initial is None else {"initial": initial}))


@op
def min(x: Array, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Array:
    """Return the smallest value along `axis`, and `initial` if that is smaller."""
    return xp.min(x, axis=_axis(axis), keepdims=keepdims, **({} if initial is None else {"initial": initial}))


def amax(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the largest value along `axis`."""
    return max(x, axis, keepdims)


def amin(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the smallest value along `axis`."""
    return min(x, axis, keepdims)


@op
def ptp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the largest value less the smallest."""
    return xp.max(x, axis=_axis(axis), keepdims=keepdims) - xp.min(x, axis=_axis(axis), keepdims=keepdims)


@op
def argmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return where the largest value is (the first of equals), int32."""
    return arrays.cast(xp.argmax(x, axis=axis, keepdims=keepdims), "int32")


@op
def argmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return where the smallest value is (the first of equals), int32."""
    return arrays.cast(xp.argmin(x, axis=axis, keepdims=keepdims), "int32")


@op
def count_nonzero(x: Array, axis: Axis = None) -> Array:
    """Return how many values are not zero, int32."""
    return arrays.cast(xp.count_nonzero(x, axis=_axis(axis)), "int32")


@op
def average(x: FloatOperand, axis: Axis = None, weights: FloatOperand = None) -> Array:
    """Return the mean weighted by `weights`."""
    return xp.average(x, axis=_axis(axis), weights=weights)


@op
def median(x: FloatArray, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the middle value, or the mean of the two middle ones."""
    return xp.median(x, axis=_axis(axis), keepdims=keepdims)


@op
def quantile(x: FloatArray, q: FloatArray, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Array:
    """Return the values below which the fractions `q` (0 to 1) of all lie."""
    return arrays.cast(xp.quantile(x, q, axis=_axis(axis), method=method, keepdims=keepdims), dtypes.dtype_of(x))


@op
def percentile(
    x: FloatArray, q: FloatArray, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Array:
    """Return the values below which `q` per cent of all lie."""
    return arrays.cast(xp.percentile(x, q, axis=_axis(axis), method=method, keepdims=keepdims), dtypes.dtype_of(x))


def _running(x: Any, dtype: Any) -> str:
    """Return the dtype asked for, or that of x: what runs on stays as narrow as it is; bools are counted in int32."""
    dtype = dtypes.standardize(x.dtype if dtype is None else dtype)
    return "int32" if dtype == "bool" else dtype


@op
def cumsum(x: Array, axis: int | None = None, dtype: Any = None) -> Array:
    """Return the running sum."""
    return xp.cumsum(x, axis=axis, dtype=_running(x, dtype))


@op
def cumprod(x: Array, axis: int | None = None, dtype: Any = None) -> Array:
    """Return the running product."""
    return xp.cumprod(x, axis=axis, dtype=_running(x, dtype))


@op
def logsumexp(x: FloatArray, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return log(sum(exp(x))) without overflow."""
    return arrays.special.logsumexp(x, axis=_axis(axis), keepdims=keepdims)


@op
def moments(x: FloatArray, axes: Axis, keepdims: bool = False, synchronized: bool = False) -> tuple[Array, Array]:
    """Return the mean and the variance along `axes`; halves are summed in float32."""
    wide = arrays.cast(x, "float32") if dtypes.dtype_of(x) in ("float16", "bfloat16") else x
    mean = xp.mean(wide, axis=_axis(axes), keepdims=True)
    variance = xp.mean(xp.square(wide - mean), axis=_axis(axes), keepdims=keepdims)
    mean = mean if keepdims else xp.squeeze(mean, _axis(axes))
    low, high = dtypes.limits(x.dtype)
    if wide is not x:
        mean, variance = (arrays.cast(xp.clip(y, low, high), dtypes.dtype_of(x)) for y in (mean, variance))
    return mean, variance


@op
def bincount(x: Array, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Array:
    """Return how often each number from 0 up occurs, or the sum of its weights; along the last axis of a batch.

    Args:
        x: integers (n,) or (B, n).
        minlength: how many bins there are at least. Inside a compiled function it is the number of bins.
    """
    length = minlength
    if not arrays.is_traced(x) and 0 not in x.shape:
        length = builtins.max(minlength, int(xp.max(x)) + 1)
    hits = xp.expand_dims(x, -1) == xp.arange(length)
    if weights is None:
        return xp.sum(arrays.cast(hits, "int32"), axis=-2)
    return xp.sum(xp.where(hits, xp.expand_dims(arrays.as_array(weights), -1), 0), axis=-2)


@op
def histogram(x: FloatArray, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[Array, Array]:
    """Return how many values fall in each of `bins` equal bins, and the bins' edges, both as floats."""
    if range is None and 0 in x.shape:
        range = (0.0, 1.0)
    counts, edges = xp.histogram(x, bins=bins, range=range)
    return arrays.cast(counts, dtypes.dtype_of(x)), edges


@op
def corrcoef(x: FloatArray) -> Array:
    """Return the correlations between the rows of x (variables, observations)."""
    return xp.corrcoef(x)


@op
def trapezoid(y: FloatArray, x: Any = None, dx: float = 1.0, axis: int = -1) -> Array:
    """Return the integral of y by the trapezoidal rule."""
    return xp.trapezoid(y, x=None if x is None else arrays.as_array(x), dx=dx, axis=axis)


@op
def nansum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the sum of what is not NaN."""
    return xp.nansum(x, axis=_axis(axis), keepdims=keepdims)


@op
def nanprod(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the product of what is not NaN."""
    return xp.nanprod(x, axis=_axis(axis), keepdims=keepdims)


@op
def nanmean(x: FloatArray, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the mean of what is not NaN."""
    return xp.nanmean(x, axis=_axis(axis), keepdims=keepdims)


@op
def nanvar(x: FloatArray, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the variance of what is not NaN."""
    return xp.nanvar(x, axis=_axis(axis), keepdims=keepdims)


@op
def nanstd(x: FloatArray, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the standard deviation of what is not NaN."""
    return xp.nanstd(x, axis=_axis(axis), keepdims=keepdims)


@op
def nanmax(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the largest value of what is not NaN."""
    return xp.nanmax(x, axis=_axis(axis), keepdims=keepdims)


@op
def nanmin(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the smallest value of what is not NaN."""
    return xp.nanmin(x, axis=_axis(axis), keepdims=keepdims)


@op
def nanmedian(x: FloatArray, axis: Axis = None, keepdims: bool = False) -> Array:
    """Return the median of what is not NaN."""
    return xp.nanmedian(x, axis=_axis(axis), keepdims=keepdims)


@op
def nanargmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return where the largest value that is not NaN is, int32; -1 where all are NaN."""
    return arrays.cast(xp.nanargmax(x, axis=axis, keepdims=keepdims), "int32")


@op
def nanargmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return where the smallest value that is not NaN is, int32; -1 where all are NaN."""
    return arrays.cast(xp.nanargmin(x, axis=axis, keepdims=keepdims), "int32")


@op
def nancumsum(x: Array, axis: int | None = None, dtype: Any = None) -> Array:
    """Return the running sum of what is not NaN."""
    return xp.nancumsum(x, axis=axis, dtype=_running(x, dtype))


@op
def nancumprod(x: Array, axis: int | None = None, dtype: Any = None) -> Array:
    """Return the running product of what is not NaN."""
    return xp.nancumprod(x, axis=axis, dtype=_running(x, dtype))


@op
def nanquantile(
    x: FloatArray, q: FloatArray, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Array:
    """Return the values below which the fractions `q` (0 to 1) of all that is not NaN lie."""
    return arrays.cast(xp.nanquantile(x, q, axis=_axis(axis), method=method, keepdims=keepdims), dtypes.dtype_of(x))


@op
def nanpercentile(
    x: FloatArray, q: FloatArray, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Array:
    """Return the values below which `q` per cent of all that is not NaN lie."""
    return arrays.cast(xp.nanpercentile(x, q, axis=_axis(axis), method=method, keepdims=keepdims), dtypes.dtype_of(x))
