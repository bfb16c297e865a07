"""Convolution and pooling by PyTorch's own functions. PyTorch counts channels first: here axes only change names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from kerata.engine.protocol import Array, Pairs

__all__ = ["conv", "conv_transpose", "max_pool", "sum_pool"]

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_MEAN_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def conv(
    x: Array, kernel: Array, strides: Sequence[int], padding: Pairs, dilation: Sequence[int], groups: int
) -> Array:
    if not (x.is_floating_point() or x.is_complex()):
        return _of_whole(conv, x, kernel, strides, padding, dilation, groups)
    rank = x.ndim - 2
    x, inside = _first(x), [0] * rank
    if all(before == after >= 0 for before, after in padding):
        inside = [before for before, _ in padding]
    else:
        x = _padded(x, padding, 0)
    weight = kernel.movedim((-1, -2), (0, 1))
    return _last(_CONV[rank](x, weight, None, tuple(strides), tuple(inside), tuple(dilation), groups))


def conv_transpose(x: Array, kernel: Array, strides: Sequence[int], padding: Pairs, dilation: Sequence[int]) -> Array:
    if not (x.is_floating_point() or x.is_complex()):
        return _of_whole(conv_transpose, x, kernel, strides, padding, dilation)
    rank = x.ndim - 2
    weight = kernel.movedim((-1, -2), (0, 1))
    y = _CONV_TRANSPOSE[rank](_first(x), weight, None, tuple(strides), dilation=tuple(dilation))
    # Every cell stamped a whole kernel: that is a padding of its reach less one.
    reach = [(cells - 1) * gap for cells, gap in zip(kernel.shape, dilation)]
    return _last(_padded(y, [(before - r, after - r) for (before, after), r in zip(padding, reach)], 0))


def _of_whole(function: Callable[..., Array], x: Array, kernel: Array, *args: Any) -> Array:
    """Return what `function` makes of whole numbers, by way of float64: not every device has a kernel for them."""
    y = function(x.double(), kernel.double(), *args)
    return y != 0 if x.dtype == torch.bool else y.long().to(x.dtype)


def max_pool(x: Array, window: Sequence[int], strides: Sequence[int], padding: Pairs) -> Array:
    if not x.is_floating_point():
        return _pooled(torch.amax, torch.iinfo(x.dtype).min, x, window, strides, padding)
    return _last(_MAX_POOL[x.ndim - 2](_padded(_first(x), padding, -torch.inf), tuple(window), tuple(strides)))


def sum_pool(x: Array, window: Sequence[int], strides: Sequence[int], padding: Pairs) -> Array:
    if not x.is_floating_point():
        return _pooled(torch.sum, 0, x, window, strides, padding).to(x.dtype)
    if x.element_size() < 4:  # 16 bits are too few for a sum, and not every device has the kernel
        return sum_pool(x.float(), window, strides, padding).to(x.dtype)
    size = torch.Size(window).numel()
    return _last(_MEAN_POOL[x.ndim - 2](_padded(_first(x), padding, 0), tuple(window), tuple(strides)) * size)


def _pooled(
    join: Callable[..., Any], empty: int, x: Array, window: Sequence[int], strides: Sequence[int], padding: Pairs
) -> Array:
    """Return what `join` makes of each window, by its definition."""
    x = _padded(_first(x), padding, empty)
    for axis, (cells, stride) in enumerate(zip(window, strides), 2):
        x = x.unfold(axis, cells, stride)
    return _last(join(x, dim=tuple(range(-len(window), 0))))


def _first(x: Array) -> Array:
    """Return x (B, *S, C) as (B, C, *S)."""
    return x.movedim(-1, 1)


def _last(x: Array) -> Array:
    """Return x (B, C, *S) as (B, *S, C)."""
    return x.movedim(1, -1)


def _padded(x: Array, padding: Pairs, value: float) -> Array:
    """Return x (B, C, *S) with cells added around it; a negative count takes cells away."""
    if not any(before or after for before, after in padding):
        return x
    return F.pad(x, [count for pair in reversed(list(padding)) for count in pair], value=value)
