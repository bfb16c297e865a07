"""Filters: each cell from those around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import errors
from kerata.core import dtypes
from kerata.core.op import Array, FloatArray, FloatOperand, op
from kerata.engine import arrays, xp
from kerata.ops.convolution import depthwise_conv
from kerata.ops.image.layout import channels_last

__all__ = ["gaussian_blur", "sobel_edges", "ssim"]


def _bell(size: int, sigma: Any) -> Any:
    """Return `size` weights of a normal distribution with deviation `sigma`; their sum is 1."""
    x = xp.arange(size) - (size - 1) / 2
    weights = xp.exp(-0.5 * xp.square(x / sigma))
    return weights / xp.sum(weights)


def _weighted(x: Any, down: Any, across: Any, padding: str) -> Any:
    """Return (B, H, W, C) filtered with a kernel that is the outer product of `down` and `across`."""
    kind, channels = dtypes.dtype_of(x), x.shape[-1]
    wide = dtypes.result_type(kind, "float32")  # a difference of sums that half precision has rounded would be noise
    x = arrays.cast(x, wide)
    for weights, shape in ((down, (-1, 1, 1, 1)), (across, (1, -1, 1, 1))):
        kernel = xp.tile(xp.reshape(xp.asarray(weights, wide), shape), (1, 1, channels, 1))
        x = depthwise_conv(x, kernel, 1, padding, "channels_last")
    return arrays.cast(x, kind)


@op
def gaussian_blur(
    images: FloatArray,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Sequence[Any] = (1.0, 1.0),
    data_format: str | None = None,
) -> Array:
    """Return images in which each cell is a mean of those around it, weighted by a normal distribution.

    Args:
        images: (H, W, C) or (B, H, W, C), or with channels first; integers become floats. Zeros lie around them.
        kernel_size: how many columns and rows count. (In Keras, too, the first number goes across.)
        sigma: the deviation across and down, in cells.

    Example:
        >>> import numpy
        >>> round(float(kerata.ops.image.gaussian_blur(numpy.ones((5, 5, 1)))[2, 2, 0]), 4)
        1.0
    """
    x, back = channels_last(images, data_format, "gaussian_blur")
    across, down = (_bell(int(size), deviation) for size, deviation in zip(kernel_size, sigma, strict=True))
    return back(_weighted(x, down, across, "same"))


@op
def sobel_edges(images: FloatArray, data_format: str | None = None) -> Array:
    """Return how fast images change down and across: (B, H, W, C) -> (B, H, W, C, 2).

    The difference of the cells on both sides, smoothed by 1, 2, 1 along the edge; zeros lie around the image (Sobel
    and Feldman 1968).

    Args:
        images: (H, W, C) or (B, H, W, C), or with channels first; integers become floats.

    Example:
        >>> import numpy
        >>> ramp = numpy.tile(numpy.arange(5.0)[:, None, None], (1, 5, 1))
        >>> kerata.ops.image.sobel_edges(ramp)[2, 2, 0].tolist()
        [8.0, 0.0]
    """
    x, back = channels_last(images, data_format, "sobel_edges")
    smooth, change = [1, 2, 1], [-1, 0, 1]
    edges = [_weighted(x, change, smooth, "same"), _weighted(x, smooth, change, "same")]
    return back(xp.stack(edges, axis=-1))


@op
def ssim(
    image1: FloatOperand,
    image2: FloatOperand,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Array:
    """Return how alike images are in structure, 1 for equal ones: (B, H, W, C) -> (B,); for single ones, a number.

    The mean over all windows, weighted by a normal distribution within, of

        (2 μ₁ μ₂ + c₁) (2 σ₁₂ + c₂) / ((μ₁² + μ₂² + c₁) (σ₁² + σ₂² + c₂)),  cᵢ = (kᵢ max_val)²

    (Wang and others 2004, https://doi.org/10.1109/TIP.2003.819861).

    Args:
        image1, image2: of one shape; integers become floats.
        max_val: the distance of the darkest and the brightest value there can be.
        filter_size: of a window, no larger than the image; filter_sigma: the deviation of its weights.

    Example:
        >>> import numpy
        >>> round(float(kerata.ops.image.ssim(numpy.ones((16, 16, 1)), numpy.ones((16, 16, 1)))), 4)
        1.0
    """
    if tuple(image1.shape) != tuple(image2.shape):
        raise errors.ShapeMismatch(
            "two images of one shape are compared.", where="ops.image.ssim",
            expected=f"{tuple(image1.shape)}", got=f"{tuple(image2.shape)}",
        )  # fmt: skip
    kind = dtypes.dtype_of(image1)
    wide = dtypes.result_type(kind, "float32")  # a variance is a small difference of large numbers
    x, y = (channels_last(arrays.cast(image, wide), data_format, "ssim")[0] for image in (image1, image2))
    weights = _bell(filter_size, filter_sigma)

    def mean(values: Any) -> Any:
        return _weighted(values, weights, weights, "valid")

    mean_x, mean_y = mean(x), mean(y)
    variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    likeness = likeness / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
    score = arrays.cast(xp.mean(likeness, axis=(1, 2, 3)), kind)
    return score[0] if image1.ndim == 3 else score
