"""Boxes told as what differs from anchors, which is what the head of a detector gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import config, errors, ops
from kerata.layers.augmentation.boxes import convert_format

__all__ = ["decode_deltas_to_boxes", "encode_box_to_deltas"]


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Sequence[int] | None = None,
) -> Any:
    """Return how boxes differ from anchors: centres as shares of the anchor, sizes as logarithms of their ratio.

    Args:
        anchors: (N, 4).
        boxes: (N, 4) or (B, N, 4).
        anchor_format, box_format: as for `convert_format`.
        encoding_format: the order of the result, "center_yxhw" or "center_xywh".
        variance: four numbers to divide by.
        image_shape: (height, width, channels), which formats relative to it need.

    Example:
        >>> deltas = kerata.utils.bounding_boxes.encode_box_to_deltas(
        ...     [[0, 0, 10, 10]], [[5, 0, 15, 10]], "xyxy", "xyxy", encoding_format="center_xywh"
        ... )
        >>> deltas.tolist()
        [[0.5, 0.0, 0.0, 0.0]]

    Source: Girshick et al. (2014), Rich feature hierarchies for accurate object detection, appendix C.
    """
    where = "bounding_boxes.encode_box_to_deltas"
    variance = _checked(variance, encoding_format, where)
    height, width = _size(image_shape)
    anchors = convert_format(anchors, anchor_format, encoding_format, height, width)
    boxes = convert_format(boxes, box_format, encoding_format, height, width)
    size, new_size = (ops.maximum(x[..., 2:], config.epsilon()) for x in (anchors, boxes))
    away = (boxes[..., :2] - anchors[..., :2]) / size
    logarithm = ops.log(new_size / size)
    deltas = ops.concatenate([ops.broadcast_to(away, logarithm.shape), logarithm], axis=-1)
    return deltas if variance is None else deltas / variance


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Sequence[int] | None = None,
) -> Any:
    """Return the boxes that differ from anchors as `encode_box_to_deltas` has told.

    Args:
        anchors: (N, 4), or a dictionary of them by level.
        boxes_delta: (N, 4) or (B, N, 4), or a dictionary of them by level.
        anchor_format, box_format: as for `convert_format`.
        encoded_format: the order of the deltas, "center_yxhw" or "center_xywh".
        variance: four numbers that the deltas were divided by.
        image_shape: (height, width, channels), which formats relative to it need.

    Example:
        >>> boxes = kerata.utils.bounding_boxes.decode_deltas_to_boxes(
        ...     [[0, 0, 10, 10]], [[0.5, 0.0, 0.0, 0.0]], "xyxy", "xyxy", encoded_format="center_xywh"
        ... )
        >>> boxes.tolist()
        [[5.0, 0.0, 15.0, 10.0]]
    """
    variance = _checked(variance, encoded_format, "bounding_boxes.decode_deltas_to_boxes")
    height, width = _size(image_shape)

    def decoded(anchors: Any, deltas: Any) -> Any:
        anchors = convert_format(anchors, anchor_format, encoded_format, height, width)
        deltas = ops.convert_to_tensor(deltas)
        deltas = deltas if variance is None else deltas * variance
        size = anchors[..., 2:]
        boxes = [deltas[..., :2] * size + anchors[..., :2], ops.exp(deltas[..., 2:]) * size]
        return convert_format(ops.concatenate(boxes, axis=-1), encoded_format, box_format, height, width)

    if isinstance(anchors, dict):
        return {level: decoded(anchors[level], boxes_delta[level]) for level in anchors}
    return decoded(anchors, boxes_delta)


def _checked(variance: Any, encoding: str, where: str) -> Any:
    if encoding not in ("center_xywh", "center_yxhw"):
        raise errors.InvalidArgument(
            "deltas are told by centres.", where=where, expected='"center_xywh" or "center_yxhw"', got=encoding
        )
    if variance is None:
        return None
    variance = ops.convert_to_tensor(variance, "float32")
    if variance.shape[-1:] != (4,):
        raise errors.ShapeMismatch("the variance is four numbers.", where=where, got=f"shape {tuple(variance.shape)}")
    return variance


def _size(image_shape: Sequence[int] | None) -> tuple[Any, Any]:
    return (None, None) if image_shape is None else (image_shape[0], image_shape[1])
