"""Images sharpened and blurred: each cell against a mean of those around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import errors, ops
from kerata.layers.arguments import sizes, with_defaults
from kerata.layers.augmentation.base import Factor, factor_range
from kerata.layers.augmentation.color import Recoloring

__all__ = ["RandomGaussianBlur", "RandomSharpness"]


class RandomSharpness(Recoloring):
    """In training x + (1 - 2 f) (smooth - x), cut to the value range: blurred below f = 0.5, sharpened above.

    What is smooth is a mean of 3 by 3 cells, of which the middle counts five times; zeros lie around the image.

    Args:
        factor: what f is drawn from for each image; (lower, upper), or f for 0 to f.
        value_range: (low, high), what values images may have.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> dot = numpy.zeros((3, 3, 1))
        >>> dot[1, 1] = 130.0
        >>> numpy.round(kerata.layers.RandomSharpness((0.0, 0.0))(dot)[..., 0]).tolist()
        [[10.0, 10.0, 10.0], [10.0, 50.0, 10.0], [10.0, 10.0, 10.0]]

    Source: Cubuk et al. (2019), AutoAugment: learning augmentation policies from data.
    """

    transform_images = with_defaults(Recoloring.transform_images, transformation=None)

    def __init__(
        self,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, (0.0, 1.0))
        self.value_range = self._range_of_values(value_range)
        self._draw_from(seed)

    def _drawn(self, batch: int, seed: Any) -> dict[str, Any]:
        return {"factor": self._draw((batch,), self.factor, seed)}

    def _recolored(self, images: Any, factor: Any) -> Any:
        kernel = ops.convert_to_tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]], images.dtype) / 13
        kernel = ops.tile(kernel[:, :, None, None], (1, 1, images.shape[self.channel_axis], 1))
        smooth = ops.depthwise_conv(images, kernel, padding="same", data_format=self.data_format)
        return images + (1 - 2 * factor) * (smooth - images)


class RandomGaussianBlur(Recoloring):
    """In training each image, with some chance, is blurred: cells become means, weighted by a normal distribution.

    Args:
        factor: the chance; (lower, upper) for one that is drawn for each image, or f for 0 to f.
        kernel_size: how many columns and rows count, both odd; or one number for both.
        sigma: what the deviations across and down are drawn from for each image, in cells from 0 to 1;
            (lower, upper), or s for 0 to s.
        value_range: (low, high), what values images may have.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> kerata.layers.RandomGaussianBlur(kernel_size=5)(numpy.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: Factor = 1.0,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, (0.0, 1.0))
        self.kernel_size = sizes(self, "kernel_size", kernel_size, 2)
        if not all(size % 2 for size in self.kernel_size):
            raise errors.InvalidArgument(
                "a window around a cell has odd sides.", where="RandomGaussianBlur", expected="an odd int, or two",
                got=f"kernel_size={kernel_size!r}",
            )  # fmt: skip
        self.sigma = factor_range(self, "sigma", sigma, (0.0, 1.0))
        self.value_range = self._range_of_values(value_range)
        self._draw_from(seed)

    def _drawn(self, batch: int, seed: Any) -> dict[str, Any]:
        return {
            "should_apply_blur": self._chosen(batch, self.factor, seed),
            "blur_factor": self._draw((batch, 2), self.sigma, seed) + 1e-6,  # a bell of no width has no weights
        }

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        if transformation is not None:
            across, down = (ops.reshape(transformation["blur_factor"], (-1, 2))[:, i] for i in range(2))
            transformation = {"chosen": transformation["should_apply_blur"], "across": across, "down": down}
        return super().transform_images(images, transformation, training)

    def _recolored(self, images: Any, chosen: Any, across: Any, down: Any) -> Any:
        blurred = _mean_along(images, self.width_axis, self.kernel_size[0], across)
        blurred = _mean_along(blurred, self.height_axis, self.kernel_size[1], down)
        return ops.where(chosen, blurred, images)


def _mean_along(images: Any, axis: int, size: int, sigma: Any) -> Any:
    """Return means of `size` cells along an axis, weighted by a bell of each image's own width sigma (B, 1, 1, 1)."""
    reach, length = size // 2, images.shape[axis]
    weights = [ops.exp(-0.5 * ops.square((k - reach) / sigma)) for k in range(size)]
    around = ops.pad(images, [(reach, reach) if a == images.ndim + axis else (0, 0) for a in range(images.ndim)])
    rest = (slice(None),) * (-axis - 1)
    shifted = [around[(..., slice(k, k + length), *rest)] for k in range(size)]
    return sum(w * x for w, x in zip(weights, shifted)) / sum(weights)
