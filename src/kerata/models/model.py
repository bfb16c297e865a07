"""`Model`: a layer that can be trained, saved and shown."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

from kerata import errors
from kerata.core import registry
from kerata.layers.base import Layer
from kerata.models.pickling import Pickled
from kerata.quantizers.configs import resolved
from kerata.training import host_prefix
from kerata.training.trainer import Trainer

__all__ = ["Model"]


def _own_methods(cls: type) -> list[str]:
    return [name for name, member in vars(cls).items() if callable(member)]


def _is_functional(args: tuple, kwargs: dict[str, Any]) -> bool:
    return len(args) == 2 or (len(args) == 1 and "outputs" in kwargs) or {"inputs", "outputs"} <= set(kwargs)


def _is_chosen(layer: Layer, filters: Any) -> bool:
    if filters is None or callable(filters):
        return filters is None or bool(filters(layer))
    if not isinstance(filters, (str, list, tuple)):
        raise errors.InvalidArgument(
            "this chooses no layers.", where="quantize", got=f"filters={filters!r}",
            expected="a regular expression, a list of these, or a function",
        )  # fmt: skip
    return any(re.search(pattern, layer.name) for pattern in ([filters] if isinstance(filters, str) else filters))


class Model(Pickled, Trainer):
    """A network: layers and the way through them.

    There are three ways to make one: `Model(inputs, outputs)` from symbolic tensors; a subclass whose `call` says what
    happens; `Sequential([...])` for a plain stack.

    Example:
        >>> inputs = kerata.Input((784,))
        >>> x = kerata.layers.Dense(128, activation="relu")(inputs)
        >>> model = kerata.Model(inputs, kerata.layers.Dense(10, activation="softmax")(x))
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> history = model.fit(numpy.zeros((8, 784)), numpy.zeros(8, "int32"), epochs=2, verbose=0)
    """

    _serialized_module: str | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and _is_functional(args, kwargs):
            from kerata.models.functional import Functional

            return super().__new__(Functional, *args, **kwargs)  # type: ignore[arg-type]  # its own __init__ runs next
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._start_training_state()
        if _is_functional(args, kwargs):
            # A subclass that hands a graph to its base: from now on it is a functional model too.
            from kerata.models.functional import Functional

            own = type(self)
            if not issubclass(own, Functional):
                bases: Any = (own, Functional)
                self.__class__ = type(own.__name__, bases, {"__module__": own.__module__})  # type: ignore[assignment]
            names = dict(zip(("inputs", "outputs"), args))
            Functional.__init__(self, **names, **kwargs)  # type: ignore[arg-type]
            return
        if args:
            raise errors.InvalidArgument(
                "a model takes inputs and outputs, or only keywords.", where=type(self).__name__,
                expected="Model(inputs, outputs)", got=f"{len(args)} argument: {args[0]!r}"[:120],
                hint="a list of layers makes a Sequential([…]); a subclass passes only keywords to super().__init__",
            )  # fmt: skip
        Layer.__init__(self, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; a subclass says how."""
        raise errors.Unsupported(
            "the model has no `call`.", where=f"{type(self).__name__} {self.name!r}",
            expected="a method `call(self, inputs)`", got=f"the methods {_own_methods(type(self))}",
            hint="define `call(self, inputs)`, or make the model with Model(inputs, outputs)",
        )  # fmt: skip

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return symbolic outputs for symbolic inputs."""
        if host_prefix.of(self) is not None:  # which no engine can evaluate abstractly
            return self._graph.run(args[0], lambda operation: operation.compute_output_spec)
        return super().compute_output_spec(*args, **kwargs)

    # Layers -----------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside."""
        return self._sublayers()

    @layers.setter
    def layers(self, _: Any) -> None:
        raise errors.StateError(
            "`layers` cannot be set.", where=f"model {self.name!r}", hint="use another attribute's name"
        )

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return the layer with this name, or at this place."""
        if (name is None) == (index is None):
            raise errors.InvalidArgument("give either a name or an index.", where="get_layer", got=(name, index))
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise errors.InvalidArgument(
                    "there is no layer at this index.", where="get_layer", expected=f"below {len(self.layers)}",
                    got=index,
                )  # fmt: skip
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise errors.UnknownName("layer", name, [layer.name for layer in self.layers], where=f"model {self.name!r}")

    # Showing ----------------------------------------------------------------------------------------------------

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: list[str] | tuple[str, str] | None = None,
        format: str = "text",
    ) -> str | None:
        """Print a table of the layers, their output shapes, numbers of parameters and bytes.

        Args:
            line_length: how many characters wide; by default as wide as the terminal.
            positions: accepted as Keras does; columns are as wide as what they hold.
            print_fn: takes the table instead.
            expand_nested: show the layers of models inside the model.
            show_trainable: show which layers learn; without it the column is there where some do not.
            layer_range: the names of the first and the last layer shown, as regular expressions.
            format: "text" is printed; "html" and "markdown" are returned, and a notebook shows them.

        Example:
            >>> model = kerata.Sequential([kerata.Input((3,)), kerata.layers.Dense(2, name="dense")], name="small")
            >>> print(model.summary(format="markdown"))
            **Model** `small` (Sequential)
            <BLANKLINE>
            | Layer (type)    | Output shape | Parameters |
            | --------------- | ------------ | ---------: |
            | `dense` (Dense) | (None, 2)    |          8 |
            <BLANKLINE>
            - All parameters: 8 (32 B)
            - Trainable parameters: 8 (32 B)
            - Not trainable parameters: 0 (0 B)
            <BLANKLINE>
        """
        from kerata.models import summary

        return summary.show(self, line_length, print_fn, expand_nested, show_trainable, layer_range, format)

    def _repr_html_(self) -> str:
        from kerata.models import summary

        return summary.html(self)

    # Quantizing -------------------------------------------------------------------------------------------------

    def quantize(self, mode: Any = None, config: Any = None, filters: Any = None, **kwargs: Any) -> None:
        """Keep the weights of the layers inside in few bits from now on, which takes less memory.

        - "int8": a byte for each weight; the inputs of the products are rounded to 8 bits as well.
        - "int4": half a byte for each weight, with a scale for each group of inputs.
        - "float8": products in float8, for training; the weights stay floats.
        - "gptq", "awq": a few bits for each weight, which samples help to choose; their configs say how.

        Layers that cannot be quantized stay as they are, with a warning where they have weights. A model that is to be
        trained on is compiled anew.

        Args:
            mode: "int8", "int4", "float8", "gptq" or "awq".
            config: a `kerata.quantizers.QuantizationConfig`, beside the mode or instead of it.
            filters: which layers: a regular expression over their names, a list of these, or a function of the layer.
            type_check: whether subclasses of the layers are refused.

        Example:
            >>> model = kerata.Sequential([kerata.layers.Input((64,)), kerata.layers.Dense(10)])
            >>> model.quantize("int8")
            >>> model.layers[0].kernel.dtype
            'int8'
        """
        type_check = kwargs.pop("type_check", True)
        if kwargs:
            raise errors.InvalidType("unknown arguments.", where="quantize", got=sorted(kwargs))
        config = resolved(mode, config)
        if config.mode in ("gptq", "awq"):
            from kerata.models.calibration import calibrate

            structure = config.quantization_layer_structure or self.get_quantization_layer_structure(config.mode)
            calibrate(config, structure, lambda layer: _is_chosen(layer, filters))
        for layer in self._flatten_layers() if config.mode not in ("gptq", "awq") else ():
            if layer._sublayers() or not layer.weights or not _is_chosen(layer, filters):
                continue
            try:
                layer.quantize(config.mode, type_check=type_check, config=config)
            except errors.Unsupported as error:
                warnings.warn(str(error), stacklevel=2)
        for layer in self._flatten_layers():
            if isinstance(layer, Model):
                layer._forget_programs()

    def get_quantization_layer_structure(self, mode: str | None = None) -> dict[str, Any] | None:
        """Return "pre_block_layers" and "sequential_blocks" for modes that calibrate; a subclass knows them."""
        return None

    # Files and configs ------------------------------------------------------------------------------------------

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Save architecture, weights, optimizer and compile settings in one `.keras` file.

        Example:
            >>> model = kerata.Sequential([kerata.layers.Input((3,)), kerata.layers.Dense(1)])
            >>> model.save("small.keras")
            >>> model = kerata.models.load_model("small.keras")
        """
        from kerata import saving

        saving.save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: Any = None) -> None:
        """Save the weights in a `.weights.h5` or `.safetensors` file."""
        from kerata import saving

        saving.save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Load the weights from a `.weights.h5`, `.safetensors` or `.keras` file."""
        from kerata import saving

        saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: Any = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write what the model computes outside of training for a program that knows nothing of kerata.

        - "tf_saved_model": a folder for TensorFlow, TensorFlow Serving and `kerata.layers.TFSMLayer`, with the
          endpoints "serve" and "serving_default"; needs tensorflow.
        - "onnx": a file for ONNX Runtime and others; needs torch, onnx and onnxscript.
        - "openvino": an `.xml` file, with a `.bin` beside it; needs what "onnx" needs, and openvino.
        - "litert": a file for LiteRT, once TensorFlow Lite; needs tensorflow.
        - "torch": a `.pt2` file for `torch.export.load`; needs torch.
        - "stablehlo": a file for `kerata.export.load`, which needs JAX and none of the model's code.

        A model goes into each of them, whichever engine it was trained on. The batch may have any size, and so may an
        axis that is None in the model's inputs; "torch", "onnx" and "openvino" must know the length of what a
        recurrent layer reads.

        Args:
            filepath: where to; what was exported there before is replaced.
            format: one of the above.
            verbose: whether to print the names and shapes of inputs and outputs.
            input_signature: the arguments of the model, each an `InputSpec`, a symbolic tensor, an array, or a nest of
                these; by default the model's own inputs.
            kwargs: for one format: `opset_version` and others of `torch.onnx.export`; those of `torch.export.export`;
                the attributes of TensorFlow Lite's converter; `platforms` for "stablehlo", as JAX names them.

        Raises:
            NotBuilt: for a model that has no weights yet, or whose inputs are not known.
            Unsupported: for a model that the format cannot hold, such as one that begins with text.
            MissingPackage: where a package has to be installed first; it says which.

        Example:
            >>> model = kerata.Sequential([kerata.Input((3,)), kerata.layers.Dense(2)])
            >>> model.export("small.stablehlo", format="stablehlo")
            >>> kerata.export.load("small.stablehlo")(numpy.ones((5, 3))).shape
            (5, 2)
        """
        from kerata.export.formats import export_model

        export_model(self, filepath, format, verbose, input_signature, **kwargs)

    def to_json(self, **kwargs: Any) -> str:
        """Return the architecture as JSON; `kerata.models.model_from_json` reads it."""
        with registry.ObjectSharing():
            return json.dumps(registry.serialize_keras_object(self), **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config()

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Make a model anew from its config, whichever kind it is of."""
        if cls is Model and {"layers", "input_layers", "output_layers"} <= config.keys():
            from kerata.models.functional import Functional

            return Functional.from_config(config, custom_objects)
        with registry.CustomObjectScope(custom_objects):
            return super().from_config(config)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of this shape, the batch included."""
        if self.built:
            return
        super().build(input_shape)
