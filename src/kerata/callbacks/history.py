"""`History`: the numbers of every epoch, as data, as a table for notebooks and as curves."""

from __future__ import annotations

import html
import numbers
from collections.abc import Sequence
from typing import Any

from kerata import errors
from kerata.callbacks.base import Callback

__all__ = ["History"]


class History(Callback):
    """Keeps the logs of every epoch; `fit` returns one.

    Example:
        >>> model = kerata.Sequential([kerata.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(numpy.ones((4, 2)), numpy.ones(4), epochs=3, verbose=0)
        >>> len(history.history["loss"])
        3
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self._told: dict[str, list[int]] = {}  # after which epochs: a validation need not follow each

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.epoch, self.history, self._told = [], {}, {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._told.setdefault(name, []).append(epoch)
        if self.model is not None:
            self.model.history = self

    @errors.user_facing
    def plot(self, names: Sequence[str] | str | None = None, path: Any = None, show: bool | None = None) -> Any:
        """Show the curves of the metrics over the epochs, each with that of its validation.

        Args:
            names: which metrics, without "val_"; all by default.
            path: write the figure to this file.
            show: True shows it now and returns None; False only returns it. None returns it too: a notebook shows
                what comes back, and a program that has a screen opens a window, unless there is a `path`.

        Returns:
            The figure of matplotlib, which must be installed.

        Example:
            >>> model = kerata.Sequential([kerata.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> history = model.fit(numpy.ones((4, 2)), numpy.ones(4), epochs=3, validation_split=0.5, verbose=0)
            >>> figure = history.plot("loss", path="loss.png")
        """
        from kerata.visualization.curves import plot_curves

        return plot_curves(self.history, self._told, names, path, show, where="History.plot")

    def __repr__(self) -> str:
        last = ", ".join(f"{name}: {_short(values[-1])}" for name, values in self.history.items() if values)
        return f"<History epochs={len(self.epoch)}, last: {last}>"

    def _repr_html_(self) -> str:
        """A table of the epochs with a small curve for each number, for Jupyter."""
        cells = {name: self._by_epoch(name) for name in self.history}
        head = "".join(f"<th>{html.escape(name)}</th>" for name in cells)
        curves = "".join(f"<td>{_sparkline(self.history[name])}</td>" for name in cells)
        rows = "".join(
            f"<tr><td>{epoch + 1}</td>" + "".join(f"<td>{by.get(epoch, '')}</td>" for by in cells.values()) + "</tr>"
            for epoch in self.epoch
        )
        return f"<table><tr><th>epoch</th>{head}</tr><tr><td></td>{curves}</tr>{rows}</table>"

    def _by_epoch(self, name: str) -> dict[int, str]:
        values = self.history[name]
        told = self._told.get(name, ())
        at = told if len(told) == len(values) else self.epoch
        return {epoch: html.escape(_short(value)) for epoch, value in zip(at, values)}


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, numbers.Real) else str(value)


def _sparkline(values: list[float], width: int = 120, height: int = 32) -> str:
    finite = [v for v in values if isinstance(v, numbers.Real) and abs(v) < float("inf")]
    if len(finite) < 2:
        return ""
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    points = " ".join(
        f"{2 + i * (width - 4) / (len(finite) - 1):.1f},{height - 2 - (v - low) / span * (height - 4):.1f}"
        for i, v in enumerate(finite)
    )
    return (
        f'<svg width="{width}" height="{height}" role="img"><polyline points="{points}" fill="none" '
        'stroke="currentColor" stroke-width="1.5"/></svg>'
    )
