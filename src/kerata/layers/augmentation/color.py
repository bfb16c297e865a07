"""Images whose colors change, each by a draw of its own: brightness, contrast, hue, saturation and the like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kerata import errors, ops, random
from kerata.core import dtypes
from kerata.layers.arguments import fraction, with_defaults
from kerata.layers.augmentation.base import BaseImagePreprocessingLayer, Factor, as_float, back_to, factor_range

__all__ = [
    "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomGrayscale",
    "RandomHue", "RandomInvert", "RandomPosterization", "RandomSaturation", "Recoloring", "Solarization",
]  # fmt: skip


class Recoloring(BaseImagePreprocessingLayer):
    """The base of layers that change the values of images, and no place: labels, boxes and masks stay.

    A subclass says what is drawn for each image, `_drawn(batch, seed)`, and what becomes of the images,
    `_recolored(images, …)`, which takes what was drawn by name, as (B, 1, 1, 1). There images are floats of the
    `_computed_in` range; then they are cut to that range and brought back to `value_range` and the compute dtype.
    """

    value_range: Sequence[float] = (0, 255)
    _computed_in: tuple[float, float] | None = None  # None for `value_range` itself
    _recolored: Callable[..., Any]

    def _drawn(self, batch: int, seed: Any) -> dict[str, Any]:
        raise NotImplementedError

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return what is drawn for each image; None outside of training."""
        return self._drawn(self._batch_size(data), seed) if training else None

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return ops.cast(images, self.compute_dtype)
        drawn = {name: per_image(value) for name, value in transformation.items()}
        inside = self._computed_in or self.value_range
        images = self._transform_value_range(as_float(ops.convert_to_tensor(images)), self.value_range, inside)
        images = ops.clip(self._recolored(images, **drawn), *inside)
        return back_to(self._transform_value_range(images, inside, self.value_range), self.compute_dtype)

    def _range_of_values(self, value_range: Any) -> Sequence[float]:
        """Return `value_range`, two numbers, the lower one first."""
        if not isinstance(value_range, (tuple, list)) or len(value_range) != 2:
            raise errors.InvalidArgument(
                "`value_range` cannot be this.", where=type(self).__name__, got=f"value_range={value_range!r}",
                expected="(lowest, highest) value of images",
            )  # fmt: skip
        return tuple(sorted(value_range))

    def _chosen(self, batch: int, chance: Sequence[float], seed: Any) -> Any:
        """Return for each image (B,) whether it is changed; the chance is drawn for each, too."""
        chances = self._draw((batch,), chance, seed)
        return self._draw((batch,), (0, 1), seed) < chances


def per_image(x: Any) -> Any:
    """Return one value for each image as (B, 1, 1, 1), to meet (B, H, W, C)."""
    return ops.reshape(x, (-1, 1, 1, 1))


# Brightness and contrast ----------------------------------------------------------------------------------------


