"""MNIST: handwritten digits. The file comes with the package."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from kerata import errors
from kerata.data.pickled_arrays import read_npz
from kerata.datasets.splits import Pair, Split

__all__ = ["load_data"]

_PACKAGED = Path(__file__).parent / "files" / "mnist.npz"


@errors.user_facing
def load_data(path: str = "mnist.npz") -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`, without a network.

    The digits 0 to 9 by many hands, white on black: 60,000 images for training and 10,000 for the test.

    Args:
        path: a plain name stands for the packaged file (Keras's name in the cache); one with a folder, such as
            "./mnist.npz", is a file of the same layout to read instead.

    Returns:
        Images, uint8 (N, 28, 28) from 0 to 255, and labels, uint8 (N,); new arrays at each call.

    Raises:
        CorruptFile: the file is cut or damaged, or holds something else.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = kerata.datasets.mnist.load_data()
        >>> x_train.shape, y_train.shape
        ((60000, 28, 28), (60000,))

    Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998; CC BY-SA 3.0 by Yann LeCun
    and Corinna Cortes.
    """
    given = os.fspath(path)
    file = Path(given).expanduser() if os.path.dirname(given) else _PACKAGED
    try:
        arrays = read_npz(file)
        return _pair(arrays, "train"), _pair(arrays, "test")
    except (errors.CorruptFile, FileNotFoundError) as error:
        hint = "install kerata anew: this file is part of it" if file == _PACKAGED else "`path` needs an .npz of MNIST"
        got = error.got if isinstance(error, errors.CorruptFile) else "no such file"
        raise errors.CorruptFile("MNIST cannot be read.", where=str(file), got=got, hint=hint) from None


def _pair(arrays: dict[str, np.ndarray], part: str) -> Pair:
    missing = {f"x_{part}", f"y_{part}"} - arrays.keys()
    if missing:
        raise errors.CorruptFile("arrays are missing.", got=f"no array called {', '.join(sorted(missing))}")
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if x.dtype != np.uint8 or y.dtype != np.uint8 or x.shape != (*y.shape, 28, 28):
        raise errors.CorruptFile("these are no digits.", got=f"{x.dtype}{x.shape} and {y.dtype}{y.shape}")
    return x, y
