"""NumPy's namespace as the ops use it: JAX's names, keywords and dtypes over NumPy's functions."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from kerata.engine.numpy.values import Value, apply, is_floating

__all__ = ["Namespace", "numpy"]

# Words to XLA's compiler, which say nothing about the result.
_HINTS = {
    "indices_are_sorted", "optimize", "out_sharding", "precision", "promote_integers", "symmetrize_input",
    "unique_indices",
}  # fmt: skip


class Namespace:
    """A module whose functions take and give arrays of this engine.

    Args:
        module: NumPy, or a module of functions on NumPy arrays.
        instead: functions on NumPy arrays that stand in for the module's own.
        asis: names that are handed on as they are.
    """

    def __init__(self, module: types.ModuleType, instead: Any = (), asis: Any = ()) -> None:
        self._module, self._instead, self._asis = module, dict(instead), dict(asis)

    def __getattr__(self, name: str) -> Any:
        if name in self._asis:
            found = self._asis[name]
        else:
            found = self._instead.get(name) or getattr(self._module, name)
            if isinstance(found, types.ModuleType):
                found = Namespace(found)
            elif callable(found) and not isinstance(found, type):
                found = _lifted(found)
        setattr(self, name, found)
        return found


def _lifted(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, preferred_element_type: Any = None, **kwargs: Any) -> Any:
        kwargs = {name: value for name, value in kwargs.items() if name not in _HINTS}
        if preferred_element_type is not None:
            args = tuple(a.astype(preferred_element_type) if isinstance(a, np.ndarray) else a for a in args)
        return apply(function, *args, **kwargs)

    return call


# Results of a size known before -----------------------------------------------------------------------------


def _sized(x: np.ndarray, size: int | None, fill: Any) -> np.ndarray:
    """Return the first `size` rows of `x`, filled up with `fill`."""
    if size is None:
        return x
    missing = np.full((max(size - len(x), 0), *x.shape[1:]), fill, x.dtype)
    return np.concatenate([x[:size], missing])


def _nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[np.ndarray, ...]:
    return tuple(_sized(index, size, fill_value or 0) for index in np.nonzero(a))


def _argwhere(a: Any, *, size: int | None = None, fill_value: Any = None) -> np.ndarray:
    return _sized(np.argwhere(a), size, fill_value or 0)


def _flatnonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> np.ndarray:
    return _sized(np.flatnonzero(a), size, fill_value or 0)


def _where(condition: Any, x: Any = None, y: Any = None, *, size: int | None = None, fill_value: Any = None) -> Any:
    if x is None and y is None:
        return apply(_nonzero, condition, size=size, fill_value=fill_value)
    return apply(np.where, condition, x, y)


def _unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    axis: int | None = None, *, equal_nan: bool = True, size: int | None = None, fill_value: Any = None,
    sorted: bool = True,
) -> Any:  # fmt: skip
    values, index, inverse, counts = np.unique(ar, True, True, True, axis, equal_nan=equal_nan)
    if size is not None:
        rows = np.moveaxis(values, axis or 0, 0)
        rows = _sized(rows, size, rows.min(axis=0) if fill_value is None and len(rows) else fill_value or 0)
        values = np.moveaxis(rows, 0, axis or 0)
        index, counts = _sized(index, size, index[0] if len(index) else 0), _sized(counts, size, 0)
    chosen = ((return_index, index), (return_inverse, inverse), (return_counts, counts))
    results = (values, *(result for wanted, result in chosen if wanted))
    return results if len(results) > 1 else values


def _bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> np.ndarray:
    counts = np.bincount(np.ravel(x), weights, max(minlength, length or 0))
    return counts if length is None else counts[:length]


def _repeat(a: Any, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None) -> np.ndarray:
    result = np.repeat(a, repeats, axis)
    if total_repeat_length is None:
        return result
    last = np.clip(np.arange(total_repeat_length), 0, result.shape[axis or 0] - 1)
    return np.take(result, last, axis or 0)


# Order and choice -------------------------------------------------------------------------------------------


def _argsort(a: Any, axis: int | None = -1, *, stable: bool = True, descending: bool = False) -> np.ndarray:
    a = np.asarray(a)
    if axis is None:
        a, axis = a.ravel(), 0
    if not descending:
        return np.argsort(a, axis, kind="stable")
    # Backwards twice, so that equal elements keep their order.
    return a.shape[axis] - 1 - np.flip(np.argsort(np.flip(a, axis), axis, kind="stable"), axis)


def _sort(a: Any, axis: int | None = -1, *, stable: bool = True, descending: bool = False) -> np.ndarray:
    a = np.asarray(a)
    if axis is None:
        a, axis = a.ravel(), 0
    result = np.sort(a, axis, kind="stable")
    return np.flip(result, axis) if descending else result


def _take(
    a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str | None = None, fill_value: Any = None
) -> np.ndarray:
    a, indices = np.asarray(a), np.asarray(indices)
    if axis is None:
        a = a.ravel()
    along = 0 if axis is None else axis % a.ndim
    if mode in ("clip", "wrap"):
        return np.take(a, indices, along, mode=mode)
    size = a.shape[along]
    inside = (-size <= indices) & (indices < size)
    picked = np.take(a, np.where(inside, indices, 0), along) if size else np.take(a, indices, along)
    inside = inside.reshape(*(1,) * along, *indices.shape, *(1,) * (a.ndim - along - 1))
    return picked if inside.all() else np.where(inside, picked, _outside(a.dtype, fill_value))


def _take_along_axis(
    arr: Any, indices: Any, axis: int | None = -1, mode: str | None = None, fill_value: Any = None
) -> np.ndarray:
    arr, indices = np.asarray(arr), np.asarray(indices)
    if axis is None:
        arr, axis = arr.ravel(), 0
    size = arr.shape[axis]
    if mode == "clip":
        return np.take_along_axis(arr, np.clip(indices, 0, size - 1), axis)
    inside = (-size <= indices) & (indices < size)
    picked = np.take_along_axis(arr, np.where(inside, indices, 0), axis)
    return picked if inside.all() else np.where(inside, picked, _outside(arr.dtype, fill_value))


def _outside(dtype: np.dtype, fill_value: Any) -> np.ndarray:
    """Return what JAX gives for an element that is not there: nan, the least int, the greatest uint."""
    if fill_value is None:
        if dtype.kind in "iu":
            fill_value = np.iinfo(dtype).max if dtype.kind == "u" else np.iinfo(dtype).min
        else:
            fill_value = dtype.kind == "b" or np.nan
    return np.asarray(fill_value, dtype)


def _searchsorted(a: Any, v: Any, side: Any = "left", sorter: Any = None, *, method: Any = None) -> Any:
    return np.searchsorted(a, v, side, sorter)


# Writing, which here gives a new array ----------------------------------------------------------------------


def _put_along_axis(
    arr: Any, indices: Any, values: Any, axis: int | None, inplace: bool = False, mode: Any = None
) -> np.ndarray:
    arr = np.array(arr)
    np.put_along_axis(arr, indices, values, axis)
    return arr


def _fill_diagonal(a: Any, val: Any, wrap: bool = False, *, inplace: bool = False) -> np.ndarray:
    a = np.array(a)
    np.fill_diagonal(a, val, wrap)
    return a


# Matrices ---------------------------------------------------------------------------------------------------------


def _symmetric(a: Any) -> np.ndarray:
    """Return the symmetric part, all of the matrix being read, as in JAX; NumPy would read its lower half."""
    a = np.asarray(a)
    return (a + np.conj(np.swapaxes(a, -1, -2))) / 2


def _complex(x: Any) -> np.ndarray:
    return x.astype(np.result_type(x.dtype, np.complex64))


_LINALG = {
    "cholesky": lambda a, *, upper=False: np.linalg.cholesky(_symmetric(a), upper=upper),
    "eig": lambda a: tuple(map(_complex, np.linalg.eig(a))),
    "eigh": lambda a, UPLO=None: np.linalg.eigh(_symmetric(a)),
    "eigvals": lambda a: _complex(np.linalg.eigvals(a)),
    "eigvalsh": lambda a, UPLO=None: np.linalg.eigvalsh(_symmetric(a)),
}


# Dtypes -----------------------------------------------------------------------------------------------------


def _issubdtype(arg1: Any, arg2: Any) -> bool:
    if arg2 in (np.floating, np.inexact, np.number) and not isinstance(arg1, str) and is_floating(arg1):
        return True
    return np.issubdtype(np.dtype(arg1) if isinstance(arg1, str) else arg1, arg2)


def _asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: bool | None = None, device: Any = None) -> Value:
    from kerata.engine.numpy.arrays import as_array

    return as_array(a, dtype)


def _zero_d(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: np.asarray(function(*args, **kwargs))


numpy: Any = Namespace(
    np,
    instead={
        "allclose": _zero_d(np.allclose), "argsort": _argsort, "argwhere": _argwhere,
        "array_equal": _zero_d(np.array_equal), "array_equiv": _zero_d(np.array_equiv), "bincount": _bincount,
        "fill_diagonal": _fill_diagonal, "flatnonzero": _flatnonzero, "nonzero": _nonzero,
        "put_along_axis": _put_along_axis, "repeat": _repeat, "sort": _sort, "take": _take,
        "take_along_axis": _take_along_axis, "unique": _unique,
        "digitize": lambda x, bins, right=False, *, method=None: np.digitize(x, bins, right),
        "isin": lambda element, test_elements, assume_unique=False, invert=False, *, method="auto":
            np.isin(element, test_elements, assume_unique, invert),
        "conjugate": lambda x: np.conjugate(x) if np.iscomplexobj(x) else np.asarray(x), "searchsorted": _searchsorted,
    },
    asis={
        "array": _asarray, "asarray": _asarray, "finfo": ml_dtypes.finfo, "iinfo": ml_dtypes.iinfo,
        "issubdtype": _issubdtype, "linalg": Namespace(np.linalg, _LINALG), "ndarray": Value, "where": _where,
        **{name: getattr(ml_dtypes, name) for name in ml_dtypes.__all__ if name not in ("finfo", "iinfo")},
    },
)  # fmt: skip
