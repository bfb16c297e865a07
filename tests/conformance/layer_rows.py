"""The table of layers: for each the constructor's arguments and the shapes of what it is called on.

`layer(name, shape, **arguments)` is one row; a list of shapes is a list of inputs. `spatial` are the axes whose size
may be unknown besides the batch's. `images` rows hold their channels last and are run channels first as well.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

import kerata

__all__ = ["ROWS", "LayerRow"]


class Inner:
    """A layer to be wrapped, made anew each time."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        self.name, self.kwargs = name, kwargs

    def __repr__(self) -> str:
        return f"{self.name}{self.kwargs}"

    def __call__(self, dtype: str) -> Any:
        return getattr(kerata.layers, self.name)(**made(self.kwargs, dtype), dtype=dtype)


def made(x: Any, dtype: str) -> Any:
    """Return `x` with the layers that it describes."""
    if isinstance(x, Inner):
        return x(dtype)
    if isinstance(x, dict):
        return {key: made(value, dtype) for key, value in x.items()}
    return [made(value, dtype) for value in x] if isinstance(x, list) else x


def together(items: list[Any]) -> tuple[Any, ...]:
    """The inputs as a layer that merges them takes them."""
    return (items,) if len(items) > 1 else tuple(items)


def apart(items: list[Any]) -> tuple[Any, ...]:
    """The inputs as arguments of their own."""
    return tuple(items)


def with_states(items: list[Any]) -> tuple[Any, ...]:
    """The input and the list of states, as a recurrent cell takes them."""
    return items[0], items[1:]


@dataclasses.dataclass(frozen=True, eq=False)
class LayerRow:
    name: str
    shape: Any
    kwargs: dict[str, Any]
    unknown: tuple[int, ...] = ()
    integers: int | None = None
    training: bool = False
    arguments: Callable[[list[Any]], tuple[Any, ...]] = together
    channels_last: LayerRow | None = None
    """The row with the same meaning whose channels are last."""
    slopes: bool = True
    tolerance: float = 1e-5
    coarse: float = 5e-2
    """How far 16 bits may be from float64, in parts of the largest value."""

    def __str__(self) -> str:
        arguments = ",".join(f"{k}={getattr(v, '__name__', v)}" for k, v in self.kwargs.items())
        return f"{self.name}({arguments}){' training' if self.training else ''} on {self.shape}".replace(" ", "")

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return self.shape if isinstance(self.shape, list) else [self.shape]

    def make(self, dtype: str) -> Any:
        return Inner(self.name, **self.kwargs)(dtype)

    def inputs(self, copies: int = 1) -> list[np.ndarray]:
        """The inputs in double precision, with the batch so many times as long."""
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        if self.integers is not None:
            found = [rng.integers(0, self.integers, s).astype("int32") for s in self.shapes]
        else:
            found = [rng.normal(size=s) for s in self.shapes]
        return [np.concatenate([a] * copies) if copies else a[:0] for a in found]

    def call(self, layer: Any, items: list[Any]) -> Any:
        return layer(*self.arguments(items), **({"training": True} if self.training else {}))


ROWS: list[LayerRow] = []


def layer(name: str, shape: Any, *, unknown: tuple[int, ...] = (), integers: int | None = None, training: bool = False,
          slopes: bool = True, tol: float = 1e-5, coarse: float = 5e-2, arguments: Any = together,
          **kwargs: Any) -> None:  # fmt: skip
    ROWS.append(LayerRow(name, shape, kwargs, unknown, integers, training, arguments, None, slopes, tol, coarse))


def images(name: str, shape: tuple[int, ...], *, leading: int = 1, **given: Any) -> None:
    """A row with the channels last and one with them first, after `leading` axes; sizes between may be unknown."""
    axes = range(leading, len(shape) - 1)
    layer(name, shape, unknown=tuple(axes) if leading == 1 else (1,), **given)
    last = ROWS[-1]
    first = (*shape[:leading], shape[-1], *shape[leading:-1])
    kwargs = {**last.kwargs, "data_format": "channels_first"}
    unknown = tuple(axis + 1 for axis in axes) if leading == 1 else (1,)
    ROWS.append(dataclasses.replace(last, shape=first, kwargs=kwargs, unknown=unknown, channels_last=last))


