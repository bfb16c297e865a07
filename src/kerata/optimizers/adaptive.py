"""Optimizers that divide each step by the root of a sum or mean of squared gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from kerata import errors
from kerata.core.variable import Variable
from kerata.engine import xp
from kerata.optimizers.base import VarListOptimizer
from kerata.optimizers.joining import elementwise
from kerata.optimizers.options import Options, Rate

__all__ = ["Adadelta", "Adafactor", "Adagrad", "Ftrl", "RMSprop"]


class RMSprop(VarListOptimizer):
    """Steps by the gradient over the root of the mean of its squares.

    Args:
        rho: how slowly the mean follows.
        momentum: the share of the last step that goes on.
        epsilon: added under the root, against division by zero.
        centered: divide by the root of the variance, and not of the mean square.

    Source: Tieleman and Hinton, Neural networks for machine learning, lecture 6.5 (2012)

    Example:
        >>> optimizer = kerata.optimizers.RMSprop(1e-3)  # compile(optimizer, …)
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

    @elementwise
    def rule(self, w: Any, g: Any, lr: Any, t: Any, v: Any, *slots: Any) -> tuple[Any, ...]:
        v = self.rho * v + (1 - self.rho) * xp.square(g)
        mean = [self.rho * a + (1 - self.rho) * g for a in slots[-1:] if self.centered]
        variance = v - xp.square(mean[0]) if mean else v
        step = lr * g / xp.sqrt(variance + self.epsilon)
        if self.momentum > 0:
            step = self.momentum * slots[0] + step
            return w - step, v, step, *mean
        return w - step, v, *mean


class Adagrad(VarListOptimizer):
    """Steps by the gradient over the root of the sum of all its squares: weights that seldom learn learn more.

    Args:
        initial_accumulator_value: where the sum starts.
        epsilon: added under the root, against division by zero.

    Source: Duchi et al., Adaptive subgradient methods, http://www.jmlr.org/papers/v12/duchi11a.html
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def slots(self) -> Sequence[Mapping[str, float]]:
        return [{"accumulator": self.initial_accumulator_value}]

    @elementwise
    def rule(self, w: Any, g: Any, lr: Any, t: Any, a: Any) -> tuple[Any, ...]:
        a = a + xp.square(g)
        return w - lr * g / xp.sqrt(a + self.epsilon), a


class Adadelta(VarListOptimizer):
    """Steps by the gradient times the root mean square of past steps over that of past gradients.

    Args:
        rho: how slowly both means follow.
        epsilon: added under both roots.

    Source: Zeiler, Adadelta, https://arxiv.org/abs/1212.5701 (where learning_rate is 1)
    """

    def __init__(
        self, learning_rate: Rate = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **options: Unpack[Options]
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho, self.epsilon = rho, epsilon

    def slots(self) -> Sequence[Mapping[str, float]]:
        return [{"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}]

    @elementwise
    def update_step(self, grad: Any, variable: Variable, learning_rate: Any) -> None:  # so Keras calls it, here alone
        super().update_step(grad, variable, learning_rate)

    @elementwise
    def rule(self, w: Any, g: Any, lr: Any, t: Any, gradients: Any, steps: Any) -> tuple[Any, ...]:
        gradients = self.rho * gradients + (1 - self.rho) * xp.square(g)
        step = -(xp.sqrt(steps + self.epsilon) * g / xp.sqrt(gradients + self.epsilon))
        steps = self.rho * steps + (1 - self.rho) * xp.square(step)
        return w + lr * step, gradients, steps


class Ftrl(VarListOptimizer):
    """Follow the regularized leader: the weights that solve all past linearized losses, most of them zero under L1.

    Args:
        learning_rate_power: the exponent of the sum of squares, zero or negative; -0.5 for the root.
        initial_accumulator_value: where the sum of squares starts.
        l1_regularization_strength, l2_regularization_strength: the penalties on all past weights.
        l2_shrinkage_regularization_strength: a penalty on the present magnitude, added to the gradient.
        beta: the beta of the paper, an L2 penalty that grows as the learning rate falls.

    Source: McMahan et al., Ad click prediction, https://research.google.com/pubs/archive/41159.pdf
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        strengths = ("l1_regularization_strength", "l2_regularization_strength", "l2_shrinkage_regularization_strength")
        for name in ("initial_accumulator_value", *strengths):
            if getattr(self, name) < 0:
                raise errors.InvalidArgument(
                    "it cannot be negative.", where=f"Ftrl: {name}", expected=">= 0", got=getattr(self, name)
                )
        if learning_rate_power > 0:
            raise errors.InvalidArgument(
                "steps would grow without end.", where="Ftrl: learning_rate_power", expected="<= 0",
                got=learning_rate_power,
            )  # fmt: skip

    def slots(self) -> Sequence[Mapping[str, float]]:
        return [{"accumulator": self.initial_accumulator_value, "linear": 0.0}]

    @elementwise
    def rule(self, w: Any, g: Any, lr: Any, t: Any, n: Any, z: Any) -> tuple[Any, ...]:
        power, l1 = -self.learning_rate_power, self.l1_regularization_strength
        l2 = self.l2_regularization_strength + self.beta / (2.0 * lr)
        new_n = n + xp.square(g)
        g = g + 2 * self.l2_shrinkage_regularization_strength * w
        z = z + (g - (new_n**power - n**power) / lr * w)
        return (xp.clip(z, -l1, l1) - z) / (new_n**power / lr + 2 * l2), new_n, z


