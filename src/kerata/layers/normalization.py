"""Layers that bring values to a common mean and scale, over the batch or within each sample.

Shapes: B batch, S any other axes, C channels. gamma scales and beta shifts what has been normalized.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import errors, ops
from kerata.core import dtypes
from kerata.layers.arguments import Named, known_size, normalized_axes, positive
from kerata.layers.base import Layer
from kerata.layers.input_spec import InputSpec

__all__ = [
    "BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization",
]  # fmt: skip


class _ScaledAndShifted(Layer):
    """What those with a gamma and a beta share. They compute in float32 at least, whatever the policy."""

    supports_masking = True
    center: bool
    scale: bool

    rms_scaling = False  # an old flag of LayerNormalization: the deviation is divided out, the mean stays

    def _build_scale_and_shift(self, shape: tuple[int, ...]) -> None:
        scale, center = (True, False) if self.rms_scaling else (self.scale, self.center)
        self.gamma = self._named_weight("gamma", shape, autocast=False) if scale else None
        self.beta = self._named_weight("beta", shape, autocast=False) if center else None


def _in_full_precision(x: Any) -> Any:
    return ops.cast(x, dtypes.result_type(x.dtype, "float32"))


# Over the batch -------------------------------------------------------------------------------------------------


class BatchNormalization(_ScaledAndShifted):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with the mean and variance of each channel.

    In training they are those of the batch, and moving averages of them are kept:
    moving = momentum moving + (1 - momentum) batch. Otherwise they are the moving averages; so too in training when
    the layer is frozen (`trainable = False`).

    Args:
        axis: the axis of the channels.
        momentum: how slowly the moving averages follow.
        epsilon: keeps the root away from 0.
        center: whether there is a beta.
        scale: whether there is a gamma.
        renorm: whether training corrects the statistics of the batch towards slowly moving ones (batch
            renormalization): gamma (x' r + d) + beta, with r = std_batch / std_renorm and
            d = (mean_batch - mean_renorm) / std_renorm, both without gradient.
        renorm_clipping: bounds for r and d, by "rmin", "rmax" and "dmax".
        renorm_momentum: `momentum` of the statistics that r and d lead to.
        synchronized: accepted; the statistics are always those of the whole batch, on however many devices.

    `call` also takes a mask (B, *S), whose False cells do not count in the statistics.

    Raises:
        ShapeMismatch: when C is not known, or another than before.

    Example:
        >>> layer = kerata.layers.BatchNormalization()
        >>> layer(numpy.random.rand(32, 8), training=True).shape
        (32, 8)

    Source: Ioffe and Szegedy (2015), Batch normalization; Ioffe (2017), Batch renormalization.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Named = "zeros",
        gamma_initializer: Named = "ones",
        moving_mean_initializer: Named = "zeros",
        moving_variance_initializer: Named = "ones",
        beta_regularizer: Named = None,
        gamma_regularizer: Named = None,
        beta_constraint: Named = None,
        gamma_constraint: Named = None,
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis  # files of old Keras
        self.axis, self.momentum, self.epsilon = int(axis), float(momentum), float(epsilon)
        if renorm:
            self.renorm_clipping = self._checked_clipping(renorm_clipping or {})

    def _checked_clipping(self, clipping: dict[str, float]) -> dict[str, float]:
        known, lowest, highest = {"rmin", "rmax", "dmax"}, clipping.get("rmin"), clipping.get("rmax")
        crossed = lowest is not None and highest is not None and highest < lowest
        if set(clipping) - known or crossed or (clipping.get("dmax") or 0) < 0:
            raise errors.InvalidArgument(
                "`renorm_clipping` cannot be this.", where=type(self).__name__, got=clipping,
                expected='"rmin" <= "rmax" and 0 <= "dmax", each of them or none',
            )  # fmt: skip
        return clipping

    def build(self, input_shape: Any) -> None:
        channels = known_size(self, input_shape, self.axis)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})
        self._build_scale_and_shift((channels,))
        for name in ("moving_mean", "moving_variance"):
            setattr(self, name, self._named_weight(name, (channels,), trainable=False, autocast=False))
        if self.renorm:
            start: dict[str, Any] = {"renorm_mean": self.moving_mean_initializer}
            start["moving_stddev"] = start["renorm_stddev"] = self._initial_stddev
            for name in ("moving_stddev", "renorm_mean", "renorm_stddev"):
                weight = self.add_weight((channels,), start[name], name=name, trainable=False, autocast=False)
                setattr(self, name, weight)

    def _initial_stddev(self, shape: Any, dtype: Any = None) -> Any:
        return ops.sqrt(self.moving_variance_initializer(shape, dtype=dtype))

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        x = _in_full_precision(inputs)
        gamma, beta = self.gamma, self.beta
        if training and self.trainable and mask is None and not self.renorm:
            y, mean, variance = ops.nn.normalize_batch(x, gamma, beta, self.axis, self.epsilon)
            self._follow(mean, variance)
            return ops.cast(y, self.compute_dtype)
        if training and self.trainable:
            mean, variance = self._moments(x, mask)
            if self.renorm:
                r, d = self._correction(mean, variance)
                gamma, beta = (r, d) if gamma is None else (r * gamma, d * gamma)
                beta = beta if self.beta is None else beta + self.beta
            self._follow(mean, variance)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        y = ops.batch_normalization(x, mean, variance, self.axis, offset=beta, scale=gamma, epsilon=self.epsilon)
        return ops.cast(y, self.compute_dtype)

    def _moments(self, x: Any, mask: Any) -> tuple[Any, Any]:
        """Return mean and variance of each channel, over the cells that are not masked."""
        axes = [axis for axis in range(x.ndim) if axis != self.axis % x.ndim]
        if mask is None:
            return ops.moments(x, axes)
        if mask.ndim != x.ndim - 1:
            raise errors.ShapeMismatch(
                "the mask does not fit the input.", where=self._where(), expected=f"{x.ndim - 1} axes",
                got=f"a mask of shape {tuple(mask.shape)}, an input of shape {tuple(x.shape)}",
            )  # fmt: skip
        real = ops.cast(ops.broadcast_to(ops.expand_dims(mask, -1), x.shape), x.dtype)
        count = ops.maximum(ops.sum(real, axes, keepdims=True), 1)
        mean = ops.sum(ops.where(real, x, 0), axes, keepdims=True) / count
        variance = ops.sum(ops.where(real, ops.square(x - mean), 0), axes, keepdims=True) / count
        return ops.squeeze(mean, axes), ops.squeeze(variance, axes)

    def _correction(self, mean: Any, variance: Any) -> tuple[Any, Any]:
        """Return r and d."""
        stddev = ops.maximum(self.renorm_stddev, self.epsilon**0.5)
        r = ops.sqrt(variance + self.epsilon) / stddev
        d = (mean - self.renorm_mean) / stddev
        lowest, highest, limit = (self.renorm_clipping.get(name) for name in ("rmin", "rmax", "dmax"))
        r = r if lowest is None else ops.maximum(r, lowest)
        r = r if highest is None else ops.minimum(r, highest)
        d = d if limit is None else ops.clip(d, -limit, limit)
        return ops.stop_gradient(r), ops.stop_gradient(d)

    def _follow(self, mean: Any, variance: Any) -> None:
        """Move the averages towards the statistics of this batch."""

        def move(moving: Any, new: Any, momentum: float) -> None:
            moving.assign(ops.cast(moving * momentum + new * (1 - momentum), moving.dtype))

        move(self.moving_mean, mean, self.momentum)
        if not self.renorm:
            move(self.moving_variance, variance, self.momentum)
            return
        stddev = ops.sqrt(variance + self.epsilon)
        move(self.moving_stddev, stddev, self.momentum)
        self.moving_variance.assign(ops.relu(ops.square(self.moving_stddev) - self.epsilon))
        move(self.renorm_mean, mean, self.renorm_momentum)
        move(self.renorm_stddev, stddev, self.renorm_momentum)


# Within a sample ------------------------------------------------------------------------------------------------


class LayerNormalization(_ScaledAndShifted):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of each sample along `axis`.

    Args:
        axis: an axis or several; gamma and beta have their sizes.
        epsilon: keeps the root away from 0.
        center: whether there is a beta.
        scale: whether there is a gamma.

    Raises:
        ShapeMismatch: when a size along `axis` is not known.

    Example:
        >>> kerata.layers.LayerNormalization()(numpy.array([[1.0, 3.0]])).round(2).tolist()
        [[-1.0, 1.0]]

    Source: Ba et al. (2016), Layer normalization.
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Named = "zeros",
        gamma_initializer: Named = "ones",
        beta_regularizer: Named = None,
        gamma_regularizer: Named = None,
        beta_constraint: Named = None,
        gamma_constraint: Named = None,
        **kwargs: Any,
    ) -> None:
        self.rms_scaling = bool(kwargs.pop("rms_scaling", False))
        super().__init__(**kwargs)
        self._keep(locals())
        self.axis = _axes(self, axis)
        self.autocast = False

    def build(self, input_shape: Any) -> None:
        axes = normalized_axes(self, self.axis, len(input_shape))
        sizes = {axis: known_size(self, input_shape, axis) for axis in axes}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=sizes)
        self._build_scale_and_shift(tuple(sizes.values()))

    def call(self, inputs: Any) -> Any:
        axes = normalized_axes(self, self.axis, inputs.ndim)
        if self.rms_scaling:
            x = _in_full_precision(inputs)
            along = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
            y = x * ops.rsqrt(ops.var(x, axes, keepdims=True) + self.epsilon) * ops.reshape(self.gamma, along)
        else:
            y = ops.layer_normalization(inputs, self.gamma, self.beta, axes, self.epsilon)
        return ops.cast(y, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rms_scaling": self.rms_scaling}


class GroupNormalization(_ScaledAndShifted):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of each group of channels.

    A sample's channels are split into groups; all its cells of one group share a mean and a variance.

    Args:
        groups: how many groups; 1 for all channels together, -1 for each channel by itself.
        axis: the axis of the channels.
        epsilon: keeps the root away from 0.
        center: whether there is a beta.
        scale: whether there is a gamma.

    Raises:
        ShapeMismatch: when C is not known, or no multiple of `groups`.

    Example:
        >>> kerata.layers.GroupNormalization(4)(numpy.random.rand(2, 8, 8, 16)).shape
        (2, 8, 8, 16)

    Source: Wu and He (2018), Group normalization.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Named = "zeros",
        gamma_initializer: Named = "ones",
        beta_regularizer: Named = None,
        gamma_regularizer: Named = None,
        beta_constraint: Named = None,
        gamma_constraint: Named = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.groups = groups if groups == -1 else positive(self, "groups", groups)
        self.autocast = False

    def build(self, input_shape: Any) -> None:
        channels = known_size(self, input_shape, self.axis)
        if self.groups != -1 and channels % self.groups:
            raise errors.ShapeMismatch(
                "the number of channels is no multiple of `groups`.", where=self._where(),
                expected=f"a multiple of {self.groups}", got=f"{channels} channels in shape {tuple(input_shape)}",
            )  # fmt: skip
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})
        self._build_scale_and_shift((channels,))

    def call(self, inputs: Any) -> Any:
        axis, channels = self.axis % inputs.ndim, inputs.shape[self.axis]
        groups = channels if self.groups == -1 else self.groups
        shape = tuple(inputs.shape)
        x = ops.reshape(_in_full_precision(inputs), (*shape[:axis], groups, channels // groups, *shape[axis + 1 :]))
        mean, variance = ops.moments(x, [a for a in range(1, x.ndim) if a != axis], keepdims=True)
        y = ops.reshape((x - mean) * ops.rsqrt(variance + self.epsilon), shape)
        along = [channels if a == axis else 1 for a in range(inputs.ndim)]
        y = y if self.gamma is None else y * ops.reshape(self.gamma, along)
        y = y if self.beta is None else y + ops.reshape(self.beta, along)
        return ops.cast(y, self.compute_dtype)


class RMSNormalization(Layer):
    """y = scale x / sqrt(mean(x^2) + epsilon), with the mean of each sample along `axis`.

    Args:
        axis: an axis or several; scale has their sizes.
        epsilon: keeps the root away from 0.

    Raises:
        ShapeMismatch: when a size along `axis` is not known.

    Example:
        >>> kerata.layers.RMSNormalization()(numpy.array([[3.0, -3.0]])).round(2).tolist()
        [[1.0, -1.0]]

    Source: Zhang and Sennrich (2019), Root mean square layer normalization.
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.axis = _axes(self, axis)

    def build(self, input_shape: Any) -> None:
        axes = normalized_axes(self, self.axis, len(input_shape))
        sizes = {axis: known_size(self, input_shape, axis) for axis in axes}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=sizes)
        self.scale = self.add_weight(tuple(sizes.values()), "ones", name="scale")

    def call(self, x: Any) -> Any:
        return ops.rms_normalization(x, self.scale, normalized_axes(self, self.axis, x.ndim), self.epsilon)


class UnitNormalization(Layer):
    """y = x / |x|, with the Euclidean length along `axis`, an axis or several.

    Example:
        >>> y = kerata.layers.UnitNormalization()(numpy.array([[3.0, 4.0]]))
        >>> [f"{value:.1f}" for value in y[0]]
        ['0.6', '0.8']
    """

    built = supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _axes(self, axis)

    def call(self, inputs: Any) -> Any:
        return ops.normalize(inputs, normalized_axes(self, self.axis, inputs.ndim), order=2, epsilon=1e-12)


def _axes(layer: Layer, axis: Any) -> int | list[int]:
    """Return `axis` as an int or a list of ints."""
    several = list(axis) if isinstance(axis, (list, tuple)) else axis
    if not all(isinstance(a, int) for a in (several if isinstance(several, list) else [several])):
        raise errors.InvalidType(
            "`axis` cannot be this.", where=type(layer).__name__, expected="an int or several", got=f"axis={axis!r}"
        )
    return several
