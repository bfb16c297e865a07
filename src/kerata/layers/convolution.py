"""Convolutions over one, two and three spatial axes: plain, transposed, depthwise, separable.

Shapes: B batch, S one or more spatial axes, C channels in, F filters (channels out). With
`data_format="channels_first"` the channels stand right after the batch.
"""

from __future__ import annotations

from typing import Any

from kerata import errors, ops
from kerata.layers.arguments import Named, Sizes, check_window, known_size, one_of, positive, sizes
from kerata.layers.input_spec import InputSpec
from kerata.layers.lora import Adaptable, MainWeight
from kerata.layers.ranks import Ranked

__all__ = [
    "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "Convolution1D",
    "Convolution1DTranspose", "Convolution2D", "Convolution2DTranspose", "Convolution3D", "Convolution3DTranspose",
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D",
    "SeparableConvolution2D",
]  # fmt: skip


class _Convolution(Ranked):
    """What all convolutions share: the window's arguments, the bias and the activation."""

    _paddings: tuple[str, ...] = ("valid", "same")
    _strides_or_dilation = False  # whether only one of the two can be more than 1

    def _check_arguments(self) -> None:
        for name in ("kernel_size", "strides", "dilation_rate"):
            setattr(self, name, sizes(self, name, getattr(self, name), self.rank))
        for name in ("filters", "groups", "depth_multiplier"):
            if hasattr(self, name):
                positive(self, name, getattr(self, name))
        self.padding = one_of(self, "padding", self.padding, self._paddings)
        if self._strides_or_dilation and max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise errors.InvalidArgument(
                "`strides` and `dilation_rate` cannot both be more than 1.", where=type(self).__name__,
                got=f"strides={self.strides}, dilation_rate={self.dilation_rate}",
            )  # fmt: skip

    def _channels(self, input_shape: Any) -> int:
        """Return the number of channels in, and expect it from now on."""
        channels = known_size(self, input_shape, self.channel_axis)
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={self.channel_axis: channels})
        return channels

    def _build_bias(self, channels: int) -> None:
        self.bias = self._named_weight("bias", (channels,)) if self.use_bias else None

    def _check_window(self, x: Any) -> None:
        window = [d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation_rate)]
        check_window(self, x, self.spatial_axes, window, self.padding)

    def _activated(self, y: Any) -> Any:
        """Return activation(y + bias)."""
        return self.activation(y if self.bias is None else y + self._along_channels(self.bias))

    def get_config(self) -> dict[str, Any]:
        return {"activity_regularizer": None, **super().get_config()}