# Core
layer("Dense", (3, 5), units=4, activation="tanh")
layer("Dense", (2, 3, 5), units=4, unknown=(1,))
layer("EinsumDense", (2, 3, 5), equation="abc,cd->abd", output_shape=(None, 4), bias_axes="d", unknown=(1,))
layer("Embedding", (2, 5), input_dim=7, output_dim=3, integers=7, unknown=(1,))
layer("ReversibleEmbedding", (2, 5), input_dim=7, output_dim=3, integers=7, unknown=(1,))
layer("Masking", (2, 3, 4), mask_value=0.0, unknown=(1,))
layer("Identity", (2, 3))
layer("Lambda", (2, 3), function=lambda x: x * x + 1, output_shape=(3,))
layer("ActivityRegularization", (4, 3), l1=0.1, l2=0.3)
# Activations
layer("Activation", (3, 5), activation="gelu", unknown=(1,))
layer("ReLU", (3, 5), max_value=1.0, negative_slope=0.2, threshold=0.0, unknown=(1,))
layer("LeakyReLU", (3, 5), negative_slope=0.1, unknown=(1,))
layer("PReLU", (3, 4, 5), shared_axes=[1], unknown=(1,))
layer("ELU", (3, 5), alpha=0.3, unknown=(1,))
layer("Softmax", (3, 4, 5), axis=(1, 2), unknown=(1, 2))
# Regularization (what they do in training is drawn: test_draws)
for name in ("Dropout", "GaussianDropout", "AlphaDropout"):
    layer(name, (3, 5), rate=0.4, unknown=(1,))
layer("GaussianNoise", (3, 5), stddev=0.4, unknown=(1,))
layer("SpatialDropout1D", (2, 3, 5), rate=0.4, unknown=(1, 2))
images("SpatialDropout2D", (2, 3, 4, 5), rate=0.4)
images("SpatialDropout3D", (2, 3, 2, 4, 5), rate=0.4)
# Shapes
layer("Flatten", (2, 3, 4))
layer("Flatten", (2, 3, 4, 5), data_format="channels_first")
layer("Reshape", (3, 4, 3), target_shape=(6, 2))
layer("Reshape", (3, 4, 3), target_shape=(-1, 2), unknown=(1,))
layer("Permute", (2, 3, 4, 5), dims=(3, 1, 2), unknown=(1, 2, 3))
layer("RepeatVector", (2, 4), n=3, unknown=(1,))
images("ZeroPadding1D", (2, 3, 4), padding=(2, 0))
images("ZeroPadding2D", (2, 3, 4, 2), padding=((1, 0), (0, 2)))
images("ZeroPadding3D", (2, 3, 4, 2, 2), padding=(1, 0, 2))
layer("Cropping1D", (2, 5, 4), cropping=(2, 0), unknown=(1,))
images("Cropping2D", (2, 5, 6, 2), cropping=((1, 0), (0, 2)))
images("Cropping3D", (2, 5, 6, 4, 2), cropping=((1, 0), (0, 2), (1, 1)))
layer("UpSampling1D", (2, 3, 2), size=3, unknown=(1,))
images("UpSampling2D", (2, 3, 4, 2), size=(2, 3))
images("UpSampling2D", (2, 3, 4, 2), size=2, interpolation="bilinear")
images("UpSampling3D", (1, 3, 2, 2, 2), size=(1, 2, 3))
# Convolutions
images("Conv1D", (2, 7, 4), filters=4, kernel_size=3, padding="same", strides=2, groups=2)
images("Conv1D", (2, 7, 4), filters=3, kernel_size=2, padding="causal", dilation_rate=2)
images("Conv2D", (2, 7, 6, 2), filters=3, kernel_size=(3, 2), strides=2, padding="same", activation="relu")
images("Conv2D", (2, 6, 7, 4), filters=4, kernel_size=3, groups=4, dilation_rate=2, padding="same")
images("Conv3D", (1, 5, 4, 3, 2), filters=2, kernel_size=(3, 2, 1), strides=2, padding="same")
images("DepthwiseConv1D", (2, 7, 3), kernel_size=3, depth_multiplier=2)
images("DepthwiseConv2D", (2, 6, 5, 3), kernel_size=(3, 2), strides=2, padding="same", depth_multiplier=2)
images("SeparableConv1D", (2, 7, 3), filters=4, kernel_size=2, padding="same", dilation_rate=2)
images("SeparableConv2D", (2, 6, 5, 3), filters=4, kernel_size=3, depth_multiplier=2)
images("Conv1DTranspose", (2, 5, 4), filters=3, kernel_size=2, strides=3, output_padding=1)
images("Conv2DTranspose", (2, 4, 5, 2), filters=3, kernel_size=(2, 3), strides=2, padding="same")
images("Conv3DTranspose", (1, 3, 2, 4, 2), filters=2, kernel_size=2, strides=2, padding="same")
# Pooling
for kind in ("Max", "Average"):
    images(f"{kind}Pooling1D", (2, 8, 3), pool_size=3, strides=2, padding="same")
    images(f"{kind}Pooling2D", (2, 7, 6, 3), pool_size=(3, 2), strides=(2, 1), padding="same")
    images(f"{kind}Pooling3D", (1, 5, 4, 6, 2), pool_size=2)
    images(f"Global{kind}Pooling1D", (2, 7, 3))
    images(f"Global{kind}Pooling2D", (2, 7, 6, 3), keepdims=True)
    images(f"Global{kind}Pooling3D", (2, 3, 4, 2, 3))
    images(f"Adaptive{kind}Pooling1D", (2, 7, 3), output_size=3)
    images(f"Adaptive{kind}Pooling2D", (2, 7, 6, 3), output_size=(3, 4))
    images(f"Adaptive{kind}Pooling3D", (1, 4, 5, 3, 2), output_size=2)
