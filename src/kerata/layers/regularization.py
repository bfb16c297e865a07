"""Layers that disturb or weigh what passes while training, against overfitting; otherwise they change nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kerata import errors, ops, random, regularizers
from kerata.layers.arguments import fraction
from kerata.layers.base import Layer
from kerata.layers.ranks import Ranked

__all__ = [
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D",
    "SpatialDropout2D", "SpatialDropout3D",
]  # fmt: skip


class _Disturbing(Layer):
    """A layer that draws random numbers when it is called in training."""

    built = supports_masking = True
    seed_generator: random.SeedGenerator | None = None

    def _draw_from(self, seed: int | None, strength: float) -> None:
        if strength > 0:
            self.seed_generator = random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self._disturbed(inputs) if training and self.seed_generator is not None else inputs

    def _disturbed(self, x: Any) -> Any:
        raise NotImplementedError


# Dropout --------------------------------------------------------------------------------------------------------


class Dropout(_Disturbing):
    """In training each value is 0 with probability `rate`, else x / (1 - rate), so that its mean stays.

    Args:
        rate: the probability, from 0 to 1.
        noise_shape: the shape in which is drawn, with 1 along axes that share a draw and None for the input's size:
            (None, 1, None) drops the same features in every time step. By default that of the input.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> kerata.layers.Dropout(0.5)(numpy.ones((2, 3))).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]

    Source: Srivastava et al. (2014), Dropout: a simple way to prevent neural networks from overfitting.
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        fraction(self, "rate", rate)
        self.noise_shape = _checked_noise_shape(self, noise_shape)
        self._draw_from(seed, rate)

    def _disturbed(self, x: Any) -> Any:
        return random.dropout(x, self.rate, self._noise_shape_for(x), seed=self.seed_generator)

    def _noise_shape_for(self, x: Any) -> tuple[int, ...]:
        return _concrete(self, self.noise_shape, x)


class _SpatialDropout(Dropout, Ranked):
    """Dropout of whole channels: a sample's channel is 0 everywhere or nowhere."""

    def _noise_shape_for(self, x: Any) -> tuple[int, ...]:
        return tuple(1 if axis in self.spatial_axes else size for axis, size in enumerate(x.shape))

    def get_config(self) -> dict[str, Any]:
        return {name: value for name, value in super().get_config().items() if name != "trainable"}


class SpatialDropout1D(_SpatialDropout, rank=1):
    """In training each channel of a sample (B, T, C) is dropped whole with probability `rate`.

    Args:
        rate: the probability, from 0 to 1.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> kerata.layers.SpatialDropout1D(0.5)(numpy.ones((2, 10, 4)), training=True).shape
        (2, 10, 4)

    Source: Tompson et al. (2015), Efficient object localization using convolutional networks.
    """

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)


class _SpatialDropoutInEitherFormat(_SpatialDropout):
    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, name: str | None = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self._keep({"data_format": data_format})


class SpatialDropout2D(_SpatialDropoutInEitherFormat, rank=2):
    """In training each channel of an image (B, H, W, C) is dropped whole with probability `rate`.

    Args:
        rate: the probability, from 0 to 1.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> kerata.layers.SpatialDropout2D(0.5)(numpy.ones((2, 8, 8, 4)), training=True).shape
        (2, 8, 8, 4)
    """


class SpatialDropout3D(_SpatialDropoutInEitherFormat, rank=3):
    """In training each channel of a volume (B, D, H, W, C) is dropped whole with probability `rate`.

    The arguments are those of `SpatialDropout2D`.

    Example:
        >>> kerata.layers.SpatialDropout3D(0.5)(numpy.ones((2, 4, 4, 4, 3)), training=True).shape
        (2, 4, 4, 4, 3)
    """


