"""What every optimizer takes besides the arguments of its rule, checked and spelled out once; and old spellings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np

from kerata import errors
from kerata.optimizers.schedules import InverseTimeDecay, LearningRateSchedule

__all__ = ["Options", "OptionsButDecay", "Rate", "check_options", "spell_out_options", "with_old_spellings"]

Rate = float | LearningRateSchedule | Callable[[], Any]
"""A learning rate: a number, a schedule of the step, or a function that is asked at every step."""


class OptionsButDecay(TypedDict, total=False):
    """The options of an optimizer that names `weight_decay` itself."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Options(OptionsButDecay, total=False):
    """The options of every optimizer; `Optimizer` says what they do."""

    weight_decay: float | None


def check_options(optimizer: Any) -> None:
    """Refuse what cannot be, or what contradicts itself."""
    where = type(optimizer).__name__
    limits = {name: getattr(optimizer, name) for name in ("clipnorm", "clipvalue", "global_clipnorm")}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    if len(limits) > 1:
        raise errors.InvalidArgument("gradients are clipped in one way only.", where=where, got=limits)
    steps = optimizer.gradient_accumulation_steps
    if steps and steps < 2:
        raise errors.InvalidArgument(
            "fewer than two steps accumulate nothing.", where=f"{where}: gradient_accumulation_steps",
            expected="an int >= 2, or None", got=steps,
        )  # fmt: skip
    if optimizer.use_ema and not 0 <= optimizer.ema_momentum <= 1:
        raise errors.InvalidArgument(
            "the momentum is a share.", where=f"{where}: ema_momentum", expected="0 to 1", got=optimizer.ema_momentum
        )
    every = optimizer.ema_overwrite_frequency
    if optimizer.use_ema and every and (not isinstance(every, int) or every < 1):
        raise errors.InvalidArgument(
            "a number of steps is needed.", where=f"{where}: ema_overwrite_frequency", expected="an int >= 1",
            got=every,
        )  # fmt: skip


def spell_out_options(init: Any, base: Any) -> Any:
    """Return an `__init__` that takes `**options: Unpack[Options]` as one whose signature names each option of `base`.

    They stand where Keras has them, after what the rule takes by position and before what it takes by name, and all can
    be given by position.
    """
    signature = inspect.signature(init)
    own = list(signature.parameters.values())
    if str(own[-1].annotation) not in ("Unpack[Options]", "Unpack[OptionsButDecay]"):
        return init
    common = [
        p
        for name, p in inspect.signature(base).parameters.items()
        if name in inspect.get_annotations(Options) | inspect.get_annotations(OptionsButDecay)
        and name not in signature.parameters
    ]
    by_position = [p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in own if p.kind is p.KEYWORD_ONLY]
    rest = own[-1].replace(name="kwargs", annotation="Any")
    spelled_out = [*by_position, *common, *by_name]

    @functools.wraps(init)
    def with_options(self: Any, *args: Any, **kwargs: Any) -> None:
        further = {p.name: value for p, value in zip(spelled_out[len(by_position) :], args[len(by_position) - 1 :])}
        if len(args) >= len(spelled_out) or further.keys() & kwargs.keys():
            raise TypeError(f"{type(self).__name__}: too many arguments, or one was given twice")
        init(self, *args[: len(by_position) - 1], **further, **kwargs)

    with_options.__signature__ = signature.replace(parameters=[*spelled_out, rest])  # type: ignore[attr-defined]
    return with_options


OLD_SPELLINGS = ("lr", "decay")


def with_old_spellings(learning_rate: Any, kwargs: dict[str, Any]) -> Any:
    """Return the learning rate, after taking `lr` and `decay` out of `kwargs`."""
    if (old := kwargs.pop("lr", None)) is not None:
        errors.warn_once("optimizers: `lr=` is now called `learning_rate=`.")
        learning_rate = old
    if isinstance(learning_rate, (str, bytes, bool)) or not (callable(learning_rate) or _is_number(learning_rate)):
        raise errors.InvalidType(
            "this is no learning rate.", where="optimizer: learning_rate",
            expected="a number, a schedule, or a function without arguments", got=repr(learning_rate),
            hint="a number without quotes: learning_rate=0.001",
        )  # fmt: skip
    if isinstance(learning_rate, (int, float, np.number)) and not 0 <= learning_rate < float("inf"):
        raise errors.InvalidArgument(
            "this is no learning rate.", where="optimizer: learning_rate", expected="a number from 0 up",
            got=learning_rate, hint="optimizers go downhill by themselves; 0.001 is a good start for Adam",
        )  # fmt: skip
    decay = kwargs.pop("decay", None)
    if decay and not callable(learning_rate):
        errors.warn_once(
            "optimizers: `decay=` is now a schedule: learning_rate=InverseTimeDecay(learning_rate, 1, decay)."
        )
        return InverseTimeDecay(float(learning_rate), decay_steps=1, decay_rate=decay)
    return learning_rate


def _is_number(x: Any) -> bool:
    return x is not None and np.ndim(x) == 0 and hasattr(x, "__float__")
