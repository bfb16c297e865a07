"""Images side by side, with their labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kerata import config, errors, ops
from kerata.visualization.figures import delivered, figure

__all__ = ["batch_of_images", "in_bytes", "plot_image_gallery"]


@errors.user_facing
def plot_image_gallery(
    images: Any,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: Any = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: tuple[float, float] = (0, 255),
    scale: float = 2,
    path: Any = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Any = None,
    data_format: str | None = None,
) -> Any:
    """Show images in rows and columns, each with what it is and what it was taken for.

    Args:
        images: (N, H, W, C), with one, three or four channels; (N, C, H, W) with "channels_first".
        y_true, y_pred: (N,) the true and the predicted classes, as numbers.
        label_map: a dictionary or list of the classes' names; without it the numbers are shown.
        rows, cols: how many; what is missing is chosen so that every image has a place.
        value_range: the lowest and highest value that a pixel can have.
        scale: inches for each image.
        path: write the figure to this file.
        show: True shows it now and returns None; False only returns it. None returns it too: a notebook shows what
            comes back, and a program that has a screen opens a window, unless there is a `path`.
        transparent, dpi: of the written file.
        legend_handles: entries of a legend below the images.
        data_format: "channels_last" or "channels_first".

    Returns:
        The figure of matplotlib.

    Example:
        >>> (images, labels), _ = kerata.datasets.mnist.load_data()
        >>> images = images[:9, ..., None]
        >>> figure = kerata.visualization.plot_image_gallery(images, y_true=labels[:9], path="digits.png")
    """
    where = "plot_image_gallery"
    images = in_bytes(batch_of_images(images, data_format, where), value_range)
    rows, cols = grid(len(images), rows, cols)
    made = figure(cols * scale, rows * scale, where, path, show, frameon=False, layout="tight")
    made.subplots_adjust(wspace=0, hspace=0)
    axes = made.subplots(rows, cols, squeeze=False).flat
    if legend_handles is not None:
        made.legend(handles=legend_handles, loc="lower center")
    captions = [
        (word, named(ops.convert_to_numpy(labels).reshape(-1), label_map))
        for word, labels in (("Label", y_true), ("Pred", y_pred))
        if labels is not None
    ]
    for i, ax in enumerate(axes):
        ax.axis("off")
        if i < len(images):
            draw_image(ax, images[i])
            ax.set_title("  ".join(f"{word}: {names[i]}" for word, names in captions if i < len(names)), fontsize=8)
    return delivered(made, path, show, pad_inches=0, transparent=transparent, dpi=dpi)


def batch_of_images(images: Any, data_format: str | None, where: str) -> np.ndarray:
    """Return a batch of images as a NumPy array (N, H, W, C)."""
    images = ops.convert_to_numpy(images)
    if images.ndim != 4:
        raise errors.ShapeMismatch(
            "images come as a batch.", where=where, expected="(N, H, W, C)", got=f"shape {images.shape}",
            hint="image[None] makes a batch of one image, images[..., None] gives gray ones their channel",
        )  # fmt: skip
    return images.transpose(0, 2, 3, 1) if is_channels_first(data_format, where) else images


def is_channels_first(data_format: str | None, where: str) -> bool:
    """Return whether the channels stand before height and width."""
    data_format = data_format or config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise errors.UnknownName("data_format", data_format, ("channels_last", "channels_first"), where=where)
    return data_format == "channels_first"


def in_bytes(images: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """Return images as uint8, the ends of `value_range` being 0 and 255; what lies outside is cut off."""
    low, high = value_range
    if images.dtype == np.uint8 and (low, high) == (0, 255):
        return images
    return np.clip((images.astype("float32") - low) * (255 / (high - low)), 0, 255).astype("uint8")


def grid(count: int, rows: int | None, cols: int | None) -> tuple[int, int]:
    """Return rows and columns with room for `count`, nearly square unless one of them is given."""
    if rows is None:
        rows = math.ceil(count / cols) if cols else math.ceil(math.sqrt(count))
    rows = max(rows, 1)
    return rows, cols or max(math.ceil(count / rows), 1)


def named(labels: Any, names: Any) -> list[str]:
    """Return the names of classes given by number, the numbers where there are no names at all."""
    if names is None:
        return [str(label) for label in labels]
    known = names if isinstance(names, dict) else dict(enumerate(names))
    return [str(known.get(label.item() if hasattr(label, "item") else label, "Unknown")) for label in labels]


def draw_image(ax: Any, image: np.ndarray) -> None:
    """Draw an image (H, W, C) of bytes; one channel is gray."""
    if image.shape[-1] == 1:
        ax.imshow(image[..., 0], cmap="gray", vmin=0, vmax=255)
    else:
        ax.imshow(image)
