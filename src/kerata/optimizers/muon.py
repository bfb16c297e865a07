"""Muon: a momentum whose matrix is made orthogonal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Unpack

from kerata import errors
from kerata.core.variable import Variable
from kerata.engine import xp
from kerata.optimizers.base import VarListOptimizer
from kerata.optimizers.options import OptionsButDecay, Rate

__all__ = ["Muon"]


class Muon(VarListOptimizer):
    """Steps by the momentum's nearest orthogonal matrix; for what is no matrix, and for embeddings, by Adam.

    Args:
        adam_beta_1, adam_beta_2, epsilon: what Adam uses; see `Adam`.
        adam_weight_decay: the weight decay of the Variables that Adam learns.
        weight_decay: the weight decay of the others.
        exclude_layers: patterns; a Variable whose path matches one is left to Adam.
        exclude_embeddings: leave Variables with "embedding" in their path to Adam.
        muon_a, muon_b, muon_c: the polynomial that pulls singular values towards 1.
        adam_lr_ratio: Adam's learning rate over Muon's.
        momentum: the share of the momentum that stays.
        ns_steps: how often the polynomial is applied.
        nesterov: add the momentum to the newest gradient once more.
        rms_rate: the step's root mean square, about, in learning rates; None leaves the orthogonal matrix as it is.

    Sources: Jordan, https://kellerjordan.github.io/posts/muon/; Liu et al., https://arxiv.org/abs/2502.16982

    Example:
        >>> optimizer = kerata.optimizers.Muon(1e-3, exclude_layers=["output"])  # compile(optimizer, …)
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **options: Unpack[OptionsButDecay],
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **options)
        self.adam_beta_1, self.adam_beta_2, self.epsilon = adam_beta_1, adam_beta_2, epsilon
        self.adam_weight_decay, self.adam_lr_ratio = adam_weight_decay, adam_lr_ratio
        self.exclude_layers, self.exclude_embeddings = list(exclude_layers or ()), exclude_embeddings
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.momentum, self.ns_steps, self.nesterov, self.rms_rate = momentum, ns_steps, nesterov, rms_rate

    def _is_left_to_adam(self, variable: Variable) -> bool:
        return (
            variable.ndim != 2
            or (self.exclude_embeddings and "embedding" in variable.path.lower())
            or any(re.search(pattern, variable.path) for pattern in self.exclude_layers)
        )

    def add_slots(self, variables: list[Variable]) -> None:
        for w in variables:
            names = ["momentum", "velocity"] if self._is_left_to_adam(w) else ["momentum"]
            self._slots[w] = [self.add_variable_from_reference(w, name) for name in names]

    def decay_of(self, variable: Variable) -> float | None:
        if self.is_kept_from_decay(variable):
            return None
        return self.adam_weight_decay if self._is_left_to_adam(variable) else self.weight_decay

    def rule(self, w: Any, g: Any, lr: Any, t: Any, m: Any, *v: Any) -> tuple[Any, ...]:
        if v:
            return self._adam_rule(w, g, lr * self.adam_lr_ratio, t, m, *v)
        m = m + (g + m * (self.momentum - 1))
        direction = g + self.momentum * m if self.nesterov else m
        return w - self.lr_adjust(lr * self.zeropower_via_newtonschulz5(direction, self.ns_steps)), m

    def _adam_rule(self, w: Any, g: Any, lr: Any, t: Any, m: Any, v: Any) -> tuple[Any, ...]:
        m = m + (g - m) * (1 - self.adam_beta_1)
        v = v + (xp.square(g) - v) * (1 - self.adam_beta_2)
        alpha = lr * xp.sqrt(1 - self.adam_beta_2**t) / (1 - self.adam_beta_1**t)
        return w - m * alpha / (xp.sqrt(v) + self.epsilon), m, v

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Return about the nearest orthogonal matrix of `x` (…, M, N), by Newton and Schulz's iteration."""
        if x.ndim < 2:
            raise errors.ShapeMismatch("a matrix is needed.", where="Muon", expected="(…, M, N)", got=tuple(x.shape))
        a, b, c = self.muon_a, self.muon_b, self.muon_c
        is_tall = x.shape[-2] > x.shape[-1]
        x = self.transpose_last_axis(x) if is_tall else x
        x = x / (xp.sqrt(xp.sum(xp.square(x), axis=(-2, -1), keepdims=True)) + 1e-7)
        for _ in range(steps):
            square = x @ self.transpose_last_axis(x)
            x = a * x + (b * square + c * square @ square) @ x
        return self.transpose_last_axis(x) if is_tall else x

    def transpose_last_axis(self, X: Any) -> Any:
        """Return `X` with its last two axes exchanged."""
        return xp.swapaxes(X, -1, -2)

    def lr_adjust(self, x: Any) -> Any:
        """Return the step `x`, scaled so that its size does not depend on the matrix's shape."""
        return x if self.rms_rate is None else x * max(x.shape[0], x.shape[1]) ** 0.5 * self.rms_rate
