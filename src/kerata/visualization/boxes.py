"""Bounding boxes on images."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors, ops
from kerata.core.packages import package
from kerata.layers.augmentation.boxes import convert_format
from kerata.visualization.gallery import batch_of_images, in_bytes, is_channels_first, plot_image_gallery

__all__ = ["draw_bounding_boxes", "plot_bounding_box_gallery"]


@errors.user_facing
def draw_bounding_boxes(
    images: Any,
    bounding_boxes: dict[str, Any],
    bounding_box_format: str,
    class_mapping: Any = None,
    color: tuple[int, ...] = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int | None = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> np.ndarray:
    """Return images with bounding boxes drawn on them, and with the names of what is in these.

    Pixels are those that Keras draws with OpenCV, except for the letters, which are Pillow's.

    Args:
        images: (N, H, W, C) in 0 … 255; floats that are all at most 1 count as 0 … 1.
        bounding_boxes: a dictionary of "boxes" (N, B, 4), "labels" (N, B) with -1 where there is no box, and perhaps
            "confidences" (N, B).
        bounding_box_format: one of the formats of `kerata.utils.bounding_boxes.convert_format`.
        class_mapping: a dictionary of the names of labels; those without a name are not written. Needs Pillow.
        color: red, green and blue in 0 … 255.
        line_thickness: 1 is one pixel wide, and t > 1 is 2⌈t/2⌉ + 1 pixels wide, as OpenCV draws it; below 0 fills.
        text_thickness: of the letters; None is `line_thickness`.
        font_scale: 1 makes capital letters about 21 pixels high.
        data_format: "channels_last" or "channels_first".

    Returns:
        uint8, in the layout of `images`.

    Example:
        >>> boxes = {"boxes": [[[1, 1, 4, 4]]], "labels": [[0]]}
        >>> image = kerata.visualization.draw_bounding_boxes(numpy.zeros((1, 6, 6, 3)), boxes, "xyxy", line_thickness=1)
        >>> image[0, :, :, 0].tolist()[1]
        [0, 128, 128, 128, 128, 0]
    """
    where = "draw_bounding_boxes"
    drawn = batch_of_images(images, data_format, where)
    if not isinstance(bounding_boxes, dict):
        raise errors.InvalidType(
            "bounding boxes come in a dictionary.", where=where, expected="{'boxes': …, 'labels': …}",
            got=type(bounding_boxes).__name__,
        )  # fmt: skip
    if missing := {"boxes", "labels"} - set(bounding_boxes):
        raise errors.InvalidArgument(
            f"bounding_boxes lacks {sorted(missing)}.", where=where, expected="{'boxes': …, 'labels': …}",
            got=sorted(bounding_boxes),
        )  # fmt: skip
    of_one = drawn.dtype.kind == "f" and drawn.size > 0 and drawn.max() <= 1.0
    drawn = np.array(in_bytes(drawn, (0, 1)) if of_one else in_bytes(drawn, (0, 255)))
    height, width = drawn.shape[1:3]
    boxes = convert_format(bounding_boxes["boxes"], bounding_box_format, "xyxy", height, width)
    corners = ops.convert_to_numpy(boxes).astype("int32")
    labels = ops.convert_to_numpy(bounding_boxes["labels"]).astype("int32")
    confidences = bounding_boxes.get("confidences")
    names = _texts(labels, class_mapping or {}, None if confidences is None else ops.convert_to_numpy(confidences))
    thickness = text_thickness or line_thickness
    for i, b in np.argwhere(labels != -1):
        x0, y0, x1, y1 = corners[i, b].tolist()
        _draw_frame(drawn[i], (x0, y0, x1, y1), color, line_thickness)
        if (i, b) in names:
            _write(drawn[i], names[i, b], _text_start(x0, y0, font_scale, thickness), color, font_scale, thickness)
    return drawn.transpose(0, 3, 1, 2) if is_channels_first(data_format, where) else drawn


def _texts(labels: np.ndarray, names: Any, confidences: np.ndarray | None) -> dict[tuple[int, int], str]:
    """Return what is written at each box that has a name, by image and box."""
    found = {}
    for (i, b), label in np.ndenumerate(labels):
        if label in names:
            found[i, b] = str(names[label]) if confidences is None else f"{names[label]} | {confidences[i, b]:.2f}"
    return found


def _draw_frame(image: np.ndarray, box: tuple[int, int, int, int], color: Any, thickness: int) -> None:
    """Colour what is at most a radius away from the outline of a box; its corner pixels belong to the outline."""
    radius = (thickness + 1) // 2 if thickness > 1 else 0
    (x0, x1), (y0, y1) = sorted(box[0::2]), sorted(box[1::2])
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    beyond_x, beyond_y = np.maximum(x0 - x, x - x1), np.maximum(y0 - y, y - y1)  # negative inside
    near = np.maximum(beyond_x, 0) ** 2 + np.maximum(beyond_y, 0) ** 2 <= radius**2
    if thickness >= 0:
        near = near & (np.maximum(beyond_x, beyond_y) >= -radius)
    image[near] = _channels(color, image.shape[-1])


def _channels(color: Any, count: int) -> np.ndarray:
    """Return a colour for so many channels; a fourth is opacity."""
    return np.array([*color, 255, 255, 255][:count], "uint8")


def _text_start(x: int, y: int, scale: float, thickness: int) -> tuple[int, int]:
    """Return where the base line of a box's name begins: above the box, or inside where there is no room."""
    height = int(scale * 12)
    return (x, y - 8) if y - 8 > 2 * height else (x + 3, y + 2 * height + thickness + 3)


