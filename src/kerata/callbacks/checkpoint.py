"""`ModelCheckpoint`: the model in a file, while it trains."""

from __future__ import annotations

import os
from typing import Any

from kerata import errors
from kerata.callbacks.base import Callback
from kerata.callbacks.monitor import Monitor

__all__ = ["ModelCheckpoint"]


class ModelCheckpoint(Callback):
    """Saves the model, or its weights, after epochs or batches.

    Args:
        filepath: the file's name; `{epoch}` and names of the logs are filled in, as in
            "m.{epoch:02d}-{val_loss:.2f}.keras".
        monitor: the number that tells the best model.
        save_best_only: save only when that number got better.
        save_weights_only: save a `.weights.h5` file.
        mode: "min", "max" or "auto".
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: a value that must be beaten from the start.

    Example:
        >>> best = kerata.callbacks.ModelCheckpoint("best.keras", save_best_only=True)  # fit(…, callbacks=[best])
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: int | str = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__()
        self.filepath, self.monitor, self.verbose = os.fspath(filepath), monitor, verbose
        self.save_best_only, self.save_weights_only, self.save_freq = save_best_only, save_weights_only, save_freq
        if save_freq != "epoch" and not isinstance(save_freq, int):
            raise errors.InvalidArgument(
                "`save_freq` is unknown.", where="ModelCheckpoint", expected="'epoch' or a number", got=repr(save_freq)
            )
        endings = (".weights.h5", ".safetensors") if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(endings):
            raise errors.InvalidArgument(
                "the file's name has another ending.", where="ModelCheckpoint: filepath",
                expected=" or ".join(endings), got=self.filepath,
            )  # fmt: skip
        self._watch = Monitor(monitor, mode, "ModelCheckpoint", best=initial_value_threshold)
        self._epoch = self._batches = 0
        if save_freq != "epoch":
            # Only now is there a batch hook, and with it the need for exact steps.
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    @property
    def best(self) -> float:
        """The best value so far."""
        return self._watch.best

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def _after_batch(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._batches += 1
        if self._batches % int(self.save_freq) == 0:
            self._save(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(None, logs)

    def _save(self, batch: int | None, logs: dict[str, Any] | None) -> None:
        path = self._path(batch, logs or {})
        if self.save_best_only:
            self._watch.ask(self.model)
            current = self._watch.value(logs)
            if current is None or not self._watch.is_better(current):
                return
            if self.verbose:
                print(f"\nEpoch {self._epoch + 1}: {self.monitor} is now {current:.5f}; saving to {path}")
            self._watch.best = current
        elif self.verbose:
            print(f"\nEpoch {self._epoch + 1}: saving to {path}")
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)

    def _path(self, batch: int | None, logs: dict[str, Any]) -> str:
        values = {**logs, "epoch": self._epoch + 1}
        if batch is not None:
            values["batch"] = batch + 1
        try:
            return self.filepath.format(**values)
        except KeyError as error:
            raise errors.UnknownName("number in the logs", error.args[0], values, where=self.filepath) from None
