"""Callbacks that save the model while it trains: `ModelCheckpoint`, and `OrbaxCheckpoint`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from kerata import errors, tree
from kerata.callbacks.base import Callback
from kerata.callbacks.monitor import Monitor
from kerata.core.packages import package

__all__ = ["ModelCheckpoint", "OrbaxCheckpoint"]


class _Saver(Callback):
    """When to save: after each epoch or so many batches, and perhaps only the best."""

    def __init__(
        self, monitor: str, verbose: int, save_best_only: bool, save_weights_only: bool, mode: str,
        save_freq: int | str, initial_value_threshold: float | None,
    ) -> None:  # fmt: skip
        super().__init__()
        where = type(self).__name__
        self.monitor, self.verbose = monitor, verbose
        self.save_best_only, self.save_weights_only, self.save_freq = save_best_only, save_weights_only, save_freq
        if save_freq != "epoch" and not isinstance(save_freq, int):
            raise errors.InvalidArgument(
                "`save_freq` is unknown.", where=where, expected="'epoch' or a number", got=repr(save_freq)
            )
        self._watch = Monitor(monitor, mode, where, best=initial_value_threshold)
        self._epoch = self._batches = 0
        if save_freq == "epoch":
            self._idle = (_Saver.on_train_batch_end,)  # no need for exact steps then

    @property
    def best(self) -> float:
        """The best value so far."""
        return self._watch.best

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % int(self.save_freq) == 0:
            self._save(batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(None, logs or {})

    def _save(self, batch: int | None, logs: dict[str, Any]) -> None:
        raise NotImplementedError

    def _deserves(self, logs: dict[str, Any], target: str, unknown: bool) -> bool:
        """Return whether the model shall be saved; `unknown` where the watched number is not among the logs."""
        news = "saving"
        if self.save_best_only:
            self._watch.ask(self.model)
            current = self._watch.value(logs)
            if current is None:
                return unknown
            if not self._watch.is_better(current):
                self._say(f"{self.monitor} did not get better than {self.best:.5f}")
                return False
            self._watch.best = current
            news = f"{self.monitor} is now {current:.5f}; saving"
        self._say(f"{news} to {target}")
        return True

    def _say(self, news: str) -> None:
        if self.verbose:
            print(f"\nEpoch {self._epoch + 1}: {news}")


class ModelCheckpoint(_Saver):
    """Saves the model, or its weights, after epochs or batches.

    Args:
        filepath: the file's name; `{epoch}` and names of the logs are filled in, as in
            "m.{epoch:02d}-{val_loss:.2f}.keras".
        monitor: the number that tells the best model.
        save_best_only: save only when that number got better, or is not among the logs.
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
        super().__init__(monitor, verbose, save_best_only, save_weights_only, mode, save_freq, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        endings = (".weights.h5", ".safetensors") if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(endings):
            raise errors.InvalidArgument(
                "the file's name has another ending.", where="ModelCheckpoint: filepath",
                expected=" or ".join(endings), got=self.filepath,
                hint=f"use {self.filepath + endings[0]!r}",
            )  # fmt: skip

    def _save(self, batch: int | None, logs: dict[str, Any]) -> None:
        path = self._path(batch, logs)
        if not self._deserves(logs, path, unknown=True):  # rather one model too many
            return
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
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


class OrbaxCheckpoint(_Saver):
    """Saves the model's state with Orbax, in the background. Needs the package `orbax-checkpoint`.

    Each checkpoint is a folder named after its epoch, or after its step where `save_freq` is a number. It holds the
    Variables as `pytree` and, unless `save_weights_only`, the model's JSON as `model_config`.

    Args:
        directory: the folder of all checkpoints.
        monitor: the number that tells the best model.
        save_best_only: save only when that number got better.
        mode: "min", "max" or "auto".
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: a value that must be beaten from the start.
        max_to_keep: so many checkpoints are kept, the newest; None for all.
        save_on_background: let training go on while files are written.
        save_weights_only: leave out the optimizer, the metrics and the model's JSON.

    Example:
        >>> keep = kerata.callbacks.OrbaxCheckpoint("checkpoints")  # doctest: +SKIP
    """

    def __init__(
        self,
        directory: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: int | str = "epoch",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = 1,
        save_on_background: bool = True,
        save_weights_only: bool = False,
    ) -> None:
        super().__init__(monitor, verbose, save_best_only, save_weights_only, mode, save_freq, initial_value_threshold)
        self._orbax = _orbax()
        self.directory, self.max_to_keep, self.save_on_background = directory, max_to_keep, save_on_background
        training = self._orbax.training
        newest = None if max_to_keep is None else training.preservation_policies.LatestN(max_to_keep)
        self.checkpointer = training.Checkpointer(
            directory=os.path.abspath(directory), preservation_policy=newest,
            save_decision_policy=training.save_decision_policies.FixedIntervalPolicy(1),
        )  # fmt: skip

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if model.optimizer is not None:
            self._batches = int(model.optimizer.iterations)

    def _save(self, batch: int | None, logs: dict[str, Any]) -> None:
        step = self._epoch if batch is None else self._batches
        if not self._deserves(logs, os.path.join(self.directory, str(step)), unknown=False):
            return
        # Copies: the training goes on in the arrays themselves.
        state = tree.map_structure(_copy, self.model.get_state_tree(value_format="numpy_array"))
        content: dict[str, Any] = {"pytree": state}
        if self.save_weights_only:
            content["pytree"] = {kind: state[kind] for kind in ("trainable_variables", "non_trainable_variables")}
        else:
            content["model_config"] = {"config": self.model.to_json()}
        if self.save_on_background:
            self.checkpointer.save_checkpointables_async(step, content)
        else:
            self.checkpointer.save_checkpointables(step, content)

    def wait_until_finished(self) -> None:
        """Wait until everything is written."""
        self.checkpointer.wait()

    def _close(self) -> None:
        """Wait until everything is written, also after an error."""
        self.wait_until_finished()

    def is_multihost_enabled(self) -> bool:
        """Return whether several machines train together."""
        return self._orbax.multihost.process_count() > 1

    def is_primary_host(self) -> bool:
        """Return whether this machine is the first of those that train."""
        return self._orbax.multihost.process_index() == 0


def _copy(value: np.ndarray) -> Any:
    return np.array(value) if value.ndim else value.item()


def _orbax() -> Any:
    """Return the first version of Orbax's newer interface, which has had two places."""
    orbax = package("orbax.checkpoint", "OrbaxCheckpoint", "orbax-checkpoint")
    found = getattr(orbax, "v1", None)
    return package("orbax.checkpoint.experimental.v1", "OrbaxCheckpoint") if found is None else found
