"""`BackupAndRestore`: a training that was cut off goes on where it stood."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from kerata import errors
from kerata.callbacks.base import Callback

__all__ = ["BackupAndRestore"]


class BackupAndRestore(Callback):
    """Keeps the newest weights, optimizer state and epoch in a folder; the same program, run again, goes on from them.

    A program that stopped within an epoch begins that epoch anew, with the weights of the last backup.

    Args:
        backup_dir: the folder, for this training alone.
        save_freq: "epoch", or a number of batches; False for never.
        double_checkpoint: keep the backup before the last one too, for the case that the last cannot be read.
        delete_checkpoint: remove the backup when `fit` has come to its end.

    Example:
        >>> keep = kerata.callbacks.BackupAndRestore("backup")  # fit(…, epochs=100, callbacks=[keep])
    """

    def __init__(
        self,
        backup_dir: Any,
        save_freq: int | str = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise errors.InvalidArgument("a folder is needed.", where="BackupAndRestore: backup_dir", got=backup_dir)
        if save_freq != "epoch" and not isinstance(save_freq, int):
            where = "BackupAndRestore: save_freq"
            raise errors.InvalidArgument(
                "this is no frequency.", where=where, expected="'epoch' or a number of batches", got=repr(save_freq)
            )
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq, self.double_checkpoint, self.delete_checkpoint = save_freq, double_checkpoint, delete_checkpoint
        folder = Path(backup_dir)
        self._files = [folder / "latest.weights.h5", folder / "training_metadata.json"]
        self._older = [file.with_name(f"{file.name}.bkp") for file in self._files]
        self._epoch = self._batch = self._batches = 0
        if save_freq == "epoch" or not save_freq:
            self._idle = (BackupAndRestore.on_train_batch_end,)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        try:
            self._restore()
        except (OSError, ValueError):  # cut or damaged
            if not self._older[0].exists():
                raise
            for older, file in zip(self._older, self._files):
                file.unlink(missing_ok=True)
                if older.exists():
                    shutil.copy2(older, file)
            self._restore()

    def _restore(self) -> None:
        weights, state = self._files
        if weights.exists():
            optimizer = self.model.optimizer
            if optimizer is not None and not optimizer.built:
                optimizer.build(self.model.trainable_variables)
            self.model.load_weights(weights)
        if state.exists():
            self.model._initial_epoch = json.loads(state.read_text())["epoch"]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch, self._batch = epoch, 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._batch = batch
        self._batches += 1
        if self.save_freq and self.save_freq != "epoch" and self._batches % int(self.save_freq) == 0:
            self._save()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch, self._batch = epoch + 1, 0
        if self.save_freq == "epoch":
            self._save()

    def _save(self) -> None:
        weights, state = self._files
        weights.parent.mkdir(parents=True, exist_ok=True)
        for file, older in zip(self._files, self._older):
            if self.double_checkpoint and file.exists():
                shutil.copy2(file, older)
        self.model.save_weights(weights, overwrite=True)
        state.write_text(json.dumps({"epoch": self._epoch, "batch": self._batch}))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        folder = Path(self.backup_dir)
        if not self.delete_checkpoint or not folder.exists():
            return
        for file in (*self._files, *self._older):
            file.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
