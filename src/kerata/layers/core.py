"""The layers that everything starts with: inputs, dense layers, embeddings, masks, and wrapping what there is.

Shapes: B batch, T time steps, I features in, U units (features out).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerata import engine, errors, ops
from kerata.core import dtypes, registry
from kerata.core.symbolic import KerasTensor, Node
from kerata.layers.arguments import Named, known_size, positive
from kerata.layers.base import Layer
from kerata.layers.input_spec import InputSpec
from kerata.layers.lora import MainWeight
from kerata.layers.quantization import Form, Quantizable

__all__ = ["Activation", "Dense", "Embedding", "Identity", "Input", "InputLayer", "Lambda", "Masking", "Wrapper"]


# Inputs ---------------------------------------------------------------------------------------------------------


class InputLayer(Layer):
    """The place where data enter a model. `Input` makes one and returns its symbolic tensor.

    Args:
        shape: the shape of one sample, with None where it varies.
        batch_size: the size of the batch where it is fixed.
        dtype: the dtype's name; the default float dtype for None.
        batch_shape: the shape with the batch, instead of the two.
        input_tensor: an existing symbolic tensor, instead of a new one.
        optional: whether None may be given in its place.
        name: the name under which a dictionary of inputs has it.
    """

    built = True

    def __init__(
        self,
        shape: Sequence[int | None] | int | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        shape = kwargs.pop("input_shape", shape)
        batch_shape = kwargs.pop("batch_input_shape", batch_shape)
        super().__init__(name=name, **kwargs)
        if input_tensor is None:
            full_shape = self._full_shape(shape, batch_size, batch_shape)
            input_tensor = KerasTensor(full_shape, dtype, bool(sparse), bool(ragged), name=name or self.name)
        elif not isinstance(input_tensor, KerasTensor):
            raise errors.InvalidType(
                "`input_tensor` is symbolic.", where="Input", expected="a KerasTensor", got=repr(input_tensor)[:80]
            )
        self.batch_shape, self._dtype = input_tensor.shape, input_tensor.dtype
        self.sparse, self.ragged, self.optional = bool(sparse), bool(ragged), optional
        Node(self, (), {}, input_tensor)

    @staticmethod
    def _full_shape(shape: Any, batch_size: int | None, batch_shape: Any) -> tuple[int | None, ...]:
        if (shape is None) == (batch_shape is None) or (batch_size is not None and batch_shape is not None):
            raise errors.InvalidArgument(
                "give the shape of one sample or that of a batch.", where="Input",
                expected="shape=…, with batch_size=… where it is fixed; or batch_shape=…",
                got=f"shape={shape}, batch_size={batch_size}, batch_shape={batch_shape}",
            )  # fmt: skip
        if batch_shape is None:
            shape = (shape,) if isinstance(shape, (int, np.integer)) else shape
            batch_shape = (batch_size, *_checked(shape))
        return tuple(_checked(batch_shape))

    def call(self) -> None:
        return None

    @property
    def dtype(self) -> str:
        """The dtype of the input."""
        return self._dtype

    def get_config(self) -> dict[str, Any]:
        names = ("batch_shape", "dtype", "sparse", "ragged", "name", "optional")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputLayer:
        return cls(**config)


def _checked(shape: Any) -> Any:
    is_shape = isinstance(shape, (list, tuple))
    if not is_shape or not all(d is None or (isinstance(d, (int, np.integer)) and d >= 0) for d in shape):
        raise errors.InvalidArgument(
            "this is no shape.", where="Input", expected="a tuple of ints, and of None for sizes that vary",
            got=repr(shape),
        )  # fmt: skip
    return shape


def Input(  # noqa: N802  (Keras's name)
    shape: Sequence[int | None] | int | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """Return a symbolic tensor that stands for data of a model; the arguments are those of `InputLayer`.

    Example:
        >>> x = kerata.layers.Input((784,))
        >>> kerata.layers.Dense(10)(x).shape
        (None, 10)
    """
    layer = InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name)
    return layer.output


# Dense ----------------------------------------------------------------------------------------------------------


class Dense(Quantizable):
    """A fully connected layer: y = activation(x kernel + bias); (B, …, I) -> (B, …, U).

    Args:
        units: U, the number of features out.
        activation: a function of the output, by name or itself; None for none.
        use_bias: whether a bias is added.
        lora_rank, lora_alpha: see `enable_lora`.
        quantization_config: how the weights are kept, beside a quantized `dtype`; see `Model.quantize`.

    Raises:
        ShapeMismatch: when I is not known, or another than before.

    Example:
        >>> kerata.layers.Dense(10, activation="softmax")(numpy.ones((2, 784))).shape
        (2, 10)
    """

    supports_masking = True
    kernel: Any = MainWeight()

    def __init__(
        self,
        units: int,
        activation: Named = None,
        use_bias: bool = True,
        kernel_initializer: Named = "glorot_uniform",
        bias_initializer: Named = "zeros",
        kernel_regularizer: Named = None,
        bias_regularizer: Named = None,
        activity_regularizer: Named = None,
        kernel_constraint: Named = None,
        bias_constraint: Named = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._keep(locals())
        self.units = positive(self, "units", units)
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape: Any) -> None:
        features = known_size(self, input_shape, -1)
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})
        self._build_main((features, self.units))
        self.bias = self._named_weight("bias", (self.units,)) if self.use_bias else None
        self._start_lora()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        y = self._product(ops.matmul, inputs, training)
        return self.activation(y if self.bias is None else y + self.bias)


# Embedding ------------------------------------------------------------------------------------------------------


class Embedding(Quantizable):
    """A table of vectors looked up by number: y[b, t] = embeddings[x[b, t]]; ints (B, …) -> (B, …, U).

    Args:
        input_dim: how many vectors there are; the numbers go from 0 to `input_dim - 1`.
        output_dim: U, the length of a vector.
        mask_zero: whether the number 0 stands for "nothing here", to be masked in the layers after.
        weights: the table to start from, an array (input_dim, output_dim).
        lora_rank, lora_alpha: see `enable_lora`.
        quantization_config: how the table is kept, beside a quantized `dtype`; see `Model.quantize`.

    Raises:
        InvalidArgument: for numbers that are not whole or not in the table, as soon as their values are at hand.

    Example:
        >>> kerata.layers.Embedding(1000, 64)(numpy.array([[4, 0, 999]])).shape
        (1, 3, 64)
    """

    expected_input_dtype = "int32"
    embeddings: Any = MainWeight()
    _modes = ("int8", "int4")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Named = "uniform",
        embeddings_regularizer: Named = None,
        embeddings_constraint: Named = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)  # old programs give it; the length is known from the data
        super().__init__(**kwargs)
        self._keep(locals(), but=("weights",))
        self.autocast = False  # the rows that are looked up are cast, not the table
        self.input_dim = positive(self, "input_dim", input_dim)
        self.output_dim = positive(self, "output_dim", output_dim)
        self.supports_masking = mask_zero
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [weights])

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            self._build_main((self.input_dim, self.output_dim))
            self._start_lora()

    def _forms(self) -> list[Form]:
        return [Form("embeddings", (self.input_dim, self.output_dim), axis=-1)]  # a scale for each row

    def call(self, inputs: Any) -> Any:
        self._check_numbers(inputs)
        numbers = inputs if dtypes.is_int(inputs.dtype) else ops.cast(inputs, "int32")
        return ops.cast(self._looked_up(numbers), self.compute_dtype)

    def quantized_build(self, embeddings_shape: Any, mode: str, config: Any = None) -> None:
        super().quantized_build(embeddings_shape, mode, config)

    def _looked_up(self, numbers: Any) -> Any:
        rows = {part: ops.take(table, numbers, axis=0) for part, table in self._parts("embeddings").items()}
        quantized = self.quantization_mode is not None
        y = self._dequantized(self._forms()[0], rows, self.compute_dtype) if quantized else rows[""]
        if self.lora_enabled:
            y = y + self._lora_term(lambda numbers, table: ops.take(table, numbers, axis=0), numbers)
        return y

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def _check_numbers(self, x: Any) -> None:
        if engine.arrays.is_traced(x) or 0 in x.shape:
            return
        numbers = engine.arrays.to_numpy(x)
        if dtypes.is_float(x.dtype) and (numbers != np.floor(numbers)).any():
            raise errors.InvalidArgument(
                "the input is looked up in a table, so it holds whole numbers.", where=self._where(),
                expected=f"ints from 0 to {self.input_dim - 1}", got=f"{x.dtype} such as {numbers.flat[0]}",
            )  # fmt: skip
        if numbers.max() >= self.input_dim or numbers.min() < -self.input_dim:
            raise errors.InvalidArgument(
                "a number is not in the table.", where=self._where(), expected=f"ints from 0 to {self.input_dim - 1}",
                got=f"from {numbers.min()} to {numbers.max()}",
                hint="`input_dim` is the size of the vocabulary: the largest number plus one",
            )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        config = {"activity_regularizer": None, **super().get_config()}
        config.pop("weights", None)  # they are state, not architecture
        return config


# Masks ----------------------------------------------------------------------------------------------------------


class Masking(Layer):
    """Masks the time steps whose features all equal `mask_value`: (B, T, I) -> (B, T, I), with a mask (B, T).

    Masked steps become 0. Layers after that support masks leave them out.

    Example:
        >>> kerata.layers.Masking(-1.0)(numpy.array([[[1.0, 2.0], [-1.0, -1.0]]]))[0, 1].tolist()
        [0.0, 0.0]
    """

    built = True

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Any) -> Any:
        real = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return ops.where(real, inputs, 0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)


# What there is, as a layer ------------------------------------------------------------------------------------


class Identity(Layer):
    """Gives back its input, of any shape or structure.

    Example:
        >>> kerata.layers.Identity()(numpy.ones((2, 3))).shape
        (2, 3)
    """

    built = supports_masking = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        return inputs


class Activation(Layer):
    """Applies an activation function: y = activation(x).

    Args:
        activation: a function, or the name of one of `kerata.activations`.

    Example:
        >>> kerata.layers.Activation("relu")(numpy.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    built = supports_masking = True

    def __init__(self, activation: Named, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)


class Lambda(Layer):
    """Any function as a layer: y = function(x, **arguments).

    A file keeps the name of a function, never its code: register it, or give it when loading. A class with a `call`
    of its own serves better where there are weights.

    Args:
        function: takes the inputs, and `mask` and `training` where it has parameters of these names.
        output_shape: kept for the config; the shape follows from the function itself.
        mask: a mask, or a function `(inputs, mask) -> mask`.
        arguments: further keyword arguments of the function.

    Example:
        >>> kerata.layers.Lambda(lambda x: x ** 2)(numpy.array([1.0, 3.0])).tolist()
        [1.0, 9.0]
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise errors.InvalidType("`function` is called on the inputs.", where="Lambda", got=repr(function)[:80])
        self._keep(locals())
        self.arguments = arguments or {}
        self.supports_masking = mask is not None
        self._accepted = inspect.signature(function).parameters.keys() & {"mask", "training"}

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        context = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{name: context[name] for name in self._accepted})

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        given = {"function": self.function, "output_shape": self.output_shape, "mask": self.mask}
        for name, value in given.items():
            config.pop(name, None)
            if value is not None:
                config[name] = registry.serialize_keras_object(value) if callable(value) or name == "mask" else value
        return {**config, "arguments": registry.serialize_keras_object(self.arguments)}

    @classmethod
    def from_config(  # type: ignore[override]
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None, safe_mode: bool | None = None
    ) -> Lambda:
        with registry.CustomObjectScope(custom_objects):
            shape = config.get("output_shape")
            # What Keras 2 wrote beside a function; bytecode is refused whatever it says.
            skipped = {"output_shape", "function_type", "module", "output_shape_type", "output_shape_module"}
            given = {k: registry.deserialize_keras_object(v) for k, v in config.items() if k not in skipped}
            given["output_shape"] = registry.deserialize_keras_object(shape) if isinstance(shape, dict) else shape
        return cls(**given)


class Wrapper(Layer):
    """The base of layers around another layer, which they hold as `layer`.

    Example:
        >>> class Twice(kerata.layers.Wrapper):
        ...     def call(self, x):
        ...         return self.layer(self.layer(x))
        >>> Twice(kerata.layers.Dense(3))(numpy.ones((2, 3))).shape
        (2, 3)
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            hint = f"{layer.__name__}() makes one" if isinstance(layer, type) else None
            raise errors.InvalidType("only a layer can be wrapped.", where=type(self).__name__, got=layer, hint=hint)
        super().__init__(**kwargs)
        self._keep(locals())

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        config = dict(config)
        layer = registry.deserialize_keras_object(config.pop("layer"), custom_objects)
        return cls(layer, **config)
