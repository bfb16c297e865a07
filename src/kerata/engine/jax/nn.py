"""Convolution and pooling in JAX: XLA's own, or on a CPU the lowerings that XLA compiles better."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from kerata.engine.jax import lowering
from kerata.engine.protocol import Array, Pairs

__all__ = ["conv", "conv_transpose", "max_pool", "sum_pool"]

_SPATIAL = {1: "W", 2: "HW", 3: "DHW"}


class _Local(threading.local):
    textbook = False


_local = _Local()


@contextlib.contextmanager
def textbook() -> Iterator[None]:
    """Trace convolutions as such inside the block, on every device: to count, or to run elsewhere."""
    previous, _local.textbook = _local.textbook, True
    try:
        yield
    finally:
        _local.textbook = previous


def lowers_for_cpu() -> bool:
    """Return whether what is traced takes the forms that XLA compiles well on a CPU."""
    return not _local.textbook and jax.default_backend() == "cpu"


def _layout(rank: int) -> tuple[str, str, str]:
    axes = _SPATIAL[rank]
    return f"N{axes}C", f"{axes}IO", f"N{axes}C"


def conv(
    x: Array, kernel: Array, strides: Sequence[int], padding: Pairs, dilation: Sequence[int], groups: int
) -> Array:
    if lowers_for_cpu():
        return lowering.conv(
            x, kernel, strides=tuple(strides), padding=tuple(padding), dilation=tuple(dilation), groups=groups
        )
    x, padding = _with_symbols(x, padding, 0)
    return lax.conv_general_dilated(
        x, kernel, strides, padding, rhs_dilation=dilation, feature_group_count=groups,
        dimension_numbers=_layout(x.ndim - 2),
    )  # fmt: skip


def conv_transpose(x: Array, kernel: Array, strides: Sequence[int], padding: Pairs, dilation: Sequence[int]) -> Array:
    spatial = tuple(range(kernel.ndim - 2))
    flipped = jax.numpy.flip(kernel, spatial).swapaxes(-1, -2)
    ones = (1,) * len(spatial)
    return lax.conv_general_dilated(
        x, flipped, ones, padding, lhs_dilation=strides, rhs_dilation=dilation,
        dimension_numbers=_layout(len(spatial)),
    )  # fmt: skip


def max_pool(x: Array, window: Sequence[int], strides: Sequence[int], padding: Pairs) -> Array:
    if lowers_for_cpu():
        return lowering.max_pool(x, window=tuple(window), strides=tuple(strides), padding=tuple(padding))
    lowest = -jax.numpy.inf if jax.numpy.issubdtype(x.dtype, jax.numpy.inexact) else jax.numpy.iinfo(x.dtype).min
    x, padding = _with_symbols(x, padding, lowest)
    return lax.reduce_window(x, lowest, lax.max, *_windows(window, strides, padding))


def sum_pool(x: Array, window: Sequence[int], strides: Sequence[int], padding: Pairs) -> Array:
    x, padding = _with_symbols(x, padding, 0)
    zero = np.zeros((), x.dtype)  # NumPy's: JAX differentiates a sum only if it sees that it starts from zero
    return lax.reduce_window(x, zero, lax.add, *_windows(window, strides, padding))


def _with_symbols(x: Array, padding: Pairs, value: Any) -> tuple[Array, Pairs]:
    """Return x with the padding that depends on a symbolic size, in an exported program, and what is left to pad."""
    left = list(padding)
    for axis, pair in enumerate(padding, start=1):
        if not all(isinstance(count, (int, np.integer)) for count in pair):
            before, after = (
                jax.numpy.full((*x.shape[:axis], count, *x.shape[axis + 1 :]), value, x.dtype) for count in pair
            )
            x, left[axis - 1] = jax.numpy.concatenate([before, x, after], axis), (0, 0)
    return x, left


def _windows(window: Sequence[int], strides: Sequence[int], padding: Pairs) -> tuple:
    return (1, *window, 1), (1, *strides, 1), ((0, 0), *padding, (0, 0))
