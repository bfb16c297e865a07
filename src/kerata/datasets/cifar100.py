"""CIFAR-100: small colour photographs of a hundred kinds of things, in twenty groups."""

from __future__ import annotations

from kerata import errors
from kerata.datasets.cifar import load_batches
from kerata.datasets.origins import fetch_folder
from kerata.datasets.splits import Split

__all__ = ["load_data"]


@errors.user_facing
def load_data(label_mode: str = "fine") -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`, from the cache or the network (161 MB).

    50,000 images for training and 10,000 for the test.

    Args:
        label_mode: "fine" for the 100 classes, "coarse" for the 20 groups of them.

    Returns:
        Images, uint8 (N, 32, 32, 3) from 0 to 255 (channels first where `image_data_format` says so), and labels,
        int64 (N, 1).

    Example:
        >>> (x_train, y_train), (x_test, y_test) = kerata.datasets.cifar100.load_data(label_mode="coarse")
        >>> int(y_train.max())
        19

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    if label_mode not in ("fine", "coarse"):
        raise errors.UnknownName("label_mode", label_mode, ("fine", "coarse"), where="cifar100.load_data")
    folder = fetch_folder("cifar-100-python.tar.gz", "cifar-100-python-target") / "cifar-100-python"
    key = f"{label_mode}_labels".encode()
    return load_batches([folder / "train"], key), load_batches([folder / "test"], key)
