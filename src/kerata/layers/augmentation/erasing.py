"""`RandomErasing`: images of which a part is hidden. Here also: rectangles at random places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import errors, ops, random
from kerata.layers.augmentation.base import BaseImagePreprocessingLayer, Factor, factor_range
from kerata.layers.augmentation.color import per_image

__all__ = ["RandomErasing", "random_rectangles"]


def random_rectangles(
    layer: BaseImagePreprocessingLayer, shape: Sequence[int], share_across: Any, share_down: Any, seed: Any
) -> Any:
    """Return which cells of each image lie in a rectangle, as bools (B, H, W, 1), or with channels first.

    Args:
        shape: of the images.
        share_across, share_down: how long the sides are, as shares of the image's, (B,). The place is drawn.
    """
    inside: Any = True
    for axis, share in ((layer.width_axis, share_across), (layer.height_axis, share_down)):
        length = shape[axis] * share
        start = layer._draw(share.shape, (0, 1), seed) * (shape[axis] - length)
        centres = ops.arange(shape[axis], dtype="float32") + 0.5
        centres = ops.reshape(centres, [-1 if a == axis else 1 for a in range(-4, 0)])
        between = ops.logical_and(centres >= per_image(start), centres < per_image(start + length))
        inside = ops.logical_and(inside, between)
    return inside


class RandomErasing(BaseImagePreprocessingLayer):
    """In training each image, with some chance, has a rectangle filled with noise or a color. Masks stay.

    Args:
        factor: the chance; (lower, upper) for one that is drawn for each image, or f for 0 to f.
        scale: what is drawn for each image and side, from 0 to 1; its root is the side's share of the image's, so
            that (s, s) erases the share s of an image. (lower, upper), or s for 0 to s.
        fill_value: a number, or one for each channel; None for normal noise, times the highest value.
        value_range: (low, high), what values images may have; the filling is cut to it.
        seed: an int for the same draws each time the program runs.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> quarter = kerata.layers.RandomErasing((1.0, 1.0), scale=(0.25, 0.25), fill_value=0)
        >>> float(quarter(numpy.ones((8, 8, 1))).mean())
        0.75

    Source: Zhong et al. (2017), Random erasing data augmentation.
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, (0.0, 1.0))
        self.scale = factor_range(self, "scale", scale, (0.0, 1.0))
        if fill_value is not None and not isinstance(fill_value, (int, float, list, tuple)):
            raise errors.InvalidArgument(
                "`fill_value` cannot be this.", where="RandomErasing", got=f"fill_value={fill_value!r}",
                expected="a number, one for each channel, or None",
            )  # fmt: skip
        self.fill_value, self.value_range = fill_value, value_range
        self._draw_from(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return whether, "apply_erasing" (B,), where, "batch_masks", and "fill_value"; None outside of training."""
        if not training:
            return None
        shape, batch = self._shape_of(data), self._batch_size(data)
        sides = ops.sqrt(self._draw((batch, 2), self.scale, seed))
        chances = self._draw((batch,), self.factor, seed)
        return {
            "apply_erasing": self._draw((batch,), (0, 1), seed) < chances,
            "batch_masks": random_rectangles(self, shape, sides[:, 0], sides[:, 1], seed),
            "fill_value": ops.clip(self._filling(shape, seed), *self.value_range),
        }

    def _filling(self, shape: Sequence[int], seed: Any) -> Any:
        if self.fill_value is None:
            noise = random.normal(shape, dtype="float32", seed=self.generator if seed is None else seed)
            return noise * self.value_range[1]
        along_channels = [-1 if axis == self.channel_axis else 1 for axis in range(-4, 0)]
        return ops.reshape(ops.convert_to_tensor(self.fill_value, "float32"), along_channels)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        images = ops.cast(images, self.compute_dtype)
        if not training or transformation is None:
            return images
        erased = ops.logical_and(per_image(transformation["apply_erasing"]), transformation["batch_masks"])
        return ops.where(erased, ops.cast(transformation["fill_value"], self.compute_dtype), images)
