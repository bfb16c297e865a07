"""Images cropped and resized to one size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kerata import ops
from kerata.layers.arguments import positive, with_defaults
from kerata.layers.augmentation.base import BaseImagePreprocessingLayer
from kerata.layers.augmentation.boxes import reframed

__all__ = ["CenterCrop", "RandomCrop", "Resizing"]


class _Framing(BaseImagePreprocessingLayer):
    """A layer whose results have one `height` and `width`."""

    height: int
    width: int

    def _bring_to(self, height: int, width: int) -> None:
        self.height, self.width = positive(self, "height", height), positive(self, "width", width)

    def _middle(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return corner and size of the largest part in the middle with the new proportions."""
        part = (
            max(min(height, int(width * self.height / self.width)), 1),
            max(min(width, int(height * self.width / self.height)), 1),
        )
        return ((height - part[0]) // 2, (width - part[1]) // 2), part

    def _fits(self, height: int, width: int) -> bool:
        return height >= self.height and width >= self.width

    def _framed(self, x: Any, corner: Sequence[Any], size: tuple[int, int], interpolation: str) -> Any:
        """Return the part of images that has this corner and size, in the new size."""
        start, shape = [0] * x.ndim, list(x.shape)
        for axis, at, length in zip((self.height_axis, self.width_axis), corner, size):
            start[axis], shape[axis] = at, length
        x = ops.slice(x, start, shape)
        if size == (self.height, self.width):
            return x
        return ops.image.resize(x, (self.height, self.width), interpolation, data_format=self.data_format)

    def _reframed_boxes(
        self, bounding_boxes: Any, input_size: tuple[int, int], corner: Sequence[Any], size: tuple[int, int]
    ) -> Any:
        """Return boxes as they are in that part of the image."""
        new_size = (self.height, self.width)
        return self._boxes_changed(
            bounding_boxes, lambda boxes: reframed(boxes, corner, size, new_size), input_size, new_size
        )


class CenterCrop(_Framing):
    """Takes the middle of each image, in training or not.

    Of an image that is too small, the largest part of its middle with the new proportions is resized.

    Args:
        height, width: of the results.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> kerata.layers.CenterCrop(1, 2)(numpy.arange(12.0).reshape(3, 4, 1))[..., 0].tolist()
        [[5.0, 6.0]]
    """

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._bring_to(height, width)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any]:
        """Return {"input_shape": of the images}."""
        return {"input_shape": self._shape_of(data)}

    def _part(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        if not self._fits(height, width):
            return self._middle(height, width)
        return ((height - self.height) // 2, (width - self.width) // 2), (self.height, self.width)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        images = ops.cast(images, self.compute_dtype)
        return self._framed(images, *self._part(*self._height_width(images.shape)), "bilinear")

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        size = self._height_width(segmentation_masks.shape)
        return self._framed(segmentation_masks, *self._part(*size), "nearest")

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        size = self._height_width(transformation["input_shape"])
        return self._reframed_boxes(bounding_boxes, size, *self._part(*size))


class _Corner(tuple):
    """(top, left) of a part, which remembers the size of what it is a part of."""

    input_size: tuple[int, int]


class RandomCrop(_Framing):
    """In training takes a part of the images, the same for all of a batch.

    Of images that are too small, the largest part of their middle with the new proportions is resized. Outside of
    training images keep their size.

    Args:
        height, width: of the results.
        seed: an int for the same draws each time the program runs.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> kerata.layers.RandomCrop(4, 6)(numpy.ones((2, 8, 8, 3))).shape
        (2, 4, 6, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, name=name, **kwargs)
        self._bring_to(height, width)
        self._draw_from(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> tuple[Any, Any]:
        """Return (top, left) of the part."""
        height, width = self._height_width(self._shape_of(data))
        if training and self._fits(height, width):
            spare = (height - self.height, width - self.width)
            found = _Corner(ops.cast(ops.floor(self._draw((), (0, n + 1), seed)), "int32") for n in spare)
        else:
            found = _Corner(self._middle(height, width)[0])
        found.input_size = (height, width)
        return found

    def _part(self, height: int, width: int) -> tuple[int, int]:
        return (self.height, self.width) if self._fits(height, width) else self._middle(height, width)[1]

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._cropped(ops.cast(images, self.compute_dtype), transformation, training, "bilinear")

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self._cropped(segmentation_masks, transformation, training, "nearest")

    def _cropped(self, x: Any, transformation: Any, training: bool, interpolation: str) -> Any:
        if not training:
            return x
        return self._framed(x, transformation, self._part(*self._height_width(x.shape)), interpolation)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return bounding_boxes
        # Somebody's own (top, left) tells no size; then absolute boxes of images that are large enough are meant.
        size = getattr(transformation, "input_size", (self.height, self.width))
        return self._reframed_boxes(bounding_boxes, size, transformation, self._part(*size))


class Resizing(_Framing):
    """Resizes images, in training or not; they keep their dtype if they are integers.

    Args:
        height, width: of the results.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5"; masks take "nearest".
        crop_to_aspect_ratio: whether what is too long for the new proportions is cut off at both ends first.
        pad_to_aspect_ratio: whether what is too short for them gets borders first.
        fill_mode: "constant", for borders of `fill_value`.
        fill_value: of the borders.
        antialias: whether shrinking averages over all the cells that it drops.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> kerata.layers.Resizing(2, 2, pad_to_aspect_ratio=True)(numpy.ones((2, 4, 1)))[..., 0].tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._bring_to(height, width)
        self.interpolation, self.antialias = interpolation, bool(antialias)
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = crop_to_aspect_ratio, pad_to_aspect_ratio
        self.fill_mode, self.fill_value = fill_mode, fill_value

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> tuple[int, int]:
        """Return (height, width) of the images."""
        return self._height_width(self._shape_of(data))

    transform_labels = with_defaults(BaseImagePreprocessingLayer.transform_labels, transformation=None)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        return self._resized(images, self.interpolation)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        return self._resized(segmentation_masks, "nearest")

    def _resized(self, x: Any, interpolation: str) -> Any:
        return ops.image.resize(
            x, (self.height, self.width), interpolation=interpolation, antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio, pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode, fill_value=self.fill_value, data_format=self.data_format,
        )  # fmt: skip

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        height, width = transformation
        part = (height, width)
        ratio = self.height / self.width
        if self.crop_to_aspect_ratio:
            part = min(height, int(width * ratio)), min(width, int(height / ratio))
        elif self.pad_to_aspect_ratio:
            part = max(height, math.ceil(width * ratio)), max(width, math.ceil(height / ratio))
        # Borders begin outside of the image: there the corner lies above or to the left of it.
        corner = [int((old - new) / 2) for old, new in zip((height, width), part)]
        boxes = ops.convert_to_tensor(bounding_boxes["boxes"])
        empty = ops.logical_or(ops.all(boxes == -1, -1, keepdims=True), ops.all(boxes == 0, -1, keepdims=True))
        found = self._reframed_boxes(bounding_boxes, (height, width), corner, part)
        kept = ops.where(empty, 0.0, found["boxes"])
        return {**found, "boxes": kept}
