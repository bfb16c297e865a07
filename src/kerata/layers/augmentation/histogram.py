"""Images whose values are spread by how often they occur, each image and each channel for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import ops
from kerata.layers.arguments import positive, sizes, with_defaults
from kerata.layers.augmentation.color import Recoloring

__all__ = ["AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "Equalization"]


class _Spreading(Recoloring):
    """A layer that draws nothing, and looks at how values are spread between 0 and 255."""

    _computed_in = (0, 255)
    _outside_of_training = False  # whether it changes images there as well

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> None:
        """Return None: nothing is drawn."""

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return super().transform_images(images, {}, training or self._outside_of_training)


class AutoContrast(_Spreading):
    """Spreads each channel of an image over the whole value range, in training and outside; flat channels stay.

    y = low + (high - low) (x - min) / (max - min)

    Args:
        value_range: (low, high), what values images may have.

    Example:
        >>> kerata.layers.AutoContrast()(numpy.array([[[50.0], [60.0], [100.0]]]))[0, :, 0].tolist()
        [0.0, 51.0, 255.0]

    Source: Cubuk et al. (2019), AutoAugment: learning augmentation policies from data.
    """

    transform_images = with_defaults(_Spreading.transform_images, transformation=None)

    _outside_of_training = True

    def __init__(self, value_range: Sequence[float] = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = self._range_of_values(value_range)

    def _recolored(self, images: Any) -> Any:
        places = (self.height_axis, self.width_axis)
        low, high = (bound(images, axis=places, keepdims=True) for bound in (ops.min, ops.max))
        flat = high == low
        return ops.where(flat, images, (images - low) * (255 / ops.where(flat, 1.0, high - low)))


class Equalization(_Spreading):
    """In training each channel of an image is mapped so that its values occur about equally often.

    y = 255 (n(x) - n(min)) / (n(max) - n(min)), rounded, with n(x) the number of cells up to the bin of x.

    Args:
        value_range: (low, high), what values images may have.
        bins: how many bins there are between them.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> kerata.layers.Equalization()(numpy.array([[[10.0], [20.0], [21.0], [90.0]]]))[0, :, 0].tolist()
        [0.0, 85.0, 170.0, 255.0]
    """

    def __init__(
        self, value_range: Sequence[float] = (0, 255), bins: int = 256, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = self._range_of_values(value_range)
        self.bins = positive(self, "bins", bins)

    def _recolored(self, images: Any) -> Any:
        last = self.data_format == "channels_last"
        channels = ops.moveaxis(images, -1, 1) if last else images
        values = ops.reshape(channels, (channels.shape[0] * channels.shape[1], -1))
        which = ops.cast(ops.clip(values * ((self.bins - 1) / 255), 0, self.bins - 1), "int32")
        table = self._spread(ops.cumsum(_counts(which, self.bins), axis=-1))
        spread = ops.where(table[:, -1:] > 0, ops.take_along_axis(table, which, axis=-1), values)
        spread = ops.reshape(spread, channels.shape)
        return ops.moveaxis(spread, 1, -1) if last else spread

    def _spread(self, below: Any) -> Any:
        """Return what each bin becomes, 0 all over where only one bin holds anything."""
        least = ops.min(ops.where(below > 0, below, below[:, -1:]), axis=-1, keepdims=True)
        others = below[:, -1:] - least
        return ops.clip(ops.round((below - least) * 255 / ops.maximum(others, 1)), 0, 255)


class ContrastLimitedAdaptiveHistogramEqualization(_Spreading):
    """Equalizes tiles of images, with a limit to how much contrast may grow, in training and outside.

    In each tile a value becomes the share of cells up to it; no value counts more than a limit, and what is above it
    is spread over all. Between the middles of tiles their results are interpolated.

    Args:
        value_range: (low, high), what values images may have.
        clip_limit: the limit, as a multiple of how often each of the 256 values would occur on average; 0 for none.
        tile_grid_size: how many tiles there are down and across. An image that they do not divide is continued by
            its mirror image.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> layer = kerata.layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))
        >>> layer(numpy.ones((4, 16, 16, 3))).shape
        (4, 16, 16, 3)

    Source: Zuiderveld (1994), Contrast limited adaptive histogram equalization.
    """

    transform_images = with_defaults(_Spreading.transform_images, transformation=None)

    _outside_of_training = True

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = self._range_of_values(value_range)
        self.clip_limit = clip_limit
        self.tile_grid_size = sizes(self, "tile_grid_size", tile_grid_size, 2)

    def _recolored(self, images: Any) -> Any:
        last = self.data_format == "channels_last"
        channels = ops.moveaxis(images, -1, 1) if last else images
        batch, depth, height, width = channels.shape
        planes = ops.reshape(channels, (batch * depth, height, width))
        equalized = ops.reshape(self._equalized(planes), channels.shape)
        return ops.moveaxis(equalized, 1, -1) if last else equalized

    def _equalized(self, planes: Any) -> Any:
        """Return planes (N, H, W) equalized."""
        count, height, width = planes.shape
        down, across = self.tile_grid_size
        tile_height, tile_width = -(-height // down), -(-width // across)
        beyond = (0, tile_height * down - height), (0, tile_width * across - width)
        values = ops.cast(ops.clip(planes, 0, 255), "int32")
        tiles = ops.reshape(
            ops.pad(values, ((0, 0), *beyond), mode="symmetric"), (count, down, tile_height, across, tile_width)
        )
        tiles = ops.reshape(ops.swapaxes(tiles, 2, 3), (count * down * across, tile_height * tile_width))
        tables = ops.reshape(self._tables(tiles), (-1,))
        (top, bottom, share_down), (left, right, share_across) = (
            _neighbours(height, tile_height, down), _neighbours(width, tile_width, across)
        )  # fmt: skip
        first = ops.arange(count)[:, None, None] * (down * across)

        def found(row: Any, column: Any) -> Any:
            return ops.take(tables, (first + row[:, None] * across + column) * 256 + values)

        upper = found(top, left) * (1 - share_across) + found(top, right) * share_across
        lower = found(bottom, left) * (1 - share_across) + found(bottom, right) * share_across
        return upper * (1 - share_down[:, None]) + lower * share_down[:, None]

    def _tables(self, tiles: Any) -> Any:
        """Return what each of 256 values becomes in each tile, (tiles, 256)."""
        counts, cells = _counts(tiles, 256), tiles.shape[1]
        if self.clip_limit > 0:
            limited = ops.minimum(counts, self.clip_limit * cells / 256)
            counts = limited + ops.sum(counts - limited, axis=-1, keepdims=True) / 256
        below = ops.cumsum(counts, axis=-1)
        least = below[:, :1]
        others = cells - least
        return ops.clip((below - least) * 255 / ops.where(others == 0, 1.0, others), 0, 255)


def _neighbours(length: int, tile: int, tiles: int) -> tuple[Any, Any, Any]:
    """Return for each cell along an axis the tiles whose middles are around it, and how near it is to the second."""
    place = ops.arange(length, dtype="float32") / tile - 0.5
    before = ops.floor(place)
    first, second = (ops.cast(ops.clip(before + step, 0, tiles - 1), "int32") for step in (0, 1))
    return first, second, place - before


def _counts(values: Any, bins: int) -> Any:
    """Return how often each int below `bins` occurs in each row: (rows, n) -> (rows, bins), as floats."""
    rows = values.shape[0]
    places = ops.reshape(values + ops.arange(rows)[:, None] * bins, (-1,))
    ones = ops.ones(places.shape, "float32")
    return ops.reshape(ops.segment_sum(ones, places, num_segments=rows * bins), (rows, bins))
