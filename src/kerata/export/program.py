"""A model as what is exported: a pure function of weights and inputs, with no state, no training and no Python left."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerata import errors, tree
from kerata.core import dtypes
from kerata.core.scopes import StateScope
from kerata.core.variable import Variable

if TYPE_CHECKING:
    from kerata.layers.base import Layer

__all__ = ["Given", "Program", "of_model", "signature_of"]


@dataclasses.dataclass(frozen=True)
class Given:
    """One input: None in the shape is a size that may differ from call to call; on the first axis, the batch's."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def sizes(self) -> tuple[int | str, ...]:
        """The shape, with a word for each size that may differ: the batch is one for all inputs, other sizes are
        each its own."""
        return tuple(
            ("batch" if axis == 0 else f"{self.name}_{axis}") if size is None else size
            for axis, size in enumerate(self.shape)
        )


class Program:
    """`function(*arguments)` as a pure function of the variables' values and of its inputs, in flat lists.

    Args:
        function: what computes, of kerata's ops and layers.
        arguments: a tuple of nests of `Given`, in the place of the arguments.
        variables: what the exported program keeps as weights; other Variables become constants.
        where: whose program it is, for messages.
    """

    def __init__(
        self, function: Callable[..., Any], arguments: tuple, variables: Iterable[Variable], where: str
    ) -> None:
        self._function, self.where = function, where
        self.variables = list(variables)
        self.arguments = arguments
        given, self._structure = tree.flatten_with_spec(arguments)
        names = _distinct([one.name for one in given])
        self.inputs: list[Given] = [dataclasses.replace(one, name=name) for one, name in zip(given, names)]
        self._results: Any = None  # the structure of what the function returns, once it has been run

    def __call__(self, weights: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        """Compute the outputs, with the engine in use; nothing that is assigned on the way stays."""
        with StateScope(zip(self.variables, weights)):
            outputs = self._function(*self._structure.unflatten(inputs))
        leaves, self._results = tree.flatten_with_spec(outputs)
        return leaves

    def specs(self) -> list[tuple[tuple[int | str, ...], str]]:
        """Return the sizes and the dtype of each input."""
        return [(given.sizes, given.dtype) for given in self.inputs]

    def values(self) -> list[np.ndarray]:
        """Return the weights, whichever engine has them."""
        return [variable.numpy() for variable in self.variables]

    def weight_names(self) -> list[str]:
        """Return a name for each weight, such as "dense.kernel"."""
        return _distinct([variable.path.replace("/", ".") for variable in self.variables])

    # After a run ------------------------------------------------------------------------------------------------

    def outputs(self, leaves: Iterable[Any]) -> Any:
        """Return flat outputs in the structure in which the function returns them."""
        return self._results.unflatten(leaves)

    def output_names(self) -> list[str]:
        """Return a name for each output: its key in a dictionary, else its number."""
        places = self.outputs(range(self._results.num_leaves))
        if isinstance(places, dict) and not any(tree.is_nested(place) for place in places.values()):
            by_place = {place: name for name, place in places.items()}
            names = [by_place[i] for i in range(len(by_place))]
        else:
            names = [f"output_{i}" for i in range(self._results.num_leaves)]
        return _distinct([*(given.name for given in self.inputs), *names])[len(self.inputs) :]

    @contextlib.contextmanager
    def explained(self, file_format: str, advice: str) -> Iterator[None]:
        """Say in kerata's words what keeps this program from being written in a format."""
        try:
            yield
        except errors.KerataError:
            raise
        except Exception as error:
            unknown = any(None in given.shape for given in self.inputs)
            told = " ".join(line.strip() for line in str(error).splitlines()[:2])
            raise errors.Unsupported(
                "this program cannot be written so.", where=f"{self.where}, format={file_format!r}",
                got=f"{type(error).__name__}: {told}"[:400],
                hint=_sizes_advice(self.inputs) + f"; or {advice}" if unknown else advice,
            ) from error  # fmt: skip


def of_model(model: Layer, input_signature: Any = None) -> Program:
    """Return what a built model or layer computes outside of training."""
    from kerata.training import host_prefix  # here: what loads a program needs nothing of models

    where = f"export of {model.name!r}"
    if not model.built:
        raise errors.NotBuilt(
            "there are no weights to export yet.", where=where, hint="build the model, train it or call it on data"
        )
    if host_prefix.of(model) is not None:
        on_host = [layer.name for layer in model._flatten_layers() if layer.runs_on_host]
        raise errors.Unsupported(
            "the model begins with layers that compute on the host, in Python, and are no part of any program.",
            where=where, got=f"the layers {on_host[:5]}",
            hint="export the rest: kerata.Model(layer.output, model.output) for the last of these layers; the program "
            "then takes what that layer gives",
        )  # fmt: skip
    graph = getattr(model, "_graph", None)
    if input_signature is None:
        arguments = _signature(model, where)
    else:
        arguments = signature_of(input_signature, where)
        if graph is not None:
            arguments = _as_inputs_of(graph, tree.flatten(arguments), where)

    def function(*args: Any) -> Any:
        return model(*args, training=False) if _takes_training(model) else model(*args)

    return Program(function, arguments, model.weights, where)


def signature_of(input_signature: Any, where: str) -> tuple:
    """Return arguments described by InputSpecs, symbolic tensors, arrays or TensorSpecs, as nests of `Given`.

    A list or tuple has an item for each argument, as in Keras; anything else is the only argument.
    """
    numbers = iter(range(1 << 30))
    if not isinstance(input_signature, (list, tuple)):
        input_signature = (input_signature,)
    return tuple(tree.map_structure(lambda x: _given(x, next(numbers), where), part) for part in input_signature)


def _given(x: Any, number: int, where: str) -> Given:
    shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
    if shape is None or dtype is None:
        raise errors.InvalidArgument(
            "an input's shape and dtype must both be known.", where=f"{where}: input_signature", got=repr(x)[:120],
            expected="kerata.InputSpec(shape=(None, 3), dtype='float32'), a symbolic tensor or an array",
        )  # fmt: skip
    shape = tuple(None if size is None else int(size) for size in shape)
    if isinstance(x, np.ndarray) or not hasattr(x, "name"):  # an example: its first axis is the batch
        shape = (None, *shape[1:])
    history = getattr(x, "_history", None)
    name = history.operation.name if history else getattr(x, "name", None)
    return Given(_word(name or f"input_{number}"), shape, dtypes.standardize(dtype))


def _as_inputs_of(graph: Any, given: list[Given], where: str) -> tuple:
    """Return what was given with the names and the structure of a graph's inputs, which are one argument."""
    own: list[Given] = tree.flatten(signature_of((graph._inputs_struct,), where))
    if len(own) != len(given):
        raise errors.InvalidArgument(
            "the signature does not fit the model's inputs.", where=f"{where}: input_signature",
            expected=[g.name for g in own], got=[g.shape for g in given],
        )  # fmt: skip
    named = [dataclasses.replace(g, name=o.name) for g, o in zip(given, own)]
    return (tree.pack_sequence_as(graph._inputs_struct, named),)


def _signature(model: Any, where: str) -> tuple:
    """Return the arguments of a model that knows its inputs."""
    graph = getattr(model, "_graph", None)
    if graph is not None:
        return signature_of((graph._inputs_struct,), where)
    shapes = getattr(model, "_build_shapes", None)
    if not shapes:
        raise errors.NotBuilt(
            "the shapes of its inputs are not known.", where=where,
            hint="input_signature=[kerata.InputSpec(shape=(None, 3), dtype='float32')], an item for each argument",
        )  # fmt: skip
    numbers = iter(range(1 << 30))

    def given(shape: Any) -> Given:
        return Given(f"input_{next(numbers)}", (None, *shape[1:]), model.input_dtype)

    shapes = shapes.get("shapes_dict", shapes)
    return tuple(tree.map_shape_structure(given, shape) for shape in shapes.values())


def _takes_training(model: Any) -> bool:
    from kerata.layers.base import _call_signature

    return _call_signature(type(model), type(model).call).takes_training


def _word(name: str) -> str:
    """Return `name` as a word that every format takes."""
    word = re.sub(r"\W", "_", name)
    return word if word[:1].isalpha() else f"input_{word}"


def _distinct(names: Sequence[str]) -> list[str]:
    """Return `names` with a number behind each that has been there."""
    taken: set[str] = set()
    found = []
    for name in names:
        word = next(w for w in (name, *(f"{name}_{i}" for i in range(1, len(names) + 1))) if w not in taken)
        taken.add(word)
        found.append(word)
    return found


def _sizes_advice(inputs: Sequence[Given]) -> str:
    """Return how to give sizes that are unknown: those beside the batch's, or else the batch's."""
    first = 1 if any(None in given.shape[1:] for given in inputs) else 0

    def spec(given: Given) -> str:
        shape = tuple(32 if size is None and axis >= first else size for axis, size in enumerate(given.shape))
        return f"kerata.InputSpec(shape={shape}, dtype={given.dtype!r})"

    told = ", ".join(map(spec, inputs))
    return f"give the sizes: input_signature=[{told if len(inputs) == 1 else f'[{told}]'}]"
