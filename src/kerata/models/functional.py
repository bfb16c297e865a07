"""Functional models: the graph between symbolic inputs and outputs, as a model."""

from __future__ import annotations

from typing import Any

from kerata import errors, tree
from kerata.core import op_files, registry
from kerata.core.function import Function
from kerata.core.symbolic import KerasTensor, Operation
from kerata.layers.base import Layer
from kerata.layers.core import InputLayer
from kerata.models.model import Model
from kerata.training import host_prefix

__all__ = ["Functional"]


class Functional(Model):
    """A model made of the graph between `inputs` and `outputs`; `Model(inputs, outputs)` makes one."""

    _serialized_module = "keras.src.models.functional"
    _not_members = Model._not_members | {"_graph"}

    def __init__(
        self, inputs: Any, outputs: Any, name: str | None = None, trainable: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(name=name, trainable=trainable, **kwargs)
        inputs = tree.map_structure(_as_input, inputs)
        self._graph = Function(inputs, outputs, name=self.name)
        self._layers: list[Layer] = [op for op in self._graph.operations if isinstance(op, Layer)]
        names: dict[str, Layer] = {}
        for layer in self._layers:
            if names.setdefault(layer.name, layer) is not layer:
                raise errors.InvalidArgument(
                    "two layers have the same name.", where=f"model {self.name!r}", expected="a name for each layer",
                    got=repr(layer.name),
                    hint="give one of them another `name=`",
                )  # fmt: skip
        self.built = True
        if not trainable:
            self.trainable = False

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if (outputs := host_prefix.run(self, inputs)) is not None:
            return outputs
        values = [self._fit_input(t, x) for t, x in zip(self._graph.inputs, self._graph.match(inputs))]
        structure = tree.pack_sequence_as(self._graph._inputs_struct, values)
        return self._graph.run(structure, lambda operation: operation)

    def _fit_input(self, symbol: KerasTensor, x: Any) -> Any:
        """Check one input against its Input; add or drop a last axis of length one, as Keras does."""
        if x is None:
            return None
        given = shape = tuple(x.shape)
        expected = symbol.shape
        if len(shape) == len(expected) + 1 and shape[-1] == 1:
            x = x[..., 0]
        elif len(shape) == len(expected) - 1 and expected[-1] == 1:
            x = x[..., None]
        shape = tuple(x.shape)
        if len(shape) != len(expected) or any(
            e is not None and s is not None and e != s for e, s in zip(expected[1:], shape[1:])
        ):
            name = symbol._history.operation.name if symbol._history else symbol.name
            raise errors.ShapeMismatch(
                "the data do not fit the input.", where=f"input {name!r} of model {self.name!r}",
                expected=f"shape {expected}", got=f"shape {given}", hint=_advice(given, expected),
            )  # fmt: skip
        from kerata import engine

        if isinstance(x, KerasTensor) or symbol.dtype in (str(x.dtype), "string"):
            return x
        if "float" in str(x.dtype) and "float" in symbol.dtype:
            return x  # the layer's own policy has cast it
        return engine.arrays.cast(x, symbol.dtype)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs."""
        return self._graph.inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return self._graph.outputs

    @property
    def input(self) -> Any:
        """The symbolic input, in the structure in which it was given."""
        return self._graph._inputs_struct

    @property
    def output(self) -> Any:
        """The symbolic output, in the structure in which it was given."""
        return self._graph._outputs_struct

    @property
    def input_shape(self) -> Any:
        """The shape of each input, in the structure in which they were given."""
        return tree.map_structure(lambda tensor: tensor.shape, self.input)

    @property
    def output_shape(self) -> Any:
        """The shape of each output, in the structure in which they were given."""
        return tree.map_structure(lambda tensor: tensor.shape, self.output)

    @property
    def operations(self) -> list[Operation]:
        """Every layer and op of the graph."""
        return self._graph.operations

    def get_build_config(self) -> dict[str, Any] | None:
        return None

    # Config -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the graph as data: each operation with the calls made of it."""
        if type(self) is not Functional and type(self).__init__ is not Functional.__init__:
            return Model.get_config(self)
        nodes = {id(n): n for n in self._graph.nodes}
        for layer in self._graph.operations:
            if isinstance(layer, InputLayer):
                nodes[id(layer._inbound_nodes[0])] = layer._inbound_nodes[0]
        kept = {op: [n for n in op._inbound_nodes if id(n) in nodes] for op in self._graph.operations}

        def reference(tensor: KerasTensor) -> list[Any]:
            operation, index, position = tensor._history  # type: ignore[misc]
            return [operation.name, kept[operation].index(operation._inbound_nodes[index]), position]

        def end(tensor: KerasTensor) -> list[Any]:
            name, index, position = reference(tensor)
            return [name, index + _calls_before(tensor._history.operation), position]  # type: ignore[union-attr]

        def serialized(x: Any) -> Any:
            if isinstance(x, KerasTensor):
                history = {"shape": list(x.shape), "dtype": x.dtype, "keras_history": reference(x)}
                return {"class_name": "__keras_tensor__", "config": history}
            return registry.serialize_keras_object(x)

        layers = []
        for operation in self._graph.operations:
            data = registry.serialize_keras_object(operation)
            data["name"] = operation.name
            data["inbound_nodes"] = [
                {
                    "args": _map(serialized, node.args),
                    "kwargs": _map(serialized, node.kwargs),
                }
                for node in kept[operation]
                if node.inputs
            ]
            layers.append(data)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": layers,
            "input_layers": _references(self._graph._inputs_struct, reference),
            "output_layers": _references(self._graph._outputs_struct, end),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Make the graph anew from its config."""
        with registry.CustomObjectScope(custom_objects):
            return _from_config(cls, dict(config))


def _advice(shape: tuple, expected: tuple) -> str:
    """Return what to do about data of this shape."""
    if shape == expected[1:]:
        return "is the batch axis missing? x[None] makes a batch of one sample"
    if len(shape) == len(expected) > 2 and (shape[0], *shape[2:], shape[1]) == (shape[0], *expected[1:]):
        return "the channels come first here and last there: numpy.moveaxis(x, 1, -1)"
    if None not in expected[1:] and None not in shape[1:] and _size(shape[1:]) == _size(expected[1:]):
        return f"the sizes agree: x.reshape({', '.join(map(str, (-1, *expected[1:])))})"
    if len(shape) == len(expected):
        return f"make the model for such data, with kerata.Input({shape[1:]}), or bring the data to its shape"
    return f"the batch comes first, then {expected[1:]} for each sample"


def _size(shape: Any) -> int:
    result = 1
    for d in shape:
        result *= d
    return result


def _as_input(tensor: Any) -> Any:
    """Return `tensor`, which an InputLayer made, or one made now, so that it has a name."""
    if isinstance(tensor, KerasTensor) and tensor._history is None:
        layer = InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype, input_tensor=tensor)
        return layer._inbound_nodes[0].outputs[0]
    return tensor


def _map(function: Any, structure: Any) -> Any:
    """Apply `function` to the leaves; tuples become lists, as in JSON, for Keras has no mark for them."""
    if isinstance(structure, (list, tuple)):
        return [_map(function, x) for x in structure]
    if isinstance(structure, dict):
        return {k: _map(function, x) for k, x in structure.items()}
    return function(structure)


def _references(structure: Any, reference: Any) -> Any:
    if isinstance(structure, KerasTensor):
        return reference(structure)
    if isinstance(structure, dict):
        return {k: _references(v, reference) for k, v in structure.items()}
    return [_references(v, reference) for v in structure]


def _calls_before(operation: Operation) -> int:
    """Return by how much the ends of a graph number the calls of `operation` too high, as Keras does for models."""
    return 1 if isinstance(operation, Functional) else 0


def _from_config(cls: type, config: dict[str, Any]) -> Any:
    operations: dict[str, Operation] = {}
    waiting: list[tuple[Operation, dict[str, Any]]] = []
    for data in config["layers"]:
        name = data.get("name") or data["config"]["name"]
        operation = op_files.restored(data) or registry.deserialize_keras_object(data)
        if not isinstance(operation, Operation):
            raise errors.CorruptFile("a layer of the config is no layer.", where=f"layer {name!r}", got=type(operation))
        operations[name] = operation
        waiting += [(operation, call) for call in _calls(data)]

    def tensor_of(history: list[Any]) -> KerasTensor | None:
        operation = operations.get(history[0])
        if operation is None:
            raise errors.CorruptFile("the config names a layer that it does not hold.", where="config", got=history[0])
        made = operation._inbound_nodes
        return made[history[1]].outputs[history[2]] if history[1] < len(made) else None

    class NotYet(Exception):
        pass

    def restored(x: Any) -> Any:
        if isinstance(x, dict) and x.get("class_name") == "__keras_tensor__":
            tensor = tensor_of(x["config"]["keras_history"])
            if tensor is None:
                raise NotYet
            return tensor
        if isinstance(x, dict) and x.get("class_name") == "__tuple__":
            return tuple(restored(v) for v in x["config"]["value"])
        if isinstance(x, dict) and "class_name" not in x:
            return {k: restored(v) for k, v in x.items()}
        if isinstance(x, list):
            return [restored(v) for v in x]
        return registry.deserialize_keras_object(x)

    while waiting:
        later, blocked = [], set()
        for operation, call in waiting:
            # Calls of one operation keep their order: later nodes refer to them by number.
            try:
                if operation in blocked:
                    raise NotYet
                args, kwargs = restored(call["args"]), restored(call["kwargs"])
            except NotYet:
                blocked.add(operation)
                later.append((operation, call))
                continue
            operation(*args, **kwargs)
        if len(later) == len(waiting):
            raise errors.CorruptFile(
                "the graph of the config has a circle or a missing piece.", where=f"model {config.get('name')!r}",
                got=[op.name for op, _ in later],
            )  # fmt: skip
        waiting = later

    def structure(x: Any) -> Any:
        if isinstance(x, dict) and x.get("class_name") == "__tuple__":
            return tuple(structure(v) for v in x["config"]["value"])
        if isinstance(x, dict):
            return {k: structure(v) for k, v in x.items()}
        if isinstance(x, (list, tuple)) and x and isinstance(x[0], str):
            name, index, position = x
            return tensor_of([name, index - _calls_before(operations[name]) if name in operations else index, position])
        items = [structure(v) for v in x]
        return tuple(items) if isinstance(x, tuple) else items

    def ends(x: Any) -> Any:
        result = structure(x)
        return result[0] if isinstance(result, list) and len(result) == 1 and not isinstance(x[0], str) else result

    extra = {k: v for k, v in config.items() if k in ("name", "trainable")}
    return cls(ends(config["input_layers"]), ends(config["output_layers"]), **extra)


def _calls(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls of a layer; files of Keras 2 list them without args and kwargs."""
    calls = []
    for node in data.get("inbound_nodes", []):
        if not isinstance(node, dict):
            tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": x[:3]}} for x in node]
            kwargs = node[0][3] if node and len(node[0]) > 3 else {}
            calls.append({"args": tensors if len(tensors) == 1 else [tensors], "kwargs": kwargs})
            continue
        args, kwargs = node.get("args", []), node.get("kwargs", {})
        if data.get("class_name") == "GetItem":  # where a list is a tuple that has been through JSON
            args = [_as_tuple(x) for x in args]
            kwargs = {k: _as_tuple(x) for k, x in kwargs.items()}
        calls.append({"args": args, "kwargs": kwargs})
    return calls


def _as_tuple(x: Any) -> Any:
    return {"class_name": "__tuple__", "config": {"value": x}} if isinstance(x, list) else x
