"""`Metric`: a running number over batches, kept in Variables, so that it also runs inside compiled steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from kerata import config, engine, errors
from kerata.core import dtype_policies, scopes
from kerata.core.configurable import Configurable
from kerata.core.op import convert
from kerata.core.scopes import StateScope
from kerata.core.symbolic import snake_case
from kerata.core.tracking import Stateful, unique
from kerata.core.variable import Variable
from kerata.losses.base import config_with

__all__ = ["Metric"]


class Metric(Configurable, Stateful):
    """The base of metrics: `update_state` takes a batch in, `result` tells the number so far.

    Args:
        dtype: a dtype or dtype policy; the default float dtype for None.
        name: the name in logs.

    Example:
        >>> class Largest(kerata.metrics.Metric):
        ...     def __init__(self, name="largest", **kwargs):
        ...         super().__init__(name=name, **kwargs)
        ...         self.value = self.add_weight(name="value")
        ...
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.value.assign(kerata.ops.maximum(self.value, kerata.ops.max(y_pred)))
        ...
        ...     def result(self):
        ...         return self.value
    """

    # "up" where more is better, "down" where less is; callbacks ask.
    _direction: str | None = None
    # Arguments that a config leaves out where they have their defaults, as Keras's configs do.
    _unlisted: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self._variables: list[Variable] = []
        self.name = name or scopes.auto_name(snake_case(type(self).__name__))
        self._dtype_policy = dtype_policies.get(dtype or config.floatx())

    @property
    def dtype(self) -> str:
        """The dtype in which the metric counts."""
        return self._dtype_policy.compute_dtype

    @property
    def variables(self) -> list[Variable]:
        """The state: what `add_variable` made, then the Variables and metrics held in attributes."""
        self._check_super_called()
        return unique([*self._variables, *super().variables])

    def add_variable(
        self, shape: Any, initializer: Any, dtype: Any = None, aggregation: str = "sum", name: str | None = None
    ) -> Variable:
        """Make a Variable of the state; zeros unless `initializer` says otherwise."""
        self._check_super_called()
        with scopes.name_scope(self.name.replace("/", ">")):
            variable = Variable(
                initializer or _zeros, shape=tuple(shape), dtype=dtype, trainable=False, autocast=False,
                aggregation=aggregation, synchronization="on_read", name=name,
            )  # fmt: skip
        self._variables.append(variable)
        return variable

    def add_weight(
        self, shape: Any = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Make a Variable of the state; as `add_variable`."""
        return self.add_variable(shape=shape, initializer=initializer, dtype=dtype, name=name)

    # The three verbs --------------------------------------------------------------------------------------------

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch in."""
        raise errors.Unsupported("the class has no `update_state`.", where=f"metric {type(self).__name__}")

    def result(self) -> Any:
        """Return the number so far: a scalar, or a dictionary of scalars."""
        raise errors.Unsupported("the class has no `result`.", where=f"metric {type(self).__name__}")

    def reset_state(self) -> None:
        """Begin anew."""
        for variable in self.variables:
            variable.assign_new(engine.arrays.filled(variable.shape, 0, variable.dtype))

    @errors.user_facing
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch in and return the number so far."""
        self._check_super_called()
        self.update_state(*args, **kwargs)
        return self.result()

    # The same, pure ---------------------------------------------------------------------------------------------

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Return the values of `variables` after a batch, given those before it; nothing is assigned."""
        with self._with_values(metric_variables):
            self.update_state(*args, **kwargs)
            return [v.raw_value() for v in self.variables]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """Return the result for the values of `variables` given."""
        with self._with_values(metric_variables):
            result = self.result()
            return convert(result) if isinstance(result, Variable) else result

    def stateless_reset_state(self) -> list[Any]:
        """Return the values of `variables` at the beginning."""
        with StateScope():
            self.reset_state()
            return [v.raw_value() for v in self.variables]

    def _with_values(self, values: Sequence[Any]) -> StateScope:
        own = self.variables
        if len(values) != len(own):
            raise errors.InvalidArgument(
                "one value is needed for each of the metric's Variables.", where=f"metric {self.name!r}",
                expected=f"{len(own)} values, as in `variables`", got=len(values),
            )  # fmt: skip
        return StateScope(zip(own, map(convert, values)))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this metric anew."""
        return config_with(self, ("name", "dtype"), self._unlisted)

    def _check_super_called(self) -> None:
        if "_variables" not in vars(self):
            raise errors.StateError(
                "the metric is not initialised.", where=type(self).__name__,
                hint="call `super().__init__(name=name)` first in its `__init__`",
            )  # fmt: skip

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def _zeros(shape: Any, dtype: Any = None) -> Any:
    return engine.arrays.filled(shape, 0, dtype)
