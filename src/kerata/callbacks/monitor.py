"""Watching one number of the logs: which way is better, and is it."""

from __future__ import annotations

import math
from typing import Any

from kerata import errors

__all__ = ["Monitor"]

_RISING = ("acc", "accuracy", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "top_k", "hits", "bleu")


class Monitor:
    """One name in the logs, and whether less or more of it is better.

    Args:
        name: the name, such as "val_loss".
        mode: "min", "max" or "auto" (by the name).
        min_delta: changes smaller than this are none.
        best: the value to beat.
    """

    def __init__(self, name: str, mode: str, where: str, min_delta: float = 0.0, best: float | None = None) -> None:
        if mode not in ("auto", "min", "max"):
            raise errors.InvalidArgument("`mode` is unknown.", where=where, expected="auto, min or max", got=mode)
        rising = mode == "max" or (mode == "auto" and any(word in name.lower() for word in _RISING))
        self.name, self.where, self.mode, self.sign = name, where, mode, 1.0 if rising else -1.0
        self.min_delta = abs(min_delta)
        self.start = best
        self.reset()

    def ask(self, model: Any) -> None:
        """Learn from the model's metric of this name which way is better; the name alone is a guess."""
        for metric in model._each_metric() if self.mode == "auto" and hasattr(model, "_each_metric") else ():
            direction = getattr(metric, "_direction", None)
            if metric.name == self.name.removeprefix("val_") and direction in ("up", "down"):
                self.sign = 1.0 if direction == "up" else -1.0
                if self.start is None and math.isinf(self.best):
                    self.best = -self.sign * math.inf

    def reset(self) -> None:
        """Forget the best value."""
        self.best = self.start if self.start is not None else -self.sign * math.inf

    def value(self, logs: dict[str, Any] | None) -> float | None:
        """Return the number, or warn that it is not there and return None."""
        value = (logs or {}).get(self.name)
        if value is None:
            errors.warn_once(
                f"{self.where} watches {self.name!r}, which is not among the logs: {sorted(logs or {})}. "
                "Names that begin with val_ need validation_data."
            )
        return value

    def is_better(self, value: float, than: float | None = None) -> bool:
        """Return whether `value` beats the best so far."""
        reference = self.best if than is None else than
        return self.sign * (value - reference) > self.min_delta
