"""What the transforms take: an image of Pillow, an array (H, W) or (H, W, C), or a tensor (…, C, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kerata import errors

__all__ = ["as_image", "as_planes", "like", "size"]

try:
    from PIL import Image  # type: ignore[import-not-found]
except ImportError:
    Image = None


def as_image(array: np.ndarray) -> Any:
    """Return an array (H, W) or (H, W, C) as an image of Pillow, where that is installed."""
    return array if Image is None else Image.fromarray(array)


def as_planes(image: Any) -> torch.Tensor:
    """Return any image as a tensor (…, C, H, W) of its own dtype."""
    if isinstance(image, torch.Tensor):
        return image
    if not isinstance(image, np.ndarray) and not hasattr(image, "getbands"):
        raise errors.InvalidType(
            "this is no image.", where="torchvision.transforms", got=type(image).__name__,
            expected="an image of Pillow, an array (H, W) or (H, W, C), or a tensor (…, C, H, W)",
        )  # fmt: skip
    array = np.array(image)  # a copy: a transform may write into it
    array = array.astype(np.uint8) if array.dtype == bool else array
    if array.ndim not in (2, 3):
        raise errors.ShapeMismatch("an image has 2 or 3 axes.", where="torchvision.transforms", got=array.shape)
    return torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1).contiguous()


def like(image: Any, planes: torch.Tensor) -> Any:
    """Return `planes` as the kind of thing that `image` is."""
    if isinstance(image, torch.Tensor):
        return planes
    array = planes.permute(1, 2, 0).contiguous().numpy()
    flat = array[:, :, 0] if array.shape[2] == 1 else array
    if isinstance(image, np.ndarray):
        return array if image.ndim == 3 else flat
    return as_image(flat)


def size(image: Any) -> tuple[int, int]:
    """Return height and width."""
    if isinstance(image, torch.Tensor):
        return int(image.shape[-2]), int(image.shape[-1])
    return (image.shape[0], image.shape[1]) if isinstance(image, np.ndarray) else (image.height, image.width)
