"""Optimizers that follow the gradient or its sign, with a momentum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from kerata import errors
from kerata.engine import xp
from kerata.optimizers.base import Optimizer, VarListOptimizer
from kerata.optimizers.joining import elementwise
from kerata.optimizers.options import Options, Rate

__all__ = ["SGD", "Lion"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum on request.

    Args:
        momentum: the share of the last step that goes on, 0 to 1.
        nesterov: take the gradient's step after the momentum's (Nesterov 1983, in the form of Sutskever et al. 2013).

    `v = momentum * v - lr * g; w = w + v`

    Example:
        >>> optimizer = kerata.optimizers.SGD(0.1, momentum=0.9)  # compile(optimizer, …)
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if not 0 <= momentum <= 1:
            raise errors.InvalidArgument("momentum is a share.", where="SGD: momentum", expected="0 to 1", got=momentum)
        self.momentum, self.nesterov = momentum, nesterov

    def slots(self) -> Sequence[Mapping[str, float]]:
        return [{"momentum": 0.0}] if self.momentum else []

    @elementwise
    def rule(self, w: Any, g: Any, lr: Any, t: Any, *slots: Any) -> tuple[Any, ...]:
        if not slots:
            return (w - g * lr,)
        v = slots[0] * self.momentum - g * lr
        return w + (v * self.momentum - g * lr if self.nesterov else v), v


class Lion(VarListOptimizer):
    """The sign of a mix of momentum and gradient; needs a smaller learning rate than Adam and half its memory.

    Args:
        beta_1: the momentum's share in the mix.
        beta_2: the share of the momentum that stays.

    Source: Chen et al., Symbolic discovery of optimization algorithms, https://arxiv.org/abs/2302.06675

    Example:
        >>> optimizer = kerata.optimizers.Lion(1e-4, weight_decay=0.1)  # compile(optimizer, …)
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if not 0 < beta_1 <= 1:
            raise errors.InvalidArgument(
                "without a share of momentum this is the sign of the gradient alone.", where="Lion: beta_1",
                expected="above 0, up to 1", got=beta_1,
            )  # fmt: skip
        self.beta_1, self.beta_2 = beta_1, beta_2

    def slots(self) -> Sequence[Mapping[str, float]]:
        return [{"momentum": 0.0}]

    @elementwise
    def rule(self, w: Any, g: Any, lr: Any, t: Any, m: Any) -> tuple[Any, ...]:
        beta_1, beta_2 = (xp.asarray(beta, t.dtype) for beta in (self.beta_1, self.beta_2))
        w = w - lr * xp.sign(m * beta_1 + g * (1 - beta_1))
        return w, m * beta_2 + g * (1 - beta_2)
