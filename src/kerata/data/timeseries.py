"""Windows that slide over a series, as a data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors
from kerata.core.rng import make_seed
from kerata.data.arrays import on_host
from kerata.data.dataset import Dataset

__all__ = ["timeseries_dataset_from_array"]


@errors.user_facing
def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Dataset:
    """Return windows of a series as a `Dataset` of batches: the window that starts at i is
    `data[i], data[i + sampling_rate], …` of `sequence_length` steps, and its target is `targets[i]`.

    Args:
        data: (T, …), a step in each row.
        targets: one for each window, by its start; None for windows alone.
        sequence_length: steps in a window.
        sequence_stride: from the start of one window to that of the next.
        sampling_rate: from one step of a window to the next.
        batch_size: windows in a batch, None for single windows.
        shuffle: a new order of windows for each reading, by `seed`.
        start_index, end_index: use the rows from the first and before the second alone.
        format: "tf" or "grain"; the same data set for both.

    Example:
        >>> series = numpy.arange(6)
        >>> data = kerata.utils.timeseries_dataset_from_array(series[:-3], series[3:], 3)
        >>> [(x.tolist(), y.tolist()) for x, y in data]
        [([[0, 1, 2]], [3])]
    """
    where = "timeseries_dataset_from_array"
    array, goals = on_host(data), None if targets is None else on_host(targets)
    rows = len(array)
    start, end = start_index or 0, end_index or rows
    for name, value, least, most in (
        ("start_index", start, 0, rows - 1),
        ("end_index", end, start + 1, rows),
        ("sampling_rate", sampling_rate, 1, rows - 1),
        ("sequence_stride", sequence_stride, 1, rows - 1),
        ("sequence_length", sequence_length, 1, rows),
    ):
        if not least <= value <= most:
            raise errors.InvalidArgument(
                f"there is no such number for data of {rows} rows.", where=f"{where}: {name}",
                expected=f"from {least} to {most}", got=value,
            )  # fmt: skip
    if format not in ("tf", "grain"):
        raise errors.UnknownName("format", format, ("tf", "grain"), where=where)
    windows = end - start - (sequence_length - 1) * sampling_rate
    if goals is not None:
        windows = min(windows, len(goals) - start)
    first_rows = np.arange(start, start + max(windows, 0), sequence_stride)
    steps = np.arange(sequence_length) * sampling_rate

    def taken(first: Any) -> Any:  # of one window, or of a batch
        window = array[np.asarray(first)[..., None] + steps]
        return window if goals is None else (window, goals[first])

    starts = Dataset(first_rows)
    if shuffle:
        starts = starts.shuffle(max(len(first_rows), 1), make_seed() if seed is None else seed)
    return (starts if batch_size is None else starts.batch(batch_size)).map(taken)