# Normalization
layer("BatchNormalization", (6, 4), training=True, unknown=())
layer("BatchNormalization", (3, 4, 5), unknown=(1,))
layer("LayerNormalization", (3, 5, 4), axis=(1, 2))
layer("LayerNormalization", (3, 5, 4), unknown=(1,))
layer("GroupNormalization", (2, 4, 5, 6), groups=3, unknown=(1, 2))
layer("RMSNormalization", (3, 5), epsilon=1e-3)
layer("UnitNormalization", (3, 5, 4), axis=(1, 2), unknown=(1, 2))
layer("SpectralNormalization", (3, 5), layer=Inner("Dense", units=4))
layer("Rescaling", (2, 4, 3), scale=[1.0, 2.0, 3.0], offset=[0.0, 1.0, 2.0], unknown=(1,))
layer("Normalization", (3, 4, 2), mean=[1.0, 2.0], variance=[4.0, 9.0], unknown=(1,))
# Merging
for name in ("Add", "Multiply", "Average", "Maximum", "Minimum"):
    layer(name, [(2, 3, 4), (2, 1, 4)], unknown=(2,))
layer("Subtract", [(2, 3, 4), (2, 1, 4)], unknown=(2,))
layer("Concatenate", [(2, 3, 4), (2, 1, 4)], axis=1, unknown=(2,))
layer("Dot", [(2, 3, 5), (2, 5, 4)], axes=(2, 1))
layer("Dot", [(2, 5), (2, 5)], axes=-1, normalize=True)
# Recurrent
for name in ("SimpleRNN", "LSTM", "GRU"):
    layer(name, (2, 4, 3), units=2, return_sequences=True, unknown=(1,))
    layer(name, (2, 4, 3), units=2, go_backwards=True, unknown=(1,))
    layer(name, (2, 4, 3), units=2, unroll=True)
layer("RNN", (2, 4, 3), cell=Inner("GRUCell", units=2, reset_after=False), unknown=(1,))
layer("RNN", (2, 4, 3), cell=Inner("StackedRNNCells", cells=[Inner("LSTMCell", units=2), Inner("GRUCell", units=3)]))
for cell, states in (("SimpleRNNCell", 1), ("GRUCell", 1), ("LSTMCell", 2)):
    layer(cell, [(2, 3), *[(2, 2)] * states], arguments=with_states, units=2)
layer("StackedRNNCells", [(2, 3), (2, 2), (2, 4)], arguments=with_states,
      cells=[Inner("GRUCell", units=2), Inner("GRUCell", units=4)])  # fmt: skip
layer("Bidirectional", (2, 4, 3), layer=Inner("LSTM", units=2, return_sequences=True), unknown=(1,))
layer("TimeDistributed", (2, 3, 5), layer=Inner("Dense", units=2, activation="relu"))
images("ConvLSTM1D", (2, 3, 5, 2), leading=2, filters=2, kernel_size=3)
images("ConvLSTM2D", (2, 3, 4, 5, 2), leading=2, filters=2, kernel_size=(2, 3), return_sequences=True)
images("ConvLSTM3D", (1, 2, 3, 4, 3, 2), leading=2, filters=2, kernel_size=2)
# Attention
layer("Attention", [(2, 4, 3), (2, 5, 3)], use_scale=True, unknown=(1,))
layer("Attention", [(2, 4, 3), (2, 5, 3)], score_mode="concat")
layer("AdditiveAttention", [(2, 4, 3), (2, 5, 3)], unknown=(1,))
heads = {"MultiHeadAttention": {"num_heads": 2, "key_dim": 3},
         "GroupQueryAttention": {"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2}}  # fmt: skip
for name, more in heads.items():
    layer(name, [(2, 4, 6), (2, 5, 6)], arguments=apart, unknown=(1,), **more)
