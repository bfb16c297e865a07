"""Adam and its relatives: steps by a mean of the gradients over a mean of their squares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack

from kerata import errors
from kerata.core.variable import Variable
from kerata.engine import xp
from kerata.optimizers.base import VarListOptimizer
from kerata.optimizers.joining import elementwise
from kerata.optimizers.options import Options, OptionsButDecay, Rate

__all__ = ["Adam", "AdamW", "Adamax", "Lamb", "Nadam", "ScheduleFreeAdamW"]


class Adam(VarListOptimizer):
    """Steps by the mean gradient over the root of the mean square, both corrected for their start at zero.

    Args:
        beta_1: how slowly the mean `m` of the gradients follows.
        beta_2: how slowly the mean `v` of their squares follows.
        epsilon: added to the root, against division by zero.
        amsgrad: divide by the largest `v` so far (Reddi et al. 2018).

    Source: Kingma and Ba, Adam, https://arxiv.org/abs/1412.6980, with section 2's reordering of the corrections

    Example:
        >>> optimizer = kerata.optimizers.Adam(1e-3)  # compile(optimizer, …)
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def slots(self) -> Sequence[Mapping[str, float]]:
        return [{"momentum": 0.0, "velocity": 0.0}, *([{"velocity_hat": 0.0}] if self.amsgrad else [])]

    @elementwise
    def rule(self, w: Any, g: Any, lr: Any, t: Any, m: Any, v: Any, *largest: Any) -> tuple[Any, ...]:
        m = m + (g - m) * (1 - self.beta_1)
        v = v + (xp.square(g) - v) * (1 - self.beta_2)
        largest = tuple(xp.maximum(v_hat, v) for v_hat in largest)
        alpha = lr * xp.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        return w - m * alpha / (xp.sqrt(largest[0] if largest else v) + self.epsilon), m, v, *largest


class AdamW(Adam):
    """`Adam` with weight decay beside the gradient's step, and not within the gradient.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, https://arxiv.org/abs/1711.05101

    Example:
        >>> optimizer = kerata.optimizers.AdamW(1e-3, weight_decay=0.01)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: float | None = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[OptionsButDecay],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options)
        if weight_decay is None:
            raise errors.InvalidArgument(
                "AdamW decays weights.", where="AdamW: weight_decay", expected="a number", got=None, hint="use Adam"
            )


class Adamax(VarListOptimizer):
    """Adam with the largest recent gradient in place of the mean square.

    Args:
        beta_1: how slowly the mean `m` of the gradients follows.
        beta_2: how slowly the largest magnitude `u` is forgotten.
        epsilon: added to `u`, against division by zero.

    Source: Kingma and Ba, Adam, section 7.1, https://arxiv.org/abs/1412.6980
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def slots(self) -> Sequence[Mapping[str, float]]:
        return [{"momentum": 0.0, "norm": 0.0}]

    @elementwise
    def rule(self, w: Any, g: Any, lr: Any, t: Any, m: Any, u: Any) -> tuple[Any, ...]:
        m = m + (g - m) * (1 - self.beta_1)
        u = xp.maximum(self.beta_2 * u, xp.abs(g))
        return w - lr * m / ((1 - self.beta_1**t) * (u + self.epsilon)), m, u


