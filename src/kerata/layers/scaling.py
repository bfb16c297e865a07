"""Layers that bring raw data to a range or to zero mean and unit variance, before the network proper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from kerata import config as settings
from kerata import errors, ops
from kerata.core import registry
from kerata.core.configurable import WithCustomObjects
from kerata.layers.arguments import known_size, normalized_axes
from kerata.layers.base import Layer
from kerata.layers.input_spec import InputSpec

__all__ = ["Normalization", "Rescaling"]


class _DataLayer(Layer):
    """A layer that may also run where data is read, before the model."""

    def convert_weight(self, weight: Any) -> Any:
        """Return `weight` as an array of the engine in use."""
        return ops.convert_to_tensor(weight)


class Rescaling(WithCustomObjects, _DataLayer):
    """y = x scale + offset, as floats whatever the dtype of x.

    Args:
        scale: a number, or one for each channel.
        offset: a number, or one for each channel.

    Example:
        >>> kerata.layers.Rescaling(1 / 127.5, offset=-1)(numpy.array([0, 255], "uint8")).tolist()
        [-1.0, 1.0]
    """

    built = supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Any) -> Any:
        return ops.cast(inputs, self.compute_dtype) * self._for_channels(self.scale) + self._for_channels(self.offset)

    def _for_channels(self, value: Any) -> Any:
        value = ops.convert_to_tensor(value, self.compute_dtype)
        if value.ndim == 1 and settings.image_data_format() == "channels_first":
            return ops.reshape(value, (-1, 1, 1))
        return value

    def get_config(self) -> dict[str, Any]:
        given = {"scale": self.scale, "offset": self.offset}
        return {**super().get_config(), **{k: registry.serialize_keras_object(v) for k, v in given.items()}}


class Normalization(_DataLayer):
    """y = (x - mean) / sqrt(variance), with statistics given or learned from data by `adapt`.

    Args:
        axis: the axes along which each place has statistics of its own, mostly that of the features; None for one
            mean and variance of everything.
        mean: the mean, instead of `adapt`: a number, or an array with at most as many axes as `axis` names.
        variance: the variance, together with `mean`.
        invert: whether the inverse is computed, y = x sqrt(variance) + mean.

    Raises:
        ShapeMismatch: when a size along `axis` is not known, or another than before.

    Example:
        >>> layer = kerata.layers.Normalization()
        >>> layer.adapt(numpy.array([[1.0], [3.0]]))
        >>> layer(numpy.array([[2.0], [3.0]])).tolist()
        [[0.0], [1.0]]
    """

    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.input_mean, self.input_variance, self.invert = mean, variance, invert
        shapes = np.shape(mean), np.shape(variance)
        if (mean is None) != (variance is None) or shapes[0] != shapes[1] or len(shapes[0]) > len(self.axis):
            raise errors.InvalidArgument(
                "`mean` and `variance` cannot be these.", where="Normalization",
                expected=f"both or neither, of one shape, with {len(self.axis)} axes at most (axis={axis})",
                got=f"mean={mean!r}, variance={variance!r}",
            )  # fmt: skip

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        self._kept = normalized_axes(self, self.axis, rank)
        sizes = {axis - rank: known_size(self, input_shape, axis) for axis in self._kept}
        # Counted from the end: an input with more axes before them, or with fewer, meets the statistics all the same.
        self.input_spec = InputSpec(min_ndim=-min(sizes, default=0), axes=sizes)
        self._broadcast_shape = tuple(sizes.get(axis - rank, 1) for axis in range(rank))
        if self.input_mean is None:
            shape = tuple(sizes.values())
            self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(shape, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")  # in Keras's files

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, self.compute_dtype)
        deviation = ops.maximum(ops.sqrt(self.variance), settings.epsilon())
        return x * deviation + self.mean if self.invert else (x - self.mean) / deviation

    @property
    def mean(self) -> Any:
        """The mean in the shape in which it meets the input; None before the layer is built."""
        return self._statistic(self.input_mean, "adapt_mean")

    @property
    def variance(self) -> Any:
        """The variance in the shape in which it meets the input; None before the layer is built."""
        return self._statistic(self.input_variance, "adapt_variance")

    def _statistic(self, given: Any, learned: str) -> Any:
        if not self.built:
            return None
        value = ops.convert_to_tensor(getattr(self, learned) if given is None else given, self.compute_dtype)
        # A mean with fewer axes than `axis` names belongs to the last of them.
        own = dict(zip(reversed(self._kept), reversed(value.shape)))
        value = ops.reshape(value, [own.get(axis, 1) for axis in range(len(self._broadcast_shape))])
        return ops.broadcast_to(value, self._broadcast_shape)

    def adapt(self, data: Any) -> None:
        """Learn mean and variance from `data`, in place of what was learned before.

        Args:
            data: an array, or an iterable of batches (a list, a generator, a dataset, a `PyDataset`); of batches
                (x, y) the x is taken.

        Raises:
            StateError: when mean and variance were given.
            ShapeMismatch: when a batch has another size along `axis`.
        """
        if self.input_mean is not None:
            raise errors.StateError("mean and variance were given; there is nothing to learn.", where=self._where())
        count, mean, squares = 0, 0.0, 0.0
        for x in self._parts(data):
            reduced = tuple(axis for axis in range(x.ndim) if axis - x.ndim not in self.input_spec.axes)
            n = math.prod(x.shape[axis] for axis in reduced)
            if n == 0:
                continue
            # Chan et al. (1979): two parts' sums of squared deviations, and what lies between their means.
            difference = x.mean(reduced) - mean
            squares = squares + x.var(reduced) * n + difference**2 * (count * n / (count + n))
            mean, count = mean + difference * (n / (count + n)), count + n
        if count == 0:
            raise errors.InvalidArgument("there are no data to learn from.", where=f"{self._where()}.adapt", got=data)
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(squares / count)

    def _parts(self, data: Any) -> Iterator[np.ndarray]:
        """Yield the batches in float64, large ones in parts, since these are copies."""
        for batch in _batches(data):
            shape = tuple(batch.shape)
            if not self.built:
                self.build(shape)
            expected = self.input_spec.axes
            if any(len(shape) < -axis or shape[axis] != size for axis, size in expected.items()):
                raise errors.ShapeMismatch(
                    "the data have another size than the layer was built with.", where=f"{self._where()}.adapt",
                    expected=f"sizes {expected} by axis", got=f"shape {shape}",
                )  # fmt: skip
            if not shape or -len(shape) in expected:
                yield np.asarray(batch, "float64")
                continue
            rows = max(1, _PART // max(1, math.prod(shape[1:])))
            for start in range(0, shape[0], rows):
                yield np.asarray(batch[start : start + rows], "float64")

    def finalize_state(self) -> None:
        """Do nothing: mean and variance are read anew at each call."""

    def get_config(self) -> dict[str, Any]:
        given = {"mean": self.input_mean, "variance": self.input_variance}
        return {**super().get_config(), **{name: np.array(value).tolist() for name, value in given.items()}}


_PART = 1 << 22
"""How many values are looked at together."""


def _batches(data: Any) -> Iterator[Any]:
    """Yield the arrays in `data`."""
    if hasattr(data, "shape"):
        yield data
        return
    if not hasattr(data, "__iter__") and not hasattr(data, "__getitem__"):
        raise errors.InvalidType(
            "this is nothing to learn from.", where="Normalization.adapt", expected="an array or batches of arrays",
            got=type(data).__name__,
        )  # fmt: skip
    batches: Iterable[Any] = data if hasattr(data, "__iter__") else (data[i] for i in range(len(data)))
    for batch in batches:
        batch = batch[0] if isinstance(batch, (tuple, list)) and batch and hasattr(batch[0], "shape") else batch
        yield batch if hasattr(batch, "shape") else np.asarray(batch)
