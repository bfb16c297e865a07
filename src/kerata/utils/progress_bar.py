"""`Progbar`: progress of a loop of one's own."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from kerata import errors
from kerata.callbacks.progress import _can_redraw, live_bar

__all__ = ["Progbar"]


class Progbar:
    """Shows how far a loop is, with the means of its metrics so far.

    In a terminal or notebook this is a live bar; elsewhere a line when the loop ends.

    Args:
        target: how many steps there are; None where it is not known.
        width: of the bar, in characters.
        verbose: 0 silent, 1 a bar, 2 a line at the end.
        interval: seconds that pass at least between two drawings.
        stateful_metrics: names of metrics that are shown as they are; all others are averaged over the steps.
        stateless_metrics: names of metrics that are averaged, and all others shown as they are. Only one of both lists
            is given.
        unit_name: what a step is called.

    Example:
        >>> bar = kerata.utils.Progbar(2, verbose=2)
        >>> bar.add(1, values=[("loss", 1.0)])
        >>> bar.add(1, values=[("loss", 0.5)])  # doctest: +SKIP
        2/2 - 0s - 5us/step - loss: 0.5000
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Any = None,
        stateless_metrics: Any = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise errors.InvalidArgument(
                "the metrics that are averaged follow from one list.", where="Progbar",
                expected="stateful_metrics or stateless_metrics", got="both",
            )  # fmt: skip
        self.target, self.width, self.verbose, self.interval = target, width, verbose, interval
        self.stateful_metrics = None if stateless_metrics is not None else set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self.unit_name = unit_name
        self._sums: dict[str, tuple[float, int]] = {}  # of each metric: the sum over steps, and their number
        self._seen = 0
        self._began = time.perf_counter()
        self._first_ended: float | None = None
        self._drawn = -np.inf
        self._bar: Any = None

    def update(self, current: int, values: Any = None, finalize: bool | None = None) -> None:
        """Tell that `current` steps are done.

        Args:
            values: pairs of a metric's name and its value in the steps since the last call.
            finalize: whether this is the end; by default, whether `current` has reached the target. Then `values` are
                the final ones, shown as they are.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            steps = max(current - self._seen, 1)
            value = float(np.mean(np.asarray(value)))
            if finalize or not self._averages(name):
                self._sums[name] = value, 1
            else:
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = total + value * steps, count + steps
        self._seen = current
        now = time.perf_counter()
        if self._first_ended is None and current >= 1:
            self._first_ended = now  # the first step is often slower: compiling
        if not self.verbose:
            return
        if self.verbose == 1 and _can_redraw():
            if finalize or now - self._drawn >= self.interval:
                self._draw(current, finalize)
                self._drawn = now
        elif finalize:
            print(self._line(current, now), flush=True)

    def add(self, n: int, values: Any = None) -> None:
        """Tell that `n` more steps are done."""
        self.update(self._seen + n, values)

    def _averages(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return name not in (self.stateful_metrics or ())

    def _means(self) -> list[str]:
        means = {name: total / max(count, 1) for name, (total, count) in self._sums.items()}
        return [f"{name}: {mean:.4f}" if abs(mean) > 1e-3 else f"{name}: {mean:.4e}" for name, mean in means.items()]

    def _line(self, current: int, now: float) -> str:
        if current > 1 and self._first_ended is not None and self._first_ended < now:
            each = (now - self._first_ended) / (current - 1)
        else:
            each = (now - self._began) / max(current, 1)
        duration = f"{each:.0f}s" if each >= 1 else f"{each * 1e3:.0f}ms" if each >= 1e-3 else f"{each * 1e6:.0f}us"
        count = f"{current}/{'Unknown' if self.target is None else self.target}"
        return " - ".join([count, f"{now - self._began:.0f}s", f"{duration}/{self.unit_name}", *self._means()])

    def _draw(self, current: int, finalize: bool) -> None:
        if self._bar is None:
            self._bar = live_bar(self.width)
            self._bar.add_task("", total=self.target, metrics="")
        task = self._bar.tasks[0]
        total = current if finalize and self.target is None else self.target
        self._bar.update(task.id, completed=current, total=total, metrics=" - ".join(self._means()))
        if finalize:
            self._bar.stop()
            self._bar = None