class Nadam(VarListOptimizer):
    """Adam with Nesterov's momentum, whose share `beta_1 * (1 - 0.5 * 0.96 ** t)` grows with the step.

    Args:
        beta_1: how slowly the mean `m` of the gradients follows, and the limit of the momentum's share.
        beta_2: how slowly the mean `v` of their squares follows.
        epsilon: added to the root, against division by zero.

    Source: Dozat, Incorporating Nesterov momentum into Adam, http://cs229.stanford.edu/proj2015/054_report.pdf
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def slots(self) -> Sequence[Mapping[str, float]]:
        return [{"momentum": 0.0, "velocity": 0.0}]

    def build(self, var_list: Iterable[Variable]) -> None:
        if not self.built:
            super().build(var_list)
            self._product = self.add_variable((), "ones", name="u_product")

    def begin_update(self) -> None:
        t = xp.asarray(self.iterations + 1, "float32")
        self._product.assign(self._product.raw_value() * self.beta_1 * (1.0 - 0.5 * 0.96**t))

    def _share(self, t: Any) -> Any:
        return self.beta_1 * (1.0 - 0.5 * 0.96**t)

    @elementwise
    def rule(self, w: Any, g: Any, lr: Any, t: Any, m: Any, v: Any) -> tuple[Any, ...]:
        beta_1, beta_2 = (xp.asarray(beta, t.dtype) for beta in (self.beta_1, self.beta_2))
        now, ahead = self._share(t), self._share(t + 1)
        product = self._product.raw_value()
        m = m + (g - m) * (1 - beta_1)
        v = v + (xp.square(g) - v) * (1 - beta_2)
        m_hat = ahead * m / (1 - product * ahead) + (1 - now) * g / (1 - product)
        v_hat = v / (1 - beta_2**t)
        return w - m_hat * lr / (xp.sqrt(v_hat) + self.epsilon), m, v


class Lamb(VarListOptimizer):
    """Adam whose step is as long, for each Variable, as the Variable's own norm: for very large batches.

    Args:
        beta_1: how slowly the mean `m` of the gradients follows.
        beta_2: how slowly the mean `v` of their squares follows.
        epsilon: added to the root, against division by zero.

    Source: You et al., Large batch optimization for deep learning, https://arxiv.org/abs/1904.00962
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def slots(self) -> Sequence[Mapping[str, float]]:
        return [{"momentum": 0.0, "velocity": 0.0}]

    def rule(self, w: Any, g: Any, lr: Any, t: Any, m: Any, v: Any) -> tuple[Any, ...]:
        m = m + (g - m) * (1 - self.beta_1)
        v = v + (xp.square(g) - v) * (1 - self.beta_2)
        r = m / (1 - self.beta_1**t) / (xp.sqrt(v / (1 - self.beta_2**t)) + self.epsilon)
        w_norm, r_norm = xp.sqrt(xp.sum(xp.square(w))), xp.sqrt(xp.sum(xp.square(r)))
        ratio = xp.where((w_norm > 0) & (r_norm > 0), w_norm / r_norm, 1.0)
        return w - ratio * lr * r, m, v


class ScheduleFreeAdamW(VarListOptimizer):
    """Adam without a schedule: gradients are taken between a fast sequence `z` and its mean `x`.

    The weights are `y = (1 - beta_1) * z + beta_1 * x`; the slot "momentum" holds `z`.

    Args:
        beta_1: where between `z` (0) and `x` (1) the weights lie.
        beta_2: how slowly the mean `v` of the squared gradients follows.
        epsilon: added to the root, against division by zero.
        warmup_steps: over so many steps the learning rate rises from zero in a line.

    Source: Defazio et al., The road less scheduled, https://arxiv.org/abs/2405.15682
    """

    def __init__(
        self,
        learning_rate: Rate = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon, self.warmup_steps = beta_1, beta_2, epsilon, warmup_steps

    def add_slots(self, variables: list[Variable]) -> None:
        for w in variables:
            z = self.add_variable_from_reference(w, "momentum", initializer=w)
            self._slots[w] = [z, self.add_variable_from_reference(w, "velocity")]

    @elementwise
    def rule(self, w: Any, g: Any, lr: Any, t: Any, z: Any, v: Any) -> tuple[Any, ...]:
        if self.warmup_steps > 0:
            lr = lr * xp.minimum(t / self.warmup_steps, 1.0)
        beta_1, beta_2 = (xp.asarray(beta, t.dtype) for beta in (self.beta_1, self.beta_2))
        x = (w - (1 - beta_1) * z) / beta_1
        v = v + (xp.square(g) - v) * (1 - beta_2)
        z = z - lr * g / (xp.sqrt(v / (1 - beta_2**t)) + self.epsilon)
        x = (1 - 1 / t) * x + 1 / t * z
        return (1 - beta_1) * z + beta_1 * x, z, v
