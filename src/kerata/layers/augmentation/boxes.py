"""Bounding boxes in their formats, moved and cut. `kerata.utils.bounding_boxes` offers these to everybody.

A box covers the cells from x1 up to x2, which is outside: an image of width W is the box from 0 to W, and the centre of
its first cell lies at 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from kerata import errors, ops
from kerata.core.dtypes import dtype_of

__all__ = [
    "FORMATS", "affine_transform", "area", "clip_to_image_size", "convert_format", "crop", "pad", "reframed", "warped",
]  # fmt: skip

FORMATS = (
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh",
)  # fmt: skip
"""Two corners; or a corner or the centre, and the size. What is relative is a share of the image's width or height."""


# Formats --------------------------------------------------------------------------------------------------------


def convert_format(
    boxes: Any, source: str, target: str, height: Any = None, width: Any = None, dtype: Any = "float32"
) -> Any:
    """Return boxes in another format; a dictionary with "boxes" is answered with one.

    Args:
        boxes: (…, 4).
        source, target: "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", or one of these shares of the image:
            "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh".
        height, width: the image's size, which only shares need.

    Example:
        >>> kerata.utils.bounding_boxes.convert_format([[10, 20, 30, 60]], "xyxy", "center_xywh").tolist()
        [[20.0, 40.0, 20.0, 40.0]]
    """
    if isinstance(boxes, dict):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    where = "bounding_boxes.convert_format"
    source, target = (_format(name, where) for name in (source, target))
    boxes = ops.convert_to_tensor(boxes)
    if boxes.shape[-1:] != (4,):
        raise errors.ShapeMismatch("a box is four numbers.", where=where, got=f"shape {tuple(boxes.shape)}")
    relative = source.startswith("rel_"), target.startswith("rel_")
    if any(relative) and (height is None or width is None):
        raise errors.InvalidArgument(
            "shares need the image's size.", where=where, got=f"{source=}, {target=}, {height=}, {width=}"
        )
    boxes = ops.cast(boxes, dtype)
    if source == target:
        return boxes
    corners = _corners(boxes, source)
    if relative[0] != relative[1]:
        by = [ops.cast(width, dtype), ops.cast(height, dtype)] * 2
        corners = [c * n if relative[0] else c / n for c, n in zip(corners, by)]
    return ops.concatenate(_from_corners(corners, target), axis=-1)


def _format(name: str, where: str) -> str:
    if name.lower() not in FORMATS:
        raise errors.UnknownName("format of boxes", name, FORMATS, where=where)
    return name.lower()


def _columns(boxes: Any) -> list[Any]:
    return ops.split(boxes, 4, axis=-1)


def _rows_first(name: str) -> bool:
    return name.removeprefix("rel_").removeprefix("center_").startswith("y")


def _corners(boxes: Any, name: str) -> list[Any]:
    """Return x1, y1, x2, y2, each (…, 1), of boxes in a format."""
    a, b, c, d = _columns(boxes)
    x, y, right, bottom = (b, a, d, c) if _rows_first(name) else (a, b, c, d)
    if not name.endswith(("wh", "hw")):
        return [x, y, right, bottom]
    if "center" in name:
        x, y = x - right / 2, y - bottom / 2
    return [x, y, x + right, y + bottom]


def _from_corners(corners: list[Any], name: str) -> list[Any]:
    x, y, right, bottom = corners
    if name.endswith(("wh", "hw")):
        right, bottom = right - x, bottom - y
        if "center" in name:
            x, y = x + right / 2, y + bottom / 2
    return [y, x, bottom, right] if _rows_first(name) else [x, y, right, bottom]


def _only_xyxy(name: str, where: str, allowed: tuple[str, ...] = ("xyxy",)) -> None:
    if name not in allowed:
        raise errors.Unsupported(
            "boxes in this format have to be converted first.", where=f"bounding_boxes.{where}", expected=allowed,
            got=name, hint="kerata.utils.bounding_boxes.convert_format",
        )  # fmt: skip


