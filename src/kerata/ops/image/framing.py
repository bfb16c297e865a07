"""What of an image is seen: borders cut or added, and windows. Values are moved, never changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerata import config, errors
from kerata.core.op import Array, op
from kerata.engine import arrays, xp
from kerata.ops.convolution import Sizes, _check_fit, _each, _pads
from kerata.ops.image.layout import channel_axis, channels_last

__all__ = ["crop_images", "extract_patches", "extract_patches_3d", "pad_images"]


@op
def crop_images(
    images: Array,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Array:
    """Return images without the given rows and columns at their edges.

    Args:
        images: (H, W, C) or (B, H, W, C), or with channels first.
        top_cropping, bottom_cropping, target_height: two of them; the third follows. So with left, right, width.

    Raises:
        InvalidArgument: when not exactly two are given, or they ask for more than there is.

    Example:
        >>> import numpy
        >>> kerata.ops.image.crop_images(numpy.ones((8, 9, 3)), 1, 2, target_height=4, target_width=5).shape
        (4, 5, 3)
    """
    last = channel_axis(images, data_format, "crop_images") == -1
    height, width = images.shape[-3:-1] if last else images.shape[-2:]
    names = ("top_cropping", "bottom_cropping", "target_height")
    top, bottom = _edges("crop_images", names, (top_cropping, bottom_cropping, target_height), height, -1)
    names = ("left_cropping", "right_cropping", "target_width")
    left, right = _edges("crop_images", names, (left_cropping, right_cropping, target_width), width, -1)
    place = (..., slice(top, height - bottom), slice(left, width - right))
    return images[(*place, slice(None))] if last else images[place]


@op
def pad_images(
    images: Array,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Array:
    """Return images with rows and columns of zeros at their edges.

    Args:
        images: (H, W, C) or (B, H, W, C), or with channels first.
        top_padding, bottom_padding, target_height: two of them; the third follows. So with left, right, width.

    Raises:
        InvalidArgument: when not exactly two are given, or they ask for fewer than there are.

    Example:
        >>> import numpy
        >>> kerata.ops.image.pad_images(numpy.ones((8, 9, 3)), 1, 2, target_height=12, target_width=12).shape
        (12, 12, 3)
    """
    last = channel_axis(images, data_format, "pad_images") == -1
    height, width = images.shape[-3:-1] if last else images.shape[-2:]
    names = ("top_padding", "bottom_padding", "target_height")
    rows = _edges("pad_images", names, (top_padding, bottom_padding, target_height), height, 1)
    names = ("left_padding", "right_padding", "target_width")
    columns = _edges("pad_images", names, (left_padding, right_padding, target_width), width, 1)
    lead = [(0, 0)] * (images.ndim - 3)
    return xp.pad(images, [*lead, rows, columns, (0, 0)] if last else [*lead, (0, 0), rows, columns])


def _edges(where: str, names: Sequence[str], given: Sequence[int | None], length: int, sign: int) -> tuple[int, int]:
    """Return how many cells go (sign -1) or come (1) before and after an axis, from two of before, after, target."""

    def error(what: str, **details: Any) -> errors.InvalidArgument:
        got = ", ".join(f"{name}={value}" for name, value in zip(names, given)) + f" for a length of {length}"
        return errors.InvalidArgument(what, where=f"ops.image.{where}", got=got, **details)

    if sum(value is None for value in given) != 1:
        raise error("exactly two of three say where the edges lie.", expected=f"two of {', '.join(names)}")
    before, after, target = given
    if before is None or after is None:
        both = sign * ((target or 0) - length)
        before, after = (both - (after or 0), after or 0) if before is None else (before, both - before)
    if before < 0 or after < 0 or length + sign * (before + after) < 0:
        raise error("no length can be negative.", expected="edges that fit the length")
    return before, after


@op
def extract_patches(
    images: Array,
    size: Sizes,
    strides: Sizes | None = None,
    dilation_rate: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Array:
    """Return the windows of images: (B, H, W, C) -> (B, rows, columns, size[0] · size[1] · C).

    Args:
        images: (H, W, C) or (B, H, W, C), or with channels first; volumes (D, H, W, C), where `size` has three ints.
        size: of a window; its cells are laid out row by row, the channels of a cell together.
        strides: the distance of windows; as `size` by default, so that they tile the image.
        dilation_rate: the distance of the cells of a window.
        padding: "valid", or "same" for zeros around such that there are ceil(length / stride) windows.

    Example:
        >>> import numpy
        >>> kerata.ops.image.extract_patches(numpy.ones((2, 8, 8, 3)), 4).shape
        (2, 2, 2, 48)
    """
    axes = 2 if isinstance(size, int) else len(size)
    if axes not in (2, 3):
        raise errors.InvalidArgument(
            "a window has two or three axes.", where="ops.image.extract_patches", expected="2 or 3 ints", got=size
        )
    window, dilation = _each(size, axes), _each(dilation_rate, axes)
    steps = _each(strides, axes) if strides else window
    x, back = channels_last(images, config.standardize_data_format(data_format), "extract_patches", axes)
    pads = _pads(padding, x.shape[1:-1], window, steps, dilation)
    _check_fit(x, window, pads, dilation)
    x = xp.pad(x, [(0, 0), *pads, (0, 0)])
    for i, (k, step, reach) in enumerate(zip(window, steps, dilation)):
        x = _windows(x, 1 + 2 * i, k, step, reach)
    places, cells = range(1, 2 * axes, 2), range(2, 2 * axes + 1, 2)
    x = xp.transpose(x, (0, *places, *cells, 2 * axes + 1))
    return back(xp.reshape(x, (*x.shape[: axes + 1], math.prod(x.shape[axes + 1 :]))))


def _windows(x: Any, axis: int, size: int, step: int, reach: int) -> Any:
    """Return x with an axis as two: which window, and which cell of it."""
    first = np.arange(0, x.shape[axis] - (size - 1) * reach, step)
    return xp.take(x, arrays.as_array(first[:, None] + reach * np.arange(size), "int32"), axis=axis)


def extract_patches_3d(
    volumes: Any,
    size: Sizes,
    strides: Sizes | None = None,
    dilation_rate: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """Return the windows of volumes: (B, D, H, W, C) -> (B, …, size[0] · size[1] · size[2] · C).

    See `extract_patches` for the arguments.

    Example:
        >>> import numpy
        >>> kerata.ops.image.extract_patches_3d(numpy.ones((4, 4, 4, 3)), 2).shape
        (2, 2, 2, 24)
    """
    return extract_patches(volumes, _each(size, 3), strides, dilation_rate, padding, data_format)
