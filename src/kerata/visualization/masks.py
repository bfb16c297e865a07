"""Segmentation masks on images: a colour for each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors, ops
from kerata.visualization.gallery import batch_of_images, in_bytes, is_channels_first, plot_image_gallery

__all__ = ["draw_segmentation_masks", "plot_segmentation_mask_gallery"]


@errors.user_facing
def draw_segmentation_masks(
    images: Any,
    segmentation_masks: Any,
    num_classes: int | None = None,
    color_mapping: dict[int, Any] | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> np.ndarray:
    """Return images with each pixel in the colour of its class.

    Args:
        images: (N, H, W, C) in 0 … 255; gray ones come back with three channels.
        segmentation_masks: integers (N, H, W) or (N, H, W, 1), the classes.
        num_classes: how many there are; without it as many as the masks show.
        color_mapping: red, green and blue for each class; a class that it lacks is left as it is. The default gives
            0, the background, black and every other class a colour of its own.
        alpha: how much of the result is the colour, the rest being the image.
        blend: False paints with the bare colours.
        ignore_index: this class is left as it is.
        data_format: "channels_last" or "channels_first", of `images` and masks with four axes.

    Returns:
        (N, H, W, C), uint8; with `blend=False` float32.

    Example:
        >>> image, mask, red = numpy.full((1, 1, 2, 3), 100), numpy.array([[[0, 1]]]), {1: (200, 0, 0)}
        >>> kerata.visualization.draw_segmentation_masks(image, mask, color_mapping=red, alpha=0.5).tolist()
        [[[[100, 100, 100], [150, 50, 50]]]]
    """
    where = "draw_segmentation_masks"
    images = batch_of_images(images, data_format, where).astype("float32")
    masks = _classes(segmentation_masks, images.shape, data_format, where)
    if num_classes is None:
        num_classes = int(masks.max(initial=-1)) + 1
    colors = dict(enumerate(_palette(num_classes + 1))) if color_mapping is None else color_mapping
    if images.shape[-1] == 1:  # gray takes no colour
        images = np.repeat(images, 3, axis=-1)
    drawn = images.copy()
    bare, painted = images[..., :3], drawn[..., :3]  # a fourth channel is opacity
    for number, color in colors.items():
        if number <= num_classes and number != ignore_index:
            here = masks == number
            paint = np.array(color, "float32")
            painted[here] = bare[here] * np.float32(1 - alpha) + paint * np.float32(alpha) if blend else paint
    return drawn.astype("uint8") if blend else drawn


def _classes(masks: Any, shape: tuple[int, ...], data_format: str | None, where: str) -> np.ndarray:
    masks = ops.convert_to_numpy(masks)
    if masks.dtype.kind not in "iu":
        raise errors.InvalidType(
            "masks are whole numbers, the classes.", where=where, expected="an integer dtype", got=masks.dtype,
            hint="masks.argmax(-1) of scores, or masks.astype('int32')",
        )  # fmt: skip
    if masks.ndim == 4:
        masks = masks[:, 0] if is_channels_first(data_format, where) else masks[..., 0]
    if masks.shape != shape[:3]:
        raise errors.ShapeMismatch(
            "each pixel of the images needs a class.", where=where, expected=f"masks of shape {shape[:3]}",
            got=f"shape {masks.shape}",
        )  # fmt: skip
    return masks


def _palette(count: int) -> list[tuple[int, ...]]:
    """Return distinct colours: steps of three numbers that lie far apart modulo 255."""
    return [tuple(i * step % 255 for step in (2**25 - 1, 2**15 - 1, 2**21 - 1)) for i in range(count)]


@errors.user_facing
def plot_segmentation_mask_gallery(
    images: Any,
    num_classes: int,
    value_range: tuple[float, float] = (0, 255),
    y_true: Any = None,
    y_pred: Any = None,
    color_mapping: dict[int, Any] | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> Any:
    """Show images, each in a row with its true mask and the mask that a model found.

    Args:
        images, value_range, data_format: see `plot_image_gallery`, which also takes what else is given.
        y_true, y_pred: masks, and the rest, see `draw_segmentation_masks`.

    Example:
        >>> masks = numpy.eye(8, dtype=int)[None]
        >>> figure = kerata.visualization.plot_segmentation_mask_gallery(
        ...     numpy.zeros((1, 8, 8, 3)), num_classes=2, y_true=masks, path="masks.png"
        ... )
    """
    where = "plot_segmentation_mask_gallery"
    shown = in_bytes(batch_of_images(images, data_format, where), value_range)
    columns = [shown]
    for masks in (y_true, y_pred):
        if masks is not None:
            masks = ops.convert_to_numpy(masks).astype("int32")
            if masks.ndim == 4 and is_channels_first(data_format, where):
                masks = masks[:, 0]
            columns.append(
                draw_segmentation_masks(
                    shown, masks, num_classes, color_mapping, alpha, blend, ignore_index, "channels_last"
                ).astype("uint8")
            )
    columns = [np.broadcast_to(c, columns[-1].shape) for c in columns]  # gray beside colour
    mixed = np.stack(columns, axis=1).reshape(-1, *columns[0].shape[1:])
    return plot_image_gallery(mixed, rows=len(shown), cols=len(columns), data_format="channels_last", **kwargs)
