"""What CIFAR-10 and CIFAR-100 have in common: pickled batches of images, a row of bytes each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kerata import config, errors
from kerata.data.pickled_arrays import read_pickle

__all__ = ["load_batches"]


def load_batches(files: list[Path], label_key: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return images, uint8 (N, 32, 32, 3) or (N, 3, 32, 32) by `image_data_format`, and labels, int64 (N, 1).

    Raises:
        CorruptFile: a batch is damaged, or holds anything but data.
    """
    batches = [_load_batch(file, label_key) for file in files]
    images, labels = (np.concatenate(parts) for parts in zip(*batches))
    if config.image_data_format() == "channels_last":
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return images, labels.reshape(-1, 1)


def _load_batch(file: Path, label_key: bytes) -> tuple[np.ndarray, np.ndarray]:
    batch = read_pickle(file)
    try:
        images, labels = np.asarray(batch[b"data"]), np.asarray(batch[label_key], np.int64)
    except (TypeError, KeyError, ValueError) as error:
        raise errors.CorruptFile("this is no batch of CIFAR.", where=str(file), got=repr(error)) from error
    if images.dtype != np.uint8 or images.shape != (*labels.shape, 3 * 32 * 32):
        raise errors.CorruptFile(
            "this is no batch of CIFAR.", where=str(file), expected=f"uint8 {(*labels.shape, 3072)}",
            got=f"{images.dtype} {images.shape}",
        )  # fmt: skip
    return images.reshape(-1, 3, 32, 32), labels