class RandomBrightness(Recoloring):
    """In training x + delta (high - low), cut to the value range, with a delta for each image.

    Args:
        factor: what delta is drawn from; (lower, upper), or f for -f to f, within -1 and 1.
        value_range: (low, high), what values images may have.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> kerata.layers.RandomBrightness((0.1, 0.1))(numpy.full((1, 1, 3), 100.0)).tolist()
        [[[125.5, 125.5, 125.5]]]
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.factor = factor_range(self, "factor", factor)
        self.value_range = self._range_of_values(value_range)
        self._draw_from(seed)

    def _drawn(self, batch: int, seed: Any) -> dict[str, Any]:
        low, high = self.value_range
        return {"rgb_delta": self._draw((batch, 1, 1, 1), self.factor, seed) * (high - low)}

    def _recolored(self, images: Any, rgb_delta: Any) -> Any:
        return images + rgb_delta


class RandomContrast(Recoloring):
    """In training (x - mean) c + mean, cut to the value range: the mean is each channel's, c each image's.

    Args:
        factor: (l, u) for a c from 1 - l to 1 + u, or f for (f, f); from 0 to 1.
        value_range: (low, high), what values images may have.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> flatter = kerata.layers.RandomContrast((0.5, -0.5))
        >>> flatter(numpy.array([[[0.0], [100.0]]])).tolist()
        [[[25.0], [75.0]]]
    """

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        both = (factor, factor) if isinstance(factor, (int, float)) else factor
        factor_range(self, "factor", both, (0.0, 1.0))
        self.factor = tuple(both)
        self.value_range = self._range_of_values(value_range)
        self._draw_from(seed)

    def _drawn(self, batch: int, seed: Any) -> dict[str, Any]:
        lower, upper = self.factor
        return {"contrast_factor": self._draw((batch, 1, 1, 1), (1 - lower, 1 + upper), seed)}

    def _recolored(self, images: Any, contrast_factor: Any) -> Any:
        mean = ops.mean(images, axis=(self.height_axis, self.width_axis), keepdims=True)
        return (images - mean) * contrast_factor + mean


# Color ----------------------------------------------------------------------------------------------------------


class RandomColorDegeneration(Recoloring):
    """In training x + f (gray - x), cut to the value range: from the image itself, f = 0, to shades of gray, f = 1.

    Args:
        factor: what f is drawn from for each image; (lower, upper), or f for 0 to f.
        value_range: (low, high), what values images may have.
        data_format: "channels_last" (B, H, W, 3) or "channels_first" (B, 3, H, W); by default the configured one.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> gray = kerata.layers.RandomColorDegeneration((1.0, 1.0))(numpy.array([[[255.0, 0.0, 0.0]]]))
        >>> numpy.round(gray).tolist()
        [[[76.0, 76.0, 76.0]]]
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
        return {"factor": self._draw((batch, 1, 1, 1), self.factor, seed)}

    def _recolored(self, images: Any, factor: Any) -> Any:
        return images + factor * (ops.image.rgb_to_grayscale(images, data_format=self.data_format) - images)


