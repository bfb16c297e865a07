"""Long short-term memories over sequences of images: convolutions stand where an LSTM has matrix products.

Shapes: B batch, T time steps, S one or more spatial axes, C channels in, F filters. With
`data_format="channels_first"` the channels stand right before the spatial axes.
"""

from __future__ import annotations

from typing import Any

from kerata import errors, ops
from kerata.core.symbolic import KerasTensor, infer
from kerata.layers.arguments import Named, Sizes, known_size, one_of, positive, sizes
from kerata.layers.base import Layer
from kerata.layers.input_spec import InputSpec
from kerata.layers.recurrent import CellLayer
from kerata.layers.recurrent_cells import LSTMCell

__all__ = ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"]


class ConvLSTMCell(LSTMCell):
    """A step of a convolutional LSTM: the equations of `LSTMCell` with convolutions for products.

    Args:
        rank: the number of spatial axes.
        filters: F, the number of channels out.
        kernel_size: the window's size, of both convolutions.
        strides, padding, dilation_rate: of the convolution of the inputs; that of h keeps the size.
    """

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: Named = "tanh",
        recurrent_activation: Named = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Named = "glorot_uniform",
        recurrent_initializer: Named = "orthogonal",
        bias_initializer: Named = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Named = None,
        recurrent_regularizer: Named = None,
        bias_regularizer: Named = None,
        kernel_constraint: Named = None,
        recurrent_constraint: Named = None,
        bias_constraint: Named = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        Layer.__init__(self, **kwargs)
        self.implementation = 1  # each gate has dropout masks of its own
        self._keep_cell(locals())
        positive(self, "filters", filters)
        for name in ("kernel_size", "strides", "dilation_rate"):
            setattr(self, name, sizes(self, name, getattr(self, name), rank))
        self.padding = one_of(self, "padding", padding, ("valid", "same"))
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise errors.InvalidArgument(
                "`strides` and `dilation_rate` cannot both be more than 1.", where=type(self).__name__,
                got=f"strides={self.strides}, dilation_rate={self.dilation_rate}",
            )  # fmt: skip
        self._gate_axis = -1 if self.data_format == "channels_last" else -1 - rank
        self.state_size = [filters, filters]

    def build(self, input_shape: Any) -> None:
        channels = known_size(self, input_shape, self._gate_axis)
        one_sample = (1, *input_shape[1:])
        if None in one_sample:
            raise errors.ShapeMismatch(
                "the states are images, whose size is to be known.", where=self._where(),
                expected="known sizes along the spatial axes", got=f"shape {tuple(input_shape)}",
            )  # fmt: skip
        columns = self.gates * self.filters
        self.kernel = self._named_weight("kernel", (*self.kernel_size, channels, columns))
        recurrent_shape = (*self.kernel_size, self.filters, columns)
        self.recurrent_kernel = self._named_weight("recurrent_kernel", recurrent_shape, of="recurrent")
        self.bias = self._bias(columns) if self.use_bias else None
        gates = infer(lambda x: self._split(self._product(x, self.kernel)), KerasTensor(one_sample))
        self._state_shape = gates[0].shape[1:]

    def _product(self, x: Any, kernel: Any) -> Any:
        """Return the convolution of one step (B, *S, C), or of all, (T, B, *S, C)."""
        images = len(x.shape) - self.rank - 1
        y = ops.reshape(x, (-1, *x.shape[images:]))
        y = ops.conv(y, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)
        return ops.reshape(y, (*x.shape[:images], *y.shape[1:]))

    def _recurrent_product(self, h: Any, kernel: Any) -> Any:
        return ops.conv(h, kernel, 1, "same", self.data_format)

    def _with_bias(self, x: Any) -> Any:
        if self.bias is None:
            return x
        return x + (self.bias if self._gate_axis == -1 else ops.reshape(self.bias, (-1,) + (1,) * self.rank))

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Return the states before the first step: zeros of the shape of the convolved inputs."""
        return [ops.zeros((batch_size, *self._state_shape), dtype=self.compute_dtype) for _ in self.state_size]


class _ConvLSTM(CellLayer, cell=ConvLSTMCell):
    """What the members for one, two and three spatial axes share: everything but their number."""

    rank: int

    def __init_subclass__(cls, rank: int | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if rank is not None:
            cls.rank = rank

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: Named = "tanh",
        recurrent_activation: Named = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Named = "glorot_uniform",
        recurrent_initializer: Named = "orthogonal",
        bias_initializer: Named = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Named = None,
        recurrent_regularizer: Named = None,
        bias_regularizer: Named = None,
        activity_regularizer: Named = None,
        kernel_constraint: Named = None,
        recurrent_constraint: Named = None,
        bias_constraint: Named = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        self._make({**locals(), "rank": self.rank})
        self.input_spec = InputSpec(ndim=self.rank + 3)


class ConvLSTM1D(_ConvLSTM, rank=1):
    """A convolutional LSTM over sequences of signals: (B, T, S, C) -> (B, S', F). See `ConvLSTM2D`.

    Example:
        >>> kerata.layers.ConvLSTM1D(4, 3)(numpy.ones((2, 5, 8, 3))).shape
        (2, 6, 4)
    """


class ConvLSTM2D(_ConvLSTM, rank=2):
    """A convolutional LSTM over sequences of images: (B, T, H, W, C) -> (B, H', W', F), or (B, T, H', W', F).

    i, f, g, o = x * kernel + h * R + bias, where * convolves; the rest is as at `LSTMCell`.

    Args:
        filters: F, the number of channels out.
        kernel_size: the window's size, of both convolutions.
        strides, padding, dilation_rate: of the convolution of the inputs, as of `Conv`; that of h keeps the size.
        data_format: "channels_last" or "channels_first"; by default the configured one.
        activation and what follows: as of `LSTMCell` and of `RNN`.

    Example:
        >>> layer = kerata.layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)
        >>> layer(numpy.ones((2, 5, 8, 8, 3))).shape
        (2, 5, 8, 8, 4)

    Source: Shi et al. (2015), Convolutional LSTM network.
    """


class ConvLSTM3D(_ConvLSTM, rank=3):
    """A convolutional LSTM over sequences of volumes: (B, T, D, H, W, C) -> (B, D', H', W', F). See `ConvLSTM2D`.

    Example:
        >>> kerata.layers.ConvLSTM3D(4, 2)(numpy.ones((1, 3, 4, 4, 4, 2))).shape
        (1, 3, 3, 3, 4)
    """
