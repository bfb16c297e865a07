"""Convolution and pooling. A window slides over the spatial axes S of x: (B, *S, C), or (B, C, *S) channels first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kerata import config, errors
from kerata.core import dtypes
from kerata.core.op import Array, Operand, op
from kerata.engine import arrays, nn, xp

__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "conv", "conv_transpose", "depth_to_space",
    "depthwise_conv", "fold", "max_pool", "separable_conv", "space_to_depth", "unfold",
]  # fmt: skip

Sizes = int | Sequence[int]


def _each(value: Any, rank: int) -> tuple[int, ...]:
    """Return one int for each spatial axis."""
    return (int(value),) * rank if isinstance(value, int) else tuple(int(v) for v in value)


def _pads(
    padding: Any, lengths: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the cells added before and after each axis; for "same", so that the output is ceil(length / stride)."""
    if not isinstance(padding, str):
        return [(int(a), int(b)) for a, b in padding]
    if padding.lower() == "valid":
        return [(0, 0)] * len(lengths)
    if padding.lower() != "same":
        raise errors.UnknownName("padding", padding, ("valid", "same"))
    pads = []
    for n, k, s, d in zip(lengths, window, strides, dilation):
        reach = (k - 1) * d + 1
        total = max((-(-n // s) - 1) * s + reach - n, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def _channels_last(function: Callable[[Any], Any], x: Any, data_format: str | None) -> Any:
    """Call a function that wants channels last, whatever the layout of x."""
    if config.standardize_data_format(data_format) == "channels_last":
        return function(x)
    return xp.moveaxis(function(xp.moveaxis(x, 1, -1)), -1, 1)


def _check_fit(x: Any, window: Sequence[int], pads: Sequence[tuple[int, int]], dilation: Sequence[int]) -> None:
    for n, k, (before, after), d in zip(x.shape[1:-1], window, pads, dilation):
        if n + before + after < (k - 1) * d + 1:
            raise errors.ShapeMismatch(
                "the window is larger than the input, so nothing would come out.",
                where="ops.conv",
                expected=f"spatial sizes of at least {tuple((k - 1) * d + 1 for k, d in zip(window, dilation))}",
                got=f"{tuple(x.shape[1:-1])}",
                hint='use padding="same", a smaller window, or fewer pooling layers before this one',
            )


@op
def conv(
    inputs: Operand,
    kernel: Operand,
    strides: Sizes = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Array:
    """Return the cross-correlation of the inputs with a kernel (*window, C / groups, filters), in 1 to 3 dimensions.

    Args:
        padding: "valid", "same", or a pair (before, after) for each spatial axis.
        dilation_rate: the distance of the kernel's cells.
    """
    rank = inputs.ndim - 2
    strides, dilation, window = _each(strides, rank), _each(dilation_rate, rank), kernel.shape[:-2]

    def last(x: Any) -> Any:
        if x.shape[-1] % kernel.shape[-2]:
            raise errors.ShapeMismatch(
                "the channels do not fit the kernel.", where="ops.conv",
                expected=f"a multiple of {kernel.shape[-2]} channels", got=f"inputs of shape {inputs.shape}",
            )  # fmt: skip
        pads = _pads(padding, x.shape[1:-1], window, strides, dilation)
        _check_fit(x, window, pads, dilation)
        return nn.conv(x, kernel, strides, pads, dilation, x.shape[-1] // kernel.shape[-2])

    return _channels_last(last, inputs, data_format)


@op
def depthwise_conv(
    inputs: Operand,
    kernel: Operand,
    strides: Sizes = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Array:
    """Return each channel convolved with kernels of its own: (*window, C, multiplier) gives C · multiplier channels."""
    *window, channels, multiplier = kernel.shape
    kernel = xp.reshape(kernel, (*window, 1, channels * multiplier))
    return conv(inputs, kernel, strides, padding, data_format, dilation_rate)


@op
def separable_conv(
    inputs: Operand,
    depthwise_kernel: Operand,
    pointwise_kernel: Operand,
    strides: Sizes = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Array:
    """Return a depthwise convolution followed by one with a window of one cell."""
    x = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(x, pointwise_kernel, 1, "valid", data_format, 1)


def _transposed_pads(k: int, s: int, d: int, padding: str, output_padding: int | None) -> tuple[int, int]:
    """Return the cells around the spread-out input such that the output has the length that a convolution of these
    settings would have come from: n·s for "same", (n - 1)·s + max(reach, s) for "valid"."""
    reach = (k - 1) * d + 1
    if padding == "valid":
        return reach - 1, reach - 1 + (max(reach, s) - reach if output_padding is None else output_padding)
    total = s + reach - 2 if output_padding is None else reach + reach % 2 - 2 + output_padding
    before = min(-(-total // 2), reach - 1)
    return before, total - before


@op
def conv_transpose(
    inputs: Operand,
    kernel: Operand,
    strides: Sizes = 1,
    padding: str = "valid",
    output_padding: Sizes | None = None,
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Array:
    """Return the transpose of a convolution: each input cell stamps the kernel (*window, filters, C) on the output."""
    rank = inputs.ndim - 2
    strides, dilation = _each(strides, rank), _each(dilation_rate, rank)
    extra = (None,) * rank if output_padding is None else _each(output_padding, rank)
    if padding.lower() not in ("valid", "same"):
        raise errors.UnknownName("padding", padding, ("valid", "same"), where="ops.conv_transpose")
    pads = [
        _transposed_pads(*axis) for axis in zip(kernel.shape[:-2], strides, dilation, (padding.lower(),) * rank, extra)
    ]
    return _channels_last(lambda x: nn.conv_transpose(x, kernel, strides, pads, dilation), inputs, data_format)


@op
def max_pool(
    inputs: Array,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Array:
    """Return the largest value in each window."""
    if dtypes.dtype_of(inputs) == "bool":
        return arrays.cast(max_pool(arrays.cast(inputs, "uint8"), pool_size, strides, padding, data_format), "bool")
    rank = inputs.ndim - 2
    window = _each(pool_size, rank)
    strides = window if strides is None else _each(strides, rank)

    def last(x: Any) -> Any:
        pads = _pads(padding, x.shape[1:-1], window, strides, (1,) * rank)
        _check_fit(x, window, pads, (1,) * rank)
        return nn.max_pool(x, window, strides, pads)

    return _channels_last(last, inputs, data_format)


@op
def average_pool(
    inputs: Array,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Array:
    """Return the mean of each window; padded cells do not count."""
    rank = inputs.ndim - 2
    window = _each(pool_size, rank)
    strides = window if strides is None else _each(strides, rank)

    def last(x: Any) -> Any:
        pads = _pads(padding, x.shape[1:-1], window, strides, (1,) * rank)
        _check_fit(x, window, pads, (1,) * rank)
        total = nn.sum_pool(x, window, strides, pads)
        if not any(a or b for a, b in pads):
            cells = 1
            for k in window:
                cells *= k
            return total / cells
        return total / nn.sum_pool(xp.ones((1, *x.shape[1:-1], 1), x.dtype), window, strides, pads)

    return _channels_last(last, inputs, data_format)


def _adaptive(x: Any, sizes: Sequence[int], reduce: Callable[..., Any]) -> Any:
    """Return x with each spatial axis cut into `sizes` windows, the i-th from floor(i·n/m) to ceil((i+1)·n/m)."""
    for axis, m in enumerate(sizes, 1):
        n = x.shape[axis]
        lead = (slice(None),) * axis
        bounds = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        x = xp.stack([reduce(x[(*lead, slice(a, b))], axis=axis) for a, b in bounds], axis)
    return x


@op
def adaptive_average_pool(inputs: Array, output_size: Sizes, data_format: str | None = None) -> Array:
    """Return the means of windows chosen so that the output has a given size."""
    sizes = _each(output_size, inputs.ndim - 2)
    return _channels_last(lambda x: _adaptive(x, sizes, xp.mean), inputs, data_format)


@op
def adaptive_max_pool(inputs: Array, output_size: Sizes, data_format: str | None = None) -> Array:
    """Return the largest values of windows chosen so that the output has a given size."""
    sizes = _each(output_size, inputs.ndim - 2)
    return _channels_last(lambda x: _adaptive(x, sizes, xp.max), inputs, data_format)


@op
def space_to_depth(x: Array, block_size: int, data_format: str = "channels_last") -> Array:
    """Return blocks of (block_size, block_size) cells as channels."""
    b = block_size

    def last(x: Any) -> Any:
        n, h, w, c = x.shape
        x = xp.reshape(x, (n, h // b, b, w // b, b, c))
        return xp.reshape(xp.transpose(x, (0, 1, 3, 2, 4, 5)), (n, h // b, w // b, b * b * c))

    return _channels_last(last, x, data_format)


@op
def depth_to_space(x: Array, block_size: int, data_format: str = "channels_last") -> Array:
    """Return channels as blocks of (block_size, block_size) cells: the inverse of `space_to_depth`."""
    b = block_size

    def last(x: Any) -> Any:
        n, h, w, c = x.shape
        x = xp.reshape(x, (n, h, w, b, b, c // (b * b)))
        return xp.reshape(xp.transpose(x, (0, 1, 3, 2, 4, 5)), (n, h * b, w * b, c // (b * b)))

    return _channels_last(last, x, data_format)


def _blocks(size: Sequence[int], k: Sequence[int], d: Sequence[int], p: Sequence[int], s: Sequence[int]) -> list[int]:
    return [(n + 2 * pad - (w - 1) * gap - 1) // step + 1 for n, w, gap, pad, step in zip(size, k, d, p, s)]


@op
def unfold(x: Array, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Array:
    """Return the patches of images (B, C, H, W) as columns (B, C · kh · kw, patches), as PyTorch's `unfold`."""
    k, d, p, s = (_each(v, 2) for v in (kernel_size, dilation, padding, stride))
    rows, columns = _blocks(x.shape[2:], k, d, p, s)
    x = xp.pad(x, ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])))
    cells = [
        x[:, :, i * d[0] : i * d[0] + rows * s[0] : s[0], j * d[1] : j * d[1] + columns * s[1] : s[1]]
        for i in range(k[0])
        for j in range(k[1])
    ]
    return xp.reshape(xp.stack(cells, 2), (x.shape[0], x.shape[1] * k[0] * k[1], rows * columns))


@op
def fold(
    x: Array, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Array:
    """Return images (B, C, H, W) as the sum of their patches (B, C · kh · kw, patches): the transpose of `unfold`."""
    if dtypes.dtype_of(x) == "bool":
        return arrays.cast(fold(arrays.cast(x, "int32"), output_size, kernel_size, dilation, padding, stride), "bool")
    size, k, d, p, s = (_each(v, 2) for v in (output_size, kernel_size, dilation, padding, stride))
    rows, columns = _blocks(size, k, d, p, s)
    channels = x.shape[1] // (k[0] * k[1])
    x = xp.reshape(x, (x.shape[0], channels, k[0], k[1], rows, columns))
    out = xp.zeros((x.shape[0], channels, size[0] + 2 * p[0], size[1] + 2 * p[1]), x.dtype)
    for i in range(k[0]):
        for j in range(k[1]):
            place = (
                slice(None), slice(None),
                slice(i * d[0], i * d[0] + rows * s[0], s[0]), slice(j * d[1], j * d[1] + columns * s[1], s[1]),
            )  # fmt: skip
            out = arrays.add_at(out, place, x[:, :, i, j])
    return out[:, :, p[0] : p[0] + size[0], p[1] : p[1] + size[1]]
