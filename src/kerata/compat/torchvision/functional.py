"""The transforms as functions, with the interface of `torchvision.transforms.functional`."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kerata import errors
from kerata.compat.torchvision.images import as_image, as_planes, like, size

__all__ = [
    "InterpolationMode", "center_crop", "convert_image_dtype", "crop", "hflip", "normalize", "pad", "pil_to_tensor",
    "resize", "resized_crop", "rgb_to_grayscale", "rotate", "to_grayscale", "to_pil_image", "to_tensor", "vflip",
]  # fmt: skip


class InterpolationMode(enum.Enum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


def _pair(value: Any) -> tuple[Any, Any]:
    return (value[0], value[-1]) if isinstance(value, Sequence) else (value, value)


# Values -----------------------------------------------------------------------------------------------------------


def to_tensor(pic: Any) -> torch.Tensor:
    """Return an image as a float tensor (C, H, W); bytes are scaled to 0 … 1."""
    if isinstance(pic, torch.Tensor):
        raise errors.InvalidType("it is a tensor already.", where="to_tensor", expected="an image", got="a tensor")
    planes = as_planes(pic)
    return planes.to(torch.get_default_dtype()).div(255) if planes.dtype == torch.uint8 else planes


def pil_to_tensor(pic: Any) -> torch.Tensor:
    """Return an image as a tensor (C, H, W) of its own values."""
    return as_planes(pic)


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """Return a tensor (C, H, W) or an array (H, W, C) as an image; floats from 0 to 1 become bytes."""
    if isinstance(pic, torch.Tensor):
        planes = pic if pic.ndim == 3 else pic[None]
        pic = planes.permute(1, 2, 0).cpu().numpy()
        pic = (pic * 255).astype(np.uint8) if pic.dtype.kind == "f" else pic
    return as_image(pic[:, :, 0] if pic.ndim == 3 and pic.shape[2] == 1 else pic)


def convert_image_dtype(image: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return `image` in another dtype, its values scaled so that the brightest stays the brightest."""
    if image.dtype == dtype:
        return image
    if image.is_floating_point():
        if dtype.is_floating_point:
            return image.to(dtype)
        return (image * (torch.iinfo(dtype).max + 1.0 - 1e-3)).to(dtype)
    brightest = torch.iinfo(image.dtype).max
    if dtype.is_floating_point:
        return image.to(dtype) / brightest
    ratio = (torch.iinfo(dtype).max + 1) / (brightest + 1)
    return (image.to(torch.int64) * ratio).to(dtype)


def normalize(tensor: torch.Tensor, mean: Any, std: Any, inplace: bool = False) -> torch.Tensor:
    """Return (x - mean) / std, by channel."""
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        raise errors.InvalidType(
            "it normalizes floats.", where="Normalize", expected="a float tensor (…, C, H, W)",
            got=getattr(tensor, "dtype", type(tensor).__name__), hint="put ToTensor() before it",
        )  # fmt: skip
    mean, std = (torch.as_tensor(x, dtype=tensor.dtype, device=tensor.device) for x in (mean, std))
    if bool((std == 0).any()):
        raise errors.InvalidArgument("a standard deviation of 0 divides by nothing.", where="Normalize: std", got=std)
    mean, std = (x.reshape(-1, 1, 1) if x.ndim == 1 else x for x in (mean, std))
    return (tensor if inplace else tensor.clone()).sub_(mean).div_(std)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """Return the brightness 0.299 red + 0.587 green + 0.114 blue, in one channel or three (ITU-R BT.601)."""
    planes = as_planes(img)
    if planes.shape[-3] == 3:
        weights = torch.tensor([0.2989, 0.587, 0.114]).reshape(3, 1, 1).to(planes.device)
        planes = (planes * weights).sum(-3, keepdim=True).to(planes.dtype)
    return like(img, planes.repeat_interleave(num_output_channels, -3) if num_output_channels > 1 else planes)


to_grayscale = rgb_to_grayscale


# Places -----------------------------------------------------------------------------------------------------------


def hflip(img: Any) -> Any:
    """Return the image with left and right exchanged."""
    return like(img, as_planes(img).flip(-1))


