"""Schedules: the learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kerata import config, engine, errors
from kerata.core.configurable import Configurable
from kerata.core.registry import Vocabulary
from kerata.core.variable import Variable
from kerata.engine import xp

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
    "PiecewiseConstantDecay", "PolynomialDecay", "deserialize", "serialize",
]  # fmt: skip


class LearningRateSchedule(Configurable):
    """The base of schedules: `__call__(step)` returns the learning rate, a scalar.

    It runs inside the compiled step: `step` is an array, so that `ops.where` stands for `if`.

    Example:
        >>> class Warmup(kerata.optimizers.schedules.LearningRateSchedule):
        ...     def __init__(self, peak, steps):
        ...         self.peak, self.steps = peak, steps
        ...
        ...     def __call__(self, step):
        ...         return self.peak * kerata.ops.minimum(1.0, (step + 1) / self.steps)
        >>> optimizer = kerata.optimizers.Adam(Warmup(1e-3, steps=100))
    """

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at `step`, which counts from 0."""
        raise errors.Unsupported("a schedule needs `__call__(self, step)`.", where=type(self).__name__)


class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`; with `staircase` the exponent is rounded down.

    Example:
        >>> round(float(kerata.optimizers.schedules.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)), 4)
        0.025
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name
        _check_positive(self, "decay_steps")

    def __call__(self, step: Any) -> Any:
        p = _number(step) / self.decay_steps
        if self.staircase:
            p = xp.floor(p)
        return self.initial_learning_rate * _number(self.decay_rate) ** p


class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[0]` up to the step `boundaries[0]`, then `values[1]` up to `boundaries[1]` …

    Example:
        >>> rate = kerata.optimizers.schedules.PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
        >>> [round(float(rate(step)), 4) for step in (100, 101)]
        [0.1, 0.01]
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        self.boundaries, self.values, self.name = boundaries, values, name
        if len(boundaries) != len(values) - 1:
            raise errors.InvalidArgument(
                "there is one value more than boundaries.", where=type(self).__name__,
                got=f"{len(boundaries)} boundaries and {len(values)} values",
            )  # fmt: skip

    def __call__(self, step: Any) -> Any:
        passed = xp.sum(_number(step) > xp.asarray(self.boundaries, dtype=config.floatx()))
        return xp.asarray(self.values, dtype=config.floatx())[passed]


class PolynomialDecay(LearningRateSchedule):
    """`(initial_learning_rate - end_learning_rate) * (1 - step / decay_steps) ** power + end_learning_rate`.

    After `decay_steps` it stays at the end; with `cycle` it starts again, over a multiple of `decay_steps`.

    Example:
        >>> round(float(kerata.optimizers.schedules.PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.0)(5)), 4)
        0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name
        _check_positive(self, "decay_steps")

    def __call__(self, step: Any) -> Any:
        step, decay_steps = _number(step), _number(self.decay_steps)
        if self.cycle:
            decay_steps = decay_steps * xp.where(step == 0, 1.0, xp.ceil(step / self.decay_steps))
        else:
            step = xp.minimum(step, decay_steps)
        end = _number(self.end_learning_rate)
        return (self.initial_learning_rate - end) * (1 - step / decay_steps) ** _number(self.power) + end


class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`; with `staircase` the quotient is rounded down.

    Example:
        >>> round(float(kerata.optimizers.schedules.InverseTimeDecay(0.1, decay_steps=1, decay_rate=0.5)(2)), 4)
        0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name
        _check_positive(self, "decay_steps")

    def __call__(self, step: Any) -> Any:
        p = _number(step) / self.decay_steps
        if self.staircase:
            p = xp.floor(p)
        return self.initial_learning_rate / (1 + self.decay_rate * p)


class CosineDecay(LearningRateSchedule):
    """Half a wave of the cosine from `initial_learning_rate` down to `alpha` times it, over `decay_steps`.

    With `warmup_target` the rate first rises in a line from `initial_learning_rate` to that target, over
    `warmup_steps`, and falls from there.

    Source: Loshchilov and Hutter, SGDR, https://arxiv.org/abs/1608.03983

    Example:
        >>> round(float(kerata.optimizers.schedules.CosineDecay(1.0, decay_steps=10)(5)), 4)
        0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate, self.decay_steps, self.alpha = initial_learning_rate, decay_steps, alpha
        self.name, self.warmup_target, self.warmup_steps = name, warmup_target, warmup_steps
        _check_positive(self, "decay_steps")

    def __call__(self, step: Any) -> Any:
        step = _number(step)
        if self.warmup_target is None:
            return self.initial_learning_rate * self._decayed(xp.minimum(step, self.decay_steps))
        step = xp.minimum(step, self.decay_steps + self.warmup_steps)
        falling = self.warmup_target * self._decayed(step - self.warmup_steps)
        if not self.warmup_steps:
            return falling
        rising = (self.warmup_target - self.initial_learning_rate) * (step / self.warmup_steps)
        return xp.where(step < self.warmup_steps, rising + self.initial_learning_rate, falling)

    def _decayed(self, step: Any) -> Any:
        cosine = 0.5 * (1.0 + xp.cos(math.pi * (step / self.decay_steps)))
        return (1 - self.alpha) * cosine + self.alpha


class CosineDecayRestarts(LearningRateSchedule):
    """`CosineDecay` again and again, each run `t_mul` times as long as the last and starting `m_mul` times as high.

    Source: Loshchilov and Hutter, SGDR, https://arxiv.org/abs/1608.03983

    Example:
        >>> round(float(kerata.optimizers.schedules.CosineDecayRestarts(1.0, first_decay_steps=10)(10)), 4)
        1.0
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name
        _check_positive(self, "first_decay_steps")

    def __call__(self, step: Any) -> Any:
        done = _number(step) / self.first_decay_steps
        t_mul, m_mul = _number(self.t_mul), _number(self.m_mul)
        if self.t_mul == 1:
            restarts = xp.floor(done)
            done = done - restarts
        else:  # the runs before this one make a geometric series
            restarts = xp.floor(xp.log(1.0 - done * (1.0 - t_mul)) / xp.log(t_mul))
            before = (1.0 - t_mul**restarts) / (1.0 - t_mul)
            done = (done - before) / t_mul**restarts
        cosine = 0.5 * m_mul**restarts * (1.0 + xp.cos(math.pi * done))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


def _number(x: Any) -> Any:
    return engine.arrays.as_array(x.raw_value() if isinstance(x, Variable) else x, config.floatx())


def _check_positive(schedule: LearningRateSchedule, name: str) -> None:
    if getattr(schedule, name) <= 0:
        raise errors.InvalidArgument(
            "a decay takes some steps.", where=f"{type(schedule).__name__}: {name}", expected="> 0",
            got=getattr(schedule, name),
        )  # fmt: skip


_vocabulary = Vocabulary("learning rate schedule", __name__, LearningRateSchedule)


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """Return a schedule as data."""
    return _vocabulary.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the schedule that `serialize` described."""
    return _vocabulary.deserialize(config, custom_objects)
