"""CIFAR-10: small colour photographs of ten kinds of things."""

from __future__ import annotations

import numpy as np

from kerata import errors
from kerata.datasets.cifar import load_batches
from kerata.datasets.origins import fetch_folder
from kerata.datasets.splits import Split

__all__ = ["load_data"]


@errors.user_facing
def load_data() -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`, from the cache or the network (163 MB).

    50,000 images for training and 10,000 for the test, of 10 classes: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer,
    5 dog, 6 frog, 7 horse, 8 ship, 9 truck.

    Returns:
        Images, uint8 (N, 32, 32, 3) from 0 to 255 (channels first where `image_data_format` says so), and labels,
        uint8 (N, 1).

    Example:
        >>> (x_train, y_train), (x_test, y_test) = kerata.datasets.cifar10.load_data()
        >>> x_train.shape, y_train.shape
        ((50000, 32, 32, 3), (50000, 1))

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    folder = fetch_folder("cifar-10-python.tar.gz", "cifar-10-batches-py-target") / "cifar-10-batches-py"
    x_train, y_train = load_batches([folder / f"data_batch_{i}" for i in range(1, 6)], b"labels")
    x_test, y_test = load_batches([folder / "test_batch"], b"labels")
    return (x_train, y_train.astype(np.uint8)), (x_test, y_test.astype(np.uint8))
