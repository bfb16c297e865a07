"""`RandomElasticTransform`: images bent as if drawn on rubber."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import errors, ops
from kerata.core.rng import draw_key
from kerata.layers.arguments import one_of
from kerata.layers.augmentation.base import BaseImagePreprocessingLayer, Factor, factor_range
from kerata.ops.image.warping import stretched

__all__ = ["RandomElasticTransform"]


class RandomElasticTransform(BaseImagePreprocessingLayer):
    """In training each image, with some chance, is bent: each cell comes from a place nearby.

    Args:
        factor: the chance; (lower, upper) for one that is drawn for each image, or f for 0 to f.
        scale: how strongly, from 0 to 1; (lower, upper), or s for 0 to s. One is drawn for a batch.
        interpolation: "bilinear" or "nearest"; masks take the nearest.
        fill_mode: what lies outside, as for `RandomRotation`; "mirror" too.
        fill_value: with "constant".
        value_range: (lowest, highest) value of the images, to which results are cut.
        seed: an int for the same draws each time the program runs.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Raises:
        Unsupported: for bounding boxes, since a box that is bent is none.

    Example:
        >>> kerata.layers.RandomElasticTransform(scale=0.5)(numpy.ones((2, 16, 16, 3))).shape
        (2, 16, 16, 3)

    Source: Simard et al. (2003), Best practices for convolutional neural networks.
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, (0.0, 1.0))
        self.scale = factor_range(self, "scale", scale, (0.0, 1.0))
        self.interpolation = one_of(self, "interpolation", interpolation, ("nearest", "bilinear"))
        self.fill_mode = one_of(self, "fill_mode", fill_mode, ("constant", "nearest", "wrap", "mirror", "reflect"))
        self.fill_value, self.value_range = fill_value, value_range
        self._draw_from(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return whether, "apply_transform" (B,), how strongly, "distortion_factor", and a "seed" for the noise."""
        if not training or self.scale[1] == 0 or self.factor[1] == 0:
            return None
        batch = self._batch_size(data)
        chance = self._draw((batch,), self.factor, seed)
        return {
            "apply_transform": self._draw((batch,), (0, 1), seed) < chance,
            "distortion_factor": self._draw((), self.scale, seed),
            "seed": draw_key(self.generator if seed is None else seed),  # one, so that masks are bent as images are
        }

    def get_elastic_transform_params(self, height: int, width: int, factor: Any) -> tuple[Any, Any]:
        """Return alpha and sigma of `ops.image.elastic_transform` for images of a size."""
        return max(height, width) * 0.1 * factor, min(height, width) * 0.05 * factor

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = ops.cast(images, self.compute_dtype)
        if not training or transformation is None:
            return images
        return ops.clip(self._bent(images, transformation, self.interpolation), *self.value_range)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return segmentation_masks
        return self._bent(segmentation_masks, transformation, "nearest")

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        raise errors.Unsupported(
            "a box that is bent is none.", where=self._where(), hint='leave "bounding_boxes" out of what it is given'
        )

    def _bent(self, x: Any, transformation: dict[str, Any], interpolation: str) -> Any:
        size = self._height_width(x.shape)
        factor = ops.maximum(transformation["distortion_factor"], 1e-6)  # a bell of no width has no weights
        alpha, sigma = self.get_elastic_transform_params(*size, factor)
        reach = int(6 * self.get_elastic_transform_params(*size, self.scale[1])[1]) | 1
        bent = stretched(
            x, alpha, sigma, reach, interpolation, self.fill_mode, self.fill_value, transformation["seed"],
            self.data_format,
        )  # fmt: skip
        return ops.where(transformation["apply_transform"][:, None, None, None], bent, x)
