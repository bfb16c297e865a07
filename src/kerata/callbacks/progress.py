"""Progress while training: a live bar with time left in a terminal or notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from kerata.callbacks.base import Callback

__all__ = ["ProgbarLogger", "live_bar"]

_VERBS = {"train": "Training", "test": "Evaluating", "predict": "Predicting"}


class ProgbarLogger(Callback):
    """Shows how far training is, what remains, and the metrics so far.

    `verbose=1` draws a bar with rich where it can be redrawn, and prints a line for each epoch elsewhere; `verbose=2`
    always prints lines.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._task: Any = None
        self._in_fit = False
        self._epoch = 0
        self._began = 0.0
        self._mode = "train"

    # What the loop tells ----------------------------------------------------------------------------------------

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._in_fit = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch
        self._start("train", f"Epoch {epoch + 1}/{self.params.get('epochs', 1)}", self.params.get("steps"))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._end(logs or {}, f"Epoch {epoch + 1}/{self.params.get('epochs', 1)}")

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        if not self._in_fit:
            self._start("test", _VERBS["test"], self.params.get("steps"))

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if not self._in_fit:
            self._end(logs or {}, _VERBS["test"])

    def on_predict_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._start("predict", _VERBS["predict"], self.params.get("steps"))

    def on_predict_end(self, logs: dict[str, Any] | None = None) -> None:
        self._end({}, _VERBS["predict"])

    def on_steps(self, mode: str, done: int, logs: dict[str, Any]) -> None:
        """Move on to `done` steps."""
        if self._bar is not None and mode == self._mode:
            self._bar.update(self._task, completed=done, metrics=_metrics(logs))

    def _close(self) -> None:
        """Leave the terminal as it was, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    # Drawing ----------------------------------------------------------------------------------------------------

    def _start(self, mode: str, title: str, steps: int | None) -> None:
        self._mode, self._began = mode, time.perf_counter()
        self._steps = steps
        if self.params.get("verbose", 1) != 1 or not _can_redraw():
            return
        self._bar = live_bar()
        self._task = self._bar.add_task(title, total=steps, metrics="")

    def _end(self, logs: dict[str, Any], title: str) -> None:
        seconds = time.perf_counter() - self._began
        if self._bar is not None:
            task = self._bar.tasks[0]
            total = task.total if task.total is not None else task.completed
            self._bar.update(self._task, total=total, metrics=_metrics(logs))
            self._close()
            return
        count = f"{self._steps} step{'s' if self._steps > 1 else ''}, " if self._steps else ""
        print(f"{title}: {count}{seconds:.1f} s{', ' if logs else ''}{_metrics(logs)}", flush=True)


def live_bar(width: int = 24) -> Any:
    """Return a bar of rich that is shown; its tasks have a field `metrics`, a text."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=width), MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True, compact=True), TextColumn("{task.fields[metrics]}"),
        refresh_per_second=8,
    )  # fmt: skip
    bar.start()
    return bar


def _metrics(logs: dict[str, Any]) -> str:
    return "  ".join(f"{name}: {_short(value)}" for name, value in logs.items())


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def _can_redraw() -> bool:
    """Return whether what is printed can be redrawn: a terminal, or a notebook."""
    if hasattr(sys, "ps1") and "ipykernel" in sys.modules:
        return True
    return "ipykernel" in sys.modules or sys.stdout.isatty()
