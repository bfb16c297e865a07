"""Rows in a random order that a seed fixes, the same as Keras's, and cut in two: for training and for the test."""

from __future__ import annotations

import numpy as np

from kerata import errors

__all__ = ["Pair", "Split", "check_test_split", "shuffled", "split"]

Pair = tuple[np.ndarray, np.ndarray]  # (x, y)
Split = tuple[Pair, Pair]  # for training, for the test


def check_test_split(test_split: float, where: str) -> None:
    """Refuse a `test_split` that leaves nothing to train on."""
    if not 0 <= test_split < 1:
        raise errors.InvalidArgument(
            "`test_split` is no share.", where=where, expected="0 <= test_split < 1", got=test_split
        )


def shuffled(rng: np.random.RandomState, x: np.ndarray, y: np.ndarray) -> Pair:
    """Return the rows of `x` and `y` in one random order."""
    order = rng.permutation(len(x))
    return x[order], y[order]


def split(x: np.ndarray, y: np.ndarray, test_split: float) -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`: the last `test_split` of the rows is for the test."""
    end = int(len(x) * (1 - test_split))
    return (x[:end], y[:end]), (x[end:], y[end:])
