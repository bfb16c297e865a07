"""`Discretization`: real numbers as the number of the range that they fall in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerata import config as settings
from kerata import errors, ops
from kerata.core.configurable import WithCustomObjects
from kerata.layers.preprocessing.encoding import check_output_mode, encode_categories
from kerata.layers.scaling import _DataLayer

__all__ = ["Discretization"]


class Discretization(WithCustomObjects, _DataLayer):
    """Puts each number into one of the ranges between boundaries, which are given or learned from data by `adapt`.

    Boundaries b1 < b2 < … make the ranges (-inf, b1), [b1, b2), …, [bn, inf).

    Args:
        bin_boundaries: the boundaries.
        num_bins: how many ranges `adapt` is to make, each with about as many of the numbers as another; instead of
            `bin_boundaries`.
        epsilon: how coarse the summary of the data may be from which `adapt` learns: about 1 / epsilon numbers are
            kept.
        output_mode: "int" for the range of each number, "one_hot" for a vector for each number, "multi_hot" and
            "count" for one for each row.
        sparse: must be False.

    Example:
        >>> x = numpy.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]])
        >>> kerata.layers.Discretization([0.0, 1.0, 2.0])(x).tolist()
        [[0, 2, 3, 1], [1, 3, 2, 1]]
        >>> layer = kerata.layers.Discretization(num_bins=4)
        >>> layer.adapt(x)
        >>> layer.bin_boundaries[:2]
        [0.0, 0.5]
    """

    built = True

    def __init__(
        self, bin_boundaries: Sequence[float] | None = None, num_bins: int | None = None, epsilon: float = 0.01,
        output_mode: str = "int", sparse: bool = False, dtype: Any = None, name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name=name, dtype=dtype)
        self._keep(locals())
        check_output_mode("Discretization", output_mode, ("int", "one_hot", "multi_hot", "count"), sparse)
        if (num_bins is None) == (bin_boundaries is None):
            raise errors.InvalidArgument(
                "the ranges are given, or their number is.", where="Discretization",
                expected="one of `bin_boundaries` and `num_bins`",
                got=f"bin_boundaries={bin_boundaries}, num_bins={num_bins}",
            )  # fmt: skip
        if num_bins is not None and num_bins < 0:
            raise errors.InvalidArgument(
                "`num_bins` cannot be negative.", where="Discretization", got=f"num_bins={num_bins}"
            )
        self.bin_boundaries = None if bin_boundaries is None else [float(b) for b in bin_boundaries]
        self.summary = _NOTHING

    @property
    def input_dtype(self) -> str:
        """The dtype in which numbers meet the boundaries; a narrower one would move them over."""
        return settings.floatx()

    @property
    def output_dtype(self) -> str:
        """The dtype of the outputs."""
        return "int32" if self.output_mode == "int" else self.compute_dtype

    def call(self, inputs: Any) -> Any:
        if self.bin_boundaries is None:
            raise errors.StateError(
                "the boundaries are not known.", where=self._where(), hint="call `adapt` on data, or give them"
            )
        bins = ops.digitize(inputs, ops.convert_to_tensor(np.array(self.bin_boundaries, "float32")))
        return encode_categories(bins, self.output_mode, len(self.bin_boundaries) + 1, self.output_dtype)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn boundaries between which equally many of the numbers lie, in place of what was learned before.

        Args:
            data: an array, or an iterable of batches.
            steps: how many batches to take; by default all.

        Raises:
            StateError: when the boundaries were given.
        """
        if self.num_bins is None:
            raise errors.StateError("the boundaries were given; there is nothing to learn.", where=self._where())
        self.reset_state()
        batches = [data] if hasattr(data, "shape") or not hasattr(data, "__iter__") else data
        for i, batch in enumerate(batches):
            if steps is not None and i >= steps:
                break
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Add numbers to the summary."""
        numbers = data if isinstance(data, np.ndarray) else ops.convert_to_numpy(data)
        self.summary = _merged(_summary(numbers.astype("float32").ravel(), self.epsilon), self.summary, self.epsilon)

    def finalize_state(self) -> None:
        """Make the boundaries from the summary."""
        if self.num_bins is not None:
            self.bin_boundaries = _compressed(self.summary, 1 / self.num_bins)[0, :-1].tolist()

    def reset_state(self) -> None:
        """Forget the summary."""
        if self.num_bins is not None:
            self.summary = _NOTHING

    def load_own_variables(self, store: Any) -> None:
        """Do nothing, for boundaries stand in the config; an old file's summary is taken over."""
        if len(store.keys()) == 1:
            self.summary = np.asarray(store["0"])

    def get_config(self) -> dict[str, Any]:
        config = {name: value for name, value in super().get_config().items() if name != "trainable"}
        return {**config, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        learned = config.get("num_bins") is not None
        layer = super().from_config({**config, "bin_boundaries": None} if learned else config, custom_objects)
        if learned:  # boundaries that `adapt` learned, which are no argument beside `num_bins`
            layer.bin_boundaries = config.get("bin_boundaries")
        return layer


# A summary is a row of numbers in rising order, and below each how many of the data it stands for.

_NOTHING = np.zeros((2, 0), "float32")


def _summary(numbers: np.ndarray, epsilon: float) -> np.ndarray:
    """Keep each (epsilon n)th of the n numbers."""
    step = max(numbers.size * epsilon, 1)
    kept = np.sort(numbers)[int(step - 1) :: int(step)]
    return np.stack([kept, np.full_like(kept, step)])


def _merged(one: np.ndarray, other: np.ndarray, epsilon: float) -> np.ndarray:
    both = np.concatenate([one, other], axis=1)
    return _compressed(both[:, np.argsort(both[0])], epsilon)


def _compressed(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """Return the numbers at the quantiles epsilon, 2 epsilon, … of a summary."""
    if summary.shape[1] * epsilon < 1:
        return summary
    quantiles = epsilon + np.arange(0.0, 1.0, epsilon)
    below = summary[1].cumsum()
    shares = below / below[-1]
    below = np.interp(quantiles, shares, below)
    return np.stack([np.interp(quantiles, shares, summary[0]), np.diff(below, prepend=0)]).astype("float32")
