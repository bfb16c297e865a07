"""What the workloads are fed: written once by the harness, read by every worker. Something can be learned from each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.workloads import PAUSE, Work

__all__ = ["MAKERS", "MNIST", "SlowBatches", "read", "write"]

MNIST = Path(__file__).parent.parent / "src" / "kerata" / "datasets" / "files" / "mnist.npz"

Arrays = tuple[np.ndarray, np.ndarray]


def _clusters(random: np.random.Generator, count: int, shape: tuple[int, ...]) -> Arrays:
    """Ten classes, each noise around a sample of its own."""
    centres = np.random.default_rng(0).normal(size=(10, *shape)).astype("float32")
    y = random.integers(0, 10, count).astype("int32")
    return centres[y] + random.standard_normal((count, *shape), "float32"), y


def _words(random: np.random.Generator, count: int) -> Arrays:
    """Two classes: three words in five come from one half of the vocabulary, or from the other."""
    y = random.integers(0, 2, count).astype("int32")
    upper = (random.random((count, 200)) < 0.6) == y[:, None]
    return (random.integers(0, 5000, (count, 200)) + 5000 * upper).astype("int32"), y


def _text(random: np.random.Generator, count: int, length: int = 256, vocabulary: int = 256) -> Arrays:
    """Sequences that count upwards by a step of their own; what follows is to be foretold."""
    first, step = random.integers(0, vocabulary, (count, 1)), random.integers(1, 8, (count, 1))
    tokens = ((first + step * np.arange(length + 1)) % vocabulary).astype("int32")
    return np.ascontiguousarray(tokens[:, :-1]), np.ascontiguousarray(tokens[:, 1:])


MAKERS: dict[str, Callable[[np.random.Generator, int], Arrays]] = {
    "images": lambda random, count: _clusters(random, count, (32, 32, 3)),
    "features": lambda random, count: _clusters(random, count, (16,)),
    "words": _words,
    "text": _text,
    "photographs": lambda random, count: _clusters(random, count, (224, 224, 3)),
    "long text": lambda random, count: _text(random, count, 1024, 50_304),
}


def write(folder: Path, work: Work, samples: int, test_samples: int) -> str:
    """Write data for training and for testing, unless they are there; return the folder that `read` finds them in."""
    place = folder / f"{work.data.replace(' ', '-')}-{samples}-{test_samples}"
    if place.exists():
        return str(place)
    place.mkdir()
    for seed, (split, count) in enumerate({"train": samples, "test": test_samples}.items()):
        if work.data == "memory map":
            # A hole in the file: it takes no room on the disk, and is read as zeros through the page cache.
            np.lib.format.open_memmap(place / f"x_{split}.npy", "w+", "float32", (count, 1024))
            np.save(place / f"y_{split}.npy", np.zeros(count, "int32"))
            continue
        if work.data == "mnist":
            with np.load(MNIST, allow_pickle=False) as full:
                x, y = full[f"x_{split}"][:count, ..., None], full[f"y_{split}"][:count].astype("int32")
        else:
            x, y = MAKERS[work.data](np.random.default_rng(seed + 1), count)
        np.save(place / f"x_{split}.npy", x)
        np.save(place / f"y_{split}.npy", y)
    return str(place)


def read(place: str, split: str, work: Work) -> Arrays:
    """Return samples, MNIST's as float32 in [0, 1], and labels int32; a memory map stays one."""
    mode = "r" if work.data == "memory map" else None
    x, y = np.load(Path(place) / f"x_{split}.npy", mmap_mode=mode), np.load(Path(place) / f"y_{split}.npy")
    if work.data == "mnist":
        x = x.astype("float32")
        x /= 255
        if work.model == "mlp":
            x = x.reshape(len(x), -1)
    return x, y


class SlowBatches:
    """The batches in their order, each after a wait, as for a disk or another machine; it can be gone through again."""

    def __init__(self, x: np.ndarray, y: np.ndarray, batch: int):
        self.x, self.y, self.batch = x, y, batch

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch)

    def __iter__(self) -> Iterator[Arrays]:
        for start in range(0, len(self.x), self.batch):
            time.sleep(PAUSE)
            yield self.x[start : start + self.batch], self.y[start : start + self.batch]
