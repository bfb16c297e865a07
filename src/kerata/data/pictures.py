"""Image files as arrays: read with Pillow, brought to one size with NumPy as TensorFlow does it."""

from __future__ import annotations

import functools
import math
import os
from typing import Any

import numpy as np

from kerata import errors
from kerata.ops.image import resampling

__all__ = ["COLOR_MODES", "INTERPOLATIONS", "MissingPillow", "middle", "opened", "pillow", "read", "resized"]

COLOR_MODES = {"grayscale": 1, "rgb": 3, "rgba": 4}
"""Numbers of channels."""


class MissingPillow(errors.Unsupported, ImportError):
    """Pillow, which reads and writes image files, is not installed."""


def pillow(where: str) -> Any:
    """Return the module `PIL.Image`."""
    try:
        from PIL import Image  # type: ignore[import-not-found]
    except ImportError:
        raise MissingPillow("image files need Pillow.", where=where, hint="pip install pillow") from None
    return Image


def opened(file: Any, color_mode: str, where: str) -> Any:
    """Return an image file as an image of Pillow in a color mode; gray of 16 or 32 bits stays so."""
    if color_mode not in COLOR_MODES:
        raise errors.UnknownName("color_mode", color_mode, COLOR_MODES, where=where)
    image = pillow(where).open(file)
    image.load()
    modes = {"grayscale": ("L", "I;16", "I"), "rgb": ("RGB",), "rgba": ("RGBA",)}[color_mode]
    return image if image.mode in modes else image.convert(modes[0])


def read(path: str | os.PathLike[str], color_mode: str = "rgb") -> np.ndarray:
    """Return an image file as uint8 (H, W, C); of an animation the first picture."""
    Image = pillow("image_dataset_from_directory")
    try:
        image = opened(path, color_mode, "image_dataset_from_directory")
    except (Image.UnidentifiedImageError, OSError, SyntaxError) as error:
        raise errors.CorruptFile("this file cannot be read as an image.", where=str(path), got=str(error)) from None
    array = np.asarray(image)
    array = (array >> 8).astype(np.uint8) if image.mode.startswith("I") else array
    return array.reshape(*array.shape[:2], -1)


def middle(shape: Any, size: Any) -> tuple[slice, slice]:
    """Return the rows and columns of the largest part in the middle of (H, W) that has the proportions of `size`."""
    height, width = shape
    rows = max(min(height, int(width * size[0] / size[1])), 1)
    columns = max(min(width, int(height * size[1] / size[0])), 1)
    top, left = int((height - rows) / 2), int((width - columns) / 2)
    return slice(top, top + rows), slice(left, left + columns)


def resized(image: np.ndarray, size: Any, interpolation: str, crop: bool = False, pad: bool = False) -> np.ndarray:
    """Return an image (H, W, C) in another size as float32, without smoothing before it shrinks.

    Args:
        crop: take the middle with the new proportions first.
        pad: keep the proportions of the whole, and put zeros around.
    """
    height, width = size
    if crop:
        image = image[middle(image.shape[:2], size)]
    if pad:
        ratio = max(image.shape[0] / height, image.shape[1] / width)
        rows, columns = math.floor(image.shape[0] / ratio), math.floor(image.shape[1] / ratio)
        top = max(0, math.floor((height - image.shape[0] / ratio) / 2))
        left = max(0, math.floor((width - image.shape[1] / ratio) / 2))
        inner = resized(image, (rows, columns), interpolation)
        return np.pad(inner, ((top, height - rows - top), (left, width - columns - left), (0, 0)))
    x = image.astype(np.float32)
    for axis, new in enumerate((height, width)):
        old = x.shape[axis]
        if new == old and interpolation not in ("gaussian", "mitchellcubic"):  # these two blur
            continue
        if interpolation == "nearest":
            x = np.take(x, np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1), axis)
            continue
        x = np.moveaxis(x, axis, 0)
        mixed = _weights(interpolation, old, new) @ x.reshape(old, -1)
        x = np.moveaxis(mixed.reshape(new, *x.shape[1:]), 0, axis)
    return np.ascontiguousarray(x)


@functools.lru_cache(maxsize=512)
def _weights(interpolation: str, old: int, new: int) -> Any:
    """Return the weights (new, old) as a sparse matrix: a new cell mixes only a few old ones."""
    from scipy import sparse

    return sparse.csr_array(_WEIGHTS[interpolation](old, new).T.astype(np.float32))


# Weights (old, new) of the old cells in each new one -----------------------------------------------------------


def _by(kernel: Any) -> Any:
    def weights(old: int, new: int) -> np.ndarray:
        scale = new / old
        return resampling._mixture(np, old, (np.arange(new) + 0.5) / scale - 0.5, scale, kernel, antialias=False)

    return weights


def _area(old: int, new: int) -> np.ndarray:
    """Each new cell is the mean of what it covers."""
    edges, cells = np.linspace(0, old, new + 1), np.arange(old)[:, None]
    return np.clip(np.minimum(cells + 1, edges[1:]) - np.maximum(cells, edges[:-1]), 0, 1) * new / old


def _mitchell(m: Any, x: Any) -> Any:
    """Mitchell and Netravali 1988, B = C = 1/3."""
    x = m.abs(x)
    near = ((7 * x - 12) * x * x + 16 / 3) / 6
    far = (((-7 / 3 * x + 12) * x - 20) * x + 32 / 3) / 6
    return m.where(x < 1, near, m.where(x < 2, far, 0))


def _gaussian(m: Any, x: Any) -> Any:
    return m.where(m.abs(x) < 1.5, m.exp(-2 * x * x), 0)  # σ = 1/2


_WEIGHTS = {
    **{name: _by(kernel) for name, kernel in resampling._KERNELS.items()},
    "area": _area, "gaussian": _by(_gaussian), "mitchellcubic": _by(_mitchell),
}  # fmt: skip
INTERPOLATIONS = ("nearest", *_WEIGHTS)
