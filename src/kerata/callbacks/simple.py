"""Callbacks of a few lines."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from kerata import errors
from kerata.callbacks.base import Callback
from kerata.callbacks.rates import inner, learning_rates, rate_of

__all__ = ["LambdaCallback", "LearningRateScheduler", "TerminateOnNaN"]


class LambdaCallback(Callback):
    """A callback made of functions.

    Example:
        >>> tell = kerata.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs["loss"]))
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any],
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end, "on_train_begin": on_train_begin,
            "on_train_end": on_train_end, "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end, **kwargs,
        }  # fmt: skip
        for name, function in given.items():
            if not hasattr(Callback, name):
                raise errors.UnknownName("hook", name, [n for n in dir(Callback) if n.startswith("on_")])
            if function is not None:
                setattr(self, name, function)


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of each epoch.

    Args:
        schedule: `schedule(epoch, learning_rate)` (or `schedule(epoch)`) returns the new learning rate.
        verbose: 1 to print it.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for optimizer in inner(self.model.optimizer):
            given: tuple[Any, ...] = (epoch, rate_of(optimizer))
            try:
                inspect.signature(self.schedule).bind(*given)
            except TypeError:  # it takes the epoch alone
                given = (epoch,)
            rate = self.schedule(*given)
            if not isinstance(rate, (int, float)) and not hasattr(rate, "dtype"):
                where = "LearningRateScheduler"
                raise errors.InvalidType("the schedule returns a number.", where=where, got=repr(rate))
            optimizer.learning_rate = float(rate)
            if self.verbose:
                print(f"\nEpoch {epoch + 1}: the learning rate is {float(rate)}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs.update(learning_rates(self.model.optimizer))


class TerminateOnNaN(Callback):
    """Stops training when the loss is no number.

    Args:
        raise_error: raise an error at once, so that no callback's `on_train_end` runs, instead of ending `fit`.
    """

    reads_only_logs = True

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss) and not self.model.stop_training:
            if self.raise_error:
                raise errors.StateError("the loss is no number.", where=f"fit, batch {batch}", got=f"loss={loss}")
            print(f"\nBatch {batch}: the loss is {loss}; training stops")
            self.model.stop_training = True