class Conv(_Convolution, Adaptable):
    """Convolution, in truth cross-correlation, over the cells k of a window and the channels c.

    y[b, s, f] = activation(sum over k, c of x[b, s + k, c] kernel[k, c, f] + bias[f])

    Args:
        filters: F, the number of channels out.
        kernel_size: the window's size, for all spatial axes or for each.
        strides: how far the window moves.
        padding: "valid" for none, "same" for an output of the input's size over `strides`; in 1D also "causal":
            y[t] sees nothing after x[t].
        data_format: "channels_last" (B, *S, C) or "channels_first" (B, C, *S); by default the configured one.
        dilation_rate: the distance between the window's cells; with strides of 1 only.
        groups: the channels are split into so many groups, each with its own filters.
        activation: a function of the output, by name or itself; None for none.
        use_bias: whether a bias is added.
        lora_rank, lora_alpha: see `enable_lora`.

    Raises:
        ShapeMismatch: when C is not known, or no multiple of `groups`, or when the window is larger than the input.
    """

    _strides_or_dilation = True
    kernel: Any = MainWeight()

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        activation: Named = None,
        use_bias: bool = True,
        kernel_initializer: Named = "glorot_uniform",
        bias_initializer: Named = "zeros",
        kernel_regularizer: Named = None,
        bias_regularizer: Named = None,
        activity_regularizer: Named = None,
        kernel_constraint: Named = None,
        bias_constraint: Named = None,
        **kwargs: Any,
    ) -> None:
        self.lora_rank, self.lora_alpha = kwargs.pop("lora_rank", None), kwargs.pop("lora_alpha", None)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._keep(locals())
        self._check_arguments()
        if filters % groups:
            raise errors.InvalidArgument(
                "`filters` is no multiple of `groups`.", where=type(self).__name__,
                got=f"filters={filters}, groups={groups}",
            )  # fmt: skip

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise errors.ShapeMismatch(
                "the number of channels is no multiple of `groups`.", where=self._where(),
                expected=f"a multiple of {self.groups}", got=f"{channels} channels in shape {tuple(input_shape)}",
            )  # fmt: skip
        self.kernel = self._named_weight("kernel", (*self.kernel_size, channels // self.groups, self.filters))
        self._build_bias(self.filters)
        self._start_lora()

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return the convolution of `inputs` with `kernel`; a subclass may change the kernel before."""
        padding = self.padding
        if padding == "causal":
            before = self.dilation_rate[0] * (self.kernel_size[0] - 1)
            inputs, padding = ops.pad(inputs, self._for_all_axes((0, 0), [(before, 0)], (0, 0))), "valid"
        self._check_window(inputs)
        return ops.conv(inputs, kernel, self.strides, padding, self.data_format, self.dilation_rate)

    def call(self, inputs: Any) -> Any:
        return self._activated(self.convolution_op(inputs, self.kernel))


class Conv1D(Conv, rank=1):
    """Convolution over time: (B, T, C) -> (B, T', F). The arguments are those of all convolutions, see `Conv`.

    Example:
        >>> kerata.layers.Conv1D(8, 3, padding="causal")(numpy.ones((2, 10, 4))).shape
        (2, 10, 8)
    """

    _paddings = ("valid", "same", "causal")


class Conv2D(Conv, rank=2, strides=(1, 1), dilation_rate=(1, 1)):
    """Convolution over images: (B, H, W, C) -> (B, H', W', F). The arguments are explained at `Conv`.

    Example:
        >>> kerata.layers.Conv2D(8, 3, activation="relu")(numpy.ones((2, 28, 28, 1))).shape
        (2, 26, 26, 8)

    Source: LeCun et al. (1998), Gradient-based learning applied to document recognition.
    """


class Conv3D(Conv, rank=3, strides=(1, 1, 1), dilation_rate=(1, 1, 1)):
    """Convolution over volumes: (B, D, H, W, C) -> (B, D', H', W', F). The arguments are explained at `Conv`.

    Example:
        >>> kerata.layers.Conv3D(8, 3, strides=2)(numpy.ones((2, 9, 9, 9, 1))).shape
        (2, 4, 4, 4, 8)
    """


class ConvTranspose(_Convolution):
    """Transposed convolution, the gradient of a convolution by its input: each cell of x adds x[s] kernel to y.

    The output is about `strides` times larger than the input. The kernel has the shape (*kernel_size, F, C).

    Args:
        filters: F, the number of channels out.
        kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias: as of `Conv`.
        output_padding: cells added at the far end of each axis, fewer than `strides`; None for the size at which a
            convolution with the same arguments gives back the input's size.

    Source: Zeiler et al. (2010), Deconvolutional networks.
    """

    _strides_or_dilation = True

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        output_padding: Sizes | None = None,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: Named = None,
        use_bias: bool = True,
        kernel_initializer: Named = "glorot_uniform",
        bias_initializer: Named = "zeros",
        kernel_regularizer: Named = None,
        bias_regularizer: Named = None,
        activity_regularizer: Named = None,
        kernel_constraint: Named = None,
        bias_constraint: Named = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._keep(locals())
        self._check_arguments()
        if output_padding is not None:
            self.output_padding = sizes(self, "output_padding", output_padding, self.rank, least=0)
            if any(p >= s for p, s in zip(self.output_padding, self.strides)):
                raise errors.InvalidArgument(
                    "`output_padding` is less than `strides`.", where=type(self).__name__,
                    got=f"output_padding={self.output_padding}, strides={self.strides}",
                )  # fmt: skip

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self.kernel = self._named_weight("kernel", (*self.kernel_size, self.filters, channels))
        self._build_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        y = ops.conv_transpose(
            inputs, self.kernel, self.strides, self.padding, self.output_padding, self.data_format, self.dilation_rate
        )
        return self._activated(y)


class Conv1DTranspose(ConvTranspose, rank=1):
    """Transposed convolution over time: (B, T, C) -> (B, T', F). The arguments are explained at `ConvTranspose`.

    Example:
        >>> kerata.layers.Conv1DTranspose(8, 3, strides=2, padding="same")(numpy.ones((2, 10, 4))).shape
        (2, 20, 8)
    """


class Conv2DTranspose(ConvTranspose, rank=2, strides=(1, 1), dilation_rate=(1, 1)):
    """Transposed convolution over images: (B, H, W, C) -> (B, H', W', F). See `ConvTranspose` for the arguments.

    Example:
        >>> kerata.layers.Conv2DTranspose(8, 3, strides=2, padding="same")(numpy.ones((2, 7, 7, 4))).shape
        (2, 14, 14, 8)
    """


class Conv3DTranspose(ConvTranspose, rank=3):
    """Transposed convolution over volumes: (B, D, H, W, C) -> (B, D', H', W', F). See `ConvTranspose`.

    Example:
        >>> kerata.layers.Conv3DTranspose(8, 3, strides=2, padding="same")(numpy.ones((2, 3, 3, 3, 4))).shape
        (2, 6, 6, 6, 8)
    """

    def __init__(  # Keras has `data_format` before `output_padding` here alone
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Sizes | None = None,
        dilation_rate: Sizes = (1, 1, 1),
        activation: Named = None,
        use_bias: bool = True,
        kernel_initializer: Named = "glorot_uniform",
        bias_initializer: Named = "zeros",
        kernel_regularizer: Named = None,
        bias_regularizer: Named = None,
        activity_regularizer: Named = None,
        kernel_constraint: Named = None,
        bias_constraint: Named = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation, use_bias,
            kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint, **kwargs,
        )  # fmt: skip


class DepthwiseConv(_Convolution):
    """Depthwise convolution: each channel has its own `depth_multiplier` filters M; channels do not mix.

    y[b, s, c M + m] = activation(sum over k of x[b, s + k, c] kernel[k, c, m] + bias[c M + m])

    Args:
        kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias: as of `Conv`.
        depth_multiplier: M, the number of channels out for each channel in.
    """

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: Named = None,
        use_bias: bool = True,
        depthwise_initializer: Named = "glorot_uniform",
        bias_initializer: Named = "zeros",
        depthwise_regularizer: Named = None,
        bias_regularizer: Named = None,
        activity_regularizer: Named = None,
        depthwise_constraint: Named = None,
        bias_constraint: Named = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._keep(locals())
        self._check_arguments()

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self._named_weight("kernel", shape, of="depthwise")
        self._build_bias(channels * self.depth_multiplier)

    def call(self, inputs: Any) -> Any:
        self._check_window(inputs)
        y = ops.depthwise_conv(
            inputs, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )
        return self._activated(y)


class DepthwiseConv1D(DepthwiseConv, rank=1):
    """Depthwise convolution over time: (B, T, C) -> (B, T', C M). The arguments are explained at `DepthwiseConv`.

    Example:
        >>> kerata.layers.DepthwiseConv1D(3, depth_multiplier=2)(numpy.ones((2, 10, 4))).shape
        (2, 8, 8)
    """


class DepthwiseConv2D(DepthwiseConv, rank=2, strides=(1, 1), dilation_rate=(1, 1)):
    """Depthwise convolution over images: (B, H, W, C) -> (B, H', W', C M). See `DepthwiseConv` for the arguments.

    Example:
        >>> kerata.layers.DepthwiseConv2D(3, padding="same")(numpy.ones((2, 8, 8, 4))).shape
        (2, 8, 8, 4)
    """


class SeparableConv(_Convolution):
    """Separable convolution: a depthwise one, then a 1x1 convolution that mixes the channels.

    Args:
        filters: F, the number of channels out.
        kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias: as of `Conv`.
        depth_multiplier: the number of channels between the two for each channel in.

    Source: Chollet (2017), Xception: Deep learning with depthwise separable convolutions.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        depth_multiplier: int = 1,
        activation: Named = None,
        use_bias: bool = True,
        depthwise_initializer: Named = "glorot_uniform",
        pointwise_initializer: Named = "glorot_uniform",
        bias_initializer: Named = "zeros",
        depthwise_regularizer: Named = None,
        pointwise_regularizer: Named = None,
        bias_regularizer: Named = None,
        activity_regularizer: Named = None,
        depthwise_constraint: Named = None,
        pointwise_constraint: Named = None,
        bias_constraint: Named = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._keep(locals())
        self._check_arguments()

    def build(self, input_shape: Any) -> None:
        channels, multiplier = self._channels(input_shape), self.depth_multiplier
        depthwise_shape = (*self.kernel_size, channels, multiplier)
        pointwise_shape = (*(1,) * self.rank, channels * multiplier, self.filters)
        self.depthwise_kernel = self._named_weight("depthwise_kernel", depthwise_shape, of="depthwise")
        self.pointwise_kernel = self._named_weight("pointwise_kernel", pointwise_shape, of="pointwise")
        self._build_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        self._check_window(inputs)
        y = ops.separable_conv(
            inputs, self.depthwise_kernel, self.pointwise_kernel, self.strides, self.padding, self.data_format,
            self.dilation_rate,
        )  # fmt: skip
        return self._activated(y)


class SeparableConv1D(SeparableConv, rank=1):
    """Separable convolution over time: (B, T, C) -> (B, T', F). The arguments are explained at `SeparableConv`.

    Example:
        >>> kerata.layers.SeparableConv1D(8, 3)(numpy.ones((2, 10, 4))).shape
        (2, 8, 8)
    """


class SeparableConv2D(SeparableConv, rank=2, strides=(1, 1), dilation_rate=(1, 1)):
    """Separable convolution over images: (B, H, W, C) -> (B, H', W', F). See `SeparableConv` for the arguments.

    Example:
        >>> kerata.layers.SeparableConv2D(8, 3)(numpy.ones((2, 10, 10, 4))).shape
        (2, 8, 8, 8)
    """


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
