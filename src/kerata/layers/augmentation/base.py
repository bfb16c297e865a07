"""What layers that change images share: draws for each image, and the same change for its labels, boxes and masks.

A layer draws in `get_random_transformation` and computes in `transform_images` and its sisters, which draw nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from kerata import config as settings
from kerata import errors, ops, random, tree
from kerata.core import dtypes
from kerata.layers.augmentation import boxes as box_tools
from kerata.layers.base import Layer

__all__ = ["BaseImagePreprocessingLayer", "Factor", "as_float", "back_to", "factor_range"]

Factor: TypeAlias = float | Sequence[float]
"""The range of a draw: (lower, upper), or one number for -number to number."""


class BaseImagePreprocessingLayer(Layer):
    """The base of layers that change images: one (H, W, C), a batch (B, H, W, C), or a dictionary with "images".

    The dictionary may hold more, which changes with the images: "labels", "segmentation_masks" of the images' size, and
    "bounding_boxes", a dictionary of "boxes" (B, N, 4) and "labels" (B, N). Other entries pass as they are, and the
    dictionary itself is not written to. Images become the layer's compute dtype: floats, or integers with
    `dtype="uint8"`.

    A subclass writes `transform_images`, and `get_random_transformation` where it draws; the others of `transform_…`
    leave things as they are until they are written too.

    Args:
        bounding_box_format: how "boxes" give a box, such as "xyxy" (`kerata.utils.bounding_boxes.convert_format`).
        data_format: "channels_last" or "channels_first"; by default the configured one.

    Example:
        >>> from kerata.layers.augmentation.base import BaseImagePreprocessingLayer
        >>> class RandomNegative(BaseImagePreprocessingLayer):
        ...     def __init__(self, seed=None, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self._draw_from(seed)
        ...
        ...     def get_random_transformation(self, data, training=True, seed=None):
        ...         return self._draw((self._batch_size(data), 1, 1, 1), (0, 1), seed) < 0.5 if training else None
        ...
        ...     def transform_images(self, images, transformation, training=True):
        ...         images = kerata.ops.cast(images, self.compute_dtype)
        ...         return kerata.ops.where(transformation, 255 - images, images) if training else images
        >>> RandomNegative(seed=1)({"images": numpy.ones((2, 4, 4, 3)), "labels": [0, 1]})["images"].shape
        (2, 4, 4, 3)
    """

    built = True
    seed: int | None = None
    generator: random.SeedGenerator | None = None

    def __init__(
        self, factor: None = None, bounding_box_format: str | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if factor is not None:  # a layer that has one keeps it itself
            raise errors.InvalidArgument("this layer has no `factor`.", where=type(self).__name__, got=repr(factor))
        self.bounding_box_format: Any = bounding_box_format
        self.data_format = settings.standardize_data_format(data_format)
        last = self.data_format == "channels_last"
        self.height_axis, self.width_axis, self.channel_axis = (-3, -2, -1) if last else (-2, -1, -3)

    # What a subclass writes -------------------------------------------------------------------------------------

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return what `transform_…` need to know of this call: what is drawn, and sizes. `data` is that of `call`."""
        return None

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        """Return a batch of images, changed."""
        raise errors.Unsupported("the class has no `transform_images`.", where=self._where())

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        """Return the labels of a batch."""
        return labels

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        """Return the boxes of a batch, with their labels: {"boxes": (B, N, 4), "labels": (B, N)}."""
        return bounding_boxes

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        """Return the masks of a batch."""
        return segmentation_masks

    # The same for one image -------------------------------------------------------------------------------------

    def transform_single_image(self, image: Any, transformation: Any, training: bool = True) -> Any:
        """Return one image, changed."""
        return _as_batch(self.transform_images, image, transformation, training)

    def transform_single_label(self, label: Any, transformation: Any, training: bool = True) -> Any:
        """Return the label of one image."""
        return _as_batch(self.transform_labels, label, transformation, training)

    def transform_single_bounding_box(self, bounding_box: Any, transformation: Any, training: bool = True) -> Any:
        """Return the boxes of one image, with their labels: {"boxes": (N, 4), "labels": (N,)}."""
        return _as_batch(self.transform_bounding_boxes, bounding_box, transformation, training)

    def transform_single_segmentation_mask(
        self, segmentation_mask: Any, transformation: Any, training: bool = True
    ) -> Any:
        """Return the mask of one image."""
        return _as_batch(self.transform_segmentation_masks, segmentation_mask, transformation, training)

    # Calling ----------------------------------------------------------------------------------------------------

    def call(self, data: Any, training: bool = True) -> Any:
        images = data["images"] if isinstance(data, dict) else data
        if images.ndim not in (3, 4):
            raise errors.ShapeMismatch(
                "these are no images.", where=self._where(), expected="3 axes for one, 4 for a batch",
                got=f"shape {tuple(images.shape)}",
            )  # fmt: skip
        transformation = self.get_random_transformation(data, training=training)
        single = images.ndim == 3
        of_image = self.transform_single_image if single else self.transform_images
        if not isinstance(data, dict):
            return of_image(data, transformation, training=training)
        changes = {
            "images": of_image,
            "bounding_boxes": self.transform_single_bounding_box if single else self.transform_bounding_boxes,
            "labels": self.transform_single_label if single else self.transform_labels,
            "segmentation_masks": (
                self.transform_single_segmentation_mask if single else self.transform_segmentation_masks
            ),
        }
        result = dict(data)
        for name, change in changes.items():
            if name in data:
                part = self._boxes_of(data) if name == "bounding_boxes" else ops.convert_to_tensor(data[name])
                result[name] = change(part, transformation, training=training)
        return result

    def _boxes_of(self, data: dict[str, Any]) -> dict[str, Any]:
        boxes = data["bounding_boxes"]
        if not self.bounding_box_format:
            raise errors.InvalidArgument(
                "boxes came, and their format is not known.", where=self._where(),
                hint=f'{type(self).__name__}(…, bounding_box_format="xyxy")',
            )  # fmt: skip
        if not isinstance(boxes, dict) or "boxes" not in boxes or "labels" not in boxes:
            raise errors.InvalidType(
                "these are no bounding boxes.", where=self._where(), expected='{"boxes": (B, N, 4), "labels": (B, N)}',
                got=sorted(boxes) if isinstance(boxes, dict) else type(boxes).__name__,
            )  # fmt: skip
        return {
            **boxes,
            "boxes": ops.convert_to_tensor(boxes["boxes"], "float32"),
            "labels": ops.convert_to_tensor(boxes["labels"]),
        }

    def _boxes_changed(
        self, bounding_boxes: Any, change: Callable[[Any], Any], size: Sequence[int],
        new_size: Sequence[int] | None = None,
    ) -> Any:  # fmt: skip
        """Return boxes after a change of their "xyxy" form, cut at the image's borders; it has `new_size` then."""
        new_size = size if new_size is None else new_size
        found = box_tools.convert_format(bounding_boxes, self.bounding_box_format, "xyxy", *size)
        found["boxes"] = change(found["boxes"])
        found = box_tools.clip_to_image_size(found, new_size[0], new_size[1])
        return box_tools.convert_format(found, "xyxy", self.bounding_box_format, *new_size)

    def _convert_inputs(self, x: Any) -> Any:
        """Cast the images only: boxes in half precision would miss their objects."""
        if not isinstance(x, dict) or "images" not in x:
            return super()._convert_inputs(x)
        return {name: super(BaseImagePreprocessingLayer, self)._convert_inputs(value) if name == "images" else value
                for name, value in x.items()}  # fmt: skip

    # Sizes and draws --------------------------------------------------------------------------------------------

    def _shape_of(self, data: Any) -> tuple[int, ...]:
        return tuple((data["images"] if isinstance(data, dict) else data).shape)

    def _batch_size(self, data: Any) -> int:
        """Return the number of images, 1 for a single one."""
        shape = self._shape_of(data)
        return 1 if len(shape) == 3 else shape[0]

    def _height_width(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return the size of images that have this shape."""
        return shape[self.height_axis], shape[self.width_axis]

    def _draw_from(self, seed: int | None) -> None:
        """Draw from a generator of this seed; None for a fresh one."""
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def _draw(self, shape: Sequence[int], bounds: Sequence[float], seed: Any = None) -> Any:
        """Return float32 numbers, each drawn evenly from lower to upper bound."""
        seed = self.generator if seed is None else seed
        return random.uniform(tuple(shape), float(bounds[0]), float(bounds[1]), dtype="float32", seed=seed)

    def _transform_value_range(
        self, images: Any, original_range: Sequence[float], target_range: Sequence[float], dtype: Any = "float32"
    ) -> Any:
        """Return images whose values went from one range, such as (0, 1), to another, such as (0, 255)."""
        (low, high), (new_low, new_high) = original_range, target_range
        if (low, high) == (new_low, new_high):
            return images
        return (ops.cast(images, dtype) - low) * ((new_high - new_low) / (high - low)) + new_low

    def convert_weight(self, weight: Any) -> Any:
        """Return `weight`: here a layer computes on one engine only."""
        return weight

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "data_format": self.data_format}
        if self.bounding_box_format is None:
            config.pop("bounding_box_format", None)
        return config


def _as_batch(change: Any, one: Any, transformation: Any, training: bool) -> Any:
    batch = tree.map_structure(lambda x: ops.expand_dims(x, 0), one)
    return tree.map_structure(lambda x: ops.squeeze(x, 0), change(batch, transformation, training=training))


# Arguments and dtypes -------------------------------------------------------------------------------------------


def factor_range(
    layer: Layer, name: str, value: Any, bounds: tuple[float, float] = (-1.0, 1.0), within: bool = False
) -> tuple[float, float]:
    """Return the lower and the upper end of what a factor is drawn from.

    Args:
        value: (lower, upper) in any order, or a number f for -f to f, cut at the lower of the bounds.
        within: whether both ends lie within the bounds; otherwise a pair only has to touch them.
    """
    least, most = bounds
    if isinstance(value, (int, float)) and least <= value <= most:
        return max(-abs(value), least), abs(value)
    if isinstance(value, (list, tuple)) and len(value) == 2:
        lower, upper = sorted(value)
        if (least <= lower and upper <= most) if within else (lower <= most and upper >= least):
            return lower, upper
    raise errors.InvalidArgument(
        f"`{name}` cannot be this.", where=type(layer).__name__, got=f"{name}={value!r}",
        expected=f"a number from {least} to {most}, or two",
    )  # fmt: skip


def as_float(images: Any) -> Any:
    """Return images as floats to compute with: float32, unless they are floats already."""
    return images if dtypes.is_float(dtypes.dtype_of(images)) else ops.cast(images, "float32")


def back_to(images: Any, dtype: str) -> Any:
    """Return what was computed from images in their dtype again: rounded and cut to its range, if that has integers."""
    if dtypes.is_float(dtype):
        return ops.cast(images, dtype)
    return ops.saturate_cast(ops.round(images) if dtypes.is_float(dtypes.dtype_of(images)) else images, dtype)
