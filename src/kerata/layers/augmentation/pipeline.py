"""`Pipeline`: layers one after the other, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import tree
from kerata.core import registry, scopes
from kerata.layers.base import Layer, _call_signature

__all__ = ["Pipeline"]


class Pipeline(Layer):
    """Calls layers one after the other. It takes what the first one takes: images, or a dictionary with images.

    Args:
        layers: the layers; each is called as if in training, unless `training=False` is said.

    Example:
        >>> augment = kerata.layers.Pipeline([kerata.layers.RandomFlip(), kerata.layers.RandomRotation(0.1)])
        >>> augment(numpy.ones((2, 8, 8, 3), "uint8")).shape
        (2, 8, 8, 3)
    """

    built = True

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        self._pipeline_layers = list(layers)

    @property
    def layers(self) -> list[Layer]:
        """The layers, in the order in which they are called."""
        return self._pipeline_layers

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        for layer in self._pipeline_layers:
            given = {"training": training, "mask": mask}
            names = _call_signature(type(layer), type(layer).call).names
            inputs = layer(inputs, **{name: given[name] for name in given if name in names and given[name] is not None})
            mask = tree.map_structure(scopes.get_mask, inputs)
        return inputs

    def _convert_inputs(self, x: Any) -> Any:
        return x  # each layer converts what it takes

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "layers": registry.serialize_keras_object(self._pipeline_layers)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Pipeline:
        return cls(**{**config, "layers": [registry.deserialize_keras_object(one) for one in config["layers"]]})
