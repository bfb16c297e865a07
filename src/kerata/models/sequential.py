"""`Sequential`: a plain stack of layers, built as soon as its input's shape is known."""

from __future__ import annotations

from typing import Any

from kerata import errors, tree
from kerata.core import registry, scopes
from kerata.core.function import Function
from kerata.core.symbolic import KerasTensor
from kerata.layers.base import Layer
from kerata.layers.core import Input, InputLayer
from kerata.models.model import Model
from kerata.training import host_prefix

__all__ = ["Sequential"]


class Sequential(Model):
    """A stack of layers, each fed with the output of the one before.

    Args:
        layers: layers to add, in order; start with `kerata.Input(shape)` to build at once.

    Example:
        >>> model = kerata.Sequential([
        ...     kerata.Input((28, 28, 1)),
        ...     kerata.layers.Flatten(),
        ...     kerata.layers.Dense(10, activation="softmax"),
        ... ])
    """

    _serialized_module = "keras"
    _not_members = Model._not_members | {"_graph"}

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        super().__init__(trainable=trainable, name=name)
        self._layers: list[Layer] = []
        self._graph: Function | None = None
        if isinstance(layers, Layer):
            raise errors.InvalidType(
                "the layers come in a list.", where=f"model {self.name!r}", expected="a list of layers",
                got=repr(layers), hint="kerata.Sequential([layers.Dense(8), layers.Dense(1)])",
            )  # fmt: skip
        for layer in layers or []:
            self.add(layer, rebuild=False)
        self._rebuild()

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put `layer` on top of the stack."""
        if isinstance(layer, KerasTensor) and layer._history and isinstance(layer._history.operation, InputLayer):
            layer = layer._history.operation
        if not isinstance(layer, Layer):
            hint = "a function of yours goes in layers.Lambda(function)" if callable(layer) else None
            if isinstance(layer, type):
                hint = f"the parentheses are missing: {layer.__name__}(…)"
            raise errors.InvalidType(
                "only layers can be added.", where=f"model {self.name!r}", expected="a layer", got=repr(layer)[:80],
                hint=hint or "look at the list: a bracket or a comma may be in the wrong place",
            )  # fmt: skip
        if isinstance(layer, InputLayer):
            if self._layers:
                raise errors.InvalidArgument(
                    "an Input comes first, and there is one at most.", where=f"model {self.name!r}",
                    expected="an Input before all layers", got=f"already there: {[x.name for x in self._layers]}",
                    hint="put it first; layers inside need no Input of their own",
                )  # fmt: skip
        elif not self._layers and layer._input_shape_argument is not None:
            shape = layer._input_shape_argument
            self._layers.append(_input_layer(shape, _input_dtype(layer)))
        if any(x.name == layer.name for x in self._layers):
            raise errors.InvalidArgument(
                "two layers have the same name.", where=f"model {self.name!r}", expected="a name for each layer",
                got=repr(layer.name), hint="give one of them another `name=`; the same layer cannot be stacked twice",
            )  # fmt: skip
        self._layers.append(layer)
        if rebuild:
            self._rebuild()

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the layer off the top of the stack and return it."""
        if not self._layers:
            raise errors.InvalidArgument("there is no layer to take off.", where=f"model {self.name!r}")
        layer = self._layers.pop()
        self.built, self._graph = False, None
        self._build_shapes = None
        if rebuild:
            self._rebuild()
        return layer

    def _rebuild(self) -> None:
        self.built, self._graph = False, None
        if self._layers and isinstance(self._layers[0], InputLayer):
            if len(self._layers) > 1:
                self.build()
        elif self._layers and self._layers[0].built and hasattr(self._layers[0], "inputs"):
            self.build(tree.map_structure(lambda t: t.shape, _single(self._layers[0].inputs)))

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of this shape, the batch included."""
        if self.built:
            return
        if not self._layers:
            raise errors.NotBuilt("the model has no layers.", where=f"model {self.name!r}", hint="add some first")
        first = self._layers[0]
        if not isinstance(first, InputLayer):
            if input_shape is None:
                raise errors.NotBuilt(
                    "the shape of the input is not known.", where=f"model {self.name!r}",
                    hint="start with kerata.Input(shape), or build((None, …))",
                )  # fmt: skip
            if not isinstance(input_shape, (tuple, list)) or any(isinstance(d, (tuple, list)) for d in input_shape):
                self.built = True  # several inputs: the layers build themselves when they are called
                return
            first = _input_layer(tuple(input_shape), _input_dtype(first))
            self._layers.insert(0, first)
        inputs = x = first._inbound_nodes[0].outputs[0]
        self._build_shapes = {"input_shape": tuple(inputs.shape)}
        for layer in self._layers[1:]:
            x = layer(x)
        if not isinstance(x, KerasTensor) and tree.is_nested(x):
            self.built = True
            return
        self._graph = Function(inputs, x, name=self.name)
        self.built = True
        if not self._trainable:
            self.trainable = False

    def call(self, inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        if kwargs:
            raise errors.InvalidType("unknown arguments.", where=f"model {self.name!r}", got=sorted(kwargs))
        if (outputs := host_prefix.run(self, inputs)) is not None:
            return outputs
        x = inputs
        if self._graph is not None:
            x = self._fit_input(self._graph.inputs[0], _unwrap(x, self))
        if mask is not None:
            scopes.set_mask(x, mask)
        for layer in self._layers:
            if not isinstance(layer, InputLayer):
                x = layer(x)
        return x

    def compute_output_spec(self, inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        """Return symbolic outputs for symbolic inputs, by abstract evaluation of the stack."""
        given = {"training": training, "mask": mask}
        return super().compute_output_spec(inputs, **{k: v for k, v in given.items() if v is not None}, **kwargs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the outputs for the shape of the inputs."""
        return super().compute_output_shape(input_shape)

    def _fit_input(self, symbol: KerasTensor, x: Any) -> Any:
        from kerata.models.functional import Functional

        return Functional._fit_input(self, symbol, x)  # type: ignore[arg-type]

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return None  # each layer has set the mask of its own output

    @property
    def layers(self) -> list[Layer]:
        """The layers of the stack, without the Input."""
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    def _built_graph(self, what: str) -> Function:
        if self._graph is None:
            raise errors.NotBuilt(
                f"the model has no {what} before it is built.", where=f"model {self.name!r}",
                hint="start with kerata.Input(shape), or call the model on data",
            )  # fmt: skip
        return self._graph

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic input, in a list."""
        return self._built_graph("inputs").inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic output, in a list."""
        return self._built_graph("outputs").outputs

    @property
    def input(self) -> KerasTensor:
        """The symbolic input."""
        return self.inputs[0]

    @property
    def output(self) -> KerasTensor:
        """The symbolic output."""
        return self.outputs[0]

    @property
    def input_shape(self) -> Any:
        """The shape of the input, the batch included."""
        return self.input.shape

    @property
    def output_shape(self) -> Any:
        """The shape of the output, the batch included."""
        return self.output.shape

    def get_config(self) -> dict[str, Any]:
        """Return the stack as data."""
        config: dict[str, Any] = {
            k: v for k, v in Layer.get_config(self).items() if k in ("name", "trainable", "dtype")
        }
        config["layers"] = [registry.serialize_keras_object(layer) for layer in self._layers]
        if self._build_shapes:
            config["build_input_shape"] = self._build_shapes["input_shape"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Sequential:
        """Make the stack anew from its config."""
        with registry.CustomObjectScope(custom_objects):
            layers = [registry.deserialize_keras_object(data) for data in config["layers"]]
        model = cls(layers, name=config.get("name"), trainable=config.get("trainable", True))
        shape = config.get("build_input_shape")
        if not model.built and shape and isinstance(shape, (tuple, list)):
            model.build(tuple(shape))
        return model


def _input_layer(batch_shape: Any, dtype: Any) -> Any:
    return Input(batch_shape=batch_shape, dtype=dtype)._history.operation  # type: ignore[union-attr]


def _input_dtype(layer: Layer) -> str:
    """Return the dtype of an Input made for `layer`: what the layer expects, or its own."""
    graph = getattr(layer, "_graph", None)
    if graph is not None and graph.inputs[0].dtype == "string":
        return "string"
    return getattr(layer, "expected_input_dtype", None) or layer.input_dtype


def _single(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


def _unwrap(x: Any, model: Sequential) -> Any:
    if isinstance(x, (list, tuple)) and len(x) == 1:
        return x[0]
    if isinstance(x, dict):
        name = model._layers[0].name
        if name in x or len(x) == 1:
            return x.get(name, next(iter(x.values())))
    return x
