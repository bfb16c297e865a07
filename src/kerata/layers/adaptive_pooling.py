"""Adaptive pooling: as many windows as the output is to have cells, whatever the size of the input.

Shapes: B batch, S one or more spatial axes, C channels. Along an axis of n cells, the i-th of m windows goes from
floor(i n / m) to ceil((i + 1) n / m); windows overlap where m is no divisor of n.
"""

from __future__ import annotations

from typing import Any

from kerata import ops
from kerata.layers.arguments import Sizes, sizes
from kerata.layers.ranks import Ranked

__all__ = [
    "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D", "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D",
]  # fmt: skip


class _AdaptivePooling(Ranked):
    built = True

    def __init__(self, output_size: Sizes, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.output_size = sizes(self, "output_size", output_size, self.rank)


class _AdaptiveAveragePooling(_AdaptivePooling):
    def call(self, inputs: Any) -> Any:
        return ops.adaptive_average_pool(inputs, self.output_size, self.data_format)


class _AdaptiveMaxPooling(_AdaptivePooling):
    def call(self, inputs: Any) -> Any:
        return ops.adaptive_max_pool(inputs, self.output_size, self.data_format)


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling, rank=1):
    """The means of as many windows over time as are asked for: (B, T, C) -> (B, output_size, C).

    Args:
        output_size: the size of the output, for all spatial axes or for each.
        data_format: "channels_last" (B, T, C) or "channels_first" (B, C, T); by default the configured one.

    Example:
        >>> kerata.layers.AdaptiveAveragePooling1D(2)(numpy.array([[[1.0], [5.0], [2.0], [4.0]]])).tolist()
        [[[3.0], [3.0]]]
    """


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling, rank=2):
    """The means of windows of an image: (B, H, W, C) -> (B, *output_size, C); see `AdaptiveAveragePooling1D`.

    Example:
        >>> kerata.layers.AdaptiveAveragePooling2D((7, 5))(numpy.ones((2, 30, 28, 8))).shape
        (2, 7, 5, 8)
    """


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling, rank=3):
    """The means of windows of a volume: (B, D, H, W, C) -> (B, *output_size, C); see `AdaptiveAveragePooling1D`.

    Example:
        >>> kerata.layers.AdaptiveAveragePooling3D(4)(numpy.ones((2, 8, 9, 10, 1))).shape
        (2, 4, 4, 4, 1)
    """


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling, rank=1):
    """The largest values of as many windows over time as are asked for: (B, T, C) -> (B, output_size, C).

    Args:
        output_size: the size of the output, for all spatial axes or for each.
        data_format: "channels_last" (B, T, C) or "channels_first" (B, C, T); by default the configured one.

    Example:
        >>> kerata.layers.AdaptiveMaxPooling1D(2)(numpy.array([[[1.0], [5.0], [2.0], [4.0]]])).tolist()
        [[[5.0], [4.0]]]
    """


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling, rank=2):
    """The largest values of windows of an image: (B, H, W, C) -> (B, *output_size, C); see `AdaptiveMaxPooling1D`.

    Example:
        >>> kerata.layers.AdaptiveMaxPooling2D((7, 5))(numpy.ones((2, 30, 28, 8))).shape
        (2, 7, 5, 8)
    """


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling, rank=3):
    """The largest values of windows of a volume: (B, D, H, W, C) -> (B, *output_size, C); see `AdaptiveMaxPooling1D`.

    Example:
        >>> kerata.layers.AdaptiveMaxPooling3D(4)(numpy.ones((2, 8, 9, 10, 1))).shape
        (2, 4, 4, 4, 1)
    """
