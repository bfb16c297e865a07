"""Boston housing: prices of the 1970s by district."""

from __future__ import annotations

import numpy as np

from kerata import errors
from kerata.data.pickled_arrays import read_npz
from kerata.datasets.origins import fetch
from kerata.datasets.splits import Split, check_test_split, shuffled, split

__all__ = ["load_data"]


@errors.user_facing
def load_data(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`, from the cache or the network (57 kB).

    506 districts with 13 attributes each; one of them treats the share of Black residents as a cause of the price.
    It is here for old programs and textbooks; `california_housing` is the better choice.

    Args:
        path: the file's name in the cache.
        test_split: the share of the rows for the test.
        seed: of the order of the rows.

    Returns:
        Attributes, float64 (N, 13), and median prices in 1000 dollars, float64 (N,).

    Example:
        >>> (x_train, y_train), (x_test, y_test) = kerata.datasets.boston_housing.load_data()
        >>> x_train.shape, x_test.shape
        ((404, 13), (102, 13))

    Source: Harrison and Rubinfeld, "Hedonic prices and the demand for clean air", 1978.
    """
    check_test_split(test_split, "boston_housing.load_data")
    arrays = read_npz(fetch("boston_housing.npz", path))
    x, y = shuffled(np.random.RandomState(seed), arrays["x"], arrays["y"])
    return split(x, y, test_split)
