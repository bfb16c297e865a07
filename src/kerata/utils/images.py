"""Single images: between files, Pillow's images and arrays. Folders of images are the matter of `kerata.data`."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kerata import config, errors
from kerata.data import pictures

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]

_RESAMPLINGS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


@errors.user_facing
def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Any = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """Return an image file as an image of Pillow.

    Args:
        path: a path, or an `io.BytesIO`.
        color_mode: "rgb", "rgba" or "grayscale".
        target_size: (height, width) to bring it to; None leaves it as it is.
        interpolation: "nearest", "bilinear", "bicubic", "hamming", "box" or "lanczos", as Pillow does them.
        keep_aspect_ratio: cut the image to the new proportions rather than squeeze it.

    Example:
        >>> kerata.utils.save_img("gray.png", numpy.zeros((20, 30, 1)))
        >>> image = kerata.utils.load_img("gray.png", target_size=(8, 8))
        >>> kerata.utils.img_to_array(image).shape
        (8, 8, 3)
    """
    if not isinstance(path, (str, bytes, os.PathLike, io.BytesIO)):
        raise errors.InvalidType(
            "this is no path.", where="load_img: path", expected="a path or an io.BytesIO", got=type(path).__name__
        )
    image = pictures.opened(path if isinstance(path, io.BytesIO) else os.fspath(path), color_mode, "load_img")
    if target_size is None or image.size == (target_size[1], target_size[0]):
        return image
    if interpolation not in _RESAMPLINGS:
        raise errors.UnknownName("interpolation", interpolation, _RESAMPLINGS, where="load_img")
    resampling = getattr(pictures.pillow("load_img").Resampling, interpolation.upper())
    height, width = target_size
    box = None
    if keep_aspect_ratio:
        columns = min(image.width, image.height * width // height)
        rows = min(image.height, image.width * height // width)
        left, top = (image.width - columns) // 2, (image.height - rows) // 2
        box = left, top, left + columns, top + rows
    return image.resize((width, height), resampling, box=box)


@errors.user_facing
def img_to_array(img: Any, data_format: str | None = None, dtype: str | None = None) -> np.ndarray:
    """Return an image as an array (H, W, C), or (C, H, W) for "channels_first"; values stay as they are.

    Args:
        img: an image of Pillow, or an array (H, W) or (H, W, C).
        dtype: `kerata.config.floatx()` by default.
    """
    array = np.asarray(img, dtype=dtype or config.floatx())
    if array.ndim not in (2, 3):
        raise errors.ShapeMismatch("an image has 2 or 3 axes.", where="img_to_array: img", got=array.shape)
    array = array.reshape(*array.shape[:2], -1)
    return array.transpose(2, 0, 1) if config.standardize_data_format(data_format) == "channels_first" else array


@errors.user_facing
def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: str | None = None) -> Any:
    """Return an array (H, W, C) as an image of Pillow, with C = 1, 3 or 4.

    Args:
        x: the array; (C, H, W) for "channels_first".
        scale: bring the smallest value to 0 and the largest to 255.
        dtype: what is computed in; `kerata.config.floatx()` by default.
    """
    Image = pictures.pillow("array_to_img")
    first = config.standardize_data_format(data_format) == "channels_first"
    array = np.asarray(x, dtype=dtype or config.floatx())
    if array.ndim != 3:
        raise errors.ShapeMismatch("an image has 3 axes.", where="array_to_img: x", got=array.shape)
    array = array.transpose(1, 2, 0) if first else array
    channels = array.shape[2]
    if channels not in (1, 3, 4):
        raise errors.ShapeMismatch(
            "there are no images of so many channels.", where="array_to_img: x", expected="1, 3 or 4", got=channels
        )
    if scale:
        array = array - array.min()
        array = array / (array.max() or 1) * 255
    if channels > 1:
        return Image.fromarray(array.astype("uint8"))
    plane = array[:, :, 0]
    return Image.fromarray(plane.astype("int32" if plane.max() > 255 else "uint8"))


@errors.user_facing
def save_img(
    path: Any, x: Any, data_format: str | None = None, file_format: str | None = None, scale: bool = True, **kwargs: Any
) -> None:
    """Write an array as an image file.

    Args:
        path: a path, or a file open for writing (which needs `file_format`).
        x, data_format, scale: as in `array_to_img`.
        file_format: "png", "jpeg" …; by default what the ending of `path` says.
        **kwargs: for `save` of Pillow.
    """
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = Path(path).suffix[1:]
    file_format = {"jpg": "jpeg"}.get((file_format or "").lower(), file_format) or None
    image = array_to_img(x, data_format=data_format, scale=scale)
    if image.mode == "RGBA" and (file_format or "").lower() == "jpeg":
        warnings.warn("JPEG has no transparency: the image is written without its fourth channel.", stacklevel=3)
        image = image.convert("RGB")
    image.save(path, format=file_format, **kwargs)


@errors.user_facing
def smart_resize(
    x: Any, size: Any, interpolation: str = "bilinear", data_format: str = "channels_last", **kwargs: Any
) -> Any:
    """Return images in another size, cut to the new proportions first rather than squeezed.

    Args:
        x: (H, W, C) or (B, H, W, C), of NumPy (and so is the result) or of the engine.
        size: (height, width).
        interpolation: as in `kerata.ops.image.resize`.
    """
    from kerata import ops

    kwargs.pop("backend_module", None)
    if kwargs:
        raise errors.InvalidType("unknown arguments.", where="smart_resize", got=sorted(kwargs))
    if len(size) != 2:
        raise errors.InvalidArgument("a size is a height and a width.", where="smart_resize: size", got=size)
    if len(x.shape) not in (3, 4):
        raise errors.ShapeMismatch("images have 3 or 4 axes.", where="smart_resize: x", got=tuple(x.shape))
    first = data_format == "channels_first"
    rows, columns = pictures.middle(x.shape[-2:] if first else x.shape[-3:-1], size)
    cut = x[..., rows, columns] if first else x[..., rows, columns, :]
    result = ops.image.resize(cut, size, interpolation=interpolation, data_format=data_format)
    return ops.convert_to_numpy(result) if isinstance(x, np.ndarray) else result
