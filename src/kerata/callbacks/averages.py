"""`SwapEMAWeights`: the model is judged by the moving average of its weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors
from kerata.callbacks.base import Callback
from kerata.callbacks.rates import inner

__all__ = ["SwapEMAWeights"]


class SwapEMAWeights(Callback):
    """Gives the model the moving average of its weights while it is evaluated or predicts, and its own back afterwards.

    The optimizer keeps the average: make it with `use_ema=True`.

    Args:
        swap_on_epoch: swap at the end of each epoch too, until the next begins, so that callbacks that come after this
            one (a `ModelCheckpoint`) see the average.

    Source: Polyak and Juditsky, Acceleration of stochastic approximation by averaging (1992)

    Example:
        >>> swap = kerata.callbacks.SwapEMAWeights()  # with optimizers.Adam(use_ema=True)
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._own: list[tuple[Any, np.ndarray]] = []  # the weights that wait while the average stands in the model

    def _averages(self) -> list[tuple[Any, Any]]:
        optimizers = [o for o in inner(self.model.optimizer) if getattr(o, "use_ema", False)]
        if not optimizers:
            raise errors.InvalidArgument(
                "the optimizer keeps no average of the weights.", where="SwapEMAWeights",
                got=repr(self.model.optimizer), hint="make the optimizer with use_ema=True",
            )  # fmt: skip
        # Before its first step an optimizer has no average yet.
        return [pair for o in optimizers if o.built and int(o.iterations) for pair in o._averages.items()]

    def _put_averages(self) -> None:
        if not self._own:
            averages = self._averages()
            self._own = [(weight, np.array(weight.numpy())) for weight, _ in averages]
            for weight, average in averages:
                weight.assign(average.numpy())

    def _put_back(self) -> None:
        for weight, own in self._own:
            weight.assign(own)
        self._own = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._put_back()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.swap_on_epoch:
            self._put_averages()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._own = []  # the optimizer has left its average in the model

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._put_averages()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self._put_back()

    def on_predict_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._put_averages()

    def on_predict_end(self, logs: dict[str, Any] | None = None) -> None:
        self._put_back()

    def _close(self) -> None:
        """Give the model its own weights back, also after an error."""
        self._put_back()
