"""Several optimizers at once: each Variable has its own, chosen by its path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import Any

from kerata import errors
from kerata.core.configurable import Configurable, WithCustomObjects
from kerata.core.variable import Variable
from kerata.optimizers.base import Optimizer, VarListOptimizer
from kerata.optimizers.loss_scale import LossScaleOptimizer

__all__ = ["MultiOptimizer", "OptimizerMap"]


class OptimizerMap(WithCustomObjects, Configurable, MutableMapping[str, Optimizer]):
    """Which optimizer learns which Variable: patterns that match the whole of a path.

    Args:
        default_optimizer: learns what no pattern matches.
        optimizer_map: patterns with their optimizers.

    Example:
        >>> from kerata.optimizers import SGD, Adam, OptimizerMap
        >>> table = OptimizerMap(Adam(1e-3), {".*embedding.*": SGD(0.1, name="fast")})
        >>> table["embedding/embeddings"]
        <SGD 'fast'>
    """

    def __init__(self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None) -> None:
        if not isinstance(default_optimizer, Optimizer):
            raise errors.InvalidType(
                "this is no optimizer.", where="OptimizerMap: default_optimizer", got=repr(default_optimizer)
            )
        self.default_optimizer = default_optimizer
        self.optimizer_map: dict[str, Optimizer] = {}
        self.update(optimizer_map or {})

    def __getitem__(self, key: str) -> Optimizer:
        if key in self.optimizer_map:
            return self.optimizer_map[key]
        matching = [pattern for pattern in self.optimizer_map if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise errors.InvalidArgument("several patterns match a path.", where=f"Variable {key!r}", got=matching)
        return self.optimizer_map[matching[0]] if matching else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        where = f"OptimizerMap: {key!r}"
        if key in self.optimizer_map:
            raise errors.InvalidArgument("the pattern has its optimizer already.", where=where, got=repr(optimizer))
        if not isinstance(key, str):
            raise errors.InvalidArgument("a pattern is a string.", where=where, got=type(key).__name__)
        _check_single(optimizer, where)
        self.optimizer_map[key] = optimizer

    def __delitem__(self, key: str) -> None:
        del self.optimizer_map[key]

    def __len__(self) -> int:
        return len(self.optimizer_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self.optimizer_map)

    def __call__(self, variable: Variable) -> Optimizer:
        """Return the optimizer that learns `variable`."""
        return self[variable.path]


class MultiOptimizer(VarListOptimizer):
    """Hands each Variable's gradient to the optimizer that a map, or any function of the Variable, names for it.

    Args:
        optimizer_map: an `OptimizerMap`, or a function `(variable) -> optimizer`.
        loss_scale_factor: set on all of them, for there is one loss.
        name: the first part of the path of the step counter.

    Example:
        >>> from kerata.optimizers import SGD, Adam, MultiOptimizer, OptimizerMap
        >>> optimizer = MultiOptimizer(OptimizerMap(Adam(1e-3), {".*embedding.*": SGD(0.1)}))  # compile(optimizer, …)
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self.optimizer_map = optimizer_map
        self._inner: list[Optimizer] = []
        self._chosen: dict[Variable, Optimizer] = {}
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in (*optimizer_map.values(), optimizer_map.default_optimizer):
                self._include(optimizer)

    def _include(self, optimizer: Optimizer) -> None:
        if not any(optimizer is known for known in self._inner):
            optimizer.loss_scale_factor = self.loss_scale_factor
            self._inner.append(optimizer)

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers, each once."""
        return self._inner

    def build(self, var_list: Iterable[Variable]) -> None:
        """Choose the optimizer of each Variable, and build all."""
        if self.built:
            return
        variables = list(var_list)
        for variable in variables:
            optimizer = self.optimizer_map(variable)
            _check_single(optimizer, f"MultiOptimizer: Variable {variable.path!r}")
            self._include(optimizer)
            self._chosen[variable] = optimizer
        for optimizer in self._inner:
            if own := [v for v in variables if self._chosen[v] is optimizer]:
                optimizer.build(own)
        super().build(variables)

    def packs(self) -> list[list[Variable]]:
        """Return those of each optimizer."""
        return [group for optimizer in self._inner for group in optimizer.packs()]

    @errors.user_facing
    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[Variable] | None = None) -> None:
        """Change the Variables by one step; see `Optimizer.apply`."""
        if len(grads) == 0:
            return
        pairs = self._pairs(grads, trainable_variables)
        for optimizer in self._inner:
            if own := [(g, v) for g, v in pairs if self._chosen[v] is optimizer]:
                optimizer.apply_gradients(own)
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Let each optimizer set the weights that it learned to what they shall be after training."""
        for variable in var_list:
            self._chosen[variable].finalize_variable_values([variable])

    @property
    def loss_scale_factor(self) -> float | None:
        """The factor of the loss, the same for every optimizer."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._loss_scale_factor = value
        for optimizer in vars(self).get("_inner", ()):  # there are none yet while the base is being made
            optimizer.loss_scale_factor = value

    @property
    def learning_rate(self) -> Any:
        """None of its own: each of `optimizers` has one."""
        raise AttributeError("MultiOptimizer has several learning rates: see those of `optimizers`.")

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        raise AttributeError("MultiOptimizer has several learning rates: set those of `optimizers`.")


def _check_single(optimizer: Any, where: str) -> None:
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, (LossScaleOptimizer, MultiOptimizer)):
        raise errors.InvalidArgument(
            "this cannot be one of several optimizers.", where=where, expected="a plain optimizer", got=repr(optimizer)
        )
