"""California housing: prices of 1990 by block group."""

from __future__ import annotations

import numpy as np

from kerata import errors
from kerata.data.pickled_arrays import read_npz
from kerata.datasets.origins import fetch
from kerata.datasets.splits import Split, check_test_split, shuffled, split

__all__ = ["load_data"]


@errors.user_facing
def load_data(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int = 113
) -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`, from the cache or the network (743 kB).

    Args:
        version: "large" for all 20,640 block groups, "small" for the first 600.
        path: the file's name in the cache.
        test_split: the share of the rows for the test.
        seed: of the order of the rows.

    Returns:
        Attributes, float32 (N, 8) (longitude, latitude, median age of the houses, rooms, bedrooms, population,
        households, median income), and median prices in dollars, float32 (N,).

    Example:
        >>> (x_train, y_train), (x_test, y_test) = kerata.datasets.california_housing.load_data(version="small")
        >>> x_train.shape, x_test.shape
        ((480, 8), (120, 8))

    Source: Pace and Barry, "Sparse spatial autoregressions", 1997.
    """
    check_test_split(test_split, "california_housing.load_data")
    if version not in ("small", "large"):
        raise errors.UnknownName("version", version, ("small", "large"), where="california_housing.load_data")
    arrays = read_npz(fetch("california_housing.npz", path))
    rows = slice(600) if version == "small" else slice(None)
    x, y = shuffled(np.random.RandomState(seed), arrays["x"][rows], arrays["y"][rows])
    return split(x, y, test_split)
