"""`MaxNumBoundingBoxes`: as many boxes for each image, whatever is in it."""

from __future__ import annotations

from typing import Any

from kerata import ops
from kerata.layers.arguments import positive, with_defaults
from kerata.layers.augmentation.base import BaseImagePreprocessingLayer

__all__ = ["MaxNumBoundingBoxes"]


class MaxNumBoundingBoxes(BaseImagePreprocessingLayer):
    """Cuts or fills up the boxes of each image to a number, so that batches have one shape. Images stay as they are.

    Args:
        max_number: how many.
        fill_value: what the boxes that are missing, and their labels, are filled with.

    Example:
        >>> layer = kerata.layers.MaxNumBoundingBoxes(2, bounding_box_format="xyxy")
        >>> boxes = {"boxes": numpy.ones((1, 1, 4)), "labels": numpy.array([[5]])}
        >>> found = layer({"images": numpy.ones((1, 8, 8, 3)), "bounding_boxes": boxes})["bounding_boxes"]
        >>> found["boxes"].shape, found["labels"].tolist()
        ((1, 2, 4), [[5, -1]])
    """

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_number = positive(self, "max_number", int(max_number))
        self.fill_value = int(fill_value)

    transform_labels = with_defaults(BaseImagePreprocessingLayer.transform_labels, transformation=None)
    transform_segmentation_masks = with_defaults(
        BaseImagePreprocessingLayer.transform_segmentation_masks, transformation=None
    )

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        return images

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        result = dict(bounding_boxes)
        for name in ("boxes", "labels"):
            kept = result[name][:, : self.max_number]
            missing = [(0, 0)] * kept.ndim
            missing[1] = (0, self.max_number - kept.shape[1])
            result[name] = ops.pad(kept, missing, constant_values=self.fill_value)
        return result
