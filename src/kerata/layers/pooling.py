"""Pooling: the largest value or the mean, in windows that move over the spatial axes or over all of them.

Shapes: B batch, S one or more spatial axes, C channels. With `data_format="channels_first"` the channels stand right
after the batch.
"""

from __future__ import annotations

from typing import Any

from kerata import ops
from kerata.layers.arguments import Sizes, check_window, one_of, sizes
from kerata.layers.ranks import Ranked

__all__ = [
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "AvgPool1D", "AvgPool2D", "AvgPool3D",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalAvgPool1D",
    "GlobalAvgPool2D", "GlobalAvgPool3D", "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "MaxPool1D", "MaxPool2D", "MaxPool3D",
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D",
]  # fmt: skip


class _Pooling(Ranked):
    """Args:
        pool_size: the window's size, for all spatial axes or for each.
        strides: how far the window moves; by default its own size.
        padding: "valid" for none, "same" for an output of the input's size over `strides`.
        data_format: "channels_last" (B, *S, C) or "channels_first" (B, C, *S); by default the configured one.
    """

    built = True

    def __init__(
        self,
        pool_size: Sizes,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self._keep(locals())
        self.pool_size = sizes(self, "pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else sizes(self, "strides", strides, self.rank)
        self.padding = one_of(self, "padding", padding, ("valid", "same"))

    def _windows(self, x: Any) -> tuple[Any, ...]:
        check_window(self, x, self.spatial_axes, self.pool_size, self.padding)
        return x, self.pool_size, self.strides, self.padding, self.data_format


class _MaxPooling(_Pooling):
    def call(self, inputs: Any) -> Any:
        return ops.max_pool(*self._windows(inputs))


class _AveragePooling(_Pooling):
    def call(self, inputs: Any) -> Any:
        return ops.average_pool(*self._windows(inputs))


class MaxPooling1D(_MaxPooling, rank=1, pool_size=2):
    """The largest value in each window over time: (B, T, C) -> (B, T', C).

    Args:
        pool_size: the window's size.
        strides: how far the window moves; by default its own size.
        padding: "valid" for none, "same" for an output of the input's size over `strides`.
        data_format: "channels_last" (B, T, C) or "channels_first" (B, C, T); by default the configured one.

    Example:
        >>> kerata.layers.MaxPooling1D(2)(numpy.array([[[1.0], [5.0], [2.0], [3.0]]])).tolist()
        [[[5.0], [3.0]]]
    """


class MaxPooling2D(_MaxPooling, rank=2, pool_size=(2, 2)):
    """The largest value in each window of an image: (B, H, W, C) -> (B, H', W', C); see `MaxPooling1D`.

    Example:
        >>> kerata.layers.MaxPooling2D()(numpy.ones((2, 28, 28, 8))).shape
        (2, 14, 14, 8)
    """


class MaxPooling3D(_MaxPooling, rank=3, pool_size=(2, 2, 2)):
    """The largest value in each window of a volume: (B, D, H, W, C) -> (B, D', H', W', C); see `MaxPooling1D`.

    Example:
        >>> kerata.layers.MaxPooling3D()(numpy.ones((2, 8, 8, 8, 1))).shape
        (2, 4, 4, 4, 1)
    """


class AveragePooling1D(_AveragePooling, rank=1):
    """The mean of each window over time: (B, T, C) -> (B, T', C); cells of the padding do not count.

    Args:
        pool_size: the window's size.
        strides: how far the window moves; by default its own size.
        padding: "valid" for none, "same" for an output of the input's size over `strides`.
        data_format: "channels_last" (B, T, C) or "channels_first" (B, C, T); by default the configured one.

    Example:
        >>> kerata.layers.AveragePooling1D(2)(numpy.array([[[1.0], [5.0], [2.0], [4.0]]])).tolist()
        [[[3.0], [3.0]]]
    """


class AveragePooling2D(_AveragePooling, rank=2):
    """The mean of each window of an image: (B, H, W, C) -> (B, H', W', C); see `AveragePooling1D`.

    Example:
        >>> kerata.layers.AveragePooling2D(2)(numpy.ones((2, 28, 28, 8))).shape
        (2, 14, 14, 8)
    """


class AveragePooling3D(_AveragePooling, rank=3):
    """The mean of each window of a volume: (B, D, H, W, C) -> (B, D', H', W', C); see `AveragePooling1D`.

    Example:
        >>> kerata.layers.AveragePooling3D(2)(numpy.ones((2, 8, 8, 8, 1))).shape
        (2, 4, 4, 4, 1)
    """


class _GlobalPooling(Ranked):
    built = True

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())


class _GlobalMaxPooling(_GlobalPooling):
    def call(self, inputs: Any) -> Any:
        return ops.max(inputs, axis=self.spatial_axes, keepdims=self.keepdims)


class _GlobalAveragePooling(_GlobalPooling):
    def call(self, inputs: Any) -> Any:
        return ops.mean(inputs, axis=self.spatial_axes, keepdims=self.keepdims)


class GlobalMaxPooling1D(_GlobalMaxPooling, rank=1):
    """The largest value over time: (B, T, C) -> (B, C), or (B, 1, C) with `keepdims`.

    Example:
        >>> kerata.layers.GlobalMaxPooling1D()(numpy.array([[[1.0], [5.0], [2.0]]])).tolist()
        [[5.0]]
    """


class GlobalMaxPooling2D(_GlobalMaxPooling, rank=2):
    """The largest value of each channel of an image: (B, H, W, C) -> (B, C), or (B, 1, 1, C) with `keepdims`.

    Example:
        >>> kerata.layers.GlobalMaxPooling2D()(numpy.ones((2, 7, 7, 8))).shape
        (2, 8)
    """


class GlobalMaxPooling3D(_GlobalMaxPooling, rank=3):
    """The largest value of each channel of a volume: (B, D, H, W, C) -> (B, C), or (B, 1, 1, 1, C) with `keepdims`.

    Example:
        >>> kerata.layers.GlobalMaxPooling3D(keepdims=True)(numpy.ones((2, 7, 7, 7, 8))).shape
        (2, 1, 1, 1, 8)
    """


class GlobalAveragePooling1D(_GlobalAveragePooling, rank=1):
    """The mean over time, of the steps that are not masked: (B, T, C) -> (B, C), or (B, 1, C) with `keepdims`.

    Example:
        >>> kerata.layers.GlobalAveragePooling1D()(numpy.array([[[1.0], [5.0], [3.0]]])).tolist()
        [[3.0]]

    Source: Lin et al. (2014), Network in network.
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().call(inputs)
        real = ops.cast(ops.expand_dims(mask, self.channel_axis), "bool")
        total = ops.sum(ops.where(real, inputs, 0), axis=self.spatial_axes, keepdims=self.keepdims)
        return total / ops.sum(ops.cast(real, inputs.dtype), axis=self.spatial_axes, keepdims=self.keepdims)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None  # no time axis is left


class GlobalAveragePooling2D(_GlobalAveragePooling, rank=2):
    """The mean of each channel of an image: (B, H, W, C) -> (B, C), or (B, 1, 1, C) with `keepdims`.

    Example:
        >>> kerata.layers.GlobalAveragePooling2D()(numpy.ones((2, 7, 7, 8))).shape
        (2, 8)
    """


class GlobalAveragePooling3D(_GlobalAveragePooling, rank=3):
    """The mean of each channel of a volume: (B, D, H, W, C) -> (B, C), or (B, 1, 1, 1, C) with `keepdims`.

    Example:
        >>> kerata.layers.GlobalAveragePooling3D()(numpy.ones((2, 7, 7, 7, 8))).shape
        (2, 8)
    """


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