class RandomGrayscale(BaseImagePreprocessingLayer):
    """In training each image, with the chance `factor`, becomes shades of gray, in as many channels as before.

    Args:
        factor: the chance, from 0 to 1.
        data_format: "channels_last" (B, H, W, 3) or "channels_first" (B, 3, H, W); by default the configured one.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> numpy.round(kerata.layers.RandomGrayscale(1.0)(numpy.array([[[255.0, 0.0, 0.0]]]))).tolist()
        [[[76.0, 76.0, 76.0]]]
    """

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = fraction(self, "factor", factor)
        self._draw_from(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Return whether each image becomes gray, (B, 1, 1, 1); None outside of training."""
        return self._draw((self._batch_size(data), 1, 1, 1), (0, 1), seed) < self.factor if training else None

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = ops.cast(images, self.compute_dtype)
        if not training or transformation is None:
            return images
        return ops.where(transformation, ops.image.rgb_to_grayscale(images, data_format=self.data_format), images)


class _InHSV(Recoloring):
    """A layer that changes the hue, or the saturation, of colors from 0 to 1."""

    transform_images = with_defaults(Recoloring.transform_images, transformation=None)

    _computed_in = (0, 1)

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

    def _recolored(self, images: Any, factor: Any) -> Any:
        hsv = ops.image.rgb_to_hsv(images, data_format=self.data_format)
        hue, saturation, value = ops.split(hsv, 3, axis=self.channel_axis)
        changed = [*self._changed(hue, saturation, factor), value]
        return ops.image.hsv_to_rgb(ops.concatenate(changed, axis=self.channel_axis), data_format=self.data_format)

    def _changed(self, hue: Any, saturation: Any, factor: Any) -> tuple[Any, Any]:
        raise NotImplementedError


class RandomHue(_InHSV):
    """In training the colors of each image go round the circle of hues, some way to one side or the other.

    Args:
        factor: what the way is drawn from, as a share of half the circle; (lower, upper), or f for 0 to f.
        value_range: (low, high), what values images may have.
        data_format: "channels_last" (B, H, W, 3) or "channels_first" (B, 3, H, W); by default the configured one.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> opposite = kerata.layers.RandomHue((1.0, 1.0))
        >>> opposite(numpy.array([[[255.0, 0.0, 0.0]]])).tolist()
        [[[0.0, 255.0, 255.0]]]
    """

    def _drawn(self, batch: int, seed: Any) -> dict[str, Any]:
        side = ops.where(self._draw((batch,), (0, 1), seed) > 0.5, -1.0, 1.0)
        return {"factor": side * self._draw((batch,), self.factor, seed) * 0.5}

    def _changed(self, hue: Any, saturation: Any, factor: Any) -> tuple[Any, Any]:
        return hue + factor, saturation


class RandomSaturation(_InHSV):
    """In training the saturation of each image is multiplied by f / (1 - f), and is 1 at most.

    Args:
        factor: what f is drawn from; (lower, upper), or f for 0 to f. At 0 the image becomes gray, at 0.5 it stays.
        value_range: (low, high), what values images may have.
        data_format: "channels_last" (B, H, W, 3) or "channels_first" (B, 3, H, W); by default the configured one.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> gray = kerata.layers.RandomSaturation((0.0, 0.0))
        >>> numpy.round(gray(numpy.array([[[200.0, 100.0, 0.0]]]))).tolist()
        [[[200.0, 200.0, 200.0]]]
    """

    def _drawn(self, batch: int, seed: Any) -> dict[str, Any]:
        factor = self._draw((batch,), self.factor, seed)
        return {"factor": factor / (1 - factor + 1e-7)}

    def _changed(self, hue: Any, saturation: Any, factor: Any) -> tuple[Any, Any]:
        return hue, ops.clip(saturation * factor, 0, 1)


class RandomColorJitter(BaseImagePreprocessingLayer):
    """In training brightness, contrast, saturation and hue of each image change, in this order.

    Args:
        value_range: (low, high), what values images may have.
        brightness_factor, contrast_factor, saturation_factor, hue_factor: the `factor` of `RandomBrightness` and so
            forth; None for no change.
        seed: an int for the same draws each time the program runs.
        data_format: "channels_last" (B, H, W, 3) or "channels_first" (B, 3, H, W); by default the configured one.

    Example:
        >>> jitter = kerata.layers.RandomColorJitter(brightness_factor=0.2, hue_factor=0.1)
        >>> jitter(numpy.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        brightness_factor: Factor | None = None,
        contrast_factor: Factor | None = None,
        saturation_factor: Factor | None = None,
        hue_factor: Factor | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = value_range
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        self._draw_from(seed)
        given = [
            (RandomBrightness, brightness_factor), (RandomContrast, contrast_factor),
            (RandomSaturation, saturation_factor), (RandomHue, hue_factor),
        ]  # fmt: skip
        self._steps = steps_of(
            self, [(kind, {"factor": f, "value_range": value_range}) for kind, f in given if f is not None]
        )

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> list[Any] | None:
        """Return what each of the changes draws, in their order; None outside of training."""
        return [step.get_random_transformation(data, seed=seed) for step in self._steps] if training else None

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if training and transformation is not None:
            for step, drawn in zip(self._steps, transformation):
                images = step.transform_images(as_float(images), drawn)
        return back_to(images, self.compute_dtype)


def steps_of(
    layer: BaseImagePreprocessingLayer, kinds: Sequence[tuple[type, dict[str, Any]]]
) -> list[BaseImagePreprocessingLayer]:
    """Return the layers that `layer` is made of: with its formats, computing in floats, drawing from its generator."""
    common = {
        "data_format": layer.data_format, "bounding_box_format": layer.bounding_box_format,
        "dtype": layer.compute_dtype if dtypes.is_float(layer.compute_dtype) else "float32",
    }  # fmt: skip
    steps = [kind(**arguments, **common) for kind, arguments in kinds]
    for step in steps:
        step.generator = layer.generator
    return steps


# Tones ----------------------------------------------------------------------------------------------------------


class RandomInvert(Recoloring):
    """In training each image, with some chance, becomes its negative: low + high - x.

    Args:
        factor: the chance; (lower, upper) for one that is drawn for each image, or f for 0 to f.
        value_range: (low, high), what values images may have.
        seed: an int for the same draws each time the program runs.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> kerata.layers.RandomInvert((1.0, 1.0))(numpy.array([[[0.0, 55.0, 255.0]]])).tolist()
        [[[255.0, 200.0, 0.0]]]
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, (0.0, 1.0))
        self.value_range = self._range_of_values(value_range)
        self._draw_from(seed)

    def _drawn(self, batch: int, seed: Any) -> dict[str, Any]:
        return {"apply_inversion": self._chosen(batch, self.factor, seed)}

    def _recolored(self, images: Any, apply_inversion: Any) -> Any:
        return ops.where(apply_inversion, sum(self.value_range) - images, images)


class RandomPosterization(Recoloring):
    """In training only the first bits of each value, as one of 0 to 255, are kept.

    Args:
        factor: how many bits, from 1 to 8; (lower, upper) for a number that is drawn for each image, both included.
        value_range: (low, high), what values images may have.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> kerata.layers.RandomPosterization(2)(numpy.array([[[0.0, 63.0, 64.0, 255.0]]])).tolist()
        [[[0.0, 0.0, 64.0, 192.0]]]

    Source: Cubuk et al. (2019), AutoAugment: learning augmentation policies from data.
    """

    transform_images = with_defaults(Recoloring.transform_images, transformation=None)

    _computed_in = (0, 255)

    def __init__(
        self,
        factor: int | Sequence[int],
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        both = (factor, factor) if isinstance(factor, (int, float)) else factor
        lower, upper = factor_range(self, "factor", both, (1, 8), within=True)
        self.factor = int(lower), int(upper)
        self.value_range = self._range_of_values(value_range)
        self._draw_from(seed)

    def _drawn(self, batch: int, seed: Any) -> dict[str, Any]:
        lower, upper = self.factor
        bits = random.randint((batch,), lower, upper + 1, seed=self.generator if seed is None else seed)
        return {"shift_factor": 8 - bits}

    def _recolored(self, images: Any, shift_factor: Any) -> Any:
        step = ops.cast(ops.left_shift(1, ops.cast(shift_factor, "int32")), "float32")
        return ops.floor(ops.clip(images, 0, 255) / step) * step


class Solarization(Recoloring):
    """In training each value is raised, and above a threshold becomes its negative, as in a film that saw the sun.

    Args:
        addition_factor: what is drawn for each image to be added, as a share of the value range; (lower, upper), or
            f for 0 to f.
        threshold_factor: what the threshold is drawn from, likewise.
        value_range: (low, high), what values images may have.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> kerata.layers.Solarization(threshold_factor=(0.5, 0.5))(numpy.array([[[20.0, 200.0]]])).tolist()
        [[[20.0, 55.0]]]

    Source: Cubuk et al. (2019), AutoAugment: learning augmentation policies from data.
    """

    _computed_in = (0, 255)

    def __init__(
        self,
        addition_factor: Factor = 0.0,
        threshold_factor: Factor = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.addition_factor = factor_range(self, "addition_factor", addition_factor, (0.0, 1.0), within=True)
        self.threshold_factor = factor_range(self, "threshold_factor", threshold_factor, (0.0, 1.0), within=True)
        self.value_range = self._range_of_values(value_range)
        self._draw_from(seed)

    def _drawn(self, batch: int, seed: Any) -> dict[str, Any]:
        shape = (batch, 1, 1, 1)
        return {
            "additions": 255 * self._draw(shape, self.addition_factor, seed),
            "thresholds": 255 * self._draw(shape, self.threshold_factor, seed),
        }

    def _recolored(self, images: Any, additions: Any, thresholds: Any) -> Any:
        raised = ops.clip(images + additions, 0, 255)
        return ops.where(raised < thresholds, raised, 255 - raised)
