"""How much boxes overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kerata import config, errors, ops
from kerata.layers.augmentation.boxes import area, convert_format

__all__ = ["compute_ciou", "compute_iou"]


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Sequence[int] | None = None,
) -> Any:
    """Return the intersection over the union of each box with each: (N, M), or (B, N, M) where one has a batch.

    Args:
        boxes1: (N, 4) or (B, N, 4).
        boxes2: (M, 4) or (B, M, 4).
        bounding_box_format: of both, as for `convert_format`.
        use_masking: whether pairs with a box whose numbers all lie below 0 have `mask_val`.
        image_shape: (height, width, channels), which formats relative to it need.

    Example:
        >>> iou = kerata.utils.bounding_boxes.compute_iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [5, 5, 6, 6]], "xyxy")
        >>> [round(float(x), 3) for x in iou[0]]
        [0.333, 0.0]
    """
    boxes1, boxes2 = (_corners(x, bounding_box_format, image_shape, "compute_iou") for x in (boxes1, boxes2))
    for name, boxes in (("boxes1", boxes1), ("boxes2", boxes2)):
        if boxes.ndim not in (2, 3):
            raise errors.ShapeMismatch(
                f"`{name}` cannot be this.", where="bounding_boxes.compute_iou", expected="(N, 4) or (B, N, 4)",
                got=f"shape {tuple(boxes.shape)}",
            )  # fmt: skip
    one, other = boxes1[..., :, None, :], boxes2[..., None, :, :]
    shared = _intersection(one, other)
    iou = shared / (area(one) + area(other) - shared + config.epsilon())
    if not use_masking:
        return iou
    masked = ops.logical_or(ops.max(one, axis=-1) < 0, ops.max(other, axis=-1) < 0)
    return ops.where(masked, ops.cast(mask_val, "float32"), iou)


def compute_ciou(
    boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Sequence[int] | None = None
) -> Any:
    """Return the complete IoU of each box with the one at its place: (…,) for boxes (…, 4).

    It is IoU - d² / c² - α v, with d the distance of the centres, c the diagonal of the box around both,
    v = 4 / π² (atan w₂/h₂ - atan w₁/h₁)² and α = v / (1 - IoU + v).

    Args:
        boxes1, boxes2: (…, 4).
        bounding_box_format: of both, as for `convert_format`.
        image_shape: (height, width, channels), which formats relative to it need.

    Example:
        >>> box = [[0.0, 0.0, 2.0, 2.0]]
        >>> round(float(kerata.utils.bounding_boxes.compute_ciou(box, box, "xyxy")[0]), 3)
        1.0

    Source: Zheng et al. (2020), Distance-IoU loss.
    """
    boxes1, boxes2 = (_corners(x, bounding_box_format, image_shape, "compute_ciou") for x in (boxes1, boxes2))
    epsilon = config.epsilon()
    shared = _intersection(boxes1, boxes2)
    iou = shared / (area(boxes1) + area(boxes2) - shared + epsilon)
    around = ops.maximum(boxes1[..., 2:], boxes2[..., 2:]) - ops.minimum(boxes1[..., :2], boxes2[..., :2])
    apart = _centre(boxes1) - _centre(boxes2)
    v = 4 / math.pi**2 * ops.square(_slope(boxes2, epsilon) - _slope(boxes1, epsilon))
    alpha = v / (v - iou + 1 + epsilon)
    return iou - (ops.sum(ops.square(apart), -1) / (ops.sum(ops.square(around), -1) + epsilon) + v * alpha)


def _corners(boxes: Any, name: str, image_shape: Sequence[int] | None, where: str) -> Any:
    if "rel" in name and image_shape is None:
        raise errors.InvalidArgument(
            "shares need the image's size.", where=f"bounding_boxes.{where}", got=f"{name!r}, image_shape=None",
        )  # fmt: skip
    height, width = (None, None) if image_shape is None else image_shape[:2]
    return convert_format(boxes, name, "xyxy", height, width)


def _intersection(one: Any, other: Any) -> Any:
    sides = ops.minimum(one[..., 2:], other[..., 2:]) - ops.maximum(one[..., :2], other[..., :2])
    return ops.prod(ops.maximum(sides, 0), axis=-1)


def _centre(boxes: Any) -> Any:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _slope(boxes: Any, epsilon: float) -> Any:
    return ops.arctan((boxes[..., 2] - boxes[..., 0]) / (boxes[..., 3] - boxes[..., 1] + epsilon))
