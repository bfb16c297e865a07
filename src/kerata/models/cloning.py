"""Making a model anew from another one: the same architecture with new weights."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from kerata import errors, tree
from kerata.core import registry
from kerata.core.op import OpCall
from kerata.core.symbolic import Operation
from kerata.layers.base import Layer
from kerata.layers.core import InputLayer
from kerata.models.functional import Functional
from kerata.models.model import Model
from kerata.models.sequential import Sequential

__all__ = ["clone_model", "model_from_json"]


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Model:
    """Return a model of the same architecture with new weights.

    Args:
        model: a Sequential or functional model, or a subclass whose `get_config` works.
        input_tensors: symbolic tensors to build the clone on.
        clone_function: makes each layer's copy; by default from its config.
        call_function: `(layer, *args, **kwargs)`, makes each call of a copied layer; functional models only.
        recursive: whether `clone_function` reaches the layers of models inside.

    Example:
        >>> model = kerata.Sequential([kerata.layers.Input((3,)), kerata.layers.Dense(1)])
        >>> kerata.models.clone_model(model).count_params()
        4
    """

    def copy(layer: Any) -> Any:
        if isinstance(layer, OpCall):
            return OpCall(layer.op, layer.settings, layer.name)
        if recursive and isinstance(layer, (Functional, Sequential)):
            return clone_model(layer, clone_function=clone_function, call_function=call_function, recursive=True)
        if clone_function is not None and not isinstance(layer, InputLayer):
            return clone_function(layer)
        return type(layer).from_config(layer.get_config())

    if isinstance(model, Sequential):
        if call_function is not None:
            raise errors.InvalidArgument("`call_function` is for functional models.", where="clone_model")
        layers = [copy(layer) for layer in model._layers]
        if input_tensors is not None:
            start = tree.flatten(input_tensors)[0]
            layers = [start, *[layer for layer in layers if not isinstance(layer, InputLayer)]]
        return Sequential(layers, name=model.name, trainable=model.trainable)
    if isinstance(model, Functional):
        graph = model._graph
        copies: dict[Operation, Any] = {}
        if input_tensors is not None:
            inputs = input_tensors
        else:
            made = {id(t): copy(t._history.operation) for t in graph.inputs}  # type: ignore[union-attr]
            inputs = tree.map_structure(lambda t: made[id(t)]._inbound_nodes[0].outputs[0], graph._inputs_struct)

        def operation_fn(operation: Operation) -> Callable[..., Any]:
            if operation not in copies:
                copies[operation] = copy(operation)
            new = copies[operation]
            return functools.partial(call_function, new) if call_function else new

        outputs = graph.run(inputs, operation_fn)
        return Functional(inputs, outputs, name=model.name, trainable=model.trainable)
    if clone_function is not None or input_tensors is not None:
        raise errors.InvalidArgument(
            "these arguments are for Sequential and functional models.", where="clone_model", got=type(model).__name__
        )
    return type(model).from_config(model.get_config())


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Model:
    """Return the model that `model.to_json()` described."""
    try:
        config = json.loads(json_string)
    except ValueError as error:
        raise errors.CorruptFile("this is no JSON.", where="model_from_json", got=error) from None
    with registry.ObjectSharing():
        return registry.deserialize_keras_object(config, custom_objects)
