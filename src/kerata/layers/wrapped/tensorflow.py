"""A SavedModel of TensorFlow as a layer."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from kerata import engine, errors, tree
from kerata.core import dtypes
from kerata.core.op import convert
from kerata.core.symbolic import KerasTensor
from kerata.core.variable import Variable
from kerata.layers.base import Layer

__all__ = ["TFSMLayer"]


def _tensorflow(where: str) -> Any:
    try:
        import tensorflow  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise errors.Unsupported(
            "a SavedModel is a program of TensorFlow, which cannot be imported here.", where=where, got=error,
            hint="pip install tensorflow; or save the model as a .keras file, which needs no TensorFlow",
        ) from None  # fmt: skip
    return tensorflow


class _Slot:
    """The place of a weight: TensorFlow's own variable."""

    trainable: bool | None = None

    def __init__(self, variable: Any) -> None:
        self._variable = variable

    def get(self) -> Any:
        return engine.arrays.as_array(self._variable.numpy())

    reach = get

    def set(self, array: Any) -> None:
        self._variable.assign(engine.arrays.to_numpy(array))

    def __deepcopy__(self, memo: dict[int, Any]) -> _Slot:
        return self  # as the program that reads it


class TFSMLayer(Layer):
    """A SavedModel, as `model.export` writes it, as a layer that infers.

    TensorFlow computes it on the host, and only there: in a model it is among the first layers, or it is called on
    arrays, outside compiled functions. Its variables are weights that can be read and set, but no gradient reaches
    them: what is to be trained here comes from a `.keras` file.

    Args:
        filepath: the folder of the SavedModel.
        call_endpoint: the name of the function to call: "serve" in what Keras exports, "serving_default" elsewhere.
        call_training_endpoint: the function to call instead where `training` is True.
        trainable: kept for the config.

    Raises:
        Unsupported: without TensorFlow; when it is called in a compiled function.
        UnknownName: for an endpoint that the SavedModel lacks.

    Example:
        >>> layer = kerata.layers.TFSMLayer("exported_model")      # doctest: +SKIP
        >>> model = kerata.Sequential([kerata.Input((3,)), layer]) # doctest: +SKIP
        >>> model.predict(numpy.ones((1, 3))).shape                # doctest: +SKIP
        (1, 2)
    """

    runs_on_host = True
    built = True

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        call_endpoint: str = "serve",
        call_training_endpoint: str | None = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(trainable=trainable, name=name, dtype=dtype)
        self.filepath = os.fspath(filepath)
        self.call_endpoint, self.call_training_endpoint = call_endpoint, call_training_endpoint
        self._reloaded = _tensorflow(self._where()).saved_model.load(self.filepath)
        self._endpoints = {name: self._endpoint(name) for name in (call_endpoint, call_training_endpoint) if name}
        found = {id(v): v for function in self._endpoints.values() for v in _variables(function)}
        for variable in sorted(found.values(), key=lambda v: not v.trainable):
            self._weights.append(self._weight(variable))

    def _endpoint(self, name: str) -> Any:
        signatures = self._reloaded.signatures
        found = getattr(self._reloaded, name, None) or signatures.get(name)
        if found is None:
            raise errors.UnknownName("endpoint", name, list(signatures), where=f"{self._where()}, {self.filepath}")
        return found

    def _weight(self, variable: Any) -> Variable:
        name = variable.name.partition(":")[0].replace("/", "_")
        weight = Variable(variable.numpy(), trainable=False, autocast=False, name=name)
        weight.path = f"{self.name}/{name}"
        weight.keep_in(_Slot(variable))
        return weight

    def __deepcopy__(self, memo: dict[int, Any]) -> TFSMLayer:
        copy = memo[id(self)] = type(self).from_config(self.get_config(), safe_mode=False)
        copy.set_weights(self.get_weights())
        return copy

    def call(self, inputs: Any, training: bool = False, **kwargs: Any) -> Any:
        if any(engine.arrays.is_traced(x) for x in tree.flatten(inputs)):
            raise errors.Unsupported(
                "a SavedModel runs on the host, and not in a compiled function.", where=self._where(),
                hint="make it the first layer of a model, or call it on the data before",
            )  # fmt: skip
        tf = _tensorflow(self._where())
        endpoint = self.call_training_endpoint if training and self.call_training_endpoint else self.call_endpoint
        given = tree.map_structure(lambda x: tf.convert_to_tensor(_host(x)), inputs)
        outputs = self._endpoints[endpoint](given, **kwargs)
        return tree.map_structure(lambda x: x.numpy() if x.dtype == tf.string else convert(x.numpy()), outputs)

    def compute_output_spec(self, inputs: Any, training: bool = False, **kwargs: Any) -> Any:
        """Return symbolic outputs, of the shapes that TensorFlow works out without values."""
        tf = _tensorflow(self._where())
        specs = tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), inputs)
        function = tf.function(lambda *given: self._endpoints[self.call_endpoint](*given, **kwargs))
        outputs = function.get_concrete_function(specs).structured_outputs
        return tree.map_structure(lambda x: KerasTensor(tuple(x.shape), dtypes.standardize(x.dtype.name)), outputs)

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None, safe_mode: bool | None = None
    ) -> Any:
        """Make a layer from its config.

        Args:
            config: what `get_config` returned.
            custom_objects: not used.
            safe_mode: False loads the SavedModel that the config names, and so runs a program of whoever wrote it.

        Raises:
            Unsupported: unless `safe_mode` is False.
        """
        if safe_mode is not False:
            raise errors.Unsupported(
                "the config names a SavedModel, and no file can make kerata run code.",
                where="TFSMLayer.from_config", got=config.get("filepath"),
                hint="if you trust whoever wrote it: TFSMLayer.from_config(config, safe_mode=False)",
            )  # fmt: skip
        return super().from_config(config)


def _variables(function: Any) -> list[Any]:
    """Return the variables that a restored function, or a signature, reads."""
    return [v for concrete in getattr(function, "concrete_functions", [function]) for v in concrete.variables]


def _host(x: Any) -> Any:
    return np.asarray(engine.arrays.to_numpy(x) if engine.arrays.is_array(x) else x)
