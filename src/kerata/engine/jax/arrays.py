"""JAX arrays."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as numpy
import jax.scipy.special as special
import numpy as np
from jax.core import Tracer

from kerata import engine
from kerata.engine.jax.placing import Displaced, in_place
from kerata.engine.protocol import Array

__all__ = [
    "numpy", "special", "as_array", "filled", "to_numpy", "is_array", "is_traced", "place", "without_history", "cast",
    "set_at", "add_at", "reduce_at", "lu_factor", "row", "rows", "in_place", "dynamic_slice", "dynamic_set", "top_k",
]  # fmt: skip

_POLLS = 1000  # some 0.3 ms
_let_others_run = getattr(os, "sched_yield", lambda: time.sleep(0))
_NARROW = {"int64": "int32", "uint64": "uint32", "float64": "float32", "complex128": "complex64"}


def _dtype(dtype: str) -> str:
    """JAX counts in 32 bits unless told otherwise; asking for more would only print a warning."""
    return dtype if jax.config.jax_enable_x64 else _NARROW.get(str(dtype), dtype)  # type: ignore[attr-defined]


def as_array(x: Any, dtype: str | None = None) -> Array:
    if hasattr(x, "detach"):  # a PyTorch tensor
        x = engine.load("torch").arrays.to_numpy(x)
    named = None if dtype is None else numpy.dtype(_dtype(dtype))
    if isinstance(x, np.ndarray | np.generic) or (named is not None and isinstance(x, int | float)):
        return jax.device_put(np.array(x, named))  # of a copy, which may become the array's own memory
    return numpy.asarray(x, dtype=named)


def filled(shape: Sequence[int], value: float, dtype: str) -> Array:
    return jax.device_put(np.full(shape, value, numpy.dtype(_dtype(dtype))))


def to_numpy(x: Array) -> np.ndarray:
    # Who sleeps until a result is there takes 40 µs longer to wake than a small program takes to run.
    if (is_ready := getattr(x, "is_ready", None)) is not None:
        for _ in range(_POLLS):
            if is_ready():
                break
            _let_others_run()
    return np.asarray(x)


def is_array(x: Any) -> bool:
    return isinstance(x, jax.Array)


def is_traced(x: Any) -> bool:
    return isinstance(x, Tracer)


def place(x: Array, trainable: bool) -> None:
    return None  # an array is a value, which nobody can change


def without_history(x: Array) -> Array:
    return x


def cast(x: Array, dtype: str) -> Array:
    return numpy.asarray(x).astype(_dtype(dtype))


def set_at(x: Array, index: Any, values: Array) -> Array:
    return numpy.asarray(x).at[index].set(values)


def add_at(x: Array, index: Any, values: Array) -> Array:
    return numpy.asarray(x).at[index].add(values)


def row(x: Array, i: Any) -> Array:
    return jax.lax.dynamic_index_in_dim(x, i, keepdims=False)


def rows(x: Array | Displaced, index: Array) -> Array:
    return x.rows(index) if isinstance(x, Displaced) else x.at[index].get(mode="promise_in_bounds")


def dynamic_slice(x: Array, start: Sequence[Any], shape: Sequence[int]) -> Array:
    return jax.lax.dynamic_slice(x, start, shape)


def dynamic_set(x: Array, start: Sequence[Any], values: Array) -> Array:
    return jax.lax.dynamic_update_slice(x, values, start)


def top_k(x: Array, k: int) -> tuple[Array, Array]:
    values, indices = jax.lax.top_k(x, k)
    return values, indices


def reduce_at(x: Array, index: Any, values: Array, reduction: str) -> Array:
    return getattr(x.at[index], {"mul": "multiply"}.get(reduction, reduction))(values)


def lu_factor(x: Array) -> tuple[Array, Array]:
    return jax.scipy.linalg.lu_factor(x)