def _write(image: np.ndarray, text: str, start: tuple[int, int], color: Any, scale: float, thickness: int) -> None:
    where = "draw_bounding_boxes: class_mapping"
    package("PIL", where, "pillow")
    from PIL import Image, ImageDraw, ImageFont  # type: ignore[import-not-found]

    ink = Image.new("L", image.shape[1::-1])
    font = ImageFont.load_default(size=30 * scale)
    ImageDraw.Draw(ink).text(start, text, fill=255, font=font, anchor="ls", stroke_width=max(thickness, 0) // 2)
    share = np.asarray(ink, "float32")[..., None] / 255
    image[:] = np.round(image * (1 - share) + _channels(color, image.shape[-1]) * share)


@errors.user_facing
def plot_bounding_box_gallery(
    images: Any,
    bounding_box_format: str,
    y_true: dict[str, Any] | None = None,
    y_pred: dict[str, Any] | None = None,
    value_range: tuple[float, float] = (0, 255),
    true_color: tuple[int, int, int] = (0, 188, 212),
    pred_color: tuple[int, int, int] = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: Any = None,
    ground_truth_mapping: Any = None,
    prediction_mapping: Any = None,
    legend: bool = False,
    legend_handles: Any = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> Any:
    """Show images with the boxes that are there, and those that a model found.

    Args:
        images, value_range, rows, cols, data_format: see `plot_image_gallery`, which also takes what else is given.
        y_true, y_pred: dictionaries of "boxes" (N, B, 4) and "labels" (N, B), and perhaps "confidences" (N, B).
        true_color, pred_color: red, green and blue in 0 … 255.
        class_mapping: names of labels; `ground_truth_mapping` and `prediction_mapping` where they differ.
        legend: whether to say which colour is which; `legend_handles` are entries of your own instead.
        bounding_box_format, line_thickness, font_scale, text_thickness: see `draw_bounding_boxes`.

    Example:
        >>> boxes = {"boxes": [[[0.1, 0.1, 0.5, 0.5]]], "labels": [[0]]}
        >>> figure = kerata.visualization.plot_bounding_box_gallery(
        ...     numpy.zeros((1, 64, 64, 3)), "rel_xyxy", y_true=boxes, legend=True, path="boxes.png"
        ... )
    """
    where = "plot_bounding_box_gallery"
    if legend and legend_handles:
        raise errors.InvalidArgument("`legend` and `legend_handles` exclude each other.", where=where)
    shown = in_bytes(batch_of_images(images, data_format, where), value_range)
    sides = [
        ("Ground Truth", y_true, true_color, ground_truth_mapping),
        ("Prediction", y_pred, pred_color, prediction_mapping),
    ]
    for _, boxes, color, names in sides:
        if boxes is not None:
            shown = draw_bounding_boxes(
                shown, boxes, bounding_box_format, names or class_mapping, color, line_thickness, text_thickness,
                font_scale, "channels_last",
            )  # fmt: skip
    if legend:
        patches = package("matplotlib.patches", where)
        legend_handles = [patches.Patch(color=np.array(c) / 255, label=word) for word, _, c, _ in sides]
    return plot_image_gallery(
        shown, rows=rows, cols=cols, legend_handles=legend_handles, data_format="channels_last", **kwargs
    )
