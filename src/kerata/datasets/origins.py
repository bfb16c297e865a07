"""Where each file of the data sets comes from, and the hash that proves it: the addresses that Keras uses."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from kerata.utils.files import get_file

__all__ = ["ORIGINS", "Origin", "fetch", "fetch_folder"]

_STORE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
_CIFAR = "https://www.cs.toronto.edu/~kriz"


class Origin(NamedTuple):
    folder: str
    file_hash: str  # SHA-256; MD5 for the two word indexes, of which no other is published


ORIGINS = {
    "boston_housing.npz": Origin(_STORE, "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"),
    "california_housing.npz": Origin(_STORE, "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"),
    "cifar-10-python.tar.gz": Origin(_CIFAR, "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"),
    "cifar-100-python.tar.gz": Origin(_CIFAR, "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"),
    "imdb.npz": Origin(_STORE, "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"),
    "imdb_word_index.json": Origin(_STORE, "bfafd718b763782e994055a2d397834f"),
    "reuters.npz": Origin(_STORE, "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"),
    "reuters_word_index.json": Origin(_STORE, "4d44cc38712099c9e383dc6e5f11a921"),
    "t10k-images-idx3-ubyte.gz": Origin(_STORE, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    "t10k-labels-idx1-ubyte.gz": Origin(_STORE, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    "train-images-idx3-ubyte.gz": Origin(_STORE, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    "train-labels-idx1-ubyte.gz": Origin(_STORE, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
}


def fetch(name: str, path: str | None = None, cache_subdir: str = "datasets") -> Path:
    """Return the path of the file `name`, downloaded unless it is in the cache as `path`."""
    origin = ORIGINS[name]
    address = f"{origin.folder}/{name}"
    return Path(get_file(path or name, address, file_hash=origin.file_hash, cache_subdir=cache_subdir))


def fetch_folder(name: str, path: str) -> Path:
    """Return the folder that the archive `name` is unpacked into, called `path` in the cache."""
    origin = ORIGINS[name]
    return Path(get_file(path, f"{origin.folder}/{name}", file_hash=origin.file_hash, extract=True))
