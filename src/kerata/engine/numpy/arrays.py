"""NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
import scipy.special

from kerata import engine, tree
from kerata.engine.numpy.namespace import Namespace, numpy
from kerata.engine.numpy.values import Placeholder, Value, as_dtype, narrowed, no_tensor, on_arrays, value_of
from kerata.engine.protocol import Array

__all__ = [
    "numpy", "special", "as_array", "filled", "to_numpy", "is_array", "is_traced", "place", "without_history", "cast",
    "set_at", "add_at", "reduce_at", "lu_factor", "row", "rows", "in_place", "dynamic_slice", "dynamic_set", "top_k",
]  # fmt: skip

special: Any = Namespace(scipy.special)


def as_array(x: Any, dtype: str | None = None) -> Array:
    if isinstance(x, Value):
        return x if dtype is None else x.astype(dtype)
    if hasattr(x, "detach"):  # a PyTorch tensor
        x = engine.load("torch").arrays.to_numpy(x)
    kind = Placeholder if any(isinstance(leaf, Placeholder) for leaf in tree.flatten(x)) else Value
    array = np.array(x, None if dtype is None else as_dtype(dtype))  # a copy: nobody else can change it
    if array.dtype.kind in "OSU":
        raise no_tensor(x)
    return value_of(narrowed(array) if dtype is None else array, kind)


def filled(shape: Sequence[int], value: float, dtype: str) -> Array:
    return numpy.full(shape, value, dtype)


def to_numpy(x: Array) -> np.ndarray:
    return np.asarray(x)


def is_array(x: Any) -> bool:
    return isinstance(x, Value)


def is_traced(x: Any) -> bool:
    return isinstance(x, Placeholder)


def place(x: Array, trainable: bool) -> None:
    return None  # an array is a value, which nobody can change


def without_history(x: Array) -> Array:
    return x


def cast(x: Array, dtype: str) -> Array:
    return as_array(x).astype(dtype)


@on_arrays
def set_at(x: Array, index: Any, values: Array) -> Array:
    y = np.array(x)
    y[index] = values
    return y


@on_arrays
def add_at(x: Array, index: Any, values: Array) -> Array:
    y = np.array(x)
    np.add.at(y, index, np.asarray(values).astype(y.dtype))
    return y


@on_arrays
def reduce_at(x: Array, index: Any, values: Array, reduction: str) -> Array:
    y = np.array(x)
    join = {"max": np.maximum, "min": np.minimum, "mul": np.multiply}[reduction]
    join.at(y, index, np.asarray(values).astype(y.dtype))
    return y


@on_arrays
def lu_factor(x: Array) -> tuple[Array, Array]:
    lu, pivots = np.empty_like(x), np.empty(x.shape[:-1], np.int32)
    for place in np.ndindex(*x.shape[:-2]):
        lu[place], pivots[place] = scipy.linalg.lu_factor(x[place])
    return lu, pivots


def row(x: Array, i: Any) -> Array:
    return x[i]


def rows(x: Array, index: Array) -> Array:
    return x[index]


def in_place(x: np.ndarray, most: int) -> Any:
    return x


@on_arrays
def dynamic_slice(x: Array, start: Sequence[Any], shape: Sequence[int]) -> Array:
    return x[_block(x, start, shape)]


@on_arrays
def dynamic_set(x: Array, start: Sequence[Any], values: Array) -> Array:
    y = np.array(x)
    y[_block(y, start, values.shape)] = values
    return y


def _block(x: np.ndarray, start: Sequence[Any], shape: Sequence[int]) -> tuple[slice, ...]:
    """Return the slices of a block of `shape`, moved where needed to lie inside `x`."""
    firsts = [int(np.clip(first, 0, whole - part)) for first, whole, part in zip(start, x.shape, shape)]
    return tuple(slice(first, first + part) for first, part in zip(firsts, shape))


def top_k(x: Array, k: int) -> tuple[Array, Array]:
    indices = numpy.argsort(x, descending=True)[..., :k]
    return numpy.take_along_axis(x, indices, -1), indices
