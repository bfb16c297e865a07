"""Images on another grid: each new cell is a mixture of old ones, axis by axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerata import config, errors
from kerata.core import dtypes
from kerata.core.op import Array, FloatArray, FloatOperand, op
from kerata.engine import arrays, xp

__all__ = ["resize", "scale_and_translate"]


# How much a cell counts at a distance x, over a NumPy-like namespace m.


def _triangle(m: Any, x: Any) -> Any:
    return m.maximum(0, 1 - m.abs(x))


def _cubic(m: Any, x: Any) -> Any:
    """Keys 1981, a = -1/2."""
    x = m.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return m.where(x < 1, near, m.where(x < 2, far, 0))


def _lanczos(radius: int) -> Any:
    return lambda m, x: m.where(m.abs(x) < radius, m.sinc(x) * m.sinc(x / radius), 0)


_KERNELS = {"bilinear": _triangle, "bicubic": _cubic, "lanczos3": _lanczos(3), "lanczos5": _lanczos(5)}
_METHODS = {**_KERNELS, "linear": _triangle, "trilinear": _triangle, "cubic": _cubic, "tricubic": _cubic}
_LARGEST_CONSTANT = 1 << 22


def _mixture(m: Any, old: int, centres: Any, scale: Any, kernel: Any, antialias: bool) -> Any:
    """Return the matrix (old, new) whose columns say how the old cells mix into a new one at `centres`."""
    stretch = m.maximum(1 / scale, 1.0) if antialias else 1.0
    weights = kernel(m, (centres[None] - m.arange(old)[:, None]) / stretch)
    total = weights.sum(0, keepdims=True)
    return m.where(m.abs(total) > 1e-6, weights / m.where(total == 0, 1, total), 0)


def _resize_axis(x: Any, axis: int, new: int, interpolation: str, antialias: bool) -> Any:
    old = x.shape[axis]
    if new == old:
        return x
    if interpolation == "nearest":
        index = np.minimum(np.floor((np.arange(new) + 0.5) * old / new), old - 1).astype("int32")
        return xp.take(x, arrays.as_array(index), axis=axis)
    # In float64 on the host, as a constant of the program; but a large one would bloat the program, and be computed
    # in vain where shapes are only inferred.
    m = np if old * new <= _LARGEST_CONSTANT else xp
    scale = new / old
    weights = _mixture(m, old, (m.arange(new) + 0.5) / scale - 0.5, scale, _KERNELS[interpolation], antialias)
    return _mixed(x, axis, weights)


def _mixed(x: Any, axis: int, weights: Any) -> Any:
    weights = arrays.as_array(weights, dtypes.dtype_of(x))
    return xp.moveaxis(xp.tensordot(x, weights, axes=((axis,), (0,))), -1, axis)


@op
def resize(
    images: Array,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Array:
    """Return images in another size (height, width).

    Args:
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        antialias: whether shrinking averages over all the cells that it drops.
        crop_to_aspect_ratio: whether the middle of the image with the new proportions is taken first.
        pad_to_aspect_ratio: whether borders of `fill_value` give the image the new proportions first.
    """
    if interpolation not in ("nearest", *_KERNELS):
        raise errors.UnknownName("interpolation", interpolation, ("nearest", *_KERNELS), where="ops.image.resize")
    if fill_mode != "constant":
        raise errors.UnknownName("fill_mode", fill_mode, ("constant",), where="ops.image.resize")
    first = config.standardize_data_format(data_format) == "channels_first"
    x = xp.moveaxis(images, -3, -1) if first else images
    rows, columns = x.ndim - 3, x.ndim - 2
    height, width = (int(n) for n in size)
    if crop_to_aspect_ratio or pad_to_aspect_ratio:
        x = _to_ratio(x, rows, columns, height / width, crop_to_aspect_ratio, fill_value)
    kind = dtypes.dtype_of(x)
    exact = interpolation == "nearest" or "float" in kind
    x = x if exact else arrays.cast(x, config.floatx())
    x = _resize_axis(x, rows, height, interpolation, antialias)
    x = _resize_axis(x, columns, width, interpolation, antialias)
    x = x if exact else arrays.cast(xp.clip(xp.round(x), *dtypes.limits(kind)), kind)
    return xp.moveaxis(x, -1, -3) if first else x


def _to_ratio(x: Any, rows: int, columns: int, ratio: float, crop: bool, fill_value: float) -> Any:
    height, width = x.shape[rows], x.shape[columns]
    if crop:
        new_height, new_width = min(height, int(width * ratio)), min(width, int(height / ratio))
        top, left = (height - new_height) // 2, (width - new_width) // 2
        lead = (slice(None),) * rows
        return x[(*lead, slice(top, top + new_height), slice(left, left + new_width))]
    new_height, new_width = max(height, math.ceil(width * ratio)), max(width, math.ceil(height / ratio))
    top, left = (new_height - height) // 2, (new_width - width) // 2
    pads = [(0, 0)] * x.ndim
    pads[rows], pads[columns] = (top, new_height - height - top), (left, new_width - width - left)
    return xp.pad(x, pads, constant_values=fill_value)


@op
def scale_and_translate(
    images: FloatArray,
    output_shape: Sequence[int | None],
    scale: FloatOperand,
    translation: FloatOperand,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Array:
    """Return images scaled and moved: what was at y along an axis is at y · scale + translation. Outside lies 0.

    A cell has its centre at y = 0.5, 1.5, …

    Args:
        images: of any number of axes; integers become floats.
        output_shape: of the result; None along an axis that is not scaled stands for the size of the images.
        scale, translation: (K,) for the K axes in `spatial_dims`.
        method: "linear", "cubic", "lanczos3" or "lanczos5"; "bilinear", "trilinear", "bicubic" and "tricubic" say
            the same.
        antialias: whether shrinking averages over all the cells that it drops.

    Example:
        >>> x = [[1.0, 2.0, 3.0]]
        >>> kerata.ops.image.scale_and_translate(x, (1, 3), [1.0], [1.0], (1,), "linear").tolist()
        [[0.0, 1.0, 2.0]]
    """
    where = "ops.image.scale_and_translate"
    if method not in _METHODS:
        raise errors.UnknownName("method", method, _METHODS, where=where)
    axes = [axis % images.ndim for axis in spatial_dims]
    if not len(axes) == scale.shape[0] == translation.shape[0]:
        raise errors.ShapeMismatch(
            "each axis has one scale and one translation.", where=where, expected=f"{len(axes)} of both",
            got=f"scale of shape {tuple(scale.shape)}, translation of shape {tuple(translation.shape)}",
        )  # fmt: skip
    wanted = [n if i in axes or new is None else new for i, (n, new) in enumerate(zip(images.shape, output_shape))]
    if len(output_shape) != images.ndim or wanted != list(images.shape):
        raise errors.ShapeMismatch(
            "only scaled axes change their size.", where=where, expected=f"images of shape {tuple(images.shape)} with "
            f"other sizes along axes {axes}", got=f"output_shape={tuple(output_shape)}",
        )  # fmt: skip
    x = images
    for i, axis in enumerate(axes):
        old, new = x.shape[axis], int(output_shape[axis] or x.shape[axis])
        centres = (xp.arange(new) + 0.5 - translation[i]) / scale[i] - 0.5
        weights = _mixture(xp, old, centres, scale[i], _METHODS[method], antialias)
        inside = xp.logical_and(centres >= -0.5, centres <= old - 0.5)
        x = _mixed(x, axis, xp.where(inside, weights, 0))
    return x
