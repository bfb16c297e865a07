"""Images turned, moved, zoomed, sheared and seen aslant: eight numbers say where each cell comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kerata import ops
from kerata.layers.arguments import fraction, one_of
from kerata.layers.augmentation.base import BaseImagePreprocessingLayer, Factor, factor_range
from kerata.layers.augmentation.boxes import warped
from kerata.ops.image.warping import homography

__all__ = ["RandomPerspective", "RandomRotation", "RandomShear", "RandomTranslation", "RandomZoom"]

_FILL_MODES = ("reflect", "wrap", "constant", "nearest")
_INTERPOLATIONS = ("nearest", "bilinear")


class _Warping(BaseImagePreprocessingLayer):
    """A layer whose images, masks and boxes all follow from the eight numbers of `_transform`."""

    fill_mode = "constant"

    def _resample(self, interpolation: str, fill_value: float, seed: int | None, fill_mode: str | None = None) -> None:
        """Keep the arguments that all of them have."""
        self.interpolation = one_of(self, "interpolation", interpolation, _INTERPOLATIONS)
        if fill_mode is not None:
            self.fill_mode = one_of(self, "fill_mode", fill_mode, _FILL_MODES)
        self.fill_value = fill_value
        self._draw_from(seed)

    def _transform(self, transformation: dict[str, Any], height: int, width: int) -> Any:
        """Return the eight numbers (B, 8) of `ops.image.affine_transform` for images of a size."""
        raise NotImplementedError

    def _input_size(self, transformation: dict[str, Any]) -> tuple[int, int]:
        return self._height_width(transformation["input_shape"])

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._warped(ops.cast(images, self.compute_dtype), transformation, training, self.interpolation)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self._warped(segmentation_masks, transformation, training, "nearest")

    def _warped(self, x: Any, transformation: Any, training: bool, interpolation: str) -> Any:
        if not training or transformation is None:
            return x
        return ops.image.affine_transform(
            x, self._transform(transformation, *self._height_width(x.shape)), interpolation=interpolation,
            fill_mode=self.fill_mode, fill_value=self.fill_value, data_format=self.data_format,
        )  # fmt: skip

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return bounding_boxes
        size = self._input_size(transformation)
        transform = self._transform(transformation, *size)
        return self._boxes_changed(bounding_boxes, lambda boxes: warped(boxes, transform), size)

    def get_transformed_x_y(self, x: Any, y: Any, transform: Any) -> tuple[Any, Any]:
        """Return where the eight numbers of `transform` (…, 8) send the points (x, y)."""
        a0, a1, a2, b0, b1, b2, c0, c1 = ops.split(transform, 8, axis=-1)
        k = c0 * x + c1 * y + 1
        return (a0 * x + a1 * y + a2) / k, (b0 * x + b1 * y + b2) / k

    def get_shifted_bbox(
        self, bounding_boxes: dict[str, Any], w_shift_factor: Any, h_shift_factor: Any
    ) -> dict[str, Any]:
        """Return the boxes (…, 4), x before y, moved to the left and up."""
        boxes = ops.convert_to_tensor(bounding_boxes["boxes"])
        shift = [ops.cast(w_shift_factor, boxes.dtype), ops.cast(h_shift_factor, boxes.dtype)] * 2
        return {**bounding_boxes, "boxes": boxes - _beside(shift, boxes)}

    def get_clipped_bbox(
        self, bounding_boxes: dict[str, Any], h_end: Any, h_start: Any, w_end: Any, w_start: Any
    ) -> dict[str, Any]:
        """Return the boxes (…, 4), x before y, cut to a window and measured from its corner."""
        boxes = ops.convert_to_tensor(bounding_boxes["boxes"])
        start, end = _beside([w_start, h_start] * 2, boxes), _beside([w_end, h_end] * 2, boxes)
        return {**bounding_boxes, "boxes": ops.clip(boxes, start, end) - start}


def _beside(edges: list[Any], boxes: Any) -> Any:
    """Return one number, or one for each image, per edge: as an array that meets the boxes (…, 4)."""
    joined = ops.concatenate([ops.broadcast_to(edge, (*boxes.shape[: boxes.ndim - 2], 1)) for edge in edges], axis=-1)
    return ops.cast(ops.expand_dims(joined, -2), boxes.dtype)


def _eight(*numbers: Any) -> Any:
    """Return numbers, one at least of them (B,), as (B, n) with zeros up to eight."""
    batch = next(x for x in numbers if hasattr(x, "shape"))
    numbers = (*numbers, *(0,) * (8 - len(numbers)))
    return ops.stack([ops.cast(x, "float32") + ops.zeros_like(batch) for x in numbers], axis=-1)


class RandomRotation(_Warping):
    """In training each image is turned about its middle, by an angle of its own.

    Args:
        factor: what the angle is drawn from, as a share of a whole turn; (lower, upper), or f for -f to f. Above 0 it
            turns against the clock.
        fill_mode: what lies outside: "reflect" for the mirror image, "nearest" for the last cell, "wrap" for the image
            again, "constant" for `fill_value`.
        interpolation: "bilinear" or "nearest"; masks take the nearest.
        seed: an int for the same draws each time the program runs.
        fill_value: with "constant".
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> half_a_turn = kerata.layers.RandomRotation((0.5, 0.5))
        >>> numpy.round(half_a_turn(numpy.arange(4.0).reshape(2, 2, 1))[..., 0]).tolist()
        [[3.0, 2.0], [1.0, 0.0]]
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor)
        self._resample(interpolation, fill_value, seed, fill_mode)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return the "angle" in degrees (B,), its "rotation_matrix" (B, 8), and sizes; None outside of training."""
        if not training:
            return None
        batch, (height, width) = self._batch_size(data), self._height_width(self._shape_of(data))
        angle = self._draw((batch,), [360 * f for f in self.factor], seed)
        cos, sin = ops.cos(angle * (math.pi / 180)), ops.sin(angle * (math.pi / 180))
        x, y = (width - 1) / 2, (height - 1) / 2
        matrix = _eight(cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos)
        return {
            "angle": angle,
            "rotation_matrix": matrix if len(self._shape_of(data)) == 4 else matrix[0],
            "image_height": height,
            "image_width": width,
            "batch_size": batch,
        }

    def _transform(self, transformation: dict[str, Any], height: int, width: int) -> Any:
        return ops.reshape(transformation["rotation_matrix"], (-1, 8))

    def _input_size(self, transformation: dict[str, Any]) -> tuple[int, int]:
        return transformation["image_height"], transformation["image_width"]


class RandomTranslation(_Warping):
    """In training each image is moved, by a way of its own.

    Args:
        height_factor: what the way down is drawn from, as a share of the height; (lower, upper), or f for -f to f.
        width_factor: the same for the way to the right, as a share of the width.

    The others are those of `RandomRotation`.

    Example:
        >>> down = kerata.layers.RandomTranslation((0.5, 0.5), 0.0, fill_mode="constant")
        >>> down(numpy.arange(4.0).reshape(2, 2, 1))[..., 0].tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self.height_lower, self.height_upper = factor_range(self, "height_factor", height_factor, within=True)
        self.width_lower, self.width_upper = factor_range(self, "width_factor", width_factor, within=True)
        self._resample(interpolation, fill_value, seed, fill_mode)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return the "translations", (right, down) in cells (B, 2), and "input_shape"; None outside of training."""
        if not training:
            return None
        shape, one_each = self._shape_of(data), (self._batch_size(data), 1)
        height, width = self._height_width(shape)
        down = height * self._draw(one_each, (self.height_lower, self.height_upper), seed)
        right = width * self._draw(one_each, (self.width_lower, self.width_upper), seed)
        return {"translations": ops.concatenate([right, down], axis=1), "input_shape": shape}

    def _transform(self, transformation: dict[str, Any], height: int, width: int) -> Any:
        right, down = (transformation["translations"][:, i] for i in range(2))
        return _eight(1, 0, -right, 0, 1, -down)


class RandomZoom(_Warping):
    """In training each image is shown smaller or larger, about its middle.

    Args:
        height_factor: what is drawn, as a share of the height that is shown more, so that above 0 it zooms out;
            (lower, upper), or f for -f to f.
        width_factor: the same for the width; None for as much as the height, so that the proportions stay.

    The others are those of `RandomRotation`.

    Example:
        >>> half = kerata.layers.RandomZoom((1.0, 1.0), fill_mode="constant", interpolation="nearest")
        >>> half(numpy.ones((3, 3, 1)))[..., 0].tolist()
        [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self.height_lower, self.height_upper = factor_range(self, "height_factor", height_factor, within=True)
        if width_factor is not None:
            self.width_lower, self.width_upper = factor_range(self, "width_factor", width_factor, within=True)
        self._resample(interpolation, fill_value, seed, fill_mode)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return what is shown, "height_zoom" and "width_zoom" (B, 1), and "input_shape"; None outside of training."""
        if not training:
            return None
        shape, one_each = self._shape_of(data), (self._batch_size(data), 1)
        zooms = [self._draw(one_each, (1 + self.height_lower, 1 + self.height_upper), seed)]
        if self.width_factor is not None:
            zooms.append(self._draw(one_each, (1 + self.width_lower, 1 + self.width_upper), seed))
        return {"height_zoom": zooms[0], "width_zoom": zooms[-1], "input_shape": shape}

    def _transform(self, transformation: dict[str, Any], height: int, width: int) -> Any:
        down, across = transformation["height_zoom"][:, 0], transformation["width_zoom"][:, 0]
        return _eight(across, 0, (width - 1) / 2 * (1 - across), 0, down, (height - 1) / 2 * (1 - down))


class RandomShear(_Warping):
    """In training each image becomes a parallelogram: its rows move against each other, or its columns.

    Args:
        x_factor: what is drawn, the cells that a row is shifted for each row above it; (lower, upper) from 0 to 1, or
            f for -f to f. Half of the images are sheared the other way.
        y_factor: the same for columns.

    The others are those of `RandomRotation`.

    Example:
        >>> kerata.layers.RandomShear(x_factor=0.3)(numpy.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        x_factor: Factor = 0.0,
        y_factor: Factor = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.x_factor, self.y_factor = self._range("x_factor", x_factor), self._range("y_factor", y_factor)
        self._resample(interpolation, fill_value, seed, fill_mode)

    def _range(self, name: str, factor: Factor) -> tuple[float, float]:
        """Return the range; (-f, f) is what the config of a layer says that was given f."""
        around_zero = isinstance(factor, Sequence) and len(factor) == 2 and factor[0] == -factor[1]
        lower, upper = factor_range(self, name, factor, (-1.0, 1.0) if around_zero else (0.0, 1.0), within=True)
        return (lower, upper) if isinstance(factor, Sequence) else (-upper, upper)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return the "shear_factor" (x, y) of each image, (B, 2), and "input_shape"; None outside of training."""
        if not training:
            return None
        one_each = (self._batch_size(data), 1)
        sign = ops.where(self._draw(one_each, (0, 1), seed) > 0.5, -1.0, 1.0)
        y, x = self._draw(one_each, self.y_factor, seed), self._draw(one_each, self.x_factor, seed)
        return {"shear_factor": ops.concatenate([x, y], axis=1) * sign, "input_shape": self._shape_of(data)}

    def _transform(self, transformation: dict[str, Any], height: int, width: int) -> Any:
        x, y = (transformation["shear_factor"][:, i] for i in range(2))
        return _eight(1, x, 0, y, 1)


class RandomPerspective(_Warping):
    """In training each image, with some chance, is seen aslant: its corners go elsewhere. Outside lies `fill_value`.

    Args:
        factor: the chance; (lower, upper) for one that is drawn for each image, or f for 0 to f.
        scale: how far a corner goes at most, from 0 to 1: twice the share of its coordinates.
        interpolation: "bilinear" or "nearest"; masks take the nearest.
        fill_value: what lies outside.
        seed: an int for the same draws each time the program runs.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> kerata.layers.RandomPerspective(scale=0.3)(numpy.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, (0.0, 1.0))
        self.scale = fraction(self, "scale", scale)
        self._resample(interpolation, fill_value, seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return whether, "apply_perspective" (B,), and where corners come from, or None outside of training.

        "start_points" and "end_points" are (column, row) of each corner, (B, 4, 2), before and after.
        """
        if not training:
            return None
        shape, batch = self._shape_of(data), self._batch_size(data)
        height, width = self._height_width(shape)
        chance = self._draw((batch,), self.factor, seed)
        apply = self._draw((batch,), (0, 1), seed) < chance
        corners = [[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]
        away = self._draw((batch, 4, 2), (-0.5 * self.scale, 0.5 * self.scale), seed)
        start = ops.zeros_like(away) + ops.convert_to_tensor(corners, "float32")
        return {
            "apply_perspective": apply,
            "start_points": start,
            "end_points": start + start * away,
            "input_shape": shape,
        }

    def _transform(self, transformation: dict[str, Any], height: int, width: int) -> Any:
        start, end = (ops.convert_to_tensor(transformation[name]) for name in ("start_points", "end_points"))
        numbers = homography(start, end)
        apply = transformation["apply_perspective"][:, None]
        return ops.where(apply, numbers, ops.convert_to_tensor([1.0, 0, 0, 0, 1, 0, 0, 0], "float32"))
