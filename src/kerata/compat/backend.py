"""What `keras.backend` offers and no other module has: sessions, and old functions with other defaults.

The table in `names.py` says where the rest of `keras.backend` comes from.
"""

from __future__ import annotations

import math
from typing import Any

from kerata import config, ops
from kerata.compat.names import KERAS_VERSION
from kerata.core import dtypes, scopes
from kerata.core.variable import Variable


def version() -> str:
    """Return `keras.__version__`: the interface spoken, and whose it is."""
    return KERAS_VERSION


def clear_session(free_memory: bool = True) -> None:
    """Let automatic names count from the beginning again; models in use stay whole."""
    scopes.reset_names()


def get_uid(prefix: str = "") -> int:
    """Return 1, 2, 3 … for successive calls with the same `prefix`."""
    return scopes.uid(prefix)


# Old functions ----------------------------------------------------------------------------------------------


def argmax(x: Any, axis: int = -1) -> Any:
    """Return the places of the largest values along `axis`."""
    return ops.argmax(x, axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """Return the places of the smallest values along `axis`."""
    return ops.argmin(x, axis)


def batch_flatten(x: Any) -> Any:
    """Return `x` (B, …) as (B, cells)."""
    batch: Any = ops.shape(x)[0]
    return ops.reshape(x, (-1 if batch is None else batch, math.prod(x.shape[1:])))


def concatenate(tensors: Any, axis: int = -1) -> Any:
    """Join tensors along `axis`."""
    return ops.concatenate(tensors, axis)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """Return a tensor of `value`, repeated to fill `shape`."""
    tensor = ops.convert_to_tensor(value, dtype or config.floatx())
    return tensor if shape is None else ops.broadcast_to(tensor, shape)


def dtype(x: Any) -> str:
    """Return the name of the dtype of `x`."""
    return dtypes.dtype_of(x)


def expand_dims(x: Any, axis: int = -1) -> Any:
    """Return `x` with an axis of length 1 put in at `axis`."""
    return ops.expand_dims(x, axis)


def flatten(x: Any) -> Any:
    """Return the cells of `x` as one row."""
    return ops.reshape(x, (-1,))


def get_value(x: Any) -> Any:
    """Return the value of a Variable or tensor as a NumPy array."""
    return ops.convert_to_numpy(x)


def int_shape(x: Any) -> tuple[int | None, ...]:
    """Return the shape of `x`, None for an unknown length."""
    return tuple(x.shape)


def l2_normalize(x: Any, axis: int | None = None) -> Any:
    """Return `x` / |x|, the length taken along `axis` (over all cells without one)."""
    squares = ops.sum(ops.square(x), axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, config.epsilon())))


def set_value(x: Any, value: Any) -> None:
    """Assign `value` to the Variable `x`."""
    x.assign(value)


def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Variable:
    """Return a new Variable that begins as `value`."""
    return Variable(ops.convert_to_tensor(value, dtype or config.floatx()), name=name)
