"""`History`: the numbers of every epoch."""

from __future__ import annotations

from typing import Any

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

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.epoch, self.history = [], {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self

    def __repr__(self) -> str:
        last = ", ".join(f"{name}: {values[-1]:.4g}" for name, values in self.history.items())
        return f"<History epochs={len(self.epoch)}, last: {last}>"

    def _repr_html_(self) -> str:
        """A table of the epochs with a small curve for each number, for Jupyter."""
        names = list(self.history)
        head = "".join(f"<th>{name}</th>" for name in names)
        curves = "".join(f"<td>{_sparkline(self.history[name])}</td>" for name in names)
        rows = "".join(
            f"<tr><td>{epoch + 1}</td>"
            + "".join(f"<td>{self.history[n][i]:.4f}</td>" if i < len(self.history[n]) else "<td></td>" for n in names)
            + "</tr>"
            for i, epoch in enumerate(self.epoch)
        )
        return f"<table><tr><th>epoch</th>{head}</tr><tr><td></td>{curves}</tr>{rows}</table>"


def _sparkline(values: list[float], width: int = 120, height: int = 32) -> str:
    finite = [v for v in values if isinstance(v, (int, float)) and v == v and abs(v) != float("inf")]
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
