"""`TensorBoard`: what a training does, as TensorBoard shows it."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Any

from kerata import engine, errors
from kerata.callbacks.base import Callback
from kerata.callbacks.event_files import EventFile, as_images, graph_def, write_projector
from kerata.callbacks.rates import learning_rates
from kerata.layers import Embedding

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Writes the numbers of a training, its weights and its graph for TensorBoard. Needs the package `tensorboard`.

    Names are Keras's: `epoch_loss` and its like in the runs `train` and `validation`, `batch_loss` by steps,
    `evaluation_loss_vs_iterations`, `<path of the weight>/histogram` and `/image`.

    Args:
        log_dir: the folder; `tensorboard --logdir logs` shows it.
        histogram_freq: write histograms of the weights every so many epochs; 0 for never.
        write_graph: write the graph of a functional or sequential model.
        write_images: write the weights as images too, when histograms are written.
        write_steps_per_second: write how fast it goes: of epochs and, where those are written, of steps.
        update_freq: "epoch" for the numbers of epochs alone; "batch", or a number of steps, for those of steps too.
        profile_batch: the number of a step (the first is 1) or a pair, first and last, to be looked at by the
            engine's profiler.
        embeddings_freq: write the tables of `Embedding` layers for the projector every so many epochs; 0 for never.
        embeddings_metadata: a file that tells what the rows of the tables are, or a dict of files by layers' names.

    Example:
        >>> board = kerata.callbacks.TensorBoard("logs", histogram_freq=1)  # fit(…, callbacks=[board])
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: int | str = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        if update_freq not in ("epoch", "batch") and not (isinstance(update_freq, int) and update_freq > 0):
            where, known = "TensorBoard: update_freq", "'epoch', 'batch' or a number of steps"
            raise errors.InvalidArgument("this is no frequency.", where=where, expected=known, got=repr(update_freq))
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq, self.write_graph, self.write_images = histogram_freq, write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.embeddings_freq, self.embeddings_metadata = embeddings_freq, embeddings_metadata
        self._start_batch, self._stop_batch = _first_and_last(profile_batch)
        self._files: dict[str, EventFile] = {}
        self._profiler: Any = None
        self._step = 0  # of this fit, from 1
        self._step_began = self._epoch_began = 0.0
        self._iterations = 0
        if self.update_freq == "epoch" and not self._stop_batch:
            self._idle = (TensorBoard.on_train_batch_begin, TensorBoard.on_train_batch_end)

    @property
    def reads_only_logs(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether steps may be told late: not where they are timed or profiled."""
        return not self.write_steps_per_second and not self._stop_batch

    @property
    def summary(self) -> EventFile:
        """The events of the run `train`, for numbers of your own: `board.summary.scalar("name", 0.5, step=3)`."""
        return self._file("train")

    def _file(self, run: str) -> EventFile:
        if run not in self._files:
            self._files[run] = EventFile(os.path.join(self.log_dir, run))
        return self._files[run]

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._close()
        if self.embeddings_freq:
            self._check_metadata()
        if self.write_graph and getattr(model, "_graph", None) is not None:
            self._write_graph()

    def _write_graph(self) -> None:
        self.summary.graph(graph_def(self.model))
        try:
            json = self.model.to_json()
        except errors.KerataError as error:  # a layer that cannot be written must not end the training
            warnings.warn(f"TensorBoard: the model cannot be written as JSON: {error}", stacklevel=2)
            return
        self.summary.keras_model("keras", json)

    # Steps ------------------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._step = 0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._step += 1
        if self._step == self._start_batch:
            self._profiler = engine.devices.profile(os.path.join(self.log_dir, "train"))
            self._profiler.__enter__()
        self._step_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._step == self._stop_batch:
            self._stop_profiler()
        if self.update_freq == "epoch" or self._step % int(self.update_freq):
            return
        numbers = dict(logs or {})
        if self.write_steps_per_second:
            numbers["steps_per_second"] = 1 / (time.perf_counter() - self._step_began)
        self._scalars("train", "batch_{}", numbers, self._step)

    def _stop_profiler(self) -> None:
        profiler, self._profiler = self._profiler, None
        if profiler is not None:
            profiler.__exit__(None, None, None)

    # Epochs -----------------------------------------------------------------------------------------------------

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch_began, self._iterations = time.perf_counter(), self._steps_made()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs:
            validation = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
            numbers = {name: value for name, value in logs.items() if not name.startswith("val_")}
            if self.model.optimizer is not None:
                numbers.update(learning_rates(self.model.optimizer))
            if self.write_steps_per_second:
                seconds = time.perf_counter() - self._epoch_began
                numbers["steps_per_second"] = (self._steps_made() - self._iterations) / seconds
            self._scalars("train", "epoch_{}", numbers, epoch)
            self._scalars("validation", "epoch_{}", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            tables = {e.name: (e.embeddings.numpy(), self._metadata_of(e)) for e in self._embeddings()}
            write_projector(Path(self.log_dir), tables, str(epoch))
        for file in self._files.values():  # who looks on sees each epoch as it ends
            file.flush()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.model.optimizer is not None:
            self._scalars("validation", "evaluation_{}_vs_iterations", logs or {}, self._steps_made())

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._close()

    def _close(self) -> None:
        """End the profile and close the files, also after an error."""
        self._stop_profiler()
        for file in self._files.values():
            file.close()
        self._files = {}

    def _steps_made(self) -> int:
        return int(self.model.optimizer.iterations) if self.model.optimizer is not None else 0

    def _scalars(self, run: str, form: str, numbers: dict[str, Any], step: int) -> None:
        for name, value in numbers.items():
            self._file(run).scalar(form.format(name), value, step)

    def _write_weights(self, epoch: int) -> None:
        for weight in dict.fromkeys(w for layer in self.model.layers for w in layer.weights):
            array = weight.numpy()
            self.summary.histogram(f"{weight.path}/histogram", array, epoch)
            if self.write_images and (images := as_images(array)) is not None:
                self.summary.image(f"{weight.path}/image", images, epoch)

    def _embeddings(self) -> list[Any]:
        return [layer for layer in self.model._flatten_layers() if isinstance(layer, Embedding)]

    def _metadata_of(self, layer: Any) -> str | None:
        files = self.embeddings_metadata
        found = files.get(layer.name) if isinstance(files, dict) else files
        return None if found is None else os.fspath(found)

    def _check_metadata(self) -> None:
        names = [layer.name for layer in self._embeddings()]
        for name in self.embeddings_metadata if isinstance(self.embeddings_metadata, dict) else ():
            if name not in names:
                raise errors.UnknownName("Embedding layer", name, names, where="TensorBoard: embeddings_metadata")


def _first_and_last(profile_batch: Any) -> tuple[int, int]:
    given = profile_batch.split(",") if isinstance(profile_batch, str) else profile_batch
    pair = list(given) if isinstance(given, (list, tuple)) else [given]
    try:
        first, last = int(pair[0]), int(pair[-1])
    except (TypeError, ValueError, IndexError):
        first = last = -1
    if len(pair) > 2 or first < 0 or last < first:
        where, known = "TensorBoard: profile_batch", "the number of a step, or a pair of them"
        raise errors.InvalidArgument("this names no steps.", where=where, expected=known, got=repr(profile_batch))
    return first, last
