"""Callbacks that act when a number stops getting better."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors
from kerata.callbacks.base import Callback
from kerata.callbacks.monitor import Monitor
from kerata.callbacks.rates import inner, learning_rates, rate_of

__all__ = ["EarlyStopping", "ReduceLROnPlateau"]


class EarlyStopping(Callback):
    """Stops training when a number of the logs has not got better for some epochs.

    Args:
        monitor: the number's name.
        min_delta: the least change that counts.
        patience: epochs without getting better before training stops.
        verbose: 1 to say when it stops.
        mode: "min", "max" or "auto".
        baseline: a value that must be beaten from the start.
        restore_best_weights: give the model the weights of its best epoch back.
        start_from_epoch: epochs to wait before watching.

    Example:
        >>> stop = kerata.callbacks.EarlyStopping(patience=3, restore_best_weights=True)  # fit(…, callbacks=[stop])
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.monitor, self.patience, self.verbose, self.baseline = monitor, patience, verbose, baseline
        self.min_delta, self.mode = min_delta, mode
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self._watch = Monitor(monitor, mode, "EarlyStopping", min_delta)
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best: float | None = None
        self.best_weights: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None
        self._watch.reset()

    def get_monitor_value(self, logs: dict[str, Any] | None) -> float | None:
        """Return the watched number."""
        self._watch.ask(self.model)
        return self._watch.value(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._watch.is_better(current):
            self._watch.best = self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._watch.is_better(current, than=self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of epoch {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(Callback):
    """Makes the learning rate smaller when a number of the logs has not got better for some epochs.

    Args:
        monitor: the number's name.
        factor: the new learning rate is the old one times this.
        patience: epochs without getting better before that.
        cooldown: epochs to wait afterwards.
        min_lr: the learning rate gets no smaller than this.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 0.0001,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if factor >= 1.0:
            raise errors.InvalidArgument("the factor makes the rate smaller.", where="ReduceLROnPlateau", got=factor)
        if kwargs:
            raise errors.InvalidType("unknown arguments.", where="ReduceLROnPlateau", got=sorted(kwargs))
        self.monitor, self.factor, self.patience, self.verbose = monitor, factor, patience, verbose
        self.min_delta, self.cooldown, self.min_lr, self.mode = min_delta, cooldown, min_lr, mode
        self._watch = Monitor(monitor, mode, "ReduceLROnPlateau", min_delta)
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.wait = self.cooldown_counter = 0
        self._watch.reset()

    def in_cooldown(self) -> bool:
        """Return whether epochs are still waited for since the last change."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs.update(learning_rates(self.model.optimizer))
        self._watch.ask(self.model)
        current = self._watch.value(logs)
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._watch.is_better(current):
            self._watch.best, self.wait = current, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter, self.wait = self.cooldown, 0

    def _reduce(self, epoch: int) -> bool:
        """Make the learning rates smaller, and return whether any was."""
        reducible = [o for o in inner(self.model.optimizer) if rate_of(o) > np.float32(self.min_lr)]
        for optimizer in reducible:
            optimizer.learning_rate = new = max(rate_of(optimizer) * self.factor, self.min_lr)
            if self.verbose:
                print(f"\nEpoch {epoch + 1}: the learning rate is now {new}")
        return bool(reducible)