def vflip(img: Any) -> Any:
    """Return the image upside down."""
    return like(img, as_planes(img).flip(-2))


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Return the image with cells around: `padding` on all sides, or (x, y), or (left, top, right, bottom)."""
    sides = (padding,) * 4 if isinstance(padding, int) else tuple(padding) * (4 // len(padding))
    left, top, right, bottom = sides
    planes = as_planes(img)
    if padding_mode == "constant":
        padded = torch.nn.functional.pad(planes, (left, right, top, bottom), value=fill)
    else:
        rows, columns = (
            torch.from_numpy(np.pad(np.arange(length), around, mode=padding_mode))  # type: ignore[call-overload]
            for length, around in zip(planes.shape[-2:], ((top, bottom), (left, right)))
        )
        padded = planes[..., rows[:, None], columns]
    return like(img, padded)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """Return a rectangle of the image; what lies outside of it is 0."""
    planes = as_planes(img)
    h, w = planes.shape[-2:]
    around = max(-left, 0), max(left + width - w, 0), max(-top, 0), max(top + height - h, 0)
    if any(around):
        planes = torch.nn.functional.pad(planes, around)
        left, top = max(left, 0), max(top, 0)
    return like(img, planes[..., top : top + height, left : left + width])


def center_crop(img: Any, output_size: Any) -> Any:
    """Return the middle of the image; a smaller image gets 0 around."""
    height, width = _pair(output_size)
    h, w = size(img)
    return crop(img, round((h - height) / 2), round((w - width) / 2), height, width)


def resize(
    img: Any, size: Any, interpolation: Any = InterpolationMode.BILINEAR, max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:  # fmt: skip
    """Return the image in another size: (height, width), or one number for its shorter side."""
    planes = as_planes(img)
    h, w = planes.shape[-2:]
    if isinstance(size, int) or len(size) == 1:
        short = size if isinstance(size, int) else size[0]
        height, width = (short, int(short * w / h)) if h <= w else (int(short * h / w), short)
        if max_size is not None and max(height, width) > max_size:
            ratio = max_size / max(height, width)
            height, width = int(ratio * height), int(ratio * width)
    else:
        height, width = size
    if (height, width) == (h, w):
        return img
    mode = InterpolationMode(interpolation).value
    smooth = {"antialias": bool(antialias), "align_corners": False} if mode in ("bilinear", "bicubic") else {}
    batch = planes.reshape(-1, 1, h, w)
    exact = batch if batch.is_floating_point() else batch.float()
    resized = torch.nn.functional.interpolate(exact, (height, width), mode=mode, **smooth)
    if not planes.is_floating_point():
        limits = torch.iinfo(planes.dtype)
        resized = resized.round().clamp(limits.min, limits.max).to(planes.dtype)
    return like(img, resized.reshape(*planes.shape[:-2], height, width))


def resized_crop(
    img: Any, top: int, left: int, height: int, width: int, size: Any,
    interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True,
) -> Any:  # fmt: skip
    """Return a rectangle of the image in another size."""
    return resize(crop(img, top, left, height, width), _pair(size), interpolation, None, antialias)


def rotate(img: Any, angle: float, interpolation: Any = InterpolationMode.NEAREST, fill: Any = 0) -> Any:
    """Return the image turned around its middle by `angle` degrees, against the clock."""
    planes = as_planes(img)
    h, w = planes.shape[-2:]
    turn = torch.deg2rad(torch.tensor(float(angle)))
    cos, sin = turn.cos(), turn.sin()
    y, x = torch.meshgrid(torch.arange(h) - (h - 1) / 2, torch.arange(w) - (w - 1) / 2, indexing="ij")
    grid = torch.stack([(cos * x - sin * y) / (w / 2), (sin * x + cos * y) / (h / 2)], -1)[None]
    batch = planes.reshape(1, -1, h, w)
    exact = batch if batch.is_floating_point() else batch.float()
    mode = InterpolationMode(interpolation).value
    turned = torch.nn.functional.grid_sample(exact - fill, grid.to(exact), mode=mode, align_corners=False) + fill
    turned = turned if planes.is_floating_point() else turned.round().to(planes.dtype)
    return like(img, turned.reshape(planes.shape))
