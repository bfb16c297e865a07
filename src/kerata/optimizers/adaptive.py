"""Optimizers that divide each step by the root of a sum or mean of squared gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from kerata import errors
from kerata.core.variable import Variable
from kerata.engine import xp
from kerata.optimizers.base import Optimizer, Options, Rate

__all__ = ["Adadelta", "Adafactor", "Adagrad", "Ftrl", "RMSprop"]


class RMSprop(Optimizer):
    """Steps by the gradient over the root of the mean of its squares.

    Args:
        rho: how slowly the mean follows.
        momentum: the share of the last step that goes on.
        epsilon: added under the root, against division by zero.
        centered: divide by the root of the variance, and not of the mean square.

    Source: Tieleman and Hinton, Neural networks for machine learning, lecture 6.5 (2012)

    Example:
        >>> model.compile(kerata.optimizers.RMSprop(1e-3), "mse")
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def slots(self) -> Sequence[Mapping[str, float]]:
        names = ["velocity", *["momentum"] * (self.momentum > 0), *["average_gradient"] * self.centered]
        return [{name: 0.0} for name in names]

    def rule(self, w: Any, g: Any, lr: Any, t: Any, v: Any, *slots: Any) -> tuple[Any, ...]:
        rho, slots = self.rho, iter(slots)  # type: ignore[assignment]
        ...