class AlphaDropout(_Disturbing):
    """Dropout for SELU: dropped values become its lower limit, and mean and variance stay.

    In training y = a (x keep + limit (1 - keep)) + b, with limit = -alpha scale of SELU,
    a = ((1 - rate) (1 + rate limit^2))^-1/2 and b = -a limit rate.

    Args:
        rate: the probability, from 0 to less than 1.
        noise_shape: as of `Dropout`.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> kerata.layers.AlphaDropout(0.1)(numpy.ones((2, 3)), training=True).shape
        (2, 3)

    Source: Klambauer et al. (2017), Self-normalizing neural networks.
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        fraction(self, "rate", rate, below_one=True)
        self.noise_shape = _checked_noise_shape(self, noise_shape)
        self._draw_from(seed, rate)

    def _disturbed(self, x: Any) -> Any:
        limit = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946
        a = ((1 - self.rate) * (1 + self.rate * limit**2)) ** -0.5
        b = -a * limit * self.rate
        keep = random.uniform(_concrete(self, self.noise_shape, x), seed=self.seed_generator) >= self.rate
        return a * ops.where(keep, x, limit) + b


def _checked_noise_shape(layer: Layer, shape: Any) -> tuple[int | None, ...] | None:
    if shape is None:
        return None
    is_shape = isinstance(shape, (list, tuple))
    if not is_shape or not all(n is None or (isinstance(n, int) and n > 0) for n in shape):
        raise errors.InvalidArgument(
            "`noise_shape` cannot be this.", where=type(layer).__name__, got=f"noise_shape={shape!r}",
            expected="positive ints, and None for the input's size",
        )  # fmt: skip
    return tuple(shape)


def _concrete(layer: Layer, noise_shape: tuple[int | None, ...] | None, x: Any) -> tuple[int, ...]:
    """Return `noise_shape` with the sizes of `x` for None."""
    if noise_shape is None:
        return tuple(x.shape)
    if len(noise_shape) != x.ndim or any(n not in (None, 1, size) for n, size in zip(noise_shape, x.shape)):
        raise errors.ShapeMismatch(
            "`noise_shape` does not fit the input.", where=layer._where(),
            expected=f"what broadcasts to {tuple(x.shape)}", got=noise_shape,
            hint="None stands for the input's size along an axis",
        )  # fmt: skip
    return tuple(size if n is None else n for n, size in zip(noise_shape, x.shape))


# Noise ----------------------------------------------------------------------------------------------------------


class GaussianDropout(_Disturbing):
    """In training y = x e, with e normal of mean 1 and standard deviation sqrt(rate / (1 - rate)).

    Args:
        rate: as strong as a `Dropout` of this rate; from 0 to less than 1.
        seed: an int for the same draws each time the program runs.

    Example:
        >>> kerata.layers.GaussianDropout(0.1)(numpy.ones((2, 3)), training=True).shape
        (2, 3)

    Source: Srivastava et al. (2014), section 10.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        fraction(self, "rate", rate, below_one=True)
        self._draw_from(seed, rate)

    def _disturbed(self, x: Any) -> Any:
        stddev = math.sqrt(self.rate / (1 - self.rate))
        return x * random.normal(x.shape, 1.0, stddev, dtype=self.compute_dtype, seed=self.seed_generator)


class GaussianNoise(_Disturbing):
    """In training y = x + e, with e normal of mean 0 and standard deviation `stddev`.

    Example:
        >>> kerata.layers.GaussianNoise(0.1)(numpy.ones((2, 3)), training=True).shape
        (2, 3)
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        if not isinstance(stddev, (int, float)) or not 0 <= stddev < math.inf:
            raise errors.InvalidArgument(
                "`stddev` is a number of 0 or more.", where=type(self).__name__, got=f"stddev={stddev!r}"
            )
        self._draw_from(seed, stddev)

    def _disturbed(self, x: Any) -> Any:
        return x + random.normal(x.shape, 0.0, self.stddev, dtype=self.compute_dtype, seed=self.seed_generator)


# Losses ---------------------------------------------------------------------------------------------------------


class ActivityRegularization(Layer):
    """Gives back its input and adds l1 sum|x| + l2 sum x^2, as a mean over the batch, to the loss.

    Example:
        >>> layer = kerata.layers.ActivityRegularization(l2=0.5)
        >>> _ = layer(numpy.array([[1.0, 2.0]]))
        >>> float(layer.losses[0])
        2.5
    """

    built = supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self._keep(locals())

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("activity_regularizer")  # it is made of l1 and l2
        return config
