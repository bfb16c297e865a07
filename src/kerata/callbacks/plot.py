"""`Plot`: curves of a training, live in a notebook and in a PNG elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from kerata.callbacks.base import Callback
from kerata.callbacks.history import History
from kerata.core.packages import package

__all__ = ["Plot"]


class Plot(Callback):
    """Draws the loss and the metrics against the epochs: live in a notebook, into a PNG at the end elsewhere.

    Needs matplotlib. The file is written too when training is interrupted.

    Args:
        filepath: the picture's file; by default `training.png`, and none in a notebook.
        metrics: names of the logs to be drawn, without `val_`; all by default.
        every: draw anew after so many epochs.

    Example:
        >>> curves = kerata.callbacks.Plot("training.png")  # fit(…, callbacks=[curves])
    """

    def __init__(self, filepath: Any = None, metrics: Sequence[str] | None = None, every: int = 1) -> None:
        super().__init__()
        from kerata.visualization.figures import in_notebook

        self.metrics, self.every = metrics, every
        self.live = in_notebook()
        self.filepath = os.fspath(filepath) if filepath is not None else None if self.live else "training.png"
        self._past, self._shown = History(), None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        package("matplotlib.figure", "Plot")  # what is missing shows now, and not after hours
        self._past, self._shown = History(), None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._past.on_epoch_end(epoch, logs)
        if self.live and len(self._past.epoch) % self.every == 0:
            self._show()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._close()

    def _close(self) -> None:
        """Write the file; called after an error too."""
        epochs = len(self._past.epoch)
        if epochs and self.live and epochs % self.every:
            self._show()
        if epochs and self.filepath is not None:
            os.makedirs(os.path.dirname(self.filepath) or ".", exist_ok=True)
            self._past.plot(self.metrics, self.filepath)
        self._past = History()

    def _show(self) -> None:
        figure = self._past.plot(self.metrics, show=False)
        if self._shown is None:
            self._shown = package("IPython.display", "Plot", "ipython").display(figure, display_id=True)
        else:
            self._shown.update(figure)
