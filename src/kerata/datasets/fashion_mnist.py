"""Fashion-MNIST: articles of clothing, in MNIST's format."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from kerata import errors
from kerata.datasets.origins import fetch
from kerata.datasets.splits import Pair, Split

__all__ = ["load_data"]


@errors.user_facing
def load_data() -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`, from the cache or the network (30 MB).

    60,000 images for training and 10,000 for the test, of 10 classes: 0 T-shirt/top, 1 trouser, 2 pullover, 3 dress,
    4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot.

    Returns:
        Images, uint8 (N, 28, 28) from 0 to 255, and labels, uint8 (N,).

    Example:
        >>> (x_train, y_train), (x_test, y_test) = kerata.datasets.fashion_mnist.load_data()
        >>> x_train.shape
        (60000, 28, 28)

    Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017, arXiv:1708.07747; MIT licence by Zalando SE.
    """
    return _pair("train"), _pair("t10k")


def _pair(part: str) -> Pair:
    images, labels = (
        _read_idx(fetch(f"{part}-{name}-ubyte.gz", cache_subdir="datasets/fashion-mnist"))
        for name in ("images-idx3", "labels-idx1")
    )
    return images, labels


def _read_idx(path: Path) -> np.ndarray:
    """Return the bytes of a gzipped IDX file: two zeros, the dtype (8: uint8), the rank, the sizes, then the data."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise errors.CorruptFile("the file cannot be unpacked.", where=str(path), got=error) from error
    start = 4 + 4 * data[3] if len(data) > 3 else 4
    if data[:3] != b"\0\0\x08" or len(data) < start:
        raise errors.CorruptFile("this is no IDX file of bytes.", where=str(path), got=data[:16])
    shape = tuple(np.frombuffer(data[4:start], ">u4").tolist())
    if len(data) - start != math.prod(shape):
        raise errors.CorruptFile(
            "the file is cut.", where=str(path), expected=f"{math.prod(shape)} bytes", got=len(data) - start
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()
