"""Layers that move, repeat, pad and cut cells and leave their values alone.

Shapes: B batch, T time steps, H, W, D spatial axes, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerata import errors, ops
from kerata.core import dtypes
from kerata.core.symbolic import KerasTensor
from kerata.layers.arguments import Pairs, Sizes, one_of, pairs, positive, sizes
from kerata.layers.base import Layer
from kerata.layers.input_spec import InputSpec
from kerata.layers.ranks import Ranked
from kerata.layers.shapes import known_shape

__all__ = [
    "Cropping1D", "Cropping2D", "Cropping3D", "Flatten", "Permute", "RepeatVector", "Reshape", "UpSampling1D",
    "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
]  # fmt: skip


# Shapes ---------------------------------------------------------------------------------------------------------


class Flatten(Layer):
    """All axes but the batch in one: (B, …) -> (B, N).

    Args:
        data_format: "channels_first" moves the channels last before, so that both formats give the same order.

    Example:
        >>> kerata.layers.Flatten()(numpy.ones((2, 28, 28))).shape
        (2, 784)
    """

    built = True
    input_spec = InputSpec(min_ndim=1)

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Any) -> Any:
        if self.data_format == "channels_first" and inputs.ndim > 1:
            inputs = ops.moveaxis(inputs, 1, -1)
        return ops.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))


class Reshape(Layer):
    """The same values in another shape: (B, …) -> (B, *target_shape).

    Args:
        target_shape: the shape without the batch; -1 in one place for what is left over.

    Raises:
        ShapeMismatch: when the numbers of values differ.

    Example:
        >>> kerata.layers.Reshape((28, -1))(numpy.ones((2, 784))).shape
        (2, 28, 28)
    """

    built = True

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = target = tuple(target_shape)
        if not all(isinstance(d, (int, np.integer)) and d >= -1 for d in target) or target.count(-1) > 1:
            raise errors.InvalidArgument(
                "`target_shape` cannot be this.", where="Reshape", expected="ints, with -1 in one place at most",
                got=f"target_shape={target_shape}",
            )  # fmt: skip

    def call(self, inputs: Any) -> Any:
        shape: Any = self._resolved(tuple(inputs.shape[1:]))  # no size of a real tensor is unknown
        return ops.reshape(inputs, (inputs.shape[0], *shape))

    def compute_output_spec(self, inputs: Any) -> Any:
        # By hand, since the sizes at which abstract evaluation tries an unknown axis may not divide.
        shape = (inputs.shape[0], *self._resolved(tuple(inputs.shape[1:])))
        return KerasTensor(shape, self.compute_dtype if dtypes.is_float(inputs.dtype) else inputs.dtype)

    def _resolved(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the target shape for an input of `shape`, both without the batch."""
        if None in shape:
            return tuple(None if d == -1 else d for d in self.target_shape)
        have, want = math.prod(shape), math.prod(d for d in self.target_shape if d != -1)  # type: ignore[arg-type]
        fits = (want > 0 and have % want == 0) if -1 in self.target_shape else have == want
        if not fits:
            raise errors.ShapeMismatch(
                "the values do not fit into the new shape.", where=self._where(),
                expected=f"{want} values (or a multiple)" if -1 in self.target_shape else f"{want} values",
                got=f"{have} values in shape {shape}, target_shape={self.target_shape}",
                hint="the batch axis stays as it is and is not counted",
            )  # fmt: skip
        return tuple(have // want if d == -1 else d for d in self.target_shape)


class Permute(Layer):
    """The axes in another order; `dims` counts from 1 and leaves the batch out.

    Example:
        >>> kerata.layers.Permute((2, 1))(numpy.ones((2, 10, 64))).shape
        (2, 64, 10)
    """

    built = True

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise errors.InvalidArgument(
                "`dims` names each axis once.", where="Permute", got=f"dims={self.dims}",
                expected=f"1 to {len(self.dims)} in some order; the batch, axis 0, stays first",
            )  # fmt: skip
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> Any:
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """Each vector `n` times: (B, C) -> (B, n, C).

    Example:
        >>> kerata.layers.RepeatVector(3)(numpy.ones((2, 32))).shape
        (2, 3, 32)
    """

    built = True
    input_spec = InputSpec(ndim=2)

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive(self, "n", n)

    def call(self, inputs: Any) -> Any:
        return ops.repeat(inputs[:, None], self.n, axis=1)


# Padding --------------------------------------------------------------------------------------------------------


class _ZeroPadding(Ranked):
    built = True

    def __init__(self, padding: Pairs = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.padding: Any = pairs(self, "padding", padding, self.rank)

    def call(self, inputs: Any) -> Any:
        return ops.pad(inputs, self._for_all_axes((0, 0), self.padding, (0, 0)))


class ZeroPadding1D(_ZeroPadding, rank=1):
    """Zeros before and after the time steps: (B, T, C) -> (B, before + T + after, C).

    Args:
        padding: an int for both ends, or (before, after).
        data_format: "channels_last" (B, T, C) or "channels_first" (B, C, T); by default the configured one.

    Example:
        >>> kerata.layers.ZeroPadding1D((2, 1))(numpy.ones((2, 10, 4))).shape
        (2, 13, 4)
    """

    def __init__(self, padding: int | Sequence[int] = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__((sizes(self, "padding", padding, 2, least=0),), data_format, **kwargs)
        (self.padding,) = self.padding

    def call(self, inputs: Any) -> Any:
        return ops.pad(inputs, self._for_all_axes((0, 0), (self.padding,), (0, 0)))


class ZeroPadding2D(_ZeroPadding, rank=2, padding=(1, 1)):
    """Zeros around an image: (B, H, W, C) -> (B, top + H + bottom, left + W + right, C).

    Args:
        padding: an int for all sides, (rows, columns), or ((top, bottom), (left, right)).
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> kerata.layers.ZeroPadding2D(((1, 0), 2))(numpy.ones((2, 8, 8, 3))).shape
        (2, 9, 12, 3)
    """


class ZeroPadding3D(_ZeroPadding, rank=3, padding=((1, 1), (1, 1), (1, 1))):
    """Zeros around a volume: (B, D, H, W, C), each spatial axis longer by what `padding` says.

    Args:
        padding: an int for all sides, an int for each axis, or (before, after) for each.
        data_format: "channels_last" (B, D, H, W, C) or "channels_first" (B, C, D, H, W).

    Example:
        >>> kerata.layers.ZeroPadding3D(1)(numpy.ones((2, 4, 4, 4, 3))).shape
        (2, 6, 6, 6, 3)
    """


# Cropping -------------------------------------------------------------------------------------------------------


class _Cropping(Ranked):
    built = True

    def __init__(self, cropping: Pairs, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.cropping: Any = pairs(self, "cropping", cropping, self.rank)

    def call(self, inputs: Any) -> Any:
        return self._crop(inputs, self.cropping)

    def _crop(self, x: Any, cropping: Any) -> Any:
        shape = known_shape(x)
        if any(shape[a] is not None and sum(c) >= shape[a] for a, c in zip(self.spatial_axes, cropping)):
            raise errors.ShapeMismatch(
                "nothing is left after cropping.", where=self._where(), expected="less cropped than there is",
                got=f"cropping={self.cropping} of shape {shape}",
            )  # fmt: skip
        kept = [slice(c[0], x.shape[a] - c[1]) for a, c in zip(self.spatial_axes, cropping)]
        return x[self._for_all_axes(slice(None), kept, slice(None))]


class Cropping1D(_Cropping, rank=1):
    """The time steps without the first and last few: (B, T, C) -> (B, T - before - after, C).

    Args:
        cropping: an int for both ends, or (before, after).

    Example:
        >>> kerata.layers.Cropping1D((2, 1))(numpy.ones((2, 10, 4))).shape
        (2, 7, 4)
    """

    def __init__(self, cropping: int | Sequence[int] = (1, 1), **kwargs: Any) -> None:
        super().__init__((sizes(self, "cropping", cropping, 2, least=0),), "channels_last", **kwargs)
        (self.cropping,) = self.cropping

    def call(self, inputs: Any) -> Any:
        return self._crop(inputs, (self.cropping,))


class Cropping2D(_Cropping, rank=2, cropping=((0, 0), (0, 0))):
    """An image without its borders: (B, H, W, C) -> (B, H - top - bottom, W - left - right, C).

    Args:
        cropping: an int for all sides, (rows, columns), or ((top, bottom), (left, right)).
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Example:
        >>> kerata.layers.Cropping2D(((2, 0), 1))(numpy.ones((2, 8, 8, 3))).shape
        (2, 6, 6, 3)
    """


class Cropping3D(_Cropping, rank=3, cropping=((1, 1), (1, 1), (1, 1))):
    """A volume without its borders: (B, D, H, W, C), each spatial axis shorter by what `cropping` says.

    Args:
        cropping: an int for all sides, an int for each axis, or (before, after) for each.
        data_format: "channels_last" (B, D, H, W, C) or "channels_first" (B, C, D, H, W).

    Example:
        >>> kerata.layers.Cropping3D(1)(numpy.ones((2, 4, 4, 4, 3))).shape
        (2, 2, 2, 2, 3)
    """


# Upsampling -----------------------------------------------------------------------------------------------------


class _UpSampling(Ranked):
    built = True

    def _repeated(self, x: Any, counts: Sequence[int]) -> Any:
        for axis, count in zip(self.spatial_axes, counts):
            x = ops.repeat(x, count, axis=axis)
        return x


class UpSampling1D(_UpSampling, rank=1):
    """Each time step `size` times: (B, T, C) -> (B, T size, C).

    Example:
        >>> kerata.layers.UpSampling1D(2)(numpy.array([[[1.0], [2.0]]])).tolist()
        [[[1.0], [1.0], [2.0], [2.0]]]
    """

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = positive(self, "size", size)

    def call(self, inputs: Any) -> Any:
        return self._repeated(inputs, (self.size,))


class UpSampling2D(_UpSampling, rank=2):
    """A larger image: (B, H, W, C) -> (B, H size[0], W size[1], C).

    Args:
        size: how many times larger, for both axes or for each.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".

    Example:
        >>> kerata.layers.UpSampling2D(2)(numpy.ones((2, 8, 8, 3))).shape
        (2, 16, 16, 3)
    """

    def __init__(
        self, size: Sizes = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.size = sizes(self, "size", size, 2)
        known = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        self.interpolation = one_of(self, "interpolation", interpolation, known)

    def call(self, inputs: Any) -> Any:
        if self.interpolation == "nearest":
            return self._repeated(inputs, self.size)
        size = tuple(inputs.shape[axis] * count for axis, count in zip(self.spatial_axes, self.size))
        return ops.image.resize(inputs, size, interpolation=self.interpolation, data_format=self.data_format)


class UpSampling3D(_UpSampling, rank=3):
    """A larger volume, each cell repeated: (B, D, H, W, C) -> (B, D size[0], H size[1], W size[2], C).

    Args:
        size: how many times larger, for all axes or for each.
        data_format: "channels_last" (B, D, H, W, C) or "channels_first" (B, C, D, H, W).

    Example:
        >>> kerata.layers.UpSampling3D(2)(numpy.ones((2, 4, 4, 4, 3))).shape
        (2, 8, 8, 8, 3)
    """

    def __init__(self, size: Sizes = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.size = sizes(self, "size", size, 3)

    def call(self, inputs: Any) -> Any:
        return self._repeated(inputs, self.size)
