"""What a layer holds: its weights, the layers inside it, their metrics; made, listed, frozen, read and set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kerata import errors
from kerata.core import dtypes, registry, scopes
from kerata.core.rng import SeedGenerator
from kerata.core.scopes import around
from kerata.core.tracking import Stateful, members, unique
from kerata.core.variable import Variable

if TYPE_CHECKING:
    from kerata.layers.base import Layer

__all__ = ["Weighted"]


class Weighted(Stateful):
    """The half of `Layer` that holds weights."""

    if TYPE_CHECKING:
        name: str
        built: bool
        variable_dtype: str
        _trainable: bool
        _weights: list[Variable]

        def _check_super_called(self) -> None: ...

        def _where(self) -> str: ...

    def add_weight(
        self,
        *args: Any,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a weight of this layer and return it.

        Args:
            args: `shape`, `initializer` and `dtype` can be given by position too.
            shape: a tuple of ints; a scalar where left out.
            initializer: by default glorot_uniform for floats, zeros for integers.
            trainable: whether gradients are taken by it.
            regularizer: adds a term to the loss.
            constraint: applied after each update.
        """
        self._check_super_called()
        if self.built and around.call_depth and around.names[-1:] == (self.name,):
            raise errors.StateError(
                "a weight is made in `call`, which would make another one at each call.", where=self._where(),
                expected="weights made in `build(self, input_shape)`, which runs once",
                got=f"add_weight(name={name!r})",
                hint="move add_weight to `build`, and keep its result: self.scale = self.add_weight(…)",
            )  # fmt: skip
        if args and isinstance(args[0], str):  # the order of old Keras: add_weight(name, shape, …)
            name, args = args[0], args[1:]
        if len(args) > 3:
            raise errors.InvalidType("at most three arguments come by position.", where="add_weight", got=len(args))
        shape, initializer, dtype = (*args, *(shape, initializer, dtype)[len(args) :])
        shape = (shape,) if isinstance(shape, int) else tuple(shape or ())
        dtype = dtypes.standardize(dtype or self.variable_dtype)
        if initializer is None:
            initializer = "glorot_uniform" if dtypes.is_float(dtype) else "zeros"
        with scopes.name_scope(self.name) if self.name not in around.names[-1:] else scopes.nothing():
            variable = Variable(
                registry.resolve("initializers", initializer), shape=shape, dtype=dtype, trainable=trainable,
                autocast=autocast, aggregation=aggregation, name=name,
            )  # fmt: skip
        variable.regularizer = registry.resolve("regularizers", regularizer) if regularizer is not None else None
        variable.constraint = registry.resolve("constraints", constraint) if constraint is not None else None
        variable.overwrite_with_gradient = overwrite_with_gradient
        if not self._trainable:
            variable.trainable = False
        self._weights.append(variable)
        return variable

    def add_variable(
        self,
        shape: Any,
        initializer: Any,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make a weight of this layer and return it; see `add_weight`."""
        return self.add_weight(
            shape, initializer, dtype, trainable=trainable, autocast=autocast, regularizer=regularizer,
            constraint=constraint, name=name,
        )  # fmt: skip

    def _named_weight(self, name: str, shape: Any, of: str | None = None, **kwargs: Any) -> Variable:
        """Make the weight `name` as the constructor's `{of}_initializer`, `_regularizer` and `_constraint` say."""
        words = ("initializer", "regularizer", "constraint")
        given = {word: getattr(self, f"{of or name}_{word}", None) for word in words}
        return self.add_weight(shape, name=name, **given, **kwargs)

    # Lists ------------------------------------------------------------------------------------------------------

    def _own_weights(self) -> list[Variable]:
        return _weights_among(members(self))

    def _sublayers(self, held: list[Any] | None = None) -> list[Layer]:
        held = members(self) if held is None else held  # to walk a model is slow: once is enough
        return unique(m for m in held if isinstance(m, Weighted))  # type: ignore[misc]

    def _flatten_layers(self, include_self: bool = True) -> list[Layer]:
        inner = [layer for child in self._sublayers() for layer in child._flatten_layers()]
        return unique([self, *inner] if include_self else inner)  # type: ignore[list-item]

    @property
    def weights(self) -> list[Variable]:
        """The weights, of the layers inside too; without seeds and metrics."""
        held = members(self)
        return unique([*_weights_among(held), *(w for layer in self._sublayers(held) for w in layer.weights)])

    @property
    def variables(self) -> list[Variable]:
        """The weights and the states of seed generators."""
        held = members(self)
        seeds = [m.state for m in held if isinstance(m, SeedGenerator)]
        inner = [v for layer in self._sublayers(held) for v in layer.variables]
        return unique([*_weights_among(held), *seeds, *inner])

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that gradients are taken by."""
        return [v for v in self.weights if v.trainable]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that gradients are not taken by."""
        return [v for v in self.weights if not v.trainable]

    @property
    def trainable_variables(self) -> list[Variable]:
        """The Variables that gradients are taken by."""
        return [v for v in self.variables if v.trainable]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The Variables that gradients are not taken by, seeds included."""
        return [v for v in self.variables if not v.trainable]

    @property
    def metrics(self) -> list[Any]:
        """The metrics held as attributes, of the layers inside too."""
        return self._held_metrics()

    def _held_metrics(self) -> list[Any]:  # not those that a model inside was compiled with
        held = members(self)
        own = [m for m in held if hasattr(m, "update_state") and hasattr(m, "result")]
        return unique([*own, *(m for layer in self._sublayers(held) for m in layer._held_metrics())])

    @property
    def metrics_variables(self) -> list[Variable]:
        """The Variables of the metrics."""
        return [v for m in self.metrics for v in m.variables]

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained; setting it reaches the layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in self._own_weights():
            variable.trainable = bool(value) and variable.made_trainable
        for layer in self._sublayers():
            layer.trainable = value

    def get_weights(self) -> list[np.ndarray]:
        """Return the weights as NumPy arrays."""
        return [w.numpy() for w in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        """Set the weights from arrays, in the order of `weights`."""
        own = self.weights
        if len(own) != len(weights):
            raise errors.InvalidArgument(
                "the number of arrays is wrong.", where=f"{self._where()}.set_weights", expected=f"{len(own)} arrays "
                f"of shapes {[w.shape for w in own]}", got=f"{len(weights)} arrays",
                hint="get_weights() shows them in their order" if own else
                "the layer has no weights yet: build it, or call it on data, first",
            )  # fmt: skip
        shapes = [tuple(np.shape(value)) for value in weights]
        if shapes != [tuple(w.shape) for w in own]:
            raise errors.ShapeMismatch(
                "the arrays have other shapes than the weights.", where=f"{self._where()}.set_weights",
                expected=[tuple(w.shape) for w in own], got=shapes,
                hint="they come in the order of `get_weights()`, from a layer or model of the same architecture",
            )  # fmt: skip
        for variable, value in zip(own, weights):
            variable.assign(value)

    def count_params(self) -> int:
        """Return the number of elements in all weights."""
        if not self.built:
            raise errors.NotBuilt(
                "the layer has no weights yet.", where=self._where(), hint="build it, or call it on data, first"
            )
        return sum(w.size for w in self.weights)

    def _file_weights(self) -> list[Variable]:
        """Return this layer's own weights that a file has, in the file's order."""
        return self._own_weights()

    def save_own_variables(self, store: Any) -> None:
        """Put this layer's own weights into `store`, a dictionary of arrays, by "0", "1" …"""
        for i, variable in enumerate(self._file_weights()):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Set this layer's own weights from what `save_own_variables` stored."""
        own = self._file_weights()
        if len(store.keys()) != len(own):
            hint = None if self.built else "the layer is not built: build it, or call the model on data, before loading"
            raise errors.InvalidArgument(
                "the file holds another number of weights.", where=self._where(), expected=f"{len(own)} arrays",
                got=f"{len(store.keys())} arrays", hint=hint,
            )  # fmt: skip
        for i, variable in enumerate(own):
            variable.assign(store[str(i)])


def _weights_among(held: list[Any]) -> list[Variable]:
    """Return the Variables, trainable ones first."""
    own = unique(m for m in held if isinstance(m, Variable))
    return sorted(own, key=lambda v: not v.made_trainable)  # stable
