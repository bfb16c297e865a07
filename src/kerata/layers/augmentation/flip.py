"""`RandomFlip`: images mirrored, or not."""

from __future__ import annotations

from typing import Any

from kerata import ops
from kerata.layers.arguments import one_of
from kerata.layers.augmentation.base import BaseImagePreprocessingLayer

__all__ = ["RandomFlip"]

_AXES = {"horizontal": ("width",), "vertical": ("height",), "horizontal_and_vertical": ("width", "height")}


class RandomFlip(BaseImagePreprocessingLayer):
    """In training each image, with the chance of one half, is mirrored.

    Args:
        mode: "horizontal" for left and right, "vertical" for top and bottom, "horizontal_and_vertical" for both at
            once, which is half a turn.
        seed: an int for the same draws each time the program runs.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> flipped = kerata.layers.RandomFlip("horizontal", seed=1)(numpy.arange(6.0).reshape(2, 1, 3, 1))
        >>> flipped.shape
        (2, 1, 3, 1)
    """

    def __init__(
        self, mode: str = "horizontal_and_vertical", seed: int | None = None, data_format: str | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(data_format=data_format, **kwargs)
        self.mode = one_of(self, "mode", mode, tuple(_AXES))
        self._draw_from(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return {"flips": whether, (B, 1, 1, 1), "input_shape": of the images}; None outside of training."""
        if not training:
            return None
        shape = self._shape_of(data)
        return {"flips": self._draw((*shape[:-3], 1, 1, 1), (0, 1), seed) <= 0.5, "input_shape": shape}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._flipped(ops.cast(images, self.compute_dtype), transformation, training)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self._flipped(segmentation_masks, transformation, training)

    def _flipped(self, x: Any, transformation: Any, training: bool) -> Any:
        if not training or transformation is None:
            return x
        axes = [getattr(self, f"{name}_axis") for name in _AXES[self.mode]]
        return ops.where(transformation["flips"], ops.flip(x, axes), x)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return bounding_boxes
        height, width = self._height_width(transformation["input_shape"])
        flips = ops.reshape(transformation["flips"], (-1, 1, 1))

        def flipped(boxes: Any) -> Any:
            x1, y1, x2, y2 = ops.split(boxes, 4, axis=-1)
            if "width" in _AXES[self.mode]:
                x1, x2 = width - x2, width - x1
            if "height" in _AXES[self.mode]:
                y1, y2 = height - y2, height - y1
            return ops.where(flips, ops.concatenate([x1, y1, x2, y2], axis=-1), boxes)

        return self._boxes_changed(bounding_boxes, flipped, (height, width))
