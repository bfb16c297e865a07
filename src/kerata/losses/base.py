"""`Loss`: what every loss does around its formula, and the class whose formula is a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from kerata import config, errors, ops, tree
from kerata.core import dtype_policies, registry, scopes
from kerata.core.symbolic import snake_case
from kerata.losses.reduction import check_reduction, reduce_weighted_values, squeeze_or_expand_to_same_rank

__all__ = ["FunctionLoss", "Loss", "LossFunctionWrapper", "bind", "constructor", "give_constructor", "listed"]


class Loss:
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
        >>> Squares()(y_true, y_pred, sample_weight=weights)
    """

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
        y_true, y_pred = (
            tree.map_structure(lambda x: ops.convert_to_tensor(x, dtype=self.dtype), x) for x in (y_true, y_pred)
        )
        values = self.call(y_true, y_pred)
        masks = [mask for mask in (in_mask, scopes.get_mask(values)) if mask is not None]
        mask = functools.reduce(ops.logical_and, masks) if masks else None
        return reduce_weighted_values(values, sample_weight, mask, self.reduction, self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss values, (B,) or (B, …)."""
        raise errors.Unsupported("the class has no `call`.", where=f"loss {type(self).__name__}")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this loss anew."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """Make a loss from its config."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class LossFunctionWrapper(Loss):
    """A loss whose values are `fn(y_true, y_pred, **kwargs)`.

    Args:
        fn: a function that returns a value for each sample.
        reduction, name, dtype: as in `Loss`.
        **kwargs: further arguments of `fn`.

    Example:
        >>> LossFunctionWrapper(kerata.losses.huber, delta=2.0)
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

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this loss anew."""
        own = registry.serialize_keras_object(self._fn_kwargs)
        return {**super().get_config(), "fn": registry.serialize_keras_object(self.fn), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """Make a loss from its config."""
        return cls(**(registry.deserialize_keras_object(config) if "fn" in config else config))


class FunctionLoss(LossFunctionWrapper):
    """The base of the classes that stand for one function: a subclass names it in its first line.

    >>> class Huber(FunctionLoss, fn=huber, name="huber_loss"): ...

    makes the constructor `Huber(delta=1.0, reduction="sum_over_batch_size", name="huber_loss", dtype=None)`: the
    function's own parameters, then those of every loss.
    """

    _signature: ClassVar[inspect.Signature]
    _function: ClassVar[Callable[..., Any]]
    _unlisted: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(
        cls,
        fn: Callable[..., Any] | None = None,
        name: str | None = None,
        order: str = "",
        unlisted: tuple[str, ...] = (),
        **defaults: Any,
    ) -> None:
        """Make the constructor.

        Args:
            fn: the function; None in a subclass of a subclass.
            name: the default name; the function's for None.
            order: the parameters' names, where their order differs from the usual.
            unlisted: parameters that Keras leaves out of configs; here they are in where they differ from the default.
            **defaults: defaults that differ from the function's.
        """
        if fn is not None:
            shared = {"reduction": "sum_over_batch_size", "name": name or fn.__name__, "dtype": None}
            cls._function, cls._unlisted = staticmethod(fn), unlisted  # type: ignore[assignment]
            cls._signature = constructor(fn, order, after=shared, **defaults)
            give_constructor(cls)
        super().__init_subclass__()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = bind(type(self)._signature, type(self).__name__, self, *args, **kwargs)
        shared = {key: given.pop(key) for key in ("reduction", "name", "dtype")}
        super().__init__(type(self)._function, **shared, **given)
        vars(self).update(given)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this loss anew."""
        return {**Loss.get_config(self), **listed(self._fn_kwargs, self._signature, self._unlisted)}


# Constructors from functions ------------------------------------------------------------------------------------


def constructor(
    fn: Callable[..., Any],
    order: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    **defaults: Any,
) -> inspect.Signature:
    """Return the signature of a constructor: `fn`'s parameters but the first two, between `before` and `after`.

    Args:
        fn: a function of (y_true, y_pred, …).
        order: the parameters' names with spaces between, for an order of its own; what it leaves out is dropped.
        before, after: parameters of every such constructor, with their defaults.
        **defaults: defaults that differ from `fn`'s.
    """
    own = {name: p.default for name, p in list(inspect.signature(fn).parameters.items())[2:]}
    found = {**(before or {}), **own, **(after or {}), **defaults}
    names = order.split() or list(found)
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, keyword, default=found[name]) for name in names]
    return inspect.Signature([inspect.Parameter("self", keyword), *parameters])


def give_constructor(cls: Any) -> None:
    """Give `cls` a constructor of its own, which shows its signature to `help` and to editors."""
    inherited = cls.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        inherited(self, *args, **kwargs)

    __init__.__signature__ = cls._signature  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = __init__


def bind(signature: inspect.Signature, where: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments by name, with defaults and without `self`."""
    unknown = [key for key in kwargs if key not in signature.parameters]
    if unknown:
        raise errors.InvalidType(
            "unknown arguments.", where=f"{where}(…)", got=unknown,
            hint=errors.did_you_mean(unknown[0], [n for n in signature.parameters if n != "self"]),
        )  # fmt: skip
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    bound.arguments.pop("self")
    return dict(bound.arguments)


def listed(given: dict[str, Any], signature: inspect.Signature, unlisted: tuple[str, ...]) -> dict[str, Any]:
    """Return `given` for a config: without `unlisted` parameters that have their defaults."""
    return {k: v for k, v in given.items() if k not in unlisted or v != signature.parameters[k].default}
