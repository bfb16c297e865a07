"""Convolution and pooling as their formulas: a sum, or a maximum, over the cells of the window."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kerata.engine.numpy.arrays import is_traced, numpy
from kerata.engine.numpy.values import is_floating, on_arrays
from kerata.engine.protocol import Array, Pairs

__all__ = ["conv", "conv_transpose", "max_pool", "sum_pool"]


def conv(
    x: Array, kernel: Array, strides: Sequence[int], padding: Pairs, dilation: Sequence[int], groups: int
) -> Array:
    if is_traced(x) or is_traced(kernel):
        y = _conv(x[:1, ..., :1], kernel[..., :1, :1], strides, padding, dilation, 1)
        return _outline(y, x.shape[0], kernel.shape[-1])
    return _conv(x, kernel, strides, padding, dilation, groups)


def conv_transpose(x: Array, kernel: Array, strides: Sequence[int], padding: Pairs, dilation: Sequence[int]) -> Array:
    spatial = tuple(range(kernel.ndim - 2))
    flipped = numpy.flip(kernel, spatial).swapaxes(-1, -2)
    return conv(_spread(x, strides), flipped, (1,) * len(spatial), padding, dilation, 1)


def max_pool(x: Array, window: Sequence[int], strides: Sequence[int], padding: Pairs) -> Array:
    lowest = -np.inf if is_floating(x.dtype) else np.iinfo(x.dtype).min
    return _pool(np.maximum, lowest, x, window, strides, padding)


def sum_pool(x: Array, window: Sequence[int], strides: Sequence[int], padding: Pairs) -> Array:
    return _pool(np.add, 0, x, window, strides, padding)


def _pool(
    join: np.ufunc, empty: float, x: Array, window: Sequence[int], strides: Sequence[int], padding: Pairs
) -> Array:
    if is_traced(x):
        return _outline(_joined(join, empty, x[:1, ..., :1], window, strides, padding), x.shape[0], x.shape[-1])
    return _joined(join, empty, x, window, strides, padding)


def _outline(y: Array, batch: int, channels: int) -> Array:
    """Return y (1, *S, 1), all that is computed while only shapes are asked for, in the shape that is wanted."""
    return numpy.broadcast_to(y, (batch, *y.shape[1:-1], channels))


@on_arrays
def _joined(join: Any, empty: float, x: Array, window: Sequence[int], strides: Sequence[int], padding: Pairs) -> Array:
    """Return y[b, s, c] = the cells x[b, s * stride + w, c] of each window, joined over w."""
    moved = _window_cells(_padded(x, padding, empty), window, strides, (1,) * len(window))
    return functools.reduce(join, (cells for _, cells in moved))


@on_arrays
def _conv(
    x: Array, kernel: Array, strides: Sequence[int], padding: Pairs, dilation: Sequence[int], groups: int
) -> Array:
    """Return y[b, s, f] = sum over w, c of x[b, s * stride + w * dilation, c] * kernel[w, c, f]."""
    *window, channels, filters = kernel.shape
    y: Any = 0
    for w, cells in _window_cells(_padded(x, padding, 0), window, strides, dilation):
        if groups == 1:
            y = y + cells @ kernel[w]
        else:
            own_cells = cells.reshape(*cells.shape[:-1], groups, channels)
            own_kernel = kernel[w].reshape(channels, groups, filters // groups)
            each = np.einsum("...gc,cgf->...gf", own_cells, own_kernel)
            y = y + each.reshape(*each.shape[:-2], filters)
    return y if is_floating(x.dtype) else y.astype(x.dtype)


def _window_cells(
    x: Array, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Yield each place in the window, and the cells of x (B, *S, C) that it meets as the window moves."""
    sizes = [
        (size - (cells - 1) * gap - 1) // stride + 1
        for size, cells, stride, gap in zip(x.shape[1:-1], window, strides, dilation)
    ]
    for w in np.ndindex(*window):
        met = [
            slice(i * gap, i * gap + max(size - 1, 0) * stride + min(size, 1), stride)
            for i, gap, size, stride in zip(w, dilation, sizes, strides)
        ]
        yield w, x[:, *met]


def _padded(x: Array, padding: Pairs, value: float) -> Array:
    """Return x (B, *S, C) with cells added around it; a negative count takes cells away."""
    added = [(max(before, 0), max(after, 0)) for before, after in padding]
    x = np.pad(x, [(0, 0), *added, (0, 0)], constant_values=value)
    sizes = x.shape[1:-1]
    kept = [slice(max(-before, 0), size - max(-after, 0)) for (before, after), size in zip(padding, sizes)]
    return x[:, *kept]


@on_arrays
def _spread(x: Array, strides: Sequence[int]) -> Array:
    """Return x (B, *S, C) with `stride - 1` zeros between its cells."""
    batch, *sizes, channels = x.shape
    wide = [max((size - 1) * stride + 1, 0) for size, stride in zip(sizes, strides)]
    y = np.zeros((batch, *wide, channels), x.dtype)
    y[:, *(slice(None, None, stride) for stride in strides)] = x
    return y