# Cut and moved --------------------------------------------------------------------------------------------------


def clip_to_image_size(
    bounding_boxes: dict[str, Any], height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> dict[str, Any]:
    """Return boxes cut at the image's borders; the label of one that nothing is left of becomes -1.

    Args:
        bounding_boxes: {"boxes": (…, N, 4), "labels": (…, N)}; the labels may be missing.
        height, width: the image's size, which "xyxy" needs.
        bounding_box_format: "xyxy" or "rel_xyxy".

    Example:
        >>> given = {"boxes": [[-10.0, 5.0, 20.0, 90.0], [70.0, 5.0, 90.0, 9.0]], "labels": [1, 2]}
        >>> found = kerata.utils.bounding_boxes.clip_to_image_size(given, height=50, width=60)
        >>> found["boxes"].tolist(), found["labels"].tolist()
        ([[0.0, 5.0, 20.0, 50.0], [60.0, 5.0, 60.0, 9.0]], [1, -1])
    """
    _only_xyxy(bounding_box_format, "clip_to_image_size", ("xyxy", "rel_xyxy"))
    if bounding_box_format == "rel_xyxy":
        height = width = 1
    elif height is None or width is None:
        raise errors.InvalidArgument(
            "the image's size is missing.", where="bounding_boxes.clip_to_image_size", got=f"{height=}, {width=}"
        )
    boxes = ops.convert_to_tensor(bounding_boxes["boxes"])
    boxes = crop(boxes, 0, 0, ops.cast(height, dtype_of(boxes)), ops.cast(width, dtype_of(boxes)))
    labels = bounding_boxes.get("labels")
    if labels is None:
        return {**bounding_boxes, "boxes": boxes}
    labels = ops.where(area(boxes) > 0, labels, -1)
    return {**bounding_boxes, "boxes": boxes, "labels": labels}


def area(boxes: Any) -> Any:
    """Return the area (…) of "xyxy" boxes (…, 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def crop(boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy") -> Any:
    """Return "xyxy" boxes as they are in a part of the image: moved with its corner, and cut at its borders.

    Example:
        >>> kerata.utils.bounding_boxes.crop([[10.0, 20.0, 50.0, 60.0]], 15, 20, 40, 25).tolist()
        [[0.0, 5.0, 25.0, 40.0]]
    """
    _only_xyxy(bounding_box_format, "crop")
    ends = [width, height] * 2
    moved = _columns(pad(boxes, -top, -left))
    return ops.concatenate([ops.clip(x, 0, end) for x, end in zip(moved, ends)], axis=-1)


def pad(
    boxes: Any, top: Any, left: Any, height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> Any:
    """Return "xyxy" boxes as they are after so many rows and columns came before the image; sizes say nothing here.

    Example:
        >>> kerata.utils.bounding_boxes.pad([[1.0, 2.0, 3.0, 4.0]], top=10, left=20).tolist()
        [[21.0, 12.0, 23.0, 14.0]]
    """
    _only_xyxy(bounding_box_format, "pad")
    return ops.concatenate([x + by for x, by in zip(_columns(ops.convert_to_tensor(boxes)), [left, top] * 2)], axis=-1)


def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: Any,
    width: Any,
    center_x: Any = None,
    center_y: Any = None,
    bounding_box_format: str = "xyxy",
) -> Any:
    """Return the boxes around boxes that were turned, moved, scaled and sheared about the middle of the image.

    The cells of the image's grid are meant, whose middle is at ((width - 1) / 2, (height - 1) / 2).

    Args:
        boxes: "xyxy" (B, N, 4).
        angle, shear_x, shear_y: in degrees, (B,).
        translate_x, translate_y: shares of the image, (B,).
        scale: (B,).
        center_x, center_y: of the turn, as shares of the image; by default 0.5.

    Example:
        >>> import numpy
        >>> zero, one = numpy.zeros(1), numpy.ones(1)
        >>> boxes = numpy.array([[[0.0, 0.0, 4.0, 2.0]]])
        >>> turned = kerata.utils.bounding_boxes.affine_transform(
        ...     boxes, zero + 180, zero, zero, one, zero, zero, height=11, width=21
        ... )
        >>> numpy.round(turned).tolist()
        [[[16.0, 8.0, 20.0, 10.0]]]

    Source: the inverse of (turn, shear, scale) as PyTorch's vision library composes them.
    """
    _only_xyxy(bounding_box_format, "affine_transform")
    given = angle, translate_x, translate_y, scale, shear_x, shear_y
    angle, translate_x, translate_y, scale, shear_x, shear_y = (
        ops.reshape(ops.cast(ops.convert_to_tensor(x), "float32"), (-1, 1, 1)) for x in given
    )
    turn, sx, sy = (-math.pi / 180 * x for x in (angle, shear_x, shear_y))
    cx = (0.5 if center_x is None else center_x) * (width - 1)
    cy = (0.5 if center_y is None else center_y) * (height - 1)
    a = ops.cos(turn - sy) / ops.cos(sy)
    b = a * ops.tan(sx) + ops.sin(turn)
    c = -ops.sin(turn - sy) / ops.cos(sy)
    d = ops.cos(turn) - c * ops.tan(sx)

    def send(x: Any, y: Any) -> tuple[Any, Any]:
        x, y = x - cx + translate_x * (width - 1), y - cy + translate_y * (height - 1)
        return scale * (d * x - b * y) + cx, scale * (a * y - c * x) + cy

    return _around(ops.cast(ops.convert_to_tensor(boxes), "float32"), send)


def _around(boxes: Any, send: Callable[[Any, Any], tuple[Any, Any]]) -> Any:
    """Return the upright boxes around "xyxy" boxes whose corners were sent elsewhere."""
    x1, y1, x2, y2 = _columns(boxes)
    found = [send(x, y) for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))]
    places = [ops.concatenate(one, axis=-1) for one in zip(*found)]
    return ops.stack([bound(x, axis=-1) for bound in (ops.min, ops.max) for x in places], axis=-1)


# As images move -------------------------------------------------------------------------------------------------


def warped(boxes: Any, transform: Any) -> Any:
    """Return the "xyxy" boxes (B, N, 4) around what `ops.image.affine_transform` makes of their insides.

    Args:
        transform: the eight numbers (B, 8) that say where the cells of the new image come from; here the way back.
    """
    a0, a1, a2, b0, b1, b2, c0, c1 = (transform[:, i, None, None] for i in range(8))

    def send(x: Any, y: Any) -> tuple[Any, Any]:
        x, y = x - 0.5, y - 0.5  # numbers count from the centre of the first cell, boxes from its corner
        scale = (b0 * c1 - b1 * c0) * x + (a1 * c0 - a0 * c1) * y + a0 * b1 - a1 * b0
        new_x = ((b1 - b2 * c1) * x + (a2 * c1 - a1) * y + a1 * b2 - a2 * b1) / scale
        new_y = ((b2 * c0 - b0) * x + (a0 - a2 * c0) * y + a2 * b0 - a0 * b2) / scale
        return new_x + 0.5, new_y + 0.5

    return _around(boxes, send)


def reframed(boxes: Any, corner: Sequence[Any], size: Sequence[int], new_size: Sequence[int]) -> Any:
    """Return "xyxy" boxes as they are in a frame with this (top, left) and (height, width), brought to a new size."""
    scales = [new / old for new, old in zip(new_size, size)][::-1] * 2
    moved = _columns(pad(boxes, -corner[0], -corner[1]))
    return ops.concatenate([x * scale for x, scale in zip(moved, scales)], axis=-1)
