"""Loss scaling for float16: the largest scale at which gradients stay finite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kerata import errors, initializers, ops
from kerata.core.variable import Variable
from kerata.engine import xp
from kerata.optimizers.base import Optimizer, VarListOptimizer

__all__ = ["LossScaleOptimizer"]


class LossScaleOptimizer(VarListOptimizer):
    """Multiplies the loss, so that float16 gradients do not vanish, and divides the gradients by the same.

    A step whose gradients are not all finite is left out, and the scale halves; it doubles after
    `dynamic_growth_steps` good steps in a row.

    Args:
        inner_optimizer: the optimizer that makes the steps; clipping, decay and the like are set on it.
        initial_scale: the first scale.
        dynamic_growth_steps: after how many good steps the scale doubles.
        name: the first part of the paths of the scale's Variables.

    Source: Micikevicius et al., Mixed precision training, https://arxiv.org/abs/1710.03740

    Example:
        >>> optimizer = kerata.optimizers.LossScaleOptimizer(kerata.optimizers.Adam(1e-3))
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 32768.0,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        where = "LossScaleOptimizer"
        if not kwargs.pop("dynamic", True):
            raise errors.InvalidArgument(
                "the scale is always a dynamic one.", where=f"{where}: dynamic", got=False,
                hint="set loss_scale_factor on the inner optimizer for a fixed scale",
            )  # fmt: skip
        if set_here := {k: v for k, v in kwargs.items() if v not in (None, False) and (k, v) != ("ema_momentum", 0.99)}:
            raise errors.InvalidArgument(
                "these belong to the inner optimizer.", where=where, got=set_here,
                hint=f"{where}(Adam({', '.join(f'{k}=…' for k in set_here)}))",
            )  # fmt: skip
        super().__init__(0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale, self.dynamic_growth_steps = initial_scale, dynamic_growth_steps
        self.inner_optimizer.loss_scale_factor = None

    def build(self, var_list: Iterable[Variable]) -> None:
        """Make the scale's Variables and the inner optimizer's slots."""
        if self.built:
            return
        variables = list(var_list)
        self.step_counter = self.add_variable((), dtype="int32", name="step_counter")
        self.dynamic_scale = self.add_variable(
            (), initializers.Constant(self.initial_scale), "float32", name="dynamic_scale"
        )
        self.inner_optimizer.build(variables)
        super().build(variables)

    @errors.user_facing
    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[Variable] | None = None) -> None:
        """Change the Variables by one step, if every gradient is finite; see `Optimizer.apply`."""
        if len(grads) == 0:
            return
        pairs = self._pairs(grads, trainable_variables)
        variables = [v for _, v in pairs]
        good, scale = self.step_counter.raw_value(), self.dynamic_scale.raw_value()
        is_growing = good == self.dynamic_growth_steps - 1

        def step() -> None:
            self.inner_optimizer.apply([g if v.overwrite_with_gradient else g / scale for g, v in pairs], variables)
            self.step_counter.assign(xp.where(is_growing, 0, good + 1))
            self.dynamic_scale.assign(xp.where(is_growing, scale * 2.0, scale))

        def leave_out() -> None:
            self.step_counter.assign(0)
            self.dynamic_scale.assign(scale * 0.5)

        ops.cond(self.check_finite([g for g, _ in pairs]), step, leave_out)

    def check_finite(self, grads: Sequence[Any]) -> Any:
        """Return whether every element of every gradient is finite."""
        return xp.all(xp.stack([xp.all(xp.isfinite(g)) for g in grads if g is not None]))

    def scale_loss(self, loss: Any) -> Any:
        """Return the loss of which gradients are to be taken."""
        return loss * (self.dynamic_scale.raw_value() if self.built else self.initial_scale)

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    @property
    def learning_rate(self) -> Any:
        """The inner optimizer's learning rate."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def iterations(self) -> Any:
        """How many updates there were; steps left out do not count."""
        return self.inner_optimizer.iterations
