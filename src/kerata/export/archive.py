"""`ExportArchive`: a SavedModel with endpoints of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kerata import errors, tree
from kerata.core.variable import Variable
from kerata.export import saved_model
from kerata.export.program import Given, Program, of_model, signature_of
from kerata.layers.base import Layer

__all__ = ["ExportArchive"]


class ExportArchive:
    """A SavedModel of TensorFlow that is put together: several endpoints over one set of weights.

    `Model.export` does this for one model with one endpoint. Functions of kerata's layers and ops become programs, as
    does a model; nothing that they assign (seeds, running averages) changes what is exported.

    Args:
        format: "saved_model", Keras's only one.

    Raises:
        MissingPackage: without TensorFlow.

    Example:
        >>> model = kerata.Sequential([kerata.Input((3,)), kerata.layers.Dense(2)])
        >>> archive = kerata.export.ExportArchive()                                 # doctest: +SKIP
        >>> archive.track(model)                                                    # doctest: +SKIP
        >>> spec = kerata.InputSpec(shape=(None, 3), dtype="float32")
        >>> archive.add_endpoint("logits", model, [spec])                           # doctest: +SKIP
        >>> archive.add_endpoint("classes", lambda x: model(x).argmax(-1), [spec])  # doctest: +SKIP
        >>> archive.write_out("exported")                                           # doctest: +SKIP
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = [*args, *kwargs.values()]
        if len(given) > 1 or set(kwargs) - {"format"} or given not in ([], ["saved_model"], ["tf_saved_model"]):
            raise errors.InvalidArgument(
                "an archive is a SavedModel.", where="ExportArchive", expected="format='saved_model'", got=given,
                hint="model.export(path, format=…) writes the other formats",
            )  # fmt: skip
        self._tf: Any = saved_model.tensorflow("ExportArchive")
        self._module: Any = self._tf.Module()
        self._variables: dict[Variable, Any] = {}
        self._functions: dict[str, Any] = {}
        self._signatures: dict[str, Any] = {}
        self._tracked: list[Any] = []
        self._collections: dict[str, list[Any]] = {}

    def track(self, resource: Any) -> None:
        """Keep the weights of a layer or model as variables of the SavedModel; or an object of TensorFlow's as it is.

        What an endpoint reads and nothing tracks becomes a constant.
        """
        if isinstance(resource, Layer):
            if not resource.built:
                raise errors.NotBuilt("there are no weights to track yet.", where=f"track of {resource.name!r}")
            for variable in resource.weights:
                self._variable(variable)
        elif isinstance(resource, self._tf.__internal__.tracking.Trackable):
            self._tracked.append(resource)
        else:
            raise errors.InvalidType(
                "this cannot be tracked.", where="ExportArchive.track", got=type(resource).__name__,
                expected="a layer or model, or an object that TensorFlow tracks",
            )  # fmt: skip

    def add_endpoint(self, name: str, fn: Callable[..., Any], input_signature: Any = None, **kwargs: Any) -> Any:
        """Add what `fn` computes under a name, and return it as a function of TensorFlow.

        Args:
            name: a word; the loaded SavedModel has a method and a signature of this name.
            fn: a function of kerata's ops and layers, or a `tf.function`.
            input_signature: the arguments, each an `InputSpec`, a symbolic tensor, a TensorSpec, or a nest of these.
                A `tf.function` that has been called once, or has its own, needs none.
            kwargs: `is_static`, accepted as Keras does.
        """
        self._check(name, kwargs)
        if isinstance(fn, self._tf.types.experimental.PolymorphicFunction):
            signature = None if input_signature is None else self._specs(input_signature, name)
            self._functions[name] = fn
            self._signatures[name] = fn if signature is None else fn.get_concrete_function(*signature)
            return fn
        if input_signature is None:
            raise errors.InvalidArgument(
                "the shapes of the inputs are not known.", where=f"add_endpoint({name!r})", got="input_signature=None",
                hint="input_signature=[kerata.InputSpec(shape=(None, 3), dtype='float32')], an item for each argument",
            )  # fmt: skip
        where = f"endpoint {name!r}"
        return self.add_program(name, Program(fn, signature_of(input_signature, where), self._variables, where))

    def track_and_add_endpoint(self, name: str, resource: Any, input_signature: Any, **kwargs: Any) -> Any:
        """Track a layer or model, and add what it computes outside of training under a name."""
        self.track(resource)
        if not isinstance(resource, Layer):
            return self.add_endpoint(name, resource, input_signature, **kwargs)
        self._check(name, kwargs)
        return self.add_program(name, of_model(resource, input_signature))

    def add_program(self, name: str, program: Program) -> Any:
        """Add a program under a name."""
        self._functions[name] = saved_model.function_of(program, [self._variable(v) for v in program.variables])
        self._signatures[name] = saved_model.signature(program, self._functions[name])
        return self._functions[name]

    def add_variable_collection(self, name: str, variables: Iterable[Any]) -> None:
        """Keep a list of variables under a name, for who loads the SavedModel to retrain some of them."""
        variables = list(variables)
        if not all(isinstance(v, (Variable, self._tf.Variable)) for v in variables):
            raise errors.InvalidType(
                "a collection is a list of variables.", where=f"add_variable_collection({name!r})",
                got=[type(v).__name__ for v in variables][:5],
            )  # fmt: skip
        self._collections[name] = [self._variable(v) if isinstance(v, Variable) else v for v in variables]

    def write_out(self, filepath: str | os.PathLike[str], options: Any = None, verbose: bool = True) -> None:
        """Write the folder; the first endpoint is "serving_default" as well, unless one has that name.

        Args:
            options: a `tf.saved_model.SaveOptions`.
            verbose: whether to print where to, and the endpoints.
        """
        if not self._functions:
            raise errors.InvalidArgument("there is no endpoint.", where="write_out", hint="add_endpoint first")
        for name, value in {**self._functions, **self._collections}.items():
            setattr(self._module, name, value)
        self._module._kept = [*self._variables.values(), *self._tracked]
        signatures = dict(self._signatures)
        signatures.setdefault(saved_model.DEFAULT, next(iter(signatures.values())))
        path = Path(os.fspath(filepath)).expanduser()
        with saved_model.saved_folder(path) as folder:
            self._tf.saved_model.save(self._module, str(folder), signatures=signatures, options=options)
        if verbose:
            print(f"Saved at {str(path)!r}, with the endpoints {', '.join(map(repr, self._functions))}.")

    def _variable(self, variable: Variable) -> Any:
        if variable not in self._variables:
            name = variable.path.replace("/", "_")
            self._variables[variable] = self._tf.Variable(variable.numpy(), trainable=variable.trainable, name=name)
        return self._variables[variable]

    def _specs(self, input_signature: Any, name: str) -> list[Any]:
        def spec(given: Given) -> Any:
            return self._tf.TensorSpec(given.shape, given.dtype, name=given.name)

        return [tree.map_structure(spec, part) for part in signature_of(input_signature, f"endpoint {name!r}")]

    def _check(self, name: str, kwargs: dict[str, Any]) -> None:
        where = f"endpoint {name!r}"
        taken = name in self._functions or name in self._collections
        if taken or not str(name).isidentifier() or hasattr(self._module, name):
            raise errors.InvalidArgument(
                "the name is taken." if taken else "the name is no word that an object can have.", where=where,
                got=sorted({*self._functions, *self._collections}), hint="choose another word",
            )  # fmt: skip
        if set(kwargs) - {"is_static"}:
            raise errors.InvalidType(
                "unknown arguments.", where=where, got=sorted(kwargs), expected="is_static",
                hint="the program is JAX's own StableHLO; jax2tf has no part in it" if "jax2tf_kwargs" in kwargs
                else None,
            )  # fmt: skip
