"""Ops that make arrays from numbers and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import config
from kerata.core import dtypes
from kerata.core.op import Array, FloatOperand, convert, op
from kerata.core.symbolic import KerasTensor
from kerata.engine import arrays, xp

__all__ = [
    "arange", "array", "bartlett", "blackman", "convert_to_tensor", "empty", "empty_like", "eye", "full", "full_like",
    "geomspace", "hamming", "hanning", "identity", "kaiser", "linspace", "logspace", "ones", "ones_like", "tri",
    "vander", "zeros", "zeros_like",
]  # fmt: skip


def convert_to_tensor(x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None) -> Any:
    """Return `x` (a number, list, NumPy array, tensor or Variable) as a tensor of the engine, of `dtype` if given.

    Example:
        >>> kerata.ops.convert_to_tensor([1, 2], "float32").dtype.name
        'float32'
    """
    if dtype is not None:
        dtype = dtypes.standardize(dtype)
    if not isinstance(x, KerasTensor):
        x = convert(x)
    if dtype is None or x.dtype == dtype:
        return x
    from kerata.ops.elementwise import cast

    return cast(x, dtype)


def array(x: Any, dtype: Any = None) -> Any:
    """Return `x` as a tensor."""
    return convert_to_tensor(x, dtype)


def zeros(shape: Sequence[int], dtype: Any = None) -> Any:
    """Return zeros of a shape."""
    return xp.zeros(shape, dtypes.standardize(dtype))


def ones(shape: Sequence[int], dtype: Any = None) -> Any:
    """Return ones of a shape."""
    return xp.ones(shape, dtypes.standardize(dtype))


def empty(shape: Sequence[int], dtype: Any = None) -> Any:
    """Return an array of a shape with no promise of its values (they are zeros)."""
    return xp.zeros(shape, dtypes.standardize(dtype))


@op
def full(shape: Sequence[int], fill_value: Array, dtype: Any = None) -> Array:
    """Return an array of a shape, every value `fill_value`; of the default float dtype unless told."""
    return xp.full(shape, fill_value, dtypes.standardize(dtype))


@op
def zeros_like(x: Array, dtype: Any = None) -> Array:
    """Return zeros of the shape and dtype of x."""
    return xp.zeros_like(x, dtype=dtype)


@op
def ones_like(x: Array, dtype: Any = None) -> Array:
    """Return ones of the shape and dtype of x."""
    return xp.ones_like(x, dtype=dtype)


@op
def empty_like(x: Array, dtype: Any = None) -> Array:
    """Return an array like x with no promise of its values."""
    return xp.zeros_like(x, dtype=dtype)


@op
def full_like(x: Array, fill_value: Array, dtype: Any = None) -> Array:
    """Return an array of the shape and dtype of x, every value `fill_value`."""
    return xp.full_like(x, fill_value, dtype=x.dtype if dtype is None else dtype)


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """Return start, start + step, … up to but without stop; from 0 when only one bound is given."""
    bounds = [v for v in (start, stop, step) if v is not None]
    if dtype is None:
        dtype = dtypes.result_type(*(dtypes.dtype_of(v) for v in bounds))
    start, stop = (0, start) if stop is None else (start, stop)
    return xp.arange(start, stop, 1 if step is None else step, dtype=dtypes.standardize(dtype))


@op
def linspace(
    start: FloatOperand,
    stop: FloatOperand,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Array:
    """Return `num` evenly spaced values from start to stop."""
    dtype = dtypes.standardize(start.dtype if dtype is None else dtype)
    return xp.linspace(start, stop, num, endpoint=endpoint, retstep=retstep, dtype=dtype, axis=axis)


@op
def logspace(
    start: FloatOperand,
    stop: FloatOperand,
    num: int = 50,
    endpoint: bool = True,
    base: float = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Array:
    """Return `num` values from base**start to base**stop, evenly spaced in their logarithm."""
    dtype = dtypes.standardize(start.dtype if dtype is None else dtype)
    return xp.logspace(start, stop, num, endpoint=endpoint, base=base, dtype=dtype, axis=axis)


@op
def geomspace(
    start: FloatOperand, stop: FloatOperand, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Array:
    """Return `num` values from start to stop, each a constant multiple of the one before."""
    dtype = dtypes.standardize(start.dtype if dtype is None else dtype)
    return xp.geomspace(start, stop, num, endpoint=endpoint, dtype=dtype, axis=axis)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Return a matrix (N, M) with ones on the k-th diagonal and zeros elsewhere."""
    return xp.eye(N, M, k, dtype=dtypes.standardize(dtype))


def identity(n: int, dtype: Any = None) -> Any:
    """Return the identity matrix (n, n)."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Return a matrix (N, M) with ones on and below the k-th diagonal."""
    return xp.tri(N, M, k, dtype=dtypes.standardize(dtype))


@op
def vander(x: Array, N: int | None = None, increasing: bool = False) -> Array:
    """Return the matrix whose columns are powers of x."""
    return arrays.cast(xp.vander(x, N=N, increasing=increasing), dtypes.dtype_of(x))


def _window(name: str, x: Any, *args: Any) -> Any:
    return arrays.as_array(getattr(xp, name)(int(x), *args), config.floatx())


def bartlett(x: Any) -> Any:
    """Return the triangular window of x points."""
    return _window("bartlett", x)


def blackman(x: Any) -> Any:
    """Return the Blackman window of x points."""
    return _window("blackman", x)


def hamming(x: Any) -> Any:
    """Return the Hamming window of x points."""
    return _window("hamming", x)


def hanning(x: Any) -> Any:
    """Return the Hann window of x points."""
    return _window("hanning", x)


def kaiser(x: Any, beta: float) -> Any:
    """Return the Kaiser window of x points."""
    return _window("kaiser", x, float(beta))
