"""`Loss`: what every loss does around its formula, and the classes whose formula is a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from kerata import config, errors, ops, tree
from kerata.core import dtype_policies, dtypes, scopes
from kerata.core.configurable import Configurable
from kerata.core.symbolic import snake_case
from kerata.losses.reduction import check_reduction, reduce_weighted_values, squeeze_or_expand_to_same_rank

__all__ = ["FunctionLoss", "Loss", "LossFunctionWrapper", "config_with"]


class Loss(Configurable):
    """The base of losses: `call` gives a value for each sample, and this class weighs, masks and reduces them.

    Args:
        name: the name in logs.
        reduction: "sum_over_batch_size" (the same as "mean"), "sum", "mean_with_sample_weight" (the weighted sum over
            the sum of the weights), or "none".
        dtype: a dtype or dtype policy in whose compute dtype the loss is computed; the default float dtype for None.

    Example:
        >>> class Squares(kerata.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         return kerata.ops.mean(kerata.ops.square(y_pred - y_true), axis=-1)
        >>> float(Squares()(numpy.zeros((2, 1)), numpy.ones((2, 1)), sample_weight=[1.0, 0.0]))
        0.5
    """

    # Arguments that a config leaves out where they were not given, as Keras's configs do.
    _unlisted: ClassVar[frozenset[str]] = frozenset({"dtype"})

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        self.name = name or scopes.auto_name(snake_case(type(self).__name__))
        self.reduction = check_reduction(reduction, f"loss {self.name!r}")
        self._dtype_policy = dtype_policies.get(dtype or config.floatx())

    @property
    def dtype(self) -> str:
        """The dtype in which the loss is computed."""
        return self._dtype_policy.compute_dtype

    @errors.user_facing
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of a batch: a scalar, or a value for each sample with reduction "none".

        Args:
            y_true: the targets.
            y_pred: the predictions; where they carry a mask, masked values count for nothing.
            sample_weight: weights, one a sample, (B,) or (B, 1), or one a value.
        """
        in_mask = scopes.get_mask(y_pred)
        # Targets hold class numbers, for which 16 bits are too few: bfloat16 takes 257 for 256.
        y_true = _as_tensors(y_true, dtypes.result_type(self.dtype, "float32"))
        y_pred = _as_tensors(y_pred, self.dtype)
        values = self.call(y_true, y_pred)
        masks = [mask for mask in (in_mask, scopes.get_mask(values)) if mask is not None]
        mask = functools.reduce(ops.logical_and, masks) if masks else None
        return reduce_weighted_values(values, sample_weight, mask, self.reduction, self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss values, (B,) or (B, …)."""
        raise errors.Unsupported("the class has no `call`.", where=f"loss {type(self).__name__}")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this loss anew."""
        return config_with(self, ("name", "reduction"), self._unlisted)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class LossFunctionWrapper(Loss):
    """A loss whose values are `fn(y_true, y_pred, **kwargs)`.

    Args:
        fn: a function that returns a value for each sample.
        reduction, name, dtype: as in `Loss`.
        **kwargs: further arguments of `fn`.

    Example:
        >>> from kerata.losses.base import LossFunctionWrapper
        >>> loss = LossFunctionWrapper(kerata.losses.huber, delta=2.0)
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the function's values, for targets brought to the rank of the predictions."""
        if not tree.is_nested(y_pred):
            y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)


class FunctionLoss(LossFunctionWrapper):
    """The base of the classes that stand for one function: its arguments are attributes too."""

    def __init__(
        self, fn: Callable[..., Any], reduction: str | None, name: str | None, dtype: Any, **arguments: Any
    ) -> None:
        super().__init__(fn, reduction, name, dtype, **arguments)
        vars(self).update(arguments)


def _as_tensors(x: Any, dtype: str) -> Any:
    """Return the tensors of a nest in `dtype`; a list of numbers is one tensor."""
    if hasattr(x, "shape"):
        return ops.convert_to_tensor(x, dtype=dtype)
    if all(isinstance(leaf, (bool, int, float)) for leaf in tree.flatten(x)):
        return ops.convert_to_tensor(x, dtype=dtype)
    return tree.map_structure(lambda leaf: ops.convert_to_tensor(leaf, dtype=dtype), x)


def config_with(item: Configurable, always: tuple[str, ...], unlisted: frozenset[str]) -> dict[str, Any]:
    """Return the captured arguments, and what stands in every config of the kind.

    Args:
        item: the object.
        always: attributes that belong to every config whose class takes them, given or not.
        unlisted: arguments that are left out where they have their defaults.
    """
    parameters = inspect.signature(type(item)).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    found = Configurable.get_config(item)
    for name in unlisted & parameters.keys():
        if getattr(item._captured, name, None) == parameters[name].default:
            found.pop(name, None)
    return {**found, **{name: getattr(item, name) for name in always if open_ended or name in parameters}}
