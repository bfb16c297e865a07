"""Colors: gray, and hue, saturation and value."""

from __future__ import annotations

from typing import Any

import ml_dtypes

from kerata import errors
from kerata.core import dtypes
from kerata.core.op import Array, op
from kerata.engine import arrays, xp
from kerata.ops.image.layout import channel_axis

__all__ = ["hsv_to_rgb", "rgb_to_grayscale", "rgb_to_hsv"]

_LIGHTNESS = (0.2989, 0.5870, 0.1140)  # how bright red, green and blue look: ITU-R BT.601


@op
def rgb_to_grayscale(images: Array, data_format: str | None = None) -> Array:
    """Return the brightness of colors, 0.2989 R + 0.587 G + 0.114 B, as the only channel; gray images stay.

    Args:
        images: (H, W, 3) or (B, H, W, 3), or with channels first; of any dtype, which the result has too.

    Example:
        >>> kerata.ops.image.rgb_to_grayscale([[[0.0, 1.0, 0.0]]]).shape
        (1, 1, 1)
    """
    axis = channel_axis(images, data_format, "rgb_to_grayscale")
    if images.shape[axis] == 1:
        return images
    red, green, blue = _channels(images, axis, "rgb_to_grayscale")
    kind = dtypes.dtype_of(images)
    wide = dtypes.result_type(kind, float)
    parts = [weight * arrays.cast(part, wide) for weight, part in zip(_LIGHTNESS, (red, green, blue))]
    return arrays.cast(xp.expand_dims(sum(parts), axis), kind)


@op
def rgb_to_hsv(images: Array, data_format: str | None = None) -> Array:
    """Return hue, saturation and value, each from 0 to 1, of colors from 0 to 1.

    Value is the largest of the three, saturation its distance from the smallest as a share of it, and hue the place
    on the circle of red (0), green (1/3) and blue (2/3); Smith 1978, https://doi.org/10.1145/965139.807361.

    Args:
        images: floats (H, W, 3) or (B, H, W, 3), or with channels first.

    Example:
        >>> kerata.ops.image.rgb_to_hsv([[[0.0, 0.5, 0.0]]])[0, 0].tolist()
        [0.3333333432674408, 1.0, 0.5]
    """
    axis = channel_axis(images, data_format, "rgb_to_hsv")
    _check_float(images, "rgb_to_hsv")
    images = xp.where(xp.abs(images) < _distance_to_next(dtypes.dtype_of(images)), xp.zeros_like(images), images)
    red, green, blue = _channels(images, axis, "rgb_to_hsv")
    value = xp.maximum(xp.maximum(red, green), blue)
    span = value - xp.minimum(xp.minimum(red, green), blue)
    saturation = xp.where(value > 0, span / xp.where(value > 0, value, 1), 0)
    sixth = 1 / (6 * xp.where(span > 0, span, 1))
    hue = xp.where(
        value == red,
        (green - blue) * sixth,
        xp.where(value == green, (blue - red) * sixth + 1 / 3, (red - green) * sixth + 2 / 3),
    )
    return xp.stack([xp.where(hue < 0, hue + 1, hue), saturation, value], axis=axis)


@op
def hsv_to_rgb(images: Array, data_format: str | None = None) -> Array:
    """Return the colors of hue, saturation and value, each from 0 to 1; the inverse of `rgb_to_hsv`.

    Args:
        images: floats (H, W, 3) or (B, H, W, 3), or with channels first. A hue beyond 0 to 1 goes round the circle.

    Example:
        >>> kerata.ops.image.hsv_to_rgb([[[0.0, 1.0, 0.5]]])[0, 0].tolist()
        [0.5, 0.0, 0.0]
    """
    axis = channel_axis(images, data_format, "hsv_to_rgb")
    _check_float(images, "hsv_to_rgb")
    hue, saturation, value = _channels(images, axis, "hsv_to_rgb")
    sixths = xp.mod(hue, 1) * 6
    colors = []
    for start in (5, 3, 1):  # where on the circle red, green and blue begin to fade, in sixths
        turn = xp.mod(start + sixths, 6)
        faded = xp.clip(xp.minimum(turn, 4 - turn), 0, 1)
        colors.append(value * (1 - saturation * faded))
    return xp.stack(colors, axis=axis)


def _channels(images: Any, axis: int, where: str) -> list[Any]:
    if images.shape[axis] != 3:
        raise errors.ShapeMismatch(
            "a color has three channels.", where=f"ops.image.{where}", expected=f"3 along axis {axis}",
            got=f"images of shape {tuple(images.shape)}", hint="is `data_format` right?",
        )  # fmt: skip
    return [images[..., i] if axis == -1 else images[..., i, :, :] for i in range(3)]


def _distance_to_next(dtype: str) -> float:
    """Return the distance from 1 to the next number of a float dtype."""
    return float(ml_dtypes.finfo(getattr(ml_dtypes, dtype, dtype)).eps)


def _check_float(images: Any, where: str) -> None:
    if not dtypes.is_float(dtypes.dtype_of(images)):
        raise errors.InvalidArgument(
            "colors are floats here.", where=f"ops.image.{where}", expected="a float dtype",
            got=dtypes.dtype_of(images), hint="images / 255",
        )  # fmt: skip