class Adafactor(VarListOptimizer):
    """RMSprop that keeps the mean squares of a matrix as its row means and column means: little memory.

    Args:
        learning_rate: the largest relative step; it also never exceeds 1 / sqrt(t).
        beta_2_decay: the exponent of the means' memory, `beta_2 = 1 - t ** beta_2_decay`.
        epsilon_1: added to the squared gradient.
        epsilon_2: the smallest root mean square that a Variable counts with.
        clip_threshold: the largest root mean square of an update.
        relative_step: kept for Keras; the bound 1 / sqrt(t) holds either way, there as here.

    Source: Shazeer and Stern, Adafactor, https://arxiv.org/abs/1804.04235
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 0.001,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_2_decay, self.epsilon_1, self.epsilon_2 = beta_2_decay, epsilon_1, epsilon_2
        self.clip_threshold, self.relative_step = clip_threshold, relative_step

    def add_slots(self, variables: list[Variable]) -> None:
        for w in variables:
            if w.ndim < 2:  # files hold two unused scalars here
                means = [self.add_variable((), dtype="int32", name=w.name) for _ in range(2)]
            else:
                shapes = (w.shape[:-1], (*w.shape[:-2], w.shape[-1]))
                means = [self.add_variable(shape, dtype=w.dtype, name=w.name) for shape in shapes]
            self._slots[w] = [*means, self.add_variable_from_reference(w, "velocity")]

    def rule(self, w: Any, g: Any, lr: Any, t: Any, r: Any, c: Any, v: Any) -> tuple[Any, ...]:
        alpha = xp.maximum(self.epsilon_2, _rms(w)) * xp.minimum(lr, 1 / xp.sqrt(t))
        squares = xp.square(g) + self.epsilon_1
        beta_2 = 1 - t**self.beta_2_decay
        if w.ndim >= 2:
            r = beta_2 * r + (1 - beta_2) * xp.mean(squares, axis=-1)
            c = beta_2 * c + (1 - beta_2) * xp.mean(squares, axis=-2)
            v = (r / xp.mean(r, axis=-1, keepdims=True))[..., None] * c[..., None, :]
        else:
            v = beta_2 * v + (1 - beta_2) * squares
        u = g / xp.sqrt(v)
        return w - alpha * (u / xp.maximum(1.0, _rms(u) / self.clip_threshold)), r, c, v


def _rms(x: Any) -> Any:
    return xp.sqrt(xp.mean(xp.square(x)))
